// SPDX-License-Identifier: GPL-2.0
/*
 * Beancounters: what groups are due by their shares
 *
 * Of a group that lives by shares,
 *
 *	due reservation	= parent's guarantee * min_shares / parent's divisor
 *	due limit	= parent's ceiling   * max_shares / parent's divisor
 *
 * rounded down. A group that does not is due what was written; if nothing was
 * written, no reservation and no limit. A group's guarantee is what is due, as
 * far as it is reserved. Its ceiling is the due limit, but no more than its
 * parent's ceiling. Both start with what the machine has.
 *
 * Guarantee and ceiling are computed and stored under the locks of parent and
 * child, from what is written and reserved at that moment. A task that changes
 * one of these computes them afterwards, so that the last task to do so has
 * seen every change.
 */

#include <linux/cgroup.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "internal.h"

/**
 * bc_get_next_child() - look at the children of a group, one by one
 * @parent: the group
 * @pos: the child that was looked at last, of which the caller has a reference;
 *	%NULL: none
 *
 * Context: Any but NMI.
 * Return: The next one, with a reference; %NULL: there is none.
 */
struct beancounter *bc_get_next_child(struct beancounter *parent,
				      struct beancounter *pos)
{
	struct cgroup_subsys_state *css = pos ? &pos->group->css : NULL;

	rcu_read_lock();
	do {
		css = css_next_child(css, &parent->group->css);
	} while (css && !css_tryget(css));
	rcu_read_unlock();
	return css ? css_bc(css) : NULL;
}

/**
 * bc_next_child() - step through the children of a group
 * @parent: the group
 * @pos: the child that the last step returned, whose reference is put; %NULL:
 *	this is the first step
 *
 * Context: Task context, may sleep.
 * Return: The next one, with a reference; %NULL: there is none.
 */
struct beancounter *bc_next_child(struct beancounter *parent,
				  struct beancounter *pos)
{
	struct beancounter *next = bc_get_next_child(parent, pos);

	if (pos)
		css_put(&pos->group->css);
	cond_resched();
	return next;
}

/**
 * bc_fraction() - a share of an amount
 * @amount: units
 * @shares: how many shares, 0 to @divisor
 * @divisor: how many there are, at least 1
 *
 * Return: @amount * @shares / @divisor, rounded down.
 */
u64 bc_fraction(u64 amount, int shares, int divisor)
{
	return mul_u64_u64_div_u64(amount, shares, divisor);
}

/**
 * bc_calc_due() - what a child would be due
 * @parent: the group above, whose @lock is held
 * @written: what would be written to the child
 * @due: is set
 */
void bc_calc_due(struct beancounter *parent, const struct bc_written *written,
		 struct bc_due *due)
{
	const struct bc_shares *shares = &written->shares;

	lockdep_assert_held(&parent->lock);
	due->wall = parent->strict;
	due->limit = written->max;
	if (shares->max >= 0)
		due->limit = bc_fraction(parent->ceiling, shares->max,
					 parent->shares.divisor);
	due->reserved = written->min;
	if (due->wall)
		due->reserved = due->limit;
	else if (shares->min >= 0)
		due->reserved = bc_fraction(parent->guarantee, shares->min,
					    parent->shares.divisor);
}

/**
 * bc_get_due() - what a group is due
 * @bc: the group, not the root
 * @due: is set
 *
 * Context: Task context.
 */
void bc_get_due(struct beancounter *bc, struct bc_due *due)
{
	struct beancounter *parent = bc_css_parent(bc);
	struct bc_written written;

	spin_lock(&parent->lock);
	written = bc_get_written(bc);
	bc_calc_due(parent, &written, due);
	spin_unlock(&parent->lock);
}

/* Stores what the children of @bc have shares of. */
static void bc_set_entitlement(struct beancounter *bc, u64 guarantee,
			       u64 ceiling)
{
	lockdep_assert_held(&bc->lock);
	if (bc->guarantee != guarantee || bc->ceiling != ceiling)
		bc->version++;
	bc->guarantee = guarantee;
	bc->ceiling = ceiling;
}

/**
 * bc_update_entitlement() - compute what the children of a group have shares of
 * @bc: the group, perhaps the root
 *
 * To be called after a change of what is written to @bc, or of its reservation.
 *
 * Context: Task context.
 */
void bc_update_entitlement(struct beancounter *bc)
{
	struct beancounter *parent = bc_css_parent(bc);
	struct bc_written written;
	struct bc_due due;

	if (!parent) {
		spin_lock(&bc->lock);
		due.limit = bc_machine_amount(bc_res(bc));
		bc_set_entitlement(bc, due.limit, due.limit);
		spin_unlock(&bc->lock);
		return;
	}
	spin_lock(&parent->lock);
	spin_lock_nested(&bc->lock, SINGLE_DEPTH_NESTING);
	written = bc_get_written(bc);
	bc_calc_due(parent, &written, &due);
	bc_set_entitlement(bc,
			   min(due.reserved, READ_ONCE(bc->counter.reserved)),
			   min(due.limit, parent->ceiling));
	spin_unlock(&bc->lock);
	spin_unlock(&parent->lock);
}

/**
 * bc_calc_reclaimable() - what children that live by shares would give back
 * @bc: their parent, whose @change_mutex is held
 * @limit: the limit that @bc is to have
 *
 * What a child uses counts, with what the child has lent: it may have more to
 * give back than this says.
 *
 * Context: Task context, may sleep.
 * Return: By how much less @bc would use.
 */
u64 bc_calc_reclaimable(struct beancounter *bc, u64 limit)
{
	struct beancounter *child = NULL;
	struct bc_written written;
	struct res_snapshot snap;
	u64 reserved, spare = 0;
	bool by_shares;

	while ((child = bc_next_child(bc, child))) {
		spin_lock(&bc->lock);
		written = bc_get_written(child);
		reserved = written.min;
		by_shares = bc_by_shares(&written.shares);
		if (bc->strict && written.shares.max >= 0)
			reserved = bc_fraction(min(limit, bc->ceiling),
					       written.shares.max,
					       bc->shares.divisor);
		else if (!bc->strict && written.shares.min >= 0)
			reserved = bc_fraction(min(limit, bc->guarantee),
					       written.shares.min,
					       bc->shares.divisor);
		spin_unlock(&bc->lock);
		if (!by_shares)
			continue;
		res_counter_read(&child->counter, &snap);
		if (READ_ONCE(bc->strict))
			reserved = max(reserved, snap.usage);
		reserved = min(reserved, snap.reserved);
		spare += max(snap.usage, snap.reserved) -
			 max(snap.usage, reserved);
	}
	return spare;
}
