-- What the dashboards are told
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/include/events.sql'
\i :include
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS dashboard, app CASCADE;
RESET client_min_messages;

-- Of times of the moment only the form is shown.
CREATE FUNCTION test.sent(OUT topics text, OUT event text, OUT data text)
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT topics, event, regexp_replace(data,
		'"timestamp":(1(7[2-9]|8|9)|2)\d+\.\d{3}', '"timestamp":now') FROM test.events()
$$;

SELECT FROM quizrt.project_updated('my-project', 'audit');
SELECT FROM quizrt.project_updated('a "b"', 'release_gate', 'acme');
SELECT FROM quizrt.project_updated(project_name => 'ü', trigger => 'compliance', tenant => '€:1');
SELECT * FROM test.sent();

-- mistakes
SELECT FROM quizrt.project_updated(NULL, 'audit');
SELECT FROM quizrt.project_updated('', 'audit');
SELECT FROM quizrt.project_updated('p', NULL);
SELECT FROM quizrt.project_updated('p', '');
SELECT FROM quizrt.project_updated('p', 'audit', '');
SELECT FROM quizrt.project_updated('p', 'audit', repeat('x', 246));
SELECT FROM quizrt.project_updated(repeat('x', 262144), 'audit');
SELECT * FROM test.sent();
SELECT FROM quizrt.project_updated('p', 'audit', repeat('x', 245));
SELECT length(topics) FROM test.sent();

-- the reference table
SELECT FROM quizrt.create_dashboard_tables();
SELECT FROM quizrt.create_dashboard_tables();
SELECT FROM quizrt.create_dashboard_tables('elsewhere');
SELECT relation, role, columns FROM quizrt.attachments WHERE relation::text LIKE 'dashboard.%';
INSERT INTO dashboard.analysis_runs (project_name) VALUES ('shortest');
\set VERBOSITY terse
INSERT INTO dashboard.analysis_runs (project_name, kind) VALUES ('p', 'review');
INSERT INTO dashboard.analysis_runs (project_name, tenant) VALUES ('p', '');
INSERT INTO dashboard.analysis_runs (project_name) VALUES ('');
\set VERBOSITY default
INSERT INTO dashboard.analysis_runs (project_name, tenant, kind) VALUES ('p', 'acme', 'compliance');
INSERT INTO dashboard.analysis_runs (project_name, kind, completed_at)
VALUES ('at once', 'release_gate', '2024-03-09 16:13:20.123987+00'),
	('some time', 'audit', 'infinity'), ('long ago', 'audit', '1969-12-31 23:59:59.5+00');
SELECT * FROM test.sent();
UPDATE dashboard.analysis_runs SET completed_at = to_timestamp(1710700000.1239)
WHERE completed_at IS NULL;
SELECT * FROM test.sent();
-- completing is the only thing that is told
UPDATE dashboard.analysis_runs SET completed_at = now(), project_name = 'other';
UPDATE dashboard.analysis_runs SET completed_at = NULL;
DELETE FROM dashboard.analysis_runs;
TRUNCATE dashboard.analysis_runs;
SELECT * FROM test.sent();
SELECT FROM quizrt.detach('dashboard.analysis_runs');
INSERT INTO dashboard.analysis_runs (project_name, completed_at) VALUES ('p', now());
SELECT * FROM test.sent();
SELECT to_regnamespace('elsewhere');
\set VERBOSITY terse
DROP SCHEMA dashboard CASCADE;

\set VERBOSITY default

-- a table of another shape
CREATE SCHEMA app;
CREATE TABLE app.projects (id int PRIMARY KEY, name text, org int);
CREATE TABLE app.jobs (project int, what char(1), state text, finished timestamptz);
SELECT FROM quizrt.attach_analysis_runs('app.jobs');
SELECT FROM quizrt.attach_analysis_runs('app.jobs', '{"project_name": "project",
	"kind": "what", "completed_at": "finished", "priority": "1"}');
SELECT FROM quizrt.attach_analysis_runs('app.jobs', $${
	"project_name": "SELECT p.name FROM app.projects AS p WHERE p.id = analysis_run.project",
	"kind": "CASE analysis_run.what WHEN 'a' THEN 'audit' ELSE 'compliance' END",
	"completed_at": "CASE WHEN analysis_run.state = 'done' THEN analysis_run.finished END",
	"tenant": "SELECT p.org FROM app.projects AS p WHERE p.id = analysis_run.project"}$$);
INSERT INTO app.projects VALUES (1, 'one', 17);
INSERT INTO app.jobs VALUES (1, 'a', 'running', '2024-01-01 00:00:00+00'),
	(1, 'c', 'failed', '2024-01-01 00:00:01+00'), (2, 'a', 'done', now());
SELECT * FROM test.sent();
UPDATE app.jobs SET state = 'done';
SELECT * FROM test.sent();
SELECT FROM quizrt.detach('app.jobs');
\set VERBOSITY terse
DROP SCHEMA app CASCADE;

-- what multi-tenant mode does is tested by 020_dashboard.pl: no session can
-- change it
SET quizrt.dashboard_multi_tenant = on;
