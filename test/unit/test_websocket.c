/*-------------------------------------------------------------------------
 *
 * test_websocket.c
 *		Frames from clients, at every split.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "allocations.h"
#include "tap.h"
#include "ws_record.h"

#define MAX_MESSAGE 1000

static const WsLimits plain = {MAX_MESSAGE, false, false};
static const WsLimits binary = {MAX_MESSAGE, false, true};
static const WsLimits deflate = {MAX_MESSAGE, true, false};

/* The stream under construction */
static char stream[200000];
static size_t length;

static void
put_frame(bool fin, int rsv, int opcode, const char *payload, size_t size)
{
	length += ClientFrame(stream + length, fin, rsv, opcode, payload, size);
}

static void
put(bool fin, int opcode, const char *payload)
{
	put_frame(fin, 0, opcode, payload, strlen(payload));
}

static void
put_raw(const char *bytes, size_t size)
{
	memcpy(stream + length, bytes, size);
	length += size;
}

static size_t
cut_first(void *context, size_t left)
{
	size_t	   *first = context;
	size_t		cut = *first;

	*first = left;				/* the rest in one piece */
	return cut;
}

static size_t
cut_bytes(void *context, size_t left)
{
	return 1;
}

static size_t
cut_randomly(void *context, size_t left)
{
	unsigned   *state = context;

	*state = *state * 1103515245 + 12345;
	return 1 + (*state >> 16) % 20;
}

/* Does the stream, cut like this, give what is expected? */
static bool
gives(const WsLimits *limits, const char *expected, int stop_after,
	  CutFunction cut, void *context)
{
	Record		record;
	bool		same;

	RecordInit(&record);
	record.stop_after = stop_after;
	same = RecordFeed(&record, limits, stream, length, cut, context) &&
		strcmp(record.text, expected) == 0;
	if (!same)
		printf("#      got: %.300s\n# expected: %.300s\n", record.text,
			   expected);
	RecordFree(&record);
	return same;
}

/* Check the stream whole, byte by byte, at every split, and begin anew. */
static void
expect_stop(const WsLimits *limits, int stop_after, const char *expected,
			const char *name)
{
	bool		all = gives(limits, expected, stop_after, NULL, NULL) &&
		gives(limits, expected, stop_after, cut_bytes, NULL);

	for (size_t i = 1; all && i < Min(length, 3000); i++)
	{
		size_t		first = i;

		all = gives(limits, expected, stop_after, cut_first, &first);
		if (!all)
			printf("# split after %zu bytes\n", i);
	}
	for (unsigned seed = 0; all && seed < 50; seed++)
	{
		unsigned	state = seed;

		all = gives(limits, expected, stop_after, cut_randomly, &state);
	}
	ok(all, "%s", name);
	length = 0;
}

static void
expect(const WsLimits *limits, const char *expected, const char *name)
{
	expect_stop(limits, 0, expected, name);
}

static void
test_messages(void)
{
	char		big[MAX_MESSAGE + 1];
	char		line[MAX_MESSAGE + 50];

	put(true, WS_TEXT, "hello");
	expect(&plain, "text 0 5 hello\n", "a text");
	put(true, WS_TEXT, "");
	expect(&plain, "text 0 0 \n", "an empty text");
	put_frame(true, 0, WS_TEXT, "a\0b", 3);
	put(true, WS_TEXT, "c");
	length -= 7;				/* strcmp() would end at the NUL */
	expect(&plain, "text 0 3 a", "a text with a NUL");
	put(true, WS_TEXT, "one");
	put(true, WS_PING, "p");
	put(true, WS_TEXT, "two");
	put(true, WS_PONG, "");
	expect(&plain, "text 0 3 one\nping 0 1 p\ntext 0 3 two\npong 0 0 \n",
		   "several in one piece");

	put(false, WS_TEXT, "frag");
	put(true, WS_PING, "now");
	put(false, WS_CONTINUATION, "");
	put(false, WS_CONTINUATION, "men");
	put(true, WS_CONTINUATION, "ted");
	put(true, WS_TEXT, "next");
	expect(&plain, "ping 0 3 now\ntext 0 10 fragmented\ntext 0 4 next\n",
		   "fragments, with a ping between them");
	put(false, WS_TEXT, "");
	put(false, WS_CONTINUATION, "");
	put(true, WS_CONTINUATION, "");
	expect(&plain, "text 0 0 \n", "empty fragments");
	put(false, WS_TEXT, "");
	put(true, WS_CONTINUATION, "x");
	expect(&plain, "text 0 1 x\n", "all of it in the last fragment");

	put(true, WS_BINARY, "bits");
	expect(&binary, "binary 0 4 bits\n", "binary where it is allowed");
	put_frame(true, 0, WS_BINARY, "\xff\xfe", 2);
	expect(&binary, "binary 0 2 \xff\xfe\n", "which need not be UTF-8");
	put(true, WS_BINARY, "bits");
	expect(&plain, "violation 1003 binary messages are not supported\n",
		   "binary where it is not");

	memset(big, 'x', sizeof(big));
	put_frame(true, 0, WS_TEXT, big, MAX_MESSAGE);
	snprintf(line, sizeof(line), "text 0 %d %.*s\n", MAX_MESSAGE,
			 MAX_MESSAGE, big);
	expect(&plain, line, "the biggest message");
	put_frame(false, 0, WS_TEXT, big, MAX_MESSAGE - 1);
	put(true, WS_CONTINUATION, "x");
	expect(&plain, line, "the same in fragments");
	put_frame(true, 0, WS_TEXT, big, MAX_MESSAGE + 1);
	expect(&plain, "violation 1009 message is too big\n", "a byte more");
	put_frame(false, 0, WS_TEXT, big, MAX_MESSAGE);
	put(true, WS_CONTINUATION, "");
	put(true, WS_TEXT, "");
	snprintf(line + strlen(line), sizeof(line) - strlen(line),
			 "text 0 0 \n");
	expect(&plain, line, "an empty fragment beyond it is not too big");
	put_frame(false, 0, WS_TEXT, big, MAX_MESSAGE);
	put(true, WS_CONTINUATION, "x");
	expect(&plain, "violation 1009 message is too big\n",
		   "a byte more in a fragment");
}

static void
test_lengths(void)
{
	static char big[70000];
	static char line[70050];
	const WsLimits generous = {sizeof(big), false, false};
	static const int sizes[] = {125, 126, 127, 4079, 4080, 4081, 4082, 4096,
	4097, 8192, 65535, 65536, 70000};

	memset(big, 'x', sizeof(big));
	for (int i = 0; i < lengthof(sizes); i++)
	{
		unsigned	state = i;
		size_t		first = 4096;
		bool		all;

		put_frame(true, 0, WS_TEXT, big, sizes[i]);
		snprintf(line, sizeof(line), "text 0 %d %.*s\n", sizes[i], sizes[i],
				 big);
		all = gives(&generous, line, 0, NULL, NULL) &&
			gives(&generous, line, 0, cut_bytes, NULL) &&
			gives(&generous, line, 0, cut_first, &first) &&
			gives(&generous, line, 0, cut_randomly, &state);
		ok(all, "a text of %d bytes", sizes[i]);
		length = 0;
	}
}

static void
test_violations(void)
{
	char		ping[126] = {0};

#define PROTOCOL(reason) "violation 1002 " reason "\n"
	put_raw("\x81\x05hello", 7);
	expect(&plain, PROTOCOL("frame is not masked"), "an unmasked frame");
	put_raw("\x81\x00", 2);
	expect(&plain, PROTOCOL("frame is not masked"), "an empty unmasked frame");
	for (int rsv = 1; rsv < 8; rsv++)
	{
		put_frame(true, rsv, WS_TEXT, "x", 1);
		expect(&plain, PROTOCOL("reserved bit is set"), "reserved bits");
	}
	put_frame(true, 1, WS_TEXT, "x", 1);
	expect(&deflate, PROTOCOL("reserved bit is set"),
		   "another reserved bit than that of deflate");
	put_frame(false, 0, WS_TEXT, "x", 1);
	put_frame(true, 4, WS_CONTINUATION, "x", 1);
	expect(&deflate, PROTOCOL("reserved bit is set"),
		   "the bit of deflate on a continuation");
	put_frame(true, 4, WS_PING, "x", 1);
	expect(&deflate, PROTOCOL("reserved bit is set"),
		   "the bit of deflate on a ping");
	for (int opcode = 3; opcode < 16; opcode++)
	{
		if (opcode >= WS_CLOSE && opcode <= WS_PONG)
			continue;
		put_frame(true, 0, opcode, "", 0);
		expect(&plain, PROTOCOL("reserved opcode"), "a reserved opcode");
	}

	put_frame(false, 0, WS_PING, "x", 1);
	expect(&plain, PROTOCOL("malformed frame"), "a fragmented ping");
	put_frame(true, 0, WS_PING, ping, 126);
	expect(&plain, PROTOCOL("malformed frame"), "a ping of 126 bytes");
	put_frame(true, 0, WS_CLOSE, ping, 126);
	expect(&plain, PROTOCOL("malformed frame"), "a close of 126 bytes");
	put_raw("\x81\xfe\x00\x7d\0\0\0\0", 8);
	expect(&plain, PROTOCOL("malformed frame"), "125 in two bytes");
	put_raw("\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 14);
	expect(&plain, PROTOCOL("malformed frame"), "65535 in eight bytes");
	put_raw("\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14);
	expect(&plain, PROTOCOL("malformed frame"), "the top bit");

	put(true, WS_CONTINUATION, "x");
	expect(&plain, PROTOCOL("continuation of nothing"), "no beginning");
	put(false, WS_TEXT, "a");
	put(true, WS_CONTINUATION, "b");
	put(true, WS_CONTINUATION, "c");
	expect(&plain, "text 0 2 ab\n" PROTOCOL("continuation of nothing"),
		   "a continuation after the end");
	put(false, WS_TEXT, "a");
	put(true, WS_TEXT, "b");
	expect(&plain, PROTOCOL("new message within a fragmented one"),
		   "a message within another");
	put(true, WS_TEXT, "read");
	put_raw("\x83\x80\0\0\0\0", 6);
	put(true, WS_TEXT, "not read");
	expect(&plain, "text 0 4 read\n" PROTOCOL("reserved opcode"),
		   "nothing is read after a violation");
}

/* Headers are judged when they have come, without any payload. */
static void
test_headers_alone(void)
{
	put_raw("\x81\xff\0\0\x01\0\0\0\0\0", 10);
	expect(&plain, "violation 1009 message is too big\n",
		   "a length of 2^40, before the mask");
	put_raw("\x81\xfe\x03\xe9", 4);
	expect(&plain, "violation 1009 message is too big\n", "a length of 1001");
	put_raw("\x81\x05", 2);
	expect(&plain, PROTOCOL("frame is not masked"), "no mask");
	put_raw("\x83\x85", 2);
	expect(&plain, PROTOCOL("reserved opcode"), "reserved opcode");
	put_raw("\x80\x85", 2);
	expect(&plain, PROTOCOL("continuation of nothing"), "continuation");
	put(true, WS_TEXT, "a");
	put_raw("\x82\x85", 2);
	expect(&plain, "text 0 1 a\n"
		   "violation 1003 binary messages are not supported\n", "binary");
	put_raw("\x81\xfe\x03\xe8\0\0\0\0", 8);
	expect(&plain, "", "a length of 1000 is waited for");
	put_raw("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10);
	expect(&plain, "violation 1009 message is too big\n", "2^63-1");
	put(false, WS_TEXT, "abc");
	put_raw("\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10);
	expect(&plain, "violation 1009 message is too big\n",
		   "2^63-1 more");
}

static void
test_close_frames(void)
{
	static const struct
	{
		int			from;
		int			to;
	}			valid[] = {{1000, 1003}, {1007, 1014}, {3000, 4999}};
	bool		all = true;
	char		reason[200];

	put(true, WS_CLOSE, "");
	expect(&plain, "close 1005 0 \n", "a close without a status");
	put(true, WS_CLOSE, "x");
	expect(&plain, PROTOCOL("close frame of one byte"), "of one byte");
	put(true, WS_CLOSE, "\x03\xe8");
	expect(&plain, "close 1000 0 \n", "without a reason");
	put(true, WS_CLOSE, "\x03\xe9" "going \xe2\x82\xac");
	expect(&plain, "close 1001 9 going \xe2\x82\xac\n", "with a reason");
	put(true, WS_CLOSE, "\x03\xe9\xe2\x82");
	expect(&plain, "violation 1007 close reason is not UTF-8\n",
		   "a reason that ends within a character");
	put(true, WS_CLOSE, "\x03\xe9" "a\xff" "b");
	expect(&plain, "violation 1007 close reason is not UTF-8\n",
		   "a reason that is not UTF-8");
	memset(reason, 'x', sizeof(reason));
	memcpy(reason, "\x03\xe8", 2);
	put_frame(true, 0, WS_CLOSE, reason, 125);
	reason[125] = '\0';
	snprintf(stream + 1000, 200, "close 1000 123 %s\n", reason + 2);
	expect(&plain, stream + 1000, "the longest reason");

	for (int code = 0; code < 65536; code++)
	{
		char		payload[2] = {(char) (code >> 8), (char) code};
		char		expected[64];
		bool		is_valid = false;
		unsigned	state = code;

		for (int i = 0; i < lengthof(valid); i++)
			is_valid |= code >= valid[i].from && code <= valid[i].to;
		put_frame(true, 0, WS_CLOSE, payload, 2);
		if (is_valid)
			snprintf(expected, sizeof(expected), "close %d 0 \n", code);
		else
			strcpy(expected, PROTOCOL("invalid close code"));
		all = all && gives(&plain, expected, 0, cut_randomly, &state);
		length = 0;
	}
	ok(all, "every close code");
}

static void
test_utf8(void)
{
#define NOT_UTF8 "violation 1007 text is not UTF-8\n"
	put(true, WS_TEXT, "\xe2\x82\xac \xf0\x9f\x98\x80");
	expect(&plain, "text 0 8 \xe2\x82\xac \xf0\x9f\x98\x80\n", "UTF-8");
	put(false, WS_TEXT, "\xe2");
	put(false, WS_CONTINUATION, "\x82");
	put(true, WS_PING, "\xff");
	put(true, WS_CONTINUATION, "\xac");
	expect(&plain, "ping 0 1 \xff\ntext 0 3 \xe2\x82\xac\n",
		   "a character over three fragments, and a ping");
	put(true, WS_TEXT, "a\xff" "b");
	expect(&plain, NOT_UTF8, "a byte that is none");
	put(true, WS_TEXT, "\xe2\x82");
	expect(&plain, "violation 1007 text ends within a character\n",
		   "a text that ends within a character");
	put(false, WS_TEXT, "\xe2\x82");
	put(true, WS_CONTINUATION, "");
	expect(&plain, "violation 1007 text ends within a character\n",
		   "the same in fragments");

	/* fail fast, within the frame (Autobahn 6.4.3) */
	put_frame(true, 0, WS_TEXT, "\xce\xba\xf4\x90", 4);
	stream[1] = (char) (0x80 | 100);	/* announces more than it has */
	expect(&plain, NOT_UTF8, "is refused before the frame is complete");
}

static void
test_stop(void)
{
	put(true, WS_TEXT, "a");
	put(true, WS_TEXT, "b");
	put(true, WS_TEXT, "c");
	expect_stop(&plain, 2, "text 0 1 a\ntext 0 1 b\n",
				"the handler can stop it");
	put(false, WS_TEXT, "a");
	put(true, WS_CLOSE, "\x03\xe8");
	put(true, WS_CONTINUATION, "b");
	expect_stop(&plain, 1, "close 1000 0 \n",
				"also within a fragmented message");
}

static void
test_deflate(void)
{
	put_frame(true, 4, WS_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
	expect(&plain, PROTOCOL("reserved bit is set"),
		   "a compressed message that was not negotiated");
	put(true, WS_TEXT, "plain");
	expect(&deflate, "text 0 5 plain\n",
		   "an uncompressed message where deflate is negotiated");
	put_frame(true, 4, WS_TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
	expect(&deflate, "text 0 5 Hello\n", "a compressed message");

	/* the examples of RFC 7692, section 7.2.3 */
	put_frame(false, 4, WS_TEXT, "\xf2\x48\xcd", 3);
	put(true, WS_PING, "between");
	put_frame(true, 0, WS_CONTINUATION, "\xc9\xc9\x07\x00", 4);
	put_frame(true, 4, WS_TEXT,
			  "\x00\x05\x00\xfa\xffHello\x00", 11);
	put_frame(true, 4, WS_TEXT, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8);
	put_frame(true, 4, WS_TEXT,
			  "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13);
	put_frame(true, 4, WS_TEXT, "\x00", 1);
	put(true, WS_TEXT, "plain");
	expect(&deflate, "ping 0 7 between\ntext 0 5 Hello\ntext 0 5 Hello\n"
		   "text 0 5 Hello\ntext 0 5 Hello\ntext 0 0 \ntext 0 5 plain\n",
		   "in fragments; not compressed; final; two blocks; empty");

	put_frame(true, 4, WS_TEXT, "\xff\xff\xff", 3);
	expect(&deflate, "violation 1007 message can't be inflated\n",
		   "what deflate never makes");
	put_frame(true, 4, WS_TEXT, "\xf2\x48\xcd", 3);
	expect(&deflate, "violation 1007 message can't be inflated\n",
		   "a part of a message");
	put_frame(true, 4, WS_TEXT, "", 0);
	expect(&deflate, "violation 1007 message can't be inflated\n",
		   "nothing at all");
	put_frame(true, 4, WS_TEXT, "\x00\x02\x00\xfd\xff\xc3(\x00", 8);
	expect(&deflate, "violation 1007 text is not UTF-8\n",
		   "bad UTF-8, compressed");
	put_frame(true, 4, WS_TEXT, "\x00\x01\x00\xfe\xff\xc3\x00", 7);
	expect(&deflate, "violation 1007 text is not UTF-8\n",
		   "half a character, compressed");
	put_frame(true, 4, WS_BINARY, "\x00\x01\x00\xfe\xff\xc3\x00", 7);
	expect(&deflate, "violation 1003 binary messages are not supported\n",
		   "binary, compressed");
}

/* A connection holds a reader while something is half-way, and only then. */
static void
test_reader(void)
{
	WsReader   *reader = NULL;
	Record		record;
	size_t		held;

	RecordInit(&record);
	put(true, WS_TEXT, "hello");
	WsFeed(&reader, &plain, stream, length, &record_handler, &record);
	ok(reader == NULL, "no reader after a whole message");
	WsFeed(&reader, &plain, stream, 1, &record_handler, &record);
	ok(reader != NULL, "a reader within a header");
	WsFeed(&reader, &plain, stream + 1, length - 1, &record_handler, &record);
	ok(reader == NULL, "none after its frame");
	WsFeed(&reader, &plain, stream, 0, &record_handler, &record);
	ok(reader == NULL, "none for nothing");

	length = 0;
	put(false, WS_TEXT, "a");
	WsFeed(&reader, &plain, stream, length, &record_handler, &record);
	ok(reader != NULL, "a reader between fragments");
	held = WsReaderMemory(reader);
	length = 0;
	put(false, WS_CONTINUATION, "");
	for (int i = 0; i < 100000; i++)
		WsFeed(&reader, &plain, stream, length, &record_handler, &record);
	ok(WsReaderMemory(reader) == held, "empty fragments take no memory");
	length = 0;
	put(false, WS_CONTINUATION, "b");
	for (int i = 0; i < MAX_MESSAGE - 1; i++)
		WsFeed(&reader, &plain, stream, length, &record_handler, &record);
	ok(WsReaderMemory(reader) <= held + MAX_MESSAGE,
	   "tiny fragments take their bytes");
	is_text(record.text, "text 0 5 hello\ntext 0 5 hello\n",
			"nothing was said of them yet");
	WsReaderRelease(reader);
	reader = NULL;
	length = 0;

	put_raw("\x83\x80", 2);
	ok(!WsFeed(&reader, &plain, stream, length, &record_handler, &record) &&
	   reader != NULL && WsReaderMemory(reader) == 0,
	   "a stopped connection holds no memory");
	WsReaderRelease(reader);
	WsReaderRelease(NULL);
	RecordFree(&record);
	length = 0;
}

static bool
accept_message(void *context, WsOpcode opcode, uint16_t code,
			   const char *bytes, size_t size)
{
	return true;
}

static void
note_violation(void *context, uint16_t code, const char *reason)
{
	*(int *) context = code;
}

static void
test_allocations(void)
{
	static const WsHandler handler = {accept_message, note_violation};
	WsReader   *reader = NULL;
	int			code = 0;
	long		before;

	if (!ALLOCATIONS_COUNTED)
		return;

	put(true, WS_TEXT, "{\"action\":\"subscribe\"}");
	WsFeed(&reader, &plain, stream, length, &handler, &code);
	before = allocations;
	for (int i = 0; i < 1000; i++)
		WsFeed(&reader, &plain, stream, length, &handler, &code);
	is_number(allocations - before, 0, "small messages allocate nothing");
	for (int i = 0; i < 1000; i++)
	{
		WsFeed(&reader, &plain, stream, 3, &handler, &code);
		WsFeed(&reader, &plain, stream + 3, length - 3, &handler, &code);
	}
	is_number(allocations - before, 0, "nor do they in two pieces");
	length = 0;

	/* the payload's buffer */
	put(false, WS_TEXT, "a");
	put_frame(true, 0, WS_CONTINUATION, stream, 500);
	memset(stream + length - 500, 0, 500);
	for (int failing = 1; failing <= 2; failing++)
	{
		bool		going;

		code = 0;
		failing_allocation = failing;
		going = WsFeed(&reader, &plain, stream, length, &handler, &code);
		failing_allocation = 0;
		ok(!going && code == 1011, "memory short, allocation %d", failing);
		reader = NULL;
	}

	/* the pool is empty now: the reader, and wslay's context */
	for (int failing = 1; failing <= 2; failing++)
	{
		bool		going;

		code = 0;
		failing_allocation = failing;
		going = WsFeed(&reader, &plain, stream, length, &handler, &code);
		failing_allocation = 0;
		ok(!going && code == 1011, "no memory for a reader, allocation %d",
		   failing);
		ok(!WsFeed(&reader, &plain, stream, length, &handler, &code),
		   "and it stays stopped");
		reader = NULL;
	}
	length = 0;
}

int
main(void)
{
	test_messages();
	test_lengths();
	test_violations();
	test_headers_alone();
	test_close_frames();
	test_utf8();
	test_stop();
	test_deflate();
	test_reader();
	test_allocations();
	return done_testing();
}
