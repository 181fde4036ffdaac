/*-------------------------------------------------------------------------
 *
 * handshake.c
 *		The beginning of a connection: the request's head, the answer to it,
 *		and becoming a WebSocket.
 *
 * The head stays in the connection's memory until the WebSocket begins, as
 * the dialect may come back to it when the credential has been checked.  It
 * has the credential in it, so it is wiped then.  What a client sent behind
 * its head belongs to the next protocol and is read when the dialect has sent
 * what comes first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/counters.h"
#include "common/settings.h"
#include "gateway/addresses.h"
#include "gateway/connection_private.h"
#include "gateway/dialect.h"
#include "gateway/routes.h"
#include "wire/deflate.h"

/*
 * The head of the request
 */

/*
 * Append to the head; false where memory is short.  A larger piece of memory
 * is not got by realloc(), which would leave a copy of the credential behind.
 */
static bool
append_to_head(Connection *connection, const char *bytes, size_t length)
{
	size_t		needed = connection->head_length + length;

	if (needed > connection->head_size)
	{
		uint32		size = Max(1024, connection->head_size);
		char	   *head;

		while (size < needed)
			size *= 2;
		head = malloc(size);
		if (head == NULL)
			return false;
		if (connection->head != NULL)
		{
			memcpy(head, connection->head, connection->head_length);
			explicit_bzero(connection->head, connection->head_length);
			free(connection->head);
		}
		connection->head = head;
		connection->head_size = size;
	}
	memcpy(connection->head + connection->head_length, bytes, length);
	connection->head_length += (uint32) length;
	return true;
}

static HttpParseResult
parse_head(Connection *connection, HttpRequest *request, size_t *consumed)
{
	return HttpParseRequest(connection->head, connection->head_length,
							(size_t) quizrt_max_request_head, request,
							consumed);
}

bool
ConnectionRequest(Connection *connection, HttpRequest *request)
{
	size_t		consumed;

	memset(request, 0, sizeof(*request));
	return connection->head != NULL &&
		parse_head(connection, request, &consumed) == HTTP_COMPLETE;
}

void
ConnectionReadHead(Connection *connection, const char *bytes, size_t length)
{
	HttpRequest request;
	size_t		consumed;

	if (!append_to_head(connection, bytes, length))
	{
		ConnectionDrop(connection);
		return;
	}
	switch (parse_head(connection, &request, &consumed))
	{
		case HTTP_INCOMPLETE:
			break;
		case HTTP_MALFORMED:
			ConnectionRefuse(connection, 400, "Bad request");
			break;
		case HTTP_HEAD_TOO_LARGE:
			ConnectionRefuse(connection, 431, "Request header fields too large");
			break;
		case HTTP_COMPLETE:
			RouteRequest(connection, &request);
			break;
	}
}

/*
 * Answers that end the connection
 */

void
ConnectionRespond(Connection *connection, StringInfo response)
{
	if (!ConnectionIsHandshake(connection->state))
		return;
	if (!connection->io->can_answer(connection))
	{
		ConnectionDrop(connection);
		return;
	}
	ConnectionSendLast(connection, FrameFromBytes(response->data, response->len),
			  CONNECTION_FLUSHING);
}

void
ConnectionRefuse(Connection *connection, int status, const char *error)
{
	StringInfoData response;
	HttpRequest request;
	bool		head = ConnectionRequest(connection, &request) &&
		HttpTextIs(request.method, "HEAD");

	initStringInfo(&response);
	HttpAppendError(&response, status, error,
					status == 426 && request.upgrade_websocket &&
					request.connection_upgrade, head);
	CounterAdd(COUNTER_CONNECTIONS_REFUSED, 1);
	ConnectionRespond(connection, &response);
	pfree(response.data);
}

/*
 * Becoming a WebSocket
 */

void
ConnectionAsking(Connection *connection)
{
	ConnectionEnter(connection, CONNECTION_ASKING);
}

bool
ConnectionsAreFull(const Connection *connection)
{
	return CounterRead(COUNTER_CONNECTIONS) >= (uint64) quizrt_max_connections ||
		AddressIsFull(&connection->peer);
}

void
ConnectionUpgrade(Connection *connection, const char *protocol)
{
	StringInfoData response;
	HttpRequest request;
	Frame	   *frame;
	char		extensions[DEFLATE_ANSWER_SIZE];

	if (!ConnectionRequest(connection, &request))
	{
		ConnectionDrop(connection);
		return;
	}

	/* Many may have been asking at the same time. */
	if (ConnectionsAreFull(connection))
	{
		CounterAdd(COUNTER_CONNECTIONS_LIMITED, 1);
		ConnectionRefuse(connection, 503, "Too many connections");
		return;
	}
	if (quizrt_deflate)
		connection->window_bits =
			DeflateNegotiate(request.websocket_extensions, extensions,
							 sizeof(extensions));
	initStringInfo(&response);
	HttpAppendUpgrade(&response, &request, protocol,
					  connection->window_bits > 0 ? extensions : NULL);
	frame = FrameFromBytes(response.data, response.len);
	pfree(response.data);
	if (ConnectionAppend(connection, frame))
	{
		AddressEnter(&connection->peer);
		connection->last_message = gateway_now;
		connection->heartbeat_due = gateway_now +
			connection->dialect->heartbeat_interval();
		ConnectionEnter(connection, CONNECTION_OPEN);
		CounterAdd(COUNTER_CONNECTIONS_UPGRADED, 1);
	}
	if (frame != NULL)
		FrameRelease(frame);
}

void
ConnectionResume(Connection *connection)
{
	HttpRequest request;
	size_t		consumed;
	char	   *head = connection->head;
	uint32		length = connection->head_length;

	if (connection->state == CONNECTION_DEAD ||
		parse_head(connection, &request, &consumed) != HTTP_COMPLETE)
		return;
	connection->head = NULL;
	connection->head_length = connection->head_size = 0;
	if (length > consumed && ConnectionIsWebSocket(connection->state))
		ConnectionFeed(connection, head + consumed, length - consumed);

	/* The request had the credential in it. */
	explicit_bzero(head, length);
	free(head);
}
