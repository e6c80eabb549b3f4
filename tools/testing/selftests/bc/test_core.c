// SPDX-License-Identifier: GPL-2.0
/*
 * What all beancounter controllers have from the core, tried with numfiles:
 * hierarchies of either kind, wake-ups, the log, trace events, lifetime.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

FIXTURE(core)
{
	char *top;
	char *group;
	struct worker *worker;	/* as root, in the group */
};

FIXTURE_VARIANT(core)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(core, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(core, v2) { .v2 = true };

FIXTURE_SETUP(core)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	ASSERT_NE(NULL, self->group);
	self->worker = worker_new(self->group);
	ASSERT_NE(NULL, self->worker);
}

FIXTURE_TEARDOWN(core)
{
	bc_teardown();
}

/* Wake-ups */

/* Reads a file from its beginning: what poll(2) compares with later. */
static void reread(int fd)
{
	char buf[256];

	lseek(fd, 0, SEEK_SET);
	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

static int watch(const char *cg, const char *file)
{
	int fd = cg_open(cg, file, O_RDONLY);

	if (fd >= 0)
		reread(fd);
	return fd;
}

static bool polled(int fd, int patience_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLPRI };

	return poll(&pfd, 1, patience_ms) == 1 && (pfd.revents & POLLPRI);
}

static bool woken(int fd)
{
	return polled(fd, 0);
}

/* Or will be: patient once, like bc_soon(). */
static bool wakes(int fd)
{
	bool met = polled(fd, bc_patience_ms);

	if (!met)
		bc_patience_ms = BC_IMPATIENCE_MS;
	return met;
}

/*
 * A refusal wakes the tasks that poll the events of the group or of an
 * ancestor, and no other task. Catches: events that only count, wake-ups lost
 * after the first, an ancestor's events.local woken for what happened below.
 */
TEST_F(core, poll_wakes_up)
{
	char *twin = cg_new(self->top, "twin");
	int here, local, above, above_local, beside, i;

	ASSERT_NE(NULL, twin);
	ASSERT_EQ(0, cg_set(self->group, "limit", 1));
	ASSERT_EQ(0, call(self->worker, open_one, 0));
	here = watch(self->group, "events");
	local = watch(self->group, "events.local");
	above = watch(self->top, "events");
	above_local = watch(self->top, "events.local");
	beside = watch(twin, "events");
	ASSERT_TRUE(here >= 0 && local >= 0 && above >= 0 && above_local >= 0 &&
		    beside >= 0);

	for (i = 1; i <= 3; i++) {
		EXPECT_FALSE(woken(here));
		EXPECT_FALSE(woken(local));
		EXPECT_FALSE(woken(above));
		ASSERT_EQ(-EMFILE, call(self->worker, open_one, 0));
		EXPECT_TRUE(wakes(here));
		EXPECT_TRUE(wakes(local));
		EXPECT_TRUE(wakes(above));
		/* A task that is woken finds the event counted. */
		EXPECT_EQ(i, cg_key(self->group, "events", "max"));
		EXPECT_EQ(i, cg_key(self->group, "events.local", "max"));
		EXPECT_EQ(i, cg_key(self->top, "events", "max"));
		reread(here);
		reread(local);
		reread(above);
	}
	EXPECT_FALSE(woken(above_local));
	EXPECT_FALSE(woken(beside));

	/* A charge that succeeds is no event. */
	EXPECT_EQ(0, call(self->worker, close_all, 0));
	EXPECT_EQ(0, call(self->worker, open_one, 0));
	EXPECT_FALSE(woken(here));
}

/* A refusal by an ancestor is the ancestor's event. */
TEST_F(core, poll_of_the_refusing_ancestor)
{
	int below, local, above;

	ASSERT_EQ(0, cg_set(self->top, "limit", 0));
	below = watch(self->group, "events");
	local = watch(self->top, "events.local");
	above = watch(self->top, "events");
	ASSERT_TRUE(below >= 0 && local >= 0 && above >= 0);
	ASSERT_EQ(-EMFILE, call(self->worker, open_one, 0));
	EXPECT_TRUE(wakes(local));
	EXPECT_TRUE(wakes(above));
	EXPECT_FALSE(woken(below));
}

/* The same for a task that watches many files through inotify. */
TEST_F(core, inotify_tells_events)
{
	struct pollfd pfd = { .events = POLLIN };
	char buf[4096];

	pfd.fd = inotify_init1(IN_NONBLOCK);
	if (pfd.fd < 0)
		SKIP(return, "no inotify");
	ASSERT_LE(0, inotify_add_watch(pfd.fd, cg_path(self->group, "events"),
				       IN_MODIFY));
	ASSERT_EQ(0, cg_set(self->group, "limit", 0));
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	ASSERT_EQ(-EMFILE, call(self->worker, open_one, 0));
	EXPECT_EQ(1, poll(&pfd, 1, BC_PATIENCE_MS));
	EXPECT_LT(0, read(pfd.fd, buf, sizeof(buf)));
	close(pfd.fd);
}

/* The log */

/* How many lines of the kernel's log contain @text. */
static int logged(const char *text)
{
	int size = klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0);
	char *log, *p;
	int count = 0;

	log = size > 0 ? calloc(1, size + 1) : NULL;
	if (!log)
		return -1;
	if (klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, size) < 0)
		count = -1;
	for (p = log; count >= 0 && (p = strstr(p, text)); p++)
		count++;
	free(log);
	return count;
}

/*
 * Groups of one name have been logged before, by other tests of this boot: each
 * test here names its groups after itself, and after its process.
 */
static char *new_group_to_log(const char *parent, const char *name)
{
	return cg_newf(parent, "%d.%s", getpid(), name);
}

/* Refused as often as it takes: the machine's rate of such lines is limited. */
static bool refused_and_logged(struct worker *w, const char *line)
{
	return bc_soon(call(w, open_one, 0) == -EMFILE && logged(line) > 0);
}

static long rename_to(long name)
{
	return prctl(PR_SET_NAME, name) ? -errno : 0;
}

/*
 * One line, and only one, says which group was refused, by which group, and
 * which task.
 */
TEST_F(core, first_refusal_is_logged_once)
{
	char *group = new_group_to_log(self->top, "once");
	char *after = new_group_to_log(self->top, "after");
	char *line;
	int i;

	ASSERT_TRUE(group && after);
	ASSERT_EQ(0, call(self->worker, rename_to, (long)"opener"));
	ASSERT_EQ(0, cg_attach(group, self->worker->pid));
	ASSERT_EQ(0, cg_set(group, "limit", 3));
	ASSERT_EQ(0, call(self->worker, open_files, 3));
	ASSERT_GT(asprintf(&line,
			   "bc: numfiles: group /bc_test/%d.once refused at limit 3 (task opener[%d])\n",
			   getpid(), self->worker->pid), 0);
	EXPECT_TRUE(refused_and_logged(self->worker, line))
		TH_LOG("not logged: %s", line);
	for (i = 0; i < 100; i++)
		EXPECT_EQ(-EMFILE, call(self->worker, open_one, 0));

	/* When a later group's line is there, no line is still to come. */
	ASSERT_EQ(0, cg_attach(after, self->worker->pid));
	ASSERT_EQ(0, cg_set(after, "limit", 0));
	ASSERT_GT(asprintf(&line, "/bc_test/%d.after refused at limit 0 ",
			   getpid()), 0);
	EXPECT_TRUE(refused_and_logged(self->worker, line))
		TH_LOG("not logged: %s", line);
	ASSERT_GT(asprintf(&line, "/bc_test/%d.once ", getpid()), 0);
	EXPECT_EQ(1, logged(line));
}

/* Events are told all the same; and the refusal after that is logged. */
TEST_F(core, log_can_be_switched_off)
{
	static const char log_refusals[] = "/sys/module/bc/parameters/log_refusals";
	char *group = new_group_to_log(self->top, "quiet"), *line;
	int events;

	ASSERT_NE(NULL, group);
	ASSERT_EQ(0, cg_attach(group, self->worker->pid));
	ASSERT_EQ(0, cg_set(group, "limit", 0));
	ASSERT_GT(asprintf(&line, "/bc_test/%d.quiet refused at limit 0 ",
			   getpid()), 0);
	events = watch(group, "events.local");
	ASSERT_LE(0, events);
	ASSERT_EQ(0, bc_write_file(log_refusals, "0"));
	EXPECT_EQ(-EMFILE, call(self->worker, open_one, 0));
	/* The line would be there before the event is told. */
	EXPECT_TRUE(wakes(events));
	EXPECT_EQ(0, logged(line));
	ASSERT_EQ(0, bc_write_file(log_refusals, "1"));
	EXPECT_TRUE(refused_and_logged(self->worker, line));
}

/* At the barrier it says so; a refusal by an ancestor names the ancestor. */
TEST_F(core, log_names_barrier_and_ancestor)
{
	char *outer = new_group_to_log(self->top, "outer");
	char *inner = cg_new(outer, "inner");
	char *line;

	ASSERT_NE(NULL, inner);
	ASSERT_EQ(0, cg_attach(inner, self->worker->pid));
	ASSERT_EQ(0, call(self->worker, become_nobody, 0));
	ASSERT_EQ(0, cg_set(outer, "barrier", 2));
	ASSERT_EQ(0, call(self->worker, open_files, 2));
	ASSERT_GT(asprintf(&line,
			   "group /bc_test/%d.outer refused at barrier 2 (task ",
			   getpid()), 0);
	EXPECT_TRUE(refused_and_logged(self->worker, line))
		TH_LOG("not logged: %s", line);
	ASSERT_GT(asprintf(&line, "/bc_test/%d.outer/inner", getpid()), 0);
	EXPECT_EQ(0, logged(line));
}

/*
 * Names are the users' to choose: they must not forge lines of the log, nor
 * send commands to the terminal where it is read. (Cgroups themselves forbid a
 * line break in the name of a group, and nothing else.)
 */
TEST_F(core, log_escapes_names)
{
	char *group = new_group_to_log(self->top, "\033[31mred\tand\177blue");
	static char name[16];		/* of a task, which has no more */
	char *line, *raw;
	struct worker *w;

	ASSERT_NE(NULL, group);
	snprintf(name, sizeof(name), "%d\nline", getpid());
	w = worker_new(group);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, rename_to, (long)name));
	ASSERT_EQ(0, cg_set(group, "limit", 0));
	ASSERT_GT(asprintf(&line, "group /bc_test/%d.", getpid()), 0);
	EXPECT_TRUE(refused_and_logged(w, line))
		TH_LOG("not logged: %s", line);
	/* In whatever notation, but not as it is. */
	ASSERT_GT(asprintf(&raw, "%d.\033[31m", getpid()), 0);
	EXPECT_EQ(0, logged(raw));
	EXPECT_EQ(0, logged("red\tand"));
	EXPECT_EQ(0, logged("and\177blue"));
	EXPECT_EQ(0, logged(name));
	ASSERT_GT(asprintf(&line, "(task %d\\nline[", getpid()), 0);
	EXPECT_EQ(1, logged(line));
}

/* New groups are cheap: they must not be a way to flood the log. */
TEST_F(core, log_is_not_flooded)
{
	enum { GROUPS = 60, BURST = 10, INTERVAL_MS = 5000 };
	char *group[GROUPS], *line;
	long long from, intervals;
	int i, lines;

	for (i = 0; i < GROUPS; i++) {
		group[i] = cg_newf(self->top, "%d.flood%d", getpid(), i);
		ASSERT_NE(NULL, group[i]);
		ASSERT_EQ(0, cg_set(group[i], "limit", 0));
	}
	from = bc_now_ms();
	for (i = 0; i < GROUPS; i++) {
		ASSERT_EQ(0, cg_attach(group[i], self->worker->pid));
		ASSERT_EQ(-EMFILE, call(self->worker, open_one, 0));
		EXPECT_SOON(1, cg_key(group[i], "events.local", "max"));
	}
	ASSERT_GT(asprintf(&line, "/bc_test/%d.flood", getpid()), 0);
	lines = logged(line);
	EXPECT_LE(0, lines);
	/* Those that have begun: one before, and jiffies may lag by another. */
	intervals = (bc_now_ms() - from) / INTERVAL_MS + 3;
	EXPECT_GE(BURST * intervals, lines);
}

/* Trace events */

static char *tracing;

static bool trace_write(const char *file, const char *text)
{
	char *path;
	int fd, ok;

	if (asprintf(&path, "%s/%s", tracing, file) < 0)
		return false;
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	free(path);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* Whether a line of the trace has @text, which ends with a whole number. */
static bool traced(const char *text)
{
	char line[1024], *path, *at;
	bool found = false;
	FILE *f;

	if (asprintf(&path, "%s/trace", tracing) < 0)
		return false;
	f = fopen(path, "r");
	free(path);
	while (f && !found && fgets(line, sizeof(line), f)) {
		at = strstr(line, text);
		found = at && !isdigit(at[strlen(text)]);
	}
	if (f)
		fclose(f);
	return found;
}

/* An instance of its own does not disturb other users of tracing. */
static bool trace_start(void)
{
	static const char * const places[] = {
		"/sys/kernel/tracing", "/sys/kernel/debug/tracing",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		mount("none", "/sys/kernel/tracing", "tracefs", 0, NULL);
		if (asprintf(&tracing, "%s/instances/bc_test", places[i]) < 0)
			return false;
		if ((!mkdir(tracing, 0700) || errno == EEXIST) &&
		    trace_write("events/bc/enable", "1") &&
		    trace_write("trace", ""))
			return true;
	}
	return false;
}

static void trace_stop(void)
{
	trace_write("events/bc/enable", "0");
	rmdir(tracing);
}

/* A group is told by the inode number of its directory. */
static char *trace_line(const char *event, const char *cg)
{
	struct stat st;
	char *line;

	if (stat(cg, &st) || asprintf(&line, "%s: numfiles group=%lu", event,
				      (unsigned long)st.st_ino) < 0)
		return NULL;
	return line;
}

TEST_F(core, trace_events)
{
	char *refused = trace_line("bc_charge_refused", self->group);
	char *barrier = trace_line("bc_barrier_hit", self->group);
	char *reparent = trace_line("bc_reparent", self->group);

	ASSERT_TRUE(refused && barrier && reparent);
	if (!trace_start())
		SKIP(return, "no tracefs, or no events/bc");
	ASSERT_EQ(0, cg_set(self->group, "barrier", 2));
	ASSERT_EQ(0, cg_set(self->group, "limit", 3));
	ASSERT_EQ(0, call(self->worker, open_files, 2));
	EXPECT_FALSE(traced(barrier));
	ASSERT_EQ(0, call(self->worker, open_files, 1));
	EXPECT_TRUE(traced(barrier));
	EXPECT_FALSE(traced(refused));
	ASSERT_EQ(-EMFILE, call(self->worker, open_one, 0));
	EXPECT_TRUE(traced(refused));

	ASSERT_EQ(0, cg_attach(cg_new(self->top, "other"), self->worker->pid));
	EXPECT_FALSE(traced(reparent));
	ASSERT_EQ(0, cg_rmdir(self->group));
	EXPECT_TRUE(bc_soon(traced(reparent)));
	trace_stop();
}

/* Lifetime */

/*
 * Files keep a group's account, not the group: the kernel frees a removed one
 * although hundreds of its files are open. Catches: a reference to the css per
 * object, the zombie groups that mainline had for years.
 */
TEST_F(core, removed_groups_are_freed)
{
	enum { GROUPS = 20, FILES = 25 };
	char *other = cg_new(self->top, "other");
	int before, i;

	ASSERT_NE(NULL, other);
	before = bc_num_cgroups("numfiles");
	for (i = 0; i < GROUPS; i++) {
		char *group = cg_newf(self->top, "short-lived%d", i);

		ASSERT_NE(NULL, group);
		ASSERT_EQ(0, cg_attach(group, self->worker->pid));
		ASSERT_EQ(0, call(self->worker, open_files, FILES));
		ASSERT_EQ(0, cg_attach(other, self->worker->pid));
		ASSERT_EQ(0, cg_rmdir(group));
	}
	EXPECT_EQ(GROUPS * FILES, cg_get(self->top, "usage"));
	/* In v2 fewer: other removed groups may have been on their way out. */
	EXPECT_TRUE(bc_soon(bc_num_cgroups("numfiles") <= before));
	if (variant->v2) {
		EXPECT_SOON(0, cg_key(self->top, "cgroup.stat",
				      "nr_dying_descendants"));
		/* Not in every 6.12.y */
		if (cg_key(self->top, "cgroup.stat", "nr_dying_subsys_numfiles") !=
		    -ENOENT)
			EXPECT_SOON(0, cg_key(self->top, "cgroup.stat",
					      "nr_dying_subsys_numfiles"));
	}
	EXPECT_EQ(GROUPS * FILES, cg_get(self->top, "usage"));
	EXPECT_EQ(0, call(self->worker, close_all, 0));
	EXPECT_SOON(0, cg_get(self->top, "usage"));
}

/*
 * Removing a group while its events are being told: the telling is deferred,
 * and must find the group there, or let it go.
 */
TEST_F(core, rmdir_right_after_a_refusal)
{
	int before = bc_num_cgroups("numfiles"), i;
	const int rounds = bc_rounds(100);

	for (i = 0; i < rounds; i++) {
		char *group = cg_newf(self->top, "g%d", i);

		ASSERT_NE(NULL, group);
		ASSERT_EQ(0, cg_set(group, "limit", 0));
		ASSERT_EQ(0, cg_attach(group, self->worker->pid));
		ASSERT_EQ(-EMFILE, call(self->worker, open_one, 0));
		ASSERT_EQ(0, cg_attach(self->group, self->worker->pid));
		ASSERT_EQ(0, cg_rmdir(group));
	}
	EXPECT_TRUE(bc_soon(bc_num_cgroups("numfiles") <= before));
	EXPECT_EQ(rounds, cg_key(self->top, "events", "max"));
}

/* Hierarchies of v1: each of these tests makes what it needs. */

FIXTURE(v1_hierarchy)
{
};

FIXTURE_SETUP(v1_hierarchy)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	bc_v2 = false;
	ASSERT_EQ(0, bc_many_files());
	ASSERT_TRUE(bc_release())
		TH_LOG("%s", bc_why);
}

FIXTURE_TEARDOWN(v1_hierarchy)
{
	bc_release();
}

static bool has(const char *cg, const char *file)
{
	return !access(cg_path(cg, file), F_OK);
}

/* The limit of five holds for @w, which is in @group. */
static bool five_files_fit(const char *group, struct worker *w)
{
	return !cg_set(group, "limit", 5) &&
	       call(w, open_until_refused, 10) == 5 &&
	       call(w, open_one, 0) == -EMFILE &&
	       cg_get(group, "usage") == 5 &&
	       call(w, close_all, 0) == 0 &&
	       cg_get(group, "usage") == 0;
}

TEST_F(v1_hierarchy, numfiles_alone_with_a_name)
{
	char *root = bc_mount_v1("numfiles,name=bc_alone");
	struct worker *w;
	char *group;

	ASSERT_NE(NULL, root)
		TH_LOG("%s", bc_why);
	EXPECT_FALSE(has(root, "usage"));
	EXPECT_FALSE(has(root, "limit"));
	group = cg_new(root, "bc_test");
	w = worker_new(group);
	ASSERT_NE(NULL, w);
	EXPECT_TRUE(five_files_fit(group, w));
	worker_end(w);
	EXPECT_EQ(0, cg_purge(group));
	EXPECT_SOON(1, bc_num_cgroups("numfiles"));
	EXPECT_EQ(0, bc_umount(root));
}

static pid_t children[16];

static long fork_until_refused(long most)
{
	long n;

	for (n = 0; n < most; n++) {
		children[n] = fork();
		if (!children[n])
			for (;;)
				pause();
		if (children[n] < 0)
			break;
	}
	return n;
}

static long kill_children(long n)
{
	while (n-- > 0) {
		kill(children[n], SIGKILL);
		waitpid(children[n], NULL, 0);
	}
	return 0;
}

/* Two controllers in one hierarchy: one directory, two limits. */
TEST_F(v1_hierarchy, numfiles_with_pids)
{
	char *root, *group;
	struct worker *w;

	if (bc_hierarchy_of("pids") < 0)
		SKIP(return, "no pids controller");
	root = bc_mount_v1("pids,numfiles,name=bc_both");
	ASSERT_NE(NULL, root)
		TH_LOG("%s", bc_why);
	EXPECT_EQ(bc_hierarchy_of("pids"), bc_hierarchy_of("numfiles"));
	group = cg_new(root, "bc_test");
	w = worker_new(group);
	ASSERT_NE(NULL, w);
	EXPECT_TRUE(has(group, "pids.max"));
	EXPECT_TRUE(has(group, "limit"));
	EXPECT_TRUE(five_files_fit(group, w));
	ASSERT_EQ(0, cg_write(group, "pids.max", "4"));
	EXPECT_EQ(3, call(w, fork_until_refused, 10));
	EXPECT_TRUE(five_files_fit(group, w));
	EXPECT_EQ(0, call(w, kill_children, 3));
	worker_end(w);
	EXPECT_EQ(0, cg_purge(group));
	EXPECT_SOON(1, bc_num_cgroups("numfiles"));
	EXPECT_EQ(0, bc_umount(root));
	EXPECT_SOON(0, bc_hierarchy_of("pids"));
}

static long cpus_allowed(long unused)
{
	return bc_cpus();
}

/*
 * Each controller in a hierarchy of its own, at the same time: a task is in a
 * group of each, and every combination of groups is possible.
 */
TEST_F(v1_hierarchy, numfiles_pids_and_cpuset_apart)
{
	char *files, *pids, *cpus, *few, *many, *one_cpu, *few_pids;
	struct worker *w;

	if (bc_hierarchy_of("cpuset") || bc_hierarchy_of("pids"))
		SKIP(return, "no cpuset or pids controller at hand");
	cpus = bc_mount_v1("cpuset,name=bc_cpus");
	files = bc_mount_v1("numfiles,name=bc_files");
	pids = bc_mount_v1("pids,name=bc_pids");
	ASSERT_TRUE(cpus && files && pids)
		TH_LOG("%s", bc_why);
	EXPECT_NE(bc_hierarchy_of("cpuset"), bc_hierarchy_of("numfiles"));
	EXPECT_NE(bc_hierarchy_of("pids"), bc_hierarchy_of("numfiles"));

	few = cg_new(files, "few");
	many = cg_new(files, "many");
	one_cpu = cg_new(cpus, "one");
	few_pids = cg_new(pids, "few");
	ASSERT_TRUE(few && many && one_cpu && few_pids);
	EXPECT_FALSE(has(one_cpu, "limit"));
	EXPECT_FALSE(has(few, "cpuset.cpus"));
	EXPECT_FALSE(has(few, "pids.max"));
	ASSERT_EQ(0, cg_write(one_cpu, "cpuset.cpus", "0"));
	ASSERT_EQ(0, cg_write(one_cpu, "cpuset.mems", "0"));
	ASSERT_EQ(0, cg_write(few_pids, "pids.max", "1"));

	w = worker_new(few);
	ASSERT_NE(NULL, w);
	EXPECT_TRUE(five_files_fit(few, w));
	ASSERT_EQ(0, cg_attach(one_cpu, w->pid));
	EXPECT_EQ(1, call(w, cpus_allowed, 0));
	EXPECT_TRUE(five_files_fit(few, w));
	ASSERT_EQ(0, cg_attach(many, w->pid));
	EXPECT_EQ(1, call(w, cpus_allowed, 0));
	EXPECT_EQ(100, call(w, open_until_refused, 100));
	EXPECT_EQ(100, cg_get(many, "usage"));
	ASSERT_EQ(0, cg_attach(few_pids, w->pid));
	EXPECT_EQ(0, call(w, fork_until_refused, 3));
	EXPECT_EQ(0, call(w, close_all, 0));
	worker_end(w);

	EXPECT_EQ(0, cg_purge(few));
	EXPECT_EQ(0, cg_purge(many));
	EXPECT_EQ(0, cg_purge(one_cpu));
	EXPECT_EQ(0, cg_purge(few_pids));
	EXPECT_SOON(1, bc_num_cgroups("numfiles"));
	EXPECT_SOON(1, bc_num_cgroups("cpuset"));
	EXPECT_SOON(1, bc_num_cgroups("pids"));
	EXPECT_EQ(0, bc_umount(files));
	EXPECT_EQ(0, bc_umount(cpus));
	EXPECT_EQ(0, bc_umount(pids));
	EXPECT_SOON(0, bc_hierarchy_of("cpuset"));
	EXPECT_SOON(0, bc_hierarchy_of("pids"));
	EXPECT_SOON(0, bc_hierarchy_of("numfiles"));
}

/*
 * One resource, one account of it: no second hierarchy can have it meanwhile.
 */
TEST_F(v1_hierarchy, numfiles_is_in_one_hierarchy)
{
	char *root = bc_mount_v1("numfiles"), *v2 = bc_mount_v2();
	char *group, dir[] = "/tmp/bc.XXXXXX";

	ASSERT_TRUE(root && v2);
	ASSERT_NE(NULL, mkdtemp(dir));
	group = cg_new(root, "bc_test");
	ASSERT_NE(NULL, group);
	EXPECT_EQ(-1, mount("none", dir, "cgroup", 0, "numfiles,name=bc_second"));
	EXPECT_EQ(EBUSY, errno);
	if (bc_hierarchy_of("pids") == 0) {
		EXPECT_EQ(-1, mount("none", dir, "cgroup", 0, "pids,numfiles"));
		EXPECT_EQ(EBUSY, errno);
	}
	rmdir(dir);
	EXPECT_NULL(strstr(cg_read(v2, "cgroup.controllers"), "numfiles"));
	EXPECT_EQ(-ENOENT, cg_write(v2, "cgroup.subtree_control", "+numfiles"));
	EXPECT_EQ(0, bc_umount(v2));
	EXPECT_EQ(0, cg_rmdir(group));
	EXPECT_SOON(1, bc_num_cgroups("numfiles"));
	EXPECT_EQ(0, bc_umount(root));
}

/*
 * Again and again, as v1 and as v2, with files that were opened before, in a
 * group, or after; and that outlive the group and the whole hierarchy. Catches:
 * anything that survives an unmount, a file returned to the wrong account or to
 * none (a later group would show it).
 */
TEST_F(v1_hierarchy, files_outlive_hierarchies)
{
	struct worker *w = worker_new(NULL);
	int in_v2 = bc_num_cgroups("numfiles"), i;
	char *root, *group;

	ASSERT_NE(NULL, w);
	for (i = 0; i < 6; i++) {
		bc_v2 = i % 2;
		ASSERT_EQ(0, call(w, open_files, 10));
		root = bc_v2 ? bc_mount_v2() : bc_mount_v1("numfiles");
		ASSERT_NE(NULL, root);
		ASSERT_TRUE(bc_soon((group = cg_new(root, "bc_test"))));
		EXPECT_EQ(0, cg_get(group, "usage"));
		ASSERT_EQ(0, cg_attach(group, w->pid));
		ASSERT_EQ(0, call(w, open_files, 10));
		EXPECT_EQ(10, cg_get(group, "usage"));
		/* Some of the groups from before, in this hierarchy or another. */
		ASSERT_EQ(0, call(w, close_first, 0));
		ASSERT_EQ(0, call(w, close_first, 0));
		EXPECT_EQ(10, cg_get(group, "usage"));
		ASSERT_EQ(0, call(w, close_files, 1));
		EXPECT_EQ(9, cg_get(group, "usage"));

		ASSERT_EQ(0, cg_attach(root, w->pid));
		ASSERT_EQ(0, cg_rmdir(group));
		EXPECT_TRUE(bc_soon(bc_num_cgroups("numfiles") <=
				    (bc_v2 ? in_v2 : 1)));
		if (bc_v2)
			EXPECT_EQ(0, cg_write(root, "cgroup.subtree_control",
					      "-numfiles"));
		EXPECT_EQ(0, bc_umount(root));
		EXPECT_SOON(0, bc_hierarchy_of("numfiles"));
		EXPECT_TRUE(bc_soon(bc_num_cgroups("numfiles") <= in_v2));
	}
	EXPECT_EQ(0, call(w, close_all, 0));
	worker_end(w);
}

/* Cgroup v2 */

FIXTURE(v2_hierarchy)
{
	char *top;
};

FIXTURE_SETUP(v2_hierarchy)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(true);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
}

FIXTURE_TEARDOWN(v2_hierarchy)
{
	bc_teardown();
}

/*
 * The controller goes off and on while processes and files are there. What was
 * charged stays charged: to the group above, which has the controller.
 */
TEST_F(v2_hierarchy, switched_off_and_on)
{
	char *group = cg_new(self->top, "group");
	struct worker *w = worker_new(group);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(group, "limit", 5));
	EXPECT_EQ(5, call(w, open_until_refused, 10));
	ASSERT_EQ(0, cg_write(self->top, "cgroup.subtree_control", "-numfiles"));
	EXPECT_FALSE(has(group, "usage"));
	EXPECT_EQ(5, cg_get(self->top, "usage"));
	EXPECT_EQ(0, call(w, open_files, 3));
	EXPECT_EQ(8, cg_get(self->top, "usage"));

	/* On again, it is a new account, without a limit. */
	ASSERT_EQ(0, cg_write(self->top, "cgroup.subtree_control", "+numfiles"));
	EXPECT_TRUE(has(group, "usage"));
	EXPECT_EQ(0, cg_get(group, "usage"));
	EXPECT_EQ(BC_UNLIMITED, cg_get(group, "limit"));
	EXPECT_EQ(0, call(w, open_files, 2));
	EXPECT_EQ(2, cg_get(group, "usage"));
	EXPECT_EQ(10, cg_get(self->top, "usage"));

	/* The oldest two were the old account's. */
	EXPECT_EQ(0, call(w, close_first, 0));
	EXPECT_EQ(0, call(w, close_first, 0));
	EXPECT_EQ(2, cg_get(group, "usage"));
	EXPECT_EQ(8, cg_get(self->top, "usage"));
	EXPECT_EQ(0, call(w, close_all, 0));
	EXPECT_EQ(0, cg_get(group, "usage"));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
}

/* Where it is not switched on below, the whole subtree is one account. */
TEST_F(v2_hierarchy, not_on_in_a_subtree)
{
	char *group = cg_new(self->top, "group"), *below;
	struct worker *w;

	ASSERT_NE(NULL, group);
	ASSERT_GT(asprintf(&below, "%s/below", group), 0);
	ASSERT_EQ(0, mkdir(below, 0755));
	EXPECT_FALSE(has(below, "usage"));
	w = worker_new(below);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(group, "limit", 4));
	EXPECT_EQ(4, call(w, open_until_refused, 10));
	EXPECT_EQ(4, cg_get(group, "usage"));
	EXPECT_EQ(1, cg_key(group, "events.local", "max"));
}

/* Threads of one process in groups of their own. */
static char *thread_group[2];
static long thread_opened[2];
static pthread_barrier_t both_done;

static void *open_in_group(void *arg)
{
	long i = (long)arg, n = 0;

	if (cg_write(thread_group[i], "cgroup.threads", "0"))
		n = -1;
	while (n >= 0 && n < 100 && open("/", O_RDONLY | O_DIRECTORY) >= 0)
		n++;
	thread_opened[i] = n;
	pthread_barrier_wait(&both_done);
	return NULL;
}

static long open_in_both(long unused)
{
	pthread_t thread[2];
	long i;

	pthread_barrier_init(&both_done, NULL, 2);
	for (i = 0; i < 2; i++)
		if (pthread_create(&thread[i], NULL, open_in_group, (void *)i))
			return -EAGAIN;
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	return thread_opened[0] * 1000 + thread_opened[1];
}

/*
 * numfiles is a threaded controller: it is one of the few that a threaded group
 * may have. The thread that opens is charged, in its own group.
 */
TEST_F(v2_hierarchy, threaded_groups)
{
	char *domain = cg_new(self->top, "domain");
	struct worker *w;
	int i;

	ASSERT_NE(NULL, domain);
	for (i = 0; i < 2; i++) {
		thread_group[i] = cg_newf(domain, "thread%d", i);
		ASSERT_NE(NULL, thread_group[i]);
		ASSERT_EQ(0, cg_write(thread_group[i], "cgroup.type", "threaded"));
		EXPECT_NE(NULL, strstr(cg_read(thread_group[i],
					       "cgroup.controllers"), "numfiles"));
		EXPECT_TRUE(has(thread_group[i], "limit"));
	}
	w = worker_new(domain);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(thread_group[0], "limit", 5));
	ASSERT_EQ(0, cg_set(thread_group[1], "limit", 7));
	EXPECT_EQ(5007, call(w, open_in_both, 0));
	EXPECT_EQ(5, cg_get(thread_group[0], "usage"));
	EXPECT_EQ(7, cg_get(thread_group[1], "usage"));
	EXPECT_EQ(12, cg_get(domain, "usage"));
	EXPECT_EQ(1, cg_refusals(thread_group[0]));
	EXPECT_EQ(1, cg_refusals(thread_group[1]));
	EXPECT_EQ(0, cg_refusals(domain));
	worker_end(w);
	EXPECT_SOON(0, cg_get(domain, "usage"));
}

TEST_HARNESS_MAIN
