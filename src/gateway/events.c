/*-------------------------------------------------------------------------
 *
 * events.c
 *		What a gateway does with an event that has committed.
 *
 * Updates go to the topics' subscribers.  What ends a credential or a
 * connection is the same for all dialects and is done here; the rest is told
 * to each dialect.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/counters.h"
#include "gateway/dialect.h"
#include "gateway/events.h"
#include "gateway/stream.h"
#include "gateway/topics.h"

/* The reason that was given, or that of a credential */
static char *
reason_of(const Event *event)
{
	if (event->data.length == 0)
		return pstrdup("Access revoked");
	return pnstrdup(event->data.bytes, event->data.length);
}

static void
close_subscriber(Subscription *subscription, Connection *connection,
				 void *context)
{
	CounterAdd(COUNTER_ACCESS_REVOKED, 1);
	ConnectionClose(connection, WS_CLOSE_ACCESS_REVOKED, context);
}

/* One that is no WebSocket yet can be told nothing. */
static void
close_connection(uint64 id, const char *reason)
{
	dlist_iter	iter;

	dlist_foreach(iter, &all_connections)
	{
		Connection *connection = dlist_container(Connection, all_node,
												 iter.cur);

		if (connection->id != id)
			continue;
		if (connection->state <= CONNECTION_OPEN)
			CounterAdd(COUNTER_ACCESS_REVOKED, 1);
		ConnectionClose(connection, WS_CLOSE_ACCESS_REVOKED, reason);
		return;
	}
}

/* "connection:<id>", by number; or a credential, by its internal topic */
static void
revoke(const Event *event)
{
	static const char prefix[] = "connection:";
	EventText	subject = event->topics[0];
	char	   *reason = reason_of(event);
	Topic	   *topic = TopicFind(subject);

	if (subject.length > strlen(prefix) &&
		memcmp(subject.bytes, prefix, strlen(prefix)) == 0)
	{
		char	   *id = pnstrdup(subject.bytes + strlen(prefix),
								  subject.length - strlen(prefix));

		close_connection(strtoull(id, NULL, 10), reason);
		pfree(id);
	}
	else if (topic != NULL && topic->dialect == NULL)
		TopicForEach(topic, close_subscriber, reason);
	pfree(reason);
}

void
EventDispatch(const Event *event)
{
	if (event->kind == EVENT_UPDATE)
	{
		TopicsBroadcast(event);
		return;
	}
	if (event->kind == EVENT_RESYNC_ALL)
	{
		/* What is being asked may be among what has changed. */
		StreamBreakMarks();
		EventsLost();
		return;
	}
	if (event->kind == EVENT_REVOKE && event->ntopics > 0)
		revoke(event);
	for (int i = 0; dialects[i] != NULL; i++)
	{
		if (dialects[i]->event != NULL)
			dialects[i]->event(event);
	}
}

void
EventsLost(void)
{
	CounterAdd(COUNTER_RESYNCHRONISATIONS, 1);
	for (int i = 0; dialects[i] != NULL; i++)
	{
		if (dialects[i]->lost != NULL)
			dialects[i]->lost();
	}
}
