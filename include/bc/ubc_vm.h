/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ubc: memory that is promised (privvmpages)
 *
 * These take the place of security_vm_enough_memory_mm(), vm_acct_memory() and
 * vm_unacct_memory() where an mm or a shmem inode is accounted: they account
 * for the machine as those do, and charge the group besides. See
 * kernel/bc/ubc_vm.c.
 */
#ifndef _BC_UBC_VM_H
#define _BC_UBC_VM_H

#include <linux/mm_types.h>
#include <linux/mman.h>
#include <linux/security.h>

#include <bc/ubc.h>

#ifdef CONFIG_BC_UBC

void __bc_vm_init(bc_ubc_t *vm);
void __bc_vm_exit(bc_ubc_t *vm);
int __must_check __bc_vm_charge(bc_ubc_t *vm, unsigned long pages);
void __bc_vm_force_charge(bc_ubc_t *vm, unsigned long pages);
void __bc_vm_uncharge(bc_ubc_t *vm, unsigned long pages);

/**
 * bc_vm_init() - choose the group that pays for an mm or a shmem inode
 * @vm: the object's, zero as long as there is no group
 *
 * It is that of the current task, until bc_vm_exit().
 *
 * Context: Task context.
 */
static inline void bc_vm_init(bc_ubc_t *vm)
{
	if (static_branch_unlikely(&bc_ubc_key))
		__bc_vm_init(vm);
}

/**
 * bc_vm_exit() - the object ends, all was returned
 * @vm: the object's
 *
 * Context: Any context but NMI.
 */
static inline void bc_vm_exit(bc_ubc_t *vm)
{
	if (static_branch_unlikely(&bc_ubc_key) && vm->owner)
		__bc_vm_exit(vm);
}

/*
 * Returns what an object was charged, if it was: the machine has it back
 * already, or has refused it.
 */
static inline void bc_vm_uncharge(bc_ubc_t *vm, unsigned long pages)
{
	if (static_branch_unlikely(&bc_ubc_key))
		__bc_vm_uncharge(vm, pages);
}

/**
 * bc_vm_enough_memory() - account memory, if group and machine have enough
 * @vm: what pays
 * @mm: see security_vm_enough_memory_mm()
 * @pages: how many
 *
 * Context: Task context; may sleep.
 * Return: 0 or -ENOMEM.
 */
static inline int __must_check
bc_vm_enough_memory(bc_ubc_t *vm, struct mm_struct *mm, unsigned long pages)
{
	int err;

	if (static_branch_unlikely(&bc_ubc_key)) {
		err = __bc_vm_charge(vm, pages);
		if (err)
			return err;
	}
	err = security_vm_enough_memory_mm(mm, pages);
	if (unlikely(err))
		bc_vm_uncharge(vm, pages);
	return err;
}

/**
 * bc_vm_acct_memory() - account memory that is there already
 * @vm: what pays
 * @pages: how many
 *
 * Context: Task context; may sleep.
 */
static inline void bc_vm_acct_memory(bc_ubc_t *vm, unsigned long pages)
{
	vm_acct_memory(pages);
	if (static_branch_unlikely(&bc_ubc_key))
		__bc_vm_force_charge(vm, pages);
}

/**
 * bc_vm_unacct_memory() - return what was accounted
 * @vm: what paid
 * @pages: how many
 *
 * Context: Any context but NMI.
 */
static inline void bc_vm_unacct_memory(bc_ubc_t *vm, unsigned long pages)
{
	vm_unacct_memory(pages);
	bc_vm_uncharge(vm, pages);
}

#else

static inline void bc_vm_init(bc_ubc_t *vm)
{
}

static inline void bc_vm_exit(bc_ubc_t *vm)
{
}

static inline int __must_check
bc_vm_enough_memory(bc_ubc_t *vm, struct mm_struct *mm, unsigned long pages)
{
	return security_vm_enough_memory_mm(mm, pages);
}

static inline void bc_vm_acct_memory(bc_ubc_t *vm, unsigned long pages)
{
	vm_acct_memory(pages);
}

static inline void bc_vm_unacct_memory(bc_ubc_t *vm, unsigned long pages)
{
	vm_unacct_memory(pages);
}

#endif /* CONFIG_BC_UBC */

/**
 * bc_mm_enough_memory() - bc_vm_enough_memory() for an mm
 * @mm: the mm, which pays
 * @pages: see bc_vm_enough_memory()
 *
 * Context: See bc_vm_enough_memory().
 * Return: 0 or -ENOMEM.
 */
static inline int __must_check bc_mm_enough_memory(struct mm_struct *mm,
						   unsigned long pages)
{
	return bc_vm_enough_memory(&mm->bc_privvm, mm, pages);
}

/**
 * bc_mm_acct_memory() - bc_vm_acct_memory() for an mm
 * @mm: the mm, which pays
 * @pages: how many
 *
 * Context: See bc_vm_acct_memory().
 */
static inline void bc_mm_acct_memory(struct mm_struct *mm,
				     unsigned long pages)
{
	bc_vm_acct_memory(&mm->bc_privvm, pages);
}

/**
 * bc_mm_unacct_memory() - bc_vm_unacct_memory() for an mm
 * @mm: the mm that paid
 * @pages: how many
 *
 * Context: See bc_vm_unacct_memory().
 */
static inline void bc_mm_unacct_memory(struct mm_struct *mm,
				       unsigned long pages)
{
	bc_vm_unacct_memory(&mm->bc_privvm, pages);
}

#endif /* _BC_UBC_VM_H */
