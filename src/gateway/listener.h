/*-------------------------------------------------------------------------
 *
 * listener.h
 *		The sockets that a gateway accepts clients on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_LISTENER_H
#define QUIZRT_LISTENER_H

#include "gateway/poller.h"
#include "gateway/timer.h"

/* How many connections the process has descriptors for. */
extern void ListenersSetCapacity(int connections);

extern void ListenersInit(int gateway);

/*
 * Open what the settings ask for and is not open yet, close what they don't
 * ask for any more.  What can't be opened is said once in the log, and tried
 * again at the returned time.
 */
extern TimeMs ListenersRun(void);

/* The settings may have changed. */
extern void ListenersReload(void);

/* Is this a listener's event?  Then its clients are accepted. */
extern bool ListenerPolled(void *owner);

/* Close all: no more clients. */
extern void ListenersClose(void);

#endif							/* QUIZRT_LISTENER_H */
