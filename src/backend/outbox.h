/*-------------------------------------------------------------------------
 *
 * outbox.h
 *		The events of the running transaction, until it commits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_OUTBOX_H
#define QUIZRT_OUTBOX_H

#include "bus/event.h"

/*
 * Register the transaction callbacks: once a process, from _PG_init.
 */
extern void OutboxInit(void);

/* Would an event go anywhere?  False costs the caller nothing more. */
extern bool OutboxInUse(void);

/*
 * Add an event to the transaction.  The texts are copied; they are in the
 * database's encoding and are converted to UTF-8 here.  Throws where memory
 * is short, in recovery, or where an event breaks a limit.
 */
extern void OutboxAdd(const Event *event);

/*
 * Add flags of an attempt: those of one transaction become one event, which
 * stands where the first of them stood.  See outbox.c.
 */

#endif							/* QUIZRT_OUTBOX_H */
