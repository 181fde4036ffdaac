/*-------------------------------------------------------------------------
 *
 * fuzz_deflate.c
 *		What clients compress, and what they offer.
 *
 * The first byte sets the limit.  Promises: nothing longer than the limit
 * comes out; the result doesn't depend on the message before; what we
 * compress comes back.  The same bytes are also taken for an offer, and for a
 * message to compress.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "fuzz.h"
#include "wire/deflate.h"

static void
inflate_twice(const char *bytes, size_t length, size_t max)
{
	const char *message;
	size_t		message_length;
	InflateResult first = Inflate(bytes, length, max, &message,
								  &message_length);
	char	   *copy = NULL;
	size_t		copy_length = 0;

	HOLDS(first != INFLATE_NO_MEMORY);
	if (first == INFLATE_DONE)
	{
		HOLDS(message_length <= max);
		copy = exact_copy(message, message_length);
		copy_length = message_length;
	}
	HOLDS(Inflate(bytes, length, max, &message, &message_length) == first);
	if (first == INFLATE_DONE)
		HOLDS(message_length == copy_length &&
			  memcmp(message, copy, copy_length) == 0);
	free(copy);
}

static void
negotiate(const char *bytes, size_t length)
{
	HttpText	offers = {bytes, length};
	char		answer[DEFLATE_ANSWER_SIZE];
	int			bits = DeflateNegotiate(offers, answer, sizeof(answer));

	HOLDS(bits == 0 || (bits >= 8 && bits <= 15));
	HOLDS(bits == 0 || strlen(answer) < sizeof(answer) - 1);
}

/* Make a message long enough to be compressed, and compress it. */
static void
round_trip(const char *bytes, size_t length, int bits)
{
	char	   *text = malloc(length * 8 + 1);
	Frame	   *frame;
	Frame	   *sent;

	HOLDS(text != NULL);
	for (size_t i = 0; i < length * 8; i++)
		text[i] = bytes[i % length];
	frame = FrameFromText(text, length * 8);
	free(text);
	HOLDS(frame != NULL);
	sent = DeflatedFrame(frame, bits);
	if (sent != frame)
	{
		FramePiece	plain = FramePayload(frame);
		FramePiece	packed;
		const char *message;
		size_t		message_length;

		HOLDS((sent->bytes[0] & 0x70) == 0x40);
		sent->bytes[0] &= ~0x40;
		packed = FramePayload(sent);
		HOLDS(packed.length < plain.length);
		HOLDS(Inflate(packed.bytes, packed.length, plain.length, &message,
					  &message_length) == INFLATE_DONE);
		HOLDS(message_length == plain.length &&
			  memcmp(message, plain.bytes, plain.length) == 0);
	}
	FrameRelease(frame);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *copy;

	if (size < 2)
		return 0;
	copy = exact_copy(data + 1, size - 1);
	inflate_twice(copy, size - 1, (size_t) 1 << (data[0] % 18));
	negotiate(copy, size - 1);
	round_trip(copy, size - 1, 8 + data[0] % 8);
	free(copy);
	return 0;
}
