/*-------------------------------------------------------------------------
 *
 * gauges.h
 *		What is measured when somebody asks, besides what is counted.
 *
 * The view quizrt.stats and the page for Prometheus show the counters of
 * counters.h and then these.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_GAUGES_H
#define QUIZRT_GAUGES_H

typedef struct Gauge
{
	const char *name;			/* for Prometheus and SQL; NULL ends the list */
	const char *help;
	uint64		(*read) (void);
} Gauge;

extern const Gauge gauges[];

#endif							/* QUIZRT_GAUGES_H */
