/*-------------------------------------------------------------------------
 *
 * timetext.h
 *		Times with milliseconds, as the dashboard and the security API write
 *		them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_TIMETEXT_H
#define QUIZRT_TIMETEXT_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

/* 1710700000.123: seconds since 1970 */
extern void AppendUnixTime(StringInfo buffer, TimestampTz time);

/* 2025-12-23T12:00:00.000Z */
extern void AppendIsoTime(StringInfo buffer, TimestampTz time);

#endif							/* QUIZRT_TIMETEXT_H */
