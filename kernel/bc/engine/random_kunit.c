// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit test of the engine as a whole: random operations on random trees,
 * compared step by step with a model so plain that it can be checked by reading
 */

#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/prandom.h>
#include <linux/sched.h>

#include "told_kunit.h"

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

	/* As if it was lent: is an ancestor above its bounds then? */
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
	m->group[group].counter = told_counter(test, m->told, parent < 0 ?
					       NULL : m->group[parent].counter);
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
		KUNIT_ASSERT_GE(test, snap.max_usage + STOCKED_MAX, m->group[i].max);
		KUNIT_ASSERT_LE(test, snap.max_usage, m->group[i].max + STOCKED_MAX);
		KUNIT_ASSERT_LE(test, snap.min_usage, m->group[i].min + STOCKED_MAX);
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
	/* KUnit gives a test five minutes, which a slow machine may need for all. */
	const unsigned long end = jiffies + 60 * HZ;
	int i, gone = 0;

	KUNIT_ASSERT_NOT_NULL(test, m);
	prandom_seed_state(&m->rnd, 20060829);
	m->told = told_new(test);
	m->told->capacity = 60;
	m->told->for_all = 50;
	for (i = 0; i < GROUPS; i++) {
		int parent = (int)below(m, i + 1) - 1;

		m->group[i].parent = parent;
		m->group[i].barrier = RES_COUNTER_MAX;
		m->group[i].limit = RES_COUNTER_MAX;
		m->group[i].counter = told_counter(test, m->told, parent < 0 ?
						   NULL : m->group[parent].counter);
	}

	for (i = 0; i < STEPS && time_before(jiffies, end); i++) {
		int cpu = cpumask_nth(below(m, num_online_cpus()), cpu_online_mask);

		/* Fails if the CPU is just leaving: another is as good. */
		set_cpus_allowed_ptr(current, cpumask_of(cpu));
		model_step(test, m);
		model_check(test, m);
	}
	kunit_info(test, "%d steps", i);

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

	/* Children first: each round removes the groups that have none. */
	while (gone < GROUPS)
		for (i = 0; i < GROUPS; i++)
			if (m->group[i].counter && !model_has_child(m, i)) {
				res_counter_remove(m->group[i].counter);
				m->group[i].counter = NULL;
				gone++;
			}
	KUNIT_EXPECT_EQ(test, m->told->freed, GROUPS + m->replaced);
}

static struct kunit_case random_cases[] = {
	KUNIT_CASE_SLOW(random_operations_match_the_model),
	{ }
};

static struct kunit_suite random_suite = {
	.name = "bc_engine_random",
	.test_cases = random_cases,
};

kunit_test_suite(random_suite);
