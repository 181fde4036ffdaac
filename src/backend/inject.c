/*-------------------------------------------------------------------------
 *
 * inject.c
 *		Delays in the windows around a commit: see inject.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "backend/inject.h"

#ifdef QUIZRT_INJECT

#include "common/pg_prng.h"
#include "utils/guc.h"

int			inject_reserve = 0;
int			inject_commit = 0;
int			inject_callback = 0;

static void
define_delay(const char *name, const char *what, int *variable)
{
	DefineCustomIntVariable(name, what, NULL, variable, 0, 0, 1000000,
							PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
}

void
InjectDefineSettings(void)
{
	define_delay("quizrt.debug_delay_reserve",
				 "Microseconds before the ring's entry is reserved.",
				 &inject_reserve);
	define_delay("quizrt.debug_delay_commit",
				 "Microseconds between reserving and the commit.",
				 &inject_commit);
	define_delay("quizrt.debug_delay_callback",
				 "Microseconds between the commit and marking the entry.",
				 &inject_callback);
}

void
InjectSleep(int most)
{
	if (most > 0)
		pg_usleep((long) pg_prng_uint64_range(&pg_global_prng_state, 0, most));
}

#endif							/* QUIZRT_INJECT */
