/*-------------------------------------------------------------------------
 *
 * fuzz_proxy.c
 *		PROXY headers, and the addresses in settings.
 *
 * Promises: the parser never asks for more bytes than the header has; byte by
 * byte and as it asks for them, the verdict is the same.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "fuzz.h"
#include "wire/proxy_header.h"

/* Read as the gateway does, up to "piece" bytes at a time. */
static ProxyResult
read_header(const char *bytes, size_t length, size_t piece,
			ProxyHeader *header, size_t *taken)
{
	ProxyResult result;
	size_t		wanted;

	*taken = 0;
	for (;;)
	{
		char	   *copy = exact_copy(bytes, *taken);

		result = ProxyHeaderParse(copy, *taken, header, &wanted);
		free(copy);
		if (result == PROXY_COMPLETE)
			HOLDS(wanted == *taken);
		if (result != PROXY_INCOMPLETE || *taken == length)
			return result;
		HOLDS(wanted > *taken && wanted <= PROXY_HEADER_SIZE);
		*taken += Min(Min(piece, wanted - *taken), length - *taken);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ProxyHeader first;
	ProxyHeader other;
	size_t		first_taken;
	size_t		other_taken;
	ProxyResult result = read_header((const char *) data, size, SIZE_MAX,
									 &first, &first_taken);
	char	   *list;

	HOLDS(read_header((const char *) data, size, 1, &other, &other_taken) ==
		  result);
	if (result == PROXY_COMPLETE)
	{
		HOLDS(first_taken == other_taken);
		HOLDS(memcmp(&first, &other, sizeof(first)) == 0);
	}

	list = malloc(size + 1);
	HOLDS(list != NULL);
	memcpy(list, data, size);
	list[size] = '\0';
	(void) NetAddressListValid(list);
	(void) NetAddressListHas(list, &first.client);
	free(list);
	return 0;
}
