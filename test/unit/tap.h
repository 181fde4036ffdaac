/*-------------------------------------------------------------------------
 *
 * tap.h
 *		What a unit test needs to speak TAP.
 *
 * Printing every single check of loops over all splits would hide the
 * interesting lines; "all" checks are counted quietly, and only a failing one
 * is printed on its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_TAP_H
#define QUIZRT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int	tap_count;
static int	tap_failed;

__attribute__((format(printf, 2, 3), unused))
static bool
ok(bool passed, const char *name,...)
{
	va_list		arguments;

	printf("%s %d - ", passed ? "ok" : "not ok", ++tap_count);
	va_start(arguments, name);
	vprintf(name, arguments);
	va_end(arguments);
	printf("\n");
	if (!passed)
		tap_failed++;
	return passed;
}

__attribute__((unused))
static bool
is_text(const char *got, const char *expected, const char *name)
{
	bool		same = strcmp(got, expected) == 0;

	ok(same, "%s", name);
	if (!same)
		printf("#      got: %s\n# expected: %s\n", got, expected);
	return same;
}

__attribute__((unused))
static bool
is_number(long got, long expected, const char *name)
{
	ok(got == expected, "%s", name);
	if (got != expected)
		printf("#      got: %ld\n# expected: %ld\n", got, expected);
	return got == expected;
}

/* The plan, and the exit status. */
__attribute__((unused))
static int
done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed == 0 ? 0 : 1;
}

#endif							/* QUIZRT_TAP_H */
