# The dashboard API, statement by statement, in both modes.
# docs/conformance-dashboard-security.md lists which statement is tested where.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;
use Time::HiRes qw(time sleep);

my $path     = '/api/v2/dashboard/ws';
my $unknown  = '{"event":"error","message":"Unknown message"}';
my $required = '{"event":"error","message":"Authentication required"}';
my $pong     = '{"event":"pong"}';
my $node     = QuizRT::Cluster->create('open', no_tables => 1);
my $tenants  = QuizRT::Cluster->create(
	'tenants',
	no_tables => 1,
	settings  => { 'quizrt.dashboard_multi_tenant' => 'on' });

sub jwt
{
	return QuizRT::Cluster::jwt(@_);
}

sub connect_to
{
	my ($server, $query, %options) = @_;

	return QuizRT::Client->connect($server->url($path . ($query // '')),
		%options);
}

# The number of a client from its "connected" message, which must be next.
sub is_connected
{
	my ($client, $name) = @_;
	my $text = eval { QuizRT::Client::compact($client->expect_text) } // $@;

	like($text,
		qr/^\{"event":"connected","client_id":"ws-[1-9]\d*","heartbeat_seconds":30\}$/,
		$name);
	return $text =~ /"ws-(\d+)"/ ? $1 : undef;
}

sub member
{
	my ($tenant, %options) = @_;
	my $client =
	  connect_to($tenants, '?token=' . jwt({ tenant => $tenant, %options }));

	is_connected($client, "a member of $tenant");
	return $client;
}

# The next message is an update; its timestamp is now, with milliseconds.
sub is_updated
{
	my ($client, $project, $trigger, $name) = @_;
	my $text = eval { QuizRT::Client::compact($client->expect_text) } // $@;
	my $shown = json_text($project);

	like(
		$text,
		qr/^\{"event":"project_updated","project_name":\Q$shown\E,"trigger":"$trigger","timestamp":\d{10}\.\d{3}\}$/,
		$name);
	my ($at) = $text =~ /"timestamp":([0-9.]+)/;

	ok($at && abs($at - time) < 60, "$name: the time is now");
	return;
}

# Nothing has come: what is asked now is answered next.
sub is_silent
{
	my ($client, $name) = @_;

	$client->send_text('ping');
	return is_message($client, $pong, $name);
}

sub is_turned_away
{
	my ($client, $name) = @_;

	is_message($client, $required, "$name: it is said");
	my $close = closes_with($client, 1008, "$name: 1008");

	is($close->{reason}, 'Authentication required', "$name: reason");
	return;
}

note 'connected';

my $client = connect_to($node);
my $first  = is_connected($client, 'connected comes first, at once');
my $other  = connect_to($node);
my $second = is_connected($other, 'and for another one');

isnt($first, $second, 'with another client_id');
is_connected(connect_to($node, '?token=nonsense'),
	'a token is not asked for, and not looked at');
is_connected(connect_to($node, '?token=' . jwt({ tenant => 'x' })),
	'nor a good one');
is_connected(connect_to($node, '?other=1'), 'other parameters are ignored');

note 'what is refused before the upgrade';

is_refused(QuizRT::Client->attempt($node->url("$path?$_")),
	400, 'Invalid query parameters', "query $_")
  foreach 'token=%zz', 'token=a&token=b', 'x=%', 'token=%00', 'token=%ff';
is_refused(QuizRT::Client->get($node->url($path)),
	426, undef, 'no upgrade');
is_refused(QuizRT::Client->attempt($node->url("$path/")),
	404, 'Not found', 'another path');
is_refused(
	QuizRT::Client->attempt($node->url($path), method => 'POST'),
	405, undef, 'another method');

note 'ping';

foreach my $text ('ping', '"ping"', '{"event":"ping"}', '{"type":"ping"}',
	'{"action":"ping"}', ' { "event" : "ping" , "x" : [1] } ',
	'"\u0070ing"', '{"event":"ping","token":"x"}')
{
	$client->send_text($text);
	is_message($client, $pong, "pong for $text");
}

note 'anything else';

foreach my $text ('', 'PING', 'ping ', 'hello', '"pong"', '{}', '[]', '1',
	'null', '["ping"]', '{"event":"pong"}', '{"event":["ping"]}',
	'{"event":{"type":"ping"}}', '{"ping":true}', '{"event":"ping"',
	'{"token":1}', '"\ud800"', '[' x 1000)
{
	$client->send_text($text);
	is_message($client, $unknown, "unknown: " . substr $text, 0, 40);
}
$client->send_json({ token => 'x' });
is_silent($client, 'a token that nobody asked for is ignored');
{
	my $binary = connect_to($node);

	is_connected($binary, 'one that will send bytes');
	$binary->send_frame(QuizRT::Client::BINARY, 'ping');
	closes_with($binary, 1003, 'a binary message');
}

note 'project_updated';

$node->sql("SELECT quizrt.project_updated('my-project', 'audit')");
is_updated($client, 'my-project', 'audit', 'an update');
is_updated($other,  'my-project', 'audit', 'for everybody');
$node->sql(
	"SELECT quizrt.project_updated('my-project', 'compliance', 'acme')");
is_updated($client, 'my-project', 'compliance', 'one with a tenant too');
$node->sql(q{SELECT quizrt.project_updated(E'a "b" \\\\ \n', 'release_gate')});
is_updated($client, qq(a "b" \\ \n), 'release_gate', 'a name that needs escapes');
$node->sql(
	"BEGIN; SELECT quizrt.project_updated('no', 'audit'); ROLLBACK");
$node->sql("BEGIN; SELECT quizrt.project_updated('one', 'audit');"
	  . " SAVEPOINT s; SELECT quizrt.project_updated('no', 'audit');"
	  . " ROLLBACK TO s; SELECT quizrt.project_updated('two', 'audit'); COMMIT");
is_updated($client, 'one', 'audit', 'nothing of what was rolled back');
is_updated($client, 'two', 'audit', 'and the rest in order');
is_silent($client, 'no more than that');

note 'the reference table';

$node->sql('SELECT quizrt.create_dashboard_tables()');
$node->sql("INSERT INTO dashboard.analysis_runs (project_name, kind) VALUES"
	  . " ('a', 'audit'), ('b', 'compliance'), ('c', 'release_gate')");
is_silent($client, 'a run that begins sends nothing');
foreach my $run ([ 'a', 'audit' ], [ 'b', 'compliance' ],
	[ 'c', 'release_gate' ])
{
	$node->sql('UPDATE dashboard.analysis_runs SET completed_at = now()'
		  . " WHERE project_name = '$run->[0]'");
	is_updated($client, @$run, "a completed $run->[1]");
}
$node->sql("UPDATE dashboard.analysis_runs SET completed_at = now()");
$node->sql("UPDATE dashboard.analysis_runs SET project_name = 'd'");
$node->sql("DELETE FROM dashboard.analysis_runs");
is_silent($client, 'a completed run says no more');

note 'heartbeat and the number of clients';

$node->reconfigure('quizrt.dashboard_heartbeat' => '300ms');
{
	my $pulse;

	$node->wait_until(
		sub {
			$pulse = connect_to($node);
			my $connected = $pulse->expect_json;

			return $connected->{heartbeat_seconds} == 0.3;
		});
	pass('connected tells the new interval');

	my $text = QuizRT::Client::compact($pulse->expect_text);

	like($text,
		qr/^\{"event":"heartbeat","timestamp":\d{10}\.\d{3},"clients":\d+\}$/,
		'a heartbeat');
	ok(abs(($text =~ /"timestamp":([0-9.]+)/)[0] - time) < 5, 'of now');
	$pulse->expect_text foreach 1 .. 4;
	pass('and more of them');
	$pulse->disconnect;
}
$client->disconnect;
$other->disconnect;
{
	my $counter = connect_to($node);
	my $clients = sub {
		return $counter->wait_for(sub { $_->{event} eq 'heartbeat' })
		  ->{clients};
	};

	$node->wait_until(sub { $clients->() == 1 });
	pass('who has gone is not counted');

	my @others = map { connect_to($node) } 1 .. 3;

	$node->wait_until(sub { $clients->() == 4 });
	pass('who has come is');
	$others[0]->abort;
	$others[1]->send_close(1000);
	$node->wait_until(sub { $clients->() == 2 });
	pass('however they go');
}

note 'multi-tenant: a token in the query';

my $acme  = member('acme');
my $globe = member('globe');

$tenants->sql(
	"SELECT quizrt.project_updated('secret', 'audit', 'acme')");
is_updated($acme, 'secret', 'audit', 'the tenant hears of its project');
is_silent($globe, 'another one does not');
$tenants->sql(
	"SELECT quizrt.project_updated('other', 'audit', 'globe')");
is_updated($globe, 'other', 'audit', 'but of its own');
is_silent($acme, 'which the first one does not hear of');
like($tenants->sql_fails("SELECT quizrt.project_updated('x', 'audit')"),
	qr/needs a tenant/, 'an update without a tenant is an SQL error');
is_silent($acme,  'and goes to nobody');
is_silent($globe, 'not at all');

$tenants->sql('SELECT quizrt.create_dashboard_tables()');
$tenants->sql('INSERT INTO dashboard.analysis_runs'
	  . ' (project_name, tenant, completed_at) VALUES'
	  . " ('a', 'acme', now()), ('b', 'globe', now()), ('c', NULL, now())");
is_updated($acme,  'a', 'audit', 'a run of one tenant');
is_updated($globe, 'b', 'audit', 'a run of the other');
is_silent($acme, 'a run of none reaches nobody');
{
	my $tricky = member('acme:x');

	$tenants->sql(
		"SELECT quizrt.project_updated('p', 'audit', 'acme:x')");
	is_updated($tricky, 'p', 'audit', 'a tenant with a colon');
	is_silent($acme, 'is not the one before the colon');
}

my $now = int time;
my %bad = (
	'nonsense'                 => 'nonsense',
	'signed with another key'  => jwt({ tenant => 'a' }, secret => 'x'),
	'without a tenant'         => jwt({ sub => 'a' }),
	'with an empty tenant'     => jwt({ tenant => '' }),
	'with a very long tenant'  => jwt({ tenant => 'a' x 1000 }),
	'expired'                  => jwt({ tenant => 'a', exp => $now - 10 }),
	'unsigned'                 => jwt({ tenant => 'a' },
		header => { alg => 'none' }),
	'an API key'               => $tenants->api_key('teacher'));

foreach my $what (sort keys %bad)
{
	my $began = time;

	is_turned_away(connect_to($tenants, "?token=$bad{$what}"),
		"a token $what");
	ok(time - $began < 4, "a token $what: at once");
}

note 'multi-tenant: a token in the first message';

$client = connect_to($tenants);
$client->send_json({ token => jwt({ tenant => 'acme' }) });
is_connected($client, 'connected after the first message');
$tenants->sql("SELECT quizrt.project_updated('q', 'audit', 'acme')");
is_updated($client, 'q', 'audit', 'and told of its projects');
$client->send_json({ token => jwt({ tenant => 'globe' }) });
is_message($client, $unknown, 'nobody changes the tenant');

$client = connect_to($tenants, '?token=');
$client->send_json({ token => jwt({ tenant => 'acme' }), event => 'ping' });
is_connected($client, 'an empty one in the query is none');

$client = connect_to($tenants);
$client->send_raw(join '',
	QuizRT::Client::frame(QuizRT::Client::TEXT,
		qq({"token":") . jwt({ tenant => 'acme' }) . qq("})),
	map { QuizRT::Client::frame(QuizRT::Client::TEXT, $_) } 'ping', 'foo',
	'ping');
is_connected($client, 'what follows the token at once');
is_message($client, $pong,    'is answered in its order');
is_message($client, $unknown, 'the wrong too');
is_message($client, $pong,    'to the last');

foreach my $what (sort keys %bad)
{
	$client = connect_to($tenants);
	$client->send_json({ token => $bad{$what} });
	is_turned_away($client, "a first message with a token $what");
}
foreach my $text ('ping', '{}', '{"token":""}', '{"token":1}',
	'{"event":"ping"}', jwt({ tenant => 'acme' }), 'x')
{
	$client = connect_to($tenants);
	$client->send_text($text);
	is_turned_away($client, 'a first message ' . substr $text, 0, 20);
}

$client = connect_to($tenants);
{
	my $began = time;

	is_turned_away($client, 'no message');
	my $took = time - $began;

	ok($took > 4.5 && $took < 60, "after five seconds ($took)");
}
$client = connect_to($tenants);
sleep 1;
is($client->poll, undef, 'nothing is said before');
$tenants->sql("SELECT quizrt.project_updated('r', 'audit', 'acme')");
$client->send_json({ token => jwt({ tenant => 'acme' }) });
is_connected($client, 'a token after a while');
is_silent($client, 'and what came before is not told');

note 'expiry';

$tenants->reconfigure('quizrt.enforce_expiry' => 'on');
{
	my $short = member('acme', exp => int(time) + 3);
	my $close = closes_with($short, 4401, 'a token that expires');

	$short = connect_to($tenants);
	$short->send_json({ token => jwt({ tenant => 'a', exp => int(time) + 3 }) });
	is_connected($short, 'one from the first message');
	closes_with($short, 4401, 'expires as well');
}

note 'changes of mode';

my $stranger = connect_to($node);

$stranger->expect_text;
$node->reconfigure('quizrt.dashboard_multi_tenant' => 'on');
is_deeply(
	$stranger->wait_for(sub { $_->{event} eq 'error' }),
	{ event => 'error', message => 'Authentication required' },
	'who came in unasked is asked when the mode changes');
closes_with($stranger, 1008, 'and has to come again');
$acme = member('acme');
$tenants->reconfigure('quizrt.dashboard_multi_tenant' => 'off');
$tenants->wait_until(
	sub {
		my $open = connect_to($tenants);

		return eval { $open->wait_for(sub { 1 }, 1)->{event} eq 'connected' };
	});
$tenants->sql("SELECT quizrt.project_updated('u', 'audit', 'acme')");
is_updated($acme, 'u', 'audit', 'a member stays one');

note 'a flood';

$client = connect_to($tenants);
$client->expect_text;
$client->send_raw(
	QuizRT::Client::frame(QuizRT::Client::TEXT, 'nonsense') x 150);
is(closes_with($client, 1008, 'bad messages without end')->{reason},
	'Too many errors', 'with a reason');
is(scalar @{ $client->{skipped} }, 99, 'each is answered until then');
$client = connect_to($tenants);
$client->expect_text;
$client->send_raw(QuizRT::Client::frame(QuizRT::Client::TEXT, 'ping') x 150);
closes_with($client, 1008, 'pings without end');
unlike($tenants->log_text, qr/nonsense/, 'the log does not get to see it');

note 'gaps';

$client = connect_to($tenants);
$client->expect_text;
$tenants->sql('BEGIN; SELECT count(quizrt.project_updated('
	  . "repeat('x', 1000), 'audit')) FROM generate_series(1, 4000); COMMIT");
is(closes_with($client, 1013, 'an update that had to be left out')->{reason},
	'Updates lost', 'makes the client connect again');

note 'several gateways';

my $several = QuizRT::Cluster->create(
	'several',
	no_tables => 1,
	settings  => {
		'quizrt.gateways'            => 3,
		'quizrt.dashboard_heartbeat' => '200ms'
	});
{
	my @clients = map { connect_to($several) } 1 .. 12;
	my %ids     = map { $_->expect_json->{client_id} => 1 } @clients;

	is(scalar keys %ids, 12, 'every client_id is another');
	foreach my $at (@clients)
	{
		$several->wait_until(
			sub {
				$at->wait_for(sub { $_->{event} eq 'heartbeat' })->{clients}
				  == 12;
			});
	}
	pass('clients is the same for all');
	$several->sql("SELECT quizrt.project_updated('p', 'audit')");
	$_->wait_for(sub { $_->{event} eq 'project_updated' }) foreach @clients;
	pass('all of them hear of a project');

	my $pid = $several->pid('gateway 1');

	kill 'TERM', $pid;
	$several->wait_new_pid('gateway 1', $pid);
	my @left = grep { my $at = $_; eval { $at->ping } } @clients;
	my $count;

	$several->wait_until(
		sub {
			$count = $left[0]->wait_for(sub { $_->{event} eq 'heartbeat' })
			  ->{clients};
			return $count == @left;
		}) if @left;
	pass('a gateway that ends takes its clients with it: ' . @left);
}

note 'without the database';

$several->reconfigure('quizrt.dashboard_multi_tenant' => 'on');
$several->sql('DROP EXTENSION quizrt');
$several->wait_unready;
is_refused(QuizRT::Client->attempt($several->url($path . $_)),
	503, 'Temporarily unavailable', "nobody can be asked, with '$_'")
  foreach '', '?token=' . jwt({ tenant => 'a' });
$several->reconfigure('quizrt.dashboard_multi_tenant' => 'off');
$several->wait_until(
	sub {
		QuizRT::Client->attempt($several->url($path))->{status} == 101;
	});
pass('where nobody is asked it serves');

note 'switched off';

$client = connect_to($node, '?token=' . jwt({ tenant => 'a' }));
$client->expect_text;
$node->reconfigure('quizrt.dashboard_enabled' => 'off');
closes_with($client, 1001, 'who is there is sent away');
is_refused(QuizRT::Client->attempt($node->url($path)),
	404, 'Not found', 'disabled');

note 'the settings of the spec';

is( $node->sql("SELECT string_agg(boot_val || coalesce(unit, ''), ',' ORDER BY name)"
		  . " FROM pg_settings WHERE name IN ('quizrt.dashboard_enabled',"
		  . " 'quizrt.dashboard_heartbeat', 'quizrt.dashboard_multi_tenant')"),
	'on,30000ms,off',
	'defaults');

done_testing();
