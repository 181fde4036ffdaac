-- What each change of the quiz tables sends
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/include/events.sql'
\i :include
\pset format unaligned
\pset tuples_only on
SET timezone = 'Asia/Kolkata';
SET datestyle = 'German';
SELECT FROM quizrt.create_quiz_tables();
INSERT INTO quiz.quizzes (quiz_id, owner_id) VALUES (42, 'alice'), (43, 'bob');
INSERT INTO quiz.events VALUES ('e0000000-0000-0000-0000-000000000001', 42);
INSERT INTO quiz.questions (question_id, quiz_id, question_order)
SELECT ('40000000-0000-0000-0000-00000000000' || i)::uuid, 42, i
FROM generate_series(1, 5) AS i;
INSERT INTO quiz.participants VALUES
('b0000000-0000-0000-0000-000000000001', E'Alice "A"\n\u00e9'),
('b0000000-0000-0000-0000-000000000002', 'Bob');
SELECT FROM test.mark();

\echo == attempts: started
INSERT INTO quiz.attempts VALUES
('a0000000-0000-0000-0000-000000000001', 42, NULL, 'b0000000-0000-0000-0000-000000000001', '2026-06-11 14:30:00+00'),
('a0000000-0000-0000-0000-000000000002', 42, 'e0000000-0000-0000-0000-000000000001', 'b0000000-0000-0000-0000-000000000002', '2026-06-11 14:30:00.120500+00');
SELECT * FROM test.events();
\echo == inserted already submitted
INSERT INTO quiz.attempts VALUES
('a0000000-0000-0000-0000-000000000003', 42, NULL, 'b0000000-0000-0000-0000-000000000001', '2026-06-11 14:30:00+00', NULL, '2026-06-11 14:33:02.4009+00');
SELECT * FROM test.events();

\echo == answers: graded, not graded
INSERT INTO quiz.answers VALUES
('c0000000-0000-0000-0000-000000000001', 'a0000000-0000-0000-0000-000000000001', '40000000-0000-0000-0000-000000000002', '"x"', true, 10.0, '2026-06-11 14:31:05+00');
INSERT INTO quiz.answers VALUES
('c0000000-0000-0000-0000-000000000002', 'a0000000-0000-0000-0000-000000000001', '40000000-0000-0000-0000-000000000001', '"x"', NULL, NULL, '2026-06-11 14:31:06.5+00');
SELECT * FROM test.events();
\echo == graded later, response, time: a message; ranking only with the score
UPDATE quiz.answers SET is_correct = false, score = 0 WHERE answer_id = 'c0000000-0000-0000-0000-000000000002';
UPDATE quiz.answers SET response = '"y"' WHERE answer_id = 'c0000000-0000-0000-0000-000000000002';
UPDATE quiz.answers SET answered_at = '2026-06-11 14:31:07+00' WHERE answer_id = 'c0000000-0000-0000-0000-000000000002';
SELECT * FROM test.events();
\echo == nothing changes, or nothing that matters
UPDATE quiz.answers SET score = score, response = response;
UPDATE quiz.answers SET question_id = '40000000-0000-0000-0000-000000000003' WHERE answer_id = 'c0000000-0000-0000-0000-000000000002';
UPDATE quiz.attempts SET deadline = 'infinity';
UPDATE quiz.quizzes SET title = 'Geography', time_limit = '100 years';
UPDATE quiz.events SET title = 'Monday';
UPDATE quiz.questions SET prompt = '?';
SELECT * FROM test.events();
\echo == 10 and 10.0 differ
UPDATE quiz.answers SET score = 10 WHERE score = 10;
SELECT data::json ->> 'score' FROM test.events();
\echo == several rows of one command: they count one by one
INSERT INTO quiz.answers (attempt_id, question_id, score)
SELECT attempt_id::uuid, question_id::uuid, 1.5
FROM (VALUES
	(1, 'a0000000-0000-0000-0000-000000000001', '40000000-0000-0000-0000-000000000001'),
	(2, 'a0000000-0000-0000-0000-000000000002', '40000000-0000-0000-0000-000000000001'),
	(3, 'a0000000-0000-0000-0000-000000000001', '40000000-0000-0000-0000-000000000004'),
	(4, 'a0000000-0000-0000-0000-000000000002', '40000000-0000-0000-0000-000000000002')
) AS v(n, attempt_id, question_id) ORDER BY n;
SELECT kind, topics, right(data::json ->> 'attempt_id', 1), data::json ->> 'answered_count', data::json ->> 'question_order' FROM test.events();
\echo == all of them updated: the count stays
UPDATE quiz.answers SET score = 2 WHERE attempt_id = 'a0000000-0000-0000-0000-000000000001' AND question_id <> '40000000-0000-0000-0000-000000000002';
SELECT data::json ->> 'answered_count', data::json ->> 'score' FROM test.events() WHERE kind = 'update';
\echo == some inserted, some updated
INSERT INTO quiz.answers (attempt_id, question_id, score)
SELECT 'a0000000-0000-0000-0000-000000000002', question_id, 3
FROM quiz.questions ORDER BY question_order DESC
ON CONFLICT (attempt_id, question_id) DO UPDATE SET score = excluded.score;
SELECT data::json ->> 'question_order', data::json ->> 'answered_count' FROM test.events() WHERE kind = 'update';
\echo == a trigger that grades
CREATE FUNCTION test.grade() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE quiz.answers SET score = 7 WHERE answer_id = NEW.answer_id;
	RETURN NULL;
END
$$;
CREATE TRIGGER grade AFTER INSERT ON quiz.answers FOR EACH ROW EXECUTE FUNCTION test.grade();
DELETE FROM quiz.answers WHERE attempt_id = 'a0000000-0000-0000-0000-000000000002';
SELECT FROM test.mark();
INSERT INTO quiz.answers (attempt_id, question_id)
SELECT 'a0000000-0000-0000-0000-000000000002', question_id
FROM quiz.questions WHERE question_order < 4 ORDER BY question_order;
SELECT data::json ->> 'question_order', data::json ->> 'answered_count', data::json ->> 'score' FROM test.events() WHERE kind = 'update';
\echo == one that does so before ours: the last message is right
ALTER TRIGGER grade ON quiz.answers RENAME TO "0_grade";
INSERT INTO quiz.answers (attempt_id, question_id)
SELECT 'a0000000-0000-0000-0000-000000000002', question_id
FROM quiz.questions WHERE question_order > 3 ORDER BY question_order;
SELECT data::json ->> 'answered_count' FROM test.events() WHERE kind = 'update' ORDER BY tx;
DROP TRIGGER "0_grade" ON quiz.answers;
\echo == removed, moved
DELETE FROM quiz.answers WHERE answer_id = 'c0000000-0000-0000-0000-000000000002';
UPDATE quiz.answers SET attempt_id = 'a0000000-0000-0000-0000-000000000003'
WHERE attempt_id = 'a0000000-0000-0000-0000-000000000002' AND question_id = '40000000-0000-0000-0000-000000000005';
SELECT * FROM test.events();

\echo == flags: one message for each attempt and transaction
BEGIN;
INSERT INTO quiz.flags (attempt_id, label, detail, flagged_at) VALUES
('a0000000-0000-0000-0000-000000000001', 'tab_switch', '{"secret": 1}', '2026-06-11 14:32:00+00'),
('a0000000-0000-0000-0000-000000000002', 'Clipboard', NULL, '2026-06-11 14:32:01+00');
INSERT INTO quiz.answers VALUES
('c0000000-0000-0000-0000-000000000003', 'a0000000-0000-0000-0000-000000000001', '40000000-0000-0000-0000-000000000005', NULL, NULL, NULL, '2026-06-11 14:31:08+00');
INSERT INTO quiz.flags (attempt_id, label, flagged_at) VALUES
('a0000000-0000-0000-0000-000000000001', 'star★ "q"', '2026-06-11 14:32:09.25+00'),
('a0000000-0000-0000-0000-000000000001', 'TAB_switch', '2026-06-11 14:32:03+00');
SAVEPOINT a;
INSERT INTO quiz.flags (attempt_id, label, flagged_at) VALUES
('a0000000-0000-0000-0000-000000000001', 'rolled_back', '2026-06-11 14:33:00+00');
ROLLBACK TO a;
COMMIT;
SELECT * FROM test.events();
\echo == the next transaction is another batch
INSERT INTO quiz.flags (attempt_id, label, flagged_at) VALUES
('a0000000-0000-0000-0000-000000000001', 'TAB_SWITCH', '2026-06-11 14:34:00+00');
SELECT * FROM test.events();
\echo == changed and removed
UPDATE quiz.flags SET label = 'x' WHERE label = 'Clipboard';
UPDATE quiz.flags SET detail = '{}';
DELETE FROM quiz.flags WHERE label = 'x';
SELECT * FROM test.events();

\echo == submitted: to the owner and to the participant
UPDATE quiz.attempts SET submitted_at = '2026-06-11 14:33:02.4+00'
WHERE attempt_id = 'a0000000-0000-0000-0000-000000000001';
SELECT * FROM test.events();
\echo == closed by the owner, with a score that was never graded
DELETE FROM quiz.answers WHERE attempt_id = 'a0000000-0000-0000-0000-000000000002';
SELECT FROM test.mark();
UPDATE quiz.attempts SET submitted_at = '2026-06-11 15:30:00.1204999+00', reason = 'forced_by_owner'
WHERE attempt_id = 'a0000000-0000-0000-0000-000000000002';
SELECT * FROM test.events();
\echo == what has no message of its own
UPDATE quiz.attempts SET reason = 'time_up' WHERE attempt_id = 'a0000000-0000-0000-0000-000000000002';
UPDATE quiz.attempts SET submitted_at = NULL, reason = NULL WHERE attempt_id = 'a0000000-0000-0000-0000-000000000002';
UPDATE quiz.attempts SET started_at = '2026-06-11 14:00+00' WHERE attempt_id = 'a0000000-0000-0000-0000-000000000001';
UPDATE quiz.attempts SET event_id = NULL WHERE attempt_id = 'a0000000-0000-0000-0000-000000000002';
UPDATE quiz.attempts SET quiz_id = 43 WHERE attempt_id = 'a0000000-0000-0000-0000-000000000003';
UPDATE quiz.participants SET alias = 'Robert' WHERE alias = 'Bob';
UPDATE quiz.questions SET question_order = 6 WHERE question_order = 5;
DELETE FROM quiz.attempts WHERE quiz_id = 43;
SELECT * FROM test.events();

\echo == access: first of all, and only if it changes
BEGIN;
UPDATE quiz.answers SET score = 99 WHERE question_id = '40000000-0000-0000-0000-000000000002';
UPDATE quiz.quizzes SET owner_id = 'carol' WHERE quiz_id = 42;
COMMIT;
SELECT kind, topics, event FROM test.events();
UPDATE quiz.quizzes SET owner_id = 'carol' WHERE quiz_id = 42;
UPDATE quiz.events SET quiz_id = 43;
DELETE FROM quiz.events;
SELECT * FROM test.events();
INSERT INTO quiz.events VALUES ('e0000000-0000-0000-0000-000000000001', 42);
DELETE FROM quiz.quizzes WHERE quiz_id = 42;
SELECT * FROM test.events();

\echo == truncated
INSERT INTO quiz.attempts (quiz_id, participant_id) SELECT 43, participant_id FROM quiz.participants;
SELECT FROM test.mark();
TRUNCATE quiz.answers;
SELECT * FROM test.events();
TRUNCATE quiz.attempts CASCADE;
SELECT * FROM test.events();
TRUNCATE quiz.quizzes CASCADE;
SELECT * FROM test.events();

\echo == off for replicas
INSERT INTO quiz.quizzes (quiz_id, owner_id) VALUES (1, 'alice');
SET session_replication_role = replica;
DELETE FROM quiz.quizzes;
RESET session_replication_role;
SELECT * FROM test.events();
SET client_min_messages = warning;
DROP SCHEMA quiz CASCADE;
