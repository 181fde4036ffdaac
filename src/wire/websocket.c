/*-------------------------------------------------------------------------
 *
 * websocket.c
 *		WebSocket frames as clients send them, put together to messages.
 *
 * Of wslay only the frame layer is used: it reads headers, refuses lengths
 * that are not minimal, and unmasks.  Its event layer is left aside.  It
 * answers some violations with the wrong close code or with none, allocates a
 * message on the peer's word, keeps a node for every fragment, and queues
 * pongs without a limit.  What it did for us is here: the order of frames,
 * close codes, limits and UTF-8.
 *
 * A reader is in one of three states, which two variables tell:
 *
 *			in_frame	opcode
 *			false		0			between messages: can be given back
 *			true		any			within a frame
 *			false		not 0		between the fragments of a message
 *
 * plus the case of a header that has come in part.  wslay doesn't say whether
 * it holds one; "unfinished" counts the bytes that were fed and belong to no
 * frame that is complete, so that 0 means a boundary.
 *
 * A text or binary frame that is a whole message, and lies whole in wslay's
 * buffer, is delivered from there.  Anything else is collected in "payload",
 * which grows with the bytes that came, never with those that were announced.
 *
 * A violation is reported once, and nothing is read after it: the reader is
 * freed, and *reader points to "stopped", which refuses whatever comes.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include <wslay/wslay.h>

#include "wire/deflate.h"
#include "wire/utf8.h"
#include "wire/websocket.h"

#define MAX_CONTROL_PAYLOAD	125
#define MASK_LENGTH			4
#define MAX_HEADER			(10 + MASK_LENGTH)

/* What a context of wslay takes; its struct is not public. */
#define WSLAY_CONTEXT_SIZE	4288

/* Most readers kept for the next connection, and the buffer one may keep. */
#define MAX_POOLED			64
#define MAX_POOLED_PAYLOAD	4096
#define MIN_PAYLOAD			256

struct WsReader
{
	WsReader   *next;			/* in the pool */
	wslay_frame_context_ptr frames;

	/* What the running WsFeed() was given and wslay has not taken yet */
	const char *input;
	size_t		input_left;

	/* The stream */
	uint64		unfinished;		/* bytes since the last frame's end */
	char		header[MAX_HEADER]; /* those of them that came earlier, while
									 * the header is all there is */
	size_t		header_length;

	/* The frame being read */
	bool		in_frame;		/* its header is complete and was judged */
	uint64		received;		/* bytes of its payload */
	char		control[MAX_CONTROL_PAYLOAD];	/* if it is a control frame */

	/* The message being read */
	WsOpcode	opcode;			/* WS_TEXT, WS_BINARY, or 0 for none */
	bool		compressed;		/* its first frame had RSV1 */
	Utf8State	utf8;
	char	   *payload;
	size_t		length;
	size_t		capacity;
};

/* What WsFeed() was called with, for the functions below. */
typedef struct Feed
{
	WsReader   *reader;
	const WsLimits *limits;
	const WsHandler *handler;
	void	   *context;
} Feed;

static WsReader stopped;
static WsReader *pool;
static int	pooled;

/* ----------
 * Readers and their pool
 * ----------
 */

static ssize_t
give_input(uint8_t *buffer, size_t length, int flags, void *user_data)
{
	WsReader   *reader = user_data;
	size_t		taken = Min(length, reader->input_left);

	if (taken > 0)
		memcpy(buffer, reader->input, taken);
	reader->input += taken;
	reader->input_left -= taken;
	return (ssize_t) taken;		/* 0 reads as "no more for now" */
}

static WsReader *
take_reader(void)
{
	struct wslay_frame_callbacks callbacks = {NULL, give_input, NULL};
	WsReader   *reader = pool;

	if (reader != NULL)
	{
		pool = reader->next;
		pooled--;
		return reader;
	}
	reader = calloc(1, sizeof(WsReader));
	if (reader == NULL)
		return NULL;
	if (wslay_frame_context_init(&reader->frames, &callbacks, reader) != 0)
	{
		free(reader);
		return NULL;
	}
	return reader;
}

static bool
is_idle(const WsReader *reader)
{
	return reader->unfinished == 0 && reader->opcode == 0;
}

static void
free_reader(WsReader *reader)
{
	wslay_frame_context_free(reader->frames);
	free(reader->payload);
	free(reader);
}

void
WsReaderRelease(WsReader *reader)
{
	if (reader == NULL || reader == &stopped)
		return;

	/* wslay has no call to reset a context that is half-way */
	if (!is_idle(reader) || pooled == MAX_POOLED)
	{
		free_reader(reader);
		return;
	}
	if (reader->capacity > MAX_POOLED_PAYLOAD)
	{
		free(reader->payload);
		reader->payload = NULL;
		reader->capacity = 0;
	}
	reader->next = pool;
	pool = reader;
	pooled++;
}

size_t
WsReaderMemory(const WsReader *reader)
{
	if (reader == NULL || reader == &stopped)
		return 0;
	return sizeof(WsReader) + WSLAY_CONTEXT_SIZE + reader->capacity;
}

/* ----------
 * The rules
 * ----------
 */

static bool
violation(Feed *feed, uint16 code, const char *reason)
{
	feed->handler->violation(feed->context, code, reason);
	return false;
}

static bool
is_control(uint8 opcode)
{
	return (opcode & 0x8) != 0;
}

/*
 * May this frame come now?  Judged from its header alone, when its first
 * bytes come.  wslay has judged before that the length is minimal and that a
 * control frame is short and not fragmented.
 */
static bool
judge_frame(Feed *feed, const struct wslay_frame_iocb *frame)
{
	WsReader   *reader = feed->reader;
	bool		first = frame->opcode == WS_TEXT ||
		frame->opcode == WS_BINARY;
	uint8		reserved = frame->rsv;
	size_t		length;
	size_t		max = feed->limits->max_message;

	if (!frame->mask)
		return violation(feed, WS_CLOSE_PROTOCOL_ERROR, "frame is not masked");
	if (feed->limits->deflate && first)
		reserved &= ~WSLAY_RSV1_BIT;
	if (reserved != 0)
		return violation(feed, WS_CLOSE_PROTOCOL_ERROR, "reserved bit is set");
	if (!first && frame->opcode != WS_CONTINUATION &&
		frame->opcode != WS_CLOSE && frame->opcode != WS_PING &&
		frame->opcode != WS_PONG)
		return violation(feed, WS_CLOSE_PROTOCOL_ERROR, "reserved opcode");
	if (is_control(frame->opcode))
		return true;

	if (first && reader->opcode != 0)
		return violation(feed, WS_CLOSE_PROTOCOL_ERROR,
						 "new message within a fragmented one");
	if (!first && reader->opcode == 0)
		return violation(feed, WS_CLOSE_PROTOCOL_ERROR,
						 "continuation of nothing");
	if (frame->opcode == WS_BINARY && !feed->limits->allow_binary)
		return violation(feed, WS_CLOSE_UNSUPPORTED_DATA,
						 "binary messages are not supported");
	length = first ? 0 : reader->length;
	if (first ? frame->rsv != 0 : reader->compressed)
		max = InflateInputLimit(max);
	if (length > max || frame->payload_length > max - length)
		return violation(feed, WS_CLOSE_MESSAGE_TOO_BIG,
						 "message is too big");
	return true;
}

/*
 * Is this a status that a peer may send (RFC 6455, section 7.4, and the
 * registry of IANA)?
 */
static bool
is_close_code(uint16 code)
{
	return (code >= 1000 && code <= 1003) ||
		(code >= 1007 && code <= 1014) ||
		(code >= 3000 && code <= 4999);
}

/* ----------
 * Delivery
 * ----------
 */

static bool
deliver_close(Feed *feed, const char *bytes, size_t length)
{
	uint16		code;

	if (length == 0)
		return feed->handler->message(feed->context, WS_CLOSE,
									  WS_CLOSE_NO_STATUS, "", 0);
	if (length == 1)
		return violation(feed, WS_CLOSE_PROTOCOL_ERROR,
						 "close frame of one byte");
	code = (uint16) ((uint8) bytes[0] << 8 | (uint8) bytes[1]);
	if (!is_close_code(code))
		return violation(feed, WS_CLOSE_PROTOCOL_ERROR, "invalid close code");
	if (!Utf8Valid(bytes + 2, length - 2))
		return violation(feed, WS_CLOSE_INVALID_PAYLOAD,
						 "close reason is not UTF-8");
	return feed->handler->message(feed->context, WS_CLOSE, code,
								  bytes + 2, length - 2);
}

static bool
deliver_compressed(Feed *feed, WsOpcode opcode, const char *bytes,
				   size_t length)
{
	const char *message;

	switch (Inflate(bytes, length, feed->limits->max_message, &message,
					&length))
	{
		case INFLATE_BROKEN:
			return violation(feed, WS_CLOSE_INVALID_PAYLOAD,
							 "message can't be inflated");
		case INFLATE_TOO_BIG:
			return violation(feed, WS_CLOSE_MESSAGE_TOO_BIG,
							 "message is too big");
		case INFLATE_NO_MEMORY:
			return violation(feed, WS_CLOSE_INTERNAL_ERROR, "out of memory");
		case INFLATE_DONE:
			break;
	}
	if (opcode == WS_TEXT && !Utf8Valid(message, length))
		return violation(feed, WS_CLOSE_INVALID_PAYLOAD, "text is not UTF-8");
	return feed->handler->message(feed->context, opcode, 0, message, length);
}

static bool
deliver_message(Feed *feed, const char *bytes, size_t length)
{
	WsReader   *reader = feed->reader;
	WsOpcode	opcode = reader->opcode;

	reader->opcode = 0;
	if (reader->compressed)
		return deliver_compressed(feed, opcode, bytes, length);
	if (opcode == WS_TEXT && !Utf8Complete(&reader->utf8))
		return violation(feed, WS_CLOSE_INVALID_PAYLOAD,
						 "text ends within a character");
	return feed->handler->message(feed->context, opcode, 0, bytes, length);
}

/* ----------
 * Reading
 * ----------
 */

/* Make room for so many bytes more, which have come already. */
static bool
reserve(WsReader *reader, size_t more, size_t max_message)
{
	size_t		needed = reader->length + more;
	size_t		capacity = Max(MIN_PAYLOAD, reader->capacity);
	char	   *payload;

	if (needed <= reader->capacity)
		return true;
	while (capacity < needed)
		capacity *= 2;
	/* the last doubling needn't exceed what a message may be */
	if (capacity > max_message)
		capacity = Max(needed, max_message);
	payload = realloc(reader->payload, capacity);
	if (payload == NULL)
		return false;
	reader->payload = payload;
	reader->capacity = capacity;
	return true;
}

static bool
take_control(Feed *feed, const struct wslay_frame_iocb *frame, bool complete)
{
	WsReader   *reader = feed->reader;
	const char *bytes = (const char *) frame->data;
	size_t		before = (size_t) reader->received - frame->data_length;
	size_t		length = (size_t) reader->received;

	if (!complete || before > 0)
	{
		/* wslay has refused what is longer */
		Assert(length <= sizeof(reader->control));
		memcpy(reader->control + before, bytes, frame->data_length);
		bytes = reader->control;
	}
	if (!complete)
		return true;
	if (frame->opcode == WS_CLOSE)
		return deliver_close(feed, bytes, length);
	return feed->handler->message(feed->context, frame->opcode, 0,
								  bytes, length);
}

static bool
take_data(Feed *feed, const struct wslay_frame_iocb *frame, bool complete)
{
	WsReader   *reader = feed->reader;
	const char *bytes = (const char *) frame->data;
	bool		at_end = complete && frame->fin;

	if (reader->opcode == WS_TEXT && !reader->compressed &&
		!Utf8Feed(&reader->utf8, bytes, frame->data_length))
		return violation(feed, WS_CLOSE_INVALID_PAYLOAD, "text is not UTF-8");

	if (at_end && reader->length == 0)
		return deliver_message(feed, bytes, frame->data_length);

	if (!reserve(reader, frame->data_length,
				 reader->compressed ?
				 InflateInputLimit(feed->limits->max_message) :
				 feed->limits->max_message))
		return violation(feed, WS_CLOSE_INTERNAL_ERROR, "out of memory");
	if (frame->data_length > 0)
		memcpy(reader->payload + reader->length, bytes, frame->data_length);
	reader->length += frame->data_length;
	return !at_end || deliver_message(feed, reader->payload, reader->length);
}

static size_t
header_length(uint64 payload_length)
{
	return MASK_LENGTH + (payload_length < 126 ? 2 :
						  payload_length <= UINT16_MAX ? 4 : 10);
}

/* The header of a frame that may come is complete. */
static void
begin_frame(WsReader *reader, const struct wslay_frame_iocb *frame)
{
	reader->in_frame = true;
	reader->received = 0;
	reader->header_length = 0;
	if (frame->opcode == WS_TEXT || frame->opcode == WS_BINARY)
	{
		reader->opcode = frame->opcode;
		reader->compressed = frame->rsv != 0;
		reader->length = 0;
		memset(&reader->utf8, 0, sizeof(reader->utf8));
	}
}

/* A piece of a frame, as wslay hands it out: at least one for every frame. */
static bool
take_piece(Feed *feed, const struct wslay_frame_iocb *frame)
{
	WsReader   *reader = feed->reader;
	bool		complete;

	if (!reader->in_frame)
	{
		if (!judge_frame(feed, frame))
			return false;
		begin_frame(reader, frame);
	}

	reader->received += frame->data_length;
	complete = reader->received == frame->payload_length;
	if (complete)
	{
		reader->in_frame = false;
		reader->unfinished -= header_length(frame->payload_length) +
			frame->payload_length;
	}
	if (is_control(frame->opcode))
		return take_control(feed, frame, complete);
	return take_data(feed, frame, complete);
}

/*
 * The input has ended within a header, or right after one.  wslay says
 * nothing about a frame before the first byte of its payload; but one that is
 * not allowed shall be refused when its length has come, not when the peer
 * has got round to sending the payload.  So we keep those bytes (wslay has
 * them too, but its struct is not public), and judge the frame if the length
 * is among them.
 */
static bool
judge_header(Feed *feed, const char *input, size_t input_length)
{
	WsReader   *reader = feed->reader;
	const uint8 *header = (const uint8 *) reader->header;
	size_t		added = (size_t) reader->unfinished - reader->header_length;
	struct wslay_frame_iocb frame = {0};
	int			length_bytes;

	Assert(reader->unfinished <= MAX_HEADER && added <= input_length);
	memcpy(reader->header + reader->header_length,
		   input + input_length - added, added);
	reader->header_length += added;
	if (reader->header_length < 2)
		return true;

	frame.fin = header[0] >> 7;
	frame.rsv = (header[0] >> 4) & 7;
	frame.opcode = header[0] & 0xF;
	frame.mask = header[1] >> 7;
	frame.payload_length = header[1] & 0x7F;
	length_bytes = frame.payload_length == 126 ? 2 :
		frame.payload_length == 127 ? 8 : 0;
	if (reader->header_length < 2 + length_bytes)
		return true;
	if (length_bytes > 0)
		frame.payload_length = 0;
	for (int i = 0; i < length_bytes; i++)
		frame.payload_length = frame.payload_length << 8 | header[2 + i];
	return judge_frame(feed, &frame);
}

/* Read all of the input; false where reading is to stop. */
static bool
read_input(Feed *feed, const char *input, size_t length)
{
	WsReader   *reader = feed->reader;
	struct wslay_frame_iocb frame;
	ssize_t		result;

	reader->input = input;
	reader->input_left = length;
	reader->unfinished += length;
	while ((result = wslay_frame_recv(reader->frames, &frame)) >= 0)
	{
		if (!take_piece(feed, &frame))
			return false;
	}
	if (result != WSLAY_ERR_WANT_READ)
		return violation(feed, WS_CLOSE_PROTOCOL_ERROR, "malformed frame");
	if (!reader->in_frame && reader->unfinished > 0)
		return judge_header(feed, input, length);
	return true;
}

bool
WsFeed(WsReader **reader, const WsLimits *limits, const char *bytes,
	   size_t length, const WsHandler *handler, void *context)
{
	Feed		feed = {*reader, limits, handler, context};

	if (feed.reader == &stopped)
		return false;
	if (length == 0)
		return true;
	if (feed.reader == NULL)
		feed.reader = take_reader();
	if (feed.reader == NULL)
	{
		*reader = &stopped;
		return violation(&feed, WS_CLOSE_INTERNAL_ERROR, "out of memory");
	}

	/* not the handler's to release while it is in use here */
	*reader = NULL;
	if (!read_input(&feed, bytes, length))
	{
		free_reader(feed.reader);
		*reader = &stopped;
		return false;
	}
	if (is_idle(feed.reader))
		WsReaderRelease(feed.reader);
	else
		*reader = feed.reader;
	return true;
}
