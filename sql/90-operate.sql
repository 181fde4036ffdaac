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

/*
 * Asking the gateways: a session that looks at one of these waits until each
 * of them has answered, or for some seconds where one doesn't.
 */
CREATE FUNCTION quizrt.read_connections(
	OUT connection_id bigint, OUT gateway integer, OUT api text,
	OUT state text, OUT owner_id text, OUT address text, OUT encrypted boolean,
	OUT connected_at timestamptz, OUT subscriptions integer,
	OUT bytes_sent bigint, OUT queued_bytes bigint, OUT lagging boolean)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'quizrt_connections';

CREATE VIEW quizrt.connections AS
SELECT connection_id, gateway, api, state, owner_id, address, encrypted,
	connected_at, subscriptions, bytes_sent, queued_bytes, lagging
FROM quizrt.read_connections();

CREATE FUNCTION quizrt.read_subscriptions(
	OUT connection_id bigint, OUT gateway integer, OUT channel text,
	OUT held boolean, OUT lost boolean)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'quizrt_subscriptions';

CREATE VIEW quizrt.subscriptions AS
SELECT connection_id, gateway, channel, held, lost
FROM quizrt.read_subscriptions();

CREATE FUNCTION quizrt.read_stats(
	OUT name text, OUT value bigint, OUT description text)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'quizrt_stats';

CREATE VIEW quizrt.stats AS
SELECT name, value, description
FROM quizrt.read_stats();

/*
 * The reason has to fit into a close frame.  The connection may be gone by
 * itself before this commits: nobody minds.
 */
CREATE FUNCTION quizrt.disconnect(connection_id bigint,
	reason text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, quizrt, pg_temp
AS $$
BEGIN
	IF octet_length(convert_to(disconnect.reason, 'UTF8')) > 123 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'the reason is too long',
			HINT = 'It is 123 bytes at most, in UTF-8.';
	END IF;
	IF NOT EXISTS (SELECT FROM quizrt.read_connections() AS c
				   WHERE c.connection_id = disconnect.connection_id
					   AND c.state IN ('request', 'credential', 'open')) THEN
		RETURN false;
	END IF;
	PERFORM quizrt.notify_revoked('connection:' || disconnect.connection_id,
		coalesce(nullif(disconnect.reason, ''), 'Disconnected'));
	RETURN true;
END
$$;

CREATE FUNCTION quizrt.drain("on" boolean DEFAULT true)
RETURNS void
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'quizrt_drain';

COMMENT ON FUNCTION quizrt.read_recent_events() IS
'internal: the rows of quizrt.recent_events';
COMMENT ON FUNCTION quizrt.read_connections() IS
'internal: the rows of quizrt.connections';
COMMENT ON FUNCTION quizrt.read_subscriptions() IS
'internal: the rows of quizrt.subscriptions';
COMMENT ON FUNCTION quizrt.read_stats() IS
'internal: the rows of quizrt.stats';
COMMENT ON FUNCTION quizrt.disconnect(bigint, text) IS
'close a connection (4403) when the transaction commits; false if there is none of that id';
COMMENT ON FUNCTION quizrt.drain(boolean) IS
'at once: close all connections (1001) and refuse new ones; drain(false) ends it';

COMMENT ON VIEW quizrt.connections IS
'connections of clients, those included that are no WebSocket yet';
COMMENT ON COLUMN quizrt.connections.connection_id IS
'what quizrt.disconnect() takes; no other connection since the server''s start has had it';
COMMENT ON COLUMN quizrt.connections.gateway IS
'number of the gateway that has it';
COMMENT ON COLUMN quizrt.connections.api IS
'API that it uses; null before that is known';
COMMENT ON COLUMN quizrt.connections.state IS
'request (its head is arriving), credential (being checked), open or closing';
COMMENT ON COLUMN quizrt.connections.owner_id IS
'owner that it was authenticated as; null for others';
COMMENT ON COLUMN quizrt.connections.address IS
'address of the client; "local" on a Unix-domain socket';
COMMENT ON COLUMN quizrt.connections.encrypted IS
'TLS is spoken on it, or between the client and a trusted proxy that says so';
COMMENT ON COLUMN quizrt.connections.connected_at IS
'when it was accepted';
COMMENT ON COLUMN quizrt.connections.subscriptions IS
'number of channels that it is subscribed to';
COMMENT ON COLUMN quizrt.connections.bytes_sent IS
'bytes written to it, before encryption';
COMMENT ON COLUMN quizrt.connections.queued_bytes IS
'bytes that it has not taken yet; snapshots, which are shared, are left out';
COMMENT ON COLUMN quizrt.connections.lagging IS
'updates are being left out until it has taken what is queued';

COMMENT ON VIEW quizrt.subscriptions IS
'channels that the clients are subscribed to';
COMMENT ON COLUMN quizrt.subscriptions.connection_id IS
'connection, as in quizrt.connections';
COMMENT ON COLUMN quizrt.subscriptions.gateway IS
'number of the gateway that has it';
COMMENT ON COLUMN quizrt.subscriptions.channel IS
'channel as clients name it';
COMMENT ON COLUMN quizrt.subscriptions.held IS
'updates wait for a snapshot that is on its way';
COMMENT ON COLUMN quizrt.subscriptions.lost IS
'an update was left out, which the client is yet to be told';

COMMENT ON VIEW quizrt.stats IS
'what quizrt has counted since the server''s start, and its present state; /metrics shows the same';
COMMENT ON COLUMN quizrt.stats.name IS
'name; in /metrics with the prefix quizrt_, and counters with the suffix _total';
COMMENT ON COLUMN quizrt.stats.value IS 'value';
COMMENT ON COLUMN quizrt.stats.description IS 'what it is';

GRANT EXECUTE ON FUNCTION
	quizrt.read_connections(),
	quizrt.read_subscriptions(),
	quizrt.read_stats()
TO pg_monitor;
GRANT SELECT ON quizrt.connections, quizrt.subscriptions, quizrt.stats
TO pg_monitor;
