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
#include "gateway/snapshots.h"
#include "gateway/topics.h"

/* The session of one client. */
typedef struct QuizSession
{
	bool		participant;	/* else an owner */
	bool		unverified;		/* events were lost: its access may have ended
								 * (quiz_resync.c) */
	struct Request *recheck;	/* that finds out, while it is on its way */
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

/* Find out again whether the credential is good. */
extern void QuizRecheckCredential(Connection *connection);

/* Send {"event":"error","t":null,"error":<text>}.  The connection may be
 * closed by it. */
extern void QuizSendError(Connection *connection, const char *text,
						  size_t length);

/* The same of "<what>: <topic>". */
extern void QuizSendErrorAbout(Connection *connection, const char *what,
							   const char *topic);

/* Send {"event":<event>,"t":null,"subscriptions":[<texts>]}. */
extern void QuizSendConfirmation(Connection *connection, const char *event,
								 char *const *texts, int ntexts);

/*
 * quiz_channels.c: an owner's messages
 */

extern void QuizOwnerMessage(Connection *connection, const char *bytes,
							 size_t length);

/* Find out again whether the owner may see what it is subscribed to. */
extern void QuizRecheck(Connection *connection);

/* Carry out what waits, until something needs the database. */
extern void QuizCarryOn(Connection *connection);

/* The session ends: its requests are forgotten. */
extern void QuizForgetRequests(QuizSession *session);

/* A subscription of the session by its topic, or NULL. */
extern Subscription *QuizFindChannel(QuizSession *session, EventText topic);

/* End one of the client's subscriptions. */
extern void QuizEndChannel(QuizSession *session, Subscription *subscription);

/*
 * quiz_access.c: grants, and losing access
 */

/* The grant of a quiz by its id, or NULL; and one that is made if need be. */
extern Subscription *QuizFindGrant(QuizSession *session, const char *quiz);
extern Subscription *QuizAddGrant(Connection *connection, const char *quiz);

/* Nothing stands on it any more, perhaps. */
extern void QuizReleaseGrant(QuizSession *session, Subscription *grant);

/* A grant ends, and every subscription that stands on it.  May end the
 * connection. */
extern void QuizRevokeGrant(Connection *connection, Subscription *grant);

/* The id of a subject such as "quiz:42", palloc'd; NULL: of another type. */
extern char *QuizIdOfSubject(EventText subject, const char *type);

/* EVENT_REVOKE, of a quiz or an event stream. */
extern void QuizRevoke(const Event *event);

/* A subscription ends, and its client is told.  May end the connection. */
extern void QuizRevokeChannel(Connection *connection,
							  Subscription *subscription);

/*
 * quiz_resync.c: snapshots, and making good for lost updates
 */

/* Does a topic have snapshots that its subscribers get? */
extern bool QuizHasSnapshot(EventText topic);

/*
 * Send a snapshot and the updates since.  May end the connection, or begin
 * another resynchronisation.
 */
extern void QuizSendSnapshot(Subscription *subscription, TopicSnapshot *snapshot);

/*
 * The client may have missed something: nothing more until a fresh snapshot
 * has been sent, or "Updates lost" at once.  May end the connection.
 */
extern void QuizRefresh(Subscription *subscription);

/* EVENT_RESYNC and EVENT_RANKING. */
extern void QuizResynchronise(const Event *event);
extern void QuizRankingChanged(const Event *event);

/* Events were lost and nobody knows which. */
extern void QuizLost(void);

/* Is everybody to be resynchronised in a moment? */
extern bool QuizLossPending(void);

/* One of the questions about an unverified session was answered well; if it
 * was the last one, the session goes on.  May end the connection. */
extern void QuizVerified(Connection *connection);

/* One of them could not be answered: the connection ends, unless all are to
 * be asked again in a moment. */
extern void QuizNotVerified(Connection *connection);

/* A slow client takes what it is sent again. */
extern void QuizCaughtUp(Connection *connection);

/* A topic ends that this dialect has set "extra" for. */
extern void QuizTopicEnded(Topic *topic);

/* The part of a topic before the colon. */
static inline EventText
QuizChannelType(EventText topic)
{
	const char *colon = memchr(topic.bytes, ':', topic.length);

	if (colon != NULL)
		topic.length = (uint32) (colon - topic.bytes);
	return topic;
}

static inline bool
TextIs(EventText text, const char *word)
{
	return EventTextEquals(text, EventTextOf(word));
}

#endif							/* QUIZRT_QUIZ_H */
