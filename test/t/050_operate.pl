# Seeing what goes on, and stepping in: the views connections, subscriptions
# and stats, disconnect(), drain(), pg_stat_activity.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

my $node = QuizRT::Cluster->create('main',
	settings => { 'quizrt.gateways' => 2, 'quizrt.ping_interval' => '1s' });
my $quiz = $node->create_quiz;
my $id   = $quiz->{quiz_id};
my $jwt  = QuizRT::Cluster::jwt({ sub => 'teacher' });

# One value of quizrt.stats.
sub stat_of
{
	my ($name) = @_;

	return $node->sql("SELECT value FROM quizrt.stats WHERE name = '$name'");
}

sub wait_for_sql
{
	my ($query, $expected) = @_;

	return $node->wait_until(sub { $node->sql($query) eq $expected });
}

# The id of the one connection of an owner.
sub connection_of
{
	my ($owner) = @_;

	return $node->sql(
		"SELECT connection_id FROM quizrt.connections WHERE owner_id = '$owner'");
}

note 'connections and subscriptions';

{
	is($node->sql("SELECT count(*) FROM quizrt.connections WHERE state = 'open'"),
		'0', 'nobody is there');

	my $attempt     = $node->start_attempt($id);
	my $owner       = $node->owner_client('teacher', "quiz:$id", "attempts:$id");
	my $participant = $node->participant_client($attempt->{attempt_id});
	my $half = QuizRT::Client->dial($node->url('/ws'));

	$half->send_raw("GET /ws?token=$jwt HTTP/1.1\r\n");
	wait_for_sql("SELECT count(*) FROM quizrt.connections", 3);
	is( $node->sql(
			'SELECT api, state, owner_id, address, subscriptions, lagging,'
			  . ' gateway BETWEEN 1 AND 2, bytes_sent > 100, queued_bytes,'
			  . " connected_at BETWEEN now() - interval '1 minute' AND now()"
			  . ' FROM quizrt.connections ORDER BY connection_id'),
		"quiz|open|teacher|127.0.0.1|2|f|t|t|0|t\n"
		  . "quiz|open||127.0.0.1|1|f|t|t|0|t\n"
		  . '|request||127.0.0.1|0|f|t|f|0|t',
		'an owner, a participant and somebody who says nothing');
	is( $node->sql(
			'SELECT s.channel, s.held, s.lost, c.owner_id'
			  . ' FROM quizrt.subscriptions AS s'
			  . ' JOIN quizrt.connections AS c USING (connection_id, gateway)'
			  . ' ORDER BY s.connection_id, s.channel COLLATE "C"'),
		"attempts:$id|f|f|teacher\nquiz:$id|f|f|teacher\n"
		  . "notification:$attempt->{attempt_id}|f|f|",
		'their subscriptions');
	is(stat_of('connections'),   2, 'stats: connections');
	is(stat_of('handshakes'),    1, 'stats: handshakes');
	is(stat_of('subscriptions'), 3, 'stats: subscriptions');

	my $all = $node->sql('SELECT * FROM quizrt.connections, quizrt.subscriptions');

	unlike($all, qr/\Q$jwt\E|qs_|token/, 'no credential is shown');

	$_->disconnect foreach $owner, $participant, $half;
	wait_for_sql("SELECT count(*) FROM quizrt.connections", 0);
	pass('they go with the clients');
	is(stat_of($_), 0, "stats: $_") foreach qw(connections handshakes subscriptions);
}

note 'an owner whose name is no ASCII';

{
	my $client = QuizRT::Client->connect(
		$node->url('/ws?token=' . QuizRT::Cluster::jwt({ sub => "Zo\x{eb}" })));

	is($node->sql("SELECT owner_id = U&'Zo\\00EB' FROM quizrt.connections"),
		't', 'it is shown as it is');
	$client->disconnect;
}

note 'many of them, and many askers';

{
	my @clients = map { $node->owner_client("owner$_") } 1 .. 300;
	my @askers  = map { $node->background_psql($QuizRT::Cluster::database) } 1 .. 5;

	is( $node->sql(
			'SELECT count(*), count(DISTINCT connection_id),'
			  . ' count(DISTINCT gateway), count(DISTINCT owner_id)'
			  . " FROM quizrt.connections WHERE state = 'open'"),
		'300|300|2|300', 'all of them, over both gateways');
	$_->{stdin} .= "SELECT count(*) FROM quizrt.connections, generate_series(1, 20);\n"
	  . "SELECT count(c) FROM generate_series(1, 100) AS n,"
	  . " LATERAL (SELECT n, * FROM quizrt.read_connections()) AS c;\n\\echo done\n"
	  foreach @askers;
	foreach my $asker (@askers)
	{
		ok($asker->query_until(qr/^30000\s+done/m, ''), 'an asker among others');
	}
	$_->quit foreach @askers;
	$_->disconnect foreach @clients;
	wait_for_sql("SELECT count(*) FROM quizrt.connections", 0);
}

note 'a gateway that does not answer';

{
	my @clients = map { $node->owner_client } 1 .. 20;
	my $pid     = $node->pid('gateway 1');

	kill 'STOP', $pid;

	my ($rc, $out, $err) = $node->psql($QuizRT::Cluster::database,
		'SELECT count(DISTINCT gateway) FROM quizrt.connections');

	is($out, '1', 'the other one is shown');
	like($err, qr/WARNING:  quizrt gateway 1 does not answer/,
		'and that it is not all');
	like(
		$node->sql_fails('SET statement_timeout = 300; TABLE quizrt.connections'),
		qr/statement timeout/,
		'whoever waits can be interrupted');
	kill 'CONT', $pid;
	wait_for_sql('SELECT count(DISTINCT gateway) FROM quizrt.connections', 2);

	# Askers that end in the middle.
	kill 'STOP', $pid;
	my $asker = $node->background_psql($QuizRT::Cluster::database);
	my $backend = $asker->query_safe('SELECT pg_backend_pid()');

	$asker->{stdin} .= "TABLE quizrt.connections;\n";
	$asker->{run}->pump_nb;
	$node->wait_until(
		sub {
			$node->sql("SELECT wait_event_type FROM pg_stat_activity"
				  . " WHERE pid = $backend AND state = 'active'") eq 'Extension';
		});
	is($node->sql("SELECT pg_terminate_backend($backend, 10000)"),
		't', 'a waiting asker is terminated');
	kill 'CONT', $pid;
	eval { $asker->quit };

	# Gateways that end in the middle.
	kill 'STOP', $pid;
	kill 'TERM', $pid;
	$asker = $node->background_psql($QuizRT::Cluster::database);
	$asker->query_until(qr/begun/,
		"\\echo begun\nSELECT count(DISTINCT gateway) BETWEEN 1 AND 2 FROM quizrt.connections;\n");
	kill 'CONT', $pid;
	ok($asker->query_until(qr/^t$/m, ''), 'a gateway that ends is not waited for');
	$asker->quit;
	$node->wait_new_pid('gateway 1', $pid);
	$_->disconnect foreach @clients;
	wait_for_sql('SELECT count(*) FROM quizrt.connections', 0);
	is(stat_of($_), 0, "stats: $_") foreach qw(connections handshakes subscriptions);
}

note 'stats';

{
	my $metrics = QuizRT::Client->get($node->url('/metrics'))->{body};
	my %shown   = map { $_ => 1 } $metrics =~ /^quizrt_(\w+?)(?:_total)? \d/mg;
	my @names   = split /\n/, $node->sql('SELECT name FROM quizrt.stats');

	is_deeply([ sort keys %shown ], [ sort @names ],
		'the view and /metrics show the same');
	is( $node->sql("SELECT count(*) FROM quizrt.stats WHERE description !~ '\\.\$'"
			  . ' OR value IS NULL'),
		0,
		'each has a value and a description');
	is(stat_of('gateways'),        2, 'gateways');
	is(stat_of('query_workers'),   1, 'query workers');
	is(stat_of('database_served'), 1, 'the database is served');

	my $before = stat_of('events_published');

	$node->sql("SELECT quizrt.publish('quiz:$id', 'counted', '{}')");
	is(stat_of('events_published'), $before + 1, 'an event is counted');
}

note 'disconnect';

{
	my $bystander = $node->owner_client('other');
	my $client    = $node->owner_client('teacher', "quiz:$id");
	my $number    = connection_of('teacher');

	is($node->sql('SELECT quizrt.disconnect(123456789)'),
		'f', 'no such connection: false');
	is($node->sql("BEGIN; SELECT quizrt.disconnect($number); ROLLBACK"),
		't', 'taken back');
	$node->sql("SELECT quizrt.publish('quiz:$id', 'still', '{}')");
	is($client->expect_json->{t}, 'still', 'nothing happens');
	like(
		$node->sql_fails(
			"SELECT quizrt.disconnect($number, repeat(U&'\\00E4', 62))"),
		qr/the reason is too long/,
		'a reason that does not fit');
	is( $node->sql("SELECT quizrt.disconnect($number, U&'Caf\\00E9 closed')"),
		't', 'it is said that there was one');

	my $close = closes_with($client, 4403, 'it is closed');

	is($close->{reason}, "Caf\xc3\xa9 closed", 'with the reason');
	is($node->sql("SELECT quizrt.disconnect($number)"), 'f', 'it is gone');
	is(connection_of('teacher'), '', 'and is not shown');

	$client = $node->owner_client;
	$node->sql('SELECT quizrt.disconnect(' . connection_of('teacher') . ')');
	$close = closes_with($client, 4403, 'without a reason');
	is($close->{reason}, 'Disconnected', 'there is one');
	lives(sub { $bystander->ping }, 'others stay');
	$client = QuizRT::Client->dial($node->url('/ws'));
	$client->send_raw('GET');
	wait_for_sql("SELECT count(*) FROM quizrt.connections WHERE state = 'request'", 1);
	$node->sql("SELECT quizrt.disconnect(connection_id) FROM quizrt.connections WHERE state = 'request'");
	ok($client->at_end, 'also one that says nothing');
	$bystander->disconnect;
}

note 'drain';

{
	my @clients = map { $node->owner_client } 1 .. 10;

	$node->sql('SELECT quizrt.drain()');
	closes_with($_, 1001, 'both gateways close') foreach @clients;
	is(stat_of('draining'), 1, 'it can be seen');
	is_refused(QuizRT::Client->attempt($node->url("/ws?token=$jwt")),
		503, undef, 'a new one')
	  foreach 1 .. 4;
	is(QuizRT::Client->get($node->url('/readyz'))->{status}, 503, '/readyz');
	is(QuizRT::Client->get($node->url('/healthz'))->{status}, 200, '/healthz');
	is(QuizRT::Client->get($node->url('/metrics'))->{status}, 200, '/metrics');

	# A gateway that starts while draining drains as well.
	my $pid = $node->pid('gateway 2');

	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	$node->wait_new_pid('gateway 2', $pid);
	wait_for_sql("SELECT value FROM quizrt.stats WHERE name = 'gateways_listening'", 2);
	is_refused(QuizRT::Client->attempt($node->url("/ws?token=$jwt")),
		503, undef, 'after a restart of a gateway')
	  foreach 1 .. 4;
	$node->sql('SELECT quizrt.drain(false)');
	$node->wait_ready;
	lives(sub { $node->owner_client('teacher', "quiz:$id") foreach 1 .. 4 },
		'drain(false) ends it');
	is(stat_of('draining'), 0, 'it can be seen');
}

note 'rights';

{
	$node->sql('CREATE ROLE nobody_special; CREATE ROLE watcher IN ROLE pg_monitor;'
		  . ' CREATE ROLE operator');
	foreach my $view (qw(connections subscriptions stats recent_events))
	{
		like($node->sql_fails("SET ROLE nobody_special; TABLE quizrt.$view"),
			qr/permission denied/, "$view: not for everybody");
		lives(sub { $node->sql("SET ROLE watcher; TABLE quizrt.$view") },
			"$view: for pg_monitor");
	}
	foreach my $call ('disconnect(1)', 'drain()', 'drain(false)')
	{
		like($node->sql_fails("SET ROLE watcher; SELECT quizrt.$call"),
			qr/permission denied/, "$call: not for pg_monitor");
	}
	$node->sql('GRANT EXECUTE ON FUNCTION quizrt.disconnect(bigint, text),'
		  . ' quizrt.drain(boolean) TO operator');
	is($node->sql('SET ROLE operator; SELECT quizrt.disconnect(1)'),
		'f', 'whoever is granted it needs nothing else');
	$node->sql('SET ROLE operator; SELECT quizrt.drain(false)');
	is( $node->sql(
			'SELECT count(*) FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid'
			  . " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0"
			  . " WHERE d.deptype = 'e' AND c.relname IN ('connections', 'subscriptions', 'stats')"
			  . ' AND col_description(c.oid, a.attnum) IS NULL'),
		0, 'every column is commented');
}

note 'pg_stat_activity';

is( $node->safe_psql('postgres',
		'SELECT backend_type, application_name, datname, query, state'
		  . " FROM pg_stat_activity WHERE backend_type LIKE 'quizrt%'"
		  . ' ORDER BY backend_type COLLATE "C", application_name COLLATE "C"'),
	"quizrt gateway|quizrt gateway 1||serving clients|active\n"
	  . "quizrt gateway|quizrt gateway 2||serving clients|active\n"
	  . "quizrt launcher|quizrt launcher||looking after the query workers|active\n"
	  . "quizrt query worker|quizrt query worker 1|$QuizRT::Cluster::database|waiting for questions|idle",
	'our processes, and what they do');

# An idle process waits, under a name of its own from PostgreSQL 17 on.
{
	my $version = $node->safe_psql('postgres', 'SHOW server_version_num');
	my %name    = (
		'quizrt gateway'      => 'QuizrtGatewayMain',
		'quizrt launcher'     => 'QuizrtLauncherMain',
		'quizrt query worker' => 'QuizrtQueryWorkerMain');

	foreach my $type (sort keys %name)
	{
		my $expected = $version >= 170000 ? $name{$type} : 'Extension';

		lives(
			sub {
				$node->wait_until(
					sub {
						$node->safe_psql('postgres',
							'SELECT wait_event_type, wait_event FROM pg_stat_activity'
							  . " WHERE backend_type = '$type' LIMIT 1") eq
						  "Extension|$expected";
					});
			},
			"$type: what it waits for");
	}
}

note 'without the library in the server';

{
	my $other = PostgreSQL::Test::Cluster->new('plain');

	$other->init;
	$other->start;
	$other->safe_psql('postgres', 'CREATE EXTENSION quizrt');
	foreach my $query ('TABLE quizrt.connections', 'TABLE quizrt.subscriptions',
		'TABLE quizrt.stats', 'SELECT quizrt.drain()',
		'SELECT quizrt.disconnect(1)')
	{
		my ($rc, $out, $err) = $other->psql('postgres', $query);

		like($err, qr/quizrt is not loaded by the server/, $query);
	}
	$other->stop;
}

unlike($node->log_text, qr/PANIC|terminated by signal/, 'nothing crashed');
done_testing();
