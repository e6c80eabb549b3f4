// SPDX-License-Identifier: GPL-2.0
/*
 * Each operation on each machine, from the smallest to the greatest; see sim.c.
 *
 * A machine has a chain of groups; in the last but one are the group that is operated
 * on, which has units in stock on all CPUs, a neighbour, and siblings that have units
 * kept, in stock on some CPU where there is room for that.
 */
#include "sim.h"

struct machine {
	const char	*name;
	int		cpus, siblings, depth;
	struct group	*top, *parent, *group, *neighbour, *idle;
	struct group	*sibling;		/* one of them */
	struct group	*evil[2];		/* that use the same slot */
	struct group	*siblings_end;
};

static struct machine machines[] = {
	{ "1 CPU, 1 sibling, depth 2", 1, 1, 2 },
	{ "256 CPUs, 1 sibling, depth 2", 256, 1, 2 },
	{ "1 CPU, 10000 siblings, depth 2", 1, 10000, 2 },
	{ "1 CPU, 1 sibling, depth 2000", 1, 1, 2000 },
	{ "256 CPUs, 10000 siblings, depth 2", 256, 10000, 2 },
	{ "256 CPUs, 100 siblings, depth 2000", 256, 100, 2000 },
};

static void machine_begin(struct machine *m)
{
	int i;

	world_begin(m->cpus);
	m->top = make(NULL);
	m->parent = make_chain(m->top, m->depth - 2);
	m->group = make(m->parent);
	m->evil[0] = make(m->parent);
	m->idle = make(m->parent);
	m->neighbour = make(m->parent);
	/* Owners side by side: the sixteenth from here has the same slot. */
	for (i = 0; i < RES_SLOTS - 3; i++)
		m->sibling = make(m->parent);
	m->evil[1] = make(m->parent);
	charge(m->group, 1000);
	charge(m->neighbour, 1000);
	for (i = 0; i < m->siblings; i++) {
		m->sibling = make(m->parent);
		on(i % m->cpus);
		charge(m->sibling, 100);
	}
	m->siblings_end = m->evil[1];
	m->sibling = groups;
}

/* All are at work: they have units in banks and in stock, as far as bounds allow. */
static void activity(struct machine *m)
{
	struct group *g;
	int i, j;

	for (i = 0, g = m->sibling; g != m->siblings_end; i++, g = g->next) {
		on(i % m->cpus);
		pair(g);
	}
	for (i = 0; i < m->cpus; i++) {
		on(i);
		for (j = 0; j < 4; j++)
			pair(m->group);
	}
	on(0);
	for (j = 0; j < 4; j++)
		pair(m->neighbour);
}

struct operation {
	const char	*name;
	/* Not measured: what is there before. */
	void		(*prepare)(struct machine *m);
	void		(*run)(struct machine *m);
	void		(*restore)(struct machine *m);
	/* The group below which units kept matter; NULL: they do not. */
	struct group	*(*below)(struct machine *m);
	int		levels;		/* how often the levels count; 0: not at all */
	bool		constant;	/* in all the same on all machines */
	/* What is read: there are no IPIs, and no locks beside or above this. */
	struct group	*(*reads)(struct machine *m);
	bool		many;		/* of what must be constant there are RES_SLOTS */
};

static struct group *the_group(struct machine *m) { return m->group; }
static struct group *the_idle(struct machine *m) { return m->idle; }
static struct group *the_parent(struct machine *m) { return m->parent; }
static struct group *the_top(struct machine *m) { return m->top; }
/* All. */
static struct group *the_root(struct machine *m) { return NULL; }

static struct group *fresh;
static struct res_owner *moved;
static struct res_snapshot snap;

static void op_charge(struct machine *m) { charge(m->group, 1); }
static void op_uncharge(struct machine *m) { uncharge(m->group, 1); }
static void op_charge_many(struct machine *m) { charge(m->group, 5000); }
static void op_uncharge_many(struct machine *m) { uncharge(m->group, 5000); }

static void set_fresh(struct machine *m)
{
	fresh = make(m->parent);
}

static void set_fresh_used(struct machine *m)
{
	set_fresh(m);
	charge(fresh, 100);
}

static void op_fresh(struct machine *m) { charge(fresh, 100); }

static void end_fresh(struct machine *m)
{
	if (fresh->held)
		uncharge(fresh, fresh->held);
	if (!fresh->removed)
		remove_group(fresh);
}

static void op_force(struct machine *m)
{
	if (!charge_as(fresh, 1000, BC_FORCE, false))
		die("a forced charge is refused");
}

static void set_fresh_barrier(struct machine *m)
{
	set_fresh_used(m);
	set_barrier(fresh, fresh->held + 10);
}

static void op_cross(struct machine *m)
{
	if (!charge_as(fresh, 20, BC_LIMIT, true))
		die("a charge beyond the barrier is refused");
}

static void op_evict(struct machine *m)
{
	int i;

	for (i = 0; i < 8; i++)
		charge(m->evil[0], 1);
	for (i = 0; i < 8; i++)
		charge(m->evil[1], 1);
}

static void end_evict(struct machine *m)
{
	uncharge(m->evil[0], m->evil[0]->held);
	uncharge(m->evil[1], m->evil[1]->held);
}

static void set_other_cpu(struct machine *m) { on(m->cpus - 1); }
static void end_other_cpu(struct machine *m) { on(0); }

static void read_group(struct machine *m) { res_counter_read(&m->group->counter, &snap); }
static void read_idle(struct machine *m) { res_counter_read(&m->idle->counter, &snap); }
static void read_parent(struct machine *m) { res_counter_read(&m->parent->counter, &snap); }
static void read_top(struct machine *m) { res_counter_read(&m->top->counter, &snap); }
static void read_bounds(struct machine *m) { user_read_bounds(&m->group->counter); }

/*
 * A limit at what is given away: part of that is kept in banks and in stock, and can be
 * had by a charge that may block. One more is asked for than there is.
 */

static u64 asked;

static u64 stocked(struct group *g)
{
	struct res_snapshot snap;

	res_counter_read(&g->counter, &snap);
	return snap.stocked;
}

static void set_full(struct machine *m)
{
	set_limit(m->group, m->group->counter.used);
	asked = stocked(m->group) + 1;
}

static void set_parent_full(struct machine *m)
{
	set_limit(m->parent, m->parent->counter.used);
	asked = stocked(m->parent) + 1;
}

static void set_parent_nearly_full(struct machine *m)
{
	set_parent_full(m);
	asked--;
}

static void refuse(struct machine *m, u64 n, bool may_block)
{
	if (charge_as(m->group, n, BC_BARRIER, may_block))
		die("a charge beyond the limit succeeds");
}

static void op_refuse(struct machine *m) { refuse(m, asked, true); }
static void op_refuse_atomic(struct machine *m) { refuse(m, asked, false); }
static void op_refuse_hopeless(struct machine *m) { refuse(m, 1000000000, true); }

static void op_charge_last(struct machine *m)
{
	if (asked)
		charge(m->group, asked);
}

static void end_full(struct machine *m);

static void end_charge_last(struct machine *m)
{
	uncharge(m->group, asked);
	end_full(m);
}

static void set_parent_full_again(struct machine *m)
{
	set_parent_full(m);
	refuse(m, asked, true);
	refuse(m, asked, true);
}

static void end_full(struct machine *m)
{
	set_limit(m->group, RES_COUNTER_MAX);
	set_limit(m->parent, RES_COUNTER_MAX);
	capacity_barrier = capacity_limit = RES_COUNTER_MAX;
	if (drain_later)
		res_counter_drain(drain_later);
	if (drain_root_later)
		res_root_drain(root);
	drain_later = NULL;
	drain_root_later = false;
}

static void set_machine_full(struct machine *m)
{
	capacity_barrier = capacity_limit = atomic64_read(&root->usage);
	asked = stocked(m->top) + 1;
	if (m->top->counter.taken > m->top->counter.used)
		asked += m->top->counter.taken - m->top->counter.used;
}

static void set_machine_full_again(struct machine *m)
{
	set_machine_full(m);
	refuse(m, asked, true);
	refuse(m, asked, true);
}

static void op_reset(struct machine *m)
{
	res_counter_reset(&m->group->counter, RES_RESET_MAX | RES_RESET_MIN |
					      RES_RESET_TOTALS | RES_RESET_FAILCNT);
}

static void op_reset_failcnt(struct machine *m)
{
	res_counter_reset(&m->parent->counter, RES_RESET_FAILCNT);
}

static void op_restart_max(struct machine *m)
{
	u64 usage;

	res_counter_restart_max(&m->group->counter, &usage);
}

static void op_set_limit(struct machine *m) { set_limit(m->group, 1000000); }
static void op_set_limit_parent(struct machine *m) { set_limit(m->parent, 100000000); }
static void op_lower_parent(struct machine *m) { set_limit(m->parent, m->group->held); }
static void op_reserve(struct machine *m) { set_reserved(m->group, 20000); }
static void op_unreserve(struct machine *m) { set_reserved(m->group, 0); }

static void op_move(struct machine *m)
{
	moved = res_counter_move(m->group->owner, &m->neighbour->counter, 500);
}

static void end_move(struct machine *m)
{
	if (moved != m->neighbour->owner)
		die("moved elsewhere");
	m->group->held -= 500;
	m->neighbour->held += 500;
}

static void op_remove(struct machine *m) { remove_group(fresh); }

static void set_group_removed(struct machine *m)
{
	set_fresh_used(m);
	remove_group(fresh);
}

static void op_uncharge_removed(struct machine *m) { uncharge(fresh, fresh->held); }

static void op_await(struct machine *m)
{
	res_counter_await_room(&m->parent->counter);
}

static void op_offline(struct machine *m)
{
	unsigned long flags;

	/* The last CPU: it stays online here, so that it is used again. */
	local_irq_save(flags);
	res_root_cpu_offline(root);
	local_irq_restore(flags);
}

/* The group's removal is last: nothing is as it was after that. */
static const struct operation operations[] = {
	{ "a charge from stock", NULL, op_charge, .constant = true },
	{ "an uncharge to stock", NULL, op_uncharge, .constant = true },
	{ "a charge of many units", NULL, op_charge_many, .levels = 1 },
	{ "an uncharge of many units", NULL, op_uncharge_many, .levels = 1 },
	{ "a group's first charge", set_fresh, op_fresh, end_fresh, .levels = 1 },
	{ "a forced charge", set_fresh, op_force, end_fresh, .levels = 1 },
	{ "a charge that crosses the barrier", set_fresh_barrier, op_cross, end_fresh,
	  .levels = 1 },
	{ "charges of groups that use the same slot", NULL, op_evict, end_evict,
	  .levels = 16 },
	{ "an uncharge on another CPU", set_other_cpu, op_uncharge, end_other_cpu,
	  .levels = 1 },
	{ "reading a group", NULL, read_group, .below = the_group, .reads = the_group },
	{ "reading an idle group", NULL, read_idle, .constant = true,
	  .reads = the_idle },
	{ "reading the parent", NULL, read_parent, .below = the_parent,
	  .reads = the_parent },
	{ "reading the uppermost group", NULL, read_top, .below = the_top,
	  .reads = the_top },
	{ "reading a group's bounds", NULL, read_bounds, .constant = true,
	  .reads = the_group },
	{ "a refusal by the group", set_full, op_refuse, end_full,
	  .below = the_group, .levels = 1 },
	{ "a refusal by the parent", set_parent_full, op_refuse, end_full,
	  .below = the_parent, .levels = 1 },
	{ "the third refusal by the parent", set_parent_full_again, op_refuse,
	  end_full, .levels = 1 },
	{ "a charge of the last units in the parent", set_parent_nearly_full,
	  op_charge_last, end_charge_last, .below = the_parent, .levels = 1 },
	{ "a refusal by the parent of more than ever fits", set_parent_full,
	  op_refuse_hopeless, end_full, .below = the_parent, .levels = 1 },
	{ "a refusal by the parent, not blocking", set_parent_full, op_refuse_atomic,
	  end_full, .levels = 1 },
	/* Up, and down again in the drain. */
	{ "a refusal by the machine", set_machine_full, op_refuse, end_full,
	  .below = the_root, .levels = 2 },
	{ "the third refusal by the machine", set_machine_full_again, op_refuse,
	  end_full, .levels = 2 },
	{ "a refusal by the machine, not blocking", set_machine_full,
	  op_refuse_atomic, end_full, .levels = 1 },
	{ "resetting a group's extremes and totals", NULL, op_reset,
	  .below = the_group },
	{ "resetting the parent's failcnt", NULL, op_reset_failcnt, .constant = true },
	{ "restarting a group's maximum", NULL, op_restart_max, .below = the_group },
	{ "setting a group's limit", NULL, op_set_limit, .below = the_group,
	  .levels = 1 },
	{ "raising the parent's limit", NULL, op_set_limit_parent,
	  .below = the_parent, .levels = 1 },
	{ "lowering the parent's limit", NULL, op_lower_parent, end_full,
	  .below = the_parent, .levels = 1 },
	{ "reserving units", NULL, op_reserve, .below = the_parent, .levels = 1 },
	{ "giving a reservation back", NULL, op_unreserve, .below = the_group,
	  .levels = 1 },
	{ "moving units to a neighbour", NULL, op_move, end_move, .levels = 1 },
	{ "removing a group with units", set_fresh_used, op_remove, end_fresh,
	  .levels = 1 },
	{ "an uncharge for a group that was removed", set_group_removed,
	  op_uncharge_removed, end_fresh, .levels = 1 },
	{ "waiting for room in the parent", NULL, op_await, .below = the_parent,
	  .levels = 1 },
	{ "a CPU goes offline", NULL, op_offline, .levels = RES_SLOTS, .many = true },
};

void matrix(void)
{
	static struct {
		struct cost	cost;
		u64		kept;
		u64		beside;
	} result[ARRAY_SIZE(operations)][ARRAY_SIZE(machines)];
	int i, j;

	for (j = 0; j < ARRAY_SIZE(machines); j++) {
		struct machine *m = &machines[j];

		say("%s", m->name);
		machine_begin(m);
		for (i = 0; i < ARRAY_SIZE(operations); i++) {
			const struct operation *op = &operations[i];

			activity(m);
			if (op->prepare)
				op->prepare(m);
			if (op->below)
				result[i][j].kept = kept_below(op->below(m));
			MEASURE(result[i][j].cost, op->run(m));
			say_cost(op->name, &result[i][j].cost);
			if (op->reads)
				result[i][j].beside = locks_beside(&result[i][j].cost,
								   op->reads(m));
			if (op->restore)
				op->restore(m);
		}
		world_end();
	}

	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		const struct operation *op = &operations[i];
		u64 most = HOLD_STEPS * (op->many ? RES_SLOTS : 1), least = U64_MAX;

		for (j = 0; j < ARRAY_SIZE(machines); j++) {
			const struct machine *m = &machines[j];
			const struct cost *c = &result[i][j].cost, *c0 = &result[i][0].cost;
			u64 bound = BASE_STEPS + op->levels * m->depth * LEVEL_STEPS +
				    result[i][j].kept *
				    (op->reads ? READ_STEPS : KEPT_STEPS);

			least = min(least, c->steps);
			expect(c->hold <= most, "%llu steps under a lock, bound %llu: %s",
			       (unsigned long long)c->hold, (unsigned long long)most,
			       m->name);
			expect(c->irqs_off <= most,
			       "%llu steps with interrupts off, bound %llu: %s",
			       (unsigned long long)c->irqs_off, (unsigned long long)most,
			       m->name);
			if (op->constant)
				expect(c->steps <= c0->steps + c0->steps / 4 + 20,
				       "%llu steps, on the smallest machine %llu: %s",
				       (unsigned long long)c->steps,
				       (unsigned long long)c0->steps, m->name);
			expect(c->steps <= bound,
			       "%llu steps, bound %llu (kept below: %llu): %s",
			       (unsigned long long)c->steps, (unsigned long long)bound,
			       (unsigned long long)result[i][j].kept, m->name);
			expect(c->ipis <= result[i][j].kept + 1,
			       "%llu IPIs, but %llu groups and slots with units: %s",
			       (unsigned long long)c->ipis,
			       (unsigned long long)result[i][j].kept, m->name);
			if (!op->reads)
				continue;
			expect(!c->ipis, "%llu IPIs: %s", (unsigned long long)c->ipis,
			       m->name);
			expect(!result[i][j].beside,
			       "%llu locks of groups beside or above: %s",
			       (unsigned long long)result[i][j].beside, m->name);
		}
		done("%s", op->name);
	}
}
