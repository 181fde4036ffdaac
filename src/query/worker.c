/*-------------------------------------------------------------------------
 *
 * worker.c
 *		The query worker: answers from the database for gateways, which have
 *		none.
 *
 * It takes the questions that are waiting, all of one kind, and answers them
 * in one transaction: read only, under one snapshot, bounded by a statement
 * timeout that it arms itself and by lock_timeout.  While it waits for
 * questions it has no transaction.
 *
 * Between questions it closes attempts whose time is up (deadlines.c), which
 * is the one thing that it writes.
 *
 * What happens when things fail:
 *
 *	- A question that fails alone costs that question (see batch.h).
 *	- A cancel request, a timeout or a broken database costs the batch:
 *	  the gateways are told at once that there is no answer, and the worker
 *	  goes on.  It then tests its queries until they work, and the database
 *	  is reported as failing meanwhile.
 *	- Termination gives what was taken back to the mailbox, for the next
 *	  worker.  The launcher starts that.
 *	- Where the extension isn't there (any more), or the settings name another
 *	  database or fewer workers, it ends by itself.  So it does when somebody
 *	  wants to drop, rename or copy the database: that waits a few seconds for
 *	  connections to end, and nobody should have to stop quizrt for it.
 *
 * No credential reaches a query, and the settings that would log queries are
 * switched off here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "bus/deadline.h"
#include "bus/mailbox.h"
#include "bus/processes.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "common/compat.h"
#include "common/settings.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "query/channels.h"
#include "query/complaint.h"
#include "query/credentials.h"
#include "query/deadlines.h"
#include "query/jwt.h"
#include "query/status.h"
#include "query/worker.h"
#include "storage/proc.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/procsignal.h"
#include "storage/sinval.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

/* Questions that are answered together, at most. */
#define MAX_BATCH			256

/* How often the state of the database is looked at: in general, and at most
 * when there is a reason to. */
#define LOOK_INTERVAL_MS	2000
#define LOOK_AGAIN_MS		200

/* How often the queries are tested while they fail. */
#define TEST_INTERVAL_MS	1000

static int	worker_slot;
static char *worker_database;	/* the name that it was connected by */

/* Everything of one turn of the loop; reset at its end. */
static MemoryContext turn_context;

/* To be restored at the end of the transaction. */
static Oid	save_user;
static int	save_sec_context;
static int	search_path_level;

static void
leave(int code, Datum arg)
{
	MailboxForgetWorker(worker_slot);
	DeadlineForgetWorker(worker_slot);
	ProcessLeave(PROCESS_QUERY_WORKER, worker_slot);

	/* A launcher that didn't start this worker isn't told by the postmaster. */
	if (MyBgworkerEntry->bgw_notify_pid != ProcessId(PROCESS_LAUNCHER, 0))
		ProcessWake(PROCESS_LAUNCHER, 0);
}

/*
 * Take the slot, before anything that takes time, so that no second worker
 * gets it.
 */
static void
enter(void)
{
	if (ProcessId(PROCESS_QUERY_WORKER, worker_slot) != 0)
		proc_exit(0);
	ProcessEnter(PROCESS_QUERY_WORKER, worker_slot);
	MailboxAttach();
	before_shmem_exit(leave, (Datum) 0);
	MailboxForgetWorker(worker_slot);
}

static void
override(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

/* Settings that follow from ours; again after each reload. */
static void
set_timeouts(void)
{
	char		value[32];

	/*
	 * Shorter than the statement timeout, so that the log tells them apart;
	 * and than the time after which a deadlock is looked for, so that it is
	 * never a user's statement that has to give way to us.
	 */
	snprintf(value, sizeof(value), "%d",
			 Max(Min(quizrt_query_timeout, DeadlockTimeout) / 2, 1));
	override("lock_timeout", value);
}

static void
connect_to_database(void)
{
	char		name[BGW_MAXLEN];

	worker_database = MemoryContextStrdup(TopMemoryContext, quizrt_database);
	BackgroundWorkerInitializeConnection(worker_database, NULL, 0);

	snprintf(name, sizeof(name), QUERY_WORKER_TYPE " %d", worker_slot + 1);
	override("application_name", name);
	override("log_statement", "none");
	override("log_duration", "off");
	override("log_min_duration_statement", "-1");
	override("log_min_duration_sample", "-1");
	override("log_min_error_statement", "panic");
	override("log_parameter_max_length", "0");
	override("log_parameter_max_length_on_error", "0");
	set_timeouts();
	pgstat_report_activity(STATE_IDLE, "waiting for questions");
}

/* The owner of the extension, or invalid where it isn't there. */
static Oid
extension_owner(void)
{
	Relation	relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("quizrt"));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1,
							  &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return owner;
}

bool
DatabaseIsFree(Oid database)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database, 0);
	return LockAcquire(&tag, RowExclusiveLock, false, true) !=
		LOCKACQUIRE_NOT_AVAIL;
}

/*
 * The snapshot first, then the head: every event whose effects the snapshot
 * shows had reserved its place in the ring before.
 */
static void
take_snapshot(SnapshotJoin *join)
{
	Snapshot	snapshot;

	PushActiveSnapshot(GetTransactionSnapshot());
	snapshot = GetActiveSnapshot();
	join->head = RingHead();
	join->xmin = snapshot->xmin;
	join->xmax = snapshot->xmax;
	join->nxip = snapshot->xcnt;
	join->xip = (const char *) snapshot->xip;
}

bool
WorkerBegin(SnapshotJoin *join)
{
	Oid			owner;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	XactReadOnly = true;
	XactIsoLevel = XACT_READ_COMMITTED;
	enable_timeout_after(STATEMENT_TIMEOUT, quizrt_query_timeout);

	owner = extension_owner();
	if (!OidIsValid(owner))
	{
		disable_timeout(STATEMENT_TIMEOUT, false);
		CommitTransactionCommand();
		return false;
	}

	take_snapshot(join);
	GetUserIdAndSecContext(&save_user, &save_sec_context);
	SetUserIdAndSecContext(owner, save_sec_context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	search_path_level = compat_push_search_path();
	return true;
}

void
WorkerEnd(void)
{
	compat_pop_search_path(search_path_level);
	SetUserIdAndSecContext(save_user, save_sec_context);
	PopActiveSnapshot();
	disable_timeout(STATEMENT_TIMEOUT, false);
	CommitTransactionCommand();
}

/* The extension has gone: its next worker comes when it is there again. */
static void
end_without_extension(void)
{
	DatabaseStateSet(DATABASE_NO_EXTENSION);
	proc_exit(0);
}

void
BatchAnswer(Batch *batch, int number, const StringInfo answer)
{
	MailboxAnswerQuestion(batch->questions[number].slot, answer->data,
						  answer->len);
	batch->answered[number] = true;
}

static int
count_unanswered(const Batch *batch)
{
	int			count = 0;

	for (int i = 0; i < batch->count; i++)
		count += batch->answered[i] ? 0 : 1;
	return count;
}

/* Tell the gateways what could not be answered. */
static void
give_up(Batch *batch)
{
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->answered[i])
			continue;
		batch->answered[i] = true;
		MailboxCannotAnswer(batch->questions[i].slot);
	}
}

typedef struct Work
{
	Batch	   *batch;
	BatchHandler handler;
	int			from;
	int			to;
} Work;

static void
work_through(void *arg)
{
	Work	   *work = arg;

	SPI_connect();
	work->handler(work->batch, work->from, work->to);
	SPI_finish();
}

/* All together; where that fails, each alone. */
static void
run_handler(Batch *batch, BatchHandler handler)
{
	Work		work = {batch, handler, 0, batch->count};
	const char *failing = "could not answer";

	if (TryInSubtransaction(batch->count > 1 ? NULL : failing,
							work_through, &work) || batch->count == 1)
		return;
	for (int i = 0; i < batch->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		work.from = i;
		work.to = i + 1;
		if (!batch->answered[i])
			(void) TryInSubtransaction(failing, work_through, &work);
	}
}

static const struct
{
	BatchHandler handler;
	const char *activity;
}			kinds[QUESTION_KINDS] = {
	[QUESTION_CREDENTIAL] = {CredentialsAnswerStored, "quizrt: credentials"},
	[QUESTION_CHANNELS] = {ChannelsAnswerBatch, "quizrt: channels"},
	[QUESTION_SNAPSHOT] = {ChannelsAnswerBatch, "quizrt: snapshot"},
	[QUESTION_STATUS] = {StatusAnswerBatch, "quizrt: system status"},
};

/* Returns false where the extension isn't there. */
static bool
answer_batch(Batch *batch, QuestionKind kind)
{
	if (kind == QUESTION_CREDENTIAL)
		CredentialsAnswerTokens(batch);
	if (kinds[kind].handler == NULL || count_unanswered(batch) == 0)
		return true;
	if (!WorkerBegin(&batch->join))
		return false;
	run_handler(batch, kinds[kind].handler);
	WorkerEnd();
	return true;
}

/* Answer what is waiting.  Returns false where there was nothing. */
static bool
serve_questions(void)
{
	MailboxQuestion questions[MAX_BATCH];
	bool		answered[MAX_BATCH] = {0};
	Batch		batch = {questions, answered};
	volatile bool extension = true;
	QuestionKind kind;

	batch.count = MailboxTake(worker_slot, &kind, questions, MAX_BATCH);
	if (batch.count == 0)
		return false;

	PG_TRY();
	{
		pgstat_report_activity(STATE_RUNNING, kinds[kind].activity);
		extension = answer_batch(&batch, kind);
	}
	PG_CATCH();
	{
		RecoverFromError("could not answer", turn_context);
	}
	PG_END_TRY();
	pgstat_report_activity(STATE_IDLE, "waiting for questions");

	give_up(&batch);
	if (!extension)
		end_without_extension();
	return true;
}

/*
 * Is the extension still there, and do the queries work?  The first look is
 * what makes this worker serve.
 */
static void
look_at_database(bool test)
{
	volatile bool extension = true;
	volatile bool works = false;
	volatile bool is_free = true;

	PG_TRY();
	{
		SnapshotJoin join;

		extension = WorkerBegin(&join);
		if (extension)
		{
			is_free = DatabaseIsFree(MyDatabaseId);
			if (test)
			{
				SPI_connect();
				CredentialsTest();
				ChannelsTest();
				StatusTest();
				SPI_finish();
			}
			WorkerEnd();
			works = true;
		}
	}
	PG_CATCH();
	{
		RecoverFromError("cannot query the database", turn_context);
	}
	PG_END_TRY();

	if (!extension)
		end_without_extension();
	if (!is_free)
		proc_exit(0);
	if (test && DatabaseStateGet() != (works ? DATABASE_SERVED :
									   DATABASE_FAILING))
	{
		DatabaseStateSet(works ? DATABASE_SERVED : DATABASE_FAILING);
		ProcessWake(PROCESS_LAUNCHER, 0);
	}
}

/* End where the settings don't want this worker any more. */
static void
serve_reload(void)
{
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	if (worker_slot >= quizrt_query_workers ||
		strcmp(worker_database, quizrt_database) != 0)
		proc_exit(0);
	set_timeouts();
	JwtReload();
}

/* A cancel request while nothing runs has nothing to cancel. */
static void
serve_interrupts(void)
{
	QueryCancelPending = false;
	PG_TRY();
	{
		CHECK_FOR_INTERRUPTS();
		if (catchupInterruptPending)
			ProcessCatchupInterrupt();
	}
	PG_CATCH();
	{
		RecoverFromError("could not serve an interrupt", turn_context);
	}
	PG_END_TRY();
}

/*
 * When to look at the database next.  Between questions this is a matter of
 * seconds; whoever wakes the worker without a question may have dropped the
 * extension.
 */
typedef struct LookAt
{
	TimestampTz last;
	bool		soon;			/* there is a reason to */
	bool		test;			/* try the queries too */
	uint64		complaints;		/* how many there were by then */
} LookAt;

static long
time_to_look(const LookAt *look)
{
	bool		failing = DatabaseStateGet() != DATABASE_SERVED;
	int			interval = look->soon ? LOOK_AGAIN_MS :
		failing ? TEST_INTERVAL_MS : LOOK_INTERVAL_MS;

	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
										   TimestampTzPlusMilliseconds(look->last,
																	   interval));
}

static void
look_if_due(LookAt *look)
{
	/* Was that one question, or is it all of them? */
	if (ComplaintCount() != look->complaints)
		look->soon = look->test = true;
	if (time_to_look(look) > 0)
		return;

	look_at_database(look->test || DatabaseStateGet() != DATABASE_SERVED);
	look->last = GetCurrentTimestamp();
	look->soon = false;
	look->test = false;
	look->complaints = ComplaintCount();
}

/*
 * One order of work: latch, interrupts, reload, questions, the state of the
 * database, attempts to close; sleep only when there was no question and
 * nothing to close.  Both take a bounded part of a turn.
 */
static void
serve(void)
{
	uint32		wait_event = compat_wait_event("QuizrtQueryWorkerMain");
	LookAt		look = {0, true, true, 0};
	bool		woken = false;

	DeadlineAnnounce(DEADLINE_UNKNOWN);
	for (;;)
	{
		bool		served;
		bool		closed;

		ResetLatch(MyLatch);
		MemoryContextSwitchTo(turn_context);
		serve_interrupts();
		if (ConfigReloadPending)
		{
			serve_reload();
			look.soon = look.test = true;
			DeadlineAnnounce(DEADLINE_UNKNOWN);
		}
		served = serve_questions();
		look.soon |= woken && !served && !DeadlinesHeard();
		look_if_due(&look);
		closed = DeadlinesServe(worker_slot, turn_context);
		MemoryContextReset(turn_context);

		woken = false;
		if (served || closed)
			continue;
		(void) pgstat_report_stat(true);
		woken = (WaitLatch(MyLatch,
						   WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						   Min(time_to_look(&look), DeadlinesWait(worker_slot)),
						   wait_event) &
				 WL_LATCH_SET) != 0;
	}
}

void
QueryWorkerMain(Datum slot)
{
	worker_slot = DatumGetInt32(slot);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	enter();
	connect_to_database();
	turn_context = AllocSetContextCreate(TopMemoryContext,
										 "quizrt query worker turn",
										 ALLOCSET_DEFAULT_SIZES);
	JwtReload();
	serve();
}
