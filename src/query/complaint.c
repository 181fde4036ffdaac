/*-------------------------------------------------------------------------
 *
 * complaint.c
 *		Errors that a worker survives, said in the log and not repeated.
 *
 * A worker that serves everybody must not end because one question fails,
 * and must not fill the log while the database is in trouble.  So errors are
 * caught, for a whole turn of the loop or for a part of its work, and each
 * kind (by its SQLSTATE) is logged once a minute.
 *
 * What is logged is the error's own text.  Credentials can't be in it: they
 * never become part of a query, only their hashes do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/subtransaction.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "query/complaint.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#define COMPLAINT_INTERVAL_MS	60000
#define MAX_COMPLAINTS			16

typedef struct Complaint
{
	int			sqlerrcode;
	TimestampTz said_at;		/* 0: this entry is free */
} Complaint;

static Complaint complaints[MAX_COMPLAINTS];
static uint64 count;

/* Is it time to log this kind of error?  Takes note that it was. */
static bool
is_due(int sqlerrcode)
{
	TimestampTz now = GetCurrentTimestamp();
	Complaint  *place = &complaints[0];

	for (int i = 0; i < MAX_COMPLAINTS; i++)
	{
		if (complaints[i].said_at != 0 &&
			complaints[i].sqlerrcode == sqlerrcode)
		{
			place = &complaints[i];
			if (!TimestampDifferenceExceeds(place->said_at, now,
											COMPLAINT_INTERVAL_MS))
				return false;
			break;
		}
		if (complaints[i].said_at < place->said_at)
			place = &complaints[i];
	}
	place->sqlerrcode = sqlerrcode;
	place->said_at = now;
	return true;
}

void
Complain(const char *what, const ErrorData *error)
{
	count++;
	if (!is_due(error->sqlerrcode))
		return;
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("quizrt %s: %s", what, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0,
			 error->context ? errcontext_msg("%s", error->context) : 0));
}

uint64
ComplaintCount(void)
{
	return count;
}

void
RecoverFromError(const char *what, MemoryContext context)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();

	/* A timeout or a cancel request that comes late is for what ended. */
	disable_all_timeouts(false);
	QueryCancelPending = false;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();

	/* The transaction's abort has done this, if there was a transaction. */
	LWLockReleaseAll();
	pgstat_report_wait_end();

	MemoryContextSwitchTo(context);
	if (what != NULL)
		Complain(what, error);
	FreeErrorData(error);
	RESUME_INTERRUPTS();
}

/* Would the next part of the work fail for the same reason? */
static bool
ends_everything(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
		sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

bool
TryInSubtransaction(const char *what, void (*work) (void *arg), void *arg)
{
	ErrorData  *error = RunInSubtransaction(work, arg);

	if (error == NULL)
		return true;
	if (ends_everything(error->sqlerrcode))
		ReThrowError(error);
	if (what != NULL)
		Complain(what, error);
	FreeErrorData(error);
	return false;
}
