/*-------------------------------------------------------------------------
 *
 * http_request.c
 *		The head of an HTTP/1.1 request.
 *
 * The parser starts anew with every call, from the first byte: the caller
 * keeps the bytes, and there is no state between two calls that could differ
 * from them.  A head is at most a few KiB, so that even one that arrives byte
 * by byte costs little.  What cannot become a valid head is refused as soon as
 * that shows (a TLS greeting on a plain port at its first byte), and the
 * verdict never depends on how the bytes were cut.
 *
 * Where RFC 9112 allows leniency towards old or broken clients, we don't use
 * it: each such rule (bare LF, obs-fold, blanks before the colon, repeated
 * lengths) is one that two servers in a row may read differently, which is
 * how requests are smuggled.  The exception is one empty line before the
 * request line.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "wire/http.h"

/* What may stand in the target and in values: no control characters. */
static bool
is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7F;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_alphanumeric(unsigned char c)
{
	return (c >= '0' && c <= '9') ||
		(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* tchar of RFC 9110, section 5.6.2 */
static bool
is_token_char(unsigned char c)
{
	return is_alphanumeric(c) ||
		(c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_token(HttpText text)
{
	for (size_t i = 0; i < text.length; i++)
	{
		if (!is_token_char((unsigned char) text.bytes[i]))
			return false;
	}
	return text.length > 0;
}

static HttpText
text_of(const char *bytes, size_t length)
{
	HttpText	text = {bytes, length};

	return text;
}

/* Cut off what comes before the separator; false where there is none. */
static bool
split(HttpText *rest, char separator, HttpText *before)
{
	const char *found = rest->length == 0 ? NULL :
		memchr(rest->bytes, separator, rest->length);

	if (found == NULL)
		return false;
	*before = text_of(rest->bytes, found - rest->bytes);
	rest->length -= before->length + 1;
	rest->bytes = found + 1;
	return true;
}

static HttpText
trim(HttpText text)
{
	while (text.length > 0 && is_blank(text.bytes[0]))
	{
		text.bytes++;
		text.length--;
	}
	while (text.length > 0 && is_blank(text.bytes[text.length - 1]))
		text.length--;
	return text;
}

bool
HttpTextIs(HttpText text, const char *word)
{
	return text.bytes != NULL && text.length == strlen(word) &&
		memcmp(text.bytes, word, text.length) == 0;
}

/* The same without regard to the case of ASCII letters. */
static bool
text_is_caseless(HttpText text, const char *word, size_t length)
{
	if (text.bytes == NULL || text.length != length)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		if (pg_ascii_tolower((unsigned char) text.bytes[i]) !=
			pg_ascii_tolower((unsigned char) word[i]))
			return false;
	}
	return true;
}

static bool
text_is_word(HttpText text, const char *word)
{
	return text_is_caseless(text, word, strlen(word));
}

bool
HttpNextToken(HttpText *rest, HttpText *token)
{
	while (rest->length > 0)
	{
		HttpText	element;

		if (!split(rest, ',', &element))
		{
			element = *rest;
			rest->length = 0;
		}
		*token = trim(element);
		if (token->length > 0)
			return true;
	}
	return false;
}

/* Does the comma-separated value name the word? */
static bool
list_has(HttpText value, const char *word)
{
	HttpText	token;

	while (HttpNextToken(&value, &token))
	{
		if (text_is_word(token, word))
			return true;
	}
	return false;
}

/*
 * Take the target apart.  An absolute-form target ("ws://host/path") counts
 * for its path; its authority is left to the Host header, which has to be
 * there as well.
 */
static bool
parse_target(HttpText target, HttpRequest *request)
{
	const char *question;

	for (size_t i = 0; i < target.length; i++)
	{
		if (is_control((unsigned char) target.bytes[i]) ||
			target.bytes[i] == '#')
			return false;
	}

	if (target.length > 0 && target.bytes[0] != '/' &&
		!HttpTextIs(target, "*"))
	{
		HttpText	scheme;
		size_t		authority = 0;

		if (!split(&target, ':', &scheme) || !is_token(scheme) ||
			target.length < 3 || memcmp(target.bytes, "//", 2) != 0)
			return false;
		target = text_of(target.bytes + 2, target.length - 2);
		while (authority < target.length &&
			   target.bytes[authority] != '/' &&
			   target.bytes[authority] != '?')
			authority++;
		if (authority == 0)
			return false;
		target = text_of(target.bytes + authority,
						 target.length - authority);
		if (target.length == 0 || target.bytes[0] == '?')
			request->path = text_of("/", 1);
	}
	else if (target.length == 0)
		return false;

	question = target.length == 0 ? NULL :
		memchr(target.bytes, '?', target.length);
	if (question != NULL)
	{
		request->query = text_of(question + 1, target.bytes +
								 target.length - question - 1);
		target.length = question - target.bytes;
	}
	if (request->path.bytes == NULL)
		request->path = target;
	return true;
}

static bool
parse_request_line(HttpText line, HttpRequest *request)
{
	HttpText	target;

	if (!split(&line, ' ', &request->method) || !is_token(request->method) ||
		!split(&line, ' ', &target) || !parse_target(target, request))
		return false;

	/* what is left is the version */
	if (line.length != strlen("HTTP/1.1") ||
		memcmp(line.bytes, "HTTP/1.", strlen("HTTP/1.")) != 0 ||
		line.bytes[7] < '0' || line.bytes[7] > '9')
		return false;
	request->minor_version = line.bytes[7] - '0';
	return true;
}

/* For headers that may stand there once only. */
static bool
set_once(HttpText *field, HttpText value)
{
	if (field->bytes != NULL)
		return false;
	*field = value;
	return true;
}

static void
set_first(HttpText *field, HttpText value)
{
	if (field->bytes == NULL)
		*field = value;
}

/* A name or address and a port, as far as characters tell. */
static bool
is_host(HttpText value)
{
	for (size_t i = 0; i < value.length; i++)
	{
		unsigned char c = (unsigned char) value.bytes[i];

		if (!is_alphanumeric(c) &&
			(c == '\0' || strchr("-._~!$&'()*+,;=%:[]", c) == NULL))
			return false;
	}
	return true;
}

/*
 * The framing of a body, which we never read.  It only has to be known
 * whether there is one, and that nobody else could take it for another.
 */
typedef struct BodyFraming
{
	HttpText	length;
	HttpText	encoding;
} BodyFraming;

static bool
set_body_length(BodyFraming *body, HttpText value, HttpRequest *request)
{
	if (value.length == 0 || !set_once(&body->length, value))
		return false;
	for (size_t i = 0; i < value.length; i++)
	{
		if (value.bytes[i] < '0' || value.bytes[i] > '9')
			return false;
		if (value.bytes[i] != '0')
			request->has_body = true;
	}
	return true;
}

static bool
apply_header(HttpText name, HttpText value, HttpRequest *request,
			 BodyFraming *body)
{
	if (text_is_word(name, "Host"))
		return is_host(value) && set_once(&request->host, value);
	if (text_is_word(name, "Origin"))
		return set_once(&request->origin, value);
	if (text_is_word(name, "Sec-WebSocket-Key"))
		return set_once(&request->websocket_key, value);
	if (text_is_word(name, "Sec-WebSocket-Version"))
		return set_once(&request->websocket_version, value);
	if (text_is_word(name, "Content-Length"))
		return set_body_length(body, value, request);

	if (text_is_word(name, "Transfer-Encoding"))
	{
		set_first(&body->encoding, value);
		request->has_body = true;
	}
	else if (text_is_word(name, "Connection"))
	{
		if (list_has(value, "upgrade"))
			request->connection_upgrade = true;
	}
	else if (text_is_word(name, "Upgrade"))
	{
		set_first(&request->upgrade, value);
		if (list_has(value, "websocket"))
			request->upgrade_websocket = true;
	}
	else if (text_is_word(name, "Sec-WebSocket-Protocol"))
		set_first(&request->websocket_protocol, value);
	else if (text_is_word(name, "Sec-WebSocket-Extensions"))
		set_first(&request->websocket_extensions, value);
	/* the last one is from the proxy that is nearest to us */
	else if (text_is_word(name, "X-Forwarded-For"))
		request->forwarded_for = value;
	else if (text_is_word(name, "X-Forwarded-Proto"))
		request->forwarded_proto = value;
	return true;
}

static bool
parse_header(HttpText line, HttpRequest *request, BodyFraming *body)
{
	HttpText	name;
	HttpText	value;

	/* a line that begins with a blank (obs-fold) has no token for a name */
	if (!split(&line, ':', &name) || !is_token(name))
		return false;
	value = trim(line);
	for (size_t i = 0; i < value.length; i++)
	{
		if (is_control((unsigned char) value.bytes[i]) &&
			value.bytes[i] != '\t')
			return false;
	}
	return apply_header(name, value, request, body);
}

/* What can only be judged when the last header has been seen. */
static HttpParseResult
finish_head(HttpRequest *request, const BodyFraming *body)
{
	if (request->host.bytes == NULL && request->minor_version > 0)
		return HTTP_MALFORMED;
	if (body->length.bytes != NULL && body->encoding.bytes != NULL)
		return HTTP_MALFORMED;
	return HTTP_COMPLETE;
}

/*
 * A line whose end has not come yet: can it still become one?  Its last byte
 * may be the CR of its end.
 */
static HttpParseResult
judge_partial_line(HttpText line)
{
	if (line.length > 0 && line.bytes[line.length - 1] == '\r')
		line.length--;
	for (size_t i = 0; i < line.length; i++)
	{
		if (is_control((unsigned char) line.bytes[i]) &&
			line.bytes[i] != '\t')
			return HTTP_MALFORMED;
	}
	return HTTP_INCOMPLETE;
}

/* Take the lines in order; "rest" begins with the head. */
static HttpParseResult
parse_lines(HttpText *rest, HttpRequest *request)
{
	BodyFraming body = {{0}};
	HttpText	line;
	int			empty_lines = 0;

	while (split(rest, '\n', &line))
	{
		if (line.length == 0 || line.bytes[line.length - 1] != '\r')
			return HTTP_MALFORMED;	/* a bare LF */
		line.length--;

		if (request->method.bytes == NULL)
		{
			if (line.length == 0 && empty_lines++ == 0)
				continue;
			if (!parse_request_line(line, request))
				return HTTP_MALFORMED;
		}
		else if (line.length == 0)
			return finish_head(request, &body);
		else if (!parse_header(line, request, &body))
			return HTTP_MALFORMED;
	}
	return judge_partial_line(*rest);
}

HttpParseResult
HttpParseRequest(const char *buffer, size_t length, size_t max_head,
				 HttpRequest *request, size_t *consumed)
{
	HttpText	rest = text_of(buffer, Min(length, max_head));
	HttpParseResult result;

	memset(request, 0, sizeof(*request));
	result = parse_lines(&rest, request);
	if (result == HTTP_COMPLETE)
		*consumed = rest.bytes - buffer;
	else if (result == HTTP_INCOMPLETE && length >= max_head)
		result = HTTP_HEAD_TOO_LARGE;
	return result;
}

/* Sixteen bytes of base64 have one form only: 22 digits and two signs. */
static bool
is_websocket_key(HttpText key)
{
	if (key.bytes == NULL || key.length != 24 ||
		memcmp(key.bytes + 22, "==", 2) != 0)
		return false;
	for (size_t i = 0; i < 22; i++)
	{
		char		c = key.bytes[i];

		if (!is_alphanumeric((unsigned char) c) && c != '+' && c != '/')
			return false;
	}
	/* the last digit has two bits of the key, and four that must be zero */
	return strchr("AQgw", key.bytes[21]) != NULL;
}

bool
HttpAsksUpgrade(const HttpRequest *request)
{
	return request->minor_version > 0 &&
		request->connection_upgrade && request->upgrade_websocket;
}

int
HttpCheckUpgrade(const HttpRequest *request)
{
	if (!HttpAsksUpgrade(request))
		return 426;
	if (!HttpTextIs(request->websocket_version, "13"))
		return 426;
	if (!is_websocket_key(request->websocket_key))
		return 400;

	/* bytes of a body would be taken for frames */
	if (request->has_body)
		return 400;
	return 0;
}

bool
HttpOriginAllowed(HttpText origin, const char *allowed)
{
	HttpText	list;
	HttpText	entry;

	/* a client without Origin is no browser, which is whom this is about */
	if (allowed == NULL || allowed[0] == '\0' || origin.bytes == NULL)
		return true;

	list = text_of(allowed, strlen(allowed));
	while (HttpNextToken(&list, &entry))
	{
		/* browsers send no slash at the end, people write one */
		if (entry.bytes[entry.length - 1] == '/')
			entry.length--;
		if (entry.length > 0 &&
			text_is_caseless(origin, entry.bytes, entry.length))
			return true;
	}
	return false;
}
