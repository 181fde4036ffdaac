/*-------------------------------------------------------------------------
 *
 * quiz.c
 *		The quiz API: who connects, what a participant gets, and how updates
 *		are worded.
 *
 * An owner shows a JWT or an API key and then subscribes to channels
 * (quiz_channels.c).  A participant shows an attempt session token, is
 * subscribed to the attempt's notifications by the server, and only listens.
 *
 * The credential is checked before the upgrade.  What was committed between
 * the look at it and our registration - a revocation, or the closing of the
 * attempt - is replayed from the stream.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/counters.h"
#include "common/settings.h"
#include "gateway/credential.h"
#include "gateway/dialect.h"
#include "gateway/parameters.h"
#include "gateway/quiz.h"
#include "gateway/stream.h"
#include "utils/memutils.h"
#include "wire/client_message.h"

MemoryContext quiz_context;

static const char listen_only[] =
"Subscriptions are managed by the server for this session";

/*
 * Messages
 */

static void
send_message(Connection *connection, StringInfo message)
{
	ConnectionSendOwn(connection, FrameFromText(message->data, message->len));
	CounterAdd(COUNTER_MESSAGES_SENT, 1);
	pfree(message->data);
}

void
QuizSendError(Connection *connection, const char *text, size_t length)
{
	StringInfoData message;

	initStringInfo(&message);
	appendStringInfoString(&message, "{\"event\":\"error\",\"t\":null,\"error\":");
	AppendJsonString(&message, text, length);
	appendStringInfoChar(&message, '}');
	send_message(connection, &message);
}

void
QuizSendErrorAbout(Connection *connection, const char *what,
				   const char *topic)
{
	char	   *text = psprintf("%s: %s", what, topic);

	QuizSendError(connection, text, strlen(text));
	pfree(text);
}

void
QuizSendConfirmation(Connection *connection, const char *event,
					 char *const *texts, int ntexts)
{
	StringInfoData message;

	initStringInfo(&message);
	appendStringInfo(&message, "{\"event\":\"%s\",\"t\":null,\"subscriptions\":[",
					 event);
	for (int i = 0; i < ntexts; i++)
	{
		if (i > 0)
			appendStringInfoChar(&message, ',');
		AppendJsonString(&message, texts[i], strlen(texts[i]));
	}
	appendStringInfoString(&message, "]}");
	send_message(connection, &message);
}

static void
message(Connection *connection, const char *bytes, size_t length)
{
	QuizSession *session = connection->session;

	if (!session->participant)
		QuizOwnerMessage(connection, bytes, length);
	else if (ConnectionCountError(connection))
		QuizSendError(connection, listen_only, strlen(listen_only));
}

static bool
owns_topic(EventText topic)
{
	EventText	type = QuizChannelType(topic);

	return TextIs(type, "quiz") || TextIs(type, "attempts") ||
		TextIs(type, "leaderboard") || TextIs(type, "notification");
}

/* {"event":"update","t":<slug>,"channel":<type>,"data":<data>} */
static Frame *
word(const Event *event, EventText topic)
{
	EventText	type = QuizChannelType(topic);
	FramePiece	pieces[] = {
		FRAME_LITERAL("{\"event\":\"update\",\"t\":\""),
		{event->slug.bytes, event->slug.length},
		FRAME_LITERAL("\",\"channel\":\""),
		{type.bytes, type.length},
		FRAME_LITERAL("\",\"data\":"),
		{event->data.bytes, event->data.length},
		FRAME_LITERAL("}")
	};

	return FrameFromPieces(WS_TEXT, pieces, lengthof(pieces));
}

/* The attempt was closed: nothing more is to come. */
static bool
concludes(const Event *event, EventText topic)
{
	return TextIs(event->slug, "attempt_closed") &&
		TextIs(QuizChannelType(topic), "notification");
}

/* The participant may stay a little, to read it. */
static void
conclude(Connection *connection)
{
	ConnectionSetDeadline(connection,
						  gateway_now + quizrt_closed_attempt_timeout);
}

static void
deadline(Connection *connection)
{
	ConnectionClose(connection, WS_CLOSE_NORMAL, "Attempt closed");
}

/*
 * Connecting
 */

/* Fill the session that the request began with who it is. */
static void
identify(Connection *connection, const CredentialAnswer *answer)
{
	QuizSession *session = connection->session;

	if (!session->participant)
	{
		session->owner = MemoryContextAllocZero(quiz_context,
												answer->owner.length + 1);
		memcpy(session->owner, answer->owner.bytes, answer->owner.length);
	}
	CredentialHold(connection, answer, &session->internal);
}

/* Subscribe the participant to its attempt, and say so. */
static void
subscribe_participant(Connection *connection, char *topic)
{
	QuizSession *session = connection->session;

	Subscribe(connection, EventTextOf(topic), &session->channels);
	session->nchannels = 1;
	QuizSendConfirmation(connection, "subscribed", &topic, 1);
}

typedef struct Replay
{
	Connection *connection;
	EventText	handle;			/* of the credential */
	EventText	topic;			/* a participant's; else empty */
} Replay;

static void
replay_update(Connection *connection, const Event *event, EventText topic)
{
	ConnectionSendOwn(connection, word(event, topic));
	if (connection->state == CONNECTION_OPEN && concludes(event, topic))
		conclude(connection);
}

/* What was committed after the credential was looked up. */
static bool
replay(void *context, const Event *event)
{
	Replay	   *at = context;

	if (!CredentialEndedBy(at->connection, at->handle, event) &&
		event->kind == EVENT_UPDATE && event->ntopics > 0 &&
		at->topic.length > 0 && EventTextEquals(event->topics[0], at->topic))
		replay_update(at->connection, event, at->topic);
	return at->connection->state == CONNECTION_OPEN;
}

/* The credential is good: the connection becomes a WebSocket. */
static void
begin(Connection *connection, const CredentialAnswer *answer,
	  const StreamMark *mark)
{
	QuizSession *session = connection->session;
	Replay		at = {connection, answer->handle, {NULL, 0}};
	char	   *topic = psprintf("notification:%.*s",
								 (int) answer->attempt.length,
								 answer->attempt.bytes);

	identify(connection, answer);
	ConnectionUpgrade(connection, NULL);
	if (connection->state == CONNECTION_OPEN && session->participant)
	{
		at.topic = EventTextOf(topic);
		subscribe_participant(connection, topic);
	}
	if (connection->state == CONNECTION_OPEN)
		StreamReplay(mark, &answer->join, replay, &at);
	ConnectionResume(connection);
	pfree(topic);
}

static void
refuse(Connection *connection, CredentialVerdict verdict)
{
	QuizSession *session = connection->session;

	CounterAdd(COUNTER_CREDENTIALS_REFUSED, 1);
	if (verdict == CREDENTIAL_LACKS_ROLE)
		ConnectionRefuse(connection, 403, "API key does not have owner role");
	else if (session->participant)
		ConnectionRefuse(connection, 401, "Invalid session");
	else
		ConnectionRefuse(connection, 401, "Invalid or expired credential");
}

static void
identified(Connection *connection, const CredentialAnswer *answer,
		   const StreamMark *mark)
{
	if (answer == NULL)
		ConnectionRefuse(connection, 503, "Temporarily unavailable");
	else if (answer->verdict != CREDENTIAL_ACCEPTED)
		refuse(connection, answer->verdict);
	else
		begin(connection, answer, mark);
}

static void
start_session(Connection *connection, bool participant)
{
	QuizSession *session;

	if (quiz_context == NULL)
		quiz_context = AllocSetContextCreate(TopMemoryContext, "quizrt quiz",
											 ALLOCSET_DEFAULT_SIZES);
	session = MemoryContextAllocZero(quiz_context, sizeof(QuizSession));
	session->participant = participant;
	dlist_init(&session->channels);
	dlist_init(&session->internal);
	dlist_init(&session->requests);
	connection->session = session;
}

static void
request(Connection *connection, const HttpRequest *request)
{
	Parameters	parameters;
	bool		valid = ParametersRead(&parameters, request->query,
									   "token", "session");
	const char *token = parameters.values[0].value;
	const char *session = parameters.values[1].value;

	if (!valid)
		ConnectionRefuse(connection, 400, "Invalid query parameters");
	else if ((token != NULL) == (session != NULL))
		ConnectionRefuse(connection, 401,
						 "Provide exactly one of 'token' or 'session' query parameter");
	else if (!CredentialCanBeAsked())
		ConnectionRefuse(connection, 503, "Temporarily unavailable");
	else
	{
		start_session(connection, session != NULL);
		CredentialAsk(connection, session != NULL ? CREDENTIAL_QUIZ_SESSION :
					  CREDENTIAL_QUIZ_TOKEN,
					  session != NULL ? session : token);
	}
	ParametersWipe(&parameters);
}

/*
 * Events were lost, and a revocation may have been among them.  The handle is
 * the first of the session's internal subscriptions; a JWT has none.
 */
void
QuizRecheckCredential(Connection *connection)
{
	QuizSession *session = connection->session;

	if (!dlist_is_empty(&session->internal))
		CredentialRecheck(connection,
						  TopicName(dlist_container(Subscription, node,
													dlist_head_node(&session->internal))->topic));
}

static void
rechecked(Connection *connection, bool known)
{
	if (known)
		QuizVerified(connection);
	else
		QuizNotVerified(connection);
}

static void
ended(Connection *connection)
{
	QuizSession *session = connection->session;

	QuizForgetRequests(session);
	UnsubscribeAll(&session->channels);
	UnsubscribeAll(&session->internal);
	if (session->owner != NULL)
		pfree(session->owner);
	pfree(session);
}

/* An event that is no update. */
static void
event(const Event *event)
{
	if (event->ntopics == 0)
		return;
	switch (event->kind)
	{
		case EVENT_REVOKE:
			QuizRevoke(event);
			break;
		case EVENT_RESYNC:
			QuizResynchronise(event);
			break;
		case EVENT_RANKING:
			QuizRankingChanged(event);
			break;
		default:
			break;
	}
}

static const char *
owner_of(const Connection *connection)
{
	const QuizSession *session = connection->session;

	return session->owner;
}

static dlist_head *
channels_of(const Connection *connection)
{
	QuizSession *session = connection->session;

	return &session->channels;
}

static int
heartbeat_interval(void)
{
	return quizrt_ping_interval;
}

static int
pong_timeout(void)
{
	return quizrt_pong_timeout;
}

const Dialect quiz_dialect = {
	.name = "quiz",
	.path = "/ws",
	.owns_topic = owns_topic,
	.request = request,
	.identified = identified,
	.ended = ended,
	.message = message,
	.heartbeat_interval = heartbeat_interval,
	.pong_timeout = pong_timeout,
	.deadline = deadline,
	.caught_up = QuizCaughtUp,
	.word = word,
	.concludes = concludes,
	.conclude = conclude,
	.event = event,
	.rechecked = rechecked,
	.topic_ended = QuizTopicEnded,
	.owner = owner_of,
	.channels = channels_of,
	.lost = QuizLost
};
