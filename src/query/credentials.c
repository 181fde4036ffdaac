/*-------------------------------------------------------------------------
 *
 * credentials.c
 *		Who is it?
 *
 * A token that begins with the prefix of our API keys is one; any other is a
 * JWT, or nothing.  JWTs are verified without the database (jwt.c).  Keys and
 * sessions are looked up by their SHA-256 hash, all of a batch in one query;
 * the credential itself goes nowhere.  Whether a session's attempt exists and
 * is open is asked in a second query, under the same snapshot.
 *
 * Why a credential is refused isn't told: who guesses learns nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <openssl/sha.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "query/credentials.h"
#include "query/jwt.h"
#include "query/query.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define KEY_PREFIX		"qk_"
#define KEY_HANDLE		"key:"
#define SESSION_HANDLE	"session:"

#define HASH_LENGTH		SHA256_DIGEST_LENGTH

/* A key or a session that is looked up. */
typedef struct Lookup
{
	int			number;			/* of its question in the batch */
	CredentialPurpose purpose;
	uint8		hash[HASH_LENGTH];
	CredentialAnswer answer;
} Lookup;

static const char *const keys_text =
"SELECT asked.ord, k.owner_id, 'owner' = ANY (k.roles),"
" 'monitor' = ANY (k.roles), k.expires_at"
" FROM pg_catalog.unnest($1) WITH ORDINALITY AS asked (hash, ord)"
" JOIN quizrt.api_keys AS k ON k.hash = asked.hash";

static const char *const sessions_text =
"SELECT asked.ord, s.attempt_id, s.expires_at"
" FROM pg_catalog.unnest($1) WITH ORDINALITY AS asked (hash, ord)"
" JOIN quizrt.sessions AS s ON s.hash = asked.hash";

static SavedQuery keys_query;
static SavedQuery sessions_query;
static SavedQuery attempts_query;
static SavedQuery attempts_text_query;

static bool
is_recheck(CredentialPurpose purpose)
{
	return purpose == CREDENTIAL_RECHECK_KEY ||
		purpose == CREDENTIAL_RECHECK_SESSION;
}

static bool
begins_with(EventText text, const char *prefix)
{
	return text.length >= strlen(prefix) &&
		memcmp(text.bytes, prefix, strlen(prefix)) == 0;
}

static void
answer_question(Batch *batch, int number, CredentialAnswer *answer)
{
	StringInfoData buffer;

	initStringInfo(&buffer);
	answer->join = batch->join;
	CredentialAnswerEncode(&buffer, answer);
	BatchAnswer(batch, number, &buffer);
	pfree(buffer.data);
}

/*
 * Without the database
 */

/* An owner is needed for the quiz API, a tenant for the dashboard. */
static void
answer_jwt(Batch *batch, int number, const CredentialQuestion *question)
{
	const CredentialAnswer refused = {CREDENTIAL_REFUSED};
	CredentialAnswer answer = refused;
	JwtClaims	claims;

	if (JwtVerify(question->credential.bytes, question->credential.length,
				  &claims))
	{
		const char *needed = question->purpose == CREDENTIAL_QUIZ_TOKEN ?
			claims.owner : claims.tenant;

		if (needed != NULL)
			answer.verdict = CREDENTIAL_ACCEPTED;
		if (claims.owner != NULL)
			answer.owner = EventTextOf(claims.owner);
		if (claims.tenant != NULL)
			answer.tenant = EventTextOf(claims.tenant);
		answer.expires_at = claims.expires_at;
	}
	if (answer.verdict != CREDENTIAL_ACCEPTED)
		answer = refused;
	answer_question(batch, number, &answer);
}

/* Is this for answer_jwt()? */
static bool
is_for_jwt(const CredentialQuestion *question)
{
	switch (question->purpose)
	{
		case CREDENTIAL_QUIZ_TOKEN:
			return !begins_with(question->credential, KEY_PREFIX);
		case CREDENTIAL_DASHBOARD_TOKEN:
			return true;
		case CREDENTIAL_QUIZ_SESSION:
		case CREDENTIAL_SECURITY_KEY:
		case CREDENTIAL_RECHECK_KEY:
		case CREDENTIAL_RECHECK_SESSION:
			break;
	}
	return false;
}

void
CredentialsAnswerTokens(Batch *batch)
{
	for (int i = 0; i < batch->count; i++)
	{
		CredentialQuestion question;

		CHECK_FOR_INTERRUPTS();
		if (CredentialQuestionDecode(batch->questions[i].bytes,
									 batch->questions[i].length, &question) &&
			is_for_jwt(&question))
			answer_jwt(batch, i, &question);
	}
}

/*
 * Keys and sessions
 */

/* The hash in a handle; false where there is none. */
static bool
hash_of_handle(EventText handle, const char *prefix, uint8 *hash)
{
	if (!begins_with(handle, prefix) ||
		handle.length != strlen(prefix) + 2 * HASH_LENGTH)
		return false;
	for (int i = 0; i < 2 * HASH_LENGTH; i++)
	{
		if (!isxdigit((unsigned char) handle.bytes[strlen(prefix) + i]))
			return false;
	}
	hex_decode(handle.bytes + strlen(prefix), 2 * HASH_LENGTH, (char *) hash);
	return true;
}

static bool
find_hash(const CredentialQuestion *question, uint8 *hash)
{
	if (question->purpose == CREDENTIAL_RECHECK_KEY)
		return hash_of_handle(question->credential, KEY_HANDLE, hash);
	if (question->purpose == CREDENTIAL_RECHECK_SESSION)
		return hash_of_handle(question->credential, SESSION_HANDLE, hash);
	SHA256((const unsigned char *) question->credential.bytes,
		   question->credential.length, hash);
	return true;
}

static bool
is_session(CredentialPurpose purpose)
{
	return purpose == CREDENTIAL_QUIZ_SESSION ||
		purpose == CREDENTIAL_RECHECK_SESSION;
}

/*
 * The lookups of one table among the questions from..to-1.  What is not even
 * a question stays unanswered.
 */
static Lookup *
collect(Batch *batch, int from, int to, bool sessions, int *count)
{
	Lookup	   *lookups = palloc0((to - from) * sizeof(Lookup));

	*count = 0;
	for (int i = from; i < to; i++)
	{
		CredentialQuestion question;
		Lookup	   *lookup = &lookups[*count];

		if (batch->answered[i] ||
			!CredentialQuestionDecode(batch->questions[i].bytes,
									  batch->questions[i].length, &question) ||
			is_session(question.purpose) != sessions ||
			!find_hash(&question, lookup->hash))
			continue;
		lookup->number = i;
		lookup->purpose = question.purpose;
		lookup->answer.verdict = CREDENTIAL_REFUSED;
		(*count)++;
	}
	return lookups;
}

static void
look_up(SavedQuery *query, const char *text, const Lookup *lookups, int count)
{
	QueryParameters parameters = {1, {BYTEAARRAYOID}};
	Datum	   *hashes = palloc((count + 1) * sizeof(Datum));

	for (int i = 0; i < count; i++)
	{
		bytea	   *hash = palloc(VARHDRSZ + HASH_LENGTH);

		SET_VARSIZE(hash, VARHDRSZ + HASH_LENGTH);
		memcpy(VARDATA(hash), lookups[i].hash, HASH_LENGTH);
		hashes[i] = PointerGetDatum(hash);
	}
	parameters.values[0] = QueryArray(hashes, count, BYTEAOID);
	QueryRun(query, text, &parameters);
}

/* The number, from 0, of the element that a row is about: in its column 1. */
static int
index_of_row(uint64 row, int count)
{
	Datum		value;

	if (!QueryColumn(row, 1, &value) ||
		DatumGetInt64(value) < 1 || DatumGetInt64(value) > count)
		elog(ERROR, "unexpected answer about credentials");
	return (int) DatumGetInt64(value) - 1;
}

static EventText
handle_of(const Lookup *lookup)
{
	const char *prefix = is_session(lookup->purpose) ? SESSION_HANDLE :
		KEY_HANDLE;
	char	   *handle = palloc(strlen(prefix) + 2 * HASH_LENGTH + 1);

	strcpy(handle, prefix);
	hex_encode((const char *) lookup->hash, HASH_LENGTH,
			   handle + strlen(prefix));
	handle[strlen(prefix) + 2 * HASH_LENGTH] = '\0';
	return EventTextOf(handle);
}

/*
 * Take over when it expires.  False where it has: but who holds a connection
 * already was let in in time, and the gateway sees to the end.
 */
static bool
take_expiry(Lookup *lookup, uint64 row, int column)
{
	Datum		value;

	if (!QueryColumn(row, column, &value) ||
		TIMESTAMP_IS_NOEND(DatumGetTimestampTz(value)))
		return true;
	lookup->answer.expires_at = DatumGetTimestampTz(value);
	return is_recheck(lookup->purpose) ||
		DatumGetTimestampTz(value) > GetCurrentTimestamp();
}

static bool
row_is_true(uint64 row, int column)
{
	Datum		value;

	return QueryColumn(row, column, &value) && DatumGetBool(value);
}

/* Does the key of this row have the role that it takes? */
static bool
has_role(CredentialPurpose purpose, uint64 row)
{
	if (purpose == CREDENTIAL_QUIZ_TOKEN)
		return row_is_true(row, 3);
	if (purpose == CREDENTIAL_SECURITY_KEY)
		return row_is_true(row, 4);
	return row_is_true(row, 3) || row_is_true(row, 4);
}

static void
take_key(Lookup *lookup, uint64 row)
{
	CredentialAnswer *answer = &lookup->answer;
	Datum		owner;

	if (!take_expiry(lookup, row, 5))
		return;
	answer->verdict = has_role(lookup->purpose, row) ?
		CREDENTIAL_ACCEPTED : CREDENTIAL_LACKS_ROLE;
	if (QueryColumn(row, 2, &owner))
		answer->owner = QueryUtf8(owner);
	answer->handle = handle_of(lookup);
}

static void
find_keys(Lookup *lookups, int count)
{
	look_up(&keys_query, keys_text, lookups, count);
	for (uint64 row = 0; row < SPI_processed; row++)
		take_key(&lookups[index_of_row(row, count)], row);
}

/* Sessions that were found, each with the attempt that it is for. */
typedef struct Found
{
	int			count;
	Lookup	  **lookups;
	Datum	   *attempts;
} Found;

/*
 * Accept those whose attempt exists and is open.  A connection that is already
 * there outlives its attempt's end, for the gateway to close in its time.
 */
static void
find_attempts(const Found *found)
{
	QueryParameters parameters = {1, {TEXTARRAYOID}};
	char	   *text = QueryTextFrom(&attempts_text_query, "attempt_query",
									 NULL);

	if (text == NULL)
		return;
	parameters.values[0] = QueryArray(found->attempts, found->count, TEXTOID);
	QueryRunAsRole(&attempts_query, text, &parameters);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Lookup	   *lookup = found->lookups[index_of_row(row, found->count)];
		Datum		attempt;

		if (!QueryColumn(row, 2, &attempt) ||
			(row_is_true(row, 3) && !is_recheck(lookup->purpose)))
			continue;
		lookup->answer.attempt = QueryUtf8(attempt);
		lookup->answer.handle = handle_of(lookup);
		lookup->answer.verdict = CREDENTIAL_ACCEPTED;
	}
}

static void
find_sessions(Lookup *lookups, int count)
{
	Found		found = {0};

	found.lookups = palloc((count + 1) * sizeof(Lookup *));
	found.attempts = palloc((count + 1) * sizeof(Datum));
	look_up(&sessions_query, sessions_text, lookups, count);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Lookup	   *lookup = &lookups[index_of_row(row, count)];
		Datum		attempt;

		if (!take_expiry(lookup, row, 3) || !QueryColumn(row, 2, &attempt))
			continue;
		found.lookups[found.count] = lookup;
		found.attempts[found.count++] = attempt;
	}
	find_attempts(&found);
}

static void
answer_lookups(Batch *batch, Lookup *lookups, int count)
{
	for (int i = 0; i < count; i++)
	{
		CredentialAnswer refused = {CREDENTIAL_REFUSED};
		CredentialAnswer *answer = &lookups[i].answer;

		if (answer->verdict == CREDENTIAL_REFUSED)
			answer = &refused;
		answer_question(batch, lookups[i].number, answer);
	}
}

void
CredentialsAnswerStored(Batch *batch, int from, int to)
{
	Lookup	   *lookups;
	int			count;

	lookups = collect(batch, from, to, false, &count);
	if (count > 0)
	{
		find_keys(lookups, count);
		answer_lookups(batch, lookups, count);
	}
	lookups = collect(batch, from, to, true, &count);
	if (count > 0)
	{
		find_sessions(lookups, count);
		answer_lookups(batch, lookups, count);
	}
}

void
CredentialsTest(void)
{
	find_keys(NULL, 0);
	find_sessions(NULL, 0);
}
