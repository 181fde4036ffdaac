/*-------------------------------------------------------------------------
 *
 * quiz_channels.c
 *		An owner's messages: subscribing to channels and unsubscribing.
 *
 * A client's messages are carried out one after the other, in the order in
 * which they came.  One that needs the database makes those behind it wait;
 * the connection's other traffic goes on.
 *
 * Subscribing has three steps, each only where there is need:
 *
 *	1. Whose is it?  What isn't known is asked, and entered as a grant
 *	   (quiz_access.c).  From then on a revocation finds it.
 *	2. What is there?  The snapshots of channels that have some.
 *	3. The confirmation, the denials, and the snapshots, each followed by the
 *	   updates since it was made.  Only then the subscriptions are live.
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
	CHANNEL_ALLOWED,			/* it stands on a grant */
	CHANNEL_REFUSED				/* "error" says why */
} ChannelState;

struct Request;

/* A channel that a message names. */
typedef struct RequestedChannel
{
	ChannelState state;
	const char *error;
	char	   *asked;			/* as the client wrote it */
	char		topic[TOPIC_SIZE];
	char	   *quiz;			/* id of the quiz, once allowed */
	struct Request *request;
	SnapshotWait *wait;			/* for its snapshot */
	TopicSnapshot   *snapshot;		/* held */
} RequestedChannel;

/* A message that is being carried out, or waits for its turn. */
typedef enum RequestKind
{
	REQUEST_SUBSCRIBE,
	REQUEST_UNSUBSCRIBE,
	REQUEST_COMPLAINT,			/* the message was wrong */
	REQUEST_RECHECK				/* ours: is it still the owner's? */
} RequestKind;

typedef struct Request
{
	dlist_node	node;			/* on the session's list */
	RequestKind kind;
	Connection *connection;
	MemoryContext context;		/* all that belongs to it */
	Size		bytes;			/* that it counts for */
	char	   *complaint;		/* the error to send */
	Question   *question;		/* the answer that it waits for */
	int			waits;			/* snapshots that are on their way */
	int			nchannels;
	RequestedChannel *channels;
} Request;

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
	for (int i = 0; i < request->nchannels; i++)
	{
		SnapshotCancel(request->channels[i].wait);
		if (request->channels[i].snapshot != NULL)
			SnapshotRelease(request->channels[i].snapshot);
	}
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
add_request(Connection *connection, RequestKind kind, int nchannels,
			Size bytes)
{
	QuizSession *session = connection->session;
	MemoryContext context = AllocSetContextCreate(quiz_context,
												  "quizrt request",
												  ALLOCSET_SMALL_SIZES);
	Request    *request = MemoryContextAllocZero(context, sizeof(Request));

	request->connection = connection;
	request->context = context;
	request->kind = kind;
	request->bytes = bytes;
	request->channels =
		MemoryContextAllocZero(context, sizeof(RequestedChannel) * nchannels);
	request->nchannels = nchannels;
	for (int i = 0; i < nchannels; i++)
		request->channels[i].request = request;
	session->request_bytes += bytes;
	dlist_push_tail(&session->requests, &request->node);
	return request;
}

/* The strings of the message are copied. */
static void
add_message(Connection *connection, const QuizMessage *message, Size bytes)
{
	Request    *request = add_request(connection, message->subscribe ?
									  REQUEST_SUBSCRIBE : REQUEST_UNSUBSCRIBE,
									  message->nsubscriptions, bytes);

	for (int i = 0; i < message->nsubscriptions; i++)
		request->channels[i].asked =
			MemoryContextStrdup(request->context, message->subscriptions[i]);
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
	request = add_request(connection, REQUEST_COMPLAINT, 0, bytes);
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
		QuizCarryOn(connection);
}

/*
 * Subscriptions
 */

Subscription *
QuizFindChannel(QuizSession *session, EventText topic)
{
	return SubscriptionFind(&session->channels, topic);
}

void
QuizEndChannel(QuizSession *session, Subscription *subscription)
{
	Unsubscribe(subscription);
	session->nchannels--;
}

/*
 * Whose is it?
 */

static void
refuse_channel(RequestedChannel *channel, const char *error)
{
	channel->state = CHANNEL_REFUSED;
	channel->error = error;
}

/* The id in a topic, behind the colon. */
static const char *
id_of(const char *topic)
{
	return strchr(topic, ':') + 1;
}

/* What can be said about a channel without the database. */
static void
judge(QuizSession *session, RequestedChannel *channel)
{
	bool		valid_id;
	ChannelType type = ChannelParse(channel->asked, channel->topic, &valid_id);

	if (type == CHANNEL_UNKNOWN)
		refuse_channel(channel, "unknown channel type");
	else if (type == CHANNEL_NOTIFICATION)
		refuse_channel(channel, "managed by the server");
	else if (!valid_id)
		refuse_channel(channel, "invalid id");
	else if (QuizFindChannel(session, EventTextOf(channel->topic)) != NULL)
		channel->state = CHANNEL_ALLOWED;
	else if (strchr(id_of(channel->topic), '-') == NULL &&
			 QuizFindGrant(session, id_of(channel->topic)) != NULL)
	{
		channel->state = CHANNEL_ALLOWED;
		channel->quiz = MemoryContextStrdup(channel->request->context,
											id_of(channel->topic));
	}
	else
		channel->state = CHANNEL_TO_CHECK;
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

static void ask(Request *request);
static void owners_known(Request *request);

/* No answer: what had to be asked is refused, the rest goes on. */
static void
unavailable(Request *request)
{
	for (int i = 0; i < request->nchannels; i++)
	{
		if (request->channels[i].state == CHANNEL_TO_CHECK)
			refuse_channel(&request->channels[i], "temporarily unavailable");
	}
	owners_known(request);
}

/* Enter a verdict; what is granted is from now on found by revocations. */
static void
take_verdict(RequestedChannel *channel, const ChannelAnswer *answer)
{
	Request    *request = channel->request;

	switch (answer->verdict)
	{
		case CHANNEL_GRANTED:
			channel->state = CHANNEL_ALLOWED;
			channel->quiz = MemoryContextAllocZero(request->context,
												   answer->quiz.length + 1);
			memcpy(channel->quiz, answer->quiz.bytes, answer->quiz.length);
			QuizAddGrant(request->connection, channel->quiz);
			break;
		case CHANNEL_DENIED:
			refuse_channel(channel, "not found or not owned");
			break;
		case CHANNEL_UNAVAILABLE:
			refuse_channel(channel, "temporarily unavailable");
			break;
	}
}

static bool
take_verdicts(Request *request, ChannelsCursor *cursor)
{
	for (int i = 0; i < request->nchannels; i++)
	{
		ChannelAnswer answer;

		if (request->channels[i].state != CHANNEL_TO_CHECK)
			continue;
		if (!ChannelsAnswerNext(cursor, &answer))
			return false;
		take_verdict(&request->channels[i], &answer);
	}
	return true;
}

/*
 * A revocation that was committed after the verdicts were made.  An event
 * stream that left its quiz is not found by that: it has no grant of its own.
 */
static bool
replay_revocation(void *context, const Event *event)
{
	Request    *request = context;
	char	   *stream;

	if (event->kind != EVENT_REVOKE || event->ntopics == 0)
		return true;
	QuizRevoke(event);
	if (request->connection->state != CONNECTION_OPEN)
		return false;
	stream = QuizIdOfSubject(event->topics[0], "event");
	for (int i = 0; stream != NULL && i < request->nchannels; i++)
	{
		RequestedChannel *channel = &request->channels[i];

		if (channel->state == CHANNEL_ALLOWED &&
			strcmp(id_of(channel->topic), stream) == 0)
			refuse_channel(channel, "not found or not owned");
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
	{
		StreamReplay(mark, &join, replay_revocation, request);
		if (connection->state == CONNECTION_OPEN)
			owners_known(request);
	}
	QuizCarryOn(connection);
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

/*
 * What is there?
 */

/*
 * The limit comes before ownership among the errors of a channel.  Requests
 * of a session follow each other, so what fits now fits at the end.
 */
static void
apply_limit(Request *request)
{
	QuizSession *session = request->connection->session;
	int			nchannels = session->nchannels;

	for (int i = 0; i < request->nchannels; i++)
	{
		RequestedChannel *channel = &request->channels[i];

		if (channel->topic[0] == '\0' ||
			QuizFindChannel(session, EventTextOf(channel->topic)) != NULL)
			continue;
		if (nchannels >= quizrt_max_subscriptions)
			refuse_channel(channel, "too many subscriptions");
		else if (channel->state == CHANNEL_ALLOWED)
			nchannels++;
	}
}

static void complete(Request *request);

static void
snapshot_ready(void *owner, TopicSnapshot *snapshot)
{
	RequestedChannel *channel = owner;
	Request    *request = channel->request;
	Connection *connection = request->connection;

	channel->wait = NULL;
	channel->snapshot = snapshot;
	if (snapshot != NULL)
		SnapshotHold(snapshot);
	else
		refuse_channel(channel, "temporarily unavailable");
	if (--request->waits > 0)
		return;
	complete(request);
	QuizCarryOn(connection);
}

/* Step 1 is done. */
static void
owners_known(Request *request)
{
	apply_limit(request);
	for (int i = 0; i < request->nchannels; i++)
	{
		RequestedChannel *channel = &request->channels[i];
		EventText	topic = EventTextOf(channel->topic);

		/* Who is subscribed already gets a fresh one: send_snapshots(). */
		if (channel->state != CHANNEL_ALLOWED || !QuizHasSnapshot(topic) ||
			QuizFindChannel(request->connection->session, topic) != NULL)
			continue;
		channel->wait = SnapshotWanted(topic, false, snapshot_ready, channel);
		request->waits++;
	}
	if (request->waits == 0)
		complete(request);
}

/*
 * The answer
 */

/* "Subscription denied: <channel>: <why>", as the client wrote it */
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
 * One confirmation of all that is accepted, then each denial.  False: the
 * connection is no longer open, and the request gone.
 */
static bool
send_verdicts(Request *request, const char *event)
{
	Connection *connection = request->connection;
	char	  **accepted = palloc(sizeof(char *) * request->nchannels);
	int			naccepted = 0;
	bool		refused = count_in_state(request, CHANNEL_REFUSED) > 0;

	for (int i = 0; i < request->nchannels; i++)
	{
		if (request->channels[i].state == CHANNEL_ALLOWED)
			accepted[naccepted++] = request->channels[i].topic;
	}
	if (naccepted > 0)
		QuizSendConfirmation(connection, event, accepted, naccepted);
	pfree(accepted);

	if (connection->state != CONNECTION_OPEN ||
		(refused && !ConnectionCountError(connection)))
		return false;
	for (int i = 0; i < request->nchannels; i++)
	{
		if (request->channels[i].state != CHANNEL_REFUSED)
			continue;
		send_denial(connection, &request->channels[i]);
		if (connection->state != CONNECTION_OPEN)
			return false;
	}
	return true;
}

/* Subscribe to what is allowed, if it still is. */
static void
enter_subscription(RequestedChannel *channel)
{
	Connection *connection = channel->request->connection;
	QuizSession *session = connection->session;
	EventText	topic = EventTextOf(channel->topic);
	Subscription *grant;
	Subscription *subscription;

	if (channel->state != CHANNEL_ALLOWED ||
		QuizFindChannel(session, topic) != NULL)
		return;
	grant = channel->quiz ? QuizFindGrant(session, channel->quiz) : NULL;
	if (grant == NULL)
	{
		/* The access that there was has been revoked in the meantime. */
		refuse_channel(channel, "not found or not owned");
		return;
	}
	subscription = Subscribe(connection, topic, &session->channels);
	subscription->grant = grant;

	/* Nothing before the snapshot. */
	subscription->held = channel->snapshot != NULL;
	session->nchannels++;
}

/*
 * The snapshots follow the verdicts; false as in send_verdicts().  A client
 * that is subscribed already has seen updates since any snapshot that there
 * is: it gets one that is made after them, and nothing before that.
 */
static bool
send_snapshots(Request *request)
{
	Connection *connection = request->connection;

	for (int i = 0; i < request->nchannels; i++)
	{
		RequestedChannel *channel = &request->channels[i];
		Subscription *subscription;

		if (channel->state != CHANNEL_ALLOWED ||
			!QuizHasSnapshot(EventTextOf(channel->topic)))
			continue;
		subscription = QuizFindChannel(connection->session,
									   EventTextOf(channel->topic));
		if (subscription == NULL)
			continue;
		if (channel->snapshot != NULL)
			QuizSendSnapshot(subscription, channel->snapshot);
		else
			QuizRefresh(subscription);
		if (connection->state != CONNECTION_OPEN)
			return false;
	}
	return true;
}

/* It begins anew when its turn comes. */
static void
put_back(Request *request)
{
	for (int i = 0; i < request->nchannels; i++)
	{
		if (request->channels[i].snapshot != NULL)
			SnapshotRelease(request->channels[i].snapshot);
		request->channels[i].snapshot = NULL;
	}
}

/* Everything about the request is known: carry it out, and forget it. */
static void
complete(Request *request)
{
	Connection *connection = request->connection;
	QuizSession *session = connection->session;

	/* What it stands on may have been revoked unheard. */
	if (session->unverified)
	{
		put_back(request);
		return;
	}
	for (int i = 0; i < request->nchannels; i++)
		enter_subscription(&request->channels[i]);
	if (send_verdicts(request, "subscribed") && send_snapshots(request))
		forget(session, request);
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
		owners_known(request);
}

/*
 * Other requests
 */

static void
leave_channel(QuizSession *session, const char *topic)
{
	Subscription *subscription = QuizFindChannel(session, EventTextOf(topic));
	Subscription *grant;

	if (subscription == NULL)
		return;
	grant = subscription->grant;
	QuizEndChannel(session, subscription);
	QuizReleaseGrant(session, grant);
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
	if (send_verdicts(request, "unsubscribed"))
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

/*
 * Rechecking: events were lost, and a revocation may have been among them
 */

static void recheck(Request *request);

/* What is denied now ends; false: the connection is no longer open. */
static bool
take_rechecked(Request *request, ChannelsCursor *cursor)
{
	Connection *connection = request->connection;
	QuizSession *session = connection->session;
	ChannelAnswer answer;

	for (int i = 0; i < request->nchannels &&
		 ChannelsAnswerNext(cursor, &answer); i++)
	{
		RequestedChannel *channel = &request->channels[i];
		EventText	topic = EventTextOf(channel->topic);
		Subscription *there = QuizFindChannel(session, topic);
		Subscription *grant = QuizFindGrant(session, id_of(channel->topic));

		if (answer.verdict == CHANNEL_GRANTED)
			continue;
		if (grant != NULL)
			QuizRevokeGrant(connection, grant);
		else if (there != NULL)
			QuizRevokeChannel(connection, there);
		if (connection->state != CONNECTION_OPEN)
			return false;
	}
	return true;
}

static void
rechecked(void *owner, const char *bytes, Size length, StreamMark *mark)
{
	Request    *request = owner;
	Connection *connection = request->connection;
	QuizSession *session = connection->session;
	SnapshotJoin join;
	ChannelsCursor cursor;

	request->question = NULL;
	if (bytes == NULL || !ChannelsAnswerOpen(bytes, length, &join, &cursor))
	{
		session->recheck = NULL;
		forget(session, request);
		QuizNotVerified(connection);
		return;
	}
	if (!take_rechecked(request, &cursor))
		return;
	StreamReplay(mark, &join, replay_revocation, request);
	if (connection->state != CONNECTION_OPEN)
		return;
	forget(session, request);
	session->recheck = NULL;
	QuizVerified(connection);
}

/* Ask about every grant, and about channels that are event streams. */
static void
recheck(Request *request)
{
	QuizSession *session = request->connection->session;
	StringInfoData bytes;

	initStringInfo(&bytes);
	ChannelsQuestionBegin(&bytes, EventTextOf(session->owner),
						  request->nchannels);
	for (int i = 0; i < request->nchannels; i++)
	{
		ChannelQuestion channel = {0};

		channel.topic = EventTextOf(request->channels[i].topic);
		channel.check_owner = true;
		ChannelsQuestionAdd(&bytes, &channel);
	}
	request->question = QuestionAsk(QUESTION_CHANNELS, bytes.data, bytes.len,
									rechecked, request);
	pfree(bytes.data);
}

static int
count_list(dlist_head *list)
{
	dlist_iter	iter;
	int			n = 0;

	dlist_foreach(iter, list)
	{
		n++;
	}
	return n;
}

static void
list_grants(Request *request, QuizSession *session)
{
	dlist_iter	iter;

	dlist_foreach(iter, &session->internal)
	{
		Topic	   *topic = dlist_container(Subscription, node,
											iter.cur)->topic;

		if (TextIs(QuizChannelType(TopicName(topic)), "grant"))
			snprintf(request->channels[request->nchannels++].topic,
					 TOPIC_SIZE, "quiz:%s", id_of(topic->name));
	}
}

static void
list_streams(Request *request, QuizSession *session)
{
	dlist_iter	iter;

	dlist_foreach(iter, &session->channels)
	{
		Topic	   *topic = dlist_container(Subscription, node,
											iter.cur)->topic;

		if (strchr(topic->name, '-') != NULL)
			strlcpy(request->channels[request->nchannels++].topic,
					topic->name, TOPIC_SIZE);
	}
}

void
QuizRecheck(Connection *connection)
{
	QuizSession *session = connection->session;
	Request    *request;

	if (session->recheck != NULL)
		return;
	request = add_request(connection, REQUEST_RECHECK,
						  count_list(&session->internal) +
						  session->nchannels, 0);
	request->nchannels = 0;
	list_grants(request, session);
	list_streams(request, session);
	if (request->nchannels == 0)
	{
		forget(session, request);
		return;
	}

	/* The others wait for it, also those that came before. */
	session->recheck = request;
	recheck(request);
}

static void
start(Request *request)
{
	switch (request->kind)
	{
		case REQUEST_SUBSCRIBE:
			subscribe(request);
			break;
		case REQUEST_UNSUBSCRIBE:
			unsubscribe(request);
			break;
		case REQUEST_COMPLAINT:
			send_complaint(request);
			break;
		case REQUEST_RECHECK:
			break;				/* never waits for its turn */
	}
}

void
QuizCarryOn(Connection *connection)
{
	Request    *request;

	while (connection->state == CONNECTION_OPEN &&
		   !((QuizSession *) connection->session)->unverified &&
		   (request = first_request(connection->session)) != NULL &&
		   request->question == NULL && request->waits == 0)
		start(request);
}
