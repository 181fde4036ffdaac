/*
 * What a channel shows at the moment
 *
 * Each type of channel with snapshots has a query, written from the attached
 * tables, with the parameters $1 text (the channel's id: of a quiz or an
 * event stream, or of an attempt) and $2 integer (rows of a leaderboard).
 * The columns of its rows are the members of the objects that clients get.
 *
 * A query worker runs it under the snapshot to which the updates are joined.
 */

/* Attempts of the quiz or the event stream $1. */
CREATE FUNCTION quizrt.quiz_chosen() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog
AS $$
SELECT '(' || quizrt.quiz_id_is('attempts', 'quiz_id', '$1') ||
	CASE WHEN a.columns ->> 'event_id' IS NULL THEN ''
	ELSE ' OR ' || quizrt.quiz_id_is('attempts', 'event_id', '$1') END || ')'
FROM quizrt.attachments AS a WHERE a.role = 'attempts'
$$;

/* The time that a submitted attempt took. */
CREATE FUNCTION quizrt.quiz_time_taken() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog
AS $$
SELECT format('floor(extract(epoch FROM (%s) - (%s)) * 1000)::bigint',
	quizrt.quiz_term('attempts', 'submitted_at'),
	quizrt.quiz_term('attempts', 'started_at'))
$$;

/* An attempt's labels, in the order in which each came first. */
CREATE FUNCTION quizrt.quiz_labels() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog
AS $$
SELECT CASE WHEN quizrt.quiz_table('flags') IS NULL THEN '''{}''::text[]'
ELSE format('ARRAY(SELECT upper((%1$s)::text) FROM %2$s WHERE %3$s = %4$s '
	'GROUP BY 1 ORDER BY min(%5$s), min(flag.ctid))',
	quizrt.quiz_term('flags', 'label'), quizrt.quiz_table('flags'),
	quizrt.quiz_term('flags', 'attempt_id'),
	quizrt.quiz_term('attempts', 'attempt_id'),
	quizrt.quiz_term('flags', 'flagged_at'))
END
$$;

CREATE FUNCTION quizrt.attempts_query() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog
AS $$
SELECT format('SELECT %1$s, %2$s AS started_at, totals.answered_count, '
	'totals.score, %3$s AS submitted_at, CASE WHEN (%3$s) IS NOT NULL '
	'THEN coalesce(%4$s, ''submitted'') END AS reason, '
	'%5$s AS time_taken_ms, %6$s AS labels '
	'FROM %7$s %8$s WHERE %9$s ORDER BY %2$s, %10$s',
	quizrt.quiz_head(), quizrt.quiz_term('attempts', 'started_at'),
	quizrt.quiz_term('attempts', 'submitted_at'),
	quizrt.quiz_term('attempts', 'reason'), quizrt.quiz_time_taken(),
	quizrt.quiz_labels(), quizrt.quiz_table('attempts'),
	quizrt.quiz_totals(), quizrt.quiz_chosen(),
	quizrt.quiz_term('attempts', 'attempt_id'))
$$;

/*
 * Best score first, then the shorter time (who hasn't finished comes last),
 * then the earlier start; equal ones share a rank.
 */
CREATE FUNCTION quizrt.leaderboard_query() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog
AS $$
SELECT format('SELECT rank() OVER (ORDER BY score DESC, '
	'time_taken_ms NULLS LAST, started_at) AS rank, attempt_id, '
	'participant_id, alias, quiz_id, score, answered_count, submitted_at, '
	'time_taken_ms '
	'FROM (SELECT %1$s, %2$s AS started_at, totals.answered_count, '
	'totals.score, %3$s AS submitted_at, %4$s AS time_taken_ms '
	'FROM %5$s %6$s WHERE %7$s) AS attempts ORDER BY 1, attempt_id LIMIT $2',
	quizrt.quiz_head(), quizrt.quiz_term('attempts', 'started_at'),
	quizrt.quiz_term('attempts', 'submitted_at'), quizrt.quiz_time_taken(),
	quizrt.quiz_table('attempts'), quizrt.quiz_totals(),
	quizrt.quiz_chosen())
$$;

/* The data of attempt_closed, if the attempt $1 has ended. */
CREATE FUNCTION quizrt.end_of_attempt_query() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog
AS $$
SELECT format('SELECT (%1$s)::text AS attempt_id, %2$s AS quiz_id, (%3$s)::text AS event_id, '
	'coalesce(%4$s, ''submitted'') AS reason, totals.score, '
	'totals.answered_count, %5$s AS submitted_at '
	'FROM %6$s %7$s WHERE %8$s AND (%5$s) IS NOT NULL',
	quizrt.quiz_term('attempts', 'attempt_id'),
	quizrt.quiz_term('attempts', 'quiz_id'),
	quizrt.quiz_term('attempts', 'event_id'),
	quizrt.quiz_term('attempts', 'reason'),
	quizrt.quiz_term('attempts', 'submitted_at'),
	quizrt.quiz_table('attempts'), quizrt.quiz_totals(),
	quizrt.quiz_id_is('attempts', 'attempt_id', '$1'))
$$;

CREATE FUNCTION quizrt.snapshot_query(type text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
AS $$
SELECT CASE type
	WHEN 'attempts' THEN quizrt.attempts_query()
	WHEN 'leaderboard' THEN quizrt.leaderboard_query()
	WHEN 'notification' THEN quizrt.end_of_attempt_query()
END
WHERE quizrt.quiz_table('attempts') IS NOT NULL
$$;

COMMENT ON FUNCTION quizrt.snapshot_query(text) IS
'internal: the query for what the channel with the id $1 shows, $2 rows of it';
