/*-------------------------------------------------------------------------
 *
 * frame.c
 *		WebSocket frames as the server sends them.
 *
 * wslay can write frames too, but for one connection each; a broadcast is one
 * block of memory for everybody.  The header is two to ten bytes, and all of
 * it is written here.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "wire/frame.h"
#include "wire/utf8.h"

#define MAX_HEADER			10	/* without a mask */
#define MAX_CONTROL_PAYLOAD	125
#define FINAL_BIT			0x80

static Frame *
allocate(size_t length)
{
	Frame	   *frame;

	if (length > UINT32_MAX)
		return NULL;
	frame = malloc(offsetof(Frame, bytes) + length);
	if (frame == NULL)
		return NULL;
	frame->refcount = 1;
	frame->length = (uint32_t) length;
	frame->exempt = false;
	frame->deflate_tried = false;
	frame->deflated = NULL;
	return frame;
}

/* Write "bytes" bytes of the number, the highest first. */
static void
put_number(char *at, uint64 number, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (char) (number >> (8 * (bytes - 1 - i)));
}

/* Write a frame's header; returns its length. */
static size_t
put_header(char *at, WsOpcode opcode, size_t payload)
{
	at[0] = (char) (FINAL_BIT | opcode);
	if (payload < 126)
	{
		at[1] = (char) payload;
		return 2;
	}
	if (payload <= UINT16_MAX)
	{
		at[1] = 126;
		put_number(at + 2, payload, 2);
		return 4;
	}
	at[1] = 127;
	put_number(at + 2, payload, 8);
	return 10;
}

Frame *
FrameFromPieces(WsOpcode opcode, const FramePiece *pieces, int npieces)
{
	char		header[MAX_HEADER];
	size_t		header_length;
	size_t		payload = 0;
	Frame	   *frame;
	char	   *at;

	for (int i = 0; i < npieces; i++)
	{
		if (pieces[i].length > UINT32_MAX - MAX_HEADER - payload)
			return NULL;
		payload += pieces[i].length;
	}
	if (opcode >= WS_CLOSE && payload > MAX_CONTROL_PAYLOAD)
		return NULL;

	header_length = put_header(header, opcode, payload);
	frame = allocate(header_length + payload);
	if (frame == NULL)
		return NULL;
	memcpy(frame->bytes, header, header_length);
	at = frame->bytes + header_length;
	for (int i = 0; i < npieces; i++)
	{
		if (pieces[i].length == 0)
			continue;			/* its bytes may be NULL */
		memcpy(at, pieces[i].bytes, pieces[i].length);
		at += pieces[i].length;
	}
	return frame;
}

FramePiece
FramePayload(const Frame *frame)
{
	FramePiece	payload = {NULL, 0};
	uint8		length;
	size_t		header;

	if (frame->length < 2 ||
		((uint8) frame->bytes[0] != (FINAL_BIT | WS_TEXT) &&
		 (uint8) frame->bytes[0] != (FINAL_BIT | WS_BINARY)))
		return payload;
	length = (uint8) frame->bytes[1];
	header = length < 126 ? 2 : length == 126 ? 4 : 10;
	payload.bytes = frame->bytes + header;
	payload.length = frame->length - header;
	return payload;
}

Frame *
FrameFromText(const char *text, size_t length)
{
	FramePiece	piece = {text, length};

	return FrameFromPieces(WS_TEXT, &piece, 1);
}

Frame *
FrameClose(uint16_t code, const char *reason)
{
	char		status[2];
	FramePiece	pieces[2] = {{status, sizeof(status)}, {reason, 0}};

	/* 1005 means that there is no status; it may not be sent as one */
	if (code == WS_CLOSE_NO_STATUS)
		return FrameFromPieces(WS_CLOSE, NULL, 0);

	put_number(status, code, sizeof(status));
	if (reason != NULL)
	{
		size_t		length = strlen(reason);
		size_t		room = MAX_CONTROL_PAYLOAD - sizeof(status);

		if (length > room)
		{
			length = room;
			while (length > 0 && Utf8IsContinuation(reason[length]))
				length--;
		}
		pieces[1].length = length;
	}
	return FrameFromPieces(WS_CLOSE, pieces, 2);
}

Frame *
FrameFromBytes(const char *bytes, size_t length)
{
	Frame	   *frame = allocate(length);

	if (frame != NULL && length > 0)
		memcpy(frame->bytes, bytes, length);
	return frame;
}

void
FrameRelease(Frame *frame)
{
	if (frame == NULL)
		return;
	Assert(frame->refcount > 0);
	if (--frame->refcount > 0)
		return;
	FrameRelease(frame->deflated);
	free(frame);
}
