/*-------------------------------------------------------------------------
 *
 * allocations.c
 *		Counting malloc() calls, and letting them fail.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "allocations.h"

long		allocations;
long		failing_allocation;

#if ALLOCATIONS_COUNTED

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *pointer, size_t size);

static bool
may_allocate(void)
{
	allocations++;
	return failing_allocation == 0 || --failing_allocation > 0;
}

void *
malloc(size_t size)
{
	return may_allocate() ? __libc_malloc(size) : NULL;
}

void *
calloc(size_t count, size_t size)
{
	return may_allocate() ? __libc_calloc(count, size) : NULL;
}

void *
realloc(void *pointer, size_t size)
{
	return may_allocate() ? __libc_realloc(pointer, size) : NULL;
}

#endif							/* ALLOCATIONS_COUNTED */
