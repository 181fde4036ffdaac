/*-------------------------------------------------------------------------
 *
 * ws_record.c
 *		Feeding WsFeed() and writing down what it says.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "ws_record.h"

/* wslay's buffer, the reader itself, and a buffer that came with it */
#define MEMORY_BESIDES_PAYLOAD 10000

static void
append(Record *record, const char *bytes, size_t length)
{
	if (record->length + length + 1 > record->capacity)
	{
		record->capacity = 2 * (record->length + length + 1);
		record->text = realloc(record->text, record->capacity);
		if (record->text == NULL)
			abort();
	}
	if (length > 0)
		memcpy(record->text + record->length, bytes, length);
	record->length += length;
	record->text[record->length] = '\0';
}

static bool
record_message(void *context, WsOpcode opcode, uint16_t code,
			   const char *bytes, size_t length)
{
	Record	   *record = context;
	char		head[64];

	snprintf(head, sizeof(head), "%s %u %zu ",
			 opcode == WS_TEXT ? "text" :
			 opcode == WS_BINARY ? "binary" :
			 opcode == WS_CLOSE ? "close" :
			 opcode == WS_PING ? "ping" :
			 opcode == WS_PONG ? "pong" : "unknown",
			 code, length);
	append(record, head, strlen(head));
	append(record, bytes, length);
	append(record, "\n", 1);
	record->messages++;
	return record->messages != record->stop_after;
}

static void
record_violation(void *context, uint16_t code, const char *reason)
{
	Record	   *record = context;
	char		line[128];

	snprintf(line, sizeof(line), "violation %u %s\n", code, reason);
	append(record, line, strlen(line));
	record->violations++;
}

const WsHandler record_handler = {record_message, record_violation};

void
RecordInit(Record *record)
{
	memset(record, 0, sizeof(*record));
	append(record, "", 0);
}

void
RecordFree(Record *record)
{
	free(record->text);
	record->text = NULL;
}

static bool
complain(const char *what)
{
	fprintf(stderr, "# WsFeed: %s\n", what);
	return false;
}

static bool
feed_piece(Record *record, WsReader **reader, const WsLimits *limits,
		   const char *bytes, size_t length, bool *running)
{
	int			messages = record->messages;
	int			violations = record->violations;
	char	   *piece = malloc(length > 0 ? length : 1);
	bool		was_running = *running;
	bool		stopped;

	if (piece == NULL)
		abort();
	memcpy(piece, bytes, length);
	*running = WsFeed(reader, limits, piece, length, &record_handler, record);
	free(piece);

	stopped = record->violations > violations ||
		(record->messages > messages &&
		 record->messages == record->stop_after);
	if (!was_running &&
		(*running || record->messages > messages ||
		 record->violations > violations))
		return complain("read on after it had stopped");
	if (record->violations > 1)
		return complain("reported two violations");
	if (was_running && *running == stopped)
		return complain("its result is not what it told the handler");
	if (WsReaderMemory(*reader) >
		limits->max_message + MEMORY_BESIDES_PAYLOAD)
		return complain("holds more memory than a message may have");
	return true;
}

bool
RecordFeed(Record *record, const WsLimits *limits, const char *bytes,
		   size_t length, CutFunction cut, void *context)
{
	WsReader   *reader = NULL;
	bool		running = true;
	bool		sane = true;

	for (size_t at = 0; sane && at < length;)
	{
		size_t		piece = cut == NULL ? length : cut(context, length - at);

		piece = Min(Max(piece, 1), length - at);
		sane = feed_piece(record, &reader, limits, bytes + at, piece,
						  &running);
		at += piece;
		if (WsReaderMemory(reader) > 2 * at + MEMORY_BESIDES_PAYLOAD)
			sane = complain("holds more memory than what came");
	}
	WsReaderRelease(reader);
	return sane;
}

size_t
ClientFrame(char *out, bool fin, int rsv, int opcode, const char *payload,
			size_t length)
{
	static const char mask[4] = {0x37, (char) 0xfa, 0x21, 0x3d};
	char	   *at = out;

	*at++ = (char) ((fin ? 0x80 : 0) | rsv << 4 | opcode);
	if (length < 126)
		*at++ = (char) (0x80 | length);
	else
	{
		int			bytes = length <= UINT16_MAX ? 2 : 8;

		*at++ = (char) (0x80 | (bytes == 2 ? 126 : 127));
		for (int i = bytes - 1; i >= 0; i--)
			*at++ = (char) ((uint64) length >> (8 * i));
	}
	memcpy(at, mask, 4);
	at += 4;
	for (size_t i = 0; i < length; i++)
		*at++ = payload[i] ^ mask[i % 4];
	return at - out;
}
