/*-------------------------------------------------------------------------
 *
 * fuzz_http.c
 *		Heads of requests.
 *
 * The first byte chooses the limit on the head.  Promises: however many bytes
 * have come, the verdict is "incomplete" or that of the whole; views lie
 * within the buffer; what passes HttpCheckUpgrade() can be answered.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "arena.h"
#include "fuzz.h"
#include "wire/http.h"

static HttpParseResult
parse(const uint8_t *bytes, size_t length, size_t max_head)
{
	char	   *copy = exact_copy(bytes, length);
	HttpRequest request;
	size_t		consumed;
	HttpParseResult result = HttpParseRequest(copy, length, max_head,
											  &request, &consumed);

	free(copy);
	return result;
}

static void
check_view(HttpText text, const char *buffer, size_t head)
{
	if (text.bytes == NULL)
	{
		HOLDS(text.length == 0);
		return;
	}
	HOLDS(text.bytes >= buffer && text.bytes + text.length <= buffer + head);
	for (size_t i = 0; i < text.length; i++)
		HOLDS(text.bytes[i] == '\t' ||
			  ((unsigned char) text.bytes[i] >= ' ' && text.bytes[i] != 0x7F));
}

static void
check_tokens(HttpText list)
{
	HttpText	token;
	size_t		total = 0;

	while (HttpNextToken(&list, &token))
	{
		HOLDS(token.length > 0 && memchr(token.bytes, ',',
										 token.length) == NULL);
		total += token.length;
		HOLDS(total < 100000);
	}
}

static void
check_answers(const HttpRequest *request)
{
	StringInfoData buffer;
	int			status = HttpCheckUpgrade(request);

	HOLDS(status == 0 || status == 400 || status == 426);
	initStringInfo(&buffer);
	if (status == 0)
	{
		HOLDS(request->websocket_key.length == 24 && !request->has_body);
		HttpAppendUpgrade(&buffer, request, NULL, NULL);
	}
	else
		HttpAppendError(&buffer, status, "error", HttpAsksUpgrade(request),
						false);
	HttpOriginAllowed(request->origin, "https://a.example, null,/");
	ArenaReset();
}

static void
check_request(const char *copy, size_t consumed, const HttpRequest *request)
{
	HOLDS(consumed >= 4 && memcmp(copy + consumed - 2, "\r\n", 2) == 0);
	HOLDS(request->method.length > 0 && request->path.length > 0);
	HOLDS(request->minor_version >= 0 && request->minor_version <= 9);
	HOLDS(request->minor_version == 0 || request->host.bytes != NULL);
	if (!HttpTextIs(request->path, "/"))
		check_view(request->path, copy, consumed);
	check_view(request->method, copy, consumed);
	check_view(request->query, copy, consumed);
	check_view(request->host, copy, consumed);
	check_view(request->origin, copy, consumed);
	check_view(request->upgrade, copy, consumed);
	check_view(request->websocket_key, copy, consumed);
	check_view(request->websocket_version, copy, consumed);
	check_view(request->websocket_protocol, copy, consumed);
	check_view(request->websocket_extensions, copy, consumed);
	check_view(request->forwarded_for, copy, consumed);
	check_view(request->forwarded_proto, copy, consumed);
	check_tokens(request->websocket_protocol);
	check_tokens(request->websocket_extensions);
	check_answers(request);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t		max_head;
	char	   *copy;
	HttpRequest request;
	size_t		consumed = 0;
	HttpParseResult whole;
	size_t		step;

	if (size < 1)
		return 0;
	max_head = data[0] == ' ' ? 8192 : 4 * (size_t) data[0];
	data++;
	size--;

	copy = exact_copy(data, size);
	whole = HttpParseRequest(copy, size, max_head, &request, &consumed);
	if (whole == HTTP_COMPLETE)
	{
		HOLDS(consumed <= size && consumed <= max_head);
		check_request(copy, consumed, &request);
		HOLDS(parse(data, consumed, max_head) == HTTP_COMPLETE);
		HOLDS(parse(data, consumed - 1, max_head) == HTTP_INCOMPLETE);
	}
	free(copy);

	/* every beginning of a short head, some of a long one */
	step = 1 + size / 200;
	for (size_t i = 0; i < size; i += step)
	{
		HttpParseResult part = parse(data, i, max_head);

		HOLDS(part == HTTP_INCOMPLETE || part == whole);
	}
	return 0;
}
