/*-------------------------------------------------------------------------
 *
 * jwt.h
 *		JSON Web Tokens: are they good, and whom do they name?
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_JWT_H
#define QUIZRT_JWT_H

#include "datatype/timestamp.h"

typedef struct JwtClaims
{
	char	   *owner;			/* UTF-8; NULL: the token names none */
	char	   *tenant;			/* the same */
	TimestampTz expires_at;		/* with the leeway */
} JwtClaims;

/* At start and after each reload: read the keys, forget what was verified. */
extern void JwtReload(void);

/*
 * Is this a good token?  Its claims are palloc'd.  Throws only where palloc
 * does; needs no transaction.
 */
extern bool JwtVerify(const char *token, Size length, JwtClaims *claims);

#endif							/* QUIZRT_JWT_H */
