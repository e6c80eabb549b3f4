// SPDX-License-Identifier: GPL-2.0
/*
 * A counter as a bank for the counters below it
 *
 * A counter takes units out of its parent and gives them away: to objects, to
 * CPUs' stock, to its children. What it has taken beyond what it has given away
 * or reserved is its credit: with credit, a charge needs no lock but the
 * counter's own. All amounts of a counter change under its lock. A CPU never
 * holds it together with another counter's, and always for a constant time.
 * Under the lock,
 *
 *	used  = what objects hold + stock + inherited + given, where given
 *	      = what the children have taken + units in hand
 *	taken >= max(used, reserved)
 *
 * Units pass from a parent to a child by way of the hand of the CPU that moves
 * them: downwards the parent's @used grows before the child's @taken does,
 * upwards the child's @taken falls first. So at each instant a parent has given
 * away at least what its children have.
 *
 * Which banks keep credit
 *
 * A charge of one group cannot use what banks and slots keep for another
 * without a drain. So a CPU opens a slot only if neither the counter nor an
 * ancestor has given nearly all away. If one of them has, a bank keeps next to
 * nothing. A bank that keeps credit is open: @keep is not 0. No bank is open
 * below an ancestor that is shut. An ancestor is shut while it is drained, and
 * while it is above its barrier, so that ordinary charges find nothing. A bank
 * is opened in four steps:
 *
 *  1. Its @epoch is read.
 *  2. It is linked: it is in its parent's list @active, the parent is in the
 *     list of its own parent, and so on up.
 *  3. The path above it is looked at: no ancestor is shut.
 *  4. Under its lock, @keep is set, if @epoch is the same.
 *
 * A drain of an ancestor shuts that ancestor, under its lock. Then it visits
 * every counter that is linked below; a visit increments @epoch and sets @keep
 * to 0.
 *
 *  - A visit after step 4 finds the bank open and closes it.
 *  - A visit between 1 and 4 changes @epoch.
 *  - After a visit before step 1, step 3 sees the ancestor shut.
 *  - Without a visit, the drain has looked at the list concerned before step 2
 *    changed it under the same lock. Step 3 sees the ancestor shut, too.
 *
 * So when the drain is through nothing is kept below until the ancestor is not
 * shut any more.
 *
 * The list @active of a counter has all children that keep something, and may
 * have others: a CPU that leaves something in a counter that is not linked
 * links it, and all above it. Only a drain takes a counter out of the list, and
 * in this order:
 *
 *  1. Under the counter's lock it finds that nothing is kept there.
 *  2. Under the parent's lock it clears @linked.
 *  3. Under the counter's lock it looks once more and increments @epoch again.
 *     A CPU that saw @linked still set may have left something there: then the
 *     drain links the counter again.
 *  4. When the walk goes on, the counter leaves the list if @linked is still
 *     clear.
 *
 * So another drain finds the counter as long as it may have to.
 */

#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/math64.h>

#include "internal.h"

/* Levels that units go up at a time while interrupts are off. */
#define RES_LEVELS_ATOMIC	8

/* The root */

u64 res_capacity(struct res_root *root, enum bc_severity severity)
{
	if (!root->ops->capacity)
		return RES_COUNTER_MAX;
	return root->ops->capacity(root, severity < BC_LIMIT ? BC_BARRIER : BC_LIMIT);
}

/* From which usage on little is left of @bound; lower on the way back. */
static u64 res_near(u64 bound, u8 state)
{
	return bound - bound / (state == RES_LOOSE ? 8 : 4);
}

/*
 * Notes in @state whether little is left in the machine. Another CPU may change
 * @usage and write @state meanwhile: the last CPU to write looks once more.
 */
static void res_root_update_state(struct res_root *root)
{
	const u64 capacity = res_capacity(root, BC_BARRIER);
	u64 usage = atomic64_read(&root->usage), before;
	u8 state;

	do {
		before = usage;
		state = RES_TIGHT;
		if (usage > capacity)
			state = RES_SHUT;
		else if (usage < res_near(capacity, READ_ONCE(root->state)))
			state = RES_LOOSE;
		if (READ_ONCE(root->state) == state)
			break;
		WRITE_ONCE(root->state, state);
		/* Pairs with the atomic operation of the other CPU. */
		smp_mb();
		usage = atomic64_read(&root->usage);
	} while (usage != before);
}

u8 res_root_state(struct res_root *root)
{
	return atomic_read(&root->closed) ? RES_SHUT : READ_ONCE(root->state);
}

/*
 * Takes @n units out of the root, and up to @extra more if there are plenty.
 * Returns how many were taken; 0: there is no such room. @refusal describes a
 * lack of room, for a BC_FORCE charge too, which takes its units all the same.
 * @above is set if the machine has given away more than ordinary charges may
 * take.
 */
u64 res_root_take(struct res_root *root, u64 n, u64 extra,
		  enum bc_severity severity, struct res_refusal *refusal,
		  bool *above)
{
	const u64 common = res_capacity(root, BC_BARRIER);
	const u64 capacity = res_capacity(root, severity);
	s64 usage = atomic64_read(&root->usage);
	u64 more = 0;
	bool fits;

	do {
		fits = res_fits(usage, n, capacity);
		if (!fits && severity != BC_FORCE)
			break;
		more = 0;
		if (extra && res_root_state(root) == RES_LOOSE)
			more = min(extra, res_beyond(common, usage + n) / 4);
	} while (!atomic64_try_cmpxchg(&root->usage, &usage, usage + n + more));

	if (!fits && !refusal->n) {
		refusal->machine = true;
		refusal->n = n;
		refusal->usage = usage;
		refusal->bound = capacity;
		refusal->at = BC_LIMIT;
		if (severity < BC_LIMIT &&
		    res_fits(usage, n, res_capacity(root, BC_LIMIT)))
			refusal->at = BC_BARRIER;
	}
	if (!fits && severity != BC_FORCE)
		return 0;
	if (usage + n > common)
		*above = true;
	res_root_update_state(root);
	return n + more;
}

/* Gives @n units back to the root. */
void res_root_return(struct res_root *root, u64 n)
{
	s64 usage = atomic64_read(&root->usage);
	u64 there;

	do {
		there = min_t(u64, usage, n);
	} while (!atomic64_try_cmpxchg(&root->usage, &usage, usage - there));
	res_warn_missing(n - there);
	if (READ_ONCE(root->awaited) && xchg(&root->awaited, false)) {
		atomic_dec(&root->closed);
		root->ops->room(root, NULL);
	}
	res_root_update_state(root);
}

/* A counter, under its lock */

/*
 * Notes how much is left for the counters below, see &enum res_state, and that
 * usage is lower than ever.
 */
void res_counter_update_state(struct res_counter *counter)
{
	const u64 bound = res_bound(counter, BC_BARRIER);
	const u64 near = res_near(bound, counter->state);
	u8 state;

	lockdep_assert_held(&counter->lock);

	if (counter->closed) {
		state = RES_SHUT;
		counter->lower = 0;
		counter->upper = U64_MAX;
	} else if (counter->used > bound) {
		state = RES_SHUT;
		counter->lower = bound + 1;
		counter->upper = U64_MAX;
	} else if (counter->used >= near) {
		state = RES_TIGHT;
		counter->lower = res_near(bound, RES_TIGHT);
		counter->upper = bound + 1;
	} else {
		state = RES_LOOSE;
		counter->lower = 0;
		counter->upper = res_near(bound, RES_LOOSE);
	}
	if (counter->state != state)
		WRITE_ONCE(counter->state, state);
	/* A charge and an uncharge compare with one word for both. */
	if (counter->stats) {
		counter->stats->min_usage = min(counter->stats->min_usage,
						counter->used);
		counter->lower = max(counter->lower, counter->stats->min_usage);
	}
}

/* Whether there is anything that the parent's totals do not have yet. */
static bool res_counter_unsent(const struct res_counter *counter)
{
	u64 any = counter->unsent.charged | counter->unsent.uncharged;
	unsigned int i;

	if (!counter->stats)
		return false;
	for (i = 0; i < counter->root->kinds; i++)
		any |= counter->stats->unsent_kinds[i];
	return any;
}

/* Takes what the parent's totals do not have; returns whether there is any. */
bool res_counter_take_stat(struct res_counter *counter, struct res_stat *stat)
{
	struct res_stats *stats = counter->stats;
	unsigned int i;

	if (!res_counter_unsent(counter))
		return false;
	stat->charged = counter->unsent.charged;
	stat->uncharged = counter->unsent.uncharged;
	stats->sent.charged += stat->charged;
	stats->sent.uncharged += stat->uncharged;
	counter->unsent.charged = 0;
	counter->unsent.uncharged = 0;
	for (i = 0; i < counter->root->kinds; i++) {
		stat->kinds[i] = stats->unsent_kinds[i];
		stats->unsent_kinds[i] = 0;
	}
	return true;
}

void res_counter_add_stat(struct res_counter *counter, const struct res_stat *stat)
{
	unsigned int i;

	counter->unsent.charged += stat->charged;
	counter->unsent.uncharged += stat->uncharged;
	for (i = 0; i < counter->root->kinds; i++) {
		counter->stats->kinds[i] += stat->kinds[i];
		counter->stats->unsent_kinds[i] += stat->kinds[i];
	}
}

/* Whether a drain would find anything in @counter, or below. */
bool res_counter_keeps(const struct res_counter *counter)
{
	return counter->keep || !hlist_empty(&counter->slots) ||
	       !hlist_empty(&counter->active) || res_credit(counter) ||
	       res_counter_unsent(counter);
}

/* Whether @counter has to be linked before its lock is taken the next time. */
bool res_counter_unlinked(const struct res_counter *counter)
{
	return unlikely(!READ_ONCE(counter->linked)) && !counter->removed &&
	       res_counter_keeps(counter);
}

/* Takes the credit that @counter is not to keep. */
void res_counter_take_excess(struct res_counter *counter, struct res_excess *excess)
{
	u64 credit = res_credit(counter);

	excess->n = 0;
	excess->counted = false;
	/* Of a removed counter, res_counter_remove() takes all. */
	if (credit <= counter->keep || counter->removed)
		return;
	/*
	 * Where little is left, no more than has just been returned: other
	 * groups cannot use what is in this CPU's hand.
	 */
	excess->n = credit - (counter->keep > counter->root->batch_tight ?
			      counter->keep / 2 : counter->keep);
	WRITE_ONCE(counter->taken, counter->taken - excess->n);
	excess->counted = res_counter_take_stat(counter, &excess->stat);
}

/*
 * Units have come back. Returns the counter to call room() for, if a task has
 * asked by res_counter_await_room(), which this ends; or NULL.
 */
struct res_counter *res_counter_roomy(struct res_counter *counter)
{
	if (likely(!counter->awaited))
		return NULL;
	counter->awaited = false;
	WRITE_ONCE(counter->closed, counter->closed - 1);
	res_counter_update_state(counter);
	return counter;
}

/* Without a lock */

static void res_link_one(struct res_counter *counter)
{
	struct res_counter *parent = counter->parent;
	struct res_root *root = counter->root;
	raw_spinlock_t *lock = parent ? &parent->lock : &root->lock;
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	/* No walk is to find a removed counter. */
	if (!counter->linked && !READ_ONCE(counter->removed)) {
		/* Pairs with the acquire in res_counter_link(). */
		smp_store_release(&counter->linked, true);
		/* While a walk stands at it, it is still in the list. */
		if (hlist_unhashed(&counter->node))
			hlist_add_head(&counter->node,
				       parent ? &parent->active : &root->active);
	}
	raw_spin_unlock_irqrestore(lock, flags);
}

/*
 * Links @counter and all above it, so that drains find it. All levels are
 * looked at: a CPU that has linked one level may not have come to the next one
 * yet. With interrupts off a deep counter is left to drain_later(); returns
 * false then.
 */
bool res_counter_link(struct res_counter *counter)
{
	const struct res_counter_ops *ops = counter->root->ops;

	if (counter->depth > RES_LEVELS_ATOMIC && irqs_disabled() &&
	    ops->drain_later) {
		ops->drain_later(counter->root, counter);
		return false;
	}
	for (; counter; counter = counter->parent) {
		/* Acquire: step 3 does not read the path before this. */
		if (!smp_load_acquire(&counter->linked))
			res_link_one(counter);
	}
	return true;
}

/* From now on, the counters below get no more than they need. */
void res_counter_close(struct res_counter *counter)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&counter->lock, flags);
	WRITE_ONCE(counter->closed, counter->closed + 1);
	res_counter_update_state(counter);
	raw_spin_unlock_irqrestore(&counter->lock, flags);
}

void res_counter_reopen(struct res_counter *counter)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&counter->lock, flags);
	WRITE_ONCE(counter->closed, counter->closed - 1);
	res_counter_update_state(counter);
	raw_spin_unlock_irqrestore(&counter->lock, flags);
}

/*
 * Gives units back to @counter (%NULL: the root) that it had given away to a
 * counter below. If @counter has too much credit then, that goes to its parent,
 * and so on.
 *
 * What a counter that was removed meanwhile has given away is inherited by its
 * parent. After @levels levels the excess stays where it is, so that a caller
 * with interrupts off is not kept for long: a drain takes it up.
 */
void __res_return(struct res_root *root, struct res_counter *counter,
		  struct res_excess *excess, unsigned int levels)
{
	const bool later = root->ops->drain_later && irqs_disabled();
	struct res_counter *roomy, *late = NULL;
	bool inherited = false;
	u64 n, missing, *from;
	unsigned long flags;
	bool link;

	while (counter && (excess->n || excess->counted)) {
		roomy = NULL;
		raw_spin_lock_irqsave(&counter->lock, flags);
		if (counter->gone) {
			inherited = true;
			raw_spin_unlock_irqrestore(&counter->lock, flags);
			counter = counter->parent;
			continue;
		}
		from = inherited ? &counter->inherited : &counter->given;
		missing = res_beyond(excess->n, *from);
		n = excess->n - missing;
		*from -= n;
		inherited = false;
		res_counter_lower(counter, n);
		if (excess->counted)
			res_counter_add_stat(counter, &excess->stat);
		if (n)
			roomy = res_counter_roomy(counter);
		if (levels) {
			levels--;
			res_counter_take_excess(counter, excess);
		} else {
			excess->n = 0;
			excess->counted = false;
			late = later ? counter : NULL;
		}
		link = res_counter_unlinked(counter);
		raw_spin_unlock_irqrestore(&counter->lock, flags);

		res_warn_missing(missing);
		if (link)
			res_counter_link(counter);
		if (roomy)
			root->ops->room(root, roomy);
		counter = counter->parent;
	}
	if (excess->n)
		res_root_return(root, excess->n);
	if (late)
		root->ops->drain_later(root, late);
}

void res_return(struct res_root *root, struct res_counter *counter,
		struct res_excess *excess)
{
	__res_return(root, counter, excess,
		     irqs_disabled() ? RES_LEVELS_ATOMIC : UINT_MAX);
}

void res_return_units(struct res_root *root, struct res_counter *counter, u64 n)
{
	struct res_excess excess = { .n = n };

	res_return(root, counter, &excess);
}

/* How much more than it needs a bank takes at a time. */
u64 res_bank_batch(const struct res_counter *counter)
{
	const struct res_root *root = counter->root;

	return clamp_t(u64, READ_ONCE(counter->used) / 2, root->batch_min * 2,
		       root->batch_max * 2);
}

/*
 * Looks what the path above @counter allows to be kept in its bank and in
 * stock: steps 1 to 3 above. Ancestors do not restrict what a reservation
 * covers.
 */
void res_path_room(struct res_counter *counter, struct res_room *room)
{
	struct res_counter *other = NULL, *c;
	struct res_root *root = counter->root;
	const u8 *narrow;
	u64 left, used, bound;
	u8 state, worst;
	unsigned int i;

	/* Step 1: before the others. */
	room->epoch = smp_load_acquire(&counter->epoch);
	if (!res_counter_link(counter))
		return;
again:
	narrow = &root->state;
	worst = res_root_state(root);
	left = res_beyond(res_capacity(root, BC_BARRIER),
			  atomic64_read(&root->usage)) / 4;
	for (i = 0; ; i++) {
		c = counter->path[i];
		used = READ_ONCE(c->used);
		bound = READ_ONCE(c->reserved);
		if (unlikely(bound)) {
			if (used < bound) {
				narrow = NULL;
				worst = RES_LOOSE;
				/* Half of it for the stock of all CPUs. */
				left = min((bound - used) / 4,
					   div_u64(bound, 4 * num_online_cpus()));
			} else if (used < 2 * bound) {
				/* Stock is not to use up the reservation. */
				left = 0;
			}
		}
		left = min(left, res_beyond(res_bound(c, BC_BARRIER), used) / 4);
		if (i == counter->depth)
			break;
		if (worst != RES_SHUT && !READ_ONCE(c->keep)) {
			other = c;
			room->other_state = worst;
		}
		state = READ_ONCE(c->state);
		if (state > worst) {
			narrow = &c->state;
			worst = state;
		}
	}
	if (unlikely(other && !room->other)) {
		room->other = other;
		/* The same steps for the ancestor. */
		room->other_epoch = smp_load_acquire(&other->epoch);
		res_counter_link(other);
		other = NULL;
		goto again;
	}
	if (other != room->other)
		room->other = NULL;

	WRITE_ONCE(counter->narrow, narrow);
	room->state = worst;
	room->batch = 0;
	if (worst == RES_LOOSE && READ_ONCE(counter->state) == RES_LOOSE)
		room->batch = min(left, clamp_t(u64, used / 4, root->batch_min,
						root->batch_max));
}
