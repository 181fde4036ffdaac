-- What the other tests use.  The database is the one that is served.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS quizrt CASCADE;
DROP SCHEMA IF EXISTS quiz, test CASCADE;
CREATE EXTENSION quizrt;
CREATE SCHEMA test;

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
