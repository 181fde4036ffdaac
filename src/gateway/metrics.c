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

#include "bus/mailbox.h"
#include "bus/processes.h"
#include "bus/ring.h"
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
append_gauge(StringInfo buffer, const char *name, const char *help,
			 uint64 value)
{
	append_head(buffer, name, "", help, "gauge");
	appendStringInfo(buffer, "quizrt_%s " UINT64_FORMAT "\n", name, value);
}

void
MetricsAppend(StringInfo buffer)
{
	Size		used;
	Size		size;

	for (int i = 0; i < COUNTER_COUNT; i++)
		append_counter(buffer, (CounterId) i);

	RingUsage(&used, &size);
	append_gauge(buffer, "ring_used_bytes", "Bytes of the ring in use.", used);
	append_gauge(buffer, "ring_size_bytes", "Size of the ring.", size);
	append_gauge(buffer, "questions_open",
				 "Questions that wait for an answer.", MailboxDepth());
	append_gauge(buffer, "gateways", "Gateways that are running.",
				 ProcessCount(PROCESS_GATEWAY));
	append_gauge(buffer, "query_workers", "Query workers that are running.",
				 ProcessCount(PROCESS_QUERY_WORKER));
	append_gauge(buffer, "database_served",
				 "1 while the database side answers.",
				 DatabaseStateGet() == DATABASE_SERVED ? 1 : 0);
}
