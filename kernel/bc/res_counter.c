// SPDX-License-Identifier: GPL-2.0
/*
 * res_counter: the charge engine of the beancounters
 *
 * Counters form trees; all trees of a resource meet in its res_root. What a
 * counter takes from its parent is the greater of what it uses and what it has
 * reserved. One rule makes three kinds of hierarchy:
 *
 *  - With nothing reserved a charge counts in every counter up to the root, and
 *    is refused where one of them has no room.
 *  - With all that the limit allows reserved, a counter lives on what it has
 *    borrowed, and no charge gets past it.
 *  - With some of it reserved, that much is guaranteed, and the rest is shared.
 *
 * Each CPU may keep a few units of one group at hand, its stock. The usual charge
 * takes units from there, and the usual uncharge puts them there, by one
 * instruction each; see "Stocks" below. A unit in stock is charged like any other,
 * but no object holds it: what a counter calls usage is what objects hold,
 * descendants' included, and what is in stock for them.
 *
 * For everything else there is one lock: every counter of a tree is guarded by the
 * lock of the tree's uppermost counter. The root alone is shared by trees, and is
 * one atomic word. Under its lock a charge looks at the whole path first, and
 * changes it only when every counter has room; the root, where other trees race
 * with us, is asked last and changed by the same compare-and-exchange that finds
 * the room. That step decides. Before it nothing has changed, after it nothing
 * can fail.
 *
 * From this follow the invariants, at every instant that anybody can see. The
 * counters below the root are seen under the lock only.
 *
 *  1. A counter's usage is what it holds itself (objects' and stocks'), what it has
 *     inherited, and what its children take: charges, uncharges, borrowing and
 *     repaying change the whole path in one critical section, and removal moves
 *     units within the parent's usage. The root's usage is never below what its
 *     children take: it is raised before theirs and lowered after.
 *  2. No charge but a forced one is admitted that takes usage above the barrier
 *     (or limit): bounds and usage are read and changed under the same lock, or
 *     in the same atomic step. A charge from stock changes no usage; and before one
 *     that may block goes above a group's barrier, stocks below are taken back.
 *  3. A refused charge leaves no trace but failcnt and what the callbacks do:
 *     nothing is changed before everything is known to fit.
 *  4. A charge that may block is not refused if, with nothing else in flight, it
 *     would fit: before it is, stocks that could make room are recalled.
 *  5. Every unit is returned once, to the counter that has it now (see "Owners"
 *     below). A counter that is asked for more than was taken reports it once,
 *     when the units leave the stock at the latest, and stops at 0.
 *  6. Borrowing and repaying move units between a counter and its parent in one
 *     critical section. Units in use cannot be repaid. What descendants have
 *     reserved is within every limit above (pledged <= limit): lending looks at
 *     the bounds of all who would have to give, and a limit does not go below
 *     what is pledged.
 *
 * Their numbers are those of Documentation/bc/res_counter.rst.
 *
 * Owners
 *
 * A charged object lives as long as it likes; its group does not have to wait
 * for it. What the object points to is not the counter but the counter's owner,
 * a few words allocated apart. When the group goes, what it held is inherited
 * by its parent, and the owner forwards there. Each unit then keeps a reference
 * to the owner, so that the last one to be returned frees it; while the counter
 * is there no references are counted.
 *
 * Owners of a removed chain of groups forward to each other. An uncharge that
 * had to follow more than one step makes its owner forward to where it arrived,
 * so that the next one from there has one step to go. Removing a group costs the
 * same whether one owner forwards to it or a million do.
 *
 * Stocks
 *
 * A CPU has one stock of each resource, and it belongs to one owner at a time: that
 * of the group which charged last. So stocks cost a group no memory, there are as
 * many as CPUs whatever the number of groups, and one CPU alone makes no
 * difference that could be seen.
 *
 * The units are one word. Open, it says how many there are. Closed, it is far below
 * zero, so that a charge finds too little and an uncharge too much by the same
 * comparisons that they make anyway. Only its own CPU changes it, and always by
 * one instruction that adds, which is all that protects it from interrupts. Hence:
 *
 *  - An interrupt may do anything between two instructions of the fast path but make
 *    the stock somebody else's: that is for tasks, and the fast path keeps others
 *    from running. What the fast path has compared stays true until its end.
 *  - Units that are put into a stock that was just closed are in the word all the
 *    same. Whoever put them there looks at the word after that, before another task
 *    can run, and returns what is there by the slow path: res_stock_settle().
 *  - A charge that found too little has made the word too low until it undoes that. An
 *    interrupt that takes the stock back just then takes nothing, and what the undo
 *    leaves in the closed word is again settled by whoever did it.
 *  - Nobody but the CPU itself can take units back. Others mark the stock (recall)
 *    and send an interrupt. Only who may block can wait for that.
 *
 * Every slow path takes its own CPU's stock back first, if it is in the tree, and
 * may leave some in the end. In between this CPU has none, so that usage, and the
 * extremes that are noted of it, are exact as far as this CPU is concerned; what
 * others may have is known by its bound (stocked).
 *
 * A recall closes the path that it is made for: as long as counter.closed is not 0,
 * nothing is put in stock below. Thus, after all CPUs have given back what they had,
 * the comparison that follows under the lock is exact.
 */

#include <linux/bug.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include <bc/res_counter.h>

/* How often limit_hit() may ask for another try before we stop believing it. */
#define RES_COUNTER_RETRIES	16

/*
 * Units that each CPU may keep, however little usage is, where there is room; if
 * whoever has the root does not know better.
 */
#define RES_STOCK_MIN		4

/**
 * struct res_owner - what a charged object points to
 * @counter: where its units are; NULL once that counter was removed. Changes
 *	once, under the tree's lock.
 * @forward: after that, who has inherited them; NULL: the root
 * @root: the machine's account
 * @refs: one for @counter while that is there, one for each owner that forwards
 *	here, and one for each unit once @counter is gone
 * @rcu: owners are walked under RCU
 */
struct res_owner {
	struct res_counter	*counter;
	struct res_owner	*forward;
	struct res_root		*root;
	atomic64_t		refs;
	struct rcu_head		rcu;
};

static void __res_owner_put(struct res_owner *owner, u64 refs)
{
	while (owner) {
		struct res_owner *forward;
		struct res_root *root = owner->root;
		s64 left = atomic64_sub_return(refs, &owner->refs);

		WARN_ONCE(left < 0, "res_counter: owner put once too often\n");
		if (left)
			return;
		forward = owner->forward;
		kfree_rcu(owner, rcu);
		if (root->ops->owner_freed)
			root->ops->owner_freed(root);
		owner = forward;
		refs = 1;
	}
}

/*
 * The nearest owner from @owner on whose counter is there, or NULL: the root.
 * What it finds can be removed at any time: the caller, in an RCU read section,
 * must look again under the lock.
 */
static struct res_owner *res_owner_live(struct res_owner *owner)
{
	/* With the release in res_counter_remove(): no counter, but where to go. */
	while (owner && !smp_load_acquire(&owner->counter))
		owner = READ_ONCE(owner->forward);
	return owner;
}

/*
 * Makes @owner, whose counter is gone, forward to the nearest owner that has
 * one. The caller has a reference to @owner and is in an RCU read section.
 *
 * Should the new target go away just now, then it is one that forwards, which
 * is as good as the old one; unless it is being freed, which the reference that
 * we need tells us.
 */
static void res_owner_shorten(struct res_owner *owner)
{
	struct res_owner *old = READ_ONCE(owner->forward);
	struct res_owner *new = res_owner_live(old);

	if (new == old || (new && !atomic64_inc_not_zero(&new->refs)))
		return;
	if (cmpxchg(&owner->forward, old, new) == old)
		__res_owner_put(old, 1);
	else
		__res_owner_put(new, 1);
}

static bool res_fits(u64 usage, u64 n, u64 bound)
{
	return n <= bound && usage <= bound - n;
}

static u64 res_capacity(struct res_root *root, enum bc_severity severity)
{
	if (!root->ops->capacity)
		return RES_COUNTER_MAX;
	return root->ops->capacity(root, min(severity, BC_LIMIT));
}

/*
 * Charges the root, if it has room or has to do without. Where it has none that
 * is described in @refusal.
 */
static bool res_root_charge(struct res_root *root, u64 n,
			    enum bc_severity severity,
			    struct res_refusal *refusal)
{
	u64 capacity = res_capacity(root, severity);
	s64 usage = atomic64_read(&root->usage);
	bool fits;

	do {
		fits = res_fits(usage, n, capacity);
		if (!fits && severity != BC_FORCE)
			break;
	} while (!atomic64_try_cmpxchg(&root->usage, &usage, usage + n));

	if (!fits) {
		refusal->machine = true;
		refusal->usage = usage;
		refusal->bound = capacity;
		refusal->at = BC_LIMIT;
		if (severity == BC_BARRIER &&
		    res_fits(usage, n, res_capacity(root, BC_LIMIT)))
			refusal->at = BC_BARRIER;
	}
	return fits;
}

/* Charges the root as many of @n units as it has room for, and returns how many. */
static u64 res_root_charge_upto(struct res_root *root, u64 n,
				enum bc_severity severity)
{
	u64 capacity = res_capacity(root, severity);
	s64 usage = atomic64_read(&root->usage);
	u64 room;

	do {
		room = min(n, capacity - min_t(u64, capacity, usage));
	} while (!atomic64_try_cmpxchg(&root->usage, &usage, usage + room));
	return room;
}

/* Returns the units that were not there. */
static u64 res_root_uncharge(struct res_root *root, u64 n)
{
	s64 usage = atomic64_read(&root->usage);
	u64 there;

	do {
		there = min_t(u64, usage, n);
	} while (!atomic64_try_cmpxchg(&root->usage, &usage, usage - there));
	return n - there;
}

/* What @counter takes out of its parent for @usage units, used or pledged. */
static u64 res_taken(const struct res_counter *counter, u64 usage)
{
	return max(usage, counter->reserved);
}

/* Describes in @refusal why @counter has no room for @n units, if so. */
static void res_counter_check(struct res_counter *counter, u64 n,
			      enum bc_severity severity,
			      struct res_refusal *refusal)
{
	if (!res_fits(counter->usage, n, counter->limit)) {
		refusal->at = BC_LIMIT;
		refusal->bound = counter->limit;
	} else if (severity == BC_BARRIER &&
		   !res_fits(counter->usage, n, counter->barrier)) {
		refusal->at = BC_BARRIER;
		refusal->bound = counter->barrier;
	} else {
		return;
	}
	refusal->counter = counter;
	refusal->n = n;
	refusal->usage = counter->usage;
}

/*
 * One child's share of what @counter has pledged changes from @old to @new; and
 * so, perhaps, does the share of @counter in what its parent has.
 */
static void res_pledge(struct res_counter *counter, u64 old, u64 new)
{
	struct res_counter *c;

	for (c = counter; c && old != new; c = c->parent) {
		u64 pledged = c->pledged - old + new;

		old = res_taken(c, c->pledged);
		new = res_taken(c, pledged);
		c->pledged = pledged;
	}
}

/*
 * Looks for room for @n units in @counter and upwards, below @end, and describes in
 * @refusal the nearest counter that has none. Returns how many units get past all
 * reservations, to @end (%NULL: the root).
 */
static u64 res_path_check(struct res_counter *counter, struct res_counter *end,
			  u64 n, enum bc_severity severity,
			  struct res_refusal *refusal)
{
	struct res_counter *c;

	for (c = counter; c != end && n; c = c->parent) {
		if (!refusal->counter)
			res_counter_check(c, n, severity, refusal);
		n = res_taken(c, c->usage + n) - res_taken(c, c->usage);
	}
	return n;
}

/* Notes that so much as @low units may have been all that @counter had. */
static void res_note_low(struct res_counter *counter, u64 low)
{
	/* What other CPUs may have in stock is held by nobody. */
	low -= min(low, counter->stocked);
	counter->min_usage = min(counter->min_usage, low);
}

/* Adds @n units to @counter, and upwards, below @end, what no reservation covers. */
static void res_path_add(struct res_counter *counter, struct res_counter *end,
			 u64 n, enum bc_severity severity, bool *crossed)
{
	struct res_counter *c;

	for (c = counter; c != end && n; c = c->parent) {
		u64 barrier = min(c->barrier, c->limit);
		u64 usage = c->usage + n;

		if (severity == BC_LIMIT && c->usage <= barrier &&
		    usage > barrier) {
			WRITE_ONCE(c->crossed, true);
			*crossed = true;
		}
		res_note_low(c, c->usage);
		n = res_taken(c, usage) - res_taken(c, c->usage);
		c->usage = usage;
		c->max_usage = max(c->max_usage, usage);
		c->recent_max = max(c->recent_max, usage);
	}
}

/*
 * Takes @n units out of @counter, and upwards, below @end, what was not reserved. Of
 * these @uncharged have just been returned; or more, where some were taken again since,
 * which counts upwards as long as nothing is left of what is reserved. Returns how many
 * units get to @end.
 */
static u64 res_path_take(struct res_counter *counter, struct res_counter *end,
			 u64 n, u64 uncharged)
{
	struct res_counter *c;

	for (c = counter; c != end && (n || uncharged); c = c->parent) {
		u64 usage = c->usage - n;
		u64 covered = n - (res_taken(c, c->usage) - res_taken(c, usage));

		c->uncharged += uncharged;
		if (c->usage > c->reserved)
			uncharged -= min(uncharged, covered);
		else
			uncharged = 0;
		n -= covered;
		c->usage = usage;
		res_note_low(c, usage);
	}
	return n;
}

/* The same, up to the root. Returns the units that the root did not have. */
static u64 res_path_sub(struct res_root *root, struct res_counter *counter,
			u64 n, u64 uncharged)
{
	n = res_path_take(counter, NULL, n, uncharged);
	return n ? res_root_uncharge(root, n) : 0;
}

/* Stocks */

static bool res_stock_closed(long units)
{
	return units < RES_STOCK_CLOSED / 2;
}

/* What can be had from an open stock, as far as can be seen. */
static u64 res_stock_units(const struct res_stock *stock)
{
	long units = local_read(&stock->units);

	return max(units, 0L);
}

/*
 * Takes what is to be noted out of @stock, our own CPU's; interrupts are off. Returns
 * whether there is anything.
 */
static bool res_stock_take_kinds(struct res_stock *stock, long *kinds)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < stock->root->kinds; i++) {
		kinds[i] = local_read(&stock->kinds[i]);
		local_sub(kinds[i], &stock->kinds[i]);
		any |= kinds[i];
	}
	return any;
}

static void res_path_note(struct res_counter *counter, const long *kinds)
{
	struct res_counter *c;
	unsigned int i;

	for (c = counter; c; c = c->parent)
		for (i = 0; i < c->root->kinds; i++)
			c->kinds[i] += kinds[i];
}

/*
 * Closes the open @stock, our own CPU's, and returns what was in it to its counter.
 * Returns how much that was.
 */
static u64 res_stock_take_back(struct res_stock *stock)
{
	struct res_counter *counter = stock->counter, *c;
	const u64 n = res_stock_units(stock);
	const unsigned long uncharged = local_read(&stock->returned);
	u64 high = max_t(u64, stock->high, n);
	const u64 there = min(n, counter->held);
	long kinds[RES_KINDS];
	u64 missing;

	lockdep_assert_held(&counter->top->lock);
	lockdep_assert_irqs_disabled();

	local_add(RES_STOCK_CLOSED - (long)n, &stock->units);
	local_sub(uncharged, &stock->returned);
	WRITE_ONCE(stock->high, 0);
	WRITE_ONCE(stock->counter, NULL);
	WRITE_ONCE(stock->recall, false);
	list_del(&stock->node);
	if (res_stock_take_kinds(stock, kinds))
		res_path_note(counter, kinds);

	for (c = counter; c; c = c->parent) {
		u64 low = c->usage - min(c->usage, high);

		c->stocked -= stock->cap;
		res_note_low(c, low);
		high = res_taken(c, c->usage) - res_taken(c, low);
	}
	counter->held -= there;
	missing = n - there + res_path_sub(counter->root, counter, there,
					   uncharged);
	/* Under the lock: better in a bad place than never. */
	WARN_ONCE(missing, "res_counter: %llu units returned, never taken\n",
		  missing);
	return there;
}

/*
 * A tree that is locked, and what this CPU had in stock there, which is taken back
 * before anything else is done: usage is what objects hold then, as far as this
 * CPU is concerned.
 */
struct res_hand {
	struct res_stock	*stock;
	struct res_counter	*counter;	/* whose it was, if anybody's */
	u64			units;
	unsigned long		flags;
};

/*
 * @move: this CPU's stock is going to be this tree's, and is taken out of another
 * one before. @nest: so many trees are locked already, in order of their address.
 */
static void res_tree_lock(struct res_counter *top, struct res_hand *hand,
			  bool move, unsigned int nest)
{
	struct res_counter *c;
	unsigned long flags;

	/* On its own CPU an open stock stays open, and its counter there. */
	local_irq_save(flags);
	*hand = (struct res_hand) {
		.stock = this_cpu_ptr(top->root->stock),
		.flags = flags,
	};
	c = hand->stock->counter;
	if (c && c->top != top && move && !nest && in_task()) {
		raw_spin_lock(&c->top->lock);
		res_stock_take_back(hand->stock);
		raw_spin_unlock(&c->top->lock);
	}

	raw_spin_lock_nested(&top->lock, nest);
	c = hand->stock->counter;
	if (c && c->top == top) {
		hand->counter = c;
		hand->units = res_stock_take_back(hand->stock);
	}
}

static void res_tree_unlock(struct res_counter *top, struct res_hand *hand)
{
	raw_spin_unlock(&top->lock);
	local_irq_restore(hand->flags);
}

/*
 * Whether a charge of @live would have more room at @counter, on its path, without
 * what is in @stock. It has if the units count where the paths meet, not above
 * @counter: be it that all counters from there on use less, or that the charge finds
 * more of a reservation unused.
 */
static bool res_stock_matters(const struct res_stock *stock,
			      const struct res_counter *live,
			      const struct res_counter *counter)
{
	const struct res_counter *c;
	u64 n = stock->cap;

	for (c = stock->counter; c && n && c->depth >= counter->depth;
	     c = c->parent) {
		while (live->depth > c->depth)
			live = live->parent;
		if (live == c)
			return true;
		n = res_taken(c, c->usage) -
		    res_taken(c, c->usage - min(c->usage, n));
	}
	return false;
}

/*
 * Wants @stock, which is open, back: for res_recall() or, with @async, soon. Its CPU
 * is online: see res_root_cpu_offline().
 */
static void res_stock_mark(struct res_stock *stock, bool async)
{
	WRITE_ONCE(stock->recall, true);
	if (async)
		irq_work_queue_on(&stock->work, stock->cpu);
}

/*
 * Marks the stocks that would make room at @counter for a charge of @live. Returns
 * whether there are any. Our own CPU has none.
 */
static bool res_recall_mark(struct res_counter *live,
			    struct res_counter *counter, bool async)
{
	struct res_stock *stock;
	bool any = false;

	if (!counter->stocked)
		return false;
	list_for_each_entry(stock, &counter->top->stocks, node) {
		if (!res_stock_matters(stock, live, counter))
			continue;
		any = true;
		res_stock_mark(stock, async);
	}
	return any;
}

/* Whether the open @stock is that of @counter or of one below it. */
static bool res_stock_below(const struct res_stock *stock,
			    const struct res_counter *counter)
{
	const struct res_counter *c = stock->counter;

	while (c && c != counter)
		c = c->parent;
	return c;
}

/* Marks all stocks below @counter, whether they make room there or not. */
static bool res_recall_mark_below(struct res_counter *counter)
{
	struct res_stock *stock;
	bool any = false;

	list_for_each_entry(stock, &counter->top->stocks, node) {
		if (!res_stock_below(stock, counter))
			continue;
		any = true;
		res_stock_mark(stock, false);
	}
	return any;
}

/* Has @excess units of what others have in stock at @counter given back soon. */
static void res_recall_excess(struct res_counter *counter, u64 excess)
{
	struct res_stock *stock;
	u64 marked = 0;

	/* Those that were opened first come first. */
	list_for_each_entry(stock, &counter->top->stocks, node) {
		if (marked >= excess)
			break;
		if (!res_stock_matters(stock, counter, counter))
			continue;
		marked += stock->cap;
		if (!stock->recall)
			res_stock_mark(stock, true);
	}
}

/*
 * Marks the stocks, whatever tree they are in, that would make room in the machine
 * for a charge of @live. Returns whether there are any. No tree is locked; one that
 * is opened just now may be missed, and its CPU is doing something else then.
 */
static bool res_recall_mark_all(struct res_counter *live, bool async)
{
	struct res_root *root = live->root;
	bool any = false;
	int cpu;

	/* RCU: a counter is freed a grace period after its removal. */
	rcu_read_lock();
	for_each_online_cpu(cpu) {
		struct res_stock *stock = per_cpu_ptr(root->stock, cpu);
		struct res_counter *c = READ_ONCE(stock->counter), *top;
		unsigned long flags;
		u64 n;

		if (!c)
			continue;
		top = c->top;
		raw_spin_lock_irqsave(&top->lock, flags);
		/* It may have become another tree's, which is as good as missed. */
		c = READ_ONCE(stock->counter);
		if (c && c->top == top) {
			for (n = stock->cap; c && n; c = c->parent)
				n = res_taken(c, c->usage) -
				    res_taken(c, c->usage - min(c->usage, n));
			if (n || (top == live->top &&
				  res_stock_matters(stock, live, top))) {
				any = true;
				res_stock_mark(stock, async);
			}
		}
		raw_spin_unlock_irqrestore(&top->lock, flags);
	}
	rcu_read_unlock();
	return any;
}

/* What all may keep of @usage beyond that: a 32nd of what is left without it. */
static u64 res_stock_part(u64 usage)
{
	return (usage - usage / 32) / 32;
}

/*
 * How much this CPU may keep for @counter. No counter has more in stock than half of
 * what is left to its nearest bound; if others have more than that by now, or more
 * than what has become of usage allows, they are to give it back.
 */
static u64 res_stock_cap(struct res_counter *counter)
{
	const unsigned int cpus = num_online_cpus();
	struct res_root *root = counter->root;
	u64 cap = max_t(u64, root->stock_min,
			div_u64(res_stock_part(counter->usage), cpus));
	u64 usage, capacity;
	struct res_counter *c;

	cap = min_t(u64, cap, RES_STOCK_MAX);

	for (c = counter; c; c = c->parent) {
		const u64 bound = min(c->barrier, c->limit);
		u64 room = (bound - min(bound, c->usage)) / 2;
		u64 part = max_t(u64, (u64)root->stock_min * cpus,
				 res_stock_part(c->usage));

		if (c->stocked > min(room, part))
			res_recall_excess(c, c->stocked - min(room, part));
		if (c->closed || c->usage > bound - bound / 8 ||
		    c->stocked >= room)
			return 0;
		cap = min(cap, room - c->stocked);
		if (res_fits(c->usage, cap, c->reserved))
			return cap;
	}
	if (atomic_read(&root->closed))
		return 0;
	usage = atomic64_read(&root->usage);
	capacity = res_capacity(root, BC_BARRIER);
	if (usage > capacity - capacity / 8)
		return 0;
	return min(cap, div_u64(capacity - usage, 2 * cpus));
}

/*
 * Opens this CPU's stock for @counter, if there is room for one, with @keep units
 * of those that were just returned; or with more, if it is going to @charge and is
 * not alone, or does not mind: what CPUs have in stock keeps them from meeting at the
 * lock.
 */
static void res_restock(struct res_hand *hand, struct res_counter *counter,
			u64 keep, bool charge)
{
	struct res_stock *stock = hand->stock;
	struct res_refusal refusal = { };
	struct res_counter *c;
	bool crossed;
	u64 cap, n;

	/* Open for another tree; or the CPU is about to go offline. */
	if (!counter || counter->removed || stock->counter ||
	    !cpu_active(stock->cpu))
		return;
	/* Not to be made another's by an interrupt, nor with anything in it. */
	if (stock->owner != counter->owner &&
	    (!in_task() || local_read(&stock->units) != RES_STOCK_CLOSED))
		return;
	cap = res_stock_cap(counter);
	if (!cap)
		return;
	if (keep > cap)
		keep = cap / 2;
	if (charge && (stock->root->prefetch || (cap > stock->root->stock_min &&
						 !list_empty(&counter->top->stocks))))
		keep = max(keep, cap / 2);

	n = res_path_check(counter, NULL, keep, BC_BARRIER, &refusal);
	if (refusal.counter ||
	    (n && !res_root_charge(counter->root, n, BC_BARRIER, &refusal)))
		keep = 0;
	counter->held += keep;
	res_path_add(counter, NULL, keep, BC_BARRIER, &crossed);

	for (c = counter; c; c = c->parent)
		c->stocked += cap;
	list_add_tail(&stock->node, &counter->top->stocks);
	stock->owner = counter->owner;
	WRITE_ONCE(stock->counter, counter);
	stock->cap = cap;
	WRITE_ONCE(stock->high, keep);
	local_add((long)keep - RES_STOCK_CLOSED, &stock->units);
}

/* Takes this CPU's stock back. */
static void res_stock_recalled(struct res_root *root)
{
	struct res_counter *counter;
	struct res_stock *stock;
	unsigned long flags;

	local_irq_save(flags);
	stock = this_cpu_ptr(root->stock);
	counter = stock->counter;
	if (counter) {
		raw_spin_lock(&counter->top->lock);
		res_stock_take_back(stock);
		raw_spin_unlock(&counter->top->lock);
	} else {
		/* Whoever has marked it came too late to see it closed. */
		WRITE_ONCE(stock->recall, false);
	}
	local_irq_restore(flags);
}

static void res_recall_work(struct irq_work *work)
{
	res_stock_recalled(container_of(work, struct res_stock, work)->root);
}

static void res_recall_ipi(void *info)
{
	res_stock_recalled(info);
}

static bool res_recall_wanted(int cpu, void *info)
{
	struct res_root *root = info;

	return READ_ONCE(per_cpu_ptr(root->stock, cpu)->recall);
}

/*
 * Waits until all stocks that are marked were taken back. The mark goes under the
 * lock and with the stock, so that one that somebody else waits for is waited for
 * here, too.
 */
static void res_recall(struct res_root *root)
{
	on_each_cpu_cond(res_recall_wanted, res_recall_ipi, root, true);
}

/* From now on, no stock that counts at @counter or above; or less of that. */
static void res_path_close(struct res_counter *counter, int how)
{
	struct res_counter *c;

	for (c = counter; c; c = c->parent)
		c->closed += how;
}

/*
 * Locks the tree of @counter, with nothing in stock at @below and further down, and
 * nothing to be put there as long as it counts at @counter or above. Other CPUs are
 * waited for.
 */
static void res_tree_lock_quiet(struct res_counter *counter,
				struct res_counter *below, struct res_hand *hand)
{
	struct res_counter *top = counter->top;

	might_sleep();
	res_tree_lock(top, hand, false, 0);
	res_path_close(counter, 1);
	if (!res_recall_mark_below(below))
		return;
	/* One that a reservation has covered until now may count meanwhile. */
	do {
		res_tree_unlock(top, hand);
		res_recall(top->root);
		res_tree_lock(top, hand, false, 0);
	} while (res_recall_mark(counter, below, false));
}

static void res_tree_unlock_quiet(struct res_counter *counter,
				  struct res_hand *hand)
{
	res_path_close(counter, -1);
	res_tree_unlock(counter->top, hand);
}

/* The nearest of @counter and its ancestors that was not removed, if any. */
static struct res_counter *res_counter_live(struct res_counter *counter)
{
	while (counter && counter->removed)
		counter = counter->parent;
	return counter;
}

/* Charges */

static void res_claim_close(struct res_claim *claim)
{
	if (claim->closed)
		return;
	claim->closed = claim->live;
	res_path_close(claim->closed, 1);
}

/*
 * @counter, on the path of @claim, has no room for it. Returns whether there were
 * stocks that would make some, and are marked: then it is worth to wait for them and
 * try again. Who cannot wait may be luckier the next time.
 */
static bool res_claim_recall(struct res_claim *claim,
			     struct res_counter *counter)
{
	const bool async = claim->recall == RES_RECALL_ASYNC;

	if (claim->recall == RES_RECALL_NEVER ||
	    !res_recall_mark(claim->live, counter, async) || async)
		return false;
	res_claim_close(claim);
	return true;
}

/*
 * The same where it is the machine that has no room; its stocks are in many trees,
 * and are marked when this one is not locked any more. Once, as those that
 * reservations cover are opened all the same.
 */
static bool res_claim_recall_all(struct res_claim *claim)
{
	if (claim->recall != RES_RECALL_WAIT || claim->root_closed)
		return false;
	res_claim_close(claim);
	claim->root_closed = true;
	atomic_inc(&claim->live->root->closed);
	return true;
}

/* Waits for what was marked, after an attempt that ended in -EAGAIN. */
static void res_claim_wait(struct res_claim *claim)
{
	/* Marked already, but for the machine. */
	if (claim->root_closed)
		res_recall_mark_all(claim->live, false);
	res_recall(claim->live->root);
}

/* Lets stocks be opened again. */
static void res_claim_end(struct res_claim *claim)
{
	struct res_counter *c = claim->closed;
	unsigned long flags;

	if (claim->root_closed)
		atomic_dec(&claim->counter->root->closed);
	claim->root_closed = false;
	claim->closed = NULL;
	if (!c)
		return;
	raw_spin_lock_irqsave(&c->top->lock, flags);
	res_path_close(c, -1);
	raw_spin_unlock_irqrestore(&c->top->lock, flags);
}

/*
 * Whether the bound that has refused @claim would do so if there was nothing in stock
 * at all: then there is no point in having it returned. (What passes upwards for a
 * charge does not grow if usage is less.)
 */
static bool res_claim_hopeless(struct res_claim *claim)
{
	struct res_counter *c;
	u64 n = claim->n;

	for (c = claim->live; ; c = c->parent) {
		u64 usage = c->usage - min(c->usage, c->stocked);

		/* With nothing left for it here, its bound does not matter. */
		if (c == claim->refusal.counter)
			return n && !res_fits(usage, n, claim->refusal.bound);
		n = res_taken(c, usage + n) - res_taken(c, usage);
	}
}

/*
 * Above a barrier the unprivileged are not to find anything in stock: recalls what
 * there is below a counter that @claim takes there. Returns whether to wait for it.
 */
static bool res_claim_crosses(struct res_claim *claim)
{
	struct res_counter *c;
	u64 n = claim->take;

	for (c = claim->live; c && n; c = c->parent) {
		if (!res_fits(c->usage, n, min(c->barrier, c->limit)) &&
		    res_claim_recall(claim, c))
			return true;
		n = res_taken(c, c->usage + n) - res_taken(c, c->usage);
	}
	return false;
}

/*
 * How many of @n units @counter and those above it have room for. @tight is set to
 * the one that has the least, if it is less than @n; @slack to what reservations
 * cover.
 */
static u64 res_path_room(struct res_counter *counter, u64 n,
			 enum bc_severity severity, struct res_counter **tight,
			 u64 *slack)
{
	struct res_counter *c;

	*tight = NULL;
	*slack = 0;
	for (c = counter; c && n > *slack; c = c->parent) {
		u64 bound = severity == BC_BARRIER ? min(c->barrier, c->limit) :
						     c->limit;
		u64 room = *slack + bound - min(bound, c->usage);

		if (room < n) {
			n = room;
			*tight = c;
		}
		*slack += c->reserved - min(c->reserved, c->usage);
	}
	return n;
}

/* Settles for less than was asked for, if there is some. */
static int res_claim_reduce(struct res_claim *claim, enum bc_severity severity)
{
	struct res_counter *tight, *unused;
	u64 slack, ignored;

	claim->take = res_path_room(claim->live, claim->n, severity, &tight,
				    &slack);
	if (tight && res_claim_recall(claim, tight))
		return -EAGAIN;
	if (severity == BC_BARRIER && !claim->asked &&
	    res_path_room(claim->live, claim->n, BC_LIMIT, &unused, &ignored) >
	    claim->take) {
		claim->refusal.at = BC_BARRIER;
		return -EDQUOT;
	}
	claim->refusal = (struct res_refusal) { };
	if (!claim->take) {
		/* It is one unit that is refused. */
		res_path_check(claim->live, NULL, 1, severity, &claim->refusal);
		return -EDQUOT;
	}
	claim->beyond = claim->take - min(claim->take, slack);
	return 0;
}

/* Looks for room below the root, and changes nothing. */
static int res_claim_check(struct res_claim *claim, enum bc_severity severity)
{
	struct res_counter *live = res_counter_live(claim->counter), *c;

	claim->live = live;
	claim->take = claim->n;
	claim->beyond = 0;
	claim->refusal = (struct res_refusal) { };
	if (!live)
		return 0;
	claim->beyond = res_path_check(live, NULL, claim->n,
				       min(severity, BC_LIMIT), &claim->refusal);
	c = claim->refusal.counter;
	if (c && severity != BC_FORCE) {
		int err;

		if (!claim->upto)
			return !res_claim_hopeless(claim) &&
			       res_claim_recall(claim, c) ? -EAGAIN : -EDQUOT;
		err = res_claim_reduce(claim, severity);
		if (err)
			return err;
	}
	if (severity != BC_BARRIER && res_claim_crosses(claim))
		return -EAGAIN;
	return 0;
}

/* Charges the root, which decides. */
static int res_claim_decide(struct res_claim *claim, enum bc_severity severity)
{
	struct res_root *root = claim->counter->root;
	struct res_refusal machine = { };
	u64 got;

	if (!claim->beyond ||
	    res_root_charge(root, claim->beyond, severity, &machine))
		return 0;
	if (!claim->refusal.counter) {
		claim->refusal = machine;
		claim->refusal.counter = claim->live->top;
		claim->refusal.n = claim->beyond;
	}
	if (severity == BC_FORCE)
		return 0;
	if (res_claim_recall_all(claim))
		return -EAGAIN;
	if (!claim->upto)
		return -ENOSPC;
	if (severity == BC_BARRIER && !claim->asked &&
	    machine.usage < res_capacity(root, BC_LIMIT) &&
	    machine.bound < res_capacity(root, BC_LIMIT)) {
		claim->refusal.at = BC_BARRIER;
		return -ENOSPC;
	}
	got = res_root_charge_upto(root, claim->beyond, severity);
	if (claim->take == claim->beyond - got)
		return -ENOSPC;
	claim->refusal = (struct res_refusal) { };
	claim->take -= claim->beyond - got;
	claim->beyond = got;
	return 0;
}

/*
 * After a charge, this CPU's stock is that of whoever was charged, if a task has
 * done that; and otherwise whose it was.
 */
static void res_claim_restock(struct res_claim *claim, struct res_hand *hand,
			      bool charged)
{
	struct res_counter *counter = hand->counter;
	u64 keep = hand->units;

	if (charged && counter == claim->live) {
		keep -= min(keep, claim->take);
	} else if (charged) {
		keep = 0;
		if (in_task())
			counter = claim->live;
	}
	res_restock(hand, counter, keep, charged);
}

/*
 * One try to make all charges or none. @locks has the claims in the order in which
 * their trees are to be locked. Of those that fail, @refused is the first. -EAGAIN:
 * it is worth another try after res_claim_wait().
 */
static int res_attempt(struct res_claim *claims, struct res_claim **locks,
		       unsigned int nr, enum bc_severity severity,
		       struct res_claim **refused, bool *crossed)
{
	struct res_hand hands[RES_CLAIMS_MAX];
	unsigned int i;
	int err = 0;

	for (i = 0; i < nr; i++)
		res_tree_lock(locks[i]->counter->top, &hands[i], nr == 1, i);

	for (i = 0; i < nr; i++) {
		*refused = &claims[i];
		err = res_claim_check(&claims[i], severity);
		if (err)
			goto unlock;
	}
	for (i = 0; i < nr; i++) {
		*refused = &claims[i];
		err = res_claim_decide(&claims[i], severity);
		if (err)
			goto undo;
	}
	/* Decided: from here on nothing fails. */
	for (i = 0; i < nr; i++) {
		struct res_counter *live = claims[i].live;

		claims[i].owner = NULL;
		if (!live)
			continue;
		claims[i].owner = live->owner;
		live->held += claims[i].take;
		res_path_add(live, NULL, claims[i].take, severity, crossed);
	}
	goto unlock;
undo:
	while (i--)
		res_root_uncharge(claims[i].counter->root, claims[i].beyond);
unlock:
	if (nr == 1)
		res_claim_restock(claims, hands, !err);
	for (i = nr; i--; )
		res_tree_unlock(locks[i]->counter->top, &hands[i]);
	return err;
}

/**
 * res_counter_try_charge() - charge if there is room, and do no more
 * @counter: what to charge
 * @n: units, 1 to %RES_COUNTER_MAX
 *
 * Charges if every bound has room, as %BC_BARRIER does. A refusal counts for
 * nothing and calls nothing: it only tells the caller that what is to be done is
 * work for res_counter_charge().
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
	struct res_claim claim = { .counter = counter, .n = n };
	struct res_claim *lock = &claim, *refused;
	bool crossed = false;
	int err;

	if (WARN_ON_ONCE(n > RES_COUNTER_MAX))
		return ERR_PTR(-EDQUOT);
	err = res_attempt(&claim, &lock, 1, BC_BARRIER, &refused, &crossed);
	return err ? ERR_PTR(err) : claim.owner;
}

/* Charges, and does all that a refusal calls for. */
static int res_charge(struct res_claim *claims, struct res_claim **locks,
		      unsigned int nr, enum bc_severity severity, bool may_block)
{
	const struct res_counter_ops *ops;
	unsigned int retries = RES_COUNTER_RETRIES;
	unsigned int recalls = RES_COUNTER_RETRIES;
	struct res_claim *refused = NULL;
	bool crossed = false;
	struct res_counter *c;
	unsigned int i;
	int err;

	might_sleep_if(may_block);
	for (i = 0; i < nr; i++)
		claims[i].recall = may_block ? RES_RECALL_WAIT :
					       RES_RECALL_ASYNC;
	for (;;) {
		err = res_attempt(claims, locks, nr, severity, &refused, &crossed);
		if (err == -EAGAIN) {
			res_claim_wait(refused);
			/* None is opened again: this ends long before. */
			if (!recalls || !--recalls)
				refused->recall = RES_RECALL_ASYNC;
			continue;
		}
		/* What is called now may take its time. */
		for (i = 0; i < nr; i++)
			res_claim_end(&claims[i]);
		if (!err)
			break;
		ops = refused->counter->root->ops;
		/* The answer may leave traces: ask once, and only if it matters. */
		if (severity == BC_BARRIER && !refused->asked &&
		    refused->refusal.at == BC_BARRIER) {
			for (i = 0; i < nr; i++)
				claims[i].asked = true;
			if (ops->privileged && ops->privileged()) {
				severity = BC_LIMIT;
				continue;
			}
			if (refused->upto)
				continue;
		}
		if (!retries--)
			break;
		if (!ops->limit_hit ||
		    !ops->limit_hit(&refused->refusal, may_block))
			break;
	}

	if (err) {
		if (refused->refusal.machine && !may_block)
			res_recall_mark_all(refused->live, true);
		atomic64_inc(&refused->refusal.counter->failcnt);
		if (ops->refused)
			ops->refused(&refused->refusal);
		return err;
	}
	for (i = 0; i < nr; i++) {
		ops = claims[i].counter->root->ops;
		if (claims[i].refusal.counter && ops->forced)
			ops->forced(&claims[i].refusal);
		if (!crossed || !ops->barrier_hit)
			continue;
		/*
		 * Whoever clears the mark makes the call. Where several charges
		 * cross a barrier at a time one may do it for all.
		 */
		for (c = claims[i].counter; c; c = c->parent)
			if (READ_ONCE(c->crossed) && xchg(&c->crossed, false))
				ops->barrier_hit(c);
	}
	return 0;
}

/**
 * res_counter_charge() - charge, and do all that a refusal calls for
 * @counter: what to charge
 * @n: units, 1 to %RES_COUNTER_MAX
 * @severity: see &enum bc_severity
 * @may_block: callbacks may sleep, and other CPUs be waited for
 *
 * Where there is no room, stocks on other CPUs are recalled that may make some:
 * before the refusal with @may_block, which is exact then; otherwise for the next
 * time. Where a barrier has no room, privileged() is asked whether that is the
 * bound that counts; where there is none still, limit_hit() is asked for some; then
 * the refusal is counted and reported. The counter that has no room is asked and
 * blamed, which may be an ancestor of @counter.
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
	struct res_claim claim = { .counter = counter, .n = n };
	struct res_claim *lock = &claim;
	int err;

	if (WARN_ON_ONCE(n > RES_COUNTER_MAX))
		return ERR_PTR(-EDQUOT);
	err = res_charge(&claim, &lock, 1, severity, may_block);
	return err ? ERR_PTR(err) : claim.owner;
}

/**
 * res_counter_charge_upto() - charge as many of some units as there are
 * @counter: what to charge
 * @n: units, 1 to %RES_COUNTER_MAX
 * @severity: see &enum bc_severity
 * @may_block: see res_counter_charge()
 * @owner: is set to what the charged objects have to point to. %NULL: nobody was
 *	charged, and nothing is to be uncharged; the return value is @n then.
 *
 * "64 files, or as many as are available" was asked for in the review of the
 * beancounter patches. A refusal is where there is nothing at all; it is counted
 * and reported then.
 *
 * Context: As res_counter_charge().
 * Return: How many units were charged, 0 to @n.
 */
u64 res_counter_charge_upto(struct res_counter *counter, u64 n,
			    enum bc_severity severity, bool may_block,
			    struct res_owner **owner)
{
	struct res_claim claim = { .counter = counter, .n = n, .upto = true };
	struct res_claim *lock = &claim;

	*owner = NULL;
	if (WARN_ON_ONCE(n > RES_COUNTER_MAX) ||
	    res_charge(&claim, &lock, 1, severity, may_block))
		return 0;
	*owner = claim.owner;
	return claim.take;
}

/**
 * res_counter_charge_all() - several charges, all of them or none
 * @claims: the charges, of counters in different trees: an object that takes of
 *	several resources claims each from its own
 * @nr: how many, 1 to %RES_CLAIMS_MAX
 * @severity: of each; see &enum bc_severity
 * @may_block: see res_counter_charge()
 *
 * All trees are locked while it is decided, so that nobody sees some of the units
 * taken and not the others; but for the roots, where a refusal by one may make
 * units of those before it look taken for a moment. The first that has no room is
 * asked and blamed, as in res_counter_charge().
 *
 * That some objects contribute to several resources was pointed out in the review
 * of the beancounter patches of 2006.
 *
 * Context: As res_counter_charge().
 * Return:
 *
 * * 0 - Charged; the owners are set.
 * * -EDQUOT - A group has no room; nothing has changed.
 * * -ENOSPC - The machine has no room; nothing has changed.
 * * -EINVAL - There are too many, or two in one tree; nothing has changed.
 */
int res_counter_charge_all(struct res_claim *claims, unsigned int nr,
			   enum bc_severity severity, bool may_block)
{
	struct res_claim *order[RES_CLAIMS_MAX];
	unsigned int i, j;

	if (WARN_ON_ONCE(!nr || nr > RES_CLAIMS_MAX))
		return -EINVAL;
	/* Trees are locked in the order of their addresses. */
	for (i = 0; i < nr; i++) {
		struct res_claim *claim = &claims[i];

		if (WARN_ON_ONCE(claim->n > RES_COUNTER_MAX))
			return -EINVAL;
		*claim = (struct res_claim) {
			.counter = claim->counter,
			.n = claim->n,
		};
		for (j = i; j && order[j - 1]->counter->top > claim->counter->top; j--)
			order[j] = order[j - 1];
		if (WARN_ON_ONCE(j && order[j - 1]->counter->top ==
				      claim->counter->top))
			return -EINVAL;
		order[j] = claim;
	}
	return res_charge(claims, order, nr, severity, may_block);
}

/*
 * After units were returned to @counter: this CPU's stock stays whose it was; if
 * nobody has it, it is @counter's.
 */
static void res_uncharge_restock(struct res_hand *hand,
				 struct res_counter *counter, u64 n)
{
	if (!hand->counter)
		res_restock(hand, counter, n, false);
	else if (hand->counter == counter)
		res_restock(hand, counter, hand->units + n, false);
	else
		res_restock(hand, hand->counter, hand->units, false);
}

/*
 * Returns @n units of @owner, @uncharged of which count as such, by way of the
 * lock.
 */
static void res_owner_return(struct res_owner *owner, u64 n, u64 uncharged)
{
	u64 missing = 0;
	bool own;

	rcu_read_lock();
	for (;;) {
		struct res_owner *live = res_owner_live(owner);
		struct res_counter *counter;
		struct res_hand hand;

		if (!live) {
			missing = res_root_uncharge(owner->root, n);
			own = false;
			break;
		}
		/* RCU: a counter is freed a grace period after its removal. */
		counter = READ_ONCE(live->counter);
		if (!counter)
			continue;
		res_tree_lock(counter->top, &hand, false, 0);
		if (!counter->removed) {
			u64 *from;

			own = live == owner;
			from = own ? &counter->held : &counter->inherited;
			missing = n - min(n, *from);
			*from -= n - missing;
			missing += res_path_sub(counter->root, counter,
						n - missing, uncharged);
			res_uncharge_restock(&hand, own ? counter : NULL,
					     n - missing);
			res_tree_unlock(counter->top, &hand);
			break;
		}
		res_uncharge_restock(&hand, NULL, 0);
		res_tree_unlock(counter->top, &hand);
	}
	if (!own) {
		res_owner_shorten(owner);
		__res_owner_put(owner, n);
	}
	rcu_read_unlock();

	WARN_ONCE(missing, "res_counter: %llu units returned, %llu never taken\n",
		  n, missing);
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
	res_owner_return(owner, n, n);
}

/* The nearest counter that is above both, or one of them; %NULL: the root is. */
static struct res_counter *res_common(struct res_counter *a, struct res_counter *b)
{
	if (!a || !b || a->top != b->top)
		return NULL;
	while (a != b) {
		if (a->depth >= b->depth)
			a = a->parent;
		else
			b = b->parent;
	}
	return a;
}

/* Changes what @counter and those above have by @in more, @out less. */
static u64 res_path_shift(struct res_root *root, struct res_counter *counter,
			  u64 in, u64 out, struct res_refusal *refusal)
{
	struct res_refusal machine = { };
	bool crossed;
	u64 n;

	if (in <= out)
		return res_path_sub(root, counter, out - in, out - in);
	n = res_path_check(counter, NULL, in - out, BC_LIMIT, refusal);
	if (n)
		res_root_charge(root, n, BC_FORCE, &machine);
	if (machine.machine && !refusal->counter) {
		*refusal = machine;
		refusal->n = n;
	}
	res_path_add(counter, NULL, in - out, BC_FORCE, &crossed);
	return 0;
}

/*
 * One try to move @claim->n units of @from, with both trees locked. -EAGAIN: it is
 * worth another one, after res_claim_wait() if @wait.
 */
static int res_move_attempt(struct res_owner *from, struct res_claim *claim, bool *wait)
{
	struct res_root *root = from->root;
	struct res_owner *owner = res_owner_live(from);
	struct res_counter *src = owner ? READ_ONCE(owner->counter) : NULL;
	struct res_counter *top[2] = { claim->counter->top, NULL };
	struct res_counter *common;
	struct res_hand hand[2];
	u64 n = claim->n, missing = 0, in, out;
	bool crossed, own;
	int i, err = -EAGAIN;

	*wait = false;
	/* Removed just now. */
	if (owner && !src)
		return err;
	/* Trees are locked in the order of their addresses. */
	if (src && src->top != top[0])
		top[1] = src->top;
	if (top[1] && top[0] > top[1])
		swap(top[0], top[1]);
	for (i = 0; i < 2 && top[i]; i++)
		res_tree_lock(top[i], &hand[i], false, i);
	if (src && src->removed)
		goto unlock;

	claim->live = res_counter_live(claim->counter);
	claim->take = n;
	claim->refusal = (struct res_refusal) { };
	if (claim->live && res_claim_crosses(claim)) {
		*wait = true;
		goto unlock;
	}
	err = 0;
	common = res_common(src, claim->live);
	own = owner == from;
	if (src) {
		u64 *have = own ? &src->held : &src->inherited;

		missing = n - min(n, *have);
		*have -= n - missing;
	}
	out = res_path_take(src, common, n - missing, n - missing);

	claim->owner = NULL;
	if (claim->live) {
		claim->owner = claim->live->owner;
		claim->live->held += n;
	}
	in = claim->live ? res_path_check(claim->live, common, n, BC_LIMIT,
					  &claim->refusal) : 0;
	res_path_add(claim->live, common, n, BC_FORCE, &crossed);
	missing += res_path_shift(root, common, in, out, &claim->refusal);
	if (claim->refusal.machine)
		claim->refusal.counter = claim->live->top;
unlock:
	/* With two trees locked none is opened, which may ask for a third lock. */
	if (!top[1])
		res_restock(&hand[0], hand[0].counter, hand[0].units, false);
	while (i--)
		res_tree_unlock(top[i], &hand[i]);
	if (!err && !own) {
		res_owner_shorten(from);
		__res_owner_put(from, n);
	}
	WARN_ONCE(missing, "res_counter: %llu units moved, %llu never taken\n", n,
		  missing);
	return err;
}

/**
 * res_counter_move() - charge another counter for units that are charged already
 * @from: what the charge has returned
 * @to: the counter to be charged, by force
 * @n: units, 1 to %RES_COUNTER_MAX, at most as many as are still charged to @from
 *
 * In one step: who is above both sees no change, but for what a reservation on one of
 * the ways covers and none on the other; and nobody can take the units in between.
 * Kinds of units are not moved: this is for resources without.
 *
 * Context: Task context, no spinlock held, interrupts on. @to and its ancestors must
 * stay allocated.
 * Return: What the charged object has to point to from now on; %NULL: nobody is
 * charged any more, since @to and everything between it and the root were removed.
 */
struct res_owner *res_counter_move(struct res_owner *from, struct res_counter *to,
				   u64 n)
{
	struct res_claim claim = {
		.counter = to,
		.n = n,
		.recall = RES_RECALL_WAIT,
	};
	unsigned int recalls = RES_COUNTER_RETRIES;
	bool wait;
	int err;

	might_sleep();
	do {
		rcu_read_lock();
		err = res_move_attempt(from, &claim, &wait);
		rcu_read_unlock();
		if (!wait)
			continue;
		res_claim_wait(&claim);
		if (!recalls || !--recalls)
			claim.recall = RES_RECALL_ASYNC;
	} while (err);
	res_claim_end(&claim);
	if (claim.refusal.counter && to->root->ops->forced)
		to->root->ops->forced(&claim.refusal);
	return claim.owner;
}

/**
 * res_owner_counter() - who is charged for what an owner does now
 * @owner: an owner that does not go away
 *
 * Context: Any context but NMI; in an RCU read section, in which the counter stays
 * allocated.
 * Return: Its counter, or that of the nearest ancestor that was not removed; %NULL
 * if that is the root.
 */
struct res_counter *res_owner_counter(struct res_owner *owner)
{
	struct res_counter *counter = NULL;

	while (!counter && (owner = res_owner_live(owner)))
		counter = READ_ONCE(owner->counter);
	return counter;
}

/* Notes @kinds of units where @owner's are now. */
static void res_owner_note(struct res_owner *owner, const long *kinds)
{
	struct res_counter *counter;
	unsigned long flags;
	bool removed;

	rcu_read_lock();
	/* RCU: a counter is freed a grace period after its removal. */
	while ((counter = res_owner_counter(owner))) {
		raw_spin_lock_irqsave(&counter->top->lock, flags);
		removed = counter->removed;
		if (!removed)
			res_path_note(counter, kinds);
		raw_spin_unlock_irqrestore(&counter->top->lock, flags);
		if (!removed)
			break;
	}
	rcu_read_unlock();
}

/**
 * res_counter_note() - say of what kind units are, by way of the lock
 * @owner: see res_stock_note()
 * @kind: see res_stock_note()
 * @n: see res_stock_note()
 *
 * Context: Any context but NMI.
 */
void res_counter_note(struct res_owner *owner, unsigned int kind, long n)
{
	long kinds[RES_KINDS] = { };

	kinds[kind] = n;
	res_owner_note(owner, kinds);
}

/**
 * res_stock_settle_kinds() - note what was said to a closed stock
 * @root: the resource
 *
 * For res_stock_note(). What an interrupt has said since is noted, too; or was, with
 * ours, if it has opened the stock: then it is noted when that is closed.
 *
 * Context: Any context but NMI; preemption off since it was said.
 */
void res_stock_settle_kinds(struct res_root *root)
{
	struct res_stock *stock;
	long kinds[RES_KINDS];
	unsigned long flags;

	local_irq_save(flags);
	stock = this_cpu_ptr(root->stock);
	if (!stock->counter && res_stock_take_kinds(stock, kinds))
		res_owner_note(stock->owner, kinds);
	local_irq_restore(flags);
}

/**
 * res_owner_tryget() - keep an owner
 * @owner: res_counter.owner of some counter, not %NULL
 *
 * Context: Any context but NMI; in an RCU read section.
 * Return: Whether it is kept until res_owner_put(); if not, it is gone.
 */
bool res_owner_tryget(struct res_owner *owner)
{
	return atomic64_inc_not_zero(&owner->refs);
}

/**
 * res_owner_put() - keep an owner no longer
 * @owner: an owner that res_owner_tryget() has kept
 *
 * Context: Any context but NMI.
 */
void res_owner_put(struct res_owner *owner)
{
	__res_owner_put(owner, 1);
}

/**
 * res_stock_settle() - look after this CPU's stock
 * @root: the resource
 *
 * When there is more in the stock than there was before: notes that, or returns some;
 * or all, if the stock is closed.
 *
 * Context: Any context but NMI; preemption off since the units were put there.
 */
void res_stock_settle(struct res_root *root)
{
	struct res_stock *stock;
	unsigned long flags;
	long units;

	local_irq_save(flags);
	stock = this_cpu_ptr(root->stock);
	units = local_read(&stock->units);
	if (res_stock_closed(units)) {
		units -= RES_STOCK_CLOSED;
		/* Before the units go: the owner may go with them. */
		res_stock_settle_kinds(root);
		if (units > 0) {
			unsigned long uncharged = local_read(&stock->returned);

			local_sub(units, &stock->units);
			local_sub(uncharged, &stock->returned);
			res_owner_return(stock->owner, units, uncharged);
		}
	} else if (units > (long)stock->cap) {
		struct res_counter *top = stock->counter->top;
		struct res_hand hand;

		res_tree_lock(top, &hand, false, 0);
		res_restock(&hand, hand.counter, hand.units, false);
		res_tree_unlock(top, &hand);
	} else if (units > (long)stock->high) {
		WRITE_ONCE(stock->high, units);
	}
	local_irq_restore(flags);
}

/**
 * res_stock_undo() - there was too little in this CPU's stock
 * @root: the resource
 * @n: units that were taken from it
 *
 * For res_stock_charge().
 *
 * Context: Any context but NMI; preemption off since the units were taken.
 */
void res_stock_undo(struct res_root *root, unsigned long n)
{
	struct res_stock *stock = this_cpu_ptr(root->stock);

	local_add(n, &stock->units);
	/*
	 * Was it closed in between? What was in it then is still there, and what was
	 * noted of it; or too much now, if it was opened again.
	 */
	if ((unsigned long)local_read(&stock->units) > stock->high)
		res_stock_settle(root);
}

/**
 * res_root_init() - a machine's account, holding nothing
 * @root: zeroed memory, but for @stock_min and @kinds
 * @ops: see &struct res_counter_ops
 *
 * Context: Task context; may sleep.
 * Return: 0, or -ENOMEM.
 */
int res_root_init(struct res_root *root, const struct res_counter_ops *ops)
{
	int cpu;

	root->ops = ops;
	if (!root->stock_min)
		root->stock_min = RES_STOCK_MIN;
	root->stock = alloc_percpu(struct res_stock);
	if (!root->stock)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		struct res_stock *stock = per_cpu_ptr(root->stock, cpu);

		/* Not %NULL, which the root group has for an owner. */
		stock->owner = ERR_PTR(-ENOENT);
		local_set(&stock->units, RES_STOCK_CLOSED);
		stock->root = root;
		stock->cpu = cpu;
		stock->work = IRQ_WORK_INIT_HARD(res_recall_work);
	}
	return 0;
}

/**
 * res_root_exit() - end a machine's account
 * @root: the account; all counters below it were removed
 *
 * Context: Task context; may sleep.
 */
void res_root_exit(struct res_root *root)
{
	int cpu;

	for_each_possible_cpu(cpu)
		irq_work_sync(&per_cpu_ptr(root->stock, cpu)->work);
	free_percpu(root->stock);
}

/**
 * res_root_cpu_offline() - take back what this CPU has in stock
 * @root: the resource
 *
 * For a CPU that is going offline, when it is not active any more: no stock is opened
 * there after that. So no CPU that is offline has one.
 *
 * Context: Any context but NMI.
 */
void res_root_cpu_offline(struct res_root *root)
{
	res_stock_recalled(root);
}

/**
 * res_counter_init() - a new counter, holding nothing
 * @counter: zeroed memory
 * @parent: the counter above, not removed; %NULL directly below the root
 * @root: the machine's account
 *
 * Both bounds start at %RES_COUNTER_MAX.
 *
 * @counter must stay allocated until a grace period after
 * res_counter_remove(), and at least as long as any counter below it.
 *
 * Context: Task context; may sleep.
 * Return: 0, or -ENOMEM.
 */
int res_counter_init(struct res_counter *counter, struct res_counter *parent,
		     struct res_root *root)
{
	struct res_owner *owner = kzalloc(sizeof(*owner), GFP_KERNEL_ACCOUNT);

	if (!owner)
		return -ENOMEM;
	owner->counter = counter;
	owner->root = root;
	atomic64_set(&owner->refs, 1);

	raw_spin_lock_init(&counter->lock);
	INIT_LIST_HEAD(&counter->stocks);
	counter->parent = parent;
	counter->top = parent ? parent->top : counter;
	counter->depth = parent ? parent->depth + 1 : 0;
	counter->root = root;
	counter->owner = owner;
	counter->barrier = RES_COUNTER_MAX;
	counter->limit = RES_COUNTER_MAX;
	atomic64_set(&counter->failcnt, 0);
	return 0;
}

/**
 * res_counter_remove() - take a counter out of its tree
 * @counter: a counter whose children were all removed, but for such as never
 *	held or reserved anything
 *
 * What it holds is inherited by its parent, whose usage has it in any case; what
 * it has reserved and does not use is repaid. A charge under way finds the
 * counter either before or after, and after goes to the nearest ancestor. Does
 * nothing the second time.
 *
 * The idea that a removed counter leaves its charges to its parent is that of
 * memory cgroups' obj_cgroup.
 *
 * Context: Task context, no spinlock held, interrupts on: CPUs that have units of
 * @counter in stock are waited for. Must not race with itself.
 * Return: The number of units that were left to the parent.
 */
u64 res_counter_remove(struct res_counter *counter)
{
	struct res_counter *parent = counter->parent;
	struct res_owner *owner = counter->owner;
	struct res_hand hand;
	u64 left, unused;

	if (counter->removed)
		return 0;
	/* Repaying changes the usage of those above, and what is noted of it. */
	res_tree_lock_quiet(counter, READ_ONCE(counter->reserved) ?
				     counter->top : counter, &hand);
	/* Cgroup core frees a group that could not be made when it likes. */
	while (parent && parent->removed)
		parent = parent->parent;
	left = counter->usage;
	unused = res_taken(counter, left) - left;
	if (parent) {
		parent->inherited += left;
		parent->lent -= counter->reserved;
		res_pledge(parent, counter->reserved, 0);
		atomic64_inc(&parent->owner->refs);
		owner->forward = parent->owner;
	}
	res_path_sub(counter->root, parent, unused, unused);
	/* Those among them that an interrupted fast path has to settle, too. */
	atomic64_add(counter->held, &owner->refs);
	counter->usage = 0;
	counter->held = 0;
	counter->inherited = 0;
	counter->reserved = 0;
	counter->removed = true;
	/* Who still charges this counter is not to compare it with a new one's. */
	WRITE_ONCE(counter->owner, NULL);
	/* Pairs with the acquire in res_owner_live(). */
	smp_store_release(&owner->counter, NULL);
	res_tree_unlock_quiet(counter, &hand);

	__res_owner_put(owner, 1);
	return left;
}

/**
 * res_counter_set_limit() - change the limit
 * @counter: the counter
 * @limit: units
 * @not_below_usage: refuse a limit below what is held now
 *
 * Context: Task context, no spinlock held, interrupts on.
 * Return:
 *
 * * 0 - Every charge from now on is held to the new limit.
 * * -EINVAL - @limit is above %RES_COUNTER_MAX, or below what is reserved;
 *   nothing has changed.
 * * -EBUSY - It is below what descendants have reserved or, with
 *   @not_below_usage, below usage; nothing has changed.
 */
int res_counter_set_limit(struct res_counter *counter, u64 limit,
			  bool not_below_usage)
{
	struct res_hand hand;
	int err = 0;

	if (limit > RES_COUNTER_MAX)
		return -EINVAL;

	res_tree_lock_quiet(counter, counter, &hand);
	if (counter->reserved > limit)
		err = -EINVAL;
	else if (counter->pledged > limit ||
		 (not_below_usage && counter->usage > limit))
		err = -EBUSY;
	else
		counter->limit = limit;
	res_tree_unlock_quiet(counter, &hand);
	return err;
}

/*
 * Looks for room to lend. A reservation is there whatever happens to the bounds
 * of those above, and so they must have room for it, even for the part that is
 * in use already. Those above one that has reserved it all itself have seen to
 * that before.
 */
static u64 res_lend_check(struct res_counter *lender, u64 n,
			  struct res_refusal *lacking)
{
	struct res_counter *c;

	for (c = lender; c && !lacking->counter; c = c->parent) {
		const u64 usage = c->usage + n;

		res_counter_check(c, n, BC_BARRIER, lacking);
		n = res_taken(c, usage) - res_taken(c, c->usage);
		if (usage <= c->reserved)
			break;
	}
	return n;
}

/*
 * One try to change the reservation, under the lock. With -ENOSPC and -EBUSY
 * @lacking says what for, unless more is asked than anybody can have.
 */
static int __res_counter_set_reserved(struct res_counter *counter, u64 reserved,
				      u64 limit, struct res_refusal *lacking)
{
	const bool wall = limit == RES_LIMIT_WALL;
	const u64 old = res_taken(counter, counter->usage);
	const u64 new = max(counter->usage, reserved);
	struct res_counter *parent = counter->parent;
	struct res_root *root = counter->root;
	bool crossed;

	if (counter->removed)
		return -ENODEV;
	if (wall)
		limit = reserved;
	else if (limit == RES_LIMIT_KEEP)
		limit = counter->limit;
	if (reserved > limit || limit > RES_COUNTER_MAX)
		return -EINVAL;
	/* "Unlimited" is no amount. */
	if (reserved == RES_COUNTER_MAX)
		return -ENOSPC;
	if (reserved < counter->usage &&
	    (wall || reserved < counter->reserved)) {
		lacking->counter = counter;
		lacking->usage = counter->usage;
		lacking->bound = reserved;
		lacking->at = BC_LIMIT;
		return -EBUSY;
	}
	if (counter->pledged > limit)
		return -EBUSY;
	if (reserved > counter->reserved) {
		struct res_refusal machine = { .counter = counter->top };

		machine.n = res_lend_check(parent, new - old, lacking);
		if (!lacking->counter && machine.n &&
		    !res_root_charge(root, machine.n, BC_BARRIER, &machine))
			*lacking = machine;
		if (lacking->counter)
			return -ENOSPC;
		res_path_add(parent, NULL, new - old, BC_BARRIER, &crossed);
	}
	if (parent) {
		parent->lent = parent->lent - counter->reserved + reserved;
		res_pledge(parent, res_taken(counter, counter->pledged),
			   max(reserved, counter->pledged));
	}
	counter->reserved = reserved;
	counter->limit = limit;
	if (new < old)
		res_path_sub(root, parent, old - new, old - new);
	return 0;
}

/* The same with as much of it as can be had, or given back, right now. */
static int __res_counter_reserve_upto(struct res_counter *counter, u64 reserved,
				      u64 limit, struct res_refusal *lacking)
{
	const u64 capacity = res_capacity(counter->root, BC_BARRIER);
	const bool wall = limit == RES_LIMIT_WALL;
	struct res_refusal ignored = { };
	struct res_counter *tight;
	u64 had, room, slack;
	s64 usage;
	int err;

	/* What is in use stays. */
	reserved = max(reserved, min(counter->usage, counter->reserved));
	/* A wall that gives way does so even where too much is in use. */
	if (wall && reserved >= counter->limit)
		limit = reserved;
	err = __res_counter_set_reserved(counter, reserved, limit, lacking);
	if (err != -ENOSPC)
		return err;

	had = res_taken(counter, counter->usage);
	room = res_path_room(counter->parent, max(reserved, had) - had,
			     BC_BARRIER, &tight, &slack);
	usage = atomic64_read(&counter->root->usage);
	room = min(room, slack + capacity - min_t(u64, capacity, usage));
	reserved = min(reserved, had + room);
	if (wall)
		limit = reserved >= counter->limit ? reserved : RES_LIMIT_WALL;
	if (reserved > counter->reserved && reserved < RES_COUNTER_MAX)
		return __res_counter_set_reserved(counter, reserved, limit,
						  &ignored);
	return err;
}

/* One try, with nothing in stock in the whole tree. */
static int res_counter_try_reserved(struct res_counter *counter, u64 reserved,
				    u64 limit, bool upto,
				    struct res_refusal *lacking)
{
	struct res_hand hand;
	int err;

	*lacking = (struct res_refusal) { };
	res_tree_lock_quiet(counter, counter->top, &hand);
	if (upto)
		err = __res_counter_reserve_upto(counter, reserved, limit, lacking);
	else
		err = __res_counter_set_reserved(counter, reserved, limit, lacking);
	res_tree_unlock_quiet(counter, &hand);
	return err;
}

/* The same; and again, if it is the machine that lacks what others have in stock. */
static int res_counter_reserve(struct res_counter *counter, u64 reserved,
			       u64 limit, bool upto, struct res_refusal *lacking)
{
	struct res_root *root = counter->root;
	int err;

	err = res_counter_try_reserved(counter, reserved, limit, upto, lacking);
	if (!lacking->machine)
		return err;
	atomic_inc(&root->closed);
	if (res_recall_mark_all(counter, false)) {
		res_recall(root);
		err = res_counter_try_reserved(counter, reserved, limit, upto,
					       lacking);
	}
	atomic_dec(&root->closed);
	return err;
}

/**
 * res_counter_set_reserved() - borrow from the parent, or repay
 * @counter: the counter
 * @reserved: units that are to be there for @counter alone, used or not
 * @limit: what the limit becomes with it; %RES_LIMIT_KEEP: it stays;
 *	%RES_LIMIT_WALL: as much as is reserved, and no less than is in use:
 *	@counter then lives on what it borrowed, and no charge reaches the parent
 * @shrink: asked to make room; %NULL: there is no other try
 * @retries: how often at most
 *
 * What @counter takes from its parent is the greater of what it uses and what it
 * has reserved. Borrowing thus charges the parent, and whom the parent does not
 * cover, only for what @counter does not take already; but all of them must have
 * room for it within their bounds. What is lent is there for everyone, so that
 * it is held to barriers: nobody can lend what only the privileged may take.
 *
 * Borrowing and repaying, the shrink callback and its retries come from the
 * res_counter hierarchy patch of 2008, where all walls were high.
 *
 * Context: Task context; sleeps only in @shrink.
 * Return:
 *
 * * 0 - Borrowed or repaid.
 * * -EINVAL - @reserved is above the limit, or that above %RES_COUNTER_MAX; nothing
 *   has changed.
 * * -ENOSPC - An ancestor or the machine has no such room; nothing has changed.
 * * -EBUSY - Units that are in use would be given back or walled out, or the limit
 *   be below what descendants have reserved; nothing has changed.
 * * -ENODEV - @counter was removed.
 */
int res_counter_set_reserved(struct res_counter *counter, u64 reserved,
			     u64 limit, res_shrink_t shrink,
			     unsigned int retries)
{
	struct res_refusal lacking;
	int err;

	if (reserved > RES_COUNTER_MAX)
		return -EINVAL;

	do {
		err = res_counter_reserve(counter, reserved, limit, false,
					  &lacking);
	} while (lacking.counter && shrink && retries-- && shrink(&lacking));
	return err;
}

/**
 * res_counter_reserve_upto() - borrow or repay as much as is possible now
 * @counter: the counter
 * @reserved: units that are wanted to be there for @counter alone
 * @limit: %RES_LIMIT_KEEP or %RES_LIMIT_WALL: see res_counter_set_reserved()
 *
 * Borrows what those above have room for, and repays what is not in use. Where that
 * falls short of @reserved, another call may get nearer to it later.
 *
 * Context: As res_counter_set_reserved().
 * Return: What is reserved from now on. It never gets farther from @reserved.
 */
u64 res_counter_reserve_upto(struct res_counter *counter, u64 reserved, u64 limit)
{
	struct res_refusal lacking;

	res_counter_reserve(counter, min(reserved, RES_COUNTER_MAX), limit, true,
			    &lacking);
	return READ_ONCE(counter->reserved);
}

/**
 * res_counter_set_barrier() - change the barrier
 * @counter: the counter
 * @barrier: units; above the limit, the limit takes its place
 *
 * Context: Task context, no spinlock held, interrupts on.
 * Return:
 *
 * * 0 - Every charge from now on is held to the new barrier.
 * * -EINVAL - @barrier is above %RES_COUNTER_MAX; nothing has changed.
 */
int res_counter_set_barrier(struct res_counter *counter, u64 barrier)
{
	struct res_hand hand;

	if (barrier > RES_COUNTER_MAX)
		return -EINVAL;

	res_tree_lock_quiet(counter, counter, &hand);
	counter->barrier = barrier;
	res_tree_unlock_quiet(counter, &hand);
	return 0;
}

static void res_see_begin(struct res_counter *counter)
{
	counter->seen.usage = counter->usage;
	counter->seen.low = counter->usage;
	counter->seen.uncharged = 0;
}

/*
 * Works out, for @counter and all that have stocks below, what they hold without
 * those: res_counter.seen. What a stock makes of usage further up depends on the
 * others that are added on the way; so the units go up step by step, stock by stock.
 */
static void res_counter_see(struct res_counter *counter)
{
	struct res_stock *stock;
	struct res_counter *c;

	res_see_begin(counter);
	list_for_each_entry(stock, &counter->top->stocks, node)
		for (c = stock->counter; c; c = c->parent)
			res_see_begin(c);

	list_for_each_entry(stock, &counter->top->stocks, node) {
		/* In this order: who puts units there counts them first. */
		u64 n = res_stock_units(stock);
		u64 high = max_t(u64, READ_ONCE(stock->high), n);
		u64 uncharged = local_read(&stock->returned);

		for (c = stock->counter; c; c = c->parent) {
			u64 usage = c->seen.usage, low = c->seen.low;

			c->seen.usage -= min(usage, n);
			c->seen.low -= min(low, high);
			c->seen.uncharged += uncharged;
			n = res_taken(c, usage) - res_taken(c, c->seen.usage);
			high = res_taken(c, low) - res_taken(c, c->seen.low);
			if (c->usage <= c->reserved)
				uncharged = 0;
		}
	}
}

/* What @counter itself has of its own, without stocks. */
static u64 res_counter_held(struct res_counter *counter)
{
	u64 held = counter->held;
	struct res_stock *stock;

	list_for_each_entry(stock, &counter->top->stocks, node)
		if (stock->counter == counter)
			held -= min(held, res_stock_units(stock));
	return held;
}

/* Units of @kind that objects hold in @counter and below. */
static u64 res_counter_kind(struct res_counter *counter, unsigned int kind)
{
	s64 n = counter->kinds[kind];
	struct res_stock *stock;

	list_for_each_entry(stock, &counter->top->stocks, node)
		if (res_stock_below(stock, counter))
			n += local_read(&stock->kinds[kind]);
	/* One CPU may say what it was charged later than another what it returned. */
	return max(n, 0);
}

/**
 * res_counter_read() - all fields, as they were together at one instant
 * @counter: the counter
 * @snap: where to
 *
 * All but failcnt, which is counted after the refusal; and but for what CPUs take
 * out of their stocks and put there meanwhile. min_usage may be too low by what
 * other CPUs could have in stock, and max_usage too high by as much; neither if a
 * single CPU charges.
 *
 * That readers want all fields at once and not each by itself was said in the
 * review of the beancounter patches of 2006.
 *
 * Context: Any context but NMI.
 */
void res_counter_read(struct res_counter *counter, struct res_snapshot *snap)
{
	unsigned long flags;
	unsigned int i;
	u64 uncharged;

	raw_spin_lock_irqsave(&counter->top->lock, flags);
	res_counter_see(counter);
	uncharged = counter->uncharged + counter->seen.uncharged;
	*snap = (struct res_snapshot) {
		.usage		= counter->seen.usage,
		.stocked	= counter->usage - counter->seen.usage,
		.held		= res_counter_held(counter),
		.inherited	= counter->inherited,
		.reserved	= counter->reserved,
		.lent		= counter->lent,
		.barrier	= counter->barrier,
		.limit		= counter->limit,
		.max_usage	= counter->max_usage,
		.recent_max	= counter->recent_max,
		.min_usage	= min(counter->min_usage, counter->seen.low),
		/* Whatever came since is here or was returned. */
		.charged	= max_t(s64, 0, counter->seen.usage + uncharged -
						counter->base),
		.uncharged	= uncharged,
		.failcnt	= atomic64_read(&counter->failcnt),
	};
	for (i = 0; i < counter->root->kinds; i++)
		snap->kinds[i] = res_counter_kind(counter, i);
	raw_spin_unlock_irqrestore(&counter->top->lock, flags);
}

/**
 * res_counter_reset() - start statistics anew
 * @counter: the counter
 * @what: RES_RESET_* bits; extremes become the usage, the rest 0
 *
 * Context: Task context, no spinlock held, interrupts on.
 */
void res_counter_reset(struct res_counter *counter, unsigned int what)
{
	struct res_hand hand;

	res_tree_lock_quiet(counter, counter, &hand);
	if (what & RES_RESET_MAX)
		counter->max_usage = counter->usage;
	if (what & RES_RESET_MIN)
		counter->min_usage = counter->usage;
	if (what & RES_RESET_TOTALS) {
		counter->uncharged = 0;
		counter->base = counter->usage;
	}
	if (what & RES_RESET_FAILCNT)
		atomic64_set(&counter->failcnt, 0);
	res_tree_unlock_quiet(counter, &hand);
}

/**
 * res_counter_restart_max() - start a period of observation
 * @counter: the counter
 * @usage: is set to the usage at its start
 *
 * For those who want a maximum of their own, as cgroup v2's peak files do: a
 * maximum over any time that began with this call is the maximum of what its
 * later calls return, and of recent_max.
 *
 * Context: Task context, no spinlock held, interrupts on.
 * Return: The highest usage in the period that ends.
 */
u64 res_counter_restart_max(struct res_counter *counter, u64 *usage)
{
	struct res_hand hand;
	u64 max;

	res_tree_lock_quiet(counter, counter, &hand);
	max = counter->recent_max;
	*usage = counter->usage;
	counter->recent_max = counter->usage;
	res_tree_unlock_quiet(counter, &hand);
	return max;
}
