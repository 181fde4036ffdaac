/*-------------------------------------------------------------------------
 *
 * netaddress.c
 *		IP addresses, and lists of them in settings.
 *
 * A list is parsed anew when it is asked: it is short, and this happens once
 * for a connection, so there is nothing to be kept up to date.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <arpa/inet.h>

#include "common/netaddress.h"

/* Room for the longest address in words, INET6_ADDRSTRLEN, and a prefix. */
#define WORD_SIZE	64

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

typedef struct Network
{
	NetAddress	address;
	int			bits;			/* that count */
} Network;

void
NetAddressFromIpv4(NetAddress *address, const uint8_t bytes[4])
{
	memcpy(address->bytes, mapped, 12);
	memcpy(address->bytes + 12, bytes, 4);
}

bool
NetAddressParse(const char *text, size_t length, NetAddress *address)
{
	char		word[WORD_SIZE];
	uint8_t		ipv4[4];

	if (length >= sizeof(word) || memchr(text, '\0', length) != NULL)
		return false;
	memcpy(word, text, length);
	word[length] = '\0';
	if (inet_pton(AF_INET, word, ipv4) == 1)
	{
		NetAddressFromIpv4(address, ipv4);
		return true;
	}
	return inet_pton(AF_INET6, word, address->bytes) == 1;
}

/* The number of bits after the slash, at most "max"; -1: it is none. */
static int
parse_bits(const char *text, size_t length, int max)
{
	int			bits = 0;

	if (length == 0 || length > 3)
		return -1;
	for (size_t i = 0; i < length; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return -1;
		bits = bits * 10 + text[i] - '0';
	}
	return bits <= max ? bits : -1;
}

static bool
parse_network(const char *text, size_t length, Network *network)
{
	const char *slash = memchr(text, '/', length);
	size_t		address_length = slash ? slash - text : length;
	bool		is_ipv4 = memchr(text, ':', address_length) == NULL;

	memset(network, 0, sizeof(*network));
	network->bits = 128;
	if (length == strlen("local") && pg_strncasecmp(text, "local", length) == 0)
		return true;
	if (!NetAddressParse(text, address_length, &network->address))
		return false;
	if (slash == NULL)
		return true;
	network->bits = parse_bits(slash + 1, length - address_length - 1,
							   is_ipv4 ? 32 : 128);
	if (network->bits < 0)
		return false;
	if (is_ipv4)
		network->bits += 96;
	return true;
}

/* Is the address within the network? */
static bool
matches(const Network *network, const NetAddress *address)
{
	static const NetAddress nobody = {{0}};
	int			whole = network->bits / 8;
	int			rest = network->bits % 8;
	uint8_t		difference;

	/* a Unix-domain socket is in no network, however wide */
	if (memcmp(address, &nobody, sizeof(nobody)) == 0 && network->bits < 128)
		return false;
	if (memcmp(address->bytes, network->address.bytes, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	difference = address->bytes[whole] ^ network->address.bytes[whole];
	return difference >> (8 - rest) == 0;
}

/* The next network of a list: 1, 0 at the end, -1 for what is none. */
static int
next_network(const char **list, Network *network)
{
	size_t		length;

	*list += strspn(*list, " \t,");
	length = strcspn(*list, " \t,");
	if (length == 0)
		return 0;
	if (!parse_network(*list, length, network))
		return -1;
	*list += length;
	return 1;
}

bool
NetAddressListValid(const char *list)
{
	Network		network;
	int			result;

	while ((result = next_network(&list, &network)) > 0)
		;
	return result == 0;
}

bool
NetAddressListHas(const char *list, const NetAddress *address)
{
	Network		network;

	while (next_network(&list, &network) > 0)
	{
		if (matches(&network, address))
			return true;
	}
	return false;
}
