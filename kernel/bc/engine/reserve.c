// SPDX-License-Identifier: GPL-2.0
/*
 * Reservations, limits and barriers
 *
 * What a counter takes from its parent is the greater of what it has given away
 * and what it has reserved. So a reservation is raised by taking what is
 * missing out of the parent, as a charge does. It is lowered at once: what is
 * in use stays taken, and goes back to the parent as it is returned.
 */

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/sched.h>

#include "internal.h"

/* How often to try for less where there is not as much as was wanted. */
#define RES_UPTO_TRIES	16

/*
 * Takes @n units out of the parent of @counter, or the root, without privilege.
 */
static int res_borrow(struct res_counter *counter, u64 n, struct res_refusal *lacking)
{
	struct res_root *root = counter->root;
	struct res_take take = {
		.counter = counter->parent,
		.n = n,
		.severity = BC_LEND,
	};
	bool above;
	int err = 0;

	if (counter->parent) {
		err = res_take(&take);
		if (err)
			err = res_take_drained(&take, err);
		*lacking = take.refusal;
		return err ? -ENOSPC : 0;
	}
	if (!res_root_take(root, n, 0, BC_BARRIER, lacking, &above)) {
		res_drain_begin(root, NULL, counter);
		*lacking = (struct res_refusal) { };
		if (!res_root_take(root, n, 0, BC_BARRIER, lacking, &above))
			err = -ENOSPC;
		res_drain_end(root, NULL);
	}
	lacking->counter = err ? counter : NULL;
	return err;
}

/*
 * What is reserved stays there whatever happens to the bounds of ancestors. So
 * a counter above a barrier that was set lends nothing, not even what is in use
 * already.
 */
static bool res_lends(struct res_counter *lender, struct res_refusal *lacking)
{
	for (; lender; lender = lender->parent) {
		const u64 used = READ_ONCE(lender->used);
		const u64 bound = res_bound(lender, BC_LEND);

		if (used > bound) {
			*lacking = (struct res_refusal) {
				.counter = lender,
				.usage = used,
				.bound = bound,
			};
			return false;
		}
		if (used <= READ_ONCE(lender->reserved))
			break;
	}
	return true;
}

/*
 * One child's share of what @counter has pledged changes from @old to @new; and
 * so, perhaps, does the share of @counter in what its parent has.
 */
void res_pledge(struct res_counter *counter, u64 old, u64 new)
{
	for (; counter && old != new; counter = counter->parent) {
		unsigned long flags;
		u64 pledged;

		raw_spin_lock_irqsave(&counter->lock, flags);
		pledged = counter->pledged - old + new;
		old = max(counter->pledged, counter->reserved);
		new = max(pledged, counter->reserved);
		counter->pledged = pledged;
		raw_spin_unlock_irqrestore(&counter->lock, flags);
	}
}

/* How a reservation is to change. */
struct res_change {
	struct res_counter	*counter;
	u64			reserved;
	u64			limit;
	bool			wall;	/* no more may be used than is reserved */
	bool			yield;	/* unless more is used already */
};

/* Whether the change is possible; under the lock. */
static int res_change_check(const struct res_change *change,
			    struct res_refusal *lacking)
{
	struct res_counter *counter = change->counter;
	u64 limit = change->limit == RES_LIMIT_KEEP ? counter->limit :
						      change->limit;

	if (counter->removed)
		return -ENODEV;
	if (change->reserved > limit || limit > RES_COUNTER_MAX)
		return -EINVAL;
	/* "Unlimited" is no amount. */
	if (change->reserved == RES_COUNTER_MAX)
		return -ENOSPC;
	if (change->wall && !change->yield && change->reserved < counter->used) {
		*lacking = (struct res_refusal) {
			.counter = counter,
			.usage = counter->used,
			.bound = change->reserved,
			.at = BC_LIMIT,
		};
		return -EBUSY;
	}
	return counter->pledged > limit ? -EBUSY : 0;
}

/*
 * One try. What comes from the parent stays in the caller's hand until it
 * suffices: if it was the counter's credit, charges could take it, or a drain
 * that makes room for the rest.
 */
static int res_change_try(const struct res_change *change, struct res_refusal *lacking)
{
	struct res_counter *counter = change->counter, *parent = counter->parent;
	u64 old, due, hand = 0, need = 0, pledged = 0;
	struct res_excess excess = { };
	unsigned long flags;
	bool link = false;
	int err;

	*lacking = (struct res_refusal) { };
	if (change->reserved > READ_ONCE(counter->reserved)) {
		raw_spin_lock_irqsave(&counter->lock, flags);
		err = res_change_check(change, lacking);
		raw_spin_unlock_irqrestore(&counter->lock, flags);
		if (err)
			return err;
		if (!res_lends(parent, lacking))
			return -ENOSPC;
	}
	for (;;) {
		raw_spin_lock_irqsave(&counter->lock, flags);
		old = counter->reserved;
		err = res_change_check(change, lacking);
		due = max(counter->used, change->reserved);
		need = res_beyond(due, counter->taken + hand);
		if (!err && !need) {
			WRITE_ONCE(counter->taken, counter->taken + hand);
			WRITE_ONCE(counter->reserved, change->reserved);
			/* It may be covered from now on. */
			WRITE_ONCE(counter->narrow, NULL);
			if (change->limit != RES_LIMIT_KEEP)
				WRITE_ONCE(counter->limit, change->limit);
			hand = 0;
			pledged = counter->pledged;
			res_counter_update_state(counter);
			res_counter_take_excess(counter, &excess);
			link = res_counter_unlinked(counter);
		}
		raw_spin_unlock_irqrestore(&counter->lock, flags);
		if (err || !need)
			break;
		err = res_borrow(counter, need, lacking);
		if (err)
			break;
		hand += need;
	}
	if (link)
		res_counter_link(counter);
	excess.n += hand;
	res_return(counter->root, parent, &excess);
	if (err)
		return err;
	/*
	 * Barriers above did not matter for what it covered until now; one that was
	 * not set may be passed now.
	 */
	res_enforce_above(counter, true);
	if (!parent)
		return 0;
	raw_spin_lock_irqsave(&parent->lock, flags);
	if (parent->stats)
		parent->stats->lent += change->reserved - old;
	raw_spin_unlock_irqrestore(&parent->lock, flags);
	res_pledge(parent, max(old, pledged), max(change->reserved, pledged));
	return 0;
}

/*
 * What is kept below counts as used: where that is too much, it is drained and
 * the change is tried again.
 */
static int res_change(const struct res_change *change, struct res_refusal *lacking)
{
	struct res_counter *counter = change->counter, *full;
	int err = res_change_try(change, lacking);

	full = lacking->counter;
	if (full && (err == -EBUSY || (err == -ENOSPC && !lacking->n))) {
		res_drain_begin(counter->root, full, counter);
		err = res_change_try(change, lacking);
		res_drain_end(counter->root, full);
	}
	/* A barrier that was not set has moved with the limit. */
	if (!err && change->limit != RES_LIMIT_KEEP &&
	    res_counter_excess(counter, BC_BARRIER)) {
		res_drain_begin(counter->root, counter, NULL);
		res_drain_end(counter->root, counter);
	}
	return err;
}

/**
 * res_counter_set_reserved() - borrow from the parent, or repay
 * @counter: the counter
 * @reserved: units that are to be there for @counter alone, used or not
 * @limit: what the limit becomes with it; %RES_LIMIT_KEEP: it stays;
 *	%RES_LIMIT_WALL: as much as is reserved, and no less than is in use:
 *	@counter then lives on what it borrowed, and no charge reaches the
 *	parent
 * @lacking: with -ENOSPC, where room is lacking; with -EBUSY, that more is used
 *	than @lacking->bound, which is to be left. In either case usage + n -
 *	bound units are missing. @lacking->counter is %NULL if @lacking says
 *	nothing.
 *
 * What @counter takes from its parent is the greater of what it uses and what
 * it has reserved. Borrowing thus charges the parent only for what @counter
 * does not take already. But ancestors must be within their barriers: what is
 * lent is there for all tasks, and no counter lends what only the privileged
 * may take. A barrier that was not set is none for this: @counter has one of its
 * own for the same purpose. Repaying gives back at once what is not in use, and the rest as it
 * is returned.
 *
 * Borrowing and repaying come from the res_counter hierarchy patch of 2008,
 * where all walls were high.
 *
 * Context: Task context, no spinlock held, interrupts on; may sleep. Changes of
 * one counter's reservation must not race with each other.
 * Return:
 *
 * * 0 - Borrowed or repaid.
 * * -EINVAL - @reserved is above the limit, or the limit above
 *   %RES_COUNTER_MAX; nothing has changed.
 * * -ENOSPC - An ancestor or the machine has no such room; nothing has changed.
 * * -EBUSY - Units that are in use would be walled out, or the limit be below
 *   what descendants have reserved; nothing has changed.
 * * -ENODEV - @counter was removed.
 */
int res_counter_set_reserved(struct res_counter *counter, u64 reserved,
			     u64 limit, struct res_refusal *lacking)
{
	const struct res_change change = {
		.counter = counter,
		.reserved = reserved,
		.limit = limit == RES_LIMIT_WALL ? reserved : limit,
		.wall = limit == RES_LIMIT_WALL,
	};

	might_sleep();
	*lacking = (struct res_refusal) { };
	if (reserved > RES_COUNTER_MAX)
		return -EINVAL;
	return res_change(&change, lacking);
}

/**
 * res_counter_reserve_upto() - borrow or repay as much as is possible now
 * @counter: the counter
 * @reserved: units that are wanted to be there for @counter alone
 * @limit: %RES_LIMIT_KEEP or %RES_LIMIT_WALL: see res_counter_set_reserved()
 *
 * Borrows what the ancestors have room for, or repays; a wall goes down to what
 * is in use, and no further. Where that falls short of @reserved, another call
 * may get nearer to it later.
 *
 * Context: As res_counter_set_reserved().
 * Return: What is reserved from now on. It never gets farther from @reserved.
 */
u64 res_counter_reserve_upto(struct res_counter *counter, u64 reserved, u64 limit)
{
	const u64 had = READ_ONCE(counter->reserved);
	const bool wall = limit == RES_LIMIT_WALL;
	struct res_change change = {
		.counter = counter,
		.reserved = min(reserved, RES_COUNTER_MAX - 1),
		.limit = limit,
		.wall = wall,
	};
	unsigned int tries = RES_UPTO_TRIES;
	struct res_refusal lacking;
	u64 missing;
	int err;

	might_sleep();
	if (!wall && change.reserved > READ_ONCE(counter->limit))
		change.reserved = READ_ONCE(counter->limit);
	do {
		if (wall) {
			change.limit = change.reserved;
			/* Or what is reserved already. */
			change.yield = change.reserved >= READ_ONCE(counter->limit);
		}
		err = res_change(&change, &lacking);
		if (!err || !lacking.counter)
			break;
		if (err == -EBUSY) {
			if (change.reserved >= had)
				break;
			change.reserved = min(lacking.usage, had);
			continue;
		}
		/* What is in use can be reserved without more room. */
		missing = min(res_beyond(lacking.usage + lacking.n, lacking.bound),
			      lacking.n);
		if (!missing || missing >= res_beyond(change.reserved, had))
			break;
		change.reserved -= missing;
	} while (tries--);
	return READ_ONCE(counter->reserved);
}

/*
 * Sets one bound, unless @counter has given away more and that is refused.
 * *@above is set if it has given away more: some of that may be kept below, and
 * has to be drained. So it is where a limit takes a barrier with it that was
 * not set.
 */
static int res_bound_try(struct res_counter *counter, u64 *bound, u64 val,
			 bool not_below_usage, bool *above)
{
	unsigned long flags;
	int err = 0;

	raw_spin_lock_irqsave(&counter->lock, flags);
	*above = counter->used > val;
	if (bound == &counter->limit) {
		if (counter->reserved > val)
			err = -EINVAL;
		else if (counter->pledged > val)
			err = -EBUSY;
		else if (not_below_usage && *above)
			err = -EAGAIN;
	}
	if (!err) {
		WRITE_ONCE(*bound, val);
		*above |= counter->used > res_bound(counter, BC_BARRIER);
		res_counter_update_state(counter);
	}
	raw_spin_unlock_irqrestore(&counter->lock, flags);
	return err;
}

/* Drains what is kept: only what objects hold may be above the new bound. */
static int res_bound_set(struct res_counter *counter, u64 *bound, u64 val,
			 bool not_below_usage)
{
	unsigned int tries = RES_RETRIES;
	struct res_snapshot snap;
	bool above;
	int err;

	might_sleep();
	if (val > RES_COUNTER_MAX)
		return -EINVAL;
	err = res_bound_try(counter, bound, val, not_below_usage, &above);
	if ((err && err != -EAGAIN) || !above)
		return err;
	res_drain_begin(counter->root, counter, NULL);
	while (err) {
		err = res_bound_try(counter, bound, val, not_below_usage, &above);
		if (err != -EAGAIN || !tries--)
			break;
		/*
		 * If what objects hold would fit, other CPUs have the rest in
		 * hand. They bring it here, as nothing is kept below for now,
		 * but a CPU may be interrupted, or a task preempted, with it.
		 */
		res_counter_read(counter, &snap);
		if (snap.usage > val)
			break;
		schedule_timeout_uninterruptible(1);
	}
	res_drain_end(counter->root, counter);
	return err == -EAGAIN ? -EBUSY : err;
}

/**
 * res_counter_set_limit() - change the limit
 * @counter: the counter
 * @limit: units
 * @not_below_usage: refuse a limit below what is held now
 *
 * Context: Task context, no spinlock held, interrupts on; may sleep.
 * Return:
 *
 * * 0 - Every charge from now on is held to the new limit.
 * * -EINVAL - @limit is above %RES_COUNTER_MAX, or below what is reserved;
 *   nothing has changed.
 * * -EBUSY - @limit is below what descendants have reserved or, with
 *   @not_below_usage, below usage; nothing has changed.
 */
int res_counter_set_limit(struct res_counter *counter, u64 limit,
			  bool not_below_usage)
{
	return res_bound_set(counter, &counter->limit, limit, not_below_usage);
}

/**
 * res_counter_set_barrier() - change the barrier
 * @counter: the counter
 * @barrier: units; above the limit, the limit takes its place
 *
 * Context: Task context, no spinlock held, interrupts on; may sleep.
 * Return:
 *
 * * 0 - Every charge from now on is held to the new barrier.
 * * -EINVAL - @barrier is above %RES_COUNTER_MAX; nothing has changed.
 */
int res_counter_set_barrier(struct res_counter *counter, u64 barrier)
{
	return res_bound_set(counter, &counter->barrier, barrier, false);
}

/**
 * res_counter_await_room() - be told when units come back
 * @counter: the counter
 *
 * Until some have come back, nothing is kept below @counter, so that they reach
 * it. Then res_counter_ops.room() is called, once; perhaps before this returns.
 *
 * Context: Task context, no spinlock held, interrupts on; may sleep.
 */
void res_counter_await_room(struct res_counter *counter)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&counter->lock, flags);
	if (!counter->awaited) {
		counter->awaited = true;
		WRITE_ONCE(counter->closed, counter->closed + 1);
		res_counter_update_state(counter);
	}
	raw_spin_unlock_irqrestore(&counter->lock, flags);
	res_counter_drain(counter);
}

/**
 * res_root_await_room() - be told when units come back to the machine
 * @root: the resource
 *
 * See res_counter_await_room().
 *
 * Context: Task context, no spinlock held, interrupts on; may sleep.
 */
void res_root_await_room(struct res_root *root)
{
	atomic_inc(&root->closed);
	if (xchg(&root->awaited, true))
		atomic_dec(&root->closed);
	res_root_drain(root);
}
