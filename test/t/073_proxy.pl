# Who a client is behind a proxy: X-Forwarded-For, X-Forwarded-Proto and the
# PROXY protocol, and who is believed.

use strict;
use warnings;

use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use QuizRT::Client;
use QuizRT::Cluster;
use QuizRT::Test;
use Socket qw(inet_aton inet_pton AF_INET6);
use Test::More;
use Time::HiRes qw(time);

my $sockets = PostgreSQL::Test::Utils::tempdir_short();
my $node    = QuizRT::Cluster->create('main',
	settings => { 'quizrt.unix_socket_directories' => $sockets });
my $target = '/ws?token=' . QuizRT::Cluster::jwt({ sub => 'teacher' });
my $tls    = $node->{tls} ? 't' : 'f';
my $local  = '127.0.0.1';
my $marks  = 0;

sub client
{
	my (%options) = @_;

	return QuizRT::Client->connect($node->url($target), %options);
}

sub forwarded
{
	my ($for, $proto) = @_;

	return client(
		headers => {
			'X-Forwarded-For' => $for,
			defined $proto ? ('X-Forwarded-Proto' => $proto) : ()
		});
}

# What the view says of the only connection that is open: address|encrypted.
sub seen
{
	return $node->sql('SELECT address, encrypted FROM quizrt.connections'
		  . " WHERE state = 'open'");
}

sub seen_is
{
	my ($client, $expected, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(seen(), $expected, $name);
	$client->abort;
	$node->wait_until(sub { seen() eq '' });
	return;
}

# Change settings; the gateway has them when there is an echo at a new path.
sub set
{
	my (%settings) = @_;
	my $marker = '/marker-' . ++$marks;
	my ($path) = glob "$sockets/.s.quizrt.*";

	$node->reconfigure(%settings, 'quizrt.echo_path' => $marker);
	$node->wait_until(
		sub {
			QuizRT::Client->get("http://localhost$marker", unix => $path)
			  ->{status} == 426;
		});
	return;
}

sub metric
{
	my ($name) = @_;

	return $node->sql("SELECT value FROM quizrt.stats WHERE name = '$name'");
}

note 'nobody is trusted by default';

seen_is(client(), "$local|$tls", 'no header');
seen_is(forwarded('192.0.2.1', 'https'), "$local|$tls", 'forged headers');

note 'a trusted proxy';

set('quizrt.trusted_proxies' => '127.0.0.0/8, 10.0.0.0/8, 2001:db8::/32');
seen_is(client(), "$local|$tls", 'no header');
seen_is(forwarded('192.0.2.1'), "192.0.2.1|$tls", 'an address');
seen_is(forwarded('2001:DB9::1'), "2001:db9::1|$tls", 'an IPv6 address');
seen_is(forwarded('192.0.2.1:4711'), "192.0.2.1|$tls", 'a port');
seen_is(forwarded('[2001:db9::1]:4711'), "2001:db9::1|$tls", 'in brackets');
seen_is(forwarded('::ffff:192.0.2.1'), "192.0.2.1|$tls", 'a mapped address');
seen_is(forwarded('203.0.113.9, 192.0.2.1'),
	"192.0.2.1|$tls", 'of several the last, which the proxy has written');
seen_is(forwarded('203.0.113.9, 192.0.2.1 , 10.0.0.1,2001:db8::5'),
	"192.0.2.1|$tls", 'behind more proxies, the last that is none');
seen_is(forwarded([ '203.0.113.9', '192.0.2.1' ]),
	"192.0.2.1|$tls", 'of several headers, too');
seen_is(forwarded('10.0.0.1, 10.0.0.2'), "10.0.0.1|$tls", 'proxies only');
seen_is(forwarded($_), "$local|$tls", "no address: $_")
  foreach 'unknown', '192.0.2', '192.0.2.1.1', '', ',', '<script>', '1' x 300;
seen_is(forwarded('192.0.2.1, unknown, 10.0.0.1'),
	"10.0.0.1|$tls", 'up to what is no address');
seen_is(forwarded('192.0.2.1', 'https'), '192.0.2.1|t', 'https');
seen_is(forwarded('192.0.2.1', 'http'),  '192.0.2.1|f', 'http');
seen_is(forwarded('192.0.2.1', 'http, wss'), '192.0.2.1|t', 'wss, at the end');

note 'limits count the client';

set('quizrt.max_connections_per_address' => 2);
{
	my @clients = map { forwarded("192.0.2.$_") } 1, 1, 2, 2;

	is_refused(
		QuizRT::Client->attempt(
			$node->url($target),
			headers => { 'X-Forwarded-For' => '192.0.2.1' }),
		503, 'Too many connections', 'the third of one address');
	push @clients, forwarded('192.0.2.3');
	pass('another address');
	$_->abort foreach @clients;
	$node->wait_until(sub { seen() eq '' });
}
set('quizrt.trusted_proxies' => '10.0.0.1');
{
	my @clients = map { forwarded("192.0.2.$_") } 1, 2;

	is_refused(
		QuizRT::Client->attempt(
			$node->url($target),
			headers => { 'X-Forwarded-For' => '192.0.2.3' }),
		503, 'Too many connections', 'forged addresses count as one');
	$_->abort foreach @clients;
	$node->wait_until(sub { seen() eq '' });
}
set('quizrt.max_connections_per_address' => 0);

note 'Unix-domain sockets';

{
	my ($path) = glob "$sockets/.s.quizrt.*";
	my $connect = sub {
		QuizRT::Client->connect(
			"ws://localhost$target",
			unix    => $path,
			headers => { 'X-Forwarded-For' => '192.0.2.1' });
	};

	seen_is($connect->(), 'local|f', 'a proxy on one is not trusted');
	set('quizrt.trusted_proxies' => 'local');
	seen_is($connect->(), '192.0.2.1|f', 'unless the setting says so');
}

note 'the setting';

like($node->sql_fails("ALTER SYSTEM SET quizrt.trusted_proxies = '$_'"),
	qr/invalid value/, "no list: $_")
  foreach '10.0.0.0/33', 'proxy.example', '10.0.0.1 - 10.0.0.9';

note 'the PROXY protocol';

my $signature = "\r\n\r\n\0\r\nQUIT\n";

# A header of version 2.
sub v2
{
	my ($command, $family, $payload) = @_;

	return pack 'a12CCn/a', $signature, $command, $family, $payload;
}

my $ipv4 = inet_aton('192.0.2.1') . inet_aton('127.0.0.1') . pack 'nn', 1, 2;
my $ipv6 = inet_pton(AF_INET6, '2001:db9::1')
  . inet_pton(AF_INET6, '::1') . pack 'nn', 1, 2;

set(
	'quizrt.trusted_proxies' => '127.0.0.1',
	'quizrt.request_timeout' => '2s',
	'quizrt.proxy_protocol'  => 'on');

foreach my $case (
	[ "PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n", '192.0.2.1',   'version 1' ],
	[ "PROXY TCP6 2001:db9::1 ::1 1 2\r\n",     '2001:db9::1', 'IPv6' ],
	[ "PROXY UNKNOWN\r\n",        $local,        'unknown' ],
	[ v2(0x21, 0x11, $ipv4),      '192.0.2.1',   'version 2' ],
	[ v2(0x21, 0x21, $ipv6),      '2001:db9::1', 'IPv6' ],
	[ v2(0x20, 0x00, ''),         $local,        'the proxy itself' ],
	[ v2(0x21, 0x11, $ipv4 . pack 'Cn/a', 4, 'x' x 2000), '192.0.2.1',
		'additions' ])
{
	my ($header, $address, $name) = @$case;

	seen_is(client(before => $header), "$address|$tls", $name);
}
seen_is(
	client(
		before  => "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
		headers => { 'X-Forwarded-For' => '192.0.2.7' }),
	"192.0.2.7|$tls",
	'and behind it a proxy that speaks HTTP');
seen_is(
	client(
		before  => "PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n",
		headers => { 'X-Forwarded-For' => '192.0.2.7' }),
	"192.0.2.1|$tls",
	'but not one that is not trusted');

# Everything that comes on a connection which begins with these bytes.
sub answer_to
{
	my ($bytes) = @_;
	my $socket = IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $node->ws_port,
		Proto    => 'tcp') or die;
	my ($began, $all) = (time, '');

	local $SIG{PIPE} = 'IGNORE';
	syswrite $socket, $bytes;
	while (time - $began < 10)
	{
		next unless IO::Select->new($socket)->can_read(1);
		return ($all, time - $began)
		  unless sysread $socket, $all, 65536, length $all;
	}
	die "the server doesn't end the connection\n";
}

my $get = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

foreach my $bytes (
	$get,
	"PROXY TCP4 192.0.2.1 127.0.0.1 1\r\n$get",
	"PROXY TCP4 192.0.2.1\r\n",
	'PROXY ' . 'x' x 200,
	v2(0x31, 0x11, $ipv4) . $get,
	v2(0x21, 0x11, 'short') . $get,
	v2(0x20, 0, 'x' x 5000))
{
	(my $name = substr $bytes, 0, 40) =~ s/[^ -~]/./g;
	is((answer_to($bytes))[0], '', "no header: $name");
}
foreach my $bytes ('', 'PROXY TCP4 192', substr($signature, 0, 7), v2(0x21, 0x11, $ipv4))
{
	my ($answer, $seconds) = answer_to($bytes);
	my $whole = length $bytes > 20;

	(my $name = $bytes) =~ s/[^ -~]/./g;
	ok($seconds > 1 && $seconds < 60, "it has the time of a head: \"$name\"");
	like($answer, $whole && $tls eq 'f' ? qr/^HTTP.* 408 / : qr/^$/,
		'and is answered only after the header');
}
cmp_ok(metric('proxy_headers_refused'), '>=', 6, 'they are counted');

# A unix-domain socket has no header.
{
	my ($path) = glob "$sockets/.s.quizrt.*";

	is(QuizRT::Client->get('http://localhost/healthz', unix => $path)->{status},
		200, 'a Unix-domain socket stays as it is');
}

note 'others than trusted proxies';

my $offset = -s $node->logfile;

set('quizrt.trusted_proxies' => '10.0.0.1');
is((answer_to("PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n$get"))[0],
	'', 'are closed, with a header or without') foreach 1 .. 5;
my $said = () = $node->log_text($offset) =~ /closed a connection from 127\.0\.0\.1/g;
is($said, 1, 'the log says why, once in a while');

set('quizrt.proxy_protocol' => 'off');
$node->wait_ready;
pass('off again');
unlike($node->log_text, qr/PANIC|terminated by signal/, 'nothing crashed');
$node->stop;
done_testing();
