// SPDX-License-Identifier: GPL-2.0
/*
 * Which kernel memory each group of kmem has, by slab cache and by call site: the
 * file bc/kmem_holders in debugfs
 *
 * Nothing is recorded for this: the owner of memory is found from its address. Each
 * open of the file walks all pages of the machine, and all objects of each slab, and
 * adds up what it finds. That costs the reader time, and other tasks nothing.
 *
 * The walk takes no reference, and no lock that an allocation takes, but for that of
 * vmalloc areas, to look at one at a time. A slab, its vector of owners or an owner
 * may be freed while the walk looks at it. Hence what the walk reads there it copies
 * with copy_from_kernel_nofault(), and compares it before it relies on it: a cache
 * counts if it was in the list of caches when the walk began, an owner if it leads
 * to the counter of a group that cgroup core knows, a call site if it is in the
 * kernel's table of them. So memory that changes hands meanwhile may be missed, or
 * appear with its new owner; the rest is exact.
 */

#include <linux/alloc_tag.h>
#include <linux/bsearch.h>
#include <linux/cgroup.h>
#include <linux/debugfs.h>
#include <linux/hashtable.h>
#include <linux/init.h>
#include <linux/kfence.h>
#include <linux/list_sort.h>
#include <linux/memblock.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pgalloc_tag.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include <bc/beancounter.h>

#include "../../mm/slab.h"
#include "kmem.h"

/* A group that has something. */
struct holder_group {
	struct hlist_node	node;
	struct list_head	list;
	u64			id;
	char			*path;
};

/* A cache, as it was when the walk began. */
struct holder_cache {
	const struct kmem_cache	*s;
	unsigned int		size;
	unsigned int		offset;
	char			name[32];
};

/* What a group has of one cache, or of pages, from one call site. */
struct holding {
	struct hlist_node		node;
	struct list_head		list;
	const struct holder_group	*group;
	const struct holder_cache	*cache;
	const struct codetag		*site;
	enum kmem_kind			kind;
	unsigned long			count;
	u64				bytes;
};

struct kmem_holders {
	struct holder_cache	*caches;
	unsigned int		nr_caches;
	struct list_head	holdings;
	struct list_head	groups;
	DECLARE_HASHTABLE(holding_hash, 10);
	DECLARE_HASHTABLE(group_hash, 8);

	/* What was found last is found again most often. */
	const struct res_owner	*last_owner;
	struct holder_group	*last_group;
	const struct codetag	*last_site;
	unsigned long		last_pfn;
};

/* Call sites: known where CONFIG_MEM_ALLOC_PROFILING is there and on. */

#ifdef CONFIG_MEM_ALLOC_PROFILING
extern const struct alloc_tag __start_alloc_tags[], __stop_alloc_tags[];

static bool is_site(const struct codetag *site)
{
	const void *tag = site;

	return (tag >= (void *)__start_alloc_tags &&
		tag < (void *)__stop_alloc_tags) ||
	       __module_address((unsigned long)tag);
}

static void show_site(struct seq_file *m, const struct codetag *site)
{
	char file[64], function[64];
	struct codetag copy;
	bool known;

	/* With preemption off its module is not freed; and it may be no site. */
	preempt_disable();
	known = site && is_site(site) &&
		!copy_from_kernel_nofault(&copy, site, sizeof(copy)) &&
		strncpy_from_kernel_nofault(file, copy.filename,
					    sizeof(file)) >= 0 &&
		strncpy_from_kernel_nofault(function, copy.function,
					    sizeof(function)) >= 0;
	preempt_enable();
	if (known)
		seq_printf(m, "%s:%u:%s", file, copy.lineno, function);
	else
		seq_putc(m, '-');
}

static const struct codetag *object_site(const struct slabobj_ext *ext)
{
	union codetag_ref ref;

	if (!mem_alloc_profiling_enabled() ||
	    copy_from_kernel_nofault(&ref, &ext->ref, sizeof(ref)))
		return NULL;
	return ref.ct;
}

static const struct codetag *page_site(struct page *page)
{
	const struct codetag *site;
	union codetag_ref *ref;

	if (!mem_alloc_profiling_enabled())
		return NULL;
	ref = get_page_tag_ref(page);
	if (!ref)
		return NULL;
	site = READ_ONCE(ref->ct);
	put_page_tag_ref(ref);
	return site;
}
#else
static void show_site(struct seq_file *m, const struct codetag *site)
{
	seq_putc(m, '-');
}

static const struct codetag *object_site(const struct slabobj_ext *ext)
{
	return NULL;
}

static const struct codetag *page_site(struct page *page)
{
	return NULL;
}
#endif /* CONFIG_MEM_ALLOC_PROFILING */

/* Groups */

/*
 * The cgroup that has what @owner was charged, with a reference: its own or, if that
 * was removed, the nearest ancestor that was not. %NULL if @owner is not an owner.
 */
static struct cgroup *get_cgroup_of(const struct res_owner *owner)
{
	struct cgroup_subsys_state *css;
	const struct res_counter *counter;
	struct cgroup *cgrp = NULL;
	int id;

	rcu_read_lock();
	if (!res_owner_peek(owner, &kmem_state.root, &counter))
		goto out;
	if (counter) {
		const struct beancounter *bc =
			container_of_const(counter, struct beancounter, counter);
		const struct bc_single *one =
			container_of_const(bc, struct bc_single, bc);

		if (copy_from_kernel_nofault(&id, &one->group.css.id,
					     sizeof(id)))
			goto out;
		css = css_from_id(id, &kmem_cgrp_subsys);
		if (!css || css_bc(css) != bc)
			goto out;
	} else {
		css = &kmem_state.machine->group->css;
	}
	cgrp = css->cgroup;
	if (!cgroup_tryget(cgrp))
		cgrp = NULL;
out:
	rcu_read_unlock();
	return cgrp;
}

static struct holder_group *add_group(struct kmem_holders *h, struct cgroup *cgrp)
{
	const u64 id = cgroup_id(cgrp);
	struct holder_group *group;

	hash_for_each_possible(h->group_hash, group, node, id)
		if (group->id == id)
			return group;
	group = kzalloc(sizeof(*group), GFP_KERNEL);
	if (!group)
		return NULL;
	group->path = kmalloc(PATH_MAX, GFP_KERNEL);
	if (!group->path) {
		kfree(group);
		return NULL;
	}
	group->id = id;
	cgroup_path(cgrp, group->path, PATH_MAX);
	hash_add(h->group_hash, &group->node, id);
	list_add(&group->list, &h->groups);
	return group;
}

/*
 * Finds the group of @owner. Returns 0, -ENOMEM, or -ESRCH if no group has it. The
 * last owner is remembered, as the next piece of memory most often has the same.
 */
static int find_group(struct kmem_holders *h, const struct res_owner *owner,
		      struct holder_group **group)
{
	struct cgroup *cgrp;

	if (owner == h->last_owner) {
		*group = h->last_group;
		return 0;
	}
	cgrp = get_cgroup_of(owner);
	if (!cgrp)
		return -ESRCH;
	*group = add_group(h, cgrp);
	cgroup_put(cgrp);
	if (!*group)
		return -ENOMEM;
	h->last_owner = owner;
	h->last_group = *group;
	return 0;
}

/* Adds @bytes to what @owner has, if there is an owner. Returns 0 or -ENOMEM. */
static int add_holding(struct kmem_holders *h, const struct res_owner *owner,
		       const struct holder_cache *cache, enum kmem_kind kind,
		       const struct codetag *site, unsigned long count,
		       u64 bytes)
{
	struct holder_group *group;
	struct holding *holding;
	unsigned long key;
	int err;

	if (!owner)
		return 0;
	err = find_group(h, owner, &group);
	if (err)
		return err == -ESRCH ? 0 : err;

	key = (unsigned long)group ^ (unsigned long)cache ^ (unsigned long)site;
	hash_for_each_possible(h->holding_hash, holding, node, key)
		if (holding->group == group && holding->cache == cache &&
		    holding->site == site && holding->kind == kind)
			goto found;
	holding = kzalloc(sizeof(*holding), GFP_KERNEL);
	if (!holding)
		return -ENOMEM;
	holding->group = group;
	holding->cache = cache;
	holding->site = site;
	holding->kind = kind;
	hash_add(h->holding_hash, &holding->node, key);
	list_add(&holding->list, &h->holdings);
found:
	holding->count += count;
	holding->bytes += bytes;
	return 0;
}

/* Caches */

static int compare_caches(const void *a, const void *b)
{
	const struct holder_cache *x = a, *y = b;

	return x->s < y->s ? -1 : x->s > y->s;
}

static const struct holder_cache *find_cache(struct kmem_holders *h,
					     const struct kmem_cache *s)
{
	const struct holder_cache key = { .s = s };

	return bsearch(&key, h->caches, h->nr_caches, sizeof(key),
		       compare_caches);
}

/* Caches that are created later are not listed: the walk misses their objects. */
static int list_caches(struct kmem_holders *h)
{
	struct kmem_cache *s;
	unsigned int n = 0;

	mutex_lock(&slab_mutex);
	list_for_each_entry(s, &slab_caches, list)
		n++;
	h->caches = kvmalloc_array(n, sizeof(*h->caches), GFP_KERNEL);
	if (h->caches) {
		list_for_each_entry(s, &slab_caches, list) {
			struct holder_cache *cache = &h->caches[h->nr_caches++];

			cache->s = s;
			cache->size = s->size;
			cache->offset = bc_cache_has_owners(s) ?
					s->bc_offset : 0;
			strscpy(cache->name, s->name);
		}
	}
	mutex_unlock(&slab_mutex);
	if (!h->caches)
		return -ENOMEM;
	sort(h->caches, h->nr_caches, sizeof(*h->caches), compare_caches, NULL);
	return 0;
}

/* The walk */

/*
 * The owner of the object @i of @slab, which may be freed meanwhile: see
 * include/bc/kmem_slab.h. NULL: it has none.
 */
static struct res_owner *object_owner(struct slab *slab,
				      const struct holder_cache *cache,
				      const struct slabobj_ext *ext,
				      unsigned int i)
{
	void *address = slab_address(slab);
	struct res_owner *owner;
	const void *place;

	if (cache->offset && !is_kfence_address(address))
		place = address + i * cache->size + cache->offset;
	else if (ext)
		place = &ext[i].bc;
	else
		return NULL;
	if (copy_from_kernel_nofault(&owner, place, sizeof(owner)))
		return NULL;
	return owner;
}

/* @page is, or just was, the first of a slab. */
static int walk_slab(struct kmem_holders *h, struct page *page)
{
	struct slab *slab = (struct slab *)page;
	const struct holder_cache *cache;
	const struct slabobj_ext *ext;
	struct res_owner *owner;
	unsigned int order, nr, i;
	unsigned long exts;
	int err = 0;

	cache = find_cache(h, READ_ONCE(slab->slab_cache));
	if (!cache)
		return 0;
	order = compound_order(page);
	if (order > MAX_PAGE_ORDER)
		return 0;
	nr = (PAGE_SIZE << order) / cache->size;
	if (is_kfence_address(page_address(page)))
		nr = 1;
	exts = READ_ONCE(slab->obj_exts) & ~OBJEXTS_FLAGS_MASK;
	ext = (const struct slabobj_ext *)exts;
	for (i = 0; i < nr && !err; i++) {
		owner = object_owner(slab, cache, ext, i);
		if (owner)
			err = add_holding(h, owner, cache, KMEM_SLAB,
					  ext ? object_site(ext + i) : NULL,
					  1, cache->size);
	}
	return err;
}

/* Of pages that were allocated as one, the first one alone has a call site. */
static int walk_page(struct kmem_holders *h, struct page *page, unsigned long pfn)
{
	struct res_owner *owner = kmem_page_owner(page);
	const struct codetag *site;

	if (!owner)
		return 0;
	site = page_site(page);
	if (!site && pfn == h->last_pfn + 1)
		site = h->last_site;
	h->last_site = site;
	h->last_pfn = pfn;
	return add_holding(h, owner, NULL, KMEM_PAGE, site, 1, PAGE_SIZE);
}

/* As much as the buddy allocator has in one piece, from @pfn on. */
static int walk_block(struct kmem_holders *h, unsigned long pfn)
{
	const unsigned long end = min(pfn + MAX_ORDER_NR_PAGES, max_pfn);
	int err = 0;

	get_online_mems();
	for (; pfn < end && !err; pfn++) {
		struct page *page = pfn_to_online_page(pfn);

		if (!page)
			continue;
		if (!PageTail(page) && PageSlab(page))
			err = walk_slab(h, page);
		else
			err = walk_page(h, page, pfn);
		cond_resched();
	}
	put_online_mems();
	return err;
}

/* Areas and stacks: each has one owner, and counts as so many pages. */
static int walk_areas(struct kmem_holders *h)
{
	const struct codetag *site;
	struct bc_vmalloc_area area;
	unsigned long addr = 0;
	int err = 0;

	while (!err && bc_vmalloc_next(addr, &area)) {
		site = area.page ? page_site(area.page) : NULL;
		err = add_holding(h, area.owner, NULL, KMEM_VMALLOC, site,
				  area.size >> PAGE_SHIFT, area.size);
		addr = area.end;
		if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	return err;
}

static int by_group_and_size(void *priv, const struct list_head *a,
			     const struct list_head *b)
{
	const struct holding *x = list_entry(a, struct holding, list);
	const struct holding *y = list_entry(b, struct holding, list);
	int order = strcmp(x->group->path, y->group->path);

	return order ?: x->bytes < y->bytes;
}

static int walk(struct kmem_holders *h)
{
	unsigned long pfn;
	int err = list_caches(h);

	for (pfn = 0; pfn < max_pfn && !err; pfn += MAX_ORDER_NR_PAGES) {
		/* An owner may have been freed, and be another group's now. */
		h->last_owner = NULL;
		err = walk_block(h, pfn);
		if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	h->last_owner = NULL;
	if (!err)
		err = walk_areas(h);
	list_sort(NULL, &h->holdings, by_group_and_size);
	return err;
}

static void free_holders(struct kmem_holders *h)
{
	struct holder_group *group, *next_group;
	struct holding *holding, *next;

	list_for_each_entry_safe(holding, next, &h->holdings, list)
		kfree(holding);
	list_for_each_entry_safe(group, next_group, &h->groups, list) {
		kfree(group->path);
		kfree(group);
	}
	kvfree(h->caches);
}

/* The file */

static void *holders_start(struct seq_file *m, loff_t *pos)
{
	struct kmem_holders *h = m->private;

	return seq_list_start_head(&h->holdings, *pos);
}

static void *holders_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct kmem_holders *h = m->private;

	return seq_list_next(v, &h->holdings, pos);
}

static void holders_stop(struct seq_file *m, void *v)
{
}

static int holders_show(struct seq_file *m, void *v)
{
	static const char * const kinds[] = {
		[KMEM_SLAB] = "slab",
		[KMEM_PAGE] = "page",
		[KMEM_VMALLOC] = "vmalloc",
	};
	struct kmem_holders *h = m->private;
	const struct holding *holding = list_entry(v, struct holding, list);

	if (v == &h->holdings) {
		seq_puts(m, "# group kind cache count bytes site\n");
		return 0;
	}
	seq_escape(m, holding->group->path, " \t\n\\");
	seq_printf(m, " %s %s %lu %llu ", kinds[holding->kind],
		   holding->cache ? holding->cache->name : "-", holding->count,
		   holding->bytes);
	show_site(m, holding->site);
	seq_putc(m, '\n');
	return 0;
}

static const struct seq_operations holders_seq_ops = {
	.start	= holders_start,
	.next	= holders_next,
	.stop	= holders_stop,
	.show	= holders_show,
};

static int holders_open(struct inode *inode, struct file *file)
{
	struct kmem_holders *h;
	int err;

	h = __seq_open_private(file, &holders_seq_ops, sizeof(*h));
	if (!h)
		return -ENOMEM;
	INIT_LIST_HEAD(&h->holdings);
	INIT_LIST_HEAD(&h->groups);
	hash_init(h->holding_hash);
	hash_init(h->group_hash);
	err = walk(h);
	if (err) {
		free_holders(h);
		seq_release_private(inode, file);
	}
	return err;
}

static int holders_release(struct inode *inode, struct file *file)
{
	struct seq_file *m = file->private_data;

	free_holders(m->private);
	return seq_release_private(inode, file);
}

static const struct file_operations holders_fops = {
	.owner		= THIS_MODULE,
	.open		= holders_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= holders_release,
};

static int __init holders_init(void)
{
	if (!bc_kmem_enabled())
		return 0;
	debugfs_create_file("kmem_holders", 0400,
			    debugfs_create_dir("bc", NULL), NULL, &holders_fops);
	return 0;
}
late_initcall(holders_init);
