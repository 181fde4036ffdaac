/*-------------------------------------------------------------------------
 *
 * writers.h
 *		The load generator's writers: sessions that commit events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_WRITERS_H
#define BENCH_WRITERS_H

#include "histogram.h"
#include "load.h"

/* Connect and prepare; "subscribers" says how many hear of each channel. */
extern void WritersInit(const uint32_t *subscribers);

extern void WritersStart(void);

/* Deliveries were made: writers that wait for room look again. */
extern void WritersNudge(void);

/* Tell them to end, and wait for it. */
extern void WritersStop(void);

/* Events that were committed, and how long the statements took. */
extern uint64_t WritersCommitted(void);
extern const Histogram *WritersTimes(void);

#endif							/* BENCH_WRITERS_H */
