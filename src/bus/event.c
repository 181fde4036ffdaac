/*-------------------------------------------------------------------------
 *
 * event.c
 *		The encoded form of an event.
 *
 * A fixed header, then a two-byte length and the bytes for each topic, then
 * slug and data.  Native byte order: it never leaves the machine.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/event.h"

typedef struct EventHeader
{
	uint32		length;			/* of all of it, this header included */
	uint16		kind;
	uint16		ntopics;
	uint32		slug_length;
	uint32		data_length;
} EventHeader;

Size
EventEncodedSize(const Event *event)
{
	Size		size = sizeof(EventHeader);

	for (int i = 0; i < event->ntopics; i++)
		size += sizeof(uint16) + event->topics[i].length;
	return size + event->slug.length + event->data.length;
}

void
EventEncode(StringInfo buffer, const Event *event)
{
	EventHeader header;

	Assert(event->ntopics <= MAX_EVENT_TOPICS);

	header.length = (uint32) EventEncodedSize(event);
	header.kind = (uint16) event->kind;
	header.ntopics = (uint16) event->ntopics;
	header.slug_length = event->slug.length;
	header.data_length = event->data.length;
	appendBinaryStringInfo(buffer, (const char *) &header, sizeof(header));

	for (int i = 0; i < event->ntopics; i++)
	{
		uint16		length = (uint16) event->topics[i].length;

		Assert(event->topics[i].length <= MAX_TOPIC_LENGTH);
		appendBinaryStringInfo(buffer, (const char *) &length, sizeof(length));
		appendBinaryStringInfo(buffer, event->topics[i].bytes, length);
	}
	if (event->slug.length > 0)
		appendBinaryStringInfo(buffer, event->slug.bytes, event->slug.length);
	if (event->data.length > 0)
		appendBinaryStringInfo(buffer, event->data.bytes, event->data.length);
}

/* Take "length" bytes from *at if there are so many before "end". */
static bool
take(const char **at, const char *end, uint32 length, EventText *text)
{
	if ((Size) (end - *at) < length)
		return false;
	text->bytes = *at;
	text->length = length;
	*at += length;
	return true;
}

static bool
take_topic(const char **at, const char *end, EventText *topic)
{
	EventText	prefix;
	uint16		length;

	if (!take(at, end, sizeof(length), &prefix))
		return false;
	memcpy(&length, prefix.bytes, sizeof(length));
	return length <= MAX_TOPIC_LENGTH && take(at, end, length, topic);
}

bool
EventDecode(const char *bytes, Size length, Size *offset, Event *event)
{
	EventHeader header;
	const char *at;
	const char *end;

	if (*offset > length || length - *offset < sizeof(header))
		return false;
	memcpy(&header, bytes + *offset, sizeof(header));
	if (header.length < sizeof(header) || header.length > length - *offset ||
		header.ntopics > MAX_EVENT_TOPICS ||
		header.kind < EVENT_UPDATE || header.kind > EVENT_REVOKE)
		return false;

	at = bytes + *offset + sizeof(header);
	end = bytes + *offset + header.length;
	event->kind = (EventKind) header.kind;
	event->ntopics = header.ntopics;
	for (int i = 0; i < header.ntopics; i++)
	{
		if (!take_topic(&at, end, &event->topics[i]))
			return false;
	}
	if (!take(&at, end, header.slug_length, &event->slug) ||
		!take(&at, end, header.data_length, &event->data) || at != end)
		return false;

	*offset += header.length;
	return true;
}
