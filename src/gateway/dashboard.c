/*-------------------------------------------------------------------------
 *
 * dashboard.c
 *		The dashboard API: who connects, and what it is told.
 *
 * Without multi-tenant mode everybody is welcome and hears of every project:
 * the topic "dashboard".  With it a client shows a JWT, in the query or in
 * its first message, and hears of the projects of the tenant that the token
 * names: the topic "dashboard:<tenant>".  Nothing else is said to it before.
 *
 * Who is refused is told so in a message, after the upgrade: a browser shows
 * its page neither the status nor the body of a refused one.
 *
 * What a client sends while its token is being looked up is answered when
 * that is done, in order; it is only noted down whether it was a ping.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/counters.h"
#include "common/settings.h"
#include "common/timetext.h"
#include "gateway/credential.h"
#include "gateway/dialect.h"
#include "gateway/parameters.h"
#include "gateway/reconnect.h"
#include "gateway/topics.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "wire/dashboard_message.h"

#define TOPIC_OF_ALL	"dashboard"
#define TENANT_PREFIX	"dashboard:"

/* Messages that a client may send while its token is being looked up. */
#define MAX_EARLY	16

typedef enum EarlyMessage
{
	EARLY_PING,
	EARLY_UNKNOWN
} EarlyMessage;

typedef struct DashboardSession
{
	bool		connected;		/* it is known who it is, and it was told */
	char	   *tenant;			/* sees its projects only; NULL: all */
	int			nearly;
	EarlyMessage early[MAX_EARLY];
	dlist_head	subscriptions;
} DashboardSession;

static const char authentication_required[] = "Authentication required";

static MemoryContext dashboard_context;
static int64 clients = 0;		/* of this gateway */

/* The gauge is of all gateways; take out what was ours. */
static void
leave(int code, Datum arg)
{
	CounterAdd(COUNTER_DASHBOARD_CLIENTS, -clients);
	clients = 0;
}

static void
count_client(int n)
{
	clients += n;
	CounterAdd(COUNTER_DASHBOARD_CLIENTS, n);
}

/*
 * Messages
 */

static void
send_text(Connection *connection, const char *text)
{
	ConnectionSendOwn(connection, FrameFromText(text, strlen(text)));
	CounterAdd(COUNTER_MESSAGES_SENT, 1);
}

static void
send_connected(Connection *connection)
{
	char		text[128];

	snprintf(text, sizeof(text),
			 "{\"event\":\"connected\",\"client_id\":\"ws-" UINT64_FORMAT
			 "\",\"heartbeat_seconds\":%.10g}",
			 connection->id, quizrt_dashboard_heartbeat / 1000.0);
	send_text(connection, text);
}

static void
heartbeat(Connection *connection)
{
	DashboardSession *session = connection->session;
	StringInfoData text;

	if (!session->connected)
		return;
	initStringInfo(&text);
	appendStringInfoString(&text, "{\"event\":\"heartbeat\",\"timestamp\":");
	AppendUnixTime(&text, GetCurrentTimestamp());
	appendStringInfo(&text, ",\"clients\":" UINT64_FORMAT "}",
					 CounterRead(COUNTER_DASHBOARD_CLIENTS));
	send_text(connection, text.data);
	pfree(text.data);
}

static void
answer(Connection *connection, EarlyMessage message)
{
	if (!ConnectionCountError(connection))
		return;
	if (message == EARLY_PING)
		send_text(connection, "{\"event\":\"pong\"}");
	else
		send_text(connection,
				  "{\"event\":\"error\",\"message\":\"Unknown message\"}");
}

/*
 * Connecting
 */

static void
start_session(Connection *connection)
{
	DashboardSession *session;

	if (dashboard_context == NULL)
	{
		dashboard_context = AllocSetContextCreate(TopMemoryContext,
												  "quizrt dashboard",
												  ALLOCSET_DEFAULT_SIZES);
		before_shmem_exit(leave, (Datum) 0);
	}
	session = MemoryContextAllocZero(dashboard_context,
									 sizeof(DashboardSession));
	dlist_init(&session->subscriptions);
	connection->session = session;
}

static void
ended(Connection *connection)
{
	DashboardSession *session = connection->session;

	if (session->connected)
		count_client(-1);
	UnsubscribeAll(&session->subscriptions);
	if (session->tenant != NULL)
		pfree(session->tenant);
	pfree(session);
}

/* It is known who it is: from here on it gets messages. */
static void
welcome(Connection *connection, const char *topic)
{
	DashboardSession *session = connection->session;

	Subscribe(connection, EventTextOf(topic), &session->subscriptions);
	session->connected = true;
	count_client(1);
	connection->heartbeat_due = gateway_now + quizrt_dashboard_heartbeat;
	ConnectionSetDeadline(connection, NEVER);
	send_connected(connection);
	for (int i = 0; connection->state == CONNECTION_OPEN &&
		 i < session->nearly; i++)
		answer(connection, session->early[i]);
}

static void
refuse(Connection *connection)
{
	CounterAdd(COUNTER_CREDENTIALS_REFUSED, 1);
	send_text(connection, "{\"event\":\"error\",\"message\":"
			  "\"Authentication required\"}");
	ConnectionClose(connection, WS_CLOSE_POLICY_VIOLATION,
					authentication_required);
}

/* No verdict can be had: it may try again. */
static void
unavailable(Connection *connection)
{
	if (connection->state == CONNECTION_OPEN)
		ConnectionClose(connection, WS_CLOSE_TRY_AGAIN_LATER,
						"Temporarily unavailable");
	else
		ConnectionRefuse(connection, 503, "Temporarily unavailable");
}

/* Does the token name a tenant, and one that there can be? */
static bool
is_member(const CredentialAnswer *answer)
{
	return answer->verdict == CREDENTIAL_ACCEPTED &&
		answer->tenant.length > 0 &&
		answer->tenant.length <= MAX_TOPIC_LENGTH - strlen(TENANT_PREFIX);
}

static void
welcome_member(Connection *connection, const CredentialAnswer *answer)
{
	DashboardSession *session = connection->session;
	char	   *topic = psprintf(TENANT_PREFIX "%.*s",
								 (int) answer->tenant.length,
								 answer->tenant.bytes);

	session->tenant = MemoryContextStrdup(dashboard_context,
										  topic + strlen(TENANT_PREFIX));
	CredentialHold(connection, answer, &session->subscriptions);
	welcome(connection, topic);
	pfree(topic);
}

static void
identified(Connection *connection, const CredentialAnswer *answer,
		   const StreamMark *mark)
{
	bool		in_query = connection->state == CONNECTION_ASKING;

	if (answer == NULL)
	{
		unavailable(connection);
		return;
	}
	if (in_query)
		ConnectionUpgrade(connection, NULL);
	if (connection->state != CONNECTION_OPEN)
		return;
	if (is_member(answer))
		welcome_member(connection, answer);
	else
		refuse(connection);
	if (in_query)
		ConnectionResume(connection);
}

/* Become a WebSocket, of which it may not be known yet who it is. */
static void
begin(Connection *connection)
{
	start_session(connection);
	ConnectionUpgrade(connection, NULL);
	if (connection->state != CONNECTION_OPEN)
		return;
	if (quizrt_dashboard_multi_tenant)
		ConnectionSetDeadline(connection,
							  gateway_now + quizrt_dashboard_auth_timeout);
	else
		welcome(connection, TOPIC_OF_ALL);
	ConnectionResume(connection);
}

static void
request(Connection *connection, const HttpRequest *request)
{
	Parameters	parameters;
	bool		valid = ParametersRead(&parameters, request->query, "token",
									   NULL);
	const char *token = parameters.values[0].value;

	if (!valid)
		ConnectionRefuse(connection, 400, "Invalid query parameters");
	else if (quizrt_dashboard_multi_tenant && !CredentialCanBeAsked())
		unavailable(connection);
	else if (quizrt_dashboard_multi_tenant && token != NULL)
	{
		start_session(connection);
		CredentialAsk(connection, CREDENTIAL_DASHBOARD_TOKEN, token);
	}
	else
		begin(connection);
	ParametersWipe(&parameters);
}

/* The first message did not come in time. */
static void
deadline(Connection *connection)
{
	refuse(connection);
}

/* Only a token is understood. */
static void
first_message(Connection *connection, const DashboardMessage *message)
{
	if (message->token == NULL || message->token[0] == '\0')
		refuse(connection);
	else if (!CredentialCanBeAsked())
		unavailable(connection);
	else
	{
		/* From here on it is us who are waited for. */
		ConnectionSetDeadline(connection, NEVER);
		CredentialAsk(connection, CREDENTIAL_DASHBOARD_TOKEN, message->token);
	}
}

static void
early_message(Connection *connection, EarlyMessage message)
{
	DashboardSession *session = connection->session;

	if (session->nearly < MAX_EARLY)
		session->early[session->nearly++] = message;
	else
		refuse(connection);
}

static void
message(Connection *connection, const char *bytes, size_t length)
{
	DashboardSession *session = connection->session;
	DashboardMessage message;
	EarlyMessage meaning;

	DashboardMessageParse(bytes, length, &message);
	meaning = message.ping ? EARLY_PING : EARLY_UNKNOWN;
	if (!session->connected && connection->question == NULL)
		first_message(connection, &message);
	else if (!session->connected)
		early_message(connection, meaning);
	else if (!message.ping && message.token != NULL && session->tenant == NULL)
		(void) ConnectionCountError(connection);	/* nobody asked for it */
	else
		answer(connection, meaning);
	if (message.token != NULL)
		explicit_bzero(message.token, strlen(message.token));
}

/* Who came in when nobody was asked is to say who it is, if that is wanted
 * now. */
static void
reloaded(Connection *connection)
{
	DashboardSession *session = connection->session;

	if (!quizrt_dashboard_enabled)
		ConnectionClose(connection, WS_CLOSE_GOING_AWAY, "Not served any more");
	else if (quizrt_dashboard_multi_tenant && session->connected &&
			 session->tenant == NULL)
		refuse(connection);
}

/*
 * Events
 */

static bool
owns_topic(EventText topic)
{
	size_t		length = strlen(TOPIC_OF_ALL);

	return topic.length >= length &&
		memcmp(topic.bytes, TOPIC_OF_ALL, length) == 0 &&
		(topic.length == length || topic.bytes[length] == ':');
}

/* The data is a JSON object, to which the event's name is added. */
static Frame *
word(const Event *event, EventText topic)
{
	FramePiece	pieces[] = {
		FRAME_LITERAL("{\"event\":\""),
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
	return ((DashboardSession *) connection->session)->tenant;
}

static dlist_head *
channels(const Connection *connection)
{
	return &((DashboardSession *) connection->session)->subscriptions;
}

static bool
enabled(void)
{
	return quizrt_dashboard_enabled;
}

static int
heartbeat_interval(void)
{
	return quizrt_dashboard_heartbeat;
}

const Dialect dashboard_dialect = {
	.name = "dashboard",
	.path = "/api/v2/dashboard/ws",
	.owns_topic = owns_topic,
	.enabled = enabled,
	.request = request,
	.identified = identified,
	.ended = ended,
	.message = message,
	.heartbeat_interval = heartbeat_interval,
	.heartbeat = heartbeat,
	.deadline = deadline,
	.reloaded = reloaded,
	.caught_up = ReconnectCaughtUp,
	.word = word,
	.event = ReconnectEvent,
	.owner = owner,
	.channels = channels,
	.lost = ReconnectLost
};
