/*-------------------------------------------------------------------------
 *
 * quiz_access.c
 *		What an owner may see: grants, and losing them.
 *
 * Whose a quiz is, is asked once and remembered for the connection as a
 * grant: a subscription to the internal topic "grant:<quiz id>", through
 * which a revocation finds it.  Every channel subscription stands on the
 * grant of its quiz; when the quiz changes hands all of them end together.
 * Denials are not remembered.
 *
 * A revocation comes in the stream, in commit order with the data, so nothing
 * that is committed after it reaches the old owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/counters.h"
#include "common/settings.h"
#include "gateway/dialect.h"
#include "gateway/quiz.h"

static char *
grant_topic(const char *quiz)
{
	return psprintf("grant:%s", quiz);
}

Subscription *
QuizFindGrant(QuizSession *session, const char *quiz)
{
	char	   *topic = grant_topic(quiz);
	Subscription *grant = SubscriptionFind(&session->internal,
										   EventTextOf(topic));

	pfree(topic);
	return grant;
}

Subscription *
QuizAddGrant(Connection *connection, const char *quiz)
{
	QuizSession *session = connection->session;
	Subscription *grant = QuizFindGrant(session, quiz);
	char	   *topic;

	if (grant != NULL)
		return grant;
	topic = grant_topic(quiz);
	grant = Subscribe(connection, EventTextOf(topic), &session->internal);
	pfree(topic);
	return grant;
}

static Subscription *
find_standing_on(QuizSession *session, const Subscription *grant)
{
	dlist_iter	iter;

	dlist_foreach(iter, &session->channels)
	{
		Subscription *at = dlist_container(Subscription, node, iter.cur);

		if (at->grant == grant)
			return at;
	}
	return NULL;
}

/* A grant without channels is kept for the next time, but not many of them:
 * who walks through thousands of quizzes asks anew. */
void
QuizReleaseGrant(QuizSession *session, Subscription *grant)
{
	dlist_iter	iter;
	int			idle = 0;

	if (find_standing_on(session, grant) != NULL)
		return;
	dlist_foreach(iter, &session->internal)
	{
		idle++;
	}
	if (idle > session->nchannels + quizrt_max_subscriptions)
		Unsubscribe(grant);
}

void
QuizRevokeChannel(Connection *connection, Subscription *subscription)
{
	char	   *topic = pstrdup(subscription->topic->name);

	CounterAdd(COUNTER_ACCESS_REVOKED, 1);
	QuizEndChannel(connection->session, subscription);
	QuizSendErrorAbout(connection, "Access revoked", topic);
	pfree(topic);
}

void
QuizRevokeGrant(Connection *connection, Subscription *grant)
{
	Subscription *subscription;

	while ((subscription = find_standing_on(connection->session,
											grant)) != NULL)
	{
		QuizRevokeChannel(connection, subscription);
		if (connection->state != CONNECTION_OPEN)
			return;
	}
	Unsubscribe(grant);
}

/* The new owner keeps what it has. */
static void
revoke_unless_owner(Subscription *grant, Connection *connection,
					void *context)
{
	const Event *event = context;
	QuizSession *session = connection->session;

	if (!EventTextEquals(event->slug, EventTextOf(session->owner)))
		QuizRevokeGrant(connection, grant);
}

static void
revoke_one(Subscription *subscription, Connection *connection, void *context)
{
	QuizRevokeChannel(connection, subscription);
}

char *
QuizIdOfSubject(EventText subject, const char *type)
{
	EventText	prefix = QuizChannelType(subject);

	if (!TextIs(prefix, type) || prefix.length == subject.length)
		return NULL;
	return pnstrdup(subject.bytes + prefix.length + 1,
					subject.length - prefix.length - 1);
}

static void
for_each_subscriber(const char *type, const char *id,
					void (*callback) (Subscription *, Connection *, void *),
					void *context)
{
	char	   *name = psprintf("%s:%s", type, id);
	Topic	   *topic = TopicFind(EventTextOf(name));

	if (topic != NULL)
		TopicForEach(topic, callback, context);
	pfree(name);
}

void
QuizRevoke(const Event *event)
{
	char	   *quiz = QuizIdOfSubject(event->topics[0], "quiz");
	char	   *stream = QuizIdOfSubject(event->topics[0], "event");

	if (quiz != NULL)
		for_each_subscriber("grant", quiz, revoke_unless_owner,
							(void *) event);
	if (stream != NULL)
	{
		for_each_subscriber("attempts", stream, revoke_one, NULL);
		for_each_subscriber("leaderboard", stream, revoke_one, NULL);
	}
}
