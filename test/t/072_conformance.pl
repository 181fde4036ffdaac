# The cases of the well-known conformance suites, against the echo: framing,
# pings, reserved bits and opcodes, fragments, UTF-8, closing, sizes, and
# compression.  Where a suite accepts a lax answer, this one doesn't.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Client;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;
use Time::HiRes qw(time);

use constant {
	CONTINUATION => QuizRT::Client::CONTINUATION,
	TEXT         => QuizRT::Client::TEXT,
	BINARY       => QuizRT::Client::BINARY,
	CLOSE        => QuizRT::Client::CLOSE,
	PING         => QuizRT::Client::PING,
	PONG         => QuizRT::Client::PONG,
	RSV1         => 4,
	MiB          => 1024 * 1024,
};

# The extension isn't needed: the echo asks nobody.
my $node = QuizRT::Cluster->create(
	'main',
	bare     => 1,
	settings => {
		'quizrt.echo_path'        => '/echo',
		'quizrt.max_message_size' => '16MB',
		'quizrt.max_queue_size'   => '64MB',
	});

$node->wait_until(
	sub {
		my $response = eval { QuizRT::Client->get($node->url('/healthz')) };
		return $response && $response->{status} == 200;
	});

sub echo
{
	my (%options) = @_;

	return QuizRT::Client->connect($node->url('/echo'), %options);
}

sub frame
{
	return QuizRT::Client::frame(@_);
}

# One message comes back as it was.
sub comes_back
{
	my ($client, $opcode, $payload, $name) = @_;
	my $message = eval { $client->read_message };

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(
		$message
		  && $message->{opcode} == $opcode
		  && $message->{payload} eq $payload,
		$name) || diag $@ || explain $message;
}

# Bytes are a message that comes back, whole and in pieces, and the connection
# can be closed properly after it.
sub echoes
{
	my ($bytes, $opcode, $payload, $name) = @_;

	foreach my $piece (undef, length $bytes < 3000 ? 1 : 997)
	{
		my $client = echo();

		$client->send_raw($bytes, $piece);
		comes_back($client, $opcode, $payload,
			$name . ($piece ? ', in pieces' : ''));
		$client->send_close(1000);
		closes_with($client, 1000, 'and a good-bye');
	}
	return;
}

# Bytes end the connection with a code; what came before that came back.
sub fails
{
	my ($bytes, $code, $name, @before) = @_;

	foreach my $piece (undef, 1)
	{
		my $client = echo();

		eval { $client->send_raw($bytes, $piece) };
		comes_back($client, TEXT, $_, "$name: what came before") foreach @before;
		closes_with($client, $code, $name . ($piece ? ', in pieces' : ''));
	}
	return;
}

note '1: framing';

foreach my $opcode (TEXT, BINARY)
{
	foreach my $length (0, 1, 125, 126, 127, 128, 65535, 65536)
	{
		my $payload = $opcode == TEXT ? '*' x $length : "\xfe" x $length;

		echoes(frame($opcode, $payload), $opcode, $payload,
			"opcode $opcode, $length bytes");
	}
}

note '2: pings and pongs';

sub pong_is
{
	my ($client, $payload, $name) = @_;
	my $frame = $client->read_frame;

	return ok($frame->{opcode} == PONG && $frame->{payload} eq $payload, $name);
}

foreach my $payload ('', 'Hello', "\x00\xff\xfe\xfd\xfc\xfb\x00\xff", "\xfe" x 125)
{
	foreach my $piece (undef, 1)
	{
		my $client = echo();

		$client->send_raw(frame(PING, $payload), $piece);
		pong_is($client, $payload,
			'a ping of ' . length($payload) . ' bytes' . ($piece ? ', in pieces' : ''));
	}
}
fails(frame(PING, "\xfe" x 126), 1002, 'a ping of 126 bytes');
{
	my $client = echo();

	$client->send_raw(frame(PONG, $_) . frame(PONG, "$_!")) foreach '', 'unasked';
	$client->send_raw(frame(PING, 'asked'));
	pong_is($client, 'asked', 'pongs that nobody asked for are ignored');
	foreach my $piece (undef, 1)
	{
		$client->send_raw(join('', map { frame(PING, "payload-$_") } 0 .. 9),
			$piece);
		my @got = map { $client->read_frame->{payload} } 0 .. 9;

		is_deeply(\@got, [ map { "payload-$_" } 0 .. 9 ],
			'ten pings, ten pongs, in order');
	}
}

note '3: reserved bits';

foreach my $rsv (1 .. 7)
{
	fails(frame(TEXT, 'good') . frame(TEXT, 'x', rsv => $rsv) . frame(PING, 'x'),
		1002, "reserved bits $rsv", 'good');
	fails(frame($_, 'x', rsv => $rsv), 1002, "reserved bits $rsv, opcode $_")
	  foreach BINARY, PING, CLOSE;
}

note '4: reserved opcodes';

foreach my $opcode (3 .. 7, 11 .. 15)
{
	fails(frame($opcode, ''), 1002, "opcode $opcode");
	fails(frame(TEXT, 'good') . frame($opcode, 'x') . frame(PING, ''),
		1002, "opcode $opcode after a message", 'good');
}

note '5: fragments';

fails(frame($_, 'f1', fin => 0) . frame(CONTINUATION, 'f2'),
	1002, "opcode $_ in fragments")
  foreach PING, PONG;
foreach my $opcode (TEXT, BINARY)
{
	echoes(frame($opcode, 'f1', fin => 0) . frame(CONTINUATION, 'f2'),
		$opcode, 'f1f2', "two fragments of opcode $opcode");
	echoes(frame($opcode, '', fin => 0) . frame(CONTINUATION, ''),
		$opcode, '', "two empty ones");
	echoes(
		frame($opcode, '', fin => 0)
		  . frame(CONTINUATION, 'x', fin => 0)
		  . frame(CONTINUATION, ''),
		$opcode, 'x', "one of three is not empty");
}
foreach my $piece (undef, 1)
{
	my $client = echo();

	$client->send_raw(
		join('',
			frame(TEXT, 'f1', fin => 0),
			frame(PING, 'one'),
			frame(CONTINUATION, 'f2', fin => 0),
			frame(PING, 'two'),
			frame(CONTINUATION, 'f3')),
		$piece);
	pong_is($client, $_, "ping $_ between the fragments") foreach 'one', 'two';
	comes_back($client, TEXT, 'f1f2f3', 'comes before the message');
}
fails(frame(CONTINUATION, 'x', fin => $_) . frame(TEXT, 'y'),
	1002, "a continuation of nothing, FIN $_")
  foreach 0, 1;
fails(
	frame(TEXT, 'f1', fin => 0)
	  . frame(CONTINUATION, 'f2')
	  . frame(CONTINUATION, 'f3', fin => 0),
	1002, 'a continuation after the end', 'f1f2');
fails(frame($_, 'f1', fin => 0) . frame(TEXT, 'f2'),
	1002, 'a message within a message')
  foreach TEXT, BINARY;

note '6: UTF-8';

my $kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

foreach my $good (
	"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
	$kosme,
	"\x00",             "\x7f",
	"\xc2\x80",         "\xdf\xbf",
	"\xe0\xa0\x80",     "\xef\xbf\xbf",
	"\xed\x9f\xbf",     "\xee\x80\x80",
	"\xef\xbf\xbd",     "\xef\xbf\xbe",
	"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
	"\xf0\x9f\xbf\xbe", "\xef\xb7\x90")
{
	my $name = unpack 'H*', $good;

	echoes(frame(TEXT, $good), TEXT, $good, "valid: $name");
	echoes(
		join('',
			frame(TEXT, '', fin => 0),
			(map { frame(CONTINUATION, $_, fin => 0) } split //, $good),
			frame(CONTINUATION, '')),
		TEXT, $good, "valid: $name, a fragment a byte");
}
foreach my $bad (
	"$kosme\xed\xa0\x80edited", "$kosme\xf4\x90\x80\x80edited",
	"\x80",             "\xbf",
	"\xc0\x80",         "\xc1\xbf",
	"\xe0\x80\x80",     "\xe0\x9f\xbf",
	"\xed\xa0\x80",     "\xed\xbf\xbf",
	"\xed\xa0\x80\xed\xb0\x80",
	"\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
	"\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
	"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80",
	"\xfe", "\xff", "\xc3(", "\xe2\x82(", "\xf0\x9f\x98(",
	"\xce\xba\xe1\xbd",     "\xce", "\xe1\xbd", "\xf0\x9f\x98")
{
	my $name = unpack 'H*', $bad;

	fails(frame(TEXT, $bad), 1007, "invalid: $name");
	fails(
		frame(TEXT, substr($bad, 0, 1), fin => 0)
		  . frame(CONTINUATION, substr $bad, 1),
		1007, "invalid: $name, in fragments");
	echoes(frame(BINARY, $bad), BINARY, $bad, "as binary it is none: $name");
}
{
	# What can't become valid any more ends at once, not with the message.
	my $client = echo();

	$client->send_raw(frame(TEXT, $kosme, fin => 0)
		  . frame(CONTINUATION, "\xf4\x90", fin => 0));
	closes_with($client, 1007, 'fails fast between fragments');
	$client = echo();
	$client->send_raw(
		substr frame(TEXT, "$kosme\xf4\x90" . 'x' x 1000), 0, 30);
	closes_with($client, 1007, 'fails fast within a frame');
}

note '7: closing';

foreach my $code (1000 .. 1003, 1007 .. 1014, 3000, 3999, 4000, 4999)
{
	my $client = echo();

	$client->send_close($code, 'good-bye');
	closes_with($client, $code, "close $code");
}
{
	my $client = echo();

	$client->send_close;
	closes_with($client, 1005, 'an empty close');
	$client = echo();
	$client->send_close(1000, "\xce\xba" x 61 . 'x');
	closes_with($client, 1000, 'a reason of 123 bytes');
}
fails(frame(CLOSE, pack 'n', $_), 1002, "close $_")
  foreach 0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000,
  65535;
fails(frame(CLOSE, "\x03"), 1002, 'a close of one byte');
fails(frame(CLOSE, pack('n', 1000) . 'x' x 124), 1002, 'a close of 126 bytes');
fails(frame(CLOSE, pack('n', 1000) . $_), 1007, 'a reason that is not UTF-8')
  foreach "\xff", "$kosme\xed\xa0\x80edited", "caf\xc3";
foreach my $piece (undef, 1)
{
	my $client = echo();

	$client->send_raw(
		frame(TEXT, 'first')
		  . frame(CLOSE, pack 'n', 1000)
		  . frame(TEXT, 'late')
		  . frame(PING, 'late'),
		$piece);
	$client->{close_sent} = 1;
	comes_back($client, TEXT, 'first', 'what was said before the close');
	closes_with($client, 1000, 'and nothing of what comes after it');
	$client = echo();
	$client->send_raw(frame(TEXT, 'f1', fin => 0) . frame(CLOSE, ''), $piece);
	$client->{close_sent} = 1;
	closes_with($client, 1005, 'a close within a message');
}

note 'the mask';

fails(frame(TEXT, 'x', mask => 0), 1002, 'no mask');
fails(frame(PING, '', mask => 0), 1002, 'nor on a ping');
echoes(frame(TEXT, 'zero', mask => "\0\0\0\0"), TEXT, 'zero', 'a mask of zeros');

note 'lengths that are not minimal';

fails(frame(TEXT, 'x' x $_->[0], form => $_->[1]),
	1002, "$_->[0] bytes in $_->[1] bits")
  foreach [ 0, 16 ], [ 125, 16 ], [ 125, 64 ], [ 126, 64 ], [ 65535, 64 ];
{
	my $client = echo();

	$client->send_raw("\x82\xff\x80\0\0\0\0\0\0\x01\0\0\0\0");
	closes_with($client, 1002, 'the highest bit of a length');
	$client = echo();
	$client->send_raw("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0");
	closes_with($client, 1009, 'a length of nearly 2^63');
}

note '9: sizes';

foreach my $opcode (TEXT, BINARY)
{
	foreach my $size (65536, MiB / 4, MiB, 4 * MiB, 16 * MiB)
	{
		my $payload =
		  ($opcode == TEXT ? $kosme . 'x' x 5 : "\xff\0" x 8) x ($size / 16);
		my $client = echo();

		$client->send_raw(frame($opcode, $payload));
		comes_back($client, $opcode, $payload,
			"opcode $opcode, $size bytes");
		next if $size > 4 * MiB;
		$client->send_raw(frame($opcode, $payload), $size / 64);
		comes_back($client, $opcode, $payload, '... in pieces');
	}
	foreach my $size (64, 1024, 65536)
	{
		my $payload = 'y' x MiB;
		my $client  = echo();
		my @parts   = unpack "(a$size)*", $payload;
		my $last    = pop @parts;

		$client->send_raw(
			join '',
			frame($opcode, shift(@parts) // '', fin => 0),
			(map { frame(CONTINUATION, $_, fin => 0) } @parts),
			frame(CONTINUATION, $last));
		comes_back($client, $opcode, $payload,
			"opcode $opcode, 1 MiB in fragments of $size");
	}
}
{
	my $client = echo();
	my $piece  = frame(CONTINUATION, 'z', fin => 0, mask => 'mask');

	$client->send_raw(frame(TEXT, '', fin => 0)
		  . $piece x 65534
		  . frame(CONTINUATION, '!'));
	comes_back($client, TEXT, 'z' x 65534 . '!', '65,536 fragments');
	$client->send_frame(BINARY, "\0" x (16 * MiB));
	comes_back($client, BINARY, "\0" x (16 * MiB), 'exactly the limit');
	eval { $client->send_frame(BINARY, "\0" x (16 * MiB + 1)) };
	closes_with($client, 1009, 'one byte above the limit');
	$client = echo();
	$client->send_frame(TEXT, 'x' x MiB, fin => 0);
	eval { $client->send_frame(CONTINUATION, 'x' x (15 * MiB + 1)) };
	closes_with($client, 1009, 'one byte above it, in fragments');
}

note '9.7: many messages';

foreach my $size (0, 16, 64, 256, 1024, 4096)
{
	my $client = echo();
	my $count  = 1000;

	$client->send_raw(join '',
		map { frame(TEXT, sprintf('%0*d', $size, $_)) } 1 .. $count);
	my $good = grep {
		$client->read_message->{payload} eq sprintf '%0*d', $size, $_
	} 1 .. $count;

	is($good, $count, "$count messages of $size bytes, in order");
}

note '10: fragments of any size';

{
	my $client  = echo();
	my $payload = '*' x 65536;

	$client->send_raw(frame(TEXT, $payload), 1300);
	comes_back($client, TEXT, $payload, '64 KiB in writes of 1300 bytes');
}

note '12, 13: compression';

my $json = '{"event":"update","data":{"score":10.0,"answered_count":3}}';

foreach my $offer ('permessage-deflate',
	'permessage-deflate; client_max_window_bits',
	'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
	(map { "permessage-deflate; server_max_window_bits=$_; client_max_window_bits" }
		8, 9, 12, 15))
{
	my $client = echo(deflate => $offer);

	foreach my $size (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072)
	{
		my $payload = substr $json x ($size / length($json) + 1), 0, $size;
		my $packed  = QuizRT::Client::deflated($payload);
		my $half    = int(length($packed) / 2);

		$client->send_raw(frame(TEXT, $packed, rsv => RSV1) x 5);
		my $good = grep { $client->read_message->{payload} eq $payload } 1 .. 5;
		is($good, 5, "$offer: $size bytes");
		$client->send_raw(
			frame(BINARY, substr($packed, 0, $half), rsv => RSV1, fin => 0)
			  . frame(CONTINUATION, substr $packed, $half));
		comes_back($client, BINARY, $payload, '... in fragments');
	}
	$client->ping;
}
{
	my $client = echo(deflate => 'permessage-deflate');
	my $large  = $json x 100_000;

	$client->send_frame(TEXT, QuizRT::Client::deflated($large), rsv => RSV1);
	comes_back($client, TEXT, $large, 'a large message, compressed');
	foreach my $level (0, 1, 9)
	{
		$client->send_frame(TEXT,
			QuizRT::Client::deflated($json, -Level => $level), rsv => RSV1);
		comes_back($client, TEXT, $json, "level $level");
	}
	$client->send_frame(TEXT, QuizRT::Client::deflated("\xce"), rsv => RSV1);
	closes_with($client, 1007, 'half a character');
	$client = echo(deflate => 'permessage-deflate');
	$client->send_frame(BINARY, QuizRT::Client::deflated("\0" x (16 * MiB + 1)),
		rsv => RSV1);
	closes_with($client, 1009, 'one byte above the limit');
}

note 'the setting';

like($node->log_text, qr{sends back whatever anybody sends to "/echo"},
	'the log says that the echo is on');
{
	my $client = echo();

	$node->reconfigure('quizrt.echo_path' => '');
	$node->wait_until(
		sub { QuizRT::Client->attempt($node->url('/echo'))->{status} == 404 });
	pass('without the setting there is no echo');
	$client->send_text('still');
	comes_back($client, TEXT, 'still', 'who was connected stays');
	$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN');
	my (undef, $shown, $error) = $node->psql('postgres',
		'SHOW quizrt.echo_path', extra_params => [ '-U', 'nobody' ]);

	like($error, qr/must be superuser|permission denied/,
		'others than superusers do not see it');
	(undef, undef, $error) =
	  $node->psql('postgres', q(ALTER SYSTEM SET quizrt.echo_path = 'echo'));
	like($error, qr/invalid value/, 'a path begins with a slash');
}

$node->stop;
done_testing();
