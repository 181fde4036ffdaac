# The consistency checker (test/checker/), for some seconds in each of its
# modes.  "dev/checker" runs it for as long as wanted.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run ();
use PostgreSQL::Test::Utils;
use QuizRT::Cluster;
use Test::More;

plan skip_all => 'the checker speaks no TLS' if $ENV{QUIZRT_TEST_TLS};

my $tree    = abs_path(dirname(__FILE__) . '/../..');
my $seed    = $ENV{QUIZRT_CHECKER_SEED} || int rand 2**31;
my $seconds = $ENV{QUIZRT_CHECKER_SECONDS} || 6;

system_or_bail('make', '-s', '-C', "$tree/test/checker",
	"PG_CONFIG=" . ($ENV{PG_CONFIG} // 'pg_config'));

sub check
{
	my ($mode, $settings, @options) = @_;
	my $node = QuizRT::Cluster->create($mode,
		no_tables => 1,
		settings  => { 'quizrt.max_error_rate' => 0, %$settings });
	my $output = '';
	my $good = IPC::Run::run(
		[
			"$tree/.build/checker/checker", '--schema',
			"$tree/test/checker/schema.sql", '--db',
			$node->connstr($QuizRT::Cluster::database), '--port',
			$node->ws_port, '--seconds', $seconds, '--seed', $seed, @options
		],
		'>&',
		\$output);

	ok($good, "nothing is found: $mode, seed $seed");
	diag($output) unless $good;
	note($output);
	$node->stop;
	return;
}

check('plain', {});
check('small_ring', { 'quizrt.ring_size' => '64kB' }, '--lossy', '--stall');
check('slow_clients', { 'quizrt.max_queue_size' => '16kB' }, '--slow');
check('kill', {}, '--kill');
check('two_gateways', { 'quizrt.gateways' => 2 });

done_testing();
