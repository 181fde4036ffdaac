/*-------------------------------------------------------------------------
 *
 * codec.h
 *		Numbers and texts in the messages between our processes.
 *
 * Native byte order, nothing aligned: what is read is copied out.  Every
 * read checks that it stays inside, and says so if not.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_CODEC_H
#define QUIZRT_CODEC_H

#include "bus/event.h"

/* What is left to read. */
typedef struct Cursor
{
	const char *at;
	const char *end;
} Cursor;

static inline void
PutBytes(StringInfo buffer, const void *bytes, Size length)
{
	appendBinaryStringInfo(buffer, (const char *) bytes, (int) length);
}

static inline void
PutU32(StringInfo buffer, uint32 value)
{
	PutBytes(buffer, &value, sizeof(value));
}

static inline void
PutU64(StringInfo buffer, uint64 value)
{
	PutBytes(buffer, &value, sizeof(value));
}

static inline void
PutText(StringInfo buffer, EventText text)
{
	PutU32(buffer, text.length);
	if (text.length > 0)
		PutBytes(buffer, text.bytes, text.length);
}

static inline bool
TakeView(Cursor *cursor, Size length, const char **bytes)
{
	if ((Size) (cursor->end - cursor->at) < length)
		return false;
	*bytes = cursor->at;
	cursor->at += length;
	return true;
}

static inline bool
TakeU32(Cursor *cursor, uint32 *value)
{
	const char *bytes;

	if (!TakeView(cursor, sizeof(*value), &bytes))
		return false;
	memcpy(value, bytes, sizeof(*value));
	return true;
}

static inline bool
TakeU64(Cursor *cursor, uint64 *value)
{
	const char *bytes;

	if (!TakeView(cursor, sizeof(*value), &bytes))
		return false;
	memcpy(value, bytes, sizeof(*value));
	return true;
}

static inline bool
TakeText(Cursor *cursor, EventText *text)
{
	return TakeU32(cursor, &text->length) &&
		TakeView(cursor, text->length, &text->bytes);
}

#endif							/* QUIZRT_CODEC_H */
