/*-------------------------------------------------------------------------
 *
 * questions.h
 *		What this gateway has asked the query workers and not heard yet.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_QUESTIONS_H
#define QUIZRT_QUESTIONS_H

#include "bus/mailbox.h"
#include "gateway/stream.h"
#include "gateway/timer.h"

/*
 * Called once for each question that was not cancelled: with the answer's
 * bytes, or NULL where the database could not answer in time.  Everything that
 * the answer can have seen has been delivered before (StreamCatchUp), and the
 * mark isn't broken, so that StreamReplay(mark, join) gives exactly what the
 * answer has not seen.
 */
typedef void (*AnswerHandler) (void *owner, const char *bytes, Size length,
							   StreamMark *mark);

typedef struct Question Question;

extern void QuestionsInit(int gateway);

/*
 * Ask.  Always returns a question (or throws for want of memory): where the
 * mailbox is full it waits for its turn here, until its deadline.  The bytes
 * are copied.  What the stream delivers from now on is kept until the
 * question is done.
 */
extern Question *QuestionAsk(QuestionKind kind, const char *bytes, Size length,
							 AnswerHandler handler, void *owner);

/* The owner has gone; the handler will not be called.  NULL is allowed. */
extern void QuestionCancel(Question *question);

/*
 * Take the answers that have come, and hand on questions that waited.
 * Returns when to be called again at the latest.
 */
extern TimeMs QuestionsRun(void);

/* How many are not answered yet. */
extern int	QuestionsOpen(void);

#endif							/* QUIZRT_QUESTIONS_H */
