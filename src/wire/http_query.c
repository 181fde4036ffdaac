/*-------------------------------------------------------------------------
 *
 * http_query.c
 *		The query string of a request.
 *
 * Credentials come in here, so it is strict: everything must decode, whether
 * it is looked at or not, and a parameter that counts may be given once.  A
 * plus sign is a plus sign; tokens and keys may contain it.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "wire/http.h"
#include "wire/utf8.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Decode the byte at *at, which is before "end", and advance.  False for a
 * broken escape.
 */
static bool
decode_byte(const char **at, const char *end, char *byte)
{
	int			high;
	int			low;

	if (**at != '%')
	{
		*byte = *(*at)++;
		return true;
	}
	if (end - *at < 3)
		return false;
	high = hex_digit((*at)[1]);
	low = hex_digit((*at)[2]);
	if (high < 0 || low < 0)
		return false;
	*byte = (char) (high << 4 | low);
	*at += 3;
	return true;
}

/*
 * Does the whole query decode to text?  The separators are ASCII, so that a
 * character that is cut by one shows without looking at the parts.
 */
static bool
is_decodable(HttpText query)
{
	const char *at = query.bytes;
	const char *end = query.bytes + query.length;
	Utf8State	utf8 = {0};
	char		byte;

	while (at < end)
	{
		if (!decode_byte(&at, end, &byte) || byte == '\0' ||
			!Utf8Feed(&utf8, &byte, 1))
			return false;
	}
	return Utf8Complete(&utf8);
}

/* Is the text, decoded, this name? */
static bool
names(HttpText text, const char *name)
{
	const char *at = text.bytes;
	const char *end = text.bytes + text.length;
	char		byte;

	while (at < end)
	{
		if (!decode_byte(&at, end, &byte) || byte != *name)
			return false;		/* also where the name has ended */
		name++;
	}
	return *name == '\0';
}

/* Decode into "out", which has room for the text and a NUL. */
static void
decode(HttpText text, char *out)
{
	const char *at = text.bytes;
	const char *end = text.bytes + text.length;

	while (at < end && decode_byte(&at, end, out))
		out++;
	*out = '\0';
}

/* Take what comes before the separator, or all of it, off the text. */
static HttpText
take_until(HttpText *text, char separator)
{
	HttpText	part = *text;
	const char *found = part.length == 0 ? NULL :
		memchr(part.bytes, separator, part.length);

	if (found == NULL)
	{
		text->bytes += text->length;
		text->length = 0;
		return part;
	}
	part.length = found - part.bytes;
	text->length -= part.length + 1;
	text->bytes = found + 1;
	return part;
}

bool
HttpParseQuery(HttpText query, HttpQueryValue *values, int nvalues,
			   char *storage, size_t storage_size)
{
	size_t		room = query.length + 1;

	for (int i = 0; i < nvalues; i++)
		values[i].value = NULL;
	if (query.bytes == NULL)
		return true;
	if (storage_size < nvalues * room || !is_decodable(query))
		return false;

	while (query.length > 0)
	{
		HttpText	value = take_until(&query, '&');
		HttpText	name = take_until(&value, '=');

		for (int i = 0; i < nvalues; i++)
		{
			char	   *copy = storage + i * room;

			if (!names(name, values[i].name))
				continue;
			if (values[i].value != NULL)
				return false;	/* repeated */
			decode(value, copy);
			values[i].value = copy;
		}
	}

	for (int i = 0; i < nvalues; i++)
	{
		if (values[i].value != NULL && values[i].value[0] == '\0')
			values[i].value = NULL;
	}
	return true;
}
