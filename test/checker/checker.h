/*-------------------------------------------------------------------------
 *
 * checker.h
 *		The consistency checker: what its files share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHECKER_H
#define CHECKER_H

#include <libpq-fe.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json.h"

#define MAX_QUIZZES		8
#define MAX_WRITERS		16

/* What may happen in a run. */
typedef struct Plan
{
	uint64_t	seed;
	double		seconds;
	int			writers;
	int			clients;
	int			quizzes;
	int			port;			/* of the WebSockets */
	bool		lossy;			/* the ring may overrun */
	bool		kill;			/* workers are terminated */
	bool		stall;			/* gateways are stopped for a moment */
	bool		slow;			/* some clients stop reading for a moment */
	bool		inject;			/* delays around commits (debug build) */
	const char *conninfo;
} Plan;

extern Plan plan;

/* How much was checked. */
typedef struct Counts
{
	uint64_t	transactions;
	uint64_t	rolled_back;
	uint64_t	failed;			/* by an error: deadlocks and the like */
	uint64_t	messages;
	uint64_t	ticks;
	uint64_t	snapshots;
	uint64_t	boards;
	uint64_t	subscribed;
	uint64_t	denied;
	uint64_t	unavailable;
	uint64_t	revoked;
	uint64_t	lost;			/* "Updates lost" */
	uint64_t	reconnects;
	uint64_t	dropped;		/* connections, by the server */
	uint64_t	killed;
	uint64_t	stalled;
	uint64_t	rests;
	uint64_t	compared;		/* subscriptions with SQL */
} Counts;

extern Counts counts;

/*
 * checker.c
 */

/* Something about the run is wrong: exit with 2. */
extern void Die(const char *format,...)
	__attribute__((format(printf, 1, 2), noreturn));

/* Seconds, from some point. */
extern double Now(void);

/* Random numbers, each stream its own. */
typedef struct Random
{
	uint64_t	state;
} Random;

extern Random RandomStream(uint64_t number);
extern uint32_t RandomBelow(Random *random, uint32_t bound);
extern bool RandomChance(Random *random, double probability);

/* Watch a descriptor; "events" 0: no longer. */
typedef void (*ReadyHandler) (void *owner, uint32_t events);
typedef struct Watch
{
	int			fd;
	uint32_t	events;
	ReadyHandler handler;
	void	   *owner;
} Watch;

extern void WatchSet(Watch *watch, uint32_t events);

/* Run SQL of the control connection; dies where it fails. */
extern PGresult *Query(const char *format,...)
	__attribute__((format(printf, 1, 2)));

/*
 * writers.c
 */

extern void WritersStart(void);

/* Begin transactions that are due, unless they rest. */
extern void WritersRun(double now);
extern void WritersRest(bool rest);
extern bool WritersIdle(void);

/*
 * model.c: what a subscriber knows, and what it must never see
 */

typedef enum TopicKind
{
	TOPIC_QUIZ,
	TOPIC_ATTEMPTS,
	TOPIC_LEADERBOARD
} TopicKind;

/* A channel. */
typedef struct Topic
{
	TopicKind	kind;
	int			quiz;			/* counted from 1 */
	bool		event;			/* named by its event stream */
	char		name[64];
	char		id[40];			/* what is behind the colon */
} Topic;

#define MAX_TOPICS	(MAX_QUIZZES * 5)

extern Topic topics[MAX_TOPICS];
extern int	ntopics;

extern void TopicsInit(void);

/* By its name; dies where there is none. */
extern int	TopicByName(const char *name);

/* What is known of a writer's clock. */
typedef struct Clock
{
	int64_t		number;			/* of the last tick; -1: none was seen */
	bool		sure;			/* the next must be the next */
	bool		due;			/* its message has not come yet */
} Clock;

/* An attempt, folded from a snapshot and updates. */
typedef struct Attempt
{
	char		id[40];
	int64_t		answers;
	int64_t		score;			/* thousandths */
	int64_t		milliseconds;	/* -1: not submitted */
	char		labels[160];	/* sorted, with commas */
} Attempt;

typedef enum SubscriptionState
{
	NOT_SUBSCRIBED,
	SUBSCRIBING,
	SUBSCRIBED,
	UNSUBSCRIBING
} SubscriptionState;

typedef struct Client Client;

typedef struct Subscription
{
	Client	   *client;
	const Topic *topic;
	SubscriptionState state;
	bool		live;			/* confirmed: updates may come */
	bool		shown;			/* a snapshot has come */
	bool		veiled;			/* a TRUNCATE hid its answers */
	int64_t		since;			/* when it was confirmed, in ms since 1970 */
	Clock		clocks[MAX_WRITERS];
	Attempt    *attempts;
	int			nattempts;
	int			room;
	char	   *board;			/* a leaderboard as the truth prints it */
	int			mark;			/* the last rest it was told of */
	bool		settled;		/* was found equal to SQL in this rest */
} Subscription;

/* A subscription ends, or begins anew. */
extern void ModelForget(Subscription *subscription);
extern void ModelSnapshot(Subscription *subscription, Json rows);
extern void ModelUpdate(Subscription *subscription, const char *slug, Json data);

/* "Updates lost" */
extern void ModelLost(Subscription *subscription);

/* What the tables say, while the writers rest. */
extern void TruthRead(int number);

/* Does the subscription agree?  Remembers in "why" what is different. */
extern bool TruthAgrees(const Subscription *subscription, char *why,
						size_t size);

/*
 * clients.c
 */

#define HISTORY			12
#define HISTORY_SIZE	400

struct Client
{
	int			number;
	const char *owner;
	char		key[80];
	Random		random;
	Watch		watch;
	int			state;			/* see clients.c */
	double		next;			/* when it does something again */
	double		reads;			/* when it reads again, or 0 */
	double		asked;			/* since when an answer is due, or 0 */
	int			due;			/* answers, one a channel */
	char	   *buffer;
	size_t		length;
	size_t		size;
	Subscription subscriptions[MAX_TOPICS];
	char		history[HISTORY][HISTORY_SIZE];	/* the last messages */
	uint64_t	nhistory;
};

extern void ClientsStart(void);
extern void ClientsRun(double now);

/* While they rest they begin nothing new. */
extern void ClientsRest(bool rest);

/* Has everybody its answers? */
extern bool ClientsIdle(void);

/* Is everybody connected, answered and in agreement with SQL? */
extern bool ClientsSettled(char *why, size_t size, const Client **who);

/* A promise was broken: says what, the seed, and exits with 1. */
extern void Violation(const Client *client, const char *format,...)
	__attribute__((format(printf, 2, 3), noreturn));

#endif							/* CHECKER_H */
