/*-------------------------------------------------------------------------
 *
 * report.c
 *		Telling sessions about the connections of this gateway.
 *
 * A report walks through the list of all connections, some in a turn, and
 * ends with the last that there was when it began.  Connections come and go
 * meanwhile: one that is freed moves the reports that stand on it to the next
 * one.  What was said and not taken yet is kept; nothing more is said until
 * it was taken, so a session that reads slowly costs one piece of memory.
 *
 * An error ends the report that it happened in.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/report.h"
#include "gateway/dialect.h"
#include "gateway/guard.h"
#include "gateway/report.h"
#include "gateway/topics.h"
#include "utils/memutils.h"

/* Connections that are looked at in a turn for one report, and the size from
 * which a piece is sent. */
#define CONNECTIONS_A_TURN	512
#define PIECE_SIZE			(16 * 1024)

/* Longest text of an address. */
#define ADDRESS_LENGTH		64

typedef struct Report
{
	dlist_node	node;			/* on the list of reports */
	ReportSink	sink;
	Connection *next;			/* the next to tell about; NULL: that was
								 * all */
	uint64		last;			/* id of the last to tell about */
	StringInfoData piece;		/* no data before the first one */
	bool		waiting;		/* the queue had no room for the piece */
} Report;

static int	gateway_number;
static dlist_head reports;
static MemoryContext reports_context;

void
ReportsInit(int gateway)
{
	gateway_number = gateway;
	dlist_init(&reports);
	reports_context = AllocSetContextCreate(TopMemoryContext,
											"quizrt reports",
											ALLOCSET_SMALL_SIZES);
}

/*
 * Walking
 */

static Connection *
connection_at(dlist_node *node)
{
	return dlist_container(Connection, all_node, node);
}

static Connection *
after(const Report *report, Connection *connection)
{
	Connection *next;

	if (!dlist_has_next(&all_connections, &connection->all_node))
		return NULL;
	next = connection_at(dlist_next_node(&all_connections,
										 &connection->all_node));
	return next->id <= report->last ? next : NULL;
}

void
ReportsForget(const Connection *connection)
{
	dlist_iter	iter;

	dlist_foreach(iter, &reports)
	{
		Report	   *report = dlist_container(Report, node, iter.cur);

		if (report->next == connection)
			report->next = after(report, report->next);
	}
}

/*
 * What is said
 */

static const char *
state_name(ConnectionState state)
{
	switch (state)
	{
		case CONNECTION_HEAD:
			return "request";
		case CONNECTION_ASKING:
			return "credential";
		case CONNECTION_OPEN:
			return "open";
		case CONNECTION_CLOSING:
		case CONNECTION_FLUSHING:
		case CONNECTION_DRAINING:
		case CONNECTION_DEAD:
			break;
	}
	return "closing";
}

/* The list of the subscriptions that its client knows of, or NULL. */
static dlist_head *
channels_of(const Connection *connection)
{
	if (connection->session == NULL || connection->dialect->channels == NULL)
		return NULL;
	return connection->dialect->channels(connection);
}

static const char *
owner_of(const Connection *connection)
{
	const char *owner = NULL;

	if (connection->session != NULL && connection->dialect->owner != NULL)
		owner = connection->dialect->owner(connection);
	return owner != NULL ? owner : "";
}

static uint32
count_channels(const Connection *connection)
{
	dlist_head *channels = channels_of(connection);
	dlist_iter	iter;
	uint32		n = 0;

	if (channels == NULL)
		return 0;
	dlist_foreach(iter, channels)
		n++;
	return n;
}

static void
say_connection(StringInfo piece, const Connection *connection)
{
	char		address[ADDRESS_LENGTH];
	ReportedConnection said = {0};

	PeerAddressFormat(&connection->peer, address, sizeof(address));
	said.id = connection->id;
	said.api = EventTextOf(connection->dialect ? connection->dialect->name :
						   "");
	said.state = EventTextOf(state_name(connection->state));
	said.owner = EventTextOf(owner_of(connection));
	said.address = EventTextOf(address);
	said.encrypted = connection->encrypted;
	said.connected_at = connection->connected_at;
	said.subscriptions = count_channels(connection);
	said.bytes_sent = connection->bytes_sent;
	said.queued_bytes = connection->output.bytes;
	said.lagging = connection->lagging;
	ReportConnectionEncode(piece, &said);
}

static void
say_subscriptions(StringInfo piece, const Connection *connection)
{
	dlist_head *channels = channels_of(connection);
	dlist_iter	iter;

	if (channels == NULL)
		return;
	dlist_foreach(iter, channels)
	{
		Subscription *subscription = dlist_container(Subscription, node,
													 iter.cur);
		ReportedSubscription said;

		said.connection = connection->id;
		said.channel = TopicName(subscription->topic);
		said.held = subscription->held;
		said.lost = subscription->lost;
		ReportSubscriptionEncode(piece, &said);
	}
}

static void
start_piece(Report *report)
{
	MemoryContext old;

	if (report->piece.data != NULL)
	{
		resetStringInfo(&report->piece);
		return;
	}
	old = MemoryContextSwitchTo(reports_context);
	initStringInfo(&report->piece);
	MemoryContextSwitchTo(old);
}

/* Write the next piece; empty when that was all, or in this turn. */
static void
write_piece(Report *report, int *budget)
{
	start_piece(report);
	while (report->next != NULL && *budget > 0 &&
		   report->piece.len < PIECE_SIZE)
	{
		Connection *connection = report->next;

		if (connection->state == CONNECTION_DEAD)
			 /* it has gone */ ;
		else if (report->sink.kind == REPORT_CONNECTIONS)
			say_connection(&report->piece, connection);
		else
			say_subscriptions(&report->piece, connection);
		report->next = after(report, connection);
		(*budget)--;
	}
}

/*
 * A report's life
 */

static void
end_report(Report *report)
{
	dlist_delete(&report->node);
	ReportEnd(&report->sink);
	if (report->piece.data != NULL)
		pfree(report->piece.data);
	pfree(report);
}

/* Nothing is lost where this throws: that can only be the taking itself. */
static void
begin_report(void *taken)
{
	ReportSink	sink;
	Report	   *report;

	if (!ReportTake(gateway_number, &sink))
		return;
	*(bool *) taken = true;
	report = MemoryContextAllocExtended(reports_context, sizeof(Report),
										MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);
	if (report == NULL)
	{
		ReportEnd(&sink);
		return;
	}
	report->sink = sink;
	if (!dlist_is_empty(&all_connections))
	{
		report->next = connection_at(dlist_head_node(&all_connections));
		report->last = connection_at(dlist_tail_node(&all_connections))->id;
	}
	dlist_push_tail(&reports, &report->node);
}

/* Say what fits; true: there is more to say, and perhaps room for it. */
static bool
continue_report(Report *report)
{
	int			budget = CONNECTIONS_A_TURN;

	for (;;)
	{
		if (!report->waiting)
			write_piece(report, &budget);
		if (report->piece.len > 0)
		{
			shm_mq_result result = ReportSend(&report->sink,
											  report->piece.data,
											  report->piece.len);

			report->waiting = result == SHM_MQ_WOULD_BLOCK;
			if (report->waiting)
				return false;
			if (result == SHM_MQ_DETACHED)
				report->next = NULL;
		}
		if (report->next == NULL)
		{
			end_report(report);
			return false;
		}
		if (budget <= 0)
			return true;
	}
}

typedef struct Continuing
{
	Report	   *report;
	bool		more;
} Continuing;

static void
continue_guarded(void *argument)
{
	Continuing *continuing = argument;

	continuing->more = continue_report(continuing->report);
}

bool
ReportsRun(void)
{
	bool		more = false;
	dlist_mutable_iter iter;

	while (ReportWanted(gateway_number))
	{
		bool		taken = false;

		if (!Guarded(begin_report, &taken) || !taken)
			break;
	}
	dlist_foreach_modify(iter, &reports)
	{
		Continuing	continuing = {dlist_container(Report, node, iter.cur),
		false};

		if (!Guarded(continue_guarded, &continuing))
			end_report(continuing.report);
		more |= continuing.more;
	}
	return more;
}
