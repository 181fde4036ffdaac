\set n :n + 1
\set i :n * :clients + :client_id
\set attempt 100000000000 + :i % 20000
\set question 100000000000 + :i / 20000
INSERT INTO quiz.answers (attempt_id, question_id, response, is_correct, score) VALUES (('00000000-0000-4000-8001-' || :attempt)::uuid, ('00000000-0000-4000-9001-' || :question)::uuid, '{"choice":"B"}', true, 10.0);
