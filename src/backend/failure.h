/*-------------------------------------------------------------------------
 *
 * failure.h
 *		Changes that could not be told of: the writer goes on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_FAILURE_H
#define QUIZRT_FAILURE_H

#include "common/shared.h"
#include "utils/relcache.h"

extern const SharedPart failure_part;

/*
 * Do what makes an event of a row, and may fail.  Returns NULL, or the error,
 * which is counted and, once a minute for each table, warned about.  Errors
 * that the writer is to have (it was cancelled, or must be tried again) are
 * thrown on.
 */
extern ErrorData *TryToTell(Relation relation, void (*work) (void *arg),
							void *arg);

/* Count a change that nobody tried to tell of, as that has just failed. */
extern void CountUntold(void);

/* Would every other row fail as well, until somebody alters something? */
extern bool IsLastingFailure(const ErrorData *error);

/* Is it a minute since somebody asked this about a table (or 0)? */
extern bool WarningIsDue(Oid relation);

#endif							/* QUIZRT_FAILURE_H */
