/*-------------------------------------------------------------------------
 *
 * processes.h
 *		Who of quizrt's processes is running, and how to wake them.
 *
 * A slot for each process that can exist.  Only its process writes a slot
 * (at start, and from before_shmem_exit); everybody reads it.  A slot holds
 * the number of the process in PostgreSQL's own list, not a latch: setting
 * the latch of a process that has gone, or of one that came after it, does
 * no harm.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_PROCESSES_H
#define QUIZRT_PROCESSES_H

#include "common/shared.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"

#define MAX_GATEWAYS		64
#define MAX_QUERY_WORKERS	16

typedef enum ProcessKind
{
	PROCESS_LAUNCHER,
	PROCESS_GATEWAY,
	PROCESS_QUERY_WORKER
} ProcessKind;

/* What the database side can do at the moment: the launcher's verdict. */
typedef enum DatabaseState
{
	DATABASE_STARTING,			/* nobody has looked yet */
	DATABASE_SERVED,			/* a query worker is connected and answers */
	DATABASE_MISSING,			/* no such database */
	DATABASE_NO_EXTENSION,		/* the database doesn't have the extension */
	DATABASE_STANDBY,			/* in recovery: no events arrive here */
	DATABASE_FAILING			/* the worker cannot connect or keeps failing */
} DatabaseState;

extern const SharedPart processes_part;

/* Take and give up the slot of this process; "number" counts from 0. */
extern void ProcessEnter(ProcessKind kind, int number);
extern void ProcessLeave(ProcessKind kind, int number);

/* The process id in a slot, 0 where none is running. */
extern pid_t ProcessId(ProcessKind kind, int number);

/* Set the latch of one process, or of all of a kind.  Never fails or waits;
 * callable from transaction callbacks. */
extern void ProcessWake(ProcessKind kind, int number);
extern void ProcessWakeAll(ProcessKind kind);

/* How many of a kind are running. */
extern int	ProcessCount(ProcessKind kind);

/* Whether a gateway has sockets that it listens on; how many but "except"
 * (-1: none) have. */
extern void ListeningSet(int gateway, bool listening);
extern int	ListeningCount(int except);

/*
 * Whether a gateway has clients.  One that has none is not woken for what is
 * committed.  After saying that it has some it must look at the ring once
 * more before it sleeps.
 */
extern void AttentiveSet(int gateway, bool attentive);

/* Wake the gateways that have clients.  Never fails or waits. */
extern void AttentiveWake(void);

/* The state of the database side, set by launcher and query workers. */
extern void DatabaseStateSet(DatabaseState state);
extern DatabaseState DatabaseStateGet(void);

/* Draining: upgrades are refused and connections closed.  drain() sets it. */
extern void DrainingSet(bool draining);
extern bool DrainingGet(void);

/* Numbers that no other connection since the server's start has had. */
extern uint64 NextConnectionId(void);

#endif							/* QUIZRT_PROCESSES_H */
