/*-------------------------------------------------------------------------
 *
 * question.h
 *		What gateways ask the query workers, and the encoded form of it.
 *
 * Encoding appends to a StringInfo; decoding gives views into the bytes, and
 * returns false where they are not what they should be.  Texts are UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_QUESTION_H
#define QUIZRT_QUESTION_H

#include "bus/codec.h"
#include "bus/event.h"
#include "bus/ring.h"
#include "utils/timestamp.h"

/*
 * QUESTION_CREDENTIAL: who is it?
 */
typedef enum CredentialPurpose
{
	CREDENTIAL_QUIZ_TOKEN,		/* a JWT, or an API key with the role owner */
	CREDENTIAL_QUIZ_SESSION,	/* an attempt session token */
	CREDENTIAL_DASHBOARD_TOKEN, /* a JWT, with a tenant */
	CREDENTIAL_SECURITY_KEY,	/* an API key with the role monitor */
	/* the same as above, known by its handle: is it still good? */
	CREDENTIAL_RECHECK_KEY,
	CREDENTIAL_RECHECK_SESSION
} CredentialPurpose;

typedef struct CredentialQuestion
{
	CredentialPurpose purpose;
	EventText	credential;
} CredentialQuestion;

typedef enum CredentialVerdict
{
	CREDENTIAL_ACCEPTED,
	CREDENTIAL_REFUSED,			/* it names nobody, or has expired */
	CREDENTIAL_LACKS_ROLE		/* an API key without the role it takes */
} CredentialVerdict;

/*
 * The MVCC snapshot under which a question was answered, and the ring's head
 * after it was taken.  An entry that a gateway has at hand belongs to the
 * answer already exactly if its number is below "head" and its transaction
 * was visible in the snapshot.
 */
typedef struct SnapshotJoin
{
	RingSeq		head;
	TransactionId xmin;
	TransactionId xmax;
	uint32		nxip;
	const char *xip;			/* nxip TransactionIds, unaligned */
} SnapshotJoin;

typedef struct CredentialAnswer
{
	CredentialVerdict verdict;
	EventText	owner;			/* owner id, for tokens and keys */
	EventText	tenant;			/* from a dashboard's token */
	EventText	attempt;		/* attempt id, for sessions */
	/* the name by which a revocation event refers to it: "key:<hash>" or
	 * "session:<hash>"; empty for a JWT */
	EventText	handle;
	TimestampTz expires_at;		/* 0: never */
	SnapshotJoin join;
} CredentialAnswer;

/*
 * QUESTION_CHANNELS: whose is it, and what is there?
 */
typedef struct ChannelQuestion
{
	EventText	topic;			/* "quiz:42", valid and normalised */
	bool		check_owner;	/* false: known to be granted */
	bool		want_snapshot;
} ChannelQuestion;

typedef enum ChannelVerdict
{
	CHANNEL_GRANTED,
	CHANNEL_DENIED,				/* no such thing, or somebody else's */
	CHANNEL_UNAVAILABLE			/* this one could not be answered */
} ChannelVerdict;

typedef struct ChannelAnswer
{
	ChannelVerdict verdict;
	EventText	quiz;			/* id of the quiz that it belongs to */
	EventText	snapshot;		/* a JSON array, where one was wanted */
} ChannelAnswer;

extern void CredentialQuestionEncode(StringInfo buffer,
									 const CredentialQuestion *question);
extern bool CredentialQuestionDecode(const char *bytes, Size length,
									 CredentialQuestion *question);
extern void CredentialAnswerEncode(StringInfo buffer,
								   const CredentialAnswer *answer);
extern bool CredentialAnswerDecode(const char *bytes, Size length,
								   CredentialAnswer *answer);

/* A channels question is the owner, then each channel. */
typedef struct ChannelsCursor
{
	Cursor		cursor;
	uint32		remaining;
} ChannelsCursor;

extern void ChannelsQuestionBegin(StringInfo buffer, EventText owner,
								  uint32 count);
extern void ChannelsQuestionAdd(StringInfo buffer,
								const ChannelQuestion *channel);
extern bool ChannelsQuestionOpen(const char *bytes, Size length,
								 EventText *owner, ChannelsCursor *cursor);
extern bool ChannelsQuestionNext(ChannelsCursor *cursor,
								 ChannelQuestion *channel);

/* Its answer is the join, then each channel in the order asked. */
extern void ChannelsAnswerBegin(StringInfo buffer, const SnapshotJoin *join,
								uint32 count);
extern void ChannelsAnswerAdd(StringInfo buffer, const ChannelAnswer *channel);
extern bool ChannelsAnswerOpen(const char *bytes, Size length,
							   SnapshotJoin *join, ChannelsCursor *cursor);
extern bool ChannelsAnswerNext(ChannelsCursor *cursor, ChannelAnswer *channel);

/*
 * QUESTION_STATUS: the security API's last system status.  There is nothing
 * to say in the question.
 */
typedef struct StatusAnswer
{
	EventText	data;			/* a JSON object; empty: nothing was reported */
	TimestampTz reported_at;
} StatusAnswer;

extern void StatusAnswerEncode(StringInfo buffer, const StatusAnswer *answer);
extern bool StatusAnswerDecode(const char *bytes, Size length,
							   StatusAnswer *answer);

/* Was this transaction visible in the snapshot? */
extern bool SnapshotJoinSees(const SnapshotJoin *join, TransactionId xid);

#endif							/* QUIZRT_QUESTION_H */
