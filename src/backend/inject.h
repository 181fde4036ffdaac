/*-------------------------------------------------------------------------
 *
 * inject.h
 *		Delays in the windows around a commit, for the test that looks for
 *		messages out of order.
 *
 * Only builds with -DQUIZRT_INJECT have them, and only where a setting asks
 * for them: each window sleeps a random time, up to its setting.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_INJECT_H
#define QUIZRT_INJECT_H

#ifdef QUIZRT_INJECT

extern int	inject_reserve;		/* microseconds */
extern int	inject_commit;
extern int	inject_callback;

extern void InjectDefineSettings(void);
extern void InjectSleep(int most);

#define INJECT_DELAY(window)	InjectSleep(inject_##window)

#else

#define InjectDefineSettings()	((void) 0)
#define INJECT_DELAY(window)	((void) 0)

#endif							/* QUIZRT_INJECT */

#endif							/* QUIZRT_INJECT_H */
