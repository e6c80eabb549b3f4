/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What kernel/bc/engine/ asks of the kernel, in user space
 *
 * So that the engine itself, unchanged, can be run by threads, under sanitizers or
 * at full speed, and on a simulated machine. A thread stands for a CPU, and for the
 * task that runs there; a signal stands for an interrupt.
 *
 * There are three builds of this. With SHIM_BENCH everything is as cheap as in a
 * kernel without debugging, and nothing is checked. Without it the kernel's rules
 * are checked (where a task may sleep, where it is known which CPU this is, which
 * CPU holds a lock), and breaking one is a failure of the test. With SHIM_SIM, too,
 * but there is one thread, and the CPU that it stands for is a variable: see sim.c.
 *
 * Under ThreadSanitizer everything is made of C11 atomics and pthread mutexes,
 * because those are what it understands; and of no more of them than the kernel
 * has, so that the shim's own order does not hide that the engine has none.
 */
#ifndef SHIM_H
#define SHIM_H

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CPUs that there can be. */
#ifdef SHIM_SIM
#define MAX_THREADS		256
#else
#define MAX_THREADS		16
#endif

#ifdef __x86_64__
#define CONFIG_X86		1
#define CONFIG_X86_64		1
#endif
#define CONFIG_64BIT		1
#define CONFIG_SMP		1

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SHIM_SANITIZED		1	/* blind to what inline assembly does */
#else
#define SHIM_SANITIZED		0
#endif

typedef uint64_t u64;
typedef int64_t s64;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint16_t u16;
typedef uint8_t u8;
typedef unsigned int gfp_t;

#define S64_MAX			INT64_MAX
#define U64_MAX			UINT64_MAX
#define BITS_PER_LONG		__LONG_WIDTH__
#define BIT(n)			(1UL << (n))
#define SMP_CACHE_BYTES		64
#define L1_CACHE_BYTES		SMP_CACHE_BYTES

#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define __must_check		__attribute__((warn_unused_result))
#undef __always_inline
#define __always_inline		inline __attribute__((always_inline))
#define noinline		__attribute__((noinline))
#define noinline_for_stack	noinline
#define __maybe_unused		__attribute__((unused))
#define __always_unused		__attribute__((unused))
#define __cold			__attribute__((cold))
#define __pure			__attribute__((pure))
#define __aligned(x)		__attribute__((aligned(x)))
#define __packed		__attribute__((packed))
#define __init
#define __exit
#define __ro_after_init
#define __read_mostly
#define fallthrough		__attribute__((fallthrough))
#define ____cacheline_aligned	__attribute__((aligned(SMP_CACHE_BYTES)))
#define ____cacheline_aligned_in_smp		____cacheline_aligned
#define ____cacheline_internodealigned_in_smp	____cacheline_aligned
struct cacheline_padding {
	char x[0];
} ____cacheline_aligned;
#define CACHELINE_PADDING(name)	struct cacheline_padding name
#define EXPORT_SYMBOL(sym)
#define EXPORT_SYMBOL_GPL(sym)
/* What sparse reads. */
#define __percpu
#define __rcu
#define __acquires(x)
#define __releases(x)
#define __must_hold(x)
#define __acquire(x)		((void)0)
#define __release(x)		((void)0)
#define __force

#define max(a, b) \
	({ typeof(a) __a = (a); typeof(b) __b = (b); __a > __b ? __a : __b; })
#define min(a, b) \
	({ typeof(a) __a = (a); typeof(b) __b = (b); __a < __b ? __a : __b; })
#define min3(a, b, c)		min(min(a, b), c)
#define max3(a, b, c)		max(max(a, b), c)
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define max_t(type, a, b)	max((type)(a), (type)(b))
#define clamp(val, lo, hi)	min(max(val, lo), hi)
#define clamp_t(type, val, lo, hi) min_t(type, max_t(type, val, lo), hi)
#define swap(a, b) \
	do { typeof(a) __t = (a); (a) = (b); (b) = __t; } while (0)
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define abs_diff(a, b)		((a) > (b) ? (a) - (b) : (b) - (a))
#define sizeof_field(type, member)	sizeof(((type *)0)->member)
#define BUILD_BUG_ON(cond)	_Static_assert(!(cond), #cond)
#undef static_assert
#define static_assert(cond, ...) _Static_assert(cond, #cond)
#define check_add_overflow(a, b, d)	__builtin_add_overflow(a, b, d)
#define check_sub_overflow(a, b, d)	__builtin_sub_overflow(a, b, d)
#define IS_ALIGNED(x, a)	(((unsigned long)(x) & ((a) - 1)) == 0)
#define ALIGN(x, a)		(((x) + (a) - 1) & ~((typeof(x))(a) - 1))
#define PTR_ALIGN(p, a)		((typeof(p))ALIGN((unsigned long)(p), (unsigned long)(a)))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define div_u64(n, d)		((u64)(n) / (u32)(d))
#define div64_u64(n, d)		((u64)(n) / (u64)(d))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* A warning is a failure of the test. */
void shim_warn(const char *file, int line);
#define WARN_ON_ONCE(cond) \
	({ bool __c = (cond); if (unlikely(__c)) shim_warn(__FILE__, __LINE__); __c; })
#define WARN_ON(cond)		WARN_ON_ONCE(cond)
#define WARN_ONCE(cond, ...)	WARN_ON_ONCE(cond)
#define WARN(cond, ...)		WARN_ON_ONCE(cond)
#ifdef SHIM_BENCH
#define shim_check(cond)	((void)sizeof(cond))
#else
#define shim_check(cond)	((void)WARN_ON_ONCE(!(cond)))
#endif

#define MAX_ERRNO		4095
static inline void *ERR_PTR(long err) { return (void *)err; }
static inline long PTR_ERR(const void *ptr) { return (long)ptr; }
static inline bool IS_ERR(const void *ptr)
{
	return (unsigned long)ptr >= (unsigned long)-MAX_ERRNO;
}
static inline void *ERR_CAST(const void *ptr) { return (void *)ptr; }
#define PTR_ERR_OR_ZERO(ptr)	(IS_ERR(ptr) ? (int)PTR_ERR(ptr) : 0)
static inline bool IS_ERR_OR_NULL(const void *ptr)
{
	return !ptr || IS_ERR(ptr);
}

/* Atomics: the kernel's that return a value are full barriers. */
#define barrier()		asm volatile("" : : : "memory")
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, val)	__atomic_store_n(&(x), val, __ATOMIC_RELAXED)
#define data_race(expr)		(expr)
#define ASSERT_EXCLUSIVE_WRITER(var)	((void)0)
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
#define try_cmpxchg(ptr, old, new) \
	__atomic_compare_exchange_n(ptr, old, new, false, \
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

/*
 * ThreadSanitizer does not know fences: this is one for the machine, and none for
 * it, which then reports what is ordered by nothing else.
 */
static inline void smp_mb(void)
{
#ifdef __x86_64__
	asm volatile("lock; addl $0, -4(%%rsp)" : : : "memory", "cc");
#else
	__sync_synchronize();
#endif
}
#define smp_rmb()		smp_mb()
#define smp_wmb()		smp_mb()
#define smp_mb__before_atomic()	smp_mb()
#define smp_mb__after_atomic()	smp_mb()

#if defined(__x86_64__) || defined(__i386__)
/* The compiler's own would fetch the line to be read, on a CPU that it does not know. */
#define prefetchw(p)		asm volatile("prefetchw %0" : : "m" (*(const char *)(p)))
#else
#define prefetchw(p)		__builtin_prefetch(p, 1)
#endif

static inline void cpu_relax(void)
{
#ifdef __x86_64__
	asm volatile("pause" : : : "memory");
#else
	barrier();
#endif
}

#define SHIM_ATOMIC(name, itype)					\
typedef struct { itype counter; } name##_t;				\
									\
static inline itype name##_read(const name##_t *v)			\
{									\
	return READ_ONCE(v->counter);					\
}									\
									\
static inline void name##_set(name##_t *v, itype val)			\
{									\
	WRITE_ONCE(v->counter, val);					\
}									\
									\
static inline void name##_add(itype n, name##_t *v)			\
{									\
	__atomic_fetch_add(&v->counter, n, __ATOMIC_RELAXED);		\
}									\
									\
static inline void name##_sub(itype n, name##_t *v)			\
{									\
	__atomic_fetch_sub(&v->counter, n, __ATOMIC_RELAXED);		\
}									\
									\
static inline void name##_inc(name##_t *v) { name##_add(1, v); }	\
static inline void name##_dec(name##_t *v) { name##_sub(1, v); }	\
									\
static inline itype name##_add_return(itype n, name##_t *v)		\
{									\
	return __atomic_add_fetch(&v->counter, n, __ATOMIC_SEQ_CST);	\
}									\
									\
static inline itype name##_sub_return(itype n, name##_t *v)		\
{									\
	return __atomic_sub_fetch(&v->counter, n, __ATOMIC_SEQ_CST);	\
}									\
									\
static inline itype name##_inc_return(name##_t *v)			\
{									\
	return name##_add_return(1, v);					\
}									\
									\
static inline bool name##_dec_and_test(name##_t *v)			\
{									\
	return !name##_sub_return(1, v);				\
}									\
									\
static inline bool name##_sub_and_test(itype n, name##_t *v)		\
{									\
	return !name##_sub_return(n, v);				\
}									\
									\
static inline itype name##_fetch_add(itype n, name##_t *v)		\
{									\
	return __atomic_fetch_add(&v->counter, n, __ATOMIC_SEQ_CST);	\
}									\
									\
static inline itype name##_fetch_sub(itype n, name##_t *v)		\
{									\
	return __atomic_fetch_sub(&v->counter, n, __ATOMIC_SEQ_CST);	\
}									\
									\
static inline itype name##_fetch_add_relaxed(itype n, name##_t *v)	\
{									\
	return __atomic_fetch_add(&v->counter, n, __ATOMIC_RELAXED);	\
}									\
									\
static inline itype name##_dec_return(name##_t *v)			\
{									\
	return name##_sub_return(1, v);					\
}									\
									\
static inline itype name##_xchg(name##_t *v, itype val)			\
{									\
	return __atomic_exchange_n(&v->counter, val, __ATOMIC_SEQ_CST);	\
}									\
									\
static inline bool name##_try_cmpxchg(name##_t *v, itype *old, itype new) \
{									\
	return __atomic_compare_exchange_n(&v->counter, old, new, false, \
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
}									\
									\
static inline itype name##_cmpxchg(name##_t *v, itype old, itype new)	\
{									\
	name##_try_cmpxchg(v, &old, new);				\
	return old;							\
}									\
									\
static inline bool name##_inc_not_zero(name##_t *v)			\
{									\
	itype old = name##_read(v);					\
									\
	do {								\
		if (!old)						\
			return false;					\
	} while (!name##_try_cmpxchg(v, &old, old + 1));		\
	return true;							\
}

SHIM_ATOMIC(atomic, int)
SHIM_ATOMIC(atomic64, s64)
SHIM_ATOMIC(atomic_long, long)
#define ATOMIC_INIT(i)		{ (i) }
#define ATOMIC64_INIT(i)	{ (i) }
#define ATOMIC_LONG_INIT(i)	{ (i) }

/*
 * This CPU. Interrupts are turned off by a flag that the signal's handler looks
 * at: an interrupt that it finds turned off is made up for when they are on again.
 * A section is what a grace period, and a CPU that goes offline, wait for: where
 * preemption or interrupts are off, and RCU readers.
 */
struct shim_self {
	unsigned int	cpu;
	bool		irqs_off;
	bool		in_irq;
	bool		pending;	/* an interrupt came while they were off */
	unsigned int	preempt;	/* how often preemption is off */
	unsigned int	section;	/* how often in a section */
};

extern __thread struct shim_self shim_self;
/* From CPU 0's copy of what is there for each CPU to ours. */
extern __thread unsigned long shim_cpu_offset;

static inline bool irqs_disabled(void)
{
	return READ_ONCE(shim_self.irqs_off);
}

static inline bool in_task(void)
{
	return !READ_ONCE(shim_self.in_irq);
}

void shim_take_interrupts(void);

static inline bool __shim_irqs_off(void)
{
	bool off = READ_ONCE(shim_self.irqs_off);

	WRITE_ONCE(shim_self.irqs_off, true);
	barrier();
	return off;
}

static inline void __shim_irqs_restore(bool off)
{
	barrier();
	if (off)
		return;
	WRITE_ONCE(shim_self.irqs_off, false);
	barrier();
	if (unlikely(READ_ONCE(shim_self.pending)))
		shim_take_interrupts();
}

#ifdef SHIM_BENCH
static inline bool shim_enter(void) { return __shim_irqs_off(); }
static inline void shim_leave(void) { }
#else
/* Turns interrupts off and enters a section; returns whether they were. */
bool shim_enter(void);
/* With interrupts off. */
void shim_leave(void);
#endif

static inline unsigned long shim_irq_save(void)
{
	return irqs_disabled() ? true : shim_enter();
}

static inline void shim_irq_restore(unsigned long off)
{
	shim_check(irqs_disabled());
	if (off)
		return;
	shim_leave();
	__shim_irqs_restore(false);
}

#define local_irq_save(flags)	((flags) = shim_irq_save())
#define local_irq_restore(flags) shim_irq_restore(flags)
#define local_irq_disable() \
	do { shim_check(!irqs_disabled()); (void)shim_irq_save(); } while (0)
#define local_irq_enable()	shim_irq_restore(false)

#define in_hardirq()		(!in_task())
#define in_interrupt()		(!in_task())
#define in_nmi()		false

#ifdef SHIM_BENCH
/* As without CONFIG_PREEMPTION. */
#define preempt_disable()	barrier()
#define preempt_enable()	barrier()
#define rcu_read_lock()		barrier()
#define rcu_read_unlock()	barrier()
#define might_sleep()		((void)0)
#define might_sleep_if(cond)	((void)(cond))
#else
void preempt_disable(void);
void preempt_enable(void);
void rcu_read_lock(void);
void rcu_read_unlock(void);
#define might_sleep() \
	shim_check(in_task() && !irqs_disabled() && !shim_self.section)
#define might_sleep_if(cond)	do { if (cond) might_sleep(); } while (0)
#endif

/* Whether it is known which CPU this is, and stays this one. */
#define shim_check_cpu()	shim_check(shim_self.preempt || irqs_disabled())
#define preemptible() \
	(in_task() && !irqs_disabled() && !shim_self.preempt)
#define lockdep_assert_irqs_disabled()	shim_check(irqs_disabled())
#define lockdep_assert_irqs_enabled()	shim_check(!irqs_disabled())
#define lockdep_assert_preemption_disabled()	shim_check_cpu()
#define lockdep_assert_in_irq()		shim_check(!in_task())
#define lockdep_assert(cond)		shim_check(cond)

/* Locks: all are taken with interrupts off. One that is all 0 is free. */
#define DEFINE_RAW_SPINLOCK(name)	raw_spinlock_t name = { }

#ifdef SHIM_BENCH
typedef struct { int locked; } raw_spinlock_t;

static inline void raw_spin_lock_init(raw_spinlock_t *lock)
{
	lock->locked = 0;
}

static inline void raw_spin_lock(raw_spinlock_t *lock)
{
	int old = 0;

	while (unlikely(!__atomic_compare_exchange_n(&lock->locked, &old, 1, false,
						     __ATOMIC_ACQUIRE,
						     __ATOMIC_RELAXED))) {
		while (READ_ONCE(lock->locked))
			cpu_relax();
		old = 0;
	}
}

static inline void raw_spin_unlock(raw_spinlock_t *lock)
{
	smp_store_release(&lock->locked, 0);
}

#define lockdep_assert_held(lock)	((void)(lock))
#elif defined(SHIM_SIM)
/* @holder: 1 + its CPU; @steps: how many there had been when it was taken. */
typedef struct {
	unsigned int	holder;
	u64		steps;
} raw_spinlock_t;

static inline void raw_spin_lock_init(raw_spinlock_t *lock)
{
	*lock = (raw_spinlock_t){ };
}

void raw_spin_lock(raw_spinlock_t *lock);
void raw_spin_unlock(raw_spinlock_t *lock);
#define lockdep_assert_held(lock) \
	shim_check((lock)->holder == shim_self.cpu + 1)
#else
typedef struct {
	pthread_mutex_t mutex;
	unsigned int	holder;		/* 1 + its CPU */
} raw_spinlock_t;

static inline void raw_spin_lock_init(raw_spinlock_t *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->holder = 0;
}

static inline void raw_spin_lock(raw_spinlock_t *lock)
{
	lockdep_assert_irqs_disabled();
	shim_check(READ_ONCE(lock->holder) != shim_self.cpu + 1);
	pthread_mutex_lock(&lock->mutex);
	WRITE_ONCE(lock->holder, shim_self.cpu + 1);
}

static inline void raw_spin_unlock(raw_spinlock_t *lock)
{
	lockdep_assert_irqs_disabled();
	shim_check(READ_ONCE(lock->holder) == shim_self.cpu + 1);
	WRITE_ONCE(lock->holder, 0);
	pthread_mutex_unlock(&lock->mutex);
}

#define lockdep_assert_held(lock) \
	shim_check(READ_ONCE((lock)->holder) == shim_self.cpu + 1)
#endif
#define lockdep_assert_not_held(lock)	((void)(lock))
#define lockdep_is_held(lock)		true
#define raw_spin_lock_nested(lock, subclass)	raw_spin_lock(lock)
#define lockdep_set_class(lock, key)	((void)0)
#define SINGLE_DEPTH_NESTING	1

#define raw_spin_lock_irqsave(lock, flags) do {				\
	(flags) = shim_irq_save();					\
	raw_spin_lock(lock);						\
} while (0)

#define raw_spin_unlock_irqrestore(lock, flags) do {			\
	raw_spin_unlock(lock);						\
	shim_irq_restore(flags);					\
} while (0)

#define raw_spin_lock_irq(lock) \
	do { local_irq_disable(); raw_spin_lock(lock); } while (0)
#define raw_spin_unlock_irq(lock) \
	do { raw_spin_unlock(lock); local_irq_enable(); } while (0)

/* A CPU is online while its thread is there. */
#define nr_cpu_ids		MAX_THREADS
#define NR_CPUS			MAX_THREADS
#define num_possible_cpus()	MAX_THREADS
#define cpu_possible(cpu)	((cpu) < MAX_THREADS)
#define for_each_possible_cpu(cpu)	for ((cpu) = 0; (cpu) < MAX_THREADS; (cpu)++)
#define for_each_online_cpu(cpu) \
	for_each_possible_cpu(cpu) if (cpu_online(cpu))

extern unsigned int shim_cpus;		/* how many are online */

/* True stays true for as long as the caller is in a section. */
bool cpu_online(int cpu);
#define cpu_is_offline(cpu)	(!cpu_online(cpu))
/* Not if it is going offline. */
bool cpu_active(int cpu);
#define cpu_is_isolated(cpu)	((void)(cpu), false)

static inline unsigned int num_online_cpus(void)
{
	return READ_ONCE(shim_cpus);
}

#define raw_smp_processor_id()	((int)shim_self.cpu)
#define smp_processor_id()	({ shim_check_cpu(); raw_smp_processor_id(); })
#define get_cpu()		({ preempt_disable(); smp_processor_id(); })
#define put_cpu()		preempt_enable()

/* Memory for each CPU: copies that are two pages apart. */
#define SHIM_PERCPU_UNIT	8192UL

void *shim_alloc_percpu(size_t size, size_t align);
void free_percpu(void *ptr);

#define alloc_percpu(type) \
	((type *)shim_alloc_percpu(sizeof(type), __alignof__(type)))
#define alloc_percpu_gfp(type, gfp)	alloc_percpu(type)
#define __alloc_percpu(size, align)	shim_alloc_percpu(size, align)
#define __alloc_percpu_gfp(size, align, gfp)	shim_alloc_percpu(size, align)
#define per_cpu_ptr(ptr, cpu) \
	((typeof(ptr))((char *)(ptr) + (cpu) * SHIM_PERCPU_UNIT))
/* One instruction, where the offset is at a fixed place in a segment. */
#define raw_cpu_ptr(ptr) \
	((typeof(ptr))((char *)(ptr) + READ_ONCE(shim_cpu_offset)))
#define this_cpu_ptr(ptr)	({ shim_check_cpu(); raw_cpu_ptr(ptr); })

/*
 * A word of one CPU: changed by it alone, and each change is whole for whatever
 * interrupts it there. On x86 that is one instruction without a lock prefix, as in
 * the kernel's asm/local.h.
 */
typedef struct { long a; } local_t;

#define LOCAL_INIT(i)		{ (i) }
#define local_read(l)		READ_ONCE((l)->a)
#define local_set(l, i)		WRITE_ONCE((l)->a, i)

#if defined(__x86_64__) && !SHIM_SANITIZED
static __always_inline void local_add(long i, local_t *l)
{
	asm volatile("addq %1, %0" : "+m" (l->a) : "er" (i) : "cc");
}

static __always_inline void local_sub(long i, local_t *l)
{
	asm volatile("subq %1, %0" : "+m" (l->a) : "er" (i) : "cc");
}

static __always_inline bool local_add_negative(long i, local_t *l)
{
	bool negative;

	asm volatile("addq %2, %0"
		     : "+m" (l->a), "=@ccs" (negative) : "er" (i) : "memory");
	return negative;
}

static __always_inline bool local_sub_and_test(long i, local_t *l)
{
	bool zero;

	asm volatile("subq %2, %0"
		     : "+m" (l->a), "=@ccz" (zero) : "er" (i) : "memory");
	return zero;
}

static __always_inline long local_add_return(long i, local_t *l)
{
	long n = i;

	asm volatile("xaddq %0, %1" : "+r" (i), "+m" (l->a) : : "memory", "cc");
	return i + n;
}

static __always_inline bool local_try_cmpxchg(local_t *l, long *old, long new)
{
	bool done;

	asm volatile("cmpxchgq %3, %1"
		     : "=@ccz" (done), "+m" (l->a), "+a" (*old)
		     : "r" (new) : "memory");
	return done;
}
#else
static inline void local_add(long i, local_t *l)
{
	__atomic_fetch_add(&l->a, i, __ATOMIC_RELAXED);
}

static inline void local_sub(long i, local_t *l)
{
	__atomic_fetch_sub(&l->a, i, __ATOMIC_RELAXED);
}

static inline long local_add_return(long i, local_t *l)
{
	return __atomic_add_fetch(&l->a, i, __ATOMIC_RELAXED);
}

static inline bool local_add_negative(long i, local_t *l)
{
	return local_add_return(i, l) < 0;
}

static inline bool local_sub_and_test(long i, local_t *l)
{
	return !local_add_return(-i, l);
}

static inline bool local_try_cmpxchg(local_t *l, long *old, long new)
{
	return __atomic_compare_exchange_n(&l->a, old, new, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
#endif

#define local_inc(l)		local_add(1, l)
#define local_dec(l)		local_sub(1, l)
#define local_sub_return(i, l)	local_add_return(-(i), l)
#define local_inc_return(l)	local_add_return(1, l)
#define local_dec_return(l)	local_add_return(-1, l)

static inline long local_cmpxchg(local_t *l, long old, long new)
{
	local_try_cmpxchg(l, &old, new);
	return old;
}

static inline long local_xchg(local_t *l, long new)
{
	long old = local_read(l);

	while (!local_try_cmpxchg(l, &old, new))
		;
	return old;
}

/* What one CPU asks another to do in an interrupt there. */
struct shim_call {
	struct shim_call	*next;
	void			(*func)(struct shim_call *call);
};

/*
 * Runs @func on each CPU that is online and for which @cond is true, here too,
 * with interrupts off. Waits for all of them, and so must have them on.
 */
void on_each_cpu_cond(bool (*cond)(int cpu, void *info), void (*func)(void *info),
		      void *info, bool wait);
int smp_call_function_single(int cpu, void (*func)(void *info), void *info,
			     int wait);

struct irq_work {
	struct shim_call	call;
	void			(*func)(struct irq_work *work);
	unsigned int		flags;
};

void shim_irq_work_run(struct shim_call *call);

#define IRQ_WORK_INIT(_func) \
	(struct irq_work){ .call.func = shim_irq_work_run, .func = (_func) }
#define IRQ_WORK_INIT_HARD(_func)	IRQ_WORK_INIT(_func)

static inline void init_irq_work(struct irq_work *work,
				 void (*func)(struct irq_work *work))
{
	*work = IRQ_WORK_INIT(func);
}

/* @cpu must be online, and be kept so. */
bool irq_work_queue_on(struct irq_work *work, int cpu);
#define irq_work_queue(work) \
	({ preempt_disable(); \
	   bool __queued = irq_work_queue_on(work, smp_processor_id()); \
	   preempt_enable(); __queued; })
void irq_work_sync(struct irq_work *work);
bool irq_work_is_busy(struct irq_work *work);

/* Lists */
struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

static inline void INIT_HLIST_HEAD(struct hlist_head *head)
{
	WRITE_ONCE(head->first, NULL);
}

static inline void INIT_HLIST_NODE(struct hlist_node *node)
{
	node->next = NULL;
	node->pprev = NULL;
}

static inline bool hlist_empty(const struct hlist_head *head)
{
	return !READ_ONCE(head->first);
}

static inline bool hlist_unhashed(const struct hlist_node *node)
{
	return !node->pprev;
}

static inline void hlist_add_head(struct hlist_node *new, struct hlist_head *head)
{
	struct hlist_node *first = head->first;

	WRITE_ONCE(new->next, first);
	if (first)
		WRITE_ONCE(first->pprev, &new->next);
	WRITE_ONCE(head->first, new);
	WRITE_ONCE(new->pprev, &head->first);
}

static inline void __hlist_del(struct hlist_node *node)
{
	struct hlist_node *next = node->next, **pprev = node->pprev;

	WRITE_ONCE(*pprev, next);
	if (next)
		WRITE_ONCE(next->pprev, pprev);
}

static inline void hlist_del_init(struct hlist_node *node)
{
	if (hlist_unhashed(node))
		return;
	__hlist_del(node);
	INIT_HLIST_NODE(node);
}

#define hlist_entry(ptr, type, member)	container_of(ptr, type, member)
#define hlist_entry_safe(ptr, type, member) ({				\
	typeof(ptr) __ptr = (ptr);					\
	__ptr ? hlist_entry(__ptr, type, member) : NULL; })
#define hlist_for_each_entry(pos, head, member)				\
	for (pos = hlist_entry_safe((head)->first, typeof(*(pos)), member); \
	     pos; pos = hlist_entry_safe((pos)->member.next, typeof(*(pos)), member))

/* RCU: a grace period has seen every CPU outside of a section. */
struct rcu_head {
	struct rcu_head	*next;
	void		(*func)(struct rcu_head *head);
};

typedef void (*rcu_callback_t)(struct rcu_head *head);

void call_rcu(struct rcu_head *head, rcu_callback_t func);
void synchronize_rcu(void);
/* As the kernel once had it: a function that low is the offset of the head. */
#define SHIM_KFREE_OFFSETS	4096
#define kfree_rcu(ptr, member) \
	call_rcu(&(ptr)->member, \
		 (rcu_callback_t)offsetof(typeof(*(ptr)), member))
#define rcu_access_pointer(p)	READ_ONCE(p)
#define rcu_dereference(p)	smp_load_acquire(&(p))
#define rcu_dereference_protected(p, c)	(p)
#define rcu_assign_pointer(p, v)	smp_store_release(&(p), v)
#define RCU_INIT_POINTER(p, v)	WRITE_ONCE(p, v)
#define rcu_read_lock_held()	true
#ifdef SHIM_BENCH
#define cond_resched()		((void)0)
#else
void shim_cond_resched(void);
#define cond_resched()		shim_cond_resched()
#endif
/* A moment, in which other CPUs come a step further, where there are any. */
#if defined(SHIM_BENCH) || defined(SHIM_SIM)
#define schedule_timeout_uninterruptible(jiffies)	((void)0)
#else
void shim_pause(void);
#define schedule_timeout_uninterruptible(jiffies)	shim_pause()
#endif

/* Memory */
#define GFP_KERNEL		0
#define GFP_ATOMIC		1
#define GFP_NOWAIT		2
#define GFP_KERNEL_ACCOUNT	GFP_KERNEL
#define __GFP_ZERO		0
#define __GFP_NOWARN		0
#define __GFP_ACCOUNT		0
#define kmalloc(size, gfp)	((void)(gfp), malloc(size))
#define kzalloc(size, gfp)	((void)(gfp), calloc(1, size))
#define kmalloc_array(n, size, gfp) \
	((void)(gfp), reallocarray(NULL, n, size))
#define kcalloc(n, size, gfp)	((void)(gfp), calloc(n, size))
#define kvmalloc(size, gfp)	kmalloc(size, gfp)
#define kvzalloc(size, gfp)	kzalloc(size, gfp)
#define kvmalloc_array(n, size, gfp)	kmalloc_array(n, size, gfp)
#define kvcalloc(n, size, gfp)	kcalloc(n, size, gfp)
#define kvfree(ptr)		kfree(ptr)
void kfree(const void *ptr);

/*
 * Where nothing is sanitized, objects that are allocated one after the other are
 * side by side, as in a new slab.
 */
struct kmem_cache;

#define SLAB_HWCACHE_ALIGN	0x1
#define SLAB_PANIC		0x2
#define SLAB_ACCOUNT		0x4
#define SLAB_TYPESAFE_BY_RCU	0x8

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size,
				     unsigned int align, unsigned int flags,
				     void (*ctor)(void *));
void kmem_cache_destroy(struct kmem_cache *cache);
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *ptr);
#define KMEM_CACHE(type, flags) \
	kmem_cache_create(#type, sizeof(struct type), \
			  __alignof__(struct type), flags, NULL)
#define kmemleak_not_leak(ptr)	((void)(ptr))

/* Memory that is asked about in this way is there. */
static inline long copy_from_kernel_nofault(void *dst, const void *src, size_t size)
{
	memcpy(dst, src, size);
	return 0;
}

/* Before main() */
#define SHIM_INITCALL(func)						\
	static void __attribute__((constructor)) __init_##func(void)	\
	{								\
		if (func())						\
			abort();					\
	}
#define core_initcall(func)	SHIM_INITCALL(func)
#define postcore_initcall(func)	SHIM_INITCALL(func)
#define subsys_initcall(func)	SHIM_INITCALL(func)
#define fs_initcall(func)	SHIM_INITCALL(func)
#define early_initcall(func)	SHIM_INITCALL(func)

/* For the sake of mm/page_counter.c */
#ifndef PAGE_SIZE
#define PAGE_SIZE		4096UL
#endif
unsigned long long memparse(const char *ptr, char **retptr);

#endif /* SHIM_H */
