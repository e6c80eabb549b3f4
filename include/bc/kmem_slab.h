/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kmem: owners of slab objects, for mm/slab.h and the files that include it
 *
 * Most caches whose objects are always accounted have an owner behind each
 * object, mostly in what alignment or the end of the slab would leave unused:
 * see calculate_owner(). Where there is none, and where the flag of an allocation
 * decides, the owner is in the vector that the slab has for such things.
 * Each of KFENCE's objects has a vector of its own.
 *
 * The owner is set by the CPU that allocates the object, before another CPU
 * knows it, and taken away by the CPU that frees it, when no other CPU knows it
 * any more. A task that charges or recharges it in between has it alone. So no
 * lock is needed. In a free object it is NULL. What else reads it keeps the
 * object from being freed (bc_slab_owner()) or checks what it has read
 * (kernel/bc/kmem_holders.c).
 */
#ifndef _BC_KMEM_SLAB_H
#define _BC_KMEM_SLAB_H

#ifdef CONFIG_BC_KMEM

#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include <bc/kmem.h>
#include <bc/res_counter.h>

DECLARE_PER_CPU(struct res_stock, bc_kmem_stock);

/*
 * kmem_cache.bc_offset of a cache whose objects do not have their owners behind
 * them. OF_SOME: an object is charged if the flag of its allocation asks for it.
 * IN_VECTORS: all are. Without kmem's groups (cgroup_disable=kmem) no cache is
 * anything but OF_SOME.
 */
#define BC_OWNERS_OF_SOME	0
#define BC_OWNERS_IN_VECTORS	1

/* Whether objects have their owners behind them. */
static __always_inline bool bc_cache_has_owners(const struct kmem_cache *s)
{
	return s->bc_offset > BC_OWNERS_IN_VECTORS;
}

/* An object of a new slab, before it is poisoned. */
static inline void bc_slab_init_owner(struct kmem_cache *s, void *object)
{
	if (bc_cache_has_owners(s))
		*(struct res_owner **)(object + s->bc_offset) = NULL;
}

/*
 * The offset of an object in its slab, times this, has the object's index in the
 * upper half. It is 2^32 / size, rounded up: what that adds to the index is less
 * than the bytes of a slab divided by 2^32.
 */
static inline void bc_cache_set_reciprocal(struct kmem_cache *s)
{
	s->bc_reciprocal = U32_MAX / s->size + 1;
}

/*
 * Where in the vector of its slab the owner of an object is. This is what
 * obj_to_index() says, with fewer steps, as @offset is that of an object.
 */
static __always_inline struct res_owner **
bc_vector_place(struct kmem_cache *s, void *object, unsigned int offset,
		struct slabobj_ext *exts)
{
	if (is_kfence_address(object))
		return &exts->bc;
	return &exts[(u64)offset * s->bc_reciprocal >> 32].bc;
}

/* The offset of an object in its slab. */
static __always_inline unsigned int bc_slab_offset(struct slab *slab,
						   void *object)
{
	return kasan_reset_tag(object) - slab_address(slab);
}

/* Whether this object has its owner behind it. */
static __always_inline bool bc_slab_has_owner(struct kmem_cache *s,
					      void *object)
{
	return bc_cache_has_owners(s) && likely(!is_kfence_address(object));
}

/* Where such an object has it: it may be in what KASAN takes for a redzone. */
static __always_inline struct res_owner **
bc_object_owner(struct kmem_cache *s, void *object)
{
	return kasan_reset_tag(object) + s->bc_offset;
}

/* Where the owner of an object is; NULL: there is no place for it yet. */
static __always_inline struct res_owner **
bc_slab_place(struct kmem_cache *s, struct slab *slab, void *object)
{
	struct slabobj_ext *exts;

	if (bc_slab_has_owner(s, object))
		return bc_object_owner(s, object);
	exts = slab_obj_exts(slab);
	if (!exts)
		return NULL;
	return bc_vector_place(s, object, bc_slab_offset(slab, object), exts);
}

/* Whether the current task charges something else than its own group. */
static __always_inline bool bc_in_scope(void)
{
	unsigned long scope = (unsigned long)current->bc_active;

#ifdef CONFIG_MEMCG
	scope |= (unsigned long)current->active_memcg;
#endif
	return scope;
}

/*
 * Charges an object that has its owner behind it to the current task's group, from
 * this CPU's stock, and returns whether it has. It is inline: this is what most
 * charges are, and to call a function takes half as many steps again.
 */
static __always_inline bool bc_object_charge(struct kmem_cache *s, void *object)
{
	struct res_owner *owner;
	struct res_slot *slot;
	bool charged = false;

	if (unlikely(!object || !in_task() || bc_in_scope()))
		return false;
	/* See kmem_charge_fastpath(). */
	preempt_disable();
	owner = READ_ONCE(current->bc_owner);
	slot = res_this_slot(&bc_kmem_stock, owner);
	if (likely(slot->owner == owner)) {
		charged = !res_slot_take(slot, s->size);
		if (unlikely(!charged))
			__res_slot_undo(slot, s->size);
	}
	preempt_enable();
	if (likely(charged))
		*bc_object_owner(s, object) = owner;
	return charged;
}

bool __must_check __bc_slab_charge(struct kmem_cache *s, gfp_t flags,
				   void *object);
bool __must_check __bc_slab_charge_vector(struct kmem_cache *s, gfp_t flags,
					  void *object);
bool __must_check __bc_slab_charge_bulk(struct kmem_cache *s, gfp_t flags,
					size_t nr, void **p);

/**
 * bc_slab_charge() - charge objects that were just allocated
 * @s: their cache
 * @flags: of the allocation
 * @nr: how many objects
 * @p: the objects; a single one may be %NULL, which is not charged
 *
 * An object is not charged if its cache and its flags do not ask for it, or if
 * there is no memory to note its owner.
 *
 * Context: Any context but NMI; as @flags say. After kmem_accounting() only.
 * Return: Whether they may be used. If not, they are to be freed.
 */
static __always_inline bool __must_check
bc_slab_charge(struct kmem_cache *s, gfp_t flags, size_t nr, void **p)
{
	/*
	 * bc_kmem_charges() without its key, which need not be asked: bc_owner is
	 * a group's owner only while there is one, and the key is on. BC_LOOK_UP
	 * may outlive that, and charges nothing then.
	 */
	if (!data_race(current->bc_owner))
		return true;
	if (bc_cache_has_owners(s) && likely(nr == 1) &&
	    likely(!is_kfence_address(*p)))
		return likely(bc_object_charge(s, *p)) ||
		       __bc_slab_charge(s, flags, *p);
	if (s->bc_offset == BC_OWNERS_OF_SOME && likely(!(flags & __GFP_BC)))
		return true;
	if (likely(nr == 1))
		return __bc_slab_charge_vector(s, flags, *p);
	return __bc_slab_charge_bulk(s, flags, nr, p);
}

/* Returns what an object was charged, whose owner is at @place. */
static __always_inline void bc_owner_uncharge(struct kmem_cache *s,
					      struct res_owner **place)
{
	/* Read again: the caller, which mostly finds NULL, needs no register for it. */
	struct res_owner *owner = READ_ONCE(*place);
	bool uncharged;

	*place = NULL;
	preempt_disable();
	uncharged = res_stock_uncharge(&bc_kmem_stock, owner, s->size);
	preempt_enable();
	if (unlikely(!uncharged))
		res_counter_uncharge(owner, s->size);
}

/*
 * Returns what an object was charged. For an object that was not, which is the
 * usual one, this takes as few steps as possible.
 */
static __always_inline void bc_object_uncharge(struct kmem_cache *s,
					       struct slab *slab, void *object)
{
	struct res_owner **place;
	struct slabobj_ext *exts;

	if (bc_slab_has_owner(s, object)) {
		place = bc_object_owner(s, object);
	} else {
		exts = slab_obj_exts(slab);
		if (likely(!exts))
			return;
		place = bc_vector_place(s, object, bc_slab_offset(slab, object),
					exts);
	}
	if (*place)
		bc_owner_uncharge(s, place);
}

/**
 * bc_slab_uncharge() - return what objects were charged, if they were
 * @s: their cache
 * @slab: their slab
 * @p: the objects, which are being freed
 * @nr: how many
 *
 * Context: Any context but NMI.
 */
static __always_inline void bc_slab_uncharge(struct kmem_cache *s,
					     struct slab *slab, void **p, int nr)
{
	int i;

	if (bc_kmem_online())
		for (i = 0; i < nr; i++)
			bc_object_uncharge(s, slab, p[i]);
}

#else

static inline bool bc_cache_has_owners(const struct kmem_cache *s)
{
	return false;
}

static inline void bc_slab_init_owner(struct kmem_cache *s, void *object)
{
}

static inline void bc_cache_set_reciprocal(struct kmem_cache *s)
{
}

static inline bool __must_check
bc_slab_charge(struct kmem_cache *s, gfp_t flags, size_t nr, void **p)
{
	return true;
}

static inline void bc_slab_uncharge(struct kmem_cache *s, struct slab *slab,
				    void **p, int nr)
{
}

#endif /* CONFIG_BC_KMEM */
#endif /* _BC_KMEM_SLAB_H */
