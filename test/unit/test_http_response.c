/*-------------------------------------------------------------------------
 *
 * test_http_response.c
 *		Responses, byte for byte.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "arena.h"
#include "tap.h"
#include "wire/http.h"

static StringInfoData buffer;

static void
is_error(int status, const char *error, bool bad_version, bool without_body,
		 const char *expected)
{
	char		name[64];

	snprintf(name, sizeof(name), "refusal with %d", status);
	resetStringInfo(&buffer);
	HttpAppendError(&buffer, status, error, bad_version, without_body);
	is_text(buffer.data, expected, name);
}

static void
test_errors(void)
{
#define COMMON(length) "Content-Type: application/json\r\n" \
	"Content-Length: " length "\r\nConnection: close\r\n" \
	"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"

	is_error(400, "a \"b\"\n", false, false,
			 "HTTP/1.1 400 Bad Request\r\n" COMMON("21")
			 "\r\n{\"error\":\"a \\\"b\\\"\\n\"}");
	is_error(401, "x", false, false,
			 "HTTP/1.1 401 Unauthorized\r\n" COMMON("13")
			 "WWW-Authenticate: Bearer\r\n\r\n{\"error\":\"x\"}");
	is_error(405, "x", false, true,
			 "HTTP/1.1 405 Method Not Allowed\r\n" COMMON("13")
			 "Allow: GET\r\n\r\n");
	is_error(426, "x", false, false,
			 "HTTP/1.1 426 Upgrade Required\r\n" COMMON("13")
			 "Upgrade: websocket\r\n\r\n{\"error\":\"x\"}");
	is_error(426, "x", true, false,
			 "HTTP/1.1 426 Upgrade Required\r\n" COMMON("13")
			 "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
			 "{\"error\":\"x\"}");
	is_error(503, "x", false, false,
			 "HTTP/1.1 503 Service Unavailable\r\n" COMMON("13")
			 "Retry-After: 5\r\n\r\n{\"error\":\"x\"}");
}

static void
test_upgrade(void)
{
	/* the example of RFC 6455, section 1.3 */
	HttpRequest request = {
		.websocket_key = {"dGhlIHNhbXBsZSBub25jZQ==", 24}
	};

	resetStringInfo(&buffer);
	HttpAppendUpgrade(&buffer, &request, NULL, NULL);
	is_text(buffer.data, "HTTP/1.1 101 Switching Protocols\r\n"
			"Upgrade: websocket\r\nConnection: Upgrade\r\n"
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
			"upgrade");
	resetStringInfo(&buffer);
	HttpAppendUpgrade(&buffer, &request, "api-key.x", "permessage-deflate");
	is_text(buffer.data, "HTTP/1.1 101 Switching Protocols\r\n"
			"Upgrade: websocket\r\nConnection: Upgrade\r\n"
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
			"Sec-WebSocket-Protocol: api-key.x\r\n"
			"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
			"upgrade with protocol and extension");
}

int
main(void)
{
	initStringInfo(&buffer);
	test_errors();
	test_upgrade();

	resetStringInfo(&buffer);
	HttpAppendResponse(&buffer, 200, "text/plain", "ok\n", 3);
	is_text(buffer.data, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
			"Content-Length: 3\r\nConnection: close\r\n"
			"Cache-Control: no-store\r\n"
			"X-Content-Type-Options: nosniff\r\n\r\nok\n", "response");

	pfree(buffer.data);
	is_number(ArenaUsed(), 0, "nothing stays allocated");
	return done_testing();
}
