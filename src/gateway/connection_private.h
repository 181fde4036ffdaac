/*-------------------------------------------------------------------------
 *
 * connection_private.h
 *		What the two files that keep a connection's life need of each other:
 *		connection.c, and handshake.c for its beginning.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_CONNECTION_PRIVATE_H
#define QUIZRT_CONNECTION_PRIVATE_H

#include "gateway/connection.h"

/* Is it a connection that counts as a WebSocket? */
static inline bool
ConnectionIsWebSocket(ConnectionState state)
{
	return state == CONNECTION_OPEN || state == CONNECTION_CLOSING;
}

static inline bool
ConnectionIsHandshake(ConnectionState state)
{
	return state == CONNECTION_HEAD || state == CONNECTION_ASKING;
}

/* Leave the present state for another one: the only function that does. */
extern void ConnectionEnter(Connection *connection, ConnectionState state);

/* Queue a frame, or end the connection where memory is short (or the frame
 * is NULL for want of it); false then. */
extern bool ConnectionAppend(Connection *connection, Frame *frame);

/* Queue the last bytes of this connection, taking the reference, and enter the
 * state in which it ends when they are sent. */
extern void ConnectionSendLast(Connection *connection, Frame *frame,
							   ConnectionState next);

/* Bytes of WebSocket frames have come. */
extern void ConnectionFeed(Connection *connection, const char *bytes,
						   size_t length);

/* Bytes of the request's head have come. */
extern void ConnectionReadHead(Connection *connection, const char *bytes,
							   size_t length);

#endif							/* QUIZRT_CONNECTION_PRIVATE_H */
