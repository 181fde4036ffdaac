SELECT quizrt.attach_quizzes('live.games', '{"quiz_id": "game_no", "owner_id": "host"}');

-- A player is an attempt and a participant at once.
SELECT quizrt.attach_attempts('live.players', '{
	"attempt_id": "player", "participant_id": "player", "quiz_id": "game",
	"alias": "nickname", "started_at": "joined", "submitted_at": "left"}');

-- Answers in one column are no rows yet.  A table that a trigger keeps makes
-- rows of them; the application goes on as it is.
CREATE TABLE live.answer_rows (
	answer uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	player uuid NOT NULL REFERENCES live.players ON DELETE CASCADE,
	question uuid NOT NULL, place int NOT NULL, detail jsonb NOT NULL,
	UNIQUE (player, question));
CREATE FUNCTION live.keep_answer_rows() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM live.answer_rows AS r
	WHERE r.player = NEW.player AND NOT NEW.answers ? r.question::text;
	INSERT INTO live.answer_rows AS r (player, question, place, detail)
	SELECT NEW.player, a.key::uuid, array_position(g.questions, a.key::uuid), a.value
	FROM jsonb_each(NEW.answers) AS a JOIN live.games AS g ON g.game_no = NEW.game
	WHERE array_position(g.questions, a.key::uuid) IS NOT NULL
	ORDER BY a.value ->> 'at'
	ON CONFLICT (player, question) DO UPDATE SET detail = excluded.detail
	WHERE r.detail <> excluded.detail;
	RETURN NULL;
END
$$;
CREATE TRIGGER keep_answer_rows AFTER INSERT OR UPDATE OF answers ON live.players
	FOR EACH ROW EXECUTE FUNCTION live.keep_answer_rows();

-- Players who have answered before today.
INSERT INTO live.answer_rows (player, question, place, detail)
SELECT p.player, a.key::uuid, array_position(g.questions, a.key::uuid), a.value
FROM live.players AS p JOIN live.games AS g ON g.game_no = p.game, jsonb_each(p.answers) AS a
WHERE array_position(g.questions, a.key::uuid) IS NOT NULL;

SELECT quizrt.attach_answers('live.answer_rows', '{
	"answer_id": "answer", "attempt_id": "player", "question_id": "question",
	"question_order": "place",
	"is_correct": "(answer.detail ->> ''correct'')::boolean",
	"score": "coalesce((answer.detail ->> ''points'')::numeric, 0)",
	"answered_at": "(answer.detail ->> ''at'')::timestamptz",
	"response": "answer.detail -> ''choice''"}');
