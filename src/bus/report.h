/*-------------------------------------------------------------------------
 *
 * report.h
 *		What sessions ask the gateways about their connections.
 *
 * How it works is in report.c.  Nothing here is a secret: no credential, no
 * data of a client.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_REPORT_H
#define QUIZRT_REPORT_H

#include "bus/codec.h"
#include "common/shared.h"
#include "storage/dsm.h"
#include "storage/shm_mq.h"
#include "utils/timestamp.h"

typedef enum ReportKind
{
	REPORT_CONNECTIONS,			/* a ReportedConnection for each */
	REPORT_SUBSCRIPTIONS		/* a ReportedSubscription for each */
} ReportKind;

typedef struct ReportedConnection
{
	uint64		id;
	EventText	api;			/* empty: not known yet */
	EventText	state;
	EventText	owner;			/* empty: no owner's, or not known yet */
	EventText	address;
	bool		encrypted;
	TimestampTz connected_at;
	uint32		subscriptions;
	uint64		bytes_sent;
	uint64		queued_bytes;
	bool		lagging;
} ReportedConnection;

typedef struct ReportedSubscription
{
	uint64		connection;
	EventText	channel;
	bool		held;			/* its snapshot is on the way */
	bool		lost;			/* an update was left out: see "lagging" */
} ReportedSubscription;

extern const SharedPart report_part;

extern void ReportConnectionEncode(StringInfo buffer,
								   const ReportedConnection *connection);
extern bool ReportConnectionDecode(Cursor *cursor,
								   ReportedConnection *connection);
extern void ReportSubscriptionEncode(StringInfo buffer,
									 const ReportedSubscription *subscription);
extern bool ReportSubscriptionDecode(Cursor *cursor,
									 ReportedSubscription *subscription);

/*
 * For sessions: ask all gateways, and call for each piece of their answers;
 * a piece has any number of what the kind says.  Waits, for a bounded time,
 * and can be interrupted.  A gateway that doesn't answer is warned about and
 * left out; one that ends is left out, as its connections have.
 */
typedef void (*ReportCallback) (void *context, int gateway, const char *bytes,
								Size length);

extern void ReportAsk(ReportKind kind, ReportCallback callback,
					  void *context);

/*
 * For gateways.
 */

/* Where the answer to one question goes. */
typedef struct ReportSink
{
	ReportKind	kind;
	dsm_segment *segment;
	shm_mq_handle *queue;
} ReportSink;

/* Does anybody wait for this gateway?  Costs next to nothing. */
extern bool ReportWanted(int gateway);

/*
 * Take the next question; false where there is none (any more).  Can throw;
 * who asked gets no answer from this gateway then.
 */
extern bool ReportTake(int gateway, ReportSink *sink);

/*
 * Send a piece.  SHM_MQ_WOULD_BLOCK: again with the same bytes when
 * the latch was set; SHM_MQ_DETACHED: nobody wants it any more.
 */
extern shm_mq_result ReportSend(ReportSink *sink, const char *bytes,
								Size length);

/* That is all, or nobody wants it. */
extern void ReportEnd(ReportSink *sink);

#endif							/* QUIZRT_REPORT_H */
