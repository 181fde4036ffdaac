/*-------------------------------------------------------------------------
 *
 * guard.c
 *		An error costs the unit of work in which it happens, not the process.
 *
 * A gateway's error is about one connection, and there may be thousands with
 * the same: so the log gets a few of them in a minute, and then the number of
 * those it did not get.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "gateway/guard.h"
#include "gateway/timer.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"

#define REPORTS_A_MINUTE	5

static void
report(void)
{
	static TimeMs since = 0;
	static int	reported = 0;
	static uint64 suppressed = 0;

	if (gateway_now - since >= 60000)
	{
		if (suppressed > 0)
			ereport(LOG,
					(errmsg("quizrt gateway: " UINT64_FORMAT
							" more errors were not logged", suppressed)));
		since = gateway_now;
		reported = 0;
		suppressed = 0;
	}
	if (reported++ < REPORTS_A_MINUTE)
		EmitErrorReport();
	else
		suppressed++;
}

bool
Guarded(void (*work) (void *argument), void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		work(argument);
		done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		HOLD_INTERRUPTS();
		LWLockReleaseAll();
		report();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	return done;
}
