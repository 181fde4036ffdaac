/*-------------------------------------------------------------------------
 *
 * io.h
 *		Reading and writing a client's socket: plain or TLS.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_IO_H
#define QUIZRT_IO_H

#include <sys/uio.h>

struct Connection;

/*
 * Results are as of the system calls: -1 with EAGAIN where it would wait, 0
 * at the end of what comes in.  EPROTO is an error of TLS, which the peer is
 * being told.  A write that would wait may promise bytes of the connection's
 * output queue (output.h).  None of them throws.
 */
typedef struct IoOperations
{
	ssize_t		(*read) (struct Connection *connection, char *buffer,
						 size_t size);
	ssize_t		(*write) (struct Connection *connection,
						  const struct iovec *vectors, int n);
	/* nothing more will be written */
	void		(*shutdown) (struct Connection *connection);
	/* the socket is about to be closed */
	void		(*release) (struct Connection *connection);

	/* What the socket has to be watched for by who waits for these events,
	 * and which of them the socket's events mean; see poller.h. */
	int			(*watch) (struct Connection *connection, int events);
	int			(*happened) (struct Connection *connection, int events);

	/* Could an answer be sent, or is there more to be agreed on first? */
	bool		(*can_answer) (struct Connection *connection);
} IoOperations;

extern const IoOperations plain_io;
extern const IoOperations tls_io;
extern const IoOperations proxy_io;

#endif							/* QUIZRT_IO_H */
