// SPDX-License-Identifier: GPL-2.0
/*
 * The engine, interrupted at every instruction
 *
 * kernel/bc/res_counter.c, compiled as it is, executes one operation at a time with
 * the processor's trap flag set. After so many instructions something happens there:
 * an interrupt that charges or uncharges, or another CPU that does all that it takes
 * to change a bound, to charge up to it, to remove the group. Then the operation goes
 * on, and in the end every unit must be accounted for. All of that with every number
 * of instructions, until the operation is done before; after the first hundred, which
 * is in the slow path, with some.
 *
 * Where the operation itself has turned interrupts off they come later, as they
 * would; other CPUs do not wait for that.
 *
 * usage: step
 */
#include "shim.h"

#ifndef __x86_64__
void shim_warn(const char *file, int line) { abort(); }

int main(void)
{
	printf("no trap flag on this machine: nothing done\n");
	return 0;
}
#else
#include <semaphore.h>
#include <ucontext.h>

#include "threads.h"
#include <bc/res_counter.h>

#define TRAP_FLAG	0x100
#define LIMIT		40
#define OBJECTS		16
/* After so many instructions, in the slow path, few of them are tried: a prime. */
#define ALL		100
#define STRIDE		179

struct object {
	struct res_owner	*owner;
	u64			n;
};

static struct res_root root;
static struct res_counter top, a, b;
static struct object objects[OBJECTS];	/* by any CPU: they take turns */
static u64 made, freed, steps, slow_steps;
static const char *doing, *meanwhile;
static long at;

static void fail(const char *what)
{
	fprintf(stderr, "step: %s: %s, after %ld instructions: %s\n", doing, what, at,
		meanwhile);
	abort();
}

void shim_warn(const char *file, int line)
{
	fprintf(stderr, "step: warning at %s:%d\n", file, line);
	fail("a warning");
}

static void owner_freed(struct res_root *r)
{
	freed++;
}

static const struct res_counter_ops ops = { .owner_freed = owner_freed };

/* Charges and uncharges, as the core makes them. */

static void charge(struct object *o, struct res_counter *c, u64 n)
{
	struct res_owner *owner = READ_ONCE(c->owner);
	bool charged;

	preempt_disable();
	charged = res_stock_charge(&root, owner, n);
	preempt_enable();
	if (!charged)
		owner = res_counter_charge(c, n, BC_BARRIER, in_task());
	if (!IS_ERR_OR_NULL(owner)) {
		o->owner = owner;
		o->n = n;
	}
}

static void uncharge(struct object *o)
{
	struct res_owner *owner = o->owner;
	bool uncharged;

	if (!owner)
		return;
	o->owner = NULL;
	preempt_disable();
	uncharged = res_stock_uncharge(&root, owner, o->n);
	preempt_enable();
	if (!uncharged)
		res_counter_uncharge(owner, o->n);
}

static struct res_stock *stock(int cpu)
{
	return per_cpu_ptr(root.stock, cpu);
}

/* As on another CPU's behalf: what is in stock is taken back. */
static void recalled(void)
{
	stock(0)->work.func(&stock(0)->work);
}

/* CPU 1 runs what it is given. */

static void (*request)(void);
static sem_t wanted;
static bool ended;

static void ask(void (*run)(void))
{
	smp_store_release(&request, run);
	sem_post(&wanted);
}

static bool busy(void)
{
	return smp_load_acquire(&request);
}

static void cpu_pair(void)
{
	charge(&objects[13], &a, 1);
	uncharge(&objects[13]);
}

/*
 * Operations. Before each, objects 0 to 7 have a unit of a, 8 and 9 of b, and the
 * stock is a's, with 2 units and room for 2 more.
 */

static void set_closed(void)
{
	recalled();
}

static void set_full(void)
{
	uncharge(&objects[6]);
	uncharge(&objects[7]);
}

static void set_lower(void)
{
	charge(&objects[15], &a, 1);
}

static void set_other(void)
{
	charge(&objects[15], &b, 1);
}

/* In the reservation of a, which top does not see. */
static void set_covered(void)
{
	if (res_counter_set_reserved(&a, 12, RES_LIMIT_KEEP, NULL, 0))
		fail("no room to lend");
	ask(cpu_pair);
	while (busy())
		sched_yield();
	if (stock(1)->counter != &a || top.usage != 14)
		fail("the other CPU's stock is not what it should be");
}

static void do_charge(void) { charge(&objects[10], &a, 1); }
static void do_charge_more(void) { charge(&objects[10], &a, 3); }
static void do_uncharge(void) { uncharge(&objects[0]); }

static void do_barrier(void)
{
	if (res_counter_set_barrier(&top, 10))
		fail("a barrier was refused");
}

static const struct {
	const char *name;
	void (*set)(void);
	void (*run)(void);
	int stride;
} operations[] = {
	{ "a charge from stock", NULL, do_charge },
	{ "a charge of more than is in stock", NULL, do_charge_more },
	{ "a charge, the stock being closed", set_closed, do_charge },
	{ "a charge, the stock being another group's", set_other, do_charge },
	{ "an uncharge to stock", set_lower, do_uncharge },
	{ "an uncharge to stock, more than before", NULL, do_uncharge },
	{ "an uncharge, the stock being full", set_full, do_uncharge },
	{ "an uncharge, the stock being closed", set_closed, do_uncharge },
	{ "an uncharge, the stock being another group's", set_other, do_uncharge },
	{ "a barrier is set", set_covered, do_barrier, 23 },
};

/* What happens in an interrupt. */

static void irq_charge(void) { charge(&objects[11], &a, 1); }
static void irq_charge_more(void) { charge(&objects[11], &a, 4); }
static void irq_charge_other(void) { charge(&objects[11], &b, 1); }
static void irq_uncharge(void) { uncharge(&objects[1]); }
static void irq_uncharge_other(void) { uncharge(&objects[8]); }

static void irq_uncharge_many(void)
{
	int i;

	for (i = 1; i < 6; i++)
		uncharge(&objects[i]);
}

static void irq_pair(void)
{
	irq_uncharge();
	irq_charge();
}

static void irq_recalled_charge(void)
{
	recalled();
	irq_charge();
}

static void irq_recalled_uncharge(void)
{
	recalled();
	irq_uncharge_many();
}

/* What another CPU does. */

static void cpu_barrier(void)
{
	if (res_counter_set_barrier(&top, LIMIT - 1))
		fail("a barrier was refused");
}

static void cpu_charge(void)
{
	struct res_snapshot snap;

	res_counter_read(&top, &snap);
	charge(&objects[12], &a, LIMIT - snap.usage);
}

static void cpu_uncharge(void)
{
	uncharge(&objects[1]);
	uncharge(&objects[2]);
}

static void cpu_remove(void)
{
	res_counter_remove(&a);
}

static void cpu_remove_uncharge(void)
{
	res_counter_remove(&a);
	uncharge(&objects[1]);
	uncharge(&objects[2]);
}

static void cpu_reserve(void)
{
	if (res_counter_set_reserved(&a, 12, RES_LIMIT_KEEP, NULL, 0))
		fail("no room to lend");
}

static const struct {
	const char *name;
	void (*run)(void);
	bool cpu;
	void (*then)(void);	/* in an interrupt here */
} events[] = {
	{ "an interrupt charges", irq_charge },
	{ "an interrupt charges more", irq_charge_more },
	{ "an interrupt charges another group", irq_charge_other },
	{ "an interrupt uncharges", irq_uncharge },
	{ "an interrupt uncharges another group", irq_uncharge_other },
	{ "an interrupt uncharges many", irq_uncharge_many },
	{ "an interrupt uncharges and charges", irq_pair },
	{ "the stock is recalled", recalled },
	{ "the stock is recalled, an interrupt charges", irq_recalled_charge },
	{ "the stock is recalled, an interrupt uncharges", irq_recalled_uncharge },
	{ "another CPU sets a barrier", cpu_barrier, true },
	{ "another CPU charges up to the limit", cpu_charge, true },
	{ "another CPU uncharges", cpu_uncharge, true },
	{ "another CPU removes the group", cpu_remove, true },
	{ "another CPU removes the group and uncharges", cpu_remove_uncharge, true },
	{ "another CPU borrows", cpu_reserve, true },
	{ "another CPU charges, uncharges, and an interrupt charges", cpu_pair, true,
	  irq_charge_more },
};

static void *cpu1(void *arg)
{
	void (*run)(void);

	shim_thread(1);
	while (!smp_load_acquire(&ended)) {
		run = smp_load_acquire(&request);
		if (!run) {
			sem_wait(&wanted);
			continue;
		}
		run();
		smp_store_release(&request, NULL);
	}
	shim_offline();
	return NULL;
}

/* Stepping */

static long traps;
static int event;

static void trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	if (++traps < at)
		return;
	uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	steps++;
	if (!events[event].cpu) {
		shim_interrupt_self();
		return;
	}
	ask(events[event].run);
	if (irqs_disabled()) {
		slow_steps++;
		return;
	}
	/* Here as an interrupt would be: what that CPU wants of this one is done. */
	while (busy()) {
		shim_take_interrupts();
		sched_yield();
	}
	if (events[event].then)
		shim_interrupt_self();
}

static void device(void)
{
	if (events[event].cpu)
		events[event].then();
	else
		events[event].run();
}

static void teardown(void)
{
	res_root_cpu_offline(&root);
}

/* Past what the compiler may keep below the stack pointer. */
#define set_trap_flag(how)						\
	asm volatile("lea -128(%%rsp), %%rsp; pushfq; " how " (%%rsp); popfq;" \
		     "lea 128(%%rsp), %%rsp" : : : "memory", "cc")

static void check(struct res_counter *c)
{
	struct res_snapshot snap;
	u64 held = 0;
	int i;

	for (i = 0; i < OBJECTS; i++)
		if (objects[i].owner && (c == &top || objects[i].owner == c->owner))
			held += objects[i].n;
	if (c == &top && !a.removed)
		held += a.reserved > a.usage ? a.reserved - a.usage : 0;
	res_counter_read(c, &snap);
	if (snap.usage != held)
		fail("usage is not what objects hold");
	if (c->usage != held || c->stocked || c->closed || !list_empty(&c->stocks))
		fail("something is in stock still");
}

/* Between operations nothing is in flight. */
static void check_stock(int cpu)
{
	long units = local_read(&stock(cpu)->units);
	struct res_counter *c = stock(cpu)->counter;

	if (c ? units < 0 || units > (long)stock(cpu)->cap :
		units != RES_STOCK_CLOSED)
		fail("a stock has what it should not have");
	if (c && c->usage > c->reserved && top.usage > top.barrier)
		fail("a stock above a barrier");
}

/* Returns whether there was anything left to do when the event came. */
static bool once(int op)
{
	bool came;
	int i;

	memset(&top, 0, sizeof(top));
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	memset(objects, 0, sizeof(objects));
	if (res_counter_init(&top, NULL, &root) || res_counter_init(&a, &top, &root) ||
	    res_counter_init(&b, &top, &root) ||
	    res_counter_set_limit(&top, LIMIT, true))
		fail("no memory");
	made += 3;
	charge(&objects[8], &b, 1);
	charge(&objects[9], &b, 1);
	for (i = 0; i < 8; i++)
		charge(&objects[i], &a, 1);
	charge(&objects[10], &a, 1);
	charge(&objects[11], &a, 1);
	uncharge(&objects[10]);
	uncharge(&objects[11]);
	if (stock(0)->counter != &a || local_read(&stock(0)->units) != 2 ||
	    stock(0)->high != 2 || stock(0)->cap != 4)
		fail("the stock is not what it should be at first");
	if (operations[op].set)
		operations[op].set();

	traps = 0;
	set_trap_flag("orq $0x100,");
	operations[op].run();
	set_trap_flag("andq $~0x100,");
	came = traps >= at;
	while (busy())
		sched_yield();
	check_stock(0);
	check_stock(1);

	/* Changing a bound takes back all that is in stock. */
	if (res_counter_set_barrier(&top, LIMIT))
		fail("a barrier was refused");
	check(&top);
	check(&b);
	if (!a.removed)
		check(&a);
	for (i = 0; i < OBJECTS; i++)
		uncharge(&objects[i]);
	res_counter_remove(&a);
	res_counter_remove(&b);
	res_counter_remove(&top);
	if (atomic64_read(&root.usage))
		fail("the root has something left");
	for (i = 0; i < 2; i++)
		if (stock(i)->counter || local_read(&stock(i)->returned) ||
		    local_read(&stock(i)->units) != RES_STOCK_CLOSED)
			fail("a stock has something left");
	if (freed != made)
		fail("owners were freed twice, or never");
	shim_reclaim();
	return came;
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = trap, .sa_flags = SA_SIGINFO };
	pthread_t other;
	int op;

	shim_init();
	shim_device = device;
	shim_teardown = teardown;
	sigfillset(&sa.sa_mask);
	sigaction(SIGTRAP, &sa, NULL);
	if (res_root_init(&root, &ops) || pthread_create(&other, NULL, cpu1, NULL))
		return 1;
	while (!cpu_online(1))
		sched_yield();
	for (op = 0; op < ARRAY_SIZE(operations); op++) {
		int stride = operations[op].stride ?: STRIDE;

		doing = operations[op].name;
		for (event = 0; event < ARRAY_SIZE(events); event++) {
			meanwhile = events[event].name;
			for (at = 1; once(op); at++)
				if (at >= ALL)
					at += at == ALL ? 5 * event : stride;
		}
	}
	smp_store_release(&ended, true);
	sem_post(&wanted);
	pthread_join(other, NULL);
	res_root_exit(&root);
	printf("%zu operations, %zu events, %llu places for them (%llu with interrupts off): every unit was there\n",
	       ARRAY_SIZE(operations), ARRAY_SIZE(events), (unsigned long long)steps,
	       (unsigned long long)slow_steps);
	return 0;
}
#endif
