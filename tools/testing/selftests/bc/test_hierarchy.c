// SPDX-License-Identifier: GPL-2.0
/*
 * Trees of groups: which groups count, which one refuses, whose events say so;
 * and what is left when groups come and go under load: nothing.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

FIXTURE(tree)
{
	char *top;
};

FIXTURE_VARIANT(tree)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(tree, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(tree, v2) { .v2 = true };

FIXTURE_SETUP(tree)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
}

FIXTURE_TEARDOWN(tree)
{
	bc_teardown();
}

/* Refusals at this very group; at it or anywhere below. */
static long long refused_here(const char *cg)
{
	return cg_key(cg, "events.local", "max") +
	       cg_key(cg, "events.local", "barrier");
}

static long long refused_below(const char *cg)
{
	return cg_key(cg, "events", "max") + cg_key(cg, "events", "barrier");
}

/* A charge counts in every ancestor, and in no other group. */
TEST_F(tree, usage_counts_in_every_ancestor)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *a1 = cg_new(a, "a1"), *a2 = cg_new(a, "a2");
	struct worker *w1 = worker_new(a1), *w2 = worker_new(a2);
	struct worker *w3 = worker_new(b);

	ASSERT_TRUE(w1 && w2 && w3);
	ASSERT_EQ(0, call(w1, open_files, 1));
	ASSERT_EQ(0, call(w2, open_files, 20));
	ASSERT_EQ(0, call(w3, open_files, 300));
	EXPECT_EQ(1, cg_get(a1, "usage"));
	EXPECT_EQ(20, cg_get(a2, "usage"));
	EXPECT_EQ(21, cg_get(a, "usage"));
	EXPECT_EQ(300, cg_get(b, "usage"));
	EXPECT_EQ(321, cg_get(self->top, "usage"));
	EXPECT_EQ(321, cg_key(self->top, "stat", "charged"));
	EXPECT_EQ(21, cg_key(a, "stat", "charged"));
	EXPECT_EQ(0, call(w2, close_all, 0));
	EXPECT_EQ(1, cg_get(a, "usage"));
	EXPECT_EQ(301, cg_get(self->top, "usage"));
	EXPECT_EQ(20, cg_key(a, "stat", "uncharged"));
	EXPECT_EQ(0, cg_key(b, "stat", "uncharged"));
	/*
	 * What was kept in advance, on a CPU and in a group, may have counted.
	 */
	EXPECT_GE(cg_get(self->top, "max_usage"), 321);
	EXPECT_LE(cg_get(self->top, "max_usage"), 2 * 321);
}

/*
 * The group without room refuses, wherever it is on the path. Its own events
 * say so, its ancestors' say that it was below them, its descendants and the
 * siblings know nothing. Catches: a refusal blamed on the charged task's group,
 * a charge left on the groups that were passed before the refusal.
 */
TEST_F(tree, tightest_ancestor_refuses)
{
	char *a = cg_new(self->top, "a");
	char *b = cg_new(a, "b"), *side = cg_new(a, "side");
	char *c = cg_new(b, "c"), *twin = cg_new(b, "twin");
	struct worker *w = worker_new(c), *beside = worker_new(side);
	struct worker *next = worker_new(twin);

	ASSERT_TRUE(w && beside && next);
	ASSERT_EQ(0, cg_set(a, "limit", 100));
	ASSERT_EQ(0, cg_set(b, "limit", 10));
	ASSERT_EQ(0, cg_set(c, "limit", 50));
	EXPECT_EQ(10, call(w, open_until_refused, 100));
	EXPECT_EQ(-EMFILE, call(next, open_one, 0));

	EXPECT_EQ(0, refused_here(c));
	EXPECT_EQ(0, refused_below(c));
	EXPECT_EQ(2, refused_here(b));
	EXPECT_EQ(2, refused_below(b));
	EXPECT_EQ(0, refused_here(a));
	EXPECT_EQ(2, refused_below(a));
	EXPECT_EQ(0, refused_here(self->top));
	EXPECT_EQ(2, refused_below(self->top));
	EXPECT_EQ(0, refused_below(side));
	EXPECT_EQ(0, refused_below(twin));
	EXPECT_EQ(2, cg_refusals(b));
	EXPECT_EQ(0, cg_refusals(a) + cg_refusals(c) + cg_refusals(twin));

	/* Nothing was left behind on the way to the refusal. */
	EXPECT_EQ(10, cg_get(c, "usage"));
	EXPECT_EQ(0, cg_get(twin, "usage"));
	EXPECT_EQ(10, cg_get(b, "usage"));
	EXPECT_EQ(10, cg_get(a, "usage"));
	EXPECT_EQ(0, cg_get(twin, "max_usage"));
	EXPECT_GE(cg_get(a, "max_usage"), 10);
	EXPECT_LE(cg_get(a, "max_usage"), 100);

	/* A group that is not below b has a's room. */
	EXPECT_EQ(90, call(beside, open_until_refused, 200));
	EXPECT_EQ(1, refused_here(a));
	EXPECT_EQ(3, refused_below(a));
	EXPECT_EQ(2, refused_below(b));
}

/* Several groups have no room: the one nearest to the task refuses. */
TEST_F(tree, nearest_of_several_refuses)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(a, "b"), *c = cg_new(b, "c");
	struct worker *w = worker_new(c);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(a, "limit", 5));
	ASSERT_EQ(0, cg_set(b, "limit", 5));
	ASSERT_EQ(0, cg_set(c, "limit", 5));
	EXPECT_EQ(5, call(w, open_until_refused, 10));
	EXPECT_EQ(1, refused_here(c));
	ASSERT_EQ(0, cg_write(c, "limit", "max"));
	EXPECT_EQ(-EMFILE, call(w, open_one, 0));
	EXPECT_EQ(1, refused_here(c));
	EXPECT_EQ(1, refused_here(b));
	ASSERT_EQ(0, cg_write(b, "limit", "max"));
	EXPECT_EQ(-EMFILE, call(w, open_one, 0));
	EXPECT_EQ(1, refused_here(a));
	EXPECT_EQ(3, refused_below(a));
	ASSERT_EQ(0, cg_write(a, "limit", "max"));
	EXPECT_EQ(0, call(w, open_one, 0));
	EXPECT_EQ(6, cg_get(a, "usage"));
}

/* A barrier of an ancestor stops the unprivileged, and only them. */
TEST_F(tree, barrier_of_an_ancestor)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(a, "b");
	struct worker *user = worker_new(b), *root = worker_new(b);

	ASSERT_TRUE(user && root);
	ASSERT_EQ(0, call(user, become_nobody, 0));
	ASSERT_EQ(0, cg_set(a, "barrier", 5));
	ASSERT_EQ(0, cg_set(b, "limit", 8));
	EXPECT_EQ(5, call(user, open_until_refused, 10));
	EXPECT_EQ(1, cg_key(a, "events.local", "barrier"));
	EXPECT_EQ(3, call(root, open_until_refused, 10));
	EXPECT_EQ(1, cg_key(b, "events.local", "max"));
	EXPECT_EQ(0, cg_key(a, "events.local", "max"));
	EXPECT_EQ(1, cg_key(a, "events", "max"));
	EXPECT_EQ(1, cg_key(a, "events", "barrier"));
	/* b itself is full now, and nearer. */
	EXPECT_EQ(-EMFILE, call(user, open_one, 0));
	EXPECT_EQ(2, cg_key(b, "events.local", "max"));
}

TEST_F(tree, deep)
{
	enum { DEPTH = 32, MIDDLE = 16 };
	char *home = cg_new(self->top, "home");
	char *chain[DEPTH], *parent = self->top;
	struct worker *w;
	int i;

	for (i = 0; i < DEPTH; i++) {
		chain[i] = cg_new(parent, "d");
		ASSERT_NE(NULL, chain[i]);
		parent = chain[i];
	}
	w = worker_new(chain[DEPTH - 1]);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(chain[MIDDLE], "limit", 10));
	EXPECT_EQ(10, call(w, open_until_refused, 20));
	for (i = 0; i < DEPTH; i++) {
		EXPECT_EQ(10, cg_get(chain[i], "usage"));
		EXPECT_EQ(i == MIDDLE, refused_here(chain[i]));
		EXPECT_EQ(i <= MIDDLE, refused_below(chain[i]));
	}
	EXPECT_EQ(0, call(w, close_all, 0));
	for (i = 0; i < DEPTH; i++)
		EXPECT_EQ(0, cg_get(chain[i], "usage"));

	/* And away, from below, while the files go on. */
	ASSERT_EQ(0, call(w, open_files, 10));
	ASSERT_EQ(0, cg_attach(home, w->pid));
	for (i = DEPTH - 1; i > 0; i--) {
		ASSERT_EQ(0, cg_rmdir(chain[i]));
		EXPECT_EQ(10, cg_get(chain[i - 1], "usage"));
	}
	EXPECT_EQ(0, call(w, close_all, 0));
	EXPECT_SOON(0, cg_get(chain[0], "usage"));
	EXPECT_SOON(0, cg_get(self->top, "usage"));
}

TEST_F(tree, wide)
{
	const int width = bc_debug_kernel() ? 60 : 300;
	char *group[300], *home = cg_new(self->top, "home");
	struct worker *w = worker_new(home);
	int i;

	ASSERT_NE(NULL, w);
	for (i = 0; i < width; i++) {
		group[i] = cg_newf(self->top, "w%d", i);
		ASSERT_NE(NULL, group[i]);
	}
	ASSERT_EQ(0, cg_set(self->top, "limit", width));
	for (i = 0; i < width; i++) {
		ASSERT_EQ(0, cg_attach(group[i], w->pid));
		ASSERT_EQ(0, call(w, open_one, 0));
	}
	EXPECT_EQ(-EMFILE, call(w, open_one, 0));
	EXPECT_EQ(width, cg_get(self->top, "usage"));
	EXPECT_EQ(1, refused_here(self->top));
	ASSERT_EQ(0, cg_attach(home, w->pid));
	for (i = 0; i < width; i++) {
		EXPECT_EQ(1, cg_get(group[i], "usage"));
		EXPECT_EQ(0, refused_below(group[i]));
		ASSERT_EQ(0, cg_rmdir(group[i]));
	}
	EXPECT_EQ(width, cg_get(self->top, "usage"));
	EXPECT_EQ(-EMFILE, call(w, open_one, 0));
	EXPECT_EQ(0, call(w, close_files, width / 2));
	EXPECT_SOON(width - width / 2, cg_get(self->top, "usage"));
	EXPECT_EQ(0, call(w, close_all, 0));
	EXPECT_SOON(0, cg_get(self->top, "usage"));
}

/*
 * Groups come and go while processes open, close, fork, move and die in them.
 *
 * Every worker makes one of a few groups (another one may have been faster),
 * enters it (it may be gone again), opens some files there, leaves a child that
 * shares them and gets killed later, goes home and tries to remove the group
 * (another worker may be in it). Errors are part of the game; the sums are not.
 */
enum { SLOTS = 3, CHILDREN = 8 };

static char *slots[SLOTS], *refuge;

static long come_and_go(long seed)
{
	pid_t child[CHILDREN] = { 0 };
	unsigned int random = seed;
	int i, slot, fate;

	for (i = 0; i < bc_rounds(150); i++) {
		slot = rand_r(&random) % SLOTS;
		fate = rand_r(&random) % CHILDREN;
		mkdir(slots[slot], 0755);
		cg_attach(slots[slot], getpid());
		open_files(rand_r(&random) % 8);
		if (child[fate]) {
			kill(child[fate], SIGKILL);
			waitpid(child[fate], NULL, 0);
		}
		child[fate] = fork();
		if (!child[fate]) {
			open_files(rand_r(&random) % 8);
			if (rand_r(&random) % 2)
				cg_attach(refuge, getpid());
			for (;;)
				pause();
		}
		if (rand_r(&random) % 2)
			close_all(0);
		else
			close_files(rand_r(&random) % 8);
		cg_attach(refuge, getpid());
		rmdir(slots[slot]);
	}
	for (i = 0; i < CHILDREN; i++)
		if (child[i] > 0) {
			kill(child[i], SIGKILL);
			waitpid(child[i], NULL, 0);
		}
	return close_all(0);
}

TEST_F(tree, groups_come_and_go)
{
	enum { WORKERS = 4 };
	struct worker *w[WORKERS];
	int i;

	refuge = cg_new(self->top, "refuge");
	ASSERT_NE(NULL, refuge);
	for (i = 0; i < SLOTS; i++) {
		slots[i] = cg_newf(self->top, "slot%d", i);
		ASSERT_NE(NULL, slots[i]);
	}
	for (i = 0; i < WORKERS; i++) {
		w[i] = worker_new(refuge);
		ASSERT_NE(NULL, w[i]);
		start(w[i], come_and_go, i + 1);
	}
	for (i = 0; i < WORKERS; i++)
		EXPECT_EQ(0, finish(w[i]));
	for (i = 0; i < SLOTS; i++)
		EXPECT_TRUE(bc_soon(({
			int err = cg_rmdir(slots[i]);

			!err || err == -ENOENT;
		})));
	EXPECT_SOON(0, cg_get(refuge, "usage"));
	EXPECT_SOON(0, cg_get(self->top, "usage"));
	EXPECT_EQ(cg_key(self->top, "stat", "charged"),
		  cg_key(self->top, "stat", "uncharged"));
	EXPECT_GE(cg_key(self->top, "stat", "charged"), bc_rounds(100));
}

/*
 * The same in two levels, with the parents removed, too: the residue of a group
 * goes up while the parent is going itself.
 */
static long up_and_down(long seed)
{
	char outer[256], inner[300];
	unsigned int random = seed;
	int i;

	for (i = 0; i < bc_rounds(100); i++) {
		snprintf(outer, sizeof(outer), "%s", slots[rand_r(&random) % SLOTS]);
		snprintf(inner, sizeof(inner), "%s/inner", outer);
		mkdir(outer, 0755);
		if (bc_v2)
			cg_write(outer, "cgroup.subtree_control", "+numfiles");
		mkdir(inner, 0755);
		cg_attach(inner, getpid());
		open_files(1 + rand_r(&random) % 8);
		cg_attach(refuge, getpid());
		rmdir(inner);
		rmdir(outer);
		if (rand_r(&random) % 2)
			close_files(rand_r(&random) % 12);
	}
	return close_all(0);
}

TEST_F(tree, chains_come_and_go)
{
	enum { WORKERS = 4 };
	struct worker *w[WORKERS];
	char *inner;
	int i;

	refuge = cg_new(self->top, "refuge");
	ASSERT_NE(NULL, refuge);
	for (i = 0; i < SLOTS; i++) {
		slots[i] = cg_newf(self->top, "slot%d", i);
		ASSERT_NE(NULL, slots[i]);
	}
	for (i = 0; i < WORKERS; i++) {
		w[i] = worker_new(refuge);
		ASSERT_NE(NULL, w[i]);
		start(w[i], up_and_down, i + 1);
	}
	for (i = 0; i < WORKERS; i++)
		EXPECT_EQ(0, finish(w[i]));
	for (i = 0; i < SLOTS; i++) {
		ASSERT_GT(asprintf(&inner, "%s/inner", slots[i]), 0);
		rmdir(inner);
		rmdir(slots[i]);
	}
	EXPECT_SOON(0, cg_get(self->top, "usage"));
	EXPECT_EQ(cg_key(self->top, "stat", "charged"),
		  cg_key(self->top, "stat", "uncharged"));
	EXPECT_GE(cg_key(self->top, "stat", "charged"), bc_rounds(100));
}

static bool *moving;		/* shared with the workers, which go on as long */

static long open_more_than_close(long unused)
{
	long i, err = 0;

	(void)unused;
	for (i = 0; __atomic_load_n(moving, __ATOMIC_SEQ_CST) && !err; i++) {
		err = open_files(3);
		if (err == -EMFILE)
			err = 0;
		close_first(0);
		if (held(0) > 20 || i % 7 == 0)
			close_all(0);
	}
	close_all(0);
	return err;
}

/*
 * Tasks are moved while they open and close: each file must be given back to
 * the group that was charged for it.
 */
TEST_F(tree, migration_race)
{
	enum { WORKERS = 3 };
	const int moves = bc_rounds(400);
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	struct worker *w[WORKERS];
	int i;

	ASSERT_TRUE(a && b);
	ASSERT_EQ(0, cg_set(b, "limit", 30));
	moving = mmap(NULL, sizeof(*moving), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)moving);
	*moving = true;
	for (i = 0; i < WORKERS; i++) {
		w[i] = worker_new(a);
		ASSERT_NE(NULL, w[i]);
		start(w[i], open_more_than_close, 0);
	}
	for (i = 0; i < moves; i++) {
		ASSERT_EQ(0, cg_attach(i % 2 ? a : b, w[i % WORKERS]->pid));
		EXPECT_LE(cg_get(b, "usage"), 30);
	}
	/* Some worker is in either group now. */
	EXPECT_TRUE(bc_soon(cg_key(a, "stat", "charged") > 0 &&
			    cg_key(b, "stat", "charged") > 0));
	__atomic_store_n(moving, false, __ATOMIC_SEQ_CST);
	for (i = 0; i < WORKERS; i++)
		EXPECT_EQ(0, finish(w[i]));
	EXPECT_EQ(0, cg_get(a, "usage"));
	EXPECT_EQ(0, cg_get(b, "usage"));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	EXPECT_EQ(cg_key(a, "stat", "charged"), cg_key(a, "stat", "uncharged"));
	EXPECT_EQ(cg_key(b, "stat", "charged"), cg_key(b, "stat", "uncharged"));
}

/*
 * Siblings at work below one limit: together they never pass it. Each opens
 * until refused, so that they meet at the limit all the time.
 */
static long fill_and_empty(long rounds)
{
	while (rounds-- > 0) {
		open_until_refused(64);
		close_all(0);
	}
	return 0;
}

TEST_F(tree, siblings_below_one_limit)
{
	enum { WORKERS = 4, LIMIT = 20 };
	const int rounds = bc_rounds(2000);
	struct worker *w[WORKERS];
	char *group[WORKERS];
	long long refused = 0;
	int i, sample;

	ASSERT_EQ(0, cg_set(self->top, "limit", LIMIT));
	for (i = 0; i < WORKERS; i++) {
		group[i] = cg_newf(self->top, "g%d", i);
		w[i] = worker_new(group[i]);
		ASSERT_NE(NULL, w[i]);
		ASSERT_EQ(0, call(w[i], pin_to_cpu, i % bc_cpus()));
	}
	/* A limit of its own for one of them: two places of refusal. */
	ASSERT_EQ(0, cg_set(group[0], "limit", 5));
	for (i = 0; i < WORKERS; i++)
		start(w[i], fill_and_empty, rounds);
	for (sample = 0; sample < 200; sample++) {
		EXPECT_LE(cg_get(self->top, "usage"), LIMIT);
		EXPECT_LE(cg_get(group[0], "usage"), 5);
		bc_sleep_ms(1);
	}
	for (i = 0; i < WORKERS; i++)
		EXPECT_EQ(0, finish(w[i]));
	for (i = 0; i < WORKERS; i++) {
		EXPECT_EQ(0, cg_get(group[i], "usage"));
		EXPECT_LE(cg_get(group[i], "max_usage"), i ? LIMIT : 5);
		refused += refused_here(group[i]);
	}
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	EXPECT_LE(cg_get(self->top, "max_usage"), LIMIT);
	/* Every round of every worker ended with a refusal here or there. */
	refused += refused_here(self->top);
	EXPECT_EQ(WORKERS * rounds, refused);
	EXPECT_EQ(refused, refused_below(self->top));
	EXPECT_EQ(LIMIT, call(w[1], open_until_refused, 100));
}

TEST_HARNESS_MAIN
