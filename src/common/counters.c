/*-------------------------------------------------------------------------
 *
 * counters.c
 *		The names of the counters, and where they are kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/counters.h"

const CounterInfo counter_info[COUNTER_COUNT] = {
#define QUIZRT_COUNTER(id, name, help) [COUNTER_##id] = {name, help, false},
#define QUIZRT_GAUGE(id, name, help) [COUNTER_##id] = {name, help, true},
	QUIZRT_COUNTERS(QUIZRT_COUNTER, QUIZRT_GAUGE)
#undef QUIZRT_COUNTER
#undef QUIZRT_GAUGE
};

static pg_atomic_uint64 own_counters[COUNTER_COUNT];

pg_atomic_uint64 *counters = own_counters;

void
CountersAttach(pg_atomic_uint64 *shared, bool initialize)
{
	counters = shared;
	if (!initialize)
		return;
	for (int i = 0; i < COUNTER_COUNT; i++)
		pg_atomic_init_u64(&counters[i], 0);
}
