/*-------------------------------------------------------------------------
 *
 * dashboard_message.h
 *		What clients of the dashboard API send.
 *
 * Two things have a meaning: "ping" (bare, as a JSON string, or as the
 * "event", "type" or "action" of an object) and {"token": "..."}.  An object
 * may be both; which of them counts depends on the connection's state, so it
 * is the caller's to say.  Nothing here is an error of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_DASHBOARD_MESSAGE_H
#define QUIZRT_DASHBOARD_MESSAGE_H

typedef struct DashboardMessage
{
	bool		ping;
	char	   *token;			/* NULL: none; may be empty */
} DashboardMessage;

/* "bytes" must be valid UTF-8.  Allocates as QuizMessageParse() does. */
extern void DashboardMessageParse(const char *bytes, size_t length,
								  DashboardMessage *message);

#endif							/* QUIZRT_DASHBOARD_MESSAGE_H */
