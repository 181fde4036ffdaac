/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *		Work that may fail without the transaction around it failing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_SUBTRANSACTION_H
#define QUIZRT_SUBTRANSACTION_H

/*
 * Do work in a subtransaction.  Returns NULL, or the error with which it
 * failed, in the caller's memory context; all that it did is undone then.
 * Which errors are to be thrown on is the caller's decision: ReThrowError().
 */
extern ErrorData *RunInSubtransaction(void (*work) (void *arg), void *arg);

#endif							/* QUIZRT_SUBTRANSACTION_H */
