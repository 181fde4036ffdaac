# What becomes of entries that the ring has overwritten, of those whose
# transactions take long to commit, and of who loses access meanwhile.

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

# No standby will ever confirm: who waits for one has its place in the ring,
# and doesn't commit before it is cancelled.
my $node = QuizRT::Cluster->create('main',
	settings => {
		'quizrt.ring_size'          => '64kB',
		'quizrt.max_error_rate'     => 0,
		'synchronous_commit'        => 'local',
		'max_wal_senders'           => 2,
		'wal_level'                 => 'replica',
		'synchronous_standby_names' => 'nobody',
	});
my $id = $node->create_quiz(owner => 'alice')->{quiz_id};

$node->sql('CREATE TABLE written (at timestamptz DEFAULT now())');

# Run SQL that reserves its place in the ring and doesn't commit yet.
sub begin_commit
{
	my ($sql) = @_;
	my $session = IPC::Run::start(
		[
			'psql', '-XAtq', '-d', $node->connstr($QuizRT::Cluster::database),
			'-c', 'SET synchronous_commit = on', '-c',
			"$sql; INSERT INTO written DEFAULT VALUES"
		],
		'<', \undef, '>', \my $out, '2>', \my $err);

	$node->wait_until(
		sub {
			$node->sql('SELECT count(*) FROM pg_stat_activity'
				  . " WHERE wait_event = 'SyncRep'") > 0;
		});
	return $session;
}

sub end_commit
{
	my ($session) = @_;

	$node->sql('SELECT pg_cancel_backend(pid) FROM pg_stat_activity'
		  . " WHERE wait_event = 'SyncRep'");
	$session->finish;
	return;
}

# So many transactions that nothing older is left in the ring, nor its mark;
# in pieces that a gateway can follow.
sub fill_ring
{
	foreach (1 .. 20)
	{
		fill_some();
	}
	return;
}

sub fill_some
{
	$node->sql(<<'SQL');
DO $$
BEGIN
	FOR i IN 1 .. 20 LOOP
		PERFORM quizrt.publish('quiz:999', 'filler',
			json_build_object('x', repeat('x', 700)));
		COMMIT;
	END LOOP;
END
$$
SQL
	return;
}

sub stop_gateway
{
	my $pid = $node->pid('gateway 1');

	kill 'STOP', $pid;
	return $pid;
}

note 'a commit that takes long, and nothing after it';

{
	my $client  = $node->owner_client('alice', "quiz:$id");
	my $session = begin_commit("SELECT quizrt.publish('quiz:$id', 'late', '{}')");

	fill_ring();
	end_commit($session);
	is($client->wait_for(sub { ($_->{t} // '') eq 'late' }, 10)->{t},
		'late', 'it arrives, although its mark has no place any more');
}

note 'the same, overwritten before it was read';

{
	my $client = $node->owner_client('alice', "quiz:$id");
	my $pid    = stop_gateway();
	my $session = begin_commit("SELECT quizrt.publish('quiz:$id', 'gone', '{}')");

	fill_ring();
	kill 'CONT', $pid;
	like($client->expect_json->{error}, qr/^Updates lost: quiz:$id$/,
		'the loss is told');
	end_commit($session);
	like($client->expect_json->{error}, qr/^Updates lost: quiz:$id$/,
		'and again, when what was lost has committed');
}

note 'a revocation that was overwritten';

{
	my $client  = $node->owner_client('alice', "quiz:$id");
	my $pid     = stop_gateway();

	$node->sql("UPDATE quiz.quizzes SET owner_id = 'bob' WHERE quiz_id = $id");
	fill_ring();
	$node->sql("SELECT quizrt.publish('quiz:$id', 'secret', '{}')");
	kill 'CONT', $pid;
	is($client->expect_json->{error}, "Access revoked: quiz:$id",
		'the old owner hears of the revocation, and of nothing after it');
	$client->subscribe("quiz:$id");
	is_error($client,
		"Subscription denied: quiz:$id: not found or not owned",
		'nor can it subscribe');
	$node->sql("UPDATE quiz.quizzes SET owner_id = 'alice' WHERE quiz_id = $id");
}

note 'subscribing again';

{
	my $client = $node->owner_client('alice');

	$client->subscribe("attempts:$id");
	$client->expect_json for 1 .. 2;
	foreach my $n (1 .. 5)
	{
		my $attempt = $node->start_attempt($id)->{attempt_id};

		is($client->expect_json->{data}{attempt_id}, $attempt,
			'an attempt starts');
		$client->subscribe("attempts:$id");
		is($client->expect_json->{event}, 'subscribed', 'confirmed again');
		is(scalar @{ $client->expect_json->{snapshot} }, $n,
			'the snapshot has what this client has seen');
	}
}

done_testing();
