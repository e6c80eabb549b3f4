// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults that were refused kernel memory
 *
 * A refusal in a page fault has to end the fault. Repeating the access asks for
 * the same memory again, and neither reclaim nor the OOM killer would free it.
 * bc_fault_leave() makes VM_FAULT_OOM a SIGBUS for that reason. But what a
 * fault handler returns does not say whether it was refused:
 *
 *  - It may hide the refusal. ttm_bo_vm_fault_reserved() returns
 *    VM_FAULT_NOPAGE where there is no page table for its first page. The fault
 *    is repeated for ever.
 *  - It may report a refusal that did not matter. The same function maps further
 *    pages in advance. When it is refused a page table for one of them, it
 *    returns VM_FAULT_OOM. The access would succeed.
 *  - It may have found another way after the refusal, such as a small page
 *    where a huge one would have needed a page table beside it.
 *
 * So after a refusal the page table decides, and not the handler. If it has
 * what the access needs, the fault is done. If not, the fault was refused.
 */

#include <linux/hugetlb.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

#include <bc/kmem_refuse.h>

/* Whether an access to @address, to write if @write, would succeed. */
static bool kmem_fault_mapped(struct mm_struct *mm, unsigned long address,
			      bool write)
{
	pgd_t *pgd = pgd_offset(mm, address);
	bool mapped;
	p4d_t *p4d;
	pud_t *pud, pudval;
	pmd_t *pmd, pmdval;
	pte_t *pte, pteval;

	if (!pgd_present(*pgd))
		return false;
	p4d = p4d_offset(pgd, address);
	if (!p4d_present(*p4d))
		return false;
	pud = pud_offset(p4d, address);
	pudval = READ_ONCE(*pud);
	if (!pud_present(pudval))
		return false;
	if (pud_leaf(pudval))
		return !write || pud_write(pudval);
	pmd = pmd_offset(pud, address);
	pmdval = pmdp_get_lockless(pmd);
	if (!pmd_present(pmdval))
		return false;
	if (pmd_leaf(pmdval))
		return !write || pmd_write(pmdval);
	pte = pte_offset_map(pmd, address);
	if (!pte)
		return false;
	/* pte_offset_map() has taken it; sparse does not know. */
	__acquire(RCU);
	pteval = ptep_get_lockless(pte);
	mapped = pte_present(pteval) && (!write || pte_write(pteval));
	pte_unmap(pte);
	return mapped;
}

/**
 * kmem_fault_verify() - correct the result of a fault that was refused kernel
 * memory
 * @vma: where the fault was
 * @address: the address
 * @flags: FAULT_FLAG_*
 * @fault: what the handler has returned
 *
 * No lock of the page table is taken, as no answer is wrong for long. A page
 * that another task maps meanwhile is as good as one from the handler. A page
 * that another task unmaps right after the handler mapped it makes this a
 * refused fault, which it was; that needs both in the same few instructions.
 *
 * @vma is looked at only while it is locked: the lock was given up for
 * %VM_FAULT_RETRY and %VM_FAULT_COMPLETED, which end a fault in their own ways.
 * The lock keeps the tables down to the PMD from being freed, and
 * pte_offset_map() the last one.
 *
 * Context: Task context, after a refusal in this fault.
 * Return: @fault; with %VM_FAULT_OOM for bc_fault_leave() where nothing is
 * mapped, and with %VM_FAULT_NOPAGE where something is.
 */
vm_fault_t kmem_fault_verify(struct vm_area_struct *vma, unsigned long address,
			     unsigned int flags, vm_fault_t fault)
{
	const bool write = flags & FAULT_FLAG_WRITE;

	if (fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED))
		return fault;
	if (fault & VM_FAULT_ERROR & ~VM_FAULT_OOM)
		return fault;
	/* A fault with neither of them has mapped a page. */
	if (!(fault & (VM_FAULT_OOM | VM_FAULT_NOPAGE)))
		return fault;
	/* hugetlb has its own page tables, and its faults hide no refusal. */
	if (is_vm_hugetlb_page(vma))
		return fault;

	fault &= ~(VM_FAULT_OOM | VM_FAULT_NOPAGE);
	if (kmem_fault_mapped(vma->vm_mm, address, write))
		return fault | VM_FAULT_NOPAGE;
	return fault | VM_FAULT_OOM;
}

/**
 * kmem_fault_error() - the error of a page fault that was refused kernel memory
 * @fault: with %VM_FAULT_OOM
 *
 * Context: Task context, after a refusal in this fault.
 * Return: @fault with %VM_FAULT_SIGBUS instead, unless memcg lacks user memory as
 * well and has something to do about that first.
 */
vm_fault_t kmem_fault_error(vm_fault_t fault)
{
	if (task_in_memcg_oom(current))
		return fault;
	return (fault & ~VM_FAULT_OOM) | VM_FAULT_SIGBUS;
}
