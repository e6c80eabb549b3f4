// SPDX-License-Identifier: GPL-2.0
/*
 * ubc: pages that are locked or pinned in memory (lockedpages)
 *
 * Mainline has RLIMIT_MEMLOCK for these, and three counts that it compares with
 * it, each by itself: mm_struct.locked_vm (mlock, MAP_LOCKED, VFIO),
 * mm_struct.pinned_vm (RDMA, perf), user_struct.locked_vm (io_uring, xsk); with
 * CAP_IPC_LOCK, none. Here is one account for all. A page counts once for each
 * that holds it: an mm that locks it in a mapping, a ring whose buffer it is.
 *
 * Which group is charged
 *
 * What an mm locks, or has pinned on its account, the group pays that pays for
 * its memory: see kernel/bc/ubc_vm.c. The owner is looked up when the first
 * page is locked, as most never lock any, and stays until the mm is freed: what
 * is pinned may outlast all that was mapped. Other holders have an owner of
 * their own and call bc_ubc_charge(): buffers of perf and of xsk, SHM_LOCK.
 *
 * locked_vm
 *
 * mainline changes it in many places, most of them after the last point where
 * an error could be returned; parts of what a call locks may be locked already,
 * be replaced, or not be lockable in the end. So each call under mmap_lock
 * first charges all that it may lock, where it can be refused:
 * bc_mm_lock_begin(). Last it returns what was not locked, or what was
 * unlocked: bc_mm_lock_end().
 *
 * Invariant: bc_locked.pages are charged. When mmap_lock is not held for
 * writing, they are as many as locked_vm has; meanwhile there are not less.
 *
 * - All writers of locked_vm hold mmap_lock for writing, and so do both
 *   functions. A call that unmaps only, and goes on with the lock held for
 *   reading, has changed locked_vm before.
 * - An mm is charged for all that it locks, or for nothing: whether it is, is
 *   decided when it is made.
 * - An exit lowers locked_vm by what its mappings had locked, which mainline has
 *   no need to do. What is left drivers have pinned (VFIO), for any process that
 *   has their descriptor now. They lower locked_vm only while the mm has a user,
 *   but keep the mm until they have unpinned: the rest is returned when it is
 *   freed.
 *
 * pinned_vm
 *
 * It is changed without a lock by owners of pins, each of which returns what it
 * has pinned. They are charged and returned one by one.
 */

#include <linux/export.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/rcupdate.h>

#include <bc/ubc_locked.h>

#include "ubc.h"

/* What pays for what @mm locks; %NULL: nothing is charged. */
static struct res_owner *ubc_locked_owner(struct mm_struct *mm)
{
	struct res_owner *old, *owner = READ_ONCE(mm->bc_locked.owner);

	if (owner)
		return owner;
	owner = ubc_get_other_owner(mm->bc_privvm.owner, UBC_LOCKEDPAGES);
	if (!owner)
		return NULL;
	/* Pages are pinned without a lock. */
	old = cmpxchg(&mm->bc_locked.owner, NULL, owner);
	if (!old)
		return owner;
	res_owner_put(owner);
	return old;
}

void __bc_locked_exit(bc_locked_t *locked)
{
	if (locked->pages)
		bc_uncharge(&ubc_kinds[UBC_LOCKEDPAGES], locked->owner,
			    locked->pages);
	res_owner_put(locked->owner);
}

int __bc_mm_lock_begin(struct mm_struct *mm, unsigned long pages)
{
	struct res_owner *owner;
	int err;

	mmap_assert_write_locked(mm);

	if (!pages || mm->locked_vm + pages <= mm->bc_locked.pages)
		return 0;
	owner = ubc_locked_owner(mm);
	if (!owner)
		return 0;
	pages += mm->locked_vm - mm->bc_locked.pages;
	err = ubc_charge_owner(UBC_LOCKEDPAGES, pages, owner);
	if (!err)
		mm->bc_locked.pages += pages;
	return err;
}

void __bc_mm_lock_end(struct mm_struct *mm)
{
	mmap_assert_write_locked(mm);

	bc_uncharge(&ubc_kinds[UBC_LOCKEDPAGES], mm->bc_locked.owner,
		    mm->bc_locked.pages - mm->locked_vm);
	mm->bc_locked.pages = mm->locked_vm;
}

int __bc_mm_pin(struct mm_struct *mm, unsigned long pages)
{
	struct res_owner *owner = pages ? ubc_locked_owner(mm) : NULL;

	return owner ? ubc_charge_owner(UBC_LOCKEDPAGES, pages, owner) : 0;
}
EXPORT_SYMBOL_GPL(__bc_mm_pin);

void __bc_mm_unpin(struct mm_struct *mm, unsigned long pages)
{
	struct res_owner *owner = mm->bc_locked.owner;

	if (owner && pages)
		bc_uncharge(&ubc_kinds[UBC_LOCKEDPAGES], owner, pages);
}
EXPORT_SYMBOL_GPL(__bc_mm_unpin);
