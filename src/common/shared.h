/*-------------------------------------------------------------------------
 *
 * shared.h
 *		The shared memory of quizrt: who asks for it, and the locks.
 *
 * What crosses processes lives in parts.  A part says its size and how it is
 * initialised; shared.c asks PostgreSQL for the memory and calls the parts.
 * Shared memory holds no pointer or descriptor of one process.
 *
 * Lock order: none of these locks is taken while another of them is held.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_SHARED_H
#define QUIZRT_SHARED_H

#include "storage/lwlock.h"

typedef struct SharedPart
{
	const char *name;
	/* bytes needed; called when all settings are known */
	Size		(*size) (void);
	/* called once in the postmaster (and after a crash) with "initialize",
	 * and without it in each process of an EXEC_BACKEND build */
	void		(*attach) (void *memory, bool initialize);
} SharedPart;

typedef enum SharedLock
{
	LOCK_RING,					/* reserving and marking entries */
	LOCK_MAILBOX,				/* the lists of questions */
	LOCK_REPORTS,				/* asking gateways for their connections */
	LOCK_SECURITY,				/* the rate limit */
	LOCK_COUNT
} SharedLock;

/* The locks, once attached; NULL where the library was not preloaded. */
extern LWLockPadded *shared_locks;

#define SharedLockOf(id) (&shared_locks[(id)].lock)

/* Postmaster, from _PG_init: add a part (kept by reference, never freed). */
extern void SharedAddPart(const SharedPart *part);

/* Postmaster, from _PG_init, after the parts: chain into the hooks. */
extern void SharedInstallHooks(void);

/* Is there shared memory of ours, i.e. was the library preloaded? */
extern bool SharedAvailable(void);

#endif							/* QUIZRT_SHARED_H */
