// SPDX-License-Identifier: GPL-2.0
/*
 * The engine, interrupted at every instruction
 *
 * kernel/bc/engine/, compiled as it is, executes one operation at a time with the
 * processor's trap flag set. After so many instructions something happens there: an
 * interrupt that charges or uncharges, or another CPU that does all that it takes to
 * drain a group, to change a bound, to charge up to it, to remove the group. Then the
 * operation goes on, and in the end every unit must be accounted for. All of that with
 * every number of instructions, until the operation is done before; after the first
 * hundred, which is in the slow path, with some.
 *
 * Where the operation itself has turned interrupts off they come later, as they
 * would; other CPUs do not wait for that.
 *
 * usage: step [-v] [OPERATION [EVENT]]
 *
 * OPERATION and EVENT are parts of names, and select. With -v, the operations are shown.
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
#define LIMIT		80
#define OBJECTS		24
/* After so many instructions, in the slow path, few of them are tried: a prime. */
#define ALL		100
#define STRIDE		179

struct object {
	struct res_owner	*owner;
	u64			n;
};

/* @c uses the same slot as @a; groups with the other slots are made in between. */
static struct res_root root;
static struct res_counter top, a, b, c, other[RES_SLOTS - 2];
static struct object objects[OBJECTS];	/* by any CPU: they take turns */
static u64 made, freed, steps, slow_steps;
static const char *doing, *meanwhile;
static int op;
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

static struct res_counter *to_drain;
static bool root_to_drain;

static void drain_later(struct res_root *r, struct res_counter *counter)
{
	if (counter)
		WRITE_ONCE(to_drain, counter);
	else
		WRITE_ONCE(root_to_drain, true);
}

static const struct res_counter_ops ops = {
	.owner_freed	= owner_freed,
	.drain_later	= drain_later,
};

/* Charges and uncharges, as the core makes them; all units are of kind 0. */

static void charge(struct object *o, struct res_counter *counter, u64 n)
{
	struct res_owner *owner = READ_ONCE(counter->owner);
	bool charged = false;

	preempt_disable();
	if (owner != RES_OWNER_REMOVED)
		charged = res_stock_charge_kind(root.stock, owner, n, 0);
	preempt_enable();
	if (!charged) {
		owner = res_counter_charge(counter, n, BC_BARRIER, in_task());
		if (!IS_ERR_OR_NULL(owner)) {
			preempt_disable();
			res_stock_note(root.stock, owner, 0, n);
			preempt_enable();
		}
	}
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
	uncharged = res_stock_uncharge_kind(root.stock, owner, o->n, 0);
	if (!uncharged)
		res_stock_note(root.stock, owner, 0, -(long)o->n);
	preempt_enable();
	if (!uncharged)
		res_counter_uncharge(owner, o->n);
}

/* Units that are moved take nothing along of what is noted of them. */
static void move(struct object *o, struct res_counter *to)
{
	struct res_owner *owner = o->owner;

	if (!owner)
		return;
	o->owner = NULL;
	preempt_disable();
	res_stock_note(root.stock, owner, 0, -(long)o->n);
	preempt_enable();
	owner = res_counter_move(owner, to, o->n);
	if (!owner)
		return;
	preempt_disable();
	res_stock_note(root.stock, owner, 0, o->n);
	preempt_enable();
	o->owner = owner;
}

static struct res_slot *slot_of(int cpu, const struct res_counter *counter)
{
	unsigned long at = (unsigned long)counter->owner / RES_SLOT_SIZE % RES_SLOTS;

	return &per_cpu_ptr(root.stock, cpu)->slot[at];
}

/* So many units @cpu has in stock for @counter; -1: its slot there is closed. */
static long stocked(int cpu, const struct res_counter *counter)
{
	struct res_slot *slot = slot_of(cpu, counter);

	if (slot->owner != counter->owner || res_slot_closed(local_read(&slot->units)))
		return -1;
	return local_read(&slot->units);
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
 * Operations. Before each, objects 0 to 7 have a unit of a, 8 and 9 of b, and this CPU
 * has stock of a.
 */

static void set_closed(void)
{
	res_counter_drain(&top);
	if (stocked(0, &a) >= 0)
		fail("a slot is open after a drain");
}

/* One unit more than the slot keeps will be too much. */
static void set_full(void)
{
	struct res_slot *slot = slot_of(0, &a);

	charge(&objects[16], &a, 12);
	uncharge(&objects[16]);
	while (stocked(0, &a) >= 0 && stocked(0, &a) < (long)slot->cap &&
	       objects[7].owner)
		uncharge(&objects[7]);
	objects[7].owner = NULL;
}

static void set_empty(void)
{
	long n = stocked(0, &a);

	if (n > 0)
		charge(&objects[15], &a, n);
}

static void set_other(void)
{
	int i;

	for (i = 0; i < 10 && stocked(0, &c) < 0; i++) {
		charge(&objects[15], &c, 1);
		uncharge(&objects[15]);
	}
	charge(&objects[15], &c, 1);
	if (stocked(0, &c) < 0)
		fail("a slot is never taken over");
}

/* The next charge of c takes a's slot over. */
static void set_rival(void)
{
	int i;

	for (i = 0; i < 4; i++)
		charge(&objects[17 + i], &c, 1);
	if (stocked(0, &a) < 0)
		fail("a slot is taken over too soon");
}

/* CPU 1 has stock, too. */
static void set_both(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		ask(cpu_pair);
		while (busy())
			sched_yield();
	}
	if (stocked(1, &a) < 0)
		fail("the other CPU has no stock");
}

static void set_covered(void)
{
	struct res_refusal lacking;

	if (res_counter_set_reserved(&a, 20, RES_LIMIT_KEEP, &lacking))
		fail("no room to lend");
	set_both();
}

static void do_charge(void) { charge(&objects[10], &a, 1); }
static void do_charge_more(void) { charge(&objects[10], &a, 9); }
static void do_charge_fresh(void) { charge(&objects[10], &other[0], 3); }
static void do_charge_rival(void) { charge(&objects[10], &c, 1); }
static void do_uncharge(void) { uncharge(&objects[0]); }

static void set_many(void)
{
	charge(&objects[14], &a, 30);
}

static void do_uncharge_many(void) { uncharge(&objects[14]); }

static void do_barrier(void)
{
	if (res_counter_set_barrier(&top, 12))
		fail("a barrier was refused");
}

static void do_drain(void) { res_counter_drain(&top); }

static void do_read(void)
{
	struct res_snapshot snap;

	res_counter_read(&top, &snap);
	if (snap.usage > LIMIT || snap.stocked > LIMIT)
		fail("less than nothing is read");
}

static void do_move(void)
{
	move(&objects[0], &b);
}

static void do_reserve(void)
{
	struct res_refusal lacking;

	if (res_counter_set_reserved(&b, 30, RES_LIMIT_KEEP, &lacking) &&
	    !objects[12].owner)
		fail("no room to lend");
}

static void do_remove(void)
{
	if (!READ_ONCE(a.removed))
		res_counter_remove(&a);
}

static const struct {
	const char *name;
	void (*set)(void);
	void (*run)(void);
	int stride;
	bool removes;
} operations[] = {
	{ "a charge from stock", NULL, do_charge },
	{ "a charge of more than is in stock", NULL, do_charge_more },
	{ "a charge, nothing being in stock", set_empty, do_charge },
	{ "a charge, the slot being closed", set_closed, do_charge },
	{ "a charge, the slot being another group's", set_other, do_charge },
	{ "a charge that takes a slot over", set_rival, do_charge_rival },
	{ "a group's first charge", NULL, do_charge_fresh },
	{ "an uncharge to stock", set_empty, do_uncharge },
	{ "an uncharge to stock, more than before", NULL, do_uncharge },
	{ "an uncharge, the slot being full", set_full, do_uncharge },
	{ "an uncharge, the slot being closed", set_closed, do_uncharge },
	{ "an uncharge, the slot being another group's", set_other, do_uncharge },
	{ "an uncharge of many", set_many, do_uncharge_many },
	{ "a barrier is set", set_covered, do_barrier, 23 },
	{ "a drain", set_both, do_drain, 23 },
	{ "a read", set_both, do_read },
	{ "a move", NULL, do_move },
	{ "a reservation", set_both, do_reserve, 61 },
	{ "a removal", set_both, do_remove, 61, true },
};

/* What happens in an interrupt. */

static void irq_charge(void) { charge(&objects[11], &a, 1); }
static void irq_charge_more(void) { charge(&objects[11], &a, 9); }
static void irq_charge_other(void) { charge(&objects[11], &b, 1); }
static void irq_charge_rival(void) { charge(&objects[11], &c, 1); }
/* Often enough for a task to take the slot over. */
static void irq_charge_rivals(void)
{
	int i;

	for (i = 0; i < 8; i++) {
		charge(&objects[11], &c, 1);
		uncharge(&objects[11]);
	}
	charge(&objects[11], &c, 1);
}

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
	if (snap.usage < LIMIT)
		charge(&objects[12], &a, LIMIT - snap.usage);
}

static void cpu_uncharge(void)
{
	uncharge(&objects[1]);
	uncharge(&objects[2]);
}

static void cpu_drain(void)
{
	res_counter_drain(&top);
}

static void cpu_drain_root(void)
{
	res_root_drain(&root);
}

static void cpu_remove(void)
{
	/* Not twice: the operation may be a removal. */
	if (!operations[op].removes)
		res_counter_remove(&a);
}

static void cpu_remove_uncharge(void)
{
	cpu_remove();
	uncharge(&objects[1]);
	uncharge(&objects[2]);
}

static void cpu_reserve(void)
{
	struct res_refusal lacking;

	/* There may be too much in hand just now. */
	if (res_counter_set_reserved(&a, 20, RES_LIMIT_KEEP, &lacking))
		return;
}

static void cpu_move(void)
{
	move(&objects[3], &b);
}

static void cpu_read(void)
{
	do_read();
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
	{ "an interrupt charges a group with the same slot", irq_charge_rival },
	{ "an interrupt would take the slot over", irq_charge_rivals },
	{ "an interrupt uncharges", irq_uncharge },
	{ "an interrupt uncharges another group", irq_uncharge_other },
	{ "an interrupt uncharges many", irq_uncharge_many },
	{ "an interrupt uncharges and charges", irq_pair },
	{ "another CPU drains", cpu_drain, true },
	{ "another CPU drains, an interrupt charges", cpu_drain, true, irq_charge },
	{ "another CPU drains, an interrupt uncharges", cpu_drain, true,
	  irq_uncharge_many },
	{ "another CPU drains the machine", cpu_drain_root, true },
	{ "another CPU sets a barrier", cpu_barrier, true },
	{ "another CPU charges up to the limit", cpu_charge, true },
	{ "another CPU uncharges", cpu_uncharge, true },
	{ "another CPU removes the group", cpu_remove, true },
	{ "another CPU removes the group and uncharges", cpu_remove_uncharge, true },
	{ "another CPU removes the group, an interrupt uncharges", cpu_remove, true,
	  irq_uncharge_many },
	{ "another CPU borrows", cpu_reserve, true },
	{ "another CPU moves a unit", cpu_move, true },
	{ "another CPU reads", cpu_read, true },
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

/* What must be there when nothing is in flight. */
static void check(struct res_counter *counter)
{
	u64 held = 0, reserved = 0, kinds = 0;
	struct res_snapshot snap;
	int i;

	if (counter->removed)
		return;
	for (i = 0; i < OBJECTS; i++)
		if (objects[i].owner &&
		    (counter == &top || objects[i].owner == counter->owner))
			held += objects[i].n;
	kinds = held;
	res_counter_read(counter, &snap);
	if (counter == &top) {
		struct res_snapshot child;

		if (!a.removed) {
			res_counter_read(&a, &child);
			if (a.reserved > child.usage)
				reserved = a.reserved - child.usage;
		}
		res_counter_read(&b, &child);
		if (b.reserved > child.usage)
			reserved += b.reserved - child.usage;
	}
	if (snap.usage != held + reserved) {
		fprintf(stderr, "usage %lld of %d, held %lld\n", (long long)snap.usage,
			counter == &top ? 0 : counter == &a ? 1 : 2, (long long)held);
		fail("usage is not what objects hold");
	}
	if ((u64)snap.kinds[0] != kinds)
		fail("kinds are not what objects hold");
	if (counter->used > counter->taken || counter->closed)
		fail("more used than taken, or closed");
	if (counter->used > counter->limit)
		fail("used above the limit");
}

/* Between operations nothing is in flight. */
static void check_slots(int cpu, bool drained)
{
	int i;

	for (i = 0; i < RES_SLOTS; i++) {
		struct res_slot *slot = &per_cpu_ptr(root.stock, cpu)->slot[i];
		long units = local_read(&slot->units);

		if (!res_slot_closed(units) && !drained) {
			if (units < 0 || units > 3 * (long)root.batch_max)
				fail("a slot has what it should not have");
			continue;
		}
		if (units != RES_SLOT_CLOSED || local_read(&slot->returned) ||
		    local_read(&slot->kinds[0]))
			fail("a slot has something left");
	}
}

static void begin(void)
{
	int i;

	memset(&top, 0, sizeof(top));
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	memset(&c, 0, sizeof(c));
	memset(other, 0, sizeof(other));
	memset(objects, 0, sizeof(objects));
	to_drain = NULL;
	root_to_drain = false;
	if (res_counter_init(&top, NULL, &root) || res_counter_init(&a, &top, &root) ||
	    res_counter_init(&b, &top, &root))
		fail("no memory");
	for (i = 0; i < ARRAY_SIZE(other); i++)
		if (res_counter_init(&other[i], &top, &root))
			fail("no memory");
	if (res_counter_init(&c, &top, &root) ||
	    res_counter_set_limit(&top, LIMIT, true))
		fail("no memory");
	made += 4 + ARRAY_SIZE(other);
	if (slot_of(0, &a) != slot_of(0, &c) || slot_of(0, &a) == slot_of(0, &b))
		fail("owners are not where they should be");
	charge(&objects[8], &b, 1);
	charge(&objects[9], &b, 1);
	for (i = 0; i < 8; i++)
		charge(&objects[i], &a, 1);
	if (stocked(0, &a) <= 0)
		fail("nothing is in stock at first");
}

static void remove_counter(struct res_counter *counter)
{
	if (!counter->removed)
		res_counter_remove(counter);
	res_counter_destroy(counter);
}

/* Returns whether there was anything left to do when the event came. */
static bool once(void)
{
	bool came;
	int i;

	begin();
	if (operations[op].set)
		operations[op].set();

	traps = 0;
	set_trap_flag("orq $0x100,");
	operations[op].run();
	set_trap_flag("andq $~0x100,");
	came = traps >= at;
	while (busy())
		sched_yield();
	check_slots(0, false);
	check_slots(1, false);
	check(&top);
	check(&a);
	check(&b);
	check(&c);
	/* What was asked for by interrupts. */
	if (to_drain && !to_drain->removed)
		res_counter_drain(to_drain);
	if (root_to_drain)
		res_root_drain(&root);

	if (!a.removed)
		res_counter_drain(&a);
	res_counter_drain(&b);
	res_root_drain(&root);
	check_slots(0, true);
	check_slots(1, true);
	check(&top);
	check(&a);
	check(&b);
	check(&c);
	if (top.taken != top.used)
		fail("credit is left after a drain");
	for (i = 0; i < OBJECTS; i++)
		uncharge(&objects[i]);
	remove_counter(&a);
	remove_counter(&b);
	for (i = 0; i < ARRAY_SIZE(other); i++)
		remove_counter(&other[i]);
	remove_counter(&c);
	remove_counter(&top);
	if (atomic64_read(&root.usage))
		fail("the root has something left");
	check_slots(0, true);
	check_slots(1, true);
	if (freed != made)
		fail("owners were freed twice, or never");
	shim_reclaim();
	return came;
}

int main(int argc, char **argv)
{
	bool verbose = argc > 1 && !strcmp(argv[1], "-v");
	const char *which = argc > 1 + verbose ? argv[1 + verbose] : "";
	const char *when = argc > 2 + verbose ? argv[2 + verbose] : "";
	struct sigaction sa = { .sa_sigaction = trap, .sa_flags = SA_SIGINFO };
	pthread_t cpu;

	shim_init();
	shim_device = device;
	shim_teardown = teardown;
	sigfillset(&sa.sa_mask);
	sigaction(SIGTRAP, &sa, NULL);
	root.kinds = 1;
	root.batch_min = 2;
	root.batch_max = 4;
	if (res_root_init(&root, &ops) || pthread_create(&cpu, NULL, cpu1, NULL))
		return 1;
	while (!cpu_online(1))
		sched_yield();
	for (op = 0; op < ARRAY_SIZE(operations); op++) {
		int stride = operations[op].stride ?: STRIDE;

		doing = operations[op].name;
		if (!strstr(doing, which))
			continue;
		if (verbose)
			printf("%s\n", doing), fflush(stdout);
		for (event = 0; event < ARRAY_SIZE(events); event++) {
			meanwhile = events[event].name;
			if (!strstr(meanwhile, when))
				continue;
			for (at = 1; once(); at++)
				if (at >= ALL)
					at += at == ALL ? 5 * event : stride;
		}
	}
	smp_store_release(&ended, true);
	sem_post(&wanted);
	pthread_join(cpu, NULL);
	res_root_exit(&root);
	printf("%zu operations, %zu events, %llu places for them (%llu with interrupts off): every unit was there\n",
	       ARRAY_SIZE(operations), ARRAY_SIZE(events), (unsigned long long)steps,
	       (unsigned long long)slow_steps);
	return 0;
}
#endif
