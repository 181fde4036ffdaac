-- What can't be told of does not fail whoever writes it
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/include/events.sql'
\i :include
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION test.failures() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint := coalesce(nullif(current_setting('test.failures', true), ''), '0');
	now bigint := (SELECT value FROM quizrt.stats WHERE name = 'events_failed');
BEGIN
	PERFORM set_config('test.failures', now::text, false);
	RETURN now - before;
END
$$;
SELECT FROM test.failures();
CREATE SCHEMA app;
CREATE TABLE app.tests (id int PRIMARY KEY, teacher int NOT NULL, minutes int);
CREATE TABLE app.people (id int PRIMARY KEY, name text);
CREATE TABLE app.runs (id int PRIMARY KEY, test int, who int, begun timestamptz,
	done_at timestamptz, extra text, until timestamptz);
CREATE TABLE app.replies (id int PRIMARY KEY, run int, nr int, points text, at timestamptz);
CREATE TABLE app.marks (run int, word text, at timestamptz);
SELECT FROM quizrt.attach_quizzes('app.tests', '{"quiz_id": "id",
	"owner_id": "teacher", "time_limit": "make_interval(mins => 60 / quiz.minutes)"}');
SELECT FROM quizrt.attach_attempts('app.runs', '{"attempt_id": "id",
	"quiz_id": "test", "participant_id": "who", "started_at": "begun",
	"submitted_at": "done_at", "deadline": "until",
	"alias": "SELECT p.name || left(attempt.extra, -1 / length(attempt.extra)) FROM app.people AS p WHERE p.id = attempt.who"}');
SELECT FROM quizrt.attach_answers('app.replies', '{"answer_id": "id",
	"attempt_id": "run", "question_id": "nr", "question_order": "nr",
	"is_correct": "answer.points::numeric > 0", "score": "answer.points::numeric",
	"answered_at": "at"}');
SELECT FROM quizrt.attach_flags('app.marks', '{"attempt_id": "run",
	"label": "split_part(flag.word, ''-'', length(flag.word) - 3)", "flagged_at": "at"}');
INSERT INTO app.tests VALUES (1, 7, 1), (2, 7, 0);
INSERT INTO app.people VALUES (1, 'Ann');

-- an expression that fails for a row: the topics are those of the row
INSERT INTO app.runs VALUES (1, 1, 1, '2026-06-11 14:30+00', NULL, 'x');
SELECT event, kind, topics FROM test.events();
INSERT INTO app.runs VALUES (2, 1, 1, '2026-06-11 14:30+00', NULL, '');
SELECT kind, topics FROM test.events();
SELECT test.failures();
-- once a minute
INSERT INTO app.runs VALUES (3, 1, 1, '2026-06-11 14:30+00', NULL, '');
UPDATE app.runs SET test = 2 WHERE id = 3;
SELECT kind, topics FROM test.events();
SELECT test.failures();
-- a new attempt whose deadline can't be found has none
INSERT INTO app.runs VALUES (4, 2, 1, '2026-06-11 14:30+00', NULL, 'x') RETURNING until;
INSERT INTO app.runs VALUES (5, 1, 1, '2026-06-11 14:30+00', NULL, 'x') RETURNING until > begun;
SELECT event, kind, topics FROM test.events();
SELECT test.failures();

-- some of the rows of a command: the others are sent, and counted
INSERT INTO app.replies SELECT i, 1, i, CASE WHEN i = 3 THEN 'much' ELSE '1.5' END,
	'2026-06-11 14:31+00' FROM generate_series(1, 5) AS i;
SELECT kind, topics, data::json ->> 'question_order' AS question,
	data::json ->> 'answered_count' AS answers FROM test.events();
SELECT test.failures();
SELECT count(*) FROM app.replies;
INSERT INTO app.marks VALUES (1, 'a-b', '2026-06-11 14:31+00');
SELECT kind, topics FROM test.events();
SELECT test.failures();
-- the table is altered: nothing is known any more, and each is told
ALTER TABLE app.runs RENAME COLUMN test TO exam;
INSERT INTO app.runs VALUES (6, 1, 1, '2026-06-11 14:30+00', NULL, 'x');
INSERT INTO app.replies VALUES (6, 1, 6, '2', now());
SELECT DISTINCT kind, topics FROM test.events();
-- renamed back, it goes on
ALTER TABLE app.runs RENAME COLUMN exam TO test;
INSERT INTO app.runs VALUES (7, 1, 1, '2026-06-11 14:30+00', NULL, 'x');
SELECT event, kind, topics FROM test.events();
-- a table that messages look into
ALTER TABLE app.people RENAME TO persons;
INSERT INTO app.runs VALUES (8, 1, 1, '2026-06-11 14:30+00', NULL, 'x');
SELECT kind, topics FROM test.events();
-- for many rows at once, nobody looks for it again
SELECT FROM test.failures();
INSERT INTO app.runs SELECT i, 1, 1, '2026-06-11 14:30+00', NULL, 'x' FROM generate_series(100, 1099) AS i;
SELECT kind, topics FROM test.events() LIMIT 2;
SELECT test.failures();
TRUNCATE app.marks;
SELECT kind, topics FROM test.events() LIMIT 2;
-- too large
CREATE TABLE app.persons2 AS SELECT 1 AS id, repeat('x', 2000000) AS name;
ALTER TABLE app.persons2 RENAME TO people;
INSERT INTO app.runs VALUES (9, 1, 1, '2026-06-11 14:30+00', NULL, 'x');
SELECT kind, topics FROM test.events();
-- publish() says what is wrong
SELECT quizrt.publish('quiz:1', 'e', json_build_object('a', repeat('x', 2000000)));
SET client_min_messages = warning;
DROP SCHEMA app CASCADE;
