# TLS: certificates and their files, versions, and clients that get stuck.
# (That everything else is the same with it: "dev/check tls".)

use strict;
use warnings;

use IO::Socket::INET;
use IO::Socket::SSL;
use IPC::Run;
use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = QuizRT::Cluster->create(
	'main',
	tls      => 1,
	settings => {
		'quizrt.max_error_rate'  => 0,
		'quizrt.request_timeout' => '2s',
		'quizrt.unix_socket_directories' => PostgreSQL::Test::Utils::tempdir_short(),
	});
my $quiz  = $node->create_quiz;
my $id    = $quiz->{quiz_id};
my $dir   = $node->basedir;
my $ca    = "$dir/server.crt";

# Speak TLS as a client that may want something else; the session, or undef
# and the error.
sub tls
{
	my (%options) = @_;
	my $socket = IO::Socket::SSL->new(
		PeerAddr        => '127.0.0.1',
		PeerPort        => $node->ws_port,
		SSL_verify_mode => SSL_VERIFY_NONE,
		Timeout         => 10,
		%options);

	return wantarray ? ($socket, "$IO::Socket::SSL::SSL_ERROR") : $socket;
}

# The common name of the certificate that is served now.
sub served
{
	my $socket = tls() or return '';

	return $socket->peer_certificate('commonName');
}

sub plain
{
	return IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $node->ws_port,
		Proto    => 'tcp');
}

# All that comes up to the end, and how long that took.
sub read_to_end
{
	my ($socket) = @_;
	my ($began, $all) = (time, '');

	while (time - $began < 30)
	{
		next unless IO::Select->new($socket)->can_read(1);
		my $got = sysread $socket, $all, 65536, length $all;
		return ($all, time - $began, defined $got) unless $got;
	}
	return ($all, undef, 0);
}

sub listening
{
	my $socket = plain();

	return defined $socket;
}

sub metric
{
	my ($name) = @_;

	my $page = QuizRT::Client->get($node->url('/metrics'))->{body};

	return $page =~ /^quizrt_$name(?:_total)? (\d+)$/m ? $1 : undef;
}

note 'a client';

my $client = QuizRT::Client->connect(
	$node->url('/ws?token=' . QuizRT::Cluster::jwt({ sub => 'teacher' })),
	ca => $ca);

$client->subscribe("quiz:$id");
is_message($client,
	qq({"event":"subscribed","t":null,"subscriptions":["quiz:$id"]}),
	'wss, the certificate verified');
$client->send_raw(QuizRT::Client::frame(QuizRT::Client::TEXT, 'x' x 65536), 1000);
is_error($client, 'Invalid message: not valid JSON', 'a message of many records');
{
	# Many messages in one record, and in one turn.
	$client->send_raw(
		join '', map { QuizRT::Client::frame(QuizRT::Client::TEXT, '!' x 10) }
		  1 .. 5000);
	my $n = grep { $_->{event} eq 'error' } map { $client->expect_json } 1 .. 5000;
	is($n, 5000, 'nothing stays behind in a buffer');
}

note 'versions and ciphers';

foreach my $version ('TLSv1_2', 'TLSv1_3')
{
	my $socket = tls(SSL_version => $version);

	is($socket ? $socket->get_sslversion : '', $version, "$version is spoken");
}
{
	my ($socket) = tls(SSL_version => 'TLSv1_2');

	like($socket->get_cipher, qr/^ECDHE-.*(GCM|CHACHA20)/, 'with a good cipher');
	foreach my $bad ('AES256-GCM-SHA384', 'ECDHE-ECDSA-AES256-SHA384')
	{
		($socket) = tls(SSL_version => 'TLSv1_2', SSL_cipher_list => $bad);
		ok(!$socket, "not with $bad");
	}
	($socket) = tls(
		SSL_version     => 'TLSv1_1',
		SSL_cipher_list => 'ALL:@SECLEVEL=0');
	ok(!$socket, 'TLS 1.1 is refused');
	$node->reconfigure('quizrt.tls_min_protocol' => 'TLSv1.3');
	$node->wait_until(sub { !tls(SSL_version => 'TLSv1_2') });
	pass('TLS 1.2, too, where the setting says so');
	$node->reconfigure('quizrt.tls_min_protocol' => 'TLSv1.2');
	$node->wait_until(sub { tls(SSL_version => 'TLSv1_2') });
	($socket) = tls(SSL_alpn_protocols => [ 'h2', 'http/1.1' ]);
	is($socket ? $socket->alpn_selected : '', 'http/1.1', 'ALPN: http/1.1');
	($socket) = tls(SSL_alpn_protocols => ['h2']);
	ok(!$socket, 'and nothing else');
}

note 'strangers';

foreach my $bytes ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
	"\x16\x03\x01", "\0" x 100, 'x' x 100_000)
{
	my $socket = plain();
	my $name   = substr $bytes, 0, 10;

	$name =~ s/[^ -~]/./g;
	local $SIG{PIPE} = 'IGNORE';
	syswrite $socket, $bytes;
	shutdown $socket, 1;
	my ($answer, $seconds) = read_to_end($socket);

	ok(defined $seconds, "\"$name\": the connection ends");
	unlike($answer // '', qr/alive/, 'without an answer in the clear');
}
cmp_ok(metric('tls_handshakes_failed'), '>', 0, 'they are counted');

note 'stuck handshakes';

{
	# 16 3 1, a length, and the beginning of a greeting; or nothing at all
	my %stuck = map { $_ => plain() } '', "\x16", "\x16\x03\x01\x02\x00\x01\x00";
	my $began = time;

	syswrite $stuck{$_}, $_ foreach grep { length } keys %stuck;
	foreach my $bytes (sort keys %stuck)
	{
		read_to_end($stuck{$bytes});
		my $seconds = time - $began;

		ok($seconds > 1 && $seconds < 15,
			length($bytes) . " bytes of a handshake end after their time")
		  or diag $seconds;
	}

	# The handshake and the head have one deadline together.
	my ($socket) = tls();
	my $idle = time;

	my ($answer) = read_to_end($socket);
	like($answer, qr{^HTTP/1.1 408 }, 'a missing head is told');
	cmp_ok(time - $idle, '<', 15, 'in its time');
	$client->ping;
	pass('nobody else has noticed');
}
{
	my @many;

	$node->reconfigure(
		'quizrt.max_handshakes'  => 5,
		'quizrt.request_timeout' => '60s');
	$node->wait_until(
		sub {
			push @many, plain();
			# one more than allowed is dropped at once
			return grep { IO::Select->new($_)->can_read(0) } @many;
		}, 10);
	pass('handshakes at once are limited');
	cmp_ok(scalar @many, '>', 5, 'to what the setting says');
	close $_ foreach @many;
	$node->reconfigure(
		'quizrt.max_handshakes'  => 10000,
		'quizrt.request_timeout' => '2s');
	$node->wait_ready;
}

note 'a slow reader of much';

{
	my $slow  = $node->owner_client('teacher');
	my $count = 3000;

	$node->sql("INSERT INTO quiz.participants (alias) SELECT repeat('n', 200) || n"
		  . " FROM generate_series(1, $count) n;"
		  . ' INSERT INTO quiz.attempts (quiz_id, participant_id)'
		  . " SELECT $id, participant_id FROM quiz.participants");
	$slow->subscribe("attempts:$id");
	sleep 1;    # the socket's buffers are full by then
	$client->ping;
	pass('it delays nobody');

	# Pings go before what waits, also when a record is half sent.
	my ($pings, $snapshot) = (0);

	while (!$snapshot)
	{
		my $got = sysread $slow->socket, $slow->{in}, 3000, length $slow->{in};

		die "the connection ended: $!" if defined $got ? !$got : !$!{EAGAIN};
		while (my $frame = $slow->_take_frame)
		{
			if ($frame->{opcode} == QuizRT::Client::PING)
			{
				$pings++;
				$slow->send_frame(QuizRT::Client::PONG, $frame->{payload});
			}
			$snapshot = $frame->{payload}
			  if $frame->{payload} =~ /^\{"event":"snapshot"/;
		}
	}
	is(scalar(() = $snapshot =~ /"attempt_id"/g), $count,
		'all of a large snapshot arrives');
	$slow->ping;
	pass('and it goes on');
}

note 'a new certificate';

my $offset = -s $node->logfile;

$node->make_certificate('second', subject => '/CN=second');
$node->reconfigure($node->tls_settings('second'));
$node->wait_until(sub { served() eq 'second' });
pass('a reload brings it');
$node->sql("SELECT quizrt.publish('quiz:$id', 'still', '{}')");
ok($client->wait_for(sub { ($_->{t} // '') eq 'still' }),
	'who was connected stays');
is(index($node->log_text($offset), 'could not'), -1, 'without a complaint');

# What is wrong with a new one is said once, and the old one stays.
sub is_kept
{
	my ($complaint, $name) = @_;

	$node->wait_until(sub { $node->log_text($offset) =~ $complaint });
	pass("$name: it is said");
	is(served(), 'second', 'the old one is served');
	sleep 2;
	is(scalar(() = $node->log_text($offset) =~ /$complaint/g), 1, 'once');
	return;
}

$offset = -s $node->logfile;
chmod 0644, "$dir/second.key";
$node->reload;
is_kept(qr/quizrt: could not use the private key "[^"]*second\.key"/,
	'a key that others can read');
like($node->log_text($offset), qr/has group or world access/,
	'with the reason');
chmod 0600, "$dir/second.key";

$offset = -s $node->logfile;
append_to_file("$dir/none.crt", "no certificate\n");
$node->reconfigure('quizrt.tls_cert_file' => "$dir/none.crt");
is_kept(qr/quizrt: could not load the certificate "[^"]*none\.crt"/,
	'no certificate');

$offset = -s $node->logfile;
$node->reconfigure(
	'quizrt.tls_cert_file' => "$dir/server.crt",
	'quizrt.tls_key_file'  => "$dir/second.key");
is_kept(qr/quizrt: could not load the private key "[^"]*second\.key": key values mismatch/,
	'another key');

$offset = -s $node->logfile;
$node->reconfigure(
	'quizrt.tls_cert_file' => "$dir/missing.crt",
	'quizrt.tls_key_file'  => "$dir/missing.key");
is_kept(qr/quizrt: could not load the certificate "[^"]*missing\.crt": No such file/,
	'no file');
$node->make_certificate('missing', subject => '/CN=missing');
$node->wait_until(sub { served() eq 'missing' });
pass('and when it comes, it is found');
$client->ping;
pass('all that has disturbed nobody');

note 'failing closed';

my ($path) = glob $node->safe_psql('postgres',
	'SHOW quizrt.unix_socket_directories') . '/.s.quizrt.*';

$node->reconfigure('quizrt.tls_key_file' => '');
$offset = -s $node->logfile;
is(served(), 'missing', 'without a key, the old one is served');
$node->restart;
$node->wait_until(
	sub { $node->log_text($offset) =~ /tls_key_file must both be set/ });
is(QuizRT::Client->get('http://localhost/healthz', unix => $path)->{status},
	200, 'a Unix-domain socket is served without TLS');
ok(!listening(), 'a certificate without a key: no port is open');
$offset = -s $node->logfile;
$node->reconfigure(
	'quizrt.tls_cert_file' => '',
	'quizrt.tls_key_file'  => "$dir/second.key");
$node->wait_until(
	sub { $node->log_text($offset) =~ /tls_key_file must both be set/ });
ok(!listening(), 'nor with a key alone');
chmod 0644, "$dir/second.key";
$offset = -s $node->logfile;
$node->reconfigure($node->tls_settings('second'));
$node->wait_until(sub { $node->log_text($offset) =~ /has group or world access/ });
sleep 1.5;
ok(!listening(), 'nor with a key that others can read');
is(scalar(() = $node->log_text($offset) =~ /has group or world access/g),
	1, 'which is said once');
chmod 0600, "$dir/second.key";
$node->wait_until(\&listening);
is(served(), 'second', 'the key mended, it is served');

note 'and back';

$node->reconfigure('quizrt.tls_cert_file' => '', 'quizrt.tls_key_file' => '');
$node->{tls} = 0;
$node->wait_ready;
pass('without both settings the port speaks plain HTTP');
$offset = -s $node->logfile;
$node->reconfigure(
	'quizrt.tls_cert_file' => "$dir/none.crt",
	'quizrt.tls_key_file'  => "$dir/second.key");
$node->wait_until(sub { !listening() });
pass('a bad certificate then closes it');

unlike($node->log_text, qr/PANIC|terminated by signal/, 'nothing crashed');
$node->stop;
done_testing();
