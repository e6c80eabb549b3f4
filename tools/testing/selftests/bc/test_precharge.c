// SPDX-License-Identifier: GPL-2.0
/*
 * Stock: a CPU keeps some units of the groups whose tasks it runs, in slots,
 * and a group some for its CPUs, in its bank. The next charges take these. It
 * is what makes charges cheap, and a line of "stat" says how many units are
 * kept: "precharge". Apart from that no task is to notice. Units that lie in
 * stock on other CPUs or in other groups never are the reason for a refusal or
 * an error, usage never counts them, and all counts are the same as without
 * stock, but for the extremes, which are off by what was in stock, at most.
 *
 * So these tests have units in stock on one CPU and then do something on
 * another CPU that comes out wrong where the stock is forgotten.
 */
/* bc-boot: --smp 4 */
#include <fcntl.h>
#include <libgen.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

enum { MAX_CPUS = 8 };

FIXTURE(precharge)
{
	char *top;
	char *a, *b;
	char *apart;		/* a tree of its own beside top, if a test makes one */
	int cpus;
};

FIXTURE_VARIANT(precharge)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(precharge, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(precharge, v2) { .v2 = true };

FIXTURE_SETUP(precharge)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->a = cg_new(self->top, "a");
	self->b = cg_new(self->top, "b");
	ASSERT_TRUE(self->a && self->b);
	self->cpus = bc_cpus() < MAX_CPUS ? bc_cpus() : MAX_CPUS;
}

FIXTURE_TEARDOWN(precharge)
{
	if (self->apart)
		cg_purge(self->apart);
	bc_teardown();
}

/* For tests of what one CPU has to do with another one's stock. */
#define NEED_CPUS(n) do {						\
	if (self->cpus < (n))						\
		SKIP(return, "needs %d CPUs", (n));			\
} while (0)

/*
 * There is a stock, and statistics show it: a group's, and above it with what
 * its own bank has. If not, all that follows proves nothing. Catches: stock
 * that counts as usage; as many slots on each CPU as there are groups.
 */
TEST_F(precharge, returned_units_are_kept)
{
	enum { GROUPS = 20 };
	struct worker *w;
	char *group;
	int i, cpu;

	w = worker_new_on_cpu(self->a, 0);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(0, cg_stock(self->a));
	for (i = 1; i <= 20; i++) {
		ASSERT_EQ(0, call(w, open_and_close, i));
		EXPECT_LT(0, cg_stock(self->a));
		EXPECT_GE(bc_most_stock(1, 1, i) - bc_most_stock(0, 1, i),
			  cg_stock(self->a));
		EXPECT_LE(cg_stock(self->a), cg_stock(self->top));
		EXPECT_GE(bc_most_stock(1, 1, i), cg_stock(self->top));
	}
	EXPECT_EQ(0, cg_stock(self->b));
	EXPECT_EQ(0, cg_get(self->a, "usage"));
	EXPECT_EQ(0, cg_get(self->top, "usage"));

	for (i = 0; i < GROUPS; i++) {
		group = cg_newf(self->b, "g%d", i);
		ASSERT_NE(NULL, group);
		ASSERT_TRUE(worker_move(w, group));
		for (cpu = 0; cpu < self->cpus; cpu++) {
			ASSERT_EQ(0, call(w, pin_to_cpu, cpu));
			ASSERT_EQ(0, call(w, open_and_close, 5 + i));
		}
		EXPECT_LT(0, cg_stock(group));
		EXPECT_GE(bc_most_stock(self->cpus, 1, 5 + i) -
			  bc_most_stock(0, 1, 5 + i), cg_stock(group));
		/* Those of b, that itself, and a. */
		EXPECT_LE(cg_stock(group), cg_stock(self->b));
		EXPECT_GE(bc_most_stock(self->cpus, i + 3, 5 + i + 20),
			  cg_stock(self->top));
	}
	EXPECT_EQ(0, cg_get(self->b, "usage"));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
}

/*
 * Stock is bounded where usage is high, too, and goes with it. Catches: stock
 * that only grows.
 */
TEST_F(precharge, stock_is_bounded)
{
	struct worker *w[MAX_CPUS];
	long each = bc_rounds(4000) / self->cpus, usage = each * self->cpus;
	/* Each CPU has a slot for one of the two groups. */
	const long most = bc_most_stock(self->cpus, 1, usage) +
			  bc_most_stock(0, 1, usage);
	int i, n;

	for (i = 0; i < self->cpus; i++) {
		w[i] = worker_new_on_cpu(i % 2 ? self->a : self->b, i);
		ASSERT_NE(NULL, w[i]);
		ASSERT_EQ(0, call(w[i], open_files, each));
		EXPECT_GE(most, cg_stock(self->top));
	}
	/* As many as each can keep, whatever that is, are among these. */
	for (n = 1; n <= 100; n += 3) {
		for (i = 0; i < self->cpus; i++)
			ASSERT_EQ(0, call(w[i], open_and_close, n));
		EXPECT_LT(0, cg_stock(self->top));
		EXPECT_GE(most, cg_stock(self->top));
		EXPECT_EQ(usage, cg_get(self->top, "usage"));
	}
	for (i = 0; i < self->cpus; i++) {
		ASSERT_EQ(0, call(w[i], close_files, each / 2));
		ASSERT_EQ(0, call(w[i], open_and_close, each / 4));
		EXPECT_GE(most, cg_stock(self->top));
		EXPECT_EQ(usage - (i + 1) * (each / 2), cg_get(self->top, "usage"));
	}
	for (i = 0; i < self->cpus; i++)
		ASSERT_EQ(0, call(w[i], close_all, 0));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	for (i = 0; i < self->cpus; i++) {
		ASSERT_TRUE(worker_move(w[i], self->a));
		ASSERT_EQ(0, call(w[i], open_and_close, each / 4));
		ASSERT_EQ(0, call(w[i], open_and_close, 1));
	}
	EXPECT_GE(bc_most_stock(self->cpus, 2, usage), cg_stock(self->top));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	/* Once it was taken back: with little in use, little is kept again. */
	ASSERT_EQ(0, cg_set(self->top, "limit", 0));
	EXPECT_EQ(0, cg_stock(self->top));
	ASSERT_EQ(0, cg_set(self->top, "limit", BC_UNLIMITED));
	for (i = 0; i < self->cpus; i++)
		ASSERT_EQ(0, call(w[i], open_and_close, 1));
	EXPECT_LT(0, cg_stock(self->top));
	EXPECT_GE(bc_most_stock(self->cpus, 1, 1), cg_stock(self->top));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
}

/*
 * Where little is left it is left to all: from 7/8 of the bound on CPUs have no
 * stock of groups that had none before, until usage is below 3/4. Catches:
 * stock that uses up what others could have without a search; stock that never
 * begins again.
 */
TEST_F(precharge, no_stock_near_a_bound)
{
	enum { LIMIT = 1600 };
	static const char * const bounds[] = { "limit", "barrier" };
	struct worker *w[MAX_CPUS], *holder;
	size_t bound;
	int i, n;

	holder = worker_new_on_cpu(self->b, 0);
	ASSERT_NE(NULL, holder);
	for (i = 0; i < self->cpus; i++) {
		w[i] = user_new_on_cpu(self->a, i);
		ASSERT_NE(NULL, w[i]);
	}
	for (bound = 0; bound < ARRAY_SIZE(bounds); bound++) {
		ASSERT_EQ(0, cg_set(self->top, bounds[bound], LIMIT));
		/*
		 * At 15/16, then at 13/16. The banks: of a, two units; of b, as
		 * before.
		 */
		ASSERT_EQ(0, call(holder, open_files, LIMIT / 16 * 15));
		for (n = 0; n < 2; n++) {
			for (i = 0; i < self->cpus; i++)
				ASSERT_EQ(0, call(w[i], open_and_close, 20));
			EXPECT_EQ(0, cg_stock(self->a));
			EXPECT_GE(2 + cg_stock(self->b) +
				  bc_most_stock(0, 1, LIMIT), cg_stock(self->top));
			EXPECT_EQ(0, cg_refusals(self->top));
			if (!n)
				ASSERT_EQ(0, call(holder, close_files,
						  LIMIT / 16 * 2));
		}
		ASSERT_EQ(0, call(holder, close_all, 0));
		for (i = 0; i < self->cpus; i++)
			ASSERT_EQ(0, call(w[i], open_and_close, 20));
		EXPECT_LT(0, cg_stock(self->a));
		/* Nothing is left of it for the next one. */
		ASSERT_EQ(0, cg_set(self->top, bounds[bound], 0));
		EXPECT_EQ(0, cg_stock(self->top));
		ASSERT_EQ(0, cg_set(self->top, bounds[bound], BC_UNLIMITED));
		EXPECT_EQ(0, cg_get(self->top, "usage"));
	}
}

/*
 * All but one of the CPUs have units in stock; that CPU gets exactly what the
 * limit allows. Catches: a refusal while units lie in stock, or one CPU more
 * than the first of them asked; units that are lost on the way back; a refusal
 * that was counted although it came to nothing.
 */
TEST_F(precharge, stock_elsewhere_is_no_refusal)
{
	static const int limits[] = { 1, 2, 3, 4, 5, 8, 13, 50, 400 };
	struct worker *w[MAX_CPUS], *one;
	long long refused = 0;
	int i, cpu, limit, used, stocked;
	size_t l;

	NEED_CPUS(2);
	for (i = 0; i < self->cpus; i++) {
		w[i] = worker_new_on_cpu(self->a, i);
		ASSERT_NE(NULL, w[i]);
	}
	for (l = 0; l < ARRAY_SIZE(limits); l++) {
		limit = limits[l];
		stocked = 0;
		ASSERT_EQ(0, cg_set(self->a, "limit", limit));
		for (cpu = 0; cpu < 2 * self->cpus; cpu++) {
			one = w[cpu % self->cpus];
			used = 0;
			for (i = 0; i < self->cpus; i++) {
				if (w[i] == one)
					continue;
				ASSERT_EQ(0, call(w[i], open_and_close,
						  limit < 6 ? limit : 6));
				/*
				 * Some use up what they have, or a part of it.
				 */
				if (limit < 50 || cpu < self->cpus)
					continue;
				ASSERT_EQ(0, call(w[i], open_files, (cpu + i) % 5));
				used += (cpu + i) % 5;
			}
			stocked += cg_stock(self->a) > 0;
			EXPECT_EQ(used, cg_get(self->a, "usage"));
			EXPECT_EQ(refused, cg_refusals(self->a));
			EXPECT_EQ(limit - used,
				  call(one, open_until_refused, limit + 5))
				TH_LOG("limit %d, CPU %d", limit, cpu % self->cpus);
			EXPECT_EQ(limit, cg_get(self->a, "usage"));
			EXPECT_EQ(++refused, cg_refusals(self->a));
			EXPECT_EQ(0, cg_stock(self->a));
			for (i = 0; i < self->cpus; i++)
				ASSERT_EQ(0, call(w[i], close_all, 0));
		}
		/*
		 * Not each time: one CPU's stock may be on its way back,
		 * because there was too much of it, when the last of the others
		 * asks whether there is room for one.
		 */
		if (limit >= 8)
			EXPECT_LT(0, stocked);
	}
	EXPECT_EQ(0, cg_get(self->a, "usage"));
}

/*
 * The group that has the stock, the one that charges, and the one whose bound
 * is in the way may be three: any of an ancestor's descendants can have what a
 * charge below it lacks. Catches: a search for stock in the charged group
 * alone, or in the group with the bound but not below it.
 */
TEST_F(precharge, stock_of_other_groups_is_no_refusal)
{
	enum { TOP, A, B, X, Y, DEEP, GROUPS };
	static const struct {
		int bound, stock, charge;
		bool only_v1;		/* has processes above groups */
	} cases[] = {
		{ DEEP, DEEP, DEEP },	{ X, DEEP, DEEP },
		{ A, DEEP, DEEP },	{ TOP, DEEP, DEEP },
		{ A, DEEP, Y },		{ A, Y, DEEP },
		{ TOP, DEEP, Y },	{ TOP, DEEP, B },
		{ TOP, B, DEEP },	{ TOP, Y, B },
		{ X, DEEP, X, true },	{ X, X, DEEP, true },
		{ A, DEEP, A, true },	{ A, A, DEEP, true },
		{ A, X, Y, true },	{ TOP, A, B, true },
		{ TOP, B, TOP, true },	{ TOP, TOP, DEEP, true },
	};
	static const char * const bounds[] = { "limit", "barrier" };
	char *group[GROUPS] = { self->top, self->a, self->b };
	long long refused[GROUPS] = { 0 };
	struct worker *other, *w;
	size_t i, bound;
	int g;

	NEED_CPUS(2);
	group[X] = cg_new(self->a, "x");
	group[Y] = cg_new(self->a, "y");
	group[DEEP] = cg_new(group[X], "deep");
	ASSERT_TRUE(group[X] && group[Y] && group[DEEP]);
	other = user_new_on_cpu(NULL, 0);
	w = user_new_on_cpu(NULL, 1);
	ASSERT_TRUE(other && w);

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].only_v1 && variant->v2)
			continue;
		ASSERT_TRUE(worker_move(other, group[cases[i].stock]));
		ASSERT_TRUE(worker_move(w, group[cases[i].charge]));
		for (bound = 0; bound < 2; bound++) {
			const char *at = group[cases[i].bound];

			ASSERT_EQ(0, cg_set(at, bounds[bound], 12));
			ASSERT_EQ(0, call(other, open_files, 6));
			ASSERT_EQ(0, call(other, close_files, 4));
			ASSERT_LT(0, cg_stock(at));
			EXPECT_EQ(10, call(w, open_until_refused, 20))
				TH_LOG("%s of %s, stock of %s, charge to %s",
				       bounds[bound], at, group[cases[i].stock],
				       group[cases[i].charge]);
			EXPECT_EQ(12, cg_get(at, "usage"));
			EXPECT_EQ(0, cg_stock(at));
			/* One refusal in the end, and none on the way there. */
			refused[cases[i].bound]++;
			for (g = 0; g < GROUPS; g++)
				EXPECT_EQ(refused[g], cg_refusals(group[g]));

			/* And back: each gets what the other one returns. */
			ASSERT_EQ(0, call(w, close_files, 5));
			EXPECT_EQ(5, call(other, open_until_refused, 20));
			refused[cases[i].bound]++;
			ASSERT_EQ(0, call(w, close_all, 0));
			ASSERT_EQ(0, call(other, close_all, 0));
			ASSERT_EQ(0, cg_set(at, bounds[bound], BC_UNLIMITED));
		}
		EXPECT_EQ(0, cg_get(self->top, "usage"));
	}
}

/*
 * As stock_elsewhere_is_no_refusal(), where nothing asks for stock before the
 * very charge that lacks some: the group that charges is close to a limit of
 * its own, and its CPU looks no further. And some CPUs have a stock with
 * nothing in it. Catches: a charge that asks the first CPU only, or gives up
 * when that has nothing.
 */
TEST_F(precharge, stock_on_several_cpus)
{
	/* 7/8 of its limit and more; and more than is left below top's. */
	enum { HELD = 201, LIMIT = 228, TOP_LIMIT = 239 };
	struct worker *w[MAX_CPUS], *holder;
	int i, round, used;

	NEED_CPUS(3);
	holder = worker_new_on_cpu(self->b, 0);
	ASSERT_NE(NULL, holder);
	w[0] = worker_new_on_cpu(self->b, 0);
	ASSERT_NE(NULL, w[0]);
	for (i = 1; i < self->cpus; i++) {
		w[i] = worker_new_on_cpu(self->a, i);
		ASSERT_NE(NULL, w[i]);
	}
	ASSERT_EQ(0, cg_set(self->b, "limit", LIMIT));
	ASSERT_EQ(0, cg_set(self->top, "limit", TOP_LIMIT));
	ASSERT_EQ(0, call(holder, open_files, HELD));
	for (round = 0; round < 25; round++) {
		for (used = 0, i = 1; i < self->cpus; i++) {
			const int n = (round / (i == 1 ? 1 : 5) + i) % 5;

			ASSERT_EQ(0, call(w[i], open_and_close, 6));
			ASSERT_EQ(0, call(w[i], open_files, n));
			used += n;
		}
		EXPECT_EQ(used, cg_get(self->a, "usage"));
		EXPECT_EQ(used < TOP_LIMIT - LIMIT ? LIMIT - HELD :
			  TOP_LIMIT - HELD - used,
			  call(w[0], open_until_refused, LIMIT))
			TH_LOG("round %d, %d used", round, used);
		for (i = 0; i < self->cpus; i++)
			ASSERT_EQ(0, call(w[i], close_all, 0));
	}
	EXPECT_EQ(HELD, cg_get(self->top, "usage"));
}

/*
 * Several CPUs at the bound at once, and what one more has in stock: together
 * they get all that there is. Catches: a refusal while another CPU is still
 * collecting the stock; units that are handed out twice.
 */
TEST_F(precharge, together_they_get_it_all)
{
	static const int limits[] = { 3, 20, 150, 1000 };
	const int rounds = bc_rounds(40);
	struct worker *w[MAX_CPUS];
	int i, round, limit, absent;
	long got;
	size_t l;

	NEED_CPUS(2);
	for (i = 0; i < self->cpus; i++) {
		w[i] = worker_new_on_cpu(i % 2 ? self->b : self->a, i);
		ASSERT_NE(NULL, w[i]);
	}
	for (l = 0; l < ARRAY_SIZE(limits); l++) {
		limit = limits[l];
		ASSERT_EQ(0, cg_set(self->top, "limit", limit));
		for (round = 0; round < rounds; round += 1 + limit / 100) {
			absent = round % self->cpus;
			ASSERT_EQ(0, call(w[absent], open_and_close,
					  limit < 6 ? limit : 6));
			for (i = 0; i < self->cpus; i++)
				if (i != absent)
					start(w[i], open_until_refused, limit + 5);
			for (got = 0, i = 0; i < self->cpus; i++)
				if (i != absent)
					got += finish(w[i]);
			ASSERT_EQ(limit, got);
			EXPECT_EQ(limit, cg_get(self->top, "usage"));
			/* What they return is kept here and there. */
			for (i = 0; i < self->cpus; i++)
				start(w[i], close_all, 0);
			for (i = 0; i < self->cpus; i++)
				EXPECT_EQ(0, finish(w[i]));
			EXPECT_EQ(0, cg_get(self->top, "usage"));
		}
	}
	EXPECT_EQ(cg_key(self->top, "stat", "charged"),
		  cg_key(self->top, "stat", "uncharged"));
}

/*
 * The limit holds at every moment, whatever is opened and closed on all CPUs.
 * With the small limit they are refused all the time; with the others there is
 * room for stock. Catches: check and charge that are not one step, units that
 * are in two stocks, or in none.
 */
TEST_F(precharge, hammering)
{
	static const int limits[] = { 5, 60, 700 };
	struct worker *w[MAX_CPUS];
	long long usage, charged = 0;
	struct arena *arena;
	int i, sample, limit;
	size_t l;
	long got;

	for (l = 0; l < ARRAY_SIZE(limits); l++) {
		limit = limits[l];
		/* Each is refused now and then, not in every round. */
		arena = arena_new(2 * limit / self->cpus);
		ASSERT_NE(NULL, arena);
		ASSERT_EQ(0, cg_set(self->top, "limit", limit));
		for (i = 0; i < self->cpus; i++) {
			w[i] = worker_new_on_cpu(i % 2 ? self->b : self->a, i);
			ASSERT_NE(NULL, w[i]);
			start(w[i], hammer, bc_rounds(8000) / limit + bc_rounds(10));
		}
		for (sample = 0; sample < 100; sample++) {
			usage = cg_get(self->top, "usage");
			EXPECT_LE(0, usage);
			EXPECT_GE(limit, usage);
			EXPECT_GE(limit, cg_stock(self->top));
			bc_sleep_ms(1);
		}
		for (i = 0; i < self->cpus; i++)
			EXPECT_EQ(0, finish(w[i]));
		EXPECT_GE(limit, arena->highest);
		EXPECT_GE(limit, cg_get(self->top, "max_usage"));
		EXPECT_EQ(0, cg_get(self->top, "usage"));
		EXPECT_LT(0, arena->opened);
		charged += arena->opened;
		EXPECT_EQ(charged, cg_key(self->top, "stat", "charged"));
		EXPECT_EQ(charged, cg_key(self->top, "stat", "uncharged"));
		EXPECT_EQ(charged, cg_key(self->a, "stat", "charged") +
				   cg_key(self->b, "stat", "charged"));

		/* Nothing is in flight, and all the room is there. */
		for (got = 0, i = 0; i < self->cpus; i++)
			got += call(w[i], open_until_refused, limit + 5);
		EXPECT_EQ(limit, got);
		charged += got;
		for (i = 0; i < self->cpus; i++)
			worker_end(w[i]);
		ASSERT_SOON(0, cg_get(self->top, "usage"));
	}
}

/*
 * The privileged go past the barrier while an unprivileged task on another CPU
 * has stock: that stock lets no task past the barrier. Catches: stock that
 * stays out there when a task crosses a barrier of the group, or of one above.
 */
TEST_F(precharge, no_stock_above_the_barrier)
{
	enum { BARRIER = 20, LIMIT = 40 };
	char *deep = cg_new(cg_new(self->a, "x"), "deep");
	/* nearer: a barrier that the privileged have passed before */
	struct { char *barrier, *user, *root, *nearer; } cases[] = {
		{ self->b, self->b, self->b },
		{ self->top, self->b, deep },
		{ self->top, deep, self->b },
		{ self->a, deep, deep },
		{ self->top, self->b, deep, self->a },
	};
	struct worker *user, *root;
	long long refused;
	size_t i;
	char *at;

	NEED_CPUS(2);
	ASSERT_NE(NULL, deep);
	root = worker_new_on_cpu(NULL, 0);
	user = user_new_on_cpu(NULL, 1);
	ASSERT_TRUE(root && user);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		at = cases[i].barrier;
		ASSERT_TRUE(worker_move(root, cases[i].root));
		ASSERT_TRUE(worker_move(user, cases[i].user));
		ASSERT_EQ(0, cg_set(at, "barrier", BARRIER));
		ASSERT_EQ(0, cg_set(at, "limit", LIMIT));
		if (cases[i].nearer)
			ASSERT_EQ(0, cg_set(cases[i].nearer, "barrier", 3));
		refused = cg_refusals(at);

		/* With all but one taken, exactly one is left. */
		ASSERT_EQ(0, call(user, open_and_close, 6));
		ASSERT_LT(0, cg_stock(at));
		ASSERT_EQ(0, call(root, open_files, BARRIER - 1));
		EXPECT_EQ(1, call(user, open_until_refused, 10));
		ASSERT_EQ(0, call(user, close_all, 0));
		EXPECT_EQ(++refused, cg_refusals(at));
		ASSERT_EQ(0, call(root, close_all, 0));

		/* At the barrier, and up to the limit: none is. */
		ASSERT_EQ(0, call(user, open_and_close, 6));
		ASSERT_LT(0, cg_stock(at));
		ASSERT_EQ(0, call(root, open_files, BARRIER));
		EXPECT_EQ(-EMFILE, call(user, open_one, 0));
		ASSERT_EQ(0, call(root, close_all, 0));
		ASSERT_EQ(0, call(user, open_and_close, 6));
		ASSERT_LT(0, cg_stock(at));
		ASSERT_EQ(0, call(root, open_files, BARRIER + 1));
		EXPECT_EQ(0, cg_stock(at));
		EXPECT_EQ(-EMFILE, call(user, open_one, 0));
		refused += 2;
		EXPECT_EQ(refused, cg_refusals(at));
		EXPECT_EQ(LIMIT - BARRIER - 1, call(root, open_until_refused, LIMIT));
		EXPECT_EQ(-EMFILE, call(user, open_one, 0));

		/* What is returned up there is not kept, on whatever CPU. */
		ASSERT_EQ(0, call(root, close_files, 8));
		ASSERT_EQ(0, call(root, open_and_close, 8));
		EXPECT_EQ(0, cg_stock(at));
		EXPECT_EQ(-EMFILE, call(user, open_one, 0));
		ASSERT_EQ(0, call(root, close_files, LIMIT - BARRIER - 8));
		EXPECT_EQ(BARRIER, cg_get(at, "usage"));
		EXPECT_EQ(-EMFILE, call(user, open_one, 0));
		ASSERT_EQ(0, call(root, close_files, 3));
		EXPECT_EQ(3, call(user, open_until_refused, 10));
		EXPECT_EQ(BARRIER, cg_get(at, "usage"));

		ASSERT_EQ(0, call(root, close_all, 0));
		ASSERT_EQ(0, call(user, close_all, 0));
		ASSERT_EQ(0, cg_set(at, "barrier", BC_UNLIMITED));
		ASSERT_EQ(0, cg_set(at, "limit", BC_UNLIMITED));
		EXPECT_EQ(0, cg_get(self->top, "usage"));
	}
}

/*
 * A task whose group has room is not asked for privileges, which is audited,
 * just because some of that room is in stock on another CPU.
 */
TEST_F(precharge, stock_asks_for_no_privilege)
{
	struct worker *other, *w;

	NEED_CPUS(2);
	other = worker_new_on_cpu(self->a, 0);
	w = worker_new_on_cpu(self->a, 1);
	ASSERT_TRUE(other && w);
	ASSERT_EQ(0, cg_set(self->a, "barrier", 12));
	ASSERT_EQ(0, call(other, open_and_close, 6));
	ASSERT_LT(0, cg_stock(self->a));
	ASSERT_EQ(0, call(w, open_files, 12));
	EXPECT_EQ(0, cg_key(self->a, "events", "barrier"));
	ASSERT_EQ(0, call(w, close_files, 1));
	/* It takes a file to look. */
	EXPECT_EQ(0, call(w, used_privilege, 0));
	ASSERT_EQ(0, call(w, open_files, 2));
	EXPECT_EQ(1, call(w, used_privilege, 0));
}

/* The same while they race. */
static struct {
	unsigned long above;	/* odd: the group is above its barrier */
	long opened, refused;	/* by the unprivileged */
	long wrong;		/* opened while it was above */
	bool end;
} *race;

static long knock(long unused)
{
	unsigned long above;
	long err = 0;

	while (!__atomic_load_n(&race->end, __ATOMIC_SEQ_CST)) {
		above = __atomic_load_n(&race->above, __ATOMIC_SEQ_CST);
		err = open_one(0);
		if (err && err != -EMFILE)
			return err;
		if (!err && above % 2 &&
		    above == __atomic_load_n(&race->above, __ATOMIC_SEQ_CST))
			__atomic_add_fetch(&race->wrong, 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(err ? &race->refused : &race->opened, 1,
				   __ATOMIC_SEQ_CST);
		close_all(0);
		/* Some more of it, as long as that is possible. */
		open_until_refused(3);
		close_all(0);
	}
	return 0;
}

static bool goes_on(const long *count)
{
	long from = __atomic_load_n(count, __ATOMIC_SEQ_CST);
	long long end = bc_now_ms() + bc_patience_ms;

	while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < from + 3) {
		if (bc_now_ms() > end)
			return false;
		sched_yield();
	}
	return true;
}

static long up_and_down(long files)
{
	int i, rounds = bc_rounds(400);
	long err = 0;

	for (i = 0; i < rounds && !err; i++) {
		err = open_files(files);
		__atomic_add_fetch(&race->above, 1, __ATOMIC_SEQ_CST);
		if (!err && !goes_on(&race->refused))
			err = -ETIME;
		__atomic_add_fetch(&race->above, 1, __ATOMIC_SEQ_CST);
		close_all(0);
		if (!err && !goes_on(&race->opened))
			err = -ETIME;
	}
	return err;
}

TEST_F(precharge, crossing_a_barrier_races)
{
	enum { BARRIER = 30 };
	struct worker *user[MAX_CPUS], *root;
	int i;

	NEED_CPUS(2);
	race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)race);
	ASSERT_EQ(0, cg_set(self->top, "barrier", BARRIER));
	root = worker_new_on_cpu(self->a, 0);
	ASSERT_NE(NULL, root);
	for (i = 1; i < self->cpus; i++) {
		user[i] = user_new_on_cpu(i % 2 ? self->b : self->a, i);
		ASSERT_NE(NULL, user[i]);
		start(user[i], knock, 0);
	}
	/* More than the barrier, by root alone. */
	EXPECT_EQ(0, call(root, up_and_down, BARRIER + 1));
	race->end = true;
	for (i = 1; i < self->cpus; i++)
		EXPECT_EQ(0, finish(user[i]));
	EXPECT_EQ(0, race->wrong);
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	EXPECT_EQ(cg_key(self->top, "stat", "charged"),
		  cg_key(self->top, "stat", "uncharged"));
	EXPECT_EQ(BARRIER, call(user[1], open_until_refused, BARRIER + 5));
}

/*
 * Usage is what is open, and the totals are what was opened and closed, on
 * whatever CPU and with whatever in stock; here, in the groups above, and after
 * the group is gone. Catches: totals that forget what went through a stock, or
 * count what went in and out of it.
 */
TEST_F(precharge, usage_and_totals)
{
	struct worker *w[MAX_CPUS];
	char *x = cg_new(self->a, "x"), *y = cg_new(self->a, "y");
	long opened = 0, closed = 0, in_x = 0, out_x = 0;
	int i, round;

	ASSERT_TRUE(x && y);
	for (i = 0; i < self->cpus; i++) {
		w[i] = worker_new_on_cpu(i % 2 ? y : x, i);
		ASSERT_NE(NULL, w[i]);
	}
	for (round = 0; round < 20; round++) {
		for (i = 0; i < self->cpus; i++) {
			const int in = 3 + (round + i) % 7;
			const int out = (round + i) % 5 ? in : in + 2;

			ASSERT_EQ(0, call(w[i], open_files, 2));
			ASSERT_EQ(0, call(w[i], open_and_close, in));
			ASSERT_EQ(0, call(w[i], open_files, out));
			ASSERT_EQ(0, call(w[i], close_files, out));
			opened += 2 + in + out;
			closed += in + out;
			in_x += i % 2 ? 0 : 2 + in + out;
			out_x += i % 2 ? 0 : in + out;
			ASSERT_EQ(opened - closed, cg_get(self->a, "usage"));
		}
		ASSERT_EQ(in_x - out_x, cg_get(x, "usage"));
		ASSERT_EQ(opened - closed, cg_get(self->top, "usage"));
		ASSERT_EQ(opened, cg_key(self->top, "stat", "charged"));
		ASSERT_EQ(closed, cg_key(self->top, "stat", "uncharged"));
		ASSERT_EQ(opened, cg_key(self->a, "stat", "charged"));
		ASSERT_EQ(closed, cg_key(self->a, "stat", "uncharged"));
		ASSERT_EQ(in_x, cg_key(x, "stat", "charged"));
		ASSERT_EQ(out_x, cg_key(x, "stat", "uncharged"));
		ASSERT_EQ(opened - in_x, cg_key(y, "stat", "charged"));
		ASSERT_EQ(closed - out_x, cg_key(y, "stat", "uncharged"));
		/* Something that takes all stock back, now and then. */
		if (round % 6 == 5)
			ASSERT_EQ(0, cg_set(self->a, "barrier", 10000 - round));
	}

	/* Away with one of them, while it has files, and perhaps stock. */
	for (i = 0; i < self->cpus; i += 2)
		ASSERT_TRUE(worker_move(w[i], self->b));
	ASSERT_EQ(0, cg_rmdir(x));
	EXPECT_EQ(opened, cg_key(self->a, "stat", "charged"));
	EXPECT_EQ(closed, cg_key(self->a, "stat", "uncharged"));
	for (i = 0; i < self->cpus; i++)
		ASSERT_EQ(0, call(w[i], close_all, 0));
	EXPECT_EQ(opened, cg_key(self->a, "stat", "charged"));
	EXPECT_EQ(opened, cg_key(self->a, "stat", "uncharged"));
	EXPECT_EQ(opened, cg_key(self->top, "stat", "uncharged"));
	EXPECT_EQ(0, cg_get(self->a, "usage"));

	/* From 0, although what is in stock came in before. */
	for (i = 0; i < self->cpus; i++)
		ASSERT_TRUE(worker_move(w[i], y));
	for (i = 0; i < self->cpus; i++)
		ASSERT_EQ(0, call(w[i], open_and_close, 10));
	ASSERT_LT(0, cg_stock(self->a));
	ASSERT_EQ(0, cg_write(self->a, "stat", "0"));
	EXPECT_EQ(0, cg_key(self->a, "stat", "charged"));
	EXPECT_EQ(0, cg_key(self->a, "stat", "uncharged"));
	for (i = 0; i < self->cpus; i++)
		ASSERT_EQ(0, call(w[i], open_files, 3));
	EXPECT_EQ(3 * self->cpus, cg_key(self->a, "stat", "charged"));
	EXPECT_EQ(0, cg_key(self->a, "stat", "uncharged"));
	for (i = 0; i < self->cpus; i++)
		ASSERT_EQ(0, call(w[i], close_all, 0));
	EXPECT_EQ(3 * self->cpus, cg_key(self->a, "stat", "uncharged"));
}

/*
 * A file is returned on a CPU where it was not charged, by a task that is not
 * in its group any more.
 */
TEST_F(precharge, returned_on_another_cpu)
{
	struct worker *w = worker_new_on_cpu(self->a, 0);
	int i, n;

	NEED_CPUS(2);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(self->a, "limit", 100));
	for (i = 0; i < 20; i++) {
		n = 1 + i * 5;
		ASSERT_EQ(0, call(w, open_files, n));
		ASSERT_EQ(0, call(w, pin_to_cpu, (i + 1) % self->cpus));
		if (i % 2)
			ASSERT_TRUE(worker_move(w, self->b));
		ASSERT_EQ(0, call(w, close_files, n - 1));
		EXPECT_EQ(1, cg_get(self->a, "usage"));
		EXPECT_EQ(1, cg_get(self->top, "usage"));
		EXPECT_EQ(0, cg_get(self->b, "usage"));
		ASSERT_EQ(0, call(w, close_files, 1));
		EXPECT_EQ(0, cg_get(self->a, "usage"));
		EXPECT_EQ(0, cg_get(self->top, "usage"));
		if (i % 2)
			ASSERT_TRUE(worker_move(w, self->a));
	}
	EXPECT_EQ(100, call(w, open_until_refused, 200));
}

/*
 * A limit comes down to usage, which stock is no part of, and from then on
 * every CPU is held to it. Catches: EBUSY because of stock, stock that outlives
 * the change, a change that stops all stock for good.
 */
TEST_F(precharge, limits_come_down_to_usage)
{
	char *deep = cg_new(cg_new(self->a, "x"), "deep");
	char * const bound[] = { deep, self->a, self->top };
	struct worker *w[MAX_CPUS];
	const char *at;
	long usage;
	size_t b;
	int i;

	ASSERT_NE(NULL, deep);
	for (i = 0; i < self->cpus; i++) {
		w[i] = user_new_on_cpu(deep, i);
		ASSERT_NE(NULL, w[i]);
		ASSERT_EQ(0, call(w[i], open_files, 2));
	}
	usage = 2 * self->cpus;
	for (b = 0; b < ARRAY_SIZE(bound); b++) {
		at = bound[b];

		for (i = 0; i < self->cpus; i++)
			ASSERT_EQ(0, call(w[i], open_and_close, 6));
		ASSERT_LT(0, cg_stock(at));
		EXPECT_EQ(0, cg_set(at, "limit", usage));
		EXPECT_EQ(usage, cg_get(at, "limit"));
		EXPECT_EQ(0, cg_stock(at));
		for (i = 0; i < self->cpus; i++)
			EXPECT_EQ(-EMFILE, call(w[i], open_one, 0));
		EXPECT_EQ(usage, cg_get(at, "usage"));

		/* One less is as ever: v1's veto, v2's waiting. */
		if (!variant->v2) {
			EXPECT_EQ(-EBUSY, cg_set(at, "limit", usage - 1));
			EXPECT_EQ(usage, cg_get(at, "limit"));
			ASSERT_EQ(0, call(w[0], close_files, 1));
			EXPECT_EQ(1, call(w[self->cpus - 1], open_until_refused, 5));
		} else {
			EXPECT_EQ(0, cg_set(at, "limit", usage - 1));
			ASSERT_EQ(0, call(w[0], close_files, 1));
			EXPECT_EQ(-EMFILE, call(w[self->cpus - 1], open_one, 0));
			ASSERT_EQ(0, cg_set(at, "limit", usage));
			EXPECT_EQ(1, call(w[self->cpus - 1], open_until_refused, 5));
		}
		ASSERT_EQ(0, call(w[self->cpus - 1], close_files, 1));
		ASSERT_EQ(0, call(w[0], open_files, 1));
		ASSERT_EQ(0, cg_set(at, "limit", BC_UNLIMITED));

		/* The barrier: never a veto. */
		for (i = 0; i < self->cpus; i++)
			ASSERT_EQ(0, call(w[i], open_and_close, 6));
		ASSERT_LT(0, cg_stock(at));
		EXPECT_EQ(0, cg_set(at, "barrier", usage - 1));
		EXPECT_EQ(0, cg_stock(at));
		for (i = 0; i < self->cpus; i++)
			EXPECT_EQ(-EMFILE, call(w[i], open_one, 0));
		ASSERT_EQ(0, cg_set(at, "barrier", BC_UNLIMITED));
	}
	/* To somewhere between usage and what is taken with the stock. */
	for (i = 0; i < self->cpus; i++)
		ASSERT_EQ(0, call(w[i], open_and_close, 6));
	EXPECT_EQ(0, cg_set(self->a, "limit", usage + 1));
	EXPECT_EQ(1, call(w[0], open_until_refused, 10));
	EXPECT_EQ(usage + 1, cg_get(self->a, "usage"));
}

/*
 * What lies in stock can be lent, and repaid. Catches: ENOSPC for the stock of
 * a sibling, EBUSY for one's own, stock that a reservation covers and that is
 * still counted above.
 */
TEST_F(precharge, stock_can_be_lent)
{
	char *x = cg_new(self->b, "x"), *y = cg_new(self->b, "y");
	struct worker *wa, *wx, *wy;

	NEED_CPUS(2);
	ASSERT_TRUE(x && y);
	wa = user_new_on_cpu(self->a, 0);
	wx = user_new_on_cpu(x, 1);
	wy = user_new_on_cpu(y, self->cpus - 1);
	ASSERT_TRUE(wa && wx && wy);
	ASSERT_EQ(0, cg_set(self->top, "limit", 40));
	ASSERT_EQ(0, call(wx, open_files, 10));

	/* What a sibling has in stock, or a cousin. */
	ASSERT_EQ(0, call(wx, open_and_close, 6));
	ASSERT_LT(0, cg_stock(self->top));
	EXPECT_EQ(-ENOSPC, cg_set(self->a, "reservation", 31));
	EXPECT_EQ(10, cg_get(self->top, "usage"));
	ASSERT_EQ(0, call(wx, open_and_close, 6));
	ASSERT_LT(0, cg_stock(self->top));
	EXPECT_EQ(0, cg_set(self->a, "reservation", 30));
	EXPECT_EQ(40, cg_get(self->top, "usage"));
	EXPECT_EQ(-EMFILE, call(wx, open_one, 0));
	EXPECT_EQ(30, call(wa, open_until_refused, 50));

	/*
	 * Repaid down to usage, whatever is in stock; what is in use follows.
	 */
	ASSERT_EQ(0, call(wa, close_files, 22));
	EXPECT_EQ(40, cg_get(self->top, "usage"));
	EXPECT_EQ(8, cg_get(self->a, "usage"));
	ASSERT_EQ(0, cg_set(self->a, "reservation", 5));
	EXPECT_EQ(18, cg_get(self->top, "usage"));
	ASSERT_EQ(0, call(wa, open_and_close, 6));
	ASSERT_LT(0, cg_stock(self->a));
	ASSERT_EQ(0, call(wa, close_files, 2));
	EXPECT_EQ(16, cg_get(self->top, "usage"));
	ASSERT_EQ(0, call(wa, close_files, 2));
	EXPECT_EQ(15, cg_get(self->top, "usage"));
	EXPECT_EQ(25, call(wx, open_until_refused, 50));
	EXPECT_EQ(1, call(wa, open_until_refused, 50));
	ASSERT_EQ(0, call(wx, close_files, 25));
	EXPECT_EQ(0, cg_set(self->a, "reservation", 30));
	EXPECT_EQ(40, cg_get(self->top, "usage"));
	ASSERT_EQ(0, call(wa, open_files, 3));
	ASSERT_EQ(0, call(wa, open_and_close, 6));
	EXPECT_EQ(0, cg_set(self->a, "reservation", 8));
	EXPECT_EQ(18, cg_get(self->top, "usage"));
	EXPECT_EQ(22, call(wx, open_until_refused, 50));
	ASSERT_EQ(0, call(wx, close_files, 22));

	/* Under a barrier, which bounds what is lent. */
	ASSERT_EQ(0, cg_set(self->top, "barrier", 30));
	ASSERT_EQ(0, call(wx, open_and_close, 6));
	ASSERT_LT(0, cg_stock(self->top));
	EXPECT_EQ(0, cg_set(y, "reservation", 12));
	EXPECT_EQ(30, cg_get(self->top, "usage"));
	EXPECT_EQ(-ENOSPC, cg_set(y, "reservation", 13));

	/* What y has reserved covers its stock: not b's, and not to be had. */
	ASSERT_EQ(0, call(wy, open_files, 4));
	ASSERT_EQ(0, call(wy, open_and_close, 6));
	EXPECT_EQ(22, cg_get(self->b, "usage"));
	EXPECT_EQ(30, cg_get(self->top, "usage"));
	EXPECT_EQ(-EMFILE, call(wx, open_one, 0));
	EXPECT_EQ(8, call(wy, open_until_refused, 20));
	ASSERT_EQ(0, call(wy, close_files, 8));
	/* Raising what is there in part, as stock or in use, costs the rest. */
	ASSERT_EQ(0, call(wx, close_files, 5));
	EXPECT_EQ(0, cg_set(y, "reservation", 17));
	EXPECT_EQ(30, cg_get(self->top, "usage"));
	EXPECT_EQ(0, cg_set(y, "reservation", 4));
	EXPECT_EQ(17, cg_get(self->top, "usage"));
	EXPECT_EQ(9, cg_get(self->b, "usage"));
	ASSERT_EQ(0, call(wy, close_all, 0));
	ASSERT_EQ(0, call(wx, close_all, 0));
	ASSERT_EQ(0, call(wa, close_all, 0));
	EXPECT_EQ(12, cg_get(self->top, "usage"));
}

/*
 * Stock takes up what a group above has reserved, and so makes charges beside
 * it go beyond that, where there is no room: it has to come back although it
 * does not count there. Catches: stock that is looked for only where it counts
 * at the bound.
 */
TEST_F(precharge, stock_within_a_reservation)
{
	char *x = cg_new(self->a, "x"), *y = cg_new(self->a, "y");
	char *deep = cg_new(x, "deep");
	/* A CPU has at most a fourth of its part of what is reserved. */
	const int reserved = 4 * self->cpus * 8;
	struct { char *reserved, *stock, *charge; } cases[] = {
		{ self->a, y, deep },
		{ self->a, deep, y },
		{ self->a, deep, deep },
		{ x, deep, deep },
		{ deep, deep, deep },
	};
	struct worker *other, *w;
	size_t i;

	NEED_CPUS(2);
	ASSERT_TRUE(x && y && deep);
	other = user_new_on_cpu(NULL, 0);
	w = user_new_on_cpu(NULL, 1);
	ASSERT_TRUE(other && w);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ASSERT_TRUE(worker_move(other, cases[i].stock));
		ASSERT_TRUE(worker_move(w, cases[i].charge));
		ASSERT_EQ(0, cg_set(cases[i].reserved, "reservation", reserved));
		ASSERT_EQ(0, cg_set(self->top, "limit", reserved));
		ASSERT_EQ(0, call(other, open_files, 6));
		ASSERT_EQ(0, call(other, close_files, 4));
		ASSERT_LT(0, cg_stock(cases[i].stock));
		EXPECT_GE(reserved / 4, cg_stock(cases[i].stock));
		EXPECT_EQ(reserved, cg_get(self->top, "usage"));
		EXPECT_EQ(reserved - 2, call(w, open_until_refused, reserved + 8))
			TH_LOG("%s has reserved, stock of %s, charge to %s",
			       cases[i].reserved, cases[i].stock, cases[i].charge);
		EXPECT_EQ(reserved, cg_get(self->top, "usage"));
		ASSERT_EQ(0, call(w, close_all, 0));
		ASSERT_EQ(0, call(other, close_all, 0));
		ASSERT_EQ(0, cg_set(cases[i].reserved, "reservation", 0));
		EXPECT_EQ(0, cg_get(self->top, "usage"));
	}
}

/* The model of 2008: a limit that is all borrowed, and that stock lives in. */
TEST_F(precharge, stock_below_a_strict_group)
{
	/* As much as a CPU needs to have some of it: see above. */
	const int limit = 40 * self->cpus, most = 56 * self->cpus;
	char *gold, *silver;
	struct worker *w;

	NEED_CPUS(2);
	ASSERT_EQ(0, cg_set(self->a, "limit", most));
	ASSERT_EQ(0, cg_set(self->a, "strict", 1));
	gold = cg_new(self->a, "gold");
	silver = cg_new(self->a, "silver");
	ASSERT_TRUE(gold && silver);
	w = worker_new_on_cpu(gold, 1);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(gold, "limit", limit));
	ASSERT_EQ(0, call(w, open_files, 4));
	ASSERT_EQ(0, call(w, open_and_close, 6));
	ASSERT_LT(0, cg_stock(gold));
	EXPECT_EQ(limit, cg_get(self->a, "usage"));
	EXPECT_EQ(-ENOSPC, cg_set(silver, "limit", most - limit + 1));
	EXPECT_EQ(-EBUSY, cg_set(gold, "limit", 3));
	EXPECT_EQ(limit, cg_get(gold, "limit"));
	ASSERT_EQ(0, call(w, open_and_close, 6));
	ASSERT_LT(0, cg_stock(gold));
	EXPECT_EQ(0, cg_set(gold, "limit", 4));
	EXPECT_EQ(4, cg_get(self->a, "usage"));
	EXPECT_EQ(-EMFILE, call(w, open_one, 0));
	EXPECT_EQ(0, cg_set(silver, "limit", most - 4));

	/* Removed with stock: strict can change at once. */
	ASSERT_EQ(0, cg_set(silver, "limit", 2));
	ASSERT_EQ(0, cg_set(gold, "limit", most - 2));
	ASSERT_EQ(0, call(w, open_and_close, 6));
	ASSERT_LT(0, cg_stock(gold));
	ASSERT_TRUE(worker_move(w, self->b));
	ASSERT_EQ(0, cg_rmdir(gold));
	EXPECT_EQ(6, cg_get(self->a, "usage"));
	EXPECT_EQ(0, cg_set(silver, "limit", most - 4));
	ASSERT_EQ(0, cg_rmdir(silver));
	EXPECT_EQ(0, cg_set(self->a, "strict", 0));
	EXPECT_EQ(4, cg_get(self->a, "usage"));
	ASSERT_EQ(0, call(w, close_all, 0));
	EXPECT_EQ(0, cg_get(self->a, "usage"));
}

/*
 * The machine's amount bounds trees that have nothing else in common. Catches:
 * stock of another tree that is forgotten where the machine has no room.
 */
TEST_F(precharge, stock_of_another_tree)
{
	struct worker *w, *root, *other, *more[MAX_CPUS];
	long long machine;
	int i;

	NEED_CPUS(2);
	machine = cg_get("/proc/sys/fs", "file-max");
	ASSERT_LT(1000, machine);
	if (machine == BC_UNLIMITED)
		SKIP(return, "the machine has no bound");
	self->apart = cg_new(dirname(strdup(self->top)), "bc_test_apart");
	ASSERT_NE(NULL, self->apart);
	w = user_new_on_cpu(self->b, 0);
	root = worker_new_on_cpu(self->b, 0);
	other = user_new_on_cpu(self->apart, 1);
	ASSERT_TRUE(w && root && other);

	for (i = 2; i < self->cpus; i++) {
		more[i] = user_new_on_cpu(i % 2 ? self->a : self->apart, i);
		ASSERT_NE(NULL, more[i]);
	}

	/* All that there is can be lent ... */
	for (i = 2; i < self->cpus; i++)
		ASSERT_EQ(0, call(more[i], open_and_close, 6));
	ASSERT_EQ(0, call(other, open_and_close, 6));
	ASSERT_LT(0, cg_stock(self->apart));
	EXPECT_EQ(0, cg_set(self->a, "reservation", machine));
	EXPECT_EQ(machine, cg_get(self->top, "usage"));
	EXPECT_EQ(0, call(other, open_until_refused, 1));
	EXPECT_EQ(0, call(w, open_until_refused, 1));
	ASSERT_EQ(0, call(other, close_all, 0));
	ASSERT_EQ(0, call(w, close_all, 0));

	/* ... or almost all, and the rest be opened. */
	ASSERT_EQ(0, cg_set(self->a, "reservation", 0));
	for (i = 2; i < self->cpus; i++)
		ASSERT_EQ(0, call(more[i], open_and_close, 6));
	ASSERT_EQ(0, call(other, open_and_close, 6));
	ASSERT_LT(0, cg_stock(self->apart));
	EXPECT_EQ(0, cg_set(self->a, "reservation", machine - 10));
	EXPECT_EQ(10, call(w, open_until_refused, 20));
	EXPECT_EQ(-ENFILE, call(w, open_one, 0));
	EXPECT_EQ(-ENFILE, call(other, open_one, 0));
	EXPECT_EQ(0, cg_stock(self->apart));
	ASSERT_EQ(0, call(w, close_all, 0));

	/*
	 * The privileged pass the machine's amount, others have no stock then.
	 */
	ASSERT_EQ(0, cg_set(self->a, "reservation", 0));
	ASSERT_EQ(0, call(other, open_and_close, 6));
	ASSERT_LT(0, cg_stock(self->apart));
	EXPECT_EQ(0, cg_set(self->a, "reservation", machine - 10));
	ASSERT_EQ(0, call(root, open_files, 12));
	EXPECT_EQ(-ENFILE, call(other, open_one, 0));
	ASSERT_EQ(0, call(root, close_files, 5));
	EXPECT_EQ(3, call(other, open_until_refused, 10));
	ASSERT_EQ(0, call(other, close_all, 0));
	ASSERT_EQ(0, call(root, close_all, 0));
	ASSERT_EQ(0, cg_set(self->a, "reservation", 0));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	EXPECT_EQ(0, cg_get(self->apart, "usage"));
}

/*
 * Extremes where several CPUs charge one after the other. What came out of
 * stock may not have been seen, and stock may have been seen as usage: they are
 * off by as much as is in stock, at most. What was shown as usage was there.
 */
TEST_F(precharge, extremes_of_several_cpus)
{
	const int sizes[] = { 10, 100, bc_rounds(3000) };
	const char *group = self->top;
	struct worker *w[MAX_CPUS], *holder;
	long usage, high, low, slack;
	size_t s;
	int i, n;

	NEED_CPUS(2);
	for (i = 0; i < self->cpus; i++) {
		w[i] = worker_new_on_cpu(i % 2 ? self->b : self->a, i);
		ASSERT_NE(NULL, w[i]);
	}
	holder = worker_new_on_cpu(self->a, 0);
	ASSERT_NE(NULL, holder);
	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		n = sizes[s];
		high = 0;
		/* Each CPU has what it returned when the next one opens. */
		for (i = 0; i < self->cpus; i++) {
			ASSERT_EQ(0, call(w[i], open_files, n));
			usage = n + i * (n / 4);
			high = usage > high ? usage : high;
			ASSERT_EQ(0, call(w[i], close_files, n - n / 4));
		}
		usage = self->cpus * (n / 4);
		slack = bc_most_stock(self->cpus, 2, high);
		EXPECT_EQ(usage, cg_get(group, "usage"));
		EXPECT_LE(high - slack, cg_get(group, "max_usage"));
		EXPECT_GE(high + slack, cg_get(group, "max_usage"));
		EXPECT_LE(usage, cg_get(group, "max_usage"));

		/* Anew, from above the lowest point: down, and up again. */
		ASSERT_EQ(0, call(holder, open_files, n));
		usage += n;
		if (!variant->v2)
			ASSERT_EQ(0, cg_write(group, "min_usage", "0"));
		ASSERT_EQ(0, cg_write(group, "stat", "0"));
		EXPECT_EQ(usage, cg_min_usage(group));
		low = usage;
		for (i = 0; i < self->cpus; i++) {
			ASSERT_EQ(0, call(w[i], close_files, n / 4));
			usage -= n / 4;
			low = usage < low ? usage : low;
			ASSERT_EQ(0, call(w[i], open_files, n / 2));
			usage += n / 2;
		}
		slack = bc_most_stock(self->cpus, 2, high > usage ? high : usage);
		EXPECT_LE(low - slack, cg_min_usage(group));
		EXPECT_GE(low + slack, cg_min_usage(group));

		/* Each time that a task looks. */
		for (i = 0; i < self->cpus; i++) {
			ASSERT_EQ(0, call(w[i], open_files, n / 4));
			usage += n / 4;
			ASSERT_EQ(usage, cg_get(group, "usage"));
			ASSERT_EQ(0, call(w[i], close_files, n / 4));
			usage -= n / 4;
		}
		EXPECT_LE(usage + n / 4, cg_get(group, "max_usage"));
		for (i = 0; i < self->cpus; i++)
			ASSERT_EQ(0, call(w[i], close_all, 0));
		ASSERT_EQ(0, call(holder, close_all, 0));
		EXPECT_EQ(0, cg_min_usage(group));
		EXPECT_EQ(0, cg_get(group, "usage"));
	}
}

/*
 * A reset begins with usage, to the unit, whatever is in stock on however many
 * CPUs; for v2's peak that is the peak of that open file. What comes out of
 * stock then is not seen if no task looks, but what is more than there was in
 * stock.
 */
TEST_F(precharge, extremes_are_reset_to_usage)
{
	struct worker *w[MAX_CPUS];
	int i, fd, round;
	long usage = 0, slack, more;

	fd = cg_open(self->top, "max_usage", O_RDWR);
	ASSERT_GE(fd, 0);
	for (i = 0; i < self->cpus; i++) {
		w[i] = worker_new_on_cpu(i % 2 ? self->b : self->a, i);
		ASSERT_NE(NULL, w[i]);
	}
	for (round = 0; round < 5; round++) {
		for (i = 0; i < self->cpus; i++) {
			ASSERT_EQ(0, call(w[i], open_files, 12));
			ASSERT_EQ(0, call(w[i], close_files, 9));
			usage += 3;
		}
		ASSERT_LT(0, cg_stock(self->top));
		EXPECT_EQ(1, write(fd, "r", 1));
		EXPECT_EQ(usage, bc_read_number(fd));

		for (i = 0; i < self->cpus; i++)
			ASSERT_EQ(0, call(w[i], open_and_close, 6));
		ASSERT_LT(0, cg_stock(self->top));
		if (!variant->v2) {
			ASSERT_EQ(0, cg_write(self->top, "min_usage", "0"));
		} else {
			ASSERT_EQ(0, cg_write(self->top, "stat", "0"));
		}
		EXPECT_EQ(usage, cg_min_usage(self->top));
		/* What the other CPUs do now is higher, and was not lower. */
		ASSERT_EQ(0, call(w[self->cpus - 1], open_and_close, 6));
		slack = bc_most_stock(self->cpus, 2, usage + 9);
		EXPECT_EQ(usage, cg_get(self->top, "usage"));
		EXPECT_EQ(usage, cg_min_usage(self->top));
		EXPECT_LE(usage, bc_read_number(fd));
		EXPECT_GE(usage + 6 + slack, bc_read_number(fd));
		more = cg_stock(self->top) + 1;
		EXPECT_GE(slack, more - 1);
		ASSERT_EQ(0, call(w[self->cpus - 1], open_and_close, more));
		EXPECT_LT(usage, bc_read_number(fd));
		EXPECT_GE(usage + more + bc_most_stock(self->cpus, 2, usage + more),
			  bc_read_number(fd));
		EXPECT_EQ(usage, cg_min_usage(self->top));
		ASSERT_EQ(0, call(w[0], open_files, 2 * more));
		EXPECT_EQ(usage + 2 * more, cg_get(self->top, "usage"));
		ASSERT_EQ(0, call(w[0], close_files, 2 * more));
		EXPECT_LE(usage + 2 * more, bc_read_number(fd));
		/* For the next round. */
		ASSERT_EQ(0, cg_set(self->top, "barrier", usage));
		ASSERT_EQ(0, cg_set(self->top, "barrier", BC_UNLIMITED));
	}
	close(fd);
}

/* The same while all CPUs are at it. */
TEST_F(precharge, extremes_under_load)
{
	enum { BASE = 20 };
	struct worker *w[MAX_CPUS], *holder;
	struct arena *arena;
	int i, most;

	holder = worker_new_on_cpu(self->b, 0);
	ASSERT_NE(NULL, holder);
	ASSERT_EQ(0, call(holder, open_files, BASE));
	for (most = 2; most <= 200; most *= 10) {
		arena = arena_new(most);
		ASSERT_NE(NULL, arena);
		for (i = 0; i < self->cpus; i++) {
			w[i] = worker_new_on_cpu(i % 2 ? self->b : self->a, i);
			ASSERT_NE(NULL, w[i]);
		}
		if (!variant->v2) {
			ASSERT_EQ(0, cg_write(self->top, "min_usage", "0"));
		} else {
			ASSERT_EQ(0, cg_write(self->top, "stat", "0"));
		}
		EXPECT_EQ(BASE, cg_min_usage(self->top));
		for (i = 0; i < self->cpus; i++)
			start(w[i], hammer, bc_rounds(2000) / most + 5);
		for (i = 0; i < self->cpus; i++)
			EXPECT_EQ(0, finish(w[i]));
		EXPECT_EQ(0, arena->refused);
		/* With each round the highest is higher than ever. */
		EXPECT_LE(BASE + arena->highest -
			  bc_most_stock(self->cpus, 2, BASE + arena->highest),
			  cg_get(self->top, "max_usage"));
		EXPECT_LE(BASE, cg_get(self->top, "max_usage"));
		EXPECT_GE(BASE + arena->highest_taken +
			  bc_most_stock(self->cpus, 2, BASE + arena->highest_taken),
			  cg_get(self->top, "max_usage"));
		EXPECT_EQ(BASE, cg_min_usage(self->top));
		EXPECT_EQ(BASE, cg_get(self->top, "usage"));
		for (i = 0; i < self->cpus; i++)
			worker_end(w[i]);
	}
}

/*
 * A CPU goes away and what it has in stock does not. Catches: units that are
 * lost with a CPU, a recall that waits for a CPU that is not there, a stock
 * that is found in disorder when the CPU is back.
 */
static char cpu_path[64];
static int guardian = -1;

static int set_online(bool online)
{
	return cg_write(cpu_path, "online", online ? "1" : "0");
}

/* The kernel gives up on a CPU that takes more than ten seconds. */
static bool plug(bool in)
{
	return bc_soon(!set_online(in));
}

/*
 * The CPU comes back even if the test is killed: a process that is in none of
 * its process groups, and reads from it until its end, sees to that.
 */
static bool can_unplug(int cpu)
{
	int end[2];
	char c;

	snprintf(cpu_path, sizeof(cpu_path), "/sys/devices/system/cpu/cpu%d", cpu);
	if (cg_get(cpu_path, "online") != 1 || pipe2(end, O_CLOEXEC))
		return false;
	if (!fork()) {
		close(end[1]);
		setsid();
		while (read(end[0], &c, 1) < 0 && errno == EINTR)
			;
		plug(true);
		_exit(0);
	}
	close(end[0]);
	guardian = end[1];
	return !set_online(false) && plug(true);
}

/* To be called while there are no workers, which would keep the pipe open. */
static void plugged(void)
{
	plug(true);
	close(guardian);
}

TEST_F(precharge, stock_of_a_cpu_that_goes_away)
{
	enum { LIMIT = 30 };
	struct worker *w, *other;
	int round;

	NEED_CPUS(2);
	if (!can_unplug(bc_cpu(1)))
		SKIP(return, "cannot unplug a CPU");
	other = worker_new_on_cpu(self->a, 0);
	w = worker_new_on_cpu(self->b, 1);
	ASSERT_TRUE(other && w);
	ASSERT_EQ(0, cg_set(self->top, "limit", LIMIT));
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, call(w, open_files, 2));
		ASSERT_EQ(0, call(w, open_and_close, 6));
		ASSERT_EQ(0, call(w, pin_to_cpu, 0));
		ASSERT_LT(0, cg_stock(self->b));

		ASSERT_TRUE(plug(false));
		EXPECT_EQ(0, cg_stock(self->b));
		EXPECT_EQ(2, cg_get(self->top, "usage"));
		EXPECT_EQ(LIMIT - 2, call(other, open_until_refused, LIMIT));
		ASSERT_EQ(0, call(other, close_all, 0));
		/* What was opened on that CPU is returned on another. */
		ASSERT_EQ(0, call(w, close_files, 1));
		EXPECT_EQ(1, cg_get(self->top, "usage"));
		EXPECT_EQ(0, cg_set(self->top, "barrier", LIMIT - round));

		ASSERT_TRUE(plug(true));
		ASSERT_EQ(0, call(w, pin_to_cpu, 1));
		ASSERT_EQ(0, call(w, open_and_close, 6));
		EXPECT_LT(0, cg_stock(self->b));
		EXPECT_EQ(1, cg_get(self->b, "usage"));
		EXPECT_EQ(LIMIT - 1, call(other, open_until_refused, LIMIT));
		EXPECT_EQ(0, cg_stock(self->top));
		ASSERT_EQ(0, call(other, close_all, 0));
		ASSERT_EQ(0, call(w, close_all, 0));
		EXPECT_EQ(0, cg_get(self->top, "usage"));
	}
	EXPECT_EQ(cg_key(self->top, "stat", "charged"),
		  cg_key(self->top, "stat", "uncharged"));

	/* A group that is removed meanwhile leaves nothing with the CPU. */
	ASSERT_EQ(0, call(w, open_files, 5));
	ASSERT_EQ(0, call(w, open_and_close, 6));
	ASSERT_LT(0, cg_stock(self->b));
	ASSERT_TRUE(worker_move(w, self->a));
	ASSERT_EQ(0, call(w, pin_to_cpu, 0));
	ASSERT_TRUE(plug(false));
	ASSERT_EQ(0, cg_rmdir(self->b));
	EXPECT_EQ(5, cg_get(self->top, "usage"));
	ASSERT_EQ(0, call(w, close_files, 2));
	EXPECT_EQ(3, cg_get(self->top, "usage"));
	ASSERT_TRUE(plug(true));
	ASSERT_EQ(0, call(w, pin_to_cpu, 1));
	ASSERT_EQ(0, call(w, close_files, 2));
	EXPECT_EQ(1, cg_get(self->top, "usage"));
	EXPECT_EQ(LIMIT - 1, call(w, open_until_refused, LIMIT));
	worker_end(w);
	worker_end(other);
	plugged();
}

/* On @cpus CPUs by turns, one of which may be gone. */
static long hammer_everywhere(long cpus)
{
	long i, err = 0;

	for (i = 0; i < 20 && !err; i++) {
		pin_to_cpu(i % cpus);
		err = hammer(4);
	}
	return err;
}

TEST_F(precharge, cpu_goes_away_under_load)
{
	enum { LIMIT = 40, WORKERS = 4 };
	const int unplugs = bc_rounds(40);
	struct worker *w[WORKERS];
	struct arena *arena;
	long long usage;
	int i, running;
	long got;

	NEED_CPUS(2);
	if (!can_unplug(bc_cpu(1)))
		SKIP(return, "cannot unplug a CPU");
	arena = arena_new(14);
	ASSERT_NE(NULL, arena);
	ASSERT_EQ(0, cg_set(self->top, "limit", LIMIT));
	for (i = 0; i < WORKERS; i++) {
		w[i] = worker_new(i % 2 ? self->b : self->a);
		ASSERT_NE(NULL, w[i]);
	}
	for (running = 0, i = 0; i < unplugs; i++) {
		if (!running)
			for (; running < WORKERS; running++)
				start(w[running], hammer_everywhere,
				      self->cpus);
		ASSERT_TRUE(plug(i % 2));
		usage = cg_get(self->top, "usage");
		EXPECT_LE(0, usage);
		EXPECT_GE(LIMIT, usage);
		/* Each unplugging and each plugging happens in the middle. */
		if (i % 2)
			for (; running; running--)
				EXPECT_EQ(0, finish(w[running - 1]));
	}
	for (; running; running--)
		EXPECT_EQ(0, finish(w[running - 1]));
	ASSERT_TRUE(plug(true));
	EXPECT_GE(LIMIT, arena->highest);
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	EXPECT_EQ(arena->opened, cg_key(self->top, "stat", "charged"));
	EXPECT_EQ(arena->opened, cg_key(self->top, "stat", "uncharged"));
	for (got = 0, i = 0; i < WORKERS; i++) {
		ASSERT_EQ(0, call(w[i], pin_to_cpu, i % self->cpus));
		got += call(w[i], open_until_refused, LIMIT);
	}
	EXPECT_EQ(LIMIT, got);
	for (i = 0; i < WORKERS; i++)
		worker_end(w[i]);
	plugged();
}

/*
 * A group goes and leaves files, and stock, on every CPU: its parent has the
 * files, and what was in stock is in its bank, at most. Catches: stock that
 * becomes the parent's for good, a CPU that still keeps units for a group that
 * is gone.
 */
TEST_F(precharge, removal_with_stock)
{
	char *x = cg_new(self->a, "x"), *y = cg_new(self->a, "y");
	struct worker *w[MAX_CPUS];
	long usage = 0, opened = 0;
	int i;

	ASSERT_TRUE(x && y);
	for (i = 0; i < self->cpus; i++) {
		w[i] = worker_new_on_cpu(x, i);
		ASSERT_NE(NULL, w[i]);
		ASSERT_EQ(0, call(w[i], open_files, 10));
		ASSERT_EQ(0, call(w[i], close_files, 4));
		usage += 6;
		opened += 10;
	}
	ASSERT_LT(0, cg_stock(x));
	for (i = 0; i < self->cpus; i++)
		ASSERT_TRUE(worker_move(w[i], self->b));
	ASSERT_EQ(0, cg_rmdir(x));
	EXPECT_EQ(usage, cg_get(self->a, "usage"));
	EXPECT_EQ(usage, cg_get(self->top, "usage"));
	EXPECT_EQ(0, cg_stock(self->a));
	EXPECT_GE(bc_most_stock(0, 1, opened), cg_stock(self->top));

	/* Each on the CPU that had its stock, which no group has now. */
	for (i = 0; i < self->cpus; i++) {
		ASSERT_EQ(0, call(w[i], close_files, 2));
		usage -= 2;
		EXPECT_EQ(usage, cg_get(self->a, "usage"));
		EXPECT_EQ(usage, cg_get(self->top, "usage"));
	}
	/* The CPUs have other things to keep, and the files no group. */
	for (i = 0; i < self->cpus; i++) {
		ASSERT_TRUE(worker_move(w[i], y));
		ASSERT_EQ(0, call(w[i], open_and_close, 6));
		opened += 6;
		ASSERT_TRUE(worker_move(w[i], self->b));
	}
	EXPECT_LT(0, cg_stock(self->a));
	ASSERT_EQ(0, cg_rmdir(y));
	EXPECT_EQ(usage, cg_get(self->a, "usage"));
	EXPECT_EQ(0, cg_stock(self->a));
	EXPECT_GE(bc_most_stock(0, 1, opened), cg_stock(self->top));
	ASSERT_EQ(0, cg_rmdir(self->a));
	EXPECT_EQ(0, cg_stock(self->top));
	EXPECT_EQ(usage, cg_get(self->top, "usage"));
	for (i = 0; i < self->cpus; i++) {
		ASSERT_EQ(0, call(w[i], pin_to_cpu, (i + 1) % self->cpus));
		ASSERT_EQ(0, call(w[i], close_files, 2));
		usage -= 2;
		EXPECT_EQ(usage, cg_get(self->top, "usage"));
	}
	EXPECT_EQ(opened, cg_key(self->top, "stat", "charged"));
	EXPECT_EQ(opened - usage, cg_key(self->top, "stat", "uncharged"));
	ASSERT_EQ(0, cg_set(self->top, "limit", usage + 5));
	EXPECT_EQ(5, call(w[0], open_until_refused, 20));
	for (i = 0; i < self->cpus; i++)
		ASSERT_EQ(0, call(w[i], close_all, 0));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	EXPECT_EQ(usage + 5, call(w[self->cpus - 1], open_until_refused, 100));
}

/*
 * The same while the files are being closed on all CPUs, and what is kept is
 * being used. Catches: a unit that is put into the stock of a group just as
 * that is removed; an owner that is freed under a CPU's feet, or taken for a
 * new one that has its memory.
 */
TEST_F(precharge, removal_races)
{
	const int rounds = bc_rounds(120);
	struct worker *w[MAX_CPUS];
	char *x, *y;
	int i, round;

	for (i = 0; i < self->cpus; i++) {
		w[i] = worker_new_on_cpu(self->b, i);
		ASSERT_NE(NULL, w[i]);
	}
	for (round = 0; round < rounds; round++) {
		x = cg_new(self->a, "x");
		y = cg_new(x, "y");
		ASSERT_TRUE(x && y);
		for (i = 0; i < self->cpus; i++) {
			ASSERT_TRUE(worker_move(w[i], y));
			ASSERT_EQ(0, call(w[i], open_files, 2 + (i + round) % 9));
			ASSERT_EQ(0, call(w[i], open_and_close, 4));
			ASSERT_TRUE(worker_move(w[i], self->b));
		}
		for (i = 0; i < self->cpus; i++)
			start(w[i], round % 2 ? close_all : open_and_close,
			      round % 2 ? 0 : 20);
		EXPECT_EQ(0, cg_rmdir(y));
		EXPECT_EQ(0, cg_rmdir(x));
		for (i = 0; i < self->cpus; i++)
			EXPECT_EQ(0, finish(w[i]));
		for (i = 0; i < self->cpus; i++)
			ASSERT_EQ(0, call(w[i], close_all, 0));
		ASSERT_EQ(0, cg_get(self->top, "usage"));
		ASSERT_EQ(0, cg_get(self->a, "usage"));
		free(x);
		free(y);
	}
	EXPECT_EQ(0, cg_stock(self->a));
	EXPECT_EQ(cg_key(self->top, "stat", "charged"),
		  cg_key(self->top, "stat", "uncharged"));
	ASSERT_EQ(0, cg_set(self->top, "limit", 10));
	EXPECT_EQ(10, call(w[0], open_until_refused, 20));
}

/*
 * Everything that takes stock back, all the time, while all CPUs use theirs:
 * what is returned is not lost. Catches: units that are lost or doubled when
 * they are taken back in the middle of a charge.
 */
TEST_F(precharge, taking_back_races)
{
	enum { LIMIT = 200 };
	const int rounds = bc_rounds(160) / 10 * 10;
	struct worker *w[MAX_CPUS];
	struct arena *arena;
	long long usage;
	int i, round;
	long got;

	/* Together they are never refused: they use what they have in stock. */
	arena = arena_new(6);
	ASSERT_NE(NULL, arena);
	ASSERT_EQ(0, cg_set(self->top, "limit", LIMIT));
	for (i = 0; i < self->cpus; i++) {
		w[i] = worker_new_on_cpu(i % 2 ? self->b : self->a, i);
		ASSERT_NE(NULL, w[i]);
	}
	for (round = 0; round < rounds; round++) {
		if (round % 10 == 0)
			for (i = 0; i < self->cpus; i++)
				start(w[i], hammer, 100);
		ASSERT_EQ(0, cg_set(self->top, "limit", LIMIT - round % 3));
		ASSERT_EQ(0, cg_set(self->a, "barrier", LIMIT - round % 5));
		ASSERT_EQ(0, cg_set(self->a, "reservation", round % 2 ? 40 : 60));
		ASSERT_EQ(0, cg_set(self->b, "reservation", round % 3 ? 70 : 60));
		ASSERT_EQ(0, cg_write(self->top, "max_usage", "0"));
		usage = cg_get(self->top, "usage");
		EXPECT_LE(0, usage);
		EXPECT_GE(LIMIT, usage);
		/* What is moved just now may be seen twice. */
		EXPECT_GE(LIMIT, cg_stock(self->top));
		if (round % 10 == 9)
			for (i = 0; i < self->cpus; i++)
				EXPECT_EQ(0, finish(w[i]));
		if (round % 10 == 9)
			EXPECT_GE(bc_most_stock(self->cpus, 1, 6 * self->cpus) +
				  bc_most_stock(0, 1, 6 * self->cpus),
				  cg_stock(self->top));
	}
	EXPECT_EQ(0, arena->refused);
	EXPECT_EQ(0, cg_refusals(self->top));
	ASSERT_EQ(0, cg_set(self->a, "reservation", 0));
	ASSERT_EQ(0, cg_set(self->b, "reservation", 0));
	ASSERT_EQ(0, cg_set(self->a, "barrier", BC_UNLIMITED));
	ASSERT_EQ(0, cg_set(self->top, "limit", LIMIT));
	EXPECT_EQ(0, cg_get(self->a, "usage"));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	for (i = 0; i < self->cpus; i++)
		start(w[i], open_until_refused, LIMIT);
	for (got = 0, i = 0; i < self->cpus; i++)
		got += finish(w[i]);
	EXPECT_EQ(LIMIT, got);
}

/*
 * A write. Units that are on their way through the tree may make it fail, and a
 * CPU of the guest may stand still with them. It is repeated then, and counted.
 */
static int set_in_flight(const char *cg, const char *file, long long value,
			 int *missed)
{
	int err = cg_set(cg, file, value);

	if (err != -ENOSPC && err != -EBUSY)
		return err;
	++*missed;
	bc_soon((err = cg_set(cg, file, value)) != -ENOSPC && err != -EBUSY);
	return err;
}

/*
 * While CPUs open and close, never more than so many at a time, a limit can
 * always be lowered to that, and what remains be lent. Catches: stock that is
 * given out between the moment when all was taken back and the change.
 */
TEST_F(precharge, changes_under_load)
{
	enum { HELD = 40, EACH = 2, LENT = 30 };
	const int most = HELD + EACH * self->cpus;
	const int rounds = bc_rounds(400) / 10 * 10;
	/* As long as ten rounds, and longer. */
	const int each = bc_debug_kernel() ? 200 : 400;
	struct worker *w[MAX_CPUS], *holder;
	struct arena *arena;
	int i, round, missed = 0;

	arena = arena_new(EACH);
	ASSERT_NE(NULL, arena);
	holder = worker_new(self->b);
	ASSERT_NE(NULL, holder);
	ASSERT_EQ(0, call(holder, open_files, HELD));
	for (i = 0; i < self->cpus; i++) {
		w[i] = worker_new_on_cpu(self->b, i);
		ASSERT_NE(NULL, w[i]);
	}
	for (round = 0; round < rounds; round++) {
		if (round % 10 == 0)
			for (i = 0; i < self->cpus; i++)
				start(w[i], hammer, each);
		ASSERT_EQ(0, set_in_flight(self->b, "limit", most, &missed));
		EXPECT_GE(most, cg_get(self->b, "usage"));
		EXPECT_GE(most - HELD, cg_stock(self->b));
		ASSERT_EQ(0, cg_set(self->b, "limit", BC_UNLIMITED));
		ASSERT_EQ(0, set_in_flight(self->top, "limit", most + LENT,
					   &missed));
		ASSERT_EQ(0, set_in_flight(self->a, "reservation", LENT,
					   &missed));
		ASSERT_EQ(0, cg_set(self->a, "reservation", 0));
		ASSERT_EQ(0, cg_set(self->top, "limit", BC_UNLIMITED));
		if (round % 10 == 9)
			for (i = 0; i < self->cpus; i++)
				EXPECT_EQ(0, finish(w[i]));
	}
	/* Of three writes in each round. */
	EXPECT_GE(rounds / 4, missed);
	EXPECT_EQ(HELD, cg_get(self->top, "usage"));
	/* What was lent was charged to no object. */
	EXPECT_EQ(arena->opened + HELD, cg_key(self->top, "stat", "charged"));
	EXPECT_EQ(arena->opened, cg_key(self->top, "stat", "uncharged"));
}

/*
 * A thousand groups below one limit, any of which may have what is missing.
 * Catches: stock that is looked for in some of them only, a refusal that finds
 * room which is not there.
 */
TEST_F(precharge, a_thousand_siblings)
{
	const int groups = bc_rounds(1000);
	struct worker *w[2];
	char **group = calloc(groups, sizeof(*group));
	long refused = 0;
	int i, cpu;

	ASSERT_NE(NULL, group);
	for (i = 0; i < 2; i++) {
		w[i] = worker_new_on_cpu(self->b, i % self->cpus);
		ASSERT_NE(NULL, w[i]);
	}
	for (i = 0; i < groups; i++) {
		group[i] = cg_newf(self->a, "g%d", i);
		ASSERT_NE(NULL, group[i]);
		ASSERT_TRUE(worker_move(w[0], group[i]));
		ASSERT_EQ(0, call(w[0], open_one, 0));
	}
	EXPECT_EQ(groups, cg_get(self->a, "usage"));
	/* Far enough from the limit for the CPUs to keep some. */
	ASSERT_EQ(0, cg_set(self->a, "limit", 2 * groups));
	ASSERT_EQ(0, call(w[1], pin_to_cpu, self->cpus - 1));
	for (i = 0; i < groups; i += 1 + groups / 10) {
		for (cpu = 0; cpu < self->cpus - 1; cpu++) {
			ASSERT_TRUE(worker_move(w[0], group[(i + cpu) % groups]));
			ASSERT_EQ(0, call(w[0], pin_to_cpu, cpu));
			ASSERT_EQ(0, call(w[0], open_and_close, 6));
			ASSERT_LT(0, cg_stock(group[(i + cpu) % groups]));
		}
		ASSERT_TRUE(worker_move(w[1], group[groups - 1 - i]));
		EXPECT_EQ(groups, call(w[1], open_until_refused, groups + 20));
		EXPECT_EQ(++refused, cg_refusals(self->a));
		EXPECT_EQ(0, cg_refusals(group[i]));
		EXPECT_EQ(2 * groups, cg_get(self->a, "usage"));
		EXPECT_EQ(-EMFILE, call(w[0], open_one, 0));
		EXPECT_EQ(++refused, cg_refusals(self->a));
		ASSERT_EQ(0, call(w[1], close_all, 0));
		EXPECT_EQ(groups, cg_get(self->a, "usage"));
	}
	/* Every one of them is refused, and finds what any other returns. */
	ASSERT_EQ(0, cg_set(self->a, "limit", groups));
	for (i = 0; i < groups; i += 1 + groups / bc_rounds(200)) {
		ASSERT_TRUE(worker_move(w[1], group[i]));
		EXPECT_EQ(-EMFILE, call(w[1], open_one, 0));
		refused++;
		ASSERT_EQ(0, call(w[0], close_first, 0));
		EXPECT_EQ(0, call(w[1], open_one, 0));
	}
	EXPECT_EQ(refused, cg_refusals(self->a));
	EXPECT_EQ(groups, cg_get(self->a, "usage"));
}

/* Ten thousand groups that were removed while a file of each is still open. */

/* Kernel memory that cannot be reclaimed, in bytes. */
static long kernel_memory(void)
{
	static const char * const keys[] = { "SUnreclaim:", "Percpu:" };
	long sum = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *line = strstr(cg_read("/proc", "meminfo"), keys[i]);

		sum += line ? atol(line + strlen(keys[i])) : 0;
	}
	return sum * 1024;
}

static char *nursery, *refuge;
static int online;		/* CPUs to be on by turns */

/*
 * Opens two files in each of @n new groups, keeps one of them, and removes each
 * group as soon as it is in the next one: from another CPU than the one that
 * has some in stock for it, now and then.
 */
static long come_and_go(long n)
{
	char *last = NULL, *group;
	long i, err = 0;

	for (i = 0; i < n && !err; i++) {
		group = cg_newf(nursery, "g%ld", i);
		if (!group)
			return -errno;
		err = cg_attach(group, getpid()) ?: open_files(2) ?: close_files(1);
		if (!err && i % 16 == 0)
			err = pin_to_cpu(i / 16 % online);
		if (!err && last)
			err = cg_rmdir(last);
		free(last);
		last = group;
	}
	return err ?: cg_attach(refuge, getpid()) ?: cg_rmdir(last);
}

/*
 * What a removed group leaves behind is a few words for as long as it has
 * files, and nothing after. Catches: a group, a stock or any memory of theirs
 * that is kept by a file or by a CPU; husks that are never freed.
 */
TEST_F(precharge, ten_thousand_removed_groups)
{
	enum { HUSK = 128 };		/* bytes, while a group has files */
	/* Debugging options have use for memory that was freed. */
	const bool measure = !bc_debug_kernel();
	const int groups = measure ? 10000 : 300;
	int before = bc_num_cgroups("numfiles");
	long start, files, husks;
	struct worker *w;

	nursery = self->a;
	online = self->cpus;
	refuge = self->b;
	w = worker_new(self->b);
	ASSERT_NE(NULL, w);
	/*
	 * What a first time takes and keeps: slabs, the table of descriptors.
	 */
	ASSERT_EQ(0, call(w, come_and_go, groups / 20));
	ASSERT_EQ(0, call(w, open_files, groups));
	ASSERT_EQ(0, call(w, close_all, 0));
	ASSERT_TRUE(bc_soon(bc_num_cgroups("numfiles") <= before));
	bc_sleep_ms(500);
	start = kernel_memory();

	/* What so many files take in a group that is there. */
	ASSERT_EQ(0, call(w, open_files, groups));
	files = kernel_memory() - start;
	ASSERT_EQ(0, call(w, close_all, 0));

	ASSERT_EQ(0, call(w, come_and_go, groups));
	EXPECT_EQ(groups, cg_get(self->a, "usage"));
	EXPECT_EQ(groups, cg_get(self->top, "usage"));
	/*
	 * No stock of the groups that are gone, but what the bank above them
	 * has.
	 */
	EXPECT_EQ(0, cg_stock(self->a));
	EXPECT_GE(bc_most_stock(0, 1, groups), cg_stock(self->top));
	EXPECT_TRUE(bc_soon(bc_num_cgroups("numfiles") <= before));
	if (measure)
		EXPECT_TRUE(bc_soon(kernel_memory() - start - files <
				    HUSK * groups));
	husks = kernel_memory() - start - files;

	/* The limit of their parent bounds what they have left. */
	ASSERT_EQ(0, cg_set(self->top, "limit", groups + 1));
	EXPECT_EQ(1, call(w, open_until_refused, 5));
	ASSERT_EQ(0, call(w, close_all, 0));
	EXPECT_EQ(0, cg_get(self->a, "usage"));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	/* What was opened to move to the next group is among them. */
	EXPECT_LE(2LL * groups, cg_key(self->a, "stat", "charged"));
	EXPECT_EQ(cg_key(self->a, "stat", "charged"),
		  cg_key(self->a, "stat", "uncharged"));
	if (!measure)
		return;
	/* Less than the smallest husk there could be. */
	EXPECT_TRUE(bc_soon(kernel_memory() - start < 32 * groups));
	TH_LOG("%d files: %ld bytes; %ld more while their groups are gone; %ld left",
	       groups, files, husks, kernel_memory() - start);
}

TEST_HARNESS_MAIN
