/*-------------------------------------------------------------------------
 *
 * reconnect.h
 *		For dialects whose messages can't be made good: who missed some is
 *		made to connect again.
 *
 * These are members of such a dialect's struct.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_RECONNECT_H
#define QUIZRT_RECONNECT_H

#include "bus/event.h"
#include "gateway/connection.h"

/* caught_up: the client was too slow, and something was left out. */
extern void ReconnectCaughtUp(Connection *connection);

/* event: updates of some topics were too many for the ring. */
extern void ReconnectEvent(const Event *event);

/* lost: updates were lost, and it is not known which. */
extern void ReconnectLost(void);

#endif							/* QUIZRT_RECONNECT_H */
