/*-------------------------------------------------------------------------
 *
 * attachment.h
 *		An attached table, as its triggers know it: what its columns mean,
 *		and the queries that make messages of its rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_ATTACHMENT_H
#define QUIZRT_ATTACHMENT_H

#include "access/attnum.h"
#include "commands/trigger.h"
#include "executor/spi.h"

/* The part that a table plays. */
typedef enum QuizRole
{
	ROLE_QUIZZES,
	ROLE_EVENTS,
	ROLE_ATTEMPTS,
	ROLE_ANSWERS,
	ROLE_FLAGS,
	ROLE_RELATED,

	/* of the dashboard and the security API */
	ROLE_ANALYSIS_RUNS,
	ROLE_SECURITY_EVENTS,
	ROLE_SERVICES,
	ROLE_SYSTEM_STATUS
} QuizRole;

/* What the queries are for: see quizrt.quiz_queries(). */
typedef enum QuizQuery
{
	QUERY_FIELDS,
	QUERY_LOCK,
	QUERY_MESSAGE,
	QUERY_FINISH,
	QUERY_WRITTEN,
	QUERY_TOPICS,
	QUERY_EVERYTHING,
	QUERY_DEADLINE,
	QUERY_COUNT
} QuizQuery;

#define MAX_TRACKED_FIELDS	16

typedef struct Attachment
{
	Oid			trigger;		/* key of the cache */
	Oid			relation;
	Oid			owner;			/* the queries run as the table's owner */
	QuizRole	role;
	bool		valid;			/* false: out of date since it was made */
	MemoryContext context;

	int			ntracked;
	AttrNumber	tracked[MAX_TRACKED_FIELDS];	/* 0: an expression, -1: none */
	AttrNumber	deadline_column;	/* 0: none */
	bool		lock_is_plain;	/* QUERY_LOCK reads columns only */

	int			nparams;		/* xid, cid, then the columns */
	Oid		   *param_types;
	AttrNumber *param_columns;	/* 0 for the first two */

	char	   *queries[QUERY_COUNT];	/* NULL: not to be had */
	SPIPlanPtr	plans[QUERY_COUNT]; /* prepared when first needed */

	int			ndepends;
	Oid		   *depends;
} Attachment;

/* The values of the tracked fields of a row. */
typedef struct TrackedFields
{
	Oid			types[MAX_TRACKED_FIELDS];
	Datum		values[MAX_TRACKED_FIELDS];
	bool		nulls[MAX_TRACKED_FIELDS];
} TrackedFields;

/* Somebody else's rights, and a pinned search_path, for a while. */
typedef struct AsOwner
{
	Oid			user;
	int			security_context;
	int			path_level;
} AsOwner;

/*
 * Connect to SPI and act as "user"; and back.  An error in between is
 * cleaned up by the abort of its (sub)transaction.
 */
extern void BeginAs(Oid user, AsOwner *saved);
extern void EndAs(const AsOwner *saved);

/* The owner of a function, in whose name the extension looks at its own. */
extern Oid	OwnerOfFunction(Oid function);

/*
 * What is known about the table of a trigger.  Each call is ended by
 * AttachmentRelease(), or by the end of the transaction.
 */
extern Attachment *AttachmentOfTrigger(const TriggerData *trigger);
extern void AttachmentRelease(void);

/* The same, but NULL where it would have to be made, which can fail. */
extern Attachment *AttachmentAtHand(const TriggerData *trigger);

/*
 * Something is wrong with how a table is attached.  It is left alone for a
 * second, or until something is altered, lest each of many rows look for what
 * isn't there.
 */
extern void AttachmentMarkBroken(const TriggerData *trigger);
extern bool AttachmentIsBroken(const TriggerData *trigger);

/*
 * Is running the lock query all but sure not to fail?  It is if the query
 * reads columns only and has a plan that was used before.
 */
extern bool AttachmentLockIsSafe(Attachment *attachment);

/* Throw an error if a table can't be attached so: attach_check.c. */
extern void AttachmentCheck(Oid function_owner, Relation relation,
							const char *role, const char *columns);

/*
 * Run a query for a row (or none: NULL), with everything that has committed
 * until now in sight.  Returns the number of rows in SPI_tuptable; none where
 * the query is not to be had.  Between BeginAs(owner) and EndAs().
 */
extern uint64 AttachmentRun(Attachment *attachment, QuizQuery query,
							TupleTableSlot *row, TransactionId xid,
							CommandId command);

/*
 * The tracked fields of a row.  Where one is an expression this runs a query
 * and is to be called like AttachmentRun().
 */
extern void AttachmentTrack(Attachment *attachment, TupleTableSlot *row,
							TrackedFields *fields);

/* Which tracked fields differ: a bit for each. */
extern uint32 TrackedDifference(const Attachment *attachment,
								const TrackedFields *old,
								const TrackedFields *new);

#endif							/* QUIZRT_ATTACHMENT_H */
