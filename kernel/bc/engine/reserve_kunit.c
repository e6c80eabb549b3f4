// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of reservations: borrowing, repaying, what they cover
 */

#include <kunit/test.h>

#include "told_kunit.h"

static void reserve(struct kunit *test, struct res_counter *counter, u64 n,
		    int expected)
{
	KUNIT_EXPECT_EQ(test, expected, set_reserved(counter, n, RES_LIMIT_KEEP));
}

static void reservation_covers_charges(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_counter *other = told_counter(test, told, top);
	struct res_owner *owner, *of_other;

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 10, true), 0);
	reserve(test, low, 4, 0);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 4);
	KUNIT_EXPECT_EQ(test, snapshot(top).lent, 4);
	KUNIT_EXPECT_EQ(test, snapshot(low).usage, 0);
	KUNIT_EXPECT_EQ(test, root_usage(told), 4);

	/* Siblings have what is left, and cannot touch what is lent. */
	of_other = must_charge(test, other, 6);
	must_refuse(test, other, 1, BC_LIMIT);
	owner = must_charge(test, low, 4);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 10);
	must_refuse(test, low, 1, BC_LIMIT);
	KUNIT_EXPECT_PTR_EQ(test, told->last.counter, top);

	/* A ceiling above the guarantee: beyond it, room is shared. */
	uncharge(told, of_other, 3);
	must_charge(test, low, 2);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 9);
	uncharge(told, owner, 5);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 7);
	KUNIT_EXPECT_EQ(test, root_usage(told), 7);

	uncharge(told, owner, 1);
	uncharge(told, of_other, 3);
	reserve(test, low, 0, 0);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 0);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
	res_counter_remove(other);
	res_counter_remove(low);
	res_counter_remove(top);
}

static void borrowing_asks_only_for_what_is_not_taken(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_counter *other = told_counter(test, told, top);
	struct res_owner *owner = must_charge(test, low, 60);
	struct res_owner *of_other = must_charge(test, other, 40);

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 100, true), 0);
	reserve(test, low, 60, 0);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 100);
	reserve(test, low, 61, -ENOSPC);
	KUNIT_EXPECT_EQ(test, snapshot(low).reserved, 60);
	uncharge(told, of_other, 1);
	/* The last unit can be lent. */
	reserve(test, low, 61, 0);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 100);

	uncharge(told, owner, 60);
	uncharge(told, of_other, 39);
	/* Removal repays. */
	res_counter_remove(low);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 0);
	KUNIT_EXPECT_EQ(test, snapshot(top).lent, 0);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
	res_counter_remove(other);
	res_counter_remove(top);
}

static void what_cannot_be_borrowed_or_repaid(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_owner *owner;

	told->capacity = 100;
	told->for_all = 50;
	reserve(test, low, 51, -ENOSPC);
	reserve(test, low, RES_COUNTER_MAX, -ENOSPC);
	reserve(test, low, RES_COUNTER_MAX + 1, -EINVAL);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(low, 20, true), 0);
	reserve(test, low, 21, -EINVAL);
	reserve(test, low, RES_COUNTER_MAX, -EINVAL);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(top, 19), 0);
	reserve(test, low, 20, -ENOSPC);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(top, RES_COUNTER_MAX), 0);
	reserve(test, low, 20, 0);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(low, 19, false), -EINVAL);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(top, 19, false), -EBUSY);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(top, 20, false), 0);

	owner = must_charge(test, low, 15);
	/* What is in use stays taken, and goes back as it is returned. */
	reserve(test, low, 14, 0);
	KUNIT_EXPECT_EQ(test, snapshot(low).reserved, 14);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 15);
	KUNIT_EXPECT_EQ(test, snapshot(top).lent, 14);
	uncharge(told, owner, 5);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 14);
	KUNIT_EXPECT_EQ(test, root_usage(told), 14);

	uncharge(told, owner, 10);
	res_counter_remove(low);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

/*
 * What is reserved can be taken whatever the bounds above are by then. So it is
 * lent within them only, and limits do not go below it.
 */
static void loans_stay_within_bounds(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *mid = told_counter(test, told, top);
	struct res_counter *low = told_counter(test, told, mid);
	struct res_owner *owner = must_charge(test, low, 8);

	/* What is in use already is no way around a bound set since. */
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 5, false), 0);
	reserve(test, low, 8, -ENOSPC);
	reserve(test, low, 1, -ENOSPC);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 10, false), 0);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(mid, 7), 0);
	reserve(test, low, 8, -ENOSPC);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(mid, 8), 0);
	reserve(test, low, 8, 0);

	/* A loan from the middle is one from the top. */
	KUNIT_EXPECT_EQ(test, snapshot(top).lent, 0);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(mid, 7, false), -EBUSY);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(top, 7, false), -EBUSY);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(top, 8, false), 0);
	reserve(test, mid, 8, 0);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(top, 7, false), -EBUSY);

	uncharge(told, owner, 8);
	reserve(test, low, 0, 0);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(top, 7, false), -EBUSY);
	reserve(test, mid, 3, 0);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(top, 3, false), 0);
	res_counter_remove(low);
	res_counter_remove(mid);
	reserve(test, mid, 1, -ENODEV);
	KUNIT_EXPECT_EQ(test, res_counter_set_limit(top, 0, false), 0);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

/* The model of 2008: the limit is what was borrowed. */
static void high_walls(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_owner *owner;

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 10, true), 0);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(low, 0, true), 0);
	must_refuse(test, low, 1, BC_LIMIT);
	KUNIT_EXPECT_EQ(test, -ENOSPC,
			set_reserved(low, 11, RES_LIMIT_WALL));
	KUNIT_EXPECT_EQ(test, snapshot(low).limit, 0);
	KUNIT_EXPECT_EQ(test, 0, set_reserved(low, 7, RES_LIMIT_WALL));
	KUNIT_EXPECT_EQ(test, snapshot(low).limit, 7);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 7);
	owner = must_charge(test, low, 7);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 7);
	KUNIT_EXPECT_EQ(test, snapshot(top).charged, 7);
	must_refuse(test, low, 1, BC_LIMIT);
	KUNIT_EXPECT_PTR_EQ(test, told->last.counter, low);
	KUNIT_EXPECT_EQ(test, -EBUSY,
			set_reserved(low, 6, RES_LIMIT_WALL));
	uncharge(told, owner, 1);
	KUNIT_EXPECT_EQ(test, 0, set_reserved(low, 6, RES_LIMIT_WALL));
	KUNIT_EXPECT_EQ(test, snapshot(low).limit, 6);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 6);

	res_counter_remove(low);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 6);
	uncharge(told, owner, 6);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
	res_counter_remove(top);
}

/* What is lacking is said, so that room can be made and another try. */
static void lacking_room_is_described(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_refusal lacking;
	struct res_owner *owner;

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 10, true), 0);
	owner = must_charge(test, top, 5);
	KUNIT_EXPECT_EQ(test, -ENOSPC, res_counter_set_reserved(low, 8, RES_LIMIT_KEEP,
								&lacking));
	KUNIT_EXPECT_PTR_EQ(test, lacking.counter, top);
	KUNIT_EXPECT_EQ(test, lacking.usage + lacking.n - lacking.bound, 3);
	KUNIT_EXPECT_FALSE(test, lacking.machine);
	uncharge(told, owner, 3);
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_reserved(low, 8, RES_LIMIT_KEEP,
							  &lacking));
	KUNIT_EXPECT_NULL(test, lacking.counter);
	uncharge(told, owner, 2);

	owner = must_charge(test, low, 8);
	KUNIT_EXPECT_EQ(test, -EBUSY, res_counter_set_reserved(low, 6, RES_LIMIT_WALL,
							       &lacking));
	KUNIT_EXPECT_PTR_EQ(test, lacking.counter, low);
	KUNIT_EXPECT_EQ(test, lacking.usage + lacking.n - lacking.bound, 2);
	told->capacity = 9;
	root_usage(told);
	KUNIT_EXPECT_EQ(test, -ENOSPC, res_counter_set_reserved(low, 10, RES_LIMIT_KEEP,
								&lacking));
	KUNIT_EXPECT_TRUE(test, lacking.machine);

	uncharge(told, owner, 8);
	res_counter_remove(low);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

/* Many levels, of which each has some of what is needed. */
static void parts_of_reservations_add_up(struct kunit *test)
{
	enum { DEPTH = 6 };
	struct told *told = told_new(test);
	struct res_counter *c[DEPTH];
	struct res_owner *owner;
	int i;

	for (i = 0; i < DEPTH; i++)
		c[i] = told_counter(test, told, i ? c[i - 1] : NULL);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c[0], 2 * DEPTH, true), 0);
	for (i = 0; i < DEPTH; i++)
		reserve(test, c[i], 2 * (DEPTH - i), 0);
	owner = must_charge(test, c[DEPTH - 1], 2 * DEPTH);
	must_refuse(test, c[DEPTH - 1], 1, BC_LIMIT);
	KUNIT_EXPECT_PTR_EQ(test, told->last.counter, c[0]);
	uncharge(told, owner, 2 * DEPTH);
	for (i = DEPTH; i--; )
		res_counter_remove(c[i]);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

/* A child has one of its own for what a barrier by default is for. */
static void barrier_by_default_keeps_no_reservation_out(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_counter *other = told_counter(test, told, top);
	struct res_refusal lacking = { };
	struct res_owner *owner;

	told->root.barrier_gap = 30;
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 100, true), 0);
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_reserved(low, 90, RES_LIMIT_KEEP,
							  &lacking));
	owner = must_charge(test, low, 90);
	must_refuse(test, low, 1, BC_BARRIER);
	must_refuse(test, other, 1, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_reserved(low, 100, RES_LIMIT_KEEP,
							  &lacking));
	KUNIT_EXPECT_EQ(test, -ENOSPC, res_counter_set_reserved(low, 101,
								RES_LIMIT_KEEP,
								&lacking));
	KUNIT_EXPECT_PTR_EQ(test, must_charge(test, low, 10), owner);
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_reserved(low, 50, RES_LIMIT_KEEP,
							  &lacking));
	uncharge(told, owner, 50);

	/* One that was set does. */
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(top, 75), 0);
	KUNIT_EXPECT_EQ(test, -ENOSPC, res_counter_set_reserved(low, 90,
								RES_LIMIT_KEEP,
								&lacking));
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_reserved(low, 75, RES_LIMIT_KEEP,
							  &lacking));
	uncharge(told, owner, 50);
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_reserved(low, 0, RES_LIMIT_KEEP,
							  &lacking));
	res_counter_remove(other);
	res_counter_remove(low);
	res_counter_remove(top);
}

static struct kunit_case reserve_cases[] = {
	KUNIT_CASE(barrier_by_default_keeps_no_reservation_out),
	KUNIT_CASE(reservation_covers_charges),
	KUNIT_CASE(borrowing_asks_only_for_what_is_not_taken),
	KUNIT_CASE(what_cannot_be_borrowed_or_repaid),
	KUNIT_CASE(loans_stay_within_bounds),
	KUNIT_CASE(high_walls),
	KUNIT_CASE(lacking_room_is_described),
	KUNIT_CASE(parts_of_reservations_add_up),
	{ }
};

static struct kunit_suite reserve_suite = {
	.name = "bc_engine_reserve",
	.test_cases = reserve_cases,
};

kunit_test_suite(reserve_suite);
