// SPDX-License-Identifier: GPL-2.0
/*
 * ubc: memory that is promised (privvmpages)
 *
 * What Committed_AS counts for the machine, this counts for a group: pages of
 * private writable mappings, and of shared memory, used or not. So mmap(2) is
 * refused where the OOM killer would come later. It is charged where mainline
 * calls security_vm_enough_memory_mm() or vm_acct_memory(), and returned where
 * mainline calls vm_unacct_memory().
 *
 * Which group is charged
 *
 * Pages are accounted one by one and returned in other numbers: mappings are
 * split, merged, moved and replaced. So it is not a mapping that has an owner,
 * but what mainline accounts for: an mm, or a shmem inode. The group of the
 * task that makes it is chosen when it is made, and does not change: fork and
 * exec make an mm. A task that moves to another group leaves the charge behind,
 * and so does all that it maps before it executes another program. To take it
 * along would have to be refused, or to pass the new group's limit; it would
 * need all other tasks of the mm to stand still, and to be told from a move of
 * one of its threads. And it would differ from all other kinds, and from memcg.
 *
 * An mm that was made in the root group, or while there was no group, is not
 * charged. An mm is thus charged for all that it has, or for nothing.
 *
 * Invariant: the units that the owner has for an object are those that mainline
 * has accounted for it, but for a call that is under way.
 *
 * - The word with the owner is written before the object is visible to other
 *   tasks and after it is visible to none. In between it is read without a
 *   lock. It is written while the key is on; the key stays on as long as the
 *   owner.
 * - The object keeps the owner, be it charged or not: the owner, not the group,
 *   which can be removed at any time. Then the owner forwards to a group above,
 *   and that is charged from then on, by way of the same owner:
 *   res_owner_adopt(). So units come back by the owner that has them.
 * - The group is charged first, and gets it back where the machine has no room.
 *   Else a task whose group has no room would take the machine's for a moment,
 *   again and again, and other groups would be refused. Units are returned after
 *   mainline has done so.
 */

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/percpu_counter.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/swap.h>

#include <bc/ubc_vm.h>

#include "ubc.h"

/* Owners that objects keep */

/* That of @group, or of one above it; %NULL: nothing is charged. Under RCU. */
static struct res_owner *ubc_get_group_owner(struct ubc_group *group,
					     enum bc_ubc_kind kind)
{
	struct res_owner *owner;

	for (; group; group = group->parent) {
		/* None, if the group was removed. */
		owner = READ_ONCE(ubc_find_account(group, kind)->counter.owner);
		if (!IS_ERR(owner) && res_owner_tryget(owner))
			return owner;
	}
	return NULL;
}

static struct res_owner *ubc_get_current_owner(enum bc_ubc_kind kind)
{
	struct cgroup_subsys_state *css;
	struct res_owner *owner = NULL;

	rcu_read_lock();
	css = task_css(current, ubc_cgrp_id);
	if (css->parent)
		owner = ubc_get_group_owner(css_ubc(css), kind);
	rcu_read_unlock();
	return owner;
}

/**
 * ubc_get_other_owner() - the owner of another kind
 * @owner: an owner that is kept
 * @kind: of which, one of those that each group has an account of
 *
 * Return: That of the group which has the units of @owner now, for
 * res_owner_put(); %NULL: the root has them.
 */
struct res_owner *ubc_get_other_owner(struct res_owner *owner,
				      enum bc_ubc_kind kind)
{
	struct cgroup_subsys_state *css;
	struct res_owner *other = NULL;
	struct res_counter *counter;

	rcu_read_lock();
	counter = res_owner_counter(owner);
	if (counter) {
		css = &counter_bc(counter)->group->css;
		other = ubc_get_group_owner(css_ubc(css), kind);
	}
	rcu_read_unlock();
	return other;
}

/* Where the stock has too little, or the group was removed. */
static noinline int ubc_charge_owner_slow(enum bc_ubc_kind kind, u64 n,
					  struct res_owner *owner,
					  enum bc_severity severity)
{
	const struct bc_resource *res = &ubc_kinds[kind];
	struct res_owner *from;

	for (;;) {
		from = bc_charge_owner(res, owner, n, severity, true);
		if (IS_ERR(from))
			return PTR_ERR(from);
		if (from == owner || res_owner_adopt(owner, from, n))
			return 0;
		if (from)
			bc_uncharge(res, from, n);
		/* The task that removes the group has a few lines left. */
		schedule_timeout_uninterruptible(1);
	}
}

/**
 * ubc_charge_owner() - charge the group that an owner belongs to
 * @kind: what is charged
 * @n: units, at least 1
 * @owner: the owner, which is kept, and has these units then
 *
 * Context: Task context; may sleep.
 * Return: 0, or the errno of @kind.
 */
int ubc_charge_owner(enum bc_ubc_kind kind, u64 n, struct res_owner *owner)
{
	bool charged;

	preempt_disable();
	charged = res_stock_charge(&ubc_stock, owner, n);
	preempt_enable();
	return charged ? 0 : ubc_charge_owner_slow(kind, n, owner, BC_BARRIER);
}

/* privvmpages */

void __bc_vm_init(bc_ubc_t *vm)
{
	vm->owner = ubc_get_current_owner(UBC_PRIVVMPAGES);
}

void __bc_vm_exit(bc_ubc_t *vm)
{
	res_owner_put(vm->owner);
}

/*
 * Whether mainline is sure to refuse: there is no need then to look for units
 * that other groups and CPUs keep, which would cost these, at each try. Less than
 * a batch may not be in the count that mainline looks at.
 */
static bool ubc_vm_exhausted(unsigned long pages)
{
	switch (READ_ONCE(sysctl_overcommit_memory)) {
	case OVERCOMMIT_GUESS:
		return pages > totalram_pages() + total_swap_pages;
	case OVERCOMMIT_NEVER:
		return pages > vm_committed_as_batch &&
		       percpu_counter_read_positive(&vm_committed_as) + pages >
		       vm_commit_limit();
	}
	return false;
}

static noinline int ubc_vm_charge_slow(struct res_owner *owner,
				       unsigned long pages)
{
	if (!pages)
		return 0;
	if (pages > RES_COUNTER_MAX || ubc_vm_exhausted(pages))
		return -ENOMEM;
	return ubc_charge_owner_slow(UBC_PRIVVMPAGES, pages, owner, BC_BARRIER);
}

/* There was less in stock, and preemption is still off. */
static noinline int ubc_vm_charge_undo(struct res_slot *slot,
				       struct res_owner *owner,
				       unsigned long pages)
{
	__res_slot_undo(slot, pages);
	preempt_enable();
	return ubc_vm_charge_slow(owner, pages);
}

/*
 * Each mmap(2) and munmap(2) comes by here. Nothing is left to be done after a
 * call, so that no register has to be saved. That @pages is 0 is looked at where
 * it matters. It can be a negative number, cast: the size of a segment of shared
 * memory that mainline rounds up beyond what it can count.
 */
int __bc_vm_charge(bc_ubc_t *vm, unsigned long pages)
{
	struct res_owner *owner = vm->owner;
	struct res_slot *slot;

	if (!owner)
		return 0;
	preempt_disable();
	slot = res_this_slot(&ubc_stock, owner);
	if (unlikely(slot->owner != owner || pages > RES_SLOT_MAX)) {
		preempt_enable();
		return ubc_vm_charge_slow(owner, pages);
	}
	if (unlikely(res_slot_take(slot, pages)))
		return ubc_vm_charge_undo(slot, owner, pages);
	preempt_enable();
	return 0;
}

/* No error: it is forced. */
void __bc_vm_force_charge(bc_ubc_t *vm, unsigned long pages)
{
	if (vm->owner && pages)
		WARN_ON_ONCE(ubc_charge_owner_slow(UBC_PRIVVMPAGES, pages,
						   vm->owner, BC_FORCE));
}

void __bc_vm_uncharge(bc_ubc_t *vm, unsigned long pages)
{
	if (vm->owner && pages)
		bc_uncharge(&ubc_kinds[UBC_PRIVVMPAGES], vm->owner, pages);
}
