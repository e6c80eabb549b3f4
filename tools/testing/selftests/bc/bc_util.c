// SPDX-License-Identifier: GPL-2.0
/*
 * Helpers of the beancounter tests: see bc_util.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "bc_util.h"

#define PF_SUPERPRIV 0x100	/* of /proc/PID/stat: it used a privilege */

/* Everything a test makes is below this group. */
#define TOP "bc_test"

const char *bc_controller = "numfiles";
bool bc_bytes;
bool bc_v2;
char bc_why[256];
int bc_patience_ms = BC_PATIENCE_MS;

static char *mounted;		/* by bc_setup() */

/*
 * Switches the controller on or off for the groups in @cg (v2): 0, or -errno.
 */
static int cg_switch(const char *cg, char on_or_off)
{
	char text[64];

	snprintf(text, sizeof(text), "%c%s", on_or_off, bc_controller);
	return cg_write(cg, "cgroup.subtree_control", text);
}

long long bc_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

void bc_sleep_ms(int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

int bc_many_files(void)
{
	struct rlimit many = { .rlim_cur = 65536, .rlim_max = 65536 };

	return setrlimit(RLIMIT_NOFILE, &many) ? -errno : 0;
}

bool bc_debug_kernel(void)
{
	return !access("/proc/lockdep_stats", F_OK);
}

int bc_rounds(int n)
{
	return bc_debug_kernel() ? n / 8 : n;
}

int bc_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
}

/*
 * Looked up once: a task that is pinned to a CPU is not allowed other CPUs any
 * more, but can be pinned to them.
 */
int bc_cpu(int n)
{
	static cpu_set_t all;
	int i;

	if (!CPU_COUNT(&all) && sched_getaffinity(0, sizeof(all), &all))
		return -1;
	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all) && n-- == 0)
			return i;
	return -1;
}

/* Reads a file whole; how much there was, or -errno. */
static ssize_t slurp(const char *path, char *buf, size_t size)
{
	ssize_t n, len = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	if (n < 0)
		len = -errno;
	close(fd);
	buf[len < 0 ? 0 : len] = '\0';
	return len;
}

char bc_state_of(pid_t pid)
{
	char path[64], buf[512], *after;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (slurp(path, buf, sizeof(buf)) <= 0)
		return 0;
	after = strrchr(buf, ')');
	return after && after[1] ? after[2] : 0;
}

/* Groups */

/* Our words, and the files that they are: of v1, of v2. */
static const struct {
	const char *word, *v1, *v2;
	bool amount;		/* v1 says "_in_bytes" where these are bytes */
} words[] = {
	{ "usage",		"usage",	"current",	true },
	{ "max_usage",		"max_usage",	"peak",		true },
	{ "min_usage",		"min_usage",	NULL,		true },
	{ "limit",		"limit",	"max",		true },
	{ "barrier",		"barrier",	"barrier",	true },
	{ "reservation",	"reservation",	"min",		true },
	{ "strict",		"strict",	"strict" },
	{ "shares",		"shares",	"shares" },
	{ "fork_rate",		"fork_rate",	"fork_rate" },
	{ "fork_rate_interval_ms", "fork_rate_interval_ms", "fork_rate_interval_ms" },
	{ "failcnt",		"failcnt",	NULL },
	{ "stat",		"stat",		"stat" },
	{ "events",		"events",	"events" },
	{ "events.local",	"events.local",	"events.local" },
};

const char *cg_path(const char *cg, const char *file)
{
	static __thread char path[PATH_MAX];
	const char *name, *suffix;
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].word, file))
			continue;
		name = bc_v2 ? words[i].v2 : words[i].v1;
		suffix = bc_bytes && !bc_v2 && words[i].amount ? "_in_bytes" : "";
		if (name)
			snprintf(path, sizeof(path), "%s/%s.%s%s", cg,
				 bc_controller, name, suffix);
		else
			snprintf(path, sizeof(path), "%s/(none)", cg);
		return path;
	}
	snprintf(path, sizeof(path), "%s/%s", cg, file);
	return path;
}

int cg_open(const char *cg, const char *file, int flags)
{
	int fd = open(cg_path(cg, file), flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int cg_write_raw(const char *cg, const char *file, const void *data, size_t len)
{
	int fd = cg_open(cg, file, O_WRONLY);
	ssize_t n;
	int ret;

	if (fd < 0)
		return fd;
	n = write(fd, data, len);
	if (n < 0)
		ret = -errno;
	else
		ret = (size_t)n == len ? 0 : -EIO;
	close(fd);
	return ret;
}

int cg_write(const char *cg, const char *file, const char *text)
{
	return cg_write_raw(cg, file, text, strlen(text));
}

const char *cg_read(const char *cg, const char *file)
{
	static char buf[65536];

	slurp(cg_path(cg, file), buf, sizeof(buf));
	return buf;
}

long long cg_get(const char *cg, const char *file)
{
	char buf[64], *end;
	long long value;
	ssize_t len;

	len = slurp(cg_path(cg, file), buf, sizeof(buf));
	if (len < 0)
		return len;
	if (!strcmp(buf, "max\n"))
		return BC_UNLIMITED;
	value = strtoll(buf, &end, 10);
	return end == buf || strcmp(end, "\n") ? -EBADMSG : value;
}

int cg_set(const char *cg, const char *file, long long value)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%lld\n", value);
	return cg_write(cg, file, buf);
}

long long cg_key(const char *cg, const char *file, const char *key)
{
	const char *line = cg_read(cg, file);
	size_t len = strlen(key);

	for (; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len) && line[len] == ' ')
			return strtoll(line + len, NULL, 10);
	}
	return -ENOENT;
}

long long cg_refusals(const char *cg)
{
	if (!bc_v2)
		return cg_get(cg, "failcnt");
	return cg_key(cg, "events.local", "barrier") +
	       cg_key(cg, "events.local", "max");
}

long long cg_min_usage(const char *cg)
{
	return bc_v2 ? cg_key(cg, "stat", "min_usage") : cg_get(cg, "min_usage");
}

long long cg_stock(const char *cg)
{
	return cg_key(cg, "stat", "precharge");
}

long long bc_read_number(int fd)
{
	char buf[32] = "";

	return pread(fd, buf, sizeof(buf) - 1, 0) > 0 ? atoll(buf) : -errno;
}

int cg_restart_max(const char *cg)
{
	int fd = cg_open(cg, "max_usage", O_RDWR);

	if (fd >= 0 && pwrite(fd, "0", 1, 0) != 1) {
		close(fd);
		return -errno;
	}
	return fd;
}

static long clamp(long n, long low, long high)
{
	return n < low ? low : n > high ? high : n;
}

/*
 * A slot of a CPU has two batches at most, each a quarter of what the group has
 * given away, and so does the bank of a group, with batches of a half: see "How
 * much is kept" in Documentation/bc/res_counter.rst. Stock was given away, too,
 * so that there may be more of it when there is some: the sum is where it
 * cannot grow any more.
 */
long bc_most_stock(int cpus, int groups, long usage)
{
	enum { MIN = 8, MAX = 64, SLOTS = 16 };
	const long slots = cpus * (groups < SLOTS ? groups : SLOTS);
	long sum = 0, before, given;

	do {
		before = sum;
		given = usage + sum;
		sum = slots * 2 * clamp(given / 4, MIN, MAX) +
		      groups * 2 * clamp(given / 2, 2 * MIN, 2 * MAX);
	} while (sum > before);
	return sum;
}

int cg_attach(const char *cg, pid_t pid)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%d", pid);
	return cg_write(cg, "cgroup.procs", buf);
}

/*
 * The file of a group's single threads, which neither convention calls as the
 * other.
 */
static const char *threads_file(void)
{
	return bc_v2 ? "cgroup.threads" : "tasks";
}

int cg_attach_thread(const char *cg, pid_t tid)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%d", tid);
	return cg_write(cg, threads_file(), buf);
}

int cg_threads(const char *cg)
{
	const char *c = cg_read(cg, threads_file());
	int n = 0;

	for (; *c; c++)
		n += *c == '\n';
	return n;
}

char *cg_new(const char *parent, const char *name)
{
	char *path;
	int err;

	if (bc_v2) {
		err = cg_switch(parent, '+');
		if (err) {
			errno = -err;
			return NULL;
		}
	}
	if (asprintf(&path, "%s/%s", parent, name) < 0)
		return NULL;
	if (mkdir(path, 0755)) {
		err = errno;
		free(path);
		errno = err;
		return NULL;
	}
	return path;
}

char *cg_newf(const char *parent, const char *format, ...)
{
	char name[NAME_MAX + 1];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	return cg_new(parent, name);
}

int cg_rmdir(const char *cg)
{
	return rmdir(cg) ? -errno : 0;
}

pid_t bc_next_pid(char **list)
{
	char *id;

	while ((id = strsep(list, "\n")))
		if (atoi(id) > 0)
			return atoi(id);
	return 0;
}

/* Sends SIGKILL to every process that the file @path lists. */
static void kill_all(const char *cg, const char *file)
{
	static char buf[65536];
	char *path, *list = buf;
	pid_t pid;

	if (asprintf(&path, "%s/%s", cg, file) < 0)
		return;
	if (slurp(path, buf, sizeof(buf)) > 0)
		while ((pid = bc_next_pid(&list)))
			kill(pid, SIGKILL);
	free(path);
}

int cg_purge(const char *cg)
{
	struct dirent *entry;
	char *child;
	int err = 0;
	DIR *dir;

	dir = opendir(cg);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	kill_all(cg, "cgroup.procs");
	kill_all(cg, "cgroup.threads");		/* of a threaded group */
	while ((entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (asprintf(&child, "%s/%s", cg, entry->d_name) < 0)
			continue;
		cg_purge(child);
		free(child);
	}
	closedir(dir);
	/* What was killed takes a moment to leave, and may have forked. */
	bc_soon((kill_all(cg, "cgroup.procs"), err = cg_rmdir(cg)) != -EBUSY);
	return err;
}

/* Hierarchies */

static int cgroups_column(const char *controller, int column)
{
	static char buf[4096];
	char *line, *rest, name[64];
	int value[3];

	if (slurp("/proc/cgroups", buf, sizeof(buf)) <= 0)
		return -1;
	for (line = strtok_r(buf, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest))
		if (sscanf(line, "%63s %d %d %d", name, &value[0], &value[1],
			   &value[2]) == 4 && !strcmp(name, controller))
			return value[2] ? value[column] : -1;
	return -1;
}

int bc_hierarchy_of(const char *controller)
{
	return cgroups_column(controller, 0);
}

int bc_num_cgroups(const char *controller)
{
	return cgroups_column(controller, 1);
}

/*
 * Mounts are made in a mount namespace of the test's own: they vanish with it,
 * whatever happens to it.
 */
static bool own_mounts(void)
{
	static bool done;

	if (!done)
		done = !unshare(CLONE_NEWNS) &&
		       !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (!done)
		snprintf(bc_why, sizeof(bc_why), "no mount namespace: %s",
			 strerror(errno));
	return done;
}

static char *do_mount(const char *type, const char *options)
{
	char *root = strdup("/tmp/bc.XXXXXX");
	int err = 0;

	if (!own_mounts() || !root || !mkdtemp(root)) {
		free(root);
		return NULL;
	}
	/* Busy: a controller on its way out of another hierarchy. */
	bc_soon((err = mount("none", root, type, 0, options) ? errno : 0) != EBUSY);
	if (err) {
		snprintf(bc_why, sizeof(bc_why), "cannot mount %s %s: %s", type,
			 options ?: "", strerror(err));
		rmdir(root);
		free(root);
		errno = err;
		return NULL;
	}
	return root;
}

char *bc_mount_v1(const char *options)
{
	return do_mount("cgroup", options);
}

char *bc_mount_v2(void)
{
	return do_mount("cgroup2", NULL);
}

int bc_umount(char *root)
{
	if (umount(root))
		return -errno;
	rmdir(root);
	free(root);
	return 0;
}

/*
 * The options that mount the v1 hierarchy which has the controller; none:
 * false.
 */
static bool v1_options(char *options, size_t size)
{
	static char buf[8192];
	char *line, *rest, *list, *end, *word, *more, copy[256];

	slurp("/proc/self/cgroup", buf, sizeof(buf));
	for (line = strtok_r(buf, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		/* 3:pids,numfiles,name=x:/path */
		list = strchr(line, ':');
		end = list ? strchr(++list, ':') : NULL;
		if (!end)
			continue;
		*end = '\0';
		snprintf(copy, sizeof(copy), "%s", list);
		for (word = strtok_r(copy, ",", &more); word;
		     word = strtok_r(NULL, ",", &more))
			if (!strcmp(word, bc_controller)) {
				snprintf(options, size, "%s", list);
				return true;
			}
	}
	return false;
}

static void purge_top(const char *root)
{
	char *top;

	if (asprintf(&top, "%s/" TOP, root) < 0)
		return;
	cg_purge(top);
	free(top);
}

/*
 * Leaves a v1 hierarchy, one that a test could not clean up, or one that still
 * had a dying group when it was unmounted last: such a hierarchy stays.
 */
static bool leave_v1(void)
{
	char options[256], *root;

	return bc_soon(({
		if (bc_hierarchy_of(bc_controller) > 0 &&
		    v1_options(options, sizeof(options))) {
			root = bc_mount_v1(options);
			if (root) {
				purge_top(root);
				bc_umount(root);
				bc_sleep_ms(50);
			}
		}
		bc_hierarchy_of(bc_controller) == 0;
	}));
}

/* Switches the controller off in v2, where a test may have left it on. */
static void leave_v2(void)
{
	char *root;

	if (bc_hierarchy_of(bc_controller) != 0)
		return;
	root = bc_mount_v2();
	if (!root)
		return;
	purge_top(root);
	cg_switch(root, '-');
	bc_umount(root);
}

bool bc_missing(void)
{
	if (geteuid())
		snprintf(bc_why, sizeof(bc_why), "needs root");
	else if (bc_hierarchy_of(bc_controller) < 0)
		snprintf(bc_why, sizeof(bc_why), "this kernel has no %s",
			 bc_controller);
	else
		return false;
	return true;
}

bool bc_release(void)
{
	if (!leave_v1()) {
		snprintf(bc_why, sizeof(bc_why),
			 "%s is in use in a v1 hierarchy", bc_controller);
		return false;
	}
	leave_v2();
	return true;
}

char *bc_setup(bool v2)
{
	char *top;

	bc_v2 = v2;
	if (bc_many_files()) {
		snprintf(bc_why, sizeof(bc_why), "cannot raise RLIMIT_NOFILE");
		return NULL;
	}
	bc_cpu(0);		/* for workers to be pinned later */
	if (!bc_release())
		return NULL;
	mounted = v2 ? bc_mount_v2() : bc_mount_v1(bc_controller);
	if (!mounted)
		return NULL;
	top = cg_new(mounted, TOP);
	if (!top)
		snprintf(bc_why, sizeof(bc_why), "cannot make %s/" TOP ": %s",
			 mounted, strerror(errno));
	return top;
}

void bc_teardown(void)
{
	if (!mounted)
		return;
	purge_top(mounted);
	/* A process that was not waited for still pins its group. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	if (bc_v2)
		cg_switch(mounted, '-');
	bc_umount(mounted);
	mounted = NULL;
}

/* Workers */

struct order {
	bc_work fn;		/* NULL: end */
	long arg;
};

static int fds[65536];		/* the stack of a worker's descriptors */
static int nfds;

static pid_t children[4096];	/* the stack of its processes */
static int nchildren;

static void die_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void __attribute__((noreturn)) serve(int sock, int results)
{
	struct order order;
	long result;

	while (recv(sock, &order, sizeof(order), 0) == sizeof(order) && order.fn) {
		result = order.fn(order.arg);
		if (write(results, &result, sizeof(result)) != sizeof(result))
			break;
	}
	_exit(0);
}

/*
 * A pipe for a worker's results. A pipe keeps the page that was read empty
 * last, for the next write: once it has one, a worker can report from a group
 * that may have no more kernel memory, where a socket could not.
 */
static int results_pipe(int *pair)
{
	long nothing = 0;

	if (pipe2(pair, O_CLOEXEC))
		return -1;
	if (write(pair[1], &nothing, sizeof(nothing)) == sizeof(nothing) &&
	    read(pair[0], &nothing, sizeof(nothing)) == sizeof(nothing))
		return 0;
	close(pair[0]);
	close(pair[1]);
	return -1;
}

struct worker *worker_new(const char *cg)
{
	struct worker *w = malloc(sizeof(*w));
	pid_t parent = getpid();
	int pair[2], results[2], err;

	if (!w || results_pipe(results)) {
		free(w);
		return NULL;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		close(results[0]);
		close(results[1]);
		free(w);
		return NULL;
	}
	w->sock = pair[0];
	w->results = results[0];
	w->pid = fork();
	if (!w->pid) {
		die_with_parent();
		if (getppid() != parent)
			_exit(0);
		close(pair[0]);
		close(results[0]);
		nfds = 0;
		serve(pair[1], results[1]);
	}
	close(pair[1]);
	close(results[1]);
	if (w->pid < 0) {
		close(pair[0]);
		close(results[0]);
		free(w);
		return NULL;
	}
	err = cg ? cg_attach(cg, w->pid) : 0;
	if (err) {
		worker_kill(w);
		errno = -err;
		return NULL;
	}
	return w;
}

struct worker *worker_after(struct worker *w, bc_work fn, long arg)
{
	if (w && call(w, fn, arg)) {
		worker_kill(w);
		return NULL;
	}
	return w;
}

struct worker *worker_new_on_cpu(const char *cg, int cpu)
{
	return worker_after(worker_new(cg), pin_to_cpu, cpu);
}

struct worker *user_new(const char *cg)
{
	return worker_after(worker_new(cg), become_nobody, 0);
}

struct worker *user_new_on_cpu(const char *cg, int cpu)
{
	return worker_after(worker_new_on_cpu(cg, cpu), become_nobody, 0);
}

/* A child of the test, too, so that the worker need not stay. */
static long go_on_in_child(long parent)
{
	pid_t pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);

	if (pid < 0)
		return -errno;
	if (pid)
		_exit(0);
	die_with_parent();
	if (getppid() != parent)
		_exit(0);
	return getpid();
}

struct worker *worker_renew(struct worker *w)
{
	long pid = w ? call(w, go_on_in_child, getpid()) : -1;

	if (pid > 0) {
		waitpid(w->pid, NULL, 0);
		w->pid = pid;
		return w;
	}
	if (w)
		worker_kill(w);
	return NULL;
}

bool worker_move(struct worker *w, const char *cg)
{
	return !cg_attach(cg, w->pid);
}

void start(struct worker *w, bc_work fn, long arg)
{
	struct order order = { .fn = fn, .arg = arg };

	send(w->sock, &order, sizeof(order), MSG_NOSIGNAL);
}

long finish(struct worker *w)
{
	long result;

	if (read(w->results, &result, sizeof(result)) != sizeof(result))
		return LONG_MIN;
	return result;
}

long call(struct worker *w, bc_work fn, long arg)
{
	start(w, fn, arg);
	return finish(w);
}

int worker_wait(struct worker *w)
{
	int status = -1;

	waitpid(w->pid, &status, 0);
	close(w->sock);
	close(w->results);
	free(w);
	return status;
}

void worker_end(struct worker *w)
{
	start(w, NULL, 0);
	worker_wait(w);
}

void worker_kill(struct worker *w)
{
	kill(w->pid, SIGKILL);
	worker_wait(w);
}

/* Work */

long keep(int fd)
{
	if (fd < 0)
		return -errno;
	fds[nfds++] = fd;
	return 0;
}

long open_one(long unused)
{
	(void)unused;
	return keep(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

long open_files(long n)
{
	long err = 0;

	while (n-- > 0 && !err)
		err = open_one(0);
	return err;
}

long open_until_refused(long most)
{
	long n = 0;

	while (n < most && !open_one(0))
		n++;
	return n;
}

long close_files(long n)
{
	while (n-- > 0 && nfds)
		if (close(fds[--nfds]))
			return -errno;
	return 0;
}

long keep_child(pid_t pid)
{
	if (pid < 0)
		return -errno;
	children[nchildren++] = pid;
	return 0;
}

long fork_one(long unused)
{
	pid_t pid = fork();

	(void)unused;
	while (!pid)
		pause();
	return keep_child(pid);
}

long fork_bound(long unused)
{
	pid_t parent = getpid(), pid = fork();

	(void)unused;
	if (!pid) {
		die_with_parent();
		while (getppid() == parent)
			pause();
		_exit(0);
	}
	return keep_child(pid);
}

long end_children(long n)
{
	for (; n > 0 && nchildren; n--) {
		kill(children[--nchildren], SIGKILL);
		if (waitpid(children[nchildren], NULL, 0) < 0)
			return -errno;
	}
	return 0;
}

long end_all_children(long unused)
{
	(void)unused;
	return end_children(nchildren);
}

long num_children(long unused)
{
	(void)unused;
	return nchildren;
}

long fork_and_wait(long unused)
{
	pid_t pid = fork();

	(void)unused;
	if (!pid)
		_exit(0);
	if (pid < 0)
		return -errno;
	return waitpid(pid, NULL, 0) == pid ? 0 : -errno;
}

long forks_until_refused(long most)
{
	long n = 0, err = 0;

	while (n < most && !err) {
		err = fork_and_wait(0);
		n += !err;
	}
	return err && err != -EAGAIN ? err : n;
}

long open_and_close(long n)
{
	long err = open_files(n);

	return err ?: close_files(n);
}

long close_first(long unused)
{
	(void)unused;
	if (!nfds)
		return -ENOENT;
	if (close(fds[0]))
		return -errno;
	memmove(fds, fds + 1, --nfds * sizeof(fds[0]));
	return 0;
}

long close_all(long unused)
{
	(void)unused;
	return close_files(nfds);
}

long held(long unused)
{
	(void)unused;
	return nfds;
}

long become_nobody(long unused)
{
	(void)unused;
	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	die_with_parent();		/* new credentials cancelled that */
	return 0;
}

/* By the system call: libcap may not be there. */
long drop_capability(long cap)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	unsigned int bit = CAP_TO_MASK(cap);

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[CAP_TO_INDEX(cap)].effective &= ~bit;
	data[CAP_TO_INDEX(cap)].permitted &= ~bit;
	data[CAP_TO_INDEX(cap)].inheritable &= ~bit;
	if (syscall(SYS_capset, &header, data))
		return -errno;
	die_with_parent();
	return 0;
}

int bc_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

int bc_count_lines(const char *path, const char *word)
{
	FILE *file = fopen(path, "re");
	char line[1024];
	int n = 0;

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		n += !!strstr(line, word);
	fclose(file);
	return n;
}

long enter_userns(long unused)
{
	int err;

	(void)unused;
	if (unshare(CLONE_NEWUSER))
		return -errno;
	err = bc_write_file("/proc/self/setgroups", "deny");
	if (!err)
		err = bc_write_file("/proc/self/uid_map", "0 0 1");
	if (!err)
		err = bc_write_file("/proc/self/gid_map", "0 0 1");
	die_with_parent();
	return err;
}

long pin_to_cpu(long n)
{
	int cpu = bc_cpu(n);
	cpu_set_t one;

	if (cpu < 0)
		return -EINVAL;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) ? -errno : 0;
}

long used_privilege(long unused)
{
	char buf[1024], *after;
	unsigned long flags;

	(void)unused;
	if (slurp("/proc/self/stat", buf, sizeof(buf)) <= 0)
		return -EIO;
	after = strrchr(buf, ')');
	if (!after || sscanf(after, ") %*c %*d %*d %*d %*d %*d %lu", &flags) != 1)
		return -EBADMSG;
	return !!(flags & PF_SUPERPRIV);
}

static struct arena *arena;

struct arena *arena_new(long most)
{
	void *p = mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	arena = p == MAP_FAILED ? NULL : p;
	if (arena)
		arena->most = most;
	return arena;
}

/* Adds to one of the arena's counts, and keeps its maximum. */
static void arena_add(long *count, long *highest)
{
	long now = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
	long old = __atomic_load_n(highest, __ATOMIC_SEQ_CST);

	while (now > old &&
	       !__atomic_compare_exchange_n(highest, &old, now, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

/*
 * What is open is counted after an open and until before a close. That never
 * exceeds what is held, so that whenever it exceeds the limit, too many were
 * let in. What is taken is counted the other way round.
 */
long hammer(long rounds)
{
	long n, err = 0;

	while (rounds-- > 0) {
		for (n = 0; n < arena->most; n++) {
			arena_add(&arena->taken, &arena->highest_taken);
			err = open_one(0);
			if (err) {
				__atomic_sub_fetch(&arena->taken, 1, __ATOMIC_SEQ_CST);
				break;
			}
			arena_add(&arena->open, &arena->highest);
		}
		if (err && err != -EMFILE)
			return err;
		__atomic_add_fetch(&arena->opened, n, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&arena->refused, !!err, __ATOMIC_SEQ_CST);
		__atomic_sub_fetch(&arena->open, n, __ATOMIC_SEQ_CST);
		close_files(n);
		__atomic_sub_fetch(&arena->taken, n, __ATOMIC_SEQ_CST);
		err = 0;
	}
	return 0;
}

long long bc_oom_kills(void)
{
	char word[64];
	long long n, kills = -1;
	FILE *file = fopen("/proc/vmstat", "re");

	if (!file)
		return -1;
	while (fscanf(file, "%63s %lld", word, &n) == 2)
		if (!strcmp(word, "oom_kill"))
			kills = n;
	fclose(file);
	return kills;
}

bool bc_has_word(const char *line, const char *word)
{
	char copy[1024], *w, *rest;

	snprintf(copy, sizeof(copy), "%s", line);
	for (w = strtok_r(copy, "\n ", &rest); w; w = strtok_r(NULL, "\n ", &rest))
		if (!strcmp(w, word))
			return true;
	return false;
}

long touch_pages(long n)
{
	char *mem = malloc(n * getpagesize());
	long i;

	if (!mem)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		((volatile char *)mem)[i * getpagesize()] = 1;
	return 0;
}
