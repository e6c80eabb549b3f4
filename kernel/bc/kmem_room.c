// SPDX-License-Identifier: GPL-2.0
/*
 * Room: what a group gives up before it is refused kernel memory
 *
 * It gives up its own unused objects, and page cache that keeps objects in use. What
 * belongs to other groups stays, however full the group is.
 *
 * A task that is refused may hold a lock that all others want: rtnl_lock, or that of
 * a directory. So a pass for its charge has little time. It gives up as much as is
 * wanted, not all that there is. If its time is over before there is room, the charge
 * is refused; the next pass has less to do.
 *
 * Every wait here has a bound. One task makes room for all tasks that are refused; it
 * may come to wait, for a file server in user space when it evicts an inode, or for
 * its turn on a CPU. Another task, which may be that server or hold cgroup_mutex,
 * waits for it once, until kmem_room::busy_until at most, and then has a pass of its
 * own. A task that was killed leaves between the steps of a pass. What was given up
 * is freed a grace period later; the wait for that has a bound, too. A task is in a
 * hurry if tasks of other groups are known to wait for what it holds. It waits for
 * none of this: see bc_hurry_begin().
 */

#include <linux/completion.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/memcontrol.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mmzone.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/uaccess.h>

#include "../../mm/internal.h"		/* shrink_slab() */
#include "refuse.h"

/* After a pass that has made no room, none for so long. */
#define KMEM_ROOM_PAUSE		(HZ / 10)

/*
 * So long a pass may take: in a hurry; for a charge, as long as dirty throttling may
 * with locks held; without locks. Its last step may take as long as all before it, and
 * one over pages longer: that depends on how often they are mapped.
 */
#define KMEM_ROOM_TIME_HURRY	max(HZ / 50, 1)
#define KMEM_ROOM_TIME_CHARGE	max(HZ / 5, 1)
#define KMEM_ROOM_TIME		(10 * HZ)

/* Of the unused objects: the last part that a short pass gives up. */
#define KMEM_ROOM_PRIORITY	4

/* So long a task waits for another task's pass. */
#define KMEM_ROOM_WAIT		max(HZ / 10, 1)

/* So long it waits until what was given up is freed: for a debt; for a limit. */
#define KMEM_GRACE_WAIT		HZ
#define KMEM_GRACE_WAIT_LONG	(5 * HZ)

/*
 * So many pages are given up at a time. Each keeps about as many bytes of kernel
 * memory: a part of a node, and often a buffer head. Before a refusal there may be
 * as many as the last.
 */
#define KMEM_ROOM_PAGES_MIN	128
#define KMEM_ROOM_PAGES_MAX	1024
#define KMEM_ROOM_PAGES_LAST	8192
#define KMEM_BYTES_PER_PAGE	64

/* For a debt, or by a task in a hurry: such a pass does less. */
static bool kmem_pass_is_short(const struct kmem_pass *pass)
{
	return pass->use == KMEM_FOR_DEBT || current->bc_hurries;
}

/* When a pass that begins now is to be over. */
static unsigned long kmem_pass_until(const struct kmem_pass *pass)
{
	if (current->bc_hurries)
		return jiffies + KMEM_ROOM_TIME_HURRY;
	if (pass->use == KMEM_FOR_CHARGE || pass->use == KMEM_FOR_TASK)
		return jiffies + KMEM_ROOM_TIME_CHARGE;
	return jiffies + KMEM_ROOM_TIME;
}

/**
 * kmem_pass_ends() - whether a pass is to end, even if there is no room yet
 * @pass: the pass
 *
 * Context: Task context.
 */
bool kmem_pass_ends(const struct kmem_pass *pass)
{
	return time_after_eq(jiffies, pass->until) || fatal_signal_pending(current);
}

/* Gives up unused objects of the memcg of @pass and all below. */
static unsigned long kmem_shrink_memcg(const struct kmem_pass *pass, int priority)
{
	struct mem_cgroup *m = mem_cgroup_iter(pass->memcg, NULL, NULL);
	unsigned long freed = 0;
	int nid;

	while (m) {
		for_each_online_node(nid)
			freed += shrink_slab(GFP_KERNEL, nid, m, priority);
		if (kmem_pass_ends(pass)) {
			mem_cgroup_iter_break(pass->memcg, m);
			break;
		}
		cond_resched();
		m = mem_cgroup_iter(pass->memcg, m, NULL);
	}
	return freed;
}

/*
 * Shadows are what the page cache keeps of pages that were reclaimed. Mainline lets a
 * memcg have nodes full of them by its user memory, and gives up none below that. Such
 * nodes can be all that is left to give up; so they are when all else is given up. A
 * new task is no reason for that. Of a few objects of such a shrinker, which are soon
 * made anew, mainline only notes a half each time, until it has noted all.
 */
static unsigned long kmem_shrink(const struct kmem_pass *pass, int priority)
{
	unsigned long freed;
	int tries = priority ? 1 : 3;

	if (pass->shrink)
		return pass->shrink(pass, priority);
	current->bc_gives_all = !priority && pass->use != KMEM_FOR_TASK;
	do {
		freed = kmem_shrink_memcg(pass, priority);
	} while (!freed && --tries && !kmem_pass_ends(pass));
	current->bc_gives_all = false;
	return freed;
}

/* As many unused objects as have about what is wanted. */
static bool kmem_shrunk_enough(const struct kmem_pass *pass, unsigned long freed)
{
	return freed > div_u64(pass->want, KMEM_OBJECT_SIZE);
}

/* The pages that keep about as much as is wanted. */
static unsigned long kmem_pages_wanted(const struct kmem_pass *pass)
{
	return clamp_t(u64, pass->want / KMEM_BYTES_PER_PAGE,
		       KMEM_ROOM_PAGES_MIN, KMEM_ROOM_PAGES_MAX);
}

static unsigned long kmem_shrink_pages(const struct kmem_pass *pass,
				       unsigned long pages)
{
	if (!IS_ENABLED(CONFIG_MEMCG) || !pass->memcg)
		return 0;
	return try_to_free_mem_cgroup_pages(pass->memcg, pages, GFP_KERNEL, 0,
					    NULL);
}

/* A grace period that a task waits for. The task and the callback each have a ref. */
struct kmem_grace {
	struct rcu_head		rcu;
	struct completion	over;
	refcount_t		refs;
};

static void kmem_grace_put(struct kmem_grace *grace)
{
	if (refcount_dec_and_test(&grace->refs))
		kfree(grace);
}

static void kmem_grace_over(struct rcu_head *rcu)
{
	struct kmem_grace *grace = container_of(rcu, struct kmem_grace, rcu);

	complete(&grace->over);
	kmem_grace_put(grace);
}

/*
 * Waits until what was given up on this CPU is freed, that is, until a later callback
 * is called there. rcu_barrier() does that for all CPUs, but without a timeout.
 */
static void kmem_wait_freed(unsigned long timeout)
{
	struct kmem_grace *grace;

	grace = kmalloc(sizeof(*grace), GFP_KERNEL | __GFP_NOMEMALLOC |
					__GFP_NOWARN);
	if (!grace) {
		schedule_timeout_killable(1);
		return;
	}
	init_completion(&grace->over);
	refcount_set(&grace->refs, 2);
	call_rcu_hurry(&grace->rcu, kmem_grace_over);
	wait_for_completion_killable_timeout(&grace->over, timeout);
	kmem_grace_put(grace);
}

/* Whether there is enough once what was given up is freed. */
static bool kmem_enough_after(const struct kmem_pass *pass, unsigned long freed)
{
	const bool insist = pass->use == KMEM_FOR_LIMIT;
	const unsigned long now = jiffies;
	unsigned long wait;

	if (pass->enough(pass->arg))
		return true;
	if ((!freed && !insist) || current->bc_hurries ||
	    time_after_eq(now, pass->until))
		return false;
	wait = insist ? KMEM_GRACE_WAIT_LONG : KMEM_GRACE_WAIT;
	kmem_wait_freed(min(wait, pass->until - now));
	if (pass->enough(pass->arg))
		return true;
	/* Some of it may have been given up on another CPU. */
	schedule_timeout_killable(2);
	return pass->enough(pass->arg);
}

/*
 * First a small part of the unused objects is given up. These may be too few, or may
 * only lose the mark that they were used; so more follow, twice as many at each step,
 * until it is what is wanted, and at last all. An inode is not unused while pages of
 * its file are cached, and these have nodes and buffer heads: so some pages go last. A
 * debt is most often for nodes and buffer heads, and is no reason to give up all unused
 * objects. A task in a hurry has no time for more either.
 */
static bool kmem_pass(const struct kmem_pass *pass)
{
	const bool is_short = kmem_pass_is_short(pass);
	const int last = is_short ? KMEM_ROOM_PRIORITY : 0;
	unsigned long freed = 0, pages = kmem_pages_wanted(pass);
	int priority;

	for (priority = DEF_PRIORITY; priority >= last; priority--) {
		freed += kmem_shrink(pass, priority);
		if (!kmem_pass_ends(pass) && priority > last &&
		    !kmem_shrunk_enough(pass, freed))
			continue;
		if (is_short)
			break;
		if (kmem_enough_after(pass, freed))
			return true;
		if (fatal_signal_pending(current))
			return false;
		/* Pages may be all that there is. On a slow machine, then, some go. */
		if (kmem_pass_ends(pass))
			break;
		freed = 0;
	}
	if (is_short) {
		/* Nothing bounds the time that pages may take, as they are mapped. */
		if (!kmem_pass_ends(pass) && pass->use == KMEM_FOR_DEBT)
			freed += kmem_shrink_pages(pass, pages);
		return kmem_enough_after(pass, freed);
	}
	if (kmem_pass_ends(pass))
		pages = KMEM_ROOM_PAGES_MIN;
	/*
	 * Reclaim of pages gives up objects, too, but does not count them. The first
	 * pages may all be of one large file, and no inode is unused after them.
	 */
	do {
		freed = kmem_shrink_pages(pass, pages);
		if (freed && !kmem_pass_ends(pass))
			freed += kmem_shrink(pass, 0);
		if (kmem_enough_after(pass, freed))
			return true;
		pages *= 4;
	} while (freed && pages <= KMEM_ROOM_PAGES_LAST && !kmem_pass_ends(pass));
	return false;
}

/* Whether this task is the one to make room; *@until is for kmem_room_end(). */
static bool kmem_room_begin(struct kmem_room *room, long *until)
{
	long busy = atomic_long_read(&room->busy_until);

	/* A task that has taken longer than that is not waited for: take over. */
	if (busy && time_before(jiffies, (unsigned long)busy))
		return false;
	/* Never 0. */
	*until = (jiffies + KMEM_ROOM_WAIT) | 1;
	return atomic_long_try_cmpxchg(&room->busy_until, &busy, *until);
}

static void kmem_room_end(struct kmem_room *room, long until)
{
	/* Unless another task has taken over. */
	if (atomic_long_try_cmpxchg(&room->busy_until, &until, 0))
		wake_up_all(&room->wait);
}

/*
 * Whether a time that is no more than a pause ahead is still to come. When jiffies
 * wrap, one that is long past may look like that.
 */
static bool kmem_still_to_come(u32 when)
{
	return when - (u32)jiffies - 1 < KMEM_ROOM_PAUSE;
}

/**
 * kmem_room_pauses() - whether a pass has just found that there is nothing
 * @room: of the group
 *
 * Context: Any context.
 */
bool kmem_room_pauses(const struct kmem_room *room)
{
	return kmem_still_to_come(READ_ONCE(room->not_before));
}

/*
 * A pass for a debt or in a hurry does less: a full one may find more. One for a new
 * task wants more: there may be enough for a charge.
 */
static u32 *kmem_pass_not_before(const struct kmem_pass *pass)
{
	if (kmem_pass_is_short(pass))
		return &pass->room->debt_not_before;
	if (pass->use == KMEM_FOR_TASK)
		return &pass->room->task_not_before;
	return &pass->room->not_before;
}

/* Whether a pass like @pass is left out, as one has just found nothing. */
static bool kmem_pass_pauses(const struct kmem_pass *pass)
{
	return pass->use != KMEM_FOR_LIMIT &&
	       kmem_still_to_come(READ_ONCE(*kmem_pass_not_before(pass)));
}

static void kmem_pass_pause(const struct kmem_pass *pass)
{
	WRITE_ONCE(*kmem_pass_not_before(pass), (u32)jiffies + KMEM_ROOM_PAUSE);
}

/**
 * kmem_may_make_room() - whether the current task may call kmem_make_room()
 *
 * It may enter file systems, and is in no pass already. With page faults disabled, the
 * caller does not expect a file system to be entered either.
 *
 * Context: Task context.
 */
bool kmem_may_make_room(void)
{
	return (current_gfp_context(GFP_KERNEL) & __GFP_FS) &&
	       !(current->flags & PF_MEMALLOC) && !pagefault_disabled();
}

/**
 * kmem_make_room() - have a group give up what it does not use
 * @pass: the group, what for, and how
 *
 * One task does this for all tasks that are refused meanwhile. After a pass that has
 * not made room there is a pause, so that the objects of a group that is full of other
 * things are not searched all the time.
 *
 * Context: Task context, where kmem_may_make_room(); sleeps.
 * Return: Whether there is enough.
 */
bool kmem_make_room(struct kmem_pass *pass)
{
	struct kmem_room *room = pass->room;
	unsigned int noreclaim;
	bool made;
	long until;

	if (!kmem_room_begin(room, &until)) {
		if (current->bc_hurries)
			return pass->enough(pass->arg);
		/* Until this pass ends, or a later one; and no longer. */
		wait_event_killable_timeout(room->wait,
					    !atomic_long_read(&room->busy_until),
					    KMEM_ROOM_WAIT);
		if (pass->enough(pass->arg))
			return true;
		if (fatal_signal_pending(current) || !kmem_room_begin(room, &until))
			return false;
	}
	made = pass->enough(pass->arg);
	if (!made && !kmem_pass_pauses(pass)) {
		pass->until = kmem_pass_until(pass);
		fs_reclaim_acquire(GFP_KERNEL);
		noreclaim = memalloc_noreclaim_save();
		made = kmem_pass(pass);
		memalloc_noreclaim_restore(noreclaim);
		fs_reclaim_release(GFP_KERNEL);
		if (!made)
			kmem_pass_pause(pass);
	}
	kmem_room_end(room, until);
	return made;
}

/**
 * kmem_room_init() - initialize what kmem_make_room() needs
 * @room: of a new group
 */
void kmem_room_init(struct kmem_room *room)
{
	atomic_long_set(&room->busy_until, 0);
	init_waitqueue_head(&room->wait);
	room->not_before = (u32)jiffies;
	room->task_not_before = (u32)jiffies;
	room->debt_not_before = (u32)jiffies;
	room->next = 0;
}
