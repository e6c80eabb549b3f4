// SPDX-License-Identifier: GPL-2.0
/*
 * bc/kmem_holders in debugfs: whatever kmem has a group's account at, it can be seen
 * what that is. The file walks all memory, so that it had better not be much.
 */
/* bc-boot: --mem 512M */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "kmem_util.h"

#define KMEMLEAK "/sys/kernel/debug/kmemleak"

#define PIPES 40

static void __attribute__((constructor)) choose_controller(void)
{
	bc_controller = "kmem";
	bc_bytes = true;
}

/* What a line says, and what all lines of a group say together. */
struct line {
	char group[256], kind[16], cache[64], site[256];
	long count;
	long long bytes;
};

static bool parse(const char *text, struct line *line)
{
	return sscanf(text, "%255s %15s %63s %ld %lld %255[^\n]", line->group,
		      line->kind, line->cache, &line->count, &line->bytes,
		      line->site) == 6;
}

/*
 * The bytes in lines of the group @cg that have @kind, and @word in cache or site (""
 * for any); -errno, -EBADMSG for a line that cannot be read.
 */
static long long sum(const char *cg, const char *kind, const char *word)
{
	FILE *file = fopen(HOLDERS, "re");
	char text[1024];
	long long bytes = 0;
	struct line line;

	if (!file)
		return -errno;
	while (bytes >= 0 && fgets(text, sizeof(text), file)) {
		if (text[0] == '#')
			continue;
		if (!parse(text, &line))
			bytes = -EBADMSG;
		else if (!strcmp(line.group, holders_name(cg)) &&
			 !strcmp(line.kind, kind) &&
			 (strstr(line.cache, word) || strstr(line.site, word)))
			bytes += line.bytes;
	}
	fclose(file);
	return bytes;
}

FIXTURE(holders)
{
	char *top, *group;
	struct worker *w;
};

FIXTURE_VARIANT(holders)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(holders, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(holders, v2) { .v2 = true };

FIXTURE_SETUP(holders)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	ASSERT_EQ(0, access(HOLDERS, F_OK))
		TH_LOG("debugfs is not mounted, or CONFIG_DEBUG_FS is not set");
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	ASSERT_NE(NULL, self->group);
	self->w = worker_new(self->group);
	ASSERT_NE(NULL, self->w);
}

FIXTURE_TEARDOWN(holders)
{
	if (self->w)
		worker_kill(self->w);
	bc_teardown();
}

static char chunk[65536];

static long make_pipes(long n)
{
	int pair[2];

	while (n-- > 0) {
		if (pipe2(pair, O_NONBLOCK | O_CLOEXEC))
			return -errno;
		if (write(pair[1], chunk, sizeof(chunk)) != sizeof(chunk))
			return -EIO;
		keep(pair[0]);
		keep(pair[1]);
	}
	return 0;
}

/* Once all that is being freed is freed. */
static long long missing(const char *cg, const char *kind)
{
	bc_write_file(DROP_CACHES, "3");
	return cg_key(cg, "stat", kind) - sum(cg, kind, "");
}

/* What the file lists is what the group is charged for. */
TEST_F(holders, all_is_there)
{
	ASSERT_EQ(0, call(self->w, make_pipes, PIPES));
	EXPECT_LE(PIPES * 65536, sum(self->group, "page", ""));
	EXPECT_LT(0, sum(self->group, "slab", ""));
	EXPECT_SOON(0, missing(self->group, "page"));
	EXPECT_SOON(0, missing(self->group, "slab"));
	/* Percpu memory is not looked through; there is none here. */
	EXPECT_SOON(0, missing(self->group, "vmalloc"));
	EXPECT_EQ(0, call(self->w, close_all, 0));
	EXPECT_SOON(0, missing(self->group, "page"));
	EXPECT_GT(PIPES * 65536, sum(self->group, "page", ""));
}

/* Caches are named; and call sites, where the kernel knows them. */
TEST_F(holders, caches_and_sites)
{
	ASSERT_EQ(0, call(self->w, make_pipes, PIPES));
	EXPECT_LT(0, sum(self->group, "slab", "filp"));
	if (bc_write_file(PROFILING, "1"))
		SKIP(return, "no call sites: CONFIG_MEM_ALLOC_PROFILING is not set, or off since boot");
	ASSERT_EQ(0, call(self->w, make_pipes, PIPES));
	EXPECT_LE(PIPES * 65536, sum(self->group, "page", "fs/pipe.c"));
	EXPECT_LT(0, sum(self->group, "slab", "fs/file_table.c"));
}

/* What a removed group has left is its parent's. */
TEST_F(holders, of_removed_groups)
{
	char *parent = cg_new(self->top, "parent");
	char *child = parent ? cg_new(parent, "child") : NULL;
	char *grandchild = child ? cg_new(child, "grandchild") : NULL;
	char *root = strdup(self->top);
	struct worker *w;

	ASSERT_NE(NULL, grandchild);
	ASSERT_NE(NULL, root);
	*strrchr(root, '/') = '\0';
	w = worker_new(grandchild);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, make_pipes, PIPES));
	EXPECT_LE(PIPES * 65536, sum(grandchild, "page", ""));
	EXPECT_GT(PIPES * 65536, sum(child, "page", ""));

	ASSERT_TRUE(worker_move(w, root));
	ASSERT_EQ(0, cg_rmdir(grandchild));
	EXPECT_LE(PIPES * 65536, sum(child, "page", ""));
	ASSERT_EQ(0, cg_rmdir(child));
	EXPECT_LE(PIPES * 65536, sum(parent, "page", ""));
	EXPECT_EQ(0, sum(child, "page", ""));
	worker_end(w);
	EXPECT_SOON(0, missing(parent, "page"));
	EXPECT_GT(PIPES * 65536, sum(parent, "page", ""));
	free(root);
}

static long open_holders(long unused)
{
	int fd = open(HOLDERS, O_RDONLY | O_CLOEXEC);

	(void)unused;
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* Only root may see which code of the kernel allocates: a tenant need not. */
TEST_F(holders, not_for_everybody)
{
	struct stat stat;

	ASSERT_EQ(0, lstat(HOLDERS, &stat));
	EXPECT_EQ(0400, stat.st_mode & 07777);
	ASSERT_EQ(0, call(self->w, become_nobody, 0));
	EXPECT_EQ(-EACCES, call(self->w, open_holders, 0));
}

static volatile bool *stop;

static long make_and_free(long unused)
{
	long err = 0;

	(void)unused;
	while (!*stop && !err) {
		err = make_pipes(20);
		close_all(0);
	}
	return err;
}

/* fn(arg) in a child: 0 or -errno. */
static long in_child(bc_work fn, long arg)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(-fn(arg));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static long enter_network(long unused)
{
	(void)unused;
	return unshare(CLONE_NEWNET) ? -errno : 0;
}

/* One thing that stays: makes a network namespace and leaves it. */
static long visit_network(long unused)
{
	(void)unused;
	return in_child(enter_network, 0);
}

/* What is charged beyond network namespaces, once no task is left. */
static long long beyond_networks(const char *cg)
{
	bc_write_file(DROP_CACHES, "3");
	return cg_get(cg, "usage") - sum(cg, "slab", "net_namespace");
}

/*
 * The network namespaces that were dismantled last stay until the next one is: what
 * a group has after its last task is gone is seen to be that, and then goes.
 */
TEST_F(holders, networks_that_stay)
{
	long err = call(self->w, visit_network, 0);

	if (err == -EINVAL)
		SKIP(return, "CONFIG_NET_NS is not set");
	ASSERT_EQ(0, err);
	worker_end(self->w);
	self->w = NULL;
	EXPECT_SOON(0, beyond_networks(self->group));
	EXPECT_SOON(0, ({
		/* Of the root group's. */
		EXPECT_EQ(0, visit_network(0));
		cg_get(self->group, "usage");
	}));
}

/* For one event of each directory. */
static long watch(long events)
{
	static int fd = -1;

	if (fd < 0)
		fd = inotify_init1(IN_CLOEXEC);
	return inotify_add_watch(fd, events & IN_OPEN ? "/" : "/tmp", events) < 0 ?
	       -errno : 0;
}

/*
 * The owner of what a removed group has left is not taken for a leak, even if nothing
 * has that owner but an object that has it behind itself: here, of a watch.
 */
TEST_F(holders, owners_are_no_leaks)
{
	char *root = strdup(self->top);

	if (access(KMEMLEAK, W_OK))
		SKIP(return, "CONFIG_DEBUG_KMEMLEAK is not set");
	ASSERT_NE(NULL, root);
	*strrchr(root, '/') = '\0';
	/* What it needs the first time is the root group's. */
	ASSERT_TRUE(worker_move(self->w, root));
	ASSERT_EQ(0, call(self->w, watch, IN_CREATE));
	ASSERT_TRUE(worker_move(self->w, self->group));
	ASSERT_EQ(0, call(self->w, watch, IN_OPEN));
	ASSERT_TRUE(worker_move(self->w, root));
	EXPECT_LT(0, sum(self->group, "slab", "inotify_inode_mark"));
	ASSERT_EQ(0, cg_rmdir(self->group));
	/* What is younger than five seconds is not reported by the first. */
	ASSERT_EQ(0, bc_write_file(KMEMLEAK, "scan"));
	sleep(6);
	ASSERT_EQ(0, bc_write_file(KMEMLEAK, "scan"));
	EXPECT_EQ(0, bc_count_lines(KMEMLEAK, "res_owner_create"));
	free(root);
}

static char file[256];

static long change_mode(long unused)
{
	(void)unused;
	return chmod(file, 0600) ? -errno : 0;
}

/*
 * The attributes of a file that is there stay as long as the file. Catches: the group
 * that asks for them first pays, and waits with cgroupfs locked until it can.
 */
TEST_F(holders, attributes_are_on_no_account)
{
	snprintf(file, sizeof(file), "%s/cgroup.procs", self->top);
	worker_end(self->w);
	self->w = worker_new(self->group);
	ASSERT_NE(NULL, self->w);
	ASSERT_EQ(0, call(self->w, change_mode, 0));
	EXPECT_EQ(0, sum(self->group, "slab", "kernfs_iattrs_cache"));
}

/* A process in @depth PID namespaces, one in the other; all end. */
static long nest_pids(long depth)
{
	if (!depth)
		return 0;
	if (unshare(CLONE_NEWPID))
		return -errno;
	return in_child(nest_pids, depth - 1);
}

/*
 * Each depth of PID namespaces has a cache, which is made when it is needed first
 * and stays. It is the machine's. Catches: its files in sysfs on a group's account.
 */
TEST_F(holders, caches_are_the_machines)
{
	/* Deeper than the other variant went. */
	ASSERT_EQ(0, call(self->w, nest_pids, variant->v2 ? 6 : 3));
	worker_end(self->w);
	self->w = NULL;
	EXPECT_SOON(0, beyond_networks(self->group));
}

/* It is read while groups allocate, free, come and go: all of it can be read. */
TEST_F(holders, while_all_changes)
{
	/* A read walks all memory, which takes a debug kernel long. */
	const int groups = bc_debug_kernel() ? 5 : 20;
	struct worker *workers[3];
	char *cg;
	int i, j;

	stop = mmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)stop);
	for (i = 0; i < 3; i++) {
		workers[i] = worker_new(self->group);
		ASSERT_NE(NULL, workers[i]);
		start(workers[i], make_and_free, 0);
	}
	for (i = 0; i < groups; i++) {
		cg = cg_newf(self->top, "short%d", i);
		ASSERT_NE(NULL, cg);
		for (j = 0; j < 3; j++)
			EXPECT_LE(0, sum(cg, "slab", ""));
		EXPECT_EQ(0, cg_rmdir(cg));
	}
	*stop = true;
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, finish(workers[i]));
		worker_end(workers[i]);
	}
	EXPECT_SOON(0, missing(self->group, "page"));
	EXPECT_SOON(0, missing(self->group, "slab"));
}

TEST_HARNESS_MAIN
