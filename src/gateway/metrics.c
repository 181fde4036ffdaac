/*-------------------------------------------------------------------------
 *
 * metrics.c
 *		The page that Prometheus reads.
 *
 * Any gateway can answer: the counters are those of all processes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/gauges.h"
#include "common/counters.h"
#include "gateway/metrics.h"

static void
append_head(StringInfo buffer, const char *name, const char *suffix,
			const char *help, const char *type)
{
	appendStringInfo(buffer, "# HELP quizrt_%s%s %s\n", name, suffix, help);
	appendStringInfo(buffer, "# TYPE quizrt_%s%s %s\n", name, suffix, type);
}

static void
append_counter(StringInfo buffer, CounterId id)
{
	const CounterInfo *info = &counter_info[id];
	const char *suffix = info->is_gauge ? "" : "_total";

	append_head(buffer, info->name, suffix, info->help,
				info->is_gauge ? "gauge" : "counter");
	appendStringInfo(buffer, "quizrt_%s%s " UINT64_FORMAT "\n",
					 info->name, suffix, CounterRead(id));
}

static void
append_gauge(StringInfo buffer, const Gauge *gauge)
{
	append_head(buffer, gauge->name, "", gauge->help, "gauge");
	appendStringInfo(buffer, "quizrt_%s " UINT64_FORMAT "\n", gauge->name,
					 gauge->read());
}

void
MetricsAppend(StringInfo buffer)
{
	for (int i = 0; i < COUNTER_COUNT; i++)
		append_counter(buffer, (CounterId) i);

	for (const Gauge *gauge = gauges; gauge->name != NULL; gauge++)
		append_gauge(buffer, gauge);
}
