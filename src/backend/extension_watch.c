/*-------------------------------------------------------------------------
 *
 * extension_watch.c
 *		Extensions and databases that appear and go.
 *
 * The launcher and the query workers look from time to time whether the
 * database and the extension are there.  A session that creates or drops one
 * tells them when it commits, so that nobody waits for the next look.  Which
 * extension it was is for them to find out: it happens rarely, and a wake-up
 * for nothing costs nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "backend/extension_watch.h"
#include "bus/processes.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"

static object_access_hook_type prev_hook = NULL;

/* This transaction touched one; set by the hook, cleared at its end. */
static bool touched = false;

static void
on_object_access(ObjectAccessType access, Oid class_id, Oid object_id,
				 int sub_id, void *arg)
{
	if (prev_hook)
		prev_hook(access, class_id, object_id, sub_id, arg);

	if (class_id != ExtensionRelationId && class_id != DatabaseRelationId)
		return;
	if (access == OAT_POST_CREATE || access == OAT_DROP ||
		access == OAT_POST_ALTER)
		touched = true;
}

static void
at_transaction_event(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	if (touched && event == XACT_EVENT_COMMIT)
	{
		ProcessWakeAll(PROCESS_LAUNCHER);
		ProcessWakeAll(PROCESS_QUERY_WORKER);
	}
	touched = false;
}

void
ExtensionWatchInit(void)
{
	prev_hook = object_access_hook;
	object_access_hook = on_object_access;
	RegisterXactCallback(at_transaction_event, NULL);
}
