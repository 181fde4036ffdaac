/*-------------------------------------------------------------------------
 *
 * json.h
 *		Looking into JSON that the server sent, in place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHECKER_JSON_H
#define CHECKER_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The text of a value; NULL: there is none. */
typedef struct Json
{
	const char *at;
	const char *end;
} Json;

/* False: the bytes are no JSON value, or more than one. */
extern bool JsonRead(const char *bytes, size_t length, Json *value);

/* An object's member, or none. */
extern Json JsonMember(Json object, const char *key);

/*
 * An array's elements, one after the other: "*place" is NULL at first.
 * False: that was the last.
 */
extern bool JsonNext(Json array, const char **place, Json *element);

/* Is it this string?  For strings without escapes. */
extern bool JsonIs(Json value, const char *text);

/* Is it this word: null, true, false? */
extern bool JsonIsWord(Json value, const char *word);

/* A string's characters, as they are written; cut at the size. */
extern void JsonText(Json value, char *to, size_t size);

/* A number, times a thousand; -1000 where it is none. */
extern int64_t JsonThousandths(Json value);

#endif							/* CHECKER_JSON_H */
