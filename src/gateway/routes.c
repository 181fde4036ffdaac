/*-------------------------------------------------------------------------
 *
 * routes.c
 *		Where an HTTP request goes.
 *
 * The checks are made in the order of the published table: what a client
 * must mend first, it is told first.  The query and the credential are the
 * dialect's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/processes.h"
#include "common/counters.h"
#include "common/settings.h"
#include "gateway/dialect.h"
#include "gateway/metrics.h"
#include "gateway/proxy.h"
#include "gateway/routes.h"

const Dialect *const dialects[] = {
	&quiz_dialect,
	&dashboard_dialect,
	&security_events_dialect,
	&security_system_dialect,
	&echo_dialect,
	NULL
};

const Dialect *
DialectOfPath(HttpText path)
{
	for (int i = 0; dialects[i] != NULL; i++)
	{
		const Dialect *dialect = dialects[i];

		if (HttpTextIs(path, dialect->path != NULL ? dialect->path :
					   quizrt_echo_path) &&
			(dialect->enabled == NULL || dialect->enabled()))
			return dialect;
	}
	return NULL;
}

const Dialect *
DialectOfTopic(EventText topic)
{
	for (int i = 0; dialects[i] != NULL; i++)
	{
		const Dialect *dialect = dialects[i];

		if (dialect->owns_topic != NULL && dialect->owns_topic(topic))
			return dialect;
	}
	return NULL;
}

static void
respond(Connection *connection, int status, const char *type,
		const char *body, size_t length)
{
	StringInfoData response;

	initStringInfo(&response);
	HttpAppendResponse(&response, status, type, body, length);
	ConnectionRespond(connection, &response);
	pfree(response.data);
}

static void
healthz(Connection *connection)
{
	static const char body[] = "{\"status\":\"alive\"}";

	respond(connection, 200, "application/json", body, strlen(body));
}

/* Why the database side can't answer now; NULL where it can. */
static const char *
not_ready(void)
{
	if (DrainingGet())
		return "Draining";
	switch (DatabaseStateGet())
	{
		case DATABASE_SERVED:
			return NULL;
		case DATABASE_STARTING:
			return "Starting";
		case DATABASE_MISSING:
			return "The database does not exist";
		case DATABASE_NO_EXTENSION:
			return "The database does not have the extension";
		case DATABASE_STANDBY:
			return "The server is a standby";
		case DATABASE_FAILING:
			return "The database does not answer";
	}
	return "Starting";
}

static void
readyz(Connection *connection)
{
	static const char body[] = "{\"status\":\"ready\"}";
	const char *reason = not_ready();

	if (reason != NULL)
		ConnectionRefuse(connection, 503, reason);
	else
		respond(connection, 200, "application/json", body, strlen(body));
}

static void
metrics(Connection *connection)
{
	StringInfoData body;

	initStringInfo(&body);
	MetricsAppend(&body);
	respond(connection, 200, "text/plain; version=0.0.4; charset=utf-8",
			body.data, body.len);
	pfree(body.data);
}

static const struct
{
	const char *path;
	void		(*answer) (Connection *connection);
}			probes[] = {
	{"/healthz", healthz},
	{"/readyz", readyz},
	{"/metrics", metrics}
};

static const char *
upgrade_error(int status)
{
	return status == 400 ? "Invalid Sec-WebSocket-Key" :
		"WebSocket upgrade required";
}

/* A request for a WebSocket path. */
static void
route_websocket(Connection *connection, const HttpRequest *request)
{
	int			status = HttpCheckUpgrade(request);

	if (status != 0)
		ConnectionRefuse(connection, status, upgrade_error(status));
	else if (!HttpOriginAllowed(request->origin, quizrt_allowed_origins))
		ConnectionRefuse(connection, 403, "Origin not allowed");
	else if (DrainingGet())
		ConnectionRefuse(connection, 503, "Draining");
	else if (ConnectionsAreFull(connection))
	{
		CounterAdd(COUNTER_CONNECTIONS_LIMITED, 1);
		ConnectionRefuse(connection, 503, "Too many connections");
	}
	else
		connection->dialect->request(connection, request);
}

void
RouteRequest(Connection *connection, const HttpRequest *request)
{
	void		(*answer) (Connection *) = NULL;

	for (int i = 0; i < lengthof(probes); i++)
	{
		if (HttpTextIs(request->path, probes[i].path))
			answer = probes[i].answer;
	}
	connection->dialect = DialectOfPath(request->path);
	ProxyApply(connection, request);

	if (answer == NULL && connection->dialect == NULL)
		ConnectionRefuse(connection, 404, "Not found");
	else if (!HttpTextIs(request->method, "GET"))
		ConnectionRefuse(connection, 405, "Method not allowed");
	else if (answer != NULL)
		answer(connection);
	else
		route_websocket(connection, request);
}
