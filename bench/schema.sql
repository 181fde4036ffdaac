/*
 * What the benchmark writes to, in a database with the extension.
 *
 * :channels quizzes with ids from 1 on, of the owner "bench", each with a class
 * of 40 and 30 questions; and one, :writers_quiz, with 20,000 attempts for
 * writers that are to meet nobody.  Ids are made of numbers, so that a
 * statement can name a row without having looked for it.
 */
SET client_min_messages = warning;
SELECT quizrt.create_quiz_tables();
CREATE SCHEMA bench;

CREATE FUNCTION bench.id(kind text, number bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE
AS $$ SELECT ('00000000-0000-4000-' || kind || '-' || 100000000000 + number)::uuid $$;

/* The attempt and question of the n-th answer in a quiz of a class of 40. */
CREATE FUNCTION bench.attempt_id(quiz int, n int) RETURNS uuid
LANGUAGE sql IMMUTABLE
AS $$ SELECT bench.id('8000', quiz * 100 + n % 40) $$;

CREATE FUNCTION bench.question_id(quiz int, n int) RETURNS uuid
LANGUAGE sql IMMUTABLE
AS $$ SELECT bench.id('9000', quiz * 100 + n / 40) $$;

INSERT INTO quiz.quizzes (quiz_id, owner_id, title)
SELECT q, 'bench', 'Quiz ' || q FROM generate_series(1, :channels) AS q
UNION ALL SELECT :writers_quiz, 'bench', 'Writers';

INSERT INTO quiz.questions (question_id, quiz_id, question_order)
SELECT bench.id('9000', q * 100 + n), q, n + 1
FROM generate_series(1, :channels) AS q, generate_series(0, 29) AS n
UNION ALL
SELECT bench.id('9001', n), :writers_quiz, n + 1 FROM generate_series(0, 99) AS n;

INSERT INTO quiz.participants (participant_id, alias)
SELECT bench.id('a000', n), 'Participant ' || n FROM generate_series(0, 19999) AS n;

INSERT INTO quiz.attempts (attempt_id, quiz_id, participant_id)
SELECT bench.id('8000', q * 100 + n), q, bench.id('a000', n)
FROM generate_series(1, :channels) AS q, generate_series(0, 39) AS n
UNION ALL
SELECT bench.id('8001', n), :writers_quiz, bench.id('a000', n)
FROM generate_series(0, 19999) AS n;

/*
 * What others would hang on the table of answers.  The JSON is that of
 * attempt_update, made by the query that one would write for it.
 */
CREATE FUNCTION bench.message(answer quiz.answers) RETURNS json
LANGUAGE sql STABLE
AS $$
SELECT json_build_object('attempt_id', a.attempt_id,
	'participant_id', a.participant_id, 'alias', p.alias,
	'quiz_id', a.quiz_id, 'event_id', a.event_id,
	'question_id', answer.question_id, 'answer_id', answer.answer_id,
	'is_correct', answer.is_correct, 'score', answer.score,
	'answered_at', answer.answered_at,
	'answered_count', (SELECT count(*) FROM quiz.answers AS o
		WHERE o.attempt_id = a.attempt_id),
	'question_order', q.question_order)
FROM quiz.attempts AS a
JOIN quiz.participants AS p USING (participant_id)
JOIN quiz.questions AS q ON q.question_id = answer.question_id
WHERE a.attempt_id = answer.attempt_id
$$;

CREATE FUNCTION bench.noop() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RETURN NULL; END $$;

CREATE FUNCTION bench.json() RETURNS trigger LANGUAGE plpgsql
AS $$
DECLARE
	message text;
BEGIN
	message := bench.message(NEW);
	RETURN NULL;
END
$$;

CREATE FUNCTION bench.notify() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM pg_notify('bench', bench.message(NEW)::text);
	RETURN NULL;
END
$$;

CREATE TRIGGER bench_noop AFTER INSERT ON quiz.answers
	FOR EACH ROW EXECUTE FUNCTION bench.noop();
CREATE TRIGGER bench_json AFTER INSERT ON quiz.answers
	FOR EACH ROW EXECUTE FUNCTION bench.json();
CREATE TRIGGER bench_notify AFTER INSERT ON quiz.answers
	FOR EACH ROW EXECUTE FUNCTION bench.notify();

/* Empty the table of answers, and give it these triggers only. */
CREATE FUNCTION bench.use(VARIADIC names text[]) RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
	name text;
BEGIN
	ALTER TABLE quiz.answers DISABLE TRIGGER USER;
	TRUNCATE quiz.answers;
	FOREACH name IN ARRAY names LOOP
		EXECUTE format('ALTER TABLE quiz.answers ENABLE TRIGGER %I', name);
	END LOOP;
END
$$;

SELECT bench.use('0_quizrt_change', 'quizrt_truncate');
VACUUM ANALYZE;
