# Frames that break the rules of RFC 6455, and ones that only look like it.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Client;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

use constant {
	CONTINUATION => QuizRT::Client::CONTINUATION,
	TEXT         => QuizRT::Client::TEXT,
	BINARY       => QuizRT::Client::BINARY,
	CLOSE        => QuizRT::Client::CLOSE,
	PING         => QuizRT::Client::PING,
	PONG         => QuizRT::Client::PONG,
};

my $node = QuizRT::Cluster->create('main',
	settings => { 'quizrt.max_error_rate' => 0 });
my $not_json = 'Invalid message: not valid JSON';

sub frame
{
	return QuizRT::Client::frame(@_);
}

# Bytes of frames close the connection with a code, whole and byte by byte.
sub violates
{
	my ($bytes, $code, $name) = @_;

	foreach my $piece (undef, 1)
	{
		my $client = $node->owner_client;

		# The server may have stopped reading before the last piece.
		eval { $client->send_raw($bytes, $piece) };
		closes_with($client, $code, $name . ($piece ? ', in pieces' : ''));
	}
	return;
}

# Bytes of frames are a message that the server reads (and finds not to be
# JSON), whole and byte by byte.
sub is_read
{
	my ($bytes, $name) = @_;

	foreach my $piece (undef, 1)
	{
		my $client = $node->owner_client;

		$client->send_raw($bytes, $piece);
		is_error($client, $not_json, $name . ($piece ? ', in pieces' : ''));
		lives(sub { $client->ping }, 'the connection lives');
	}
	return;
}

note 'what is allowed';

is_read(frame(TEXT, 'hello'), 'a text frame');
is_read(frame(TEXT, ''),      'an empty text frame');
is_read(frame(TEXT, 'x' x 126),   'a length of 16 bits');
is_read(
	frame(TEXT, 'he', fin => 0)
	  . frame(CONTINUATION, 'l', fin => 0)
	  . frame(CONTINUATION, 'lo'),
	'three fragments');
is_read(
	frame(TEXT, 'he', fin => 0)
	  . frame(PONG, 'unasked')
	  . frame(CONTINUATION, '', fin => 0)
	  . frame(CONTINUATION, 'llo'),
	'a pong between fragments, an empty fragment');
is_read(
	frame(TEXT, "caf\xc3", fin => 0) . frame(CONTINUATION, "\xa9"),
	'a character in two fragments');
{
	my $client = $node->owner_client;

	$client->send_text('x' x 65536);
	is_error($client, $not_json, 'a message of 64 KiB');
	$client->send_frame(PING, 'p' x 125);
	local $client->{want_pongs} = 1;
	is($client->read_message->{payload}, 'p' x 125,
		'a ping of 125 bytes comes back as it was');
	$client->send_frame(PING, '');
	is($client->read_message->{payload}, '', 'so does an empty one');
	$client->send_frame(TEXT, '{"action":"unsub', fin => 0);
	$client->send_frame(PING, 'between');
	is($client->read_message->{payload},
		'between', 'a ping between fragments is answered at once');
	$client->send_frame(CONTINUATION, 'scribe","subscriptions":["quiz:1"]}');
	is_message($client,
		'{"event":"unsubscribed","t":null,"subscriptions":["quiz:1"]}',
		'and the message is put together');
}

note '1002: protocol errors';

violates(frame(TEXT, 'x', mask => 0), 1002, 'an unmasked frame');
violates(frame(TEXT, 'x', rsv  => $_), 1002, "reserved bits $_")
  foreach 1, 2, 4;
violates(frame($_, 'x'), 1002, "opcode $_") foreach 3, 7, 11, 15;
violates(frame(CONTINUATION, 'x'), 1002, 'a continuation of nothing');
violates(
	frame(TEXT, 'x', fin => 0) . frame(TEXT, 'y'),
	1002, 'a message inside of a message');
violates(frame(PING, 'x', fin => 0), 1002, 'a fragmented ping');
violates(frame(CLOSE, pack('n', 1000), fin => 0),
	1002, 'a fragmented close');
violates(frame(PING, 'x' x 126), 1002, 'a ping of 126 bytes');
violates(frame(PONG, 'x' x 126), 1002, 'a pong of 126 bytes');
violates(frame(CLOSE, pack('n', 1000) . 'x' x 124),
	1002, 'a close of 126 bytes');
violates(frame(TEXT, 'x', form => 16), 1002, 'a length of 1 in 16 bits');
violates(frame(TEXT, 'x', form => 64), 1002, 'a length of 1 in 64 bits');
violates(frame(TEXT, 'x' x 200, form => 64),
	1002, 'a length of 200 in 64 bits');
violates(frame(TEXT, '', form => 64, announce => 2**63),
	1002, 'a length with the top bit set');

note 'closing';

foreach my $code (1000, 1001, 1003, 1007 .. 1014, 3000, 3999, 4000, 4999)
{
	my $client = $node->owner_client;

	$client->send_close($code, 'good-bye');
	closes_with($client, $code, "a close with $code is answered with it");
}
{
	my $client = $node->owner_client;

	$client->send_close;
	ok(eval { $client->expect_close }, 'a close without a code is answered');
	ok($client->{closed}{code} == 1005 || $client->{closed}{code} == 1000,
		'in kind or with 1000');
}
violates(frame(CLOSE, 'x'), 1002, 'a close of one byte');
violates(frame(CLOSE, pack('n', $_)), 1002, "a close with $_")
  foreach 0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000,
  65535;
violates(frame(CLOSE, pack('n', 1000) . "\xff"),
	1007, 'a close whose reason is not UTF-8');
{
	my $client = $node->owner_client;

	$client->send_raw(frame(TEXT, 'x') . frame(CLOSE, pack('n', 1000))
		  . frame(TEXT, 'after the close'));
	$client->{close_sent} = 1;
	is_error($client, $not_json, 'an answer that is queued comes before the close');
	closes_with($client, 1000, 'nothing is answered after it');
}

note '1003: binary';

violates(frame(BINARY, 'x'), 1003, 'a binary frame');
violates(
	frame(BINARY, 'x', fin => 0) . frame(CONTINUATION, 'y'),
	1003, 'a fragmented binary message');

note '1007: not UTF-8';

my %not_utf8 = (
	'a byte that never occurs' => "\xff",
	'a lone continuation'      => "\x80",
	'a cut character'          => "\xe2\x82",
	'an overlong slash'        => "\xc0\xaf",
	'an overlong of 3 bytes'   => "\xe0\x80\xaf",
	'a surrogate'              => "\xed\xa0\x80",
	'beyond the last plane'    => "\xf4\x90\x80\x80",
	'in the midst of text'     => "{\"action\":\"\xc3(\"}",);

violates(frame(TEXT, $not_utf8{$_}), 1007, $_) foreach sort keys %not_utf8;
violates(
	frame(TEXT, "\xe2", fin => 0) . frame(CONTINUATION, 'x'),
	1007, 'a cut character across fragments');

note '1009: too big';

violates(frame(TEXT, 'x' x 65537), 1009, 'a message of 64 KiB and a byte');
{
	my $client = $node->owner_client;

	$client->send_raw(frame(TEXT, '', form => 64, announce => 2**40));
	closes_with($client, 1009, 'the announcement of a tebibyte is enough');

	$client = $node->owner_client;
	eval {
		$client->send_frame(TEXT, 'x' x 60000, fin => 0);
		$client->send_frame(CONTINUATION, 'x' x 60000);
	};
	closes_with($client, 1009, 'fragments that are too big together');
}

note 'memory';

{
	my $client = $node->owner_client;

	# Fragments of a byte: more in their headers than in what they carry.
	$client->send_frame(TEXT, 'x', fin => 0);
	eval {
		$client->send_raw(frame(CONTINUATION, 'x', fin => 0) x 20000);
		$client->send_frame(CONTINUATION, 'x');
	};
	is_error($client, $not_json, 'a message of 20,002 fragments is put together');
}

note 'an end without a close';

{
	my $other = $node->owner_client;
	my $client = $node->owner_client;

	$client->abort;
	$client = $node->owner_client;
	$client->send_raw(substr frame(TEXT, 'x' x 100), 0, 50);
	$client->disconnect;
	lives(sub { $other->ping }, 'others do not notice');
}

is(QuizRT::Client->get($node->url('/healthz'))->{status},
	200, 'the server is up');
done_testing();
