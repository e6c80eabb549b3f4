// SPDX-License-Identifier: GPL-2.0
/*
 * kmem: how much kernel memory a group may have
 *
 * Counts bytes of what the kernel allocates on a task's request: slab objects,
 * pages, vmalloc and percpu memory, wherever __GFP_ACCOUNT or SLAB_ACCOUNT asks for
 * it, which are the marks of the beancounter patches of 2006 under the names that
 * mainline gave them later. User memory is not counted; memcg does that.
 *
 * Owners
 *
 * A slab object's owner is in the vector that its slab has for such things (struct
 * slabobj_ext), a page's in page_ext, percpu memory's in its chunk. Whoever allocates
 * sets it before anybody else can know the memory, and who frees it takes it away
 * when nobody uses it any more; so no lock is needed, and it is returned once. Each
 * subpage of an allocation has its owner in its own page_ext: what is allocated as one
 * can be freed in parts, and nobody has to tell us when it is split. The low bit says
 * that a page counts as vmalloc.
 *
 * Where the vector cannot be had, the object belongs to nobody and is not charged,
 * as in memcg.
 *
 * Order
 *
 * Pages are charged before they are allocated: a group that may have no more makes
 * the machine look for none. Objects are charged after that, since their slab has
 * most often been there already. What is charged is noted (slab, page, vmalloc)
 * while it is charged: after that begins and before it ends.
 *
 * Refusals
 *
 * Who must not fail does not: see kmem_severity(). Everybody else gets NULL or -ENOMEM
 * and nothing more: no message, no OOM killer. A page fault could only be repeated,
 * which is no use: bc_fault_leave() makes it a SIGBUS. Before all that, unused dentries
 * and inodes are given up, where the caller can wait for it: kmem_make_room().
 */

#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/kasan.h>
#include <linux/kfence.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/page_ext.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include <bc/beancounter.h>
#include <bc/kmem.h>

#include "../../mm/slab.h"
#include "kmem.h"

/* Bits beside a page's owner. */
#define KMEM_IS_VMALLOC		BIT(0)
#define KMEM_BITS		BIT(0)

DEFINE_STATIC_KEY_FALSE(bc_kmem_key);
EXPORT_SYMBOL_GPL(bc_kmem_key);
DEFINE_PER_CPU(struct res_owner *, bc_int_active);
EXPORT_PER_CPU_SYMBOL_GPL(bc_int_active);

static u64 kmem_capacity(enum bc_severity severity)
{
	return (u64)totalram_pages() << PAGE_SHIFT;
}

static DEFINE_PER_CPU(struct res_stock, kmem_stock);
struct bc_resource_state kmem_state;

const struct bc_resource kmem_resource = {
	.ss		= &kmem_cgrp_subsys,
	.id		= kmem_cgrp_id,
	.state		= &kmem_state,
	.stock		= &kmem_stock,
	.key		= &bc_kmem_key,
	.refused	= -ENOMEM,
	.exhausted	= -ENOMEM,
	.bytes		= true,
	.size		= sizeof(struct kmem_group),
	/* A fork takes about as much as what memcg takes at a time. */
	.batch_min	= SZ_32K,
	.batch_max	= SZ_256K,
	/*
	 * With a limit alone, new work stops so far below it, so that what runs can
	 * go on: see "The default barrier" in Documentation/bc/kmem.rst.
	 */
	.barrier_gap	= SZ_64M,
	.kinds		= { "slab", "page", "vmalloc" },
	.init		= kmem_init,
	.capacity	= kmem_capacity,
	.limit_hit	= kmem_limit_hit,
};

static struct cgroup_subsys_state *
kmem_css_alloc(struct cgroup_subsys_state *parent)
{
	/* As with memcg, the allocators ask from the first group on. */
	if (parent) {
		static_branch_enable(&kmem_accounting_key);
		static_branch_enable(&kmem_refuse_key);
	}
	return bc_css_alloc(&kmem_resource, parent);
}

struct cgroup_subsys kmem_cgrp_subsys = {
	.css_alloc	= kmem_css_alloc,
	BC_CSS_CALLBACKS,
};

/* Charges */

/* Whether anybody is charged, @active being what kmem_active() has returned. */
static bool kmem_charges(struct res_owner *active)
{
	bool charges;

	if (active)
		return active != BC_NOBODY;
	if (!in_task() || (current->flags & PF_KTHREAD))
		return false;
	rcu_read_lock();
	charges = task_css(current, kmem_cgrp_id)->parent;
	rcu_read_unlock();
	return charges;
}

static noinline struct res_owner *
kmem_charge_slowpath(u64 n, enum kmem_kind kind, gfp_t gfp)
{
	struct res_owner *active = kmem_active(), *owner;

	if (!kmem_charges(active))
		return NULL;
	owner = kmem_charge_as(active, n, gfp);
	if (!IS_ERR_OR_NULL(owner))
		bc_note(&kmem_resource, owner, kind, n);
	return owner;
}

/*
 * The usual charge: of a task's group, from stock. Returns whom was charged; NULL: it
 * is a matter of kmem_charge_slowpath().
 */
static __always_inline struct res_owner *kmem_charge_fastpath(u64 n,
							      enum kmem_kind kind)
{
	struct res_owner *owner;
	bool charged;

	if (unlikely(!in_task() || current->bc_active ||
		     (current->flags & PF_KTHREAD)))
		return NULL;
	/* Without preemption, the group and its owner do not go away. */
	preempt_disable();
	owner = READ_ONCE(css_bc(task_css(current, kmem_cgrp_id))->counter.owner);
	charged = res_stock_charge_kind(&kmem_stock, owner, n, kind);
	preempt_enable();
	return likely(charged) ? owner : NULL;
}

/* Returns whom was charged; NULL: nobody; or -ENOMEM. */
static __always_inline struct res_owner *
kmem_charge(u64 n, enum kmem_kind kind, gfp_t gfp)
{
	struct res_owner *owner = kmem_charge_fastpath(n, kind);

	return likely(owner) ? owner : kmem_charge_slowpath(n, kind, gfp);
}

static noinline void kmem_uncharge_slowpath(struct res_owner *owner, u64 n,
					    enum kmem_kind kind)
{
	bc_note(&kmem_resource, owner, kind, -(long)n);
	res_counter_uncharge(owner, n);
}

static __always_inline void kmem_uncharge(struct res_owner *owner, u64 n,
					  enum kmem_kind kind)
{
	bool uncharged;

	preempt_disable();
	uncharged = res_stock_uncharge_kind(&kmem_stock, owner, n, kind);
	preempt_enable();
	if (unlikely(!uncharged))
		kmem_uncharge_slowpath(owner, n, kind);
}

/* Pages */

static bool __init kmem_needs_page_ext(void)
{
	return cgroup_subsys_enabled(kmem_cgrp_subsys);
}

struct page_ext_operations bc_kmem_page_ops = {
	.size = sizeof(unsigned long),
	.need = kmem_needs_page_ext,
};

static unsigned long *kmem_page_word(struct page_ext *ext)
{
	return page_ext_data(ext, &bc_kmem_page_ops);
}

static struct res_owner *kmem_word_owner(unsigned long word)
{
	return (struct res_owner *)(word & ~KMEM_BITS);
}

static enum kmem_kind kmem_word_kind(unsigned long word)
{
	return word & KMEM_IS_VMALLOC ? KMEM_VMALLOC : KMEM_PAGE;
}

/*
 * The owner of @page, of any page there is, and of which kind it is; %NULL if it has
 * none. It may be freed meanwhile.
 */
struct res_owner *kmem_page_owner(struct page *page, enum kmem_kind *kind)
{
	struct page_ext *ext = page_ext_get(page);
	unsigned long word;

	if (!ext)
		return NULL;
	word = READ_ONCE(*kmem_page_word(ext));
	page_ext_put(ext);
	*kind = kmem_word_kind(word);
	return kmem_word_owner(word);
}

/* Sets the words of 1 << @order pages; false if there is no place for them. */
static bool kmem_page_set(struct page *page, unsigned int order,
			  unsigned long word)
{
	struct page_ext *first = page_ext_get(page), *ext = first;
	unsigned int i;

	if (unlikely(!first))
		return false;
	for (i = 0; i < 1 << order; i++) {
		*kmem_page_word(ext) = word;
		ext = page_ext_next(ext);
	}
	page_ext_put(first);
	return true;
}

struct res_owner *__bc_page_charge(gfp_t gfp, unsigned int order)
{
	return kmem_charge(PAGE_SIZE << order, KMEM_PAGE, gfp);
}

void __bc_page_commit(struct page *page, unsigned int order,
		      struct res_owner *owner)
{
	if (!page || !kmem_page_set(page, order, (unsigned long)owner))
		kmem_uncharge(owner, PAGE_SIZE << order, KMEM_PAGE);
}

/*
 * Takes the words of 1 << @order pages, which are the same: pages that are freed
 * together were charged together, or a single one was not at all.
 */
static unsigned long kmem_page_take(struct page_ext *first, unsigned int order)
{
	unsigned long word = *kmem_page_word(first);
	struct page_ext *ext = first;
	unsigned int i;

	for (i = 0; i < 1 << order; i++) {
		VM_WARN_ON_ONCE(*kmem_page_word(ext) != word);
		*kmem_page_word(ext) = 0;
		ext = page_ext_next(ext);
	}
	return word;
}

void __bc_page_uncharge(struct page *page, unsigned int order)
{
	struct page_ext *ext = page_ext_get(page);
	unsigned long word;

	if (unlikely(!ext))
		return;
	/*
	 * Most pages are not charged, and do not have to say so more than once;
	 * least of all those of sizes that the buddy allocator does not have.
	 */
	if (!*kmem_page_word(ext) &&
	    !(IS_ENABLED(CONFIG_DEBUG_VM) && order <= MAX_PAGE_ORDER)) {
		page_ext_put(ext);
		return;
	}
	word = kmem_page_take(ext, order);
	page_ext_put(ext);
	if (word)
		kmem_uncharge(kmem_word_owner(word), PAGE_SIZE << order,
			      kmem_word_kind(word));
}

void __bc_vmalloc_note(struct page **pages, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct page_ext *ext = page_ext_get(pages[i]);
		unsigned long word;

		if (unlikely(!ext))
			continue;
		word = *kmem_page_word(ext);
		if (word)
			*kmem_page_word(ext) = word | KMEM_IS_VMALLOC;
		page_ext_put(ext);
		if (!word)
			continue;
		bc_note(&kmem_resource, kmem_word_owner(word), KMEM_VMALLOC,
			PAGE_SIZE);
		bc_note(&kmem_resource, kmem_word_owner(word), KMEM_PAGE,
			-(long)PAGE_SIZE);
	}
}

int __bc_stack_charge(struct vm_struct *vm)
{
	const u64 size = vm->nr_pages * PAGE_SIZE;
	struct res_owner *owner = kmem_charge(size, KMEM_VMALLOC, GFP_KERNEL);
	unsigned long word = (unsigned long)owner | KMEM_IS_VMALLOC;
	bool set = true;
	unsigned int i;

	if (IS_ERR_OR_NULL(owner))
		return PTR_ERR_OR_ZERO(owner);
	/* All pages have a place for it, or none has. */
	for (i = 0; i < vm->nr_pages; i++)
		set &= kmem_page_set(vm->pages[i], 0, word);
	if (unlikely(!set))
		kmem_uncharge(owner, size, KMEM_VMALLOC);
	return 0;
}

void __bc_stack_uncharge(struct vm_struct *vm)
{
	unsigned long word = 0;
	unsigned int i;

	/* All have the same, or none has any. */
	for (i = 0; i < vm->nr_pages; i++) {
		struct page_ext *ext = page_ext_get(vm->pages[i]);

		if (unlikely(!ext))
			continue;
		word = kmem_page_take(ext, 0);
		page_ext_put(ext);
	}
	if (word)
		kmem_uncharge(kmem_word_owner(word), vm->nr_pages * PAGE_SIZE,
			      KMEM_VMALLOC);
}

/* Slab objects */

/* The vector for owners of @slab; made, if there is none but somebody to be charged. */
static struct slabobj_ext *kmem_slab_exts(struct kmem_cache *s,
					  struct slab *slab, gfp_t flags)
{
	struct slabobj_ext *exts = slab_obj_exts(slab);

	if (likely(exts))
		return exts;
	if (!kmem_charges(kmem_active()) ||
	    alloc_slab_obj_exts(slab, s, flags & gfp_allowed_mask, false))
		return NULL;
	return slab_obj_exts(slab);
}

/*
 * obj_to_index(), without asking where the slab is: that is where the buddy allocator
 * has put it, at a multiple of its size.
 */
static __always_inline struct slabobj_ext *
kmem_slab_ext(struct slabobj_ext *exts, struct kmem_cache *s, struct slab *slab,
	      void *obj)
{
	unsigned long size = PAGE_SIZE << slab_order(slab);
	unsigned long offset = (unsigned long)kasan_reset_tag(obj) & (size - 1);

	if (is_kfence_address(obj))
		return exts;
	return exts + reciprocal_divide(offset, s->reciprocal_size);
}

/*
 * The entry of the object @idx in @slab, which may be freed meanwhile, and *@owner
 * what it says. Returns %NULL if there is none.
 */
const struct slabobj_ext *kmem_slab_ext_nofault(struct slab *slab,
						unsigned int idx,
						struct res_owner **owner)
{
	unsigned long exts = READ_ONCE(slab->obj_exts) & ~OBJEXTS_FLAGS_MASK;
	const struct slabobj_ext *ext = (struct slabobj_ext *)exts + idx;

	if (!exts || copy_from_kernel_nofault(owner, &ext->bc, sizeof(*owner)))
		return NULL;
	return ext;
}

static noinline bool kmem_slab_charge_bulk(struct kmem_cache *s, gfp_t flags,
					   size_t nr, void **p)
{
	struct res_owner *owner;
	size_t i, owned = 0;

	for (i = 0; i < nr; i++)
		if (kmem_slab_exts(s, virt_to_slab(p[i]), flags))
			owned++;
	if (!owned)
		return true;
	owner = kmem_charge((u64)owned * s->size, KMEM_SLAB, flags);
	if (IS_ERR_OR_NULL(owner))
		return !owner;
	for (i = 0; i < nr && owned; i++) {
		struct slab *slab = virt_to_slab(p[i]);
		struct slabobj_ext *exts = slab_obj_exts(slab);

		if (!exts)
			continue;
		kmem_slab_ext(exts, s, slab, p[i])->bc = owner;
		owned--;
	}
	return true;
}

static noinline bool kmem_slab_charge_slowpath(struct kmem_cache *s,
					       gfp_t flags, void *obj)
{
	struct slab *slab = virt_to_slab(obj);
	struct slabobj_ext *exts = kmem_slab_exts(s, slab, flags);
	struct res_owner *owner;

	if (!exts)
		return true;
	owner = kmem_charge_slowpath(s->size, KMEM_SLAB, flags);
	if (IS_ERR(owner))
		return false;
	kmem_slab_ext(exts, s, slab, obj)->bc = owner;
	return true;
}

bool __bc_slab_charge(struct kmem_cache *s, gfp_t flags, size_t nr, void **p)
{
	struct slabobj_ext *exts;
	struct res_owner *owner;
	struct folio *folio;
	struct slab *slab;
	void *obj = *p;

	if (unlikely(!obj))
		return true;
	if (unlikely(nr > 1))
		return kmem_slab_charge_bulk(s, flags, nr, p);

	/* It cannot be anything but a slab's. */
	folio = virt_to_folio(obj);
	slab = folio_slab(folio);
	exts = slab_obj_exts(slab);
	if (unlikely(!exts))
		return kmem_slab_charge_slowpath(s, flags, obj);
	owner = kmem_charge_fastpath(s->size, KMEM_SLAB);
	if (unlikely(!owner))
		return kmem_slab_charge_slowpath(s, flags, obj);
	kmem_slab_ext(exts, s, slab, obj)->bc = owner;
	return true;
}

bool __bc_slab_post_charge(void *p, gfp_t flags)
{
	struct folio *folio = virt_to_folio(p);
	struct slabobj_ext *exts;
	struct slab *slab;

	if (!folio_test_slab(folio)) {
		const unsigned int order = folio_order(folio);
		struct page_ext *ext = page_ext_get(&folio->page);
		struct res_owner *owner;
		bool charged;

		if (!ext)
			return true;
		charged = *kmem_page_word(ext);
		page_ext_put(ext);
		if (charged)
			return true;
		owner = __bc_page_charge(flags, order);
		if (IS_ERR(owner))
			return false;
		bc_page_commit(&folio->page, order, owner);
		return true;
	}

	slab = folio_slab(folio);
	/* A vector may be in a slab like this one, and must not keep it from being freed. */
	if (is_kmalloc_normal(slab->slab_cache))
		return true;
	exts = slab_obj_exts(slab);
	if (exts && kmem_slab_ext(exts, slab->slab_cache, slab, p)->bc)
		return true;
	return __bc_slab_charge(slab->slab_cache, flags, 1, &p);
}

void __bc_slab_uncharge(struct kmem_cache *s, struct slab *slab, void *obj,
			struct slabobj_ext *exts)
{
	struct slabobj_ext *ext = kmem_slab_ext(exts, s, slab, obj);
	struct res_owner *owner = ext->bc;

	if (!owner)
		return;
	ext->bc = NULL;
	kmem_uncharge(owner, s->size, KMEM_SLAB);
}

/* The owner of the object that @p points into, which stays; NULL: it has none. */
struct res_owner *kmem_slab_owner(const void *p)
{
	struct slab *slab = virt_to_slab(p);
	struct slabobj_ext *exts = slab ? slab_obj_exts(slab) : NULL;

	if (!exts)
		return NULL;
	return kmem_slab_ext(exts, slab->slab_cache, slab, (void *)p)->bc;
}

/* Percpu memory, which is vmalloced in great chunks. */

struct res_owner *__bc_percpu_charge(size_t size, gfp_t gfp)
{
	return kmem_charge((u64)size * num_possible_cpus(), KMEM_VMALLOC, gfp);
}

void __bc_percpu_uncharge(struct res_owner *owner, size_t size)
{
	kmem_uncharge(owner, (u64)size * num_possible_cpus(), KMEM_VMALLOC);
}

/* Acting for a group */

struct res_owner *__bc_kmem_get_current(void)
{
	struct res_owner *owner = kmem_active();

	if (owner) {
		/* Whoever has made it active keeps it. */
		if (owner != BC_NOBODY)
			WARN_ON_ONCE(!res_owner_tryget(owner));
		return owner;
	}
	if (current->flags & PF_KTHREAD)
		return BC_NOBODY;
	return bc_get_owner(&kmem_resource, NULL) ?: BC_NOBODY;
}
EXPORT_SYMBOL_GPL(__bc_kmem_get_current);

struct res_owner *__bc_kmem_get_of(struct cgroup_subsys_state *css)
{
	struct cgroup_subsys_state *ours;
	struct res_owner *owner = NULL;

	rcu_read_lock();
	ours = cgroup_e_css(css->cgroup, &kmem_cgrp_subsys);
	/* Of another hierarchy we would get the root here. */
	if (ours->cgroup->root == css->cgroup->root)
		owner = bc_get_owner(&kmem_resource, ours) ?: BC_NOBODY;
	rcu_read_unlock();
	return owner;
}
EXPORT_SYMBOL_GPL(__bc_kmem_get_of);

void __bc_kmem_put(struct res_owner *owner)
{
	res_owner_put(owner);
}
EXPORT_SYMBOL_GPL(__bc_kmem_put);
