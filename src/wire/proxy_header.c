/*-------------------------------------------------------------------------
 *
 * proxy_header.c
 *		The PROXY protocol, versions 1 and 2: what a proxy says of its client
 *		before anything else.
 *
 * What follows the header may be for another reader (OpenSSL), so the caller
 * must never take more than the header from the socket.  The length of a
 * version 2 header stands in its first 16 bytes; a version 1 header is a line,
 * whose end can't be nearer than its shortest rest is long.
 *
 * The parser starts anew with every call, so the verdict doesn't depend on how
 * the bytes were cut.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "wire/proxy_header.h"

/* The shortest header: "PROXY UNKNOWN\r\n".  Version 2 has 16 bytes. */
#define V1_SHORTEST		15
#define V1_LONGEST		107
#define V2_FIXED		16

#define V2_LOCAL		0x20
#define V2_PROXY		0x21
#define V2_TCP4			0x11
#define V2_TCP6			0x21

static const char v1_prefix[] = "PROXY ";
static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* ----------
 * Version 1
 * ----------
 */

/* Cut off the next word of the line; false where there is none. */
static bool
next_word(const char **line, const char *end, const char **word,
		  size_t *length)
{
	const char *blank;

	if (*line > end)
		return false;
	*word = *line;
	blank = memchr(*line, ' ', end - *line);
	*length = (blank ? blank : end) - *line;
	*line += *length + 1;
	return *length > 0;
}

static bool
is_port(const char *word, size_t length)
{
	int			port = 0;

	if (length > 5 || (length > 1 && word[0] == '0'))
		return false;
	for (size_t i = 0; i < length; i++)
	{
		if (word[i] < '0' || word[i] > '9')
			return false;
		port = port * 10 + word[i] - '0';
	}
	return port <= 65535;
}

/* The line without its end, and without "PROXY ". */
static bool
parse_line(const char *line, const char *end, ProxyHeader *header)
{
	const char *word;
	size_t		length;
	bool		is_ipv4;
	NetAddress	ours;

	if (!next_word(&line, end, &word, &length))
		return false;
	if (length == 7 && memcmp(word, "UNKNOWN", 7) == 0)
		return true;			/* whatever may follow */
	if (length != 4 || memcmp(word, "TCP", 3) != 0 ||
		(word[3] != '4' && word[3] != '6'))
		return false;
	is_ipv4 = word[3] == '4';
	for (int i = 0; i < 2; i++)
	{
		if (!next_word(&line, end, &word, &length) ||
			(memchr(word, ':', length) == NULL) != is_ipv4 ||
			!NetAddressParse(word, length,
							 i == 0 ? &header->client : &ours))
			return false;
	}
	for (int i = 0; i < 2; i++)
	{
		if (!next_word(&line, end, &word, &length) || !is_port(word, length))
			return false;
	}
	header->has_client = true;
	return line > end;			/* there is nothing more */
}

static ProxyResult
parse_v1(const char *bytes, size_t length, ProxyHeader *header,
		 size_t *wanted)
{
	const char *newline = memchr(bytes, '\n', Min(length, V1_LONGEST));
	const char *line = bytes + strlen(v1_prefix);

	if (newline == NULL)
	{
		*wanted = length + (bytes[length - 1] == '\r' ? 1 : 2);
		*wanted = Max(*wanted, V1_SHORTEST);
		return *wanted > V1_LONGEST ? PROXY_MALFORMED : PROXY_INCOMPLETE;
	}
	*wanted = newline + 1 - bytes;
	if (*wanted < V1_SHORTEST || newline[-1] != '\r' ||
		!parse_line(line, newline - 1, header))
		return PROXY_MALFORMED;
	return PROXY_COMPLETE;
}

/* ----------
 * Version 2
 * ----------
 */

/* Do the additions fill what is left after the addresses exactly? */
static bool
additions_fit(const uint8 *at, size_t length)
{
	while (length > 0)
	{
		size_t		size;

		if (length < 3)
			return false;
		size = 3 + ((size_t) at[1] << 8 | at[2]);
		if (size > length)
			return false;
		at += size;
		length -= size;
	}
	return true;
}

static ProxyResult
parse_v2(const char *bytes, size_t length, ProxyHeader *header,
		 size_t *wanted)
{
	const uint8 *fixed = (const uint8 *) bytes;
	const uint8 *addresses = fixed + V2_FIXED;
	size_t		size;
	size_t		needed;

	*wanted = V2_FIXED;
	if (length < V2_FIXED)
		return PROXY_INCOMPLETE;
	size = (size_t) fixed[14] << 8 | fixed[15];
	*wanted = V2_FIXED + size;
	if ((fixed[12] != V2_LOCAL && fixed[12] != V2_PROXY) ||
		*wanted > PROXY_HEADER_SIZE)
		return PROXY_MALFORMED;
	if (length < *wanted)
		return PROXY_INCOMPLETE;
	if (fixed[12] == V2_LOCAL ||
		(fixed[13] != V2_TCP4 && fixed[13] != V2_TCP6))
		return PROXY_COMPLETE;	/* whatever it has of addresses */

	needed = fixed[13] == V2_TCP4 ? 12 : 36;
	if (size < needed || !additions_fit(addresses + needed, size - needed))
		return PROXY_MALFORMED;
	if (fixed[13] == V2_TCP4)
		NetAddressFromIpv4(&header->client, addresses);
	else
		memcpy(header->client.bytes, addresses, 16);
	header->has_client = true;
	return PROXY_COMPLETE;
}

ProxyResult
ProxyHeaderParse(const char *bytes, size_t length, ProxyHeader *header,
				 size_t *wanted)
{
	memset(header, 0, sizeof(*header));
	*wanted = V1_SHORTEST;
	if (length == 0)
		return PROXY_INCOMPLETE;
	if (memcmp(bytes, v2_signature,
			   Min(length, sizeof(v2_signature))) == 0)
		return parse_v2(bytes, length, header, wanted);
	if (memcmp(bytes, v1_prefix, Min(length, strlen(v1_prefix))) == 0)
		return parse_v1(bytes, length, header, wanted);
	return PROXY_MALFORMED;
}
