/*
 * What the consistency checker's writers do, each as a function; "r" is a
 * random number of theirs.
 *
 * Clocks
 *
 * Each writer has a clock in each quiz: an attempt with a single answer,
 * whose score is the number of the writer's last tick.  A tick adds one to
 * it, which the channels get as an update and snapshots show, and publishes
 * what else the transaction knew: all the clocks that it could see, and who
 * owned the quiz (which can't change before the transaction ends).
 *
 * An answer's first grade is true and every later one false, so that who
 * folds the updates knows whether an answer came or changed.  What is neither
 * is put back after a TRUNCATE.
 */
CREATE SCHEMA checker;

CREATE FUNCTION checker.uuid(kind text, a int, b int) RETURNS uuid
LANGUAGE sql IMMUTABLE
RETURN (kind || '-0000-4000-8000-' || lpad(to_hex(a), 6, '0') ||
	lpad(to_hex(b), 6, '0'))::uuid;

CREATE FUNCTION checker.is_clock(attempt uuid) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN attempt BETWEEN 'c10c0000-0000-0000-0000-000000000000'
	AND 'c10c0000-ffff-ffff-ffff-ffffffffffff';

CREATE FUNCTION checker.setup(quizzes int, writers int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO quiz.quizzes (quiz_id, owner_id)
	SELECT q, CASE q % 2 WHEN 1 THEN 'alice' ELSE 'bob' END
	FROM generate_series(1, quizzes) AS q;
	INSERT INTO quiz.events (event_id, quiz_id)
	SELECT checker.uuid('e0000000', 0, q), q
	FROM generate_series(1, quizzes) AS q;
	INSERT INTO quiz.questions (question_id, quiz_id, question_order)
	SELECT checker.uuid('90000000', q, n), q, n
	FROM generate_series(1, quizzes) AS q, generate_series(1, 12) AS n;
	INSERT INTO quiz.participants (participant_id, alias)
	SELECT checker.uuid('a0000000', q, n), 'somebody ' || n
	FROM generate_series(1, quizzes) AS q, generate_series(0, 9) AS n;
	INSERT INTO quiz.attempts (attempt_id, quiz_id, event_id, participant_id)
	SELECT checker.uuid('c10c0000', w, q), q, checker.uuid('e0000000', 0, q),
		checker.uuid('a0000000', q, 0)
	FROM generate_series(1, quizzes) AS q, generate_series(0, writers - 1) AS w;
	INSERT INTO quiz.answers (attempt_id, question_id, is_correct, score)
	SELECT attempt_id, checker.uuid('90000000', quiz_id::int, 1), true, 0
	FROM quiz.attempts;
END
$$;

CREATE FUNCTION checker.tick(w int, q int, ghost boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	owner text;
	n bigint;
	seen text;
	channel text;
BEGIN
	SELECT owner_id INTO owner FROM quiz.quizzes WHERE quiz_id = q FOR SHARE;
	UPDATE quiz.answers SET score = score + 1, is_correct = true
	WHERE attempt_id = checker.uuid('c10c0000', w, q)
	RETURNING score INTO n;
	IF n IS NULL THEN	-- our snapshot is older than a TRUNCATE
		RAISE 'the clock is hidden' USING ERRCODE = 'serialization_failure';
	END IF;
	SELECT string_agg(score::text, ',' ORDER BY attempt_id) INTO seen
	FROM quiz.answers WHERE checker.is_clock(attempt_id);
	FOREACH channel IN ARRAY ARRAY['quiz:' || q, 'attempts:' || q,
		'attempts:' || checker.uuid('e0000000', 0, q)]
	LOOP
		PERFORM quizrt.publish(channel, 'tick', format('{"topic":"%s",'
			'"writer":%s,"quiz":%s,"number":%s,"owner":"%s","ghost":%s,'
			'"at":%s,"seen":[%s]}', channel, w, q, n, owner, ghost::text,
			floor(extract(epoch FROM clock_timestamp()) * 1000), seen)::json);
	END LOOP;
END
$$;

/* Told when the writers rest; "number" counts the rests. */
CREATE FUNCTION checker.mark(quizzes int, number int) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	channel text;
BEGIN
	FOR channel IN SELECT type || ':' || id FROM generate_series(1, quizzes) AS q,
		unnest(ARRAY['quiz', 'attempts']) AS type,
		unnest(ARRAY[q::text, checker.uuid('e0000000', 0, q)::text]) AS id
		WHERE type = 'attempts' OR id = q::text
	LOOP
		PERFORM quizrt.publish(channel, 'mark',
			format('{"topic":"%s","number":%s}', channel, number)::json);
	END LOOP;
END
$$;

CREATE FUNCTION checker.attempt(q int, r int, open boolean) RETURNS uuid
LANGUAGE sql STABLE AS $$
SELECT attempt_id FROM quiz.attempts
WHERE quiz_id = q AND NOT checker.is_clock(attempt_id)
	AND (NOT open OR submitted_at IS NULL)
ORDER BY hashtext(attempt_id::text || r) LIMIT 1
$$;

CREATE FUNCTION checker.answer(q int, r int) RETURNS uuid
LANGUAGE sql STABLE AS $$
SELECT answer_id FROM quiz.answers
WHERE attempt_id = checker.attempt(q, r, false)
ORDER BY hashtext(answer_id::text || r) LIMIT 1
$$;

CREATE FUNCTION checker.op_start(q int, r int) RETURNS void
LANGUAGE sql AS $$
INSERT INTO quiz.attempts (quiz_id, event_id, participant_id)
SELECT q, CASE WHEN r % 3 > 0 THEN checker.uuid('e0000000', 0, q) END,
	checker.uuid('a0000000', q, r % 10)
WHERE (SELECT count(*) FROM quiz.attempts WHERE quiz_id = q) < 40
$$;

CREATE FUNCTION checker.op_answer(q int, r int) RETURNS void
LANGUAGE sql AS $$
INSERT INTO quiz.answers AS a (attempt_id, question_id, is_correct, score)
SELECT attempt, checker.uuid('90000000', q, 2 + r % 11), true, 1 + r % 9
FROM checker.attempt(q, r, true) AS attempt WHERE attempt IS NOT NULL
ON CONFLICT (attempt_id, question_id)
DO UPDATE SET score = a.score + 0.001, is_correct = false
$$;

CREATE FUNCTION checker.op_answers(q int, r int) RETURNS void
LANGUAGE sql AS $$
INSERT INTO quiz.answers (attempt_id, question_id, is_correct, score)
SELECT attempt, checker.uuid('90000000', q, n), true, 0.5
FROM checker.attempt(q, r, true) AS attempt,
	generate_series(2 + r % 5, 5 + r % 8) AS n WHERE attempt IS NOT NULL
ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION checker.op_regrade(q int, r int) RETURNS void
LANGUAGE sql AS $$
UPDATE quiz.answers SET score = score + 0.001, is_correct = false
WHERE answer_id = checker.answer(q, r)
$$;

CREATE FUNCTION checker.op_regrade_all(q int, r int) RETURNS void
LANGUAGE sql AS $$
UPDATE quiz.answers SET score = score + 0.001, is_correct = false
WHERE NOT checker.is_clock(attempt_id)
	AND attempt_id IN (SELECT attempt_id FROM quiz.attempts WHERE quiz_id = q)
$$;

CREATE FUNCTION checker.op_flag(q int, r int) RETURNS void
LANGUAGE sql AS $$
INSERT INTO quiz.flags (attempt_id, label)
SELECT attempt, 'label_' || (hashtext((r + n)::text) & 7)
FROM checker.attempt(q, r, false) AS attempt, generate_series(0, r % 3) AS n
WHERE attempt IS NOT NULL
$$;

CREATE FUNCTION checker.op_submit(q int, r int) RETURNS void
LANGUAGE sql AS $$
UPDATE quiz.attempts SET submitted_at = clock_timestamp(),
	reason = (ARRAY['submitted', 'forced_by_owner', NULL])[1 + r % 3]
WHERE attempt_id = checker.attempt(q, r, true)
$$;

/* What has no message of its own. */

CREATE FUNCTION checker.op_unanswer(q int, r int) RETURNS void
LANGUAGE sql AS $$
DELETE FROM quiz.answers WHERE answer_id = checker.answer(q, r)
	AND NOT checker.is_clock(attempt_id)
$$;

CREATE FUNCTION checker.op_unstart(q int, r int) RETURNS void
LANGUAGE sql AS $$
DELETE FROM quiz.attempts WHERE attempt_id = checker.attempt(q, r, false)
$$;

CREATE FUNCTION checker.op_unflag(q int, r int) RETURNS void
LANGUAGE sql AS $$
DELETE FROM quiz.flags WHERE attempt_id = checker.attempt(q, r, false)
$$;

CREATE FUNCTION checker.op_reopen(q int, r int) RETURNS void
LANGUAGE sql AS $$
UPDATE quiz.attempts SET submitted_at = NULL, reason = NULL
WHERE attempt_id = checker.attempt(q, r, false)
$$;

CREATE FUNCTION checker.op_rename(q int, r int) RETURNS void
LANGUAGE sql AS $$
UPDATE quiz.participants SET alias = 'renamed ' || r
WHERE participant_id = checker.uuid('a0000000', q, r % 10)
$$;

/* To the next quiz, or back from there. */
CREATE FUNCTION checker.op_move(q int, r int) RETURNS void
LANGUAGE sql AS $$
UPDATE quiz.attempts SET quiz_id = 2 + (q + r) % 2, event_id = NULL
WHERE attempt_id = checker.attempt(q, r, false)
$$;

CREATE FUNCTION checker.op_truncate(q int, r int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF r % 2 = 0 THEN
		TRUNCATE quiz.flags;
		RETURN;
	END IF;
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RETURN;		-- we would put back what our old snapshot shows
	END IF;
	LOCK TABLE quiz.answers;
	CREATE TEMPORARY TABLE clocks ON COMMIT DROP AS
	SELECT * FROM quiz.answers WHERE checker.is_clock(attempt_id);
	TRUNCATE quiz.answers;
	UPDATE clocks SET is_correct = NULL;
	INSERT INTO quiz.answers SELECT * FROM clocks;
	DROP TABLE clocks;
END
$$;

CREATE FUNCTION checker.op_transfer(q int, r int) RETURNS void
LANGUAGE sql AS $$
UPDATE quiz.quizzes SET owner_id =
	CASE owner_id WHEN 'alice' THEN 'bob' ELSE 'alice' END
WHERE quiz_id = q
$$;

/* What the channels are to show, as the checker prints it. */

CREATE VIEW checker.attempts AS
SELECT a.attempt_id, a.quiz_id, a.event_id, count(s.answer_id) AS answers,
	coalesce(sum(s.score), 0) AS score, a.submitted_at IS NOT NULL AS submitted,
	floor(extract(epoch FROM a.submitted_at - a.started_at) * 1000)::bigint
		AS milliseconds, a.started_at,
	ARRAY(SELECT DISTINCT upper(label) COLLATE "C" AS l FROM quiz.flags AS f
		WHERE f.attempt_id = a.attempt_id ORDER BY l) AS labels
FROM quiz.attempts AS a LEFT JOIN quiz.answers AS s USING (attempt_id)
GROUP BY a.attempt_id;

CREATE VIEW checker.truth AS
SELECT quiz_id, event_id, attempt_id || ' ' || answers || ' ' ||
	(score * 1000)::bigint || ' ' || coalesce(milliseconds, -1) || ' ' ||
	array_to_string(labels, ',') AS line
FROM checker.attempts;

CREATE FUNCTION checker.leaderboard(quiz bigint, event uuid) RETURNS text
LANGUAGE sql STABLE AS $$
SELECT string_agg(place || ' ' || attempt_id || ' ' ||
	(score * 1000)::bigint || ' ' || answers || ' ' ||
	coalesce(milliseconds, -1), E'\n' ORDER BY place, attempt_id)
FROM (SELECT rank() OVER (ORDER BY score DESC, milliseconds NULLS LAST,
		started_at) AS place, *
	FROM checker.attempts WHERE quiz_id = quiz OR event_id = event
	ORDER BY 1, attempt_id LIMIT 100) AS ranked
$$;
