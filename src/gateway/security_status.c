/*-------------------------------------------------------------------------
 *
 * security_status.c
 *		system_status: what is told of the system at intervals.
 *
 * What was reported last is asked of the database: at each tick, for all
 * subscribers of this gateway, and for a new subscriber, who gets it at once.
 * One question is on its way at a time, and serves all who asked before it
 * was; nobody gets an answer that was made before it asked.
 *
 * Where nothing has ever been reported, we report of ourselves what we know:
 * how many questions wait for and are being answered by the query workers
 * (the queue that everything waits in here), and whether our processes are
 * there and the database answers.  What we don't know is null.
 *
 * Where the database can't tell, what it told last is said again, with the
 * time of that report; it is for the client to see that it is old.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/mailbox.h"
#include "bus/processes.h"
#include "common/counters.h"
#include "common/settings.h"
#include "common/timetext.h"
#include "gateway/credential.h"
#include "gateway/guard.h"
#include "gateway/questions.h"
#include "gateway/security.h"
#include "utils/memutils.h"

static uint64 number = 0;		/* of the question asked last */
static Question *question = NULL;	/* on its way */
static uint64 tick_least = 0;	/* number of the question that will do for
								 * the tick; 0: none is due */
static dlist_head waiting = DLIST_STATIC_INIT(waiting);	/* sessions */
static Timer tick_timer;
static bool ticking = false;

/* What was reported last, as the data of the message and its time. */
static char *last_data = NULL;
static TimestampTz last_time;

static void ask(void);

/*
 * What is said
 */

static const char *
own_health(void)
{
	switch (DatabaseStateGet())
	{
		case DATABASE_SERVED:
			return ProcessCount(PROCESS_GATEWAY) >= quizrt_gateways &&
				ProcessCount(PROCESS_QUERY_WORKER) >= quizrt_query_workers ?
				"healthy" : "degraded";
		case DATABASE_STARTING:
			return "degraded";
		default:
			return "unhealthy";
	}
}

static void
append_own_status(StringInfo buffer)
{
	int			pending;
	int			processing;

	MailboxCounts(&pending, &processing);
	appendStringInfo(buffer,
					 "{\"gpu\":{\"utilization\":null,\"memory_used\":null,"
					 "\"memory_total\":null,\"temperature\":null,"
					 "\"inference_fps\":null},"
					 "\"cameras\":{\"active\":null,\"total\":null},"
					 "\"queue\":{\"pending\":%d,\"processing\":%d},"
					 "\"health\":\"%s\"}",
					 pending, processing, own_health());
}

static Frame *
make_frame(void)
{
	StringInfoData text;
	Frame	   *frame;

	initStringInfo(&text);
	appendStringInfoString(&text, "{\"type\":\"system_status\",\"data\":");
	if (last_data != NULL)
		appendStringInfoString(&text, last_data);
	else
		append_own_status(&text);
	appendStringInfoString(&text, ",\"timestamp\":\"");
	AppendIsoTime(&text, last_data != NULL ? last_time : GetCurrentTimestamp());
	appendStringInfoString(&text, "\"}");
	frame = FrameFromText(text.data, text.len);
	pfree(text.data);
	if (frame == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("out of memory")));
	return frame;
}

/* Remember the answer; an empty one says that there is nothing any more. */
static void
take(const StatusAnswer *answer)
{
	if (last_data != NULL)
		pfree(last_data);
	last_data = NULL;
	if (answer->data.length == 0)
		return;
	last_data = MemoryContextAllocZero(TopMemoryContext,
									   answer->data.length + 1);
	memcpy(last_data, answer->data.bytes, answer->data.length);
	last_time = answer->reported_at;
}

/*
 * To whom it is said
 */

typedef struct Telling
{
	Frame	   *frame;
	uint64		answered;		/* number of the question */
	bool		tick;			/* for everybody */
} Telling;

/* Tell a subscriber, unless it asked too late for this answer. */
static void
tell(Subscription *subscription, Connection *connection, void *context)
{
	SecuritySession *session = connection->session;
	Telling    *telling = context;

	if (session->status_least > telling->answered ||
		(session->status_least == 0 && !telling->tick))
		return;
	SecurityStatusUnwanted(session);
	if (ConnectionSend(connection, telling->frame))
		CounterAdd(COUNTER_MESSAGES_SENT, 1);
}

/* Those who wait are subscribers, and few where it is no tick. */
static void
tell_all(uint64 answered)
{
	Telling		telling = {make_frame(), answered, false};
	Topic	   *topic = TopicFind(EventTextOf(SECURITY_SYSTEM_TOPIC));

	if (tick_least != 0 && tick_least <= answered)
	{
		telling.tick = true;
		tick_least = 0;
	}
	if (topic != NULL)
		TopicForEach(topic, tell, &telling);
	FrameRelease(telling.frame);
}

static void
answered(void *owner, const char *bytes, Size length, StreamMark *mark)
{
	StatusAnswer answer;

	question = NULL;
	if (bytes != NULL && StatusAnswerDecode(bytes, length, &answer))
		take(&answer);
	tell_all(number);
	if (!dlist_is_empty(&waiting) || tick_least != 0)
		ask();
}

/* There is no question on its way. */
static void
ask(void)
{
	number++;
	if (CredentialCanBeAsked())
		question = QuestionAsk(QUESTION_STATUS, "", 0, answered, NULL);
	else
		tell_all(number);
}

void
SecurityStatusUnwanted(SecuritySession *session)
{
	if (session->status_least == 0)
		return;
	session->status_least = 0;
	dlist_delete(&session->node);
}

/*
 * The tick
 */

static void
tick(void *argument)
{
	tick_least = number + 1;
	if (question == NULL)
		ask();
}

static void
tick_fired(Timer *timer)
{
	if (TopicFind(EventTextOf(SECURITY_SYSTEM_TOPIC)) == NULL)
	{
		ticking = false;
		return;
	}
	TimerSet(&tick_timer, gateway_now + quizrt_system_status_interval);
	(void) Guarded(tick, NULL);
}

void
SecurityStatusReloaded(void)
{
	if (ticking &&
		tick_timer.due > gateway_now + quizrt_system_status_interval)
		TimerSet(&tick_timer, gateway_now + quizrt_system_status_interval);
}

void
SecurityStatusWanted(SecuritySession *session)
{
	if (!ticking)
	{
		TimerInit(&tick_timer, tick_fired);
		TimerSet(&tick_timer, gateway_now + quizrt_system_status_interval);
		ticking = true;
	}
	session->status_least = number + 1;
	dlist_push_tail(&waiting, &session->node);
	if (question == NULL)
		ask();
}
