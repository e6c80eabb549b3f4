// SPDX-License-Identifier: GPL-2.0
/*
 * A tenant: a user without privileges, which was given a group's files with
 * chown(2), and makes groups below. What it writes and reads there moves
 * what is its own. Other groups have what they were promised, find their
 * numbers right, and work on; and what the kernel keeps for the tenant is
 * bounded, or charged to it.
 *
 * No case measures time.
 */
/* bc-boot: --smp 4 */
#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "bc_util.h"
#include "cpu_load.h"

/* Makes this program, run by exec, end at once. */
#define EXIT "--exit"

#define FILE_MAX "/proc/sys/fs/file-max"
#define THREADS_MAX "/proc/sys/kernel/threads-max"

#define RATE "fork_rate"
#define RATE_INTERVAL "fork_rate_interval_ms"
/* The day since boot, in which a test runs. */
#define LONG_INTERVAL 86400000

static void __attribute__((constructor)) exit_at_once(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], EXIT))
		_exit(0);
}

/* What a worker is to do: the test fills this in before it calls. */
static struct job {
	char path[PATH_MAX];
	char text[256];
	int err;
} *job;

static bool make_job(void)
{
	job = mmap(NULL, sizeof(*job), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return job != MAP_FAILED;
}

static long write_job(long unused)
{
	(void)unused;
	return bc_write_file(job->path, job->text);
}

static long mkdir_job(long unused)
{
	(void)unused;
	return mkdir(job->path, 0755) ? -errno : 0;
}

/* What a tenant does by its worker @w: 0, or -errno. */
static long tenant_write(struct worker *w, const char *cg, const char *file,
			 const char *text)
{
	snprintf(job->path, sizeof(job->path), "%s", cg_path(cg, file));
	snprintf(job->text, sizeof(job->text), "%s", text);
	return call(w, write_job, 0);
}

static long tenant_set(struct worker *w, const char *cg, const char *file,
		       long long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", value);
	return tenant_write(w, cg, file, text);
}

/*
 * A group that the tenant makes, in one that has children or is to have them.
 */
static char *tenant_new(struct worker *w, const char *parent, const char *name)
{
	char *path, on[32];

	snprintf(on, sizeof(on), "+%s", bc_controller);
	if (bc_v2 && tenant_write(w, parent, "cgroup.subtree_control", on))
		return NULL;
	if (asprintf(&path, "%s/%s", parent, name) < 0)
		return NULL;
	snprintf(job->path, sizeof(job->path), "%s", path);
	return call(w, mkdir_job, 0) ? NULL : path;
}

/* Gives a group and its files to the tenant. */
static bool give_away(const char *cg)
{
	struct dirent *entry;
	bool ok = true;
	DIR *dir;

	dir = opendir(cg);
	if (!dir)
		return false;
	while ((entry = readdir(dir)))
		if (entry->d_type == DT_REG &&
		    fchownat(dirfd(dir), entry->d_name, NOBODY, NOBODY, 0))
			ok = false;
	closedir(dir);
	return !chown(cg, NOBODY, NOBODY) && ok;
}

/* Work */

static bool counts_files(void)
{
	return !strcmp(bc_controller, "numfiles");
}

/* One unit of what is counted. */
static long take_one(long unused)
{
	return counts_files() ? open_one(unused) : fork_bound(unused);
}

static long take(long n)
{
	long err = 0;

	while (n-- > 0 && !err)
		err = take_one(0);
	return err;
}

/* How many can be had, @most at most. */
static long take_until_refused(long most)
{
	long n = 0;

	while (n < most && !take_one(0))
		n++;
	return n;
}

static long give_back(long unused)
{
	return counts_files() ? close_all(unused) :
				 end_all_children(unused);
}

static long take_and_give_back(long rounds)
{
	long err = 0;

	while (rounds-- > 0 && !err)
		err = take(10) ?: give_back(0);
	return err;
}

/* Runs a program, in a process of its own. */
static long exec_once(long unused)
{
	int status;
	pid_t pid;

	(void)unused;
	pid = fork();
	if (!pid) {
		execl("/proc/self/exe", "test_tenant", EXIT, NULL);
		_exit(errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

/* The machine */

static long long machine_amount(void)
{
	const char *path = counts_files() ? FILE_MAX : THREADS_MAX;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	long long n = fd < 0 ? -errno : bc_read_number(fd);

	if (fd >= 0)
		close(fd);
	return n;
}

static int set_machine_amount(long long n)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", n);
	return bc_write_file(counts_files() ? FILE_MAX : THREADS_MAX, text);
}

/* What the machine has of what is counted, by mainline's own count. */
static long long machine_usage(void)
{
	FILE *file;
	long long n = -1;

	if (counts_files()) {
		file = fopen("/proc/sys/fs/file-nr", "re");
		if (file && fscanf(file, "%lld", &n) != 1)
			n = -1;
	} else {
		file = fopen("/proc/loadavg", "re");
		if (file && fscanf(file, "%*s %*s %*s %*d/%lld", &n) != 1)
			n = -1;
	}
	if (file)
		fclose(file);
	return n;
}

/*
 * Units to fill the machine with, half of them beyond its amount: by more than
 * mainline's count of files, kept per CPU, may be off. Its count of tasks is exact.
 */
static long surplus(void)
{
	return counts_files() ? 200 : 100;
}

FIXTURE(tenant)
{
	char *top;		/* has no processes */
	char *given;		/* the tenant's */
	char *home;		/* ... and where its processes are */
	char *other;		/* a neighbour's */
	struct worker *tenant;
	struct worker *neighbour;
	long long machine;
	long own;		/* units that a worker is itself */
};

FIXTURE_VARIANT(tenant)
{
	const char *controller;
	bool v2;
};

FIXTURE_VARIANT_ADD(tenant, files_v1) { .controller = "numfiles", .v2 = false };
FIXTURE_VARIANT_ADD(tenant, files_v2) { .controller = "numfiles", .v2 = true };
FIXTURE_VARIANT_ADD(tenant, tasks_v1) { .controller = "numtasks", .v2 = false };
FIXTURE_VARIANT_ADD(tenant, tasks_v2) { .controller = "numtasks", .v2 = true };

FIXTURE_SETUP(tenant)
{
	bc_controller = variant->controller;
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	ASSERT_TRUE(make_job());
	self->given = cg_new(self->top, "given");
	self->home = cg_new(self->given, "home");
	self->other = cg_new(self->top, "other");
	ASSERT_TRUE(self->given && self->home && self->other);
	ASSERT_TRUE(give_away(self->given));
	ASSERT_TRUE(give_away(self->home));
	self->tenant = user_new(self->home);
	self->neighbour = user_new(self->other);
	ASSERT_TRUE(self->tenant && self->neighbour);
	self->own = !counts_files();
	self->machine = machine_amount();
	ASSERT_GT(self->machine, 0);
}

FIXTURE_TEARDOWN(tenant)
{
	set_machine_amount(self->machine);
	end_all_children(0);
	bc_teardown();
}

/*
 * The machine is full, and more than full, of what the root group has. A group
 * that has a reservation can take all of that; a group that has none is
 * refused, and says so. Catches: mainline's check that knows no reservation,
 * and one that is passed by all.
 */
TEST_F(tenant, guarantee_holds_on_a_full_machine)
{
	enum { RESERVED = 60 };
	const long many = surplus();
	long long before = cg_key(self->home, "events.local", "max");
	long n;

	ASSERT_EQ(0, cg_set(self->other, "reservation", RESERVED));
	/* By the test, which is in the root group and is root. */
	ASSERT_EQ(0, take(many));
	ASSERT_EQ(0, set_machine_amount(machine_usage() - many / 2));

	EXPECT_EQ(counts_files() ? -ENFILE : -EAGAIN,
		  call(self->tenant, take_one, 0));
	EXPECT_SOON(before + 1, cg_key(self->home, "events.local", "max"));
	EXPECT_EQ(before + 1, cg_key(self->given, "events", "max"));
	EXPECT_EQ(0, cg_key(self->other, "events", "max"));

	EXPECT_EQ(0, call(self->neighbour, exec_once, 0));
	EXPECT_EQ(0, call(self->neighbour, take, RESERVED - self->own));
	/* Beyond are a few units that a CPU may have in stock. */
	n = call(self->neighbour, take_until_refused, RESERVED);
	EXPECT_LT(n, RESERVED);
	EXPECT_LE(1, cg_key(self->other, "events.local", "max"));

	EXPECT_EQ(0, call(self->neighbour, give_back, 0));
	EXPECT_EQ(0, call(self->neighbour, take, RESERVED - self->own));
	EXPECT_EQ(0, set_machine_amount(self->machine));
	EXPECT_EQ(0, call(self->tenant, take_one, 0));
	EXPECT_EQ(0, give_back(0));
}

/* A reservation above the task's group covers what it takes, too. */
TEST_F(tenant, guarantee_above_holds_on_a_full_machine)
{
	enum { RESERVED = 60 };
	const long many = surplus();

	ASSERT_EQ(0, cg_set(self->given, "reservation", RESERVED));
	ASSERT_EQ(0, take(many));
	ASSERT_EQ(0, set_machine_amount(machine_usage() - many / 2));
	EXPECT_EQ(0, call(self->tenant, exec_once, 0));
	EXPECT_EQ(0, call(self->tenant, take, RESERVED - self->own));
	EXPECT_EQ(counts_files() ? -ENFILE : -EAGAIN,
		  call(self->neighbour, take_one, 0));
	EXPECT_EQ(0, set_machine_amount(self->machine));
	EXPECT_EQ(0, give_back(0));
}

static long clone_into_job(long unused)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
	};
	int fd = open(job->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long pid;

	(void)unused;
	if (fd < 0)
		return -errno;
	args.cgroup = fd;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (!pid)
		_exit(0);
	if (pid < 0)
		pid = -errno;
	close(fd);
	if (pid < 0)
		return pid;
	return waitpid(pid, NULL, 0) == pid ? 0 : -errno;
}

/*
 * A task that is made in another group is covered by that group's reservation,
 * and not by that of its parent's group.
 */
TEST_F(tenant, guarantee_is_that_of_the_group_cloned_into)
{
	enum { RESERVED = 60 };
	const long many = surplus();
	struct worker *root;

	if (counts_files() || !variant->v2)
		SKIP(return, "numtasks on v2 alone");
	root = worker_new(self->other);
	ASSERT_NE(NULL, root);
	ASSERT_EQ(0, cg_set(self->other, "reservation", RESERVED));
	ASSERT_EQ(0, take(many));
	ASSERT_EQ(0, set_machine_amount(machine_usage() - many / 2));

	snprintf(job->path, sizeof(job->path), "%s", self->other);
	EXPECT_EQ(0, call(root, clone_into_job, 0));
	EXPECT_EQ(0, clone_into_job(0));
	snprintf(job->path, sizeof(job->path), "%s", self->home);
	EXPECT_EQ(-EAGAIN, call(root, clone_into_job, 0));
	EXPECT_EQ(-EAGAIN, clone_into_job(0));
	EXPECT_EQ(2, cg_key(self->home, "events.local", "max"));
	EXPECT_EQ(1, cg_get(self->home, "usage"));
	EXPECT_EQ(0, set_machine_amount(self->machine));
	EXPECT_EQ(0, call(root, clone_into_job, 0));
	EXPECT_EQ(0, give_back(0));
}

/* Where file-max is no bound, shares are shares of what memory holds. */
TEST_F(tenant, shares_mean_something_without_file_max)
{
	long long pages, holds;

	if (!counts_files())
		SKIP(return, "of numfiles");
	ASSERT_EQ(0, cg_write(dirname(strdup(self->top)), "shares",
			      "child_shares_divisor=1"));
	ASSERT_EQ(0, cg_write(self->top, "shares", "max_shares=1"));
	ASSERT_EQ(0, set_machine_amount(BC_UNLIMITED));
	pages = sysconf(_SC_PHYS_PAGES);
	holds = pages * (sysconf(_SC_PAGESIZE) / 1024) / 10;
	EXPECT_LE(cg_get(self->top, "limit"), holds < 8192 ? 8192 : holds);
	EXPECT_GE(cg_get(self->top, "limit"), 8192);
	ASSERT_EQ(0, set_machine_amount(1000));
	EXPECT_EQ(1000, cg_get(self->top, "limit"));
	ASSERT_EQ(0, cg_write(self->top, "shares", "max_shares=-3"));
	ASSERT_EQ(0, cg_write(dirname(strdup(self->top)), "shares",
			      "child_shares_divisor=100"));
}

/* Reservations, which are lent out of what a group has reserved itself. */

/*
 * The tenant's group has nothing reserved: there is nothing that it could lend.
 * It is told so whatever it asks for, and all others have what they had.
 * Catches: a reservation that is taken out of room which the tenant shares.
 */
TEST_F(tenant, nothing_is_lent_of_what_is_shared)
{
	const long long amounts[] = {
		1, 1000, self->machine / 2, self->machine * 9 / 10,
		self->machine - 1, self->machine, self->machine * 2,
		BC_UNLIMITED - 1,
	};
	char *child = tenant_new(self->tenant, self->given, "child");
	long long before = cg_get(self->top, "usage");
	size_t i;

	ASSERT_NE(NULL, child);
	for (i = 0; i < ARRAY_SIZE(amounts); i++) {
		EXPECT_EQ(-EPERM, tenant_set(self->tenant, child, "reservation",
					     amounts[i]))
			TH_LOG("%lld", amounts[i]);
		EXPECT_EQ(0, cg_get(child, "reservation"));
		/* Nor is its own group, whose files it has, lent anything. */
		EXPECT_EQ(-EPERM, tenant_set(self->tenant, self->given,
					     "reservation", amounts[i]))
			TH_LOG("%lld", amounts[i]);
		EXPECT_EQ(0, cg_get(self->given, "reservation"));
		EXPECT_EQ(0, cg_key(self->given, "stat", "lent"));
		EXPECT_EQ(0, cg_key(self->top, "stat", "lent"));
		EXPECT_EQ(before, cg_get(self->top, "usage"));
		EXPECT_EQ(0, call(self->neighbour, take, 20));
		EXPECT_EQ(0, call(self->neighbour, give_back, 0));
		/* What the root group takes, mainline alone counts. */
		EXPECT_EQ(0, take(1));
		EXPECT_EQ(0, give_back(0));
	}
	/* To ask for nothing is no offence. */
	EXPECT_EQ(0, tenant_set(self->tenant, child, "reservation", 0));
	/* Root may lend of it. */
	EXPECT_EQ(0, cg_set(child, "reservation", 50));
	EXPECT_EQ(50, cg_get(child, "reservation"));
}

/*
 * What its own group has reserved the tenant lends, to the last unit and no
 * further.
 */
TEST_F(tenant, own_reservation_is_lent)
{
	enum { RESERVED = 100 };
	char *a = tenant_new(self->tenant, self->given, "a");
	char *b = tenant_new(self->tenant, self->given, "b");
	long long top;

	ASSERT_TRUE(a && b);
	ASSERT_EQ(0, cg_set(self->given, "reservation", RESERVED));
	top = cg_get(self->top, "usage");
	EXPECT_EQ(0, tenant_set(self->tenant, a, "reservation", 60));
	EXPECT_EQ(-EPERM, tenant_set(self->tenant, b, "reservation", 50));
	EXPECT_EQ(0, cg_get(b, "reservation"));
	EXPECT_EQ(0, tenant_set(self->tenant, b, "reservation", 30));
	EXPECT_EQ(-EPERM, tenant_set(self->tenant, a, "reservation", 80));
	EXPECT_EQ(60, cg_get(a, "reservation"));
	EXPECT_EQ(0, tenant_set(self->tenant, a, "reservation", 10));
	EXPECT_EQ(0, tenant_set(self->tenant, b, "reservation", 80));
	EXPECT_EQ(90, cg_key(self->given, "stat", "lent"));
	/* All of it within what the group had. */
	EXPECT_EQ(top, cg_get(self->top, "usage"));
	EXPECT_EQ(0, call(self->neighbour, take, 20));
}

/*
 * By a strict group of its own the tenant gets no more: its children's limits
 * are lent, too, be they written as amounts or as shares.
 */
TEST_F(tenant, strict_groups_lend_nothing_that_is_shared)
{
	char *strict = tenant_new(self->tenant, self->given, "strict"), *child;

	ASSERT_NE(NULL, strict);
	ASSERT_EQ(0, tenant_set(self->tenant, strict, "strict", 1));
	child = tenant_new(self->tenant, strict, "child");
	ASSERT_NE(NULL, child);
	EXPECT_EQ(-EPERM, tenant_set(self->tenant, child, "limit", 1));
	EXPECT_EQ(-EPERM, tenant_set(self->tenant, child, "limit",
				     self->machine / 2));
	/* Refused, or shares of nothing. */
	tenant_write(self->tenant, child, "shares", "max_shares=50");
	EXPECT_EQ(0, cg_get(child, "limit"));
	EXPECT_EQ(0, cg_get(child, "reservation"));
	EXPECT_EQ(0, cg_key(strict, "stat", "lent"));
	EXPECT_EQ(0, call(self->neighbour, take, 20));
}

/* Shares of a guarantee that is nothing are nothing. */
TEST_F(tenant, shares_of_no_guarantee_are_nothing)
{
	char *child = tenant_new(self->tenant, self->given, "child");

	ASSERT_NE(NULL, child);
	EXPECT_EQ(0, tenant_write(self->tenant, child, "shares",
				  "min_shares=100 max_shares=100"));
	EXPECT_EQ(0, cg_get(child, "reservation"));
	EXPECT_EQ(0, tenant_write(self->tenant, self->given, "shares",
				  "child_shares_divisor=200"));
	EXPECT_EQ(0, cg_get(child, "reservation"));
	EXPECT_EQ(0, cg_key(self->given, "stat", "lent"));
	EXPECT_EQ(0, call(self->neighbour, take, 20));
	/* With one they are parts of that. */
	ASSERT_EQ(0, cg_set(self->given, "reservation", 100));
	EXPECT_EQ(50, cg_get(child, "reservation"));
}

/* v2's peak */

static int peaks[512];

/* Writes to the @n-th open file. */
static long restart_peak(long n)
{
	return pwrite(peaks[n], "0", 1, 0) == 1 ? 0 : -errno;
}

/*
 * Opens the file @n times, and writes to each: how many writes were accepted.
 */
static long open_peaks(long n)
{
	long i, err, accepted = 0;

	for (i = 0; i < n; i++) {
		peaks[i] = open(job->path, O_RDWR | O_CLOEXEC);
		if (peaks[i] < 0)
			return -errno;
		err = restart_peak(i);
		if (err && err != -ENOSPC)
			return err;
		accepted += !err;
	}
	return accepted;
}

static long read_peak(long n)
{
	return bc_read_number(peaks[n]);
}

static long close_peak(long n)
{
	return close(peaks[n]) ? -errno : 0;
}

/*
 * A tenant opens "peak" as often as it likes, but few of its open files have a
 * maximum of their own; the others can be read. What is refused changes
 * nothing, and the neighbour has peaks, too.
 */
TEST_F(tenant, peaks_are_bounded)
{
	enum { MANY = 300, BOUND = 64, LAST = MANY - 1 };
	struct worker *n = self->neighbour;
	long accepted, first;
	int fd;

	if (!variant->v2)
		SKIP(return, "v1 has max_usage, which is reset for all");
	ASSERT_EQ(0, call(n, pin_to_cpu, 0));
	ASSERT_EQ(0, call(n, take, 10));
	fd = cg_open(self->other, "max_usage", O_RDWR);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(1, write(fd, "0", 1));

	/* The files themselves are counted by numfiles. */
	ASSERT_EQ(0, call(self->tenant, take, 20));
	ASSERT_EQ(0, call(self->tenant, give_back, 0));
	snprintf(job->path, sizeof(job->path), "%s",
		 cg_path(self->home, "max_usage"));
	accepted = call(self->tenant, open_peaks, MANY);
	ASSERT_GE(accepted, 1);
	EXPECT_LE(accepted, BOUND);

	/* One that was refused reads as if it had not been written to. */
	EXPECT_EQ(cg_get(self->home, "max_usage"),
		  call(self->tenant, read_peak, LAST));
	first = call(self->tenant, read_peak, 0);
	EXPECT_EQ(-ENOSPC, call(self->tenant, restart_peak, LAST));
	EXPECT_EQ(-ENOSPC, call(self->tenant, restart_peak, LAST));
	EXPECT_EQ(first, call(self->tenant, read_peak, 0));
	/* One that has its own has it again. */
	EXPECT_EQ(0, call(self->tenant, restart_peak, 0));
	EXPECT_EQ(-ENOSPC, call(self->tenant, restart_peak, LAST));

	/* The neighbour's is as it should be. */
	EXPECT_EQ(10 + self->own, bc_read_number(fd));
	ASSERT_EQ(0, call(n, take, 5));
	EXPECT_LE(15 + self->own, bc_read_number(fd));
	ASSERT_EQ(0, call(n, give_back, 0));
	EXPECT_LE(15 + self->own, bc_read_number(fd));
	EXPECT_GE(15 + self->own + bc_most_stock(1, 1, 15 + self->own),
		  bc_read_number(fd));
	ASSERT_EQ(1, pwrite(fd, "0", 1, 0));
	EXPECT_GE(self->own + bc_most_stock(1, 1, 15 + self->own),
		  bc_read_number(fd));

	/* When one is closed there is room for another. */
	EXPECT_EQ(0, call(self->tenant, close_peak, 0));
	EXPECT_EQ(0, call(self->tenant, restart_peak, LAST));
	EXPECT_EQ(-ENOSPC, call(self->tenant, restart_peak, LAST - 1));
	close(fd);
}

/* Fork rates */

static long write_rates(long n)
{
	int fd = open(job->path, O_WRONLY | O_CLOEXEC);
	long err = 0;

	if (fd < 0)
		return -errno;
	while (n-- > 0 && !err)
		if (pwrite(fd, "5", 1, 0) != 1 || pwrite(fd, "max", 3, 0) != 3)
			err = -errno;
	close(fd);
	return err;
}

/*
 * The tenant writes rates as fast as it can. The neighbour's rate holds, and
 * where it has none it forks.
 */
TEST_F(tenant, writes_of_fork_rates)
{
	if (counts_files())
		SKIP(return, "of numtasks");
	snprintf(job->path, sizeof(job->path), "%s", cg_path(self->given, RATE));
	start(self->tenant, write_rates, bc_rounds(4000));
	EXPECT_EQ(0, cg_set(self->other, RATE_INTERVAL, LONG_INTERVAL));
	EXPECT_EQ(0, cg_set(self->other, RATE, 40));
	EXPECT_EQ(40, call(self->neighbour, forks_until_refused, 200));
	EXPECT_EQ(0, cg_write(self->other, RATE, "max"));
	EXPECT_EQ(100, call(self->neighbour, forks_until_refused, 100));
	EXPECT_EQ(0, finish(self->tenant));
	EXPECT_EQ(1, cg_key(self->other, "events.local", "fork_rate"));
	EXPECT_EQ(self->own, cg_get(self->other, "usage"));
}

/*
 * A rate holds for the groups that are there when it is written, however deep,
 * and for groups that are made later. Catches: a mark that is not passed on.
 */
TEST_F(tenant, fork_rate_reaches_all_below)
{
	enum { DEPTH = 8 };
	struct worker *root = worker_new(self->home);
	char *deep = self->given, *late;
	int i;

	if (counts_files())
		SKIP(return, "of numtasks");
	ASSERT_NE(NULL, root);
	for (i = 0; i < DEPTH; i++) {
		deep = tenant_new(self->tenant, deep, "deep");
		ASSERT_NE(NULL, deep);
	}
	ASSERT_EQ(0, tenant_set(self->tenant, self->given, RATE_INTERVAL,
				LONG_INTERVAL));
	ASSERT_EQ(0, tenant_set(self->tenant, self->given, RATE, 10));
	ASSERT_TRUE(worker_move(root, deep));
	EXPECT_EQ(4, call(root, forks_until_refused, 4));
	late = cg_new(self->given, "late");
	ASSERT_NE(NULL, late);
	ASSERT_TRUE(worker_move(root, late));
	EXPECT_EQ(6, call(root, forks_until_refused, 20));
	ASSERT_TRUE(worker_move(root, deep));
	EXPECT_EQ(0, call(root, forks_until_refused, 20));
	EXPECT_EQ(2, cg_key(self->given, "events.local", "fork_rate"));
	/* A rate of its own below, and none above any more. */
	ASSERT_EQ(0, tenant_set(self->tenant, deep, RATE_INTERVAL, LONG_INTERVAL));
	ASSERT_EQ(0, tenant_set(self->tenant, deep, RATE, 3));
	ASSERT_EQ(0, tenant_write(self->tenant, self->given, RATE, "max"));
	EXPECT_EQ(3, call(root, forks_until_refused, 20));
	ASSERT_TRUE(worker_move(root, late));
	EXPECT_EQ(20, call(root, forks_until_refused, 20));
}

/*
 * Rates on two levels, and forks in two groups below: none has more than its
 * rate, and together they have no more than that above. Catches: counts that
 * are taken back twice, or not at all.
 */
TEST_F(tenant, fork_rates_on_two_levels)
{
	enum { ABOVE = 30, BELOW = 20 };
	const int rounds = bc_debug_kernel() ? 5 : 20;
	struct worker *a = worker_new(self->home), *b = worker_new(self->other);
	long got_a, got_b;
	int i;

	if (counts_files())
		SKIP(return, "of numtasks");
	ASSERT_TRUE(a && b);
	ASSERT_EQ(0, cg_set(self->top, RATE, ABOVE));
	ASSERT_EQ(0, cg_set(self->home, RATE, BELOW));
	ASSERT_EQ(0, cg_set(self->other, RATE, BELOW));
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, cg_set(self->home, RATE_INTERVAL, LONG_INTERVAL));
		ASSERT_EQ(0, cg_set(self->other, RATE_INTERVAL, LONG_INTERVAL));
		ASSERT_EQ(0, cg_set(self->top, RATE_INTERVAL, LONG_INTERVAL));
		start(a, forks_until_refused, 100);
		start(b, forks_until_refused, 100);
		got_a = finish(a);
		got_b = finish(b);
		EXPECT_LE(got_a, BELOW);
		EXPECT_LE(got_b, BELOW);
		EXPECT_EQ(ABOVE, got_a + got_b);
		/* What was taken back is there again. */
		ASSERT_EQ(0, cg_write(self->top, RATE, "max"));
		EXPECT_EQ(BELOW - got_a, call(a, forks_until_refused, 100));
		EXPECT_EQ(BELOW - got_b, call(b, forks_until_refused, 100));
		ASSERT_EQ(0, cg_set(self->top, RATE, ABOVE));
	}
}

/* Reads */

/* Reads every file of the group @path and of all below: how many. */
static long read_tree(const char *path)
{
	char name[PATH_MAX], buf[4096];
	struct dirent *entry;
	long n = 0;
	DIR *dir;
	int fd;

	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (entry->d_type == DT_DIR) {
			n += read_tree(name);
			continue;
		}
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		while (read(fd, buf, sizeof(buf)) > 0)
			n++;
		close(fd);
	}
	closedir(dir);
	return n;
}

static long read_job(long rounds)
{
	long n = 0;

	while (rounds-- > 0)
		n += read_tree(job->path);
	return n;
}

/*
 * The tenant reads all there is, in a deep tree of its own and in a neighbour's
 * group whose reservation covers what it takes, while the neighbour works.
 */
TEST_F(tenant, reads_change_no_number)
{
	enum { DEPTH = 24, RESERVED = 100, HELD = 30 };
	struct worker *holder = worker_new(self->other);
	char *deep = self->given;
	long long charged;
	int i;

	ASSERT_NE(NULL, holder);
	/* What one CPU has in stock is not seen on another one, too. */
	ASSERT_EQ(0, call(self->neighbour, pin_to_cpu, 0));
	ASSERT_EQ(0, cg_set(self->other, "reservation", RESERVED));
	ASSERT_EQ(0, call(holder, take, HELD));
	for (i = 0; i < DEPTH; i++) {
		deep = tenant_new(self->tenant, deep, "deep");
		ASSERT_NE(NULL, deep);
	}
	ASSERT_EQ(0, call(self->tenant, take, 7));

	snprintf(job->path, sizeof(job->path), "%s", self->top);
	start(self->neighbour, take_and_give_back, bc_rounds(200));
	start(self->tenant, read_job, 2);
	for (i = 0; i < 50; i++) {
		EXPECT_LE(HELD + self->own, cg_get(self->other, "usage"));
		/* Units that move during a read may be missed in stock. */
		EXPECT_GE(HELD + 10 + RESERVED / 4 + 2 * self->own,
			  cg_get(self->other, "usage"));
		EXPECT_EQ(RESERVED, cg_get(self->other, "reservation"));
		bc_sleep_ms(1);
	}
	EXPECT_GE(finish(self->tenant), 2 * DEPTH);
	EXPECT_EQ(0, finish(self->neighbour));

	EXPECT_EQ(HELD + 2 * self->own, cg_get(self->other, "usage"));
	EXPECT_EQ(7 + self->own, cg_get(self->home, "usage"));
	EXPECT_EQ(7 + self->own, cg_get(self->given, "usage"));
	EXPECT_EQ(0, cg_get(deep, "usage"));
	EXPECT_EQ(RESERVED + 7 + self->own, cg_get(self->top, "usage"));
	charged = cg_key(self->other, "stat", "charged");
	EXPECT_EQ(HELD + 2 * self->own,
		  charged - cg_key(self->other, "stat", "uncharged"));
	EXPECT_EQ(0, cg_refusals(self->other));
}

/* Many groups without anything in them. */

FIXTURE(groups)
{
	char *top;
	char *given;
	char *kmem_root;	/* v1: a hierarchy of its own */
	char *box;		/* the group whose kernel memory is limited */
	struct worker *tenant;
	int controllers;
};

FIXTURE_VARIANT(groups)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(groups, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(groups, v2) { .v2 = true };

static const char * const controllers[] = { "kmem", "numtasks", "numfiles" };

/* Switches on in @cg what bc_setup() does not. */
static int switch_on(const char *cg)
{
	return cg_write(cg, "cgroup.subtree_control", "+kmem +numtasks");
}

FIXTURE_SETUP(groups)
{
	char *home;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(controllers); i++) {
		bc_controller = controllers[i];
		if (bc_missing())
			SKIP(return, "%s", bc_why);
		ASSERT_TRUE(bc_release());
	}
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	ASSERT_TRUE(make_job());
	if (variant->v2) {
		self->controllers = 3;
		ASSERT_EQ(0, switch_on(dirname(strdup(self->top))));
		ASSERT_EQ(0, switch_on(self->top));
		self->given = cg_new(self->top, "given");
		ASSERT_NE(NULL, self->given);
		ASSERT_EQ(0, switch_on(self->given));
		self->box = self->given;
	} else {
		self->controllers = 1;
		self->given = cg_new(self->top, "given");
		ASSERT_NE(NULL, self->given);
		self->kmem_root = bc_mount_v1("kmem");
		ASSERT_NE(NULL, self->kmem_root)
			TH_LOG("%s", bc_why);
		self->box = cg_new(self->kmem_root, "box");
		ASSERT_NE(NULL, self->box);
	}
	home = cg_new(self->given, "home");
	ASSERT_NE(NULL, home);
	ASSERT_TRUE(give_away(self->given));
	self->tenant = user_new(home);
	ASSERT_NE(NULL, self->tenant);
	if (!variant->v2)
		ASSERT_EQ(0, cg_attach(self->box, self->tenant->pid));
}

FIXTURE_TEARDOWN(groups)
{
	char *root = self->top ? dirname(strdup(self->top)) : NULL;

	if (self->kmem_root) {
		cg_purge(self->box);
		bc_umount(self->kmem_root);
	}
	if (variant->v2 && root) {
		cg_purge(self->top);
		cg_write(root, "cgroup.subtree_control", "-kmem -numtasks");
	}
	bc_teardown();
}

static long long kmem_usage(const char *cg)
{
	return cg_get(cg, bc_v2 ? "kmem.current" : "kmem.usage_in_bytes");
}

static int set_kmem_limit(const char *cg, long long bytes)
{
	/* To the limit, not to the barrier that it would bring with it. */
	return cg_write(cg, bc_v2 ? "kmem.barrier" : "kmem.barrier_in_bytes",
			"max") ?:
	       cg_set(cg, bc_v2 ? "kmem.max" : "kmem.limit_in_bytes", bytes);
}

/* Makes @n groups, or as many as it can: how many, with job->err. */
static long make_groups(long n)
{
	static long names;
	char path[PATH_MAX + 32];
	long i;

	job->err = 0;
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/e%ld", job->path, names++);
		if (mkdir(path, 0755)) {
			job->err = errno;
			break;
		}
	}
	return i;
}

/*
 * Makes @n groups below job->path, after as many that have slabs made. Each is to
 * take @least bytes of @box. Returns the usage then.
 */
static long long groups_take(struct __test_metadata *_metadata,
			     struct worker *tenant, const char *box, long n,
			     long least)
{
	long long before, after;

	ASSERT_EQ(n, call(tenant, make_groups, n));
	before = kmem_usage(box);
	ASSERT_EQ(n, call(tenant, make_groups, n));
	after = kmem_usage(box);
	EXPECT_GE(after - before, n * least)
		TH_LOG("%lld bytes for a group", (after - before) / n);
	return after;
}

/*
 * Groups are made of kernel memory, which is charged to the task that makes
 * them. Catches: accounts that are on no account.
 */
TEST_F(groups, empty_groups_are_charged)
{
	/*
	 * Less than a css and the counts of a group, and more than its owner.
	 */
	enum { FEW = 50, LEAST = 400, LEAST_ALONE = 3000, ROOM = 256 * 1024 };
	long long full;

	/* Groups below one that has all controllers off take memory, too. */
	snprintf(job->path, sizeof(job->path), "%s", self->given);
	ASSERT_EQ(1, call(self->tenant, make_groups, 1));
	snprintf(job->path, sizeof(job->path), "%s/e0", self->given);
	groups_take(_metadata, self->tenant, self->box, FEW, LEAST_ALONE);

	snprintf(job->path, sizeof(job->path), "%s", self->given);
	full = groups_take(_metadata, self->tenant, self->box, FEW,
			   LEAST * self->controllers);

	ASSERT_EQ(0, set_kmem_limit(self->box, kmem_usage(self->box) + ROOM));
	EXPECT_LT(call(self->tenant, make_groups, 4000),
		  ROOM / LEAST / self->controllers);
	EXPECT_EQ(ENOMEM, job->err);
	EXPECT_LE(kmem_usage(self->box), full + ROOM);

	/*
	 * The next one's failure leaves nothing, and with room there are more. What
	 * the group gave up for a refusal may be freed later, as mkdir() waits for
	 * nothing.
	 */
	EXPECT_TRUE(bc_soon(call(self->tenant, make_groups, 1) == 0));
	EXPECT_EQ(ENOMEM, job->err);
	ASSERT_EQ(0, set_kmem_limit(self->box, BC_UNLIMITED));
	EXPECT_EQ(1, call(self->tenant, make_groups, 1));
}

/* CPU load */

FIXTURE(watches)
{
	char *top;
	char *given;
	char *other;
};

FIXTURE_VARIANT(watches)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(watches, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(watches, v2) { .v2 = true };

FIXTURE_SETUP(watches)
{
	if (load_missing(variant->v2))
		SKIP(return, "%s", bc_why);
	self->top = load_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->given = cg_new(self->top, "given");
	self->other = cg_new(self->top, "other");
	ASSERT_TRUE(self->given && self->other);
}

FIXTURE_TEARDOWN(watches)
{
	load_teardown();
}

/*
 * A tenant reads the load of more groups than it may have watched. The others
 * show what has been used ever, and nothing in an interval; the neighbour is
 * watched.
 */
TEST_F(watches, are_bounded)
{
	enum { BOUND = 256, MANY = BOUND + 4 };
	struct worker *busy;
	char *group[MANY], *deep;
	int i, watched = 0;
	struct load load;
	long long begun;

	/*
	 * The fourth level; what is below has a 16th of what the machine has.
	 */
	deep = cg_new(self->given, "a");
	ASSERT_NE(NULL, deep);
	deep = cg_new(deep, "b");
	ASSERT_NE(NULL, deep);
	for (i = 0; i < MANY; i++) {
		group[i] = cg_newf(deep, "w%d", i);
		ASSERT_NE(NULL, group[i]);
	}
	begun = bc_now_ms();
	for (i = 0; i < MANY; i++) {
		ASSERT_TRUE(read_load(group[i], &load));
		EXPECT_EQ(0, load.time);
	}
	busy = worker_new(group[MANY - 1]);
	ASSERT_NE(NULL, busy);
	ASSERT_EQ(0, call(busy, burn, 50000));
	ASSERT_TRUE(read_load(self->other, &load));
	bc_sleep_ms(20);
	for (i = 0; i < MANY; i++) {
		ASSERT_TRUE(read_load(group[i], &load));
		watched += load.offered > 0;
		if (!load.offered)
			EXPECT_EQ(0, load.time + load.load + load.cpus +
				     load.avg10 + load.avg60 + load.avg300);
	}
	EXPECT_GE(watched, 1);
	EXPECT_LE(watched, BOUND);
	/*
	 * The last one was too late, unless a watch has ended meanwhile: that is
	 * five minutes after it was read last. It has used what it has used.
	 */
	if (bc_now_ms() - begun < 300000) {
		EXPECT_EQ(0, load.offered);
	}
	EXPECT_GE(load.accumulated, 40000);

	ASSERT_TRUE(read_load(self->other, &load));
	EXPECT_GT(load.offered, 0);

	/* A watch ends with its group, and another can begin. */
	worker_end(busy);
	ASSERT_EQ(0, cg_rmdir(group[0]));
	EXPECT_TRUE(bc_soon((read_load(group[MANY - 1], &load), load.offered > 0)));
}

TEST_HARNESS_MAIN
