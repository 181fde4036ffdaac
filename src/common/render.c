/*-------------------------------------------------------------------------
 *
 * render.c
 *		Rows as the JSON that goes over the wire.
 *
 * Not PostgreSQL's own to_json(): the wire wants times in UTC whatever the
 * session's TimeZone and DateStyle are, numbers as numeric prints them, and
 * objects without blanks.  A column's type decides how its value is written;
 * whatever is not known here is written as its text form in quotes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "common/render.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

void
RenderTimestamp(StringInfo out, Timestamp time, bool utc)
{
	struct pg_tm tm;
	fsec_t		fraction;

	if (TIMESTAMP_NOT_FINITE(time))
	{
		appendStringInfoString(out, TIMESTAMP_IS_NOBEGIN(time) ?
							   "\"-infinity\"" : "\"infinity\"");
		return;
	}
	if (timestamp2tm(time, NULL, &tm, &fraction, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));

	appendStringInfo(out, "\"%04d-%02d-%02dT%02d:%02d:%02d",
					 tm.tm_year, tm.tm_mon, tm.tm_mday,
					 tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (fraction != 0)
	{
		appendStringInfo(out, ".%06d", (int) fraction);
		while (out->data[out->len - 1] == '0')
			out->data[--out->len] = '\0';
	}
	appendStringInfoString(out, utc ? "+00:00\"" : "\"");
}

static void
render_text_array(StringInfo out, Oid element_type, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	int16		length;
	bool		by_value;
	char		align;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	get_typlenbyvalalign(element_type, &length, &by_value, &align);
	deconstruct_array(array, element_type, length, by_value, align,
					  &elements, &nulls, &n);
	appendStringInfoChar(out, '[');
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ',');
		if (nulls[i])
			appendStringInfoString(out, "null");
		else
			RenderValue(out, element_type, elements[i]);
	}
	appendStringInfoChar(out, ']');
}

static void
append_output(StringInfo out, PGFunction output, Datum value)
{
	appendStringInfoString(out, DatumGetCString(DirectFunctionCall1(output,
																	value)));
}

/* JSON knows no infinities, and nothing that is not a number. */
static void
render_float(StringInfo out, Oid type, Datum value)
{
	double		number = type == FLOAT4OID ? DatumGetFloat4(value) :
		DatumGetFloat8(value);
	Oid			output;
	bool		is_varlena;

	if (isnan(number) || isinf(number))
	{
		appendStringInfoString(out, "null");
		return;
	}
	getTypeOutputInfo(type, &output, &is_varlena);
	appendStringInfoString(out, OidOutputFunctionCall(output, value));
}

static void
render_numeric(StringInfo out, Datum value)
{
	Numeric		number = DatumGetNumeric(value);

	if (numeric_is_nan(number) || numeric_is_inf(number))
		appendStringInfoString(out, "null");
	else
		append_output(out, numeric_out, NumericGetDatum(number));
}

/* What has no form of its own: as text, in quotes. */
static void
render_other(StringInfo out, Oid type, Datum value)
{
	Oid			base = getBaseType(type);
	Oid			element = get_element_type(base);
	Oid			output;
	bool		is_varlena;

	if (base != type)
		RenderValue(out, base, value);
	else if (OidIsValid(element))
		render_text_array(out, element, value);
	else
	{
		getTypeOutputInfo(type, &output, &is_varlena);
		escape_json(out, OidOutputFunctionCall(output, value));
	}
}

void
RenderValue(StringInfo out, Oid type, Datum value)
{
	switch (type)
	{
		case INT2OID:
			appendStringInfo(out, "%d", DatumGetInt16(value));
			break;
		case INT4OID:
			appendStringInfo(out, "%d", DatumGetInt32(value));
			break;
		case INT8OID:
			appendStringInfo(out, INT64_FORMAT, DatumGetInt64(value));
			break;
		case NUMERICOID:
			render_numeric(out, value);
			break;
		case FLOAT4OID:
		case FLOAT8OID:
			render_float(out, type, value);
			break;
		case BOOLOID:
			appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
			break;
		case TIMESTAMPTZOID:
			RenderTimestamp(out, DatumGetTimestampTz(value), true);
			break;
		case TIMESTAMPOID:
			RenderTimestamp(out, DatumGetTimestamp(value), false);
			break;
		case TEXTOID:
		case VARCHAROID:
			escape_json(out, TextDatumGetCString(value));
			break;
		case UUIDOID:
			escape_json(out, DatumGetCString(DirectFunctionCall1(uuid_out,
																 value)));
			break;
		case JSONOID:
			appendStringInfoString(out, TextDatumGetCString(value));
			break;
		case JSONBOID:
			append_output(out, jsonb_out, value);
			break;
		default:
			render_other(out, type, value);
			break;
	}
}

void
RenderMembers(StringInfo out, TupleDesc desc, const Datum *values,
			  const bool *nulls, int first, int last)
{
	for (int i = first; i < last; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (i > first)
			appendStringInfoChar(out, ',');
		escape_json(out, NameStr(attribute->attname));
		appendStringInfoChar(out, ':');
		if (nulls[i])
			appendStringInfoString(out, "null");
		else
			RenderValue(out, attribute->atttypid, values[i]);
	}
}
