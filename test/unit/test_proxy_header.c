/*-------------------------------------------------------------------------
 *
 * test_proxy_header.c
 *		PROXY headers at every split, and the addresses in settings.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include <arpa/inet.h>

#include "tap.h"
#include "wire/proxy_header.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"

/* Who the header names, in words. */
static void
describe(ProxyResult result, const ProxyHeader *header, char *text)
{
	if (result != PROXY_COMPLETE)
		strcpy(text, result == PROXY_MALFORMED ? "malformed" : "incomplete");
	else if (!header->has_client)
		strcpy(text, "nobody");
	else
		inet_ntop(AF_INET6, header->client.bytes, text, INET6_ADDRSTRLEN);
}

/*
 * Read a header as the gateway does, at most "piece" bytes at a time; what
 * follows it must be left alone.
 */
static void
read_header(const char *bytes, size_t length, size_t piece, char *text,
			size_t *taken)
{
	ProxyHeader header;
	ProxyResult result;
	size_t		wanted;

	*taken = 0;
	while ((result = ProxyHeaderParse(bytes, *taken, &header,
									  &wanted)) == PROXY_INCOMPLETE)
	{
		if (wanted <= *taken || wanted > PROXY_HEADER_SIZE || *taken == length)
			break;
		*taken += Min(Min(piece, wanted - *taken), length - *taken);
	}
	describe(result, &header, text);
}

static void
names_bytes(const char *bytes, size_t length, const char *expected,
			const char *name)
{
	char		input[PROXY_HEADER_SIZE + 64];
	char		got[INET6_ADDRSTRLEN];
	bool		all = true;

	memcpy(input, bytes, length);
	memset(input + length, '\x16', 32);
	for (size_t piece = 1; all && piece < 200; piece++)
	{
		size_t		taken;

		read_header(input, length + 32, piece, got, &taken);
		all = strcmp(got, expected) == 0 &&
			(strcmp(expected, "malformed") == 0 || taken == length);
	}
	ok(all, "%s", name);
	if (!all)
		printf("#      got: %s\n# expected: %s\n", got, expected);
}

static void
names(const char *line, const char *expected)
{
	names_bytes(line, strlen(line), expected, line);
}

static void
test_v1(void)
{
	char		line[200];

	names("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
		  "::ffff:192.0.2.1");
	names("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
		  "::ffff:255.255.255.255");
	names("PROXY TCP6 2001:db8::1 ::1 0 1\r\n", "2001:db8::1");
	names("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	names("PROXY UNKNOWN\r\n", "nobody");
	names("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "nobody");

	names("GET / HTTP/1.1\r\n", "malformed");
	names("PROXY\r\n", "malformed");
	names("PROXY TCP4\r\n", "malformed");
	names("PROXY  TCP4 192.0.2.1 198.51.100.2 1 2\r\n", "malformed");
	names("PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n", "malformed");
	names("PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", "malformed");
	names("PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n", "malformed");
	names("PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n", "malformed");
	names("PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n", "malformed");
	names("PROXY TCP4 192.0.2.1 198.51.100.2 1 01\r\n", "malformed");
	names("PROXY TCP4 192.0.2.1 198.51.100.2 1 -1\r\n", "malformed");
	names("PROXY TCP4 192.0.2.1.1 198.51.100.2 1 2\r\n", "malformed");
	names("PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n", "malformed");
	names("PROXY TCP4 ::1 ::1 1 2\r\n", "malformed");
	names("PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n", "malformed");
	names("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n", "malformed");
	names("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\r\n", "malformed");

	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	memcpy(line + 105, "\r\n", 2);
	names_bytes(line, 107, "nobody", "107 bytes");
	memcpy(line + 105, "x\r\n", 3);
	names_bytes(line, 108, "malformed", "108 bytes");
}

static size_t
put_v2(char *out, uint8 command, uint8 family, const char *payload,
	   size_t length)
{
	memcpy(out, V2, 12);
	out[12] = (char) command;
	out[13] = (char) family;
	out[14] = (char) (length >> 8);
	out[15] = (char) length;
	memcpy(out + 16, payload, length);
	return 16 + length;
}

static void
names_v2(uint8 command, uint8 family, const char *payload, size_t length,
		 const char *expected, const char *name)
{
	static char bytes[PROXY_HEADER_SIZE + 64];

	names_bytes(bytes, put_v2(bytes, command, family, payload, length),
				expected, name);
}

static void
test_v2(void)
{
	static char large[PROXY_HEADER_SIZE];
	const char *ipv4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\x00\x01\x00\x02"
		"\x04\x00\x03" "abc" "\x30\x00\x00";
	const char *ipv6 = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
		"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x00\x01\x00\x02";

	names_v2(0x21, 0x11, ipv4, 12, "::ffff:192.0.2.1", "TCP over IPv4");
	names_v2(0x21, 0x11, ipv4, 21, "::ffff:192.0.2.1", "with additions");
	names_v2(0x21, 0x21, ipv6, 36, "2001:db8::1", "TCP over IPv6");
	names_v2(0x20, 0x00, "", 0, "nobody", "the proxy itself");
	names_v2(0x20, 0x11, ipv4, 12, "nobody", "with an address, too");
	names_v2(0x21, 0x00, ipv4, 12, "nobody", "an unspecified family");
	names_v2(0x21, 0x31, large, 216, "nobody", "a Unix-domain socket");
	names_v2(0x21, 0x12, ipv4, 12, "nobody", "UDP");
	names_v2(0x21, 0x11, ipv4, 11, "malformed", "too short for IPv4");
	names_v2(0x21, 0x21, ipv6, 35, "malformed", "too short for IPv6");
	names_v2(0x21, 0x11, ipv4, 14, "malformed", "half an addition");
	names_v2(0x21, 0x11, ipv4, 17, "malformed", "an addition cut short");
	names_v2(0x22, 0x11, ipv4, 12, "malformed", "an unknown command");
	names_v2(0x11, 0x11, ipv4, 12, "malformed", "an unknown version");
	names_v2(0x20, 0x00, large, PROXY_HEADER_SIZE - 16, "nobody",
			 "the longest");
	{
		char		bytes[16];

		put_v2(bytes, 0x20, 0, "", 0);
		bytes[14] = bytes[15] = '\xff';
		names_bytes(bytes, 16, "malformed", "longer than that");
	}
	names_bytes("\r\n\r\n\0\r\nQUIX\n\x20\x00\x00\x00", 16, "malformed",
				"another signature");
}

static bool
listed(const char *list, const char *address)
{
	NetAddress	parsed = {{0}};

	if (strcmp(address, "local") != 0 &&
		!NetAddressParse(address, strlen(address), &parsed))
		return false;
	return NetAddressListHas(list, &parsed);
}

static void
test_lists(void)
{
	const char *list = "10.0.0.0/8, 192.0.2.1,2001:db8::/33 local";

	ok(NetAddressListValid("") && NetAddressListValid(list) &&
	   NetAddressListValid("0.0.0.0/0,::/0,::1/128"), "lists");
	ok(!NetAddressListValid("10.0.0/8") && !NetAddressListValid("x") &&
	   !NetAddressListValid("10.0.0.0/33") && !NetAddressListValid("::/129") &&
	   !NetAddressListValid("::/") && !NetAddressListValid("10.0.0.0/-1") &&
	   !NetAddressListValid("10.0.0.0/08x") &&
	   !NetAddressListValid("local/8"), "what is none");
	ok(listed(list, "10.1.2.3") && listed(list, "::ffff:10.1.2.3") &&
	   listed(list, "192.0.2.1") && listed(list, "2001:db8:7fff::1") &&
	   listed(list, "local"), "who is on a list");
	ok(!listed(list, "11.0.0.0") && !listed(list, "192.0.2.2") &&
	   !listed(list, "2001:db8:8000::1") && !listed(list, "::1"), "who isn't");
	ok(listed("0.0.0.0/0", "1.2.3.4") && !listed("0.0.0.0/0", "::1") &&
	   listed("::/0", "1.2.3.4") && !listed("::/0", "local") &&
	   !listed("", "1.2.3.4") && !listed("10.0.0.0/8", "local"),
	   "wide lists, and empty ones");
}

int
main(void)
{
	test_v1();
	test_v2();
	test_lists();
	return done_testing();
}
