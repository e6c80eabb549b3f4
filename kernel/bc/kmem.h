/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of kmem share; not for other controllers
 */
#ifndef _KERNEL_BC_KMEM_H
#define _KERNEL_BC_KMEM_H

#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include <bc/beancounter.h>
#include <bc/kmem.h>

#include "refuse.h"

/**
 * struct kmem_group - a group's account of kernel memory
 * @one: the group and its account
 * @room: how it makes room
 */
struct kmem_group {
	struct bc_single	one;
	struct kmem_room	room;
};

/*
 * The kinds of memory in the file "stat". Slab objects are what is neither page
 * nor vmalloc.
 */
enum kmem_kind {
	KMEM_PAGE,
	KMEM_VMALLOC,
	KMEM_SLAB,
};

/* What is charged instead of the current task's group: see bc_set_active(). */
static __always_inline struct res_owner *kmem_active(void)
{
	return in_task() ? current->bc_active : this_cpu_read(bc_int_active);
}

/* mm/shrinker.c */
extern struct list_head shrinker_list;

/* kmem.c */
extern const struct bc_resource kmem_resource;

/* kmem_reclaim.c */
struct res_owner *kmem_charge_as(struct res_owner *active, u64 n, gfp_t gfp);
int kmem_init(struct beancounter *bc);
bool kmem_limit_hit(struct beancounter *bc, const struct res_refusal *refusal,
		    bool may_block);

/* kmem.c, for kmem_holders.c */
extern struct bc_resource_state kmem_state;
struct res_owner *kmem_page_owner(struct page *page);

#endif /* _KERNEL_BC_KMEM_H */
