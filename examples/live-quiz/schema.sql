-- A live quiz: a host starts a game, players join it by a PIN, and what a
-- player has answered is one JSON object in the player's own row:
--	{"3f1c...": {"choice": 2, "correct": true, "points": 850, "at": "2026-06-11T14:31:00Z"}, ...}
CREATE SCHEMA live;
CREATE TABLE live.games (
	game_no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	pin char(6) NOT NULL, host uuid NOT NULL, questions uuid[] NOT NULL,
	ended boolean NOT NULL DEFAULT false);
CREATE TABLE live.players (
	player uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	game int NOT NULL REFERENCES live.games ON DELETE CASCADE,
	nickname varchar(30) NOT NULL,
	joined timestamptz NOT NULL DEFAULT now(), "left" timestamptz,
	answers jsonb NOT NULL DEFAULT '{}');
CREATE INDEX ON live.players (game);
