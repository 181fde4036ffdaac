/*-------------------------------------------------------------------------
 *
 * model.c
 *		What a subscriber knows, and what it must never see.
 *
 * A subscriber of "attempts" folds the snapshot and the updates after it; at
 * every moment the next update must fit what it knows:
 *
 *	- a writer's clock goes up by one.  More is a gap, less a double or an
 *	  inversion; the snapshot that the updates join says where it stands;
 *	- the tick's own message comes once, right after that update, and no
 *	  clock that its transaction saw is ahead of what has arrived;
 *	- an attempt starts once, its answers are counted one by one, it ends
 *	  once;
 *	- nothing is heard of what was rolled back, nor, by who has lost a quiz,
 *	  of what was committed under its next owner.
 *
 * "quiz" has no snapshot, so that a clock's first update tells where it
 * stands; after "Updates lost" likewise.  A leaderboard must never go back.
 *
 * While the writers rest, everything must become equal to what SQL says.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checker.h"

Topic		topics[MAX_TOPICS];
int			ntopics;

static int	truth_number = -1;	/* of the rest at hand */

static void
add_topic(TopicKind kind, int quiz, bool event)
{
	static const char *const names[] = {"quiz", "attempts", "leaderboard"};
	Topic	   *topic = &topics[ntopics++];

	topic->kind = kind;
	topic->quiz = quiz;
	topic->event = event;
	if (event)
		snprintf(topic->id, sizeof(topic->id),
				 "e0000000-0000-4000-8000-000000%06x", (unsigned) quiz);
	else
		snprintf(topic->id, sizeof(topic->id), "%d", quiz);
	strcat(strcat(strcpy(topic->name, names[kind]), ":"), topic->id);
}

void
TopicsInit(void)
{
	for (int quiz = 1; quiz <= plan.quizzes; quiz++)
	{
		add_topic(TOPIC_QUIZ, quiz, false);
		add_topic(TOPIC_ATTEMPTS, quiz, false);
		add_topic(TOPIC_ATTEMPTS, quiz, true);
		add_topic(TOPIC_LEADERBOARD, quiz, false);
		add_topic(TOPIC_LEADERBOARD, quiz, true);
	}
}

int
TopicByName(const char *name)
{
	for (int i = 0; i < ntopics; i++)
	{
		if (strcmp(topics[i].name, name) == 0)
			return i;
	}
	Die("a message about a channel that does not exist: %s", name);
}

#define VIOLATION(subscription, format, ...) \
	Violation((subscription)->client, "%s: " format, \
			  (subscription)->topic->name, __VA_ARGS__)

/* Which writer's clock in which quiz is this attempt? */
static bool
is_clock(const char *attempt, int *writer, int *quiz)
{
	unsigned	w;
	unsigned	q;

	if (strncmp(attempt, "c10c0000-", 9) != 0 || strlen(attempt) != 36 ||
		sscanf(attempt + 24, "%6x%6x", &w, &q) != 2 ||
		w >= (unsigned) plan.writers)
		return false;
	*writer = (int) w;
	*quiz = (int) q;
	return true;
}

void
ModelForget(Subscription *subscription)
{
	for (int i = 0; i < MAX_WRITERS; i++)
		subscription->clocks[i] = (Clock) {-1, false, false};
	subscription->nattempts = 0;
	subscription->shown = false;
	subscription->veiled = false;
	subscription->mark = -1;
	free(subscription->board);
	subscription->board = NULL;
}

void
ModelLost(Subscription *subscription)
{
	for (int i = 0; i < MAX_WRITERS; i++)
		subscription->clocks[i].sure = false;

	/* The rest may have been among what was lost. */
	subscription->mark = truth_number;
}

/*
 * Clocks
 */

/* Something is missing, and nothing has been said about it. */
static void
gap(Subscription *subscription, const char *what, int writer, int64_t came,
	int64_t known)
{
	VIOLATION(subscription, "gap: %s of writer %d: %lld after %lld", what,
			  writer, (long long) came, (long long) known);
}

static void
clock_update(Subscription *subscription, int writer, int64_t number,
			 Json correct)
{
	Clock	   *clock = &subscription->clocks[writer];

	/* put back after a TRUNCATE */
	if (JsonIsWord(correct, "null"))
	{
		*clock = (Clock) {number, true, false};
		return;
	}
	if (clock->number >= number)
		VIOLATION(subscription, "double or inversion: tick %lld of writer %d"
				  " after %lld", (long long) number, writer,
				  (long long) clock->number);
	if (clock->sure && (clock->number + 1 != number || clock->due))
		gap(subscription, "tick", writer, number, clock->number);
	*clock = (Clock) {number, true, true};
}

/* No clock that the transaction saw may be ahead of what has arrived. */
static void
check_seen(Subscription *subscription, int quiz, int writer, int64_t seen)
{
	const Client *client = subscription->client;
	const Subscription *other = subscription;

	if (quiz != subscription->topic->quiz)
	{
		char		name[32];

		/* Between channels, where neither waits for a snapshot. */
		if (subscription->topic->kind != TOPIC_QUIZ)
			return;
		snprintf(name, sizeof(name), "quiz:%d", quiz);
		other = &client->subscriptions[TopicByName(name)];
		if (!other->live)
			return;
	}
	if (other->clocks[writer].sure && other->clocks[writer].number < seen)
		gap(subscription, "what a tick had seen", writer, seen,
			other->clocks[writer].number);
}

static void
check_all_seen(Subscription *subscription, Json seen)
{
	const char *place = NULL;
	Json		element;
	int			n = 0;

	while (JsonNext(seen, &place, &element))
		n++;
	if (n != plan.quizzes * plan.writers)
		return;					/* a TRUNCATE hid some */
	place = NULL;
	for (n = 0; JsonNext(seen, &place, &element); n++)
		check_seen(subscription, n % plan.quizzes + 1, n / plan.quizzes,
				   JsonThousandths(element) / 1000);
}

/*
 * Nothing of another owner's time.  A snapshot that is shared may have been
 * made before the quiz came to us, so that some of the updates after it are
 * older: but none is newer than our subscription.
 */
static void
check_owner(Subscription *subscription, Json data, int writer, int64_t number)
{
	int64_t		at = JsonThousandths(JsonMember(data, "at")) / 1000;

	if (!JsonIs(JsonMember(data, "owner"), subscription->client->owner) &&
		(subscription->topic->kind == TOPIC_QUIZ || at > subscription->since))
		VIOLATION(subscription, "tick %lld of writer %d is of another owner's"
				  " time", (long long) number, writer);
}

static void
tick(Subscription *subscription, Json data)
{
	int			writer = (int) (JsonThousandths(JsonMember(data, "writer")) / 1000);
	int64_t		number = JsonThousandths(JsonMember(data, "number")) / 1000;
	Clock	   *clock = &subscription->clocks[writer];

	counts.ticks++;
	if (JsonIsWord(JsonMember(data, "ghost"), "true"))
		VIOLATION(subscription, "tick %lld of writer %d was rolled back",
				  (long long) number, writer);
	check_owner(subscription, data, writer, number);
	if (clock->number > number || (clock->sure && clock->number == number &&
								   !clock->due))
		VIOLATION(subscription, "double: message of tick %lld of writer %d,"
				  " after %lld", (long long) number, writer,
				  (long long) clock->number);
	if (clock->sure && clock->number < number)
		gap(subscription, "message of tick", writer, number, clock->number);
	*clock = (Clock) {number, true, false};
	check_all_seen(subscription, JsonMember(data, "seen"));
}

/*
 * Attempts
 */

static Attempt *
find_attempt(Subscription *subscription, const char *id)
{
	for (int i = 0; i < subscription->nattempts; i++)
	{
		if (strcmp(subscription->attempts[i].id, id) == 0)
			return &subscription->attempts[i];
	}
	return NULL;
}

static Attempt *
add_attempt(Subscription *subscription, const char *id)
{
	Attempt    *attempt;

	if (find_attempt(subscription, id) != NULL)
		VIOLATION(subscription, "double: attempt %s came twice", id);
	if (subscription->nattempts == subscription->room)
	{
		subscription->room = subscription->room * 2 + 64;
		subscription->attempts = realloc(subscription->attempts,
										 sizeof(Attempt) * (size_t) subscription->room);
		if (subscription->attempts == NULL)
			Die("out of memory");
	}
	attempt = &subscription->attempts[subscription->nattempts++];
	memset(attempt, 0, sizeof(*attempt));
	snprintf(attempt->id, sizeof(attempt->id), "%s", id);
	attempt->milliseconds = -1;
	return attempt;
}

/* Keep the labels sorted, each once. */
static void
add_label(Attempt *attempt, const char *label)
{
	char		labels[16][32];
	int			n = 0;
	char		copy[sizeof(attempt->labels)];
	size_t		length = 0;
	char	   *rest = copy;
	char	   *at;
	int			i;

	strcpy(copy, attempt->labels);
	while (n < 15 && (at = strsep(&rest, ",")) != NULL)
	{
		if (*at == '\0')
			continue;
		if (strcmp(at, label) == 0)
			return;
		snprintf(labels[n++], 32, "%s", at);
	}
	for (i = n; i > 0 && strcmp(labels[i - 1], label) > 0; i--)
		strcpy(labels[i], labels[i - 1]);
	snprintf(labels[i], 32, "%s", label);
	for (i = 0; i <= n; i++)
		length += (size_t) snprintf(attempt->labels + length,
									sizeof(attempt->labels) - length, "%s%s",
									i > 0 ? "," : "", labels[i]);
}

static void
add_labels(Attempt *attempt, Json labels)
{
	const char *place = NULL;
	Json		element;
	char		label[32];

	while (JsonNext(labels, &place, &element))
	{
		JsonText(element, label, sizeof(label));
		add_label(attempt, label);
	}
}

static int64_t
whole(Json object, const char *key)
{
	return JsonThousandths(JsonMember(object, key)) / 1000;
}

static void
answered(Subscription *subscription, Attempt *attempt, Json data)
{
	int64_t		answers = whole(data, "answered_count");
	Json		correct = JsonMember(data, "is_correct");
	bool		added = JsonIsWord(correct, "true");
	int64_t		expected = attempt->answers + (added ? 1 : 0);

	if (answers != expected && !JsonIsWord(correct, "null"))
		VIOLATION(subscription, "attempt %s has %lld answers after %s one,"
				  " where %lld were to be expected", attempt->id,
				  (long long) answers, added ? "adding" : "regrading",
				  (long long) expected);
	attempt->answers = answers;
	attempt->score += added ? JsonThousandths(JsonMember(data, "score")) : 1;
}

static void
fold(Subscription *subscription, const char *slug, const char *id, Json data)
{
	Attempt    *attempt;

	if (subscription->veiled)
		return;
	if (strcmp(slug, "attempt_quiz") == 0)
	{
		add_attempt(subscription, id);
		return;
	}
	attempt = find_attempt(subscription, id);
	if (attempt == NULL)
		VIOLATION(subscription, "gap: %s of attempt %s, which has not come",
				  slug, id);
	if (strcmp(slug, "attempt_update") == 0)
		answered(subscription, attempt, data);
	else if (strcmp(slug, "attempt_flagged") == 0)
		add_labels(attempt, JsonMember(data, "labels"));
	else if (strcmp(slug, "attempt_finished") == 0)
	{
		if (attempt->milliseconds >= 0)
			VIOLATION(subscription, "double: attempt %s ended twice", id);
		if (whole(data, "answered_count") != attempt->answers)
			VIOLATION(subscription, "attempt %s ended with another number of"
					  " answers than %lld", id, (long long) attempt->answers);
		attempt->milliseconds = whole(data, "time_taken_ms");
	}
	else
		VIOLATION(subscription, "unknown update \"%s\"", slug);
}

/* Everything before the rest has arrived by now. */
static void
rested(Subscription *subscription, int number)
{
	char		why[600];

	subscription->mark = number;
	if (number == truth_number && subscription->topic->kind == TOPIC_ATTEMPTS &&
		!TruthAgrees(subscription, why, sizeof(why)))
		VIOLATION(subscription, "when the writers rest, %s", why);
}

void
ModelUpdate(Subscription *subscription, const char *slug, Json data)
{
	char		id[40];
	int			writer;
	int			quiz;

	if (!subscription->live)
		VIOLATION(subscription, "%s without a subscription", slug);
	if (subscription->topic->kind != TOPIC_QUIZ && !subscription->shown)
		VIOLATION(subscription, "%s before the snapshot", slug);
	if (strcmp(slug, "tick") == 0)
	{
		tick(subscription, data);
		return;
	}
	if (strcmp(slug, "mark") == 0)
	{
		rested(subscription, (int) whole(data, "number"));
		return;
	}
	JsonText(JsonMember(data, "attempt_id"), id, sizeof(id));
	if (!is_clock(id, &writer, &quiz))
	{
		if (subscription->topic->kind == TOPIC_ATTEMPTS)
			fold(subscription, slug, id, data);
		return;
	}
	clock_update(subscription, writer, whole(data, "score"),
				 JsonMember(data, "is_correct"));
}

/*
 * Snapshots
 */

static void
clock_shown(Subscription *subscription, int writer, Json row)
{
	Clock	   *clock = &subscription->clocks[writer];
	int64_t		number = whole(row, "score");

	/*
	 * A TRUNCATE hides all answers from an older snapshot (it isn't MVCC-safe,
	 * as PostgreSQL says); a fresh one follows, and until then nothing fits.
	 */
	if (whole(row, "answered_count") == 0)
	{
		clock->sure = false;
		subscription->veiled = true;
		return;
	}
	if (number < clock->number)
		VIOLATION(subscription, "inversion: the snapshot has tick %lld of"
				  " writer %d, and %lld came before", (long long) number,
				  writer, (long long) clock->number);
	*clock = (Clock) {number, true, false};
}

static void
attempt_shown(Subscription *subscription, const char *id, Json row)
{
	Attempt    *attempt = add_attempt(subscription, id);

	attempt->answers = whole(row, "answered_count");
	attempt->score = JsonThousandths(JsonMember(row, "score"));
	attempt->milliseconds = whole(row, "time_taken_ms");
	add_labels(attempt, JsonMember(row, "labels"));
}

/* As checker.leaderboard() prints it. */
static size_t
print_rank(char *to, size_t size, const char *id, Json row)
{
	return (size_t) snprintf(to, size, "%lld %s %lld %lld %lld\n",
							 (long long) whole(row, "rank"), id,
							 (long long) JsonThousandths(JsonMember(row, "score")),
							 (long long) whole(row, "answered_count"),
							 (long long) whole(row, "time_taken_ms"));
}

void
ModelSnapshot(Subscription *subscription, Json rows)
{
	static char board[65536];
	bool		leaderboard = subscription->topic->kind == TOPIC_LEADERBOARD;
	size_t		length = 0;
	const char *place = NULL;
	Json		row;
	char		id[40];
	int			writer;
	int			quiz;

	if (!subscription->live)
		VIOLATION(subscription, "%s without a subscription", "a snapshot");
	subscription->nattempts = 0;
	subscription->shown = true;
	subscription->veiled = false;
	board[0] = '\0';
	while (JsonNext(rows, &place, &row))
	{
		JsonText(JsonMember(row, "attempt_id"), id, sizeof(id));
		if (is_clock(id, &writer, &quiz))
			clock_shown(subscription, writer, row);
		else if (!leaderboard)
			attempt_shown(subscription, id, row);
		if (leaderboard && length < sizeof(board))
			length += print_rank(board + length, sizeof(board) - length, id,
								 row);
	}
	free(subscription->board);
	subscription->board = leaderboard ? strdup(board) : NULL;
	if (leaderboard)
		counts.boards++;
	else
		counts.snapshots++;
}

/*
 * The truth
 */

static PGresult *truth;			/* of attempts: quiz, event, id, line */
static char *boards[MAX_TOPICS];
static char owners[MAX_QUIZZES + 1][32];

void
TruthRead(int number)
{
	PGresult   *result;

	truth_number = number;
	PQclear(truth);
	truth = Query("SELECT quiz_id, event_id, line FROM checker.truth");
	result = Query("SELECT quiz_id, owner_id FROM quiz.quizzes");
	for (int i = 0; i < PQntuples(result); i++)
		snprintf(owners[atoi(PQgetvalue(result, i, 0))], 32, "%s",
				 PQgetvalue(result, i, 1));
	PQclear(result);
	for (int i = 0; i < ntopics; i++)
	{
		const Topic *topic = &topics[i];

		if (topic->kind != TOPIC_LEADERBOARD)
			continue;
		result = Query("SELECT checker.leaderboard(%s'%s'%s) || E'\\n'",
					   topic->event ? "NULL, " : "", topic->id,
					   topic->event ? "" : ", NULL");
		free(boards[i]);
		boards[i] = strdup(PQgetvalue(result, 0, 0));
		PQclear(result);
	}
}

/* A line of the truth, as the subscriber has it. */
static void
print_attempt(const Attempt *attempt, char *to, size_t size)
{
	snprintf(to, size, "%s %lld %lld %lld %s", attempt->id,
			 (long long) attempt->answers, (long long) attempt->score,
			 (long long) attempt->milliseconds, attempt->labels);
}

static bool
attempts_agree(const Subscription *subscription, char *why, size_t size)
{
	const Topic *topic = subscription->topic;
	int			found = 0;

	for (int i = 0; i < PQntuples(truth); i++)
	{
		const char *line = PQgetvalue(truth, i, 2);
		char		id[40];
		char		ours[256] = "nothing";
		const Attempt *attempt;
		int			writer;
		int			quiz;

		if (strcmp(PQgetvalue(truth, i, topic->event ? 1 : 0), topic->id) != 0)
			continue;
		snprintf(id, sizeof(id), "%.36s", line);
		if (is_clock(id, &writer, &quiz))
		{
			long long	number = atoll(strchr(line + 37, ' ')) / 1000;

			if (subscription->clocks[writer].number == number)
				continue;
			snprintf(why, size, "writer %d has ticked %lld times, and tick"
					 " %lld came last", writer, number,
					 (long long) subscription->clocks[writer].number);
			return false;
		}
		attempt = find_attempt((Subscription *) subscription, id);
		if (attempt != NULL)
			print_attempt(attempt, ours, sizeof(ours));
		if (strcmp(ours, line) != 0)
		{
			snprintf(why, size, "SQL has \"%s\", and what was sent gives"
					 " \"%s\"", line, ours);
			return false;
		}
		found++;
	}
	if (found == subscription->nattempts)
		return true;
	snprintf(why, size, "SQL has %d attempts, and what was sent gives %d",
			 found, subscription->nattempts);
	return false;
}

static bool
board_agrees(const Subscription *subscription, char *why, size_t size)
{
	const char *board = boards[subscription->topic - topics];
	const char *ours = subscription->board ? subscription->board : "";
	const char *line = board;
	size_t		same = 0;

	if (strcmp(board, ours) == 0)
		return true;
	for (; board[same] != '\0' && board[same] == ours[same]; same++)
	{
		if (board[same] == '\n')
			line = board + same + 1;
	}
	ours += line - board;
	snprintf(why, size, "SQL has \"%.*s\", and the last snapshot \"%.*s\"",
			 (int) strcspn(line, "\n"), line, (int) strcspn(ours, "\n"), ours);
	return false;
}

bool
TruthAgrees(const Subscription *subscription, char *why, size_t size)
{
	const Topic *topic = subscription->topic;

	if (strcmp(owners[topic->quiz], subscription->client->owner) != 0)
	{
		snprintf(why, size, "its owner is %s by now, and the access has not"
				 " ended", owners[topic->quiz]);
		return false;
	}
	switch (topic->kind)
	{
		case TOPIC_ATTEMPTS:
			return attempts_agree(subscription, why, size);
		case TOPIC_LEADERBOARD:
			return board_agrees(subscription, why, size);
		case TOPIC_QUIZ:
			break;
	}
	if (subscription->mark == truth_number)
		return true;
	snprintf(why, size, "the writers' rest was not told");
	return false;
}
