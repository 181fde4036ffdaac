/*-------------------------------------------------------------------------
 *
 * failure.c
 *		Changes that could not be told of: the writer goes on.
 *
 * Whoever writes to an attached table does not know of us, and is not to fail
 * because a message could not be made of a row: an expression that can't be
 * evaluated for it, a column that was renamed since the table was attached.
 * So messages are made in a subtransaction.  What fails is counted, and
 * warned about, and the channels are told that they have missed something.
 *
 * Some errors are no failures of ours and go on to the writer: it was
 * cancelled or is shut down, it waited for a lock longer than it allows, or
 * its transaction can't be serialized.
 *
 * Warnings are once a minute for each table, over all sessions: many sessions
 * write a row each, and every one of them would be right to warn.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "backend/failure.h"
#include "common/counters.h"
#include "common/subtransaction.h"
#include "port/atomics.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#define WARNING_INTERVAL	(60 * USECS_PER_SEC)

/* Tables that share a place share their warnings. */
#define PLACES				1024

/* When a table was warned about last; written by whoever warns next. */
static pg_atomic_uint64 *warned_at = NULL;

static Size
failure_size(void)
{
	return PLACES * sizeof(pg_atomic_uint64);
}

static void
failure_attach(void *memory, bool initialize)
{
	warned_at = memory;
	for (int i = 0; initialize && i < PLACES; i++)
		pg_atomic_init_u64(&warned_at[i], 0);
}

const SharedPart failure_part = {
	"quizrt failures", failure_size, failure_attach
};

bool
WarningIsDue(Oid relation)
{
	uint64		now = (uint64) GetCurrentTimestamp();
	uint64		last;

	if (warned_at == NULL)
		return true;
	last = pg_atomic_read_u64(&warned_at[relation % PLACES]);
	if (last != 0 && now - last < WARNING_INTERVAL && now >= last)
		return false;
	return pg_atomic_compare_exchange_u64(&warned_at[relation % PLACES],
										  &last, now);
}

bool
IsLastingFailure(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
		ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION;
}

static bool
is_the_writers(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_TRANSACTION_ROLLBACK ||
		category == ERRCODE_OPERATOR_INTERVENTION ||
		sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

static void
warn(Relation relation, const ErrorData *error)
{
	if (!WarningIsDue(RelationGetRelid(relation)))
		return;
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("could not tell of a change of table \"%s.%s\": %s",
					get_namespace_name(RelationGetNamespace(relation)),
					RelationGetRelationName(relation), error->message),
			 errdetail("The row is written; subscribers are told that updates were lost.  There is no further warning for a minute."),
			 IsLastingFailure(error) ?
			 errhint("If the table or one that its messages look into was altered, attach it again: quizrt.attachments shows how its columns are read.") : 0));
}

void
CountUntold(void)
{
	CounterAdd(COUNTER_EVENTS_FAILED, 1);
}

ErrorData *
TryToTell(Relation relation, void (*work) (void *arg), void *arg)
{
	ErrorData  *error = RunInSubtransaction(work, arg);

	if (error == NULL)
		return NULL;
	if (is_the_writers(error->sqlerrcode))
		ReThrowError(error);
	CountUntold();
	warn(relation, error);
	return error;
}
