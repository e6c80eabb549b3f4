// SPDX-License-Identifier: GPL-2.0
/*
 * ubc, as its users see it. What holds for every kind is tested for every kind,
 * from one table, and by every way of making what is counted.
 */
/* bc-boot: --smp 4 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/if_xdp.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/vm_sockets.h>
#include <limits.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "../kselftest_harness.h"
#include "bc_util.h"
#include "fuse_server.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef FAN_REPORT_FID
#define FAN_REPORT_FID 0x00000200
#endif

/* Files to lock and to watch, and directories to mount on: 0 to NAMES - 1. */
#define PLACE "/tmp/ubc"
#define NAMES 16

/* What a worker has made, the last one last: descriptors, or other names. */
static long made[256];
static int nmade;

static long push(long id)
{
	if (id < 0)
		return -errno;
	made[nmade++] = id;
	return 0;
}

static long pop(void)
{
	return nmade ? made[--nmade] : -1;
}

static long drop_fd(long unused)
{
	(void)unused;
	return close(pop()) ? -errno : 0;
}

static const char *name_of(long i)
{
	static char name[64];

	snprintf(name, sizeof(name), PLACE "/%ld", i % NAMES);
	return name;
}

/* numinotify, numwatch */

static long make_inotify(long i)
{
	(void)i;
	return push(inotify_init1(IN_CLOEXEC));
}

static long make_fanotify(long i)
{
	(void)i;
	return push(fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY));
}

static int watcher;

static long setup_inotify(long unused)
{
	(void)unused;
	watcher = inotify_init1(IN_CLOEXEC);
	return watcher < 0 ? -errno : 0;
}

static long make_watch(long i)
{
	return push(inotify_add_watch(watcher, name_of(i), IN_MODIFY));
}

static long drop_watch(long unused)
{
	(void)unused;
	return inotify_rm_watch(watcher, pop()) ? -errno : 0;
}

static long setup_fanotify(long unused)
{
	(void)unused;
	watcher = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
	return watcher < 0 ? -errno : 0;
}

static long mark(unsigned int what, long i)
{
	return fanotify_mark(watcher, what, FAN_MODIFY, AT_FDCWD, name_of(i)) ?
	       -errno : 0;
}

static long make_mark(long i)
{
	long err = mark(FAN_MARK_ADD, i);

	return err ?: push(i);
}

static long drop_mark(long unused)
{
	(void)unused;
	return mark(FAN_MARK_REMOVE, pop());
}

/* numflock */

static const char *lock_file = PLACE "/lock";
static int locked;

static long setup_file(long unused)
{
	(void)unused;
	locked = open(lock_file, O_RDWR | O_CLOEXEC);
	return locked < 0 ? -errno : 0;
}

static long make_flock(long i)
{
	int fd = open(lock_file, O_RDONLY | O_CLOEXEC);
	long err;

	(void)i;
	if (fd < 0)
		return -errno;
	if (!flock(fd, LOCK_SH))
		return push(fd);
	err = -errno;
	close(fd);
	return err;
}

static long lock_range(int cmd, short type, long start, long len)
{
	struct flock fl = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = len,
	};

	return fcntl(locked, cmd, &fl) ? -errno : 0;
}

static long make_posix_lock(long i)
{
	long err = lock_range(F_SETLK, F_RDLCK, 2 * i, 1);

	return err ?: push(2 * i);
}

static long drop_posix_lock(long unused)
{
	(void)unused;
	return lock_range(F_SETLK, F_UNLCK, pop(), 1);
}

static long make_ofd_lock(long i)
{
	long err = lock_range(F_OFD_SETLK, F_RDLCK, 2 * i, 1);

	return err ?: push(2 * i);
}

static long drop_ofd_lock(long unused)
{
	(void)unused;
	return lock_range(F_OFD_SETLK, F_UNLCK, pop(), 1);
}

/* One range, in which gaps are made: each one makes it one more. */
static long setup_range(long unused)
{
	return setup_file(unused) ?: lock_range(F_SETLK, F_RDLCK, 0, 1000);
}

static long make_gap(long i)
{
	long err = lock_range(F_SETLK, F_UNLCK, 10 * i + 5, 1);

	return err ?: push(10 * i + 5);
}

static long drop_gap(long unused)
{
	(void)unused;
	return lock_range(F_SETLK, F_RDLCK, pop(), 1);
}

/* A piece of another type in its midst: two more. */
static long make_write_lock(long i)
{
	long err = lock_range(F_SETLK, F_WRLCK, 10 * i + 5, 1);

	return err ?: push(10 * i + 5);
}

static long make_lease(long i)
{
	int fd = open(name_of(i), O_RDONLY | O_CLOEXEC);
	long err;

	if (fd < 0)
		return -errno;
	if (!fcntl(fd, F_SETLEASE, F_RDLCK))
		return push(fd);
	err = -errno;
	close(fd);
	return err;
}

/* numpty */

static long make_pty(long i)
{
	(void)i;
	return push(open(PLACE "/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
}

/* numtcpsock, numothersock */

static long make_tcp(long i)
{
	(void)i;
	return push(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static long make_udp(long i)
{
	(void)i;
	return push(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static long make_unix(long i)
{
	(void)i;
	return push(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static long make_netlink(long i)
{
	(void)i;
	return push(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static long make_pair(long i)
{
	int fd[2];

	(void)i;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		return -errno;
	return push(fd[0]) ?: push(fd[1]);
}

static long drop_pair(long unused)
{
	return drop_fd(unused) ?: drop_fd(unused);
}

/* nummount */

static long setup_mount(long unused)
{
	(void)unused;
	if (unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	return 0;
}

static const char *dir_of(long i)
{
	static char name[64];

	snprintf(name, sizeof(name), PLACE "/dir%ld", i % NAMES);
	return name;
}

static long make_mount(long i)
{
	if (mount("none", dir_of(i), "tmpfs", 0, NULL))
		return -errno;
	return push(i);
}

static long make_bind(long i)
{
	if (mount(PLACE "/dir0", dir_of(i + 1), NULL, MS_BIND, NULL))
		return -errno;
	return push(i + 1);
}

static long drop_mount(long unused)
{
	(void)unused;
	return umount2(dir_of(pop()), 0) ? -errno : 0;
}

static long make_tree(long i)
{
	(void)i;
	return push(syscall(SYS_open_tree, AT_FDCWD, "/tmp",
			    OPEN_TREE_CLONE | O_CLOEXEC));
}

/* Mounts a peer of a directory whose mounts are shared: two more at a time. */
static long setup_shared(long unused)
{
	return setup_mount(unused) ?:
	       mount("none", PLACE "/dir0", "tmpfs", 0, NULL) ||
	       mount("none", PLACE "/dir0", NULL, MS_SHARED, NULL) ||
	       mkdir(PLACE "/dir0/sub", 0755) ||
	       mount(PLACE "/dir0", PLACE "/dir1", NULL, MS_BIND, NULL) ?
	       -errno : 0;
}

static long make_propagated(long i)
{
	(void)i;
	if (mount("none", PLACE "/dir0/sub", "tmpfs", 0, NULL))
		return -errno;
	return push(0);
}

static long drop_propagated(long unused)
{
	(void)unused;
	pop();
	return umount2(PLACE "/dir0/sub", 0) ? -errno : 0;
}

/* numkey, keybytes */

static long keyring;

static long setup_key(long unused)
{
	(void)unused;
	keyring = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID,
			  KEY_SPEC_PROCESS_KEYRING, 1);
	return keyring < 0 ? -errno : 0;
}

static long make_key(long i)
{
	char name[16];

	snprintf(name, sizeof(name), "bc:%06ld", i);
	return push(syscall(SYS_add_key, "user", name, "payload", 7, keyring));
}

static long drop_key(long unused)
{
	(void)unused;
	return syscall(SYS_keyctl, KEYCTL_UNLINK, pop(), keyring) ? -errno : 0;
}

/* numaio */

static long make_aio(long i)
{
	aio_context_t ctx = 0;

	(void)i;
	if (syscall(SYS_io_setup, 10, &ctx))
		return -errno;
	return push(ctx);
}

static long drop_aio(long unused)
{
	(void)unused;
	return syscall(SYS_io_destroy, pop()) ? -errno : 0;
}

/* numns: each in a process of its own. */

static long make_ns(int flags)
{
	int fd[2];
	long err = 0;
	pid_t pid;

	if (pipe(fd))
		return -errno;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		err = unshare(flags) ? -errno : 0;
		if (write(fd[1], &err, sizeof(err)) != sizeof(err) || err)
			_exit(1);
		for (;;)
			pause();
	}
	close(fd[1]);
	if (pid < 0)
		err = -errno;
	else if (read(fd[0], &err, sizeof(err)) != sizeof(err))
		err = -EIO;
	close(fd[0]);
	if (err && pid > 0)
		waitpid(pid, NULL, 0);
	return err ?: push(pid);
}

static long drop_ns(long unused)
{
	pid_t pid = pop();

	(void)unused;
	if (kill(pid, SIGKILL) || waitpid(pid, NULL, 0) != pid)
		return -errno;
	return 0;
}

#define MAKE_NS(_name, _flags)			\
	static long make_##_name(long i)	\
	{					\
		(void)i;			\
		return make_ns(_flags);		\
	}

MAKE_NS(uts, CLONE_NEWUTS)
MAKE_NS(ipc, CLONE_NEWIPC)
MAKE_NS(mnt, CLONE_NEWNS)
MAKE_NS(pid, CLONE_NEWPID)
MAKE_NS(net, CLONE_NEWNET)
MAKE_NS(cgroup, CLONE_NEWCGROUP)
MAKE_NS(time, CLONE_NEWTIME)
MAKE_NS(user, CLONE_NEWUSER)

/* numipc */

static long make_shm(long i)
{
	(void)i;
	return push(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
}

static long drop_shm(long unused)
{
	(void)unused;
	return shmctl(pop(), IPC_RMID, NULL) ? -errno : 0;
}

static long make_sem(long i)
{
	(void)i;
	return push(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
}

static long drop_sem(long unused)
{
	(void)unused;
	return semctl(pop(), 0, IPC_RMID) ? -errno : 0;
}

static long make_msg(long i)
{
	(void)i;
	return push(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
}

static long drop_msg(long unused)
{
	(void)unused;
	return msgctl(pop(), IPC_RMID, NULL) ? -errno : 0;
}

static const char *mq_name(long i)
{
	static char name[32];

	snprintf(name, sizeof(name), "/bc.%d.%ld", (int)getpid(), i);
	return name;
}

static long make_mq(long i)
{
	mqd_t mq = mq_open(mq_name(i), O_CREAT | O_EXCL | O_RDWR, 0600, NULL);

	if (mq == (mqd_t)-1)
		return -errno;
	mq_close(mq);
	return push(i);
}

static long drop_mq(long unused)
{
	(void)unused;
	return mq_unlink(mq_name(pop())) ? -errno : 0;
}

/* numsiginfo, numtimer */

static long setup_signal(long unused)
{
	sigset_t set;

	(void)unused;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	return sigprocmask(SIG_BLOCK, &set, NULL) ? -errno : 0;
}

static long make_signal(long i)
{
	union sigval val = { .sival_int = i };

	return sigqueue(getpid(), SIGRTMIN, val) ? -errno : push(i);
}

static long drop_signal(long unused)
{
	struct timespec none = { };
	sigset_t set;

	(void)unused;
	pop();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	return sigtimedwait(&set, NULL, &none) < 0 ? -errno : 0;
}

/* By the system call: the library's IDs are its own. */
static long make_timer(long i)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	int id;

	(void)i;
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id))
		return -errno;
	return push(id);
}

static long drop_timer(long unused)
{
	(void)unused;
	return syscall(SYS_timer_delete, pop()) ? -errno : 0;
}

/* privvmpages: 16 pages at a time. */

#define PAGE 4096L
#define BATCH (16 * PAGE)

static long map(size_t len, int prot, int flags, int fd)
{
	void *p = mmap(NULL, len, prot, flags, fd, 0);

	return p == MAP_FAILED ? -errno : push((long)p);
}

static long drop_map(long unused)
{
	(void)unused;
	return munmap((void *)pop(), BATCH) ? -errno : 0;
}

static long make_anon(long i)
{
	(void)i;
	return map(BATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static long make_shared(long i)
{
	(void)i;
	return map(BATCH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
}

static long make_private(long i)
{
	(void)i;
	return map(BATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE, locked);
}

static long make_writable(long i)
{
	long err = map(BATCH, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	(void)i;
	if (err || !mprotect((void *)made[nmade - 1], BATCH, PROT_READ | PROT_WRITE))
		return err;
	err = -errno;
	drop_map(0);
	return err;
}

/* The library's heap is not touched meanwhile. */
static long make_brk(long i)
{
	(void)i;
	return sbrk(BATCH) == (void *)-1 ? -errno : 0;
}

static long drop_brk(long unused)
{
	(void)unused;
	return sbrk(-BATCH) == (void *)-1 ? -errno : 0;
}

/* One mapping, at made[0], grows: where it is, or elsewhere. */
static long setup_growing(long unused)
{
	return make_anon(unused);
}

static long resize(long batches)
{
	void *p = mremap((void *)made[0], nmade * BATCH, batches * BATCH,
			 MREMAP_MAYMOVE);

	if (p == MAP_FAILED)
		return -errno;
	made[0] = (long)p;
	nmade = batches;
	return 0;
}

static long make_larger(long i)
{
	(void)i;
	return resize(nmade + 1);
}

static long drop_larger(long unused)
{
	(void)unused;
	return resize(nmade - 1);
}

static long make_fork(long i)
{
	pid_t parent = getpid(), pid = fork();

	(void)i;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* The parent may have been killed before. */
		while (getppid() == parent)
			pause();
		_exit(0);
	}
	return push(pid);
}

static long make_shm_of(long bytes)
{
	return push(shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600));
}

static long make_large_shm(long i)
{
	(void)i;
	return make_shm_of(BATCH);
}

/* lockedpages: 16 at a time, too. */

/* What was mapped last is locked, or unmapped. */
static long lock_last(int flags)
{
	long err;

	if (!syscall(SYS_mlock2, made[nmade - 1], BATCH, flags))
		return 0;
	err = -errno;
	drop_map(0);
	return err;
}

static long make_mlock(long i)
{
	return make_anon(i) ?: lock_last(0);
}

static long make_mlock_onfault(long i)
{
	return make_shared(i) ?: lock_last(MLOCK_ONFAULT);
}

static long make_map_locked(long i)
{
	(void)i;
	return map(BATCH, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1);
}

static long setup_growing_locked(long unused)
{
	return make_mlock(unused);
}

/* All that is mapped later. */
static long setup_mlockall(long unused)
{
	(void)unused;
	return mlockall(MCL_FUTURE) ? -errno : 0;
}

static long make_locked_shm_of(long pages)
{
	long err = make_shm_of(pages * PAGE);

	if (err || !shmctl(made[nmade - 1], SHM_LOCK, NULL))
		return err;
	err = -errno;
	drop_shm(0);
	return err;
}

static long make_locked_shm(long i)
{
	(void)i;
	return make_locked_shm_of(16);
}

static struct iovec buffer;

static long setup_buffer(long unused)
{
	long err = make_anon(unused);

	buffer.iov_base = (void *)pop();
	buffer.iov_len = BATCH;
	return err;
}

static int new_ring(void)
{
	struct io_uring_params params = { };
	int fd = syscall(SYS_io_uring_setup, 1, &params);

	return fd < 0 ? -errno : fd;
}

static long make_ring_with(unsigned int opcode, const void *arg)
{
	int fd = new_ring();
	long err;

	if (fd < 0)
		return fd;
	if (!syscall(SYS_io_uring_register, fd, opcode, arg, 1))
		return push(fd);
	err = -errno;
	close(fd);
	return err;
}

static long make_ring(long i)
{
	(void)i;
	return make_ring_with(IORING_REGISTER_BUFFERS, &buffer);
}

/* It is pinned by the ring, as an array of buffers that can be had. */
static struct io_uring_buf_reg buffer_ring(void)
{
	return (struct io_uring_buf_reg) {
		.ring_addr = (unsigned long)buffer.iov_base,
		.ring_entries = BATCH / sizeof(struct io_uring_buf),
	};
}

static long make_buffer_ring(long i)
{
	const struct io_uring_buf_reg reg = buffer_ring();

	(void)i;
	return make_ring_with(IORING_REGISTER_PBUF_RING, &reg);
}

/* The ring itself is in it: entries to submit, and what was completed. */
static long make_ring_in_memory(long i)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_NO_MMAP,
		.sq_off.user_addr = (unsigned long)buffer.iov_base,
		.cq_off.user_addr = (unsigned long)buffer.iov_base + BATCH / 2,
	};

	(void)i;
	return push(syscall(SYS_io_uring_setup, 128, &params));
}

/* One page more. */
static long make_perf(long i)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.size = sizeof(attr),
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	void *p;
	long err;

	(void)i;
	if (fd < 0)
		return -errno;
	p = mmap(NULL, BATCH + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	err = p == MAP_FAILED ? -errno : push((long)p);
	close(fd);
	return err;
}

static long drop_perf(long unused)
{
	(void)unused;
	return munmap((void *)pop(), BATCH + PAGE) ? -errno : 0;
}

static long make_xsk(long i)
{
	struct xdp_umem_reg reg = {
		.addr = (unsigned long)buffer.iov_base,
		.len = BATCH,
		.chunk_size = PAGE,
	};
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	long err;

	(void)i;
	if (fd < 0)
		return -errno;
	if (!setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)))
		return push(fd);
	err = -errno;
	close(fd);
	return err;
}

/**
 * struct way - how something is made that is counted
 * @name: for messages
 * @setup: what has to be there before; may count
 * @make: makes one; -errno
 * @drop: ends the one that was made last
 * @root: takes privileges, or those in a user namespace
 * @later: the kernel returns it some time after @drop
 * @stays: it is there when its process has gone
 * @memory: the memory of the process pays, which must have been made in the group
 * @err: the errno, if it is not that of the kind
 */
struct way {
	const char *name;
	bc_work setup, make, drop;
	bool root, later, stays, memory;
	int err;
};

static const struct kind {
	const char *key;
	int err;
	const char *sysctl;	/* mainline's own bound, if that is easily set */
	struct way ways[12];
} kinds[] = {
	{ "numinotify", EMFILE, "/proc/sys/fs/inotify/max_user_instances", {
		{ "inotify_init", NULL, make_inotify, drop_fd },
		{ "fanotify_init", NULL, make_fanotify, drop_fd },
	} },
	{ "numwatch", ENOSPC, "/proc/sys/fs/inotify/max_user_watches", {
		{ "inotify_add_watch", setup_inotify, make_watch, drop_watch },
		{ "fanotify_mark", setup_fanotify, make_mark, drop_mark },
	} },
	{ "numflock", ENOLCK, NULL, {
		{ "flock", NULL, make_flock, drop_fd },
		{ "POSIX lock", setup_file, make_posix_lock, drop_posix_lock },
		{ "OFD lock", setup_file, make_ofd_lock, drop_ofd_lock },
		{ "gap in a range", setup_range, make_gap, drop_gap },
		{ "piece of a range", setup_range, make_write_lock, drop_gap },
		{ "lease", NULL, make_lease, drop_fd },
	} },
	{ "numpty", ENOSPC, "/proc/sys/kernel/pty/max", {
		{ "ptmx", NULL, make_pty, drop_fd },
	} },
	{ "numtcpsock", ENOBUFS, NULL, {
		{ "TCP", NULL, make_tcp, drop_fd },
	} },
	{ "numothersock", ENOBUFS, NULL, {
		{ "UDP", NULL, make_udp, drop_fd, .later = true },
		{ "unix", NULL, make_unix, drop_fd },
		{ "netlink", NULL, make_netlink, drop_fd, .later = true },
		{ "socketpair", NULL, make_pair, drop_pair },
	} },
	{ "nummount", ENOSPC, NULL, {
		{ "mount", setup_mount, make_mount, drop_mount, .root = true },
		{ "bind", setup_mount, make_bind, drop_mount, .root = true },
		{ "open_tree", setup_mount, make_tree, drop_fd, .root = true },
		{ "propagation", setup_shared, make_propagated, drop_propagated,
		  .root = true },
	} },
	{ "numkey", EDQUOT, "/proc/sys/kernel/keys/maxkeys", {
		{ "add_key", setup_key, make_key, drop_key, .later = true },
	} },
	{ "keybytes", EDQUOT, "/proc/sys/kernel/keys/maxbytes", {
		{ "add_key", setup_key, make_key, drop_key, .later = true },
	} },
	{ "numaio", EAGAIN, "/proc/sys/fs/aio-max-nr", {
		{ "io_setup", NULL, make_aio, drop_aio },
	} },
	{ "numns", ENOSPC, NULL, {
		{ "user", NULL, make_user, drop_ns, .later = true },
		{ "uts", NULL, make_uts, drop_ns, .root = true, .later = true },
		{ "ipc", NULL, make_ipc, drop_ns, .root = true, .later = true },
		{ "mnt", NULL, make_mnt, drop_ns, .root = true, .later = true },
		{ "pid", NULL, make_pid, drop_ns, .root = true, .later = true },
		{ "net", NULL, make_net, drop_ns, .root = true, .later = true },
		{ "cgroup", NULL, make_cgroup, drop_ns, .root = true,
		  .later = true },
		{ "time", NULL, make_time, drop_ns, .root = true, .later = true },
	} },
	{ "numipc", ENOSPC, NULL, {
		{ "shm", NULL, make_shm, drop_shm, .stays = true },
		{ "sem", NULL, make_sem, drop_sem, .stays = true },
		{ "msg", NULL, make_msg, drop_msg, .stays = true },
		{ "mq", NULL, make_mq, drop_mq, .stays = true },
	} },
	{ "numsiginfo", EAGAIN, NULL, {
		{ "sigqueue", setup_signal, make_signal, drop_signal },
	} },
	{ "numtimer", EAGAIN, NULL, {
		{ "timer_create", NULL, make_timer, drop_timer },
	} },
	{ "privvmpages", ENOMEM, NULL, {
		{ "anonymous", NULL, make_anon, drop_map, .memory = true },
		{ "private", setup_file, make_private, drop_map, .memory = true },
		{ "mprotect", NULL, make_writable, drop_map, .memory = true },
		{ "brk", NULL, make_brk, drop_brk, .memory = true },
		{ "mremap", setup_growing, make_larger, drop_larger,
		  .memory = true },
		{ "fork", NULL, make_fork, drop_ns, .memory = true },
		{ "shared anonymous", NULL, make_shared, drop_map },
		{ "SysV", NULL, make_large_shm, drop_shm, .stays = true },
	} },
	{ "lockedpages", ENOMEM, NULL, {
		{ "mlock", NULL, make_mlock, drop_map, .memory = true },
		{ "MLOCK_ONFAULT", NULL, make_mlock_onfault, drop_map,
		  .memory = true },
		{ "MAP_LOCKED", NULL, make_map_locked, drop_map, .memory = true,
		  .err = EAGAIN },
		{ "mremap", setup_growing_locked, make_larger, drop_larger,
		  .memory = true, .err = EAGAIN },
		{ "brk", setup_mlockall, make_brk, drop_brk, .memory = true },
		{ "SHM_LOCK", NULL, make_locked_shm, drop_shm, .stays = true },
		{ "io_uring", setup_buffer, make_ring, drop_fd, .memory = true,
		  .later = true },
		{ "buffer ring", setup_buffer, make_buffer_ring, drop_fd,
		  .memory = true, .later = true },
		{ "IORING_SETUP_NO_MMAP", setup_buffer, make_ring_in_memory,
		  drop_fd, .memory = true, .later = true },
		{ "perf", NULL, make_perf, drop_perf, .err = EPERM },
		{ "xsk", setup_buffer, make_xsk, drop_fd, .root = true,
		  .later = true, .err = ENOBUFS },
	} },
};

#define NKINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

#define for_each_kind(kind) \
	for ((kind) = kinds; (kind) < kinds + NKINDS; (kind)++)
#define for_each_way(way, kind) \
	for ((way) = (kind)->ways; (way)->make; (way)++)

/* Says of what kind a failed check was. */
#define AT(kind, way) TH_LOG("%s, %s", (kind)->key, (way)->name)

static long long get(const char *cg, const char *file, const char *key)
{
	return cg_key(cg, file, key);
}

static int set(const char *cg, const char *file, const char *key, long long val)
{
	char text[64];

	if (val == BC_UNLIMITED)
		snprintf(text, sizeof(text), "%s max\n", key);
	else
		snprintf(text, sizeof(text), "%s %lld\n", key, val);
	return cg_write(cg, file, text);
}

static long long usage(const char *cg, const char *key)
{
	return get(cg, "usage", key);
}

/* The usage when it has become @expected, or would not. */
static long long left(const char *cg, const char *key, long long expected)
{
	return bc_settle(expected, usage(cg, key));
}

/* A number "WORD=" in the line of @key. */
static long long event(const char *cg, const char *file, const char *key,
		       const char *word)
{
	const char *line = strstr(cg_read(cg, file), key);
	char find[32];

	snprintf(find, sizeof(find), " %s=", word);
	line = line ? strstr(line, find) : NULL;
	return line ? atoll(line + strlen(find)) : -ENOENT;
}

/* A worker in @cg that can make things, with or without privileges. */
static struct worker *maker(const char *cg, const struct way *way, bool root)
{
	struct worker *w = root ? worker_new(cg) : user_new(cg);

	if (way->memory)
		w = worker_renew(w);
	return way->setup ? worker_after(w, way->setup, 0) : w;
}

/* One is dropped, and it is returned. */
static long drop(struct worker *w, const char *cg, const struct kind *kind,
		 const struct way *way, long long left)
{
	long err = call(w, way->drop, 0);

	if (!err && way->later)
		bc_settle(left, usage(cg, kind->key));
	return err;
}

/* How many units one has: by making it, and ending it. */
static long long unit_of(struct worker *w, const char *cg,
			 const struct kind *kind, const struct way *way)
{
	long long base = usage(cg, kind->key), unit;

	if (call(w, way->make, 0))
		return -1;
	unit = usage(cg, kind->key) - base;
	if (drop(w, cg, kind, way, base) || usage(cg, kind->key) != base)
		return -2;
	return unit;
}

static bool make_places(void)
{
	char path[64];
	int i, fd;

	mkdir(PLACE, 0755);
	mkdir(PLACE "/pts", 0755);
	for (i = 0; i < NAMES; i++) {
		mkdir(dir_of(i), 0755);
		fd = open(name_of(i), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
		if (fd < 0 || fchown(fd, NOBODY, NOBODY))
			return false;
		close(fd);
	}
	snprintf(path, sizeof(path), PLACE "/lock");
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
	if (fd < 0 || fchown(fd, NOBODY, NOBODY) || fchmod(fd, 0666))
		return false;
	close(fd);
	umount2(PLACE "/pts", MNT_DETACH);
	return !mount("devpts", PLACE "/pts", "devpts", 0,
		      "newinstance,ptmxmode=0666,mode=0666");
}

FIXTURE(ubc)
{
	char *top;
	char *group;
};

FIXTURE_VARIANT(ubc)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(ubc, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(ubc, v2) { .v2 = true };

FIXTURE_SETUP(ubc)
{
	bc_controller = "ubc";
	/* Not skipped: the configuration of the tests has it. */
	ASSERT_FALSE(bc_missing())
		TH_LOG("%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	ASSERT_NE(NULL, self->group);
	ASSERT_TRUE(make_places());
}

FIXTURE_TEARDOWN(ubc)
{
	umount2(PLACE "/fuse", MNT_DETACH);
	umount2(PLACE "/pts", MNT_DETACH);
	bc_teardown();
}

/* Every kind has a line in every file, and a new group bounds nothing. */
TEST_F(ubc, new_group_is_unlimited_and_empty)
{
	const struct kind *kind;

	for_each_kind(kind) {
		EXPECT_EQ(0, usage(self->group, kind->key));
		EXPECT_EQ(0, get(self->group, "max_usage", kind->key));
		EXPECT_EQ(0, get(self->group, "reservation", kind->key));
		EXPECT_EQ(0, event(self->group, "events", kind->key, "max"));
		EXPECT_EQ(0, event(self->group, "events.local", kind->key,
				   "barrier"));
		if (!variant->v2) {
			EXPECT_EQ(BC_UNLIMITED,
				  get(self->group, "limit", kind->key));
			EXPECT_EQ(0, get(self->group, "failcnt", kind->key));
			continue;
		}
		/* "max" reads as 0. */
		EXPECT_EQ(0, get(self->group, "limit", kind->key));
		EXPECT_NE(NULL, strstr(cg_read(self->group, "barrier"), " max"));
	}
}

/*
 * Catches: a way of making something that is not charged, or twice; an errno
 * that gets lost; a refusal that leaves something behind.
 */
TEST_F(ubc, limit_holds_to_the_unit)
{
	const struct kind *kind;
	const struct way *way;

	for_each_kind(kind) for_each_way(way, kind) {
		struct worker *w = maker(self->group, way, way->root);
		const char *key = kind->key;
		int i, err = way->err ?: kind->err;
		long long base, unit;

		ASSERT_NE(NULL, w) AT(kind, way);
		unit = unit_of(w, self->group, kind, way);
		ASSERT_LT(0, unit) AT(kind, way);
		base = usage(self->group, key);

		ASSERT_EQ(0, set(self->group, "limit", key, base + 3 * unit));
		for (i = 0; i < 3; i++) {
			EXPECT_EQ(0, call(w, way->make, i)) AT(kind, way);
			EXPECT_EQ(base + (i + 1) * unit,
				  usage(self->group, key)) AT(kind, way);
		}
		EXPECT_EQ(-err, call(w, way->make, 3)) AT(kind, way);
		EXPECT_EQ(-err, call(w, way->make, 3)) AT(kind, way);
		EXPECT_SOON(base + 3 * unit, usage(self->group, key));
		EXPECT_LE(2, event(self->group, "events", key, "max")) AT(kind, way);

		/* One less, and there is room for one. */
		EXPECT_EQ(0, drop(w, self->group, kind, way, base + 2 * unit));
		EXPECT_EQ(0, call(w, way->make, 2)) AT(kind, way);
		EXPECT_EQ(-err, call(w, way->make, 3)) AT(kind, way);

		/* By one unit too little is too little. */
		EXPECT_EQ(0, drop(w, self->group, kind, way, base + 2 * unit));
		ASSERT_EQ(0, set(self->group, "limit", key, base + 3 * unit - 1));
		EXPECT_EQ(-err, call(w, way->make, 2)) AT(kind, way);

		ASSERT_EQ(0, set(self->group, "limit", key, BC_UNLIMITED));
		while (i-- > 1)
			EXPECT_EQ(0, drop(w, self->group, kind, way,
					  base + (i - 1) * unit)) AT(kind, way);
		EXPECT_SOON(base, usage(self->group, key));
		worker_end(w);
		EXPECT_EQ(0, left(self->group, key, 0)) AT(kind, way);
	}
}

/* Ordinary tasks stop at the barrier, those with CAP_SYS_ADMIN at the limit. */
TEST_F(ubc, barrier_is_for_the_unprivileged)
{
	const struct kind *kind;

	for_each_kind(kind) {
		const struct way *way = kind->ways;
		const char *key = kind->key;
		struct worker *user, *root;
		long long base, unit;

		root = maker(self->group, way, true);
		ASSERT_NE(NULL, root) AT(kind, way);
		unit = unit_of(root, self->group, kind, way);
		ASSERT_LT(0, unit) AT(kind, way);
		user = NULL;
		if (!way->root) {
			user = maker(self->group, way, false);
			ASSERT_NE(NULL, user) AT(kind, way);
		}
		base = usage(self->group, key);
		ASSERT_EQ(0, set(self->group, "barrier", key, base + unit));
		ASSERT_EQ(0, set(self->group, "limit", key, base + 2 * unit));
		EXPECT_EQ(0, call(user ?: root, way->make, 0)) AT(kind, way);
		if (user) {
			EXPECT_EQ(-kind->err, call(user, way->make, 1))
				AT(kind, way);
			EXPECT_EQ(1, event(self->group, "events.local", key,
					   "barrier")) AT(kind, way);
		}
		EXPECT_EQ(0, call(root, way->make, 2)) AT(kind, way);
		EXPECT_EQ(-kind->err, call(root, way->make, 3))
			AT(kind, way);
		EXPECT_EQ(0, call(root, way->drop, 0)) AT(kind, way);
		EXPECT_EQ(0, call(user ?: root, way->drop, 0)) AT(kind, way);
		if (user)
			worker_end(user);
		worker_end(root);
		/* numwatch needs some of numinotify. */
		ASSERT_EQ(0, set(self->group, "barrier", key, BC_UNLIMITED));
		ASSERT_EQ(0, set(self->group, "limit", key, BC_UNLIMITED));
		EXPECT_EQ(0, left(self->group, key, 0)) AT(kind, way);
	}
}

static long setup_in_userns(long which)
{
	const struct way *way = kinds[which].ways;

	return enter_userns(0) ?: way->setup ? way->setup(0) : 0;
}

/* root in a user namespace is no more than a user. */
TEST_F(ubc, tenant_in_a_user_namespace)
{
	const struct kind *kind;

	for_each_kind(kind) {
		const struct way *way = kind->ways;
		const char *key = kind->key;
		long long base, unit;
		struct worker *w;

		w = worker_after(worker_new(self->group), setup_in_userns,
				 kind - kinds);
		ASSERT_NE(NULL, w) AT(kind, way);
		/* The namespace of the one before may go later. */
		if (!way->setup) {
			ASSERT_EQ(1, left(self->group, "numns", 1)) AT(kind, way);
		}
		if (way->memory) {
			w = worker_renew(w);
			ASSERT_NE(NULL, w) AT(kind, way);
		}
		unit = unit_of(w, self->group, kind, way);
		ASSERT_LT(0, unit) AT(kind, way);
		base = usage(self->group, key);
		ASSERT_EQ(0, set(self->group, "barrier", key, base + unit));
		EXPECT_EQ(0, call(w, way->make, 0)) AT(kind, way);
		EXPECT_EQ(-kind->err, call(w, way->make, 1)) AT(kind, way);
		EXPECT_EQ(0, call(w, way->drop, 0)) AT(kind, way);
		worker_end(w);
		ASSERT_EQ(0, set(self->group, "barrier", key, BC_UNLIMITED));
		EXPECT_EQ(0, left(self->group, key, 0)) AT(kind, way);
	}
}

/* What was made stays where it was made, and returns from wherever it ends. */
TEST_F(ubc, task_that_moves_and_a_group_removed_first)
{
	char *other = cg_new(self->top, "other");
	const struct kind *kind;

	ASSERT_NE(NULL, other);
	for_each_kind(kind) {
		const struct way *way = kind->ways;
		const char *key = kind->key;
		long long base, unit;
		struct worker *w;
		char *first;

		/* Its processes do not move along. */
		if (way->drop == drop_ns)
			continue;
		first = cg_new(self->top, "first");
		ASSERT_NE(NULL, first);
		w = maker(first, way, true);
		ASSERT_NE(NULL, w) AT(kind, way);
		unit = unit_of(w, first, kind, way);
		base = usage(first, key);
		EXPECT_EQ(0, call(w, way->make, 0)) AT(kind, way);
		EXPECT_EQ(0, call(w, way->make, 1)) AT(kind, way);

		ASSERT_TRUE(worker_move(w, other));
		EXPECT_EQ(base + 2 * unit, usage(first, key)) AT(kind, way);
		EXPECT_EQ(0, usage(other, key)) AT(kind, way);
		EXPECT_EQ(0, call(w, way->drop, 0)) AT(kind, way);
		EXPECT_SOON(base + unit, usage(first, key));

		/* At once, and what is left is the parent's. */
		EXPECT_EQ(0, cg_rmdir(first)) AT(kind, way);
		EXPECT_EQ(base + unit, usage(self->top, key)) AT(kind, way);
		EXPECT_EQ(0, call(w, way->make, 2)) AT(kind, way);
		EXPECT_EQ(0, call(w, way->drop, 0)) AT(kind, way);
		EXPECT_EQ(0, call(w, way->drop, 0)) AT(kind, way);
		worker_end(w);
		EXPECT_EQ(0, left(self->top, key, 0)) AT(kind, way);
	}
}

/* By every way: SIGKILL leaves nothing that does not outlive processes. */
TEST_F(ubc, killed_process_leaves_nothing)
{
	const struct kind *kind;
	const struct way *way;

	for_each_kind(kind) for_each_way(way, kind) {
		struct worker *w;

		if (way->stays)
			continue;
		w = maker(self->group, way, true);
		ASSERT_NE(NULL, w) AT(kind, way);
		EXPECT_EQ(0, call(w, way->make, 0)) AT(kind, way);
		EXPECT_EQ(0, call(w, way->make, 1)) AT(kind, way);
		worker_kill(w);
		EXPECT_EQ(0, left(self->group, kind->key, 0)) AT(kind, way);
	}
}

static int other_pid;
static long other_fd;

/* Gets the descriptor @fd of the process other_pid, as SCM_RIGHTS would. */
static long take_fd(long packed)
{
	int pidfd = syscall(SYS_pidfd_open, packed >> 16, 0);
	long err;

	if (pidfd < 0)
		return -errno;
	err = push(syscall(SYS_pidfd_getfd, pidfd, packed & 0xffff, 0));
	close(pidfd);
	return err;
}

static long last_fd(long unused)
{
	(void)unused;
	return nmade ? made[nmade - 1] : -EBADF;
}

/* An object that another group's task holds in the end is its maker's. */
TEST_F(ubc, object_is_passed_to_another_group)
{
	char *other = cg_new(self->top, "other");
	const struct kind *kind;

	ASSERT_NE(NULL, other);
	for_each_kind(kind) {
		const struct way *way = kind->ways;
		struct worker *maker_w, *taker;
		const char *key = kind->key;

		if (way->drop != drop_fd || way->setup)
			continue;
		maker_w = worker_new(self->group);
		taker = worker_new(other);
		ASSERT_TRUE(maker_w && taker);
		ASSERT_EQ(0, call(maker_w, way->make, 0)) AT(kind, way);
		other_pid = maker_w->pid;
		other_fd = call(maker_w, last_fd, 0);
		ASSERT_EQ(0, call(taker, take_fd, (long)other_pid << 16 | other_fd));
		worker_end(maker_w);
		EXPECT_EQ(1, usage(self->group, key)) AT(kind, way);
		EXPECT_EQ(0, usage(other, key)) AT(kind, way);
		EXPECT_EQ(0, call(taker, way->drop, 0)) AT(kind, way);
		EXPECT_EQ(0, left(self->group, key, 0)) AT(kind, way);
		worker_end(taker);
	}
}

/* Mainline's own bound holds beside ours: whichever is lower. */
TEST_F(ubc, mainline_limit_is_lower)
{
	const struct kind *kind;

	for_each_kind(kind) {
		const struct way *way = kind->ways;
		const char *key = kind->key;
		char old[32] = "";
		struct worker *w;
		long long base;
		int fd;

		if (!kind->sysctl)
			continue;
		w = maker(self->group, way, false);
		ASSERT_NE(NULL, w) AT(kind, way);
		base = usage(self->group, key);
		fd = open(kind->sysctl, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, fd) AT(kind, way);
		ASSERT_LT(0, read(fd, old, sizeof(old) - 1));
		/* Of keys there is one already: of a user's, 0 is not possible. */
		if (pwrite(fd, "0\n", 2, 0) != 2) {
			ASSERT_EQ(2, pwrite(fd, "1\n", 2, 0)) AT(kind, way);
		}
		EXPECT_GT(0, call(w, way->make, 0)) AT(kind, way);
		EXPECT_SOON(base, usage(self->group, key));
		ASSERT_LT(0, pwrite(fd, old, strlen(old), 0)) AT(kind, way);
		close(fd);
		EXPECT_EQ(0, event(self->group, "events", key, "max")) AT(kind, way);
		EXPECT_EQ(0, call(w, way->make, 0)) AT(kind, way);
		EXPECT_EQ(0, call(w, way->drop, 0)) AT(kind, way);
		worker_end(w);
		EXPECT_EQ(0, left(self->group, key, 0)) AT(kind, way);
	}
}

/* The bound of a group above holds, and each level shows what is below. */
TEST_F(ubc, tree_of_groups)
{
	const struct kind *kind = kinds;
	const struct way *way = kind->ways;
	const char *key = kind->key;
	char *deep = self->top;
	struct worker *w;
	int i;

	for (i = 0; i < 8; i++) {
		deep = cg_new(deep, "deep");
		ASSERT_NE(NULL, deep);
	}
	ASSERT_EQ(0, set(self->top, "limit", key, 2));
	w = maker(deep, way, false);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(0, call(w, way->make, 0));
	EXPECT_EQ(0, call(w, way->make, 0));
	EXPECT_EQ(-kind->err, call(w, way->make, 0));
	EXPECT_EQ(2, usage(self->top, key));
	EXPECT_EQ(2, usage(deep, key));
	EXPECT_EQ(1, event(self->top, "events.local", key, "max"));
	EXPECT_EQ(0, event(deep, "events.local", key, "max"));
	/* A second task of another branch has the rest of it. */
	EXPECT_EQ(0, call(w, way->drop, 0));
	worker_end(w);
	EXPECT_SOON(0, usage(self->top, key));
}

/* Lines are all written, or none. */
TEST_F(ubc, several_lines_at_a_time)
{
	struct worker *w = user_new(self->group);
	char *cg = self->group;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_write(cg, "limit", "numinotify 7\nnumpty 8\nnumflock 9"));
	EXPECT_EQ(7, get(cg, "limit", "numinotify"));
	EXPECT_EQ(8, get(cg, "limit", "numpty"));
	EXPECT_EQ(9, get(cg, "limit", "numflock"));

	EXPECT_EQ(-EINVAL, cg_write(cg, "limit", "numinotify 1\nnumpty x\n"));
	EXPECT_EQ(-EINVAL, cg_write(cg, "limit", "numpty 1\nnumdogs 1\n"));
	EXPECT_EQ(7, get(cg, "limit", "numinotify"));
	EXPECT_EQ(8, get(cg, "limit", "numpty"));

	/* What can be refused comes last here: v1 keeps limits above usage. */
	ASSERT_EQ(0, call(w, make_inotify, 0));
	ASSERT_EQ(0, call(w, make_inotify, 0));
	if (!variant->v2) {
		EXPECT_EQ(-EBUSY, cg_write(cg, "limit",
					   "numpty 3\nnumflock 99\nnuminotify 1\n"));
		EXPECT_EQ(7, get(cg, "limit", "numinotify"));
		EXPECT_EQ(8, get(cg, "limit", "numpty"));
		EXPECT_EQ(9, get(cg, "limit", "numflock"));
	}
	/* A reservation above the limit. */
	EXPECT_EQ(-EINVAL, cg_write(cg, "reservation",
				    "numpty 3\nnumflock 4\nnuminotify 100\n"));
	EXPECT_EQ(0, get(cg, "reservation", "numpty"));
	EXPECT_EQ(0, get(cg, "reservation", "numflock"));
	EXPECT_EQ(0, get(cg, "reservation", "numinotify"));
	EXPECT_EQ(0, cg_write(cg, "reservation", "numpty 3\nnumflock 4\n"));
	EXPECT_EQ(3, get(cg, "reservation", "numpty"));
	EXPECT_EQ(4, get(cg, "reservation", "numflock"));
	EXPECT_EQ(3, usage(self->top, "numpty"));
	EXPECT_EQ(0, cg_write(cg, "reservation", "numpty 0\nnumflock 0\n"));
	EXPECT_EQ(0, usage(self->top, "numpty"));
}

TEST_F(ubc, bad_input_changes_nothing)
{
	static const char * const bad[] = {
		"5", "numpty", "numpty\n", "numpty ", "numpty\n5", "numpty5",
		"numpty=5", "numpty 5 6", "numpty 5 numflock 6", "NUMPTY 5",
		"numpt 5", "numptyy 5", "numfile 5", "numpty five", "numpty 5x",
		"numpty 5K", "numpty +5", "numpty 0x5", "numpty 1.5",
		"numpty -5", "numpty 18446744073709551616",
		"numpty 9223372036854775808", "numpty 5\nnumpty 5",
		"numpty 5\nnumflock", "\n", " ", "numpty max max",
	};
	static const char * const files[] = { "limit", "barrier", "reservation" };
	char *page = malloc(8192);
	size_t i, f;

	ASSERT_NE(NULL, page);
	for (f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
		char before[4096];

		snprintf(before, sizeof(before), "%s",
			 cg_read(self->group, files[f]));
		for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			EXPECT_EQ(-EINVAL, cg_write(self->group, files[f], bad[i]))
				TH_LOG("'%s' to %s", bad[i], files[f]);
		EXPECT_EQ(-EINVAL, cg_write_raw(self->group, files[f],
						"numpty 5\0", 9));
		EXPECT_EQ(-EINVAL, cg_write_raw(self->group, files[f],
						"numpty 5\0numflock 5", 19));
		/* Nearly a page is read, more is not. */
		memset(page, ' ', 8192);
		memcpy(page, "numpty", 6);
		EXPECT_EQ(-EINVAL, cg_write_raw(self->group, files[f], page, 4000));
		EXPECT_EQ(-E2BIG, cg_write_raw(self->group, files[f], page, 8192));
		EXPECT_STREQ(before, cg_read(self->group, files[f]));
	}
	EXPECT_EQ(variant->v2 ? -EINVAL : 0,
		  cg_write(self->group, "limit", "numpty -1"));
	EXPECT_EQ(0, cg_write(self->group, "limit", "  numpty   5  \n\n"));
	EXPECT_EQ(5, get(self->group, "limit", "numpty"));
	EXPECT_EQ(0, cg_write(self->group, "limit", "keybytes 4K"));
	EXPECT_EQ(4096, get(self->group, "limit", "keybytes"));
	free(page);
}

/* What is lent out of shared room is the administrator's to lend. */
TEST_F(ubc, reservation_by_a_tenant)
{
	char *inner = cg_new(self->group, "inner");
	struct worker *w;

	ASSERT_NE(NULL, inner);
	ASSERT_EQ(0, chown(cg_path(self->group, "reservation"), NOBODY, NOBODY));
	ASSERT_EQ(0, chown(cg_path(inner, "reservation"), NOBODY, NOBODY));
	w = user_new(NULL);
	ASSERT_NE(NULL, w);
	worker_end(w);
	if (!fork()) {
		if (become_nobody(0) ||
		    set(self->group, "reservation", "numpty", 5) != -EPERM ||
		    set(inner, "reservation", "numpty", 5) != -EPERM)
			_exit(1);
		_exit(0);
	} else {
		int status;

		wait(&status);
		EXPECT_EQ(0, status);
	}
	EXPECT_EQ(0, set(self->group, "reservation", "numpty", 5));
	if (!fork()) {
		if (become_nobody(0) ||
		    set(inner, "reservation", "numpty", 5) ||
		    set(inner, "reservation", "numpty", 6) != -EPERM)
			_exit(1);
		_exit(0);
	} else {
		int status;

		wait(&status);
		EXPECT_EQ(0, status);
	}
	EXPECT_EQ(5, get(inner, "reservation", "numpty"));
}

/* Catches: a reservation of what the machine has not, or that others can take. */
TEST_F(ubc, reservation_is_out_of_the_machines_amount)
{
	static const char *const keys[] = { "numpty", "numaio" };
	char *other = cg_new(self->top, "other");
	struct worker *w = worker_new(other);
	const char *key = "numaio";
	long long amount;
	size_t i;
	int fd;

	ASSERT_NE(NULL, w);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		EXPECT_EQ(-ENOSPC, set(self->group, "reservation", keys[i],
				       1LL << 40)) TH_LOG("%s", keys[i]);
	fd = open("/proc/sys/fs/aio-max-nr", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	amount = bc_read_number(fd);
	close(fd);
	ASSERT_LT(0, amount);
	EXPECT_EQ(-ENOSPC, set(self->group, "reservation", key, amount + 1));
	/* 10 requests each: two find room, and not a third one. */
	ASSERT_EQ(0, set(self->group, "reservation", key, amount - 25));
	EXPECT_EQ(0, call(w, make_aio, 0));
	EXPECT_EQ(0, call(w, make_aio, 0));
	EXPECT_EQ(-EAGAIN, call(w, make_aio, 0));
	EXPECT_EQ(20, usage(other, key));
	EXPECT_EQ(1, event(self->top, "events.local", key, "max"));
	ASSERT_EQ(0, set(self->group, "reservation", key, 0));
	EXPECT_EQ(0, call(w, make_aio, 0));
	worker_end(w);
	EXPECT_SOON(0, usage(self->top, key));
}

/* A refusal wakes the tasks that poll, and is logged once. */
TEST_F(ubc, events_can_be_polled)
{
	struct worker *w = user_new(self->group);
	struct pollfd pfd;
	char buf[4096];

	ASSERT_NE(NULL, w);
	if (!variant->v2)
		return;
	pfd.fd = cg_open(self->group, "events", O_RDONLY);
	pfd.events = POLLPRI;
	ASSERT_LE(0, pfd.fd);
	ASSERT_LT(0, read(pfd.fd, buf, sizeof(buf)));
	ASSERT_EQ(0, set(self->group, "limit", "numpty", 0));
	EXPECT_EQ(-ENOSPC, call(w, make_pty, 0));
	EXPECT_EQ(1, poll(&pfd, 1, bc_patience_ms));
	EXPECT_TRUE(pfd.revents & POLLPRI);
	EXPECT_EQ(1, event(self->group, "events", "numpty", "max"));
	close(pfd.fd);
}

/* A lock in place of another one takes no room, a request that waits neither. */
TEST_F(ubc, lock_in_place_of_a_lock)
{
	struct worker *w = worker_after(user_new(self->group), setup_file, 0);
	const char *key = "numflock";

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, set(self->group, "limit", key, 1));
	EXPECT_EQ(0, call(w, make_posix_lock, 0));
	EXPECT_EQ(1, usage(self->group, key));
	/* The next byte but one is a second lock, ... */
	EXPECT_EQ(-ENOLCK, call(w, make_posix_lock, 1));
	/* ... the same again, as a write lock, is not. */
	EXPECT_EQ(0, call(w, make_posix_lock, 0));
	EXPECT_EQ(1, usage(self->group, key));
	EXPECT_EQ(0, call(w, drop_posix_lock, 0));
	EXPECT_EQ(0, usage(self->group, key));
	EXPECT_EQ(1, event(self->group, "events", key, "max"));
}

/* Locks of file systems that have their own */

#define FUSE PLACE "/fuse"

static long use_fuse(long unused)
{
	(void)unused;
	lock_file = FUSE "/lock";
	return 0;
}

/* A file system in user space, at FUSE, with a file: what serves it, or NULL. */
static struct worker *mount_fuse(bc_work serve)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	struct worker *server = worker_new(NULL);
	char options[128];
	int lock;

	if (fd < 0 || !server)
		return NULL;
	mkdir(FUSE, 0755);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
	if (mount("fuse", FUSE, "fuse", 0, options))
		return NULL;
	start(server, serve, fd);
	close(fd);
	lock = open(FUSE "/lock", O_CREAT | O_RDWR | O_CLOEXEC, 0666);
	if (lock < 0 || fchmod(lock, 0666))
		return NULL;
	close(lock);
	return server;
}

static bool unmount_fuse(struct worker *server)
{
	bool done = !umount2(FUSE, 0) && finish(server) == -ENODEV;

	worker_end(server);
	return done;
}

static long lock_for_writing(long i)
{
	return lock_range(F_SETLK, F_WRLCK, 2 * i, 1);
}

static long flock_last(long how)
{
	return flock(made[nmade - 1], how | LOCK_NB) ? -errno : 0;
}

/*
 * Such a file system is asked after the charge. Catches: one unit too little or too
 * much, or none left to unlock at the limit, or for a lock in place of another one.
 */
TEST_F(ubc, lock_of_a_file_system_with_its_own)
{
	struct worker *server = mount_fuse(fuse_serve), *w;
	const struct kind *kind = kinds;
	const struct way *way;

	ASSERT_NE(NULL, server);
	while (strcmp(kind->key, "numflock"))
		kind++;
	for_each_way(way, kind) {
		const char *key = kind->key;
		long long base, unit;

		/* FUSE has none. */
		if (way->make == make_lease)
			continue;
		w = worker_after(worker_new(self->group), use_fuse, 0);
		if (way->setup)
			w = worker_after(w, way->setup, 0);
		ASSERT_NE(NULL, w) AT(kind, way);
		unit = unit_of(w, self->group, kind, way);
		ASSERT_LT(0, unit) AT(kind, way);
		base = usage(self->group, key);
		ASSERT_EQ(0, set(self->group, "limit", key, base + 2 * unit));
		EXPECT_EQ(0, call(w, way->make, 0)) AT(kind, way);
		EXPECT_EQ(0, call(w, way->make, 1)) AT(kind, way);
		EXPECT_EQ(-ENOLCK, call(w, way->make, 2)) AT(kind, way);
		EXPECT_EQ(base + 2 * unit, usage(self->group, key)) AT(kind, way);
		if (way->make == make_posix_lock)
			EXPECT_EQ(0, call(w, lock_for_writing, 0));
		if (way->make == make_flock)
			EXPECT_EQ(-EAGAIN, call(w, flock_last, LOCK_EX));
		EXPECT_EQ(0, call(w, way->drop, 0)) AT(kind, way);
		if (way->make == make_flock)
			EXPECT_EQ(0, call(w, flock_last, LOCK_EX));
		EXPECT_EQ(base + unit, usage(self->group, key)) AT(kind, way);
		EXPECT_EQ(0, call(w, way->drop, 0)) AT(kind, way);
		EXPECT_EQ(base, usage(self->group, key)) AT(kind, way);
		EXPECT_EQ(0, event(self->group, "events", key, "forced"))
			AT(kind, way);
		ASSERT_EQ(0, set(self->group, "limit", key, BC_UNLIMITED));
		worker_end(w);
		EXPECT_EQ(0, left(self->group, key, 0)) AT(kind, way);
	}
	EXPECT_TRUE(unmount_fuse(server));
}

/* How often the server was asked for a lock. */
static long long asked(void)
{
	struct statvfs st;

	return statvfs(FUSE, &st) ? -errno : (long long)st.f_files;
}

static long unlock_all(long unused)
{
	(void)unused;
	return lock_range(F_SETLK, F_UNLCK, 0, 0);
}

/* Catches: a request that the server grants, and that is refused then. */
TEST_F(ubc, lock_that_a_server_keeps)
{
	struct worker *server = mount_fuse(fuse_serve_locks), *w;
	const char *key = "numflock";
	long long before;

	ASSERT_NE(NULL, server);
	w = worker_after(user_new(self->group), use_fuse, 0);
	w = worker_after(w, setup_file, 0);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, set(self->group, "limit", key, 0));
	before = asked();
	EXPECT_LE(0, before);
	EXPECT_EQ(-ENOLCK, call(w, make_posix_lock, 0));
	EXPECT_EQ(-ENOLCK, call(w, make_ofd_lock, 0));
	EXPECT_EQ(-ENOLCK, call(w, make_flock, 0));
	EXPECT_EQ(before, asked());
	/* To give one back needs none. */
	EXPECT_EQ(0, call(w, unlock_all, 0));
	EXPECT_EQ(before + 1, asked());
	ASSERT_EQ(0, set(self->group, "limit", key, 1));
	EXPECT_EQ(0, call(w, make_posix_lock, 0));
	EXPECT_EQ(0, call(w, drop_posix_lock, 0));
	EXPECT_EQ(0, call(w, make_posix_lock, 1));
	EXPECT_EQ(0, call(w, make_flock, 0));
	EXPECT_EQ(before + 5, asked());
	/* They are not known here. */
	EXPECT_EQ(0, usage(self->group, key));
	worker_end(w);
	EXPECT_TRUE(unmount_fuse(server));
}

/* One of all that can happen to the locks of a file; may be refused. */
static long change_ranges(long n)
{
	static const short types[] = { F_RDLCK, F_WRLCK, F_UNLCK, F_UNLCK };
	static unsigned int state = 1;

	while (n--)
		lock_range(F_SETLK, types[rand_r(&state) % 4],
			   rand_r(&state) % 32, 1 + rand_r(&state) % 8);
	return 0;
}

/* By two tasks that have their descriptors, and so their locks, in common. */
static long change_ranges_twice(long n)
{
	pid_t pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	if (pid < 0)
		return -errno;
	/* Other numbers than the parent's. */
	if (!pid) {
		change_ranges(n / 2 + 1);
		change_ranges(n);
		_exit(0);
	}
	change_ranges(n);
	return waitpid(pid, NULL, 0) == pid ? 0 : -errno;
}

/* Locks that the kernel lists for a file, those that wait left out. */
static long long listed(const char *path)
{
	unsigned int major, minor;
	unsigned long ino;
	char line[256];
	struct stat st;
	long long n = 0;
	FILE *file;

	if (stat(path, &st))
		return -errno;
	file = fopen("/proc/locks", "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %*s %*s %*s %*d %x:%x:%lu", &major,
			   &minor, &ino) == 3 && ino == st.st_ino)
			n++;
	fclose(file);
	return n;
}

/*
 * Catches: a way through merging and splitting where a lock is not charged, or more
 * than once, or not returned; here and where a file system has locks of its own.
 */
TEST_F(ubc, locks_count_as_the_kernel_lists_them)
{
	struct worker *server = mount_fuse(fuse_serve), *w;
	const char *key = "numflock", *path;
	const long long barrier = 6;
	long long before, most;
	int i, fuse, twice;

	ASSERT_NE(NULL, server);
	for (fuse = 0; fuse < 2; fuse++) {
		path = fuse ? FUSE "/lock" : lock_file;
		w = user_new(self->group);
		if (fuse)
			w = worker_after(w, use_fuse, 0);
		w = worker_after(w, setup_file, 0);
		ASSERT_NE(NULL, w);
		for (i = 0; i < bc_rounds(400); i++) {
			bool bound = i / 10 % 2;

			twice = i / 20 % 2;
			ASSERT_EQ(0, set(self->group, "barrier", key,
					 bound ? barrier : BC_UNLIMITED));
			before = usage(self->group, key);
			ASSERT_EQ(0, call(w, twice ? change_ranges_twice :
					  change_ranges, 10));
			ASSERT_EQ(listed(path), usage(self->group, key))
				TH_LOG("round %d, FUSE %d", i, fuse);
			/* A race goes past it, where it is too late to refuse. */
			most = before > barrier ? before : barrier;
			if (fuse && twice)
				most += 4;
			if (bound)
				ASSERT_GE(most, usage(self->group, key))
					TH_LOG("round %d, FUSE %d", i, fuse);
		}
		EXPECT_LT(0, event(self->group, "events", key, "barrier"));
		worker_end(w);
		EXPECT_EQ(0, usage(self->group, key));
	}
	EXPECT_TRUE(unmount_fuse(server));
}

static int listener;

/* At @addr, which then has the port, too. */
static long listen_at(void *addr, socklen_t len, int protocol)
{
	listener = socket(((struct sockaddr *)addr)->sa_family,
			  SOCK_STREAM | SOCK_CLOEXEC, protocol);
	if (listener < 0 || bind(listener, addr, len) || listen(listener, 16) ||
	    getsockname(listener, addr, &len))
		return -errno;
	return 0;
}

static long setup_listener(long protocol)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return listen_at(&addr, sizeof(addr), protocol) ?: ntohs(addr.sin_port);
}

static long accept_one(long unused)
{
	(void)unused;
	return push(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
}

static int loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int err = ioctl(fd, SIOCSIFFLAGS, &ifr);

	close(fd);
	return err;
}

/* The two that wait, of four; then the listener and all of them go. */
static void accept_two(struct __test_metadata *_metadata, const char *group,
		       const char *key, struct worker *w, const int fd[4])
{
	int i;

	EXPECT_EQ(0, call(w, accept_one, 0));
	EXPECT_EQ(0, call(w, accept_one, 0));
	EXPECT_EQ(3, usage(group, key));
	for (i = 0; i < 4; i++)
		close(fd[i]);
	worker_end(w);
	EXPECT_SOON(0, usage(group, key));
}

/* A connection is the listener's before it is accepted. */
TEST_F(ubc, socket_that_waits_to_be_accepted)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const char *key = "numtcpsock";
	struct worker *w = user_new(self->group);
	int fd[4], i;
	long port;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, loopback_up());
	port = call(w, setup_listener, 0);
	ASSERT_LT(0, port);
	addr.sin_port = htons(port);
	EXPECT_EQ(1, usage(self->group, key));
	ASSERT_EQ(0, set(self->group, "limit", key, 3));
	for (i = 0; i < 4; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			       0);
		ASSERT_LE(0, fd[i]);
		connect(fd[i], (void *)&addr, sizeof(addr));
	}
	/* These come from the root group, where none is charged. */
	EXPECT_SOON(3, usage(self->group, key));
	EXPECT_TRUE(bc_soon(event(self->group, "events", key, "max") +
			    event(self->group, "events", key, "barrier") > 0));
	accept_two(_metadata, self->group, key, w, fd);
}

static long setup_vsock_listener(long unused)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY,
		.svm_port = VMADDR_PORT_ANY,
	};

	(void)unused;
	return listen_at(&addr, sizeof(addr), 0) ?: addr.svm_port;
}

/* A kernel thread makes it, and is not charged. */
TEST_F(ubc, vsock_that_waits_to_be_accepted)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_LOCAL,
	};
	const char *key = "numothersock";
	struct worker *w = user_new(self->group);
	/* Mainline's two seconds are little for a thread of the kernel's. */
	const struct timeval patience = { .tv_sec = BC_PATIENCE_MS / 1000 };
	int fd[4], i;
	long port;

	ASSERT_NE(NULL, w);
	port = call(w, setup_vsock_listener, 0);
	ASSERT_LT(0, port);
	addr.svm_port = port;
	EXPECT_EQ(1, usage(self->group, key));
	ASSERT_EQ(0, set(self->group, "limit", key, 3));
	for (i = 0; i < 4; i++) {
		fd[i] = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ASSERT_LE(0, fd[i]);
		ASSERT_EQ(0, setsockopt(fd[i], AF_VSOCK,
					SO_VM_SOCKETS_CONNECT_TIMEOUT, &patience,
					sizeof(patience)));
		EXPECT_EQ(i < 2 ? 0 : -1, connect(fd[i], (void *)&addr,
						  sizeof(addr)));
	}
	EXPECT_EQ(3, usage(self->group, key));
	EXPECT_EQ(2, event(self->group, "events", key, "max") +
		     event(self->group, "events", key, "barrier"));
	accept_two(_metadata, self->group, key, w, fd);
}

static long listener_fd(long unused)
{
	(void)unused;
	return listener;
}

static long take_listener(long packed)
{
	long err = take_fd(packed);

	listener = pop();
	return err;
}

/* The task that accepts makes it, whose group is another one. */
TEST_F(ubc, socket_is_of_the_group_that_listens)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	char *other = cg_new(self->top, "other");
	const char *key = "numothersock";
	struct worker *w, *taker;
	int fd[2], i;
	long port;

	w = user_new(self->group);
	taker = worker_new(other);
	ASSERT_TRUE(w && taker);
	ASSERT_EQ(0, loopback_up());
	port = call(w, setup_listener, IPPROTO_SCTP);
	ASSERT_LT(0, port);
	addr.sin_port = htons(port);
	ASSERT_EQ(0, call(taker, take_listener, (long)w->pid << 16 |
			  call(w, listener_fd, 0)));
	for (i = 0; i < 2; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC,
			       IPPROTO_SCTP);
		ASSERT_LE(0, fd[i]);
		ASSERT_EQ(0, connect(fd[i], (void *)&addr, sizeof(addr)));
	}
	EXPECT_EQ(1, usage(self->group, key));
	EXPECT_EQ(0, call(taker, accept_one, 0));
	EXPECT_EQ(2, usage(self->group, key));
	EXPECT_EQ(0, usage(other, key));
	ASSERT_EQ(0, set(self->group, "limit", key, 2));
	/* It waits in vain later, if it has got the last one now. */
	ASSERT_EQ(-ENOBUFS, call(taker, accept_one, 0));
	EXPECT_EQ(2, usage(self->group, key));
	EXPECT_EQ(0, usage(other, key));
	ASSERT_EQ(0, set(self->group, "limit", key, 3));
	EXPECT_EQ(0, call(taker, accept_one, 0));
	EXPECT_EQ(3, usage(self->group, key));
	for (i = 0; i < 2; i++)
		close(fd[i]);
	worker_end(w);
	worker_end(taker);
	EXPECT_SOON(0, usage(self->group, key));
}

/* The inode goes, and with it the watch. */
TEST_F(ubc, watch_of_a_removed_file)
{
	struct worker *w = worker_after(user_new(self->group), setup_inotify, 0);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, make_watch, 15));
	EXPECT_EQ(1, usage(self->group, "numwatch"));
	ASSERT_EQ(0, unlink(name_of(15)));
	EXPECT_SOON(0, usage(self->group, "numwatch"));
}

static long grow_key(long size)
{
	static char payload[4096];

	return syscall(SYS_keyctl, KEYCTL_UPDATE, made[nmade - 1], payload, size) ?
	       -errno : 0;
}

/* A payload that changes is charged to the group that made the key. */
TEST_F(ubc, payload_of_a_key_changes)
{
	struct worker *w = worker_after(user_new(self->group), setup_key, 0);
	char *other = cg_new(self->top, "other");
	const char *key = "keybytes";
	long long before;

	ASSERT_TRUE(w && other);
	ASSERT_EQ(0, call(w, make_key, 0));
	before = usage(self->group, key);
	EXPECT_EQ(0, call(w, grow_key, 1007));
	EXPECT_EQ(before + 1000, usage(self->group, key));
	ASSERT_EQ(0, set(self->group, "limit", key, before + 1500));
	EXPECT_EQ(-EDQUOT, call(w, grow_key, 2007));
	EXPECT_EQ(before + 1000, usage(self->group, key));
	EXPECT_EQ(0, call(w, grow_key, 7));
	EXPECT_EQ(before, usage(self->group, key));

	/* Of a group that was removed: the parent has all of it, and pays. */
	ASSERT_TRUE(worker_move(w, other));
	ASSERT_EQ(0, cg_rmdir(self->group));
	EXPECT_EQ(before, usage(self->top, key));
	EXPECT_EQ(0, call(w, grow_key, 107));
	EXPECT_EQ(before + 100, usage(self->top, key));
	EXPECT_EQ(0, usage(other, key));
	worker_end(w);
	EXPECT_SOON(0, usage(self->top, key));
}

/* privvmpages */

/* A user's process whose memory was made in @cg. */
static struct worker *own_memory(const char *cg)
{
	return worker_renew(user_new(cg));
}

/* What mainline has accounted for the mappings of a process, in pages. */
static long long accounted(pid_t pid)
{
	unsigned long start, end, size = 0;
	long long sum = 0;
	char line[512];
	FILE *file;

	snprintf(line, sizeof(line), "/proc/%d/smaps", (int)pid);
	file = fopen(line, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			size = (end - start) / PAGE;
		if (!strncmp(line, "VmFlags:", 8) && strstr(line, " ac"))
			sum += size;
	}
	fclose(file);
	return sum;
}

static long map_anon_of(long pages)
{
	return map(pages * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static long map_uncounted(long which)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;

	switch (which) {
	case 0:
		return map(BATCH, prot, flags | MAP_NORESERVE, -1);
	case 1:
		return map(BATCH, PROT_NONE, flags, -1);
	case 2:
		return map(BATCH, PROT_READ, flags, -1);
	case 3:
		return map(BATCH, prot, MAP_SHARED, locked);
	default:
		return map(BATCH, PROT_READ, MAP_PRIVATE, locked);
	}
}

/* As in mainline: what cannot be written to, what has its own backing, ... */
TEST_F(ubc, memory_that_is_not_counted)
{
	struct worker *w = worker_after(own_memory(self->group), setup_file, 0);
	const char *key = "privvmpages";
	long long base;
	int i;

	ASSERT_NE(NULL, w);
	base = usage(self->group, key);
	EXPECT_LT(0, base);
	EXPECT_EQ(accounted(w->pid), base);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(0, call(w, map_uncounted, i));
		EXPECT_EQ(base, usage(self->group, key)) TH_LOG("case %d", i);
	}
	worker_end(w);
	EXPECT_EQ(0, usage(self->group, key));
}

#define AREA 64

static long setup_area(long unused)
{
	(void)unused;
	/* So that all of a mapping of it can be written to. */
	if (ftruncate(locked, AREA * PAGE))
		return -errno;
	return map(AREA * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* Where two pieces of the area begin, by chance. Returns how long they are. */
static size_t pick_pieces(unsigned int *state, char **p, char **q)
{
	char *area = (char *)made[0];
	size_t len = (1 + rand_r(state) % 12) * PAGE;

	*p = area + rand_r(state) % (AREA - 12) * PAGE;
	*q = area + rand_r(state) % (AREA - 12) * PAGE;
	return len;
}

static void move_piece(char *p, size_t len, char *q, size_t new_len, int flags)
{
	mremap(p, len, new_len, MREMAP_MAYMOVE | MREMAP_FIXED | flags, q);
}

static void fork_briefly(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* One of all that can happen to a piece of the area; may fail. */
static long change_area(long seed)
{
	static unsigned int state;
	char *p, *q;
	int prot = PROT_READ | PROT_WRITE;
	size_t len;

	if (seed >= 0)
		state = seed;
	len = pick_pieces(&state, &p, &q);
	switch (rand_r(&state) % 11) {
	case 0:
		munmap(p, len);
		break;
	case 1:
		mmap(p, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 2:
		mmap(p, len, prot, MAP_PRIVATE | MAP_FIXED, locked, 0);
		break;
	case 3:
		mmap(p, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0);
		break;
	case 4:
		mprotect(p, len, prot);
		break;
	case 5:
		mprotect(p, len, PROT_NONE);
		break;
	case 6:
		move_piece(p, len, q, len, 0);
		break;
	case 7:
		move_piece(p, len, q, 12 * PAGE, 0);
		break;
	case 8:
		move_piece(p, len, q, len, MREMAP_DONTUNMAP);
		break;
	case 9:
		/* Once written to, it counts until it is unmapped. */
		if (!mprotect(p, len, prot))
			*(volatile char *)p = 1;
		break;
	default:
		fork_briefly();
		break;
	}
	return 0;
}

static long change_area_often(long n)
{
	while (n--)
		change_area(-1);
	return 0;
}

/*
 * Catches: a place where mainline accounts and the group is not charged, or not by
 * as much, errors included.
 */
TEST_F(ubc, memory_counts_as_mainline_counts_it)
{
	const char *key = "privvmpages";
	struct worker *w;
	long long most;
	int i;

	w = worker_after(own_memory(self->group), setup_file, 0);
	w = worker_after(w, setup_area, 0);
	ASSERT_NE(NULL, w);
	most = accounted(w->pid) + 20;
	ASSERT_EQ(0, call(w, change_area, 1));
	for (i = 0; i < bc_rounds(600); i++) {
		/* At times so little that most is refused, fork always. */
		ASSERT_EQ(0, set(self->group, "barrier", key,
				 i / 20 % 2 ? most : BC_UNLIMITED));
		ASSERT_EQ(0, call(w, change_area_often, 5));
		ASSERT_EQ(accounted(w->pid), usage(self->group, key))
			TH_LOG("round %d", i);
	}
	EXPECT_LT(0, event(self->group, "events", key, "barrier"));
	worker_end(w);
	EXPECT_EQ(0, usage(self->group, key));
}

/* An ENOMEM, where there would be a dead process later. */
TEST_F(ubc, memory_is_refused_not_killed_for)
{
	long long kills = bc_oom_kills();
	struct worker *w = own_memory(self->group);
	const char *key = "privvmpages";

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, set(self->group, "limit", key, 10000));
	EXPECT_EQ(-ENOMEM, call(w, map_anon_of, 10000));
	EXPECT_EQ(0, call(w, map_anon_of, 10000 - usage(self->group, key)));
	EXPECT_EQ(10000, usage(self->group, key));
	EXPECT_EQ(-ENOMEM, call(w, map_anon_of, 1));
	EXPECT_EQ(-ENOMEM, call(w, fork_one, 0));
	EXPECT_EQ(kills, bc_oom_kills());
	worker_kill(w);
	EXPECT_EQ(0, usage(self->group, key));
}

static long map_in_vain(long mb)
{
	long n = 0;

	/* Until it is killed. */
	while (map(mb << 20, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1))
		n++;
	return n;
}

static long map_again_and_again(long mb)
{
	int i, rounds = bc_rounds(20000);
	long err = 0;

	for (i = 0; i < rounds && !err; i++) {
		err = map(mb << 20, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1);
		if (!err)
			munmap((void *)pop(), mb << 20);
	}
	return err;
}

/* CommitLimit, in MiB. */
static long commit_limit(void)
{
	long kb = 0;
	char line[256];
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "CommitLimit: %ld kB", &kb) == 1)
			break;
	if (file)
		fclose(file);
	return kb >> 10;
}

/* Catches: what a group is refused is taken from the machine for a moment. */
TEST_F(ubc, refused_memory_is_not_missed_by_others)
{
	struct worker *w = own_memory(self->group), *neighbour;
	char policy[] = "/proc/sys/vm/overcommit_memory";
	const char *key = "privvmpages";
	long most = commit_limit() * 6 / 10;
	struct worker *w2;

	ASSERT_LT(0, most);
	neighbour = worker_after(user_new(NULL), pin_to_cpu, 0);
	w2 = own_memory(self->group);
	ASSERT_TRUE(w && w2 && neighbour);
	ASSERT_EQ(0, set(self->group, "limit", key,
			 usage(self->group, key) + 100));
	ASSERT_EQ(0, call(w, pin_to_cpu, 1));
	ASSERT_EQ(0, call(w2, pin_to_cpu, 2));
	ASSERT_EQ(0, bc_write_file(policy, "2"));
	start(w, map_in_vain, most);
	start(w2, map_in_vain, most);
	/* The neighbour begins when they are at it. */
	EXPECT_TRUE(bc_soon(event(self->group, "events", key, "max") +
			    event(self->group, "events", key, "barrier") > 0));
	EXPECT_EQ(0, call(neighbour, map_again_and_again, most));
	worker_kill(w);
	worker_kill(w2);
	EXPECT_EQ(0, bc_write_file(policy, "0"));
	worker_end(neighbour);
	EXPECT_EQ(0, usage(self->group, key));
}

/*
 * Mainline rounds the size up to a negative one. Catches: a negative number of
 * pages that is charged, and makes room.
 */
TEST_F(ubc, segment_that_is_too_large_to_count)
{
	struct worker *w = own_memory(self->group);
	const char *key = "privvmpages";
	long before, had, i;

	ASSERT_NE(NULL, w);
	had = usage(self->group, key);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, call(w, make_anon, 0));
	before = usage(self->group, key);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(-ENOMEM, call(w, make_shm_of, LONG_MAX - i * 2047));
	EXPECT_EQ(-EINVAL, call(w, make_shm_of, LONG_MIN));
	EXPECT_EQ(before, usage(self->group, key));
	ASSERT_EQ(0, set(self->group, "limit", key, before));
	EXPECT_EQ(-ENOMEM, call(w, make_anon, 0));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(0, call(w, drop_map, 0));
	EXPECT_EQ(had, usage(self->group, key));
	worker_end(w);
	EXPECT_SOON(0, usage(self->group, key));
}

static long map_and_unmap(long rounds)
{
	long err = 0;

	while (rounds-- && !err)
		err = make_anon(0) ?: make_shared(0) ?: drop_map(0) ?: drop_map(0);
	return err;
}

/* How often other CPUs have called functions on CPU @cpu. */
static long long calls_on(int cpu)
{
	char line[1024], *at;
	long long n = -1;
	FILE *file = fopen("/proc/interrupts", "re");

	while (file && fgets(line, sizeof(line), file)) {
		at = strstr(line, "CAL:");
		if (!at)
			continue;
		for (at += 4, cpu++; cpu; cpu--)
			n = strtoll(at, &at, 10);
		break;
	}
	if (file)
		fclose(file);
	return n;
}

/*
 * Catches: a request for more than the machine has takes what other groups have in
 * stock, at each try: by a call on the CPU that has it.
 */
TEST_F(ubc, request_that_is_too_large_leaves_others_alone)
{
	struct worker *w = own_memory(self->group), *neighbour;
	char policy[] = "/proc/sys/vm/overcommit_memory";
	char *other = cg_new(self->top, "other");
	const long most = commit_limit() * 255;
	const int tries = bc_rounds(400);
	int i, vain, times = 3;
	long long before, calls[2];

	neighbour = own_memory(other);
	ASSERT_TRUE(w && neighbour);
	ASSERT_EQ(0, call(w, pin_to_cpu, 0));
	ASSERT_EQ(0, call(neighbour, pin_to_cpu, 1));
	/* To wake the neighbour takes a call, too: each time, or never. */
	ASSERT_EQ(0, pin_to_cpu(2));
	ASSERT_EQ(0, bc_write_file(policy, "2"));
	do {
		/* What the turns themselves cost, and then a request in each. */
		for (vain = 0; vain < 2; vain++) {
			before = calls_on(bc_cpu(1));
			EXPECT_LE(0, before);
			for (i = 0; i < tries; i++) {
				ASSERT_EQ(0, call(neighbour, map_and_unmap, 2));
				EXPECT_EQ(vain ? -ENOMEM : 0,
					  call(w, vain ? map_anon_of : map_and_unmap,
					       vain ? most : 0));
			}
			calls[vain] = calls_on(bc_cpu(1)) - before;
		}
		/* Again if others may have made the calls. */
	} while (calls[1] >= calls[0] + tries / 2 && --times);
	EXPECT_GT(calls[0] + tries / 2, calls[1]);
	EXPECT_EQ(0, bc_write_file(policy, "0"));
	worker_end(w);
	worker_end(neighbour);
	EXPECT_SOON(0, usage(self->top, "privvmpages"));
}

/* A socket cannot be mapped, which is found out after the old mapping has gone. */
static long replace_in_vain(long pages)
{
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	void *area, *new;
	int err;

	if (sock < 0)
		return -errno;
	area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return -errno;
	new = mmap(area, pages * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_FIXED, sock, 0);
	err = new == MAP_FAILED ? -errno : 0;
	close(sock);
	return err;
}

/* Catches: a charge that outlives the mapping, and then the mm and the group. */
TEST_F(ubc, replacement_that_fails_returns_all)
{
	struct worker *w = own_memory(self->group);
	const char *key = "privvmpages";
	long long before;
	int i;

	ASSERT_NE(NULL, w);
	before = usage(self->group, key);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(-ENODEV, call(w, replace_in_vain, 5000));
		EXPECT_EQ(before, usage(self->group, key));
	}
	worker_end(w);
	EXPECT_EQ(0, usage(self->group, key));
}

#define HUGE (512 * PAGE)
#define SPREAD 64

/* A page in each of many page tables. */
static long map_spread(long unused)
{
	long err, i;

	(void)unused;
	err = map(SPREAD * HUGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (err)
		return err;
	madvise((void *)made[nmade - 1], SPREAD * HUGE, MADV_NOHUGEPAGE);
	for (i = 0; i < SPREAD; i++)
		*(volatile char *)(made[nmade - 1] + i * HUGE) = 1;
	return 0;
}

/* To where none of them fits, by @pages larger. */
static long move_spread(long pages)
{
	char *old = (char *)made[nmade - 1], *room, *new;
	size_t len = SPREAD * HUGE + pages * PAGE;

	room = mmap(NULL, len + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (room == MAP_FAILED)
		return -errno;
	new = mremap(old, SPREAD * HUGE, len, MREMAP_MAYMOVE | MREMAP_FIXED,
		     room + ((long)(old - room) & (HUGE - 1)) + 7 * PAGE);
	if (new == MAP_FAILED)
		return -errno;
	made[nmade - 1] = (long)new;
	return 0;
}

/*
 * An mremap(2) that grows and fails in the midst of its page tables. Catches: what
 * it grew by stays charged, and accounted for the machine.
 */
TEST_F(ubc, move_that_fails_returns_all)
{
	struct worker *w = own_memory(self->group);
	const char *key = "privvmpages";
	char *kmem, text[32];
	long long before;
	char cg[PATH_MAX];
	int i;

	ASSERT_NE(NULL, w);
	kmem = bc_mount_v1("kmem");
	ASSERT_NE(NULL, kmem);
	snprintf(cg, sizeof(cg), "%s/move", kmem);
	ASSERT_EQ(0, mkdir(cg, 0755));
	ASSERT_EQ(0, cg_attach(cg, w->pid));
	ASSERT_EQ(0, call(w, map_spread, 0));
	before = usage(self->group, key);
	EXPECT_EQ(accounted(w->pid), before);
	/* A few of the page tables that it takes. */
	snprintf(text, sizeof(text), "%lld",
		 cg_get(cg, "kmem.usage_in_bytes") + SPREAD / 2 * PAGE);
	ASSERT_EQ(0, cg_write(cg, "kmem.barrier_in_bytes", text));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-ENOMEM, call(w, move_spread, 1000));
		EXPECT_EQ(accounted(w->pid), usage(self->group, key));
		EXPECT_EQ(before, usage(self->group, key));
	}
	ASSERT_EQ(0, cg_write(cg, "kmem.barrier_in_bytes", "-1"));
	EXPECT_EQ(0, call(w, move_spread, 1000));
	EXPECT_EQ(before + 1000, usage(self->group, key));
	EXPECT_EQ(accounted(w->pid), before + 1000);
	worker_end(w);
	EXPECT_EQ(0, usage(self->group, key));
	EXPECT_SOON(0, rmdir(cg));
	EXPECT_EQ(0, bc_umount(kmem));
}

static long eat_stack(long pages)
{
	volatile char page[PAGE];

	page[0] = pages;
	return pages ? eat_stack(pages - 1) + page[0] : 0;
}

static long map_stack(long unused)
{
	(void)unused;
	return map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		   MAP_GROWSDOWN | MAP_NORESERVE, -1);
}

static long grow_stack(long pages)
{
	((volatile char *)made[nmade - 1])[-pages * PAGE] = 1;
	return 0;
}

TEST_F(ubc, stack_grows)
{
	struct worker *w = own_memory(self->group);
	const char *key = "privvmpages";
	long long base;
	int status;

	ASSERT_NE(NULL, w);
	/* One without a reservation is not counted, however it grows. */
	base = usage(self->group, key);
	ASSERT_EQ(0, call(w, map_stack, 0));
	EXPECT_EQ(0, call(w, grow_stack, 1));
	EXPECT_EQ(base, usage(self->group, key));
	EXPECT_NE(LONG_MIN, call(w, eat_stack, 100));
	EXPECT_LE(base + 60, usage(self->group, key));
	EXPECT_EQ(accounted(w->pid), usage(self->group, key));
	base = usage(self->group, key);
	ASSERT_EQ(0, set(self->group, "limit", key, base + 20));
	EXPECT_EQ(LONG_MIN, call(w, eat_stack, 300));
	status = worker_wait(w);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGSEGV, WTERMSIG(status));
	EXPECT_EQ(0, usage(self->group, key));
}

static long start_program(long unused)
{
	volatile int err = 0;
	pid_t pid = vfork();

	(void)unused;
	if (!pid) {
		execl("/bin/busybox", "sleep", "1000", NULL);
		err = -errno;
		_exit(0);
	}
	if (pid > 0 && err)
		waitpid(pid, NULL, 0);
	return err ?: push(pid);
}

/* The memory of a program is that of the group where it is executed. */
TEST_F(ubc, program_is_executed)
{
	const char *key = "privvmpages";
	char *other = cg_new(self->top, "other");
	struct worker *w = own_memory(other);
	long long of_worker;

	ASSERT_NE(NULL, w);
	of_worker = usage(other, key);
	ASSERT_TRUE(worker_move(w, self->group));
	EXPECT_EQ(0, usage(self->group, key));
	ASSERT_EQ(0, call(w, start_program, 0));
	/* vfork(2) returns before the program has all that it needs. */
	EXPECT_TRUE(bc_soon(usage(self->group, key) > 20));
	EXPECT_EQ(of_worker, usage(other, key));
	EXPECT_EQ(0, call(w, drop_ns, 0));
	EXPECT_EQ(0, usage(self->group, key));
	ASSERT_EQ(0, set(self->group, "limit", key, 0));
	EXPECT_EQ(-ENOMEM, call(w, start_program, 0));
	EXPECT_EQ(0, usage(self->group, key));
	worker_end(w);
	EXPECT_EQ(0, usage(other, key));
}

static long make_memfd(long unused)
{
	long fd = syscall(SYS_memfd_create, "bc", MFD_CLOEXEC);

	(void)unused;
	if (fd < 0 || ftruncate(fd, 100 * PAGE))
		return -errno;
	return push(fd);
}

/* Page @i of the file that was made last, by write(2), or in a mapping. */
static long write_page(long i)
{
	return pwrite(made[nmade - 1], "x", 1, i * PAGE) < 0 ? -errno : 0;
}

static long touch_page(long i)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       made[nmade - 1], i * PAGE);

	if (p == MAP_FAILED)
		return -errno;
	*(volatile char *)p = 1;
	return munmap(p, PAGE) ? -errno : 0;
}

static long punch(long i)
{
	return fallocate(made[nmade - 1],
			 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 i * PAGE, PAGE) ? -errno : 0;
}

/* A file of tmpfs pays page by page: the group that made it. */
TEST_F(ubc, memory_of_a_file)
{
	char *other = cg_new(self->top, "other");
	struct worker *w = worker_new(self->group), *taker = worker_new(other);
	const char *key = "privvmpages";
	int status;

	ASSERT_TRUE(w && taker);
	ASSERT_EQ(0, call(w, make_memfd, 0));
	EXPECT_EQ(0, usage(self->group, key));
	EXPECT_EQ(0, call(w, write_page, 0));
	EXPECT_EQ(0, call(w, touch_page, 1));
	EXPECT_EQ(2, usage(self->group, key));
	ASSERT_EQ(0, call(taker, take_fd, (long)w->pid << 16 |
			  call(w, last_fd, 0)));
	EXPECT_EQ(0, call(taker, write_page, 2));
	EXPECT_EQ(3, usage(self->group, key));
	EXPECT_EQ(0, usage(other, key));

	/* Its maker and its group go. */
	ASSERT_EQ(0, set(self->group, "limit", key, 4));
	ASSERT_EQ(0, set(self->top, "limit", key, 5));
	worker_end(w);
	EXPECT_EQ(0, call(taker, write_page, 3));
	EXPECT_EQ(-ENOSPC, call(taker, write_page, 4));
	EXPECT_EQ(0, call(taker, punch, 3));
	EXPECT_EQ(3, usage(self->group, key));
	ASSERT_EQ(0, cg_rmdir(self->group));
	EXPECT_EQ(3, usage(self->top, key));
	EXPECT_EQ(0, call(taker, touch_page, 3));
	EXPECT_EQ(0, call(taker, write_page, 4));
	EXPECT_EQ(5, usage(self->top, key));
	EXPECT_EQ(-ENOSPC, call(taker, write_page, 5));
	EXPECT_EQ(0, call(taker, punch, 0));
	EXPECT_EQ(0, call(taker, write_page, 5));
	EXPECT_EQ(5, usage(self->top, key));
	EXPECT_EQ(LONG_MIN, call(taker, touch_page, 6));
	status = worker_wait(taker);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGBUS, WTERMSIG(status));
	EXPECT_SOON(0, usage(self->top, key));
}

/* lockedpages */

/* Pages that mainline says a process has locked. */
static long long vm_locked(pid_t pid)
{
	long long kb = -ENOENT;
	char line[256];
	FILE *file;

	snprintf(line, sizeof(line), "/proc/%d/status", (int)pid);
	file = fopen(line, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmLck: %lld kB", &kb) == 1)
			break;
	fclose(file);
	return kb < 0 ? kb : kb * 1024 / PAGE;
}

/* One of all that can happen to locks in the area; may fail. */
static long change_locks(long seed)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	static unsigned int state;
	char *p, *q;
	size_t len;

	if (seed >= 0)
		state = seed;
	len = pick_pieces(&state, &p, &q);
	switch (rand_r(&state) % 14) {
	case 0:
	case 1:
		mlock(p, len);
		break;
	case 2:
		munlock(p, len);
		break;
	case 3:
		munmap(p, len);
		break;
	case 4:
		mmap(p, len, prot, flags | MAP_FIXED, -1, 0);
		break;
	case 5:
		mmap(p, len, prot, flags | MAP_FIXED | MAP_LOCKED, -1, 0);
		break;
	case 6:
		mmap(p, len, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_LOCKED,
		     locked, 0);
		break;
	case 7:
		mprotect(p, len, rand_r(&state) % 2 ? prot : PROT_READ);
		break;
	case 8:
		move_piece(p, len, q, len, 0);
		break;
	case 9:
		move_piece(p, len, q, 12 * PAGE, 0);
		break;
	case 10:
		move_piece(p, len, q, len, MREMAP_DONTUNMAP);
		break;
	case 11:
		mremap(p, len, PAGE, 0);
		break;
	case 12:
		/* With what comes later: brk, new mappings, and off again. */
		if (mlockall(MCL_FUTURE | MCL_CURRENT * (rand_r(&state) % 2)))
			break;
		if (sbrk(len) != (void *)-1)
			sbrk(-(long)len);
		mmap(p, len, prot, flags | MAP_FIXED, -1, 0);
		if (rand_r(&state) % 2)
			munlockall();
		else
			mlockall(MCL_FUTURE | MCL_ONFAULT);
		mmap(q, len, prot, flags | MAP_FIXED, -1, 0);
		munlockall();
		break;
	default:
		fork_briefly();
		break;
	}
	return 0;
}

static long change_locks_often(long n)
{
	while (n--)
		change_locks(-1);
	return 0;
}

/*
 * Catches: a place where locked_vm changes and the group is not charged, or not by
 * as much, errors included.
 */
TEST_F(ubc, locks_count_as_mainline_counts_them)
{
	const char *key = "lockedpages";
	struct worker *w;
	int i;

	w = worker_after(own_memory(self->group), setup_file, 0);
	w = worker_after(w, setup_area, 0);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, change_locks, 1));
	for (i = 0; i < bc_rounds(600); i++) {
		/* At times so little that most is refused. */
		ASSERT_EQ(0, set(self->group, "barrier", key,
				 i / 20 % 2 ? 20 : BC_UNLIMITED));
		ASSERT_EQ(0, call(w, change_locks_often, 5));
		ASSERT_EQ(vm_locked(w->pid), usage(self->group, key))
			TH_LOG("round %d", i);
		ASSERT_EQ(accounted(w->pid), usage(self->group, "privvmpages"))
			TH_LOG("round %d", i);
	}
	EXPECT_LT(0, event(self->group, "events", key, "barrier"));
	EXPECT_LT(0, get(self->group, "max_usage", key));
	worker_end(w);
	EXPECT_EQ(0, usage(self->group, key));
}

static long lock_everything(long flags)
{
	return mlockall(flags) ? -errno : 0;
}

/* RLIMIT_MEMLOCK has three counts; with CAP_IPC_LOCK it holds for none. */
TEST_F(ubc, locks_of_all_kinds_are_one_account)
{
	struct worker *w = worker_renew(worker_new(self->group));
	struct worker *w2 = worker_new(self->group);
	const char *key = "lockedpages";

	w = worker_after(w, setup_buffer, 0);
	ASSERT_TRUE(w && w2);
	ASSERT_EQ(0, set(self->group, "limit", key, 100));
	EXPECT_EQ(0, call(w, make_mlock, 0));
	EXPECT_EQ(0, call(w2, make_locked_shm, 0));
	EXPECT_EQ(0, call(w, make_ring, 0));
	EXPECT_EQ(0, call(w, make_perf, 0));
	EXPECT_EQ(0, call(w, make_xsk, 0));
	EXPECT_EQ(5 * 16 + 1, usage(self->group, key));
	EXPECT_EQ(0, call(w, make_mlock, 0));
	EXPECT_EQ(-ENOMEM, call(w, make_mlock, 0));
	EXPECT_EQ(-ENOMEM, call(w, make_ring, 0));
	EXPECT_EQ(-EPERM, call(w, make_perf, 0));
	EXPECT_EQ(-ENOBUFS, call(w, make_xsk, 0));
	EXPECT_EQ(-ENOMEM, call(w, lock_everything, MCL_CURRENT));
	EXPECT_EQ(6 * 16 + 1, usage(self->group, key));
	ASSERT_EQ(0, set(self->group, "limit", key, BC_UNLIMITED));
	EXPECT_EQ(0, call(w, lock_everything, MCL_CURRENT));
	/* Four of the six are no locks of its memory. */
	EXPECT_EQ(vm_locked(w->pid) + 4 * 16 + 1, usage(self->group, key));
	worker_kill(w);
	EXPECT_SOON(16, usage(self->group, key));
	EXPECT_EQ(0, call(w2, drop_shm, 0));
	EXPECT_EQ(0, usage(self->group, key));
}

/* Locks the segment that was made last, or no longer. */
static long lock_shm(long cmd)
{
	return shmctl(made[nmade - 1], cmd, NULL) ? -errno : 0;
}

/* Catches: a refusal while another CPU has the units in stock. */
TEST_F(ubc, segment_gets_the_last_units)
{
	struct worker *w = own_memory(self->group), *w2;
	const char *key = "lockedpages";
	const long limit = 1024;
	long rest;
	int i;

	w2 = worker_new_on_cpu(self->group, 1);
	ASSERT_TRUE(w && w2);
	ASSERT_EQ(0, call(w, pin_to_cpu, 0));
	ASSERT_EQ(0, set(self->group, "limit", key, limit));
	for (i = 0; i < 24; i++)
		ASSERT_EQ(0, call(w, make_mlock, 0));
	for (i = 0; i < 8; i++) {
		/* This leaves some in stock. */
		ASSERT_EQ(0, call(w, make_mlock, 0));
		rest = limit - usage(self->group, key);
		EXPECT_EQ(-ENOMEM, call(w2, make_locked_shm_of, rest + 1));
		ASSERT_EQ(0, call(w, drop_map, 0));
		ASSERT_EQ(0, call(w, make_mlock, 0));
		ASSERT_EQ(0, call(w2, make_locked_shm_of, rest));
		EXPECT_EQ(limit, usage(self->group, key));
		/* Once is enough. */
		EXPECT_EQ(0, call(w2, lock_shm, SHM_LOCK));
		EXPECT_EQ(limit, usage(self->group, key));
		EXPECT_EQ(0, call(w2, lock_shm, SHM_UNLOCK));
		EXPECT_EQ(limit - rest, usage(self->group, key));
		EXPECT_EQ(0, call(w2, lock_shm, SHM_UNLOCK));
		EXPECT_EQ(0, call(w2, drop_shm, 0));
		EXPECT_EQ(limit - rest, usage(self->group, key));
	}
	EXPECT_EQ(8, event(self->group, "events", key, "max"));
	worker_end(w);
	worker_end(w2);
	EXPECT_SOON(0, usage(self->group, key));
}

/* A child locks nothing, nor does a program; a ring holds what it holds. */
TEST_F(ubc, locks_of_fork_and_exec)
{
	struct worker *w = own_memory(self->group), *taker;
	char *other = cg_new(self->top, "other");
	const char *key = "lockedpages";

	w = worker_after(w, setup_buffer, 0);
	taker = worker_new(other);
	ASSERT_TRUE(w && taker);
	EXPECT_EQ(0, call(w, make_mlock, 0));
	EXPECT_EQ(0, call(w, make_fork, 0));
	EXPECT_EQ(16, usage(self->group, key));
	EXPECT_EQ(0, call(w, start_program, 0));
	EXPECT_EQ(16, usage(self->group, key));
	EXPECT_EQ(0, call(w, drop_ns, 0));
	EXPECT_EQ(0, call(w, drop_ns, 0));
	EXPECT_EQ(0, call(w, make_ring, 0));
	EXPECT_EQ(32, usage(self->group, key));
	ASSERT_EQ(0, call(taker, take_fd, (long)w->pid << 16 |
			  call(w, last_fd, 0)));
	worker_kill(w);
	EXPECT_SOON(16, usage(self->group, key));
	ASSERT_EQ(0, cg_rmdir(self->group));
	EXPECT_EQ(16, usage(self->top, key));
	EXPECT_EQ(0, usage(other, key));
	EXPECT_EQ(0, call(taker, drop_fd, 0));
	EXPECT_SOON(0, usage(self->top, key));
	worker_end(taker);
}

/* A ring gets a ring of buffers and loses it, @rounds times. */
static long register_buffer_rings(long rounds)
{
	struct io_uring_buf_reg reg = buffer_ring();
	int fd = new_ring();
	long err = 0;

	if (fd < 0)
		return fd;
	while (rounds-- && !err)
		if (syscall(SYS_io_uring_register, fd,
			    IORING_REGISTER_PBUF_RING, &reg, 1) ||
		    syscall(SYS_io_uring_register, fd,
			    IORING_UNREGISTER_PBUF_RING, &reg, 1))
			err = -errno;
	close(fd);
	return err;
}

/* Areas of the kernel's address space that map pages of other owners. */
static int mapped_areas(void)
{
	return bc_count_lines("/proc/vmallocinfo", " vmap");
}

/* Catches: a charge that is not returned, or a mapping of the kernel's that stays. */
TEST_F(ubc, buffer_ring_that_is_unregistered)
{
	struct worker *w = own_memory(self->group);
	const char *key = "lockedpages";
	const int rounds = 200;
	int before;

	w = worker_after(w, setup_buffer, 0);
	ASSERT_NE(NULL, w);
	before = mapped_areas();
	EXPECT_LE(0, before);
	EXPECT_EQ(0, call(w, register_buffer_rings, rounds));
	EXPECT_EQ(0, usage(self->group, key));
	EXPECT_GT(before + rounds / 2, mapped_areas());
	worker_end(w);
}

/* Opens and closes as many as it gets, @rounds times. */
static long hammer_inotify(long rounds)
{
	long n, most = 0;

	while (rounds--) {
		for (n = 0; n < 40 && !make_inotify(0); n++)
			;
		if (n > most)
			most = n;
		while (nmade)
			drop_fd(0);
	}
	return most;
}

/* Four CPUs at one limit: never more than that, and nothing is lost. */
TEST_F(ubc, race_for_the_last_units)
{
	const char *key = "numinotify";
	struct worker *w[4];
	char *cg[4];
	int i;

	ASSERT_EQ(0, set(self->top, "limit", key, 50));
	for (i = 0; i < 4; i++) {
		cg[i] = cg_newf(self->top, "race%d", i);
		ASSERT_NE(NULL, cg[i]);
		w[i] = user_new_on_cpu(cg[i], i);
		ASSERT_NE(NULL, w[i]);
	}
	for (i = 0; i < 4; i++)
		start(w[i], hammer_inotify, bc_rounds(400));
	for (i = 0; i < 400; i++)
		EXPECT_GE(50, usage(self->top, key));
	for (i = 0; i < 4; i++)
		EXPECT_LE(0, finish(w[i]));
	EXPECT_EQ(0, usage(self->top, key));
	EXPECT_GE(50, get(self->top, "max_usage", key));
	/* All of it can be had by one of them. */
	EXPECT_EQ(0, set(self->top, "limit", key, 30));
	EXPECT_EQ(30, call(w[0], hammer_inotify, 1));
}

static long make_and_drop(long rounds)
{
	long err = 0;

	while (rounds-- && !err)
		err = make_inotify(0) ?: drop_fd(0);
	return err;
}

/* Accounts are made while groups come and go, and while bounds are written. */
TEST_F(ubc, race_for_the_first_account)
{
	char *home = cg_new(self->top, "home");
	int i, rounds = bc_rounds(80);
	struct worker *w[2];

	ASSERT_NE(NULL, home);
	for (i = 0; i < 2; i++) {
		w[i] = user_new_on_cpu(home, i);
		ASSERT_NE(NULL, w[i]);
	}
	while (rounds--) {
		char *cg = cg_newf(self->group, "%d", rounds);
		char *deep = cg_new(cg, "deep");

		ASSERT_TRUE(cg && deep);
		for (i = 0; i < 2; i++)
			ASSERT_TRUE(worker_move(w[i], deep));
		for (i = 0; i < 2; i++)
			start(w[i], make_and_drop, 20);
		EXPECT_EQ(0, set(deep, "limit", "numinotify", 100));
		for (i = 0; i < 2; i++)
			ASSERT_TRUE(worker_move(w[i], home));
		EXPECT_EQ(0, cg_rmdir(deep));
		EXPECT_EQ(0, cg_rmdir(cg));
		for (i = 0; i < 2; i++)
			EXPECT_EQ(0, finish(w[i]));
	}
	EXPECT_EQ(0, usage(self->top, "numinotify"));
}

/*
 * Processes stay charged to a group that was removed. Catches: units that one
 * owner has and another one returns, while the group goes.
 */
TEST_F(ubc, race_of_memory_and_removal)
{
	const char *key = "privvmpages";
	char *home = cg_new(self->top, "home");
	int i, rounds = bc_rounds(60);

	ASSERT_NE(NULL, home);
	while (rounds--) {
		char *cg = cg_newf(self->group, "%d", rounds);
		char *deep = cg_new(cg, "deep");
		struct worker *w[3];

		ASSERT_TRUE(cg && deep);
		for (i = 0; i < 3; i++) {
			w[i] = worker_renew(worker_new_on_cpu(deep, i));
			ASSERT_NE(NULL, w[i]);
			ASSERT_TRUE(worker_move(w[i], home));
		}
		for (i = 0; i < 3; i++)
			start(w[i], map_and_unmap, 200);
		EXPECT_EQ(0, cg_rmdir(deep));
		EXPECT_EQ(0, cg_rmdir(cg));
		for (i = 0; i < 3; i++)
			EXPECT_EQ(0, finish(w[i]));
		EXPECT_EQ(accounted(w[0]->pid) + accounted(w[1]->pid) +
			  accounted(w[2]->pid), usage(self->group, key));
		for (i = 0; i < 3; i++)
			worker_end(w[i]);
		EXPECT_EQ(0, usage(self->group, key));
	}
	EXPECT_SOON(0, usage(self->top, key));
}

TEST_HARNESS_MAIN
