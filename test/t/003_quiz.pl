# The quiz channel: what an owner sends and gets, to the letter.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

my $node = QuizRT::Cluster->create('main',
	settings => { 'quizrt.max_error_rate' => 0 });
my $quiz   = $node->create_quiz(owner => 'teacher', questions => 3);
my $second = $node->create_quiz(owner => 'teacher');
my $theirs = $node->create_quiz(owner => 'somebody else');
my ($id, $second_id, $their_id) =
  map { $_->{quiz_id} } $quiz, $second, $theirs;
my $shape = 'Invalid message: expected {"action": ..., "subscriptions": [...]}';

sub confirmation
{
	my ($event, @channels) = @_;

	return qq({"event":"$event","t":null,"subscriptions":[)
	  . join(',', map { qq("$_") } @channels) . ']}';
}

# The next message confirms a subscription to these channels.
sub is_confirmed
{
	my ($client, $event, $name, @channels) = @_;

	return is_message($client, confirmation($event, @channels), $name);
}

note 'subscribing';

my $client = $node->owner_client;

$client->subscribe("quiz:$id");
is_confirmed($client, 'subscribed', 'a subscription', "quiz:$id");
$client->subscribe("quiz:$second_id", "quiz:$id");
is_confirmed($client, 'subscribed', 'two, in the order asked',
	"quiz:$second_id", "quiz:$id");
$client->subscribe("quiz:$id", "quiz:$id");
is_confirmed($client, 'subscribed', 'one named twice counts once', "quiz:$id");
$client->send_text(qq( { "subscriptions" : [ "quiz:$id" ] ,
	"unknown" : {"a":[1,2.5e3,null,true,"\\u00e9"]}, "action" : "subscribe" } ));
is_confirmed($client, 'subscribed', 'blanks, another order, unknown keys',
	"quiz:$id");
$client->send_text(qq({"\\u0061ction":"subscribe","subscriptions":["qui\\u007a:$id"]}));
is_confirmed($client, 'subscribed', 'escapes', "quiz:$id");

note 'a partial batch';

$client->subscribe("quiz:$their_id", "quiz:$id", 'foo:1', "quiz:$second_id",
	'quiz:abc');
is_confirmed($client, 'subscribed', 'the accepted ones come first',
	"quiz:$id", "quiz:$second_id");
is_error($client, "Subscription denied: $_")
  foreach "quiz:$their_id: not found or not owned",
  'foo:1: unknown channel type', 'quiz:abc: invalid id';
$client->subscribe('foo:1');
is_error($client, 'Subscription denied: foo:1: unknown channel type',
	'where none is accepted there is no confirmation');

note 'errors';

foreach my $text ('', 'hello', '{', '{"action":"subscribe"', "{'a':1}",
	'{"action":"subscribe","subscriptions":["quiz:1"]} x',
	'{"action":"\ud800","subscriptions":["quiz:1"]}',
	'{"action":"a\u0000","subscriptions":["quiz:1"]}',
	'{"action":"subscribe","subscriptions":["quiz:1\u0000"]}',
	'[1,]', 'nul', '{"a":01}', "{\"a\":\"\t\"}", "\xef\xbb\xbf{}",
	'[' x 20000)
{
	my $name = length $text > 60 ? substr($text, 0, 20) . '...' : $text;

	$client->send_text($text);
	is_error($client, 'Invalid message: not valid JSON', "not JSON: $name");
}
foreach my $text ('{}', '[]', '1', 'null', '"subscribe"', 'true',
	'{"action":"subscribe"}', '{"action":"subscribe","subscriptions":[]}',
	'{"action":"subscribe","subscriptions":"quiz:1"}',
	'{"action":"subscribe","subscriptions":{"0":"quiz:1"}}',
	'{"action":"subscribe","subscriptions":[1]}',
	'{"action":"subscribe","subscriptions":["quiz:1",null]}',
	'{"action":"subscribe","subscriptions":[["quiz:1"]]}',
	'{"action":"subscribe","subscriptions":null}',
	'{"action":1,"subscriptions":["quiz:1"]}',
	'{"action":null,"subscriptions":["quiz:1"]}',
	'{"subscriptions":["quiz:1"]}',
	'{"action":"unsubscribe","subscriptions":[]}',
	'{"data":{"action":"subscribe","subscriptions":["quiz:1"]}}',
	'[{"action":"subscribe","subscriptions":["quiz:1"]}]')
{
	$client->send_text($text);
	is_error($client, $shape, "another shape: $text");
}
foreach my $action ('dance', '', 'Subscribe', 'subscribe ', "quo\"te", '\\')
{
	$client->send_json({ action => $action, subscriptions => ["quiz:$id"] });
	is_error($client, "Unknown action: $action");
}
$client->send_text('{"action":"dance"}');
is_error($client, 'Unknown action: dance',
	'an unknown action is reported before missing subscriptions');

my %denied = (
	'foo:1'   => 'unknown channel type',
	'foo:abc' => 'unknown channel type',
	'Quiz:1'  => 'unknown channel type',
	':1'      => 'unknown channel type',
	''        => 'unknown channel type',
	(
		map { $_ => 'invalid id' } 'quiz:', 'quiz:abc',
		'quiz:-1',                  'quiz:0',
		'quiz:01',                  'quiz:+1',
		'quiz: 1',                  'quiz:1 ',
		'quiz:1.0',                 'quiz:1:2',
		'quiz:99999999999999999999', 'quiz:9223372036854775808',
		'quiz:019364ab-7c12-7def-8000-abcdef123456',
		'attempts:abc',             'leaderboard:abc',
		'attempts:019364ab-7c12-7def-8000-abcdef12345',
		'leaderboard:0'),
	'notification:1' => 'managed by the server',
	'notification:019364ab-7c12-7def-8000-abcdef123456' =>
	  'managed by the server',
	'notification:x'            => 'managed by the server',
	"quiz:$their_id"            => 'not found or not owned',
	'quiz:987654321'            => 'not found or not owned',
	'quiz:9223372036854775807'  => 'not found or not owned',
	"attempts:$their_id"        => 'not found or not owned',
	"leaderboard:$their_id"     => 'not found or not owned',
	'attempts:019364ab-7c12-7def-8000-abcdef123456' =>
	  'not found or not owned',);

foreach my $channel (sort keys %denied)
{
	$client->subscribe($channel);
	is_error($client, "Subscription denied: $channel: $denied{$channel}");
}

note 'what a client sent comes back cut and escaped';

{
	my $long = 'x' x 99 . "\x{e9}" . 'y' x 50;
	my $cut  = 'x' x 99 . "\x{e9}";
	my $message;

	utf8::encode(my $bytes = $long);
	$client->send_text(qq({"action":"$bytes","subscriptions":["quiz:1"]}));
	$message = $client->expect_json;
	is($message->{error}, "Unknown action: $cut", 'an action of 150 characters');
	$client->send_text(qq({"action":"subscribe","subscriptions":["$bytes"]}));
	$message = $client->expect_json;
	is($message->{error},
		"Subscription denied: $cut: unknown channel type",
		'a channel of 150 characters');
	$client->send_text('{"action":"a\"\\\\\n\u0001\u007f<\/>","subscriptions":["x"]}');
	$message = $client->expect_json;
	is($message->{error}, "Unknown action: a\"\\\n\x01\x7f</>",
		'characters that JSON escapes');
}

note 'limits';

$node->reconfigure('quizrt.max_subscriptions' => 2);
{
	my $limited;
	my $third = $node->create_quiz->{quiz_id};

	$node->wait_until(sub { $node->sql('SHOW quizrt.max_subscriptions') eq '2' });
	$limited = $node->owner_client;
	$limited->subscribe("quiz:$id", "quiz:$second_id", "quiz:$third");
	is_confirmed($limited, 'subscribed', 'up to the limit',
		"quiz:$id", "quiz:$second_id");
	is_error($limited,
		"Subscription denied: quiz:$third: too many subscriptions");
	$limited->subscribe("quiz:$id");
	is_confirmed($limited, 'subscribed', 'again, at the limit', "quiz:$id");
	$limited->subscribe("quiz:$their_id");
	is_error($limited,
		"Subscription denied: quiz:$their_id: too many subscriptions",
		'the limit comes before ownership');
	$limited->subscribe('quiz:x');
	is_error($limited, 'Subscription denied: quiz:x: invalid id',
		'the id comes before the limit');
	$limited->unsubscribe("quiz:$id");
	is_confirmed($limited, 'unsubscribed', 'giving one up', "quiz:$id");
	$limited->subscribe("quiz:$third");
	is_confirmed($limited, 'subscribed', 'makes room', "quiz:$third");
}
$node->reconfigure('quizrt.max_subscriptions' => 100);

note 'the events';

my $attempt = $node->start_attempt($id,
	alias      => "Alice \"\\ \x{1}",
	started_at => '2026-06-11 16:30:00.120000+02');
my ($attempt_id, $participant_id) =
  @$attempt{qw(attempt_id participant_id)};
my $alias  = json_text($attempt->{alias});
my $common = qq("attempt_id":"$attempt_id","participant_id":"$participant_id")
  . qq(,"alias":$alias,"quiz_id":$id,"event_id":null);

is_message(
	$client,
	update_text(
		'attempt_quiz', 'quiz',
		qq({$common,"started_at":"2026-06-11T14:30:00.12+00:00"})),
	'attempt_quiz');

my $question = $quiz->{questions}[1];
my $answer   = $node->answer($attempt_id, $question,
	answered_at => '2026-06-11 14:31:05+00');

is_message(
	$client,
	update_text('attempt_update', 'quiz',
		qq({$common,"question_id":"$question","answer_id":"$answer",)
		  . '"is_correct":true,"score":10.0,'
		  . '"answered_at":"2026-06-11T14:31:05+00:00",'
		  . '"answered_count":1,"question_order":2}'),
	'attempt_update');

$node->sql("UPDATE quiz.answers SET is_correct = NULL, score = NULL,"
	  . " answered_at = '2026-06-11 14:31:06.000001+00'"
	  . " WHERE answer_id = '$answer'");
is_message(
	$client,
	update_text('attempt_update', 'quiz',
		qq({$common,"question_id":"$question","answer_id":"$answer",)
		  . '"is_correct":null,"score":null,'
		  . '"answered_at":"2026-06-11T14:31:06.000001+00:00",'
		  . '"answered_count":1,"question_order":2}'),
	'attempt_update of an answer that is not graded yet');

$node->sql("BEGIN; INSERT INTO quiz.flags (attempt_id, label, flagged_at) VALUES"
	  . " ('$attempt_id', 'tab_switch', '2026-06-11 14:32:00+00'),"
	  . " ('$attempt_id', 'Clipboard', '2026-06-11 14:32:02+00');"
	  . " INSERT INTO quiz.flags (attempt_id, label, flagged_at) VALUES"
	  . " ('$attempt_id', 'TAB_SWITCH', '2026-06-11 14:32:01+00'); COMMIT");
is_message(
	$client,
	update_text('attempt_flagged', 'quiz',
		qq({$common,"labels":["TAB_SWITCH","CLIPBOARD"],)
		  . '"flagged_at":"2026-06-11T14:32:02+00:00"}'),
	'attempt_flagged: one for the transaction');

$node->sql("UPDATE quiz.attempts SET submitted_at ="
	  . " '2026-06-11 14:33:02.5219+00' WHERE attempt_id = '$attempt_id'");
is_message(
	$client,
	update_text('attempt_finished', 'quiz',
		qq({$common,"answered_count":1,"time_taken_ms":182401})),
	'attempt_finished');

{
	my $event = $node->create_event($id);
	my $in_event =
	  $node->start_attempt($id, alias => "\x{c3}\x{a9}", event_id => $event);
	my $message = $client->expect_json;

	is($message->{data}{event_id}, $event, 'the event stream is named');
	is($message->{data}{alias}, "\x{e9}", 'an alias that is not ASCII');
	$node->answer($in_event->{attempt_id}, $quiz->{questions}[$_],
		score => (0, '2.50', '-1')[$_])
	  foreach 0 .. 2;
	foreach my $n (0 .. 2)
	{
		my $text = QuizRT::Client::compact($client->expect_text);

		like($text, qr/"event_id":"$event"/, 'in every message');
		like($text, qr/"score":(?:0|2\.50|-1),/, 'a score as it is');
		like($text, qr/"answered_count":@{[ $n + 1 ]},/,
			'answers are counted');
	}
}

note 'transactions';

my $other = $node->start_attempt($id, alias => 'Bob');
my $bob   = $other->{attempt_id};

is($client->expect_json->{data}{alias}, 'Bob', 'another participant');
$node->sql("BEGIN; INSERT INTO quiz.flags (attempt_id, label)"
	  . " VALUES ('$bob', 'rolled back'); ROLLBACK");
$node->sql("BEGIN; INSERT INTO quiz.flags (attempt_id, label)"
	  . " VALUES ('$bob', 'kept'); SAVEPOINT s;"
	  . " INSERT INTO quiz.flags (attempt_id, label) VALUES ('$bob', 'undone');"
	  . " ROLLBACK TO s; INSERT INTO quiz.flags (attempt_id, label)"
	  . " VALUES ('$bob', 'more'); COMMIT");
is_deeply($client->expect_json->{data}{labels},
	[ 'KEPT', 'MORE' ], 'nothing of what was rolled back');

$node->sql('BEGIN; ' . join('; ',
		map { "INSERT INTO quiz.answers (attempt_id, question_id, response,"
			  . " is_correct, score) VALUES ('$bob', '$_', '1', true, 1)" }
		  @{ $quiz->{questions} })
	  . "; UPDATE quiz.attempts SET submitted_at = now(), reason = 'submitted'"
	  . " WHERE attempt_id = '$bob'; COMMIT");
is_deeply(
	[
		map { my $m = $client->expect_json;
			"$m->{t} " . $m->{data}{answered_count} } 1 .. 4
	],
	[
		'attempt_update 1', 'attempt_update 2',
		'attempt_update 3', 'attempt_finished 3'
	],
	'the order of a transaction is kept');

like(
	$node->sql_fails("BEGIN; INSERT INTO quiz.flags (attempt_id, label)"
		  . " VALUES ('$bob', 'x'); PREPARE TRANSACTION 'x'"),
	qr/PREPARE|prepare/, 'no two-phase commit with events');

$node->sql("SELECT quizrt.publish('quiz:$id', 'hello_world',"
	  . " '{\"b\": 1.50, \"a\": [\"x\", null], \"\": {}}')");
is_message($client,
	update_text('hello_world', 'quiz', '{"b":1.50,"a":["x",null],"":{}}'),
	'publish() keeps keys and numbers as they are');
$node->sql("BEGIN; SELECT quizrt.publish('quiz:$id', 'never', '{}'); ROLLBACK");

note 'nobody else gets it';

{
	my $outsider = $node->owner_client('somebody else', "quiz:$their_id");
	my $sees_second = $node->owner_client('teacher', "quiz:$second_id");

	$node->sql("SELECT quizrt.publish('quiz:$id', 'secret', '{}')");
	is($client->expect_json->{t}, 'secret', 'the subscriber gets it');
	$node->sql("SELECT quizrt.publish('quiz:$their_id', 'theirs', '{}')");
	$node->sql("SELECT quizrt.publish('quiz:$second_id', 'second', '{}')");
	is($outsider->expect_json->{t}, 'theirs', 'others get only their own');
	is($sees_second->expect_json->{t}, 'second',
		'the same owner, another quiz');
	is($client->expect_json->{t}, 'second', 'who subscribed to both gets both');
}

note 'unsubscribing';

$client->unsubscribe("quiz:$second_id");
is_confirmed($client, 'unsubscribed', 'one of them', "quiz:$second_id");
$client->unsubscribe('quiz:987654');
is_confirmed($client, 'unsubscribed', 'what was not subscribed',
	'quiz:987654');
$node->sql("SELECT quizrt.publish('quiz:$second_id', 'unheard', '{}')");
$node->sql("SELECT quizrt.publish('quiz:$id', 'heard', '{}')");
is($client->expect_json->{t}, 'heard', 'no more of that');
$client->subscribe("quiz:$second_id");
is_confirmed($client, 'subscribed', 'and again', "quiz:$second_id");
$node->sql("SELECT quizrt.publish('quiz:$second_id', 'heard_again', '{}')");
is($client->expect_json->{t}, 'heard_again', 'heard again');

note 'a quiz changes hands';

$node->sql("BEGIN; INSERT INTO quiz.flags (attempt_id, label)"
	  . " VALUES ('$bob', 'unseen');"
	  . " UPDATE quiz.quizzes SET owner_id = 'somebody else'"
	  . " WHERE quiz_id = $id; COMMIT");
is_error($client, "Access revoked: quiz:$id");
$node->sql("SELECT quizrt.publish('quiz:$id', 'unseen', '{}')");
$node->sql("SELECT quizrt.publish('quiz:$second_id', 'seen', '{}')");
is($client->expect_json->{t}, 'seen', 'the other subscription stays');
$client->subscribe("quiz:$id");
is_error($client, "Subscription denied: quiz:$id: not found or not owned");
lives(sub { $node->owner_client('somebody else', "quiz:$id") },
	'the new owner subscribes');
$node->sql("DELETE FROM quiz.questions WHERE quiz_id = $second_id;"
	  . " DELETE FROM quiz.quizzes WHERE quiz_id = $second_id");
is_error($client, "Access revoked: quiz:$second_id", 'a quiz is deleted');

note 'floods';

$node->reconfigure('quizrt.max_error_rate' => 5);
{
	my $calm = $node->owner_client;
	my $flooder;

	$node->wait_until(sub { $node->sql('SHOW quizrt.max_error_rate') eq '5' });
	$flooder = $node->owner_client;
	eval { $flooder->send_text('x') foreach 1 .. 200; };
	closes_with($flooder, 1008, 'who causes errors without an end is closed');
	lives(sub { $calm->ping }, 'others are not');
}

note 'the heartbeat';

$node->configure(
	'quizrt.ping_interval' => '200ms',
	'quizrt.pong_timeout'  => '400ms');
$node->restart;
$node->wait_ready;
{
	my $alive = $node->owner_client;
	my $dead  = $node->owner_client;

	$dead->{auto_pong} = 0;
	$node->wait_until(
		sub {
			$alive->poll;
			my $message = $dead->poll;
			return $message && $message->{opcode} == QuizRT::Client::CLOSE;
		});
	closes_with($dead, 1011, 'who does not answer is closed');
	lives(sub { $alive->ping }, 'who answers stays');
	cmp_ok($alive->{pings}, '>=', 1, 'and was asked');
}

done_testing();
