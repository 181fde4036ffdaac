/*-------------------------------------------------------------------------
 *
 * publish.c
 *		What the application says to the clients itself.
 *
 * The rules are checked here, in the application's own statement, so that a
 * mistake is an SQL error where it was made and nothing that a client could
 * not understand ever reaches one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "backend/outbox.h"
#include "backend/publish.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "wire/client_message.h"

/* An attempt's id may be any text; this leaves room for "notification:". */
#define MAX_ATTEMPT_ID_LENGTH	200

#define MAX_SLUG_LENGTH			63

/* What ChannelParse() asks for. */
#define TOPIC_BUFFER_SIZE		64

PG_FUNCTION_INFO_V1(quizrt_publish);
PG_FUNCTION_INFO_V1(quizrt_notify_revoked);

void
RefuseInRecovery(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot publish during recovery"),
				 errhint("Publish on the primary.")));
}

/* 1 to "max" bytes, none of them a control character. */
static bool
is_plain(const char *text, size_t max)
{
	size_t		length = strlen(text);

	if (length == 0 || length > max)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		if ((unsigned char) text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	return true;
}

static void
refuse_id(const char *channel, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid id in channel \"%s\"", channel),
			 errhint("%s", hint)));
}

/*
 * The topic of a channel as clients name it; "buffer" has room for one of
 * TOPIC_BUFFER_SIZE.
 */
static const char *
topic_of_channel(const char *channel, char *buffer)
{
	bool		valid_id;
	const char *id;

	switch (ChannelParse(channel, buffer, &valid_id))
	{
		case CHANNEL_NOTIFICATION:
			id = strchr(channel, ':');
			if (id == NULL || !is_plain(id + 1, MAX_ATTEMPT_ID_LENGTH))
				refuse_id(channel, "It is the id of an attempt.");
			return channel;
		case CHANNEL_QUIZ:
			if (!valid_id)
				refuse_id(channel, "It is the number of a quiz.");
			return buffer;
		case CHANNEL_ATTEMPTS:
		case CHANNEL_LEADERBOARD:
			if (!valid_id)
				refuse_id(channel,
						  "It is the number of a quiz or the UUID of an event.");
			return buffer;
		case CHANNEL_UNKNOWN:
			break;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown type of channel \"%s\"", channel),
			 errhint("A channel is \"quiz:\", \"attempts:\", \"leaderboard:\" or \"notification:\" and an id.")));
	return NULL;				/* keep the compiler quiet */
}

static void
check_slug(const char *slug)
{
	size_t		length = strspn(slug, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (slug[0] >= 'a' && slug[0] <= 'z' && slug[length] == '\0' &&
		length <= MAX_SLUG_LENGTH)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid event \"%s\"", slug),
			 errhint("An event is named by a lower-case letter, then lower-case letters, digits and underscores, %d characters at most.",
					 MAX_SLUG_LENGTH)));
}

EventText
JsonObjectText(const text *json)
{
	EventText	data;

	data.bytes = VARDATA_ANY(json);
	data.length = VARSIZE_ANY_EXHDR(json);
	while (data.length > 0 && strchr(" \t\r\n", data.bytes[0]) != NULL)
	{
		data.bytes++;
		data.length--;
	}
	while (data.length > 0 &&
		   strchr(" \t\r\n", data.bytes[data.length - 1]) != NULL)
		data.length--;
	if (data.length == 0 || data.bytes[0] != '{')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the data of an event must be a JSON object")));
	return data;
}

char *
RequiredText(FunctionCallInfo fcinfo, int argument, const char *what)
{
	char	   *value;

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	value = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (value[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", what)));
	return value;
}

void
PublishEvent(const Event *event)
{
	if (OutboxInUse())
		OutboxAdd(event);
}

/*
 * quizrt.publish(channel text, event text, data json)
 */
Datum
quizrt_publish(PG_FUNCTION_ARGS)
{
	const char *channel;
	const char *slug;
	char		buffer[TOPIC_BUFFER_SIZE];
	Event		event = {EVENT_UPDATE};

	RefuseInRecovery();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("channel, event and data must not be null")));
	channel = text_to_cstring(PG_GETARG_TEXT_PP(0));
	slug = text_to_cstring(PG_GETARG_TEXT_PP(1));
	event.ntopics = 1;
	event.topics[0] = EventTextOf(topic_of_channel(channel, buffer));
	check_slug(slug);
	event.slug = EventTextOf(slug);
	event.data = JsonObjectText(PG_GETARG_TEXT_PP(2));

	PublishEvent(&event);
	PG_RETURN_VOID();
}

/*
 * quizrt.notify_revoked(subject text, reason text)
 *
 * For the functions of the extension that take a credential back or end a
 * connection; "subject" is what EVENT_REVOKE takes.
 */
Datum
quizrt_notify_revoked(PG_FUNCTION_ARGS)
{
	const char *subject = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *reason = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Event		event = {EVENT_REVOKE};

	RefuseInRecovery();
	event.ntopics = 1;
	event.topics[0] = EventTextOf(subject);
	event.data = EventTextOf(reason);

	PublishEvent(&event);
	PG_RETURN_VOID();
}
