-- Who may do what
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/include/events.sql'
\i :include
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_quizrt_writer, regress_quizrt_teacher, regress_quizrt_other;
RESET client_min_messages;
CREATE ROLE regress_quizrt_writer;
CREATE ROLE regress_quizrt_teacher;
CREATE ROLE regress_quizrt_other;

-- PUBLIC can execute nothing, and see nothing
SELECT p.oid::regprocedure FROM pg_proc AS p
WHERE p.pronamespace = 'quizrt'::regnamespace
	AND has_function_privilege('regress_quizrt_other', p.oid, 'EXECUTE');
SELECT c.oid::regclass FROM pg_class AS c
WHERE c.relnamespace = 'quizrt'::regnamespace
	AND has_table_privilege('regress_quizrt_other', c.oid, 'SELECT, INSERT, UPDATE, DELETE');
SET ROLE regress_quizrt_other;
SELECT quizrt.publish('quiz:1', 'a', '{}');
RESET ROLE;
-- every function pins its search_path, or is in C and does so itself
SELECT p.oid::regprocedure FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
WHERE p.pronamespace = 'quizrt'::regnamespace AND l.lanname <> 'c'
	AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE c LIKE 'search_path=%');

-- a role that is granted it publishes
GRANT USAGE ON SCHEMA quizrt TO regress_quizrt_teacher, regress_quizrt_other;
GRANT EXECUTE ON FUNCTION quizrt.publish(text, text, json) TO regress_quizrt_teacher;
SET ROLE regress_quizrt_teacher;
SELECT FROM test.mark();
RESET ROLE;
GRANT USAGE ON SCHEMA test TO regress_quizrt_teacher, regress_quizrt_other;
SELECT FROM test.mark();
SET ROLE regress_quizrt_teacher;
SELECT FROM quizrt.publish('quiz:1', 'a', '{}');
SELECT quizrt.notify_revoked('key:1');
SELECT * FROM quizrt.recent_events;
RESET ROLE;
SELECT * FROM test.events();
-- monitoring
GRANT pg_monitor TO regress_quizrt_other;
SET ROLE regress_quizrt_other;
SELECT count(*) > 0 AS sees FROM quizrt.recent_events;
SELECT count(*) FROM quizrt.attachments;
RESET ROLE;

-- one grant is enough to create the tables, which are the caller's
SELECT format('GRANT CREATE ON DATABASE %I TO regress_quizrt_teacher, regress_quizrt_other', current_database()) AS statement \gset
:statement;
SET ROLE regress_quizrt_teacher;
SELECT quizrt.create_quiz_tables();
RESET ROLE;
GRANT EXECUTE ON FUNCTION quizrt.create_quiz_tables(name) TO regress_quizrt_teacher;
SET ROLE regress_quizrt_teacher;
SELECT FROM quizrt.create_quiz_tables();
SELECT quizrt.attach_quizzes('quiz.quizzes');
SELECT quizrt.create_triggers('quiz.quizzes', 'quizzes', '{}');
RESET ROLE;
SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'quiz';
SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'quiz';
-- somebody else's tables
GRANT EXECUTE ON FUNCTION quizrt.create_quiz_tables(name),
	quizrt.attach_quizzes(regclass, json), quizrt.detach(regclass) TO regress_quizrt_other;
SET ROLE regress_quizrt_other;
SELECT quizrt.create_quiz_tables();
SELECT quizrt.attach_quizzes('quiz.quizzes');
SELECT quizrt.detach('quiz.quizzes');
-- nobody makes such triggers by hand
CREATE SCHEMA mine;
CREATE TABLE mine.t (quiz_id int, owner_id text);
CREATE TRIGGER t AFTER UPDATE ON mine.t FOR EACH ROW
EXECUTE FUNCTION quizrt.quiz_change('quizzes', '{"quiz_id": "quiz_id", "owner_id": "owner_id"}');
RESET ROLE;
-- and none of the functions can be called otherwise, or attached otherwise
SELECT quizrt.quiz_change();
CREATE TRIGGER t BEFORE UPDATE ON mine.t FOR EACH ROW EXECUTE FUNCTION quizrt.quiz_change();
INSERT INTO mine.t VALUES (1, 'a');
UPDATE mine.t SET quiz_id = 2;
DROP SCHEMA mine CASCADE;

-- writers need rights to the tables they write, and no others
GRANT USAGE ON SCHEMA quiz TO regress_quizrt_writer;
GRANT INSERT ON quiz.quizzes, quiz.questions, quiz.participants, quiz.attempts,
	quiz.answers, quiz.flags TO regress_quizrt_writer;
GRANT UPDATE (submitted_at), SELECT (attempt_id) ON quiz.attempts TO regress_quizrt_writer;
SET ROLE regress_quizrt_writer;
INSERT INTO quiz.quizzes (quiz_id, owner_id, time_limit) VALUES (42, 'alice', '1 h');
INSERT INTO quiz.questions VALUES ('40000000-0000-0000-0000-000000000001', 42, 1);
INSERT INTO quiz.participants VALUES ('b0000000-0000-0000-0000-000000000001', 'Bob');
INSERT INTO quiz.attempts (attempt_id, quiz_id, participant_id)
VALUES ('a0000000-0000-0000-0000-000000000001', 42, 'b0000000-0000-0000-0000-000000000001');
INSERT INTO quiz.answers (attempt_id, question_id)
VALUES ('a0000000-0000-0000-0000-000000000001', '40000000-0000-0000-0000-000000000001');
INSERT INTO quiz.flags (attempt_id, label)
VALUES ('a0000000-0000-0000-0000-000000000001', 'x');
UPDATE quiz.attempts SET submitted_at = now() WHERE attempt_id = 'a0000000-0000-0000-0000-000000000001';
RESET ROLE;
SELECT kind, topics, event FROM test.events();
-- also with row security that hides everything, even from the owner
ALTER TABLE quiz.attempts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SET ROLE regress_quizrt_writer;
INSERT INTO quiz.flags (attempt_id, label)
VALUES ('a0000000-0000-0000-0000-000000000001', 'y');
RESET ROLE;
SELECT kind, topics, event FROM test.events();

-- expressions run as the table's owner, whoever writes
CREATE TABLE test.secret AS SELECT 'secret' AS word;
SET ROLE regress_quizrt_teacher;
CREATE FUNCTION quiz.who() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
RESET ROLE;
GRANT EXECUTE ON FUNCTION quizrt.attach_attempts(regclass, json) TO regress_quizrt_teacher;
SET ROLE regress_quizrt_teacher;
SELECT FROM quizrt.attach_attempts('quiz.attempts', '{"alias": "quiz.who()"}');
SELECT FROM quizrt.attach_attempts('quiz.attempts', '{"alias": "SELECT word FROM test.secret"}');
SELECT FROM quizrt.attach_attempts('quiz.attempts', '{"alias": "quiz.who()"}');
RESET ROLE;
INSERT INTO quiz.attempts (quiz_id, participant_id)
VALUES (42, 'b0000000-0000-0000-0000-000000000001');
SELECT data::json ->> 'alias' AS alias FROM test.events() WHERE event = 'attempt_quiz';

SET client_min_messages = warning;
DROP SCHEMA quiz CASCADE;
DROP OWNED BY regress_quizrt_writer, regress_quizrt_teacher, regress_quizrt_other CASCADE;
DROP ROLE regress_quizrt_writer, regress_quizrt_teacher, regress_quizrt_other;
