/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Refusals, room and debts: what kmem and memcg's independent limit share
 */
#ifndef _KERNEL_BC_REFUSE_H
#define _KERNEL_BC_REFUSE_H

#include <linux/gfp_types.h>
#include <linux/types.h>

#include <bc/kmem_refuse.h>
#include <bc/res_counter.h>

struct mem_cgroup;

/**
 * struct kmem_pass - a pass over what a group does not use
 * @room: the group's
 * @want: bytes that are to be given up, roughly
 * @memcg: gives up page cache, as do the memcgs below it; %NULL: none does
 * @shrink: gives up about one in 1 << @priority unused objects, and returns how
 *	many; %NULL: those of @memcg and of the memcgs below it are given up
 * @enough: whether there is room now
 * @arg: for @shrink and @enough
 * @debt: pay for memory that was taken already: give up a part of the unused
 *	objects, and page cache at once
 * @insist: for a limit that is written, not for a charge: run even if the last pass
 *	has found nothing, and wait longer for what is given up to be freed
 */
struct kmem_pass {
	struct kmem_room	*room;
	u64			want;
	struct mem_cgroup	*memcg;
	unsigned long		(*shrink)(const struct kmem_pass *pass, int priority);
	bool			(*enough)(void *arg);
	void			*arg;
	bool			debt;
	bool			insist;
};

void kmem_room_init(struct kmem_room *room);
bool kmem_room_pauses(const struct kmem_room *room);
bool kmem_may_make_room(void);
bool kmem_make_room(const struct kmem_pass *pass);

bool kmem_task_dying(void);
bool kmem_first_try(gfp_t gfp);
enum bc_severity kmem_severity(gfp_t gfp, bool own);

void kmem_owe(void);
unsigned long kmem_debt_pause(u64 excess, u64 limit);

/* What tasks owe to kmem, and to memcg's limit. */
#ifdef CONFIG_BC_KMEM
unsigned long kmem_pay(void);
#else
static inline unsigned long kmem_pay(void)
{
	return 0;
}
#endif

#ifdef CONFIG_MEMCG_KMEM_INDEPENDENT
unsigned long memcg_kmem_pay(void);
#else
static inline unsigned long memcg_kmem_pay(void)
{
	return 0;
}
#endif

#endif /* _KERNEL_BC_REFUSE_H */
