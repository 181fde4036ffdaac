/*-------------------------------------------------------------------------
 *
 * connection.h
 *		A client's connection, from accept to close.
 *
 * The life of a connection (connection.c keeps it):
 *
 *			 accept
 *			   |
 *			   v     not a WebSocket, refused, too slow
 *			 HEAD ---------------------------------------+
 *			   | the dialect asks who it is              |
 *			   v     refused, no answer                  |
 *			ASKING --------------------------------------+
 *			   | 101                                     |
 *			   v     the peer's close, a violation       v
 *			 OPEN --------------------------------> FLUSHING
 *			   | our close                               ^ |
 *			   v     the peer's close                    | |
 *			CLOSING ------------------------------------+ | sent; shut down
 *			                                              v
 *			   any state: an error of the socket,      DRAINING
 *			   or its time has passed                     | end of file
 *			        |                                     v
 *			        +---------------------------------> DEAD
 *
 * A state names the list that the connection is on.  A dead connection is
 * freed at the end of the turn, so a pointer to it is good until then; a
 * dialect hears of the end once, when OPEN or ASKING is left.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_CONNECTION_H
#define QUIZRT_CONNECTION_H

#include <sys/socket.h>

#include "common/netaddress.h"
#include "gateway/io.h"
#include "gateway/output.h"
#include "gateway/timer.h"
#include "lib/ilist.h"
#include "utils/timestamp.h"
#include "wire/frame.h"
#include "wire/http.h"
#include "wire/websocket.h"

typedef enum ConnectionState
{
	CONNECTION_HEAD,			/* the request's head is arriving */
	CONNECTION_ASKING,			/* its credential is being checked */
	CONNECTION_OPEN,			/* a WebSocket */
	CONNECTION_CLOSING,			/* our close is on its way, or answered by
								 * nobody yet */
	CONNECTION_FLUSHING,		/* the last bytes are on their way */
	CONNECTION_DRAINING,		/* shut down; what comes is thrown away */
	CONNECTION_DEAD
} ConnectionState;

#define CONNECTION_STATES	(CONNECTION_DEAD + 1)

/* Who the client is, for limits: behind a proxy, whom that has named. */
typedef NetAddress PeerAddress;

struct Dialect;
struct Question;

typedef struct Connection
{
	dlist_node	node;			/* on the list of its state */
	dlist_node	all_node;		/* on the list of all, until it is freed */
	dlist_node	flush_node;		/* on the list of those to flush */
	Timer		timer;			/* for the earliest deadline below */
	int			fd;
	ConnectionState state;
	int			polled;			/* what the poller watches it for */
	bool		to_flush;		/* on that list */
	bool		lagging;		/* data is being left out: see ConnectionSend */
	uint64		id;
	const IoOperations *io;
	void	   *io_state;		/* TLS */
	const struct Dialect *dialect;
	void	   *session;		/* the dialect's */
	struct Question *question;	/* while ASKING */

	/* deadlines */
	TimeMs		deadline;		/* of the state; OPEN: none unless set by the
								 * dialect, which closes with 1000 then */
	TimeMs		heartbeat_due;
	TimeMs		pong_due;		/* NEVER: no ping is unanswered */
	TimeMs		last_message;	/* when the client last sent one */
	TimeMs		progress_due;	/* NEVER: the kernel takes what we send; else
								 * when the client must have taken some */
	uint64		progress_from;	/* bytes_sent when that was set */
	TimestampTz expires_at;		/* of the credential; 0: never */

	/* what comes in */
	char	   *head;			/* the head so far, and what followed it */
	uint32		head_length;
	uint32		head_size;
	WsReader   *reader;
	int			window_bits;	/* of permessage-deflate; 0: not negotiated */

	OutputQueue output;

	/* errors that the client caused in the present ten seconds */
	TimeMs		errors_since;
	int			errors;

	PeerAddress peer;
	bool		encrypted;		/* between the client and us, or the proxy */
	TimestampTz connected_at;
	uint64		bytes_sent;
} Connection;

extern dlist_head connections[CONNECTION_STATES];

/* All of them, the dead included, in the order of their ids. */
extern dlist_head all_connections;
extern int	connection_count[CONNECTION_STATES];

extern void ConnectionsInit(void);

/* Take over an accepted socket; closes it where memory is short. */
extern void ConnectionAccept(int fd, const struct sockaddr_storage *peer);

/* Something has happened on its socket. */
extern void ConnectionPolled(Connection *connection, int events);

/*
 * For dialects and routes, before the upgrade.
 */

/* Answer with an error of HTTP, and end. */
extern void ConnectionRefuse(Connection *connection, int status,
							 const char *error);

/* Answer with these bytes, and end. */
extern void ConnectionRespond(Connection *connection, StringInfo response);

/* Is there no room for one more WebSocket, or none from this address? */
extern bool ConnectionsAreFull(const Connection *connection);

/* The credential is being checked; nothing is read until then. */
extern void ConnectionAsking(Connection *connection);

/* The request again, while HEAD or ASKING: views into the connection. */
extern bool ConnectionRequest(Connection *connection, HttpRequest *request);

/* Answer with 101; the connection is open.  Then what followed the head is
 * read, after the dialect has sent what comes first (see ConnectionResume). */
extern void ConnectionUpgrade(Connection *connection, const char *protocol);
extern void ConnectionResume(Connection *connection);

/*
 * For dialects, while open.
 */

/*
 * Queue a frame: a reference is taken.  NULL (no memory for the frame) ends
 * the connection.  Data is not queued where the client is too slow: then
 * SEND_LEFT_OUT is returned, and the client is lagging until its queue is
 * empty and the dialect has made good for what was left out.
 */
typedef enum SendResult
{
	SEND_QUEUED,
	SEND_LEFT_OUT,
	SEND_ENDED					/* the connection is not open (any more) */
} SendResult;

extern SendResult ConnectionSend(Connection *connection, Frame *frame);

/* The same for a frame made for this client only: takes the reference. */
extern void ConnectionSendOwn(Connection *connection, Frame *frame);

/* Close with a code and a reason, after what is queued. */
extern void ConnectionClose(Connection *connection, uint16 code,
							const char *reason);

/* The client has done something wrong that is answered with an error.  Ends
 * the connection (1008) if it does so too often; false then. */
extern bool ConnectionCountError(Connection *connection);

/* End at a time, with 1000 and a reason of the dialect. */
extern void ConnectionSetDeadline(Connection *connection, TimeMs deadline);

/* End without another word. */
extern void ConnectionDrop(Connection *connection);

/*
 * For the loop.
 */

/* Write what was queued in this turn; true: there is more to write at once. */
extern bool ConnectionsFlush(void);

/* Free the dead. */
extern void ConnectionsReap(void);

/* After a reload: deadlines follow the settings. */
extern void ConnectionsReload(void);

/* Close all with 1001: new ones are refused by the caller. */
extern void ConnectionsCloseAll(void);

/* The peer's address in words, for views; "local" for a Unix socket. */
extern void PeerAddressFormat(const PeerAddress *peer, char *buffer,
							  size_t size);

#endif							/* QUIZRT_CONNECTION_H */
