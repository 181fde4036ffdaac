/*-------------------------------------------------------------------------
 *
 * launcher.c
 *		The process that keeps the query workers running.
 *
 * It is connected to no database, and so is in the way of none.  It starts
 * the query workers where the database is, accepts connections and isn't just
 * being dropped; and starts those that ended again, ever more slowly while
 * they don't last.
 *
 * Only a process in the database can see whether the extension is there.  So
 * the first worker looks, and ends where it isn't; here it is then started
 * from time to time to look again, and at once when a session that created
 * the extension says so.
 *
 * Workers end by themselves where the settings change (another database,
 * fewer workers) and where somebody drops or copies the database, so nothing
 * is ever killed, and a launcher that was restarted itself has nothing to take
 * over: whose slot is taken is running.
 *
 * Every change of the state is said in the log, once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "bus/processes.h"
#include "catalog/pg_database.h"
#include "common/compat.h"
#include "common/settings.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "query/complaint.h"
#include "query/launcher.h"
#include "query/worker.h"
#include "storage/ipc.h"
#include "storage/procsignal.h"
#include "storage/sinval.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Restarts: the first and the longest delay, and what makes a run good. */
#define FIRST_DELAY_MS		100
#define LONGEST_DELAY_MS	30000
#define GOOD_RUN_MS			10000

/* How often to look when nothing happens, and when something is known to. */
#define LOOK_INTERVAL_MS	5000
#define RECOVERY_LOOK_MS	500
#define BUSY_LOOK_MS		200
#define ERROR_DELAY_MS		1000

typedef struct Slot
{
	BackgroundWorkerHandle *handle; /* NULL: not started by this process */
	bool		running;
	bool		confirmed;		/* the postmaster has said that it started */
	int			failures;		/* short runs in a row */
	TimestampTz started_at;
	TimestampTz not_before;		/* when it may be started again */
} Slot;

static Slot slots[MAX_QUERY_WORKERS];

/* The database that the slots' history is about. */
static char *served_database;

/* Has anybody asked to look for the extension since the last look? */
static bool look_for_extension;

static MemoryContext turn_context;

/*
 * What the log was told last.
 */
static DatabaseState announced = DATABASE_STARTING;

static void
announce(void)
{
	DatabaseState state = DatabaseStateGet();

	if (state == announced || state == DATABASE_STARTING)
		return;
	announced = state;
	switch (state)
	{
		case DATABASE_STARTING:
			break;
		case DATABASE_SERVED:
			ereport(LOG, (errmsg("quizrt serves database \"%s\"",
								 quizrt_database)));
			break;
		case DATABASE_MISSING:
			ereport(LOG,
					(errmsg("quizrt waits for database \"%s\", which does not exist or accepts no connections",
							quizrt_database),
					 errhint("Create it, or set quizrt.database to another one.")));
			break;
		case DATABASE_NO_EXTENSION:
			ereport(LOG,
					(errmsg("quizrt waits for its extension in database \"%s\"",
							quizrt_database),
					 errhint("Run CREATE EXTENSION quizrt there, or set quizrt.database to another one.")));
			break;
		case DATABASE_STANDBY:
			ereport(LOG, (errmsg("quizrt waits for the promotion of this standby")));
			break;
		case DATABASE_FAILING:
			ereport(LOG, (errmsg("quizrt cannot query database \"%s\"",
								 quizrt_database)));
			break;
	}
}

/*
 * The database's state, as this process sees it
 */

/* Its oid, or invalid where nobody can connect to it. */
static Oid
find_database(void)
{
	Relation	relation = table_open(DatabaseRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(relation, 0, NULL);
	HeapTuple	tuple;
	Oid			oid = InvalidOid;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (strcmp(NameStr(form->datname), quizrt_database) != 0)
			continue;
		if (form->datallowconn && !form->datistemplate &&
			!database_is_invalid_form(form))
			oid = form->oid;
		break;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	return oid;
}

/* Look at both in a short transaction. */
static bool
look_at_database(bool *connectable)
{
	Oid			database;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	database = find_database();
	*connectable = OidIsValid(database) && DatabaseIsFree(database);
	CommitTransactionCommand();
	return OidIsValid(database);
}

/*
 * The workers
 */

/* A worker has ended: when may it come back? */
static void
note_end(Slot *slot, TimestampTz now)
{
	int			delay = FIRST_DELAY_MS;

	slot->running = false;
	if (DatabaseStateGet() == DATABASE_NO_EXTENSION ||
		TimestampDifferenceExceeds(slot->started_at, now, GOOD_RUN_MS))
		slot->failures = 0;
	else
	{
		delay = slot->failures < 9 ? FIRST_DELAY_MS << slot->failures :
			LONGEST_DELAY_MS;
		slot->failures++;
	}
	slot->not_before = TimestampTzPlusMilliseconds(now,
												   Min(delay, LONGEST_DELAY_MS));
}

static bool
is_running(Slot *slot, int number, bool *confirmed)
{
	pid_t		pid;

	*confirmed = true;
	if (slot->handle == NULL)
		return ProcessId(PROCESS_QUERY_WORKER, number) != 0;
	switch (GetBackgroundWorkerPid(slot->handle, &pid))
	{
		case BGWH_STARTED:
			return true;
		case BGWH_NOT_YET_STARTED:
			*confirmed = false;
			return true;
		case BGWH_STOPPED:
			break;
		case BGWH_POSTMASTER_DIED:
			proc_exit(1);
	}
	pfree(slot->handle);
	slot->handle = NULL;
	return false;
}

/* See who is running.  Returns true if a worker has started or ended. */
static bool
see_workers(void)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		changed = false;

	for (int i = 0; i < MAX_QUERY_WORKERS; i++)
	{
		Slot	   *slot = &slots[i];
		bool		confirmed;
		bool		running = is_running(slot, i, &confirmed);

		changed |= running != slot->running || confirmed != slot->confirmed;
		if (slot->running && !running)
			note_end(slot, now);
		slot->running = running;
		slot->confirmed = confirmed;
	}
	return changed;
}

static int
count_running(void)
{
	int			count = 0;

	for (int i = 0; i < MAX_QUERY_WORKERS; i++)
		count += slots[i].running ? 1 : 0;
	return count;
}

static void
describe_worker(BackgroundWorker *worker, int number)
{
	memset(worker, 0, sizeof(*worker));
	snprintf(worker->bgw_name, BGW_MAXLEN, QUERY_WORKER_TYPE " %d",
			 number + 1);
	strlcpy(worker->bgw_type, QUERY_WORKER_TYPE, BGW_MAXLEN);
	strlcpy(worker->bgw_library_name, "quizrt", BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, "QueryWorkerMain", BGW_MAXLEN);
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	worker->bgw_main_arg = Int32GetDatum(number);
	worker->bgw_notify_pid = MyProcPid;
}

static void
start_worker(int number)
{
	Slot	   *slot = &slots[number];
	BackgroundWorker worker;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	describe_worker(&worker, number);
	slot->started_at = GetCurrentTimestamp();
	slot->running = RegisterDynamicBackgroundWorker(&worker, &slot->handle);
	slot->confirmed = false;
	MemoryContextSwitchTo(old);
	if (slot->running)
		return;

	slot->handle = NULL;
	if (slot->failures == 0)
		ereport(LOG,
				(errmsg("quizrt could not start a query worker"),
				 errhint("Increase max_worker_processes.")));
	note_end(slot, slot->started_at);
}

/* When may this worker be started?  Zero: not at present. */
static TimestampTz
start_time(int number)
{
	const Slot *slot = &slots[number];
	DatabaseState state = DatabaseStateGet();

	if (slot->running || number >= quizrt_query_workers)
		return 0;
	if (number > 0 && state != DATABASE_SERVED)
		return 0;
	if (state == DATABASE_NO_EXTENSION && !look_for_extension)
		return TimestampTzPlusMilliseconds(slot->not_before, LOOK_INTERVAL_MS);
	return slot->not_before > 0 ? slot->not_before : 1;
}

/* Start whoever should run by now; returns for how long there is nothing to do. */
static long
start_workers(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		wait = LOOK_INTERVAL_MS;

	for (int i = 0; i < MAX_QUERY_WORKERS; i++)
	{
		TimestampTz when = start_time(i);

		if (when == 0)
			continue;
		if (when <= now)
		{
			start_worker(i);
			look_for_extension = false;
		}
		else
			wait = Min(wait, TimestampDifferenceMilliseconds(now, when));
	}
	return wait;
}

/* What ended has ended for a reason that is none of its own. */
static void
forget_failures(void)
{
	for (int i = 0; i < MAX_QUERY_WORKERS; i++)
	{
		slots[i].failures = 0;
		slots[i].not_before = 0;
	}
}

/* Another database has another history. */
static void
notice_setting(void)
{
	if (served_database != NULL &&
		strcmp(served_database, quizrt_database) == 0)
		return;
	if (served_database != NULL)
	{
		pfree(served_database);
		served_database = NULL;
		announced = DATABASE_STARTING;
		DatabaseStateSet(DATABASE_STARTING);
	}
	served_database = MemoryContextStrdup(TopMemoryContext, quizrt_database);
	forget_failures();
}

/*
 * The workers say when they serve, and when the extension isn't there; here
 * the rest.  A worker that ended once is back before its gateways' patience
 * ends: only one that ends again and again is a failure.
 */
static void
correct_state(void)
{
	DatabaseState state = DatabaseStateGet();

	if (state == DATABASE_MISSING || state == DATABASE_STANDBY)
		DatabaseStateSet(DATABASE_STARTING);
	else if (state != DATABASE_NO_EXTENSION && count_running() == 0 &&
			 slots[0].failures > 1)
		DatabaseStateSet(DATABASE_FAILING);
}

/* One turn; returns for how long to sleep. */
static long
take_turn(void)
{
	bool		connectable;

	if (RecoveryInProgress())
	{
		DatabaseStateSet(DATABASE_STANDBY);
		return RECOVERY_LOOK_MS;
	}
	if (!look_at_database(&connectable))
	{
		forget_failures();
		DatabaseStateSet(DATABASE_MISSING);
		return LOOK_INTERVAL_MS;
	}
	if (!connectable)
	{
		forget_failures();
		if (count_running() == 0)
			DatabaseStateSet(DATABASE_STARTING);
		return BUSY_LOOK_MS;
	}
	correct_state();
	return start_workers();
}

/*
 * What woke us?  Whoever created an extension or a database does it by our
 * latch alone, so it is what no other reason explains.
 */
static void
find_reason(bool woken)
{
	bool		explained = see_workers();

	if (catchupInterruptPending || ProcSignalBarrierPending)
		explained = true;
	if (woken && !explained)
		look_for_extension = true;
}

static void
serve_interrupts(void)
{
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
	if (catchupInterruptPending)
		ProcessCatchupInterrupt();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

static void
leave(int code, Datum arg)
{
	ProcessLeave(PROCESS_LAUNCHER, 0);
}

void
LauncherMain(Datum unused)
{
	uint32		wait_event = compat_wait_event("QuizrtLauncherMain");
	volatile bool woken = false;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	before_shmem_exit(leave, (Datum) 0);
	ProcessEnter(PROCESS_LAUNCHER, 0);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name,
					PGC_USERSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_RUNNING, "looking after the query workers");

	turn_context = AllocSetContextCreate(TopMemoryContext,
										 "quizrt launcher turn",
										 ALLOCSET_DEFAULT_SIZES);

	/* Latch, interrupts, reload, the workers, sleep. */
	for (;;)
	{
		volatile long wait = ERROR_DELAY_MS;

		ResetLatch(MyLatch);
		MemoryContextSwitchTo(turn_context);
		PG_TRY();
		{
			find_reason(woken);
			serve_interrupts();
			notice_setting();
			wait = take_turn();
			announce();
		}
		PG_CATCH();
		{
			RecoverFromError("could not look after the query workers",
							 turn_context);
		}
		PG_END_TRY();
		MemoryContextReset(turn_context);

		woken = (WaitLatch(MyLatch,
						   WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						   wait, wait_event) & WL_LATCH_SET) != 0;
	}
}

void
LauncherRegister(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_name, "quizrt launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "quizrt launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "quizrt", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "LauncherMain", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = 1;
	RegisterBackgroundWorker(&worker);
}
