/*-------------------------------------------------------------------------
 *
 * events.h
 *		What a gateway does with an event that has committed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_EVENTS_H
#define QUIZRT_EVENTS_H

#include "bus/event.h"

/* Deliver one event to whom it concerns. */
extern void EventDispatch(const Event *event);

/* Events were lost and it is not known which: everybody resynchronises. */
extern void EventsLost(void);

#endif							/* QUIZRT_EVENTS_H */
