/*-------------------------------------------------------------------------
 *
 * recent_events.c
 *		The ring as a view: what was sent lately, and what would be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "bus/event.h"
#include "bus/ring.h"
#include "catalog/pg_type.h"
#include "common/compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(quizrt_recent_events);

#define RECENT_EVENTS_COLUMNS	7

static const char *
kind_name(EventKind kind)
{
	switch (kind)
	{
		case EVENT_UPDATE:
			return "update";
		case EVENT_RESYNC:
			return "resync";
		case EVENT_RESYNC_ALL:
			return "resync_all";
		case EVENT_RANKING:
			return "ranking";
		case EVENT_REVOKE:
			return "revoke";
	}
	return "unknown";
}

/* UTF-8 from the ring, in the database's encoding. */
static Datum
text_datum(EventText text)
{
	char	   *converted = pg_any_to_server(text.bytes, (int) text.length,
											 PG_UTF8);

	if (converted == text.bytes)
		return PointerGetDatum(cstring_to_text_with_len(text.bytes,
														(int) text.length));
	return CStringGetTextDatum(converted);
}

static Datum
topics_datum(const Event *event)
{
	Datum		topics[MAX_EVENT_TOPICS];

	for (int i = 0; i < event->ntopics; i++)
		topics[i] = text_datum(event->topics[i]);
	return PointerGetDatum(construct_array(topics, event->ntopics, TEXTOID,
										   -1, false, TYPALIGN_INT));
}

static void
put_event(ReturnSetInfo *result, const RingEntry *entry, RingFate fate,
		  const Event *event)
{
	Datum		values[RECENT_EVENTS_COLUMNS];
	bool		nulls[RECENT_EVENTS_COLUMNS] = {0};

	values[0] = Int64GetDatum((int64) entry->seq);
	values[1] = TransactionIdGetDatum(entry->xid);
	values[2] = BoolGetDatum(fate == RING_COMMITTED);
	nulls[2] = fate == RING_UNDECIDED;
	values[3] = CStringGetTextDatum(kind_name(event->kind));
	values[4] = topics_datum(event);
	values[5] = text_datum(event->slug);
	nulls[5] = event->slug.length == 0;
	values[6] = text_datum(event->data);
	nulls[6] = event->data.length == 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * The events of the ring, in its order.  Nobody waits for this reader: what
 * is overwritten while it reads is left out.
 */
Datum
quizrt_recent_events(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RingReader	reader;
	RingEntry	entry;
	RingReadResult read;
	StringInfoData buffer;
	MemoryContext context;
	MemoryContext old;

	InitMaterializedSRF(fcinfo, 0);
	if (!RingInUse())
		PG_RETURN_VOID();

	initStringInfo(&buffer);
	context = AllocSetContextCreate(CurrentMemoryContext, "quizrt entry",
									ALLOCSET_DEFAULT_SIZES);
	RingReaderStart(&reader, -1);
	while ((read = RingRead(&reader, &entry, &buffer)) != RING_END)
	{
		Event		event;
		Size		offset = 0;
		RingFate	fate;

		CHECK_FOR_INTERRUPTS();
		if (read == RING_READ)
		{
			old = MemoryContextSwitchTo(context);
			fate = RingResolve(entry.seq, entry.xid, InvalidTransactionId);
			while (EventDecode(buffer.data, entry.length, &offset, &event))
				put_event(result, &entry, fate, &event);
			MemoryContextSwitchTo(old);
			MemoryContextReset(context);
		}
		resetStringInfo(&buffer);
	}
	PG_RETURN_VOID();
}
