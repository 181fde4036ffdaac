/*-------------------------------------------------------------------------
 *
 * report.h
 *		Telling sessions about the connections of this gateway.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_GATEWAY_REPORT_H
#define QUIZRT_GATEWAY_REPORT_H

#include "gateway/connection.h"

extern void ReportsInit(int gateway);

/* Once a turn; true: there is more to say at once. */
extern bool ReportsRun(void);

/* A connection is about to be freed. */
extern void ReportsForget(const Connection *connection);

#endif							/* QUIZRT_GATEWAY_REPORT_H */
