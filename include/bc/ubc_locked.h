/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ubc: pages that are locked or pinned in memory (lockedpages)
 *
 * Of an mm: what mlock(2) and the like lock, and what is pinned on its account.
 * See kernel/bc/ubc_locked.c.
 */
#ifndef _BC_UBC_LOCKED_H
#define _BC_UBC_LOCKED_H

#include <linux/minmax.h>
#include <linux/mm.h>

#include <bc/ubc.h>

#ifdef CONFIG_BC_UBC

void __bc_locked_exit(bc_locked_t *locked);
int __must_check __bc_mm_lock_begin(struct mm_struct *mm, unsigned long pages);
void __bc_mm_lock_end(struct mm_struct *mm);
int __must_check __bc_mm_pin(struct mm_struct *mm, unsigned long pages);
void __bc_mm_unpin(struct mm_struct *mm, unsigned long pages);

/**
 * bc_locked_init() - a new mm has nothing locked
 * @locked: the mm's, which may be a copy of another one's
 */
static inline void bc_locked_init(bc_locked_t *locked)
{
	if (static_branch_unlikely(&bc_ubc_key))
		*locked = (bc_locked_t){ };
}

/**
 * bc_locked_exit() - the mm is freed, nothing is locked nor pinned any more
 * @locked: the mm's
 *
 * Context: Any context but NMI.
 */
static inline void bc_locked_exit(bc_locked_t *locked)
{
	if (static_branch_unlikely(&bc_ubc_key) && locked->owner)
		__bc_locked_exit(locked);
}

/**
 * bc_mm_lock_counts() - whether an mm is charged for what it locks
 * @mm: the mm
 *
 * Return: Whether bc_mm_lock_begin() does anything.
 */
static inline bool bc_mm_lock_counts(struct mm_struct *mm)
{
	return static_branch_unlikely(&bc_ubc_key) && mm->bc_privvm.owner;
}

/**
 * bc_mm_lock_begin() - charge pages that mm_struct.locked_vm is going to have
 * @mm: the mm
 * @pages: how many it will grow by, at most
 *
 * bc_mm_lock_end() follows, under the same lock, whether they were locked or
 * not.
 *
 * Context: Task context, mmap_lock held for writing; may sleep.
 * Return: 0 or -ENOMEM.
 */
static inline int __must_check bc_mm_lock_begin(struct mm_struct *mm,
						unsigned long pages)
{
	return bc_mm_lock_counts(mm) ? __bc_mm_lock_begin(mm, pages) : 0;
}

/**
 * bc_mm_lock_end() - return pages that mm_struct.locked_vm does not have
 * @mm: the mm
 *
 * Context: mmap_lock held for writing.
 */
static inline void bc_mm_lock_end(struct mm_struct *mm)
{
	if (static_branch_unlikely(&bc_ubc_key) &&
	    unlikely(mm->bc_locked.pages > mm->locked_vm))
		__bc_mm_lock_end(mm);
}

/**
 * bc_vma_locked() - how many pages of mm_struct.locked_vm a mapping has
 * @vma: the mapping
 *
 * Return: The number of pages, or 0 while none is charged.
 */
static inline unsigned long bc_vma_locked(struct vm_area_struct *vma)
{
	if (static_branch_unlikely(&bc_ubc_key) && vma->vm_flags & VM_LOCKED)
		return vma_pages(vma);
	return 0;
}

/**
 * bc_mm_lock_exit() - return the pages of mappings, as all was unmapped
 * @mm: the mm, which exits
 * @pages: how many of them were locked
 *
 * What drivers have added to mm_struct.locked_vm stays charged until they
 * subtract it, or drop their reference to the mm.
 *
 * Context: mmap_lock held for writing.
 */
static inline void bc_mm_lock_exit(struct mm_struct *mm, unsigned long pages)
{
	if (static_branch_unlikely(&bc_ubc_key) &&
	    unlikely(mm->bc_locked.pages)) {
		mm->locked_vm -= min(mm->locked_vm, pages);
		bc_mm_lock_end(mm);
	}
}

/**
 * bc_mm_pin() - charge pages that are pinned on an mm's account
 * @mm: the mm, with a reference to its mm_count until bc_mm_unpin()
 * @pages: how many
 *
 * Where mm_struct.pinned_vm grows.
 *
 * Context: Task context; may sleep.
 * Return: 0 or -ENOMEM.
 */
static inline int __must_check bc_mm_pin(struct mm_struct *mm,
					 unsigned long pages)
{
	return bc_mm_lock_counts(mm) ? __bc_mm_pin(mm, pages) : 0;
}

/**
 * bc_mm_unpin() - return pages
 * @mm: see bc_mm_pin()
 * @pages: how many
 *
 * Context: Any context but NMI.
 */
static inline void bc_mm_unpin(struct mm_struct *mm, unsigned long pages)
{
	if (bc_mm_lock_counts(mm))
		__bc_mm_unpin(mm, pages);
}

#else

static inline void bc_locked_init(bc_locked_t *locked)
{
}

static inline void bc_locked_exit(bc_locked_t *locked)
{
}

static inline bool bc_mm_lock_counts(struct mm_struct *mm)
{
	return false;
}

static inline int __must_check bc_mm_lock_begin(struct mm_struct *mm,
						unsigned long pages)
{
	return 0;
}

static inline void bc_mm_lock_end(struct mm_struct *mm)
{
}

static inline unsigned long bc_vma_locked(struct vm_area_struct *vma)
{
	return 0;
}

static inline void bc_mm_lock_exit(struct mm_struct *mm, unsigned long pages)
{
}

static inline int __must_check bc_mm_pin(struct mm_struct *mm,
					 unsigned long pages)
{
	return 0;
}

static inline void bc_mm_unpin(struct mm_struct *mm, unsigned long pages)
{
}

#endif /* CONFIG_BC_UBC */
#endif /* _BC_UBC_LOCKED_H */
