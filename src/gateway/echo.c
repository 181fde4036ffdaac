/*-------------------------------------------------------------------------
 *
 * echo.c
 *		An echo, for conformance tests.
 *
 * Suites that test WebSocket servers want every message back as it came.
 * This is the smallest dialect that does it, so that what is tested is the
 * code that all others run on.  It asks for no credential and pings nobody
 * (suites count frames), so it is off unless a superuser names a path in
 * quizrt.echo_path, and the log says when it is on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/settings.h"
#include "gateway/dialect.h"
#include "gateway/echo.h"

#define NO_HEARTBEAT	(24 * 3600 * 1000)	/* ms */

void
EchoAnnounce(void)
{
	static char announced[1024];	/* the path; more of it makes no
									 * difference */

	if (strncmp(announced, quizrt_echo_path, sizeof(announced) - 1) == 0)
		return;
	if (quizrt_echo_path[0] != '\0')
		ereport(LOG,
				(errmsg("quizrt sends back whatever anybody sends to \"%s\"",
						quizrt_echo_path),
				 errhint("quizrt.echo_path is for tests.")));
	else
		ereport(LOG, (errmsg("quizrt.echo_path is off")));
	strlcpy(announced, quizrt_echo_path, sizeof(announced));
}

static void
echo_request(Connection *connection, const HttpRequest *request)
{
	ConnectionUpgrade(connection, NULL);
	ConnectionResume(connection);
}

static void
send_back(Connection *connection, WsOpcode opcode, const char *bytes,
		  size_t length)
{
	FramePiece	payload = {bytes, length};

	ConnectionSendOwn(connection, FrameFromPieces(opcode, &payload, 1));
}

static void
echo_text(Connection *connection, const char *bytes, size_t length)
{
	send_back(connection, WS_TEXT, bytes, length);
}

static void
echo_binary(Connection *connection, const char *bytes, size_t length)
{
	send_back(connection, WS_BINARY, bytes, length);
}

static int
echo_heartbeat_interval(void)
{
	return NO_HEARTBEAT;
}

static bool
echo_enabled(void)
{
	return quizrt_echo_path[0] != '\0';
}

const Dialect echo_dialect = {
	.name = "echo",
	.enabled = echo_enabled,
	.request = echo_request,
	.message = echo_text,
	.binary = echo_binary,
	.heartbeat_interval = echo_heartbeat_interval,
};
