/*-------------------------------------------------------------------------
 *
 * outbox.c
 *		The events of the running transaction, until it commits.
 *
 * The model is that of PostgreSQL's commands/async.c, with the ring in the
 * place of its queue.
 *
 * Events are encoded as they come and kept in a list, each with the nesting
 * level of the subtransaction that it came from.  Levels never decrease along
 * the list, so a subtransaction's events are the tail of it: an abort pops
 * them, a commit hands them to the parent by lowering their level.
 *
 * At pre-commit, where failing is still legal, the list becomes one entry of
 * the ring, reserved under the xid of the transaction.  The commit or abort
 * callback marks the entry; neither allocates, and neither can fail.
 *
 * An entry has a bounded size, and so has the list, however many rows a
 * transaction writes.  What would not fit is let go, and only its topics are
 * kept, each once (a "summary"); when even those are too many, a single
 * "resynchronise everything" takes their place.  Both are items of the list
 * like the others: a subtransaction that breaks the bounds and is rolled back
 * costs the rest of the transaction nothing.
 *
 * The end of somebody's access stands before everything else of the
 * transaction, whatever the order of the statements: who loses a quiz gets
 * nothing of the transaction that takes it away.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "backend/failure.h"
#include "backend/inject.h"
#include "backend/outbox.h"
#include "common/render.h"
#include "bus/ring.h"
#include "commands/dbcommands.h"
#include "common/compat.h"
#include "common/counters.h"
#include "common/hashfn.h"
#include "common/settings.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "utils/hsearch.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The keys and the time that the first flag adds, generously. */
#define FLAG_OVERHEAD	80

/* What a flag adds to the message of its attempt; in one allocation. */
typedef struct Flag
{
	TimestampTz at;
	uint32		ordinal;		/* place in the transaction */
	bool		repeated;		/* an earlier flag has the same label */
	uint32		label;			/* where the label begins in "texts" */
	uint32		size;			/* what it may add to the message */
	struct OutboxItem *item;
	char		texts[FLEXIBLE_ARRAY_MEMBER];	/* attempt id, and the label
												 * as UTF-8 JSON */
} Flag;

typedef struct OutboxItem
{
	dlist_node	node;
	int			level;			/* nesting level of its subtransaction */
	EventKind	kind;
	bool		summary;		/* stands for events that were let go */
	bool		unique;			/* is in "seen" */
	Flag	   *flag;
	uint32		length;
	char		bytes[FLEXIBLE_ARRAY_MEMBER];	/* the encoded event */
} OutboxItem;

/* Bytes as the key of a hash table; they belong to somebody else. */
typedef struct BytesKey
{
	const char *bytes;
	uint32		length;
} BytesKey;

typedef struct Outbox
{
	MemoryContext context;		/* NULL: nothing was ever added */
	dlist_head	items;
	HTAB	   *seen;			/* events of which one is enough */
	Size		size;			/* of the items that are no summary */
	Size		summary_size;	/* of those that are */
	Size		revoke_size;	/* of the EVENT_REVOKE ones among the former */
	int			nitems;
	int			nsummaries;
	int			nflags;
	bool		resync_all;		/* the last item is EVENT_RESYNC_ALL */
	RingSeq		reserved;
	int			npublished;		/* items at pre-commit, for the counter */
} Outbox;

/*
 * All of it is gone with the transaction: the memory with its context, the
 * struct by forget(), in the callbacks.
 */
static Outbox outbox;

/* Is this the database that quizrt.database names? */
bool
DatabaseIsServed(void)
{
	/* a database can't be renamed while a session is connected to it */
	static char *name = NULL;

	if (name == NULL)
	{
		char	   *found = get_database_name(MyDatabaseId);

		if (found == NULL)
			return false;
		name = MemoryContextStrdup(TopMemoryContext, found);
	}
	return strcmp(name, quizrt_database) == 0;
}

bool
OutboxInUse(void)
{
	return RingInUse() && DatabaseIsServed();
}

/*
 * Sets of byte strings
 */

static uint32
hash_bytes_key(const void *key, Size keysize)
{
	const BytesKey *k = key;

	return hash_bytes((const unsigned char *) k->bytes, k->length);
}

static int
match_bytes_key(const void *key1, const void *key2, Size keysize)
{
	const BytesKey *a = key1;
	const BytesKey *b = key2;

	return a->length != b->length || memcmp(a->bytes, b->bytes, a->length) != 0;
}

static HTAB *
bytes_set_create(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(BytesKey);
	ctl.entrysize = sizeof(BytesKey);
	ctl.hash = hash_bytes_key;
	ctl.match = match_bytes_key;
	ctl.hcxt = outbox.context;
	return hash_create("quizrt outbox", 64, &ctl,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

/* Add bytes, which must stay where they are; were they new? */
static bool
bytes_set_add(HTAB *set, const char *bytes, uint32 length)
{
	BytesKey	key = {bytes, length};
	bool		found;

	hash_search(set, &key, HASH_ENTER, &found);
	return !found;
}

/*
 * The list
 */

static void
open_outbox(void)
{
	if (outbox.context != NULL)
		return;
	outbox.context = AllocSetContextCreate(TopTransactionContext,
										   "quizrt outbox",
										   ALLOCSET_DEFAULT_SIZES);
	dlist_init(&outbox.items);
}

/* An item of the encoded event, in no list yet. */
static OutboxItem *
make_item(const Event *event)
{
	Size		size = EventEncodedSize(event);
	OutboxItem	   *item;
	StringInfoData buffer;

	/* StringInfo wants room for a terminator; then it never moves the bytes */
	item = MemoryContextAlloc(outbox.context,
							  offsetof(OutboxItem, bytes) + size + 1);
	item->level = GetCurrentTransactionNestLevel();
	item->kind = event->kind;
	item->summary = false;
	item->unique = false;
	item->flag = NULL;
	item->length = (uint32) size;

	buffer.data = item->bytes;
	buffer.maxlen = (int) size + 1;
	buffer.cursor = 0;
	resetStringInfo(&buffer);
	EventEncode(&buffer, event);
	return item;
}

static void
account(const OutboxItem *item, int sign)
{
	Size		size = item->length + (item->flag ? item->flag->size : 0);

	size *= sign;
	outbox.nitems += sign;
	if (item->summary)
	{
		outbox.nsummaries += sign;
		outbox.summary_size += size;
	}
	else
		outbox.size += size;
	if (item->kind == EVENT_REVOKE)
		outbox.revoke_size += size;
	if (item->kind == EVENT_RESYNC_ALL)
		outbox.resync_all = sign > 0;
	if (item->flag != NULL)
		outbox.nflags += sign;
}

static void
append_item(OutboxItem *item)
{
	dlist_push_tail(&outbox.items, &item->node);
	account(item, 1);
}

static void
remove_item(OutboxItem *item)
{
	if (item->unique)
	{
		BytesKey	key = {item->bytes, item->length};

		hash_search(outbox.seen, &key, HASH_REMOVE, NULL);
	}
	account(item, -1);
	dlist_delete(&item->node);
	if (item->flag != NULL)
		pfree(item->flag);
	pfree(item);
}

/*
 * Append an item of which one is enough in a transaction.  Where one stands
 * it belongs to this subtransaction or to one around it, so it will not go
 * away before this one would have.
 */
static void
append_unique_item(OutboxItem *item)
{
	if (outbox.seen == NULL)
		outbox.seen = bytes_set_create();
	if (!bytes_set_add(outbox.seen, item->bytes, item->length))
	{
		pfree(item);
		return;
	}
	item->unique = true;
	append_item(item);
}

static void
summarise_all(void)
{
	Event		event = {EVENT_RESYNC_ALL};
	OutboxItem	   *item = make_item(&event);

	item->summary = true;
	append_item(item);
}

/* Keep only the topics of an event. */
static void
summarise(const Event *event)
{
	for (int i = 0; i < event->ntopics && !outbox.resync_all; i++)
	{
		Event		topic = {EVENT_RESYNC};
		OutboxItem	   *item;

		topic.ntopics = 1;
		topic.topics[0] = event->topics[i];
		item = make_item(&topic);
		item->summary = true;
		if (outbox.summary_size + item->length > RingMaxEntrySize())
		{
			pfree(item);
			summarise_all();
		}
		else
			append_unique_item(item);
	}
}

static bool
fits(const Event *event, const Flag *flag)
{
	Size		others = outbox.size + (flag ? flag->size : 0);

	/* what ends access is kept when other things are let go */
	if (event->kind == EVENT_REVOKE)
		others = outbox.revoke_size;
	return others + EventEncodedSize(event) <= RingMaxEntrySize();
}

static void
add_encoded(const Event *event, Flag *flag)
{
	OutboxItem	   *item;

	/* a resync of all says everything, and has every access checked again */
	if (outbox.resync_all || !fits(event, flag))
	{
		if (flag != NULL)
			pfree(flag);
		if (event->kind != EVENT_REVOKE && event->kind != EVENT_RESYNC_ALL)
			summarise(event);
		else if (!outbox.resync_all)
			summarise_all();
		return;
	}

	item = make_item(event);
	item->flag = flag;
	if (flag != NULL)
		flag->item = item;
	if (event->kind == EVENT_RESYNC || event->kind == EVENT_RANKING)
		append_unique_item(item);
	else
		append_item(item);
}

/*
 * Adding
 */

static EventText
to_utf8(EventText text)
{
	char	   *converted;

	if (GetDatabaseEncoding() == PG_UTF8 || text.length == 0)
		return text;
	converted = pg_server_to_any(text.bytes, (int) text.length, PG_UTF8);
	if (converted == text.bytes)
		return text;
	return EventTextOf(converted);
}

static void
event_to_utf8(Event *event)
{
	for (int i = 0; i < event->ntopics; i++)
	{
		event->topics[i] = to_utf8(event->topics[i]);
		if (event->topics[i].length > MAX_TOPIC_LENGTH)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the name of a channel is too long"),
					 errdetail("It has %u bytes, and may have %d.",
							   event->topics[i].length, MAX_TOPIC_LENGTH)));
	}
	event->slug = to_utf8(event->slug);
	event->data = to_utf8(event->data);
}

void
OutboxAdd(const Event *event)
{
	Event		utf8 = *event;

	event_to_utf8(&utf8);
	if (utf8.data.length > (uint32) quizrt_max_event_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the data of an event is too large"),
				 errdetail("It has %u bytes, and quizrt.max_event_size is %d.",
						   utf8.data.length, quizrt_max_event_size)));
	if (EventEncodedSize(&utf8) > RingMaxEntrySize())
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the data of an event is too large"),
				 errdetail("With its channel and name it has %zu bytes, and one transaction may send %zu.",
						   EventEncodedSize(&utf8), RingMaxEntrySize()),
				 errhint("Raise quizrt.ring_size.")));
	open_outbox();
	add_encoded(&utf8, NULL);
}

/* Say that an event was too large, but not for every row of a bad day. */
static void
report_too_large(uint32 length)
{
	CountUntold();
	if (!WarningIsDue(InvalidOid))
		return;
	ereport(WARNING,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the data of an event is too large to be sent"),
			 errdetail("It has %u bytes, and quizrt.max_event_size is %d.  Its subscribers are resynchronised.",
					   length, quizrt_max_event_size)));
}

/* Turn an event over the limit into the resynchronisation of its topics. */
static void
limit_size(Event *event)
{
	if (event->data.length <= (uint32) quizrt_max_event_size)
		return;
	report_too_large(event->data.length);
	event->kind = EVENT_RESYNC;
	event->slug.length = 0;
	event->data.length = 0;
}

void
OutboxAddOrResync(const Event *event)
{
	Event		utf8 = *event;

	event_to_utf8(&utf8);
	limit_size(&utf8);
	open_outbox();
	add_encoded(&utf8, NULL);
}

void
OutboxAddFlag(const Event *head, const char *attempt, const char *label,
			  TimestampTz flagged_at)
{
	Event		utf8 = *head;
	Size		attempt_size = strlen(attempt) + 1;
	StringInfoData json;
	EventText	text;
	Flag	   *flag;

	initStringInfo(&json);
	escape_json(&json, label);
	text = to_utf8(EventTextOf(json.data));
	event_to_utf8(&utf8);
	limit_size(&utf8);
	open_outbox();
	if (utf8.kind != EVENT_UPDATE)
	{
		add_encoded(&utf8, NULL);
		return;
	}

	flag = MemoryContextAlloc(outbox.context, offsetof(Flag, texts) +
							  attempt_size + text.length + 1);
	flag->at = flagged_at;
	flag->ordinal = 0;
	flag->repeated = false;
	flag->label = (uint32) attempt_size;
	flag->size = text.length + FLAG_OVERHEAD;
	memcpy(flag->texts, attempt, attempt_size);
	memcpy(flag->texts + attempt_size, text.bytes, text.length);
	flag->texts[attempt_size + text.length] = '\0';
	pfree(json.data);
	add_encoded(&utf8, flag);
}

/*
 * Merging flags
 */

static int
compare_ordinals(const Flag *a, const Flag *b)
{
	return (a->ordinal > b->ordinal) - (a->ordinal < b->ordinal);
}

static int
compare_labels(const void *p, const void *q)
{
	const Flag *a = *(Flag *const *) p;
	const Flag *b = *(Flag *const *) q;
	int			result = strcmp(a->texts, b->texts);

	if (result == 0)
		result = strcmp(a->texts + a->label, b->texts + b->label);
	return result != 0 ? result : compare_ordinals(a, b);
}

static int
compare_attempts(const void *p, const void *q)
{
	const Flag *a = *(Flag *const *) p;
	const Flag *b = *(Flag *const *) q;
	int			result = strcmp(a->texts, b->texts);

	return result != 0 ? result : compare_ordinals(a, b);
}

/* All flags of the list; those that repeat a label of their attempt marked. */
static Flag **
collect_flags(void)
{
	Flag	  **flags = palloc(outbox.nflags * sizeof(Flag *));
	uint32		n = 0;
	dlist_iter	iter;

	dlist_foreach(iter, &outbox.items)
	{
		OutboxItem	   *item = dlist_container(OutboxItem, node, iter.cur);

		if (item->flag == NULL)
			continue;
		item->flag->ordinal = n;
		flags[n++] = item->flag;
	}
	qsort(flags, n, sizeof(Flag *), compare_labels);
	for (uint32 i = 1; i < n; i++)
		flags[i]->repeated =
			strcmp(flags[i]->texts, flags[i - 1]->texts) == 0 &&
			strcmp(flags[i]->texts + flags[i]->label,
				   flags[i - 1]->texts + flags[i - 1]->label) == 0;
	qsort(flags, n, sizeof(Flag *), compare_attempts);
	return flags;
}

/* Put one event in the place of the first of an attempt's flags. */
static void
merge_flags_of_attempt(Flag **flags, int n)
{
	OutboxItem	   *first = flags[0]->item;
	TimestampTz latest = flags[0]->at;
	Size		offset = 0;
	Event		event;
	StringInfoData data;
	OutboxItem	   *merged;

	if (!EventDecode(first->bytes, first->length, &offset, &event))
		elog(ERROR, "an event of the outbox can't be read");
	initStringInfo(&data);
	appendBinaryStringInfo(&data, event.data.bytes, event.data.length);
	appendStringInfoString(&data, ",\"labels\":[");
	for (int i = 0; i < n; i++)
	{
		latest = Max(latest, flags[i]->at);
		if (flags[i]->repeated)
			continue;
		if (i > 0)
			appendStringInfoChar(&data, ',');
		appendStringInfoString(&data, flags[i]->texts + flags[i]->label);
	}
	appendStringInfoString(&data, "],\"flagged_at\":");
	RenderTimestamp(&data, latest, true);
	appendStringInfoChar(&data, '}');

	event.data = EventTextOf(data.data);
	limit_size(&event);
	merged = make_item(&event);
	dlist_insert_before(&first->node, &merged->node);
	account(merged, 1);
	for (int i = 0; i < n; i++)
		remove_item(flags[i]->item);
	pfree(data.data);
}

static void
merge_flags(void)
{
	int			n = outbox.nflags;
	int			begin = 0;
	Flag	  **flags;

	if (n == 0)
		return;
	flags = collect_flags();
	for (int i = 1; i <= n; i++)
	{
		if (i < n && strcmp(flags[i]->texts, flags[begin]->texts) == 0)
			continue;
		merge_flags_of_attempt(flags + begin, i - begin);
		begin = i;
	}
	pfree(flags);
}

/*
 * Making the entry
 */

static bool
decode_item(const OutboxItem *item, Event *event)
{
	Size		offset = 0;

	return EventDecode(item->bytes, item->length, &offset, event);
}

/*
 * What ends access.  Of several about the same thing the last one tells who
 * keeps it; the order of different ones does not matter.
 */
static void
encode_revocations(StringInfo entry)
{
	HTAB	   *subjects;
	dlist_iter	iter;

	if (outbox.revoke_size == 0)
		return;
	subjects = bytes_set_create();
	dlist_reverse_foreach(iter, &outbox.items)
	{
		OutboxItem	   *item = dlist_container(OutboxItem, node, iter.cur);
		Event		event;

		if (item->kind == EVENT_REVOKE && decode_item(item, &event) &&
			bytes_set_add(subjects, event.topics[0].bytes,
						  event.topics[0].length))
			appendBinaryStringInfo(entry, item->bytes, item->length);
	}
	hash_destroy(subjects);
}

static void
encode_others(StringInfo entry)
{
	dlist_iter	iter;

	dlist_foreach(iter, &outbox.items)
	{
		OutboxItem	   *item = dlist_container(OutboxItem, node, iter.cur);

		if (item->kind != EVENT_REVOKE)
			appendBinaryStringInfo(entry, item->bytes, item->length);
	}
}

/* Add to the topics of a RESYNC event; write it out when it is full. */
static void
encode_topics(StringInfo entry, Event *resync, HTAB *topics,
			  const Event *event)
{
	for (int i = 0; i < event->ntopics; i++)
	{
		if (!bytes_set_add(topics, event->topics[i].bytes,
						   event->topics[i].length))
			continue;
		resync->topics[resync->ntopics++] = event->topics[i];
		if (resync->ntopics == MAX_EVENT_TOPICS)
		{
			EventEncode(entry, resync);
			resync->ntopics = 0;
		}
	}
}

/* In place of the events, the topics of all of them. */
static void
encode_summary(StringInfo entry)
{
	HTAB	   *topics = bytes_set_create();
	Event		resync = {EVENT_RESYNC};
	dlist_iter	iter;

	dlist_foreach(iter, &outbox.items)
	{
		OutboxItem	   *item = dlist_container(OutboxItem, node, iter.cur);
		Event		event;

		if (item->kind != EVENT_REVOKE && decode_item(item, &event))
			encode_topics(entry, &resync, topics, &event);
	}
	if (resync.ntopics > 0)
		EventEncode(entry, &resync);
	hash_destroy(topics);
}

static void
encode_entry(StringInfo entry)
{
	bool		oversized = outbox.nsummaries > 0 ||
		outbox.size > RingMaxEntrySize();

	if (oversized)
		CounterAdd(COUNTER_EVENTS_OVERSIZED, 1);
	if (!outbox.resync_all)
	{
		encode_revocations(entry);
		if (oversized)
			encode_summary(entry);
		else
			encode_others(entry);
	}
	if (outbox.resync_all || entry->len > RingMaxEntrySize())
	{
		Event		all = {EVENT_RESYNC_ALL};

		resetStringInfo(entry);
		EventEncode(entry, &all);
	}
}

/*
 * The transaction's life
 */

static bool
is_empty(void)
{
	return outbox.context == NULL || dlist_is_empty(&outbox.items);
}

static void
forget(void)
{
	memset(&outbox, 0, sizeof(outbox));
}

static void
pre_commit(void)
{
	StringInfoData entry;
	TransactionId xid;
	MemoryContext old;

	if (is_empty())
		return;
	old = MemoryContextSwitchTo(outbox.context);
	if (outbox.nsummaries == 0)
		merge_flags();
	initStringInfo(&entry);
	encode_entry(&entry);
	outbox.npublished = outbox.nitems;

	/* readers decide by the xid; a transaction that wrote nothing has none */
	xid = GetTopTransactionId();
	INJECT_DELAY(reserve);
	outbox.reserved = RingReserve(xid, entry.data, entry.len);
	INJECT_DELAY(commit);
	MemoryContextSwitchTo(old);
}

static void
pre_prepare(void)
{
	if (!is_empty())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has published quizrt events")));
}

static void
finish(bool committed)
{
	if (outbox.reserved != INVALID_RING_SEQ)
	{
		if (committed)
		{
			INJECT_DELAY(callback);
			CounterAdd(COUNTER_EVENTS_PUBLISHED, outbox.npublished);
		}
		RingFinish(outbox.reserved, committed);
	}
	forget();
}

/* Parallel workers add nothing, and have nothing to do here. */
static void
at_transaction_event(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pre_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			pre_prepare();
			break;
		case XACT_EVENT_COMMIT:
			finish(true);
			break;
		case XACT_EVENT_ABORT:
			finish(false);
			break;
		case XACT_EVENT_PREPARE:
			forget();
			break;
		default:
			break;
	}
}

static OutboxItem *
last_item_of_level(int level)
{
	OutboxItem	   *item;

	if (is_empty())
		return NULL;
	item = dlist_tail_element(OutboxItem, node, &outbox.items);
	return item->level >= level ? item : NULL;
}

static void
hand_to_parent(int level)
{
	dlist_iter	iter;

	if (last_item_of_level(level) == NULL)
		return;
	dlist_reverse_foreach(iter, &outbox.items)
	{
		OutboxItem	   *item = dlist_container(OutboxItem, node, iter.cur);

		if (item->level < level)
			break;
		item->level = level - 1;
	}
}

static void
at_subtransaction_event(SubXactEvent event, SubTransactionId sub,
						SubTransactionId parent, void *arg)
{
	/* the level is still that of the subtransaction that ends */
	int			level = GetCurrentTransactionNestLevel();
	OutboxItem	   *item;

	if (event == SUBXACT_EVENT_COMMIT_SUB)
		hand_to_parent(level);
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while ((item = last_item_of_level(level)) != NULL)
			remove_item(item);
	}
}

void
OutboxInit(void)
{
	InjectDefineSettings();
	RegisterXactCallback(at_transaction_event, NULL);
	RegisterSubXactCallback(at_subtransaction_event, NULL);
}
