/*-------------------------------------------------------------------------
 *
 * clients.c
 *		The load generator's WebSocket clients.
 *
 * One thread and one epoll set for all of them.  It must cost less than the
 * server does, as both share the machine: one read takes what is there, into
 * one buffer for all, frames are looked at in place, and only an incomplete
 * one is copied.
 *
 * A client expects, for each of its channels and each writer, the number that
 * follows the last.  A higher one is a gap, a lower one came twice or too
 * late.  After a gap it goes on from the number that came, so that one loss
 * is counted once.
 *
 * It masks what it sends with zeros: that is a mask, and saves the work.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clients.h"
#include "marker.h"

#define READ_SIZE		(256 * 1024)
#define EVENTS_A_TURN	1024

/* Connections from one source address, well below the ports there are. */
#define PER_ADDRESS		20000
#define ADDRESSES		250

/* The example of RFC 6455, and what it has to be answered with. */
#define KEY		"dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT	"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

enum
{
	FIN_TEXT = 0x81,
	FIN_CLOSE = 0x88,
	FIN_PING = 0x89,
	FIN_PONG = 0x8a
};

typedef enum ClientState
{
	CLIENT_UNUSED,
	CLIENT_CONNECTING,			/* the kernel's part */
	CLIENT_UPGRADING,			/* waits for 101 */
	CLIENT_SUBSCRIBING,
	CLIENT_READY,
	CLIENT_CLOSING				/* has sent its close */
} ClientState;

typedef struct Client
{
	int			fd;
	ClientState state;
	uint32_t	first_channel;
	uint32_t	rest_length;	/* an incomplete frame, or head */
	uint32_t	rest_size;
	char	   *rest;
	uint64_t	started;
	uint32_t   *expected;		/* [channel of ours][writer] */
} Client;

ClientCounts client_counts;
Histogram	connect_times;
Histogram	delivery_times;
uint64_t	delivery_from = 0;

static Client *clients;
static uint32_t *expected;
static int	poller = -1;
static int	used = 0;			/* sockets */
static int	pending = 0;		/* connects under way */
static int	next_client = 0;	/* to be opened next */
static char buffer[READ_SIZE];
static size_t marker_offset = 0;	/* where the last message had it */

void
ClientsInit(void)
{
	size_t		numbers = (size_t) plan.per_client * (size_t) plan.writers;

	clients = Allocate((size_t) plan.clients, sizeof(Client));
	expected = Allocate((size_t) plan.clients * numbers + 1, sizeof(uint32_t));
	for (int i = 0; i < plan.clients; i++)
	{
		clients[i].fd = -1;
		clients[i].first_channel = FirstChannel(i);
		clients[i].expected = expected + (size_t) i * numbers;
	}
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		Die("epoll_create1: %s", strerror(errno));
}

int
ClientsLeft(void)
{
	return used;
}

static void
watch(Client *client, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events,.data.ptr = client};

	if (epoll_ctl(poller, operation, client->fd, &event) < 0)
		Die("epoll_ctl: %s", strerror(errno));
}

/* The socket goes; what that means is the caller's to count. */
static void
forget(Client *client)
{
	if (client->state == CLIENT_CONNECTING || client->state == CLIENT_UPGRADING)
		pending--;
	if (client->state == CLIENT_READY)
		client_counts.ready--;
	if (client->state >= CLIENT_SUBSCRIBING)
		client_counts.open--;
	close(client->fd);
	client->fd = -1;
	client->state = CLIENT_UNUSED;
	free(client->rest);
	client->rest = NULL;
	client->rest_length = client->rest_size = 0;
	used--;
}

static void
failed(Client *client, const char *why, size_t length)
{
	if (client_counts.failed++ < 3)
		fprintf(stderr, "load: a connect failed: %.*s\n", (int) length, why);
	forget(client);
}

/* Small things only, to a peer that reads: what does not fit is an error. */
static void
send_all(Client *client, const void *bytes, size_t length)
{
	if (send(client->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t) length &&
		errno != EPIPE && errno != ECONNRESET)
		Die("a client could not send: %s", strerror(errno));
}

static void
send_frame(Client *client, int opcode, const char *payload, size_t length)
{
	unsigned char frame[65536 + 8] = {0};
	size_t		head;

	if (length > 65535)
		Die("a message is too long");
	frame[0] = (unsigned char) opcode;
	if (length < 126)
	{
		frame[1] = (unsigned char) (0x80 | length);
		head = 6;
	}
	else
	{
		frame[1] = 0x80 | 126;
		frame[2] = (unsigned char) (length >> 8);
		frame[3] = (unsigned char) length;
		head = 8;
	}
	memset(frame + head - 4, 0, 4);
	memcpy(frame + head, payload, length);
	send_all(client, frame, head + length);
}

/* Append a pattern, with the channel's number (counted from 1) for "%c". */
static size_t
expand(char *to, size_t size, size_t length, const char *pattern,
	   uint32_t channel)
{
	const char *hole = strstr(pattern, "%c");

	if (hole == NULL)
		length += (size_t) snprintf(to + length, size - length, "%s", pattern);
	else
		length += (size_t) snprintf(to + length, size - length, "%.*s%u%s",
									(int) (hole - pattern), pattern,
									channel + 1, hole + 2);
	if (length >= size)
		Die("a request is too long");
	return length;
}

/*
 * Opening
 */

/* A source address for each so many, or the ports run out. */
static void
bind_source(int fd)
{
	struct sockaddr_in source = {.sin_family = AF_INET};
	int			on = 1;
	int			address = client_counts.opened / PER_ADDRESS % ADDRESSES;

	source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t) address);
	(void) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
					  sizeof(on));
	if (bind(fd, (struct sockaddr *) &source, sizeof(source)) < 0)
		Die("bind: %s", strerror(errno));
}

static void
open_client(Client *client)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	int			on = 1;

	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		Die("socket: %s", strerror(errno));
	(void) setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	bind_source(client->fd);
	server.sin_port = htons((uint16_t) plan.port);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client->started = Now();
	client->state = CLIENT_CONNECTING;
	client_counts.opened++;
	used++;
	pending++;
	if (connect(client->fd, (struct sockaddr *) &server, sizeof(server)) < 0 &&
		errno != EINPROGRESS)
	{
		failed(client, strerror(errno), strlen(strerror(errno)));
		return;
	}
	watch(client, EPOLL_CTL_ADD, EPOLLOUT);
}

void
ClientsOpen(int target)
{
	while (client_counts.opened - client_counts.failed < target &&
		   pending < plan.in_flight && used < plan.clients &&
		   client_counts.failed < 100)
	{
		while (clients[next_client].state != CLIENT_UNUSED)
			next_client = (next_client + 1) % plan.clients;
		open_client(&clients[next_client]);
		next_client = (next_client + 1) % plan.clients;
	}
}

static void
request(Client *client)
{
	char		head[8192];
	size_t		length;
	int			error = 0;
	socklen_t	size = sizeof(error);

	if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ||
		error != 0)
	{
		failed(client, strerror(error), strlen(strerror(error)));
		return;
	}
	length = expand(head, sizeof(head), 0, "GET ", 0);
	length = expand(head, sizeof(head), length, plan.path,
					client->first_channel);
	length = expand(head, sizeof(head), length, " HTTP/1.1\r\n"
					"Host: localhost\r\nUpgrade: websocket\r\n"
					"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
					"Sec-WebSocket-Key: " KEY "\r\n\r\n", 0);
	send_all(client, head, length);
	client->state = CLIENT_UPGRADING;
	watch(client, EPOLL_CTL_MOD, EPOLLIN);
}

static void
ready(Client *client)
{
	client->state = CLIENT_READY;
	client_counts.ready++;
}

static void
subscribe(Client *client)
{
	static char message[65536];
	size_t		size = sizeof(message);
	size_t		length;

	if (plan.subscribe[0] == '\0')
	{
		ready(client);
		return;
	}
	length = expand(message, size, 0,
					"{\"action\":\"subscribe\",\"subscriptions\":[", 0);
	for (int i = 0; i < plan.per_client; i++)
	{
		length = expand(message, size, length, i > 0 ? ",\"" : "\"", 0);
		length = expand(message, size, length, plan.subscribe,
						(client->first_channel + (uint32_t) i) %
						(uint32_t) plan.channels);
		length = expand(message, size, length, "\"", 0);
	}
	length = expand(message, size, length, "]}", 0);
	send_frame(client, FIN_TEXT, message, length);
}

/* Is the head of the answer complete?  Returns its length, or 0. */
static size_t
upgraded(Client *client, const char *bytes, size_t length)
{
	const char *end = memmem(bytes, length, "\r\n\r\n", 4);

	if (end == NULL)
		return 0;
	if (strncmp(bytes, "HTTP/1.1 101", 12) != 0 ||
		memmem(bytes, (size_t) (end - bytes), ACCEPT, strlen(ACCEPT)) == NULL)
	{
		failed(client, bytes, length);
		return 0;
	}
	HistogramAdd(&connect_times, Now() - client->started);
	client->state = CLIENT_SUBSCRIBING;
	client_counts.open++;
	pending--;
	subscribe(client);
	return (size_t) (end - bytes) + 4;
}

/*
 * What comes in
 */

/* Does this event's number follow the last? */
static void
judge(Client *client, const Marker *marker)
{
	uint32_t	channel = marker->channel >= client->first_channel ?
		marker->channel - client->first_channel :
		marker->channel + (uint32_t) plan.channels - client->first_channel;
	uint32_t   *next;

	if (marker->channel >= (uint32_t) plan.channels ||
		channel >= (uint32_t) plan.per_client ||
		marker->writer >= (uint32_t) plan.writers)
	{
		client_counts.strays++;
		return;
	}
	next = &client->expected[channel * (uint32_t) plan.writers +
							 marker->writer];
	if (marker->number == *next)
		*next = marker->number + 1;
	else if (marker->number > *next)
	{
		client_counts.gaps += marker->number - *next;
		*next = marker->number + 1;
	}
	else
		client_counts.doubles++;
}

static bool
has(const char *bytes, size_t length, const char *word)
{
	return memmem(bytes, length, word, strlen(word)) != NULL;
}

/* A message without a marker. */
static void
other_message(Client *client, const char *bytes, size_t length)
{
	if (has(bytes, length, "\"event\":\"subscribed\""))
	{
		if (client->state == CLIENT_SUBSCRIBING)
			ready(client);
	}
	else if (has(bytes, length, "\"Updates lost"))
		client_counts.lost++;
	else if (has(bytes, length, "\"event\":\"error\""))
	{
		if (client_counts.errors++ < 3)
			fprintf(stderr, "load: %.*s\n", (int) length, bytes);
	}
}

static void
text(Client *client, const char *bytes, size_t length, uint64_t now)
{
	static const size_t key = sizeof(MARKER_KEY) - 1;
	Marker		marker;
	const char *at = NULL;

	if (marker_offset + key + MARKER_LENGTH <= length &&
		memcmp(bytes + marker_offset, MARKER_KEY, key) == 0)
		at = bytes + marker_offset;
	else
		at = memmem(bytes, length, MARKER_KEY, key);
	if (at == NULL || at + key + MARKER_LENGTH > bytes + length ||
		!MarkerParse(at + key, &marker))
	{
		other_message(client, bytes, length);
		return;
	}
	marker_offset = (size_t) (at - bytes);
	client_counts.messages++;
	if (plan.source == SOURCE_NONE)
		return;					/* somebody else writes: nothing to judge */
	judge(client, &marker);
	if (marker.at >= delivery_from)
		HistogramAdd(&delivery_times, now > marker.at ? now - marker.at : 0);
}

/* One frame at the front of these bytes; returns its length, 0: incomplete. */
static size_t
frame(Client *client, const char *bytes, size_t length, uint64_t now)
{
	const unsigned char *head = (const unsigned char *) bytes;
	size_t		start = 2;
	uint64_t	payload;

	if (length < 2)
		return 0;
	payload = head[1] & 0x7f;
	if (payload >= 126)
	{
		int			more = payload == 126 ? 2 : 8;

		start += (size_t) more;
		if (length < start)
			return 0;
		payload = 0;
		for (int i = 0; i < more; i++)
			payload = payload << 8 | head[2 + i];
	}
	if (payload > READ_SIZE - 16)
		Die("a frame of %llu bytes", (unsigned long long) payload);
	if (length - start < payload)
		return 0;
	switch (head[0])
	{
		case FIN_TEXT:
			text(client, bytes + start, (size_t) payload, now);
			break;
		case FIN_PING:
			client_counts.pings++;
			if (client->state != CLIENT_CLOSING)
				send_frame(client, FIN_PONG, bytes + start, (size_t) payload);
			break;
		case FIN_CLOSE:
			if (client->state != CLIENT_CLOSING && client_counts.dropped < 3)
				fprintf(stderr, "load: closed by the server: %.*s\n",
						payload > 2 ? (int) payload - 2 : 0, bytes + start + 2);
			break;
		case FIN_PONG:
			break;
		default:
			Die("a frame that begins with 0x%02x", head[0]);
	}
	return start + (size_t) payload;
}

static void
keep_rest(Client *client, const char *bytes, size_t length)
{
	if (length > client->rest_size)
	{
		client->rest_size = (uint32_t) (length < 512 ? 512 : length);
		free(client->rest);
		client->rest = Allocate(client->rest_size, 1);
	}
	if (length > 0)
		memcpy(client->rest, bytes, length);
	client->rest_length = (uint32_t) length;
}

static void
take(Client *client, size_t length)
{
	uint64_t	now = Now();
	uint64_t	before = client_counts.messages;
	size_t		at = 0;
	size_t		n;

	if (client->state == CLIENT_UPGRADING)
	{
		buffer[length] = '\0';
		at = upgraded(client, buffer, length);
		if (client->state == CLIENT_UNUSED)
			return;
		if (at == 0)
		{
			keep_rest(client, buffer, length);
			return;
		}
	}
	while (at < length && (n = frame(client, buffer + at, length - at, now)) > 0)
		at += n;
	keep_rest(client, buffer + at, length - at);
	if (client_counts.messages > before)
		atomic_fetch_add(&progress.delivered, client_counts.messages - before);
}

static void
readable(Client *client)
{
	size_t		rest = client->rest_length;
	ssize_t		n = recv(client->fd, buffer + rest, READ_SIZE - 1 - rest, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
	{
		if (client->state == CLIENT_UPGRADING)
		{
			failed(client, "no answer", 9);
			return;
		}
		if (client->state != CLIENT_CLOSING)
			client_counts.dropped++;
		forget(client);
		return;
	}
	if (rest > 0)
		memcpy(buffer, client->rest, rest);
	client_counts.bytes += (uint64_t) n;
	take(client, rest + (size_t) n);
}

void
ClientsTurn(int milliseconds)
{
	static struct epoll_event events[EVENTS_A_TURN];
	int			n = epoll_wait(poller, events, EVENTS_A_TURN, milliseconds);

	for (int i = 0; i < n; i++)
	{
		Client	   *client = events[i].data.ptr;

		if (client->state == CLIENT_CONNECTING)
			request(client);
		else if (client->state != CLIENT_UNUSED)
			readable(client);
	}
}

/*
 * Closing
 */

void
ClientsClose(void)
{
	static const char normal[] = {0x03, (char) 0xe8};

	for (int i = 0; i < plan.clients; i++)
	{
		Client	   *client = &clients[i];

		if (client->state == CLIENT_UNUSED || client->state == CLIENT_CLOSING)
			continue;
		if (i % 2 == 0 && client->state >= CLIENT_SUBSCRIBING)
		{
			if (client->state == CLIENT_READY)
				client_counts.ready--;
			client->state = CLIENT_CLOSING;
			send_frame(client, FIN_CLOSE, normal, sizeof(normal));
		}
		else
			forget(client);
	}
}
