/*-------------------------------------------------------------------------
 *
 * json.c
 *		Looking into JSON that the server sent, in place.
 *
 * There is no tree: to find a member is to walk over those before it.  The
 * objects are small, and a message is read once.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <string.h>

#include "json.h"

static const Json none = {NULL, NULL};

static const char *
skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
	{
		if (*at == '\\')
			at++;
	}
	return at < end ? at + 1 : NULL;
}

/* Past an array or object: brackets that are not in a string must match. */
static const char *
skip_nested(const char *at, const char *end)
{
	int			depth = 0;

	while (at != NULL && at < end)
	{
		if (*at == '"')
		{
			at = skip_string(at, end);
			continue;
		}
		if (*at == '{' || *at == '[')
			depth++;
		if ((*at == '}' || *at == ']') && --depth == 0)
			return at + 1;
		at++;
	}
	return NULL;
}

/* Past the value that begins here; NULL: it is none. */
static const char *
skip_value(const char *at, const char *end)
{
	const char *begin = at;

	if (at >= end)
		return NULL;
	if (*at == '"')
		return skip_string(at, end);
	if (*at == '{' || *at == '[')
		return skip_nested(at, end);
	while (at < end && (isalnum((unsigned char) *at) ||
						strchr("+-.", *at) != NULL))
		at++;
	return at > begin ? at : NULL;
}

bool
JsonRead(const char *bytes, size_t length, Json *value)
{
	value->at = bytes;
	value->end = bytes + length;
	return skip_value(bytes, value->end) == value->end;
}

Json
JsonMember(Json object, const char *key)
{
	size_t		length = strlen(key);
	const char *at = object.at;

	if (at == NULL || *at++ != '{')
		return none;
	while (at != NULL && at < object.end && *at == '"')
	{
		const char *name = at + 1;
		const char *value = skip_string(at, object.end);
		const char *after;

		if (value == NULL || *value != ':')
			return none;
		after = skip_value(value + 1, object.end);
		if (after == NULL)
			return none;
		if ((size_t) (value - 1 - name) == length &&
			memcmp(name, key, length) == 0)
			return (Json) {value + 1, after};
		at = *after == ',' ? after + 1 : NULL;
	}
	return none;
}

bool
JsonNext(Json array, const char **place, Json *element)
{
	const char *at = *place == NULL ? array.at + 1 : *place;

	if (array.at == NULL || *array.at != '[' || at >= array.end || *at == ']')
		return false;
	element->at = at;
	element->end = skip_value(at, array.end);
	if (element->end == NULL)
		return false;
	*place = *element->end == ',' ? element->end + 1 : element->end;
	return true;
}

bool
JsonIs(Json value, const char *text)
{
	size_t		length = strlen(text);

	return value.at != NULL && *value.at == '"' &&
		(size_t) (value.end - value.at) == length + 2 &&
		memcmp(value.at + 1, text, length) == 0;
}

bool
JsonIsWord(Json value, const char *word)
{
	return value.at != NULL &&
		(size_t) (value.end - value.at) == strlen(word) &&
		memcmp(value.at, word, strlen(word)) == 0;
}

void
JsonText(Json value, char *to, size_t size)
{
	size_t		length = 0;

	if (value.at != NULL && *value.at == '"')
	{
		length = (size_t) (value.end - value.at) - 2;
		length = length < size ? length : size - 1;
		memcpy(to, value.at + 1, length);
	}
	to[length] = '\0';
}

int64_t
JsonThousandths(Json value)
{
	const char *at = value.at;
	bool		negative;
	int64_t		number = 0;
	int			scale = 1000;
	bool		fraction = false;

	if (at == NULL || !(isdigit((unsigned char) *at) || *at == '-'))
		return -1000;
	negative = *at == '-';
	for (at += negative; at < value.end; at++)
	{
		if (*at == '.')
			fraction = true;
		else if (!isdigit((unsigned char) *at))
			return -1000;
		else if (!fraction || scale > 1)
		{
			number = number * 10 + (*at - '0');
			scale /= fraction ? 10 : 1;
		}
	}
	number *= scale;
	return negative ? -number : number;
}
