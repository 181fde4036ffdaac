/*-------------------------------------------------------------------------
 *
 * histogram.h
 *		Durations, counted in buckets that grow with them.
 *
 * 64 buckets for every power of two: a value is known to 1.6 percent, in
 * constant memory, whatever there is to count.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS		6
#define HISTOGRAM_BUCKETS	((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

typedef struct Histogram
{
	uint64_t	count;
	uint64_t	max;
	uint64_t	buckets[HISTOGRAM_BUCKETS];
} Histogram;

static inline int
HistogramBucket(uint64_t value)
{
	int			shift;

	if (value < (1u << HISTOGRAM_BITS))
		return (int) value;
	shift = 63 - __builtin_clzll(value) - HISTOGRAM_BITS;
	return ((shift + 1) << HISTOGRAM_BITS) +
		(int) ((value >> shift) - (1u << HISTOGRAM_BITS));
}

static inline void
HistogramAdd(Histogram *histogram, uint64_t value)
{
	histogram->buckets[HistogramBucket(value)]++;
	histogram->count++;
	if (value > histogram->max)
		histogram->max = value;
}

extern void HistogramMerge(Histogram *into, const Histogram *from);

/* The value that a share of the durations (0.99, say) does not exceed. */
extern uint64_t HistogramQuantile(const Histogram *histogram, double share);

#endif							/* BENCH_HISTOGRAM_H */
