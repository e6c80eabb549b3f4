// SPDX-License-Identifier: GPL-2.0
/*
 * Beancounters: how groups get what they are due by their shares
 *
 * When the guarantee, the ceiling or the divisor of a group changes (see
 * entitlement.c), the groups below follow, in two passes:
 *
 *  1. Shrinking, children before parents. A reservation falls to what is due at
 *     once; below a strict group, where it is a limit, not below usage.
 *  2. Growing, parents before children, up to what is due, but no more than the
 *     parent's guarantee leaves beside what is lent to other children.
 *
 * So a reservation by shares never grows beyond what its parent has for it. A
 * pass enters only groups for which something has changed and below which a
 * group lives by shares: beancounter::sharing. What falls short now is tried
 * again: see pending.c.
 *
 * No lock is held for the tree. A pass holds a reference to the group that it
 * is at, and a child's change_mutex while it changes amounts of that child. A
 * task that is throttled may hold that mutex. A pass waits for a tenth of a
 * second in all; then it leaves the child to the work item, which never waits.
 */

#include <linux/atomic.h>
#include <linux/cgroup.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "internal.h"

/* For how long a pass waits for change_mutexes, in all. */
#define BC_REBALANCE_PATIENCE	(HZ / 10)

/* How often a group that is short looks again for units that come meanwhile. */
#define BC_GROW_RETRIES		4

/**
 * struct bc_rebalance - two passes over a group and all below
 * @top: the group; its @change_mutex is held, if it is not the root
 * @file: the file that is written to, if a write is the reason
 * @privileged: what bc_may_lend() says of @file; -1: not asked yet
 * @patience: jiffies that may still be spent waiting for mutexes
 */
struct bc_rebalance {
	struct beancounter	*top;
	const struct file	*file;
	int			privileged;
	int			patience;
};

/* A walk over @top and all below: each group is entered, and left. */
struct bc_walk {
	struct beancounter	*top;
	struct beancounter	*pos;
	bool			leaving;
};

static struct bc_walk bc_walk_begin(struct beancounter *top)
{
	css_get(&top->group->css);
	return (struct bc_walk) { .top = top, .pos = top };
}

/* Returns whether there is a next step: @walk->pos is entered, or left. */
static bool bc_walk_next(struct bc_walk *walk, bool descend)
{
	struct beancounter *pos = walk->pos, *next;

	cond_resched();
	if (!walk->leaving) {
		next = descend ? bc_get_next_child(pos, NULL) : NULL;
		walk->leaving = !next;
		if (!next)
			return true;
	} else if (pos == walk->top) {
		next = NULL;
	} else {
		next = bc_get_next_child(bc_css_parent(pos), pos);
		walk->leaving = !next;
		if (!next) {
			next = bc_css_parent(pos);
			css_get(&next->group->css);
		}
	}
	css_put(&pos->group->css);
	walk->pos = next;
	return next;
}

/* The passes */

/* Whether @bc is locked now; if not, the work item changes it later. */
static bool bc_trylock(struct bc_rebalance *rb, struct beancounter *bc)
{
	if (bc == rb->top)
		return true;
	while (!mutex_trylock(&bc->group->change_mutex)) {
		if (rb->patience-- <= 0) {
			bc_retry_later(bc);
			return false;
		}
		schedule_timeout_uninterruptible(1);
	}
	return true;
}

static void bc_unlock(struct bc_rebalance *rb, struct beancounter *bc)
{
	if (bc != rb->top)
		mutex_unlock(&bc->group->change_mutex);
}

/*
 * What a strict group may lend to @bc when its share of the ceiling comes to
 * more: out of shared room, if a privileged task has written that share, and no
 * task without privileges has made it more since.
 */
static enum bc_lend bc_wall_lends(struct bc_rebalance *rb,
				  struct beancounter *bc)
{
	if (!bc->borrows_shared)
		return BC_LEND_RESERVED;
	if (rb->file && rb->privileged < 0)
		rb->privileged = bc_may_lend(rb->file);
	if (rb->file && !rb->privileged) {
		bc->borrows_shared = false;
		return BC_LEND_RESERVED;
	}
	return BC_LEND_ANY;
}

static u64 bc_limit_due(struct beancounter *bc, const struct bc_due *due)
{
	/* Never below what was lent; below usage, as in v2, if need be. */
	return max3(due->limit, READ_ONCE(bc->counter.reserved),
		    READ_ONCE(bc->counter.pledged));
}

static bool bc_has_due(struct beancounter *bc, const struct bc_due *due)
{
	const struct res_counter *counter = &bc->counter;
	const u64 reserved = READ_ONCE(counter->reserved);
	const u64 limit = READ_ONCE(counter->limit);

	/* A limit that was written is not passed. */
	return limit == max(due->limit, reserved) &&
	       reserved == min(due->reserved, limit);
}

/*
 * One try. Returns 0 if @bc has what is due, or -errno, with *@at the group
 * where @bc can wait for the rest; *@lacks is the same if units must come back
 * to it, or NULL.
 */
static int bc_try_grow(struct bc_rebalance *rb, struct beancounter *bc,
		       struct beancounter **at, struct beancounter **lacks)
{
	struct res_counter *counter = &bc->counter;
	struct bc_due due;
	u64 limit;
	int err = 0;

	*lacks = NULL;
	*at = bc_css_parent(bc);
	bc_get_due(bc, &due);
	if (due.wall) {
		enum bc_lend how = BC_LEND_RESERVED;

		if (READ_ONCE(counter->reserved) < due.limit)
			how = bc_wall_lends(rb, bc);
		if (READ_ONCE(counter->reserved) != due.limit)
			err = bc_reserve_upto(bc, due.limit, RES_LIMIT_WALL,
					      how, lacks);
		/* More is in use, or reserved below. */
		if (err == -EBUSY)
			*at = bc;
	} else {
		limit = bc_limit_due(bc, &due);
		if (limit != READ_ONCE(counter->limit))
			err = res_counter_set_limit(counter, limit, false);
		/* If that failed, more was lent below meanwhile. */
		if (err)
			*at = bc;
		due.reserved = min(due.reserved, limit);
		if (!err && READ_ONCE(counter->reserved) < due.reserved)
			err = bc_reserve_upto(bc, due.reserved, RES_LIMIT_KEEP,
					      BC_LEND_GUARANTEE, lacks);
		if (!err && limit > max(due.limit, due.reserved)) {
			*at = bc;
			err = -EBUSY;
		}
	}
	if (*lacks)
		*at = *lacks;
	return err;
}

static void bc_grow(struct bc_rebalance *rb, struct beancounter *bc)
{
	struct beancounter *at, *lacks, *waits_at = NULL;
	unsigned int tries = BC_GROW_RETRIES;
	int err;

	do {
		err = bc_try_grow(rb, bc, &at, &lacks);
		if (err != -EPERM && err != -ENOSPC && err != -EBUSY) {
			bc_stop_waiting(bc);
			break;
		}
		if (at == waits_at)
			break;
		/*
		 * Once more: what came back before bc_wait_at() woke no group.
		 */
		bc_wait_at(bc, at, lacks);
		waits_at = at;
	} while (tries--);
}

/*
 * The first pass; not @top itself (!@itself), if a write is yet to change it.
 */
static void bc_shrink(struct bc_rebalance *rb, bool itself)
{
	struct bc_walk walk = bc_walk_begin(rb->top);
	struct beancounter *bc, *lacks;
	struct bc_due due;
	bool descend;

	do {
		bc = walk.pos;
		descend = false;
		if (bc != rb->top && !atomic_read(&bc->sharing))
			continue;
		if (!walk.leaving) {
			bc_update_entitlement(bc);
			descend = atomic_read(&bc->sharing) &&
				  READ_ONCE(bc->version) !=
				  READ_ONCE(bc->followed);
			continue;
		}
		if (!bc_css_parent(bc) || (bc == rb->top && !itself))
			continue;
		bc_get_due(bc, &due);
		if (READ_ONCE(bc->counter.reserved) <= due.reserved ||
		    !bc_trylock(rb, bc))
			continue;
		bc_get_due(bc, &due);
		if (READ_ONCE(bc->counter.reserved) > due.reserved)
			bc_reserve_upto(bc, due.reserved,
					due.wall ? RES_LIMIT_WALL :
						   RES_LIMIT_KEEP,
					BC_LEND_RESERVED, &lacks);
		bc_update_entitlement(bc);
		bc_unlock(rb, bc);
	} while (bc_walk_next(&walk, descend));
}

/* Whether the children of @bc are to follow a change. */
static bool bc_take_version(struct beancounter *bc)
{
	bool changed;

	spin_lock(&bc->lock);
	changed = bc->followed != bc->version;
	WRITE_ONCE(bc->followed, bc->version);
	spin_unlock(&bc->lock);
	return changed;
}

/* The second pass. */
static void bc_grow_all(struct bc_rebalance *rb)
{
	struct bc_walk walk = bc_walk_begin(rb->top);
	struct beancounter *bc;
	struct bc_due due;
	bool descend;

	do {
		bc = walk.pos;
		descend = false;
		if (walk.leaving ||
		    (bc != rb->top && !atomic_read(&bc->sharing)))
			continue;
		if (bc_css_parent(bc)) {
			bc_get_due(bc, &due);
			if (!bc_has_due(bc, &due)) {
				if (!bc_trylock(rb, bc))
					continue;
				bc_grow(rb, bc);
				bc_unlock(rb, bc);
			} else {
				bc_stop_waiting(bc);
			}
		}
		bc_update_entitlement(bc);
		descend = atomic_read(&bc->sharing) && bc_take_version(bc);
	} while (bc_walk_next(&walk, descend));
}

static void bc_rebalance_by(struct bc_rebalance *rb)
{
	bc_shrink(rb, true);
	bc_grow_all(rb);
}

/**
 * bc_rebalance() - have a group and all below get what is due
 * @bc: the group that was written to, whose @change_mutex is held
 * @file: the file that was written to
 *
 * Context: Task context, may sleep.
 */
void bc_rebalance(struct beancounter *bc, const struct file *file)
{
	struct bc_rebalance rb = {
		.top = bc,
		.file = file,
		.privileged = -1,
		.patience = BC_REBALANCE_PATIENCE,
	};

	bc_rebalance_by(&rb);
}

/**
 * bc_shrink_below() - have the groups below a group give back what is not due
 * @bc: the group, whose @change_mutex is held
 *
 * The first half of bc_rebalance(), which is to follow, and without @bc.
 *
 * Context: Task context, may sleep.
 */
void bc_shrink_below(struct beancounter *bc)
{
	struct bc_rebalance rb = {
		.top = bc,
		.patience = BC_REBALANCE_PATIENCE,
	};

	bc_shrink(&rb, false);
}

/**
 * bc_machine_changed() - the machine's own amount of a resource has changed
 * @res: the resource, of which @capacity returns the new amount
 *
 * Context: Task context, may sleep.
 */
void bc_machine_changed(const struct bc_resource *res)
{
	struct bc_rebalance rb = {
		.top = res->state->machine,
		.patience = BC_REBALANCE_PATIENCE,
	};

	/* There is no root group, or not yet. */
	if (!res->state->machine)
		return;
	/* Pairs with that in bc_count_sharing(). */
	smp_mb();
	if (atomic_read(&res->state->machine->sharing))
		bc_rebalance_by(&rb);
	bc_wake_waiters(res->state->machine);
}

static void bc_rebalance_work(struct work_struct *work)
{
	const struct bc_resource *res =
		container_of(to_delayed_work(work), struct bc_resource_state,
			     rebalance_work)->res;
	struct bc_rebalance rb = { };
	const unsigned long start = jiffies;
	struct beancounter *bc;
	LIST_HEAD(list);

	bc_pending_begin(res, &list);
	while ((bc = bc_pending_next(res, &list))) {
		if (mutex_trylock(&bc->group->change_mutex)) {
			rb.top = bc;
			bc_rebalance_by(&rb);
			mutex_unlock(&bc->group->change_mutex);
		} else {
			bc_retry_later(bc);
		}
		css_put(&bc->group->css);
		cond_resched();
	}
	bc_pending_end(res, start);
}

/**
 * bc_rebalance_init() - before the first group
 * @res: the resource
 *
 * Context: At boot.
 */
void bc_rebalance_init(const struct bc_resource *res)
{
	bc_pending_init(res, bc_rebalance_work);
}
