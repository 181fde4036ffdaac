-- API keys and attempt sessions: made, stored as hashes, revoked
\pset null (null)
\set VERBOSITY terse
SET TIME ZONE 'UTC';
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS quizrt;
DELETE FROM quizrt.api_keys;
DELETE FROM quizrt.sessions;
CREATE FUNCTION pg_temp.revoked(mark bigint) RETURNS SETOF text
LANGUAGE sql AS $$
	SELECT kind || ' ' || array_to_string(topics, ' ')
	FROM quizrt.recent_events WHERE seq > mark AND committed ORDER BY seq, 1
$$;

-- a key is shown once; what is stored is its hash
SELECT quizrt.create_api_key('alice') AS key \gset
SELECT :'key' ~ '^qk_[A-Za-z0-9_-]{43}$' AS is_key;
SELECT owner_id, roles, expires_at, hash = sha256(:'key') AS is_hash
FROM quizrt.api_keys;
SELECT count(*) FROM quizrt.api_keys AS k
WHERE k::text LIKE '%' || :'key' || '%';
SELECT quizrt.create_api_key('zoe') <> quizrt.create_api_key('zoe') AS differ;
DELETE FROM quizrt.api_keys WHERE owner_id = 'zoe';

-- roles and times
SELECT FROM quizrt.create_api_key('mona', '{monitor}');
SELECT FROM quizrt.create_api_key('both', '{owner,monitor}', '2030-01-01');
SELECT FROM quizrt.create_api_key('past', expires_at => '2001-01-01');
SELECT FROM quizrt.create_api_key('nothing', '{}');
SELECT owner_id, roles, expires_at FROM quizrt.api_keys ORDER BY owner_id;

-- mistakes
SELECT quizrt.create_api_key(NULL);
SELECT quizrt.create_api_key('');
SELECT quizrt.create_api_key('  ');
SELECT quizrt.create_api_key('alice', NULL);
SELECT quizrt.create_api_key('alice', '{owner,NULL}');
SELECT quizrt.create_api_key('alice', '{owner,""}');

-- sessions: an untyped literal, a UUID and a text will all do
SELECT quizrt.create_session('019364ab-7c12-7def-8000-abcdef123456')
	AS session \gset
SELECT :'session' ~ '^qs_[A-Za-z0-9_-]{43}$' AS is_session;
SELECT FROM quizrt.create_session(
	'019364AB-7C12-7DEF-8000-ABCDEF123457'::uuid, '2030-01-01');
SELECT FROM quizrt.create_session('attempt 7'::text,
	expires_at => '2030-01-01');
SELECT attempt_id, expires_at, hash = sha256(:'session') AS is_hash
FROM quizrt.sessions ORDER BY attempt_id;
SELECT quizrt.create_session(NULL::uuid);
SELECT quizrt.create_session(NULL);
SELECT quizrt.create_session('');

-- revoking says whether there was anything, and tells the gateways
SELECT sha256(:'key') AS key_hash, sha256(:'session') AS session_hash,
	coalesce(max(seq), 0) AS mark
FROM quizrt.recent_events \gset
SELECT quizrt.revoke_api_key('qk_nobody'), quizrt.revoke_session('qs_nobody'),
	quizrt.revoke_api_key(:'session'), quizrt.revoke_session(:'key'),
	quizrt.revoke_api_key(NULL), quizrt.revoke_session(NULL);
BEGIN;
SELECT quizrt.revoke_api_key(:'key');
ROLLBACK;
SELECT * FROM pg_temp.revoked(:mark);
SELECT quizrt.revoke_api_key(:'key');
SELECT quizrt.revoke_api_key(:'key');
SELECT quizrt.revoke_session(:'session');
SELECT quizrt.revoke_session(:'session');
SELECT replace(replace(revoked, right(:'key_hash', -2), '<key>'),
	right(:'session_hash', -2), '<session>') AS revoked
FROM pg_temp.revoked(:mark);

-- and so does plain SQL that ends or changes a credential
INSERT INTO quizrt.api_keys (hash, owner_id, roles)
SELECT sha256(name::bytea), name, '{owner}'
FROM unnest('{a,b,c}'::text[]) AS name;
INSERT INTO quizrt.sessions (hash, attempt_id)
SELECT sha256(name::bytea), name FROM unnest('{d,e}'::text[]) AS name;
SELECT coalesce(max(seq), 0) AS mark FROM quizrt.recent_events \gset
UPDATE quizrt.api_keys SET owner_id = owner_id WHERE owner_id = 'a';
UPDATE quizrt.api_keys SET roles = '{monitor}' WHERE owner_id = 'a';
DELETE FROM quizrt.api_keys WHERE owner_id IN ('b', 'c');
DELETE FROM quizrt.sessions WHERE attempt_id = 'd';
DELETE FROM quizrt.sessions WHERE attempt_id LIKE 'attempt%' OR attempt_id LIKE '0193%';
TRUNCATE quizrt.sessions;
SELECT coalesce(name, '?') AS whose, left(revoked, strpos(revoked, ':'))
FROM pg_temp.revoked(:mark) AS revoked
LEFT JOIN unnest('{a,b,c,d,e}'::text[]) AS name
	ON revoked LIKE '%' || encode(sha256(name::bytea), 'hex')
ORDER BY name, 2;

-- who may
CREATE ROLE regress_quizrt_clerk;
SET ROLE regress_quizrt_clerk;
SELECT quizrt.create_api_key('alice');
SELECT quizrt.revoke_api_key('qk_1');
SELECT quizrt.create_session('1'::text);
SELECT quizrt.create_session(gen_random_uuid());
SELECT quizrt.revoke_session('qs_1');
SELECT FROM quizrt.api_keys;
SELECT FROM quizrt.sessions;
RESET ROLE;
GRANT EXECUTE ON FUNCTION quizrt.create_api_key, quizrt.revoke_api_key
	TO regress_quizrt_clerk;
SET ROLE regress_quizrt_clerk;
SELECT quizrt.revoke_api_key(quizrt.create_api_key('alice'));
RESET ROLE;
REVOKE EXECUTE ON FUNCTION quizrt.create_api_key, quizrt.revoke_api_key
	FROM regress_quizrt_clerk;
DROP ROLE regress_quizrt_clerk;

-- a dump has the rows
SELECT c.extconfig::regclass
FROM (SELECT unnest(extconfig) AS extconfig FROM pg_extension
	WHERE extname = 'quizrt') AS c
WHERE c.extconfig IN ('quizrt.api_keys'::regclass, 'quizrt.sessions'::regclass)
ORDER BY 1;
DELETE FROM quizrt.api_keys;
