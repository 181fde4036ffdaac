/*-------------------------------------------------------------------------
 *
 * dashboard_events.c
 *		What the dashboards are told: that an analysis of a project has
 *		completed.
 *
 * Whom an update reaches is decided here, by its topics, and not in the
 * gateways: with multi-tenant mode it is the clients of its tenant and nobody
 * else; without, it is everybody, those included who came with a tenant while
 * that mode was on.  An update of no tenant can't be published in
 * multi-tenant mode, since nobody would get it; a run of no tenant may
 * complete, since that is none of our business.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "backend/change.h"
#include "backend/outbox.h"
#include "backend/publish.h"
#include "common/settings.h"
#include "common/timetext.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#define TOPIC_OF_ALL	"dashboard"
#define TENANT_PREFIX	"dashboard:"

PG_FUNCTION_INFO_V1(quizrt_project_updated);

/* Columns of quizrt.analysis_run_query() */
enum
{
	RUN_PROJECT, RUN_KIND, RUN_COMPLETED, RUN_TENANT, RUN_COLUMNS
};

/* The tracked field */
#define TRACKED_COMPLETED	0

static void
set_topics(Event *event, const char *tenant)
{
	if (!quizrt_dashboard_multi_tenant)
		event->topics[event->ntopics++] = EventTextOf(TOPIC_OF_ALL);
	if (tenant != NULL)
		event->topics[event->ntopics++] =
			EventTextOf(psprintf(TENANT_PREFIX "%s", tenant));
}

static void
set_data(Event *event, const char *project, const char *trigger,
		 TimestampTz time)
{
	StringInfoData data;

	initStringInfo(&data);
	appendStringInfoString(&data, "{\"project_name\":");
	escape_json(&data, project);
	appendStringInfoString(&data, ",\"trigger\":");
	escape_json(&data, trigger);
	appendStringInfoString(&data, ",\"timestamp\":");
	AppendUnixTime(&data, time);
	appendStringInfoChar(&data, '}');
	event->slug = EventTextOf("project_updated");
	event->data = EventTextOf(data.data);
}

/* The argument, NULL where it is null. */
static char *
tenant_argument(FunctionCallInfo fcinfo)
{
	if (!PG_ARGISNULL(2))
		return RequiredText(fcinfo, 2, "tenant");
	if (quizrt_dashboard_multi_tenant)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("an update of a project needs a tenant"),
				 errdetail("quizrt.dashboard_multi_tenant is on: nobody would get it.")));
	return NULL;
}

/*
 * quizrt.project_updated(project_name text, trigger text, tenant text)
 */
Datum
quizrt_project_updated(PG_FUNCTION_ARGS)
{
	const char *project = RequiredText(fcinfo, 0, "project_name");
	const char *trigger = RequiredText(fcinfo, 1, "trigger");
	const char *tenant = tenant_argument(fcinfo);
	Event		event = {EVENT_UPDATE};

	RefuseInRecovery();
	set_topics(&event, tenant);
	set_data(&event, project, trigger, GetCurrentTimestamp());
	PublishEvent(&event);
	PG_RETURN_VOID();
}

/* A run is of interest once: when it has completed. */
static bool
has_completed(const Change *change)
{
	return !change->is.nulls[TRACKED_COMPLETED] &&
		(change->old == NULL || change->was.nulls[TRACKED_COMPLETED]);
}

void
AnalysisRunChanged(const Change *change)
{
	MessageRow	run;
	Event		event = {EVENT_UPDATE};
	TimestampTz time;

	if (!has_completed(change) ||
		!ChangeMessage(change, QUERY_MESSAGE, RUN_COLUMNS, &run) ||
		run.nulls[RUN_PROJECT] || run.nulls[RUN_KIND] ||
		run.nulls[RUN_COMPLETED])
		return;
	time = DatumGetTimestampTz(run.values[RUN_COMPLETED]);
	set_topics(&event, MessageText(&run, RUN_TENANT));
	set_data(&event, MessageText(&run, RUN_PROJECT),
			 MessageText(&run, RUN_KIND),
			 TIMESTAMP_NOT_FINITE(time) ? GetCurrentTimestamp() : time);
	if (event.ntopics > 0)
		OutboxAddOrResync(&event);
}
