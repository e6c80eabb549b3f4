// SPDX-License-Identifier: GPL-2.0
/*
 * memcg v1: a limit of kernel memory that is independent of user memory's
 *
 * The file memory.independent_kmem_limit, and what it promises, come from the posting
 * "Basic kernel memory functionality for the Memory Controller" (2011). There was no
 * way out of a refusal then; the ways out are kmem's here (kernel/bc/kmem_refuse.c).
 *
 * Modes
 *
 * An objcg is of one mode for good. A dependent one is mainline's: its pages count in
 * memory, memsw and kmem, and are bounded by the first two. Those of an independent
 * one count in kmem alone, which bounds them. Both return what they have by their own
 * mode, wherever they have been reparented to; so what a group's counters hold is
 * right in whatever modes its objcgs are.
 *
 * The mode of a group is what its current objcg has. A child of the root may change
 * it as long as it has neither children nor kernel memory; any other group has its
 * parent's. So there is only one mode between the root and a leaf, and a charge to
 * kmem, which goes up to the root, meets no limit that is not in force: the root has
 * none.
 *
 * A change makes the other objcg of the group the current one, and tells the group's
 * tasks. A task that is allocating meanwhile may still charge the old one, as may a
 * task that acts for the group, and a child that is being removed. Nothing is lost
 * by that, but the group's kernel memory then is of both modes until it is freed, and
 * until then the mode cannot be changed again.
 */

#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/memcontrol.h>
#include <linux/mutex.h>
#include <linux/page_counter.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "../kernel/bc/refuse.h"
#include "memcontrol-v1.h"
#include "memcg_kmem.h"

/* How often a charge, or a write of a limit, is tried again after room was made. */
#define MEMCG_KMEM_CHARGE_RETRIES	2
#define MEMCG_KMEM_LIMIT_RETRIES	4

/*
 * Protects the modes of groups and their limits: the task that changes a mode, gives
 * a child its mode or sets a limit holds it. Taken inside of cgroup_mutex, and while a
 * group's file is written.
 */
static DEFINE_MUTEX(memcg_kmem_mutex);

/* Room */

/* There is room when @counter has no more than @most pages. */
struct memcg_kmem_room {
	struct page_counter	*counter;
	unsigned long		most;
};

static bool memcg_kmem_has_room(void *arg)
{
	const struct memcg_kmem_room *room = arg;

	return page_counter_read(room->counter) <= room->most;
}

static bool memcg_kmem_reclaim(struct mem_cgroup *memcg,
			       struct memcg_kmem_room *room, u64 want,
			       enum kmem_use use)
{
	struct kmem_pass pass = {
		.room = &memcg->kmem_room,
		.want = want,
		.memcg = memcg,
		.enough = memcg_kmem_has_room,
		.arg = room,
		.use = use,
	};

	return kmem_make_room(&pass);
}

/* Whether it is worth trying to charge @nr_pages again, which @full had no room for. */
static bool memcg_kmem_make_room(struct page_counter *full, gfp_t gfp,
				 unsigned int nr_pages)
{
	struct mem_cgroup *memcg = mem_cgroup_from_counter(full, kmem);
	const unsigned long max = READ_ONCE(full->max);
	struct memcg_kmem_room room = { .counter = full, .most = max - nr_pages };

	if (nr_pages > max || !gfpflags_allow_blocking(gfp) ||
	    !kmem_may_make_room())
		return false;
	/*
	 * What other CPUs have in stock is less than a page each, beside what they just
	 * freed. It is not waited for, as that may take long where a CPU is kept busy.
	 * Nor does each of many refusals disturb the CPUs.
	 */
	if (!kmem_room_pauses(&memcg->kmem_room))
		drain_all_stock(memcg);
	return memcg_kmem_reclaim(memcg, &room, ((u64)nr_pages << PAGE_SHIFT) +
				  kmem_room_more((u64)max << PAGE_SHIFT),
				  KMEM_FOR_CHARGE);
}

/* Whether a charge is for the current task's own group: with a scope or without. */
static bool memcg_kmem_is_own(void)
{
	bool own;

	if (!in_task() || (current->flags & PF_KTHREAD))
		return false;
	if (!current->active_memcg)
		return true;
	rcu_read_lock();
	own = current->active_memcg == mem_cgroup_from_task(current);
	rcu_read_unlock();
	return own;
}

/**
 * memcg_kmem_charge() - charge kernel memory to a group's own limit of it
 * @memcg: the group; with a reference
 * @gfp: the flags of the allocation
 * @nr_pages: how many pages
 *
 * As in kmem, some charges are never refused and may overrun the limit, and some of
 * these are paid for later: see kmem_severity() and kmem_owe(). All others are refused
 * at the limit. A page fault that is refused becomes a SIGBUS in handle_mm_fault().
 * Where the caller can wait, objects that the group does not use are given up before.
 *
 * Context: Any context but NMI; as @gfp says.
 * Return: 0 or -ENOMEM.
 */
int memcg_kmem_charge(struct mem_cgroup *memcg, gfp_t gfp, unsigned int nr_pages)
{
	const bool own = memcg_kmem_is_own();
	int retries = MEMCG_KMEM_CHARGE_RETRIES;
	struct page_counter *full;

	if (in_task())
		gfp = current_gfp_context(gfp);
	while (!page_counter_try_charge(&memcg->kmem, nr_pages, &full)) {
		if (kmem_severity(gfp, own) == BC_FORCE) {
			page_counter_charge(&memcg->kmem, nr_pages);
			if (own)
				kmem_owe();
			return 0;
		}
		/* A task does not clean up for a group that it merely acts for. */
		if (!own || kmem_first_try(gfp) || !retries-- ||
		    !memcg_kmem_make_room(full, gfp, nr_pages)) {
			if (in_task())
				current->bc_refused = true;
			return -ENOMEM;
		}
	}
	return 0;
}

/* How long the current task is to wait for what @memcg has beyond its limit. */
static unsigned long memcg_kmem_pay_for(struct mem_cgroup *memcg)
{
	const unsigned long max = READ_ONCE(memcg->kmem.max);
	struct memcg_kmem_room room = { .counter = &memcg->kmem, .most = max };
	unsigned long usage = page_counter_read(&memcg->kmem);

	if (!memcg_kmem_independent(memcg) || usage <= max)
		return 0;
	if (kmem_may_make_room()) {
		memcg_kmem_reclaim(memcg, &room, (u64)(usage - max) << PAGE_SHIFT,
				   KMEM_FOR_DEBT);
		usage = page_counter_read(&memcg->kmem);
	}
	if (usage <= max)
		return 0;
	return kmem_debt_pause((u64)(usage - max) << PAGE_SHIFT,
			       (u64)max << PAGE_SHIFT);
}

/**
 * memcg_kmem_pay() - the current task pays for what its group has beyond the limit
 *
 * Context: Task context; sleeps.
 * Return: How long it is to wait, in jiffies.
 */
unsigned long memcg_kmem_pay(void)
{
	struct mem_cgroup *own, *memcg;
	unsigned long pause = 0;

	if (mem_cgroup_disabled())
		return 0;
	own = get_mem_cgroup_from_mm(current->mm);
	for (memcg = own; !mem_cgroup_is_root(memcg);
	     memcg = parent_mem_cgroup(memcg))
		pause = max(pause, memcg_kmem_pay_for(memcg));
	mem_cgroup_put(own);
	return pause;
}

/* Files */

/**
 * memcg_kmem_set_max() - set a group's limit of kernel memory
 * @memcg: the group
 * @max: the limit, in pages
 *
 * A limit that is not in force, as the group's mode is dependent, is only kept. One that
 * is and is below usage has unused objects given up first.
 *
 * Context: Task context; sleeps.
 * Return: 0; -EBUSY if more than @max is in use; -EINTR if a signal came before that
 * was certain. Errors change nothing.
 */
int memcg_kmem_set_max(struct mem_cgroup *memcg, unsigned long max)
{
	struct memcg_kmem_room room = { .counter = &memcg->kmem, .most = max };
	int retries = MEMCG_KMEM_LIMIT_RETRIES;
	unsigned long usage;
	int err;

	for (;;) {
		if (signal_pending(current))
			return -EINTR;
		mutex_lock(&memcg_kmem_mutex);
		if (memcg->kmem_independent) {
			err = page_counter_set_max(&memcg->kmem, max);
		} else {
			WRITE_ONCE(memcg->kmem.max, max);
			err = 0;
			if (memcg_kmem_limits())
				pr_info_once("kmem.limit_in_bytes takes effect when independent_kmem_limit is 1\n");
		}
		mutex_unlock(&memcg_kmem_mutex);
		if (!err || !retries--)
			return err;
		drain_all_stock_wait(memcg);
		usage = page_counter_read(&memcg->kmem);
		memcg_kmem_reclaim(memcg, &room,
				   (u64)(usage - min(usage, max)) << PAGE_SHIFT,
				   KMEM_FOR_LIMIT);
	}
}

/**
 * memcg_kmem_independent_read() - memory.independent_kmem_limit is read
 * @css: of the group
 * @cft: the file
 *
 * Return: The group's mode, 0 or 1.
 */
u64 memcg_kmem_independent_read(struct cgroup_subsys_state *css,
				struct cftype *cft)
{
	return memcg_kmem_independent(mem_cgroup_from_css(css));
}

/*
 * Whether there is a child, or one is being created: a child that is on the list and
 * has no mode yet gets the parent's. One that is being removed has no files any more.
 */
static bool memcg_kmem_has_children(struct mem_cgroup *memcg)
{
	struct cgroup_subsys_state *child;
	bool found = false;

	lockdep_assert_held(&memcg_kmem_mutex);
	rcu_read_lock();
	css_for_each_child(child, &memcg->css) {
		found = !(READ_ONCE(child->flags) & CSS_DYING);
		if (found)
			break;
	}
	rcu_read_unlock();
	return found;
}

/**
 * memcg_kmem_independent_write() - memory.independent_kmem_limit is written
 * @css: of the group
 * @cft: the file
 * @val: what is written; all but 0 is 1
 *
 * The posting of 2011 left open what becomes of children when their parent's mode
 * changes: it cannot change as long as there are any.
 *
 * Context: Task context; sleeps.
 * Return: 0; -EINVAL if the parent, not being the root, has the other mode; -EBUSY if
 * the group has children or kernel memory; -EOPNOTSUPP if kernel memory is not
 * counted at all; -ENOMEM. Errors change nothing.
 */
int memcg_kmem_independent_write(struct cgroup_subsys_state *css,
				 struct cftype *cft, u64 val)
{
	struct mem_cgroup *memcg = mem_cgroup_from_css(css);
	struct mem_cgroup *parent = parent_mem_cgroup(memcg);
	const bool independent = val;
	int err = 0;

	/* This group being a child, its parent's mode does not change. */
	if (!mem_cgroup_is_root(parent))
		return independent == memcg_kmem_independent(parent) ? 0 : -EINVAL;
	if (mem_cgroup_kmem_disabled())
		return independent ? -EOPNOTSUPP : 0;
	if (independent)
		static_branch_enable(&kmem_refuse_key);
	/* What is in stock is not in use. */
	drain_all_stock_wait(memcg);

	/* While a file is written to, its group does not go offline. */
	mutex_lock(&memcg_kmem_mutex);
	if (independent != memcg->kmem_independent) {
		if (memcg_kmem_has_children(memcg) ||
		    page_counter_read(&memcg->kmem))
			err = -EBUSY;
		else
			err = memcg_switch_objcg(memcg, independent);
		if (!err)
			WRITE_ONCE(memcg->kmem_independent, independent);
	}
	mutex_unlock(&memcg_kmem_mutex);
	return err;
}

/**
 * memcg_kmem_inherit() - give a new group its mode
 * @memcg: the group, which is below its parent already
 * @objcg: its objcg, which no other task knows yet
 *
 * Either this comes first, and a task that changes the parent's mode finds a child; or
 * the child gets the changed mode.
 *
 * Context: Task context, under cgroup_mutex; sleeps.
 */
void memcg_kmem_inherit(struct mem_cgroup *memcg, struct obj_cgroup *objcg)
{
	struct mem_cgroup *parent = parent_mem_cgroup(memcg);

	kmem_room_init(&memcg->kmem_room);
	mutex_lock(&memcg_kmem_mutex);
	/* The root is dependent: it never changes. */
	memcg->kmem_independent = parent->kmem_independent;
	objcg->independent = memcg->kmem_independent;
	mutex_unlock(&memcg_kmem_mutex);
}
