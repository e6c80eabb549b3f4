// SPDX-License-Identifier: GPL-2.0
/*
 * Room: what a group gives up before it is refused kernel memory
 *
 * What kmem and memcg's independent limit have in common.
 */

#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/memcontrol.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/swap.h>
#include <linux/writeback.h>

#include <bc/kmem_refuse.h>

#include "../../mm/internal.h"		/* shrink_slab() */

/* After a pass over unused objects that has made no room, none for so long. */
#define KMEM_SHRINK_PAUSE	(HZ / 10)

/* So many pages are given up for the inodes that they keep. */
#define KMEM_SHRINK_PAGES	128

/* One pass over the unused objects of @memcg and all below, or of nobody's. */
static unsigned long kmem_shrink_pass(struct mem_cgroup *memcg, int priority)
{
	/* Objects of no memcg are the root's, which has nothing to do with others. */
	const bool below = memcg && !mem_cgroup_is_root(memcg);
	struct mem_cgroup *m = memcg;
	unsigned long freed = 0;
	int nid;

	if (below)
		m = mem_cgroup_iter(memcg, NULL, NULL);
	do {
		for_each_online_node(nid)
			freed += shrink_slab(GFP_KERNEL, nid, m, priority);
		m = below ? mem_cgroup_iter(memcg, m, NULL) : NULL;
	} while (m);
	return freed;
}

/* What has been given up is freed a grace period later. */
static bool kmem_enough_after(unsigned long freed, bool (*enough)(void *arg),
			      void *arg)
{
	if (freed)
		rcu_barrier();
	return enough(arg);
}

/*
 * Has unused objects given up: an eighth of them, which may be too few to begin with,
 * or do no more than note that they are unused still; then all. An inode is not unused
 * while pages of its file are cached: where it is known whose these are, some are
 * given up at last.
 */
static bool kmem_shrink(struct mem_cgroup *memcg, bool (*enough)(void *arg),
			void *arg)
{
	if (kmem_enough_after(kmem_shrink_pass(memcg, 4), enough, arg) ||
	    kmem_enough_after(kmem_shrink_pass(memcg, 0), enough, arg))
		return true;
	if (!memcg || mem_cgroup_is_root(memcg))
		return false;
	/* The reclaim of pages gives up objects, too, and does not tell of them. */
	try_to_free_mem_cgroup_pages(memcg, KMEM_SHRINK_PAGES, GFP_KERNEL, 0, NULL);
	kmem_shrink_pass(memcg, 0);
	rcu_barrier();
	return enough(arg);
}

/**
 * kmem_make_room() - have a group give up what it does not use
 * @room: the group's
 * @memcg: whose objects are looked for, and of all below; %NULL: nobody's
 * @insist: even if there was no room a moment ago
 * @enough: whether there is room now
 * @arg: for @enough
 *
 * One task does this for all that are refused, and a group that fills its memory with
 * something else does not have everybody's objects searched all the time.
 *
 * Waiting for that task is as good as doing it: no lock that it may need is held by
 * who allocates with __GFP_FS.
 *
 * Context: Task context, where __GFP_FS is allowed; sleeps.
 * Return: Whether there is enough.
 */
bool kmem_make_room(struct kmem_room *room, struct mem_cgroup *memcg,
		    bool insist, bool (*enough)(void *arg), void *arg)
{
	unsigned int noreclaim;
	bool made;

	if (mutex_lock_killable(&room->busy))
		return false;
	made = enough(arg);
	if (!made && (insist || !time_before(jiffies, room->not_before))) {
		fs_reclaim_acquire(GFP_KERNEL);
		noreclaim = memalloc_noreclaim_save();
		made = kmem_shrink(memcg, enough, arg);
		memalloc_noreclaim_restore(noreclaim);
		fs_reclaim_release(GFP_KERNEL);
		if (!made) {
			/* Inodes that are dirty cannot go yet. */
			wakeup_flusher_threads(WB_REASON_VMSCAN);
			WRITE_ONCE(room->not_before, jiffies + KMEM_SHRINK_PAUSE);
		}
	}
	mutex_unlock(&room->busy);
	return made;
}

/**
 * kmem_room_init() - for kmem_make_room() later on
 * @room: a new group's
 */
void kmem_room_init(struct kmem_room *room)
{
	mutex_init(&room->busy);
	room->not_before = jiffies;
}
