-- An exam system: sittings and replies are partitioned by month, nothing is
-- ever deleted, and ids are texts ("EX-2026-07", "S-000123").
CREATE SCHEMA exams;
CREATE TABLE exams.exam (
	exam_no bigint PRIMARY KEY, code text NOT NULL UNIQUE,
	examiner text NOT NULL, minutes int, deleted_at timestamptz);
CREATE TABLE exams.candidate (
	candidate_no text PRIMARY KEY, display_name text);
CREATE TABLE exams.item (
	item text PRIMARY KEY, exam_no bigint NOT NULL REFERENCES exams.exam,
	position smallint NOT NULL);
CREATE TABLE exams.sitting (
	month date NOT NULL, sitting_no text NOT NULL,
	exam_no bigint NOT NULL REFERENCES exams.exam, room uuid,
	candidate_no text NOT NULL REFERENCES exams.candidate,
	started_at timestamptz NOT NULL DEFAULT now(), ends_at timestamptz,
	submitted_at timestamptz, how text, deleted_at timestamptz,
	PRIMARY KEY (month, sitting_no)) PARTITION BY RANGE (month);
CREATE INDEX ON exams.sitting (sitting_no);
CREATE INDEX ON exams.sitting (exam_no);
CREATE TABLE exams.sitting_2026_06 PARTITION OF exams.sitting
	FOR VALUES FROM ('2026-06-01') TO ('2026-07-01');
CREATE TABLE exams.sitting_2026_07 PARTITION OF exams.sitting
	FOR VALUES FROM ('2026-07-01') TO ('2026-08-01');
CREATE TABLE exams.reply (
	month date NOT NULL, reply_no uuid NOT NULL DEFAULT gen_random_uuid(),
	sitting_no text NOT NULL, item text NOT NULL REFERENCES exams.item,
	body text, marks double precision, max_marks double precision NOT NULL DEFAULT 1,
	replied_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz,
	PRIMARY KEY (month, reply_no)) PARTITION BY RANGE (month);
CREATE INDEX ON exams.reply (sitting_no);
CREATE TABLE exams.reply_2026_06 PARTITION OF exams.reply
	FOR VALUES FROM ('2026-06-01') TO ('2026-07-01');
CREATE TABLE exams.reply_2026_07 PARTITION OF exams.reply
	FOR VALUES FROM ('2026-07-01') TO ('2026-08-01');
CREATE TABLE exams.incident (
	id serial PRIMARY KEY, sitting_no text NOT NULL, kind text NOT NULL,
	seen_at timestamptz NOT NULL DEFAULT now());
