/*-------------------------------------------------------------------------
 *
 * poller.c
 *		Waiting for many sockets: epoll, or kqueue on BSD and macOS.
 *
 * Level-triggered: what a bounded turn leaves unread is reported again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#ifdef HAVE_SYS_EPOLL_H
#include <sys/epoll.h>
#else
#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>
#endif

#include "gateway/poller.h"

#define MAX_COLLECT	512

static int	poller = -1;

int
PollerDescriptor(void)
{
	return poller;
}

#ifdef HAVE_SYS_EPOLL_H

void
PollerInit(void)
{
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not create the gateway's epoll set: %m")));
}

static bool
control(int operation, int fd, int events, void *owner)
{
	struct epoll_event event = {0};

	if (events & POLL_READ)
		event.events |= EPOLLIN;
	if (events & POLL_WRITE)
		event.events |= EPOLLOUT;
	event.data.ptr = owner;
	return epoll_ctl(poller, operation, fd, &event) == 0;
}

bool
PollerAdd(int fd, int events, void *owner)
{
	return control(EPOLL_CTL_ADD, fd, events, owner);
}

bool
PollerChange(int fd, int old, int events, void *owner)
{
	return old == events || control(EPOLL_CTL_MOD, fd, events, owner);
}

int
PollerCollect(PollEvent *events, int max)
{
	struct epoll_event ready[MAX_COLLECT];
	int			n = epoll_wait(poller, ready, Min(max, MAX_COLLECT), 0);

	for (int i = 0; i < n; i++)
	{
		events[i].owner = ready[i].data.ptr;
		events[i].events =
			((ready[i].events & EPOLLIN) ? POLL_READ : 0) |
			((ready[i].events & EPOLLOUT) ? POLL_WRITE : 0) |
			((ready[i].events & (EPOLLERR | EPOLLHUP)) ? POLL_HANGUP : 0);
	}
	return Max(n, 0);
}

#else							/* kqueue */

void
PollerInit(void)
{
	poller = kqueue();
	if (poller < 0)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not create the gateway's kqueue: %m")));
}

bool
PollerChange(int fd, int old, int events, void *owner)
{
	struct kevent changes[2];
	int			n = 0;

	if ((old ^ events) & POLL_READ)
		EV_SET(&changes[n++], fd, EVFILT_READ,
			   (events & POLL_READ) ? EV_ADD : EV_DELETE, 0, 0, owner);
	if ((old ^ events) & POLL_WRITE)
		EV_SET(&changes[n++], fd, EVFILT_WRITE,
			   (events & POLL_WRITE) ? EV_ADD : EV_DELETE, 0, 0, owner);
	return n == 0 || kevent(poller, changes, n, NULL, 0, NULL) == 0;
}

bool
PollerAdd(int fd, int events, void *owner)
{
	return PollerChange(fd, 0, events, owner);
}

int
PollerCollect(PollEvent *events, int max)
{
	static const struct timespec at_once = {0, 0};
	struct kevent ready[MAX_COLLECT];
	int			n = kevent(poller, NULL, 0, ready, Min(max, MAX_COLLECT),
						   &at_once);

	for (int i = 0; i < n; i++)
	{
		events[i].owner = ready[i].udata;
		events[i].events =
			(ready[i].filter == EVFILT_READ ? POLL_READ : POLL_WRITE) |
			((ready[i].flags & EV_EOF) ? POLL_HANGUP : 0);
	}
	return Max(n, 0);
}

#endif
