// SPDX-License-Identifier: GPL-2.0
/*
 * opbench: what an operation costs, in nanoseconds. Under QEMU's icount with
 * shift=0 these are instructions, the same from run to run; see scripts/bench.
 *
 * Where a loop happens to straddle the end of a slab, each round pays the
 * allocator's slow path. Hence each operation is measured from 16 states, with
 * 0 to 15 objects of its kind held, and the median over the states counts.
 *
 * Output: a line for each operation, "NAME MEDIAN LOWEST HIGHEST". With an argument
 * that operation alone is measured; others only then: "refused", an open(2)
 * beyond the limit of the group; "move", from one group to another and back, which
 * has the files cgroup.procs of both as further arguments; "open-absent", of a name that
 * is not there; "event", an inotify event that the process itself reads; and "write-4k"
 * and "write-256k", into an empty file in /mnt, which is truncated again. With "ubc"
 * those that are for that controller are measured, and no others.
 *
 * "hold" makes objects of each kind, ends every other one, and waits: then other processes
 * find room beside them.
 *
 * "turns OPERATION CGROUP.PROCS..." measures the operation by processes that take turns on
 * the CPU, one in each of the groups, one operation in each turn: time for each turn,
 * the change of processes included.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATES	16
#define BATCHES	9

struct object {
	int fd[2];
	pid_t pid;
	void *at;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void open_make(struct object *o)
{
	o->fd[0] = open("/dev/null", O_RDONLY);
	if (o->fd[0] < 0)
		die("open");
}

static void open_end(struct object *o)
{
	close(o->fd[0]);
}

static void pipe_make(struct object *o)
{
	if (pipe(o->fd))
		die("pipe");
}

static void socketpair_make(struct object *o)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, o->fd))
		die("socketpair");
}

static void inotify_make(struct object *o)
{
	o->fd[0] = inotify_init();
	if (o->fd[0] < 0)
		die("inotify_init");
}

static void socket_make(struct object *o)
{
	o->fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (o->fd[0] < 0)
		die("socket");
}

static void flock_hold(struct object *o)
{
	o->fd[0] = open("/", O_RDONLY);
	if (o->fd[0] < 0 || flock(o->fd[0], LOCK_SH))
		die("flock");
}

static int locked;

static void flock_make(struct object *o)
{
	o->fd[0] = locked;
	if (flock(locked, LOCK_SH) || flock(locked, LOCK_UN))
		die("flock");
}

/* Each on top of the other. */
static void mount_make(struct object *o)
{
	if (mount("none", "/opbench", "tmpfs", 0, NULL))
		die("mount");
}

static void mount_end(struct object *o)
{
	if (umount2("/opbench", 0))
		die("umount");
}

/* 1 MiB; what is held does not merge with what is measured. */
static void map_as(struct object *o, int prot)
{
	o->at = mmap(NULL, 1 << 20, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (o->at == MAP_FAILED)
		die("mmap");
}

static void map_hold(struct object *o)
{
	map_as(o, PROT_READ);
}

static void map_make(struct object *o)
{
	map_as(o, PROT_READ | PROT_WRITE);
}

static void map_end(struct object *o)
{
	if (munmap(o->at, 1 << 20))
		die("munmap");
}

static void two_end(struct object *o)
{
	close(o->fd[0]);
	close(o->fd[1]);
}

/* No other task is to come in between, unless this one yields. */
static void be_fifo(void)
{
	const struct sched_param fifo = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_FIFO, &fifo))
		die("sched_setscheduler");
}

/* Takes all files that there are first. */
static void refused_hold(struct object *o)
{
	/* The worker that tells of refusals has to wait. */
	be_fifo();
	while (open("/dev/null", O_RDONLY) >= 0)
		;
	if (errno != EMFILE)
		die("open, until refused");
}

static void refused_make(struct object *o)
{
	if (open("/dev/null", O_RDONLY) >= 0)
		die("not refused");
}

static void nothing_end(struct object *o)
{
}

static void absent_make(struct object *o)
{
	if (open("/absent", O_RDONLY) >= 0 || errno != ENOENT)
		die("open of /absent");
}

static int watch = -1;
static int watched = -1;

/* One event in the queue: of the write before it would be the same. */
static void event_make(struct object *o)
{
	if (watch < 0) {
		watch = inotify_init1(IN_NONBLOCK);
		watched = open("/tmp/watched", O_RDWR | O_CREAT, 0600);
		if (watched < 0 || inotify_add_watch(watch, "/tmp/watched", IN_MODIFY) < 0)
			die("inotify");
	}
	if (pwrite(watched, "", 1, 0) != 1)
		die("write to /tmp/watched");
}

static void event_end(struct object *o)
{
	char event[4096];

	if (read(watch, event, sizeof(event)) != sizeof(struct inotify_event))
		die("event");
}

static int file = -1;

static void write_file(size_t n)
{
	static char buffer[256 << 10];

	if (file < 0)
		file = open("/mnt/file", O_RDWR | O_CREAT, 0600);
	if (pwrite(file, buffer, n, 0) != (ssize_t)n)
		die("write to /mnt/file");
}

static void write_page_make(struct object *o)
{
	write_file(4096);
}

static void write_pages_make(struct object *o)
{
	write_file(256 << 10);
}

static void truncate_end(struct object *o)
{
	if (ftruncate(file, 0))
		die("truncate");
}

static int groups[2];

static void move_make(struct object *o)
{
	for (int i = 0; i < 2; i++)
		if (write(groups[i], "0", 1) != 1)
			die("move");
}

/* A process that is held waits for its end of a pipe to close. */
static int waits_for[2];

static void fork_hold(struct object *o)
{
	char c;

	o->pid = fork();
	if (o->pid < 0)
		die("fork");
	if (!o->pid) {
		close(waits_for[1]);
		_exit(read(waits_for[0], &c, 1) != 0);
	}
}

static void fork_make(struct object *o)
{
	o->pid = fork();
	if (o->pid < 0)
		die("fork");
	if (!o->pid)
		_exit(0);
}

/* A task that shares what there is to copy: what is added to it is seen better. */
static void vfork_make(struct object *o)
{
	o->pid = vfork();
	if (o->pid < 0)
		die("vfork");
	if (!o->pid)
		_exit(0);
}

static void fork_end(struct object *o)
{
	if (waitpid(o->pid, NULL, 0) != o->pid)
		die("waitpid");
}

static const struct op {
	const char *name;
	void (*hold)(struct object *o);
	void (*make)(struct object *o);
	void (*end)(struct object *o);
	int rounds;
	const char *set;	/* it is measured only with that argument */
	void (*end_held)(struct object *o);
} ops[] = {
	{ "open+close",	open_make, open_make, open_end, 400 },
	{ "pipe", pipe_make, pipe_make, two_end, 400 },
	{ "socketpair", socketpair_make, socketpair_make, two_end, 400 },
	{ "fork+exit", fork_hold, fork_make, fork_end, 40 },
	{ "vfork+exit", fork_hold, vfork_make, fork_end, 100 },
	{ "inotify", inotify_make, inotify_make, open_end, 100, "ubc" },
	{ "flock+unlock", flock_hold, flock_make, nothing_end, 400, "ubc", open_end },
	{ "socket", socket_make, socket_make, open_end, 400, "ubc" },
	{ "mount", mount_make, mount_make, mount_end, 40, "ubc" },
	{ "mmap+munmap", map_hold, map_make, map_end, 400, "ubc" },
	{ "refused", refused_hold, refused_make, nothing_end, 400, "refused" },
	{ "move", open_make, move_make, nothing_end, 40, "move" },
	{ "open-absent", open_make, absent_make, nothing_end, 400, "open-absent" },
	{ "event", nothing_end, event_make, event_end, 400, "event", nothing_end },
	{ "write-4k", nothing_end, write_page_make, truncate_end, 200, "write-4k" },
	{ "write-256k", nothing_end, write_pages_make, truncate_end, 20, "write-256k" },
};

/* The first ones are measured without an argument. */
#define DEFAULT	5

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

/* The median over the batches keeps timer ticks and deferred work out. */
static double measure(const struct op *op)
{
	double batch[BATCHES];
	struct object o;

	for (int b = 0; b < BATCHES; b++) {
		double start = now();

		for (int i = 0; i < op->rounds; i++) {
			op->make(&o);
			op->end(&o);
		}
		batch[b] = (now() - start) / op->rounds;
	}
	return median(batch, BATCHES);
}

static void enter(const char *procs)
{
	int fd = open(procs, O_WRONLY);

	if (fd < 0 || write(fd, "0", 1) != 1)
		die(procs);
	close(fd);
}

/* The processes behind the first, until the first has seen enough. */
static void take_turns(const struct op *op, const char *procs, int nr,
		       volatile int *state)
{
	struct object o;

	enter(procs);
	/* Before the first one is: it does not sleep from then on. */
	be_fifo();
	__atomic_add_fetch(state, 1, __ATOMIC_SEQ_CST);
	while (*state < nr)
		usleep(100);
	while (*state == nr) {
		op->make(&o);
		op->end(&o);
		sched_yield();
	}
	_exit(0);
}

static int turns(const char *name, char **procs, int nr)
{
	volatile int *state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct op *op = ops;
	double batch[BATCHES];
	struct object o;

	if (state == MAP_FAILED)
		die("mmap");
	while (strcmp(op->name, name))
		if (++op == ops + sizeof(ops) / sizeof(*ops))
			die("no such operation");
	for (int i = 1; i < nr; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid)
			take_turns(op, procs[i], nr, state);
	}
	enter(procs[0]);
	while (*state < nr - 1)
		usleep(1000);
	be_fifo();
	*state = nr;
	/* By the end of the first batch all take part. */
	for (int b = -1; b < BATCHES; b++) {
		double start = now();

		for (int i = 0; i < op->rounds; i++) {
			op->make(&o);
			op->end(&o);
			sched_yield();
		}
		if (b >= 0)
			batch[b] = (now() - start) / op->rounds / nr;
	}
	*state = nr + 1;
	while (wait(NULL) > 0)
		;
	printf("%s,%d %.0f\n", name, nr, median(batch, BATCHES));
	return 0;
}

/* So many of each of the first operations, and half as many in the end. */
#define HELD	64

static int hold(void)
{
	static struct object held[DEFAULT][HELD];

	if (pipe(waits_for))
		die("pipe");
	for (int i = 0; i < DEFAULT; i++) {
		for (int n = 0; n < HELD; n++)
			ops[i].hold(&held[i][n]);
	}
	/* Not processes: each waits for all that were forked later. */
	for (int i = 0; i < 3; i++) {
		for (int n = 0; n < HELD; n += 2)
			ops[i].end(&held[i][n]);
	}
	puts("held");
	fflush(stdout);
	pause();
	return 1;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "hold"))
		return hold();
	if (argc > 3 && !strcmp(argv[1], "turns"))
		return turns(argv[2], argv + 3, argc - 3);
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		const struct op *op = &ops[i];
		struct object held[STATES];
		double state[STATES];
		int n;

		if (argc > 1 ? strcmp(argv[1], op->name) &&
			       strcmp(argv[1], op->set ?: "") : op->set != NULL)
			continue;
		if (op->make == mount_make)
			mkdir("/opbench", 0755);
		if (op->make == flock_make) {
			locked = open("/", O_RDONLY);
			if (locked < 0)
				die("open");
		}
		for (int g = 0; op->make == move_make && g < 2; g++) {
			groups[g] = argc == 4 ? open(argv[2 + g], O_WRONLY) : -1;
			if (groups[g] < 0)
				die("groups to move between");
		}
		if (pipe(waits_for))
			die("pipe");
		if (op->make == refused_make)
			refused_hold(NULL);
		measure(op);	/* warms up */
		for (n = 0; n < STATES; n++) {
			state[n] = measure(op);
			op->hold(&held[n]);
		}
		close(waits_for[1]);
		while (n--)
			(op->end_held ?: op->end)(&held[n]);
		close(waits_for[0]);

		/* In this order: median() sorts. */
		double middle = median(state, STATES);

		printf("%s %.0f %.0f %.0f\n", op->name, middle, state[0],
		       state[STATES - 1]);
	}
	return 0;
}
