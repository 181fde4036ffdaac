-- What may be published, and what it becomes
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/include/events.sql'
\i :include

SELECT FROM quizrt.publish('quiz:42', 'attempt_update', '{"b": 1, "a":[1,2]}');
SELECT FROM quizrt.publish('attempts:7', 'a', ' {"x":
"y"} ');
SELECT FROM quizrt.publish('attempts:01936400-CCCC-7def-8000-000000000003', 'a', '{}');
SELECT FROM quizrt.publish('leaderboard:9223372036854775807', 'a_1', '{"ü":"€"}');
SELECT FROM quizrt.publish('notification:any text / 1', 'attempt_closed', '{}');
SELECT FROM quizrt.publish('quiz:1', repeat('a', 63), '{"a":1,"a":2}');
SELECT * FROM test.events();

-- mistakes
SELECT FROM quizrt.publish(NULL, 'a', '{}');
SELECT FROM quizrt.publish('quiz:1', NULL, '{}');
SELECT FROM quizrt.publish('quiz:1', 'a', NULL);
SELECT FROM quizrt.publish('foo:1', 'a', '{}');
SELECT FROM quizrt.publish('quiz', 'a', '{}');
SELECT FROM quizrt.publish('', 'a', '{}');
SELECT FROM quizrt.publish('dashboard', 'a', '{}');
SELECT FROM quizrt.publish('quiz:', 'a', '{}');
SELECT FROM quizrt.publish('quiz:abc', 'a', '{}');
SELECT FROM quizrt.publish('quiz:-1', 'a', '{}');
SELECT FROM quizrt.publish('quiz:0', 'a', '{}');
SELECT FROM quizrt.publish('quiz:01', 'a', '{}');
SELECT FROM quizrt.publish('quiz:9223372036854775808', 'a', '{}');
SELECT FROM quizrt.publish('quiz:01936400-cccc-7def-8000-000000000003', 'a', '{}');
SELECT FROM quizrt.publish('attempts:01936400-cccc-7def-8000-00000000000', 'a', '{}');
SELECT FROM quizrt.publish('notification', 'a', '{}');
SELECT FROM quizrt.publish('notification:', 'a', '{}');
SELECT FROM quizrt.publish(E'notification:a\nb', 'a', '{}');
SELECT FROM quizrt.publish('notification:' || repeat('x', 201), 'a', '{}');
SELECT FROM quizrt.publish('quiz:1', '', '{}');
SELECT FROM quizrt.publish('quiz:1', 'Attempt', '{}');
SELECT FROM quizrt.publish('quiz:1', '1a', '{}');
SELECT FROM quizrt.publish('quiz:1', 'a-b', '{}');
SELECT FROM quizrt.publish('quiz:1', repeat('a', 64), '{}');
SELECT FROM quizrt.publish('quiz:1', 'a', '[]');
SELECT FROM quizrt.publish('quiz:1', 'a', '"{}"');
SELECT FROM quizrt.publish('quiz:1', 'a', 'null');
SELECT FROM quizrt.publish('quiz:1', 'a', '{');
SELECT FROM quizrt.publish('quiz:1', 'a', ('{"a":"' || repeat('x', 262144) || '"}')::json);
SELECT * FROM test.events();

-- the end of access
SELECT FROM quizrt.notify_revoked('session:0123');
SELECT FROM quizrt.notify_revoked('connection:7', 'so long');
SELECT * FROM test.events();
