/*-------------------------------------------------------------------------
 *
 * wire.h
 *		What every file of this wing includes first.
 *
 * The code here needs no server: it also links, with -DFRONTEND and
 * libpgcommon, into the unit tests and the fuzzers.  So it keeps to what
 * PostgreSQL offers on both sides.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_WIRE_H
#define QUIZRT_WIRE_H

#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#endif							/* QUIZRT_WIRE_H */
