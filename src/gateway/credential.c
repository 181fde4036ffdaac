/*-------------------------------------------------------------------------
 *
 * credential.c
 *		Who a client is: asking, and holding the connection to the answer.
 *
 * The query worker looks the credential up; what was committed between its
 * snapshot and our registration - a revocation, say - is replayed from the
 * stream by the dialect that gets the answer.
 *
 * Nothing here keeps the credential: the question is wiped by questions.c
 * when it is done, the request when the connection has been upgraded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bus/processes.h"
#include "gateway/credential.h"
#include "gateway/dialect.h"
#include "gateway/questions.h"
#include "gateway/topics.h"

bool
CredentialCanBeAsked(void)
{
	switch (DatabaseStateGet())
	{
		case DATABASE_MISSING:
		case DATABASE_NO_EXTENSION:
		case DATABASE_STANDBY:
			return false;
		default:
			return true;
	}
}

static void
answered(void *owner, const char *bytes, Size length, StreamMark *mark)
{
	Connection *connection = owner;
	CredentialAnswer answer;

	connection->question = NULL;
	if (bytes == NULL || !CredentialAnswerDecode(bytes, length, &answer))
		connection->dialect->identified(connection, NULL, mark);
	else
		connection->dialect->identified(connection, &answer, mark);
}

static void
ask(Connection *connection, CredentialPurpose purpose, EventText credential,
	AnswerHandler handler)
{
	CredentialQuestion question = {purpose, credential};
	StringInfoData bytes;

	initStringInfo(&bytes);
	CredentialQuestionEncode(&bytes, &question);
	connection->question = QuestionAsk(QUESTION_CREDENTIAL, bytes.data,
									   bytes.len, handler, connection);
	explicit_bzero(bytes.data, bytes.len);
	pfree(bytes.data);
}

void
CredentialAsk(Connection *connection, CredentialPurpose purpose,
			  const char *credential)
{
	if (connection->state == CONNECTION_HEAD)
		ConnectionAsking(connection);
	if (connection->state == CONNECTION_ASKING ||
		connection->state == CONNECTION_OPEN)
		ask(connection, purpose, EventTextOf(credential), answered);
}

static void
rechecked(void *owner, const char *bytes, Size length, StreamMark *mark)
{
	Connection *connection = owner;
	CredentialAnswer answer;
	bool		known = bytes != NULL &&
		CredentialAnswerDecode(bytes, length, &answer);

	connection->question = NULL;
	if (known && answer.verdict != CREDENTIAL_ACCEPTED)
		ConnectionClose(connection, WS_CLOSE_ACCESS_REVOKED, "Access revoked");
	else if (connection->dialect->rechecked != NULL)
		connection->dialect->rechecked(connection, known);
	else if (!known)
		ConnectionClose(connection, WS_CLOSE_TRY_AGAIN_LATER,
						"Access could not be verified");
}

static bool
begins_with(EventText text, const char *prefix)
{
	return text.length > strlen(prefix) &&
		memcmp(text.bytes, prefix, strlen(prefix)) == 0;
}

void
CredentialRecheck(Connection *connection, EventText handle)
{
	if (connection->question != NULL)
		return;
	if (begins_with(handle, "key:"))
		ask(connection, CREDENTIAL_RECHECK_KEY, handle, rechecked);
	else if (begins_with(handle, "session:"))
		ask(connection, CREDENTIAL_RECHECK_SESSION, handle, rechecked);
}

void
CredentialHold(Connection *connection, const CredentialAnswer *answer,
			   dlist_head *list)
{
	connection->expires_at = answer->expires_at;
	if (answer->handle.length > 0)
		Subscribe(connection, answer->handle, list);
}

bool
CredentialEndedBy(Connection *connection, EventText handle,
				  const Event *event)
{
	if (event->kind != EVENT_REVOKE || event->ntopics == 0 ||
		handle.length == 0 || event->topics[0].length != handle.length ||
		memcmp(event->topics[0].bytes, handle.bytes, handle.length) != 0)
		return false;
	ConnectionClose(connection, WS_CLOSE_ACCESS_REVOKED, "Access revoked");
	return true;
}

typedef struct Replay
{
	Connection *connection;
	EventText	handle;
} Replay;

static bool
replay(void *context, const Event *event)
{
	Replay	   *at = context;

	return !CredentialEndedBy(at->connection, at->handle, event) &&
		at->connection->state == CONNECTION_OPEN;
}

void
CredentialReplay(Connection *connection, const CredentialAnswer *answer,
				 const StreamMark *mark)
{
	Replay		at = {connection, answer->handle};

	if (connection->state == CONNECTION_OPEN && answer->handle.length > 0)
		StreamReplay(mark, &answer->join, replay, &at);
}
