/*
 * The security API
 *
 * Its tables are attached as the quiz tables are (30-quiz.sql).  What was
 * reported last of the system is kept, for clients that come later.
 */

CREATE FUNCTION quizrt.security_event(data json)
RETURNS void
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'quizrt_security_event';

COMMENT ON FUNCTION quizrt.security_event(json) IS
'send an event to the security API''s clients when the transaction commits';

CREATE FUNCTION quizrt.security_event(data json, channel text)
RETURNS void
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'quizrt_security_event';

COMMENT ON FUNCTION quizrt.security_event(json, text) IS
'the same for one of the channels events, detections and alerts';

CREATE FUNCTION quizrt.service_status(service text, status text,
	message text DEFAULT NULL)
RETURNS void
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'quizrt_service_status';

COMMENT ON FUNCTION quizrt.service_status(text, text, text) IS
'tell the security API''s clients of a service''s status when the transaction commits';

/* One row, or none where nothing has ever been reported. */
CREATE TABLE quizrt.reported_status
(
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	data json NOT NULL CHECK (json_typeof(data) = 'object'),
	reported_at timestamptz NOT NULL
) WITH (fillfactor = 10);

COMMENT ON TABLE quizrt.reported_status IS
'the security API''s last system status';

SELECT pg_catalog.pg_extension_config_dump('quizrt.reported_status', '');

/* It sends nothing: the gateways ask for it at their interval. */
CREATE FUNCTION quizrt.store_status(data json) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO quizrt.reported_status AS s (data, reported_at)
	VALUES (store_status.data, clock_timestamp())
	ON CONFLICT (only_row) DO UPDATE
	SET data = excluded.data, reported_at = excluded.reported_at;
END
$$;

/* Is this the data of a message: an object, and not too large? */
CREATE FUNCTION quizrt.check_status(data json) RETURNS void
LANGUAGE C IMMUTABLE CALLED ON NULL INPUT
AS 'MODULE_PATHNAME', 'quizrt_check_status';

CREATE FUNCTION quizrt.system_status(data json) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM quizrt.check_status(system_status.data);
	PERFORM quizrt.store_status(system_status.data);
END
$$;

COMMENT ON FUNCTION quizrt.system_status(json) IS
'report the system''s status: what the security API''s clients get at intervals';

/*
 * The queries of the triggers
 */

CREATE FUNCTION quizrt.security_event_query(relation oid, columns json)
RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT format('SELECT %s FROM %s',
			string_agg(format('%s AS %I', quizrt.quiz_term(relation,
				'security_events', columns,
				CASE f.name WHEN 'event_id' THEN 'id' ELSE f.name END),
				f.name), ', ' ORDER BY f.n),
			quizrt.quiz_row(relation, 'security_events'))
		FROM unnest('{id,event_id,batch_id,camera_id,risk_score,risk_level,summary,started_at}'::text[])
			WITH ORDINALITY AS f(name, n));
END
$$;

CREATE FUNCTION quizrt.service_query(relation oid, columns json)
RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN format('SELECT (%s)::text AS service, (%s)::text AS status, '
		'(%s)::text AS message FROM %s',
		quizrt.quiz_term(relation, 'services', columns, 'service'),
		quizrt.quiz_term(relation, 'services', columns, 'status'),
		quizrt.quiz_term(relation, 'services', columns, 'message'),
		quizrt.quiz_row(relation, 'services'));
END
$$;

CREATE FUNCTION quizrt.system_status_query(relation oid, columns json)
RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN format('SELECT (%s)::json AS data FROM %s',
		quizrt.quiz_term(relation, 'system_status', columns, 'data'),
		quizrt.quiz_row(relation, 'system_status'));
END
$$;

CREATE FUNCTION quizrt.attach_security_events(relation regclass,
	columns json DEFAULT '{}')
RETURNS void LANGUAGE C STRICT
AS 'MODULE_PATHNAME', 'quizrt_attach_security_events';

CREATE FUNCTION quizrt.attach_services(relation regclass,
	columns json DEFAULT '{}')
RETURNS void LANGUAGE C STRICT
AS 'MODULE_PATHNAME', 'quizrt_attach_services';

CREATE FUNCTION quizrt.attach_system_status(relation regclass,
	columns json DEFAULT '{}')
RETURNS void LANGUAGE C STRICT
AS 'MODULE_PATHNAME', 'quizrt_attach_system_status';

/*
 * The reference tables
 */

/*
 * What the tables need besides us is theirs, so that they work without us:
 * a level that was not given follows from the score, also from a new one; and
 * inserting into the table of one row updates it.
 */
CREATE FUNCTION quizrt.security_tables_script(schema name) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
	RETURN quizrt.tables_script(schema, '{events,services,system_status}',
		ARRAY[$sql$
		CREATE FUNCTION %1$I.risk_level(risk_score int) RETURNS text
		LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
		AS $$
		SELECT CASE WHEN risk_score < 30 THEN 'low'
			WHEN risk_score < 60 THEN 'medium'
			WHEN risk_score < 85 THEN 'high' ELSE 'critical' END
		$$;
		CREATE FUNCTION %1$I.derive_risk_level() RETURNS trigger
		LANGUAGE plpgsql
		AS $$
		BEGIN
			IF NEW.risk_level IS NULL OR (TG_OP = 'UPDATE'
				AND NEW.risk_score IS DISTINCT FROM OLD.risk_score
				AND NEW.risk_level = OLD.risk_level
				AND OLD.risk_level = %1$I.risk_level(OLD.risk_score)) THEN
				NEW.risk_level := %1$I.risk_level(NEW.risk_score);
			END IF;
			RETURN NEW;
		END
		$$;
		CREATE TABLE %1$I.events (
			id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
			batch_id text NOT NULL
				DEFAULT 'batch_' || translate(gen_random_uuid()::text, '-', ''),
			camera_id uuid NOT NULL DEFAULT gen_random_uuid(),
			risk_score int NOT NULL DEFAULT 0
				CHECK (risk_score BETWEEN 0 AND 100),
			risk_level text NOT NULL
				CHECK (risk_level IN ('low', 'medium', 'high', 'critical')),
			summary text NOT NULL DEFAULT '',
			started_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'));
		CREATE TRIGGER derive_risk_level BEFORE INSERT OR UPDATE
			ON %1$I.events FOR EACH ROW
			EXECUTE FUNCTION %1$I.derive_risk_level();
	$sql$, $sql$
		CREATE TABLE %1$I.services (
			service text PRIMARY KEY CHECK (service <> ''),
			status text NOT NULL CHECK (status IN
				('healthy', 'unhealthy', 'restarting', 'restart_failed', 'failed')),
			message text,
			updated_at timestamptz NOT NULL DEFAULT now());
	$sql$, $sql$
		CREATE FUNCTION %1$I.replace_status() RETURNS trigger
		LANGUAGE plpgsql
		AS $$
		BEGIN
			UPDATE %1$I.system_status
			SET data = NEW.data, updated_at = NEW.updated_at;
			RETURN CASE WHEN FOUND THEN NULL ELSE NEW END;
		END
		$$;
		CREATE TABLE %1$I.system_status (
			data json CHECK (json_typeof(data) = 'object'),
			updated_at timestamptz NOT NULL DEFAULT now());
		CREATE UNIQUE INDEX system_status_one_row ON %1$I.system_status ((true));
		INSERT INTO %1$I.system_status DEFAULT VALUES;
		CREATE TRIGGER replace_status BEFORE INSERT ON %1$I.system_status
			FOR EACH ROW EXECUTE FUNCTION %1$I.replace_status();
	$sql$]);
END
$body$;

CREATE FUNCTION quizrt.security_tables_attached(schema name,
	OUT relation regclass, OUT role text, OUT columns text)
RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
SELECT format('%I.%I', schema, t.name)::regclass, t.role, '{}'
FROM (VALUES ('events', 'security_events'), ('services', 'services'),
	('system_status', 'system_status')) AS t(name, role)
$$;

CREATE FUNCTION quizrt.create_security_tables(schema name DEFAULT 'security')
RETURNS void LANGUAGE C STRICT
AS 'MODULE_PATHNAME', 'quizrt_create_security_tables';

COMMENT ON FUNCTION quizrt.create_security_tables(name) IS
'create the reference tables where they are missing, and attach them';

REVOKE ALL ON FUNCTION
	quizrt.security_event(json),
	quizrt.security_event(json, text),
	quizrt.service_status(text, text, text),
	quizrt.store_status(json),
	quizrt.check_status(json),
	quizrt.system_status(json),
	quizrt.security_event_query(oid, json),
	quizrt.service_query(oid, json),
	quizrt.system_status_query(oid, json),
	quizrt.attach_security_events(regclass, json),
	quizrt.attach_services(regclass, json),
	quizrt.attach_system_status(regclass, json),
	quizrt.security_tables_script(name),
	quizrt.security_tables_attached(name),
	quizrt.create_security_tables(name)
FROM PUBLIC;
