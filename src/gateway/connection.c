/*-------------------------------------------------------------------------
 *
 * connection.c
 *		A client's connection, from accept to close.
 *
 * One struct a connection, one state, one list for each state, and one
 * function (ConnectionEnter) that moves it.  Its beginning, up to the upgrade,
 * is in handshake.c.  A connection that ends is only marked dead: others of
 * the same turn may still hold a pointer to it, so it is freed when the turn
 * is over.
 *
 * Whatever goes wrong with a connection costs that connection.  Its events
 * are handled inside a guard: an error that is thrown is logged, at most once
 * a minute for all of them together, and the connection dropped.
 *
 * Nothing waits.  What a client doesn't take stays in its queue, and the
 * queue is bounded: beyond quizrt.max_queue_size data is left out, and the
 * dialect makes good for it when the client has caught up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "bus/processes.h"
#include "common/counters.h"
#include "common/settings.h"
#include "gateway/addresses.h"
#include "gateway/connection.h"
#include "gateway/connection_private.h"
#include "gateway/dialect.h"
#include "gateway/guard.h"
#include "gateway/poller.h"
#include "gateway/proxy.h"
#include "gateway/questions.h"
#include "gateway/report.h"
#include "gateway/tls.h"
#include "utils/memutils.h"
#include "wire/deflate.h"

/* Bytes read from one client, and written to one, in a turn. */
#define READ_SIZE		(64 * 1024)
#define WRITE_BYTES		(1024 * 1024)
#define WRITE_VECTORS	64

/* What a client must take within quizrt.send_timeout when it is too slow. */
#define LEAST_PROGRESS	(16 * 1024)

/* How many times quizrt.query_timeout a credential may take to be checked. */
#define ASKING_TIMES	10

/* How many times quizrt.max_queue_size may wait in snapshots. */
#define SNAPSHOT_ROOM	8

/* The span over which quizrt.max_error_rate is judged. */
#define ERROR_SPAN		10

dlist_head	connections[CONNECTION_STATES];
dlist_head	all_connections;
int			connection_count[CONNECTION_STATES];

static MemoryContext connection_context;
static dlist_head to_flush;
static char *read_buffer;
static Frame *ping_frame;

static void timer_fired(Timer *timer);

void
ConnectionsInit(void)
{
	connection_context = SlabContextCreate(TopMemoryContext,
										   "quizrt connections",
										   SLAB_DEFAULT_BLOCK_SIZE * 8,
										   sizeof(Connection));
	for (int i = 0; i < CONNECTION_STATES; i++)
		dlist_init(&connections[i]);
	dlist_init(&all_connections);
	dlist_init(&to_flush);
	read_buffer = MemoryContextAlloc(TopMemoryContext, READ_SIZE);
	ping_frame = FrameFromPieces(WS_PING, NULL, 0);
	if (ping_frame == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("out of memory")));
}

/*
 * The states
 */

/* What the poller should watch for in the present state. */
static void
poll_as_needed(Connection *connection)
{
	int			events = 0;

	switch (connection->state)
	{
		case CONNECTION_HEAD:
		case CONNECTION_OPEN:
		case CONNECTION_CLOSING:
		case CONNECTION_DRAINING:
			events = POLL_READ;
			break;
		case CONNECTION_ASKING:
		case CONNECTION_FLUSHING:
			break;
		case CONNECTION_DEAD:
			return;
	}
	if (connection->output.count > 0 && !connection->to_flush)
		events |= POLL_WRITE;
	events = connection->io->watch(connection, events);
	if (PollerChange(connection->fd, connection->polled, events, connection))
		connection->polled = events;
	else
		ConnectionDrop(connection);
}

static TimeMs
earlier(TimeMs a, TimeMs b)
{
	return Min(a, b);
}

/* "since" and a time in milliseconds, where 0 means: never */
static TimeMs
after(TimeMs since, int time)
{
	return time > 0 ? since + time : NEVER;
}

static int
idle_timeout(const Connection *connection)
{
	const Dialect *dialect = connection->dialect;

	return dialect->idle_timeout ? dialect->idle_timeout() : 0;
}

/* When the credential's time is up, on our clock. */
static TimeMs
expiry_due(const Connection *connection)
{
	TimestampTz now;

	if (!quizrt_enforce_expiry || connection->expires_at == 0)
		return NEVER;
	now = GetCurrentTimestamp();
	if (connection->expires_at <= now)
		return gateway_now;
	return gateway_now + (connection->expires_at - now) / 1000 + 1;
}

/* Set the timer for the earliest of the deadlines. */
static void
arm(Connection *connection)
{
	TimeMs		due = connection->deadline;

	if (connection->state == CONNECTION_OPEN)
	{
		due = earlier(due, connection->heartbeat_due);
		due = earlier(due, connection->pong_due);
		due = earlier(due, connection->progress_due);
		due = earlier(due, after(connection->last_message,
								 idle_timeout(connection)));
		due = earlier(due, expiry_due(connection));
	}
	TimerSet(&connection->timer, due);
}

/* Leave the present state for another one: the only place that does. */
void
ConnectionEnter(Connection *connection, ConnectionState state)
{
	ConnectionState old = connection->state;

	Assert(old != CONNECTION_DEAD);
	dlist_delete(&connection->node);
	dlist_push_tail(&connections[state], &connection->node);
	connection_count[old]--;
	connection_count[state]++;
	connection->state = state;

	CounterAdd(COUNTER_HANDSHAKES,
			   ConnectionIsHandshake(state) - ConnectionIsHandshake(old));
	CounterAdd(COUNTER_CONNECTIONS,
			   ConnectionIsWebSocket(state) - ConnectionIsWebSocket(old));
	if (ConnectionIsWebSocket(old) && !ConnectionIsWebSocket(state))
		AddressLeave(&connection->peer);

	/* The dialect hears once that there is nobody to talk to any more. */
	if ((old == CONNECTION_ASKING || old == CONNECTION_OPEN) &&
		state != CONNECTION_OPEN)
	{
		QuestionCancel(connection->question);
		connection->question = NULL;
		if (connection->session != NULL)
			connection->dialect->ended(connection);
		connection->session = NULL;
	}

	switch (state)
	{
		case CONNECTION_HEAD:
			connection->deadline = gateway_now + quizrt_request_timeout;
			break;
		case CONNECTION_ASKING:

			/*
			 * The question has a deadline of its own, and may be asked again.
			 * This is for the case that the answer could not be dealt with.
			 */
			connection->deadline = gateway_now +
				(TimeMs) quizrt_query_timeout * ASKING_TIMES;
			break;
		case CONNECTION_OPEN:
			connection->deadline = NEVER;
			break;
		case CONNECTION_CLOSING:
		case CONNECTION_FLUSHING:
		case CONNECTION_DRAINING:
			connection->deadline = gateway_now + quizrt_close_timeout;
			break;
		case CONNECTION_DEAD:
			TimerSet(&connection->timer, NEVER);
			return;
	}
	arm(connection);
	poll_as_needed(connection);
}

void
ConnectionDrop(Connection *connection)
{
	if (connection->state != CONNECTION_DEAD)
		ConnectionEnter(connection, CONNECTION_DEAD);
}

/*
 * Accepting
 */

static void
set_peer(Connection *connection, const struct sockaddr_storage *peer)
{
	uint8	   *bytes = connection->peer.bytes;

	memset(bytes, 0, sizeof(connection->peer.bytes));
	if (peer->ss_family == AF_INET)
	{
		const struct sockaddr_in *in = (const struct sockaddr_in *) peer;

		bytes[10] = bytes[11] = 0xff;
		memcpy(bytes + 12, &in->sin_addr, 4);
	}
	else if (peer->ss_family == AF_INET6)
		memcpy(bytes, &((const struct sockaddr_in6 *) peer)->sin6_addr, 16);
}

void
PeerAddressFormat(const PeerAddress *peer, char *buffer, size_t size)
{
	static const uint8 mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8 nobody[16] = {0};

	if (memcmp(peer->bytes, nobody, 16) == 0)
		strlcpy(buffer, "local", size);
	else if (memcmp(peer->bytes, mapped, 12) == 0)
		inet_ntop(AF_INET, peer->bytes + 12, buffer, size);
	else
		inet_ntop(AF_INET6, peer->bytes, buffer, size);
}

/* Small messages at once, and a peer that vanished is found out. */
static void
set_socket_options(int fd, const struct sockaddr_storage *peer)
{
	int			on = 1;

	if (peer->ss_family == AF_UNIX)
		return;
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));

	/*
	 * What waits should wait in our queue, where a ping can overtake it, and
	 * not by the megabyte in the kernel.
	 */
#ifdef TCP_NOTSENT_LOWAT
	{
		int			lowat = 128 * 1024;

		(void) setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat,
						  sizeof(lowat));
	}
#endif
#ifdef TCP_USER_TIMEOUT
	{
		unsigned int timeout = 60000;

		(void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout,
						  sizeof(timeout));
	}
#endif
}

/* What comes before HTTP, and below it. */
static bool
start_io(Connection *connection)
{
	if (quizrt_proxy_protocol)
		return ProxyStart(connection);
	return !TlsWanted() || TlsStart(connection);
}

void
ConnectionAccept(int fd, const struct sockaddr_storage *peer)
{
	Connection *connection = MemoryContextAllocExtended(connection_context,
														sizeof(Connection),
														MCXT_ALLOC_NO_OOM |
														MCXT_ALLOC_ZERO);

	if (connection == NULL)
	{
		close(fd);
		return;
	}
	connection->fd = fd;
	connection->id = NextConnectionId();
	connection->io = &plain_io;
	connection->pong_due = connection->heartbeat_due = NEVER;
	connection->progress_due = NEVER;
	OutputInit(&connection->output);
	TimerInit(&connection->timer, timer_fired);
	set_peer(connection, peer);
	set_socket_options(fd, peer);
	CounterAdd(COUNTER_CONNECTIONS_ACCEPTED, 1);

	connection->state = CONNECTION_HEAD;
	connection->polled = POLL_READ;
	connection->connected_at = GetCurrentTimestamp();
	dlist_push_tail(&all_connections, &connection->all_node);
	dlist_push_tail(&connections[CONNECTION_HEAD], &connection->node);
	connection_count[CONNECTION_HEAD]++;
	CounterAdd(COUNTER_HANDSHAKES, 1);
	connection->deadline = gateway_now + quizrt_request_timeout;
	if (!PollerAdd(fd, POLL_READ, connection))
	{
		ConnectionDrop(connection);
		return;
	}
	arm(connection);
	if (peer->ss_family != AF_UNIX && !start_io(connection))
	{
		ConnectionDrop(connection);
		return;
	}
	if (connection_count[CONNECTION_HEAD] +
		connection_count[CONNECTION_ASKING] > quizrt_max_handshakes)
	{
		CounterAdd(COUNTER_CONNECTIONS_LIMITED, 1);
		ConnectionRefuse(connection, 503, "Too many connections");
	}
}

/*
 * What goes out
 */

static void
flush_later(Connection *connection)
{
	if (connection->to_flush)
		return;
	connection->to_flush = true;
	dlist_push_tail(&to_flush, &connection->flush_node);
}

/* Queue, or end the connection where memory is short. */
bool
ConnectionAppend(Connection *connection, Frame *frame)
{
	if (frame == NULL || !OutputAppend(&connection->output, frame))
	{
		ConnectionDrop(connection);
		return false;
	}
	flush_later(connection);
	return true;
}

/* The same for what may be compressed. */
static bool
append_message(Connection *connection, Frame *frame)
{
	if (frame != NULL && connection->window_bits > 0)
		frame = DeflatedFrame(frame, connection->window_bits);
	return ConnectionAppend(connection, frame);
}

/*
 * Has the client to take something first?  What is exempt from the limit has
 * a wider one: there may be a snapshot for each of a client's channels.
 */
static bool
is_too_slow(const Connection *connection)
{
	return connection->output.bytes > (Size) quizrt_max_queue_size ||
		connection->output.exempt_bytes >
		(Size) quizrt_max_queue_size * SNAPSHOT_ROOM;
}

SendResult
ConnectionSend(Connection *connection, Frame *frame)
{
	if (connection->state != CONNECTION_OPEN)
		return SEND_ENDED;
	if (is_too_slow(connection))
		connection->lagging = true;
	if (connection->lagging)
	{
		CounterAdd(COUNTER_MESSAGES_DROPPED, 1);
		return SEND_LEFT_OUT;
	}
	return append_message(connection, frame) ? SEND_QUEUED : SEND_ENDED;
}

void
ConnectionSendOwn(Connection *connection, Frame *frame)
{
	if (connection->state == CONNECTION_OPEN &&
		connection->output.bytes > (Size) quizrt_max_queue_size)
	{
		CounterAdd(COUNTER_CONNECTIONS_SLOW, 1);
		ConnectionClose(connection, WS_CLOSE_TRY_AGAIN_LATER, "Too slow");
	}
	else if (connection->state == CONNECTION_OPEN)
		append_message(connection, frame);
	if (frame != NULL)
		FrameRelease(frame);
}

/* Queue the last bytes of this connection, and end when they are sent. */
void
ConnectionSendLast(Connection *connection, Frame *frame, ConnectionState next)
{
	if (ConnectionAppend(connection, frame))
		ConnectionEnter(connection, next);
	if (frame != NULL)
		FrameRelease(frame);
}

void
ConnectionClose(Connection *connection, uint16 code, const char *reason)
{
	if (connection->state == CONNECTION_OPEN)
		ConnectionSendLast(connection, FrameClose(code, reason), CONNECTION_CLOSING);
	else if (ConnectionIsHandshake(connection->state))
		ConnectionDrop(connection);
}

bool
ConnectionCountError(Connection *connection)
{
	if (gateway_now - connection->errors_since >= ERROR_SPAN * 1000)
	{
		connection->errors_since = gateway_now;
		connection->errors = 0;
	}
	connection->errors++;
	if (quizrt_max_error_rate == 0 ||
		connection->errors < quizrt_max_error_rate * ERROR_SPAN)
		return true;
	CounterAdd(COUNTER_CONNECTIONS_FLOODING, 1);
	ConnectionClose(connection, WS_CLOSE_POLICY_VIOLATION, "Too many errors");
	return false;
}

void
ConnectionSetDeadline(Connection *connection, TimeMs deadline)
{
	if (connection->state != CONNECTION_OPEN)
		return;
	connection->deadline = deadline;
	arm(connection);
}

/* The queue has run empty. */
static void
flushed(Connection *connection)
{
	connection->progress_due = NEVER;
	if (connection->state == CONNECTION_FLUSHING)
	{
		connection->io->shutdown(connection);
		ConnectionEnter(connection, CONNECTION_DRAINING);
		return;
	}
	if (connection->lagging)
	{
		connection->lagging = false;
		if (connection->state == CONNECTION_OPEN &&
			connection->dialect->caught_up)
			connection->dialect->caught_up(connection);
	}
}

/* The kernel takes no more: the client has to take some in bounded time. */
static void
blocked(Connection *connection)
{
	if (connection->progress_due != NEVER)
		return;
	connection->progress_due = gateway_now + quizrt_send_timeout;
	connection->progress_from = connection->bytes_sent;
	arm(connection);
}

static void
write_some(Connection *connection)
{
	Size		budget = WRITE_BYTES;

	while (connection->output.count > 0 && budget > 0)
	{
		struct iovec vectors[WRITE_VECTORS];
		int			n = OutputVectors(&connection->output, vectors,
									  WRITE_VECTORS);
		ssize_t		written = connection->io->write(connection, vectors, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		{
			blocked(connection);
			break;
		}
		if (written < 0)
		{
			ConnectionDrop(connection);
			return;
		}
		connection->bytes_sent += written;
		budget -= Min(budget, (Size) written);
		OutputAdvance(&connection->output, written);
	}
	if (connection->output.count == 0)
		flushed(connection);
	poll_as_needed(connection);
}

static void
flush_one(void *argument)
{
	write_some(argument);
}

bool
ConnectionsFlush(void)
{
	uint64		before;
	uint64		bytes = 0;

	/* What a flush makes anew (somebody caught up) waits for the next. */
	dlist_head	list = DLIST_STATIC_INIT(list);

	while (!dlist_is_empty(&to_flush))
		dlist_push_tail(&list, dlist_pop_head_node(&to_flush));
	while (!dlist_is_empty(&list))
	{
		Connection *connection = dlist_container(Connection, flush_node,
												 dlist_pop_head_node(&list));

		connection->to_flush = false;
		if (connection->state == CONNECTION_DEAD)
			continue;
		before = connection->bytes_sent;
		if (!Guarded(flush_one, connection))
			ConnectionDrop(connection);
		bytes += connection->bytes_sent - before;
	}
	if (bytes > 0)
		CounterAdd(COUNTER_BYTES_SENT, bytes);
	return !dlist_is_empty(&to_flush);
}

/*
 * What comes in
 */

/* A message or control frame; called by WsFeed, so nothing is thrown. */
static void
peer_closes(Connection *connection, uint16 code, const char *reason)
{
	/* Ours is on its way already: this is the answer. */
	if (connection->state == CONNECTION_CLOSING)
	{
		ConnectionEnter(connection, CONNECTION_FLUSHING);
		if (connection->output.count == 0)
			flush_later(connection);
		return;
	}
	ConnectionSendLast(connection, FrameClose(code, NULL), CONNECTION_FLUSHING);
}

static void
pong(Connection *connection, const char *bytes, size_t length)
{
	FramePiece	payload = {bytes, length};

	ConnectionSendOwn(connection, FrameFromPieces(WS_PONG, &payload, 1));
}

typedef struct Message
{
	Connection *connection;
	WsOpcode	opcode;
	const char *bytes;
	size_t		length;
} Message;

static void
hand_to_dialect(void *argument)
{
	Message    *message = argument;
	const Dialect *dialect = message->connection->dialect;

	(message->opcode == WS_BINARY ? dialect->binary : dialect->message)
		(message->connection, message->bytes, message->length);
}

static bool
on_message(void *context, WsOpcode opcode, uint16_t code, const char *bytes,
		   size_t length)
{
	Connection *connection = context;
	Message		message = {connection, opcode, bytes, length};

	switch (opcode)
	{
		case WS_CLOSE:
			peer_closes(connection, code, bytes);
			break;
		case WS_PING:
			pong(connection, bytes, length);
			break;
		case WS_PONG:
			connection->pong_due = NEVER;
			break;
		default:
			if (connection->state != CONNECTION_OPEN)
				break;
			CounterAdd(COUNTER_MESSAGES_RECEIVED, 1);
			connection->last_message = gateway_now;
			if (!Guarded(hand_to_dialect, &message))
				ConnectionDrop(connection);
			break;
	}
	return ConnectionIsWebSocket(connection->state);
}

static void
on_violation(void *context, uint16_t code, const char *reason)
{
	Connection *connection = context;

	CounterAdd(COUNTER_PROTOCOL_ERRORS, 1);
	if (connection->state == CONNECTION_OPEN)
		ConnectionSendLast(connection, FrameClose(code, reason), CONNECTION_FLUSHING);
	else
		ConnectionDrop(connection);
}

static const WsHandler websocket_handler = {on_message, on_violation};

void
ConnectionFeed(Connection *connection, const char *bytes, size_t length)
{
	WsLimits	limits = {0};

	limits.max_message = (size_t) quizrt_max_message_size;
	limits.allow_binary = connection->dialect->binary != NULL;
	limits.deflate = connection->window_bits > 0;
	if (!WsFeed(&connection->reader, &limits, bytes, length,
				&websocket_handler, connection) &&
		ConnectionIsWebSocket(connection->state))
		ConnectionDrop(connection);
}

static void
read_some(Connection *connection)
{
	ssize_t		n = connection->io->read(connection, read_buffer, READ_SIZE);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n < 0 && errno == EPROTO && connection->state == CONNECTION_HEAD)
	{
		/* No TLS, or none that we speak: let the peer read our alert. */
		connection->io->shutdown(connection);
		ConnectionEnter(connection, CONNECTION_DRAINING);
		return;
	}
	if (n <= 0)
	{
		ConnectionDrop(connection);
		return;
	}
	CounterAdd(COUNTER_BYTES_RECEIVED, n);
	switch (connection->state)
	{
		case CONNECTION_HEAD:
			ConnectionReadHead(connection, read_buffer, n);
			break;
		case CONNECTION_OPEN:
		case CONNECTION_CLOSING:
			ConnectionFeed(connection, read_buffer, n);
			break;
		default:				/* nobody listens any more */
			break;
	}
}

typedef struct Polled
{
	Connection *connection;
	int			events;
} Polled;

static void
serve_polled(void *argument)
{
	Connection *connection = ((Polled *) argument)->connection;
	int			events = ((Polled *) argument)->events;

	events = connection->io->happened(connection, events);
	if (events & POLL_READ)
		read_some(connection);
	else if (events & POLL_HANGUP)
		ConnectionDrop(connection);
	if ((events & POLL_WRITE) && connection->state != CONNECTION_DEAD)
		flush_later(connection);

	/* Reading may wait for something else now; writing sees to it itself. */
	if (!connection->to_flush)
		poll_as_needed(connection);
}

void
ConnectionPolled(Connection *connection, int events)
{
	Polled		polled = {connection, events};

	if (connection->state != CONNECTION_DEAD &&
		!Guarded(serve_polled, &polled))
		ConnectionDrop(connection);
}

/*
 * Time
 */

static void
heartbeat(Connection *connection)
{
	const Dialect *dialect = connection->dialect;

	connection->heartbeat_due = gateway_now + dialect->heartbeat_interval();
	if (dialect->heartbeat)
	{
		dialect->heartbeat(connection);
		return;
	}
	if (!OutputPrepend(&connection->output, ping_frame))
	{
		ConnectionDrop(connection);
		return;
	}
	flush_later(connection);
	if (connection->pong_due == NEVER && dialect->pong_timeout)
		connection->pong_due = after(gateway_now, dialect->pong_timeout());
}

/* The client has answered nothing: a close is tried, and not waited for. */
static void
peer_is_gone(Connection *connection)
{
	Frame	   *frame = FrameClose(WS_CLOSE_INTERNAL_ERROR, "No pong");

	CounterAdd(COUNTER_CONNECTIONS_TIMED_OUT, 1);
	if (frame != NULL)
	{
		if (OutputPrepend(&connection->output, frame))
			write_some(connection);
		FrameRelease(frame);
	}
	ConnectionDrop(connection);
}

/* It takes what it is sent too slowly: has it taken enough to go on? */
static void
check_progress(Connection *connection)
{
	if (connection->bytes_sent - connection->progress_from >= LEAST_PROGRESS)
	{
		connection->progress_from = connection->bytes_sent;
		connection->progress_due = gateway_now + quizrt_send_timeout;
		return;
	}
	CounterAdd(COUNTER_CONNECTIONS_SLOW, 1);
	ConnectionClose(connection, WS_CLOSE_TRY_AGAIN_LATER, "Too slow");
}

static void
open_timer(Connection *connection)
{
	TimeMs		idle = after(connection->last_message,
							 idle_timeout(connection));

	if (gateway_now >= connection->pong_due)
		peer_is_gone(connection);
	else if (gateway_now >= connection->deadline)
		connection->dialect->deadline(connection);
	else if (gateway_now >= idle)
		ConnectionClose(connection, WS_CLOSE_NORMAL, "Idle timeout");
	else if (gateway_now >= expiry_due(connection))
		ConnectionClose(connection, WS_CLOSE_CREDENTIAL_EXPIRED,
						"Credential expired");
	else if (gateway_now >= connection->progress_due)
		check_progress(connection);
	else if (gateway_now >= connection->heartbeat_due)
		heartbeat(connection);
	if (connection->state == CONNECTION_OPEN)
		arm(connection);
}

static void
run_timer(void *argument)
{
	Connection *connection = argument;

	switch (connection->state)
	{
		case CONNECTION_OPEN:
			open_timer(connection);
			break;
		case CONNECTION_HEAD:
			CounterAdd(COUNTER_CONNECTIONS_TIMED_OUT, 1);
			ConnectionRefuse(connection, 408, "Request timeout");
			break;
		case CONNECTION_ASKING:
			ConnectionRefuse(connection, 503, "Temporarily unavailable");
			break;
		case CONNECTION_CLOSING:

			/* The peer does not answer our close. */
			CounterAdd(COUNTER_CONNECTIONS_TIMED_OUT, 1);
			ConnectionDrop(connection);
			break;
		default:
			ConnectionDrop(connection);
			break;
	}
}

static void
timer_fired(Timer *timer)
{
	Connection *connection = (Connection *)
		((char *) timer - offsetof(Connection, timer));

	if (connection->state != CONNECTION_DEAD &&
		!Guarded(run_timer, connection))
		ConnectionDrop(connection);
}

/*
 * All of them
 */

static void
free_connection(Connection *connection)
{
	ReportsForget(connection);
	dlist_delete(&connection->all_node);
	if (connection->to_flush)
		dlist_delete(&connection->flush_node);
	connection->io->release(connection);
	close(connection->fd);
	OutputClear(&connection->output);
	WsReaderRelease(connection->reader);
	if (connection->head != NULL)
	{
		explicit_bzero(connection->head, connection->head_length);
		free(connection->head);
	}
	pfree(connection);
}

void
ConnectionsReap(void)
{
	dlist_head *dead = &connections[CONNECTION_DEAD];

	while (!dlist_is_empty(dead))
	{
		free_connection(dlist_container(Connection, node,
										dlist_pop_head_node(dead)));
		connection_count[CONNECTION_DEAD]--;
	}
}

static void
reload(void *argument)
{
	Connection *connection = argument;

	connection->heartbeat_due =
		earlier(connection->heartbeat_due, gateway_now +
				connection->dialect->heartbeat_interval());
	arm(connection);
	if (connection->dialect->reloaded)
		connection->dialect->reloaded(connection);
}

void
ConnectionsReload(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &connections[CONNECTION_OPEN])
	{
		Connection *connection = dlist_container(Connection, node, iter.cur);

		if (!Guarded(reload, connection))
			ConnectionDrop(connection);
	}
}

void
ConnectionsCloseAll(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &connections[CONNECTION_OPEN])
	{
		ConnectionClose(dlist_container(Connection, node, iter.cur),
						WS_CLOSE_GOING_AWAY, "Server is shutting down");
	}
	dlist_foreach_modify(iter, &connections[CONNECTION_ASKING])
	{
		ConnectionRefuse(dlist_container(Connection, node, iter.cur), 503,
						 "Server is shutting down");
	}
}
