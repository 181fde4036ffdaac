/*-------------------------------------------------------------------------
 *
 * quiz.h
 *		The quiz API's session, shared by the files that implement it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_QUIZ_H
#define QUIZRT_QUIZ_H

#include "gateway/connection.h"
#include "gateway/topics.h"

/* The session of one client. */
typedef struct QuizSession
{
	bool		participant;	/* else an owner */
	char	   *owner;			/* id, once known; NULL for participants */
	int			nchannels;		/* on the list of channels */
	dlist_head	channels;		/* subscriptions that the client named */
	dlist_head	internal;		/* its credential's handle, and its grants */
	dlist_head	requests;		/* subscribe and unsubscribe messages, oldest
								 * first; the first one may be waiting for an
								 * answer */
	Size		request_bytes;	/* of all of them */
} QuizSession;

/* Memory of this dialect that outlives a message. */
extern MemoryContext quiz_context;

/* Send {"event":"error","t":null,"error":<text>}.  The connection may be
 * closed by it. */
extern void QuizSendError(Connection *connection, const char *text,
						  size_t length);

/* Send {"event":<event>,"t":null,"subscriptions":[<texts>]}. */
extern void QuizSendConfirmation(Connection *connection, const char *event,
								 char *const *texts, int ntexts);

/* An owner's message: subscribe or unsubscribe (quiz_channels.c). */
extern void QuizOwnerMessage(Connection *connection, const char *bytes,
							 size_t length);

/* The session ends: its requests are forgotten. */
extern void QuizForgetRequests(QuizSession *session);

/* Events that are no update, and the loss of some. */
extern void QuizEvent(const Event *event);
extern void QuizLost(void);
extern void QuizCaughtUp(Connection *connection);

/* The part of a topic before the colon. */
static inline EventText
QuizChannelType(EventText topic)
{
	const char *colon = memchr(topic.bytes, ':', topic.length);

	if (colon != NULL)
		topic.length = (uint32) (colon - topic.bytes);
	return topic;
}

#endif							/* QUIZRT_QUIZ_H */
