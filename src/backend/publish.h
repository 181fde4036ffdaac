/*-------------------------------------------------------------------------
 *
 * publish.h
 *		What the functions by which an application publishes have in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_PUBLISH_H
#define QUIZRT_PUBLISH_H

#include "bus/event.h"
#include "fmgr.h"

/* Nothing that is published on a standby would reach anybody. */
extern void RefuseInRecovery(void);

/* The text of a JSON value without the blanks around it; an error where it is
 * no object. */
extern EventText JsonObjectText(const text *json);

/* A text argument; an error where it is null or empty.  "what" names it. */
extern char *RequiredText(FunctionCallInfo fcinfo, int argument,
						  const char *what);

/* Hand an event to the transaction, where it would go anywhere. */
extern void PublishEvent(const Event *event);

#endif							/* QUIZRT_PUBLISH_H */
