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

extern PGDLLEXPORT void QueryWorkerMain(Datum slot);

#endif							/* QUIZRT_WORKER_H */
