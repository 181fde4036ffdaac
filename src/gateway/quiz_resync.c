/*-------------------------------------------------------------------------
 *
 * quiz_resync.c
 *		Snapshots of the quiz API's channels, and making good for lost
 *		updates.
 *
 * A subscription whose client may have missed something is held: it gets no
 * updates until a fresh snapshot has been sent, and then those since.  A
 * quiz channel has no snapshots; its client is told "Updates lost".  A
 * participant who may have missed the end of the attempt is sent it, if the
 * attempt has ended.
 *
 * A leaderboard is nothing but snapshots: a change of the ranking marks it,
 * and after the least time since the last one it is made anew, once for all
 * its subscribers, and sent to those to whom it shows something new.
 *
 * When events are lost and nobody knows which, a revocation may have been
 * among them, and what follows is not to reach who has lost access.  So all
 * subscriptions are held at once and all requests wait ("unverified") until
 * credentials and grants have been checked again; then come the snapshots, or
 * "Updates lost", and the rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/counters.h"
#include "common/settings.h"
#include "gateway/dialect.h"
#include "gateway/quiz.h"
#include "utils/memutils.h"

/* Before a snapshot that failed is tried again, and between two times that
 * everybody is resynchronised, in milliseconds. */
#define RETRY_AFTER		1000
#define LOST_PAUSE		1000

/* Of a leaderboard's topic. */
typedef struct Leaderboard
{
	Timer		timer;
	Topic	   *topic;
	SnapshotWait *wait;			/* for the next one */
	TimeMs		last;			/* when it was asked for last */
	bool		changed;		/* since then */
} Leaderboard;

static void mark_leaderboard(Topic *topic);

static bool
is_leaderboard(EventText topic)
{
	return TextIs(QuizChannelType(topic), "leaderboard");
}

static bool
is_notification(EventText topic)
{
	return TextIs(QuizChannelType(topic), "notification");
}

bool
QuizHasSnapshot(EventText topic)
{
	return is_leaderboard(topic) ||
		TextIs(QuizChannelType(topic), "attempts");
}

/*
 * Sending a snapshot
 */

/* {"event":"snapshot","t":null,"channel":<type>,"subscriptions":[<topic>],
 * "snapshot":<rows>}, made once for all recipients */
static Frame *
frame_of(TopicSnapshot *snapshot, EventText topic)
{
	EventText	type = QuizChannelType(topic);
	FramePiece	pieces[] = {
		FRAME_LITERAL("{\"event\":\"snapshot\",\"t\":null,\"channel\":\""),
		{type.bytes, type.length},
		FRAME_LITERAL("\",\"subscriptions\":[\""),
		{topic.bytes, topic.length},
		FRAME_LITERAL("\"],\"snapshot\":"),
		{snapshot->rows.bytes, snapshot->rows.length},
		FRAME_LITERAL("}")
	};

	if (snapshot->frame == NULL)
	{
		snapshot->frame = FrameFromPieces(WS_TEXT, pieces, lengthof(pieces));
		if (snapshot->frame == NULL)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
							errmsg("out of memory")));

		/* It is shared, and may be larger than any queue. */
		snapshot->frame->exempt = true;
	}
	return snapshot->frame;
}

static bool
names_topic(const Event *event, EventText topic)
{
	for (int i = 0; i < event->ntopics; i++)
	{
		if (EventTextEquals(event->topics[i], topic))
			return true;
	}
	return false;
}

typedef struct Following
{
	Connection *connection;
	Subscription *subscription;
	bool		resync;			/* something that has no message followed, or
								 * it isn't known what did */
} Following;

/*
 * Something was sent, or left out: then it will be made good for when the
 * client has caught up.  True: it was sent.
 */
static bool
count_sent(Subscription *subscription, SendResult result)
{
	if (result == SEND_LEFT_OUT)
		subscription->lost = true;
	else if (result == SEND_QUEUED)
		CounterAdd(COUNTER_MESSAGES_SENT, 1);
	return result == SEND_QUEUED;
}

/* What was committed since the snapshot. */
static bool
follow(void *context, const Event *event)
{
	Following  *at = context;
	Topic	   *topic = at->subscription->topic;
	Frame	   *frame;

	if (!names_topic(event, TopicName(topic)))
		return true;
	switch (event->kind)
	{
		case EVENT_UPDATE:
			frame = topic->dialect->word(event, TopicName(topic));
			count_sent(at->subscription, ConnectionSend(at->connection, frame));
			FrameRelease(frame);
			break;
		case EVENT_RESYNC:
			at->resync = true;
			break;
		case EVENT_RANKING:
			mark_leaderboard(topic);
			break;
		default:
			break;
	}
	return at->connection->state == CONNECTION_OPEN && !at->resync;
}

/* Remember what a leaderboard's client has seen, to tell what is new. */
static void
remember_shown(Subscription *subscription, Frame *frame)
{
	if (!is_leaderboard(TopicName(subscription->topic)))
		return;
	FrameRetain(frame);
	FrameRelease(subscription->shown);
	subscription->shown = frame;
}

void
QuizSendSnapshot(Subscription *subscription, TopicSnapshot *snapshot)
{
	Connection *connection = SubscriptionConnection(subscription);
	Frame	   *frame = frame_of(snapshot, TopicName(subscription->topic));
	Following	following = {connection, subscription, snapshot->mark.broken};
	SendResult	result = ConnectionSend(connection, frame);

	if (result == SEND_ENDED)
		return;
	subscription->held = false;
	if (!count_sent(subscription, result))
		return;
	remember_shown(subscription, frame);
	if (!following.resync)
		StreamReplay(&snapshot->mark, &snapshot->join, follow, &following);
	if (connection->state != CONNECTION_OPEN)
		return;
	if (following.resync)
		QuizRefresh(subscription);
}

/*
 * Resynchronising a subscription
 */

/* The attempt has ended, and the participant may not know. */
static void
send_end_of_attempt(Subscription *subscription, const TopicSnapshot *snapshot)
{
	Connection *connection = SubscriptionConnection(subscription);
	EventText	topic = TopicName(subscription->topic);
	Event		event = {.kind = EVENT_UPDATE};

	/* "[]", or an array of one object: the message's data. */
	if (snapshot->rows.length <= 2 || connection->deadline != NEVER)
		return;
	event.slug = EventTextOf("attempt_closed");
	event.data.bytes = snapshot->rows.bytes + 1;
	event.data.length = snapshot->rows.length - 2;
	ConnectionSendOwn(connection, quiz_dialect.word(&event, topic));
	if (connection->state == CONNECTION_OPEN)
		quiz_dialect.conclude(connection);
}

static void
snapshot_ready(void *owner, TopicSnapshot *snapshot)
{
	Subscription *subscription = owner;
	QuizSession *session = SubscriptionConnection(subscription)->session;

	subscription->wait = NULL;
	if (snapshot == NULL || session->unverified)
		QuizRefresh(subscription);
	else if (is_notification(TopicName(subscription->topic)))
		send_end_of_attempt(subscription, snapshot);
	else
		QuizSendSnapshot(subscription, snapshot);
}

void
QuizRefresh(Subscription *subscription)
{
	Connection *connection = SubscriptionConnection(subscription);
	QuizSession *session = connection->session;
	EventText	topic = TopicName(subscription->topic);

	subscription->lost = session->unverified;
	if (session->unverified)
		return;					/* QuizVerified() will */
	if (!QuizHasSnapshot(topic) && !is_notification(topic))
	{
		subscription->held = false;
		QuizSendErrorAbout(connection, "Updates lost",
						   subscription->topic->name);
		return;
	}

	/* Notifications go on meanwhile: there is nothing to get out of order. */
	subscription->held = !is_notification(topic);
	if (subscription->wait == NULL)
		subscription->wait = SnapshotWanted(topic, true, snapshot_ready,
											subscription);
}

static void
resynchronise_one(Subscription *subscription, Connection *connection,
				  void *context)
{
	QuizRefresh(subscription);
}

void
QuizResynchronise(const Event *event)
{
	for (int i = 0; i < event->ntopics; i++)
	{
		Topic	   *topic = TopicFind(event->topics[i]);

		if (topic == NULL || topic->dialect != &quiz_dialect)
			continue;
		CounterAdd(COUNTER_RESYNCHRONISATIONS, 1);
		TopicForEach(topic, resynchronise_one, NULL);
	}
}

static Subscription *
find_lost(QuizSession *session)
{
	dlist_iter	iter;

	dlist_foreach(iter, &session->channels)
	{
		Subscription *at = dlist_container(Subscription, node, iter.cur);

		if (at->lost)
			return at;
	}
	return NULL;
}

void
QuizCaughtUp(Connection *connection)
{
	Subscription *subscription;

	while (connection->state == CONNECTION_OPEN &&
		   !((QuizSession *) connection->session)->unverified &&
		   (subscription = find_lost(connection->session)) != NULL)
		QuizRefresh(subscription);
}

/*
 * Resynchronising everybody
 */

static Timer lost_timer;
static TimeMs lost_last = 0;

static void
suspend(QuizSession *session)
{
	dlist_iter	iter;

	session->unverified = true;
	dlist_foreach(iter, &session->channels)
	{
		Subscription *at = dlist_container(Subscription, node, iter.cur);

		at->lost = at->held = true;
	}
}

static void
verify(Connection *connection)
{
	QuizSession *session = connection->session;

	if (!session->participant)
		QuizRecheck(connection);
	QuizRecheckCredential(connection);
	QuizVerified(connection);
}

void
QuizVerified(Connection *connection)
{
	QuizSession *session = connection->session;

	if (!session->unverified || session->recheck != NULL ||
		connection->question != NULL || QuizLossPending())
		return;
	session->unverified = false;

	/* A slow client is seen to when it has caught up. */
	if (!connection->lagging)
		QuizCaughtUp(connection);
	if (connection->state == CONNECTION_OPEN)
		QuizCarryOn(connection);
}

void
QuizNotVerified(Connection *connection)
{
	if (!QuizLossPending())
		ConnectionClose(connection, WS_CLOSE_TRY_AGAIN_LATER,
						"Access could not be verified");
}

static void
resynchronise_all(Timer *timer)
{
	dlist_mutable_iter iter;

	lost_last = gateway_now;
	dlist_foreach_modify(iter, &connections[CONNECTION_OPEN])
	{
		Connection *connection = dlist_container(Connection, node, iter.cur);

		if (connection->dialect == &quiz_dialect)
			verify(connection);
	}
}

bool
QuizLossPending(void)
{
	return lost_timer.due != NEVER && lost_timer.fire != NULL;
}

/* Nobody hears anything from now on. */
static void
suspend_all(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &connections[CONNECTION_OPEN])
	{
		Connection *connection = dlist_container(Connection, node, iter.cur);

		if (connection->dialect == &quiz_dialect)
			suspend(connection->session);
	}
}

/* At once, but not more than once in the pause. */
void
QuizLost(void)
{
	suspend_all();
	if (lost_timer.fire == NULL)
		TimerInit(&lost_timer, resynchronise_all);
	if (lost_timer.due == NEVER)
		TimerSet(&lost_timer, lost_last == 0 ? gateway_now :
				 Max(gateway_now, lost_last + LOST_PAUSE));
}

/*
 * Leaderboards
 */

/* Send it to one to whom it shows something new. */
static void
show(Subscription *subscription, Connection *connection, void *context)
{
	Frame	   *frame = context;
	Frame	   *shown = subscription->shown;
	SendResult	result;

	if (subscription->held ||
		(shown != NULL && shown->length == frame->length &&
		 memcmp(shown->bytes, frame->bytes, frame->length) == 0))
		return;
	result = ConnectionSend(connection, frame);
	if (result != SEND_ENDED && count_sent(subscription, result))
		remember_shown(subscription, frame);
}

static void
leaderboard_ready(void *owner, TopicSnapshot *snapshot)
{
	Leaderboard *board = owner;

	board->wait = NULL;
	if (snapshot == NULL)
	{
		board->changed = true;
		TimerSet(&board->timer, gateway_now + RETRY_AFTER);
		return;
	}
	if (board->changed)
		TimerSet(&board->timer, Max(gateway_now, board->last +
									quizrt_leaderboard_interval));
	TopicForEach(board->topic, show,
				 frame_of(snapshot, TopicName(board->topic)));
}

static void
make_leaderboard(Timer *timer)
{
	Leaderboard *board = (Leaderboard *)
		((char *) timer - offsetof(Leaderboard, timer));

	if (board->wait != NULL)
		return;
	board->changed = false;
	board->last = gateway_now;
	board->wait = SnapshotWanted(TopicName(board->topic), true,
								 leaderboard_ready, board);
}

static void
mark_leaderboard(Topic *topic)
{
	Leaderboard *board = topic->extra;

	if (board == NULL)
	{
		board = MemoryContextAllocZero(quiz_context, sizeof(Leaderboard));
		TimerInit(&board->timer, make_leaderboard);
		board->topic = topic;
		topic->extra = board;
	}
	board->changed = true;
	if (board->wait == NULL && board->timer.due == NEVER)
		TimerSet(&board->timer, board->last == 0 ? gateway_now :
				 Max(gateway_now, board->last + quizrt_leaderboard_interval));
}

void
QuizRankingChanged(const Event *event)
{
	for (int i = 0; i < event->ntopics; i++)
	{
		Topic	   *topic = TopicFind(event->topics[i]);

		if (topic != NULL && is_leaderboard(TopicName(topic)))
			mark_leaderboard(topic);
	}
}

void
QuizTopicEnded(Topic *topic)
{
	Leaderboard *board = topic->extra;

	TimerSet(&board->timer, NEVER);
	SnapshotCancel(board->wait);
	pfree(board);
}
