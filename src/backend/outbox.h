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
#include "datatype/timestamp.h"

/*
 * Register the transaction callbacks: once a process, from _PG_init, and
 * before SettingsDefine() (debug builds define settings here).
 */
extern void OutboxInit(void);

/* Is this the database that quizrt.database names? */
extern bool DatabaseIsServed(void);

/*
 * Would an event go anywhere?  It would if there is a ring, a gateway to read
 * it, and this is the database that is served: ids of another database would
 * be taken for those of this one.  False costs the caller nothing more.
 */
extern bool OutboxInUse(void);

/*
 * Add an event to the transaction.  The texts are copied; they are in the
 * database's encoding and are converted to UTF-8 here.  Throws where memory
 * is short, or where an event breaks a limit.
 */
extern void OutboxAdd(const Event *event);

/*
 * The same for what a trigger rendered.  The writer is not to fail for data
 * over the size limit: its topics are resynchronised instead.
 */
extern void OutboxAddOrResync(const Event *event);

/*
 * A flag of an attempt.  The flags that one transaction raises for one
 * attempt become one event, which stands where the first of them stood.
 * "head" is that event, its data a JSON object that is still open: the labels
 * and the time of the latest flag are added to it.
 */
extern void OutboxAddFlag(const Event *head, const char *attempt,
						  const char *label, TimestampTz flagged_at);

#endif							/* QUIZRT_OUTBOX_H */
