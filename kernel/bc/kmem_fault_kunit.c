// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of page faults that are refused kernel memory, with fault
 * handlers as drivers have them
 *
 * The tests call handle_mm_fault() themselves: a fault that would be repeated
 * for ever fails the test, and does not hang it.
 */

#include <kunit/test.h>

#include <linux/anon_inodes.h>
#include <linux/cgroup.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include <bc/beancounter.h>
#include <bc/kmem.h>

#include "kmem_kunit.h"

/* How much a page table maps, and how many page tables the tests use. */
#define STRIDE	PMD_SIZE
#define STRIDES	4

/* KUnit compares integers; for sparse, vm_fault_t is not an integer type. */
#define expect_fault(test, expected, seen)				\
	KUNIT_EXPECT_EQ(test, (__force unsigned int)(expected),		\
			(__force unsigned int)(seen))
#define assert_fault(test, expected, seen)				\
	KUNIT_ASSERT_EQ(test, (__force unsigned int)(expected),		\
			(__force unsigned int)(seen))

static struct beancounter *bc;
static unsigned long page;		/* that the driver maps */
static vm_fault_t (*driver)(struct vm_fault *vmf);
static unsigned long start;		/* of the mapping, rounded up */

/* Drivers */

static vm_fault_t insert(struct vm_fault *vmf, unsigned long address)
{
	return vmf_insert_pfn(vmf->vma, address,
			      page_to_pfn(virt_to_page(page)));
}

/* As most drivers: returns what has become of the fault. */
static vm_fault_t driver_plain(struct vm_fault *vmf)
{
	return insert(vmf, vmf->address);
}

/* As TTM for the first page: hides that a page table was refused. */
static vm_fault_t driver_hides(struct vm_fault *vmf)
{
	insert(vmf, vmf->address);
	return VM_FAULT_NOPAGE;
}

/* As TTM for a page that it maps in advance: a refusal fails the fault. */
static vm_fault_t driver_ahead(struct vm_fault *vmf)
{
	vm_fault_t fault = insert(vmf, vmf->address);

	return fault == VM_FAULT_NOPAGE ? insert(vmf, vmf->address + STRIDE) :
					  fault;
}

static bool refused_object(void)
{
	void *p = kmalloc(64, GFP_KERNEL_BC);

	kfree(p);
	return !p;
}

/* Is refused an object, and maps the page without it. */
static vm_fault_t driver_does_without(struct vm_fault *vmf)
{
	return refused_object() ? insert(vmf, vmf->address) : VM_FAULT_SIGSEGV;
}

/* Is refused an object, and has the fault repeated. */
static vm_fault_t driver_hopes(struct vm_fault *vmf)
{
	return refused_object() ? VM_FAULT_NOPAGE : VM_FAULT_SIGSEGV;
}

static vm_fault_t driver_fault(struct vm_fault *vmf)
{
	return driver(vmf);
}

static const struct vm_operations_struct driver_vm_ops = {
	.fault = driver_fault,
};

static int driver_mmap(struct file *file, struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &driver_vm_ops;
	return 0;
}

static const struct file_operations driver_fops = {
	.mmap = driver_mmap,
};

static int fault_test_init(struct kunit *test)
{
	struct beancounter *group = kmem_kunit_new_group();

	if (IS_ERR(group))
		return PTR_ERR(group);
	bc = group;
	page = get_zeroed_page(GFP_KERNEL);
	return page ? 0 : -ENOMEM;
}

static void fault_test_exit(struct kunit *test)
{
	free_page(page);
	if (!bc)
		return;
	kmem_kunit_end_group(bc);
	bc = NULL;
}

static u64 usage(void)
{
	struct res_snapshot snap;

	res_counter_read(&bc->counter, &snap);
	return snap.usage;
}

static void set_limit(struct kunit *test, u64 limit)
{
	KUNIT_ASSERT_EQ(test, 0,
			res_counter_set_limit(&bc->counter, limit, false));
}

/* Handles one fault, for which the group is charged. */
static vm_fault_t fault(unsigned long address, unsigned int flags)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	vm_fault_t ret = VM_FAULT_SIGSEGV;
	struct res_owner *old;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, address);
	old = bc_set_active(bc->counter.owner);
	if (vma)
		ret = handle_mm_fault(vma, address, flags, NULL);
	bc_set_active(old);
	mmap_read_unlock(mm);
	return ret;
}

static void map(struct kunit *test)
{
	const unsigned long len = (2 * STRIDES + 1) * STRIDE;
	unsigned long address;
	struct file *file;

	file = anon_inode_getfile("[bc]", &driver_fops, NULL, O_RDWR);
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	address = kunit_vm_mmap(test, file, 0, len, PROT_READ | PROT_WRITE,
				MAP_SHARED, 0);
	fput(file);
	KUNIT_ASSERT_NE(test, 0, address);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(address));
	start = ALIGN(address, STRIDE);
	/* All strides are to have their tables in one PMD table. */
	if (start / PUD_SIZE != (start + STRIDES * STRIDE - 1) / PUD_SIZE)
		start = ALIGN(start, PUD_SIZE);
	/* Allocates that one, and the tables above it: */
	driver = driver_plain;
	assert_fault(test, VM_FAULT_NOPAGE, fault(start, 0));
}

static void unmap(struct kunit *test)
{
	struct vm_area_struct *vma;
	unsigned long first, last;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, start);
	first = vma->vm_start;
	last = vma->vm_end;
	mmap_read_unlock(current->mm);
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(first, last - first));
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, 0, usage());
}

/* The page table is refused, and the handler hides that. */
static void hidden_refusal(struct kunit *test)
{
	u8 byte;

	map(test);
	set_limit(test, 0);
	driver = driver_plain;
	expect_fault(test, VM_FAULT_SIGBUS, fault(start + STRIDE, 0));
	/* __do_fault() allocates one table before it calls the handler. */
	set_limit(test, usage() + PAGE_SIZE);
	expect_fault(test, VM_FAULT_SIGBUS, fault(start + STRIDE, 0));
	driver = driver_hides;
	assert_fault(test, VM_FAULT_SIGBUS, fault(start + STRIDE, 0));
	assert_fault(test, VM_FAULT_SIGBUS,
		     fault(start + STRIDE, FAULT_FLAG_WRITE));
	/* Where there is a table, there is no refusal. */
	expect_fault(test, VM_FAULT_NOPAGE, fault(start + PAGE_SIZE, 0));

	/* And the kernel's own access ends. */
	if (!IS_ENABLED(CONFIG_UML)) {
		struct res_owner *old = bc_set_active(bc->counter.owner);
		unsigned long left;

		left = copy_from_user(&byte, (void __user *)start + STRIDE, 1);
		bc_set_active(old);
		KUNIT_EXPECT_EQ(test, 1, left);
	}

	set_limit(test, RES_COUNTER_MAX);
	expect_fault(test, VM_FAULT_NOPAGE, fault(start + STRIDE, 0));
	unmap(test);
}

/* The page is mapped; what the handler was refused was for another page. */
static void refusal_ahead(struct kunit *test)
{
	map(test);
	set_limit(test, 0);
	driver = driver_ahead;
	expect_fault(test, VM_FAULT_NOPAGE, fault(start + PAGE_SIZE, 0));
	expect_fault(test, VM_FAULT_NOPAGE,
		     fault(start + 2 * PAGE_SIZE, FAULT_FLAG_WRITE));
	expect_fault(test, VM_FAULT_SIGBUS, fault(start + STRIDE, 0));
	unmap(test);
}

/* A page that can only be read does not help a write. */
static void read_only_page(struct kunit *test)
{
	struct vm_area_struct *vma;

	map(test);
	mmap_write_lock(current->mm);
	vma = vma_lookup(current->mm, start);
	vma->vm_page_prot = vm_get_page_prot(vma->vm_flags & ~VM_SHARED);
	mmap_write_unlock(current->mm);
	set_limit(test, 0);
	driver = driver_ahead;
	expect_fault(test, VM_FAULT_NOPAGE, fault(start + PAGE_SIZE, 0));
	expect_fault(test, VM_FAULT_SIGBUS,
		     fault(start + 2 * PAGE_SIZE, FAULT_FLAG_WRITE));
	unmap(test);
}

/* The handler is refused an object, and not a page table. */
static void refused_object_in_fault(struct kunit *test)
{
	map(test);
	set_limit(test, 0);
	driver = driver_does_without;
	expect_fault(test, VM_FAULT_NOPAGE, fault(start + PAGE_SIZE, 0));
	driver = driver_hopes;
	expect_fault(test, VM_FAULT_SIGBUS, fault(start + 2 * PAGE_SIZE, 0));
	/* What another fault was refused does not matter to the next one. */
	driver = driver_hides;
	expect_fault(test, VM_FAULT_NOPAGE, fault(start + 2 * PAGE_SIZE, 0));
	unmap(test);
}

/* Results that do not say that memory was lacking are left alone. */
static void other_results(struct kunit *test)
{
	static const vm_fault_t results[] = {
		0, VM_FAULT_RETRY, VM_FAULT_COMPLETED, VM_FAULT_SIGSEGV,
		VM_FAULT_NOPAGE | VM_FAULT_RETRY, VM_FAULT_HWPOISON,
		VM_FAULT_MAJOR,
	};
	struct vm_area_struct *vma;
	int i;

	map(test);
	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, start);
	for (i = 0; i < ARRAY_SIZE(results); i++)
		expect_fault(test, results[i],
			     kmem_fault_verify(vma, start + STRIDE, 0,
					       results[i]));
	expect_fault(test, VM_FAULT_OOM | VM_FAULT_MAJOR,
		     kmem_fault_verify(vma, start + STRIDE, 0,
				       VM_FAULT_NOPAGE | VM_FAULT_MAJOR));
	expect_fault(test, VM_FAULT_NOPAGE,
		     kmem_fault_verify(vma, start, FAULT_FLAG_WRITE,
				       VM_FAULT_OOM));
	mmap_read_unlock(current->mm);
	unmap(test);
}

static struct kunit_case fault_test_cases[] = {
	KUNIT_CASE(hidden_refusal),
	KUNIT_CASE(refusal_ahead),
	KUNIT_CASE(read_only_page),
	KUNIT_CASE(refused_object_in_fault),
	KUNIT_CASE(other_results),
	{}
};

static struct kunit_suite fault_test_suite = {
	.name = "bc_kmem_fault",
	.init = fault_test_init,
	.exit = fault_test_exit,
	.test_cases = fault_test_cases,
};
kunit_test_suite(fault_test_suite);

MODULE_DESCRIPTION("KUnit tests of page faults that are refused kernel memory");
MODULE_LICENSE("GPL");
