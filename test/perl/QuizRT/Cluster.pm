=head1 NAME

QuizRT::Cluster - a PostgreSQL::Test::Cluster that serves quizrt

=head1 DESCRIPTION

    my $node = QuizRT::Cluster->create('main', settings => { ... });
    my $quiz = $node->create_quiz(owner => 'teacher', questions => 3);
    my $owner = $node->owner_client('teacher');

The server preloads quizrt, listens for WebSockets on a free port of
127.0.0.1, and has the extension and the reference tables in the database
"app".

=cut

package QuizRT::Cluster;

use strict;
use warnings;

use parent 'PostgreSQL::Test::Cluster';

use Carp;
use Digest::SHA ();
use JSON::PP;
use MIME::Base64 qw(encode_base64url);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use QuizRT::Client;
use Time::HiRes qw(time sleep);

our $database   = 'app';
our $jwt_secret = 'a secret that only the tests know of';

=head1 THE SERVER

=head2 QuizRT::Cluster->create($name, %options)

Options: C<settings> (a reference to a hash), C<bare> (no database, no
extension, no waiting until it serves), C<no_tables> (the extension only),
C<init> (for PostgreSQL::Test::Cluster's init), C<tls> (with a certificate, by
default where the environment variable QUIZRT_TEST_TLS is set to 1, so that any
test can be run over TLS).

=cut

sub create
{
	my ($class, $name, %options) = @_;
	my $self = $class->new($name);

	$self->{ws_port} = PostgreSQL::Test::Cluster::get_free_port();
	$self->{tls} = $options{tls} // $ENV{QUIZRT_TEST_TLS};

	# Whatever the locale of who runs the tests: a bare machine has none.
	$self->init(
		extra => [ '--encoding=UTF8', '--locale=C' ],
		%{ $options{init} || {} });
	$self->configure(
		'shared_preload_libraries' => 'quizrt',
		'max_connections'          => 50,
		'log_statement'            => 'none',
		'quizrt.listen_addresses'  => '127.0.0.1',
		'quizrt.port'              => $self->{ws_port},
		'quizrt.database'          => $database,
		'quizrt.jwt_secret'        => $jwt_secret,
		$self->{tls} ? $self->tls_settings('server') : (),
		%{ $options{settings} || {} });
	$self->start;
	return $self if $options{bare};

	$self->safe_psql('postgres', "CREATE DATABASE $database");
	$self->sql('CREATE EXTENSION quizrt');
	$self->sql('SELECT quizrt.create_quiz_tables()')
	  unless $options{no_tables};
	$self->wait_ready;
	return $self;
}

=head2 $node->configure(%settings)

Adds settings to postgresql.conf; C<reconfigure> has them read, too.

=cut

sub configure
{
	my ($self, %settings) = @_;

	foreach my $name (sort keys %settings)
	{
		(my $value = $settings{$name}) =~ s/(['\\])/$1$1/g;
		$self->append_conf('postgresql.conf', "$name = '$value'");
	}
	return;
}

sub reconfigure
{
	my ($self, %settings) = @_;

	$self->configure(%settings);
	$self->reload;
	return;
}

=head2 $node->make_certificate($name, %options)

Makes a certificate for localhost and its key, with openssl; returns the names
of the two files.  Options: C<key> (what openssl req takes as -newkey),
C<subject>.

=head2 $node->tls_settings($name)

The settings that go with one, which is made where it isn't there.

=cut

sub make_certificate
{
	my ($self, $name, %options) = @_;
	my ($certificate, $key) =
	  map { $self->basedir . "/$name.$_" } qw(crt key);

	# A key may be readable to its owner only, from the beginning on.
	my $mask = umask 0077;

	PostgreSQL::Test::Utils::system_or_bail(
		'openssl', 'req', '-x509', '-nodes', '-days', '2',
		'-newkey', @{ $options{key} || [ 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256' ] },
		'-subj', $options{subject} // '/CN=localhost',
		'-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
		'-keyout', $key, '-out', $certificate);
	umask $mask;
	return ($certificate, $key);
}

sub tls_settings
{
	my ($self, $name) = @_;
	my ($certificate, $key) =
	  map { $self->basedir . "/$name.$_" } qw(crt key);

	$self->make_certificate($name) unless -e $key;
	return (
		'quizrt.tls_cert_file' => $certificate,
		'quizrt.tls_key_file'  => $key);
}

sub ws_port
{
	my ($self) = @_;

	return $self->{ws_port};
}

sub url
{
	my ($self, $target, $scheme) = @_;

	return ($scheme // ($self->{tls} ? 'wss' : 'ws')) . "://127.0.0.1:$self->{ws_port}" . ($target // '');
}

=head2 $node->wait_ready($seconds), $node->wait_unready($seconds)

Waits until /readyz answers 200, or until it doesn't.

=cut

sub wait_ready
{
	my ($self, $seconds) = @_;

	QuizRT::Client->wait_until_ok($self->url('/readyz'), $seconds)
	  or croak "the server doesn't get ready";
	return 1;
}

sub wait_unready
{
	my ($self, $seconds) = @_;

	return $self->wait_until(
		sub {
			my $response =
			  eval { QuizRT::Client->get($self->url('/readyz')) };

			return $response && $response->{status} == 503;
		},
		$seconds);
}

=head2 $node->wait_until($condition, $seconds)

Waits until a condition holds, asking again and again; dies when the time is
up.

=cut

sub wait_until
{
	my ($self, $condition, $seconds) = @_;
	my $deadline = time + ($seconds // $QuizRT::Client::timeout);

	while (time < $deadline)
	{
		return 1 if $condition->();
		sleep 0.05;
	}
	croak "waited in vain";
}

=head2 $node->sql($query)

Runs SQL in the database served; dies where it fails.

=head2 $node->sql_json($query)

The same for a query that returns one JSON value, decoded.

=cut

sub sql
{
	my ($self, $query) = @_;

	return $self->safe_psql($database, $query);
}

sub sql_json
{
	my ($self, $query) = @_;

	return JSON::PP->new->allow_nonref->decode($self->sql($query));
}

=head2 $node->sql_fails($query)

The error message of SQL that must fail; dies where it doesn't.

=cut

sub sql_fails
{
	my ($self, $query, $in) = @_;
	my ($rc, $stdout, $stderr) = $self->psql($in // $database, $query);

	croak "did not fail: $query" if $rc == 0;
	return $stderr;
}

=head2 $node->pid($title)

The process id of the child of the postmaster whose title has the words
"quizrt $title", undef where there is none.

=cut

sub pid
{
	my ($self, $title) = @_;
	my $parent = $self->postmaster_pid;

	foreach my $directory (glob '/proc/[0-9]*')
	{
		my ($stat, $line) = map { _read_file("$directory/$_") } qw(stat cmdline);

		return $1
		  if $line =~ /\bquizrt \Q$title\E(?!\d)/
		  && $stat =~ /^(\d+) \(.*\) \S $parent /s;
	}
	return undef;
}

# A file that may be gone by now.
sub _read_file
{
	my ($path) = @_;

	open my $file, '<', $path or return '';
	local $/;
	return <$file> // '';
}

=head2 $node->wait_new_pid($title, $old)

Waits until such a process has come that isn't the old one.

=cut

sub wait_new_pid
{
	my ($self, $title, $old) = @_;
	my $pid;

	$self->wait_until(
		sub { $pid = $self->pid($title); defined $pid && $pid != $old });
	return $pid;
}

sub postmaster_pid
{
	my ($self) = @_;

	return (split /\n/,
		PostgreSQL::Test::Utils::slurp_file(
			$self->data_dir . '/postmaster.pid'))[0];
}

sub log_text
{
	my ($self, $offset) = @_;

	return PostgreSQL::Test::Utils::slurp_file($self->logfile, $offset // 0);
}

=head1 QUIZZES

=head2 $node->create_quiz(owner => ..., questions => ...)

Returns C<quiz_id>, C<owner> and C<questions>, the ids in their order.

=cut

sub _quote
{
	my ($value) = @_;

	return 'NULL' unless defined $value;
	$value =~ s/'/''/g;
	return "'$value'";
}

sub create_quiz
{
	my ($self, %options) = @_;
	my $owner     = $options{owner} // 'teacher';
	my $questions = $options{questions} // 3;
	my $quiz      = $self->sql_json('WITH quiz AS ('
		  . 'INSERT INTO quiz.quizzes (owner_id, title) VALUES ('
		  . _quote($owner) . ', '
		  . _quote($options{title} // 'A quiz')
		  . ') RETURNING quiz_id), questions AS ('
		  . 'INSERT INTO quiz.questions (quiz_id, question_order, prompt, points)'
		  . " SELECT quiz_id, n, 'Question ' || n, 10.0"
		  . " FROM quiz, generate_series(1, $questions) n"
		  . ' RETURNING question_id, question_order)'
		  . " SELECT json_build_object('quiz_id', (SELECT quiz_id FROM quiz),"
		  . " 'questions', (SELECT coalesce(json_agg(question_id"
		  . " ORDER BY question_order), '[]') FROM questions))");

	$quiz->{owner} = $owner;
	return $quiz;
}

=head2 $node->create_event($quiz_id)

The id of a new event stream.

=cut

sub create_event
{
	my ($self, $quiz_id) = @_;

	return $self->sql('INSERT INTO quiz.events (quiz_id, title)'
		  . " VALUES ($quiz_id, 'An event') RETURNING event_id");
}

=head2 $node->start_attempt($quiz_id, alias => ..., event_id => ...)

Returns C<attempt_id>, C<participant_id>, C<alias>.

=cut

sub start_attempt
{
	my ($self, $quiz_id, %options) = @_;
	my $alias = $options{alias} // 'Alice';
	my $attempt =
	  $self->sql_json('WITH participant AS ('
		  . 'INSERT INTO quiz.participants (alias) VALUES ('
		  . _quote($alias)
		  . ') RETURNING participant_id), attempt AS ('
		  . 'INSERT INTO quiz.attempts'
		  . ' (quiz_id, event_id, participant_id, started_at)'
		  . " SELECT $quiz_id, "
		  . _quote($options{event_id})
		  . '::uuid, participant_id, coalesce('
		  . _quote($options{started_at})
		  . '::timestamptz, now()) FROM participant'
		  . ' RETURNING attempt_id, participant_id)'
		  . ' SELECT to_json(attempt) FROM attempt');

	$attempt->{alias} = $alias;
	return $attempt;
}

=head2 $node->answer($attempt_id, $question_id, %options)

An answer; C<is_correct> (true), C<score> (10.0), C<answered_at>.  Returns its
id.

=cut

sub answer
{
	my ($self, $attempt_id, $question_id, %options) = @_;

	return $self->sql('INSERT INTO quiz.answers (attempt_id, question_id,'
		  . ' response, is_correct, score, answered_at) VALUES ('
		  . join(', ',
			_quote($attempt_id), _quote($question_id),
			"'\"an answer\"'",   _quote($options{is_correct} // 'true'),
			_quote($options{score} // '10.0'),
			'coalesce(' . _quote($options{answered_at})
			  . '::timestamptz, now())')
		  . ') RETURNING answer_id');
}

sub flag
{
	my ($self, $attempt_id, @labels) = @_;

	return $self->sql('INSERT INTO quiz.flags (attempt_id, label) VALUES '
		  . join(', ', map { "('$attempt_id', " . _quote($_) . ')' } @labels));
}

sub submit
{
	my ($self, $attempt_id, $reason) = @_;

	return $self->sql('UPDATE quiz.attempts SET submitted_at = now(), reason = '
		  . _quote($reason // 'submitted')
		  . " WHERE attempt_id = '$attempt_id'");
}

=head1 CLIENTS

=head2 $node->api_key($owner), $node->session($attempt_id)

Credentials.

=cut

sub api_key
{
	my ($self, $owner) = @_;

	return $self->sql('SELECT quizrt.create_api_key(' . _quote($owner) . ')');
}

sub session
{
	my ($self, $attempt_id) = @_;

	return $self->sql("SELECT quizrt.create_session('$attempt_id')");
}

=head2 jwt(\%claims, secret => ..., header => {...})

A JWT signed with HMAC and SHA-256; without an expiry in C<%claims> it expires
in an hour.

=cut

sub jwt
{
	my ($claims, %options) = @_;
	my $header = { alg => 'HS256', typ => 'JWT', %{ $options{header} || {} } };
	my $json   = JSON::PP->new->canonical->utf8;
	my $signed = join '.',
	  encode_base64url($json->encode($header)),
	  encode_base64url(
		ref $claims
		? $json->encode({ exp => int(time) + 3600, %$claims })
		: $claims);

	return $signed . '.'
	  . encode_base64url(
		($options{sign} || \&Digest::SHA::hmac_sha256)
		->($signed, $options{secret} // $jwt_secret));
}

=head2 $node->owner_client($owner), $node->participant_client($attempt_id)

WebSocket clients; a participant has read its C<subscribed> message.

=cut

sub owner_client
{
	my ($self, $owner, @channels) = @_;
	my $client = QuizRT::Client->connect(
		$self->url('/ws?token=' . jwt({ sub => $owner // 'teacher' })));

	if (@channels)
	{
		$client->subscribe(@channels);
		$client->wait_for(sub { $_->{event} eq 'subscribed' });
	}
	return $client;
}

sub participant_client
{
	my ($self, $attempt_id) = @_;
	my $client = QuizRT::Client->connect(
		$self->url('/ws?session=' . $self->session($attempt_id)));

	$client->wait_for(sub { $_->{event} eq 'subscribed' });
	return $client;
}

1;
