/*-------------------------------------------------------------------------
 *
 * frame.h
 *		WebSocket frames as the server sends them (RFC 6455, section 5).
 *
 * A frame is built once and shared by everybody who gets it: server frames
 * are not masked, so the bytes are the same for all.  The count of references
 * is not atomic; a frame belongs to one process.  The memory is malloc's, so
 * that nothing here throws: functions return NULL where there is none.  A new
 * frame is not exempt.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_FRAME_H
#define QUIZRT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum WsOpcode
{
	WS_CONTINUATION = 0x0,
	WS_TEXT = 0x1,
	WS_BINARY = 0x2,
	WS_CLOSE = 0x8,
	WS_PING = 0x9,
	WS_PONG = 0xA
} WsOpcode;

/* Status codes of a close frame: RFC 6455, section 7.4, and our own. */
enum
{
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_GOING_AWAY = 1001,
	WS_CLOSE_PROTOCOL_ERROR = 1002,
	WS_CLOSE_UNSUPPORTED_DATA = 1003,
	WS_CLOSE_NO_STATUS = 1005,	/* never sent: stands for an empty close */
	WS_CLOSE_INVALID_PAYLOAD = 1007,
	WS_CLOSE_POLICY_VIOLATION = 1008,
	WS_CLOSE_MESSAGE_TOO_BIG = 1009,
	WS_CLOSE_INTERNAL_ERROR = 1011,
	WS_CLOSE_TRY_AGAIN_LATER = 1013,
	WS_CLOSE_CREDENTIAL_EXPIRED = 4401,
	WS_CLOSE_ACCESS_REVOKED = 4403
};

typedef struct Frame
{
	uint32_t	refcount;
	uint32_t	length;			/* of header and payload */
	bool		exempt;			/* does not count towards a queue's limit: a
								 * snapshot, which everybody shares */
	bool		deflate_tried;	/* see DeflatedFrame() in deflate.h: */
	struct Frame *deflated;		/* the same compressed, or NULL */
	char		bytes[];
} Frame;

/* A piece of a payload that is put together while the frame is built. */
typedef struct FramePiece
{
	const char *bytes;
	size_t		length;
} FramePiece;

/* A piece that is a string literal. */
#define FRAME_LITERAL(text)	{(text), sizeof(text) - 1}

/* A final frame with the pieces as its payload; one reference. */
extern Frame *FrameFromPieces(WsOpcode opcode, const FramePiece *pieces,
							  int npieces);

/* The payload of a text or binary frame; of another one, nothing. */
extern FramePiece FramePayload(const Frame *frame);

extern Frame *FrameFromText(const char *text, size_t length);

/*
 * A close frame.  The reason is cut, on a character boundary, to the 123
 * bytes that fit; NULL for none.  WS_CLOSE_NO_STATUS makes an empty one, as
 * an answer to an empty one.
 */
extern Frame *FrameClose(uint16_t code, const char *reason);

/* Bytes that are no frame (an HTTP response), shared in the same way. */
extern Frame *FrameFromBytes(const char *bytes, size_t length);

static inline Frame *
FrameRetain(Frame *frame)
{
	frame->refcount++;
	return frame;
}

/* Give up a reference; NULL is allowed. */
extern void FrameRelease(Frame *frame);

#endif							/* QUIZRT_FRAME_H */
