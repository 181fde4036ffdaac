/*-------------------------------------------------------------------------
 *
 * rate_limit.c
 *		How many connections an address has begun in this minute, over all
 *		gateways.
 *
 * A minute begins with the first connection of an address; the next one that
 * comes after its end begins a new one.  Who is refused is counted as well,
 * but the minute does not begin anew for it.
 *
 * The table has a fixed size.  An address belongs into one bucket, and where
 * that is full it takes the place whose minute began first: somebody who
 * comes from very many addresses at once can make others' counts be
 * forgotten, but can neither make the table grow nor have anybody refused.
 * Which addresses share a bucket depends on a random number, so that nobody
 * can choose addresses to that end.  Of IPv6 addresses the first 64 bits
 * count, which is the least that one customer has.
 *
 * Everything is under LOCK_SECURITY, which is held for the look at one
 * bucket.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "bus/rate_limit.h"
#include "common/hashfn.h"

#define MINUTE		60000
#define BUCKETS		1024
#define PLACES		8			/* of a bucket */

typedef struct RatePlace
{
	uint8		address[16];
	uint64		since;			/* ms, when the minute began; 0: unused */
	uint64		count;
} RatePlace;

typedef struct RateTable
{
	uint64		seed;
	RatePlace	places[BUCKETS][PLACES];
} RateTable;

static RateTable *table = NULL;

static Size
rate_limit_size(void)
{
	return sizeof(RateTable);
}

static void
rate_limit_attach(void *memory, bool initialize)
{
	table = memory;
	if (!initialize)
		return;
	memset(table, 0, sizeof(RateTable));
	if (!pg_strong_random(&table->seed, sizeof(table->seed)))
		elog(ERROR, "could not get a random number");
}

const SharedPart rate_limit_part = {
	"quizrt rate limit", rate_limit_size, rate_limit_attach
};

/* Of a clock that all processes share and that never jumps; never 0. */
static uint64
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64) now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

/* IPv4 addresses are mapped ones, and count as a whole. */
static void
reduce(const uint8 *address, uint8 *reduced)
{
	static const uint8 mapped[12] = {[10] = 0xff, [11] = 0xff};

	memcpy(reduced, address, 16);
	if (memcmp(address, mapped, sizeof(mapped)) != 0)
		memset(reduced + 8, 0, 8);
}

/* The address's place; a new or old one is given to it with a new minute. */
static RatePlace *
find_place(const uint8 *address, uint64 now)
{
	uint64		hash = hash_bytes_extended(address, 16, table->seed);
	RatePlace  *bucket = table->places[hash % BUCKETS];
	RatePlace  *oldest = &bucket[0];

	for (int i = 0; i < PLACES; i++)
	{
		RatePlace  *place = &bucket[i];

		if (place->since != 0 && memcmp(place->address, address, 16) == 0)
		{
			oldest = place;
			if (now - place->since < MINUTE)
				return place;
			break;
		}
		if (place->since < oldest->since)
			oldest = place;
	}
	memcpy(oldest->address, address, 16);
	oldest->since = now;
	oldest->count = 0;
	return oldest;
}

bool
RateLimitCount(const uint8 *address, int limit)
{
	uint8		reduced[16];
	uint64		now = clock_ms();
	uint64		count;

	reduce(address, reduced);
	LWLockAcquire(SharedLockOf(LOCK_SECURITY), LW_EXCLUSIVE);
	count = ++find_place(reduced, now)->count;
	LWLockRelease(SharedLockOf(LOCK_SECURITY));
	return count <= (uint64) limit;
}
