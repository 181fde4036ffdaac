/*-------------------------------------------------------------------------
 *
 * admin.c
 *		What quizrt.connections, quizrt.subscriptions, quizrt.stats and
 *		quizrt.drain() are made of.
 *
 * Rights are the SQL script's.  What comes from clients (ids, channels) is
 * UTF-8 and may not be expressible in the database's encoding: a view must
 * not fail because of it, so such a text is shown in ASCII.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/gauges.h"
#include "bus/processes.h"
#include "bus/report.h"
#include "common/compat.h"
#include "common/counters.h"
#include "common/shared.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(quizrt_connections);
PG_FUNCTION_INFO_V1(quizrt_subscriptions);
PG_FUNCTION_INFO_V1(quizrt_stats);
PG_FUNCTION_INFO_V1(quizrt_drain);

#define CONNECTIONS_COLUMNS		12
#define SUBSCRIPTIONS_COLUMNS	5
#define STATS_COLUMNS			3

static void
need_shared_memory(void)
{
	if (!SharedAvailable())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("quizrt is not loaded by the server"),
				 errhint("Add quizrt to shared_preload_libraries, and restart the server.")));
}

/* With every byte that is not ASCII as "\xhh". */
static text *
ascii_text(EventText from)
{
	StringInfoData out;

	initStringInfo(&out);
	for (uint32 i = 0; i < from.length; i++)
	{
		unsigned char byte = from.bytes[i];

		if (IS_HIGHBIT_SET(byte))
			appendStringInfo(&out, "\\x%02x", byte);
		else
			appendStringInfoChar(&out, byte);
	}
	return cstring_to_text_with_len(out.data, out.len);
}

static bool
is_ascii_text(EventText from)
{
	for (uint32 i = 0; i < from.length; i++)
	{
		if (IS_HIGHBIT_SET(from.bytes[i]))
			return false;
	}
	return true;
}

static Datum
text_datum(EventText from)
{
	if (is_ascii_text(from) ||
		(GetDatabaseEncoding() == PG_UTF8 &&
		 pg_verify_mbstr(PG_UTF8, from.bytes, (int) from.length, true)))
		return PointerGetDatum(cstring_to_text_with_len(from.bytes,
														(int) from.length));
	return PointerGetDatum(ascii_text(from));
}

/* The same, where empty means that there is none. */
static Datum
optional_datum(EventText from, bool *null)
{
	*null = from.length == 0;
	return *null ? (Datum) 0 : text_datum(from);
}

static void
put_connection(ReturnSetInfo *result, int gateway,
			   const ReportedConnection *connection)
{
	Datum		values[CONNECTIONS_COLUMNS];
	bool		nulls[CONNECTIONS_COLUMNS] = {0};

	values[0] = Int64GetDatum((int64) connection->id);
	values[1] = Int32GetDatum(gateway + 1);
	values[2] = optional_datum(connection->api, &nulls[2]);
	values[3] = text_datum(connection->state);
	values[4] = optional_datum(connection->owner, &nulls[4]);
	values[5] = text_datum(connection->address);
	values[6] = BoolGetDatum(connection->encrypted);
	values[7] = TimestampTzGetDatum(connection->connected_at);
	values[8] = Int32GetDatum((int32) connection->subscriptions);
	values[9] = Int64GetDatum((int64) connection->bytes_sent);
	values[10] = Int64GetDatum((int64) connection->queued_bytes);
	values[11] = BoolGetDatum(connection->lagging);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_connections(void *context, int gateway, const char *bytes, Size length)
{
	Cursor		cursor = {bytes, bytes + length};
	ReportedConnection connection;

	while (ReportConnectionDecode(&cursor, &connection))
		put_connection(context, gateway, &connection);
}

static void
put_subscription(ReturnSetInfo *result, int gateway,
				 const ReportedSubscription *subscription)
{
	Datum		values[SUBSCRIPTIONS_COLUMNS];
	bool		nulls[SUBSCRIPTIONS_COLUMNS] = {0};

	values[0] = Int64GetDatum((int64) subscription->connection);
	values[1] = Int32GetDatum(gateway + 1);
	values[2] = text_datum(subscription->channel);
	values[3] = BoolGetDatum(subscription->held);
	values[4] = BoolGetDatum(subscription->lost);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_subscriptions(void *context, int gateway, const char *bytes, Size length)
{
	Cursor		cursor = {bytes, bytes + length};
	ReportedSubscription subscription;

	while (ReportSubscriptionDecode(&cursor, &subscription))
		put_subscription(context, gateway, &subscription);
}

static void
report(FunctionCallInfo fcinfo, ReportKind kind, ReportCallback callback)
{
	need_shared_memory();
	InitMaterializedSRF(fcinfo, 0);
	ReportAsk(kind, callback, fcinfo->resultinfo);
}

Datum
quizrt_connections(PG_FUNCTION_ARGS)
{
	report(fcinfo, REPORT_CONNECTIONS, put_connections);
	PG_RETURN_VOID();
}

Datum
quizrt_subscriptions(PG_FUNCTION_ARGS)
{
	report(fcinfo, REPORT_SUBSCRIPTIONS, put_subscriptions);
	PG_RETURN_VOID();
}

static void
put_stat(ReturnSetInfo *result, const char *name, const char *help,
		 uint64 value)
{
	Datum		values[STATS_COLUMNS];
	bool		nulls[STATS_COLUMNS] = {0};

	values[0] = CStringGetTextDatum(name);
	values[1] = Int64GetDatum((int64) value);
	values[2] = CStringGetTextDatum(help);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
quizrt_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	need_shared_memory();
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < COUNTER_COUNT; i++)
		put_stat(result, counter_info[i].name, counter_info[i].help,
				 CounterRead((CounterId) i));
	for (const Gauge *gauge = gauges; gauge->name != NULL; gauge++)
		put_stat(result, gauge->name, gauge->help, gauge->read());
	PG_RETURN_VOID();
}

/* quizrt.drain(on boolean) */
Datum
quizrt_drain(PG_FUNCTION_ARGS)
{
	bool		on = PG_GETARG_BOOL(0);

	need_shared_memory();
	if (on != DrainingGet())
		ereport(LOG, (errmsg(on ? "quizrt is draining" :
							 "quizrt is not draining any more")));
	DrainingSet(on);
	PG_RETURN_VOID();
}
