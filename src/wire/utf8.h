/*-------------------------------------------------------------------------
 *
 * utf8.h
 *		UTF-8 that arrives in pieces.
 *
 * PostgreSQL's own check wants a whole string without NUL bytes; a text
 * message may hold NULs, comes in pieces that end within a character, and is
 * to be refused at the first byte that cannot be right (RFC 3629 and RFC
 * 6455, section 8.1).
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_UTF8_H
#define QUIZRT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero at the start, and between two characters. */
typedef struct Utf8State
{
	uint8_t		missing;		/* bytes to come in this character */
	uint8_t		lowest;			/* what the next one may be */
	uint8_t		highest;
} Utf8State;

/* Check more bytes; false at the first one that cannot follow. */
extern bool Utf8Feed(Utf8State *state, const char *bytes, size_t length);

static inline bool
Utf8Complete(const Utf8State *state)
{
	return state->missing == 0;
}

extern bool Utf8Valid(const char *bytes, size_t length);

/* Is this the second or a later byte of a character? */
static inline bool
Utf8IsContinuation(char byte)
{
	return ((unsigned char) byte & 0xC0) == 0x80;
}

#endif							/* QUIZRT_UTF8_H */
