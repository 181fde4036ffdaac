-- What is deleted softly has no owner, and no attempt: its id is null.
SELECT quizrt.attach_quizzes('exams.exam', '{
	"quiz_id": "exam_no",
	"owner_id": "CASE WHEN quiz.deleted_at IS NULL THEN quiz.examiner END",
	"time_limit": "make_interval(mins => quiz.minutes)"}');

SELECT quizrt.attach_attempts('exams.sitting', '{
	"attempt_id": "sitting_no",
	"quiz_id": "CASE WHEN attempt.deleted_at IS NULL THEN attempt.exam_no END",
	"event_id": "room", "participant_id": "candidate_no",
	"alias": "SELECT coalesce(c.display_name, c.candidate_no) FROM exams.candidate AS c WHERE c.candidate_no = attempt.candidate_no",
	"deadline": "ends_at", "reason": "how"}');

SELECT quizrt.attach_answers('exams.reply', '{
	"answer_id": "reply_no",
	"attempt_id": "CASE WHEN answer.deleted_at IS NULL THEN answer.sitting_no END",
	"question_id": "item",
	"question_order": "SELECT i.position FROM exams.item AS i WHERE i.item = answer.item",
	"is_correct": "answer.marks >= answer.max_marks", "score": "coalesce(answer.marks, 0)",
	"answered_at": "replied_at", "response": "body"}');

SELECT quizrt.attach_flags('exams.incident', '{
	"attempt_id": "sitting_no", "label": "kind", "flagged_at": "seen_at"}');

SELECT quizrt.attach_related('exams.candidate', '{
	"changes": "display_name", "attempts": "attempt.candidate_no = related.candidate_no"}');
