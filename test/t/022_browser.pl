# The dashboard and the security API with a client that isn't ours and keeps
# a browser's rules: one connection through each way of authentication.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::OtherClient;
use Test::More;

plan skip_all => 'Node.js or its package ws is not installed'
  unless QuizRT::OtherClient->available;

my $node = QuizRT::Cluster->create(
	'main',
	no_tables => 1,
	settings  => { 'quizrt.security_rate_limit' => 0 });
my $dashboard = '/api/v2/dashboard/ws';
my $key       = $node->sql("SELECT quizrt.create_api_key('m', '{monitor}')");
my $refused   = { event => 'error', message => 'Authentication required' };

sub start
{
	my ($target, @protocols) = @_;

	return QuizRT::OtherClient->start($node->url($target),
		protocols => \@protocols);
}

# It opens, with this subprotocol chosen.
sub opens
{
	my ($client, $protocol, $name) = @_;
	my $event = $client->next;

	return is($event->{protocol}, $protocol, "$name: opens")
	  || diag explain $event;
}

sub closes
{
	my ($client, $code, $reason, $name) = @_;

	return is_deeply($client->next, { close => $code, reason => $reason },
		$name);
}

note 'security';

my %ways = (
	'key in the query'       => ["?api_key=$key"],
	'key in the subprotocol' => [ '',               "api-key.$key" ],
	'key in both'            => [ "?api_key=$key",  "api-key.$key" ],
	'among other protocols'  => [ '', 'json', "api-key.$key" ]);

foreach my $way (sort keys %ways)
{
	my ($query, @protocols) = @{ $ways{$way} };
	my $chosen = @protocols ? "api-key.$key" : '';
	my $client = start("/ws/events$query", @protocols);

	opens($client, $chosen, $way);
	$client->send('{"type":"ping"}');
	is_deeply($client->next, { message => { type => 'pong' } }, "$way: pong");
	$node->sql(q(SELECT quizrt.security_event('{"id":1}')));
	is_deeply($client->next,
		{ message => { type => 'event', data => { id => 1 } } },
		"$way: event");
	$client->close;
	closes($client, 1000, '', "$way: closes");
	$client->finish;

	$client = start("/ws/system$query", @protocols);
	opens($client, $chosen, "$way, system");
	is($client->next->{message}{type}, 'system_status', "$way: status");
	$client->close;
	$client->finish;
}
foreach my $way ([ '?api_key=wrong', [], 'Authentication failed' ],
	[ '', ['api-key.wrong'], 'Authentication failed' ],
	[ '', [],                'API key required' ])
{
	my ($query, $protocols, $reason) = @$way;
	my $client = start("/ws/events$query", @$protocols);

	opens($client, $protocols->[0] // '', "refused, $reason");
	closes($client, 1008, $reason, 'and sees why');
	$client->finish;
}
$node->reconfigure('quizrt.security_rate_limit' => 1);
{
	my $client;

	$node->wait_until(
		sub {
			$client = start('/ws/events', "api-key.$key");
			$client->next;
			$client->send('ping');
			return exists $client->next->{close} || !$client->close;
		});
	$client = start('/ws/events', "api-key.$key");
	opens($client, "api-key.$key", 'over the rate limit');
	closes($client, 1008, 'Rate limit exceeded', 'and sees why');
	$client->finish;
}
$node->reconfigure(
	'quizrt.security_rate_limit'      => 0,
	'quizrt.security_api_key_enabled' => 'off');
$node->wait_until(
	sub {
		my $client = start('/ws/events');

		$client->next;
		$client->send('ping');
		return exists $client->next->{message};
	});
pass('no key where none is asked for');

note 'dashboard';

my $client = start($dashboard);

opens($client, '', 'no tenants');
is($client->next->{message}{event}, 'connected', 'no tenants: connected');
$node->sql("SELECT quizrt.project_updated('p', 'audit')");
is($client->next->{message}{project_name}, 'p', 'no tenants: an update');
$client->close;
$client->finish;
$node->reconfigure('quizrt.dashboard_multi_tenant' => 'on');
$node->wait_until(
	sub {
		my $probe = start("$dashboard?token=x");

		$probe->next;
		return $probe->next->{message}{event} eq 'error';
	});

my $token = QuizRT::Cluster::jwt({ tenant => 'acme' });

foreach my $way ('query', 'first message')
{
	$client = start($way eq 'query' ? "$dashboard?token=$token" : $dashboard);
	opens($client, '', "token in the $way");
	$client->send(qq({"token":"$token"})) if $way ne 'query';
	is($client->next->{message}{event}, 'connected', "$way: connected");
	$node->sql("SELECT quizrt.project_updated('q', 'audit', 'acme')");
	is($client->next->{message}{project_name}, 'q', "$way: an update");
	$client->send('ping');
	is($client->next->{message}{event}, 'pong', "$way: pong");
	$client->close;
	$client->finish;

	$client = start($way eq 'query' ? "$dashboard?token=x" : $dashboard);
	opens($client, '', "wrong token in the $way");
	$client->send('{"token":"x"}') if $way ne 'query';
	is_deeply($client->next, { message => $refused }, "$way: refused");
	closes($client, 1008, 'Authentication required', "$way: 1008");
	$client->finish;
}

done_testing();
