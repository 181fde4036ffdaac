/*-------------------------------------------------------------------------
 *
 * reconnect.c
 *		For dialects whose messages can't be made good: who missed some is
 *		made to connect again.
 *
 * The dashboard and the security API have neither snapshots nor a message
 * that says "something is missing".  But a gap must not be silent: so the
 * connection is closed with 1013, "try again later", which is neither a
 * normal end nor a refusal, and the client does what it does after every
 * other loss of the connection: it reads what there is, and connects again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "gateway/dialect.h"
#include "gateway/reconnect.h"
#include "gateway/topics.h"

void
ReconnectCaughtUp(Connection *connection)
{
	ConnectionClose(connection, WS_CLOSE_TRY_AGAIN_LATER, "Updates lost");
}

static void
close_subscriber(Subscription *subscription, Connection *connection,
				 void *context)
{
	ReconnectCaughtUp(connection);
}

void
ReconnectEvent(const Event *event)
{
	if (event->kind != EVENT_RESYNC)
		return;
	for (int i = 0; i < event->ntopics; i++)
	{
		Topic	   *topic = TopicFind(event->topics[i]);

		if (topic != NULL && topic->dialect != NULL &&
			topic->dialect->event == ReconnectEvent)
			TopicForEach(topic, close_subscriber, NULL);
	}
}

void
ReconnectLost(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &connections[CONNECTION_OPEN])
	{
		Connection *connection = dlist_container(Connection, node, iter.cur);

		if (connection->dialect->lost == ReconnectLost)
			ReconnectCaughtUp(connection);
	}
}
