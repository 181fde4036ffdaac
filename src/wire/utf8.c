/*-------------------------------------------------------------------------
 *
 * utf8.c
 *		UTF-8 that arrives in pieces.
 *
 * The state is how many bytes are missing and between which bounds the next
 * one lies.  The bounds of the second byte are what refuses overlong forms,
 * surrogates and code points above U+10FFFF (table 3-7 of the Unicode
 * standard), at that byte and not at the end of the character.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "wire/utf8.h"

/* How many of the bytes, in steps of eight, are ASCII? */
static size_t
skip_ascii(const unsigned char *bytes, size_t length)
{
	size_t		i = 0;

	while (length - i >= sizeof(uint64))
	{
		uint64		chunk;

		memcpy(&chunk, bytes + i, sizeof(chunk));
		if (chunk & UINT64CONST(0x8080808080808080))
			break;
		i += sizeof(chunk);
	}
	return i;
}

/* The first byte of a character that is not ASCII. */
static bool
lead_byte(Utf8State *state, unsigned char byte)
{
	state->lowest = 0x80;
	state->highest = 0xBF;

	if (byte >= 0xC2 && byte <= 0xDF)
		state->missing = 1;
	else if (byte >= 0xE0 && byte <= 0xEF)
	{
		state->missing = 2;
		if (byte == 0xE0)
			state->lowest = 0xA0;	/* not shorter than needed */
		else if (byte == 0xED)
			state->highest = 0x9F;	/* no surrogates */
	}
	else if (byte >= 0xF0 && byte <= 0xF4)
	{
		state->missing = 3;
		if (byte == 0xF0)
			state->lowest = 0x90;
		else if (byte == 0xF4)
			state->highest = 0x8F;	/* not above U+10FFFF */
	}
	else
		return false;
	return true;
}

bool
Utf8Feed(Utf8State *state, const char *bytes, size_t length)
{
	const unsigned char *at = (const unsigned char *) bytes;

	for (size_t i = 0; i < length; i++)
	{
		if (state->missing == 0)
		{
			i += skip_ascii(at + i, length - i);
			if (i == length)
				break;
			if (at[i] >= 0x80 && !lead_byte(state, at[i]))
				return false;
		}
		else
		{
			if (at[i] < state->lowest || at[i] > state->highest)
				return false;
			state->missing--;
			state->lowest = 0x80;
			state->highest = 0xBF;
		}
	}
	return true;
}

bool
Utf8Valid(const char *bytes, size_t length)
{
	Utf8State	state = {0};

	return Utf8Feed(&state, bytes, length) && Utf8Complete(&state);
}
