/*-------------------------------------------------------------------------
 *
 * timer.h
 *		Timers of a gateway, on a clock that never jumps.
 *
 * Milliseconds of the monotonic clock; "now" is read once in each turn of the
 * loop.  A timer is embedded in what it is for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_TIMER_H
#define QUIZRT_TIMER_H

#include "lib/pairingheap.h"

typedef uint64 TimeMs;

#define NEVER	PG_UINT64_MAX

typedef struct Timer
{
	pairingheap_node node;
	TimeMs		due;			/* NEVER: not set */
	void		(*fire) (struct Timer *timer);
} Timer;

/* The time of this turn; ClockRead() brings it up to date. */
extern TimeMs gateway_now;
extern void ClockRead(void);

extern void TimerInit(Timer *timer, void (*fire) (Timer *timer));

/* Set, move or (NEVER) clear.  Allocates nothing. */
extern void TimerSet(Timer *timer, TimeMs due);

/* Fire what is due, at most "max" timers; returns the next due time. */
extern TimeMs TimersRun(int max);

#endif							/* QUIZRT_TIMER_H */
