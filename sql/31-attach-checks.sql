/*
 * What is checked when a table is attached, so that no writer finds it out.
 *
 * For each field a query that has it, over the row of a trigger, and the kind
 * of thing that it must be; null: anything.  The fields of answers and flags
 * whose changes don't matter may look at their attempt as well.
 */
CREATE FUNCTION quizrt.field_checks(relation oid, role text, columns json,
	OUT field text, OUT value text, OUT query text, OUT kind text)
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT f.field, columns ->> f.field,
	format('SELECT %s FROM %s',
		quizrt.quiz_term(relation, role, columns, f.field),
		concat_ws(', ', quizrt.quiz_row(relation, role),
			CASE WHEN role IN ('answers', 'flags')
				AND f.field <> ALL (quizrt.quiz_tracked(role, columns))
			THEN quizrt.quiz_table('attempts') END)),
	CASE WHEN role NOT IN ('quizzes', 'events', 'attempts', 'answers', 'flags')
		THEN NULL
		WHEN f.field LIKE '%\_id' THEN 'id'
		WHEN f.field IN ('started_at', 'submitted_at', 'deadline',
			'answered_at', 'flagged_at') THEN 'time'
		WHEN f.field = 'score' THEN 'number'
		WHEN f.field = 'question_order' THEN 'integer'
		WHEN f.field = 'is_correct' THEN 'boolean'
		WHEN f.field = 'time_limit' THEN 'interval'
		WHEN f.field IN ('alias', 'label', 'reason') THEN 'text' END
FROM json_object_keys(columns) AS f(field)
WHERE role <> 'related'
$$;
