/*-------------------------------------------------------------------------
 *
 * mailbox.h
 *		Questions from gateways to query workers, and the answers.
 *
 * A question is bytes with a kind; an answer is bytes.  What they mean is
 * question.h's.  The gateway gives each question a number of its own and gets
 * it back with the answer; whether the connection that wanted to know is
 * still there is for the gateway to find out then.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_MAILBOX_H
#define QUIZRT_MAILBOX_H

#include "common/shared.h"
#include "utils/timestamp.h"

typedef enum QuestionKind
{
	QUESTION_CREDENTIAL,		/* who is it? */
	QUESTION_CHANNELS,			/* whose is it, and what is there? */
	QUESTION_SNAPSHOT,			/* the same, of what may be large */
	QUESTION_STATUS,			/* the security API's last system status */
	QUESTION_KINDS
} QuestionKind;

/* A question as the gateway that asked it knows it. */
typedef struct QuestionRef
{
	uint32		slot;
	uint32		generation;
} QuestionRef;

/* An answer as the gateway gets it; give it back with MailboxDone(). */
typedef struct MailboxAnswer
{
	uint64		cookie;			/* the asking gateway's number for it */
	bool		answered;		/* false: the worker could not answer */
	const char *bytes;
	Size		length;
	uint32		slot;			/* private to mailbox.c */
} MailboxAnswer;

/* A question as the query worker gets it. */
typedef struct MailboxQuestion
{
	uint32		slot;
	TimestampTz deadline;		/* nobody waits for an answer after it */
	const char *bytes;			/* valid until it is answered */
	Size		length;
} MailboxQuestion;

extern const SharedPart mailbox_part;

/* Every process that uses the mailbox, once, before anything else here. */
extern void MailboxAttach(void);

/*
 * For gateways.  None of these throws.
 */

/* Ask; false where the mailbox or the memory for questions is full. */
extern bool MailboxAsk(int gateway, QuestionKind kind, uint64 cookie,
					   TimestampTz deadline, const char *bytes, Size length,
					   QuestionRef *ref);

/* The next answer that has come for this gateway, if any. */
extern bool MailboxNextAnswer(int gateway, MailboxAnswer *answer);

/* Done with an answer: its memory is given back. */
extern void MailboxDone(const MailboxAnswer *answer);

/* Nobody waits for it any more; an answer will not be reported. */
extern void MailboxAbandon(QuestionRef ref);

/* At start and exit of a gateway: forget all its questions and answers. */
extern void MailboxForgetGateway(int gateway);

/*
 * For query workers.
 */

/*
 * Take up to "max" waiting questions of one kind: that of the oldest waiting,
 * but snapshots, which may take long, only one at a time, when nothing else
 * waits, and not by the first worker where there are others.  Returns how
 * many.  Questions whose deadline has passed are dropped here.
 */
extern int	MailboxTake(int worker, QuestionKind *kind,
						MailboxQuestion *questions, int max);

/* Answer a question that was taken, and wake the gateway. */
extern void MailboxAnswerQuestion(uint32 slot, const char *bytes, Size length);

/* The same where there is no answer to be had. */
extern void MailboxCannotAnswer(uint32 slot);

/* At start and exit of a worker: what it took goes back to the queue. */
extern void MailboxForgetWorker(int worker);

/* How many questions are waiting or being answered: for statistics. */
extern int	MailboxDepth(void);
extern void MailboxCounts(int *waiting, int *being_answered);

#endif							/* QUIZRT_MAILBOX_H */
