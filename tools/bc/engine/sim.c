// SPDX-License-Identifier: GPL-2.0
/*
 * The engine on a simulated machine: what an operation costs the group, its
 * neighbours and the other CPUs
 *
 * kernel/bc/engine/, compiled as it is, on a machine of up to 256 CPUs with 10 000
 * groups at depths of up to 2000. One thread plays all CPUs: which one is a variable, so
 * that each run is the same. The compiler has instrumented the engine: each basic block
 * executed and each access to memory is a step, and for each cache line it is known
 * which CPUs have it and which one has changed it last. So this counts, and measures no
 * time:
 *
 *   steps	in all; the most under one lock, and with interrupts off
 *   locks	taken, whose, and how many at a time
 *   IPIs	sent, and to which CPUs
 *   lines	of cache that had to come from another CPU
 *
 * What must hold is what isolates one group from another: an operation's steps under a
 * lock do not depend on the size of the machine, its steps in all only on the levels
 * above and on what is kept below, and a neighbour sees nothing of it.
 *
 * usage: sim [-v]
 *
 * Output: TAP. With -v, what was measured.
 */
#include "sim.h"

/* Scenes: what one group does, and what another one has of it */

/* Steps of a refusal when it was refused often before, with so many siblings. */
static u64 refusal_steps(int siblings, bool machine)
{
	struct group *top, *asker;
	struct cost c;
	int i;

	world_begin(4);
	if (machine)
		capacity_barrier = capacity_limit = siblings;
	top = make(NULL);
	asker = make(top);
	for (i = 0; i < siblings; i++) {
		on(i % 4);
		charge(make(top), 1);
	}
	on(0);
	if (!machine)
		set_limit(top, siblings);
	for (i = 0; i < 10; i++) {
		MEASURE(c, charge_as(asker, 1, BC_BARRIER, true));
		if (asker->held)
			die("a charge beyond the limit succeeds");
	}
	say("%d siblings:", siblings);
	say_cost("a refusal", &c);
	world_end();
	return c.steps;
}

static void scene_refusals(void)
{
	u64 one = refusal_steps(1, false), thousand = refusal_steps(1000, false);

	expect(thousand * 10 <= one * 12, "%llu steps, with one sibling %llu",
	       (unsigned long long)thousand, (unsigned long long)one);
	done("a refusal with 1000 siblings costs at most 1.2 times that with one");

	one = refusal_steps(1, true);
	thousand = refusal_steps(1000, true);
	expect(thousand * 10 <= one * 12, "%llu steps, with one sibling %llu",
	       (unsigned long long)thousand, (unsigned long long)one);
	done("so does a refusal by the machine, when it was hopeless before");
}

/*
 * The others go on meanwhile: they uncharge and charge, with little room to keep
 * anything. A refusal is hopeless as often as it is tried.
 */
static void scene_hopeless(void)
{
	const int siblings = 1000, rounds = 20;
	struct group *sibling[1000], *asker;
	u64 there;
	struct cost c;
	int i, round;

	world_begin(4);
	asker = make(NULL);
	capacity_barrier = capacity_limit = 20 * siblings;
	for (i = 0; i < siblings; i++) {
		sibling[i] = make(NULL);
		on(i % 4);
		charge(sibling[i], 20);
	}
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < siblings; i++) {
			on(i % 4);
			uncharge(sibling[i], 1);
			charge(sibling[i], 1);
		}
		on(0);
		there = kept_below(NULL);
		MEASURE(c, charge_as(asker, 5 * siblings, BC_BARRIER, true));
		say_cost("a hopeless refusal", &c);
		if (asker->held)
			die("a charge beyond the capacity succeeds");
		expect(c.steps <= BASE_STEPS + there * KEPT_STEPS,
		       "%llu steps, and units kept in %llu groups and slots",
		       (unsigned long long)c.steps, (unsigned long long)there);
	}
	world_end();
	done("a hopeless refusal by the machine looks only where units are kept");
}

/*
 * Finding 4 of the first edition's review: a group with a guarantee has stock on 255 of
 * 256 CPUs. What the guarantee covers is no concern of its parent, of which 62 % are
 * taken: the sibling's charges on the 256th CPU go by its stock.
 */
static void scene_guarantee(void)
{
	struct group *top, *a, *b;
	struct cost c, last;
	u64 locks = 0;
	int i, j;

	world_begin(256);
	top = make(NULL);
	a = make(top);
	b = make(top);
	set_limit(top, 4000);
	set_reserved(a, 2500);
	for (i = 0; i < 255; i++) {
		on(i);
		charge(a, 4);
		for (j = 0; j < 10; j++)
			pair(a);
	}
	say("the guaranteed group has %d slots", open_slots(a));
	expect(open_slots(a) >= 200, "the guaranteed group has %d slots only",
	       open_slots(a));
	on(255);
	charge(b, 16);
	for (i = 0; i < 401; i++) {
		MEASURE(c, pair(b));
		if (i >= 20) {
			locks += c.locks;
			last = c;
		}
	}
	say_cost("the sibling's charge and uncharge", &last);
	expect(!locks, "%llu locks in 381 charges and uncharges",
	       (unsigned long long)locks);
	expect(open_slots(b) == 1, "the sibling has %d slots", open_slots(b));
	for (i = 0, locks = 0; i < 255; i++) {
		on(i);
		MEASURE(c, pair(a));
		locks += c.locks;
	}
	expect(!locks, "%llu locks by the guaranteed group", (unsigned long long)locks);
	world_end();
	done("a guaranteed group's stock does not keep its sibling from having some");
}

/* Finding 5: what is done to one group closes no slot of its sibling. */
static void scene_neighbour(void)
{
	struct group *top, *a, *b, *child;
	struct res_snapshot snap;
	struct cost c;
	u64 dummy;
	int i, j, before;

	world_begin(256);
	top = make(NULL);
	a = make(top);
	b = make(top);
	child = make(a);
	charge(b, 1000);
	charge(a, 100);
	charge(child, 100);
	for (i = 0; i < 256; i++) {
		on(i);
		for (j = 0; j < 10; j++)
			pair(b);
	}
	before = open_slots(b);
	expect(before == 256, "the sibling has %d slots", before);
	on(0);

#define NEIGHBOUR(what)							\
	do {								\
		MEASURE(c, what);					\
		expect(open_slots(b) == before, "%s: the sibling had %d slots, has %d", \
		       #what, before, open_slots(b));			\
		expect(!took_lock_of(&c, &b->counter), "%s: the sibling's lock", #what); \
		expect(c.ipis <= 2, "%s: %llu IPIs", #what, (unsigned long long)c.ipis); \
	} while (0)

	for (i = 0; i < 10; i++) {
		pair(a);
		pair(child);
		NEIGHBOUR(res_counter_reset(&a->counter, RES_RESET_FAILCNT));
		NEIGHBOUR(res_counter_reset(&a->counter, RES_RESET_MAX));
		NEIGHBOUR(res_counter_reset(&a->counter, RES_RESET_MIN));
		NEIGHBOUR(res_counter_reset(&a->counter, RES_RESET_TOTALS));
		NEIGHBOUR(res_counter_restart_max(&a->counter, &dummy));
		NEIGHBOUR(set_limit(a, 1000));
		NEIGHBOUR(set_barrier(a, 150));
		NEIGHBOUR(charge_as(a, 1000, BC_BARRIER, true));
		NEIGHBOUR(set_barrier(a, RES_COUNTER_MAX));
		NEIGHBOUR(set_reserved(a, 500));
		NEIGHBOUR(set_reserved(a, 0));
	}
	NEIGHBOUR(remove_group(child));
	NEIGHBOUR(remove_group(a));
	/* What is done above may look at what is below, and asks no CPU for anything. */
	MEASURE(c, res_counter_reset(&top->counter, RES_RESET_MAX | RES_RESET_FAILCNT);
		   res_counter_restart_max(&top->counter, &dummy);
		   res_counter_read(&top->counter, &snap));
	expect(open_slots(b) == before && !c.ipis,
	       "resetting or reading the parent closes slots");
	for (i = 0, j = 0; i < 256; i++) {
		on(i);
		MEASURE(c, pair(b));
		j += c.locks;
	}
	expect(!j, "%d locks by the sibling afterwards", j);
	world_end();
	done("resets, bounds and the removal of a group leave its sibling's slots alone");
}

/* Finding 1: groups in turn on a CPU. */
static void scene_turns(int nr, u64 locks_bound)
{
	struct group *top, *group[500];
	struct cost c, worst = { };
	u64 locks = 0, steps = 0, foreign = 0;
	int i, round, rounds = 200;

	world_begin(2);
	top = make(NULL);
	for (i = 0; i < nr; i++) {
		group[i] = make(top);
		charge(group[i], 100);
	}
	for (round = 0; round < 20; round++)
		for (i = 0; i < nr; i++)
			pair(group[i]);
	if (nr > 100)
		rounds = 20;
	for (round = 0; round < rounds; round++)
		for (i = 0; i < nr; i++) {
			MEASURE(c, pair(group[i]));
			locks += c.locks;
			steps += c.steps;
			foreign += c.foreign;
			cost_worse(&worst, &c);
			expect(!took_lock_of(&c, &top->counter),
			       "the lock of the group above");
		}
	rounds *= nr;
	say("%d groups in turn: %.2f locks, %.1f steps for each charge and uncharge", nr,
	    (double)locks / rounds, (double)steps / rounds);
	say_cost("the worst one", &worst);
	expect(locks <= locks_bound * rounds, "%llu locks in %d charges and uncharges",
	       (unsigned long long)locks, rounds);
	expect(!foreign, "%llu cache lines of another CPU", (unsigned long long)foreign);
	expect(!worst.ipis, "IPIs");
	world_end();
	done("%d groups in turn on a CPU take %s", nr,
	     locks_bound ? "no locks but their own" : "no locks");
}

/* Two groups on two CPUs have nothing in common, in the long run. */
static void scene_two_cpus(void)
{
	struct group *top, *group[2];
	u64 foreign = 0, locks = 0;
	struct cost c;
	int i, j;

	world_begin(2);
	top = make(NULL);
	for (i = 0; i < 2; i++) {
		group[i] = make(make(top));
		on(i);
		charge(group[i], 100);
	}
	for (j = 0; j < 300; j++)
		for (i = 0; i < 2; i++) {
			on(i);
			/* More than a slot has, less than a bank. */
			MEASURE(c, charge(group[i], 20); uncharge(group[i], 20);
				   pair(group[i]));
			if (j < 100)
				continue;
			foreign += c.foreign;
			locks += c.locks;
			expect(!took_lock_of(&c, &top->counter),
			       "the lock of the group above");
		}
	say("two CPUs, a group each: %llu locks, %llu lines in 800",
	    (unsigned long long)locks, (unsigned long long)foreign);
	expect(!foreign, "%llu cache lines of the other CPU",
	       (unsigned long long)foreign);
	world_end();
	done("two groups on two CPUs share no lock and no cache line");
}

/*
 * Tasks of one group are refused on 64 CPUs, by the group's own limit and by that of a
 * group between; a neighbour goes on at its pace.
 */
static void scene_refused_threads(void)
{
	struct group *top, *wall, *hostile, *mate, *neighbour;
	u64 locks = 0, foreign = 0, refused_locks = 0;
	bool hit[MAX_CPUS] = { };
	struct cost c;
	int i, round;

	world_begin(65);
	top = make(NULL);
	wall = make(top);
	hostile = make(wall);
	mate = make(wall);
	neighbour = make(top);
	on(64);
	charge(neighbour, 100);
	for (i = 0; i < 10; i++)
		pair(neighbour);
	on(0);
	charge(mate, 500);
	set_limit(wall, 1000);
	charge(hostile, 500);
	for (round = 0; round < 50; round++) {
		for (i = 0; i < 64; i++) {
			on(i);
			MEASURE(c, charge_as(hostile, 1, BC_BARRIER, round % 2));
			refused_locks += c.locks;
			hit[64] |= c.ipi[64];
			expect(!took_lock_of(&c, &neighbour->counter) &&
			       !took_lock_of(&c, &top->counter),
			       "a refusal takes the lock of a group beside or above");
		}
		if (drain_later)
			MEASURE(c, res_counter_drain(drain_later));
		drain_later = NULL;
		hit[64] |= c.ipi[64];
		on(64);
		for (i = 0; i < 20; i++) {
			MEASURE(c, pair(neighbour));
			locks += c.locks;
			foreign += c.foreign;
		}
	}
	say("64 refused: %.1f locks each; the neighbour: %llu locks, %llu lines in 1000",
	    (double)refused_locks / (50 * 64), (unsigned long long)locks,
	    (unsigned long long)foreign);
	expect(hostile->held == 500, "%llu units beyond the limit",
	       (unsigned long long)(hostile->held - 500));
	expect(!locks, "the neighbour takes %llu locks", (unsigned long long)locks);
	expect(!foreign, "the neighbour waits for %llu lines",
	       (unsigned long long)foreign);
	expect(!hit[64], "the neighbour's CPU gets IPIs");
	world_end();
	done("64 CPUs that are refused cost their neighbour nothing");
}

/*
 * Tasks of one group are refused by a limit that a neighbour has above it, too, on each
 * of 64 CPUs as often as the neighbour charges and uncharges @pairs times. What they
 * fetch of what it keeps it has to fetch from there again. Returns its steps.
 */
static u64 steps_beside_refusals(bool refusals, int pairs, u64 *locks)
{
	struct group *wall, *hostile, *neighbour;
	u64 steps = 0;
	struct cost c;
	int i, round;

	world_begin(65);
	wall = make(NULL);
	hostile = make(wall);
	neighbour = make(wall);
	on(64);
	set_limit(wall, 2000);
	charge(neighbour, 1000);
	on(0);
	charge(hostile, 1000);
	*locks = 0;
	for (round = 0; round < 60; round++) {
		for (i = 0; refusals && i < 64; i++) {
			on(i);
			if (charge_as(hostile, 1, BC_BARRIER, round % 2))
				die("a charge beyond the limit succeeds");
			on(0);
			if (drain_later)
				res_counter_drain(drain_later);
			drain_later = NULL;
		}
		on(64);
		for (i = 0; i < pairs; i++) {
			MEASURE(c, uncharge(neighbour, 1); charge(neighbour, 1));
			if (round < 10)
				continue;
			steps += c.steps;
			*locks += c.locks;
		}
	}
	world_end();
	return steps / (50 * pairs);
}

static void scene_refused_beside(void)
{
	static const struct {
		int	pairs;
		u64	percent;	/* of what it costs alone: at most */
	} paces[] = { { 20, 115 }, { 1, 400 } };
	u64 locks, more_locks, alone, beside;
	int i;

	for (i = 0; i < ARRAY_SIZE(paces); i++) {
		alone = steps_beside_refusals(false, paces[i].pairs, &locks);
		beside = steps_beside_refusals(true, paces[i].pairs, &more_locks);
		say("below the same limit, %d for each refusal: %llu steps, beside 64 refused %llu; locks %llu, %llu in %d",
		    paces[i].pairs, (unsigned long long)alone,
		    (unsigned long long)beside, (unsigned long long)locks,
		    (unsigned long long)more_locks, 50 * paces[i].pairs);
		expect(beside * 100 <= alone * paces[i].percent,
		       "%llu steps instead of %llu", (unsigned long long)beside,
		       (unsigned long long)alone);
	}
	done("a neighbour below the same limit as 64 CPUs that are refused goes there and back");
}

/* What grows with the depth grows in proportion to it. */

static u64 deep_refusal(int depth)
{
	struct group *top, *bottom;
	struct cost c;
	int i;

	world_begin(2);
	top = make(NULL);
	bottom = make_chain(top, depth - 1);
	charge(bottom, 1000);
	for (i = 0; i < 10; i++)
		pair(bottom);
	capacity_barrier = capacity_limit = atomic64_read(&root->usage);
	MEASURE(c, charge_as(bottom, 1000000, BC_BARRIER, true));
	say("depth %d:", depth);
	say_cost("a refusal by the machine", &c);
	world_end();
	return c.steps;
}

static u64 deep_charge(int depth)
{
	struct group *bottom;
	struct cost c, c2;

	world_begin(2);
	bottom = make_chain(make(NULL), depth - 1);
	MEASURE(c, charge(bottom, 100000));
	say("depth %d:", depth);
	say_cost("a charge of many units", &c);
	MEASURE(c2, uncharge(bottom, 100000));
	say_cost("an uncharge of many units", &c2);
	world_end();
	return c.steps + c2.steps;
}

static void scene_depth(void)
{
	u64 some = deep_charge(500), more = deep_charge(2000);

	expect(more <= 5 * some, "%llu steps at depth 2000, %llu at depth 500",
	       (unsigned long long)more, (unsigned long long)some);
	done("a charge at depth 2000 costs about four times that at depth 500");
	some = deep_refusal(500);
	more = deep_refusal(2000);
	expect(more <= 5 * some, "%llu steps at depth 2000, %llu at depth 500",
	       (unsigned long long)more, (unsigned long long)some);
	done("a refusal at depth 2000 costs about four times that at depth 500");
}

/* A refusal fetches what is in stock where there is some, and asks no other CPU. */
static void scene_ipis(void)
{
	struct group *top, *a, *b, *beside;
	struct cost c;
	int i, j, a_slots;

	world_begin(256);
	top = make(NULL);
	a = make(top);
	b = make(top);
	beside = make(NULL);
	charge(beside, 1000);
	charge(a, 400);
	set_limit(top, 2000);
	for (i = 0; i < 256; i++) {
		on(i);
		for (j = 0; j < 10; j++)
			pair(beside);
	}
	for (i = 10; i < 20; i++) {
		on(i);
		for (j = 0; j < 10; j++)
			pair(a);
	}
	a_slots = open_slots(a);
	expect(a_slots >= 8, "the group has %d slots", a_slots);
	on(0);
	/* To the last unit, wherever that is. */
	MEASURE(c, charge(b, 1600));
	say_cost("a charge of the last units", &c);
	expect(c.ipis <= (u64)a_slots + 1, "%llu IPIs for %d slots",
	       (unsigned long long)c.ipis, a_slots);
	for (i = 0; i < 256; i++)
		expect(!c.ipi[i] || (i >= 10 && i < 20), "an IPI to CPU %d", i);
	/* One CPU more may be next to them in a list. */
	expect(c.cpus <= (u64)a_slots + 1, "%llu CPUs' stock is looked at",
	       (unsigned long long)c.cpus);
	expect(open_slots(beside) == 256, "a group beside has lost slots");
	MEASURE(c, charge_as(b, 1, BC_BARRIER, true));
	expect(!c.ipis, "%llu IPIs when nothing is left", (unsigned long long)c.ipis);
	world_end();
	done("units in stock are fetched by IPIs to the CPUs that have some");
}

/* In a group near its limit, or whose parent is, nothing is fetched from anywhere. */
static void scene_near(bool parent)
{
	struct group *top, *wall, *a, *b;
	struct cost c, worst = { };
	u64 steps = 0;
	int i, round;

	world_begin(64);
	top = make(NULL);
	wall = make(top);
	a = make(wall);
	b = make(wall);
	charge(a, parent ? 2 : 18);
	if (parent)
		charge(b, 16);
	set_limit(parent ? wall : a, 20);
	for (round = 0; round < 40; round++)
		for (i = 0; i < 64; i++) {
			on(i);
			MEASURE(c, pair(a));
			if (round < 5)
				continue;
			cost_worse(&worst, &c);
			steps += c.steps;
			expect(!took_lock_of(&c, &top->counter),
			       "the lock of the group above the limit");
		}
	say("near the limit: %.0f steps each", (double)steps / (35 * 64));
	say_cost("the worst one", &worst);
	expect(!worst.ipis, "%llu IPIs", (unsigned long long)worst.ipis);
	expect(worst.steps <= BASE_STEPS, "%llu steps", (unsigned long long)worst.steps);
	world_end();
	done("a charge in a group %s limit sends no IPIs, and takes no lock above that",
	     parent ? "whose parent is near its" : "near its");
}

/* One CPU charges, another one uncharges. */
static void scene_other_cpu(void)
{
	struct group *top, *a;
	u64 locks = 0, above = 0, ipis = 0;
	struct cost c;
	int i, round;

	world_begin(2);
	top = make(NULL);
	a = make(top);
	charge(a, 400);
	for (round = 0; round < 200; round++) {
		on(0);
		for (i = 0; i < 32; i++) {
			MEASURE(c, charge(a, 1));
			if (round >= 50) {
				locks += c.locks;
				above += took_lock_of(&c, &top->counter);
				ipis += c.ipis;
			}
		}
		on(1);
		for (i = 0; i < 32; i++) {
			MEASURE(c, uncharge(a, 1));
			if (round >= 50) {
				locks += c.locks;
				above += took_lock_of(&c, &top->counter);
				ipis += c.ipis;
			}
		}
	}
	say("freed by another CPU: %llu locks in 9600, %llu of the group above",
	    (unsigned long long)locks, (unsigned long long)above);
	expect(locks <= 9600 / 8, "%llu locks in 9600", (unsigned long long)locks);
	expect(above <= 9600 / 100, "%llu locks of the group above in 9600",
	       (unsigned long long)above);
	expect(!ipis, "%llu IPIs", (unsigned long long)ipis);
	world_end();
	done("units charged on one CPU and uncharged on another go back in batches");
}

/* What all of it must have kept to. */
static void always(void)
{
	expect(total_worst.together == 1, "%llu at a time",
	       (unsigned long long)total_worst.together);
	done("no CPU holds two locks at a time");
	expect(!total_worst.useless_ipis, "%llu in one operation",
	       (unsigned long long)total_worst.useless_ipis);
	done("no CPU without stock gets an IPI");
}

int main(int argc, char **argv)
{
	stack_top = (char *)__builtin_frame_address(0) + 4096;
	verbose = argc > 1 && !strcmp(argv[1], "-v");
	matrix();
	scene_refusals();
	scene_hopeless();
	scene_guarantee();
	scene_neighbour();
	scene_turns(2, 0);
	scene_turns(16, 0);
	scene_turns(64, 4);
	scene_turns(500, 4);
	scene_two_cpus();
	scene_refused_threads();
	scene_refused_beside();
	scene_depth();
	scene_ipis();
	scene_near(false);
	scene_near(true);
	scene_other_cpu();
	always();
	printf("1..%d\n", tests);
	return failures != 0;
}
