/*-------------------------------------------------------------------------
 *
 * limit.c
 *		What the kernel allows: a bare loop that sends a ready frame to every
 *		socket.
 *
 *		limit PORT [BATCH]
 *
 * It listens for clients on PORT of 127.0.0.1, for events on PORT + 1, and
 * ends when its standard input does.  To the load generator's clients it looks like a
 * server: it answers the upgrade without looking at it, confirms whatever they
 * send, and words the events as quizrt does.  Beyond that it does nothing that
 * could be left out: no topics, no queues, no timers, no pings, and blocking
 * sockets, so that a slow client would stop all.  What another server needs
 * more than this is what it is to be judged by.
 *
 * Up to BATCH events (1 by default) that are there at the same time leave in
 * one writev(); with 1, it is send().
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_SOCKETS	200000
#define MAX_BATCH	64
#define MAX_EVENT	65536

/* What a descriptor is for; events are told apart by it. */
enum
{
	UNUSED, CLIENTS, FEEDS, FEED, NEW, SUBSCRIBED, INPUT
};

static unsigned char kind[MAX_SOCKETS];
static int	subscribed[MAX_SOCKETS];
static int	place[MAX_SOCKETS]; /* in "subscribed" */
static int	nsubscribed = 0;
static int	batch = 1;
static int	poller;
static char frames[MAX_BATCH][MAX_EVENT + 256];
static struct iovec vectors[MAX_BATCH];

static void
fail(const char *what)
{
	fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
watch(int fd, int as)
{
	struct epoll_event event = {.events = EPOLLIN,.data.fd = fd};

	if (fd >= MAX_SOCKETS || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("cannot watch a socket");
	kind[fd] = (unsigned char) as;
}

static void
listen_on(int port, int as)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int			on = 1;
	int			fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_port = htons((uint16_t) port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ||
		listen(fd, 4096) < 0)
		fail("cannot listen");
	watch(fd, as);
}

static void
accept_one(int listener)
{
	int			on = 1;
	int			fd = accept(listener, NULL, NULL);

	if (fd < 0)
		return;
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	watch(fd, kind[listener] == CLIENTS ? NEW : FEED);
}

static void
leave(int fd)
{
	if (kind[fd] == SUBSCRIBED)
	{
		int			last = subscribed[--nsubscribed];

		subscribed[place[fd]] = last;
		place[last] = place[fd];
	}
	kind[fd] = UNUSED;
	close(fd);
}

/* A frame's header for a payload of this length; at most 10 bytes. */
static size_t
frame_head(char *to, size_t length)
{
	to[0] = (char) 0x81;
	if (length < 126)
	{
		to[1] = (char) length;
		return 2;
	}
	if (length < 65536)
	{
		to[1] = 126;
		to[2] = (char) (length >> 8);
		to[3] = (char) length;
		return 4;
	}
	to[1] = 127;
	for (int i = 0; i < 8; i++)
		to[2 + i] = (char) ((uint64_t) length >> (56 - 8 * i));
	return 10;
}

static void
serve_client(int fd)
{
	static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\n"
		"Upgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
	static const char confirmation[] =
		"{\"event\":\"subscribed\",\"t\":null,\"subscriptions\":[]}";
	char		buffer[8192];
	ssize_t		n = recv(fd, buffer, sizeof(buffer), 0);
	size_t		head;

	if (n <= 0 || (buffer[0] & 0x0f) == 8)
	{
		leave(fd);
		return;
	}
	if (memmem(buffer, (size_t) n, "GET ", 4) == buffer)
	{
		(void) send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
		return;
	}
	if (kind[fd] == NEW)
	{
		kind[fd] = SUBSCRIBED;
		place[fd] = nsubscribed;
		subscribed[nsubscribed++] = fd;
	}
	head = frame_head(buffer, sizeof(confirmation) - 1);
	memcpy(buffer + head, confirmation, sizeof(confirmation) - 1);
	(void) send(fd, buffer, head + sizeof(confirmation) - 1, MSG_NOSIGNAL);
}

/* Read one event and make its frame; false where there is none at present. */
static int
read_event(int fd, int into, int flags)
{
	static const char before[] =
		"{\"event\":\"update\",\"t\":\"bench\",\"channel\":\"quiz\",\"data\":";
	char	   *to = frames[into];
	uint32_t	length;
	size_t		payload;
	size_t		head;

	if (recv(fd, &length, 4, MSG_WAITALL | flags) != 4)
		return 0;
	if (length > MAX_EVENT)
		fail("an event is too long");
	payload = sizeof(before) - 1 + length + 1;
	head = frame_head(to, payload);
	memcpy(to + head, before, sizeof(before) - 1);
	if (recv(fd, to + head + sizeof(before) - 1, length, MSG_WAITALL) !=
		(ssize_t) length)
		return 0;
	to[head + payload - 1] = '}';
	vectors[into].iov_base = to;
	vectors[into].iov_len = head + payload;
	return 1;
}

static void
serve_feed(int fd)
{
	int			n = 0;

	if (!read_event(fd, n++, 0))
	{
		leave(fd);
		return;
	}
	while (n < batch && read_event(fd, n, MSG_DONTWAIT))
		n++;
	for (int i = 0; i < nsubscribed; i++)
	{
		if (n == 1)
			(void) send(subscribed[i], vectors[0].iov_base,
						vectors[0].iov_len, MSG_NOSIGNAL);
		else
			(void) writev(subscribed[i], vectors, n);
	}
}

static void
serve(int fd)
{
	switch (kind[fd])
	{
		case CLIENTS:
		case FEEDS:
			accept_one(fd);
			break;
		case FEED:
			serve_feed(fd);
			break;
		case NEW:
		case SUBSCRIBED:
			serve_client(fd);
			break;
		case INPUT:
			exit(0);
	}
}

int
main(int argc, char **argv)
{
	struct epoll_event events[256];
	struct rlimit limit = {MAX_SOCKETS, MAX_SOCKETS};
	int			port = argc > 1 ? atoi(argv[1]) : 0;

	batch = argc > 2 ? atoi(argv[2]) : 1;
	if (port < 1 || port > 65534 || batch < 1 || batch > MAX_BATCH)
	{
		fprintf(stderr, "usage: limit PORT [BATCH, at most %d]\n", MAX_BATCH);
		return 2;
	}
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 &&
		getrlimit(RLIMIT_NOFILE, &limit) == 0)
	{
		limit.rlim_cur = limit.rlim_max;
		(void) setrlimit(RLIMIT_NOFILE, &limit);
	}
	poller = epoll_create1(0);
	listen_on(port, CLIENTS);
	listen_on(port + 1, FEEDS);
	watch(STDIN_FILENO, INPUT);
	for (;;)
	{
		int			n = epoll_wait(poller, events, 256, -1);

		for (int i = 0; i < n; i++)
			serve(events[i].data.fd);
	}
}
