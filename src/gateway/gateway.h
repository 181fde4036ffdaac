/*-------------------------------------------------------------------------
 *
 * gateway.h
 *		The processes that serve clients.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_GATEWAY_H
#define QUIZRT_GATEWAY_H

#include "fmgr.h"

/* Postmaster, from _PG_init: register quizrt.gateways workers. */
extern void GatewaysRegister(void);

/* The background worker's entry point; the argument is its number. */
extern PGDLLEXPORT void GatewayMain(Datum number);

#endif							/* QUIZRT_GATEWAY_H */
