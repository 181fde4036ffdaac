/*-------------------------------------------------------------------------
 *
 * deadline_watch.c
 *		Deadlines that this transaction sets.
 *
 * The query workers sleep until the next deadline that they know of.  The
 * triggers of attempts tell the transaction's earliest one when it commits,
 * so a million new attempts cost a comparison each.  What a savepoint took
 * back counts all the same: a worker then looks once for nothing.
 *
 * A table may be filled before its triggers are made (a dump is restored that
 * way) or while they are disabled, so whoever touches a trigger has the
 * workers look as well.  Which trigger it was is not asked: it happens rarely.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "backend/deadline_watch.h"
#include "bus/deadline.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_trigger.h"

static object_access_hook_type prev_hook = NULL;

/* Of this transaction; set by triggers, cleared at its end. */
static TimestampTz earliest = DEADLINE_NONE;

void
DeadlineWatch(TimestampTz deadline)
{
	if (deadline < earliest)
		earliest = deadline;
}

static void
on_object_access(ObjectAccessType access, Oid class_id, Oid object_id,
				 int sub_id, void *arg)
{
	if (prev_hook)
		prev_hook(access, class_id, object_id, sub_id, arg);

	if (class_id == TriggerRelationId &&
		(access == OAT_POST_CREATE || access == OAT_POST_ALTER))
		DeadlineWatch(DEADLINE_UNKNOWN);
}

/* The commit callback comes after the transaction's effects are visible. */
static void
at_transaction_event(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	if (event == XACT_EVENT_COMMIT && earliest != DEADLINE_NONE)
		DeadlineAnnounce(earliest);
	earliest = DEADLINE_NONE;
}

void
DeadlineWatchInit(void)
{
	prev_hook = object_access_hook;
	object_access_hook = on_object_access;
	RegisterXactCallback(at_transaction_event, NULL);
}
