/*-------------------------------------------------------------------------
 *
 * process.h
 *		CPU time and memory of the server's processes, from /proc.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MAX_PROCESSES	256

typedef struct Process
{
	pid_t		pid;
	char		name[32];
	uint64_t	cpu;			/* nanoseconds, as of ProcessesRead() */
	uint64_t	started_with;	/* the same at ProcessesMark() */
} Process;

/* Name a process to be watched. */
extern void ProcessWatch(const char *name, pid_t pid);

/* Watch the children of a postmaster that are quizrt's. */
extern void ProcessesOfPostmaster(pid_t postmaster);

extern void ProcessesMark(void);

/* CPU seconds since the mark, of one name or (NULL) of all. */
extern double ProcessesCpu(const char *name);

/* Anonymous memory in bytes, proportional where it is shared; of all. */
extern uint64_t ProcessesMemory(void);

/* The names that there are, one after the other; NULL after the last. */
extern const char *ProcessName(int index);

/* Are all of them the ones that they were? */
extern bool ProcessesAlive(void);

#endif							/* BENCH_PROCESS_H */
