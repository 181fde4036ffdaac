/*-------------------------------------------------------------------------
 *
 * ws_record.h
 *		Feeding WsFeed() and writing down what it says.
 *
 * Used by the unit test and by the fuzzer: whatever way the same bytes are
 * cut, the record has to be the same.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_WS_RECORD_H
#define QUIZRT_WS_RECORD_H

#include "wire/websocket.h"

typedef struct Record
{
	char	   *text;			/* one line for each message or violation */
	size_t		length;
	size_t		capacity;
	int			stop_after;		/* the handler says stop at this message, 0:
								 * never */
	int			messages;
	int			violations;
} Record;

extern const WsHandler record_handler;

extern void RecordInit(Record *record);
extern void RecordFree(Record *record);

/*
 * Cut the input: "cut" says how long the next piece is to be (at least 1).
 * Every piece is fed from an allocation of its own size.  Checks what must
 * hold after every call; returns false with a complaint on stderr where it
 * does not.
 */
typedef size_t (*CutFunction) (void *context, size_t left);

extern bool RecordFeed(Record *record, const WsLimits *limits,
					   const char *bytes, size_t length,
					   CutFunction cut, void *context);

/* Append a frame as a client sends it; returns its length. */
extern size_t ClientFrame(char *out, bool fin, int rsv, int opcode,
						  const char *payload, size_t length);

#endif							/* QUIZRT_WS_RECORD_H */
