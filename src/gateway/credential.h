/*-------------------------------------------------------------------------
 *
 * credential.h
 *		Who a client is: asking, and holding the connection to the answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_CREDENTIAL_H
#define QUIZRT_CREDENTIAL_H

#include "bus/event.h"
#include "bus/question.h"
#include "gateway/connection.h"
#include "gateway/stream.h"

/* Can the database be expected to answer at all? */
extern bool CredentialCanBeAsked(void);

/*
 * Ask who a credential names, before the upgrade (the connection is ASKING
 * then) or after it.  The dialect's identified() gets the answer, unless the
 * connection ends before.
 */
extern void CredentialAsk(Connection *connection, CredentialPurpose purpose,
						  const char *credential);

/*
 * The connection stands on this credential from now on: it ends when the
 * credential is revoked, or (where that is enforced) expires.  The
 * subscription by which a revocation finds it is put on the list.
 */
extern void CredentialHold(Connection *connection,
						   const CredentialAnswer *answer, dlist_head *list);

/* Is this event the end of the credential?  Then the connection is closed. */
extern bool CredentialEndedBy(Connection *connection, EventText handle,
							  const Event *event);

/* Look for its end in what has been committed since the answer was made. */
extern void CredentialReplay(Connection *connection,
							 const CredentialAnswer *answer,
							 const StreamMark *mark);

/*
 * Is the credential of that handle still good?  For when events were lost,
 * which may have been its end.  Does nothing where the text is no handle.
 */
extern void CredentialRecheck(Connection *connection, EventText handle);

#endif							/* QUIZRT_CREDENTIAL_H */
