// SPDX-License-Identifier: GPL-2.0
/*
 * What CPUs have in stock
 *
 * Each CPU has a few slots, with units for one group each. The fast path, in
 * include/bc/res_counter.h, compares the slot's owner and changes one word,
 * @units, by one instruction that nothing on this CPU can interrupt. Only its
 * own CPU changes a slot. So a drain on another CPU sends it an interrupt.
 *
 * An interrupt may come between any two instructions of the fast path, and may
 * charge, uncharge, or close the slot. That is why
 *
 *  - a closed slot has RES_SLOT_CLOSED in @units. Whatever the fast path takes
 *    from it or puts into it, @units is negative, which the fast path sees in
 *    the result of its own instruction. It undoes a charge (__res_slot_undo()),
 *    and makes an uncharge by way of the counter (__res_slot_settle());
 *  - @owner changes in task context alone. The fast path has preemption off, so
 *    that no other task comes between its comparison and its change of @units.
 *    And @owner does not change before @units is RES_SLOT_CLOSED to the unit:
 *    what was put there for one owner must not be settled for another.
 *
 * So if an interrupted fast path has found its owner in a slot, that owner is
 * still there when the interrupt returns, whether the slot is open or closed.
 *
 * An open slot is in the list @slots of its counter, and its units count there
 * as used. It is opened by the protocol of bank.c, and closed by a drain.
 */

#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/sched/isolation.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "internal.h"

/* The slot for @owner of the current CPU, which may change: for a hint. */
static struct res_slot *res_raw_slot(struct res_stock __percpu *stock,
				     struct res_owner *owner)
{
	const unsigned long mask = (RES_SLOTS - 1) * RES_SLOT_SIZE;

	return (void *)raw_cpu_ptr(stock) + ((unsigned long)owner & mask);
}

/*
 * An owner gets a slot that another one has after so many charges and uncharges
 * in a row that missed it.
 */
#define RES_SLOT_MISSES		4

/*
 * Moves the units in @slot back to its counter, and what was noted with them;
 * under the lock. Units that an interrupted charge has taken, and is about to
 * put back, count as charged until __res_slot_settle() finds them.
 */
static void res_slot_empty(struct res_slot *slot, struct res_counter *counter)
{
	struct res_slot_info *info = slot->info;
	const unsigned long returned = local_read(&slot->returned);
	const u64 units = res_slot_units(slot);
	const u64 there = min(units, res_counter_held(counter));
	unsigned int i;

	local_add(RES_SLOT_CLOSED - (long)units, &slot->units);
	local_sub(returned, &slot->returned);
	for (i = 0; i < counter->root->kinds; i++) {
		long kind = local_read(&slot->kinds[i]);

		local_sub(kind, &slot->kinds[i]);
		counter->stats->kinds[i] += kind;
		counter->stats->unsent_kinds[i] += kind;
	}
	counter->unsent.charged += info->base - (long)units + (long)returned;
	counter->unsent.uncharged += returned;
	info->base = 0;
	res_counter_lower(counter, there);
	/* Not a good place to print from, but no caller could do it later. */
	res_warn_missing(units - there);
}

/*
 * Closes @slot of this CPU, with interrupts off. Returns its counter, or NULL.
 * The caller gives up @excess from there to the parent; if @excess is NULL, the
 * units stay in the counter's bank, for a drain to take.
 */
struct res_counter *res_slot_close(struct res_slot *slot, struct res_excess *excess)
{
	struct res_slot_info *info = slot->info;
	struct res_counter *counter = info->counter;

	lockdep_assert_irqs_disabled();

	if (excess) {
		excess->n = 0;
		excess->counted = false;
	}
	if (counter) {
		raw_spin_lock(&counter->lock);
		res_slot_empty(slot, counter);
		info->counter = NULL;
		if (!info->pins)
			res_slot_unlist(info);
		if (excess)
			res_counter_take_excess(counter, excess);
		raw_spin_unlock(&counter->lock);
	}
	/* The owner need not look here in vain each time. */
	if (in_task() && local_read(&slot->units) == RES_SLOT_CLOSED)
		WRITE_ONCE(slot->owner, RES_OWNER_NONE);
	return counter;
}

/* Whether this CPU keeps stock. Interrupts are off. */
static bool res_stock_possible(const struct res_slot *slot)
{
	const int cpu = slot->info->cpu;

	/*
	 * A CPU that is about to go offline does not, nor an isolated CPU,
	 * which a drain must not interrupt.
	 */
	return in_task() && cpu_active(cpu) && !cpu_is_isolated(cpu);
}

/*
 * Returns this CPU's slot for @owner, open or ready to be opened; NULL if it
 * cannot be opened now, since a reader still stands at it, say. Another owner's
 * units are taken out of it: *@from is their counter, and the caller gives up
 * @excess from there. Interrupts are off, and stay off until the slot was filled.
 */
struct res_slot *res_slot_claim(struct res_root *root, struct res_owner *owner,
				struct res_counter **from,
				struct res_excess *excess)
{
	struct res_slot *slot = res_this_slot(root->stock, owner);
	struct res_slot_info *info = slot->info;

	if (!res_stock_possible(slot))
		return NULL;
	if (info->counter && slot->owner != owner)
		*from = res_slot_close(slot, excess);
	if (!info->counter && (local_read(&slot->units) != RES_SLOT_CLOSED ||
			       res_slot_listed(info)))
		return NULL;
	return slot;
}

/*
 * Opens @slot for @counter, whose lock is held, if it is not open yet, and puts
 * @n units there, which the caller counts as used.
 */
void res_slot_fill(struct res_slot *slot, struct res_counter *counter, u64 n,
		   u64 cap)
{
	struct res_slot_info *info = slot->info;

	lockdep_assert_held(&counter->lock);

	WRITE_ONCE(slot->cap, cap);
	info->base += n;
	if (info->counter) {
		local_add(n, &slot->units);
		return;
	}
	WRITE_ONCE(slot->owner, counter->owner);
	info->counter = counter;
	info->misses = 0;
	hlist_add_head(&info->node, &counter->slots);
	local_add((long)n - RES_SLOT_CLOSED, &slot->units);
}

/*
 * Whether it is worth while to have a slot for @owner on this CPU. While
 * another owner uses the slot, that owner keeps it, until @owner has missed it
 * several times in a row: groups that take turns do better with their banks. A
 * hint: preemption may be on.
 */
bool res_slot_wanted(struct res_root *root, struct res_owner *owner)
{
	struct res_slot_info *info;
	struct res_slot *slot;
	bool wanted = true;

	if (!in_task())
		return false;
	slot = res_raw_slot(root->stock, owner);
	info = slot->info;
	if (slot->owner != owner && READ_ONCE(info->counter)) {
		if (info->rival != owner) {
			info->rival = owner;
			info->misses = 0;
		}
		wanted = ++info->misses > RES_SLOT_MISSES;
	}
	return wanted;
}

/*
 * Closes this CPU's slot for @owner, if there is one: no stock is to be kept.
 */
void res_slot_forget(struct res_root *root, struct res_owner *owner)
{
	struct res_counter *counter = NULL;
	struct res_excess excess;
	struct res_slot *slot;
	unsigned long flags;

	/* A hint again: mostly there is none. */
	if (READ_ONCE(res_raw_slot(root->stock, owner)->owner) != owner)
		return;
	rcu_read_lock();
	local_irq_save(flags);
	slot = res_this_slot(root->stock, owner);
	if (slot->owner == owner)
		counter = res_slot_close(slot, &excess);
	local_irq_restore(flags);
	if (counter)
		res_return(root, counter->parent, &excess);
	rcu_read_unlock();
}

/**
 * __res_slot_settle_kinds() - note in the counter what was noted in a closed slot
 * @slot: this CPU's
 *
 * For res_stock_note(), and for what interrupts have noted there since. If the
 * slot is open again, all of it is noted in the counter when the slot is
 * closed.
 *
 * Context: Any context but NMI; preemption off since res_stock_note().
 */
void __res_slot_settle_kinds(struct res_slot *slot)
{
	struct res_owner *owner = NULL;
	long kinds[RES_KINDS] = { };
	unsigned long flags;
	unsigned int i;

	local_irq_save(flags);
	if (!slot->info->counter) {
		owner = slot->owner;
		for (i = 0; i < RES_KINDS; i++) {
			kinds[i] = local_read(&slot->kinds[i]);
			local_sub(kinds[i], &slot->kinds[i]);
		}
	}
	local_irq_restore(flags);
	for (i = 0; i < RES_KINDS; i++)
		if (kinds[i])
			res_counter_note(owner, i, kinds[i]);
}

/**
 * __res_slot_settle() - give back what a slot has above its cap
 * @slot: this CPU's
 *
 * If the slot is open, some of its units go back to the bank. If it is closed,
 * the units that were put in since go back to the owner's counter.
 *
 * Context: Any context but NMI; preemption off since the units were put there.
 */
void __res_slot_settle(struct res_slot *slot)
{
	struct res_slot_info *info = slot->info;
	struct res_excess excess = { };
	unsigned long flags, returned = 0;
	struct res_counter *counter;
	struct res_owner *owner = NULL;
	bool link = false;
	long units;

	rcu_read_lock();
	local_irq_save(flags);
	counter = info->counter;
	units = local_read(&slot->units);
	if (!counter) {
		units -= RES_SLOT_CLOSED;
		owner = slot->owner;
		/* Before the units: the owner may be freed with the last. */
		__res_slot_settle_kinds(slot);
		returned = local_read(&slot->returned);
		if (units > 0) {
			local_sub(units, &slot->units);
			local_sub(returned, &slot->returned);
		}
	} else if (units > (long)slot->cap) {
		units -= slot->cap / 2;
		local_sub(units, &slot->units);
		raw_spin_lock(&counter->lock);
		info->base -= units;
		res_counter_lower(counter, units);
		res_counter_take_excess(counter, &excess);
		link = res_counter_unlinked(counter);
		raw_spin_unlock(&counter->lock);
	}
	local_irq_restore(flags);

	if (!counter && units > 0) {
		res_owner_return(owner, units, returned, RES_NO_KIND);
	} else if (counter) {
		if (link)
			res_counter_link(counter);
		res_return(counter->root, counter->parent, &excess);
	}
	rcu_read_unlock();
}

/**
 * __res_slot_undo() - put back units after a slot had too few
 * @slot: this CPU's
 * @n: units that were taken from it
 *
 * For res_stock_charge().
 *
 * Context: Any context but NMI; preemption off since the units were taken.
 */
void __res_slot_undo(struct res_slot *slot, unsigned long n)
{
	local_add(n, &slot->units);
	/*
	 * The slot may have been closed in between: then these units are in a
	 * closed slot, and if it was filled again there may be too many.
	 */
	if ((unsigned long)local_read(&slot->units) > slot->cap)
		__res_slot_settle(slot);
}

void res_stock_exit(struct res_root *root)
{
	if (!root->stock_shared)
		free_percpu(root->info);
	root->info = NULL;
	if (root->stock_allocated)
		free_percpu(root->stock);
	root->stock = NULL;
}

int res_stock_init(struct res_root *root)
{
	unsigned int i;
	int cpu;

	/* Shared with another root, which was there before and stays longer. */
	root->stock_shared = root->info;
	if (root->stock_shared)
		return 0;
	if (!root->stock) {
		root->stock = alloc_percpu(struct res_stock);
		root->stock_allocated = true;
	}
	root->info = __alloc_percpu(sizeof(struct res_slot_info) * RES_SLOTS,
				    __alignof__(struct res_slot_info));
	if (!root->stock || !root->info) {
		res_stock_exit(root);
		return -ENOMEM;
	}
	for_each_possible_cpu(cpu) {
		for (i = 0; i < RES_SLOTS; i++) {
			struct res_slot *slot = &per_cpu_ptr(root->stock, cpu)->slot[i];
			struct res_slot_info *info = per_cpu_ptr(root->info, cpu) + i;

			slot->owner = RES_OWNER_NONE;
			local_set(&slot->units, RES_SLOT_CLOSED);
			slot->info = info;
			info->slot = slot;
			INIT_HLIST_NODE(&info->node);
			info->cpu = cpu;
		}
	}
	return 0;
}
