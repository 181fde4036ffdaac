/*-------------------------------------------------------------------------
 *
 * attach_check.h
 *		Finding mistakes in how a table is attached, while it is attached.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_ATTACH_CHECK_H
#define QUIZRT_ATTACH_CHECK_H

#include "backend/attachment.h"
#include "utils/relcache.h"

/*
 * Throw an error that names the mistake, if there is one.  Connected to SPI,
 * as the extension's owner.
 */
extern void AttachCheckFields(Relation relation, const Attachment *attachment,
							  const char *role, const char *columns);

/* The same for the queries.  Connected to SPI, as the table's owner. */
extern void AttachCheckQueries(Relation relation,
							   const Attachment *attachment);

#endif							/* QUIZRT_ATTACH_CHECK_H */
