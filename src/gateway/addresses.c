/*-------------------------------------------------------------------------
 *
 * addresses.c
 *		How many WebSockets of this gateway come from which address.
 *
 * Counted whether or not there is a limit, so that one can be set while the
 * server runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/settings.h"
#include "gateway/addresses.h"
#include "utils/hsearch.h"

typedef struct AddressEntry
{
	PeerAddress peer;			/* the key */
	int			count;
} AddressEntry;

static HTAB *addresses;

void
AddressesInit(void)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(PeerAddress);
	control.entrysize = sizeof(AddressEntry);
	addresses = hash_create("quizrt client addresses", 256, &control,
							HASH_ELEM | HASH_BLOBS);
}

void
AddressEnter(const PeerAddress *peer)
{
	bool		found;
	AddressEntry *entry = hash_search(addresses, peer, HASH_ENTER, &found);

	if (!found)
		entry->count = 0;
	entry->count++;
}

void
AddressLeave(const PeerAddress *peer)
{
	AddressEntry *entry = hash_search(addresses, peer, HASH_FIND, NULL);

	if (entry != NULL && --entry->count == 0)
		hash_search(addresses, peer, HASH_REMOVE, NULL);
}

bool
AddressIsFull(const PeerAddress *peer)
{
	static const PeerAddress local = {{0}};
	AddressEntry *entry;

	if (quizrt_max_connections_per_address == 0 ||
		memcmp(peer, &local, sizeof(local)) == 0)
		return false;
	entry = hash_search(addresses, peer, HASH_FIND, NULL);
	return entry != NULL && entry->count >= quizrt_max_connections_per_address;
}
