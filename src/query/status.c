/*-------------------------------------------------------------------------
 *
 * status.c
 *		The security API's last system status.
 *
 * It is kept in a table, so that what a client gets first after a restart is
 * what was reported last, and so that a report of a transaction that failed
 * is none.  The table has one row, or none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "query/query.h"
#include "query/status.h"
#include "utils/timestamp.h"

static const char *const status_text =
"SELECT s.data::pg_catalog.text, s.reported_at FROM quizrt.reported_status AS s";

static SavedQuery status_query;

static void
find_status(StatusAnswer *answer)
{
	QueryParameters parameters = {0};
	Datum		value;

	memset(answer, 0, sizeof(*answer));
	QueryRun(&status_query, status_text, &parameters);
	if (SPI_processed == 0 || !QueryColumn(0, 1, &value))
		return;
	answer->data = QueryUtf8(value);
	if (QueryColumn(0, 2, &value))
		answer->reported_at = DatumGetTimestampTz(value);
}

/* All questions are the same. */
void
StatusAnswerBatch(Batch *batch, int from, int to)
{
	StatusAnswer answer;
	StringInfoData bytes;

	find_status(&answer);
	initStringInfo(&bytes);
	StatusAnswerEncode(&bytes, &answer);
	for (int i = from; i < to; i++)
	{
		if (!batch->answered[i])
			BatchAnswer(batch, i, &bytes);
	}
	pfree(bytes.data);
}

void
StatusTest(void)
{
	StatusAnswer answer;

	find_status(&answer);
}
