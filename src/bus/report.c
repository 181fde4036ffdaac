/*-------------------------------------------------------------------------
 *
 * report.c
 *		What sessions ask the gateways about their connections.
 *
 * Only a gateway knows its connections, and there can be many of them, so
 * that they are not kept in shared memory: who wants to see them asks.  The
 * asker makes a segment of dynamic shared memory with a queue (shm_mq) for
 * each gateway, leaves a note in one of a few places in the main segment, and
 * wakes the gateways.  A gateway takes the note, and fills its queue as fast
 * as it is emptied, a piece in a turn of its loop.
 *
 * So the memory is bounded whatever the number of connections, and nothing is
 * left behind by who dies: the segment goes with the last process attached,
 * a queue tells each end when the other has gone, and the note is taken back
 * by its asker, on errors too.  Askers do not wait for each other while there
 * is a place.
 *
 * A gateway that lets its queue go has said all, or has ended: then it has
 * no connections any more, and what it said is all there is to say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/processes.h"
#include "bus/report.h"
#include "common/compat.h"
#include "common/settings.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

/* Sessions that can be asking at the same time. */
#define MAX_ASKERS		32

/* Of a gateway's queue, in bytes. */
#define QUEUE_SIZE		((Size) 64 * 1024)

/* Without a piece of an answer for so long, a gateway is given up. */
#define ANSWER_TIMEOUT	5000

/* How often to look for gateways that have gone, which nobody tells us, or
 * for a place; in milliseconds. */
#define LOOK_INTERVAL	100

/* All fields under LOCK_REPORTS. */
typedef struct Note
{
	bool		used;
	ReportKind	kind;
	dsm_handle	segment;
	uint64		awaited;		/* a bit for each gateway that is yet to take
								 * it */
} Note;

typedef struct Reports
{
	/*
	 * A bit for each gateway for which there may be a note: set by askers
	 * after the note, cleared by the gateway before it looks.
	 */
	pg_atomic_uint64 wanted;
	Note		notes[MAX_ASKERS];
} Reports;

static Reports *reports = NULL;

static Size
report_size(void)
{
	return sizeof(Reports);
}

static void
report_attach(void *memory, bool initialize)
{
	reports = memory;
	if (!initialize)
		return;
	memset(reports, 0, sizeof(*reports));
	pg_atomic_init_u64(&reports->wanted, 0);
}

const SharedPart report_part = {
	"quizrt reports", report_size, report_attach
};

static uint64
bit_of(int gateway)
{
	return UINT64CONST(1) << gateway;
}

/*
 * What is said about a connection
 */

void
ReportConnectionEncode(StringInfo buffer, const ReportedConnection *connection)
{
	PutU64(buffer, connection->id);
	PutText(buffer, connection->api);
	PutText(buffer, connection->state);
	PutText(buffer, connection->owner);
	PutText(buffer, connection->address);
	PutU32(buffer, connection->encrypted);
	PutU64(buffer, (uint64) connection->connected_at);
	PutU32(buffer, connection->subscriptions);
	PutU64(buffer, connection->bytes_sent);
	PutU64(buffer, connection->queued_bytes);
	PutU32(buffer, connection->lagging);
}

bool
ReportConnectionDecode(Cursor *cursor, ReportedConnection *connection)
{
	uint64		connected_at;
	uint32		encrypted;
	uint32		lagging;

	if (!TakeU64(cursor, &connection->id) ||
		!TakeText(cursor, &connection->api) ||
		!TakeText(cursor, &connection->state) ||
		!TakeText(cursor, &connection->owner) ||
		!TakeText(cursor, &connection->address) ||
		!TakeU32(cursor, &encrypted) ||
		!TakeU64(cursor, &connected_at) ||
		!TakeU32(cursor, &connection->subscriptions) ||
		!TakeU64(cursor, &connection->bytes_sent) ||
		!TakeU64(cursor, &connection->queued_bytes) ||
		!TakeU32(cursor, &lagging))
		return false;
	connection->connected_at = (TimestampTz) connected_at;
	connection->encrypted = encrypted != 0;
	connection->lagging = lagging != 0;
	return true;
}

void
ReportSubscriptionEncode(StringInfo buffer,
						 const ReportedSubscription *subscription)
{
	PutU64(buffer, subscription->connection);
	PutText(buffer, subscription->channel);
	PutU32(buffer, subscription->held);
	PutU32(buffer, subscription->lost);
}

bool
ReportSubscriptionDecode(Cursor *cursor, ReportedSubscription *subscription)
{
	uint32		held;
	uint32		lost;

	if (!TakeU64(cursor, &subscription->connection) ||
		!TakeText(cursor, &subscription->channel) ||
		!TakeU32(cursor, &held) || !TakeU32(cursor, &lost))
		return false;
	subscription->held = held != 0;
	subscription->lost = lost != 0;
	return true;
}

/*
 * For sessions
 */

typedef struct Asker
{
	int			note;			/* -1: none yet */
	dsm_segment *segment;
	int			ngateways;
	shm_mq_handle *queues[MAX_GATEWAYS];	/* NULL: has answered, or can't */
	pid_t		pids[MAX_GATEWAYS];
	TimestampTz give_up_at;
	uint32		wait_event;
} Asker;

static void
extend_patience(Asker *asker)
{
	asker->give_up_at = GetCurrentTimestamp() +
		(TimestampTz) ANSWER_TIMEOUT * 1000;
}

static shm_mq *
queue_place(dsm_segment *segment, int gateway)
{
	return (shm_mq *) ((char *) dsm_segment_address(segment) +
					   (Size) gateway * QUEUE_SIZE);
}

/* A queue for each gateway that is running. */
static void
make_queues(Asker *asker)
{
	asker->segment = dsm_create((Size) asker->ngateways * QUEUE_SIZE, 0);
	for (int i = 0; i < asker->ngateways; i++)
	{
		shm_mq	   *queue;

		asker->pids[i] = ProcessId(PROCESS_GATEWAY, i);
		if (asker->pids[i] == 0)
			continue;
		queue = shm_mq_create(queue_place(asker->segment, i), QUEUE_SIZE);
		shm_mq_set_receiver(queue, MyProc);
		asker->queues[i] = shm_mq_attach(queue, asker->segment, NULL);
	}
}

static bool
leave_note(Asker *asker, ReportKind kind)
{
	uint64		awaited = 0;

	for (int i = 0; i < asker->ngateways; i++)
	{
		if (asker->queues[i] != NULL)
			awaited |= bit_of(i);
	}
	LWLockAcquire(SharedLockOf(LOCK_REPORTS), LW_EXCLUSIVE);
	for (int i = 0; i < MAX_ASKERS; i++)
	{
		Note	   *note = &reports->notes[i];

		if (note->used)
			continue;
		note->used = true;
		note->kind = kind;
		note->segment = dsm_segment_handle(asker->segment);
		note->awaited = awaited;
		asker->note = i;
		break;
	}
	LWLockRelease(SharedLockOf(LOCK_REPORTS));
	if (asker->note < 0)
		return false;
	pg_atomic_fetch_or_u64(&reports->wanted, awaited);
	ProcessWakeAll(PROCESS_GATEWAY);
	return true;
}

/* For errors and the exit of the process, too. */
static void
take_note_back(int code, Datum arg)
{
	Asker	   *asker = (Asker *) DatumGetPointer(arg);

	if (asker->note < 0)
		return;
	LWLockAcquire(SharedLockOf(LOCK_REPORTS), LW_EXCLUSIVE);
	reports->notes[asker->note].used = false;
	reports->notes[asker->note].awaited = 0;
	LWLockRelease(SharedLockOf(LOCK_REPORTS));
	asker->note = -1;
}

static void
wait_a_moment(const Asker *asker)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 LOOK_INTERVAL, asker->wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Nothing is to come from this gateway. */
static void
finish_queue(Asker *asker, int gateway)
{
	shm_mq_detach(asker->queues[gateway]);
	asker->queues[gateway] = NULL;
}

/*
 * Read a piece if there is one; true: there was something to do.  The queue
 * can't tell that its gateway ended before it took the note.
 */
static bool
read_queue(Asker *asker, int gateway, ReportCallback callback, void *context)
{
	shm_mq_handle *queue = asker->queues[gateway];
	bool		gone = ProcessId(PROCESS_GATEWAY, gateway) !=
		asker->pids[gateway];
	Size		length;
	void	   *bytes;

	switch (shm_mq_receive(queue, &length, &bytes, true))
	{
		case SHM_MQ_SUCCESS:
			callback(context, gateway, bytes, length);
			return true;
		case SHM_MQ_DETACHED:
			finish_queue(asker, gateway);
			return true;
		case SHM_MQ_WOULD_BLOCK:
			break;
	}
	if (!gone)
		return false;
	finish_queue(asker, gateway);
	return true;
}

/* Those that are left have not answered in time. */
static void
give_up(Asker *asker)
{
	for (int i = 0; i < asker->ngateways; i++)
	{
		if (asker->queues[i] == NULL)
			continue;
		finish_queue(asker, i);
		ereport(WARNING,
				(errmsg("quizrt gateway %d does not answer", i + 1),
				 errdetail("What is shown does not have its connections.")));
	}
}

static void
read_answers(Asker *asker, ReportCallback callback, void *context)
{
	for (;;)
	{
		bool		waiting = false;
		bool		progress = false;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < asker->ngateways; i++)
		{
			if (asker->queues[i] == NULL)
				continue;
			waiting = true;
			progress |= read_queue(asker, i, callback, context);
		}
		if (!waiting)
			return;
		if (progress)
			extend_patience(asker);
		else if (GetCurrentTimestamp() >= asker->give_up_at)
			give_up(asker);
		else
			wait_a_moment(asker);
	}
}

static void
ask(Asker *asker, ReportKind kind, ReportCallback callback, void *context)
{
	make_queues(asker);
	extend_patience(asker);
	while (!leave_note(asker, kind))
	{
		if (GetCurrentTimestamp() >= asker->give_up_at)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("too many sessions are asking the gateways of quizrt")));
		wait_a_moment(asker);
	}
	read_answers(asker, callback, context);
	dsm_detach(asker->segment);
}

void
ReportAsk(ReportKind kind, ReportCallback callback, void *context)
{
	Asker		asker = {.note = -1};

	asker.ngateways = quizrt_gateways;
	asker.wait_event = compat_wait_event("QuizrtReport");
	if (asker.ngateways == 0)
		return;

	PG_ENSURE_ERROR_CLEANUP(take_note_back, PointerGetDatum(&asker));
	ask(&asker, kind, callback, context);
	PG_END_ENSURE_ERROR_CLEANUP(take_note_back, PointerGetDatum(&asker));
	take_note_back(0, PointerGetDatum(&asker));
}

/*
 * For gateways
 */

bool
ReportWanted(int gateway)
{
	return (pg_atomic_read_u64(&reports->wanted) & bit_of(gateway)) != 0;
}

/* Take a note: its kind, and the segment that it names. */
static bool
take_note(int gateway, ReportKind *kind, dsm_handle *segment)
{
	bool		found = false;

	pg_atomic_fetch_and_u64(&reports->wanted, ~bit_of(gateway));
	LWLockAcquire(SharedLockOf(LOCK_REPORTS), LW_EXCLUSIVE);
	for (int i = 0; i < MAX_ASKERS && !found; i++)
	{
		Note	   *note = &reports->notes[i];

		if (!note->used || (note->awaited & bit_of(gateway)) == 0)
			continue;
		note->awaited &= ~bit_of(gateway);
		*kind = note->kind;
		*segment = note->segment;
		found = true;
	}
	LWLockRelease(SharedLockOf(LOCK_REPORTS));

	/* There may be more of them. */
	if (found)
		pg_atomic_fetch_or_u64(&reports->wanted, bit_of(gateway));
	return found;
}

bool
ReportTake(int gateway, ReportSink *sink)
{
	dsm_handle	handle;
	MemoryContext old;
	shm_mq	   *queue;

	do
	{
		if (!take_note(gateway, &sink->kind, &handle))
			return false;
		sink->segment = dsm_attach(handle);
	} while (sink->segment == NULL);	/* the asker has gone meanwhile */

	/* Ours until we let it go, whatever transaction there may be. */
	dsm_pin_mapping(sink->segment);
	queue = queue_place(sink->segment, gateway);
	shm_mq_set_sender(queue, MyProc);
	old = MemoryContextSwitchTo(TopMemoryContext);
	sink->queue = shm_mq_attach(queue, sink->segment, NULL);
	MemoryContextSwitchTo(old);
	return true;
}

shm_mq_result
ReportSend(ReportSink *sink, const char *bytes, Size length)
{
	return shm_mq_send(sink->queue, length, bytes, true, true);
}

void
ReportEnd(ReportSink *sink)
{
	shm_mq_detach(sink->queue);
	dsm_detach(sink->segment);
}
