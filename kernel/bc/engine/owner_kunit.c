// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of owners: what has become of the charges of a removed group
 */

#include <kunit/test.h>

#include "told_kunit.h"

static void removal_leaves_charges_to_the_parent(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *mid = told_counter(test, told, top);
	struct res_counter *low = told_counter(test, told, mid);
	struct res_owner *of_low = must_charge(test, low, 3);
	struct res_owner *of_mid = must_charge(test, mid, 2);

	KUNIT_EXPECT_EQ(test, res_counter_remove(low), 3);
	KUNIT_EXPECT_EQ(test, res_counter_remove(low), 0);
	KUNIT_EXPECT_EQ(test, told->freed, 0);
	KUNIT_EXPECT_EQ(test, snapshot(mid).usage, 5);
	KUNIT_EXPECT_EQ(test, snapshot(mid).held, 2);
	KUNIT_EXPECT_EQ(test, snapshot(mid).inherited, 3);

	/* They bind the parent like its own. */
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(mid, 5, true), 0);
	must_refuse(test, mid, 1, BC_LIMIT);
	uncharge(told, of_low, 1);
	must_charge(test, mid, 1);
	KUNIT_EXPECT_EQ(test, snapshot(mid).held, 3);
	KUNIT_EXPECT_EQ(test, snapshot(mid).inherited, 2);

	KUNIT_EXPECT_EQ(test, res_counter_remove(mid), 5);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 5);
	KUNIT_EXPECT_EQ(test, snapshot(top).inherited, 5);
	/* Of the chain low, mid, top only the first link is left after this. */
	uncharge(told, of_low, 1);
	uncharge(told, of_mid, 3);
	KUNIT_EXPECT_EQ(test, told->freed, 1);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 1);

	KUNIT_EXPECT_EQ(test, res_counter_remove(top), 1);
	KUNIT_EXPECT_EQ(test, root_usage(told), 1);
	KUNIT_EXPECT_EQ(test, told->freed, 1);
	uncharge(told, of_low, 1);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
	KUNIT_EXPECT_EQ(test, told->freed, 3);
}

static void removal_of_one_that_never_was(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *mid = told_counter(test, told, top);
	struct res_counter *low = told_counter(test, told, mid);

	res_counter_remove(mid);
	KUNIT_EXPECT_EQ(test, told->freed, 1);
	res_counter_remove(low);
	KUNIT_EXPECT_EQ(test, told->freed, 2);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, told->freed, 3);
}

/* Its ancestors may have been removed since they were looked at. */
static void discarded_counter_leaves_nothing(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *mid = told_counter(test, told, top);
	struct res_counter *low = told_counter(test, told, mid);
	struct res_owner *owner = must_charge(test, mid, 1);

	res_counter_remove(mid);
	KUNIT_EXPECT_EQ(test, told->freed, 0);
	res_counter_discard(low);
	KUNIT_EXPECT_EQ(test, told->freed, 1);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 1);
	KUNIT_EXPECT_EQ(test, res_counter_remove(low), 0);
	KUNIT_EXPECT_EQ(test, told->freed, 1);
	uncharge(told, owner, 1);
	KUNIT_EXPECT_EQ(test, told->freed, 2);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

static void charge_of_removed_goes_to_an_ancestor(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_owner *owner;

	res_counter_remove(low);
	owner = must_charge(test, low, 2);
	KUNIT_EXPECT_EQ(test, snapshot(top).held, 2);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 2, true), 0);
	must_refuse(test, low, 1, BC_LIMIT);
	KUNIT_EXPECT_PTR_EQ(test, told->last.counter, top);
	uncharge(told, owner, 2);

	/* The root is no counter: there is none left to charge. */
	res_counter_remove(top);
	KUNIT_EXPECT_NULL(test, res_counter_try_charge(low, 1));
	KUNIT_EXPECT_NULL(test, charge(low, 1, BC_FORCE));
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
	KUNIT_EXPECT_EQ(test, told->freed, 2);
}

/* What is no owner is told apart from what is one. */
static void owners_can_be_peeked_at(struct kunit *test)
{
	struct told *told = told_new(test), *other = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *low = told_counter(test, told, top);
	struct res_owner *owner = must_charge(test, low, 1);
	const struct res_counter *counter = NULL;
	static const u64 nothing[64];

	KUNIT_EXPECT_TRUE(test, res_owner_peek(owner, &told->root, &counter));
	KUNIT_EXPECT_PTR_EQ(test, counter, low);
	KUNIT_EXPECT_FALSE(test, res_owner_peek(owner, &other->root, &counter));
	KUNIT_EXPECT_FALSE(test, res_owner_peek((void *)nothing, &told->root,
						&counter));

	res_counter_remove(low);
	KUNIT_EXPECT_TRUE(test, res_owner_peek(owner, &told->root, &counter));
	KUNIT_EXPECT_PTR_EQ(test, counter, top);
	res_counter_remove(top);
	KUNIT_EXPECT_TRUE(test, res_owner_peek(owner, &told->root, &counter));
	KUNIT_EXPECT_NULL(test, counter);
	uncharge(told, owner, 1);
}

/* An object that keeps its owner is charged after its group was removed, too. */
static void removed_owner_adopts(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *top = told_counter(test, told, NULL);
	struct res_counter *mid = told_counter(test, told, top);
	struct res_counter *low = told_counter(test, told, mid);
	struct res_owner *owner = must_charge(test, low, 2);
	struct res_owner *from;

	KUNIT_ASSERT_TRUE(test, res_owner_tryget(owner));
	/* It has them already. */
	KUNIT_EXPECT_FALSE(test, res_owner_adopt(owner, owner, 1));
	res_counter_remove(low);

	from = must_charge(test, mid, 3);
	KUNIT_EXPECT_TRUE(test, res_owner_adopt(owner, from, 3));
	KUNIT_EXPECT_EQ(test, snapshot(mid).held, 0);
	KUNIT_EXPECT_EQ(test, snapshot(mid).inherited, 5);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 5);
	uncharge(told, owner, 4);
	KUNIT_EXPECT_EQ(test, snapshot(mid).inherited, 1);

	/* Not what another counter has, ... */
	from = must_charge(test, top, 1);
	KUNIT_EXPECT_FALSE(test, res_owner_adopt(owner, from, 1));
	uncharge(told, from, 1);
	/* ... nor what a counter had that was removed since. */
	from = must_charge(test, mid, 1);
	res_counter_remove(mid);
	KUNIT_EXPECT_FALSE(test, res_owner_adopt(owner, from, 1));
	uncharge(told, from, 1);

	from = must_charge(test, top, 2);
	KUNIT_EXPECT_TRUE(test, res_owner_adopt(owner, from, 2));
	KUNIT_EXPECT_EQ(test, res_counter_remove(top), 3);
	KUNIT_EXPECT_TRUE(test, res_owner_adopt(owner, NULL, 7));
	KUNIT_EXPECT_EQ(test, root_usage(told), 10);
	uncharge(told, owner, 9);
	KUNIT_EXPECT_EQ(test, root_usage(told), 1);
	uncharge(told, owner, 1);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
	KUNIT_EXPECT_EQ(test, told->freed, 2);
	res_owner_put(owner);
	KUNIT_EXPECT_EQ(test, told->freed, 3);
}

/*
 * A chain of groups, removed from its end, makes a chain of owners. Returning
 * the units, from either end, must free every owner, and none too early (which
 * KASAN sees).
 */
static void chains_of_owners_are_freed(struct kunit *test)
{
	enum { DEPTH = 64 };
	int round, i;

	for (round = 0; round < 2; round++) {
		struct told *told = told_new(test);
		struct res_counter *c[DEPTH];
		struct res_owner *owner[DEPTH];

		for (i = 0; i < DEPTH; i++) {
			c[i] = told_counter(test, told, i ? c[i - 1] : NULL);
			owner[i] = must_charge(test, c[i], i + 1);
		}
		for (i = DEPTH - 1; i >= 0; i--)
			res_counter_remove(c[i]);
		KUNIT_EXPECT_EQ(test, told->freed, 0);
		for (i = 0; i < DEPTH; i++) {
			int j = round ? i : DEPTH - 1 - i;

			uncharge(told, owner[j], 1);
			if (j)
				uncharge(told, owner[j], j);
		}
		KUNIT_EXPECT_EQ(test, told->freed, DEPTH);
		KUNIT_EXPECT_EQ(test, root_usage(told), 0);
	}
}

static unsigned long pair_of(const struct res_owner *owner)
{
	return (unsigned long)owner / RES_SLOT_SIZE;
}

/* Catches: a pair that is freed with its first half, or with none. */
static void two_owners_share_a_line(struct kunit *test)
{
	struct told *told = told_new(test);
	struct res_counter *one = told_counter(test, told, NULL);
	struct res_counter *two = told_twin(test, told, NULL, one);
	struct res_counter *three = told_twin(test, told, NULL, one);
	struct res_counter *four;
	struct res_owner *of_one = must_charge(test, one, 3);
	struct res_owner *of_two = must_charge(test, two, 2);

	KUNIT_EXPECT_PTR_NE(test, of_one, of_two);
	KUNIT_EXPECT_EQ(test, pair_of(of_one), pair_of(of_two));
	/* There is no third half. */
	KUNIT_EXPECT_NE(test, pair_of(three->owner), pair_of(of_one));

	KUNIT_EXPECT_EQ(test, res_counter_remove(one), 3);
	uncharge(told, of_one, 3);
	KUNIT_EXPECT_EQ(test, told->freed, 1);
	rcu_barrier();
	/* The half is free again, and the other one works on. */
	four = told_twin(test, told, NULL, two);
	KUNIT_EXPECT_PTR_EQ(test, four->owner, of_one);
	KUNIT_EXPECT_EQ(test, snapshot(two).usage, 2);
	KUNIT_EXPECT_EQ(test, res_counter_remove(two), 2);
	KUNIT_EXPECT_EQ(test, res_counter_remove(four), 0);
	rcu_barrier();
	uncharge(told, of_two, 2);
	KUNIT_EXPECT_EQ(test, told->freed, 3);
	KUNIT_EXPECT_EQ(test, res_counter_remove(three), 0);
	KUNIT_EXPECT_EQ(test, told->freed, 4);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

static struct kunit_case owner_cases[] = {
	KUNIT_CASE(removal_leaves_charges_to_the_parent),
	KUNIT_CASE(removal_of_one_that_never_was),
	KUNIT_CASE(discarded_counter_leaves_nothing),
	KUNIT_CASE(charge_of_removed_goes_to_an_ancestor),
	KUNIT_CASE(owners_can_be_peeked_at),
	KUNIT_CASE(removed_owner_adopts),
	KUNIT_CASE(chains_of_owners_are_freed),
	KUNIT_CASE(two_owners_share_a_line),
	{ }
};

static struct kunit_suite owner_suite = {
	.name = "bc_engine_owner",
	.test_cases = owner_cases,
};

kunit_test_suite(owner_suite);
