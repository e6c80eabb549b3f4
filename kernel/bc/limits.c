// SPDX-License-Identifier: GPL-2.0
/*
 * Beancounters: limits and reservations as users write them
 *
 * A reservation is taken out of the parent's room. What one child has reserved
 * its siblings cannot use, so the parent keeps the sum: beancounter::lent. Out
 * of what the parent has itself reserved, any writer may lend; the files of a
 * delegated group can belong to a user without privileges. The rest of the
 * parent's room is shared with other groups, and takes CAP_SYS_RESOURCE in the
 * initial user namespace.
 *
 * Locking
 *
 * beancounter::change_mutex
 *	One change of a group's own amounts at a time. Held across engine calls,
 *	which may wait for CPUs. A task may be throttled by cpu.max with it
 *	held. So cgroup core never takes it, and a writer takes only that of the
 *	group it writes to; for groups below see rebalance.c.
 *
 * beancounter::lock
 *	What the group is as a parent: whether it is strict, what it has lent;
 *	and of each child, whether it is online, and what was written to it. A
 *	spinlock, held for a constant time. A child's lock nests in its
 *	parent's.
 *
 * Neither is taken by charges. The order is: cgroup_mutex or change_mutex, then
 * the parent's lock, then the child's.
 *
 * A reservation changes in three steps: it is counted in @lent of the parent,
 * under the parent's lock; then the engine moves the units; then the count
 * becomes what the engine has granted. So @lent is never less than what the
 * children have, and no lock is held while units move.
 */

#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/user_namespace.h>

#include "internal.h"
#include "trace.h"

/* How often limit_hit() is asked for room, for one write. */
#define BC_RECLAIM_RETRIES	5

/**
 * bc_may_lend() - whether a writer may lend out of shared room
 * @file: the open file that is written to; %NULL: the kernel acts by itself
 *
 * Asks for the credentials of the task that opened @file, as cgroup core does
 * for migrations: a privileged program that is handed a descriptor as its
 * standard output does not write with its privileges. And a privileged task can
 * open the file for one that is not.
 *
 * Context: Task context, no spinlock held.
 * Return: Whether it has CAP_SYS_RESOURCE in the initial user namespace.
 */
bool bc_may_lend(const struct file *file)
{
	return !file || file_ns_capable(file, &init_user_ns, CAP_SYS_RESOURCE);
}

/* How much the children of @parent may have reserved together. */
static u64 bc_lendable(struct beancounter *parent, enum bc_lend how)
{
	switch (how) {
	case BC_LEND_RESERVED:
		if (!bc_css_parent(parent))
			return 0;
		return READ_ONCE(parent->counter.reserved);
	case BC_LEND_GUARANTEE:
		return parent->guarantee;
	default:
		return RES_COUNTER_MAX;
	}
}

/*
 * Counts a reservation that is about to be raised to *@reserved. With @partial,
 * to as much of that as can be lent, which is stored there.
 */
static int bc_lend_begin(struct beancounter *bc, u64 *reserved,
			 enum bc_lend how, bool partial)
{
	struct beancounter *parent = bc_css_parent(bc);
	u64 room, others;
	int err = 0;

	lockdep_assert_held(&bc->group->change_mutex);
	spin_lock(&parent->lock);
	others = parent->lent - bc->promised;
	room = bc_lendable(parent, how);
	room -= min(room, others);
	if (!bc_online(bc)) {
		err = -ENODEV;
	} else if (*reserved > max(room, bc->promised)) {
		err = how == BC_LEND_RESERVED ? -EPERM : -ENOSPC;
		if (partial)
			*reserved = max(room, bc->promised);
	}
	if ((!err || (partial && err != -ENODEV)) && *reserved > bc->promised) {
		parent->lent = others + *reserved;
		bc->promised = *reserved;
	}
	spin_unlock(&parent->lock);
	return err;
}

/* Counts what has become of a reservation that was @old. */
static void bc_lend_end(struct beancounter *bc, u64 old)
{
	struct beancounter *parent = bc_css_parent(bc);
	u64 new;

	spin_lock(&parent->lock);
	new = READ_ONCE(bc->counter.reserved);
	/* Else bc_limits_offline() has given back what there was. */
	if (bc_online(bc)) {
		parent->lent += new - bc->promised;
		bc->promised = new;
	}
	spin_unlock(&parent->lock);
	if (new > old)
		trace_bc_borrow(bc, old, new);
	else if (new < old)
		trace_bc_repay(bc, old, new);
}

static int bc_reserve(struct beancounter *bc, u64 reserved, u64 limit,
		      enum bc_lend how, struct res_refusal *lacking)
{
	const u64 old = READ_ONCE(bc->counter.reserved);
	int err;

	*lacking = (struct res_refusal) { };
	err = bc_lend_begin(bc, &reserved, how, false);
	if (err)
		return err;
	err = res_counter_set_reserved(&bc->counter, reserved, limit, lacking);
	bc_lend_end(bc, old);
	return err;
}

/**
 * bc_reserve_all() - reserve an amount, or nothing
 * @bc: the group, whose @change_mutex is held
 * @reserved: units
 * @limit: what becomes of the limit: see res_counter_set_reserved()
 * @how: what the parent may lend out of. With %BC_LEND_RESERVED, all of its
 *	room if @file allows it.
 * @file: the file that is written to
 *
 * Where there is no room, the controller is asked to make some; in a group above,
 * which other tenants may share, only for an opener of @file that is privileged.
 *
 * Context: Task context, may sleep.
 * Return:
 *
 * * 0 - Reserved.
 * * -EPERM - The parent would have to lend shared room, which takes a privilege
 *   that the opener of @file has not, however much there is.
 * * -ENOSPC - With %BC_LEND_GUARANTEE: the parent's guarantee is lent to
 *   others.
 * * -ENODEV - The group is being removed.
 * * Others - As res_counter_set_reserved(). Nothing has changed on error.
 */
int bc_reserve_all(struct beancounter *bc, u64 reserved, u64 limit,
		   enum bc_lend how, const struct file *file)
{
	unsigned int tries = BC_RECLAIM_RETRIES;
	struct res_refusal lacking;
	int err;

	do {
		err = bc_reserve(bc, reserved, limit, how, &lacking);
		if (err == -EPERM && bc_may_lend(file)) {
			how = BC_LEND_ANY;
			err = bc_reserve(bc, reserved, limit, how, &lacking);
		}
	} while (err && lacking.counter && tries-- &&
		 (lacking.counter == &bc->counter || bc_may_lend(file)) &&
		 bc_limit_hit(&lacking, true));
	return err;
}

/**
 * bc_reserve_upto() - reserve as much of an amount as is possible now
 * @bc: the group, whose @change_mutex is held
 * @reserved: units
 * @limit: %RES_LIMIT_KEEP or %RES_LIMIT_WALL
 * @how: what the parent may lend out of
 * @lacks: is set to the group that lacks units, the root for the machine; or to
 *	%NULL if units are not what is lacking
 *
 * Context: Task context, may sleep.
 * Return:
 *
 * * 0 - All of it is reserved.
 * * -EPERM, -ENOSPC - Less, as @how allows no more; or, with @lacks set, as
 *   there are no units.
 * * -EBUSY - More, as it is in use (@lacks is @bc).
 * * -ENODEV - The group is being removed.
 * * -EINVAL - It is above the limit.
 */
int bc_reserve_upto(struct beancounter *bc, u64 reserved, u64 limit,
		    enum bc_lend how, struct beancounter **lacks)
{
	const u64 old = READ_ONCE(bc->counter.reserved);
	struct res_refusal lacking = { };
	int err, capped;

	*lacks = NULL;
	capped = bc_lend_begin(bc, &reserved, how, true);
	if (capped == -ENODEV)
		return capped;
	err = res_counter_set_reserved(&bc->counter, reserved, limit, &lacking);
	if (err == -ENOSPC || err == -EBUSY)
		res_counter_reserve_upto(&bc->counter, reserved, limit);
	bc_lend_end(bc, old);

	if (err && lacking.counter)
		*lacks = lacking.machine ? bc_res(bc)->state->machine :
					   counter_bc(lacking.counter);
	return err ?: capped;
}

/**
 * bc_set_limit() - write a limit
 * @bc: the group, whose @change_mutex is held
 * @limit: units
 * @not_below_usage: refuse a limit below usage, as v1 does
 * @file: the file that is written to
 *
 * A child of a strict group reserves its limit.
 *
 * Context: Task context, may sleep.
 * Return: As res_counter_set_limit() or, for the child of a strict group,
 * bc_reserve_all(); -ENODEV if it is being removed.
 */
int bc_set_limit(struct beancounter *bc, u64 limit, bool not_below_usage,
		 const struct file *file)
{
	struct beancounter *parent = bc_css_parent(bc);
	int err;

	lockdep_assert_held(&bc->group->change_mutex);
	if (!bc_online(bc))
		return -ENODEV;
	if (bc_parent_strict(bc))
		err = bc_reserve_all(bc, limit, RES_LIMIT_WALL,
				     BC_LEND_RESERVED, file);
	else
		err = res_counter_set_limit(&bc->counter, limit,
					    not_below_usage);
	if (err || bc_res(bc)->plain)
		return err;
	spin_lock(&parent->lock);
	bc->max = limit;
	spin_unlock(&parent->lock);
	return 0;
}

/**
 * bc_set_reserved() - write a reservation
 * @bc: the group, whose @change_mutex is held
 * @reserved: units
 * @file: the file that is written to
 *
 * A lower one falls at once. What is in use beyond it stays in use, is there
 * for no other group, and goes back to the parent as it is returned.
 *
 * Context: Task context, may sleep.
 * Return: As bc_reserve_all(); -EINVAL for the child of a strict group.
 */
int bc_set_reserved(struct beancounter *bc, u64 reserved,
		    const struct file *file)
{
	struct beancounter *parent = bc_css_parent(bc);
	int err;

	if (bc_parent_strict(bc))
		return bc_online(bc) ? -EINVAL : -ENODEV;
	err = bc_reserve_all(bc, reserved, RES_LIMIT_KEEP, BC_LEND_RESERVED,
			     file);
	if (err || bc_res(bc)->plain)
		return err;
	spin_lock(&parent->lock);
	bc->min = reserved;
	spin_unlock(&parent->lock);
	return 0;
}

/**
 * bc_set_strict() - have children live on what they reserve, or not
 * @bc: the group, perhaps the root
 * @strict: whether they do
 *
 * Needs no privilege beyond that of writing the file: it is about groups that
 * are yet to be made, and these reserve by the rule that holds for all.
 *
 * Context: Task context.
 * Return: 0, -EBUSY if there are children, or -ENODEV if it is being removed.
 */
int bc_set_strict(struct beancounter *bc, bool strict)
{
	int err = 0;

	spin_lock(&bc->lock);
	if (!bc_online(bc))
		err = -ENODEV;
	else if (strict != bc->strict && bc->nr_children)
		err = -EBUSY;
	else
		WRITE_ONCE(bc->strict, strict);
	spin_unlock(&bc->lock);
	return err;
}

/**
 * bc_limits_online() - a new group becomes its parent's child
 * @bc: the group, which is not the root
 *
 * If the parent is strict, with a limit of 0.
 *
 * Context: Task context, under cgroup_mutex.
 */
void bc_limits_online(struct beancounter *bc)
{
	struct beancounter *parent = bc_css_parent(bc);
	bool strict = false;

	spin_lock(&parent->lock);
	if (!bc_res(bc)->plain) {
		strict = parent->strict;
		if (strict)
			bc->max = 0;
		parent->nr_children++;
	}
	bc_set_flag(bc, BC_FLAG_ONLINE);
	spin_unlock(&parent->lock);
	/* Cannot fail, nor drain anything: nothing was ever charged. */
	if (strict)
		WARN_ON_ONCE(res_counter_set_limit(&bc->counter, 0, true));
}

/**
 * bc_limits_offline() - a group is a child no longer
 * @bc: the group, which has no children
 *
 * What it has reserved and does not use goes back to its parent, and what it
 * uses is its parent's. A write to one of its files that is under way finds it
 * offline here, or removed in the engine.
 *
 * Context: Task context, under cgroup_mutex.
 * Return: How much it has left to its parent.
 */
u64 bc_limits_offline(struct beancounter *bc)
{
	struct beancounter *parent = bc_css_parent(bc);
	u64 left = res_counter_remove(&bc->counter);

	spin_lock(&parent->lock);
	bc_clear_flag(bc, BC_FLAG_ONLINE);
	if (!bc_res(bc)->plain)
		parent->nr_children--;
	parent->lent -= bc->promised;
	bc->promised = 0;
	spin_unlock(&parent->lock);
	return left;
}
