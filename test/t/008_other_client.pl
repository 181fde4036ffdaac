# A client that isn't ours: the package "ws" on Node.js.

use strict;
use warnings;

use FindBin;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

my $script = "$FindBin::Bin/../js/client.js";

# Where Debian's packages are, for a Node.js that isn't Debian's.
$ENV{NODE_PATH} = join ':', grep { defined } $ENV{NODE_PATH},
  '/usr/share/nodejs';

plan skip_all => 'Node.js or its package ws is not installed'
  unless eval
{
	IPC::Run::run([ 'node', '-e', 'require("ws")' ], '>&', \my $output);
};

my $node = QuizRT::Cluster->create('main',
	settings => { 'quizrt.ping_interval' => '300ms' });
my $quiz = $node->create_quiz(questions => 2);
my $id   = $quiz->{quiz_id};

# Start a client; read() gives what it tells, one by one.
sub start_client
{
	my ($target, @channels) = @_;
	my $self = { in => '', out => '' };

	$self->{run} = IPC::Run::start(
		[ 'node', $script, $node->url($target), @channels ],
		'<', \$self->{in}, '>', \$self->{out},
		IPC::Run::timeout(60));
	return $self;
}

sub read_line
{
	my ($self) = @_;

	$self->{run}->pump until $self->{out} =~ s/^(.*)\n//;
	return decode_json($1);
}

# The next thing that is no ping.
sub next_of
{
	my ($self) = @_;

	while (1)
	{
		my $event = read_line($self);

		return $event unless exists $event->{ping};
		$self->{pings}++;
	}
}

sub next_is
{
	my ($self, $expected, $name) = @_;

	return is_deeply(next_of($self), $expected, $name);
}

note 'refusals';

my $client = start_client('/ws');

next_is(
	$client,
	{
		refused => 401,
		body    => {
			error =>
			  "Provide exactly one of 'token' or 'session' query parameter"
		}
	},
	'no credential');
$client = start_client('/ws?token=wrong');
next_is(
	$client,
	{ refused => 401, body => { error => 'Invalid or expired credential' } },
	'a wrong one');

note 'an owner';

$client = start_client('/ws?token=' . $node->api_key('teacher'),
	"quiz:$id", 'quiz:99');
ok(exists next_of($client)->{open}, 'connected');
next_is(
	$client,
	{
		message =>
		  { event => 'subscribed', t => undef, subscriptions => ["quiz:$id"] }
	},
	'subscribed');
next_is(
	$client,
	{
		message => {
			event => 'error',
			t     => undef,
			error => 'Subscription denied: quiz:99: not found or not owned'
		}
	},
	'denied');

my $attempt = $node->start_attempt($id, alias => "Z\x{c3}\x{bc}rich");
my $message = next_of($client)->{message};

is($message->{t}, 'attempt_quiz', 'an update');
is($message->{data}{alias}, "Z\x{fc}rich", 'in UTF-8');

note 'a participant';

my $participant = start_client(
	'/ws?session=' . $node->session($attempt->{attempt_id}));

ok(exists next_of($participant)->{open}, 'connected');
is_deeply(next_of($participant)->{message}{subscriptions},
	["notification:$attempt->{attempt_id}"], 'subscribed by the server');
$node->submit($attempt->{attempt_id});
is(next_of($participant)->{message}{t}, 'attempt_closed', 'the end');
is(next_of($client)->{message}{t}, 'attempt_finished',
	'and what the owner sees of it');

note 'messages both ways';

$client->{in} .= "no JSON\n";
is(next_of($client)->{message}{error},
	'Invalid message: not valid JSON', 'an error');
$node->sql("SELECT quizrt.publish('quiz:$id', 'large',"
	  . " json_build_object('x', repeat('y', 100000)))");
is(length(next_of($client)->{message}{data}{x}),
	100000, 'a message with a length of 64 bits');
1 until exists read_line($client)->{ping};
pass('pings arrive');

note 'the end';

$client->{in} .= ".\n";
is(next_of($client)->{close}, 1000, 'a close by the client is answered');
$node->stop;
is(next_of($participant)->{close}, 1001, 'a close by the server is understood');
$_->{run}->finish foreach $client, $participant;
done_testing();
