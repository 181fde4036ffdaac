/*-------------------------------------------------------------------------
 *
 * quiz_triggers.c
 *		What changes of the quiz tables mean, as events.
 *
 * One trigger function for the rows of all attached tables; the role of the
 * table decides.  A change either has a message of its own, rendered here and
 * now, or makes its subscribers take a fresh snapshot.
 *
 * How many answers an attempt has is told exactly although many sessions
 * answer at once: who changes the answers of an attempt first locks the
 * attempt's row, and then counts with a new snapshot.  The lock is held to
 * the end of the transaction, so whoever counts next counts this one too, or
 * knows that it is gone.  Submitting an attempt updates that row and is in
 * the same queue.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "backend/change.h"
#include "backend/deadline_watch.h"
#include "backend/failure.h"
#include "backend/outbox.h"
#include "bus/deadline.h"
#include "catalog/pg_type.h"
#include "common/render.h"
#include "common/settings.h"
#include "common/subtransaction.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/combocid.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(quizrt_quiz_change);
PG_FUNCTION_INFO_V1(quizrt_quiz_truncate);
PG_FUNCTION_INFO_V1(quizrt_quiz_deadline);

/* Tracked fields, in the order of quizrt.quiz_tracked(). */
enum
{
	QUIZ_ID, QUIZ_OWNER
};
enum
{
	EVENT_ID, EVENT_QUIZ
};
enum
{
	ATTEMPT_QUIZ, ATTEMPT_EVENT, ATTEMPT_SUBMITTED, ATTEMPT_REASON, ATTEMPT_ID
};
enum
{
	ANSWER_ATTEMPT, ANSWER_SCORE
};

#define BIT(field) ((uint32) 1 << (field))

/* Columns of the messages, in the order of quizrt.quiz_queries(). */
enum
{
	HEAD_ATTEMPT, HEAD_PARTICIPANT, HEAD_ALIAS, HEAD_QUIZ, HEAD_EVENT,
	HEAD_COUNT
};

#define STARTED_COLUMNS			(HEAD_COUNT + 1)

#define UPDATE_ANSWERED_COUNT	(HEAD_COUNT + 5)
#define UPDATE_COLUMNS			(HEAD_COUNT + 7)	/* and the counts */

#define FINISHED_COLUMNS		(HEAD_COUNT + 2)
#define FINISH_COLUMNS			(FINISHED_COLUMNS + 7)	/* and attempt_closed */

#define FLAG_LABEL				HEAD_COUNT
#define FLAG_TIME				(HEAD_COUNT + 1)
#define FLAG_COLUMNS			(HEAD_COUNT + 2)

/*
 * Topics
 */

static void
add_topic(Event *event, const char *type, const char *id)
{
	if (id != NULL)
		event->topics[event->ntopics++] = EventTextOf(psprintf("%s:%s",
															   type, id));
}

/* The topics that show a quiz's messages, ranking, or both and no messages. */
static void
update_topics(Event *event, const char *quiz, const char *stream)
{
	add_topic(event, "quiz", quiz);
	add_topic(event, "attempts", quiz);
	add_topic(event, "attempts", stream);
}

static void
send_ranking(const char *quiz, const char *stream)
{
	Event		event = {EVENT_RANKING};

	add_topic(&event, "leaderboard", quiz);
	add_topic(&event, "leaderboard", stream);
	if (event.ntopics > 0)
		OutboxAddOrResync(&event);
}

static void
send_resync(const char *quiz, const char *stream)
{
	Event		event = {EVENT_RESYNC};

	add_topic(&event, "attempts", quiz);
	add_topic(&event, "leaderboard", quiz);
	add_topic(&event, "attempts", stream);
	add_topic(&event, "leaderboard", stream);
	if (event.ntopics > 0)
		OutboxAddOrResync(&event);
}

static void
send_revocation(const char *type, const char *id, const char *keeper,
				const char *moved_to)
{
	Event		event = {EVENT_REVOKE};

	if (id == NULL)
		return;
	add_topic(&event, type, id);
	event.slug = EventTextOf(keeper ? keeper : "");
	event.data = EventTextOf(moved_to ? moved_to : "");
	OutboxAddOrResync(&event);
}

/* The text of a tracked field, NULL where it is null. */
static const char *
tracked_text(const TrackedFields *fields, int i)
{
	Oid			output;
	bool		is_varlena;

	if (fields->nulls[i])
		return NULL;
	getTypeOutputInfo(fields->types[i], &output, &is_varlena);
	return OidOutputFunctionCall(output, fields->values[i]);
}

/*
 * Queries
 */

static uint64
run(const Change *change, QuizQuery query, TupleTableSlot *row)
{
	return AttachmentRun(change->attachment, query, row,
						 InvalidTransactionId, FirstCommandId);
}

/* The row that a query has just found, if it has. */
static bool
take_message(uint64 found, int columns, MessageRow *message)
{
	if (found == 0)
		return false;
	message->tuple = SPI_tuptable->vals[0];
	message->desc = SPI_tuptable->tupdesc;
	if (message->desc->natts != columns)
		elog(ERROR, "a message of a quiz table has %d columns, not %d",
			 message->desc->natts, columns);
	heap_deform_tuple(message->tuple, message->desc, message->values,
					  message->nulls);
	return true;
}

bool
ChangeMessage(const Change *change, QuizQuery query, int columns,
			  MessageRow *message)
{
	return take_message(run(change, query, change->new), columns, message);
}

const char *
MessageText(const MessageRow *message, int column)
{
	return SPI_getvalue(message->tuple, message->desc, column + 1);
}

/* Send the members before "last" of a message to the owner. */
static void
send_update(const MessageRow *message, const char *slug, int last)
{
	Event		event = {EVENT_UPDATE};
	StringInfoData data;

	initStringInfo(&data);
	appendStringInfoChar(&data, '{');
	RenderMembers(&data, message->desc, message->values, message->nulls,
				  0, last);
	appendStringInfoChar(&data, '}');
	update_topics(&event, MessageText(message, HEAD_QUIZ),
				  MessageText(message, HEAD_EVENT));
	event.slug = EventTextOf(slug);
	event.data = EventTextOf(data.data);
	OutboxAddOrResync(&event);
}

static void
send_ranking_of(const MessageRow *message)
{
	send_ranking(MessageText(message, HEAD_QUIZ),
				 MessageText(message, HEAD_EVENT));
}

/* The first two columns of each row found: a quiz and an event. */
static void
send_resyncs(uint64 count)
{
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < count; i++)
		send_resync(SPI_getvalue(rows->vals[i], rows->tupdesc, 1),
					SPI_getvalue(rows->vals[i], rows->tupdesc, 2));
}

/*
 * That a message could not be made: everything that would have shown it is
 * told, the quiz channel by the words "Updates lost".
 */
static void
send_loss(const char *quiz, const char *stream, const char *attempt)
{
	Event		event = {EVENT_RESYNC};

	update_topics(&event, quiz, stream);
	add_topic(&event, "leaderboard", quiz);
	add_topic(&event, "leaderboard", stream);
	add_topic(&event, "notification", attempt);
	if (event.ntopics > 0)
		OutboxAddOrResync(&event);
}

static void
send_losses(uint64 count)
{
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < count; i++)
		send_loss(SPI_getvalue(rows->vals[i], rows->tupdesc, 1),
				  SPI_getvalue(rows->vals[i], rows->tupdesc, 2), NULL);
}

static void
send_loss_of_attempt(const TrackedFields *fields)
{
	send_loss(tracked_text(fields, ATTEMPT_QUIZ),
			  tracked_text(fields, ATTEMPT_EVENT),
			  tracked_text(fields, ATTEMPT_ID));
}

static void
resync_topics_of(const Change *change, TupleTableSlot *row)
{
	send_resyncs(run(change, QUERY_TOPICS, row));
}

/*
 * Attempts
 */

/* To the owner, and to the participant. */
static void
send_finish(const Change *change)
{
	MessageRow	message;
	Event		event = {EVENT_UPDATE};
	StringInfoData data;

	if (!ChangeMessage(change, QUERY_FINISH, FINISH_COLUMNS, &message))
		return;
	send_update(&message, "attempt_finished", FINISHED_COLUMNS);

	initStringInfo(&data);
	appendStringInfoChar(&data, '{');
	RenderMembers(&data, message.desc, message.values, message.nulls,
				  FINISHED_COLUMNS, FINISH_COLUMNS);
	appendStringInfoChar(&data, '}');
	add_topic(&event, "notification", MessageText(&message, HEAD_ATTEMPT));
	event.slug = EventTextOf("attempt_closed");
	event.data = EventTextOf(data.data);
	OutboxAddOrResync(&event);
	send_ranking_of(&message);
}

static void
attempt_inserted(const Change *change)
{
	MessageRow	message;

	if (ChangeMessage(change, QUERY_MESSAGE, STARTED_COLUMNS, &message))
	{
		send_update(&message, "attempt_quiz", STARTED_COLUMNS);
		send_ranking_of(&message);
	}
	if (!change->is.nulls[ATTEMPT_SUBMITTED])
		send_finish(change);
}

static void
resync_attempt(const TrackedFields *fields)
{
	send_resync(tracked_text(fields, ATTEMPT_QUIZ),
				tracked_text(fields, ATTEMPT_EVENT));
}

static void
attempt_updated(const Change *change)
{
	uint32		difference = change->difference;

	if (change->was.nulls[ATTEMPT_SUBMITTED] &&
		!change->is.nulls[ATTEMPT_SUBMITTED])
	{
		send_finish(change);
		difference &= ~(BIT(ATTEMPT_SUBMITTED) | BIT(ATTEMPT_REASON));
	}
	if (difference == 0)
		return;
	resync_attempt(&change->was);
	resync_attempt(&change->is);
}

static void
change_attempt(const Change *change)
{
	if (change->new == NULL)
		resync_attempt(&change->was);
	else if (change->old == NULL)
		attempt_inserted(change);
	else
		attempt_updated(change);
}

/*
 * Answers
 */

/*
 * What one command does to the answers of one attempt.  When its triggers
 * fire all its rows are there already.  So that they still count 1, 2, 3, the
 * rows that the command inserted are told from the others once, when the
 * first of them comes, and counted as they come.
 */
typedef struct Batch
{
	char		attempt[MAX_TOPIC_LENGTH + 1];	/* key */
	TransactionId xid;
	CommandId	command;
	int64		reached;		/* answers there are, without those of the
								 * command that have not come yet */
} Batch;

/* More batches than this are not kept for commands that may go on. */
#define MAX_OLD_BATCHES		1000

static HTAB *batches = NULL;

static HTAB *
create_batches(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(((Batch *) NULL)->attempt);
	ctl.entrysize = sizeof(Batch);
	return hash_create("quizrt answers", 32, &ctl, HASH_ELEM | HASH_STRINGS);
}

/*
 * The batch of a command and attempt; one that has just begun has no xid.
 *
 * Batches are not cleared when a command ends, because a trigger can run
 * commands in the middle of another one's; they are overwritten.
 */
static Batch *
find_batch(const char *attempt, TransactionId xid, CommandId command)
{
	static TransactionId last_xid = InvalidTransactionId;
	static CommandId last_command = InvalidCommandId;
	Batch	   *batch;
	bool		found;

	if (batches != NULL && (last_xid != xid || last_command != command) &&
		hash_get_num_entries(batches) > MAX_OLD_BATCHES)
	{
		hash_destroy(batches);
		batches = NULL;
	}
	if (batches == NULL)
		batches = create_batches();
	last_xid = xid;
	last_command = command;

	batch = hash_search(batches, attempt, HASH_ENTER, &found);
	if (!found || batch->xid != xid || batch->command != command)
	{
		batch->xid = InvalidTransactionId;
		batch->command = command;
	}
	return batch;
}

/* Has another command replaced or deleted this version of the row? */
static bool
is_superseded(HeapTupleHeader header)
{
	return !(header->t_infomask & HEAP_XMAX_INVALID) &&
		!HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask);
}

/* Is the row version at this place a new row, not one that was updated? */
static bool
is_inserted(Oid relid, ItemPointer place)
{
	Relation	relation = table_open(relid, AccessShareLock);
	HeapTupleData tuple;
	Buffer		buffer;
	bool		result = false;

	tuple.t_self = *place;
	if (heap_fetch(relation, SnapshotAny, &tuple, &buffer, false))
	{
		result = !(tuple.t_data->t_infomask & HEAP_UPDATED);
		ReleaseBuffer(buffer);
	}
	table_close(relation, AccessShareLock);
	return result;
}

/*
 * How many of the rows that the command wrote are new.  INSERT ... ON
 * CONFLICT can do both in one command, and only the tuples tell.
 */
static int64
count_inserted(const Change *change, const Batch *batch, TransactionId xid)
{
	uint64		count = AttachmentRun(change->attachment, QUERY_WRITTEN,
									  change->new, xid, batch->command);
	SPITupleTable *rows = SPI_tuptable;
	int64		inserted = 0;

	for (uint64 i = 0; i < count; i++)
	{
		bool		isnull;
		Datum		relid = SPI_getbinval(rows->vals[i], rows->tupdesc, 1,
										  &isnull);
		Datum		place = SPI_getbinval(rows->vals[i], rows->tupdesc, 2,
										  &isnull);

		if (is_inserted(DatumGetObjectId(relid),
						(ItemPointer) DatumGetPointer(place)))
			inserted++;
	}
	return inserted;
}

/* Begin with the counts that came with the message of the first answer. */
static void
begin_batch(const Change *change, Batch *batch, TransactionId xid,
			const int64 *counts)
{
	bool		superseded = is_superseded(change->new_tuple->t_data);
	int64		inserted;

	/* what the command wrote and is still there is often this row alone */
	if (counts[1] == 1 && !superseded)
		inserted = change->old == NULL ? 1 : 0;
	else if (counts[1] == 0)
		inserted = 0;
	else
		inserted = count_inserted(change, batch, xid);
	batch->reached = counts[0] - inserted;

	/*
	 * If something, say a trigger that grades, has changed this row already,
	 * then it was counted with the rows of other commands.
	 */
	if (superseded && change->old == NULL)
		batch->reached--;
	batch->xid = xid;
}

/*
 * The last command of which an answer could not be told of, and so perhaps
 * not counted.
 */
static TransactionId uncounted_xid = InvalidTransactionId;
static CommandId uncounted_command = InvalidCommandId;

static void
forget_batch(const Change *change)
{
	HeapTupleHeader header = change->new_tuple->t_data;

	uncounted_xid = HeapTupleHeaderGetRawXmin(header);
	uncounted_command = HeapTupleHeaderGetCmin(header);
}

/*
 * How many answers the attempt has with this one.  Its row is locked.
 * "counts" is NULL where it was not asked for: in the middle of a batch.
 */
static int64
count_answers(const Change *change, Batch *batch, TransactionId xid,
			  const int64 *counts)
{
	if (xid == uncounted_xid && batch->command == uncounted_command)
		return counts[0];
	if (counts != NULL)
		begin_batch(change, batch, xid, counts);
	if (change->old == NULL)
		batch->reached++;
	return batch->reached;
}

static const int64 *
counts_of(const MessageRow *message)
{
	ArrayType  *counts;

	if (message->nulls[UPDATE_COLUMNS])
		return NULL;
	counts = DatumGetArrayTypeP(message->values[UPDATE_COLUMNS]);
	return (const int64 *) ARR_DATA_PTR(counts);
}

static void
send_answer(const Change *change, bool ranking)
{
	HeapTupleHeader header = change->new_tuple->t_data;
	TransactionId xid = HeapTupleHeaderGetRawXmin(header);
	CommandId	command = HeapTupleHeaderGetCmin(header);
	MessageRow	message;
	Batch	   *batch;
	bool		counted;

	if (change->attempt == NULL || strlen(change->attempt) > MAX_TOPIC_LENGTH)
		return;
	batch = find_batch(change->attempt, xid, command);
	counted = batch->xid != InvalidTransactionId &&
		!(xid == uncounted_xid && command == uncounted_command);
	if (!take_message(AttachmentRun(change->attachment, QUERY_MESSAGE,
									change->new,
									counted ? InvalidTransactionId : xid,
									command), UPDATE_COLUMNS + 1, &message))
		return;
	/* looked up again: an expression may have run triggers of ours */
	batch = find_batch(change->attempt, xid, command);
	message.values[UPDATE_ANSWERED_COUNT] =
		Int64GetDatum(count_answers(change, batch, xid, counts_of(&message)));
	message.nulls[UPDATE_ANSWERED_COUNT] = false;
	send_update(&message, "attempt_update", UPDATE_COLUMNS);
	if (ranking)
		send_ranking_of(&message);
}

static void
change_answer(const Change *change)
{
	if (change->new == NULL)
		resync_topics_of(change, change->old);
	else if (change->old == NULL)
		send_answer(change, true);
	else
	{
		if (change->difference & ~BIT(ANSWER_ATTEMPT))
			send_answer(change, change->difference & BIT(ANSWER_SCORE));
		if (change->difference & BIT(ANSWER_ATTEMPT))
		{
			resync_topics_of(change, change->old);
			resync_topics_of(change, change->new);
		}
	}
}

static bool
moves_answer(const Change *change)
{
	return change->old != NULL &&
		(change->new == NULL || change->difference & BIT(ANSWER_ATTEMPT));
}

/*
 * Wait for others who change the answers of the same attempts.
 *
 * This is not done in the subtransaction that makes the message if that can
 * be avoided: a lock would cost it a transaction id of its own, for every
 * answer there is.
 */
static void
lock_attempts(Change *change)
{
	if (change->new != NULL && run(change, QUERY_LOCK, change->new) > 0)
		change->attempt = SPI_getvalue(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1);
	if (moves_answer(change))
		run(change, QUERY_LOCK, change->old);
	change->locked = true;
}

/*
 * Flags
 */

static void
send_flag(const Change *change)
{
	MessageRow	message;
	Event		event = {EVENT_UPDATE};
	StringInfoData data;
	const char *attempt;

	if (!ChangeMessage(change, QUERY_MESSAGE, FLAG_COLUMNS, &message))
		return;
	attempt = MessageText(&message, HEAD_ATTEMPT);
	if (attempt == NULL || message.nulls[FLAG_LABEL] ||
		message.nulls[FLAG_TIME])
		return;

	/* left open: the outbox adds the labels of all flags of the transaction */
	initStringInfo(&data);
	appendStringInfoChar(&data, '{');
	RenderMembers(&data, message.desc, message.values, message.nulls,
				  0, HEAD_COUNT);
	update_topics(&event, MessageText(&message, HEAD_QUIZ),
				  MessageText(&message, HEAD_EVENT));
	event.slug = EventTextOf("attempt_flagged");
	event.data = EventTextOf(data.data);
	OutboxAddFlag(&event, attempt, MessageText(&message, FLAG_LABEL),
				  DatumGetTimestampTz(message.values[FLAG_TIME]));
}

static void
change_flag(const Change *change)
{
	if (change->old == NULL)
	{
		send_flag(change);
		return;
	}
	resync_topics_of(change, change->old);
	if (change->new != NULL)
		resync_topics_of(change, change->new);
}

/*
 * Quizzes, events, and tables that messages look into
 */

static void
change_quiz(const Change *change)
{
	if (change->new == NULL || change->difference & BIT(QUIZ_ID))
		send_revocation("quiz", tracked_text(&change->was, QUIZ_ID),
						NULL, NULL);
	else
		send_revocation("quiz", tracked_text(&change->is, QUIZ_ID),
						tracked_text(&change->is, QUIZ_OWNER), NULL);
}

/* An event goes where its quiz goes: its owner is that of the quiz. */
static void
change_event(const Change *change)
{
	MessageRow	message;
	const char *owner = NULL;

	if (change->new == NULL || change->difference & BIT(EVENT_ID))
	{
		send_revocation("event", tracked_text(&change->was, EVENT_ID),
						NULL, NULL);
		return;
	}
	if (ChangeMessage(change, QUERY_MESSAGE, 1, &message))
		owner = MessageText(&message, 0);
	send_revocation("event", tracked_text(&change->is, EVENT_ID), owner,
					tracked_text(&change->is, EVENT_QUIZ));
}

static void
change_related(const Change *change)
{
	if (change->old != NULL && change->new != NULL)
		resync_topics_of(change, change->new);
}

/*
 * The trigger functions
 */

static const ChangeHandler handlers[] = {
	[ROLE_QUIZZES] = change_quiz,
	[ROLE_EVENTS] = change_event,
	[ROLE_ATTEMPTS] = change_attempt,
	[ROLE_ANSWERS] = change_answer,
	[ROLE_FLAGS] = change_flag,
	[ROLE_RELATED] = change_related,
	[ROLE_ANALYSIS_RUNS] = AnalysisRunChanged,
	[ROLE_SECURITY_EVENTS] = SecurityEventChanged,
	[ROLE_SERVICES] = ServiceChanged,
	[ROLE_SYSTEM_STATUS] = SystemStatusChanged,
};

static TriggerData *
check_trigger(FunctionCallInfo fcinfo, bool expected)
{
	if (!CALLED_AS_TRIGGER(fcinfo) || !expected)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("this function is for the triggers that quizrt makes")));
	return (TriggerData *) fcinfo->context;
}

static TriggerEvent
event_of(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		return 0;
	return ((TriggerData *) fcinfo->context)->tg_event;
}

static void
describe_change(const TriggerData *data, Change *change)
{
	change->old = NULL;
	change->new = NULL;
	change->new_tuple = NULL;
	change->difference = 0;
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		change->new = data->tg_trigslot;
		change->new_tuple = data->tg_trigtuple;
	}
	else
		change->old = data->tg_trigslot;
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		change->new = data->tg_newslot;
		change->new_tuple = data->tg_newtuple;
	}
}

/*
 * Fill in what was and what is; false where an UPDATE changed nothing that
 * matters.  That the system's status is reported does, whatever it is.
 */
static bool
track_change(Change *change)
{
	Attachment *attachment = change->attachment;

	if (change->old != NULL)
		AttachmentTrack(attachment, change->old, &change->was);
	if (change->new != NULL)
		AttachmentTrack(attachment, change->new, &change->is);
	if (change->old == NULL || change->new == NULL)
		return true;
	change->difference = TrackedDifference(attachment, &change->was,
										   &change->is);
	return change->difference != 0 ||
		attachment->role == ROLE_SYSTEM_STATUS;
}

/* A trigger's work, for TryToTell(). */
typedef struct Work
{
	TriggerData *data;
	Change		change;
	HeapTuple	result;			/* of a BEFORE trigger */
} Work;

/*
 * An attempt that is open and has a deadline: the query workers are to know.
 * Attempts whose columns are expressions are not closed by them.
 */
static void
watch_deadline(const Change *change)
{
	const Attachment *attachment = change->attachment;
	AttrNumber	column = attachment->deadline_column;
	Datum		deadline;
	bool		isnull;

	if (attachment->role != ROLE_ATTEMPTS || change->new == NULL ||
		column <= 0 || attachment->tracked[ATTEMPT_SUBMITTED] <= 0 ||
		!slot_attisnull(change->new, attachment->tracked[ATTEMPT_SUBMITTED]))
		return;
	deadline = slot_getattr(change->new, column, &isnull);
	if (isnull)
		return;
	if (TupleDescAttr(change->new->tts_tupleDescriptor,
					  column - 1)->atttypid == TIMESTAMPTZOID)
		DeadlineWatch(DatumGetTimestampTz(deadline));
	else
		DeadlineWatch(DEADLINE_UNKNOWN);
}

/*
 * Is anything to be sent about a change?  Where a session keeps its changes
 * to itself (quizrt.publish), access still ends for whom it ends.
 */
static bool
is_published(const TriggerData *data)
{
	const Trigger *trigger = data->tg_trigger;
	const char *role = trigger->tgnargs > 0 ? trigger->tgargs[0] : "";

	return OutboxInUse() &&
		(quizrt_publish_changes || strcmp(role, "quizzes") == 0 ||
		 strcmp(role, "events") == 0);
}

static void
tell_change(void *arg)
{
	Work	   *work = arg;
	Change	   *change = &work->change;

	if (change->attachment == NULL)
	{
		change->attachment = AttachmentOfTrigger(work->data);
		watch_deadline(change);
	}
	if (!is_published(work->data))
		return;
	if (!change->tracked)
	{
		if (!track_change(change))
			return;
		change->tracked = true;
	}
	if (change->attachment->role == ROLE_ANSWERS && !change->locked)
		lock_attempts(change);
	handlers[change->attachment->role] (change);
}

/*
 * What is known of whom a change concerns that could not be told of: they are
 * told that updates were lost.
 */
static void
tell_loss(void *arg)
{
	Change	   *change = &((Work *) arg)->change;

	switch (change->attachment->role)
	{
		case ROLE_ATTEMPTS:
			/* what a query gave is gone with the subtransaction that failed */
			track_change(change);
			if (change->old != NULL)
				send_loss_of_attempt(&change->was);
			if (change->new != NULL)
				send_loss_of_attempt(&change->is);
			break;
		case ROLE_ANSWERS:
		case ROLE_FLAGS:
			if (change->old != NULL)
				send_losses(run(change, QUERY_TOPICS, change->old));
			if (change->new != NULL)
				send_losses(run(change, QUERY_TOPICS, change->new));
			break;
		default:
			elog(ERROR, "it is not known whom a change concerns");
	}
}

static void
tell_everybody(void)
{
	Event		event = {EVENT_RESYNC_ALL};

	OutboxAddOrResync(&event);
}

static void
handle_failure(Work *work, const ErrorData *error)
{
	Change	   *change = &work->change;

	if (!is_published(work->data))
		return;
	if (error != NULL && IsLastingFailure(error))
		AttachmentMarkBroken(work->data);
	if (change->attachment != NULL && change->attachment->role == ROLE_ANSWERS &&
		change->new != NULL)
		forget_batch(change);
	if (change->attachment == NULL ||
		RunInSubtransaction(tell_loss, work) != NULL)
		tell_everybody();
}

/* The parts of a change that can't fail, as far as there are any. */
static bool
prepare_change(Work *work)
{
	Change	   *change = &work->change;

	describe_change(work->data, change);
	change->function = work->data->tg_trigger->tgfoid;
	change->attachment = AttachmentAtHand(work->data);
	if (change->attachment == NULL)
		return true;
	watch_deadline(change);
	if (!is_published(work->data))
		return false;

	/* most updates change nothing that matters, and then cost nothing */
	if (change->attachment->queries[QUERY_FIELDS] != NULL)
		return true;
	change->tracked = track_change(change);
	return change->tracked;
}

/*
 * quizrt.quiz_change(): after each row, on every attached table
 */
Datum
quizrt_quiz_change(PG_FUNCTION_ARGS)
{
	TriggerEvent event = event_of(fcinfo);
	TriggerData *data = check_trigger(fcinfo, TRIGGER_FIRED_FOR_ROW(event) &&
									  TRIGGER_FIRED_AFTER(event));
	Work		work = {data};
	AsOwner		saved;
	ErrorData  *error;

	if (!DeadlineInUse() || !DatabaseIsServed())
		return PointerGetDatum(NULL);

	if (prepare_change(&work))
	{
		BeginAs(data->tg_relation->rd_rel->relowner, &saved);
		if (AttachmentIsBroken(data))
		{
			CountUntold();
			handle_failure(&work, NULL);
		}
		else
		{
			if (work.change.tracked &&
				work.change.attachment->role == ROLE_ANSWERS &&
				AttachmentLockIsSafe(work.change.attachment))
				lock_attempts(&work.change);
			error = TryToTell(data->tg_relation, tell_change, &work);
			if (error != NULL)
				handle_failure(&work, error);
		}
		EndAs(&saved);
	}
	if (work.change.attachment != NULL)
		AttachmentRelease();
	return PointerGetDatum(NULL);
}

static void
revoke_all(const char *type, uint64 count)
{
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < count; i++)
		send_revocation(type, SPI_getvalue(rows->vals[i], rows->tupdesc, 1),
						NULL, NULL);
}

static void
tell_truncation(void *arg)
{
	Work	   *work = arg;
	Attachment *attachment = AttachmentOfTrigger(work->data);
	uint64		count;

	work->change.attachment = attachment;
	count = AttachmentRun(attachment, QUERY_EVERYTHING, NULL,
						  InvalidTransactionId, FirstCommandId);
	if (attachment->role == ROLE_QUIZZES)
		revoke_all("quiz", count);
	else if (attachment->role == ROLE_EVENTS)
		revoke_all("event", count);
	else
		send_resyncs(count);
}

/*
 * quizrt.quiz_truncate(): before the statement, while the rows can still be
 * asked what they concern
 */
Datum
quizrt_quiz_truncate(PG_FUNCTION_ARGS)
{
	TriggerEvent event = event_of(fcinfo);
	TriggerData *data = check_trigger(fcinfo,
									  TRIGGER_FIRED_BY_TRUNCATE(event));
	Work		work = {data};
	AsOwner		saved;

	if (!is_published(data))
		return PointerGetDatum(NULL);

	BeginAs(data->tg_relation->rd_rel->relowner, &saved);
	if (TryToTell(data->tg_relation, tell_truncation, &work) != NULL)
		tell_everybody();
	EndAs(&saved);
	if (work.change.attachment != NULL)
		AttachmentRelease();
	return PointerGetDatum(NULL);
}

/* The row with the deadline that its quiz gives it, if it does. */
static HeapTuple
with_deadline(Attachment *attachment, TriggerData *data)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	int			column = attachment->deadline_column;
	Datum		deadline;
	bool		isnull;

	if (AttachmentRun(attachment, QUERY_DEADLINE, data->tg_trigslot,
					  InvalidTransactionId, FirstCommandId) != 1)
		return data->tg_trigtuple;
	deadline = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
							 &isnull);
	if (isnull)
		return data->tg_trigtuple;
	return SPI_copytuple(heap_modify_tuple_by_cols(data->tg_trigtuple, desc, 1,
												   &column, &deadline,
												   &isnull));
}

static bool
needs_deadline(const Work *work)
{
	const Attachment *attachment = work->change.attachment;

	return attachment->queries[QUERY_DEADLINE] != NULL &&
		slot_attisnull(work->data->tg_trigslot, attachment->deadline_column);
}

static void
set_deadline(void *arg)
{
	Work	   *work = arg;

	if (work->change.attachment == NULL)
		work->change.attachment = AttachmentOfTrigger(work->data);
	if (needs_deadline(work))
		work->result = with_deadline(work->change.attachment, work->data);
}

/*
 * quizrt.quiz_deadline(): before a new attempt.  It is data, not a message:
 * it is written whether messages are sent or not.  Where it can't be found
 * the attempt begins without one.
 */
Datum
quizrt_quiz_deadline(PG_FUNCTION_ARGS)
{
	TriggerEvent event = event_of(fcinfo);
	TriggerData *data = check_trigger(fcinfo, TRIGGER_FIRED_BEFORE(event) &&
									  TRIGGER_FIRED_BY_INSERT(event) &&
									  TRIGGER_FIRED_FOR_ROW(event));
	Work		work = {data};
	AsOwner		saved;

	work.result = data->tg_trigtuple;
	work.change.attachment = AttachmentAtHand(data);
	if (work.change.attachment == NULL || needs_deadline(&work))
	{
		BeginAs(data->tg_relation->rd_rel->relowner, &saved);
		if (TryToTell(data->tg_relation, set_deadline, &work) != NULL)
			work.result = data->tg_trigtuple;
		EndAs(&saved);
	}
	if (work.change.attachment != NULL)
		AttachmentRelease();
	return PointerGetDatum(work.result);
}
