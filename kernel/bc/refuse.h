/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Refusals, room and debts: what kmem and memcg's independent limit share
 */
#ifndef _KERNEL_BC_REFUSE_H
#define _KERNEL_BC_REFUSE_H

#include <linux/gfp_types.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include <bc/kmem_refuse.h>
#include <bc/res_counter.h>

struct mem_cgroup;

/* A pass makes room for more than one charge, by so much at least. */
#define KMEM_ROOM_MORE		SZ_64K

/* Rather less than an unused object takes. */
#define KMEM_OBJECT_SIZE	128

/**
 * enum kmem_use - what a pass makes room for
 * @KMEM_FOR_CHARGE: a charge that is refused otherwise. The task may hold locks.
 * @KMEM_FOR_TASK: a new task, which is refused earlier than a charge: a pass that has
 *	found nothing keeps none for a charge away
 * @KMEM_FOR_DEBT: memory that was taken already: give up a part of the unused
 *	objects, and page cache at once
 * @KMEM_FOR_LIMIT: a limit that is written: run even if the last pass has found
 *	nothing, and wait longer for what is given up to be freed
 */
enum kmem_use {
	KMEM_FOR_CHARGE,
	KMEM_FOR_TASK,
	KMEM_FOR_DEBT,
	KMEM_FOR_LIMIT,
};

/**
 * struct kmem_pass - a pass over what a group does not use
 * @room: the group's
 * @want: bytes that are to be given up, roughly
 * @memcg: gives up page cache, as do the memcgs below it; %NULL: none does
 * @shrink: gives up about one in 1 << @priority unused objects, and returns how
 *	many; %NULL: those of @memcg and of the memcgs below it are given up
 * @enough: whether there is room now
 * @arg: for @shrink and @enough
 * @use: what for
 * @until: when it ends, in jiffies; kmem_make_room() sets it
 */
struct kmem_pass {
	struct kmem_room	*room;
	u64			want;
	struct mem_cgroup	*memcg;
	unsigned long		(*shrink)(const struct kmem_pass *pass, int priority);
	bool			(*enough)(void *arg);
	void			*arg;
	enum kmem_use		use;
	unsigned long		until;
};

/**
 * kmem_room_more() - how much a pass is to give up beside what is asked for
 * @bound: what is in the way
 *
 * Each pass waits for a grace period. So a group that walks directories at its limit
 * gives up a sixteenth of that at a time.
 *
 * Return: Bytes.
 */
static inline u64 kmem_room_more(u64 bound)
{
	return clamp_t(u64, bound / 16, KMEM_ROOM_MORE, SZ_4M);
}

void kmem_room_init(struct kmem_room *room);
bool kmem_room_pauses(const struct kmem_room *room);
bool kmem_may_make_room(void);
bool kmem_pass_ends(const struct kmem_pass *pass);
bool kmem_make_room(struct kmem_pass *pass);

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
