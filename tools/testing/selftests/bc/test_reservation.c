// SPDX-License-Identifier: GPL-2.0
/*
 * What a group borrows from its parent: "reservation" (v2: "min"), and
 * "strict", which has the children of a group live on borrowed resource alone.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/stat.h>

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

/* A reservation far down holds against all groups on the way. */
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
		/*
		 * -1 is "max" on v1, which is above the limit or not to be had.
		 */
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
	/* No group can lend what only the privileged may take. */
	ASSERT_EQ(0, cg_set(self->top, "barrier", 49));
	EXPECT_EQ(-ENOSPC, cg_set(self->b, "reservation", 38));
	ASSERT_EQ(0, cg_set(self->top, "barrier", BC_UNLIMITED));
	/* Lent units cannot be taken away. */
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
 * A reservation that is lowered falls at once. What was not in use can be lent
 * at once, too; what is in use beyond it goes back as it is returned. Catches:
 * a reservation that cannot be lowered while it is in use, units in use that
 * are lent a second time, units that stay with the group when it returns them.
 */
TEST_F(loan, a_lower_reservation_falls_at_once)
{
	struct worker *wa = worker_new(self->a);

	ASSERT_NE(NULL, wa);
	ASSERT_EQ(0, cg_set(self->top, "limit", 20));
	ASSERT_EQ(0, cg_set(self->a, "reservation", 12));
	ASSERT_EQ(0, call(wa, open_files, 8));

	EXPECT_EQ(0, cg_set(self->a, "reservation", 5));
	EXPECT_EQ(5, cg_get(self->a, "reservation"));
	EXPECT_EQ(8, cg_get(self->a, "usage"));
	EXPECT_EQ(5, lent(self->top));
	EXPECT_EQ(8, cg_get(self->top, "usage"));
	EXPECT_EQ(-ENOSPC, cg_set(self->b, "reservation", 13));
	EXPECT_EQ(0, cg_set(self->b, "reservation", 12));
	EXPECT_EQ(20, cg_get(self->top, "usage"));

	EXPECT_EQ(0, call(wa, close_files, 2));
	EXPECT_EQ(-ENOSPC, cg_set(self->b, "reservation", 15));
	EXPECT_EQ(0, cg_set(self->b, "reservation", 14));
	EXPECT_EQ(0, call(wa, close_files, 3));
	EXPECT_EQ(-ENOSPC, cg_set(self->b, "reservation", 16));
	EXPECT_EQ(0, cg_set(self->b, "reservation", 15));
	EXPECT_EQ(20, lent(self->top));
	EXPECT_EQ(2, call(wa, open_until_refused, 10));

	EXPECT_EQ(0, cg_set(self->a, "reservation", 0));
	EXPECT_EQ(20, cg_get(self->top, "usage"));
	EXPECT_EQ(0, call(wa, close_all, 0));
	EXPECT_EQ(15, cg_get(self->top, "usage"));
}

/*
 * Delegation: files of a group belong to a user without privileges. The user
 * divides what the group above has reserved, and takes nothing of what that
 * shares with other groups.
 */
static const char *target, *target_file;
static int target_fd;

static long write_target(long value)
{
	return cg_set(target, target_file, value);
}

static long write_target_max(long unused)
{
	(void)unused;
	return cg_write(target, target_file, "max");
}

static long write_target_fd(long value)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld", value);

	return pwrite(target_fd, text, len, 0) < 0 ? -errno : 0;
}

static int give_away(const char *cg, const char *file)
{
	return chown(cg_path(cg, file), NOBODY, NOBODY);
}

/* The user writes to @file of @cg. */
static long user_writes(const char *cg, const char *file, long value)
{
	struct worker *w;
	long err;

	target = cg;
	target_file = file;
	w = user_new(NULL);
	if (!w || give_away(cg, file))
		return LONG_MIN;
	err = call(w, write_target, value);
	worker_end(w);
	return err;
}

TEST_F(loan, users_lend_what_is_reserved)
{
	char *c = cg_new(self->a, "c"), *d = cg_new(self->a, "d");
	struct worker *w;

	ASSERT_TRUE(c && d);
	/* Made by mkdtemp(3): for root alone, until it was mounted. */
	ASSERT_EQ(0, chmod(dirname(strdup(self->top)), 0755));
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->a, "limit", 50));

	/* Nothing is reserved; the answer does not tell how much there is. */
	EXPECT_EQ(-EPERM, user_writes(c, "reservation", 1));
	EXPECT_EQ(-EPERM, user_writes(c, "reservation", 50));
	EXPECT_EQ(-EPERM, user_writes(c, "reservation", 51));
	EXPECT_EQ(-EPERM, user_writes(c, "reservation", 1000000000));
	EXPECT_EQ(0, user_writes(c, "reservation", 0));
	target = c;
	target_file = "reservation";
	w = user_new(NULL);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(-EPERM, call(w, write_target_max, 0));
	EXPECT_EQ(0, lent(self->a));
	EXPECT_EQ(0, cg_get(self->top, "usage"));

	/* All children together have no more than the parent. */
	ASSERT_EQ(0, cg_set(self->a, "reservation", 10));
	EXPECT_EQ(-EPERM, user_writes(c, "reservation", 11));
	EXPECT_EQ(0, user_writes(c, "reservation", 10));
	EXPECT_EQ(-EPERM, user_writes(d, "reservation", 1));
	EXPECT_EQ(0, user_writes(c, "reservation", 4));
	EXPECT_EQ(-EPERM, user_writes(d, "reservation", 7));
	EXPECT_EQ(0, user_writes(d, "reservation", 6));
	EXPECT_EQ(10, lent(self->a));
	EXPECT_EQ(10, cg_get(self->top, "usage"));

	/* What the parent loses is not taken away, and not lent again. */
	ASSERT_EQ(0, cg_set(self->a, "reservation", 5));
	EXPECT_EQ(4, cg_get(c, "reservation"));
	EXPECT_EQ(6, cg_get(d, "reservation"));
	EXPECT_EQ(-EPERM, user_writes(c, "reservation", 5));
	EXPECT_EQ(0, user_writes(c, "reservation", 4));
	EXPECT_EQ(0, user_writes(c, "reservation", 1));
	EXPECT_EQ(-EPERM, user_writes(c, "reservation", 2));
	EXPECT_EQ(0, user_writes(d, "reservation", 4));
	EXPECT_EQ(-EPERM, user_writes(d, "reservation", 5));
	EXPECT_EQ(5, cg_get(self->top, "usage"));

	/* The administrator can lend what there is. */
	EXPECT_EQ(0, cg_set(c, "reservation", 40));
	EXPECT_EQ(-ENOSPC, cg_set(c, "reservation", 47));
	EXPECT_EQ(44, lent(self->a));
	EXPECT_EQ(0, user_writes(c, "reservation", 30));
	EXPECT_EQ(-EPERM, user_writes(c, "reservation", 31));

	/* A group directly below the root would lend what the machine has. */
	EXPECT_EQ(0, user_writes(self->top, "reservation", 0));
	EXPECT_EQ(-EPERM, user_writes(self->top, "reservation", 1));
	/* Limits are the user's to write: they give nothing. */
	EXPECT_EQ(0, user_writes(d, "limit", 45));
}

/*
 * With strict, a limit is lent like a reservation, and setting it is harmless.
 */
TEST_F(loan, users_lend_to_children_of_a_strict_group)
{
	char *c;

	ASSERT_EQ(0, chmod(dirname(strdup(self->top)), 0755));
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	EXPECT_EQ(0, user_writes(self->a, "strict", 1));
	EXPECT_EQ(1, cg_get(self->a, "strict"));
	c = cg_new(self->a, "c");
	ASSERT_NE(NULL, c);
	EXPECT_EQ(-EPERM, user_writes(c, "limit", 1));
	EXPECT_EQ(0, user_writes(c, "limit", 0));
	ASSERT_EQ(0, cg_set(self->a, "reservation", 10));
	EXPECT_EQ(-EPERM, user_writes(c, "limit", 11));
	EXPECT_EQ(0, user_writes(c, "limit", 10));
	EXPECT_EQ(10, cg_get(c, "reservation"));
	EXPECT_EQ(10, cg_get(self->top, "usage"));
	EXPECT_EQ(0, cg_set(c, "limit", 20));
	EXPECT_EQ(20, lent(self->a));
	EXPECT_EQ(0, user_writes(c, "limit", 15));
	EXPECT_EQ(-EPERM, user_writes(c, "limit", 16));
	ASSERT_EQ(0, cg_rmdir(c));
	EXPECT_EQ(0, user_writes(self->a, "strict", 0));
}

/*
 * It is the task that opened the file that has to have the privilege. Catches:
 * a set-uid program whose output goes to the file, root of a user namespace.
 */
TEST_F(loan, lending_is_up_to_the_opener)
{
	char *c = cg_new(self->a, "c");
	struct worker *w;
	int fd;

	ASSERT_NE(NULL, c);
	ASSERT_EQ(0, chmod(dirname(strdup(self->top)), 0755));
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, give_away(c, "reservation"));

	ASSERT_EQ(0, seteuid(NOBODY));
	fd = cg_open(c, "reservation", O_RDWR);
	ASSERT_EQ(0, seteuid(0));
	ASSERT_GE(fd, 0);
	target_fd = fd;
	EXPECT_EQ(-EPERM, write_target_fd(5));
	EXPECT_EQ(0, cg_get(c, "reservation"));
	close(fd);

	/* What root has opened, it may have handed down. */
	target_fd = cg_open(c, "reservation", O_RDWR);
	ASSERT_GE(target_fd, 0);
	w = user_new(NULL);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(0, call(w, write_target_fd, 5));
	EXPECT_EQ(5, cg_get(c, "reservation"));
	worker_end(w);
	close(target_fd);

	/* One capability makes the difference. */
	ASSERT_EQ(0, chown(cg_path(c, "reservation"), 0, 0));
	target = c;
	target_file = "reservation";
	w = worker_new(NULL);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(0, call(w, write_target, 6));
	ASSERT_EQ(0, call(w, drop_capability, CAP_SYS_RESOURCE));
	EXPECT_EQ(-EPERM, call(w, write_target, 7));
	EXPECT_EQ(0, call(w, write_target, 6));
	EXPECT_EQ(0, call(w, write_target, 4));
	worker_end(w);

	/* Root of a user namespace has it, but there. */
	w = worker_new(NULL);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(0, call(w, write_target, 6));
	if (call(w, enter_userns, 0))
		SKIP(return, "no user namespaces");
	EXPECT_EQ(-EPERM, call(w, write_target, 7));
	EXPECT_EQ(0, call(w, write_target, 3));
}

/*
 * A reservation outlives the bounds that it was made under; so it is made
 * within them, even for files that are open already, and limits do not go below
 * it, on whatever level it was made. Catches: a group that holds more than the
 * limit above allows, for ever.
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
 * The model of 2008. A new child has nothing; its limit is what it has
 * borrowed; what it does costs the parent nothing more.
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

	/*
	 * What is lent binds the parent's own processes where there can be
	 * some.
	 */
	if (!bc_v2) {
		inside = worker_new(self->a);
		ASSERT_NE(NULL, inside);
		EXPECT_EQ(4, call(inside, open_until_refused, 100));
		worker_end(inside);
	}

	/* Not while a child lives by it; right after rmdir it is free again. */
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

		ASSERT_TRUE(err == 0 || err == -ENOSPC);
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
