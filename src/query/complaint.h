/*-------------------------------------------------------------------------
 *
 * complaint.h
 *		Errors that a worker survives, said in the log and not repeated.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_COMPLAINT_H
#define QUIZRT_COMPLAINT_H

/*
 * Log an error that was caught; at most once a minute for each kind.  "what"
 * says what could not be done ("could not answer").
 */
extern void Complain(const char *what, const ErrorData *error);

/*
 * For the CATCH part of a worker's loop: abort what was going on, so that the
 * loop can go on, and complain.  "context" is a memory context that outlives
 * the transaction.  "what" may be NULL: nobody needs to know.
 */
extern void RecoverFromError(const char *what, MemoryContext context);

/*
 * Do a part of a transaction's work in a subtransaction.  Returns false if it
 * failed; complains about it unless "what" is NULL.  Errors that end all of
 * the transaction's work (a cancellation, a timeout) are thrown on.
 */
extern bool TryInSubtransaction(const char *what, void (*work) (void *arg),
								void *arg);

/* How many errors were complained about, logged or not. */
extern uint64 ComplaintCount(void);

#endif							/* QUIZRT_COMPLAINT_H */
