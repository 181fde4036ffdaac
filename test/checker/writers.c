/*-------------------------------------------------------------------------
 *
 * writers.c
 *		The checker's writers: sessions that run random transactions.
 *
 * A transaction is made up beforehand, as a list of statements, from the
 * writer's own random numbers; so its outcome is known, and ticks that will
 * be rolled back say so ("ghost").  An error - a deadlock, 40001 - rolls all
 * of it back, and nobody must hear of it.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "checker.h"

#define MAX_STATEMENTS	64
#define STATEMENT_SIZE	160

typedef struct Writer
{
	int			number;
	PGconn	   *connection;
	Watch		watch;
	Random		random;
	char		statements[MAX_STATEMENTS][STATEMENT_SIZE];
	int			nstatements;
	int			next;			/* to be sent */
	bool		busy;
	bool		failed;
	bool		commits;
	double		due;			/* when the next transaction begins */
} Writer;

static Writer writers[MAX_WRITERS];
static bool resting = false;

/* Operations, and how often each is done. */
typedef struct Operation
{
	const char *name;
	int			weight;
	int			least_quiz;		/* not in quizzes before this one */
} Operation;

static const Operation operations[] = {
	{"start", 150, 1},
	{"answer", 400, 1},
	{"answers", 60, 1},
	{"regrade", 100, 1},
	{"regrade_all", 6, 1},
	{"flag", 100, 1},
	{"submit", 60, 1},
	{"unanswer", 10, 2},
	{"unstart", 15, 2},
	{"unflag", 5, 2},
	{"reopen", 8, 2},
	{"rename", 4, 2},
	{"move", 8, 2},
	{"transfer", 12, 3},
	{"truncate", 1, 2}
};

static const Operation *
choose_operation(Random *random, int quiz)
{
	int			total = 0;
	int			choice;

	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		total += quiz >= operations[i].least_quiz ? operations[i].weight : 0;
	choice = (int) RandomBelow(random, (uint32_t) total);
	for (const Operation *at = operations;; at++)
	{
		if (quiz < at->least_quiz)
			continue;
		choice -= at->weight;
		if (choice < 0)
			return at;
	}
}

static void __attribute__((format(printf, 2, 3)))
add(Writer *writer, const char *format,...)
{
	va_list		arguments;

	if (writer->nstatements == MAX_STATEMENTS)
		return;
	va_start(arguments, format);
	vsnprintf(writer->statements[writer->nstatements++], STATEMENT_SIZE,
			  format, arguments);
	va_end(arguments);
}

static int
some_quiz(Random *random)
{
	return 1 + (int) RandomBelow(random, (uint32_t) plan.quizzes);
}

static void
add_operation(Writer *writer, int quiz)
{
	add(writer, "SELECT checker.op_%s(%d, %u)",
		choose_operation(&writer->random, quiz)->name, quiz,
		RandomBelow(&writer->random, 1000000));
}

static void
add_tick(Writer *writer, int quiz, bool ghost)
{
	add(writer, "SELECT checker.tick(%d, %d, %s)", writer->number, quiz,
		ghost ? "true" : "false");
}

/* Some steps; those of a savepoint are kept or not. */
static void
add_steps(Writer *writer, int depth, bool ghost)
{
	Random	   *random = &writer->random;
	int			steps = 1 + (int) RandomBelow(random, depth == 0 ? 4 : 2);

	for (int i = 0; i < steps; i++)
	{
		uint32_t	choice = RandomBelow(random, 100);

		if (choice < 45)
			add_operation(writer, some_quiz(random));
		else if (choice < 75)
			add_tick(writer, some_quiz(random), ghost);
		else if (choice < 79)
			add(writer, "SELECT pg_sleep(%u / 1000.0)",
				RandomBelow(random, 30));
		else if (depth < 3)
		{
			bool		kept = RandomChance(random, 0.5);

			add(writer, "SAVEPOINT s%d", depth);
			add_steps(writer, depth + 1, ghost || !kept);
			add(writer, kept ? "RELEASE s%d" : "ROLLBACK TO s%d", depth);
		}
	}
}

static void
make_transaction(Writer *writer)
{
	Random	   *random = &writer->random;
	uint32_t	choice = RandomBelow(random, 100);

	writer->nstatements = writer->next = 0;
	writer->commits = !RandomChance(random, 0.1);
	add(writer, "BEGIN%s", choice < 6 ? " ISOLATION LEVEL SERIALIZABLE" :
		choice < 14 ? " ISOLATION LEVEL REPEATABLE READ" : "");
	if (RandomChance(random, 0.5))
		add(writer, "SET LOCAL synchronous_commit = off");
	add_steps(writer, 0, !writer->commits);

	/* A full list has no room for its end. */
	if (writer->nstatements == MAX_STATEMENTS)
		writer->nstatements = 1;
	add(writer, writer->commits ? "COMMIT" : "ROLLBACK");
}

static void
send_statement(Writer *writer, const char *statement)
{
	if (!PQsendQuery(writer->connection, statement) ||
		PQflush(writer->connection) != 0)
		Die("a writer: %s", PQerrorMessage(writer->connection));
}

/* Send what comes next; false: the transaction has ended. */
static bool
carry_on(Writer *writer)
{
	if (writer->failed)
	{
		writer->failed = false;
		writer->next = writer->nstatements;
		counts.failed++;
		writer->commits = false;
		send_statement(writer, "ROLLBACK");
		return true;
	}
	if (writer->next < writer->nstatements)
	{
		send_statement(writer, writer->statements[writer->next++]);
		return true;
	}
	counts.transactions++;
	if (!writer->commits)
		counts.rolled_back++;
	return false;
}

/* Is this an error that concurrent transactions may run into? */
static bool
expected_error(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state != NULL &&
		(strncmp(state, "40", 2) == 0 ||	/* serialisation, deadlocks */
		 strcmp(state, "23503") == 0 ||	/* the attempt was deleted */
		 strcmp(state, "23505") == 0 ||
		 strcmp(state, "55P03") == 0);	/* lock not available */
}

static void
readable(void *owner, uint32_t events)
{
	Writer	   *writer = owner;
	PGresult   *result;

	if (!PQconsumeInput(writer->connection))
		Die("a writer: %s", PQerrorMessage(writer->connection));
	if (PQisBusy(writer->connection))
		return;
	while ((result = PQgetResult(writer->connection)) != NULL)
	{
		if (PQresultStatus(result) == PGRES_FATAL_ERROR)
		{
			if (!expected_error(result))
				Die("a writer: \"%s\": %s",
					writer->statements[writer->next - 1],
					PQresultErrorMessage(result));
			writer->failed = true;
		}
		PQclear(result);
		if (PQisBusy(writer->connection))
			return;
	}
	if (!carry_on(writer))
	{
		writer->busy = false;
		writer->due = Now() + RandomBelow(&writer->random, 8) / 1000.0;
	}
}

static void
prepare_session(PGconn *connection)
{
	PQclear(PQexec(connection, "SET client_min_messages = error;"
				   "SET deadlock_timeout = '30ms'; SET lock_timeout = '3s'"));
	if (plan.inject)
		PQclear(PQexec(connection, "SET quizrt.debug_delay_reserve = 3000;"
					   "SET quizrt.debug_delay_commit = 5000;"
					   "SET quizrt.debug_delay_callback = 10000"));
}

void
WritersStart(void)
{
	for (int i = 0; i < plan.writers; i++)
	{
		Writer	   *writer = &writers[i];

		writer->number = i;
		writer->random = RandomStream(100 + (uint64_t) i);
		writer->connection = PQconnectdb(plan.conninfo);
		if (PQstatus(writer->connection) != CONNECTION_OK)
			Die("%s", PQerrorMessage(writer->connection));
		prepare_session(writer->connection);
		writer->watch.fd = PQsocket(writer->connection);
		writer->watch.handler = readable;
		writer->watch.owner = writer;
		WatchSet(&writer->watch, EPOLLIN);
	}
}

void
WritersRun(double now)
{
	for (int i = 0; i < plan.writers && !resting; i++)
	{
		Writer	   *writer = &writers[i];

		if (writer->busy || writer->due > now)
			continue;
		make_transaction(writer);
		writer->busy = true;
		carry_on(writer);
	}
}

void
WritersRest(bool rest)
{
	resting = rest;
}

bool
WritersIdle(void)
{
	for (int i = 0; i < plan.writers; i++)
	{
		if (writers[i].busy)
			return false;
	}
	return true;
}
