/*-------------------------------------------------------------------------
 *
 * query.h
 *		Queries of the query worker: prepared once, run with the rights that
 *		they should have.
 *
 * All of this is for use between SPI_connect() and SPI_finish(), in the
 * transaction that worker.c began, and throws.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_QUERY_H
#define QUIZRT_QUERY_H

#include "bus/event.h"
#include "executor/spi.h"

#define MAX_QUERY_PARAMETERS	4

/* A query that is kept prepared; static, and zero at first. */
typedef struct SavedQuery
{
	char	   *text;			/* what the plan was made from */
	SPIPlanPtr	plan;
} SavedQuery;

typedef struct QueryParameters
{
	int			count;
	Oid			types[MAX_QUERY_PARAMETERS];
	Datum		values[MAX_QUERY_PARAMETERS];
} QueryParameters;

/*
 * Run a query under the active snapshot, without writing; its rows are in
 * SPI_tuptable, SPI_processed of them.  Prepares it where its text is another
 * than the last time.
 */
extern void QueryRun(SavedQuery *query, const char *text,
					 const QueryParameters *parameters);

/*
 * The same with the rights of quizrt.role: for queries about the
 * application's tables, whose text comes from a function of the extension.
 */
extern void QueryRunAsRole(SavedQuery *query, const char *text,
						   const QueryParameters *parameters);

/*
 * The text that a function of the extension returns: quizrt.<function>(),
 * or with one text argument.  NULL where it returns NULL.
 */
extern char *QueryTextFrom(SavedQuery *query, const char *function,
						   const char *argument);

/* A parameter that is an array of texts or of byteas. */
extern Datum QueryArray(Datum *elements, int count, Oid type);

/* A parameter from UTF-8, and a result's text as UTF-8. */
extern Datum QueryTextDatum(EventText utf8);
extern EventText QueryUtf8(Datum value);

/* A column of a row of the result; false where it is NULL. */
extern bool QueryColumn(uint64 row, int column, Datum *value);

#endif							/* QUIZRT_QUERY_H */
