/* SPDX-License-Identifier: GPL-2.0 */
/*
 * memcg's independent limit of kernel memory: hooks for memcg
 */
#ifndef __MM_MEMCG_KMEM_H
#define __MM_MEMCG_KMEM_H

#include <linux/memcontrol.h>

struct cftype;

#ifdef CONFIG_MEMCG_KMEM_INDEPENDENT

int __must_check memcg_kmem_charge(struct mem_cgroup *memcg, gfp_t gfp,
				   unsigned int nr_pages);
int memcg_kmem_set_max(struct mem_cgroup *memcg, unsigned long max);
void memcg_kmem_inherit(struct mem_cgroup *memcg, struct obj_cgroup *objcg);
u64 memcg_kmem_independent_read(struct cgroup_subsys_state *css,
				struct cftype *cft);
int memcg_kmem_independent_write(struct cgroup_subsys_state *css,
				 struct cftype *cft, u64 val);

#else

static inline int __must_check
memcg_kmem_charge(struct mem_cgroup *memcg, gfp_t gfp, unsigned int nr_pages)
{
	return -ENOMEM;		/* there is no objcg that would ask */
}

static inline int memcg_kmem_set_max(struct mem_cgroup *memcg, unsigned long max)
{
	return 0;
}

static inline void memcg_kmem_inherit(struct mem_cgroup *memcg,
				      struct obj_cgroup *objcg)
{
}

#endif /* CONFIG_MEMCG_KMEM_INDEPENDENT */

/**
 * memcg_kmem_independent() - whether a group's kernel memory has a limit of its own
 * @memcg: the group
 *
 * Context: Any.
 * Return: What memory.independent_kmem_limit reads.
 */
static inline bool memcg_kmem_independent(struct mem_cgroup *memcg)
{
#ifdef CONFIG_MEMCG_KMEM_INDEPENDENT
	return READ_ONCE(memcg->kmem_independent);
#else
	return false;
#endif
}

/**
 * memcg_kmem_limits() - whether memory.kmem.limit_in_bytes can have an effect
 *
 * Context: Any.
 * Return: Whether there is a mode of a group in which it has one.
 */
static inline bool memcg_kmem_limits(void)
{
	return IS_ENABLED(CONFIG_MEMCG_KMEM_INDEPENDENT) &&
	       !mem_cgroup_kmem_disabled();
}

/**
 * memcg_other_objcg() - the second objcg of a group that has been in both modes
 * @memcg: the group
 *
 * Context: Any; of interest when nothing can change any more.
 * Return: The one that the group was not created with; %NULL if there is none.
 */
static inline struct obj_cgroup *memcg_other_objcg(struct mem_cgroup *memcg)
{
#ifdef CONFIG_MEMCG_KMEM_INDEPENDENT
	return memcg->other_objcg;
#else
	return NULL;
#endif
}

#endif /* __MM_MEMCG_KMEM_H */
