// SPDX-License-Identifier: GPL-2.0
/*
 * kmem on the file systems that people have: a group that may have no more kernel
 * memory hurts no other group on the same file system.
 *
 * A group is filled to its limit, and then does all that one does with files. Each
 * system call may fail. None may wait for ever, and meanwhile a neighbour, in a
 * group of its own without a limit, must get on with what it writes and syncs there:
 * it counts its operations, and where it makes no more of them it has stopped.
 * How long it takes is not asserted; BC_PATIENCE_MS is far beyond it. Last, SIGKILL
 * must end all of the full group.
 *
 * What runs needs a disk for each of ext4, xfs, btrfs and f2fs, with that file system
 * on it and its name as the disk's serial number; 9p needs a share that has the tag
 * "bc9p". "make test-fs" provides them. BC_FS_LONG=1 is for larger amounts.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "../kselftest_harness.h"
#include "fuse_server.h"
#include "kmem_util.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Of the group that is filled. */
#define LIMIT MIB(8)
/* Extents of a file that is truncated. */
#define EXTENTS 3000
/* How far a group may be beyond its limit for a while. */
#define MOST_OVERRUN MIB(2)
/* Operations of the neighbour's that are not to be a matter of chance. */
#define NEIGHBOURLY 3

#define FAILSLAB "/sys/kernel/debug/failslab/"

static bool in_long_form(void)
{
	const char *asked = getenv("BC_FS_LONG");

	return asked && *asked;
}

static void __attribute__((constructor)) choose_controller(void)
{
	bc_controller = "kmem";
	bc_bytes = true;
	/* 50 000 directories take longer than 200. */
	if (in_long_form())
		bc_patience_ms *= 10;
}

/* What the test, the neighbour and the workers share. */
struct shared {
	long done;		/* the neighbour's operations */
	long failed;		/* of those; and the first that did, and why */
	long step, err;
	long ended;		/* the full group's */
	long refused;
	long steps;		/* of work that takes long, in all */
};

static struct shared *shared;

static void did_step(void)
{
	__atomic_add_fetch(&shared->steps, 1, __ATOMIC_SEQ_CST);
}

/* What a test works on, and with. */
struct place {
	char *top;
	char *full;		/* the group that is filled */
	char *neighbour;	/* and the one beside it */
	struct worker *server;	/* of FUSE */
	struct worker *writer;	/* the neighbour */
	struct worker *filler;
	bool stuck;		/* something waits for ever: leave it alone */
};

enum layer { DISK, TMPFS, NINEP, FUSE_SAME, FUSE_OTHER };

/* A file system, and the convention. */
struct kind {
	const char *type;
	const char *options;
	enum layer layer;
	bool overlay;
	bool v2;
};

static bool is_fuse(enum layer layer)
{
	return layer == FUSE_SAME || layer == FUSE_OTHER;
}

FIXTURE(fs)
{
	struct place place;
};

FIXTURE_VARIANT(fs)
{
	struct kind kind;
};

#define VARIANTS(_fixture, _name, ...)					\
	FIXTURE_VARIANT_ADD(_fixture, _name##_v1) {			\
		.kind = { __VA_ARGS__, .v2 = false }			\
	};								\
	FIXTURE_VARIANT_ADD(_fixture, _name##_v2) {			\
		.kind = { __VA_ARGS__, .v2 = true }			\
	}

VARIANTS(fs, ext4, .type = "ext4", .options = "usrquota");
VARIANTS(fs, xfs, .type = "xfs", .options = "uquota");
VARIANTS(fs, btrfs, .type = "btrfs");
VARIANTS(fs, f2fs, .type = "f2fs", .options = "usrquota");
VARIANTS(fs, tmpfs, .type = "tmpfs", .options = "usrquota", .layer = TMPFS);
VARIANTS(fs, ninep, .type = "9p", .layer = NINEP,
	 .options = "trans=virtio,version=9p2000.L,cache=mmap");
VARIANTS(fs, fuse_same, .type = "fuse", .layer = FUSE_SAME);
VARIANTS(fs, fuse_other, .type = "fuse", .layer = FUSE_OTHER);
VARIANTS(fs, ext4_overlay, .type = "ext4", .overlay = true);
VARIANTS(fs, xfs_overlay, .type = "xfs", .overlay = true);
VARIANTS(fs, btrfs_overlay, .type = "btrfs", .overlay = true);
VARIANTS(fs, f2fs_overlay, .type = "f2fs", .overlay = true);
VARIANTS(fs, tmpfs_overlay, .type = "tmpfs", .layer = TMPFS, .overlay = true);

/* Where the machine refuses, too. */
FIXTURE(faults)
{
	struct place place;
};

FIXTURE_VARIANT(faults)
{
	struct kind kind;
};

VARIANTS(faults, ext4, .type = "ext4", .options = "usrquota");

/* Where it is mounted, and where in it the test works: a directory of its own. */
#define BASE "/tmp/bc_fs"
#define MERGED "/tmp/bc_fs_merged"
/* What the group is filled with, in one of the ways. */
#define NAMES "/tmp/bc_fs_names"

static char where[128];

/* @format in the directory of the test, in a buffer that each call uses anew. */
static const char *in(const char *format, ...)
{
	static char path[PATH_MAX];
	va_list args;
	int n;

	n = snprintf(path, sizeof(path), "%s/", where);
	va_start(args, format);
	vsnprintf(path + n, sizeof(path) - n, format, args);
	va_end(args);
	return path;
}

/* The disk whose serial number is @type: its device, or NULL. */
static const char *disk_of(const char *type)
{
	static char device[64];
	char path[128], serial[64];
	FILE *file;
	char c;

	for (c = 'a'; c <= 'z'; c++) {
		snprintf(path, sizeof(path), "/sys/block/vd%c/serial", c);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (!fgets(serial, sizeof(serial), file))
			serial[0] = '\0';
		fclose(file);
		serial[strcspn(serial, "\n")] = '\0';
		if (strcmp(serial, type))
			continue;
		snprintf(device, sizeof(device), "/dev/vd%c", c);
		return device;
	}
	return NULL;
}

static char block[KIB(64)];

/* Files that are copied up when they are opened, if they are in a lower layer. */
#define COPIED 64

static int make_copied(void)
{
	int i, fd;

	for (i = 0; i < COPIED; i++) {
		fd = open(in("copied%d", i), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0 || write(fd, block, sizeof(block)) < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

/* A quota that is never reached: what counts is that it is counted. */
static int set_quota(const char *device)
{
	struct dqblk quota = {
		.dqb_bhardlimit = 1 << 30,
		.dqb_ihardlimit = 1 << 30,
		.dqb_valid = QIF_LIMITS,
	};

	return quotactl(QCMD(Q_SETQUOTA, USRQUOTA), device, NOBODY,
			(char *)&quota) ? -errno : 0;
}

/* As root, in no group that counts, before anything is full. */
static int make_directory(const char *path)
{
	return mkdir(path, 0755) || chown(path, NOBODY, NOBODY) ? -errno : 0;
}

/* Where there are layers, the test works in the merged ones. */
static int make_layers(void)
{
	static const char *const layers[] = { "upper", "work", "lower" };
	char own[64];
	size_t i;
	int err;

	strcpy(own, where);
	for (i = 0; i < 3; i++) {
		snprintf(where, sizeof(where), "%s/%s", own, layers[i]);
		err = make_directory(where);
		if (err)
			return err;
	}
	err = make_copied();
	strcpy(where, own);
	return err;
}

static int mount_overlay(void)
{
	char options[512];

	snprintf(options, sizeof(options),
		 "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", where,
		 where, where);
	mkdir(MERGED, 0755);
	return mount("overlay", MERGED, "overlay", 0, options) ? -errno : 0;
}

/*
 * What a group has done is undone, what it has filled is freed, and where something
 * waits for ever the test does not wait, too.
 */
static void leave(struct __test_metadata *_metadata, struct place *place)
{
	if (place->stuck) {
		/* Its guest, or its machine, is of no more use. */
		TH_LOG("left as it is, for there is something that waits");
		return;
	}
	if (place->writer)
		worker_kill(place->writer);
	if (place->filler)
		worker_kill(place->filler);
	if (place->server)
		worker_kill(place->server);
	umount2(NAMES, 0);
	umount2(MERGED, 0);
	umount2(BASE, 0);
	rmdir(NAMES);
	rmdir(MERGED);
	rmdir(BASE);
	bc_teardown();
}

/* The neighbour: makes, writes, syncs, renames and removes files for ever. */

static void neighbour_did(long step, long result)
{
	if (result < 0 && !__atomic_fetch_add(&shared->failed, 1,
					      __ATOMIC_SEQ_CST)) {
		shared->step = step;
		shared->err = -errno;
	}
	__atomic_add_fetch(&shared->done, 1, __ATOMIC_SEQ_CST);
}

static long be_a_neighbour(long unused)
{
	char name[PATH_MAX], other[PATH_MAX];
	long i;
	int fd;

	(void)unused;
	for (i = 0;; i++) {
		snprintf(name, sizeof(name), "%s/n/%ld", where, i % 16);
		snprintf(other, sizeof(other), "%s/n/%ld.new", where, i % 16);
		fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		neighbour_did(0, fd);
		if (fd < 0)
			continue;
		neighbour_did(1, write(fd, block, PAGE));
		neighbour_did(2, fsync(fd));
		neighbour_did(3, ftruncate(fd, 100));
		close(fd);
		neighbour_did(4, rename(name, other));
		neighbour_did(5, unlink(other));
	}
	return 0;
}

static bool neighbour_goes_on(void)
{
	long seen = __atomic_load_n(&shared->done, __ATOMIC_SEQ_CST);

	return bc_soon(__atomic_load_n(&shared->done, __ATOMIC_SEQ_CST) >=
		       seen + NEIGHBOURLY);
}

/* Ways to fill a group. Each keeps what it got. */

static long fill_with_pipes(long unused)
{
	int pair[2];

	(void)unused;
	while (!pipe2(pair, O_NONBLOCK | O_CLOEXEC))
		while (write(pair[1], block, sizeof(block)) > 0)
			;
	return -errno;
}

static long fill_with_page_tables(long unused)
{
	const size_t size = MIB(2) * 8192;
	char *area = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t i;

	(void)unused;
	if (area == MAP_FAILED)
		return -errno;
	madvise(area, size, MADV_NOHUGEPAGE);
	for (i = 0; i < size; i += MIB(2))
		if (madvise(area + i, PAGE, MADV_POPULATE_READ))
			return -errno;
	return 0;
}

/* Those of tmpfs stay as long as their files. */
static long fill_with_dentries(long unused)
{
	char name[64];
	long i;

	(void)unused;
	for (i = 0;; i++) {
		snprintf(name, sizeof(name), NAMES "/%ld", i);
		if (mknod(name, S_IFREG | 0644, 0))
			return -errno;
	}
}

/*
 * What a group does with files. Each has a worker of its own, which is made and has
 * opened what it needs before the group is full. Whatever goes wrong then, it ends.
 */

/* As many as there are rooms, and one for the end. */
#define TRUNCATED 6

static int fds[8];
static int round_nr;		/* how often this worker has done so */
static sigjmp_buf jump;

static void on_bus(int signal)
{
	siglongjmp(jump, signal);
}

/* Handles SIGBUS from now on, on this very stack. */
static void catch_bus(void)
{
	struct sigaction action = { .sa_handler = on_bus, .sa_flags = SA_NODEFER };

	sigaction(SIGBUS, &action, NULL);
}

static long open_file(int i, const char *name, int flags)
{
	fds[i] = open(in("%s", name), flags | O_CLOEXEC, 0644);
	return fds[i] < 0 ? -errno : 0;
}

/* Files with that many extents each: every other block of them is a hole. */
static int make_extents(long extents)
{
	long i, err = 0;
	int fd, n;

	for (n = 0; n < TRUNCATED && !err; n++) {
		fd = open(in("extents%d", n), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0)
			return -errno;
		for (i = 0; i < extents && !err; i++)
			if (pwrite(fd, block, PAGE, i * 2 * PAGE) != PAGE)
				err = -errno;
		if (fsync(fd))
			err = -errno;
		close(fd);
	}
	return err;
}

static long open_extents(long unused)
{
	char name[16];
	long err = 0;
	int i;

	(void)unused;
	for (i = 0; i < TRUNCATED && !err; i++) {
		snprintf(name, sizeof(name), "extents%d", i);
		err = open_file(i, name, O_RDWR);
	}
	return err;
}

/* Another file each time: it can be done once. */
static long do_truncate(long unused)
{
	int fd = fds[round_nr++ % TRUNCATED];

	(void)unused;
	return ftruncate(fd, 0) ? -errno : 0;
}

static long open_written(long unused)
{
	(void)unused;
	return open_file(0, "written", O_RDWR | O_CREAT | O_APPEND);
}

static long do_write(long unused)
{
	int i;

	(void)unused;
	for (i = 0; i < 16; i++)
		if (write(fds[0], block, sizeof(block)) < 0)
			return -errno;
	return 0;
}

static long do_create(long unused)
{
	int fd = open(in("created%d", round_nr++), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	(void)unused;
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static long make_renamed(long unused)
{
	(void)unused;
	return open_file(0, "renamed0", O_RDWR | O_CREAT);
}

static long do_rename(long unused)
{
	char from[PATH_MAX];

	(void)unused;
	strcpy(from, in("renamed%d", round_nr));
	if (rename(from, in("renamed%d", round_nr + 1)))
		return -errno;
	round_nr++;
	return 0;
}

#define UNLINKED 64

static long make_unlinked(long unused)
{
	int i, fd;

	(void)unused;
	for (i = 0; i < UNLINKED; i++) {
		fd = open(in("unlinked%d", i), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, block, PAGE) < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

static long do_unlink(long unused)
{
	int i = round_nr++ % UNLINKED;

	(void)unused;
	return unlink(in("unlinked%d", i)) ? -errno : 0;
}

/* The last reference to a file without a name: its blocks are freed by close(2). */
static long make_nameless(long unused)
{
	int i;

	(void)unused;
	for (i = 0; i < 8; i++) {
		fds[i] = open(in("nameless%d", i), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (fds[i] < 0 || write(fds[i], block, sizeof(block)) < 0 ||
		    unlink(in("nameless%d", i)))
			return -errno;
	}
	return 0;
}

static long do_close_nameless(long unused)
{
	int fd = fds[round_nr++ % 8];

	(void)unused;
	return close(fd) ? -errno : 0;
}

static long open_locked(long unused)
{
	(void)unused;
	return open_file(0, "locked", O_RDWR | O_CREAT);
}

static long do_lock(long unused)
{
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };
	long err = 0;
	int i;

	(void)unused;
	for (i = 0; i < 32 && !err; i++) {
		lock.l_start = i * 2;
		if (fcntl(fds[0], F_SETLK, &lock))
			err = -errno;
	}
	if (flock(fds[0], LOCK_EX | LOCK_NB))
		err = -errno;
	flock(fds[0], LOCK_UN);
	lock.l_type = F_UNLCK;
	lock.l_start = 0;
	lock.l_len = 0;
	fcntl(fds[0], F_SETLK, &lock);
	return err;
}

static long open_synced(long unused)
{
	(void)unused;
	return open_file(0, "synced", O_RDWR | O_CREAT);
}

static long do_sync(long unused)
{
	long err = 0;

	(void)unused;
	if (pwrite(fds[0], block, PAGE, (round_nr++ % 64) * 3 * PAGE) < 0)
		err = -errno;
	if (fdatasync(fds[0]) || fsync(fds[0]) || syncfs(fds[0]))
		err = -errno;
	return err;
}

#define MAPPED MIB(4)
static char *mapped;

static long map_file(long unused)
{
	long err = open_file(0, "mapped", O_RDWR | O_CREAT);

	(void)unused;
	if (err)
		return err;
	if (ftruncate(fds[0], MAPPED))
		return -errno;
	mapped = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	if (mapped == MAP_FAILED)
		return -errno;
	catch_bus();
	return 0;
}

static long do_fault(long unused)
{
	size_t i;

	(void)unused;
	if (sigsetjmp(jump, 1))
		return -EFAULT;
	for (i = 0; i < MAPPED; i += 16 * PAGE)
		mapped[i + round_nr * PAGE % (16 * PAGE)]++;
	round_nr++;
	return msync(mapped, MAPPED, MS_SYNC) ? -errno : 0;
}

static long do_directories(long n)
{
	long i, made, err = 0;

	for (made = 0; made < n && !err; made++)
		if (mkdir(in("dir%ld", made), 0755))
			err = errno == EEXIST ? 0 : -errno;
	for (i = 0; i < made; i++)
		rmdir(in("dir%ld", i));
	return err;
}

static long open_attributes(long unused)
{
	(void)unused;
	return open_file(0, "attributes", O_RDWR | O_CREAT);
}

static long do_attributes(long unused)
{
	char name[32];
	long err = 0;
	int i;

	(void)unused;
	for (i = 0; i < 8 && !err; i++) {
		snprintf(name, sizeof(name), "user.bc%d", i);
		if (fsetxattr(fds[0], name, block, 50 + 100 * i, 0))
			err = -errno;
	}
	for (i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "user.bc%d", i);
		fremovexattr(fds[0], name);
	}
	return err;
}

static long open_allocated(long unused)
{
	(void)unused;
	return open_file(0, "allocated", O_RDWR | O_CREAT);
}

static long do_allocate(long unused)
{
	long err = 0;

	(void)unused;
	if (fallocate(fds[0], 0, 0, MIB(4)))
		err = -errno;
	if (fallocate(fds[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB(1),
		      MIB(1)))
		err = -errno;
	if (ftruncate(fds[0], 0))
		err = -errno;
	return err;
}

static long do_link(long unused)
{
	long err = 0;
	char from[PATH_MAX];

	(void)unused;
	strcpy(from, in("linked"));
	if (link(from, in("link%d", round_nr)))
		err = -errno;
	unlink(in("link%d", round_nr));
	if (symlink(from, in("symlink%d", round_nr)))
		err = -errno;
	unlink(in("symlink%d", round_nr));
	round_nr++;
	return err;
}

static long make_linked(long unused)
{
	(void)unused;
	return open_file(0, "linked", O_RDWR | O_CREAT);
}

static char entries[KIB(32)];

static long open_directory(long unused)
{
	(void)unused;
	return open_file(0, ".", O_RDONLY | O_DIRECTORY);
}

static long do_read_directory(long unused)
{
	(void)unused;
	lseek(fds[0], 0, SEEK_SET);
	while (syscall(SYS_getdents64, fds[0], entries, sizeof(entries)) > 0)
		;
	return 0;
}

static long do_copy_up(long unused)
{
	int i = round_nr++ % COPIED;
	int fd = open(in("copied%d", i), O_RDWR | O_CLOEXEC);

	(void)unused;
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static const struct op {
	const char *name;
	bc_work prepare, work;
	long arg;
} ops[] = {
	{ "truncate", open_extents, do_truncate },
	{ "write", open_written, do_write },
	{ "create", NULL, do_create },
	{ "rename", make_renamed, do_rename },
	{ "unlink", make_unlinked, do_unlink },
	{ "close the last", make_nameless, do_close_nameless },
	{ "lock", open_locked, do_lock },
	{ "sync", open_synced, do_sync },
	{ "fault", map_file, do_fault },
	{ "directories", NULL, do_directories, 200 },
	{ "xattr", open_attributes, do_attributes },
	{ "fallocate", open_allocated, do_allocate },
	{ "link", make_linked, do_link },
	{ "readdir", open_directory, do_read_directory },
	{ "copy up", NULL, do_copy_up },
};

#define OPS ((int)(sizeof(ops) / sizeof(ops[0])))

static long do_op(long i)
{
	long arg = ops[i].arg;

	/* Fifty thousand, in a directory that has its own worker. */
	if (arg && in_long_form())
		arg = 50000;
	return ops[i].work(arg);
}

static long run_op(long i)
{
	long err = do_op(i);

	__atomic_add_fetch(&shared->ended, 1, __ATOMIC_SEQ_CST);
	if (err)
		__atomic_add_fetch(&shared->refused, 1, __ATOMIC_SEQ_CST);
	return err;
}

static long run_op_for_ever(long i)
{
	for (;;)
		run_op(i);
	return 0;
}

static bool has_ended(struct worker *w)
{
	struct pollfd fd = { .fd = w->results, .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}

/* Whether @w ends, however long all of its steps take: each of them may. */
static bool ends_in_steps(struct worker *w)
{
	long seen;

	while (!has_ended(w)) {
		seen = __atomic_load_n(&shared->steps, __ATOMIC_SEQ_CST);
		if (!bc_soon(has_ended(w) ||
			     __atomic_load_n(&shared->steps, __ATOMIC_SEQ_CST) > seen))
			return false;
	}
	return true;
}

/* Two groups, and a file system with all that the operations need. */
static void set_up(struct __test_metadata *_metadata, struct place *self,
		   const struct kind *variant)
{
	const char *device = variant->type;
	char options[128], own[64];
	int fd = -1;

	if (bc_missing())
		SKIP(return, "%s", bc_why);
	if (variant->layer == DISK)
		device = disk_of(variant->type);
	if (variant->layer == NINEP)
		device = "bc9p";
	if (!device)
		SKIP(return, "no disk has the serial number %s", variant->type);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_EQ(0, bc_many_files());
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->full = cg_new(self->top, "full");
	self->neighbour = cg_new(self->top, "neighbour");
	ASSERT_NE(NULL, self->full);
	ASSERT_NE(NULL, self->neighbour);

	umask(0);
	mkdir(NAMES, 0755);
	ASSERT_EQ(0, mount("tmpfs", NAMES, "tmpfs", 0, NULL));
	mkdir(BASE, 0755);
	snprintf(options, sizeof(options), "%s", variant->options ?: "");
	if (is_fuse(variant->layer)) {
		fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, fd);
		snprintf(options, sizeof(options),
			 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
			 fd);
	}
	if (mount(device, BASE, variant->type, 0, options)) {
		ASSERT_EQ(NINEP, variant->layer)
			TH_LOG("mount: %s", strerror(errno));
		SKIP(return, "no share has the tag %s", device);
	}
	if (is_fuse(variant->layer)) {
		self->server = root_in(variant->layer == FUSE_SAME ?
				       self->full : NULL);
		ASSERT_NE(NULL, self->server);
		start(self->server, fuse_serve, fd);
		close(fd);
	}
	if (variant->layer == DISK && variant->options)
		ASSERT_EQ(0, set_quota(device));

	strcpy(where, BASE "/XXXXXX");
	ASSERT_NE(NULL, mkdtemp(where));
	ASSERT_EQ(0, chown(where, NOBODY, NOBODY));
	ASSERT_EQ(0, variant->overlay ? make_layers() : make_copied());
	if (variant->overlay)
		ASSERT_EQ(0, mount_overlay());
	strcpy(own, where);
	if (variant->overlay)
		strcpy(where, MERGED);
	ASSERT_EQ(0, make_extents(variant->layer == DISK ? EXTENTS : 100));
	ASSERT_EQ(0, make_directory(in("n")));
	if (variant->layer == DISK) {
		/* So that nothing of it is in memory, not even in the journal's. */
		if (variant->overlay)
			ASSERT_EQ(0, umount(MERGED));
		ASSERT_EQ(0, umount(BASE));
		ASSERT_EQ(0, mount(device, BASE, variant->type, 0, options));
		strcpy(where, own);
		if (variant->overlay) {
			ASSERT_EQ(0, mount_overlay());
			strcpy(where, MERGED);
		}
	}

	self->writer = user_in(self->neighbour);
	ASSERT_NE(NULL, self->writer);
	start(self->writer, be_a_neighbour, 0);
	self->filler = root_in(self->full);
	ASSERT_NE(NULL, self->filler);
}

FIXTURE_SETUP(fs)
{
	set_up(_metadata, &self->place, &variant->kind);
}

FIXTURE_TEARDOWN(fs)
{
	leave(_metadata, &self->place);
}

FIXTURE_SETUP(faults)
{
	if (access("/proc/self/fail-nth", F_OK) ||
	    bc_write_file(FAILSLAB "ignore-gfp-wait", "N"))
		SKIP(return, "CONFIG_FAILSLAB is not set");
	/* Both would tell of each allocation that fails, at length. */
	bc_write_file(FAILSLAB "verbose", "0");
	bc_write_file(PROFILING, "0");
	set_up(_metadata, &self->place, &variant->kind);
}

FIXTURE_TEARDOWN(faults)
{
	leave(_metadata, &self->place);
	bc_write_file(FAILSLAB "ignore-gfp-wait", "Y");
}

/* The group has what it has, and may have @room bytes more. */
static bool leave_room(const char *cg, long long room)
{
	return bc_soon(({
		long long bound = cg_get(cg, "usage") + room;

		!cg_set(cg, "limit", bound) && !cg_set(cg, "barrier", bound);
	}));
}

/* A worker for each operation, with all that it needs. */
static void hire(struct __test_metadata *_metadata, const char *cg,
		 struct worker **workers)
{
	int i;

	for (i = 0; i < OPS; i++) {
		long err = 0;

		workers[i] = user_in(cg);
		ASSERT_NE(NULL, workers[i]);
		if (ops[i].prepare)
			err = call(workers[i], ops[i].prepare, 0);
		ASSERT_EQ(0, err)
			TH_LOG("%s: %s", ops[i].name, strerror(-err));
	}
}

/*
 * A group is filled in one of the ways. Then each operation is done with no room at
 * all and with some, so that it is refused early, or late, or not at all.
 */
static void at_the_limit(struct __test_metadata *_metadata,
			 struct place *self, const struct kind *kind,
			 bc_work fill)
{
	static const long long rooms[] = { 0, KIB(2), KIB(8), KIB(32), KIB(128) };
	struct worker *workers[OPS] = { };
	size_t room;
	int i;

	hire(_metadata, self->full, workers);
	ASSERT_EQ(0, cg_set(self->full, "limit", LIMIT));
	ASSERT_EQ(0, cg_set(self->full, "barrier", LIMIT));
	call(self->filler, fill, 0);
	EXPECT_LT(LIMIT / 8 * 7, cg_get(self->full, "usage"));

	for (room = 0; room < sizeof(rooms) / sizeof(rooms[0]); room++) {
		/* What is read again asks for memory again. */
		sync();
		bc_write_file(DROP_CACHES, "3");
		for (i = 0; i < OPS; i++) {
			long err = LONG_MIN;
			bool ended;

			ASSERT_TRUE(leave_room(self->full, rooms[room]));
			start(workers[i], run_op, i);
			ended = bc_soon(has_ended(workers[i]));
			if (ended)
				err = finish(workers[i]);
			self->stuck = !neighbour_goes_on();
			ASSERT_FALSE(self->stuck)
				TH_LOG("%s at %lld bytes: the neighbour has stopped%s",
				       ops[i].name, rooms[room],
				       ended ? "" : ", and it does not end");
			self->stuck = !ended;
			ASSERT_TRUE(ended)
				TH_LOG("%s at %lld bytes: it does not end",
				       ops[i].name, rooms[room]);
			TH_LOG("%s at %lld bytes: %s", ops[i].name, rooms[room],
			       err == LONG_MIN ? "died" : strerror(-err));
		}
	}

	/* All at once, and no end but SIGKILL. */
	ASSERT_TRUE(leave_room(self->full, 0));
	for (i = 0; i < OPS; i++)
		start(workers[i], run_op_for_ever, i);
	for (i = 0; i < 5 && !self->stuck; i++)
		self->stuck = !neighbour_goes_on();
	ASSERT_FALSE(self->stuck)
		TH_LOG("the neighbour has stopped");
	for (i = 0; i < OPS; i++)
		kill(workers[i]->pid, SIGKILL);
	for (i = 0; i < OPS; i++) {
		self->stuck = !bc_soon(waitpid(workers[i]->pid, NULL, WNOHANG));
		ASSERT_FALSE(self->stuck)
			TH_LOG("%s survives SIGKILL", ops[i].name);
	}
	self->stuck = !neighbour_goes_on();
	ASSERT_FALSE(self->stuck);
	/* With a server in the full group, it is served as that is. */
	if (kind->layer != FUSE_SAME)
		EXPECT_EQ(0, shared->failed)
			TH_LOG("operation %ld of the neighbour's: %s",
			       shared->step, strerror(-shared->err));
}

TEST_F(fs, filled_with_pipes)
{
	at_the_limit(_metadata, &self->place, &variant->kind,
		     fill_with_pipes);
}

TEST_F(fs, filled_with_page_tables)
{
	at_the_limit(_metadata, &self->place, &variant->kind,
		     fill_with_page_tables);
}

TEST_F(fs, filled_with_dentries)
{
	at_the_limit(_metadata, &self->place, &variant->kind,
		     fill_with_dentries);
}

/*
 * What may not be refused goes past the limit, and is paid for later: how far it goes.
 */

static long write_sequentially(long unused)
{
	long n = in_long_form() ? 65536 : 1024, refused = 0;
	int fd = open(in("sequential"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	(void)unused;
	while (n-- > 0) {
		if (write(fd, block, sizeof(block)) < 0)
			refused++;
		did_step();
	}
	if (fsync(fd))
		refused++;
	close(fd);
	return refused;
}

/* As tar(1) does when it extracts: a hundred files in a directory. */
static long make_many_files(long unused)
{
	long n = in_long_form() ? 100000 : 2000, i, refused = 0;
	int fd;

	(void)unused;
	for (i = 0; i < n; i++) {
		if (i % 100 == 0 && mkdir(in("many%ld", i / 100), 0755))
			refused++;
		fd = open(in("many%ld/%ld", i / 100, i),
			  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, block, 2000) < 0 || fchmod(fd, 0644))
			refused++;
		close(fd);
		did_step();
	}
	return refused;
}

/* As a database does: pages of 8 KiB here and there, each of which is synced. */
static long write_at_random(long unused)
{
	long n = in_long_form() ? 5000 : 500, refused = 0;
	int fd = open(in("random"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	unsigned int at = 1;

	(void)unused;
	while (n-- > 0) {
		at = at * 1103515245 + 12345;
		if (pwrite(fd, block, KIB(8), at / 65536 % 16384 * KIB(8)) < 0 ||
		    fdatasync(fd))
			refused++;
		did_step();
	}
	close(fd);
	return refused;
}

/*
 * A file of holes, in one call. Some file systems may refuse no page of it: there the
 * reader waits after each, until it is killed.
 */
static long read_holes(long unused)
{
	int fd = open(in("holes"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	long refused = 0;

	(void)unused;
	if (ftruncate(fd, MIB(1024)) || sendfile(null, fd, NULL, MIB(1024)) < 0)
		refused++;
	close(null);
	close(fd);
	return refused;
}

/* In its long form it takes hours. */
TEST_F_TIMEOUT(fs, overrun, 4 * 3600)
{
	static const struct {
		const char *name;
		bc_work work;
		bool waits;	/* for as long as it is past the limit */
	} loads[] = {
		{ "sequential", write_sequentially },
		{ "many files", make_many_files },
		{ "random", write_at_random },
		{ "holes", read_holes, true },
	};
	const long long patience = bc_patience_ms;
	const struct kind *kind = &variant->kind;
	struct place *place = &self->place;
	long long limit, peak;
	struct worker *w;
	int fd, i;

	ASSERT_EQ(0, cg_set(place->full, "limit", LIMIT));
	ASSERT_EQ(0, cg_set(place->full, "barrier", LIMIT));
	call(place->filler, fill_with_pipes, 0);
	for (i = 0; i < (int)(sizeof(loads) / sizeof(*loads)); i++) {
		long refused;
		bool ended;

		w = user_in(place->full);
		if (!w) {
			/* It is full; what a worker needs is not at issue. */
			ASSERT_TRUE(leave_room(place->full, MIB(1)));
			w = user_in(place->full);
		}
		ASSERT_NE(NULL, w);
		ASSERT_TRUE(leave_room(place->full, KIB(512)));
		limit = cg_get(place->full, "limit");
		fd = cg_restart_max(place->full);
		ASSERT_LE(0, fd);
		start(w, loads[i].work, 0);
		/* One that waits makes no steps. */
		if (loads[i].waits)
			bc_patience_ms = patience / 8;
		ended = ends_in_steps(w);
		bc_patience_ms = patience;
		place->stuck = !ended && !loads[i].waits;
		ASSERT_FALSE(place->stuck);
		refused = ended ? finish(w) : 0;
		peak = bc_read_number(fd);
		close(fd);
		if (ended)
			worker_end(w);
		else
			worker_kill(w);
		TH_LOG("@table %s%s|%s|%s|%lld|%ld", kind->type,
		       kind->overlay ? "+overlay" :
		       kind->layer == FUSE_SAME ? "-same" :
		       kind->layer == FUSE_OTHER ? "-other" : "",
		       kind->v2 ? "v2" : "v1", loads[i].name,
		       peak > limit ? peak - limit : 0, refused);
		EXPECT_GE(limit + MOST_OVERRUN, peak);
	}
	place->stuck = !neighbour_goes_on();
	ASSERT_FALSE(place->stuck);
}

/*
 * The machine refuses one allocation, the first of an operation, the second, and so on
 * until there is none that is left to be refused.
 */

#define MOST_ALLOCATIONS 2000

static long fail_each(long i)
{
	char text[16];
	long n;
	int fd;

	/* Its file in /proc is root's, since it has other credentials. */
	prctl(PR_SET_DUMPABLE, 1);
	fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (n = 1; n < MOST_ALLOCATIONS; n++) {
		int len = snprintf(text, sizeof(text), "%ld", n);

		if (pwrite(fd, text, len, 0) != len)
			return -errno;
		ops[i].work(ops[i].arg ? 2 : 0);
		memset(text, 0, sizeof(text));
		if (pread(fd, text, sizeof(text) - 1, 0) < 0)
			return -errno;
		pwrite(fd, "0", 1, 0);
		did_step();
		if (atol(text))
			break;
	}
	close(fd);
	return n - 1;
}

TEST_F(faults, each_allocation_fails)
{
	struct worker *workers[OPS] = { };
	struct place *place = &self->place;
	int i;

	hire(_metadata, place->full, workers);
	for (i = 0; i < OPS; i++) {
		start(workers[i], fail_each, i);
		place->stuck = !ends_in_steps(workers[i]);
		ASSERT_FALSE(place->stuck)
			TH_LOG("%s does not end", ops[i].name);
		TH_LOG("%s: %ld allocations refused", ops[i].name,
		       finish(workers[i]));
		place->stuck = !neighbour_goes_on();
		ASSERT_FALSE(place->stuck)
			TH_LOG("%s: the neighbour has stopped", ops[i].name);
		worker_kill(workers[i]);
	}
	EXPECT_EQ(0, shared->failed);
}

TEST_HARNESS_MAIN
