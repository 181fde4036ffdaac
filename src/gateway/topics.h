/*-------------------------------------------------------------------------
 *
 * topics.h
 *		Who of this gateway's connections wants to hear of what.
 *
 * A topic exists while it has a subscription.  Besides those that clients
 * name there are internal ones, by which revocations find whom they concern:
 * "key:<hash>", "session:<hash>", "connection:<id>" and "grant:<quiz id>".
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_TOPICS_H
#define QUIZRT_TOPICS_H

#include "bus/event.h"
#include "gateway/connection.h"
#include "lib/ilist.h"

struct Dialect;
struct SnapshotWait;
struct Subscription;

/* A subscriber as the broadcast walks through them: side by side. */
typedef struct Subscriber
{
	Connection *connection;
	struct Subscription *subscription;
} Subscriber;

typedef struct Topic
{
	const struct Dialect *dialect;	/* NULL: internal */
	Subscriber *subscribers;	/* malloc'd */
	uint32		count;
	uint32		size;
	uint32		hash;			/* of the name */
	bool		busy;			/* being walked through: is not freed now */
	void	   *extra;			/* the dialect's; see topic_ended() */
	uint16		length;
	char		name[FLEXIBLE_ARRAY_MEMBER];	/* and a NUL */
} Topic;

typedef struct Subscription
{
	dlist_node	node;			/* on its session's list */
	Topic	   *topic;
	uint32		index;			/* in the topic's subscribers */
	bool		held;			/* updates are not sent: a snapshot is on its
								 * way */
	bool		lost;			/* an update was left out (slow client) */
	struct SnapshotWait *wait;	/* for the snapshot that is on its way */
	Frame	   *shown;			/* the snapshot that was sent last, where it is
								 * compared with the next; or NULL */
	struct Subscription *grant; /* quiz: the grant that it stands on */
} Subscription;

extern void TopicsInit(void);

/* The topic of that name, or NULL. */
extern Topic *TopicFind(EventText name);

/*
 * Subscribe a connection; the subscription is put on the list.  Throws where
 * memory is short, and has done nothing then.
 */
extern Subscription *Subscribe(Connection *connection, EventText topic,
							   dlist_head *list);

/* The subscription on a session's list that is to this topic, or NULL. */
extern Subscription *SubscriptionFind(dlist_head *list, EventText topic);

/* End a subscription; its topic goes with the last one. */
extern void Unsubscribe(Subscription *subscription);

/* All of a session's. */
extern void UnsubscribeAll(dlist_head *list);

/* Send an update to all subscribers of its topics. */
extern void TopicsBroadcast(const Event *event);

/*
 * Call for each subscriber of a topic.  The callback may end that
 * subscription or its connection, and no other of the topic.
 */
extern void TopicForEach(Topic *topic,
						 void (*callback) (Subscription *subscription,
										   Connection *connection,
										   void *context),
						 void *context);

/* Whose is it? */
static inline Connection *
SubscriptionConnection(const Subscription *subscription)
{
	return subscription->topic->subscribers[subscription->index].connection;
}

/* Subscriptions to topics of dialects. */
extern int64 TopicsSubscriptions(void);

static inline EventText
TopicName(const Topic *topic)
{
	EventText	name = {topic->name, topic->length};

	return name;
}

#endif							/* QUIZRT_TOPICS_H */
