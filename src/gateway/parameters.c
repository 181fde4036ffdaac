/*-------------------------------------------------------------------------
 *
 * parameters.c
 *		The parameters of a request's query, for as long as they are needed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "gateway/parameters.h"

bool
ParametersRead(Parameters *parameters, HttpText query, const char *first,
			   const char *second)
{
	memset(parameters, 0, sizeof(*parameters));
	parameters->values[0].name = first;
	parameters->values[1].name = second;
	parameters->count = second != NULL ? 2 : 1;
	parameters->size = parameters->count * (query.length + 1);
	parameters->storage = palloc0(parameters->size);
	return HttpParseQuery(query, parameters->values, parameters->count,
						  parameters->storage, parameters->size);
}

void
ParametersWipe(Parameters *parameters)
{
	explicit_bzero(parameters->storage, parameters->size);
	pfree(parameters->storage);
}
