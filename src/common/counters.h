/*-------------------------------------------------------------------------
 *
 * counters.h
 *		What quizrt counts, for quizrt.stats and /metrics.
 *
 * One list names every counter with its help text; the enum, the view and
 * the Prometheus page are made from it.  A counter only grows; a gauge is
 * the present value.  All are atomics in shared memory, written without a
 * lock by whichever process sees the thing happen.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_COUNTERS_H
#define QUIZRT_COUNTERS_H

#include "port/atomics.h"

/* COUNTER(identifier, Prometheus and SQL name, help) */
#define QUIZRT_COUNTERS(COUNTER, GAUGE) \
	COUNTER(EVENTS_PUBLISHED, "events_published", "Events that transactions handed to the ring.") \
	COUNTER(EVENTS_OVERSIZED, "events_oversized", "Transactions too large for the ring, replaced by a resynchronisation.") \
	COUNTER(EVENTS_FAILED, "events_failed", "Events that could not be rendered.") \
	COUNTER(RING_OVERRUNS, "ring_overruns", "Times that a gateway was overtaken by the ring.") \
	COUNTER(EVENTS_DELIVERED, "events_delivered", "Committed events that gateways took from the ring.") \
	COUNTER(MESSAGES_SENT, "messages_sent", "Data messages queued for clients.") \
	COUNTER(MESSAGES_DROPPED, "messages_dropped", "Messages not sent because a client was too slow.") \
	COUNTER(MESSAGES_RECEIVED, "messages_received", "Data messages received from clients.") \
	COUNTER(BYTES_SENT, "bytes_sent", "Bytes written to clients.") \
	COUNTER(BYTES_RECEIVED, "bytes_received", "Bytes read from clients.") \
	COUNTER(CONNECTIONS_ACCEPTED, "connections_accepted", "Connections accepted from the operating system.") \
	COUNTER(CONNECTIONS_UPGRADED, "connections_upgraded", "Connections that became WebSockets.") \
	COUNTER(CONNECTIONS_REFUSED, "connections_refused", "Requests refused before the upgrade.") \
	COUNTER(CONNECTIONS_LIMITED, "connections_limited", "Requests refused by a limit on connections.") \
	COUNTER(CONNECTIONS_RATE_LIMITED, "connections_rate_limited", "Connections refused by the security API's rate limit.") \
	COUNTER(CONNECTIONS_TIMED_OUT, "connections_timed_out", "Connections ended because a head, a pong or a close did not come.") \
	COUNTER(CONNECTIONS_SLOW, "connections_slow", "Connections ended because they were too slow.") \
	COUNTER(CONNECTIONS_FLOODING, "connections_flooding", "Connections ended because they caused too many errors.") \
	COUNTER(TLS_FAILED, "tls_handshakes_failed", "Connections ended because TLS was not agreed on.") \
	COUNTER(PROXY_REFUSED, "proxy_headers_refused", "Connections ended for want of a PROXY header from a trusted proxy.") \
	COUNTER(PROTOCOL_ERRORS, "protocol_errors", "Connections ended by a violation of RFC 6455.") \
	COUNTER(CREDENTIALS_REFUSED, "credentials_refused", "Credentials that named nobody.") \
	COUNTER(SUBSCRIPTIONS_DENIED, "subscriptions_denied", "Channels that a client was denied.") \
	COUNTER(ACCESS_REVOKED, "access_revoked", "Subscriptions and connections ended by a revocation.") \
	COUNTER(RESYNCHRONISATIONS, "resynchronisations", "Times that subscribers were told of a gap.") \
	COUNTER(QUESTIONS_ASKED, "questions_asked", "Questions that gateways asked the query workers.") \
	COUNTER(QUESTIONS_FAILED, "questions_failed", "Questions that the database could not answer.") \
	COUNTER(QUESTIONS_TIMED_OUT, "questions_timed_out", "Questions whose deadline passed.") \
	COUNTER(ATTEMPTS_TIMED_UP, "attempts_timed_up", "Attempts closed at their deadline.") \
	GAUGE(CONNECTIONS, "connections", "WebSocket connections.") \
	GAUGE(HANDSHAKES, "handshakes", "Connections that are no WebSocket yet.") \
	GAUGE(DASHBOARD_CLIENTS, "dashboard_clients", "Clients of the dashboard API.") \
	GAUGE(SUBSCRIPTIONS, "subscriptions", "Subscriptions of all connections.")

typedef enum CounterId
{
#define QUIZRT_ENUM(id, name, help) COUNTER_##id,
	QUIZRT_COUNTERS(QUIZRT_ENUM, QUIZRT_ENUM)
#undef QUIZRT_ENUM
	COUNTER_COUNT
} CounterId;

typedef struct CounterInfo
{
	const char *name;
	const char *help;
	bool		is_gauge;
} CounterInfo;

extern const CounterInfo counter_info[COUNTER_COUNT];

/*
 * The values: in shared memory once CountersAttach() was told where, and
 * before that (a library that was not preloaded) of this process alone.
 */
extern pg_atomic_uint64 *counters;

extern void CountersAttach(pg_atomic_uint64 *shared, bool initialize);

static inline void
CounterAdd(CounterId id, int64 n)
{
	pg_atomic_fetch_add_u64(&counters[id], n);
}

static inline uint64
CounterRead(CounterId id)
{
	return pg_atomic_read_u64(&counters[id]);
}

#endif							/* QUIZRT_COUNTERS_H */
