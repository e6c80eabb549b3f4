// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of kmem: what is allocated, by any interface, is charged to the group
 * that asked for it, and returned once.
 *
 * The tests act for a group without a directory: kunit's threads are kernel threads,
 * and would not be charged for what they do themselves.
 */

#include <kunit/test.h>

#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/gfp.h>
#include <linux/irq_work.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <bc/beancounter.h>
#include <bc/kmem.h>

#include "../../mm/slab.h"
#include "internal.h"
#include "kmem_kunit.h"
#include "refuse.h"

enum { PAGE, VMALLOC, SLAB };

static struct beancounter *bc;
static struct res_snapshot snap;

static u64 usage(void)
{
	res_counter_read(&bc->counter, &snap);
	return snap.usage;
}

/* Usage is @n bytes, all of @kind. */
static void expect_usage(struct kunit *test, u64 n, unsigned int kind)
{
	unsigned int i;

	KUNIT_EXPECT_EQ(test, n, usage());
	for (i = PAGE; i < SLAB; i++)
		KUNIT_EXPECT_EQ(test, i == kind ? n : 0, snap.kinds[i]);
	KUNIT_EXPECT_EQ(test, n, snap.all_kinds);
}

static void expect_nothing(struct kunit *test)
{
	expect_usage(test, 0, SLAB);
}

/* Returns a new group below the root, which a test acts for, or an errno. */
struct beancounter *kmem_kunit_new_group(void)
{
	struct cgroup_subsys_state *root = init_css_set.subsys[kmem_cgrp_id];
	struct cgroup_subsys_state *css;

	cgroup_lock();
	css = kmem_cgrp_subsys.css_alloc(root);
	cgroup_unlock();
	if (IS_ERR(css))
		return ERR_CAST(css);
	/* What cgroup core does for a new css, as far as the tests need it. */
	css->cgroup = root->cgroup;
	css->parent = root;
	css->flags |= CSS_NO_REF;
	return css_bc(css);
}

/* Removes such a group and frees it. */
void kmem_kunit_end_group(struct beancounter *group)
{
	cgroup_lock();
	kmem_cgrp_subsys.css_killed(&group->group->css);
	cgroup_unlock();
	synchronize_rcu();
	/* Wait until its events are reported. */
	while (bc_test_flag(group, BC_FLAG_DEFERRED))
		schedule_timeout_uninterruptible(1);
	__flush_workqueue(system_unbound_wq);
	kmem_cgrp_subsys.css_free(&group->group->css);
}

static int kmem_test_init(struct kunit *test)
{
	struct beancounter *group = kmem_kunit_new_group();

	if (IS_ERR(group))
		return PTR_ERR(group);
	bc = group;
	bc_set_active(bc->counter.owner);
	return 0;
}

static void kmem_test_exit(struct kunit *test)
{
	bc_set_active(NULL);
	if (!bc)
		return;
	expect_nothing(test);
	kmem_kunit_end_group(bc);
	bc = NULL;
}

static struct kmem_cache *new_cache(struct kunit *test, slab_flags_t flags)
{
	struct res_owner *owner = bc_set_active(BC_NOBODY);
	struct kmem_cache *s;

	/* Not to be merged with another one, so that its size is known. */
	s = kmem_cache_create("bc_kmem_kunit", 200, 8, flags | SLAB_NO_MERGE,
			      NULL);
	bc_set_active(owner);
	KUNIT_ASSERT_NOT_NULL(test, s);
	return s;
}

/* Charges no group: the removal of its name in sysfs may leave dentries behind. */
static void end_cache(struct kmem_cache *s)
{
	struct res_owner *owner = bc_set_active(BC_NOBODY);

	kmem_cache_destroy(s);
	bc_set_active(owner);
}

/* What an object takes, with all that debugging options add. */
static u64 object_size(struct kunit *test, struct kmem_cache *s)
{
	void *p = kmem_cache_alloc(s, GFP_KERNEL_ACCOUNT);
	u64 size = usage();

	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_GE(test, size, 200);
	KUNIT_EXPECT_LE(test, size, 4096);
	expect_usage(test, size, SLAB);
	kmem_cache_free(s, p);
	expect_nothing(test);
	return size;
}

static void slab_objects(struct kunit *test)
{
	struct kmem_cache *s = new_cache(test, SLAB_ACCOUNT);
	u64 size = object_size(test, s);
	static void *p[300];
	int i;

	for (i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, p[i]);
		expect_usage(test, (i + 1) * size, SLAB);
	}
	for (i = 0; i < ARRAY_SIZE(p); i++)
		kmem_cache_free(s, p[(i * 7) % ARRAY_SIZE(p)]);
	expect_nothing(test);
	end_cache(s);
}

/*
 * Objects of all sizes, with owners behind them or in vectors, are written to from
 * end to end: neither they nor their owners are damaged. Caches may be merged.
 */
static void slab_sizes(struct kunit *test)
{
	static const unsigned int sizes[] = {
		8, 24, 56, 64, 72, 120, 184, 192, 248, 256, 600, 608, 1000, 2040, 4000,
	};
	static const slab_flags_t flags[] = {
		SLAB_ACCOUNT,
		SLAB_ACCOUNT | SLAB_HWCACHE_ALIGN,
		SLAB_ACCOUNT | SLAB_HWCACHE_ALIGN | SLAB_TYPESAFE_BY_RCU,
	};
	static struct kmem_cache *s[ARRAY_SIZE(sizes)];
	static void *p[ARRAY_SIZE(sizes)][40];
	struct res_owner *owner;
	unsigned int i, j, f;
	char name[32];

	for (f = 0; f < ARRAY_SIZE(flags); f++) {
		owner = bc_set_active(BC_NOBODY);
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			snprintf(name, sizeof(name), "bc_kunit_%u_%u", f, sizes[i]);
			s[i] = kmem_cache_create(name, sizes[i], 8, flags[f], NULL);
			KUNIT_ASSERT_NOT_NULL(test, s[i]);
		}
		bc_set_active(owner);
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			for (j = 0; j < ARRAY_SIZE(p[i]); j++) {
				p[i][j] = kmem_cache_alloc(s[i], GFP_KERNEL);
				KUNIT_ASSERT_NOT_NULL(test, p[i][j]);
				memset(p[i][j], 0x5c, sizes[i]);
			}
			KUNIT_EXPECT_GE(test, usage(), ARRAY_SIZE(p[i]) * sizes[i]);
		}
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			for (j = 0; j < ARRAY_SIZE(p[i]); j++) {
				KUNIT_EXPECT_NULL(test, memchr_inv(p[i][j], 0x5c,
								   sizes[i]));
				kmem_cache_free(s[i], p[i][j]);
			}
		}
		expect_nothing(test);
		for (i = 0; i < ARRAY_SIZE(sizes); i++)
			end_cache(s[i]);
	}
}

struct slab_shape {
	unsigned int	size;		/* of an object, with all that is added */
	unsigned int	order;
	unsigned int	least_order;	/* of a slab, if memory is scarce */
	unsigned int	objects;
};

/* The shape of a new cache's first slab, and whether the cache has owners. */
static bool shape_of_slab(struct kunit *test, unsigned int size, slab_flags_t flags,
			  struct slab_shape *shape)
{
	struct kmem_cache *s = kmem_cache_create("bc_kunit_slab", size, 8,
						 flags | SLAB_NO_MERGE, NULL);
	struct slab *slab;
	bool owners;
	void *p[2];

	KUNIT_ASSERT_NOT_NULL(test, s);
	p[0] = kmem_cache_alloc(s, GFP_KERNEL);
	p[1] = kmem_cache_alloc(s, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, p[0] && p[1]);
	/* KFENCE takes one now and then. */
	slab = virt_to_slab(p[is_kfence_address(p[0])]);
	*shape = (struct slab_shape) {
		.size = s->size,
		.order = slab_order(slab),
		.least_order = s->min.x >> 16,
		.objects = slab->objects,
	};
	owners = bc_cache_has_owners(s);
	kmem_cache_free(s, p[0]);
	kmem_cache_free(s, p[1]);
	kmem_cache_destroy(s);
	return owners;
}

/* Makes caches with @flags, and returns how many of them have owners. */
static unsigned int make_caches(struct kunit *test, slab_flags_t flags)
{
	unsigned int size, caches = 0, wrong = 0;
	struct slab_shape with, without;
	bool owners;

	for (size = 8; size <= 8192; size += size < 1024 ? 8 : 96) {
		KUNIT_EXPECT_FALSE(test, shape_of_slab(test, size, flags, &without));
		owners = shape_of_slab(test, size, flags | SLAB_ACCOUNT, &with);
		caches += owners;
		if (with.order != without.order ||
		    with.least_order != without.least_order ||
		    with.objects > without.objects ||
		    with.objects * 8 < without.objects * 7)
			wrong++;
		/* What begins with a cache line goes on to do so. */
		if (with.size % cache_line_size() &&
		    !(without.size % cache_line_size()))
			wrong++;
		if (!owners && with.size != without.size)
			wrong++;
	}
	kunit_info(test, "%u caches with owners, flags %#x", caches,
		   (__force unsigned int)flags);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	return caches;
}

/* Owners behind them take the place of an object in eight at most. */
static void slab_owners_are_small(struct kunit *test)
{
	struct res_owner *owner = bc_set_active(BC_NOBODY);
	unsigned int caches = make_caches(test, 0);

	/* With slub_debug there are none. */
	if (caches)
		KUNIT_EXPECT_LT(test, 0, make_caches(test, SLAB_HWCACHE_ALIGN));
	bc_set_active(owner);
}

/*
 * A task of the group, without a scope, takes all that it charges from this CPU's
 * stock. This one is a kernel thread: it has nothing but what the stock has.
 */
static void slab_from_stock(struct kunit *test)
{
	struct kmem_cache *s = new_cache(test, SLAB_ACCOUNT);
	void *first, *p[3][10];
	u64 stocked;
	int i, j;

	migrate_disable();
	first = kmem_cache_alloc(s, GFP_KERNEL);
	bc_set_active(NULL);
	for (j = 0; j < ARRAY_SIZE(p[2]); j++)
		p[2][j] = kmem_cache_alloc(s, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, usage(), s->size);
	stocked = snap.stocked;
	WRITE_ONCE(current->bc_owner, bc->counter.owner);
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		for (j = 0; j < ARRAY_SIZE(p[i]); j++) {
			if (i == 0)
				p[i][j] = kmem_cache_alloc(s, GFP_KERNEL);
			else if (i == 1)
				p[i][j] = kmalloc(64, GFP_KERNEL_ACCOUNT);
			else
				KUNIT_EXPECT_TRUE(test, p[i][j] &&
						  kmem_cache_charge(p[i][j], GFP_KERNEL));
			usage();
			KUNIT_EXPECT_LT(test, snap.stocked, stocked);
			stocked = snap.stocked;
		}
	}
	KUNIT_EXPECT_GE(test, usage(), ARRAY_SIZE(p[0]) * (2 * s->size + 64));
	kfree(first);
	for (i = 0; i < ARRAY_SIZE(p); i++)
		for (j = 0; j < ARRAY_SIZE(p[i]); j++)
			kfree(p[i][j]);
	WRITE_ONCE(current->bc_owner, NULL);
	migrate_enable();
	bc_set_active(bc->counter.owner);
	expect_nothing(test);
	end_cache(s);
}

/* Each object has a place of its own in the vector, whatever the cache's size. */
static void slab_vector_places(struct kunit *test)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP, 3);
	const unsigned int bytes = PAGE_SIZE << 3;
	unsigned int size, i, wrong = 0;
	static struct kmem_cache s;
	struct slabobj_ext *exts;
	void *first, *object;

	KUNIT_ASSERT_NOT_NULL(test, page);
	/* It is not looked into. */
	first = page_address(page);
	exts = first;
	for (size = 8; size <= bytes; size += 8) {
		s.size = size;
		bc_cache_set_reciprocal(&s);
		for (i = 0; (i + 1) * size <= bytes; i++) {
			object = first + i * size;
			if (bc_slab_offset((struct slab *)page, object) != i * size ||
			    bc_vector_place(&s, object, i * size, exts) != &exts[i].bc)
				wrong++;
		}
	}
	__free_pages(page, 3);
	KUNIT_EXPECT_EQ(test, 0, wrong);
}

/* The flag is enough; without either nothing is charged. */
static void slab_flag_or_cache(struct kunit *test)
{
	struct kmem_cache *s = new_cache(test, 0);
	void *marked, *unmarked, *charged;
	u64 size = object_size(test, s);

	unmarked = kmem_cache_alloc(s, GFP_KERNEL);
	expect_nothing(test);
	marked = kmem_cache_alloc(s, GFP_KERNEL_BC);
	expect_usage(test, size, SLAB);
	charged = kmem_cache_alloc(s, GFP_KERNEL);
	expect_usage(test, size, SLAB);
	/* Long after; and once. */
	KUNIT_EXPECT_TRUE(test, kmem_cache_charge(charged, GFP_KERNEL_ACCOUNT));
	expect_usage(test, 2 * size, SLAB);
	KUNIT_EXPECT_TRUE(test, kmem_cache_charge(charged, GFP_KERNEL_ACCOUNT));
	KUNIT_EXPECT_TRUE(test, kmem_cache_charge(marked, GFP_KERNEL_ACCOUNT));
	expect_usage(test, 2 * size, SLAB);
	kmem_cache_free(s, unmarked);
	expect_usage(test, 2 * size, SLAB);
	kmem_cache_free(s, charged);
	kmem_cache_free(s, marked);
	end_cache(s);
}

static void slab_bulk(struct kunit *test)
{
	struct kmem_cache *s = new_cache(test, SLAB_ACCOUNT);
	u64 size = object_size(test, s);
	void *p[100];
	int i;

	KUNIT_ASSERT_EQ(test, 100, kmem_cache_alloc_bulk(s, GFP_KERNEL, 100, p));
	expect_usage(test, 100 * size, SLAB);
	kmem_cache_free_bulk(s, 40, p);
	expect_usage(test, 60 * size, SLAB);
	for (i = 40; i < 60; i++)
		kmem_cache_free(s, p[i]);
	kmem_cache_free_bulk(s, 40, p + 60);
	expect_nothing(test);

	/* All or none. */
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter, 99 * size,
						       false));
	KUNIT_EXPECT_EQ(test, 0, kmem_cache_alloc_bulk(s, GFP_KERNEL, 100, p));
	expect_nothing(test);
	KUNIT_EXPECT_EQ(test, 99, kmem_cache_alloc_bulk(s, GFP_KERNEL, 99, p));
	expect_usage(test, 99 * size, SLAB);
	kmem_cache_free_bulk(s, 99, p);
	end_cache(s);
}

/* An object that is handed from one group to another. */
static void slab_recharged(struct kunit *test)
{
	struct kmem_cache *s = new_cache(test, SLAB_ACCOUNT);
	u64 size = object_size(test, s);
	struct res_owner *owner = bc->counter.owner;
	void *p = kmem_cache_alloc(s, GFP_KERNEL), *q;

	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_PTR_EQ(test, bc_slab_owner(p), owner);
	/* It has a place already, and needs none beside it. */
	KUNIT_EXPECT_EQ(test, 0,
			res_counter_set_limit(&bc->counter, size, false));
	KUNIT_EXPECT_TRUE(test, bc_slab_recharge(p, GFP_KERNEL));
	expect_usage(test, size, SLAB);

	bc_set_active(BC_NOBODY);
	KUNIT_EXPECT_TRUE(test, bc_slab_recharge(p, GFP_KERNEL));
	KUNIT_EXPECT_PTR_EQ(test, bc_slab_owner(p), BC_NOBODY);
	expect_nothing(test);
	KUNIT_EXPECT_TRUE(test, bc_slab_recharge(p, GFP_KERNEL));
	expect_nothing(test);

	/* Without room it stays where it is. */
	bc_set_active(owner);
	q = kmem_cache_alloc(s, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, q);
	KUNIT_EXPECT_FALSE(test, bc_slab_recharge(p, GFP_KERNEL));
	KUNIT_EXPECT_PTR_EQ(test, bc_slab_owner(p), BC_NOBODY);
	expect_usage(test, size, SLAB);
	kmem_cache_free(s, q);
	KUNIT_EXPECT_TRUE(test, bc_slab_recharge(p, GFP_KERNEL));
	expect_usage(test, size, SLAB);
	kmem_cache_free(s, p);
	expect_nothing(test);

	/* What no cache has is on no account that could be read. */
	p = (void *)__get_free_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_PTR_EQ(test, bc_slab_owner(p), BC_NOBODY);
	free_page((unsigned long)p);
	end_cache(s);
}

static void slab_typesafe_by_rcu(struct kunit *test)
{
	struct kmem_cache *s = new_cache(test, SLAB_ACCOUNT |
					       SLAB_TYPESAFE_BY_RCU);
	u64 size = object_size(test, s);
	void *p = kmem_cache_alloc(s, GFP_KERNEL);
	void *q = kmem_cache_alloc(s, GFP_KERNEL);

	expect_usage(test, 2 * size, SLAB);
	kmem_cache_free(s, p);
	expect_usage(test, size, SLAB);
	kmem_cache_free(s, q);
	end_cache(s);
}

static void kmalloc_and_krealloc(struct kunit *test)
{
	void *p = kmalloc(100, GFP_KERNEL_ACCOUNT), *q, *plain;
	u64 small = usage();

	expect_usage(test, small, SLAB);
	KUNIT_EXPECT_GE(test, small, 100);
	plain = kmalloc(100, GFP_KERNEL);
	expect_usage(test, small, SLAB);
	kfree(plain);
	q = krealloc(p, 1000, GFP_KERNEL_ACCOUNT);
	KUNIT_ASSERT_NOT_NULL(test, q);
	KUNIT_EXPECT_GE(test, usage(), 1000);
	KUNIT_EXPECT_LT(test, usage(), 8192);
	/* Into the page allocator, and back. */
	p = krealloc(q, 40000, GFP_KERNEL_ACCOUNT);
	KUNIT_ASSERT_NOT_NULL(test, p);
	expect_usage(test, 65536, PAGE);
	q = krealloc(p, 0, GFP_KERNEL_ACCOUNT);
	KUNIT_EXPECT_TRUE(test, ZERO_OR_NULL_PTR(q));
	expect_nothing(test);

	p = kvmalloc(100, GFP_KERNEL_ACCOUNT);
	KUNIT_EXPECT_EQ(test, small, usage());
	kvfree(p);
	p = kvmalloc(10000000, GFP_KERNEL_ACCOUNT);
	KUNIT_ASSERT_NOT_NULL(test, p);
	/* It may consist of huge pages, and be rounded up to these. */
	KUNIT_EXPECT_GE(test, usage(), 10000000);
	expect_usage(test, usage(), VMALLOC);
	kvfree(p);
}

struct object {
	struct rcu_head rcu;
	char data[300];
};

static void kfree_after_grace(struct kunit *test)
{
	struct rcu_gp_oldstate last = { };
	struct object *o;
	u64 waiting;
	int i;

	for (i = 0; i < 100; i++) {
		o = kmalloc(sizeof(*o), GFP_KERNEL_ACCOUNT);
		KUNIT_ASSERT_NOT_NULL(test, o);
		get_state_synchronize_rcu_full(&last);
		kfree_rcu(o, rcu);
	}
	waiting = usage();
	/* If this took longer than a grace period, the last may be freed. */
	if (!poll_state_synchronize_rcu_full(&last))
		KUNIT_EXPECT_GT(test, waiting, 0);
	kvfree_rcu_barrier();
	expect_nothing(test);
}

static void large_kmalloc(struct kunit *test)
{
	void *p = kmalloc(100000, GFP_KERNEL_ACCOUNT);
	void *q = kmalloc(100000, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_NOT_NULL(test, q);
	expect_usage(test, 131072, PAGE);
	KUNIT_EXPECT_TRUE(test, kmem_cache_charge(q, GFP_KERNEL_ACCOUNT));
	KUNIT_EXPECT_TRUE(test, kmem_cache_charge(q, GFP_KERNEL_ACCOUNT));
	expect_usage(test, 2 * 131072, PAGE);
	kfree(p);
	expect_usage(test, 131072, PAGE);
	kfree(q);
}

static void pages(struct kunit *test)
{
	static const gfp_t flags[] = { 0, __GFP_COMP };
	unsigned int order, i;

	for (order = 0; order < 5; order++) {
		for (i = 0; i < ARRAY_SIZE(flags); i++) {
			struct page *page = alloc_pages(GFP_KERNEL_ACCOUNT |
							flags[i], order);

			KUNIT_ASSERT_NOT_NULL(test, page);
			expect_usage(test, PAGE_SIZE << order, PAGE);
			__free_pages(page, order);
			expect_nothing(test);
			page = alloc_pages(GFP_KERNEL | flags[i], order);
			expect_nothing(test);
			__free_pages(page, order);
		}
	}
}

static void pages_in_parts(struct kunit *test)
{
	struct page *page = alloc_pages(GFP_KERNEL_ACCOUNT, 3);
	void *p;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, page);
	split_page(page, 3);
	expect_usage(test, 8 * PAGE_SIZE, PAGE);
	for (i = 8; i--; ) {
		__free_page(page + i);
		expect_usage(test, i * PAGE_SIZE, PAGE);
	}

	/* What is not needed is freed at once. */
	p = alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	KUNIT_ASSERT_NOT_NULL(test, p);
	expect_usage(test, 5 * PAGE_SIZE, PAGE);
	free_pages_exact(p, 5 * PAGE_SIZE);
	expect_nothing(test);

	/* The first page has another reference while all are freed. */
	page = alloc_pages(GFP_KERNEL_ACCOUNT, 2);
	KUNIT_ASSERT_NOT_NULL(test, page);
	get_page(page);
	__free_pages(page, 2);
	expect_usage(test, PAGE_SIZE, PAGE);
	put_page(page);
	expect_nothing(test);
}

static void pages_in_bulk(struct kunit *test)
{
	struct page *p[20] = { };
	unsigned long n = 0;
	int i;

	while (n < ARRAY_SIZE(p)) {
		unsigned long more = alloc_pages_bulk_array(GFP_KERNEL_ACCOUNT,
							    ARRAY_SIZE(p), p);

		KUNIT_ASSERT_GT(test, more, n);
		n = more;
		expect_usage(test, n * PAGE_SIZE, PAGE);
	}
	for (i = 0; i < ARRAY_SIZE(p); i++)
		__free_page(p[i]);
}

/* A page that leaves kernel memory, as those of pipes do, and is freed later. */
static void pages_given_away(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT);

	KUNIT_ASSERT_NOT_NULL(test, page);
	expect_usage(test, PAGE_SIZE, PAGE);
	bc_page_uncharge(page, 0);
	expect_nothing(test);
	bc_page_uncharge(page, 0);
	expect_nothing(test);
	__free_page(page);
}

static void vmalloc_areas(struct kunit *test)
{
	void *p = vmalloc_bc(5 * PAGE_SIZE + 1), *q;

	KUNIT_ASSERT_NOT_NULL(test, p);
	expect_usage(test, 6 * PAGE_SIZE, VMALLOC);
	q = vmalloc(5 * PAGE_SIZE);
	expect_usage(test, 6 * PAGE_SIZE, VMALLOC);
	vfree(q);
	q = __vmalloc(4 * 1024 * 1024, GFP_KERNEL_ACCOUNT);
	KUNIT_ASSERT_NOT_NULL(test, q);
	expect_usage(test, 6 * PAGE_SIZE + 4 * 1024 * 1024, VMALLOC);
	vfree(p);
	expect_usage(test, 4 * 1024 * 1024, VMALLOC);
	vfree(q);
	expect_nothing(test);

	/* An area is refused as a whole. */
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter,
						       10 * PAGE_SIZE, false));
	KUNIT_EXPECT_NULL(test, vmalloc_bc(11 * PAGE_SIZE));
	expect_nothing(test);
	p = vmalloc_bc(10 * PAGE_SIZE);
	KUNIT_EXPECT_NOT_NULL(test, p);
	vfree(p);
}

static void percpu_memory(struct kunit *test)
{
	const u64 size = 4096 * num_possible_cpus();
	void __percpu *early[64], *p, *q;
	int i, n = 0;

	/* The first chunk is older than any controller, and has no owners. */
	do {
		p = __alloc_percpu_gfp(4096, 8, GFP_KERNEL_ACCOUNT);
		KUNIT_ASSERT_TRUE(test, p);
		if (usage())
			break;
		early[n++] = p;
	} while (n < ARRAY_SIZE(early));
	expect_usage(test, size, VMALLOC);
	q = __alloc_percpu_gfp(4096, 8, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, q);
	expect_usage(test, size, VMALLOC);
	free_percpu(q);
	expect_usage(test, size, VMALLOC);
	free_percpu(p);
	for (i = 0; i < n; i++)
		free_percpu(early[i]);
	expect_nothing(test);

	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter, size - 1,
						       false));
	KUNIT_EXPECT_FALSE(test, __alloc_percpu_gfp(4096, 8, GFP_KERNEL_ACCOUNT));
	expect_nothing(test);
}

/* Elements are charged to no group, whichever task makes the pool get them. */
static void mempools(struct kunit *test)
{
	struct kmem_cache *s = new_cache(test, SLAB_ACCOUNT);
	mempool_t *pool = mempool_create_slab_pool(4, s);
	void *p[10];
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	expect_nothing(test);
	for (i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = mempool_alloc(pool, GFP_KERNEL_ACCOUNT);
	expect_nothing(test);
	KUNIT_EXPECT_EQ(test, 0, mempool_resize(pool, 20));
	for (i = 0; i < ARRAY_SIZE(p); i++)
		mempool_free(p[i], pool);
	expect_nothing(test);
	/* The pool's scopes have ended. */
	KUNIT_EXPECT_PTR_EQ(test, bc->counter.owner, current->bc_active);
	mempool_destroy(pool);
	end_cache(s);
}

static void xarrays(struct kunit *test)
{
	struct xarray xa;
	unsigned long i;

	xa_init_flags(&xa, XA_FLAGS_ACCOUNT);

	for (i = 0; i < 1000; i++)
		KUNIT_ASSERT_FALSE(test, xa_is_err(xa_store(&xa, i * 100,
							    xa_mk_value(i),
							    GFP_KERNEL)));
	KUNIT_EXPECT_GT(test, usage(), 1000 * sizeof(void *));
	xa_destroy(&xa);
	rcu_barrier();
	expect_nothing(test);
}

static void scopes(struct kunit *test)
{
	struct res_owner *owner = bc_kmem_get_current();
	void *p, *q;

	KUNIT_EXPECT_PTR_EQ(test, bc->counter.owner, owner);
	KUNIT_EXPECT_PTR_EQ(test, owner, bc_set_active(BC_NOBODY));
	KUNIT_EXPECT_PTR_EQ(test, BC_NOBODY, bc_kmem_get_current());
	p = kmalloc(100, GFP_KERNEL_ACCOUNT);
	expect_nothing(test);
	KUNIT_EXPECT_PTR_EQ(test, BC_NOBODY, bc_set_active(NULL));
	/* Outside of scopes this kernel thread leaves the hooks at once. */
	KUNIT_EXPECT_NULL(test, current->bc_owner);
	KUNIT_EXPECT_FALSE(test, bc_kmem_charges());
	KUNIT_EXPECT_NULL(test, bc_set_active(owner));
	KUNIT_EXPECT_TRUE(test, bc_kmem_charges());
	KUNIT_EXPECT_PTR_EQ(test, owner, bc_set_active(NULL));
	KUNIT_EXPECT_FALSE(test, bc_kmem_charges());
	/* A kernel thread has no group of its own to charge. */
	KUNIT_EXPECT_PTR_EQ(test, BC_NOBODY, bc_kmem_get_current());
	q = kmalloc(100, GFP_KERNEL_ACCOUNT);
	expect_nothing(test);
	kfree(q);
	bc_set_active(owner);
	q = kmalloc(100, GFP_KERNEL_ACCOUNT);
	KUNIT_EXPECT_GT(test, usage(), 0);
	kfree(p);
	KUNIT_EXPECT_GT(test, usage(), 0);
	/* What counts is the scope in which it was allocated. */
	bc_set_active(BC_NOBODY);
	kfree(q);
	expect_nothing(test);
	bc_set_active(owner);
	bc_kmem_put(owner);
}

static struct {
	struct irq_work work;
	struct res_owner *active;
	void *freed;
	void *got;
} in_irq;

static void irq_alloc(struct irq_work *work)
{
	struct res_owner *old = bc_set_active(in_irq.active);

	kfree(in_irq.freed);
	in_irq.got = kmalloc(100, GFP_ATOMIC | __GFP_ACCOUNT);
	bc_set_active(old);
}

static void *from_irq(struct res_owner *active, void *freed)
{
	in_irq.active = active;
	in_irq.freed = freed;
	/* No hard interrupt: with PREEMPT_RT, these must not allocate. */
	in_irq.work = IRQ_WORK_INIT(irq_alloc);
	irq_work_queue(&in_irq.work);
	irq_work_sync(&in_irq.work);
	return in_irq.got;
}

static void interrupts(struct kunit *test)
{
	void *p;

	/* The scope of the interrupted task does not count. */
	p = from_irq(NULL, kmalloc(100, GFP_KERNEL_ACCOUNT));
	KUNIT_ASSERT_NOT_NULL(test, p);
	expect_nothing(test);
	p = from_irq(bc->counter.owner, p);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_GT(test, usage(), 0);
	p = from_irq(BC_NOBODY, p);
	expect_nothing(test);
	kfree(p);
}

/* Without privileges until restore(). */
static const struct cred *unprivileged(struct kunit *test)
{
	struct res_owner *owner = bc_set_active(BC_NOBODY);
	struct cred *cred = prepare_creds();

	bc_set_active(owner);
	KUNIT_ASSERT_NOT_NULL(test, cred);
	cap_clear(cred->cap_effective);
	return override_creds(cred);
}

static void restore(const struct cred *old)
{
	const struct cred *cred = current_cred();

	revert_creds(old);
	put_cred(cred);
}

static u64 forced(void)
{
	return atomic64_read(&bc->events_local[BC_EVENT_FORCED]);
}

/* Fills @p until refused, and returns how many there are. */
static int fill(struct kmem_cache *s, gfp_t gfp, void **p, int have, int most)
{
	while (have < most) {
		p[have] = kmem_cache_alloc(s, gfp);
		if (!p[have])
			break;
		have++;
	}
	return have;
}

static void severities(struct kunit *test)
{
	struct kmem_cache *s = new_cache(test, SLAB_ACCOUNT);
	u64 size = object_size(test, s);
	const struct cred *old;
	unsigned int flags;
	bool outer, inner;
	void *p[40];
	int n;

	KUNIT_EXPECT_EQ(test, 0, res_counter_set_barrier(&bc->counter, 10 * size));
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter, 20 * size,
						       false));
	old = unprivileged(test);
	n = fill(s, GFP_KERNEL, p, 0, 40);
	KUNIT_EXPECT_EQ(test, 10, n);
	expect_usage(test, 10 * size, SLAB);
	outer = bc_limit_save();
	inner = bc_limit_save();
	KUNIT_EXPECT_EQ(test, 11, fill(s, GFP_KERNEL, p, n, 11));
	bc_limit_restore(inner);
	n = fill(s, GFP_KERNEL, p, 11, 12);
	bc_limit_restore(outer);
	KUNIT_EXPECT_EQ(test, 12, n);
	KUNIT_EXPECT_EQ(test, 12, fill(s, GFP_KERNEL, p, n, 40));
	/* Above the barrier GFP_ATOMIC gets nothing if another group is charged. */
	KUNIT_EXPECT_EQ(test, 12, fill(s, GFP_ATOMIC, p, n, 40));
	KUNIT_EXPECT_EQ(test, BC_BARRIER, kmem_severity(GFP_ATOMIC, false));
	KUNIT_EXPECT_EQ(test, BC_HALFWAY, kmem_severity(GFP_ATOMIC, true));
	/* Page faults leave the upper half to privileged tasks. */
	current->bc_fault = true;
	n = fill(s, GFP_KERNEL, p, n, 40);
	current->bc_fault = false;
	KUNIT_EXPECT_EQ(test, 15, n);
	KUNIT_EXPECT_EQ(test, n, fill(s, GFP_ATOMIC, p, n, 40));
	KUNIT_EXPECT_EQ(test, n, fill(s, GFP_KERNEL, p, n, 40));
	restore(old);

	/* Privileged tasks go up to the limit, and no task goes beyond ... */
	n = fill(s, GFP_KERNEL, p, n, 40);
	KUNIT_EXPECT_EQ(test, 20, n);
	outer = bc_limit_save();
	KUNIT_EXPECT_EQ(test, 20, fill(s, GFP_ATOMIC, p, n, 40));
	bc_limit_restore(outer);
	expect_usage(test, 20 * size, SLAB);
	KUNIT_EXPECT_EQ(test, 0, forced());
	/* ... but what must not fail, or frees memory. */
	n = fill(s, GFP_KERNEL | __GFP_NOFAIL, p, n, 22);
	KUNIT_EXPECT_EQ(test, 22, n);
	KUNIT_EXPECT_EQ(test, 2, forced());
	flags = memalloc_noreclaim_save();
	n = fill(s, GFP_KERNEL, p, n, 24);
	memalloc_noreclaim_restore(flags);
	KUNIT_EXPECT_EQ(test, 24, n);
	KUNIT_EXPECT_EQ(test, 4, forced());
	/* And what a file system cannot do without: with the flag, or in a scope. */
	n = fill(s, GFP_NOFS, p, n, 25);
	KUNIT_EXPECT_EQ(test, 25, n);
	flags = memalloc_nofs_save();
	n = fill(s, GFP_KERNEL, p, n, 26);
	memalloc_nofs_restore(flags);
	KUNIT_EXPECT_EQ(test, 26, n);
	flags = memalloc_noio_save();
	n = fill(s, GFP_KERNEL, p, n, 27);
	memalloc_noio_restore(flags);
	KUNIT_EXPECT_EQ(test, 27, n);
	KUNIT_EXPECT_EQ(test, 7, forced());
	expect_usage(test, 27 * size, SLAB);
	/* A kernel thread owes nothing. */
	KUNIT_EXPECT_FALSE(test, current->bc_owes);
	KUNIT_EXPECT_NULL(test, kmem_cache_alloc(s, GFP_KERNEL));
	/* There is room when usage is below the limit again. */
	while (n > 19)
		kmem_cache_free(s, p[--n]);
	KUNIT_EXPECT_EQ(test, 20, fill(s, GFP_KERNEL, p, n, 40));
	for (n = 20; n--; )
		kmem_cache_free(s, p[n]);
	end_cache(s);
}

/* A refusal is counted only where the caller has no other try. */
static void first_tries(struct kunit *test)
{
	struct kmem_cache *s = new_cache(test, SLAB_ACCOUNT);
	u64 size = object_size(test, s);
	u64 failcnt;
	void *p[4];
	int n;

	KUNIT_EXPECT_EQ(test, 0, res_counter_set_barrier(&bc->counter,
							 RES_COUNTER_MAX));
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter, 3 * size,
						       false));
	n = fill(s, GFP_KERNEL, p, 0, 3);
	KUNIT_EXPECT_EQ(test, 3, n);
	usage();
	failcnt = snap.failcnt;
	current->bc_refused = false;
	KUNIT_EXPECT_NULL(test, kmem_cache_alloc(s, GFP_NOWAIT));
	KUNIT_EXPECT_NULL(test, kmem_cache_alloc(s, GFP_KERNEL | __GFP_NORETRY |
						    __GFP_NOWARN));
	/* Also if a charge that is no first try would be forced. */
	KUNIT_EXPECT_NULL(test, kmem_cache_alloc(s, GFP_NOFS | __GFP_NORETRY |
						    __GFP_NOWARN));
	/* A page fault must see the refusal all the same. */
	KUNIT_EXPECT_TRUE(test, current->bc_refused);
	current->bc_refused = false;
	usage();
	KUNIT_EXPECT_EQ(test, failcnt, snap.failcnt);
	KUNIT_EXPECT_NULL(test, kmem_cache_alloc(s, GFP_KERNEL | __GFP_NORETRY));
	KUNIT_EXPECT_NULL(test, kmem_cache_alloc(s, GFP_KERNEL | __GFP_NOWARN));
	KUNIT_EXPECT_NULL(test, kmem_cache_alloc(s, GFP_ATOMIC));
	KUNIT_EXPECT_NULL(test, kmem_cache_alloc(s, GFP_ATOMIC | __GFP_NOWARN));
	usage();
	KUNIT_EXPECT_EQ(test, failcnt + 4, snap.failcnt);
	/* With room, a first try is the only one. */
	kmem_cache_free(s, p[--n]);
	n = fill(s, GFP_NOWAIT, p, n, 4);
	KUNIT_EXPECT_EQ(test, 3, n);
	while (n--)
		kmem_cache_free(s, p[n]);
	end_cache(s);
}

/* With a limit alone there is a barrier below it. */
static void default_barrier(struct kunit *test)
{
	const u64 gap = SZ_64M;

	usage();
	KUNIT_EXPECT_EQ(test, RES_COUNTER_MAX, snap.barrier);
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter, SZ_8M, false));
	usage();
	KUNIT_EXPECT_EQ(test, SZ_8M - SZ_2M, snap.barrier);
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter, 8 * gap, false));
	usage();
	KUNIT_EXPECT_EQ(test, 7 * gap, snap.barrier);
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter, 3, false));
	usage();
	KUNIT_EXPECT_EQ(test, RES_COUNTER_MAX, snap.barrier);
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter,
						       RES_COUNTER_MAX, false));
	usage();
	KUNIT_EXPECT_EQ(test, RES_COUNTER_MAX, snap.barrier);
	/* A barrier that was written stays, also if "max" was written. */
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_barrier(&bc->counter,
							 RES_COUNTER_MAX));
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter, SZ_8M, false));
	usage();
	KUNIT_EXPECT_EQ(test, RES_COUNTER_MAX, snap.barrier);
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_barrier(&bc->counter, SZ_1M));
	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter, SZ_4M, false));
	usage();
	KUNIT_EXPECT_EQ(test, SZ_1M, snap.barrier);
}

/* How long is waited for an excess: 32 s times the square of its part of the limit. */
static void pauses(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 0, kmem_debt_pause(0, SZ_8M));
	KUNIT_EXPECT_EQ(test, 0, kmem_debt_pause(0, RES_COUNTER_MAX));
	KUNIT_EXPECT_EQ(test, 0, kmem_debt_pause(1, SZ_8M));
	KUNIT_EXPECT_EQ(test, HZ / 2, kmem_debt_pause(SZ_1M, SZ_8M));
	KUNIT_EXPECT_EQ(test, 2 * HZ, kmem_debt_pause(SZ_2M, SZ_8M));
	KUNIT_EXPECT_EQ(test, 8 * HZ, kmem_debt_pause(SZ_4M, SZ_8M));
	KUNIT_EXPECT_EQ(test, 10 * HZ, kmem_debt_pause(SZ_8M, SZ_8M));
	KUNIT_EXPECT_EQ(test, 10 * HZ, kmem_debt_pause(1ULL << 50, SZ_8M));
	KUNIT_EXPECT_EQ(test, 10 * HZ, kmem_debt_pause(1ULL << 50, 1ULL << 50));
	/* A limit of next to nothing, or of nothing. */
	KUNIT_EXPECT_EQ(test, 2 * HZ, kmem_debt_pause(SZ_16K, 0));
	KUNIT_EXPECT_EQ(test, 2 * HZ, kmem_debt_pause(SZ_16K, 1));
	KUNIT_EXPECT_EQ(test, 10 * HZ, kmem_debt_pause(SZ_64K, 1));
}

static unsigned long count_pass(const struct kmem_pass *pass, int priority)
{
	*(int *)pass->arg += priority == DEF_PRIORITY;
	return 0;
}

/* As if so little had taken all the time that there is. */
static unsigned long run_out_of_time(const struct kmem_pass *pass, int priority)
{
	(*(int *)pass->arg)++;
	((struct kmem_pass *)pass)->until = jiffies;
	return 1;
}

static bool never_enough(void *arg)
{
	return false;
}

/*
 * How many of two passes begin, if the second comes at once: before the time that the
 * first one has left in @not_before. If it came later, so do both again.
 */
static int two_passes(struct kmem_pass *pass, const u32 *not_before)
{
	const int *passes = pass->arg;
	int before, tries = 100;
	u32 until;

	do {
		kmem_room_init(pass->room);
		before = *passes;
		kmem_make_room(pass);
		until = *not_before;
		kmem_make_room(pass);
	} while ((s32)(until - (u32)jiffies) <= 0 && --tries);
	return *passes - before;
}

/*
 * A pass in vain keeps off the next for a moment: not for as long as jiffies take to
 * wrap, however long ago it was. A task in a hurry does less, as for a debt.
 */
static void pauses_end(struct kunit *test)
{
	int passes = 0;
	struct kmem_room room;
	struct kmem_pass pass = {
		.room = &room,
		.shrink = count_pass,
		.enough = never_enough,
		.arg = &passes,
		.use = KMEM_FOR_DEBT,
		.want = 1,
	};
	bool outer;

	KUNIT_EXPECT_EQ(test, 1, two_passes(&pass, &room.debt_not_before));
	passes = 0;
	room.debt_not_before = (u32)jiffies + S32_MIN + HZ;
	KUNIT_EXPECT_FALSE(test, kmem_make_room(&pass));
	KUNIT_EXPECT_EQ(test, passes, 1);

	pass.use = KMEM_FOR_CHARGE;
	KUNIT_EXPECT_EQ(test, 1, two_passes(&pass, &room.not_before));
	passes = 0;
	room.not_before = (u32)jiffies + S32_MIN + HZ;
	KUNIT_EXPECT_FALSE(test, kmem_make_room(&pass));
	KUNIT_EXPECT_EQ(test, passes, 1);

	kmem_room_init(&room);
	outer = bc_hurry_begin();
	KUNIT_EXPECT_FALSE(test, kmem_make_room(&pass));
	bc_hurry_end(outer);
	KUNIT_EXPECT_EQ(test, passes, 2);

	/* What a new task does not find, a charge may. */
	pass.use = KMEM_FOR_TASK;
	KUNIT_EXPECT_FALSE(test, kmem_make_room(&pass));
	KUNIT_EXPECT_EQ(test, passes, 3);
	pass.use = KMEM_FOR_CHARGE;
	KUNIT_EXPECT_FALSE(test, kmem_make_room(&pass));
	KUNIT_EXPECT_EQ(test, passes, 4);
	pass.use = KMEM_FOR_TASK;
	KUNIT_EXPECT_EQ(test, 1, two_passes(&pass, &room.task_not_before));
}

/*
 * A pass for a charge ends when its time is over, as its task may have locks. Catches:
 * one that goes on until there is nothing to give up.
 */
static void charges_have_little_time(struct kunit *test)
{
	int steps = 0;
	struct kmem_room room;
	struct kmem_pass pass = {
		.room = &room,
		.shrink = run_out_of_time,
		.enough = never_enough,
		.arg = &steps,
		.want = SZ_1M,
	};

	kmem_room_init(&room);
	KUNIT_EXPECT_FALSE(test, kmem_make_room(&pass));
	KUNIT_EXPECT_EQ(test, steps, 1);
	room.not_before = jiffies;
	KUNIT_EXPECT_FALSE(test, kmem_make_room(&pass));
	KUNIT_EXPECT_EQ(test, steps, 2);
}

/* Refused before pages are looked for; a charge without pages is returned. */
static void refused_pages(struct kunit *test)
{
	struct page *page;

	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter,
						       3 * PAGE_SIZE, false));
	KUNIT_EXPECT_NULL(test, alloc_pages(GFP_KERNEL_ACCOUNT, 2));
	expect_nothing(test);
	KUNIT_EXPECT_NULL(test, kmalloc(20000, GFP_KERNEL_ACCOUNT));
	expect_nothing(test);
	page = alloc_pages(GFP_KERNEL_ACCOUNT, 1);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_NULL(test, alloc_pages(GFP_KERNEL_ACCOUNT, 1));
	expect_usage(test, 2 * PAGE_SIZE, PAGE);
	__free_pages(page, 1);
	/* A larger order than there is: mainline refuses that before the charge. */
	KUNIT_EXPECT_NULL(test, alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_NOWARN,
					    MAX_PAGE_ORDER + 1));
	expect_nothing(test);
}

static void faults(struct kunit *test)
{
	unsigned int fault, inner;
	bool outer;

	/* A refusal before the fault does not count. */
	current->bc_refused = true;
	fault = bc_fault_enter();
	KUNIT_EXPECT_TRUE(test, current->bc_fault);
	KUNIT_EXPECT_FALSE(test, current->bc_refused);
	KUNIT_EXPECT_TRUE(test, bc_fault_leave(VM_FAULT_OOM, fault) ==
				VM_FAULT_OOM);
	KUNIT_EXPECT_FALSE(test, current->bc_fault);
	KUNIT_EXPECT_TRUE(test, current->bc_refused);
	current->bc_refused = false;

	KUNIT_EXPECT_EQ(test, 0, res_counter_set_limit(&bc->counter, 0, false));
	fault = bc_fault_enter();
	KUNIT_EXPECT_NULL(test, kmalloc(100, GFP_KERNEL_ACCOUNT));
	/* A nested question for refusals in between. */
	outer = bc_refused_enter();
	KUNIT_EXPECT_FALSE(test, bc_refused_leave(outer));
	/* And a nested fault, which has a result of its own. */
	inner = bc_fault_enter();
	KUNIT_EXPECT_FALSE(test, current->bc_refused);
	KUNIT_EXPECT_TRUE(test, bc_fault_leave(VM_FAULT_OOM, inner) ==
				VM_FAULT_OOM);
	KUNIT_EXPECT_TRUE(test, current->bc_fault);
	KUNIT_EXPECT_TRUE(test, bc_fault_leave(VM_FAULT_OOM | VM_FAULT_MAJOR,
					       fault) ==
				(VM_FAULT_SIGBUS | VM_FAULT_MAJOR));
	KUNIT_EXPECT_FALSE(test, current->bc_fault);

	/* A fault that has succeeded after a refusal is left alone ... */
	current->bc_refused = false;
	fault = bc_fault_enter();
	KUNIT_EXPECT_NULL(test, kmalloc(100, GFP_KERNEL_ACCOUNT));
	KUNIT_EXPECT_FALSE(test, bc_fault_leave(0, fault));
	/* ... but the caller may ask, as execve(2) does. */
	KUNIT_EXPECT_TRUE(test, current->bc_refused);
	current->bc_refused = false;
}

/* What a removed group has left is returned; what is done for it is charged to none. */
static void removed_group(struct kunit *test)
{
	struct res_owner *owner = bc_kmem_get_current();
	struct page *page = alloc_pages(GFP_KERNEL_ACCOUNT, 1);
	void *p = kmalloc(100, GFP_KERNEL_ACCOUNT);
	void *area = vmalloc_bc(PAGE_SIZE), *q;
	s64 all = atomic64_read(&bc->counter.root->usage);
	u64 left;

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_NOT_NULL(test, area);
	left = usage();
	cgroup_lock();
	kmem_cgrp_subsys.css_killed(&bc->group->css);
	cgroup_unlock();
	q = kmalloc(100, GFP_KERNEL_ACCOUNT);
	KUNIT_EXPECT_NOT_NULL(test, q);
	kfree(q);
	kfree(p);
	__free_pages(page, 1);
	vfree(area);
	/* Other groups' usage may have changed meanwhile, but not by so much. */
	KUNIT_EXPECT_LE(test, atomic64_read(&bc->counter.root->usage),
			all - (s64)left / 2);
	bc_set_active(NULL);
	synchronize_rcu();
	kmem_cgrp_subsys.css_free(&bc->group->css);
	bc_kmem_put(owner);
	bc = NULL;
}

static struct kunit_case kmem_test_cases[] = {
	KUNIT_CASE(slab_objects),
	KUNIT_CASE(slab_sizes),
	KUNIT_CASE(slab_owners_are_small),
	KUNIT_CASE(slab_from_stock),
	KUNIT_CASE(slab_vector_places),
	KUNIT_CASE(slab_flag_or_cache),
	KUNIT_CASE(slab_bulk),
	KUNIT_CASE(slab_recharged),
	KUNIT_CASE(slab_typesafe_by_rcu),
	KUNIT_CASE(kmalloc_and_krealloc),
	KUNIT_CASE(kfree_after_grace),
	KUNIT_CASE(large_kmalloc),
	KUNIT_CASE(pages),
	KUNIT_CASE(pages_in_parts),
	KUNIT_CASE(pages_in_bulk),
	KUNIT_CASE(pages_given_away),
	KUNIT_CASE(vmalloc_areas),
	KUNIT_CASE(percpu_memory),
	KUNIT_CASE(mempools),
	KUNIT_CASE(xarrays),
	KUNIT_CASE(scopes),
	KUNIT_CASE(interrupts),
	KUNIT_CASE(severities),
	KUNIT_CASE(first_tries),
	KUNIT_CASE(default_barrier),
	KUNIT_CASE(pauses),
	KUNIT_CASE(pauses_end),
	KUNIT_CASE(charges_have_little_time),
	KUNIT_CASE(refused_pages),
	KUNIT_CASE(faults),
	KUNIT_CASE(removed_group),
	{}
};

static struct kunit_suite kmem_test_suite = {
	.name = "bc_kmem",
	.init = kmem_test_init,
	.exit = kmem_test_exit,
	.test_cases = kmem_test_cases,
};
kunit_test_suite(kmem_test_suite);

MODULE_DESCRIPTION("KUnit tests of kmem");
MODULE_LICENSE("GPL");
