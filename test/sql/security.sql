-- What the security API's clients are told
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/include/events.sql'
\i :include
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS security, app CASCADE;
DELETE FROM quizrt.reported_status;
RESET client_min_messages;

-- Of times of the moment only the form is shown.
CREATE FUNCTION test.sent(OUT topics text, OUT event text, OUT data text)
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT topics, event, regexp_replace(data,
		'"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"', '"timestamp":now')
	FROM test.events()
$$;

SELECT FROM quizrt.security_event('{"id": 1, "summary":"ü"}');
SELECT FROM quizrt.security_event(' {} ', 'alerts');
SELECT FROM quizrt.security_event('{}', channel => 'detections');
SELECT FROM quizrt.service_status('redis', 'healthy');
SELECT FROM quizrt.service_status('redis', 'failed', E'a "b"\n');
SELECT * FROM test.sent();

-- mistakes
SELECT FROM quizrt.security_event(NULL);
SELECT FROM quizrt.security_event('[]');
SELECT FROM quizrt.security_event('{}', 'system');
SELECT FROM quizrt.security_event('{}', NULL);
SELECT FROM quizrt.security_event(('{"a":"' || repeat('x', 262144) || '"}')::json);
SELECT FROM quizrt.service_status(NULL, 'healthy');
SELECT FROM quizrt.service_status('', 'healthy');
SELECT FROM quizrt.service_status('redis', NULL);
SELECT FROM quizrt.service_status('redis', 'fine');
SELECT FROM quizrt.system_status(NULL);
SELECT FROM quizrt.system_status('[]');
SELECT FROM quizrt.system_status('7');
SELECT FROM quizrt.system_status(('{"a":"' || repeat('x', 262144) || '"}')::json);
SELECT * FROM test.sent();

-- the system's status is stored
SELECT FROM quizrt.system_status('{"health": "healthy"}');
SELECT FROM quizrt.system_status('{"health":  "degraded"}');
SELECT data, reported_at > now() - interval '1 min' AS of_now FROM quizrt.reported_status;
SELECT * FROM test.sent();

-- the reference tables
\set VERBOSITY terse
SELECT FROM quizrt.create_security_tables();
SELECT FROM quizrt.create_security_tables();
SELECT relation, role, columns FROM quizrt.attachments WHERE relation::text LIKE 'security.%'
ORDER BY 1;
INSERT INTO security.events (camera_id, batch_id) VALUES (NULL, 'b');
INSERT INTO security.events DEFAULT VALUES;
INSERT INTO security.events VALUES (7, 'batch_abc123', '123e4567-e89b-12d3-a456-426614174000',
	75, NULL, 'Person detected at front door', '2025-12-23T12:00:00'),
	(8, 'b "2"', '123e4567-e89b-12d3-a456-426614174000', 3, 'critical', '', '2025-12-23T12:00:00.5');
SELECT topics, event, data FROM test.sent() WHERE data !~ '"batch_[0-9a-f]{32}"';
SELECT risk_score, security.risk_level(risk_score)
FROM unnest('{0,29,30,59,60,84,85,100,NULL}'::int[]) AS risk_score;
UPDATE security.events SET risk_score = 20 WHERE id >= 7;
SELECT id, risk_score, risk_level FROM security.events WHERE id >= 7 ORDER BY id;
INSERT INTO security.events (risk_score) VALUES (101);
INSERT INTO security.events (risk_level) VALUES ('none');
DELETE FROM security.events;
TRUNCATE security.events;
SELECT * FROM test.sent();

INSERT INTO security.services (service, status) VALUES ('redis', 'healthy'), ('db', 'restarting');
INSERT INTO security.services (service, status) VALUES ('x', 'fine');
SELECT * FROM test.sent();
UPDATE security.services SET updated_at = now(), status = status, message = NULL;
SELECT * FROM test.sent();
UPDATE security.services SET message = 'up again' WHERE service = 'db';
UPDATE security.services SET status = 'unhealthy' WHERE service = 'redis';
INSERT INTO security.services VALUES ('redis', 'healthy') ON CONFLICT (service)
DO UPDATE SET status = excluded.status, updated_at = now();
INSERT INTO security.services VALUES ('redis', 'healthy') ON CONFLICT (service)
DO UPDATE SET status = excluded.status, updated_at = now();
DELETE FROM security.services;
SELECT * FROM test.sent();

SELECT data FROM security.system_status;
UPDATE security.system_status SET data = '{"health":"unhealthy"}';
SELECT data FROM quizrt.reported_status;
INSERT INTO security.system_status (data) VALUES ('{"health":"healthy"}');
SELECT data FROM quizrt.reported_status;
SELECT data FROM security.system_status;
UPDATE security.system_status SET data = '[]';
-- saying the same again is a report
UPDATE quizrt.reported_status SET reported_at = 'epoch';
UPDATE security.system_status SET data = data;
SELECT data, reported_at > now() - interval '1 min' AS of_now FROM quizrt.reported_status;
DELETE FROM security.system_status;
INSERT INTO security.system_status (data) VALUES ('{"health":"degraded"}');
SELECT data FROM quizrt.reported_status;
SELECT * FROM test.sent();

-- a role that may write the tables, and nothing else
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_quizrt_monitor;
RESET client_min_messages;
CREATE ROLE regress_quizrt_monitor;
GRANT USAGE ON SCHEMA security TO regress_quizrt_monitor;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA security TO regress_quizrt_monitor;
SET ROLE regress_quizrt_monitor;
INSERT INTO security.events (batch_id) VALUES ('by the monitor');
INSERT INTO security.services VALUES ('by the monitor', 'healthy');
UPDATE security.system_status SET data = '{"by":"the monitor"}';
SELECT quizrt.security_event('{}');
SELECT quizrt.service_status('a', 'healthy');
SELECT quizrt.system_status('{}');
SELECT * FROM quizrt.reported_status;
RESET ROLE;
SELECT count(*) FROM test.sent();
SELECT data FROM quizrt.reported_status;
-- and one that may report, and not see
GRANT EXECUTE ON FUNCTION quizrt.system_status(json) TO regress_quizrt_monitor;
SET ROLE regress_quizrt_monitor;
SELECT FROM quizrt.system_status('{"by":"function"}');
RESET ROLE;
SELECT data FROM quizrt.reported_status;
DROP OWNED BY regress_quizrt_monitor;
DROP ROLE regress_quizrt_monitor;

-- without the extension the tables are there, and work
SET client_min_messages = warning;
BEGIN;
DROP EXTENSION quizrt CASCADE;
INSERT INTO security.events (risk_score) VALUES (99);
INSERT INTO security.system_status (data) VALUES ('{"a":1}');
SELECT risk_level FROM security.events WHERE risk_score = 99;
SELECT data FROM security.system_status;
CREATE EXTENSION quizrt;
SELECT FROM quizrt.create_security_tables();
INSERT INTO security.system_status (data) VALUES ('{"a":2}');
SELECT data FROM quizrt.reported_status;
ROLLBACK;
RESET client_min_messages;

-- tables of other shapes
DROP SCHEMA security CASCADE;
CREATE SCHEMA app;
CREATE TABLE app.incidents (nr int, camera text, score float, at timestamptz);
CREATE TABLE app.daemons (name text, up boolean);
CREATE TABLE app.readings (celsius int, at timestamptz);
SELECT FROM quizrt.attach_security_events('app.incidents', $${"id": "nr", "batch_id": "''",
	"camera_id": "camera", "risk_score": "(score * 100)::int", "risk_level": "'high'",
	"summary": "'Camera ' || camera", "started_at": "at AT TIME ZONE 'UTC'"}$$);
SELECT FROM quizrt.attach_services('app.daemons', $${"service": "name",
	"status": "CASE WHEN up THEN 'healthy' ELSE 'failed' END"}$$);
SELECT FROM quizrt.attach_system_status('app.readings',
	'{"data": "json_build_object(''celsius'', celsius)"}');
INSERT INTO app.incidents VALUES (3, 'c', 0.75, '2025-12-23 12:00:00+00');
INSERT INTO app.daemons VALUES ('d', true);
UPDATE app.daemons SET name = 'd';
UPDATE app.daemons SET up = NULL;
INSERT INTO app.readings VALUES (20, now());
SELECT * FROM test.sent();
SELECT data FROM quizrt.reported_status;
DROP SCHEMA app CASCADE;
DELETE FROM quizrt.reported_status;
