// SPDX-License-Identifier: GPL-2.0
/* The simulated machine, and what is counted there; see sim.c. */
#include "sim.h"

/* The machine */

__thread struct shim_self shim_self;
__thread unsigned long shim_cpu_offset;
unsigned int shim_cpus;

static bool online[MAX_CPUS];
char *stack_top;

struct cost cost;
static u64 irqs_off_since;
static unsigned int held;

#define MAX_LOCKS	(1 << 20)
static raw_spinlock_t *lock_log[MAX_LOCKS];

struct res_root *root;

void die(const char *what)
{
	printf("Bail out! %s\n", what);
	exit(1);
}

void shim_warn(const char *file, int line)
{
	printf("Bail out! a warning at %s:%d\n", file, line);
	fflush(stdout);
	abort();
}

void on(unsigned int cpu)
{
	shim_self.cpu = cpu;
	shim_cpu_offset = cpu * SHIM_PERCPU_UNIT;
}

void set_online(unsigned int cpus)
{
	unsigned int i;

	for (i = 0; i < MAX_CPUS; i++)
		online[i] = i < cpus;
	shim_cpus = cpus;
	on(0);
}

bool cpu_online(int cpu)
{
	return online[cpu];
}

bool cpu_active(int cpu)
{
	return online[cpu];
}

bool shim_enter(void)
{
	bool off = __shim_irqs_off();

	if (!off)
		irqs_off_since = cost.steps;
	shim_self.section++;
	return off;
}

static void irqs_on(void)
{
	cost.irqs_off = max(cost.irqs_off, cost.steps - irqs_off_since);
}

void shim_leave(void)
{
	if (irqs_disabled())
		irqs_on();
	shim_self.section--;
}

void shim_take_interrupts(void)
{
}

/* These do not turn interrupts off, not even for a moment. */
void preempt_disable(void)
{
	shim_self.preempt++;
	shim_self.section++;
}

void preempt_enable(void)
{
	shim_check(shim_self.preempt);
	shim_self.preempt--;
	shim_self.section--;
}

void rcu_read_lock(void)
{
	shim_self.section++;
}

void rcu_read_unlock(void)
{
	shim_check(shim_self.section);
	shim_self.section--;
}

void shim_cond_resched(void)
{
	might_sleep();
}

void synchronize_rcu(void)
{
	might_sleep();
}

void raw_spin_lock(raw_spinlock_t *lock)
{
	lockdep_assert_irqs_disabled();
	/* No other CPU runs meanwhile: this would be for ever. */
	if (lock->holder)
		die("a CPU waits for a lock that is held");
	lock->holder = shim_self.cpu + 1;
	lock->steps = cost.steps;
	if (cost.locks < MAX_LOCKS)
		lock_log[cost.locks] = lock;
	cost.locks++;
	cost.together = max(cost.together, (u64)++held);
}

void raw_spin_unlock(raw_spinlock_t *lock)
{
	lockdep_assert_irqs_disabled();
	shim_check(lock->holder == shim_self.cpu + 1);
	lock->holder = 0;
	held--;
	cost.hold = max(cost.hold, cost.steps - lock->steps);
}

static bool has_slot(int cpu)
{
	int i;

	for (i = 0; i < RES_SLOTS; i++)
		if (!res_slot_closed(local_read(&per_cpu_ptr(root->stock, cpu)->slot[i].units)))
			return true;
	return false;
}

/* Runs @func as an interrupt of CPU @cpu does. */
static void interrupt(int cpu, void (*func)(void *info), void *info)
{
	const struct shim_self self = shim_self;
	const u64 since = irqs_off_since;

	if (irqs_disabled())
		irqs_on();
	shim_self = (struct shim_self) {
		.cpu = cpu, .irqs_off = true, .in_irq = true, .section = 1,
	};
	on(cpu);
	irqs_off_since = cost.steps;
	func(info);
	irqs_on();
	shim_check(shim_self.section == 1 && !shim_self.preempt);
	shim_self = self;
	on(self.cpu);
	irqs_off_since = since;
}

int smp_call_function_single(int cpu, void (*func)(void *info), void *info, int wait)
{
	unsigned long flags;

	shim_check(wait);
	lockdep_assert_irqs_enabled();
	shim_check(in_task());
	if (!online[cpu])
		return -ENXIO;
	if (cpu == shim_self.cpu) {
		local_irq_save(flags);
		func(info);
		local_irq_restore(flags);
		return 0;
	}
	cost.ipis++;
	cost.ipi[cpu] = true;
	if (!has_slot(cpu))
		cost.useless_ipis++;
	interrupt(cpu, func, info);
	return 0;
}

/* Cache lines */

struct line {
	unsigned long	at;		/* address / 64; 0: none */
	u64		have[MAX_CPUS / 64];
	int		changed;	/* by this CPU last; -1: by none */
};

#define LINES		(1UL << 19)
static struct line *lines;
static unsigned long nr_lines;

void lines_begin(void)
{
	free(lines);
	lines = calloc(LINES, sizeof(*lines));
	nr_lines = 0;
	if (!lines)
		die("no memory");
}

static struct line *line_find(unsigned long at)
{
	unsigned long i = at * 0x9e3779b97f4a7c15UL >> (64 - 19);

	while (lines[i].at != at) {
		if (!lines[i].at) {
			if (++nr_lines > LINES / 4 * 3)
				die("too many cache lines");
			lines[i].at = at;
			lines[i].changed = -1;
			break;
		}
		i = (i + 1) % LINES;
	}
	return &lines[i];
}

static void note_stock(const char *addr, const void *base)
{
	unsigned long cpu = (addr - (const char *)base) / SHIM_PERCPU_UNIT;

	if (!base || addr < (const char *)base || cpu >= MAX_CPUS ||
	    cpu == shim_self.cpu || cost.touched[cpu])
		return;
	cost.touched[cpu] = true;
	cost.cpus++;
}

static void access_line(unsigned long at, bool change)
{
	const int cpu = shim_self.cpu;
	const u64 bit = 1ULL << (cpu % 64);
	struct line *line = line_find(at);

	if (line->changed >= 0 && line->changed != cpu &&
	    (!(line->have[cpu / 64] & bit) || change))
		cost.foreign++;
	if (change) {
		memset(line->have, 0, sizeof(line->have));
		line->changed = cpu;
	}
	line->have[cpu / 64] |= bit;
}

static void touch(const volatile void *ptr, unsigned long size, bool change)
{
	char *addr = (char *)ptr;
	unsigned long at;

	/* The stack, and which CPU this is. */
	if ((addr >= (char *)__builtin_frame_address(0) && addr < stack_top) ||
	    addr == (char *)&shim_cpu_offset ||
	    (addr >= (char *)&shim_self && addr < (char *)(&shim_self + 1)))
		return;
	cost.steps++;
	cost.accesses++;
	if (root) {
		note_stock(addr, root->stock);
		note_stock(addr, root->info);
	}
	if (!lines)
		return;
	for (at = (unsigned long)addr / 64; at <= ((unsigned long)addr + size - 1) / 64;
	     at++)
		access_line(at, change);
}

/* What the instrumented files call. */

void __sanitizer_cov_trace_pc(void)
{
	cost.steps++;
}

void __tsan_init(void) { }
void __tsan_func_entry(void *pc) { }
void __tsan_func_exit(void) { }
void __tsan_atomic_thread_fence(int order) { }
void __tsan_atomic_signal_fence(int order) { }
void __tsan_read_range(void *p, unsigned long size) { touch(p, size, false); }
void __tsan_write_range(void *p, unsigned long size) { touch(p, size, true); }

#define TSAN_ACCESS(size)						\
void __tsan_read##size(void *p) { touch(p, size, false); }		\
void __tsan_write##size(void *p) { touch(p, size, true); }		\
void __tsan_unaligned_read##size(void *p) { touch(p, size, false); }	\
void __tsan_unaligned_write##size(void *p) { touch(p, size, true); }	\
void __tsan_volatile_read##size(void *p) { touch(p, size, false); }	\
void __tsan_volatile_write##size(void *p) { touch(p, size, true); }
TSAN_ACCESS(1)
TSAN_ACCESS(2)
TSAN_ACCESS(4)
TSAN_ACCESS(8)
TSAN_ACCESS(16)

#define TSAN_FETCH(bits, op, expr)					\
u##bits __tsan_atomic##bits##_##op(volatile void *ptr, u##bits val, int order) \
{									\
	volatile u##bits *p = ptr;					\
	u##bits old = *p;						\
									\
	touch(p, sizeof(*p), true);					\
	*p = (expr);							\
	return old;							\
}

#define TSAN_ATOMIC(bits)						\
u##bits __tsan_atomic##bits##_load(const volatile void *ptr, int order)	\
{									\
	const volatile u##bits *p = ptr;				\
									\
	touch(p, sizeof(*p), false);					\
	return *p;							\
}									\
									\
void __tsan_atomic##bits##_store(volatile void *ptr, u##bits val, int order) \
{									\
	volatile u##bits *p = ptr;					\
									\
	touch(p, sizeof(*p), true);					\
	*p = val;							\
}									\
									\
bool __tsan_atomic##bits##_compare_exchange_strong(volatile void *ptr,	\
		void *expected, u##bits val, int order, int order2)	\
{									\
	volatile u##bits *p = ptr;					\
	u##bits *old = expected;					\
									\
	touch(p, sizeof(*p), true);					\
	if (*p == *old) {						\
		*p = val;						\
		return true;						\
	}								\
	*old = *p;							\
	return false;							\
}									\
									\
bool __tsan_atomic##bits##_compare_exchange_weak(volatile void *ptr,	\
		void *expected, u##bits val, int order, int order2)	\
{									\
	return __tsan_atomic##bits##_compare_exchange_strong(ptr, expected, \
							     val, order, order2); \
}									\
									\
TSAN_FETCH(bits, exchange, val)						\
TSAN_FETCH(bits, fetch_add, old + val)					\
TSAN_FETCH(bits, fetch_sub, old - val)					\
TSAN_FETCH(bits, fetch_and, old & val)					\
TSAN_FETCH(bits, fetch_or, old | val)					\
TSAN_FETCH(bits, fetch_xor, old ^ val)

TSAN_ATOMIC(8)
TSAN_ATOMIC(16)
TSAN_ATOMIC(32)
TSAN_ATOMIC(64)

/* Measuring */

struct cost total_worst;		/* of everything, measured or not */

void cost_worse(struct cost *worst, const struct cost *c)
{
	worst->steps = max(worst->steps, c->steps);
	worst->hold = max(worst->hold, c->hold);
	worst->irqs_off = max(worst->irqs_off, c->irqs_off);
	worst->foreign = max(worst->foreign, c->foreign);
	worst->locks = max(worst->locks, c->locks);
	worst->together = max(worst->together, c->together);
	worst->ipis = max(worst->ipis, c->ipis);
	worst->useless_ipis = max(worst->useless_ipis, c->useless_ipis);
	worst->cpus = max(worst->cpus, c->cpus);
}

void measure_begin(void)
{
	cost_worse(&total_worst, &cost);
	memset(&cost, 0, sizeof(cost));
	irqs_off_since = 0;
}

struct cost measure_end(void)
{
	struct cost c = cost;

	shim_check(!held && !shim_self.section && !irqs_disabled());
	return c;
}

bool took_lock_of(const struct cost *c, const struct res_counter *counter)
{
	u64 i;

	for (i = 0; i < min(c->locks, (u64)MAX_LOCKS); i++)
		if (lock_log[i] == &counter->lock)
			return true;
	return false;
}
