// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the charge engine
 *
 * First what each operation promises, then random operations on random trees,
 * compared step by step with a model so plain that it can be checked by
 * reading.
 */

#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/slab.h>

#include <bc/res_counter.h>

/* What the engine has told, and what it is to be answered. */
struct told {
	struct res_root		root;
	u64			capacity;
	u64			for_all;	/* ... without privilege */
	unsigned int		barrier_hits;
	struct res_counter	*barrier_hit_at;
	unsigned int		limit_hits;
	unsigned int		refusals;
	unsigned int		forced;
	struct res_refusal	last;
	unsigned int		freed;

	/* limit_hit(): asks for another try this often, ... */
	unsigned int		retries;
	/* ... and returns one unit of this each time */
	struct res_owner	*victim;
};

static void uncharge(struct told *told, struct res_owner *owner, u64 n);

static struct told *root_told(struct res_root *root)
{
	return container_of(root, struct told, root);
}

static u64 told_capacity(struct res_root *root, enum bc_severity severity)
{
	struct told *told = root_told(root);

	return severity < BC_LIMIT ? min(told->capacity, told->for_all) :
					told->capacity;
}

static void told_barrier_hit(struct res_counter *counter)
{
	root_told(counter->root)->barrier_hits++;
	root_told(counter->root)->barrier_hit_at = counter;
}

static bool told_limit_hit(const struct res_refusal *refusal, bool may_block)
{
	struct told *told = root_told(refusal->counter->root);

	told->limit_hits++;
	told->last = *refusal;
	if (!told->retries)
		return false;
	told->retries--;
	if (told->victim)
		uncharge(told, told->victim, 1);
	return true;
}

static void told_refused(const struct res_refusal *refusal)
{
	struct told *told = root_told(refusal->counter->root);

	told->refusals++;
	told->last = *refusal;
}

static void told_forced(const struct res_refusal *refusal)
{
	struct told *told = root_told(refusal->counter->root);

	told->forced++;
	told->last = *refusal;
}

static void told_owner_freed(struct res_root *root)
{
	root_told(root)->freed++;
}

static bool is_privileged;
static unsigned int asked;

static bool told_privileged(void)
{
	asked++;
	return is_privileged;
}

static const struct res_counter_ops told_ops = {
	.privileged	= told_privileged,
	.capacity	= told_capacity,
	.barrier_hit	= told_barrier_hit,
	.limit_hit	= told_limit_hit,
	.refused	= told_refused,
	.forced		= told_forced,
	.owner_freed	= told_owner_freed,
};

static void end_root(void *root)
{
	res_root_exit(root);
}

static struct told *new_root(struct kunit *test)
{
	struct told *told = kunit_kzalloc(test, sizeof(*told), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, told);
	KUNIT_ASSERT_EQ(test, res_root_init(&told->root, &told_ops), 0);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, end_root,
							   &told->root));
	told->capacity = RES_COUNTER_MAX;
	told->for_all = RES_COUNTER_MAX;
	return told;
}

static void end_counter(void *counter)
{
	res_counter_destroy(counter);
}

/* KUnit frees the memory after the test, which no other task takes part in. */
static struct res_counter *new_counter(struct kunit *test, struct told *told,
				       struct res_counter *parent)
{
	struct res_counter *counter;

	counter = kunit_kzalloc(test, sizeof(*counter), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, counter);
	KUNIT_ASSERT_EQ(test, res_counter_init(counter, parent, &told->root),
			0);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, end_counter,
							   counter));
	return counter;
}

static struct res_snapshot snapshot(struct res_counter *counter)
{
	struct res_snapshot snap;

	res_counter_read(counter, &snap);
	return snap;
}

/* With nothing kept anywhere. */
static u64 root_usage(struct told *told)
{
	res_root_drain(&told->root);
	return atomic64_read(&told->root.usage);
}

/* As the core does: from stock, if that is possible. */
static struct res_owner *charge(struct res_counter *counter, u64 n,
				enum bc_severity severity)
{
	bool charged;

	preempt_disable();
	charged = res_stock_charge(counter->root->stock, counter->owner, n);
	preempt_enable();
	if (charged)
		return counter->owner;
	return res_counter_charge(counter, n, severity, true);
}

static void uncharge(struct told *told, struct res_owner *owner, u64 n)
{
	bool uncharged;

	preempt_disable();
	uncharged = res_stock_uncharge(told->root.stock, owner, n);
	preempt_enable();
	if (!uncharged)
		res_counter_uncharge(owner, n);
}

static struct res_owner *must_charge(struct kunit *test,
				     struct res_counter *counter, u64 n)
{
	struct res_owner *owner = charge(counter, n, BC_BARRIER);

	KUNIT_ASSERT_FALSE(test, IS_ERR_OR_NULL(owner));
	return owner;
}

static void must_refuse(struct kunit *test, struct res_counter *counter, u64 n,
			enum bc_severity severity)
{
	struct res_owner *owner = charge(counter, n, severity);
	struct told *told = root_told(counter->root);

	KUNIT_EXPECT_EQ(test, PTR_ERR(owner),
			told->last.machine ? -ENOSPC : -EDQUOT);
}

static void limit_holds_to_the_unit(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *c = new_counter(test, told, NULL);
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
	struct told *told = new_root(test);
	struct res_counter *c = new_counter(test, told, NULL);

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 0, true), 0);
	must_refuse(test, c, 1, BC_LIMIT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(res_counter_try_charge(c, 1)), -EDQUOT);
	res_counter_remove(c);
}

static void severities_differ(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *c = new_counter(test, told, NULL);
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
	struct told *told = new_root(test);
	struct res_counter *c = new_counter(test, told, NULL);
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
	is_privileged = true;
	KUNIT_EXPECT_PTR_EQ(test, charge(c, 3, BC_HALFWAY), owner);
	is_privileged = false;
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

static void barrier_by_default(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *c = new_counter(test, told, NULL);
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
	struct told *told = new_root(test);
	struct res_counter *c = new_counter(test, told, NULL);
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
	struct told *told = new_root(test);
	struct res_counter *c = new_counter(test, told, NULL);
	struct res_owner *owner;

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 4, true), 0);
	KUNIT_ASSERT_EQ(test, res_counter_set_barrier(c, 2), 0);
	asked = 0;
	is_privileged = true;
	owner = must_charge(test, c, 2);
	KUNIT_EXPECT_EQ(test, asked, 0);
	must_charge(test, c, 2);
	KUNIT_EXPECT_EQ(test, asked, 1);
	KUNIT_EXPECT_EQ(test, told->barrier_hits, 1);
	KUNIT_EXPECT_EQ(test, told->refusals, 0);
	must_refuse(test, c, 1, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, asked, 1);

	/* The limit refuses, room is made, and then it is the barrier. */
	told->victim = owner;
	told->retries = 1;
	must_charge(test, c, 1);
	KUNIT_EXPECT_EQ(test, asked, 2);

	is_privileged = false;
	uncharge(told, owner, 1);
	must_refuse(test, c, 1, BC_BARRIER);
	KUNIT_EXPECT_EQ(test, asked, 3);
	KUNIT_EXPECT_EQ(test, told->last.at, BC_BARRIER);

	uncharge(told, owner, 3);
	res_counter_remove(c);
}

static void removal_of_one_that_never_was(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *mid = new_counter(test, told, top);
	struct res_counter *low = new_counter(test, told, mid);

	res_counter_remove(mid);
	KUNIT_EXPECT_EQ(test, told->freed, 1);
	res_counter_remove(low);
	KUNIT_EXPECT_EQ(test, told->freed, 2);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, told->freed, 3);
}

static void try_charge_tells_nobody(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *c = new_counter(test, told, NULL);
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
	struct told *told = new_root(test);
	struct res_counter *path[4], *sibling;
	struct res_snapshot before[4];
	struct res_owner *owner, *other;
	int i;

	for (i = 0; i < 4; i++)
		path[i] = new_counter(test, told, i ? path[i - 1] : NULL);
	sibling = new_counter(test, told, path[1]);
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
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *mid = new_counter(test, told, top);
	struct res_counter *low = new_counter(test, told, mid);

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
	struct told *told = new_root(test);
	struct res_counter *a = new_counter(test, told, NULL);
	struct res_counter *b = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, b);
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
	struct told *told = new_root(test);
	struct res_counter *c = new_counter(test, told, NULL);
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
	struct told *told = new_root(test);
	struct res_counter *c = new_counter(test, told, NULL);
	struct res_owner *owner = must_charge(test, c, 4);

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(c, 4, true), 0);
	told->victim = owner;
	told->retries = 3;
	KUNIT_EXPECT_PTR_EQ(test, charge(c, 3, BC_LIMIT), owner);
	KUNIT_EXPECT_EQ(test, told->limit_hits, 3);
	KUNIT_EXPECT_EQ(test, told->refusals, 0);
	KUNIT_EXPECT_EQ(test, snapshot(c).failcnt, 0);
	KUNIT_EXPECT_EQ(test, snapshot(c).usage, 4);

	/* One that promises room for ever and makes none is not believed. */
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
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
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

/* What may be at hand in these tests: extremes are off by as much. */
#define AT_HAND		64

static void expect_about(struct kunit *test, u64 shown, u64 right)
{
	KUNIT_EXPECT_GE(test, shown + AT_HAND, right);
	KUNIT_EXPECT_LE(test, shown, right + AT_HAND);
}

static void extremes_and_totals(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *c = new_counter(test, told, top);
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

static void removal_leaves_charges_to_the_parent(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *mid = new_counter(test, told, top);
	struct res_counter *low = new_counter(test, told, mid);
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

static void charge_of_removed_goes_to_an_ancestor(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
	struct res_owner *owner;

	res_counter_remove(low);
	owner = must_charge(test, low, 2);
	KUNIT_EXPECT_EQ(test, snapshot(top).held, 2);
	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 2, true), 0);
	must_refuse(test, low, 1, BC_LIMIT);
	KUNIT_EXPECT_PTR_EQ(test, told->last.counter, top);
	uncharge(told, owner, 2);

	/* Nobody is left but the root: nobody is charged. */
	res_counter_remove(top);
	KUNIT_EXPECT_NULL(test, res_counter_try_charge(low, 1));
	KUNIT_EXPECT_NULL(test, charge(low, 1, BC_FORCE));
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
	KUNIT_EXPECT_EQ(test, told->freed, 2);
}

/* What is no owner is told apart from what is one. */
static void owners_can_be_peeked_at(struct kunit *test)
{
	struct told *told = new_root(test), *other = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
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
		struct told *told = new_root(test);
		struct res_counter *c[DEPTH];
		struct res_owner *owner[DEPTH];

		for (i = 0; i < DEPTH; i++) {
			c[i] = new_counter(test, told, i ? c[i - 1] : NULL);
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

static int set_reserved(struct res_counter *counter, u64 n, u64 limit)
{
	struct res_refusal lacking;

	return res_counter_set_reserved(counter, n, limit, &lacking);
}

static void reserve(struct kunit *test, struct res_counter *counter, u64 n,
		    int expected)
{
	KUNIT_EXPECT_EQ(test, expected, set_reserved(counter, n, RES_LIMIT_KEEP));
}

static void reservation_covers_charges(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
	struct res_counter *other = new_counter(test, told, top);
	struct res_owner *owner, *of_other;

	KUNIT_ASSERT_EQ(test, res_counter_set_limit(top, 10, true), 0);
	reserve(test, low, 4, 0);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 4);
	KUNIT_EXPECT_EQ(test, snapshot(top).lent, 4);
	KUNIT_EXPECT_EQ(test, snapshot(low).usage, 0);
	KUNIT_EXPECT_EQ(test, root_usage(told), 4);

	/* Others have what is left, and cannot touch what is lent. */
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
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
	struct res_counter *other = new_counter(test, told, top);
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
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
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
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *mid = new_counter(test, told, top);
	struct res_counter *low = new_counter(test, told, mid);
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
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
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
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
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

/* Keeps the test on one CPU, so that there is one stock to speak of. */
static void stay_here(struct kunit *test)
{
	const struct cpumask *here = cpumask_of(raw_smp_processor_id());

	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, here));
}

static bool stock_has(struct told *told, struct res_counter *counter, u64 n)
{
	bool has;

	preempt_disable();
	has = res_stock_charge(told->root.stock, counter->owner, n);
	preempt_enable();
	if (has)
		uncharge(told, counter->owner, n);
	return has;
}

static void stock_serves_charges(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
	struct res_owner *owner;
	u64 stocked;

	stay_here(test);
	KUNIT_EXPECT_FALSE(test, stock_has(told, low, 1));
	owner = must_charge(test, low, 1);
	/* More than one comes at a time, for this group and no other. */
	stocked = snapshot(low).stocked;
	KUNIT_EXPECT_GT(test, stocked, 0);
	KUNIT_EXPECT_LE(test, stocked, AT_HAND);
	KUNIT_EXPECT_EQ(test, snapshot(low).usage, 1);
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 1);
	KUNIT_EXPECT_GE(test, snapshot(top).stocked, stocked);
	KUNIT_EXPECT_TRUE(test, stock_has(told, low, 1));
	KUNIT_EXPECT_FALSE(test, stock_has(told, low, AT_HAND));
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

/* Of more groups than there are slots, one that is at work gets one. */
static void slots_are_for_those_at_work(struct kunit *test)
{
	enum { NR = 2 * RES_SLOTS };
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL), *c[NR];
	int i, j, has = 0;

	stay_here(test);
	for (i = 0; i < NR; i++) {
		c[i] = new_counter(test, told, top);
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

static void stock_is_bounded(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *c = new_counter(test, told, NULL);
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
	/* One that brings back too much at a time does not keep it. */
	must_charge(test, c, 10000);
	uncharge(told, owner, 10000);
	KUNIT_EXPECT_LE(test, snapshot(c).stocked, most);
	KUNIT_EXPECT_EQ(test, snapshot(c).usage, 0);
	KUNIT_EXPECT_EQ(test, snapshot(c).uncharged, 11000);
	res_counter_remove(c);
}

static void no_stock_near_a_bound(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
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

/* What others keep is fetched before a charge is refused. */
static void what_is_kept_is_no_reason_to_refuse(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *mid = new_counter(test, told, top);
	struct res_counter *a = new_counter(test, told, mid);
	struct res_counter *b = new_counter(test, told, mid);

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

	/* What a reservation covers is nobody else's, and stays. */
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

/* Many levels, of which each has some of what is needed. */
static void parts_of_reservations_add_up(struct kunit *test)
{
	enum { DEPTH = 6 };
	struct told *told = new_root(test);
	struct res_counter *c[DEPTH];
	struct res_owner *owner;
	int i;

	for (i = 0; i < DEPTH; i++)
		c[i] = new_counter(test, told, i ? c[i - 1] : NULL);
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

static struct res_slot *this_slot(struct told *told, struct res_owner *owner)
{
	return res_this_slot(told->root.stock, owner);
}

/* As if an interrupt had closed the slot after the owner was compared. */
static void closed_stock_keeps_nothing(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
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

	/* Nor does that of a group that is gone: its parent has the units. */
	res_counter_remove(low);
	/* Its owner is freed, and another's at the same place some day. */
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
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
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

/*
 * Random operations. The model has for each group its own units, by the group
 * that they were charged to, and adds up whole subtrees whenever it is asked.
 */
#define GROUPS	12
#define STEPS	20000

struct model {
	struct told		*told;
	struct rnd_state	rnd;
	int			replaced;	/* groups */
	struct {
		struct res_counter	*counter;
		int			parent;		/* -1: the root */
		u64			barrier, limit, reserved;
		u64			max, min;	/* usage since its start */
	} group[GROUPS];
	/* Units still out, by owner. */
	struct {
		struct res_owner	*owner;
		int			at;		/* -1: the root */
		u64			n;
	} out[GROUPS * 8];
};

static u32 below(struct model *m, u32 bound)
{
	return prandom_u32_state(&m->rnd) % bound;
}

/* Units of the group's own objects. */
static u64 model_own(struct model *m, int group)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(m->out); i++)
		if (m->out[i].n && m->out[i].at == group)
			sum += m->out[i].n;
	return sum;
}

static u64 model_usage(struct model *m, int group);

static u64 model_taken(struct model *m, int group)
{
	return max(model_usage(m, group), m->group[group].reserved);
}

static u64 model_usage(struct model *m, int group)
{
	u64 sum = model_own(m, group);
	int i;

	for (i = 0; i < GROUPS; i++)
		if (m->group[i].parent == group)
			sum += model_taken(m, i);
	return sum;
}

/* Units of objects, here and below. */
static u64 model_held(struct model *m, int group)
{
	u64 sum = model_own(m, group);
	int i;

	for (i = 0; i < GROUPS; i++)
		if (m->group[i].parent == group)
			sum += model_held(m, i);
	return sum;
}

static u64 model_lent(struct model *m, int group)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < GROUPS; i++)
		if (m->group[i].parent == group)
			sum += m->group[i].reserved;
	return sum;
}

/* What a group's descendants have reserved, on whatever level is most. */
static u64 model_pledged(struct model *m, int group)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < GROUPS; i++)
		if (m->group[i].parent == group)
			sum += max(m->group[i].reserved, model_pledged(m, i));
	return sum;
}

/* The bound that refuses, or -1 if the charge is to be admitted. */
static int model_refuses(struct model *m, int group, u64 n,
			 enum bc_severity severity)
{
	int top = group;

	if (severity == BC_FORCE)
		return -1;
	for (; n && group >= 0; top = group, group = m->group[group].parent) {
		u64 usage = model_usage(m, group);
		u64 limit = m->group[group].limit;
		u64 bound = min(limit, m->group[group].barrier);

		if (severity == BC_HALFWAY)
			bound += (limit - bound) / 2;
		else if (severity == BC_LIMIT)
			bound = limit;
		if (usage + n > bound)
			return group;
		n = max(usage + n, m->group[group].reserved) -
		    model_taken(m, group);
	}
	if (model_usage(m, -1) + n <= told_capacity(&m->told->root, severity))
		return -1;
	return n ? top : -1;
}

static void model_charge(struct kunit *test, struct model *m, int group)
{
	enum bc_severity severity = below(m, 8) ? below(m, BC_FORCE) : BC_FORCE;
	u64 n = 1 + below(m, 6);
	int i, refuser = model_refuses(m, group, n, severity);
	u64 failcnt = refuser < 0 ? 0 : snapshot(m->group[refuser].counter).failcnt;
	struct res_owner *owner;

	for (i = 0; i < ARRAY_SIZE(m->out) && m->out[i].n; i++)
		;
	if (i == ARRAY_SIZE(m->out))
		return;

	owner = charge(m->group[group].counter, n, severity);
	if (refuser >= 0) {
		KUNIT_ASSERT_TRUE(test, IS_ERR(owner));
		KUNIT_ASSERT_EQ(test, failcnt + 1,
				snapshot(m->group[refuser].counter).failcnt);
		return;
	}
	KUNIT_ASSERT_FALSE(test, IS_ERR_OR_NULL(owner));
	m->out[i].owner = owner;
	m->out[i].at = group;
	m->out[i].n = n;
}

static void model_uncharge(struct model *m)
{
	int i = below(m, ARRAY_SIZE(m->out));
	u64 n;

	if (!m->out[i].n)
		return;
	n = 1 + below(m, m->out[i].n);
	m->out[i].n -= n;
	uncharge(m->told, m->out[i].owner, n);
}

/* Units that are charged somewhere are charged somewhere else. */
static void model_move(struct kunit *test, struct model *m, int group)
{
	int i = below(m, ARRAY_SIZE(m->out));

	if (!m->out[i].n)
		return;
	m->out[i].owner = res_counter_move(m->out[i].owner,
					   m->group[group].counter, m->out[i].n);
	m->out[i].at = group;
	KUNIT_ASSERT_PTR_EQ(test, m->out[i].owner, m->group[group].counter->owner);
}

static void model_set_bound(struct kunit *test, struct model *m, int group)
{
	u64 val = below(m, 4) ? below(m, 40) : RES_COUNTER_MAX;
	int expected = 0;

	if (below(m, 2)) {
		m->group[group].barrier = val;
		KUNIT_ASSERT_EQ(test, 0, res_counter_set_barrier(m->group[group].counter,
								 val));
		return;
	}
	if (val < m->group[group].reserved)
		expected = -EINVAL;
	else if (val < model_pledged(m, group))
		expected = -EBUSY;
	if (below(m, 2)) {
		if (!expected && val < model_usage(m, group))
			expected = -EBUSY;
		KUNIT_ASSERT_EQ(test, expected,
				res_counter_set_limit(m->group[group].counter, val,
						      true));
	} else {
		KUNIT_ASSERT_EQ(test, expected,
				res_counter_set_limit(m->group[group].counter, val,
						      false));
	}
	if (!expected)
		m->group[group].limit = val;
}

/* What is to be expected of a reservation of @val, with the limit @limit. */
static int model_reserve(struct model *m, int group, u64 val, u64 limit, bool wall)
{
	u64 old = m->group[group].reserved;
	int parent = m->group[group].parent;
	u64 usage = model_usage(m, group);
	u64 more = max(usage, val) - min(max(usage, val), max(usage, old));
	u64 root = model_usage(m, -1);
	int expected = 0;

	if (val > limit)
		return -EINVAL;
	if (val < usage && wall)
		return -EBUSY;
	if (limit < model_pledged(m, group))
		return -EBUSY;
	if (val <= old)
		return 0;

	/* As if it was lent: is anybody above its bounds then? */
	m->group[group].reserved = val;
	for (; parent >= 0; parent = m->group[parent].parent) {
		if (model_usage(m, parent) > min(m->group[parent].limit,
						 m->group[parent].barrier))
			expected = -ENOSPC;
		if (model_usage(m, parent) <= m->group[parent].reserved)
			break;
	}
	if (more && parent < 0 && model_usage(m, -1) > max(root, m->told->for_all))
		expected = -ENOSPC;
	m->group[group].reserved = old;
	return expected;
}

static void model_set_reserved(struct kunit *test, struct model *m, int group)
{
	u64 val = below(m, 20), limit = m->group[group].limit;
	u64 how = RES_LIMIT_KEEP;
	int expected;

	switch (below(m, 4)) {
	case 0:
		how = RES_LIMIT_WALL;
		limit = val;
		break;
	case 1:
		how = below(m, 40);
		limit = how;
		break;
	}

	expected = model_reserve(m, group, val, limit, how == RES_LIMIT_WALL);
	KUNIT_ASSERT_EQ(test, expected,
			set_reserved(m->group[group].counter, val, how));
	if (!expected) {
		m->group[group].reserved = val;
		m->group[group].limit = limit;
	}
}

/* Of all amounts between what is reserved and what is wanted, the nearest. */
static void model_reserve_upto(struct kunit *test, struct model *m, int group)
{
	const u64 wanted = below(m, 20), old = m->group[group].reserved;
	const bool wall = !below(m, 4);
	u64 val = wanted;

	/* The limit is the caller's business: a reservation above is none. */
	if (!wall && wanted > m->group[group].limit)
		return;
	for (;; val += wanted < old ? 1 : -1) {
		u64 limit = wall ? val : m->group[group].limit;

		if ((val != old || wanted <= old) &&
		    !model_reserve(m, group, val, limit,
				   limit < m->group[group].limit && wall)) {
			m->group[group].reserved = val;
			m->group[group].limit = limit;
			break;
		}
		if (val == old)
			break;
	}
	KUNIT_ASSERT_EQ(test, val,
			res_counter_reserve_upto(m->group[group].counter, wanted,
						 wall ? RES_LIMIT_WALL :
							RES_LIMIT_KEEP));
}

static bool model_has_child(struct model *m, int group)
{
	int i;

	for (i = 0; i < GROUPS; i++)
		if (m->group[i].counter && m->group[i].parent == group)
			return true;
	return false;
}

/* Groups without children come and go. */
static void model_replace(struct kunit *test, struct model *m, int group)
{
	u64 usage = model_usage(m, group);
	int i, parent = m->group[group].parent;

	if (model_has_child(m, group))
		return;

	m->replaced++;
	KUNIT_ASSERT_EQ(test, res_counter_remove(m->group[group].counter), usage);
	for (i = 0; i < ARRAY_SIZE(m->out); i++)
		if (m->out[i].at == group)
			m->out[i].at = parent;

	/* A parent is any group that is not in the place of this one. */
	do {
		parent = (int)below(m, GROUPS + 1) - 1;
	} while (parent == group);
	m->group[group].parent = parent;
	m->group[group].barrier = RES_COUNTER_MAX;
	m->group[group].limit = RES_COUNTER_MAX;
	m->group[group].reserved = 0;
	m->group[group].max = 0;
	m->group[group].min = 0;
	m->group[group].counter = new_counter(test, m->told, parent < 0 ? NULL :
					      m->group[parent].counter);
}

static void model_check(struct kunit *test, struct model *m)
{
	int i;

	for (i = 0; i < GROUPS; i++) {
		struct res_snapshot snap = snapshot(m->group[i].counter);
		u64 usage = model_usage(m, i);

		m->group[i].max = max(m->group[i].max, usage);
		m->group[i].min = min(m->group[i].min, usage);
		KUNIT_ASSERT_EQ(test, snap.usage, usage);
		KUNIT_ASSERT_EQ(test, snap.limit, m->group[i].limit);
		KUNIT_ASSERT_EQ(test, snap.barrier, m->group[i].barrier);
		KUNIT_ASSERT_EQ(test, snap.reserved, m->group[i].reserved);
		KUNIT_ASSERT_EQ(test, snap.lent, model_lent(m, i));
		KUNIT_ASSERT_LE(test, model_pledged(m, i), snap.limit);
		KUNIT_ASSERT_GE(test, snap.max_usage + AT_HAND, m->group[i].max);
		KUNIT_ASSERT_LE(test, snap.max_usage, m->group[i].max + AT_HAND);
		KUNIT_ASSERT_LE(test, snap.min_usage, m->group[i].min + AT_HAND);
		KUNIT_ASSERT_EQ(test, model_held(m, i), snap.charged - snap.uncharged);
	}
	KUNIT_ASSERT_GE(test, atomic64_read(&m->told->root.usage),
			model_usage(m, -1));
	/* Now and then, as it empties the stocks. */
	if (!below(m, 16))
		KUNIT_ASSERT_EQ(test, root_usage(m->told), model_usage(m, -1));
}

static void model_step(struct kunit *test, struct model *m)
{
	int group = below(m, GROUPS);

	switch (below(m, 16)) {
	case 0:
		model_set_bound(test, m, group);
		break;
	case 1:
		if (!below(m, 8))
			model_replace(test, m, group);
		break;
	case 2:
		model_set_reserved(test, m, group);
		break;
	case 3:
		model_reserve_upto(test, m, group);
		break;
	case 4:
		model_move(test, m, group);
		break;
	case 5 ... 10:
		model_charge(test, m, group);
		break;
	default:
		model_uncharge(m);
		break;
	}
}

static void random_operations_match_the_model(struct kunit *test)
{
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	int i, gone = 0;

	KUNIT_ASSERT_NOT_NULL(test, m);
	prandom_seed_state(&m->rnd, 20060829);
	m->told = new_root(test);
	m->told->capacity = 60;
	m->told->for_all = 50;
	for (i = 0; i < GROUPS; i++) {
		int parent = (int)below(m, i + 1) - 1;

		m->group[i].parent = parent;
		m->group[i].barrier = RES_COUNTER_MAX;
		m->group[i].limit = RES_COUNTER_MAX;
		m->group[i].counter = new_counter(test, m->told, parent < 0 ?
						  NULL : m->group[parent].counter);
	}

	for (i = 0; i < STEPS; i++) {
		int cpu = cpumask_nth(below(m, num_online_cpus()), cpu_online_mask);

		/* Fails if the CPU is just leaving: another is as good. */
		set_cpus_allowed_ptr(current, cpumask_of(cpu));
		model_step(test, m);
		model_check(test, m);
	}

	for (i = 0; i < ARRAY_SIZE(m->out); i++)
		if (m->out[i].n)
			uncharge(m->told, m->out[i].owner, m->out[i].n);
	/* What is lent is in use: each round gets one level further up. */
	for (i = 0; i < GROUPS * GROUPS; i++)
		if (!set_reserved(m->group[i % GROUPS].counter, 0, RES_LIMIT_KEEP))
			m->group[i % GROUPS].reserved = 0;
	for (i = 0; i < GROUPS; i++)
		KUNIT_EXPECT_EQ(test, snapshot(m->group[i].counter).usage, 0);
	KUNIT_EXPECT_EQ(test, root_usage(m->told), 0);

	/* Children first: in each round, those that are nobody's parent. */
	while (gone < GROUPS)
		for (i = 0; i < GROUPS; i++)
			if (m->group[i].counter && !model_has_child(m, i)) {
				res_counter_remove(m->group[i].counter);
				m->group[i].counter = NULL;
				gone++;
			}
	KUNIT_EXPECT_EQ(test, m->told->freed, GROUPS + m->replaced);
}

/* Warns once a boot, on purpose. */
static void underflow_is_reported_and_stops_at_zero(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
	struct res_owner *of_low = must_charge(test, low, 2);
	struct res_owner *of_top = must_charge(test, top, 3);

	kunit_info(test, "a warning of \"units returned, never taken\" is expected here\n");
	uncharge(told, of_low, 4);
	KUNIT_EXPECT_EQ(test, snapshot(low).usage, 0);
	/* What belongs to others is left alone. */
	KUNIT_EXPECT_EQ(test, snapshot(top).usage, 3);
	KUNIT_EXPECT_EQ(test, root_usage(told), 3);

	uncharge(told, of_top, 3);
	res_counter_remove(low);
	res_counter_remove(top);
	KUNIT_EXPECT_EQ(test, told->freed, 2);
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
 * From stock or not, here and above, and after a removal in what is left of
 * that.
 */
static void kinds_are_of_whoever_holds(struct kunit *test)
{
	struct told *told = new_root(test);
	struct res_counter *top = new_counter(test, told, NULL);
	struct res_counter *low = new_counter(test, told, top);
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

	/* They can become others. */
	note(told, owner, 0, -2);
	note(told, owner, 2, 2);
	expect_kinds(test, top, 5, 3, 2);

	res_counter_remove(low);
	expect_kinds(test, top, 5, 3, 2);
	note(told, owner, 1, -3);
	uncharge(told, owner, 3);
	expect_kinds(test, top, 5, 0, 2);
	res_counter_remove(top);
	/* Nobody is left who would know. */
	note(told, owner, 0, -5);
	note(told, owner, 2, -2);
	uncharge(told, owner, 7);
	KUNIT_EXPECT_EQ(test, root_usage(told), 0);
}

static struct kunit_case res_counter_cases[] = {
	KUNIT_CASE(limit_holds_to_the_unit),
	KUNIT_CASE(limit_of_zero_refuses_all),
	KUNIT_CASE(severities_differ),
	KUNIT_CASE(halfway_is_between),
	KUNIT_CASE(barrier_by_default),
	KUNIT_CASE(barrier_above_limit_means_limit),
	KUNIT_CASE(privilege_is_asked_when_it_matters),
	KUNIT_CASE(try_charge_tells_nobody),
	KUNIT_CASE(refusal_changes_nothing_anywhere),
	KUNIT_CASE(nearest_full_counter_refuses),
	KUNIT_CASE(machine_has_a_limit),
	KUNIT_CASE(limits_can_change),
	KUNIT_CASE(limit_hit_can_make_room),
	KUNIT_CASE(barrier_hit_is_called_at_crossings),
	KUNIT_CASE(extremes_and_totals),
	KUNIT_CASE(removal_leaves_charges_to_the_parent),
	KUNIT_CASE(removal_of_one_that_never_was),
	KUNIT_CASE(charge_of_removed_goes_to_an_ancestor),
	KUNIT_CASE(owners_can_be_peeked_at),
	KUNIT_CASE(chains_of_owners_are_freed),
	KUNIT_CASE(reservation_covers_charges),
	KUNIT_CASE(borrowing_asks_only_for_what_is_not_taken),
	KUNIT_CASE(what_cannot_be_borrowed_or_repaid),
	KUNIT_CASE(loans_stay_within_bounds),
	KUNIT_CASE(high_walls),
	KUNIT_CASE(lacking_room_is_described),
	KUNIT_CASE(stock_serves_charges),
	KUNIT_CASE(slots_are_for_those_at_work),
	KUNIT_CASE(stock_is_bounded),
	KUNIT_CASE(no_stock_near_a_bound),
	KUNIT_CASE(what_is_kept_is_no_reason_to_refuse),
	KUNIT_CASE(parts_of_reservations_add_up),
	KUNIT_CASE(closed_stock_keeps_nothing),
	KUNIT_CASE(bounds_are_compared_without_stock),
	KUNIT_CASE(kinds_are_of_whoever_holds),
	KUNIT_CASE_SLOW(random_operations_match_the_model),
	KUNIT_CASE(underflow_is_reported_and_stops_at_zero),
	{ }
};

static struct kunit_suite res_counter_suite = {
	.name = "bc_res_counter",
	.test_cases = res_counter_cases,
};

kunit_test_suite(res_counter_suite);
