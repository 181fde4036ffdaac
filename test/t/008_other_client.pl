# A client that isn't ours: the package "ws" on Node.js.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::OtherClient;
use QuizRT::Test;
use Test::More;

plan skip_all => 'Node.js or its package ws is not installed'
  unless QuizRT::OtherClient->available;

my $node = QuizRT::Cluster->create('main',
	settings => { 'quizrt.ping_interval' => '300ms' });
my $quiz = $node->create_quiz(questions => 2);
my $id   = $quiz->{quiz_id};

sub start_client
{
	my ($target, @channels) = @_;

	# where the server speaks TLS, with a certificate of its own
	local $ENV{NODE_EXTRA_CA_CERTS} = $node->basedir . '/server.crt';

	return QuizRT::OtherClient->start($node->url($target),
		channels => \@channels);
}

sub next_is
{
	my ($self, $expected, $name) = @_;

	return is_deeply($self->next, $expected, $name);
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
ok(exists $client->next->{open}, 'connected');
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
my $message = $client->next->{message};

is($message->{t}, 'attempt_quiz', 'an update');
is($message->{data}{alias}, "Z\x{fc}rich", 'in UTF-8');

note 'a participant';

my $participant = start_client(
	'/ws?session=' . $node->session($attempt->{attempt_id}));

ok(exists $participant->next->{open}, 'connected');
is_deeply($participant->next->{message}{subscriptions},
	["notification:$attempt->{attempt_id}"], 'subscribed by the server');
$node->submit($attempt->{attempt_id});
is($participant->next->{message}{t}, 'attempt_closed', 'the end');
is($client->next->{message}{t}, 'attempt_finished',
	'and what the owner sees of it');

note 'messages both ways';

$client->send('no JSON');
is($client->next->{message}{error},
	'Invalid message: not valid JSON', 'an error');
$node->sql("SELECT quizrt.publish('quiz:$id', 'large',"
	  . " json_build_object('x', repeat('y', 100000)))");
is(length($client->next->{message}{data}{x}),
	100000, 'a message with a length of 64 bits');
1 until exists $client->read->{ping};
pass('pings arrive');

note 'the end';

$client->close;
is($client->next->{close}, 1000, 'a close by the client is answered');
$node->stop;
is($participant->next->{close}, 1001, 'a close by the server is understood');
$_->finish foreach $client, $participant;
done_testing();
