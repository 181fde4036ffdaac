/*-------------------------------------------------------------------------
 *
 * output.h
 *		What waits to be sent to one client: references to frames.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_OUTPUT_H
#define QUIZRT_OUTPUT_H

#include <sys/uio.h>

#include "wire/frame.h"

/*
 * What a frame costs besides its bytes, nearly: so that many small ones (the
 * pongs of a flood of pings) count for what they are.
 */
#define FRAME_COST		48

/* Frames that a queue holds without memory of its own. */
#define OUTPUT_INLINE	4

/*
 * A ring of references; the first frame may have been sent in part.  Nothing
 * here throws.
 */
typedef struct OutputQueue
{
	Frame	  **frames;			/* "inlined", or malloc'd */
	uint32		first;
	uint32		count;
	uint32		size;			/* a power of two */
	uint32		sent;			/* bytes of the first frame */
	uint32		promised;		/* bytes after those that the next write begins
								 * with, set by who writes */
	Size		bytes;			/* of all frames that are not exempt */
	Size		exempt_bytes;	/* of those that are */
	Frame	   *inlined[OUTPUT_INLINE];
} OutputQueue;

extern void OutputInit(OutputQueue *queue);

/* Append; takes a reference.  False where memory is short. */
extern bool OutputAppend(OutputQueue *queue, Frame *frame);

/*
 * Put a control frame before the data that is waiting, but not into the
 * middle of a frame that has been sent in part, nor before promised bytes.
 */
extern bool OutputPrepend(OutputQueue *queue, Frame *frame);

/* What to write next: fills up to "max" vectors, returns how many. */
extern int	OutputVectors(const OutputQueue *queue, struct iovec *vectors,
						  int max);

/* So many bytes have been written. */
extern void OutputAdvance(OutputQueue *queue, size_t written);

/* Give all references up. */
extern void OutputClear(OutputQueue *queue);

#endif							/* QUIZRT_OUTPUT_H */
