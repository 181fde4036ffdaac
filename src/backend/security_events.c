/*-------------------------------------------------------------------------
 *
 * security_events.c
 *		What the security API's clients are told.
 *
 * An event's data is here what follows "type" in the message.  The system's
 * status is no event: it is stored, and the gateways ask for it at their
 * interval.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "backend/change.h"
#include "backend/outbox.h"
#include "backend/publish.h"
#include "common/render.h"
#include "catalog/pg_type.h"
#include "common/settings.h"
#include "common/timetext.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(quizrt_security_event);
PG_FUNCTION_INFO_V1(quizrt_service_status);
PG_FUNCTION_INFO_V1(quizrt_check_status);

/* Columns of the queries in sql/50-security.sql */
#define EVENT_COLUMNS	8
enum
{
	SERVICE_NAME, SERVICE_STATUS, SERVICE_MESSAGE, SERVICE_COLUMNS
};
#define STATUS_COLUMNS	1

static const char *const event_channels[] = {"events", "detections", "alerts"};

static const char *const service_states[] = {
	"healthy", "unhealthy", "restarting", "restart_failed", "failed"
};

static bool
is_among(const char *word, const char *const *words, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(words[i], word) == 0)
			return true;
	}
	return false;
}

/*
 * quizrt.security_event(data json [, channel text])
 */
Datum
quizrt_security_event(PG_FUNCTION_ARGS)
{
	const char *channel = PG_NARGS() > 1 ? RequiredText(fcinfo, 1, "channel") :
		event_channels[0];
	Event		event = {EVENT_UPDATE};
	EventText	data;

	RefuseInRecovery();
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the data of an event must not be null")));
	if (!is_among(channel, event_channels, lengthof(event_channels)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown channel \"%s\"", channel),
				 errhint("The channels are events, detections and alerts.")));
	data = JsonObjectText(PG_GETARG_TEXT_PP(0));
	event.ntopics = 1;
	event.topics[0] = EventTextOf(psprintf("security:%s", channel));
	event.slug = EventTextOf("event");
	event.data = EventTextOf(psprintf("{\"data\":%.*s}", (int) data.length,
									  data.bytes));
	PublishEvent(&event);
	PG_RETURN_VOID();
}

/* A message of NULL is left out. */
static void
make_service_event(Event *event, const char *service, const char *status,
				   const char *message)
{
	StringInfoData data;

	initStringInfo(&data);
	appendStringInfoString(&data, "{\"data\":{\"service\":");
	escape_json(&data, service);
	appendStringInfoString(&data, ",\"status\":");
	escape_json(&data, status);
	if (message != NULL)
	{
		appendStringInfoString(&data, ",\"message\":");
		escape_json(&data, message);
	}
	appendStringInfoString(&data, "},\"timestamp\":\"");
	AppendIsoTime(&data, GetCurrentTimestamp());
	appendStringInfoString(&data, "\"}");
	event->kind = EVENT_UPDATE;
	event->ntopics = 1;
	event->topics[0] = EventTextOf("security:services");
	event->slug = EventTextOf("service_status");
	event->data = EventTextOf(data.data);
}

/*
 * quizrt.service_status(service text, status text, message text)
 */
Datum
quizrt_service_status(PG_FUNCTION_ARGS)
{
	const char *service = RequiredText(fcinfo, 0, "service");
	const char *status = RequiredText(fcinfo, 1, "status");
	const char *message = PG_ARGISNULL(2) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(2));
	Event		event = {EVENT_UPDATE};

	RefuseInRecovery();
	if (!is_among(status, service_states, lengthof(service_states)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown status \"%s\"", status),
				 errhint("A service is healthy, unhealthy, restarting, restart_failed or failed.")));
	make_service_event(&event, service, status, message);
	PublishEvent(&event);
	PG_RETURN_VOID();
}

/* An error where this can't be the data of a system_status. */
static void
check_status(const text *data)
{
	EventText	object = JsonObjectText(data);

	if (object.length > (uint32) quizrt_max_event_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the status is too large"),
				 errdetail("It has %u bytes; quizrt.max_event_size is %d.",
						   object.length, quizrt_max_event_size)));
}

/*
 * quizrt.check_status(data json)
 */
Datum
quizrt_check_status(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the status must not be null")));
	check_status(PG_GETARG_TEXT_PP(0));
	PG_RETURN_VOID();
}

void
SecurityEventChanged(const Change *change)
{
	MessageRow	row;
	Event		event = {EVENT_UPDATE};
	StringInfoData data;

	if (!ChangeMessage(change, QUERY_MESSAGE, EVENT_COLUMNS, &row))
		return;
	initStringInfo(&data);
	appendStringInfoString(&data, "{\"data\":{");
	RenderMembers(&data, row.desc, row.values, row.nulls, 0, EVENT_COLUMNS);
	appendStringInfoString(&data, "}}");
	event.ntopics = 1;
	event.topics[0] = EventTextOf("security:events");
	event.slug = EventTextOf("event");
	event.data = EventTextOf(data.data);
	OutboxAddOrResync(&event);
}

void
ServiceChanged(const Change *change)
{
	MessageRow	row;
	Event		event;

	if (!ChangeMessage(change, QUERY_MESSAGE, SERVICE_COLUMNS, &row) ||
		row.nulls[SERVICE_NAME] || row.nulls[SERVICE_STATUS])
		return;
	make_service_event(&event, MessageText(&row, SERVICE_NAME),
					   MessageText(&row, SERVICE_STATUS),
					   MessageText(&row, SERVICE_MESSAGE));
	OutboxAddOrResync(&event);
}

/* The table for it is the extension's: written in the name of its owner. */
void
SystemStatusChanged(const Change *change)
{
	Oid			types[1] = {JSONOID};
	MessageRow	row;
	AsOwner		saved;

	if (!ChangeMessage(change, QUERY_MESSAGE, STATUS_COLUMNS, &row) ||
		row.nulls[0])
		return;
	check_status(DatumGetTextPP(row.values[0]));
	BeginAs(OwnerOfFunction(change->function), &saved);
	if (SPI_execute_with_args("SELECT quizrt.store_status($1)", 1, types,
							  row.values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not store the system's status");
	EndAs(&saved);
}
