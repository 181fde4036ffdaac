/*-------------------------------------------------------------------------
 *
 * processes.c
 *		Who of quizrt's processes is running, and how to wake them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/processes.h"
#include "common/compat.h"
#include "port/pg_bitutils.h"

/* Written by the slot's process only; read by all without a lock. */
typedef struct ProcessSlot
{
	pg_atomic_uint32 pid;		/* 0: nobody */
	pg_atomic_uint32 procno;	/* valid while pid isn't 0 */
} ProcessSlot;

typedef struct Processes
{
	ProcessSlot launcher;
	ProcessSlot gateways[MAX_GATEWAYS];
	ProcessSlot query_workers[MAX_QUERY_WORKERS];
	pg_atomic_uint32 database_state;
	pg_atomic_uint32 draining;
	pg_atomic_uint64 listening; /* a bit for each gateway */
	pg_atomic_uint64 attentive; /* likewise */
	pg_atomic_uint64 last_connection_id;
} Processes;

static Processes *processes = NULL;

static Size
processes_size(void)
{
	return sizeof(Processes);
}

static void
init_slot(ProcessSlot *slot)
{
	pg_atomic_init_u32(&slot->pid, 0);
	pg_atomic_init_u32(&slot->procno, 0);
}

static void
processes_attach(void *memory, bool initialize)
{
	processes = memory;
	if (!initialize)
		return;
	init_slot(&processes->launcher);
	for (int i = 0; i < MAX_GATEWAYS; i++)
		init_slot(&processes->gateways[i]);
	for (int i = 0; i < MAX_QUERY_WORKERS; i++)
		init_slot(&processes->query_workers[i]);
	pg_atomic_init_u32(&processes->database_state, DATABASE_STARTING);
	pg_atomic_init_u32(&processes->draining, 0);
	pg_atomic_init_u64(&processes->listening, 0);
	pg_atomic_init_u64(&processes->attentive, 0);
	pg_atomic_init_u64(&processes->last_connection_id, 0);
}

const SharedPart processes_part = {
	"quizrt processes", processes_size, processes_attach
};

/* The slots of a kind, and how many there are. */
static ProcessSlot *
slots_of(ProcessKind kind, int *count)
{
	switch (kind)
	{
		case PROCESS_GATEWAY:
			*count = MAX_GATEWAYS;
			return processes->gateways;
		case PROCESS_QUERY_WORKER:
			*count = MAX_QUERY_WORKERS;
			return processes->query_workers;
		case PROCESS_LAUNCHER:
			break;
	}
	*count = 1;
	return &processes->launcher;
}

static ProcessSlot *
slot_of(ProcessKind kind, int number)
{
	int			count;
	ProcessSlot *slots = slots_of(kind, &count);

	Assert(number >= 0 && number < count);
	return &slots[number];
}

void
ProcessEnter(ProcessKind kind, int number)
{
	ProcessSlot *slot = slot_of(kind, number);

	pg_atomic_write_u32(&slot->procno, compat_my_proc_number());
	pg_write_barrier();
	pg_atomic_write_u32(&slot->pid, MyProcPid);
}

void
ProcessLeave(ProcessKind kind, int number)
{
	ProcessSlot *slot = slot_of(kind, number);

	if (pg_atomic_read_u32(&slot->pid) == (uint32) MyProcPid)
		pg_atomic_write_u32(&slot->pid, 0);
}

pid_t
ProcessId(ProcessKind kind, int number)
{
	return (pid_t) pg_atomic_read_u32(&slot_of(kind, number)->pid);
}

static void
wake(ProcessSlot *slot)
{
	if (pg_atomic_read_u32(&slot->pid) != 0)
	{
		pg_read_barrier();
		SetLatch(&ProcGlobal->allProcs[pg_atomic_read_u32(&slot->procno)].procLatch);
	}
}

void
ProcessWake(ProcessKind kind, int number)
{
	if (processes != NULL)
		wake(slot_of(kind, number));
}

void
ProcessWakeAll(ProcessKind kind)
{
	int			count;
	ProcessSlot *slots;

	if (processes == NULL)
		return;
	slots = slots_of(kind, &count);
	for (int i = 0; i < count; i++)
		wake(&slots[i]);
}

int
ProcessCount(ProcessKind kind)
{
	int			count;
	int			running = 0;
	ProcessSlot *slots = slots_of(kind, &count);

	for (int i = 0; i < count; i++)
	{
		if (pg_atomic_read_u32(&slots[i].pid) != 0)
			running++;
	}
	return running;
}

/* Full barriers, both. */
static void
set_bit(pg_atomic_uint64 *bits, int number, bool on)
{
	uint64		bit = UINT64CONST(1) << number;

	if (on)
		pg_atomic_fetch_or_u64(bits, bit);
	else
		pg_atomic_fetch_and_u64(bits, ~bit);
}

void
ListeningSet(int gateway, bool listening)
{
	set_bit(&processes->listening, gateway, listening);
}

void
AttentiveSet(int gateway, bool attentive)
{
	set_bit(&processes->attentive, gateway, attentive);
}

void
AttentiveWake(void)
{
	uint64		bits = pg_atomic_read_u64(&processes->attentive);

	while (bits != 0)
	{
		ProcessWake(PROCESS_GATEWAY, pg_rightmost_one_pos64(bits));
		bits &= bits - 1;
	}
}

int
ListeningCount(int except)
{
	uint64		bits = pg_atomic_read_u64(&processes->listening);

	if (except >= 0)
		bits &= ~(UINT64CONST(1) << except);
	return pg_popcount64(bits);
}

void
DatabaseStateSet(DatabaseState state)
{
	if (pg_atomic_exchange_u32(&processes->database_state, state) != state)
		ProcessWakeAll(PROCESS_GATEWAY);
}

DatabaseState
DatabaseStateGet(void)
{
	return (DatabaseState) pg_atomic_read_u32(&processes->database_state);
}

void
DrainingSet(bool draining)
{
	pg_atomic_write_u32(&processes->draining, draining ? 1 : 0);
	ProcessWakeAll(PROCESS_GATEWAY);
}

bool
DrainingGet(void)
{
	return pg_atomic_read_u32(&processes->draining) != 0;
}

uint64
NextConnectionId(void)
{
	return pg_atomic_fetch_add_u64(&processes->last_connection_id, 1) + 1;
}
