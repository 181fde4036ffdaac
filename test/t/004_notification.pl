# The notification channel: a participant hears that the attempt was closed.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Client;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

my $listen_only = 'Subscriptions are managed by the server for this session';
my $node = QuizRT::Cluster->create('main',
	settings => { 'quizrt.max_error_rate' => 0 });
my $quiz  = $node->create_quiz(questions => 2);
my $id    = $quiz->{quiz_id};
my $alice = $node->start_attempt($id)->{attempt_id};

sub connect_session
{
	my ($session) = @_;

	return QuizRT::Client->connect($node->url("/ws?session=$session"));
}

sub participant
{
	my ($attempt_id) = @_;

	return $node->participant_client($attempt_id);
}

note 'subscribed by the server';

my $session = $node->session($alice);
my $client  = connect_session($session);

is_message($client,
	qq({"event":"subscribed","t":null,"subscriptions":["notification:$alice"]}),
	'the first message');

note 'listen-only';

foreach my $text ('hello', '', '{"action":"subscribe","subscriptions":["quiz:1"]}',
	qq({"action":"unsubscribe","subscriptions":["notification:$alice"]}),
	'ping', '{}')
{
	$client->send_text($text);
	is_error($client, $listen_only, "participant sends: $text");
}
$client->send_frame(QuizRT::Client::PONG, 'unasked');
lives(sub { $client->ping }, 'pongs and pings are no messages');
{
	my $binary = participant($alice);

	$binary->send_frame(QuizRT::Client::BINARY, 'x');
	closes_with($binary, 1003, 'a binary message');
}

note 'attempt_closed';

my $again = connect_session($session);

is_message($again,
	qq({"event":"subscribed","t":null,"subscriptions":["notification:$alice"]}),
	'a session may connect twice');

my $bob   = $node->start_attempt($id, alias => 'Bob')->{attempt_id};
my $other = participant($bob);
my $owner = $node->owner_client('teacher', "quiz:$id");

$node->answer($alice, $quiz->{questions}[0], score => '70.25');
$node->answer($alice, $quiz->{questions}[1], score => '4.75');
$node->flag($alice, 'tab_switch');
$node->sql("UPDATE quiz.attempts SET submitted_at = '2026-06-11 15:00:00+00',"
	  . " reason = 'forced_by_owner' WHERE attempt_id = '$alice'");

my $closed = update_text('attempt_closed', 'notification',
	qq({"attempt_id":"$alice","quiz_id":$id,"event_id":null,)
	  . '"reason":"forced_by_owner","score":75.00,"answered_count":2,'
	  . '"submitted_at":"2026-06-11T15:00:00+00:00"}');

is_message($client, $closed, 'attempt_closed, and nothing before it');
is_message($again,  $closed, 'on every connection of the attempt');
is_deeply(
	[ map { $owner->expect_json->{t} } 1 .. 4 ],
	[qw(attempt_update attempt_update attempt_flagged attempt_finished)],
	'the owner gets the quiz channel, not this');

lives(sub { $client->ping }, 'the connection stays');

note 'reasons';

$node->submit($bob);
is($other->expect_json->{data}{reason}, 'submitted', 'submitted');
{
	my $carol = $node->start_attempt($id, alias => 'Carol')->{attempt_id};
	my $event = $node->create_event($id);
	my $dave =
	  $node->start_attempt($id, alias => 'Dave', event_id => $event)
	  ->{attempt_id};
	my ($third, $fourth) = (participant($carol), participant($dave));

	$node->sql("UPDATE quiz.attempts SET submitted_at = now()"
		  . " WHERE attempt_id = '$carol'");

	my $data = $third->expect_json->{data};

	is($data->{reason}, 'submitted', 'no reason reads submitted');
	is($data->{answered_count}, 0, 'no answers');
	cmp_ok($data->{score}, '==', 0, 'no score');
	$node->submit($dave, 'time_up');
	$data = $fourth->expect_json->{data};
	is($data->{reason},   'time_up', 'time_up');
	is($data->{event_id}, $event,    'the event stream');
}

note 'rolled back';

{
	my $frank = $node->start_attempt($id, alias => 'Frank')->{attempt_id};
	my $sixth = participant($frank);

	$node->sql("BEGIN; UPDATE quiz.attempts SET submitted_at = now(),"
		  . " reason = 'time_up' WHERE attempt_id = '$frank'; ROLLBACK");
	$node->submit($frank);
	is($sixth->expect_json->{data}{reason},
		'submitted', 'only what was committed is heard');
}

note 'publish';

{
	my $grace   = $node->start_attempt($id, alias => 'Grace')->{attempt_id};
	my $seventh = participant($grace);

	$node->sql("SELECT quizrt.publish('notification:$grace', 'note',"
		  . " '{\"text\":\"five minutes left\"}')");
	is_message($seventh,
		update_text('note', 'notification', '{"text":"five minutes left"}'),
		'an application may publish here too');
}

note 'afterwards';

is_refused(QuizRT::Client->attempt($node->url("/ws?session=$session")),
	401, 'Invalid session', 'the session has expired');
$node->configure('quizrt.closed_attempt_timeout' => '300ms');
$node->reload;
{
	my $heidi = $node->start_attempt($id, alias => 'Heidi')->{attempt_id};
	my $eighth;

	$node->wait_until(
		sub { $node->sql('SHOW quizrt.closed_attempt_timeout') eq '300ms' });
	$eighth = participant($heidi);
	$node->submit($heidi);
	is($eighth->expect_json->{t}, 'attempt_closed', 'closed');
	closes_with($eighth, 1000, 'and the connection after a time');
}

done_testing();
