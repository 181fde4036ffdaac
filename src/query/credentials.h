/*-------------------------------------------------------------------------
 *
 * credentials.h
 *		Who is it?
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_CREDENTIALS_H
#define QUIZRT_CREDENTIALS_H

#include "query/batch.h"

/*
 * Answer the questions that the database isn't needed for: JWTs, and what is
 * no credential by its looks.  Outside of a transaction.
 */
extern void CredentialsAnswerTokens(Batch *batch);

/* A BatchHandler for the rest: keys and sessions. */
extern void CredentialsAnswerStored(Batch *batch, int from, int to);

/* Run all queries with nothing to look for, to see whether they can be. */
extern void CredentialsTest(void);

#endif							/* QUIZRT_CREDENTIALS_H */
