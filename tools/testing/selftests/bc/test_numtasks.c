// SPDX-License-Identifier: GPL-2.0
/*
 * numtasks, as its users see it: every task of a group counts from fork until
 * it is waited for, wherever it is moved; no group forks beyond its limit, or
 * faster than its fork rate; and what a group has reserved it can fork,
 * whatever other groups do.
 *
 * Workers are tasks, too, and enter their group by being moved: where a limit
 * is to be met by forks alone, it is set when they are there.
 */
/* bc-boot: --smp 4 */
#include <fcntl.h>
#include <libgen.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

/* Makes this program, run by exec, wait until it is killed. */
#define HOLD "--hold-until-killed"

#define RATE "fork_rate"
#define INTERVAL "fork_rate_interval_ms"

#define THREADS_MAX "/proc/sys/kernel/threads-max"

static void __attribute__((constructor)) choose_controller(void)
{
	bc_controller = "numtasks";
}

static long long read_threads_max(void)
{
	int fd = open(THREADS_MAX, O_RDONLY | O_CLOEXEC);
	long long n = fd < 0 ? -1 : bc_read_number(fd);

	if (fd >= 0)
		close(fd);
	return n;
}

static int write_threads_max(long long n)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", n);
	return bc_write_file(THREADS_MAX, text);
}

FIXTURE(numtasks)
{
	char *top;	/* has no processes (v2: groups with some have none below) */
	char *group;
	char *other;
	long long threads_max;
};

FIXTURE_VARIANT(numtasks)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(numtasks, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(numtasks, v2) { .v2 = true };

FIXTURE_SETUP(numtasks)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	/* Orphans are to be waited for, and to count no longer. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	self->other = cg_new(self->top, "other");
	ASSERT_TRUE(self->group && self->other);
	self->threads_max = read_threads_max();
	ASSERT_GT(self->threads_max, 0);
}

FIXTURE_TEARDOWN(numtasks)
{
	if (read_threads_max() != self->threads_max)
		write_threads_max(self->threads_max);
	bc_teardown();
}

/* What there is in v2 only. */
FIXTURE(unified)
{
	char *top;
	char *group;
	char *other;
};

FIXTURE_SETUP(unified)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	self->top = bc_setup(true);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	self->other = cg_new(self->top, "other");
	ASSERT_TRUE(self->group && self->other);
}

FIXTURE_TEARDOWN(unified)
{
	bc_teardown();
}

/* Processes that a worker has. */

static void __attribute__((noreturn)) idle(void)
{
	for (;;)
		pause();
}

/* Does @one @n times, or to the first error. */
static long many(bc_work one, long n)
{
	long err = 0;

	while (n-- > 0 && !err)
		err = one(0);
	return err;
}

/*
 * How many there could be, @most at most; -errno for another reason than
 * EAGAIN.
 */
static long until_refused(bc_work one, long most)
{
	long n = 0, err = 0;

	while (n < most && !err) {
		err = one(0);
		n += !err;
	}
	return err && err != -EAGAIN ? err : n;
}

static long fork_many(long n)
{
	return many(fork_one, n);
}

static long fork_until_refused(long most)
{
	return until_refused(fork_one, most);
}

/* Forks a task that has ended, and that was not waited for: its pid. */
static long make_zombie(long unused)
{
	siginfo_t info;
	pid_t pid = fork();

	(void)unused;
	if (!pid)
		_exit(0);
	if (keep_child(pid))
		return -errno;
	return waitid(P_PID, pid, &info, WEXITED | WNOWAIT) ? -errno : pid;
}

static long vfork_and_wait(long unused)
{
	pid_t pid = vfork();

	(void)unused;
	if (!pid)
		_exit(0);
	if (pid < 0)
		return -errno;
	return waitpid(pid, NULL, 0) == pid ? 0 : -errno;
}

/* Threads that a worker has, on a stack. */

static struct thread {
	pthread_t id;
	pid_t tid;
	sem_t started;
	sem_t end;
} threads[256];
static int nthreads;

static pthread_attr_t *small_stack(void)
{
	static pthread_attr_t attr;
	static bool done;

	if (!done) {
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 64 * 1024);
		done = true;
	}
	return &attr;
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	t->tid = syscall(SYS_gettid);
	sem_post(&t->started);
	while (sem_wait(&t->end))
		;
	return NULL;
}

static long thread_one(long unused)
{
	struct thread *t = &threads[nthreads];
	int err;

	(void)unused;
	sem_init(&t->started, 0, 0);
	sem_init(&t->end, 0, 0);
	err = pthread_create(&t->id, small_stack(), thread_main, t);
	if (err)
		return -err;
	while (sem_wait(&t->started))
		;
	nthreads++;
	return 0;
}

static long thread_many(long n)
{
	return many(thread_one, n);
}

static long threads_until_refused(long most)
{
	return until_refused(thread_one, most);
}

/* Joined is not yet gone: that takes a moment. */
static long end_threads(long n)
{
	while (n-- > 0 && nthreads) {
		struct thread *t = &threads[--nthreads];

		sem_post(&t->end);
		if (pthread_join(t->id, NULL))
			return -EINVAL;
	}
	return 0;
}

static long thread_id(long n)
{
	return threads[n].tid;
}

static void *end_at_once(void *arg)
{
	return arg;
}

static long thread_and_join(long unused)
{
	pthread_t id;
	int err;

	(void)unused;
	err = pthread_create(&id, small_stack(), end_at_once, NULL);
	if (err)
		return -err;
	return pthread_join(id, NULL) ? -EINVAL : 0;
}

/* Processes with threads: the results are pids, or -errno. */

static int tell[2];		/* what a child has to say */

static long started(pid_t pid)
{
	long err = 0;

	close(tell[1]);
	if (keep_child(pid))
		err = -errno;
	else if (read(tell[0], &err, sizeof(err)) < 0)
		err = -errno;
	close(tell[0]);
	return err ?: pid;
}

static void say(long err)
{
	if (write(tell[1], &err, sizeof(err)) != sizeof(err))
		_exit(1);
}

static long fork_with_threads(long n)
{
	pid_t pid;

	if (pipe2(tell, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		say(thread_many(n));
		idle();
	}
	return started(pid);
}

/* The first thread ends while @n others go on. */
static long fork_without_leader(long n)
{
	pid_t pid;

	if (pipe2(tell, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		say(thread_many(n));
		syscall(SYS_exit, 0);
	}
	return started(pid);
}

static void *run_myself(void *unused)
{
	(void)unused;
	execl("/proc/self/exe", "test_numtasks", HOLD, NULL);
	say(-errno);
	return NULL;
}

/* One of @n threads, not the first, runs another program. */
static long fork_and_exec_in_thread(long n)
{
	pthread_t id;
	pid_t pid;
	long err;

	if (pipe2(tell, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		err = thread_many(n - 1);
		if (!err)
			err = -pthread_create(&id, NULL, run_myself, NULL);
		if (err)
			say(err);
		idle();
	}
	return started(pid);
}

/* Reaps all children that have ended, workers included. */
static void reap_orphans(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static long long usage_without_orphans(const char *cg)
{
	reap_orphans();
	return cg_get(cg, "usage");
}

static long long forced(const char *cg)
{
	return cg_key(cg, "events", "forced");
}

static long long unreturned(const char *cg)
{
	return cg_key(cg, "stat", "charged") - cg_key(cg, "stat", "uncharged");
}

/* The limit */

TEST_F(numtasks, new_groups_have_no_tasks_and_no_limit)
{
	EXPECT_EQ(0, cg_get(self->group, "usage"));
	EXPECT_EQ(BC_UNLIMITED, cg_get(self->group, "limit"));
	EXPECT_EQ(BC_UNLIMITED, cg_get(self->group, "barrier"));
	EXPECT_EQ(0, cg_get(self->group, "reservation"));
	EXPECT_EQ(0, cg_refusals(self->group));
	EXPECT_EQ(0, forced(self->group));
	EXPECT_EQ(0, cg_key(self->group, "events", "fork_rate"));
}

TEST_F(numtasks, the_limit_is_exact_for_processes)
{
	struct worker *w = worker_new(self->group);

	ASSERT_NE(NULL, w);
	EXPECT_EQ(1, cg_get(self->group, "usage"));
	ASSERT_EQ(0, cg_set(self->group, "limit", 5));
	EXPECT_EQ(4, call(w, fork_until_refused, 20));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	EXPECT_EQ(-EAGAIN, call(w, vfork_and_wait, 0));
	EXPECT_EQ(5, cg_get(self->group, "usage"));
	EXPECT_EQ(5, cg_get(self->top, "usage"));
	EXPECT_EQ(5, cg_get(self->group, "max_usage"));
	EXPECT_EQ(3, cg_refusals(self->group));
	EXPECT_EQ(3, cg_key(self->group, "events", "max"));
	EXPECT_EQ(0, forced(self->group));

	/* What has been refused for want of room works when there is some. */
	ASSERT_EQ(0, call(w, end_children, 2));
	EXPECT_EQ(3, cg_get(self->group, "usage"));
	EXPECT_EQ(0, call(w, vfork_and_wait, 0));
	EXPECT_EQ(2, call(w, fork_until_refused, 20));
	EXPECT_EQ(5, cg_get(self->group, "usage"));
	ASSERT_EQ(0, call(w, end_all_children, 0));
	EXPECT_EQ(1, cg_get(self->group, "usage"));
	worker_end(w);
	EXPECT_EQ(0, cg_get(self->group, "usage"));
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	EXPECT_EQ(0, unreturned(self->top));
}

TEST_F(numtasks, the_limit_is_exact_for_threads)
{
	struct worker *w = worker_new(self->group);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(self->group, "limit", 7));
	EXPECT_EQ(6, call(w, threads_until_refused, 20));
	EXPECT_EQ(-EAGAIN, call(w, thread_one, 0));
	EXPECT_EQ(7, cg_get(self->group, "usage"));
	EXPECT_EQ(2, cg_refusals(self->group));

	/* Threads and processes have the same units. */
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	ASSERT_EQ(0, call(w, end_threads, 2));
	EXPECT_SOON(5, cg_get(self->group, "usage"));
	EXPECT_EQ(0, call(w, fork_one, 0));
	EXPECT_EQ(0, call(w, thread_one, 0));
	EXPECT_EQ(-EAGAIN, call(w, thread_one, 0));
	EXPECT_EQ(7, cg_get(self->group, "usage"));
	EXPECT_EQ(7, cg_get(self->group, "max_usage"));

	/* All of a process's threads end with it. */
	worker_kill(w);
	EXPECT_SOON(1, usage_without_orphans(self->group));
}

/* Catches: a limit that looks at the group's own tasks alone. */
TEST_F(numtasks, a_limit_above_holds_for_all_below)
{
	struct worker *a = worker_new(self->group), *b = worker_new(self->other);

	ASSERT_TRUE(a && b);
	ASSERT_EQ(0, cg_set(self->top, "limit", 8));
	ASSERT_EQ(0, cg_set(self->group, "limit", 4));
	EXPECT_EQ(3, call(a, fork_until_refused, 20));
	EXPECT_EQ(3, call(b, threads_until_refused, 20));
	EXPECT_EQ(8, cg_get(self->top, "usage"));
	EXPECT_EQ(1, cg_refusals(self->group));
	EXPECT_EQ(1, cg_refusals(self->top));
	EXPECT_EQ(0, cg_refusals(self->other));
	ASSERT_EQ(0, call(a, end_children, 1));
	EXPECT_EQ(1, call(b, threads_until_refused, 20));
}

/* v1 refuses what cannot be kept; in v2 there are no new tasks until it is. */
TEST_F(numtasks, a_limit_below_usage)
{
	struct worker *w = worker_new(self->group);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, fork_many, 4));
	if (!variant->v2) {
		EXPECT_EQ(-EBUSY, cg_set(self->group, "limit", 4));
		EXPECT_EQ(BC_UNLIMITED, cg_get(self->group, "limit"));
		EXPECT_EQ(0, cg_set(self->group, "limit", 5));
	} else {
		EXPECT_EQ(0, cg_set(self->group, "limit", 3));
		EXPECT_EQ(5, cg_get(self->group, "usage"));
		EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
		ASSERT_EQ(0, call(w, end_children, 2));
		EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
		ASSERT_EQ(0, call(w, end_children, 1));
		EXPECT_EQ(0, call(w, fork_one, 0));
	}
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	ASSERT_EQ(0, cg_write(self->group, "limit", "max"));
	EXPECT_EQ(0, call(w, fork_many, 10));
}

/*
 * Each CPU keeps some units that were returned there. Catches: a limit that is
 * reached while they lie about on other CPUs.
 */
TEST_F(numtasks, the_limit_is_exact_after_exits_on_every_cpu)
{
	struct worker *w[8];
	int i, n = bc_cpus() < 8 ? bc_cpus() : 8;
	int fd;

	for (i = 0; i < n; i++) {
		w[i] = worker_new_on_cpu(self->group, i);
		ASSERT_NE(NULL, w[i]);
		ASSERT_EQ(0, call(w[i], fork_many, 5));
	}
	ASSERT_EQ(0, cg_set(self->group, "limit", 6 * n));
	EXPECT_EQ(-EAGAIN, call(w[0], fork_one, 0));
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, call(w[i], end_all_children, 0));
	EXPECT_EQ(n, cg_get(self->group, "usage"));
	fd = cg_restart_max(self->group);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(5 * n, call(w[0], fork_until_refused, 100));
	EXPECT_EQ(6 * n, cg_get(self->group, "usage"));
	EXPECT_EQ(6 * n, bc_read_number(fd));
	close(fd);
}

/*
 * Privileges: root has them, unless it is one of a namespace, or gave them up.
 */
TEST_F(numtasks, the_barrier_stops_the_unprivileged_alone)
{
	static const struct {
		bc_work fn;
		long arg;
	} loses[] = {
		{ become_nobody, 0 },
		{ drop_capability, CAP_SYS_ADMIN },
		{ enter_userns, 0 },
	};
	struct worker *root = worker_new(self->group), *user;
	size_t i;

	ASSERT_NE(NULL, root);
	ASSERT_EQ(0, cg_set(self->group, "limit", 6));
	for (i = 0; i < sizeof(loses) / sizeof(*loses); i++) {
		long long barrier = cg_key(self->group, "events", "barrier");
		long long max = cg_key(self->group, "events", "max");

		user = worker_after(worker_new(self->group), loses[i].fn,
				    loses[i].arg);
		ASSERT_NE(NULL, user);
		ASSERT_EQ(0, cg_set(self->group, "barrier", 4));
		EXPECT_EQ(2, call(user, fork_until_refused, 20));
		EXPECT_EQ(4, cg_get(self->group, "usage"));
		EXPECT_EQ(barrier + 1, cg_key(self->group, "events", "barrier"));
		EXPECT_EQ(max, cg_key(self->group, "events", "max"));
		EXPECT_EQ(-EAGAIN, call(user, thread_one, 0));

		EXPECT_EQ(2, call(root, fork_until_refused, 20));
		EXPECT_EQ(6, cg_get(self->group, "usage"));
		EXPECT_EQ(max + 1, cg_key(self->group, "events", "max"));
		ASSERT_EQ(0, call(root, end_all_children, 0));
		EXPECT_EQ(-EAGAIN, call(user, fork_one, 0));
		ASSERT_EQ(0, cg_write(self->group, "barrier", "max"));
		EXPECT_EQ(2, call(user, fork_until_refused, 20));
		ASSERT_EQ(0, call(user, end_all_children, 0));
		worker_end(user);
		EXPECT_EQ(1, cg_get(self->group, "usage"));
	}
}

/* Ends */

TEST_F(numtasks, a_zombie_counts_until_it_is_waited_for)
{
	struct worker *w = worker_new(self->group);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(self->group, "limit", 3));
	ASSERT_GT(call(w, make_zombie, 0), 0);
	ASSERT_GT(call(w, make_zombie, 0), 0);
	EXPECT_EQ(3, cg_get(self->group, "usage"));
	EXPECT_EQ(1, cg_threads(self->group));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	ASSERT_EQ(0, call(w, end_children, 1));
	EXPECT_EQ(2, cg_get(self->group, "usage"));
	EXPECT_EQ(0, call(w, fork_one, 0));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	ASSERT_EQ(0, call(w, end_all_children, 0));
	EXPECT_EQ(1, cg_get(self->group, "usage"));
}

static long ignore_ends(long unused)
{
	(void)unused;
	return signal(SIGCHLD, SIG_IGN) == SIG_ERR ? -errno : 0;
}

static long fork_and_forget(long n)
{
	while (n-- > 0) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (pid < 0)
			return -errno;
	}
	return 0;
}

TEST_F(numtasks, ignored_children_need_no_wait)
{
	struct worker *w = worker_new(self->group);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, ignore_ends, 0));
	ASSERT_EQ(0, call(w, fork_and_forget, 8));
	EXPECT_SOON(1, cg_get(self->group, "usage"));
	EXPECT_EQ(1, unreturned(self->group));
}

/*
 * Catches: a unit that goes with the thread that calls exec, or with the first.
 */
TEST_F(numtasks, exec_leaves_one_task)
{
	struct worker *w = worker_new(self->group);
	long pid;

	ASSERT_NE(NULL, w);
	pid = call(w, fork_and_exec_in_thread, 4);
	ASSERT_GT(pid, 0);
	EXPECT_EQ(2, cg_get(self->group, "usage"));
	EXPECT_EQ(2, cg_threads(self->group));
	/* At work under its old name. */
	ASSERT_EQ(0, cg_attach(self->other, pid));
	EXPECT_EQ(1, cg_get(self->group, "usage"));
	EXPECT_EQ(1, cg_get(self->other, "usage"));
	ASSERT_EQ(0, call(w, end_all_children, 0));
	EXPECT_EQ(0, cg_get(self->other, "usage"));
	EXPECT_EQ(1, cg_get(self->top, "usage"));
}

/*
 * A first thread that has ended counts, and stays where it was, as zombies do.
 */
TEST_F(numtasks, threads_outlive_the_first_one)
{
	struct worker *w = worker_new(self->group);
	long pid;

	ASSERT_NE(NULL, w);
	pid = call(w, fork_without_leader, 3);
	ASSERT_GT(pid, 0);
	ASSERT_SOON('Z', bc_state_of(pid));
	EXPECT_EQ(5, cg_get(self->group, "usage"));
	ASSERT_EQ(0, cg_attach(self->other, pid));
	EXPECT_EQ(2, cg_get(self->group, "usage"));
	EXPECT_EQ(3, cg_get(self->other, "usage"));
	EXPECT_EQ(5, cg_get(self->top, "usage"));
	ASSERT_EQ(0, call(w, end_all_children, 0));
	EXPECT_EQ(1, cg_get(self->group, "usage"));
	EXPECT_EQ(0, cg_get(self->other, "usage"));
}

/* Moves */

TEST_F(numtasks, a_unit_moves_with_its_task)
{
	struct worker *w = worker_new(self->group);
	long pid;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, fork_one, 0));
	pid = call(w, fork_with_threads, 3);
	ASSERT_GT(pid, 0);
	EXPECT_EQ(6, cg_get(self->group, "usage"));

	/* A process with all its threads, and without its parent. */
	ASSERT_EQ(0, cg_attach(self->other, pid));
	EXPECT_EQ(2, cg_get(self->group, "usage"));
	EXPECT_EQ(4, cg_get(self->other, "usage"));
	EXPECT_EQ(6, cg_get(self->top, "usage"));
	/* To where it is already; and back. */
	ASSERT_EQ(0, cg_attach(self->other, pid));
	EXPECT_EQ(4, cg_get(self->other, "usage"));
	ASSERT_EQ(0, cg_attach(self->group, pid));
	EXPECT_EQ(6, cg_get(self->group, "usage"));
	EXPECT_EQ(0, cg_get(self->other, "usage"));
	/* Out of all groups, and in again. */
	ASSERT_EQ(0, cg_attach(dirname(strdup(self->top)), pid));
	EXPECT_EQ(2, cg_get(self->top, "usage"));
	ASSERT_EQ(0, cg_attach(self->other, pid));
	EXPECT_EQ(6, cg_get(self->top, "usage"));
	/* It ends where it has been moved to. */
	ASSERT_EQ(0, call(w, end_children, 1));
	EXPECT_EQ(2, cg_get(self->group, "usage"));
	EXPECT_EQ(0, cg_get(self->other, "usage"));
	EXPECT_EQ(0, cg_rmdir(self->other));
	EXPECT_EQ(2, unreturned(self->top));
}

/* Threads of one process in several groups. */
TEST_F(numtasks, a_unit_moves_with_its_thread)
{
	struct worker *w;
	char *x, *y;
	pid_t tid;

	x = cg_new(self->group, "x");
	ASSERT_NE(NULL, x);
	if (variant->v2)
		ASSERT_EQ(0, cg_write(x, "cgroup.type", "threaded"));
	y = cg_new(self->group, "y");
	ASSERT_NE(NULL, y);
	if (variant->v2)
		ASSERT_EQ(0, cg_write(y, "cgroup.type", "threaded"));
	w = worker_new(self->group);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, thread_many, 3));
	EXPECT_EQ(4, cg_get(self->group, "usage"));

	tid = call(w, thread_id, 2);
	ASSERT_EQ(0, cg_attach_thread(x, tid));
	EXPECT_EQ(1, cg_get(x, "usage"));
	EXPECT_EQ(4, cg_get(self->group, "usage"));
	ASSERT_EQ(0, cg_attach_thread(y, call(w, thread_id, 1)));
	ASSERT_EQ(0, cg_attach_thread(y, tid));
	EXPECT_EQ(0, cg_get(x, "usage"));
	EXPECT_EQ(2, cg_get(y, "usage"));
	EXPECT_EQ(4, cg_get(self->group, "usage"));

	/* A group's threads fork there. */
	ASSERT_EQ(0, cg_attach_thread(x, w->pid));
	ASSERT_EQ(0, cg_set(x, "limit", 2));
	EXPECT_EQ(1, call(w, threads_until_refused, 20));
	EXPECT_EQ(2, cg_get(x, "usage"));
	EXPECT_EQ(5, cg_get(self->group, "usage"));
	ASSERT_EQ(0, call(w, end_threads, 2));
	EXPECT_SOON(1, cg_get(x, "usage"));
	EXPECT_SOON(1, cg_get(y, "usage"));
	EXPECT_EQ(3, cg_get(self->group, "usage"));

	/* All together, wherever they were. */
	ASSERT_EQ(0, cg_attach(self->group, w->pid));
	EXPECT_EQ(0, cg_get(x, "usage"));
	EXPECT_EQ(0, cg_get(y, "usage"));
	EXPECT_EQ(3, cg_get(self->group, "usage"));
}

/* An administrator's task gets in. */
TEST_F(numtasks, a_full_group_can_be_entered)
{
	struct worker *in = worker_new(self->group), *helper = worker_new(self->other);

	ASSERT_TRUE(in && helper);
	ASSERT_EQ(0, cg_set(self->group, "limit", 2));
	ASSERT_EQ(1, call(in, fork_until_refused, 20));
	EXPECT_EQ(0, forced(self->group));
	ASSERT_EQ(0, cg_attach(self->group, helper->pid));
	EXPECT_EQ(3, cg_get(self->group, "usage"));
	EXPECT_EQ(3, cg_get(self->group, "max_usage"));
	EXPECT_EQ(1, forced(self->group));
	EXPECT_EQ(1, cg_refusals(self->group));

	/* And is bound by the limit from then on, as are the others. */
	EXPECT_EQ(-EAGAIN, call(helper, fork_one, 0));
	EXPECT_EQ(-EAGAIN, call(in, thread_one, 0));
	ASSERT_EQ(0, call(in, end_children, 1));
	EXPECT_EQ(-EAGAIN, call(in, thread_one, 0));
	ASSERT_EQ(0, cg_attach(self->other, helper->pid));
	EXPECT_EQ(0, call(in, thread_one, 0));
	EXPECT_EQ(2, cg_get(self->group, "usage"));
	EXPECT_EQ(1, forced(self->group));

	/* Not even a limit of 0 keeps a task out. */
	ASSERT_EQ(0, cg_set(self->group, "limit", variant->v2 ? 0 : 2));
	ASSERT_EQ(0, cg_attach(self->group, helper->pid));
	EXPECT_EQ(2, forced(self->group));
}

/*
 * The parent of both groups has no fewer and no more tasks by the move.
 * Catches: a task that counts twice on its way, as an overrun that there was
 * none.
 */
TEST_F(numtasks, moves_below_a_full_parent_are_no_overrun)
{
	struct worker *w = worker_new(self->group);
	long pid;

	ASSERT_NE(NULL, w);
	pid = call(w, fork_with_threads, 2);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, cg_set(self->top, "limit", 4));
	ASSERT_EQ(0, cg_attach(self->other, pid));
	EXPECT_EQ(4, cg_get(self->top, "usage"));
	EXPECT_EQ(4, cg_get(self->top, "max_usage"));
	EXPECT_EQ(0, forced(self->top));
	EXPECT_EQ(3, cg_get(self->other, "usage"));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
}

/* What a move into a guarantee takes up there is free above. */
TEST_F(numtasks, moves_into_a_guarantee_and_out_of_it)
{
	struct worker *w = worker_new(self->other);
	long pid;

	ASSERT_NE(NULL, w);
	pid = call(w, fork_with_threads, 2);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, cg_set(self->top, "limit", 9));
	ASSERT_EQ(0, cg_set(self->group, "reservation", 5));
	EXPECT_EQ(9, cg_get(self->top, "usage"));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	ASSERT_EQ(0, cg_attach(self->group, pid));
	EXPECT_EQ(3, cg_get(self->group, "usage"));
	EXPECT_EQ(6, cg_get(self->top, "usage"));
	EXPECT_EQ(0, forced(self->top));
	EXPECT_EQ(3, call(w, fork_until_refused, 20));
	EXPECT_EQ(9, cg_get(self->top, "usage"));

	/* Out of it they are three too many, and yet no task is kept in. */
	ASSERT_EQ(0, cg_attach(self->other, pid));
	EXPECT_EQ(0, cg_get(self->group, "usage"));
	EXPECT_EQ(7, cg_get(self->other, "usage"));
	EXPECT_EQ(12, cg_get(self->top, "usage"));
	EXPECT_GT(forced(self->top), 0);
	EXPECT_EQ(0, forced(self->other));
	/* What is guaranteed is there all the same. */
	ASSERT_EQ(0, cg_attach(self->group, w->pid));
	EXPECT_EQ(4, call(w, fork_until_refused, 20));
	ASSERT_EQ(0, call(w, end_all_children, 0));
	EXPECT_EQ(5, cg_get(self->top, "usage"));
}

/* Nor is a task kept out of a group that lives on borrowed units. */
TEST_F(numtasks, moves_into_a_strict_parents_child)
{
	struct worker *w = worker_new(self->other);
	char *child;
	long pid;

	ASSERT_NE(NULL, w);
	pid = call(w, fork_with_threads, 2);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, cg_set(self->group, "limit", 10));
	ASSERT_EQ(0, cg_set(self->group, "strict", 1));
	child = cg_new(self->group, "child");
	ASSERT_NE(NULL, child);
	EXPECT_EQ(0, cg_get(child, "limit"));
	ASSERT_EQ(0, cg_attach(child, pid));
	EXPECT_EQ(3, cg_get(child, "usage"));
	EXPECT_EQ(3, cg_get(self->group, "usage"));
	EXPECT_EQ(0, cg_get(child, "reservation"));
	EXPECT_GT(forced(child), 0);
	/* What it borrows covers them. */
	ASSERT_EQ(0, cg_set(child, "limit", 4));
	EXPECT_EQ(4, cg_get(self->group, "usage"));
	ASSERT_EQ(0, cg_attach(child, w->pid));
	EXPECT_EQ(4, cg_get(child, "usage"));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	EXPECT_EQ(1, cg_refusals(child));
	ASSERT_EQ(0, call(w, end_all_children, 0));
	EXPECT_EQ(1, cg_get(child, "usage"));
	EXPECT_EQ(4, cg_get(self->group, "usage"));
	EXPECT_EQ(3, call(w, fork_until_refused, 20));
}

/* Removal */

TEST_F(numtasks, a_group_can_go_before_its_zombies)
{
	char *inner = cg_new(self->group, "inner");
	struct worker *w = worker_new(inner);

	ASSERT_NE(NULL, w);
	ASSERT_GT(call(w, make_zombie, 0), 0);
	ASSERT_GT(call(w, make_zombie, 0), 0);
	ASSERT_EQ(0, cg_attach(self->other, w->pid));
	EXPECT_EQ(2, cg_get(inner, "usage"));
	EXPECT_EQ(1, cg_get(self->other, "usage"));

	/* What is left goes up, and counts there until it is waited for. */
	ASSERT_EQ(0, cg_rmdir(inner));
	EXPECT_EQ(2, cg_get(self->group, "usage"));
	ASSERT_EQ(0, cg_set(self->group, "limit", 2));
	ASSERT_EQ(0, call(w, end_children, 1));
	EXPECT_EQ(1, cg_get(self->group, "usage"));
	EXPECT_EQ(2, cg_get(self->top, "usage"));
	ASSERT_EQ(0, cg_rmdir(self->group));
	EXPECT_EQ(2, cg_get(self->top, "usage"));
	ASSERT_EQ(0, cg_set(self->top, "limit", 2));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	ASSERT_EQ(0, call(w, end_children, 1));
	EXPECT_EQ(1, cg_get(self->top, "usage"));
	EXPECT_EQ(0, call(w, fork_one, 0));
	ASSERT_EQ(0, call(w, end_children, 1));
	EXPECT_EQ(1, unreturned(self->top));
}

/* And the last group before the last zombie. */
TEST_F(numtasks, all_groups_can_go_before_a_zombie)
{
	char *root = dirname(strdup(self->top));
	struct worker *w = worker_new(self->group);

	ASSERT_NE(NULL, w);
	ASSERT_GT(call(w, make_zombie, 0), 0);
	ASSERT_EQ(0, cg_attach(root, w->pid));
	ASSERT_EQ(0, cg_rmdir(self->group));
	ASSERT_EQ(0, cg_rmdir(self->other));
	ASSERT_EQ(0, cg_rmdir(self->top));
	ASSERT_EQ(0, call(w, fork_one, 0));
	ASSERT_EQ(0, call(w, end_all_children, 0));
	/* A new one starts with nothing. */
	self->top = cg_new(root, "again");
	ASSERT_NE(NULL, self->top);
	EXPECT_EQ(0, cg_get(self->top, "usage"));
	ASSERT_EQ(0, cg_attach(self->top, w->pid));
	ASSERT_EQ(0, call(w, fork_one, 0));
	EXPECT_EQ(2, cg_get(self->top, "usage"));
	worker_kill(w);
	EXPECT_SOON(1, usage_without_orphans(self->top));
	EXPECT_EQ(0, cg_purge(self->top));
}

/* Forks that fail */

static long clone3_with(struct clone_args *args)
{
	long pid = syscall(SYS_clone3, args, sizeof(*args));

	if (!pid)
		idle();
	return keep_child(pid);
}

static long clone_with_taken_pid(long unused)
{
	pid_t one = 1;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (unsigned long)&one,
		.set_tid_size = 1,
	};

	(void)unused;
	return clone3_with(&args);
}

static long clone_with_bad_pidfd(long unused)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = 8,
		.exit_signal = SIGCHLD,
	};

	(void)unused;
	return clone3_with(&args);
}

static long clone_with_bad_flags(long unused)
{
	struct clone_args args = { .flags = CLONE_THREAD };

	(void)unused;
	return clone3_with(&args);
}

static long fork_at_own_limit(long unused)
{
	struct rlimit before, none = { 0, 0 };
	long err;

	(void)unused;
	getrlimit(RLIMIT_NPROC, &before);
	none.rlim_max = before.rlim_max;
	setrlimit(RLIMIT_NPROC, &none);
	err = fork_one(0);
	setrlimit(RLIMIT_NPROC, &before);
	return err;
}

TEST_F(numtasks, a_fork_that_fails_leaves_nothing)
{
	struct worker *root = worker_new(self->group), *user;
	int i;

	user = worker_after(worker_new(self->group), become_nobody, 0);
	ASSERT_TRUE(root && user);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EEXIST, call(root, clone_with_taken_pid, 0));
		EXPECT_EQ(-EFAULT, call(root, clone_with_bad_pidfd, 0));
		EXPECT_EQ(-EINVAL, call(root, clone_with_bad_flags, 0));
		EXPECT_EQ(-EAGAIN, call(user, fork_at_own_limit, 0));
	}
	EXPECT_EQ(2, cg_get(self->group, "usage"));
	EXPECT_EQ(2, unreturned(self->group));
	EXPECT_EQ(0, cg_refusals(self->group));
	/* All that the limit allows is there. */
	ASSERT_EQ(0, cg_set(self->group, "limit", 6));
	EXPECT_EQ(4, call(root, fork_until_refused, 20));
}

static void *fork_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		fork_and_wait(0);
	return NULL;
}

/* Kills a process of which four threads fork, @rounds times. */
static long kill_who_forks(long rounds)
{
	struct timespec moment = { 0 };
	unsigned int random = 1;
	pthread_t id;
	pid_t pid;
	int i;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		return -errno;
	while (rounds-- > 0) {
		pid = fork();
		if (pid < 0)
			return -errno;
		if (!pid) {
			for (i = 0; i < 3; i++)
				pthread_create(&id, small_stack(), fork_for_ever,
					       NULL);
			fork_for_ever(NULL);
		}
		moment.tv_nsec = rand_r(&random) % 20000000;
		nanosleep(&moment, NULL);
		kill(pid, SIGKILL);
		/* The process, and all that it has left. */
		while (waitpid(-1, NULL, 0) > 0)
			;
		if (errno != ECHILD)
			return -errno;
	}
	return 0;
}

/*
 * A task that is killed does not fork any more, not even if the new task has
 * been charged already.
 */
TEST_F(numtasks, killed_while_forking)
{
	struct worker *w = worker_new(self->group);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, kill_who_forks, bc_rounds(80)));
	EXPECT_EQ(1, cg_get(self->group, "usage"));
	EXPECT_EQ(1, cg_get(self->top, "usage"));
	EXPECT_EQ(1, unreturned(self->group));
	EXPECT_GT(cg_key(self->group, "stat", "charged"), bc_rounds(80));
	worker_end(w);
	EXPECT_EQ(0, cg_get(self->top, "usage"));
}

/* The machine */

/* What can be lent to groups is what the kernel gives to all: threads-max. */
TEST_F(numtasks, the_machine_has_threads_max)
{
	const long long max = self->threads_max;

	EXPECT_EQ(-ENOSPC, cg_set(self->top, "reservation", max + 1));
	EXPECT_EQ(0, cg_get(self->top, "reservation"));
	EXPECT_EQ(0, cg_set(self->top, "reservation", max));
	EXPECT_EQ(0, cg_set(self->top, "reservation", 0));

	ASSERT_EQ(0, write_threads_max(max / 2));
	EXPECT_EQ(-ENOSPC, cg_set(self->top, "reservation", max / 2 + 1));
	EXPECT_EQ(0, cg_set(self->top, "reservation", max / 2));
	EXPECT_EQ(0, cg_set(self->top, "reservation", 0));

	/* Shares of it follow. */
	ASSERT_EQ(0, cg_write(self->top, "shares", "min_shares=20 max_shares=50"));
	EXPECT_EQ(max / 2 * 20 / 100, cg_get(self->top, "reservation"));
	EXPECT_EQ(max / 2 * 50 / 100, cg_get(self->top, "limit"));
	ASSERT_EQ(0, write_threads_max(max));
	EXPECT_SOON(max * 20 / 100, cg_get(self->top, "reservation"));
	EXPECT_SOON(max * 50 / 100, cg_get(self->top, "limit"));
	ASSERT_EQ(0, write_threads_max(max / 3));
	EXPECT_SOON(max / 3 * 20 / 100, cg_get(self->top, "reservation"));
	EXPECT_SOON(max / 3 * 50 / 100, cg_get(self->top, "limit"));
	ASSERT_EQ(0, write_threads_max(max));
	EXPECT_SOON(max * 20 / 100, cg_get(self->top, "reservation"));
}

/* What the machine has lent to one group, no other group gets. */
TEST_F(numtasks, the_machine_keeps_what_is_guaranteed)
{
	struct worker *w = worker_new(self->other);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(self->group, "reservation", self->threads_max - 40));
	EXPECT_EQ(39, call(w, fork_until_refused, 100));
	EXPECT_EQ(40, cg_get(self->other, "usage"));
	EXPECT_EQ(self->threads_max, cg_get(self->top, "usage"));
	ASSERT_EQ(0, cg_attach(self->group, w->pid));
	EXPECT_EQ(0, call(w, fork_many, 20));
	ASSERT_EQ(0, call(w, end_all_children, 0));
}

/* Bombs */

static void *explode(void *how);

/* How many tasks more, for ever; each of them does the same. */
static void __attribute__((noreturn)) go_off(long how)
{
	unsigned int random = syscall(SYS_gettid);
	struct timespec moment = { .tv_nsec = 10000000 };
	pthread_t id;
	pid_t pid;

	for (;;) {
		if (how && rand_r(&random) % 2) {
			if (!pthread_create(&id, small_stack(), explode, (void *)how))
				continue;
		} else {
			pid = fork();
			if (pid >= 0)
				continue;
		}
		/* Some go, so that there is something to fight for. */
		nanosleep(&moment, NULL);
		if (rand_r(&random) % 16 == 0)
			syscall(SYS_exit, 0);
	}
}

static void *explode(void *how)
{
	go_off((long)how);
	return NULL;
}

enum { OF_PROCESSES, OF_THREADS };

/*
 * Starts a bomb, as a child that is not waited for. It gets what others leave
 * idle.
 */
static long bomb(long how)
{
	pid_t pid = fork();

	if (!pid) {
		setpriority(PRIO_PROCESS, 0, 19);
		signal(SIGCHLD, SIG_IGN);
		prctl(PR_SET_PDEATHSIG, 0);
		/* One that always stays. */
		for (;;) {
			struct timespec moment = { .tv_nsec = 10000000 };

			pid = fork();
			if (!pid)
				go_off(how);
			if (how) {
				pthread_t id;

				pthread_create(&id, small_stack(), explode,
					       (void *)how);
			}
			nanosleep(&moment, NULL);
		}
	}
	return pid < 0 ? -errno : 0;
}

static void kill_others(const char *cg, pid_t but)
{
	char text[65536], *list = text;
	pid_t pid;

	snprintf(text, sizeof(text), "%s", cg_read(cg, "cgroup.procs"));
	while ((pid = bc_next_pid(&list)))
		if (pid != but)
			kill(pid, SIGKILL);
}

/* Ends all that is in @cg: by one write in v2, by two steps in v1. */
static void defuse(const char *cg)
{
	if (bc_v2) {
		cg_write(cg, "cgroup.kill", "1");
		return;
	}
	cg_set(cg, RATE, 0);
	kill_others(cg, 0);
}

FIXTURE(bomb)
{
	char *top;
	char *group;
	char *other;	/* where it goes off */
	struct worker *safe;
	struct worker *bomber;
};

FIXTURE_VARIANT(bomb)
{
	bool v2;
	long how;
};

FIXTURE_VARIANT_ADD(bomb, v1_processes) { .v2 = false, .how = OF_PROCESSES };
FIXTURE_VARIANT_ADD(bomb, v1_threads) { .v2 = false, .how = OF_THREADS };
FIXTURE_VARIANT_ADD(bomb, v2_processes) { .v2 = true, .how = OF_PROCESSES };
FIXTURE_VARIANT_ADD(bomb, v2_threads) { .v2 = true, .how = OF_THREADS };

FIXTURE_SETUP(bomb)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	self->other = cg_new(self->top, "other");
	ASSERT_TRUE(self->group && self->other);
	self->safe = worker_new(self->group);
	self->bomber = worker_new(self->other);
	ASSERT_TRUE(self->safe && self->bomber);
}

FIXTURE_TEARDOWN(bomb)
{
	if (self->other)
		defuse(self->other);
	bc_teardown();
}

/*
 * The promise. The bomb's own group has no limit; its parent's is all there is.
 * Catches: a reservation that the others can eat into, a refusal while units
 * are on their way from one CPU to another.
 */
TEST_F(bomb, a_guaranteed_group_can_always_fork)
{
	const int rounds = bc_debug_kernel() ? 4 : 24;
	int i;

	ASSERT_EQ(0, cg_set(self->top, "limit", 30));
	ASSERT_EQ(0, cg_set(self->group, "reservation", 10));
	EXPECT_EQ(11, cg_get(self->top, "usage"));
	ASSERT_EQ(0, call(self->bomber, bomb, variant->how));
	ASSERT_TRUE(bc_soon(cg_refusals(self->top) > 10));
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, call(self->safe, fork_many, 6));
		ASSERT_EQ(0, call(self->safe, thread_many, 3));
		EXPECT_EQ(10, cg_get(self->group, "usage"));
		EXPECT_LE(cg_get(self->top, "usage"), 30);
		EXPECT_LE(cg_get(self->other, "usage"), 20);
		reap_orphans();
		ASSERT_EQ(0, call(self->safe, end_threads, 3));
		ASSERT_EQ(0, call(self->safe, end_all_children, 0));
		/* Joined threads are gone a little later. */
		ASSERT_SOON(1, cg_get(self->group, "usage"));
	}
	EXPECT_EQ(0, cg_refusals(self->group));
	EXPECT_LE(cg_get(self->top, "max_usage"), 30);
	EXPECT_EQ(0, forced(self->top));

	defuse(self->other);
	EXPECT_SOON(0, usage_without_orphans(self->other));
	EXPECT_EQ(10, cg_get(self->top, "usage"));
	/* All but what it uses can be had back. */
	ASSERT_EQ(0, cg_set(self->group, "reservation", 1));
	EXPECT_EQ(1, cg_get(self->top, "usage"));
	EXPECT_EQ(0, unreturned(self->other));
}

/* Tasks outside can fork, and the machine has tasks left. */
TEST_F(bomb, ceilings_hold)
{
	char *inner;
	int i;

	/* In v2 a group has processes or groups. */
	ASSERT_EQ(0, cg_attach(self->other, self->safe->pid));
	inner = cg_new(self->group, "inner");
	ASSERT_NE(NULL, inner);
	ASSERT_EQ(0, cg_attach(inner, self->safe->pid));
	ASSERT_EQ(0, cg_set(self->top, "limit", 34));
	ASSERT_EQ(0, cg_set(self->group, "limit", 16));
	ASSERT_EQ(0, cg_set(self->other, "limit", 12));
	ASSERT_EQ(0, call(self->bomber, bomb, variant->how));
	ASSERT_EQ(0, call(self->safe, bomb, !variant->how));
	ASSERT_TRUE(bc_soon(cg_refusals(self->other) > 10));
	ASSERT_TRUE(bc_soon(cg_refusals(self->group) > 10));
	for (i = 0; i < bc_rounds(50); i++) {
		EXPECT_LE(cg_get(self->other, "usage"), 12);
		EXPECT_LE(cg_get(self->group, "usage"), 16);
		EXPECT_LE(cg_get(self->top, "usage"), 28);
		EXPECT_LE(cg_threads(self->other), 12);
		reap_orphans();
		bc_sleep_ms(2);
	}
	EXPECT_EQ(12, cg_get(self->other, "max_usage"));
	EXPECT_EQ(16, cg_get(self->group, "max_usage"));
	EXPECT_EQ(0, cg_refusals(self->top));
	EXPECT_EQ(0, forced(self->top));

	defuse(self->other);
	defuse(inner);
	EXPECT_SOON(0, usage_without_orphans(self->top));
	EXPECT_EQ(0, cg_get(self->group, "usage"));
	EXPECT_EQ(0, cg_get(self->other, "usage"));
	EXPECT_EQ(0, unreturned(self->top));
	EXPECT_EQ(0, cg_rmdir(inner));
	EXPECT_EQ(0, cg_rmdir(self->group));
	EXPECT_EQ(0, cg_rmdir(self->other));
}

/*
 * The administrator can work in the very group that a user's bomb has filled.
 */
TEST_F(bomb, the_privileged_have_what_is_above_the_barrier)
{
	struct worker *root = worker_new(self->other);
	int i;

	ASSERT_NE(NULL, root);
	ASSERT_EQ(0, call(self->bomber, become_nobody, 0));
	ASSERT_EQ(0, cg_set(self->other, "barrier", 12));
	ASSERT_EQ(0, cg_set(self->other, "limit", 15));
	ASSERT_EQ(0, call(self->bomber, bomb, variant->how));
	ASSERT_TRUE(bc_soon(cg_key(self->other, "events", "barrier") > 10));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, call(root, fork_many, 3));
		EXPECT_LE(cg_get(self->other, "usage"), 15);
		reap_orphans();
		ASSERT_EQ(0, call(root, end_all_children, 0));
	}
	EXPECT_LE(cg_get(self->other, "max_usage"), 15);
	EXPECT_EQ(0, forced(self->other));
}

/*
 * A rate of none stops it: it dies away, as some of its tasks always go, up to
 * the worker that set it off and the one that always stays.
 */
TEST_F(bomb, a_fork_rate_of_zero_stops_it)
{
	long long charged, refused;

	ASSERT_EQ(0, cg_set(self->other, "limit", 20));
	ASSERT_EQ(0, call(self->bomber, bomb, variant->how));
	ASSERT_TRUE(bc_soon(cg_refusals(self->other) > 10));
	ASSERT_EQ(0, cg_set(self->other, RATE, 0));
	charged = cg_key(self->other, "stat", "charged");
	EXPECT_SOON(2, usage_without_orphans(self->other));
	/* Forks under way at that moment: no more than there were tasks. */
	EXPECT_LE(cg_key(self->other, "stat", "charged"), charged + 20);
	charged = cg_key(self->other, "stat", "charged");
	refused = cg_key(self->other, "events", "fork_rate");
	ASSERT_TRUE(bc_soon(cg_key(self->other, "events", "fork_rate") >
			    refused + 10));
	EXPECT_EQ(charged, cg_key(self->other, "stat", "charged"));
	EXPECT_EQ(0, call(self->safe, fork_one, 0));
}

/* Races */

/* Forks, makes threads, ends them, in an order that @seed decides. */
static unsigned int hammer_random;

static long fork_hammer(long rounds)
{
	unsigned int *random = &hammer_random;
	long err = 0;

	*random += getpid();
	while (rounds-- > 0 && !err) {
		switch (rand_r(random) % 6) {
		case 0:
			err = fork_and_wait(0);
			break;
		case 1:
			err = num_children(0) < 6 ? fork_one(0) : end_children(3);
			break;
		case 2:
			err = nthreads < 6 ? thread_one(0) : end_threads(3);
			break;
		case 3:
			err = thread_and_join(0);
			break;
		case 4:
			err = end_children(1);
			break;
		case 5:
			err = vfork_and_wait(0);
			break;
		}
		if (err == -EAGAIN)
			err = 0;
	}
	return err;
}

static long tasks_of_worker(long unused)
{
	(void)unused;
	return 1 + num_children(0) + nthreads;
}

/*
 * Moves some process of @from, whichever there is: a worker at work, one of its
 * children, one that has just been forked.
 */
static int move_any(const char *from, const char *to, unsigned int *random)
{
	char text[4096], *list = text;
	pid_t pids[1024];
	int n = 0;

	snprintf(text, sizeof(text), "%s", cg_read(from, "cgroup.procs"));
	while (n < 1024 && (pids[n] = bc_next_pid(&list)))
		n++;
	return n ? cg_attach(to, pids[rand_r(random) % n]) : 0;
}

/* How often a task is moved. Each time that waits for a grace period. */
static int moves_a_round(void)
{
	return bc_debug_kernel() ? 10 : 60;
}

/* Each task is counted once, in the group where it is. */
TEST_F(numtasks, forks_race_with_moves)
{
	enum { WORKERS = 3 };
	char *group[] = { self->group, self->other, cg_new(self->group, "inner") };
	const int groups = variant->v2 ? 2 : 3;		/* v2: leaves alone */
	struct worker *w[WORKERS];
	unsigned int random = 1;
	int i, round, moved = 0;
	long tasks;

	if (variant->v2)
		group[0] = group[2];
	for (i = 0; i < WORKERS; i++) {
		w[i] = worker_new(group[i % groups]);
		ASSERT_NE(NULL, w[i]);
	}
	for (round = 0; round < 5; round++) {
		for (i = 0; i < WORKERS; i++)
			start(w[i], fork_hammer, bc_rounds(160));
		for (i = 0; i < moves_a_round(); i++) {
			int err = move_any(group[i % groups],
					   group[rand_r(&random) % groups], &random);

			/* It may have ended. */
			ASSERT_TRUE(err == 0 || err == -ESRCH)
				TH_LOG("%d", err);
			moved += !err;
		}
		tasks = 0;
		for (i = 0; i < WORKERS; i++) {
			ASSERT_EQ(0, finish(w[i]));
			tasks += call(w[i], tasks_of_worker, 0);
		}
		EXPECT_SOON(tasks, cg_get(self->top, "usage"));
		EXPECT_EQ(tasks, unreturned(self->top));
		EXPECT_EQ(cg_threads(self->other), cg_get(self->other, "usage"));
		EXPECT_EQ(cg_threads(group[2]), cg_get(group[2], "usage"));
		EXPECT_EQ(cg_threads(self->group) + cg_threads(group[2]),
			  cg_get(self->group, "usage"));
	}
	EXPECT_GT(moved, 0);
	for (i = 0; i < WORKERS; i++)
		worker_kill(w[i]);
	EXPECT_SOON(0, ({
		defuse(self->other);
		defuse(group[2]);
		defuse(self->group);
		usage_without_orphans(self->top);
	}));
	EXPECT_EQ(0, unreturned(self->top));
}

static char *here, *there;

static bool *stop;		/* shared with the workers */

/*
 * A thread that moves itself does so without holding off forks. It moves once at
 * least, and goes on until it is told to stop: how often it has moved, or -errno.
 */
static long move_myself(long unused)
{
	long n, err = 0;

	(void)unused;
	for (n = 0; (!n || !__atomic_load_n(stop, __ATOMIC_SEQ_CST)) && !err; n++)
		err = cg_attach_thread(n % 2 ? here : there, 0);
	return err ?: n;
}

/* How many of @tries succeed. */
static long try_to_fork(long tries)
{
	long n = 0, err;

	while (tries-- > 0) {
		err = fork_and_wait(0);
		if (err && err != -EAGAIN)
			return err;
		n += !err;
	}
	return n;
}

/*
 * There is no room for another task at any moment. Catches: a unit on its way
 * from one group to another that a fork below the same parent gets, or that
 * counts twice there.
 */
TEST_F(numtasks, forks_get_no_unit_that_is_on_its_way)
{
	enum { FORKERS = 3 };
	struct worker *w[FORKERS], *mover;
	int i;
	int fd;

	here = cg_new(self->group, "here");
	ASSERT_NE(NULL, here);
	if (variant->v2)
		ASSERT_EQ(0, cg_write(here, "cgroup.type", "threaded"));
	there = cg_new(self->group, "there");
	ASSERT_NE(NULL, there);
	if (variant->v2)
		ASSERT_EQ(0, cg_write(there, "cgroup.type", "threaded"));
	stop = mmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)stop);
	mover = worker_new_on_cpu(self->group, 0);
	ASSERT_NE(NULL, mover);
	for (i = 0; i < FORKERS; i++) {
		w[i] = worker_new_on_cpu(self->other, (1 + i) % bc_cpus());
		ASSERT_NE(NULL, w[i]);
	}
	ASSERT_EQ(0, cg_set(self->top, "limit", FORKERS + 1));
	fd = cg_restart_max(self->top);
	ASSERT_GE(fd, 0);
	start(mover, move_myself, 0);
	for (i = 0; i < FORKERS; i++)
		start(w[i], try_to_fork, bc_rounds(1200));
	for (i = 0; i < FORKERS; i++)
		EXPECT_EQ(0, finish(w[i]));
	__atomic_store_n(stop, true, __ATOMIC_SEQ_CST);
	EXPECT_GT(finish(mover), 0);
	EXPECT_EQ(FORKERS + 1, cg_get(self->top, "usage"));
	EXPECT_EQ(FORKERS + 1, bc_read_number(fd));
	close(fd);
	EXPECT_EQ(0, forced(self->top));
	EXPECT_EQ(1, cg_get(self->group, "usage"));
	EXPECT_EQ(1, cg_get(here, "usage") + cg_get(there, "usage"));
	EXPECT_EQ(FORKERS * bc_rounds(1200), cg_refusals(self->top));
}

/* Groups are removed while their last tasks end, and made again. */
static char *scene;

static long play(long rounds)
{
	char mine[512];

	snprintf(mine, sizeof(mine), "%s/p%d", scene, getpid());
	while (rounds-- > 0) {
		pid_t pid;

		if (mkdir(mine, 0755))
			return -errno;
		pid = fork();
		if (!pid) {
			if (cg_attach(mine, getpid()))
				_exit(1);
			/* A zombie that another zombie has left behind. */
			if (!fork())
				_exit(0);
			_exit(0);
		}
		if (pid < 0)
			return -errno;
		/* As soon as no task is alive in it. */
		while (rmdir(mine))
			if (errno != EBUSY)
				return -errno;
		while (waitpid(-1, NULL, 0) > 0)
			;
	}
	return 0;
}

static long be_subreaper(long unused)
{
	(void)unused;
	return prctl(PR_SET_CHILD_SUBREAPER, 1) ? -errno : 0;
}

TEST_F(numtasks, removals_race_with_ends)
{
	enum { WORKERS = 3 };
	struct worker *w[WORKERS];
	int i;

	scene = self->group;
	if (variant->v2)
		ASSERT_EQ(0, cg_write(self->group, "cgroup.subtree_control",
				      "+numtasks"));
	for (i = 0; i < WORKERS; i++) {
		w[i] = worker_after(worker_new(self->other), be_subreaper, 0);
		ASSERT_NE(NULL, w[i]);
		start(w[i], play, bc_rounds(80));
	}
	for (i = 0; i < WORKERS; i++)
		EXPECT_EQ(0, finish(w[i]));
	EXPECT_EQ(0, cg_get(self->group, "usage"));
	EXPECT_EQ(WORKERS, cg_get(self->top, "usage"));
	EXPECT_EQ(WORKERS, unreturned(self->top));
}

/* The same as pids */

/* In whatever hierarchy the machine has it. */
static bool pids_in_use(void)
{
	bool used = true;
	char *root;

	if (bc_hierarchy_of("pids") > 0)
		return true;
	root = bc_mount_v2();
	if (root) {
		used = strstr(cg_read(root, "cgroup.subtree_control"), "pids");
		bc_umount(root);
	}
	return used;
}

FIXTURE(beside_pids)
{
	char *root;
	char *top;
};

FIXTURE_VARIANT(beside_pids)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(beside_pids, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(beside_pids, v2) { .v2 = true };

FIXTURE_SETUP(beside_pids)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	if (bc_hierarchy_of("pids") < 0)
		SKIP(return, "this kernel has no pids");
	if (pids_in_use())
		SKIP(return, "pids is in use");
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	ASSERT_TRUE(bc_release())
		TH_LOG("%s", bc_why);
	bc_v2 = variant->v2;
	self->root = bc_v2 ? bc_mount_v2() : bc_mount_v1("numtasks,pids");
	ASSERT_NE(NULL, self->root)
		TH_LOG("%s", bc_why);
	if (bc_v2)
		ASSERT_EQ(0, cg_write(self->root, "cgroup.subtree_control", "+pids"));
	self->top = cg_new(self->root, "bc_test");
	ASSERT_NE(NULL, self->top);
	if (bc_v2)
		ASSERT_EQ(0, cg_write(self->top, "cgroup.subtree_control", "+pids"));
}

FIXTURE_TEARDOWN(beside_pids)
{
	if (!self->root)
		return;
	if (self->top)
		cg_purge(self->top);
	reap_orphans();
	if (bc_v2)
		cg_write(self->root, "cgroup.subtree_control", "-pids -numtasks");
	bc_umount(self->root);
	EXPECT_TRUE(bc_release());
	EXPECT_SOON(0, bc_hierarchy_of("pids"));
}

/* A task that ends is returned to one of them after the other. */
#define EXPECT_THE_SAME(cg) \
	EXPECT_SOON(cg_get(cg, "usage"), cg_get(cg, "pids.current"))

TEST_F(beside_pids, they_count_the_same)
{
	enum { GROUPS = 3, WORKERS = 4 };
	struct worker *w[WORKERS];
	char *group[GROUPS];
	unsigned int random = 7;
	int i, round;
	long tasks;

	for (i = 0; i < GROUPS; i++) {
		group[i] = cg_newf(self->top, "g%d", i);
		ASSERT_NE(NULL, group[i]);
	}
	/* Each of them refuses some, in the same group. */
	ASSERT_EQ(0, cg_set(group[0], "pids.max", 20));
	ASSERT_EQ(0, cg_set(group[0], "limit", 18));
	ASSERT_EQ(0, cg_set(group[1], "pids.max", 14));
	ASSERT_EQ(0, cg_set(group[1], "limit", 16));
	for (i = 0; i < WORKERS; i++) {
		w[i] = worker_new(group[i % GROUPS]);
		ASSERT_NE(NULL, w[i]);
	}
	for (round = 0; round < 5; round++) {
		for (i = 0; i < WORKERS; i++)
			start(w[i], fork_hammer, bc_rounds(160));
		for (i = 0; i < moves_a_round(); i++)
			move_any(group[i % GROUPS], group[rand_r(&random) % GROUPS],
				 &random);
		tasks = 0;
		for (i = 0; i < WORKERS; i++) {
			ASSERT_EQ(0, finish(w[i]));
			tasks += call(w[i], tasks_of_worker, 0);
		}
		/* Until the last joined thread is gone. */
		EXPECT_SOON(tasks, cg_get(self->top, "usage"));
		EXPECT_THE_SAME(self->top);
		for (i = 0; i < GROUPS; i++)
			EXPECT_THE_SAME(group[i]);
	}
	/* With zombies, in a group and after its end. */
	ASSERT_EQ(0, cg_attach(group[0], w[0]->pid));
	for (i = 1; i < WORKERS; i++)
		worker_kill(w[i]);
	ASSERT_EQ(0, call(w[0], end_all_children, 0));
	ASSERT_EQ(0, call(w[0], end_threads, 100));
	EXPECT_SOON(1, ({
		for (i = 0; i < GROUPS; i++)
			kill_others(group[i], w[0]->pid);
		usage_without_orphans(self->top);
	}));
	ASSERT_EQ(0, cg_attach(group[1], w[0]->pid));
	ASSERT_GT(call(w[0], make_zombie, 0), 0);
	ASSERT_EQ(0, cg_attach(group[0], w[0]->pid));
	EXPECT_THE_SAME(group[0]);
	EXPECT_THE_SAME(group[1]);
	EXPECT_EQ(1, cg_get(group[1], "usage"));
	ASSERT_EQ(0, cg_rmdir(group[1]));
	EXPECT_EQ(2, cg_get(self->top, "usage"));
	EXPECT_THE_SAME(self->top);
	ASSERT_EQ(0, call(w[0], end_all_children, 0));
	EXPECT_EQ(1, cg_get(self->top, "usage"));
	EXPECT_THE_SAME(self->top);
}

/* What one refuses leaves nothing in the other. */
TEST_F(beside_pids, a_refusal_of_one_leaves_nothing_in_the_other)
{
	char *group = cg_new(self->top, "group");
	struct worker *w = worker_new(group);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(group, "pids.max", 3));
	ASSERT_EQ(0, cg_set(group, "limit", 4));
	EXPECT_EQ(2, call(w, fork_until_refused, 20));
	EXPECT_EQ(3, cg_get(group, "usage"));
	EXPECT_EQ(3, cg_get(group, "pids.current"));
	EXPECT_EQ(0, cg_refusals(group));
	ASSERT_EQ(0, cg_set(group, "pids.max", 5));
	EXPECT_EQ(1, call(w, fork_until_refused, 20));
	EXPECT_EQ(4, cg_get(group, "usage"));
	EXPECT_EQ(4, cg_get(group, "pids.current"));
	EXPECT_EQ(1, cg_refusals(group));
	/* The rate, too. */
	ASSERT_EQ(0, cg_write(group, "limit", "max"));
	ASSERT_EQ(0, cg_set(group, RATE, 0));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	EXPECT_EQ(4, cg_get(group, "pids.current"));
	ASSERT_EQ(0, cg_write(group, RATE, "max"));
	EXPECT_EQ(1, call(w, fork_until_refused, 20));
	EXPECT_EQ(5, cg_get(group, "usage"));
}

/* The fork rate */

#define HOUR_MS (60 * 60 * 1000LL)

static long long rate_refusals(const char *cg)
{
	return cg_key(cg, "events", "fork_rate");
}

/* The refusals of this very group. */
static long long rate_refused_here(const char *cg)
{
	return cg_key(cg, "events.local", "fork_rate");
}

/*
 * Intervals are aligned to multiples of their length. Takes the longest that
 * does not end within half an hour: while a test runs there is one only.
 */
static int set_long_interval(const char *cg)
{
	long long length;

	for (length = 24 * HOUR_MS; length > HOUR_MS; length -= HOUR_MS)
		if (length - bc_now_ms() % length > HOUR_MS / 2)
			break;
	return cg_set(cg, INTERVAL, length);
}

TEST_F(numtasks, new_groups_have_no_fork_rate)
{
	char *root = dirname(strdup(self->top)), *child;

	EXPECT_EQ(BC_UNLIMITED, cg_get(self->group, RATE));
	EXPECT_STREQ(variant->v2 ? "max\n" : "9223372036854775807\n",
		     cg_read(self->group, RATE));
	EXPECT_STREQ("1000\n", cg_read(self->group, INTERVAL));
	/* A child has its own. */
	ASSERT_EQ(0, cg_set(self->group, RATE, 5));
	ASSERT_EQ(0, cg_set(self->group, INTERVAL, 77));
	EXPECT_STREQ("5\n", cg_read(self->group, RATE));
	EXPECT_STREQ("77\n", cg_read(self->group, INTERVAL));
	child = cg_new(self->group, "child");
	ASSERT_NE(NULL, child);
	EXPECT_EQ(BC_UNLIMITED, cg_get(child, RATE));
	EXPECT_STREQ("1000\n", cg_read(child, INTERVAL));
	ASSERT_EQ(0, cg_write(self->group, RATE, "max"));
	EXPECT_EQ(BC_UNLIMITED, cg_get(self->group, RATE));
	/* The root has none, and what its tasks do is not counted. */
	EXPECT_EQ(-ENOENT, cg_get(root, RATE));
	EXPECT_EQ(-ENOENT, cg_get(root, INTERVAL));
}

TEST_F(numtasks, the_fork_rate_is_exact_in_an_interval)
{
	struct worker *w = worker_new(self->group);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, set_long_interval(self->group));
	ASSERT_EQ(0, cg_set(self->group, RATE, 9));
	EXPECT_EQ(9, call(w, forks_until_refused, 50));
	EXPECT_EQ(1, rate_refusals(self->group));
	EXPECT_EQ(1, rate_refused_here(self->group));
	/* Threads are the same, and so is a process that stays. */
	EXPECT_EQ(-EAGAIN, call(w, thread_one, 0));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	EXPECT_EQ(-EAGAIN, call(w, vfork_and_wait, 0));
	EXPECT_EQ(4, rate_refusals(self->group));

	/* That is no matter of the number of tasks. */
	EXPECT_EQ(1, cg_get(self->group, "usage"));
	EXPECT_EQ(0, cg_refusals(self->group));
	EXPECT_EQ(0, cg_key(self->group, "events", "max"));
	EXPECT_EQ(0, cg_key(self->group, "events", "barrier"));
	EXPECT_EQ(1, unreturned(self->group));
	if (!variant->v2)
		EXPECT_EQ(0, cg_get(self->group, "failcnt"));

	/* More in the same interval; fewer; none; any number. */
	ASSERT_EQ(0, cg_set(self->group, RATE, 12));
	EXPECT_EQ(2, call(w, threads_until_refused, 2));
	EXPECT_EQ(1, call(w, forks_until_refused, 50));
	ASSERT_EQ(0, cg_set(self->group, RATE, 5));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	ASSERT_EQ(0, cg_set(self->group, RATE, 0));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	ASSERT_EQ(0, cg_write(self->group, RATE, "max"));
	EXPECT_EQ(20, call(w, forks_until_refused, 20));

	/* Other groups have no such rate. */
	ASSERT_EQ(0, cg_set(self->group, RATE, 0));
	ASSERT_EQ(0, cg_attach(self->other, w->pid));
	EXPECT_EQ(20, call(w, forks_until_refused, 20));
}

TEST_F(numtasks, root_is_not_exempt_from_the_fork_rate)
{
	struct worker *user = worker_new(self->group), *root = worker_new(self->group);

	ASSERT_TRUE(user && root);
	ASSERT_EQ(0, call(user, become_nobody, 0));
	ASSERT_EQ(0, set_long_interval(self->group));
	ASSERT_EQ(0, cg_set(self->group, RATE, 6));
	EXPECT_EQ(3, call(user, forks_until_refused, 3));
	EXPECT_EQ(3, call(root, forks_until_refused, 20));
	EXPECT_EQ(-EAGAIN, call(user, fork_one, 0));
	EXPECT_EQ(-EAGAIN, call(root, fork_one, 0));
}

/* What is written to the interval makes a new one begin. */
TEST_F(numtasks, a_new_interval_begins_when_it_is_written)
{
	struct worker *w = worker_new(self->group);
	int i;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(self->group, RATE, 3));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, set_long_interval(self->group));
		EXPECT_EQ(3, call(w, forks_until_refused, 20));
		EXPECT_EQ(i + 1, rate_refusals(self->group));
	}
}

/* The rate of a group counts the forks of all groups below. */
TEST_F(numtasks, fork_rates_are_hierarchical)
{
	struct worker *a = worker_new(self->group), *b = worker_new(self->other);

	ASSERT_TRUE(a && b);
	ASSERT_EQ(0, set_long_interval(self->top));
	ASSERT_EQ(0, set_long_interval(self->group));
	ASSERT_EQ(0, cg_set(self->top, RATE, 10));
	ASSERT_EQ(0, cg_set(self->group, RATE, 6));
	EXPECT_EQ(6, call(a, forks_until_refused, 50));
	EXPECT_EQ(1, rate_refused_here(self->group));
	EXPECT_EQ(0, rate_refused_here(self->top));
	EXPECT_EQ(1, rate_refusals(self->top));

	/*
	 * What was refused below counts nowhere: the other gets all the rest.
	 */
	EXPECT_EQ(4, call(b, forks_until_refused, 50));
	EXPECT_EQ(0, rate_refused_here(self->other));
	EXPECT_EQ(0, rate_refusals(self->other));
	EXPECT_EQ(1, rate_refused_here(self->top));
	EXPECT_EQ(2, rate_refusals(self->top));
	EXPECT_EQ(1, rate_refused_here(self->group));

	/* What was refused above does not count below. */
	ASSERT_EQ(0, cg_set(self->group, RATE, 8));
	EXPECT_EQ(-EAGAIN, call(a, fork_one, 0));
	EXPECT_EQ(-EAGAIN, call(a, fork_one, 0));
	EXPECT_EQ(3, rate_refused_here(self->top));
	EXPECT_EQ(1, rate_refused_here(self->group));
	ASSERT_EQ(0, cg_write(self->top, RATE, "max"));
	EXPECT_EQ(2, call(a, forks_until_refused, 50));
	EXPECT_EQ(2, rate_refused_here(self->group));
}

TEST_F(numtasks, a_fork_that_the_limit_refuses_is_not_counted)
{
	struct worker *w = worker_new(self->group);
	int i;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, set_long_interval(self->top));
	ASSERT_EQ(0, set_long_interval(self->group));
	ASSERT_EQ(0, cg_set(self->top, RATE, 7));
	ASSERT_EQ(0, cg_set(self->group, RATE, 5));
	ASSERT_EQ(0, cg_set(self->group, "limit", 3));
	EXPECT_EQ(2, call(w, fork_until_refused, 20));
	for (i = 0; i < 9; i++)
		EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	EXPECT_EQ(10, cg_refusals(self->group));
	EXPECT_EQ(0, rate_refusals(self->top));
	ASSERT_EQ(0, cg_write(self->group, "limit", "max"));
	EXPECT_EQ(3, call(w, fork_until_refused, 20));
	EXPECT_EQ(1, rate_refused_here(self->group));
	EXPECT_EQ(10, cg_refusals(self->group));
	ASSERT_EQ(0, cg_write(self->group, RATE, "max"));
	EXPECT_EQ(2, call(w, fork_until_refused, 20));
	EXPECT_EQ(1, rate_refused_here(self->top));
}

/* To move is not to fork. */
TEST_F(numtasks, moves_take_nothing_from_the_fork_rate)
{
	struct worker *w = worker_new(self->group);
	int i;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, set_long_interval(self->other));
	ASSERT_EQ(0, cg_set(self->other, RATE, 0));
	ASSERT_EQ(0, cg_attach(self->other, w->pid));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	ASSERT_EQ(0, cg_set(self->other, RATE, 2));
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, cg_attach(self->group, w->pid));
		ASSERT_EQ(0, cg_attach(self->other, w->pid));
	}
	EXPECT_EQ(2, call(w, forks_until_refused, 20));
}

TEST_F(numtasks, a_new_interval_has_forks_again)
{
	enum { RATE_OF = 3, MS = 200, MANY = 100 };
	long long from, to, intervals;
	struct worker *w = worker_new(self->group);
	long forks = 0, refused = 0, got;
	int i;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(self->group, INTERVAL, MS));
	ASSERT_EQ(0, cg_set(self->group, RATE, RATE_OF));
	from = bc_now_ms();
	for (i = 0; i < 5; i++) {
		got = 0;
		ASSERT_TRUE(bc_soon((got = call(w, forks_until_refused,
						MANY)) > 0));
		forks += got;
		/* A slow machine may never do as many in an interval. */
		refused += got < MANY;
	}
	to = bc_now_ms();
	/* Some of it in each of these, and no more than the rate in any. */
	intervals = to / MS - from / MS + 1;
	EXPECT_LE(forks, RATE_OF * intervals);
	EXPECT_GE(forks, 5);
	EXPECT_GE(rate_refusals(self->group), refused);
}

TEST_F(numtasks, fork_rate_wakes_up_poll)
{
	struct worker *w = worker_new(self->group);
	struct pollfd pfd = { .events = POLLPRI };
	char buf[256];

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_set(self->group, RATE, 0));
	pfd.fd = cg_open(self->group, "events", O_RDONLY);
	ASSERT_GE(pfd.fd, 0);
	ASSERT_GT(read(pfd.fd, buf, sizeof(buf)), 0);
	ASSERT_EQ(0, poll(&pfd, 1, 0));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	EXPECT_EQ(1, poll(&pfd, 1, bc_patience_ms));
	EXPECT_TRUE(pfd.revents & POLLPRI);
	close(pfd.fd);
}

TEST_F(numtasks, bad_input_changes_nothing)
{
	static const char * const bad[] = {
		" ", "x", "-2", "-5", "+5", "1.5", "5 5", "5x", "0x5", "5K",
		"9223372036854775808", "18446744073709551616",
	};
	static const char * const bad_interval[] = {
		"0", "-1", "max", "86400001", "9223372036854775807", "4294967297",
	};
	struct worker *w = worker_new(self->group);
	char line[64], before[64];
	size_t i;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, set_long_interval(self->group));
	ASSERT_EQ(0, cg_set(self->group, RATE, 5));
	EXPECT_EQ(3, call(w, forks_until_refused, 3));
	snprintf(before, sizeof(before), "%s", cg_read(self->group, INTERVAL));
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(-EINVAL, cg_write(self->group, RATE, bad[i])) {
			TH_LOG("'%s'", bad[i]);
		}
		EXPECT_EQ(-EINVAL, cg_write(self->group, INTERVAL, bad[i])) {
			TH_LOG("'%s'", bad[i]);
		}
	}
	for (i = 0; i < sizeof(bad_interval) / sizeof(*bad_interval); i++) {
		snprintf(line, sizeof(line), "%s", bad_interval[i]);
		EXPECT_EQ(-EINVAL, cg_write(self->group, INTERVAL, line)) {
			TH_LOG("'%s'", line);
		}
	}
	/* What v1 has always called no limit. */
	if (variant->v2)
		EXPECT_EQ(-EINVAL, cg_write(self->group, RATE, "-1"));
	EXPECT_EQ(5, cg_get(self->group, RATE));
	EXPECT_STREQ(before, cg_read(self->group, INTERVAL));
	/* The interval goes on. */
	EXPECT_EQ(2, call(w, forks_until_refused, 20));

	EXPECT_EQ(0, cg_write(self->group, INTERVAL, "1"));
	EXPECT_EQ(0, cg_write(self->group, INTERVAL, " 86400000\n"));
	EXPECT_STREQ("86400000\n", cg_read(self->group, INTERVAL));
	EXPECT_EQ(0, cg_write(self->group, RATE, "9223372036854775806"));
	EXPECT_EQ(9223372036854775806LL, cg_get(self->group, RATE));
	EXPECT_EQ(0, cg_write(self->group, RATE, variant->v2 ? "max" : "-1"));
	EXPECT_EQ(BC_UNLIMITED, cg_get(self->group, RATE));
}

/* As many of either kind as there are, of @most each. */
static long forks_and_threads(long most)
{
	long n = 0, err;

	while (most-- > 0) {
		err = most % 2 ? fork_and_wait(0) : thread_and_join(0);
		if (err && err != -EAGAIN)
			return err;
		n += !err;
	}
	return n;
}

/* Many at once have the same number, to the last one. */
TEST_F(numtasks, the_fork_rate_is_exact_for_many)
{
	enum { WORKERS = 4 };
	const int rounds = bc_debug_kernel() ? 2 : 4;
	struct worker *w[WORKERS];
	long got[WORKERS], n;
	int i, round;

	for (i = 0; i < WORKERS; i++) {
		w[i] = worker_new_on_cpu(i % 2 ? self->group : self->other,
					 i % bc_cpus());
		ASSERT_NE(NULL, w[i]);
	}
	ASSERT_EQ(0, cg_set(self->top, RATE, 70));
	ASSERT_EQ(0, cg_set(self->group, RATE, 40));
	ASSERT_EQ(0, cg_set(self->other, RATE, 40));
	for (round = 0; round < rounds; round++) {
		ASSERT_EQ(0, set_long_interval(self->group));
		ASSERT_EQ(0, set_long_interval(self->other));
		ASSERT_EQ(0, set_long_interval(self->top));
		for (i = 0; i < WORKERS; i++)
			start(w[i], forks_and_threads, 60);
		n = 0;
		for (i = 0; i < WORKERS; i++) {
			got[i] = finish(w[i]);
			ASSERT_GE(got[i], 0);
			n += got[i];
		}
		/* 120 tries in each group. */
		EXPECT_EQ(70, n);
		EXPECT_LE(got[0] + got[2], 40);
		EXPECT_LE(got[1] + got[3], 40);
	}
	/* Every refusal was seen, and none twice. */
	EXPECT_EQ(rounds * (WORKERS * 60 - 70), rate_refusals(self->top));
	EXPECT_EQ(rate_refusals(self->top),
		  rate_refused_here(self->top) + rate_refused_here(self->group) +
		  rate_refused_here(self->other));
	EXPECT_EQ(0, cg_refusals(self->top));
	EXPECT_SOON(WORKERS, cg_get(self->top, "usage"));
}

/*
 * What the limit refuses is given back to the rate while others take from it,
 * and while it changes. In the end all of a whole interval is there.
 */
TEST_F(numtasks, the_fork_rate_survives_changes)
{
	enum { WORKERS = 3 };
	struct worker *w[WORKERS];
	long got[WORKERS];
	int i;

	for (i = 0; i < WORKERS; i++) {
		w[i] = worker_new(i % 2 ? self->group : self->other);
		ASSERT_NE(NULL, w[i]);
	}
	ASSERT_EQ(0, cg_set(self->top, "limit", WORKERS + 1));
	for (i = 0; i < WORKERS; i++)
		start(w[i], forks_and_threads, bc_rounds(800));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, cg_set(self->top, RATE, i % 40));
		ASSERT_EQ(0, i % 3 ? cg_set(self->group, RATE, i % 50) :
				     cg_write(self->group, RATE, "max"));
		ASSERT_EQ(0, cg_set(self->other, INTERVAL, 1 + i % 7));
		ASSERT_EQ(0, cg_set(self->top, INTERVAL, 1 + i % 5));
		ASSERT_EQ(0, cg_set(self->other, RATE, 10 + i % 5));
		bc_sleep_ms(2);
	}
	for (i = 0; i < WORKERS; i++)
		ASSERT_GE(finish(w[i]), 0);
	EXPECT_SOON(WORKERS, cg_get(self->top, "usage"));

	/* With a limit that refuses some of them all the time. */
	ASSERT_EQ(0, cg_write(self->group, RATE, "max"));
	ASSERT_EQ(0, cg_write(self->other, RATE, "max"));
	ASSERT_EQ(0, cg_set(self->top, RATE, 90));
	ASSERT_EQ(0, set_long_interval(self->top));
	for (i = 0; i < WORKERS; i++)
		start(w[i], forks_and_threads, 25);
	for (i = 0; i < WORKERS; i++) {
		got[i] = finish(w[i]);
		ASSERT_GE(got[i], 0);
	}
	ASSERT_EQ(0, cg_write(self->top, "limit", "max"));
	EXPECT_EQ(90 - got[0] - got[1] - got[2],
		  call(w[0], forks_until_refused, 100));
}

/* v2 alone */

static const char *target;

static long clone_into_target(long unused)
{
	int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = fd,
	};
	long err;

	(void)unused;
	if (fd < 0)
		return -errno;
	err = clone3_with(&args);
	close(fd);
	return err;
}

/* A process that is made in another group counts there, from the beginning. */
TEST_F(unified, clone_into_a_group)
{
	struct worker *w;

	target = self->other;
	w = worker_new(self->group);
	ASSERT_NE(NULL, w);
	/* Its own group is full: that does not matter. */
	ASSERT_EQ(0, cg_set(self->group, "limit", 1));
	ASSERT_EQ(0, cg_set(self->other, "limit", 3));
	EXPECT_EQ(0, call(w, clone_into_target, 0));
	EXPECT_EQ(0, call(w, clone_into_target, 0));
	EXPECT_EQ(1, cg_get(self->group, "usage"));
	EXPECT_EQ(2, cg_get(self->other, "usage"));
	EXPECT_EQ(0, call(w, clone_into_target, 0));
	EXPECT_EQ(-EAGAIN, call(w, clone_into_target, 0));
	EXPECT_EQ(3, cg_get(self->other, "usage"));
	EXPECT_EQ(1, cg_refusals(self->other));
	EXPECT_EQ(0, cg_refusals(self->group));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	/* So does a task of the root group. */
	EXPECT_EQ(-EAGAIN, clone_into_target(0));
	EXPECT_EQ(2, cg_refusals(self->other));
	ASSERT_EQ(0, call(w, end_children, 1));
	EXPECT_EQ(0, clone_into_target(0));
	EXPECT_EQ(3, cg_get(self->other, "usage"));
	EXPECT_EQ(4, cg_get(self->top, "usage"));
	EXPECT_EQ(0, forced(self->top));
	EXPECT_EQ(0, end_all_children(0));
	EXPECT_EQ(0, call(w, end_all_children, 0));
	EXPECT_EQ(0, cg_get(self->other, "usage"));

	/* And what it is asked for is the rate there. */
	ASSERT_EQ(0, set_long_interval(self->other));
	ASSERT_EQ(0, cg_set(self->group, RATE, 0));
	ASSERT_EQ(0, cg_set(self->other, RATE, 2));
	EXPECT_EQ(0, call(w, clone_into_target, 0));
	EXPECT_EQ(0, call(w, clone_into_target, 0));
	EXPECT_EQ(-EAGAIN, call(w, clone_into_target, 0));
	EXPECT_EQ(1, rate_refused_here(self->other));
	EXPECT_EQ(0, rate_refusals(self->group));
	EXPECT_EQ(2, cg_get(self->other, "usage"));
	EXPECT_EQ(3, unreturned(self->top));
}

/* Switched on, a controller has the tasks that are there; off, it has none. */
TEST_F(unified, switched_with_tasks_inside)
{
	struct worker *w;
	char *inner;
	long pid;

	ASSERT_GT(asprintf(&inner, "%s/inner", self->group), 0);
	ASSERT_EQ(0, mkdir(inner, 0755));
	w = worker_new(inner);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(-ENOENT, cg_get(inner, "usage"));
	pid = call(w, fork_with_threads, 2);
	ASSERT_GT(pid, 0);
	ASSERT_GT(call(w, make_zombie, 0), 0);
	EXPECT_EQ(5, cg_get(self->group, "usage"));

	ASSERT_EQ(0, cg_write(self->group, "cgroup.subtree_control", "+numtasks"));
	/* The zombie counts where it did. */
	EXPECT_EQ(4, cg_get(inner, "usage"));
	EXPECT_EQ(5, cg_get(self->group, "usage"));
	ASSERT_EQ(0, cg_set(inner, "limit", 5));
	ASSERT_EQ(0, cg_set(inner, "reservation", 5));
	EXPECT_EQ(6, cg_get(self->group, "usage"));
	EXPECT_EQ(1, call(w, fork_until_refused, 20));
	ASSERT_GT(call(w, end_children, 1), -1);
	ASSERT_GT(call(w, make_zombie, 0), 0);
	EXPECT_EQ(5, cg_get(inner, "usage"));

	ASSERT_EQ(0, cg_write(self->group, "cgroup.subtree_control", "-numtasks"));
	EXPECT_EQ(-ENOENT, cg_get(inner, "usage"));
	EXPECT_SOON(6, cg_get(self->group, "usage"));
	EXPECT_EQ(0, cg_key(self->group, "stat", "lent"));
	EXPECT_EQ(0, call(w, fork_many, 3));
	EXPECT_EQ(9, cg_get(self->group, "usage"));

	ASSERT_EQ(0, cg_write(self->group, "cgroup.subtree_control", "+numtasks"));
	EXPECT_EQ(7, cg_get(inner, "usage"));
	EXPECT_EQ(BC_UNLIMITED, cg_get(inner, "limit"));
	EXPECT_EQ(9, cg_get(self->group, "usage"));
	/* Three that live, and the two zombies of two former lives. */
	ASSERT_EQ(0, call(w, end_children, 3));
	EXPECT_EQ(4, cg_get(inner, "usage"));
	EXPECT_EQ(6, cg_get(self->group, "usage"));
	ASSERT_EQ(0, call(w, end_children, 2));
	EXPECT_EQ(4, cg_get(inner, "usage"));
	EXPECT_EQ(4, cg_get(self->group, "usage"));
	worker_kill(w);
	EXPECT_SOON(3, usage_without_orphans(inner));
	kill(pid, SIGKILL);
	EXPECT_SOON(0, usage_without_orphans(self->top));
	EXPECT_EQ(0, unreturned(self->top));
}

/* The same for all groups: none counts when the root has it off. */
TEST_F(unified, switched_in_the_root)
{
	char *root = dirname(strdup(self->top));
	struct worker *w;

	ASSERT_EQ(0, cg_rmdir(self->group));
	ASSERT_EQ(0, cg_rmdir(self->other));
	ASSERT_EQ(0, cg_write(self->top, "cgroup.subtree_control", "-numtasks"));
	ASSERT_EQ(0, cg_write(root, "cgroup.subtree_control", "-numtasks"));
	EXPECT_EQ(-ENOENT, cg_get(self->top, "usage"));
	w = worker_new(self->top);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, fork_many, 2));
	ASSERT_EQ(0, call(w, thread_many, 2));
	ASSERT_EQ(0, cg_write(root, "cgroup.subtree_control", "+numtasks"));
	EXPECT_EQ(5, cg_get(self->top, "usage"));
	ASSERT_EQ(0, cg_set(self->top, "limit", 5));
	EXPECT_EQ(-EAGAIN, call(w, fork_one, 0));
	ASSERT_EQ(0, cg_write(root, "cgroup.subtree_control", "-numtasks"));
	EXPECT_EQ(0, call(w, fork_one, 0));
	ASSERT_EQ(0, call(w, end_all_children, 0));
	ASSERT_EQ(0, cg_write(root, "cgroup.subtree_control", "+numtasks"));
	EXPECT_EQ(3, cg_get(self->top, "usage"));
	EXPECT_EQ(3, unreturned(self->top));
}

/* A full group gets no fuller by it. */
TEST_F(unified, switching_is_no_overrun)
{
	struct worker *w;
	char *inner;
	int fd;

	ASSERT_GT(asprintf(&inner, "%s/inner", self->group), 0);
	ASSERT_EQ(0, mkdir(inner, 0755));
	w = worker_new(inner);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, thread_many, 3));
	ASSERT_EQ(0, cg_set(self->group, "limit", 4));
	fd = cg_restart_max(self->group);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, cg_write(self->group, "cgroup.subtree_control", "+numtasks"));
	EXPECT_EQ(4, cg_get(inner, "usage"));
	EXPECT_EQ(4, bc_read_number(fd));
	EXPECT_EQ(0, forced(self->group));
	ASSERT_EQ(0, cg_write(self->group, "cgroup.subtree_control", "-numtasks"));
	EXPECT_EQ(4, cg_get(self->group, "usage"));
	EXPECT_EQ(4, bc_read_number(fd));
	EXPECT_EQ(0, forced(self->group));
	close(fd);
}

/* While they fork and end. */
TEST_F(unified, switched_while_forking)
{
	const int switches = bc_debug_kernel() ? 12 : 40;
	struct worker *w[2];
	long tasks = 0;
	char *inner;
	int i;

	ASSERT_GT(asprintf(&inner, "%s/inner", self->group), 0);
	ASSERT_EQ(0, mkdir(inner, 0755));
	for (i = 0; i < 2; i++) {
		w[i] = worker_new(inner);
		ASSERT_NE(NULL, w[i]);
		start(w[i], fork_hammer, bc_rounds(600));
	}
	for (i = 0; i < switches; i++)
		ASSERT_EQ(0, cg_write(self->group, "cgroup.subtree_control",
				      i % 2 ? "-numtasks" : "+numtasks"));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, finish(w[i]));
		tasks += call(w[i], tasks_of_worker, 0);
	}
	EXPECT_SOON(tasks, cg_get(self->group, "usage"));
	EXPECT_EQ(tasks, unreturned(self->group));
	ASSERT_EQ(0, cg_write(self->group, "cgroup.subtree_control", "+numtasks"));
	EXPECT_EQ(tasks, cg_get(inner, "usage"));
	EXPECT_EQ(tasks, cg_get(self->group, "usage"));
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], HOLD))
		idle();
	return test_harness_run(argc, argv);
}
