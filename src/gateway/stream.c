/*-------------------------------------------------------------------------
 *
 * stream.c
 *		The gateway's reading of the ring: what has committed, in causal
 *		order, to the topics.
 *
 * New entries are read in batches.  In each pass the undecided ones, those of
 * the batch and those left over from before (pending), are resolved from the
 * newest to the oldest and delivered from the oldest to the newest; ring.c
 * says why that is exact.  Asking for a transaction's status costs a lock, so
 * it is asked only where it matters: for an entry without a mark that stands
 * before one that is delivered, where its place for a mark has been taken by
 * another entry, or when somebody must know (StreamCatchUp).  Otherwise the
 * mark is on its way, and wakes us.
 *
 * Joining an answer from the database
 *
 * An answer was made under a snapshot, and while it was on its way entries
 * were delivered.  Which of them does it contain?  Those whose transaction
 * was visible to the snapshot; of the others, none.  So from the moment a
 * question is asked (StreamMark) what is delivered is also kept, until its
 * answer has come:
 *
 *	- what was delivered before the mark was committed before the snapshot was
 *	  taken, so it is in the answer;
 *	- what was delivered after the mark is in the answer exactly if its
 *	  number is below the ring's head as read after the snapshot, and its
 *	  transaction was visible (an xid at or above the snapshot's xmax is not;
 *	  the number only guards against xids that are reused after a wraparound);
 *	- what is not delivered yet when the answer is used is not in it: before
 *	  that, StreamCatchUp() has delivered everything that is visible to
 *	  anybody.
 *
 * Losing
 *
 * When the ring has overtaken this gateway, or what is kept grows beyond the
 * ring's own size, the marks are broken: what was asked must be asked again.
 * Overtaken, all subscribers are resynchronised as well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "common/counters.h"
#include "common/settings.h"
#include "gateway/connection.h"
#include "gateway/events.h"
#include "gateway/guard.h"
#include "gateway/stream.h"
#include "utils/memutils.h"

/* Entries that are read at once, and in one turn of the loop. */
#define BATCH_ENTRIES	256
#define TURN_ENTRIES	1024

/*
 * What dev/checker --prove builds, to see that the checker finds it: a join
 * without the test of visibility, and resolution by the marks alone.  (And
 * QUIZRT_BREAK_ORDER, below.)
 */
#ifdef QUIZRT_BREAK_JOIN
#define BREAK_JOIN	true
#else
#define BREAK_JOIN	false
#endif
#ifdef QUIZRT_BREAK_MARKS
#define BREAK_MARKS	true
#else
#define BREAK_MARKS	false
#endif

/* An entry that outlives its batch. */
typedef struct StreamEntry
{
	dlist_node	node;
	uint64		position;		/* once delivered */
	RingEntry	ring;
	RingFate	fate;
	char		bytes[FLEXIBLE_ARRAY_MEMBER];
} StreamEntry;

/* An entry of the batch at hand; its bytes are in batch_bytes. */
typedef struct BatchEntry
{
	RingEntry	ring;
	RingFate	fate;
	Size		offset;
} BatchEntry;

static RingReader reader;
static int	gateway_number;

static BatchEntry batch[BATCH_ENTRIES];
static int	batch_count;
static StringInfoData batch_bytes;

static dlist_head pending;		/* undecided, oldest first */
static int	pending_count;

static dlist_head kept;			/* delivered since the oldest mark */
static Size kept_bytes;
static uint64 delivered;		/* entries, ever */
static dlist_head marks;		/* that are set, oldest first */

static MemoryContext stream_context;

void
StreamInit(int gateway)
{
	gateway_number = gateway;
	stream_context = AllocSetContextCreate(TopMemoryContext, "quizrt stream",
										   ALLOCSET_DEFAULT_SIZES);
	dlist_init(&pending);
	dlist_init(&kept);
	dlist_init(&marks);
	initStringInfo(&batch_bytes);
	RingReaderStart(&reader, gateway);
}

static StreamEntry *
copy_entry(const BatchEntry *from)
{
	StreamEntry *entry = MemoryContextAllocHuge(stream_context,
												offsetof(StreamEntry, bytes) +
												from->ring.length);

	entry->ring = from->ring;
	entry->fate = from->fate;
	memcpy(entry->bytes, batch_bytes.data + from->offset, from->ring.length);
	return entry;
}

/*
 * Keeping what was delivered
 */

static void
drop_kept(StreamEntry *entry)
{
	dlist_delete(&entry->node);
	kept_bytes -= entry->ring.length;
	pfree(entry);
}

/* Drop what is older than the oldest mark. */
static void
prune_kept(void)
{
	uint64		oldest = delivered;

	if (!dlist_is_empty(&marks))
		oldest = dlist_container(StreamMark, node,
								 dlist_head_node(&marks))->position;
	while (!dlist_is_empty(&kept))
	{
		StreamEntry *entry = dlist_container(StreamEntry, node,
											 dlist_head_node(&kept));

		if (entry->position >= oldest)
			break;
		drop_kept(entry);
	}
}

void
StreamBreakMarks(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &marks)
	{
		dlist_container(StreamMark, node, iter.cur)->broken = true;
	}
	while (!dlist_is_empty(&kept))
		drop_kept(dlist_container(StreamEntry, node, dlist_head_node(&kept)));
}

static void
keep(StreamEntry *entry)
{
	dlist_push_tail(&kept, &entry->node);
	kept_bytes += entry->ring.length;
	if (kept_bytes > (Size) quizrt_ring_size * 1024)
		StreamBreakMarks();
}

void
StreamMarkSet(StreamMark *mark)
{
	mark->position = delivered;
	mark->broken = false;
	mark->set = true;
	dlist_push_tail(&marks, &mark->node);
}

void
StreamMarkTake(StreamMark *mark, StreamMark *from)
{
	*mark = *from;
	if (!from->set)
		return;
	dlist_insert_after(&from->node, &mark->node);
	dlist_delete(&from->node);
	from->set = false;
}

void
StreamMarkClear(StreamMark *mark)
{
	if (!mark->set)
		return;
	mark->set = false;
	dlist_delete(&mark->node);
	prune_kept();
}

/*
 * Delivering
 */

typedef struct Delivery
{
	const char *bytes;
	Size		length;
} Delivery;

static void
deliver_events(void *argument)
{
	Delivery   *delivery = argument;
	Size		offset = 0;
	Event		event;
	int			count = 0;

	while (EventDecode(delivery->bytes, delivery->length, &offset, &event))
	{
		EventDispatch(&event);
		count++;
	}
	CounterAdd(COUNTER_EVENTS_DELIVERED, count);
}

static void
deliver(const char *bytes, Size length)
{
	Delivery	delivery = {bytes, length};

	/*
	 * An error here is want of memory: it is not known what was delivered, so
	 * everybody is told.
	 */
	if (!Guarded(deliver_events, &delivery))
		EventsLost();
	delivered++;
}

static void
deliver_pending(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &pending)
	{
		StreamEntry *entry = dlist_container(StreamEntry, node, iter.cur);

		if (entry->fate == RING_UNDECIDED)
			continue;
		dlist_delete(&entry->node);
		pending_count--;
		entry->position = delivered;
		if (entry->fate == RING_COMMITTED)
			deliver(entry->bytes, entry->ring.length);
		if (entry->fate == RING_COMMITTED && !dlist_is_empty(&marks))
			keep(entry);
		else
			pfree(entry);
	}
}

static void
deliver_batch(void)
{
	for (int i = 0; i < batch_count; i++)
	{
		BatchEntry *at = &batch[i];

		if (at->fate == RING_UNDECIDED)
		{
			dlist_push_tail(&pending, &copy_entry(at)->node);
			pending_count++;
			continue;
		}
		if (at->fate == RING_ABORTED)
			continue;
		if (!dlist_is_empty(&marks))
		{
			StreamEntry *entry = copy_entry(at);

			entry->position = delivered;
			keep(entry);
		}
		deliver(batch_bytes.data + at->offset, at->ring.length);
	}
	batch_count = 0;
	resetStringInfo(&batch_bytes);
}

/*
 * Resolving
 */

/* The oldest xid that is still asked about: see RingResolve(). */
static TransactionId
oldest_xid(void)
{
	TransactionId oldest = InvalidTransactionId;
	dlist_iter	iter;

#define CONSIDER(xid) \
	if (!TransactionIdIsValid(oldest) || TransactionIdPrecedes(xid, oldest)) \
		oldest = (xid)

	for (int i = 0; i < batch_count; i++)
		CONSIDER(batch[i].ring.xid);
	dlist_foreach(iter, &pending)
	{
		CONSIDER(dlist_container(StreamEntry, node, iter.cur)->ring.xid);
	}
#undef CONSIDER
	return oldest;
}

/* What a pass over the undecided entries carries along. */
typedef struct Resolving
{
	bool		ask;			/* for the status of those without a mark */
	TransactionId oldest;		/* computed when it is needed first */
} Resolving;

static RingFate
resolve_one(const RingEntry *entry, Resolving *pass)
{
	RingFate	fate = RingMark(entry->seq);

	if (fate == RING_UNDECIDED && (pass->ask || RingMarkGone(entry->seq)))
	{
		if (!TransactionIdIsValid(pass->oldest))
			pass->oldest = oldest_xid();
		fate = RingResolve(entry->seq, entry->xid, pass->oldest);
	}

	/* Who stands before a committed one may be what it has seen. */
	if (fate == RING_COMMITTED && !BREAK_MARKS)
		pass->ask = true;
	return fate;
}

#ifdef QUIZRT_BREAK_ORDER
/*
 * From the oldest to the newest, as they are read, which is wrong: an entry
 * may be found running, and the next one, read later, have seen it commit.
 */
static void
resolve_pending(void)
{
	Resolving	pass = {true, InvalidTransactionId};
	dlist_iter	iter;

	dlist_foreach(iter, &pending)
	{
		StreamEntry *entry = dlist_container(StreamEntry, node, iter.cur);

		entry->fate = resolve_one(&entry->ring, &pass);
	}
}

static void
resolve_read(BatchEntry *entry)
{
	Resolving	pass = {true, InvalidTransactionId};

	entry->fate = resolve_one(&entry->ring, &pass);
}

static void
resolve_all(void *argument)
{
}
#else
#define resolve_pending()	((void) 0)
#define resolve_read(entry)	((void) 0)

/* From the newest to the oldest. */
static void
resolve_all(void *argument)
{
	Resolving  *pass = argument;
	dlist_iter	iter;

	for (int i = batch_count - 1; i >= 0; i--)
		batch[i].fate = resolve_one(&batch[i].ring, pass);
	dlist_reverse_foreach(iter, &pending)
	{
		StreamEntry *entry = dlist_container(StreamEntry, node, iter.cur);

		entry->fate = resolve_one(&entry->ring, pass);
	}
}

#endif

static void
forget_fates(void)
{
	dlist_iter	iter;

	for (int i = 0; i < batch_count; i++)
		batch[i].fate = RING_UNDECIDED;
	dlist_foreach(iter, &pending)
	{
		dlist_container(StreamEntry, node, iter.cur)->fate = RING_UNDECIDED;
	}
}

/* One pass over all that is undecided. */
static void
resolve_and_deliver(bool ask)
{
	Resolving	pass = {ask, InvalidTransactionId};

	if (batch_count == 0 && pending_count == 0)
		return;

	/*
	 * A pass that broke off has not asked about the older ones.  Somebody may
	 * rely on its having delivered them.
	 */
	if (!Guarded(resolve_all, &pass))
	{
		forget_fates();
		StreamBreakMarks();
	}
	deliver_pending();
	deliver_batch();
}

/*
 * Reading
 */

/* We have missed something that we can't name. */
static void
lost(void)
{
	/* Without clients nobody wakes us, and nobody misses anything. */
	if (connection_count[CONNECTION_OPEN] == 0 && dlist_is_empty(&marks))
		return;
	CounterAdd(COUNTER_RING_OVERRUNS, 1);
	StreamBreakMarks();
	EventsLost();
}

/* Fill the batch; returns false when there is nothing more to read. */
static bool
read_batch(void)
{
	resolve_pending();
	while (batch_count < BATCH_ENTRIES)
	{
		BatchEntry *at = &batch[batch_count];

		at->offset = batch_bytes.len;
		at->fate = RING_UNDECIDED;
		switch (RingRead(&reader, &at->ring, &batch_bytes))
		{
			case RING_END:
				return false;
			case RING_OVERTAKEN:
				lost();
				return true;
			case RING_READ:
				resolve_read(at);
				batch_count++;
				break;
		}
	}
	return true;
}

/* Read what is new, up to "max" entries; false: that was all of it. */
static bool
run(RingSeq max, bool ask)
{
	RingSeq		end = reader.next + max;
	bool		more;

	do
	{
		more = read_batch();
		resolve_and_deliver(ask);
	} while (more && reader.next < end);
	return more;
}

bool
StreamRun(void)
{
	if (RingResyncRequested(gateway_number))
		lost();
	return run(TURN_ENTRIES, false);
}

void
StreamCatchUp(void)
{
	RingSeq		head = RingHead();

	run(head > reader.next ? head - reader.next : 1, true);
}

/* Is what the entry changed part of the answer? */
static bool
answer_contains(const SnapshotJoin *join, const StreamEntry *entry)
{
	return !BREAK_JOIN && entry->ring.seq < join->head &&
		SnapshotJoinSees(join, entry->ring.xid);
}

void
StreamReplay(const StreamMark *mark, const SnapshotJoin *join,
			 ReplayHandler handler, void *context)
{
	dlist_iter	iter;

	dlist_foreach(iter, &kept)
	{
		StreamEntry *entry = dlist_container(StreamEntry, node, iter.cur);
		Size		offset = 0;
		Event		event;

		if (entry->position < mark->position || answer_contains(join, entry))
			continue;
		while (EventDecode(entry->bytes, entry->ring.length, &offset, &event))
		{
			if (!handler(context, &event))
				return;
		}
	}
}

int
StreamPending(void)
{
	return pending_count;
}
