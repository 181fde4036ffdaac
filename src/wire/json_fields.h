/*-------------------------------------------------------------------------
 *
 * json_fields.h
 *		The fields of a JSON message that somebody asks for.
 *
 * Every message that a client of ours sends is a string, or an object whose
 * fields of interest are strings and lists of strings.  The caller names
 * those fields; the rest is checked to be JSON and forgotten.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_JSON_FIELDS_H
#define QUIZRT_JSON_FIELDS_H

typedef enum JsonKind
{
	JSON_KIND_ABSENT,
	JSON_KIND_STRING,
	JSON_KIND_NUMBER,
	JSON_KIND_STRINGS,			/* an array of strings, maybe empty */
	JSON_KIND_OBJECT,			/* of the whole message only */
	JSON_KIND_OTHER
} JsonKind;

typedef struct JsonField
{
	const char *name;			/* set by the caller */
	JsonKind	kind;
	int			times;			/* how often it is there */
	char	   *string;			/* JSON_KIND_STRING; as written: _NUMBER */
	int			nstrings;		/* JSON_KIND_STRINGS */
	char	  **strings;
} JsonField;

typedef enum JsonFieldsResult
{
	JSON_FIELDS_OK,
	JSON_FIELDS_NOT_JSON,
	JSON_FIELDS_TOO_DEEP
} JsonFieldsResult;

/*
 * Read a message; "whole" gets its kind, and its text where it is a string.
 * Of a field that is given twice the last one counts, as in jsonb.  "bytes"
 * must be valid UTF-8.  Results are palloc'd; throws where palloc does.
 */
extern JsonFieldsResult JsonFieldsRead(const char *bytes, size_t length,
									   JsonField *whole,
									   JsonField *fields, int nfields);

/*
 * Drop the strings of a list that came before; the order of the others
 * stays.
 */
extern void JsonFieldUnique(JsonField *field);

#endif							/* QUIZRT_JSON_FIELDS_H */
