/*-------------------------------------------------------------------------
 *
 * render.h
 *		Rows as the JSON that goes over the wire.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_RENDER_H
#define QUIZRT_RENDER_H

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

/*
 * Append the members of a JSON object, without its braces: the columns from
 * "first" to before "last" (counted from 0), named as they are.
 */
extern void RenderMembers(StringInfo out, TupleDesc desc, const Datum *values,
						  const bool *nulls, int first, int last);

/* Append one value. */
extern void RenderValue(StringInfo out, Oid type, Datum value);

/*
 * Append a time as a JSON string: UTC, ISO 8601, no more of the fraction than
 * there is; "+00:00" where it is known to be UTC.
 */
extern void RenderTimestamp(StringInfo out, Timestamp time, bool utc);

#endif							/* QUIZRT_RENDER_H */
