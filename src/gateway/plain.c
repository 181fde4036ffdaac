/*-------------------------------------------------------------------------
 *
 * plain.c
 *		Reading and writing a client's socket without TLS.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "gateway/connection.h"
#include "gateway/io.h"

static ssize_t
plain_read(Connection *connection, char *buffer, size_t size)
{
	return recv(connection->fd, buffer, size, 0);
}

static ssize_t
plain_write(Connection *connection, const struct iovec *vectors, int n)
{
	struct msghdr message = {0};

	/* Most of the time there is one, and this way is a little shorter. */
	if (n == 1)
		return send(connection->fd, vectors->iov_base, vectors->iov_len,
					MSG_NOSIGNAL);
	message.msg_iov = (struct iovec *) vectors;
	message.msg_iovlen = n;
	return sendmsg(connection->fd, &message, MSG_NOSIGNAL);
}

static void
plain_shutdown(Connection *connection)
{
	shutdown(connection->fd, SHUT_WR);
}

static void
plain_release(Connection *connection)
{
}

static int
plain_events(Connection *connection, int events)
{
	return events;
}

static bool
plain_can_answer(Connection *connection)
{
	return true;
}

const IoOperations plain_io = {
	plain_read, plain_write, plain_shutdown, plain_release, plain_events,
	plain_events, plain_can_answer
};
