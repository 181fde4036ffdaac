=head1 NAME

QuizRT::Client - a WebSocket client for tests

=head1 DESCRIPTION

A client of our own, so that a test can send what no well-behaved library
would: bytes in pieces of any size, frames that break the rules.  What the
server sends is held to RFC 6455 to the letter; a violation dies, and so does
everything that takes longer than its deadline.  Nothing here sleeps for a
fixed time: a test waits for what it expects.

    my $client = QuizRT::Client->connect('ws://127.0.0.1:7878/ws?token=...');
    $client->send_json({ action => 'subscribe', ... });
    my $message = $client->expect_json;

Addresses are ws://, wss://, http:// and https:// URLs; with the option
C<unix> the path of a Unix-domain socket is connected to instead of the URL's
host.

=cut

package QuizRT::Client;

use strict;
use warnings;

use Carp;
use Digest::SHA qw(sha1_base64);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time sleep);

use constant {
	CONTINUATION => 0x0,
	TEXT         => 0x1,
	BINARY       => 0x2,
	CLOSE        => 0x8,
	PING         => 0x9,
	PONG         => 0xA,
};

# How long to wait for what is expected, in seconds.
our $timeout = $ENV{QUIZRT_TEST_TIMEOUT} || 20;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

=head1 CONNECTING

=head2 QuizRT::Client->dial($url, %options)

Connects without saying anything.  Options: C<unix>, C<ca> (a file of
certificates to verify the server against; else it isn't verified), C<before>
(bytes to send before anything else, TLS included).

=cut

sub dial
{
	my ($class, $url, %options) = @_;
	my ($scheme, $authority, $target) =
	  $url =~ m{^(wss?|https?)://([^/?]+)(.*)$}s
	  or croak "no URL that we know: $url";
	my ($host, $port) = $authority =~ m{^\[?(.*?)\]?(?::(\d+))?$};
	my $tls = $scheme eq 'wss' || $scheme eq 'https';

	$port ||= $tls ? 443 : 80;
	$target = "/$target" unless $target =~ m{^/};

	my $self = bless {
		authority  => $authority,
		target     => $target,
		in         => '',
		eof        => 0,
		auto_pong  => 1,
		pings      => 0,
		fragments  => undef,
		closed     => undef,
		close_sent => 0,
	}, $class;

	$self->{socket} =
	  defined $options{unix}
	  ? IO::Socket::UNIX->new(Peer => $options{unix})
	  : IO::Socket::INET->new(
		PeerAddr => $host,
		PeerPort => $port,
		Proto    => 'tcp',
		Timeout  => $timeout);
	croak "cannot connect to " . ($options{unix} // $authority) . ": $!"
	  unless $self->{socket};
	setsockopt($self->{socket}, IPPROTO_TCP, TCP_NODELAY, 1)
	  unless defined $options{unix};
	syswrite $self->{socket}, $options{before} if defined $options{before};
	$self->_start_tls($host, $options{ca}) if $tls;
	$self->{socket}->blocking(0);
	return $self;
}

# Making one takes longer than a handshake, so they are shared.
my %tls_contexts;

sub _tls_context
{
	my ($ca) = @_;

	return $tls_contexts{ $ca // '' } //= IO::Socket::SSL::SSL_Context->new(
		SSL_verify_mode => defined $ca
		? IO::Socket::SSL::SSL_VERIFY_PEER()
		: IO::Socket::SSL::SSL_VERIFY_NONE(),
		SSL_ca_file => $ca);
}

sub _start_tls
{
	my ($self, $host, $ca) = @_;

	require IO::Socket::SSL;
	my $ssl = IO::Socket::SSL->start_SSL(
		$self->{socket},
		SSL_hostname  => $host =~ /[a-z]/i ? $host : '',
		SSL_reuse_ctx => _tls_context($ca),
		Timeout       => $timeout);
	croak "no TLS: " . IO::Socket::SSL::errstr() unless $ssl;
	$self->{socket} = $ssl;
	$self->{tls}    = 1;
	return;
}

=head2 QuizRT::Client->connect($url, %options)

A WebSocket, or dies with the server's refusal.  Options: those of C<dial> and
C<handshake>.

=cut

sub connect
{
	my ($class, $url, %options) = @_;
	my $self     = $class->dial($url, %options);
	my $response = $self->handshake(%options);

	croak "refused: $response->{status} $response->{body}"
	  unless $response->{status} == 101;
	return $self;
}

=head2 QuizRT::Client->attempt($url, %options)

The server's response to a handshake, whatever it is.  A refusal is read up to
the end of the connection.

=cut

sub attempt
{
	my ($class, $url, %options) = @_;

	return $class->dial($url, %options)->handshake(%options);
}

=head2 QuizRT::Client->get($url, %options)

An ordinary GET request; the response.

=cut

sub get
{
	my ($class, $url, %options) = @_;
	my $self = $class->dial($url, %options);

	return $self->request("GET $self->{target} HTTP/1.1\r\n"
		  . "Host: $self->{authority}\r\nConnection: close\r\n\r\n");
}

=head2 QuizRT::Client->wait_until_ok($url, $seconds)

Asks until the answer is 200; false when the time is up.

=cut

sub wait_until_ok
{
	my ($class, $url, $seconds) = @_;
	my $deadline = time + ($seconds // $timeout);

	while (time < $deadline)
	{
		my $response = eval { $class->get($url) };

		return 1 if $response && $response->{status} == 200;
		sleep 0.05;
	}
	return 0;
}

=head2 $client->handshake(%options)

Sends an upgrade request and returns the response.  The options C<target>,
C<method>, C<version> replace parts of the request line; C<headers> is a
reference to a hash of headers which replace the usual ones or come in addition
(undef: leave out; a reference to an array: several of them).  C<deflate> is an
offer of extensions; what the server answers is in C<< $client->{extensions} >>,
and its compressed messages are inflated from then on.

=cut

sub handshake
{
	my ($self, %options) = @_;
	my $key     = encode_base64(join('', map { chr int rand 256 } 1 .. 16), '');
	my %headers = (
		'Host'                  => $self->{authority},
		'Upgrade'               => 'websocket',
		'Connection'            => 'Upgrade',
		'Sec-WebSocket-Key'     => $key,
		'Sec-WebSocket-Version' => '13',
		defined $options{deflate}
		? ('Sec-WebSocket-Extensions' => $options{deflate})
		: (),
		%{ $options{headers} || {} });
	my $request = join(' ',
		$options{method}  // 'GET',
		$options{target}  // $self->{target},
		$options{version} // 'HTTP/1.1') . "\r\n";

	foreach my $name (sort keys %headers)
	{
		my $value = $headers{$name};

		$request .= "$name: $_\r\n"
		  foreach ref $value ? @$value : defined $value ? ($value) : ();
	}
	my $response = $self->request("$request\r\n");

	$self->_check_upgrade($response, $headers{'Sec-WebSocket-Key'})
	  if $response->{status} == 101;
	return $response;
}

sub _check_upgrade
{
	my ($self, $response, $key) = @_;
	my $header = $response->{headers};
	my $accept =
	  sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=';

	croak "wrong Sec-WebSocket-Accept"
	  unless ($header->{'sec-websocket-accept'} // '') eq $accept;
	croak "wrong Upgrade" unless lc($header->{upgrade} // '') eq 'websocket';
	croak "wrong Connection"
	  unless lc($header->{connection} // '') eq 'upgrade';
	$self->{extensions} = $header->{'sec-websocket-extensions'};
	return;
}

=head2 $client->request($bytes)

Sends bytes and reads an HTTP response: C<status>, C<reason>, C<headers> (by
lower-case name), C<body>, and C<closed>: whether the server then closed the
connection, where the response isn't 101.

=cut

sub request
{
	my ($self, $bytes) = @_;

	$self->send_raw($bytes);
	return $self->read_response;
}

sub read_response
{
	my ($self, %options) = @_;
	my $deadline = time + $timeout;

	$self->_fill($deadline, 'the head of a response')
	  until $self->{in} =~ /\r\n\r\n/;

	my ($head, $rest) = split /\r\n\r\n/, $self->{in}, 2;
	my ($line, @fields) = split /\r\n/, $head;
	my ($status, $reason) = $line =~ m{^HTTP/1\.1 (\d{3}) (.*)$}
	  or croak "no HTTP/1.1 response: $line";
	my %headers;

	foreach my $field (@fields)
	{
		my ($name, $value) = $field =~ m{^([!-9;-~]+):[ \t]*(.*?)[ \t]*$}
		  or croak "no header: $field";

		croak "header twice: $name" if exists $headers{ lc $name };
		$headers{ lc $name } = $value;
	}
	$self->{in} = $rest;

	my $response = {
		status  => $status,
		reason  => $reason,
		headers => \%headers,
		body    => ''
	};
	return $response if $status == 101;

	my $length = $options{no_body} ? 0 : $headers{'content-length'};

	croak "a response without Content-Length" unless defined $length;
	$self->_fill($deadline, 'the body of a response')
	  while length $self->{in} < $length;
	$response->{body} = substr $self->{in}, 0, $length, '';
	$response->{closed} = $self->at_end($deadline);
	return $response;
}

=head1 SENDING

=head2 $client->send_raw($bytes, $piece)

Sends bytes as they are; with C<$piece>, in writes of so many bytes each.

=cut

sub send_raw
{
	my ($self, $bytes, $piece) = @_;
	my $deadline = time + $timeout;

	while (length $bytes)
	{
		my $written =
		  syswrite($self->{socket}, $bytes, $piece || length $bytes);

		if (defined $written)
		{
			substr($bytes, 0, $written) = '';
			next;
		}
		croak "cannot send: $!" unless $!{EAGAIN} || $!{EINTR};
		croak "cannot send: the server doesn't read" if time >= $deadline;
		IO::Select->new($self->{socket})->can_write(0.1);
	}
	return $self;
}

=head2 frame($opcode, $payload, %options)

The bytes of a frame: C<fin> (1), C<mask> (a random one; 0: none), C<rsv> (0),
C<form> (7, 16, 64: bits of the length), C<announce> (another length than the
payload's).

=cut

sub frame
{
	my ($opcode, $payload, %options) = @_;
	my $length = $options{announce} // length $payload;
	my $form =
	  $options{form} // ($length < 126 ? 7 : $length < 65536 ? 16 : 64);
	my $mask = $options{mask} // pack 'N', int rand 2**32;
	my $first =
	  (($options{fin} // 1) ? 0x80 : 0) | (($options{rsv} // 0) << 4) | $opcode;
	my $masked = $mask ? 0x80 : 0;
	my $bytes =
	    $form == 7  ? pack 'CC',  $first, $masked | $length
	  : $form == 16 ? pack 'CCn', $first, $masked | 126, $length
	  :               pack 'CCQ>', $first, $masked | 127, $length;

	return $bytes . $payload unless $mask;
	return $bytes . $mask . _masked($payload, $mask);
}

sub _masked
{
	my ($payload, $mask) = @_;
	my $times = int(length($payload) / 4) + 1;

	return $payload ^ substr($mask x $times, 0, length $payload);
}

sub send_frame
{
	my ($self, @frame) = @_;

	return $self->send_raw(frame(@frame));
}

sub send_text
{
	my ($self, $text) = @_;

	return $self->send_frame(TEXT, $text);
}

sub send_json
{
	my ($self, $value) = @_;

	return $self->send_text($json->encode($value));
}

sub subscribe
{
	my ($self, @channels) = @_;

	return $self->send_json(
		{ action => 'subscribe', subscriptions => \@channels });
}

sub unsubscribe
{
	my ($self, @channels) = @_;

	return $self->send_json(
		{ action => 'unsubscribe', subscriptions => \@channels });
}

sub send_close
{
	my ($self, $code, $reason) = @_;

	$self->{close_sent} = 1;
	return $self->send_frame(CLOSE,
		defined $code ? pack('n', $code) . ($reason // '') : '');
}

=head1 RECEIVING

=head2 $client->read_frame($deadline)

The next frame, held to the rules: C<opcode>, C<fin>, C<payload>; undef at the
end of the connection.

=cut

# Read what there is, waiting for it until the deadline.  False at the end of
# the connection.
sub _fill
{
	my ($self, $deadline, $what) = @_;

	while (1)
	{
		my $got = sysread $self->{socket}, $self->{in}, 65536,
		  length $self->{in};

		return 1 if $got;
		if (defined $got || $!{ECONNRESET} || $!{EPIPE})
		{
			$self->{eof}   = 1;
			$self->{reset} = 1 unless defined $got;
			return 0 unless defined $what;
			croak "the connection ended, waiting for $what";
		}
		croak "cannot read: $!" unless $!{EAGAIN} || $!{EINTR};

		my $left = $deadline - time;

		croak "timed out" . (defined $what ? ", waiting for $what" : '')
		  if $left <= 0;
		IO::Select->new($self->{socket})->can_read($left > 1 ? 1 : $left);
	}
}

# The frame at the beginning of what was read, undef where it is incomplete.
sub _take_frame
{
	my ($self) = @_;
	my $have = length $self->{in};

	return undef if $have < 2;

	my ($first, $second) = unpack 'CC', $self->{in};
	my ($opcode, $length, $header) = ($first & 0x0F, $second & 0x7F, 2);

	my $compressed =
	  ($first & 0x40) && defined $self->{extensions} && $opcode =~ /^[12]$/;

	croak "reserved bits are set"
	  if $first & ($compressed ? 0x30 : 0x70);
	croak "the server masks"      if $second & 0x80;
	croak "reserved opcode $opcode"
	  unless $opcode <= BINARY || ($opcode >= CLOSE && $opcode <= PONG);
	croak "a control frame is fragmented or too long"
	  if $opcode >= CLOSE && (!($first & 0x80) || $length > 125);
	if ($length == 126)
	{
		return undef if $have < 4;
		$length = unpack 'x2n', $self->{in};
		$header = 4;
		croak "the length isn't minimal" if $length < 126;
	}
	elsif ($length == 127)
	{
		return undef if $have < 10;
		$length = unpack 'x2Q>', $self->{in};
		$header = 10;
		croak "the length isn't minimal" if $length < 65536;
	}
	return undef if $have < $header + $length;

	my $payload = substr $self->{in}, $header, $length;

	substr($self->{in}, 0, $header + $length) = '';
	return {
		opcode     => $opcode,
		fin        => $first >> 7,
		payload    => $payload,
		compressed => $compressed
	};
}

sub read_frame
{
	my ($self, $deadline) = @_;

	$deadline //= time + $timeout;
	while (1)
	{
		my $frame = $self->_take_frame;

		return $frame if $frame;
		if ($self->{eof} || !$self->_fill($deadline))
		{
			croak "the connection ended inside a frame" if length $self->{in};
			return undef;
		}
	}
}

=head2 $client->read_message($deadline)

The next text or binary message (C<opcode>, C<payload>), close (C<opcode> 8,
C<code>, C<reason>) or undef at the end.  Pings are answered unless
C<auto_pong> is off.

=cut

sub read_message
{
	my ($self, $deadline) = @_;

	$deadline //= time + $timeout;
	while (my $frame = $self->read_frame($deadline))
	{
		my $opcode = $frame->{opcode};

		croak "something came after the close" if $self->{closed};
		if ($opcode == PING)
		{
			$self->{pings}++;
			$self->send_frame(PONG, $frame->{payload}) if $self->{auto_pong};
		}
		elsif ($opcode == PONG)
		{
			push @{ $self->{pongs} }, $frame->{payload};
			return $frame if $self->{want_pongs};
		}
		elsif ($opcode == CLOSE)
		{
			return $self->_take_close($frame);
		}
		elsif (my $message = $self->_assemble($frame))
		{
			return $message;
		}
	}
	return undef;
}

sub _assemble
{
	my ($self, $frame) = @_;
	my $message = $self->{fragments};

	croak "a continuation of nothing"
	  if $frame->{opcode} == CONTINUATION && !$message;
	croak "a message inside of a message"
	  if $frame->{opcode} != CONTINUATION && $message;
	$message //= {
		opcode     => $frame->{opcode},
		payload    => '',
		compressed => $frame->{compressed}
	};
	$message->{payload} .= $frame->{payload};
	$self->{fragments} = $frame->{fin} ? undef : $message;
	return undef unless $frame->{fin};

	if ($message->{compressed})
	{
		$self->{compressed}++;
		$message->{compressed} = length $message->{payload};
		$message->{payload}    = inflated($message->{payload});
	}
	_check_utf8($message->{payload}) if $message->{opcode} == TEXT;
	return $message;
}

=head2 deflated($bytes, %options), inflated($bytes)

Compresses a message, and the reverse.  Options are those of
Compress::Raw::Zlib::Deflate.

=cut

sub deflated
{
	my ($bytes, %options) = @_;

	require Compress::Raw::Zlib;
	my ($stream) = Compress::Raw::Zlib::Deflate->new(
		-WindowBits   => -15,
		-AppendOutput => 1,
		%options);
	my $out = '';

	$stream->deflate($bytes, $out);
	$stream->flush($out, Compress::Raw::Zlib::Z_SYNC_FLUSH());
	$out =~ s/\x00\x00\xff\xff\z// or croak "cannot deflate";
	return $out;
}

sub inflated
{
	my ($bytes) = @_;

	require Compress::Raw::Zlib;
	my ($stream) = Compress::Raw::Zlib::Inflate->new(
		-WindowBits   => -15,
		-ConsumeInput => 1,
		-AppendOutput => 1);
	my $out    = '';
	my $input  = $bytes . "\x00\x00\xff\xff";
	my $status = $stream->inflate($input, $out);

	croak "the server sent what can't be inflated: $status"
	  if $status != Compress::Raw::Zlib::Z_OK() || length $input;
	return $out;
}

sub _take_close
{
	my ($self, $frame) = @_;
	my ($code, $reason) = (1005, '');

	if (length $frame->{payload})
	{
		croak "a close of one byte" if length $frame->{payload} == 1;
		($code, $reason) = unpack 'na*', $frame->{payload};
		_check_utf8($reason);
	}
	$self->{closed} = { opcode => CLOSE, code => $code, reason => $reason };
	return $self->{closed};
}

# RFC 3629; Encode refuses characters that are none, which are allowed.
my $utf8_characters = qr/(?:[\x00-\x7f]
	| [\xc2-\xdf] [\x80-\xbf]
	| \xe0 [\xa0-\xbf] [\x80-\xbf]
	| [\xe1-\xec\xee\xef] [\x80-\xbf]{2}
	| \xed [\x80-\x9f] [\x80-\xbf]
	| \xf0 [\x90-\xbf] [\x80-\xbf]{2}
	| [\xf1-\xf3] [\x80-\xbf]{3}
	| \xf4 [\x80-\x8f] [\x80-\xbf]{2}){1,10000}/x;

sub _check_utf8
{
	my ($bytes) = @_;

	1 while $bytes =~ /\G$utf8_characters/gc;
	croak "the server sent bytes that are not UTF-8"
	  if (pos $bytes // 0) < length $bytes;
	return;
}

=head2 $client->expect_text($deadline)

The next message's text, which must be one.

=cut

sub expect_text
{
	my ($self, $deadline) = @_;
	my $message = $self->read_message($deadline);

	croak "the connection ended, waiting for a message" unless $message;
	croak "closed with $message->{code} $message->{reason},"
	  . " waiting for a message"
	  if $message->{opcode} == CLOSE;
	croak "not a text message" unless $message->{opcode} == TEXT;
	return $message->{payload};
}

=head2 $client->expect_json($deadline)

The same, decoded.

=cut

sub expect_json
{
	my ($self, $deadline) = @_;

	return $json->decode($self->expect_text($deadline));
}

=head2 $client->wait_for($predicate, $seconds)

Reads messages until C<$predicate> holds for one of them ($_ is the decoded
message); returns it.  What came before it is in C<< $client->{skipped} >>.

=cut

sub wait_for
{
	my ($self, $predicate, $seconds) = @_;
	my $deadline = time + ($seconds // $timeout);

	$self->{skipped} = [];
	while (1)
	{
		my $message = $self->expect_json($deadline);

		return $message if grep { $predicate->($_) } $message;
		push @{ $self->{skipped} }, $message;
	}
}

=head2 $client->expect_close($code)

Reads up to a close, which is answered, and to the end of the connection;
returns the close.  Messages on the way are in C<< $client->{skipped} >>.  With
C<$code>, dies unless it is that.

=cut

sub expect_close
{
	my ($self, $code) = @_;
	my $deadline = time + $timeout;
	my $close    = $self->{closed};

	$self->{skipped} = [];
	until ($close)
	{
		my $message = $self->read_message($deadline);

		croak "the connection ended without a close frame" unless $message;
		if ($message->{opcode} == CLOSE)
		{
			$close = $message;
		}
		else
		{
			push @{ $self->{skipped} }, $message->{payload};
		}
	}
	croak "closed with $close->{code} $close->{reason}, not $code"
	  if defined $code && $close->{code} != $code;
	unless ($self->{close_sent})
	{
		# The server may have gone already.
		eval { $self->send_close($close->{code} == 1005 ? undef : $close->{code}) };
	}
	croak "the server doesn't end the connection"
	  unless $self->at_end($deadline);
	return $close;
}

=head2 $client->ping($payload)

Sends a ping and waits for its pong: the server has then read all that was sent
before.  Messages that arrive in the meantime are lost to the caller, except in
C<< $client->{skipped} >>.

=cut

sub ping
{
	my ($self, $payload) = @_;
	my $deadline = time + $timeout;

	$payload //= 'ping ' . int rand 1e9;
	$self->send_frame(PING, $payload);
	local $self->{want_pongs} = 1;
	$self->{skipped} = [];
	while (my $message = $self->read_message($deadline))
	{
		croak "closed with $message->{code}, waiting for a pong"
		  if $message->{opcode} == CLOSE;
		return 1
		  if $message->{opcode} == PONG && $message->{payload} eq $payload;
		push @{ $self->{skipped} }, $message->{payload};
	}
	croak "the connection ended, waiting for a pong";
}

=head2 $client->at_end($deadline)

True once the server has ended the connection and nothing came before that;
false when the deadline passes.

=cut

sub at_end
{
	my ($self, $deadline) = @_;

	$deadline //= time + $timeout;
	return 0 if length $self->{in};
	while (!$self->{eof})
	{
		my $more = eval { $self->_fill($deadline) };

		return 0 if !defined $more || $more;
	}
	return 1;
}

=head2 $client->poll

The next message if it is there by now, else undef, without waiting.

=cut

sub poll
{
	my ($self) = @_;
	my $message = eval { $self->read_message(0) };

	die $@ if $@ && $@ !~ /^timed out/;
	return $message;
}

sub socket
{
	my ($self) = @_;

	return $self->{socket};
}

=head2 $client->abort

Ends the connection the hard way: a reset, no close.

=cut

sub abort
{
	my ($self) = @_;

	setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0;
	close $self->{socket};
	return;
}

sub disconnect
{
	my ($self) = @_;

	close $self->{socket};
	return;
}

=head1 JSON

=head2 compact($text)

JSON text without the blanks between its tokens, and otherwise as it is: keys
in their order, numbers as they were written.

=cut

sub compact
{
	my ($text) = @_;

	$text =~ s/("(?:[^"\\]|\\.)*")|\s+/defined $1 ? $1 : ''/ges;
	return $text;
}

1;
