/*-------------------------------------------------------------------------
 *
 * quiz_channels.c
 *		The channels of a quiz owner: subscribing, unsubscribing, and losing
 *		access.
 *
 * A client's messages are carried out one after the other, in the order in
 * which they came.  One that needs the database makes those behind it wait;
 * the connection's other traffic goes on.
 *
 * Whose a quiz is, is asked once and remembered as a grant: a subscription to
 * the internal topic "grant:<quiz id>", through which a revocation finds it.
 * Every channel subscription stands on a grant; when the quiz changes hands
 * all of them end together.  Denials are not remembered.
 *
 * What was committed between the answer's snapshot and the subscription is
 * replayed from the stream, so that an update or a revocation in between is
 * not missed.
 *
 * Sending can end the connection, and with it the session and its requests:
 * after each send the state is looked at again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/counters.h"
#include "common/settings.h"
#include "gateway/dialect.h"
#include "gateway/questions.h"
#include "gateway/quiz.h"
#include "gateway/stream.h"
#include "utils/memutils.h"
#include "wire/client_message.h"

/* Room for a normalised channel, as ChannelParse() asks for. */
#define TOPIC_SIZE	64

/* What a client may send ahead, in bytes, while an answer is on its way. */
#define MAX_WAITING_BYTES	((Size) quizrt_max_queue_size)

typedef enum ChannelState
{
	CHANNEL_TO_CHECK,			/* ask whose it is */
	CHANNEL_GRANTED_BEFORE,		/* stands on a grant that is there */
	CHANNEL_ALLOWED,			/* the answer says so */
	CHANNEL_REFUSED				/* "error" says why */
} ChannelState;

/* A channel that a message names. */
typedef struct RequestedChannel
{
	ChannelState state;
	const char *error;
	char	   *asked;			/* as the client wrote it */
	char		topic[TOPIC_SIZE];
	char	   *quiz;			/* id of the quiz, once allowed */
} RequestedChannel;

/* A message that is being carried out, or waits for its turn. */
typedef struct Request
{
	dlist_node	node;			/* on the session's list */
	Connection *connection;
	MemoryContext context;		/* all that belongs to it */
	Size		bytes;			/* that it counts for */
	char	   *complaint;		/* the message was wrong: the error to send */
	bool		subscribe;
	Question   *question;		/* the answer that it waits for */
	int			nchannels;
	RequestedChannel *channels;
} Request;

static void carry_on(Connection *connection);
static void revoke(const Event *event);

/*
 * Requests
 */

static Request *
first_request(QuizSession *session)
{
	if (dlist_is_empty(&session->requests))
		return NULL;
	return dlist_container(Request, node,
						   dlist_head_node(&session->requests));
}

static void
forget(QuizSession *session, Request *request)
{
	QuestionCancel(request->question);
	session->request_bytes -= request->bytes;
	dlist_delete(&request->node);
	MemoryContextDelete(request->context);
}

void
QuizForgetRequests(QuizSession *session)
{
	while (first_request(session) != NULL)
		forget(session, first_request(session));
}

/* Put a new request behind those that wait. */
static Request *
add_request(Connection *connection, Size bytes)
{
	QuizSession *session = connection->session;
	MemoryContext context = AllocSetContextCreate(quiz_context,
												  "quizrt request",
												  ALLOCSET_SMALL_SIZES);
	Request    *request = MemoryContextAllocZero(context, sizeof(Request));

	request->connection = connection;
	request->context = context;
	request->bytes = bytes;
	session->request_bytes += bytes;
	dlist_push_tail(&session->requests, &request->node);
	return request;
}

/* The strings of the message are copied. */
static void
add_message(Connection *connection, const QuizMessage *message, Size bytes)
{
	Request    *request = add_request(connection, bytes);
	MemoryContext old = MemoryContextSwitchTo(request->context);

	request->subscribe = message->subscribe;
	request->channels = palloc0(sizeof(RequestedChannel) *
								message->nsubscriptions);
	for (int i = 0; i < message->nsubscriptions; i++)
		request->channels[i].asked = pstrdup(message->subscriptions[i]);
	request->nchannels = message->nsubscriptions;
	MemoryContextSwitchTo(old);
}

/* An error of a message as a whole. */
static void
add_complaint(Connection *connection, const char *error, const char *detail,
			  Size bytes)
{
	Request    *request;
	StringInfoData text;

	if (!ConnectionCountError(connection))
		return;
	request = add_request(connection, bytes);
	initStringInfo(&text);
	appendStringInfoString(&text, error);
	if (detail != NULL)
		AppendClipped(&text, detail, strlen(detail));
	request->complaint = MemoryContextStrdup(request->context, text.data);
	pfree(text.data);
}

void
QuizOwnerMessage(Connection *connection, const char *bytes, size_t length)
{
	QuizSession *session = connection->session;
	bool		idle = dlist_is_empty(&session->requests);
	QuizMessage message;

	if (session->request_bytes + length > MAX_WAITING_BYTES)
	{
		CounterAdd(COUNTER_CONNECTIONS_FLOODING, 1);
		ConnectionClose(connection, WS_CLOSE_POLICY_VIOLATION,
						"Too many requests");
		return;
	}
	switch (QuizMessageParse(bytes, length, &message))
	{
		case MESSAGE_NOT_JSON:
			add_complaint(connection, "Invalid message: not valid JSON",
						  NULL, length);
			break;
		case MESSAGE_WRONG_SHAPE:
			add_complaint(connection, "Invalid message: expected "
						  "{\"action\": ..., \"subscriptions\": [...]}",
						  NULL, length);
			break;
		case MESSAGE_UNKNOWN_ACTION:
			add_complaint(connection, "Unknown action: ", message.action,
						  length);
			break;
		case MESSAGE_OK:
			add_message(connection, &message, length);
			break;
	}
	if (idle)
		carry_on(connection);
}

/*
 * Grants and subscriptions
 */

static Subscription *
find_subscription(dlist_head *list, EventText topic)
{
	dlist_iter	iter;

	dlist_foreach(iter, list)
	{
		Subscription *at = dlist_container(Subscription, node, iter.cur);

		if (at->topic->length == topic.length &&
			memcmp(at->topic->name, topic.bytes, topic.length) == 0)
			return at;
	}
	return NULL;
}

static Subscription *
find_grant(QuizSession *session, const char *quiz)
{
	char		topic[TOPIC_SIZE];

	snprintf(topic, sizeof(topic), "grant:%s", quiz);
	return find_subscription(&session->internal, EventTextOf(topic));
}

static Subscription *
add_grant(Connection *connection, const char *quiz)
{
	QuizSession *session = connection->session;
	Subscription *grant = find_grant(session, quiz);
	char		topic[TOPIC_SIZE];

	if (grant != NULL)
		return grant;
	snprintf(topic, sizeof(topic), "grant:%s", quiz);
	return Subscribe(connection, EventTextOf(topic), &session->internal);
}

/* A grant that nothing stands on is kept, but not too many of them. */
static void
release_grant(QuizSession *session, Subscription *grant)
{
	dlist_iter	iter;

	if (session->nchannels < quizrt_max_subscriptions)
		return;
	dlist_foreach(iter, &session->channels)
	{
		if (dlist_container(Subscription, node, iter.cur)->grant == grant)
			return;
	}
	Unsubscribe(grant);
}

static void
end_subscription(QuizSession *session, Subscription *subscription)
{
	Unsubscribe(subscription);
	session->nchannels--;
}

/* "<channel>: <why>", as the client wrote it */
static void
send_denial(Connection *connection, const RequestedChannel *channel)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, "Subscription denied: ");
	AppendClipped(&text, channel->asked, strlen(channel->asked));
	appendStringInfo(&text, ": %s", channel->error);
	CounterAdd(COUNTER_SUBSCRIPTIONS_DENIED, 1);
	QuizSendError(connection, text.data, text.len);
	pfree(text.data);
}

/*
 * Subscribing
 */

static void
refuse_channel(RequestedChannel *channel, const char *error)
{
	channel->state = CHANNEL_REFUSED;
	channel->error = error;
}

/* What can be said about a channel without the database. */
static void
judge(QuizSession *session, RequestedChannel *channel)
{
	bool		valid_id;
	ChannelType type = ChannelParse(channel->asked, channel->topic, &valid_id);
	Subscription *there;

	if (type == CHANNEL_UNKNOWN)
		refuse_channel(channel, "unknown channel type");
	else if (type == CHANNEL_NOTIFICATION)
		refuse_channel(channel, "managed by the server");
	else if (!valid_id)
		refuse_channel(channel, "invalid id");
	else
	{
		there = find_subscription(&session->channels,
								  EventTextOf(channel->topic));
		channel->state = there != NULL ||
			(type == CHANNEL_QUIZ &&
			 find_grant(session, strchr(channel->topic, ':') + 1) != NULL) ?
			CHANNEL_GRANTED_BEFORE : CHANNEL_TO_CHECK;
	}
}

static int
count_in_state(const Request *request, ChannelState state)
{
	int			n = 0;

	for (int i = 0; i < request->nchannels; i++)
	{
		if (request->channels[i].state == state)
			n++;
	}
	return n;
}

static void complete(Request *request, const SnapshotJoin *join,
					 const StreamMark *mark);
static void ask(Request *request);

/* No answer: what had to be asked is refused, the rest goes on. */
static void
unavailable(Request *request)
{
	for (int i = 0; i < request->nchannels; i++)
	{
		if (request->channels[i].state == CHANNEL_TO_CHECK)
			refuse_channel(&request->channels[i], "temporarily unavailable");
	}
	complete(request, NULL, NULL);
}

/* Enter the verdicts into the request. */
static bool
take_verdicts(Request *request, ChannelsCursor *cursor)
{
	for (int i = 0; i < request->nchannels; i++)
	{
		RequestedChannel *channel = &request->channels[i];
		ChannelAnswer answer;

		if (channel->state != CHANNEL_TO_CHECK)
			continue;
		if (!ChannelsAnswerNext(cursor, &answer))
			return false;
		switch (answer.verdict)
		{
			case CHANNEL_GRANTED:
				channel->state = CHANNEL_ALLOWED;
				channel->quiz = MemoryContextStrdup(request->context,
													pnstrdup(answer.quiz.bytes,
															 answer.quiz.length));
				break;
			case CHANNEL_DENIED:
				refuse_channel(channel, "not found or not owned");
				break;
			case CHANNEL_UNAVAILABLE:
				refuse_channel(channel, "temporarily unavailable");
				break;
		}
	}
	return true;
}

static void
answered(void *owner, const char *bytes, Size length, StreamMark *mark)
{
	Request    *request = owner;
	Connection *connection = request->connection;
	SnapshotJoin join;
	ChannelsCursor cursor;

	request->question = NULL;
	if (bytes == NULL ||
		!ChannelsAnswerOpen(bytes, length, &join, &cursor) ||
		!take_verdicts(request, &cursor))
		unavailable(request);
	else
		complete(request, &join, mark);
	carry_on(connection);
}

static void
ask(Request *request)
{
	QuizSession *session = request->connection->session;
	StringInfoData bytes;

	initStringInfo(&bytes);
	ChannelsQuestionBegin(&bytes, EventTextOf(session->owner),
						  count_in_state(request, CHANNEL_TO_CHECK));
	for (int i = 0; i < request->nchannels; i++)
	{
		ChannelQuestion channel = {0};

		if (request->channels[i].state != CHANNEL_TO_CHECK)
			continue;
		channel.topic = EventTextOf(request->channels[i].topic);
		channel.check_owner = true;
		ChannelsQuestionAdd(&bytes, &channel);
	}
	request->question = QuestionAsk(QUESTION_CHANNELS, bytes.data, bytes.len,
									answered, request);
	pfree(bytes.data);
}

/* Subscribe to what is allowed, as far as the limit goes. */
static void
enter_subscriptions(Request *request)
{
	Connection *connection = request->connection;
	QuizSession *session = connection->session;

	for (int i = 0; i < request->nchannels; i++)
	{
		RequestedChannel *channel = &request->channels[i];
		EventText	topic = EventTextOf(channel->topic);
		Subscription *subscription;

		if (channel->topic[0] == '\0' ||
			find_subscription(&session->channels, topic) != NULL)
			continue;
		if (session->nchannels >= quizrt_max_subscriptions)
		{
			refuse_channel(channel, "too many subscriptions");
			continue;
		}
		if (channel->state == CHANNEL_REFUSED)
			continue;
		subscription = Subscribe(connection, topic, &session->channels);
		session->nchannels++;
		subscription->grant =
			add_grant(connection, channel->quiz ? channel->quiz :
					  strchr(channel->topic, ':') + 1);
	}
}

/* One confirmation of all that is accepted, then each denial. */
static void
send_verdicts(Request *request, const char *event)
{
	Connection *connection = request->connection;
	char	  **accepted = palloc(sizeof(char *) * request->nchannels);
	int			naccepted = 0;
	int			nrefused = count_in_state(request, CHANNEL_REFUSED);

	for (int i = 0; i < request->nchannels; i++)
	{
		if (request->channels[i].state != CHANNEL_REFUSED)
			accepted[naccepted++] = request->channels[i].topic;
	}
	if (naccepted > 0)
		QuizSendConfirmation(connection, event, accepted, naccepted);
	pfree(accepted);

	if (nrefused > 0 && connection->state == CONNECTION_OPEN)
		ConnectionCountError(connection);
	for (int i = 0; connection->state == CONNECTION_OPEN &&
		 i < request->nchannels; i++)
	{
		if (request->channels[i].state == CHANNEL_REFUSED)
			send_denial(connection, &request->channels[i]);
	}
}

static bool
text_equals(EventText a, EventText b)
{
	return a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}

/* An update that was committed after the answer's snapshot. */
static void
replay_update(Request *request, const Event *event)
{
	Connection *connection = request->connection;

	for (int i = 0; i < event->ntopics; i++)
	{
		for (int j = 0; j < request->nchannels; j++)
		{
			RequestedChannel *channel = &request->channels[j];

			if (channel->state != CHANNEL_ALLOWED ||
				!text_equals(event->topics[i], EventTextOf(channel->topic)))
				continue;
			ConnectionSendOwn(connection,
							  quiz_dialect.word(event, event->topics[i]));
			if (connection->state != CONNECTION_OPEN)
				return;
		}
	}
}

static bool
replay(void *context, const Event *event)
{
	Request    *request = context;
	Connection *connection = request->connection;

	if (event->kind == EVENT_UPDATE)
		replay_update(request, event);
	else if (event->kind == EVENT_REVOKE && event->ntopics > 0)
		revoke(event);
	return connection->state == CONNECTION_OPEN;
}

/* Everything about the request is known: carry it out, and forget it. */
static void
complete(Request *request, const SnapshotJoin *join, const StreamMark *mark)
{
	Connection *connection = request->connection;

	enter_subscriptions(request);
	send_verdicts(request, "subscribed");
	if (connection->state == CONNECTION_OPEN && join != NULL)
		StreamReplay(mark, join, replay, request);
	if (connection->state == CONNECTION_OPEN)
		forget(connection->session, request);
}

static void
subscribe(Request *request)
{
	QuizSession *session = request->connection->session;

	for (int i = 0; i < request->nchannels; i++)
		judge(session, &request->channels[i]);
	if (count_in_state(request, CHANNEL_TO_CHECK) > 0)
		ask(request);
	else
		complete(request, NULL, NULL);
}

/*
 * Unsubscribing
 */

static void
leave_channel(QuizSession *session, const char *topic)
{
	Subscription *subscription = find_subscription(&session->channels,
												   EventTextOf(topic));
	Subscription *grant;

	if (subscription == NULL)
		return;
	grant = subscription->grant;
	end_subscription(session, subscription);
	release_grant(session, grant);
}

/* Every channel is confirmed, also one that was not subscribed; what is none
 * is an error. */
static void
unsubscribe(Request *request)
{
	Connection *connection = request->connection;
	QuizSession *session = connection->session;

	for (int i = 0; i < request->nchannels; i++)
	{
		RequestedChannel *channel = &request->channels[i];

		judge(session, channel);
		if (channel->state == CHANNEL_REFUSED)
			continue;
		leave_channel(session, channel->topic);
		channel->state = CHANNEL_ALLOWED;
	}
	send_verdicts(request, "unsubscribed");
	if (connection->state == CONNECTION_OPEN)
		forget(session, request);
}

static void
send_complaint(Request *request)
{
	Connection *connection = request->connection;

	QuizSendError(connection, request->complaint, strlen(request->complaint));
	if (connection->state == CONNECTION_OPEN)
		forget(connection->session, request);
}

/* Carry out what waits, until something needs the database. */
static void
carry_on(Connection *connection)
{
	Request    *request;

	while (connection->state == CONNECTION_OPEN &&
		   (request = first_request(connection->session)) != NULL &&
		   request->question == NULL)
	{
		if (request->complaint != NULL)
			send_complaint(request);
		else if (request->subscribe)
			subscribe(request);
		else
			unsubscribe(request);
	}
}

/*
 * Losing access, and losing updates
 */

static void
send_about(Connection *connection, const char *what, const char *topic)
{
	char	   *text = psprintf("%s: %s", what, topic);

	QuizSendError(connection, text, strlen(text));
	pfree(text);
}

/* One subscription ends, and its client is told. */
static void
revoke_subscription(Connection *connection, Subscription *subscription)
{
	char	   *topic = pstrdup(subscription->topic->name);

	CounterAdd(COUNTER_ACCESS_REVOKED, 1);
	end_subscription(connection->session, subscription);
	send_about(connection, "Access revoked", topic);
	pfree(topic);
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

/* A grant ends, and every subscription that stands on it. */
static void
revoke_grant(Connection *connection, Subscription *grant)
{
	Subscription *subscription;

	while ((subscription = find_standing_on(connection->session,
											grant)) != NULL)
	{
		revoke_subscription(connection, subscription);
		if (connection->state != CONNECTION_OPEN)
			return;
	}
	Unsubscribe(grant);
}

static void
revoke_grant_unless_kept(Subscription *grant, Connection *connection,
						 void *context)
{
	const Event *event = context;
	QuizSession *session = connection->session;

	if (!text_equals(event->slug, EventTextOf(session->owner)))
		revoke_grant(connection, grant);
}

static void
revoke_one(Subscription *subscription, Connection *connection, void *context)
{
	revoke_subscription(connection, subscription);
}

/* The id of a subject such as "quiz:42", if it is of that type. */
static char *
id_of_subject(EventText subject, const char *type)
{
	EventText	prefix = QuizChannelType(subject);

	if (!text_equals(prefix, EventTextOf(type)) ||
		prefix.length == subject.length)
		return NULL;
	return pnstrdup(subject.bytes + prefix.length + 1,
					subject.length - prefix.length - 1);
}

/* Call for each subscriber of "<type>:<id>". */
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

/* A quiz has a new owner or none, or an event stream another quiz or none. */
static void
revoke(const Event *event)
{
	char	   *quiz = id_of_subject(event->topics[0], "quiz");
	char	   *stream = id_of_subject(event->topics[0], "event");

	if (quiz != NULL)
		for_each_subscriber("grant", quiz, revoke_grant_unless_kept,
							(void *) event);
	if (stream != NULL)
	{
		for_each_subscriber("attempts", stream, revoke_one, NULL);
		for_each_subscriber("leaderboard", stream, revoke_one, NULL);
	}
}

static void
tell_lost(Subscription *subscription, Connection *connection, void *context)
{
	subscription->lost = false;
	send_about(connection, "Updates lost", subscription->topic->name);
}

/* What the topics show has changed without a message, or messages were too
 * many. */
static void
resynchronise(const Event *event)
{
	for (int i = 0; i < event->ntopics; i++)
	{
		Topic	   *topic = TopicFind(event->topics[i]);

		if (topic != NULL && topic->dialect == &quiz_dialect)
			TopicForEach(topic, tell_lost, NULL);
	}
}

void
QuizEvent(const Event *event)
{
	if (event->kind == EVENT_REVOKE && event->ntopics > 0)
		revoke(event);
	else if (event->kind == EVENT_RESYNC)
		resynchronise(event);
}

static Subscription *
find_lost(QuizSession *session)
{
	dlist_iter	iter;

	dlist_foreach(iter, &session->channels)
	{
		Subscription *at = dlist_container(Subscription, node, iter.cur);

		if (at->lost)
			return at;
	}
	return NULL;
}

/* The client is told of what it has not got. */
void
QuizCaughtUp(Connection *connection)
{
	Subscription *subscription;

	while (connection->state == CONNECTION_OPEN &&
		   (subscription = find_lost(connection->session)) != NULL)
		tell_lost(subscription, connection, NULL);
}

/* Nobody knows what was lost: all are told. */
void
QuizLost(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &connections[CONNECTION_OPEN])
	{
		Connection *connection = dlist_container(Connection, node, iter.cur);
		QuizSession *session = connection->session;
		dlist_iter	channel;

		if (connection->dialect != &quiz_dialect)
			continue;
		dlist_foreach(channel, &session->channels)
		{
			dlist_container(Subscription, node, channel.cur)->lost = true;
		}
		QuizCaughtUp(connection);
	}
}
