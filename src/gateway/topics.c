/*-------------------------------------------------------------------------
 *
 * topics.c
 *		Who of this gateway's connections wants to hear of what.
 *
 * A hash table of topics by name; a topic has its subscribers in an array, so
 * that a broadcast walks through memory in order.  A subscription knows its
 * place there, and the last subscriber moves into the place of one that
 * leaves.  The walk goes from the end to the beginning, so that a subscriber
 * that leaves in the middle of it (its connection fails) moves only one that
 * has had its turn.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/counters.h"
#include "common/hashfn.h"
#include "gateway/dialect.h"
#include "gateway/snapshots.h"
#include "gateway/topics.h"
#include "utils/memutils.h"

typedef struct TopicSlot
{
	EventText	name;			/* the topic's own */
	Topic	   *topic;
	uint32		hash;
	char		status;
} TopicSlot;

static inline uint32
hash_name(EventText name)
{
	return hash_bytes((const unsigned char *) name.bytes, (int) name.length);
}

#define SH_PREFIX topic_table
#define SH_ELEMENT_TYPE TopicSlot
#define SH_KEY_TYPE EventText
#define SH_KEY name
#define SH_HASH_KEY(table, key) hash_name(key)
#define SH_EQUAL(table, a, b) EventTextEquals(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, slot) (slot)->hash
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

static topic_table_hash *topics;
static MemoryContext topics_context;
static int64 subscriptions = 0;

void
TopicsInit(void)
{
	topics_context = AllocSetContextCreate(TopMemoryContext, "quizrt topics",
										   ALLOCSET_DEFAULT_SIZES);
	topics = topic_table_create(topics_context, 256, NULL);
}

static void
count_subscriptions(int64 n)
{
	subscriptions += n;
	CounterAdd(COUNTER_SUBSCRIPTIONS, n);
}

int64
TopicsSubscriptions(void)
{
	return subscriptions;
}

Topic *
TopicFind(EventText name)
{
	TopicSlot  *slot = topic_table_lookup(topics, name);

	return slot ? slot->topic : NULL;
}

static Topic *
create_topic(EventText name)
{
	Topic	   *topic = MemoryContextAllocZero(topics_context,
											   offsetof(Topic, name) +
											   name.length + 1);
	TopicSlot  *slot;
	bool		found;

	topic->dialect = DialectOfTopic(name);
	topic->length = (uint16) name.length;
	memcpy(topic->name, name.bytes, name.length);

	slot = topic_table_insert(topics, TopicName(topic), &found);
	Assert(!found);
	slot->topic = topic;
	return topic;
}

/* Free a topic that nobody wants any more, unless somebody looks at it. */
static void
free_if_unused(Topic *topic)
{
	if (topic->count > 0 || topic->busy)
		return;
	topic_table_delete(topics, TopicName(topic));
	if (topic->subscribers != NULL)
		pfree(topic->subscribers);
	if (topic->extra != NULL)
		topic->dialect->topic_ended(topic);
	pfree(topic);
}

static void
make_room(Topic *topic)
{
	uint32		size = topic->size * 2;

	if (topic->count < topic->size)
		return;
	if (topic->subscribers == NULL)
	{
		size = 1;
		topic->subscribers = MemoryContextAlloc(topics_context,
												sizeof(Subscriber));
	}
	else
		topic->subscribers = repalloc_huge(topic->subscribers,
										   (Size) size * sizeof(Subscriber));
	topic->size = size;
}

Subscription *
Subscribe(Connection *connection, EventText name, dlist_head *list)
{
	Subscription *subscription = MemoryContextAllocZero(topics_context,
														sizeof(Subscription));
	Topic	   *topic = TopicFind(name);

	/* A topic without subscribers is freed with the next that comes and
	 * goes; memory that runs short here leaves no more than that behind. */
	if (topic == NULL)
		topic = create_topic(name);
	make_room(topic);

	subscription->topic = topic;
	subscription->index = topic->count;
	topic->subscribers[topic->count].connection = connection;
	topic->subscribers[topic->count].subscription = subscription;
	topic->count++;
	dlist_push_tail(list, &subscription->node);
	if (topic->dialect != NULL)
		count_subscriptions(1);
	return subscription;
}

Subscription *
SubscriptionFind(dlist_head *list, EventText topic)
{
	dlist_iter	iter;

	dlist_foreach(iter, list)
	{
		Subscription *at = dlist_container(Subscription, node, iter.cur);

		if (EventTextEquals(TopicName(at->topic), topic))
			return at;
	}
	return NULL;
}

void
Unsubscribe(Subscription *subscription)
{
	Topic	   *topic = subscription->topic;
	Subscriber *place = &topic->subscribers[subscription->index];

	*place = topic->subscribers[--topic->count];
	place->subscription->index = subscription->index;
	dlist_delete(&subscription->node);
	SnapshotCancel(subscription->wait);
	FrameRelease(subscription->shown);
	if (topic->dialect != NULL)
		count_subscriptions(-1);
	pfree(subscription);
	free_if_unused(topic);
}

void
UnsubscribeAll(dlist_head *list)
{
	while (!dlist_is_empty(list))
		Unsubscribe(dlist_container(Subscription, node,
									dlist_head_node(list)));
}

void
TopicForEach(Topic *topic,
			 void (*callback) (Subscription *subscription,
							   Connection *connection, void *context),
			 void *context)
{
	bool		was_busy = topic->busy;

	topic->busy = true;
	for (uint32 i = topic->count; i-- > 0;)
	{
		/* A callback that ends more than its own makes the array shorter. */
		if (i < topic->count)
			callback(topic->subscribers[i].subscription,
					 topic->subscribers[i].connection, context);
	}
	topic->busy = was_busy;
	free_if_unused(topic);
}

static void
send_to(Topic *topic, Frame *frame, bool conclude)
{
	uint64		sent = 0;

	topic->busy = true;
	for (uint32 i = topic->count; i-- > 0;)
	{
		Connection *connection = topic->subscribers[i].connection;
		Subscription *subscription = topic->subscribers[i].subscription;

		if (subscription->held)
			continue;
		switch (ConnectionSend(connection, frame))
		{
			case SEND_QUEUED:
				if (conclude)
					topic->dialect->conclude(connection);
				sent++;
				break;
			case SEND_LEFT_OUT:
				topic->subscribers[i].subscription->lost = true;
				break;
			case SEND_ENDED:
				break;
		}
	}
	topic->busy = false;
	free_if_unused(topic);
	CounterAdd(COUNTER_MESSAGES_SENT, sent);
}

void
TopicsBroadcast(const Event *event)
{
	for (int i = 0; i < event->ntopics; i++)
	{
		EventText	name = event->topics[i];
		Topic	   *topic = TopicFind(name);
		const Dialect *dialect;
		Frame	   *frame;

		if (topic == NULL || topic->dialect == NULL)
			continue;
		dialect = topic->dialect;
		frame = dialect->word(event, name);
		if (frame == NULL)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
							errmsg("out of memory")));
		send_to(topic, frame, dialect->concludes != NULL &&
				dialect->concludes(event, name));
		FrameRelease(frame);
	}
}
