/*-------------------------------------------------------------------------
 *
 * dialect.h
 *		What differs between the APIs that are served.
 *
 * One engine serves them all: one listener, one connection life cycle, one
 * subscription index, one broadcast path, one set of limits.  A dialect says
 * how a client proves who it is, what its messages mean, and how an event is
 * worded.  docs/dialects.md tells how one is added.
 *
 * The functions run in the gateway, inside the loop's guard: an error that
 * they throw costs the connection, not the process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_DIALECT_H
#define QUIZRT_DIALECT_H

#include "bus/event.h"
#include "bus/question.h"
#include "gateway/connection.h"
#include "gateway/stream.h"

struct Topic;

typedef struct Dialect
{
	const char *name;
	const char *path;			/* of the endpoint; NULL: quizrt.echo_path */

	/* Is this topic of an event one of its own?  NULL: it has none. */
	bool		(*owns_topic) (EventText topic);

	/* Is it served at all?  NULL: always. */
	bool		(*enabled) (void);

	/*
	 * A valid upgrade request: refuse it, accept it, or ask who it is
	 * (CredentialAsk).
	 */
	void		(*request) (Connection *connection,
							const HttpRequest *request);

	/*
	 * The answer: who it is, or NULL where the database can't tell in time.
	 * What was committed since it was made comes after the mark.
	 */
	void		(*identified) (Connection *connection,
							   const CredentialAnswer *answer,
							   const StreamMark *mark);

	/* The connection ends: the session's memory and subscriptions go. */
	void		(*ended) (Connection *connection);

	/* A text message, valid UTF-8. */
	void		(*message) (Connection *connection, const char *bytes,
							size_t length);

	/* A binary message.  NULL: there are none (1003). */
	void		(*binary) (Connection *connection, const char *bytes,
						   size_t length);

	/* Time between heartbeats, and the heartbeat; NULL: WebSocket pings. */
	int			(*heartbeat_interval) (void);
	void		(*heartbeat) (Connection *connection);

	/* Time for the answer to a ping, and without any message; NULL or 0:
	 * not limited. */
	int			(*pong_timeout) (void);
	int			(*idle_timeout) (void);

	/* The deadline that the dialect set has passed. */
	void		(*deadline) (Connection *connection);

	/* The settings may have changed, for one that is open.  NULL: nothing
	 * that it has to act on. */
	void		(*reloaded) (Connection *connection);

	/* The client had been too slow and is not any more. */
	void		(*caught_up) (Connection *connection);

	/*
	 * Word an update for the subscribers of one topic; a new frame, or NULL
	 * where there is no memory.
	 */
	Frame	   *(*word) (const Event *event, EventText topic);

	/*
	 * Is this update the last that a subscriber of the topic waits for?
	 * conclude() is called for each of them then.  NULL: never.
	 */
	bool		(*concludes) (const Event *event, EventText topic);
	void		(*conclude) (Connection *connection);

	/* An event that is no update: what the dialect has to do with it.  NULL:
	 * nothing. */
	void		(*event) (const Event *event);

	/* A credential that was checked again is still good, or (not known)
	 * nobody could tell.  NULL: in the latter case the connection is closed. */
	void		(*rechecked) (Connection *connection, bool known);

	/* A topic is freed for which the dialect has set "extra".  NULL: it sets
	 * none. */
	void		(*topic_ended) (struct Topic *topic);

	/*
	 * For views, of a connection with a session: the owner's id and the list
	 * of the subscriptions that clients know of.  NULL: there is none.
	 */
	const char *(*owner) (const Connection *connection);
	dlist_head *(*channels) (const Connection *connection);

	/* Events were lost, and it is not known which.  NULL: its clients don't
	 * care. */
	void		(*lost) (void);
} Dialect;

extern const Dialect quiz_dialect;
extern const Dialect dashboard_dialect;
extern const Dialect security_events_dialect;
extern const Dialect security_system_dialect;
extern const Dialect echo_dialect;

/* All of them, and NULL. */
extern const Dialect *const dialects[];

/* By the path of a request; NULL: none. */
extern const Dialect *DialectOfPath(HttpText path);

/* By an event's topic; NULL: an internal one. */
extern const Dialect *DialectOfTopic(EventText topic);

#endif							/* QUIZRT_DIALECT_H */
