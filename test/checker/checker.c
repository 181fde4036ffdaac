/*-------------------------------------------------------------------------
 *
 * checker.c
 *		The consistency checker.
 *
 * Seeded random writers (writers.c) against subscribers that come and go
 * (clients.c), each of which folds what it is sent and looks for gaps,
 * doubles and inversions (model.c).  Every few seconds the writers rest, and
 * every subscription must become equal to what SQL says.
 *
 * One thread and one epoll set.  The exit status is 1 where a promise was
 * broken: what was seen, the client's last messages and the seed are printed.
 * The seed determines what writers and clients do, and not their timing.
 *
 *-------------------------------------------------------------------------
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "checker.h"

/* Between two rests of the writers, and how long one may take, in seconds. */
#define REST_EVERY		3.0
#define REST_TIMEOUT	25.0

Plan		plan = {
	.seconds = 10,
	.writers = 4,
	.clients = 12,
	.quizzes = 4,
	.conninfo = ""
};
Counts		counts;

static int	poller;
static PGconn *control;
static double started;

void
Die(const char *format,...)
{
	va_list		arguments;

	fprintf(stderr, "checker: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (seed %llu)\n", (unsigned long long) plan.seed);
	exit(2);
}

double
Now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* SplitMix64 */
static uint64_t
random_next(Random *random)
{
	uint64_t	z = (random->state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

Random
RandomStream(uint64_t number)
{
	Random		random = {plan.seed * 1000003 + number};

	random.state = random_next(&random);
	return random;
}

uint32_t
RandomBelow(Random *random, uint32_t bound)
{
	return (uint32_t) (random_next(random) >> 32) % bound;
}

bool
RandomChance(Random *random, double probability)
{
	return RandomBelow(random, 1000000) < probability * 1000000;
}

void
WatchSet(Watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events,.data.ptr = watch};
	int			operation = watch->events == 0 ? EPOLL_CTL_ADD :
		events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

	if (events == watch->events)
		return;
	if (epoll_ctl(poller, operation, watch->fd, &event) < 0)
		Die("epoll_ctl failed");
	watch->events = events;
}

PGresult *
Query(const char *format,...)
{
	char		text[1024];
	va_list		arguments;
	PGresult   *result;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	result = PQexec(control, text);
	if (PQresultStatus(result) != PGRES_TUPLES_OK &&
		PQresultStatus(result) != PGRES_COMMAND_OK)
		Die("%s: %s", text, PQresultErrorMessage(result));
	return result;
}

/*
 * What was seen
 */

static void
print_counts(void)
{
	printf("%.0f s: %llu transactions (%llu rolled back, %llu by an error), "
		   "%llu messages, %llu ticks\n", Now() - started,
		   (unsigned long long) counts.transactions,
		   (unsigned long long) counts.rolled_back,
		   (unsigned long long) counts.failed,
		   (unsigned long long) counts.messages,
		   (unsigned long long) counts.ticks);
	printf("%llu snapshots, %llu leaderboards; subscribed %llu, denied %llu "
		   "(%llu unavailable), revoked %llu, updates lost %llu\n",
		   (unsigned long long) counts.snapshots,
		   (unsigned long long) counts.boards,
		   (unsigned long long) counts.subscribed,
		   (unsigned long long) counts.denied,
		   (unsigned long long) counts.unavailable,
		   (unsigned long long) counts.revoked,
		   (unsigned long long) counts.lost);
	printf("%llu rests, %llu subscriptions equal to SQL; %llu connections "
		   "left, %llu dropped, %llu processes ended, %llu stopped\n",
		   (unsigned long long) counts.rests,
		   (unsigned long long) counts.compared,
		   (unsigned long long) counts.reconnects,
		   (unsigned long long) counts.dropped,
		   (unsigned long long) counts.killed,
		   (unsigned long long) counts.stalled);
	fflush(stdout);
}

static void
print_history(const Client *client)
{
	uint64_t	from = client->nhistory > HISTORY ?
		client->nhistory - HISTORY : 0;

	printf("The last messages to client %d (%s):\n", client->number,
		   client->owner);
	for (uint64_t i = from; i < client->nhistory; i++)
		printf("  %s\n", client->history[i % HISTORY]);
}

void
Violation(const Client *client, const char *format,...)
{
	va_list		arguments;

	printf("FOUND after %.1f s: ", Now() - started);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	if (client != NULL)
		print_history(client);
	print_counts();
	printf("seed %llu\n", (unsigned long long) plan.seed);
	exit(1);
}

/*
 * The run
 */

static void
turn(void)
{
	struct epoll_event events[64];
	int			n = epoll_wait(poller, events, 64, 2);

	for (int i = 0; i < n; i++)
	{
		Watch	   *watch = events[i].data.ptr;

		if (watch->events != 0)
			watch->handler(watch->owner, events[i].events);
	}
	WritersRun(Now());
	ClientsRun(Now());
}

/* One of the server's processes whose type is like this, or 0. */
static int
some_process(Random *random, const char *type)
{
	PGresult   *result = Query("SELECT pid FROM pg_stat_activity WHERE "
							   "backend_type LIKE '%s' ORDER BY "
							   "hashtext(pid::text || %u) LIMIT 1", type,
							   RandomBelow(random, 1000000));
	int			pid = PQntuples(result) > 0 ?
		atoi(PQgetvalue(result, 0, 0)) : 0;

	PQclear(result);
	return pid;
}

static void
kill_one(Random *random)
{
	int			pid = some_process(random, "quizrt %");

	if (pid == 0)
		return;
	PQclear(Query("SELECT pg_terminate_backend(%d)", pid));
	counts.killed++;
}

/*
 * A gateway that is stopped is overtaken by the ring.  It goes on however the
 * checker ends.
 */
static int	stalled = 0;

static void
go_on(void)
{
	if (stalled != 0)
		(void) kill(stalled, SIGCONT);
	stalled = 0;
}

static void
stall_one(Random *random)
{
	stalled = some_process(random, "quizrt gateway");
	if (stalled == 0)
		return;
	if (kill(stalled, SIGSTOP) < 0)
		Die("cannot stop a gateway: this takes the server's user, or root");
	counts.stalled++;
}

/* What goes wrong, from time to time. */
static void
disturb(Random *random, double now)
{
	static double next_kill = 0;
	static double next_stall = 0;

	if (plan.kill && now >= next_kill)
	{
		kill_one(random);
		next_kill = now + 0.2 + RandomBelow(random, 1800) / 1000.0;
	}
	if (plan.stall && now >= next_stall)
	{
		if (stalled == 0)
			stall_one(random);
		else
			go_on();
		next_stall = now + 0.1 + RandomBelow(random, 400) / 1000.0;
	}
}

static void
run_until(double end)
{
	static Random random = {0};
	double		now;

	if (random.state == 0)
		random = RandomStream(1);
	while ((now = Now()) < end)
	{
		disturb(&random, now);
		turn();
	}
	go_on();
}

/* The writers rest: everything must become equal to SQL. */
static void
rest(void)
{
	static int	number = 0;
	char		why[1000] = "";
	const Client *client = NULL;
	double		deadline = Now() + REST_TIMEOUT;

	WritersRest(true);
	ClientsRest(true);
	while (!WritersIdle() || !ClientsIdle())
	{
		if (Now() > deadline)
			Die("writers or clients do not come to rest");
		turn();
	}
	TruthRead(++number);
	PQclear(Query("SELECT checker.mark(%d, %d)", plan.quizzes, number));
	deadline = Now() + REST_TIMEOUT;
	while (!ClientsSettled(why, sizeof(why), &client))
	{
		if (Now() > deadline)
			Violation(client, "%.0f seconds after the writers rest: %s",
					  REST_TIMEOUT, why);
		turn();
	}
	counts.rests++;
	WritersRest(false);
	ClientsRest(false);
}

/*
 * Options
 */

static const struct option options[] = {
	{"seed", required_argument, NULL, 's'},
	{"seconds", required_argument, NULL, 't'},
	{"port", required_argument, NULL, 'p'},
	{"writers", required_argument, NULL, 'w'},
	{"clients", required_argument, NULL, 'c'},
	{"db", required_argument, NULL, 'd'},
	{"schema", required_argument, NULL, 'f'},
	{"lossy", no_argument, NULL, 'l'},
	{"kill", no_argument, NULL, 'k'},
	{"stall", no_argument, NULL, 'S'},
	{"slow", no_argument, NULL, 'o'},
	{"inject", no_argument, NULL, 'i'},
	{NULL, 0, NULL, 0}
};

static const char *schema = "schema.sql";

static void
read_options(int argc, char **argv)
{
	int			option;

	plan.seed = (uint64_t) time(NULL) * 1000 + (uint64_t) getpid() % 1000;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		switch (option)
		{
			case 's':
				plan.seed = strtoull(optarg, NULL, 10);
				break;
			case 't':
				plan.seconds = atof(optarg);
				break;
			case 'p':
				plan.port = atoi(optarg);
				break;
			case 'w':
				plan.writers = atoi(optarg);
				break;
			case 'c':
				plan.clients = atoi(optarg);
				break;
			case 'd':
				plan.conninfo = optarg;
				break;
			case 'f':
				schema = optarg;
				break;
			case 'l':
				plan.lossy = true;
				break;
			case 'k':
				plan.kill = true;
				break;
			case 'S':
				plan.stall = true;
				break;
			case 'o':
				plan.slow = true;
				break;
			case 'i':
				plan.inject = true;
				break;
			default:
				Die("see checker.c for the options");
		}
	}
	if (plan.writers < 1 || plan.writers > MAX_WRITERS || plan.clients < 1 ||
		plan.clients > 64 || plan.port == 0)
		Die("a number is missing or out of its range");
}

/* A database with the extension, and nothing of ours yet. */
static void
load_schema(void)
{
	static char text[65536];
	FILE	   *file = fopen(schema, "r");
	size_t		length;
	PGresult   *result;

	if (file == NULL)
		Die("cannot read %s", schema);
	length = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[length] = '\0';
	PQclear(Query("SET client_min_messages = warning"));
	PQclear(Query("DROP SCHEMA IF EXISTS quiz, checker CASCADE"));
	PQclear(Query("SELECT quizrt.create_quiz_tables()"));
	result = PQexec(control, text);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		Die("%s: %s", schema, PQresultErrorMessage(result));
	PQclear(result);
	PQclear(Query("SELECT checker.setup(%d, %d)", plan.quizzes, plan.writers));
}

int
main(int argc, char **argv)
{
	read_options(argc, argv);
	poller = epoll_create1(EPOLL_CLOEXEC);
	control = PQconnectdb(plan.conninfo);
	if (PQstatus(control) != CONNECTION_OK)
		Die("%s", PQerrorMessage(control));
	load_schema();
	atexit(go_on);
	started = Now();
	WritersStart();
	ClientsStart();
	while (Now() < started + plan.seconds)
	{
		run_until(Now() + REST_EVERY);
		rest();
	}
	print_counts();
	printf("nothing was found; seed %llu\n", (unsigned long long) plan.seed);
	return 0;
}
