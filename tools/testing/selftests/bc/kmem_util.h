/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of kmem share: usage when nothing is left of what was freed,
 * and workers that make do with the memory that they have.
 */
#ifndef KMEM_UTIL_H
#define KMEM_UTIL_H

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bc_util.h"

#define KIB(n) ((n) * 1024LL)
#define MIB(n) ((n) * 1024LL * 1024)

#define PAGE 4096

#define DROP_CACHES "/proc/sys/vm/drop_caches"
#define PROFILING "/proc/sys/vm/mem_profiling"
#define HOLDERS "/sys/kernel/debug/bc/kmem_holders"

/* What is used */

/*
 * Has the kernel free what it keeps for later: unused dentries and inodes, what
 * waits to be freed after a grace period in a batch, the address space that an
 * idle CPU has left over from its last process. In sysfs (a shrinker without seeks)
 * it leaves one dentry that is alone in its list: here it has company.
 */
static inline void give_back(void)
{
	cpu_set_t before;
	int i, n = bc_cpus();

	access("/sys/no-company-1", F_OK);
	access("/sys/no-company-2", F_OK);
	bc_write_file(DROP_CACHES, "2");
	if (sched_getaffinity(0, sizeof(before), &before))
		return;
	for (i = 0; i < n; i++)
		pin_to_cpu(i);
	sched_setaffinity(0, sizeof(before), &before);
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

/* The usage of @cg when nothing is left of what its processes have freed. */
static inline long long quiet(const char *cg)
{
	long long now, last = -1;
	int same = 0, i;

	for (i = 0; i < 500 && same < 2; i++) {
		give_back();
		bc_sleep_ms(10);
		now = cg_get(cg, "usage");
		same = now == last ? same + 1 : 0;
		last = now;
	}
	return last;
}

/* By how much more than @before is used, once what can be freed is. */
static inline long long beyond(const char *cg, long long before)
{
	long long now;

	give_back();
	now = cg_get(cg, "usage");
	return now < 0 || now > before ? now - before : 0;
}

/* A group's path as HOLDERS has it: what comes after the hierarchy's root. */
static inline const char *holders_name(const char *cg)
{
	const char *name = strstr(cg, "/bc_test");

	return name ?: cg;
}

/* Says what @cg still has, where the kernel can tell. */
static inline void log_holders(const char *cg)
{
	const char *name = holders_name(cg);
	size_t length = strlen(name);
	FILE *file = fopen(HOLDERS, "re");
	char line[1024];

	if (!file)
		return;
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, name, length) && isspace(line[length]))
			fprintf(stderr, "# still has: %s", line);
	fclose(file);
}

/* Calls for which room is made */

/*
 * A task has 200 ms to make room for a charge. When they are over, the charge is refused,
 * and so are others in the next 100 ms, whatever there is to be given up. A call that
 * took less than this, and that none such came before, was refused for another reason.
 */
#define SLOW_MS 150

/* Whether a call that began at @began was refused memory for lack of time. */
static inline bool lacked_time(long long began, long result)
{
	static long long pause_end;
	long long now = bc_now_ms();
	bool pauses = began < pause_end;
	bool slow = now - began >= SLOW_MS;

	if (slow)
		pause_end = now + SLOW_MS;
	if (result >= 0 || (errno != ENOMEM && errno != ENFILE) || !(slow || pauses))
		return false;
	bc_sleep_ms(SLOW_MS);
	return true;
}

/* The result of a system call, which is repeated, @tries times at most, if so. */
#define IN_TIME(tries, call) ({						\
	int __tries = (tries);						\
	long long __began;						\
	long __result;							\
									\
	do {								\
		__began = bc_now_ms();					\
		__result = (call);					\
	} while (__tries-- > 0 && lacked_time(__began, __result));	\
	__result;							\
})

#define TRIES 50

/* Looks up @n names that are not there, each of which is remembered. */
static inline long miss_names(long n)
{
	static long next;
	struct stat st;
	char path[64];

	while (n-- > 0) {
		snprintf(path, sizeof(path), "/sys/no-%ld-%d", next++, getpid());
		if (!IN_TIME(TRIES, stat(path, &st)) || errno != ENOENT)
			return -errno ?: -EEXIST;
	}
	return 0;
}

/* Events of a task's own files */

static char watched[] = "/tmp/bc_watched.XXXXXX";
static int own_watch;

static inline const char *watched_file(int i)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/f%d", watched, i);
	return path;
}

/* Makes a directory with two files, or returns -errno. */
static inline int make_watched(void)
{
	int i, fd;

	strcpy(watched + sizeof(watched) - 7, "XXXXXX");
	if (!mkdtemp(watched))
		return -errno;
	for (i = 0; i < 2; i++) {
		fd = open(watched_file(i), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

static inline void end_watched(void)
{
	int i;

	for (i = 0; i < 2; i++)
		unlink(watched_file(i));
	rmdir(watched);
}

static inline long watch_own(long unused)
{
	(void)unused;
	own_watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (own_watch < 0 || inotify_add_watch(own_watch, watched, IN_ATTRIB) < 0)
		return -errno;
	return 0;
}

/*
 * Makes events of its own files, and reads how many there are; -EOVERFLOW if one was
 * lost, -ETIME if there may have been no time to make room for it.
 */
static inline long own_events(long n)
{
	static char buf[64 * PAGE];
	struct inotify_event *event;
	long i, lost = 0, seen = 0, len, at;
	bool slow = false;
	long long began;

	/* One like the one before would be no event. */
	for (i = 0; i < n; i++) {
		began = bc_now_ms();
		if (chmod(watched_file(i % 2), 0600))
			return -errno;
		slow |= bc_now_ms() - began >= SLOW_MS;
	}
	while ((len = read(own_watch, buf, sizeof(buf))) > 0) {
		for (at = 0; at < len; at += sizeof(*event) + event->len) {
			event = (void *)(buf + at);
			seen++;
			lost += !!(event->mask & IN_Q_OVERFLOW);
		}
	}
	return !lost ? seen : slow ? -ETIME : -EOVERFLOW;
}

/* Workers that can work at a limit */

static void __attribute__((noinline, unused)) touch_stack(void)
{
	volatile char stack[KIB(256)];
	size_t i;

	for (i = 0; i < sizeof(stack); i += PAGE)
		stack[i] = 0;
}

/* Touches everything that there is, so that nothing faults later on. */
static inline long prepare(long unused)
{
	struct rlimit none = { 0, 0 };

	(void)unused;
	setrlimit(RLIMIT_CORE, &none);
	touch_stack();
	return mlockall(MCL_CURRENT) ? -errno : 0;
}

static inline struct worker *root_in(const char *cg)
{
	return worker_after(worker_new(cg), prepare, 0);
}

static inline struct worker *user_in(const char *cg)
{
	return worker_after(root_in(cg), become_nobody, 0);
}

#endif /* KMEM_UTIL_H */
