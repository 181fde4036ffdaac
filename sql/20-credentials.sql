/*
 * API keys and attempt sessions.
 *
 * What a client holds is 32 bytes of strong randomness in base64url, behind a
 * prefix that tells what it is ("qk_", "qs_").  What is stored is its
 * SHA-256 hash, so that neither a backup nor a view gives a key away.  No salt and no slow
 * hash: nobody guesses 256 random bits.  And looking a hash up in an index
 * needs no constant-time comparison: what the time of a comparison tells is
 * about the hash, and nobody can choose a token by its hash.
 *
 * The rows are the application's to change and delete as well.  Whatever
 * ends or alters a credential, a function here or plain SQL, ends the
 * connections that were made with it: a client of a key that is still good
 * comes back and gets what holds now.
 *
 * Rows whose expires_at has passed are only refused, and kept until somebody
 * deletes them.
 */
CREATE TABLE quizrt.api_keys
(
	hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
	owner_id text NOT NULL CHECK (btrim(owner_id) <> ''),
	roles text[] NOT NULL CHECK (array_position(roles, NULL) IS NULL),
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz
);

COMMENT ON TABLE quizrt.api_keys IS
'API keys of owners and monitors, by their SHA-256 hash';

CREATE TABLE quizrt.sessions
(
	hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
	attempt_id text NOT NULL CHECK (attempt_id <> ''),
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz
);

CREATE INDEX ON quizrt.sessions (attempt_id);

COMMENT ON TABLE quizrt.sessions IS
'attempt session tokens of participants, by their SHA-256 hash';

SELECT pg_catalog.pg_extension_config_dump('quizrt.api_keys', '');
SELECT pg_catalog.pg_extension_config_dump('quizrt.sessions', '');

/*
 * Three version 4 UUIDs are 366 bits from pg_strong_random(), which the hash
 * condenses to 256.
 */
CREATE FUNCTION quizrt.random_token(prefix text) RETURNS text
LANGUAGE sql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
SELECT prefix || pg_catalog.rtrim(pg_catalog.translate(pg_catalog.encode(
	pg_catalog.sha256(pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
		|| pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
		|| pg_catalog.uuid_send(pg_catalog.gen_random_uuid())),
	'base64'), '+/', '-_'), '=')
$$;

CREATE FUNCTION quizrt.token_hash(token text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_catalog.sha256(pg_catalog.convert_to(token, 'UTF8'))
$$;

/*
 * Roles are names.  quizrt asks for "owner" (quiz API) and "monitor"
 * (security API); an application may keep roles of its own beside them.
 * A time of expiry in the past is no error: such a key is refused.
 */
CREATE FUNCTION quizrt.create_api_key(owner_id text,
	roles text[] DEFAULT '{owner}', expires_at timestamptz DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, quizrt, pg_temp
AS $$
DECLARE
	key CONSTANT text := quizrt.random_token('qk_');
BEGIN
	IF create_api_key.owner_id IS NULL
		OR btrim(create_api_key.owner_id) = '' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'an API key needs an owner';
	END IF;
	IF create_api_key.roles IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = 'the roles of an API key must not be null';
	END IF;
	IF EXISTS (SELECT FROM unnest(create_api_key.roles) AS r (name)
			   WHERE r.name IS NULL OR btrim(r.name) = '') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'a role of an API key must not be null or empty';
	END IF;

	INSERT INTO quizrt.api_keys (hash, owner_id, roles, expires_at)
	VALUES (quizrt.token_hash(key), create_api_key.owner_id,
			create_api_key.roles, create_api_key.expires_at);
	RETURN key;
END
$$;

CREATE FUNCTION quizrt.revoke_api_key(key text) RETURNS boolean
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
SET search_path = pg_catalog, quizrt, pg_temp
AS $$
BEGIN
	DELETE FROM quizrt.api_keys
	WHERE hash = quizrt.token_hash(revoke_api_key.key);
	RETURN FOUND;
END
$$;

/*
 * Whether the attempt exists is asked when the token is used: the session
 * may be there first, and whoever may create sessions needs no right to read
 * attempts.  An untyped literal takes this one of the two functions, which
 * suits a UUID as well: ids are compared the way the attempts' type does.
 */
CREATE FUNCTION quizrt.create_session(attempt_id text,
	expires_at timestamptz DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, quizrt, pg_temp
AS $$
DECLARE
	token CONSTANT text := quizrt.random_token('qs_');
BEGIN
	IF create_session.attempt_id IS NULL
		OR create_session.attempt_id = '' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'a session needs an attempt';
	END IF;

	INSERT INTO quizrt.sessions (hash, attempt_id, expires_at)
	VALUES (quizrt.token_hash(token), create_session.attempt_id,
			create_session.expires_at);
	RETURN token;
END
$$;

CREATE FUNCTION quizrt.create_session(attempt_id uuid,
	expires_at timestamptz DEFAULT NULL)
RETURNS text
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, quizrt, pg_temp
AS $$
SELECT quizrt.create_session(attempt_id::text, expires_at)
$$;

CREATE FUNCTION quizrt.revoke_session(token text) RETURNS boolean
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
SET search_path = pg_catalog, quizrt, pg_temp
AS $$
BEGIN
	DELETE FROM quizrt.sessions
	WHERE hash = quizrt.token_hash(revoke_session.token);
	RETURN FOUND;
END
$$;

/*
 * Tells the gateways, at commit.  The argument of the trigger is the first
 * half of the name by which they know the credential.
 */
CREATE FUNCTION quizrt.credential_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, quizrt, pg_temp
AS $$
DECLARE
	hash bytea;
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		FOR hash IN EXECUTE format('SELECT hash FROM %s', TG_RELID::regclass)
		LOOP
			PERFORM quizrt.notify_revoked(TG_ARGV[0] || ':' || encode(hash, 'hex'));
		END LOOP;
	ELSIF TG_OP = 'DELETE' OR OLD IS DISTINCT FROM NEW THEN
		PERFORM quizrt.notify_revoked(TG_ARGV[0] || ':' || encode(OLD.hash, 'hex'));
	END IF;
	RETURN NULL;
END
$$;

CREATE TRIGGER changed AFTER UPDATE OR DELETE ON quizrt.api_keys
	FOR EACH ROW EXECUTE FUNCTION quizrt.credential_changed('key');
CREATE TRIGGER changed AFTER UPDATE OR DELETE ON quizrt.sessions
	FOR EACH ROW EXECUTE FUNCTION quizrt.credential_changed('session');
CREATE TRIGGER emptied BEFORE TRUNCATE ON quizrt.api_keys
	FOR EACH STATEMENT EXECUTE FUNCTION quizrt.credential_changed('key');
CREATE TRIGGER emptied BEFORE TRUNCATE ON quizrt.sessions
	FOR EACH STATEMENT EXECUTE FUNCTION quizrt.credential_changed('session');

REVOKE ALL ON FUNCTION
	quizrt.random_token(text),
	quizrt.token_hash(text),
	quizrt.create_api_key(text, text[], timestamptz),
	quizrt.revoke_api_key(text),
	quizrt.create_session(text, timestamptz),
	quizrt.create_session(uuid, timestamptz),
	quizrt.revoke_session(text),
	quizrt.credential_changed()
FROM PUBLIC;

COMMENT ON FUNCTION quizrt.create_api_key(text, text[], timestamptz) IS
'a new API key for an owner; it is shown this once';
COMMENT ON FUNCTION quizrt.revoke_api_key(text) IS
'end an API key and its connections; false if there is no such key';
COMMENT ON FUNCTION quizrt.create_session(uuid, timestamptz) IS
'a new session token for a participant''s attempt; it is shown this once';
COMMENT ON FUNCTION quizrt.create_session(text, timestamptz) IS
'a new session token for a participant''s attempt; it is shown this once';
COMMENT ON FUNCTION quizrt.revoke_session(text) IS
'end a session and its connections; false if there is no such session';
