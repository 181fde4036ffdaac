/*-------------------------------------------------------------------------
 *
 * websocket.h
 *		WebSocket frames as clients send them, put together to messages.
 *
 * wslay reads the frames; the rules of RFC 6455 that it leaves to us, the
 * limits and the UTF-8 check are here.  Between two messages a connection has
 * no state at all; wslay's buffers and the message that is half-way are a
 * WsReader, taken from a pool while a frame or a message is incomplete.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_WEBSOCKET_H
#define QUIZRT_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

typedef struct WsReader WsReader;

/*
 * What a message or an error is told to.  None of them may throw, feed the
 * same reader, or free what holds it: a connection that is to go is marked,
 * and freed when WsFeed() has returned.  (For the same reason *reader is NULL
 * during the call, so that releasing it does nothing.)
 */
typedef struct WsHandler
{
	/* A whole message or control frame; control frames come at once, also
	 * between the fragments of a message.  "bytes" is valid during the call
	 * only; for WS_CLOSE it is the reason and "code" the status (1005 where
	 * none was given).  Returns false to stop reading (the connection is
	 * being closed). */
	bool		(*message) (void *context, WsOpcode opcode, uint16_t code,
							const char *bytes, size_t length);
	/* A violation; the connection is to be closed with this code.  Nothing
	 * more is read. */
	void		(*violation) (void *context, uint16_t code,
							  const char *reason);
} WsHandler;

typedef struct WsLimits
{
	size_t		max_message;	/* bytes of a message's payload */
	bool		deflate;		/* permessage-deflate was negotiated */
	bool		allow_binary;	/* else a binary message is violation 1003 */
} WsLimits;

/*
 * Feed bytes as they came.  *reader is NULL between messages, and is taken
 * from the pool or given back as needed.  Returns false where reading has
 * stopped for good: a violation was reported (1011 where memory is short), or
 * the handler said so.  From then on *reader refuses all bytes, silently.
 */
extern bool WsFeed(WsReader **reader, const WsLimits *limits,
				   const char *bytes, size_t length,
				   const WsHandler *handler, void *context);

/* Give a reader back, half-way or not.  NULL is allowed. */
extern void WsReaderRelease(WsReader *reader);

/* Memory that a half-way message holds, for limits and statistics. */
extern size_t WsReaderMemory(const WsReader *reader);

#endif							/* QUIZRT_WEBSOCKET_H */
