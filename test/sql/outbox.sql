-- A transaction's events: in order, when it commits, and only then
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/include/events.sql'
\i :include
CREATE FUNCTION test.publish(quiz int, event text DEFAULT 'a')
RETURNS void LANGUAGE sql AS $$
	SELECT quizrt.publish('quiz:' || quiz, event, '{}')
$$;
SELECT FROM test.mark();

BEGIN;
SELECT FROM test.publish(1);
SELECT * FROM test.events();
SELECT FROM test.publish(2);
COMMIT;
SELECT * FROM test.events();

BEGIN;
SELECT FROM test.publish(1);
ROLLBACK;
BEGIN;
SELECT FROM test.publish(1);
SELECT 1 / 0;
COMMIT;
SELECT * FROM test.events();

-- savepoints
BEGIN;
SELECT FROM test.publish(1);
SAVEPOINT a;
SELECT FROM test.publish(2);
SAVEPOINT b;
SELECT FROM test.publish(3);
ROLLBACK TO b;
SELECT FROM test.publish(4);
RELEASE a;
SELECT FROM test.publish(5);
SAVEPOINT c;
SELECT FROM test.publish(6);
ROLLBACK TO c;
SELECT FROM test.publish(7);
COMMIT;
SELECT * FROM test.events();

-- released into one that is rolled back
BEGIN;
SELECT FROM test.publish(1);
SAVEPOINT a;
SAVEPOINT b;
SELECT FROM test.publish(2);
RELEASE b;
SELECT FROM test.publish(3);
ROLLBACK TO a;
COMMIT;
SELECT * FROM test.events();

-- blocks with exceptions
DO $$
BEGIN
	FOR i IN 1 .. 6 LOOP
		BEGIN
			PERFORM test.publish(i);
			IF i % 3 = 0 THEN
				RAISE 'no';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			PERFORM test.publish(i, 'failed');
		END;
	END LOOP;
END
$$;
SELECT * FROM test.events();

-- procedures that commit in between
DO $$
BEGIN
	PERFORM test.publish(1);
	COMMIT;
	PERFORM test.publish(2);
	ROLLBACK;
	PERFORM test.publish(3);
END
$$;
SELECT * FROM test.events();

-- a transaction that published wrote nothing, and still has an id
SELECT xid IS NOT NULL AND xid::text <> '0' AS has_xid
FROM quizrt.recent_events ORDER BY seq DESC LIMIT 1;

-- a deferred trigger publishes late
CREATE TABLE test.deferred (quiz int);
CREATE FUNCTION test.late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM test.publish(NEW.quiz, 'late');
	RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON test.deferred
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION test.late();
BEGIN;
INSERT INTO test.deferred VALUES (1);
SELECT FROM test.publish(2);
COMMIT;
SELECT * FROM test.events();

-- not with two-phase commit
BEGIN;
SELECT FROM test.publish(1);
PREPARE TRANSACTION 'quizrt';
BEGIN;
SAVEPOINT a;
SELECT FROM test.publish(1);
ROLLBACK TO a;
SELECT count(*) FROM test.deferred;
PREPARE TRANSACTION 'quizrt';
COMMIT PREPARED 'quizrt';
SELECT * FROM test.events();

-- who loses access loses it before all else; the last one to get it keeps it
BEGIN;
SELECT FROM test.publish(1);
SELECT FROM quizrt.notify_revoked('key:a', 'first');
SELECT FROM quizrt.notify_revoked('key:b');
SELECT FROM quizrt.notify_revoked('key:a', 'last');
COMMIT;
SELECT * FROM test.events();

-- too much for one entry: the topics are resynchronised, each once
BEGIN;
SELECT FROM quizrt.notify_revoked('key:a');
SELECT count(quizrt.publish('quiz:' || i % 10 + 1, 'a',
	('{"text":"' || repeat('x', 1000) || '"}')::json))
FROM generate_series(1, 5000) AS i;
COMMIT;
SELECT * FROM test.events();

-- what is rolled back costs the rest nothing
BEGIN;
SELECT FROM test.publish(1);
SAVEPOINT a;
SELECT count(quizrt.publish('quiz:' || i % 10 + 1, 'a',
	('{"text":"' || repeat('x', 1000) || '"}')::json))
FROM generate_series(1, 5000) AS i;
ROLLBACK TO a;
SELECT FROM test.publish(2);
COMMIT;
SELECT * FROM test.events();

-- too many topics even for that; the memory stays bounded
BEGIN;
SELECT FROM quizrt.notify_revoked('key:a');
SELECT count(test.publish(i)) FROM generate_series(1, 150000) AS i;
SELECT sum(total_bytes) < 32 * 1024 * 1024 AS bounded
FROM pg_backend_memory_contexts WHERE name LIKE 'quizrt%';
COMMIT;
SELECT * FROM test.events();

-- parallel plans don't carry it
SELECT proname, proparallel FROM pg_proc
WHERE oid IN ('quizrt.publish'::regproc, 'quizrt.notify_revoked'::regproc)
ORDER BY 1;
