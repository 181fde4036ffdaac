/*-------------------------------------------------------------------------
 *
 * rate_limit.h
 *		How many connections an address has begun in this minute, over all
 *		gateways.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_RATE_LIMIT_H
#define QUIZRT_RATE_LIMIT_H

#include "common/shared.h"

extern const SharedPart rate_limit_part;

/*
 * Count one more connection of an address (16 bytes, as in PeerAddress).
 * False where it is one more than "limit" in the minute that the first one of
 * them began.  Never throws.
 */
extern bool RateLimitCount(const uint8 *address, int limit);

#endif							/* QUIZRT_RATE_LIMIT_H */
