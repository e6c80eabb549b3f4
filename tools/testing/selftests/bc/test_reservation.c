// SPDX-License-Identifier: GPL-2.0
/*
 * What a group borrows from its parent: "reservation" (v2: "min"), and "strict",
 * which has the children of a group live on borrowed resource alone.
 */
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

FIXTURE(loan)
{
	char *top;
	char *a, *b;
};

FIXTURE_VARIANT(loan)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(loan, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(loan, v2) { .v2 = true };

FIXTURE_SETUP(loan)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->a = cg_new(self->top, "a");
	self->b = cg_new(self->top, "b");
	ASSERT_TRUE(self->a && self->b);
}

FIXTURE_TEARDOWN(loan)
{
	bc_teardown();
}

static long long lent(const char *cg)
{
	return cg_key(cg, "stat", "lent");
}

TEST_F(loan, new_groups_borrow_nothing)
{
	EXPECT_EQ(0, cg_get(self->a, "reservation"));
	EXPECT_EQ(0, cg_get(self->a, "strict"));
	EXPECT_EQ(0, lent(self->top));
}

/*
 * The promise: what is reserved is there, whatever the others do. Catches: a
 * reservation that is not taken out of the parent, one that is counted twice
 * when it is used, one that is a limit.
 */
TEST_F(loan, reserved_files_are_there)
{
	struct worker *wa = worker_new(self->a), *wb = worker_new(self->b);

	ASSERT_TRUE(wa && wb);
	ASSERT_EQ(0, cg_set(self->top, "limit", 30));
	ASSERT_EQ(0, cg_set(self->a, "reservation", 10));
	EXPECT_EQ(10, cg_get(self->a, "reservation"));
	EXPECT_EQ(10, lent(self->top));
	EXPECT_EQ(10, cg_get(self->top, "usage"));
	EXPECT_EQ(0, cg_get(self->a, "usage"));

	/* The other takes all that it can get, and that is the rest. */
	EXPECT_EQ(20, call(wb, open_until_refused, 100));
	EXPECT_EQ(1, cg_refusals(self->top));
	EXPECT_EQ(10, call(wa, open_until_refused, 100));
	EXPECT_EQ(30, cg_get(self->top, "usage"));
	EXPECT_EQ(2, cg_refusals(self->top));
	EXPECT_EQ(0, cg_refusals(self->a));

	/* Beyond its reservation the group shares with the others. */
	EXPECT_EQ(0, call(wb, close_files, 5));
	EXPECT_EQ(5, call(wa, open_until_refused, 100));
	EXPECT_EQ(30, cg_get(self->top, "usage"));
	EXPECT_EQ(15, cg_get(self->a, "usage"));

	/* Files within the reservation go back to it, the others to all. */
	EXPECT_EQ(0, call(wa, close_all, 0));
	EXPECT_EQ(25, cg_get(self->top, "usage"));
	EXPECT_EQ(0, cg_set(self->a, "reservation", 0));
	EXPECT_EQ(15, cg_get(self->top, "usage"));
	EXPECT_EQ(0, lent(self->top));
	EXPECT_EQ(0, call(wb, close_all, 0));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
}

/* A reservation far down holds against everybody on the way. */
TEST_F(loan, reservations_nest)
{
	char *deep = cg_new(cg_new(self->a, "x"), "y");
	struct worker *w, *other;
	char *x;

	ASSERT_NE(NULL, deep);
	x = dirname(strdup(deep));
	w = worker_new(deep);
	other = worker_new(self->b);
	ASSERT_TRUE(w && other);
	ASSERT_EQ(0, cg_set(self->top, "limit", 20));
	ASSERT_EQ(0, cg_set(self->a, "reservation", 8));
	ASSERT_EQ(0, cg_set(x, "reservation", 6));
	ASSERT_EQ(0, cg_set(deep, "reservation", 4));
	/* Each level lends of what it has: the top lends 8 in all. */
	EXPECT_EQ(8, cg_get(self->top, "usage"));
	EXPECT_EQ(6, cg_get(self->a, "usage"));
	EXPECT_EQ(4, cg_get(x, "usage"));
	EXPECT_EQ(12, call(other, open_until_refused, 100));
	EXPECT_EQ(8, call(w, open_until_refused, 100));
	EXPECT_EQ(8, cg_get(deep, "usage"));
	EXPECT_EQ(8, cg_get(self->a, "usage"));
	EXPECT_EQ(20, cg_get(self->top, "usage"));
}

/*
 * Borrowing charges the parent only for what the group does not take already,
 * and the last unit can be lent.
 */
TEST_F(loan, borrowing_what_is_in_use)
{
	struct worker *wa = worker_new(self->a), *wb = worker_new(self->b);

	ASSERT_TRUE(wa && wb);
	ASSERT_EQ(0, cg_set(self->top, "limit", 10));
	ASSERT_EQ(0, call(wa, open_files, 6));
	ASSERT_EQ(0, call(wb, open_files, 4));
	EXPECT_EQ(0, cg_set(self->a, "reservation", 6));
	EXPECT_EQ(10, cg_get(self->top, "usage"));
	EXPECT_EQ(-ENOSPC, cg_set(self->a, "reservation", 7));
	EXPECT_EQ(6, cg_get(self->a, "reservation"));
	EXPECT_EQ(0, call(wb, close_files, 1));
	EXPECT_EQ(0, cg_set(self->a, "reservation", 7));
	EXPECT_EQ(10, cg_get(self->top, "usage"));
	EXPECT_EQ(-EMFILE, call(wb, open_one, 0));
}

/* Every error, with nothing changed. */
TEST_F(loan, errors)
{
	static const char * const bad[] = {
		"", " ", "x", "-1", "-5", "+5", "1.5", "5 5", "5x", "0x5",
		"9223372036854775808", "18446744073709551616",
	};
	struct worker *w = worker_new(self->a);
	size_t i;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(self->top, "limit", 50));
	ASSERT_EQ(0, cg_set(self->a, "limit", 20));
	ASSERT_EQ(0, cg_set(self->a, "reservation", 12));
	ASSERT_EQ(0, call(w, open_files, 10));

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char line[64];

		snprintf(line, sizeof(line), "%s\n", bad[i]);
		/* -1 is "max" on v1, which is above the limit or not to be had. */
		if (!bc_v2 && !strcmp(bad[i], "-1")) {
			EXPECT_NE(0, cg_write(self->a, "reservation", line));
		} else {
			EXPECT_EQ(-EINVAL, cg_write(self->a, "reservation", line))
				TH_LOG("'%s'", bad[i]);
		}
		EXPECT_EQ(-EINVAL, cg_write(self->a, "strict", line))
			TH_LOG("'%s'", bad[i]);
	}
	EXPECT_EQ(-EINVAL, cg_write(self->a, "strict", "2"));
	EXPECT_EQ(-EINVAL, cg_write(self->a, "strict", "max"));
	/* Above the limit; the limit below it. */
	EXPECT_EQ(-EINVAL, cg_set(self->a, "reservation", 21));
	EXPECT_EQ(-EINVAL, cg_set(self->a, "limit", 11));
	/* The parent has no room. */
	EXPECT_EQ(-ENOSPC, cg_set(self->b, "reservation", 39));
	EXPECT_EQ(-ENOSPC, cg_write(self->b, "reservation", "max"));
	EXPECT_EQ(-EINVAL, cg_write(self->a, "reservation", "max"));
	/* Nobody can lend what only the privileged may take. */
	ASSERT_EQ(0, cg_set(self->top, "barrier", 49));
	EXPECT_EQ(-ENOSPC, cg_set(self->b, "reservation", 38));
	ASSERT_EQ(0, cg_set(self->top, "barrier", BC_UNLIMITED));
	/* Units in use cannot be given back, nor lent ones be taken away. */
	EXPECT_EQ(-EBUSY, cg_set(self->a, "reservation", 9));
	EXPECT_EQ(-EBUSY, cg_set(self->top, "limit", 11));

	EXPECT_EQ(12, cg_get(self->a, "reservation"));
	EXPECT_EQ(20, cg_get(self->a, "limit"));
	EXPECT_EQ(0, cg_get(self->b, "reservation"));
	EXPECT_EQ(50, cg_get(self->top, "limit"));
	EXPECT_EQ(12, cg_get(self->top, "usage"));
	EXPECT_EQ(12, lent(self->top));

	EXPECT_EQ(0, cg_set(self->b, "reservation", 38));
	EXPECT_EQ(0, cg_set(self->a, "reservation", 10));
	EXPECT_EQ(48, cg_get(self->top, "usage"));
}

/*
 * A reservation outlives the bounds that it was made under; so it is made within
 * them, even for files that are open already, and limits do not go below it, on
 * whatever level it was made. Catches: a group that holds more than the limit
 * above allows, for ever.
 */
TEST_F(loan, loans_stay_within_bounds)
{
	char *deep = cg_new(self->a, "deep");
	struct worker *w;

	ASSERT_NE(NULL, deep);
	w = worker_new(deep);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, open_files, 8));
	ASSERT_EQ(0, cg_set(self->top, "barrier", 7));
	EXPECT_EQ(-ENOSPC, cg_set(deep, "reservation", 8));
	ASSERT_EQ(0, cg_set(self->top, "barrier", 8));
	EXPECT_EQ(0, cg_set(deep, "reservation", 8));
	EXPECT_EQ(0, lent(self->top));
	EXPECT_EQ(-EBUSY, cg_set(self->top, "limit", 7));
	EXPECT_EQ(0, cg_set(self->top, "limit", 8));
	EXPECT_EQ(0, call(w, close_all, 0));
	EXPECT_EQ(-EBUSY, cg_set(self->top, "limit", 7));
	EXPECT_EQ(0, cg_set(deep, "reservation", 7));
	EXPECT_EQ(0, cg_set(self->top, "limit", 7));
	EXPECT_EQ(7, cg_get(self->top, "usage"));
}

/* A group that goes repays what it does not use, and leaves what it uses. */
TEST_F(loan, removal_repays)
{
	struct worker *w = worker_new(self->a);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(self->a, "reservation", 10));
	ASSERT_EQ(0, call(w, open_files, 3));
	EXPECT_EQ(10, cg_get(self->top, "usage"));
	ASSERT_EQ(0, cg_attach(self->b, w->pid));
	ASSERT_EQ(0, cg_rmdir(self->a));
	EXPECT_EQ(3, cg_get(self->top, "usage"));
	EXPECT_EQ(0, lent(self->top));
	EXPECT_EQ(0, call(w, close_all, 0));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
}

/*
 * The model of 2008. A new child has nothing; its limit is what it has borrowed;
 * what it does costs the parent nothing more.
 */
TEST_F(loan, strict_parent)
{
	struct worker *w, *inside;
	char *child;

	ASSERT_EQ(0, cg_set(self->a, "limit", 10));
	ASSERT_EQ(0, cg_set(self->a, "strict", 1));
	child = cg_new(self->a, "child");
	ASSERT_NE(NULL, child);
	EXPECT_EQ(0, cg_get(child, "limit"));
	EXPECT_EQ(0, cg_get(child, "reservation"));
	w = worker_new(child);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(-EMFILE, call(w, open_one, 0));

	EXPECT_EQ(-ENOSPC, cg_set(child, "limit", 11));
	EXPECT_EQ(-ENOSPC, cg_write(child, "limit", "max"));
	EXPECT_EQ(-EINVAL, cg_set(child, "reservation", 5));
	EXPECT_EQ(0, cg_get(child, "limit"));
	EXPECT_EQ(0, cg_set(child, "limit", 7));
	EXPECT_EQ(7, cg_get(child, "limit"));
	EXPECT_EQ(7, cg_get(child, "reservation"));
	EXPECT_EQ(7, cg_get(self->a, "usage"));
	EXPECT_EQ(7, lent(self->a));

	EXPECT_EQ(7, call(w, open_until_refused, 100));
	EXPECT_EQ(7, cg_get(self->a, "usage"));
	EXPECT_EQ(7, cg_get(self->a, "max_usage"));
	EXPECT_EQ(2, cg_refusals(child));
	EXPECT_EQ(0, cg_refusals(self->a));

	EXPECT_EQ(-EBUSY, cg_set(child, "limit", 6));
	EXPECT_EQ(7, cg_get(child, "limit"));
	EXPECT_EQ(0, call(w, close_files, 2));
	EXPECT_EQ(0, cg_set(child, "limit", 6));
	EXPECT_EQ(6, cg_get(self->a, "usage"));

	/* What is lent binds the parent's own processes where there can be some. */
	if (!bc_v2) {
		inside = worker_new(self->a);
		ASSERT_NE(NULL, inside);
		EXPECT_EQ(4, call(inside, open_until_refused, 100));
		worker_end(inside);
	}

	/* Not while somebody lives by it; right after rmdir it is free again. */
	EXPECT_EQ(-EBUSY, cg_set(self->a, "strict", 0));
	EXPECT_EQ(0, cg_set(self->a, "strict", 1));
	worker_end(w);
	ASSERT_EQ(0, cg_rmdir(child));
	EXPECT_EQ(0, cg_set(self->a, "strict", 0));
	EXPECT_EQ(0, cg_get(self->a, "usage"));
	child = cg_new(self->a, "child");
	ASSERT_NE(NULL, child);
	EXPECT_EQ(BC_UNLIMITED, cg_get(child, "limit"));
	EXPECT_EQ(-EBUSY, cg_set(self->a, "strict", 1));
}

/* The root can be strict, too, and lends of what the machine has. */
TEST_F(loan, strict_root)
{
	char *root = dirname(strdup(self->top));
	long long max_files;
	FILE *f;

	f = fopen("/proc/sys/fs/file-max", "r");
	ASSERT_NE(NULL, f);
	ASSERT_EQ(1, fscanf(f, "%lld", &max_files));
	fclose(f);

	/* It has a child: the top group. */
	EXPECT_EQ(0, cg_get(root, "strict"));
	EXPECT_EQ(-EBUSY, cg_set(root, "strict", 1));
	ASSERT_EQ(0, cg_rmdir(self->a));
	ASSERT_EQ(0, cg_rmdir(self->b));
	ASSERT_EQ(0, cg_rmdir(self->top));
	ASSERT_EQ(0, cg_set(root, "strict", 1));
	self->top = cg_new(root, "again");
	ASSERT_NE(NULL, self->top);
	EXPECT_EQ(0, cg_get(self->top, "limit"));
	EXPECT_EQ(-ENOSPC, cg_set(self->top, "limit", max_files + 1));
	EXPECT_EQ(0, cg_set(self->top, "limit", max_files));
	EXPECT_EQ(max_files, cg_get(self->top, "limit"));
	ASSERT_EQ(0, cg_rmdir(self->top));
	EXPECT_EQ(0, cg_set(root, "strict", 0));
}

/*
 * Borrowing and repaying while others charge, uncharge and are refused: the
 * limit of the parent holds at any time, and all is back in the end. Catches: a
 * reservation that changes in two steps.
 */
static long churn(long rounds)
{
	long i, opened = 0;

	for (i = 0; i < rounds; i++) {
		opened += open_until_refused(12);
		close_all(0);
	}
	return opened;
}

TEST_F(loan, races)
{
	struct worker *wa = worker_new(self->a), *wb = worker_new(self->b);
	int i, lending = 0;

	ASSERT_TRUE(wa && wb);
	ASSERT_EQ(0, cg_set(self->top, "limit", 16));
	start(wa, churn, bc_rounds(2000));
	start(wb, churn, bc_rounds(2000));
	for (i = 0; i < 200; i++) {
		int err = cg_set(self->a, "reservation", i % 17);

		ASSERT_TRUE(err == 0 || err == -ENOSPC || err == -EBUSY);
		lending += !err;
		ASSERT_LE(cg_get(self->top, "usage"), 16);
	}
	EXPECT_GT(lending, 0);
	EXPECT_GT(finish(wa), 0);
	/* On one CPU all its time may have been while everything was lent. */
	EXPECT_GE(finish(wb), 0);
	EXPECT_LE(cg_get(self->top, "max_usage"), 16);
	EXPECT_EQ(0, cg_set(self->a, "reservation", 0));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	EXPECT_EQ(0, lent(self->top));
	EXPECT_EQ(16, call(wb, open_until_refused, 100));
}

TEST_HARNESS_MAIN
