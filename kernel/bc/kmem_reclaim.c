// SPDX-License-Identifier: GPL-2.0
/*
 * What a group gives up of its kernel memory before it is refused more
 */

#include <linux/cgroup.h>
#include <linux/gfp.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>

#include "kmem.h"

/*
 * How hard a charge insists. The privileged, of whom the core knows, insist as the
 * middle ones do.
 *
 *  - What kmem_never_refused() says is always there.
 *  - Between barrier and limit there is some for those who are in trouble without
 *    it: in a page fault, or for whom the allocator has reserves, too.
 */
static enum bc_severity kmem_severity(gfp_t gfp, struct res_owner *active)
{
	if (kmem_never_refused(gfp, active))
		return BC_FORCE;
	if ((gfp & (__GFP_BC_LIMIT | __GFP_HIGH)) ||
	    (in_task() && current->bc_fault))
		return BC_LIMIT;
	return BC_BARRIER;
}

/**
 * kmem_charge_as() - charge a group, and do all that a refusal calls for
 * @res: kmem's descriptor
 * @active: the group that a scope names; %NULL: the current task's
 * @n: bytes
 * @gfp: flags of the allocation
 *
 * Context: Any context but NMI; as @gfp says.
 * Return: The owner that was charged; %NULL: there is none; or -ENOMEM.
 */
struct res_owner *kmem_charge_as(const struct bc_resource *res,
				 struct res_owner *active, u64 n, gfp_t gfp)
{
	const enum bc_severity severity = kmem_severity(gfp, active);
	const bool may_block = gfpflags_allow_blocking(gfp);
	const bool nofs = may_block && !(gfp & __GFP_FS);
	struct res_owner *owner;
	unsigned int flags = 0;

	/* For kmem_limit_hit(). */
	if (nofs)
		flags = memalloc_nofs_save();
	if (active)
		owner = bc_charge_owner(res, active, n, severity, may_block);
	else
		owner = __bc_charge(res, n, severity, may_block);
	if (nofs)
		memalloc_nofs_restore(flags);
	if (IS_ERR(owner) && in_task())
		current->bc_refused = true;
	return owner;
}

#ifdef CONFIG_MEMCG
/* The memcg that has what @bc is charged for, with a reference; it may be the root. */
static struct mem_cgroup *kmem_get_memcg(struct beancounter *bc)
{
	struct cgroup_subsys_state *css;
	struct mem_cgroup *memcg;

	if (mem_cgroup_disabled())
		return NULL;
	css = cgroup_get_e_css(bc->css.cgroup, &memory_cgrp_subsys);
	memcg = mem_cgroup_from_css(css);
	if (!mem_cgroup_is_root(memcg))
		return memcg;
	/* Another hierarchy; but who is refused has allocated some of it. */
	css_put(css);
	return get_mem_cgroup_from_mm(current->mm);
}
#else
static struct mem_cgroup *kmem_get_memcg(struct beancounter *bc)
{
	return NULL;
}
#endif

/* A charge that is refused for now. */
struct kmem_refused {
	struct beancounter		*bc;
	const struct res_refusal	*refusal;
};

static bool kmem_has_room(void *arg)
{
	const struct kmem_refused *r = arg;
	struct res_snapshot snap;

	res_counter_read(&r->bc->counter, &snap);
	return r->refusal->bound >= r->refusal->n &&
	       snap.usage <= r->refusal->bound - r->refusal->n;
}

/*
 * Makes room in @bc, if there is something that is charged and not used. The charge is
 * tried again only if there is room.
 */
bool kmem_limit_hit(struct beancounter *bc,
		    const struct res_refusal *refusal, bool may_block)
{
	struct kmem_group *group = container_of(bc, struct kmem_group, bc);
	struct kmem_refused refused = { .bc = bc, .refusal = refusal };
	struct mem_cgroup *memcg;
	bool room;

	/* What the machine lacks it gets by its own ways. */
	if (refusal->machine || refusal->n > refusal->bound || !may_block ||
	    !(current_gfp_context(GFP_KERNEL) & __GFP_FS))
		return false;
	/* Nobody cleans up for somebody else. */
	if (kmem_active())
		return false;
	memcg = kmem_get_memcg(bc);
	/* Who lowers a reservation, which is no charge, does not do so all the time. */
	room = kmem_make_room(&group->room, memcg, !refusal->n, kmem_has_room,
			      &refused);
	mem_cgroup_put(memcg);
	return room;
}

int kmem_init(struct beancounter *bc)
{
	struct kmem_group *group = container_of(bc, struct kmem_group, bc);

	kmem_room_init(&group->room);
	return 0;
}
