/* Publishing */

CREATE FUNCTION quizrt.publish(channel text, event text, data json)
RETURNS void
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'quizrt_publish';

COMMENT ON FUNCTION quizrt.publish(text, text, json) IS
'send an update to the subscribers of a channel when the transaction commits';

CREATE FUNCTION quizrt.notify_revoked(subject text, reason text DEFAULT '')
RETURNS void
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'quizrt_notify_revoked';

COMMENT ON FUNCTION quizrt.notify_revoked(text, text) IS
'internal: end access to something when the transaction commits';

REVOKE ALL ON FUNCTION
	quizrt.publish(text, text, json),
	quizrt.notify_revoked(text, text)
FROM PUBLIC;
