/*-------------------------------------------------------------------------
 *
 * channels.h
 *		Whose is it, and what is there?
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_CHANNELS_H
#define QUIZRT_CHANNELS_H

#include "query/batch.h"

/* A BatchHandler. */
extern void ChannelsAnswerBatch(Batch *batch, int from, int to);

/* Run the query with nothing to look for, to see whether it can be. */
extern void ChannelsTest(void);

#endif							/* QUIZRT_CHANNELS_H */
