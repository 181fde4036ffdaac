/*-------------------------------------------------------------------------
 *
 * deadline.c
 *		When the next deadline is: what sessions tell the query workers.
 *
 * The next deadline is one atomic number that only gets smaller, until a
 * worker serves it.  It may be too early (the transaction that announced it
 * changed its mind in a savepoint, the attempt was submitted long ago): then
 * a worker looks in vain and finds a better one.  It is never too late:
 *
 *	- A session announces after its commit is visible.
 *	- A worker first sets the number to "none", then takes the snapshot in
 *	  which it looks for the next deadline, and then lowers the number to what
 *	  it found.
 *
 * So a commit that the snapshot doesn't show announces after the number was
 * reset, and is kept.  Each step is an atomic operation with a full barrier.
 *
 * The claim says which worker is looking; only that worker takes it back,
 * also when it leaves.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/deadline.h"
#include "bus/processes.h"
#include "port/atomics.h"

typedef struct SharedDeadline
{
	pg_atomic_uint64 next;		/* a TimestampTz */
	pg_atomic_uint32 claim;		/* the worker's number plus 1; 0: nobody */
} SharedDeadline;

static SharedDeadline *shared = NULL;

static Size
deadline_size(void)
{
	return sizeof(SharedDeadline);
}

static void
deadline_attach(void *memory, bool initialize)
{
	shared = memory;
	if (!initialize)
		return;
	pg_atomic_init_u64(&shared->next, (uint64) DEADLINE_UNKNOWN);
	pg_atomic_init_u32(&shared->claim, 0);
}

const SharedPart deadline_part = {
	"quizrt deadline", deadline_size, deadline_attach
};

bool
DeadlineInUse(void)
{
	return shared != NULL;
}

TimestampTz
DeadlineNext(void)
{
	return (TimestampTz) pg_atomic_read_u64(&shared->next);
}

/* Returns false where the number is as low already. */
static bool
lower(TimestampTz deadline)
{
	uint64		next;

	pg_memory_barrier();
	next = pg_atomic_read_u64(&shared->next);
	while (deadline < (TimestampTz) next)
	{
		if (pg_atomic_compare_exchange_u64(&shared->next, &next,
										   (uint64) deadline))
			return true;
	}
	return false;
}

void
DeadlineAnnounce(TimestampTz deadline)
{
	if (shared != NULL && lower(deadline))
		ProcessWakeAll(PROCESS_QUERY_WORKER);
}

bool
DeadlineClaimed(void)
{
	return pg_atomic_read_u32(&shared->claim) != 0;
}

bool
DeadlineBegin(int worker)
{
	uint32		nobody = 0;

	if (!pg_atomic_compare_exchange_u32(&shared->claim, &nobody,
										(uint32) worker + 1))
		return false;
	(void) pg_atomic_exchange_u64(&shared->next, (uint64) DEADLINE_NONE);
	return true;
}

void
DeadlineEnd(int worker, TimestampTz next, bool goes_on)
{
	uint32		me = (uint32) worker + 1;

	if (lower(next) && !goes_on)
		ProcessWakeAll(PROCESS_QUERY_WORKER);
	(void) pg_atomic_compare_exchange_u32(&shared->claim, &me, 0);
}

void
DeadlineForgetWorker(int worker)
{
	if (shared != NULL &&
		pg_atomic_read_u32(&shared->claim) == (uint32) worker + 1)
		DeadlineEnd(worker, DEADLINE_UNKNOWN, false);
}
