/*-------------------------------------------------------------------------
 *
 * snapshots.c
 *		What snapshots cost: those who ask for one, and everybody else.
 *
 * All along, writers commit at a steady rate: each transaction grades an
 * answer of quiz 1 and publishes the time to the channel quiz:1.  A probe
 * listens there and measures how old it is on arrival.
 *
 *	1. nothing else, for comparison;
 *	2. one client after the other subscribes to attempts:1, with its many
 *	   attempts: how long from "subscribe" to the snapshot's last byte?
 *	3. many clients that are connected already subscribe to quiz:1 at once,
 *	   and then to attempts:2, which has few attempts: how long until the
 *	   last one has its answer, and its snapshot?
 *
 * One thread and one epoll set, which share the machine with the server.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WRITERS			4
#define MAX_SAMPLES		1000000

typedef struct Client
{
	int			fd;
	bool		open;			/* upgraded */
	bool		probe;
	char		head[1024];		/* of the upgrade's answer, or of a frame */
	size_t		head_length;
	size_t		left;			/* bytes of the frame at hand still to come */
	bool		in_frame;
	size_t		frame_size;
	int			confirmed;		/* "subscribed" messages */
	int			snapshots;
	size_t		snapshot_size;
} Client;

static const char *conninfo = "";
static int	port = 7878;
static int	rate = 500;
static int	nclients = 1000;
static int	attempts = 10000;

static int	poller;
static Client *clients;
static char key[100];
static int	total_open = 0;
static int	total_confirmed = 0;
static int	total_snapshots = 0;

static PGconn *control;
static PGconn *writers[WRITERS];
static double next_commit;
static uint64_t commits;

static double *samples;			/* milliseconds */
static int	nsamples;

static void
die(const char *what)
{
	fprintf(stderr, "snapshots: %s\n", what);
	exit(2);
}

static double
now_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static double
now(void)
{
	return now_of(CLOCK_MONOTONIC);
}

/*
 * Clients
 */

static void
connect_client(Client *client)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	struct epoll_event event = {.events = EPOLLIN,.data.ptr = client};
	char		request[600];
	int			on = 1;

	memset(client, 0, sizeof(*client));
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	server.sin_port = htons((uint16_t) port);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (client->fd < 0 || connect(client->fd, (struct sockaddr *) &server,
								  sizeof(server)) < 0)
		die("cannot connect");
	(void) setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	snprintf(request, sizeof(request), "GET /ws?token=%s HTTP/1.1\r\n"
			 "Host: localhost\r\nUpgrade: websocket\r\n"
			 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", key);
	if (send(client->fd, request, strlen(request), MSG_NOSIGNAL) < 0 ||
		epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &event) < 0)
		die("cannot send");
}

static void
send_frame(Client *client, int opcode, const char *payload)
{
	unsigned char frame[132] = {0};
	size_t		length = strlen(payload);

	frame[0] = (unsigned char) opcode;
	frame[1] = (unsigned char) (0x80 | length);
	memcpy(frame + 6, payload, length);
	if (send(client->fd, frame, length + 6, MSG_NOSIGNAL) < 0)
		die("cannot send");
}

static void
subscribe(Client *client, const char *channel)
{
	char		message[120];

	snprintf(message, sizeof(message),
			 "{\"action\":\"subscribe\",\"subscriptions\":[\"%s\"]}", channel);
	send_frame(client, 0x81, message);
}

/* A frame is complete; "head" has its first bytes, the header included. */
static void
frame_ended(Client *client)
{
	const char *at;

	if ((unsigned char) client->head[0] == 0x89)
		send_frame(client, 0x8a, "");
	else if ((unsigned char) client->head[0] == 0x88)
		die("a client was closed");
	else if (strstr(client->head + 2, "\"event\":\"subscribed\""))
		client->confirmed++, total_confirmed++;
	else if (strstr(client->head + 2, "\"event\":\"snapshot\""))
	{
		client->snapshots++;
		client->snapshot_size = client->frame_size;
		total_snapshots++;
	}
	else if (strstr(client->head + 2, "\"event\":\"error\""))
		die(client->head + 2);
	else if (client->probe && nsamples < MAX_SAMPLES &&
			 (at = strstr(client->head + 2, "\"at\" :")) != NULL)
		samples[nsamples++] = now_of(CLOCK_REALTIME) * 1e3 - atof(at + 6) / 1e3;
}

/* How long a frame's header is, and its payload; false: unknown yet. */
static bool
frame_begins(const Client *client, size_t *header, size_t *payload)
{
	const unsigned char *head = (const unsigned char *) client->head;

	if (client->head_length < 2)
		return false;
	*payload = head[1];
	*header = head[1] < 126 ? 2 : head[1] == 126 ? 4 : 10;
	if (client->head_length < *header)
		return false;
	for (size_t i = 2; i < *header; i++)
		*payload = (i == 2 ? 0 : *payload << 8) | head[i];
	return true;
}

static void
take(Client *client, const char *bytes, size_t length)
{
	while (length > 0)
	{
		size_t		header;
		size_t		payload;

		if (!client->open)
		{
			size_t		n = client->head_length;

			client->head[client->head_length++] = *bytes++;
			length--;
			if (n >= 3 && memcmp(client->head + n - 3, "\r\n\r\n", 4) == 0)
			{
				if (strncmp(client->head, "HTTP/1.1 101", 12) != 0)
					die(client->head);
				client->open = true;
				total_open++;
				client->head_length = 0;
			}
			else if (n >= sizeof(client->head) - 1)
				die("the answer is too long");
			continue;
		}
		if (!client->in_frame)
		{
			client->head[client->head_length++] = *bytes++;
			length--;
			if (!frame_begins(client, &header, &payload))
				continue;
			client->in_frame = true;
			client->frame_size = client->left = payload;
			client->head_length = 2;
		}
		else
		{
			size_t		n = length < client->left ? length : client->left;
			size_t		room = sizeof(client->head) - 1 - client->head_length;

			memcpy(client->head + client->head_length, bytes,
				   n < room ? n : room);
			client->head_length += n < room ? n : room;
			client->left -= n;
			bytes += n;
			length -= n;
		}
		if (client->left == 0)
		{
			client->head[client->head_length] = '\0';
			frame_ended(client);
			client->in_frame = false;
			client->head_length = 0;
		}
	}
}

/*
 * Writers
 */

static void
begin_commit(PGconn *writer)
{
	char		sql[600];

	snprintf(sql, sizeof(sql),
			 "UPDATE quiz.answers SET score = score + 1 WHERE attempt_id = "
			 "lpad(to_hex(%d), 32, '0')::uuid;"
			 "SELECT quizrt.publish('quiz:1', 'probe', json_build_object('at', "
			 "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint))",
			 1 + rand() % attempts);
	if (!PQsendQuery(writer, sql) || PQflush(writer) != 0)
		die(PQerrorMessage(writer));
}

static bool
writer_idle(PGconn *writer)
{
	PGresult   *result;

	if (!PQconsumeInput(writer))
		die(PQerrorMessage(writer));
	while (!PQisBusy(writer))
	{
		result = PQgetResult(writer);
		if (result == NULL)
			return true;
		if (PQresultStatus(result) == PGRES_FATAL_ERROR)
			die(PQresultErrorMessage(result));
		PQclear(result);
	}
	return false;
}

/* At the rate, as far as there are writers that have nothing to do. */
static void
write_more(void)
{
	for (int i = 0; i < WRITERS && now() >= next_commit; i++)
	{
		if (!writer_idle(writers[i]))
			continue;
		begin_commit(writers[i]);
		commits++;
		next_commit += 1.0 / rate;
	}
	if (next_commit < now() - 0.1)
		next_commit = now();	/* it can't be kept up */
}

static void
turn(void)
{
	static char bytes[1 << 20];
	struct epoll_event events[256];
	int			n = epoll_wait(poller, events, 256, 1);

	for (int i = 0; i < n; i++)
	{
		Client	   *client = events[i].data.ptr;
		ssize_t		got = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN))
			die("a connection ended");
		if (got > 0)
			take(client, bytes, (size_t) got);
	}
	write_more();
}

static void
turn_for(double seconds)
{
	double		end = now() + seconds;

	while (now() < end)
		turn();
}

/* Until a count is reached. */
static void
turn_until(const int *count, int target)
{
	double		end = now() + 60;

	while (*count < target)
	{
		if (now() > end)
			die("it takes too long");
		turn();
	}
}

/*
 * Reporting
 */

static int
compare(const void *p, const void *q)
{
	double		a = *(const double *) p;
	double		b = *(const double *) q;

	return (a > b) - (a < b);
}

static double
rank(double *values, int n, double share)
{
	qsort(values, (size_t) n, sizeof(double), compare);
	return n > 0 ? values[(int) (share * (n - 1))] : 0;
}

/* CPU seconds of the server's processes of a kind. */
static double
cpu_of(const char *type)
{
	char		sql[200];
	PGresult   *result;
	double		ticks = 0;

	snprintf(sql, sizeof(sql), "SELECT pid FROM pg_stat_activity WHERE "
			 "backend_type = '%s'", type);
	result = PQexec(control, sql);
	for (int i = 0; i < PQntuples(result); i++)
	{
		char		path[64];
		unsigned long user;
		unsigned long system;
		FILE	   *file;

		snprintf(path, sizeof(path), "/proc/%s/stat", PQgetvalue(result, i, 0));
		file = fopen(path, "r");
		if (file != NULL && fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d "
								   "%*u %*u %*u %*u %*u %lu %lu", &user,
								   &system) == 2)
			ticks += (double) (user + system);
		if (file != NULL)
			fclose(file);
	}
	PQclear(result);
	return ticks / (double) sysconf(_SC_CLK_TCK);
}

typedef struct Phase
{
	double		began;
	uint64_t	commits;
	double		gateway;
	double		worker;
} Phase;

static Phase
phase_begins(void)
{
	nsamples = 0;
	return (Phase) {now(), commits, cpu_of("quizrt gateway"),
		cpu_of("quizrt query worker")};
}

static void
phase_ends(const char *what, const Phase *phase)
{
	double		seconds = now() - phase->began;

	turn_for(0.2);
	printf("%-44s %5.0f commits/s; probe p50 %.2f ms, p99 %.2f ms, max %.1f ms;"
		   " CPU: gateway %.2f s, query worker %.2f s of %.2f s\n", what,
		   (double) (commits - phase->commits) / seconds,
		   rank(samples, nsamples, 0.5), rank(samples, nsamples, 0.99),
		   rank(samples, nsamples, 1), cpu_of("quizrt gateway") - phase->gateway,
		   cpu_of("quizrt query worker") - phase->worker, seconds);
	fflush(stdout);
}

/*
 * The phases
 */

static void
large_snapshots(Client *client)
{
	double		times[10];
	Phase		phase = phase_begins();

	for (int i = 0; i < 10; i++)
	{
		int			open = total_open + 1;
		double		began;

		connect_client(client);
		turn_until(&total_open, open);
		turn_for(0.3);
		began = now();
		subscribe(client, "attempts:1");
		turn_until(&client->snapshots, 1);
		times[i] = (now() - began) * 1e3;
		close(client->fd);
	}
	printf("%d attempts, %.1f MB: from subscribe to the snapshot's last byte "
		   "%.0f ms (median), %.0f ms (worst)\n", attempts,
		   (double) client->snapshot_size / 1e6, rank(times, 10, 0.5),
		   rank(times, 10, 1));
	phase_ends("one after the other subscribes", &phase);
}

static void
all_at_once(const char *channel, const int *count)
{
	int			target = *count + nclients;
	char		what[80];
	Phase		phase = phase_begins();

	for (int i = 0; i < nclients; i++)
	{
		subscribe(&clients[i], channel);
		if (i % 20 == 19)
			turn();				/* or the probe waits for us */
	}
	turn_until(count, target);
	printf("%d clients subscribe to %s at once: the last one has its answer"
		   " after %.0f ms\n", nclients, channel, (now() - phase.began) * 1e3);
	snprintf(what, sizeof(what), "%d clients subscribe to %s", nclients,
			 channel);
	phase_ends(what, &phase);
}

static PGconn *
connect_database(void)
{
	PGconn	   *connection = PQconnectdb(conninfo);

	if (PQstatus(connection) != CONNECTION_OK)
		die(PQerrorMessage(connection));
	PQclear(PQexec(connection, "SET client_min_messages = error"));
	return connection;
}

static void
prepare(void)
{
	char		sql[2000];
	PGresult   *result;

	snprintf(sql, sizeof(sql), "DROP SCHEMA IF EXISTS quiz CASCADE;"
			 "SELECT quizrt.create_quiz_tables();"
			 "INSERT INTO quiz.quizzes (quiz_id, owner_id) VALUES (1, 'me'), (2, 'me');"
			 "INSERT INTO quiz.questions (quiz_id, question_order) VALUES (1, 1), (2, 1);"
			 "INSERT INTO quiz.participants (alias) VALUES ('somebody');"
			 "INSERT INTO quiz.attempts (attempt_id, quiz_id, participant_id) "
			 "SELECT lpad(to_hex(n), 32, '0')::uuid, CASE WHEN n <= %d THEN 1 ELSE 2 END, "
			 "participant_id FROM quiz.participants, generate_series(1, %d) AS n;"
			 "INSERT INTO quiz.answers (attempt_id, question_id, is_correct, score) "
			 "SELECT attempt_id, question_id, true, 1 FROM quiz.attempts JOIN "
			 "quiz.questions USING (quiz_id);"
			 "ANALYZE; SELECT quizrt.create_api_key('me')", attempts,
			 attempts + 100);
	result = PQexec(control, sql);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die(PQresultErrorMessage(result));
	snprintf(key, sizeof(key), "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
}

int
main(int argc, char **argv)
{
	struct rlimit limit;
	Client	   *probe;
	Phase		phase;

	for (int i = 1; i + 1 < argc; i += 2)
	{
		if (strcmp(argv[i], "--db") == 0)
			conninfo = argv[i + 1];
		else if (strcmp(argv[i], "--port") == 0)
			port = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--rate") == 0)
			rate = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--clients") == 0)
			nclients = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--attempts") == 0)
			attempts = atoi(argv[i + 1]);
		else
			die("options: --db, --port, --rate, --clients, --attempts");
	}
	(void) getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	(void) setrlimit(RLIMIT_NOFILE, &limit);
	clients = calloc((size_t) nclients + 2, sizeof(Client));
	samples = calloc(MAX_SAMPLES, sizeof(double));
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (clients == NULL || samples == NULL || poller < 0)
		die("out of something");
	control = connect_database();
	prepare();
	for (int i = 0; i < WRITERS; i++)
		writers[i] = connect_database();
	next_commit = now();

	probe = &clients[nclients];
	connect_client(probe);
	probe->probe = true;
	turn_until(&total_open, 1);
	subscribe(probe, "quiz:1");
	turn_for(2);

	phase = phase_begins();
	turn_for(5);
	phase_ends("nothing else", &phase);
	large_snapshots(&clients[nclients + 1]);
	for (int i = 0; i < nclients; i++)
	{
		int			target = total_open + 1;

		connect_client(&clients[i]);
		turn_until(&total_open, target);
	}
	turn_for(1);
	all_at_once("quiz:1", &total_confirmed);
	turn_for(1);
	all_at_once("attempts:2", &total_snapshots);
	return 0;
}
