/*-------------------------------------------------------------------------
 *
 * status.h
 *		The security API's last system status.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_STATUS_H
#define QUIZRT_STATUS_H

#include "query/batch.h"

/* A BatchHandler. */
extern void StatusAnswerBatch(Batch *batch, int from, int to);

/* Run the query, to see whether it can be. */
extern void StatusTest(void);

#endif							/* QUIZRT_STATUS_H */
