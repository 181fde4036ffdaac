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
 * at the end of what comes in.  None of them throws.
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
} IoOperations;

extern const IoOperations plain_io;

#endif							/* QUIZRT_IO_H */
