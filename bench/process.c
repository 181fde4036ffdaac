/*-------------------------------------------------------------------------
 *
 * process.c
 *		CPU time and memory of the server's processes, from /proc.
 *
 * CPU time is what the scheduler has accounted (schedstat, in nanoseconds);
 * where the kernel doesn't keep that, the ticks of stat.  It includes the
 * kernel's work on behalf of the process, and, as loopback has it, what the
 * receiving side's protocol handling costs inside of send().
 *
 * Memory is what smaps_rollup calls Pss_Anon: heap and stack, without the
 * server's shared memory, of which every process maps all.  Pages that a
 * process shares with the postmaster since the fork count in part.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"
#include "process.h"

static Process processes[MAX_PROCESSES];
static int	nprocesses = 0;

/* Read a file of /proc into a buffer; false where it can't be. */
static bool
read_proc(pid_t pid, const char *file, char *buffer, size_t size)
{
	char		path[64];
	FILE	   *in;
	size_t		length;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, file);
	in = fopen(path, "r");
	if (in == NULL)
		return false;
	length = fread(buffer, 1, size - 1, in);
	fclose(in);
	buffer[length] = '\0';
	return length > 0;
}

/* The fields of stat from the third on; the second may contain anything. */
static const char *
stat_fields(pid_t pid, char *buffer, size_t size)
{
	char	   *end;

	if (!read_proc(pid, "stat", buffer, size))
		return NULL;
	end = strrchr(buffer, ')');
	return end != NULL && end[1] == ' ' ? end + 2 : NULL;
}

static uint64_t
cpu_of(pid_t pid)
{
	char		buffer[1024];
	unsigned long long run;
	unsigned long user;
	unsigned long kernel;
	const char *fields;

	if (read_proc(pid, "schedstat", buffer, sizeof(buffer)) &&
		sscanf(buffer, "%llu", &run) == 1 && run > 0)
		return run;
	fields = stat_fields(pid, buffer, sizeof(buffer));
	if (fields == NULL ||
		sscanf(fields, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			   &user, &kernel) != 2)
		return 0;
	return (uint64_t) (user + kernel) * 1000000000u /
		(uint64_t) sysconf(_SC_CLK_TCK);
}

void
ProcessWatch(const char *name, pid_t pid)
{
	Process    *process = &processes[nprocesses];

	if (nprocesses == MAX_PROCESSES)
		Die("too many processes to watch");
	if (kill(pid, 0) < 0)
		Die("there is no process %d (%s)", (int) pid, name);
	process->pid = pid;
	snprintf(process->name, sizeof(process->name), "%s", name);
	nprocesses++;
}

static void
watch_if_ours(pid_t pid, pid_t postmaster)
{
	static const char *const titles[][2] = {
		{"quizrt gateway", "gateway"},
		{"quizrt query worker", "query"},
		{"quizrt launcher", "launcher"}
	};
	char		buffer[1024];
	const char *fields = stat_fields(pid, buffer, sizeof(buffer));
	int			parent;

	if (fields == NULL || sscanf(fields, "%*c %d", &parent) != 1 ||
		parent != postmaster ||
		!read_proc(pid, "cmdline", buffer, sizeof(buffer)))
		return;
	for (int i = 0; i < 3; i++)
	{
		if (strstr(buffer, titles[i][0]) != NULL)
			ProcessWatch(titles[i][1], pid);
	}
}

void
ProcessesOfPostmaster(pid_t postmaster)
{
	DIR		   *directory = opendir("/proc");
	struct dirent *entry;

	if (directory == NULL)
		Die("cannot read /proc");
	while ((entry = readdir(directory)) != NULL)
	{
		if (isdigit((unsigned char) entry->d_name[0]))
			watch_if_ours((pid_t) atoi(entry->d_name), postmaster);
	}
	closedir(directory);
	if (nprocesses == 0)
		Die("process %d has no children that are quizrt's", (int) postmaster);
}

void
ProcessesMark(void)
{
	for (int i = 0; i < nprocesses; i++)
		processes[i].started_with = cpu_of(processes[i].pid);
}

double
ProcessesCpu(const char *name)
{
	uint64_t	total = 0;

	for (int i = 0; i < nprocesses; i++)
	{
		Process    *process = &processes[i];
		uint64_t	now;

		if (name != NULL && strcmp(process->name, name) != 0)
			continue;
		now = cpu_of(process->pid);
		if (now > process->started_with)
			total += now - process->started_with;
	}
	return (double) total / 1e9;
}

uint64_t
ProcessesMemory(void)
{
	uint64_t	total = 0;

	for (int i = 0; i < nprocesses; i++)
	{
		char		buffer[4096];
		const char *line;

		if (!read_proc(processes[i].pid, "smaps_rollup", buffer,
					   sizeof(buffer)))
			continue;
		line = strstr(buffer, "\nPss_Anon:");
		if (line != NULL)
			total += strtoull(line + strlen("\nPss_Anon:"), NULL, 10) * 1024;
	}
	return total;
}

const char *
ProcessName(int index)
{
	for (int i = 0; i < nprocesses; i++)
	{
		int			before = 0;

		while (before < i &&
			   strcmp(processes[before].name, processes[i].name) != 0)
			before++;
		if (before == i && index-- == 0)
			return processes[i].name;
	}
	return NULL;
}

bool
ProcessesAlive(void)
{
	for (int i = 0; i < nprocesses; i++)
	{
		if (kill(processes[i].pid, 0) < 0)
			return false;
	}
	return true;
}
