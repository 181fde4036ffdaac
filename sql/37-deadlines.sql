/*
 * Deadlines
 *
 * An attempt is closed by an UPDATE of its row like any other, so the triggers
 * send what they always send.  That takes a column for each thing that is
 * written.  Where an attempt's columns are expressions, only the application
 * knows how to write them, and deadlines are its own.
 */

/* The role that all attached tables belong to; null where there are several. */
CREATE FUNCTION quizrt.attached_owner() RETURNS oid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
SELECT CASE WHEN count(DISTINCT c.relowner) = 1 THEN min(c.relowner) END
FROM quizrt.attachments AS a JOIN pg_class AS c ON c.oid = a.relation
WHERE a.role <> 'related'
$$;

COMMENT ON FUNCTION quizrt.attached_owner() IS
'internal: the one owner of the attached tables';

/*
 * How an attempt is closed: the assignments, null where they can't be made.
 * Both arguments are expressions.
 */
CREATE FUNCTION quizrt.close_assignments(submitted_at text, reason text)
RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('%I = %s, %I = %s', a.columns ->> 'submitted_at', submitted_at,
	a.columns ->> 'reason', reason)
FROM quizrt.attachments AS a
WHERE a.role = 'attempts'
	AND quizrt.column_number(a.relation, a.columns ->> 'submitted_at') IS NOT NULL
	AND quizrt.column_number(a.relation, a.columns ->> 'reason') IS NOT NULL
$$;

/*
 * What the query workers need, null where they are not to close attempts.
 *
 *	owner		of the table of attempts
 *	due			attempts due at $1, at most $3 of them and none of the ids $2:
 *				where they are, and their ids
 *	next		the first deadline after $1
 *	closing		closes those of the attempts at $1 (tables), $2 (places) that
 *				are open, due at $3, and locked by nobody: where they were,
 *				and whether they are closed then.  (A place exists in each
 *				partition; what else is due there may be closed as well.)
 *
 * Where the application has a function that closes attempts, "closing" is the
 * place to call it; its rows are the same.
 *
 * "closing" runs triggers of the application, with the search_path that
 * these find when anybody writes.  It names its operators' schema, so that
 * this path doesn't matter to it.
 */
CREATE FUNCTION quizrt.deadline_queries(OUT owner oid, OUT due text,
	OUT next text, OUT closing text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	attempts text := quizrt.quiz_table('attempts');
	id text := quizrt.quiz_term('attempts', 'attempt_id');
	deadline text := quizrt.quiz_term('attempts', 'deadline');
	submitted text := quizrt.quiz_term('attempts', 'submitted_at');
	assignments text := quizrt.close_assignments(deadline, '''time_up''');
	type text;
BEGIN
	SELECT c.relowner, format_type(d.atttypid, NULL) INTO owner, type
	FROM quizrt.attachments AS a JOIN pg_class AS c ON c.oid = a.relation
	JOIN pg_attribute AS d ON d.attrelid = a.relation
		AND d.attname = a.columns ->> 'deadline' AND d.attnum > 0
		AND NOT d.attisdropped
	WHERE a.role = 'attempts' AND d.atttypid IN
		('timestamp'::regtype, 'timestamptz'::regtype);
	IF type IS NULL OR assignments IS NULL THEN
		RETURN;
	END IF;

	due := format('SELECT attempt.tableoid, attempt.ctid, (%1$s)::text '
		'FROM %2$s WHERE %3$s IS NULL AND %4$s <= $1::%5$s '
		'AND %4$s > ''-infinity'' AND (%1$s)::text <> ALL ($2::text[]) '
		'ORDER BY %4$s LIMIT $3',
		id, attempts, submitted, deadline, type);
	next := format('SELECT %1$s::timestamptz FROM %2$s '
		'WHERE %3$s IS NULL AND %1$s > $1::%4$s ORDER BY %1$s LIMIT 1',
		deadline, attempts, submitted, type);
	closing := replace(format('WITH due AS MATERIALIZED ('
		'SELECT attempt.tableoid AS t, attempt.ctid AS c '
		'FROM %1$s WHERE attempt.ctid == ANY ($2::tid[]) '
		'AND attempt.tableoid == ANY ($1::oid[]) '
		'AND %2$s IS NULL AND %3$s OPERATOR(pg_catalog.<=) $3::%4$s '
		'FOR NO KEY UPDATE OF attempt SKIP LOCKED), '
		'closed AS (UPDATE %1$s SET %5$s FROM due '
		'WHERE attempt.ctid == due.c AND attempt.tableoid == due.t '
		'RETURNING due.t, due.c, %2$s IS NOT NULL AS done) '
		'SELECT due.t, due.c, coalesce(closed.done, false) '
		'FROM due LEFT JOIN closed ON closed.c == due.c AND closed.t == due.t',
		attempts, submitted, deadline, type, assignments),
		'==', 'OPERATOR(pg_catalog.=)');
END
$$;

COMMENT ON FUNCTION quizrt.deadline_queries() IS
'internal: how the query workers close attempts at their deadlines';

/*
 * For close_attempt(): where the attempt $1 is, locked, and whether it is
 * closed; and what closes the one in table $1 at $2 for the reason $3.  The
 * latter runs the application's triggers, like the one above.
 */
CREATE FUNCTION quizrt.close_queries(OUT relation oid, OUT find text,
	OUT closing text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT a.relation,
	format('SELECT attempt.tableoid, attempt.ctid, (%s) IS NOT NULL '
		'FROM %s WHERE %s FOR NO KEY UPDATE OF attempt',
		submitted, attempts, quizrt.quiz_id_is('attempts', 'attempt_id', '$1')),
	'UPDATE ' || attempts || ' SET ' || assignments ||
	format(' WHERE attempt.tableoid OPERATOR(pg_catalog.=) $1 '
		'AND attempt.ctid OPERATOR(pg_catalog.=) $2 AND (%1$s) IS NULL '
		'RETURNING (%1$s) IS NOT NULL', submitted)
FROM quizrt.attachments AS a,
	quizrt.quiz_table('attempts') AS attempts,
	quizrt.quiz_term('attempts', 'submitted_at') AS submitted,
	quizrt.close_assignments('pg_catalog.clock_timestamp()', '$3') AS assignments
WHERE a.role = 'attempts'
$$;

CREATE FUNCTION quizrt.close_attempt(attempt_id text,
	reason text DEFAULT 'forced_by_owner') RETURNS boolean
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'quizrt_close_attempt';

CREATE FUNCTION quizrt.close_attempt(attempt_id uuid,
	reason text DEFAULT 'forced_by_owner') RETURNS boolean
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'quizrt_close_attempt';

CREATE FUNCTION quizrt.close_attempt(attempt_id bigint,
	reason text DEFAULT 'forced_by_owner') RETURNS boolean
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'quizrt_close_attempt';

COMMENT ON FUNCTION quizrt.close_attempt(text, text) IS
'close an attempt: submitted, or forced_by_owner; false if it is closed already';
COMMENT ON FUNCTION quizrt.close_attempt(uuid, text) IS
'close an attempt: submitted, or forced_by_owner; false if it is closed already';
COMMENT ON FUNCTION quizrt.close_attempt(bigint, text) IS
'close an attempt: submitted, or forced_by_owner; false if it is closed already';
