/*-------------------------------------------------------------------------
 *
 * test_http_query.c
 *		Query strings.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "tap.h"
#include "wire/http.h"

static HttpQueryValue values[2];

/* Parse into storage of exactly the size that http.h asks for. */
static bool
parse(const char *query)
{
	static char *storage;
	HttpText	text = {query, query == NULL ? 0 : strlen(query)};
	size_t		size = 2 * (text.length + 1);

	free(storage);
	storage = malloc(size);
	memset(storage, 'x', size);
	values[0].name = "token";
	values[1].name = "session";
	return HttpParseQuery(text, values, 2, storage, size);
}

static void
expect(const char *query, const char *token, const char *session)
{
	bool		parsed = parse(query);
	const char *expected[2] = {token, session};

	for (int i = 0; i < 2; i++)
	{
		if (expected[i] == NULL)
			parsed = parsed && values[i].value == NULL;
		else
			parsed = parsed && values[i].value != NULL &&
				strcmp(values[i].value, expected[i]) == 0;
	}
	ok(parsed, "'%s'", query == NULL ? "(none)" : query);
}

static void
refuse(const char *query)
{
	ok(!parse(query), "'%s' is refused", query);
}

int
main(void)
{
	char		small[10];
	HttpText	text = {"token=abcdef", 12};
	HttpText	cut = {"token=%41", 8};

	expect(NULL, NULL, NULL);
	expect("", NULL, NULL);
	expect("&&", NULL, NULL);
	expect("token=abc", "abc", NULL);
	expect("session=s&token=t", "t", "s");
	expect("a=b&token=t&c", "t", NULL);
	expect("token", NULL, NULL);
	expect("token=", NULL, NULL);
	expect("token=&session=x", NULL, "x");
	expect("=x&token=t", "t", NULL);
	expect("token=a=b=", "a=b=", NULL);
	expect("token=a+b", "a+b", NULL);
	expect("token=a%20b%26c%3dd", "a b&c=d", NULL);
	expect("%74oke%6E=x", "x", NULL);
	expect("token%3dx", NULL, NULL);
	expect("Token=x&TOKEN=y&tokens=z&toke=w", NULL, NULL);
	expect("token=%C3%A9", "\xc3\xa9", NULL);
	expect("token=\xc3\xa9", "\xc3\xa9", NULL);
	expect("token=%F0%9F%98%80", "\xf0\x9f\x98\x80", NULL);
	expect("token=?/", "?/", NULL);

	refuse("token=a&token=b");
	refuse("token=&token=");
	refuse("token&tok%65n=x");
	refuse("session=a&b=c&session=a");
	refuse("token=%");
	refuse("token=%4");
	refuse("token=%4g");
	refuse("token=%g4");
	refuse("token=x&other=%");
	refuse("%zz=x");
	refuse("token=%00");
	refuse("x=%00");
	refuse("token=%ff");
	refuse("token=%C3");
	refuse("token=%C3&session=%A9");
	refuse("token=%ED%A0%80");
	refuse("a\x80=b");

	values[0].name = "token";
	ok(!HttpParseQuery(cut, values, 1, small, sizeof(small)),
	   "an escape that ends beyond the query");
	ok(!HttpParseQuery(text, values, 1, small, sizeof(small)),
	   "storage that is too small is not written to");
	return done_testing();
}
