// SPDX-License-Identifier: GPL-2.0
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"
#include "threads.h"

/* What the others may know of a CPU. */
struct cpu {
	pid_t			thread;
	bool			online;
	bool			active;
	bool			device;		/* wants attention */
	unsigned long		sections;	/* entered and left: odd inside */
	struct shim_call	*calls;		/* to be made here, latest first */
} ____cacheline_aligned;

static struct cpu cpus[MAX_THREADS];
static pthread_mutex_t hotplug = PTHREAD_MUTEX_INITIALIZER;

__thread struct shim_self shim_self;
__thread unsigned long shim_cpu_offset;
unsigned int shim_cpus;
void (*shim_device)(void), (*shim_teardown)(void), (*shim_last)(void);
u64 shim_interrupts, shim_interrupted;

/* Sections */

/*
 * A CPU goes offline: 1: tasks enter no more sections, 2: nor do interrupts. Then
 * everything stands still, as with stop_machine().
 */
static int stopping;

/* With interrupts off. Returns false, and is not in one, if there is to be none. */
static bool section_begin(struct cpu *cpu, int gate)
{
	WRITE_ONCE(cpu->sections, cpu->sections + 1);
	/* A CPU that waits for sections sees this one, or we see what it did before. */
	smp_mb();
	if (unlikely(READ_ONCE(stopping) >= gate)) {
		smp_store_release(&cpu->sections, cpu->sections + 1);
		return false;
	}
	return true;
}

static void section_end(struct cpu *cpu)
{
	smp_store_release(&cpu->sections, cpu->sections + 1);
}

#ifndef SHIM_BENCH
bool shim_enter(void)
{
	bool off;

	for (;;) {
		off = __shim_irqs_off();
		if (shim_self.section || section_begin(&cpus[shim_self.cpu], 1))
			break;
		__shim_irqs_restore(off);
		sched_yield();
	}
	shim_self.section++;
	return off;
}

void shim_leave(void)
{
	if (!--shim_self.section)
		section_end(&cpus[shim_self.cpu]);
}

void preempt_disable(void)
{
	bool off = shim_enter();

	shim_self.preempt++;
	__shim_irqs_restore(off);
}

void preempt_enable(void)
{
	bool off = __shim_irqs_off();

	shim_check(shim_self.preempt);
	shim_self.preempt--;
	shim_leave();
	__shim_irqs_restore(off);
}

void rcu_read_lock(void)
{
	__shim_irqs_restore(shim_enter());
}

void rcu_read_unlock(void)
{
	bool off = __shim_irqs_off();

	shim_check(shim_self.section);
	shim_leave();
	__shim_irqs_restore(off);
}
#endif

/* Waits until every other CPU was outside of its sections once. */
static void wait_for_sections(void)
{
	int i;

	smp_mb();
	for (i = 0; i < MAX_THREADS; i++) {
		unsigned long was = smp_load_acquire(&cpus[i].sections);

		while (i != shim_self.cpu && was % 2 &&
		       smp_load_acquire(&cpus[i].sections) == was)
			sched_yield();
	}
}

/* Interrupts */

static void take_interrupts(struct cpu *cpu, int gate)
{
	struct shim_call *call, *next, *list = NULL;

	WRITE_ONCE(shim_self.pending, false);
	barrier();
	WRITE_ONCE(shim_self.in_irq, true);
	__atomic_fetch_add(&shim_interrupts, 1, __ATOMIC_RELAXED);
	if (shim_self.preempt)
		__atomic_fetch_add(&shim_interrupted, 1, __ATOMIC_RELAXED);
	while (!shim_self.section && !section_begin(cpu, gate))
		sched_yield();
	shim_self.section++;

	/* In the order in which they were asked for. */
	call = xchg(&cpu->calls, NULL);
	while (call) {
		next = call->next;
		call->next = list;
		list = call;
		call = next;
	}
	while (list) {
		call = list;
		list = call->next;
		call->func(call);
	}
	if (READ_ONCE(cpu->device) && xchg(&cpu->device, false))
		shim_device();

	if (!--shim_self.section)
		section_end(cpu);
	WRITE_ONCE(shim_self.in_irq, false);
	barrier();
}

/* Called with interrupts on: by a signal's handler, or in place of one. */
void shim_take_interrupts(void)
{
	do {
		WRITE_ONCE(shim_self.irqs_off, true);
		take_interrupts(&cpus[shim_self.cpu], 2);
		WRITE_ONCE(shim_self.irqs_off, false);
		barrier();
	} while (READ_ONCE(shim_self.pending));
}

static void handler(int sig)
{
	int err = errno;

	if (READ_ONCE(shim_self.irqs_off))
		WRITE_ONCE(shim_self.pending, true);
	else
		shim_take_interrupts();
	errno = err;
}

/* Not by pthread_kill(), which blocks all signals, a step's SIGTRAP as well. */
static void send_signal(struct cpu *cpu)
{
	syscall(SYS_tgkill, getpid(), cpu->thread, SIGUSR1);
}

/* The caller keeps the CPU online. */
static void send_call(int i, struct shim_call *call)
{
	struct cpu *cpu = &cpus[i];

	call->next = READ_ONCE(cpu->calls);
	while (!try_cmpxchg(&cpu->calls, &call->next, call))
		;
	send_signal(cpu);
}

void shim_interrupt(unsigned int i)
{
	preempt_disable();
	if (cpu_online(i)) {
		WRITE_ONCE(cpus[i].device, true);
		send_signal(&cpus[i]);
	}
	preempt_enable();
}

void shim_interrupt_self(void)
{
	WRITE_ONCE(cpus[shim_self.cpu].device, true);
	send_signal(&cpus[shim_self.cpu]);
}

/* CPUs */

void shim_online(void)
{
	struct cpu *cpu = &cpus[shim_self.cpu];

	cpu->thread = syscall(SYS_gettid);
	WRITE_ONCE(shim_self.irqs_off, false);
	__atomic_fetch_add(&shim_cpus, 1, __ATOMIC_RELAXED);
	/* Pairs with the load in cpu_online(): there is a thread to be sent to. */
	smp_store_release(&cpu->online, true);
	WRITE_ONCE(cpu->active, true);
}

void shim_thread(unsigned int id)
{
	shim_self = (struct shim_self){ .cpu = id, .irqs_off = true };
	WRITE_ONCE(shim_cpu_offset, id * SHIM_PERCPU_UNIT);
	/*
	 * ThreadSanitizer makes its record of a thread's signals when it first
	 * needs one, and loses a signal that comes just then.
	 */
	pthread_kill(pthread_self(), 0);
	shim_online();
}

void shim_offline(void)
{
	struct cpu *cpu = &cpus[shim_self.cpu];

	shim_mutex_lock(&hotplug);
	WRITE_ONCE(cpu->active, false);
	if (shim_teardown)
		shim_teardown();
	if (shim_last)
		shim_last();
	/* There is more to be torn down; interrupts still come. */
	shim_pause();
	WRITE_ONCE(stopping, 1);
	/* Interrupts are on: a CPU in a section may be waiting for us. */
	wait_for_sections();
	WRITE_ONCE(shim_self.irqs_off, true);
	WRITE_ONCE(stopping, 2);
	wait_for_sections();
	if (READ_ONCE(cpu->calls))
		take_interrupts(cpu, 3);
	smp_store_release(&cpu->online, false);
	__atomic_fetch_sub(&shim_cpus, 1, __ATOMIC_RELAXED);
	WRITE_ONCE(stopping, 0);
	pthread_mutex_unlock(&hotplug);
}

bool cpu_online(int cpu)
{
	return smp_load_acquire(&cpus[cpu].online);
}

bool cpu_active(int cpu)
{
	return READ_ONCE(cpus[cpu].active);
}

void shim_init(void)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };

	sigfillset(&sa.sa_mask);
	sigdelset(&sa.sa_mask, SIGTRAP);	/* for step.c */
	sigaction(SIGUSR1, &sa, NULL);
	shim_thread(0);
}

/* Calls from CPU to CPU */

struct waited_call {
	struct shim_call	call;
	void			(*func)(void *info);
	void			*info;
	bool			done;
};

static void run_waited(struct shim_call *c)
{
	struct waited_call *call = container_of(c, struct waited_call, call);

	call->func(call->info);
	/* The caller's frame may be gone after this. */
	smp_store_release(&call->done, true);
}

static void wait_for(struct waited_call *call)
{
	while (!smp_load_acquire(&call->done))
		sched_yield();
}

void on_each_cpu_cond(bool (*cond)(int cpu, void *info), void (*func)(void *info),
		      void *info, bool wait)
{
	struct waited_call calls[MAX_THREADS];
	unsigned long flags;
	int cpu;

	shim_check(wait);
	lockdep_assert_irqs_enabled();
	shim_check(in_task());

	preempt_disable();
	for_each_possible_cpu(cpu) {
		calls[cpu] = (struct waited_call){
			.call.func	= run_waited,
			.func		= func,
			.info		= info,
		};
		if (cpu != raw_smp_processor_id() && cpu_online(cpu) &&
		    (!cond || cond(cpu, info)))
			send_call(cpu, &calls[cpu].call);
		else
			calls[cpu].done = true;
	}
	if (!cond || cond(raw_smp_processor_id(), info)) {
		local_irq_save(flags);
		func(info);
		local_irq_restore(flags);
	}
	for_each_possible_cpu(cpu)
		wait_for(&calls[cpu]);
	preempt_enable();
}

int smp_call_function_single(int cpu, void (*func)(void *info), void *info,
			     int wait)
{
	struct waited_call call = {
		.call.func	= run_waited,
		.func		= func,
		.info		= info,
	};
	unsigned long flags;
	int err = 0;

	shim_check(wait);
	lockdep_assert_irqs_enabled();
	shim_check(in_task());

	preempt_disable();
	if (cpu == raw_smp_processor_id()) {
		local_irq_save(flags);
		func(info);
		local_irq_restore(flags);
	} else if (cpu_online(cpu)) {
		send_call(cpu, &call.call);
		wait_for(&call);
	} else {
		err = -ENXIO;
	}
	preempt_enable();
	return err;
}

#define WORK_PENDING	1U
#define WORK_BUSY	2U

bool irq_work_queue_on(struct irq_work *work, int cpu)
{
	bool queued = false;

	preempt_disable();
	shim_check(cpu_online(cpu));
	if (!(__atomic_fetch_or(&work->flags, WORK_PENDING | WORK_BUSY,
				__ATOMIC_SEQ_CST) & WORK_PENDING)) {
		send_call(cpu, &work->call);
		queued = true;
	}
	preempt_enable();
	return queued;
}

void shim_irq_work_run(struct shim_call *call)
{
	struct irq_work *work = container_of(call, struct irq_work, call);
	unsigned int busy = WORK_BUSY;

	/* It may be queued again from here on; what came before, func() sees. */
	__atomic_fetch_and(&work->flags, ~WORK_PENDING, __ATOMIC_SEQ_CST);
	work->func(work);
	try_cmpxchg(&work->flags, &busy, 0);
}

bool irq_work_is_busy(struct irq_work *work)
{
	return smp_load_acquire(&work->flags) & WORK_BUSY;
}

void irq_work_sync(struct irq_work *work)
{
	lockdep_assert_irqs_enabled();
	might_sleep();
	while (irq_work_is_busy(work))
		sched_yield();
}

/* Sleep */

#ifndef SHIM_BENCH
void shim_cond_resched(void)
{
	might_sleep();
	sched_yield();
}
#endif

void shim_pause(void)
{
	struct timespec ts = { .tv_nsec = 20000 };

	might_sleep();
	nanosleep(&ts, NULL);
}

void shim_mutex_lock(pthread_mutex_t *mutex)
{
	might_sleep();
	while (pthread_mutex_trylock(mutex))
		shim_pause();
}

/* RCU */

void synchronize_rcu(void)
{
	might_sleep();
	wait_for_sections();
}
