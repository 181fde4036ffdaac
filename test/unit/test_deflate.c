/*-------------------------------------------------------------------------
 *
 * test_deflate.c
 *		permessage-deflate: what is negotiated, inflated and compressed.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include <zlib.h>

#include "tap.h"
#include "wire/deflate.h"

#define BASE "permessage-deflate; server_no_context_takeover; " \
	"client_no_context_takeover"

static void
negotiates(const char *offers, int bits, const char *expected)
{
	HttpText	text = {offers, offers ? strlen(offers) : 0};
	char		answer[DEFLATE_ANSWER_SIZE] = "";
	int			got = DeflateNegotiate(text, answer, sizeof(answer));

	ok(got == bits && (bits == 0 || strcmp(answer, expected) == 0),
	   "offer: %s", offers ? offers : "none");
	if (got != bits || (bits > 0 && strcmp(answer, expected) != 0))
		printf("# got %d: %s\n", got, answer);
}

static void
declines(const char *offers)
{
	negotiates(offers, 0, "");
}

static void
test_negotiation(void)
{
	declines(NULL);
	declines("");
	declines("x-webkit-deflate-frame");
	declines("permessage-deflatex");
	negotiates("permessage-deflate", 15, BASE);
	negotiates("permessage-deflate; client_max_window_bits", 15, BASE);
	negotiates("permessage-deflate;client_max_window_bits=9", 15, BASE);
	negotiates(" permessage-deflate ; server_no_context_takeover ;"
			   " client_no_context_takeover", 15, BASE);
	negotiates("permessage-deflate; server_max_window_bits=15", 15,
			   BASE "; server_max_window_bits=15");
	negotiates("permessage-deflate; server_max_window_bits=8", 8,
			   BASE "; server_max_window_bits=8");
	negotiates("permessage-deflate; server_max_window_bits=\"10\"", 10,
			   BASE "; server_max_window_bits=10");
	negotiates("foo, permessage-deflate; unknown=1, permessage-deflate", 15,
			   BASE);
	negotiates("permessage-deflate; server_max_window_bits=9, "
			   "permessage-deflate", 9, BASE "; server_max_window_bits=9");
	declines("permessage-deflate; unknown");
	declines("permessage-deflate; server_max_window_bits");
	declines("permessage-deflate; server_max_window_bits=");
	declines("permessage-deflate; server_max_window_bits=7");
	declines("permessage-deflate; server_max_window_bits=16");
	declines("permessage-deflate; server_max_window_bits=08");
	declines("permessage-deflate; server_max_window_bits=+9");
	declines("permessage-deflate; server_max_window_bits=111");
	declines("permessage-deflate; server_max_window_bits=9; "
			 "server_max_window_bits=9");
	declines("permessage-deflate; client_max_window_bits=7");
	declines("permessage-deflate; client_max_window_bits=");
	declines("permessage-deflate; client_max_window_bits; "
			 "client_max_window_bits");
	declines("permessage-deflate; server_no_context_takeover=1");
	declines("permessage-deflate; client_no_context_takeover; "
			 "client_no_context_takeover");
	declines("permessage-deflate;; client_max_window_bits");
	declines("permessage-deflate=1");
}

/* Compress as a client would. */
static size_t
pack(const char *bytes, size_t length, char *out, size_t size, int level)
{
	z_stream	stream = {0};
	size_t		packed;

	deflateInit2(&stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
	stream.next_in = (Bytef *) bytes;
	stream.avail_in = (uInt) length;
	stream.next_out = (Bytef *) out;
	stream.avail_out = (uInt) size;
	deflate(&stream, Z_SYNC_FLUSH);
	packed = size - stream.avail_out - 4;
	deflateEnd(&stream);
	return packed;
}

static InflateResult
inflates(const char *bytes, size_t length, size_t max, const char *expected,
		 size_t expected_length)
{
	const char *message;
	size_t		message_length;
	InflateResult result = Inflate(bytes, length, max, &message,
								   &message_length);

	if (result == INFLATE_DONE &&
		(message_length != expected_length ||
		 memcmp(message, expected, expected_length) != 0))
		return -1;
	return result;
}

static void
test_inflating(void)
{
	static char plain[1 << 20];
	static char packed[(1 << 20) + 10000];
	size_t		length;
	unsigned	state = 1;

	for (int level = 0; level <= 9; level += 3)
	{
		for (size_t size = 0; size <= sizeof(plain); size = size * 3 + 1)
		{
			for (size_t i = 0; i < size; i++)
				plain[i] = "abcdefgh{}\":,0123"[(i * i / 7) % 17];
			length = pack(plain, size, packed, sizeof(packed), level);
			is_number(inflates(packed, length, sizeof(plain), plain, size),
					  INFLATE_DONE, "what was compressed comes back");
			if (size == 0)
				continue;
			is_number(inflates(packed, length, size, plain, size),
					  INFLATE_DONE, "exactly at the limit");
			is_number(inflates(packed, length, size - 1, plain, size),
					  INFLATE_TOO_BIG, "one byte above the limit");
			is_number(inflates(packed, length - 1, sizeof(plain), plain, size),
					  INFLATE_BROKEN, "one byte is missing");
		}
	}

	for (size_t i = 0; i < 65536; i++)
	{
		state = state * 1103515245 + 12345;
		plain[i] = (char) (state >> 16);
	}
	length = pack(plain, 65536, packed, sizeof(packed), 9);
	ok(length > 65536 && length <= InflateInputLimit(65536),
	   "what can't be compressed becomes longer, within the limit");

	memset(plain, 0, sizeof(plain));
	length = pack(plain, sizeof(plain), packed, sizeof(packed), 9);
	ok(length < 1100, "a bomb is small: %zu bytes", length);
	is_number(inflates(packed, length, 65536, plain, 0), INFLATE_TOO_BIG,
			  "and ends at the limit");
}

/* Is this frame compressed, and does it come back? */
static bool
is_deflated(Frame *frame, int bits, bool wanted)
{
	FramePiece	plain = FramePayload(frame);
	Frame	   *sent = DeflatedFrame(frame, bits);
	FramePiece	payload;
	bool		same;

	if (!wanted)
		return sent == frame;
	if (sent == frame || ((uint8) sent->bytes[0]) != 0xC1)
		return false;
	sent->bytes[0] &= ~0x40;
	payload = FramePayload(sent);
	sent->bytes[0] |= 0x40;
	same = inflates(payload.bytes, payload.length, plain.length, plain.bytes,
					plain.length) == INFLATE_DONE;
	return same && DeflatedFrame(frame, bits) == sent &&
		payload.length < plain.length;
}

static void
test_compressing(void)
{
	static char text[300000];
	Frame	   *frame;
	unsigned	state = 1;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "abcdefgh{}\":,0123"[(i * i / 7) % 17];

	frame = FrameFromText(text, 511);
	ok(is_deflated(frame, 15, false), "a small message is left alone");
	FrameRelease(frame);
	frame = FrameFromText(text, 512);
	ok(is_deflated(frame, 15, true), "a larger one is compressed, once");
	ok(is_deflated(frame, 8, false), "not for a window that is smaller");
	ok(is_deflated(frame, 9, true), "for one that just suffices it is");
	FrameRelease(frame);
	frame = FrameFromText(text, 200000);
	ok(is_deflated(frame, 14, false), "longer than a window that was asked for");
	ok(is_deflated(frame, 15, true), "longer than ours");
	FrameRelease(frame);
	frame = FrameFromText(text, 256 * 1024 + 1);
	ok(is_deflated(frame, 15, false), "one that takes too long is left alone");
	FrameRelease(frame);
	frame = FrameFromText(text, 30000);
	frame->exempt = true;
	ok(is_deflated(frame, 15, true) && frame->deflated->exempt,
	   "a snapshot's frame stays exempt");
	frame->deflated->refcount++;
	{
		Frame	   *deflated = frame->deflated;

		FrameRelease(frame);
		is_number(deflated->refcount, 1,
				  "a compressed frame outlives the plain one");
		FrameRelease(deflated);
	}
	for (size_t i = 0; i < 2000; i++)
	{
		state = state * 1103515245 + 12345;
		text[i] = (char) (state >> 16);
	}
	frame = FrameFromText(text, 2000);
	ok(is_deflated(frame, 15, false), "what gets no smaller is left alone");
	FrameRelease(frame);
	frame = FrameClose(1000, "x");
	ok(is_deflated(frame, 15, false), "a control frame is left alone");
	FrameRelease(frame);
	frame = FrameFromBytes("", 0);
	ok(is_deflated(frame, 15, false), "so is what is no frame");
	FrameRelease(frame);
}

int
main(void)
{
	test_negotiation();
	test_inflating();
	test_compressing();
	return done_testing();
}
