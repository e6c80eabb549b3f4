/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the KUnit tests of the engine share: a root whose callbacks note what
 * they are told, and charges as the core makes them
 */
#ifndef _BC_TOLD_KUNIT_H
#define _BC_TOLD_KUNIT_H

#include <kunit/test.h>
#include <linux/atomic.h>
#include <linux/container_of.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include <bc/res_counter.h>

/* What the engine has told its callbacks, and what they are to answer. */
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

	/* limit_hit() asks for another try this often ... */
	unsigned int		retries;
	/* ... and returns one unit of this each time */
	struct res_owner	*victim;
};

/* What .privileged answers, and how often it was asked. */
extern bool told_is_privileged;
extern unsigned int told_asked;

struct told *told_new(struct kunit *test);
struct told *told_new_beside(struct kunit *test, struct told *other);
struct res_counter *told_counter(struct kunit *test, struct told *told,
				 struct res_counter *parent);
struct res_counter *told_twin(struct kunit *test, struct told *told,
			      struct res_counter *parent,
			      const struct res_counter *twin);
u64 told_capacity(struct res_root *root, enum bc_severity severity);

static inline struct told *root_told(struct res_root *root)
{
	return container_of(root, struct told, root);
}

static inline struct res_snapshot snapshot(struct res_counter *counter)
{
	struct res_snapshot snap;

	res_counter_read(counter, &snap);
	return snap;
}

/* After a drain: no stock and no bank keeps anything. */
static inline u64 root_usage(struct told *told)
{
	res_root_drain(&told->root);
	return atomic64_read(&told->root.usage);
}

/* As the core does: from stock, if that is possible. */
static inline struct res_owner *charge(struct res_counter *counter, u64 n,
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

static inline void uncharge(struct told *told, struct res_owner *owner, u64 n)
{
	bool uncharged;

	preempt_disable();
	uncharged = res_stock_uncharge(told->root.stock, owner, n);
	preempt_enable();
	if (!uncharged)
		res_counter_uncharge(owner, n);
}

static inline struct res_owner *must_charge(struct kunit *test,
					    struct res_counter *counter, u64 n)
{
	struct res_owner *owner = charge(counter, n, BC_BARRIER);

	KUNIT_ASSERT_FALSE(test, IS_ERR_OR_NULL(owner));
	return owner;
}

static inline void must_refuse(struct kunit *test, struct res_counter *counter,
			       u64 n, enum bc_severity severity)
{
	struct res_owner *owner = charge(counter, n, severity);
	struct told *told = root_told(counter->root);

	KUNIT_EXPECT_EQ(test, PTR_ERR(owner),
			told->last.machine ? -ENOSPC : -EDQUOT);
}

/* What may be in stock in these tests: extremes are off by as much. */
#define STOCKED_MAX		64

static inline void expect_about(struct kunit *test, u64 shown, u64 right)
{
	KUNIT_EXPECT_GE(test, shown + STOCKED_MAX, right);
	KUNIT_EXPECT_LE(test, shown, right + STOCKED_MAX);
}

static inline int set_reserved(struct res_counter *counter, u64 n, u64 limit)
{
	struct res_refusal lacking;

	return res_counter_set_reserved(counter, n, limit, &lacking);
}

/* Keeps the test on one CPU, so that there is one stock to speak of. */
static inline void stay_here(struct kunit *test)
{
	const struct cpumask *here = cpumask_of(raw_smp_processor_id());

	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, here));
}

static inline bool stock_has(struct told *told, struct res_counter *counter,
			     u64 n)
{
	bool has;

	preempt_disable();
	has = res_stock_charge(told->root.stock, counter->owner, n);
	preempt_enable();
	if (has)
		uncharge(told, counter->owner, n);
	return has;
}

#endif /* _BC_TOLD_KUNIT_H */
