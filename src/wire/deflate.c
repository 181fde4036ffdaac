/*-------------------------------------------------------------------------
 *
 * deflate.c
 *		permessage-deflate (RFC 7692), without context between messages.
 *
 * Each message is compressed by itself (server_no_context_takeover), so that
 * one compressed frame serves everybody, and it is made when the first asks
 * for it and kept with the plain one.  The same is asked of clients
 * (client_no_context_takeover), so that a connection has no window of its
 * own: all share one to compress with and one to inflate with.
 *
 * A client may ask for a smaller window than ours.  Nothing refers back
 * farther than a message is long, so it gets those messages compressed that
 * fit into its window, and longer ones as they are.
 *
 * Small messages gain nothing; long ones would keep everybody waiting while
 * they are compressed.  Both are sent as they are.
 *
 * What a client sends is inflated into a buffer that grows with what comes
 * out, up to the limit on a message: a few bytes that claim to be gigabytes
 * cost no more than a message that is too big.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include <zlib.h>

#include "wire/deflate.h"

#define MIN_WINDOW_BITS	8
#define MAX_WINDOW_BITS	15

/* Payloads that are worth it, and don't take longer than some milliseconds. */
#define MIN_PAYLOAD		512
#define MAX_PAYLOAD		(256 * 1024)

/* The least effort has most of the effect on JSON. */
#define LEVEL			1
#define MEMORY_LEVEL	8

#define FIRST_OUTPUT	4096
#define MAX_KEPT_OUTPUT	(128 * 1024)

#define RSV1			0x40

/* What a sender leaves out at the end of each message. */
static const char tail[4] = {0x00, 0x00, (char) 0xFF, (char) 0xFF};

/* ----------
 * Negotiation
 * ----------
 */

/* Cut off what comes before the separator, or all; blanks trimmed. */
static HttpText
cut(HttpText *rest, char separator)
{
	const char *found = rest->length == 0 ? NULL :
		memchr(rest->bytes, separator, rest->length);
	HttpText	part = *rest;

	if (found == NULL)
		rest->length = 0;
	else
	{
		part.length = found - rest->bytes;
		rest->length -= part.length + 1;
		rest->bytes = found + 1;
	}
	while (part.length > 0 && (part.bytes[0] == ' ' || part.bytes[0] == '\t'))
	{
		part.bytes++;
		part.length--;
	}
	while (part.length > 0 && (part.bytes[part.length - 1] == ' ' ||
							   part.bytes[part.length - 1] == '\t'))
		part.length--;
	return part;
}

/* A decimal number of window bits, quoted or not; 0: it is none. */
static int
window_bits(HttpText value)
{
	int			bits = 0;

	if (value.length >= 2 && value.bytes[0] == '"' &&
		value.bytes[value.length - 1] == '"')
	{
		value.bytes++;
		value.length -= 2;
	}
	if (value.length == 0 || value.length > 2 || value.bytes[0] == '0')
		return 0;
	for (size_t i = 0; i < value.length; i++)
	{
		if (value.bytes[i] < '0' || value.bytes[i] > '9')
			return 0;
		bits = bits * 10 + value.bytes[i] - '0';
	}
	return bits >= MIN_WINDOW_BITS && bits <= MAX_WINDOW_BITS ? bits : 0;
}

typedef struct Offer
{
	bool		server_no_context;
	bool		client_no_context;
	int			server_bits;	/* 0: not named */
	bool		client_bits;	/* named: with a number or without */
} Offer;

/* Take one parameter; false: this offer is to be declined. */
static bool
take_parameter(HttpText parameter, Offer *offer)
{
	bool		has_value = parameter.length > 0 &&
		memchr(parameter.bytes, '=', parameter.length) != NULL;
	HttpText	name = cut(&parameter, '=');
	HttpText	value = parameter;
	bool	   *flag = NULL;

	while (value.length > 0 && (value.bytes[0] == ' ' ||
								value.bytes[0] == '\t'))
	{
		value.bytes++;
		value.length--;
	}
	if (HttpTextIs(name, "server_max_window_bits"))
	{
		if (offer->server_bits != 0)
			return false;
		offer->server_bits = window_bits(value);
		return offer->server_bits != 0;
	}
	if (HttpTextIs(name, "client_max_window_bits"))
	{
		flag = &offer->client_bits;
		if (has_value && window_bits(value) == 0)
			return false;
	}
	else if (has_value)
		return false;
	else if (HttpTextIs(name, "server_no_context_takeover"))
		flag = &offer->server_no_context;
	else if (HttpTextIs(name, "client_no_context_takeover"))
		flag = &offer->client_no_context;
	if (flag == NULL || *flag)
		return false;
	*flag = true;
	return true;
}

static bool
take_offer(HttpText text, Offer *offer)
{
	HttpText	name = cut(&text, ';');

	memset(offer, 0, sizeof(*offer));
	if (!HttpTextIs(name, "permessage-deflate"))
		return false;
	while (text.length > 0)
	{
		if (!take_parameter(cut(&text, ';'), offer))
			return false;
	}
	return true;
}

int
DeflateNegotiate(HttpText offers, char *answer, size_t size)
{
	HttpText	text;
	Offer		offer;

	while (HttpNextToken(&offers, &text))
	{
		int			length;

		if (!take_offer(text, &offer))
			continue;
		length = snprintf(answer, size,
						  "permessage-deflate; server_no_context_takeover; "
						  "client_no_context_takeover");
		if (offer.server_bits == 0)
			return MAX_WINDOW_BITS;
		snprintf(answer + length, size - length,
				 "; server_max_window_bits=%d", offer.server_bits);
		return offer.server_bits;
	}
	return 0;
}

/* ----------
 * What comes in
 * ----------
 */

static z_stream inflater;
static bool inflater_ready = false;
static char *output;
static size_t output_size;

size_t
InflateInputLimit(size_t max)
{
	/* as much as deflate's worst may add to what can't be compressed */
	return max + max / 8 + 64;
}

static bool
prepare_inflater(void)
{
	if (output_size > MAX_KEPT_OUTPUT)
	{
		free(output);
		output = NULL;
		output_size = 0;
	}
	if (inflater_ready)
		return inflateReset(&inflater) == Z_OK;
	memset(&inflater, 0, sizeof(inflater));
	inflater_ready = inflateInit2(&inflater, -MAX_WINDOW_BITS) == Z_OK;
	return inflater_ready;
}

/* Make room for more output, one byte more than the limit at most. */
static bool
grow_output(size_t max)
{
	size_t		size = Max(FIRST_OUTPUT, output_size * 2);
	char	   *bytes;

	size = Min(size, max + 1);
	if (size <= output_size)
		return true;			/* there is more already, from before */
	bytes = realloc(output, size);
	if (bytes == NULL)
		return false;
	output = bytes;
	output_size = size;
	return true;
}

/* Inflate one piece of the input behind the "done" bytes of output. */
static InflateResult
inflate_piece(const char *bytes, size_t length, size_t max, size_t *done)
{
	inflater.next_in = (Bytef *) bytes;
	inflater.avail_in = (uInt) length;
	do
	{
		size_t		room;
		int			result;

		if (*done == output_size && !grow_output(max))
			return INFLATE_NO_MEMORY;
		room = Min(output_size, max + 1) - *done;
		inflater.next_out = (Bytef *) output + *done;
		inflater.avail_out = (uInt) room;
		result = inflate(&inflater, Z_NO_FLUSH);
		*done += room - inflater.avail_out;
		if (*done > max)
			return INFLATE_TOO_BIG;

		/* a block that says it is the last may be followed by others */
		if (result == Z_STREAM_END)
			result = inflateResetKeep(&inflater);
		else if (result == Z_BUF_ERROR)
			result = Z_OK;		/* it wants more input, or more room */
		if (result == Z_MEM_ERROR)
			return INFLATE_NO_MEMORY;
		if (result != Z_OK)
			return INFLATE_BROKEN;
	} while (inflater.avail_in > 0 || inflater.avail_out == 0);
	return INFLATE_DONE;
}

InflateResult
Inflate(const char *bytes, size_t length, size_t max, const char **message,
		size_t *message_length)
{
	InflateResult result;
	size_t		done = 0;

	if (!prepare_inflater())
		return INFLATE_NO_MEMORY;
	result = inflate_piece(bytes, length, max, &done);
	if (result == INFLATE_DONE)
		result = inflate_piece(tail, sizeof(tail), max, &done);
	if (result != INFLATE_DONE)
		return result;

	/* It must end with a block, and at a byte: 128 says so, 7 are bits. */
	if ((inflater.data_type & 128) == 0 || (inflater.data_type & 7) != 0)
		return INFLATE_BROKEN;
	*message = output;
	*message_length = done;
	return INFLATE_DONE;
}

/* ----------
 * What goes out
 * ----------
 */

static z_stream deflater;
static bool deflater_ready = false;

static bool
prepare_deflater(void)
{
	if (deflater_ready)
		return deflateReset(&deflater) == Z_OK;
	memset(&deflater, 0, sizeof(deflater));
	deflater_ready = deflateInit2(&deflater, LEVEL, Z_DEFLATED,
								  -MAX_WINDOW_BITS, MEMORY_LEVEL,
								  Z_DEFAULT_STRATEGY) == Z_OK;
	return deflater_ready;
}

/* Compress into a buffer; 0 where it doesn't fit, or fails. */
static size_t
compress_payload(const char *payload, size_t length, char *buffer,
				 size_t size)
{
	if (!prepare_deflater())
		return 0;
	deflater.next_in = (Bytef *) payload;
	deflater.avail_in = (uInt) length;
	deflater.next_out = (Bytef *) buffer;
	deflater.avail_out = (uInt) size;
	if (deflate(&deflater, Z_SYNC_FLUSH) != Z_OK || deflater.avail_in > 0 ||
		deflater.avail_out == 0)
		return 0;
	size -= deflater.avail_out;
	if (size <= sizeof(tail) ||
		memcmp(buffer + size - sizeof(tail), tail, sizeof(tail)) != 0)
		return 0;
	return size - sizeof(tail);
}

static Frame *
compress_frame(const Frame *frame, const FramePiece *payload)
{
	FramePiece	piece;
	Frame	   *compressed = NULL;
	char	   *buffer = malloc(payload->length);

	if (buffer == NULL)
		return NULL;
	piece.bytes = buffer;
	piece.length = compress_payload(payload->bytes, payload->length, buffer,
									payload->length);
	if (piece.length > 0)
		compressed = FrameFromPieces(frame->bytes[0] & 0x0F, &piece, 1);
	free(buffer);
	if (compressed == NULL)
		return NULL;
	compressed->bytes[0] |= RSV1;
	compressed->exempt = frame->exempt;
	return compressed;
}

Frame *
DeflatedFrame(Frame *frame, int window_bits)
{
	FramePiece	payload = FramePayload(frame);

	if (payload.length < MIN_PAYLOAD || payload.length > MAX_PAYLOAD ||
		(window_bits < MAX_WINDOW_BITS &&
		 payload.length > (size_t) 1 << window_bits))
		return frame;
	if (!frame->deflate_tried)
	{
		frame->deflate_tried = true;
		frame->deflated = compress_frame(frame, &payload);
	}
	return frame->deflated != NULL ? frame->deflated : frame;
}
