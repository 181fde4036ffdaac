/*-------------------------------------------------------------------------
 *
 * metrics.h
 *		The page that Prometheus reads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_METRICS_H
#define QUIZRT_METRICS_H

#include "lib/stringinfo.h"

/* Append all metrics in Prometheus' text format, version 0.0.4. */
extern void MetricsAppend(StringInfo buffer);

#endif							/* QUIZRT_METRICS_H */
