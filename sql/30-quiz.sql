/*
 * The quiz tables
 *
 * A table is attached by triggers, and their arguments are all there is to
 * know about it: the part that it plays ("role") and a JSON object that tells
 * for each field of that part the column, or the SQL expression over the
 * table's columns, that has it.  There is no table of configuration.  So a
 * dump restores it, DROP EXTENSION takes it away, and a table can be renamed.
 *
 * The queries that the triggers run are written here, from these arguments,
 * and prepared by the triggers once a session.  In a query a table, or the
 * row of it that a trigger has at hand, goes by the name of its role in the
 * singular; expressions use that name to say which column they mean.
 *
 * The small functions are in PL/pgSQL because it plans a statement once a
 * session, and LANGUAGE sql in every call.
 */

CREATE FUNCTION quizrt.quiz_change() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'quizrt_quiz_change';

CREATE FUNCTION quizrt.quiz_truncate() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'quizrt_quiz_truncate';

CREATE FUNCTION quizrt.quiz_deadline() RETURNS trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'quizrt_quiz_deadline';

/* Two arguments, each ended by a zero byte: role and columns. */
CREATE VIEW quizrt.attachments AS
SELECT t.tgrelid::regclass AS relation,
	convert_from(substring(t.tgargs FROM 1 FOR z.at - 1),
				 getdatabaseencoding()) AS role,
	convert_from(substring(t.tgargs FROM z.at + 1
						   FOR length(t.tgargs) - z.at - 1),
				 getdatabaseencoding())::json AS columns
FROM pg_catalog.pg_trigger AS t,
	LATERAL (SELECT position('\x00'::bytea IN t.tgargs) AS at) AS z
WHERE t.tgfoid = 'quizrt.quiz_change()'::regprocedure AND t.tgparentid = 0;

COMMENT ON VIEW quizrt.attachments IS
'tables whose changes are sent, and how their columns are read';

/* What a role needs, and what it can do without. */
CREATE FUNCTION quizrt.quiz_fields(role text,
	OUT required text[], OUT optional text[])
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT r::text[], o::text[]
FROM (VALUES
	('quizzes', '{quiz_id,owner_id}', '{time_limit}'),
	('events', '{event_id,quiz_id}', '{}'),
	('attempts', '{attempt_id,quiz_id,participant_id,alias,started_at,submitted_at}',
	 '{event_id,deadline,reason}'),
	('answers', '{answer_id,attempt_id,question_id,question_order,is_correct,score,answered_at}',
	 '{response}'),
	('flags', '{attempt_id,label,flagged_at}', '{}'),
	('related', '{changes,attempts}', '{}'),
	('analysis_runs', '{project_name,kind,completed_at}', '{tenant}'),
	('security_events',
	 '{id,batch_id,camera_id,risk_score,risk_level,summary,started_at}', '{}'),
	('services', '{service,status}', '{message}'),
	('system_status', '{data}', '{}')) AS f(name, r, o)
WHERE name = role
$$;

/* The fields that are compared when a row changes; the order is C's. */
CREATE FUNCTION quizrt.quiz_tracked(role text, columns json) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT CASE role
	WHEN 'quizzes' THEN '{quiz_id,owner_id}'::text[]
	WHEN 'events' THEN '{event_id,quiz_id}'
	WHEN 'attempts' THEN
		'{quiz_id,event_id,submitted_at,reason,attempt_id,participant_id,started_at}'
	WHEN 'answers' THEN '{attempt_id,score,response,is_correct,answered_at}'
	WHEN 'flags' THEN '{attempt_id,label,flagged_at}'
	WHEN 'related' THEN
		string_to_array(columns ->> 'changes', ',')
	WHEN 'analysis_runs' THEN '{completed_at}'
	WHEN 'security_events' THEN '{id}'
	WHEN 'services' THEN '{service,status,message}'
	WHEN 'system_status' THEN '{data}'
END
$$;

CREATE FUNCTION quizrt.quiz_alias(role text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE role WHEN 'quizzes' THEN 'quiz'
		WHEN 'related' THEN role WHEN 'system_status' THEN role
		ELSE left(role, -1) END;
END
$$;

/* The number of a column, or null where there is none of that name. */
CREATE FUNCTION quizrt.column_number(relation oid, name text) RETURNS int2
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT attnum FROM pg_attribute
		WHERE attrelid = relation AND attname = name AND attnum > 0
			AND NOT attisdropped);
END
$$;

/* A field as it is written in a query. */
CREATE FUNCTION quizrt.quiz_term(relation oid, role text, columns json,
	field text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE
		WHEN columns ->> field IS NULL THEN 'NULL'
		WHEN quizrt.column_number(relation, columns ->> field) IS NOT NULL
		THEN format('%I.%I', quizrt.quiz_alias(role), columns ->> field)
		ELSE '(' || (columns ->> field) || ')'
	END;
END
$$;

/* The same of the attached table of a role; null where none is attached. */
CREATE FUNCTION quizrt.quiz_term(role text, field text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT quizrt.quiz_term(a.relation, a.role, a.columns, quiz_term.field)
		FROM quizrt.attachments AS a WHERE a.role = quiz_term.role);
END
$$;

/* The attached table of a role, as it stands in FROM. */
CREATE FUNCTION quizrt.quiz_table(role text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT format('%s AS %I', a.relation, quizrt.quiz_alias(a.role))
		FROM quizrt.attachments AS a WHERE a.role = quiz_table.role);
END
$$;

/*
 * A trigger's row, as it stands in FROM.  Its columns are parameters from the
 * third on; the first two are the transaction and command that wrote it.
 */
CREATE FUNCTION quizrt.quiz_row(relation oid, role text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT format('(SELECT %s) AS %I',
			string_agg(format('$%s AS %I', n + 2, attname), ', ' ORDER BY n),
			quizrt.quiz_alias(role))
		FROM (SELECT attname, row_number() OVER (ORDER BY attnum) AS n
			FROM pg_attribute
			WHERE attrelid = relation AND attnum > 0
				AND NOT attisdropped) AS c);
END
$$;

/*
 * The members that every message about an attempt begins with.  All ids are
 * strings on the wire, whatever they are in the tables, but those of quizzes.
 */
CREATE FUNCTION quizrt.quiz_head() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT string_agg(format(CASE WHEN f.name IN ('attempt_id',
				'participant_id', 'event_id')
			THEN '(%s)::text AS %I' ELSE '%s AS %I' END,
			quizrt.quiz_term('attempts', f.name), f.name), ', ' ORDER BY f.n)
		FROM unnest('{attempt_id,participant_id,alias,quiz_id,event_id}'::text[])
			WITH ORDINALITY AS f(name, n));
END
$$;

/* An attempt's answered_count and score, joined as "totals". */
CREATE FUNCTION quizrt.quiz_totals() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF quizrt.quiz_table('answers') IS NULL THEN
		RETURN 'CROSS JOIN (SELECT 0::bigint AS answered_count, '
			'0::numeric AS score) AS totals';
	END IF;
	RETURN format('CROSS JOIN LATERAL (SELECT count(*) AS answered_count, '
		'coalesce(sum(%s), 0) AS score FROM %s WHERE %s = %s) AS totals',
		quizrt.quiz_term('answers', 'score'), quizrt.quiz_table('answers'),
		quizrt.quiz_term('answers', 'attempt_id'),
		quizrt.quiz_term('attempts', 'attempt_id'));
END
$$;

/*
 * What C wants to know about an attached table, and the queries of its
 * triggers.  Null where the table they need isn't attached.
 *
 *	tracked		column numbers of the tracked fields; 0: an expression, -1: none
 *	depends		tables of which a change makes all this out of date
 *	fields		the tracked fields of a row, where one is an expression
 *	lock		locks the row's attempt; plain: by columns, not by expressions
 *	message		what is sent about a new row
 *	finish		what is sent about a submitted attempt, to owner and participant
 *	written		where the answers are that the command wrote
 *	topics		quiz and event that a row belongs to
 *	everything	those of all rows there are
 *	deadline	the deadline that a new attempt gets
 */
CREATE FUNCTION quizrt.quiz_queries(relation oid, role text, columns json,
	OUT tracked int2[], OUT depends oid[], OUT deadline_column int2,
	OUT lock_is_plain boolean,
	OUT fields text, OUT lock text, OUT message text, OUT finish text, OUT written text,
	OUT topics text, OUT everything text, OUT deadline text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	this text := quizrt.quiz_row(relation, role);
	attempts text := quizrt.quiz_table('attempts');
	quizzes text := quizrt.quiz_table('quizzes');
	quiz text := quizrt.quiz_term('attempts', 'quiz_id');
	event text := quizrt.quiz_term('attempts', 'event_id');
	its_attempt text;
	its_answers text;
	watched text[] := quizrt.quiz_tracked(role, columns);
BEGIN
	/* evaluated for every update if it is an expression: not worth that */
	IF role = 'attempts'
		AND quizrt.column_number(relation, columns ->> 'alias') IS NOT NULL THEN
		watched := watched || 'alias'::text;
	END IF;
	SELECT array_agg(coalesce(quizrt.column_number(relation,
				CASE role WHEN 'related' THEN f.name ELSE columns ->> f.name END),
			CASE WHEN columns ->> f.name IS NULL THEN -1 ELSE 0 END)::int2
			ORDER BY f.n)
	INTO tracked
	FROM unnest(watched) WITH ORDINALITY AS f(name, n);
	IF 0 = ANY (tracked) THEN
		SELECT format('SELECT %s FROM %s', string_agg(
			quizrt.quiz_term(relation, role, columns, f.name), ', ' ORDER BY f.n),
			this)
		INTO fields
		FROM unnest(watched) WITH ORDINALITY AS f(name, n);
	END IF;
	depends := ARRAY(SELECT a.relation FROM quizrt.attachments AS a);

	message := CASE role
		WHEN 'analysis_runs' THEN quizrt.analysis_run_query(relation, columns)
		WHEN 'security_events' THEN quizrt.security_event_query(relation, columns)
		WHEN 'services' THEN quizrt.service_query(relation, columns)
		WHEN 'system_status' THEN quizrt.system_status_query(relation, columns)
		END;
	IF message IS NOT NULL THEN
		RETURN;					/* a row of these has all that it takes */
	END IF;

	IF role = 'quizzes' THEN
		everything := format('SELECT %s FROM %s',
			quizrt.quiz_term(relation, role, columns, 'quiz_id'),
			quizrt.quiz_table(role));
	ELSIF role = 'events' THEN
		message := format('SELECT %s FROM %s JOIN %s ON %s = %s',
			quizrt.quiz_term('quizzes', 'owner_id'), this, quizzes,
			quizrt.quiz_term('quizzes', 'quiz_id'),
			quizrt.quiz_term(relation, role, columns, 'quiz_id'));
		IF quizzes IS NULL THEN
			message := NULL;
		END IF;
		everything := format('SELECT %s FROM %s',
			quizrt.quiz_term(relation, role, columns, 'event_id'),
			quizrt.quiz_table(role));
	ELSIF attempts IS NULL THEN
		RETURN;
	ELSE
		everything := format('SELECT DISTINCT %s, %s FROM %s',
			quiz, event, attempts);
	END IF;

	IF role = 'attempts' THEN
		message := format('SELECT %s, %s AS started_at FROM %s',
			quizrt.quiz_head(), quizrt.quiz_term(role, 'started_at'), this);
		finish := format(
			'SELECT %1$s, totals.answered_count, '
			'floor(extract(epoch FROM (%2$s) - (%3$s)) * 1000)::bigint AS time_taken_ms, '
			'(%4$s)::text AS attempt_id, %5$s AS quiz_id, (%6$s)::text AS event_id, '
			'coalesce(%7$s, ''submitted'') AS reason, totals.score, '
			'totals.answered_count, %2$s AS submitted_at FROM %8$s %9$s',
			quizrt.quiz_head(), quizrt.quiz_term(role, 'submitted_at'),
			quizrt.quiz_term(role, 'started_at'),
			quizrt.quiz_term(role, 'attempt_id'), quiz, event,
			quizrt.quiz_term(role, 'reason'), this, quizrt.quiz_totals());
		deadline_column := quizrt.column_number(relation, columns ->> 'deadline');
		deadline := format(
			'SELECT ((%s) + (%s))::%s FROM %s JOIN %s ON %s = %s',
			quizrt.quiz_term(role, 'started_at'),
			quizrt.quiz_term('quizzes', 'time_limit'),
			(SELECT format_type(atttypid, atttypmod) FROM pg_attribute
			 WHERE attrelid = relation AND attnum = deadline_column),
			this, quizzes, quizrt.quiz_term('quizzes', 'quiz_id'), quiz);
		IF quizzes IS NULL OR deadline_column IS NULL
			OR quizrt.quiz_term('quizzes', 'time_limit') = 'NULL' THEN
			deadline := NULL;
		END IF;
	ELSIF role IN ('answers', 'flags') THEN
		its_attempt := format('%s JOIN %s ON %s = %s', this, attempts,
			quizrt.quiz_term('attempts', 'attempt_id'),
			quizrt.quiz_term(relation, role, columns, 'attempt_id'));
		topics := format('SELECT %s, %s FROM %s', quiz, event, its_attempt);
	END IF;

	IF role = 'answers' THEN
		/*
		 * Whoever changes the answers of an attempt waits here for others
		 * who do, and counts what they have committed.
		 */
		lock := format('SELECT (%s)::text FROM %s FOR NO KEY UPDATE OF attempt',
			quizrt.quiz_term('attempts', 'attempt_id'), its_attempt);
		lock_is_plain := quizrt.quiz_term('attempts', 'attempt_id') NOT LIKE '(%'
			AND quizrt.quiz_term(relation, role, columns, 'attempt_id') NOT LIKE '(%';
		its_answers := format('%s, (SELECT %s AS attempt_id FROM %s) AS this '
			'WHERE %s = this.attempt_id',
			quizrt.quiz_table(role),
			quizrt.quiz_term(relation, role, columns, 'attempt_id'), this,
			quizrt.quiz_term(role, 'attempt_id'));
		/* last: answers of the attempt, and those that the command wrote */
		SELECT format('SELECT %s, %s, CASE WHEN $1 <> ''0''::xid THEN '
			'(SELECT ARRAY[count(*), count(*) FILTER '
			'(WHERE answer.xmin = $1 AND answer.cmin = $2)] FROM %s) END FROM %s',
			quizrt.quiz_head(), string_agg(format(CASE WHEN f.name IN
				('question_id', 'answer_id') THEN '(%s)::text AS %I'
				ELSE '%s AS %I' END,
				CASE f.name WHEN 'answered_count' THEN 'NULL::bigint'
				ELSE quizrt.quiz_term(relation, role, columns, f.name) END,
				f.name), ', ' ORDER BY f.n), its_answers, its_attempt)
		INTO message
		FROM unnest('{question_id,answer_id,is_correct,score,answered_at,answered_count,question_order}'::text[])
			WITH ORDINALITY AS f(name, n);
		written := 'SELECT answer.tableoid, answer.ctid FROM ' || its_answers
			|| ' AND answer.xmin = $1 AND answer.cmin = $2';
	ELSIF role = 'flags' THEN
		message := format('SELECT %s, upper((%s)::text) AS label, '
			'(%s)::timestamptz AS flagged_at FROM %s',
			quizrt.quiz_head(), quizrt.quiz_term(relation, role, columns, 'label'),
			quizrt.quiz_term(relation, role, columns, 'flagged_at'), its_attempt);
	ELSIF role = 'related' THEN
		topics := format('SELECT DISTINCT %s, %s FROM %s, %s WHERE (%s)',
			quiz, event, this, attempts, columns ->> 'attempts');
	END IF;
END
$$;

/*
 * What the query workers ask
 *
 * SECURITY DEFINER: the worker's role needs no right to see the attachments.
 */

/* "id", an SQL text from a client, is compared with a field of a role. */
CREATE FUNCTION quizrt.quiz_id_is(role text, field text, id text)
RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT format(CASE
	WHEN t.typname IN ('int2', 'int4', 'int8', 'numeric') THEN
		'%1$s = CASE WHEN %2$s ~ ''^[1-9][0-9]{0,17}$'' OR '
		'%2$s ~ ''^[1-9][0-9]{18}$'' AND '
		'%2$s COLLATE "C" <= ''9223372036854775807'' THEN %2$s::bigint END'
	WHEN t.typname = 'uuid' THEN
		'%1$s = CASE WHEN %2$s ~* ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'' '
		'THEN %2$s::uuid END'
	WHEN t.typname IN ('text', 'varchar') THEN '%1$s = %2$s'
	ELSE '(%1$s)::text = %2$s' END,
	quizrt.quiz_term(a.role, quiz_id_is.field), quiz_id_is.id)
FROM quizrt.attachments AS a
LEFT JOIN pg_attribute AS c ON c.attrelid = a.relation
	AND c.attname = a.columns ->> quiz_id_is.field AND NOT c.attisdropped
LEFT JOIN pg_type AS t ON t.oid = c.atttypid
WHERE a.role = quiz_id_is.role
$$;

CREATE FUNCTION quizrt.owner_query() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('SELECT asked.ord, found.quiz_id, found.owner_id '
	'FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked(type, id, ord), '
	'LATERAL (SELECT (%1$s)::text AS quiz_id, (%2$s)::text AS owner_id '
	'FROM %3$s WHERE %4$s',
	quizrt.quiz_term('quizzes', 'quiz_id'),
	quizrt.quiz_term('quizzes', 'owner_id'), quizrt.quiz_table('quizzes'),
	quizrt.quiz_id_is('quizzes', 'quiz_id', 'asked.id')) ||
CASE WHEN quizrt.quiz_table('events') IS NULL THEN '' ELSE
format(' UNION ALL SELECT (%1$s)::text, (%2$s)::text '
	'FROM %3$s JOIN %4$s ON %1$s = %5$s '
	'WHERE asked.type <> ''quiz'' AND %6$s',
	quizrt.quiz_term('quizzes', 'quiz_id'),
	quizrt.quiz_term('quizzes', 'owner_id'), quizrt.quiz_table('quizzes'),
	quizrt.quiz_table('events'), quizrt.quiz_term('events', 'quiz_id'),
	quizrt.quiz_id_is('events', 'event_id', 'asked.id')) END || ') AS found'
WHERE quizrt.quiz_table('quizzes') IS NOT NULL
$$;

COMMENT ON FUNCTION quizrt.owner_query() IS
'internal: the query for the owners of channels $1 (types) and $2 (ids)';

CREATE FUNCTION quizrt.attempt_query() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('SELECT asked.ord, (%1$s)::text AS attempt_id, '
	'(%2$s) IS NOT NULL AS submitted '
	'FROM unnest($1::text[]) WITH ORDINALITY AS asked(id, ord) JOIN %3$s ON %4$s',
	quizrt.quiz_term('attempts', 'attempt_id'),
	quizrt.quiz_term('attempts', 'submitted_at'),
	quizrt.quiz_table('attempts'),
	quizrt.quiz_id_is('attempts', 'attempt_id', 'asked.id'))
WHERE quizrt.quiz_table('attempts') IS NOT NULL
$$;

COMMENT ON FUNCTION quizrt.attempt_query() IS
'internal: the query for the attempts with the ids $1';

/*
 * Attaching
 *
 * The functions that users call are in C: they check as the caller that the
 * table is the caller's, and run the rest as the extension's owner.
 */

CREATE FUNCTION quizrt.is_expression(text) RETURNS boolean
LANGUAGE C IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'quizrt_is_expression';

/* The mapping, complete and with its fields in a fixed order. */
CREATE FUNCTION quizrt.quiz_mapping(relation regclass, role text, columns json)
RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	fields record := quizrt.quiz_fields(role);
	field text;
	value text;
	result text[];
BEGIN
	IF json_typeof(columns) <> 'object' THEN
		RAISE invalid_parameter_value USING MESSAGE = 'columns must be a JSON object';
	END IF;
	FOR field IN SELECT json_object_keys(columns) LOOP
		IF field <> ALL (fields.required || fields.optional) THEN
			RAISE invalid_parameter_value USING
				MESSAGE = format('unknown field "%s"', field),
				HINT = format('The fields of %s are %s.', role,
					array_to_string(fields.required || fields.optional, ', '));
		ELSIF json_typeof(columns -> field) <> 'string' THEN
			RAISE invalid_parameter_value USING
				MESSAGE = format('field "%s" must be a string', field),
				HINT = 'It names a column, or is an SQL expression.';
		ELSIF quizrt.column_number(relation, columns ->> field) IS NULL
			AND (role, field) IS DISTINCT FROM ('related', 'changes')
			AND NOT quizrt.is_expression(columns ->> field) THEN
			RAISE syntax_error USING
				MESSAGE = format('field "%s" is not an SQL expression', field);
		END IF;
	END LOOP;

	FOREACH field IN ARRAY fields.required || fields.optional LOOP
		value := columns ->> field;
		IF value IS NULL AND role <> 'related'
			AND quizrt.column_number(relation, field) IS NOT NULL THEN
			value := field;
		END IF;
		IF value IS NOT NULL THEN
			result := result || format('%s: %s', to_json(field), to_json(value));
		ELSIF field = ANY (fields.required) THEN
			RAISE undefined_column USING
				MESSAGE = format('table %s has no column for "%s"', relation, field),
				HINT = 'Name a column or an SQL expression in the argument "columns".';
		END IF;
	END LOOP;
	RETURN '{' || array_to_string(result, ', ') || '}';
END
$$;

CREATE FUNCTION quizrt.detach_table(relation regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	name name;
BEGIN
	FOR name IN
		SELECT tgname FROM pg_trigger
		WHERE tgrelid = relation AND tgparentid = 0 AND tgfoid IN (
			'quizrt.quiz_change()'::regprocedure,
			'quizrt.quiz_truncate()'::regprocedure,
			'quizrt.quiz_deadline()'::regprocedure)
	LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', name, relation);
	END LOOP;
END
$$;

/*
 * Triggers of one event fire in the order of their names.  Ours is to see a
 * new row before a trigger of the application, one that grades it perhaps,
 * updates it, or the two messages would go out in the wrong order.
 */
CREATE FUNCTION quizrt.create_triggers(relation regclass, role text, mapping json)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	arguments text := format('(%L, %L)', role, mapping);
BEGIN
	EXECUTE format('CREATE TRIGGER "0_quizrt_change" AFTER %s ON %s '
		'FOR EACH ROW EXECUTE FUNCTION quizrt.quiz_change%s',
		CASE role WHEN 'quizzes' THEN 'UPDATE OR DELETE'
			WHEN 'events' THEN 'UPDATE OR DELETE'
			WHEN 'related' THEN 'UPDATE'
			WHEN 'analysis_runs' THEN 'INSERT OR UPDATE'
			WHEN 'security_events' THEN 'INSERT'
			WHEN 'services' THEN 'INSERT OR UPDATE'
			WHEN 'system_status' THEN 'INSERT OR UPDATE'
			ELSE 'INSERT OR UPDATE OR DELETE' END, relation, arguments);
	IF role IN ('quizzes', 'events', 'attempts', 'answers', 'flags') THEN
		EXECUTE format('CREATE TRIGGER quizrt_truncate BEFORE TRUNCATE ON %s '
			'FOR EACH STATEMENT EXECUTE FUNCTION quizrt.quiz_truncate%s',
			relation, arguments);
	END IF;
	IF role = 'attempts'
		AND quizrt.column_number(relation, mapping ->> 'deadline') IS NOT NULL THEN
		EXECUTE format('CREATE TRIGGER quizrt_deadline BEFORE INSERT ON %s '
			'FOR EACH ROW EXECUTE FUNCTION quizrt.quiz_deadline%s',
			relation, arguments);
	END IF;
END
$$;

/* Attach a table; returns the complete mapping. */
CREATE FUNCTION quizrt.attach_table(relation regclass, role text, columns json)
RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	other regclass;
	mapping json := quizrt.quiz_mapping(relation, role, columns);
BEGIN
	SELECT a.relation INTO other FROM quizrt.attachments AS a
	WHERE a.role = attach_table.role AND a.relation <> attach_table.relation;
	IF FOUND AND role <> 'related' THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('a table of %s is attached already: %s', role, other),
			HINT = format('One set of tables is attached at a time. Call quizrt.detach(%L) first.', other);
	END IF;
	IF role IN ('answers', 'flags', 'related')
		AND quizrt.quiz_table('attempts') IS NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'no table of attempts is attached',
			HINT = 'Call quizrt.attach_attempts() first.';
	END IF;
	PERFORM quizrt.detach_table(relation);
	PERFORM quizrt.create_triggers(relation, role, mapping);
	RETURN mapping;
END
$$;

CREATE FUNCTION quizrt.attach_quizzes(relation regclass, columns json DEFAULT '{}')
RETURNS void LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'quizrt_attach_quizzes';

CREATE FUNCTION quizrt.attach_events(relation regclass, columns json DEFAULT '{}')
RETURNS void LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'quizrt_attach_events';

CREATE FUNCTION quizrt.attach_attempts(relation regclass, columns json DEFAULT '{}')
RETURNS void LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'quizrt_attach_attempts';

CREATE FUNCTION quizrt.attach_answers(relation regclass, columns json DEFAULT '{}')
RETURNS void LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'quizrt_attach_answers';

CREATE FUNCTION quizrt.attach_flags(relation regclass, columns json DEFAULT '{}')
RETURNS void LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'quizrt_attach_flags';

/*
 * A table that the messages only look into.  In "columns", "changes" names
 * columns, separated by commas, and "attempts" is an SQL condition: when one
 * of the columns changes, the attempts for which it holds are shown anew.
 */
CREATE FUNCTION quizrt.attach_related(relation regclass, columns json)
RETURNS void LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'quizrt_attach_related';

CREATE FUNCTION quizrt.detach(relation regclass)
RETURNS void LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'quizrt_detach';

/*
 * The reference tables
 */

/* Statements that create what is missing of them. */
CREATE FUNCTION quizrt.quiz_tables_script(schema name) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	script text := '';
	other regclass;
	name text;
	definition text;
BEGIN
	SELECT a.relation INTO other FROM quizrt.attachments AS a
	JOIN pg_class AS c ON c.oid = a.relation
	JOIN pg_namespace AS n ON n.oid = c.relnamespace
	WHERE n.nspname <> schema AND a.role IN ('quizzes', 'events', 'attempts',
		'answers', 'flags', 'related') ORDER BY a.relation LIMIT 1;
	IF FOUND THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('other quiz tables are attached already: %s', other),
			HINT = 'One set of quiz tables is attached at a time. Call quizrt.detach() for each of its tables first.';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = schema) THEN
		script := format('CREATE SCHEMA %I;', schema);
	END IF;
	FOR name, definition IN VALUES
	('quizzes', $sql$
		CREATE TABLE %1$I.quizzes (
			quiz_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY
				CHECK (quiz_id > 0),
			owner_id text NOT NULL,
			title text,
			time_limit interval CHECK (time_limit > interval '0'),
			created_at timestamptz NOT NULL DEFAULT now());
		CREATE INDEX ON %1$I.quizzes (owner_id);
	$sql$), ('questions', $sql$
		CREATE TABLE %1$I.questions (
			question_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
			quiz_id bigint NOT NULL
				REFERENCES %1$I.quizzes ON DELETE CASCADE,
			question_order int NOT NULL CHECK (question_order > 0),
			prompt text,
			points numeric,
			UNIQUE (quiz_id, question_order));
	$sql$), ('events', $sql$
		CREATE TABLE %1$I.events (
			event_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
			quiz_id bigint NOT NULL
				REFERENCES %1$I.quizzes ON DELETE CASCADE,
			title text);
		CREATE INDEX ON %1$I.events (quiz_id);
	$sql$), ('participants', $sql$
		CREATE TABLE %1$I.participants (
			participant_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
			alias text NOT NULL);
	$sql$), ('attempts', $sql$
		CREATE TABLE %1$I.attempts (
			attempt_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
			quiz_id bigint NOT NULL
				REFERENCES %1$I.quizzes ON DELETE CASCADE,
			event_id uuid REFERENCES %1$I.events ON DELETE SET NULL,
			participant_id uuid NOT NULL
				REFERENCES %1$I.participants ON DELETE CASCADE,
			started_at timestamptz NOT NULL DEFAULT now(),
			deadline timestamptz,
			submitted_at timestamptz,
			reason text CHECK (reason IN ('submitted', 'time_up', 'forced_by_owner')));
		CREATE INDEX ON %1$I.attempts (quiz_id);
		CREATE INDEX ON %1$I.attempts (event_id);
		CREATE INDEX ON %1$I.attempts (participant_id);
		CREATE INDEX ON %1$I.attempts (deadline) WHERE submitted_at IS NULL;
	$sql$), ('answers', $sql$
		CREATE TABLE %1$I.answers (
			answer_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
			attempt_id uuid NOT NULL
				REFERENCES %1$I.attempts ON DELETE CASCADE,
			question_id uuid NOT NULL
				REFERENCES %1$I.questions ON DELETE CASCADE,
			response json,
			is_correct boolean,
			score numeric,
			answered_at timestamptz NOT NULL DEFAULT now(),
			UNIQUE (attempt_id, question_id));
		CREATE INDEX ON %1$I.answers (question_id);
	$sql$), ('flags', $sql$
		CREATE TABLE %1$I.flags (
			flag_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
			attempt_id uuid NOT NULL
				REFERENCES %1$I.attempts ON DELETE CASCADE,
			label text NOT NULL CHECK (label <> ''),
			detail json,
			flagged_at timestamptz NOT NULL DEFAULT now());
		CREATE INDEX ON %1$I.flags (attempt_id);
	$sql$)
	LOOP
		IF to_regclass(format('%I.%I', schema, name)) IS NULL THEN
			script := script || format(definition, schema);
		END IF;
	END LOOP;
	RETURN script;
END
$$;

/* How they are attached, in order. */
CREATE FUNCTION quizrt.quiz_tables_attached(schema name,
	OUT relation regclass, OUT role text, OUT columns text)
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('%I.%I', schema, name)::regclass, role,
	coalesce(json_object(string_to_array(fields, ','),
		ARRAY(SELECT format(expression, schema)
			FROM unnest(expressions) WITH ORDINALITY AS e(expression, n)
			ORDER BY n)), '{}')::text
FROM (VALUES
	('quizzes', 'quizzes', NULL, NULL::text[]),
	('events', 'events', NULL, NULL),
	('attempts', 'attempts', 'alias', ARRAY[
		'SELECT p.alias FROM %I.participants AS p WHERE p.participant_id = attempt.participant_id']),
	('answers', 'answers', 'question_order', ARRAY[
		'SELECT q.question_order FROM %I.questions AS q WHERE q.question_id = answer.question_id']),
	('flags', 'flags', NULL, NULL),
	('participants', 'related', 'changes,attempts', ARRAY[
		'alias', 'attempt.participant_id = related.participant_id']),
	('questions', 'related', 'changes,attempts', ARRAY[
		'question_order', 'attempt.quiz_id = related.quiz_id'])
) AS t(name, role, fields, expressions)
$$;

CREATE FUNCTION quizrt.create_quiz_tables(schema name DEFAULT 'quiz')
RETURNS void LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'quizrt_create_quiz_tables';

COMMENT ON FUNCTION quizrt.create_quiz_tables(name) IS
'create the reference tables where they are missing, and attach them';

GRANT SELECT ON quizrt.attachments TO pg_monitor;
