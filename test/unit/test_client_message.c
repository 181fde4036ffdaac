/*-------------------------------------------------------------------------
 *
 * test_client_message.c
 *		The JSON of the three APIs, and channel names.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "arena.h"
#include "tap.h"
#include "wire/client_message.h"
#include "wire/dashboard_message.h"
#include "wire/security_message.h"

/* A copy without a byte to spare. */
static const char *
exact(const char *bytes, size_t length)
{
	static char *copy;

	free(copy);
	copy = malloc(length > 0 ? length : 1);
	memcpy(copy, bytes, length);
	return copy;
}

/* One line that says what was understood. */
static const char *
quiz_of(const char *bytes, size_t length)
{
	static char line[1024];
	QuizMessage message;

	switch (QuizMessageParse(exact(bytes, length), length, &message))
	{
		case MESSAGE_NOT_JSON:
			return "not JSON";
		case MESSAGE_WRONG_SHAPE:
			return "wrong shape";
		case MESSAGE_UNKNOWN_ACTION:
			snprintf(line, sizeof(line), "unknown %s", message.action);
			return line;
		case MESSAGE_OK:
			break;
	}
	snprintf(line, sizeof(line), "%s",
			 message.subscribe ? "subscribe" : "unsubscribe");
	for (int i = 0; i < message.nsubscriptions; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), " %s",
				 message.subscriptions[i]);
	return line;
}

static void
quiz(const char *json, const char *expected)
{
	is_text(quiz_of(json, strlen(json)), expected, json);
	ArenaReset();
}

static void
test_quiz(void)
{
#define SUBSCRIBE(list) "{\"action\":\"subscribe\",\"subscriptions\":" list "}"
	quiz(SUBSCRIBE("[\"quiz:42\",\"quiz:99\"]"), "subscribe quiz:42 quiz:99");
	quiz(" {\n\"subscriptions\" : [ \"quiz:42\" ] , \"action\":\"unsubscribe\" }\r\n",
		 "unsubscribe quiz:42");
	quiz(SUBSCRIBE("[\"b\",\"a\",\"b\",\"c\",\"a\",\"b\"]"), "subscribe b a c");
	quiz(SUBSCRIBE("[\"\"]"), "subscribe ");
	quiz(SUBSCRIBE("[\"\\u0071uiz:\\u00e9\\ud83d\\ude00\\n\"]"),
		 "subscribe quiz:\xc3\xa9\xf0\x9f\x98\x80\n");
	quiz("{\"x\":[1,{\"action\":\"y\"}],\"action\":\"subscribe\",\"y\":null,"
		 "\"subscriptions\":[\"a\"],\"z\":{\"subscriptions\":[\"b\"]}}",
		 "subscribe a");
	quiz("{\"\\u0061ction\":\"subscribe\",\"subscriptions\":[\"a\"]}",
		 "subscribe a");
	quiz("{\"action\":1,\"subscriptions\":[1,[\"x\"]],"
		 "\"subscriptions\":[\"a\"],\"action\":\"subscribe\"}", "subscribe a");
	quiz("{\"action\":\"subscribe\",\"subscriptions\":[\"a\"],"
		 "\"subscriptions\":[\"b\"]}", "subscribe b");
	quiz("{\"action\":\"subscribe\",\"subscriptions\":[\"a\"],"
		 "\"subscriptions\":7}", "wrong shape");

	quiz("{\"action\":\"explode\"}", "unknown explode");
	quiz("{\"action\":\"\"}", "unknown ");
	quiz("{\"action\":\"Subscribe\",\"subscriptions\":3}", "unknown Subscribe");

	quiz(SUBSCRIBE("[]"), "wrong shape");
	quiz(SUBSCRIBE("\"quiz:42\""), "wrong shape");
	quiz(SUBSCRIBE("null"), "wrong shape");
	quiz(SUBSCRIBE("{}"), "wrong shape");
	quiz(SUBSCRIBE("{\"a\":\"b\"}"), "wrong shape");
	quiz(SUBSCRIBE("[1]"), "wrong shape");
	quiz(SUBSCRIBE("[\"a\",null]"), "wrong shape");
	quiz(SUBSCRIBE("[null,\"a\"]"), "wrong shape");
	quiz(SUBSCRIBE("[\"a\",[\"b\"]]"), "wrong shape");
	quiz(SUBSCRIBE("[[],\"b\"]"), "wrong shape");
	quiz(SUBSCRIBE("[{},\"b\"]"), "wrong shape");
	quiz("{\"action\":\"subscribe\"}", "wrong shape");
	quiz("{\"subscriptions\":[\"a\"]}", "wrong shape");
	quiz("{\"action\":[\"subscribe\"],\"subscriptions\":[\"a\"]}",
		 "wrong shape");
	quiz("{\"action\":null,\"subscriptions\":[\"a\"]}", "wrong shape");
	quiz("[" SUBSCRIBE("[\"a\"]") "]", "wrong shape");
	quiz("{}", "wrong shape");
	quiz("[]", "wrong shape");
	quiz("\"subscribe\"", "wrong shape");
	quiz("7", "wrong shape");
	quiz("null", "wrong shape");

	quiz("", "not JSON");
	quiz(" ", "not JSON");
	quiz("ping", "not JSON");
	quiz("{", "not JSON");
	quiz("\"", "not JSON");
	quiz("\"\\", "not JSON");
	quiz("\"\\u00", "not JSON");
	quiz(SUBSCRIBE("[\"a\"]") "x", "not JSON");
	quiz(SUBSCRIBE("[\"a\"]") "{}", "not JSON");
	quiz(SUBSCRIBE("[\"a\",]"), "not JSON");
	quiz(SUBSCRIBE("[\"\\u0000\"]"), "not JSON");
	quiz(SUBSCRIBE("[\"\\ud83d\"]"), "not JSON");
	quiz(SUBSCRIBE("[\"\\ud83dx\"]"), "not JSON");
	quiz(SUBSCRIBE("[\"\\ude00\"]"), "not JSON");
	quiz(SUBSCRIBE("[\"\\x\"]"), "not JSON");
	quiz(SUBSCRIBE("[\"\t\"]"), "not JSON");
	quiz(SUBSCRIBE("[01]"), "not JSON");
	quiz("{'action':'subscribe'}", "not JSON");
	quiz("{\"x\":\"\\ud83d\",\"action\":\"subscribe\",\"subscriptions\":[\"a\"]}",
		 "not JSON");
	quiz("\xef\xbb\xbf{}", "not JSON");
	is_text(quiz_of("{}\0", 3), "not JSON", "a NUL behind it");
	is_text(quiz_of("\0", 1), "not JSON", "a NUL alone");
	ArenaReset();
}

/* Every beginning of a message is not JSON, and nothing is read beyond it. */
static void
test_cut(void)
{
	static const char json[] = SUBSCRIBE("[\"qu\\u00e9\xe2\x82\xac\",\"b\"]");
	bool		all = true;

	for (size_t i = 0; i < strlen(json); i++)
	{
		all = all && strcmp(quiz_of(json, i), "not JSON") == 0;
		ArenaReset();
	}
	ok(all, "no beginning of a message is JSON");
}

static void
test_depth(void)
{
	char		deep[100000];
	char		text[256];

	for (int levels = 31; levels <= 33; levels++)
	{
		/* the object is a level too */
		memset(deep, '[', levels - 1);
		memset(deep + levels - 1, ']', levels - 1);
		deep[2 * (levels - 1)] = '\0';
		snprintf(text, sizeof(text), "{\"x\":%s,\"action\":\"subscribe\","
				 "\"subscriptions\":[\"a\"]}", deep);
		quiz(text, levels <= 32 ? "subscribe a" : "wrong shape");
	}
	memset(deep, '[', sizeof(deep));
	is_text(quiz_of(deep, sizeof(deep)), "not JSON",
			"a hundred thousand brackets that are not closed");
	memset(deep + sizeof(deep) / 2, ']', sizeof(deep) / 2);
	is_text(quiz_of(deep, sizeof(deep)), "wrong shape",
			"fifty thousand pairs of brackets");
	quiz(SUBSCRIBE("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"]"),
		 "subscribe [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[");
}

/* As many strings as fit into a message must not cost quadratic time. */
static void
test_many(void)
{
	int			count = 16000;
	char	   *json = malloc(count * 8 + 100);
	char	   *at = json + sprintf(json, "{\"action\":\"subscribe\","
									"\"subscriptions\":[");
	QuizMessage message;
	bool		all = true;

	for (int i = 0; i < count; i++)
		at += sprintf(at, "%s\"%d\"", i == 0 ? "" : ",", i % (count / 2));
	strcpy(at, "]}");
	ok(QuizMessageParse(json, strlen(json), &message) == MESSAGE_OK &&
	   message.nsubscriptions == count / 2, "many strings, each twice");
	for (int i = 0; i < message.nsubscriptions; i++)
		all = all && atoi(message.subscriptions[i]) == i;
	ok(all, "in the order of their first appearance");
	free(json);
	ArenaReset();
}

static void
channel(const char *name, ChannelType type, const char *expected)
{
	char		topic[64];
	bool		valid;
	bool		as_expected = ChannelParse(name, topic, &valid) == type;

	as_expected = as_expected && valid == (expected != NULL) &&
		strcmp(topic, expected == NULL ? "" : expected) == 0;
	ok(as_expected, "channel '%s'", name);
}

static void
test_channels(void)
{
#define UUID "550e8400-e29b-41d4-a716-446655440000"
	char		longest[5000];

	channel("quiz:42", CHANNEL_QUIZ, "quiz:42");
	channel("quiz:1", CHANNEL_QUIZ, "quiz:1");
	channel("quiz:9223372036854775807", CHANNEL_QUIZ,
			"quiz:9223372036854775807");
	channel("attempts:7", CHANNEL_ATTEMPTS, "attempts:7");
	channel("attempts:" UUID, CHANNEL_ATTEMPTS, "attempts:" UUID);
	channel("leaderboard:550E8400-E29B-41d4-A716-446655440000",
			CHANNEL_LEADERBOARD, "leaderboard:" UUID);
	channel("notification:" UUID, CHANNEL_NOTIFICATION,
			"notification:" UUID);
	channel("notification:9223372036854775807", CHANNEL_NOTIFICATION,
			"notification:9223372036854775807");

	channel("quiz:9223372036854775808", CHANNEL_QUIZ, NULL);
	channel("quiz:99999999999999999999", CHANNEL_QUIZ, NULL);
	channel("quiz:0", CHANNEL_QUIZ, NULL);
	channel("quiz:042", CHANNEL_QUIZ, NULL);
	channel("quiz:-1", CHANNEL_QUIZ, NULL);
	channel("quiz:+1", CHANNEL_QUIZ, NULL);
	channel("quiz: 1", CHANNEL_QUIZ, NULL);
	channel("quiz:1 ", CHANNEL_QUIZ, NULL);
	channel("quiz:1.0", CHANNEL_QUIZ, NULL);
	channel("quiz:abc", CHANNEL_QUIZ, NULL);
	channel("quiz:1:2", CHANNEL_QUIZ, NULL);
	channel("quiz:" UUID, CHANNEL_QUIZ, NULL);
	channel("quiz:", CHANNEL_QUIZ, NULL);
	channel("quiz", CHANNEL_QUIZ, NULL);
	channel("attempts:550e8400e29b41d4a716446655440000", CHANNEL_ATTEMPTS,
			NULL);
	channel("attempts:{" UUID "}", CHANNEL_ATTEMPTS, NULL);
	channel("attempts:" UUID "0", CHANNEL_ATTEMPTS, NULL);
	channel("attempts:550e8400-e29b-41d4-a716-44665544000g",
			CHANNEL_ATTEMPTS, NULL);
	channel("attempts:550e8400e-29b-41d4-a716-446655440000",
			CHANNEL_ATTEMPTS, NULL);
	channel("foo:1", CHANNEL_UNKNOWN, NULL);
	channel("Quiz:1", CHANNEL_UNKNOWN, NULL);
	channel(" quiz:1", CHANNEL_UNKNOWN, NULL);
	channel("quizzes:1", CHANNEL_UNKNOWN, NULL);
	channel(":1", CHANNEL_UNKNOWN, NULL);
	channel("", CHANNEL_UNKNOWN, NULL);

	memset(longest, '1', sizeof(longest));
	memcpy(longest, "attempts:", 9);
	longest[sizeof(longest) - 1] = '\0';
	channel(longest, CHANNEL_ATTEMPTS, NULL);
}

static void
test_texts(void)
{
	StringInfoData buffer;
	StringInfoData input;

	initStringInfo(&buffer);
	AppendClipped(&buffer, "short", 5);
	is_text(buffer.data, "short", "a short text is not cut");

	initStringInfo(&input);
	for (int i = 0; i < 101; i++)
		appendStringInfoString(&input, i % 2 == 0 ? "\xe2\x82\xac" : "x");
	resetStringInfo(&buffer);
	AppendClipped(&buffer, input.data, input.len);
	is_number(buffer.len, 50 * 3 + 50, "cut at a hundred characters");
	resetStringInfo(&buffer);
	AppendClipped(&buffer, input.data, 50 * 3 + 50);
	is_number(buffer.len, 50 * 3 + 50, "a hundred are not cut");

	resetStringInfo(&buffer);
	AppendJsonString(&buffer, "\"\\/\b\f\n\r\t\x01\x1f\x7f\0\xe2\x82\xac", 15);
	is_text(buffer.data, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000"
			"\xe2\x82\xac\"", "JSON escapes");
	ArenaReset();
}

static void
dashboard(const char *text, bool ping, const char *token)
{
	DashboardMessage message;

	DashboardMessageParse(exact(text, strlen(text)), strlen(text), &message);
	ok(message.ping == ping &&
	   (token == NULL ? message.token == NULL :
		message.token != NULL && strcmp(message.token, token) == 0),
	   "dashboard: '%s'", text);
	ArenaReset();
}

static void
test_dashboard(void)
{
	dashboard("ping", true, NULL);
	dashboard("\"ping\"", true, NULL);
	dashboard("{\"event\":\"ping\"}", true, NULL);
	dashboard("{\"type\":\"ping\",\"event\":1}", true, NULL);
	dashboard("{\"action\":\"ping\"}", true, NULL);
	dashboard("{\"token\":\"t\"}", false, "t");
	dashboard("{\"token\":\"\"}", false, "");
	dashboard("{\"token\":\"t\",\"action\":\"ping\"}", true, "t");
	dashboard("{\"token\":7}", false, NULL);
	dashboard("{\"token\":[\"t\"]}", false, NULL);
	dashboard("[\"ping\"]", false, NULL);
	dashboard("{\"ping\":\"ping\"}", false, NULL);
	dashboard("{\"event\":\"ping\"", false, NULL);
	dashboard("\"pong\"", false, NULL);
	dashboard("pin", false, NULL);
	dashboard("ping ", false, NULL);
	dashboard("", false, NULL);
}

static const char *
security_of(const char *text)
{
	static char line[1024];
	SecurityMessage message;

	switch (SecurityMessageParse(exact(text, strlen(text)), strlen(text),
								 &message))
	{
		case SECURITY_MESSAGE_NOT_JSON:
			return "not JSON";
		case SECURITY_MESSAGE_NO_OBJECT:
			return "no object";
		case SECURITY_MESSAGE_BAD_TYPE:
			return "bad type";
		case SECURITY_MESSAGE_UNKNOWN_TYPE:
			return "unknown type";
		case SECURITY_MESSAGE_BAD_CHANNELS:
			return "bad channels";
		case SECURITY_MESSAGE_OK:
			break;
	}
	snprintf(line, sizeof(line), "%s",
			 message.kind == SECURITY_PING ? "ping" :
			 message.kind == SECURITY_SUBSCRIBE ? "subscribe" : "unsubscribe");
	for (int i = 0; i < message.nchannels; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), " %s",
				 message.channels[i]);
	return line;
}

static void
security(const char *text, const char *expected)
{
	is_text(security_of(text), expected, text);
	ArenaReset();
}

static void
test_security(void)
{
	char		type[300];

	security("ping", "ping");
	security("{\"type\":\"ping\"}", "ping");
	security("{\"type\":\"ping\",\"channels\":7,\"data\":{}}", "ping");
	security("{\"type\":\"subscribe\",\"channels\":[\"events\",\"alerts\","
			 "\"events\"]}", "subscribe events alerts");
	security("{\"type\":\"unsubscribe\",\"channels\":[\"events\"]}",
			 "unsubscribe events");
	security("invalid{json", "not JSON");
	security("", "not JSON");
	security("[]", "no object");
	security("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "not JSON");
	security("\"ping\"", "no object");
	security("{}", "bad type");
	security("{\"type\":1}", "bad type");
	security("{\"type\":null}", "bad type");
	security("{\"type\":\"\"}", "bad type");
	security("{\"type\":\"pong\"}", "unknown type");
	security("{\"type\":\"subscribe\"}", "bad channels");
	security("{\"type\":\"subscribe\",\"channels\":[]}", "bad channels");
	security("{\"type\":\"subscribe\",\"channels\":[1]}", "bad channels");
	security("{\"type\":\"subscribe\",\"channels\":\"events\"}",
			 "bad channels");

	/* characters are counted, not bytes */
	for (int characters = 50; characters <= 51; characters++)
	{
		strcpy(type, "{\"type\":\"");
		for (int i = 0; i < characters; i++)
			strcat(type, "\xe2\x82\xac");
		strcat(type, "\"}");
		security(type, characters == 50 ? "unknown type" : "bad type");
	}
}

int
main(void)
{
	test_quiz();
	test_cut();
	test_depth();
	test_many();
	test_channels();
	test_texts();
	test_dashboard();
	test_security();
	is_number(ArenaUsed(), 0, "the arena is empty");
	return done_testing();
}
