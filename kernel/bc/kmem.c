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
 * Each piece of memory that was charged has an owner: a slab object behind
 * itself, or in the vector that its slab has for such things (see
 * include/bc/kmem_slab.h), a page in page_ext or, without memcg, in the word of
 * struct page that memcg would have, a vmalloc area and a stack in their
 * vm_struct, percpu memory in its chunk. The CPU that allocates memory sets the
 * owner before another CPU knows the memory. The CPU that frees it takes the
 * owner away when no other CPU knows the memory any more. So no lock is needed,
 * and a charge is returned once. Each page of an allocation has a word for the
 * owner: what is allocated as one can be freed in parts.
 *
 * Where there is no room for an owner, the memory is not charged, as in memcg.
 *
 * Order
 *
 * Pages are charged before they are allocated: a group that may have no more
 * makes the machine look for none. Objects are charged after that, since their
 * slab has most often been there already. What is charged as pages or vmalloc
 * is noted while it is charged: after that begins and before it ends. The rest
 * is slab objects.
 *
 * Refusals
 *
 * What must not fail is not refused: see kmem_severity(). A refusal is NULL or
 * -ENOMEM and nothing more: no message, no OOM killer. Repeating a page fault
 * would be no use: bc_fault_leave() makes it a SIGBUS. Before a refusal the
 * group gives up what it does not use, where the caller can wait for it: see
 * kmem_reclaim.c.
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
#include <linux/vmalloc.h>

#include <bc/beancounter.h>
#include <bc/kmem.h>

#include "../../mm/slab.h"
#include "kmem.h"

static u64 kmem_capacity(enum bc_severity severity)
{
	return (u64)totalram_pages() << PAGE_SHIFT;
}

DEFINE_PER_CPU(struct res_stock, bc_kmem_stock);
struct bc_resource_state kmem_state;

const struct bc_resource kmem_resource = {
	.ss		= &kmem_cgrp_subsys,
	.id		= kmem_cgrp_id,
	.state		= &kmem_state,
	.stock		= &bc_kmem_stock,
	.key		= &bc_kmem_key,
	.refused	= -ENOMEM,
	.exhausted	= -ENOMEM,
	.bytes		= true,
	.size		= sizeof(struct kmem_group),
	/* A fork takes about as much as what memcg takes at a time. */
	.batch_min	= SZ_32K,
	.batch_max	= SZ_256K,
	/*
	 * With a limit alone, new work stops so far below it, so that what runs
	 * can go on: see "The default barrier" in Documentation/bc/kmem.rst.
	 */
	.barrier_gap	= SZ_64M,
	.kinds		= { "page", "vmalloc" },
	.other_kind	= "slab",
	.init		= kmem_init,
	.capacity	= kmem_capacity,
	.limit_hit	= kmem_limit_hit,
};

DEFINE_STATIC_KEY_FALSE(bc_kmem_key);
EXPORT_SYMBOL_GPL(bc_kmem_key);
DEFINE_PER_CPU(struct res_owner *, bc_int_active);
EXPORT_PER_CPU_SYMBOL_GPL(bc_int_active);

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

/* Has @task charge the group of @css, which cannot be removed meanwhile. */
static void kmem_set_owner(struct task_struct *task,
			   struct cgroup_subsys_state *css)
{
	struct res_owner *owner = NULL;

	/* The root group's is NULL as well. */
	if (!(task->flags & PF_KTHREAD))
		owner = READ_ONCE(css_bc(css)->counter.owner);
	WRITE_ONCE(task->bc_owner, owner);
}

/*
 * Under cgroup_mutex, so that the group that a task has left stays until the
 * task cannot find it here any more; but for a charge that has found it before,
 * with preemption off: for that the owner stays a grace period longer.
 */
static void kmem_attach(struct cgroup_taskset *tset)
{
	struct cgroup_subsys_state *css;
	struct task_struct *task;

	cgroup_taskset_for_each(task, css, tset)
		kmem_set_owner(task, css);
}

void __bc_kmem_fork(struct task_struct *child, struct css_set *cset)
{
	kmem_set_owner(child, cset->subsys[kmem_cgrp_id]);
	child->bc_active = NULL;
	/* What the parent is about is not the child's. */
	child->bc_fault = false;
	child->bc_refused = false;
	child->bc_limit = false;
	child->bc_owes = false;
	child->bc_gives_all = false;
	child->bc_hurries = false;
}

struct cgroup_subsys kmem_cgrp_subsys = {
	.css_alloc	= kmem_css_alloc,
	.attach		= kmem_attach,
	BC_CSS_CALLBACKS,
};

/* Charges */

/*
 * Whether a charge goes to any group; @active is what kmem_active() has returned.
 */
static bool kmem_charges(struct res_owner *active)
{
	if (!active && in_task())
		active = READ_ONCE(current->bc_owner);
	return active && active != BC_NOBODY;
}

static __always_inline void kmem_note(struct res_owner *owner,
				      enum kmem_kind kind, long n)
{
	if (kind != KMEM_SLAB)
		bc_note(&kmem_resource, owner, kind, n);
}

static noinline struct res_owner *
kmem_charge_slowpath(u64 n, enum kmem_kind kind, gfp_t gfp)
{
	struct res_owner *active = kmem_active(), *owner;

	if (!kmem_charges(active))
		return NULL;
	owner = kmem_charge_as(active, n, gfp);
	if (!IS_ERR_OR_NULL(owner))
		kmem_note(owner, kind, n);
	return owner;
}

/*
 * Charges this CPU's stock, with preemption off since @owner was read. @owner is
 * only compared: no slot is open for a group that is gone, or for BC_NOBODY.
 */
static __always_inline bool kmem_charge_stock(struct res_owner *owner, u64 n,
					      enum kmem_kind kind)
{
	if (kind == KMEM_SLAB)
		return res_stock_charge(&bc_kmem_stock, owner, n);
	return res_stock_charge_kind(&bc_kmem_stock, owner, n, kind);
}

#ifdef CONFIG_MEMCG
/*
 * What memcg's scope (set_active_memcg()) means for kmem: the kmem group that
 * the memcg is in, with a reference; NULL: the task's own, which it also is
 * where kmem is in another hierarchy. A scope of kmem's own says more.
 */
static struct res_owner *kmem_get_memcg_scope(void)
{
	struct mem_cgroup *memcg = current->active_memcg;
	bool own;

	if (!memcg || current->bc_active)
		return NULL;
	rcu_read_lock();
	own = task_css(current, memory_cgrp_id) == &memcg->css;
	rcu_read_unlock();
	return own ? NULL : __bc_kmem_get_of(&memcg->css);
}
#else
static struct res_owner *kmem_get_memcg_scope(void)
{
	return NULL;
}
#endif

/*
 * kmem_charge() in a scope, of kmem's own or of memcg's. Mostly the scope names
 * the task's own group (events that the task itself watches, buffer heads of
 * its pages), or a group that is charged on this CPU in turn with it: both have
 * stock here.
 */
static noinline struct res_owner *
kmem_charge_scope(u64 n, enum kmem_kind kind, gfp_t gfp)
{
	struct res_owner *scope = kmem_get_memcg_scope();
	struct res_owner *owner;
	bool charged;

	if (scope)
		bc_set_active(scope);
	preempt_disable();
	owner = current->bc_active ?: READ_ONCE(current->bc_owner);
	charged = kmem_charge_stock(owner, n, kind);
	preempt_enable();
	if (!charged)
		owner = kmem_charge_slowpath(n, kind, gfp);
	if (scope) {
		bc_set_active(NULL);
		bc_kmem_put(scope);
	}
	return owner;
}

/*
 * The usual charge: of the current task's group, from stock. Returns what was
 * charged; NULL: kmem_charge_slowpath() has to be called.
 */
static __always_inline struct res_owner *
kmem_charge_fastpath(u64 n, enum kmem_kind kind)
{
	struct res_owner *owner;
	bool charged;

	/*
	 * When the task is moved, its old group can be removed. The owner stays
	 * for a grace period, that is, as long as preemption is off.
	 */
	preempt_disable();
	owner = READ_ONCE(current->bc_owner);
	charged = kmem_charge_stock(owner, n, kind);
	preempt_enable();
	return likely(charged) ? owner : NULL;
}

/* Returns what was charged; NULL: nothing; or -ENOMEM. */
static __always_inline struct res_owner *
kmem_charge(u64 n, enum kmem_kind kind, gfp_t gfp)
{
	struct res_owner *owner;

	if (likely(in_task())) {
		if (unlikely(bc_in_scope()))
			return kmem_charge_scope(n, kind, gfp);
		owner = kmem_charge_fastpath(n, kind);
		if (likely(owner))
			return owner;
	}
	return kmem_charge_slowpath(n, kind, gfp);
}

static noinline void kmem_uncharge_slowpath(struct res_owner *owner, u64 n,
					    enum kmem_kind kind)
{
	/* Either takes one lock: the kind is noted under that, too. */
	if (kind == KMEM_SLAB)
		res_counter_uncharge(owner, n);
	else
		res_counter_uncharge_kind(owner, n, kind);
}

static __always_inline void kmem_uncharge(struct res_owner *owner, u64 n,
					  enum kmem_kind kind)
{
	bool uncharged;

	preempt_disable();
	uncharged = kind == KMEM_SLAB ?
		    res_stock_uncharge(&bc_kmem_stock, owner, n) :
		    res_stock_uncharge_kind(&bc_kmem_stock, owner, n, kind);
	preempt_enable();
	if (unlikely(!uncharged))
		kmem_uncharge_slowpath(owner, n, kind);
}

/* Pages */

#ifdef CONFIG_MEMCG
static bool __init kmem_needs_page_ext(void)
{
	return cgroup_subsys_enabled(kmem_cgrp_subsys);
}

struct page_ext_operations bc_kmem_page_ops = {
	.size = sizeof(struct res_owner *),
	.need = kmem_needs_page_ext,
};

/*
 * Owners are in page_ext, and a bit of memcg_data says that there is one: what
 * frees a page loads that word anyway. memcg keeps the bit when it charges or
 * uncharges the page. The words of pages that are in use do not change place:
 * page_ext goes with the memory.
 */
static struct res_owner **kmem_page_place(struct page_ext *ext)
{
	return page_ext_data(ext, &bc_kmem_page_ops);
}

/*
 * The page_ext of a page that is in use, and so keeps it: page_ext_get() without
 * what it does for all others.
 */
static __always_inline struct page_ext *kmem_page_ext(struct page *page)
{
#ifdef CONFIG_SPARSEMEM
	unsigned long pfn = page_to_pfn(page), nr = pfn_to_section_nr(pfn);
	void *base;

	/* __nr_to_section(), of a section that there is */
	base = mem_section[SECTION_NR_TO_ROOT(nr)][nr & SECTION_ROOT_MASK].page_ext;
	return likely(base) ? base + page_ext_size * pfn : NULL;
#else
	struct page_ext *ext = page_ext_get(page);

	page_ext_put(ext);
	return ext;
#endif
}

static __always_inline bool kmem_page_set(struct page *page, unsigned int order,
					  struct res_owner *owner)
{
	struct page_ext *ext = kmem_page_ext(page);
	unsigned int n = 1 << order;

	BUILD_BUG_ON(PAGE_BC_CHARGED & ~OBJEXTS_FLAGS_MASK);
	if (unlikely(!ext))
		return false;
	for (;;) {
		*kmem_page_place(ext) = owner;
		page->memcg_data |= PAGE_BC_CHARGED;
		if (likely(!order) || !--n)
			return true;
		ext = page_ext_next(ext);
		page++;
	}
}

static __always_inline struct res_owner *kmem_page_take(struct page *page,
							unsigned int order)
{
	struct page_ext *ext = kmem_page_ext(page);
	struct res_owner *owner = *kmem_page_place(ext);
	unsigned int n = 1 << order;

	for (;;) {
		VM_WARN_ON_ONCE(*kmem_page_place(ext) != owner);
		*kmem_page_place(ext) = NULL;
		page->memcg_data &= ~PAGE_BC_CHARGED;
		if (likely(!order) || !--n)
			return owner;
		ext = page_ext_next(ext);
		page++;
	}
}

static bool kmem_page_charged(struct page *page)
{
	return page->memcg_data & PAGE_BC_CHARGED;
}

/*
 * The owner of @page, of any page there is; %NULL if it has none. It may be
 * freed meanwhile.
 */
struct res_owner *kmem_page_owner(struct page *page)
{
	struct page_ext *ext = page_ext_get(page);
	struct res_owner *owner;

	if (!ext)
		return NULL;
	owner = READ_ONCE(*kmem_page_place(ext));
	page_ext_put(ext);
	return owner;
}
#else
/* The owner is in the word that slabs have their vectors in. */
static bool kmem_page_set(struct page *page, unsigned int order,
			  struct res_owner *owner)
{
	unsigned int i;

	for (i = 0; i < 1 << order; i++)
		page[i]._unused_slab_obj_exts = (unsigned long)owner;
	return true;
}

static struct res_owner *kmem_page_take(struct page *page, unsigned int order)
{
	unsigned long word = page->_unused_slab_obj_exts;
	unsigned int i;

	for (i = 0; i < 1 << order; i++) {
		VM_WARN_ON_ONCE(page[i]._unused_slab_obj_exts != word);
		page[i]._unused_slab_obj_exts = 0;
	}
	return (struct res_owner *)word;
}

static bool kmem_page_charged(struct page *page)
{
	return page->_unused_slab_obj_exts;
}

/* Likewise; the word of a slab is its vector, and no owner. */
struct res_owner *kmem_page_owner(struct page *page)
{
	return (struct res_owner *)READ_ONCE(page->_unused_slab_obj_exts);
}
#endif

/* There is no order in the page allocator for which this overflows. */
static unsigned int kmem_page_bytes(unsigned int order)
{
	return (unsigned int)PAGE_SIZE << order;
}

struct res_owner *__bc_page_charge(gfp_t gfp, unsigned int order)
{
	return kmem_charge(kmem_page_bytes(order), KMEM_PAGE, gfp);
}

void __bc_page_commit(struct page *page, unsigned int order,
		      struct res_owner *owner)
{
	if (unlikely(!page || !kmem_page_set(page, order, owner)))
		kmem_uncharge(owner, kmem_page_bytes(order), KMEM_PAGE);
}

/*
 * Pages that are freed together were charged together, so that they have the
 * same owner; or it is a single page.
 */
void __bc_page_uncharge(struct page *page, unsigned int order)
{
	kmem_uncharge(kmem_page_take(page, order), kmem_page_bytes(order),
		      KMEM_PAGE);
}

/* Areas and stacks: one charge, whose owner is in the vm_struct. */

int __bc_vmalloc_charge(struct vm_struct *area, gfp_t gfp)
{
	struct res_owner *owner;

	owner = kmem_charge(get_vm_area_size(area), KMEM_VMALLOC, gfp);
	if (IS_ERR(owner))
		return PTR_ERR(owner);
	area->bc = owner;
	return 0;
}

void __bc_vmalloc_uncharge(struct vm_struct *area)
{
	struct res_owner *owner = area->bc;

	if (!owner)
		return;
	area->bc = NULL;
	kmem_uncharge(owner, get_vm_area_size(area), KMEM_VMALLOC);
}

/* Slab objects */

/*
 * The slab of an object, which is known to be in one, and the object's offset
 * there: mostly it is in the first page, or in the only one.
 */
static __always_inline struct slab *kmem_object_slab(void *object,
						     unsigned int *offset)
{
	struct page *page = virt_to_page(object);
	struct folio *folio = (struct folio *)page;

	if (likely(!PageTail(page))) {
		*offset = offset_in_page(object);
	} else {
		folio = page_folio(page);
		*offset = bc_slab_offset(folio_slab(folio), object);
	}
	return folio_slab(folio);
}

/*
 * bc_slab_place() for a caller that does not know the slab: it is looked for
 * only if it is needed.
 */
static struct res_owner **kmem_object_place(struct kmem_cache *s, void *object)
{
	if (bc_slab_has_owner(s, object))
		return bc_object_owner(s, object);
	return bc_slab_place(s, virt_to_slab(object), object);
}

/*
 * The place for the owner of an object. If there is none yet, it is made, unless
 * no group would be charged anyway.
 */
static struct res_owner **kmem_make_place(struct kmem_cache *s, void *object,
					  gfp_t flags)
{
	struct res_owner **place = kmem_object_place(s, object);

	if (likely(place))
		return place;
	if (!kmem_charges(kmem_active()) ||
	    alloc_slab_obj_exts(virt_to_slab(object), s,
				flags & gfp_allowed_mask, false))
		return NULL;
	return kmem_object_place(s, object);
}

bool __bc_slab_charge_bulk(struct kmem_cache *s, gfp_t flags, size_t nr,
			   void **p)
{
	struct res_owner **place, *owner;
	size_t i, owned = 0;

	for (i = 0; i < nr; i++)
		if (kmem_make_place(s, p[i], flags))
			owned++;
	if (!owned)
		return true;
	owner = kmem_charge((u64)owned * s->size, KMEM_SLAB, flags);
	if (IS_ERR_OR_NULL(owner))
		return !owner;
	for (i = 0; i < nr && owned; i++) {
		place = kmem_object_place(s, p[i]);
		if (!place)
			continue;
		*place = owner;
		owned--;
	}
	return true;
}

/* Where bc_object_charge() and __bc_slab_charge_vector() give up: any charge. */
bool __bc_slab_charge(struct kmem_cache *s, gfp_t flags, void *object)
{
	struct res_owner **place, *owner;

	place = object ? kmem_make_place(s, object, flags) : NULL;
	if (!place)
		return true;
	owner = kmem_charge(s->size, KMEM_SLAB, flags);
	if (IS_ERR(owner))
		return false;
	*place = owner;
	return true;
}

/*
 * There was less than an object in stock: undo that, and take the slow path.
 * Preemption is still off.
 */
static noinline bool kmem_slab_charge_undo(struct kmem_cache *s, gfp_t flags,
					   void *object, struct res_slot *slot)
{
	__res_slot_undo(slot, s->size);
	preempt_enable();
	return __bc_slab_charge(s, flags, object);
}

/*
 * What bc_object_charge() does, for an object whose owner is in the vector. It calls
 * functions only where nothing is left to be done after them, so that no register
 * has to be saved.
 */
bool __bc_slab_charge_vector(struct kmem_cache *s, gfp_t flags, void *object)
{
	struct res_owner **place, *owner;
	struct slabobj_ext *exts;
	struct res_slot *slot;
	unsigned int offset;

	if (unlikely(!object))
		return true;
	if (unlikely(!in_task() || bc_in_scope()))
		return __bc_slab_charge(s, flags, object);
	exts = slab_obj_exts(kmem_object_slab(object, &offset));
	if (unlikely(!exts))
		return __bc_slab_charge(s, flags, object);
	place = bc_vector_place(s, object, offset, exts);
	preempt_disable();
	owner = READ_ONCE(current->bc_owner);
	slot = res_this_slot(&bc_kmem_stock, owner);
	if (unlikely(slot->owner != owner)) {
		preempt_enable();
		return __bc_slab_charge(s, flags, object);
	}
	if (unlikely(res_slot_take(slot, s->size)))
		return kmem_slab_charge_undo(s, flags, object, slot);
	preempt_enable();
	*place = owner;
	return true;
}

bool __bc_slab_post_charge(void *p, gfp_t flags)
{
	struct folio *folio = virt_to_folio(p);
	struct res_owner **place, *owner;
	struct kmem_cache *s;
	unsigned int order;

	if (!folio_test_slab(folio)) {
		if (kmem_page_charged(&folio->page))
			return true;
		order = folio_order(folio);
		owner = __bc_page_charge(flags, order);
		if (IS_ERR(owner))
			return false;
		bc_page_commit(&folio->page, order, owner);
		return true;
	}

	s = folio_slab(folio)->slab_cache;
	/*
	 * A vector may be in a slab like this one, and must not keep it from
	 * being freed.
	 */
	if (is_kmalloc_normal(s))
		return true;
	place = bc_slab_place(s, folio_slab(folio), p);
	if (place && *place)
		return true;
	return __bc_slab_charge(s, flags, p);
}

/*
 * The place for the owner of the object that @p points into; NULL if there is
 * none.
 */
static struct res_owner **kmem_slab_place(const void *p)
{
	struct slab *slab = virt_to_slab(p);
	struct kmem_cache *s;

	if (!slab)
		return NULL;
	s = slab->slab_cache;
	return bc_slab_place(s, slab, nearest_obj(s, slab, kasan_reset_tag(p)));
}

/* The owner stays as long as the object is charged to it. */
struct res_owner *__bc_slab_owner(const void *p)
{
	struct res_owner **place = kmem_slab_place(p);

	return place ? *place : NULL;
}
EXPORT_SYMBOL_GPL(__bc_slab_owner);

bool __bc_slab_recharge(void *p, gfp_t flags)
{
	struct res_owner **place = kmem_slab_place(p);
	struct res_owner *old = place ? *place : NULL, *owner;
	unsigned int size;

	if (!old)
		return __bc_slab_post_charge(p, flags);
	owner = __bc_kmem_get_current();
	bc_kmem_put(owner);
	/* The usual case, for which there need not be room twice. */
	if (owner == old)
		return true;
	size = virt_to_slab(p)->slab_cache->size;
	owner = kmem_charge(size, KMEM_SLAB, flags);
	if (IS_ERR(owner))
		return false;
	*place = owner;
	kmem_uncharge(old, size, KMEM_SLAB);
	return true;
}

/* Percpu memory, which the kernel allocates with vmalloc(), in large chunks */

struct res_owner *__bc_percpu_charge(size_t size, gfp_t gfp)
{
	return kmem_charge((u64)size * num_possible_cpus(), KMEM_VMALLOC, gfp);
}

void __bc_percpu_commit(struct res_owner **place, struct res_owner *owner,
			size_t size)
{
	if (place)
		*place = owner;
	else
		kmem_uncharge(owner, (u64)size * num_possible_cpus(), KMEM_VMALLOC);
}

void __bc_percpu_uncharge(struct res_owner **place, size_t size)
{
	struct res_owner *owner = *place;

	if (!owner)
		return;
	*place = NULL;
	kmem_uncharge(owner, (u64)size * num_possible_cpus(), KMEM_VMALLOC);
}

/* Acting for a group */

struct res_owner *__bc_kmem_get_current(void)
{
	struct res_owner *owner = kmem_active();

	if (owner) {
		/* The code that has set it active holds a reference. */
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
	/* With kmem in another hierarchy this is kmem's root group. */
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
