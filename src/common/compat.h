/*-------------------------------------------------------------------------
 *
 * compat.h
 *		Differences between the PostgreSQL versions that quizrt builds on.
 *
 * This is the only file that asks PG_VERSION_NUM.  Everything else is
 * written against the newest interface named here, and the older servers are
 * taught it.  Supported: 15 to 18.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_COMPAT_H
#define QUIZRT_COMPAT_H

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"

#ifndef FRONTEND
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#if PG_VERSION_NUM < 160000
#include "access/heapam.h"
#endif
#include "utils/snapmgr.h"
#include "utils/wait_event.h"
#endif							/* FRONTEND */

#if PG_VERSION_NUM < 150000
#error "quizrt needs PostgreSQL 15 or later"
#endif

/* JsonSemAction callbacks return a value from 16 on. */
#if PG_VERSION_NUM >= 160000
typedef JsonParseErrorType JsonActionResult;
#define JSON_ACTION_RETURN(code) return (code)
#else
typedef void JsonActionResult;
#define JSON_ACTION_RETURN(code) return
#endif

/*
 * makeJsonLexContextCstringLen() allocates the context itself before 17; from
 * there it takes one, or NULL to allocate.  Before 17 the text is a plain
 * char *.
 */
static inline JsonLexContext *
compat_json_lexer(const char *json, int len, bool need_escapes)
{
#if PG_VERSION_NUM >= 170000
	return makeJsonLexContextCstringLen(NULL, json, len, PG_UTF8,
										need_escapes);
#else
	return makeJsonLexContextCstringLen((char *) json, len, PG_UTF8,
										need_escapes);
#endif
}

#ifndef FRONTEND

/* Memory of settings' values and extras: malloc's before 16. */
#if PG_VERSION_NUM >= 160000
#define compat_guc_malloc(size)	guc_malloc(LOG, size)
#define compat_guc_free(memory)	guc_free(memory)
#else
#define compat_guc_malloc(size)	malloc(size)
#define compat_guc_free(memory)	free(memory)
#endif

/* A process's number in ProcGlobal->allProcs; a variable from 17 on. */
#if PG_VERSION_NUM >= 170000
#define compat_my_proc_number()	((int) MyProcNumber)
#else
#define compat_my_proc_number()	(MyProc->pgprocno)
#endif

/*
 * A wait event set that lives as long as the process: a memory context is
 * asked for before 17, a resource owner (none: not tied to one) from there.
 */
static inline WaitEventSet *
compat_create_wait_event_set(int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(TopMemoryContext, nevents);
#endif
}

/* Named wait events exist for extensions from 17 on. */
static inline uint32
compat_wait_event(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	(void) name;
	return PG_WAIT_EXTENSION;
#endif
}

/*
 * Pin search_path to the system catalogs for a short while.
 *
 * Cheap where it can be: 15 and 16 have a stack of paths that costs no string
 * work and is unwound by transaction abort; from 17 RestrictSearchPath() with
 * the path cache does the same.  Returns what compat_pop_search_path() needs.
 */
static inline int
compat_push_search_path(void)
{
#if PG_VERSION_NUM >= 170000
	int			level = NewGUCNestLevel();

	RestrictSearchPath();
	return level;
#else
	OverrideSearchPath path = {0};

	path.schemas = NIL;
	path.addCatalog = true;
	path.addTemp = false;
	PushOverrideSearchPath(&path);
	return 0;
#endif
}

static inline void
compat_pop_search_path(int level)
{
#if PG_VERSION_NUM >= 170000
	AtEOXact_GUC(false, level);
#else
	(void) level;
	PopOverrideSearchPath();
#endif
}

/* One function for all catalogs from 16 on. */
static inline bool
compat_owns_relation(Oid relation, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relation, role);
#else
	return pg_class_ownercheck(relation, role);
#endif
}

#endif							/* FRONTEND */

#endif							/* QUIZRT_COMPAT_H */
