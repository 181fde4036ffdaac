/*-------------------------------------------------------------------------
 *
 * security_message.c
 *		What clients of the security API send.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "wire/json_fields.h"
#include "wire/security_message.h"
#include "wire/utf8.h"

#define MAX_TYPE_CHARACTERS	50

static bool
is_type(const JsonField *type)
{
	int			characters = 0;

	if (type->kind != JSON_KIND_STRING)
		return false;
	for (const char *c = type->string; *c != '\0'; c++)
	{
		if (!Utf8IsContinuation(*c))
			characters++;
	}
	return characters >= 1 && characters <= MAX_TYPE_CHARACTERS;
}

static bool
kind_of(const char *type, SecurityMessageKind *kind)
{
	if (strcmp(type, "ping") == 0)
		*kind = SECURITY_PING;
	else if (strcmp(type, "subscribe") == 0)
		*kind = SECURITY_SUBSCRIBE;
	else if (strcmp(type, "unsubscribe") == 0)
		*kind = SECURITY_UNSUBSCRIBE;
	else
		return false;
	return true;
}

SecurityMessageResult
SecurityMessageParse(const char *bytes, size_t length,
					 SecurityMessage *message)
{
	JsonField	whole = {0};
	JsonField	fields[] = {{"type"}, {"channels"}};
	JsonField  *type = &fields[0];
	JsonField  *channels = &fields[1];

	memset(message, 0, sizeof(*message));
	if (length == strlen("ping") && memcmp(bytes, "ping", length) == 0)
	{
		message->kind = SECURITY_PING;	/* the legacy form */
		return SECURITY_MESSAGE_OK;
	}

	switch (JsonFieldsRead(bytes, length, &whole, fields, lengthof(fields)))
	{
		case JSON_FIELDS_NOT_JSON:
			return SECURITY_MESSAGE_NOT_JSON;
		case JSON_FIELDS_TOO_DEEP:
			return SECURITY_MESSAGE_NO_OBJECT;
		case JSON_FIELDS_OK:
			break;
	}
	if (whole.kind != JSON_KIND_OBJECT)
		return SECURITY_MESSAGE_NO_OBJECT;

	if (type->kind == JSON_KIND_STRING)
		message->type = type->string;
	if (!is_type(type))
		return SECURITY_MESSAGE_BAD_TYPE;
	if (!kind_of(type->string, &message->kind))
		return SECURITY_MESSAGE_UNKNOWN_TYPE;
	if (message->kind == SECURITY_PING)
		return SECURITY_MESSAGE_OK;

	if (channels->kind != JSON_KIND_STRINGS || channels->nstrings == 0)
		return SECURITY_MESSAGE_BAD_CHANNELS;
	JsonFieldUnique(channels);
	message->nchannels = channels->nstrings;
	message->channels = channels->strings;
	return SECURITY_MESSAGE_OK;
}
