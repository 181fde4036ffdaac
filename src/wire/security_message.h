/*-------------------------------------------------------------------------
 *
 * security_message.h
 *		What clients of the security API send.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_SECURITY_MESSAGE_H
#define QUIZRT_SECURITY_MESSAGE_H

typedef enum SecurityMessageResult
{
	SECURITY_MESSAGE_OK,
	SECURITY_MESSAGE_NOT_JSON,	/* invalid_json */
	SECURITY_MESSAGE_NO_OBJECT, /* invalid_message_format; also where it is
								 * nested deeper than 32 levels */
	SECURITY_MESSAGE_BAD_TYPE,	/* validation_error of "type": missing, no
								 * string, or not of 1 to 50 characters */
	SECURITY_MESSAGE_UNKNOWN_TYPE,	/* unknown_message_type */
	SECURITY_MESSAGE_BAD_CHANNELS	/* validation_error of "channels":
									 * missing, empty, or no list of strings */
} SecurityMessageResult;

typedef enum SecurityMessageKind
{
	SECURITY_PING,
	SECURITY_SUBSCRIBE,
	SECURITY_UNSUBSCRIBE
} SecurityMessageKind;

typedef struct SecurityMessage
{
	SecurityMessageKind kind;
	char	   *type;			/* as sent; NULL where it is no string, or of
								 * a bare "ping" */
	int			nchannels;		/* whether they exist is not looked at */
	char	  **channels;		/* in the order sent, each once */
} SecurityMessage;

/* "bytes" must be valid UTF-8.  Allocates as QuizMessageParse() does. */
extern SecurityMessageResult SecurityMessageParse(const char *bytes,
												  size_t length,
												  SecurityMessage *message);

#endif							/* QUIZRT_SECURITY_MESSAGE_H */
