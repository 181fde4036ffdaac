-- Tables of other names and shapes
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/include/events.sql'
\i :include
CREATE SCHEMA app;
CREATE TABLE app.tests (id int PRIMARY KEY, teacher int NOT NULL);
CREATE TABLE app.users (id int PRIMARY KEY, nick text);
CREATE TABLE app.runs (id text NOT NULL, dropped int, test int, "user" int,
	begun timestamptz, done boolean NOT NULL DEFAULT false, done_at timestamptz)
PARTITION BY LIST (test);
CREATE TABLE app.runs_1 PARTITION OF app.runs FOR VALUES IN (1);
ALTER TABLE app.runs DROP COLUMN dropped;
CREATE TABLE app.runs_2 (test int, done_at timestamptz, "user" int, id text NOT NULL,
	begun timestamptz, done boolean NOT NULL DEFAULT false);
CREATE TABLE app.replies (id int, run text, nr int, points float8, at timestamptz,
	PRIMARY KEY (id));
CREATE VIEW app.v AS SELECT 1 AS quiz_id, 'a' AS owner_id;

-- what can't be attached
SELECT FROM quizrt.attach_quizzes('app.v');
SELECT FROM quizrt.attach_quizzes('app.tests');
SELECT FROM quizrt.attach_quizzes('app.tests', '[]');
SELECT FROM quizrt.attach_quizzes('app.tests', '{"quiz_id": "id", "owner": "teacher"}');
SELECT FROM quizrt.attach_quizzes('app.tests', '{"quiz_id": "id", "owner_id": 7}');
SELECT FROM quizrt.attach_answers('app.replies');
SELECT FROM quizrt.attach_quizzes('app.tests', '{"quiz_id": "id", "owner_id": "teacher"}');
-- wrong expressions are found when the table is attached, not by a writer
SELECT FROM quizrt.attach_attempts('app.runs', '{"attempt_id": "id",
	"quiz_id": "test", "participant_id": "user", "started_at": "begun",
	"submitted_at": "done_at", "alias": "SELECT nick FROM app.nobody"}');
SELECT FROM quizrt.attach_attempts('app.runs', '{"attempt_id": "id",
	"quiz_id": "test", "participant_id": "user", "started_at": "begun",
	"submitted_at": "done_at", "alias": "1), (2"}');
SELECT FROM quizrt.attach_attempts('app.runs', '{"attempt_id": "id",
	"quiz_id": "test", "participant_id": "user", "started_at": "begun",
	"submitted_at": "done_at", "alias": "1); DROP TABLE app.replies; SELECT (1"}');
-- a type that a message can't have, a column that isn't there, ids that can't be compared
SELECT FROM quizrt.attach_attempts('app.runs', '{"attempt_id": "id",
	"quiz_id": "test", "participant_id": "user", "started_at": "extract(epoch FROM attempt.begun)::bigint",
	"submitted_at": "done_at", "alias": "''x''"}');
SELECT FROM quizrt.attach_attempts('app.runs', '{"attempt_id": "id",
	"quiz_id": "tset", "participant_id": "user", "started_at": "begun",
	"submitted_at": "done_at", "alias": "''x''"}');
SELECT FROM quizrt.attach_attempts('app.runs', '{"attempt_id": "id",
	"quiz_id": "begun", "participant_id": "user", "started_at": "begun",
	"submitted_at": "done_at", "alias": "''x''"}');
BEGIN;
SELECT FROM quizrt.attach_attempts('app.runs', '{"attempt_id": "id",
	"quiz_id": "test", "participant_id": "user", "started_at": "begun",
	"submitted_at": "done_at", "alias": "''x''"}');
SELECT FROM quizrt.attach_answers('app.replies', '{"answer_id": "id",
	"attempt_id": "nr", "question_id": "nr", "question_order": "attempt.test",
	"is_correct": "true", "score": "points", "answered_at": "at"}');
ROLLBACK;
SELECT quizrt.is_expression(e) FROM unnest(ARRAY['1', '(1)', 'a.b', 'SELECT 1 FROM t',
	'1), (2', '1) FROM (SELECT 1) AS a(b', '1) UNION SELECT (2', '1) LIMIT (1']) AS e;
SELECT quizrt.is_expression('1 FROM t');
SELECT quizrt.is_expression('1 --');
SELECT quizrt.is_expression('');
SELECT relation, role FROM quizrt.attachments;

SELECT FROM quizrt.attach_attempts('app.runs', '{"attempt_id": "id",
	"quiz_id": "test", "participant_id": "user", "started_at": "begun",
	"submitted_at": "CASE WHEN attempt.done THEN attempt.done_at END",
	"alias": "SELECT nick FROM app.users AS u WHERE u.id = attempt.\"user\""}');
ALTER TABLE app.runs ATTACH PARTITION app.runs_2 FOR VALUES IN (2);
SELECT FROM quizrt.attach_answers('app.replies', '{"answer_id": "id",
	"attempt_id": "run", "question_id": "nr", "question_order": "nr",
	"is_correct": "answer.points > 0", "score": "points", "answered_at": "at"}');
SELECT * FROM quizrt.attachments ORDER BY role;
SELECT FROM quizrt.attach_quizzes('app.users', '{"quiz_id": "id", "owner_id": "nick"}');
SELECT FROM quizrt.create_quiz_tables();

\pset format unaligned
\pset tuples_only on
INSERT INTO app.users VALUES (1, 'Ann'), (2, NULL);
INSERT INTO app.tests VALUES (1, 70), (2, 71);
SELECT FROM test.mark();
INSERT INTO app.runs VALUES ('one', 1, 1, '2026-06-11 14:30+00'), ('two', 2, 2, '2026-06-11 14:30+00');
INSERT INTO app.replies VALUES (1, 'one', 1, 0.1, '2026-06-11 14:31+00'), (2, 'two', 1, 'NaN', NULL);
SELECT * FROM test.events();
-- the expression for submitted_at: not before both are there
UPDATE app.runs SET done_at = '2026-06-11 14:32+00';
SELECT * FROM test.events();
UPDATE app.runs SET done = true;
SELECT * FROM test.events();
-- a row that moves to another partition comes anew
UPDATE app.runs SET test = 2 WHERE id = 'one';
SELECT kind, topics, event FROM test.events();

-- renamed, moved and altered while it is attached and in use
ALTER TABLE app.replies RENAME TO responses;
CREATE SCHEMA app2;
ALTER TABLE app.responses SET SCHEMA app2;
ALTER TABLE app2.responses ADD COLUMN note text DEFAULT 'x';
ALTER TABLE app.runs RENAME TO "Runs";
INSERT INTO app2.responses VALUES (3, 'one', 2, 1.5, '2026-06-11 14:31+00');
SELECT * FROM test.events();
-- a column that is gone: the writer goes on, and everybody is told of a loss
ALTER TABLE app2.responses RENAME COLUMN points TO score;
INSERT INTO app2.responses VALUES (4, 'one', 3, 1.5, NULL);
SELECT FROM quizrt.attach_answers('app2.responses', '{"answer_id": "id",
	"attempt_id": "run", "question_id": "nr", "question_order": "nr",
	"is_correct": "true", "answered_at": "at"}');
SELECT kind, topics FROM test.events();
INSERT INTO app2.responses VALUES (44, 'one', 3, 1.5, NULL);
SELECT * FROM test.events();
-- an expression runs with a pinned search_path
SET search_path = app, app2;
INSERT INTO responses VALUES (5, 'one', 4, 1.5, NULL);
SELECT event, topics FROM test.events();
RESET search_path;

-- nothing is told where a transaction wants it so, and then again
BEGIN;
SET LOCAL quizrt.publish = off;
INSERT INTO app2.responses VALUES (50, 'one', 5, 1.5, NULL);
DELETE FROM app.tests WHERE id = 2;
COMMIT;
SELECT kind, topics FROM test.events();
INSERT INTO app2.responses VALUES (51, 'one', 6, 1.5, NULL);
SELECT data::json ->> 'answered_count' FROM test.events() WHERE event IS NOT NULL;
-- a replica applies what others have told of
SET session_replication_role = replica;
INSERT INTO app2.responses VALUES (52, 'one', 7, 1.5, NULL);
RESET session_replication_role;
SELECT kind, topics FROM test.events();
-- much at once: each topic is told to begin anew
\copy app2.responses (id, run, nr, score) FROM PROGRAM 'seq 1000 100999 | sed "s/.*/&,one,&,1/"' CSV
SELECT kind, topics, data IS NULL FROM test.events() ORDER BY tx DESC LIMIT 1;
BEGIN;
SET LOCAL quizrt.publish = off;
DELETE FROM app2.responses WHERE id >= 1000;
COMMIT;

-- detached: silence
SELECT FROM quizrt.detach('app2.responses');
SELECT FROM quizrt.detach('app2.responses');
INSERT INTO app2.responses VALUES (6, 'one', 5, 1.5, NULL);
SELECT count(*) FROM test.events();
-- messages go on without the table that is gone
INSERT INTO app."Runs" VALUES ('three', 2, 1, '2026-06-11 14:30+00', true, '2026-06-11 14:31+00');
SELECT * FROM test.events() WHERE event = 'attempt_closed';
-- a dump has everything: what the triggers say makes the attachment
SELECT pg_get_triggerdef(oid) FROM pg_trigger
WHERE tgrelid = 'app.tests'::regclass AND NOT tgisinternal ORDER BY tgname;
SET client_min_messages = warning;
DROP SCHEMA app, app2 CASCADE;
