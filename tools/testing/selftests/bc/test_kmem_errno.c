// SPDX-License-Identifier: GPL-2.0
/*
 * Which errno each system call gives in a group that may have no more kernel
 * memory. Documentation/bc/kmem.rst has the table that this test has measured.
 *
 * Each call is made in a process of its own, which has done all before that it
 * needs for it. Then the group gets a limit that leaves no room, and then a
 * little more each time until the call succeeds, so that the refusal is at
 * another place inside. No call may give an errno that is not in the table,
 * kill the process, last for ever, or leave something charged.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
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
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "../kselftest_harness.h"
#include "bc_util.h"
#include "kmem_util.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_fsopen
#define SYS_fsopen 430
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static void __attribute__((constructor)) choose_controller(void)
{
	bc_controller = "kmem";
	bc_bytes = true;
}

/* Where files are made: on tmpfs, and below that on ext2. */
static char dir[] = "/tmp/bc_errno.XXXXXX";
#define IMAGE "/tmp/bc_errno.image"
#define LOOP "/dev/loop0"

static bool run(const char *command)
{
	return system(command) == 0;
}

static bool make_dirs(void)
{
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	if (!mkdtemp(dir) || chdir(dir) || mkdir("ext2", 0755))
		return false;
	if (close(creat(IMAGE, 0600)) || truncate(IMAGE, KIB(512)) ||
	    !run("losetup " LOOP " " IMAGE) ||
	    !run("mke2fs -q -b 1024 -I 128 " LOOP " >/dev/null 2>&1") ||
	    mount(LOOP, "ext2", "ext2", MS_NOATIME, NULL))
		return false;
	return !close(creat("file", 0666)) &&
	       !close(creat("ext2/file", 0666)) &&
	       !mkdir("mnt", 0755) && !chmod(dir, 0777);
}

static long nothing(long unused)
{
	(void)unused;
	return 0;
}

static void remove_dirs(void)
{
	chdir(dir);
	umount("ext2");
	run("losetup -d " LOOP);
	unlink(IMAGE);
	chdir("/");
	run("rm -rf /tmp/bc_errno.*");
}

/*
 * The calls: 0 or -errno. What is set up before is in these.
 */

static int fd = -1, fd2 = -1;
static char *area;		/* sparse: nothing is mapped in there */
static pid_t waiting;
static char buf[KIB(64)];

#define AREA MIB(64)

#define CALL(name, ...)							\
static long name(long unused)						\
{									\
	(void)unused;							\
	return (long)(__VA_ARGS__) == -1 ? -errno : 0;			\
}

#define CALL_FD(name, ...)						\
static long name(long unused)						\
{									\
	(void)unused;							\
	return keep(__VA_ARGS__);					\
}

/* Files */
CALL_FD(do_open, open("file", O_RDWR | O_CLOEXEC))
CALL_FD(do_creat, creat("new", 0666))
CALL_FD(do_creat_ext2, creat("ext2/new", 0666))
CALL_FD(do_tmpfile, open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666))
CALL_FD(do_open_proc, open("/proc/self/status", O_RDONLY | O_CLOEXEC))
CALL_FD(do_memfd, syscall(SYS_memfd_create, "x", MFD_CLOEXEC))
CALL(do_mkdir, mkdir("new", 0755))
CALL(do_mkdir_ext2, mkdir("ext2/new", 0755))
CALL(do_mknod, mknod("new", S_IFIFO | 0666, 0))
CALL(do_mknod_ext2, mknod("ext2/new", S_IFIFO | 0666, 0))
CALL(do_symlink, symlink("/a/target/that/is/not/in/the/inode/itself", "new"))
CALL(do_symlink_ext2, symlink("target", "ext2/new"))
CALL(do_link, link("file", "new"))
CALL(do_link_ext2, link("ext2/file", "ext2/new"))
CALL(do_rename, rename("file", "new"))
CALL(do_rename_ext2, rename("ext2/file", "ext2/new"))
CALL(do_unlink, unlink("file"))
CALL(do_truncate, truncate("file", 100))
CALL(do_chmod, chmod("file", 0600))
CALL(do_setxattr, setxattr("file", "trusted.x", buf, 100, 0))

static long do_access_missing(long unused)
{
	(void)unused;
	return access("missing", F_OK) && errno == ENOENT ? 0 : -errno;
}

CALL(do_chdir, chdir("mnt"))
CALL(do_getcwd, syscall(SYS_getcwd, buf, sizeof(buf)))
CALL(do_mount_tmpfs, mount("none", "mnt", "tmpfs", 0, NULL))
CALL(do_mount_bind, mount("/", "mnt", NULL, MS_BIND, NULL))
CALL_FD(do_fsopen, syscall(SYS_fsopen, "tmpfs", 0))
CALL(do_umount, umount("mnt"))

static long remove_new(long unused)
{
	(void)unused;
	if (chdir(dir))
		return -errno;
	unlink("new");
	rmdir("new");
	unlink("ext2/new");
	rmdir("ext2/new");
	close(creat("file", 0666));
	removexattr("file", "trusted.x");
	return close(creat("ext2/file", 0666));
}

static long in_mount_ns(long unused)
{
	(void)unused;
	return unshare(CLONE_NEWNS) ||
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ? -errno : 0;
}

static long with_mount(long unused)
{
	return in_mount_ns(0) ?: do_mount_tmpfs(unused);
}

/* What a process does with a file that is open. */
static long with_file(long unused)
{
	fd = open("file", O_RDWR | O_CLOEXEC);
	return keep(fd);
}

static long with_data(long unused)
{
	return with_file(0) ?:
	       write(fd, buf, PAGE) != PAGE ? -EIO : lseek(fd, 0, SEEK_SET);
}

static struct flock lock = { .l_type = F_WRLCK, .l_len = 10 };

CALL(do_lock, fcntl(fd, F_SETLK, &lock))
CALL(do_flock, flock(fd, LOCK_EX))
CALL(do_lease, fcntl(fd, F_SETLEASE, F_WRLCK))
CALL(do_write, write(fd, buf, sizeof(buf)))
CALL(do_read, read(fd, buf, PAGE))
CALL(do_read_unmapped, read(fd, area + MIB(8), PAGE))
CALL(do_dup, fcntl(fd, F_DUPFD_CLOEXEC, 0))
CALL(do_dup_high, dup2(fd, 1000))
CALL(do_getdents, syscall(SYS_getdents64, fd, buf, sizeof(buf)))
CALL(do_sendfile, sendfile(fd2, fd, NULL, PAGE))

static long with_directory(long unused)
{
	fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return keep(fd);
}

static long with_two_files(long unused)
{
	fd2 = open("ext2/file", O_RDWR | O_CLOEXEC);
	return with_data(0) ?: keep(fd2);
}

/* Descriptors of other kinds */
static int pair[2];
CALL(do_pipe, pipe2(pair, O_CLOEXEC))
CALL_FD(do_eventfd, eventfd(0, EFD_CLOEXEC))
CALL_FD(do_timerfd, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC))
CALL_FD(do_epoll_create, epoll_create1(EPOLL_CLOEXEC))
CALL_FD(do_inotify, inotify_init1(IN_CLOEXEC))
CALL_FD(do_fanotify, fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY))
CALL_FD(do_pidfd, syscall(SYS_pidfd_open, getpid(), 0))
CALL_FD(do_pty, open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC))
CALL_FD(do_userfaultfd, syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY))

static long do_signalfd(long unused)
{
	sigset_t set;

	(void)unused;
	sigemptyset(&set);
	return keep(signalfd(-1, &set, SFD_CLOEXEC));
}

static long do_io_uring(long unused)
{
	static struct io_uring_params params;

	(void)unused;
	return keep(syscall(SYS_io_uring_setup, 8, &params));
}

static long do_io_setup(long unused)
{
	static aio_context_t context;

	(void)unused;
	return syscall(SYS_io_setup, 8, &context) ? -errno : 0;
}

static long do_perf(long unused)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_TASK_CLOCK,
	};

	(void)unused;
	return keep(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static long do_bpf_map(long unused)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_HASH,
		.key_size = 8,
		.value_size = 8,
		.max_entries = 16,
		.map_flags = BPF_F_NO_PREALLOC,
	};

	(void)unused;
	return keep(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static long do_tun(long unused)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	(void)unused;
	return ioctl(fd, TUNSETIFF, &ifr) ? -errno : 0;
}

static long with_tun(long unused)
{
	(void)unused;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	return keep(fd);
}

static struct epoll_event event = { .events = EPOLLIN };
CALL(do_epoll_ctl, epoll_ctl(fd2, EPOLL_CTL_ADD, fd, &event))
CALL(do_inotify_add, inotify_add_watch(fd2, "file", IN_MODIFY))
CALL(do_fanotify_mark, fanotify_mark(fd2, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD,
				     "file"))
CALL(do_pipe_write, write(fd2, buf, sizeof(buf)))
CALL(do_pipe_size, fcntl(fd2, F_SETPIPE_SZ, MIB(1)))

static long with_epoll(long unused)
{
	fd = eventfd(0, EFD_CLOEXEC);
	fd2 = epoll_create1(EPOLL_CLOEXEC);
	return keep(fd) ?: keep(fd2);
}

static long with_inotify(long unused)
{
	return keep(fd2 = inotify_init1(IN_CLOEXEC));
}

static long with_fanotify(long unused)
{
	fd2 = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY);
	return keep(fd2);
}

static long with_pipe(long unused)
{
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	fd2 = pair[1];
	return keep(pair[0]) ?: keep(pair[1]);
}

/* Sockets */
CALL_FD(do_socket_unix, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
CALL_FD(do_socket_tcp, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
CALL_FD(do_socket_udp, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))
CALL_FD(do_socket_netlink, socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0))
CALL(do_socketpair, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
CALL_FD(do_accept, accept4(fd, NULL, NULL, SOCK_CLOEXEC))
CALL(do_send, send(pair[0], buf, KIB(16), MSG_DONTWAIT))

static struct sockaddr_in name = { .sin_family = AF_INET };
static const struct sockaddr_un local = {
	.sun_family = AF_UNIX, .sun_path = "\0bc_errno",
};

CALL(do_connect, connect(fd2, (void *)&name, sizeof(name)))
CALL(do_connect_unix, connect(fd2, (void *)&local, sizeof(local)))
CALL(do_bind, bind(fd2, (void *)&local, sizeof(local)))

static long with_pair(long unused)
{
	return do_socketpair(0) ?: keep(pair[0]) ?: keep(pair[1]);
}

static long with_unix_socket(long unused)
{
	return keep(fd2 = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static long with_tcp_socket(long unused)
{
	static const struct linger reset = { .l_onoff = 1 };

	fd2 = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(fd2, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return keep(fd2);
}

static long with_tcp_listener(long unused)
{
	socklen_t len = sizeof(name);

	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (keep(fd) || bind(fd, (void *)&name, sizeof(name)) ||
	    listen(fd, 4) || getsockname(fd, (void *)&name, &len))
		return -errno;
	return with_tcp_socket(0);
}

/* The kernel answers by itself. */
static long with_connection(long unused)
{
	long err = with_tcp_listener(0) ?: do_connect(0);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (err && err != -EINPROGRESS)
		return err;
	return poll(&pfd, 1, bc_patience_ms) == 1 ? 0 : -ETIMEDOUT;
}

static long with_unix_listener(long unused)
{
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (keep(fd) || bind(fd, (void *)&local, sizeof(local)) ||
	    listen(fd, 4))
		return -errno;
	return with_unix_socket(0);
}

static long do_filter(long unused)
{
	static struct sock_filter code[100];
	struct sock_fprog program = { .len = 100, .filter = code };
	int i;

	(void)unused;
	for (i = 0; i < 100; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	return setsockopt(fd2, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			  sizeof(program)) ? -errno : 0;
}

static long do_send_fd(long unused)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = "" };
	struct iovec byte = { .iov_base = buf, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	(void)unused;
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &pair[0], sizeof(int));
	return sendmsg(pair[1], &message, MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Memory */
CALL(do_mmap, mmap(NULL, AREA, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
CALL(do_populate, mmap(NULL, MIB(8), PROT_READ | PROT_WRITE, MAP_PRIVATE |
		       MAP_ANONYMOUS | MAP_POPULATE, -1, 0))
CALL(do_mprotect, mprotect(area + MIB(8), PAGE, PROT_READ))
CALL(do_munmap, munmap(area + MIB(8), PAGE))
CALL(do_mremap, mremap(area, PAGE, MIB(4), MREMAP_MAYMOVE))
CALL(do_populate_write, madvise(area + MIB(8), MIB(4), MADV_POPULATE_WRITE))
CALL(do_mlock, mlock(area + MIB(8), MIB(4)))
CALL(do_brk, sbrk(MIB(4)))

static long with_area(long unused)
{
	(void)unused;
	area = mmap(NULL, AREA, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	madvise(area, AREA, MADV_NOHUGEPAGE);
	return area == MAP_FAILED ? -errno : 0;
}

static long with_data_and_area(long unused)
{
	return with_area(0) ?: with_data(0);
}

/* Processes */
static long do_fork(long unused)
{
	pid_t pid = syscall(SYS_fork);
	int status;

	(void)unused;
	if (!pid)
		syscall(SYS_exit_group, 0);
	if (pid < 0)
		return -errno;
	return waitpid(pid, &status, 0) != pid ? -errno : 0;
}

static char stack[KIB(64)];

static int end_at_once(void *unused)
{
	(void)unused;
	syscall(SYS_exit, 0);
	return 0;
}

static long do_thread(long unused)
{
	(void)unused;
	return clone(end_at_once, stack + sizeof(stack), CLONE_VM | CLONE_FS |
		     CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, NULL) < 0 ?
	       -errno : 0;
}

static long do_clone3(long unused)
{
	static uint64_t args[8];	/* .exit_signal is the fifth */
	pid_t pid;
	int status;

	(void)unused;
	args[4] = SIGCHLD;
	pid = syscall(SYS_clone3, args, sizeof(args));
	if (!pid)
		syscall(SYS_exit_group, 0);
	if (pid < 0)
		return -errno;
	return waitpid(pid, &status, 0) != pid ? -errno : 0;
}

/* A process that waits to execute a program, and ends with the errno. */
static long with_child(long unused)
{
	static char *const argv[] = { "true", buf, NULL };
	static char *const envp[] = { NULL };
	int ready[2], go[2];
	char byte;

	(void)unused;
	memset(buf, 'x', 3 * PAGE);		/* more than one page */
	if (pipe2(ready, O_CLOEXEC) || pipe2(go, O_CLOEXEC))
		return -errno;
	fd = go[1];
	waiting = fork();
	if (!waiting) {
		prepare(0);
		close(go[1]);
		if (write(ready[1], "", 1) == 1 && read(go[0], &byte, 1) == 0)
			execve("/bin/true", argv, envp);
		_exit(errno);
	}
	close(ready[1]);
	close(go[0]);
	return waiting < 0 || read(ready[0], &byte, 1) != 1 ? -EIO : 0;
}

/* Signals are told as -(1000 + signal). */
static long do_execve(long unused)
{
	int status;

	(void)unused;
	/* (A byte would need a page.) */
	if (close(fd) || waitpid(waiting, &status, 0) != waiting)
		return -EIO;
	return WIFEXITED(status) ? -WEXITSTATUS(status) :
				   -(1000 + WTERMSIG(status));
}

CALL(do_unshare_fs, unshare(CLONE_FS))
CALL(do_unshare_files, unshare(CLONE_FILES))
CALL(do_unshare_mount, unshare(CLONE_NEWNS))
CALL(do_unshare_uts, unshare(CLONE_NEWUTS))
CALL(do_unshare_ipc, unshare(CLONE_NEWIPC))
CALL(do_unshare_net, unshare(CLONE_NEWNET))
CALL(do_unshare_pid, unshare(CLONE_NEWPID))
CALL(do_unshare_time, unshare(CLONE_NEWTIME))
CALL(do_unshare_cgroup, unshare(CLONE_NEWCGROUP))
CALL(do_unshare_user, unshare(CLONE_NEWUSER))
CALL(do_setns, setns(fd, CLONE_NEWUTS))
CALL(do_setuid, syscall(SYS_setresuid, 1, 1, 1))
CALL(do_capbset, prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT))
CALL(do_setaffinity, syscall(SYS_sched_setaffinity, 0, sizeof(buf),
			     memset(buf, 255, sizeof(buf))))
CALL(do_kill, kill(getpid(), 0))
CALL(do_setrlimit, setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }))

static long with_uts(long unused)
{
	(void)unused;
	fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	return keep(fd);
}

static int sleep_for_ever(void *unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (pause())
		;
	return 0;
}

/* Another process has the files and the directory, too: they are copied. */
static long with_sharing_child(long unused)
{
	static char other[KIB(64)];

	(void)unused;
	waiting = clone(sleep_for_ever, other + sizeof(other),
			CLONE_FS | CLONE_FILES | CLONE_VM | SIGCHLD, NULL);
	return waiting < 0 ? -errno : 0;
}

static long do_setgroups(long unused)
{
	static gid_t gids[1000];

	(void)unused;
	return setgroups(1000, gids) ? -errno : 0;
}

static long do_capset(long unused)
{
	static struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	static struct __user_cap_data_struct none[2];

	(void)unused;
	return syscall(SYS_capset, &header, none) ? -errno : 0;
}

/* Timers, signals and waiting */
static timer_t timer;
static sigset_t usr1;

static long do_timer(long unused)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };

	(void)unused;
	return syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) ?
	       -errno : 0;
}

static long with_blocked(long unused)
{
	(void)unused;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGRTMIN);
	return sigprocmask(SIG_BLOCK, &usr1, NULL) ? -errno : 0;
}

CALL(do_sigqueue, sigqueue(getpid(), SIGRTMIN, (union sigval){ 1 }))

static long do_poll(long unused)
{
	static struct pollfd fds[800];
	int i;

	(void)unused;
	for (i = 0; i < 800; i++)
		fds[i] = (struct pollfd){ .fd = fd2, .events = POLLIN };
	return poll(fds, 800, 0) < 0 ? -errno : 0;
}

static long do_select(long unused)
{
	static unsigned long set[1024 / 8 / sizeof(long)];
	struct timeval now = { 0 };

	(void)unused;
	set[fd2 / 64] = 1UL << fd2 % 64;
	return select(1000, (fd_set *)set, NULL, NULL, &now) < 0 ? -errno : 0;
}

/* System V, POSIX, keys: they stay when the process has gone */
#define KEY 0x62636572

static int ipc = -1;
static struct {
	long type;
	char text[500];
} message = { .type = 1 };

CALL(do_shmget, shmget(KEY, PAGE, IPC_CREAT | IPC_EXCL | 0600))
CALL(do_semget, semget(KEY, 4, IPC_CREAT | IPC_EXCL | 0600))
CALL(do_semop, semop(ipc, &(struct sembuf){ 0, 1, SEM_UNDO }, 1))
CALL(do_msgget, msgget(KEY, IPC_CREAT | IPC_EXCL | 0600))
CALL(do_msgsnd, msgsnd(ipc, &message, sizeof(message.text), IPC_NOWAIT))
CALL(do_shmat, (long)shmat(ipc, NULL, 0))
CALL_FD(do_mq_open, mq_open("/bc_errno", O_CREAT | O_RDWR, 0600,
			    &(struct mq_attr){ .mq_maxmsg = 4,
					       .mq_msgsize = 64 }))
CALL(do_add_key, syscall(SYS_add_key, "user", "bc_errno", buf, 100,
			 -2 /* process keyring */))
CALL(do_keyring, syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -1 /* thread's */,
			 1))

static long with_shm(long unused)
{
	(void)unused;
	ipc = shmget(KEY, PAGE, IPC_CREAT | 0600);
	return ipc < 0 ? -errno : 0;
}

static long with_sem(long unused)
{
	(void)unused;
	ipc = semget(KEY, 4, IPC_CREAT | 0600);
	return ipc < 0 ? -errno : 0;
}

static long with_msg(long unused)
{
	(void)unused;
	ipc = msgget(KEY, IPC_CREAT | 0600);
	return ipc < 0 ? -errno : 0;
}

static long remove_ipc(long unused)
{
	(void)unused;
	shmctl(shmget(KEY, 0, 0), IPC_RMID, NULL);
	semctl(semget(KEY, 0, 0), 0, IPC_RMID);
	msgctl(msgget(KEY, 0), IPC_RMID, NULL);
	mq_unlink("/bc_errno");
	return 0;
}

/* It needs no kernel memory of the group's, or is not refused any. */
#define NONE 1
/* It makes do without, or what it needs is given up elsewhere. */
#define MAYBE 2

static const struct row {
	const char *name;
	bc_work setup, call, undo;
	int how;
	int errnos[5];
} rows[] = {
	/* Files */
	{ "open", NULL, do_open, NULL, 0, { ENOMEM } },
	{ "open of /proc", NULL, do_open_proc, NULL, 0, { ENOMEM, ENOENT } },
	{ "creat, tmpfs", NULL, do_creat, remove_new, 0, { ENOMEM, ENOSPC } },
	{ "creat, ext2", NULL, do_creat_ext2, remove_new, 0, { ENOMEM } },
	{ "O_TMPFILE", NULL, do_tmpfile, NULL, 0, { ENOMEM, ENOSPC } },
	{ "memfd_create", NULL, do_memfd, NULL, 0, { ENOMEM, ENOSPC } },
	{ "mkdir, tmpfs", NULL, do_mkdir, remove_new, 0, { ENOMEM, ENOSPC } },
	{ "mkdir, ext2", NULL, do_mkdir_ext2, remove_new, 0, { ENOMEM } },
	{ "mknod, tmpfs", NULL, do_mknod, remove_new, 0, { ENOMEM, ENOSPC } },
	{ "mknod, ext2", NULL, do_mknod_ext2, remove_new, 0, { ENOMEM } },
	{ "symlink, tmpfs", NULL, do_symlink, remove_new, 0,
	  { ENOMEM, ENOSPC } },
	{ "symlink, ext2", NULL, do_symlink_ext2, remove_new, 0, { ENOMEM } },
	{ "link, tmpfs", NULL, do_link, remove_new, 0, { ENOMEM } },
	{ "link, ext2", NULL, do_link_ext2, remove_new, 0, { ENOMEM } },
	{ "rename, tmpfs", NULL, do_rename, remove_new, 0, { ENOMEM } },
	{ "rename, ext2", NULL, do_rename_ext2, remove_new, 0, { ENOMEM } },
	{ "unlink, tmpfs", NULL, do_unlink, remove_new, NONE },
	{ "truncate", NULL, do_truncate, NULL, NONE },
	{ "chmod", NULL, do_chmod, NULL, NONE },
	{ "setxattr, tmpfs", NULL, do_setxattr, remove_new, 0, { ENOMEM } },
	{ "access of a missing name", NULL, do_access_missing, NULL, MAYBE,
	  { ENOMEM } },
	{ "chdir", NULL, do_chdir, NULL, NONE },
	{ "getcwd", NULL, do_getcwd, NULL, NONE },
	{ "getdents", with_directory, do_getdents, NULL, NONE },
	{ "mount, tmpfs", in_mount_ns, do_mount_tmpfs, NULL, 0,
	  { ENOMEM, ENOSPC } },
	{ "mount --bind", in_mount_ns, do_mount_bind, NULL, 0, { ENOMEM } },
	{ "umount", with_mount, do_umount, NULL, NONE },
	{ "fsopen", NULL, do_fsopen, NULL, 0, { ENOMEM } },
	{ "write, tmpfs", with_file, do_write, remove_new, MAYBE, { ENOMEM } },
	{ "read", with_data, do_read, remove_new, NONE },
	{ "read to unmapped memory", with_data_and_area, do_read_unmapped,
	  NULL, 0, { EFAULT } },
	{ "sendfile", with_two_files, do_sendfile, remove_new, 0, { ENOMEM } },
	{ "dup", with_file, do_dup, NULL, NONE },
	{ "dup2 to 1000", with_file, do_dup_high, NULL, 0, { ENOMEM } },
	{ "fcntl F_SETLK", with_file, do_lock, NULL, 0, { ENOLCK } },
	{ "flock", with_file, do_flock, NULL, 0, { ENOMEM } },
	{ "fcntl F_SETLEASE", with_file, do_lease, NULL, 0, { ENOMEM } },
	/* Other descriptors */
	{ "pipe", NULL, do_pipe, NULL, 0, { ENFILE, ENOMEM } },
	{ "write to a pipe", with_pipe, do_pipe_write, NULL, 0, { ENOMEM } },
	{ "fcntl F_SETPIPE_SZ", with_pipe, do_pipe_size, NULL, 0, { ENOMEM } },
	{ "eventfd", NULL, do_eventfd, NULL, 0, { ENOMEM } },
	{ "timerfd_create", NULL, do_timerfd, NULL, 0, { ENOMEM } },
	{ "signalfd", NULL, do_signalfd, NULL, 0, { ENOMEM } },
	{ "pidfd_open", NULL, do_pidfd, NULL, 0, { ENOMEM } },
	{ "userfaultfd", NULL, do_userfaultfd, NULL, 0, { ENOMEM } },
	{ "epoll_create", NULL, do_epoll_create, NULL, 0, { ENOMEM } },
	{ "epoll_ctl", with_epoll, do_epoll_ctl, NULL, 0, { ENOMEM } },
	{ "inotify_init", NULL, do_inotify, NULL, 0, { ENOMEM } },
	{ "inotify_add_watch", with_inotify, do_inotify_add, NULL, NONE },
	{ "fanotify_init", NULL, do_fanotify, NULL, 0, { ENOMEM } },
	{ "fanotify_mark", with_fanotify, do_fanotify_mark, NULL, NONE },
	{ "io_uring_setup", NULL, do_io_uring, NULL, 0, { ENOMEM } },
	{ "io_setup", NULL, do_io_setup, NULL, 0, { ENOMEM } },
	{ "perf_event_open", NULL, do_perf, NULL, 0, { ENOMEM } },
	{ "bpf BPF_MAP_CREATE", NULL, do_bpf_map, NULL, 0, { ENOMEM } },
	{ "open of /dev/ptmx", NULL, do_pty, NULL, 0, { ENOMEM } },
	{ "ioctl TUNSETIFF", with_tun, do_tun, NULL, 0, { ENOMEM } },
	/* Sockets */
	{ "socket, AF_UNIX", NULL, do_socket_unix, NULL, 0,
	  { ENFILE, ENOMEM } },
	{ "socket, TCP", NULL, do_socket_tcp, NULL, 0, { ENFILE, ENOMEM } },
	{ "socket, UDP", NULL, do_socket_udp, NULL, 0, { ENFILE, ENOMEM } },
	{ "socket, AF_NETLINK", NULL, do_socket_netlink, NULL, 0,
	  { ENFILE, ENOMEM } },
	{ "socketpair", NULL, do_socketpair, NULL, 0, { ENFILE, ENOMEM } },
	{ "bind, AF_UNIX", with_unix_socket, do_bind, NULL, MAYBE, { ENOMEM } },
	{ "connect, AF_UNIX", with_unix_listener, do_connect_unix, NULL, 0,
	  { ENOMEM } },
	{ "connect, TCP", with_tcp_listener, do_connect, NULL, 0,
	  { EINPROGRESS, ENOMEM } },
	{ "accept, TCP", with_connection, do_accept, NULL, 0,
	  { ENFILE, ENOMEM } },
	{ "send, AF_UNIX", with_pair, do_send, NULL, 0, { ENOBUFS } },
	{ "sendmsg SCM_RIGHTS", with_pair, do_send_fd, NULL, 0,
	  { ENOMEM, ENOBUFS } },
	{ "setsockopt SO_ATTACH_FILTER", with_tcp_socket, do_filter, NULL, 0,
	  { ENOMEM } },
	/* Memory */
	{ "mmap", NULL, do_mmap, NULL, 0, { ENOMEM } },
	{ "mmap MAP_POPULATE", NULL, do_populate, NULL, 0, { ENOMEM } },
	{ "brk", NULL, do_brk, NULL, 0, { ENOMEM } },
	{ "mremap", with_area, do_mremap, NULL, MAYBE, { ENOMEM } },
	{ "mprotect of a part", with_area, do_mprotect, NULL, 0, { ENOMEM } },
	{ "munmap of a part", with_area, do_munmap, NULL, 0, { ENOMEM } },
	{ "madvise MADV_POPULATE_WRITE", with_area, do_populate_write, NULL, 0,
	  { EFAULT } },
	{ "mlock", with_area, do_mlock, NULL, 0, { ENOMEM } },
	/* Processes */
	{ "fork", NULL, do_fork, NULL, 0, { ENOMEM } },
	{ "clone of a thread", NULL, do_thread, NULL, 0, { ENOMEM } },
	{ "clone3", NULL, do_clone3, NULL, 0, { ENOMEM } },
	{ "execve", with_child, do_execve, NULL, 0,
	  { ENOMEM, 1000 + SIGSEGV } },
	{ "unshare CLONE_FS", with_sharing_child, do_unshare_fs, NULL, 0,
	  { ENOMEM } },
	{ "unshare CLONE_FILES", with_sharing_child, do_unshare_files, NULL, 0,
	  { ENOMEM } },
	{ "unshare CLONE_NEWNS", NULL, do_unshare_mount, NULL, 0, { ENOMEM } },
	{ "unshare CLONE_NEWUTS", NULL, do_unshare_uts, NULL, 0, { ENOMEM } },
	{ "unshare CLONE_NEWIPC", NULL, do_unshare_ipc, NULL, 0, { ENOMEM } },
	{ "unshare CLONE_NEWNET", NULL, do_unshare_net, NULL, 0,
	  { ENOMEM, ENODEV } },
	{ "unshare CLONE_NEWPID", NULL, do_unshare_pid, NULL, 0, { ENOMEM } },
	{ "unshare CLONE_NEWTIME", NULL, do_unshare_time, NULL, 0, { ENOMEM } },
	{ "unshare CLONE_NEWCGROUP", NULL, do_unshare_cgroup, NULL, 0,
	  { ENOMEM } },
	{ "unshare CLONE_NEWUSER", NULL, do_unshare_user, NULL, 0, { ENOMEM } },
	{ "setns", with_uts, do_setns, NULL, 0, { ENOMEM } },
	{ "setresuid", NULL, do_setuid, NULL, 0, { ENOMEM } },
	{ "setgroups", NULL, do_setgroups, NULL, 0, { ENOMEM } },
	{ "capset", NULL, do_capset, NULL, 0, { ENOMEM } },
	{ "prctl PR_CAPBSET_DROP", NULL, do_capbset, NULL, 0, { ENOMEM } },
	{ "sched_setaffinity", NULL, do_setaffinity, NULL, NONE },
	{ "setrlimit", NULL, do_setrlimit, NULL, NONE },
	{ "kill", NULL, do_kill, NULL, NONE },
	/* Timers, signals, waiting */
	{ "timer_create", NULL, do_timer, NULL, 0, { EAGAIN } },
	{ "sigqueue", with_blocked, do_sigqueue, NULL, 0, { EAGAIN } },
	{ "poll of 800", with_pipe, do_poll, NULL, NONE },
	{ "select of 1000", with_pipe, do_select, NULL, NONE },
	/* What stays when its maker has gone */
	{ "shmget", NULL, do_shmget, remove_ipc, 0, { ENOMEM, ENOSPC } },
	{ "shmat", with_shm, do_shmat, remove_ipc, 0, { ENOMEM } },
	{ "semget", NULL, do_semget, remove_ipc, 0, { ENOMEM } },
	{ "semop SEM_UNDO", with_sem, do_semop, remove_ipc, 0, { ENOMEM } },
	{ "msgget", NULL, do_msgget, remove_ipc, 0, { ENOMEM } },
	{ "msgsnd", with_msg, do_msgsnd, remove_ipc, 0, { ENOMEM } },
	{ "mq_open", NULL, do_mq_open, remove_ipc, 0, { ENOMEM } },
	{ "add_key", NULL, do_add_key, NULL, 0, { ENOMEM } },
	{ "keyctl, a new keyring", NULL, do_keyring, NULL, 0, { ENOMEM } },
};

/* Tests */

FIXTURE(kmem_errno)
{
	char *group;
};

FIXTURE_VARIANT(kmem_errno)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(kmem_errno, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(kmem_errno, v2) { .v2 = true };

FIXTURE_SETUP(kmem_errno)
{
	char *top;

	if (bc_missing())
		SKIP(return, "%s", bc_why);
	top = bc_setup(variant->v2);
	ASSERT_NE(NULL, top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(top, "group");
	ASSERT_NE(NULL, self->group);
	/* With privileges or without, a limit is a limit here. */
	ASSERT_EQ(0, cg_write(self->group, "barrier", "max"));
	/* Without a message each time */
	bc_write_file(DROP_CACHES, "4");
	ASSERT_TRUE(make_dirs());
}

FIXTURE_TEARDOWN(kmem_errno)
{
	bc_teardown();
	remove_dirs();
}

/* The room that each call has, until it succeeds. */
static const long rooms[] = {
	0, 256, 512, KIB(1), KIB(2), KIB(4), KIB(8), KIB(16), KIB(32), KIB(64),
	KIB(256),
};

/* A new process that has done what comes before. */
static struct worker *set_up(const char *cg, const struct row *row)
{
	struct worker *w = root_in(cg);

	return w && row->setup ? worker_after(w, row->setup, 0) : w;
}

/* What the call gives with so much room; -ETIMEDOUT: it does not return. */
static long outcome(const char *cg, struct worker *w, const struct row *row,
		    long room)
{
	struct pollfd pfd = { .fd = w->results, .events = POLLIN };
	long long usage = room ? cg_get(cg, "usage") : quiet(cg);
	long err;

	if (cg_set(cg, "limit", usage + room))
		return -EXDEV;
	start(w, row->call, 0);
	if (poll(&pfd, 1, bc_patience_ms) != 1) {
		worker_kill(w);
		err = -ETIMEDOUT;
	} else {
		err = finish(w);
	}
	cg_write(cg, "limit", "max");
	return err;
}

static bool documented(const struct row *row, long err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(row->errnos); i++)
		if (row->errnos[i] && err == -row->errnos[i])
			return true;
	return false;
}

static const char *name_of(long err)
{
	if (err <= -1000)
		return sigabbrev_np(-err - 1000);
	return err ? strerrorname_np(-err) : "success";
}

/* Prints for each call what it has given, with ever more room. */
TEST_F(kmem_errno, every_call)
{
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		long long before;
		char seen[256] = "";
		struct worker *w;
		long err = 0;

		/* The first time, it may leave something for the next. */
		w = set_up(self->group, row);
		ASSERT_NE(NULL, w)
			TH_LOG("%s: cannot be set up", row->name);
		err = call(w, row->call, 0);
		EXPECT_TRUE(!err || err == -EINPROGRESS)
			TH_LOG("%s, without a limit: %ld", row->name, err);
		worker_end(w);
		w = root_in(self->group);
		ASSERT_NE(NULL, w);
		if (row->undo)
			EXPECT_EQ(0, call(w, row->undo, 0));
		before = quiet(self->group);

		for (j = 0; j < ARRAY_SIZE(rooms); j++) {
			struct worker *one = set_up(self->group, row);
			int tries = 10;

			ASSERT_NE(NULL, one);
			err = outcome(self->group, one, row, rooms[j]);
			/* What another process had may have come back meanwhile. */
			while (!j && !row->how && !err && tries--) {
				worker_end(one);
				if (row->undo)
					EXPECT_EQ(0, call(w, row->undo, 0));
				one = set_up(self->group, row);
				ASSERT_NE(NULL, one);
				err = outcome(self->group, one, row, rooms[j]);
			}
			EXPECT_TRUE(documented(row, err) || !err)
				TH_LOG("%s: %ld", row->name, err);
			if (!j && !row->how)
				EXPECT_NE(0, err)
					TH_LOG("%s: not refused", row->name);
			if (row->how == NONE)
				EXPECT_EQ(0, err)
					TH_LOG("%s", row->name);
			if (err == -ETIMEDOUT)
				break;
			/* The process is there, and can go on. */
			EXPECT_EQ(0, call(one, nothing, 0))
				TH_LOG("%s has killed", row->name);
			worker_end(one);
			if (row->undo)
				EXPECT_EQ(0, call(w, row->undo, 0));
			if (!strstr(seen, name_of(err)))
				strcat(strcat(seen, " "), name_of(err));
			if (!err)
				break;
			if (j == 0 && !variant->v2)
				break;
		}
		EXPECT_TRUE(bc_soon(!beyond(self->group, before)))
			TH_LOG("%s: %lld more than before", row->name,
			       beyond(self->group, before));
		worker_end(w);
		printf("# %s:%s\n", row->name, seen);
	}
}

TEST_HARNESS_MAIN
