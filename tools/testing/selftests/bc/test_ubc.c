// SPDX-License-Identifier: GPL-2.0
/*
 * ubc, as its users see it. What holds for every kind is tested for every kind,
 * from one table, and by every way of making what is counted.
 */
/* bc-boot: --smp 4 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/keyctl.h>
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
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

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

static int locked;

static long setup_file(long unused)
{
	(void)unused;
	locked = open(PLACE "/lock", O_RDWR | O_CLOEXEC);
	return locked < 0 ? -errno : 0;
}

static long make_flock(long i)
{
	int fd = open(PLACE "/lock", O_RDONLY | O_CLOEXEC);
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

/**
 * struct way - how something is made that is counted
 * @name: for messages
 * @setup: what has to be there before; may count
 * @make: makes one; -errno
 * @drop: ends the one that was made last
 * @root: takes privileges, or those in a user namespace
 * @later: the kernel returns it some time after @drop
 * @stays: it is there when its process has gone
 */
struct way {
	const char *name;
	bc_work setup, make, drop;
	bool root, later, stays;
};

static const struct kind {
	const char *key;
	int err;
	const char *sysctl;	/* mainline's own bound, if that is easily set */
	struct way ways[9];
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
		long long base, unit;
		int i;

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
		EXPECT_EQ(-kind->err, call(w, way->make, 3)) AT(kind, way);
		EXPECT_EQ(-kind->err, call(w, way->make, 3)) AT(kind, way);
		EXPECT_SOON(base + 3 * unit, usage(self->group, key));
		EXPECT_LE(2, event(self->group, "events", key, "max")) AT(kind, way);

		/* One less, and there is room for one. */
		EXPECT_EQ(0, drop(w, self->group, kind, way, base + 2 * unit));
		EXPECT_EQ(0, call(w, way->make, 2)) AT(kind, way);
		EXPECT_EQ(-kind->err, call(w, way->make, 3)) AT(kind, way);

		/* By one unit too little is too little. */
		EXPECT_EQ(0, drop(w, self->group, kind, way, base + 2 * unit));
		ASSERT_EQ(0, set(self->group, "limit", key, base + 3 * unit - 1));
		EXPECT_EQ(-kind->err, call(w, way->make, 2)) AT(kind, way);

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

/* A refusal wakes whoever polls, and is logged once. */
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

static int listener;

static long setup_listener(long unused)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);

	(void)unused;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (void *)&addr, sizeof(addr)) ||
	    listen(listener, 16) ||
	    getsockname(listener, (void *)&addr, &len))
		return -errno;
	return ntohs(addr.sin_port);
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
	EXPECT_LE(1, event(self->group, "events", key, "max") +
		     event(self->group, "events", key, "barrier"));
	EXPECT_EQ(0, call(w, accept_one, 0));
	EXPECT_EQ(0, call(w, accept_one, 0));
	EXPECT_EQ(3, usage(self->group, key));
	for (i = 0; i < 4; i++)
		close(fd[i]);
	worker_end(w);
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

TEST_HARNESS_MAIN
