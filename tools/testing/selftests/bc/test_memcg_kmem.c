// SPDX-License-Identifier: GPL-2.0
/*
 * memory.independent_kmem_limit of v1 memory cgroups, as its users see it: kernel
 * memory that is bounded apart from user memory, to the page; a task of a full group
 * gets an error; and what was charged in one mode is returned in that mode.
 *
 * A pipe that exists takes a page of kernel memory for each page written, and nothing
 * else. The tests count with that.
 */

/* The memory controller does not leave its hierarchy again. */
/* bc-boot: --smp 2 */

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "bc_util.h"
#include "kmem_util.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* What one page of page tables maps; and an area that needs 16 MiB of them. */
#define STRIDE MIB(2)
#define STRIDES 4096

#define MODE "memory.independent_kmem_limit"
#define LIMIT "memory.kmem.limit_in_bytes"
#define USAGE "memory.kmem.usage_in_bytes"
#define MAX_USAGE "memory.kmem.max_usage_in_bytes"
#define FAILCNT "memory.kmem.failcnt"
#define MEMORY "memory.usage_in_bytes"

static void __attribute__((constructor)) choose_controller(void)
{
	bc_controller = "memory";
	bc_bytes = true;
}

FIXTURE(memcg_kmem)
{
	char *root;	/* of the hierarchy */
	char *top;	/* the test's own groups, children of the root */
	char *other;
};

FIXTURE_SETUP(memcg_kmem)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	ASSERT_EQ(0, bc_many_files());
	bc_cpu(0);			/* for workers to be pinned later */
	self->root = bc_mount_v1("memory");
	ASSERT_NE(NULL, self->root);
	self->top = cg_newf(self->root, "bc_top%d", getpid());
	self->other = cg_newf(self->root, "bc_other%d", getpid());
	ASSERT_NE(NULL, self->top);
	ASSERT_NE(NULL, self->other);
	if (access(cg_path(self->top, MODE), F_OK))
		SKIP(return, "this kernel has no " MODE);
	/* Unused objects are given up without a message each time. */
	bc_write_file(DROP_CACHES, "4");
}

/* Groups that were removed keep the hierarchy until their last page is freed. */
FIXTURE_TEARDOWN(memcg_kmem)
{
	if (self->other)
		cg_purge(self->other);
	if (self->top)
		cg_purge(self->top);
	if (self->root)
		bc_umount(self->root);
}

/* Workers */

static char page[PAGE];
static char *area;
static int pipe_end;

/* Makes a pipe that has room for 256 pages. */
static long make_empty_pipe(long unused)
{
	int pair[2];

	(void)unused;
	if (pipe2(pair, O_NONBLOCK | O_CLOEXEC))
		return -errno;
	keep(pair[0]);
	keep(pair[1]);
	pipe_end = pair[1];
	return fcntl(pair[1], F_SETPIPE_SZ, 256 * PAGE) < 0 ? -errno : 0;
}

static long write_some(long n, int tries)
{
	long done;

	for (done = 0; done < n; done++)
		if (IN_TIME(tries, write(pipe_end, page, PAGE)) < 0)
			return errno == ENOMEM ? done : -errno;
	return done;
}

/* How many of @n pages the last pipe takes; -errno for another reason than memory. */
static long write_pages(long n)
{
	return write_some(n, 0);
}

/* The same, where it takes long to make room. */
static long write_in_time(long n)
{
	return write_some(n, TRIES);
}

/* How many pages @n pipes take. */
static long fill_pipes(long n)
{
	long err, pages = 0;

	while (n-- > 0) {
		err = make_empty_pipe(0);
		if (err)
			return err;
		err = write_pages(256);
		if (err < 0)
			return err;
		pages += err;
	}
	return pages;
}

static long touch_user_memory(long bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

static long map_sparse(long unused)
{
	(void)unused;
	area = mmap(NULL, STRIDES * STRIDE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return area == MAP_FAILED ? -errno : 0;
}

static long touch_sparse(long unused)
{
	long i;

	(void)unused;
	for (i = 0; i < STRIDES; i++)
		((volatile char *)area)[i * STRIDE] = 1;
	return 0;
}

/* The first stride that there are no page tables for. */
static long exhaust_tables(long unused)
{
	long n;

	(void)unused;
	for (n = 0; n < STRIDES; n++)
		if (madvise(area + n * STRIDE, PAGE, MADV_POPULATE_WRITE))
			return errno == EFAULT || errno == ENOMEM ? n : -errno;
	return -ERANGE;
}

/* Has the kernel touch a stride. */
static long read_into(long n)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	long got;

	if (fd < 0)
		return 0;
	got = read(fd, area + n * STRIDE, PAGE);
	got = got < 0 ? -errno : got;
	close(fd);
	return got;
}

static long use_and_free(long rounds)
{
	long err;

	while (rounds-- > 0) {
		err = make_empty_pipe(0);
		/* Refusals are the point. */
		if (!err)
			err = write_pages(64);
		if (err < 0 && err != -ENOMEM && err != -ENFILE)
			return err;
		close_all(0);
	}
	return 0;
}

/*
 * By how much memory.usage_in_bytes may be off: what CPUs have in stock counts in it,
 * up to 64 pages each (MEMCG_CHARGE_BATCH).
 */
static long long memory_slack(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) * 64 * PAGE;
}

/* Writing a mode drains the stock: usage as it is after that. */
static long long drained(const char *cg)
{
	cg_set(cg, MODE, cg_get(cg, MODE));
	return cg_get(cg, USAGE);
}

/* All kernel memory is returned: unused dentries go first. */
static long long left(const char *cg)
{
	bc_write_file(DROP_CACHES, "2");
	return drained(cg);
}

/* Usage when what was freed is returned, after a grace period as well. */
static long long settled(const char *cg)
{
	long long now, last = -1;
	int same = 0;

	while (same < 2) {
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
		bc_sleep_ms(10);
		now = drained(cg);
		same = now == last ? same + 1 : 0;
		last = now;
	}
	return last;
}

/* What a user relies on */

/* The same work, with and without a limit of its own: where it counts. */
TEST_F(memcg_kmem, where_memory_counts)
{
	const long pipes = 16, bytes = pipes * 256 * PAGE;
	long long memory, kmem;
	struct worker *w;
	int mode;

	/* So much that what is in stock does not matter. */
	ASSERT_LT(2 * memory_slack(), bytes);
	for (mode = 0; mode < 2; mode++) {
		ASSERT_EQ(0, cg_set(self->top, MODE, mode));
		w = root_in(self->top);
		ASSERT_NE(NULL, w);
		kmem = drained(self->top);
		memory = cg_get(self->top, MEMORY);
		EXPECT_EQ(pipes * 256, call(w, fill_pipes, pipes));
		EXPECT_LE(kmem + bytes, cg_get(self->top, USAGE));
		/* Beside the pages: files, inodes, arrays, below 32 KiB for each. */
		EXPECT_GE(kmem + bytes + pipes * 8 * PAGE, cg_get(self->top, USAGE));
		if (mode) {
			EXPECT_GE(memory + memory_slack(),
				  cg_get(self->top, MEMORY));
		} else {
			EXPECT_LE(memory + bytes - memory_slack(),
				  cg_get(self->top, MEMORY));
		}
		EXPECT_EQ(0, call(w, close_all, 0));

		/* User memory is in memory alone, but for its page tables. */
		kmem = drained(self->top);
		memory = cg_get(self->top, MEMORY);
		EXPECT_EQ(0, call(w, touch_user_memory, bytes));
		EXPECT_LE(memory + bytes - memory_slack(),
			  cg_get(self->top, MEMORY));
		EXPECT_GE(kmem + 16 * PAGE + bytes / 512, drained(self->top));
		worker_end(w);
		EXPECT_SOON(0, left(self->top));
		EXPECT_EQ(0, cg_set(self->top, MODE, 0));
	}
}

/* Exactly as many pages as there are can be had; then ENOMEM, and no more. */
TEST_F(memcg_kmem, exact_to_the_page)
{
	long long usage, failcnt, memory, kills = bc_oom_kills();
	struct worker *w;
	int n;

	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	w = root_in(self->top);
	ASSERT_NE(NULL, w);
	for (n = 0; n < 50; n += 7) {
		ASSERT_EQ(0, call(w, make_empty_pipe, 0));
		usage = settled(self->top);
		/* There was more: what CPUs had in stock. */
		ASSERT_EQ(0, cg_write(self->top, MAX_USAGE, "0"));
		memory = cg_get(self->top, "memory.failcnt");
		failcnt = cg_get(self->top, FAILCNT);
		ASSERT_EQ(0, cg_set(self->top, LIMIT, usage + n * PAGE));
		EXPECT_EQ(usage + n * PAGE, cg_get(self->top, LIMIT));
		EXPECT_EQ(n, call(w, write_pages, 100));
		EXPECT_EQ(usage + n * PAGE, cg_get(self->top, USAGE));
		EXPECT_EQ(0, call(w, write_pages, 1));
		EXPECT_GT(cg_get(self->top, FAILCNT), failcnt);
		EXPECT_EQ(usage + n * PAGE, cg_get(self->top, MAX_USAGE));
		EXPECT_EQ(memory, cg_get(self->top, "memory.failcnt"));
		ASSERT_EQ(0, cg_write(self->top, LIMIT, "-1"));
		EXPECT_EQ(100 - n, call(w, write_pages, 100 - n));
		ASSERT_EQ(0, call(w, close_all, 0));
		settled(self->top);
		EXPECT_EQ(0, cg_write(self->top, MAX_USAGE, "0"));
		EXPECT_EQ(cg_get(self->top, USAGE), cg_get(self->top, MAX_USAGE));
		EXPECT_EQ(0, cg_write(self->top, FAILCNT, "0"));
		EXPECT_EQ(0, cg_get(self->top, FAILCNT));
	}
	EXPECT_EQ(kills, bc_oom_kills());
	worker_end(w);
	EXPECT_SOON(0, left(self->top));
}

/* An ancestor's limit bounds what its children have together. */
TEST_F(memcg_kmem, limit_of_a_parent)
{
	struct worker *w, *v;
	char *a, *b;
	long long usage;
	long n;

	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	a = cg_new(self->top, "a");
	b = cg_new(self->top, "b");
	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	w = root_in(a);
	v = root_in(b);
	ASSERT_NE(NULL, w);
	ASSERT_NE(NULL, v);
	ASSERT_EQ(0, call(w, make_empty_pipe, 0));
	ASSERT_EQ(0, call(v, make_empty_pipe, 0));
	/* What the groups themselves need is the parent's; nothing is freed now. */
	usage = drained(self->top);
	ASSERT_EQ(0, cg_set(self->top, LIMIT, usage + 60 * PAGE));
	EXPECT_EQ(40, call(w, write_pages, 40));
	n = call(v, write_pages, 100);
	EXPECT_EQ(20, n);
	EXPECT_EQ(0, call(w, write_pages, 1));
	EXPECT_EQ(0, cg_get(a, FAILCNT));
	EXPECT_LT(0, cg_get(self->top, FAILCNT));
	EXPECT_EQ(usage + 60 * PAGE, cg_get(self->top, USAGE));
}

/* With a limit for user memory: neither notices the other. */
TEST_F(memcg_kmem, beside_a_memory_limit)
{
	struct worker *w;

	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	w = root_in(self->top);
	ASSERT_NE(NULL, w);
	/* Room for what is in stock, and not for the pipes. */
	ASSERT_EQ(0, cg_set(self->top, "memory.limit_in_bytes",
			    cg_get(self->top, MEMORY) + memory_slack()));
	ASSERT_LT(memory_slack(), 16 * 256 * PAGE);
	EXPECT_EQ(16 * 256, call(w, fill_pipes, 16));
	EXPECT_EQ(0, cg_get(self->top, "memory.failcnt"));
	ASSERT_EQ(0, cg_write(self->top, "memory.limit_in_bytes", "-1"));
	ASSERT_EQ(0, call(w, close_all, 0));

	ASSERT_EQ(0, cg_set(self->top, LIMIT, drained(self->top) + 64 * PAGE));
	EXPECT_EQ(0, call(w, touch_user_memory, MIB(8)));
	EXPECT_EQ(0, cg_get(self->top, FAILCNT));
}

/* Without one of its own, a limit is kept, bounds nothing, and is there later on. */
TEST_F(memcg_kmem, a_limit_that_is_not_in_force)
{
	struct worker *w = root_in(self->top);

	ASSERT_NE(NULL, w);
	EXPECT_EQ(0, cg_get(self->top, MODE));
	EXPECT_EQ(0, cg_set(self->top, LIMIT, MIB(1)));
	EXPECT_EQ(MIB(1), cg_get(self->top, LIMIT));
	EXPECT_EQ(8 * 256, call(w, fill_pipes, 8));
	EXPECT_LT(MIB(8), cg_get(self->top, USAGE));
	EXPECT_EQ(0, cg_get(self->top, FAILCNT));
	/* Below usage, too. */
	EXPECT_EQ(0, cg_set(self->top, LIMIT, MIB(2)));
	EXPECT_EQ(MIB(2), cg_get(self->top, LIMIT));
	worker_end(w);

	EXPECT_SOON(0, left(self->top));
	EXPECT_EQ(0, cg_set(self->top, MODE, 1));
	EXPECT_EQ(MIB(2), cg_get(self->top, LIMIT));
	EXPECT_EQ(0, cg_write(self->top, MAX_USAGE, "0"));
	w = root_in(self->top);
	ASSERT_NE(NULL, w);
	EXPECT_GT(2 * 256, call(w, fill_pipes, 2));
	EXPECT_EQ(MIB(2), cg_get(self->top, MAX_USAGE));
}

/* Refusals that cannot be told of by an error code */

TEST_F(memcg_kmem, page_tables_end_in_sigbus)
{
	long long limit, kills = bc_oom_kills();
	struct worker *w;
	int status;

	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	w = root_in(self->top);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, map_sparse, 0));
	limit = drained(self->top) + MIB(4);
	ASSERT_EQ(0, cg_set(self->top, LIMIT, limit));
	EXPECT_EQ(LONG_MIN, call(w, touch_sparse, 0));
	status = worker_wait(w);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGBUS, WTERMSIG(status));
	EXPECT_EQ(kills, bc_oom_kills());
	EXPECT_LT(0, cg_get(self->top, FAILCNT));
	EXPECT_SOON(0, left(self->top));
}

TEST_F(memcg_kmem, the_kernel_sees_efault)
{
	struct worker *w;
	long n;

	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	w = root_in(self->top);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, map_sparse, 0));
	/* What it needs to open the file is there already. */
	EXPECT_EQ(PAGE, call(w, read_into, 0));
	ASSERT_EQ(0, cg_set(self->top, LIMIT, drained(self->top) + MIB(1)));
	n = call(w, exhaust_tables, 0);
	if (n == -EINVAL)
		SKIP(return, "no MADV_POPULATE_WRITE");
	ASSERT_LT(100, n);
	/* The file is had from what single CPUs have in stock, or not at all. */
	n = call(w, read_into, n);
	EXPECT_TRUE(n == -EFAULT || n == 0);
}

/* A task that is killed at the limit ends, and returns everything. */
TEST_F(memcg_kmem, killed_at_the_limit)
{
	struct worker *w[4];
	int i;

	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	for (i = 0; i < 4; i++) {
		w[i] = root_in(self->top);
		ASSERT_NE(NULL, w[i]);
	}
	/* Less than they want together. */
	ASSERT_EQ(0, cg_set(self->top, LIMIT, drained(self->top) + 100 * PAGE));
	for (i = 0; i < 4; i++)
		start(w[i], use_and_free, 1000000);
	EXPECT_TRUE(bc_soon(cg_get(self->top, FAILCNT) > 20));
	for (i = 0; i < 4; i++)
		worker_kill(w[i]);
	EXPECT_SOON(0, left(self->top));
}

/* Unused objects are given up before anything is refused, and for a lower limit. */
TEST_F(memcg_kmem, unused_objects_are_no_obstacle)
{
	struct worker *w;
	long long usage;

	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	w = root_in(self->top);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, make_empty_pipe, 0));
	usage = left(self->top);
	EXPECT_EQ(0, call(w, miss_names, 20000));
	/* A dentry is no smaller than 128 bytes. */
	ASSERT_LT(usage + 20000 * 128, cg_get(self->top, USAGE));
	ASSERT_EQ(0, cg_set(self->top, LIMIT, cg_get(self->top, USAGE)));
	EXPECT_EQ(200, call(w, write_in_time, 200));

	EXPECT_EQ(0, cg_write(self->top, LIMIT, "-1"));
	EXPECT_EQ(0, call(w, miss_names, 20000));
	/* The pages are there; a slab that is used in part may keep some. */
	EXPECT_EQ(0, cg_set(self->top, LIMIT, usage + 300 * PAGE));
	EXPECT_EQ(-EBUSY, cg_set(self->top, LIMIT, 200 * PAGE));
	EXPECT_EQ(usage + 300 * PAGE, cg_get(self->top, LIMIT));
}

#define EVENTS 8000

/* A scope that names the task's own group changes nothing: room is made. */
TEST_F(memcg_kmem, own_events_find_room)
{
	struct worker *w;
	long long usage;
	int tries = 0;
	long seen;

	ASSERT_EQ(0, make_watched());
	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	w = root_in(self->top);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, watch_own, 0));
	ASSERT_EQ(100, call(w, own_events, 100));
	usage = left(self->top);
	ASSERT_EQ(0, cg_set(self->top, LIMIT, usage + MIB(2)));
	do {
		ASSERT_EQ(0, call(w, miss_names, 20000));
		EXPECT_LE(usage + MIB(1), cg_get(self->top, USAGE));
		seen = call(w, own_events, EVENTS);
	} while (seen == -ETIME && ++tries < 10);
	EXPECT_EQ(EVENTS, seen);
	worker_end(w);
	end_watched();
	EXPECT_SOON(0, left(self->top));
}

TEST_F(memcg_kmem, limit_below_usage)
{
	struct worker *w;
	long long usage;

	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	w = root_in(self->top);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(256, call(w, fill_pipes, 1));
	usage = left(self->top);
	EXPECT_EQ(-EBUSY, cg_set(self->top, LIMIT, usage - PAGE));
	EXPECT_EQ(-EBUSY, cg_set(self->top, LIMIT, 0));
	EXPECT_LT(MIB(1024 * 1024), cg_get(self->top, LIMIT));
	EXPECT_EQ(0, cg_set(self->top, LIMIT, usage));
	EXPECT_EQ(0, call(w, close_all, 0));
	EXPECT_EQ(0, cg_set(self->top, LIMIT, usage - 200 * PAGE));
}

/* Modes */

TEST_F(memcg_kmem, input)
{
	static const char * const bad[] = {
		"\n", "x", "1x", "-1", "1 1", " 1", "0.5"
	};
	size_t i;

	EXPECT_NE(0, access(cg_path(self->root, MODE), F_OK));
	EXPECT_EQ(0, cg_get(self->top, MODE));
	EXPECT_EQ(0, cg_set(self->top, MODE, 5));
	EXPECT_STREQ("1\n", cg_read(self->top, MODE));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-EINVAL, cg_write(self->top, MODE, bad[i]))
			TH_LOG("'%s'", bad[i]);
	}
	EXPECT_EQ(-ERANGE, cg_write(self->top, MODE, "99999999999999999999"));
	EXPECT_EQ(1, cg_get(self->top, MODE));
	EXPECT_EQ(0, cg_write(self->top, MODE, "0\n"));
	EXPECT_EQ(0, cg_get(self->top, MODE));

	EXPECT_EQ(-EINVAL, cg_set(self->root, LIMIT, MIB(100)));
	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	EXPECT_EQ(0, cg_write(self->top, LIMIT, "2M"));
	EXPECT_EQ(-EINVAL, cg_write(self->top, LIMIT, "-2"));
	EXPECT_EQ(-EINVAL, cg_write(self->top, LIMIT, "1M1"));
	EXPECT_EQ(-EINVAL, cg_write(self->top, LIMIT, "much"));
	EXPECT_EQ(MIB(2), cg_get(self->top, LIMIT));
}

/* One mode from the top to the leaves; the parent cannot change its mind. */
TEST_F(memcg_kmem, children_agree_with_their_parent)
{
	char *child, *grandchild;
	int mode;

	for (mode = 0; mode < 2; mode++) {
		ASSERT_SOON(0, cg_set(self->top, MODE, mode));
		child = cg_new(self->top, "child");
		ASSERT_NE(NULL, child);
		grandchild = cg_new(child, "grandchild");
		ASSERT_NE(NULL, grandchild);
		EXPECT_EQ(mode, cg_get(child, MODE));
		EXPECT_EQ(mode, cg_get(grandchild, MODE));
		EXPECT_EQ(-EINVAL, cg_set(child, MODE, !mode));
		EXPECT_EQ(-EINVAL, cg_set(grandchild, MODE, !mode));
		EXPECT_EQ(0, cg_set(child, MODE, mode));
		EXPECT_EQ(-EBUSY, cg_set(self->top, MODE, !mode));
		EXPECT_EQ(0, cg_set(self->top, MODE, mode));
		EXPECT_EQ(mode, cg_get(self->top, MODE));
		EXPECT_EQ(mode, cg_get(child, MODE));
		ASSERT_EQ(0, cg_rmdir(grandchild));
		ASSERT_EQ(0, cg_rmdir(child));
	}
	/* A sibling is of its own. */
	EXPECT_EQ(0, cg_get(self->other, MODE));
}

TEST_F(memcg_kmem, no_change_with_charges)
{
	struct worker *w;
	int mode;

	for (mode = 0; mode < 2; mode++) {
		ASSERT_SOON(0, cg_set(self->top, MODE, mode));
		w = root_in(self->top);
		ASSERT_NE(NULL, w);
		ASSERT_EQ(256, call(w, fill_pipes, 1));
		EXPECT_EQ(-EBUSY, cg_set(self->top, MODE, !mode));
		EXPECT_EQ(mode, cg_get(self->top, MODE));
		worker_end(w);
		EXPECT_SOON(0, left(self->top));
	}
	EXPECT_EQ(0, cg_set(self->top, MODE, 0));
}

/* A task that is in the group already follows the change at once. */
TEST_F(memcg_kmem, tasks_follow)
{
	struct worker *w = root_in(self->other);
	long long memory;
	int mode;

	ASSERT_NE(NULL, w);
	/* It has all that it needs from the other group. */
	ASSERT_EQ(0, call(w, close_all, 0));
	ASSERT_EQ(0, cg_attach(self->top, w->pid));
	for (mode = 1; mode < 4; mode++) {
		ASSERT_SOON(0, cg_set(self->top, MODE, mode & 1));
		memory = cg_get(self->top, MEMORY);
		EXPECT_EQ(4 * 256, call(w, fill_pipes, 4));
		EXPECT_LE(4 * 256 * PAGE, cg_get(self->top, USAGE));
		if (mode & 1) {
			EXPECT_GE(memory + memory_slack(),
				  cg_get(self->top, MEMORY));
		} else {
			EXPECT_LE(memory + 4 * 256 * PAGE - memory_slack(),
				  cg_get(self->top, MEMORY));
		}
		EXPECT_EQ(0, call(w, close_all, 0));
		EXPECT_SOON(0, left(self->top));
	}
}

/* Charges stay where they were made, in the mode that they were made in. */
TEST_F(memcg_kmem, migration)
{
	long long memory, kmem;
	struct worker *w;

	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	w = root_in(self->top);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(4 * 256, call(w, fill_pipes, 4));
	kmem = drained(self->top);
	ASSERT_EQ(0, cg_attach(self->other, w->pid));
	EXPECT_EQ(kmem, drained(self->top));
	ASSERT_EQ(4 * 256, call(w, fill_pipes, 4));
	EXPECT_EQ(kmem, drained(self->top));
	EXPECT_LE(4 * 256 * PAGE, cg_get(self->other, MEMORY));
	memory = cg_get(self->top, MEMORY);
	/* All of both, in one go. */
	EXPECT_EQ(0, call(w, close_all, 0));
	EXPECT_SOON(true, drained(self->top) <= kmem - 4 * 256 * PAGE);
	EXPECT_GE(cg_get(self->top, MEMORY), memory - memory_slack());
	worker_end(w);
	EXPECT_SOON(0, left(self->top));
	EXPECT_SOON(0, left(self->other));
}

/* What a removed group leaves is its parent's, in the mode that it was made in. */
TEST_F(memcg_kmem, reparenting)
{
	long long kmem, memory, root, own;
	struct worker *w;
	char *child;

	root = cg_get(self->root, USAGE);
	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	child = cg_new(self->top, "child");
	ASSERT_NE(NULL, child);
	own = drained(self->top);
	w = root_in(child);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(4 * 256, call(w, fill_pipes, 4));
	ASSERT_EQ(0, cg_attach(self->other, w->pid));
	kmem = drained(child);
	memory = cg_get(self->top, MEMORY);
	ASSERT_LE(4 * 256 * PAGE, kmem);
	ASSERT_EQ(0, cg_rmdir(child));
	/* The group itself is the parent's, too, until its user memory is freed. */
	EXPECT_LE(kmem, drained(self->top));
	EXPECT_GE(kmem + own, drained(self->top));
	EXPECT_EQ(-EBUSY, cg_set(self->top, MODE, 0));
	EXPECT_GE(memory, cg_get(self->top, MEMORY));

	/* The root is of the other mode. */
	ASSERT_EQ(0, cg_rmdir(self->top));
	EXPECT_LE(root + 4 * 256 * PAGE, cg_get(self->root, USAGE));
	EXPECT_EQ(0, call(w, close_all, 0));
	worker_end(w);
	EXPECT_SOON(0, left(self->other));
	/* A page may be in stock for each of the groups and CPUs. */
	EXPECT_SOON(true, cg_get(self->root, USAGE) <= root +
		    4 * PAGE * sysconf(_SC_NPROCESSORS_ONLN));
}

/* Races; the kernel warns of what is returned twice, or to another group. */

TEST_F(memcg_kmem, hammering_never_exceeds_the_limit)
{
	struct worker *w[4];
	long long limit;
	int i;

	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	for (i = 0; i < 4; i++) {
		w[i] = root_in(self->top);
		ASSERT_NE(NULL, w[i]);
		ASSERT_EQ(0, call(w[i], pin_to_cpu, i % bc_cpus()));
	}
	limit = drained(self->top) + 100 * PAGE;
	ASSERT_EQ(0, cg_set(self->top, LIMIT, limit));
	for (i = 0; i < 4; i++)
		start(w[i], use_and_free, bc_rounds(400));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, finish(w[i]));
	/* No charge was forced: the highest usage ever is known. */
	EXPECT_LE(cg_get(self->top, MAX_USAGE), limit);
	EXPECT_LT(0, cg_get(self->top, FAILCNT));
	for (i = 0; i < 4; i++)
		worker_end(w[i]);
	EXPECT_SOON(0, left(self->top));
}

/* Groups that come, change their minds and go, while tasks pass through them. */
TEST_F(memcg_kmem, changes_and_removal_under_load)
{
	int i, round, err, changed = 0, rounds = bc_rounds(80);
	struct worker *w[3];
	char *group;

	for (i = 0; i < 3; i++) {
		w[i] = root_in(self->other);
		ASSERT_NE(NULL, w[i]);
		start(w[i], use_and_free, bc_rounds(3000));
	}
	for (round = 0; round < rounds; round++) {
		group = cg_newf(self->root, "bc_race%d", round);
		ASSERT_NE(NULL, group);
		if (round & 1)
			ASSERT_EQ(0, cg_set(group, MODE, 1));
		for (i = 0; i < 3; i++)
			ASSERT_EQ(0, cg_attach(group, w[i]->pid));
		for (i = 0; i < 20; i++) {
			err = cg_set(group, MODE, i & 1);
			changed += !err;
			if (err)
				EXPECT_EQ(-EBUSY, err);
		}
		for (i = 0; i < 3; i++)
			ASSERT_EQ(0, cg_attach(self->other, w[i]->pid));
		for (i = 0; i < 20; i++)
			cg_set(group, MODE, i & 1);
		ASSERT_EQ(0, cg_rmdir(group));
	}
	EXPECT_LT(0, changed);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, finish(w[i]));
		worker_end(w[i]);
	}
	EXPECT_SOON(0, left(self->other));
}

/* Whether the kernel has said @text since it was booted. */
static bool kernel_said(const char *text)
{
	static char log[1 << 20];
	int n = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, sizeof(log) - 1);

	log[n < 0 ? 0 : n] = '\0';
	return strstr(log, text);
}

/* Catches: mainline's message that a limit has no effect, where it has one. */
TEST_F(memcg_kmem, limit_says_when_it_counts)
{
	ASSERT_EQ(0, cg_set(self->top, MODE, 1));
	ASSERT_EQ(0, cg_write(self->top, LIMIT, "1G"));
	EXPECT_FALSE(kernel_said("kmem.limit_in_bytes is deprecated"));
	ASSERT_EQ(0, cg_set(self->top, MODE, 0));
	ASSERT_EQ(0, cg_write(self->top, LIMIT, "2G"));
	EXPECT_FALSE(kernel_said("kmem.limit_in_bytes is deprecated"));
	EXPECT_TRUE(kernel_said("when independent_kmem_limit is 1"));
}

TEST_HARNESS_MAIN
