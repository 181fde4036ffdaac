/*-------------------------------------------------------------------------
 *
 * launcher.h
 *		The process that keeps the query workers running.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_LAUNCHER_H
#define QUIZRT_LAUNCHER_H

/* Postmaster, from _PG_init: have the launcher started with the server. */
extern void LauncherRegister(void);

extern PGDLLEXPORT void LauncherMain(Datum unused);

#endif							/* QUIZRT_LAUNCHER_H */
