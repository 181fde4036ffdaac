/*-------------------------------------------------------------------------
 *
 * deadlines.c
 *		Attempts are closed when their time is up.
 *
 * bus/deadline.c holds the time of the next deadline; until then nobody looks.
 * When it has come, a worker takes the claim, finds some attempts that are
 * due, and closes them by an UPDATE in a transaction of its own, once in every
 * turn of its loop until there are no more.  Then it looks up the next
 * deadline.  Nothing is remembered about deadlines in the future, so a worker
 * or a server that starts, and one that was asleep or had its clock set, just
 * looks again.
 *
 * The claim only saves work.  That an attempt is closed once follows from the
 * UPDATE, which locks the row and sees that it is open and due at that moment.
 * It doesn't wait for rows that others have locked: an answer or a submission
 * is committing, and the attempt is tried again when it may have.
 *
 * The application's triggers run in that UPDATE, as the owner of the table,
 * and they may fail, wait, or keep the attempt open:
 *
 *	- If the transaction of several attempts fails, each of them gets one of its
 *	  own, so that deferred constraints and timeouts are told apart as well.
 *	- An attempt that fails alone is tried again ever more slowly, is left out
 *	  meanwhile, and is in the log (once a minute at most).
 *	- Deferred triggers are made immediate: at the end of the transaction they
 *	  would run with this process's rights, which are a superuser's.
 *
 * The transaction is committed locally only, without waiting for standbys.  If
 * it is lost in a failover, the new primary closes the attempt again, with
 * the same time and reason.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/deadline.h"
#include "bus/event.h"
#include "bus/ring.h"
#include "catalog/pg_type.h"
#include "common/counters.h"
#include "common/settings.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "query/complaint.h"
#include "query/deadlines.h"
#include "query/query.h"
#include "query/worker.h"
#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

/* Attempts found at a time, closed in one transaction, and what one adds to
 * the ring. */
#define MAX_FOUND			1000
#define MAX_BATCH			100
#define EVENTS_OF_ATTEMPT	1024

/* What was found is looked up again when it is older than this. */
#define FOUND_VALID_MS		1000

/* When to come back to a row that was locked, and to one that failed. */
#define LOCKED_DELAY_MS		200
#define FIRST_DELAY_MS		1000
#define LONGEST_DELAY_MS	60000

/* After an error that was about no attempt in particular. */
#define ERROR_DELAY_MS		1000

/* How long looking may wait for the table. */
#define LOOK_LOCK_TIMEOUT	"100ms"

/* Each worker leaves the one before it this time to take the claim. */
#define PRECEDENCE_MS		100
#define CLAIMED_DELAY_MS	100
#define LONGEST_WAIT_MS		60000

/* Attempts that are left out for a while, at most. */
#define MAX_RETRIES			10000

/* An attempt that is due, and where it was seen. */
typedef struct Due
{
	Oid			table;
	ItemPointerData place;
	char		id[MAX_TOPIC_LENGTH + 1];	/* longer ids are cut */
	bool		alone;			/* it was in a batch that failed */
	bool		tried;			/* it wasn't locked */
	bool		closed;
} Due;

/* An attempt that couldn't be closed. */
typedef struct Retry
{
	char		id[MAX_TOPIC_LENGTH + 1];	/* key */
	TimestampTz at;
	TimestampTz seen;			/* when it was found due last */
	int			delay;			/* 0: it was locked */
} Retry;

/* What quizrt.deadline_queries() said. */
typedef struct Queries
{
	Oid			owner;
	char	   *due;
	char	   *next;
	char	   *closing;		/* NULL: attempts are not ours to close */
} Queries;

/* The last look. */
typedef struct Found
{
	MemoryContext context;		/* of all that is here */
	TimestampTz at;
	Queries		queries;
	TimestampTz next;			/* deadline after all that are due */
	int			count;			/* attempts that are left to close */
	Due			due[MAX_FOUND]; /* the last one comes first */
} Found;

static HTAB *retries = NULL;

static Found *found = NULL;

/* Smaller while batches fail. */
static int	batch_size = MAX_BATCH;

static SavedQuery queries_query;
static SavedQuery due_query;
static SavedQuery next_query;
static SavedQuery closing_query;

/*
 * Attempts that are left out for a while
 */

static Retry *
find_retry(const char *id, HASHACTION action)
{
	bool		found;
	Retry	   *retry;

	if (retries == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(((Retry *) NULL)->id);
		control.entrysize = sizeof(Retry);
		retries = hash_create("quizrt deadlines", 64, &control,
							  HASH_ELEM | HASH_STRINGS);
	}
	if (action == HASH_ENTER &&
		hash_get_num_entries(retries) >= MAX_RETRIES)
		action = HASH_FIND;
	retry = hash_search(retries, id, action, &found);
	if (action == HASH_ENTER && !found)
	{
		retry->at = retry->seen = 0;
		retry->delay = 0;
	}
	return retry;
}

/*
 * Come back to it later.  False where it can't be remembered: there are too
 * many, or the id may have been cut.
 */
static bool
try_again(const char *id, bool failed)
{
	Retry	   *retry = NULL;
	int			delay = LOCKED_DELAY_MS;

	if (strlen(id) < MAX_TOPIC_LENGTH)
		retry = find_retry(id, HASH_ENTER);
	if (retry == NULL)
		return false;
	if (failed)
	{
		delay = retry->delay == 0 ? FIRST_DELAY_MS :
			Min(retry->delay * 2, LONGEST_DELAY_MS);
		retry->delay = delay;
	}
	retry->at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
	return true;
}

/*
 * The ids to leave out at present, as an array.  One whose time is as far away
 * as no delay is was put there before the clock was set back.
 */
static Datum
ids_to_leave_out(TimestampTz now)
{
	TimestampTz latest = TimestampTzPlusMilliseconds(now, LONGEST_DELAY_MS);
	HASH_SEQ_STATUS status;
	Datum	   *ids;
	int			count = 0;
	Retry	   *retry;

	if (retries == NULL)
		return PointerGetDatum(construct_empty_array(TEXTOID));
	ids = palloc((hash_get_num_entries(retries) + 1) * sizeof(Datum));
	hash_seq_init(&status, retries);
	while ((retry = hash_seq_search(&status)) != NULL)
	{
		if (retry->at > latest)
			retry->at = now;
		if (retry->at > now)
			ids[count++] = CStringGetTextDatum(retry->id);
	}
	return QueryArray(ids, count, TEXTOID);
}

/* Forget those that were looked for and are not due any more. */
static void
forget_gone(TimestampTz now)
{
	HASH_SEQ_STATUS status;
	Retry	   *retry;

	if (retries == NULL)
		return;
	hash_seq_init(&status, retries);
	while ((retry = hash_seq_search(&status)) != NULL)
	{
		if (retry->at <= now && retry->seen != now)
			(void) hash_search(retries, retry->id, HASH_REMOVE, NULL);
	}
}

static TimestampTz
first_retry(void)
{
	TimestampTz first = DEADLINE_NONE;
	HASH_SEQ_STATUS status;
	Retry	   *retry;

	if (retries == NULL)
		return first;
	hash_seq_init(&status, retries);
	while ((retry = hash_seq_search(&status)) != NULL)
		first = Min(first, retry->at);
	return first;
}

/*
 * Looking
 */

static char *
text_column(int column)
{
	Datum		value;

	return QueryColumn(0, column, &value) ?
		MemoryContextStrdup(found->context, TextDatumGetCString(value)) : NULL;
}

static void
get_queries(Queries *queries)
{
	QueryParameters none = {0};
	Datum		owner;

	QueryRun(&queries_query,
			 "SELECT owner, due, next, closing FROM quizrt.deadline_queries()",
			 &none);
	if (SPI_processed != 1 || !QueryColumn(0, 1, &owner))
		return;
	queries->owner = DatumGetObjectId(owner);
	queries->due = text_column(2);
	queries->next = text_column(3);
	queries->closing = text_column(4);
}

static void
take_due(Due *due, uint64 row, TimestampTz now)
{
	Datum		value;
	Retry	   *retry;

	memset(due, 0, sizeof(*due));
	if (QueryColumn(row, 1, &value))
		due->table = DatumGetObjectId(value);
	if (QueryColumn(row, 2, &value))
		ItemPointerCopy((ItemPointer) DatumGetPointer(value), &due->place);
	if (QueryColumn(row, 3, &value))
		strlcpy(due->id, TextDatumGetCString(value), sizeof(due->id));
	retry = find_retry(due->id, HASH_FIND);
	if (retry != NULL)
		retry->seen = now;
}

/* Find attempts that are due.  The latest come first in the list. */
static void
find_due(void)
{
	QueryParameters parameters = {3, {TIMESTAMPTZOID, TEXTARRAYOID, INT8OID}};

	parameters.values[0] = TimestampTzGetDatum(found->at);
	parameters.values[1] = ids_to_leave_out(found->at);
	parameters.values[2] = Int64GetDatum(MAX_FOUND);
	QueryRun(&due_query, found->queries.due, &parameters);
	found->count = (int) SPI_processed;
	for (int i = 0; i < found->count; i++)
		take_due(&found->due[i], found->count - 1 - i, found->at);
}

static TimestampTz
find_next(void)
{
	QueryParameters parameters = {1, {TIMESTAMPTZOID}};
	Datum		value;

	parameters.values[0] = TimestampTzGetDatum(found->at);
	QueryRun(&next_query, found->queries.next, &parameters);
	if (SPI_processed == 0 || !QueryColumn(0, 1, &value))
		return DEADLINE_NONE;
	return DatumGetTimestampTz(value);
}

/* Nothing, until something is found. */
static void
reset_found(void)
{
	MemoryContext context = found != NULL ? found->context :
		AllocSetContextCreate(TopMemoryContext, "quizrt deadlines",
							  ALLOCSET_DEFAULT_SIZES);

	found = NULL;
	MemoryContextReset(context);
	found = MemoryContextAlloc(context, sizeof(Found));
	found->context = context;
	found->at = GetCurrentTimestamp();
	memset(&found->queries, 0, sizeof(Queries));
	found->next = DEADLINE_NONE;
	found->count = 0;
}

static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * Find what is due and, where that is not all that fits, the next deadline.
 * If somebody alters the table, this waits for a moment only, and is called
 * again.
 */
static void
look(void)
{
	SnapshotJoin join;
	QueryUser	saved;

	reset_found();
	if (!WorkerBegin(&join))
		return;					/* the next look at the database ends us */
	SPI_connect();
	get_queries(&found->queries);
	if (found->queries.closing != NULL)
	{
		QueryBeginAs(found->queries.owner, &saved);
		set_locally("lock_timeout", LOOK_LOCK_TIMEOUT);
		find_due();
		found->next = found->count < MAX_FOUND ? find_next() : found->at;
		QueryEndAs(&saved);
	}
	SPI_finish();
	WorkerEnd();
	if (found->count < MAX_FOUND)
		forget_gone(found->at);
}

/*
 * Closing
 */

static Datum
tables_of(const Due *due, int count)
{
	Datum	   *values = palloc(count * sizeof(Datum));

	for (int i = 0; i < count; i++)
		values[i] = ObjectIdGetDatum(due[i].table);
	return PointerGetDatum(construct_array(values, count, OIDOID, sizeof(Oid),
										   true, TYPALIGN_INT));
}

static Datum
places_of(Due *due, int count)
{
	Datum	   *values = palloc(count * sizeof(Datum));

	for (int i = 0; i < count; i++)
		values[i] = PointerGetDatum(&due[i].place);
	return PointerGetDatum(construct_array(values, count, TIDOID,
										   sizeof(ItemPointerData), false,
										   TYPALIGN_SHORT));
}

/* What became of the attempt that a row of the result is about. */
static void
take_result(Due *due, int count, uint64 row)
{
	Datum		table;
	Datum		place;
	Datum		closed;

	if (!QueryColumn(row, 1, &table) || !QueryColumn(row, 2, &place) ||
		!QueryColumn(row, 3, &closed))
		return;
	for (int i = 0; i < count; i++)
	{
		if (due[i].table != DatumGetObjectId(table) ||
			!ItemPointerEquals(&due[i].place,
							   (ItemPointer) DatumGetPointer(place)))
			continue;
		due[i].tried = true;
		due[i].closed = DatumGetBool(closed);
		break;
	}
}

static void
run_closing(Due *due, int count)
{
	QueryParameters parameters = {3, {OIDARRAYOID, TIDARRAYOID, TIMESTAMPTZOID}};
	QueryUser	saved;

	QueryBeginAs(found->queries.owner, &saved);
	if (SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not make constraints immediate");
	parameters.values[0] = tables_of(due, count);
	parameters.values[1] = places_of(due, count);
	parameters.values[2] = TimestampTzGetDatum(found->at);
	for (int i = 0; i < count; i++)
		due[i].tried = due[i].closed = false;
	QueryRunWriting(&closing_query, found->queries.closing, &parameters);
	for (uint64 row = 0; row < SPI_processed; row++)
		take_result(due, count, row);
	QueryEndAs(&saved);
}

/*
 * A transaction of its own, not the one that found them: this one writes.
 * Several attempts get less time than the gateways' questions, which may be
 * waiting meanwhile; one that takes longer gets it alone.
 */
static void
close_in_transaction(Due *due, int count)
{
	int			timeout = quizrt_query_timeout;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	XactIsoLevel = XACT_READ_COMMITTED;
	if (synchronous_commit > SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		set_locally("synchronous_commit", "local");
	enable_timeout_after(STATEMENT_TIMEOUT, count > 1 ? timeout / 5 : timeout);
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	run_closing(due, count);
	SPI_finish();
	PopActiveSnapshot();
	disable_timeout(STATEMENT_TIMEOUT, false);
	CommitTransactionCommand();
}

/* Close attempts together, all or none; false if that failed. */
static bool
close_together(Due *due, int count, MemoryContext context)
{
	const char *what = count > 1 ? NULL :
		psprintf("could not close attempt %s at its deadline", due[0].id);
	volatile bool done = false;

	PG_TRY();
	{
		close_in_transaction(due, count);
		done = true;
	}
	PG_CATCH();
	{
		RecoverFromError(what, context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return done;
}

/* The application has its reasons, and a log. */
static void
complain_open(const char *id)
{
	ErrorData	error = {0};

	error.sqlerrcode = ERRCODE_TRIGGERED_ACTION_EXCEPTION;
	error.message = "a trigger kept it open";
	Complain(psprintf("could not close attempt %s at its deadline", id),
			 &error);
}

/* False where one that isn't closed can't be remembered. */
static bool
take_note(const Due *due)
{
	if (due->closed)
	{
		CounterAdd(COUNTER_ATTEMPTS_TIMED_UP, 1);
		(void) find_retry(due->id, HASH_REMOVE);
		return true;
	}
	if (due->tried)
		complain_open(due->id);
	return try_again(due->id, due->tried);
}

/* So few that their events leave room in an entry of the ring. */
static int
batch_limit(void)
{
	int			limit = (int) Min(RingMaxEntrySize() / EVENTS_OF_ATTEMPT,
								  MAX_BATCH);

	return Max(Min(limit, batch_size), 1);
}

/* How many at the end of the list are closed together. */
static int
next_batch(void)
{
	int			limit = Min(batch_limit(), found->count);
	int			count = 1;

	while (count < limit && !found->due[found->count - count].alone &&
		   !found->due[found->count - count - 1].alone)
		count++;
	return count;
}

/* Close some; false where there is nothing to gain by going on at once. */
static bool
close_some(MemoryContext context)
{
	int			count = next_batch();
	Due		   *due = &found->due[found->count - count];
	bool		good = true;

	if (!close_together(due, count, context))
	{
		batch_size = Max(count / 2, 1);
		for (int i = 0; i < count && count > 1; i++)
			due[i].alone = true;
		if (count > 1)
			return true;
		good = try_again(due->id, true);
	}
	else
	{
		batch_size = Min(batch_size * 2, MAX_BATCH);
		for (int i = 0; i < count; i++)
			good &= take_note(&due[i]);
	}
	found->count -= count;
	return good;
}

/*
 * One turn's work; returns when there is more.  The next deadline is only
 * what a look in this turn says, if it has found nothing else to do: whatever
 * committed since an earlier look was announced before this turn began, and
 * forgotten then.
 */
static TimestampTz
work(TimestampTz now, MemoryContext context)
{
	if (found == NULL || found->count == 0 || now < found->at ||
		TimestampDifferenceExceeds(found->at, now, FOUND_VALID_MS))
		look();
	MemoryContextSwitchTo(context);
	if (found->count == 0)
		return Min(found->next, first_retry());
	if (close_some(context))
		return now;
	found->count = 0;
	return TimestampTzPlusMilliseconds(now, ERROR_DELAY_MS);
}

bool
DeadlinesServe(int worker, MemoryContext context)
{
	TimestampTz now = GetCurrentTimestamp();
	volatile TimestampTz next = TimestampTzPlusMilliseconds(now,
															ERROR_DELAY_MS);

	if (DeadlinesWait(worker) > 0 || !DeadlineBegin(worker))
		return false;

	PG_TRY();
	{
		pgstat_report_activity(STATE_RUNNING, "quizrt: deadlines");
		next = work(now, context);
	}
	PG_CATCH();
	{
		RecoverFromError("could not look for attempts whose time is up",
						 context);
		if (found != NULL)
			found->count = 0;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	pgstat_report_activity(STATE_IDLE, NULL);
	DeadlineEnd(worker, next, next <= now);
	return true;
}

/* The clock is asked, not a timer: it may be set. */
long
DeadlinesWait(int worker)
{
	TimestampTz next = DeadlineNext();
	long		wait;

	if (next == DEADLINE_NONE)
		return LONGEST_WAIT_MS;
	if (DeadlineClaimed())
		return CLAIMED_DELAY_MS;
	if (next == DEADLINE_UNKNOWN)
		return 0;
	next = TimestampTzPlusMilliseconds(next, worker * PRECEDENCE_MS);
	wait = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next);
	return Min(wait, LONGEST_WAIT_MS);
}

bool
DeadlinesHeard(void)
{
	static TimestampTz last = DEADLINE_NONE;
	TimestampTz next = DeadlineNext();
	bool		changed = next != last;

	last = next;
	return changed;
}
