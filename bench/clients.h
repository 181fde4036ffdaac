/*-------------------------------------------------------------------------
 *
 * clients.h
 *		The load generator's WebSocket clients.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_CLIENTS_H
#define BENCH_CLIENTS_H

#include "histogram.h"
#include "load.h"

typedef struct ClientCounts
{
	int			opened;			/* connects that were begun, ever */
	int			open;			/* clients that got their 101 */
	int			ready;			/* and whose subscriptions are confirmed */
	int			failed;			/* connects that came to nothing */
	int			dropped;		/* ended by the server, unasked */
	uint64_t	messages;		/* with a marker */
	uint64_t	bytes;
	uint64_t	pings;
	/* what must not be */
	uint64_t	gaps;			/* numbers that were skipped */
	uint64_t	doubles;		/* numbers that came again, or too late */
	uint64_t	strays;			/* of a channel that was not subscribed */
	uint64_t	lost;			/* "Updates lost" */
	uint64_t	errors;			/* other errors */
} ClientCounts;

extern ClientCounts client_counts;
extern Histogram connect_times; /* from connect() to 101 */
extern Histogram delivery_times;

/* Messages that were sent before are not taken into delivery_times. */
extern uint64_t delivery_from;

extern void ClientsInit(void);

/* Open clients up to this many in all, as many at once as planned. */
extern void ClientsOpen(int target);

/* Wait for the sockets at most so long, and serve them. */
extern void ClientsTurn(int milliseconds);

/*
 * Close all: every second one with a close frame, whose answer is awaited, the
 * others by just leaving.
 */
extern void ClientsClose(void);

/* Sockets that are still there. */
extern int	ClientsLeft(void);

#endif							/* BENCH_CLIENTS_H */
