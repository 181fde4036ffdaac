# Operating it: addresses, Unix-domain sockets, reload, drain, shutdown.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

my $sockets = PostgreSQL::Test::Utils::tempdir_short();
my $node    = QuizRT::Cluster->create('main',
	settings => { 'quizrt.unix_socket_directories' => $sockets });
my $id     = $node->create_quiz->{quiz_id};
my $token  = QuizRT::Cluster::jwt({ sub => 'teacher' });
my $target = "/ws?token=$token";

# The one socket in the directory.
sub unix_socket
{
	my ($path) = grep { -S } glob "$sockets/* $sockets/.s*";

	return $path;
}

note 'Unix-domain sockets';

{
	my $path = unix_socket();

	ok(defined $path, 'there is a socket');
	like($path, qr/$node->{ws_port}/, 'its name has the port');

	my $client =
	  QuizRT::Client->connect("ws://localhost$target", unix => $path);

	$client->subscribe("quiz:$id");
	is_message($client,
		qq({"event":"subscribed","t":null,"subscriptions":["quiz:$id"]}),
		'a client on it is served');
	$node->sql("SELECT quizrt.publish('quiz:$id', 'hello', '{}')");
	is($client->expect_json->{t}, 'hello', 'and hears what happens');
}

note 'reload';

{
	my $client = $node->owner_client('teacher', "quiz:$id");
	my $old    = $node->{ws_port};
	my $new    = PostgreSQL::Test::Cluster::get_free_port();

	$node->reconfigure('quizrt.port' => $new);
	$node->{ws_port} = $new;
	$node->wait_ready;
	pass('another port after a reload');
	$node->sql("SELECT quizrt.publish('quiz:$id', 'still', '{}')");
	is($client->expect_json->{t}, 'still', 'who was connected stays');
	$node->wait_until(
		sub {
			!eval { QuizRT::Client->dial("ws://127.0.0.1:$old/") };
		});
	pass('the old port is closed');
	like(unix_socket(), qr/$new/, 'the socket has followed');
}

note 'a port in use';

{
	my $taken = IO::Socket::INET->new(
		Listen    => 1,
		LocalAddr => '127.0.0.1');
	my $good   = $node->{ws_port};
	my $offset = -s $node->logfile;

	$node->reconfigure('quizrt.port' => $taken->sockport);
	$node->wait_until(
		sub { index($node->log_text($offset), $taken->sockport) >= 0 });
	pass('the log names it');
	$node->{ws_port} = $taken->sockport;
	close $taken;
	$node->wait_ready;
	pass('it is tried again until it is free');
	$node->reconfigure('quizrt.port' => $good);
	$node->{ws_port} = $good;
	$node->wait_ready;
}

note 'two clusters, one port';

{
	my $other = QuizRT::Cluster->create(
		'other',
		bare     => 1,
		settings => { 'quizrt.port' => $node->{ws_port} });

	$node->wait_until(
		sub { index($other->log_text, $node->{ws_port}) >= 0 });
	pass('the second says that it cannot have it');
	lives(sub { $node->owner_client foreach 1 .. 20 },
		'all clients come to the first');
	$other->stop;
}

note 'drain';

SKIP:
{
	ok($node->sql("SELECT to_regprocedure('quizrt.drain(boolean)')") ne '',
		'there is quizrt.drain(boolean)')
	  or skip 'no drain()', 8;
	my $client = $node->owner_client('teacher', "quiz:$id");

	$node->sql('SELECT quizrt.drain()');
	closes_with($client, 1001, 'draining closes the connections');

	my $response = QuizRT::Client->attempt($node->url($target));

	is_refused($response, 503, undef, 'while draining');
	like($response->{headers}{'retry-after'} // '', qr/^\d+$/, 'Retry-After');
	is(QuizRT::Client->get($node->url('/healthz'))->{status},
		200, 'it is alive');
	is(QuizRT::Client->get($node->url('/readyz'))->{status},
		503, 'it is not ready');
	$node->sql('SELECT quizrt.drain(false)');
	$node->wait_ready;
	lives(sub { $node->owner_client('teacher', "quiz:$id") },
		'drain(false) ends it');
}

note 'many clients';

{
	my $limit = `ulimit -n`;
	my $count = $limit =~ /^\d+$/ && $limit < 700 ? $limit - 200 : 500;

	# None of them answers pings while the others connect.
	$node->reconfigure('quizrt.ping_interval' => '10min');

	my @clients = map { $node->owner_client('teacher', "quiz:$id") } 1 .. $count;

	$node->sql("SELECT quizrt.publish('quiz:$id', 'to_all', '{}')");

	my $heard = grep {
		my $client = $_;
		eval { $client->wait_for(sub { ($_->{t} // '') eq 'to_all' }) }
	} @clients;

	is($heard, $count, "$count clients hear it");
	$_->abort foreach @clients;
}

note 'shutdown';

foreach my $mode ('fast', 'smart')
{
	my $client = $node->owner_client('teacher', "quiz:$id");

	$node->stop($mode);
	closes_with($client, 1001, "a $mode shutdown");
	$node->start;
	$node->wait_ready;
}
{
	my $client = $node->owner_client('teacher', "quiz:$id");

	# Somebody who doesn't answer the close must not hold it up for long.
	my $begun = time;

	$node->stop;
	cmp_ok(time - $begun, '<', 10, 'nobody holds up a shutdown');
	$node->start;
	$node->wait_ready;
	lives(sub { $node->owner_client('teacher', "quiz:$id") },
		'and it serves again');
}

unlike($node->log_text, qr/PANIC|terminated by signal/, 'nothing crashed');
done_testing();
