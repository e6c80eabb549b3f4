/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kmem: hooks for the allocators, and for code that allocates for a group
 */
#ifndef _BC_KMEM_H
#define _BC_KMEM_H

#include <linux/atomic.h>
#include <linux/cgroup.h>
#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/gfp_types.h>
#include <linux/jump_label.h>
#include <linux/memcontrol.h>
#include <linux/mm_types.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include <bc/kmem_refuse.h>

struct cgroup_subsys_state;
struct css_set;
struct kmem_cache;
struct page_ext_operations;
struct res_owner;

/*
 * The mark of the beancounter patches, on which memcg's is a later variation.
 */
#define __GFP_BC	__GFP_ACCOUNT
#define GFP_KERNEL_BC	(GFP_KERNEL | __GFP_BC)
#define SLAB_BC		SLAB_ACCOUNT

/*
 * For bc_set_active(): no group is charged. With NULL the current task's group
 * is charged and, in an interrupt, no group.
 */
#define BC_NOBODY	((struct res_owner *)ERR_PTR(-ESRCH))

/*
 * In current->bc_owner: the group has to be looked up, as the task has left it
 * in exit.
 */
#define BC_LOOK_UP	((struct res_owner *)ERR_PTR(-EAGAIN))

/*
 * In page->memcg_data of a page that is no slab's: kmem has charged this page.
 * The bit is the first that memcg has no use for, and among those that it
 * masks.
 */
#if defined(CONFIG_BC_KMEM) && defined(CONFIG_MEMCG)
#define PAGE_BC_CHARGED	((unsigned long)__NR_MEMCG_DATA_FLAGS)
#else
#define PAGE_BC_CHARGED	0UL
#endif

#ifdef CONFIG_BC_KMEM

/**
 * struct bc_vmalloc_area - what bc_vmalloc_next() tells of a vmalloc area
 * @owner: what it is charged to; %NULL: nothing
 * @size: bytes that are charged, if any are
 * @end: of its addresses
 * @page: the first of its pages, which may be freed meanwhile; or %NULL
 */
struct bc_vmalloc_area {
	struct res_owner	*owner;
	unsigned long		size;
	unsigned long		end;
	struct page		*page;
};

bool bc_vmalloc_next(unsigned long addr, struct bc_vmalloc_area *area);

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
	return static_branch_likely(&bc_kmem_key);
}

struct res_owner * __must_check __bc_page_charge(gfp_t gfp, unsigned int order);
void __bc_page_commit(struct page *page, unsigned int order,
		      struct res_owner *owner);
void __bc_page_uncharge(struct page *page, unsigned int order);
int __must_check __bc_vmalloc_charge(struct vm_struct *area, gfp_t gfp);
void __bc_vmalloc_uncharge(struct vm_struct *area);
bool __must_check __bc_slab_post_charge(void *p, gfp_t flags);
struct res_owner * __must_check __bc_percpu_charge(size_t size, gfp_t gfp);
void __bc_percpu_commit(struct res_owner **place, struct res_owner *owner,
			size_t size);
void __bc_percpu_uncharge(struct res_owner **place, size_t size);
bool __bc_kmem_may_fork(void);
void __bc_kmem_fork(struct task_struct *child, struct css_set *cset);
bool __must_check __bc_slab_recharge(void *p, gfp_t flags);
struct res_owner *__bc_slab_owner(const void *p);
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

static inline int __must_check
__bc_vmalloc_charge(struct vm_struct *area, gfp_t gfp)
{
	return 0;
}

static inline void __bc_vmalloc_uncharge(struct vm_struct *area)
{
}

static inline bool __must_check __bc_slab_post_charge(void *p, gfp_t flags)
{
	return true;
}

static inline bool __must_check __bc_slab_recharge(void *p, gfp_t flags)
{
	return true;
}

static inline struct res_owner *__bc_slab_owner(const void *p)
{
	return NULL;
}

static inline struct res_owner * __must_check
__bc_percpu_charge(size_t size, gfp_t gfp)
{
	return NULL;
}

static inline void __bc_percpu_commit(struct res_owner **place,
				      struct res_owner *owner, size_t size)
{
}

static inline void __bc_percpu_uncharge(struct res_owner **place, size_t size)
{
}

static inline bool __bc_kmem_may_fork(void)
{
	return true;
}

static inline void __bc_kmem_fork(struct task_struct *child,
				  struct css_set *cset)
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
 * bc_kmem_enabled() - whether there can be a group whose kernel memory is
 * counted
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
 * kmem_accounting() - whether memcg or kmem counts kernel memory
 *
 * The allocators ask this first, and only then which of the two counts it:
 * where neither does, kmem costs them nothing that memcg does not cost.
 *
 * Return: Whether there is, or was, a group of either.
 */
static __always_inline bool kmem_accounting(void)
{
#ifdef CONFIG_KMEM_ACCOUNT
	return static_branch_likely(&kmem_accounting_key);
#else
	return false;
#endif
}

/**
 * bc_kmem_charges() - whether the current task charges anything to a group
 *
 * A task of the root group and a kernel thread do not, unless they act for a
 * group: their bc_owner is %NULL. An interrupt gets the answer of the task that
 * it has interrupted; the charge itself then asks for the interrupt.
 *
 * bc_owner is the owner of the task's group. It is written by the parent when
 * the task is made, under cgroup_mutex when the task is moved, and by the task
 * itself, which never replaces one group by another: see bc_set_active(). Only
 * the task itself uses it, while the owner is kept from being freed: see
 * kmem_charge_fastpath(). Here it may be read as it is: if the task is moved at
 * the same time, either answer is as good.
 *
 * Context: Any context but NMI.
 * Return: false: nothing is charged.
 */
static __always_inline bool bc_kmem_charges(void)
{
#ifdef CONFIG_BC_KMEM
	/* For its being NULL or not */
	return bc_kmem_online() && data_race(current->bc_owner);
#else
	return false;
#endif
}

/**
 * bc_kmem_may_fork() - whether there is room for one task more
 *
 * Where a group has a limit and no barrier was written, a new task is refused before
 * all else: see __bc_kmem_may_fork().
 *
 * Context: Task context; may sleep.
 */
static inline bool bc_kmem_may_fork(void)
{
	return !bc_kmem_charges() || __bc_kmem_may_fork();
}

/**
 * bc_kmem_fork() - have a new task charge its group
 * @child: the task, which does not run yet
 * @cset: of the groups that it will be in; cgroup core keeps it from being
 *	moved until it is there
 *
 * Context: Task context.
 */
static inline void bc_kmem_fork(struct task_struct *child, struct css_set *cset)
{
	/* Without groups, bc_owner is copied from the parent: NULL. */
	if (bc_kmem_online())
		__bc_kmem_fork(child, cset);
}

/**
 * bc_kmem_exit() - a task begins to exit
 * @task: the current task, with PF_EXITING
 *
 * From here on it is not moved any more, but its group can be removed. What the
 * task still allocates is charged to the group or, if that was removed, to the
 * nearest ancestor that was not.
 *
 * Context: Task context.
 */
static inline void bc_kmem_exit(struct task_struct *task)
{
#ifdef CONFIG_BC_KMEM
	if (bc_kmem_charges())
		WRITE_ONCE(task->bc_owner, BC_LOOK_UP);
#endif
}

/**
 * bc_page_charge() - charge pages that are about to be allocated
 * @gfp: the flags of the allocation
 * @order: of the allocation
 *
 * Context: Any context but NMI; as @gfp says.
 * Return: For bc_page_commit(): the owner that was charged, or %NULL. An errno:
 * the pages must not be allocated.
 */
static __always_inline struct res_owner * __must_check
bc_page_charge(gfp_t gfp, unsigned int order)
{
	if (!(gfp & __GFP_BC) || !bc_kmem_charges())
		return NULL;
	return __bc_page_charge(gfp, order);
}

/**
 * bc_page_commit() - note the owner of pages that were charged
 * @page: the first of the pages; %NULL: there are none, the charge is returned
 * @order: as bc_page_charge() was told
 * @owner: what it has returned
 *
 * Context: Any context but NMI. No other CPU knows the pages yet.
 */
static __always_inline void
bc_page_commit(struct page *page, unsigned int order, struct res_owner *owner)
{
	if (owner)
		__bc_page_commit(page, order, owner);
}

/**
 * bc_page_uncharge() - return what pages were charged, if they were
 * @page: the first of the pages, which are being freed, or given to user memory
 * @order: of what is uncharged, which may be a part of what was allocated
 *
 * Context: Any context but NMI. No other CPU has the pages any more.
 */
static __always_inline void bc_page_uncharge(struct page *page,
					     unsigned int order)
{
#ifdef CONFIG_BC_KMEM
#ifdef CONFIG_MEMCG
	if (bc_kmem_online() && unlikely(page->memcg_data & PAGE_BC_CHARGED))
		__bc_page_uncharge(page, order);
#else
	if (bc_kmem_online() && unlikely(page->_unused_slab_obj_exts))
		__bc_page_uncharge(page, order);
#endif
#endif
}

/**
 * bc_vmalloc_charge() - charge the pages of an area as a whole
 * @area: the area, which has no owner; its pages are not charged themselves
 * @gfp: the flags of the allocation
 *
 * Context: Task context; as @gfp says.
 * Return: 0 or -ENOMEM.
 */
static inline int __must_check bc_vmalloc_charge(struct vm_struct *area,
						 gfp_t gfp)
{
	if (!(gfp & __GFP_BC) || !bc_kmem_charges())
		return 0;
	return __bc_vmalloc_charge(area, gfp);
}

/**
 * bc_vmalloc_uncharge() - return what an area was charged, if it was
 * @area: the area, which is being freed, or of which its user has no more use
 *
 * Context: Any context but NMI.
 */
static inline void bc_vmalloc_uncharge(struct vm_struct *area)
{
	if (bc_kmem_online())
		__bc_vmalloc_uncharge(area);
}

/**
 * bc_slab_post_charge() - charge an object that was allocated before
 * @p: the object, of a cache or of kmalloc()
 * @flags: as for an allocation
 *
 * An object that is charged already stays as it is.
 *
 * Context: Any context but NMI; as @flags say.
 * Return: Whether it may be kept.
 */
static inline bool __must_check bc_slab_post_charge(void *p, gfp_t flags)
{
	return !bc_kmem_charges() || __bc_slab_post_charge(p, flags);
}

/**
 * bc_slab_recharge() - charge an object to the current task's group from now on
 * @p: the object, of a cache; the caller has it alone
 * @flags: as for an allocation
 *
 * For an object that is handed from one group to another. The group that was
 * charged for it until now is uncharged.
 *
 * Context: Task context; as @flags say.
 * Return: Whether the task may have it. If not, the object is charged as before.
 */
static inline bool __must_check bc_slab_recharge(void *p, gfp_t flags)
{
	return !bc_kmem_online() || __bc_slab_recharge(p, flags);
}

/**
 * bc_slab_owner() - the owner that an object is charged to
 * @p: the object, of a cache or of kmalloc(), or a part of it; it is not freed
 *	meanwhile
 *
 * For memory that is allocated because of the object, by another task or by an
 * interrupt.
 *
 * Context: Any context but NMI.
 * Return: For bc_set_active(), as long as the object is there.
 */
static inline struct res_owner *bc_slab_owner(const void *p)
{
	struct res_owner *owner = NULL;

	if (bc_kmem_online())
		owner = __bc_slab_owner(p);
	return owner ?: BC_NOBODY;
}

/**
 * bc_percpu_charge() - charge memory of all CPUs that is about to be allocated
 * @size: bytes for each CPU
 * @gfp: the flags of the allocation
 *
 * Context: Any context but NMI; as @gfp says.
 * Return: For bc_percpu_commit(): the owner that was charged, or %NULL. An
 * errno: the memory must not be allocated.
 */
static inline struct res_owner * __must_check
bc_percpu_charge(size_t size, gfp_t gfp)
{
	if (!(gfp & __GFP_BC) || !bc_kmem_charges())
		return NULL;
	return __bc_percpu_charge(size, gfp);
}

/**
 * bc_percpu_commit() - note the owner of percpu memory that was charged
 * @place: where to; %NULL: there is no place or no memory, the charge is
 *	returned
 * @owner: what bc_percpu_charge() has returned
 * @size: as that was told
 *
 * Context: Any context but NMI. No other CPU knows the memory yet.
 */
static inline void bc_percpu_commit(struct res_owner **place,
				    struct res_owner *owner, size_t size)
{
	if (owner)
		__bc_percpu_commit(place, owner, size);
}

/**
 * bc_percpu_uncharge() - return what percpu memory was charged, if it was
 * @place: where its owner is; %NULL: nowhere
 * @size: as bc_percpu_charge() was told
 *
 * Context: Any context but NMI. No other CPU has the memory any more.
 */
static inline void bc_percpu_uncharge(struct res_owner **place, size_t size)
{
	if (bc_kmem_online() && place)
		__bc_percpu_uncharge(place, size);
}

/*
 * Acting for a group
 */

/**
 * bc_kmem_get_current() - the owner that the current task's memory is charged to
 *
 * For an object for which other tasks or interrupts allocate memory later on.
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
 * @p: the object, or a part of it, in a list of unused objects
 *
 * A group that makes room gives up what it was charged for, and nothing else:
 * see kernel/bc/kmem_reclaim.c.
 *
 * Context: Task context; the object stays.
 * Return: false: the current task looks for objects of a group that this one is
 * not charged to.
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
 * bc_set_active() - from here on, kernel memory is charged to another group
 * @owner: what to charge: an owner that bc_kmem_get_current() or the like has
 *	returned, and that is kept until the end of the scope; %BC_NOBODY; or
 *	%NULL, to charge the current task's group again
 *
 * The scope is the current task's or, in an interrupt, that interrupt's. In it,
 * what is allocated with __GFP_BC is charged to @owner. A call with what this
 * one has returned ends the scope; scopes nest. A scope that names the task's
 * own group changes nothing.
 *
 * A task that charges nothing by itself leaves the allocators' hooks at once,
 * as its bc_owner is %NULL; in a scope it is %BC_NOBODY. Another CPU may move
 * the task to a group meanwhile. Hence the exchanges: the owner of a group,
 * which that CPU has written, stays. If that CPU moves the task to the root
 * group, the rest of the scope is charged to no group.
 *
 * Context: Any context but NMI.
 * Return: What was charged before.
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
	if (!IS_ERR_OR_NULL(owner)) {
		if (!READ_ONCE(current->bc_owner))
			cmpxchg(&current->bc_owner, NULL, BC_NOBODY);
	} else if (unlikely(READ_ONCE(current->bc_owner) == BC_NOBODY) &&
		   !current->bc_active && !this_cpu_read(bc_int_active)) {
		cmpxchg(&current->bc_owner, BC_NOBODY, NULL);
	}
#endif
	return old;
}

/**
 * bc_limit_save() - from here on, be refused at the limit, and not at the barrier
 *
 * For what an ordinary task allocates that other tasks need to get out of
 * trouble: the __GFP_BC_LIMIT of 2006, as a scope, since in some configurations
 * no gfp flag is left. Scopes nest; they do not apply to interrupts.
 *
 * Context: Task context.
 * Return: For bc_limit_restore().
 */
static inline bool bc_limit_save(void)
{
	bool outer = false;

#ifdef CONFIG_BC_KMEM
	outer = current->bc_limit;
	current->bc_limit = true;
#endif
	return outer;
}

/**
 * bc_limit_restore() - the end of a scope of bc_limit_save()
 * @outer: what that has returned
 *
 * Context: Task context.
 */
static inline void bc_limit_restore(bool outer)
{
#ifdef CONFIG_BC_KMEM
	current->bc_limit = outer;
#endif
}

#endif /* _BC_KMEM_H */
