/*-------------------------------------------------------------------------
 *
 * question.c
 *		The encoded form of questions and answers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "bus/codec.h"
#include "bus/question.h"

static Cursor
cursor_over(const char *bytes, Size length)
{
	Cursor		cursor;

	cursor.at = bytes;
	cursor.end = bytes + length;
	return cursor;
}

static void
put_join(StringInfo buffer, const SnapshotJoin *join)
{
	PutU64(buffer, join->head);
	PutU32(buffer, join->xmin);
	PutU32(buffer, join->xmax);
	PutU32(buffer, join->nxip);
	if (join->nxip > 0)
		PutBytes(buffer, join->xip, join->nxip * sizeof(TransactionId));
}

static bool
take_join(Cursor *cursor, SnapshotJoin *join)
{
	return TakeU64(cursor, &join->head) &&
		TakeU32(cursor, &join->xmin) &&
		TakeU32(cursor, &join->xmax) &&
		TakeU32(cursor, &join->nxip) &&
		TakeView(cursor, (Size) join->nxip * sizeof(TransactionId),
				 &join->xip);
}

void
CredentialQuestionEncode(StringInfo buffer, const CredentialQuestion *question)
{
	PutU32(buffer, question->purpose);
	PutText(buffer, question->credential);
}

bool
CredentialQuestionDecode(const char *bytes, Size length,
						 CredentialQuestion *question)
{
	Cursor		cursor = cursor_over(bytes, length);
	uint32		purpose;

	if (!TakeU32(&cursor, &purpose) || purpose > CREDENTIAL_RECHECK_SESSION ||
		!TakeText(&cursor, &question->credential))
		return false;
	question->purpose = (CredentialPurpose) purpose;
	return true;
}

void
CredentialAnswerEncode(StringInfo buffer, const CredentialAnswer *answer)
{
	PutU32(buffer, answer->verdict);
	PutText(buffer, answer->owner);
	PutText(buffer, answer->tenant);
	PutText(buffer, answer->attempt);
	PutText(buffer, answer->handle);
	PutU64(buffer, (uint64) answer->expires_at);
	put_join(buffer, &answer->join);
}

bool
CredentialAnswerDecode(const char *bytes, Size length,
					   CredentialAnswer *answer)
{
	Cursor		cursor = cursor_over(bytes, length);
	uint32		verdict;
	uint64		expires_at;

	if (!TakeU32(&cursor, &verdict) || verdict > CREDENTIAL_LACKS_ROLE ||
		!TakeText(&cursor, &answer->owner) ||
		!TakeText(&cursor, &answer->tenant) ||
		!TakeText(&cursor, &answer->attempt) ||
		!TakeText(&cursor, &answer->handle) ||
		!TakeU64(&cursor, &expires_at) ||
		!take_join(&cursor, &answer->join))
		return false;
	answer->verdict = (CredentialVerdict) verdict;
	answer->expires_at = (TimestampTz) expires_at;
	return true;
}

void
ChannelsQuestionBegin(StringInfo buffer, EventText owner, uint32 count)
{
	PutText(buffer, owner);
	PutU32(buffer, count);
}

/* The two flags of a channel's question. */
#define CHANNEL_CHECK_OWNER		((uint32) 1)
#define CHANNEL_WANT_SNAPSHOT	((uint32) 2)

void
ChannelsQuestionAdd(StringInfo buffer, const ChannelQuestion *channel)
{
	PutText(buffer, channel->topic);
	PutU32(buffer, (channel->check_owner ? CHANNEL_CHECK_OWNER : 0) |
		   (channel->want_snapshot ? CHANNEL_WANT_SNAPSHOT : 0));
}

bool
ChannelsQuestionOpen(const char *bytes, Size length, EventText *owner,
					 ChannelsCursor *cursor)
{
	cursor->cursor = cursor_over(bytes, length);
	return TakeText(&cursor->cursor, owner) &&
		TakeU32(&cursor->cursor, &cursor->remaining);
}

bool
ChannelsQuestionNext(ChannelsCursor *cursor, ChannelQuestion *channel)
{
	uint32		flags;

	if (cursor->remaining == 0 ||
		!TakeText(&cursor->cursor, &channel->topic) ||
		!TakeU32(&cursor->cursor, &flags))
		return false;
	cursor->remaining--;
	channel->check_owner = (flags & CHANNEL_CHECK_OWNER) != 0;
	channel->want_snapshot = (flags & CHANNEL_WANT_SNAPSHOT) != 0;
	return true;
}

void
ChannelsAnswerBegin(StringInfo buffer, const SnapshotJoin *join, uint32 count)
{
	put_join(buffer, join);
	PutU32(buffer, count);
}

void
ChannelsAnswerAdd(StringInfo buffer, const ChannelAnswer *channel)
{
	PutU32(buffer, channel->verdict);
	PutText(buffer, channel->quiz);
	PutText(buffer, channel->snapshot);
}

bool
ChannelsAnswerOpen(const char *bytes, Size length, SnapshotJoin *join,
				   ChannelsCursor *cursor)
{
	cursor->cursor = cursor_over(bytes, length);
	return take_join(&cursor->cursor, join) &&
		TakeU32(&cursor->cursor, &cursor->remaining);
}

bool
ChannelsAnswerNext(ChannelsCursor *cursor, ChannelAnswer *channel)
{
	uint32		verdict;

	if (cursor->remaining == 0 ||
		!TakeU32(&cursor->cursor, &verdict) ||
		verdict > CHANNEL_UNAVAILABLE ||
		!TakeText(&cursor->cursor, &channel->quiz) ||
		!TakeText(&cursor->cursor, &channel->snapshot))
		return false;
	cursor->remaining--;
	channel->verdict = (ChannelVerdict) verdict;
	return true;
}

void
StatusAnswerEncode(StringInfo buffer, const StatusAnswer *answer)
{
	PutText(buffer, answer->data);
	PutU64(buffer, (uint64) answer->reported_at);
}

bool
StatusAnswerDecode(const char *bytes, Size length, StatusAnswer *answer)
{
	Cursor		cursor = cursor_over(bytes, length);
	uint64		reported_at;

	if (!TakeText(&cursor, &answer->data) || !TakeU64(&cursor, &reported_at))
		return false;
	answer->reported_at = (TimestampTz) reported_at;
	return true;
}

/*
 * The question that XidInMVCCSnapshot() answers, the other way round.  The
 * xids in our entries are of top-level transactions, and the snapshots are
 * taken on a primary, so xip is all there is to look through.
 */
bool
SnapshotJoinSees(const SnapshotJoin *join, TransactionId xid)
{
	if (TransactionIdPrecedes(xid, join->xmin))
		return true;
	if (TransactionIdFollowsOrEquals(xid, join->xmax))
		return false;
	for (uint32 i = 0; i < join->nxip; i++)
	{
		TransactionId running;

		memcpy(&running, join->xip + i * sizeof(running), sizeof(running));
		if (TransactionIdEquals(running, xid))
			return false;
	}
	return true;
}
