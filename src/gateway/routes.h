/*-------------------------------------------------------------------------
 *
 * routes.h
 *		Where an HTTP request goes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_ROUTES_H
#define QUIZRT_ROUTES_H

#include "gateway/connection.h"

/* A complete head: it is refused, answered, or handed to a dialect. */
extern void RouteRequest(Connection *connection, const HttpRequest *request);

#endif							/* QUIZRT_ROUTES_H */
