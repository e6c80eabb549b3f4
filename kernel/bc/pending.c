// SPDX-License-Identifier: GPL-2.0
/*
 * Beancounters: groups that have not got what they are due
 *
 * A group that is short of what it is due by its shares waits in a list of the
 * group that can make up for it: its parent, where the guarantee is lent to
 * other children; an ancestor without units (the root: the machine), of which
 * the engine says when some come back; the group itself, where it has more than
 * what is due, and that is in use. When something happens there, the waiting
 * groups go to a list of the resource, and a work item tries each again. It
 * runs for a twentieth of the time at most, however often units come and go.
 *
 * The lists are guarded by a spinlock of the resource, a leaf, that is held for
 * a constant time. A group that goes offline leaves its list. So a group in a
 * list is online, and so is the group to which the list belongs: the same group
 * or one above.
 */

#include <linux/atomic.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/minmax.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "internal.h"

/*
 * The work item pauses for so long at least, and for so many times its last
 * run.
 */
#define BC_REBALANCE_PAUSE	(HZ / 20)
#define BC_REBALANCE_REST	20

static void bc_queue_work(const struct bc_resource *res)
{
	long delay = READ_ONCE(res->state->rebalance_at) - jiffies;

	queue_delayed_work(system_unbound_wq, &res->state->rebalance_work,
			   max(delay, 0L));
}

/* Moves @bc to @list. */
static void bc_wait_in(struct beancounter *bc, struct list_head *list)
{
	const struct bc_resource *res = bc_res(bc);

	spin_lock(&res->state->wait_lock);
	/* Else bc_pending_offline() was here. */
	if (bc_online(bc)) {
		if (list_empty(&bc->waiting))
			WRITE_ONCE(res->state->waiting, res->state->waiting + 1);
		list_move_tail(&bc->waiting, list);
	}
	spin_unlock(&res->state->wait_lock);
}

/**
 * bc_wait_at() - a group is short of what it is due
 * @bc: the group, whose @change_mutex is held
 * @at: the group that can make up for it, itself or one above
 * @units: by units that come back to it
 *
 * What came back just before this call wakes no group: the caller looks once
 * more.
 *
 * Context: Task context.
 */
void bc_wait_at(struct beancounter *bc, struct beancounter *at, bool units)
{
	bc_wait_in(bc, &at->waiters);
	if (!units)
		return;
	if (bc_css_parent(at))
		res_counter_await_room(&at->counter);
	else
		res_root_await_room(&bc_res(at)->state->root);
}

/**
 * bc_stop_waiting() - a group has what it is due
 * @bc: the group
 *
 * Context: Task context.
 */
void bc_stop_waiting(struct beancounter *bc)
{
	const struct bc_resource *res = bc_res(bc);

	if (list_empty_careful(&bc->waiting))
		return;
	spin_lock(&res->state->wait_lock);
	if (!list_empty(&bc->waiting)) {
		list_del_init(&bc->waiting);
		WRITE_ONCE(res->state->waiting, res->state->waiting - 1);
	}
	spin_unlock(&res->state->wait_lock);
}

/**
 * bc_retry_later() - have the work item look after a group
 * @bc: the group
 *
 * Context: Task context.
 */
void bc_retry_later(struct beancounter *bc)
{
	bc_wait_in(bc, &bc_res(bc)->state->awaken);
	bc_queue_work(bc_res(bc));
}

/* Has the groups that wait at @bc try again, soon. */
static void bc_wake_at(struct beancounter *bc)
{
	const struct bc_resource *res = bc_res(bc);

	if (list_empty_careful(&bc->waiters))
		return;
	spin_lock(&res->state->wait_lock);
	list_splice_tail_init(&bc->waiters, &res->state->awaken);
	spin_unlock(&res->state->wait_lock);
	bc_queue_work(res);
}

/**
 * bc_wake_waiters() - have groups that wait at a group or above try again
 * @bc: the group to which an amount was written, or a child of which is gone
 *
 * Context: Task context. Takes as long as there are levels above, if any group
 * of the resource waits.
 */
void bc_wake_waiters(struct beancounter *bc)
{
	/*
	 * A group that is short says so, under wait_lock, before it looks a
	 * last time at what is lent, under the parent's lock. If that was
	 * before the change that the caller has made under the same lock, this
	 * sees it.
	 */
	if (!READ_ONCE(bc_res(bc)->state->waiting))
		return;
	for (; bc; bc = bc_css_parent(bc))
		bc_wake_at(bc);
}

/**
 * bc_room() - units have come back to a counter that was asked to say so
 * @root: the resource's
 * @counter: the counter; %NULL: they have come back to the machine
 *
 * Context: Any context but NMI, in the midst of an uncharge. Queueing a work
 * item takes a lock; irq_work does that later.
 */
void bc_room(struct res_root *root, struct res_counter *counter)
{
	const struct bc_resource *res =
		container_of(root, struct bc_resource_state, root)->res;
	struct beancounter *bc = counter ? counter_bc(counter) : res->state->machine;

	/* If there is no reference left, there is no group below to wait. */
	if (atomic_xchg(&bc->has_room, 1) || !css_tryget(&bc->group->css))
		return;
	llist_add(&bc->room, &res->state->rooms);
	irq_work_queue(&res->state->room_work);
}

static void bc_room_irq_work(struct irq_work *work)
{
	bc_queue_work(container_of(work, struct bc_resource_state,
				   room_work)->res);
}

static void bc_wake_rooms(const struct bc_resource *res)
{
	struct beancounter *bc, *next;

	llist_for_each_entry_safe(bc, next, llist_del_all(&res->state->rooms), room) {
		/* Full barrier: units that come back after it are told anew. */
		atomic_xchg(&bc->has_room, 0);
		bc_wake_at(bc);
		css_put(&bc->group->css);
	}
}

/**
 * bc_pending_begin() - begin to look at groups for which something has happened
 * @res: the resource
 * @list: an empty list, which gets the groups
 *
 * Context: The work item.
 */
void bc_pending_begin(const struct bc_resource *res, struct list_head *list)
{
	bc_wake_rooms(res);
	spin_lock(&res->state->wait_lock);
	list_splice_init(&res->state->awaken, list);
	spin_unlock(&res->state->wait_lock);
}

/**
 * bc_pending_next() - take the next group
 * @res: the resource
 * @list: from bc_pending_begin()
 *
 * Context: The work item.
 * Return: A group with a reference; %NULL: that was the last one.
 */
struct beancounter *bc_pending_next(const struct bc_resource *res,
				    struct list_head *list)
{
	struct beancounter *bc;

	spin_lock(&res->state->wait_lock);
	/* It is online, see bc_pending_offline(), and so has references. */
	bc = list_first_entry_or_null(list, struct beancounter, waiting);
	if (bc) {
		css_get(&bc->group->css);
		list_move_tail(&bc->waiting, &bc->waiters);
	}
	spin_unlock(&res->state->wait_lock);
	return bc;
}

/**
 * bc_pending_end() - take a rest, and begin anew if there is more to do
 * @res: the resource
 * @start: when the work item began, in jiffies
 *
 * Context: The work item.
 */
void bc_pending_end(const struct bc_resource *res, unsigned long start)
{
	WRITE_ONCE(res->state->rebalance_at, jiffies + BC_REBALANCE_PAUSE +
				      BC_REBALANCE_REST * (jiffies - start));
	if (!list_empty_careful(&res->state->awaken) || !llist_empty(&res->state->rooms))
		bc_queue_work(res);
}

/**
 * bc_pending_init() - before the first group
 * @res: the resource
 * @work: the work item
 *
 * Context: At boot.
 */
void bc_pending_init(const struct bc_resource *res, work_func_t work)
{
	spin_lock_init(&res->state->wait_lock);
	INIT_LIST_HEAD(&res->state->awaken);
	init_llist_head(&res->state->rooms);
	init_irq_work(&res->state->room_work, bc_room_irq_work);
	INIT_DELAYED_WORK(&res->state->rebalance_work, work);
	res->state->rebalance_at = jiffies;
}

/**
 * bc_pending_offline() - a group waits no longer
 * @bc: the group, which is not online any more
 *
 * Context: Task context, under cgroup_mutex.
 */
void bc_pending_offline(struct beancounter *bc)
{
	const struct bc_resource *res = bc_res(bc);

	/* Unconditionally: a pass may be about to put it into a list. */
	spin_lock(&res->state->wait_lock);
	if (!list_empty(&bc->waiting)) {
		list_del_init(&bc->waiting);
		WRITE_ONCE(res->state->waiting, res->state->waiting - 1);
	}
	spin_unlock(&res->state->wait_lock);
}
