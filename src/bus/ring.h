/*-------------------------------------------------------------------------
 *
 * ring.h
 *		The ring in shared memory that carries events from the transactions
 *		that publish to the gateways.
 *
 * The model, and why it is exact, is in ring.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_RING_H
#define QUIZRT_RING_H

#include "common/shared.h"
#include "lib/stringinfo.h"

/* Entries are numbered from 1 in the order of their reservation. */
typedef uint64 RingSeq;

#define INVALID_RING_SEQ	((RingSeq) 0)

typedef enum RingFate
{
	RING_UNDECIDED,				/* the transaction is still running */
	RING_COMMITTED,
	RING_ABORTED
} RingFate;

typedef enum RingReadResult
{
	RING_READ,					/* an entry was read */
	RING_END,					/* there is nothing new */
	RING_OVERTAKEN				/* entries were overwritten unread */
} RingReadResult;

/* A reader's position; belongs to one process. */
typedef struct RingReader
{
	RingSeq		next;			/* the entry to read next */
	int			gateway;		/* number of the gateway, or -1: nobody
								 * depends on what this reader misses */
} RingReader;

/* An entry as a reader copied it. */
typedef struct RingEntry
{
	RingSeq		seq;
	TransactionId xid;			/* of the top-level transaction */
	Size		length;			/* bytes that were appended to the buffer */
} RingEntry;

extern const SharedPart ring_part;

/*
 * For writers: backends that are committing.
 */

/* Is there a ring, and any gateway configured to read it? */
extern bool RingInUse(void);

/* The most bytes that one transaction may put into one entry. */
extern Size RingMaxEntrySize(void);

/*
 * Copy an entry into the ring, undecided.  "length" is at most
 * RingMaxEntrySize().  Overwrites the oldest entries where there is no room;
 * never waits for a reader.  To be called at pre-commit, with the xid of the
 * top-level transaction.
 */
extern RingSeq RingReserve(TransactionId xid, const char *bytes, Size length);

/*
 * Mark an entry and wake the gateways.  For the commit and abort callbacks:
 * allocates nothing and can't fail.
 */
extern void RingFinish(RingSeq seq, bool committed);

/*
 * For readers.
 */

/* Begin at the oldest entry there is. */
extern void RingReaderStart(RingReader *reader, int gateway);

/*
 * Copy the next entry's bytes to the end of "buffer".  When the reader was
 * overtaken it is moved to the oldest entry there is, and what it skipped is
 * gone: its subscribers are to be resynchronised.
 */
extern RingReadResult RingRead(RingReader *reader, RingEntry *entry,
							   StringInfo buffer);

/*
 * Has an entry that this gateway skipped been committed since?  True once
 * for each time.
 */
extern bool RingResyncRequested(int gateway);

/* What the entry's own mark says: no lock, never throws. */
extern RingFate RingMark(RingSeq seq);

/*
 * Has the entry's place been taken, so that it will have no mark if it has
 * none yet?
 */
extern bool RingMarkGone(RingSeq seq);

/*
 * What became of an entry's transaction.  "oldest" is an xid that is not
 * newer than any the caller still asks about.  Can throw: see ring.c.
 */
extern RingFate RingResolve(RingSeq seq, TransactionId xid,
							TransactionId oldest);

/* The number that the next reserved entry will get. */
extern RingSeq RingHead(void);

/* Bytes between the oldest entry and the head, and in all: for statistics. */
extern void RingUsage(Size *used, Size *size);

#endif							/* QUIZRT_RING_H */
