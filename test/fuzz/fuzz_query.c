/*-------------------------------------------------------------------------
 *
 * fuzz_query.c
 *		Query strings.
 *
 * Promises: storage of the size that http.h asks for is enough; values are
 * text; a value that is escaped and parsed again is the same.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "fuzz.h"
#include "wire/http.h"
#include "wire/utf8.h"

static bool
parse(const char *bytes, size_t length, HttpQueryValue *values, char **storage)
{
	HttpText	query = {bytes, length};
	size_t		size = 2 * (length + 1);

	values[0].name = "token";
	values[1].name = "session";
	*storage = malloc(size);
	return HttpParseQuery(query, values, 2, *storage, size);
}

static void
check_value(const HttpQueryValue *value)
{
	size_t		length;
	char	   *escaped;
	char	   *at;
	char	   *storage;
	HttpQueryValue again[2];

	if (value->value == NULL)
		return;
	length = strlen(value->value);
	HOLDS(length > 0 && Utf8Valid(value->value, length));

	escaped = malloc(20 + 3 * length);
	at = escaped + sprintf(escaped, "%s=", value->name);
	for (size_t i = 0; i < length; i++)
		at += sprintf(at, "%%%02x", (unsigned char) value->value[i]);
	HOLDS(parse(escaped, at - escaped, again, &storage));
	for (int i = 0; i < 2; i++)
	{
		if (strcmp(again[i].name, value->name) == 0)
			HOLDS(again[i].value != NULL &&
				  strcmp(again[i].value, value->value) == 0);
		else
			HOLDS(again[i].value == NULL);
	}
	free(storage);
	free(escaped);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *copy = exact_copy(data, size);
	char	   *storage;
	HttpQueryValue values[2];

	if (parse(copy, size, values, &storage))
	{
		check_value(&values[0]);
		check_value(&values[1]);
	}
	free(storage);
	free(copy);
	return 0;
}
