// SPDX-License-Identifier: GPL-2.0
/*
 * What is shown of a counter
 *
 * A read costs the task that reads: it drains nothing, interrupts no CPU, and
 * looks at what is kept below the counter, step by step. That can change
 * meanwhile. So an amount is exact when nothing runs, and otherwise off by what
 * was moved during the read.
 */

#include <linux/kernel.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include "internal.h"

/* Levels below a counter on which each reservation is taken into account. */
#define RES_LEVELS	32

/* How often a read is tried again, if something has changed meanwhile. */
#define RES_READ_TRIES	3

static void res_slot_unpin(struct res_slot_info *info)
{
	if (!--info->pins && !info->counter)
		res_slot_unlist(info);
}

/*
 * Sums up what CPUs have in stock of @counter, and adds to @stat what is
 * counted there. A slot that is pinned stays in the list, so that the reader
 * finds the next one. It cannot be opened for another group meanwhile: so the
 * reader is not preempted on its way, which is as long as there are CPUs.
 */
static u64 res_counter_stock(struct res_counter *counter, struct res_stat *stat)
{
	struct res_slot_info *info, *next;
	unsigned long flags;
	u64 sum = 0;

	if (hlist_empty(&counter->slots))
		return 0;
	preempt_disable();
	raw_spin_lock_irqsave(&counter->lock, flags);
	info = hlist_entry_safe(counter->slots.first, struct res_slot_info, node);
	if (info)
		info->pins++;
	while (info) {
		if (info->counter) {
			const struct res_slot *slot = info->slot;
			/* In this order: an uncharge counts before it adds. */
			const long units = local_read(&slot->units);
			const unsigned long returned = local_read(&slot->returned);
			unsigned int i;

			sum += max(units, 0L);
			stat->uncharged += returned;
			stat->charged += info->base - units + (long)returned;
			for (i = 0; i < counter->root->kinds; i++)
				stat->kinds[i] += local_read(&slot->kinds[i]);
		}
		next = hlist_entry_safe(info->node.next, struct res_slot_info,
					node);
		if (next)
			next->pins++;
		res_slot_unpin(info);
		raw_spin_unlock_irqrestore(&counter->lock, flags);
		info = next;
		raw_spin_lock_irqsave(&counter->lock, flags);
	}
	raw_spin_unlock_irqrestore(&counter->lock, flags);
	preempt_enable();
	return sum;
}

/* Adds to @stat what @counter's parent does not have in its totals yet. */
static void res_stat_sum(struct res_stat *stat, const struct res_counter *counter)
{
	unsigned int i;

	stat->charged += counter->unsent.charged;
	stat->uncharged += counter->unsent.uncharged;
	for (i = 0; i < counter->root->kinds; i++)
		stat->kinds[i] += counter->stats->unsent_kinds[i];
}

/*
 * Computes how much of what @top has given away is kept in banks and in stock
 * here and below, and adds to @stat what the totals of @top do not have yet.
 *
 * What is kept below a child counts as far as the child uses more than it has
 * reserved: the parent would have given away the rest in any case. So it is
 * summed up level by level. Below RES_LEVELS it is summed up as if nothing was
 * reserved there.
 */
static u64 res_counter_hidden(struct res_counter *top, struct res_stat *stat)
{
	const struct res_walk walk = { .root = top->root, .top = top, .all = true };
	u64 hidden[RES_LEVELS] = { };
	struct res_counter *counter;
	unsigned int level;
	unsigned long flags;
	u64 here, credit;

	for (counter = res_walk_first(&walk); counter;
	     counter = res_walk_next(&walk, counter)) {
		level = counter->depth - top->depth;
		here = res_counter_stock(counter, stat);
		raw_spin_lock_irqsave(&counter->lock, flags);
		res_stat_sum(stat, counter);
		credit = res_credit(counter);
		if (level < RES_LEVELS) {
			here += hidden[level];
			hidden[level] = 0;
			here = min(here, res_beyond(counter->used,
						    counter->reserved));
		}
		raw_spin_unlock_irqrestore(&counter->lock, flags);
		hidden[min(level, RES_LEVELS) - 1] += here + credit;
	}
	return hidden[0] + res_counter_stock(top, stat);
}

/* Where none was set: the one in force, if that is not the limit. */
static u64 res_shown_barrier(const struct res_counter *counter)
{
	u64 barrier = counter->barrier;

	if (barrier != RES_BARRIER_DEFAULT)
		return barrier;
	barrier = res_bound(counter, BC_BARRIER);
	return barrier < counter->limit ? barrier : RES_COUNTER_MAX;
}

/**
 * res_counter_excess() - how far a counter is above a bound
 * @counter: the counter
 * @severity: of the charges that the bound is for
 *
 * What is at hand below counts as usage; above a barrier that is nothing, or on its
 * way back.
 *
 * Context: Any context. @counter stays allocated.
 * Return: Units, 0 if it is not above.
 */
u64 res_counter_excess(const struct res_counter *counter,
		       enum bc_severity severity)
{
	return res_beyond(READ_ONCE(counter->used), res_bound(counter, severity));
}

/**
 * res_path_exceeds() - whether a counter or one above it is above its bound
 * @counter: the counter
 * @severity: of the charges that the bound is for
 *
 * As with res_counter_excess(), what is at hand counts: a charge may find room where
 * this finds none.
 *
 * Context: Any context. @counter stays allocated.
 * Return: Whether any is.
 */
bool res_path_exceeds(const struct res_counter *counter, enum bc_severity severity)
{
	for (; counter; counter = counter->parent)
		if (res_counter_excess(counter, severity))
			return true;
	return false;
}

/**
 * res_counter_read() - all that is to be shown of a counter
 * @counter: the counter
 * @snap: where to
 *
 * Statistics are rough: max_usage and min_usage are off by what was kept in
 * banks and in stock at the time. Of a plain resource there are no totals, no
 * kinds, no min_usage and no @lent.
 *
 * The review of the beancounter patches of 2006 asked for a snapshot of all
 * fields, instead of a function for each.
 *
 * Context: Task context, no spinlock held, interrupts on. @counter stays
 * allocated.
 */
void res_counter_read(struct res_counter *counter, struct res_snapshot *snap)
{
	const struct res_stats none = { }, *stats = counter->stats ?: &none;
	unsigned int tries = RES_READ_TRIES, i;
	struct res_stat stat;
	unsigned long flags;
	u64 hidden, used;

	do {
		used = READ_ONCE(counter->used);
		stat = (struct res_stat) { };
		hidden = res_counter_hidden(counter, &stat);
	} while (used != READ_ONCE(counter->used) && --tries);

	raw_spin_lock_irqsave(&counter->lock, flags);
	stat.charged += stats->sent.charged + counter->unsent.charged;
	stat.uncharged += stats->sent.uncharged + counter->unsent.uncharged;
	used = res_beyond(counter->used, hidden);
	/* Nothing has moved: what was found kept was there at one time. */
	if (tries) {
		counter->max_usage = max(counter->max_usage, used);
		if (counter->stats)
			counter->stats->min_usage = min(stats->min_usage, used);
	}
	*snap = (struct res_snapshot) {
		.usage		= used,
		.stocked	= counter->used - used,
		.held		= res_counter_held(counter),
		.inherited	= counter->inherited,
		.reserved	= counter->reserved,
		.lent		= stats->lent,
		.barrier	= res_shown_barrier(counter),
		.limit		= counter->limit,
		.max_usage	= max3(stats->old_max, counter->max_usage, used),
		.recent_max	= max(counter->max_usage, used),
		.min_usage	= min(stats->min_usage, used),
		/* Units on their way between levels may be missing. */
		.charged	= max_t(s64, 0, stat.charged - stats->base.charged),
		.uncharged	= max_t(s64, 0, stat.uncharged - stats->base.uncharged),
		.all_kinds	= max_t(s64, 0, stat.charged - stat.uncharged),
		.failcnt	= atomic64_read(&counter->failcnt),
	};
	/*
	 * The uncharge of one CPU may be seen before the charge of another.
	 */
	for (i = 0; i < counter->root->kinds; i++)
		snap->kinds[i] = max_t(s64, 0, stats->kinds[i] + stat.kinds[i]);
	raw_spin_unlock_irqrestore(&counter->lock, flags);
	snap->held -= min(snap->held, res_counter_stock(counter, &stat));
}

/**
 * res_counter_reset() - start statistics anew
 * @counter: the counter
 * @what: RES_RESET_* bits; extremes become the usage, the rest 0
 *
 * Context: As res_counter_read().
 */
void res_counter_reset(struct res_counter *counter, unsigned int what)
{
	struct res_snapshot snap;
	unsigned long flags;

	if (what & RES_RESET_FAILCNT)
		atomic64_set(&counter->failcnt, 0);
	if (!(what & ~RES_RESET_FAILCNT))
		return;
	res_counter_read(counter, &snap);
	raw_spin_lock_irqsave(&counter->lock, flags);
	if (what & RES_RESET_MAX) {
		counter->max_usage = snap.usage;
		if (counter->stats)
			counter->stats->old_max = 0;
	}
	if ((what & RES_RESET_MIN) && counter->stats) {
		counter->stats->min_usage = snap.usage;
		res_counter_update_state(counter);
	}
	if ((what & RES_RESET_TOTALS) && counter->stats) {
		counter->stats->base.charged += snap.charged;
		counter->stats->base.uncharged += snap.uncharged;
	}
	raw_spin_unlock_irqrestore(&counter->lock, flags);
}

/**
 * res_counter_restart_max() - start a period of observation
 * @counter: the counter
 * @usage: is set to the usage at its start
 *
 * For readers that want a maximum of their own, as cgroup v2's peak files do: a
 * maximum over any time that began with this call is the maximum of what its
 * later calls return. Of a plain resource max_usage begins anew with it.
 *
 * Context: As res_counter_read().
 * Return: The highest usage in the period that ends.
 */
u64 res_counter_restart_max(struct res_counter *counter, u64 *usage)
{
	struct res_snapshot snap;
	unsigned long flags;
	u64 max;

	res_counter_read(counter, &snap);
	*usage = snap.usage;
	raw_spin_lock_irqsave(&counter->lock, flags);
	max = max(counter->max_usage, snap.usage);
	if (counter->stats)
		counter->stats->old_max = max(counter->stats->old_max, max);
	counter->max_usage = snap.usage;
	raw_spin_unlock_irqrestore(&counter->lock, flags);
	return max;
}
