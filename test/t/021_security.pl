# The security API, statement by statement, with and without keys.
# docs/conformance-dashboard-security.md lists which statement is tested where.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;
use Time::HiRes qw(time sleep);

my $pong   = '{"type":"pong"}';
my $failed = 'Authentication failed';
my $node   = QuizRT::Cluster->create(
	'keys',
	no_tables => 1,
	settings  => {
		'quizrt.security_rate_limit'     => 0,
		'quizrt.system_status_interval'  => '600s',
		'quizrt.max_error_rate'          => 0
	});
my $open = QuizRT::Cluster->create(
	'open',
	no_tables => 1,
	settings  => {
		'quizrt.security_api_key_enabled' => 'off',
		'quizrt.security_rate_limit'      => 0,
		'quizrt.system_status_interval'   => '600s'
	});
my $key = new_key($node);

sub new_key
{
	my ($server, $arguments) = @_;

	return $server->sql('SELECT quizrt.create_api_key('
		  . ($arguments // q('a camera', '{monitor}')) . ')');
}

sub connect_to
{
	my ($server, $target, %options) = @_;

	return QuizRT::Client->connect($server->url($target), %options);
}

sub events_client
{
	return connect_to($node, "/ws/events?api_key=$key");
}

# One that has read the status that it gets first.
sub system_client
{
	my $client = connect_to($node, "/ws/system?api_key=$key");

	$client->wait_for(sub { $_->{type} eq 'system_status' });
	return $client;
}

sub with_protocol
{
	my ($server, $target, $protocol) = @_;
	my $client   = QuizRT::Client->dial($server->url($target));
	my $response = $client->handshake(
		headers => { 'Sec-WebSocket-Protocol' => $protocol });

	return ($client, $response);
}

sub is_turned_away
{
	my ($client, $reason, $name) = @_;
	my $close = closes_with($client, 1008, "$name: 1008");

	is($close ? $close->{reason} : undef, $reason, "$name: reason");
	is_deeply($client->{skipped}, [], "$name: nothing else");
	return;
}

# Nothing has come: what is asked now is answered next.
sub is_silent
{
	my ($client, $name) = @_;

	$client->send_text('ping');
	return is_message($client, $pong, $name);
}

sub is_security_error
{
	my ($client, $text, $error, $details, $name) = @_;

	$client->send_text($text);
	my $got = eval { QuizRT::Client::compact($client->expect_text) } // $@;

	return like($got,
		qr/^\{"type":"error","error":"$error","message":"[^"]+","details":\{\Q$details\E\}\}$/,
		$name);
}

note 'keys';

foreach my $path ('/ws/events', '/ws/system')
{
	is_silent(events_client(), 'a key in the query') if $path eq '/ws/events';

	my ($client, $response) = with_protocol($node, $path, "api-key.$key");

	is($response->{status}, 101, "$path: a key in the subprotocol");
	is($response->{headers}{'sec-websocket-protocol'},
		"api-key.$key", "$path: is chosen");
	$client->send_text('ping');
	$client->wait_for(sub { $_->{type} eq 'pong' });
	pass("$path: and serves");

	($client, $response) =
	  with_protocol($node, $path, "json, api-key.$key ,other");
	is($response->{headers}{'sec-websocket-protocol'},
		"api-key.$key", "$path: among others");
	($client, $response) =
	  with_protocol($node, "$path?api_key=$key", "api-key.$key");
	$client->send_text('ping');
	$client->wait_for(sub { $_->{type} eq 'pong' });
	pass("$path: the same in both places");
	($client, $response) = with_protocol($node, "$path?api_key=$key", 'json');
	is($response->{headers}{'sec-websocket-protocol'},
		undef, "$path: no other protocol is chosen");

	is_turned_away(connect_to($node, $path), 'API key required',
		"$path: no key");
	is_turned_away(connect_to($node, "$path?api_key="),
		'API key required', "$path: an empty one");

	my %bad = (
		'wrong'            => 'nonsense',
		'unknown'          => "${key}x",
		'of an owner'      => new_key($node, "'teacher'"),
		'of another role'  => new_key($node, "'a', '{x,monitors}'"),
		'expired'          => new_key($node, "'a', '{monitor}', now() - '1s'::interval"),
		'a JWT'            => QuizRT::Cluster::jwt({ sub => 'a' }),
		'an inserted quote' => q(x'%20OR%20true--));

	foreach my $what (sort keys %bad)
	{
		is_turned_away(connect_to($node, "$path?api_key=$bad{$what}"),
			$failed, "$path: a key $what");
	}
	($client, $response) = with_protocol($node, $path, 'api-key.nonsense');
	is($response->{headers}{'sec-websocket-protocol'},
		'api-key.nonsense', "$path: a wrong key is chosen as well");
	is_turned_away($client, $failed, "$path: a wrong subprotocol");
	($client) = with_protocol($node, $path, 'api-key.');
	is_turned_away($client, 'API key required', "$path: an empty subprotocol");

	my $another = new_key($node);

	($client) =
	  with_protocol($node, "$path?api_key=$key", "api-key.$another");
	is_turned_away($client, $failed, "$path: two good keys that differ");
	($client) =
	  with_protocol($node, $path, "api-key.$key, api-key.$another");
	is_turned_away($client, $failed, "$path: two subprotocols that differ");
	is_refused(
		QuizRT::Client->attempt($node->url("$path?api_key=$key&api_key=$key")),
		400, 'Invalid query parameters', "$path: the parameter twice");
	is_refused(QuizRT::Client->attempt($node->url("$path?api_key=%f")),
		400, 'Invalid query parameters', "$path: a broken escape");
	is_refused(QuizRT::Client->get($node->url($path)),
		426, undef, "$path: no upgrade");
}
is_silent(events_client(), 'a good key is good still');
{
	my $both = new_key($node, "'a', '{owner,monitor}'");

	is_silent(connect_to($node, "/ws/events?api_key=$both"),
		'a key of two roles');
}

note 'without keys';

is_silent(connect_to($open, '/ws/events'), 'no key is asked for');
is_silent(connect_to($open, '/ws/events?api_key=nonsense'),
	'one given is ignored');
{
	my ($client, $response) =
	  with_protocol($open, '/ws/events', 'api-key.whatever');

	is($response->{headers}{'sec-websocket-protocol'},
		'api-key.whatever', 'but chosen, for a browser');
	is_silent($client, 'and served');
}

note 'ping';

foreach my $server ($node, $open)
{
	my $target = $server == $node ? "?api_key=$key" : '';

	foreach my $path ('/ws/events', '/ws/system')
	{
		my $client = connect_to($server, $path . $target);

		$client->expect_text if $path eq '/ws/system';
		foreach my $text ('ping', '{"type":"ping"}',
			' { "data" : {"a":1}, "type" : "ping" } ',
			'{"\u0074ype":"pin\u0067"}')
		{
			$client->send_text($text);
			is_message($client, $pong, "$path: pong for $text");
		}
	}
}

note 'errors';

my $client = events_client();

foreach my $text ('invalid{json', 'PING', ' ping', 'pong', '', '{"type":"ping"',
	"{'type':'ping'}", '{"type":"ping"}}', 'nul')
{
	is_security_error($client, $text, 'invalid_json',
		'"raw_data_preview":' . json_text($text), "not JSON: $text");
}
is_security_error($client, '{"type":"\ud800"}', 'invalid_json',
	'"raw_data_preview":"{\"type\":\"\\\\ud800\"}"', 'a lone surrogate');
is_security_error($client, qq("\x01), 'invalid_json',
	'"raw_data_preview":"\"\u0001"', 'a control character is escaped');
is_security_error($client, "a\0b", 'invalid_json',
	'"raw_data_preview":"a\u0000b"', 'a zero byte too');
is_security_error($client, 'x' x 300, 'invalid_json',
	'"raw_data_preview":"' . 'x' x 100 . '"', 'the preview is cut');
is_security_error(
	$client,
	"\xc3\xa4" x 99 . "\xf0\x9f\x98\x80" x 5,
	'invalid_json',
	'"raw_data_preview":"' . "\xc3\xa4" x 99 . "\xf0\x9f\x98\x80" . '"',
	'at 100 characters, not bytes');
foreach my $text ('[]', '1', 'null', 'true', '"ping"', '[{"type":"ping"}]')
{
	is_security_error($client, $text, 'invalid_message_format',
		'"raw_data_preview":' . json_text($text), "no object: $text");
}
{
	my $deep = '[' x 40 . ']' x 40;

	is_security_error($client, $deep, 'invalid_message_format',
		qq("raw_data_preview":"$deep"), 'too deep');
}
foreach my $text ('{}', '{"type":1}', '{"type":null}', '{"type":""}',
	'{"type":["ping"]}', '{"type":"' . 'x' x 51 . '"}', '{"event":"ping"}',
	'{"type":"' . "\xc3\xa4" x 51 . '"}')
{
	is_security_error($client, $text, 'validation_error', '"field":"type"',
		'a bad type: ' . substr $text, 0, 20);
}
foreach my $type ('pong', 'foo', 'x' x 50, 'PING', 'event', "\xc3\xa4" x 50)
{
	is_security_error(
		$client,
		qq({"type":"$type"}),
		'unknown_message_type',
		qq("type":"$type","supported_types":["ping","subscribe","unsubscribe"]),
		'an unknown type: ' . substr $type, 0, 10);
}
my $all_events = '"supported_channels":["events","detections","alerts"]';

foreach my $type ('subscribe', 'unsubscribe')
{
	foreach my $channels ('', ',"channels":null', ',"channels":[]',
		',"channels":"events"', ',"channels":["events",1]',
		',"channels":{"events":true}')
	{
		is_security_error($client, qq({"type":"$type"$channels}),
			'validation_error', qq("field":"channels",$all_events),
			"$type$channels");
	}
	foreach my $channel ('system', 'Events', '', 'event')
	{
		is_security_error(
			$client,
			qq({"type":"$type","channels":["events","$channel"]}),
			'validation_error',
			qq("field":"channels","channel":"$channel",$all_events),
			"$type, unknown channel '$channel'");
	}
}
is_security_error(
	system_client(),
	'{"type":"subscribe","channels":["events"]}',
	'validation_error',
	'"field":"channels","channel":"events","supported_channels":["system","services"]',
	'a channel of the other endpoint');
is_silent($client, 'no error ends the connection');
{
	my $binary = events_client();

	$binary->send_frame(QuizRT::Client::BINARY, 'ping');
	closes_with($binary, 1003, 'a binary message');
}

note 'events';

$node->sql('SELECT quizrt.create_security_tables()');
my $system = system_client();
my $camera = '123e4567-e89b-12d3-a456-426614174000';

$node->sql('INSERT INTO security.events (batch_id, camera_id, risk_score,'
	  . " summary, started_at) VALUES ('batch_abc123', '$camera', 75,"
	  . " 'Person detected at front door', '2025-12-23T12:00:00')");
is_message(
	$client,
	qq({"type":"event","data":{"id":1,"event_id":1,"batch_id":"batch_abc123","camera_id":"$camera","risk_score":75,"risk_level":"high","summary":"Person detected at front door","started_at":"2025-12-23T12:00:00"}}),
	'an event, as the spec shows it');
is_silent($system, 'which is not for the other endpoint');
foreach my $case ([ 0, 'low' ], [ 29, 'low' ], [ 30, 'medium' ],
	[ 59, 'medium' ], [ 60, 'high' ], [ 84, 'high' ], [ 85, 'critical' ],
	[ 100, 'critical' ])
{
	my ($score, $level) = @$case;

	$node->sql("INSERT INTO security.events (risk_score) VALUES ($score)");
	my $data = $client->expect_json->{data};

	is_deeply([ @$data{ 'risk_score', 'risk_level' } ],
		$case, "a score of $score is $level");
	is($data->{id}, $data->{event_id}, 'event_id is id');
}
$node->sql('INSERT INTO security.events (risk_score, risk_level)'
	  . " VALUES (10, 'critical')");
is($client->expect_json->{data}{risk_level},
	'critical', 'a level that is given stands');
foreach my $bad ("risk_score) VALUES (101)", "risk_score) VALUES (-1)",
	"risk_level) VALUES ('huge')")
{
	like($node->sql_fails("INSERT INTO security.events ($bad"),
		qr/violates check constraint/, "refused: $bad");
}
$node->sql('UPDATE security.events SET summary = $$x$$; DELETE FROM security.events');
$node->sql('BEGIN; INSERT INTO security.events DEFAULT VALUES; ROLLBACK');
is_silent($client, 'changed, deleted or rolled back, they send nothing');
$node->sql(q{SELECT quizrt.security_event('{"id": 7, "b":[1.50], "a":"x"}')});
is_message($client,
	'{"type":"event","data":{"id":7,"b":[1.50],"a":"x"}}',
	'security_event sends what it is given');

note 'service_status';

$node->sql("INSERT INTO security.services VALUES ('redis', 'healthy',"
	  . " 'Service responding normally')");
my $text = QuizRT::Client::compact($system->expect_text);

like(
	$text,
	qr/^\{"type":"service_status","data":\{"service":"redis","status":"healthy","message":"Service responding normally"\},"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"\}$/,
	'a service_status, as the spec shows it');
foreach my $status ('unhealthy', 'restarting', 'restart_failed', 'failed')
{
	$node->sql("UPDATE security.services SET status = '$status'");
	is($system->expect_json->{data}{status}, $status, "status $status");
}
$node->sql("UPDATE security.services SET message = NULL");
like($system->expect_text,
	qr/"data":\{"service":"redis","status":"failed"\},/,
	'a message that is NULL is left out');
$node->sql('UPDATE security.services SET updated_at = now(), status = status');
is_silent($system, 'an update without a change sends nothing');
is_silent($client, 'and nothing of all this is for the other endpoint');
like($node->sql_fails("UPDATE security.services SET status = 'fine'"),
	qr/violates check constraint/, 'another status is refused by the table');
$node->sql("SELECT quizrt.service_status('db', 'restarting', 'a \"b\"')");
is_deeply(
	$system->expect_json->{data},
	{ service => 'db', status => 'restarting', message => 'a "b"' },
	'service_status');
like($node->sql_fails("SELECT quizrt.service_status('db', 'fine')"),
	qr/unknown status/, 'with another status');

note 'system_status';

my $own =
  '"data":{"gpu":{"utilization":null,"memory_used":null,"memory_total":null,"temperature":null,"inference_fps":null},"cameras":{"active":null,"total":null},"queue":{"pending":0,"processing":0},"health":"healthy"}';
my $iso = qr/"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/;

my $new = connect_to($node, "/ws/system?api_key=$key");

like(QuizRT::Client::compact($new->expect_text),
	qr/^\{"type":"system_status",\Q$own\E,"timestamp":$iso\}$/,
	'where nothing was reported: what is known, and no more');

my $data =
  '{"gpu":{"utilization":45.5,"memory_used":8192,"memory_total":24576,"temperature":65.0,"inference_fps":30.5},"cameras":{"active":4,"total":6},"queue":{"pending":2,"processing":1},"health":"healthy"}';

$node->sql("SELECT quizrt.system_status('$data')");
is_silent($new, 'a report is not sent before its time');
$new = connect_to($node, "/ws/system?api_key=$key");
like(QuizRT::Client::compact($new->expect_text),
	qr/^\{"type":"system_status","data":\Q$data\E,"timestamp":$iso\}$/,
	'but to who comes, at once, as the spec shows it');
$node->sql(q(UPDATE security.system_status SET data = '{"health":"degraded"}'));
$new = connect_to($node, "/ws/system?api_key=$key");
is($new->expect_json->{data}{health}, 'degraded', 'the reference table');
$node->sql(q(INSERT INTO security.system_status (data) VALUES ('{"health":"unhealthy"}')));
$new = connect_to($node, "/ws/system?api_key=$key");
is($new->expect_json->{data}{health}, 'unhealthy', 'which keeps one row');
is($node->sql('SELECT count(*) FROM security.system_status'), 1, 'always');
$node->sql(q(BEGIN; SELECT quizrt.system_status('{"health":"x"}'); ROLLBACK));
$new = connect_to($node, "/ws/system?api_key=$key");
is($new->expect_json->{data}{health},
	'unhealthy', 'a report that was rolled back is none');
$node->restart;
$node->wait_ready;
$new = connect_to($node, "/ws/system?api_key=$key");
is($new->expect_json->{data}{health}, 'unhealthy', 'it survives a restart');

$node->reconfigure('quizrt.system_status_interval' => '400ms');
$new->expect_json;
{
	my $began = time;

	$new->expect_json foreach 1 .. 5;
	my $took = time - $began;

	ok($took > 1.7 && $took < 60, "at its interval: five in 2 s ($took)");
	$node->sql(q(SELECT quizrt.system_status('{"health":"healthy"}')));
	$new->expect_json;
	is($new->expect_json->{data}{health}, 'healthy', 'with the newest data');

	my @several = map { connect_to($node, "/ws/system?api_key=$key") } 1 .. 20;

	$_->expect_json foreach @several;
	$_->expect_json foreach @several;
	pass('for everybody');
}
$node->reconfigure('quizrt.system_status_interval' => '600s');
like($node->sql_fails("SELECT quizrt.system_status('[]')"),
	qr/must be a JSON object/, 'a report that is no object');
like(
	$node->sql_fails(
		"SELECT quizrt.system_status(json_build_object('x', repeat('y', 300000)))"),
	qr/too large/,
	'a report that is too large');

note 'subscribe and unsubscribe';

sub channels
{
	my ($at, $type, @names) = @_;
	my $list = join ',', map { qq("$_") } @names;

	$at->send_text(qq({"type":"$type","channels":[$list]}));
	return is_message($at, qq({"type":"${type}d","channels":[$list]}),
		"$type @names");
}

sub send_events
{
	my ($server) = @_;

	$server->sql("SELECT quizrt.security_event(format('{\"in\":\"%s\"}', c)::json, c)"
		  . " FROM unnest('{events,detections,alerts}'::text[]) AS c");
	return;
}

# The channels of which something has come, up to the answer to a ping.
sub received
{
	my ($at) = @_;

	$at->send_text('ping');
	$at->wait_for(sub { $_->{type} eq 'pong' });
	return join ' ', map { $_->{data}{in} } @{ $at->{skipped} };
}

$client = events_client();
send_events($node);
is(received($client), 'events detections alerts',
	'who never subscribes gets all');
channels($client, 'subscribe', 'detections', 'events');
send_events($node);
is(received($client), 'events detections', 'who does, gets what it named');
channels($client, 'subscribe', 'detections');
send_events($node);
is(received($client), 'events detections', 'once, also when named twice');
channels($client, 'unsubscribe', 'events', 'alerts');
send_events($node);
is(received($client), 'detections', 'until it unsubscribes');
channels($client, 'unsubscribe', 'detections');
send_events($node);
is(received($client), '', 'from all means silence');
channels($client, 'subscribe', 'alerts');
send_events($node);
is(received($client), 'alerts', 'one may come back');
$client->send_text('{"type":"subscribe","channels":["events","nonsense"]}');
$client->expect_text;
send_events($node);
is(received($client), 'alerts', 'a bad message changes nothing');
$client = events_client();
channels($client, 'unsubscribe', 'detections');
send_events($node);
is(received($client), 'events alerts', 'all but one');
$client->send_text('{"type":"subscribe","channels":["alerts","alerts"]}');
is_message($client, '{"type":"subscribed","channels":["alerts"]}',
	'named twice, listed once');

$system = system_client();
channels($system, 'unsubscribe', 'system');
$node->sql("SELECT quizrt.service_status('x', 'healthy')");
is($system->expect_json->{type}, 'service_status', 'services only');
channels($system, 'unsubscribe', 'services');
$node->sql("SELECT quizrt.service_status('x', 'failed')");
is_silent($system, 'nothing');
channels($system, 'subscribe', 'system');
is($system->expect_json->{type}, 'system_status',
	'who subscribes to system gets the status at once');

note 'revocation and expiry';

my $doomed = new_key($node);

$client = connect_to($node, "/ws/events?api_key=$doomed");
is_silent($client, 'a key that will be revoked');
$node->sql("SELECT quizrt.revoke_api_key('$doomed')");
closes_with($client, 4403, 'its connections end');
is_turned_away(connect_to($node, "/ws/events?api_key=$doomed"),
	$failed, 'a revoked key');
$node->reconfigure('quizrt.enforce_expiry' => 'on');
$client = connect_to($node, '/ws/events?api_key='
	  . new_key($node, "'a', '{monitor}', now() + '2s'::interval"));
closes_with($client, 4401, 'a key that expires');

note 'gaps';

$client = events_client();
$client->send_text('ping');
$client->expect_text;
$node->sql("SELECT count(quizrt.security_event(json_build_object('x',"
	  . " repeat('y', 1000)))) FROM generate_series(1, 4000)");
is(closes_with($client, 1013, 'events that had to be left out')->{reason},
	'Updates lost', 'make the client connect again');

note 'server heartbeat and idle timeout';

is( $node->sql("SELECT string_agg(boot_val || coalesce(unit, ''), ',' ORDER BY name)"
		  . " FROM pg_settings WHERE name IN ('quizrt.security_api_key_enabled',"
		  . " 'quizrt.security_idle_timeout', 'quizrt.security_ping_interval',"
		  . " 'quizrt.system_status_interval')"),
	'on,300000ms,30000ms,5000ms',
	'defaults');
foreach my $path ('/ws/events', '/ws/system')
{
	my $idle = connect_to($node, "$path?api_key=$key");
	my $busy = connect_to($node, "$path?api_key=$key");

	$node->reconfigure(
		'quizrt.security_ping_interval' => '300ms',
		'quizrt.security_idle_timeout'  => '2s');
	$idle->wait_for(sub { $_->{type} eq 'ping' });
	is_deeply($idle->wait_for(sub { $_->{type} eq 'ping' }),
		{ type => 'ping' }, "$path: a heartbeat");

	my $began = time;

	while (time - $began < 3)
	{
		$busy->send_text(time - $began < 1.5 ? 'ping' : '{"type":"ping"}');
		$busy->wait_for(sub { $_->{type} eq 'pong' });
		sleep 0.3;
	}
	pass("$path: pings of both kinds keep it");
	my $close = closes_with($idle, 1000, "$path: an idle client");

	is($close->{reason}, 'Idle timeout', "$path: reason");
	$began = time;
	$busy->send_frame(QuizRT::Client::PONG, '');
	closes_with($busy, 1000, "$path: idle later");
	ok(time - $began < 60, "$path: heartbeats and pongs do not count");
	$node->reconfigure(
		'quizrt.security_ping_interval' => '30s',
		'quizrt.security_idle_timeout'  => '300s');
}

note 'a flood';

$client = connect_to($open, '/ws/events');
$client->send_raw(
	QuizRT::Client::frame(QuizRT::Client::TEXT, 'rubbish') x 150);
is(closes_with($client, 1008, 'bad messages without end')->{reason},
	'Too many errors', 'with a reason');
$client = connect_to($open, '/ws/events');
$client->send_raw(QuizRT::Client::frame(QuizRT::Client::TEXT, 'ping') x 150);
closes_with($client, 1008, 'pings without end');
unlike($open->log_text, qr/rubbish/, 'the log does not get to see it');

note 'keys are asked for from now on';

$client = connect_to($open, '/ws/events');
$client->send_text('ping');
$client->expect_text;
$open->reconfigure('quizrt.security_api_key_enabled' => 'on');
is(closes_with($client, 1008, 'who came without is sent away')->{reason},
	'API key required', 'and told why');

note 'rate limit';

my $limited = QuizRT::Cluster->create(
	'limited',
	no_tables => 1,
	settings  => {
		'quizrt.gateways'            => 2,
		'quizrt.security_rate_limit' => 6
	});
$key = new_key($limited);
{
	my @clients;

	push @clients, connect_to($limited, "/ws/events?api_key=$key")
	  foreach 1 .. 2;
	push @clients, connect_to($limited, "/ws/system?api_key=$key")
	  foreach 1 .. 2;
	is_turned_away(connect_to($limited, '/ws/events'),
		'API key required', 'a refused one counts');
	push @clients, connect_to($limited, "/ws/events?api_key=$key");
	$_->send_text('ping'), $_->wait_for(sub { $_->{type} eq 'pong' })
	  foreach @clients;
	pass('as many as are allowed, over all gateways and both endpoints');
	foreach my $target ("/ws/events?api_key=$key",
		"/ws/system?api_key=$key", '/ws/events?api_key=wrong', '/ws/events')
	{
		is_turned_away(connect_to($limited, $target),
			'Rate limit exceeded', 'one more, before the key is looked at');
	}
	my ($refused, $response) =
	  with_protocol($limited, '/ws/events', "api-key.$key");

	is($response->{headers}{'sec-websocket-protocol'},
		"api-key.$key", 'what was offered is chosen all the same');
	is_turned_away($refused, 'Rate limit exceeded', 'in a browser too');
	like(
		QuizRT::Client->get($limited->url('/metrics'))->{body},
		qr/^quizrt_connections_rate_limited_total 5$/m,
		'they are counted');
	is(QuizRT::Client->attempt($limited->url('/api/v2/dashboard/ws'))->{status},
		101, 'the other APIs have no such limit');
	$_->send_text('ping'), $_->wait_for(sub { $_->{type} eq 'pong' })
	  foreach @clients;
	pass('who is there stays');
	$limited->reconfigure('quizrt.security_rate_limit' => 0);
	$limited->wait_until(
		sub {
			my $at = connect_to($limited, "/ws/events?api_key=$key");

			$at->send_text('ping');
			return eval { $at->expect_json->{type} eq 'pong' };
		});
	pass('without a limit');
}

note 'without the database';

{
	$limited->reconfigure('quizrt.system_status_interval' => '300ms');
	$limited->sql(q(SELECT quizrt.system_status('{"health":"degraded"}')));

	my $watching = connect_to($limited, "/ws/system?api_key=$key");

	is($watching->expect_json->{data}{health}, 'degraded', 'a report');
	$limited->sql('DROP EXTENSION quizrt');
	$limited->wait_unready;
	foreach my $path ('/ws/events', '/ws/system')
	{
		is_refused(
			QuizRT::Client->attempt($limited->url("$path?api_key=$key")),
			503, 'Temporarily unavailable', "$path: nobody can be asked");
	}
	$watching->expect_json foreach 1 .. 3;
	is($watching->expect_json->{data}{health},
		'degraded', 'who is there is told again what was reported last');
	$limited->reconfigure('quizrt.security_api_key_enabled' => 'off');
	$limited->restart;

	my $client;

	$limited->wait_until(
		sub {
			$client = eval { connect_to($limited, '/ws/system') };
			return $client && $client->expect_json->{data}{health} eq 'unhealthy';
		});
	pass('where nothing is known any more: unhealthy');
	$limited->sql('CREATE EXTENSION quizrt');
	$limited->wait_ready;
	is($client->wait_for(sub { ($_->{data}{health} // '') eq 'healthy' })
		  ->{data}{gpu}{temperature},
		undef, 'and healthy again');
}

note 'no secrets in the log';

unlike($_->log_text, qr/\Q$key\E/, 'no key in the log of ' . $_->name)
  foreach $limited;

done_testing();
