# A standby that preloads quizrt: its gateways answer probes and refuse
# clients, and serve after its promotion.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

my $primary = QuizRT::Cluster->create('primary',
	init => { allows_streaming => 1 });
my $id  = $primary->create_quiz->{quiz_id};
my $jwt = QuizRT::Cluster::jwt({ sub => 'teacher' });

$primary->backup('copy');

my $standby = QuizRT::Cluster->new('standby');

$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->{ws_port} = PostgreSQL::Test::Cluster::get_free_port();
$standby->configure('quizrt.port' => $standby->{ws_port});
$standby->start;

note 'a standby';

$standby->wait_until(
	sub {
		my $response = eval { QuizRT::Client->get($standby->url('/readyz')) };

		return $response && $response->{body} =~ /standby/;
	});
is(QuizRT::Client->get($standby->url('/readyz'))->{status},
	503, '/readyz: 503, and why');
is(QuizRT::Client->get($standby->url('/healthz'))->{status},
	200, '/healthz: 200');
is(QuizRT::Client->get($standby->url('/metrics'))->{status},
	200, '/metrics: 200');
foreach my $credential ("token=$jwt", 'session=nobody')
{
	my $response =
	  QuizRT::Client->attempt($standby->url("/ws?$credential"));

	is_refused($response, 503, undef, 'a client');
	like($response->{headers}{'retry-after'} // '', qr/^\d+$/, 'Retry-After');
}
is($standby->sql("SELECT value FROM quizrt.stats WHERE name = 'database_served'"),
	'0', 'the views can be read');
is($standby->sql('SELECT count(*) FROM quizrt.connections, quizrt.subscriptions'),
	'0', 'there are no clients');
like($standby->sql_fails("SELECT quizrt.publish('quiz:$id', 'x', '{}')"),
	qr/cannot publish during recovery/, 'nothing is published there');
is( $standby->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'quizrt query worker'"),
	'0', 'no query worker runs');
is(() = $standby->log_text =~ /waits for the promotion of this standby/g,
	1, 'the log says why, once');

note 'promotion';

{
	my $client = $primary->owner_client('teacher', "quiz:$id");
	my $pid    = $standby->pid('gateway 1');

	$primary->wait_for_catchup($standby);
	is($standby->safe_psql('postgres', 'SELECT pg_promote()'), 't', 'promoted');
	$standby->wait_ready;
	pass('it serves');
	is($standby->pid('gateway 1'), $pid, 'with the same gateway');

	my $new = $standby->owner_client("teacher", "attempts:$id");

	$new->wait_for(sub { $_->{event} eq 'snapshot' });
	$standby->start_attempt($id, alias => 'Promoted');
	is($new->expect_json->{data}{alias}, 'Promoted',
		'what happens there is heard');
	$primary->start_attempt($id, alias => 'Old');
	is($client->expect_json->{data}{alias}, 'Old',
		'the old primary serves its own');
	ok(!defined $new->poll, 'and nobody else');
}

unlike($_->log_text, qr/PANIC|terminated by signal/, 'nothing crashed')
  foreach $primary, $standby;
$_->stop foreach $standby, $primary;
done_testing();
