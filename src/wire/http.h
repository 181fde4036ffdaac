/*-------------------------------------------------------------------------
 *
 * http.h
 *		HTTP/1.1 as far as a WebSocket server needs it (RFC 9112, RFC 6455
 *		section 4): the head of a request in, a response out.
 *
 * The parser reads bytes that a stranger sent.  It gives views into them,
 * allocates nothing, and never throws.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_HTTP_H
#define QUIZRT_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/stringinfo.h"

/* Bytes of somebody else's buffer; not terminated.  bytes NULL: absent. */
typedef struct HttpText
{
	const char *bytes;
	size_t		length;
} HttpText;

typedef enum HttpParseResult
{
	HTTP_INCOMPLETE,			/* more bytes are needed */
	HTTP_COMPLETE,
	HTTP_MALFORMED,				/* 400 */
	HTTP_HEAD_TOO_LARGE			/* 431 */
} HttpParseResult;

typedef struct HttpRequest
{
	HttpText	method;
	HttpText	path;			/* without the query; of an absolute-form
								 * target, its path ("/" where empty) */
	HttpText	query;			/* after '?', absent where there is none */
	int			minor_version;	/* of HTTP/1.x */
	HttpText	host;
	HttpText	origin;
	HttpText	upgrade;
	HttpText	websocket_key;
	HttpText	websocket_version;
	HttpText	websocket_protocol; /* the first such header */
	HttpText	websocket_extensions;
	HttpText	forwarded_for;	/* the last such header, from the proxy that
								 * is nearest */
	HttpText	forwarded_proto;	/* likewise */
	bool		connection_upgrade; /* Connection has the token "upgrade" */
	bool		upgrade_websocket;	/* Upgrade has the token "websocket" */
	bool		has_body;		/* Content-Length above 0, or
								 * Transfer-Encoding */
} HttpRequest;

/*
 * Parse the head in buffer[0 .. length).  On HTTP_COMPLETE *consumed is the
 * length of the head; what follows belongs to the next protocol.  max_head is
 * the limit on the head in bytes.  A repeated Host, Origin or
 * Sec-WebSocket-Key or -Version is malformed; lists in repeated Connection
 * and Upgrade headers count as one list.  Host may be missing in HTTP/1.0
 * only.  However the bytes are cut, the verdict is the same.
 */
extern HttpParseResult HttpParseRequest(const char *buffer, size_t length,
										size_t max_head, HttpRequest *request,
										size_t *consumed);

/* Is the text this word, in exactly these letters? */
extern bool HttpTextIs(HttpText text, const char *word);

/* Are the headers there that ask for a WebSocket, of whatever version? */
extern bool HttpAsksUpgrade(const HttpRequest *request);

/*
 * Does the request ask for a WebSocket, and may it?  Returns 0, or the status
 * (400, 426) of protocol.md's table; a 426 in spite of HttpAsksUpgrade() is
 * about the version.  Not for the path, the method or the origin.
 */
extern int	HttpCheckUpgrade(const HttpRequest *request);

/*
 * The parameters of a query that have a meaning here.  A value is a
 * percent-decoded, NUL-terminated copy in "storage".
 */
typedef struct HttpQueryValue
{
	const char *name;			/* set by the caller */
	const char *value;			/* NULL: missing or empty */
} HttpQueryValue;

/*
 * Find the named parameters.  Storage must have room for query.length + 1
 * bytes a parameter (storage_size says how much there is).  Returns false (400
 * "Invalid query parameters") for a broken escape anywhere in the query, a
 * NUL or bytes that are not UTF-8 after decoding, or a repeated parameter
 * among the named.
 */
extern bool HttpParseQuery(HttpText query, HttpQueryValue *values,
						   int nvalues, char *storage, size_t storage_size);

/*
 * The allow-list of origins: comma-separated, empty allows any.  A request
 * without an origin passes.
 */
extern bool HttpOriginAllowed(HttpText origin, const char *allowed);

/*
 * Walk through a comma-separated header value: the next token, blanks
 * trimmed, empty ones skipped; false at the end.  *rest is what is left.
 */
extern bool HttpNextToken(HttpText *rest, HttpText *token);

/* The reason phrase of a status. */
extern const char *HttpReason(int status);

/*
 * Append a complete refusal: status line, Content-Length, Connection: close,
 * the headers that the status requires (Allow, Upgrade, Retry-After,
 * Sec-WebSocket-Version), and {"error":"<text>"}.
 * bad_version picks the second form of 426; without_body is for HEAD.
 */
extern void HttpAppendError(StringInfo buffer, int status, const char *error,
							bool bad_version, bool without_body);

/* Append a complete 200 or other response with a body of that type. */
extern void HttpAppendResponse(StringInfo buffer, int status,
							   const char *content_type, const char *body,
							   size_t length);

/*
 * Append the 101 response.  Protocol and extensions are NULL where none was
 * chosen.  The request must have passed HttpCheckUpgrade().
 */
extern void HttpAppendUpgrade(StringInfo buffer, const HttpRequest *request,
							  const char *protocol, const char *extensions);

#endif							/* QUIZRT_HTTP_H */
