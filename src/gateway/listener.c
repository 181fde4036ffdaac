/*-------------------------------------------------------------------------
 *
 * listener.c
 *		The sockets that a gateway accepts clients on.
 *
 * Several gateways listen on one port with SO_REUSEPORT, and the kernel
 * spreads the clients.  It would also let a second cluster of the same user
 * share our port silently.  So a gateway that finds none of its fellows
 * listening binds without that option first, which fails if anybody has the
 * port, and only then with it; the others wait for the first one.
 *
 * A Unix-domain socket can't be shared, so the first gateway has them all.
 *
 * Where TLS is wanted and there is no certificate that can be used, the port
 * isn't listened on: better nobody is served than somebody in the clear.
 * Unix-domain sockets are always plain, as they don't leave the machine.
 *
 * Out of descriptors, or of those that clients may have, accepting would be
 * tried in vain in every turn, as the client stays in the backlog: it pauses
 * for a moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bus/processes.h"
#include "common/settings.h"
#include "gateway/connection.h"
#include "gateway/listener.h"
#include "gateway/tls.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#define MAX_LISTENERS	64
#define BACKLOG			4096
#define ACCEPTS_A_TURN	256

/* Before what failed is tried again, in milliseconds. */
#define FIRST_RETRY		250
#define LAST_RETRY		30000
#define ACCEPT_PAUSE	100

typedef struct Listener
{
	int			fd;
	struct sockaddr_storage address;
	socklen_t	length;
	bool		wanted;			/* the settings ask for it */
} Listener;

static int	gateway_number;
static Listener listeners[MAX_LISTENERS];
static int	nlisteners = 0;

static bool up_to_date = false;
static TimeMs retry_at = 0;
static int	retry_after = FIRST_RETRY;
static StringInfoData complaints;
static char *last_complaints;
static Timer accept_timer;
static int	capacity = PG_INT32_MAX;

static void
resume_accepting(Timer *timer)
{
	for (int i = 0; i < nlisteners; i++)
		(void) PollerChange(listeners[i].fd, 0, POLL_READ, &listeners[i]);
}

static void
pause_accepting(void)
{
	static TimeMs complained = 0;

	if (gateway_now - complained >= 60000 || complained == 0)
	{
		ereport(LOG,
				(errcode_for_socket_access(),
				 errmsg("quizrt: could not accept a client: %m")));
		complained = gateway_now;
	}
	for (int i = 0; i < nlisteners; i++)
		(void) PollerChange(listeners[i].fd, POLL_READ, 0, &listeners[i]);
	TimerSet(&accept_timer, gateway_now + ACCEPT_PAUSE);
}

void
ListenersSetCapacity(int connections)
{
	capacity = connections;
}

static bool
has_capacity(void)
{
	int			held = 0;

	for (int i = 0; i < CONNECTION_STATES; i++)
		held += connection_count[i];
	return held < capacity;
}

void
ListenersInit(int gateway)
{
	gateway_number = gateway;
	initStringInfo(&complaints);
	TimerInit(&accept_timer, resume_accepting);
}

/* Note what is wrong; said at the end of the run. */
static void
complain(const char *what, const char *where, const char *why)
{
	if (complaints.len > 0)
		appendStringInfoString(&complaints, "; ");
	appendStringInfo(&complaints, "could not %s \"%s\": %s", what, where, why);
}

/* Say what was wrong in this run, unless it is what was said last. */
static void
say_complaints(void)
{
	if (complaints.len > 0 && (last_complaints == NULL ||
							   strcmp(last_complaints, complaints.data) != 0))
	{
		ereport(LOG,
				(errmsg("quizrt: %s", complaints.data),
				 errhint("It is tried again until it works.")));
		if (last_complaints != NULL)
			pfree(last_complaints);
		last_complaints = MemoryContextStrdup(TopMemoryContext,
											  complaints.data);
	}
	resetStringInfo(&complaints);
}

static void
describe(const struct sockaddr_storage *address, socklen_t length,
		 char *buffer, size_t size)
{
	char		host[NI_MAXHOST];
	char		port[NI_MAXSERV];

	if (address->ss_family == AF_UNIX)
		strlcpy(buffer, ((const struct sockaddr_un *) address)->sun_path, size);
	else if (getnameinfo((const struct sockaddr *) address, length, host,
						 sizeof(host), port, sizeof(port),
						 NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		snprintf(buffer, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host,
				 port);
	else
		strlcpy(buffer, "?", size);
}

/* A socket bound to the address, or -1 and errno. */
static int
bind_socket(const struct sockaddr_storage *address, socklen_t length,
			bool shared)
{
	int			on = 1;
	int			fd = socket(address->ss_family, SOCK_STREAM, 0);
	int			failure;

	if (fd < 0)
		return -1;
	if (address->ss_family != AF_UNIX &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		goto failed;
	if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
							 sizeof(on)) < 0)
		goto failed;
	if (address->ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		goto failed;
	if (bind(fd, (const struct sockaddr *) address, length) == 0)
		return fd;

failed:
	failure = errno;
	close(fd);
	errno = failure;
	return -1;
}

/* Remove a socket file that nobody listens on any more. */
static void
remove_stale(const struct sockaddr_storage *address, socklen_t length)
{
	int			fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *) address, length) < 0 &&
		errno == ECONNREFUSED)
		(void) unlink(((const struct sockaddr_un *) address)->sun_path);
	close(fd);
}

static bool
others_listen(void)
{
	return ListeningCount(gateway_number) > 0;
}

/* As bind_socket(), with what the head of this file says. */
static int
bind_fairly(const struct sockaddr_storage *address, socklen_t length)
{
	int			probe;

	if (address->ss_family == AF_UNIX)
	{
		remove_stale(address, length);
		return bind_socket(address, length, false);
	}
	if (quizrt_gateways == 1)
		return bind_socket(address, length, false);
	if (!others_listen())
	{
		probe = bind_socket(address, length, false);
		if (probe < 0)
			return -1;
		close(probe);
	}
	return bind_socket(address, length, true);
}

typedef enum Wanted
{
	WANTED_LISTENING,
	WANTED_FAILED,
	WANTED_NO_SUCH_ADDRESS		/* the machine doesn't have it, IPv6 say */
} Wanted;

static Wanted
add_listener(const struct sockaddr_storage *address, socklen_t length)
{
	char		where[NI_MAXHOST + NI_MAXSERV + 4];
	Listener   *listener = &listeners[nlisteners];
	int			fd;

	describe(address, length, where, sizeof(where));
	if (nlisteners == MAX_LISTENERS)
	{
		complain("listen on", where, "too many addresses");
		return WANTED_FAILED;
	}
	fd = bind_fairly(address, length);
	if (fd < 0 && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT))
		return WANTED_NO_SUCH_ADDRESS;
	if (fd < 0)
	{
		complain("bind to", where, strerror(errno));
		return WANTED_FAILED;
	}
	if (listen(fd, BACKLOG) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
		fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
		!PollerAdd(fd, POLL_READ, listener))
	{
		complain("listen on", where, strerror(errno));
		close(fd);
		return WANTED_FAILED;
	}
	listener->fd = fd;
	listener->address = *address;
	listener->length = length;
	listener->wanted = true;
	nlisteners++;
	ereport(LOG, (errmsg("quizrt gateway %d is listening on %s",
						 gateway_number + 1, where)));
	return WANTED_LISTENING;
}

/* Listen there, or go on doing so. */
static Wanted
want(const struct sockaddr_storage *address, socklen_t length)
{
	for (int i = 0; i < nlisteners; i++)
	{
		if (listeners[i].length == length &&
			memcmp(&listeners[i].address, address, length) == 0)
		{
			listeners[i].wanted = true;
			return WANTED_LISTENING;
		}
	}
	return add_listener(address, length);
}

/* All addresses of a host that the machine has, and at least one. */
static bool
want_addresses(const char *host, const struct addrinfo *found)
{
	int			listening = 0;
	int			failed = 0;

	for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
	{
		struct sockaddr_storage address = {0};
		Wanted		result;

		if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
			continue;
		memcpy(&address, at->ai_addr, at->ai_addrlen);
		result = want(&address, at->ai_addrlen);
		listening += result == WANTED_LISTENING;
		failed += result == WANTED_FAILED;
	}
	if (listening == 0 && failed == 0)
		complain("listen on", host, "this machine does not have the address");
	return listening > 0 && failed == 0;
}

static bool
want_host(const char *host)
{
	struct addrinfo hints = {0};
	struct addrinfo *found;
	char		port[16];
	bool		done;
	int			failure;

	hints.ai_family = AF_UNSPEC;
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_PASSIVE;
	snprintf(port, sizeof(port), "%d", quizrt_port);
	failure = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints,
						  &found);
	if (failure != 0)
	{
		complain("resolve", host, gai_strerror(failure));
		return false;
	}
	done = want_addresses(host, found);
	freeaddrinfo(found);
	return done;
}

static bool
want_directory(const char *directory)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_un *un = (struct sockaddr_un *) &address;
	int			length;

	un->sun_family = AF_UNIX;
	length = snprintf(un->sun_path, sizeof(un->sun_path), "%s/.s.quizrt.%d",
					  directory, quizrt_port);
	if (length >= (int) sizeof(un->sun_path))
	{
		complain("listen in", directory, "the path is too long");
		return true;
	}
	return want(&address, sizeof(struct sockaddr_un)) == WANTED_LISTENING;
}

/* Call for each element of a comma-separated setting. */
static bool
for_each_name(const char *setting, bool (*function) (const char *name))
{
	char	   *copy = pstrdup(setting);
	List	   *names = NIL;
	ListCell   *cell;
	bool		done = true;

	if (!SplitGUCList(copy, ',', &names))
		complain("understand", setting, "not a list of names");
	foreach(cell, names)
	{
		if (!function((const char *) lfirst(cell)))
			done = false;
	}
	list_free(names);
	pfree(copy);
	return done;
}

static void
close_listener(int index)
{
	Listener   *listener = &listeners[index];

	if (listener->address.ss_family == AF_UNIX)
		(void) unlink(((struct sockaddr_un *) &listener->address)->sun_path);
	close(listener->fd);
	listener->fd = -1;
}

/* Close what is not wanted; the poller knows listeners by their place, so
 * those behind are registered anew. */
static void
close_unwanted(void)
{
	int			kept = 0;

	for (int i = 0; i < nlisteners; i++)
	{
		if (!listeners[i].wanted)
		{
			close_listener(i);
			continue;
		}
		if (kept != i)
		{
			listeners[kept] = listeners[i];
			(void) PollerChange(listeners[kept].fd, 0, POLL_READ,
								&listeners[kept]);
		}
		kept++;
	}
	nlisteners = kept;
}

/* Several gateways: wait until the first one has the port. */
static bool
is_our_turn(void)
{
	return gateway_number == 0 || quizrt_gateways == 1 || others_listen() ||
		ProcessId(PROCESS_GATEWAY, 0) == 0;
}

TimeMs
ListenersRun(void)
{
	bool		done;

	if (up_to_date && gateway_now < TlsRenewal())
		return TlsRenewal();
	if (gateway_now < retry_at)
		return retry_at;
	if (!is_our_turn())
		return retry_at = gateway_now + FIRST_RETRY;

	for (int i = 0; i < nlisteners; i++)
		listeners[i].wanted = false;
	done = TlsLoad(complain);
	if ((!TlsWanted() || TlsReady()) &&
		!for_each_name(quizrt_listen_addresses, want_host))
		done = false;
	if (gateway_number == 0 &&
		!for_each_name(quizrt_unix_socket_directories, want_directory))
		done = false;
	close_unwanted();
	say_complaints();
	ListeningSet(gateway_number, nlisteners > 0);

	up_to_date = done;
	if (done)
	{
		retry_after = FIRST_RETRY;
		return TlsRenewal();
	}
	retry_at = gateway_now + retry_after;
	retry_after = Min(retry_after * 2, LAST_RETRY);
	return retry_at;
}

void
ListenersReload(void)
{
	up_to_date = false;
	TlsReload();
	retry_at = 0;
	retry_after = FIRST_RETRY;
	if (last_complaints != NULL)
		pfree(last_complaints);
	last_complaints = NULL;
}

static void
accept_some(Listener *listener)
{
	for (int i = 0; i < ACCEPTS_A_TURN; i++)
	{
		struct sockaddr_storage peer = {0};
		socklen_t	length = sizeof(peer);
		int			fd = -1;

		if (has_capacity())
			fd = accept4(listener->fd, (struct sockaddr *) &peer, &length,
						 SOCK_NONBLOCK | SOCK_CLOEXEC);
		else
			errno = EMFILE;
		if (fd >= 0)
		{
			ConnectionAccept(fd, &peer);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			errno == ENOBUFS)
			pause_accepting();
		return;
	}
}

bool
ListenerPolled(void *owner)
{
	Listener   *listener = owner;

	if (listener < listeners || listener >= listeners + MAX_LISTENERS)
		return false;
	if (listener->fd >= 0)
		accept_some(listener);
	return true;
}

void
ListenersClose(void)
{
	for (int i = 0; i < nlisteners; i++)
		close_listener(i);
	nlisteners = 0;
	up_to_date = true;
	ListeningSet(gateway_number, false);
}
