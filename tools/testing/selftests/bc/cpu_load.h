/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of CPU load share: reading a group's load together with what
 * there is to compare it with, and workers that use CPU time.
 *
 * The kernel adds to a task's CPU clock, which another process may read, and to
 * its groups' totals while it has the CPU's run queue locked. A total that is read
 * between two readings of the clocks (see cpu_us()) therefore lies between them,
 * whichever tasks ran meanwhile and however late ticks come. It is the same with
 * the time. What tests compare are differences of such readings: no tolerance is
 * needed but for microseconds that are rounded.
 */
#ifndef CPU_LOAD_H
#define CPU_LOAD_H

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "bc_util.h"

#define INTERVAL "/proc/sys/kernel/cpuacct_load_interval_ms"
#define DEFAULT_MS 10000
#define LONGEST_MS 3600000

/* What a file says: times in microseconds, two decimals as hundredths. */
struct load {
	long long time, accumulated, offered, load, cpus;
	long long avg10, avg60, avg300;
};

/* Something that was read between @from and @to. */
struct bounds {
	long long from, to;
};

struct look {
	struct load load;
	struct bounds used;	/* the workers' CPU clocks */
	struct bounds wall;
};

static inline const char *load_file(void)
{
	return bc_v2 ? "cpu.load" : "cpuacct.load";
}

/* Whether the file says what it has to say, to the letter. */
static inline bool read_load(const char *cg, struct load *l)
{
	const char *text = cg_read(cg, load_file());
	long long whole[4];
	unsigned int part[4];
	char again[512];

	if (sscanf(text, "time %lld\naccumulated time %lld\n"
		   "time since interval %lld\nload %lld\nload_cpus %lld.%2u\n"
		   "avg10=%lld.%2u avg60=%lld.%2u avg300=%lld.%2u\n",
		   &l->time, &l->accumulated, &l->offered, &l->load,
		   &whole[0], &part[0], &whole[1], &part[1], &whole[2], &part[2],
		   &whole[3], &part[3]) != 12)
		return false;
	snprintf(again, sizeof(again), "time %lld\naccumulated time %lld\n"
		 "time since interval %lld\nload %lld\nload_cpus %lld.%02u\n"
		 "avg10=%lld.%02u avg60=%lld.%02u avg300=%lld.%02u\n",
		 l->time, l->accumulated, l->offered, l->load, whole[0], part[0],
		 whole[1], part[1], whole[2], part[2], whole[3], part[3]);
	l->cpus = whole[0] * 100 + part[0];
	l->avg10 = whole[1] * 100 + part[1];
	l->avg60 = whole[2] * 100 + part[2];
	l->avg300 = whole[3] * 100 + part[3];
	return !strcmp(text, again);
}

/* A clock in microseconds. */
static inline long long clock_us(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return LLONG_MIN / 4;
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

/*
 * The CPU clock of a process, of all its threads. The clock is read without a lock
 * and goes ahead of the totals for a moment, which lasts if the CPU is held up just
 * then. What takes the lock of the run queue waits until they have it, too.
 */
static inline long long cpu_us(pid_t pid)
{
	struct timespec unused;
	clockid_t clock;
	long long us;

	if (clock_getcpuclockid(pid, &clock))
		return LLONG_MIN / 4;
	us = clock_us(clock);
	sched_rr_get_interval(pid, &unused);
	return us;
}

static inline long long cpus_us(struct worker **workers, int n)
{
	long long sum = 0;

	while (n--)
		sum += cpu_us(workers[n]->pid);
	return sum;
}

/* Reads the load of @cg, where these are all its tasks, or have been. */
static inline bool look_at(const char *cg, struct worker **workers, int n,
			   struct look *look)
{
	bool ok;

	look->wall.from = clock_us(CLOCK_MONOTONIC);
	look->used.from = cpus_us(workers, n);
	ok = read_load(cg, &look->load);
	look->used.to = cpus_us(workers, n);
	look->wall.to = clock_us(CLOCK_MONOTONIC);
	return ok;
}

/* What has come to something between two looks. */
static inline struct bounds since(struct bounds a, struct bounds b)
{
	return (struct bounds){ b.from - a.to, b.to - a.from };
}

/*
 * Every number was rounded down to a microsecond, on both sides: a difference of two
 * numbers is off by one, that of sums of n by n.
 */
#define EXPECT_WITHIN(range, n, seen) do {				\
	struct bounds __within = (range);				\
	long long __number = (seen);					\
									\
	EXPECT_LE(__within.from - 1 - (n), __number);			\
	EXPECT_GE(__within.to + 1 + (n), __number);			\
} while (0)

/* Work */

/* Uses @us microseconds of its CPU clock, of which few are spent on reading that. */
static inline long burn(long us)
{
	long long end = clock_us(CLOCK_PROCESS_CPUTIME_ID) + us;

	while (clock_us(CLOCK_PROCESS_CPUTIME_ID) < end)
		for (int i = 0; i < 20000; i++)
			__asm__ volatile("");
	return 0;
}

/* Runs until it is killed. */
static inline long spin(long unused)
{
	(void)unused;
	for (;;)
		burn(LONG_MAX);
	return 0;
}

/* The same, but rests @ms after each @ms of work. */
static inline long spin_and_rest(long ms)
{
	for (;;) {
		burn(ms * 1000);
		bc_sleep_ms(ms);
	}
	return 0;
}

static inline int set_interval(long ms)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld\n", ms);
	return bc_write_file(INTERVAL, text);
}

/* For a fixture: the top group, or NULL and bc_why. */
static inline char *load_setup(bool v2)
{
	char *top;

	bc_controller = v2 ? "cpu" : "cpuacct";
	top = bc_setup(v2);
	/* One interval that ends in no test, unless the test says so. */
	if (top && (set_interval(DEFAULT_MS) || set_interval(LONGEST_MS))) {
		snprintf(bc_why, sizeof(bc_why), "cannot write " INTERVAL);
		return NULL;
	}
	return top;
}

static inline bool load_missing(bool v2)
{
	bc_controller = v2 ? "cpu" : "cpuacct";
	if (bc_missing())
		return true;
	if (!access(INTERVAL, F_OK))
		return false;
	snprintf(bc_why, sizeof(bc_why), "this kernel shows no load of groups");
	return true;
}

static inline void load_teardown(void)
{
	set_interval(DEFAULT_MS);
	bc_teardown();
}

#endif /* CPU_LOAD_H */
