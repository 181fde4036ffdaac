/*-------------------------------------------------------------------------
 *
 * dashboard_message.c
 *		What clients of the dashboard API send.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "wire/dashboard_message.h"
#include "wire/json_fields.h"

static bool
is_ping(const JsonField *field)
{
	return field->kind == JSON_KIND_STRING &&
		strcmp(field->string, "ping") == 0;
}

void
DashboardMessageParse(const char *bytes, size_t length,
					  DashboardMessage *message)
{
	JsonField	whole = {0};
	JsonField	fields[] = {{"event"}, {"type"}, {"action"}, {"token"}};
	JsonField  *token = &fields[3];

	memset(message, 0, sizeof(*message));
	if (length == strlen("ping") && memcmp(bytes, "ping", length) == 0)
	{
		message->ping = true;
		return;
	}
	if (JsonFieldsRead(bytes, length, &whole, fields, lengthof(fields)) !=
		JSON_FIELDS_OK)
		return;

	message->ping = is_ping(&whole) || is_ping(&fields[0]) ||
		is_ping(&fields[1]) || is_ping(&fields[2]);
	if (token->kind == JSON_KIND_STRING)
		message->token = token->string;
}
