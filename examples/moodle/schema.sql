-- A learning platform: the tables of Moodle's quiz, as far as they matter
-- here.  Ids are bigint, times are seconds since 1970 and 0 where there is
-- none, what is answered is a series of steps of a "question attempt" in a slot.
CREATE SCHEMA moodle;
CREATE TABLE moodle.mdl_user (
	id bigserial PRIMARY KEY, username text NOT NULL UNIQUE,
	firstname text NOT NULL, lastname text NOT NULL);
CREATE TABLE moodle.mdl_course (
	id bigserial PRIMARY KEY, fullname text NOT NULL,
	teacher bigint NOT NULL REFERENCES moodle.mdl_user);
CREATE TABLE moodle.mdl_quiz (
	id bigserial PRIMARY KEY, course bigint NOT NULL REFERENCES moodle.mdl_course,
	name text NOT NULL, timelimit bigint NOT NULL DEFAULT 0);
CREATE TABLE moodle.mdl_quiz_slots (
	id bigserial PRIMARY KEY, quizid bigint NOT NULL REFERENCES moodle.mdl_quiz,
	slot bigint NOT NULL, questionid bigint NOT NULL,
	maxmark numeric(12,7) NOT NULL DEFAULT 1, UNIQUE (quizid, slot));
CREATE TABLE moodle.mdl_quiz_attempts (
	id bigserial PRIMARY KEY, quiz bigint NOT NULL REFERENCES moodle.mdl_quiz,
	userid bigint NOT NULL REFERENCES moodle.mdl_user, attempt int NOT NULL DEFAULT 1,
	uniqueid bigint NOT NULL UNIQUE,	-- the "question usage" of the attempt
	state varchar(16) NOT NULL DEFAULT 'inprogress'
		CHECK (state IN ('inprogress', 'overdue', 'finished', 'abandoned')),
	timestart bigint NOT NULL DEFAULT 0, timefinish bigint NOT NULL DEFAULT 0,
	sumgrades numeric(10,5));
CREATE INDEX ON moodle.mdl_quiz_attempts (quiz);
CREATE TABLE moodle.mdl_question_attempts (
	id bigserial PRIMARY KEY, questionusageid bigint NOT NULL, slot bigint NOT NULL,
	questionid bigint NOT NULL, maxmark numeric(12,7) NOT NULL DEFAULT 1,
	fraction numeric(12,7), responsesummary text, timemodified bigint NOT NULL,
	UNIQUE (questionusageid, slot));
