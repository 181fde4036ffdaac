/*-------------------------------------------------------------------------
 *
 * mailbox.c
 *		Questions from gateways to query workers, and the answers.
 *
 * A fixed number of slots in shared memory, each on exactly one list: free,
 * asked, taken, or answered for a gateway.  The lists are short work under
 * one lock; the bytes of questions and answers are in a DSA area, allocated
 * and freed outside of the lock.
 *
 * Who owns a slot follows from its state:
 *
 *	  free		nobody
 *	  asked		the mailbox; a gateway may withdraw it, a worker take it
 *	  taken		the worker that took it; a gateway may only mark it as
 *				abandoned, and the worker frees it then
 *	  answered	the gateway that asked
 *	  read		the same, until it is done with the answer: what happens to
 *				the question meanwhile leaves the slot alone
 *
 * When a worker exits, what it had taken goes back to the front of the queue,
 * for the next one.  When a gateway exits its questions are withdrawn.  A
 * crash of any of them restarts the server, and with it all of this.
 *
 * A slot's generation counts its uses, so that a late word about an earlier
 * question finds nobody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/mailbox.h"
#include "bus/processes.h"
#include "common/counters.h"
#include "common/settings.h"
#include "lib/ilist.h"
#include "utils/dsa.h"
#include "utils/memutils.h"

/* Memory for all questions and answers together, beyond which asking and
 * answering fail. */
#define MAX_MAILBOX_MEMORY	((size_t) 512 * 1024 * 1024)

/* What the area gets in the main shared memory segment, before any other. */
#define INITIAL_AREA_SIZE	((Size) 1024 * 1024)

typedef enum SlotState
{
	SLOT_FREE,
	SLOT_ASKED,
	SLOT_TAKEN,
	SLOT_ANSWERED,
	SLOT_READ
} SlotState;

/* All fields under LOCK_MAILBOX, but the bytes belong to the slot's owner. */
typedef struct MailSlot
{
	dlist_node	node;			/* on the list that the state names */
	SlotState	state;
	uint32		generation;
	QuestionKind kind;
	int			gateway;
	int			worker;			/* while taken */
	bool		abandoned;		/* while taken: nobody waits any more */
	bool		answered;		/* false: could not be answered */
	uint64		cookie;
	TimestampTz deadline;
	dsa_pointer question;
	Size		question_length;
	dsa_pointer answer;
	Size		answer_length;
} MailSlot;

typedef struct Mailbox
{
	int			tranche;
	int			nslots;
	int			depth;			/* asked or taken */
	int			being_answered; /* taken */
	dlist_head	free;
	dlist_head	asked;			/* oldest first */
	dlist_head	taken;			/* or being read by their gateway */
	dlist_head	answered[MAX_GATEWAYS]; /* oldest first */
} Mailbox;

static Mailbox *mailbox = NULL;
static MailSlot *slots;
static char *area_place;
static dsa_area *area = NULL;

static Size
slots_offset(void)
{
	return MAXALIGN(sizeof(Mailbox));
}

static Size
area_offset(void)
{
	return add_size(slots_offset(),
					MAXALIGN(mul_size(quizrt_max_questions, sizeof(MailSlot))));
}

static Size
mailbox_size(void)
{
	return add_size(area_offset(), INITIAL_AREA_SIZE);
}

/* The area is created by the postmaster, which then lets go of it. */
static void
create_area(void)
{
	dsa_area   *created;

	mailbox->tranche = LWLockNewTrancheId();
	LWLockRegisterTranche(mailbox->tranche, "quizrt mailbox memory");
	created = dsa_create_in_place(area_place, INITIAL_AREA_SIZE,
								  mailbox->tranche, NULL);
	dsa_pin(created);
	dsa_set_size_limit(created, MAX_MAILBOX_MEMORY);
	dsa_detach(created);
}

static void
mailbox_attach(void *memory, bool initialize)
{
	mailbox = memory;
	slots = (MailSlot *) ((char *) memory + slots_offset());
	area_place = (char *) memory + area_offset();
	if (!initialize)
		return;

	mailbox->nslots = quizrt_max_questions;
	mailbox->depth = 0;
	mailbox->being_answered = 0;
	dlist_init(&mailbox->free);
	dlist_init(&mailbox->asked);
	dlist_init(&mailbox->taken);
	for (int i = 0; i < MAX_GATEWAYS; i++)
		dlist_init(&mailbox->answered[i]);
	for (int i = 0; i < mailbox->nslots; i++)
	{
		memset(&slots[i], 0, sizeof(MailSlot));
		dlist_push_tail(&mailbox->free, &slots[i].node);
	}
	create_area();
}

const SharedPart mailbox_part = {
	"quizrt mailbox", mailbox_size, mailbox_attach
};

void
MailboxAttach(void)
{
	MemoryContext old;

	if (area != NULL)
		return;
	LWLockRegisterTranche(mailbox->tranche, "quizrt mailbox memory");
	old = MemoryContextSwitchTo(TopMemoryContext);
	area = dsa_attach_in_place(area_place, NULL);
	dsa_pin_mapping(area);
	MemoryContextSwitchTo(old);
}

/*
 * Allocate and fill memory for bytes that cross.  Invalid where there is
 * none; the errors that growing the area can raise mean the same.  The caller
 * holds no lock, so those that such an error leaves are the area's.
 */
static dsa_pointer
store(const char *bytes, Size length)
{
	MemoryContext context = CurrentMemoryContext;
	volatile dsa_pointer pointer = InvalidDsaPointer;

	PG_TRY();
	{
		pointer = dsa_allocate_extended(area, Max(length, 1),
										DSA_ALLOC_NO_OOM);
		if (DsaPointerIsValid(pointer))
			memcpy(dsa_get_address(area, pointer), bytes, length);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		LWLockReleaseAll();
		FlushErrorState();
		pointer = InvalidDsaPointer;
	}
	PG_END_TRY();
	return pointer;
}

/*
 * The bytes behind a pointer, or NULL: the segment that they are in may have
 * to be mapped first, and that can fail.
 */
static const char *
look_at(dsa_pointer pointer)
{
	MemoryContext context = CurrentMemoryContext;
	const char *volatile bytes = NULL;

	if (!DsaPointerIsValid(pointer))
		return NULL;
	PG_TRY();
	{
		bytes = dsa_get_address(area, pointer);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		LWLockReleaseAll();
		FlushErrorState();
		bytes = NULL;
	}
	PG_END_TRY();
	return bytes;
}

static void
give_back(dsa_pointer pointer)
{
	if (DsaPointerIsValid(pointer))
		dsa_free(area, pointer);
}

/* Move a slot to another list; under the lock. */
static void
move(MailSlot *slot, SlotState state, dlist_head *list)
{
	bool		was_open = slot->state == SLOT_ASKED ||
		slot->state == SLOT_TAKEN;
	bool		is_open = state == SLOT_ASKED || state == SLOT_TAKEN;

	mailbox->being_answered += (state == SLOT_TAKEN ? 1 : 0) -
		(slot->state == SLOT_TAKEN ? 1 : 0);
	dlist_delete(&slot->node);
	dlist_push_tail(list, &slot->node);
	slot->state = state;
	mailbox->depth += (is_open ? 1 : 0) - (was_open ? 1 : 0);
}

/*
 * Put a slot on the free list; under the lock.  Its memory is handed to the
 * caller, to be given back after the lock.
 */
static void
free_slot(MailSlot *slot, dsa_pointer *question, dsa_pointer *answer)
{
	*question = slot->question;
	*answer = slot->answer;
	slot->question = InvalidDsaPointer;
	slot->answer = InvalidDsaPointer;
	slot->generation++;
	move(slot, SLOT_FREE, &mailbox->free);
}

/*
 * For gateways
 */

bool
MailboxAsk(int gateway, QuestionKind kind, uint64 cookie,
		   TimestampTz deadline, const char *bytes, Size length,
		   QuestionRef *ref)
{
	dsa_pointer question = store(bytes, length);
	MailSlot   *slot = NULL;

	if (!DsaPointerIsValid(question))
		return false;

	LWLockAcquire(SharedLockOf(LOCK_MAILBOX), LW_EXCLUSIVE);
	if (!dlist_is_empty(&mailbox->free))
	{
		slot = dlist_container(MailSlot, node,
							   dlist_head_node(&mailbox->free));
		slot->kind = kind;
		slot->gateway = gateway;
		slot->cookie = cookie;
		slot->deadline = deadline;
		slot->abandoned = false;
		slot->answered = false;
		slot->question = question;
		slot->question_length = length;
		move(slot, SLOT_ASKED, &mailbox->asked);
		ref->slot = (uint32) (slot - slots);
		ref->generation = slot->generation;
	}
	LWLockRelease(SharedLockOf(LOCK_MAILBOX));

	if (slot == NULL)
	{
		give_back(question);
		return false;
	}
	CounterAdd(COUNTER_QUESTIONS_ASKED, 1);
	ProcessWakeAll(PROCESS_QUERY_WORKER);
	return true;
}

bool
MailboxNextAnswer(int gateway, MailboxAnswer *answer)
{
	dlist_head *list = &mailbox->answered[gateway];
	MailSlot   *slot = NULL;

	LWLockAcquire(SharedLockOf(LOCK_MAILBOX), LW_EXCLUSIVE);
	if (!dlist_is_empty(list))
	{
		slot = dlist_container(MailSlot, node, dlist_head_node(list));

		/* The gateway has it until MailboxDone(). */
		move(slot, SLOT_READ, &mailbox->taken);
	}
	LWLockRelease(SharedLockOf(LOCK_MAILBOX));
	if (slot == NULL)
		return false;

	answer->slot = (uint32) (slot - slots);
	answer->cookie = slot->cookie;
	answer->bytes = look_at(slot->answer);
	answer->length = slot->answer_length;
	answer->answered = slot->answered && answer->bytes != NULL;
	return true;
}

/* Free a slot, under the lock or not before, and its memory after it. */
static void
free_slot_and_memory(MailSlot *slot)
{
	dsa_pointer question;
	dsa_pointer answer;

	LWLockAcquire(SharedLockOf(LOCK_MAILBOX), LW_EXCLUSIVE);
	free_slot(slot, &question, &answer);
	LWLockRelease(SharedLockOf(LOCK_MAILBOX));
	give_back(question);
	give_back(answer);
}

void
MailboxDone(const MailboxAnswer *answer)
{
	free_slot_and_memory(&slots[answer->slot]);
}

void
MailboxAbandon(QuestionRef ref)
{
	MailSlot   *slot = &slots[ref.slot];
	dsa_pointer question = InvalidDsaPointer;
	dsa_pointer answer = InvalidDsaPointer;

	LWLockAcquire(SharedLockOf(LOCK_MAILBOX), LW_EXCLUSIVE);
	if (slot->generation == ref.generation)
	{
		if (slot->state == SLOT_TAKEN)
			slot->abandoned = true;
		else if (slot->state == SLOT_ASKED || slot->state == SLOT_ANSWERED)
			free_slot(slot, &question, &answer);
	}
	LWLockRelease(SharedLockOf(LOCK_MAILBOX));
	give_back(question);
	give_back(answer);
}

void
MailboxForgetGateway(int gateway)
{
	for (int i = 0; i < mailbox->nslots; i++)
	{
		QuestionRef ref;
		bool		ours;
		bool		read;

		LWLockAcquire(SharedLockOf(LOCK_MAILBOX), LW_SHARED);
		ours = slots[i].state != SLOT_FREE && slots[i].gateway == gateway;
		read = slots[i].state == SLOT_READ;
		ref.slot = i;
		ref.generation = slots[i].generation;
		LWLockRelease(SharedLockOf(LOCK_MAILBOX));
		if (ours && read)
			free_slot_and_memory(&slots[i]);
		else if (ours)
			MailboxAbandon(ref);
	}
}

/*
 * For query workers
 */

/* Nobody answers it in time: hand it back without an answer. */
static void
expire(MailSlot *slot)
{
	slot->answered = false;
	slot->answer = InvalidDsaPointer;
	move(slot, SLOT_ANSWERED, &mailbox->answered[slot->gateway]);
	ProcessWake(PROCESS_GATEWAY, slot->gateway);
}

/* Others can be left to the other workers: there must always be one for the
 * questions that clients wait for. */
static bool
takes_snapshots(int worker)
{
	return worker > 0 || ProcessCount(PROCESS_QUERY_WORKER) < 2;
}

/* Take a slot off the queue, under the lock. */
static void
take_slot(MailSlot *slot, int worker, MailboxQuestion *question)
{
	slot->worker = worker;
	move(slot, SLOT_TAKEN, &mailbox->taken);
	question->slot = (uint32) (slot - slots);
	question->deadline = slot->deadline;
	question->length = slot->question_length;
}

/* Take what waits, under the lock; the bytes are looked up after it. */
static int
take(int worker, QuestionKind *kind, MailboxQuestion *questions, int max)
{
	TimestampTz now = GetCurrentTimestamp();
	MailSlot   *snapshot = NULL;
	dlist_mutable_iter iter;
	int			n = 0;

	LWLockAcquire(SharedLockOf(LOCK_MAILBOX), LW_EXCLUSIVE);
	dlist_foreach_modify(iter, &mailbox->asked)
	{
		MailSlot   *slot = dlist_container(MailSlot, node, iter.cur);

		if (slot->deadline <= now)
		{
			expire(slot);
			continue;
		}
		if (slot->kind == QUESTION_SNAPSHOT)
		{
			if (snapshot == NULL)
				snapshot = slot;
			continue;
		}
		if (n == max)
			break;
		if (n > 0 && slot->kind != *kind)
			continue;
		*kind = slot->kind;
		take_slot(slot, worker, &questions[n++]);
	}
	if (n == 0 && snapshot != NULL && takes_snapshots(worker))
	{
		*kind = QUESTION_SNAPSHOT;
		take_slot(snapshot, worker, &questions[n++]);
	}
	LWLockRelease(SharedLockOf(LOCK_MAILBOX));
	return n;
}

int
MailboxTake(int worker, QuestionKind *kind, MailboxQuestion *questions,
			int max)
{
	int			n = take(worker, kind, questions, max);

	for (int i = 0; i < n; i++)
		questions[i].bytes = dsa_get_address(area,
											 slots[questions[i].slot].question);
	return n;
}

/* Hand over an answer, or free the slot if nobody waits for it any more. */
static void
answer_slot(MailSlot *slot, bool answered, dsa_pointer answer, Size length)
{
	bool		abandoned;
	int			gateway = slot->gateway;

	LWLockAcquire(SharedLockOf(LOCK_MAILBOX), LW_EXCLUSIVE);
	slot->answered = answered;
	slot->answer = answer;
	slot->answer_length = length;
	abandoned = slot->abandoned;
	if (!abandoned)
		move(slot, SLOT_ANSWERED, &mailbox->answered[gateway]);
	LWLockRelease(SharedLockOf(LOCK_MAILBOX));

	if (abandoned)
		free_slot_and_memory(slot);
	else
		ProcessWake(PROCESS_GATEWAY, gateway);
}

void
MailboxAnswerQuestion(uint32 slot, const char *bytes, Size length)
{
	dsa_pointer answer = store(bytes, length);

	answer_slot(&slots[slot], DsaPointerIsValid(answer), answer, length);
}

void
MailboxCannotAnswer(uint32 slot)
{
	CounterAdd(COUNTER_QUESTIONS_FAILED, 1);
	answer_slot(&slots[slot], false, InvalidDsaPointer, 0);
}

void
MailboxForgetWorker(int worker)
{
	for (int i = 0; i < mailbox->nslots; i++)
	{
		MailSlot   *slot = &slots[i];
		bool		abandoned;

		LWLockAcquire(SharedLockOf(LOCK_MAILBOX), LW_EXCLUSIVE);
		abandoned = slot->state == SLOT_TAKEN && slot->worker == worker &&
			slot->abandoned;
		if (slot->state == SLOT_TAKEN && slot->worker == worker && !abandoned)
		{
			move(slot, SLOT_ASKED, &mailbox->asked);
			dlist_move_head(&mailbox->asked, &slot->node);
		}
		LWLockRelease(SharedLockOf(LOCK_MAILBOX));
		if (abandoned)
			free_slot_and_memory(slot);
	}
	ProcessWakeAll(PROCESS_QUERY_WORKER);
}

int
MailboxDepth(void)
{
	int			depth;

	LWLockAcquire(SharedLockOf(LOCK_MAILBOX), LW_SHARED);
	depth = mailbox->depth;
	LWLockRelease(SharedLockOf(LOCK_MAILBOX));
	return depth;
}

void
MailboxCounts(int *waiting, int *being_answered)
{
	LWLockAcquire(SharedLockOf(LOCK_MAILBOX), LW_SHARED);
	*being_answered = mailbox->being_answered;
	*waiting = mailbox->depth - mailbox->being_answered;
	LWLockRelease(SharedLockOf(LOCK_MAILBOX));
}
