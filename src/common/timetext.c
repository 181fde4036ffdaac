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

/* Milliseconds since 1970, rounded down. */
static int64
to_unix_ms(TimestampTz time)
{
	int64		ms = time / 1000 - (time % 1000 < 0 ? 1 : 0);

	return ms + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
		SECS_PER_DAY * 1000;
}

void
AppendUnixTime(StringInfo buffer, TimestampTz time)
{
	int64		ms = to_unix_ms(time);

	if (ms < 0)
		appendStringInfoChar(buffer, '-');
	ms = ms < 0 ? -ms : ms;
	appendStringInfo(buffer, INT64_FORMAT ".%03d", ms / 1000,
					 (int) (ms % 1000));
}

void
AppendIsoTime(StringInfo buffer, TimestampTz time)
{
	int64		ms = to_unix_ms(time);
	int			fraction = (int) ((ms % 1000 + 1000) % 1000);
	time_t		seconds = (time_t) ((ms - fraction) / 1000);
	struct tm	tm;
	char		text[64];

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	appendStringInfo(buffer, "%s.%03dZ", text, fraction);
}
