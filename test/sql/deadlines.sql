-- Closing attempts on demand, and what deadlines need to do it
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/include/events.sql'
\i :include
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_quizrt_owner, regress_quizrt_closer;
RESET client_min_messages;
\set VERBOSITY terse

-- nothing attached
SELECT * FROM quizrt.deadline_queries();
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000001');

SELECT FROM quizrt.create_quiz_tables();
INSERT INTO quiz.quizzes (quiz_id, owner_id) VALUES (42, 'alice');
INSERT INTO quiz.participants VALUES ('b0000000-0000-0000-0000-000000000001', 'Bob');
INSERT INTO quiz.attempts (attempt_id, quiz_id, participant_id)
SELECT ('a0000000-0000-0000-0000-00000000000' || i)::uuid, 42, 'b0000000-0000-0000-0000-000000000001'
FROM generate_series(1, 5) AS i;
SELECT FROM test.mark();

-- close_attempt: the messages of any other submission
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000001');
SELECT quizrt.close_attempt('A0000000-0000-0000-0000-000000000002'::uuid, 'submitted');
SELECT quizrt.close_attempt(attempt_id => 'a0000000-0000-0000-0000-000000000003'::text,
	reason => 'forced_by_owner');
SELECT right(attempt_id::text, 1) AS attempt, reason, submitted_at BETWEEN started_at AND clock_timestamp() AS good
FROM quiz.attempts ORDER BY attempt_id;
SELECT tx, kind, topics, event, data::json ->> 'reason' AS reason FROM test.events();
-- again
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000001', 'submitted');
SELECT reason FROM quiz.attempts WHERE attempt_id = 'a0000000-0000-0000-0000-000000000001';
SELECT * FROM test.events();
-- mistakes
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-00000000000f');
SELECT quizrt.close_attempt('nonsense');
SELECT quizrt.close_attempt('');
SELECT quizrt.close_attempt(7);
SELECT quizrt.close_attempt(NULL);
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000004', 'time_up');
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000004', 'bored');
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000004', NULL);
-- a savepoint that is taken back
BEGIN;
SAVEPOINT s;
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000004');
ROLLBACK TO s;
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000004', 'submitted');
COMMIT;
SELECT event, data::json ->> 'reason' AS reason FROM test.events() WHERE event = 'attempt_closed';

-- triggers of the application may keep it open
CREATE FUNCTION test.veto() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER veto BEFORE UPDATE ON quiz.attempts FOR EACH ROW EXECUTE FUNCTION test.veto();
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000005');
DROP TRIGGER veto ON quiz.attempts;

-- who may call it needs nothing else, and gets nothing else
CREATE ROLE regress_quizrt_owner;
CREATE ROLE regress_quizrt_closer;
GRANT USAGE ON SCHEMA quiz TO regress_quizrt_owner;
GRANT CREATE ON SCHEMA quiz TO regress_quizrt_owner;
GRANT USAGE ON SCHEMA test TO regress_quizrt_owner, regress_quizrt_closer;
SET ROLE regress_quizrt_closer;
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000005');
RESET ROLE;
GRANT EXECUTE ON FUNCTION quizrt.close_attempt(text, text) TO regress_quizrt_closer;
ALTER TABLE quiz.quizzes OWNER TO regress_quizrt_owner;
SELECT quizrt.attached_owner() IS NULL AS several_owners;
ALTER TABLE quiz.events OWNER TO regress_quizrt_owner;
ALTER TABLE quiz.attempts OWNER TO regress_quizrt_owner;
ALTER TABLE quiz.answers OWNER TO regress_quizrt_owner;
ALTER TABLE quiz.flags OWNER TO regress_quizrt_owner;
GRANT SELECT ON quiz.participants TO regress_quizrt_owner;
SELECT quizrt.attached_owner()::regrole;
SELECT owner::regrole FROM quizrt.deadline_queries();
SET ROLE regress_quizrt_owner;
CREATE TABLE quiz.log (who text, path text);
CREATE FUNCTION quiz.write_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log VALUES (current_user, current_setting('search_path'));
	RETURN NULL;
END
$$;
CREATE TRIGGER write_log AFTER UPDATE ON quiz.attempts FOR EACH ROW EXECUTE FUNCTION quiz.write_log();
RESET ROLE;
SELECT format('GRANT TEMPORARY ON DATABASE %I TO regress_quizrt_closer', current_database()) AS statement \gset
:statement;
SET ROLE regress_quizrt_closer;
CREATE TEMPORARY TABLE log (who text, path text);
CREATE FUNCTION pg_temp.steal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'stolen by %', current_user;
	RETURN NULL;
END
$$;
CREATE TRIGGER steal BEFORE INSERT ON pg_temp.log FOR EACH ROW EXECUTE FUNCTION pg_temp.steal();
GRANT ALL ON pg_temp.log TO PUBLIC;
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000005');
SELECT count(*) FROM quiz.attempts;
SHOW search_path;
RESET ROLE;
SELECT * FROM quiz.log;
DROP TABLE pg_temp.log;

-- columns that nobody but the application can write
DROP TRIGGER write_log ON quiz.attempts;
UPDATE quiz.attempts SET submitted_at = NULL, reason = NULL WHERE attempt_id = 'a0000000-0000-0000-0000-000000000005';
SELECT FROM quizrt.detach('quiz.attempts');
SELECT FROM quizrt.attach_attempts('quiz.attempts',
	'{"alias": "''x''", "submitted_at": "CASE WHEN true THEN attempt.submitted_at END"}');
SELECT closing FROM quizrt.deadline_queries();
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000005');
SELECT FROM quizrt.attach_attempts('quiz.attempts',
	'{"alias": "''x''", "reason": "SELECT ''submitted''"}');
SELECT closing FROM quizrt.deadline_queries();
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000005');
-- a deadline that is none can be closed on demand
SELECT FROM quizrt.attach_attempts('quiz.attempts',
	'{"alias": "''x''", "deadline": "attempt.started_at + interval ''1 h''"}');
SELECT closing FROM quizrt.deadline_queries();
SELECT quizrt.close_attempt('a0000000-0000-0000-0000-000000000005');

-- ids that are no UUIDs
SET client_min_messages = warning;
DROP SCHEMA quiz CASCADE;
RESET client_min_messages;
CREATE SCHEMA app;
CREATE TABLE app.runs (id int PRIMARY KEY, quiz int, who int, begun timestamptz,
	"time is" timestamp, "end" timestamptz, reason text);
INSERT INTO app.runs VALUES (7, 42, 1, now(), 'infinity'), (8, 42, 1, now(), 'infinity');
SELECT FROM quizrt.attach_attempts('app.runs', '{"attempt_id": "id", "quiz_id": "quiz",
	"participant_id": "who", "started_at": "begun", "deadline": "time is",
	"submitted_at": "end", "alias": "''x''"}');
SELECT FROM test.mark();
SELECT quizrt.close_attempt(7);
SELECT quizrt.close_attempt('8', 'submitted');
SELECT quizrt.close_attempt('8');
SELECT quizrt.close_attempt('99999999999999999999');
SELECT topics, data::json ->> 'reason' AS reason FROM test.events() WHERE event = 'attempt_closed';
SELECT closing IS NOT NULL AS closes FROM quizrt.deadline_queries();

SET client_min_messages = warning;
DROP SCHEMA app CASCADE;
DROP OWNED BY regress_quizrt_owner, regress_quizrt_closer CASCADE;
DROP ROLE regress_quizrt_owner, regress_quizrt_closer;
