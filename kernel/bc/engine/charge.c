// SPDX-License-Identifier: GPL-2.0
/*
 * Charges and uncharges of objects
 *
 * The fast path charges from this CPU's stock and uncharges to it. The code
 * here is for the rest: a charge that finds too little in stock takes the lock
 * of its counter's bank, and then asks the counters above (take.c). An uncharge
 * goes to the bank, and the excess there goes up (bank.c). Each opens a slot
 * for the charges and uncharges to come, if it is worth while.
 */

#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/preempt.h>
#include <linux/prefetch.h>
#include <linux/sched.h>

#include "internal.h"

/* After so many units that its bank had, a counter looks at its path anew. */
#define RES_LOOK_ANEW	64

/* Charges from the counter's bank alone, if it has enough: one lock. */
static bool res_bank_charge(struct res_take *take)
{
	struct res_counter *counter = take->counter;
	bool charged = false, link = false;
	unsigned long flags;

	/* One passage of the line to this CPU: to look at it, and to lock. */
	prefetchw(&counter->lock);
	if (READ_ONCE(counter->taken) < READ_ONCE(counter->used) + take->n)
		return false;
	raw_spin_lock_irqsave(&counter->lock, flags);
	if (!counter->removed && counter->taken >= counter->used + take->n &&
	    res_fits(counter->used, take->n, res_bound(counter, BC_BARRIER))) {
		counter->unsent.charged += take->n;
		/* A bank that always has enough never looks at the path. */
		if (counter->unsent.charged % RES_LOOK_ANEW < take->n)
			WRITE_ONCE(counter->narrow, NULL);
		res_counter_give(take, counter, take->n, 0);
		take->owner = counter->owner;
		link = res_counter_unlinked(counter);
		charged = true;
	}
	raw_spin_unlock_irqrestore(&counter->lock, flags);
	if (unlikely(link))
		res_counter_link(counter);
	return charged;
}

/*
 * Whether this CPU is to have stock of @counter after a charge or an uncharge.
 * If not, the stock that it has is given back.
 */
static bool res_stock_wanted(struct res_counter *counter, struct res_owner *owner,
			     u8 state)
{
	if (state == RES_LOOSE && READ_ONCE(counter->state) == RES_LOOSE)
		return res_slot_wanted(counter->root, owner);
	res_slot_forget(counter->root, owner);
	return false;
}

/* One attempt to charge an object, without any waiting. */
static int res_charge_object(struct res_take *take)
{
	struct res_counter *counter = take->counter;
	const u8 state = res_path_state(counter);

	take->object = true;
	take->refusal.n = 0;
	take->crossed = false;
	take->above = NULL;
	take->root_above = false;
	take->uncovered = false;
	take->stock = res_stock_wanted(counter, READ_ONCE(counter->owner), state);
	/* What is kept here was taken for charges that are refused later. */
	if (!take->stock && take->severity != BC_EARLY && res_bank_charge(take))
		return 0;
	/*
	 * The path is looked at anew. What is known of it may be out of date: as
	 * units return below a reservation, that covers the counter again. With
	 * interrupts off that may be too much, and is left out if it can be.
	 */
	take->bank = take->stock || !irqs_disabled() ||
		     (state != RES_SHUT && !READ_ONCE(counter->keep));
	return res_take(take);
}

/*
 * A charge that cannot wait was refused: starts a drain, which makes room for
 * the next one, also where reservations on its path would cover it if less was
 * kept there.
 */
static void res_drain_for(const struct res_take *take)
{
	struct res_counter *top = take->refusal.machine ? NULL : take->refusal.counter;
	struct res_root *root = take->counter->root;
	struct res_counter *counter = take->counter;
	unsigned int i;

	if (res_drainable(root, top))
		root->ops->drain_later(root, top);
	for (i = top ? top->depth + 1 : 0; i <= counter->depth; i++) {
		struct res_counter *c = counter->path[i];

		if (READ_ONCE(c->reserved) &&
		    READ_ONCE(c->taken) <= READ_ONCE(c->reserved) &&
		    res_drainable(root, c))
			root->ops->drain_later(root, c);
	}
}

/*
 * After a charge of @counter: enforces the barriers above it, and calls
 * forced() and barrier_hit() if they are due.
 */
static void res_charge_done(struct res_take *take, struct res_counter *counter,
			    bool may_block)
{
	const struct res_counter_ops *ops = counter->root->ops;

	res_enforce_barriers(take, counter, may_block);
	if (unlikely(take->refusal.n) && ops->forced)
		ops->forced(&take->refusal);
	if (!unlikely(take->crossed) || !ops->barrier_hit)
		return;
	/*
	 * The CPU that clears the mark makes the call. Where several charges
	 * cross a barrier at a time, one call may stand for all.
	 */
	for (; counter; counter = counter->parent)
		if (READ_ONCE(counter->crossed) && xchg(&counter->crossed, false))
			ops->barrier_hit(counter);
}

/**
 * res_counter_try_charge() - charge if there is room, and do no more
 * @counter: what to charge
 * @n: units, 1 to %RES_COUNTER_MAX
 *
 * Charges if every bound has room, as %BC_BARRIER does. A refusal is neither
 * counted nor reported: the caller goes on to res_counter_charge().
 *
 * Context: Any context but NMI. @counter and its ancestors must stay allocated.
 * Return: What the charged object has to point to, for res_counter_uncharge().
 *
 * * %NULL - @counter and everything between it and the root were removed:
 *   nothing was charged, and nothing is to be uncharged.
 * * -EDQUOT - A group has no room; nothing has changed.
 * * -ENOSPC - The machine has no room; nothing has changed.
 */
struct res_owner *res_counter_try_charge(struct res_counter *counter, u64 n)
{
	struct res_take take = { .counter = counter, .n = n };
	int err;

	if (WARN_ON_ONCE(n > RES_COUNTER_MAX))
		return ERR_PTR(-EDQUOT);
	err = res_charge_object(&take);
	if (err)
		return ERR_PTR(err);
	res_enforce_barriers(&take, counter, false);
	return take.owner;
}

/**
 * res_counter_try_charge_drain() - charge if there is room, or have some made
 * @counter: what to charge
 * @n: units, 1 to %RES_COUNTER_MAX
 *
 * As res_counter_try_charge(), for a caller that has no use for more: what is kept
 * below and was in the way is drained later, for its next try.
 *
 * Context: As res_counter_try_charge().
 * Return: As res_counter_try_charge().
 */
struct res_owner *res_counter_try_charge_drain(struct res_counter *counter, u64 n)
{
	struct res_take take = { .counter = counter, .n = n };
	int err;

	if (WARN_ON_ONCE(n > RES_COUNTER_MAX))
		return ERR_PTR(-EDQUOT);
	err = res_charge_object(&take);
	if (err) {
		if (counter->root->ops->drain_later)
			res_drain_for(&take);
		return ERR_PTR(err);
	}
	res_enforce_barriers(&take, counter, false);
	return take.owner;
}

/**
 * res_counter_charge() - charge, and do all that a refusal calls for
 * @counter: what to charge
 * @n: units, 1 to %RES_COUNTER_MAX
 * @severity: see &enum bc_severity
 * @may_block: callbacks may sleep, and other CPUs be waited for
 *
 * Where a counter has no room, what is kept below it and would make room is
 * drained: with @may_block before the refusal, which is exact then; otherwise
 * for the next charge. If a barrier still refuses, privileged() is asked
 * whether the charge may go on to the limit. Then limit_hit() is asked to make
 * room. Then the refusal is counted and reported, for the counter that has no
 * room:
 * @counter or an ancestor.
 *
 * The idea of severities and of barrier_hit() and limit_hit() comes from the
 * beancounter patches of 2006.
 *
 * Context: Any context but NMI; task context, no spinlock held, interrupts on,
 * with @may_block. @counter and its ancestors must stay allocated.
 * Return: As res_counter_try_charge(); no error with %BC_FORCE.
 */
struct res_owner *res_counter_charge(struct res_counter *counter, u64 n,
				     enum bc_severity severity, bool may_block)
{
	struct res_take take = {
		.counter = counter,
		.n = n,
		.severity = severity,
	};
	struct res_root *root = counter->root;
	const struct res_counter_ops *ops = root->ops;
	unsigned int retries = RES_RETRIES;
	bool asked = false;
	int err;

	might_sleep_if(may_block);
	if (WARN_ON_ONCE(n > RES_COUNTER_MAX))
		return ERR_PTR(-EDQUOT);
	for (;;) {
		err = res_charge_object(&take);
		if (unlikely(err) && may_block)
			err = res_take_drained(&take, err);
		if (!err)
			break;
		/*
		 * The answer may be audited: ask once, and only if it matters.
		 */
		if (take.severity < BC_LIMIT && !asked &&
		    take.refusal.at != BC_LIMIT) {
			asked = true;
			if (ops->privileged && ops->privileged()) {
				take.severity = BC_LIMIT;
				continue;
			}
		}
		if (!retries-- || !ops->limit_hit ||
		    !ops->limit_hit(&take.refusal, may_block))
			break;
	}
	if (err) {
		if (!may_block && ops->drain_later)
			res_drain_for(&take);
		atomic64_inc(&take.refusal.counter->failcnt);
		if (ops->refused)
			ops->refused(&take.refusal);
		return ERR_PTR(err);
	}
	res_charge_done(&take, counter, may_block);
	return take.owner;
}

/*
 * Opens an empty slot of this CPU for @counter, for what is going to be
 * uncharged.
 */
static void res_stock_open(struct res_counter *counter)
{
	struct res_counter *from = NULL;
	struct res_excess evicted;
	struct res_slot *slot;
	struct res_room room = { };
	unsigned long flags;

	res_path_room(counter, &room);
	if (!room.batch)
		return;
	local_irq_save(flags);
	slot = res_slot_claim(counter->root, READ_ONCE(counter->owner), &from,
			      &evicted);
	if (slot) {
		raw_spin_lock(&counter->lock);
		if (!counter->removed && counter->epoch == room.epoch &&
		    counter->state == RES_LOOSE)
			res_slot_fill(slot, counter, 0, 2 * room.batch);
		raw_spin_unlock(&counter->lock);
	}
	local_irq_restore(flags);
	if (from)
		res_return(from->root, from->parent, &evicted);
}

/*
 * Returns @n units of @owner, by way of a lock. @uncharged of them were
 * uncharged; the others were taken for a charge that was not made. All were
 * noted as of @kind, or none as of any: RES_NO_KIND.
 */
void res_owner_return(struct res_owner *owner, u64 n, u64 uncharged,
		      unsigned int kind)
{
	struct res_counter *counter, *roomy = NULL;
	struct res_excess excess;
	unsigned long flags;
	bool own, stock, link;
	u64 missing;

	rcu_read_lock();
	for (;;) {
		struct res_owner *live = res_owner_live(owner);

		own = live == owner;
		if (!live) {
			res_root_return(owner->root, n);
			missing = 0;
			break;
		}
		/* RCU: a counter is freed a grace period after its removal. */
		counter = res_owner_own(live);
		if (!counter)
			continue;
		stock = own && in_task() &&
			res_stock_wanted(counter, owner, res_path_state(counter));
		raw_spin_lock_irqsave(&counter->lock, flags);
		if (counter->gone) {
			raw_spin_unlock_irqrestore(&counter->lock, flags);
			continue;
		}
		missing = res_beyond(n, own ? res_counter_held(counter) :
					      counter->inherited);
		if (!own)
			counter->inherited -= n - missing;
		res_counter_lower(counter, n - missing);
		counter->unsent.charged += uncharged - n;
		counter->unsent.uncharged += uncharged;
		if (kind != RES_NO_KIND) {
			counter->stats->kinds[kind] -= n;
			counter->stats->unsent_kinds[kind] -= n;
		}
		roomy = res_counter_roomy(counter);
		res_counter_take_excess(counter, &excess);
		link = res_counter_unlinked(counter);
		raw_spin_unlock_irqrestore(&counter->lock, flags);

		if (unlikely(link))
			res_counter_link(counter);
		res_return(counter->root, counter->parent, &excess);
		if (unlikely(roomy))
			counter->root->ops->room(counter->root, roomy);
		if (stock)
			res_stock_open(counter);
		break;
	}
	if (!own) {
		res_owner_compress_path(owner);
		__res_owner_put(owner, n);
	}
	rcu_read_unlock();
	res_warn_missing(missing);
}

/**
 * res_counter_uncharge() - return units
 * @owner: what the charge has returned
 * @n: units, at most as many as are still charged by such charges
 *
 * The units go back to the counter that has them now: the one that was charged,
 * or the nearest ancestor that was not removed since.
 *
 * Context: Any context but NMI.
 */
void res_counter_uncharge(struct res_owner *owner, u64 n)
{
	res_owner_return(owner, n, n, RES_NO_KIND);
}

/**
 * res_counter_uncharge_kind() - return units of a kind
 * @owner: see res_counter_uncharge()
 * @n: see res_counter_uncharge()
 * @kind: see res_stock_note(): what all of them were noted as
 *
 * Takes one lock, where res_counter_note() and res_counter_uncharge() take two.
 *
 * Context: Any context but NMI.
 */
void res_counter_uncharge_kind(struct res_owner *owner, u64 n, unsigned int kind)
{
	res_owner_return(owner, n, n, kind);
}

/**
 * res_counter_note() - say of what kind units are, by way of a lock
 * @owner: see res_stock_note()
 * @kind: see res_stock_note()
 * @n: see res_stock_note()
 *
 * Context: Any context but NMI.
 */
void res_counter_note(struct res_owner *owner, unsigned int kind, long n)
{
	struct res_counter *counter;
	unsigned long flags;
	bool gone, link;

	rcu_read_lock();
	/* RCU: a counter is freed a grace period after its removal. */
	while ((counter = res_owner_counter(owner))) {
		raw_spin_lock_irqsave(&counter->lock, flags);
		gone = counter->gone;
		if (!gone) {
			counter->stats->kinds[kind] += n;
			counter->stats->unsent_kinds[kind] += n;
		}
		link = res_counter_unlinked(counter);
		raw_spin_unlock_irqrestore(&counter->lock, flags);
		if (link)
			res_counter_link(counter);
		if (!gone)
			break;
	}
	rcu_read_unlock();
}
