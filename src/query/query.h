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

/* The same for a query that writes, and returns rows. */
extern void QueryRunWriting(SavedQuery *query, const char *text,
							const QueryParameters *parameters);

/*
 * Somebody else's rights for a while: of quizrt.role, or where there is none
 * of the given owner.  What the queries set is set back at the end.  An error
 * in between leaves all that to the end of the (sub)transaction.
 */
typedef struct QueryUser
{
	Oid			user;
	int			security_context;
	int			guc_level;
} QueryUser;

extern void QueryBeginAs(Oid owner, QueryUser *saved);
extern void QueryEndAs(const QueryUser *saved);

/*
 * Run a query with the rights of quizrt.role, or of the owner of the attached
 * tables: for queries about these tables, whose text comes from a function of
 * the extension.
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
