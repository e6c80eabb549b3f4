// SPDX-License-Identifier: GPL-2.0
/*
 * Refusals of kernel memory: what kmem and memcg's independent limit have in common
 *
 * Here is how hard a charge insists. What a group gives up before it is refused more is
 * in kmem_room.c, how it pays for what could not be refused in kmem_debt.c, and how a
 * refusal gets out of a page fault in include/bc/kmem_refuse.h and kmem_fault.c.
 */

#include <linux/gfp.h>
#include <linux/oom.h>
#include <linux/preempt.h>
#include <linux/sched/signal.h>

#include "refuse.h"

DEFINE_STATIC_KEY_FALSE(kmem_refuse_key);

/**
 * kmem_task_dying() - whether the current task is about to return all that it has
 *
 * Context: Task context.
 * Return: Whether it is.
 */
bool kmem_task_dying(void)
{
	return (current->flags & PF_EXITING) || tsk_is_oom_victim(current) ||
	       fatal_signal_pending(current);
}

/**
 * kmem_first_try() - whether an allocation has another try, or can do without
 * @gfp: its flags
 *
 * The allocator would neither search hard for such memory nor say that there is
 * none: kvmalloc() asks for pages in one piece before it makes do with single ones,
 * an XArray asks for a node under its lock before it asks without, read-ahead asks
 * before the read does. If such a try is refused, that is not counted, not logged, and
 * no room is made for it. If the next one is refused, it is. An allocation that may use
 * the allocator's reserves is no first try: a request to connect is made only once.
 *
 * Return: Whether the flags say so.
 */
bool kmem_first_try(gfp_t gfp)
{
	if (!(gfp & __GFP_NOWARN))
		return false;
	if (gfpflags_allow_blocking(gfp))
		return gfp & __GFP_NORETRY;
	return !(gfp & __GFP_HIGH);
}

/**
 * kmem_severity() - how hard an allocation insists
 * @gfp: its flags, after current_gfp_context()
 * @own: it is charged to the current task's own group
 *
 * The first that applies:
 *
 *  - Forced is what must not fail, what serves to free memory, and what a dying
 *    task needs to end. (That a task dies is no reason to overrun another group.
 *    Nor does it need page faults to end: the kernel reads its list of robust
 *    futexes, which can be made to touch any amount of memory.)
 *    Also what a workqueue allocates for a group, for example to write to the file
 *    of a loop device: the task that wrote to the device may have gone.
 *  - Forced is what may block, but not enter file systems, unless it is a first try
 *    that may be refused: see kmem_first_try(). File systems allocate so inside of
 *    transactions and under locks that other tasks wait for, and some repeat it
 *    until they get it. The group's tasks pay for it: see kmem_debt.c.
 *  - What is between barrier and limit is for privileged tasks. The lower half of it
 *    is there for ordinary tasks, too, if they have no other way: in a page fault,
 *    which has no error but a signal, and where the allocator has reserves. What
 *    is charged to another group with GFP_ATOMIC stops at the barrier: packets that
 *    arrive for a listening socket are allocated from the reserves, and any host
 *    can send as many as it likes.
 *
 * Between bc_limit_save() and bc_limit_restore() a task goes on to the limit. So does
 * a privileged task, which the core sees to.
 *
 * Context: Any context but NMI.
 * Return: The severity.
 */
enum bc_severity kmem_severity(gfp_t gfp, bool own)
{
	if (gfp & __GFP_NOFAIL)
		return BC_FORCE;
	if (in_task() && (current->flags & (PF_MEMALLOC | PF_WQ_WORKER)))
		return BC_FORCE;
	if (own && kmem_task_dying() && !current->bc_fault)
		return BC_FORCE;
	if (gfpflags_allow_blocking(gfp) && !(gfp & __GFP_FS) &&
	    !kmem_first_try(gfp))
		return BC_FORCE;
	if (in_task() && current->bc_limit)
		return BC_LIMIT;
	if ((own && (gfp & __GFP_HIGH)) || (in_task() && current->bc_fault))
		return BC_HALFWAY;
	return BC_BARRIER;
}
