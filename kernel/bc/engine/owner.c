// SPDX-License-Identifier: GPL-2.0
/*
 * What charged objects point to
 *
 * An object may outlive the group that it was charged to. So the object points
 * to an owner, which is apart from the counter and outlives it. When the
 * counter is removed, its units become its parent's, and its owner forwards to
 * the parent's owner. While the counter is there, units hold no references to
 * the owner, so that the fast path counts once. When the counter is removed,
 * each unit that is still charged becomes a reference. Chains of owners are
 * compressed as they are walked. The idea that a removed counter leaves its
 * charges to its parent is that of memory cgroups' obj_cgroup.
 *
 * An owner is written to when a task forks, or units are returned whose group was
 * removed. So no two groups have owners in one cache line. A group with
 * several counters has two of them in each: a pair is allocated for the first one,
 * whose other half is free as long as its @to is 0, and is freed with the last half.
 */

#include <linux/bug.h>
#include <linux/init.h>
#include <linux/kmemleak.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include "internal.h"

static_assert(2 * sizeof(struct res_owner) <= RES_SLOT_SIZE);

static struct kmem_cache *res_owner_cache;

/* Guards which halves of pairs are in use. */
static DEFINE_RAW_SPINLOCK(res_owner_lock);

/* The other half of the pair. */
static struct res_owner *res_owner_twin(struct res_owner *owner)
{
	return (struct res_owner *)((unsigned long)owner ^ RES_OWNER_SIZE);
}

static struct res_owner *res_owner_pair(struct res_owner *owner)
{
	return (struct res_owner *)((unsigned long)owner & -RES_SLOT_SIZE);
}

/* Before there is any counter: in the first call, at boot. */
static bool res_owner_cache_create(void)
{
	struct kmem_cache *cache = READ_ONCE(res_owner_cache);

	if (cache)
		return true;
	cache = kmem_cache_create("res_owner", RES_SLOT_SIZE, RES_SLOT_SIZE,
				  SLAB_ACCOUNT, NULL);
	if (cache && cmpxchg(&res_owner_cache, NULL, cache))
		kmem_cache_destroy(cache);
	return READ_ONCE(res_owner_cache);
}

static void res_owner_init(struct res_owner *owner, struct res_counter *counter)
{
	owner->root = counter->root;
	atomic64_set(&owner->refs, 1);
	WRITE_ONCE(owner->to, (unsigned long)counter);
	counter->owner = owner;
}

/* Gives @counter the other half of the pair of @twin's owner, if that is free. */
static bool res_owner_join(struct res_counter *counter, const struct res_counter *twin)
{
	struct res_owner *owner;
	unsigned long flags;
	bool joined = false;

	/* A pair is freed a grace period after the removal of a counter. */
	rcu_read_lock();
	owner = READ_ONCE(twin->owner);
	if (!IS_ERR(owner)) {
		owner = res_owner_twin(owner);
		raw_spin_lock_irqsave(&res_owner_lock, flags);
		joined = !READ_ONCE(owner->to);
		if (joined)
			res_owner_init(owner, counter);
		raw_spin_unlock_irqrestore(&res_owner_lock, flags);
	}
	rcu_read_unlock();
	return joined;
}

/*
 * Gives @counter an owner, next to the one of @twin if that is not %NULL and there
 * is none yet. Returns 0 or -ENOMEM.
 */
int res_owner_create(struct res_counter *counter, const struct res_counter *twin)
{
	struct res_owner *pair;

	if (twin && res_owner_join(counter, twin))
		return 0;
	if (!res_owner_cache_create())
		return -ENOMEM;
	pair = kmem_cache_zalloc(res_owner_cache, GFP_KERNEL_ACCOUNT);
	if (!pair)
		return -ENOMEM;
	/*
	 * A removed counter's owner is known to the objects alone, and these may
	 * note it where kmemleak does not look.
	 */
	kmemleak_not_leak(pair);
	res_owner_init(pair, counter);
	return 0;
}

static void res_owner_free(struct rcu_head *rcu)
{
	struct res_owner *owner = container_of(rcu, struct res_owner, rcu);
	unsigned long flags;
	bool last;

	raw_spin_lock_irqsave(&res_owner_lock, flags);
	WRITE_ONCE(owner->to, 0);
	last = !READ_ONCE(res_owner_twin(owner)->to);
	raw_spin_unlock_irqrestore(&res_owner_lock, flags);
	if (last)
		kmem_cache_free(res_owner_cache, res_owner_pair(owner));
}

/*
 * Drops @refs references. The last one frees @owner, and with it the reference
 * to where @owner forwards.
 */
void __res_owner_put(struct res_owner *owner, u64 refs)
{
	while (owner) {
		struct res_owner *forward;
		struct res_root *root = owner->root;
		s64 left = atomic64_sub_return(refs, &owner->refs);

		WARN_ONCE(left < 0, "res_counter: owner put once too often\n");
		if (left)
			return;
		forward = res_owner_heir(READ_ONCE(owner->to));
		call_rcu(&owner->rcu, res_owner_free);
		if (root->ops->owner_freed)
			root->ops->owner_freed(root);
		owner = forward;
		refs = 1;
	}
}

/*
 * Follows @owner to the nearest owner whose counter is not removed; NULL: the
 * root. That counter can be removed at any time: the caller, in an RCU read
 * section, must look again under the counter's lock.
 */
struct res_owner *res_owner_live(struct res_owner *owner)
{
	unsigned long to;

	while (owner) {
		/* Pairs with the release in res_owner_forward(). */
		to = smp_load_acquire(&owner->to);
		if (!(to & RES_OWNER_FORWARD))
			break;
		owner = res_owner_heir(to);
	}
	return owner;
}

/*
 * Makes @owner, whose counter is removed, forward to the nearest owner that has
 * a counter. The caller has a reference to @owner and is in an RCU read
 * section.
 *
 * If the new target's counter is removed just now, the target forwards, and is
 * as good as the old one. If the target is being freed, getting a reference to
 * it fails, and the old one stays.
 */
void res_owner_compress_path(struct res_owner *owner)
{
	/* Pairs with the release in res_owner_forward(). */
	const unsigned long to = smp_load_acquire(&owner->to);
	struct res_owner *old = res_owner_heir(to);
	struct res_owner *new = res_owner_live(old);

	if (new == old || (new && !atomic64_inc_not_zero(&new->refs)))
		return;
	if (cmpxchg(&owner->to, to, (unsigned long)new | RES_OWNER_FORWARD) == to)
		__res_owner_put(old, 1);
	else
		__res_owner_put(new, 1);
}

/**
 * res_owner_counter() - the counter that has an owner's units now
 * @owner: an owner that does not go away
 *
 * Context: Any context but NMI; in an RCU read section, in which the counter
 * stays allocated.
 * Return: The counter of @owner, or of the nearest ancestor that was not
 * removed; %NULL if that is the root.
 */
struct res_counter *res_owner_counter(struct res_owner *owner)
{
	struct res_counter *counter = NULL;

	while (!counter && (owner = res_owner_live(owner)))
		counter = res_owner_own(owner);
	return counter;
}

/**
 * res_owner_tryget() - keep an owner
 * @owner: res_counter.owner of some counter that was not removed
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
 * res_owner_peek() - res_owner_counter() of what may be no owner at all
 * @owner: an address at which there was one, it may have been freed since
 * @root: the account that the owner is of
 * @counter: set to its counter, which may have been freed as well; %NULL: the root
 *
 * For a look at memory that changes meanwhile. What comes from @counter is to be
 * read with copy_from_kernel_nofault(), and not to be relied upon.
 *
 * Context: Any context.
 * Return: Whether it looks like an owner of @root's.
 */
bool res_owner_peek(const struct res_owner *owner, const struct res_root *root,
		    const struct res_counter **counter)
{
	/* A chain of live owners is not longer than the tree was deep. */
	int hops = RES_PEEK_HOPS;

	while (owner && hops--) {
		struct res_owner copy;

		if (copy_from_kernel_nofault(&copy, owner, sizeof(copy)) ||
		    copy.root != root || !copy.to)
			return false;
		if (!(copy.to & RES_OWNER_FORWARD)) {
			*counter = (struct res_counter *)copy.to;
			return true;
		}
		owner = res_owner_heir(copy.to);
	}
	*counter = NULL;
	return !owner;
}
