// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of drains: units kept by CPUs and banks are found in time
 */

#include <kunit/test.h>
#include <linux/preempt.h>

#include "told_kunit.h"

/* What other groups keep is fetched before a charge is refused. */
static void what_is_kept_is_no_reason_to_refuse(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *mid = told_counter(test, told, top);
	struct res_counter *a = told_counter(test, told, mid);
	struct res_counter *b = told_counter(test, told, mid);

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 100, true), 0);
	must_charge(test, a, 1);
	KUNIT_EXPECT_NE(test, snapshot(mid).stocked, 0);
	must_charge(test, b, 99);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 100);
	must_refuse(test, b, 1, BC_LIMIT);
	uncharge(told, b->owner, 99);
	/* Nor in the machine. */
	told->capacity = 150;
	must_charge(test, a, 1);
	must_charge(test, b, 90);
	told->capacity = 92;
	uncharge(told, a->owner, 1);
	must_charge(test, b, 1);
	must_refuse(test, a, 1, BC_LIMIT);
	KUNIT_EXPECT_TRUE(test, told->last.machine);

	/* What a reservation covers is for that group alone, and stays. */
	uncharge(told, b->owner, 91);
	told->capacity = RES_COUNTER_MAX;
	KUNIT_ASSERT_EQ(test, 0, set_reserved(a, 50, RES_LIMIT_KEEP));
	stay_here(test);
	must_charge(test, a, 1);
	KUNIT_EXPECT_TRUE(test, stock_has(told, a, 1));
	must_charge(test, b, 50);
	must_refuse(test, b, 1, BC_LIMIT);
	KUNIT_EXPECT_TRUE(test, stock_has(told, a, 1));

	uncharge(told, a->owner, 2);
	uncharge(told, b->owner, 50);
	res_counter_remove(a);
	res_counter_remove(b);
	res_counter_remove(mid);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

/*
 * Catches: a task that asks for more than a shared limit allows, and takes the
 * other groups' stock at each try.
 */
static void no_drain_for_what_never_fits(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *a = told_counter(test, told, top);
	struct res_counter *b = told_counter(test, told, top);

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 10000, true), 0);
	stay_here(test);
	must_charge(test, a, 1);
	KUNIT_ASSERT_TRUE(test, stock_has(told, a, 1));
	must_refuse(test, b, 10001, BC_LIMIT);
	KUNIT_EXPECT_TRUE(test, stock_has(told, a, 1));
	told->capacity = 9000;
	must_refuse(test, b, 9001, BC_LIMIT);
	KUNIT_EXPECT_TRUE(test, told->last.machine);
	KUNIT_EXPECT_TRUE(test, stock_has(told, a, 1));
	/* What there is can be had, to the unit. */
	must_charge(test, b, 8999);
	KUNIT_EXPECT_FALSE(test, stock_has(told, a, 1));

	uncharge(told, a->owner, 1);
	uncharge(told, b->owner, 8999);
	res_counter_remove(a);
	res_counter_remove(b);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

static struct res_slot *this_slot(struct told *told, struct res_owner *owner)
{
	return res_this_slot(told->root.stock, owner);
}

/* As if an interrupt had closed the slot after the owner was compared. */
static void closed_stock_keeps_nothing(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_owner *owner;

	stay_here(test);
	owner = must_charge(test, low, 6);
	uncharge(told, owner, 1);
	KUNIT_EXPECT_EQ(test, root_usage(told), 5);
	KUNIT_EXPECT_FALSE(test, stock_has(told, low, 1));

	preempt_disable();
	this_slot(told, owner)->owner = owner;
	KUNIT_EXPECT_TRUE(test, res_stock_uncharge(told->root.stock, owner, 1));
	KUNIT_EXPECT_FALSE(test, res_stock_charge(told->root.stock, owner, 9999));
	preempt_enable();
	KUNIT_EXPECT_EQ(test, snapshot(low).usage, 4);
	KUNIT_EXPECT_EQ(test, snapshot(low).uncharged, 2);
	KUNIT_EXPECT_EQ(test, snapshot(low).charged, 6);

	/* Nor does the stock of a removed group: its parent has the units. */
	res_counter_remove(low);
	/* The owner's memory may be that of another owner some day. */
	KUNIT_EXPECT_PTR_EQ(test, low->owner, RES_OWNER_REMOVED);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 4);
	preempt_disable();
	this_slot(told, owner)->owner = owner;
	KUNIT_EXPECT_TRUE(test, res_stock_uncharge(told->root.stock, owner, 1));
	preempt_enable();
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 3);
	KUNIT_EXPECT_EQ(test, told->freed, 0);
	uncharge(told, owner, 3);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 0);
	KUNIT_EXPECT_EQ(test, told->freed, 1);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

static void bounds_are_compared_without_stock(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_owner *owner = must_charge(test, low, 8);

	uncharge(told, owner, 4);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(low, 3, true), -EBUSY);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(low, 4, true), 0);
	must_refuse(test, low, 1, BC_LIMIT);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(low, 100, true), 0);
	must_charge(test, low, 4);
	uncharge(told, owner, 4);
	KUNIT_EXPECT_EQ(test, 0, set_reserved(low, 8, RES_LIMIT_KEEP));
	must_charge(test, low, 4);
	uncharge(told, owner, 4);
	KUNIT_EXPECT_EQ(test, 0, set_reserved(low, 4, RES_LIMIT_KEEP));
	must_charge(test, low, 4);
	uncharge(told, owner, 4);
	res_counter_reset(top, RES_RESET_MAX | RES_RESET_MIN | RES_RESET_TOTALS);
	KUNIT_EXPECT_EQ(test, snapshot(top).max_usage, 4);
	KUNIT_EXPECT_EQ(test, snapshot(top).min_usage, 4);
	KUNIT_EXPECT_EQ(test, snapshot(top).charged, 0);
	uncharge(told, owner, 4);
	res_counter_remove(low);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

static struct kunit_case drain_cases[] = {
	KUNIT_CASE(what_is_kept_is_no_reason_to_refuse),
	KUNIT_CASE(no_drain_for_what_never_fits),
	KUNIT_CASE(closed_stock_keeps_nothing),
	KUNIT_CASE(bounds_are_compared_without_stock),
	{ }
};

static struct kunit_suite drain_suite = {
	.name = "bc_engine_drain",
	.test_cases = drain_cases,
};

kunit_test_suite(drain_suite);
