/*-------------------------------------------------------------------------
 *
 * extension_watch.h
 *		Extensions and databases that appear and go.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_EXTENSION_WATCH_H
#define QUIZRT_EXTENSION_WATCH_H

/* Install the hook: once a process, from _PG_init. */
extern void ExtensionWatchInit(void);

#endif							/* QUIZRT_EXTENSION_WATCH_H */
