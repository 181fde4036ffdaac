/*-------------------------------------------------------------------------
 *
 * deadlines.h
 *		Attempts are closed when their time is up.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_DEADLINES_H
#define QUIZRT_DEADLINES_H

/*
 * Close some of the attempts that are due, if any are; false if there was
 * nothing to do.  Catches its errors.  "context" lives until the end of the
 * turn.
 */
extern bool DeadlinesServe(int worker, MemoryContext context);

/* For how many milliseconds there is nothing to do, as far as is known. */
extern long DeadlinesWait(int worker);

/* Has the next deadline changed?  Then that is why we were woken. */
extern bool DeadlinesHeard(void);

#endif							/* QUIZRT_DEADLINES_H */
