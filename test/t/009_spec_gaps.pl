# Statements of the quiz API that the tests beside this one leave out:
# docs/conformance-quiz.md says which is asserted where.

use strict;
use warnings;

use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = QuizRT::Cluster->create('main');
my $quiz = $node->create_quiz(questions => 2);
my $id   = $quiz->{quiz_id};

sub publish
{
	my ($channel, $event) = @_;

	return $node->sql("SELECT quizrt.publish('$channel', '$event', '{}')");
}

sub metric
{
	my ($name) = @_;
	my $body = QuizRT::Client->get($node->url('/metrics'))->{body};

	return $body =~ /^quizrt_$name (\d+)$/m ? $1 : undef;
}

note 'the heartbeat as the server comes';

is($node->sql('SHOW quizrt.ping_interval'), '5s',  'a ping every 5 seconds');
is($node->sql('SHOW quizrt.pong_timeout'),  '10s', 'a pong within 10 seconds');
{
	my $client = $node->owner_client;
	my $begun  = time;

	$node->wait_until(sub { $client->poll; $client->{pings} }, 10);
	cmp_ok(abs(time - $begun - 5), '<', 1.5, 'and so it is');
}

note 'a credential is checked at connect time only';

{
	my $token  = QuizRT::Cluster::jwt({ sub => 'teacher', exp => int(time) + 2 });
	my $client = QuizRT::Client->connect($node->url("/ws?token=$token"));

	$client->subscribe("quiz:$id");
	$client->expect_json;
	sleep 0.1 while QuizRT::Client->attempt($node->url("/ws?token=$token"))
	  ->{status} == 101;
	is_refused(QuizRT::Client->attempt($node->url("/ws?token=$token")),
		401, 'Invalid or expired credential',
		'an expired token does not connect again');
	publish("quiz:$id", 'after_expiry');
	is($client->expect_json->{t}, 'after_expiry', 'who is connected stays');
	$client->subscribe("quiz:$id");
	is($client->expect_json->{event}, 'subscribed', 'and may subscribe');
}

note 'ownership is asked once for a connection';

{
	my $client = $node->owner_client('teacher', "quiz:$id");
	my $asked  = metric('questions_asked_total');
	my $lock   = $node->background_psql($QuizRT::Cluster::database);

	$lock->query_safe('BEGIN');
	$lock->query_safe('LOCK TABLE quiz.quizzes IN ACCESS EXCLUSIVE MODE');
	$client->unsubscribe("quiz:$id");
	$client->subscribe("quiz:$id");
	is_deeply([ map { $client->expect_json->{event} } 1 .. 2 ],
		[qw(unsubscribed subscribed)], 'and remembered');
	$lock->query_safe('ROLLBACK');
	$lock->quit;
	is(metric('questions_asked_total'), $asked, 'the database was not asked');
}

note 'nothing is kept or replayed across connections';

{
	my $client = $node->owner_client('teacher', "quiz:$id");

	$client->disconnect;
	publish("quiz:$id", 'missed');
	$client = $node->owner_client;
	publish("quiz:$id", 'not_subscribed');
	$client->ping;
	$client->subscribe("quiz:$id");
	is($client->expect_json->{event}, 'subscribed', 'it has to subscribe again');
	publish("quiz:$id", 'heard');
	is($client->expect_json->{t}, 'heard', 'and hears what comes from then on');
}

note 'a participant hears of its own attempt only';

{
	my ($mine, $other) =
	  map { $node->start_attempt($id)->{attempt_id} } 1 .. 2;
	my $client = $node->participant_client($mine);

	$client->subscribe("notification:$other");
	is_error($client,
		'Subscriptions are managed by the server for this session');
	$client->unsubscribe("notification:$mine");
	is_error($client,
		'Subscriptions are managed by the server for this session',
		'nor can it unsubscribe');
	$node->submit($other);
	publish("quiz:$id", 'for_the_owner');
	$node->submit($mine);
	is($client->expect_json->{data}{attempt_id}, $mine, 'only its own');
}

note 'event streams, and the detail of flags';

my $event  = $node->create_event($id);
my $client = $node->owner_client('teacher', "quiz:$id");
my $attempt =
  $node->start_attempt($id, alias => 'Eve', event_id => $event)->{attempt_id};

$node->answer($attempt, $quiz->{questions}[0]);
$node->sql("INSERT INTO quiz.flags (attempt_id, label, detail)"
	  . " VALUES ('$attempt', 'clipboard', '{\"text\": \"much detail\"}')");
$node->submit($attempt);
foreach my $t (qw(attempt_quiz attempt_update attempt_flagged attempt_finished))
{
	my $text = $client->expect_text;

	like($text, qr/^\{"event":"update","t":"$t","channel":"quiz",/, $t);
	like($text, qr/"event_id":"$event"/, "$t names the event stream");
	unlike($text, qr/detail/, "$t has no detail");
}

note 'attempts and leaderboard';

foreach my $channel_id ($id, $event)
{
	my $watcher = $node->owner_client;
	my $message;

	$watcher->subscribe("attempts:$channel_id", "leaderboard:$channel_id");
	is_message($watcher,
		'{"event":"subscribed","t":null,"subscriptions":'
		  . qq(["attempts:$channel_id","leaderboard:$channel_id"]}),
		'both are confirmed');
	foreach my $type (qw(attempts leaderboard))
	{
		my ($row);

		$message = $watcher->expect_json;
		is("$message->{event} $message->{channel}",
			"snapshot $type", 'then a snapshot of each');
		is_deeply($message->{subscriptions}, ["$type:$channel_id"],
			'which names its channel');
		ok(!defined $message->{t} && exists $message->{t}, 't is null');
		($row) = grep { $_->{attempt_id} eq $attempt } @{ $message->{snapshot} };
		is("$row->{alias} $row->{answered_count} $row->{score}",
			'Eve 1 10', 'with the attempt as it is');
	}

	my $later = $node->start_attempt($id, alias => 'Mallory', event_id => $event)
	  ->{attempt_id};

	# The leaderboard's snapshot may come before or after the update.
	my @next = map { $watcher->expect_json } 1 .. 2;
	my ($update) = grep { $_->{event} eq 'update' } @next;
	my ($board)  = grep { $_->{event} eq 'snapshot' } @next;

	is("$update->{t} $update->{channel}",
		'attempt_quiz attempts', 'updates follow on attempts');
	is($update->{data}{attempt_id}, $later, 'of what was committed since');
	is($board->{channel}, 'leaderboard', 'and a ranking on leaderboard');
	$node->sql("DELETE FROM quiz.attempts WHERE attempt_id = '$later'");
}
foreach my $type (qw(attempts leaderboard))
{
	my $theirs   = $node->create_quiz(owner => 'somebody else')->{quiz_id};
	my $outsider = $node->owner_client('somebody else');

	$outsider->subscribe("$type:$id", "$type:$event", "$type:$theirs");
	is_deeply($outsider->expect_json->{subscriptions},
		["$type:$theirs"], "$type: one's own");
	is_error($outsider, "Subscription denied: $type:$_: not found or not owned")
	  foreach $id, $event;
}

done_testing();
