/*-------------------------------------------------------------------------
 *
 * gauges.c
 *		What is measured when somebody asks, besides what is counted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/gauges.h"
#include "bus/mailbox.h"
#include "bus/processes.h"
#include "bus/ring.h"

static uint64
ring_used(void)
{
	Size		used;
	Size		size;

	RingUsage(&used, &size);
	return used;
}

static uint64
ring_size(void)
{
	Size		used;
	Size		size;

	RingUsage(&used, &size);
	return size;
}

static uint64
questions_open(void)
{
	return MailboxDepth();
}

static uint64
gateways_running(void)
{
	return ProcessCount(PROCESS_GATEWAY);
}

static uint64
gateways_listening(void)
{
	return ListeningCount(-1);
}

static uint64
query_workers_running(void)
{
	return ProcessCount(PROCESS_QUERY_WORKER);
}

static uint64
database_served(void)
{
	return DatabaseStateGet() == DATABASE_SERVED ? 1 : 0;
}

static uint64
draining(void)
{
	return DrainingGet() ? 1 : 0;
}

const Gauge gauges[] = {
	{"ring_used_bytes", "Bytes of the ring in use.", ring_used},
	{"ring_size_bytes", "Size of the ring.", ring_size},
	{"questions_open", "Questions that wait for an answer.", questions_open},
	{"gateways", "Gateways that are running.", gateways_running},
	{"gateways_listening", "Gateways that have a port to listen on.",
	gateways_listening},
	{"query_workers", "Query workers that are running.",
	query_workers_running},
	{"database_served", "1 while the database side answers.",
	database_served},
	{"draining", "1 while connections are refused by quizrt.drain().",
	draining},
	{NULL, NULL, NULL}
};
