/*-------------------------------------------------------------------------
 *
 * security.h
 *		The security API's session, shared by the files that implement it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_SECURITY_H
#define QUIZRT_SECURITY_H

#include "gateway/connection.h"
#include "gateway/topics.h"

#define SECURITY_SYSTEM_TOPIC	"security:system"

typedef struct SecuritySession
{
	char	   *owner;			/* of the key; NULL: none was asked for */
	bool		chosen;			/* it has named channels itself */
	uint32		wanted;			/* a bit for each channel of the endpoint */
	dlist_head	subscriptions;
	dlist_head	internal;		/* the key's handle */

	/* the system status, for a new subscriber */
	dlist_node	node;			/* on the list of those who wait for it */
	uint64		status_least;	/* number of the question that will do; 0:
								 * doesn't wait */
} SecuritySession;

/* A new subscriber gets the last system status, and then all that come. */
extern void SecurityStatusWanted(SecuritySession *session);

/* The session ends, or doesn't want it any more. */
extern void SecurityStatusUnwanted(SecuritySession *session);

/* The settings may have changed. */
extern void SecurityStatusReloaded(void);

#endif							/* QUIZRT_SECURITY_H */
