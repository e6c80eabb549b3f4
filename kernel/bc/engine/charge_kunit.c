// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of charges: bounds, severities, callbacks
 */

#include <kunit/test.h>
#include <linux/err.h>

#include "told_kunit.h"

static void limit_holds_to_the_unit(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);
	struct res_owner *owner = NULL;
	int i;

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 5, true), 0);
	for (i = 0; i < 5; i++)
		owner = must_charge(test, c, 1);
	must_refuse(test, c, 1, BC_BARRIER);
	must_refuse(test, c, 1, BC_LIMIT);
	must_refuse(test, c, RES_COUNTER_MAX, BC_LIMIT);
	KUNIT_EXPECT_EQ(test, snapshot(c).usage, 5);
	KUNIT_EXPECT_EQ(test, snapshot(c).failcnt, 3);
	KUNIT_EXPECT_EQ(test, told->refusals, 3);
	KUNIT_EXPECT_EQ(test, root_usage(told), 5);

	uncharge(told, owner, 1);
	must_refuse(test, c, 2, BC_LIMIT);
	must_charge(test, c, 1);
	uncharge(told, owner, 5);
	KUNIT_EXPECT_EQ(test, snapshot(c).usage, 0);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
	res_counter_remove(c);
	KUNIT_EXPECT_EQ(test, told->freed, 1);
}

static void limit_of_zero_refuses_all(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 0, true), 0);
	must_refuse(test, c, 1, BC_LIMIT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(res_counter_try_charge(c, 1)), -EDQUOT);
	res_counter_remove(c);
}

static void severities_differ(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);
	struct res_owner *owner;

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 4, true), 0);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(c, 2), 0);

	owner = must_charge(test, c, 2);
	must_refuse(test, c, 1, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told->last.bound, 2);
	KUNIT_EXPECT_EQ(test, told->last.usage, 2);
	KUNIT_EXPECT_EQ(test, told->barrier_hits, 0);

	KUNIT_EXPECT_PTR_EQ(test, charge(c, 2, BC_LIMIT), owner);
	KUNIT_EXPECT_EQ(test, told->barrier_hits, 1);
	must_refuse(test, c, 1, BC_LIMIT);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_LIMIT);
	/* Where both bounds are in the way, it is the limit that refuses. */
	must_refuse(test, c, 1, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_LIMIT);

	KUNIT_EXPECT_EQ(test, told->forced, 0);
	KUNIT_EXPECT_PTR_EQ(test, charge(c, 3, BC_FORCE), owner);
	KUNIT_EXPECT_EQ(test, told->forced, 1);
	KUNIT_EXPECT_EQ(test, told->last.usage, 4);
	KUNIT_EXPECT_EQ(test, snapshot(c).usage, 7);
	/*
	 * Forced units count: nothing is admitted until usage is below again.
	 */
	uncharge(told, owner, 3);
	must_refuse(test, c, 1, BC_LIMIT);
	uncharge(told, owner, 3);
	must_charge(test, c, 1);

	uncharge(told, owner, 2);
	KUNIT_EXPECT_EQ(test, snapshot(c).usage, 0);
	res_counter_remove(c);
}

static void halfway_is_between(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);
	struct res_owner *owner;

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 9, true), 0);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(c, 4), 0);
	owner = must_charge(test, c, 4);
	must_refuse(test, c, 1, BC_BARRIER);
	KUNIT_EXPECT_PTR_EQ(test, charge(c, 2, BC_HALFWAY), owner);
	KUNIT_EXPECT_EQ(test, told->barrier_hits, 1);
	must_refuse(test, c, 1, BC_HALFWAY);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told->last.bound, 6);
	must_refuse(test, c, 4, BC_HALFWAY);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_LIMIT);
	KUNIT_EXPECT_EQ(test, res_counter_excess(c, BC_BARRIER), 2);
	KUNIT_EXPECT_EQ(test, res_counter_excess(c, BC_HALFWAY), 0);
	/* A privilege goes further. */
	told_is_privileged = true;
	KUNIT_EXPECT_PTR_EQ(test, charge(c, 3, BC_HALFWAY), owner);
	told_is_privileged = false;
	KUNIT_EXPECT_EQ(test, res_counter_excess(c, BC_HALFWAY), 3);
	KUNIT_EXPECT_EQ(test, res_counter_excess(c, BC_LIMIT), 0);
	/* Where the barrier is not below the limit, that is the bound of all. */
	uncharge(told, owner, 1);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(c, 20), 0);
	KUNIT_EXPECT_PTR_EQ(test, charge(c, 1, BC_HALFWAY), owner);
	must_refuse(test, c, 1, BC_HALFWAY);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_LIMIT);
	uncharge(told, owner, 9);
	res_counter_remove(c);
}

/* Not from stock, which was taken for charges that are refused later. */
static struct res_owner *charge_early(struct res_counter *c, u64 n)
{
	return res_counter_charge(c, n, BC_EARLY, true);
}

static void early_is_below_the_default_barrier(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);
	struct res_counter *below = told_counter(test, told, c);
	struct res_owner *owner;

	told->root.barrier_gap = 30;
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 100, true), 0);
	owner = must_charge(test, c, 60);
	KUNIT_EXPECT_PTR_EQ(test, charge_early(c, 3), owner);
	KUNIT_EXPECT_TRUE(test, IS_ERR(charge_early(c, 1)));
	KUNIT_EXPECT_EQ(test, told->last.at, BC_EARLY);
	KUNIT_EXPECT_EQ(test, told->last.bound, 63);
	KUNIT_EXPECT_FALSE(test, res_path_exceeds(below, BC_EARLY));
	/* All others go on to the barrier. */
	KUNIT_EXPECT_PTR_EQ(test, charge(c, 2, BC_BARRIER), owner);
	KUNIT_EXPECT_TRUE(test, IS_ERR(charge_early(c, 1)));
	KUNIT_EXPECT_TRUE(test, res_path_exceeds(below, BC_EARLY));
	KUNIT_EXPECT_FALSE(test, res_path_exceeds(below, BC_BARRIER));
	/* So do all, where one was written. */
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(c, 75), 0);
	KUNIT_EXPECT_PTR_EQ(test, charge_early(c, 10), owner);
	KUNIT_EXPECT_TRUE(test, IS_ERR(charge_early(c, 1)));
	KUNIT_EXPECT_EQ(test, told->last.bound, 75);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(c, RES_COUNTER_MAX), 0);
	KUNIT_EXPECT_PTR_EQ(test, charge_early(c, 25), owner);
	KUNIT_EXPECT_TRUE(test, IS_ERR(charge_early(c, 1)));
	KUNIT_EXPECT_EQ(test, told->last.at, BC_LIMIT);
	uncharge(told, owner, 100);
	res_counter_remove(below);
	res_counter_remove(c);
}

/* Catches: what the child's bank has is taken for room in the parent. */
static void early_is_early_for_all_below(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *parent = told_counter(test, told, NULL);
	struct res_counter *c = told_counter(test, told, parent);
	struct res_owner *owner;

	told->root.barrier_gap = 400;
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(parent, 1000, true), 0);
	/* This leaves more at hand than is charged next. */
	owner = must_charge(test, c, 625);
	KUNIT_EXPECT_TRUE(test, IS_ERR(charge_early(c, 1)));
	KUNIT_EXPECT_EQ(test, told->last.bound, 625);
	/* A reservation covers it. */
	KUNIT_ASSERT_EQ(test, set_reserved(c, 630, RES_LIMIT_KEEP), 0);
	KUNIT_EXPECT_PTR_EQ(test, charge_early(c, 5), owner);
	KUNIT_EXPECT_TRUE(test, IS_ERR(charge_early(c, 1)));
	uncharge(told, owner, 630);
	KUNIT_ASSERT_EQ(test, set_reserved(c, 0, RES_LIMIT_KEEP), 0);
	res_counter_remove(c);
	res_counter_remove(parent);
}

static void barrier_by_default(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);
	struct res_owner *owner;

	told->root.barrier_gap = 30;
	KUNIT_EXPECT_EQ(test, snapshot(c).barrier, RES_COUNTER_MAX);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 100, true), 0);
	KUNIT_EXPECT_EQ(test, snapshot(c).barrier, 75);
	owner = must_charge(test, c, 75);
	must_refuse(test, c, 1, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told->last.bound, 75);
	KUNIT_EXPECT_PTR_EQ(test, charge(c, 12, BC_HALFWAY), owner);
	must_refuse(test, c, 1, BC_HALFWAY);
	KUNIT_EXPECT_EQ(test, told->last.bound, 87);

	/* It follows the limit, also one that is reserved. */
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 200, true), 0);
	KUNIT_EXPECT_EQ(test, snapshot(c).barrier, 170);
	KUNIT_EXPECT_PTR_EQ(test, must_charge(test, c, 83), owner);
	must_refuse(test, c, 1, BC_BARRIER);
	uncharge(told, owner, 83);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 100, true), 0);
	must_refuse(test, c, 1, BC_BARRIER);

	/* Until one is written, be it none. */
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(c, RES_COUNTER_MAX), 0);
	KUNIT_EXPECT_EQ(test, snapshot(c).barrier, RES_COUNTER_MAX);
	KUNIT_EXPECT_PTR_EQ(test, must_charge(test, c, 13), owner);
	must_refuse(test, c, 1, BC_BARRIER);
	uncharge(told, owner, 100);
	res_counter_remove(c);
}

static void barrier_above_limit_means_limit(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);
	struct res_owner *owner;

	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(c, 9), 0);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 3, true), 0);
	KUNIT_EXPECT_EQ(test, snapshot(c).barrier, 9);
	owner = must_charge(test, c, 3);
	must_refuse(test, c, 1, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_LIMIT);
	uncharge(told, owner, 3);
	res_counter_remove(c);
}

static void privilege_is_asked_when_it_matters(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);
	struct res_owner *owner;

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 4, true), 0);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(c, 2), 0);
	told_asked = 0;
	told_is_privileged = true;
	owner = must_charge(test, c, 2);
	KUNIT_EXPECT_EQ(test, told_asked, 0);
	must_charge(test, c, 2);
	KUNIT_EXPECT_EQ(test, told_asked, 1);
	KUNIT_EXPECT_EQ(test, told->barrier_hits, 1);
	KUNIT_EXPECT_EQ(test, told->refusals, 0);
	must_refuse(test, c, 1, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told_asked, 1);

	/* The limit refuses, room is made, and then it is the barrier. */
	told->victim = owner;
	told->retries = 1;
	must_charge(test, c, 1);
	KUNIT_EXPECT_EQ(test, told_asked, 2);

	told_is_privileged = false;
	uncharge(told, owner, 1);
	must_refuse(test, c, 1, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told_asked, 3);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_BARRIER);

	uncharge(told, owner, 3);
	res_counter_remove(c);
}

static void try_charge_calls_no_callback(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);
	struct res_owner *owner;

	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(c, 1), 0);
	owner = res_counter_try_charge(c, 1);
	KUNIT_ASSERT_FALSE(test, IS_ERR_OR_NULL(owner));
	KUNIT_EXPECT_EQ(test, PTR_ERR(res_counter_try_charge(c, 1)), -EDQUOT);
	KUNIT_EXPECT_EQ(test, snapshot(c).failcnt, 0);
	KUNIT_EXPECT_EQ(test, told->refusals + told->limit_hits, 0);
	uncharge(told, owner, 1);
	res_counter_remove(c);
}

static void refusal_changes_nothing_anywhere(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *path[4], *sibling;
	struct res_snapshot before[4];
	struct res_owner *owner, *other;
	int i;

	for (i = 0; i < 4; i++)
		path[i] = told_counter(test, told, i ? path[i - 1] : NULL);
	sibling = told_counter(test, told, path[1]);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(path[1], 10, true), 0);
	owner = must_charge(test, path[3], 4);
	other = must_charge(test, sibling, 5);

	for (i = 0; i < 4; i++)
		before[i] = snapshot(path[i]);
	must_refuse(test, path[3], 2, BC_BARRIER);
	KUNIT_EXPECT_PTR_EQ(test, told->last.counter, path[1]);
	before[1].failcnt++;
	for (i = 0; i < 4; i++) {
		struct res_snapshot after = snapshot(path[i]);

		KUNIT_EXPECT_MEMEQ(test, &before[i], &after, sizeof(after));
	}
	KUNIT_EXPECT_EQ(test, root_usage(told), 9);
	/* The one unit that is left can still be had, from either side. */
	must_charge(test, path[3], 1);

	uncharge(told, owner, 5);
	uncharge(told, other, 5);
	res_counter_remove(sibling);
	for (i = 3; i >= 0; i--) {
		KUNIT_EXPECT_EQ(test, snapshot(path[i]).usage, 0);
		res_counter_remove(path[i]);
	}
	KUNIT_EXPECT_EQ(test, told->freed, 5);
}

static void nearest_full_counter_refuses(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *mid = told_counter(test, told, top);
	struct res_counter *low = told_counter(test, told, mid);

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 0, true), 0);
	must_refuse(test, low, 1, BC_BARRIER);
	KUNIT_EXPECT_PTR_EQ(test, told->last.counter, top);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(mid, 0), 0);
	must_refuse(test, low, 1, BC_BARRIER);
	KUNIT_EXPECT_PTR_EQ(test, told->last.counter, mid);
	must_refuse(test, low, 1, BC_LIMIT);
	KUNIT_EXPECT_PTR_EQ(test, told->last.counter, top);
	KUNIT_EXPECT_EQ(test, snapshot(low).failcnt, 0);
	KUNIT_EXPECT_EQ(test, snapshot(mid).failcnt, 1);
	KUNIT_EXPECT_EQ(test, snapshot(top).failcnt, 2);

	res_counter_remove(low);
	res_counter_remove(mid);
	res_counter_remove(top);
}

static void machine_has_a_limit(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *a = told_counter(test, told, NULL);
	struct res_counter *b = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, b);
	struct res_owner *of_a, *of_low;

	told->capacity = 10;
	of_a = must_charge(test, a, 6);
	of_low = must_charge(test, low, 4);
	must_refuse(test, low, 1, BC_LIMIT);
	KUNIT_EXPECT_PTR_EQ(test, told->last.counter, b);
	KUNIT_EXPECT_EQ(test, told->last.bound, 10);
	KUNIT_EXPECT_EQ(test, told->last.usage, 10);
	KUNIT_EXPECT_EQ(test, snapshot(low).usage, 4);

	KUNIT_EXPECT_PTR_EQ(test, charge(a, 1, BC_FORCE), of_a);
	KUNIT_EXPECT_EQ(test, told->forced, 1);
	KUNIT_EXPECT_PTR_EQ(test, told->last.counter, a);

	told->capacity = 13;
	told->for_all = 12;
	must_charge(test, low, 1);
	must_refuse(test, low, 1, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told->last.bound, 12);
	KUNIT_EXPECT_EQ(test, PTR_ERR(res_counter_try_charge(low, 1)), -ENOSPC);
	KUNIT_EXPECT_PTR_EQ(test, charge(low, 1, BC_LIMIT),
			    of_low);
	must_refuse(test, low, 1, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_LIMIT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(res_counter_try_charge(low, 1)), -ENOSPC);

	uncharge(told, of_a, 7);
	uncharge(told, of_low, 6);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
	res_counter_remove(low);
	res_counter_remove(b);
	res_counter_remove(a);
}

static void limits_can_change(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);
	struct res_owner *owner = must_charge(test, c, 5);

	KUNIT_EXPECT_EQ(test, res_counter_set_limit(c, 4, true), -EBUSY);
	KUNIT_EXPECT_EQ(test, snapshot(c).limit, RES_COUNTER_MAX);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(c, 5, true), 0);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(c, 4, false), 0);
	must_refuse(test, c, 1, BC_LIMIT);
	uncharge(told, owner, 1);
	must_refuse(test, c, 1, BC_LIMIT);
	uncharge(told, owner, 1);
	must_charge(test, c, 1);

	KUNIT_EXPECT_EQ(test, res_counter_set_limit(c, RES_COUNTER_MAX + 1, false),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, res_counter_set_barrier(c, U64_MAX), -EINVAL);
	KUNIT_EXPECT_EQ(test, snapshot(c).limit, 4);
	KUNIT_EXPECT_EQ(test, snapshot(c).barrier, RES_COUNTER_MAX);

	uncharge(told, owner, 4);
	res_counter_remove(c);
}

static void limit_hit_can_make_room(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *c = told_counter(test, told, NULL);
	struct res_owner *owner = must_charge(test, c, 4);

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 4, true), 0);
	told->victim = owner;
	told->retries = 3;
	KUNIT_EXPECT_PTR_EQ(test, charge(c, 3, BC_LIMIT), owner);
	KUNIT_EXPECT_EQ(test, told->limit_hits, 3);
	KUNIT_EXPECT_EQ(test, told->refusals, 0);
	KUNIT_EXPECT_EQ(test, snapshot(c).failcnt, 0);
	KUNIT_EXPECT_EQ(test, snapshot(c).usage, 4);

	/* The engine gives up on a callback that never makes room. */
	told->victim = NULL;
	told->retries = UINT_MAX;
	told->limit_hits = 0;
	must_refuse(test, c, 1, BC_LIMIT);
	KUNIT_EXPECT_GT(test, told->limit_hits, 0);
	KUNIT_EXPECT_LT(test, told->limit_hits, 100);
	KUNIT_EXPECT_EQ(test, told->refusals, 1);
	KUNIT_EXPECT_EQ(test, snapshot(c).failcnt, 1);

	uncharge(told, owner, 4);
	res_counter_remove(c);
}

static void barrier_hit_is_called_at_crossings(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_owner *owner;

	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(top, 3), 0);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(low, 2), 0);
	owner = must_charge(test, low, 2);
	KUNIT_EXPECT_EQ(test, told->barrier_hits, 0);
	KUNIT_EXPECT_PTR_EQ(test, charge(low, 1, BC_LIMIT),
			    owner);
	KUNIT_EXPECT_EQ(test, told->barrier_hits, 1);
	KUNIT_EXPECT_PTR_EQ(test, told->barrier_hit_at, low);
	KUNIT_EXPECT_PTR_EQ(test, charge(low, 1, BC_LIMIT),
			    owner);
	KUNIT_EXPECT_EQ(test, told->barrier_hits, 2);
	KUNIT_EXPECT_PTR_EQ(test, told->barrier_hit_at, top);
	/* Above is above: only another crossing is told. */
	KUNIT_EXPECT_PTR_EQ(test, charge(low, 1, BC_LIMIT),
			    owner);
	KUNIT_EXPECT_EQ(test, told->barrier_hits, 2);
	uncharge(told, owner, 4);
	/* Both at once. */
	KUNIT_EXPECT_PTR_EQ(test, charge(low, 5, BC_LIMIT),
			    owner);
	KUNIT_EXPECT_EQ(test, told->barrier_hits, 4);

	uncharge(told, owner, 6);
	res_counter_remove(low);
	res_counter_remove(top);
}

static struct kunit_case charge_cases[] = {
	KUNIT_CASE(limit_holds_to_the_unit),
	KUNIT_CASE(limit_of_zero_refuses_all),
	KUNIT_CASE(severities_differ),
	KUNIT_CASE(halfway_is_between),
	KUNIT_CASE(early_is_below_the_default_barrier),
	KUNIT_CASE(early_is_early_for_all_below),
	KUNIT_CASE(barrier_by_default),
	KUNIT_CASE(barrier_above_limit_means_limit),
	KUNIT_CASE(privilege_is_asked_when_it_matters),
	KUNIT_CASE(try_charge_calls_no_callback),
	KUNIT_CASE(refusal_changes_nothing_anywhere),
	KUNIT_CASE(nearest_full_counter_refuses),
	KUNIT_CASE(machine_has_a_limit),
	KUNIT_CASE(limits_can_change),
	KUNIT_CASE(limit_hit_can_make_room),
	KUNIT_CASE(barrier_hit_is_called_at_crossings),
	{ }
};

static struct kunit_suite charge_suite = {
	.name = "bc_engine_charge",
	.test_cases = charge_cases,
};

kunit_test_suite(charge_suite);
