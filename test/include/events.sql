\set ECHO none
-- What the tests of the backend side use.  The database is the one that is
-- served; nothing here depends on what other tests left behind.
\set SHOW_CONTEXT never
\pset null (null)
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS quizrt;
DROP SCHEMA IF EXISTS quiz, test CASCADE;
CREATE SCHEMA test;
RESET client_min_messages;

-- Events of the ring since this was last asked, of the same session.
CREATE FUNCTION test.mark() RETURNS void LANGUAGE sql AS $$
	SELECT set_config('test.mark', coalesce(max(seq), 0)::text, false)
	FROM quizrt.recent_events
$$;
CREATE FUNCTION test.events(OUT tx bigint, OUT kind text, OUT topics text,
	OUT event text, OUT data text)
RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	mark bigint := coalesce(nullif(current_setting('test.mark', true), ''), '0');
BEGIN
	PERFORM test.mark();
	RETURN QUERY
	SELECT dense_rank() OVER (ORDER BY e.seq), e.kind,
		array_to_string(e.topics, ' '), e.event, e.data
	FROM quizrt.read_recent_events() WITH ORDINALITY
		AS e(seq, xid, committed, kind, topics, event, data, n)
	WHERE e.seq > mark AND e.committed
	ORDER BY e.n;
END
$$;

SELECT FROM test.mark() \g /dev/null
\set ECHO all
