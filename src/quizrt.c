/*-------------------------------------------------------------------------
 *
 * quizrt.c
 *		Entry point of the library: settings, shared memory, workers.
 *
 * Preloaded, the library serves.  Loaded later (a trigger's or function's
 * first call in a server that doesn't preload it) it only defines its
 * settings: what would publish finds no shared memory and does nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "backend/deadline_watch.h"
#include "backend/extension_watch.h"
#include "backend/failure.h"
#include "backend/outbox.h"
#include "bus/deadline.h"
#include "bus/mailbox.h"
#include "bus/processes.h"
#include "bus/report.h"
#include "bus/rate_limit.h"
#include "bus/ring.h"
#include "common/settings.h"
#include "common/shared.h"
#include "fmgr.h"
#include "gateway/gateway.h"
#include "miscadmin.h"
#include "query/launcher.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/* Say so at once where the server has no room for all of us. */
static void
check_worker_processes(void)
{
	int			needed = 1 + quizrt_gateways + quizrt_query_workers;

	if (needed > max_worker_processes)
		ereport(WARNING,
				(errmsg("quizrt needs %d worker processes, and max_worker_processes is %d",
						needed, max_worker_processes),
				 errhint("Increase max_worker_processes, or decrease quizrt.gateways and quizrt.query_workers.")));
}

void
_PG_init(void)
{
	OutboxInit();
	SettingsDefine(process_shared_preload_libraries_in_progress);
	if (!process_shared_preload_libraries_in_progress)
		return;

	check_worker_processes();
	SharedAddPart(&processes_part);
	SharedAddPart(&ring_part);
	SharedAddPart(&mailbox_part);
	SharedAddPart(&report_part);
	SharedAddPart(&rate_limit_part);
	SharedAddPart(&failure_part);
	SharedAddPart(&deadline_part);
	SharedInstallHooks();
	LauncherRegister();
	ExtensionWatchInit();
	DeadlineWatchInit();
	GatewaysRegister();
}
