// SPDX-License-Identifier: GPL-2.0
/*
 * ns: a task, or a thread group, enters an empty group directly below its own,
 * and never leaves it. What this is for: the path of a group says whose
 * descendants its tasks are.
 *
 * The test itself stays in the root group, which is above all.
 */
/* bc-boot: --append ns_cgroup=1 */
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

#define AUTO_DELETE "ns.auto_delete"

static void __attribute__((constructor)) choose_controller(void)
{
	bc_controller = "ns";
}

static int move_process(const char *cg, pid_t pid)
{
	return cg_attach(cg, pid);
}

/* Whether a group's own tasks include @tid. */
static bool is_in(const char *cg, pid_t tid)
{
	const char *c = cg_read(cg, "tasks");

	for (; *c; c = strchr(c, '\n') + 1)
		if (atoi(c) == tid)
			return true;
	return false;
}

static bool exists(const char *cg)
{
	return !access(cg, F_OK);
}

/* Processes of a worker */

static long keep_pid(pid_t pid)
{
	return pid < 0 ? -errno : pid;
}

/* Has one more process, which does nothing: its pid. */
static long fork_pid(long unused)
{
	pid_t pid = fork();

	(void)unused;
	while (!pid)
		pause();
	return keep_pid(pid);
}

/*
 * Forks a task that exits @us microseconds from now, and that is not waited
 * for.
 */
static long fork_short(long us)
{
	pid_t pid = fork();

	if (!pid) {
		usleep(us);
		_exit(0);
	}
	return keep_pid(pid);
}

static long end_process(long pid)
{
	kill(pid, SIGKILL);
	return waitpid(pid, NULL, 0) == pid ? 0 : -errno;
}

/* It has ended, but is not waited for. */
static long make_zombie(long pid)
{
	siginfo_t info;

	kill(pid, SIGKILL);
	return waitid(P_PID, pid, &info, WEXITED | WNOWAIT) ? -errno : 0;
}

static int tell[2];

static void *thread_main(void *unused)
{
	pid_t tid = syscall(SYS_gettid);

	(void)unused;
	if (write(tell[1], &tid, sizeof(tid)) != sizeof(tid))
		_exit(1);
	for (;;)
		pause();
	return NULL;
}

/* The threads of the process that was made last, but for the first one. */
enum { THREADS = 3 };
static pid_t tids[THREADS];

static long get_tid(long n)
{
	return tids[n];
}

/*
 * A process with that many threads more; with @leaderless, the first one has ended.
 */
static long fork_with_threads(long leaderless)
{
	pthread_t id;
	pid_t pid;
	int i;

	if (pipe2(tell, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		for (i = 0; i < THREADS; i++)
			if (pthread_create(&id, NULL, thread_main, NULL))
				_exit(1);
		while (leaderless)
			syscall(SYS_exit, 0);
		for (;;)
			pause();
	}
	close(tell[1]);
	for (i = 0; i < THREADS && pid > 0; i++)
		if (read(tell[0], &tids[i], sizeof(tids[i])) != sizeof(tids[i]))
			pid = -1;
	close(tell[0]);
	if (leaderless && pid > 0 && !bc_soon(bc_state_of(pid) == 'Z'))
		return -ETIME;
	return keep_pid(pid);
}

FIXTURE(ns)
{
	char *root;
	char *top;
	char *a, *b;
	struct worker *w;	/* in the top group, as all tasks that it forks */
};

FIXTURE_SETUP(ns)
{
	if (bc_missing())
		SKIP(return, "%s (boot with ns_cgroup=1)", bc_why);
	self->top = bc_setup(false);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->root = dirname(strdup(self->top));
	self->a = cg_new(self->top, "a");
	self->b = cg_new(self->top, "b");
	ASSERT_TRUE(self->a && self->b);
	self->w = worker_new(self->top);
	ASSERT_NE(NULL, self->w);
}

FIXTURE_TEARDOWN(ns)
{
	bc_teardown();
}

/* Attachment */

TEST_F(ns, a_task_enters_an_empty_child)
{
	EXPECT_TRUE(is_in(self->top, self->w->pid));
	ASSERT_EQ(0, move_process(self->a, self->w->pid));
	EXPECT_TRUE(is_in(self->a, self->w->pid));
	EXPECT_EQ(0, cg_threads(self->top));
}

TEST_F(ns, no_task_leaves)
{
	char *x = cg_new(self->a, "x"), *y = cg_new(x, "y");
	pid_t pid = self->w->pid;

	ASSERT_NE(NULL, y);
	ASSERT_EQ(0, move_process(self->a, pid));
	/* To the parent, beyond it, beside it, and too far at once. */
	EXPECT_EQ(-EPERM, move_process(self->top, pid));
	EXPECT_EQ(-EPERM, move_process(self->root, pid));
	EXPECT_EQ(-EPERM, move_process(self->b, pid));
	EXPECT_EQ(-EPERM, move_process(y, pid));
	EXPECT_EQ(-EPERM, cg_attach_thread(self->top, pid));
	EXPECT_EQ(-EPERM, cg_attach_thread(self->b, pid));
	EXPECT_EQ(-EPERM, cg_attach_thread(y, pid));
	EXPECT_TRUE(is_in(self->a, pid));
	EXPECT_EQ(0, cg_threads(y));

	/* Step by step it is the right way. */
	ASSERT_EQ(0, move_process(x, pid));
	EXPECT_EQ(-EPERM, move_process(self->a, pid));
	ASSERT_EQ(0, move_process(y, pid));
	EXPECT_EQ(-EPERM, move_process(x, pid));
	EXPECT_EQ(-EPERM, move_process(self->root, pid));
	EXPECT_TRUE(is_in(y, pid));
}

/* Nor does a task of the root group get where the top group's tasks may go. */
TEST_F(ns, only_from_the_group_above)
{
	EXPECT_EQ(-EPERM, move_process(self->a, getpid()));
	EXPECT_EQ(-EPERM, move_process(self->top, getpid()));
	EXPECT_TRUE(is_in(self->root, getpid()));
	EXPECT_EQ(0, cg_threads(self->a));
	EXPECT_EQ(1, cg_threads(self->top));
}

TEST_F(ns, one_task_enters_and_no_second)
{
	long first = call(self->w, fork_pid, 0), second = call(self->w, fork_pid, 0);

	ASSERT_TRUE(first > 0 && second > 0);
	ASSERT_EQ(0, move_process(self->a, first));
	EXPECT_EQ(-EPERM, move_process(self->a, second));
	EXPECT_EQ(-EPERM, cg_attach_thread(self->a, second));
	EXPECT_TRUE(is_in(self->top, second));
	EXPECT_EQ(1, cg_threads(self->a));
	EXPECT_EQ(0, move_process(self->b, second));
	EXPECT_TRUE(is_in(self->b, second));
}

TEST_F(ns, an_emptied_group_can_be_entered_again)
{
	long first = call(self->w, fork_pid, 0), second = call(self->w, fork_pid, 0);
	long third = call(self->w, fork_pid, 0);

	ASSERT_TRUE(first > 0 && second > 0 && third > 0);
	ASSERT_EQ(0, move_process(self->a, first));
	EXPECT_EQ(-EPERM, move_process(self->a, second));
	ASSERT_EQ(0, call(self->w, end_process, first));
	EXPECT_EQ(0, move_process(self->a, second));
	/* A zombie is not there any more. */
	ASSERT_EQ(0, call(self->w, make_zombie, second));
	EXPECT_EQ(0, move_process(self->a, third));
	EXPECT_TRUE(is_in(self->a, third));
}

/*
 * A task that has gone on is still inside: all tasks below come from the first.
 */
TEST_F(ns, a_task_that_has_gone_on_is_still_inside)
{
	char *x = cg_new(self->a, "x");
	long first = call(self->w, fork_pid, 0), second = call(self->w, fork_pid, 0);

	ASSERT_TRUE(x && first > 0 && second > 0);
	ASSERT_EQ(0, move_process(self->a, first));
	ASSERT_EQ(0, move_process(x, first));
	EXPECT_EQ(0, cg_threads(self->a));
	EXPECT_EQ(-EPERM, move_process(self->a, second));
	EXPECT_TRUE(is_in(self->top, second));
	ASSERT_EQ(0, call(self->w, end_process, first));
	EXPECT_EQ(0, move_process(self->a, second));
	EXPECT_EQ(0, move_process(x, second));
}

/* To stay is not to move, however many are in the group. */
TEST_F(ns, writing_to_the_own_group_is_no_error)
{
	long pid = call(self->w, fork_with_threads, 0);

	ASSERT_GT(pid, 0);
	EXPECT_EQ(0, move_process(self->top, self->w->pid));
	EXPECT_EQ(0, move_process(self->top, pid));
	EXPECT_EQ(0, cg_attach_thread(self->top, call(self->w, get_tid, 0)));
	EXPECT_EQ(0, move_process(self->root, getpid()));
	EXPECT_EQ(2 + THREADS, cg_threads(self->top));
}

TEST_F(ns, a_whole_thread_group_enters)
{
	long pid = call(self->w, fork_with_threads, 0);
	long second = call(self->w, fork_with_threads, 0);

	ASSERT_TRUE(pid > 0 && second > 0);
	ASSERT_EQ(0, move_process(self->a, pid));
	EXPECT_EQ(1 + THREADS, cg_threads(self->a));
	EXPECT_EQ(2 + THREADS, cg_threads(self->top));

	/* All threads or none. */
	EXPECT_EQ(-EPERM, move_process(self->a, second));
	EXPECT_EQ(2 + THREADS, cg_threads(self->top));
	EXPECT_EQ(1 + THREADS, cg_threads(self->a));
	EXPECT_EQ(-EPERM, move_process(self->top, pid));
	EXPECT_EQ(1 + THREADS, cg_threads(self->a));
}

TEST_F(ns, a_single_thread_enters)
{
	long pid = call(self->w, fork_with_threads, 0);
	char *c = cg_new(self->top, "c");
	long tid[THREADS];
	int i;

	ASSERT_TRUE(pid > 0 && c);
	for (i = 0; i < THREADS; i++)
		tid[i] = call(self->w, get_tid, i);
	ASSERT_EQ(0, cg_attach_thread(self->a, tid[0]));
	EXPECT_TRUE(is_in(self->a, tid[0]));
	EXPECT_TRUE(is_in(self->top, pid));
	EXPECT_EQ(-EPERM, cg_attach_thread(self->a, tid[1]));
	EXPECT_EQ(-EPERM, cg_attach_thread(self->top, tid[0]));
	ASSERT_EQ(0, cg_attach_thread(self->b, tid[1]));

	/* The process is in three groups: it goes nowhere as a whole. */
	EXPECT_EQ(-EPERM, move_process(c, pid));
	EXPECT_EQ(-EPERM, move_process(self->a, pid));
	EXPECT_EQ(-EPERM, move_process(self->top, pid));
	EXPECT_TRUE(is_in(self->a, tid[0]));
	EXPECT_TRUE(is_in(self->b, tid[1]));
	EXPECT_TRUE(is_in(self->top, tid[2]));
	EXPECT_TRUE(is_in(self->top, pid));
	EXPECT_EQ(0, cg_threads(c));
	/* The first thread is one like the others. */
	EXPECT_EQ(0, cg_attach_thread(c, pid));
	EXPECT_TRUE(is_in(c, pid));
	EXPECT_TRUE(is_in(self->top, tid[2]));
}

/* Catches: a rule that takes the first thread for the process. */
TEST_F(ns, threads_without_their_leader_fill_a_group)
{
	long pid = call(self->w, fork_with_threads, 1);
	long second = call(self->w, fork_pid, 0);

	ASSERT_TRUE(pid > 0 && second > 0);
	ASSERT_EQ(0, move_process(self->a, pid));
	EXPECT_EQ(THREADS, cg_threads(self->a));
	EXPECT_EQ(-EPERM, move_process(self->a, second));
	EXPECT_EQ(-EPERM, move_process(self->top, pid));
	EXPECT_EQ(THREADS, cg_threads(self->a));
}

/* What a task inside forks is inside, and can enter groups below. */
TEST_F(ns, descendants_are_inside)
{
	char *x = cg_new(self->a, "x"), *y = cg_new(self->a, "y");
	long first, second, third;

	ASSERT_TRUE(x && y);
	ASSERT_EQ(0, move_process(self->a, self->w->pid));
	first = call(self->w, fork_pid, 0);
	second = call(self->w, fork_pid, 0);
	third = call(self->w, fork_pid, 0);
	ASSERT_TRUE(first > 0 && second > 0 && third > 0);
	EXPECT_EQ(4, cg_threads(self->a));
	EXPECT_EQ(-EPERM, move_process(self->top, first));
	EXPECT_EQ(-EPERM, move_process(self->b, first));
	EXPECT_EQ(0, move_process(x, first));
	EXPECT_EQ(-EPERM, move_process(x, second));
	EXPECT_EQ(0, move_process(y, second));
	EXPECT_EQ(-EPERM, move_process(y, first));
	EXPECT_EQ(2, cg_threads(self->a));

	/* The end of its parent sets no task free. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	worker_kill(self->w);
	EXPECT_EQ(-EPERM, move_process(self->top, third));
	EXPECT_EQ(-EPERM, move_process(self->b, third));
	EXPECT_TRUE(is_in(self->a, third));
}

/* Only forks make a group have several: that many of them enter none. */
static long fork_many(long n)
{
	long pid = 0;

	while (n-- > 0 && pid >= 0)
		pid = fork_pid(0);
	return pid < 0 ? pid : 0;
}

TEST_F(ns, only_one_of_many_tasks_enters)
{
	enum { MANY = 12 };
	char text[4096], *list;
	int entered = 0, i;
	pid_t pid;

	ASSERT_EQ(0, call(self->w, fork_many, MANY));
	for (i = 0; i < 3; i++) {
		list = text;
		snprintf(text, sizeof(text), "%s", cg_read(self->top, "cgroup.procs"));
		while ((pid = bc_next_pid(&list))) {
			int err = move_process(self->a, pid);

			ASSERT_TRUE(err == 0 || err == -EPERM);
			entered += !err;
		}
	}
	EXPECT_EQ(1, entered);
	EXPECT_EQ(1, cg_threads(self->a));
	EXPECT_EQ(MANY, cg_threads(self->top));
}

/* Mounts */

TEST_F(ns, a_mount_has_it_by_name_only)
{
	static const char * const all[] = { NULL, "all" };
	char *root, *group;
	size_t i;

	/* Leave it, so that it could be had. */
	bc_teardown();
	ASSERT_TRUE(bc_release());
	ASSERT_EQ(0, bc_hierarchy_of("ns"));
	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		root = bc_mount_v1(all[i]);
		/* Not where others have some of them. */
		if (!root)
			SKIP(return, "%s", bc_why);
		EXPECT_EQ(0, bc_hierarchy_of("ns"));
		group = cg_new(root, "bc_all");
		ASSERT_NE(NULL, group);
		EXPECT_EQ(-ENOENT, cg_get(group, AUTO_DELETE));
		/* In a hierarchy of its own, it can be had beside. */
		self->top = bc_mount_v1("ns");
		ASSERT_NE(NULL, self->top);
		EXPECT_GT(bc_hierarchy_of("ns"), 0);
		EXPECT_NE(bc_hierarchy_of("numtasks"), bc_hierarchy_of("ns"));
		ASSERT_EQ(0, bc_umount(self->top));
		ASSERT_EQ(0, cg_rmdir(group));
		/* A hierarchy that has a dying group when it goes stays. */
		bc_soon(bc_num_cgroups("numtasks") == 1);
		ASSERT_EQ(0, bc_umount(root));
		ASSERT_SOON(0, bc_hierarchy_of("numtasks"));
		ASSERT_SOON(0, bc_hierarchy_of("ns"));
	}
	EXPECT_EQ(NULL, bc_mount_v1("all,ns"));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(ns, v2_does_not_have_it)
{
	char *root;

	bc_teardown();
	ASSERT_TRUE(bc_release());
	root = bc_mount_v2();
	ASSERT_NE(NULL, root);
	EXPECT_FALSE(bc_has_word(cg_read(root, "cgroup.controllers"), "ns"));
	EXPECT_NE(0, cg_write(root, "cgroup.subtree_control", "+ns"));
	EXPECT_EQ(0, bc_umount(root));
}

/* Removal */

TEST_F(ns, auto_delete_is_a_switch)
{
	static const char * const bad[] = { "2", "-1", "x", " ", "1 1", "max" };
	char *x, *y;
	size_t i;

	EXPECT_EQ(0, cg_get(self->a, AUTO_DELETE));
	EXPECT_EQ(0, cg_set(self->a, AUTO_DELETE, 1));
	EXPECT_STREQ("1\n", cg_read(self->a, AUTO_DELETE));
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(-EINVAL, cg_write(self->a, AUTO_DELETE, bad[i])) {
			TH_LOG("'%s'", bad[i]);
		}
		EXPECT_EQ(1, cg_get(self->a, AUTO_DELETE));
	}

	/* New groups begin with what their parent has then. */
	x = cg_new(self->a, "x");
	ASSERT_NE(NULL, x);
	EXPECT_EQ(1, cg_get(x, AUTO_DELETE));
	EXPECT_EQ(0, cg_set(self->a, AUTO_DELETE, 0));
	EXPECT_STREQ("0\n", cg_read(self->a, AUTO_DELETE));
	EXPECT_EQ(1, cg_get(x, AUTO_DELETE));
	y = cg_new(self->a, "y");
	ASSERT_NE(NULL, y);
	EXPECT_EQ(0, cg_get(y, AUTO_DELETE));
	EXPECT_EQ(0, cg_get(self->b, AUTO_DELETE));
	EXPECT_EQ(-ENOENT, cg_get(self->root, AUTO_DELETE));
}

/*
 * Returns once the kernel has removed all groups that the test has left: it has
 * removed one that was left after them.
 */
static bool all_deleted(const char *top, struct worker *w)
{
	char *last = cg_newf(top, "last%d", rand());
	long pid = call(w, fork_pid, 0);

	if (!last || pid <= 0 || cg_set(last, AUTO_DELETE, 1) ||
	    move_process(last, pid) || call(w, end_process, pid) ||
	    !bc_soon(!exists(last)))
		return false;
	/* Work is not done in order: the last may have been the first. */
	bc_sleep_ms(50);
	return true;
}

TEST_F(ns, a_group_goes_with_its_last_task)
{
	long pid = call(self->w, fork_pid, 0), inside;
	struct worker *w = self->w;

	ASSERT_GT(pid, 0);
	/* One that is to stay, for comparison. */
	ASSERT_EQ(0, move_process(self->b, pid));
	ASSERT_EQ(0, call(w, end_process, pid));

	pid = call(w, fork_with_threads, 0);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, cg_set(self->a, AUTO_DELETE, 1));
	ASSERT_EQ(0, move_process(self->a, pid));
	ASSERT_TRUE(all_deleted(self->top, w));
	EXPECT_TRUE(exists(self->a));
	ASSERT_EQ(0, call(w, end_process, pid));
	EXPECT_TRUE(bc_soon(!exists(self->a)));
	ASSERT_TRUE(all_deleted(self->top, w));
	EXPECT_TRUE(exists(self->b));

	/*
	 * There can be a new group of its name, which has nothing of the old
	 * one.
	 */
	self->a = cg_new(self->top, "a");
	ASSERT_NE(NULL, self->a);
	EXPECT_EQ(0, cg_get(self->a, AUTO_DELETE));
	/* The task that entered is not the last to leave. */
	ASSERT_EQ(0, cg_set(self->a, AUTO_DELETE, 1));
	ASSERT_EQ(0, move_process(self->a, w->pid));
	inside = call(w, fork_pid, 0);
	ASSERT_GT(inside, 0);
	worker_kill(w);
	bc_sleep_ms(50);
	EXPECT_TRUE(exists(self->a));
	EXPECT_TRUE(is_in(self->a, inside));
	kill(inside, SIGKILL);
	EXPECT_TRUE(bc_soon(!exists(self->a)));
	EXPECT_TRUE(exists(self->top));
}

/* A task that has ended is not in it, whether it was waited for or not. */
TEST_F(ns, a_group_goes_before_its_zombies)
{
	long pid = call(self->w, fork_pid, 0);

	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, cg_set(self->a, AUTO_DELETE, 1));
	ASSERT_EQ(0, move_process(self->a, pid));
	ASSERT_EQ(0, call(self->w, make_zombie, pid));
	EXPECT_TRUE(bc_soon(!exists(self->a)));
	EXPECT_EQ(0, call(self->w, end_process, pid));
}

/* Catches: a group that goes with a process's first thread. */
TEST_F(ns, a_group_stays_while_there_are_threads)
{
	long pid = call(self->w, fork_with_threads, 1);

	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, cg_set(self->a, AUTO_DELETE, 1));
	ASSERT_EQ(0, move_process(self->a, pid));
	ASSERT_TRUE(all_deleted(self->top, self->w));
	EXPECT_TRUE(exists(self->a));
	EXPECT_EQ(THREADS, cg_threads(self->a));
	ASSERT_EQ(0, call(self->w, end_process, pid));
	EXPECT_TRUE(bc_soon(!exists(self->a)));
}

TEST_F(ns, a_group_stays_while_it_has_groups)
{
	char *x = cg_new(self->a, "x");
	long pid = call(self->w, fork_pid, 0);

	ASSERT_TRUE(x && pid > 0);
	ASSERT_EQ(0, cg_set(self->a, AUTO_DELETE, 1));
	ASSERT_EQ(0, move_process(self->a, pid));
	ASSERT_EQ(0, call(self->w, end_process, pid));
	ASSERT_TRUE(all_deleted(self->top, self->w));
	EXPECT_TRUE(exists(x));
	EXPECT_TRUE(exists(self->a));
	/* The last of them is the last of all. */
	ASSERT_EQ(0, cg_rmdir(x));
	EXPECT_TRUE(bc_soon(!exists(self->a)));
	EXPECT_TRUE(exists(self->top));
}

/* All groups on the task's way down go, up to the one without auto_delete. */
TEST_F(ns, a_whole_path_goes)
{
	char *x, *y;
	long pid = call(self->w, fork_pid, 0);

	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, cg_set(self->a, AUTO_DELETE, 1));
	x = cg_new(self->a, "x");
	y = cg_new(x, "y");
	ASSERT_NE(NULL, y);
	ASSERT_EQ(0, move_process(self->a, pid));
	ASSERT_EQ(0, move_process(x, pid));
	ASSERT_EQ(0, move_process(y, pid));
	ASSERT_TRUE(all_deleted(self->top, self->w));
	EXPECT_TRUE(exists(y));
	ASSERT_EQ(0, call(self->w, end_process, pid));
	EXPECT_TRUE(bc_soon(!exists(y)));
	EXPECT_TRUE(bc_soon(!exists(x)));
	EXPECT_TRUE(bc_soon(!exists(self->a)));
	EXPECT_TRUE(exists(self->top));
	EXPECT_TRUE(exists(self->b));
}

/* It was never left. */
TEST_F(ns, a_group_that_no_task_entered_stays)
{
	long pid = call(self->w, fork_pid, 0);

	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, cg_set(self->a, AUTO_DELETE, 1));
	ASSERT_TRUE(all_deleted(self->top, self->w));
	EXPECT_TRUE(exists(self->a));
	/* A task that does not get in has not left either. */
	EXPECT_EQ(-EPERM, move_process(self->a, getpid()));
	ASSERT_TRUE(all_deleted(self->top, self->w));
	EXPECT_TRUE(exists(self->a));
	/* It still can be entered, and left. */
	ASSERT_EQ(0, move_process(self->a, pid));
	ASSERT_EQ(0, call(self->w, end_process, pid));
	EXPECT_TRUE(bc_soon(!exists(self->a)));
}

/* What counts is what is written when the last one leaves. */
TEST_F(ns, auto_delete_can_be_taken_back)
{
	long pid = call(self->w, fork_pid, 0);

	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, cg_set(self->a, AUTO_DELETE, 1));
	ASSERT_EQ(0, move_process(self->a, pid));
	ASSERT_EQ(0, cg_set(self->a, AUTO_DELETE, 0));
	ASSERT_EQ(0, call(self->w, end_process, pid));
	ASSERT_TRUE(all_deleted(self->top, self->w));
	EXPECT_TRUE(exists(self->a));
}

/*
 * A task enters while the last one leaves. Either the group has gone, and there
 * is nothing to enter; or the group stays until that task leaves it.
 */
TEST_F(ns, entry_races_with_exit)
{
	int i, err;
	unsigned int random = 1;
	long first, second;

	for (i = 0; i < bc_rounds(120); i++) {
		ASSERT_EQ(0, cg_set(self->a, AUTO_DELETE, 1));
		first = call(self->w, fork_short, rand_r(&random) % 3000);
		second = call(self->w, fork_pid, 0);
		ASSERT_TRUE(first > 0 && second > 0);
		err = move_process(self->a, first);
		ASSERT_TRUE(err == 0 || err == -ESRCH);
		/* As long as the other is in it. */
		while ((err = move_process(self->a, second)) == -EPERM)
			;
		if (!err) {
			ASSERT_TRUE(exists(self->a));
			ASSERT_TRUE(is_in(self->a, second));
			bc_sleep_ms(1);
			ASSERT_TRUE(is_in(self->a, second));
		} else {
			ASSERT_TRUE(err == -ENOENT || err == -ENODEV)
				TH_LOG("%d", err);
		}
		ASSERT_EQ(0, call(self->w, end_process, second));
		ASSERT_TRUE(bc_soon(!exists(self->a)));
		ASSERT_EQ(0, call(self->w, end_process, first));
		self->a = cg_new(self->top, "a");
		ASSERT_NE(NULL, self->a);
	}
}

/*
 * A group is removed by its tasks' end and by rmdir(2), and gets a child, at
 * once.
 */
static char *scene;

static long leave_it(long rounds)
{
	while (rounds-- > 0) {
		pid_t pid = fork();

		if (!pid) {
			mkdir(scene, 0755);
			cg_set(scene, AUTO_DELETE, 1);
			move_process(scene, getpid());
			_exit(0);
		}
		if (pid < 0)
			return -errno;
		if (waitpid(pid, NULL, 0) != pid)
			return -errno;
	}
	return 0;
}

TEST_F(ns, removal_races_with_removal)
{
	struct worker *w[2];
	char *inner;
	int i;

	scene = self->a;
	ASSERT_GT(asprintf(&inner, "%s/inner", self->a), 0);
	/*
	 * In the top group, but not by way of an attachment: it is not empty.
	 */
	w[0] = self->w;
	w[1] = worker_new(NULL);
	ASSERT_NE(NULL, w[1]);
	start(w[0], leave_it, bc_rounds(200));
	start(w[1], leave_it, bc_rounds(200));
	for (i = 0; i < bc_rounds(400); i++) {
		mkdir(inner, 0755);
		rmdir(inner);
		rmdir(self->a);
	}
	EXPECT_EQ(0, finish(w[0]));
	EXPECT_EQ(0, finish(w[1]));
	rmdir(inner);
	rmdir(self->a);
	EXPECT_FALSE(exists(self->a));
	/* The name is free, and all is as before. */
	self->a = cg_new(self->top, "a");
	ASSERT_NE(NULL, self->a);
	ASSERT_EQ(0, move_process(self->a, w[0]->pid));
	EXPECT_EQ(1, cg_threads(self->a));
}

/* Beside another controller */

FIXTURE(with_numtasks)
{
	char *root;
	char *top;
	char *a, *b;
	struct worker *w;
};

FIXTURE_SETUP(with_numtasks)
{
	if (bc_missing())
		SKIP(return, "%s (boot with ns_cgroup=1)", bc_why);
	if (bc_hierarchy_of("numtasks") < 0)
		SKIP(return, "this kernel has no numtasks");
	bc_v2 = false;
	bc_controller = "numtasks";
	ASSERT_TRUE(bc_release());
	bc_controller = "ns";
	ASSERT_TRUE(bc_release());
	self->root = bc_mount_v1("ns,numtasks");
	ASSERT_NE(NULL, self->root)
		TH_LOG("%s", bc_why);
	bc_controller = "numtasks";		/* whose files are asked for */
	self->top = cg_new(self->root, "bc_test");
	self->a = cg_new(self->top, "a");
	self->b = cg_new(self->top, "b");
	ASSERT_TRUE(self->a && self->b);
	self->w = worker_new(self->top);
	ASSERT_NE(NULL, self->w);
}

FIXTURE_TEARDOWN(with_numtasks)
{
	if (!self->root)
		return;
	cg_purge(self->top);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	bc_umount(self->root);
	EXPECT_TRUE(bc_release());
	bc_controller = "ns";
}

/*
 * Catches: an attachment that one controller has made, and another has refused.
 */
TEST_F(with_numtasks, a_refused_attachment_changes_no_count)
{
	long first = call(self->w, fork_pid, 0);
	long second = call(self->w, fork_with_threads, 0);

	ASSERT_TRUE(first > 0 && second > 0);
	EXPECT_EQ(3 + THREADS, cg_get(self->top, "usage"));
	ASSERT_EQ(0, move_process(self->a, first));
	EXPECT_EQ(1, cg_get(self->a, "usage"));
	EXPECT_EQ(3 + THREADS, cg_get(self->top, "usage"));

	EXPECT_EQ(-EPERM, move_process(self->a, second));
	EXPECT_EQ(-EPERM, move_process(self->b, first));
	EXPECT_EQ(-EPERM, move_process(self->root, first));
	EXPECT_EQ(-EPERM, move_process(self->a, getpid()));
	EXPECT_EQ(1, cg_get(self->a, "usage"));
	EXPECT_EQ(0, cg_get(self->b, "usage"));
	EXPECT_EQ(3 + THREADS, cg_get(self->top, "usage"));
	ASSERT_EQ(0, call(self->w, end_process, second));
	ASSERT_EQ(0, call(self->w, end_process, first));
	EXPECT_EQ(1, cg_get(self->top, "usage"));
	EXPECT_EQ(0, cg_get(self->a, "usage"));
	EXPECT_EQ(cg_key(self->top, "stat", "charged"),
		  1 + cg_key(self->top, "stat", "uncharged"));
}

/* And no trace of what would have been too many. */
TEST_F(with_numtasks, a_refused_attachment_is_no_overrun)
{
	long first = call(self->w, fork_pid, 0);
	long second = call(self->w, fork_with_threads, 0);
	int fd;

	ASSERT_TRUE(first > 0 && second > 0);
	ASSERT_EQ(0, move_process(self->a, first));
	ASSERT_EQ(0, cg_set(self->a, "limit", 1));
	ASSERT_EQ(0, cg_set(self->top, "limit", 3 + THREADS));
	fd = cg_restart_max(self->top);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EPERM, move_process(self->a, second));
	EXPECT_EQ(1, cg_get(self->a, "usage"));
	EXPECT_EQ(1, cg_get(self->a, "max_usage"));
	EXPECT_EQ(0, cg_key(self->a, "events", "forced"));
	EXPECT_EQ(3 + THREADS, bc_read_number(fd));
	close(fd);
	EXPECT_EQ(0, cg_key(self->top, "events", "forced"));
}

/* A group that removes itself leaves its zombies to its parent. */
TEST_F(with_numtasks, a_group_that_goes_leaves_its_zombies)
{
	long pid = call(self->w, fork_pid, 0);

	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, cg_set(self->a, AUTO_DELETE, 1));
	ASSERT_EQ(0, move_process(self->a, pid));
	ASSERT_EQ(0, call(self->w, make_zombie, pid));
	EXPECT_TRUE(bc_soon(!exists(self->a)));
	EXPECT_EQ(2, cg_get(self->top, "usage"));
	ASSERT_EQ(0, call(self->w, end_process, pid));
	EXPECT_EQ(1, cg_get(self->top, "usage"));
}

TEST_HARNESS_MAIN
