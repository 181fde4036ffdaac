/*-------------------------------------------------------------------------
 *
 * fuzz_client_message.c
 *		The JSON of the three APIs, and channel names.
 *
 * Input that is not UTF-8 never gets so far.  Promises: nothing is read
 * beyond the message; a list has no string twice; what is quoted for an error
 * is JSON that reads as the text it was made of.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "arena.h"
#include "fuzz.h"
#include "wire/client_message.h"
#include "wire/dashboard_message.h"
#include "wire/json_fields.h"
#include "wire/security_message.h"
#include "wire/utf8.h"

static void
check_quoting(const char *text, size_t length)
{
	StringInfoData clipped;
	StringInfoData quoted;
	JsonField	whole = {0};

	initStringInfo(&clipped);
	AppendClipped(&clipped, text, length);
	HOLDS(clipped.len <= length && clipped.len <= 400 &&
		  memcmp(clipped.data, text, clipped.len) == 0 &&
		  Utf8Valid(clipped.data, clipped.len));

	initStringInfo(&quoted);
	AppendJsonString(&quoted, clipped.data, clipped.len);
	if (memchr(clipped.data, '\0', clipped.len) != NULL)
		return;					/* valid JSON, but not for PostgreSQL */
	HOLDS(JsonFieldsRead(quoted.data, quoted.len, &whole, NULL, 0) ==
		  JSON_FIELDS_OK);
	HOLDS(whole.kind == JSON_KIND_STRING &&
		  strcmp(whole.string, clipped.data) == 0);
}

static void
check_channel(const char *channel)
{
	char	   *topic = malloc(64);
	char	   *again = malloc(64);
	bool		valid;
	ChannelType type = ChannelParse(channel, topic, &valid);

	HOLDS(valid == (topic[0] != '\0'));
	HOLDS(!valid || type != CHANNEL_UNKNOWN);
	if (valid)
	{
		HOLDS(strlen(topic) == strlen(channel));
		HOLDS(ChannelParse(topic, again, &valid) == type && valid);
		HOLDS(strcmp(topic, again) == 0);
	}
	free(topic);
	free(again);
}

static void
check_list(char **strings, int count)
{
	HOLDS(count > 0);
	for (int i = 0; i < count; i++)
	{
		HOLDS(Utf8Valid(strings[i], strlen(strings[i])));
		check_channel(strings[i]);
		for (int j = 0; j < i && j < 20; j++)
			HOLDS(strcmp(strings[i], strings[j]) != 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *copy;
	QuizMessage quiz;
	DashboardMessage dashboard;
	SecurityMessage security;

	if (!Utf8Valid((const char *) data, size))
		return 0;
	copy = exact_copy(data, size);

	switch (QuizMessageParse(copy, size, &quiz))
	{
		case MESSAGE_OK:
			check_list(quiz.subscriptions, quiz.nsubscriptions);
			break;
		case MESSAGE_UNKNOWN_ACTION:
			check_quoting(quiz.action, strlen(quiz.action));
			break;
		case MESSAGE_NOT_JSON:
		case MESSAGE_WRONG_SHAPE:
			break;
	}
	DashboardMessageParse(copy, size, &dashboard);
	if (SecurityMessageParse(copy, size, &security) == SECURITY_MESSAGE_OK &&
		security.kind != SECURITY_PING)
		check_list(security.channels, security.nchannels);
	check_quoting(copy, size);

	free(copy);
	ArenaReset();
	return 0;
}
