/*-------------------------------------------------------------------------
 *
 * test_http_request.c
 *		Heads of requests, each at every length that may have come so far.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "tap.h"
#include "wire/http.h"

#define MAX_HEAD 8192
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Key: " KEY "\r\n"
#define WEBSOCKET UPGRADE "Sec-WebSocket-Version: 13\r\n"

static HttpRequest request;
static size_t consumed;

/* Parse a copy of exactly this length, so that overruns can be noticed. */
static HttpParseResult
parse(const char *bytes, size_t length, size_t max_head)
{
	static char *copy;

	free(copy);					/* the views of the last call end here */
	copy = malloc(length > 0 ? length : 1);
	memcpy(copy, bytes, length);
	return HttpParseRequest(copy, length, max_head, &request, &consumed);
}

/*
 * Expect a result of the whole, and INCOMPLETE of every beginning of it up to
 * some length, from where on the result is that of the whole.
 */
static bool
expect_of(HttpParseResult expected, const char *bytes, size_t length,
		  const char *name)
{
	bool		decided = false;

	for (size_t i = 0; i < length; i++)
	{
		HttpParseResult result = parse(bytes, i, MAX_HEAD);

		decided = decided || result != HTTP_INCOMPLETE;
		if (decided && result != expected)
			return ok(false, "%s: decided wrongly after %zu bytes", name, i);
	}
	return is_number(parse(bytes, length, MAX_HEAD), expected, name);
}

static bool
expect(HttpParseResult expected, const char *text, const char *name)
{
	return expect_of(expected, text, strlen(text), name);
}

static void
is_view(HttpText got, const char *expected, const char *name)
{
	if (expected == NULL ? got.bytes == NULL : HttpTextIs(got, expected))
		ok(true, "%s", name);
	else
	{
		ok(false, "%s", name);
		printf("# got: %.*s\n", (int) got.length,
			   got.bytes == NULL ? "" : got.bytes);
	}
}

static void
test_request_line(void)
{
	expect(HTTP_COMPLETE, "GET /ws?token=x HTTP/1.1\r\nHost: h\r\n\r\n",
		   "the ordinary request");
	is_view(request.method, "GET", "method");
	is_view(request.path, "/ws", "path");
	is_view(request.query, "token=x", "query");
	is_view(request.host, "h", "host");
	is_view(request.origin, NULL, "no origin");
	is_number(request.minor_version, 1, "version");

	expect(HTTP_COMPLETE, "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
		   "an empty line before it");
	is_view(request.query, NULL, "no query");
	expect(HTTP_MALFORMED, "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
		   "two empty lines");
	expect(HTTP_COMPLETE, "GET /? HTTP/1.1\r\nHost: h\r\n\r\n", "empty query");
	is_view(request.query, "", "is there");

	expect(HTTP_COMPLETE, "GET http://a:1/p/q?r=s?t HTTP/1.1\r\nHost: h\r\n\r\n",
		   "absolute form");
	is_view(request.path, "/p/q", "its path");
	is_view(request.query, "r=s?t", "its query");
	expect(HTTP_COMPLETE, "GET WS://a HTTP/1.1\r\nHost: h\r\n\r\n",
		   "absolute form without path");
	is_view(request.path, "/", "is /");
	expect(HTTP_COMPLETE, "GET ws://a?b HTTP/1.1\r\nHost: h\r\n\r\n",
		   "absolute form with query only");
	is_view(request.path, "/", "is / too");
	is_view(request.query, "b", "with the query");
	expect(HTTP_COMPLETE, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "asterisk");
	is_view(request.path, "*", "is its own path");

	expect(HTTP_COMPLETE, "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 without Host");
	is_number(request.minor_version, 0, "is 1.0");
	expect(HTTP_MALFORMED, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 without Host");

	expect(HTTP_MALFORMED, "GET / HTTP/2.0\r\nHost: h\r\n\r\n", "HTTP/2.0");
	expect(HTTP_MALFORMED, "GET / HTTP/1.10\r\nHost: h\r\n\r\n", "HTTP/1.10");
	expect(HTTP_MALFORMED, "GET / http/1.1\r\nHost: h\r\n\r\n", "http/1.1");
	expect(HTTP_MALFORMED, "GET /\r\nHost: h\r\n\r\n", "no version");
	expect(HTTP_MALFORMED, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "two blanks");
	expect(HTTP_MALFORMED, "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
		   "a blank at the end");
	expect(HTTP_MALFORMED, " GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		   "a blank at the beginning");
	expect(HTTP_MALFORMED, "G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
		   "a method that is no token");
	expect(HTTP_MALFORMED, "GET ws HTTP/1.1\r\nHost: h\r\n\r\n",
		   "a relative target");
	expect(HTTP_MALFORMED, "CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n",
		   "an authority");
	expect(HTTP_MALFORMED, "GET ws:///p HTTP/1.1\r\nHost: h\r\n\r\n",
		   "an empty authority");
	expect(HTTP_MALFORMED, "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n",
		   "a fragment");
	expect(HTTP_MALFORMED, "GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n",
		   "a tab in the target");
	expect(HTTP_MALFORMED, "\x16\x03\x01\x02", "a TLS greeting");
	is_number(parse("\x16", 1, MAX_HEAD), HTTP_MALFORMED,
			  "which shows at its first byte");
}

static void
test_headers(void)
{
#define GET "GET / HTTP/1.1\r\n"
	expect(HTTP_COMPLETE, GET "host:h\r\nX-Empty:\r\nX-Blank: \t \r\n"
		   "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\n"
		   "Origin:\t https://a.example \t\r\nX-Text: \xc3\xa9\ta\r\n\r\n",
		   "names in any case, values trimmed, empty ones, beyond ASCII");
	is_view(request.origin, "https://a.example", "origin");
	is_view(request.forwarded_for, "2.2.2.2, 3.3.3.3", "the last of forwarded");
	expect(HTTP_COMPLETE, GET "Host: a\r\nSec-WebSocket-Protocol: p, q\r\n"
		   "Sec-WebSocket-Protocol: r\r\nSec-WebSocket-Extensions: e; f=1\r\n"
		   "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n\r\n",
		   "the other headers");
	is_view(request.websocket_protocol, "p, q", "the first subprotocols");
	is_view(request.websocket_extensions, "e; f=1", "extensions");
	is_view(request.forwarded_proto, "http", "the last scheme");
	expect(HTTP_COMPLETE, GET "Host:\r\n\r\n", "an empty Host");
	expect(HTTP_COMPLETE, GET "Host: [::1]:7878\r\n\r\n", "an address as Host");

	expect(HTTP_MALFORMED, GET "Host: a\r\nHost: a\r\n\r\n", "two Hosts");
	expect(HTTP_MALFORMED, GET "Host: a b\r\n\r\n", "a Host of two words");
	expect(HTTP_MALFORMED, GET "Host: a/b\r\n\r\n", "a Host with a path");
	expect(HTTP_MALFORMED, GET "Host: u@a\r\n\r\n", "a Host with a user");
	expect(HTTP_MALFORMED, GET "Host: a\r\nOrigin: b\r\norigin: b\r\n\r\n",
		   "two Origins");
	expect(HTTP_MALFORMED, GET "Host: a\r\nSec-WebSocket-Key: x\r\n"
		   "Sec-WebSocket-Key: x\r\n\r\n", "two keys");
	expect(HTTP_MALFORMED, GET "Host: a\r\nSec-WebSocket-Version: 13\r\n"
		   "Sec-WebSocket-Version: 13\r\n\r\n", "two versions");

	expect(HTTP_MALFORMED, GET "Host: a\nX: y\r\n\r\n", "a bare LF");
	expect(HTTP_MALFORMED, GET "Host: a\r\n\n", "a bare LF at the end");
	expect(HTTP_MALFORMED, GET "Host: a\rX: y\r\n\r\n", "a bare CR");
	expect(HTTP_MALFORMED, GET "Host: a\r\r\n\r\n", "a doubled CR");
	expect(HTTP_MALFORMED, GET "Host: a\r\n folded\r\n\r\n", "obs-fold");
	expect(HTTP_MALFORMED, GET "Host: a\r\n\tfolded: x\r\n\r\n",
		   "obs-fold with a tab and a colon");
	expect(HTTP_MALFORMED, GET " Host: a\r\n\r\n",
		   "a blank before the first header");
	expect(HTTP_MALFORMED, GET "Host : a\r\n\r\n", "a blank before the colon");
	expect(HTTP_MALFORMED, GET "Host: a\r\nNo colon\r\n\r\n", "no colon");
	expect(HTTP_MALFORMED, GET "Host: a\r\n: b\r\n\r\n", "no name");
	expect(HTTP_MALFORMED, GET "Host: a\r\nX(Y): b\r\n\r\n",
		   "a name that is no token");
	expect(HTTP_MALFORMED, GET "Host: a\r\n\xc3\xa9: b\r\n\r\n",
		   "a name beyond ASCII");
	expect_of(HTTP_MALFORMED, GET "Host: a\r\nX: \0\r\n\r\n",
			  strlen(GET) + 9 + 8, "a NUL in a value");
	expect_of(HTTP_MALFORMED, GET "Host: a\r\nX\0: b\r\n\r\n",
			  strlen(GET) + 9 + 9, "a NUL in a name");
	expect(HTTP_MALFORMED, GET "Host: a\r\nX: \x7f\r\n\r\n",
		   "a control character in a value");
}

static void
test_body(void)
{
	expect(HTTP_COMPLETE, GET "Host: a\r\nContent-Length: 0\r\n\r\n",
		   "an empty body");
	ok(!request.has_body, "is none");
	expect(HTTP_COMPLETE, GET "Host: a\r\nContent-Length: 10\r\n\r\n", "a body");
	ok(request.has_body, "is one");
	expect(HTTP_COMPLETE, GET "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		   "a chunked body");
	ok(request.has_body, "is one too");
	expect(HTTP_MALFORMED, GET "Host: a\r\nContent-Length: -1\r\n\r\n",
		   "a negative length");
	expect(HTTP_MALFORMED, GET "Host: a\r\nContent-Length: 1, 1\r\n\r\n",
		   "a list of lengths");
	expect(HTTP_MALFORMED, GET "Host: a\r\nContent-Length:\r\n\r\n",
		   "an empty length");
	expect(HTTP_MALFORMED, GET "Host: a\r\nContent-Length: 0\r\n"
		   "Content-Length: 0\r\n\r\n", "two lengths");
	expect(HTTP_MALFORMED, GET "Host: a\r\nContent-Length: 0\r\n"
		   "Transfer-Encoding: chunked\r\n\r\n", "a length and an encoding");
}

static void
test_limit(void)
{
	static const char head[] = GET "Host: a\r\n\r\n";
	char		more[sizeof(head) + 10];
	size_t		length = strlen(head);

	memcpy(more, head, length);
	memcpy(more + length, "more bytes", 10);
	is_number(parse(more, length + 10, MAX_HEAD), HTTP_COMPLETE,
			  "bytes may follow the head");
	is_number(consumed, length, "and are not consumed");
	is_number(parse(head, length, length), HTTP_COMPLETE,
			  "a head of the greatest length");
	is_number(parse(more, length + 10, length), HTTP_COMPLETE,
			  "with bytes behind it");
	is_number(parse(head, length, length - 1), HTTP_HEAD_TOO_LARGE,
			  "a byte more");
	is_number(parse(head, length - 1, length - 1), HTTP_HEAD_TOO_LARGE,
			  "shows as soon as the limit is reached");
	is_number(parse(head, length - 2, length - 1), HTTP_INCOMPLETE,
			  "and not before");
}

/* The status of an upgrade with these headers. */
static void
upgrade(int status, const char *version, const char *headers,
		const char *name)
{
	char		head[1024];

	snprintf(head, sizeof(head), "GET /ws HTTP/%s\r\nHost: h\r\n%s\r\n",
			 version, headers);
	expect(HTTP_COMPLETE, head, name);
	is_number(HttpCheckUpgrade(&request), status, name);
}

static void
key(int status, const char *value)
{
	char		headers[256];

	snprintf(headers, sizeof(headers), "Upgrade: websocket\r\n"
			 "Connection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
			 "Sec-WebSocket-Key: %s\r\n", value);
	upgrade(status, "1.1", headers, value);
}

static void
test_upgrade(void)
{
	upgrade(0, "1.1", WEBSOCKET, "a good upgrade");
	upgrade(0, "1.1", "upgrade: h2c, WebSocket\r\nCONNECTION: keep-alive,"
			"UPGRADE\r\nSec-WebSocket-Key: " KEY "\r\n"
			"Sec-WebSocket-Version: 13\r\n", "lists, in any case");
	upgrade(0, "1.1", "Connection: keep-alive\r\nConnection: , upgrade ,\r\n"
			"Upgrade: h2c\r\nUpgrade: websocket\r\n"
			"Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n",
			"lists in several headers");
	upgrade(426, "1.1", "", "no upgrade");
	upgrade(426, "1.0", WEBSOCKET, "HTTP/1.0");
	ok(!HttpAsksUpgrade(&request), "is not about the version");
	upgrade(426, "1.1", "Connection: upgrade\r\n", "no Upgrade");
	upgrade(426, "1.1", "Upgrade: websocket\r\n", "no Connection");
	upgrade(426, "1.1", "Upgrade: websocket\r\nConnection: upgraded\r\n",
			"another token");
	upgrade(426, "1.1", UPGRADE, "no version");
	ok(HttpAsksUpgrade(&request), "is about the version");
	upgrade(426, "1.1", UPGRADE "Sec-WebSocket-Version: 8\r\n", "version 8");
	upgrade(426, "1.1", UPGRADE "Sec-WebSocket-Version: 13, 8\r\n",
			"a list of versions");
	upgrade(400, "1.1", WEBSOCKET "Content-Length: 5\r\n", "a body");
	upgrade(400, "1.1", "Upgrade: websocket\r\nConnection: upgrade\r\n"
			"Sec-WebSocket-Version: 13\r\n", "no key");

	key(0, KEY);
	key(0, "AAAAAAAAAAAAAAAAAAAAAA==");
	key(0, "+/+/+/+/+/+/+/+/+/+/+w==");
	key(400, "AAAAAAAAAAAAAAAAAAAAAAA=");
	key(400, "AAAAAAAAAAAAAAAAAAAA====");
	key(400, "AAAAAAAAAAAAAAAAAAAAAB==");
	key(400, "AAAAAAAAAAAAAAAAAAAAAA");
	key(400, "AAAAAAAAAAAAAAAA-AAAAA==");
	key(400, "AAAAAAAAAAAAAAAAAAAAAAAA");
	key(400, "AAAAAAAAAAAAAAAAAAAAAAAAAAAA");
	key(400, "");
}

static void
test_lists(void)
{
	HttpText	rest = {" a , ,b\t,, c", 12};
	HttpText	token;

	ok(HttpNextToken(&rest, &token) && HttpTextIs(token, "a") &&
	   HttpNextToken(&rest, &token) && HttpTextIs(token, "b") &&
	   HttpNextToken(&rest, &token) && HttpTextIs(token, "c") &&
	   !HttpNextToken(&rest, &token) && !HttpNextToken(&rest, &token),
	   "tokens of a list");
	rest.bytes = NULL;
	rest.length = 0;
	ok(!HttpNextToken(&rest, &token), "an absent header has no tokens");
}

static bool
allowed(const char *origin, const char *list)
{
	HttpText	text = {origin, origin == NULL ? 0 : strlen(origin)};

	return HttpOriginAllowed(text, list);
}

static void
test_origin(void)
{
	ok(allowed("https://a", ""), "an empty list allows all");
	ok(allowed("https://a", NULL), "as does none");
	ok(allowed(NULL, "https://a"), "no origin is no browser");
	ok(allowed("https://a", "https://b, HTTPS://A/ "), "case and slash");
	ok(!allowed("https://a.b", "https://a"), "a longer one");
	ok(!allowed("https://a", "https://a.b"), "a shorter one");
	ok(!allowed("http://a", "https://a"), "another scheme");
	ok(!allowed("null", "https://a"), "null");
	ok(!allowed("", "/,https://a"), "an empty one");
	ok(!allowed("https://a", " , "), "a list of nothing allows nothing");
}

int
main(void)
{
	test_request_line();
	test_headers();
	test_body();
	test_limit();
	test_upgrade();
	test_lists();
	test_origin();
	return done_testing();
}
