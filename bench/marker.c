/*-------------------------------------------------------------------------
 *
 * marker.c
 *		What an event carries so that its receipt can be judged.
 *
 * Read a million times a second in the same process that is to keep up with
 * the server: hence no sscanf().
 *
 *-------------------------------------------------------------------------
 */
#include "load.h"
#include "marker.h"

/* Where the dashes of a UUID stand. */
#define IS_DASH(i) ((i) == 8 || (i) == 13 || (i) == 18 || (i) == 23)

void
MarkerPrint(char *text, const Marker *marker)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t	words[2] = {
		(uint64_t) marker->channel << 32 |
		(uint64_t) (marker->writer & 0xff) << 24 | (marker->number & 0xffffff),
		marker->at
	};
	int			nibble = 0;

	for (int i = 0; i < MARKER_LENGTH; i++)
	{
		if (IS_DASH(i))
		{
			text[i] = '-';
			continue;
		}
		text[i] = digits[words[nibble / 16] >> (60 - nibble % 16 * 4) & 0xf];
		nibble++;
	}
	text[MARKER_LENGTH] = '\0';
}

bool
MarkerParse(const char *text, Marker *marker)
{
	static signed char value_of[256];
	uint64_t	words[2] = {0, 0};
	int			nibble = 0;

	if (value_of['1'] == 0)
	{
		memset(value_of, -1, sizeof(value_of));
		for (int i = 0; i < 10; i++)
			value_of['0' + i] = (signed char) i;
		for (int i = 0; i < 6; i++)
			value_of['a' + i] = (signed char) (10 + i);
	}
	for (int i = 0; i < MARKER_LENGTH; i++)
	{
		int			value = value_of[(unsigned char) text[i]];

		if (IS_DASH(i))
			continue;
		if (value < 0)
			return false;
		words[nibble / 16] = words[nibble / 16] << 4 | (uint64_t) value;
		nibble++;
	}
	marker->channel = (uint32_t) (words[0] >> 32);
	marker->writer = (uint32_t) (words[0] >> 24) & 0xff;
	marker->number = (uint32_t) words[0] & 0xffffff;
	marker->at = words[1];
	return true;
}
