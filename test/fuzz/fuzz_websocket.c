/*-------------------------------------------------------------------------
 *
 * fuzz_websocket.c
 *		Frames from clients.
 *
 * The first byte sets the limits, the second when the handler says stop, the
 * third how the stream is cut and whether the rest is a stream or a recipe.
 * (Bytes at random are rarely masked text; a recipe is a list of an octet for
 * the header, one for a length, and so many bytes of payload, which are made
 * into proper frames.)
 *
 * Promises: whole, byte by byte and cut at random, the same messages and the
 * same violation come out; besides what RecordFeed() checks.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "fuzz.h"
#include "ws_record.h"

#define MAX_STREAM 20000

static char stream[MAX_STREAM];

static size_t
cook(const uint8_t *data, size_t size)
{
	size_t		length = 0;

	while (size >= 2 && length + size + 300 < MAX_STREAM)
	{
		size_t		payload = Min(data[1], size - 2);

		length += ClientFrame(stream + length, data[0] >> 7,
							  (data[0] >> 4) & 7, data[0] & 15,
							  (const char *) data + 2, payload);
		data += 2 + payload;
		size -= 2 + payload;
	}
	return length;
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
	return 1 + (*state >> 16) % ((*state >> 8) % 4 == 0 ? 5000 : 12);
}

static void
run(Record *record, int stop_after, const WsLimits *limits, size_t length,
	CutFunction cut, void *context)
{
	RecordInit(record);
	record->stop_after = stop_after;
	HOLDS(RecordFeed(record, limits, stream, length, cut, context));
}

static void
check_same(const Record *whole, Record *other)
{
	HOLDS(whole->length == other->length &&
		  memcmp(whole->text, other->text, whole->length) == 0);
	RecordFree(other);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	WsLimits	limits;
	Record		whole;
	Record		other;
	size_t		length;
	unsigned	state;
	int			stop_after;

	if (size < 3)
		return 0;
	limits.max_message = data[0] & 1 ? 65536 : data[0] >> 2;
	limits.allow_binary = (data[0] & 2) != 0;
	limits.deflate = (data[1] & 1) != 0;
	stop_after = data[1] >> 4;
	state = data[2] >> 1;
	if (data[2] & 1)
	{
		length = Min(size - 3, MAX_STREAM);
		memcpy(stream, data + 3, length);
	}
	else
		length = cook(data + 3, size - 3);

	run(&whole, stop_after, &limits, length, NULL, NULL);
	run(&other, stop_after, &limits, length, cut_randomly, &state);
	check_same(&whole, &other);
	if (length < 1000)
	{
		run(&other, stop_after, &limits, length, cut_bytes, NULL);
		check_same(&whole, &other);
	}
	RecordFree(&whole);
	return 0;
}
