-- The owner of a quiz is who teaches the course.
SELECT quizrt.attach_quizzes('moodle.mdl_quiz', '{
	"quiz_id": "id",
	"owner_id": "SELECT u.username FROM moodle.mdl_course AS c JOIN moodle.mdl_user AS u ON u.id = c.teacher WHERE c.id = quiz.course"}');

-- A time of 0 is none; "abandoned" ends an attempt as well.
SELECT quizrt.attach_attempts('moodle.mdl_quiz_attempts', '{
	"attempt_id": "id", "quiz_id": "quiz", "participant_id": "userid",
	"alias": "SELECT u.firstname || '' '' || u.lastname FROM moodle.mdl_user AS u WHERE u.id = attempt.userid",
	"started_at": "to_timestamp(attempt.timestart)",
	"submitted_at": "CASE WHEN attempt.state IN (''finished'', ''abandoned'') THEN to_timestamp(nullif(attempt.timefinish, 0)) END",
	"reason": "CASE attempt.state WHEN ''abandoned'' THEN ''time_up'' ELSE ''submitted'' END"}');

-- An answer belongs to its attempt by way of the question usage.
SELECT quizrt.attach_answers('moodle.mdl_question_attempts', '{
	"answer_id": "id",
	"attempt_id": "SELECT a.id FROM moodle.mdl_quiz_attempts AS a WHERE a.uniqueid = answer.questionusageid",
	"question_id": "questionid", "question_order": "slot",
	"is_correct": "answer.fraction >= 1",
	"score": "coalesce(round(answer.fraction * answer.maxmark, 2), 0)",
	"response": "responsesummary",
	"answered_at": "to_timestamp(answer.timemodified)"}');

-- A name that changes is shown anew.
SELECT quizrt.attach_related('moodle.mdl_user', '{
	"changes": "firstname,lastname", "attempts": "attempt.userid = related.id"}');
