# What is answered before the upgrade: the table of the protocol row by row.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

my $neither = "Provide exactly one of 'token' or 'session' query parameter";
my $node    = QuizRT::Cluster->create('main');
my $token   = QuizRT::Cluster::jwt({ sub => 'teacher' });
my $good    = "/ws?token=$token";

# The response to bytes as they are.
sub raw
{
	my ($bytes, $piece) = @_;
	my $client = QuizRT::Client->dial($node->url('/'));

	$client->send_raw($bytes, $piece);
	return $client->read_response;
}

# The response to an upgrade request with some things changed.
sub upgrade
{
	my ($target, %options) = @_;

	return QuizRT::Client->attempt($node->url($target), %options);
}

sub headers
{
	return join '', map { "$_\r\n" } @_;
}

my @upgrade_headers = (
	'Host: localhost',
	'Upgrade: websocket',
	'Connection: Upgrade',
	'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
	'Sec-WebSocket-Version: 13');

note 'the handshake';

my $response = raw("GET $good HTTP/1.1\r\n" . headers(@upgrade_headers) . "\r\n");

is($response->{status}, 101, 'a request for an upgrade is granted');
is($response->{headers}{'sec-websocket-accept'},
	's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'the accept value of RFC 6455');
ok(!exists $response->{headers}{'sec-websocket-extensions'},
	'no extension that was not offered');
ok(!exists $response->{headers}{'sec-websocket-protocol'},
	'no subprotocol that was not offered');

$response = raw("GET $good HTTP/1.1\r\n" . headers(@upgrade_headers) . "\r\n", 1);
is($response->{status}, 101, 'a request in pieces of a byte');

$response = raw("\r\nGET $good HTTP/1.1\r\n" . headers(@upgrade_headers) . "\r\n");
is($response->{status}, 101, 'an empty line before the request line');

$response = raw("GET http://localhost$good HTTP/1.1\r\n"
	  . headers(@upgrade_headers) . "\r\n");
is($response->{status}, 101, 'a target in absolute form');

$response = upgrade(
	$good,
	headers => {
		Upgrade               => undef,
		Connection            => undef,
		'uPGRADE'             => 'WebSocket',
		'cONNECTION'          => ['keep-alive, UPGRADE'],
		Origin                => 'https://example.com',
		'X-Unknown'           => 'ignored'
	});
is($response->{status}, 101,
	'names and values without regard to case, Connection as a list');

$response =
  upgrade($good, headers => { Connection => [ 'keep-alive', 'Upgrade' ] });
is($response->{status}, 101, 'a list in two headers');

{
	my $client = QuizRT::Client->dial($node->url($good));

	$client->send_raw("GET $good HTTP/1.1\r\n"
		  . headers(@upgrade_headers) . "\r\n"
		  . QuizRT::Client::frame(
			QuizRT::Client::TEXT, '{"action":"unsubscribe","subscriptions":["quiz:1"]}'));
	is($client->read_response->{status}, 101, 'a frame behind the request: granted');
	is_message($client,
		'{"event":"unsubscribed","t":null,"subscriptions":["quiz:1"]}',
		'a frame behind the request: read');
}

note '400: malformed';

my $host = "Host: localhost\r\n";
my %malformed = (
	'no words'                  => "hello\r\n$host\r\n",
	'no version'                => "GET /ws\r\n$host\r\n",
	'two blanks'                => "GET  /ws HTTP/1.1\r\n$host\r\n",
	'another protocol'          => "GET /ws FTP/1.1\r\n$host\r\n",
	'a header without colon'    => "GET /ws HTTP/1.1\r\n${host}nonsense\r\n\r\n",
	'a blank before the colon'  => "GET /ws HTTP/1.1\r\n${host}X : 1\r\n\r\n",
	'a header without a name'   => "GET /ws HTTP/1.1\r\n$host: 1\r\n\r\n",
	'a NUL in a header'         => "GET /ws HTTP/1.1\r\n${host}X: a\0b\r\n\r\n",
	'a NUL in the target'       => "GET /w\0s HTTP/1.1\r\n$host\r\n",
	'a bare line feed'          => "GET /ws HTTP/1.1\n$host\r\n",
	'a line feed in the head'   => "GET /ws HTTP/1.1\r\nHost: localhost\nX: 1\r\n\r\n",
	'no Host'                   => "GET /ws HTTP/1.1\r\nX: 1\r\n\r\n",
	'two Hosts'                 => "GET /ws HTTP/1.1\r\n$host$host\r\n",
	'bytes of another protocol' => "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",);

is_refused(raw($malformed{$_}), 400, undef, $_) foreach sort keys %malformed;
is_refused(raw("GET /healthz HTTP/1.1\r\nX: 1\r\n\r\n"),
	400, undef, 'no Host on another path');

note '431: the head is too long';

is_refused(
	raw("GET /ws HTTP/1.1\r\n${host}X: " . ('x' x 9000) . "\r\n\r\n"),
	431, undef, 'a header of 9,000 bytes');
is_refused(raw("GET /ws HTTP/1.1\r\n$host" . ("X: y\r\n" x 2000)),
	431, undef, 'headers without an end');
is_refused(raw('GET /' . ('x' x 9000)), 431, undef, 'a line without an end');
$response = upgrade($good, headers => { 'X-Long' => 'x' x 7000 });
is($response->{status}, 101, 'a head of 7 KiB is read');

note '404, 405';

is_refused(upgrade('/'),         404, undef, '/');
is_refused(upgrade('/nothing'),  404, undef, 'an unknown path');
is_refused(upgrade('/WS'),       404, undef, 'a path in other letters');
is_refused(upgrade('/ws/other'), 404, undef, 'a path below the endpoint');
is_refused(upgrade('/nothing', method => 'POST'),
	404, undef, 'the path comes before the method');
foreach my $method (qw(POST PUT DELETE OPTIONS PATCH get))
{
	$response = upgrade($good, method => $method);
	is_refused($response, 405, undef, $method);
	is($response->{headers}{allow}, 'GET', "$method: Allow");
}
{
	my $client = QuizRT::Client->dial($node->url('/ws'));

	$client->send_raw("HEAD /ws HTTP/1.1\r\n$host\r\n");
	$response = $client->read_response(no_body => 1);
	is($response->{status}, 405, 'HEAD is refused');
	is($response->{headers}{allow}, 'GET', 'HEAD: Allow');
	ok($response->{closed}, 'HEAD: no body');
}

note '426: no valid upgrade';

foreach my $headers (
	{ Upgrade    => undef },
	{ Upgrade    => 'h2c' },
	{ Connection => undef },
	{ Connection => 'keep-alive' },
	{ Upgrade    => undef, Connection => undef })
{
	my $name = join ', ', map { "$_: " . ($headers->{$_} // '(none)') }
	  sort keys %$headers;

	$response = upgrade($good, headers => $headers);
	is_refused($response, 426, undef, $name);
	is(lc($response->{headers}{upgrade} // ''), 'websocket', "$name: Upgrade");
}
$response = upgrade($good, version => 'HTTP/1.0');
is_refused($response, 426, undef, 'HTTP/1.0');

foreach my $version (undef, '8', '12', '14', '013', '13, 12', 'x', '')
{
	my $name = 'version ' . ($version // '(none)');

	$response =
	  upgrade($good, headers => { 'Sec-WebSocket-Version' => $version });
	is_refused($response, 426, undef, $name);
	is($response->{headers}{'sec-websocket-version'},
		'13', "$name: Sec-WebSocket-Version");
}

note '400: the key';

foreach my $key (
	undef, '', 'short',
	'dGhlIHNhbXBsZSBub25jZQ',          # no padding
	'dGhlIHNhbXBsZSBub25j',            # 15 bytes
	'dGhlIHNhbXBsZSBub25jZTE=',        # 17 bytes
	'dGhlIHNhbXBsZSBub25jZQ=!',
	'****************************')
{
	is_refused(
		upgrade($good, headers => { 'Sec-WebSocket-Key' => $key }),
		400, undef, 'key ' . ($key // '(none)'));
}

note 'the query';

my $bad_query = 'Invalid query parameters';

is_refused(upgrade($_), 400, $bad_query, $_)
  foreach (
	'/ws?token=%',             '/ws?token=%4',
	'/ws?token=%zz',           '/ws?token=%00',
	'/ws?token=a%00b',         '/ws?token=%ff',
	'/ws?token=%c3%28',        '/ws?token=%ed%a0%80',
	'/ws?token=a&token=b',     '/ws?session=a&session=b',
	'/ws?token=a&x=%zz',       '/ws?%zz=1&token=a',
	'/ws?session=a&session=a');
is_refused(upgrade($_), 401, $neither, $_)
  foreach (
	'/ws',                '/ws?',
	'/ws?token=',         '/ws?session=',
	'/ws?token',          '/ws?token=&session=',
	'/ws?Token=a',        '/ws?x=1',
	'/ws?token=a&session=b');
is_refused(upgrade('/ws?token=&session=b'),
	401, 'Invalid session', 'an empty token counts as missing');
is_refused(upgrade('/ws?token=a+b'),
	401, 'Invalid or expired credential', 'a plus sign in a token');
is(upgrade("/ws?x=1&token=$token&y=2&x=3")->{status},
	101, 'other parameters are ignored, repeated or not');
{
	(my $escaped = $token) =~ s/\./%2E/g;
	is(upgrade("/ws?t%6fken=$escaped")->{status}, 101, 'escapes are decoded');
}

note 'the order of the checks';

is_refused(upgrade('/ws?token=%', headers => { 'Sec-WebSocket-Version' => 12 }),
	426, undef, 'the version comes before the query');
is_refused(upgrade('/ws?token=%', headers => { 'Sec-WebSocket-Key' => 'x' }),
	400, undef, 'the key comes before the query');

note 'the other pages';

foreach my $path (qw(/healthz /readyz /metrics))
{
	$response = QuizRT::Client->get($node->url($path));
	is($response->{status}, 200, "GET $path");
	$response = upgrade($path, method => 'POST');
	is_refused($response, 405, undef, "POST $path");
}
$response = QuizRT::Client->get($node->url('/metrics'));
like($response->{headers}{'content-type'},
	qr{^text/plain}, 'metrics: the content type');
like($response->{body}, qr/^# HELP quizrt_\w+ .+\n# TYPE quizrt_\w+ (counter|gauge)\n/m,
	'metrics: in the format of Prometheus');
unlike($response->{body}, qr/\Q$token\E/, 'metrics: no credential');

note 'Origin';

$node->reconfigure(
	'quizrt.allowed_origins' => 'https://quiz.example, http://localhost:3000');
$node->wait_until(
	sub {
		upgrade($good, headers => { Origin => 'https://evil.example' })
		  ->{status} == 403;
	});
is_refused(upgrade($good, headers => { Origin => $_ }), 403, undef, "Origin $_")
  foreach ('https://evil.example', 'https://quiz.example.evil.example',
	'http://quiz.example', 'http://localhost', 'null');
is(upgrade($good, headers => { Origin => $_ })->{status}, 101, "Origin $_")
  foreach ('https://quiz.example', 'http://localhost:3000');
is(upgrade($good)->{status}, 101, 'no Origin passes');
is_refused(
	upgrade('/ws', headers => { Origin => 'https://evil.example' }),
	403, undef, 'the origin comes before the credential');
$node->reconfigure('quizrt.allowed_origins' => '');
$node->wait_until(
	sub {
		upgrade($good, headers => { Origin => 'https://evil.example' })
		  ->{status} == 101;
	});
pass('an empty list allows any again');

note '503: limits';

$node->reconfigure('quizrt.max_connections' => 2);
{
	my @clients;

	$node->wait_until(
		sub {
			push @clients, eval { QuizRT::Client->connect($node->url($good)) };
			return @clients < 2 ? 0 : upgrade($good)->{status} == 503;
		});
	$response = upgrade($good);
	is_refused($response, 503, undef, 'too many connections');
	like($response->{headers}{'retry-after'} // '',
		qr/^\d+$/, 'too many connections: Retry-After');
	is(QuizRT::Client->get($node->url('/healthz'))->{status},
		200, 'probes do not count');
	$_->disconnect foreach @clients;
	$node->wait_until(sub { upgrade($good)->{status} == 101 });
	pass('when they have gone others come in');
}
$node->reconfigure('quizrt.max_connections' => 100);

note '503: the database cannot answer';

my $key = $node->api_key('teacher');

$node->reconfigure('quizrt.query_timeout' => '500ms');
{
	my $session = $node->background_psql($QuizRT::Cluster::database);
	my $tables  = $node->sql("SELECT string_agg(oid::regclass::text, ', ')"
		  . " FROM pg_class WHERE relnamespace = 'quizrt'::regnamespace"
		  . " AND relkind = 'r'");

	$session->query_safe("BEGIN");
	$session->query_safe("LOCK TABLE $tables IN ACCESS EXCLUSIVE MODE");
	$response = upgrade("/ws?token=$key");
	is_refused($response, 503, undef, 'a lock on the keys');
	like($response->{headers}{'retry-after'} // '',
		qr/^\d+$/, 'a lock on the keys: Retry-After');
	$session->query_safe("ROLLBACK");
	$session->quit;
	$node->wait_until(sub { upgrade("/ws?token=$key")->{status} == 101 });
	pass('the lock has gone');
}

note '408: the head does not come';

$node->reconfigure('quizrt.request_timeout' => '300ms');
$node->wait_until(
	sub {
		raw("GET /ws HTTP/1.1\r\n")->{status} == 408;
	});
is_refused(raw("GET /ws HTTP/1.1\r\nHost: localhost\r\n"),
	408, undef, 'half a head');
{
	my $client = QuizRT::Client->dial($node->url('/'));

	ok($client->read_response->{status} == 408, 'nothing at all');
}

done_testing();
