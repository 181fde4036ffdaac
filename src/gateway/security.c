/*-------------------------------------------------------------------------
 *
 * security.c
 *		The security API: two endpoints, one implementation.
 *
 * They differ in their channels.  A client gets all of its endpoint's, until
 * it has named some itself.
 *
 * A client shows its API key in the query or, as a browser can, as a
 * subprotocol "api-key.<key>", which is chosen then: a browser gives up a
 * connection where what it offered was not.  For the same reason a refusal is
 * an upgrade first and then a close, which is all that a page gets to see.
 *
 * system_status is in security_status.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/rate_limit.h"
#include "common/counters.h"
#include "common/settings.h"
#include "gateway/credential.h"
#include "gateway/dialect.h"
#include "gateway/parameters.h"
#include "gateway/reconnect.h"
#include "gateway/security.h"
#include "utils/memutils.h"
#include "wire/client_message.h"
#include "wire/security_message.h"

#define TOPIC_PREFIX	"security:"
#define KEY_PROTOCOL	"api-key."

#define MAX_CHANNELS	3
#define ALL_CHANNELS(endpoint) (((uint32) 1 << (endpoint)->nchannels) - 1)

typedef struct Endpoint
{
	const Dialect *dialect;
	int			nchannels;
	const char *channels[MAX_CHANNELS];
} Endpoint;

static const Endpoint endpoints[] = {
	{&security_events_dialect, 3, {"events", "detections", "alerts"}},
	{&security_system_dialect, 2, {"system", "services"}}
};

static MemoryContext security_context;

static const Endpoint *
endpoint_of(const Connection *connection)
{
	return &endpoints[connection->dialect == &security_system_dialect ? 1 : 0];
}

/* The bit of a channel; 0 where the endpoint has none of that name. */
static uint32
channel_bit(const Endpoint *endpoint, const char *name)
{
	for (int i = 0; i < endpoint->nchannels; i++)
	{
		if (strcmp(endpoint->channels[i], name) == 0)
			return ((uint32) 1) << i;
	}
	return 0;
}

/*
 * Messages
 */

static void
send_bytes(Connection *connection, const char *bytes, size_t length)
{
	ConnectionSendOwn(connection, FrameFromText(bytes, length));
	CounterAdd(COUNTER_MESSAGES_SENT, 1);
}

static void
send_message(Connection *connection, StringInfo message)
{
	send_bytes(connection, message->data, message->len);
	pfree(message->data);
}

static void
append_clipped(StringInfo buffer, const char *bytes, size_t length)
{
	StringInfoData clipped;

	initStringInfo(&clipped);
	AppendClipped(&clipped, bytes, length);
	AppendJsonString(buffer, clipped.data, clipped.len);
	pfree(clipped.data);
}

static void
append_names(StringInfo buffer, const char *const *names, int n)
{
	appendStringInfoChar(buffer, '[');
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoChar(buffer, ',');
		AppendJsonString(buffer, names[i], strlen(names[i]));
	}
	appendStringInfoChar(buffer, ']');
}

static void
begin_error(StringInfo buffer, const char *code, const char *message)
{
	initStringInfo(buffer);
	appendStringInfo(buffer, "{\"type\":\"error\",\"error\":\"%s\","
					 "\"message\":\"%s\",\"details\":{", code, message);
}

static void
send_error(Connection *connection, StringInfo message)
{
	appendStringInfoString(message, "}}");
	if (ConnectionCountError(connection))
		send_message(connection, message);
	else
		pfree(message->data);
}

/* The message as a whole is no good. */
static void
complain_of_message(Connection *connection, const char *code,
					const char *text, const char *bytes, size_t length)
{
	StringInfoData message;

	begin_error(&message, code, text);
	appendStringInfoString(&message, "\"raw_data_preview\":");
	append_clipped(&message, bytes, length);
	send_error(connection, &message);
}

static void
complain_of_type(Connection *connection)
{
	StringInfoData message;

	begin_error(&message, "validation_error",
				"Message type must be a string of 1 to 50 characters");
	appendStringInfoString(&message, "\"field\":\"type\"");
	send_error(connection, &message);
}

static void
complain_of_unknown_type(Connection *connection, const char *type)
{
	static const char *const known[] = {"ping", "subscribe", "unsubscribe"};
	StringInfoData message;

	begin_error(&message, "unknown_message_type", "Unknown message type");
	appendStringInfoString(&message, "\"type\":");
	append_clipped(&message, type, strlen(type));
	appendStringInfoString(&message, ",\"supported_types\":");
	append_names(&message, known, lengthof(known));
	send_error(connection, &message);
}

/* "unknown" is a channel that there is not; NULL: it is no list of names. */
static void
complain_of_channels(Connection *connection, const char *unknown)
{
	const Endpoint *endpoint = endpoint_of(connection);
	StringInfoData message;

	begin_error(&message, "validation_error", unknown != NULL ?
				"Unknown channel" : "Channels must be a list of channel names");
	appendStringInfoString(&message, "\"field\":\"channels\"");
	if (unknown != NULL)
	{
		appendStringInfoString(&message, ",\"channel\":");
		append_clipped(&message, unknown, strlen(unknown));
	}
	appendStringInfoString(&message, ",\"supported_channels\":");
	append_names(&message, endpoint->channels, endpoint->nchannels);
	send_error(connection, &message);
}

/*
 * Channels
 */

/* Subscribe to and unsubscribe from topics, to have what is wanted. */
static void
want(Connection *connection, uint32 wanted)
{
	const Endpoint *endpoint = endpoint_of(connection);
	SecuritySession *session = connection->session;

	for (int i = 0; i < endpoint->nchannels; i++)
	{
		uint32		bit = ((uint32) 1) << i;
		char	   *topic = psprintf(TOPIC_PREFIX "%s", endpoint->channels[i]);
		Subscription *there = SubscriptionFind(&session->subscriptions,
											   EventTextOf(topic));
		bool		system = strcmp(topic, SECURITY_SYSTEM_TOPIC) == 0;

		if ((wanted & bit) != 0 && there == NULL)
		{
			Subscribe(connection, EventTextOf(topic), &session->subscriptions);
			if (system)
				SecurityStatusWanted(session);
		}
		else if ((wanted & bit) == 0 && there != NULL)
		{
			Unsubscribe(there);
			if (system)
				SecurityStatusUnwanted(session);
		}
		pfree(topic);
	}
	session->wanted = wanted;
}

static void
change_channels(Connection *connection, const SecurityMessage *message)
{
	const Endpoint *endpoint = endpoint_of(connection);
	SecuritySession *session = connection->session;
	bool		subscribe = message->kind == SECURITY_SUBSCRIBE;
	uint32		named = 0;
	uint32		wanted;
	StringInfoData reply;

	for (int i = 0; i < message->nchannels; i++)
	{
		uint32		bit = channel_bit(endpoint, message->channels[i]);

		if (bit == 0)
		{
			complain_of_channels(connection, message->channels[i]);
			return;
		}
		named |= bit;
	}

	/* Confirmed first: what comes then comes because of it. */
	initStringInfo(&reply);
	appendStringInfo(&reply, "{\"type\":\"%s\",\"channels\":",
					 subscribe ? "subscribed" : "unsubscribed");
	append_names(&reply, (const char *const *) message->channels,
				 message->nchannels);
	appendStringInfoChar(&reply, '}');
	wanted = session->wanted;
	if (subscribe)
		wanted = session->chosen ? wanted | named : named;
	else
		wanted &= ~named;
	session->chosen = true;
	send_message(connection, &reply);
	if (connection->state == CONNECTION_OPEN)
		want(connection, wanted);
}

static void
message(Connection *connection, const char *bytes, size_t length)
{
	static const char pong[] = "{\"type\":\"pong\"}";
	SecurityMessage message;

	switch (SecurityMessageParse(bytes, length, &message))
	{
		case SECURITY_MESSAGE_NOT_JSON:
			complain_of_message(connection, "invalid_json",
								"Message must be valid JSON", bytes, length);
			break;
		case SECURITY_MESSAGE_NO_OBJECT:
			complain_of_message(connection, "invalid_message_format",
								"Message must be a JSON object", bytes,
								length);
			break;
		case SECURITY_MESSAGE_BAD_TYPE:
			complain_of_type(connection);
			break;
		case SECURITY_MESSAGE_UNKNOWN_TYPE:
			complain_of_unknown_type(connection, message.type);
			break;
		case SECURITY_MESSAGE_BAD_CHANNELS:
			complain_of_channels(connection, NULL);
			break;
		case SECURITY_MESSAGE_OK:
			if (message.kind != SECURITY_PING)
				change_channels(connection, &message);
			else if (ConnectionCountError(connection))	/* a flood of them */
				send_bytes(connection, pong, strlen(pong));
			break;
	}
}

static void
heartbeat(Connection *connection)
{
	static const char ping[] = "{\"type\":\"ping\"}";

	send_bytes(connection, ping, strlen(ping));
}

/*
 * Connecting
 */

static void
start_session(Connection *connection)
{
	SecuritySession *session;

	if (security_context == NULL)
		security_context = AllocSetContextCreate(TopMemoryContext,
												 "quizrt security",
												 ALLOCSET_DEFAULT_SIZES);
	session = MemoryContextAllocZero(security_context,
									 sizeof(SecuritySession));
	dlist_init(&session->subscriptions);
	dlist_init(&session->internal);
	connection->session = session;
}

static void
ended(Connection *connection)
{
	SecuritySession *session = connection->session;

	SecurityStatusUnwanted(session);
	UnsubscribeAll(&session->subscriptions);
	UnsubscribeAll(&session->internal);
	if (session->owner != NULL)
		pfree(session->owner);
	pfree(session);
}

/*
 * The key that is offered as a subprotocol, and the protocol to choose then;
 * both NULL where none is.  False: two different ones are.  Palloc'd.
 */
static bool
offered_key(const HttpRequest *request, char **protocol)
{
	HttpText	rest = request->websocket_protocol;
	HttpText	token;

	*protocol = NULL;
	if (rest.bytes == NULL)
		return true;
	while (HttpNextToken(&rest, &token))
	{
		if (token.length < strlen(KEY_PROTOCOL) ||
			memcmp(token.bytes, KEY_PROTOCOL, strlen(KEY_PROTOCOL)) != 0)
			continue;
		if (*protocol == NULL)
			*protocol = pnstrdup(token.bytes, token.length);
		else if (strlen(*protocol) != token.length ||
				 memcmp(*protocol, token.bytes, token.length) != 0)
			return false;
	}
	return true;
}

static void
wipe(char *text)
{
	if (text == NULL)
		return;
	explicit_bzero(text, strlen(text));
	pfree(text);
}

/* Upgrade; the request, which says what to choose, is still at hand. */
static void
upgrade(Connection *connection)
{
	HttpRequest request;
	char	   *protocol = NULL;

	if (ConnectionRequest(connection, &request))
		(void) offered_key(&request, &protocol);
	ConnectionUpgrade(connection, protocol);
	wipe(protocol);
}

static void
refuse(Connection *connection, CounterId counter, const char *reason)
{
	CounterAdd(counter, 1);
	upgrade(connection);
	ConnectionClose(connection, WS_CLOSE_POLICY_VIOLATION, reason);
	ConnectionResume(connection);
}

/* "answer" is NULL where nobody is asked for a key. */
static void
begin(Connection *connection, const CredentialAnswer *answer,
	  const StreamMark *mark)
{
	SecuritySession *session = connection->session;

	if (answer != NULL)
	{
		session->owner = MemoryContextAllocZero(security_context,
												answer->owner.length + 1);
		memcpy(session->owner, answer->owner.bytes, answer->owner.length);
		CredentialHold(connection, answer, &session->internal);
	}
	upgrade(connection);
	if (connection->state == CONNECTION_OPEN)
		want(connection, ALL_CHANNELS(endpoint_of(connection)));
	if (connection->state == CONNECTION_OPEN && answer != NULL)
		CredentialReplay(connection, answer, mark);
	ConnectionResume(connection);
}

static void
identified(Connection *connection, const CredentialAnswer *answer,
		   const StreamMark *mark)
{
	if (answer == NULL)
		ConnectionRefuse(connection, 503, "Temporarily unavailable");
	else if (answer->verdict != CREDENTIAL_ACCEPTED)
		refuse(connection, COUNTER_CREDENTIALS_REFUSED,
			   "Authentication failed");
	else
		begin(connection, answer, mark);
}

static bool
is_over_rate(const Connection *connection)
{
	static const PeerAddress local = {{0}};

	return quizrt_security_rate_limit > 0 &&
		memcmp(&connection->peer, &local, sizeof(local)) != 0 &&
		!RateLimitCount(connection->peer.bytes, quizrt_security_rate_limit);
}

/* Ask about the key, which is in the query, a subprotocol, or both. */
static void
check_key(Connection *connection, const HttpRequest *request,
		  const char *in_query)
{
	char	   *protocol;
	bool		agree = offered_key(request, &protocol);
	const char *in_protocol = protocol ? protocol + strlen(KEY_PROTOCOL) : NULL;
	const char *key = in_query;

	if (in_protocol != NULL && in_protocol[0] != '\0')
	{
		agree = agree && (key == NULL || strcmp(key, in_protocol) == 0);
		key = in_protocol;
	}
	if (key == NULL)
		refuse(connection, COUNTER_CREDENTIALS_REFUSED, "API key required");
	else if (!agree)
		refuse(connection, COUNTER_CREDENTIALS_REFUSED,
			   "Authentication failed");
	else if (!CredentialCanBeAsked())
		ConnectionRefuse(connection, 503, "Temporarily unavailable");
	else
	{
		start_session(connection);
		CredentialAsk(connection, CREDENTIAL_SECURITY_KEY, key);
	}
	wipe(protocol);
}

static void
request(Connection *connection, const HttpRequest *request)
{
	Parameters	parameters;
	bool		valid = ParametersRead(&parameters, request->query, "api_key",
									   NULL);

	if (!valid)
		ConnectionRefuse(connection, 400, "Invalid query parameters");
	else if (is_over_rate(connection))
		refuse(connection, COUNTER_CONNECTIONS_RATE_LIMITED,
			   "Rate limit exceeded");
	else if (quizrt_security_api_key_enabled)
		check_key(connection, request, parameters.values[0].value);
	else
	{
		start_session(connection);
		begin(connection, NULL, NULL);
	}
	ParametersWipe(&parameters);
}

/* Who came in when nobody was asked is to show a key, if that is wanted now. */
static void
reloaded(Connection *connection)
{
	SecuritySession *session = connection->session;

	SecurityStatusReloaded();
	if (quizrt_security_api_key_enabled && session->owner == NULL)
		ConnectionClose(connection, WS_CLOSE_POLICY_VIOLATION,
						"API key required");
}

/*
 * Events
 */

static bool
owns_topic(EventText topic)
{
	return topic.length > strlen(TOPIC_PREFIX) &&
		memcmp(topic.bytes, TOPIC_PREFIX, strlen(TOPIC_PREFIX)) == 0;
}

/* The data is a JSON object, to which the message's type is added. */
static Frame *
word(const Event *event, EventText topic)
{
	FramePiece	pieces[] = {
		FRAME_LITERAL("{\"type\":\""),
		{event->slug.bytes, event->slug.length},
		FRAME_LITERAL("\","),
		{event->data.bytes + 1, event->data.length - 1}
	};

	return FrameFromPieces(WS_TEXT, pieces, lengthof(pieces));
}

/* For views */
static const char *
owner(const Connection *connection)
{
	return ((SecuritySession *) connection->session)->owner;
}

static dlist_head *
channels(const Connection *connection)
{
	return &((SecuritySession *) connection->session)->subscriptions;
}

static int
heartbeat_interval(void)
{
	return quizrt_security_ping_interval;
}

static int
idle_timeout(void)
{
	return quizrt_security_idle_timeout;
}

/* The two are the same but for the path.  Which of them a topic is said to
 * belong to makes no difference, then. */
#define SECURITY_DIALECT(its_path) \
{ \
	.name = "security", \
	.path = its_path, \
	.owns_topic = owns_topic, \
	.request = request, \
	.identified = identified, \
	.ended = ended, \
	.message = message, \
	.heartbeat_interval = heartbeat_interval, \
	.heartbeat = heartbeat, \
	.idle_timeout = idle_timeout, \
	.reloaded = reloaded, \
	.caught_up = ReconnectCaughtUp, \
	.word = word, \
	.event = ReconnectEvent, \
	.owner = owner, \
	.channels = channels, \
	.lost = ReconnectLost \
}

const Dialect security_events_dialect =
SECURITY_DIALECT("/ws/events");

const Dialect security_system_dialect =
SECURITY_DIALECT("/ws/system");
