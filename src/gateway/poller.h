/*-------------------------------------------------------------------------
 *
 * poller.h
 *		Waiting for many sockets: epoll, or kqueue on BSD and macOS.
 *
 * The poller's own descriptor is waited for in a WaitEventSet, together with
 * the latch and the postmaster's death; clients are never in that one, which
 * cannot remove a socket.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_POLLER_H
#define QUIZRT_POLLER_H

#define POLL_READ	1
#define POLL_WRITE	2
/* the peer is gone, or the socket is in error: reading will tell */
#define POLL_HANGUP	4

typedef struct PollEvent
{
	void	   *owner;			/* as given to PollerAdd() */
	int			events;
} PollEvent;

/* Create the poller of this process; throws. */
extern void PollerInit(void);

/* To wait for: readable when an event is there. */
extern int	PollerDescriptor(void);

/* Watch a socket for "events"; false (and errno) where that fails. */
extern bool PollerAdd(int fd, int events, void *owner);

/* Change what a socket is watched for, from "old". */
extern bool PollerChange(int fd, int old, int events, void *owner);

/* Closing the socket removes it from the poller. */

/* What has happened, up to "max"; never waits. */
extern int	PollerCollect(PollEvent *events, int max);

#endif							/* QUIZRT_POLLER_H */
