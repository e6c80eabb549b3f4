// SPDX-License-Identifier: GPL-2.0
/* Memory, and what is to be done after a grace period; see shim.h */
#include "shim.h"
#include "threads.h"

/* Memory for each CPU */

void *shim_alloc_percpu(size_t size, size_t align)
{
	void *ptr = NULL;

	if (size <= SHIM_PERCPU_UNIT && align <= SHIM_PERCPU_UNIT)
		ptr = aligned_alloc(SHIM_PERCPU_UNIT, MAX_THREADS * SHIM_PERCPU_UNIT);
	if (ptr)
		memset(ptr, 0, MAX_THREADS * SHIM_PERCPU_UNIT);
	return ptr;
}

void free_percpu(void *ptr)
{
	free(ptr);
}

/* Objects of one size */

struct kmem_cache {
	unsigned int	size;
	unsigned int	align;
};

#if defined(SHIM_BENCH) || defined(SHIM_SIM)
/*
 * All slabs are one: objects lie side by side, and the lowest that is free is taken,
 * so that each run has the same addresses. One size does for all caches here.
 */
#define SLAB_OBJECTS	(1UL << 16)
#define SLAB_SIZE	64

static char slab[SLAB_OBJECTS][SLAB_SIZE] __aligned(4096);
static bool used[SLAB_OBJECTS];
static unsigned long lowest;
static pthread_mutex_t slab_mutex = PTHREAD_MUTEX_INITIALIZER;

static bool in_slab(const void *ptr)
{
	return (char *)ptr >= slab[0] && (char *)ptr < slab[SLAB_OBJECTS];
}

static void *slab_alloc(struct kmem_cache *cache)
{
	void *ptr = NULL;

	if (cache->size > SLAB_SIZE || cache->align > SLAB_SIZE)
		return aligned_alloc(cache->align, ALIGN(cache->size, cache->align));
	pthread_mutex_lock(&slab_mutex);
	while (lowest < SLAB_OBJECTS && used[lowest])
		lowest++;
	if (lowest < SLAB_OBJECTS) {
		used[lowest] = true;
		ptr = slab[lowest++];
	}
	pthread_mutex_unlock(&slab_mutex);
	return ptr;
}

static void slab_free(const void *ptr)
{
	unsigned long i = ((char *)ptr - slab[0]) / SLAB_SIZE;

	pthread_mutex_lock(&slab_mutex);
	if (!used[i])
		abort();
	used[i] = false;
	lowest = min(lowest, i);
	pthread_mutex_unlock(&slab_mutex);
}
#else
static bool in_slab(const void *ptr)
{
	return false;
}

static void *slab_alloc(struct kmem_cache *cache)
{
	return aligned_alloc(cache->align, ALIGN(cache->size, cache->align));
}

static void slab_free(const void *ptr)
{
}
#endif

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size,
				     unsigned int align, unsigned int flags,
				     void (*ctor)(void *))
{
	struct kmem_cache *cache = malloc(sizeof(*cache));

	if (!cache)
		return NULL;
	if (flags & SLAB_HWCACHE_ALIGN)
		align = max(align, (unsigned int)SMP_CACHE_BYTES);
	cache->size = size;
	cache->align = max(align, (unsigned int)sizeof(void *));
	return cache;
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	free(cache);
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	return slab_alloc(cache);
}

void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp)
{
	void *ptr = slab_alloc(cache);

	return ptr ? memset(ptr, 0, cache->size) : NULL;
}

void kfree(const void *ptr)
{
	if (in_slab(ptr))
		slab_free(ptr);
	else
		free((void *)ptr);
}

void kmem_cache_free(struct kmem_cache *cache, void *ptr)
{
	kfree(ptr);
}

/* Grace periods */

static struct rcu_head *waiting;

void call_rcu(struct rcu_head *head, rcu_callback_t func)
{
	head->func = func;
	head->next = READ_ONCE(waiting);
	while (!try_cmpxchg(&waiting, &head->next, head))
		;
}

void shim_reclaim(void)
{
	struct rcu_head *head = xchg(&waiting, NULL);

	if (!head)
		return;
	synchronize_rcu();
	while (head) {
		struct rcu_head *next = head->next;

		if ((unsigned long)head->func < SHIM_KFREE_OFFSETS)
			kfree((char *)head - (unsigned long)head->func);
		else
			head->func(head);
		head = next;
	}
}
