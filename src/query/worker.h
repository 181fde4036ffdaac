/*-------------------------------------------------------------------------
 *
 * worker.h
 *		The query worker: what launcher.c needs to start one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_WORKER_H
#define QUIZRT_WORKER_H

#include "bus/question.h"

/* The worker's title: "quizrt query worker 1" for slot 0. */
#define QUERY_WORKER_TYPE	"quizrt query worker"

/*
 * Is nobody dropping, renaming or copying this database?  Who does has to wait
 * for connections to end, and new ones wait for it.  In a transaction.
 */
extern bool DatabaseIsFree(Oid database);

/*
 * Begin the transaction in which queries run: read only, as the extension's
 * owner, with a pinned search_path and a statement timeout.  False, and no
 * transaction, where the extension isn't there.
 */
extern bool WorkerBegin(SnapshotJoin *join);
extern void WorkerEnd(void);

extern PGDLLEXPORT void QueryWorkerMain(Datum slot);

#endif							/* QUIZRT_WORKER_H */
