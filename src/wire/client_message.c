/*-------------------------------------------------------------------------
 *
 * client_message.c
 *		The JSON that clients of the quiz API send, and what the parsers of
 *		all APIs share.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "wire/client_message.h"
#include "wire/json_fields.h"
#include "wire/utf8.h"

#define CLIPPED_CHARACTERS	100
#define UUID_TEXT_LENGTH	36

MessageResult
QuizMessageParse(const char *bytes, size_t length, QuizMessage *message)
{
	JsonField	whole = {0};
	JsonField	fields[] = {{"action"}, {"subscriptions"}};
	JsonField  *action = &fields[0];
	JsonField  *subscriptions = &fields[1];

	memset(message, 0, sizeof(*message));
	switch (JsonFieldsRead(bytes, length, &whole, fields, lengthof(fields)))
	{
		case JSON_FIELDS_NOT_JSON:
			return MESSAGE_NOT_JSON;
		case JSON_FIELDS_TOO_DEEP:
			return MESSAGE_WRONG_SHAPE;
		case JSON_FIELDS_OK:
			break;
	}

	if (whole.kind != JSON_KIND_OBJECT || action->kind != JSON_KIND_STRING)
		return MESSAGE_WRONG_SHAPE;
	message->action = action->string;
	message->subscribe = strcmp(action->string, "subscribe") == 0;
	if (!message->subscribe && strcmp(action->string, "unsubscribe") != 0)
		return MESSAGE_UNKNOWN_ACTION;

	if (subscriptions->kind != JSON_KIND_STRINGS ||
		subscriptions->nstrings == 0)
		return MESSAGE_WRONG_SHAPE;
	JsonFieldUnique(subscriptions);
	message->nsubscriptions = subscriptions->nstrings;
	message->subscriptions = subscriptions->strings;
	return MESSAGE_OK;
}

/* ----------
 * Channels
 * ----------
 */

/* A positive decimal number up to 2^63-1, without leading zero or sign. */
static bool
is_bigint(const char *id)
{
	static const char largest[] = "9223372036854775807";
	size_t		length = strspn(id, "0123456789");

	if (length == 0 || id[length] != '\0' || id[0] == '0')
		return false;
	if (length != strlen(largest))
		return length < strlen(largest);
	return strcmp(id, largest) <= 0;
}

/* The usual form, 8-4-4-4-12 digits, in either case. */
static bool
is_uuid(const char *id)
{
	if (strlen(id) != UUID_TEXT_LENGTH)
		return false;
	for (int i = 0; i < UUID_TEXT_LENGTH; i++)
	{
		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (id[i] != '-')
				return false;
		}
		else if (strchr("0123456789abcdefABCDEF", id[i]) == NULL)
			return false;
	}
	return true;
}

static ChannelType
channel_type(const char *name, size_t length)
{
	static const struct
	{
		const char *name;
		ChannelType type;
	}			types[] = {
		{"quiz", CHANNEL_QUIZ},
		{"notification", CHANNEL_NOTIFICATION},
		{"attempts", CHANNEL_ATTEMPTS},
		{"leaderboard", CHANNEL_LEADERBOARD}
	};

	for (int i = 0; i < lengthof(types); i++)
	{
		if (strlen(types[i].name) == length &&
			memcmp(types[i].name, name, length) == 0)
			return types[i].type;
	}
	return CHANNEL_UNKNOWN;
}

ChannelType
ChannelParse(const char *channel, char *topic, bool *valid_id)
{
	size_t		length = strcspn(channel, ":");
	ChannelType type = channel_type(channel, length);
	const char *id = channel + length;

	topic[0] = '\0';
	*valid_id = false;
	if (type == CHANNEL_UNKNOWN || *id++ != ':')
		return type;			/* "quiz" alone is a quiz without an id */

	*valid_id = is_bigint(id) || (type != CHANNEL_QUIZ && is_uuid(id));
	if (*valid_id)
	{
		/* types and ids are short, and their letters are ASCII */
		do
			*topic++ = (char) pg_ascii_tolower((unsigned char) *channel);
		while (*channel++ != '\0');
	}
	return type;
}

/* ----------
 * Texts
 * ----------
 */

void
AppendClipped(StringInfo buffer, const char *text, size_t length)
{
	int			characters = 0;
	size_t		end;

	for (end = 0; end < length; end++)
	{
		if (!Utf8IsContinuation(text[end]) &&
			++characters > CLIPPED_CHARACTERS)
			break;
	}
	appendBinaryStringInfo(buffer, text, (int) end);
}

static void
append_json_character(StringInfo buffer, char c)
{
	switch (c)
	{
		case '"':
			appendStringInfoString(buffer, "\\\"");
			break;
		case '\\':
			appendStringInfoString(buffer, "\\\\");
			break;
		case '\b':
			appendStringInfoString(buffer, "\\b");
			break;
		case '\f':
			appendStringInfoString(buffer, "\\f");
			break;
		case '\n':
			appendStringInfoString(buffer, "\\n");
			break;
		case '\r':
			appendStringInfoString(buffer, "\\r");
			break;
		case '\t':
			appendStringInfoString(buffer, "\\t");
			break;
		default:
			if ((unsigned char) c < ' ')
				appendStringInfo(buffer, "\\u%04x", (unsigned char) c);
			else
				appendStringInfoCharMacro(buffer, c);
			break;
	}
}

void
AppendJsonString(StringInfo buffer, const char *text, size_t length)
{
	appendStringInfoCharMacro(buffer, '"');
	for (size_t i = 0; i < length; i++)
		append_json_character(buffer, text[i]);
	appendStringInfoCharMacro(buffer, '"');
}
