# The documentation: what it shows runs, and what it lists is complete.

use strict;
use warnings;

use FindBin;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::OtherClient;
use QuizRT::Test;
use Test::More;

my $top  = "$FindBin::Bin/../..";
my $node = QuizRT::Cluster->create('main');
my $quiz = $node->create_quiz(questions => 3);
my $id   = $quiz->{quiz_id};
my $url  = $node->url('/ws?token=' . $node->api_key('teacher'));

note 'settings';

{
	local @ENV{qw(PGHOST PGPORT PGDATABASE)} =
	  ($node->host, $node->port, $QuizRT::Cluster::database);
	my ($table, $errors) = run_command([ "$top/dev/settings-doc", '--print' ]);

	ok( index(slurp_file("$top/docs/settings.md"), "\n$table\n") >= 0,
		'docs/settings.md is what dev/settings-doc writes')
	  || diag "run dev/settings-doc; $errors";
}

note 'metrics';

{
	my $body    = QuizRT::Client->get($node->url('/metrics'))->{body};
	my %served  = map { $_ => 1 } $body =~ /^# TYPE (\w+)/mg;
	my $page    = slurp_file("$top/docs/operating.md");
	my %written = map { $_ => 1 } $page =~ /^\| `(quizrt_\w+)` \|/mg;

	is_deeply([ sort keys %written ],
		[ sort keys %served ], 'docs/operating.md lists every metric');
}

note 'links';

{
	my @broken;


	foreach my $page (glob "$top/README.md $top/docs/*.md")
	{
		(my $directory = $page) =~ s{/[^/]+$}{};
		foreach my $target (slurp_file($page) =~ /\]\(([^)\s]+)\)/g)
		{
			my ($file, $anchor) = $target =~ /^([^#]*)#?(.*)/;
			my $path = $file eq '' ? $page : "$directory/$file";

			next if $target =~ /^https?:/;
			push @broken, "$page: $target" and next if !-e $path;
			push @broken, "$page: $target"
			  if $anchor ne '' && !grep { $_ eq $anchor } anchors($path);
		}
	}
	is("@broken", '', 'every link leads somewhere');
}

sub anchors
{
	my ($path) = @_;

	return map { s/[^\w -]//gr =~ tr/ /-/r } map { lc }
	  slurp_file($path) =~ /^#+ +(.*?)\s*$/mg;
}

note 'clients';

# "dev/check tls" runs this with TLS.
$ENV{NODE_EXTRA_CA_CERTS} = $node->basedir . '/server.crt' if $node->{tls};

if (!QuizRT::OtherClient->available)
{
	done_testing();
	exit;
}

# A running Node.js, its output so far, and waiting for some of it.
sub start_node
{
	my $self = { in => '', out => '', err => '' };

	$self->{run} = IPC::Run::start([ 'node', @_ ], '<', \$self->{in},
		'>', \$self->{out}, '2>', \$self->{err}, IPC::Run::timeout(60));
	return $self;
}

sub wait_out
{
	my ($self, $condition) = @_;

	$self->{run}->pump until $condition->();
	return 1;
}

{
	my ($code) = slurp_file("$top/README.md") =~ /^```js\n(.*?)^```/ms;
	my $script = PostgreSQL::Test::Utils::tempdir() . '/client.js';

	append_to_file($script, $code);
	cmp_ok(scalar(split /\n/, $code), '<=', 11, 'the first client is short');

	my $first = start_node($script, $url, "quiz:$id", 'quiz:99',
		"leaderboard:$id");

	lives(sub { wait_out($first, sub { $first->{out} =~ /snapshot \[\]/ }) },
		'the first client of the README subscribes');
	like($first->{out}, qr/^subscribed .*^error .*quiz:99/ms,
		'and shows confirmations and errors');
	$node->start_attempt($id, alias => 'Early');
	lives(
		sub {
			wait_out($first, sub { $first->{out} =~ /attempt_quiz .*alias: 'Early'/s });
		},
		'and updates');
	$first->{run}->signal('KILL');
	eval { $first->{run}->finish };
}

# The last line that watch.js has printed says what the tables say.
sub table_of
{
	return $node->sql_json(<<"END");
SELECT coalesce(json_agg(json_build_array(alias,
	(SELECT count(*) FROM quiz.answers AS r WHERE r.attempt_id = a.attempt_id),
	(SELECT coalesce(sum(score), 0)::float8 FROM quiz.answers AS r
	 WHERE r.attempt_id = a.attempt_id),
	floor(extract(epoch FROM submitted_at - started_at) * 1000)::bigint,
	ARRAY(SELECT DISTINCT upper(label) FROM quiz.flags AS f
		WHERE f.attempt_id = a.attempt_id ORDER BY 1)) ORDER BY alias), '[]')
FROM quiz.attempts AS a JOIN quiz.participants USING (participant_id)
WHERE quiz_id = $id
END
}

sub table_shown
{
	my ($self) = @_;
	my $line = (split /\n/, $self->{out} =~ s/[^\n]*\z//r)[-1] // return '';

	return [
		map {
			[
				$_->{alias}, $_->{answered_count}, $_->{score},
				$_->{time_taken_ms}, [ sort @{ $_->{labels} } ]
			]
		  }
		  sort { $a->{alias} cmp $b->{alias} } @{ decode_json($line) }
	];
}

sub shows_the_tables
{
	my ($self, $name) = @_;
	my $encoder = JSON::PP->new->canonical->allow_nonref;
	my $wanted  = $encoder->encode(table_of()) =~ s/\.0\b//gr;
	my $good    = eval {
		wait_out($self, sub {
			$encoder->encode(table_shown($self)) =~ s/\.0\b//gr eq $wanted });
	};

	return ok($good, $name)
	  || diag "$@ $self->{err}\n$wanted\n$self->{out}";
}

{
	my $old   = $node->start_attempt($id, alias => 'Old')->{attempt_id};
	my $watch;

	$node->answer($old, $quiz->{questions}[0], score => '7.5');
	$watch = start_node("$top/docs/examples/watch.js", $url, "attempts:$id");
	shows_the_tables($watch, 'the example begins with the snapshot');

	my $new = $node->start_attempt($id, alias => 'Newcomer')->{attempt_id};

	$node->answer($new, $_, score => '2.5') foreach @{ $quiz->{questions} };
	$node->flag($new, 'tab_switch', 'clipboard');
	$node->flag($new, 'Tab_Switch');
	$node->sql("UPDATE quiz.answers SET score = NULL, is_correct = NULL"
		  . " WHERE attempt_id = '$new' AND question_id = '$quiz->{questions}[1]'");
	$node->submit($new);
	shows_the_tables($watch, 'and follows the updates');
	$node->sql("UPDATE quiz.answers SET score = 8 WHERE attempt_id = '$old'");
	shows_the_tables($watch, 'and a grade that the snapshot had already');
	$node->sql("DELETE FROM quiz.answers WHERE question_id = '$quiz->{questions}[2]'");
	shows_the_tables($watch, 'and what has no message');
	$node->restart;
	$node->answer($old, $quiz->{questions}[2], score => '1.25');
	shows_the_tables($watch, 'and comes back when the server does');
	$watch->{run}->signal('KILL');
	eval { $watch->{run}->finish };
}

done_testing();
