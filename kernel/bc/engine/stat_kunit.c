// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of what is shown: extremes, totals, kinds, and underflow
 */

#include <kunit/test.h>
#include <linux/preempt.h>

#include "told_kunit.h"

static void extremes_and_totals(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *c = told_counter(test, told, top);
	struct res_owner *owner = must_charge(test, c, 7);
	u64 usage;

	uncharge(told, owner, 4);
	expect_about(test, snapshot(c).max_usage, 7);
	expect_about(test, snapshot(top).max_usage, 7);
	KUNIT_EXPECT_EQ(test, snapshot(c).min_usage, 0);
	KUNIT_EXPECT_EQ(test, snapshot(top).charged, 7);
	KUNIT_EXPECT_EQ(test, snapshot(top).uncharged, 4);

	expect_about(test, res_counter_restart_max(c, &usage), 7);
	KUNIT_EXPECT_EQ(test, usage, 3);
	must_charge(test, c, 2);
	expect_about(test, snapshot(c).recent_max, 5);
	expect_about(test, snapshot(c).max_usage, 7);

	res_counter_reset(c, RES_RESET_MAX | RES_RESET_MIN);
	KUNIT_EXPECT_EQ(test, snapshot(c).max_usage, 5);
	KUNIT_EXPECT_EQ(test, snapshot(c).min_usage, 5);
	KUNIT_EXPECT_EQ(test, snapshot(c).charged, 9);
	expect_about(test, snapshot(top).max_usage, 7);
	uncharge(told, owner, 1);
	KUNIT_EXPECT_EQ(test, snapshot(c).min_usage, 4);

	res_counter_reset(c, RES_RESET_TOTALS);
	KUNIT_EXPECT_EQ(test, snapshot(c).charged, 0);
	KUNIT_EXPECT_EQ(test, snapshot(c).uncharged, 0);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 4, true), 0);
	must_refuse(test, c, 1, BC_LIMIT);
	res_counter_reset(c, RES_RESET_FAILCNT);
	KUNIT_EXPECT_EQ(test, snapshot(c).failcnt, 0);

	uncharge(told, owner, 4);
	res_counter_remove(c);
	res_counter_remove(top);
}

static void note(struct told *told, struct res_owner *owner, unsigned int kind,
		 long n)
{
	preempt_disable();
	res_stock_note(told->root.stock, owner, kind, n);
	preempt_enable();
}

static void expect_kinds(struct kunit *test, struct res_counter *counter, u64 a,
			 u64 b, u64 c)
{
	KUNIT_EXPECT_EQ(test, snapshot(counter).kinds[0], a);
	KUNIT_EXPECT_EQ(test, snapshot(counter).kinds[1], b);
	KUNIT_EXPECT_EQ(test, snapshot(counter).kinds[2], c);
}

/*
 * Kinds are noted in the stock or in the counter, count in all ancestors, and
 * are the parent's after a removal.
 */
static void kinds_follow_their_units(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_owner *owner;
	int i;

	told->root.kinds = RES_KINDS;
	/* What is reserved and not used is of no kind. */
	KUNIT_EXPECT_EQ(test, 0, set_reserved(low, 20, RES_LIMIT_KEEP));
	owner = must_charge(test, low, 10);
	note(told, owner, 0, 7);
	note(told, owner, 1, 3);
	expect_kinds(test, low, 7, 3, 0);
	expect_kinds(test, top, 7, 3, 0);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 20);

	/* Some go into the stock and some come from there, or there is none. */
	for (i = 0; i < 20; i++) {
		struct res_owner *more = must_charge(test, low, 1 + i % 5);

		note(told, more, i % 3, 1 + i % 5);
		note(told, more, i % 3, -(1 + i % 5));
		uncharge(told, more, 1 + i % 5);
	}
	expect_kinds(test, low, 7, 3, 0);
	expect_kinds(test, top, 7, 3, 0);

	/* By way of the lock; and what is noted or not is there. */
	owner = must_charge(test, low, 6);
	note(told, owner, 1, 4);
	KUNIT_EXPECT_EQ(test, snapshot(top).all_kinds, 16);
	res_counter_uncharge_kind(owner, 4, 1);
	expect_kinds(test, top, 7, 3, 0);
	KUNIT_EXPECT_EQ(test, snapshot(low).all_kinds, 12);
	uncharge(told, owner, 2);
	KUNIT_EXPECT_EQ(test, snapshot(low).all_kinds, 10);
	KUNIT_EXPECT_EQ(test, snapshot(top).all_kinds, 10);

	/* They can become others. */
	note(told, owner, 0, -2);
	note(told, owner, 2, 2);
	expect_kinds(test, top, 5, 3, 2);

	res_counter_remove(low);
	expect_kinds(test, top, 5, 3, 2);
	res_counter_uncharge_kind(owner, 3, 1);
	expect_kinds(test, top, 5, 0, 2);
	KUNIT_EXPECT_EQ(test, snapshot(top).all_kinds, 7);
	res_counter_remove(top);
	/* No counter is left that would show them. */
	note(told, owner, 0, -5);
	note(told, owner, 2, -2);
	uncharge(told, owner, 7);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

/* Warns once a boot, on purpose. */
static void underflow_is_reported_and_stops_at_zero(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_owner *of_low = must_charge(test, low, 2);
	struct res_owner *of_top = must_charge(test, top, 3);

	kunit_info(test, "a warning of \"units returned, never taken\" is expected here\n");
	uncharge(told, of_low, 4);
	KUNIT_EXPECT_EQ(test, snapshot(low).usage, 0);
	/* What other groups have charged is left alone. */
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 3);
	KUNIT_EXPECT_EQ(test, root_usage(told), 3);

	uncharge(told, of_top, 3);
	res_counter_remove(low);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, told->freed, 2);
}

static struct kunit_case stat_cases[] = {
	KUNIT_CASE(extremes_and_totals),
	KUNIT_CASE(kinds_follow_their_units),
	KUNIT_CASE(underflow_is_reported_and_stops_at_zero),
	{ }
};

static struct kunit_suite stat_suite = {
	.name = "bc_engine_stat",
	.test_cases = stat_cases,
};

kunit_test_suite(stat_suite);
