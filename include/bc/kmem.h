/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kmem: hooks for the allocators, and for who allocates on behalf of a group
 */
#ifndef _BC_KMEM_H
#define _BC_KMEM_H

#include <linux/cgroup.h>
#include <linux/err.h>
#include <linux/gfp_types.h>
#include <linux/jump_label.h>
#include <linux/memcontrol.h>
#include <linux/mm_types.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include <bc/kmem_refuse.h>

struct cgroup_subsys_state;
struct kmem_cache;
struct page_ext_operations;
struct res_owner;
struct slab;
struct slabobj_ext;
struct vm_struct;

/* The mark of the beancounter patches, on which memcg's is a later variation. */
#define __GFP_BC	__GFP_ACCOUNT
#define GFP_KERNEL_BC	(GFP_KERNEL | __GFP_BC)
#define SLAB_BC		SLAB_ACCOUNT

/* For bc_set_active(): nobody is charged. NULL: whoever would be without that. */
#define BC_NOBODY	((struct res_owner *)ERR_PTR(-ESRCH))

#ifdef CONFIG_BC_KMEM

DECLARE_STATIC_KEY_FALSE(bc_kmem_key);
DECLARE_PER_CPU(struct res_owner *, bc_int_active);
extern struct page_ext_operations bc_kmem_page_ops;

/**
 * bc_kmem_online() - whether there is any group whose kernel memory is counted
 *
 * Return: Whether there is one, or an object that one has left behind.
 */
static __always_inline bool bc_kmem_online(void)
{
	return static_branch_unlikely(&bc_kmem_key);
}

struct res_owner * __must_check __bc_page_charge(gfp_t gfp, unsigned int order);
void __bc_page_commit(struct page *page, unsigned int order,
		      struct res_owner *owner);
void __bc_page_uncharge(struct page *page, unsigned int order);
void __bc_vmalloc_note(struct page **pages, unsigned int nr);
int __must_check __bc_stack_charge(struct vm_struct *vm);
void __bc_stack_uncharge(struct vm_struct *vm);
bool __must_check __bc_slab_charge(struct kmem_cache *s, gfp_t flags, size_t nr,
				   void **p);
bool __must_check __bc_slab_post_charge(void *p, gfp_t flags);
void __bc_slab_uncharge(struct kmem_cache *s, struct slab *slab, void *obj,
			struct slabobj_ext *exts);
struct res_owner * __must_check __bc_percpu_charge(size_t size, gfp_t gfp);
void __bc_percpu_uncharge(struct res_owner *owner, size_t size);
struct res_owner *__bc_kmem_get_current(void);
struct res_owner *__bc_kmem_get_of(struct cgroup_subsys_state *css);
void __bc_kmem_put(struct res_owner *owner);
bool __bc_kmem_gives_up(const void *p);

#else

static __always_inline bool bc_kmem_online(void)
{
	return false;
}

static inline struct res_owner * __must_check
__bc_page_charge(gfp_t gfp, unsigned int order)
{
	return NULL;
}

static inline void __bc_page_commit(struct page *page, unsigned int order,
				    struct res_owner *owner)
{
}

static inline void __bc_page_uncharge(struct page *page, unsigned int order)
{
}

static inline void __bc_vmalloc_note(struct page **pages, unsigned int nr)
{
}

static inline int __must_check __bc_stack_charge(struct vm_struct *vm)
{
	return 0;
}

static inline void __bc_stack_uncharge(struct vm_struct *vm)
{
}

static inline bool __must_check
__bc_slab_charge(struct kmem_cache *s, gfp_t flags, size_t nr, void **p)
{
	return true;
}

static inline bool __must_check __bc_slab_post_charge(void *p, gfp_t flags)
{
	return true;
}

static inline void __bc_slab_uncharge(struct kmem_cache *s, struct slab *slab,
				      void *obj, struct slabobj_ext *exts)
{
}

static inline struct res_owner * __must_check
__bc_percpu_charge(size_t size, gfp_t gfp)
{
	return NULL;
}

static inline void __bc_percpu_uncharge(struct res_owner *owner, size_t size)
{
}

static inline struct res_owner *__bc_kmem_get_current(void)
{
	return NULL;
}

static inline struct res_owner *
__bc_kmem_get_of(struct cgroup_subsys_state *css)
{
	return NULL;
}

static inline void __bc_kmem_put(struct res_owner *owner)
{
}

static inline bool __bc_kmem_gives_up(const void *p)
{
	return true;
}

#endif /* CONFIG_BC_KMEM */

/**
 * bc_kmem_enabled() - whether there can be a group whose kernel memory is counted
 *
 * Return: false with cgroup_disable=kmem, or where kmem is not compiled in.
 */
static inline bool bc_kmem_enabled(void)
{
#ifdef CONFIG_BC_KMEM
	return cgroup_subsys_enabled(kmem_cgrp_subsys);
#else
	return false;
#endif
}

#ifdef CONFIG_KMEM_ACCOUNT
DECLARE_STATIC_KEY_FALSE(kmem_accounting_key);
#endif

/**
 * kmem_accounting() - whether anybody counts kernel memory: memcg, or kmem
 *
 * The allocators ask this, and who it is only after that: where nobody does, kmem
 * costs them nothing that memcg does not cost.
 *
 * Return: Whether there is, or was, a group of either.
 */
static __always_inline bool kmem_accounting(void)
{
#ifdef CONFIG_KMEM_ACCOUNT
	return static_branch_unlikely(&kmem_accounting_key);
#else
	return false;
#endif
}

/**
 * bc_page_charge() - charge pages that are about to be allocated
 * @gfp: the flags of the allocation, with __GFP_BC
 * @order: of the allocation
 *
 * Context: Any context but NMI; as @gfp says.
 * Return: For bc_page_commit(); an errno: they are not to be allocated.
 */
static inline struct res_owner * __must_check
bc_page_charge(gfp_t gfp, unsigned int order)
{
	return bc_kmem_online() ? __bc_page_charge(gfp, order) : NULL;
}

/**
 * bc_page_commit() - have pages that were charged for remember it
 * @page: the first of the pages; %NULL: there were none, and they are uncharged
 * @order: as bc_page_charge() was told
 * @owner: what it has returned
 *
 * Context: Any context but NMI.
 */
static inline void bc_page_commit(struct page *page, unsigned int order,
				  struct res_owner *owner)
{
	if (owner)
		__bc_page_commit(page, order, owner);
}

/**
 * bc_page_uncharge() - return what pages were charged, if they were
 * @page: the first of the pages, which are being freed, or given to user memory
 * @order: how many; it does not matter what they were allocated with
 *
 * Context: Any context but NMI.
 */
static inline void bc_page_uncharge(struct page *page, unsigned int order)
{
	if (bc_kmem_online())
		__bc_page_uncharge(page, order);
}

/**
 * bc_vmalloc_note() - have pages count as vmalloc, if they are charged
 * @pages: single pages
 * @nr: how many
 *
 * Context: Any context but NMI.
 */
static inline void bc_vmalloc_note(struct page **pages, unsigned int nr)
{
	if (bc_kmem_online())
		__bc_vmalloc_note(pages, nr);
}

/**
 * bc_stack_charge() - charge a new task's stack
 * @vm: the stack, vmalloced without __GFP_BC as it may have been another task's
 *
 * Context: Task context; may sleep.
 * Return: 0 or -ENOMEM.
 */
static inline int __must_check bc_stack_charge(struct vm_struct *vm)
{
	return bc_kmem_online() ? __bc_stack_charge(vm) : 0;
}

/**
 * bc_stack_uncharge() - return what a stack was charged, if it was
 * @vm: the stack, of which its task has no more use
 *
 * Context: Task context.
 */
static inline void bc_stack_uncharge(struct vm_struct *vm)
{
	if (bc_kmem_online())
		__bc_stack_uncharge(vm);
}

/**
 * bc_slab_charge() - charge objects that were just allocated
 * @s: their cache
 * @flags: of the allocation
 * @nr: how many objects
 * @p: the objects; a single one may be %NULL, which is charged to nobody
 *
 * Objects with no memory for their owners are left uncharged.
 *
 * Context: Any context but NMI; as @flags say.
 * Return: Whether they may be used. If not, they are to be freed.
 */
static __always_inline bool __must_check
bc_slab_charge(struct kmem_cache *s, gfp_t flags, size_t nr, void **p)
{
	return !bc_kmem_online() || __bc_slab_charge(s, flags, nr, p);
}

/**
 * bc_slab_post_charge() - charge an object that was allocated long ago
 * @p: the object, of a cache or of kmalloc()
 * @flags: as for an allocation
 *
 * One that is charged stays as it is.
 *
 * Context: Any context but NMI; as @flags say.
 * Return: Whether it may be kept.
 */
static inline bool __must_check bc_slab_post_charge(void *p, gfp_t flags)
{
	return !bc_kmem_online() || __bc_slab_post_charge(p, flags);
}

/**
 * bc_percpu_charge() - charge memory of all CPUs that is about to be allocated
 * @size: bytes for each CPU
 * @gfp: the flags of the allocation
 *
 * Context: Any context but NMI; as @gfp says.
 * Return: For bc_percpu_uncharge() with the same @size; %NULL: nobody was charged;
 * an errno: it is not to be allocated.
 */
static inline struct res_owner * __must_check
bc_percpu_charge(size_t size, gfp_t gfp)
{
	if (!bc_kmem_online() || !(gfp & __GFP_BC))
		return NULL;
	return __bc_percpu_charge(size, gfp);
}

/**
 * bc_percpu_uncharge() - return what bc_percpu_charge() has taken
 * @owner: what that has returned
 * @size: as that was told
 *
 * Context: Any context but NMI.
 */
static inline void bc_percpu_uncharge(struct res_owner *owner, size_t size)
{
	if (owner)
		__bc_percpu_uncharge(owner, size);
}

/*
 * Acting for a group
 */

/**
 * bc_kmem_get_current() - whom the current task's kernel memory is charged to
 *
 * For an object that others allocate memory for later on.
 *
 * Context: Task context.
 * Return: For bc_set_active(), until bc_kmem_put().
 */
static inline struct res_owner *bc_kmem_get_current(void)
{
	return bc_kmem_online() ? __bc_kmem_get_current() : BC_NOBODY;
}

/**
 * bc_kmem_get_of() - the kmem group that the group of another controller is in
 * @css: the group, in its hierarchy; %NULL: none
 *
 * That is not known if kmem is in another hierarchy, or if there is no group.
 *
 * Context: Any context but NMI.
 * Return: For bc_set_active(), until bc_kmem_put(); %NULL, if it is not known.
 */
static inline struct res_owner *bc_kmem_get_of(struct cgroup_subsys_state *css)
{
	return css && bc_kmem_online() ? __bc_kmem_get_of(css) : NULL;
}

/**
 * bc_kmem_get_memcg() - the kmem group that a memcg is in
 * @memcg: the memcg, %NULL: none
 *
 * Context: Any context but NMI.
 * Return: As bc_kmem_get_of().
 */
static inline struct res_owner *bc_kmem_get_memcg(struct mem_cgroup *memcg)
{
#ifdef CONFIG_MEMCG
	return bc_kmem_get_of(memcg ? &memcg->css : NULL);
#else
	return NULL;
#endif
}

/**
 * bc_kmem_put() - an owner is no longer needed
 * @owner: what one of the above has returned, or %NULL
 *
 * Context: Any context but NMI.
 */
static inline void bc_kmem_put(struct res_owner *owner)
{
	if (!IS_ERR_OR_NULL(owner))
		__bc_kmem_put(owner);
}

/**
 * bc_kmem_gives_up() - whether an unused object may be given up now
 * @p: the object, or a part of it, in a list of such
 *
 * A group that makes room gives up what it was charged for, and nothing else: see
 * kernel/bc/kmem_reclaim.c.
 *
 * Context: Task context; the object stays.
 * Return: false: the current task looks for objects of a group that this one is not
 * charged to.
 */
static inline bool bc_kmem_gives_up(const void *p)
{
#ifdef CONFIG_BC_KMEM
	if (unlikely(current->bc_own_only))
		return __bc_kmem_gives_up(p);
#endif
	return true;
}

/**
 * bc_set_active() - from here on, kernel memory is charged to somebody else
 * @owner: whom to charge: what bc_kmem_get_current() or one like it has returned
 *	and is kept until the end; %BC_NOBODY; or %NULL, to charge the current task's
 *	group again
 *
 * What is allocated with __GFP_BC counts. For the current task or, in an interrupt,
 * until that ends. The end of the scope is a call with what this has returned;
 * scopes nest.
 *
 * Context: Any context but NMI.
 * Return: Whom it was charged to before.
 */
static inline struct res_owner *bc_set_active(struct res_owner *owner)
{
	struct res_owner *old = NULL;

#ifdef CONFIG_BC_KMEM
	if (in_task()) {
		old = current->bc_active;
		current->bc_active = owner;
	} else {
		old = this_cpu_read(bc_int_active);
		this_cpu_write(bc_int_active, owner);
	}
#endif
	return old;
}

#endif /* _BC_KMEM_H */
