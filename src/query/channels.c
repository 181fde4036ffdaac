/*-------------------------------------------------------------------------
 *
 * channels.c
 *		Whose is it, and what is there?
 *
 * A question names an owner and channels; the answer says of each whether it
 * is that owner's, which quiz it belongs to, and, where wanted, what there is
 * at the moment.  All channels of all questions of a batch are looked up by
 * one query, whose text comes from quizrt.owner_query(): it knows where the
 * quizzes are.  A channel that breaks the query (an id that its type can't
 * hold) is found by asking alone, and is the only one without an answer.
 *
 * Everything runs under the one snapshot of the transaction, read only, so
 * that the snapshots sent to clients and the updates after them join.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/render.h"
#include "common/settings.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "query/channels.h"
#include "query/complaint.h"
#include "query/query.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

typedef struct Channel
{
	ChannelQuestion question;
	EventText	owner;			/* who asks */
	ChannelAnswer answer;
} Channel;

/* The channels of one question among those of all. */
typedef struct Asked
{
	int			number;			/* of the question in the batch */
	int			first;
	int			count;
} Asked;

typedef struct Channels
{
	Channel    *channels;
	int			count;
	int			room;
	Asked	   *asked;
	int			nasked;
} Channels;

/* Types of topics that have snapshots, and the queries for them. */
static struct
{
	const char *type;
	SavedQuery	query;
}			snapshots[] = {{"attempts"}, {"leaderboard"}, {"notification"}};

static SavedQuery owners_query;
static SavedQuery owners_text_query;
static SavedQuery snapshot_text_query;

/*
 * Reading the questions
 */

/* Nobody's until it is found; what isn't checked is known to be granted. */
static void
reset_verdict(Channel *channel)
{
	channel->answer.verdict = channel->question.check_owner ?
		CHANNEL_DENIED : CHANNEL_GRANTED;
}

static void
add_channel(Channels *all, const ChannelQuestion *question, EventText owner)
{
	Channel    *channel;

	if (all->count == all->room)
	{
		all->room *= 2;
		all->channels = repalloc_huge(all->channels,
									  all->room * sizeof(Channel));
	}
	channel = &all->channels[all->count++];
	memset(channel, 0, sizeof(*channel));
	channel->question = *question;
	channel->owner = owner;
	reset_verdict(channel);
}

/* A question that can't be read stays unanswered. */
static void
read_question(Channels *all, const Batch *batch, int number)
{
	const MailboxQuestion *question = &batch->questions[number];
	Asked	   *asked = &all->asked[all->nasked];
	ChannelsCursor cursor;
	ChannelQuestion channel;
	EventText	owner;
	uint32		count;

	if (!ChannelsQuestionOpen(question->bytes, question->length, &owner,
							  &cursor))
		return;
	count = cursor.remaining;
	asked->number = number;
	asked->first = all->count;
	while (ChannelsQuestionNext(&cursor, &channel) &&
		   channel.topic.length <= MAX_TOPIC_LENGTH)
		add_channel(all, &channel, owner);
	asked->count = all->count - asked->first;
	if (asked->count == count)
		all->nasked++;
	else
		all->count = asked->first;
}

static void
read_questions(Channels *all, const Batch *batch, int from, int to)
{
	memset(all, 0, sizeof(*all));
	all->room = 64;
	all->channels = palloc(all->room * sizeof(Channel));
	all->asked = palloc((to - from) * sizeof(Asked));
	for (int i = from; i < to; i++)
	{
		if (!batch->answered[i])
			read_question(all, batch, i);
	}
}

/*
 * Ownership
 */

/* The two parts of a topic, which has a colon. */
static bool
split_topic(EventText topic, EventText *type, EventText *id)
{
	const char *colon = memchr(topic.bytes, ':', topic.length);

	if (colon == NULL)
		return false;
	type->bytes = topic.bytes;
	type->length = colon - topic.bytes;
	id->bytes = colon + 1;
	id->length = topic.length - type->length - 1;
	return true;
}

/* A row says to which quiz a channel belongs, and whose that is. */
static void
take_owner(Channel *channels, int count, uint64 row)
{
	Channel    *channel;
	Datum		ord;
	Datum		quiz;
	Datum		owner;

	if (!QueryColumn(row, 1, &ord) ||
		DatumGetInt64(ord) < 1 || DatumGetInt64(ord) > count)
		elog(ERROR, "unexpected answer about owners");
	if (!QueryColumn(row, 2, &quiz))
		return;
	channel = &channels[DatumGetInt64(ord) - 1];
	if (channel->question.check_owner &&
		(!QueryColumn(row, 3, &owner) ||
		 !EventTextEquals(QueryUtf8(owner), channel->owner)))
		return;
	channel->answer.quiz = QueryUtf8(quiz);
	channel->answer.verdict = CHANNEL_GRANTED;
}

typedef struct ChannelRange
{
	Channel    *channels;
	int			count;
} ChannelRange;

static void
find_owners(void *arg)
{
	ChannelRange *range = arg;
	QueryParameters parameters = {2, {TEXTARRAYOID, TEXTARRAYOID}};
	char	   *text = QueryTextFrom(&owners_text_query, "owner_query", NULL);
	Datum	   *types = palloc((range->count + 1) * sizeof(Datum));
	Datum	   *ids = palloc((range->count + 1) * sizeof(Datum));

	if (text == NULL)
		return;
	for (int i = 0; i < range->count; i++)
	{
		EventText	type;
		EventText	id;

		if (!split_topic(range->channels[i].question.topic, &type, &id))
			elog(ERROR, "a channel's topic has no type");
		types[i] = QueryTextDatum(type);
		ids[i] = QueryTextDatum(id);
	}
	parameters.values[0] = QueryArray(types, range->count, TEXTOID);
	parameters.values[1] = QueryArray(ids, range->count, TEXTOID);
	QueryRunAsRole(&owners_query, text, &parameters);
	for (uint64 row = 0; row < SPI_processed; row++)
		take_owner(range->channels, range->count, row);
}

/*
 * The owners of one question's channels, where a broken one must not fail the
 * others.
 */
static void
find_owners_alone(Channel *channels, int count)
{
	ChannelRange range = {channels, count};

	if (count > 1 && TryInSubtransaction(NULL, find_owners, &range))
		return;
	range.count = 1;
	for (int i = 0; i < count; i++)
	{
		range.channels = &channels[i];
		reset_verdict(range.channels);
		if (!TryInSubtransaction("could not find a channel's owner",
								 find_owners, &range))
			range.channels->answer.verdict = CHANNEL_UNAVAILABLE;
	}
}

/*
 * Snapshots
 *
 * quizrt.snapshot_query(type text) returns the text of a query with two
 * parameters, $1 text (the topic's id) and $2 integer (how many rows a
 * leaderboard has).  Its rows are the snapshot's objects, their columns the
 * objects' members.  It uses no volatile function, or it would see more than
 * its snapshot.
 */

/* The query of a type of topic; NULL where it has no snapshots. */
static SavedQuery *
snapshot_query(EventText type)
{
	for (int i = 0; i < lengthof(snapshots); i++)
	{
		if (EventTextEquals(type, EventTextOf(snapshots[i].type)))
			return &snapshots[i].query;
	}
	return NULL;
}

/* The rows at hand as a JSON array of objects, in UTF-8. */
static EventText
rows_as_json(void)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(SPI_tuptable->vals[row], desc, values, nulls);
		appendStringInfoString(&json, row == 0 ? "{" : ",{");
		RenderMembers(&json, desc, values, nulls, 0, desc->natts);
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, ']');
	return EventTextOf(pg_server_to_any(json.data, json.len, PG_UTF8));
}

/* What there is under a topic; empty where nothing can be told. */
static EventText
snapshot_of(EventText topic)
{
	QueryParameters parameters = {2, {TEXTOID, INT4OID}};
	EventText	none = {NULL, 0};
	EventText	type;
	EventText	id;
	SavedQuery *query;
	char	   *text;

	if (!split_topic(topic, &type, &id) ||
		(query = snapshot_query(type)) == NULL)
		return none;
	text = QueryTextFrom(&snapshot_text_query, "snapshot_query",
						 pnstrdup(type.bytes, type.length));
	if (text == NULL)
		return none;

	parameters.values[0] = QueryTextDatum(id);
	parameters.values[1] = Int32GetDatum(quizrt_leaderboard_size);
	QueryRunAsRole(query, text, &parameters);
	return rows_as_json();
}

static void
find_snapshot(void *arg)
{
	Channel    *channel = arg;

	channel->answer.snapshot = snapshot_of(channel->question.topic);
}

/*
 * Many may ask for the same at a time, after a restart or a resync: it is
 * made once.
 */
typedef struct Made
{
	char		topic[MAX_TOPIC_LENGTH + 1];
	bool		failed;
	EventText	snapshot;
} Made;

static HTAB *
create_made(int count)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(((Made *) NULL)->topic);
	control.entrysize = sizeof(Made);
	control.hcxt = CurrentMemoryContext;
	return hash_create("quizrt snapshots", count, &control,
					   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

static void
find_snapshot_once(HTAB *made, Channel *channel)
{
	EventText	topic = channel->question.topic;
	char		key[MAX_TOPIC_LENGTH + 1];
	bool		found;
	Made	   *entry;

	strlcpy(key, pnstrdup(topic.bytes, topic.length), sizeof(key));
	entry = hash_search(made, key, HASH_FIND, &found);
	if (!found)
	{
		bool		failed = !TryInSubtransaction("could not make a snapshot",
												  find_snapshot, channel);

		entry = hash_search(made, key, HASH_ENTER, NULL);
		entry->failed = failed;
		entry->snapshot = channel->answer.snapshot;
	}
	channel->answer.snapshot = entry->snapshot;
	if (entry->failed)
		channel->answer.verdict = CHANNEL_UNAVAILABLE;
}

static void
find_snapshots(Channels *all)
{
	HTAB	   *made = NULL;

	for (int i = 0; i < all->count; i++)
	{
		Channel    *channel = &all->channels[i];

		if (!channel->question.want_snapshot ||
			channel->answer.verdict != CHANNEL_GRANTED)
			continue;
		if (made == NULL)
			made = create_made(all->count);
		find_snapshot_once(made, channel);
	}
}

/*
 * Answering
 */

static void
answer_question(Batch *batch, const Channels *all, const Asked *asked)
{
	StringInfoData buffer;

	initStringInfo(&buffer);
	ChannelsAnswerBegin(&buffer, &batch->join, asked->count);
	for (int i = 0; i < asked->count; i++)
		ChannelsAnswerAdd(&buffer, &all->channels[asked->first + i].answer);
	BatchAnswer(batch, asked->number, &buffer);
	pfree(buffer.data);
}

void
ChannelsAnswerBatch(Batch *batch, int from, int to)
{
	Channels	all;

	read_questions(&all, batch, from, to);
	if (all.nasked == 1)
		find_owners_alone(all.channels, all.count);
	else
	{
		ChannelRange range = {all.channels, all.count};

		find_owners(&range);
	}
	find_snapshots(&all);
	for (int i = 0; i < all.nasked; i++)
		answer_question(batch, &all, &all.asked[i]);
}

void
ChannelsTest(void)
{
	ChannelRange nothing = {NULL, 0};

	find_owners(&nothing);
}
