-- The reference tables: what they are, and how they come and go
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/include/events.sql'
\i :include
SELECT FROM quizrt.create_quiz_tables();

SELECT c.relname, a.attname, format_type(a.atttypid, NULL) AS type,
	a.attnotnull AS not_null
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'quiz'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
ORDER BY c.relname, a.attnum;

SELECT conrelid::regclass, conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'quiz'::regnamespace AND contype <> 'n'
ORDER BY 1::text, 2;

-- every foreign key has an index
SELECT c.conrelid::regclass, c.conname FROM pg_constraint AS c
WHERE c.connamespace = 'quiz'::regnamespace AND c.contype = 'f'
	AND NOT EXISTS (SELECT FROM pg_index AS i
		WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]
			AND i.indpred IS NULL)
ORDER BY 2;

SELECT relation, role FROM quizrt.attachments ORDER BY role, relation::text;

-- nothing of them depends on the extension but the triggers
SELECT d.classid::regclass, count(*)
FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.refobjid
LEFT JOIN pg_trigger AS t ON t.oid = d.objid
LEFT JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE d.refclassid = 'pg_proc'::regclass AND d.deptype = 'n'
	AND p.pronamespace = 'quizrt'::regnamespace
	AND coalesce(c.relnamespace <> 'quizrt'::regnamespace, d.classid <> 'pg_rewrite'::regclass)
GROUP BY 1;

-- the shortest inserts; the quiz's time limit becomes the deadline
INSERT INTO quiz.quizzes (owner_id, time_limit) VALUES ('alice', '10 min')
RETURNING quiz_id;
INSERT INTO quiz.questions (quiz_id, question_order) VALUES (1, 1);
INSERT INTO quiz.events (quiz_id) VALUES (1);
INSERT INTO quiz.participants (alias) VALUES ('Bob')
RETURNING participant_id IS NOT NULL AS has_id;
UPDATE quiz.participants SET participant_id = 'b0000000-0000-0000-0000-000000000002';
INSERT INTO quiz.attempts (quiz_id, participant_id)
SELECT 1, participant_id FROM quiz.participants
RETURNING deadline - started_at AS deadline, submitted_at, reason;
INSERT INTO quiz.answers (attempt_id, question_id)
SELECT attempt_id, question_id FROM quiz.attempts, quiz.questions;
INSERT INTO quiz.flags (attempt_id, label)
SELECT attempt_id, 'tab_switch' FROM quiz.attempts;
-- a deadline that is given stays
INSERT INTO quiz.attempts (quiz_id, participant_id, deadline)
SELECT 1, participant_id, '2030-01-01 00:00+00' FROM quiz.participants
RETURNING deadline = '2030-01-01 00:00+00' AS kept;
UPDATE quiz.quizzes SET time_limit = NULL;
INSERT INTO quiz.attempts (quiz_id, participant_id)
SELECT 1, participant_id FROM quiz.participants
RETURNING deadline;

-- refused
\set VERBOSITY terse
INSERT INTO quiz.questions (quiz_id, question_order) VALUES (1, 0);
INSERT INTO quiz.questions (question_id, quiz_id, question_order)
VALUES ('00000000-0000-0000-0000-000000000000', 1, 1);
UPDATE quiz.attempts SET reason = 'tired';
INSERT INTO quiz.quizzes (owner_id, time_limit) VALUES ('alice', '0');
INSERT INTO quiz.quizzes (quiz_id, owner_id) VALUES (-1, 'alice');

\set VERBOSITY default

-- one set at a time; called again it attaches the same tables
SELECT FROM quizrt.create_quiz_tables('other');
SELECT FROM quizrt.create_quiz_tables();
SELECT count(*) FROM quizrt.attachments;

-- what the query workers ask
SELECT 'PREPARE owners (text[], text[]) AS ' || quizrt.owner_query() AS query \gset
:query;
INSERT INTO quiz.quizzes (quiz_id, owner_id)
VALUES (9223372036854775807, 'max'), (42, 'carol');
INSERT INTO quiz.events (event_id, quiz_id)
VALUES ('01936400-cccc-7def-8000-000000000003', 42);
EXECUTE owners ('{quiz,attempts,leaderboard,quiz,attempts,attempts,quiz,quiz,quiz,quiz}',
	'{42,01936400-CCCC-7def-8000-000000000003,42,43,01936400-cccc-7def-8000-000000000004,x,9223372036854775807,9223372036854775808,01936400-cccc-7def-8000-000000000003,99999999999999999999}');
SELECT 'PREPARE attempts (text[]) AS ' || quizrt.attempt_query() AS query \gset
:query;
INSERT INTO quiz.attempts (attempt_id, quiz_id, participant_id, submitted_at)
SELECT id::uuid, 42, participant_id, submitted
FROM quiz.participants, (VALUES
	('01936400-cccc-7def-8000-000000000005', NULL),
	('01936400-cccc-7def-8000-000000000006', now())) AS v(id, submitted);
EXECUTE attempts ('{01936400-CCCC-7def-8000-000000000006,x,01936400-cccc-7def-8000-000000000005,01936400-cccc-7def-8000-000000000007}');

-- the tables outlive the extension, and are attached again
SET client_min_messages = warning;
DROP EXTENSION quizrt CASCADE;
RESET client_min_messages;
SELECT count(*) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'quiz'::regnamespace AND NOT t.tgisinternal;
INSERT INTO quiz.flags (attempt_id, label)
VALUES ('01936400-cccc-7def-8000-000000000005', 'tab_switch');
CREATE EXTENSION quizrt;
SELECT quizrt.owner_query(), quizrt.attempt_query();
SELECT FROM quizrt.create_quiz_tables();
SELECT FROM test.mark();
INSERT INTO quiz.flags (attempt_id, label, flagged_at)
VALUES ('01936400-cccc-7def-8000-000000000005', 'tab_switch', '2026-06-11 14:32+00');
SELECT * FROM test.events();

-- another schema, with a name that needs quotes
SET client_min_messages = warning;
DROP SCHEMA quiz CASCADE;
RESET client_min_messages;
SELECT FROM quizrt.create_quiz_tables('My "quiz''s"');
INSERT INTO "My ""quiz's""".quizzes (quiz_id, owner_id) VALUES (1, 'alice');
INSERT INTO "My ""quiz's""".participants VALUES ('01936400-bbbb-7def-8000-000000000002', 'Bob');
INSERT INTO "My ""quiz's""".attempts
VALUES ('019364ab-7c12-7def-8000-abcdef123456', 1, NULL,
	'01936400-bbbb-7def-8000-000000000002', '2026-06-11 14:30+00');
SELECT * FROM test.events();
SET client_min_messages = warning;
DROP SCHEMA "My ""quiz's""" CASCADE;
