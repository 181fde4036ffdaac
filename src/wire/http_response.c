/*-------------------------------------------------------------------------
 *
 * http_response.c
 *		HTTP responses.
 *
 * Every response but the 101 ends the connection, so that we never have to
 * find the beginning of a next request.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "wire/client_message.h"
#include "wire/http.h"

/* RFC 6455, section 1.3 */
#define WEBSOCKET_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#define RETRY_AFTER_SECONDS 5

const char *
HttpReason(int status)
{
	switch (status)
	{
		case 101:
			return "Switching Protocols";
		case 200:
			return "OK";
		case 400:
			return "Bad Request";
		case 401:
			return "Unauthorized";
		case 403:
			return "Forbidden";
		case 404:
			return "Not Found";
		case 405:
			return "Method Not Allowed";
		case 408:
			return "Request Timeout";
		case 426:
			return "Upgrade Required";
		case 429:
			return "Too Many Requests";
		case 431:
			return "Request Header Fields Too Large";
		case 500:
			return "Internal Server Error";
		case 503:
			return "Service Unavailable";
		default:
			return "Unknown";
	}
}

/* What we answer is true for now, and never anything but what it says. */
static void
append_head(StringInfo buffer, int status, const char *content_type,
			size_t length)
{
	appendStringInfo(buffer,
					 "HTTP/1.1 %d %s\r\n"
					 "Content-Type: %s\r\n"
					 "Content-Length: %zu\r\n"
					 "Connection: close\r\n"
					 "Cache-Control: no-store\r\n"
					 "X-Content-Type-Options: nosniff\r\n",
					 status, HttpReason(status), content_type, length);
}

/* The headers that a status is not complete without. */
static void
append_status_headers(StringInfo buffer, int status, bool bad_version)
{
	switch (status)
	{
		case 401:
			appendStringInfoString(buffer, "WWW-Authenticate: Bearer\r\n");
			break;
		case 405:
			appendStringInfoString(buffer, "Allow: GET\r\n");
			break;
		case 426:
			appendStringInfoString(buffer, "Upgrade: websocket\r\n");
			if (bad_version)
				appendStringInfoString(buffer,
									   "Sec-WebSocket-Version: 13\r\n");
			break;
		case 429:
		case 503:
			appendStringInfo(buffer, "Retry-After: %d\r\n",
							 RETRY_AFTER_SECONDS);
			break;
		default:
			break;
	}
}

void
HttpAppendError(StringInfo buffer, int status, const char *error,
				bool bad_version, bool without_body)
{
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"error\":");
	AppendJsonString(&body, error, strlen(error));
	appendStringInfoChar(&body, '}');

	append_head(buffer, status, "application/json", body.len);
	append_status_headers(buffer, status, bad_version);
	appendStringInfoString(buffer, "\r\n");
	if (!without_body)
		appendBinaryStringInfo(buffer, body.data, body.len);
	pfree(body.data);
}

void
HttpAppendResponse(StringInfo buffer, int status, const char *content_type,
				   const char *body, size_t length)
{
	append_head(buffer, status, content_type, length);
	append_status_headers(buffer, status, false);
	appendStringInfoString(buffer, "\r\n");
	appendBinaryStringInfo(buffer, body, length);
}

/* The proof that the server has read the key. */
static void
append_accept(StringInfo buffer, HttpText key)
{
	char		text[24 + sizeof(WEBSOCKET_GUID)];
	unsigned char digest[SHA_DIGEST_LENGTH];
	unsigned char encoded[4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1];

	Assert(key.length == 24);
	memcpy(text, key.bytes, 24);
	memcpy(text + 24, WEBSOCKET_GUID, sizeof(WEBSOCKET_GUID));
	SHA1((unsigned char *) text, strlen(text), digest);
	EVP_EncodeBlock(encoded, digest, sizeof(digest));
	appendStringInfoString(buffer, (char *) encoded);
}

void
HttpAppendUpgrade(StringInfo buffer, const HttpRequest *request,
				  const char *protocol, const char *extensions)
{
	appendStringInfoString(buffer,
						   "HTTP/1.1 101 Switching Protocols\r\n"
						   "Upgrade: websocket\r\n"
						   "Connection: Upgrade\r\n"
						   "Sec-WebSocket-Accept: ");
	append_accept(buffer, request->websocket_key);
	appendStringInfoString(buffer, "\r\n");
	if (protocol != NULL)
		appendStringInfo(buffer, "Sec-WebSocket-Protocol: %s\r\n", protocol);
	if (extensions != NULL)
		appendStringInfo(buffer, "Sec-WebSocket-Extensions: %s\r\n",
						 extensions);
	appendStringInfoString(buffer, "\r\n");
}
