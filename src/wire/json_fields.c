/*-------------------------------------------------------------------------
 *
 * json_fields.c
 *		The fields of a JSON message that somebody asks for.
 *
 * PostgreSQL's parser does the work.  It is recursive, and in the server it
 * throws when the stack gets short, which a stranger's message must not
 * achieve; so the depth is measured first, by counting brackets.  Of a text
 * that is too deep no more is known than whether its brackets pair.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include <limits.h>

#include "common/compat.h"
#include "wire/json_fields.h"

#define MAX_DEPTH	32

typedef struct ReadState
{
	JsonField  *whole;
	JsonField  *fields;
	int			nfields;
	int			depth;			/* arrays and objects that are open */
	JsonField  *field;			/* the field whose value comes, if wanted */
	int			capacity;		/* of field->strings */
} ReadState;

static void
clear_value(JsonField *field)
{
	field->kind = JSON_KIND_ABSENT;
	field->string = NULL;
	field->nstrings = 0;
	field->strings = NULL;
}

/*
 * Whose value begins here?  Of an array of strings, the elements are the
 * array's affair: see add_element().
 */
static JsonField *
value_owner(ReadState *state)
{
	if (state->depth == 0)
		return state->whole;
	if (state->depth == 1)
		return state->field;
	return NULL;
}

/* Does an element of a wanted array come? */
static bool
in_wanted_array(ReadState *state)
{
	return state->depth == 2 && state->field != NULL &&
		state->field->kind == JSON_KIND_STRINGS;
}

static void
add_element(ReadState *state, char *string)
{
	JsonField  *field = state->field;

	if (field->nstrings == state->capacity)
	{
		state->capacity = Max(8, state->capacity * 2);
		if (field->strings == NULL)
			field->strings = palloc(state->capacity * sizeof(char *));
		else
			field->strings = repalloc(field->strings,
									  state->capacity * sizeof(char *));
	}
	field->strings[field->nstrings++] = string;
}

static void
begin_container(ReadState *state, JsonKind kind)
{
	JsonField  *owner = value_owner(state);

	if (owner != NULL)
		owner->kind = kind;
	else if (in_wanted_array(state))
		state->field->kind = JSON_KIND_OTHER;
	state->depth++;
}

static JsonActionResult
object_start(void *arg)
{
	ReadState  *state = arg;

	begin_container(state, state->depth == 0 ? JSON_KIND_OBJECT :
					JSON_KIND_OTHER);
	JSON_ACTION_RETURN(JSON_SUCCESS);
}

static JsonActionResult
array_start(void *arg)
{
	ReadState  *state = arg;

	begin_container(state, state->depth == 0 ? JSON_KIND_OTHER :
					JSON_KIND_STRINGS);
	JSON_ACTION_RETURN(JSON_SUCCESS);
}

static JsonActionResult
container_end(void *arg)
{
	((ReadState *) arg)->depth--;
	JSON_ACTION_RETURN(JSON_SUCCESS);
}

static JsonActionResult
field_start(void *arg, char *name, bool isnull)
{
	ReadState  *state = arg;

	if (state->depth != 1)
		JSON_ACTION_RETURN(JSON_SUCCESS);

	state->field = NULL;
	for (int i = 0; i < state->nfields; i++)
	{
		JsonField  *field = &state->fields[i];

		if (strcmp(field->name, name) == 0)
		{
			clear_value(field);
			field->times++;
			state->capacity = 0;
			state->field = field;
		}
	}
	JSON_ACTION_RETURN(JSON_SUCCESS);
}

static JsonActionResult
scalar(void *arg, char *token, JsonTokenType type)
{
	ReadState  *state = arg;
	JsonField  *owner = value_owner(state);

	if (owner != NULL)
	{
		owner->kind = type == JSON_TOKEN_STRING ? JSON_KIND_STRING :
			type == JSON_TOKEN_NUMBER ? JSON_KIND_NUMBER : JSON_KIND_OTHER;
		owner->string = owner->kind != JSON_KIND_OTHER ? token : NULL;
	}
	else if (in_wanted_array(state))
	{
		if (type == JSON_TOKEN_STRING)
			add_element(state, token);
		else
			state->field->kind = JSON_KIND_OTHER;
	}
	JSON_ACTION_RETURN(JSON_SUCCESS);
}

/*
 * Are there more brackets open at once than we want to recurse into?  If so,
 * *pairs tells whether as many are closed as are opened.
 */
static bool
is_too_deep(const char *bytes, size_t length, bool *pairs)
{
	int64		depth = 0;
	int64		deepest = 0;
	bool		in_string = false;

	for (size_t i = 0; i < length; i++)
	{
		char		c = bytes[i];

		if (in_string)
		{
			if (c == '\\')
				i++;			/* the escaped character is not looked at */
			else if (c == '"')
				in_string = false;
		}
		else if (c == '"')
			in_string = true;
		else if (c == '[' || c == '{')
		{
			depth++;
			deepest = Max(deepest, depth);
		}
		else if (c == ']' || c == '}')
			depth--;
	}
	*pairs = depth == 0 && !in_string;
	return deepest > MAX_DEPTH;
}

JsonFieldsResult
JsonFieldsRead(const char *bytes, size_t length, JsonField *whole,
			   JsonField *fields, int nfields)
{
	ReadState	state = {whole, fields, nfields};
	JsonSemAction actions = {
		.semstate = &state,
		.object_start = object_start,
		.object_end = container_end,
		.array_start = array_start,
		.array_end = container_end,
		.object_field_start = field_start,
		.scalar = scalar
	};
	bool		pairs;

	clear_value(whole);
	for (int i = 0; i < nfields; i++)
	{
		clear_value(&fields[i]);
		fields[i].times = 0;
	}

	if (length > INT_MAX)
		return JSON_FIELDS_NOT_JSON;
	if (is_too_deep(bytes, length, &pairs))
		return pairs ? JSON_FIELDS_TOO_DEEP : JSON_FIELDS_NOT_JSON;
	if (pg_parse_json(compat_json_lexer(bytes, (int) length, true),
					  &actions) != JSON_SUCCESS)
		return JSON_FIELDS_NOT_JSON;
	return JSON_FIELDS_OK;
}

/* ----------
 * Lists without repetitions
 * ----------
 */

typedef struct Position
{
	const char *string;
	int			index;
} Position;

static int
compare_positions(const void *left, const void *right)
{
	const Position *a = left;
	const Position *b = right;
	int			order = strcmp(a->string, b->string);

	return order != 0 ? order : a->index - b->index;
}

/*
 * By sorting: a message of the permitted size may hold tens of thousands of
 * strings, and comparing each with each would hold up every other client.
 */
void
JsonFieldUnique(JsonField *field)
{
	Position   *sorted;
	int			kept = 0;

	if (field->nstrings < 2)
		return;

	sorted = palloc(field->nstrings * sizeof(Position));
	for (int i = 0; i < field->nstrings; i++)
	{
		sorted[i].string = field->strings[i];
		sorted[i].index = i;
	}
	qsort(sorted, field->nstrings, sizeof(Position), compare_positions);

	for (int i = 1; i < field->nstrings; i++)
	{
		if (strcmp(sorted[i - 1].string, sorted[i].string) == 0)
			field->strings[sorted[i].index] = NULL;
	}
	for (int i = 0; i < field->nstrings; i++)
	{
		if (field->strings[i] != NULL)
			field->strings[kept++] = field->strings[i];
	}
	field->nstrings = kept;
	pfree(sorted);
}
