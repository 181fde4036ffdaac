# The examples: tables that applications have, attached as docs/attach.md says.
# The whole quiz protocol runs against each.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;

my $top  = "$FindBin::Bin/../..";
my $node = QuizRT::Cluster->create('main', no_tables => 1,
	init => { allows_streaming => 'logical' });

# Each says how its application writes, and what the ids are on the wire.
my %examples = (
	'moodle' => {
		schema => 'moodle',
		data   => q{
			INSERT INTO moodle.mdl_user (id, username, firstname, lastname) VALUES
				(1, 'teacher', 'Tess', 'Teacher'), (2, 'ann', 'Ann', 'Lee'), (3, 'other', 'O', 'O');
			INSERT INTO moodle.mdl_course VALUES (7, 'History', 1), (8, 'Maths', 3);
			INSERT INTO moodle.mdl_quiz (id, course, name) VALUES (42, 7, 'Q'), (43, 8, 'R');
			INSERT INTO moodle.mdl_quiz_slots (quizid, slot, questionid) VALUES (42, 1, 501), (42, 2, 502)},
		start => q{INSERT INTO moodle.mdl_quiz_attempts (id, quiz, userid, uniqueid, timestart)
			VALUES (900, 42, 2, 77000, 1781188200)},
		answers => [
			q{INSERT INTO moodle.mdl_question_attempts VALUES
				(1, 77000, 1, 501, 10, 1, 'Paris', 1781188260)},
			q{INSERT INTO moodle.mdl_question_attempts VALUES
				(2, 77000, 2, 502, 10, 0.25, 'Rome', 1781188320)}
		],
		regrade => q{UPDATE moodle.mdl_question_attempts SET fraction = 0.5 WHERE id = 2},
		rename  => q{UPDATE moodle.mdl_user SET firstname = 'Anna' WHERE id = 2},
		submit  => q{UPDATE moodle.mdl_quiz_attempts SET state = 'finished', timefinish = 1781188500 WHERE id = 900},
		revoke  => q{UPDATE moodle.mdl_quiz SET course = 8 WHERE id = 42},
		ids     => [ 42, '900', '2', '501', '502', '1' ],
		aliases => [ 'Ann Lee', 'Anna Lee' ],
		scores  => [ 10.00, 2.50, 15.00 ],
	},
	'live-quiz' => {
		schema => 'live',
		owner  => '0198a000-0000-7000-8000-0000000000aa',
		data   => q{
			INSERT INTO live.games (pin, host, questions) VALUES
				('123456', '0198a000-0000-7000-8000-0000000000aa',
				 '{0198a000-0000-7000-8000-000000000501,0198a000-0000-7000-8000-000000000502}'),
				('654321', '0198a000-0000-7000-8000-0000000000bb', '{}')},
		start => q{INSERT INTO live.players (player, game, nickname, joined)
			VALUES ('0198a000-0000-7000-8000-000000000900', 1, 'Ann', '2026-06-11 14:30:00+00')},
		answers => [
			map {
				qq{UPDATE live.players SET answers = answers || '{"0198a000-0000-7000-8000-00000000050$_->[0]":
				{"choice": 1, "correct": $_->[1], "points": $_->[2], "at": "2026-06-11T14:3$_->[0]:00Z"}}'}
			} [ 1, 'true', 850 ],
			[ 2, 'false', 0 ]
		],
		regrade => q{UPDATE live.players SET answers = jsonb_set(answers,
			'{0198a000-0000-7000-8000-000000000502,points}', '100')},
		rename => q{UPDATE live.players SET nickname = 'Anna'},
		submit => q{UPDATE live.players SET "left" = '2026-06-11 14:35:00+00'},
		revoke => q{UPDATE live.games SET host = '0198a000-0000-7000-8000-0000000000bb' WHERE game_no = 1},
		ids    => [
			1, map { "0198a000-0000-7000-8000-000000000$_" } 900, 900, 501, 502
		],
		aliases => [ 'Ann', 'Anna' ],
		scores  => [ 850, 0, 950 ],
	},
	'exams' => {
		schema => 'exams',
		data   => q{
			INSERT INTO exams.exam VALUES (42, 'EX-2026-42', 'teacher', 30), (43, 'EX-2026-43', 'other', NULL);
			INSERT INTO exams.candidate VALUES ('C-2', 'Ann');
			INSERT INTO exams.item VALUES ('I-1', 42, 1), ('I-2', 42, 2)},
		start => q{INSERT INTO exams.sitting (month, sitting_no, exam_no, candidate_no, started_at, ends_at)
			VALUES ('2026-06-01', 'S-900', 42, 'C-2', '2026-06-11 14:30:00+00', 'infinity')},
		answers => [
			q{INSERT INTO exams.reply (month, sitting_no, item, marks, max_marks) VALUES ('2026-06-01', 'S-900', 'I-1', 4, 4)},
			q{INSERT INTO exams.reply (month, sitting_no, item, marks, max_marks) VALUES ('2026-07-01', 'S-900', 'I-2', 1, 4)},
		],
		regrade => q{UPDATE exams.reply SET marks = 2.5 WHERE item = 'I-2'},
		rename  => q{UPDATE exams.candidate SET display_name = 'Anna'},
		flag    => q{INSERT INTO exams.incident (sitting_no, kind) VALUES ('S-900', 'phone'), ('S-900', 'noise')},
		submit  => q{UPDATE exams.sitting SET submitted_at = '2026-06-11 14:35:00+00', how = 'forced_by_owner'},
		revoke  => q{UPDATE exams.exam SET deleted_at = now() WHERE exam_no = 42},
		ids     => [ 42, 'S-900', 'C-2', 'I-1', 'I-2' ],
		aliases => [ 'Ann', 'Anna' ],
		scores  => [ 4, 1, 6.5 ],
		reason  => 'forced_by_owner',
		also    => \&soft_deletes,
	},);

sub next_update
{
	my ($client, $slug) = @_;

	return $client->wait_for(
		sub { $_->{event} eq 'update' && $_->{t} eq $slug })->{data};
}

sub next_snapshot
{
	my ($client, $channel, $condition) = @_;

	return $client->wait_for(
		sub {
			$_->{event} eq 'snapshot'
			  && $_->{channel} eq $channel
			  && (!$condition || $condition->(@{ $_->{snapshot} }));
		})->{snapshot};
}

sub run_example
{
	my ($name) = @_;
	my $app    = $examples{$name};
	my $owner  = $app->{owner} // 'teacher';
	my ($quiz, $attempt, $participant, @questions) = @{ $app->{ids} };
	my ($client, $watcher, $taker, $data);

	note $name;
	$node->sql(slurp_file("$top/examples/$name/schema.sql"));
	$node->sql($app->{data});
	$node->sql(slurp_file("$top/examples/$name/attach.sql"));

	my $other = $quiz + 1;

	$client = $node->owner_client($owner);
	$client->subscribe("quiz:$quiz", "quiz:$other", "quiz:987654");
	is_message($client,
		qq({"event":"subscribed","t":null,"subscriptions":["quiz:$quiz"]}),
		"$name: subscribed");
	is_error($client, "Subscription denied: quiz:$_: not found or not owned",
		"$name: denied quiz:$_")
	  foreach $other, 987654;
	$watcher =
	  $node->owner_client($owner, "attempts:$quiz", "leaderboard:$quiz");

	$node->sql($app->{start});
	is_deeply(
		next_update($client, 'attempt_quiz'),
		{
			attempt_id     => $attempt,
			participant_id => $participant,
			alias          => $app->{aliases}[0],
			quiz_id        => $quiz,
			event_id       => undef,
			started_at     => '2026-06-11T14:30:00+00:00'
		},
		"$name: attempt_quiz");

	$taker = $node->participant_client($attempt);
	foreach my $n (1, 2)
	{
		$node->sql($app->{answers}[ $n - 1 ]);
		$data = next_update($client, 'attempt_update');
		is_deeply(
			[
				@$data{qw(attempt_id alias question_id is_correct
					  answered_count question_order)},
				$data->{score} + 0
			],
			[
				$attempt, $app->{aliases}[0], $questions[ $n - 1 ],
				$n == 1 ? JSON::PP::true : JSON::PP::false,
				$n, $n, $app->{scores}[ $n - 1 ]
			],
			"$name: attempt_update $n");
		ok(!ref $data->{answer_id}, "$name: the answer has an id");
	}
	$node->sql($app->{regrade});
	is(next_update($client, 'attempt_update')->{answered_count},
		2, "$name: graded anew");
	$data = next_snapshot($watcher, 'leaderboard',
		sub { @_ == 1 && $_[0]{score} == $app->{scores}[2] });
	is($data->[0]{attempt_id}, $attempt, "$name: the leaderboard");
	$node->sql($app->{rename});
	$data = next_snapshot($watcher, 'attempts',
		sub { @_ == 1 && $_[0]{alias} eq $app->{aliases}[1] });
	is_deeply(
		[ @{ $data->[0] }{qw(attempt_id participant_id answered_count)} ],
		[ $attempt, $participant, 2 ],
		"$name: the snapshot of the attempts");
	if ($app->{flag})
	{
		$node->sql($app->{flag});
		is_deeply(next_update($client, 'attempt_flagged')->{labels},
			[ 'PHONE', 'NOISE' ], "$name: attempt_flagged");
	}
	$app->{also}->($client, $watcher) if $app->{also};

	$node->sql($app->{submit});
	$data = next_update($client, 'attempt_finished');
	is_deeply([ @$data{qw(attempt_id alias answered_count time_taken_ms)} ],
		[ $attempt, $app->{aliases}[1], 2, 300000 ],
		"$name: attempt_finished");
	$data = next_update($taker, 'attempt_closed');
	$data->{score} += 0;
	is_deeply(
		$data,
		{
			attempt_id     => $attempt,
			quiz_id        => $quiz,
			event_id       => undef,
			reason         => $app->{reason} // 'submitted',
			score          => $app->{scores}[2],
			answered_count => 2,
			submitted_at   => '2026-06-11T14:35:00+00:00'
		},
		"$name: attempt_closed");

	$node->sql($app->{revoke});
	ok( $client->wait_for(
			sub { $_->{event} eq 'error' && $_->{error} =~ /revoked/i }),
		"$name: who is not the owner any more is sent away");
	is( $node->sql(
			"SELECT value FROM quizrt.stats WHERE name = 'events_failed'"),
		0, "$name: nothing failed");
	$node->sql("SET client_min_messages = warning; DROP SCHEMA $app->{schema} CASCADE");
	return;
}

# An answer and an attempt that are deleted softly are gone.
sub soft_deletes
{
	my ($client, $watcher) = @_;

	$node->sql(q{INSERT INTO exams.reply (month, sitting_no, item, marks)
		VALUES ('2026-06-01', 'S-900', 'I-1', 9)});
	is(next_update($client, 'attempt_update')->{answered_count},
		3, 'an answer that will be deleted');
	$node->sql('UPDATE exams.reply SET deleted_at = now() WHERE marks = 9');
	ok( next_snapshot($watcher, 'attempts',
			sub { @_ == 1 && $_[0]{answered_count} == 2 }),
		'a deleted answer does not count');
	$node->sql(q{INSERT INTO exams.sitting (month, sitting_no, exam_no, candidate_no)
		VALUES ('2026-07-01', 'S-901', 42, 'C-2')});
	is(next_update($client, 'attempt_quiz')->{attempt_id},
		'S-901', 'an attempt that will be deleted');
	$node->sql(q{UPDATE exams.sitting SET deleted_at = now() WHERE sitting_no = 'S-901'});
	ok(next_snapshot($watcher, 'attempts', sub { @_ == 1 }),
		'a deleted attempt is not shown');
	return;
}

# A dump has the attachments, and what it restores tells nobody.
sub dump_and_restore
{
	my $query = 'SELECT relation, role, columns FROM quizrt.attachments ORDER BY relation::text, role';
	my ($dump, $before);

	note 'dump and restore';
	$node->sql(slurp_file("$top/examples/exams/schema.sql"));
	$node->sql($examples{exams}{data});
	$node->sql(slurp_file("$top/examples/exams/attach.sql"));
	$node->sql($examples{exams}{start});
	$before = $node->sql($query);
	$dump   = $node->basedir . '/dump';
	command_ok(
		[ 'pg_dump', '-d', $node->connstr($QuizRT::Cluster::database), '-Fc', '-f', $dump ],
		'it is dumped');
	$node->safe_psql('postgres', 'CREATE DATABASE restored');
	command_ok([ 'pg_restore', '-d', $node->connstr('restored'), $dump ],
		'it is restored');
	is($node->safe_psql('restored', $query),
		$before, 'the tables are attached as before');
	is($node->safe_psql('restored', 'SELECT count(*) FROM exams.sitting'),
		1, 'with their rows');
	$node->sql('SELECT quizrt.detach(relation) FROM quizrt.attachments');
	$node->sql(
		'SET client_min_messages = warning; DROP SCHEMA exams CASCADE');
	return;
}

# What a subscriber of logical replication applies was told of elsewhere.
sub replicate
{
	my $elsewhere = 'elsewhere';
	my $connection =
	  'host=' . $node->host . ' port=' . $node->port . " dbname=$elsewhere";

	note 'logical replication';
	$node->safe_psql('postgres', "CREATE DATABASE $elsewhere");
	$node->safe_psql($elsewhere, slurp_file("$top/examples/live-quiz/schema.sql"));
	$node->sql(slurp_file("$top/examples/live-quiz/schema.sql"));
	$node->sql($examples{'live-quiz'}{data});
	$node->sql(slurp_file("$top/examples/live-quiz/attach.sql"));
	$node->safe_psql($elsewhere,
		"CREATE PUBLICATION p FOR TABLE live.players;"
		  . " SELECT pg_create_logical_replication_slot('s', 'pgoutput')");
	$node->sql("CREATE SUBSCRIPTION s CONNECTION '$connection' PUBLICATION p"
		  . " WITH (create_slot = false, slot_name = 's', copy_data = false)");

	my $before = $node->sql('SELECT coalesce(max(seq), 0) FROM quizrt.recent_events');

	$node->safe_psql($elsewhere,
		'ALTER TABLE live.players DROP CONSTRAINT players_game_fkey;'
		  . $examples{'live-quiz'}{start});
	ok( $node->wait_until(
			sub { $node->sql('SELECT count(*) FROM live.players') == 1 }, 60),
		'a row is replicated');
	is( $node->sql("SELECT count(*) FROM quizrt.recent_events WHERE seq > $before"),
		0, 'and told to nobody');
	$node->sql('ALTER TABLE live.players ENABLE ALWAYS TRIGGER "0_quizrt_change"');
	$node->safe_psql($elsewhere,
		"INSERT INTO live.players (game, nickname) VALUES (1, 'Bob')");
	ok( $node->wait_until(
			sub {
				$node->sql("SELECT count(*) FROM quizrt.recent_events"
					  . " WHERE seq > $before AND event = 'attempt_quiz'") == 1;
			},
			60),
		'unless it is asked for');
	$node->sql('DROP SUBSCRIPTION s');
	return;
}

run_example($_) foreach 'moodle', 'live-quiz', 'exams';
dump_and_restore();
replicate();

done_testing();
