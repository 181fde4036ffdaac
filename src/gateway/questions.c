/*-------------------------------------------------------------------------
 *
 * questions.c
 *		What this gateway has asked the query workers and not heard yet.
 *
 * The mailbox has room for so many questions of all gateways; a storm of
 * reconnecting clients has more.  The rest waits here, in order, and is
 * handed on as answers come.  A question's deadline runs from when it was
 * asked here, and is kept here: the owner is told even if every query worker
 * is stopped.
 *
 * An answer that comes for a question that is gone is dropped.  One that can't
 * be joined to the stream any more (see stream.c) is of no use: the question
 * is asked again, a few times, and until its deadline.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/counters.h"
#include "common/settings.h"
#include "gateway/guard.h"
#include "gateway/questions.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* Answers that are taken in one turn. */
#define ANSWERS_A_TURN	256

/* How often a question is asked whose answer can't be joined. */
#define MAX_ASKED		5

/* When to try a full mailbox again, in milliseconds: other gateways may have
 * filled it, and nobody tells us when they have their answers. */
#define MAILBOX_RETRY	10

struct Question
{
	dlist_node	node;			/* waiting: on that list */
	Timer		timer;			/* at its deadline */
	uint64		cookie;
	QuestionKind kind;
	bool		handed_on;		/* else it waits here */
	int			asked;			/* times */
	QuestionRef ref;			/* once handed on */
	TimestampTz deadline;
	AnswerHandler handler;
	void	   *owner;
	StreamMark	mark;
	Size		length;
	char		bytes[FLEXIBLE_ARRAY_MEMBER];
};

typedef struct QuestionEntry
{
	uint64		cookie;			/* the key */
	Question   *question;
} QuestionEntry;

static int	gateway_number;
static uint64 last_cookie;
static HTAB *questions;
static dlist_head waiting;
static MemoryContext question_context;

void
QuestionsInit(int gateway)
{
	HASHCTL		control = {0};

	gateway_number = gateway;
	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(QuestionEntry);
	questions = hash_create("quizrt questions", 256, &control,
							HASH_ELEM | HASH_BLOBS);
	dlist_init(&waiting);
	question_context = AllocSetContextCreate(TopMemoryContext,
											 "quizrt questions",
											 ALLOCSET_DEFAULT_SIZES);

	/* An answer to a predecessor's question must not look like ours. */
	last_cookie = (uint64) GetCurrentTimestamp();
	MailboxAttach();
	MailboxForgetGateway(gateway);
}

/* Forget it; its owner has been told, or has gone. */
static void
discard(Question *question)
{
	hash_search(questions, &question->cookie, HASH_REMOVE, NULL);
	if (!question->handed_on)
		dlist_delete(&question->node);
	TimerSet(&question->timer, NEVER);
	StreamMarkClear(&question->mark);

	/* It may have had a credential in it. */
	explicit_bzero(question->bytes, question->length);
	pfree(question);
}

typedef struct Telling
{
	Question   *question;
	const char *bytes;
	Size		length;
} Telling;

static void
call_handler(void *argument)
{
	Telling    *telling = argument;
	Question   *question = telling->question;

	question->handler(question->owner, telling->bytes, telling->length,
					  &question->mark);
}

/*
 * Tell the owner.  It is told once: whatever it does, cancelling included,
 * finds the question gone from the table.
 */
static void
tell(Question *question, const char *bytes, Size length)
{
	Telling		telling = {question, bytes, length};

	hash_search(questions, &question->cookie, HASH_REMOVE, NULL);
	TimerSet(&question->timer, NEVER);
	(void) Guarded(call_handler, &telling);
	discard(question);
}

static void
deadline_passed(Timer *timer)
{
	Question   *question = (Question *)
		((char *) timer - offsetof(Question, timer));

	CounterAdd(COUNTER_QUESTIONS_TIMED_OUT, 1);
	if (question->handed_on)
		MailboxAbandon(question->ref);
	tell(question, NULL, 0);
}

static bool
hand_on(Question *question)
{
	return MailboxAsk(gateway_number, question->kind, question->cookie,
					  question->deadline, question->bytes, question->length,
					  &question->ref);
}

/* Put it to the query workers, behind those that wait already, if any do. */
static void
put(Question *question)
{
	question->asked++;
	StreamMarkSet(&question->mark);
	question->handed_on = dlist_is_empty(&waiting) && hand_on(question);
	if (!question->handed_on)
		dlist_push_tail(&waiting, &question->node);
}

Question *
QuestionAsk(QuestionKind kind, const char *bytes, Size length,
			AnswerHandler handler, void *owner)
{
	Question   *question = MemoryContextAllocZero(question_context,
												  offsetof(Question, bytes) +
												  length);
	QuestionEntry *entry;

	question->cookie = ++last_cookie;
	question->kind = kind;
	question->handler = handler;
	question->owner = owner;
	question->length = length;
	memcpy(question->bytes, bytes, length);
	question->deadline = GetCurrentTimestamp() +
		(TimestampTz) quizrt_query_timeout * 1000;

	entry = hash_search(questions, &question->cookie, HASH_ENTER, NULL);
	entry->question = question;
	TimerInit(&question->timer, deadline_passed);
	TimerSet(&question->timer, gateway_now + quizrt_query_timeout);
	put(question);
	return question;
}

void
QuestionCancel(Question *question)
{
	if (question == NULL ||
		hash_search(questions, &question->cookie, HASH_FIND, NULL) == NULL)
		return;
	if (question->handed_on)
		MailboxAbandon(question->ref);
	discard(question);
}

static void
take_answer(const MailboxAnswer *answer)
{
	QuestionEntry *entry = hash_search(questions, &answer->cookie, HASH_FIND,
									   NULL);
	Question   *question;

	if (entry == NULL)
		return;
	question = entry->question;
	if (!answer->answered || !question->mark.broken)
		tell(question, answer->answered ? answer->bytes : NULL,
			 answer->length);
	else if (question->asked < MAX_ASKED)
	{
		StreamMarkClear(&question->mark);
		put(question);
	}
	else
		tell(question, NULL, 0);
}

/* Hand on what waited, as far as the mailbox has room now. */
static void
hand_on_waiting(void)
{
	while (!dlist_is_empty(&waiting))
	{
		Question   *question = dlist_container(Question, node,
											   dlist_head_node(&waiting));

		if (!hand_on(question))
			break;
		dlist_delete(&question->node);
		question->handed_on = true;
	}
}

TimeMs
QuestionsRun(void)
{
	MailboxAnswer answer;
	int			taken = 0;

	while (taken < ANSWERS_A_TURN &&
		   MailboxNextAnswer(gateway_number, &answer))
	{
		/*
		 * What the answer has seen has reserved its place in the ring before
		 * now.  This can end connections, and with them questions: so it
		 * comes before the question is looked up.
		 */
		StreamCatchUp();
		take_answer(&answer);
		MailboxDone(&answer);
		taken++;
	}
	hand_on_waiting();

	if (taken == ANSWERS_A_TURN)
		return gateway_now;
	return dlist_is_empty(&waiting) ? NEVER : gateway_now + MAILBOX_RETRY;
}

int
QuestionsOpen(void)
{
	return (int) hash_get_num_entries(questions);
}
