# Deadlines: the server closes attempts whose time is up.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use QuizRT::Client;
use QuizRT::Cluster;
use QuizRT::Test;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = QuizRT::Cluster->create('main',
	settings => { 'track_commit_timestamp' => 'on' },
	init     => { allows_streaming => 1 });
my $quiz = $node->create_quiz(questions => 2);
my $id   = $quiz->{quiz_id};

# An attempt with a deadline so many seconds from now; its id.
sub attempt
{
	my ($seconds, %options) = @_;
	my $attempt =
	  $node->start_attempt($id, started_at => '2026-01-01 00:00+00', %options)
	  ->{attempt_id};

	$node->sql('UPDATE quiz.attempts SET deadline = clock_timestamp()'
		  . " + interval '$seconds s' WHERE attempt_id = '$attempt'");
	return $attempt;
}

sub column
{
	my ($attempt, $expression) = @_;

	return $node->sql(
		"SELECT $expression FROM quiz.attempts WHERE attempt_id = '$attempt'");
}

sub wait_closed
{
	my (@attempts) = @_;
	my $list = join ',', map { "'$_'" } @attempts;

	return $node->wait_until(
		sub {
			$node->sql('SELECT count(*) FROM quiz.attempts'
				  . " WHERE attempt_id IN ($list) AND submitted_at IS NULL") == 0;
		});
}

# The deadlines of several attempts, by statements that leave a slow machine no
# time between them.
sub set_deadline
{
	my ($seconds, @attempts) = @_;

	return "UPDATE quiz.attempts SET deadline = clock_timestamp() +"
	  . " interval '$seconds s' WHERE attempt_id IN ("
	  . join(',', map { "'$_'" } @attempts) . ');';
}

# Closed as a deadline does it, committed within a second, and another for a
# busy machine.
sub is_timed_up
{
	my ($attempt, $name) = @_;

	is(column($attempt, "reason || (submitted_at = deadline)"),
		'time_uptrue', $name);
	cmp_ok(
		column($attempt,
			'extract(epoch FROM pg_xact_commit_timestamp(xmin) - deadline)'),
		'<', 2, "$name: in time");
	return;
}

sub closings
{
	return $node->sql('SELECT count(*) FROM quizrt.recent_events'
		  . " WHERE event = 'attempt_closed'");
}

note 'an attempt whose time is up';

{
	my $alice       = attempt(3600);
	my $owner       = $node->owner_client('teacher', "quiz:$id");
	my $participant = $node->participant_client($alice);

	$node->answer($alice, $quiz->{questions}[0], score => '7.5');
	$node->sql(set_deadline(0.5, $alice));
	is($owner->expect_json->{t}, 'attempt_update', 'answered');

	my $finished = $owner->expect_json;
	my $closed   = $participant->expect_json;

	is($finished->{t}, 'attempt_finished', 'the owner hears of the end');
	is($closed->{t},   'attempt_closed',   'the participant too');
	is($closed->{data}{reason}, 'time_up', 'the reason');
	cmp_ok($closed->{data}{score}, '==', 7.5, 'the score');
	is_timed_up($alice, 'closed at its deadline');
}

note 'an earlier deadline, a later one, and one that is taken back';

{
	my $far = attempt(3600);

	sleep 0.3;
	my ($near, $moved, $never) = map { attempt(3600) } 1 .. 3;

	$node->sql(set_deadline(1, $near, $moved, $never)
		  . set_deadline(2, $moved)
		  . "UPDATE quiz.attempts SET deadline = 'infinity'"
		  . " WHERE attempt_id = '$never'");
	$node->sql('BEGIN; UPDATE quiz.attempts SET deadline = now()'
		  . " WHERE attempt_id = '$far'; ROLLBACK");
	$node->sql('BEGIN; SAVEPOINT s; UPDATE quiz.attempts SET deadline = now()'
		  . " WHERE attempt_id = '$far'; ROLLBACK TO s; COMMIT");
	wait_closed($near, $moved);
	is_timed_up($near,  'an earlier deadline');
	is_timed_up($moved, 'a later deadline');
	is(column($far,   'submitted_at IS NULL'), 't', 'one that was taken back');
	is(column($never, 'submitted_at IS NULL'), 't', 'no deadline at all');
	$node->sql("UPDATE quiz.attempts SET deadline = now() - interval '1 h'"
		  . " WHERE attempt_id = '$far'");
	wait_closed($far);
	is(column($far, 'reason'), 'time_up', 'one in the past');
}

note 'rows that others have locked';

{
	my ($answering, $submitting, $free) = map { attempt(3600) } 1 .. 3;
	my $session = $node->background_psql($QuizRT::Cluster::database,
		on_error_stop => 1);

	$session->query_safe(
		set_deadline(1, $answering, $submitting, $free) . 'BEGIN;');
	$session->query_safe('INSERT INTO quiz.answers (attempt_id, question_id)'
		  . " VALUES ('$answering', '$quiz->{questions}[0]')");
	$session->query_safe('UPDATE quiz.attempts SET submitted_at = started_at,'
		  . " reason = 'submitted' WHERE attempt_id = '$submitting'");
	wait_closed($free);
	is_timed_up($free, 'the others are closed');
	sleep 0.5;
	is(column($answering, 'submitted_at IS NULL'), 't', 'the locked are not');
	$session->query_safe('COMMIT');
	my $committed = time;
	wait_closed($answering);
	cmp_ok(time - $committed, '<', 2, 'closed soon after the lock has gone');
	is(column($answering,  'reason'), 'time_up',   'after the answer');
	is(column($submitting, 'reason'), 'submitted', 'the submission won');
	$session->quit;
	is( $node->sql(
			"SELECT data::json ->> 'answered_count' FROM quizrt.recent_events"
			  . " WHERE event = 'attempt_closed'"
			  . " AND topics = ARRAY['notification:$answering']"),
		'1',
		'the answer was counted');
}

note 'triggers that fail';

{
	my $offset = -s $node->logfile;

	$node->sql(<<~'SQL');
		CREATE FUNCTION quiz.fail() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF EXISTS (SELECT FROM quiz.participants AS p
				WHERE p.participant_id = NEW.participant_id
					AND p.alias = TG_ARGV[0]) THEN
				IF TG_ARGV[0] = 'Veto' THEN RETURN NULL; END IF;
				IF TG_ARGV[0] = 'Slow' THEN PERFORM pg_sleep(60); END IF;
				RAISE EXCEPTION '% fails as %', TG_ARGV[0], current_user;
			END IF;
			RETURN NEW;
		END
		$$;
		CREATE TRIGGER fail BEFORE UPDATE OF submitted_at ON quiz.attempts
		FOR EACH ROW EXECUTE FUNCTION quiz.fail('Fail');
		CREATE TRIGGER veto BEFORE UPDATE OF submitted_at ON quiz.attempts
		FOR EACH ROW EXECUTE FUNCTION quiz.fail('Veto');
		CREATE CONSTRAINT TRIGGER late AFTER UPDATE OF submitted_at ON quiz.attempts
		DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION quiz.fail('Late');
		SQL

	my %failing = map { $_ => attempt(3600, alias => $_) } qw(Fail Veto Late);
	my @good = map { attempt(3600) } 1 .. 5;

	$node->sql("UPDATE quiz.attempts SET deadline = now() + interval '0.5 s'"
		  . ' WHERE submitted_at IS NULL AND isfinite(deadline)');
	wait_closed(@good);
	is_timed_up($good[0], 'the others are closed');
	sleep 1.5;
	is(column($failing{$_}, 'submitted_at IS NULL'), 't', "$_ is not")
	  foreach sort keys %failing;

	my $log = $node->log_text($offset);

	like($log, qr/could not close attempt $failing{$_}|kept it open|fails as/,
		'said in the log');
	cmp_ok(scalar(() = $log =~ /could not close attempt/g),
		'<=', 2, 'once for each kind of error');
	$node->sql('DROP TRIGGER fail ON quiz.attempts;'
		  . ' DROP TRIGGER veto ON quiz.attempts;'
		  . ' DROP TRIGGER late ON quiz.attempts');
	wait_closed(values %failing);
	is(column($failing{$_}, 'reason'), 'time_up', "$_ is closed in the end")
	  foreach sort keys %failing;
}

note 'triggers that take too long';

{
	$node->sql('CREATE TRIGGER slow BEFORE UPDATE OF submitted_at'
		  . ' ON quiz.attempts FOR EACH ROW'
		  . " EXECUTE FUNCTION quiz.fail('Slow')");
	$node->reconfigure('quizrt.query_timeout' => '300ms');

	my $slow = attempt(3600, alias => 'Slow');
	my @good = map { attempt(3600) } 1 .. 3;

	$node->sql("UPDATE quiz.attempts SET deadline = now() + interval '0.2 s'"
		  . ' WHERE submitted_at IS NULL AND isfinite(deadline)');
	wait_closed(@good);
	is(column($slow, 'submitted_at IS NULL'), 't', 'the others are closed');
	$node->sql('DROP TRIGGER slow ON quiz.attempts');
	$node->reconfigure('quizrt.query_timeout' => '5s');
	wait_closed($slow);
	is(column($slow, 'reason'), 'time_up', 'and this one in the end');
}

note 'rights';

{
	$node->sql(<<~'SQL');
		CREATE ROLE app;
		GRANT USAGE ON SCHEMA quiz TO app;
		GRANT SELECT ON ALL TABLES IN SCHEMA quiz TO app;
		CREATE TABLE quiz.log (who name, role name);
		ALTER TABLE quiz.log OWNER TO app;
		CREATE FUNCTION quiz.spy() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO quiz.log VALUES (current_user, session_user);
			BEGIN
				EXECUTE 'RESET ROLE';
				INSERT INTO quiz.log VALUES (current_user, 'reset');
			EXCEPTION WHEN OTHERS THEN
			END;
			RETURN NULL;
		END
		$$;
		CREATE TRIGGER spy AFTER UPDATE OF submitted_at ON quiz.attempts
		FOR EACH ROW EXECUTE FUNCTION quiz.spy();
		CREATE CONSTRAINT TRIGGER deferred_spy AFTER UPDATE OF submitted_at
		ON quiz.attempts DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION quiz.spy();
		ALTER TABLE quiz.quizzes OWNER TO app;
		ALTER TABLE quiz.events OWNER TO app;
		ALTER TABLE quiz.attempts OWNER TO app;
		ALTER TABLE quiz.answers OWNER TO app;
		ALTER TABLE quiz.flags OWNER TO app;
		ALTER TABLE quiz.attempts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
		SQL

	my $attempt = attempt(0.3);

	wait_closed($attempt);
	is_timed_up($attempt, 'closed as the owner');
	is($node->sql('SELECT count(*), string_agg(DISTINCT who, $$ $$) FROM quiz.log'),
		'2|app', 'triggers run as the owner of the table, deferred ones too');
	$node->sql('DROP TRIGGER spy ON quiz.attempts;'
		  . ' DROP TRIGGER deferred_spy ON quiz.attempts');

	my $owner = $node->owner_client('teacher');

	$owner->subscribe("quiz:$id", "attempts:$id");
	is($owner->expect_json->{event}, 'subscribed', 'questions as the owner');
	is($owner->expect_json->{event}, 'snapshot',   'snapshots as the owner');
	$owner->subscribe("leaderboard:$id");
	$owner->wait_for(sub { $_->{event} eq 'snapshot' });

	$node->sql('ALTER TABLE quiz.quizzes OWNER TO CURRENT_USER');
	my $again = $node->owner_client('teacher');

	$again->subscribe("quiz:$id");
	is_error($again,
		"Subscription denied: quiz:$id: temporarily unavailable",
		'tables of several owners');

	# whose rights would be right is for the administrator to say
	$node->sql('GRANT pg_read_all_data TO app');
	$node->reconfigure('quizrt.role' => 'app');
	$node->wait_until(
		sub {
			$again->subscribe("quiz:$id");
			return $again->expect_json->{event} eq 'subscribed';
		});
	ok(1, 'quizrt.role');
	$node->sql('ALTER TABLE quiz.attempts NO FORCE ROW LEVEL SECURITY,'
		. ' DISABLE ROW LEVEL SECURITY');
	$node->sql('ALTER TABLE quiz.quizzes OWNER TO app');
	$node->reconfigure('quizrt.role' => '');
}

note 'several workers, one of which ends';

{
	$node->reconfigure('quizrt.query_workers' => 4);
	$node->wait_until(sub { defined $node->pid('query worker 4') });

	my $before = closings();

	$node->sql('INSERT INTO quiz.attempts (quiz_id, participant_id, started_at,'
		  . " deadline) SELECT $id, participant_id, now(), now() + interval '1 s'"
		  . ' FROM quiz.participants, generate_series(1, 500) LIMIT 500');
	sleep 0.5;
	kill 'TERM', $node->pid('query worker 1');
	$node->wait_until(
		sub {
			$node->sql('SELECT count(*) FROM quiz.attempts'
				  . ' WHERE submitted_at IS NULL AND isfinite(deadline)') == 0;
		});
	is(closings() - $before, 500, 'each was closed once');
	is( $node->sql(
			'SELECT max(pg_xact_commit_timestamp(xmin) - deadline) <'
			  . " interval '2 s' FROM quiz.attempts WHERE reason = 'time_up'"
			  . " AND started_at > now() - interval '1 min'"),
		't',
		'in time');

	my $worker = $node->wait_new_pid('query worker 1', 0);

	kill 'TERM', map { $node->pid("query worker $_") } 1 .. 4;
	my $attempt = attempt(0.2);
	wait_closed($attempt);
	is(column($attempt, 'reason'), 'time_up', 'while no worker was there');
	$node->reconfigure('quizrt.query_workers' => 1);
}

note 'what was missed';

{
	my $attempt = attempt(1);

	$node->stop;
	sleep 1.2;
	$node->start;
	$node->wait_ready;
	wait_closed($attempt);
	is(column($attempt, "reason || (submitted_at = deadline)"),
		'time_uptrue', 'while the server was down');

	# data that comes before the triggers, as in a dump
	$node->sql('SELECT quizrt.detach($$quiz.attempts$$)');
	my $silent = attempt(0.2);
	sleep 0.5;
	is(column($silent, 'submitted_at IS NULL'), 't', 'not attached, not closed');
	$node->sql('SELECT quizrt.create_quiz_tables()');
	wait_closed($silent);
	is(column($silent, 'reason'), 'time_up', 'before it was attached');

	$node->sql('DROP EXTENSION quizrt CASCADE');
	my $orphan = attempt(0.2);
	sleep 0.5;
	is(column($orphan, 'submitted_at IS NULL'), 't', 'no extension');
	$node->sql('CREATE EXTENSION quizrt; SELECT quizrt.create_quiz_tables()');
	wait_closed($orphan);
	is(column($orphan, 'reason'), 'time_up', 'the extension is back');
}

note 'nothing is due';

{
	attempt(3600);
	sleep 0.5;
	my $scans = sub {
		$node->sql('SELECT pg_stat_force_next_flush()');
		return $node->sql('SELECT seq_scan + idx_scan FROM'
			  . " pg_stat_user_tables WHERE relid = 'quiz.attempts'::regclass");
	};
	my $before = $scans->();

	sleep 5;
	is($scans->(), $before, 'the table is left alone');
}

note 'a standby';

{
	$node->backup('base');

	my $standby = QuizRT::Cluster->new('standby');

	$standby->{ws_port} = PostgreSQL::Test::Cluster::get_free_port();
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->configure('quizrt.port' => $standby->ws_port);
	$standby->start;

	my $attempt = attempt(4);

	$node->wait_for_catchup($standby);
	$node->stop('immediate');
	sleep 4;
	my $state = "SELECT coalesce(reason, 'open') FROM quiz.attempts"
	  . " WHERE attempt_id = '$attempt'";
	is($standby->sql($state), 'open', 'closes nothing');
	$standby->promote;
	$standby->wait_until(sub { $standby->sql($state) eq 'time_up' });
	ok(1, 'until it is promoted');
}

done_testing();
