/*-------------------------------------------------------------------------
 *
 * allocations.h
 *		Counting malloc() calls, and letting them fail.
 *
 * Works by taking malloc()'s place, which glibc allows; elsewhere, and under
 * AddressSanitizer, ALLOCATIONS_COUNTED is 0 and tests skip what needs it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_ALLOCATIONS_H
#define QUIZRT_ALLOCATIONS_H

#include <stdlib.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define ALLOCATIONS_COUNTED 1
#else
#define ALLOCATIONS_COUNTED 0
#endif

/* Calls so far. */
extern long allocations;

/* The call that fails, counted from now; 0 for none. */
extern long failing_allocation;

#endif							/* QUIZRT_ALLOCATIONS_H */
