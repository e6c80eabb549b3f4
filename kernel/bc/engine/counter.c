// SPDX-License-Identifier: GPL-2.0
/*
 * The beginning and the end of counters, and moves between them
 */

#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/slab.h>

#include "internal.h"

/**
 * res_root_init() - a machine's account, holding nothing
 * @root: zeroed memory, but for @stock, @kinds, @plain and the batches, and @info
 *	where the stock is shared
 * @ops: see &struct res_counter_ops
 *
 * Context: Task context; may sleep.
 * Return: 0, or -ENOMEM.
 */
int res_root_init(struct res_root *root, const struct res_counter_ops *ops)
{
	if (WARN_ON_ONCE(root->plain && root->kinds))
		root->plain = false;
	root->ops = ops;
	raw_spin_lock_init(&root->lock);
	INIT_HLIST_HEAD(&root->active);
	if (!root->batch_min)
		root->batch_min = RES_BATCH_MIN;
	if (!root->batch_max)
		root->batch_max = RES_BATCH_MAX;
	if (!root->batch_tight)
		root->batch_tight = root->batch_min / 4;
	return res_stock_init(root);
}

/**
 * res_root_exit() - end a machine's account
 * @root: the account; all counters below it were removed
 *
 * Context: Task context; may sleep.
 */
void res_root_exit(struct res_root *root)
{
	res_stock_exit(root);
}

/**
 * res_counter_init() - a new counter, holding nothing
 * @counter: zeroed memory
 * @parent: the counter above, not removed; %NULL directly below the root
 * @root: the machine's account
 *
 * The limit starts at %RES_COUNTER_MAX, the barrier at %RES_BARRIER_DEFAULT.
 *
 * @counter must stay allocated until a grace period after res_counter_remove(),
 * while res_counter_ops.tryget() keeps it, and at least as long as any counter
 * below it.
 *
 * Context: Task context; may sleep.
 * Return: 0, or -ENOMEM.
 */
int res_counter_init(struct res_counter *counter, struct res_counter *parent,
		     struct res_root *root)
{
	return res_counter_init_twin(counter, parent, root, NULL);
}

/**
 * res_counter_init_twin() - a new counter of a group that has another one
 * @counter: see res_counter_init()
 * @parent: see res_counter_init()
 * @root: see res_counter_init()
 * @twin: another counter of the same group, not freed meanwhile, or %NULL. The
 *	owners of both share a cache line, and the CPUs' slots, if there is no third
 *	such counter.
 *
 * Context: As res_counter_init().
 * Return: As res_counter_init().
 */
int res_counter_init_twin(struct res_counter *counter, struct res_counter *parent,
			  struct res_root *root, const struct res_counter *twin)
{
	const unsigned int depth = parent ? parent->depth + 1 : 0;
	unsigned int i;
	int err;

	counter->path = kmalloc_array(depth + 1, sizeof(*counter->path),
				      GFP_KERNEL_ACCOUNT);
	if (!counter->path)
		return -ENOMEM;
	if (!root->plain) {
		counter->stats = kzalloc(sizeof(*counter->stats),
					 GFP_KERNEL_ACCOUNT);
		if (!counter->stats) {
			res_counter_destroy(counter);
			return -ENOMEM;
		}
	}
	for (i = 0; i < depth; i++)
		counter->path[i] = parent->path[i];
	counter->path[depth] = counter;
	counter->parent = parent;
	counter->depth = depth;
	counter->root = root;
	err = res_owner_create(counter, twin);
	if (err) {
		res_counter_destroy(counter);
		return err;
	}
	raw_spin_lock_init(&counter->lock);
	INIT_HLIST_NODE(&counter->node);
	INIT_HLIST_HEAD(&counter->slots);
	INIT_HLIST_HEAD(&counter->active);
	counter->barrier = RES_BARRIER_DEFAULT;
	counter->limit = RES_COUNTER_MAX;
	/* Until the state is computed for the first time. */
	counter->lower = 1;
	atomic64_set(&counter->failcnt, 0);
	return 0;
}

/**
 * res_counter_discard() - end a counter that was never used
 * @counter: a counter that res_counter_init() has made, and that no task has
 *	charged, changed or read, nor made a counter below
 *
 * Unlike res_counter_remove() it looks at no other counter, so that those above
 * may be removed meanwhile. res_counter_destroy() may follow at once.
 *
 * Context: Any context but NMI.
 */
void res_counter_discard(struct res_counter *counter)
{
	struct res_owner *owner = counter->owner;

	counter->removed = true;
	counter->gone = true;
	counter->owner = RES_OWNER_REMOVED;
	res_owner_forward(owner, NULL);
	__res_owner_put(owner, 1);
}

/**
 * res_counter_destroy() - free what res_counter_init() has allocated
 * @counter: a counter that was removed or discarded, and is about to be freed
 *
 * Context: Any context but NMI.
 */
void res_counter_destroy(struct res_counter *counter)
{
	kfree(counter->path);
	counter->path = NULL;
	kfree(counter->stats);
	counter->stats = NULL;
}

/* The nearest ancestor of @counter that was not removed, if any. */
static struct res_counter *res_counter_heir(struct res_counter *counter)
{
	struct res_counter *heir = counter->parent;

	/* A group whose creation has failed may be freed at any time. */
	while (heir && heir->removed)
		heir = heir->parent;
	return heir;
}

/**
 * res_counter_remove() - take a counter out of its tree
 * @counter: a counter whose children were all removed, but for children that
 *	never held or reserved anything
 *
 * The parent inherits what @counter holds; its usage has that in any case. What
 * @counter has reserved and does not use is repaid. A charge under way finds
 * the counter as it was before, or goes to the nearest ancestor. A second call
 * does nothing.
 *
 * Context: Task context, no spinlock held, interrupts on: waits for CPUs that
 * have units of @counter in stock. Must not race with itself.
 * Return: The number of units that were left to the parent.
 */
u64 res_counter_remove(struct res_counter *counter)
{
	struct res_owner *owner = counter->owner, *heirs = NULL;
	struct res_counter *heir = res_counter_heir(counter);
	struct res_root *root = counter->root;
	u64 left, late, unused, reserved, held;
	struct res_excess excess = { };
	struct res_stat stat;
	unsigned long flags;
	bool counted;

	if (counter->removed)
		return 0;
	/* No slot is opened any more, then there is none. */
	raw_spin_lock_irqsave(&counter->lock, flags);
	WRITE_ONCE(counter->closed, counter->closed + 1);
	WRITE_ONCE(counter->epoch, counter->epoch + 1);
	WRITE_ONCE(counter->keep, 0);
	res_counter_update_state(counter);
	raw_spin_unlock_irqrestore(&counter->lock, flags);
	res_counter_drain_stock(counter);

	/*
	 * From here on nothing is charged here, and @used changes only as units
	 * are returned. The heir gets them before they can be returned to it.
	 */
	raw_spin_lock_irqsave(&counter->lock, flags);
	WRITE_ONCE(counter->removed, true);
	WRITE_ONCE(counter->owner, RES_OWNER_REMOVED);
	left = counter->used;
	unused = counter->taken - left;
	reserved = counter->reserved;
	WRITE_ONCE(counter->reserved, 0);
	raw_spin_unlock_irqrestore(&counter->lock, flags);
	res_unlink(counter);
	if (heir) {
		raw_spin_lock_irqsave(&heir->lock, flags);
		heir->inherited += left;
		heir->given -= left;
		if (heir->stats)
			heir->stats->lent -= reserved;
		heirs = heir->owner;
		atomic64_inc(&heirs->refs);
		raw_spin_unlock_irqrestore(&heir->lock, flags);
		res_pledge(heir, reserved, 0);
	}

	raw_spin_lock_irqsave(&counter->lock, flags);
	held = res_counter_held(counter);
	late = left - counter->used;
	counter->gone = true;
	WRITE_ONCE(counter->used, 0);
	WRITE_ONCE(counter->taken, 0);
	counter->inherited = 0;
	counter->given = 0;
	counted = res_counter_take_stat(counter, &stat);
	/* And the units that an interrupted fast path has yet to settle. */
	atomic64_add(held, &owner->refs);
	res_owner_forward(owner, heirs);
	raw_spin_unlock_irqrestore(&counter->lock, flags);

	/* The heir loses what was returned meanwhile. */
	if (heir) {
		raw_spin_lock_irqsave(&heir->lock, flags);
		heir->inherited -= late;
		heir->given += late;
		raw_spin_unlock_irqrestore(&heir->lock, flags);
	}
	excess.n = unused + late;
	excess.counted = counted;
	if (counted)
		excess.stat = stat;
	res_return(root, heir, &excess);
	__res_owner_put(owner, 1);
	return left - late;
}

/*
 * The nearest counter that is above both or is one of them; NULL: the root.
 */
static struct res_counter *res_common(struct res_counter *a, struct res_counter *b)
{
	struct res_counter *common = NULL;
	unsigned int i;

	if (!a || !b)
		return NULL;
	for (i = 0; i <= min(a->depth, b->depth) && a->path[i] == b->path[i]; i++)
		common = a->path[i];
	return common;
}

/*
 * Takes @n units of @owner out of the counter that has them, *@from, and out of
 * all others below @end. They are in the caller's hand then, and @end still has
 * given them away. Returns how many; less than @n if a reservation on the way
 * keeps the rest.
 */
static u64 res_owner_extract(struct res_owner *owner, struct res_counter *to, u64 n,
			     struct res_counter **end)
{
	struct res_counter *counter, *roomy;
	struct res_owner *live;
	u64 hand;
	unsigned long flags;
	bool own, link, first = true;

again:
	live = res_owner_live(owner);
	own = live == owner;
	hand = n;
	if (!live) {
		*end = NULL;
		goto put;
	}
	counter = res_owner_own(live);
	if (!counter)
		goto again;
	*end = res_common(counter, to);
	for (; hand && (first || counter != *end); counter = counter->parent) {
		roomy = NULL;
		raw_spin_lock_irqsave(&counter->lock, flags);
		if (counter->gone) {
			raw_spin_unlock_irqrestore(&counter->lock, flags);
			if (first)
				goto again;
			continue;
		}
		if (first) {
			counter->unsent.uncharged += hand;
			if (!own)
				counter->inherited -= hand;
		} else {
			counter->given -= hand;
		}
		if (counter == *end) {
			/* Used as before; in hand now. */
			counter->given += hand;
			link = res_counter_unlinked(counter);
			raw_spin_unlock_irqrestore(&counter->lock, flags);
			if (link)
				res_counter_link(counter);
			break;
		}
		first = false;
		res_counter_lower(counter, hand);
		roomy = res_counter_roomy(counter);
		/*
		 * While a counter is being removed, units that come back are
		 * returned for it.
		 */
		hand = counter->removed ? 0 : min(hand, res_credit(counter));
		WRITE_ONCE(counter->taken, counter->taken - hand);
		link = res_counter_unlinked(counter);
		raw_spin_unlock_irqrestore(&counter->lock, flags);
		if (link)
			res_counter_link(counter);
		if (unlikely(roomy))
			counter->root->ops->room(counter->root, roomy);
	}
put:
	if (!own) {
		res_owner_compress_path(owner);
		__res_owner_put(owner, n);
	}
	return hand;
}

/**
 * res_counter_move() - charge another counter for units charged already
 * @from: what the charge has returned
 * @to: the counter to be charged, by force
 * @n: units, 1 to %RES_COUNTER_MAX, at most as many as are still charged to
 *	@from
 *
 * The counters above both see no change, unless a reservation on only one of
 * the two paths covers the units. So no other task can take the units in
 * between. Kinds of units are not moved: this is for resources without kinds.
 *
 * Context: Task context, no spinlock held, interrupts on. @to and its ancestors
 * must stay allocated.
 * Return: What the charged object has to point to from now on; %NULL: no group
 * is charged any more, since @to and everything between it and the root were
 * removed.
 */
struct res_owner *res_counter_move(struct res_owner *from, struct res_counter *to,
				   u64 n)
{
	struct res_take take = {
		.counter = to,
		.n = n,
		.severity = BC_FORCE,
		.object = true,
		.moving = true,
	};
	struct res_root *root = to->root;
	bool link, here = false;
	unsigned long flags;
	u64 hand;

	might_sleep();
	rcu_read_lock();
	while (take.counter && READ_ONCE(take.counter->removed))
		take.counter = take.counter->parent;
	hand = res_owner_extract(from, take.counter, n, &take.end);
	if (take.counter && take.counter == take.end) {
		struct res_counter *end = take.end;

		/* @to has given them away already: only the owner changes. */
		if (hand < n) {
			take.n = n - hand;
			take.moving = false;
			take.object = false;
			res_take(&take);
		}
		raw_spin_lock_irqsave(&end->lock, flags);
		here = !end->removed;
		if (here) {
			end->given -= n;
			end->unsent.charged += n;
			take.owner = end->owner;
		}
		link = res_counter_unlinked(end);
		raw_spin_unlock_irqrestore(&end->lock, flags);
		if (link)
			res_counter_link(end);
	}
	if (!here && take.counter) {
		take.hand = hand;
		res_take(&take);
		hand = take.hand;
		if (hand)
			res_return_units(root, take.end, hand);
	} else if (!take.counter && hand) {
		res_return_units(root, NULL, hand);
	}
	rcu_read_unlock();
	res_enforce_barriers(&take, to, true);
	if (take.refusal.n && root->ops->forced)
		root->ops->forced(&take.refusal);
	return take.owner;
}

/**
 * res_owner_adopt() - give units that an ancestor was charged for to an owner
 *	whose own counter was removed
 * @owner: the owner, which res_owner_tryget() has kept
 * @from: what the charge of res_owner_counter(@owner) has returned; %NULL: that
 *	is the root, and nothing was charged
 * @n: units, at most as many as are still charged to @from
 *
 * For an object that goes on to be charged after its group was removed, and
 * keeps its owner: all its units are with one owner.
 *
 * Counters see no change: units of the ancestor's own become units that it has
 * inherited. The root is charged by force.
 *
 * It fails while the counter of @owner is just being removed: its units are on
 * their way, and the ancestor cannot inherit more. It also fails when the
 * counter of @from was removed after the charge. The caller returns the units
 * then, and charges anew, a moment later.
 *
 * Context: Any context but NMI.
 * Return: Whether the units are @owner's.
 */
bool res_owner_adopt(struct res_owner *owner, struct res_owner *from, u64 n)
{
	struct res_refusal refusal = { };
	struct res_counter *counter;
	struct res_owner *live;
	bool above, adopted = false;
	unsigned long flags;

	rcu_read_lock();
	live = res_owner_live(owner);
	if (live != from || live == owner)
		goto out;
	if (!live) {
		res_root_take(owner->root, n, 0, BC_FORCE, &refusal, &above);
		adopted = true;
	} else {
		/* RCU: a counter is freed a grace period after its removal. */
		counter = res_owner_own(live);
		if (!counter)
			goto out;
		/*
		 * Until the counter is gone its owner has no references for
		 * its units: those that it has not inherited then.
		 */
		raw_spin_lock_irqsave(&counter->lock, flags);
		adopted = !counter->gone;
		if (adopted)
			counter->inherited += n;
		raw_spin_unlock_irqrestore(&counter->lock, flags);
	}
	if (adopted)
		atomic64_add(n, &owner->refs);
out:
	rcu_read_unlock();
	return adopted;
}
