/*-------------------------------------------------------------------------
 *
 * worker.h
 *		The query worker: what launcher.c needs to start one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_WORKER_H
#define QUIZRT_WORKER_H

/* The worker's title: "quizrt query worker 1" for slot 0. */
#define QUERY_WORKER_TYPE	"quizrt query worker"

/*
 * Is nobody dropping, renaming or copying this database?  Who does has to wait
 * for connections to end, and new ones wait for it.  In a transaction.
 */
extern bool DatabaseIsFree(Oid database);

extern PGDLLEXPORT void QueryWorkerMain(Datum slot);

#endif							/* QUIZRT_WORKER_H */
