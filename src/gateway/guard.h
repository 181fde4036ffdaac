/*-------------------------------------------------------------------------
 *
 * guard.h
 *		An error costs the unit of work in which it happens, not the process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_GUARD_H
#define QUIZRT_GUARD_H

/*
 * Call work(argument).  Returns false where it threw an error: that is logged
 * then (at most so many in a minute) and forgotten, and the memory context is
 * the caller's again.  What the work had changed stays as it was; the caller
 * gives up what it was done for.
 */
extern bool Guarded(void (*work) (void *argument), void *argument);

#endif							/* QUIZRT_GUARD_H */
