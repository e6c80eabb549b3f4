/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What kernel/bc/res_counter.c asks of the kernel, in user space
 *
 * So that the engine itself, unchanged, can be run by threads under
 * ThreadSanitizer. Threads stand for CPUs and signals for interrupts: what turns
 * interrupts off blocks signals. Everything here is made of C11 atomics and
 * pthread mutexes, because those are what ThreadSanitizer understands.
 */
#ifndef SHIM_H
#define SHIM_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef uint64_t u64;
typedef int64_t s64;
typedef unsigned int u32;

#define S64_MAX			INT64_MAX
#define __must_check		__attribute__((warn_unused_result))
#define BIT(n)			(1U << (n))
#define max(a, b)		((a) > (b) ? (a) : (b))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* A warning is a failure of the test. */
void shim_warn(const char *file, int line);
#define WARN_ON_ONCE(cond) \
	({ bool __c = (cond); if (__c) shim_warn(__FILE__, __LINE__); __c; })
#define WARN_ONCE(cond, ...)	WARN_ON_ONCE(cond)

#define MAX_ERRNO		4095
static inline void *ERR_PTR(long err) { return (void *)err; }
static inline long PTR_ERR(const void *ptr) { return (long)ptr; }
static inline bool IS_ERR(const void *ptr)
{
	return (unsigned long)ptr >= (unsigned long)-MAX_ERRNO;
}

/* Atomics: the kernel's that return a value are full barriers. */
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, val)	__atomic_store_n(&(x), val, __ATOMIC_RELAXED)
#define smp_load_acquire(ptr)	__atomic_load_n(ptr, __ATOMIC_ACQUIRE)
#define smp_store_release(ptr, val) \
	__atomic_store_n(ptr, (typeof(*(ptr)))(val), __ATOMIC_RELEASE)
#define xchg(ptr, val)		__atomic_exchange_n(ptr, val, __ATOMIC_SEQ_CST)
#define cmpxchg(ptr, old, new) ({					\
	typeof(*(ptr)) __old = (old);					\
									\
	__atomic_compare_exchange_n(ptr, &__old, new, false,		\
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);\
	__old; })

typedef struct { s64 counter; } atomic64_t;

static inline s64 atomic64_read(const atomic64_t *v)
{
	return READ_ONCE(v->counter);
}

static inline void atomic64_set(atomic64_t *v, s64 val)
{
	WRITE_ONCE(v->counter, val);
}

static inline void atomic64_add(s64 n, atomic64_t *v)
{
	__atomic_fetch_add(&v->counter, n, __ATOMIC_RELAXED);
}

static inline void atomic64_inc(atomic64_t *v)
{
	atomic64_add(1, v);
}

static inline s64 atomic64_sub_return(s64 n, atomic64_t *v)
{
	return __atomic_sub_fetch(&v->counter, n, __ATOMIC_SEQ_CST);
}

static inline bool atomic64_try_cmpxchg(atomic64_t *v, s64 *old, s64 new)
{
	return __atomic_compare_exchange_n(&v->counter, old, new, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline bool atomic64_inc_not_zero(atomic64_t *v)
{
	s64 old = atomic64_read(v);

	do {
		if (!old)
			return false;
	} while (!atomic64_try_cmpxchg(v, &old, old + 1));
	return true;
}

/* Interrupts */
unsigned long shim_irq_save(void);
void shim_irq_restore(unsigned long flags);

/* Locks */
typedef struct { pthread_mutex_t mutex; } raw_spinlock_t;

static inline void raw_spin_lock_init(raw_spinlock_t *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
}

#define raw_spin_lock_irqsave(lock, flags) do {				\
	(flags) = shim_irq_save();					\
	pthread_mutex_lock(&(lock)->mutex);				\
} while (0)

#define raw_spin_unlock_irqrestore(lock, flags) do {			\
	pthread_mutex_unlock(&(lock)->mutex);				\
	shim_irq_restore(flags);					\
} while (0)

#define lockdep_assert_held(lock)	((void)(lock))

/* RCU: a reader holds its thread's lock; a grace period has held them all. */
struct rcu_head {
	struct rcu_head *next;
	void *memory;
};

void rcu_read_lock(void);
void rcu_read_unlock(void);
void shim_call_rcu(struct rcu_head *head, void *memory);
#define kfree_rcu(ptr, member)	shim_call_rcu(&(ptr)->member, ptr)

/* Memory */
#define GFP_KERNEL_ACCOUNT	0
#define kzalloc(size, gfp)	calloc(1, size)

#endif /* SHIM_H */
