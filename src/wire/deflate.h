/*-------------------------------------------------------------------------
 *
 * deflate.h
 *		permessage-deflate (RFC 7692), without context between messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_DEFLATE_H
#define QUIZRT_DEFLATE_H

#include "wire/frame.h"
#include "wire/http.h"

/* Room for what DeflateNegotiate() answers with. */
#define DEFLATE_ANSWER_SIZE	128

/*
 * Choose among the extensions that a client offers.  Returns the window bits
 * (8 to 15) that what we send must keep to, with the answer to the client; or
 * 0 where nothing was offered that we can take.
 */
extern int	DeflateNegotiate(HttpText offers, char *answer, size_t size);

typedef enum InflateResult
{
	INFLATE_DONE,
	INFLATE_BROKEN,				/* not what deflate makes */
	INFLATE_TOO_BIG,
	INFLATE_NO_MEMORY
} InflateResult;

/*
 * Inflate a message of at most "max" bytes.  The result is valid until the
 * next call.
 */
extern InflateResult Inflate(const char *bytes, size_t length, size_t max,
							 const char **message, size_t *message_length);

/* Bytes of a compressed message that may become one of "max" bytes. */
extern size_t InflateInputLimit(size_t max);

/*
 * The frame to send for this one to who has negotiated so many window bits:
 * a compressed one, which is kept with the frame for the next to ask, or the
 * frame itself.  No reference is taken.
 */
extern Frame *DeflatedFrame(Frame *frame, int window_bits);

#endif							/* QUIZRT_DEFLATE_H */
