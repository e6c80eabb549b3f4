// SPDX-License-Identifier: GPL-2.0
/*
 * kmem, as its users see it: what the kernel allocates on a process's request is
 * charged to its group and returned when it is freed; and a group that may have
 * no more gets an error, not the OOM killer, and leaves all other groups alone.
 *
 * A worker needs kernel memory like any other process. Before it gets a limit,
 * it has touched all memory that it will use; and what it does at the limit
 * makes do with that.
 */
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/filter.h>
#include <linux/loop.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#include "../kselftest_harness.h"
#include "bc_util.h"
#include "kmem_util.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* What one page of page tables maps. */
#define STRIDE MIB(2)
#define SPARSE (STRIDE * 32768)

#define SEM_LIMITS "/proc/sys/kernel/sem"
static char sem_limits[128];			/* what they were */
/* Semaphores of 64 bytes: more than kmalloc() can do. */
#define MANY_SEMAPHORES 131072

/* A directory of the test's own, and how many files are in it, called f0 ... */
static char files[] = "/tmp/bc_kmem.XXXXXX";
#define FILES 64

/* System V objects outlive their makers: the test can remove them, too. */
static struct {
	enum { QUEUE = 1, SEGMENT, SEMAPHORES } kind;
	int id;
} *ipc;
#define IPCS 128

static void read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);

	buf[n < 0 ? 0 : n] = '\0';
	if (fd >= 0)
		close(fd);
}

static void remove_files(void)
{
	char path[128];
	int i;

	for (i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/f%d", files, i);
		unlink(path);
	}
	rmdir(files);
}

static int make_files(void)
{
	/* What a file has for locks stays with it: no group is to be charged for it. */
	struct flock lock = { .l_type = F_WRLCK };
	char path[128];
	int i, fd;

	strcpy(files + sizeof(files) - 7, "XXXXXX");
	if (!mkdtemp(files))
		return -errno;
	for (i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/f%d", files, i);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0)
			return -errno;
		fcntl(fd, F_SETLK, &lock);
		close(fd);
	}
	return 0;
}

static void __attribute__((constructor)) choose_controller(void)
{
	bc_controller = "kmem";
	bc_bytes = true;
}

FIXTURE(kmem)
{
	char *top;	/* has no processes (v2: groups with some have none below) */
	char *group;
};

FIXTURE_VARIANT(kmem)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(kmem, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(kmem, v2) { .v2 = true };

static long undo_ipc(long unused);
static long undo_inodes(long unused);

FIXTURE_SETUP(kmem)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	ASSERT_NE(NULL, self->group);
	/* A limit is a limit here, for tasks without privileges, too. */
	ASSERT_EQ(0, cg_write(self->group, "barrier", "max"));
	ASSERT_EQ(0, make_files());
	ipc = mmap(NULL, IPCS * sizeof(*ipc), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)ipc);
	bc_write_file(DROP_CACHES, "4");		/* without a message each time */
	read_file(SEM_LIMITS, sem_limits, sizeof(sem_limits));
	bc_write_file(SEM_LIMITS, "131072 1024000000 500 32000");
}

FIXTURE_TEARDOWN(kmem)
{
	bc_teardown();
	if (ipc)
		undo_ipc(0);
	undo_inodes(0);
	remove_files();
	if (*sem_limits)
		bc_write_file(SEM_LIMITS, sem_limits);
}

/* What is used */

/* By how much the kinds differ from what they make up together. */
static long long unsummed(const char *cg)
{
	return cg_key(cg, "stat", "slab") + cg_key(cg, "stat", "page") +
	       cg_key(cg, "stat", "vmalloc") - cg_get(cg, "usage");
}

/* Nothing is left, of any kind. */
#define EXPECT_NOTHING(cg) do {						\
	EXPECT_EQ(0, bc_settle(0, beyond(cg, 0)))			\
		log_holders(cg);					\
	EXPECT_SOON(0, cg_key(cg, "stat", "slab"));			\
	EXPECT_SOON(0, cg_key(cg, "stat", "page"));			\
	EXPECT_SOON(0, cg_key(cg, "stat", "vmalloc"));			\
} while (0)

/*
 * A file that has the highest usage from now on. A dying task is not bound by a
 * limit: then it is -1, which is below any.
 */
struct peak {
	const char *cg;
	int fd;
	long long forced;
};

static struct peak peak_from_now(const char *cg)
{
	struct peak peak = {
		.cg = cg,
		.fd = cg_open(cg, "max_usage", O_RDWR),
		.forced = cg_key(cg, "events", "forced"),
	};

	if (peak.fd >= 0 && write(peak.fd, "0\n", 2) != 2) {
		close(peak.fd);
		peak.fd = -1;
	}
	return peak;
}

static long long peak_read(struct peak *peak)
{
	long long highest = peak->fd < 0 ? BC_UNLIMITED : bc_read_number(peak->fd);

	if (highest < 0)
		highest = BC_UNLIMITED;
	if (cg_key(peak->cg, "events", "forced") != peak->forced)
		highest = -1;
	return highest;
}

static long long peak_end(struct peak *peak)
{
	long long highest = peak_read(peak);

	close(peak->fd);
	return highest;
}

static long nothing(long unused)
{
	(void)unused;
	return 0;
}

/*
 * Consumers: they hold so much that half of it is certain to be too little. 0 or
 * -errno. What was made before an error is kept until it is undone.
 */

static char chunk[KIB(64)];

/* Writes until there is no more room. */
static long fill(int fd)
{
	while (write(fd, chunk, sizeof(chunk)) > 0)
		;
	return errno == EAGAIN ? 0 : -errno;
}

static long make_pipes(long n)
{
	int pair[2];
	long err;

	for (n = n ?: 8; n > 0; n--) {
		if (pipe2(pair, O_NONBLOCK | O_CLOEXEC))
			return -errno;
		keep(pair[0]);
		keep(pair[1]);
		err = fill(pair[1]);
		if (err)
			return err;
	}
	return 0;
}

/* Asks for so many pipes that none is given; the first that is ends it. */
static long ask_in_vain(long n)
{
	int pair[2];

	for (; n > 0; n--) {
		if (!pipe2(pair, O_CLOEXEC)) {
			keep(pair[0]);
			keep(pair[1]);
			return n;
		}
		if (errno != ENOMEM && errno != ENFILE)
			return -errno;
	}
	return 0;
}

/* A pipe of so many pages has an array of them, beyond what slabs are for. */
static long make_long_pipe(long unused)
{
	int pair[2];

	(void)unused;
	if (pipe2(pair, O_NONBLOCK | O_CLOEXEC))
		return -errno;
	keep(pair[0]);
	keep(pair[1]);
	return fcntl(pair[1], F_SETPIPE_SZ, MIB(4)) < 0 ? -errno : 0;
}

static long make_sockets(long unused)
{
	int pair[2], i;
	ssize_t n;

	(void)unused;
	for (i = 0; i < 4; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			return -errno;
		keep(pair[0]);
		keep(pair[1]);
		do
			n = send(pair[1], chunk, KIB(16), MSG_DONTWAIT);
		while (n > 0);
		if (errno != EAGAIN)
			return -errno;
	}
	return 0;
}

/* Files on their way from one process to another. */
static long make_passed(long unused)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = "" };
	struct iovec byte = { .iov_base = chunk, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int pair[2], fd, i;

	(void)unused;
	fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	keep(fd);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	keep(pair[0]);
	keep(pair[1]);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	for (i = 0; i < 50; i++)
		if (sendmsg(pair[1], &message, MSG_DONTWAIT) < 0)
			return -errno;
	return 0;
}

/* Each descriptor of a file can be watched by itself. */
static long make_watches(long unused)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll, fd, i;

	(void)unused;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		return -errno;
	keep(epoll);
	fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	keep(fd);
	for (i = 0; i < 200; i++) {
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		keep(fd);
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			return -errno;
	}
	return 0;
}

static long make_eventfd(long unused)
{
	(void)unused;
	return keep(eventfd(0, EFD_CLOEXEC));
}

static long make_eventfds(long n)
{
	long err = 0;

	for (n = n ?: 50; n > 0 && !err; n--)
		err = make_eventfd(0);
	return err;
}

/* How many can be had, @most at most; -errno for another reason than memory. */
static long eventfds_until_refused(long most)
{
	long n, err = 0;

	for (n = 0; n < most && !err; n++)
		err = make_eventfd(0);
	if (err && err != -ENOMEM)
		return err;
	return n - !!err;
}

static long make_timerfds(long unused)
{
	long err = 0;
	int i;

	(void)unused;
	for (i = 0; i < 50 && !err; i++)
		err = keep(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	return err;
}

static long make_inotify(long unused)
{
	char path[128];
	int fd, i;

	(void)unused;
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0)
		return -errno;
	keep(fd);
	for (i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/f%d", files, i);
		if (inotify_add_watch(fd, path, IN_MODIFY) < 0)
			return -errno;
	}
	return 0;
}

static long keep_ipc(int kind, int id)
{
	int i;

	if (id < 0)
		return -errno;
	for (i = 0; i < IPCS; i++)
		if (!ipc[i].kind) {
			ipc[i].id = id;
			ipc[i].kind = kind;
			return 0;
		}
	return -E2BIG;
}

static long undo_ipc(long unused)
{
	long err = 0;
	int i;

	(void)unused;
	for (i = 0; i < IPCS; i++) {
		int id = ipc[i].id, ret = 0;

		if (ipc[i].kind == QUEUE)
			ret = msgctl(id, IPC_RMID, NULL);
		else if (ipc[i].kind == SEGMENT)
			ret = shmctl(id, IPC_RMID, NULL);
		else if (ipc[i].kind == SEMAPHORES)
			ret = semctl(id, 0, IPC_RMID);
		if (ret)
			err = -errno;
		else
			ipc[i].kind = 0;
	}
	return err;
}

/* Queues that are full. */
static long make_messages(long unused)
{
	static struct {
		long type;
		char text[2000];
	} message = { .type = 1 };
	int i, queue;
	long err;

	(void)unused;
	for (i = 0; i < 8; i++) {
		queue = msgget(IPC_PRIVATE, 0600);
		err = keep_ipc(QUEUE, queue);
		if (err)
			return err;
		while (!msgsnd(queue, &message, sizeof(message.text), IPC_NOWAIT))
			;
		if (errno != EAGAIN)
			return -errno;
	}
	return 0;
}

static long make_segments(long unused)
{
	long err = 0;
	int i;

	(void)unused;
	for (i = 0; i < 30 && !err; i++)
		err = keep_ipc(SEGMENT, shmget(IPC_PRIVATE, PAGE, 0600));
	return err;
}

static long make_semaphores(long unused)
{
	(void)unused;
	return keep_ipc(SEMAPHORES, semget(IPC_PRIVATE, MANY_SEMAPHORES, 0600));
}

static long make_locks(long unused)
{
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };
	char path[128];
	int fd, i;

	(void)unused;
	snprintf(path, sizeof(path), "%s/f0", files);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	keep(fd);
	for (i = 0; i < 300; i++) {
		lock.l_start = 2 * i;
		if (fcntl(fd, F_SETLK, &lock))
			return -errno;
	}
	return 0;
}

static long make_filters(long unused)
{
	static struct sock_filter code[1000];
	struct sock_fprog program = { .len = 1000, .filter = code };
	int fd, i;

	(void)unused;
	for (i = 0; i < 1000; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	for (i = 0; i < 4; i++) {
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		keep(fd);
		if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			       sizeof(program)))
			return -errno;
	}
	return 0;
}

static int timers[200];
static int ntimers;

static long make_timers(long unused)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };

	(void)unused;
	while (ntimers < 200) {
		if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event,
			    &timers[ntimers]))
			return -errno;
		ntimers++;
	}
	return 0;
}

static long undo_timers(long unused)
{
	(void)unused;
	while (ntimers)
		if (syscall(SYS_timer_delete, timers[--ntimers]))
			return -errno;
	return 0;
}

static char *area;
static size_t area_size;

static long map_area(size_t size, int prot)
{
	void *p = mmap(NULL, size, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	madvise(p, size, MADV_NOHUGEPAGE);
	area = p;
	area_size = size;
	return 0;
}

static long undo_area(long unused)
{
	(void)unused;
	if (area && munmap(area, area_size))
		return -errno;
	area = NULL;
	return 0;
}

/* Every other page has another protection than its neighbours. */
static long make_mappings(long unused)
{
	long err = map_area(400 * PAGE, PROT_NONE);
	int i;

	(void)unused;
	for (i = 0; i < 400 && !err; i += 2)
		if (mprotect(area + i * PAGE, PAGE, PROT_READ))
			err = -errno;
	return err;
}

/* Touches one page in each of @n strides, without dying of it. */
static long populate(long n)
{
	long i;

	for (i = 0; i < n; i++)
		if (madvise(area + i * STRIDE, PAGE, MADV_POPULATE_WRITE))
			return -errno;
	return 0;
}

static long make_page_tables(long unused)
{
	(void)unused;
	return map_area(64 * STRIDE, PROT_READ | PROT_WRITE) ?: populate(64);
}

/*
 * Tasks that share all memory: they have no page tables of their own, in which
 * they could fault. They must not do anything that sets errno, either.
 */
#define TASKS 16

static char stacks[TASKS][KIB(16)] __attribute__((aligned(16)));
static int tids[TASKS];
static int wait_pipe[2] = { -1, -1 };
static bool tasks_are_threads;

static int wait_for_eof(void *unused)
{
	char byte;

	(void)unused;
	while (read(wait_pipe[0], &byte, 1) > 0)
		;
	return 0;
}

#define PROCESS (CLONE_VM | CLONE_FILES | SIGCHLD)
#define THREAD (CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND |	\
		CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID)

static long start_task(int i, int flags, int (*fn)(void *))
{
	int tid;

	tid = clone(fn, stacks[i] + sizeof(stacks[i]),
		    flags | CLONE_PARENT_SETTID, (void *)(long)i, &tids[i], NULL,
		    &tids[i]);
	return tid < 0 ? -errno : 0;
}

static long make_waiting(int flags)
{
	long err = 0;
	int i;

	memset(tids, 0, sizeof(tids));
	tasks_are_threads = flags & CLONE_THREAD;
	if (pipe2(wait_pipe, O_CLOEXEC)) {
		wait_pipe[0] = -1;
		return -errno;
	}
	for (i = 0; i < TASKS && !err; i++) {
		err = start_task(i, flags, wait_for_eof);
		if (err)
			tids[i] = 0;
	}
	return err;
}

static long make_processes(long unused)
{
	(void)unused;
	return make_waiting(PROCESS);
}

static long make_threads(long unused)
{
	(void)unused;
	return make_waiting(THREAD);
}

/* Threads say by themselves that they are gone. */
static void wait_for_threads(void)
{
	int i;

	for (i = 0; i < TASKS; i++)
		while (__atomic_load_n(&tids[i], __ATOMIC_SEQ_CST))
			bc_sleep_ms(1);
}

static long undo_tasks(long unused)
{
	int i;

	(void)unused;
	if (wait_pipe[0] < 0)
		return 0;
	close(wait_pipe[1]);
	if (tasks_are_threads) {
		wait_for_threads();
	} else {
		for (i = 0; i < TASKS; i++)
			if (tids[i])
				waitpid(tids[i], NULL, 0);
	}
	close(wait_pipe[0]);
	wait_pipe[0] = -1;
	return 0;
}

static long make_memfds(long unused)
{
	int i, fd;

	(void)unused;
	for (i = 0; i < 30; i++) {
		fd = syscall(SYS_memfd_create, "bc", 3);	/* can be sealed */
		if (fd < 0)
			return -errno;
		keep(fd);
		if (fcntl(fd, 1033 /* F_ADD_SEALS */, 4))
			return -errno;
	}
	return 0;
}

static long make_names(long unused)
{
	(void)unused;
	return miss_names(2000);
}

#define INODES 100

static long make_inodes(long unused)
{
	char path[128];
	int i, fd;

	(void)unused;
	for (i = 0; i < INODES; i++) {
		snprintf(path, sizeof(path), "%s/n%d", files, i);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

static long undo_inodes(long unused)
{
	char path[128];
	int i;

	(void)unused;
	for (i = 0; i < INODES; i++) {
		snprintf(path, sizeof(path), "%s/n%d", files, i);
		if (unlink(path) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/* 256K with their number, which a slab does not have. */
static gid_t gids[65535];

static long make_groups(long unused)
{
	size_t i;

	(void)unused;
	for (i = 0; i < ARRAY_SIZE(gids); i++)
		gids[i] = i;
	return setgroups(ARRAY_SIZE(gids), gids) ? -errno : 0;
}

static long undo_groups(long unused)
{
	(void)unused;
	return setgroups(0, NULL) ? -errno : 0;
}

/* Not counted by every kernel, as mainline does not mark it in each. */
#define UNMARKED 1
/* Never refused: what is there is given up for what is new. */
#define RECLAIMED 2
/* Names must be looked up, to be removed. */
#define UNDO_ALLOCATES 4
/* Made under a lock that file systems wait for: never refused, but paid for. */
#define FORCED 8

static const struct consumer {
	const char *name;
	bc_work make, undo;
	int also[2];		/* how it may be refused, besides ENOMEM */
	int how;
} consumers[] = {
	{ "full pipes", make_pipes, close_all, { ENFILE } },
	{ "F_SETPIPE_SZ", make_long_pipe, close_all, { ENFILE } },
	{ "full sockets", make_sockets, close_all, { ENFILE, ENOBUFS } },
	{ "passed files", make_passed, close_all, { ENFILE, ENOBUFS } },
	{ "epoll watches", make_watches, close_all },
	{ "eventfds", make_eventfds, close_all },
	{ "timerfds", make_timerfds, close_all },
	{ "inotify watches", make_inotify, close_all, { 0 }, FORCED },
	{ "messages", make_messages, undo_ipc },
	{ "POSIX locks", make_locks, close_all, { ENOLCK } },
	{ "socket filters", make_filters, close_all, { ENFILE }, UNMARKED },
	{ "POSIX timers", make_timers, undo_timers, { EAGAIN } },
	{ "mappings", make_mappings, undo_area },
	{ "page tables", make_page_tables, undo_area, { EFAULT } },
	{ "processes", make_processes, undo_tasks, { EAGAIN, ENFILE } },
	{ "threads", make_threads, undo_tasks, { EAGAIN, ENFILE } },
	{ "memfds", make_memfds, close_all, { ENOSPC, ENFILE } },
	{ "shared memory", make_segments, undo_ipc, { ENOSPC, ENFILE } },
	{ "semaphores", make_semaphores, undo_ipc },
	{ "missing names", make_names, nothing, { 0 }, RECLAIMED },
	{ "inodes", make_inodes, undo_inodes, { ENOSPC }, UNDO_ALLOCATES },
	{ "setgroups", make_groups, undo_groups },
};

/* What a kernel says about a system call that it was built without. */
static bool not_there(long err)
{
	return err == -ENOSYS || err == -EINVAL || err == -EAFNOSUPPORT ||
	       err == -ENODEV || err == -EOPNOTSUPP;
}

static bool is_refusal(const struct consumer *c, long err)
{
	return err == -ENOMEM || (err && (err == -c->also[0] || err == -c->also[1]));
}

/* Tests */

/* A group as it comes bounds nothing: switching the controller on is safe. */
TEST_F(kmem, new_group_is_unlimited_and_empty)
{
	struct worker *w;
	long long before;

	EXPECT_EQ(BC_UNLIMITED, cg_get(self->group, "limit"));
	EXPECT_EQ(BC_UNLIMITED, cg_get(self->group, "barrier"));
	EXPECT_EQ(0, cg_get(self->group, "reservation"));
	EXPECT_EQ(0, cg_get(self->group, "strict"));
	EXPECT_EQ(0, cg_get(self->group, "usage"));
	EXPECT_EQ(0, cg_get(self->group, "max_usage"));
	EXPECT_EQ(0, cg_min_usage(self->group));
	EXPECT_EQ(0, cg_refusals(self->group));
	EXPECT_EQ(0, unsummed(self->group));

	w = root_in(self->group);
	ASSERT_NE(NULL, w);
	before = quiet(self->group);
	EXPECT_EQ(0, call(w, open_files, 200));
	EXPECT_EQ(0, call(w, make_pipes, 4));
	/* A struct file has more than 100 bytes; a pipe's contents are pages. */
	EXPECT_LT(before + 200 * 100 + 4 * KIB(64), cg_get(self->group, "usage"));
	EXPECT_LE(cg_get(self->group, "usage"), cg_get(self->group, "max_usage"));
	EXPECT_SOON(0, unsummed(self->group));
	worker_end(w);
	EXPECT_NOTHING(self->group);
	EXPECT_NOTHING(self->top);
	EXPECT_EQ(0, cg_refusals(self->group));
}

/* Input is in bytes, as people write them; and nothing else is taken. */
TEST_F(kmem, limit_takes_suffixes)
{
	static const struct {
		const char *text;
		long long value;
	} good[] = {
		{ "8M", MIB(8) }, { "1G", MIB(1024) }, { "64k", KIB(64) },
		{ "64K", KIB(64) }, { "12345678", 12345678 },
		{ "max", BC_UNLIMITED },
	};
	static const char * const bad[] = { "8Q", "8MB", "M", "-8M", "8 M", "0x8" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		EXPECT_EQ(0, cg_write(self->group, "limit", good[i].text))
			TH_LOG("%s", good[i].text);
		EXPECT_EQ(good[i].value, cg_get(self->group, "limit"))
			TH_LOG("%s", good[i].text);
	}
	ASSERT_EQ(0, cg_write(self->group, "limit", "8M"));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, cg_write(self->group, "limit", bad[i]))
			TH_LOG("%s", bad[i]);
		EXPECT_EQ(MIB(8), cg_get(self->group, "limit"))
			TH_LOG("%s", bad[i]);
	}
	EXPECT_EQ(variant->v2 ? -EINVAL : 0, cg_write(self->group, "limit", "-1"));
	EXPECT_EQ(variant->v2 ? MIB(8) : BC_UNLIMITED,
		  cg_get(self->group, "limit"));
}

/*
 * Catches: an allocator whose memory counts as another's, pages that change
 * their kind on the way back, memory that no kind shows.
 */
TEST_F(kmem, kinds_make_up_the_usage)
{
	static const struct {
		const char *name, *kind;
		bc_work make, undo;
		long long least;
		bool maybe;
	} states[] = {
		{ "full pipes", "page", make_pipes, close_all, KIB(512) },
		{ "eventfds", "slab", make_eventfds, close_all, 50 * 100 },
		{ "watches", "slab", make_watches, close_all, 200 * 100 },
		{ "page tables", "page", make_page_tables, undo_area, 64 * PAGE },
		{ "semaphores", "vmalloc", make_semaphores, undo_ipc, MIB(2) },
		/* Without CONFIG_VMAP_STACK, stacks are pages. */
		{ "threads", "vmalloc", make_threads, undo_tasks, KIB(64), true },
	};
	struct worker *w = root_in(self->group);
	long long before, kind;
	size_t i;
	long err;

	ASSERT_NE(NULL, w);
	for (i = 0; i < ARRAY_SIZE(states); i++) {
		err = call(w, states[i].make, 0);
		call(w, states[i].undo, 0);
		if (not_there(err)) {
			TH_LOG("%s: not in this kernel", states[i].name);
			continue;
		}
		before = quiet(self->group);
		kind = cg_key(self->group, "stat", states[i].kind);
		EXPECT_EQ(0, call(w, states[i].make, 0))
			TH_LOG("%s", states[i].name);
		if (states[i].maybe &&
		    cg_key(self->group, "stat", states[i].kind) == kind)
			TH_LOG("%s: not in vmalloc", states[i].name);
		else
			EXPECT_LE(kind + states[i].least,
				  cg_key(self->group, "stat", states[i].kind))
				TH_LOG("%s", states[i].name);
		EXPECT_LE(before + states[i].least, cg_get(self->group, "usage"))
			TH_LOG("%s", states[i].name);
		EXPECT_SOON(0, unsummed(self->group));
		EXPECT_EQ(0, call(w, states[i].undo, 0));
		EXPECT_TRUE(bc_soon(!beyond(self->group, before)))
			TH_LOG("%s: %lld more than before", states[i].name,
			       beyond(self->group, before));
		EXPECT_SOON(kind, cg_key(self->group, "stat", states[i].kind));
		EXPECT_SOON(0, unsummed(self->group));
	}
	worker_end(w);
	EXPECT_NOTHING(self->group);
}

/*
 * Each consumer is seen, is stopped with an error when half of it is too much,
 * and leaves nothing. Catches: a site that no hook covers, an error path that
 * keeps its charge or frees without it, a refusal that kills or that comes out as
 * something else, a limit that is passed on the way to the refusal.
 */
TEST_F(kmem, every_consumer)
{
	struct worker *w = root_in(self->group);
	int tried = 0;
	size_t i;
	long err;

	ASSERT_NE(NULL, w);
	for (i = 0; i < ARRAY_SIZE(consumers); i++) {
		const struct consumer *c = &consumers[i];
		long long before, held, limit, refusals, forced, highest;
		struct peak peak;

		/* The first time, it may leave something, like a larger fdtable. */
		err = call(w, c->make, 0);
		ASSERT_NE(LONG_MIN, err)
			TH_LOG("%s", c->name);
		EXPECT_EQ(0, call(w, c->undo, 0));
		if (not_there(err)) {
			TH_LOG("%s: not in this kernel", c->name);
			continue;
		}
		EXPECT_EQ(0, err)
			TH_LOG("%s, the first time", c->name);

		before = quiet(self->group);
		EXPECT_EQ(0, call(w, c->make, 0))
			TH_LOG("%s, without a limit", c->name);
		held = cg_get(self->group, "usage");
		if ((c->how & UNMARKED) && held < before + KIB(8)) {
			TH_LOG("%s: this kernel does not mark them", c->name);
			EXPECT_EQ(0, call(w, c->undo, 0));
			continue;
		}
		tried++;
		EXPECT_LT(before, held)
			TH_LOG("%s", c->name);
		EXPECT_TRUE(bc_soon(!unsummed(self->group)))
			TH_LOG("%s: the kinds differ by %lld", c->name,
			       unsummed(self->group));
		EXPECT_EQ(0, call(w, c->undo, 0))
			TH_LOG("%s", c->name);
		EXPECT_TRUE(bc_soon(!beyond(self->group, before)))
			TH_LOG("%s: %lld more than before", c->name,
			       beyond(self->group, before));

		before = quiet(self->group);
		if (held <= before)
			continue;
		limit = before + (held - before) / 2;
		refusals = cg_refusals(self->group);
		forced = cg_key(self->group, "events", "forced");
		peak = peak_from_now(self->group);
		ASSERT_EQ(0, cg_set(self->group, "limit", limit));
		err = call(w, c->make, 0);
		highest = peak_end(&peak);
		EXPECT_LE(highest, limit)
			TH_LOG("%s", c->name);
		if (c->how & (RECLAIMED | FORCED)) {
			EXPECT_EQ(0, err)
				TH_LOG("%s, half the room", c->name);
			if (c->how & FORCED)
				EXPECT_LT(forced, cg_key(self->group, "events",
							 "forced"));
		} else {
			EXPECT_TRUE(is_refusal(c, err))
				TH_LOG("%s, half the room: %ld", c->name, err);
			EXPECT_TRUE(bc_soon(cg_refusals(self->group) > refusals))
				TH_LOG("%s", c->name);
		}
		ASSERT_EQ(0, call(w, nothing, 0))
			TH_LOG("%s has killed", c->name);
		if (c->how & UNDO_ALLOCATES)
			ASSERT_EQ(0, cg_write(self->group, "limit", "max"));
		EXPECT_EQ(0, call(w, c->undo, 0))
			TH_LOG("%s, at the limit", c->name);
		EXPECT_TRUE(bc_soon(!beyond(self->group, before)))
			TH_LOG("%s: %lld more than before, refused", c->name,
			       beyond(self->group, before));
		EXPECT_SOON(0, unsummed(self->group));
		ASSERT_EQ(0, cg_write(self->group, "limit", "max"));
		/* It was the limit that it failed of. */
		EXPECT_EQ(0, call(w, c->make, 0))
			TH_LOG("%s, without a limit again", c->name);
		EXPECT_EQ(0, call(w, c->undo, 0));
	}
	EXPECT_GE(tried, 15);
	worker_end(w);
	EXPECT_NOTHING(self->group);
}

/* What one more eventfd takes, in a worker that has had some already. */
static long long eventfd_size(const char *cg, struct worker *w)
{
	long long before;

	if (call(w, make_eventfds, 8) || call(w, close_all, 0))
		return -1;
	before = quiet(cg);
	if (call(w, make_eventfd, 0))
		return -1;
	before = cg_get(cg, "usage") - before;
	call(w, close_all, 0);
	return before;
}

/*
 * Catches: comparisons that are off by one, room that per-CPU stock takes away,
 * a refused object that leaves a part of its charge.
 */
TEST_F(kmem, limit_holds_to_the_object)
{
	struct worker *w = root_in(self->group);
	long long size, usage, refusals;

	ASSERT_NE(NULL, w);
	size = eventfd_size(self->group, w);
	ASSERT_LT(0, size);
	usage = quiet(self->group);
	refusals = cg_refusals(self->group);

	ASSERT_EQ(0, cg_set(self->group, "limit", usage + 3 * size));
	EXPECT_EQ(3, call(w, eventfds_until_refused, 10));
	EXPECT_EQ(usage + 3 * size, cg_get(self->group, "usage"));
	EXPECT_LT(refusals, cg_refusals(self->group));
	/* A byte less than one more needs is no room. */
	ASSERT_EQ(0, cg_set(self->group, "limit", usage + 4 * size - 1));
	EXPECT_EQ(0, call(w, eventfds_until_refused, 10));
	EXPECT_SOON(usage + 3 * size, cg_get(self->group, "usage"));
	ASSERT_EQ(0, cg_set(self->group, "limit", usage + 4 * size));
	EXPECT_EQ(1, call(w, eventfds_until_refused, 10));
	/* What is closed can be had again, by as many. */
	EXPECT_EQ(0, call(w, close_files, 2));
	EXPECT_SOON(usage + 2 * size, cg_get(self->group, "usage"));
	EXPECT_EQ(2, call(w, eventfds_until_refused, 10));
	EXPECT_EQ(0, call(w, close_all, 0));
	EXPECT_SOON(usage, cg_get(self->group, "usage"));
	EXPECT_SOON(0, unsummed(self->group));
}

/* The barrier stops ordinary tasks; what is between it and the limit is root's. */
TEST_F(kmem, barrier_differs_by_privilege)
{
	struct worker *root = root_in(self->group);
	struct worker *user = user_in(self->group);
	long long size, usage, barrier, max;

	ASSERT_NE(NULL, root);
	ASSERT_NE(NULL, user);
	size = eventfd_size(self->group, root);
	ASSERT_LT(0, size);
	ASSERT_EQ(size, eventfd_size(self->group, user));
	usage = quiet(self->group);
	barrier = cg_key(self->group, "events", "barrier");
	max = cg_key(self->group, "events", "max");

	ASSERT_EQ(0, cg_set(self->group, "barrier", usage + 3 * size));
	ASSERT_EQ(0, cg_set(self->group, "limit", usage + 5 * size));
	EXPECT_EQ(3, call(user, eventfds_until_refused, 10));
	EXPECT_LT(barrier, cg_key(self->group, "events", "barrier"));
	EXPECT_EQ(max, cg_key(self->group, "events", "max"));
	EXPECT_EQ(2, call(root, eventfds_until_refused, 10));
	EXPECT_LT(max, cg_key(self->group, "events", "max"));
	EXPECT_EQ(0, call(user, eventfds_until_refused, 10));
	EXPECT_EQ(usage + 5 * size, cg_get(self->group, "usage"));
	/* Below the limit again, but not below the barrier. */
	EXPECT_EQ(0, call(root, close_all, 0));
	EXPECT_EQ(0, call(user, eventfds_until_refused, 10));
	EXPECT_EQ(0, call(user, close_all, 0));
	EXPECT_SOON(usage, cg_get(self->group, "usage"));
}

static long map_sparse(long unused)
{
	(void)unused;
	return map_area(SPARSE, PROT_READ | PROT_WRITE);
}

/* The page-table bomb: one byte in each stride. */
static long touch_sparse(long unused)
{
	size_t i;

	(void)unused;
	for (i = 0; i < SPARSE; i += STRIDE)
		((volatile char *)area)[i] = 1;
	return 0;
}

static long use_and_free(long rounds)
{
	long err = 0;

	while (rounds-- > 0 && !err)
		err = make_pipes(2) ?: make_eventfds(10) ?: close_all(0);
	return err;
}

/*
 * User memory that needs page tables without end: a fault cannot be told of an
 * error but by a signal. Catches: a fault that is repeated for ever, the OOM
 * killer, a neighbour that notices.
 */
TEST_F(kmem, page_tables_end_in_sigbus)
{
	char *other = cg_new(self->top, "other");
	struct worker *w, *neighbour;
	long long limit, kills = bc_oom_kills(), highest;
	struct peak peak;
	int status;

	ASSERT_NE(NULL, other);
	neighbour = root_in(other);
	w = user_in(self->group);
	ASSERT_NE(NULL, neighbour);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, map_sparse, 0));
	limit = quiet(self->group) + MIB(4);
	peak = peak_from_now(self->group);
	ASSERT_EQ(0, cg_set(self->group, "limit", limit));
	start(neighbour, use_and_free, bc_rounds(200));
	EXPECT_EQ(LONG_MIN, call(w, touch_sparse, 0));
	status = worker_wait(w);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGBUS, WTERMSIG(status));
	EXPECT_EQ(0, finish(neighbour));
	highest = peak_end(&peak);
	EXPECT_LE(highest, limit);
	EXPECT_EQ(kills, bc_oom_kills());
	EXPECT_LT(0, cg_refusals(self->group));
	EXPECT_EQ(0, cg_refusals(other));
	EXPECT_NOTHING(self->group);
}

/* Where no page of page tables is left: the first stride that has none. */
static long exhaust_tables(long unused)
{
	long n;

	(void)unused;
	for (n = 0; n < SPARSE / STRIDE; n++)
		if (madvise(area + n * STRIDE, PAGE, MADV_POPULATE_WRITE))
			return errno == EFAULT || errno == ENOMEM ? n : -errno;
	return -ERANGE;
}

/* Has the kernel touch a stride. The first time, it opens what it reads from. */
static long read_into(long n)
{
	static int zero = -1;
	ssize_t got;

	if (zero < 0)
		zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (zero < 0)
		return -ENXIO;
	got = read(zero, area + n * STRIDE, PAGE);
	return got < 0 ? -errno : got;
}

static sigjmp_buf bus;
static char bus_stack[KIB(64)];

static void on_bus(int signal)
{
	(void)signal;
	siglongjmp(bus, 1);
}

static long catch_bus(long unused)
{
	stack_t stack = { .ss_sp = bus_stack, .ss_size = sizeof(bus_stack) };
	struct sigaction action = { .sa_handler = on_bus, .sa_flags = SA_ONSTACK };

	(void)unused;
	if (sigaltstack(&stack, NULL) || sigaction(SIGBUS, &action, NULL))
		return -errno;
	return 0;
}

/* Touches 100 strides from @n on: how many of them end in a signal. */
static long touch_from(long n)
{
	static volatile long i, caught;

	caught = 0;
	for (i = 0; i < 100; i++) {
		if (sigsetjmp(bus, 1))
			caught++;
		else
			((volatile char *)area)[(n + i) * STRIDE] = 1;
	}
	return caught;
}

/* The process has to handle the error, also if the kernel touches the memory. */
TEST_F(kmem, faults_at_the_limit_can_be_handled)
{
	struct worker *w = root_in(self->group);
	long long limit, highest;
	struct peak peak;
	long n;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, map_sparse, 0));
	ASSERT_EQ(0, call(w, catch_bus, 0));
	if (call(w, populate, 1) == -EINVAL)
		SKIP(return, "no MADV_POPULATE_WRITE");
	EXPECT_EQ(PAGE, call(w, read_into, 0));
	limit = quiet(self->group) + MIB(1);
	peak = peak_from_now(self->group);
	ASSERT_EQ(0, cg_set(self->group, "limit", limit));
	n = call(w, exhaust_tables, 0);
	ASSERT_LT(100, n);
	/* What is left is not enough for a page. */
	EXPECT_EQ(-EFAULT, call(w, read_into, n));
	EXPECT_EQ(100, call(w, touch_from, n));
	EXPECT_EQ(100, call(w, touch_from, n + 1));
	/* What was touched before is there still. */
	EXPECT_EQ(0, call(w, touch_from, n - 100));
	highest = peak_end(&peak);
	EXPECT_LE(highest, limit);
	ASSERT_EQ(0, cg_write(self->group, "limit", "max"));
	EXPECT_EQ(0, call(w, touch_from, n));
	worker_end(w);
	EXPECT_NOTHING(self->group);
}

/*
 * Forks @n times: how many are refused; -errno for another reason than memory. A
 * child may die in its first page fault.
 */
static long fork_often(long n)
{
	long refused = 0;
	pid_t pid;

	while (n-- > 0) {
		pid = fork();
		if (!pid)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		else if (errno == ENOMEM || errno == EAGAIN)
			refused++;
		else
			return -errno;
	}
	return refused;
}

/* A fork allocates a dozen things, and may be refused after any of them. */
TEST_F(kmem, refused_forks_leave_nothing)
{
	enum { STEPS = 16, FORKS = 12 };
	struct worker *w = user_in(self->group);
	long long before, size, limit, highest;
	long refused, all = 0;
	struct peak peak;
	int i;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, fork_often, 2));
	before = quiet(self->group);
	peak = peak_from_now(self->group);
	EXPECT_EQ(0, call(w, fork_often, 1));
	size = bc_read_number(peak.fd) - before;
	close(peak.fd);
	ASSERT_LT(0, size);

	before = quiet(self->group);
	peak = peak_from_now(self->group);
	ASSERT_EQ(0, cg_set(self->group, "limit", before));
	EXPECT_EQ(bc_rounds(200), call(w, fork_often, bc_rounds(200)));
	EXPECT_SOON(0, beyond(self->group, before));
	for (i = 1; i < STEPS; i++) {
		limit = before + i * size / STEPS;
		ASSERT_EQ(0, cg_set(self->group, "limit", limit));
		refused = call(w, fork_often, FORKS);
		ASSERT_LE(0, refused)
			TH_LOG("%d/%d of a fork: %ld", i, STEPS, refused);
		all += refused;
		highest = peak_read(&peak);
		EXPECT_LE(highest, limit);
	}
	close(peak.fd);
	EXPECT_LT(0, all);
	EXPECT_SOON(0, beyond(self->group, before));
	EXPECT_SOON(0, unsummed(self->group));
	ASSERT_EQ(0, cg_write(self->group, "limit", "max"));
	EXPECT_EQ(0, call(w, fork_often, 2));
	worker_end(w);
	EXPECT_NOTHING(self->group);
}

static long allocate_for_ever(long unused)
{
	(void)unused;
	for (;;) {
		make_pipes(4);
		make_eventfds(20);
		make_sockets(0);
		close_all(0);
	}
	return 0;
}

/* A dying task needs memory to end, and must not wait for any. */
TEST_F(kmem, kill_at_the_limit)
{
	enum { WORKERS = 6 };
	struct worker *w[WORKERS];
	int i, status;

	for (i = 0; i < WORKERS; i++) {
		w[i] = user_in(self->group);
		ASSERT_NE(NULL, w[i]);
	}
	ASSERT_EQ(0, cg_set(self->group, "limit", quiet(self->group) + KIB(512)));
	for (i = 0; i < WORKERS; i++)
		start(w[i], allocate_for_ever, 0);
	EXPECT_TRUE(bc_soon(cg_refusals(self->group) > 100));
	for (i = 0; i < WORKERS; i++)
		ASSERT_EQ(0, kill(w[i]->pid, SIGKILL));
	for (i = 0; i < WORKERS; i++) {
		status = worker_wait(w[i]);
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
	}
	EXPECT_NOTHING(self->group);
}

/* Closes the @n files that were opened first. */
static long close_oldest(long n)
{
	long err = 0;

	while (n-- > 0 && !err)
		err = close_first(0);
	return err;
}

/* Charges stay where they were made, and go back there. */
TEST_F(kmem, migration)
{
	char *other = cg_new(self->top, "other");
	struct worker *w = root_in(self->group);
	long long before, here, there, other_before;

	ASSERT_NE(NULL, other);
	ASSERT_NE(NULL, w);
	/* Here, so that no larger fdtable is there later on. */
	ASSERT_EQ(0, call(w, make_eventfds, 200));
	ASSERT_EQ(0, call(w, close_all, 0));
	before = quiet(self->group);
	ASSERT_EQ(0, call(w, make_eventfds, 50));
	here = quiet(self->group);
	EXPECT_LT(before, here);

	ASSERT_TRUE(worker_move(w, other));
	EXPECT_EQ(here, quiet(self->group));
	other_before = quiet(other);
	ASSERT_EQ(0, call(w, make_eventfds, 50));
	there = quiet(other);
	EXPECT_EQ(here - before, there - other_before);
	EXPECT_EQ(here, quiet(self->group));

	EXPECT_EQ(0, call(w, close_oldest, 50));
	EXPECT_SOON(before, cg_get(self->group, "usage"));
	EXPECT_EQ(there, quiet(other));
	EXPECT_EQ(0, call(w, close_all, 0));
	EXPECT_SOON(other_before, cg_get(other, "usage"));
	EXPECT_SOON(0, unsummed(self->group));
	EXPECT_SOON(0, unsummed(other));
	worker_end(w);
	EXPECT_NOTHING(self->group);
	EXPECT_NOTHING(other);
}

/*
 * Unused dentries, and pipes that another group's task uses now: the group can go,
 * and its parent has them.
 */
TEST_F(kmem, removal_with_live_charges)
{
	static const char * const kinds[] = { "slab", "page", "vmalloc" };
	char *other = cg_new(self->top, "other");
	struct worker *w = root_in(self->group);
	long long usage, kind[3], elsewhere;
	int i;

	ASSERT_NE(NULL, other);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, make_pipes, 20));
	quiet(self->group);
	ASSERT_EQ(0, call(w, miss_names, bc_rounds(5000)));
	ASSERT_TRUE(worker_move(w, other));
	usage = cg_get(self->group, "usage");
	EXPECT_LT(20 * KIB(64) + bc_rounds(5000) * 100LL, usage);
	elsewhere = cg_get(other, "usage");
	EXPECT_EQ(usage + elsewhere, cg_get(self->top, "usage"));
	for (i = 0; i < 3; i++)
		kind[i] = cg_key(self->top, "stat", kinds[i]);

	EXPECT_EQ(0, cg_rmdir(self->group));
	EXPECT_SOON(usage + elsewhere, cg_get(self->top, "usage"));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(kind[i], cg_key(self->top, "stat", kinds[i]))
			TH_LOG("kind %d", i);
	EXPECT_SOON(0, unsummed(self->top));

	/* The dentries go, the pipes stay. */
	usage = quiet(self->top);
	EXPECT_LE(20 * KIB(64), usage);
	EXPECT_SOON(0, unsummed(self->top));
	EXPECT_EQ(0, call(w, close_all, 0));
	EXPECT_SOON(0, beyond(self->top, usage - 20 * KIB(64)));
	worker_end(w);
	EXPECT_NOTHING(self->top);
}

/*
 * Looks at everything below @name in @dir, @depth levels deep: -ENOMEM, if that was
 * the answer to anything, or how much there was. Does without the library's memory.
 */
#define DEPTH 3

static long walk_at(int dir, const char *name, int depth)
{
	static char entries[DEPTH + 1][KIB(2)] __attribute__((aligned(8)));
	struct {
		unsigned long long ino, off;
		unsigned short len;
		unsigned char type;
		char name[];
	} *entry;
	char *buf = entries[depth];
	long n, at, below, seen = 0;
	struct stat st;
	int fd;

	fd = IN_TIME(TRIES, openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (fd < 0)
		return errno == ENOMEM || errno == ENFILE ? -errno : 0;
	while ((n = IN_TIME(TRIES, syscall(SYS_getdents64, fd, buf, KIB(2)))) > 0) {
		for (at = 0; at < n; at += entry->len) {
			entry = (void *)(buf + at);
			if (entry->name[0] == '.')
				continue;
			seen++;
			if (IN_TIME(TRIES, fstatat(fd, entry->name, &st,
						   AT_SYMLINK_NOFOLLOW))) {
				if (errno == ENOMEM)
					goto refused;
				continue;
			}
			if (!depth || !S_ISDIR(st.st_mode))
				continue;
			below = walk_at(fd, entry->name, depth - 1);
			if (below < 0) {
				close(fd);
				return below;
			}
			seen += below;
		}
	}
	if (n < 0 && errno == ENOMEM)
		goto refused;
	close(fd);
	return seen;
refused:
	close(fd);
	return -ENOMEM;
}

static long walk(const char *path, int depth)
{
	return walk_at(AT_FDCWD, path, depth);
}

static long walk_all(long rounds)
{
	static const char * const paths[] = {
		"/sys/module", "/sys/fs", "/proc/self",
	};
	long seen = 0, below;
	size_t i;

	while (rounds-- > 0)
		for (i = 0; i < ARRAY_SIZE(paths); i++) {
			below = walk(paths[i], i == 2 ? 2 : DEPTH);
			if (below < 0)
				return below;
			seen += below;
		}
	return seen;
}

/*
 * Names that are remembered fill any limit. Catches: a group that is full of unused
 * objects and can do nothing any more, which is why memcg's limit was given up.
 */
TEST_F(kmem, directory_walk_at_the_limit)
{
	struct worker *w = user_in(self->group);
	long long limit, highest;
	struct peak peak;
	int i;

	ASSERT_NE(NULL, w);
	limit = quiet(self->group) + MIB(1);
	peak = peak_from_now(self->group);
	ASSERT_EQ(0, cg_set(self->group, "limit", limit));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, call(w, miss_names, bc_rounds(8000)));
		EXPECT_LT(0, call(w, walk_all, 3));
	}
	/* It must have come to the limit, or it is no test. */
	if (!bc_debug_kernel())
		EXPECT_LT(limit - MIB(1) / 2, bc_read_number(peak.fd));
	highest = peak_end(&peak);
	EXPECT_LE(highest, limit);
	/* Allocations that cannot wait for room may be refused; no task sees that. */
	if (cg_refusals(self->group))
		TH_LOG("%lld refusals", cg_refusals(self->group));
	worker_end(w);
	EXPECT_NOTHING(self->group);
}

/* A limit far above stops a task far below, and is where that is counted. */
TEST_F(kmem, limit_of_an_ancestor)
{
	enum { LEVELS = 4 };
	char *chain[LEVELS] = { self->group };
	long long before, limit, refusals, highest;
	struct peak peak;
	struct worker *w;
	int i;

	for (i = 1; i < LEVELS; i++) {
		chain[i] = cg_new(chain[i - 1], "below");
		ASSERT_NE(NULL, chain[i]);
	}
	w = root_in(chain[LEVELS - 1]);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, make_pipes, 8));
	ASSERT_EQ(0, call(w, close_all, 0));
	before = quiet(chain[0]);
	limit = before + KIB(256);
	refusals = cg_refusals(chain[0]);
	peak = peak_from_now(chain[0]);
	ASSERT_EQ(0, cg_set(chain[0], "limit", limit));
	EXPECT_EQ(-ENOMEM, call(w, make_pipes, 8));
	EXPECT_LT(refusals, cg_refusals(chain[0]));
	for (i = 0; i < LEVELS; i++) {
		if (i)
			EXPECT_EQ(0, cg_refusals(chain[i]));
		EXPECT_EQ(cg_get(chain[0], "usage"), cg_get(chain[i], "usage"))
			TH_LOG("level %d", i);
		EXPECT_LE(before + KIB(192), cg_get(chain[i], "usage"));
		EXPECT_SOON(0, unsummed(chain[i]));
	}
	highest = peak_end(&peak);
	EXPECT_LE(highest, limit);
	EXPECT_EQ(0, call(w, close_all, 0));
	for (i = 0; i < LEVELS; i++)
		EXPECT_SOON(0, beyond(chain[i], before));
	worker_end(w);
	for (i = 0; i < LEVELS; i++)
		EXPECT_NOTHING(chain[i]);
}

/* What memcg says of kernel memory, which is in cg_read()'s terms. */
static long long memcg_kernel(const char *cg)
{
	if (bc_v2)
		return cg_key(cg, "memory.stat", "kernel");
	return cg_get(cg, "memory.kmem.usage_in_bytes");
}

static char *parent_of(const char *cg)
{
	char *parent = strdup(cg);

	if (parent)
		*strrchr(parent, '/') = '\0';
	return parent;
}

/* memcg in a v1 hierarchy of its own: where, or NULL. */
static char *mount_memory(void)
{
	char *root;

	/* One that v2 uses cannot be had: do not wait for it. */
	bc_patience_ms = BC_IMPATIENCE_MS;
	root = bc_mount_v1("memory");
	bc_patience_ms = BC_PATIENCE_MS;
	return root;
}

static char *new_memcg(const char *root)
{
	char *memcg;

	if (asprintf(&memcg, "%s/bc_kmem", root) < 0 ||
	    (mkdir(memcg, 0755) && errno != EEXIST))
		return NULL;
	return memcg;
}

/*
 * Two controllers that count the same objects, in one hierarchy or in two.
 * Catches: one that frees what the other charged, a refusal of either's that
 * leaves a charge of the other's.
 */
TEST_F(kmem, beside_memcg)
{
	char *memcg = self->group, *root = NULL, *v2_root = NULL;
	long long before, kernel, held;
	struct worker *w;

	if (variant->v2) {
		if (bc_hierarchy_of("memory") != 0)
			SKIP(return, "no memory controller in v2");
		v2_root = parent_of(self->top);
		ASSERT_NE(NULL, v2_root);
		if (cg_write(v2_root, "cgroup.subtree_control", "+memory") ||
		    cg_write(self->top, "cgroup.subtree_control", "+memory"))
			SKIP(return, "no memory controller in v2");
	} else {
		root = mount_memory();
		if (!root)
			SKIP(return, "%s", bc_why);
		memcg = new_memcg(root);
		ASSERT_NE(NULL, memcg);
	}
	w = root_in(self->group);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_attach(memcg, w->pid));
	/* As many as it will have: room for descriptors is kept. */
	ASSERT_EQ(0, call(w, make_pipes, 32));
	ASSERT_EQ(0, call(w, close_all, 0));
	before = quiet(self->group);
	kernel = memcg_kernel(memcg);
	if (kernel < 0)
		TH_LOG("memcg does not show kernel memory");

	ASSERT_EQ(0, call(w, make_pipes, 32));
	EXPECT_LE(before + 32 * KIB(64), cg_get(self->group, "usage"));
	held = memcg_kernel(memcg);
	if (kernel >= 0) {
		EXPECT_TRUE(bc_soon(memcg_kernel(memcg) > kernel + MIB(1)))
			TH_LOG("memcg: %lld, then %lld", kernel,
			       memcg_kernel(memcg));
		held = memcg_kernel(memcg);
	}
	ASSERT_EQ(0, call(w, close_all, 0));
	EXPECT_SOON(0, beyond(self->group, before));
	EXPECT_SOON(0, unsummed(self->group));
	/* memcg keeps some for the next time. */
	if (kernel >= 0)
		EXPECT_TRUE(bc_soon(memcg_kernel(memcg) < held - MIB(1)));

	/* What kmem refuses memcg has charged before: it returns, each time. */
	kernel = memcg_kernel(memcg);
	ASSERT_EQ(0, cg_set(self->group, "limit",
			    cg_get(self->group, "usage") + KIB(64)));
	EXPECT_EQ(-ENOMEM, call(w, make_pipes, 64));
	EXPECT_EQ(0, call(w, ask_in_vain, 4000));
	ASSERT_EQ(0, call(w, close_all, 0));
	ASSERT_EQ(0, cg_write(self->group, "limit", "max"));
	if (kernel >= 0)
		EXPECT_TRUE(bc_soon(memcg_kernel(memcg) < kernel + KIB(512)))
			TH_LOG("memcg: %lld, then %lld", kernel,
			       memcg_kernel(memcg));

	/* memcg knows no way out but its OOM killer: that takes the worker. */
	held = cg_get(memcg, variant->v2 ? "memory.current" :
					   "memory.usage_in_bytes");
	ASSERT_LE(0, held);
	ASSERT_EQ(0, cg_set(memcg, variant->v2 ? "memory.max" :
						 "memory.limit_in_bytes",
			    held + KIB(512)));
	if (call(w, make_pipes, 64) == LONG_MIN)
		TH_LOG("killed by memcg");
	worker_kill(w);
	EXPECT_NOTHING(self->group);

	if (root) {
		EXPECT_SOON(0, cg_rmdir(memcg));
		bc_umount(root);
	} else {
		EXPECT_SOON(0, cg_rmdir(self->group));
		cg_write(self->top, "cgroup.subtree_control", "-memory");
		bc_teardown();	/* the root can do without it only after that */
		root = bc_mount_v2();
		if (root) {
			cg_write(root, "cgroup.subtree_control", "-memory");
			bc_umount(root);
		}
	}
}

static int go;
static long thread_rounds;

/* Errors are not looked at: all threads share errno. */
static int hammer_thread(void *number)
{
	int fd[10], pair[2], i;
	long n;

	pin_to_cpu((long)number % bc_cpus());
	while (!__atomic_load_n(&go, __ATOMIC_SEQ_CST))
		bc_sleep_ms(1);
	for (n = 0; n < thread_rounds; n++) {
		for (i = 0; i < 8; i++)
			fd[i] = eventfd(0, EFD_CLOEXEC);
		pair[0] = -1;
		pair[1] = -1;
		(void)!pipe2(pair, O_NONBLOCK | O_CLOEXEC);
		fd[8] = pair[0];
		fd[9] = pair[1];
		if (pair[1] >= 0)
			while (write(pair[1], chunk, KIB(16)) > 0)
				;
		for (i = 0; i < 10; i++)
			if (fd[i] >= 0)
				close(fd[i]);
	}
	return 0;
}

#define HAMMERS 4

static long start_hammers(long rounds)
{
	long err = 0;
	int i;

	thread_rounds = rounds;
	go = 0;
	memset(tids, 0, sizeof(tids));
	for (i = 0; i < HAMMERS && !err; i++)
		err = start_task(i, THREAD, hammer_thread);
	return err;
}

static long run_hammers(long unused)
{
	(void)unused;
	__atomic_store_n(&go, 1, __ATOMIC_SEQ_CST);
	wait_for_threads();
	return 0;
}

/* Many CPUs at one limit, with stocks that are taken away from each other. */
TEST_F(kmem, threads_hammer_at_the_limit)
{
	struct worker *w = user_in(self->group);
	long long before, limit, highest;
	struct peak peak;

	ASSERT_NE(NULL, w);
	/* What the first threads leave, the next ones use. */
	ASSERT_EQ(0, call(w, start_hammers, 10));
	ASSERT_EQ(0, call(w, run_hammers, 0));
	before = quiet(self->group);
	ASSERT_EQ(0, call(w, start_hammers, bc_rounds(400)));
	/* Less than the threads would like to have together. */
	limit = quiet(self->group) + KIB(100);
	peak = peak_from_now(self->group);
	ASSERT_EQ(0, cg_set(self->group, "limit", limit));
	EXPECT_EQ(0, call(w, run_hammers, 0));
	highest = peak_end(&peak);
	EXPECT_LE(highest, limit);
	EXPECT_LT(0, cg_refusals(self->group));
	EXPECT_SOON(0, beyond(self->group, before));
	EXPECT_SOON(0, unsummed(self->group));
	worker_end(w);
	EXPECT_NOTHING(self->group);
}

#define DEBUGFS "/sys/kernel/debug"

static int set_fault(const char *which, const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", which, file);
	return bc_write_file(path, value);
}

/*
 * All caches of objects but one: alloc_vmap_area() warns if an object is refused
 * twice, with and without waiting, and then has none for a piece of a free area.
 */
static void spare_vmap_areas(void)
{
	static const char spared[] = "/sys/kernel/slab/vmap_area/failslab";
	glob_t caches;
	size_t i;

	if (access(spared, F_OK) ||
	    glob("/sys/kernel/slab/*/failslab", 0, NULL, &caches))
		return;
	for (i = 0; i < caches.gl_pathc; i++)
		if (strcmp(caches.gl_pathv[i], spared))
			bc_write_file(caches.gl_pathv[i], "1");
	globfree(&caches);
	set_fault("failslab", "cache-filter", "Y");
}

/* Has a tenth of the allocations fail of tasks that ask for it. */
static bool start_faults(const char *which)
{
	bool can = !set_fault(which, "task-filter", "Y") &&
		   !set_fault(which, "probability", "10") &&
		   !set_fault(which, "interval", "1") &&
		   !set_fault(which, "times", "-1") &&
		   !set_fault(which, "verbose", "0") &&
		   !set_fault(which, "ignore-gfp-wait", "N");

	set_fault(which, "min-order", "0");
	if (can && !strcmp(which, "failslab"))
		spare_vmap_areas();
	return can;
}

static void stop_faults(const char *which)
{
	set_fault(which, "probability", "0");
	set_fault(which, "task-filter", "N");
}

static long make_it_fail(long unused)
{
	(void)unused;
	return bc_write_file("/proc/self/make-it-fail", "1");
}

static long consume_anything(long rounds)
{
	size_t i;

	while (rounds-- > 0)
		for (i = 0; i < ARRAY_SIZE(consumers); i++) {
			consumers[i].make(0);
			consumers[i].undo(0);
		}
	fork_often(20);
	return 0;
}

/*
 * The machine refuses what the group was charged for. Catches: an error path of
 * the allocators that forgets the charge.
 */
TEST_F(kmem, failing_allocations_leave_nothing)
{
	static const char * const faults[] = { "failslab", "fail_page_alloc" };
	int tried = 0, round;
	size_t i;

	/* It complains of allocations that fail. */
	bc_write_file(PROFILING, "0");
	if (access(DEBUGFS "/failslab", F_OK))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		if (!start_faults(faults[i])) {
			stop_faults(faults[i]);
			continue;
		}
		tried++;
		for (round = 0; round < 3; round++) {
			struct worker *w = root_in(self->group);

			/* Not ASSERT: the faults must be stopped. */
			EXPECT_NE(NULL, w);
			if (!w)
				break;
			EXPECT_EQ(0, call(w, make_it_fail, 0));
			/* It may die of that, in a page fault. */
			call(w, consume_anything, 2);
			worker_kill(w);
			/* What survives it. */
			undo_ipc(0);
			undo_inodes(0);
			EXPECT_NOTHING(self->group);
		}
		stop_faults(faults[i]);
	}
	if (!tried)
		SKIP(return, "no fault injection");
}

static long watch_files(long unused)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	(void)unused;
	if (fd < 0)
		return -errno;
	if (inotify_add_watch(fd, files, IN_CREATE | IN_DELETE) < 0)
		return -errno;
	return keep(fd);
}

/* Two events each, for the task that watches. */
static long create_and_delete(long n)
{
	char path[128];
	int fd;

	while (n-- > 0) {
		snprintf(path, sizeof(path), "%s/e%ld", files, n);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0)
			return -errno;
		close(fd);
		if (unlink(path))
			return -errno;
	}
	return 0;
}

/*
 * The task that watches pays for the events, not the one that causes them. Catches:
 * charges of the wrong group, and of a group for the machine's own watcher.
 */
TEST_F(kmem, events_are_their_watchers)
{
	char *other = cg_new(self->top, "other");
	struct worker *watcher, *actor;
	long long watching, slab, acting;

	ASSERT_NE(NULL, other);
	watcher = root_in(self->group);
	actor = root_in(other);
	ASSERT_NE(NULL, watcher);
	ASSERT_NE(NULL, actor);
	ASSERT_EQ(0, call(actor, create_and_delete, 10));

	/* The test itself watches, in the root group: no group pays. */
	ASSERT_EQ(0, watch_files(0));
	watching = quiet(self->group);
	acting = quiet(other);
	EXPECT_EQ(0, call(actor, create_and_delete, 500));
	EXPECT_SOON(0, beyond(other, acting));
	EXPECT_EQ(watching, quiet(self->group));
	ASSERT_EQ(0, close_all(0));

	ASSERT_EQ(0, call(watcher, watch_files, 0));
	watching = quiet(self->group);
	slab = cg_key(self->group, "stat", "slab");
	acting = quiet(other);
	EXPECT_EQ(0, call(actor, create_and_delete, 500));
	EXPECT_SOON(0, beyond(other, acting));
	EXPECT_LE(slab + 1000 * 32, cg_key(self->group, "stat", "slab"));
	EXPECT_LE(watching + 1000 * 32, cg_get(self->group, "usage"));
	EXPECT_SOON(0, unsummed(self->group));
	EXPECT_EQ(0, call(watcher, close_all, 0));
	EXPECT_SOON(0, beyond(self->group, watching));
	worker_end(watcher);
	worker_end(actor);
	EXPECT_NOTHING(self->group);
	EXPECT_NOTHING(other);
}

/* Events of what is done to the files, which wait to be read. */
static long watch_by_fanotify(long unused)
{
	int fd = syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_CLOEXEC |
			 FAN_NONBLOCK | FAN_REPORT_TID, O_RDONLY);

	(void)unused;
	if (fd < 0)
		return -errno;
	if (syscall(SYS_fanotify_mark, fd, FAN_MARK_ADD, FAN_OPEN |
		    FAN_EVENT_ON_CHILD, AT_FDCWD, files))
		return -errno;
	return keep(fd);
}

/* Each file once: events that say the same are one. */
static long open_all_files(long unused)
{
	char path[128];
	int i, fd;

	(void)unused;
	for (i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/f%d", files, i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

TEST_F(kmem, fanotify_events_are_their_watchers)
{
	char *other = cg_new(self->top, "other");
	struct worker *watcher, *actor;
	long long watching, acting;
	long err;

	ASSERT_NE(NULL, other);
	watcher = root_in(self->group);
	actor = root_in(other);
	ASSERT_NE(NULL, watcher);
	ASSERT_NE(NULL, actor);
	ASSERT_EQ(0, call(actor, open_all_files, 0));
	err = call(watcher, watch_by_fanotify, 0);
	if (not_there(err))
		SKIP(return, "no fanotify");
	ASSERT_EQ(0, err);
	watching = quiet(self->group);
	acting = quiet(other);
	EXPECT_EQ(0, call(actor, open_all_files, 0));
	EXPECT_SOON(0, beyond(other, acting));
	EXPECT_LE(watching + FILES * 32, cg_get(self->group, "usage"));
	EXPECT_SOON(0, unsummed(self->group));
	EXPECT_EQ(0, call(watcher, close_all, 0));
	worker_end(watcher);
	worker_end(actor);
	EXPECT_NOTHING(self->group);
	EXPECT_NOTHING(other);
}

#define ELEMENTS 500

static union bpf_attr bpf_attr;
static int map = -1;
static pid_t maker;

static long sys_bpf(int cmd)
{
	long fd = syscall(SYS_bpf, cmd, &bpf_attr, sizeof(bpf_attr));

	return fd < 0 ? -errno : fd;
}

/* Without elements; returns the descriptor. */
static long make_map(long unused)
{
	(void)unused;
	memset(&bpf_attr, 0, sizeof(bpf_attr));
	bpf_attr.map_type = BPF_MAP_TYPE_HASH;
	bpf_attr.key_size = sizeof(int);
	bpf_attr.value_size = 200;
	bpf_attr.max_entries = ELEMENTS;
	bpf_attr.map_flags = BPF_F_NO_PREALLOC;
	map = sys_bpf(BPF_MAP_CREATE);
	return map;
}

static long close_map(long unused)
{
	(void)unused;
	return close(map) ? -errno : 0;
}

/* The map that @maker has as @fd. */
static long fill_map_of(long fd)
{
	static char value[200];
	int pidfd = syscall(SYS_pidfd_open, maker, 0), key;
	long err = 0;

	map = syscall(438 /* pidfd_getfd */, pidfd, (int)fd, 0);
	if (map < 0)
		return -errno;
	close(pidfd);
	for (key = 0; key < ELEMENTS && !err; key++) {
		memset(&bpf_attr, 0, sizeof(bpf_attr));
		bpf_attr.map_fd = map;
		bpf_attr.key = (unsigned long)&key;
		bpf_attr.value = (unsigned long)value;
		err = sys_bpf(BPF_MAP_UPDATE_ELEM);
	}
	return err ?: close_map(0);
}

TEST_F(kmem, map_elements_are_its_makers)
{
	char *other = cg_new(self->top, "other");
	struct worker *owner, *user;
	long long before;
	long fd;

	ASSERT_NE(NULL, other);
	owner = root_in(self->group);
	ASSERT_NE(NULL, owner);
	fd = call(owner, make_map, 0);
	if (not_there(fd) || fd == -EPERM)
		SKIP(return, "no BPF maps");
	ASSERT_LE(0, fd);
	maker = owner->pid;
	user = root_in(other);
	ASSERT_NE(NULL, user);
	before = quiet(self->group);
	ASSERT_EQ(0, call(user, fill_map_of, fd));
	EXPECT_LE(before + ELEMENTS * 200, cg_get(self->group, "usage"));
	EXPECT_SOON(0, unsummed(self->group));
	worker_end(user);
	EXPECT_NOTHING(other);
	EXPECT_EQ(0, call(owner, close_map, 0));
	worker_end(owner);
	EXPECT_NOTHING(self->group);
}

#define LOOP "/dev/loop0"
#define WRITES 200
/* As far apart as pages that a node of the page cache knows. */
#define APART (64L * PAGE)

static long write_through_loop(long n)
{
	static char data[PAGE] __attribute__((aligned(PAGE)));
	int fd = open(LOOP, O_RDWR | O_DIRECT | O_CLOEXEC);
	long err = fd < 0 ? -errno : 0;

	while (!err && n-- > 0)
		if (pwrite(fd, data, PAGE, n * APART) != PAGE)
			err = -errno;
	close(fd);
	return err;
}

/* Needs the I/O controller to know which group has written: v2. */
TEST_F(kmem, loop_io_is_its_writers)
{
	char *root, backing[128];
	int fd, loop = -1;
	struct worker *w;
	long long before;

	if (!variant->v2)
		SKIP(return, "v2 knows whose I/O it is");
	root = parent_of(self->top);
	ASSERT_NE(NULL, root);
	if (cg_write(root, "cgroup.subtree_control", "+io") ||
	    cg_write(self->top, "cgroup.subtree_control", "+io"))
		SKIP(return, "no I/O controller");
	snprintf(backing, sizeof(backing), "%s/f0", files);
	fd = open(backing, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, (WRITES + 1) * APART));
	loop = open(LOOP, O_RDWR | O_CLOEXEC);
	if (loop < 0 || ioctl(loop, LOOP_SET_FD, fd))
		SKIP(return, "no loop device");
	w = root_in(self->group);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(0, call(w, write_through_loop, 2));
	before = quiet(self->group);
	EXPECT_EQ(0, call(w, write_through_loop, WRITES));
	/* The file's page cache, made by a thread of the kernel's. */
	EXPECT_LE(before + (WRITES - 2) * 512LL, cg_get(self->group, "usage"));
	EXPECT_SOON(0, unsummed(self->group));
	ioctl(loop, LOOP_CLR_FD, 0);
	close(loop);
	EXPECT_EQ(0, ftruncate(fd, 0));
	close(fd);
	worker_end(w);
	EXPECT_NOTHING(self->group);
	cg_write(self->top, "cgroup.subtree_control", "-io");
	cg_write(root, "cgroup.subtree_control", "-io");
}

#define READ_FILES 1500

static char image_dir[] = "/tmp/bc_kmem_ext2";

/* A file system on a loop device, with files to read. */
static const char *image_step;
static char image_why[64];

static bool step(const char *what, bool done)
{
	image_step = what;
	snprintf(image_why, sizeof(image_why), "%s", strerror(errno));
	return done;
}

static bool make_image(void)
{
	int backing = open("/tmp/bc_kmem.img", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int loop = open(LOOP, O_RDWR | O_CLOEXEC);
	bool bound = step("open", backing >= 0 && loop >= 0) &&
		     step("ftruncate", !ftruncate(backing, MIB(16))) &&
		     step("LOOP_SET_FD", !ioctl(loop, LOOP_SET_FD, backing));
	char path[128];
	int i, fd;

	/* What is open for writing cannot be mounted. */
	close(backing);
	close(loop);
	if (!bound)
		return false;
	mkdir(image_dir, 0755);
	if (!step("mke2fs", !system("mke2fs -q -b 1024 -I 128 " LOOP
				    " > /dev/null 2>&1")) ||
	    !step("mount", !mount(LOOP, image_dir, "ext2", MS_NOATIME, NULL)))
		return false;
	for (i = 0; i < READ_FILES; i++) {
		snprintf(path, sizeof(path), "%s/f%d", image_dir, i);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (!step("create", fd >= 0) ||
		    !step("write", write(fd, path, 100) == 100))
			return false;
		close(fd);
	}
	sync();
	return true;
}

static void undo_image(void)
{
	int loop;

	umount(image_dir);
	rmdir(image_dir);
	loop = open(LOOP, O_RDWR | O_CLOEXEC);
	ioctl(loop, LOOP_CLR_FD, 0);
	close(loop);
	unlink("/tmp/bc_kmem.img");
}

static long read_all_files(long unused)
{
	static char buf[128];
	char path[128];
	int i, fd;

	(void)unused;
	for (i = 0; i < READ_FILES; i++) {
		snprintf(path, sizeof(path), "%s/f%d", image_dir, i);
		fd = IN_TIME(TRIES, open(path, O_RDONLY | O_CLOEXEC));
		if (fd < 0)
			return -errno;
		if (IN_TIME(TRIES, read(fd, buf, sizeof(buf))) != 100) {
			close(fd);
			return -errno ?: -EIO;
		}
		close(fd);
	}
	return 0;
}

/*
 * An inode stays as long as pages of its file are cached. Where the group has a
 * memcg, these go first. Catches: a group that comes to its limit by reading.
 */
TEST_F(kmem, reading_files_at_the_limit)
{
	char *memcg, *root = NULL;
	struct worker *w;
	long long limit;
	int i;

	if (variant->v2)
		SKIP(return, "on v1, where memcg can be had");
	root = mount_memory();
	if (!root)
		SKIP(return, "%s", bc_why);
	if (!make_image()) {
		undo_image();
		bc_umount(root);
		SKIP(return, "no ext2 on a loop device: %s, %s", image_step, image_why);
	}
	bc_write_file(DROP_CACHES, "3");
	memcg = new_memcg(root);
	ASSERT_NE(NULL, memcg);
	w = root_in(self->group);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(0, cg_attach(memcg, w->pid));
	/* For a third of the inodes, or less. */
	limit = quiet(self->group) + KIB(512);
	EXPECT_EQ(0, cg_set(self->group, "limit", limit));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, call(w, read_all_files, 0));
	worker_end(w);
	undo_image();
	EXPECT_NOTHING(self->group);
	EXPECT_SOON(0, cg_rmdir(memcg));
	bc_umount(root);
}

TEST_HARNESS_MAIN
