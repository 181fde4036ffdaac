/*-------------------------------------------------------------------------
 *
 * event.h
 *		What a transaction tells the gateways, and how it is laid out in the
 *		ring.
 *
 * An event names the topics that it concerns.  A topic is the full text of a
 * channel as clients subscribe to it ("quiz:42"), or an internal name that no
 * client can ask for.  All texts are UTF-8, whatever the database's encoding.
 *
 * The encoded form is read by other processes, from memory that may have been
 * overwritten in the meantime; decoding checks every length and never reads
 * outside of what it was given.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_EVENT_H
#define QUIZRT_EVENT_H

#include "lib/stringinfo.h"

/* Longest topic in bytes, and most topics of one event. */
#define MAX_TOPIC_LENGTH	255
#define MAX_EVENT_TOPICS	8

typedef enum EventKind
{
	/* Something happened: topics, slug ("attempt_quiz") and data (JSON). */
	EVENT_UPDATE = 1,

	/*
	 * What the topics show has changed in a way that has no message, or the
	 * messages were too many for the ring: snapshots are to be made anew, and
	 * topics without a snapshot are told that updates were lost.
	 */
	EVENT_RESYNC,

	/* The same for every topic there is; no topics are named. */
	EVENT_RESYNC_ALL,

	/* The ranking that the topics show has changed. */
	EVENT_RANKING,

	/*
	 * Access ends.  One topic names to what: "quiz:<id>", "event:<id>" (slug:
	 * the owner who keeps it, empty: nobody; an event's data: the quiz that it
	 * belongs to now), "key:<hash>", "session:<hash>",
	 * "connection:<id>" (data: a reason in plain text, may be empty).
	 */
	EVENT_REVOKE
} EventKind;

typedef struct EventText
{
	const char *bytes;			/* not terminated */
	uint32		length;
} EventText;

/* Views into the encoded form, or into the caller's memory when encoding. */
typedef struct Event
{
	EventKind	kind;
	int			ntopics;
	EventText	topics[MAX_EVENT_TOPICS];
	EventText	slug;
	EventText	data;
} Event;

static inline EventText
EventTextOf(const char *text)
{
	EventText	result;

	result.bytes = text;
	result.length = (uint32) strlen(text);
	return result;
}

static inline bool
EventTextEquals(EventText a, EventText b)
{
	return a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}

/* Append the encoded event.  Throws only where StringInfo does. */
extern void EventEncode(StringInfo buffer, const Event *event);

/* How many bytes EventEncode() will append. */
extern Size EventEncodedSize(const Event *event);

/*
 * Decode the event at *offset of "length" bytes, and advance *offset.
 * Returns false at the end, or where the bytes are no event.
 */
extern bool EventDecode(const char *bytes, Size length, Size *offset,
						Event *event);

#endif							/* QUIZRT_EVENT_H */
