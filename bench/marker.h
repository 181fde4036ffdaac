/*-------------------------------------------------------------------------
 *
 * marker.h
 *		What an event carries so that its receipt can be judged: channel,
 *		writer, number, and the time at which the committing client sent it.
 *
 * All of it in 32 hexadecimal digits, the form of a UUID without its dashes.
 * So it fits into an answer's id as well as into the data of publish(), and
 * is found in a message by the name of its key, whoever has worded the rest.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_MARKER_H
#define BENCH_MARKER_H

#include <stdbool.h>
#include <stdint.h>

#define MARKER_KEY		"\"answer_id\":\""
#define MARKER_LENGTH	36

typedef struct Marker
{
	uint32_t	channel;		/* counted from 0 */
	uint32_t	writer;			/* at most 255 */
	uint32_t	number;			/* of this writer's on this channel; 24 bits */
	uint64_t	at;				/* nanoseconds */
} Marker;

/* Writes MARKER_LENGTH characters and a zero byte. */
extern void MarkerPrint(char *text, const Marker *marker);

/* Reads MARKER_LENGTH characters; false where they are none. */
extern bool MarkerParse(const char *text, Marker *marker);

#endif							/* BENCH_MARKER_H */
