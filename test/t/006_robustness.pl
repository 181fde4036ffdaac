# Whatever happens to one of our processes, to the extension or to the
# database: clients of others don't notice, what ended comes back by itself,
# and the server never restarts.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

my $node = QuizRT::Cluster->create('main',
	settings => { 'quizrt.gateways' => 2, 'quizrt.query_workers' => 2 });
my $quiz       = $node->create_quiz;
my $id         = $quiz->{quiz_id};
my $postmaster = $node->postmaster_pid;
my $number     = 0;

# How long ago the server has started tells whether it has restarted.
my $session = $node->background_psql($QuizRT::Cluster::database);

sub publishes
{
	my ($name, @clients) = @_;
	my $slug = 'number_' . ++$number;

	$node->sql("SELECT quizrt.publish('quiz:$id', '$slug', '{}')");
	foreach my $client (@clients)
	{
		lives(
			sub { $client->wait_for(sub { ($_->{t} // '') eq $slug }) },
			"$name: a subscriber hears it");
	}
	return;
}

# A new client can do all that a client can; it may take some tries.
sub serves
{
	my ($name) = @_;
	my $client;

	$node->wait_until(
		sub {
			$client = eval { $node->owner_client('teacher', "quiz:$id") };
			return defined $client;
		});
	publishes($name, $client);
	return $client;
}

sub server_is_the_same
{
	my ($name) = @_;

	return is(eval { $session->query_safe('SELECT 1') },
		'1', "$name: sessions live");
}

note 'what can be seen';

foreach my $title ('launcher', 'gateway 1', 'gateway 2', 'query worker 1',
	'query worker 2')
{
	ok(defined $node->pid($title), "quizrt $title is there");
}
is(
	$node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity"
		  . " WHERE backend_type LIKE 'quizrt gateway%' AND datid IS NOT NULL"),
	'0', 'a gateway is connected to no database');

note 'a query worker';

my $client = serves('before');

foreach my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	foreach my $title ('query worker 1', 'query worker 2')
	{
		my $pid = $node->pid($title);

		$node->safe_psql('postgres', "SELECT $how($pid)");
		publishes("$how($title)", $client);
		$node->wait_new_pid($title, $pid) if $how eq 'pg_terminate_backend';
		serves("$how($title), a new client");
	}
	server_is_the_same($how);
}

note 'the launcher';

foreach my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	my $pid = $node->pid('launcher');

	$node->safe_psql('postgres', "SELECT $how($pid)");
	publishes("$how(launcher)", $client);
	$node->wait_new_pid('launcher', $pid) if $how eq 'pg_terminate_backend';
	$node->wait_ready;
	serves("$how(launcher), a new client");
	server_is_the_same("$how(launcher)");
}

note 'a gateway';

{
	my $pid = $node->pid('gateway 1');

	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	publishes('pg_cancel_backend(gateway)', $client);
	server_is_the_same('pg_cancel_backend(gateway)');
}
{
	# So many that both gateways have some.
	my @clients = map { $node->owner_client('teacher', "quiz:$id") } 1 .. 24;
	my $pid     = $node->pid('gateway 1');

	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	$node->wait_new_pid('gateway 1', $pid);
	server_is_the_same('pg_terminate_backend(gateway)');

	# Some were closed as at a shutdown, the others didn't notice.
	my $slug = 'after_gateway';
	my (@closed, @alive);

	$node->sql("SELECT quizrt.publish('quiz:$id', '$slug', '{}')");
	foreach my $one (@clients)
	{
		my $heard =
		  eval { $one->wait_for(sub { ($_->{t} // '') eq $slug }) };

		push @{ $heard ? \@alive : \@closed }, $one;
	}
	cmp_ok(scalar @alive, '>', 0, 'clients of the other gateway hear what comes');
	cmp_ok(scalar @closed, '>', 0, 'clients of the one that went were closed');
	is(scalar(grep { ($_->{closed} ? $_->{closed}{code} : 0) != 1001 } @closed),
		0, 'all of them with 1001');
	serves('a new client');
}

note 'the extension';

{
	my $steady = serves('before');

	$node->sql('DROP EXTENSION quizrt CASCADE');
	$node->wait_unready;
	pass('without the extension it is not ready');
	is(QuizRT::Client->get($node->url('/healthz'))->{status},
		200, 'but it is alive');
	my $response = QuizRT::Client->attempt(
		$node->url('/ws?token=' . QuizRT::Cluster::jwt({ sub => 'teacher' })));

	cmp_ok($response->{status}, '==', 503,
		'nobody can be told who they are')
	  if $response->{status} != 101;
	is($node->sql('SELECT count(*) FROM quiz.quizzes'), '1',
		'the tables are kept');
	lives(
		sub {
			$node->start_attempt($id, alias => 'Unheard');
		},
		'and written as before');
	$node->sql('CREATE EXTENSION quizrt');
	$node->sql('SELECT quizrt.create_quiz_tables()');
	$node->wait_ready;
	my $new = serves('created again');

	$node->start_attempt($id, alias => 'Heard');
	is($new->expect_json->{data}{alias}, 'Heard',
		'the tables are attached again');
	server_is_the_same('the extension');
}

note 'the database';

$session->quit;
$session = $node->background_psql('postgres');
{
	my $name = $QuizRT::Cluster::database;

	# Our worker is connected to it; nobody should have to know.
	lives(sub { $node->safe_psql('postgres', "DROP DATABASE $name WITH (FORCE)") },
		'it can be dropped');
	$node->wait_unready;
	pass('it is not ready');
	my $response = QuizRT::Client->attempt($node->url('/ws?token=x'));

	is_refused($response, 503, undef, 'without a database');
	like($response->{headers}{'retry-after'} // '', qr/^\d+$/, 'Retry-After');
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->sql('CREATE EXTENSION quizrt');
	$node->sql('SELECT quizrt.create_quiz_tables()');
	$node->wait_ready;
	pass('it is ready when it is there again');
	$id = $node->create_quiz->{quiz_id};
	serves('another database of that name');
	lives(
		sub {
			$node->safe_psql('postgres', 'CREATE DATABASE unrelated');
			$node->safe_psql('postgres', 'DROP DATABASE unrelated');
		},
		'other databases come and go');
	server_is_the_same('the database');
}

note 'the log';

{
	my $log = $node->log_text;
	my %lines;

	$lines{$1}++ while $log =~ /^\S+ \S+ \S+ \[\d+\] (?:quizrt[^:]*)?(.*)$/mg;

	my ($worst) = sort { $lines{$b} <=> $lines{$a} } keys %lines;

	cmp_ok($lines{$worst}, '<', 60, "nothing is logged without an end: $worst");
	unlike($log, qr/PANIC|terminated by signal|was not properly shut down/,
		'nothing crashed');
}
is($node->postmaster_pid, $postmaster, 'the postmaster is the same');
$session->quit;
done_testing();
