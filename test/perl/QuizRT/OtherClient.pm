=head1 NAME

QuizRT::OtherClient - a WebSocket client that isn't ours

=head1 DESCRIPTION

The package "ws" on Node.js (test/js/client.js), which keeps the rules of a
browser's WebSocket.

    my $client = QuizRT::OtherClient->start($url, protocols => ['a', 'b'],
        channels => ['quiz:1']);
    my $event = $client->next;	# { open => ..., protocol => ... }

=cut

package QuizRT::OtherClient;

use strict;
use warnings;

use FindBin;
use IPC::Run;
use JSON::PP;

# Where Debian's packages are, for a Node.js that isn't Debian's.
$ENV{NODE_PATH} = join ':', grep { defined } $ENV{NODE_PATH},
  '/usr/share/nodejs';

=head2 QuizRT::OtherClient->available

Are Node.js and its package there?

=cut

sub available
{
	return eval {
		IPC::Run::run([ 'node', '-e', 'require("ws")' ], '>&', \my $output);
	};
}

=head2 QuizRT::OtherClient->start($url, %options)

Options: C<protocols> to offer, C<channels> to subscribe to (quiz).

=cut

sub start
{
	my ($class, $url, %options) = @_;
	my $self = bless { in => '', out => '', pings => 0 }, $class;

	local $ENV{QUIZRT_PROTOCOLS} = join ',', @{ $options{protocols} || [] };
	$self->{run} = IPC::Run::start(
		[
			'node', "$FindBin::Bin/../js/client.js",
			$url,   @{ $options{channels} || [] }
		],
		'<', \$self->{in}, '>', \$self->{out}, IPC::Run::timeout(60));
	return $self;
}

=head2 $client->read, $client->next

The next thing that happens, and the next that is no ping.

=cut

sub read
{
	my ($self) = @_;

	$self->{run}->pump until $self->{out} =~ s/^(.*)\n//;
	return decode_json($1);
}

sub next
{
	my ($self) = @_;

	while (1)
	{
		my $event = $self->read;

		return $event unless exists $event->{ping};
		$self->{pings}++;
	}
}

=head2 $client->send($text), $client->close, $client->finish

Sends a line; closes the connection; waits for the program to end.

=cut

sub send
{
	my ($self, $text) = @_;

	$self->{in} .= "$text\n";
	return;
}

sub close
{
	my ($self) = @_;

	return $self->send('.');
}

sub finish
{
	my ($self) = @_;

	return $self->{run}->finish;
}

1;
