/*-------------------------------------------------------------------------
 *
 * deadline_watch.h
 *		Deadlines that this transaction sets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_DEADLINE_WATCH_H
#define QUIZRT_DEADLINE_WATCH_H

#include "datatype/timestamp.h"

/* Postmaster, from _PG_init: have the hooks called in every session. */
extern void DeadlineWatchInit(void);

/*
 * An open attempt has this deadline, if the transaction commits;
 * DEADLINE_UNKNOWN where that can't be told here.
 */
extern void DeadlineWatch(TimestampTz deadline);

#endif							/* QUIZRT_DEADLINE_WATCH_H */
