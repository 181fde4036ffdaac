/*-------------------------------------------------------------------------
 *
 * batch.h
 *		Questions of one kind that are answered together.
 *
 * worker.c takes them from the mailbox, begins the transaction, and calls the
 * handler of their kind with all of them, in a subtransaction, between
 * SPI_connect() and SPI_finish().  Where that fails, it calls it again with
 * each question alone.  What is unanswered in the end could not be answered.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_BATCH_H
#define QUIZRT_BATCH_H

#include "bus/mailbox.h"
#include "bus/question.h"

typedef struct Batch
{
	MailboxQuestion *questions;
	bool	   *answered;
	int			count;
	SnapshotJoin join;			/* of the transaction; before it: zero */
} Batch;

/* Answer the questions from..to-1 that aren't answered yet; may throw. */
typedef void (*BatchHandler) (Batch *batch, int from, int to);

/* Answer one of them. */
extern void BatchAnswer(Batch *batch, int number, const StringInfo answer);

#endif							/* QUIZRT_BATCH_H */
