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
 *  1. A counter's usage is what it holds itself, what it has inherited, and what
 *     its children take: charges, uncharges, borrowing and repaying change the
 *     whole path in one critical section, and removal moves units within the
 *     parent's usage. The root's usage is never below what its children take:
 *     it is raised before theirs and lowered after.
 *  2. No charge but a forced one is admitted that takes usage above the barrier
 *     (or limit): bounds and usage are read and changed under the same lock, or
 *     in the same atomic step.
 *  3. A refused charge leaves no trace but failcnt and what the callbacks do:
 *     nothing is changed before everything is known to fit, so there is nothing
 *     to take back, and no other charge can be refused because of units that
 *     were there for a moment only.
 *  4. Trivially, as long as there are no stocks: what is counted is held or lent.
 *  5. Every unit is returned once, to the counter that has it now (see "Owners"
 *     below). A counter that is asked for more than was taken reports it once
 *     and stops at 0.
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
 * Looks for room for @n units in @counter and upwards, and describes in @refusal
 * the nearest counter that has none. Returns how many units get past all
 * reservations, to the root.
 */
static u64 res_path_check(struct res_counter *counter, u64 n,
			  enum bc_severity severity,
			  struct res_refusal *refusal)
{
	struct res_counter *c;

	for (c = counter; c && n; c = c->parent) {
		if (!refusal->counter)
			res_counter_check(c, n, severity, refusal);
		n = res_taken(c, c->usage + n) - res_taken(c, c->usage);
	}
	return n;
}

/* Adds @n units to @counter, and upwards what no reservation covers. */
static void res_path_add(struct res_counter *counter, u64 n,
			 enum bc_severity severity, bool *crossed)
{
	struct res_counter *c;

	for (c = counter; c && n; c = c->parent) {
		u64 barrier = min(c->barrier, c->limit);
		u64 usage = c->usage + n;

		if (severity == BC_LIMIT && c->usage <= barrier &&
		    usage > barrier) {
			WRITE_ONCE(c->crossed, true);
			*crossed = true;
		}
		c->charged += n;
		n = res_taken(c, usage) - res_taken(c, c->usage);
		c->usage = usage;
		c->max_usage = max(c->max_usage, usage);
		c->recent_max = max(c->recent_max, usage);
	}
}

/*
 * Takes @n units out of @counter, and upwards what was not reserved. Returns the
 * units that the root did not have.
 */
static u64 res_path_sub(struct res_root *root, struct res_counter *counter,
			u64 n)
{
	struct res_counter *c;

	for (c = counter; c && n; c = c->parent) {
		u64 usage = c->usage - n;

		c->uncharged += n;
		n = res_taken(c, c->usage) - res_taken(c, usage);
		c->usage = usage;
		c->min_usage = min(c->min_usage, usage);
	}
	return n ? res_root_uncharge(root, n) : 0;
}

/*
 * One try, under the lock. Returns whether @counter was charged. With
 * refusal->counter set that charge overran a bound, and without it did not.
 */
static bool __res_counter_charge(struct res_counter *counter, u64 n,
				 enum bc_severity severity,
				 struct res_refusal *refusal, bool *crossed)
{
	struct res_refusal machine = { .counter = counter->top };
	const bool force = severity == BC_FORCE;

	lockdep_assert_held(&counter->top->lock);

	machine.n = res_path_check(counter, n, min(severity, BC_LIMIT), refusal);
	if (refusal->counter && !force)
		return false;
	if (machine.n &&
	    !res_root_charge(counter->root, machine.n, severity, &machine)) {
		if (!refusal->counter)
			*refusal = machine;
		if (!force)
			return false;
	}

	/* Decided: from here on nothing fails. */
	counter->held += n;
	res_path_add(counter, n, severity, crossed);
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

	*refusal = (struct res_refusal) { };
	counter = res_counter_lock_live(counter, &flags);
	if (!counter)
		return NULL;
	if (__res_counter_charge(counter, n, severity, refusal, crossed))
		owner = counter->owner;
	else
		owner = ERR_PTR(refusal->machine ? -ENOSPC : -EDQUOT);
	res_counter_unlock(counter, flags);
	return owner;
}

/**
 * res_counter_try_charge() - the usual charge
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
	struct res_refusal refusal;
	bool crossed = false;

	return res_counter_attempt(counter, n, BC_BARRIER, &refusal, &crossed);
}

/**
 * res_counter_charge() - charge, and do all that a refusal calls for
 * @counter: what to charge
 * @n: units, 1 to %RES_COUNTER_MAX
 * @severity: see &enum bc_severity
 * @may_block: callbacks may sleep
 *
 * Where a barrier has no room, privileged() is asked whether that is the bound
 * that counts; where there is none still, limit_hit() is asked for some; then the
 * refusal is counted and reported. The counter that has no room is asked and
 * blamed, which may be an ancestor of @counter.
 *
 * The idea of severities and of barrier_hit() and limit_hit() comes from the
 * beancounter patches of 2006.
 *
 * Context: Any context but NMI; task context, no spinlock held, with
 * @may_block. @counter and its ancestors must stay allocated.
 * Return: As res_counter_try_charge(); no error with %BC_FORCE.
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
	bool asked = false;

	if (WARN_ON_ONCE(n > RES_COUNTER_MAX))
		return ERR_PTR(-EDQUOT);

	for (;;) {
		owner = res_counter_attempt(counter, n, severity, &refusal,
					    &crossed);
		if (!IS_ERR(owner))
			break;
		/* The answer may leave traces: ask once, and only if it matters. */
		if (severity == BC_BARRIER && refusal.at == BC_BARRIER && !asked) {
			asked = true;
			if (ops->privileged && ops->privileged()) {
				severity = BC_LIMIT;
				continue;
			}
		}
		if (!retries--)
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
	 * Whoever clears the mark makes the call. Where several charges cross a
	 * barrier at a time one may do it for all.
	 */
	for (c = counter; c; c = c->parent)
		if (READ_ONCE(c->crossed) && xchg(&c->crossed, false))
			ops->barrier_hit(c);
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

	lockdep_assert_held(&counter->top->lock);

	n -= missing;
	*from -= n;
	return missing + res_path_sub(counter->root, counter, n);
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
			missing = res_root_uncharge(owner->root, n);
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
	struct res_owner *owner = kzalloc(sizeof(*owner), GFP_KERNEL_ACCOUNT);

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
 * Context: Any context but NMI; must not race with itself.
 * Return: The number of units that were left to the parent.
 */
u64 res_counter_remove(struct res_counter *counter)
{
	struct res_counter *parent = counter->parent;
	struct res_owner *owner = counter->owner;
	unsigned long flags;
	u64 left, unused;

	raw_spin_lock_irqsave(&counter->top->lock, flags);
	if (counter->removed) {
		raw_spin_unlock_irqrestore(&counter->top->lock, flags);
		return 0;
	}
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
	res_path_sub(counter->root, parent, unused);
	atomic64_add(counter->held, &owner->refs);
	counter->usage = 0;
	counter->held = 0;
	counter->inherited = 0;
	counter->reserved = 0;
	counter->removed = true;
	/* Pairs with the acquire in res_owner_live(). */
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
	unsigned long flags;
	int err = 0;

	if (limit > RES_COUNTER_MAX)
		return -EINVAL;

	raw_spin_lock_irqsave(&counter->top->lock, flags);
	if (counter->reserved > limit)
		err = -EINVAL;
	else if (counter->pledged > limit ||
		 (not_below_usage && counter->usage > limit))
		err = -EBUSY;
	else
		counter->limit = limit;
	raw_spin_unlock_irqrestore(&counter->top->lock, flags);
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
				      bool wall, struct res_refusal *lacking)
{
	const u64 limit = wall ? reserved : counter->limit;
	const u64 old = res_taken(counter, counter->usage);
	const u64 new = max(counter->usage, reserved);
	struct res_counter *parent = counter->parent;
	struct res_root *root = counter->root;
	bool crossed;

	if (counter->removed)
		return -ENODEV;
	if (reserved > limit)
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
	if (reserved > counter->reserved) {
		struct res_refusal machine = { .counter = counter->top };

		machine.n = res_lend_check(parent, new - old, lacking);
		if (!lacking->counter && machine.n &&
		    !res_root_charge(root, machine.n, BC_BARRIER, &machine))
			*lacking = machine;
		if (lacking->counter)
			return -ENOSPC;
		res_path_add(parent, new - old, BC_BARRIER, &crossed);
	}
	if (parent) {
		parent->lent = parent->lent - counter->reserved + reserved;
		res_pledge(parent, res_taken(counter, counter->pledged),
			   max(reserved, counter->pledged));
	}
	counter->reserved = reserved;
	counter->limit = limit;
	if (new < old)
		res_path_sub(root, parent, old - new);
	return 0;
}

/**
 * res_counter_set_reserved() - borrow from the parent, or repay
 * @counter: the counter
 * @reserved: units that are to be there for @counter alone, used or not
 * @wall: make this the limit as well: @counter then lives on what it borrowed,
 *	and no charge reaches the parent
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
 * * -EINVAL - @reserved is above the limit; nothing has changed.
 * * -ENOSPC - An ancestor or the machine has no such room; nothing has changed.
 * * -EBUSY - Units that are in use would be given back or, with @wall, walled
 *   out; nothing has changed.
 * * -ENODEV - @counter was removed.
 */
int res_counter_set_reserved(struct res_counter *counter, u64 reserved,
			     bool wall, res_shrink_t shrink,
			     unsigned int retries)
{
	struct res_refusal lacking;
	unsigned long flags;
	int err;

	if (reserved > RES_COUNTER_MAX)
		return -EINVAL;

	do {
		lacking = (struct res_refusal) { };
		raw_spin_lock_irqsave(&counter->top->lock, flags);
		err = __res_counter_set_reserved(counter, reserved, wall,
						 &lacking);
		raw_spin_unlock_irqrestore(&counter->top->lock, flags);
	} while (lacking.counter && shrink && retries-- && shrink(&lacking));
	return err;
}

/**
 * res_counter_set_barrier() - change the barrier
 * @counter: the counter
 * @barrier: units; above the limit, the limit takes its place
 *
 * Context: Any context but NMI.
 * Return:
 *
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
 * All but failcnt, which is counted after the refusal.
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
		.reserved	= counter->reserved,
		.lent		= counter->lent,
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
	if (what & RES_RESET_TOTALS) {
		counter->charged = 0;
		counter->uncharged = 0;
	}
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
