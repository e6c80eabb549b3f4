// SPDX-License-Identifier: GPL-2.0
/*
 * Walks below a counter, and drains
 *
 * A walk visits the counters below a given one that keep something, children
 * before parents. It holds no lock from one step to the next and can be
 * preempted. It pins the counter where it stands and those above up to the one
 * where it began: @pins of each, under its parent's lock. A pinned counter
 * stays allocated, and in its parent's list even if it is unlinked, so that the
 * walk finds the next one. New entries come first in a list: a walk does not
 * meet what is linked after it has passed, and ends after as many steps as
 * there were entries.
 */

#include <linux/irqflags.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include "internal.h"

static raw_spinlock_t *res_list_lock(struct res_root *root, struct res_counter *parent)
{
	return parent ? &parent->lock : &root->lock;
}

static struct hlist_head *res_list(struct res_root *root, struct res_counter *parent)
{
	return parent ? &parent->active : &root->active;
}

/* The first active child that is at @node or behind it, pinned. */
static struct res_counter *res_pin_from(struct res_root *root,
					struct hlist_node *node)
{
	const struct res_counter_ops *ops = root->ops;
	struct res_counter *counter;

	for (; node; node = node->next) {
		counter = hlist_entry(node, struct res_counter, node);
		/* A counter that is being freed is about to leave the list. */
		if (ops->tryget && !ops->tryget(counter))
			continue;
		counter->pins++;
		return counter;
	}
	return NULL;
}

/*
 * Whether a walk is to go below @counter. Draining what a reservation covers
 * makes no room above it. But it makes room for a charge of @live that the same
 * reservation may cover.
 */
static bool res_walk_enters(const struct res_walk *walk,
			    const struct res_counter *counter)
{
	const struct res_counter *live = walk->live;
	const u64 reserved = READ_ONCE(counter->reserved);

	return walk->all || !reserved || READ_ONCE(counter->taken) > reserved ||
	       (live && live->depth >= counter->depth &&
		live->path[counter->depth] == counter);
}

/* Descends from @parent to a counter with no active child. */
static struct res_counter *res_walk_down(const struct res_walk *walk,
					 struct res_counter *parent)
{
	struct res_root *root = walk->root;
	raw_spinlock_t *lock = res_list_lock(root, parent);
	struct res_counter *counter;
	unsigned long flags;

	for (;;) {
		if (parent && READ_ONCE(parent->removed))
			return parent;
		raw_spin_lock_irqsave(lock, flags);
		counter = res_pin_from(root, res_list(root, parent)->first);
		raw_spin_unlock_irqrestore(lock, flags);
		if (!counter)
			return parent;
		parent = counter;
		lock = &parent->lock;
		if (!res_walk_enters(walk, parent))
			return parent;
		cond_resched();
	}
}

/* Begins @walk. Returns where it stands; NULL: it has ended. */
struct res_counter *res_walk_first(const struct res_walk *walk)
{
	struct res_counter *counter = res_walk_down(walk, walk->top);

	return counter == walk->top ? NULL : counter;
}

/* Goes on from @counter. */
struct res_counter *res_walk_next(const struct res_walk *walk,
				  struct res_counter *counter)
{
	struct res_counter *parent = counter->parent, *next;
	struct res_root *root = walk->root;
	raw_spinlock_t *lock = res_list_lock(root, parent);
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	next = res_pin_from(root, counter->node.next);
	if (!--counter->pins && !counter->linked)
		hlist_del_init(&counter->node);
	raw_spin_unlock_irqrestore(lock, flags);
	if (root->ops->put)
		root->ops->put(counter);
	cond_resched();
	if (!next)
		return parent == walk->top ? NULL : parent;
	return res_walk_enters(walk, next) ? res_walk_down(walk, next) : next;
}

/*
 * Takes @counter out of its parent's list. While a walk stands there, that is
 * left to the walk.
 */
void res_unlink(struct res_counter *counter)
{
	raw_spinlock_t *lock = res_list_lock(counter->root, counter->parent);
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	WRITE_ONCE(counter->linked, false);
	if (!counter->pins)
		hlist_del_init(&counter->node);
	raw_spin_unlock_irqrestore(lock, flags);
}

static void res_slot_close_ipi(void *slot)
{
	res_slot_close(slot, NULL);
}

/*
 * Closes the slots that CPUs have for @counter, each by an interrupt to that
 * CPU; no other CPU is disturbed. The slots' units are in the counter's bank
 * then.
 */
void res_counter_drain_stock(struct res_counter *counter)
{
	unsigned int tries = num_online_cpus() + 1;
	struct res_slot_info *info;
	struct res_slot *slot;
	unsigned long flags;
	int cpu;

	might_sleep();
	/* Ends, even if slots are opened again and again. */
	while (tries--) {
		raw_spin_lock_irqsave(&counter->lock, flags);
		cpu = -1;
		hlist_for_each_entry(info, &counter->slots, node) {
			/* A closed slot: a reader has pinned it. */
			if (!info->counter)
				continue;
			cpu = info->cpu;
			slot = info->slot;
			break;
		}
		raw_spin_unlock_irqrestore(&counter->lock, flags);
		if (cpu < 0)
			return;
		/*
		 * Fails if the CPU goes offline. It closes its slots then.
		 */
		smp_call_function_single(cpu, res_slot_close_ipi, slot, 1);
		cond_resched();
	}
}

/*
 * Closes @counter's bank and takes its credit; returns if there was anything.
 */
static bool res_drain_one(const struct res_walk *walk, struct res_counter *counter)
{
	struct res_root *root = counter->root;
	struct res_excess excess;
	unsigned long flags;
	bool stocked, idle, link;

	raw_spin_lock_irqsave(&counter->lock, flags);
	if (!res_walk_enters(walk, counter)) {
		raw_spin_unlock_irqrestore(&counter->lock, flags);
		return false;
	}
	WRITE_ONCE(counter->epoch, counter->epoch + 1);
	WRITE_ONCE(counter->keep, 0);
	stocked = !hlist_empty(&counter->slots);
	raw_spin_unlock_irqrestore(&counter->lock, flags);
	if (stocked)
		res_counter_drain_stock(counter);

	raw_spin_lock_irqsave(&counter->lock, flags);
	res_counter_take_excess(counter, &excess);
	if (!excess.counted)
		excess.counted = res_counter_take_stat(counter, &excess.stat);
	idle = !res_counter_keeps(counter);
	raw_spin_unlock_irqrestore(&counter->lock, flags);
	/* The walk comes to the parent later. */
	__res_return(root, counter->parent, &excess, 0);
	if (idle) {
		res_unlink(counter);
		/* See bank.c: another CPU may have seen @linked still set. */
		raw_spin_lock_irqsave(&counter->lock, flags);
		WRITE_ONCE(counter->epoch, counter->epoch + 1);
		link = res_counter_unlinked(counter);
		raw_spin_unlock_irqrestore(&counter->lock, flags);
		if (link)
			res_counter_link(counter);
	}
	return stocked || excess.n;
}

/* Gives up what @counter's bank has beyond @keep by now. */
void res_counter_flush(struct res_counter *counter)
{
	struct res_excess excess;
	unsigned long flags;

	raw_spin_lock_irqsave(&counter->lock, flags);
	res_counter_take_excess(counter, &excess);
	raw_spin_unlock_irqrestore(&counter->lock, flags);
	res_return(counter->root, counter->parent, &excess);
}

/* Whether anything may be kept below @top (%NULL: the root). */
bool res_drainable(struct res_root *root, struct res_counter *top)
{
	if (!top)
		return !hlist_empty(&root->active);
	return !hlist_empty(&top->active) || !hlist_empty(&top->slots);
}

/*
 * From here to res_drain_end(), nothing is kept below @top (%NULL: the root)
 * nor in CPUs' stock of @top. Gets back what was kept and makes room there, or
 * for a charge of @live. Returns whether there was anything.
 */
bool res_drain_begin(struct res_root *root, struct res_counter *top,
		     struct res_counter *live)
{
	const struct res_walk walk = { .root = root, .top = top, .live = live };
	struct res_counter *counter;
	bool any = false;

	might_sleep();
	if (top) {
		res_counter_close(top);
		if (!hlist_empty(&top->slots)) {
			any = true;
			res_counter_drain_stock(top);
		}
	} else {
		/* Before the lock of its list is taken: see res_path_room(). */
		atomic_inc(&root->closed);
	}
	for (counter = res_walk_first(&walk); counter;
	     counter = res_walk_next(&walk, counter))
		any |= res_drain_one(&walk, counter);
	return any;
}

void res_drain_end(struct res_root *root, struct res_counter *top)
{
	if (top) {
		res_counter_reopen(top);
		res_counter_flush(top);
	} else {
		atomic_dec(&root->closed);
	}
}

/**
 * res_counter_drain() - get back what is kept below a counter
 * @counter: the counter; stays allocated
 *
 * For res_counter_ops.drain_later().
 *
 * Context: Task context, no spinlock held, interrupts on.
 */
void res_counter_drain(struct res_counter *counter)
{
	res_counter_link(counter);
	res_drain_begin(counter->root, counter, NULL);
	res_drain_end(counter->root, counter);
}

/**
 * res_root_drain() - get back what is kept in any group
 * @root: the resource
 *
 * For res_counter_ops.drain_later().
 *
 * Context: Task context, no spinlock held, interrupts on.
 */
void res_root_drain(struct res_root *root)
{
	res_drain_begin(root, NULL, NULL);
	res_drain_end(root, NULL);
}

/**
 * res_root_cpu_offline() - take back what this CPU has in stock
 * @root: the resource
 *
 * Called on a CPU that is going offline, when it is not active any more: it
 * opens no slot after that. So no offline CPU has an open slot.
 *
 * Context: Any context but NMI.
 */
void res_root_cpu_offline(struct res_root *root)
{
	unsigned long flags;
	unsigned int i;

	local_irq_save(flags);
	for (i = 0; i < RES_SLOTS; i++)
		res_slot_close(&this_cpu_ptr(root->stock)->slot[i], NULL);
	local_irq_restore(flags);
}
