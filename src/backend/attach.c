/*-------------------------------------------------------------------------
 *
 * attach.c
 *		The functions that attach tables.
 *
 * To attach a table takes two rights: the execute privilege on one of these
 * functions, which its first caller checks, and the ownership of the table,
 * which is checked here.  The rest - reading what is attached already, making
 * the triggers - is done by SQL functions of the extension in the name of its
 * owner, so that nobody needs, or gets, a right to those or to the trigger
 * functions themselves.  The tables of create_quiz_tables() are made as the
 * caller: they are the caller's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "backend/attachment.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "common/compat.h"
#include "fmgr.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(quizrt_attach_quizzes);
PG_FUNCTION_INFO_V1(quizrt_attach_events);
PG_FUNCTION_INFO_V1(quizrt_attach_attempts);
PG_FUNCTION_INFO_V1(quizrt_attach_answers);
PG_FUNCTION_INFO_V1(quizrt_attach_flags);
PG_FUNCTION_INFO_V1(quizrt_attach_related);
PG_FUNCTION_INFO_V1(quizrt_attach_analysis_runs);
PG_FUNCTION_INFO_V1(quizrt_attach_security_events);
PG_FUNCTION_INFO_V1(quizrt_attach_services);
PG_FUNCTION_INFO_V1(quizrt_attach_system_status);
PG_FUNCTION_INFO_V1(quizrt_detach);
PG_FUNCTION_INFO_V1(quizrt_create_quiz_tables);
PG_FUNCTION_INFO_V1(quizrt_create_dashboard_tables);
PG_FUNCTION_INFO_V1(quizrt_create_security_tables);
PG_FUNCTION_INFO_V1(quizrt_is_expression);

/* Is it "SELECT <one expression>", and nothing more? */
static bool
is_bare_select(List *statements)
{
	SelectStmt *select;

	if (list_length(statements) != 1)
		return false;
	select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	return IsA(select, SelectStmt) && select->op == SETOP_NONE &&
		list_length(select->targetList) == 1 &&
		select->distinctClause == NIL && select->intoClause == NULL &&
		select->fromClause == NIL && select->whereClause == NULL &&
		select->groupClause == NIL && select->havingClause == NULL &&
		select->windowClause == NIL && select->valuesLists == NIL &&
		select->sortClause == NIL && select->limitOffset == NULL &&
		select->limitCount == NULL && select->lockingClause == NIL &&
		select->withClause == NULL;
}

/*
 * quizrt.is_expression(text)
 *
 * Our queries are made by putting users' expressions into parentheses.  That
 * is right only for what is an expression by itself, with parentheses that
 * balance: "1), (2" would make two columns of one, and C counts columns.
 */
Datum
quizrt_is_expression(PG_FUNCTION_ARGS)
{
	char	   *expression = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(is_bare_select(raw_parser(psprintf("SELECT (%s)",
													  expression),
											 RAW_PARSE_DEFAULT)));
}

/* Open and lock a table as CREATE TRIGGER does, if it is the caller's. */
static Relation
open_own_table(Oid relid)
{
	Relation	relation = table_open(relid, ShareRowExclusiveLock);

	if (!compat_owns_relation(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(relation->rd_rel->relkind),
					   RelationGetRelationName(relation));
	if (relation->rd_rel->relkind != RELKIND_RELATION &&
		relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table",
						RelationGetRelationName(relation))));
	return relation;
}

/* One session attaches at a time, or two could attach a role each. */
static void
lock_attachments(void)
{
	LockDatabaseObject(NamespaceRelationId,
					   get_namespace_oid("quizrt", false), 0,
					   ShareUpdateExclusiveLock);
}

/* Run a query of ours that gives a row, as SPI's present user. */
static void
ask(const char *query, int nargs, Oid *types, Datum *values)
{
	if (SPI_execute_with_args(query, nargs, types, values, NULL, false,
							  0) != SPI_OK_SELECT || SPI_processed == 0)
		elog(ERROR, "a query of quizrt failed");
}

/* Sessions that know some attached table are to look again. */
static void
invalidate_attachments(Oid function_owner)
{
	AsOwner		saved;

	CommandCounterIncrement();
	BeginAs(function_owner, &saved);
	if (SPI_execute("SELECT relation::oid FROM quizrt.attachments", false,
					0) != SPI_OK_SELECT)
		elog(ERROR, "a query of quizrt failed");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		relid = SPI_getbinval(SPI_tuptable->vals[i],
										  SPI_tuptable->tupdesc, 1, &isnull);

		CacheInvalidateRelcacheByRelid(DatumGetObjectId(relid));
	}
	EndAs(&saved);
}

static void
attach(Oid function_owner, Oid relid, const char *role, const char *columns)
{
	Relation	relation = open_own_table(relid);
	Oid			types[3] = {REGCLASSOID, TEXTOID, TEXTOID};
	Datum		values[3];
	AsOwner		saved;

	lock_attachments();
	BeginAs(function_owner, &saved);
	values[0] = ObjectIdGetDatum(relid);
	values[1] = CStringGetTextDatum(role);
	values[2] = CStringGetTextDatum(columns);
	ask("SELECT quizrt.attach_table($1, $2, $3::json)", 3, types, values);
	columns = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

	/* what can't be prepared now would fail in every writer's transaction */
	AttachmentCheck(function_owner, relation, role, columns);
	EndAs(&saved);
	invalidate_attachments(function_owner);
	table_close(relation, NoLock);
}

static Datum
attach_as(FunctionCallInfo fcinfo, const char *role)
{
	attach(OwnerOfFunction(fcinfo->flinfo->fn_oid), PG_GETARG_OID(0), role,
		   text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}

Datum
quizrt_attach_quizzes(PG_FUNCTION_ARGS)
{
	return attach_as(fcinfo, "quizzes");
}

Datum
quizrt_attach_events(PG_FUNCTION_ARGS)
{
	return attach_as(fcinfo, "events");
}

Datum
quizrt_attach_attempts(PG_FUNCTION_ARGS)
{
	return attach_as(fcinfo, "attempts");
}

Datum
quizrt_attach_answers(PG_FUNCTION_ARGS)
{
	return attach_as(fcinfo, "answers");
}

Datum
quizrt_attach_flags(PG_FUNCTION_ARGS)
{
	return attach_as(fcinfo, "flags");
}

Datum
quizrt_attach_related(PG_FUNCTION_ARGS)
{
	return attach_as(fcinfo, "related");
}

Datum
quizrt_attach_analysis_runs(PG_FUNCTION_ARGS)
{
	return attach_as(fcinfo, "analysis_runs");
}

Datum
quizrt_attach_security_events(PG_FUNCTION_ARGS)
{
	return attach_as(fcinfo, "security_events");
}

Datum
quizrt_attach_services(PG_FUNCTION_ARGS)
{
	return attach_as(fcinfo, "services");
}

Datum
quizrt_attach_system_status(PG_FUNCTION_ARGS)
{
	return attach_as(fcinfo, "system_status");
}

Datum
quizrt_detach(PG_FUNCTION_ARGS)
{
	Oid			function_owner = OwnerOfFunction(fcinfo->flinfo->fn_oid);
	Relation	relation = open_own_table(PG_GETARG_OID(0));
	Oid			types[1] = {REGCLASSOID};
	Datum		values[1];
	AsOwner		saved;

	lock_attachments();
	invalidate_attachments(function_owner);
	BeginAs(function_owner, &saved);
	values[0] = ObjectIdGetDatum(RelationGetRelid(relation));
	ask("SELECT quizrt.detach_table($1)", 1, types, values);
	EndAs(&saved);
	table_close(relation, NoLock);
	PG_RETURN_VOID();
}

/* Create what is missing of an API's reference tables, as the caller. */
static void
create_tables(Oid function_owner, const char *api, Datum schema)
{
	Oid			types[1] = {NAMEOID};
	AsOwner		saved;
	Oid			caller = GetUserId();
	const char *script;

	BeginAs(function_owner, &saved);
	ask(psprintf("SELECT quizrt.%s_tables_script($1)", api), 1, types, &schema);
	script = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	SetUserIdAndSecContext(caller, saved.security_context);
	if (SPI_execute(script, false, 0) < 0)
		elog(ERROR, "could not create the %s tables", api);
	EndAs(&saved);
}

static Datum
create_and_attach(FunctionCallInfo fcinfo, const char *api)
{
	Oid			function_owner = OwnerOfFunction(fcinfo->flinfo->fn_oid);
	Oid			caller = GetUserId();
	Datum		schema = NameGetDatum(PG_GETARG_NAME(0));
	Oid			types[1] = {NAMEOID};
	SPITupleTable *tables;
	AsOwner		saved;

	create_tables(function_owner, api, schema);

	BeginAs(function_owner, &saved);
	ask(psprintf("SELECT relation::oid, role, columns FROM quizrt.%s_tables_attached($1)",
				 api), 1, types, &schema);
	tables = SPI_tuptable;
	SetUserIdAndSecContext(caller, saved.security_context);
	for (uint64 i = 0; i < tables->numvals; i++)
	{
		bool		isnull;
		Datum		relid = SPI_getbinval(tables->vals[i], tables->tupdesc, 1,
										  &isnull);

		attach(function_owner, DatumGetObjectId(relid),
			   SPI_getvalue(tables->vals[i], tables->tupdesc, 2),
			   SPI_getvalue(tables->vals[i], tables->tupdesc, 3));
	}
	EndAs(&saved);
	PG_RETURN_VOID();
}

/*
 * quizrt.create_..._tables(schema name)
 */
Datum
quizrt_create_quiz_tables(PG_FUNCTION_ARGS)
{
	return create_and_attach(fcinfo, "quiz");
}

Datum
quizrt_create_dashboard_tables(PG_FUNCTION_ARGS)
{
	return create_and_attach(fcinfo, "dashboard");
}

Datum
quizrt_create_security_tables(PG_FUNCTION_ARGS)
{
	return create_and_attach(fcinfo, "security");
}
