/*-------------------------------------------------------------------------
 *
 * tls.h
 *		TLS on a client's connection, by OpenSSL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_TLS_H
#define QUIZRT_TLS_H

#include "gateway/connection.h"

/*
 * What complains gets: the file, and what is wrong with it.
 */
typedef void (*TlsComplain) (const char *what, const char *where,
							 const char *why);

/*
 * Do the settings ask for TLS?  Then nobody is served without it over the
 * network, whatever goes wrong.
 */
extern bool TlsWanted(void);

/* Is there a certificate to serve with? */
extern bool TlsReady(void);

/*
 * Load what the settings name, where that has changed since the last time.
 * False, with a complaint, where it can't be used: the certificate before it,
 * if there is one, is kept.  Files that failed are not looked into again until
 * they have changed, or TlsReload() was called.
 */
extern bool TlsLoad(TlsComplain complain);

/* The settings or the files may have changed. */
extern void TlsReload(void);

/* When the keys of session tickets are old; NEVER: there are none. */
extern TimeMs TlsRenewal(void);

/* Speak TLS on a new connection; false where memory is short. */
extern bool TlsStart(Connection *connection);

#endif							/* QUIZRT_TLS_H */
