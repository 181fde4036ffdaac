/*-------------------------------------------------------------------------
 *
 * stream.h
 *		The gateway's reading of the ring: what has committed, in causal
 *		order, to the topics.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_STREAM_H
#define QUIZRT_STREAM_H

#include "bus/question.h"
#include "lib/ilist.h"

/*
 * A place in the stream of delivered entries.  While a mark is set, what is
 * delivered after it is kept, so that it can be replayed to somebody whose
 * answer from the database was made in the meantime.
 */
typedef struct StreamMark
{
	dlist_node	node;
	uint64		position;		/* entries delivered before it */
	bool		set;
	bool		broken;			/* entries after it were lost: what was
								 * asked must be asked again */
} StreamMark;

extern void StreamInit(int gateway);

/*
 * Read, resolve and deliver what is new; bounded.  Returns true where there
 * is more to do at once.
 */
extern bool StreamRun(void);

/*
 * Read everything that is in the ring, and deliver all of it that can be
 * visible to anybody by now, marked or not.
 */
extern void StreamCatchUp(void);

extern void StreamMarkSet(StreamMark *mark);
extern void StreamMarkClear(StreamMark *mark);

/* Set a mark at the place of another one, which is cleared. */
extern void StreamMarkTake(StreamMark *mark, StreamMark *from);

/* Something was lost: what was asked must be asked again. */
extern void StreamBreakMarks(void);

/*
 * Call for each event that was delivered after the mark and is not part of
 * the answer that the join belongs to.  The handler returns false to stop.
 */
typedef bool (*ReplayHandler) (void *context, const Event *event);

extern void StreamReplay(const StreamMark *mark, const SnapshotJoin *join,
						 ReplayHandler handler, void *context);

/* Entries that are read and whose transaction is still running. */
extern int	StreamPending(void);

#endif							/* QUIZRT_STREAM_H */
