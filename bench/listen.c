/*-------------------------------------------------------------------------
 *
 * listen.c
 *		Listen to NOTIFY, and take what comes.
 *
 *		listen CHANNEL CONNINFO
 *
 * The other half of what pg_notify() costs a writer: without somebody who
 * listens it costs little.  Ends with its standard input, and says how many
 * notifications there were.
 *
 *-------------------------------------------------------------------------
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static PGconn *connection;

static void
check(int good)
{
	if (!good)
	{
		fprintf(stderr, "listen: %s", PQerrorMessage(connection));
		exit(1);
	}
}

int
main(int argc, char **argv)
{
	unsigned long long count = 0;
	char		command[128];
	struct pollfd files[2] = {{.events = POLLIN},{.events = POLLIN}};
	PGnotify   *notification;

	if (argc != 3)
	{
		fprintf(stderr, "usage: listen CHANNEL CONNINFO\n");
		return 2;
	}
	connection = PQconnectdb(argv[2]);
	check(PQstatus(connection) == CONNECTION_OK);
	snprintf(command, sizeof(command), "LISTEN %s", argv[1]);
	check(PQresultStatus(PQexec(connection, command)) == PGRES_COMMAND_OK);

	files[0].fd = STDIN_FILENO;
	files[1].fd = PQsocket(connection);
	while (poll(files, 2, -1) > 0 && files[0].revents == 0)
	{
		check(PQconsumeInput(connection));
		while ((notification = PQnotifies(connection)) != NULL)
		{
			count++;
			PQfreemem(notification);
		}
	}
	printf("%llu\n", count);
	return 0;
}
