/*-------------------------------------------------------------------------
 *
 * test_utf8.c
 *		UTF-8 in pieces.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "tap.h"
#include "wire/utf8.h"

/* The first byte that Utf8Feed refuses when they come one by one, or -1. */
static int
refused_at(const char *bytes, size_t length)
{
	Utf8State	state = {0};

	for (size_t i = 0; i < length; i++)
	{
		if (!Utf8Feed(&state, bytes + i, 1))
			return (int) i;
	}
	return -1;
}

/* Another way to tell, straight from the definition. */
static bool
valid_by_definition(const unsigned char *b, size_t length)
{
	while (length > 0)
	{
		unsigned	lead = b[0];
		int			n = lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 :
			lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 0;
		static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
		unsigned	code;

		if (n == 0 || n > length)
			return false;
		code = n == 1 ? lead : lead & (0xFF >> (n + 1));
		for (int i = 1; i < n; i++)
		{
			if ((b[i] & 0xC0) != 0x80)
				return false;
			code = code << 6 | (b[i] & 0x3F);
		}
		if (code < least[n] || code > 0x10FFFF ||
			(code >= 0xD800 && code <= 0xDFFF))
			return false;
		b += n;
		length -= n;
	}
	return true;
}

/* All sequences of three bytes, and all of four that begin like one. */
static void
test_exhaustively(void)
{
	int			wrong = 0;
	char		b[4];

	for (int i = 0; i < 1 << 24; i++)
	{
		b[0] = (char) (i >> 16);
		b[1] = (char) (i >> 8);
		b[2] = (char) i;
		b[3] = (char) 0x80;
		if ((i & 7) == 0 || (unsigned char) b[0] >= 0xC0)
			wrong += Utf8Valid(b, 3) !=
				valid_by_definition((unsigned char *) b, 3);
		if ((unsigned char) b[0] >= 0xF0)
			wrong += Utf8Valid(b, 4) !=
				valid_by_definition((unsigned char *) b, 4);
	}
	ok(wrong == 0, "agrees with the definition on short sequences");
}

int
main(void)
{
	static const char mixed[] = "plain ASCII, \xc3\xa9, \xe2\x82\xac, "
		"\xf0\x9f\x98\x80, and again plain ASCII for a while";
	Utf8State	state = {0};
	bool		all = true;

	ok(Utf8Valid("", 0), "nothing is valid");
	ok(Utf8Valid("a\0b", 3), "NUL is a character");
	ok(Utf8Valid(mixed, strlen(mixed)), "one to four bytes");
	ok(refused_at(mixed, strlen(mixed)) == -1, "the same byte by byte");
	for (size_t i = 0; i <= strlen(mixed); i++)
	{
		Utf8State	piece = {0};

		all = all && Utf8Feed(&piece, mixed, i) &&
			Utf8Feed(&piece, mixed + i, strlen(mixed) - i) &&
			Utf8Complete(&piece);
	}
	ok(all, "the same at every split");

	is_number(refused_at("ab\xff", 3), 2, "FF is no lead byte");
	is_number(refused_at("\x80", 1), 0, "a continuation leads nothing");
	is_number(refused_at("\xc0\xaf", 2), 0, "overlong, two bytes");
	is_number(refused_at("\xe0\x9f\xbf", 3), 1, "overlong, three bytes");
	is_number(refused_at("\xf0\x8f\xbf\xbf", 4), 1, "overlong, four bytes");
	is_number(refused_at("\xed\xa0\x80", 3), 1, "a surrogate");
	is_number(refused_at("\xf4\x90\x80\x80", 4), 1, "above U+10FFFF");
	is_number(refused_at("\xf5", 1), 0, "far above");
	is_number(refused_at("\xe2\x82 ", 3), 2, "cut off by ASCII");
	is_number(refused_at("\xf4\x8f\xbf\xbf", 4), -1, "U+10FFFF");

	ok(Utf8Feed(&state, "\xe2\x82", 2) && !Utf8Complete(&state),
	   "an unfinished character is not complete");
	test_exhaustively();
	return done_testing();
}
