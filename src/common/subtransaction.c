/*-------------------------------------------------------------------------
 *
 * subtransaction.c
 *		Work that may fail without the transaction around it failing.
 *
 * As PL/pgSQL does for a block with an EXCEPTION clause.  A subtransaction
 * that doesn't write or lock rows gets no transaction id, and costs about a
 * microsecond.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/subtransaction.h"
#include "utils/resowner.h"

/* In a CATCH part: roll the subtransaction back and take the error over. */
static ErrorData *
roll_back(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	RollbackAndReleaseCurrentSubTransaction();
	return error;
}

ErrorData *
RunInSubtransaction(void (*work) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		error = roll_back(context);
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}
