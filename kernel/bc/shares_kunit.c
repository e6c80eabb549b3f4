// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of shares: how they are read, what is possible, and what they
 * come to.
 */

#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/string.h>

#include "internal.h"

#define UNCHANGED	BC_SHARES_UNCHANGED
#define DONT_CARE	BC_SHARES_DONT_CARE

struct text {
	const char	*text;
	size_t		len;		/* 0: strlen(text) */
	bool		wrong;
	struct bc_shares shares;
};

static const struct text texts[] = {
	{ "min_shares=1 max_shares=2 child_shares_divisor=3", .shares = { 1, 2, 3 } },
	{ "child_shares_divisor=3 max_shares=2 min_shares=1\n", .shares = { 1, 2, 3 } },
	{ "min_shares=33", .shares = { 33, UNCHANGED, UNCHANGED } },
	{ "max_shares=66\n", .shares = { UNCHANGED, 66, UNCHANGED } },
	{ "\t child_shares_divisor=7 \n", .shares = { UNCHANGED, UNCHANGED, 7 } },
	{ "min_shares=0  \t max_shares=0", .shares = { 0, 0, UNCHANGED } },
	{ "min_shares=-3 max_shares=-1",
	  .shares = { DONT_CARE, UNCHANGED, UNCHANGED } },
	{ "min_shares=-1", .shares = { UNCHANGED, UNCHANGED, UNCHANGED } },
	/* Read, and refused later. */
	{ "min_shares=-2", .shares = { -2, UNCHANGED, UNCHANGED } },
	{ "max_shares=2147483647", .shares = { UNCHANGED, INT_MAX, UNCHANGED } },

	{ "", .wrong = true },
	{ " \n", .wrong = true },
	{ "33", .wrong = true },
	{ "min_shares", .wrong = true },
	{ "min_shares=", .wrong = true },
	{ "min_shares =1", .wrong = true },
	{ "min_shares= 1", .wrong = true },
	{ "min_shares=1,max_shares=2", .wrong = true },
	{ "min_shares=1 max_shares", .wrong = true },
	{ "min_shares=1 max_shares=x", .wrong = true },
	{ "min_shares=1 and more", .wrong = true },
	{ "min_shares=1 min_shares=2", .wrong = true },
	{ "min_shares=1 min_shares=1", .wrong = true },
	{ "min_shares=+1", .wrong = true },
	{ "min_shares=--1", .wrong = true },
	{ "min_shares=-", .wrong = true },
	{ "min_shares=0x10", .wrong = true },
	{ "min_shares=1.5", .wrong = true },
	{ "min_shares=2147483648", .wrong = true },
	{ "min_shares=99999999999999999999", .wrong = true },
	{ "MIN_SHARES=1", .wrong = true },
	{ "xmin_shares=1", .wrong = true },
	{ "min_sharess=1", .wrong = true },
	{ "min_shares=1\0", .len = 13, .wrong = true },
	{ "min_shares=1\0 max_shares=2", .len = 26, .wrong = true },
};

static void text_name(const struct text *text, char *name)
{
	snprintf(name, KUNIT_PARAM_DESC_SIZE, "\"%*pE\"",
		 (int)(text->len ?: strlen(text->text)), text->text);
}

KUNIT_ARRAY_PARAM(text, texts, text_name);

static void read_as_written(struct kunit *test)
{
	const struct text *text = test->param_value;
	const size_t len = text->len ?: strlen(text->text);
	struct bc_shares shares = { 71, 72, 73 };
	char buf[64];

	memcpy(buf, text->text, len);
	buf[len] = '\0';
	KUNIT_EXPECT_EQ(test, bc_parse_shares(buf, len, &shares),
			text->wrong ? -EINVAL : 0);
	KUNIT_EXPECT_EQ(test, shares.min, text->wrong ? 71 : text->shares.min);
	KUNIT_EXPECT_EQ(test, shares.max, text->wrong ? 72 : text->shares.max);
	KUNIT_EXPECT_EQ(test, shares.divisor,
			text->wrong ? 73 : text->shares.divisor);
}

static void fractions_are_rounded_down(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, bc_fraction(1000, 33, 100), 330);
	KUNIT_EXPECT_EQ(test, bc_fraction(1000, 1, 3), 333);
	KUNIT_EXPECT_EQ(test, bc_fraction(1000, 2, 3), 666);
	KUNIT_EXPECT_EQ(test, bc_fraction(1000, 3, 3), 1000);
	KUNIT_EXPECT_EQ(test, bc_fraction(1, 99, 100), 0);
	KUNIT_EXPECT_EQ(test, bc_fraction(99, 1, 100), 0);
	KUNIT_EXPECT_EQ(test, bc_fraction(100, 1, 100), 1);
	KUNIT_EXPECT_EQ(test, bc_fraction(0, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, bc_fraction(1000, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, bc_fraction(7, INT_MAX, INT_MAX), 7);
	KUNIT_EXPECT_EQ(test, bc_fraction(INT_MAX, 1, INT_MAX), 1);
}

static void fractions_do_not_overflow(struct kunit *test)
{
	const u64 max = RES_COUNTER_MAX;

	KUNIT_EXPECT_EQ(test, bc_fraction(max, 100, 100), max);
	KUNIT_EXPECT_EQ(test, bc_fraction(max, INT_MAX, INT_MAX), max);
	KUNIT_EXPECT_EQ(test, bc_fraction(max, 1, 2), max / 2);
	KUNIT_EXPECT_EQ(test, bc_fraction(max, INT_MAX - 1, INT_MAX),
			max - max / INT_MAX - 1);
	KUNIT_EXPECT_EQ(test, bc_fraction(max, 1, INT_MAX), max / INT_MAX);
}

/* However many there are: rounding never makes more of them than there is. */
static void fractions_never_exceed_the_whole(struct kunit *test)
{
	u64 amount;
	int divisor, part;

	for (divisor = 1; divisor <= 64; divisor++)
		for (amount = 0; amount <= 200; amount++) {
			u64 sum = 0;

			for (part = 1; part <= divisor; part++)
				sum += bc_fraction(amount, 1, divisor);
			KUNIT_ASSERT_LE(test, sum, amount);
			KUNIT_ASSERT_EQ(test, sum, amount - amount % divisor);
		}
}

/* As if it was written in the midst of a tree. */
static bool possible(int min, int max, int divisor, int of, u64 others,
		     u64 children, int highest)
{
	const struct bc_shares shares = { min, max, divisor };
	u64 parts = min > 0 ? others + min : 0;

	return bc_check_shares(&shares, of, parts, children, highest);
}

static void guarantees_are_within_the_divisor(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, possible(100, DONT_CARE, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_FALSE(test, possible(101, DONT_CARE, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_TRUE(test, possible(40, DONT_CARE, 100, 100, 60, 0, -1));
	KUNIT_EXPECT_FALSE(test, possible(41, DONT_CARE, 100, 100, 60, 0, -1));
	/* A group that does not care takes nothing from its siblings. */
	KUNIT_EXPECT_TRUE(test, possible(DONT_CARE, 100, 100, 100, 100, 0, -1));
	KUNIT_EXPECT_TRUE(test, possible(0, 100, 100, 100, 100, 0, -1));
	KUNIT_EXPECT_TRUE(test, possible(INT_MAX, INT_MAX, 1, INT_MAX, 0, 0, -1));
	KUNIT_EXPECT_FALSE(test, possible(INT_MAX, INT_MAX, 1, INT_MAX, 1, 0, -1));
}

static void ceilings_are_above_guarantees(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, possible(33, 66, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_TRUE(test, possible(33, 33, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_FALSE(test, possible(34, 33, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_TRUE(test, possible(DONT_CARE, 0, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_FALSE(test, possible(1, 0, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_TRUE(test, possible(33, DONT_CARE, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_TRUE(test, possible(DONT_CARE, 100, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_FALSE(test, possible(DONT_CARE, 101, 100, 100, 0, 0, -1));
	/* Ceilings may add up to more than there is. */
	KUNIT_EXPECT_TRUE(test, possible(DONT_CARE, 90, 100, 100, 90, 0, -1));
}

static void divisors_have_room_for_the_children(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, possible(DONT_CARE, DONT_CARE, 0, 100, 0, 0, -1));
	KUNIT_EXPECT_FALSE(test, possible(DONT_CARE, DONT_CARE, -3, 100, 0, 0, -1));
	KUNIT_EXPECT_TRUE(test, possible(DONT_CARE, DONT_CARE, 1, 100, 0, 0, -1));
	KUNIT_EXPECT_TRUE(test, possible(DONT_CARE, DONT_CARE, 90, 100, 0, 90, 50));
	KUNIT_EXPECT_FALSE(test, possible(DONT_CARE, DONT_CARE, 89, 100, 0, 90, 50));
	KUNIT_EXPECT_TRUE(test, possible(DONT_CARE, DONT_CARE, 66, 100, 0, 10, 66));
	KUNIT_EXPECT_FALSE(test, possible(DONT_CARE, DONT_CARE, 65, 100, 0, 10, 66));
	/* More than an int can count. */
	KUNIT_EXPECT_FALSE(test, possible(DONT_CARE, DONT_CARE, INT_MAX, 100, 0,
					  1ULL << 32, -1));
}

static void no_other_number_stands_for_anything(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, possible(DONT_CARE, DONT_CARE, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_FALSE(test, possible(-2, DONT_CARE, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_FALSE(test, possible(DONT_CARE, -2, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_FALSE(test, possible(-4, DONT_CARE, 100, 100, 0, 0, -1));
	KUNIT_EXPECT_FALSE(test, possible(INT_MIN, DONT_CARE, 100, 100, 0, 0, -1));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(read_as_written, text_gen_params),
	KUNIT_CASE(fractions_are_rounded_down),
	KUNIT_CASE(fractions_do_not_overflow),
	KUNIT_CASE(fractions_never_exceed_the_whole),
	KUNIT_CASE(guarantees_are_within_the_divisor),
	KUNIT_CASE(ceilings_are_above_guarantees),
	KUNIT_CASE(divisors_have_room_for_the_children),
	KUNIT_CASE(no_other_number_stands_for_anything),
	{ }
};

static struct kunit_suite suite = {
	.name = "bc_shares",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of the beancounters' shares");
MODULE_LICENSE("GPL");
