/*-------------------------------------------------------------------------
 *
 * snapshots.c
 *		What a topic shows at the moment, made once for all who ask at the
 *		same time.
 *
 * A snapshot may be large and its query slow, and there may be a thousand who
 * want it: after a restart, or because the ring has overtaken this gateway.
 * So there is one question at a time for a topic, with a pause before the
 * next, and all who wait share its answer.  Who comes while it is on its way,
 * or within the pause after it, takes it as well: what was committed since
 * its MVCC snapshot is replayed to each of them (see stream.c).  Only who
 * knows of a change that has no message (an EVENT_RESYNC) needs a fresh one,
 * and waits for the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/settings.h"
#include "gateway/guard.h"
#include "gateway/questions.h"
#include "gateway/snapshots.h"
#include "utils/memutils.h"

/* The least time between two questions for one topic, in milliseconds. */
#define PAUSE	Min(200, quizrt_leaderboard_interval)

/* What is asked about one topic. */
typedef struct Inquiry
{
	EventText	topic;			/* the bytes follow the struct */
	Question   *question;		/* on its way */
	uint64		number;			/* of the question on its way, or the last */
	TopicSnapshot   *latest;			/* for those who come within the pause */
	Timer		timer;			/* the pause's end, or at once */
	TimeMs		pause_ends;
	dlist_head	waits;
} Inquiry;

struct SnapshotWait
{
	dlist_node	node;			/* on its inquiry's list */
	uint64		least;			/* number of the question that will do */
	SnapshotHandler handler;
	void	   *owner;
};

typedef struct InquirySlot
{
	EventText	topic;			/* the inquiry's own */
	Inquiry    *inquiry;
	uint32		hash;
	char		status;
} InquirySlot;

static inline uint32
hash_topic(EventText topic)
{
	return hash_bytes((const unsigned char *) topic.bytes, (int) topic.length);
}

#define SH_PREFIX inquiry_table
#define SH_ELEMENT_TYPE InquirySlot
#define SH_KEY_TYPE EventText
#define SH_KEY topic
#define SH_HASH_KEY(table, key) hash_topic(key)
#define SH_EQUAL(table, a, b) EventTextEquals(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, slot) (slot)->hash
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

static inquiry_table_hash *inquiries;
static MemoryContext snapshots_context;
static uint64 last_number = 0;

static void run(Timer *timer);

void
SnapshotsInit(void)
{
	snapshots_context = AllocSetContextCreate(TopMemoryContext,
											  "quizrt snapshots",
											  ALLOCSET_DEFAULT_SIZES);
	inquiries = inquiry_table_create(snapshots_context, 64, NULL);
}

void
SnapshotHold(TopicSnapshot *snapshot)
{
	snapshot->holders++;
}

void
SnapshotRelease(TopicSnapshot *snapshot)
{
	if (--snapshot->holders > 0)
		return;
	StreamMarkClear(&snapshot->mark);
	FrameRelease(snapshot->frame);
	pfree(snapshot);
}

static Inquiry *
find_or_create(EventText topic)
{
	InquirySlot *slot = inquiry_table_lookup(inquiries, topic);
	Inquiry    *inquiry;
	bool		found;

	if (slot != NULL)
		return slot->inquiry;

	inquiry = MemoryContextAllocZero(snapshots_context,
									 sizeof(Inquiry) + topic.length);
	memcpy(inquiry + 1, topic.bytes, topic.length);
	inquiry->topic.bytes = (const char *) (inquiry + 1);
	inquiry->topic.length = topic.length;
	dlist_init(&inquiry->waits);
	TimerInit(&inquiry->timer, run);
	slot = inquiry_table_insert(inquiries, inquiry->topic, &found);
	Assert(!found);
	slot->inquiry = inquiry;
	return inquiry;
}

static void
discard(Inquiry *inquiry)
{
	TimerSet(&inquiry->timer, NEVER);
	if (inquiry->latest != NULL)
		SnapshotRelease(inquiry->latest);
	inquiry_table_delete(inquiries, inquiry->topic);
	pfree(inquiry);
}

/* Copy an answer, with a mark of its own at the place of the question's. */
static TopicSnapshot *
make_snapshot(const Inquiry *inquiry, const ChannelAnswer *answer,
			  const SnapshotJoin *join, StreamMark *mark)
{
	Size		xip_size = join->nxip * sizeof(TransactionId);
	TopicSnapshot   *snapshot = MemoryContextAllocHuge(snapshots_context,
												  sizeof(TopicSnapshot) +
												  answer->snapshot.length +
												  xip_size);
	char	   *bytes = (char *) (snapshot + 1);

	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->holders = 1;
	snapshot->number = inquiry->number;
	snapshot->join = *join;
	snapshot->join.xip = bytes;
	memcpy(bytes, join->xip, xip_size);
	snapshot->rows.bytes = bytes + xip_size;
	snapshot->rows.length = answer->snapshot.length;
	memcpy(bytes + xip_size, answer->snapshot.bytes, answer->snapshot.length);
	StreamMarkTake(&snapshot->mark, mark);
	return snapshot;
}

typedef struct Telling
{
	SnapshotWait *wait;
	TopicSnapshot   *snapshot;
} Telling;

static void
call_handler(void *argument)
{
	Telling    *telling = argument;

	telling->wait->handler(telling->wait->owner, telling->snapshot);
}

/* The first of those who wait for no more than this number. */
static SnapshotWait *
next_wait(Inquiry *inquiry, uint64 number)
{
	dlist_iter	iter;

	dlist_foreach(iter, &inquiry->waits)
	{
		SnapshotWait *wait = dlist_container(SnapshotWait, node, iter.cur);

		if (wait->least <= number)
			return wait;
	}
	return NULL;
}

/*
 * Tell all for whom this answer will do.  A handler may cancel others and
 * come with new ones, so the list is looked through again after each.
 */
static void
tell(Inquiry *inquiry, uint64 number, TopicSnapshot *snapshot)
{
	SnapshotWait *wait;

	while ((wait = next_wait(inquiry, number)) != NULL)
	{
		Telling		telling = {wait, snapshot};

		dlist_delete(&wait->node);
		(void) Guarded(call_handler, &telling);
		pfree(wait);
	}
}

/* An answer has come, or its time is up. */
static void
answered(void *owner, const char *bytes, Size length, StreamMark *mark)
{
	Inquiry    *inquiry = owner;
	SnapshotJoin join;
	ChannelsCursor cursor;
	ChannelAnswer answer;

	inquiry->question = NULL;
	inquiry->pause_ends = gateway_now + PAUSE;
	TimerSet(&inquiry->timer, inquiry->pause_ends);

	if (bytes == NULL ||
		!ChannelsAnswerOpen(bytes, length, &join, &cursor) ||
		!ChannelsAnswerNext(&cursor, &answer) ||
		answer.verdict != CHANNEL_GRANTED || answer.snapshot.length == 0)
	{
		tell(inquiry, inquiry->number, NULL);
		return;
	}
	inquiry->latest = make_snapshot(inquiry, &answer, &join, mark);
	tell(inquiry, inquiry->number, inquiry->latest);
}

static void
ask(Inquiry *inquiry)
{
	ChannelQuestion channel = {inquiry->topic, false, true};
	StringInfoData bytes;

	initStringInfo(&bytes);
	ChannelsQuestionBegin(&bytes, EventTextOf(""), 1);
	ChannelsQuestionAdd(&bytes, &channel);
	inquiry->number = ++last_number;
	inquiry->question = QuestionAsk(QUESTION_SNAPSHOT, bytes.data, bytes.len,
									answered, inquiry);
	pfree(bytes.data);
}

/* Do what is to be done about a topic now. */
static void
run_inquiry(void *argument)
{
	Inquiry    *inquiry = argument;

	if (inquiry->latest != NULL && !inquiry->latest->mark.broken)
		tell(inquiry, inquiry->latest->number, inquiry->latest);
	if (gateway_now < inquiry->pause_ends)
	{
		TimerSet(&inquiry->timer, inquiry->pause_ends);
		return;
	}
	if (inquiry->latest != NULL)
		SnapshotRelease(inquiry->latest);
	inquiry->latest = NULL;
	if (inquiry->question != NULL)
		return;
	if (dlist_is_empty(&inquiry->waits))
		discard(inquiry);
	else
		ask(inquiry);
}

static void
run(Timer *timer)
{
	Inquiry    *inquiry = (Inquiry *)
		((char *) timer - offsetof(Inquiry, timer));

	/* Short of memory: again, after a moment. */
	if (!Guarded(run_inquiry, inquiry))
		TimerSet(&inquiry->timer, gateway_now + 1000);
}

SnapshotWait *
SnapshotWanted(EventText topic, bool fresh, SnapshotHandler handler,
			   void *owner)
{
	SnapshotWait *wait = MemoryContextAllocZero(snapshots_context,
												sizeof(SnapshotWait));
	Inquiry    *inquiry = find_or_create(topic);

	wait->handler = handler;
	wait->owner = owner;
	wait->least = fresh ? last_number + 1 : 0;
	dlist_push_tail(&inquiry->waits, &wait->node);

	/* While a question is on its way, its answer will start the timer. */
	if (inquiry->question == NULL &&
		(!fresh || inquiry->pause_ends <= gateway_now))
		TimerSet(&inquiry->timer, gateway_now);
	return wait;
}

void
SnapshotCancel(SnapshotWait *wait)
{
	if (wait == NULL)
		return;
	dlist_delete(&wait->node);
	pfree(wait);
}
