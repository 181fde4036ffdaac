/*-------------------------------------------------------------------------
 *
 * clients.c
 *		The checker's subscribers: WebSocket connections that come and go,
 *		and subscribe and unsubscribe at random.
 *
 * A client sends one request at a time and awaits an answer for each channel
 * that it named.  What arrives is handed to the model (model.c).
 *
 * Who watches a quiz's attempts and its event stream's gets each update
 * twice, and could not tell which is which: so a client knows quizzes by
 * their id, or by their event streams, and never by both.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "checker.h"

/* The example of RFC 6455, and what it has to be answered with. */
#define KEY		"dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT	"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* How long an answer may take, in seconds. */
#define ANSWER_TIMEOUT	20.0

enum
{
	FIN_TEXT = 0x81,
	FIN_CLOSE = 0x88,
	FIN_PING = 0x89,
	FIN_PONG = 0x8a
};

typedef enum ClientState
{
	CLIENT_AWAY,
	CLIENT_CONNECTING,			/* the kernel's part */
	CLIENT_UPGRADING,			/* waits for 101 */
	CLIENT_OPEN
} ClientState;

#define MAX_CLIENTS	64

static Client *clients[MAX_CLIENTS];
static bool resting = false;

static void ready(void *owner, uint32_t events);

static void
forget_subscription(Subscription *subscription)
{
	subscription->state = NOT_SUBSCRIBED;
	subscription->live = false;
	ModelForget(subscription);
}

/* The connection is gone; another one comes after a moment. */
static void
leave(Client *client, double pause)
{
	WatchSet(&client->watch, 0);
	close(client->watch.fd);
	client->watch.fd = -1;
	client->state = CLIENT_AWAY;
	client->length = 0;
	client->due = 0;
	client->asked = 0;
	client->next = Now() + pause;
	client->reads = 0;
	for (int i = 0; i < ntopics; i++)
		forget_subscription(&client->subscriptions[i]);
}

/* By the server's doing, which is well only where its processes are ended. */
static void
dropped(Client *client, const char *why)
{
	counts.dropped++;
	if (!plan.kill && !(plan.slow && strstr(why, "Too slow") != NULL))
		Violation(client, "the connection was dropped: %s", why);
	leave(client, 0.05 + RandomBelow(&client->random, 100) / 1000.0);
}

static void
send_all(Client *client, const void *bytes, size_t length)
{
	ssize_t		sent = send(client->watch.fd, bytes, length, MSG_NOSIGNAL);

	/* What has ended is noticed when it is read. */
	if (sent != (ssize_t) length && errno != EPIPE && errno != ECONNRESET)
		Die("a client could not send: %s", strerror(errno));
}

/* Masked with zeros, which is a mask. */
static void
send_frame(Client *client, int opcode, const char *payload, size_t length)
{
	unsigned char frame[2048 + 8] = {0};
	size_t		head = length < 126 ? 6 : 8;

	if (length > 2048)
		Die("a request is too long");
	frame[0] = (unsigned char) opcode;
	frame[1] = (unsigned char) (0x80 | (length < 126 ? length : 126));
	if (head == 8)
	{
		frame[2] = (unsigned char) (length >> 8);
		frame[3] = (unsigned char) length;
	}
	memcpy(frame + head, payload, length);
	send_all(client, frame, head + length);
}

/*
 * Connecting
 */

static void
come(Client *client)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	int			on = 1;
	int			small = 4096;
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		Die("socket: %s", strerror(errno));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (plan.slow)
		(void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	server.sin_port = htons((uint16_t) plan.port);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client->watch.fd = fd;
	client->state = CLIENT_CONNECTING;
	client->asked = Now();
	(void) connect(fd, (struct sockaddr *) &server, sizeof(server));
	WatchSet(&client->watch, EPOLLOUT);
}

static void
upgrade(Client *client)
{
	char		head[512];
	int			error = 0;
	socklen_t	size = sizeof(error);

	if (getsockopt(client->watch.fd, SOL_SOCKET, SO_ERROR, &error,
				   &size) < 0 || error != 0)
	{
		dropped(client, "it was refused");
		return;
	}
	snprintf(head, sizeof(head), "GET /ws?token=%s HTTP/1.1\r\n"
			 "Host: localhost\r\nUpgrade: websocket\r\n"
			 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			 "Sec-WebSocket-Key: " KEY "\r\n\r\n", client->key);
	send_all(client, head, strlen(head));
	client->state = CLIENT_UPGRADING;
	WatchSet(&client->watch, EPOLLIN);
}

/* The bytes of the answer's head, or 0: it isn't complete. */
static size_t
upgraded(Client *client)
{
	char	   *end = memmem(client->buffer, client->length, "\r\n\r\n", 4);

	if (end == NULL)
		return 0;
	*end = '\0';
	if (strncmp(client->buffer, "HTTP/1.1 101", 12) != 0 ||
		strstr(client->buffer, ACCEPT) == NULL)
	{
		snprintf(client->history[client->nhistory++ % HISTORY], HISTORY_SIZE,
				 "%s", client->buffer);
		dropped(client, "no upgrade");
		return 0;
	}
	client->state = CLIENT_OPEN;
	client->asked = 0;
	client->next = Now() + RandomBelow(&client->random, 50) / 1000.0;
	return (size_t) (end - client->buffer) + 4;
}

/*
 * What arrives
 */

static Subscription *
subscription_of(Client *client, Json name)
{
	char		text[80];

	JsonText(name, text, sizeof(text));
	return &client->subscriptions[TopicByName(text)];
}

/* A channel of a request has its answer. */
static void
answered(Client *client, Subscription *subscription, SubscriptionState state)
{
	if (subscription->state != SUBSCRIBING &&
		subscription->state != UNSUBSCRIBING)
		Violation(client, "an answer about %s, which was not asked about",
				  subscription->topic->name);
	subscription->state = state;
	if (--client->due == 0)
		client->asked = 0;
}

static int64_t
milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
confirmed(Client *client, Json names, bool subscribed)
{
	const char *place = NULL;
	Json		name;

	while (JsonNext(names, &place, &name))
	{
		Subscription *subscription = subscription_of(client, name);

		answered(client, subscription,
				 subscribed ? SUBSCRIBED : NOT_SUBSCRIBED);
		counts.subscribed += subscribed;
		if (!subscribed)
			forget_subscription(subscription);
		else if (!subscription->live)
		{
			ModelForget(subscription);
			subscription->since = milliseconds_now();
		}
		subscription->live = subscribed;
	}
}

/*
 * Does "text" begin with "what", followed by a channel?  Its subscription, and
 * what follows the channel.
 */
static Subscription *
error_about(Client *client, const char *text, const char *what,
			const char **rest)
{
	char		name[80];
	const char *begin = text + strlen(what);
	const char *colon;

	if (strncmp(text, what, strlen(what)) != 0 ||
		(colon = strchr(begin, ':')) == NULL)
		return NULL;
	*rest = colon + 1 + strcspn(colon + 1, ":");
	snprintf(name, sizeof(name), "%.*s", (int) (*rest - begin), begin);
	return &client->subscriptions[TopicByName(name)];
}

static void
denied(Client *client, Subscription *subscription, const char *why)
{
	bool		unavailable = strstr(why, "temporarily unavailable") != NULL;

	counts.denied++;
	counts.unavailable += unavailable;
	if (unavailable ? !plan.kill && !plan.lossy :
		strstr(why, "not found or not owned") == NULL ||
		(subscription->topic->quiz <= 2 &&
		 subscription->topic->quiz == client->number % 2 + 1))
		Violation(client, "%s was denied%s", subscription->topic->name, why);

	/* What is subscribed already stays so, where a snapshot fails. */
	answered(client, subscription,
			 subscription->live ? SUBSCRIBED : NOT_SUBSCRIBED);
}

static void
take_error(Client *client, Json error)
{
	char		text[300];
	const char *rest;
	Subscription *subscription;

	JsonText(error, text, sizeof(text));
	if ((subscription = error_about(client, text, "Subscription denied: ",
									&rest)) != NULL)
		denied(client, subscription, rest);
	else if ((subscription = error_about(client, text, "Access revoked: ",
										 &rest)) != NULL)
	{
		counts.revoked++;
		subscription->live = false;
		ModelForget(subscription);
		if (subscription->state == SUBSCRIBED)
			subscription->state = NOT_SUBSCRIBED;
	}
	else if ((subscription = error_about(client, text, "Updates lost: ",
										 &rest)) != NULL)
	{
		counts.lost++;
		ModelLost(subscription);
	}
	else
		Violation(client, "an unexpected error: %s", text);
}

/* Which of the client's subscriptions is an update for? */
static Subscription *
recipient(Client *client, Json channel, Json data)
{
	Json		topic = JsonMember(data, "topic");
	char		id[40];
	char		name[80];

	if (topic.at != NULL)
		return subscription_of(client, topic);
	JsonText(channel, name, sizeof(name));
	if (strcmp(name, "attempts") == 0 && client->number / 2 % 2 == 1)
		JsonText(JsonMember(data, "event_id"), id, sizeof(id));
	else
		snprintf(id, sizeof(id), "%d",
				 (int) (JsonThousandths(JsonMember(data, "quiz_id")) / 1000));
	strcat(strcat(name, ":"), id);
	return &client->subscriptions[TopicByName(name)];
}

static void
take_message(Client *client, const char *bytes, size_t length)
{
	Json		message;
	Json		event;
	char		slug[64];

	snprintf(client->history[client->nhistory++ % HISTORY], HISTORY_SIZE,
			 "%.*s", (int) length, bytes);
	counts.messages++;
	if (!JsonRead(bytes, length, &message))
		Violation(client, "a message that is no JSON");
	event = JsonMember(message, "event");
	if (JsonIs(event, "update"))
	{
		Json		data = JsonMember(message, "data");

		JsonText(JsonMember(message, "t"), slug, sizeof(slug));
		ModelUpdate(recipient(client, JsonMember(message, "channel"), data),
					slug, data);
	}
	else if (JsonIs(event, "snapshot"))
	{
		const char *place = NULL;
		Json		name = {NULL, NULL};

		(void) JsonNext(JsonMember(message, "subscriptions"), &place, &name);
		ModelSnapshot(subscription_of(client, name),
					  JsonMember(message, "snapshot"));
	}
	else if (JsonIs(event, "subscribed") || JsonIs(event, "unsubscribed"))
		confirmed(client, JsonMember(message, "subscriptions"),
				  JsonIs(event, "subscribed"));
	else
		take_error(client, JsonMember(message, "error"));
}

static void
take_close(Client *client, const char *payload, size_t length)
{
	char		why[160] = "close";

	if (length >= 2)
		snprintf(why, sizeof(why), "close %d %.*s",
				 (unsigned char) payload[0] << 8 | (unsigned char) payload[1],
				 (int) length - 2, payload + 2);
	dropped(client, why);
}

/* One frame at the beginning of these bytes; its size, or 0: incomplete. */
static size_t
take_frame(Client *client, const char *bytes, size_t length)
{
	const unsigned char *head = (const unsigned char *) bytes;
	size_t		size;
	size_t		at = 2;

	if (length < 2)
		return 0;
	size = head[1];
	if (size >= 126)
	{
		at = size == 126 ? 4 : 10;
		if (length < at)
			return 0;
		size = 0;
		for (size_t i = 2; i < at; i++)
			size = size << 8 | head[i];
	}
	if (length < at + size)
		return 0;
	if (head[0] == FIN_TEXT)
		take_message(client, bytes + at, size);
	else if (head[0] == FIN_PING)
		send_frame(client, FIN_PONG, bytes + at, size);
	else if (head[0] == FIN_CLOSE)
		take_close(client, bytes + at, size);
	else
		Violation(client, "a frame of kind %x", head[0]);
	return at + size;
}

static void
take_bytes(Client *client)
{
	size_t		at = 0;
	size_t		taken;

	if (client->state == CLIENT_UPGRADING)
		at = upgraded(client);
	while (client->state == CLIENT_OPEN &&
		   (taken = take_frame(client, client->buffer + at,
							   client->length - at)) > 0)
		at += taken;
	if (client->state == CLIENT_AWAY)
		return;
	client->length -= at;
	memmove(client->buffer, client->buffer + at, client->length);
}

static void
ready(void *owner, uint32_t events)
{
	Client	   *client = owner;
	ssize_t		got;

	if (client->state == CLIENT_CONNECTING)
	{
		upgrade(client);
		return;
	}
	if (client->size - client->length < 65536)
	{
		client->size = client->size * 2 + 131072;
		client->buffer = realloc(client->buffer, client->size);
		if (client->buffer == NULL)
			Die("out of memory");
	}
	got = recv(client->watch.fd, client->buffer + client->length,
			   client->size - client->length - 1, 0);
	if (got > 0)
	{
		client->length += (size_t) got;
		take_bytes(client);
	}
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		dropped(client, got == 0 ? "end of file" : strerror(errno));
}

/*
 * What clients do
 */

static bool
watches(const Client *client, const Topic *topic)
{
	return topic->kind != TOPIC_ATTEMPTS ||
		topic->event == (client->number / 2 % 2 == 1);
}

/* Name one to three channels that are subscribed, or that are not. */
static void
request(Client *client, bool subscribe, bool subscribed)
{
	char		message[1024];
	int			wanted = 1 + (int) RandomBelow(&client->random, 3);
	int			length = snprintf(message, sizeof(message),
								  "{\"action\":\"%s\",\"subscriptions\":[",
								  subscribe ? "subscribe" : "unsubscribe");

	for (int tries = 0; tries < 20 && client->due < wanted; tries++)
	{
		int			choice = (int) RandomBelow(&client->random,
											   (uint32_t) ntopics);
		Subscription *subscription = &client->subscriptions[choice];

		if (!watches(client, &topics[choice]) || subscription->live != subscribed ||
			subscription->state == SUBSCRIBING ||
			subscription->state == UNSUBSCRIBING)
			continue;
		subscription->state = subscribe ? SUBSCRIBING : UNSUBSCRIBING;
		length += snprintf(message + length, sizeof(message) - (size_t) length,
						   "%s\"%s\"", client->due++ > 0 ? "," : "",
						   topics[choice].name);
	}
	if (client->due == 0)
		return;
	length += snprintf(message + length, sizeof(message) - (size_t) length,
					   "]}");
	send_frame(client, FIN_TEXT, message, (size_t) length);
	client->asked = Now();
}

static void
do_something(Client *client)
{
	uint32_t	choice = RandomBelow(&client->random, 100);

	client->next = Now() + RandomBelow(&client->random, 400) / 1000.0;
	if (choice < 50)
		request(client, true, false);
	else if (choice < 62)
		request(client, true, true);
	else if (choice < 90)
		request(client, false, true);
	else if (choice < 94)
	{
		counts.reconnects++;
		leave(client, 0);
	}
	else if (plan.slow)
	{
		/* Something is kept for us, until there is too much of it. */
		client->reads = Now() + 0.2 + RandomBelow(&client->random, 2000) / 1000.0;
		client->next = client->reads;
		WatchSet(&client->watch, 0);
	}
}

static void
read_again(Client *client)
{
	client->reads = 0;
	WatchSet(&client->watch, EPOLLIN);
}

static void
check_patience(const Client *client, double now)
{
	if (client->asked > 0 && now - client->asked > ANSWER_TIMEOUT)
		Violation(client, "no answer for %.0f seconds", ANSWER_TIMEOUT);
}

void
ClientsRun(double now)
{
	for (int i = 0; i < plan.clients; i++)
	{
		Client	   *client = clients[i];

		check_patience(client, now);
		if (client->reads > 0 && (resting || client->reads <= now))
			read_again(client);
		if (client->next > now)
			continue;
		if (client->state == CLIENT_AWAY)
			come(client);
		else if (client->state == CLIENT_OPEN && client->due == 0 && !resting)
			do_something(client);
	}
}

void
ClientsRest(bool rest)
{
	resting = rest;
	for (int i = 0; i < plan.clients; i++)
	{
		for (int j = 0; j < ntopics; j++)
			clients[i]->subscriptions[j].settled = false;
	}
}

bool
ClientsIdle(void)
{
	for (int i = 0; i < plan.clients; i++)
	{
		if (clients[i]->due > 0)
			return false;
	}
	return true;
}

static bool
settled(Subscription *subscription, char *why, size_t size)
{
	char		difference[600];

	if (!subscription->live || subscription->settled)
		return true;
	subscription->settled = TruthAgrees(subscription, difference,
										sizeof(difference));
	if (subscription->settled)
	{
		counts.compared++;
		return true;
	}
	snprintf(why, size, "client %d (%s), %s: %s", subscription->client->number,
			 subscription->client->owner, subscription->topic->name,
			 difference);
	return false;
}

bool
ClientsSettled(char *why, size_t size, const Client **who)
{
	bool		all = true;

	for (int i = 0; i < plan.clients; i++)
	{
		Client	   *client = clients[i];

		if (client->state != CLIENT_OPEN || client->due > 0)
		{
			snprintf(why, size, "client %d is not served", i);
			*who = client;
			all = false;
			continue;
		}
		for (int j = 0; j < ntopics; j++)
		{
			if (settled(&client->subscriptions[j], why, size))
				continue;
			*who = client;
			all = false;
		}
	}
	return all;
}

void
ClientsStart(void)
{
	TopicsInit();
	for (int i = 0; i < plan.clients; i++)
	{
		Client	   *client = calloc(1, sizeof(Client));
		PGresult   *key;

		if (client == NULL)
			Die("out of memory");
		clients[i] = client;
		client->number = i;
		client->owner = i % 2 == 0 ? "alice" : "bob";
		client->random = RandomStream(1000 + (uint64_t) i);
		client->watch = (Watch) {-1, 0, ready, client};
		key = Query("SELECT quizrt.create_api_key('%s')", client->owner);
		snprintf(client->key, sizeof(client->key), "%s",
				 PQgetvalue(key, 0, 0));
		PQclear(key);
		for (int j = 0; j < ntopics; j++)
		{
			client->subscriptions[j].client = client;
			client->subscriptions[j].topic = &topics[j];
			forget_subscription(&client->subscriptions[j]);
		}
	}
}
