/*-------------------------------------------------------------------------
 *
 * load.h
 *		What the parts of the load generator share: the plan of a run, its
 *		clock, and how it counts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How events are made. */
typedef enum Source
{
	SOURCE_NONE,
	SOURCE_PUBLISH,				/* SELECT quizrt.publish(...) */
	SOURCE_ANSWERS,				/* INSERT INTO quiz.answers */
	SOURCE_NOTIFY,				/* SELECT pg_notify(...), for peers */
	SOURCE_FEED					/* straight into bench/limit */
} Source;

typedef struct Plan
{
	/* who is connected to */
	int			port;
	const char *path;			/* "%c" stands for the channel's number */
	const char *subscribe;		/* the same; empty: the path says it all */

	int			clients;
	int			channels;
	int			per_client;		/* channels that a client subscribes to */
	int			in_flight;		/* connects at the same time */
	int			deadline;		/* seconds to wait for anything expected */

	/* what is sent */
	Source		source;
	int			writers;
	double		rate;			/* events a second of all writers; 0: as many
								 * as the window lets through */
	int			window;			/* events that may be on their way at once */
	int			payload;		/* bytes of an event's data, at least */
	double		seconds;
	double		warmup;			/* of these, without taking latencies */
	double		hold;			/* stay connected, with nothing to do */
	int			churn;			/* connects and disconnects in all */
	int			may_grow;		/* kilobytes that may be kept; 0: not judged */
	const char *conninfo;
	int			feed_port;
} Plan;

extern Plan plan;

/* Nanoseconds of the monotonic clock, which all processes share. */
static inline uint64_t
Now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

static inline double
SecondsSince(uint64_t start)
{
	return (double) (Now() - start) / 1e9;
}

extern void Die(const char *format,...)
	__attribute__((format(printf, 1, 2), noreturn));

/* Memory, or the end. */
extern void *Allocate(size_t count, size_t size);

/*
 * The client with this number hears of "per_client" channels from this one
 * on, counted from 0 and around the end.
 */
static inline uint32_t
FirstChannel(int client)
{
	return (uint32_t) ((uint64_t) client * (uint64_t) plan.per_client %
					   (uint64_t) plan.channels);
}

/* Writers and the clients' thread tell each other how far they are. */
typedef struct Progress
{
	_Atomic uint64_t due;		/* deliveries that the commits so far promise */
	_Atomic uint64_t delivered;
	_Atomic bool stop;			/* writers are to end */
	_Atomic int running;		/* writers that have not */
} Progress;

extern Progress progress;

#endif							/* BENCH_LOAD_H */
