// SPDX-License-Identifier: GPL-2.0
/*
 * CPU load over minutes: the averages against the formula, and the end of a
 * watch.
 *
 * On a machine where no hypervisor steals time and ticks come when they are
 * due. This has a boot of its own, in which time is counted in instructions and
 * is not waited for.
 */
/* bc-boot: --icount */
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "cpu_load.h"

#define PERIOD_US 2000000LL

/*
 * How late work may be that is due at a time: the timer wheel rounds up two
 * seconds by as much as a 64th, and it is a tick or two that is rounded before.
 */
#define LATE_US (PERIOD_US / 64 + 2 * 10000)

/* What a period leaves of an average: e^(-2/10), e^(-2/60), e^(-2/300). */
static const double keeps[3] = { 0.81873075, 0.96721610, 0.99335551 };

FIXTURE(cpu_load_time)
{
	char *top;
	char *group;
	int cpus;
};

FIXTURE_VARIANT(cpu_load_time)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(cpu_load_time, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(cpu_load_time, v2) { .v2 = true };

FIXTURE_SETUP(cpu_load_time)
{
	if (load_missing(variant->v2))
		SKIP(return, "%s", bc_why);
	self->top = load_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	ASSERT_NE(NULL, self->group);
	self->cpus = sysconf(_SC_NPROCESSORS_ONLN);
}

FIXTURE_TEARDOWN(cpu_load_time)
{
	load_teardown();
}

/* One busy process is one CPU, one that rests as long as it works a half. */
TEST_F(cpu_load_time, busy_and_half_busy)
{
	char *half = cg_new(self->top, "half");
	struct worker *w = worker_new(self->group);
	struct load l;

	ASSERT_NE(NULL, half);
	ASSERT_NE(NULL, w);
	ASSERT_TRUE(read_load(self->group, &l));
	start(w, spin, 0);
	bc_sleep_ms(2000);
	/*
	 * What else the machine does in two seconds, waking this process among
	 * it, is less than a hundredth of it.
	 */
	ASSERT_TRUE(read_load(self->group, &l));
	EXPECT_LE(99, l.cpus);
	EXPECT_GE(100, l.cpus);
	EXPECT_LE(99 / self->cpus, l.load);
	EXPECT_GE(100 / self->cpus, l.load);
	worker_kill(w);

	w = worker_new(half);
	ASSERT_NE(NULL, w);
	ASSERT_TRUE(read_load(half, &l));
	start(w, spin_and_rest, 50);
	/* 20 times of work and rest. A timer is 50 us late on purpose. */
	bc_sleep_ms(2000);
	ASSERT_TRUE(read_load(half, &l));
	EXPECT_LE(49, l.cpus);
	EXPECT_GE(51, l.cpus);
}

/* No group is charged for the idle tasks. */
TEST_F(cpu_load_time, idle_is_charged_to_no_group)
{
	char root[PATH_MAX];
	struct load a, b;

	if (variant->v2)
		SKIP(return, "v2's root has no such file");
	snprintf(root, sizeof(root), "%s", self->top);
	*strrchr(root, '/') = '\0';
	ASSERT_TRUE(read_load(root, &a));
	bc_sleep_ms(5000);
	ASSERT_TRUE(read_load(root, &b));
	EXPECT_LE(5000000LL * self->cpus, b.offered - a.offered);
	/*
	 * A hundredth for the kernel's own work; the idle tasks had the rest.
	 */
	EXPECT_GE((b.offered - a.offered) / 100, b.time - a.time);
}

/* Periods that have ended until @us. */
static long long periods(long long us)
{
	return us / PERIOD_US;
}

/*
 * Compares an average, in hundredths of a percent, with @value, a part of one.
 * What was used @off microseconds too early or late is weighed as if in the
 * wrong period, which makes a difference of at most what a period counts for.
 */
#define EXPECT_AVERAGE(i, value, off, seen) do {			\
	double __slack = (1 - keeps[i]) * (off) / PERIOD_US / self->cpus; \
									\
	/* and half of the last digit */				\
	EXPECT_LE((long long)(((value) - __slack) * 10000 - 0.5), seen);	\
	EXPECT_GE((long long)(((value) + __slack) * 10000 + 1.5), seen);	\
} while (0)

TEST_F_TIMEOUT(cpu_load_time, averages, 500)
{
	struct worker *w = worker_new_on_cpu(self->group, 0);
	long long begun, ended, used, off, gone, t;
	double full = 1.0 / self->cpus, value[3];
	struct load l;
	int i;

	ASSERT_NE(NULL, w);
	/*
	 * A tenth of a second after the end of a period, ten seconds of work.
	 */
	t = clock_us(CLOCK_MONOTONIC);
	bc_sleep_ms((PERIOD_US - t % PERIOD_US) / 1000 + 100);
	ASSERT_TRUE(read_load(self->group, &l));
	EXPECT_EQ(0, l.avg10 + l.avg60 + l.avg300);
	begun = clock_us(CLOCK_MONOTONIC);
	used = cpu_us(w->pid);
	ASSERT_EQ(0, call(w, burn, 10000000));
	used = cpu_us(w->pid) - used;
	ended = clock_us(CLOCK_MONOTONIC);
	ASSERT_TRUE(read_load(self->group, &l));

	/* Each period that has ended was full, but for what others took. */
	off = LATE_US + (ended - begun - used);
	EXPECT_EQ(5, periods(ended) - periods(begun));
	for (i = 0; i < 3; i++) {
		long long n = periods(ended) - periods(begun);

		for (value[i] = 0; n--; )
			value[i] = value[i] * keeps[i] + full * (1 - keeps[i]);
	}
	EXPECT_AVERAGE(0, value[0], off, l.avg10);
	EXPECT_AVERAGE(1, value[1], off, l.avg60);
	EXPECT_AVERAGE(2, value[2], off, l.avg300);

	/*
	 * The rest of the work is in the period after those; then there is
	 * none.
	 */
	bc_sleep_ms(100000);
	t = clock_us(CLOCK_MONOTONIC);
	ASSERT_TRUE(read_load(self->group, &l));
	gone = periods(t) - periods(ended);
	for (i = 0; i < 3; i++) {
		value[i] = value[i] * keeps[i] +
			   full * (1 - keeps[i]) * (ended % PERIOD_US) / PERIOD_US;
		for (long long n = gone - 1; n > 0; n--)
			value[i] *= keeps[i];
	}
	EXPECT_AVERAGE(0, value[0], off, l.avg10);
	EXPECT_AVERAGE(1, value[1], off, l.avg60);
	EXPECT_AVERAGE(2, value[2], off, l.avg300);
	/*
	 * A task that has not read for so long finds the interval that it left.
	 */
	EXPECT_LE((t - begun) * self->cpus, l.offered);
	EXPECT_LE(10000000, l.time);

	/*
	 * Five minutes later there is no watch, which is seen at the end of a
	 * period; the next reader begins anew.
	 */
	if (!variant->v2)
		return;
	bc_sleep_ms(300000 + (PERIOD_US + LATE_US) / 1000 + 1);
	ASSERT_TRUE(read_load(self->group, &l));
	EXPECT_EQ(0, l.time);
	EXPECT_EQ(0, l.offered);
	EXPECT_EQ(0, l.avg10 + l.avg60 + l.avg300);
	EXPECT_LE(10000000, l.accumulated);
}

TEST_HARNESS_MAIN
