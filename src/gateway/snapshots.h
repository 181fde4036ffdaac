/*-------------------------------------------------------------------------
 *
 * snapshots.h
 *		What a topic shows at the moment, made once for all who ask at the
 *		same time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_SNAPSHOTS_H
#define QUIZRT_SNAPSHOTS_H

#include "gateway/stream.h"
#include "wire/frame.h"

/*
 * A snapshot that was made.  As long as anybody holds it, the stream keeps
 * what was delivered since it was asked for, so that the updates that follow
 * it can be replayed to each of its recipients.
 */
typedef struct TopicSnapshot
{
	int			holders;
	uint64		number;			/* later ones have greater numbers */
	EventText	rows;			/* the JSON array */
	Frame	   *frame;			/* worded by the dialect, or NULL; released
								 * with the snapshot */
	StreamMark	mark;
	SnapshotJoin join;
} TopicSnapshot;

typedef struct SnapshotWait SnapshotWait;

/*
 * Called once, from the loop and never from SnapshotWanted(): with a snapshot
 * (to be held by who keeps it), or NULL where the database could not make one
 * in time.  The wait is over then.
 */
typedef void (*SnapshotHandler) (void *owner, TopicSnapshot *snapshot);

extern void SnapshotsInit(void);

/*
 * Ask for a topic's snapshot.  "fresh": one that is made after this call;
 * else one that is being made, or was made a moment ago, will do.
 */
extern SnapshotWait *SnapshotWanted(EventText topic, bool fresh,
									SnapshotHandler handler, void *owner);

/* The owner has gone.  NULL is allowed. */
extern void SnapshotCancel(SnapshotWait *wait);

extern void SnapshotHold(TopicSnapshot *snapshot);
extern void SnapshotRelease(TopicSnapshot *snapshot);

#endif							/* QUIZRT_SNAPSHOTS_H */
