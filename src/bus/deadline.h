/*-------------------------------------------------------------------------
 *
 * deadline.h
 *		When the next deadline is: what sessions tell the query workers.
 *
 * One time is enough for any number of attempts: whoever serves it looks for
 * the next one in the table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_DEADLINE_H
#define QUIZRT_DEADLINE_H

#include "common/shared.h"
#include "datatype/timestamp.h"

/* In the place of a time: look at once, because nobody knows. */
#define DEADLINE_UNKNOWN	DT_NOBEGIN
/* And: there is none. */
#define DEADLINE_NONE		DT_NOEND

extern const SharedPart deadline_part;

/* Is there anybody to be told? */
extern bool DeadlineInUse(void);

/*
 * A deadline is in sight of everybody.  Wakes the query workers if it is
 * earlier than what they wait for.  Never fails or waits: for the commit
 * callback, which comes when the transaction is visible.
 */
extern void DeadlineAnnounce(TimestampTz deadline);

/*
 * For query workers.  One of them at a time closes attempts: who has the
 * claim.  DeadlineBegin() takes it, unless another worker has it, and forgets
 * the time; from then on the caller has to find out what the next one is, and
 * says so by DeadlineEnd().  Deadlines that commit meanwhile are either seen
 * by it, or announced after it began.  The others are woken, in case the
 * caller is busy when the time comes, unless it "goes on" at once.
 */
extern TimestampTz DeadlineNext(void);
extern bool DeadlineClaimed(void);
extern bool DeadlineBegin(int worker);
extern void DeadlineEnd(int worker, TimestampTz next, bool goes_on);

/* A worker leaves, perhaps in the middle of it. */
extern void DeadlineForgetWorker(int worker);

#endif							/* QUIZRT_DEADLINE_H */
