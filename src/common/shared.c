/*-------------------------------------------------------------------------
 *
 * shared.c
 *		Size, request and start-up of quizrt's shared memory.
 *
 * The three belong together: what a part asks for in size() is what it gets
 * in attach().  Hooks of libraries loaded before ours are called first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/counters.h"
#include "common/shared.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#define MAX_PARTS	16

LWLockPadded *shared_locks = NULL;

static const SharedPart *parts[MAX_PARTS];
static int	nparts = 0;

static shmem_request_hook_type prev_request_hook = NULL;
static shmem_startup_hook_type prev_startup_hook = NULL;

void
SharedAddPart(const SharedPart *part)
{
	if (nparts >= MAX_PARTS)
		elog(ERROR, "too many parts of shared memory");
	parts[nparts++] = part;
}

bool
SharedAvailable(void)
{
	return shared_locks != NULL;
}

static Size
counters_size(void)
{
	return COUNTER_COUNT * sizeof(pg_atomic_uint64);
}

static void
counters_attach(void *memory, bool initialize)
{
	CountersAttach(memory, initialize);
}

static const SharedPart counters_part = {
	"quizrt counters", counters_size, counters_attach
};

static void
request(void)
{
	if (prev_request_hook)
		prev_request_hook();

	for (int i = 0; i < nparts; i++)
		RequestAddinShmemSpace(MAXALIGN(parts[i]->size()));
	RequestNamedLWLockTranche("quizrt", LOCK_COUNT);
}

static void
startup(void)
{
	if (prev_startup_hook)
		prev_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < nparts; i++)
	{
		bool		found;
		void	   *memory = ShmemInitStruct(parts[i]->name,
											 parts[i]->size(), &found);

		parts[i]->attach(memory, !found);
	}
	LWLockRelease(AddinShmemInitLock);
	shared_locks = GetNamedLWLockTranche("quizrt");
}

void
SharedInstallHooks(void)
{
	SharedAddPart(&counters_part);
	prev_request_hook = shmem_request_hook;
	shmem_request_hook = request;
	prev_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup;
}
