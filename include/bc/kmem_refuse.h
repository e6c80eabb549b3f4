/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Refusals of kernel memory, by whatever bounds it: kmem, and memcg's independent
 * limit
 */
#ifndef _BC_KMEM_REFUSE_H
#define _BC_KMEM_REFUSE_H

#include <linux/jump_label.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/sched.h>

struct mem_cgroup;
struct vm_area_struct;

#ifdef CONFIG_KMEM_REFUSE

/* From the first group on that can be refused kernel memory. */
DECLARE_STATIC_KEY_FALSE(kmem_refuse_key);

/**
 * struct kmem_room - how a group that may have no more makes room
 * @busy: one task does it
 * @not_before: jiffies; nobody tries earlier
 */
struct kmem_room {
	struct mutex	busy;		/* one at a time */
	unsigned long	not_before;
};

void kmem_room_init(struct kmem_room *room);
bool kmem_make_room(struct kmem_room *room, struct mem_cgroup *memcg,
		    bool insist, bool (*enough)(void *arg), void *arg);
bool kmem_never_refused(gfp_t gfp, bool for_other);
vm_fault_t kmem_fault_verify(struct vm_area_struct *vma, unsigned long address,
			     unsigned int flags, vm_fault_t fault);

#endif /* CONFIG_KMEM_REFUSE */

/**
 * bc_fault_verify() - what a page fault came to that was refused kernel memory
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
 * bc_refused_enter() - from here on, refusals of kernel memory are of interest
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
 * bc_refused_leave() - whether the current task was refused memory since
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
 * Context: Task context.
 */
static inline void bc_fault_enter(void)
{
#ifdef CONFIG_KMEM_REFUSE
	if (static_branch_unlikely(&kmem_refuse_key)) {
		current->bc_refused = false;
		current->bc_fault = true;
	}
#endif
}

/**
 * bc_fault_leave() - a page fault was handled
 * @fault: what came out
 *
 * A fault that was refused memory cannot be repeated until there is some, nor is
 * there anybody to be killed for it: it is an error of whoever has caused it.
 *
 * Context: Task context.
 * Return: What to make of it: %VM_FAULT_SIGBUS for %VM_FAULT_OOM after a refusal.
 */
static inline vm_fault_t bc_fault_leave(vm_fault_t fault)
{
#ifdef CONFIG_KMEM_REFUSE
	if (static_branch_unlikely(&kmem_refuse_key)) {
		current->bc_fault = false;
		if (current->bc_refused && (fault & VM_FAULT_OOM)) {
			fault &= ~VM_FAULT_OOM;
			fault |= VM_FAULT_SIGBUS;
		}
	}
#endif
	return fault;
}

#endif /* _BC_KMEM_REFUSE_H */
