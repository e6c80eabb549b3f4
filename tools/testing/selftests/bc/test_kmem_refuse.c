// SPDX-License-Identifier: GPL-2.0
/*
 * A group that has no kernel memory left: it hurts no other group, its running
 * programs go on, its administrator can work in it, and what cannot be refused is
 * paid for.
 */
/* bc-boot: --smp 2 */
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/loop.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "bc_util.h"
#include "kmem_util.h"
#include "ring_util.h"

/* What one page of page tables maps. */
#define STRIDE MIB(2)
#define STRIDES 8192

#define LOOP "/dev/loop0"

static void __attribute__((constructor)) choose_controller(void)
{
	bc_controller = "kmem";
	bc_bytes = true;
}

FIXTURE(refuse)
{
	char *top;	/* has no processes (v2: groups with some have none below) */
	char *group;
};

FIXTURE_VARIANT(refuse)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(refuse, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(refuse, v2) { .v2 = true };

FIXTURE_SETUP(refuse)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	ASSERT_NE(NULL, self->group);
	ASSERT_EQ(0, bc_many_files());
	bc_write_file(DROP_CACHES, "4");		/* without a message each time */
}

FIXTURE_TEARDOWN(refuse)
{
	bc_teardown();
}

static char chunk[KIB(64)];
static char *area;

/* As beyond(), without page cache, which keeps kernel memory. */
static long long beyond_cached(const char *cg, long long before)
{
	bc_write_file(DROP_CACHES, "3");
	return beyond(cg, before);
}

static long fill_pipes(long most, int tries)
{
	int pair[2];
	long n;

	for (n = 0; n < most; n++) {
		if (IN_TIME(tries, pipe2(pair, O_NONBLOCK | O_CLOEXEC)))
			return errno == ENOMEM || errno == ENFILE ? n : -errno;
		keep(pair[0]);
		keep(pair[1]);
		while (IN_TIME(tries, write(pair[1], chunk, sizeof(chunk))) > 0)
			;
		if (errno != EAGAIN)
			return errno == ENOMEM ? n : -errno;
	}
	return n;
}

/* How many pipes could be filled until one was refused memory. */
static long pipes_until_refused(long most)
{
	return fill_pipes(most, 0);
}

/* The same, where it takes long to make room. */
static long pipes_in_time(long most)
{
	return fill_pipes(most, TRIES);
}

/* Has what is smaller than a page, too. */
static long eventfds_until_refused(long most)
{
	long n;

	for (n = 0; n < most; n++)
		if (keep(eventfd(0, EFD_CLOEXEC)) < 0)
			break;
	return n;
}

/* Asks again and again, each time of every kind, for @ms milliseconds. */
static long keep_asking(long ms)
{
	long long end = bc_now_ms() + ms;
	int pair[2];

	do {
		if (!pipe2(pair, O_NONBLOCK | O_CLOEXEC)) {
			while (write(pair[1], chunk, sizeof(chunk)) > 0)
				;
			keep(pair[0]);
			keep(pair[1]);
		}
		keep(eventfd(0, EFD_CLOEXEC));
	} while (bc_now_ms() < end);
	return 0;
}

#define NAMES 3000
/* More than MIB(2) has room for: an entry takes 192 bytes at least. */
#define MANY_NAMES 15000

/*
 * A tenant that is full of pipes. Catches: the machine's caches emptied for it, ten
 * times a second.
 */
TEST_F(refuse, neighbours_keep_what_they_have_cached)
{
	char *other = cg_new(self->top, "other");
	struct worker *w, *neighbour;
	long long cached, empty;

	ASSERT_NE(NULL, other);
	w = user_in(self->group);
	neighbour = user_in(other);
	ASSERT_TRUE(w && neighbour);
	ASSERT_EQ(0, cg_set(self->group, "limit", MIB(8)));
	ASSERT_EQ(0, cg_write(self->group, "barrier", "max"));
	ASSERT_LT(0, call(w, pipes_until_refused, 1000));
	empty = quiet(other);
	ASSERT_EQ(0, call(neighbour, miss_names, NAMES));
	cached = cg_get(other, "usage") - empty;
	ASSERT_LT(NAMES * 100, cached);
	EXPECT_EQ(0, call(w, keep_asking, 3000));
	EXPECT_LT(0, cg_refusals(self->group));
	EXPECT_LE(empty + cached * 9 / 10, cg_get(other, "usage"));
	worker_end(w);
	worker_end(neighbour);
	EXPECT_SOON(0, beyond_cached(self->group, 0));
}

/*
 * What a group itself has cached goes before a refusal, whatever it asks for, and
 * a neighbour's that is in the same lists stays.
 */
TEST_F(refuse, a_group_gives_up_its_own)
{
	char *other = cg_new(self->top, "other");
	char *child = cg_new(self->group, "child");
	struct worker *w, *neighbour;
	long long cached, empty, limit;
	long pipes;

	ASSERT_TRUE(other && child);
	w = user_in(child);
	neighbour = user_in(other);
	ASSERT_TRUE(w && neighbour);
	empty = quiet(other);
	/* Before and behind what the group has. */
	ASSERT_EQ(0, call(neighbour, miss_names, NAMES));
	limit = quiet(self->group) + MIB(2);
	ASSERT_EQ(0, call(neighbour, miss_names, NAMES));
	cached = cg_get(other, "usage") - empty;
	/* The bound is the parent's: what is below is its own, too. */
	ASSERT_EQ(0, cg_set(self->group, "limit", limit));
	ASSERT_EQ(0, cg_write(self->group, "barrier", "max"));
	ASSERT_EQ(0, call(w, miss_names, MANY_NAMES));
	ASSERT_EQ(0, call(neighbour, miss_names, NAMES));
	EXPECT_LE(limit - MIB(1), cg_get(self->group, "usage"));
	EXPECT_LE(cg_get(self->group, "usage"), limit);
	/* Most of the room can be had for something else. */
	pipes = call(w, pipes_in_time, 1000);
	EXPECT_LE(22, pipes);
	EXPECT_LE(empty + cached * 9 / 10, cg_get(other, "usage"));
	worker_end(w);
	worker_end(neighbour);
	EXPECT_SOON(0, beyond_cached(self->group, 0));
}

static sigjmp_buf bus;
static char bus_stack[KIB(64)];

static void on_bus(int signal)
{
	(void)signal;
	siglongjmp(bus, 1);
}

static long map_sparse(long unused)
{
	stack_t stack = { .ss_sp = bus_stack, .ss_size = sizeof(bus_stack) };
	struct sigaction action = { .sa_handler = on_bus, .sa_flags = SA_ONSTACK };
	void *p = mmap(NULL, STRIDE * STRIDES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)unused;
	if (p == MAP_FAILED || sigaltstack(&stack, NULL) ||
	    sigaction(SIGBUS, &action, NULL))
		return -errno;
	madvise(p, STRIDE * STRIDES, MADV_NOHUGEPAGE);
	area = p;
	return 0;
}

/* Reads one byte in each stride, as long as there are page tables: how many. */
static long touch_until_refused(long unused)
{
	static volatile long n;

	(void)unused;
	if (!sigsetjmp(bus, 1))
		for (n = 0; n < STRIDES; n++)
			(void)((volatile char *)area)[n * STRIDE];
	return n;
}

static long run_true(long unused)
{
	int status;
	pid_t pid = fork();

	(void)unused;
	if (pid < 0)
		return -errno;
	if (!pid) {
		execlp("true", "true", NULL);
		_exit(100);
	}
	waitpid(pid, &status, 0);
	return status;
}

/*
 * Tasks without privileges that take what they can get, by page tables, objects
 * and signals. Catches: no room for root to start a shell, and kill them.
 */
TEST_F(refuse, root_can_exec_in_a_full_group)
{
	struct worker *user, *root;
	long long limit;
	long touched;
	int i;

	user = user_in(self->group);
	root = root_in(self->group);
	ASSERT_TRUE(user && root);
	ASSERT_EQ(0, call(user, map_sparse, 0));
	EXPECT_EQ(0, call(root, run_true, 0));
	limit = quiet(self->group) + MIB(5);
	ASSERT_EQ(0, cg_set(self->group, "limit", limit));
	ASSERT_EQ(0, cg_set(self->group, "barrier", limit - MIB(2)));
	for (i = 0; i < 2; i++) {
		ASSERT_LE(0, call(user, pipes_until_refused, 1000));
		touched = call(user, touch_until_refused, 0);
		EXPECT_LT(0, touched);
		EXPECT_GT(STRIDES, touched);
		call(user, eventfds_until_refused, 1000);
	}
	/* Half of what is between is there, whatever they did. */
	EXPECT_LE(limit - MIB(2), cg_get(self->group, "usage"));
	EXPECT_GE(limit - MIB(1), cg_get(self->group, "usage"));
	EXPECT_EQ(0, call(root, run_true, 0));
	EXPECT_EQ(0, call(root, run_true, 0));
	worker_kill(user);
	worker_end(root);
	EXPECT_SOON(0, beyond_cached(self->group, 0));
}

#define SERVERS 12
#define REGIONS 6

static volatile int *go;
static pid_t servers[SERVERS];

/* Touches what its parent has mapped: page tables of its own, from now on. */
static void serve(void)
{
	int i;

	while (!*go)
		bc_sleep_ms(1);
	for (i = 0; i < REGIONS; i++)
		((volatile char *)area)[i * STRIDE + getpid() % 100 * PAGE] = 1;
	_exit(0);
}

/* As a server has processes for its clients. */
static long fork_servers(long unused)
{
	int i;

	(void)unused;
	signal(SIGBUS, SIG_DFL);
	go = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		  -1, 0);
	if (go == MAP_FAILED)
		return -errno;
	*go = 0;
	for (i = 0; i < SERVERS; i++) {
		servers[i] = fork();
		if (servers[i] < 0)
			return -errno;
		if (!servers[i])
			serve();
	}
	return 0;
}

/* How many of them have died of a signal. */
static long let_servers_run(long unused)
{
	int i, status;
	long died = 0;

	(void)unused;
	*go = 1;
	for (i = 0; i < SERVERS; i++) {
		if (waitpid(servers[i], &status, 0) < 0)
			return -errno;
		died += WIFSIGNALED(status);
	}
	return died;
}

/*
 * With a limit alone: what is new is refused, what runs goes on. Catches: a server
 * whose processes die in page faults as other work has taken the last page.
 */
TEST_F(refuse, a_limit_alone_kills_no_server)
{
	struct worker *server, *hog;
	long long limit, barrier;

	server = user_in(self->group);
	hog = user_in(self->group);
	ASSERT_TRUE(server && hog);
	ASSERT_EQ(0, call(server, map_sparse, 0));
	EXPECT_EQ(BC_UNLIMITED, cg_get(self->group, "barrier"));
	ASSERT_EQ(0, call(server, fork_servers, 0));
	limit = quiet(self->group) + MIB(6);
	ASSERT_EQ(0, cg_set(self->group, "limit", limit));
	barrier = cg_get(self->group, "barrier");
	EXPECT_LE(limit - limit / 4 - 1, barrier);
	EXPECT_GE(limit - limit / 4 + 1, barrier);
	EXPECT_LT(0, call(hog, pipes_until_refused, 1000));
	call(hog, eventfds_until_refused, 1000);
	EXPECT_LE(cg_get(self->group, "usage"), barrier);
	EXPECT_EQ(0, call(server, let_servers_run, 0));
	/* One that is written counts, be it none. */
	ASSERT_EQ(0, cg_write(self->group, "barrier", "max"));
	EXPECT_EQ(BC_UNLIMITED, cg_get(self->group, "barrier"));
	EXPECT_LT(0, call(hog, pipes_until_refused, 1000));
	EXPECT_LE(limit - KIB(128), cg_get(self->group, "usage"));
	ASSERT_EQ(0, cg_set(self->group, "limit", limit + MIB(1)));
	EXPECT_EQ(BC_UNLIMITED, cg_get(self->group, "barrier"));
	worker_end(hog);
	worker_end(server);
	EXPECT_SOON(0, beyond_cached(self->group, 0));
}

#define SLEEPERS 500

static int sleeping;

static int sleeper(void *unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	__atomic_add_fetch(&sleeping, 1, __ATOMIC_SEQ_CST);
	while (pause())
		;
	return 0;
}

/*
 * Children that do nothing, and end with their parent. They are in its memory, so that
 * they take all that they take before they run.
 */
static long fork_until_refused(long most)
{
	static char stacks[SLEEPERS][KIB(4)] __attribute__((aligned(16)));
	static int used;
	long n;

	for (n = 0; n < most; n++) {
		if (used == SLEEPERS)
			return -EOVERFLOW;
		if (clone(sleeper, stacks[used + 1], CLONE_VM | SIGCHLD, NULL) < 0)
			return errno == ENOMEM ? n : -errno;
		used++;
		/* One that has not come so far would outlive its parent. */
		while (__atomic_load_n(&sleeping, __ATOMIC_SEQ_CST) < used)
			sched_yield();
	}
	return n;
}

/* io_uring has a worker for this: a thread of the server's, made for it. */
static long read_by_a_worker(long unused)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_READ,
		.flags = IOSQE_ASYNC,
		.len = 1,
	};
	struct ring ring;
	long result;
	char c;

	(void)unused;
	result = ring_setup(&ring);
	if (result)
		return result;
	sqe.fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (sqe.fd < 0)
		return -errno;
	sqe.addr = (uintptr_t)&c;
	result = ring_do(&ring, &sqe);
	close(sqe.fd);
	close(ring.fd);
	return result == 1 ? 0 : result;
}

/*
 * With a limit alone a new task is refused before all else. Catches: a server that
 * has forked until its processes can open no file.
 */
TEST_F(refuse, a_new_task_is_refused_first)
{
	long long limit, barrier, early;
	struct worker *server;
	long err;

	server = user_in(self->group);
	ASSERT_NE(NULL, server);
	limit = quiet(self->group) + MIB(6);
	ASSERT_EQ(0, cg_set(self->group, "limit", limit));
	barrier = cg_get(self->group, "barrier");
	early = barrier - (limit - barrier) / 2;
	EXPECT_LT(1, call(server, fork_until_refused, SLEEPERS));
	EXPECT_LE(early - KIB(128), cg_get(self->group, "usage"));
	EXPECT_GE(early + KIB(128), cg_get(self->group, "usage"));
	/* What is above is there for the tasks that are, with their workers. */
	err = call(server, read_by_a_worker, 0);
	EXPECT_TRUE(err == 0 || err == -ENOSYS)
		TH_LOG("io_uring: %s", strerror(-err));
	EXPECT_LT(0, call(server, pipes_until_refused, 1000));
	EXPECT_LE(barrier - KIB(128), cg_get(self->group, "usage"));
	EXPECT_EQ(0, call(server, fork_until_refused, 1));
	/* A barrier that was written counts for all. */
	ASSERT_EQ(0, cg_set(self->group, "limit", limit + MIB(4)));
	ASSERT_EQ(0, cg_set(self->group, "barrier", barrier + MIB(1)));
	EXPECT_LT(1, call(server, fork_until_refused, SLEEPERS));
	EXPECT_LE(barrier + MIB(1) - KIB(128), cg_get(self->group, "usage"));
	EXPECT_GE(barrier + MIB(1), cg_get(self->group, "usage"));
	worker_kill(server);
	EXPECT_SOON(0, beyond_cached(self->group, 0));
}

/* As many robust futexes as the kernel looks at, each where no page table is yet. */
#define ROBUST ROBUST_LIST_LIMIT

static struct {
	struct robust_list_head head;
	pthread_t thread;
	int wait[2];
} robust;

static void *end_with_futexes(void *unused)
{
	char c;

	if (syscall(SYS_set_robust_list, &robust.head, sizeof(robust.head)) ||
	    read(robust.wait[0], &c, 1) != 1)
		return unused;
	return NULL;
}

/* Where the entry @i is read: by a mapping of its own. */
static struct robust_list *robust_at(char *area, size_t i)
{
	return (void *)(area + i * MIB(2) + i * sizeof(struct robust_list) % PAGE);
}

static long make_futexes(long unused)
{
	const size_t bytes = ROBUST * sizeof(struct robust_list);
	int fd = memfd_create("bc_robust", MFD_CLOEXEC);
	struct robust_list *list;
	char *area;
	size_t i;

	(void)unused;
	if (fd < 0 || ftruncate(fd, bytes) || pipe(robust.wait))
		return -errno;
	list = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	area = mmap(NULL, (ROBUST + 1) * MIB(2), PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (list == MAP_FAILED || area == MAP_FAILED ||
	    munmap(area, (ROBUST + 1) * MIB(2)))
		return -errno;
	area += MIB(2) - (uintptr_t)area % MIB(2);
	for (i = 0; i < ROBUST; i++) {
		if (mmap(area + i * MIB(2), PAGE, PROT_READ, MAP_SHARED | MAP_FIXED,
			 fd, i * sizeof(*list) / PAGE * PAGE) == MAP_FAILED)
			return -errno;
		list[i].next = i + 1 < ROBUST ? robust_at(area, i + 1) :
						&robust.head.list;
	}
	robust.head.list.next = robust_at(area, 0);
	return -pthread_create(&robust.thread, NULL, end_with_futexes, &robust);
}

static long end_thread(long unused)
{
	void *failed;

	(void)unused;
	if (write(robust.wait[1], "", 1) != 1 || pthread_join(robust.thread, &failed))
		return -errno;
	return failed ? -EINVAL : 0;
}

/*
 * A thread that ends may have what it takes to end. Catches: as many page tables as
 * it likes, by a list of robust futexes, which the kernel reads then.
 */
TEST_F(refuse, an_ending_thread_overruns_nothing)
{
	struct worker *w = user_in(self->group);
	long long limit;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, make_futexes, 0));
	limit = quiet(self->group) + MIB(1);
	ASSERT_EQ(0, cg_set(self->group, "limit", limit));
	EXPECT_EQ(0, call(w, end_thread, 0));
	EXPECT_GE(limit, cg_get(self->group, "usage"));
}

#define EVENTS 8000

/* A scope that names the task's own group changes nothing: room is made. */
TEST_F(refuse, own_events_find_room)
{
	struct worker *w;
	long long limit;
	int tries = 0;
	long seen;

	ASSERT_EQ(0, make_watched());
	w = root_in(self->group);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, watch_own, 0));
	EXPECT_EQ(100, call(w, own_events, 100));
	limit = quiet(self->group) + MIB(2);
	ASSERT_EQ(0, cg_set(self->group, "limit", limit));
	ASSERT_EQ(0, cg_write(self->group, "barrier", "max"));
	do {
		ASSERT_EQ(0, call(w, miss_names, MANY_NAMES));
		EXPECT_LE(limit - MIB(1), cg_get(self->group, "usage"));
		seen = call(w, own_events, EVENTS);
	} while (seen == -ETIME && ++tries < 10);
	EXPECT_EQ(EVENTS, seen);
	EXPECT_LE(cg_get(self->group, "usage"), limit);
	worker_end(w);
	end_watched();
	EXPECT_SOON(0, beyond_cached(self->group, 0));
}

/* A file system on a loop device, with blocks so small that a page has four. */

static char image_dir[] = "/tmp/bc_refuse_ext2";
static char image[] = "/tmp/bc_refuse.img";

static bool make_image(void)
{
	int backing = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int loop = open(LOOP, O_RDWR | O_CLOEXEC);
	bool bound = backing >= 0 && loop >= 0 &&
		     !ftruncate(backing, MIB(96)) &&
		     !ioctl(loop, LOOP_SET_FD, backing);

	/* What is open for writing cannot be mounted. */
	close(backing);
	close(loop);
	mkdir(image_dir, 0777);
	return bound &&
	       !system("mke2fs -q -b 1024 -I 128 " LOOP " > /dev/null 2>&1") &&
	       !mount(LOOP, image_dir, "ext2", MS_NOATIME, NULL) &&
	       !chmod(image_dir, 0777);
}

static void undo_image(void)
{
	int loop;

	umount(image_dir);
	rmdir(image_dir);
	loop = open(LOOP, O_RDWR | O_CLOEXEC);
	ioctl(loop, LOOP_CLR_FD, 0);
	close(loop);
	unlink(image);
}

static int written = -1;

static long open_file(long unused)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/file", image_dir);
	(void)unused;
	written = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return written < 0 ? -errno : 0;
}

/* Reads it, so that its pages are cached, and without buffer heads. */
static long read_file(long n)
{
	long i;

	for (i = 0; i < n; i++)
		if (pread(written, chunk, sizeof(chunk), i * sizeof(chunk)) !=
		    sizeof(chunk))
			return -errno ?: -EIO;
	return 0;
}

/* @n times 64 KiB, each of them 64 buffer heads; or all with one system call. */
static long write_file(long n)
{
	long i;

	/* A node of the page cache can be refused, while all pages are dirty. */
	for (i = 0; i < n; i++)
		while (pwrite(written, chunk, sizeof(chunk), i * sizeof(chunk)) < 0)
			if (errno != ENOMEM)
				return -errno;
	return 0;
}

static long write_file_at_once(long n)
{
	size_t size = n * sizeof(chunk);
	size_t done = 0;
	ssize_t more;

	while (done < size) {
		more = pwrite(written, area + done, size - done, done);
		if (more < 0 && errno != ENOMEM)
			return -errno;
		done += more > 0 ? more : 0;
	}
	return 0;
}

/* Reading it needs no more than the page tables that there are then. */
static long map_zeroes(long n)
{
	size_t size = n * sizeof(chunk);
	char *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		       -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	area = p;
	return 0;
}

#define WRITES ((long)(MIB(32) / sizeof(chunk)))

static void write_in_a_full_group(struct __test_metadata *_metadata, char *group,
				  bool bounded_by_waiting, bc_work how)
{
	long long limit, highest = 0, now, end;
	struct worker *w, *hog;
	struct pollfd result;
	bool ended;

	w = user_in(group);
	hog = user_in(group);
	ASSERT_TRUE(w && hog);
	ASSERT_EQ(0, call(w, open_file, 0));
	ASSERT_EQ(0, call(w, map_zeroes, WRITES));
	ASSERT_EQ(0, call(w, write_file, WRITES));
	sync();
	bc_write_file(DROP_CACHES, "3");
	ASSERT_EQ(0, call(w, read_file, WRITES));
	limit = quiet(group) + MIB(6);
	ASSERT_EQ(0, cg_set(group, "limit", limit));
	ASSERT_EQ(0, cg_write(group, "barrier", "max"));
	ASSERT_LT(0, call(hog, pipes_until_refused, 1000));
	call(hog, eventfds_until_refused, 1000);

	/* All of it takes half as much as the limit. */
	start(w, how, WRITES);
	result = (struct pollfd) { .fd = w->results, .events = POLLIN };
	end = bc_now_ms() + 10000;
	do {
		ended = poll(&result, 1, 20) > 0;
		now = cg_get(group, "usage");
		highest = now > highest ? now : highest;
	} while (!ended && bc_now_ms() < end);
	TH_LOG("%s, %s: %lld KiB beyond a limit of %lld KiB",
	       bounded_by_waiting ? "without memcg" : "with memcg",
	       how == write_file ? "in parts" : "at once",
	       (highest - limit) / 1024, limit / 1024);
	EXPECT_GE(limit + limit / 4, highest);
	if (!bounded_by_waiting)
		EXPECT_EQ(0, finish(w));
	/* A task that waits can be killed. */
	worker_kill(w);
	worker_kill(hog);
	EXPECT_SOON(0, beyond_cached(group, 0));
}

/*
 * Buffer heads cannot be refused. Catches: a group that overruns its limit for as
 * long as it writes.
 */
TEST_F(refuse, writes_are_paid_for)
{
	if (!make_image()) {
		undo_image();
		SKIP(return, "no ext2 on a loop device");
	}
	write_in_a_full_group(_metadata, self->group, true, write_file);
	write_in_a_full_group(_metadata, cg_new(self->top, "other"), true,
			      write_file_at_once);
	undo_image();
}

/* Where the group has a memcg, old page cache makes room: writing goes on. */
TEST_F(refuse, writes_go_on_with_memcg)
{
	char *root;

	if (!variant->v2 || bc_hierarchy_of("memory") != 0)
		SKIP(return, "no memory controller in the same hierarchy");
	root = strdup(self->top);
	ASSERT_NE(NULL, root);
	*strrchr(root, '/') = '\0';
	if (cg_write(root, "cgroup.subtree_control", "+memory") ||
	    cg_write(self->top, "cgroup.subtree_control", "+memory"))
		SKIP(return, "no memory controller in v2");
	if (make_image()) {
		write_in_a_full_group(_metadata, self->group, false, write_file);
		write_in_a_full_group(_metadata, cg_new(self->top, "other"), false,
				      write_file_at_once);
	} else {
		TH_LOG("no ext2 on a loop device");
	}
	undo_image();
	EXPECT_SOON(0, cg_rmdir(self->group));
	cg_write(self->top, "cgroup.subtree_control", "-memory");
	bc_teardown();	/* the root can do without it only after that */
	root = bc_mount_v2();
	if (root) {
		cg_write(root, "cgroup.subtree_control", "-memory");
		bc_umount(root);
	}
}

/*
 * Many tasks at one limit: each waits for another one's search for room once, and
 * not for long. Catches: tasks that cannot be killed while they wait, and such as
 * wait for each other.
 */
TEST_F(refuse, tasks_at_the_limit_can_be_killed)
{
	struct worker *w[8];
	long long refusals;
	int i;

	for (i = 0; i < 8; i++) {
		w[i] = user_in(self->group);
		ASSERT_NE(NULL, w[i]);
	}
	ASSERT_EQ(0, cg_set(self->group, "limit", quiet(self->group) + MIB(1)));
	ASSERT_LE(0, call(w[0], pipes_until_refused, 1000));
	refusals = cg_refusals(self->group);
	for (i = 0; i < 8; i++)
		start(w[i], keep_asking, 3600000);
	EXPECT_TRUE(bc_soon(cg_refusals(self->group) > refusals + 200));
	for (i = 0; i < 8; i++)
		worker_kill(w[i]);
	EXPECT_SOON(0, beyond_cached(self->group, 0));
}

TEST_HARNESS_MAIN
