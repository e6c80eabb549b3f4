// SPDX-License-Identifier: GPL-2.0
/*
 * A root for the KUnit tests of the engine, whose callbacks note what they are
 * told
 */

#include <kunit/test.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "told_kunit.h"

u64 told_capacity(struct res_root *root, enum bc_severity severity)
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

bool told_is_privileged;
unsigned int told_asked;

static bool told_privileged(void)
{
	told_asked++;
	return told_is_privileged;
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

static void told_init(struct kunit *test, struct told *told)
{
	KUNIT_ASSERT_EQ(test, res_root_init(&told->root, &told_ops), 0);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, end_root,
							   &told->root));
	told->capacity = RES_COUNTER_MAX;
	told->for_all = RES_COUNTER_MAX;
}

struct told *told_new(struct kunit *test)
{
	struct told *told = kunit_kzalloc(test, sizeof(*told), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, told);
	told_init(test, told);
	return told;
}

/* A resource that has the CPUs' stock in common with another one. */
struct told *told_new_beside(struct kunit *test, struct told *other)
{
	struct told *told = kunit_kzalloc(test, sizeof(*told), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, told);
	told->root.stock = other->root.stock;
	told->root.info = other->root.info;
	told_init(test, told);
	KUNIT_ASSERT_TRUE(test, told->root.info == other->root.info);
	return told;
}

static void end_counter(void *counter)
{
	res_counter_destroy(counter);
}

/* KUnit frees the memory after the test, which no other task takes part in. */
struct res_counter *told_counter(struct kunit *test, struct told *told,
				 struct res_counter *parent)
{
	return told_twin(test, told, parent, NULL);
}

struct res_counter *told_twin(struct kunit *test, struct told *told,
			      struct res_counter *parent,
			      const struct res_counter *twin)
{
	struct res_counter *counter;

	counter = kunit_kzalloc(test, sizeof(*counter), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, counter);
	KUNIT_ASSERT_EQ(test, res_counter_init_twin(counter, parent,
						    &told->root, twin), 0);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, end_counter,
							   counter));
	return counter;
}
