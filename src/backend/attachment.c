/*-------------------------------------------------------------------------
 *
 * attachment.c
 *		An attached table, as its triggers know it: what its columns mean,
 *		and the queries that make messages of its rows.
 *
 * The arguments of a trigger say what the table's columns mean.  An SQL
 * function of the extension turns them into queries; each is prepared when it
 * is first needed, with a generic plan, and kept for the session, so that a
 * row costs no parsing and no planning.
 *
 * A query gets the trigger's row as parameters, one for each column, so it
 * need not read it again, and an expression in the mapping can use any
 * column.
 *
 * Queries run as the table's owner, like those of foreign keys: the writer
 * needs no right to anything that a message shows, and an expression in the
 * mapping can do nothing that the table's owner could not.  search_path is
 * pinned: a writer can't put functions or tables of its own in the way.
 *
 * What was made for a trigger is out of date when one of the tables involved
 * changes.  An invalidation can come at any time, also in the middle of a
 * query of ours, so it only marks; and what is marked is freed when no
 * trigger of ours is running.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "backend/attach_check.h"
#include "backend/attachment.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/compat.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

typedef struct CacheEntry
{
	Oid			trigger;
	Attachment *attachment;
	TimestampTz broken_at;		/* 0: not known to be broken */
} CacheEntry;

static HTAB *cache = NULL;

/* How long a broken attachment is left alone, in milliseconds. */
#define BROKEN_PAUSE	1000

/* Out of date, and perhaps in use further up the stack. */
static List *discarded = NIL;

/*
 * Triggers of ours that are running.  After an error it may be too high until
 * the transaction ends, which only keeps what is discarded a little longer.
 */
static int	depth = 0;

static const char *const query_names[QUERY_COUNT] = {
	[QUERY_FIELDS] = "fields",
	[QUERY_LOCK] = "lock",
	[QUERY_MESSAGE] = "message",
	[QUERY_FINISH] = "finish",
	[QUERY_WRITTEN] = "written",
	[QUERY_TOPICS] = "topics",
	[QUERY_EVERYTHING] = "everything",
	[QUERY_DEADLINE] = "deadline",
};

static const char *const role_names[] = {
	[ROLE_QUIZZES] = "quizzes",
	[ROLE_EVENTS] = "events",
	[ROLE_ATTEMPTS] = "attempts",
	[ROLE_ANSWERS] = "answers",
	[ROLE_FLAGS] = "flags",
	[ROLE_RELATED] = "related",
	[ROLE_ANALYSIS_RUNS] = "analysis_runs",
	[ROLE_SECURITY_EVENTS] = "security_events",
	[ROLE_SERVICES] = "services",
	[ROLE_SYSTEM_STATUS] = "system_status",
};

/*
 * Acting as somebody else
 */

void
BeginAs(Oid user, AsOwner *saved)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	GetUserIdAndSecContext(&saved->user, &saved->security_context);
	SetUserIdAndSecContext(user, saved->security_context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	saved->path_level = compat_push_search_path();
}

void
EndAs(const AsOwner *saved)
{
	compat_pop_search_path(saved->path_level);
	SetUserIdAndSecContext(saved->user, saved->security_context);
	SPI_finish();
}

Oid
OwnerOfFunction(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Making one
 */

static QuizRole
role_of_name(const char *name)
{
	for (int i = 0; i < lengthof(role_names); i++)
	{
		if (strcmp(role_names[i], name) == 0)
			return (QuizRole) i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown role of a quiz table: \"%s\"", name)));
	return ROLE_RELATED;		/* keep the compiler quiet */
}

/* The elements of a column of the result; false where it is null. */
static bool
get_array(const char *column, Oid type, Datum **elements, int *count)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	int16		length;
	bool		by_value;
	char		align;
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], desc,
									  SPI_fnumber(desc, column), &isnull);

	*count = 0;
	if (isnull)
		return false;
	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(DatumGetArrayTypeP(value), type, length, by_value,
					  align, elements, NULL, count);
	return true;
}

static void
take_tracked(Attachment *attachment)
{
	Datum	   *numbers;
	int			count;

	if (!get_array("tracked", INT2OID, &numbers, &count) ||
		count > MAX_TRACKED_FIELDS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a quiz table may have 1 to %d columns whose changes matter",
						MAX_TRACKED_FIELDS)));
	for (int i = 0; i < count; i++)
		attachment->tracked[i] = DatumGetInt16(numbers[i]);
	attachment->ntracked = count;
}

static void
take_depends(Attachment *attachment)
{
	Datum	   *oids;
	int			count;

	get_array("depends", OIDOID, &oids, &count);
	attachment->depends = MemoryContextAlloc(attachment->context,
											 (count + 1) * sizeof(Oid));
	for (int i = 0; i < count; i++)
		attachment->depends[i] = DatumGetObjectId(oids[i]);
	attachment->depends[count] = attachment->relation;
	attachment->ndepends = count + 1;
}

static void
take_queries(Attachment *attachment)
{
	HeapTuple	row = SPI_tuptable->vals[0];
	TupleDesc	desc = SPI_tuptable->tupdesc;
	bool		isnull;
	Datum		deadline = SPI_getbinval(row, desc,
										 SPI_fnumber(desc, "deadline_column"),
										 &isnull);

	attachment->deadline_column = isnull ? 0 : DatumGetInt16(deadline);
	attachment->lock_is_plain =
		DatumGetBool(SPI_getbinval(row, desc,
								   SPI_fnumber(desc, "lock_is_plain"),
								   &isnull)) && !isnull;
	for (int i = 0; i < QUERY_COUNT; i++)
	{
		char	   *query = SPI_getvalue(row, desc,
										 SPI_fnumber(desc, query_names[i]));

		if (query != NULL)
			attachment->queries[i] = MemoryContextStrdup(attachment->context,
														 query);
	}
}

/* Ask the extension's own function, in the name of its owner. */
static void
ask_for_queries(Attachment *attachment, Oid function_owner, const char *role,
				const char *columns)
{
	Oid			types[3] = {OIDOID, TEXTOID, TEXTOID};
	Datum		values[3];
	AsOwner		saved;
	int			result;

	BeginAs(function_owner, &saved);
	values[0] = ObjectIdGetDatum(attachment->relation);
	values[1] = CStringGetTextDatum(role);
	values[2] = CStringGetTextDatum(columns);
	result = SPI_execute_with_args("SELECT * FROM quizrt.quiz_queries("
								   "$1, $2, $3::json)", 3, types, values,
								   NULL, false, 1);
	if (result != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not get the queries of a quiz table");
	take_tracked(attachment);
	take_depends(attachment);
	take_queries(attachment);
	EndAs(&saved);
}

static void
describe_params(Attachment *attachment, TupleDesc desc)
{
	int			n = 2;
	int			most = desc->natts + n;

	attachment->param_types = MemoryContextAlloc(attachment->context,
												 most * sizeof(Oid));
	attachment->param_columns =
		MemoryContextAllocZero(attachment->context,
							   most * sizeof(AttrNumber));
	attachment->param_types[0] = XIDOID;
	attachment->param_types[1] = CIDOID;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped)
			continue;
		attachment->param_types[n] = attribute->atttypid;
		attachment->param_columns[n] = attribute->attnum;
		n++;
	}
	attachment->nparams = n;
}

static Attachment *
make_attachment(Oid function_owner, Relation relation, const char *role,
				const char *columns)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "quizrt attachment",
												  ALLOCSET_SMALL_SIZES);
	Attachment *attachment = MemoryContextAllocZero(context,
													sizeof(Attachment));

	attachment->context = context;
	attachment->role = role_of_name(role);
	attachment->relation = RelationGetRelid(relation);
	attachment->owner = relation->rd_rel->relowner;
	attachment->valid = true;
	describe_params(attachment, RelationGetDescr(relation));
	ask_for_queries(attachment, function_owner, role, columns);
	return attachment;
}

static SPIPlanPtr
prepare(Attachment *attachment, QuizQuery query)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(attachment->queries[query],
										  attachment->nparams,
										  attachment->param_types,
										  CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL)
		elog(ERROR, "could not prepare a query: %s",
			 SPI_result_code_string(SPI_result));
	return plan;
}

void
AttachmentCheck(Oid function_owner, Relation relation, const char *role,
				const char *columns)
{
	Attachment *attachment = make_attachment(function_owner, relation, role,
											 columns);
	AsOwner		saved;

	BeginAs(function_owner, &saved);
	AttachCheckFields(relation, attachment, role, columns);
	EndAs(&saved);
	BeginAs(attachment->owner, &saved);
	AttachCheckQueries(relation, attachment);
	EndAs(&saved);
	MemoryContextDelete(attachment->context);
}

/*
 * The cache
 */

static void
free_attachment(Attachment *attachment)
{
	for (int i = 0; i < QUERY_COUNT; i++)
	{
		if (attachment->plans[i] != NULL)
			SPI_freeplan(attachment->plans[i]);
	}
	MemoryContextDelete(attachment->context);
}

static void
free_discarded(void)
{
	while (depth == 0 && discarded != NIL)
	{
		Attachment *attachment = linitial(discarded);

		discarded = list_delete_first(discarded);
		free_attachment(attachment);
	}
}

static void
discard(Attachment *attachment)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	discarded = lappend(discarded, attachment);
	MemoryContextSwitchTo(old);
}

static bool
depends_on(const Attachment *attachment, Oid relation)
{
	if (relation == InvalidOid)
		return true;
	for (int i = 0; i < attachment->ndepends; i++)
	{
		if (attachment->depends[i] == relation)
			return true;
	}
	return false;
}

static void
on_invalidation(Datum arg, Oid relation)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		entry->broken_at = 0;
		if (entry->attachment != NULL &&
			depends_on(entry->attachment, relation))
			entry->attachment->valid = false;
	}
}

static void
at_transaction_event(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		depth = 0;
}

static void
create_cache(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(CacheEntry);
	cache = hash_create("quizrt attachments", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(on_invalidation, (Datum) 0);
	RegisterXactCallback(at_transaction_event, NULL);
}

static Attachment *
make_for_trigger(const TriggerData *data)
{
	Trigger    *trigger = data->tg_trigger;
	Attachment *attachment;

	if (trigger->tgnargs != 2)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" was not made by quizrt",
						trigger->tgname)));
	attachment = make_attachment(OwnerOfFunction(trigger->tgfoid),
								 data->tg_relation, trigger->tgargs[0],
								 trigger->tgargs[1]);
	attachment->trigger = trigger->tgoid;
	MemoryContextSetParent(attachment->context, TopMemoryContext);
	return attachment;
}

static CacheEntry *
entry_of(const TriggerData *data, HASHACTION action)
{
	Oid			key = data->tg_trigger->tgoid;
	CacheEntry *entry;
	bool		found;

	if (cache == NULL)
		create_cache();
	entry = hash_search(cache, &key, action, &found);
	if (!found && entry != NULL)
	{
		entry->attachment = NULL;
		entry->broken_at = 0;
	}
	return entry;
}

Attachment *
AttachmentAtHand(const TriggerData *data)
{
	CacheEntry *entry = entry_of(data, HASH_FIND);

	free_discarded();
	if (entry == NULL || entry->attachment == NULL || !entry->attachment->valid)
		return NULL;
	depth++;
	return entry->attachment;
}

Attachment *
AttachmentOfTrigger(const TriggerData *data)
{
	Attachment *made = AttachmentAtHand(data);
	CacheEntry *entry;

	if (made != NULL)
		return made;
	/* may throw, and may itself bring an invalidation */
	made = make_for_trigger(data);
	entry = entry_of(data, HASH_ENTER);
	if (entry->attachment != NULL)
		discard(entry->attachment);
	entry->attachment = made;
	depth++;
	return made;
}

void
AttachmentMarkBroken(const TriggerData *data)
{
	entry_of(data, HASH_ENTER)->broken_at = GetCurrentTimestamp();
}

bool
AttachmentIsBroken(const TriggerData *data)
{
	CacheEntry *entry = entry_of(data, HASH_FIND);

	return entry != NULL && entry->broken_at != 0 &&
		!TimestampDifferenceExceeds(entry->broken_at, GetCurrentTimestamp(),
									BROKEN_PAUSE);
}

void
AttachmentRelease(void)
{
	if (depth > 0)
		depth--;
}

/*
 * Using it
 */

static SPIPlanPtr
plan_of(Attachment *attachment, QuizQuery query)
{
	if (attachment->plans[query] == NULL)
	{
		SPIPlanPtr	plan = prepare(attachment, query);

		SPI_keepplan(plan);
		attachment->plans[query] = plan;
	}
	return attachment->plans[query];
}

/* Is there a plan that SPI will use as it is? */
static bool
is_planned(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));

	return source->is_valid && source->gplan != NULL && source->gplan->is_valid;
}

bool
AttachmentLockIsSafe(Attachment *attachment)
{
	/* as late as it can be: what others have altered until now */
	AcceptInvalidationMessages();
	return attachment->lock_is_plain && attachment->valid &&
		attachment->plans[QUERY_LOCK] != NULL &&
		is_planned(attachment->plans[QUERY_LOCK]);
}

static void
set_for_planning(const char *setting)
{
	(void) set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Have the next plan look rows up by index.  A session often makes its plans
 * while the tables are empty or small; the rows that come afterwards would
 * be read from end to end, for every answer, until the next ANALYZE.  (The
 * price put on the other way must not look like work for the JIT compiler.)
 */
static int
begin_planning(void)
{
	int			level = NewGUCNestLevel();

	set_for_planning("enable_seqscan");
	set_for_planning("jit");
	return level;
}

/*
 * Execute with a snapshot of this moment.  READ COMMITTED takes one anyway.
 * A transaction with a single snapshot would count what was there when it
 * began, so it looks past its snapshot, as foreign keys do.
 */
static void
execute(SPIPlanPtr plan, Datum *values, const char *nulls, bool by_index)
{
	Snapshot	snapshot = InvalidSnapshot;
	int			level = 0;
	int			result;

	if (by_index && !is_planned(plan))
		level = begin_planning();
	if (IsolationUsesXactSnapshot())
		snapshot = GetLatestSnapshot();
	result = SPI_execute_snapshot(plan, values, nulls, snapshot,
								  InvalidSnapshot, false, true, 0);
	if (level != 0)
		AtEOXact_GUC(false, level);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "a query of a quiz table failed: %s",
			 SPI_result_code_string(result));
}

uint64
AttachmentRun(Attachment *attachment, QuizQuery query, TupleTableSlot *row,
			  TransactionId xid, CommandId command)
{
	Datum	   *values;
	char	   *nulls;

	if (attachment->queries[query] == NULL)
		return 0;

	values = palloc0(attachment->nparams * sizeof(Datum));
	nulls = palloc(attachment->nparams + 1);
	memset(nulls, 'n', attachment->nparams);
	nulls[attachment->nparams] = '\0';
	values[0] = TransactionIdGetDatum(xid);
	values[1] = CommandIdGetDatum(command);
	nulls[0] = nulls[1] = ' ';
	for (int i = 2; row != NULL && i < attachment->nparams; i++)
	{
		bool		isnull;

		values[i] = slot_getattr(row, attachment->param_columns[i], &isnull);
		if (!isnull)
			nulls[i] = ' ';
	}
	execute(plan_of(attachment, query), values, nulls,
			query != QUERY_EVERYTHING);
	pfree(values);
	pfree(nulls);
	return SPI_processed;
}

/* The tracked fields where at least one is an expression. */
static void
track_by_query(Attachment *attachment, TupleTableSlot *row,
			   TrackedFields *fields)
{
	TupleDesc	desc;

	if (AttachmentRun(attachment, QUERY_FIELDS, row, InvalidTransactionId,
					  FirstCommandId) != 1)
		elog(ERROR, "could not evaluate the columns of a quiz table");
	desc = SPI_tuptable->tupdesc;
	heap_deform_tuple(SPI_tuptable->vals[0], desc, fields->values,
					  fields->nulls);
	for (int i = 0; i < attachment->ntracked; i++)
		fields->types[i] = TupleDescAttr(desc, i)->atttypid;
}

void
AttachmentTrack(Attachment *attachment, TupleTableSlot *row,
				TrackedFields *fields)
{
	TupleDesc	desc = row->tts_tupleDescriptor;

	if (attachment->queries[QUERY_FIELDS] != NULL)
	{
		track_by_query(attachment, row, fields);
		return;
	}
	for (int i = 0; i < attachment->ntracked; i++)
	{
		AttrNumber	column = attachment->tracked[i];

		fields->types[i] = InvalidOid;
		fields->nulls[i] = true;
		if (column <= 0)
			continue;
		fields->types[i] = TupleDescAttr(desc, column - 1)->atttypid;
		fields->values[i] = slot_getattr(row, column, &fields->nulls[i]);
	}
}

/*
 * Compared as they are stored, not with the types' own equality: 10 and 10.0
 * read differently in a message, and json has no equality.
 */
static bool
differs(Oid type, Datum a, bool a_null, Datum b, bool b_null)
{
	int16		length;
	bool		by_value;

	if (a_null || b_null)
		return a_null != b_null;
	get_typlenbyval(type, &length, &by_value);
	return !datum_image_eq(a, b, by_value, length);
}

uint32
TrackedDifference(const Attachment *attachment, const TrackedFields *old,
				  const TrackedFields *new)
{
	uint32		difference = 0;

	for (int i = 0; i < attachment->ntracked; i++)
	{
		if (differs(old->types[i], old->values[i], old->nulls[i],
					new->values[i], new->nulls[i]))
			difference |= (uint32) 1 << i;
	}
	return difference;
}
