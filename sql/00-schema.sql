/* The parts of this script are kept in sql/, one file for each subject. */

\echo Use "CREATE EXTENSION quizrt" to load this file. \quit

COMMENT ON SCHEMA quizrt IS 'quizrt: publishing, credentials and operation';
