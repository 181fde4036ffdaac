/* The parts of this script are kept in sql/, one file for each subject. */

\echo Use "CREATE EXTENSION quizrt" to load this file. \quit

COMMENT ON SCHEMA quizrt IS 'quizrt: publishing, credentials and operation';

/*
 * PUBLIC may execute nothing here that publishes, hands out credentials or
 * administers: each part revokes that.  Whoever is granted a function should
 * need nothing else.
 */
GRANT USAGE ON SCHEMA quizrt TO PUBLIC;
