/*-------------------------------------------------------------------------
 *
 * proxy.c
 *		Who the client is behind a proxy.
 *
 * Limits by address are worth something only if nobody can choose the address
 * that he is counted under.  So what is said about a client is believed from
 * the addresses in quizrt.trusted_proxies only, and of a list of addresses
 * only as far as trusted ones have written it: from its end to the first that
 * is no trusted proxy.
 *
 * With quizrt.proxy_protocol every connection over the network begins with a
 * PROXY header and comes from a trusted proxy; any other is closed.  The
 * header is read by an implementation of IoOperations of its own, which makes
 * place for the plain one or TLS when it has all of it.  It shares the
 * deadline of the request's head.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "common/counters.h"
#include "common/settings.h"
#include "gateway/proxy.h"
#include "gateway/tls.h"
#include "wire/proxy_header.h"

typedef struct ProxyState
{
	size_t		length;
	char		bytes[PROXY_HEADER_SIZE];
} ProxyState;

static bool
is_trusted(const NetAddress *address)
{
	return NetAddressListHas(quizrt_trusted_proxies, address);
}

/* Who isn't trusted may come again and again: say so now and then. */
static void
complain(const Connection *connection)
{
	static TimeMs complained = 0;
	char		address[64];

	CounterAdd(COUNTER_PROXY_REFUSED, 1);
	if (complained != 0 && gateway_now - complained < 60000)
		return;
	complained = gateway_now;
	PeerAddressFormat(&connection->peer, address, sizeof(address));
	ereport(LOG,
			(errmsg("quizrt: closed a connection from %s", address),
			 errdetail("quizrt.proxy_protocol is on, and quizrt.trusted_proxies does not have the address.")));
}

bool
ProxyStart(Connection *connection)
{
	ProxyState *state;

	if (!is_trusted(&connection->peer))
	{
		complain(connection);
		return false;
	}
	state = malloc(sizeof(ProxyState));
	if (state == NULL)
		return false;
	state->length = 0;
	connection->io = &proxy_io;
	connection->io_state = state;
	return true;
}

/* The header is complete: go on with what comes after it. */
static bool
finish(Connection *connection, const ProxyHeader *header)
{
	if (header->has_client)
		connection->peer = header->client;
	free(connection->io_state);
	connection->io_state = NULL;
	connection->io = &plain_io;
	return !TlsWanted() || TlsStart(connection);
}

static ssize_t
proxy_read(Connection *connection, char *buffer, size_t size)
{
	ProxyState *state = connection->io_state;

	for (;;)
	{
		ProxyHeader header;
		size_t		wanted;
		ssize_t		n;

		switch (ProxyHeaderParse(state->bytes, state->length, &header,
								 &wanted))
		{
			case PROXY_COMPLETE:
				if (finish(connection, &header))
					return connection->io->read(connection, buffer, size);
				errno = ENOMEM;
				return -1;
			case PROXY_MALFORMED:
				CounterAdd(COUNTER_PROXY_REFUSED, 1);
				errno = EPROTO;
				return -1;
			case PROXY_INCOMPLETE:
				break;
		}
		Assert(wanted > state->length && wanted <= PROXY_HEADER_SIZE);
		n = recv(connection->fd, state->bytes + state->length,
				 wanted - state->length, 0);
		if (n <= 0)
			return n;
		state->length += n;
	}
}

/* Nothing is said before the client is known. */
static ssize_t
proxy_write(Connection *connection, const struct iovec *vectors, int n)
{
	errno = EPIPE;
	return -1;
}

static void
proxy_shutdown(Connection *connection)
{
	shutdown(connection->fd, SHUT_WR);

	/* what still comes is thrown away as it is */
	free(connection->io_state);
	connection->io_state = NULL;
	connection->io = &plain_io;
}

static void
proxy_release(Connection *connection)
{
	free(connection->io_state);
	connection->io_state = NULL;
}

static int
proxy_events(Connection *connection, int events)
{
	return events;
}

static bool
proxy_can_answer(Connection *connection)
{
	return false;
}

const IoOperations proxy_io = {
	proxy_read, proxy_write, proxy_shutdown, proxy_release, proxy_events,
	proxy_events, proxy_can_answer
};

/*
 * Headers
 */

/* Cut the last element off a comma-separated list; false where it is empty. */
static bool
cut_last(HttpText *list, HttpText *element)
{
	size_t		start = list->length;

	if (list->bytes == NULL || list->length == 0)
		return false;
	while (start > 0 && list->bytes[start - 1] != ',')
		start--;
	element->bytes = list->bytes + start;
	element->length = list->length - start;
	list->length = start > 0 ? start - 1 : 0;
	while (element->length > 0 && (element->bytes[0] == ' ' ||
								   element->bytes[0] == '\t'))
	{
		element->bytes++;
		element->length--;
	}
	while (element->length > 0 &&
		   (element->bytes[element->length - 1] == ' ' ||
			element->bytes[element->length - 1] == '\t'))
		element->length--;
	return true;
}

/* An address; some proxies write a port after it, or brackets around. */
static bool
parse_client(HttpText text, NetAddress *client)
{
	const char *end;

	if (text.length > 0 && text.bytes[0] == '[')
	{
		end = memchr(text.bytes, ']', text.length);
		return end != NULL &&
			NetAddressParse(text.bytes + 1, end - text.bytes - 1, client);
	}
	end = text.length > 0 ? memchr(text.bytes, ':', text.length) : NULL;
	if (end != NULL && memchr(text.bytes, '.', end - text.bytes) != NULL)
		text.length = end - text.bytes;
	return NetAddressParse(text.bytes, text.length, client);
}

void
ProxyApply(Connection *connection, const HttpRequest *request)
{
	HttpText	list = request->forwarded_for;
	HttpText	proto = request->forwarded_proto;
	HttpText	element;
	NetAddress	client;

	if (!is_trusted(&connection->peer))
		return;
	while (is_trusted(&connection->peer) && cut_last(&list, &element) &&
		   parse_client(element, &client))
		connection->peer = client;
	if (cut_last(&proto, &element))
		connection->encrypted = HttpTextIs(element, "https") ||
			HttpTextIs(element, "wss");
}
