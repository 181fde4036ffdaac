/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *		What the fuzzers share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_FUZZ_H
#define QUIZRT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise of the code under test. */
#define HOLDS(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: does not hold: %s\n", \
					__FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/*
 * A copy in a block of exactly that size (the caller frees it): libFuzzer's
 * own buffer may be larger.
 */
static inline char *
exact_copy(const void *bytes, size_t length)
{
	char	   *copy = malloc(length > 0 ? length : 1);

	if (copy == NULL)
		abort();
	if (length > 0)
		__builtin_memcpy(copy, bytes, length);
	return copy;
}

#endif							/* QUIZRT_FUZZ_H */
