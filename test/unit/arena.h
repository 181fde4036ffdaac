/*-------------------------------------------------------------------------
 *
 * arena.h
 *		palloc() without a server: one arena, emptied as a whole.
 *
 * In the server the caller of a parser resets a memory context; libpgcommon's
 * palloc() is malloc() and would leak in tests and fuzzers.  Every allocation
 * is a block of its own, so that AddressSanitizer sees overruns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_ARENA_H
#define QUIZRT_ARENA_H

#include <stddef.h>

/* Free all that was palloc'd. */
extern void ArenaReset(void);

/* Bytes that are palloc'd now. */
extern size_t ArenaUsed(void);

#endif							/* QUIZRT_ARENA_H */
