// SPDX-License-Identifier: GPL-2.0
/*
 * res_counter: the charge engine of the beancounters
 *
 * Counters form trees; all trees of a resource meet in its res_root. A charge
 * to a counter counts in every counter up to the root, and is refused where
 * one of them has no room.
 *
 * There is one lock: every counter of a tree is guarded by the lock of the tree's
 * uppermost counter. The root alone is shared by trees, and is one atomic word.
 * Under its lock a charge looks at the whole path first, and changes it only
 * when every counter has room; the root, where other trees race with us, is
 * asked last and changed by the same compare-and-exchange that finds the room.
 * That step decides. Before it nothing has changed, after it nothing can fail.
 *
 * From this follow the invariants, at every instant that anybody can see. The
 * counters below the root are seen under the lock only.
 *
 *  1. A counter's usage is what it holds itself, what it has inherited, and the
 *     usage of its children: charges and uncharges change the whole path in one
 *     critical section, and removal moves units within the parent's usage. The
 *     root's usage is never below the sum of its children's: it is raised
 *     before theirs and lowered after.
 *  2. No charge but a forced one is admitted that takes usage above the barrier
 *     (or limit): bounds and usage are read and changed under the same lock, or
 *     in the same atomic step.
 *  3. A refused charge leaves no trace but failcnt and what the callbacks do:
 *     nothing is changed before everything is known to fit, so there is nothing
 *     to take back, and no other charge can be refused because of units that
 *     were there for a moment only.
 *  5. Every unit is returned once, to the counter that has it now (see "Owners"
 *     below). Returning what was never taken is reported once and stops at 0.
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
 * and so no chain is walked twice. Removing a group costs the same whether one
 * owner forwards to it or a million do.
 */

#include <linux/bug.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include <bc/res_counter.h>

/* How often limit_hit() may ask for another try before we stop believing it. */
#define RES_COUNTER_RETRIES	16

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

static void res_owner_put(struct res_owner *owner, u64 refs)
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
 * must look again under the lock. Pairs with the release in
 * res_counter_remove(): who sees no counter sees where to go instead.
 */
static struct res_owner *res_owner_live(struct res_owner *owner)
{
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
		res_owner_put(old, 1);
	else
		res_owner_put(new, 1);
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
		refusal->usage = usage;
		refusal->bound = capacity;
		refusal->at = BC_LIMIT;
		if (severity == BC_BARRIER &&
		    res_fits(usage, n, res_capacity(root, BC_LIMIT)))
			refusal->at = BC_BARRIER;
	}
	return fits;
}

static void res_root_uncharge(struct res_root *root, u64 n)
{
	s64 usage = atomic64_read(&root->usage);
	s64 left;

	do {
		left = usage - min_t(u64, usage, n);
	} while (!atomic64_try_cmpxchg(&root->usage, &usage, left));

	WARN_ONCE(usage < n, "res_counter: %llu units returned to a root that has %lld\n",
		  n, usage);
}

/* The nearest counter from @counter up that has no room, with the reason. */
static bool res_counter_full(struct res_counter *counter, u64 n,
			     enum bc_severity severity,
			     struct res_refusal *refusal)
{
	struct res_counter *c;

	for (c = counter; c; c = c->parent) {
		if (!res_fits(c->usage, n, c->limit)) {
			refusal->at = BC_LIMIT;
			refusal->bound = c->limit;
		} else if (severity == BC_BARRIER &&
			   !res_fits(c->usage, n, c->barrier)) {
			refusal->at = BC_BARRIER;
			refusal->bound = c->barrier;
		} else {
			continue;
		}
		refusal->counter = c;
		refusal->usage = c->usage;
		return true;
	}
	return false;
}

/*
 * One try, under the lock. Returns whether @counter was charged. With
 * refusal->counter set that charge overran a bound, and without it did not.
 */
static bool __res_counter_charge(struct res_counter *counter, u64 n,
				 enum bc_severity severity,
				 struct res_refusal *refusal, bool *crossed)
{
	struct res_refusal machine = { .counter = counter->top, .n = n };
	struct res_counter *c;

	lockdep_assert_held(&counter->top->lock);

	refusal->n = n;
	if (res_counter_full(counter, n, min(severity, BC_LIMIT), refusal) &&
	    severity != BC_FORCE)
		return false;
	if (!res_root_charge(counter->root, n, severity, &machine)) {
		if (!refusal->counter)
			*refusal = machine;
		if (severity != BC_FORCE)
			return false;
	}

	/* Decided: from here on nothing fails. */
	counter->held += n;
	for (c = counter; c; c = c->parent) {
		u64 barrier = min(c->barrier, c->limit);

		if (severity == BC_LIMIT && c->usage <= barrier &&
		    !res_fits(c->usage, n, barrier)) {
			WRITE_ONCE(c->crossed, true);
			*crossed = true;
		}
		c->usage += n;
		c->charged += n;
		c->max_usage = max(c->max_usage, c->usage);
		c->recent_max = max(c->recent_max, c->usage);
	}
	return true;
}

/*
 * Locks the tree of @counter, and returns @counter or, where that was removed,
 * the nearest ancestor that was not: NULL, and no lock, if only the root is
 * left.
 */
static struct res_counter *res_counter_lock_live(struct res_counter *counter,
						 unsigned long *flags)
{
	struct res_counter *top = counter->top;

	raw_spin_lock_irqsave(&top->lock, *flags);
	while (counter && counter->removed)
		counter = counter->parent;
	if (!counter)
		raw_spin_unlock_irqrestore(&top->lock, *flags);
	return counter;
}

static void res_counter_unlock(struct res_counter *counter, unsigned long flags)
{
	raw_spin_unlock_irqrestore(&counter->top->lock, flags);
}

/* One try to charge @counter, or what lives above it. */
static struct res_owner *res_counter_attempt(struct res_counter *counter, u64 n,
					     enum bc_severity severity,
					     struct res_refusal *refusal,
					     bool *crossed)
{
	struct res_owner *owner;
	unsigned long flags;

	refusal->counter = NULL;
	counter = res_counter_lock_live(counter, &flags);
	if (!counter)
		return NULL;
	if (__res_counter_charge(counter, n, severity, refusal, crossed))
		owner = counter->owner;
	else
		owner = ERR_PTR(-EDQUOT);
	res_counter_unlock(counter, flags);
	return owner;
}

/**
 * res_counter_try_charge() - the usual charge
 * @counter: what to charge
 * @n: units, 1 to %RES_COUNTER_MAX
 *
 * Charges if every bound has room, as %BC_BARRIER does, but a refusal counts
 * for nothing and calls nothing: the caller goes on with res_counter_charge(),
 * which costs it no more than it would have cost first.
 *
 * Context: Any context but NMI. @counter and its ancestors must stay allocated.
 * Return: What the charged object has to point to, for res_counter_uncharge().
 * * %NULL - @counter and everything between it and the root were removed:
 *   nothing was charged, and nothing is to be uncharged.
 * * -EAGAIN - A barrier is in the way; nothing has changed.
 * * -EDQUOT - A limit is in the way; nothing has changed.
 */
struct res_owner *res_counter_try_charge(struct res_counter *counter, u64 n)
{
	struct res_refusal refusal;
	struct res_owner *owner;
	bool crossed = false;

	owner = res_counter_attempt(counter, n, BC_BARRIER, &refusal, &crossed);
	if (IS_ERR(owner) && refusal.at == BC_BARRIER)
		return ERR_PTR(-EAGAIN);
	return owner;
}

/**
 * res_counter_charge() - charge, and do all that a refusal calls for
 * @counter: what to charge
 * @n: units, 1 to %RES_COUNTER_MAX
 * @severity: see &enum bc_severity
 * @may_block: callbacks may sleep
 *
 * Where there is no room, limit_hit() is asked for some; then the refusal is
 * counted and reported. The counter that has no room is asked and blamed, which
 * may be an ancestor of @counter.
 *
 * The idea of severities and of barrier_hit() and limit_hit() comes from the
 * beancounter patches of 2006.
 *
 * Context: Any context but NMI; task context, no spinlock held, with
 * @may_block. @counter and its ancestors must stay allocated.
 * Return: As res_counter_try_charge(), but any refusal is -EDQUOT; with
 * %BC_FORCE there is none.
 */
struct res_owner *res_counter_charge(struct res_counter *counter, u64 n,
				     enum bc_severity severity, bool may_block)
{
	const struct res_counter_ops *ops = counter->root->ops;
	unsigned int retries = RES_COUNTER_RETRIES;
	struct res_refusal refusal;
	struct res_owner *owner;
	struct res_counter *c;
	bool crossed = false;

	if (WARN_ON_ONCE(n > RES_COUNTER_MAX))
		return ERR_PTR(-EDQUOT);

	for (;;) {
		owner = res_counter_attempt(counter, n, severity, &refusal,
					    &crossed);
		if (!IS_ERR(owner) || !retries--)
			break;
		if (!ops->limit_hit || !ops->limit_hit(&refusal, may_block))
			break;
	}

	if (IS_ERR(owner)) {
		atomic64_inc(&refusal.counter->failcnt);
		if (ops->refused)
			ops->refused(&refusal);
		return owner;
	}
	if (refusal.counter && ops->forced)
		ops->forced(&refusal);
	if (!crossed || !ops->barrier_hit)
		return owner;

	/*
	 * Whoever clears the mark makes the call: where several charges cross a
	 * barrier at a time, they may serve each other, and none is served twice.
	 */
	for (c = counter; c; c = c->parent)
		if (READ_ONCE(c->crossed) && xchg(&c->crossed, false))
			ops->barrier_hit(c, n);
	return owner;
}

/*
 * Takes @n units out of @counter, one that @owner forwards to or its own.
 * Returns the units that were not there.
 */
static u64 __res_counter_uncharge(struct res_counter *counter,
				  struct res_owner *owner, u64 n)
{
	u64 *from = counter == owner->counter ? &counter->held :
						&counter->inherited;
	u64 missing = n - min(n, *from);
	struct res_counter *c;

	lockdep_assert_held(&counter->top->lock);

	n -= missing;
	*from -= n;
	for (c = counter; c; c = c->parent) {
		c->usage -= n;
		c->uncharged += n;
		c->min_usage = min(c->min_usage, c->usage);
	}
	res_root_uncharge(counter->root, n);
	return missing;
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
	u64 missing = 0;
	bool own;

	rcu_read_lock();
	for (;;) {
		struct res_owner *live = res_owner_live(owner);
		struct res_counter *counter;
		unsigned long flags;

		if (!live) {
			res_root_uncharge(owner->root, n);
			own = false;
			break;
		}
		/* RCU: a counter is freed a grace period after its removal. */
		counter = READ_ONCE(live->counter);
		if (!counter)
			continue;
		raw_spin_lock_irqsave(&counter->top->lock, flags);
		if (!counter->removed) {
			own = live == owner;
			missing = __res_counter_uncharge(counter, owner, n);
			res_counter_unlock(counter, flags);
			break;
		}
		res_counter_unlock(counter, flags);
	}
	if (!own) {
		res_owner_shorten(owner);
		res_owner_put(owner, n);
	}
	rcu_read_unlock();

	WARN_ONCE(missing, "res_counter: %llu units returned, %llu never taken\n",
		  n, missing);
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
	struct res_owner *owner = kzalloc(sizeof(*owner), GFP_KERNEL);

	if (!owner)
		return -ENOMEM;
	owner->counter = counter;
	owner->root = root;
	atomic64_set(&owner->refs, 1);

	raw_spin_lock_init(&counter->lock);
	counter->parent = parent;
	counter->top = parent ? parent->top : counter;
	counter->root = root;
	counter->owner = owner;
	counter->barrier = RES_COUNTER_MAX;
	counter->limit = RES_COUNTER_MAX;
	atomic64_set(&counter->failcnt, 0);
	return 0;
}

/**
 * res_counter_remove() - take a counter out of its tree
 * @counter: a counter whose children were all removed
 *
 * What it holds is inherited by its parent: the parent's usage has it in any
 * case, and does not change. A charge under way finds the counter either before
 * or after, and after goes to the nearest ancestor. Does nothing the second
 * time.
 *
 * The idea that a removed counter leaves its charges to its parent is that of
 * memory cgroups' obj_cgroup.
 *
 * Context: Any context but NMI; must not race with itself, nor with the removal
 * of an ancestor.
 * Return: The number of units that were left to the parent.
 */
u64 res_counter_remove(struct res_counter *counter)
{
	struct res_counter *parent = counter->parent;
	struct res_owner *owner = counter->owner;
	unsigned long flags;
	u64 left;

	raw_spin_lock_irqsave(&counter->top->lock, flags);
	if (counter->removed) {
		raw_spin_unlock_irqrestore(&counter->top->lock, flags);
		return 0;
	}
	left = counter->usage;
	if (parent) {
		parent->inherited += left;
		atomic64_inc(&parent->owner->refs);
		owner->forward = parent->owner;
	}
	atomic64_add(counter->held, &owner->refs);
	counter->usage = 0;
	counter->held = 0;
	counter->inherited = 0;
	counter->removed = true;
	smp_store_release(&owner->counter, NULL);
	raw_spin_unlock_irqrestore(&counter->top->lock, flags);

	res_owner_put(owner, 1);
	return left;
}

/**
 * res_counter_set_limit() - change the limit
 * @counter: the counter
 * @limit: units
 * @not_below_usage: refuse a limit below what is held now
 *
 * Context: Any context but NMI.
 * Return:
 * * 0 - Every charge from now on is held to the new limit.
 * * -EINVAL - @limit is above %RES_COUNTER_MAX; nothing has changed.
 * * -EBUSY - @not_below_usage, and more is held; nothing has changed.
 */
int res_counter_set_limit(struct res_counter *counter, u64 limit,
			  bool not_below_usage)
{
	unsigned long flags;
	int err = 0;

	if (limit > RES_COUNTER_MAX)
		return -EINVAL;

	raw_spin_lock_irqsave(&counter->top->lock, flags);
	if (not_below_usage && counter->usage > limit)
		err = -EBUSY;
	else
		counter->limit = limit;
	raw_spin_unlock_irqrestore(&counter->top->lock, flags);
	return err;
}

/**
 * res_counter_set_barrier() - change the barrier
 * @counter: the counter
 * @barrier: units; above the limit, the limit takes its place
 *
 * Context: Any context but NMI.
 * Return:
 * * 0 - Every charge from now on is held to the new barrier.
 * * -EINVAL - @barrier is above %RES_COUNTER_MAX; nothing has changed.
 */
int res_counter_set_barrier(struct res_counter *counter, u64 barrier)
{
	unsigned long flags;

	if (barrier > RES_COUNTER_MAX)
		return -EINVAL;

	raw_spin_lock_irqsave(&counter->top->lock, flags);
	counter->barrier = barrier;
	raw_spin_unlock_irqrestore(&counter->top->lock, flags);
	return 0;
}

/**
 * res_counter_read() - all fields, as they were together at one instant
 * @counter: the counter
 * @snap: where to
 *
 * Context: Any context but NMI.
 */
void res_counter_read(struct res_counter *counter, struct res_snapshot *snap)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&counter->top->lock, flags);
	*snap = (struct res_snapshot) {
		.usage		= counter->usage,
		.held		= counter->held,
		.inherited	= counter->inherited,
		.barrier	= counter->barrier,
		.limit		= counter->limit,
		.max_usage	= counter->max_usage,
		.recent_max	= counter->recent_max,
		.min_usage	= counter->min_usage,
		.charged	= counter->charged,
		.uncharged	= counter->uncharged,
		.failcnt	= atomic64_read(&counter->failcnt),
	};
	raw_spin_unlock_irqrestore(&counter->top->lock, flags);
}

/**
 * res_counter_reset() - start statistics anew
 * @counter: the counter
 * @what: RES_RESET_* bits; extremes become the usage, the rest 0
 *
 * Context: Any context but NMI.
 */
void res_counter_reset(struct res_counter *counter, unsigned int what)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&counter->top->lock, flags);
	if (what & RES_RESET_MAX)
		counter->max_usage = counter->usage;
	if (what & RES_RESET_MIN)
		counter->min_usage = counter->usage;
	if (what & RES_RESET_TOTALS)
		counter->charged = counter->uncharged = 0;
	if (what & RES_RESET_FAILCNT)
		atomic64_set(&counter->failcnt, 0);
	raw_spin_unlock_irqrestore(&counter->top->lock, flags);
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
 * Context: Any context but NMI.
 * Return: The highest usage in the period that ends.
 */
u64 res_counter_restart_max(struct res_counter *counter, u64 *usage)
{
	unsigned long flags;
	u64 max;

	raw_spin_lock_irqsave(&counter->top->lock, flags);
	max = counter->recent_max;
	*usage = counter->usage;
	counter->recent_max = counter->usage;
	raw_spin_unlock_irqrestore(&counter->top->lock, flags);
	return max;
}
