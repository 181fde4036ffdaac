/* Operating it */

CREATE FUNCTION quizrt.read_recent_events(
	OUT seq bigint, OUT xid xid, OUT committed boolean, OUT kind text,
	OUT topics text[], OUT event text, OUT data text)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'quizrt_recent_events';

CREATE VIEW quizrt.recent_events AS
SELECT seq, xid, committed, kind, topics, event, data
FROM quizrt.read_recent_events();

COMMENT ON VIEW quizrt.recent_events IS
'events in shared memory, oldest first; committed is null while undecided';

REVOKE ALL ON FUNCTION quizrt.read_recent_events() FROM PUBLIC;
GRANT USAGE ON SCHEMA quizrt TO pg_monitor;
GRANT EXECUTE ON FUNCTION quizrt.read_recent_events() TO pg_monitor;
GRANT SELECT ON quizrt.recent_events TO pg_monitor;
