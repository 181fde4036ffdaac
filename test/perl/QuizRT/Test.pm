=head1 NAME

QuizRT::Test - assertions about what the server says

=cut

package QuizRT::Test;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;
use QuizRT::Client;
use Test::More;

our @EXPORT = qw(is_refused is_message is_error closes_with json_text
  update_text lives);

my $json = JSON::PP->new->allow_nonref;

=head2 is_refused($response, $status, $text, $name)

A refusal as protocol.md wants all of them: complete, with a length, the
connection closed, and the JSON body {"error": $text}.  Without C<$text> any
text will do.

=cut

sub is_refused
{
	my ($response, $status, $text, $name) = @_;
	my $header = $response->{headers};
	my $good   = 1;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$good &= is($response->{status}, $status, "$name: status")
	  || diag($response->{body});
	$good &= is(lc($header->{connection} // ''), 'close',
		"$name: Connection: close");
	$good &= ok($response->{closed}, "$name: the connection is closed");
	if (defined $text)
	{
		$good &= is(
			QuizRT::Client::compact($response->{body}),
			'{"error":' . json_text($text) . '}',
			"$name: text");
	}
	else
	{
		$good &= like($response->{body}, qr/^\s*\{\s*"error"\s*:\s*"[^"]+"\s*\}\s*$/,
			"$name: a JSON object with an error");
	}
	return $good;
}

=head2 is_message($client, $text, $name)

The next message is this JSON text: the same keys in the same order, the same
spelling of every value; blanks between tokens don't matter.

=cut

sub is_message
{
	my ($client, $text, $name) = @_;
	my $got = eval { QuizRT::Client::compact($client->expect_text) };

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	diag $@ unless defined $got;
	return is($got, QuizRT::Client::compact($text), $name);
}

=head2 is_error($client, $error, $name)

The next message is an error with this sentence.

=cut

sub is_error
{
	my ($client, $error, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_message($client,
		'{"event":"error","t":null,"error":' . json_text($error) . '}',
		$name // $error);
}

=head2 update_text($slug, $channel, $data)

The text of an update, from that of its data.

=cut

sub update_text
{
	my ($slug, $channel, $data) = @_;

	return qq({"event":"update","t":"$slug","channel":"$channel","data":$data});
}

=head2 closes_with($client, $code, $name)

The server closes with this code; returns the close.

=cut

sub closes_with
{
	my ($client, $code, $name) = @_;
	my $close = eval { $client->expect_close };

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	diag $@ unless $close;
	is($close ? $close->{code} : undef, $code, $name);
	return $close;
}

sub json_text
{
	my ($value) = @_;

	return $json->encode("$value");
}

=head2 lives($code, $name)

The code doesn't die; returns what it returns.

=cut

sub lives
{
	my ($code, $name) = @_;
	my @result = eval { $code->() };
	my $error  = $@;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($error eq '', $name) || diag $error;
	return wantarray ? @result : $result[0];
}

1;
