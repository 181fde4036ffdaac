/*-------------------------------------------------------------------------
 *
 * client_message.h
 *		The JSON that clients send, read into structs.
 *
 * This is the quiz API and what all of them share; the other two APIs have
 * parsers of their own (dashboard_message.h, security_message.h).
 *
 * The bytes are valid UTF-8 when they come here.  Results are palloc'd in the
 * current memory context, so that the caller frees a message with its context.
 * These functions throw where palloc does, and for nothing else: whatever a
 * client sends ends in a result.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_CLIENT_MESSAGE_H
#define QUIZRT_CLIENT_MESSAGE_H

#include "lib/stringinfo.h"

typedef enum MessageResult
{
	MESSAGE_OK,
	MESSAGE_NOT_JSON,
	MESSAGE_WRONG_SHAPE,
	MESSAGE_UNKNOWN_ACTION
} MessageResult;

/*
 * {"action": ..., "subscriptions": [...]}; other keys are ignored, and of a
 * key that is given twice the last one counts.  A message that is nested
 * deeper than 32 levels has the wrong shape.
 */
typedef struct QuizMessage
{
	bool		subscribe;		/* else unsubscribe */
	char	   *action;			/* as the client sent it; also set with
								 * MESSAGE_UNKNOWN_ACTION */
	int			nsubscriptions;
	char	  **subscriptions;	/* in the order sent, each once */
} QuizMessage;

extern MessageResult QuizMessageParse(const char *bytes, size_t length,
									  QuizMessage *message);

/* A channel, as clients write it. */
typedef enum ChannelType
{
	CHANNEL_UNKNOWN,
	CHANNEL_QUIZ,
	CHANNEL_NOTIFICATION,
	CHANNEL_ATTEMPTS,
	CHANNEL_LEADERBOARD
} ChannelType;

/*
 * Split "<type>:<id>" and judge the id: a positive decimal bigint without
 * leading zero or sign, or (attempts, leaderboard, notification) a UUID.
 * "topic" gets the normalised text (a UUID in lower case), or nothing where
 * there is no valid id; it must have room for 64 bytes.  *valid_id is false
 * where the id is none.  Allocates nothing.
 */
extern ChannelType ChannelParse(const char *channel, char *topic,
								bool *valid_id);

/*
 * Append a client's text as it goes into an error: cut at 100 code points.
 * Not escaped.  "length" bytes of valid UTF-8.
 */
extern void AppendClipped(StringInfo buffer, const char *text, size_t length);

/* Append text as a JSON string with its quotes. */
extern void AppendJsonString(StringInfo buffer, const char *text,
							 size_t length);

#endif							/* QUIZRT_CLIENT_MESSAGE_H */
