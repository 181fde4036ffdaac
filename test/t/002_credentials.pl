# Who may connect: JWTs, API keys and session tokens.

use strict;
use warnings;

use Digest::SHA;
use MIME::Base64 qw(encode_base64url);
use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;
use Time::HiRes qw(time);

my $refused    = 'Invalid or expired credential';
my $no_session = 'Invalid session';
my $node       = QuizRT::Cluster->create('main');
my $secret     = $QuizRT::Cluster::jwt_secret;
my $quiz       = $node->create_quiz(owner => 'teacher');
my $now        = int time;

sub jwt
{
	return QuizRT::Cluster::jwt(@_);
}

sub attempt
{
	my ($query) = @_;

	return QuizRT::Client->attempt($node->url("/ws?$query"));
}

sub accepted
{
	my ($query, $name) = @_;
	my $response = attempt($query);

	return is($response->{status}, 101, $name) || diag $response->{body};
}

sub refused
{
	my ($token, $name) = @_;

	return is_refused(attempt("token=$token"), 401, $refused, $name);
}

# What an owner is known as: the one whose quiz it may subscribe to.
sub is_owner
{
	my ($token, $quiz_id, $name) = @_;
	my $client = QuizRT::Client->connect($node->url("/ws?token=$token"));

	$client->subscribe("quiz:$quiz_id");
	return is_message($client,
		qq({"event":"subscribed","t":null,"subscriptions":["quiz:$quiz_id"]}),
		$name);
}

note 'JWT';

accepted('token=' . jwt({ sub => 'teacher' }), 'a good token');
is_owner(jwt({ sub => 'teacher' }), $quiz->{quiz_id}, 'sub is the owner');
{
	my $number = $node->create_quiz(owner => '42');

	is_owner(jwt({ sub => 42 }), $number->{quiz_id}, 'sub may be a number');
}
accepted('token=' . jwt({ sub => 'teacher', nbf => $now - 10, iat => $now }),
	'nbf in the past');
accepted('token=' . jwt({ sub => 'teacher', aud => 'somebody', iss => 'x' }),
	'audience and issuer, where none is configured');
accepted(
	'token=' . jwt({ sub => 'teacher' }, header => { kid => 'k' }),
	'an unknown header');

refused(jwt({ sub => 'teacher', exp => $now - 1 }), 'expired');
refused(jwt({ sub => 'teacher', exp => undef }),    'exp is null');
refused(jwt('{"sub":"teacher"}'),                   'no exp');
refused(jwt('{"sub":"teacher","exp":"9999999999"}'), 'exp is a string');
refused(jwt('{"sub":"teacher","exp":true}'),         'exp is a boolean');
refused(jwt('{"sub":"teacher","exp":[9999999999]}'), 'exp is an array');
refused(jwt('{"sub":"teacher","exp":-1}'),           'exp is negative');
refused(jwt({ sub => 'teacher', nbf => $now + 600 }), 'not yet valid');
refused(jwt('{"sub":"teacher","exp":9999999999,"nbf":"0"}'),
	'nbf is a string');
refused(jwt({}),              'no sub');
refused(jwt({ sub => '' }),   'sub is empty');
refused(jwt({ sub => undef }), 'sub is null');
refused(jwt({ sub => ['teacher'] }), 'sub is an array');
refused(jwt({ sub => { a => 1 } }), 'sub is an object');
refused(jwt('{"sub":1.5,"exp":9999999999}'), 'sub is a fraction');
refused(jwt('{"sub":true,"exp":9999999999}'), 'sub is a boolean');
refused(jwt({ sub => 'teacher' }, secret => 'another secret'),
	'another secret');
refused(jwt({ sub => 'teacher' }, secret => ''), 'no secret');
refused(jwt({ sub => 'teacher' }, header => { crit => ['x'] }),
	'an unknown critical header');
refused(jwt({ sub => 'teacher' }, header => { alg => $_ }), "alg $_")
  foreach 'none', 'None', 'NONE', 'HS384', 'RS256', 'hs256', '', 'XX256';
refused(
	jwt({ sub => 'teacher' },
		header => { alg => 'HS512' },
		sign   => \&Digest::SHA::hmac_sha512),
	'an algorithm that is not on the list');
{
	my ($header, $claims, $signature) = split /\./, jwt({ sub => 'teacher' });
	my $none = encode_base64url('{"alg":"none"}');

	refused("$header.$claims",             'two parts');
	refused("$header.$claims.",            'no signature');
	refused("$none.$claims.",              'alg none without signature');
	refused("$none.$claims",               'alg none in two parts');
	refused("$header.$claims.$signature.", 'a fourth part');
	refused("$header..$signature",         'no claims');
	refused(".$claims.$signature",         'no header');
	refused("..",                          'nothing but dots');
	refused("$header.$claims.%21%21",      'no base64');
	refused(
		"$header." . encode_base64url('{"sub":"other","exp":9999999999}')
		  . ".$signature",
		'other claims under the signature');
	refused(encode_base64url('[]') . ".$claims.$signature",
		'a header that is no object');
	refused(encode_base64url('{') . ".$claims.$signature",
		'a header that is no JSON');
}
refused(jwt('[]'),   'claims that are no object');
refused(jwt('nope'), 'claims that are no JSON');
refused('x' x 6000,  'a long word');
refused("a'b%22c%3B--", 'quotes');
refused('%F0%9F%98%80', 'a token that is not ASCII');

note 'settings of JWT';

$node->reconfigure(
	'quizrt.jwt_issuer'   => 'our issuer',
	'quizrt.jwt_audience' => 'quizzes');
my %named = (sub => 'teacher', iss => 'our issuer', aud => 'quizzes');

$node->wait_until(
	sub { attempt('token=' . jwt({ sub => 'teacher' }))->{status} == 401 });
accepted('token=' . jwt(\%named), 'issuer and audience');
accepted('token=' . jwt({ %named, aud => [ 'x', 'quizzes' ] }),
	'the audience is in the list');
refused(jwt({ %named, iss => 'another' }), 'another issuer');
refused(jwt({ %named, iss => undef }),     'no issuer');
refused(jwt({ %named, aud => 'other' }),   'another audience');
refused(jwt({ %named, aud => ['other'] }), 'another list of audiences');
refused(jwt({ %named, aud => [] }),        'an empty list of audiences');
refused(jwt({ %named, aud => undef }),     'no audience');

$node->reconfigure(
	'quizrt.jwt_issuer'      => '',
	'quizrt.jwt_audience'    => '',
	'quizrt.jwt_owner_claim' => 'user',
	'quizrt.jwt_leeway'      => '60s');
$node->wait_until(
	sub { attempt('token=' . jwt({ user => 'teacher' }))->{status} == 101 });
is_owner(jwt({ user => 'teacher', sub => 'x' }), $quiz->{quiz_id},
	'another claim names the owner');
refused(jwt({ sub => 'teacher' }), 'and only that one');
accepted('token=' . jwt({ user => 'teacher', exp => $now - 20 }),
	'expired within the leeway');
accepted('token=' . jwt({ user => 'teacher', nbf => $now + 25 }),
	'not yet valid within the leeway');
refused(jwt({ user => 'teacher', exp => $now - 120 }),
	'expired beyond the leeway');
$node->reconfigure(
	'quizrt.jwt_owner_claim' => 'sub',
	'quizrt.jwt_leeway'      => '0');

note 'public keys';

my $dir = PostgreSQL::Test::Utils::tempdir();

# Sign with a private key, by openssl.
sub signer
{
	my ($key) = @_;

	return sub {
		my ($signed) = @_;

		PostgreSQL::Test::Utils::append_to_file("$dir/signed", $signed);
		system_or_bail('openssl', 'dgst', '-sha256', '-sign', $key, '-out',
			"$dir/signature", "$dir/signed");
		unlink "$dir/signed";
		return PostgreSQL::Test::Utils::slurp_file("$dir/signature");
	};
}

foreach my $name ('ours', 'theirs')
{
	system_or_bail('openssl', 'genrsa', '-out', "$dir/$name.pem", '2048');
	system_or_bail('openssl', 'rsa', '-in', "$dir/$name.pem", '-pubout',
		'-out', "$dir/$name.pub");
}
my $public = PostgreSQL::Test::Utils::slurp_file("$dir/ours.pub");
my %rs256  = (header => { alg => 'RS256' }, sign => signer("$dir/ours.pem"));

$node->reconfigure(
	'quizrt.jwt_algorithms'      => 'HS256, RS256',
	'quizrt.jwt_public_key_file' => "$dir/ours.pub");
$node->wait_until(
	sub {
		attempt('token=' . jwt({ sub => 'teacher' }, %rs256))->{status} == 101;
	});
pass('a token signed with the private key');
accepted('token=' . jwt({ sub => 'teacher' }), 'HS256 beside RS256');
refused(
	jwt({ sub => 'teacher' }, %rs256, sign => signer("$dir/theirs.pem")),
	'signed with another key');
refused(jwt({ sub => 'teacher' }, secret => $public),
	'signed with the text of the public key');
refused(jwt({ sub => 'teacher' }, secret => $public, header => { alg => 'RS256' }),
	'signed with the text of the public key, and called RS256');
refused(jwt({ sub => 'teacher' }, %rs256, header => { alg => 'HS256' }),
	'signed with the private key, and called HS256');
refused(jwt({ sub => 'teacher', exp => $now - 1 }, %rs256),
	'expired, with a good signature');

$node->reconfigure('quizrt.jwt_algorithms' => 'RS256');
$node->wait_until(
	sub { attempt('token=' . jwt({ sub => 'teacher' }))->{status} == 401 });
accepted('token=' . jwt({ sub => 'teacher' }, %rs256), 'RS256 alone');
refused(jwt({ sub => 'teacher' }, secret => $public),
	'the public key is no secret');

$node->reconfigure(
	'quizrt.jwt_algorithms'      => 'HS256',
	'quizrt.jwt_public_key_file' => '',
	'quizrt.jwt_secret'          => '');
$node->wait_until(
	sub {
		attempt('token=' . jwt({ sub => 'teacher' }, %rs256))->{status} == 401;
	});
refused(jwt({ sub => 'teacher' }), 'without a secret there are no tokens');
refused(jwt({ sub => 'teacher' }, secret => ''),
	'an empty secret is no secret');
$node->reconfigure('quizrt.jwt_secret' => $secret);
$node->wait_until(
	sub { attempt('token=' . jwt({ sub => 'teacher' }))->{status} == 101 });

note 'API keys';

my $key = $node->api_key('teacher');

is_owner($key, $quiz->{quiz_id}, 'a key names its owner');
{
	my $monitor =
	  $node->sql("SELECT quizrt.create_api_key('teacher', '{monitor}')");
	my $both =
	  $node->sql("SELECT quizrt.create_api_key('teacher', '{monitor,owner}')");
	my $expired = $node->sql("SELECT quizrt.create_api_key("
		  . "'teacher', expires_at => now() - interval '1 s')");
	my $expires = $node->sql("SELECT quizrt.create_api_key("
		  . "'teacher', expires_at => now() + interval '1 h')");

	is_refused(attempt("token=$monitor"),
		403, 'API key does not have owner role', 'a key of another role');
	accepted("token=$both",    'a key of both roles');
	accepted("token=$expires", 'a key that expires later');
	refused($expired, 'an expired key');
	refused(substr($key, 0, -1), 'a key cut by a character');
	refused($key . 'x', 'a key with a character more');
	refused(uc $key, 'a key in capitals') if uc $key ne $key;
	is_refused(attempt("session=$key"), 401, $no_session,
		'a key is no session');

	my $client = QuizRT::Client->connect($node->url("/ws?token=$both"));

	$node->sql("SELECT quizrt.revoke_api_key('$both')");
	closes_with($client, 4403, 'revoking a key closes its connections');
	refused($both, 'a revoked key');
	accepted("token=$key", 'other keys are as good as before');
}

note 'sessions';

my $alice  = $node->start_attempt($quiz->{quiz_id}, alias => 'Alice');
my $bob    = $node->start_attempt($quiz->{quiz_id}, alias => 'Bob');
my $session = $node->session($alice->{attempt_id});

accepted("session=$session", 'a session');
is_refused(attempt("session=$_"), 401, $no_session, "session $_")
  foreach 'nothing', substr($session, 0, -1), $session . 'x',
  $alice->{attempt_id}, '%F0%9F%98%80', jwt({ sub => 'teacher' });
refused($session, 'a session is no token');
{
	my $expired = $node->sql("SELECT quizrt.create_session("
		  . "'$bob->{attempt_id}', now() - interval '1 s')");
	my $revoked = $node->session($bob->{attempt_id});
	my $client =
	  QuizRT::Client->connect($node->url("/ws?session=$revoked"));

	is_refused(attempt("session=$expired"), 401, $no_session,
		'an expired session');
	$node->sql("SELECT quizrt.revoke_session('$revoked')");
	closes_with($client, 4403, 'revoking a session closes its connections');
	is_refused(attempt("session=$revoked"), 401, $no_session,
		'a revoked session');
}
$node->submit($alice->{attempt_id});
is_refused(attempt("session=$session"), 401, $no_session,
	'the session of a submitted attempt');

note 'expiry while connected';

{
	$node->configure('quizrt.enforce_expiry' => 'on');
	$node->restart;
	$node->wait_ready;

	my $expires = int(time) + 3;
	my $client  = QuizRT::Client->connect($node->url(
			'/ws?token=' . jwt({ sub => 'teacher', exp => $expires })));
	my $lasting = $node->owner_client;

	closes_with($client, 4401, 'a token that expires');
	cmp_ok(time, '>=', $expires - 0.1, 'not before it expires');

	my $brief = $node->sql("SELECT quizrt.create_api_key("
		  . "'teacher', expires_at => now() + interval '2 s')");
	$client = QuizRT::Client->connect($node->url("/ws?token=$brief"));
	closes_with($client, 4401, 'a key that expires');

	$brief = $node->sql("SELECT quizrt.create_session("
		  . "'$bob->{attempt_id}', now() + interval '2 s')");
	$client = QuizRT::Client->connect($node->url("/ws?session=$brief"));
	closes_with($client, 4401, 'a session that expires');
	lives(sub { $lasting->ping }, 'what does not expire stays');
}

note 'secrets are kept';

{
	my $token  = jwt({ sub => 'teacher' });
	my $log    = $node->log_text;
	my @secret = ($key, $session, $secret, $token);
	my $stored = $node->sql(<<'END');
SELECT count(*) || ' ' || coalesce(string_agg(content, ''), '') FROM (
	SELECT query_to_xml(format('SELECT * FROM %s', oid::regclass),
		true, false, '')::text AS content
	FROM pg_class
	WHERE relnamespace = 'quizrt'::regnamespace AND relkind IN ('r', 'v')) c
END

	accepted("token=$token", 'a last token');
	ok(index($log, $_) < 0,    'not in the log')               foreach @secret;
	ok(index($stored, $_) < 0, 'not in the tables nor views') foreach @secret;
	$node->sql('CREATE ROLE nobody_special');
	foreach my $name (qw(quizrt.jwt_secret quizrt.jwt_public_key_file))
	{
		like($node->sql_fails("SET ROLE nobody_special; SHOW $name"),
			qr/must be (superuser or have privileges|a member)|permission denied/,
			"$name is not shown to everybody");
	}
	like(
		$node->sql_fails("SET ROLE nobody_special; SELECT quizrt.$_"),
		qr/permission denied/, "$_ is not for everybody")
	  foreach "create_api_key('teacher')", "create_session('x')",
	  "revoke_api_key('x')", "revoke_session('x')";
}

done_testing();
