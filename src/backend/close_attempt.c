/*-------------------------------------------------------------------------
 *
 * close_attempt.c
 *		quizrt.close_attempt(): what a deadline does, on demand.
 *
 * Who may call it closes attempts, and needs no right to the table: the UPDATE
 * runs as the table's owner, like a SECURITY DEFINER function of that role.
 * So do the triggers of the application that it fires.  They must not see
 * objects that the caller put in their way, so they get a search_path of the
 * table's schema alone, unless the caller has the owner's rights anyway.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "backend/attachment.h"
#include "catalog/pg_type.h"
#include "common/compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(quizrt_close_attempt);

/* What is known about the table of attempts, in the caller's memory. */
typedef struct Closing
{
	Oid			relation;
	Oid			owner;
	char	   *find;
	char	   *closing;
} Closing;

/* Where the attempt is, and whether there is anything left to do. */
typedef struct Place
{
	Datum		table;
	Datum		place;
	bool		closed;
} Place;

static Oid
owner_of_relation(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

static char *
text_of(int column, MemoryContext context)
{
	char	   *text = SPI_getvalue(SPI_tuptable->vals[0],
									SPI_tuptable->tupdesc, column);

	return text == NULL ? NULL : MemoryContextStrdup(context, text);
}

/* Ask the extension's own function, in the name of its owner. */
static void
get_queries(Oid function_owner, Closing *closing)
{
	MemoryContext context = CurrentMemoryContext;
	AsOwner		saved;
	bool		isnull;

	BeginAs(function_owner, &saved);
	if (SPI_execute("SELECT relation::oid, find, closing FROM quizrt.close_queries()",
					true, 1) != SPI_OK_SELECT)
		elog(ERROR, "a query of quizrt failed");
	if (SPI_processed == 0 ||
		(closing->find = text_of(2, context)) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no table of attempts is attached"),
				 errhint("Call quizrt.attach_attempts() first.")));
	closing->closing = text_of(3, context);
	if (closing->closing == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the attached attempts cannot be closed by quizrt"),
				 errdetail("\"submitted_at\" and \"reason\" must be columns of the table.")));
	closing->relation = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0],
													   SPI_tuptable->tupdesc,
													   1, &isnull));
	closing->owner = owner_of_relation(closing->relation);
	EndAs(&saved);
}

/* Waits for whoever is changing the attempt; false where there is none. */
static bool
find_and_lock(const Closing *closing, const char *id, Place *place)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(id)};
	HeapTuple	row;
	bool		isnull;

	if (SPI_execute_with_args(closing->find, 1, types, values, NULL, false,
							  1) != SPI_OK_SELECT)
		elog(ERROR, "a query of quizrt failed");
	if (SPI_processed == 0)
		return false;
	row = SPI_tuptable->vals[0];
	place->table = SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull);
	place->place = SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull);
	place->closed = DatumGetBool(SPI_getbinval(row, SPI_tuptable->tupdesc, 3,
											   &isnull));
	return true;
}

static void
set_search_path(const Closing *closing)
{
	Oid			schema = get_rel_namespace(closing->relation);

	(void) set_config_option("search_path",
							 psprintf("%s, pg_temp",
									  quote_identifier(get_namespace_name(schema))),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
							 0, false);
}

static bool
update(const Closing *closing, const Place *place, const char *reason)
{
	Oid			types[3] = {OIDOID, TIDOID, TEXTOID};
	Datum		values[3] = {place->table, place->place};
	bool		isnull;

	values[2] = CStringGetTextDatum(reason);
	if (SPI_execute_with_args(closing->closing, 3, types, values, NULL, false,
							  0) != SPI_OK_UPDATE_RETURNING)
		elog(ERROR, "a query of quizrt failed");

	/* a trigger of the application may have kept it open */
	return SPI_processed > 0 &&
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
								   SPI_tuptable->tupdesc, 1, &isnull));
}

static bool
close_as_owner(const Closing *closing, const char *id, const char *reason)
{
	bool		trusted = has_privs_of_role(GetUserId(), closing->owner);
	Place		place;
	AsOwner		saved;
	int			level = 0;
	bool		closed;

	BeginAs(closing->owner, &saved);
	if (!find_and_lock(closing, id, &place))
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("attempt \"%s\" does not exist", id)));
	if (place.closed)
	{
		EndAs(&saved);
		return false;
	}
	compat_pop_search_path(saved.path_level);
	if (!trusted)
	{
		level = NewGUCNestLevel();
		set_search_path(closing);
	}
	closed = update(closing, &place, reason);
	if (!trusted)
		AtEOXact_GUC(false, level);
	SetUserIdAndSecContext(saved.user, saved.security_context);
	SPI_finish();
	return closed;
}

/* The first argument is a text, uuid or bigint: its output is the id. */
static char *
id_argument(FunctionCallInfo fcinfo)
{
	Oid			output;
	bool		is_varlena;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the attempt to close must not be null")));
	getTypeOutputInfo(get_fn_expr_argtype(fcinfo->flinfo, 0), &output,
					  &is_varlena);
	return OidOutputFunctionCall(output, PG_GETARG_DATUM(0));
}

static char *
reason_argument(FunctionCallInfo fcinfo)
{
	char	   *reason = PG_ARGISNULL(1) ? "null" :
		text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (strcmp(reason, "submitted") != 0 &&
		strcmp(reason, "forced_by_owner") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown reason to close an attempt: \"%s\"", reason),
				 errhint("The reasons are \"submitted\" and \"forced_by_owner\"; \"time_up\" is what deadlines do.")));
	return reason;
}

/*
 * quizrt.close_attempt(attempt_id, reason text)
 */
Datum
quizrt_close_attempt(PG_FUNCTION_ARGS)
{
	char	   *id = id_argument(fcinfo);
	char	   *reason = reason_argument(fcinfo);
	Closing		closing = {0};

	get_queries(OwnerOfFunction(fcinfo->flinfo->fn_oid), &closing);
	PG_RETURN_BOOL(close_as_owner(&closing, id, reason));
}
