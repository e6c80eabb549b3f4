// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the stock: what a CPU keeps, and for which groups
 */

#include <kunit/test.h>
#include <linux/preempt.h>

#include "told_kunit.h"

static void stock_serves_charges(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_owner *owner;
	u64 stocked;

	stay_here(test);
	KUNIT_EXPECT_FALSE(test, stock_has(told, low, 1));
	owner = must_charge(test, low, 1);
	/* More than one comes at a time, for this group and no other. */
	stocked = snapshot(low).stocked;
	KUNIT_EXPECT_GT(test, stocked, 0);
	KUNIT_EXPECT_LE(test, stocked, STOCKED_MAX);
	KUNIT_EXPECT_EQ(test, snapshot(low).usage, 1);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 1);
	KUNIT_EXPECT_GE(test, snapshot(top).stocked, stocked);
	KUNIT_EXPECT_TRUE(test, stock_has(told, low, 1));
	KUNIT_EXPECT_FALSE(test, stock_has(told, low, STOCKED_MAX));
	KUNIT_EXPECT_FALSE(test, stock_has(told, top, 1));
	uncharge(told, owner, 1);
	KUNIT_EXPECT_EQ(test, snapshot(low).usage, 0);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 0);

	/* Another group's charge leaves it in its place. */
	must_charge(test, top, 1);
	KUNIT_EXPECT_TRUE(test, stock_has(told, low, 1));
	KUNIT_EXPECT_TRUE(test, stock_has(told, top, 1));
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 1);
	uncharge(told, top->owner, 1);
	res_counter_remove(low);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
	KUNIT_EXPECT_EQ(test, told->freed, 2);
}

/*
 * A reservation that was used up covers charges again as units return. Catches:
 * what was found on the path while it was full, and is not looked at anew.
 */
static void reservation_covers_anew(struct kunit *test, bool own, u64 n)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *mid = told_counter(test, told, top);
	struct res_counter *low = told_counter(test, told, mid);
	const u64 reserved = 1000 * num_online_cpus();
	u64 charged = 0;

	KUNIT_ASSERT_EQ(test, 0,
			res_counter_set_limit(top, reserved + 1, true));
	KUNIT_ASSERT_EQ(test, 0, set_reserved(own ? low : mid, reserved,
					      RES_LIMIT_KEEP));
	stay_here(test);
	must_charge(test, low, reserved + 1);
	res_counter_drain(low);
	/* Its bank is opened again. */
	uncharge(told, low->owner, 2);
	must_charge(test, low, 2);
	/* This CPU looks at the path: there is no room above. */
	uncharge(told, low->owner, 1);
	KUNIT_EXPECT_FALSE(test, stock_has(told, low, 1));
	uncharge(told, low->owner, reserved);
	for (; charged < reserved / 2; charged += n)
		must_charge(test, low, n);
	must_charge(test, low, 1);
	KUNIT_EXPECT_TRUE(test, stock_has(told, low, 1));

	uncharge(told, low->owner, charged + 1);
	res_counter_remove(low);
	res_counter_remove(mid);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

static void stock_comes_back_with_a_reservation(struct kunit *test)
{
	/* Less than the bank may keep, and more. */
	reservation_covers_anew(test, false, 1);
	reservation_covers_anew(test, false, 500);
	/* The bank has all that is covered. */
	reservation_covers_anew(test, true, 1);
}

/* There are more groups than slots. A group that is at work gets a slot. */
static void slots_are_for_groups_at_work(struct kunit *test)
{
	enum { NR = 2 * RES_SLOTS };
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL), *c[NR];
	int i, j, has = 0;

	stay_here(test);
	for (i = 0; i < NR; i++) {
		c[i] = told_counter(test, told, top);
		must_charge(test, c[i], 1);
	}
	for (i = 0; i < NR; i++)
		has += stock_has(told, c[i], 1);
	KUNIT_EXPECT_GT(test, has, 0);
	KUNIT_EXPECT_LE(test, has, RES_SLOTS);
	for (i = 0; i < NR; i++) {
		for (j = 0; j < 9; j++)
			must_charge(test, c[i], 1);
		KUNIT_EXPECT_TRUE(test, stock_has(told, c[i], 1));
		KUNIT_EXPECT_EQ(test, snapshot(c[i]).usage, 10);
	}
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 10 * NR);
	for (i = 0; i < NR; i++) {
		uncharge(told, c[i]->owner, 10);
		KUNIT_EXPECT_EQ(test, snapshot(c[i]).usage, 0);
		res_counter_remove(c[i]);
	}
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 0);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

/* A slot that another resource's group takes goes back to its own machine. */
static void stock_can_be_shared(struct kunit *test)
{
	enum { NR = 2 * RES_SLOTS };
	struct told *told[2];
	struct res_counter *c[2][NR];
	int i, j, r;

	told[0] = told_new(test);
	told[1] = told_new_beside(test, told[0]);
	stay_here(test);
	for (i = 0; i < NR; i++)
		for (r = 0; r < 2; r++)
			c[r][i] = told_counter(test, told[r], NULL);
	/* Long enough for each to get a slot, and to lose it to the next one. */
	for (i = 0; i < NR; i++)
		for (r = 0; r < 2; r++)
			for (j = 0; j < 9 + r; j++)
				must_charge(test, c[r][i], 1);
	for (r = 0; r < 2; r++) {
		KUNIT_EXPECT_EQ(test, root_usage(told[r]), (9 + r) * NR);
		for (i = 0; i < NR; i++) {
			KUNIT_EXPECT_EQ(test, snapshot(c[r][i]).usage, 9 + r);
			uncharge(told[r], c[r][i]->owner, 9 + r);
			res_counter_remove(c[r][i]);
		}
		KUNIT_EXPECT_EQ(test, root_usage(told[r]), 0);
		KUNIT_EXPECT_EQ(test, told[r]->freed, NR);
	}
}

static void stock_is_bounded(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);
	/* Two batches in a slot, four in the bank. */
	const u64 most = 6 * 64;
	struct res_owner *owner = NULL;
	int i;

	stay_here(test);
	for (i = 0; i < 1000; i++) {
		owner = must_charge(test, c, 1);
		KUNIT_ASSERT_LE(test, snapshot(c).stocked, most);
		KUNIT_ASSERT_EQ(test, snapshot(c).usage, i + 1);
	}
	for (; i > 0; i--) {
		KUNIT_ASSERT_LE(test, snapshot(c).stocked, most);
		KUNIT_ASSERT_EQ(test, snapshot(c).usage, i);
		uncharge(told, owner, 1);
	}
	KUNIT_EXPECT_EQ(test, snapshot(c).uncharged, 1000);
	KUNIT_EXPECT_EQ(test, snapshot(c).charged, 1000);
	/* Of units that come back in a large batch, the stock keeps no more. */
	must_charge(test, c, 10000);
	uncharge(told, owner, 10000);
	KUNIT_EXPECT_LE(test, snapshot(c).stocked, most);
	KUNIT_EXPECT_EQ(test, snapshot(c).usage, 0);
	KUNIT_EXPECT_EQ(test, snapshot(c).uncharged, 11000);
	res_counter_remove(c);
}

static void no_stock_near_a_bound(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_owner *owner;

	stay_here(test);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(top, 32), 0);
	owner = must_charge(test, low, 29);
	/* 29 are more than 7/8 of 32: next to nothing is kept. */
	uncharge(told, owner, 1);
	must_charge(test, low, 1);
	uncharge(told, owner, 1);
	KUNIT_EXPECT_LE(test, snapshot(low).stocked + snapshot(top).stocked, 4);
	KUNIT_EXPECT_FALSE(test, stock_has(told, low, 1));

	/* Above a barrier there is none, whatever was there before. */
	uncharge(told, owner, 25);
	must_charge(test, low, 1);
	KUNIT_EXPECT_TRUE(test, stock_has(told, low, 1));
	KUNIT_EXPECT_PTR_EQ(test, charge(low, 29, BC_LIMIT), owner);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 33);
	KUNIT_EXPECT_EQ(test, snapshot(top).stocked, 0);
	KUNIT_EXPECT_FALSE(test, stock_has(told, low, 1));
	uncharge(told, owner, 1);
	must_refuse(test, low, 1, BC_BARRIER);
	uncharge(told, owner, 32);

	/*
	 * A reservation is nearer than any bound above; each CPU has its part
	 * of it.
	 */
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(top, 4096), 0);
	KUNIT_ASSERT_EQ(test, 0, set_reserved(low, 4096, RES_LIMIT_KEEP));
	must_charge(test, low, 1);
	KUNIT_EXPECT_TRUE(test, stock_has(told, low, 1));
	KUNIT_EXPECT_EQ(test, snapshot(top).stocked, 0);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 4096);
	uncharge(told, owner, 1);
	res_counter_remove(low);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

static struct kunit_case stock_cases[] = {
	KUNIT_CASE(stock_serves_charges),
	KUNIT_CASE(stock_comes_back_with_a_reservation),
	KUNIT_CASE(slots_are_for_groups_at_work),
	KUNIT_CASE(stock_can_be_shared),
	KUNIT_CASE(stock_is_bounded),
	KUNIT_CASE(no_stock_near_a_bound),
	{ }
};

static struct kunit_suite stock_suite = {
	.name = "bc_engine_stock",
	.test_cases = stock_cases,
};

kunit_test_suite(stock_suite);
