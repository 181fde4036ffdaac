/*-------------------------------------------------------------------------
 *
 * ring.c
 *		The ring in shared memory that carries events from the transactions
 *		that publish to the gateways.
 *
 * The model
 *
 * One ring of bytes, many writers, every gateway a reader with a position of
 * its own.  Beside the bytes stands a ring of slots, one for each entry, that
 * say where the entry's bytes are, whose transaction it is, and what became
 * of that.
 *
 * A transaction reserves its entry at pre-commit, where failing is still
 * legal, under one short lock.  After the commit it marks the entry, without
 * a lock, and wakes the gateways.  Between the two lies the commit record's
 * fsync, and nobody waits for it here.
 *
 * A reader may find an entry that has no mark yet although its transaction is
 * visible to others already: the mark comes after the transaction has left
 * the list of running ones, and on a busy machine long after.  So where there
 * is no mark the transaction's status decides, by the same two questions that
 * make a row visible, in the same order: is it in progress, and if not, did
 * it commit?  (See TransactionIdIsInProgress() on why the order matters.)
 *
 * If T2 saw an effect of T1, T1 had committed before T2 saw it, and T1's
 * entry stands before T2's, which was reserved at T2's pre-commit.  A reader
 * that resolves its entries from the newest to the oldest and delivers from
 * the oldest to the newest can therefore never deliver T2 without T1: when it
 * found T2 committed, T1 had been committed for longer, and it asks about T1
 * later.  The other way round it could find T1 running, then T2 committed.
 *
 * Overwriting
 *
 * A writer never waits for a reader.  It moves the tail past the oldest
 * entries, and then writes over them; a reader copies an entry's bytes and
 * then looks whether the tail has passed it.  One that was overtaken goes on
 * at the tail and has its subscribers resynchronised from the tables.
 *
 * One hole remains: an entry that was overwritten unread can belong to a
 * transaction that is still running while the gateway makes its snapshots
 * anew, and commits after them.  Its writer closes the hole: in the commit
 * callback it sees that its entry is gone, and asks those gateways that
 * skipped it (lost_before) for one more resynchronisation.  A gateway writes
 * lost_before first and takes its snapshots then; the writer is visible first
 * and reads lost_before then; so one of the two notices.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "bus/processes.h"
#include "bus/ring.h"
#include "common/compat.h"
#include "common/counters.h"
#include "common/settings.h"
#include "port/atomics.h"
#include "storage/procarray.h"

/* A slot's state is the entry's number, shifted, and one of these marks. */
#define MARK_BITS		2
#define MARK_UNDECIDED	((uint64) 0)
#define MARK_COMMITTED	((uint64) 1)
#define MARK_ABORTED	((uint64) 2)

#define STATE(seq, mark)	(((uint64) (seq) << MARK_BITS) | (mark))

/* Entries are small; one slot for so many bytes of the ring. */
#define BYTES_PER_SLOT	256

typedef struct RingSlot
{
	/*
	 * Number and mark.  Written under the lock when the slot is taken; the
	 * mark is then set by the transaction that took it, with a
	 * compare-and-exchange that fails if the slot has been taken again.
	 */
	pg_atomic_uint64 state;
	/* the rest is written under the lock, before the head moves past it */
	uint64		start;			/* bytes ever written before this entry */
	uint32		length;
	TransactionId xid;
} RingSlot;

/* What a gateway and the writers tell each other about overwritten entries. */
typedef struct RingLoss
{
	pg_atomic_uint64 lost_before;	/* the gateway may have skipped entries
									 * below; written by it only */
	pg_atomic_uint32 resync;	/* set by writers, cleared by the gateway */
} RingLoss;

typedef struct Ring
{
	/* Both only grow; written under the lock, read by all without it. */
	pg_atomic_uint64 head;		/* entries below are readable */
	pg_atomic_uint64 tail;		/* entries below are overwritten */

	uint64		written;		/* bytes ever written; under the lock */

	/* never change after start-up */
	Size		size;			/* bytes of the ring */
	uint64		nslots;

	RingLoss	losses[MAX_GATEWAYS];
} Ring;

static Ring *ring = NULL;
static RingSlot *slots;
static char *bytes;

static Size
ring_bytes(void)
{
	return (Size) quizrt_ring_size * 1024;
}

static uint64
ring_slots(void)
{
	return ring_bytes() / BYTES_PER_SLOT;
}

static Size
ring_shmem_size(void)
{
	return add_size(MAXALIGN(sizeof(Ring)),
					add_size(mul_size(ring_slots(), sizeof(RingSlot)),
							 ring_bytes()));
}

static void
ring_attach(void *memory, bool initialize)
{
	ring = memory;
	slots = (RingSlot *) ((char *) memory + MAXALIGN(sizeof(Ring)));
	bytes = (char *) (slots + ring_slots());
	if (!initialize)
		return;

	pg_atomic_init_u64(&ring->head, INVALID_RING_SEQ + 1);
	pg_atomic_init_u64(&ring->tail, INVALID_RING_SEQ + 1);
	ring->written = 0;
	ring->size = ring_bytes();
	ring->nslots = ring_slots();
	for (uint64 i = 0; i < ring->nslots; i++)
		pg_atomic_init_u64(&slots[i].state, 0);
	for (int i = 0; i < MAX_GATEWAYS; i++)
	{
		pg_atomic_init_u64(&ring->losses[i].lost_before, 0);
		pg_atomic_init_u32(&ring->losses[i].resync, 0);
	}
}

const SharedPart ring_part = {
	"quizrt ring", ring_shmem_size, ring_attach
};

static inline RingSlot *
slot_of(RingSeq seq)
{
	return &slots[seq % ring->nslots];
}

bool
RingInUse(void)
{
	return ring != NULL && quizrt_gateways > 0;
}

Size
RingMaxEntrySize(void)
{
	return ring->size / 8;
}

/* Copy into the ring at a position that counts all bytes ever written. */
static void
copy_in(uint64 position, const char *from, Size length)
{
	Size		at = position % ring->size;
	Size		first = Min(length, ring->size - at);

	memcpy(bytes + at, from, first);
	memcpy(bytes, from + first, length - first);
}

static void
copy_out(uint64 position, char *to, Size length)
{
	Size		at = position % ring->size;
	Size		first = Min(length, ring->size - at);

	memcpy(to, bytes + at, first);
	memcpy(to + first, bytes, length - first);
}

/*
 * Move the tail so that entry "seq" of "length" bytes has room.  The tail is
 * published before the first byte is overwritten.
 */
static void
make_room(RingSeq seq, Size length)
{
	RingSeq		tail = pg_atomic_read_u64(&ring->tail);

	while (tail < seq &&
		   (seq - tail >= ring->nslots ||
			ring->written + length - slot_of(tail)->start > ring->size))
		tail++;
	pg_atomic_write_u64(&ring->tail, tail);
	pg_write_barrier();
}

RingSeq
RingReserve(TransactionId xid, const char *from, Size length)
{
	RingSeq		seq;
	RingSlot   *slot;

	Assert(TransactionIdIsValid(xid));
	Assert(length <= RingMaxEntrySize());

	LWLockAcquire(SharedLockOf(LOCK_RING), LW_EXCLUSIVE);
	seq = pg_atomic_read_u64(&ring->head);
	make_room(seq, length);

	slot = slot_of(seq);
	pg_atomic_write_u64(&slot->state, STATE(seq, MARK_UNDECIDED));
	slot->start = ring->written;
	slot->length = (uint32) length;
	slot->xid = xid;
	copy_in(ring->written, from, length);
	ring->written += length;

	pg_write_barrier();
	pg_atomic_write_u64(&ring->head, seq + 1);
	LWLockRelease(SharedLockOf(LOCK_RING));
	return seq;
}

/* Our entry was overwritten, perhaps unread: see the head of this file. */
static void
ask_for_resync(RingSeq seq)
{
	for (int i = 0; i < quizrt_gateways; i++)
	{
		RingLoss   *loss = &ring->losses[i];

		if (pg_atomic_read_u64(&loss->lost_before) > seq)
			pg_atomic_write_u32(&loss->resync, 1);
	}
}

void
RingFinish(RingSeq seq, bool committed)
{
	uint64		expected = STATE(seq, MARK_UNDECIDED);

	/* A full barrier, and without effect where the slot was taken again. */
	pg_atomic_compare_exchange_u64(&slot_of(seq)->state, &expected,
								   STATE(seq, committed ? MARK_COMMITTED :
										 MARK_ABORTED));

	/* What was aborted interests nobody. */
	if (!committed)
		return;

	if (pg_atomic_read_u64(&ring->tail) > seq)
		ask_for_resync(seq);
	pg_memory_barrier();
	AttentiveWake();
}

/* The reader may have skipped what is below its position. */
static void
note_loss(RingReader *reader)
{
	if (reader->gateway < 0)
		return;
	pg_atomic_write_u64(&ring->losses[reader->gateway].lost_before,
						reader->next);
	pg_memory_barrier();
}

void
RingReaderStart(RingReader *reader, int gateway)
{
	reader->gateway = gateway;
	reader->next = pg_atomic_read_u64(&ring->tail);
	note_loss(reader);
}

static RingReadResult
overtaken(RingReader *reader)
{
	reader->next = pg_atomic_read_u64(&ring->tail);
	note_loss(reader);
	return RING_OVERTAKEN;
}

RingReadResult
RingRead(RingReader *reader, RingEntry *entry, StringInfo buffer)
{
	RingSlot   *slot = slot_of(reader->next);
	uint64		start;
	Size		length;

	if (reader->next >= pg_atomic_read_u64(&ring->head))
		return RING_END;
	pg_read_barrier();

	start = slot->start;
	length = slot->length;
	entry->seq = reader->next;
	entry->xid = slot->xid;
	entry->length = length;

	/* Only once the tail is known not to have passed are these true. */
	pg_read_barrier();
	if (reader->next < pg_atomic_read_u64(&ring->tail))
		return overtaken(reader);

	enlargeStringInfo(buffer, (int) length);
	copy_out(start, buffer->data + buffer->len, length);
	pg_read_barrier();
	if (reader->next < pg_atomic_read_u64(&ring->tail))
		return overtaken(reader);

	buffer->len += (int) length;
	buffer->data[buffer->len] = '\0';
	reader->next++;
	return RING_READ;
}

bool
RingResyncRequested(int gateway)
{
	RingLoss   *loss = &ring->losses[gateway];

	return pg_atomic_read_u32(&loss->resync) != 0 &&
		pg_atomic_exchange_u32(&loss->resync, 0) != 0;
}

RingFate
RingMark(RingSeq seq)
{
	uint64		state = pg_atomic_read_u64(&slot_of(seq)->state);

	if (state == STATE(seq, MARK_COMMITTED))
		return RING_COMMITTED;
	if (state == STATE(seq, MARK_ABORTED))
		return RING_ABORTED;
	return RING_UNDECIDED;
}

bool
RingMarkGone(RingSeq seq)
{
	return pg_atomic_read_u64(&slot_of(seq)->state) >> MARK_BITS != seq;
}

/* By the transaction's status, where there is no mark. */
static RingFate
fate_of_transaction(TransactionId xid, TransactionId oldest)
{
	/*
	 * TransactionIdIsInProgress() takes what precedes RecentXmin for
	 * finished, which is right in a session, where every snapshot sets it.  A
	 * process that never takes one would keep the value of its start, and
	 * after two billion transactions find everything running finished.
	 */
	if (TransactionIdIsValid(oldest))
		RecentXmin = TransactionXmin = oldest;

	if (TransactionIdIsInProgress(xid))
		return RING_UNDECIDED;
	return TransactionIdDidCommit(xid) ? RING_COMMITTED : RING_ABORTED;
}

/*
 * RingResolve -- what became of an entry's transaction
 *
 * "oldest" is an xid that is not newer than any that the caller still asks
 * about, for processes without snapshots; sessions pass an invalid one.
 *
 * Can throw: the status of a transaction that ended long ago may have been
 * truncated away while the caller was stopped.  By then there is a mark, or
 * the slot was taken again, so the caller treats it as undecided and loses
 * nothing by asking again.
 */
RingFate
RingResolve(RingSeq seq, TransactionId xid, TransactionId oldest)
{
	RingFate	fate = RingMark(seq);

	return fate != RING_UNDECIDED ? fate : fate_of_transaction(xid, oldest);
}

RingSeq
RingHead(void)
{
	RingSeq		head = pg_atomic_read_u64(&ring->head);

	pg_read_barrier();
	return head;
}

void
RingUsage(Size *used, Size *size)
{
	*used = 0;
	*size = ring->size;
	LWLockAcquire(SharedLockOf(LOCK_RING), LW_SHARED);
	if (pg_atomic_read_u64(&ring->tail) < pg_atomic_read_u64(&ring->head))
		*used = ring->written -
			slot_of(pg_atomic_read_u64(&ring->tail))->start;
	LWLockRelease(SharedLockOf(LOCK_RING));
}
