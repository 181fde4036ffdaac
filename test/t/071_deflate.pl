# permessage-deflate: what is negotiated, compressed messages both ways, and
# ones that are not what they seem.

use strict;
use warnings;

use FindBin;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use QuizRT::Client;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

use constant {
	CONTINUATION => QuizRT::Client::CONTINUATION,
	TEXT         => QuizRT::Client::TEXT,
	PING         => QuizRT::Client::PING,
	RSV1         => 4,
};

my $node = QuizRT::Cluster->create('main',
	settings => { 'quizrt.max_error_rate' => 0 });
my $quiz     = $node->create_quiz;
my $id       = $quiz->{quiz_id};
my $not_json = 'Invalid message: not valid JSON';
my $base     = 'permessage-deflate; server_no_context_takeover;'
  . ' client_no_context_takeover';
my $target   = '/ws?token=' . QuizRT::Cluster::jwt({ sub => 'teacher' });
my $browser  = 'permessage-deflate; client_max_window_bits';

sub client
{
	my ($offer) = @_;

	return QuizRT::Client->connect($node->url($target), deflate => $offer);
}

sub subscribed
{
	my ($offer) = @_;
	my $client = client($offer);

	$client->subscribe("quiz:$id");
	$client->expect_json;
	return $client;
}

sub publish
{
	my ($length) = @_;

	$node->sql("SELECT quizrt.publish('quiz:$id', 'much',"
		  . " json_build_object('x', repeat('y', $length)))");
	return;
}

sub frame
{
	return QuizRT::Client::frame(@_);
}

# A compressed message.
sub packed
{
	my ($bytes, %options) = @_;

	return frame(TEXT, QuizRT::Client::deflated($bytes), rsv => RSV1, %options);
}

note 'negotiation';

foreach my $case (
	[ undef,                  undef,   'no offer' ],
	[ $browser,               $base,   'what browsers offer' ],
	[ 'permessage-deflate',   $base,   'the plain offer' ],
	[ 'x-webkit-frame',       undef,   'another extension' ],
	[ "x-other, $browser",    $base,   'another one, and ours' ],
	[
		'permessage-deflate; server_max_window_bits=9',
		"$base; server_max_window_bits=9", 'a small window'
	],
	[ 'permessage-deflate; server_max_window_bits=7', undef, 'one too small' ],
	[ 'permessage-deflate; frobnicate=1', undef, 'an unknown parameter' ],
	[
		'permessage-deflate; frobnicate, permessage-deflate',
		$base, 'and a second offer without it'
	])
{
	my ($offer, $answer, $name) = @$case;
	my $client = client($offer);

	is($client->{extensions}, $answer, $name);
	$client->ping;
}

note 'what the server sends';

{
	my $plain  = subscribed(undef);
	my $packed = subscribed($browser);
	my $small  = subscribed('permessage-deflate; server_max_window_bits=10');

	publish(10);
	publish(900);
	publish(20000);
	foreach my $case ([ $plain, 'plain', 0, 0, 0 ],
		[ $packed, 'negotiated',     0, 1, 1 ],
		[ $small,  'a small window', 0, 1, 0 ])
	{
		my ($client, $name, @compressed) = @$case;

		foreach my $length (10, 900, 20000)
		{
			my $message = $client->read_message;

			is(!!$message->{compressed}, !!shift @compressed,
				"$name: $length bytes are "
				  . ($message->{compressed} ? '' : 'not ')
				  . 'compressed');
			is(length decode_json($message->{payload})->{data}{x},
				$length, 'and whole');
		}
	}
}

note 'what clients send';

{
	my $client = client($browser);

	foreach my $piece (undef, 1)
	{
		$client->send_raw(packed('hello'), $piece);
		is_error($client, $not_json, 'a compressed message');
		$client->send_raw(
			packed(qq({"action":"subscribe","subscriptions":["quiz:$id"]})),
			$piece);
		is_message($client,
			qq({"event":"subscribed","t":null,"subscriptions":["quiz:$id"]}),
			'is understood');
	}

	my $bytes = QuizRT::Client::deflated('no JSON ' x 1000);

	$client->send_raw(
		frame(TEXT, substr($bytes, 0, 5), rsv => RSV1, fin => 0)
		  . frame(PING, 'between')
		  . frame(CONTINUATION, substr($bytes, 5)));
	is_error($client, $not_json, 'in fragments');
	$client->send_raw(packed(''));
	is_error($client, $not_json, 'an empty one');
	$client->send_text('plain');
	is_error($client, $not_json, 'one that is not compressed');
	$client->send_raw(packed('x' x 65536));
	is_error($client, $not_json, 'a message of 64 KiB');
	$client->send_raw(packed(join '', map { chr rand 128 } 1 .. 65536));
	is_error($client, $not_json, 'one that gains nothing');
	$client->ping;
}

note 'what is not allowed';

my $bomb = packed("\0" x 30_000_000);

foreach my $case (
	[ packed('x' x 65537),        1009, 'one byte too long' ],
	[ $bomb,                      1009, 'a bomb' ],
	[
		frame(TEXT, "\xff\xff\xff", rsv => RSV1), 1007, 'what deflate never makes'
	],
	[
		frame(TEXT, substr(QuizRT::Client::deflated('hello' x 20), 0, 5),
			rsv => RSV1),
		1007, 'a part of a message'
	],
	[ packed("\xc3("),    1007, 'bad UTF-8' ],
	[ packed("hello\xc3"), 1007, 'half a character' ],
	[ packed("\xed\xa0\x80"), 1007, 'a surrogate' ],
	[ frame(PING, 'x', rsv => RSV1), 1002, 'a compressed ping' ],
	[
		frame(TEXT, 'x', fin => 0)
		  . frame(CONTINUATION, 'x', rsv => RSV1),
		1002, 'a compressed continuation'
	],
	[ packed('x', rsv => 6), 1002, 'another reserved bit' ])
{
	my ($bytes, $code, $name) = @$case;
	my $client = client($browser);

	eval { $client->send_raw($bytes) };
	closes_with($client, $code, $name);
}
{
	my $client = client(undef);

	$client->send_raw(packed('hello'));
	closes_with($client, 1002, 'a compressed message without having asked');
}

note 'bombs cost no memory';

{
	my $pid = $node->pid('gateway 1');
	my $rss = sub {
		PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status") =~
		  /^VmHWM:\s+(\d+)/m;
		return $1;
	};
	my $before = $rss->();

	foreach (1 .. 20)
	{
		my $client = client($browser);

		$client->send_raw($bomb);
		$client->expect_close(1009);
	}
	cmp_ok($rss->() - $before, '<', 4096, 'less than 4 MB for 600 MB')
	  or diag $rss->() - $before;
}

note 'switched off';

$node->reconfigure('quizrt.deflate' => 'off');
$node->wait_until(sub { !defined client($browser)->{extensions} });
pass('the setting');
$node->reconfigure('quizrt.deflate' => 'on');
$node->wait_until(sub { defined client($browser)->{extensions} });

note "another's implementation";

SKIP:
{
	$ENV{NODE_PATH} = join ':', grep { defined } $ENV{NODE_PATH},
	  '/usr/share/nodejs';
	$ENV{NODE_EXTRA_CA_CERTS} = $node->basedir . '/server.crt';
	eval
	{
		IPC::Run::run([ 'node', '-e', 'require("ws")' ], '>&', \my $output);
	} or skip 'Node.js or its package ws is not installed', 1;

	my ($in, $out) = ('', '');
	my $run = IPC::Run::start(
		[
			'node', "$FindBin::Bin/../js/client.js", $node->url($target),
			"quiz:$id"
		],
		'<', \$in, '>', \$out, IPC::Run::timeout(60));

	$run->pump until $out =~ s/^\{"open":"([^"]*)".*\}\n//;
	is($1, 'permessage-deflate', 'ws: negotiated');
	$run->pump until $out =~ s/^.*"subscribed".*\n//m;
	publish(30000);
	$run->pump until $out =~ /^.*"much".*\n/m;
	like($out, qr/y{30000}/, 'ws: a compressed message comes');
	$in .= 'no JSON ' x 5000 . "\n";
	$run->pump until $out =~ /Invalid message: not valid JSON/;
	pass('ws: one that it has compressed is read');
	$in .= ".\n";
	$run->pump until $out =~ /"close":1000/;
	pass('ws: closed');
	$run->finish;
}

$node->stop;
done_testing();
