/*-------------------------------------------------------------------------
 *
 * test_frame.c
 *		Frames as the server sends them.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "allocations.h"
#include "tap.h"
#include "wire/frame.h"
#include "wire/utf8.h"

static void
is_frame(Frame *frame, const char *bytes, size_t length, const char *name)
{
	ok(frame != NULL && frame->refcount == 1 && !frame->exempt &&
	   frame->length == length &&
	   memcmp(frame->bytes, bytes, length) == 0, "%s", name);
	FrameRelease(frame);
}

/* Does a text of this length get this header? */
static void
test_length(size_t length, const char *header, size_t header_length)
{
	char	   *text = malloc(length + 1);
	Frame	   *frame;

	memset(text, 'x', length + 1);
	frame = FrameFromText(text, length);
	ok(frame != NULL && frame->length == header_length + length &&
	   memcmp(frame->bytes, header, header_length) == 0 &&
	   memcmp(frame->bytes + header_length, text, length) == 0,
	   "text of %zu bytes", length);
	FrameRelease(frame);
	free(text);
}

static void
test_close(void)
{
	char		reason[300];
	Frame	   *frame;

	is_frame(FrameClose(1001, "bye"), "\x88\x05\x03\xe9" "bye", 7,
			 "close with a reason");
	is_frame(FrameClose(4401, NULL), "\x88\x02\x11\x31", 4,
			 "close without a reason");
	is_frame(FrameClose(WS_CLOSE_NO_STATUS, "never seen"), "\x88\x00", 2,
			 "close without a status");

	memset(reason, 'r', sizeof(reason));
	reason[sizeof(reason) - 1] = '\0';
	frame = FrameClose(1000, reason);
	is_number(frame->length, 127, "a long reason is cut");
	FrameRelease(frame);

	/* bytes 121 to 123 hold the first two bytes of a three-byte character */
	memcpy(reason + 121, "\xe2\x82\xac", 3);
	frame = FrameClose(1000, reason);
	is_number(frame->length, 2 + 2 + 121, "not within a character");
	ok(Utf8Valid(frame->bytes + 4, frame->length - 4), "and is valid");
	FrameRelease(frame);
}

int
main(void)
{
	FramePiece	pieces[] = {{"{\"a\":", 5}, {NULL, 0}, {"1", 1}, {"}", 1}};
	char		ping[126] = {0};
	FramePiece	big = {ping, 126};
	FramePiece	huge[2] = {{ping, UINT32_MAX - 4}, {ping, UINT32_MAX}};
	Frame	   *frame;

	test_length(0, "\x81\x00", 2);
	test_length(1, "\x81\x01", 2);
	test_length(125, "\x81\x7d", 2);
	test_length(126, "\x81\x7e\x00\x7e", 4);
	test_length(65535, "\x81\x7e\xff\xff", 4);
	test_length(65536, "\x81\x7f\0\0\0\0\0\x01\0\0", 10);

	is_frame(FrameFromPieces(WS_TEXT, pieces, 4),
			 "\x81\x07" "{\"a\":1}", 9, "pieces are put together");
	is_frame(FrameFromPieces(WS_PONG, pieces + 2, 1), "\x8a\x01" "1", 3,
			 "pong");
	ok(FrameFromPieces(WS_PING, &big, 1) == NULL,
	   "a control frame of 126 bytes is refused");
	ok(FrameFromPieces(WS_TEXT, huge, 1) == NULL &&
	   FrameFromPieces(WS_TEXT, huge, 2) == NULL,
	   "a length that does not fit is refused");
	is_frame(FrameFromBytes("HTTP", 4), "HTTP", 4, "bytes as they are");
	test_close();

	if (ALLOCATIONS_COUNTED)
	{
		failing_allocation = 1;
		ok(FrameFromText("x", 1) == NULL, "no memory, no frame");
		failing_allocation = 1;
		ok(FrameFromBytes("x", 1) == NULL, "nor shared bytes");
	}

	frame = FrameFromText("x", 1);
	FrameRelease(FrameRetain(frame));
	is_number(frame->refcount, 1, "references are counted");
	FrameRelease(frame);
	FrameRelease(NULL);
	return done_testing();
}
