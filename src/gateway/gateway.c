/*-------------------------------------------------------------------------
 *
 * gateway.c
 *		A process that serves clients: its loop.
 *
 * The order of work in one turn, and why:
 *
 *	1. reset the latch, so that what is set from now on wakes us again;
 *	2. serve interrupts: another backend may be waiting for all processes to
 *	   take note of something (a process that doesn't, blocks DROP DATABASE);
 *	3. reload, drain, shut down;
 *	4. the ring: what has committed goes into the clients' queues;
 *	5. answers: those that came may refer to what the ring has brought;
 *	6. sockets: what clients say;
 *	7. timers;
 *	8. reports, to sessions that look at quizrt.connections;
 *	9. flush: everything for one client leaves in one system call;
 *	10. free what has ended;
 *	11. sleep, unless one of the above had more to do than fits into a turn.
 *
 * Each step is bounded, so none keeps the others waiting.  Sockets are looked
 * at in every turn, whatever woke us: up to PostgreSQL 17 a wait that finds
 * the latch set reports nothing else.
 *
 * The process has no database: no query, no snapshot, no lock that another
 * backend could wait for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/resource.h>

#include "bus/processes.h"
#include "common/compat.h"
#include "common/counters.h"
#include "common/settings.h"
#include "gateway/addresses.h"
#include "gateway/connection.h"
#include "gateway/echo.h"
#include "gateway/gateway.h"
#include "gateway/guard.h"
#include "gateway/listener.h"
#include "gateway/poller.h"
#include "gateway/questions.h"
#include "gateway/report.h"
#include "gateway/snapshots.h"
#include "gateway/stream.h"
#include "gateway/timer.h"
#include "gateway/topics.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"

#define EVENTS_A_TURN	512
#define TIMERS_A_TURN	4096

/* Descriptors that PostgreSQL may want besides clients. */
#define OTHER_DESCRIPTORS	64

static int	gateway_number;
static WaitEventSet *wait_set;
static MemoryContext turn_context;
static uint32 wait_event;

void
GatewaysRegister(void)
{
	for (int i = 0; i < quizrt_gateways; i++)
	{
		BackgroundWorker worker = {0};

		snprintf(worker.bgw_name, BGW_MAXLEN, "quizrt gateway %d", i + 1);
		strlcpy(worker.bgw_type, "quizrt gateway", BGW_MAXLEN);
		strlcpy(worker.bgw_library_name, "quizrt", BGW_MAXLEN);
		strlcpy(worker.bgw_function_name, "GatewayMain", BGW_MAXLEN);
		worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
			BGWORKER_BACKEND_DATABASE_CONNECTION;
		worker.bgw_start_time = BgWorkerStart_ConsistentState;
		worker.bgw_restart_time = 1;
		worker.bgw_main_arg = Int32GetDatum(i);
		RegisterBackgroundWorker(&worker);
	}
}

/*
 * Start and end
 */

/*
 * As many clients as the machine lets one process have, but for some
 * descriptors that are kept for what must go on: shared memory is mapped by
 * one, and answers come in it.
 */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;
	int64		clients;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_cur != limit.rlim_max)
	{
		struct rlimit raised = limit;

		raised.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > PG_INT32_MAX)
		limit.rlim_cur = PG_INT32_MAX;
	clients = Max((int64) limit.rlim_cur - OTHER_DESCRIPTORS,
				  (int64) limit.rlim_cur / 2);
	ListenersSetCapacity((int) clients);
	ereport(LOG,
			(errmsg("quizrt gateway %d can hold %lld clients",
					gateway_number + 1, (long long) clients),
			 errdetail("The limit on open files of this process is %lld.",
					   (long long) limit.rlim_cur)));
}

/* The gauges are of all gateways; take out what was ours. */
static void
leave(int code, Datum number)
{
	for (int i = 0; i < CONNECTION_STATES; i++)
	{
		if (i == CONNECTION_HEAD || i == CONNECTION_ASKING)
			CounterAdd(COUNTER_HANDSHAKES, -connection_count[i]);
		else if (i == CONNECTION_OPEN || i == CONNECTION_CLOSING)
			CounterAdd(COUNTER_CONNECTIONS, -connection_count[i]);
	}
	CounterAdd(COUNTER_SUBSCRIPTIONS, -TopicsSubscriptions());
	ListeningSet(gateway_number, false);
	AttentiveSet(gateway_number, false);
	MailboxForgetGateway(gateway_number);
	ProcessLeave(PROCESS_GATEWAY, gateway_number);
}

static void
set_signals(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);

	/* There is no query to cancel. */
	pqsignal(SIGINT, SIG_IGN);
	BackgroundWorkerUnblockSignals();
}

static void
start(void)
{
	char		name[32];

	/* Connected to no database: this makes us visible, and lets us ask for
	 * the status of transactions. */
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	snprintf(name, sizeof(name), "quizrt gateway %d", gateway_number + 1);
	SetConfigOption("application_name", name, PGC_BACKEND, PGC_S_OVERRIDE);
	pgstat_report_appname(name);
	pgstat_report_activity(STATE_RUNNING, "serving clients");

	/* What crosses the wire is UTF-8, in both directions. */
	SetDatabaseEncoding(PG_UTF8);

	ClockRead();
	raise_descriptor_limit();
	EchoAnnounce();
	PollerInit();
	TopicsInit();
	AddressesInit();
	ConnectionsInit();
	ListenersInit(gateway_number);
	QuestionsInit(gateway_number);
	ReportsInit(gateway_number);
	SnapshotsInit();
	ProcessEnter(PROCESS_GATEWAY, gateway_number);
	before_shmem_exit(leave, Int32GetDatum(gateway_number));
	StreamInit(gateway_number);

	turn_context = AllocSetContextCreate(TopMemoryContext, "quizrt turn",
										 ALLOCSET_DEFAULT_SIZES);
	wait_event = compat_wait_event("QuizrtGatewayMain");
	wait_set = compat_create_wait_event_set(3);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
					  NULL);
	AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, PollerDescriptor(), NULL,
					  NULL);
}

/*
 * The steps of a turn
 */

static void
serve_reload(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	EchoAnnounce();
	ListenersReload();
	ConnectionsReload();
}

/*
 * Close everybody while draining, or when the process is to end: in every
 * turn, as whoever was at the door when that began may have come in since.
 */
static void
serve_draining(void)
{
	if (ShutdownRequestPending || DrainingGet())
		ConnectionsCloseAll();
}

static bool
serve_sockets(void)
{
	static PollEvent events[EVENTS_A_TURN];
	int			n = PollerCollect(events, EVENTS_A_TURN);

	for (int i = 0; i < n; i++)
	{
		if (!ListenerPolled(events[i].owner))
			ConnectionPolled(events[i].owner, events[i].events);
	}
	return n == EVENTS_A_TURN;
}

static void
sleep_until(TimeMs due)
{
	WaitEvent	event;
	long		timeout = -1;

	ClockRead();
	if (due != NEVER)
		timeout = due > gateway_now ? (long) Min(due - gateway_now,
												 (TimeMs) 3600000) : 0;
	WaitEventSetWait(wait_set, timeout, &event, 1, wait_event);
}

/*
 * Writers wake us only while we have clients.  True: we have the first ones,
 * and what was committed before the writers knew has to be read.
 */
static bool
tell_writers(void)
{
	static bool attentive = false;
	bool		clients = connection_count[CONNECTION_ASKING] > 0 ||
		connection_count[CONNECTION_OPEN] > 0;

	if (clients == attentive)
		return false;
	attentive = clients;
	AttentiveSet(gateway_number, clients);
	return clients;
}

/* One turn; returns when the next has to begin at the latest. */
static TimeMs
turn(void)
{
	TimeMs		due;
	TimeMs		timers;
	TimeMs		listeners;
	bool		more;

	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	serve_reload();
	ClockRead();
	serve_draining();
	listeners = ShutdownRequestPending ? NEVER : ListenersRun();
	more = StreamRun();
	due = QuestionsRun();
	more = serve_sockets() || more;
	timers = TimersRun(TIMERS_A_TURN);
	more = ReportsRun() || more;
	more = ConnectionsFlush() || more;
	ConnectionsReap();
	MemoryContextReset(turn_context);

	if (tell_writers() || more)
		return gateway_now;
	return Min(due, Min(timers, listeners));
}

/* Everything has ended that can be waited for. */
static bool
all_closed(void)
{
	for (int i = 0; i < CONNECTION_DEAD; i++)
	{
		if (connection_count[i] > 0 && i != CONNECTION_HEAD)
			return false;
	}
	return true;
}

/* Say good-bye, for a bounded time. */
static void
shut_down(void)
{
	TimeMs		end;

	ListenersClose();
	ClockRead();
	end = gateway_now + quizrt_shutdown_timeout;
	while (gateway_now < end)
	{
		TimeMs		due = turn();

		if (all_closed())
			break;
		sleep_until(Min(due, end));
	}
}

void
GatewayMain(Datum number)
{
	gateway_number = DatumGetInt32(number);
	set_signals();
	start();
	MemoryContextSwitchTo(turn_context);

	while (!ShutdownRequestPending)
	{
		TimeMs		due = turn();

		if (!ShutdownRequestPending)
			sleep_until(due);
	}
	shut_down();

	/* Not 0, which would mean: never start it again. */
	proc_exit(1);
}
