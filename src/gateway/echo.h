/*-------------------------------------------------------------------------
 *
 * echo.h
 *		An echo, for conformance tests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_ECHO_H
#define QUIZRT_ECHO_H

/* Say in the log that it is on, or off again, where that has changed. */
extern void EchoAnnounce(void);

#endif							/* QUIZRT_ECHO_H */
