/*-------------------------------------------------------------------------
 *
 * load.c
 *		The load generator: connects, subscribes, has events written, and
 *		judges what arrives.
 *
 * A run goes through these steps, each bounded in time, and leaves out those
 * that the plan has no use for:
 *
 *	1. open the clients and subscribe (or, with --churn, open and close
 *	   batches of them);
 *	2. hold: stay connected with nothing to do;
 *	3. write for some seconds, then wait for what was promised;
 *	4. close.
 *
 * A line for people goes to standard error, a line of JSON to standard
 * output.  The exit status is 1 where a number was skipped, came twice or out
 * of order, or did not come; where a client was dropped or got an error; where
 * a process of the server has gone, or kept more memory than --may-grow says.
 * SIGINT and SIGTERM end the present step early.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>

#include "clients.h"
#include "process.h"
#include "writers.h"

Plan		plan = {
	.path = "/ws",
	.subscribe = "quiz:%c",
	.clients = 1,
	.channels = 1,
	.per_client = 1,
	.in_flight = 256,
	.deadline = 20,
	.writers = 1,
	.window = 64,
	.payload = 300,
	.conninfo = ""
};

Progress	progress;

static const char *label = "";
static const char *server_name = "";

/* What is found out on the way. */
static struct
{
	double		open_seconds;
	double		open_cpu;
	int			opened;
	uint64_t	memory[3];		/* before, with and after the clients */
	double		hold_cpu;
	double		write_seconds;
	double		write_cpu;
	uint64_t	delivered;
	uint64_t	missing;
	double		own_cpu;
}			found;

void
Die(const char *format,...)
{
	va_list		arguments;

	fprintf(stderr, "load: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	exit(2);
}

void *
Allocate(size_t count, size_t size)
{
	void	   *memory = calloc(count, size);

	if (memory == NULL)
		Die("out of memory");
	return memory;
}

/*
 * Options
 */

static const struct option options[] = {
	{"label", required_argument, NULL, 'l'},
	{"server", required_argument, NULL, 's'},
	{"port", required_argument, NULL, 'p'},
	{"path", required_argument, NULL, 'u'},
	{"subscribe", required_argument, NULL, 'S'},
	{"clients", required_argument, NULL, 'n'},
	{"channels", required_argument, NULL, 'c'},
	{"per-client", required_argument, NULL, 'k'},
	{"in-flight", required_argument, NULL, 'i'},
	{"deadline", required_argument, NULL, 'D'},
	{"source", required_argument, NULL, 'o'},
	{"writers", required_argument, NULL, 'w'},
	{"rate", required_argument, NULL, 'r'},
	{"window", required_argument, NULL, 'W'},
	{"payload", required_argument, NULL, 'b'},
	{"seconds", required_argument, NULL, 't'},
	{"warmup", required_argument, NULL, 'a'},
	{"hold", required_argument, NULL, 'h'},
	{"churn", required_argument, NULL, 'C'},
	{"may-grow", required_argument, NULL, 'g'},
	{"db", required_argument, NULL, 'd'},
	{"feed-port", required_argument, NULL, 'f'},
	{"postmaster", required_argument, NULL, 'P'},
	{"process", required_argument, NULL, 'x'},
	{NULL, 0, NULL, 0}
};

static int
whole(const char *text, int min, int max)
{
	char	   *end;
	long		value = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < min || value > max)
		Die("\"%s\" is no number from %d to %d", text, min, max);
	return (int) value;
}

static double
number(const char *text)
{
	char	   *end;
	double		value = strtod(text, &end);

	if (*text == '\0' || *end != '\0' || value < 0 || value > 1e9)
		Die("\"%s\" is no number that we want", text);
	return value;
}

static Source
source_of(const char *name)
{
	static const char *const names[] = {
		"none", "publish", "answers", "notify", "feed"
	};

	for (int i = 0; i < 5; i++)
	{
		if (strcmp(name, names[i]) == 0)
			return (Source) i;
	}
	Die("unknown source \"%s\"", name);
}

static void
watch_process(char *argument)
{
	char	   *equals = strchr(argument, '=');

	if (equals == NULL)
		Die("--process wants NAME=PID");
	*equals = '\0';
	ProcessWatch(argument, whole(equals + 1, 1, 1 << 30));
}

/* Options that say who, what and where. */
static bool
take_text(int option, char *value)
{
	switch (option)
	{
		case 'l':
			label = value;
			return true;
		case 's':
			server_name = value;
			return true;
		case 'u':
			plan.path = value;
			return true;
		case 'S':
			plan.subscribe = value;
			return true;
		case 'o':
			plan.source = source_of(value);
			return true;
		case 'd':
			plan.conninfo = value;
			return true;
		case 'P':
			ProcessesOfPostmaster(whole(value, 1, 1 << 30));
			return true;
		case 'x':
			watch_process(value);
			return true;
	}
	return false;
}

/* Options that say how many, how often and how long. */
static void
take_number(int option, const char *value)
{
	switch (option)
	{
		case 'p':
			plan.port = whole(value, 1, 65535);
			break;
		case 'f':
			plan.feed_port = whole(value, 1, 65535);
			break;
		case 'n':
			plan.clients = whole(value, 1, 1000000);
			break;
		case 'c':
			plan.channels = whole(value, 1, 10000000);
			break;
		case 'k':
			plan.per_client = whole(value, 1, 2000);
			break;
		case 'i':
			plan.in_flight = whole(value, 1, 1000000);
			break;
		case 'D':
			plan.deadline = whole(value, 1, 600);
			break;
		case 'w':
			plan.writers = whole(value, 1, 255);
			break;
		case 'W':
			plan.window = whole(value, 1, 1000000);
			break;
		case 'b':
			plan.payload = whole(value, 0, 60000);
			break;
		case 'C':
			plan.churn = whole(value, 0, 10000000);
			break;
		case 'g':
			plan.may_grow = whole(value, 0, 1 << 30);
			break;
		case 'r':
			plan.rate = number(value);
			break;
		case 't':
			plan.seconds = number(value);
			break;
		case 'a':
			plan.warmup = number(value);
			break;
		case 'h':
			plan.hold = number(value);
			break;
		default:
			exit(2);
	}
}

/* A descriptor for each client, as far as we may. */
static void
raise_descriptor_limit(void)
{
	rlim_t		wanted = (rlim_t) plan.clients + 512;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		Die("getrlimit: %s", strerror(errno));
	if (limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		Die("%d clients need more descriptors than we may have (ulimit -n)",
			plan.clients);
}

/*
 * The steps
 */

/*
 * Serve the clients until the condition holds; false where it does not
 * within so many seconds.
 */
static bool
run_until(bool (*condition) (void), double seconds)
{
	uint64_t	start = Now();

	while (!condition())
	{
		if (SecondsSince(start) > seconds)
			return false;
		ClientsTurn(20);
		WritersNudge();
	}
	return true;
}

static volatile sig_atomic_t interrupted = false;

static void
interrupt(int signal_number)
{
	interrupted = true;
}

/* Is it time to go on, whatever the plan says? */
static bool
told_to_end(void)
{
	return interrupted;
}

static int	batch_end;			/* clients to be opened in all by now */

static bool
all_ready(void)
{
	ClientsOpen(batch_end);
	return client_counts.failed >= 100 ||
		client_counts.opened - client_counts.failed >= batch_end &&
		client_counts.ready >= ClientsLeft();
}

static bool
all_gone(void)
{
	return ClientsLeft() == 0;
}

static bool
all_delivered(void)
{
	return atomic_load(&progress.running) == 0 &&
		atomic_load(&progress.delivered) >= atomic_load(&progress.due);
}

static void
open_clients(int count)
{
	int			opened = client_counts.opened - client_counts.failed;

	batch_end = opened + count;
	if (!run_until(all_ready, plan.deadline + count / 500.0))
		Die("only %d of %d clients are ready", client_counts.ready, count);
	if (client_counts.failed >= 100)
		Die("too many connects failed");
	found.opened += client_counts.opened - client_counts.failed - opened;
}

static void
close_clients(void)
{
	ClientsClose();
	if (!run_until(all_gone, plan.deadline))
		Die("%d clients still wait for the answer to their close",
			ClientsLeft());
}

static void
connect_step(void)
{
	uint64_t	start = Now();

	ProcessesMark();
	if (plan.churn == 0)
		open_clients(plan.clients);
	for (int done = 0; done < plan.churn; done += plan.clients)
	{
		open_clients(plan.churn - done < plan.clients ?
					 plan.churn - done : plan.clients);
		close_clients();
	}
	found.open_seconds = SecondsSince(start);
	found.open_cpu = ProcessesCpu(NULL);
}

static void
hold_step(void)
{
	ProcessesMark();
	(void) run_until(told_to_end, plan.hold);
	found.hold_cpu = ProcessesCpu(NULL);
}

/* How many clients hear of each channel. */
static uint32_t *
subscribers(void)
{
	uint32_t   *counts = Allocate((size_t) plan.channels, sizeof(uint32_t));

	for (int i = 0; i < plan.clients; i++)
	{
		for (int j = 0; j < plan.per_client; j++)
			counts[(FirstChannel(i) + (uint32_t) j) %
				   (uint32_t) plan.channels]++;
	}
	return counts;
}

static void
write_step(void)
{
	uint64_t	start = Now();

	delivery_from = start + (uint64_t) (plan.warmup * 1e9);
	ProcessesMark();
	WritersStart();
	(void) run_until(told_to_end, plan.seconds);
	atomic_store(&progress.stop, true);
	if (!run_until(all_delivered, plan.deadline))
		found.missing = atomic_load(&progress.due) -
			atomic_load(&progress.delivered);
	found.write_seconds = SecondsSince(start);
	found.write_cpu = ProcessesCpu(NULL);
	found.delivered = atomic_load(&progress.delivered);
	WritersStop();
}

/*
 * The report
 */

static double
per_second(double count, double seconds)
{
	return seconds > 0 ? count / seconds : 0;
}

/* Kilobytes that the server has kept of clients that are gone. */
static long long
grown(void)
{
	return ((long long) found.memory[2] - (long long) found.memory[0]) / 1024;
}

static bool
succeeded(void)
{
	return found.missing == 0 && client_counts.gaps == 0 &&
		client_counts.doubles == 0 && client_counts.strays == 0 &&
		client_counts.lost == 0 && client_counts.errors == 0 &&
		client_counts.dropped == 0 && client_counts.failed == 0 &&
		(plan.may_grow == 0 || grown() <= plan.may_grow) &&
		ProcessesAlive();
}

static void
json_times(const char *name, const Histogram *histogram)
{
	printf(",\"%s\":{\"count\":%llu,\"p50_us\":%.1f,\"p90_us\":%.1f,"
		   "\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}", name,
		   (unsigned long long) histogram->count,
		   (double) HistogramQuantile(histogram, 0.5) / 1e3,
		   (double) HistogramQuantile(histogram, 0.9) / 1e3,
		   (double) HistogramQuantile(histogram, 0.99) / 1e3,
		   (double) HistogramQuantile(histogram, 0.999) / 1e3,
		   (double) histogram->max / 1e3);
}

static void
json_connects(void)
{
	printf(",\"opened\":%d,\"open_seconds\":%.3f,\"opens_per_s\":%.0f,"
		   "\"open_cpu_us_each\":%.2f", found.opened, found.open_seconds,
		   per_second(found.opened, found.open_seconds),
		   found.opened > 0 ? found.open_cpu * 1e6 / found.opened : 0.0);
	json_times("connect", &connect_times);
	printf(",\"memory_before\":%llu,\"memory_open\":%llu,"
		   "\"memory_after\":%llu,\"memory_kept\":%lld,"
		   "\"memory_per_client\":%.0f",
		   (unsigned long long) found.memory[0],
		   (unsigned long long) found.memory[1],
		   (unsigned long long) found.memory[2], grown() * 1024,
		   ((double) found.memory[1] - (double) found.memory[0]) /
		   plan.clients);
	if (plan.hold > 0)
		printf(",\"hold_cpu_share\":%.4f",
			   per_second(found.hold_cpu, plan.hold));
}

static void
json_deliveries(void)
{
	double		millions = (double) found.delivered / 1e6;

	if (plan.source == SOURCE_NONE)
		return;
	printf(",\"committed\":%llu,\"commits_per_s\":%.1f,\"delivered\":%llu,"
		   "\"deliveries_per_s\":%.0f,\"write_seconds\":%.3f,"
		   "\"cpu_s\":%.4f,\"cpu_s_per_million\":%.4f",
		   (unsigned long long) WritersCommitted(),
		   per_second((double) WritersCommitted(), found.write_seconds),
		   (unsigned long long) found.delivered,
		   per_second((double) found.delivered, found.write_seconds),
		   found.write_seconds, found.write_cpu,
		   millions > 0 ? found.write_cpu / millions : 0.0);
	json_times("delivery", &delivery_times);
	json_times("statement", WritersTimes());
}

static void
report_json(void)
{
	printf("{\"label\":\"%s\",\"server\":\"%s\",\"ok\":%s,\"clients\":%d,"
		   "\"channels\":%d,\"per_client\":%d,\"writers\":%d,\"rate\":%g,"
		   "\"window\":%d,\"payload\":%d", label, server_name,
		   succeeded() ? "true" : "false", plan.clients, plan.channels,
		   plan.per_client, plan.writers, plan.rate, plan.window,
		   plan.payload);
	json_connects();
	json_deliveries();
	printf(",\"missing\":%llu,\"gaps\":%llu,\"doubles\":%llu,"
		   "\"strays\":%llu,\"lost\":%llu,\"errors\":%llu,\"dropped\":%d,"
		   "\"failed\":%d,\"pings\":%llu,\"own_cpu_s\":%.3f}\n",
		   (unsigned long long) found.missing,
		   (unsigned long long) client_counts.gaps,
		   (unsigned long long) client_counts.doubles,
		   (unsigned long long) client_counts.strays,
		   (unsigned long long) client_counts.lost,
		   (unsigned long long) client_counts.errors,
		   client_counts.dropped, client_counts.failed,
		   (unsigned long long) client_counts.pings, found.own_cpu);
}

static void
report_words(void)
{
	fprintf(stderr, "%-22s %-8s", label, server_name);
	if (plan.source == SOURCE_NONE)
		fprintf(stderr, " %d opened, %.0f/s, %.1f us CPU each, "
				"memory %+lld kB", found.opened,
				per_second(found.opened, found.open_seconds),
				found.opened > 0 ? found.open_cpu * 1e6 / found.opened : 0.0,
				plan.churn > 0 ? grown() :
				((long long) found.memory[1] -
				 (long long) found.memory[0]) / 1024);
	else
		fprintf(stderr, " %.0f commits/s, %.0f deliveries/s, "
				"p50 %.3f p99 %.3f max %.3f ms, %.3f s/M",
				per_second((double) WritersCommitted(), found.write_seconds),
				per_second((double) found.delivered, found.write_seconds),
				(double) HistogramQuantile(&delivery_times, 0.5) / 1e6,
				(double) HistogramQuantile(&delivery_times, 0.99) / 1e6,
				(double) delivery_times.max / 1e6,
				found.delivered > 0 ?
				found.write_cpu * 1e6 / (double) found.delivered : 0.0);
	if (!succeeded())
		fprintf(stderr, " FAILED: missing %llu, gaps %llu, doubles %llu, "
				"strays %llu, lost %llu, errors %llu, dropped %d, failed %d%s",
				(unsigned long long) found.missing,
				(unsigned long long) client_counts.gaps,
				(unsigned long long) client_counts.doubles,
				(unsigned long long) client_counts.strays,
				(unsigned long long) client_counts.lost,
				(unsigned long long) client_counts.errors,
				client_counts.dropped, client_counts.failed,
				ProcessesAlive() ? "" : ", a process has gone");
	fprintf(stderr, "\n");
}

static double
own_cpu(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		(double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int
main(int argc, char **argv)
{
	int			option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		if (!take_text(option, optarg))
			take_number(option, optarg);
	}
	if (plan.port == 0 || optind < argc)
		Die("usage: load --port PORT [options, see %s]", "bench/load.c");
	if (plan.per_client > plan.channels)
		Die("a client cannot have more channels than there are");
	(void) signal(SIGPIPE, SIG_IGN);
	(void) signal(SIGTERM, interrupt);
	(void) signal(SIGINT, interrupt);
	raise_descriptor_limit();
	ClientsInit();
	if (plan.source != SOURCE_NONE)
		WritersInit(subscribers());

	found.memory[0] = ProcessesMemory();
	connect_step();
	hold_step();
	found.memory[1] = ProcessesMemory();
	if (plan.source != SOURCE_NONE)
		write_step();
	close_clients();
	(void) run_until(told_to_end, 0.3);
	found.memory[2] = ProcessesMemory();
	found.own_cpu = own_cpu();

	report_words();
	report_json();
	return succeeded() ? 0 : 1;
}
