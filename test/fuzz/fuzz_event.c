/*-------------------------------------------------------------------------
 *
 * fuzz_event.c
 *		Events as they are found in the ring, which may have been overwritten.
 *
 * Promises: decoding stays within the bytes and goes on; what was decoded
 * encodes to the same bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "arena.h"
#include "bus/event.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *copy = exact_copy(data, size);
	Size		offset = 0;
	Size		start = 0;
	Event		event;

	while (EventDecode(copy, size, &offset, &event))
	{
		StringInfoData encoded;

		HOLDS(offset > start && offset <= size);
		HOLDS(event.ntopics >= 0 && event.ntopics <= MAX_EVENT_TOPICS);
		HOLDS(EventEncodedSize(&event) == offset - start);
		initStringInfo(&encoded);
		EventEncode(&encoded, &event);
		HOLDS(encoded.len == offset - start &&
			  memcmp(encoded.data, copy + start, encoded.len) == 0);
		start = offset;
	}
	HOLDS(offset == start);
	free(copy);
	ArenaReset();
	return 0;
}
