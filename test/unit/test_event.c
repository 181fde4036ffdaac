/*-------------------------------------------------------------------------
 *
 * test_event.c
 *		The encoded form of events, also cut and damaged.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "arena.h"
#include "bus/event.h"
#include "tap.h"

static bool
same_text(EventText a, EventText b)
{
	return a.length == b.length &&
		(a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

static bool
same_event(const Event *a, const Event *b)
{
	if (a->kind != b->kind || a->ntopics != b->ntopics)
		return false;
	for (int i = 0; i < a->ntopics; i++)
	{
		if (!same_text(a->topics[i], b->topics[i]))
			return false;
	}
	return same_text(a->slug, b->slug) && same_text(a->data, b->data);
}

/* Decode from a block without a byte to spare. */
static int
decodable(const char *bytes, size_t length)
{
	char	   *copy = malloc(length > 0 ? length : 1);
	Size		offset = 0;
	Event		event;
	int			count = 0;

	memcpy(copy, bytes, length);
	while (EventDecode(copy, length, &offset, &event))
		count++;
	free(copy);
	return count;
}

int
main(void)
{
	Event		events[2] = {
		{
			.kind = EVENT_UPDATE, .ntopics = 2,
			.topics = {{"quiz:42", 7}, {"attempts:42", 11}},
			.slug = {"attempt_quiz", 12}, .data = {"{\"a\":1}", 7}
		},
		{.kind = EVENT_RESYNC_ALL}
	};
	StringInfoData buffer;
	Event		decoded;
	Size		offset = 0;
	bool		all = true;
	int			first;

	initStringInfo(&buffer);
	EventEncode(&buffer, &events[0]);
	first = buffer.len;
	is_number(first, EventEncodedSize(&events[0]), "the size is foretold");
	EventEncode(&buffer, &events[1]);

	ok(EventDecode(buffer.data, buffer.len, &offset, &decoded) &&
	   same_event(&decoded, &events[0]), "the first event");
	ok(EventDecode(buffer.data, buffer.len, &offset, &decoded) &&
	   same_event(&decoded, &events[1]), "the second event");
	ok(!EventDecode(buffer.data, buffer.len, &offset, &decoded) &&
	   offset == buffer.len, "the end");

	for (int i = 0; i < buffer.len; i++)
		all = all && decodable(buffer.data, i) == (i < first ? 0 : 1);
	ok(all, "cut anywhere, only whole events are decoded");

	/* only that it stays within bounds */
	for (int i = 0; i < buffer.len; i++)
	{
		for (int bit = 0; bit < 8; bit++)
		{
			buffer.data[i] ^= 1 << bit;
			decodable(buffer.data, buffer.len);
			buffer.data[i] ^= 1 << bit;
		}
	}
	ok(decodable(buffer.data, buffer.len) == 2, "damaged anywhere");
	ArenaReset();
	return done_testing();
}
