/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Refusals of kernel memory, by whatever bounds it: kmem, and memcg's independent
 * limit
 */
#ifndef _BC_KMEM_REFUSE_H
#define _BC_KMEM_REFUSE_H

#include <linux/atomic.h>
#include <linux/jump_label.h>
#include <linux/mm_types.h>
#include <linux/sched.h>
#include <linux/wait.h>

struct vm_area_struct;

#ifdef CONFIG_KMEM_REFUSE

/* From the first group on that can be refused kernel memory. */
DECLARE_STATIC_KEY_FALSE(kmem_refuse_key);

/**
 * struct kmem_room - how a group that may have no more makes room
 * @busy_until: how long other tasks wait for the task that makes room, in jiffies;
 *	0: no task does
 * @wait: where they wait for it
 * @not_before: no pass begins earlier, as the last one has found nothing; the low
 *	bits of jiffies, as of the next two
 * @task_not_before: likewise for a new task, which is refused earlier
 * @debt_not_before: likewise for a pass that does less, for a debt or in a hurry
 * @next: number of the super block that the next pass begins with, in a group
 *	without a memcg of its own
 */
struct kmem_room {
	atomic_long_t		busy_until;
	wait_queue_head_t	wait;
	u32			not_before;
	u32			task_not_before;
	u32			debt_not_before;
	unsigned int		next;
};

void __bc_pay_debt(bool in_loop);
vm_fault_t kmem_fault_verify(struct vm_area_struct *vma, unsigned long address,
			     unsigned int flags, vm_fault_t fault);
vm_fault_t kmem_fault_error(vm_fault_t fault);

#endif /* CONFIG_KMEM_REFUSE */

/**
 * bc_pay_debt() - the current task goes back to user mode
 *
 * What it was given although its group is full is paid for now: see
 * kernel/bc/kmem_debt.c.
 *
 * Context: Task context, no lock held; sleeps.
 */
static inline void bc_pay_debt(void)
{
#ifdef CONFIG_KMEM_REFUSE
	if (unlikely(current->bc_owes))
		__bc_pay_debt(false);
#endif
}

/**
 * bc_pay_debt_in_loop() - the current task has read or dirtied a page, and goes on
 *
 * A system call can do so for a long time before it goes back to user mode.
 *
 * Context: Task context, where user memory may be touched; sleeps.
 */
static inline void bc_pay_debt_in_loop(void)
{
#ifdef CONFIG_KMEM_REFUSE
	if (unlikely(current->bc_owes))
		__bc_pay_debt(true);
#endif
}

/**
 * bc_hurry_begin() - from here on, other groups' tasks may wait for the current one
 *
 * Where its group has no room for kernel memory it does little to make some, and
 * waits for nothing: it would rather be refused.
 *
 * Context: Task context.
 * Return: For bc_hurry_end().
 */
static inline bool bc_hurry_begin(void)
{
	bool outer = false;

#ifdef CONFIG_KMEM_REFUSE
	outer = current->bc_hurries;
	current->bc_hurries = true;
#endif
	return outer;
}

/**
 * bc_hurry_end() - end what bc_hurry_begin() has begun
 * @outer: what bc_hurry_begin() has returned
 */
static inline void bc_hurry_end(bool outer)
{
#ifdef CONFIG_KMEM_REFUSE
	current->bc_hurries = outer;
#endif
}

/**
 * bc_kmem_gives_all() - whether the current task gives up the last that it can
 *
 * A pass for a group that will be refused kernel memory otherwise. What mainline keeps
 * for a better choice of what to reclaim is given up, too.
 *
 * Context: Task context, in a shrinker.
 */
static inline bool bc_kmem_gives_all(void)
{
#ifdef CONFIG_KMEM_REFUSE
	return current->bc_gives_all;
#else
	return false;
#endif
}

/**
 * bc_fault_verify() - correct the result of a fault that was refused kernel memory
 * @vma: where the fault was
 * @address: the address
 * @flags: FAULT_FLAG_*
 * @fault: what the handler has returned; with neither %VM_FAULT_RETRY nor
 *	%VM_FAULT_COMPLETED in it, @vma is locked
 *
 * A handler may hide a refusal, or report one that did not matter. The page
 * table decides: see kmem_fault_verify().
 *
 * Context: Task context, after the handler and before bc_fault_leave().
 * Return: @fault, or what it should have been.
 */
static inline vm_fault_t bc_fault_verify(struct vm_area_struct *vma,
					 unsigned long address,
					 unsigned int flags, vm_fault_t fault)
{
#ifdef CONFIG_KMEM_REFUSE
	if (static_branch_unlikely(&kmem_refuse_key) &&
	    unlikely(current->bc_refused))
		return kmem_fault_verify(vma, address, flags, fault);
#endif
	return fault;
}

/**
 * bc_refused_enter() - from here on, note whether kernel memory is refused
 *
 * Context: Task context.
 * Return: For bc_refused_leave().
 */
static inline bool bc_refused_enter(void)
{
	bool outer = false;

#ifdef CONFIG_KMEM_REFUSE
	outer = current->bc_refused;
	current->bc_refused = false;
#endif
	return outer;
}

/**
 * bc_refused_leave() - whether the current task was refused memory since then
 * @outer: what bc_refused_enter() has returned
 *
 * Context: Task context.
 * Return: Whether its group, or one that it acted for, was out of memory.
 */
static inline bool bc_refused_leave(bool outer)
{
	bool refused = false;

#ifdef CONFIG_KMEM_REFUSE
	refused = current->bc_refused;
	current->bc_refused |= outer;
#endif
	return refused;
}

/**
 * bc_fault_enter() - a page fault is going to be handled
 *
 * Faults nest: what handles one may touch user memory.
 *
 * Context: Task context.
 * Return: For bc_fault_leave(): what the task had of the fault around this one.
 */
static inline unsigned int bc_fault_enter(void)
{
	unsigned int outer = 0;

#ifdef CONFIG_KMEM_REFUSE
	if (static_branch_unlikely(&kmem_refuse_key)) {
		outer = current->bc_fault | current->bc_refused << 8;
		current->bc_fault = true;
		current->bc_refused = false;
	}
#endif
	return outer;
}

/**
 * bc_fault_leave() - a page fault was handled
 * @fault: what the handler and bc_fault_verify() have returned
 * @outer: what bc_fault_enter() has returned
 *
 * A fault that was refused memory would be refused again if it was repeated, and
 * killing another task frees none: it is an error of the task that has caused it.
 *
 * Context: Task context.
 * Return: What to make of it: %VM_FAULT_SIGBUS for %VM_FAULT_OOM after a refusal,
 * unless memcg has something to do about user memory.
 */
static inline vm_fault_t bc_fault_leave(vm_fault_t fault, unsigned int outer)
{
#ifdef CONFIG_KMEM_REFUSE
	if (static_branch_unlikely(&kmem_refuse_key)) {
		if (current->bc_refused && (fault & VM_FAULT_OOM))
			fault = kmem_fault_error(fault);
		current->bc_fault = outer;
		current->bc_refused |= outer >> 8;
	}
#endif
	return fault;
}

#endif /* _BC_KMEM_REFUSE_H */
