/*-------------------------------------------------------------------------
 *
 * timetext.c
 *		Times with milliseconds, as the dashboard and the security API write
 *		them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "common/timetext.h"

/* Whole seconds since 1970, and the milliseconds above them. */
static int64
split(TimestampTz time, int *ms)
{
	int64		all = time / 1000;

	/* before 2000: division rounds to zero, and it is to round down */
	if (time % 1000 < 0)
		all--;
	all += (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
		SECS_PER_DAY * 1000;
	*ms = (int) (all % 1000);
	if (*ms < 0)
		*ms += 1000;
	return (all - *ms) / 1000;
}

void
AppendUnixTime(StringInfo buffer, TimestampTz time)
{
	int			ms;
	int64		seconds = split(time, &ms);

	appendStringInfo(buffer, INT64_FORMAT ".%03d", seconds, ms);
}

void
AppendIsoTime(StringInfo buffer, TimestampTz time)
{
	int			ms;
	time_t		seconds = (time_t) split(time, &ms);
	struct tm	tm;
	char		text[64];

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	appendStringInfo(buffer, "%s.%03dZ", text, ms);
}
