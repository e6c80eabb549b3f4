// SPDX-License-Identifier: GPL-2.0
/*
 * Shares: what a group may take, and what it is guaranteed, as a fraction of
 * what its parent has; through whatever happens to the parent, up to the
 * machine.
 *
 * The arithmetic is told here a second time, by derived() and nothing else.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

/* bc-boot: --smp 4 */

/* Beyond what any test here wants to have. */
#define MANY 3000

/*
 * Units of the resource under test. A worker has as many as it is told to;
 * tasks are itself and children of it.
 */
static long hold_tasks(long n)
{
	long err = end_children(1 + num_children(0) - n);

	while (1 + num_children(0) < n && !err)
		err = fork_bound(0);
	return err;
}

static long fill_tasks(long unused)
{
	(void)unused;
	while (1 + num_children(0) < MANY && !fork_bound(0))
		;
	return 1 + num_children(0);
}

static long hold_files(long n)
{
	return held(0) > n ? close_files(held(0) - n) : open_files(n - held(0));
}

static long fill_files(long unused)
{
	(void)unused;
	open_until_refused(MANY);
	return held(0);
}

static const struct resource {
	const char *controller;
	const char *machine;	/* the machine's own amount */
	long least;		/* that a worker has */
	int refused;		/* by a group */
	int exhausted;		/* by the machine */
	bc_work hold;		/* exactly that many */
	bc_work fill;		/* as many as there are: how many that is */
	bc_work more;		/* one */
} numfiles = {
	.controller = "numfiles",
	.machine = "/proc/sys/fs/file-max",
	.least = 0,
	.refused = -EMFILE,
	.exhausted = -ENFILE,
	.hold = hold_files,
	.fill = fill_files,
	.more = open_one,
}, numtasks = {
	.controller = "numtasks",
	.machine = "/proc/sys/kernel/threads-max",
	.least = 1,
	.refused = -EAGAIN,
	.exhausted = -EAGAIN,
	.hold = hold_tasks,
	.fill = fill_tasks,
	.more = fork_bound,
};

/*
 * What the machine had before the first test. Read before there is any, so that
 * a test that was killed does not leave its own amount to the next one.
 */
static char file_max[32], threads_max[32];

static void read_amount(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "r");

	if (!f)
		return;
	if (!fgets(text, size, f))
		*text = '\0';
	fclose(f);
}

static void __attribute__((constructor)) read_machine(void)
{
	read_amount(numfiles.machine, file_max, sizeof(file_max));
	read_amount(numtasks.machine, threads_max, sizeof(threads_max));
}

static const struct resource *res;

static int machine_has(long long amount)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld\n", amount);
	return bc_write_file(res->machine, text);
}

/* The most that numfiles takes the machine to have, whatever file-max is. */
static long long memory_holds(void)
{
	return sysconf(_SC_PHYS_PAGES) * (sysconf(_SC_PAGESIZE) / 1024LL) / 10;
}

static void restore_machine(void)
{
	bc_write_file(numfiles.machine, file_max);
	bc_write_file(numtasks.machine, threads_max);
}

/* Words for what groups have. */

static int share(const char *cg, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int share(const char *cg, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return cg_write(cg, "shares", text);
}

static int share_min_max(const char *cg, long min, long max)
{
	return share(cg, "min_shares=%ld max_shares=%ld\n", min, max);
}

/* In a buffer that every call uses anew. */
static const char *shares(long min, long max, long divisor)
{
	static char text[128];

	snprintf(text, sizeof(text),
		 "min_shares=%ld max_shares=%ld child_shares_divisor=%ld\n", min,
		 max, divisor);
	return text;
}

static long long reserved(const char *cg)
{
	return cg_get(cg, "reservation");
}

static long long limit(const char *cg)
{
	return cg_get(cg, "limit");
}

static long long usage(const char *cg)
{
	return cg_get(cg, "usage");
}

static long long lent(const char *cg)
{
	return cg_key(cg, "stat", "lent");
}

static long long derived(long long amount, long part, long divisor)
{
	return (__int128)amount * part / divisor;
}

/* The group that workers write to, if they are made after it is set. */
static const char *victim;

/*
 * All that files say of a group and all below, for comparison: nothing has
 * changed if that has not. "extremes" are part of it: they would tell of a
 * change that was taken back.
 */
static void draw(FILE *f, const char *cg, bool extremes)
{
	static const char * const files[] = {
		"shares", "limit", "reservation", "barrier", "strict", "usage",
		"max_usage",
	};
	struct dirent *entry;
	char *child;
	size_t i;
	DIR *dir;

	fprintf(f, "%s:\n", cg);
	for (i = 0; i < ARRAY_SIZE(files); i++)
		if (extremes || strcmp(files[i], "max_usage"))
			fprintf(f, " %s %s", files[i], cg_read(cg, files[i]));
	fprintf(f, " lent %lld\n", lent(cg));
	if (extremes)
		fprintf(f, " min_usage %lld\n", cg_min_usage(cg));

	dir = opendir(cg);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
		    asprintf(&child, "%s/%s", cg, entry->d_name) < 0)
			continue;
		draw(f, child, extremes);
		free(child);
	}
	closedir(dir);
}

static char *drawn(const char *cg, bool extremes)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	draw(f, cg, extremes);
	fclose(f);
	return text;
}

static char *picture(const char *cg)
{
	return drawn(cg, false);
}

/*
 * The lines of @after that are not those of @before; "" if they are the same.
 */
static const char *difference(const char *before, const char *after)
{
	static char text[512];
	const char *end;
	size_t n;

	if (!before || !after)
		return "no memory";
	text[0] = '\0';
	while (*before || *after) {
		end = strchrnul(after, '\n');
		n = end - after;
		if (strncmp(before, after, n) ||
		    before[n] != *end)
			snprintf(text + strlen(text), sizeof(text) - strlen(text),
				 "%.*s;", (int)n, after);
		after = end + !!*end;
		before = strchrnul(before, '\n');
		before += !!*before;
	}
	return text;
}

/*
 * Evaluates to what @write returns, and expects that it changed nothing below
 * @cg.
 */
#define refused_whole(cg, write) ({					\
	char *__before = picture(cg), *__after;				\
	int __err = (write);						\
									\
	__after = picture(cg);						\
	EXPECT_STREQ("", difference(__before, __after));		\
	free(__before);							\
	free(__after);							\
	__err;								\
})

FIXTURE(shares)
{
	char *root;	/* of the hierarchy */
	char *top;	/* of this test, where no processes are */
};

FIXTURE_VARIANT(shares)
{
	const struct resource *res;
	bool v2;
};

FIXTURE_VARIANT_ADD(shares, numfiles_v1) { .res = &numfiles, .v2 = false };
FIXTURE_VARIANT_ADD(shares, numfiles_v2) { .res = &numfiles, .v2 = true };
FIXTURE_VARIANT_ADD(shares, numtasks_v1) { .res = &numtasks, .v2 = false };
FIXTURE_VARIANT_ADD(shares, numtasks_v2) { .res = &numtasks, .v2 = true };

FIXTURE_SETUP(shares)
{
	res = variant->res;
	bc_controller = res->controller;
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->root = dirname(strdup(self->top));
	/* One that was killed may have left it otherwise. */
	ASSERT_EQ(0, share(self->root, "child_shares_divisor=100"));
}

/* The groups that tests make beside the top. */
static const char * const beside[] = { "system", "other" };

static void clean_up(const char *root, const char *top)
{
	char *path;
	size_t i;

	restore_machine();
	for (i = 0; i < ARRAY_SIZE(beside); i++)
		if (asprintf(&path, "%s/%s", root, beside[i]) > 0) {
			cg_purge(path);
			free(path);
		}
	cg_purge(top);
	share(root, "child_shares_divisor=100");
	bc_teardown();
}

FIXTURE_TEARDOWN(shares)
{
	clean_up(self->root, self->top);
}

/*
 * The promise, as an administrator would have it written: a third of what the
 * machine has, whatever other groups do, and never more than two thirds. What
 * the system needs itself, in the root group, is not counted; so a group has it
 * reserved.
 *
 * The other group gets a third at the most, too: 600 - 200 - 100.
 */
TEST_F(shares, a_third_of_the_machine_and_never_more_than_two)
{
	char *system = cg_new(self->root, "system");
	char *other = cg_new(self->root, "other");
	struct worker *mine = user_new(self->top), *theirs = user_new(other);

	ASSERT_TRUE(system && mine && theirs);
	ASSERT_EQ(0, machine_has(600));
	ASSERT_EQ(0, share(self->root, "child_shares_divisor=6"));
	ASSERT_EQ(0, share_min_max(system, 1, -3));
	ASSERT_EQ(0, share_min_max(self->top, 2, 4));
	EXPECT_EQ(100, reserved(system));
	EXPECT_EQ(BC_UNLIMITED, limit(system));
	EXPECT_EQ(200, reserved(self->top));
	EXPECT_EQ(400, limit(self->top));
	EXPECT_STREQ(shares(2, 4, 100), cg_read(self->top, "shares"));

	EXPECT_EQ(300, call(theirs, res->fill, 0));
	EXPECT_EQ(res->exhausted, call(theirs, res->more, 0));
	EXPECT_EQ(200, call(mine, res->fill, 0));
	EXPECT_EQ(res->exhausted, call(mine, res->more, 0));

	EXPECT_EQ(0, call(theirs, res->hold, res->least));
	EXPECT_EQ(400, call(mine, res->fill, 0));
	EXPECT_EQ(res->refused, call(mine, res->more, 0));
	EXPECT_EQ(400, usage(self->top));
	EXPECT_EQ(100, call(theirs, res->fill, 0));

	worker_end(theirs);
	EXPECT_EQ(0, call(mine, res->hold, res->least));
	worker_end(mine);
	EXPECT_SOON(0, usage(self->top));
	EXPECT_SOON(0, usage(other));
}

/* The same in a group, among children without a limit. */
TEST_F(shares, a_guarantee_holds_while_siblings_take_all_else)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *inner = cg_new(a, "inner"), *beside_it = cg_new(a, "beside");
	struct worker *mine = user_new(inner), *theirs = user_new(b);
	struct worker *near = user_new(beside_it);

	ASSERT_TRUE(mine && theirs && near);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 60, -3));
	ASSERT_EQ(0, share_min_max(inner, 50, 100));
	EXPECT_EQ(60, reserved(a));
	EXPECT_EQ(30, reserved(inner));
	EXPECT_EQ(100, limit(inner));

	EXPECT_EQ(40, call(theirs, res->fill, 0));
	EXPECT_EQ(30, call(near, res->fill, 0));
	EXPECT_EQ(30, call(mine, res->fill, 0));
	EXPECT_EQ(100, usage(self->top));
	/*
	 * What one returns is there for all, beyond what is guaranteed to it.
	 */
	EXPECT_EQ(0, call(near, res->hold, 20));
	EXPECT_EQ(40, call(mine, res->fill, 0));
	EXPECT_EQ(0, call(theirs, res->hold, 35));
	EXPECT_EQ(25, call(near, res->fill, 0));
	EXPECT_EQ(0, call(mine, res->hold, res->least));
	EXPECT_EQ(35, call(near, res->fill, 0));
	EXPECT_EQ(30, reserved(inner));
}

/*
 * A ceiling is a limit, for groups below, too; and an unused one costs nothing.
 */
TEST_F(shares, a_ceiling_holds_for_all_below)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *a1 = cg_new(a, "a1"), *a2 = cg_new(a, "a2");
	struct worker *w1 = user_new(a1), *w2 = user_new(a2), *w3 = user_new(b);

	ASSERT_TRUE(w1 && w2 && w3);
	ASSERT_EQ(0, cg_set(self->top, "limit", 80));
	ASSERT_EQ(0, share_min_max(a, -3, 50));
	ASSERT_EQ(0, share_min_max(a1, -3, 75));
	ASSERT_EQ(0, share_min_max(a2, -3, 75));
	ASSERT_EQ(0, share_min_max(b, -3, 100));
	EXPECT_EQ(40, limit(a));
	EXPECT_EQ(30, limit(a1));
	EXPECT_EQ(30, limit(a2));
	EXPECT_EQ(80, limit(b));
	EXPECT_EQ(0, reserved(a));
	EXPECT_EQ(0, reserved(a1));

	EXPECT_EQ(30, call(w1, res->fill, 0));
	EXPECT_EQ(res->refused, call(w1, res->more, 0));
	EXPECT_EQ(10, call(w2, res->fill, 0));
	EXPECT_EQ(40, call(w3, res->fill, 0));
	EXPECT_EQ(80, usage(self->top));
	EXPECT_EQ(0, call(w1, res->hold, res->least));
	EXPECT_EQ(30, call(w2, res->fill, 0));
}

/*
 * A ceiling that comes down, because one above does, is like v2's limit: it is
 * never refused, and a group that is above it gets nothing until it is below.
 * For v1, too.
 */
TEST_F(shares, a_derived_limit_below_usage_refuses_from_then_on)
{
	char *a = cg_new(self->top, "a");
	struct worker *w = user_new(a);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, share_min_max(a, -3, 50));
	EXPECT_EQ(0, call(w, res->hold, 45));
	EXPECT_EQ(0, cg_set(self->top, "limit", 60));
	EXPECT_EQ(30, limit(a));
	EXPECT_EQ(45, usage(a));
	EXPECT_EQ(res->refused, call(w, res->more, 0));
	EXPECT_EQ(0, share(a, "max_shares=20"));
	EXPECT_EQ(12, limit(a));
	EXPECT_EQ(0, share(self->top, "child_shares_divisor=40"));
	EXPECT_EQ(30, limit(a));
	EXPECT_EQ(0, call(w, res->hold, 30));
	EXPECT_EQ(res->refused, call(w, res->more, 0));
	EXPECT_EQ(0, call(w, res->hold, 29));
	EXPECT_EQ(30, call(w, res->fill, 0));

	/* Written, it is the convention's own: v1 refuses, and shares stay. */
	if (bc_v2)
		return;
	EXPECT_EQ(-EBUSY, refused_whole(self->top, cg_set(a, "limit", 29)));
	EXPECT_STREQ(shares(-3, 20, 100), cg_read(a, "shares"));
}

/*
 * A guarantee that comes down while it is in use does so at once; what is in
 * use beyond it goes back as it is returned.
 */
TEST_F(shares, a_guarantee_comes_down_at_once)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *inner = cg_new(a, "inner");
	struct worker *w = user_new(inner);

	ASSERT_TRUE(b && w);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 80, -3));
	ASSERT_EQ(0, share_min_max(inner, 50, -3));
	EXPECT_EQ(0, call(w, res->hold, 40));

	EXPECT_EQ(0, share(a, "min_shares=20"));
	EXPECT_EQ(10, reserved(inner));
	EXPECT_EQ(20, reserved(a));
	EXPECT_EQ(20, lent(self->top));
	EXPECT_EQ(40, usage(self->top));
	/* What is in use is not guaranteed to another. */
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, share_min_max(b, 61, -3)));
	EXPECT_EQ(0, share_min_max(b, 60, -3));
	EXPECT_EQ(60, reserved(b));
	EXPECT_EQ(80, lent(self->top));
	EXPECT_EQ(100, usage(self->top));

	EXPECT_EQ(0, call(w, res->hold, 25));
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, share(b, "min_shares=76")));
	EXPECT_EQ(0, share(b, "min_shares=75"));
	EXPECT_EQ(0, call(w, res->hold, 5));
	EXPECT_EQ(0, share(b, "min_shares=80"));
	EXPECT_EQ(100, lent(self->top));
	EXPECT_EQ(100, usage(self->top));
	EXPECT_EQ(10, usage(a));

	/* And back. */
	EXPECT_EQ(0, share(b, "min_shares=60"));
	EXPECT_EQ(0, share(a, "min_shares=40"));
	EXPECT_EQ(40, reserved(a));
	EXPECT_EQ(20, reserved(inner));
	EXPECT_EQ(100, lent(self->top));
}

/*
 * A guarantee that is due to a group by a change further up is not refused
 * where there is no room now: it grows.
 */
TEST_F(shares, a_derived_guarantee_grows_as_units_return)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *inner = cg_new(a, "inner");
	struct worker *w = user_new(b), *mine = user_new(inner);

	ASSERT_TRUE(w && mine);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 10, 10));
	ASSERT_EQ(0, share_min_max(inner, 50, 50));
	EXPECT_EQ(0, call(w, res->hold, 80));

	/* 50 are due, and there are 20. */
	EXPECT_EQ(0, share(self->top, "child_shares_divisor=20"));
	EXPECT_EQ(20, reserved(a));
	EXPECT_EQ(50, limit(a));
	EXPECT_EQ(10, reserved(inner));
	EXPECT_EQ(25, limit(inner));
	EXPECT_EQ(100, usage(self->top));
	EXPECT_EQ(res->refused, call(w, res->more, 0));

	EXPECT_EQ(0, call(w, res->hold, 30));
	EXPECT_SOON(50, reserved(a));
	EXPECT_SOON(25, reserved(inner));
	EXPECT_EQ(25, call(mine, res->fill, 0));
	EXPECT_EQ(50, call(w, res->fill, 0));
	EXPECT_EQ(100, usage(self->top));
}

/* What was returned is there for the next group that asks, without a wait. */
TEST_F(shares, what_was_returned_can_be_guaranteed_at_once)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	struct worker *w = user_new(b);

	ASSERT_TRUE(a && w);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(b, 80, -3));
	ASSERT_EQ(0, call(w, res->hold, 80));
	ASSERT_EQ(0, share(b, "min_shares=20"));
	EXPECT_EQ(20, reserved(b));
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, share_min_max(a, 70, -3)));
	ASSERT_EQ(0, call(w, res->hold, res->least));
	EXPECT_EQ(0, share_min_max(a, 70, -3));
	EXPECT_EQ(70, reserved(a));
}

/* What a write asks for is there, or the write fails. */
TEST_F(shares, a_written_guarantee_without_room_is_refused)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *inner = cg_new(a, "inner");
	struct worker *w = user_new(b);

	ASSERT_TRUE(inner && w);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(inner, 50, 80));
	ASSERT_EQ(0, share_min_max(a, 10, 90));
	EXPECT_EQ(0, call(w, res->hold, 70));

	EXPECT_EQ(-ENOSPC, refused_whole(self->top, share(a, "min_shares=31")));
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, share_min_max(a, 90, 90)));
	EXPECT_EQ(-ENOSPC, refused_whole(self->top,
					 share(a, "min_shares=31 child_shares_divisor=1000")));
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, cg_set(a, "reservation", 31)));
	EXPECT_EQ(0, share(a, "min_shares=30"));
	EXPECT_EQ(30, reserved(a));
	EXPECT_EQ(15, reserved(inner));

	EXPECT_EQ(0, call(w, res->hold, 60));
	EXPECT_EQ(0, cg_set(a, "reservation", 40));
	EXPECT_EQ(20, reserved(inner));
	EXPECT_STREQ(shares(-3, 90, 100), cg_read(a, "shares"));
}

/*
 * A group waits for units that another group has reserved, and that group goes.
 */
TEST_F(shares, a_group_that_goes_makes_room_for_a_waiting_one)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	struct worker *w = user_new(b);

	ASSERT_TRUE(a && w);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, cg_set(a, "reservation", 70));
	ASSERT_EQ(0, share_min_max(b, 30, -3));
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, share(b, "min_shares=31")));
	EXPECT_EQ(0, share(self->top, "child_shares_divisor=60"));
	EXPECT_EQ(30, reserved(b));
	EXPECT_EQ(100, lent(self->top));
	EXPECT_EQ(30, call(w, res->fill, 0));

	ASSERT_EQ(0, cg_rmdir(a));
	EXPECT_SOON(50, reserved(b));
	EXPECT_SOON(50, lent(self->top));
	EXPECT_EQ(100, call(w, res->fill, 0));
}

/*
 * When the machine's own amount changes, so do those of all groups, in the
 * write(2) that changed it: up, down, to an odd number, and below what is in
 * use.
 */
TEST_F(shares, what_the_machine_has_is_shared_anew)
{
	static const long long amounts[] = { 600, 1000, 400, 601, 999, 600 };
	char *other = cg_new(self->root, "other");
	char *a = cg_new(self->top, "a"), *a1 = cg_new(a, "a1");
	struct worker *w = user_new(a1);
	size_t i;

	ASSERT_TRUE(other && w);
	ASSERT_EQ(0, machine_has(500));
	ASSERT_EQ(0, share_min_max(self->top, 50, 80));
	ASSERT_EQ(0, share_min_max(other, 25, 33));
	ASSERT_EQ(0, share_min_max(a, 50, 50));
	ASSERT_EQ(0, share_min_max(a1, 100, -3));
	for (i = 0; i < ARRAY_SIZE(amounts); i++) {
		long long m = amounts[i], half = derived(m, 50, 100);

		ASSERT_EQ(0, machine_has(m));
		EXPECT_EQ(half, reserved(self->top));
		EXPECT_EQ(derived(m, 80, 100), limit(self->top));
		EXPECT_EQ(derived(m, 25, 100), reserved(other));
		EXPECT_EQ(derived(m, 33, 100), limit(other));
		EXPECT_EQ(derived(half, 50, 100), reserved(a));
		EXPECT_EQ(derived(derived(m, 80, 100), 50, 100), limit(a));
		EXPECT_EQ(derived(half, 50, 100), reserved(a1));
		EXPECT_EQ(BC_UNLIMITED, limit(a1));
	}

	/* 150 are guaranteed; 120 of them are in use when only 100 are left. */
	EXPECT_EQ(0, call(w, res->hold, 120));
	ASSERT_EQ(0, machine_has(400));
	EXPECT_EQ(100, reserved(a1));
	EXPECT_EQ(100, reserved(a));
	EXPECT_EQ(200, reserved(self->top));
	EXPECT_EQ(120, usage(self->top));
	EXPECT_EQ(100, reserved(other));
	ASSERT_EQ(0, machine_has(200));
	EXPECT_EQ(50, reserved(a1));
	EXPECT_EQ(50, reserved(a));
	EXPECT_EQ(100, reserved(self->top));
	EXPECT_EQ(120, usage(self->top));
	EXPECT_EQ(50, reserved(other));
	EXPECT_EQ(80, limit(a));
	EXPECT_EQ(160, limit(self->top));
	EXPECT_EQ(res->refused, call(w, res->more, 0));
	EXPECT_EQ(0, call(w, res->hold, 60));
	EXPECT_EQ(60, usage(self->top));
	ASSERT_EQ(0, machine_has(800));
	EXPECT_EQ(200, reserved(a1));
	EXPECT_EQ(400, reserved(self->top));
}

/*
 * In a strict group the limit is what was borrowed; so max_shares borrow, and
 * there is nothing that min_shares could be.
 */
TEST_F(shares, in_a_strict_group_max_shares_borrow)
{
	char *a = cg_new(self->top, "a"), *c1, *c2;
	struct worker *w, *other;

	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(a, "limit", 100));
	ASSERT_EQ(0, cg_set(a, "strict", 1));
	c1 = cg_new(a, "c1");
	c2 = cg_new(a, "c2");
	w = user_new(c1);
	ASSERT_TRUE(c1 && c2 && w);
	EXPECT_STREQ(shares(-2, -3, 100), cg_read(c1, "shares"));
	EXPECT_EQ(0, limit(c1));
	EXPECT_EQ(res->refused, call(w, res->more, 0));

	EXPECT_EQ(-EINVAL, refused_whole(self->top, share(c1, "min_shares=5")));
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share(c1, "min_shares=-3")));
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share_min_max(c1, 5, 10)));
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share(c1, "min_shares=-2")));
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share(c1, "max_shares=101")));
	EXPECT_EQ(-EINVAL, refused_whole(self->top, cg_set(c1, "reservation", 3)));

	EXPECT_EQ(0, share(c1, "max_shares=30"));
	EXPECT_STREQ(shares(-2, 30, 100), cg_read(c1, "shares"));
	EXPECT_EQ(30, limit(c1));
	EXPECT_EQ(30, reserved(c1));
	EXPECT_EQ(30, lent(a));
	EXPECT_EQ(30, call(w, res->fill, 0));
	EXPECT_EQ(res->refused, call(w, res->more, 0));
	/*
	 * What is borrowed by shares is one sum; what was written, is in the
	 * way.
	 */
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share(c2, "max_shares=71")));
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, cg_set(c2, "limit", 71)));
	EXPECT_EQ(0, cg_set(c2, "limit", 60));
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, share(c1, "max_shares=41")));
	EXPECT_EQ(0, share(c2, "max_shares=70"));
	EXPECT_EQ(70, reserved(c2));
	other = user_new(c2);
	ASSERT_NE(NULL, other);
	EXPECT_EQ(70, call(other, res->fill, 0));
	EXPECT_EQ(0, call(other, res->hold, res->least));

	/* What the parent gets and loses, they do; units in use, later. */
	EXPECT_EQ(0, cg_set(self->top, "limit", 300));
	EXPECT_EQ(0, cg_set(a, "limit", 200));
	EXPECT_EQ(60, limit(c1));
	EXPECT_EQ(60, reserved(c1));
	EXPECT_EQ(140, limit(c2));
	EXPECT_EQ(200, lent(a));
	EXPECT_EQ(0, call(w, res->hold, 50));
	EXPECT_EQ(-EBUSY, refused_whole(self->top, cg_set(a, "limit", 100)));
	EXPECT_EQ(0, share(c1, "max_shares=15"));
	EXPECT_EQ(50, limit(c1));
	EXPECT_EQ(50, reserved(c1));
	EXPECT_EQ(res->refused, call(w, res->more, 0));
	EXPECT_EQ(0, call(w, res->hold, res->least));
	EXPECT_SOON(30, limit(c1));
	EXPECT_EQ(30, call(w, res->fill, 0));
	EXPECT_EQ(0, call(w, res->hold, res->least));
	EXPECT_EQ(0, share(c1, "max_shares=30"));
	EXPECT_EQ(0, cg_set(a, "limit", 100));
	EXPECT_EQ(30, limit(c1));
	EXPECT_EQ(70, limit(c2));
	EXPECT_EQ(100, lent(a));

	/*
	 * Written, the limit is itself again; not caring, it is what a new one
	 * has.
	 */
	EXPECT_EQ(0, cg_set(c1, "limit", 20));
	EXPECT_STREQ(shares(-2, -3, 100), cg_read(c1, "shares"));
	EXPECT_EQ(20, reserved(c1));
	EXPECT_EQ(0, cg_set(a, "limit", 200));
	EXPECT_EQ(20, reserved(c1));
	EXPECT_EQ(140, reserved(c2));
	EXPECT_EQ(0, call(other, res->hold, res->least));
	EXPECT_EQ(0, share(c2, "max_shares=-3"));
	if (!res->least)
		EXPECT_EQ(0, limit(c2));
	worker_end(other);
	EXPECT_SOON(0, limit(c2));
	EXPECT_SOON(20, lent(a));
	EXPECT_EQ(-EBUSY, cg_set(a, "strict", 0));
}

/*
 * Amounts that go up and down for a whole tree, and a task that reads
 * meanwhile: no group has ever promised more than it was promised.
 *
 * A sum that is read one by one says something only if it is known how amounts
 * move meanwhile. In an even phase they grow, or stay: so the children are read
 * first and the parent after them; what it has then is no less than what it had
 * when the last of them was read, and neither were the first ones more at that
 * moment than when they were read. In an odd phase they shrink, or stay, and
 * the parent is read first. The phase begins before the write does, and ends
 * after it; what was read in two phases says nothing. So a phase lasts until
 * two looks have ended: the second one began in it.
 */
struct tide {
	long phase;
	long looks;
	long end;
};

static struct tide *tide;
static const char *tide_low, *tide_high;
static int (*tide_turn)(const char *);
static const char *tide_group;

static int turn_machine(const char *text)
{
	return bc_write_file(res->machine, text);
}

static int turn_reservation(const char *text)
{
	return cg_write(tide_group, "reservation", text);
}

static int turn_divisor(const char *text)
{
	return cg_write(tide_group, "shares", text);
}

static void await_looks(long n)
{
	n += __atomic_load_n(&tide->looks, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&tide->looks, __ATOMIC_SEQ_CST) < n)
		bc_sleep_ms(1);
}

static long turn_tides(long n)
{
	long err = 0;

	while (n-- > 0 && !err) {
		__atomic_add_fetch(&tide->phase, 1, __ATOMIC_SEQ_CST);
		err = tide_turn(tide_low);
		await_looks(2);
		if (err)
			break;
		__atomic_add_fetch(&tide->phase, 1, __ATOMIC_SEQ_CST);
		err = tide_turn(tide_high);
		await_looks(2);
	}
	__atomic_store_n(&tide->end, 1, __ATOMIC_SEQ_CST);
	return err;
}

/*
 * How much more @parent's children have than it has itself; LLONG_MIN: unknown.
 */
static long long surplus(int parent, const int *children, int n)
{
	long phase = __atomic_load_n(&tide->phase, __ATOMIC_SEQ_CST);
	long long sum = 0, of = 0;
	int i;

	if (phase % 2)
		of = bc_read_number(parent);
	for (i = 0; i < n; i++)
		sum += bc_read_number(children[i]);
	if (phase % 2 == 0)
		of = bc_read_number(parent);
	if (phase != __atomic_load_n(&tide->phase, __ATOMIC_SEQ_CST))
		return LLONG_MIN;
	return sum - of;
}

static long looked, turning;

static int tides(void)
{
	return bc_rounds(160);
}

/* Returns the largest surplus of any group while @w turned tides. */
static long long watch_tides(struct worker *w, char **parents, char *(*children)[2],
			     int n)
{
	int fds[8], pairs[8][2], i;
	long long over, worst = LLONG_MIN;

	for (i = 0; i < n; i++) {
		fds[i] = cg_open(parents[i], "reservation", O_RDONLY);
		pairs[i][0] = cg_open(children[i][0], "reservation", O_RDONLY);
		pairs[i][1] = cg_open(children[i][1], "reservation", O_RDONLY);
	}
	tide->end = 0;
	looked = 0;
	start(w, turn_tides, tides());
	for (i = 0; !__atomic_load_n(&tide->end, __ATOMIC_SEQ_CST); i++) {
		over = surplus(fds[i % n], pairs[i % n], 2);
		__atomic_add_fetch(&tide->looks, 1, __ATOMIC_SEQ_CST);
		looked += over != LLONG_MIN;
		if (over > worst)
			worst = over;
	}
	turning = finish(w);
	for (i = 0; i < n; i++) {
		close(fds[i]);
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	return worst;
}

TEST_F(shares, no_group_ever_promises_more_than_it_was_promised)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *a1 = cg_new(a, "a1"), *a2 = cg_new(a, "a2");
	char *parents[] = { self->top, a };
	char *children[][2] = { { a, b }, { a1, a2 } };
	struct worker *w;

	tide = mmap(NULL, sizeof(*tide), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, tide);
	ASSERT_TRUE(a1 && a2 && b);
	ASSERT_EQ(0, machine_has(1000));
	ASSERT_EQ(0, share_min_max(self->top, 80, -3));
	ASSERT_EQ(0, share_min_max(a, 60, -3));
	ASSERT_EQ(0, share_min_max(b, 40, -3));
	ASSERT_EQ(0, share_min_max(a1, 50, -3));
	ASSERT_EQ(0, share_min_max(a2, 50, -3));

	/* The machine's own. */
	tide_low = "300\n";
	tide_high = "1000\n";
	tide_turn = turn_machine;
	w = worker_new(NULL);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(0, watch_tides(w, parents, children, 2));
	EXPECT_EQ(0, turning);
	EXPECT_GE(looked, 2 * tides());
	worker_end(w);
	EXPECT_EQ(800, reserved(self->top));
	EXPECT_EQ(480, reserved(a));
	EXPECT_EQ(320, reserved(b));
	EXPECT_EQ(240, reserved(a1));

	/* What is written to the parent of all. */
	tide_low = "100\n";
	tide_high = "900\n";
	tide_turn = turn_reservation;
	tide_group = self->top;
	w = worker_new(NULL);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_write(self->top, "reservation", tide_high));
	EXPECT_EQ(0, watch_tides(w, parents, children, 2));
	EXPECT_EQ(0, turning);
	EXPECT_GE(looked, 2 * tides());
	worker_end(w);
	EXPECT_EQ(540, reserved(a));
	EXPECT_EQ(270, reserved(a2));

	/* The divisor of one that stays as it is. */
	tide_low = "child_shares_divisor=1000\n";
	tide_high = "child_shares_divisor=100\n";
	tide_turn = turn_divisor;
	w = worker_new(NULL);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(0, watch_tides(w, parents, children, 2));
	EXPECT_EQ(0, turning);
	EXPECT_GE(looked, 2 * tides());
	EXPECT_EQ(540, reserved(a));
	EXPECT_EQ(360, reserved(b));
}

FIXTURE(tree)
{
	char *root;
	char *top;
};

/* What is not about units is the same for every resource: one has to do. */
FIXTURE_VARIANT(tree)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(tree, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(tree, v2) { .v2 = true };

FIXTURE_SETUP(tree)
{
	res = &numfiles;
	bc_controller = res->controller;
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->root = dirname(strdup(self->top));
	ASSERT_EQ(0, share(self->root, "child_shares_divisor=100"));
}

FIXTURE_TEARDOWN(tree)
{
	clean_up(self->root, self->top);
}

/*
 * Switching a controller on promises nothing to any group, and takes nothing
 * away.
 */
TEST_F(tree, a_new_group_does_not_care)
{
	char *a = cg_new(self->top, "a");

	ASSERT_NE(NULL, a);
	EXPECT_STREQ(shares(-3, -3, 100), cg_read(self->top, "shares"));
	EXPECT_STREQ(shares(-3, -3, 100), cg_read(a, "shares"));
	EXPECT_EQ(0, reserved(a));
	EXPECT_EQ(BC_UNLIMITED, limit(a));

	/* Nor when it is made where others live by shares. */
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 100, 100));
	a = cg_new(self->top, "b");
	ASSERT_NE(NULL, a);
	EXPECT_STREQ(shares(-3, -3, 100), cg_read(a, "shares"));
	EXPECT_EQ(0, reserved(a));
	EXPECT_EQ(BC_UNLIMITED, limit(a));
	EXPECT_EQ(100, lent(self->top));
}

/* The root is a parent, and no child. */
TEST_F(tree, the_root_has_the_divisor_alone)
{
	static const char * const bad[] = {
		"min_shares=1", "min_shares=0", "min_shares=-3", "min_shares=-2",
		"max_shares=1", "max_shares=-3", "max_shares=-2",
		"child_shares_divisor=0", "child_shares_divisor=-3",
		"child_shares_divisor=-2", "max_shares=5 child_shares_divisor=7",
		"child_shares_divisor=7 min_shares=-3",
	};
	char text[128];
	size_t i;

	snprintf(text, sizeof(text), "%s", shares(-2, -2, 100));
	EXPECT_STREQ(text, cg_read(self->root, "shares"));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, share(self->root, "%s\n", bad[i]))
			TH_LOG("'%s'", bad[i]);
		EXPECT_STREQ(text, cg_read(self->root, "shares"));
	}
	EXPECT_EQ(0, share(self->root, "min_shares=-1 max_shares=-1"));
	EXPECT_EQ(0, share(self->root, "child_shares_divisor=-1"));
	EXPECT_STREQ(text, cg_read(self->root, "shares"));
	EXPECT_EQ(0, share(self->root, "child_shares_divisor=7"));
	EXPECT_STREQ(shares(-2, -2, 7), cg_read(self->root, "shares"));
	/* Not below what a child has of it. */
	ASSERT_EQ(0, machine_has(7000));
	ASSERT_EQ(0, share_min_max(self->top, -3, 5));
	EXPECT_EQ(5000, limit(self->top));
	EXPECT_EQ(-EINVAL, refused_whole(self->top,
					 share(self->root, "child_shares_divisor=4")));
	EXPECT_STREQ(shares(-2, -2, 7), cg_read(self->root, "shares"));
	EXPECT_EQ(0, share(self->root, "child_shares_divisor=5"));
	EXPECT_EQ(7000, limit(self->top));
}

/* Reads back what was written, in whatever words. */
TEST_F(tree, any_part_can_be_written)
{
	EXPECT_EQ(0, share(self->top, "max_shares=50"));
	EXPECT_STREQ(shares(-3, 50, 100), cg_read(self->top, "shares"));
	EXPECT_EQ(0, share(self->top, "child_shares_divisor=7\n"));
	EXPECT_STREQ(shares(-3, 50, 7), cg_read(self->top, "shares"));
	EXPECT_EQ(0, share(self->top, "min_shares=0"));
	EXPECT_STREQ(shares(0, 50, 7), cg_read(self->top, "shares"));
	EXPECT_EQ(0, share(self->top, " \t child_shares_divisor=9\tmin_shares=-3 \n"));
	EXPECT_STREQ(shares(-3, 50, 9), cg_read(self->top, "shares"));
	/* -1 leaves a part as it is, -3 sets it back. */
	EXPECT_EQ(0, share(self->top,
			   "max_shares=-1 min_shares=0 child_shares_divisor=-1"));
	EXPECT_STREQ(shares(0, 50, 9), cg_read(self->top, "shares"));
	EXPECT_EQ(0, share(self->top, "max_shares=-3"));
	EXPECT_STREQ(shares(0, -3, 9), cg_read(self->top, "shares"));
	EXPECT_EQ(BC_UNLIMITED, limit(self->top));
	/* What was read can be written. */
	EXPECT_EQ(0, share_min_max(self->top, 0, 100));
	EXPECT_EQ(0, cg_write(self->top, "shares",
			      strdup(cg_read(self->top, "shares"))));
	EXPECT_STREQ(shares(0, 100, 9), cg_read(self->top, "shares"));
}

/* Every error of the file, with nothing changed. */
TEST_F(tree, what_is_no_share_is_refused)
{
	static const char * const bad[] = {
		" ", "\n", "x", "5", "max", "min_shares", "min_shares=", "min_shares= 5",
		"min_shares =5", "min_shares=+5", "min_shares=--5", "min_shares=-",
		"min_shares=0x5", "min_shares=5.0", "min_shares=5%", "min_shares=max",
		"min_shares=5,max_shares=6", "min_shares=5;", "min_shares=5 6",
		"min_shares=5 min_shares=5", "max_shares=50 max_shares=50",
		"min_shares=5 unknown=1", "min_shares=5 max_shares",
		"Min_shares=5", "min_share=5", "shares=5", "limit=5", "=5",
		"min_shares=2147483648", "max_shares=2147483648",
		"child_shares_divisor=2147483648", "min_shares=4294967301",
		"min_shares=18446744073709551621",
		"min_shares=-2", "max_shares=-2", "child_shares_divisor=-2",
		"child_shares_divisor=-3", "child_shares_divisor=0",
		"min_shares=-4", "max_shares=-4", "min_shares=-2147483648",
		"child_shares_divisor=-5",
		/* M <= N <= D, also with the part that is not written. */
		"min_shares=61", "max_shares=39", "max_shares=101", "max_shares=0",
		"min_shares=50 max_shares=49", "min_shares=101 max_shares=101",
		"min_shares=101 max_shares=-3", "max_shares=2147483647",
		/* The children have 30 + 20 of it, and one may have 55. */
		"child_shares_divisor=54", "child_shares_divisor=49",
		"child_shares_divisor=1",
		/* One that is possible with one that is not. */
		"min_shares=45 max_shares=44 child_shares_divisor=200",
		"min_shares=45 max_shares=50 child_shares_divisor=54",
	};
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *a1 = cg_new(a, "a1"), *a2 = cg_new(a, "a2");
	char page[8192];
	size_t i;

	ASSERT_TRUE(a1 && a2 && b);
	ASSERT_EQ(0, cg_set(self->top, "limit", 1000));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 1000));
	ASSERT_EQ(0, share_min_max(a, 40, 60));
	ASSERT_EQ(0, share_min_max(b, 50, -3));
	ASSERT_EQ(0, share_min_max(a1, 30, -3));
	ASSERT_EQ(0, share_min_max(a2, 20, 55));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		int err = refused_whole(self->top, share(a, "%s", bad[i]));

		EXPECT_EQ(-EINVAL, err)
			TH_LOG("'%s'", bad[i]);
	}
	EXPECT_EQ(-EINVAL, refused_whole(self->top,
					 cg_write_raw(a, "shares", "min_shares=5\0", 13)));
	EXPECT_EQ(-EINVAL, refused_whole(self->top,
					 cg_write_raw(a, "shares", "\0min_shares=5", 13)));
	/* The siblings have 50 of 100, and the sum is at most that. */
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share(a, "min_shares=51")));
	EXPECT_EQ(0, share(a, "min_shares=50"));
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share(b, "min_shares=51")));
	EXPECT_EQ(-EINVAL, refused_whole(self->top,
					 share(self->top, "child_shares_divisor=99")));
	EXPECT_EQ(0, share(b, "min_shares=40"));
	EXPECT_EQ(0, share(self->top, "child_shares_divisor=90"));
	EXPECT_EQ(0, share(a, "child_shares_divisor=55"));

	/* The kernel's own answers. */
	EXPECT_EQ(0, refused_whole(self->top, cg_write(a, "shares", "")));
	memset(page, ' ', sizeof(page));
	memcpy(page, "min_shares=5", 12);
	EXPECT_EQ(-E2BIG, refused_whole(self->top,
					cg_write_raw(a, "shares", page, sizeof(page))));
	/* A page less its end is not too long, whatever the blanks are for. */
	EXPECT_EQ(0, cg_write_raw(a, "shares", page, 4000));
	EXPECT_STREQ(shares(5, 60, 55), cg_read(a, "shares"));
}

/* The largest numbers there are. */
TEST_F(tree, large_numbers_do_not_overflow)
{
	const long long most = memory_holds();
	char *a = cg_new(self->top, "a"), *b = cg_new(a, "b");

	ASSERT_NE(NULL, b);
	ASSERT_EQ(0, machine_has(BC_UNLIMITED));
	ASSERT_EQ(0, share(self->top, "child_shares_divisor=%d", INT_MAX));
	ASSERT_EQ(0, share(a, "child_shares_divisor=%d", INT_MAX));
	ASSERT_EQ(0, cg_set(self->top, "limit", most));
	ASSERT_EQ(0, share_min_max(a, INT_MAX - 1, INT_MAX - 1));
	ASSERT_EQ(0, share_min_max(b, 0, INT_MAX));
	EXPECT_EQ(derived(most, INT_MAX - 1, INT_MAX), limit(a));
	EXPECT_EQ(limit(a), limit(b));
	EXPECT_EQ(0, share(b, "max_shares=%d", INT_MAX / 3));
	EXPECT_EQ(derived(limit(a), INT_MAX / 3, INT_MAX), limit(b));
	EXPECT_EQ(0, share(a, "max_shares=%d", INT_MAX));
	EXPECT_EQ(most, limit(a));
	EXPECT_EQ(0, share(self->top, "child_shares_divisor=-1"));
	EXPECT_EQ(-EINVAL, refused_whole(self->top,
					 share(self->top, "child_shares_divisor=%d", 1)));
	/* The sum of shares is more than an int can hold. */
	b = cg_new(self->top, "c");
	ASSERT_NE(NULL, b);
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share(b, "min_shares=%d", INT_MAX)));
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share(b, "min_shares=2")));
	EXPECT_EQ(0, share(b, "min_shares=1"));
	EXPECT_EQ(0, reserved(b));
}

/*
 * The machine's own amount, as large as it can be written, which is what memory
 * holds, and as small.
 */
TEST_F(tree, a_machine_without_bounds_and_one_without_anything)
{
	char *system = cg_new(self->root, "system");
	char *other = cg_new(self->root, "other");
	char *a = cg_new(self->top, "a");
	struct worker *user = user_new(other), *mine = user_new(a);
	const long long half = memory_holds() / 2;

	ASSERT_TRUE(system && user && mine);
	ASSERT_EQ(0, machine_has(BC_UNLIMITED));
	ASSERT_EQ(0, share_min_max(self->top, 50, 50));
	ASSERT_EQ(0, share_min_max(system, 50, 100));
	ASSERT_EQ(0, share_min_max(a, 100, 100));
	EXPECT_EQ(half, reserved(self->top));
	EXPECT_EQ(half, limit(self->top));
	EXPECT_EQ(half, reserved(system));
	EXPECT_EQ(memory_holds(), limit(system));
	EXPECT_EQ(half, reserved(a));
	/* What two halves leave of an odd number. */
	EXPECT_EQ(memory_holds() % 2, call(user, res->fill, 0));
	EXPECT_EQ(0, call(mine, res->hold, 100));
	EXPECT_EQ(100, usage(a));
	EXPECT_EQ(half, usage(self->top));

	ASSERT_EQ(0, machine_has(0));
	EXPECT_EQ(0, reserved(a));
	EXPECT_EQ(0, limit(a));
	EXPECT_EQ(0, reserved(self->top));
	EXPECT_EQ(0, limit(self->top));
	EXPECT_EQ(100, usage(self->top));
	EXPECT_EQ(0, reserved(system));
	EXPECT_EQ(0, limit(system));
	EXPECT_NE(0, call(user, res->more, 0));
	EXPECT_NE(0, call(mine, res->more, 0));
	EXPECT_EQ(0, call(mine, res->hold, 0));
	EXPECT_EQ(0, usage(self->top));
	ASSERT_EQ(0, machine_has(1000));
	EXPECT_EQ(500, reserved(a));
}

/* Each level rounds what it has down, and divides that. */
struct level {
	long min, max, divisor;
};

static char *build(char *cg, const struct level *levels, int n, char **groups)
{
	char name[16];
	int i;

	for (i = 0; cg && i < n; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		if (share(cg, "child_shares_divisor=%ld", levels[i].divisor))
			return NULL;
		cg = cg_new(cg, name);
		if (!cg || share_min_max(cg, levels[i].min, levels[i].max))
			return NULL;
		groups[i] = cg;
	}
	return cg;
}

/*
 * How many of the groups are not what they have to be, below @guarantee and
 * @ceiling.
 */
static int wrong(const struct level *levels, int n, char **groups, long long guarantee,
		 long long ceiling)
{
	int i, bad = 0;

	for (i = 0; i < n; i++) {
		guarantee = derived(guarantee, levels[i].min, levels[i].divisor);
		if (levels[i].max >= 0)
			ceiling = derived(ceiling, levels[i].max, levels[i].divisor);
		bad += reserved(groups[i]) != guarantee ||
		       limit(groups[i]) != (levels[i].max < 0 ? BC_UNLIMITED : ceiling) ||
		       (i && lent(groups[i - 1]) != guarantee);
	}
	return bad;
}

TEST_F(tree, five_levels_round_down_each)
{
	static const struct level levels[] = {
		{ 1, 2, 3 }, { 33, 66, 100 }, { 5, 7, 7 }, { 999, 999, 1000 },
		{ 1, 1, 2 },
	};
	static const long long amounts[] = { 1000, 0, 1, 2, 3, 7, 15013, 6 };
	char *groups[ARRAY_SIZE(levels)];
	size_t i;

	/* More than any of the amounts below: what memory holds. */
	ASSERT_EQ(0, machine_has(1000000));
	ASSERT_EQ(0, cg_set(self->top, "limit", 10000));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 9000));
	ASSERT_NE(NULL, build(self->top, levels, ARRAY_SIZE(levels), groups));
	EXPECT_EQ(0, wrong(levels, ARRAY_SIZE(levels), groups, 9000, 10000));
	EXPECT_EQ(353, reserved(groups[4]));

	for (i = 0; i < ARRAY_SIZE(amounts); i++) {
		const long long n = amounts[i];

		/* First the write that makes room for the other. */
		if (limit(self->top) < 2 * n) {
			ASSERT_EQ(0, cg_set(self->top, "limit", 2 * n));
			EXPECT_EQ(0, wrong(levels, ARRAY_SIZE(levels), groups,
					   reserved(self->top), 2 * n));
			ASSERT_EQ(0, cg_set(self->top, "reservation", n));
		} else {
			ASSERT_EQ(0, cg_set(self->top, "reservation", n));
			EXPECT_EQ(0, wrong(levels, ARRAY_SIZE(levels), groups, n,
					   limit(self->top)));
			ASSERT_EQ(0, cg_set(self->top, "limit", 2 * n));
		}
		EXPECT_EQ(0, wrong(levels, ARRAY_SIZE(levels), groups, n, 2 * n))
			TH_LOG("%lld", n);
	}
}

TEST_F(tree, twelve_levels_round_down_each)
{
	struct level levels[12];
	char *groups[12];
	int i;

	for (i = 0; i < 12; i++)
		levels[i] = (struct level) { 2 + i, i % 4 == 3 ? -3 : 3 + i, 3 + i };
	ASSERT_EQ(0, machine_has(30000));
	ASSERT_EQ(0, share_min_max(self->top, 10, 20));
	ASSERT_NE(NULL, build(self->top, levels, 12, groups));
	EXPECT_EQ(0, wrong(levels, 12, groups, 3000, 6000));
	ASSERT_EQ(0, machine_has(10007));
	EXPECT_EQ(0, wrong(levels, 12, groups, 1000, 2001));
	ASSERT_EQ(0, machine_has(40070));
	EXPECT_EQ(0, wrong(levels, 12, groups, 4007, 8014));

	/* In the middle of it. */
	levels[6].divisor = 1000;
	ASSERT_EQ(0, share(groups[5], "child_shares_divisor=1000"));
	EXPECT_EQ(0, wrong(levels, 12, groups, 4007, 8014));
	levels[6] = (struct level) { 1000, 1000, 1000 };
	ASSERT_EQ(0, share_min_max(groups[6], 1000, 1000));
	EXPECT_EQ(0, wrong(levels, 12, groups, 4007, 8014));
	levels[6].min = 0;
	ASSERT_EQ(0, share(groups[6], "min_shares=0"));
	EXPECT_EQ(0, wrong(levels, 12, groups, 4007, 8014));
	EXPECT_EQ(0, lent(groups[11]));
	EXPECT_EQ(0, reserved(groups[11]));
}

/* A group without a guarantee guarantees nothing; a ceiling reaches through. */
TEST_F(tree, a_parent_that_does_not_care_has_no_guarantee_to_share)
{
	char *mid = cg_new(self->top, "mid"), *leaf = cg_new(mid, "leaf");

	ASSERT_NE(NULL, leaf);
	ASSERT_EQ(0, cg_set(self->top, "limit", 500));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(leaf, 50, 50));
	EXPECT_EQ(0, reserved(leaf));
	EXPECT_EQ(250, limit(leaf));
	EXPECT_EQ(0, lent(self->top));
	/* Written limits count, the nearest one first. */
	ASSERT_EQ(0, cg_set(mid, "limit", 300));
	EXPECT_EQ(150, limit(leaf));
	ASSERT_EQ(0, cg_set(self->top, "limit", 400));
	EXPECT_EQ(150, limit(leaf));
	/* ... and none for more than there is above. */
	ASSERT_EQ(0, cg_set(mid, "limit", 1000));
	EXPECT_EQ(200, limit(leaf));
	ASSERT_EQ(0, share_min_max(mid, 30, 50));
	EXPECT_EQ(200, limit(mid));
	EXPECT_EQ(30, reserved(mid));
	EXPECT_EQ(100, limit(leaf));
	EXPECT_EQ(15, reserved(leaf));
	ASSERT_EQ(0, share_min_max(mid, -3, -3));
	EXPECT_EQ(BC_UNLIMITED, limit(mid));
	EXPECT_EQ(0, reserved(mid));
	EXPECT_EQ(200, limit(leaf));
	EXPECT_EQ(0, reserved(leaf));
	/* Up to the machine. */
	ASSERT_EQ(0, cg_set(self->top, "limit", BC_UNLIMITED));
	ASSERT_EQ(0, machine_has(6000));
	EXPECT_EQ(3000, limit(leaf));
}

/* What is written to a parent, its children are told of. */
TEST_F(tree, amounts_written_to_a_parent_reach_its_children)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *a1 = cg_new(a, "a1");

	ASSERT_TRUE(a1 && b);
	ASSERT_EQ(0, share_min_max(a, 50, 50));
	ASSERT_EQ(0, share_min_max(b, 20, -3));
	ASSERT_EQ(0, share_min_max(a1, 10, 20));
	EXPECT_EQ(0, reserved(a));
	ASSERT_EQ(0, cg_set(self->top, "limit", 400));
	EXPECT_EQ(200, limit(a));
	EXPECT_EQ(40, limit(a1));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 200));
	EXPECT_EQ(100, reserved(a));
	EXPECT_EQ(10, reserved(a1));
	EXPECT_EQ(40, reserved(b));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 60));
	EXPECT_EQ(30, reserved(a));
	EXPECT_EQ(3, reserved(a1));
	EXPECT_EQ(12, reserved(b));
	EXPECT_EQ(42, usage(self->top));
	ASSERT_EQ(0, cg_set(self->top, "limit", 60));
	EXPECT_EQ(30, limit(a));
	EXPECT_EQ(6, limit(a1));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 0));
	EXPECT_EQ(0, reserved(a));
	EXPECT_EQ(0, usage(self->top));

	/* The divisor is told, too. */
	ASSERT_EQ(0, cg_set(self->top, "reservation", 60));
	ASSERT_EQ(0, share(self->top, "child_shares_divisor=200"));
	EXPECT_EQ(15, reserved(a));
	EXPECT_EQ(15, limit(a));
	EXPECT_EQ(1, reserved(a1));
	EXPECT_EQ(3, limit(a1));
	EXPECT_EQ(6, reserved(b));
	ASSERT_EQ(0, share(self->top, "child_shares_divisor=70"));
	EXPECT_EQ(42, reserved(a));
	EXPECT_EQ(17, reserved(b));
	EXPECT_EQ(59, lent(self->top));
	/* And with a part of the group's own in one write. */
	ASSERT_EQ(0, share(a, "min_shares=35 child_shares_divisor=20"));
	EXPECT_EQ(30, reserved(a));
	EXPECT_EQ(15, reserved(a1));
}

/* An amount that was written ends living by shares, for that side alone. */
TEST_F(tree, a_written_amount_ends_living_by_shares_for_its_side)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");

	ASSERT_TRUE(a && b);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 20, 80));
	ASSERT_EQ(0, cg_set(a, "limit", 70));
	EXPECT_STREQ(shares(20, -3, 100), cg_read(a, "shares"));
	ASSERT_EQ(0, cg_set(self->top, "limit", 200));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 200));
	EXPECT_EQ(70, limit(a));
	EXPECT_EQ(40, reserved(a));
	/*
	 * What was written is not passed, and a guarantee that would is refused
	 * ...
	 */
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share(a, "min_shares=36")));
	/*
	 * ... unless it is due by what happens above: then it comes that far.
	 */
	ASSERT_EQ(0, cg_set(self->top, "limit", 1000));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 1000));
	EXPECT_EQ(70, limit(a));
	EXPECT_EQ(70, reserved(a));
	ASSERT_EQ(0, cg_set(a, "limit", BC_UNLIMITED));
	EXPECT_EQ(200, reserved(a));
	EXPECT_EQ(BC_UNLIMITED, limit(a));

	ASSERT_EQ(0, share_min_max(a, 20, 80));
	ASSERT_EQ(0, cg_set(a, "reservation", 300));
	EXPECT_STREQ(shares(-3, 80, 100), cg_read(a, "shares"));
	EXPECT_EQ(300, reserved(a));
	EXPECT_EQ(800, limit(a));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 600));
	EXPECT_EQ(300, reserved(a));
	/*
	 * What it wrote is no share: the siblings can have them all, not the
	 * units.
	 */
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, share_min_max(b, 51, -3)));
	EXPECT_EQ(0, share_min_max(b, 50, -3));
	EXPECT_EQ(300, reserved(b));

	/* And back: -3 resets what a group has by shares ... */
	EXPECT_EQ(0, share(b, "min_shares=-3"));
	EXPECT_EQ(0, reserved(b));
	EXPECT_EQ(0, share(a, "max_shares=-3"));
	EXPECT_EQ(BC_UNLIMITED, limit(a));
	/* ... and changes nothing where it has none. */
	EXPECT_EQ(0, share(a, "min_shares=-3"));
	EXPECT_EQ(300, reserved(a));
	ASSERT_EQ(0, cg_set(a, "limit", 400));
	EXPECT_EQ(0, share_min_max(a, -3, -3));
	EXPECT_EQ(400, limit(a));
	EXPECT_EQ(300, reserved(a));
	/* A barrier is none of it. */
	ASSERT_EQ(0, share_min_max(a, 20, 80));
	ASSERT_EQ(0, cg_set(a, "barrier", 33));
	EXPECT_STREQ(shares(20, 80, 100), cg_read(a, "shares"));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 500));
	EXPECT_EQ(33, cg_get(a, "barrier"));
	EXPECT_EQ(100, reserved(a));
}

/*
 * A group that stops to live by shares has nothing left of it, even the last
 * one.
 */
TEST_F(tree, the_last_one_to_live_by_shares_can_end_it)
{
	ASSERT_EQ(0, machine_has(1000));
	ASSERT_EQ(0, share(self->top, "max_shares=80"));
	EXPECT_EQ(800, limit(self->top));
	EXPECT_EQ(0, share(self->top, "max_shares=-3"));
	EXPECT_EQ(BC_UNLIMITED, limit(self->top));
	ASSERT_EQ(0, share(self->top, "min_shares=50"));
	EXPECT_EQ(500, reserved(self->top));
	EXPECT_EQ(0, share(self->top, "min_shares=-3"));
	EXPECT_EQ(0, reserved(self->top));
	ASSERT_EQ(0, share_min_max(self->top, 50, 80));
	EXPECT_EQ(0, share_min_max(self->top, -3, -3));
	EXPECT_EQ(0, reserved(self->top));
	EXPECT_EQ(BC_UNLIMITED, limit(self->top));
}

/*
 * What is refused was not tried at others' expense. The lowest usage tells: a
 * child that had repaid, and got it back, would have left it lower.
 */
TEST_F(tree, a_refused_write_moves_nothing)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *a1 = cg_new(a, "a1"), *a2 = cg_new(a, "a2");
	char *groups[] = { self->top, a, b, a1, a2 };
	struct worker *w = worker_new(a2), *other = worker_new(b);
	char *before, *after;
	size_t i, j;
	struct {
		const char *cg, *file, *text;
		int err;
	} writes[] = {
		{ a, "reservation", "81", -ENOSPC },
		{ a, "reservation", "91", -EINVAL },
		{ a, "limit", "39", -EINVAL },
		{ self->top, "limit", "10", -EINVAL },
		{ self->top, "reservation", "201", -EINVAL },
		{ a, "shares", "min_shares=81 child_shares_divisor=1000", -ENOSPC },
		{ a, "shares", "min_shares=81", -ENOSPC },
		{ a, "shares", "min_shares=81 max_shares=81", -ENOSPC },
		{ self->top, "shares", "child_shares_divisor=89", -EINVAL },
	};

	ASSERT_TRUE(a1 && w && other);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 60, 90));
	ASSERT_EQ(0, share_min_max(a1, 50, 60));
	ASSERT_EQ(0, call(w, open_files, 20));
	ASSERT_EQ(0, call(other, open_files, 20));
	EXPECT_EQ(60, reserved(a));
	EXPECT_EQ(30, reserved(a1));

	for (i = 0; i < ARRAY_SIZE(writes); i++) {
		for (j = 0; j < ARRAY_SIZE(groups); j++)
			ASSERT_EQ(0, cg_write(groups[j], bc_v2 ? "stat" : "min_usage",
					      "0"));
		before = drawn(self->top, true);
		EXPECT_EQ(writes[i].err,
			  cg_write(writes[i].cg, writes[i].file, writes[i].text))
			TH_LOG("%s < %s", writes[i].file, writes[i].text);
		after = drawn(self->top, true);
		EXPECT_STREQ("", difference(before, after))
			TH_LOG("%s < %s", writes[i].file, writes[i].text);
		free(before);
		free(after);
	}
}

/* The same where the limit is what is borrowed. */
TEST_F(tree, a_refused_limit_of_a_strict_group_moves_nothing)
{
	char *a = cg_new(self->top, "a"), *c1, *c2, *before, *after;
	struct worker *w;

	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(a, "limit", 40));
	ASSERT_EQ(0, cg_set(a, "strict", 1));
	c1 = cg_new(a, "c1");
	c2 = cg_new(a, "c2");
	w = worker_new(c1);
	ASSERT_TRUE(c1 && c2 && w);
	ASSERT_EQ(0, share(c1, "max_shares=50"));
	ASSERT_EQ(0, share(c2, "max_shares=50"));
	ASSERT_EQ(0, call(w, open_files, 15));
	ASSERT_EQ(0, cg_write(a, bc_v2 ? "stat" : "min_usage", "0"));
	before = drawn(self->top, true);
	/* 15 and 8 would still be lent. */
	EXPECT_EQ(-EBUSY, cg_set(a, "limit", 16));
	after = drawn(self->top, true);
	EXPECT_STREQ("", difference(before, after));
}

/*
 * Fractions that are written in other numbers are the same; so nothing moves.
 */
TEST_F(tree, the_same_fraction_in_other_numbers_moves_nothing)
{
	char *a = cg_new(self->top, "a"), *a1 = cg_new(a, "a1");
	static const char * const writes[] = {
		"min_shares=40 child_shares_divisor=100",
		"min_shares=20 child_shares_divisor=50",
		"min_shares=60 max_shares=80 child_shares_divisor=150",
	};
	size_t i;

	ASSERT_NE(NULL, a1);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share(a, "min_shares=20 child_shares_divisor=50"));
	ASSERT_EQ(0, share_min_max(a1, 50, -3));
	for (i = 0; i < ARRAY_SIZE(writes); i++) {
		ASSERT_EQ(0, cg_write(a, bc_v2 ? "stat" : "min_usage", "0"));
		EXPECT_EQ(0, share(a, "%s", writes[i]));
		EXPECT_EQ(20, reserved(a1));
		/* The least that it has lent meanwhile. */
		EXPECT_EQ(20, cg_min_usage(a))
			TH_LOG("%s", writes[i]);
	}
}

/*
 * A reservation that fell short is tried again even if the CPU on which it was
 * tried first is idle by then.
 */
static long lower_divisor(long divisor)
{
	return share(victim, "child_shares_divisor=%ld", divisor);
}

TEST_F(tree, a_waiting_group_does_not_wait_for_an_idle_cpu)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	struct worker *w, *writer;

	if (bc_cpus() < 2)
		SKIP(return, "needs two CPUs");
	ASSERT_EQ(0, pin_to_cpu(0));
	w = worker_new_on_cpu(a, 0);
	victim = self->top;
	writer = worker_new_on_cpu(NULL, 1);
	ASSERT_TRUE(b && w && writer);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(b, 20, -3));
	ASSERT_EQ(0, call(w, open_files, 70));
	ASSERT_EQ(0, call(writer, lower_divisor, 50));
	EXPECT_EQ(30, reserved(b));
	/* The CPU goes to sleep. */
	bc_sleep_ms(100);
	ASSERT_EQ(0, call(w, close_all, 0));
	EXPECT_SOON(40, reserved(b));
}

/*
 * The tree of the report: 20 are due to c, 10 of them its sibling has open.
 * They are c's as they are closed, one by one.
 */
TEST_F(tree, a_pending_guarantee_gets_what_is_closed)
{
	char *c = cg_new(self->top, "c"), *d = cg_new(self->top, "d");
	struct worker *w = worker_new(d);
	int i;

	ASSERT_TRUE(c && w);
	ASSERT_EQ(0, cg_set(self->top, "limit", 20));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 20));
	ASSERT_EQ(0, share_min_max(c, 50, -3));
	ASSERT_EQ(0, call(w, open_files, 10));
	ASSERT_EQ(0, share(self->top, "child_shares_divisor=50"));
	EXPECT_EQ(10, reserved(c));
	for (i = 1; i <= 10; i++) {
		ASSERT_EQ(0, call(w, close_files, 1));
		EXPECT_SOON(10 + i, reserved(c));
		EXPECT_EQ(-EMFILE, call(w, open_one, 0));
	}
	EXPECT_EQ(20, usage(self->top));
	/* Nor is it for ever: the sibling has all when nothing is due. */
	ASSERT_EQ(0, share(c, "min_shares=-3"));
	EXPECT_EQ(20, call(w, open_until_refused, 100));
}

/*
 * The same where a group further up, and where the machine is what lacks units.
 */
TEST_F(tree, a_pending_guarantee_gets_what_is_closed_far_away)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *c = cg_new(a, "c"), *other = cg_new(self->root, "other");
	struct worker *w = worker_new(b), *theirs = user_new(other);
	long long some;

	ASSERT_TRUE(c && w && theirs);
	ASSERT_EQ(0, cg_set(self->top, "limit", 50));
	ASSERT_EQ(0, cg_set(a, "reservation", 10));
	ASSERT_EQ(0, share_min_max(c, 50, -3));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 40));
	ASSERT_EQ(0, share_min_max(a, 25, -3));
	EXPECT_EQ(5, reserved(c));
	ASSERT_EQ(0, call(w, open_files, 35));
	/* 20 are due to a, and of these 10 to c. */
	ASSERT_EQ(0, share(self->top, "child_shares_divisor=50"));
	EXPECT_EQ(15, reserved(a));
	EXPECT_EQ(7, reserved(c));
	ASSERT_EQ(0, call(w, close_files, 5));
	EXPECT_SOON(20, reserved(a));
	EXPECT_SOON(10, reserved(c));
	ASSERT_EQ(0, call(w, close_all, 0));
	ASSERT_EQ(0, share_min_max(a, -3, -3));

	/* The system has files of its own: what the groups can have is open. */
	ASSERT_EQ(0, cg_set(self->top, "reservation", 0));
	ASSERT_EQ(0, cg_set(self->top, "limit", BC_UNLIMITED));
	ASSERT_EQ(0, machine_has(2000));
	ASSERT_EQ(0, share_min_max(self->top, 10, -3));
	EXPECT_EQ(200, reserved(self->top));
	ASSERT_EQ(0, call(theirs, open_files, 1300));
	ASSERT_EQ(0, share(self->root, "child_shares_divisor=20"));
	some = reserved(self->top);
	EXPECT_GE(some, 200);
	EXPECT_LE(some, 700);
	ASSERT_EQ(0, call(theirs, close_files, 100));
	EXPECT_SOON(true, reserved(self->top) >= some + 100);
	ASSERT_EQ(0, call(theirs, close_all, 0));
	EXPECT_SOON(1000, reserved(self->top));
}

/*
 * What is written in one tree is nothing to another, however large, and
 * whatever is pending there. One write to the small tree is compared with one to the
 * large tree right after it, again and again: what holds up either by chance does so
 * in few of the pairs.
 */
static long long ns_to_write(int fd, int divisor)
{
	struct timespec from, to;
	char text[64];
	int len = snprintf(text, sizeof(text), "child_shares_divisor=%d", divisor);

	clock_gettime(CLOCK_MONOTONIC, &from);
	if (pwrite(fd, text, len, 0) != len)
		return -errno;
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec;
}

TEST_F(tree, a_write_is_nothing_to_another_tree)
{
	enum { WIDE = 100 };
	char *other = cg_new(self->root, "other"), *c = cg_new(other, "c");
	char *a = cg_new(self->top, "a"), *before, *after;
	const int pairs = bc_rounds(200);
	struct worker *w = worker_new(c);
	int i, small_fd, large_fd, quick = 0;
	long long small, large;

	ASSERT_TRUE(a && w);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 50, 50));

	ASSERT_EQ(0, cg_set(other, "limit", 1000));
	ASSERT_EQ(0, cg_set(other, "reservation", 1000));
	ASSERT_EQ(0, share(other, "child_shares_divisor=1000"));
	for (i = 0; i < WIDE; i++) {
		char *child = cg_newf(other, "w%d", i);

		ASSERT_NE(NULL, child);
		ASSERT_EQ(0, share_min_max(child, 3, 500));
	}
	ASSERT_EQ(0, call(w, open_files, 600));
	/* 6 are due to each, and there are 3 to 6. */
	ASSERT_EQ(0, share(other, "child_shares_divisor=500"));
	EXPECT_EQ(400, lent(other));
	before = picture(other);
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, share(self->top, "child_shares_divisor=%d", 100 + i % 2));
	after = picture(other);
	EXPECT_STREQ("", difference(before, after));

	small_fd = cg_open(self->top, "shares", O_WRONLY);
	large_fd = cg_open(other, "shares", O_WRONLY);
	ASSERT_TRUE(small_fd >= 0 && large_fd >= 0);
	for (i = 0; i < pairs; i++) {
		small = ns_to_write(small_fd, 100 + i % 2);
		large = ns_to_write(large_fd, 500 + i % 2);
		ASSERT_TRUE(small >= 0 && large >= 0);
		quick += 3 * small < large;
	}
	EXPECT_GT(quick, pairs / 2)
		TH_LOG("%d of %d", quick, pairs);
	close(small_fd);
	close(large_fd);
	ASSERT_EQ(0, share(other, "child_shares_divisor=500"));
	worker_end(w);
	EXPECT_SOON(6 * WIDE, lent(other));
}

/*
 * A group that goes leaves what is open to its parent, and its shares to the
 * others.
 */
TEST_F(tree, a_group_can_go_with_shares_and_charges)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *c = cg_new(self->top, "c"), *inner = cg_new(a, "inner");
	struct worker *w = worker_new(inner);

	ASSERT_TRUE(b && c && w);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 70, 90));
	ASSERT_EQ(0, share_min_max(inner, 50, 50));
	ASSERT_EQ(0, share_min_max(b, 30, -3));
	EXPECT_EQ(35, reserved(inner));
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share_min_max(c, 1, -3)));
	ASSERT_EQ(0, call(w, open_files, 40));
	ASSERT_TRUE(worker_move(w, c));
	EXPECT_EQ(40, usage(inner));

	ASSERT_EQ(0, cg_rmdir(inner));
	EXPECT_EQ(40, usage(a));
	EXPECT_EQ(0, lent(a));
	EXPECT_EQ(70, reserved(a));
	ASSERT_EQ(0, cg_rmdir(a));
	EXPECT_EQ(30, lent(self->top));
	EXPECT_EQ(70, usage(self->top));
	EXPECT_EQ(0, call(w, close_files, 10));

	/*
	 * 100 - 30 open - 30 of the sibling's; and the shares are free, all 70.
	 */
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, share_min_max(c, 41, -3)));
	EXPECT_EQ(0, share_min_max(c, 40, -3));
	EXPECT_EQ(0, call(w, close_all, 0));
	EXPECT_EQ(0, share_min_max(c, 70, -3));
	EXPECT_EQ(70, reserved(c));
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share_min_max(c, 71, -3)));
	EXPECT_EQ(100, lent(self->top));
	worker_end(w);
	EXPECT_EQ(0, cg_rmdir(c));
	EXPECT_EQ(0, cg_rmdir(b));
	EXPECT_EQ(0, lent(self->top));
	EXPECT_EQ(0, cg_set(self->top, "reservation", 0));
	EXPECT_EQ(0, usage(self->top));
}

/* On v2 a controller can be switched off for groups that live on. */
TEST_F(tree, a_controller_switched_off_repays)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	struct worker *w;

	if (!bc_v2)
		SKIP(return, "v1 has no such switch");
	w = worker_new(a);
	ASSERT_TRUE(b && w);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 50, 50));
	ASSERT_EQ(0, share_min_max(b, 40, 50));
	ASSERT_EQ(0, call(w, open_files, 20));
	ASSERT_EQ(0, cg_write(self->top, "cgroup.subtree_control", "-numfiles"));
	EXPECT_EQ(0, lent(self->top));
	EXPECT_EQ(20, usage(self->top));
	EXPECT_EQ(0, share(self->top, "child_shares_divisor=1"));
	EXPECT_EQ(0, call(w, close_files, 5));
	ASSERT_EQ(0, cg_write(self->top, "cgroup.subtree_control", "+numfiles"));
	/* Cgroup core gives it new accounts. */
	EXPECT_STREQ(shares(-3, -3, 100), cg_read(a, "shares"));
	EXPECT_EQ(0, usage(a));
	EXPECT_EQ(15, usage(self->top));
	/* The files of the account before are there, and not its own. */
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, share_min_max(a, 1, 1)));
	EXPECT_EQ(0, share(self->top, "child_shares_divisor=100"));
	EXPECT_EQ(0, share_min_max(a, 85, 100));
	EXPECT_EQ(85, reserved(a));
	EXPECT_EQ(-ENOSPC, refused_whole(self->top, share(a, "min_shares=86")));
}

/* No task writes to a group that is gone, by a file that it has open. */
TEST_F(tree, files_of_a_removed_group_are_dead)
{
	static const char * const files[] = { "shares", "limit", "reservation" };
	char *a = cg_new(self->top, "a"), *before, *after;
	int fds[ARRAY_SIZE(files)];
	char buf[64];
	size_t i;

	ASSERT_NE(NULL, a);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 50, 50));
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		fds[i] = cg_open(a, files[i], O_RDWR);
		ASSERT_GE(fds[i], 0);
	}
	ASSERT_EQ(0, cg_rmdir(a));
	EXPECT_EQ(0, lent(self->top));
	before = picture(self->top);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		const char *text = i ? "30" : "min_shares=30";

		EXPECT_EQ(-1, write(fds[i], text, strlen(text)));
		EXPECT_EQ(ENODEV, errno);
		EXPECT_EQ(-1, pread(fds[i], buf, sizeof(buf), 0));
		EXPECT_EQ(ENODEV, errno);
		close(fds[i]);
	}
	after = picture(self->top);
	EXPECT_STREQ("", difference(before, after));
	EXPECT_EQ(0, share(self->top, "child_shares_divisor=1"));
}

/* The same while it goes. Workers go on as long as this is set. */
static long *hammering;

/* And until they have @done something, however late their turn comes. */
static bool go_on(long done)
{
	return !done || __atomic_load_n(hammering, __ATOMIC_SEQ_CST);
}

static long write_to_victim(long seed)
{
	static const struct {
		const char *file, *text;
	} writes[] = {
		{ "shares", "min_shares=50 max_shares=60" },
		{ "reservation", "7" },
		{ "shares", "min_shares=-3 max_shares=-3" },
		{ "limit", "60" },
		{ "shares", "min_shares=20 max_shares=30 child_shares_divisor=9" },
		{ "limit", "70" },
	};
	unsigned int random = seed;
	long written = 0;

	while (go_on(written)) {
		size_t i = rand_r(&random) % ARRAY_SIZE(writes);
		int fd = cg_open(victim, writes[i].file, O_WRONLY), j;

		if (fd == -ENOENT || fd == -ENODEV)
			continue;
		if (fd < 0)
			return fd;
		for (j = 0; j < 4; j++) {
			if (write(fd, writes[i].text, strlen(writes[i].text)) > 0)
				written++;
			else if (errno != ENODEV && errno != EBUSY)
				/*
				 * Nothing that was written here is ever too
				 * much.
				 */
				return -errno;
		}
		close(fd);
	}
	return written;
}

TEST_F(tree, a_group_goes_while_tasks_write_to_it)
{
	enum { WORKERS = 3 };
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	struct worker *w[WORKERS];
	int i;

	hammering = mmap(NULL, sizeof(*hammering), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, hammering);
	*hammering = 1;
	ASSERT_TRUE(a && b);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(b, 20, 20));
	victim = a;
	for (i = 0; i < WORKERS; i++) {
		w[i] = worker_new(NULL);
		ASSERT_NE(NULL, w[i]);
		start(w[i], write_to_victim, i + 1);
	}
	for (i = 0; i < bc_rounds(80); i++) {
		bc_sleep_ms(i % 4);
		ASSERT_EQ(0, cg_rmdir(a));
		EXPECT_EQ(20, lent(self->top));
		ASSERT_EQ(0, mkdir(a, 0755) ? -errno : 0);
	}
	*hammering = 0;
	for (i = 0; i < WORKERS; i++)
		EXPECT_GT(finish(w[i]), 0);
	ASSERT_EQ(0, cg_rmdir(a));
	EXPECT_EQ(20, reserved(b));
	EXPECT_EQ(20, lent(self->top));
	EXPECT_EQ(0, share_min_max(b, 100, 100));
	EXPECT_EQ(100, reserved(b));
	EXPECT_EQ(0, share(b, "min_shares=0"));
	EXPECT_EQ(0, lent(self->top));
	EXPECT_EQ(0, cg_set(self->top, "reservation", 0));
	EXPECT_EQ(0, usage(self->top));
}

/*
 * The promise, under load: a group that never asks for more than was guaranteed
 * is never refused, whatever others take and whatever changes above or beside.
 */
static long always_open(long n)
{
	long failures = 0;

	while (__atomic_load_n(hammering, __ATOMIC_SEQ_CST)) {
		failures += !!open_files(n);
		close_all(0);
	}
	return failures;
}

static long take_all_else(long most)
{
	long opened = 0;

	while (go_on(opened)) {
		opened += open_until_refused(most);
		close_all(0);
	}
	return opened;
}

TEST_F(tree, a_guarantee_holds_through_changes_above_and_beside)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(self->top, "b");
	char *c = cg_new(self->top, "c");
	struct worker *mine, *theirs, *more;
	int i, err;

	hammering = mmap(NULL, sizeof(*hammering), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, hammering);
	*hammering = 1;
	ASSERT_TRUE(a && b && c);
	ASSERT_EQ(0, cg_set(self->top, "limit", 140));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 50, 80));
	mine = worker_new_on_cpu(a, 0);
	theirs = worker_new_on_cpu(b, 1 % bc_cpus());
	more = worker_new_on_cpu(c, 2 % bc_cpus());
	ASSERT_TRUE(mine && theirs && more);
	start(theirs, take_all_else, 200);
	start(more, take_all_else, 60);
	start(mine, always_open, 50);
	for (i = 0; i < bc_rounds(240); i++) {
		switch (i % 6) {
		case 0:
		case 3:
			/* 140 are there when no other group has any. */
			err = cg_set(self->top, "reservation", i % 6 ? 100 : 130);
			break;
		case 1:
			err = share_min_max(c, 40, 50);
			break;
		case 2:
			err = share(a, "min_shares=50");
			break;
		case 4:
			err = share(a, "max_shares=%d", 70 + i % 7);
			break;
		default:
			err = share(c, "min_shares=0");
			break;
		}
		ASSERT_TRUE(!err || err == -ENOSPC || err == -EBUSY)
			TH_LOG("%d", err);
		EXPECT_GE(reserved(a), 50);
		/*
		 * One snapshot; and what is lent never was more than there is.
		 */
		EXPECT_LE(lent(self->top), 130);
		EXPECT_LE(usage(self->top), 140);
	}
	*hammering = 0;
	EXPECT_EQ(0, finish(mine));
	EXPECT_GT(finish(theirs), 0);
	EXPECT_GE(finish(more), 0);
	EXPECT_LE(cg_get(self->top, "max_usage"), 140);
}

/* Nor while a task tries writes that are refused. */
TEST_F(tree, a_guarantee_holds_while_writes_are_refused)
{
	char *a = cg_new(self->top, "a");
	char *a1 = cg_new(a, "a1"), *a2 = cg_new(a, "a2");
	struct worker *mine, *theirs, *holder;
	int i, lost = 0;

	hammering = mmap(NULL, sizeof(*hammering), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, hammering);
	*hammering = 1;
	ASSERT_TRUE(a1 && a2);
	ASSERT_EQ(0, cg_set(self->top, "limit", 100));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 60, 60));
	ASSERT_EQ(0, share_min_max(a1, 50, 60));
	holder = worker_new(a2);
	mine = worker_new_on_cpu(a1, 0);
	theirs = worker_new_on_cpu(a2, 1 % bc_cpus());
	ASSERT_TRUE(holder && mine && theirs);
	/* Not to be repaid. */
	ASSERT_EQ(0, call(holder, open_files, 15));
	start(theirs, take_all_else, 100);
	start(mine, always_open, 30);
	for (i = 0; i < bc_rounds(240); i++) {
		ASSERT_EQ(-EINVAL, cg_set(a, "reservation", 61));
		ASSERT_EQ(-ENOSPC, cg_set(a2, "reservation", 61));
		lost += reserved(a1) != 30 || reserved(a) != 60;
	}
	*hammering = 0;
	EXPECT_EQ(0, lost);
	EXPECT_EQ(0, finish(mine));
	EXPECT_GT(finish(theirs), 0);
}

/* A strict group may itself live by shares, and its children may have some. */
TEST_F(tree, below_a_strict_group_shares_nest)
{
	char *a = cg_new(self->top, "a"), *c1, *c2, *leaf;

	ASSERT_NE(NULL, a);
	ASSERT_EQ(0, cg_set(a, "strict", 1));
	c1 = cg_new(a, "c1");
	c2 = cg_new(a, "c2");
	leaf = cg_new(c1, "leaf");
	ASSERT_TRUE(c2 && leaf);
	ASSERT_EQ(0, cg_set(self->top, "limit", 200));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 100));
	ASSERT_EQ(0, share_min_max(a, 50, 50));
	ASSERT_EQ(0, share(c1, "max_shares=60"));
	ASSERT_EQ(0, share_min_max(leaf, 50, 100));
	EXPECT_EQ(100, limit(a));
	EXPECT_EQ(50, reserved(a));
	EXPECT_EQ(60, limit(c1));
	EXPECT_EQ(60, reserved(c1));
	EXPECT_EQ(30, reserved(leaf));
	EXPECT_EQ(60, limit(leaf));
	/* More than is guaranteed is borrowed, as long as there is room ... */
	ASSERT_EQ(0, share(c2, "max_shares=40"));
	EXPECT_EQ(100, usage(a));
	EXPECT_EQ(100, lent(a));
	EXPECT_EQ(50, lent(self->top));
	EXPECT_EQ(-EINVAL, refused_whole(self->top, share(c2, "max_shares=41")));
	/* ... and the last child does not borrow what is not there now. */
	ASSERT_EQ(0, cg_set(a, "limit", 150));
	EXPECT_EQ(90, limit(c1));
	EXPECT_EQ(60, limit(c2));
	EXPECT_EQ(45, reserved(leaf));
	ASSERT_EQ(0, cg_set(a, "limit", 500));
	EXPECT_EQ(200, lent(a));
	EXPECT_EQ(200, usage(self->top));
	EXPECT_EQ(limit(c1), reserved(c1));
	EXPECT_EQ(limit(c2), reserved(c2));
	EXPECT_EQ(derived(reserved(c1), 50, 100), reserved(leaf));
	ASSERT_EQ(0, cg_set(self->top, "limit", 500));
	EXPECT_EQ(300, limit(c1));
	EXPECT_EQ(200, limit(c2));
	EXPECT_EQ(150, reserved(leaf));
	/* When they have gone, it is left with what it is guaranteed itself. */
	ASSERT_EQ(0, cg_rmdir(leaf));
	ASSERT_EQ(0, cg_rmdir(c1));
	ASSERT_EQ(0, cg_rmdir(c2));
	EXPECT_EQ(0, lent(a));
	EXPECT_EQ(50, usage(self->top));
}

/* Shares are the administrator's, as limits are. */
static long write_shares(long unused)
{
	(void)unused;
	return share(victim, "min_shares=0");
}

TEST_F(tree, users_cannot_write_shares)
{
	char *a = cg_new(self->top, "a");
	struct worker *w;

	ASSERT_NE(NULL, a);
	victim = a;
	w = user_new(NULL);
	ASSERT_NE(NULL, w);
	/* Made by mkdtemp(3): for root alone, until it was mounted. */
	ASSERT_EQ(0, chmod(self->root, 0755));
	EXPECT_EQ(-EACCES, call(w, write_shares, 0));
	EXPECT_STREQ(shares(-3, -3, 100), cg_read(a, "shares"));
	/* Unless the user owns the file, to divide what the group has. */
	ASSERT_EQ(0, chown(cg_path(a, "shares"), NOBODY, NOBODY));
	EXPECT_EQ(0, call(w, write_shares, 0));
	EXPECT_STREQ(shares(0, -3, 100), cg_read(a, "shares"));
}

/*
 * Such a user divides what is guaranteed above, and nothing that others share.
 */
static const char *text_to_share;

static long write_text(long unused)
{
	(void)unused;
	return share(victim, "%s", text_to_share);
}

static long user_shares(const char *cg, const char *text)
{
	struct worker *w;
	long err;

	victim = cg;
	text_to_share = text;
	w = user_new(NULL);
	if (!w || chown(cg_path(cg, "shares"), NOBODY, NOBODY))
		return LONG_MIN;
	err = call(w, write_text, 0);
	worker_end(w);
	return err;
}

TEST_F(tree, users_share_what_is_guaranteed_to_them)
{
	char *a = cg_new(self->top, "a"), *b = cg_new(a, "b"), *s, *c;

	ASSERT_NE(NULL, b);
	ASSERT_EQ(0, chmod(self->root, 0755));
	ASSERT_EQ(0, machine_has(10000));
	ASSERT_EQ(0, cg_set(a, "reservation", 40));
	EXPECT_EQ(0, user_shares(b, "min_shares=50"));
	EXPECT_EQ(20, reserved(b));
	EXPECT_EQ(0, user_shares(b, "min_shares=100 max_shares=100"));
	EXPECT_EQ(40, reserved(b));
	EXPECT_EQ(0, user_shares(b, "min_shares=10 max_shares=-3"));
	EXPECT_EQ(4, reserved(b));
	EXPECT_EQ(0, user_shares(a, "child_shares_divisor=50"));
	EXPECT_EQ(8, reserved(b));

	/* Out of the machine nothing is shared by a user, but given back. */
	EXPECT_EQ(-EPERM, user_shares(self->top, "min_shares=1"));
	EXPECT_EQ(0, share(self->top, "min_shares=5"));
	EXPECT_EQ(500, reserved(self->top));
	EXPECT_EQ(0, user_shares(self->top, "min_shares=4"));
	EXPECT_EQ(-EPERM, user_shares(self->top, "min_shares=5"));
	EXPECT_EQ(-EPERM, user_shares(self->root, "child_shares_divisor=10"));
	ASSERT_EQ(0, chown(cg_path(self->root, "shares"), 0, 0));
	EXPECT_EQ(400, reserved(self->top));

	/* Below a strict group a share of its limit is lent. */
	s = cg_new(self->top, "s");
	ASSERT_NE(NULL, s);
	ASSERT_EQ(0, cg_set(s, "limit", 100));
	ASSERT_EQ(0, cg_set(s, "strict", 1));
	c = cg_new(s, "c");
	ASSERT_NE(NULL, c);
	EXPECT_EQ(-EPERM, user_shares(c, "max_shares=1"));
	EXPECT_EQ(0, share(c, "max_shares=10"));
	EXPECT_EQ(10, limit(c));
	EXPECT_EQ(0, user_shares(s, "child_shares_divisor=50"));
	EXPECT_EQ(10, limit(c));
	ASSERT_EQ(0, cg_set(s, "reservation", 15));
	EXPECT_SOON(15, limit(c));
	/*
	 * What a user asked for does not come with the administrator's write.
	 */
	EXPECT_EQ(0, share(s, "child_shares_divisor=25"));
	EXPECT_EQ(15, limit(c));
	EXPECT_EQ(0, share(c, "max_shares=10"));
	EXPECT_EQ(40, limit(c));
	EXPECT_EQ(0, share(s, "child_shares_divisor=20"));
	EXPECT_EQ(50, limit(c));
}

/*
 * Everything at once, in a deep tree: files come and go at the bottom, groups
 * on the side, and shares and amounts on every level. Whatever the order, the
 * sums are right when it is over, and nothing is left when all have gone.
 */
enum { DEEP = 6 };

static const char *levels_of[DEEP];

static long open_at_the_bottom(long seed)
{
	unsigned int random = seed;
	long opened = 0;

	while (go_on(opened)) {
		opened += open_until_refused(rand_r(&random) % 60);
		close_files(rand_r(&random) % 60);
	}
	close_all(0);
	return opened;
}

static long groups_on_the_side(long seed)
{
	unsigned int random = seed;
	char side[PATH_MAX];
	long made = 0;

	while (go_on(made)) {
		snprintf(side, sizeof(side), "%s/side%ld",
			 levels_of[rand_r(&random) % (DEEP - 1)], seed);
		if (mkdir(side, 0755))
			continue;
		made++;
		share_min_max(side, rand_r(&random) % 8, 50);
		cg_attach(side, getpid());
		open_files(3);
		/* Now and then it goes with files open. */
		if (rand_r(&random) % 2)
			close_all(0);
		/*
		 * If no file is left to do that with, this process may have
		 * them.
		 */
		while (cg_attach(levels_of[DEEP - 1], getpid()))
			close_all(0);
		if (rmdir(side))
			return -errno;
		close_all(0);
	}
	return made;
}

TEST_F(tree, a_deep_tree_that_changes_under_load)
{
	enum { WORKERS = 4 };
	char *cg = self->top, *beside_it;
	unsigned int random = 1;
	struct worker *w[WORKERS];
	long long due;
	int i, level, err;

	hammering = mmap(NULL, sizeof(*hammering), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, hammering);
	*hammering = 1;
	ASSERT_EQ(0, machine_has(100000));
	ASSERT_EQ(0, cg_set(self->top, "limit", 200));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 200));
	levels_of[0] = cg;
	/* The last one is for processes. */
	for (i = 1; i < DEEP; i++) {
		cg = cg_newf(cg, "l%d", i);
		ASSERT_NE(NULL, cg);
		ASSERT_EQ(0, share_min_max(cg, 80, 90));
		levels_of[i] = cg;
	}
	beside_it = cg_new(self->top, "beside");
	ASSERT_NE(NULL, beside_it);
	for (i = 0; i < WORKERS; i++) {
		w[i] = worker_new(i == 1 ? beside_it : cg);
		ASSERT_NE(NULL, w[i]);
		ASSERT_EQ(0, call(w[i], pin_to_cpu, i % bc_cpus()));
		start(w[i], i < 2 ? open_at_the_bottom : groups_on_the_side, i + 1);
	}
	for (i = 0; i < bc_rounds(400); i++) {
		level = rand_r(&random) % DEEP;
		switch (rand_r(&random) % 5) {
		case 0:
			err = share(levels_of[level], "child_shares_divisor=%d",
				    100 + rand_r(&random) % 50);
			break;
		case 1:
			err = level ? share_min_max(levels_of[level],
						    rand_r(&random) % 80,
						    80 + rand_r(&random) % 20) : 0;
			break;
		case 2:
			err = cg_set(self->top, "reservation",
				     rand_r(&random) % 200);
			break;
		case 3:
			err = machine_has(1000 + rand_r(&random) % 1000);
			break;
		default:
			err = level ? cg_set(levels_of[level], "reservation",
					     rand_r(&random) % 20) : 0;
			break;
		}
		/*
		 * ENOSPC: no room now. EBUSY: it is in use. EINVAL: above a
		 * limit, or the side has too many shares.
		 */
		ASSERT_TRUE(!err || err == -ENOSPC || err == -EBUSY || err == -EINVAL)
			TH_LOG("%d", err);
		EXPECT_LE(usage(self->top), 200);
		EXPECT_LE(lent(self->top), 200);
	}
	*hammering = 0;
	for (i = 0; i < WORKERS; i++)
		EXPECT_GT(finish(w[i]), 0);

	/* Nothing is open: what is due is there, soon, everywhere. */
	ASSERT_EQ(0, machine_has(100000));
	for (i = 0; i < DEEP; i++)
		ASSERT_EQ(0, share(levels_of[i], "child_shares_divisor=100"));
	ASSERT_EQ(0, cg_set(self->top, "reservation", 200));
	for (i = 1; i < DEEP; i++)
		ASSERT_EQ(0, share_min_max(levels_of[i], 50, 90));
	due = 200;
	for (i = 1; i < DEEP; i++) {
		due = derived(due, 50, 100);
		EXPECT_SOON(due, reserved(levels_of[i]));
		EXPECT_SOON(due, lent(levels_of[i - 1]));
	}

	/* And no group holds anything when nothing is due any more. */
	EXPECT_EQ(0, cg_set(self->top, "reservation", 0));
	for (i = DEEP - 1; i >= 0; i--) {
		EXPECT_EQ(0, reserved(levels_of[i]));
		EXPECT_EQ(0, lent(levels_of[i]));
		EXPECT_EQ(0, usage(levels_of[i]));
	}
	EXPECT_EQ(0, usage(beside_it));
	EXPECT_EQ(cg_key(self->top, "stat", "charged"),
		  cg_key(self->top, "stat", "uncharged"));
}

TEST_HARNESS_MAIN
