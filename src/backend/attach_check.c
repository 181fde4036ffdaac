/*-------------------------------------------------------------------------
 *
 * attach_check.c
 *		Finding mistakes in how a table is attached, while it is attached.
 *
 * Later they would be found by every writer.  First each field is looked at by
 * itself, so that an error can name it: is it a column or an expression over
 * the columns, and of a type that the messages can have?  Then the queries
 * are planned, and the rights that they need are checked, with EXPLAIN: it
 * does all that running them would do, and reads no row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "backend/attach_check.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/rel.h"

typedef struct FieldCheck
{
	const char *field;
	const char *value;			/* as it was given */
	const char *query;
	const char *kind;			/* NULL: anything will do */
} FieldCheck;

typedef struct Kind
{
	const char *name;
	const char *must_be;
	const char *hint;
} Kind;

static const Kind kinds[] = {
	{"id", "an integer, a uuid or a text", NULL},
	{"time", "a timestamp",
		"Seconds since 1970 become one by an expression with to_timestamp(). For a time that is never known, write NULL::timestamptz."},
	{"number", "a number", "An expression with a cast can make it one."},
	{"integer", "an integer", "An expression with a cast can make it one."},
	{"boolean", "a boolean", "A comparison is one."},
	{"interval", "an interval",
		"A number becomes one by make_interval(), as in make_interval(secs => ...)."},
	{"text", "a text", "An expression with a cast can make it one."},
};

static const Kind *
kind_of(const char *name)
{
	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	elog(ERROR, "unknown kind of field: %s", name);
	return NULL;				/* keep the compiler quiet */
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

static bool
is_text(Oid type)
{
	return TypeCategory(type) == TYPCATEGORY_STRING;
}

static bool
is_of_kind(Oid type, const char *kind)
{
	switch (kind[0])
	{
		case 'i':
			if (strcmp(kind, "interval") == 0)
				return type == INTERVALOID;
			if (strcmp(kind, "integer") == 0)
				return is_integer(type);
			return is_integer(type) || type == UUIDOID || is_text(type);
		case 't':
			if (strcmp(kind, "time") == 0)
				return type == TIMESTAMPTZOID || type == TIMESTAMPOID;
			return is_text(type) || type_is_enum(type);
		case 'n':
			return is_integer(type) || type == NUMERICOID ||
				type == FLOAT4OID || type == FLOAT8OID;
		default:
			return type == BOOLOID;
	}
}

/* In a CATCH part: throw the error on, with other words around it. */
static void
throw_on(MemoryContext context, const char *subject, const char *detail,
		 const char *hint)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	error->message = psprintf("%s: %s", subject, error->message);
	if (detail != NULL)
		error->detail = pstrdup(detail);
	if (error->hint == NULL && hint != NULL)
		error->hint = pstrdup(hint);

	/* a place in a query that nobody has written */
	error->cursorpos = 0;
	error->internalpos = 0;
	error->internalquery = NULL;
	error->context = NULL;
	ReThrowError(error);
}

static char *
columns_of(Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
							 NameStr(TupleDescAttr(desc, i)->attname));
	}
	return list.data;
}

/* The type that a query's only column has. */
static Oid
result_type(const FieldCheck *check, Relation relation,
			const Attachment *attachment)
{
	MemoryContext context = CurrentMemoryContext;
	SPIPlanPtr	volatile plan = NULL;
	CachedPlanSource *source;

	PG_TRY();
	{
		plan = SPI_prepare(check->query, attachment->nparams,
						   attachment->param_types);
		if (plan == NULL)
			elog(ERROR, "could not prepare a query: %s",
				 SPI_result_code_string(SPI_result));
	}
	PG_CATCH();
	{
		throw_on(context,
				 psprintf("field \"%s\" of table \"%s\"", check->field,
						  RelationGetRelationName(relation)),
				 psprintf("It is to be read as: %s", check->value),
				 psprintf("The table's columns are %s. Tables in an expression need their schema.",
						  columns_of(relation)));
	}
	PG_END_TRY();
	source = linitial(SPI_plan_get_plan_sources(plan));
	return getBaseType(TupleDescAttr(source->resultDesc, 0)->atttypid);
}

static void
check_field(const FieldCheck *check, Relation relation,
			const Attachment *attachment)
{
	Oid			type = result_type(check, relation, attachment);
	const Kind *kind;

	if (check->kind == NULL || is_of_kind(type, check->kind))
		return;
	kind = kind_of(check->kind);
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("field \"%s\" of table \"%s\" has type %s, and must be %s",
					check->field, RelationGetRelationName(relation),
					format_type_be(type), kind->must_be),
			 errdetail("It is to be read as: %s", check->value),
			 kind->hint ? errhint("%s", kind->hint) : 0));
}

void
AttachCheckFields(Relation relation, const Attachment *attachment,
				  const char *role, const char *columns)
{
	Oid			types[3] = {OIDOID, TEXTOID, TEXTOID};
	Datum		values[3];
	SPITupleTable *rows;
	Oid			user;
	int			security_context;

	values[0] = ObjectIdGetDatum(RelationGetRelid(relation));
	values[1] = CStringGetTextDatum(role);
	values[2] = CStringGetTextDatum(columns);
	if (SPI_execute_with_args("SELECT * FROM quizrt.field_checks("
							  "$1, $2, $3::json)", 3, types, values, NULL,
							  false, 0) != SPI_OK_SELECT)
		elog(ERROR, "a query of quizrt failed");
	rows = SPI_tuptable;

	/* a function that can be evaluated while planning is the owner's to call */
	GetUserIdAndSecContext(&user, &security_context);
	SetUserIdAndSecContext(attachment->owner, security_context);
	for (uint64 i = 0; i < rows->numvals; i++)
	{
		FieldCheck	check;

		check.field = SPI_getvalue(rows->vals[i], rows->tupdesc, 1);
		check.value = SPI_getvalue(rows->vals[i], rows->tupdesc, 2);
		check.query = SPI_getvalue(rows->vals[i], rows->tupdesc, 3);
		check.kind = SPI_getvalue(rows->vals[i], rows->tupdesc, 4);
		check_field(&check, relation, attachment);
	}
	SetUserIdAndSecContext(user, security_context);
}

static const char *
hint_for(int sqlerrcode, Oid owner)
{
	if (sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE)
		return psprintf("Messages are made in the name of \"%s\", who owns the table, and needs SELECT on all that they look into and UPDATE on the attempts.",
						GetUserNameFromId(owner, true));
	if (sqlerrcode == ERRCODE_UNDEFINED_FUNCTION)
		return "Ids that refer to each other must be of types that can be compared; an expression with a cast can make them so.";
	return NULL;
}

static void
check_query(const char *query, Relation relation, const Attachment *attachment)
{
	MemoryContext context = CurrentMemoryContext;
	Datum	   *values = palloc0(attachment->nparams * sizeof(Datum));
	char	   *nulls = palloc(attachment->nparams + 1);

	memset(nulls, 'n', attachment->nparams);
	nulls[attachment->nparams] = '\0';
	PG_TRY();
	{
		if (SPI_execute_with_args(psprintf("EXPLAIN %s", query),
								  attachment->nparams, attachment->param_types,
								  values, nulls, false, 0) < 0)
			elog(ERROR, "could not plan a query: %s",
				 SPI_result_code_string(SPI_result));
	}
	PG_CATCH();
	{
		throw_on(context, psprintf("table \"%s\" can't be attached so",
								   RelationGetRelationName(relation)),
				 NULL, hint_for(geterrcode(), attachment->owner));
	}
	PG_END_TRY();
}

void
AttachCheckQueries(Relation relation, const Attachment *attachment)
{
	for (int i = 0; i < QUERY_COUNT; i++)
	{
		if (attachment->queries[i] != NULL)
			check_query(attachment->queries[i], relation, attachment);
	}
}
