/*-------------------------------------------------------------------------
 *
 * writers.c
 *		The load generator's writers: sessions that commit events.
 *
 * A thread for each.  Writer w of W writes to channel (i * W + w) mod C in its
 * i-th transaction, and numbers what it writes there from 0.  The time goes
 * into the event before the statement is sent: what is measured as delivery
 * includes the statement and its commit.
 *
 * With a rate, transactions begin on time whether or not earlier ones have
 * been delivered.  Without, a writer goes on while less than a window of
 * events is under way, as without a limit the answer to "how fast" would only
 * be the size of the buffers.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "marker.h"
#include "writers.h"

typedef struct Writer
{
	int			number;
	pthread_t	thread;
	PGconn	   *connection;
	int			feed;			/* to bench/limit */
	uint32_t   *next;			/* [channel] number of the next event */
	uint64_t	events;
	char	   *padding;
	Histogram	times;
} Writer;

static Writer *writers;
static const uint32_t *subscribers;
static uint64_t started_at;
static uint64_t window;			/* in deliveries */
static Histogram times;
static uint64_t committed = 0;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t nudged = PTHREAD_COND_INITIALIZER;
static _Atomic int waiting = 0;

static const char *
statement(void)
{
	switch (plan.source)
	{
		case SOURCE_PUBLISH:
			return "SELECT quizrt.publish('quiz:' || $1, 'bench', $2::json)";
		case SOURCE_NOTIFY:
			return "SELECT pg_notify('bench', '{\"channel\":' || $1 || "
				"',\"data\":' || $2 || '}')";
		case SOURCE_ANSWERS:
			return "INSERT INTO quiz.answers (answer_id, attempt_id, "
				"question_id, is_correct, score) "
				"VALUES ($2::uuid, bench.attempt_id($1::int, $3::int), "
				"bench.question_id($1::int, $3::int), true, 10.0)";
		case SOURCE_FEED:
		case SOURCE_NONE:
			break;
	}
	return NULL;
}

static void
connect_database(Writer *writer)
{
	PGresult   *result;

	writer->connection = PQconnectdb(plan.conninfo);
	if (PQstatus(writer->connection) != CONNECTION_OK)
		Die("%s", PQerrorMessage(writer->connection));
	result = PQprepare(writer->connection, "event", statement(), 0, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		Die("%s", PQerrorMessage(writer->connection));
	PQclear(result);
}

static void
connect_feed(Writer *writer)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	int			on = 1;

	server.sin_port = htons((uint16_t) plan.feed_port);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	writer->feed = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (writer->feed < 0 ||
		connect(writer->feed, (struct sockaddr *) &server,
				sizeof(server)) < 0)
		Die("cannot reach bench/limit: %s", strerror(errno));
	(void) setsockopt(writer->feed, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void
WritersInit(const uint32_t *subscribers_of)
{
	subscribers = subscribers_of;
	window = (uint64_t) plan.window * (uint64_t) plan.clients *
		(uint64_t) plan.per_client / (uint64_t) plan.channels;
	if (window < (uint64_t) plan.window)
		window = (uint64_t) plan.window;
	writers = Allocate((size_t) plan.writers, sizeof(Writer));
	for (int i = 0; i < plan.writers; i++)
	{
		Writer	   *writer = &writers[i];

		writer->number = i;
		writer->next = Allocate((size_t) plan.channels, sizeof(uint32_t));
		writer->padding = Allocate((size_t) plan.payload + 1, 1);
		memset(writer->padding, 'x', (size_t) plan.payload);
		if (plan.source == SOURCE_FEED)
			connect_feed(writer);
		else
			connect_database(writer);
	}
}

/*
 * One event
 */

/* {"answer_id":"<marker>","pad":"xxx"}, of the planned length */
static int
print_data(Writer *writer, char *to, size_t size, const char *marker)
{
	int			head = (int) strlen("{" MARKER_KEY "\",\"pad\":\"\"}") +
		MARKER_LENGTH;
	int			padding = plan.payload > head ? plan.payload - head : 0;

	return snprintf(to, size, "{" MARKER_KEY "%s\",\"pad\":\"%.*s\"}", marker,
					padding, writer->padding);
}

static void
commit(Writer *writer, uint32_t channel, uint32_t number, const char *marker)
{
	char		data[65536];
	char		channel_text[16];
	char		number_text[16];
	const char *values[] = {channel_text, data, number_text};
	PGresult   *result;
	ExecStatusType status;
	int			nvalues = plan.source == SOURCE_ANSWERS ? 3 : 2;

	snprintf(channel_text, sizeof(channel_text), "%u", channel + 1);
	snprintf(number_text, sizeof(number_text), "%u",
			 number * (uint32_t) plan.writers + (uint32_t) writer->number);
	if (plan.source == SOURCE_ANSWERS)
		values[1] = marker;
	else
		print_data(writer, data, sizeof(data), marker);
	result = PQexecPrepared(writer->connection, "event", nvalues, values,
							NULL, NULL, 0);
	status = PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		Die("%s", PQerrorMessage(writer->connection));
	PQclear(result);
}

static void
feed(Writer *writer, const char *marker)
{
	char		bytes[65536 + 4];
	uint32_t	length = (uint32_t) print_data(writer, bytes + 4,
											   sizeof(bytes) - 4, marker);

	memcpy(bytes, &length, 4);
	if (send(writer->feed, bytes, length + 4, MSG_NOSIGNAL) !=
		(ssize_t) length + 4)
		Die("bench/limit is gone");
}

static void
write_event(Writer *writer)
{
	uint32_t	channel = (uint32_t) ((writer->events * (uint64_t) plan.writers +
									   (uint64_t) writer->number) %
									  (uint64_t) plan.channels);
	Marker		marker = {channel, (uint32_t) writer->number};
	char		text[MARKER_LENGTH + 1];

	marker.number = writer->next[channel]++;
	marker.at = Now();
	MarkerPrint(text, &marker);
	if (plan.source == SOURCE_FEED)
		feed(writer, text);
	else
		commit(writer, channel, marker.number, text);
	HistogramAdd(&writer->times, Now() - marker.at);
	writer->events++;
	atomic_fetch_add(&progress.due, subscribers[channel]);
}

/*
 * When
 */

static void
sleep_until(uint64_t due)
{
	struct timespec at = {(time_t) (due / 1000000000u),
	(long) (due % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

/* Writers take turns within the interval of the common rate. */
static void
wait_for_turn(const Writer *writer)
{
	uint64_t	event = writer->events * (uint64_t) plan.writers +
		(uint64_t) writer->number;

	sleep_until(started_at + (uint64_t) ((double) event * 1e9 / plan.rate));
}

static bool
window_is_full(void)
{
	uint64_t	delivered = atomic_load(&progress.delivered);
	uint64_t	due = atomic_load(&progress.due);

	return due > delivered && due - delivered >= window;
}

/* Nudges are only a hint; look again after a millisecond in any case. */
static void
wait_for_room(void)
{
	if (!window_is_full())
		return;
	pthread_mutex_lock(&mutex);
	atomic_fetch_add(&waiting, 1);
	while (window_is_full() && !atomic_load(&progress.stop))
	{
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 1000000;
		if (until.tv_nsec >= 1000000000)
		{
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		pthread_cond_timedwait(&nudged, &mutex, &until);
	}
	atomic_fetch_sub(&waiting, 1);
	pthread_mutex_unlock(&mutex);
}

void
WritersNudge(void)
{
	if (atomic_load(&waiting) == 0 || window_is_full())
		return;
	pthread_mutex_lock(&mutex);
	pthread_cond_broadcast(&nudged);
	pthread_mutex_unlock(&mutex);
}

static void *
run_writer(void *argument)
{
	Writer	   *writer = argument;

	while (!atomic_load(&progress.stop))
	{
		if (plan.rate > 0)
			wait_for_turn(writer);
		else
			wait_for_room();
		if (!atomic_load(&progress.stop))
			write_event(writer);
	}
	atomic_fetch_sub(&progress.running, 1);
	return NULL;
}

void
WritersStart(void)
{
	started_at = Now();
	atomic_store(&progress.running, plan.writers);
	for (int i = 0; i < plan.writers; i++)
	{
		if (pthread_create(&writers[i].thread, NULL, run_writer,
						   &writers[i]) != 0)
			Die("could not start a thread");
	}
}

void
WritersStop(void)
{
	for (int i = 0; i < plan.writers; i++)
	{
		Writer	   *writer = &writers[i];

		pthread_join(writer->thread, NULL);
		HistogramMerge(&times, &writer->times);
		committed += writer->events;
		if (writer->connection != NULL)
			PQfinish(writer->connection);
		else
			close(writer->feed);
	}
}

uint64_t
WritersCommitted(void)
{
	return committed;
}

const Histogram *
WritersTimes(void)
{
	return &times;
}
