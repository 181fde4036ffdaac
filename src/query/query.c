/*-------------------------------------------------------------------------
 *
 * query.c
 *		Queries of the query worker: prepared once, run with the rights that
 *		they should have.
 *
 * The extension's own tables are read as its owner.  The application's tables
 * are read as quizrt.role, so that an installation can limit what code of
 * those tables (row security, functions in views) may do.
 *
 * Without that setting they are read as the role that owns them: the queries
 * contain the SQL expressions with which it attached its tables, and these
 * must not do what their author can't.  Row security is not for the owner, not
 * even where it is forced: who may see a quiz was asked before.  Where the
 * tables belong to several roles there is none whose rights would do for all
 * and be too much for none, and quizrt.role has to be set.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/settings.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "query/query.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Forget the plan, so that an error while making a new one leaves none. */
static void
forget(SavedQuery *query)
{
	if (query->plan != NULL)
		SPI_freeplan(query->plan);
	if (query->text != NULL)
		pfree(query->text);
	query->plan = NULL;
	query->text = NULL;
}

static void
prepare(SavedQuery *query, const char *text,
		const QueryParameters *parameters)
{
	SPIPlanPtr	plan;

	if (query->text != NULL && strcmp(query->text, text) == 0)
		return;
	forget(query);

	plan = SPI_prepare(text, parameters->count, (Oid *) parameters->types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	query->plan = plan;
	query->text = MemoryContextStrdup(TopMemoryContext, text);
}

static void
run(SavedQuery *query, const char *text, const QueryParameters *parameters,
	bool read_only)
{
	int			result;

	prepare(query, text, parameters);
	result = SPI_execute_plan(query->plan, (Datum *) parameters->values, NULL,
							  read_only, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed: %s",
			 SPI_result_code_string(result));
}

void
QueryRun(SavedQuery *query, const char *text,
		 const QueryParameters *parameters)
{
	run(query, text, parameters, true);
}

void
QueryRunWriting(SavedQuery *query, const char *text,
				const QueryParameters *parameters)
{
	run(query, text, parameters, false);
}

void
QueryBeginAs(Oid owner, QueryUser *saved)
{
	Oid			role = quizrt_role[0] != '\0' ?
		get_role_oid(quizrt_role, false) : owner;

	GetUserIdAndSecContext(&saved->user, &saved->security_context);
	SetUserIdAndSecContext(role, saved->security_context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION |
						   SECURITY_NOFORCE_RLS);
	saved->guc_level = NewGUCNestLevel();
}

void
QueryEndAs(const QueryUser *saved)
{
	AtEOXact_GUC(false, saved->guc_level);
	SetUserIdAndSecContext(saved->user, saved->security_context);
}

/* Who owns the attached tables?  Asked as the extension's owner. */
static Oid
owner_of_tables(void)
{
	static SavedQuery query;
	QueryParameters none = {0};
	Datum		owner;

	QueryRun(&query, "SELECT quizrt.attached_owner()", &none);
	if (SPI_processed != 1 || !QueryColumn(0, 1, &owner))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the attached tables belong to several roles"),
				 errhint("Give them one owner, or set quizrt.role.")));
	return DatumGetObjectId(owner);
}

void
QueryRunAsRole(SavedQuery *query, const char *text,
			   const QueryParameters *parameters)
{
	Oid			owner = quizrt_role[0] != '\0' ? InvalidOid :
		owner_of_tables();
	QueryUser	saved;

	QueryBeginAs(owner, &saved);
	QueryRun(query, text, parameters);
	QueryEndAs(&saved);
}

char *
QueryTextFrom(SavedQuery *query, const char *function, const char *argument)
{
	QueryParameters parameters = {0};
	char	   *call = psprintf("SELECT quizrt.%s(%s)", function,
								argument != NULL ? "$1" : "");
	Datum		value;

	if (argument != NULL)
	{
		parameters.count = 1;
		parameters.types[0] = TEXTOID;
		parameters.values[0] = CStringGetTextDatum(argument);
	}
	QueryRun(query, call, &parameters);
	if (SPI_processed != 1 || !QueryColumn(0, 1, &value))
		return NULL;
	return TextDatumGetCString(value);
}

Datum
QueryArray(Datum *elements, int count, Oid type)
{
	return PointerGetDatum(construct_array(elements, count, type, -1, false,
										   TYPALIGN_INT));
}

Datum
QueryTextDatum(EventText utf8)
{
	char	   *bytes = pnstrdup(utf8.bytes, utf8.length);

	return CStringGetTextDatum(pg_any_to_server(bytes, utf8.length, PG_UTF8));
}

EventText
QueryUtf8(Datum value)
{
	char	   *bytes = TextDatumGetCString(value);

	return EventTextOf(pg_server_to_any(bytes, strlen(bytes), PG_UTF8));
}

bool
QueryColumn(uint64 row, int column, Datum *value)
{
	bool		isnull;

	*value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						   column, &isnull);
	return !isnull;
}
