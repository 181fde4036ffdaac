/*-------------------------------------------------------------------------
 *
 * histogram.c
 *		Durations, counted in buckets that grow with them.
 *
 *-------------------------------------------------------------------------
 */
#include "histogram.h"

void
HistogramMerge(Histogram *into, const Histogram *from)
{
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
	into->count += from->count;
	if (from->max > into->max)
		into->max = from->max;
}

/* The middle of a bucket. */
static uint64_t
bucket_value(int bucket)
{
	int			shift = (bucket >> HISTOGRAM_BITS) - 1;
	uint64_t	base;

	if (shift < 0)
		return (uint64_t) bucket;
	base = (uint64_t) (bucket & ((1 << HISTOGRAM_BITS) - 1)) +
		(1u << HISTOGRAM_BITS);
	return (base << shift) + ((uint64_t) 1 << shift) / 2;
}

uint64_t
HistogramQuantile(const Histogram *histogram, double share)
{
	uint64_t	wanted = (uint64_t) (share * (double) histogram->count + 0.5);
	uint64_t	seen = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
	{
		seen += histogram->buckets[i];
		if (histogram->buckets[i] > 0 && seen >= wanted)
			return bucket_value(i) < histogram->max ?
				bucket_value(i) : histogram->max;
	}
	return histogram->max;
}
