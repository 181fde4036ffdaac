/*-------------------------------------------------------------------------
 *
 * change.h
 *		A change of a row of an attached table, for whoever makes a message of
 *		it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_CHANGE_H
#define QUIZRT_CHANGE_H

#include "backend/attachment.h"

/* The most columns that a message's query may have. */
#define MAX_MESSAGE_COLUMNS	16

/* A change of a row, on its way to the outbox. */
typedef struct Change
{
	Attachment *attachment;
	Oid			function;		/* of the trigger */
	TupleTableSlot *old;		/* NULL in an INSERT */
	TupleTableSlot *new;		/* NULL in a DELETE */
	HeapTuple	new_tuple;
	TrackedFields was;
	TrackedFields is;
	uint32		difference;		/* tracked fields that an UPDATE changed */
	bool		tracked;		/* the three above are filled in */
	bool		locked;			/* where the attempt must be, it is ... */
	const char *attempt;		/* ... and this is its id */
} Change;

/* The row that a message is made of. */
typedef struct MessageRow
{
	HeapTuple	tuple;
	TupleDesc	desc;
	Datum		values[MAX_MESSAGE_COLUMNS];
	bool		nulls[MAX_MESSAGE_COLUMNS];
} MessageRow;

/* Called as the table's owner, connected to SPI. */
typedef void (*ChangeHandler) (const Change *change);

/* Run a query for the new row; false where it finds nothing. */
extern bool ChangeMessage(const Change *change, QuizQuery query, int columns,
						  MessageRow *message);

/* A column of a message as text, NULL where it is null. */
extern const char *MessageText(const MessageRow *message, int column);

/* The handlers of the other APIs' tables. */
extern void AnalysisRunChanged(const Change *change);
extern void SecurityEventChanged(const Change *change);
extern void ServiceChanged(const Change *change);
extern void SystemStatusChanged(const Change *change);

#endif							/* QUIZRT_CHANGE_H */
