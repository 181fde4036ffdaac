/*-------------------------------------------------------------------------
 *
 * timer.c
 *		Timers of a gateway, in a pairing heap.
 *
 * A connection has one timer, for the earliest of its deadlines, and looks
 * for itself when it fires what was due.  So activity does not touch the
 * heap: a deadline that has moved on is found out when the timer fires.
 *
 * What fires is guarded, as it concerns one connection or topic: who can do
 * better than to forget it, guards its work itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "gateway/guard.h"
#include "gateway/timer.h"

TimeMs		gateway_now = 0;

static int
compare(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	TimeMs		x = pairingheap_const_container(Timer, node, a)->due;
	TimeMs		y = pairingheap_const_container(Timer, node, b)->due;

	/* a pairing heap has its greatest element first */
	return x < y ? 1 : (x > y ? -1 : 0);
}

static pairingheap heap = {compare, NULL, NULL};

void
ClockRead(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	gateway_now = (TimeMs) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
TimerInit(Timer *timer, void (*fire) (Timer *timer))
{
	timer->due = NEVER;
	timer->fire = fire;
}

void
TimerSet(Timer *timer, TimeMs due)
{
	if (timer->due == due)
		return;
	if (timer->due != NEVER)
		pairingheap_remove(&heap, &timer->node);
	timer->due = due;
	if (due != NEVER)
		pairingheap_add(&heap, &timer->node);
}

static void
fire(void *timer)
{
	((Timer *) timer)->fire(timer);
}

TimeMs
TimersRun(int max)
{
	while (!pairingheap_is_empty(&heap))
	{
		Timer	   *timer = pairingheap_container(Timer, node,
												  pairingheap_first(&heap));

		if (timer->due > gateway_now || max-- == 0)
			return timer->due;
		TimerSet(timer, NEVER);
		(void) Guarded(fire, timer);
	}
	return NEVER;
}
