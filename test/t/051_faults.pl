# What goes wrong in a server's life: a gateway that ends, no descriptors,
# clients that stop, locked tables, a stopped worker, shutdowns, settings that
# can't work.  Whatever it is, it costs those whom it concerns, and it ends.

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;
use Time::HiRes qw(time);

my $jwt    = QuizRT::Cluster::jwt({ sub => 'teacher' });
my $number = 0;

sub quiz_url
{
	my ($node) = @_;

	return $node->url("/ws?token=$jwt");
}

# Publish to a quiz; who is named hears it.
sub publish
{
	my ($node, $id, @clients) = @_;
	my $slug = 'number_' . ++$number;

	$node->sql("SELECT quizrt.publish('quiz:$id', '$slug', '{}')");
	return scalar grep {
		my $client = $_;
		eval { $client->wait_for(sub { ($_->{t} // '') eq $slug }) }
	} @clients;
}

sub stat_of
{
	my ($node, $name) = @_;

	return $node->sql("SELECT value FROM quizrt.stats WHERE name = '$name'");
}

# How many lines of the log have this.
sub lines_with
{
	my ($node, $pattern, $offset) = @_;
	my @lines = grep { /$pattern/ } split /\n/, $node->log_text($offset);

	return scalar @lines;
}

# The resident memory of a process, in bytes, without what it shares.
sub private_memory
{
	my ($pid) = @_;
	my $rollup = PostgreSQL::Test::Utils::slurp_file("/proc/$pid/smaps_rollup");
	my $sum    = 0;

	$sum += $_ foreach $rollup =~ /^Private_\w+:\s+(\d+) kB/mg;
	return $sum * 1024;
}

sub descriptors
{
	my ($pid) = @_;

	return scalar(my @all = glob "/proc/$pid/fd/*");
}


sub read_all
{
	my ($client) = @_;

	while ($client->poll) { }
	return;
}

my $node = QuizRT::Cluster->create(
	'main',
	settings => {
		'quizrt.ping_interval'   => '1s',
		'quizrt.pong_timeout'    => '60s',
		'quizrt.request_timeout' => '1s',
		'quizrt.query_timeout'   => '1s',
		'quizrt.max_queue_size'  => '64kB',
		'quizrt.send_timeout'    => '60s'
	});
my $quiz       = $node->create_quiz;
my $id         = $quiz->{quiz_id};
my $session    = $node->background_psql($QuizRT::Cluster::database);

note 'a client that stops reading';

{
	my $other = $node->owner_client('teacher', "quiz:$id");
	my $lazy  = $node->owner_client('teacher', "quiz:$id");
	my ($connection) = $node->sql(
		'SELECT max(connection_id) FROM quizrt.connections');
	my $lagging = "SELECT lagging FROM quizrt.connections WHERE connection_id = $connection";
	my $missed;

	# One by one, up to the first that is left out: the client must be told
	# of that one, too.
	foreach my $n (1 .. 2000)
	{
		$session->query_safe("SELECT quizrt.publish('quiz:$id', 'bulk',"
			  . " json_build_object('n', $n, 'pad', repeat('x', 60000)))");
		$other->wait_for(sub { ($_->{t} // '') eq 'bulk' && $_->{data}{n} == $n });
		$missed = $n;
		last if $session->query_safe($lagging) eq 't';
	}
	is($node->sql($lagging), 't', "it lags after $missed messages");
	cmp_ok(
		$node->sql(
			"SELECT queued_bytes FROM quizrt.connections WHERE connection_id = $connection"),
		'<', 2 * 65536 + 60100, 'what waits for it is bounded');

	my $told = eval {
		$lazy->wait_for(sub { ($_->{error} // '') eq "Updates lost: quiz:$id" });
	};

	ok($told, 'it is told when it reads again') || diag $@;
	is_deeply(
		[ map { $_->{data}{n} } @{ $lazy->{skipped} } ],
		[ 1 .. $missed - 1 ],
		'after all but that one');
	is(publish($node, $id, $lazy, $other), 2, 'and goes on');
	$_->disconnect foreach $lazy, $other;
}

note 'the same of a channel with snapshots';

{
	my $attempt = $node->start_attempt($id);
	my $lazy    = $node->owner_client('teacher', "attempts:$id");

	$lazy->wait_for(sub { $_->{event} eq 'snapshot' });
	foreach my $n (1 .. 2000)
	{
		$session->query_safe("SELECT quizrt.publish('attempts:$id', 'bulk',"
			  . " json_build_object('n', $n, 'pad', repeat('x', 60000)))");
		last
		  if $session->query_safe('SELECT lagging FROM quizrt.connections'
			  . " WHERE state = 'open'") eq 't';
	}
	$node->start_attempt($id, alias => 'Unseen');
	my $snapshot = eval { $lazy->wait_for(sub { $_->{event} eq 'snapshot' }) };

	is($snapshot ? scalar @{ $snapshot->{snapshot} } : 0,
		2, 'a fresh snapshot has what it missed');
	$node->start_attempt($id, alias => 'Seen');
	is(eval { $lazy->expect_json->{data}{alias} }, 'Seen', 'and it goes on');
	$lazy->disconnect;
}

note 'snapshots in great number';

{
	# Each of them is exempt from the queue's limit; all of them are not.
	$node->sql('INSERT INTO quiz.attempts (quiz_id, participant_id)'
		  . " SELECT $id, participant_id FROM quiz.participants, generate_series(1, 300)");

	my $lazy   = $node->owner_client('teacher', "quiz:$id");
	my $pid    = $node->pid('gateway 1');
	my $before = private_memory($pid);

	$node->wait_until(
		sub {
			$lazy->subscribe("attempts:$id") foreach 1 .. 10;
			$session->query_safe('SELECT lagging FROM quizrt.connections'
				  . " WHERE state = 'open'") ne 'f';
		},
		60);
	pass('they come to an end');
	cmp_ok(private_memory($pid) - $before,
		'<', 16 * 1024 * 1024, 'the memory is bounded');
	$lazy->disconnect;
	$node->sql("DELETE FROM quiz.attempts WHERE quiz_id = $id");
}

note 'a flood of pings from a client that does not read';

{
	my $lazy   = $node->owner_client('teacher', "quiz:$id");
	my $pid    = $node->pid('gateway 1');
	my $before = private_memory($pid);
	my $pings  = QuizRT::Client::frame(QuizRT::Client::PING, 'ping') x 20000;

	local $SIG{PIPE} = 'IGNORE';
	$node->wait_until(
		sub {
			eval { $lazy->send_raw($pings) };
			$session->query_safe('SELECT count(*) FROM quizrt.connections'
				  . " WHERE state = 'open'") == 0;
		});
	pass('it is ended');
	cmp_ok(private_memory($pid) - $before,
		'<', 8 * 1024 * 1024, 'the memory is bounded');
	is(lines_with($node, 'PANIC|FATAL|ERROR'), 0, 'nothing is logged');
}

note 'clients that are ended by their limits';

{
	$node->reconfigure('quizrt.send_timeout' => '1s');

	my $before = stat_of($node, 'connections_slow');
	my $other  = $node->owner_client('teacher', "quiz:$id");
	my $lazy   = $node->owner_client('teacher', "quiz:$id");

	$node->wait_until(
		sub {
			$session->query_safe("SELECT count(quizrt.publish('quiz:$id', 'bulk',"
				  . " json_build_object('pad', repeat('x', 60000)))) FROM generate_series(1, 10)");
			read_all($other);
			return stat_of($node, 'connections_slow') > $before;
		});
	pass('one that does not read, by quizrt.send_timeout');
	is(publish($node, $id, $other), 1, 'others are not affected');

	# It reads a byte a second, which the kernel's buffer makes look like none.
	$before = stat_of($node, 'connections_slow');
	$lazy   = $node->owner_client('teacher', "quiz:$id");
	my $read = 0;

	$node->wait_until(
		sub {
			my $byte;

			$session->query_safe("SELECT count(quizrt.publish('quiz:$id', 'bulk',"
				  . " json_build_object('pad', repeat('x', 60000)))) FROM generate_series(1, 10)");
			read_all($other);
			$read += sysread($lazy->socket, $byte, 1) || 0;
			return stat_of($node, 'connections_slow') > $before;
		});
	cmp_ok($read, '>', 0, 'one that reads a byte at a time');
	is(publish($node, $id, $other), 1, 'others are not affected');

	$node->reconfigure(
		'quizrt.send_timeout' => '60s',
		'quizrt.ping_interval' => '200ms',
		'quizrt.pong_timeout' => '500ms');
	$before = stat_of($node, 'connections_timed_out');
	$lazy = $node->owner_client('teacher', "quiz:$id");
	$node->wait_until(
		sub {
			$other->poll;
			return stat_of($node, 'connections_timed_out') > $before;
		});
	pass('one that answers no ping, by quizrt.pong_timeout');
	is(publish($node, $id, $other), 1, 'others are not affected');
	$node->reconfigure(
		'quizrt.ping_interval' => '1s',
		'quizrt.pong_timeout' => '60s');

	my $half = $node->owner_client('teacher', "quiz:$id");

	shutdown $half->socket, 1;
	ok($half->at_end, 'one that closes its half');

	my $head = QuizRT::Client->dial(quiz_url($node));

	$head->send_raw("GET /ws HTTP/1.1\r\nHost: x\r\n");
	is($head->read_response->{status}, 408, 'a head that is never finished');
	$_->disconnect foreach $other, $lazy;
	$node->wait_until(sub { stat_of($node, 'connections') == 0 });
	is(stat_of($node, $_), 0, "$_ afterwards") foreach 'handshakes', 'subscriptions';
}

$session->quit;

note 'a locked table';

{
	my $attempt = $node->start_attempt($id);
	my $owner = $node->owner_client('teacher', "quiz:$id");
	my $token = $node->session($attempt->{attempt_id});
	my $lock  = $node->background_psql($QuizRT::Cluster::database);

	$lock->query_safe('BEGIN');
	$lock->query_safe('LOCK TABLE quiz.quizzes, quiz.attempts, quizrt.sessions');

	my $begun = time;

	$owner->subscribe("attempts:$id");
	is_error($owner, "Subscription denied: attempts:$id: temporarily unavailable");
	cmp_ok(time - $begun, '<', 3, 'in bounded time');
	$begun = time;
	is_refused(
		QuizRT::Client->attempt($node->url("/ws?session=$token")),
		503, undef, 'a new participant');
	cmp_ok(time - $begun, '<', 4, 'in bounded time');
	is(publish($node, $id, $owner), 1, 'broadcasts go on');
	my $pings = $owner->{pings};

	$node->wait_until(sub { $owner->poll; $owner->{pings} > $pings });
	pass('heartbeats go on');
	$lock->query_safe('COMMIT');
	$lock->quit;
	$node->wait_until(
		sub {
			my $response =
			  QuizRT::Client->attempt($node->url("/ws?session=$token"));

			return $response->{status} == 101;
		});
	pass('new ones come in afterwards');
	$owner->subscribe("attempts:$id");
	ok( eval { $owner->wait_for(sub { $_->{event} eq 'snapshot' }) },
		'and subscriptions are granted');
	$owner->disconnect;
}

note 'a query worker that is stopped';

{
	my $owner = $node->owner_client('teacher', "quiz:$id");
	my $pid   = $node->pid('query worker 1');

	kill 'STOP', $pid;
	my $begun = time;

	is_refused(QuizRT::Client->attempt(quiz_url($node)),
		503, undef, 'a new client');
	$owner->subscribe("attempts:$id");
	is_error($owner, "Subscription denied: attempts:$id: temporarily unavailable");
	cmp_ok(time - $begun, '<', 5, 'in bounded time');
	is(publish($node, $id, $owner), 1, 'broadcasts go on');
	kill 'CONT', $pid;
	$node->wait_until(
		sub { QuizRT::Client->attempt(quiz_url($node))->{status} == 101 });
	pass('it goes on');
	is(publish($node, $id, $owner), 1, 'the other client never noticed');
	is($node->pid('query worker 1'), $pid, 'it is the same process');
	$owner->disconnect;
	$node->wait_until(sub { stat_of($node, 'questions_open') == 0 });
	pass('no question is left behind');
}

note 'another database is dropped';

{
	my $owner = $node->owner_client('teacher', "quiz:$id");

	$node->safe_psql('postgres', 'CREATE DATABASE unrelated');
	lives(
		sub {
			$node->safe_psql('postgres',
				"SET statement_timeout = '10s'; DROP DATABASE unrelated");
		},
		'while a client is connected');
	$owner->disconnect;
}

note 'a gateway ends at any time';

{
	my $pid = $node->pid('gateway 1');

	# While clients come, subscribe, and are sent something.
	foreach my $round (1 .. 5)
	{
		my @clients = map { QuizRT::Client->dial(quiz_url($node)) } 1 .. 20;
		my $half    = QuizRT::Client->dial(quiz_url($node));

		$half->send_raw('GET /');
		$clients[$_]->handshake foreach 0 .. 15;
		$clients[$_]->subscribe("quiz:$id", "attempts:$id", "leaderboard:$id")
		  foreach 0 .. 10;
		$clients[$_]->send_raw("GET /ws?token=$jwt HTTP/1.1\r\nHost: x\r\n")
		  foreach 16 .. 19;
		$node->start_attempt($id) if $round % 2;
		$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");

		my $good = grep {
			my $client = $_;
			eval { $client->expect_close->{code} == 1001 }
		} @clients[ 0 .. 15 ];

		is($good, 16, "round $round: clients are closed with 1001");
		$pid = $node->wait_new_pid('gateway 1', $pid);
		$node->wait_ready;

		my $client = $node->owner_client('teacher', "quiz:$id");

		is(publish($node, $id, $client), 1, 'and reconnect');
		is(stat_of($node, 'connections'),   1, 'connections are counted right');
		is(stat_of($node, 'subscriptions'), 1, 'and subscriptions');
		is(stat_of($node, 'handshakes'),    0, 'and handshakes');
		$client->disconnect;
		$node->wait_until(sub { stat_of($node, 'connections') == 0 });
	}
	is(stat_of($node, 'questions_open'), 0, 'no question is left behind');
}

note 'thousands of clients';

SKIP:
{
	# Their own process may have more descriptors than we; not so the server,
	# which sees to that itself.
	my ($url, $count) = (quiz_url($node), 2000);
	my ($hard) = split /\n/, `sh -c 'ulimit -Hn'`;

	skip "this machine lets a process have $hard descriptors", 5
	  if $hard =~ /^(\d+)/ && $1 < $count + 100;

	# They answer no pings while others connect.
	$node->reconfigure(
		'quizrt.ping_interval' => '1min',
		'quizrt.pong_timeout'  => '10min');

	my $clients = <<'END';
my ($url, $count, $channel) = @ARGV;
my @clients = map { my $c = QuizRT::Client->connect($url);
	$c->subscribe($channel); $c } 1 .. $count;
$_->expect_json foreach @clients;
$| = 1;
print "connected\n";
my $heard = grep { $_->expect_json->{t} eq 'to_all' } @clients;
print "heard by $heard\n";
<STDIN>;
END
	my $out = '';
	my $in  = '';
	my $run = IPC::Run::start(
		[   'sh', '-c', "ulimit -n $hard && exec \"\$@\"", 'sh', $^X,
			(map { "-I$_" } @INC), '-MQuizRT::Client', '-e', $clients, $url,
			$count, "quiz:$id" ],
		'<', \$in, '>', \$out, IPC::Run::timeout(180));

	$run->pump until $out =~ /connected/ || !$run->pumpable;
	like($out, qr/connected/, "$count clients connect out of the box");
	is($node->sql('SELECT count(*) FROM quizrt.subscriptions'),
		$count, 'quizrt.subscriptions shows them all');
	is($node->sql('SELECT count(DISTINCT connection_id) FROM quizrt.connections'),
		$count, 'quizrt.connections as well');
	$node->sql("SELECT quizrt.publish('quiz:$id', 'to_all', '{}')");
	$run->pump until $out =~ /heard/ || !$run->pumpable;
	like($out, qr/heard by $count$/m, 'and hear what happens');
	$in .= "\n";
	$run->finish;
	$node->wait_until(sub { stat_of($node, 'connections') == 0 }, 30);
	is(stat_of($node, 'subscriptions'), 0, 'and go');
}

note 'shutdown';


foreach my $mode ('fast', 'smart', 'immediate')
{
	my @clients = map { $node->owner_client('teacher', "quiz:$id") } 1 .. 5;
	my $lazy    = $node->owner_client('teacher', "quiz:$id");
	my $half    = QuizRT::Client->dial(quiz_url($node));
	my $begun;

	$half->send_raw('GET /');
	$begun = time;
	$node->stop($mode);
	cmp_ok(time - $begun, '<', 10, "$mode: in bounded time");
	if ($mode eq 'immediate')
	{
		is(scalar(grep { eval { !defined $_->read_message } } @clients),
			5, "$mode: the connections end");
	}
	else
	{
		closes_with($_, 1001, "$mode: 1001") foreach @clients;
	}
	$node->start;
	$node->wait_ready;
}
$node->stop;

note 'out of descriptors';

{
	my $hard  = 200;
	my $small = QuizRT::Cluster->create('small', bare => 1);

	# The limit of who starts the server is the server's.
	$small->stop;
	is( system('sh', '-c', "ulimit -n $hard && exec \"\$@\"", 'sh', 'pg_ctl',
			'start', '-w', '-s', '-D', $small->data_dir, '-l', $small->logfile),
		0,
		'a server with few descriptors');
	$small->_update_pid(1);
	$small->safe_psql('postgres', "CREATE DATABASE $QuizRT::Cluster::database");
	$small->sql('CREATE EXTENSION quizrt');
	$small->sql('SELECT quizrt.create_quiz_tables()');
	$small->wait_ready;

	my $few   = $small->create_quiz->{quiz_id};
	my $first = $small->owner_client('teacher', "quiz:$few");
	my $pid   = $small->pid('gateway 1');
	my $offset = -s $small->logfile;
	my @idle  = map { QuizRT::Client->dial(quiz_url($small)) } 1 .. $hard + 50;

	$small->wait_until(
		sub { lines_with($small, 'could not accept a client', $offset) > 0 });
	pass('the log says that there are no more');
	is(publish($small, $few, $first), 1, 'who is connected goes on');
	$first->subscribe("attempts:$few");
	ok(eval { $first->wait_for(sub { $_->{event} eq 'snapshot' }) },
		'and can subscribe');
	cmp_ok($small->sql('SELECT count(*) FROM quizrt.connections'),
		'>', 100, 'who it is can be seen');
	$first->ping foreach 1 .. 20;
	is(lines_with($small, 'could not accept a client', $offset),
		1, 'once, not a thousand times');
	$_->disconnect foreach @idle;
	lives(sub { $small->owner_client('teacher', "quiz:$few")->disconnect },
		'afterwards there is room again');
	is($small->pid('gateway 1'), $pid, 'the gateway is the same');
	is(publish($small, $few, $first), 1, 'and its client');
	$small->stop;
}

note 'settings that cannot work';

{
	my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
	my $wrong = QuizRT::Cluster->create(
		'wrong',
		bare     => 1,
		settings => {
			'quizrt.port'     => $taken->sockport,
			'quizrt.database' => 'missing',
		});
	my $port = $taken->sockport;

	# Long enough for several tries: the backoff begins with 0.25 s.
	$wrong->wait_until(sub { lines_with($wrong, qr/could not bind.*$port/) > 0 });
	$wrong->wait_until(sub { lines_with($wrong, 'waits for database "missing"') > 0 });
	my $until = time + 3;

	$wrong->wait_until(sub { time > $until });
	is(lines_with($wrong, qr/LOG:.*could not bind.*$port/), 1,
		'a port in use is said once');
	is(lines_with($wrong, 'waits for database "missing"'), 1,
		'a missing database is said once');
	close $taken;
	$wrong->{ws_port} = $port;
	$wrong->safe_psql('postgres', 'CREATE DATABASE missing');
	$wrong->safe_psql('missing', 'CREATE EXTENSION quizrt');
	$wrong->wait_ready;
	pass('both are tried again until they work');

	my $offset = -s $wrong->logfile;

	$wrong->reconfigure(
		'quizrt.jwt_algorithms'      => 'RS256',
		'quizrt.jwt_public_key_file' => '/nowhere/key.pem');
	$wrong->wait_until(sub { lines_with($wrong, '/nowhere/key.pem', $offset) > 0 });
	foreach (1 .. 10)
	{
		my $response = QuizRT::Client->attempt(quiz_url($wrong));

		cmp_ok($response->{status}, '>=', 401, 'no token is good then') if $_ == 1;
	}
	is(lines_with($wrong, qr/(LOG|WARNING|ERROR):.*\/nowhere\/key.pem/, $offset),
		1, 'an unreadable key is said once');
	$offset = -s $wrong->logfile;
	$wrong->reconfigure('quizrt.jwt_algorithms' => 'ROT13');
	$wrong->wait_until(sub { lines_with($wrong, 'jwt_algorithms', $offset) > 0 });
	is($wrong->safe_psql('postgres', 'SHOW quizrt.jwt_algorithms'),
		'RS256', 'an unknown algorithm is not taken');
	is(lines_with($wrong, qr/LOG:.*jwt_algorithms/, $offset), 1,
		'and said once');
	$wrong->stop;
}

unlike($node->log_text, qr/PANIC|terminated by signal/, 'nothing crashed');
done_testing();
