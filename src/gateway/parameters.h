/*-------------------------------------------------------------------------
 *
 * parameters.h
 *		The parameters of a request's query, for as long as they are needed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_PARAMETERS_H
#define QUIZRT_PARAMETERS_H

#include "wire/http.h"

#define MAX_PARAMETERS	2

typedef struct Parameters
{
	int			count;
	HttpQueryValue values[MAX_PARAMETERS];	/* NULL: missing or empty */
	char	   *storage;
	size_t		size;
} Parameters;

/*
 * Read the parameters of these names; "second" may be NULL.  Returns false
 * (400 "Invalid query parameters") where the query breaks a rule.  To be
 * wiped in any case: they are credentials.
 */
extern bool ParametersRead(Parameters *parameters, HttpText query,
						   const char *first, const char *second);
extern void ParametersWipe(Parameters *parameters);

#endif							/* QUIZRT_PARAMETERS_H */
