// SPDX-License-Identifier: GPL-2.0
/*
 * Refusals of kernel memory: what kmem and memcg's independent limit have in common
 *
 * Who is never refused, and how a group gives up what it does not use before it is
 * refused more. How a refusal gets out of a page fault is in include/bc/kmem_refuse.h.
 */

#include <linux/gfp.h>
#include <linux/oom.h>
#include <linux/preempt.h>
#include <linux/sched/signal.h>

#include <bc/kmem_refuse.h>

DEFINE_STATIC_KEY_FALSE(kmem_refuse_key);

/**
 * kmem_never_refused() - whether an allocation is there for a full group, too
 * @gfp: its flags
 * @for_other: the current task does not allocate for its own group
 *
 * That is memory that must not be refused, or with which memory is freed, or for
 * which a dying task waits. It is little, or comes to an end. So it is for a
 * workqueue that acts for a group, as by writing what was written to a loop device:
 * whoever could be told is not there any more. But that the task dies is no reason
 * to charge somebody else.
 *
 * Context: Any context but NMI.
 * Return: Whether it is.
 */
bool kmem_never_refused(gfp_t gfp, bool for_other)
{
	if (gfp & __GFP_NOFAIL)
		return true;
	if (in_task() && (current->flags & (PF_MEMALLOC | PF_WQ_WORKER)))
		return true;
	return !for_other && ((current->flags & PF_EXITING) ||
			      tsk_is_oom_victim(current) ||
			      fatal_signal_pending(current));
}
