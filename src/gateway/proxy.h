/*-------------------------------------------------------------------------
 *
 * proxy.h
 *		Who the client is behind a proxy.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_PROXY_H
#define QUIZRT_PROXY_H

#include "gateway/connection.h"

/*
 * Expect a PROXY header on a new connection, before TLS or HTTP.  False where
 * it comes from somebody who is no trusted proxy, or memory is short.
 */
extern bool ProxyStart(Connection *connection);

/* Believe X-Forwarded-For and X-Forwarded-Proto, if a trusted proxy says so. */
extern void ProxyApply(Connection *connection, const HttpRequest *request);

#endif							/* QUIZRT_PROXY_H */
