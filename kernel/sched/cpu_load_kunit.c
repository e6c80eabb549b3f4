// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the arithmetic of CPU loads.
 */

#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/math64.h>

#include "cpu_load.h"

/* How many periods of 2 s each average looks back: 10, 60 and 300 s. */
static const unsigned int memory[CPU_LOAD_AVERAGES] = { 5, 30, 150 };

static void share_is_a_fraction(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 0, cpu_load_share(0, 1));
	KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE, cpu_load_share(1, 1));
	KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE / 2, cpu_load_share(1, 2));
	KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE / 3, cpu_load_share(1, 3));
	/* Nothing was offered, and more was used than offered. */
	KUNIT_EXPECT_EQ(test, 0, cpu_load_share(0, 0));
	KUNIT_EXPECT_EQ(test, 0, cpu_load_share(5, 0));
	KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE, cpu_load_share(2, 1));
	KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE, cpu_load_share(U64_MAX, 1));
}

/* Times 2^30, these are more than 64 bits. */
static void share_of_long_times(struct kunit *test)
{
	/* 8192 CPUs, an hour, in nanoseconds */
	const u64 offered = 8192ULL * 3600 * NSEC_PER_SEC;

	KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE / 4, cpu_load_share(offered / 4, offered));
	KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE, cpu_load_share(offered, offered));
	KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE - 1, cpu_load_share(offered - 1, offered));
	KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE, cpu_load_share(U64_MAX, U64_MAX));
	KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE / 2 - 1,
			cpu_load_share(U64_MAX / 2, U64_MAX));
}

/* In units of the last digit: n roundings down, each carried on. */
static void expect_near(struct kunit *test, u32 expected, u32 seen, u32 off)
{
	KUNIT_EXPECT_LE(test, expected, seen + off);
	KUNIT_EXPECT_LE(test, seen, expected + off);
}

/* After its own time, an average has forgotten all but 1/e of what it was. */
static void averages_have_their_time(struct kunit *test)
{
	const u32 one_e = 395007543;	/* 2^30 / e */
	int i;

	/*
	 * A factor is off by half a unit, its n-th power by n / 2. Squaring
	 * rounds down at most twice for each bit of n, and a unit lost at the
	 * first bit is worth n in the end: less than 2n altogether.
	 */
	for (i = 0; i < CPU_LOAD_AVERAGES; i++)
		expect_near(test, one_e,
			    cpu_load_decay(CPU_LOAD_ONE, 0, cpu_load_factors[i],
					   memory[i]),
			    memory[i] / 2 + 2 * memory[i]);
}

static void nothing_elapsed_nothing_changes(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 12345,
			cpu_load_decay(12345, CPU_LOAD_ONE, cpu_load_factors[0], 0));
}

/* A full machine is 100 percent, an idle one 0, and both stay so. */
static void ends_are_reached_and_kept(struct kunit *test)
{
	u32 up, down;
	int i, n;

	for (i = 0; i < CPU_LOAD_AVERAGES; i++) {
		up = 0;
		down = CPU_LOAD_ONE;
		for (n = 0; n < 30 * memory[i]; n++) {
			up = cpu_load_decay(up, CPU_LOAD_ONE, cpu_load_factors[i], 1);
			down = cpu_load_decay(down, 0, cpu_load_factors[i], 1);
			KUNIT_ASSERT_LE(test, up, CPU_LOAD_ONE);
		}
		/*
		 * Rounding to the nearest holds it where a step is less than a
		 * half: at a distance of n / 2, as a step is one n-th of it.
		 */
		expect_near(test, CPU_LOAD_ONE, up, memory[i] / 2 + 1);
		expect_near(test, 0, down, memory[i] / 2 + 1);
		KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE,
				cpu_load_decay(CPU_LOAD_ONE, CPU_LOAD_ONE,
					       cpu_load_factors[i], 1));
		KUNIT_EXPECT_EQ(test, 0,
				cpu_load_decay(0, 0, cpu_load_factors[i], 1));
	}
}

/* Work that comes late leaves what work in time would have left. */
static void missed_periods_count(struct kunit *test)
{
	const u32 loads[] = { 0, CPU_LOAD_ONE / 3, CPU_LOAD_ONE };
	const u32 start = CPU_LOAD_ONE / 7;
	u32 each;
	int i, l, n;

	for (i = 0; i < CPU_LOAD_AVERAGES; i++)
		for (l = 0; l < ARRAY_SIZE(loads); l++) {
			each = start;
			for (n = 1; n <= 400; n++) {
				each = cpu_load_decay(each, loads[l],
						      cpu_load_factors[i], 1);
				/*
				 * Each step rounds by a half, which fades with
				 * the average: by memory / 2 altogether; the
				 * power by 2n, which fades, too: n * e^(-n /
				 * memory) is never more than memory / e.
				 */
				expect_near(test, each,
					    cpu_load_decay(start, loads[l],
							   cpu_load_factors[i], n),
					    memory[i] * 2 + 1);
			}
		}
}

/*
 * However long no task has read the file: no loop over the periods, no
 * overflow.
 */
static void long_absence(struct kunit *test)
{
	int i;

	for (i = 0; i < CPU_LOAD_AVERAGES; i++) {
		KUNIT_EXPECT_EQ(test, 77, cpu_load_decay(CPU_LOAD_ONE, 77,
							 cpu_load_factors[i],
							 U64_MAX));
		KUNIT_EXPECT_EQ(test, CPU_LOAD_ONE,
				cpu_load_decay(0, CPU_LOAD_ONE,
					       cpu_load_factors[i], U64_MAX));
	}
}

static struct kunit_case cpu_load_cases[] = {
	KUNIT_CASE(share_is_a_fraction),
	KUNIT_CASE(share_of_long_times),
	KUNIT_CASE(averages_have_their_time),
	KUNIT_CASE(nothing_elapsed_nothing_changes),
	KUNIT_CASE(ends_are_reached_and_kept),
	KUNIT_CASE(missed_periods_count),
	KUNIT_CASE(long_absence),
	{}
};

static struct kunit_suite cpu_load_suite = {
	.name = "bc_cpu_load",
	.test_cases = cpu_load_cases,
};
kunit_test_suite(cpu_load_suite);
