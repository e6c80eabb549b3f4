// SPDX-License-Identifier: GPL-2.0
/*
 * The charge engine under fire
 *
 * kernel/bc/engine/, compiled as it is, run by threads that stand for CPUs, each with
 * its stocks: they charge and uncharge, by the fast paths first as the core does, and
 * are interrupted at any moment by signals that do so, too. There are more groups than
 * a CPU has slots; a unit that one CPU has charged another one may uncharge; units move
 * between groups. Meanwhile bounds move, units are reserved and given back, groups are
 * made and removed, CPUs go offline, and a workqueue drains what it is asked to. An
 * observer checks what must hold at every instant. Now and then all but the
 * administrator pause: then every number must be exactly what objects hold, each unit
 * must be in one place, and a charge that may block must fit to the last unit, although
 * others have credit and stock. At the end everything must be exactly zero, with every
 * owner freed.
 *
 * usage: hammer [SECONDS [SEED]]
 *
 * With an even seed there are forced charges, moves, limits below usage, and interrupts
 * that pass barriers. Then usage may be above a bound, which with an odd one it must
 * never be. Seeds differ by their second bit in size: bounds of some hundred units,
 * where a CPU keeps a handful, or of some ten thousand. And by their third bit: there
 * is too little for all, and something is always being drained; or there is plenty most
 * of the time, and CPUs have stock.
 *
 * What objects hold is counted here, too: by ghosts, one for each group and kept when
 * that is gone. They count a unit after it was charged and until before it is
 * uncharged, so that they never have more than the engine must have.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"
#include "threads.h"
#include <bc/res_counter.h>

#define RESOURCES	2
#define WORKERS		4
#define GROUPS		40	/* places for groups; a parent comes before its children */
#define OBJECTS		64	/* by worker */
#define SHARED		64	/* that CPUs pass to each other */
#define FULL		400	/* units that the machine has, times scale */
#define FOR_ALL		360	/* ... without privilege */

/* CPUs: the main thread is 0. */
enum { FIRST_WORKER = 1, ADMIN = FIRST_WORKER + WORKERS, OBSERVER, KWORKER };

/* @held: by objects of the group and of all below it; @own: of the group alone. */
struct ghost {
	u64			held[RESOURCES];
	u64			own[RESOURCES];
	struct res_owner	*owner[RESOURCES];
	bool			dead;		/* the group was removed */
	struct ghost		*parent;
	struct ghost		*all;
};

struct drain {
	struct drain		*next;
	struct res_counter	*counter;
	bool			queued;
};

struct group {
	struct res_counter	counter[RESOURCES];	/* freed with the group, after RCU */
	struct drain		drain[RESOURCES];
	struct group		*parent;
	struct ghost		*ghost;
	int			refs;
	struct rcu_head		rcu;
};

struct object {
	struct res_owner	*owner;
	u64			n;
	int			res;
	struct ghost		*ghost;
	bool			busy;		/* if shared: a CPU uses it */
};

static struct res_root root[RESOURCES];
static struct group *groups[GROUPS];
static int parent_of[GROUPS];
static struct ghost machine, *ghosts;
static pthread_mutex_t tree_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct object shared[SHARED];

static bool stop, stop_drains;
static bool quiet;		/* all but the administrator pause ... */
static int pausing;		/* ... and so many do */

static u64 made, freed, charges, fast, refusals, interrupts, removals, offline;
static u64 checks, quiets, moves, drains, rooms, crossings, kept;
static unsigned int seed = 2007, scale;
static bool wild, roomy;

static __thread unsigned int rnd;
static __thread unsigned int favourite;		/* the group charged most */
static __thread struct object by_irq[8];
static __thread struct object *by_task;
static __thread struct res_owner *kept_owner;
static __thread bool ended;			/* for interrupts */
static __thread bool exact;			/* no privileges, no second tries */

/* Counters to be drained, and whether a root is. */
static struct drain *to_drain;
static bool root_to_drain[RESOURCES];
static bool draining;

static void count(u64 *what)
{
	__atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

static void fail(const char *what)
{
	fprintf(stderr, "hammer: %s (seed %u)\n", what, seed);
	abort();
}

void shim_warn(const char *file, int line)
{
	fprintf(stderr, "hammer: warning at %s:%d (seed %u)\n", file, line, seed);
	abort();
}

/* The group at @i and all above it, and what CPUs have in stock, for us to look at. */
static void dump(int res, int i)
{
	int cpu, j, k;

	for (; i >= 0; i = parent_of[i]) {
		struct res_counter *c = &groups[i]->counter[res];

		fprintf(stderr, "%d: used %lld taken %lld given %lld inherited %lld reserved %lld barrier %lld limit %lld keep %lld closed %u state %d linked %d awaited %d, by objects %lld\n",
			i, (long long)c->used, (long long)c->taken,
			(long long)c->given, (long long)c->inherited,
			(long long)c->reserved, (long long)c->barrier,
			(long long)c->limit, (long long)c->keep, c->closed, c->state,
			c->linked, c->awaited, (long long)groups[i]->ghost->held[res]);
	}
	for_each_possible_cpu(cpu) {
		for (k = 0; k < RES_SLOTS; k++) {
			struct res_slot *slot = &per_cpu_ptr(root[res].stock, cpu)->slot[k];

			if (res_slot_closed(local_read(&slot->units)))
				continue;
			for (j = 0; j < GROUPS; j++)
				if (groups[j] && slot->owner == groups[j]->counter[res].owner)
					fprintf(stderr, "CPU %d: slot %d of %d: %ld of %lu\n",
						cpu, k, j, local_read(&slot->units),
						slot->cap);
		}
	}
	for (j = 0; j < GROUPS; j++) {
		struct res_counter *c = groups[j] ? &groups[j]->counter[res] : NULL;

		if (c && c->taken > max(c->used, c->reserved))
			fprintf(stderr, "%d, child of %d: used %lld taken %lld reserved %lld keep %lld linked %d\n",
				j, parent_of[j], (long long)c->used,
				(long long)c->taken, (long long)c->reserved,
				(long long)c->keep, c->linked);
	}
	fprintf(stderr, "the machine: usage %lld closed %d state %d, by objects %lld\n",
		(long long)atomic64_read(&root[res].usage),
		atomic_read(&root[res].closed), root[res].state,
		(long long)machine.held[res]);
}

static unsigned int below(unsigned int bound)
{
	rnd = rnd * 1664525 + 1013904223;
	return (rnd >> 8) % bound;
}

/* Callbacks */

/* What bounds are multiplied with. */
static u64 plenty(void)
{
	return roomy ? 8 * scale : scale;
}

static u64 capacity(struct res_root *r, enum bc_severity severity)
{
	return (severity < BC_LIMIT ? FOR_ALL : FULL) * plenty();
}

static bool privileged(void)
{
	if (exact || (!in_task() && !wild))
		return false;
	return below(2);
}

static bool limit_hit(const struct res_refusal *refusal, bool may_block)
{
	if (may_block) {
		might_sleep();
		sched_yield();
	}
	return !exact && below(4) == 0;
}

static void refused(const struct res_refusal *refusal)
{
	/* What we are handed must be there to be read. */
	if (!refusal->counter->root)
		fail("a refusal by no counter");
	if (refusal->usage + refusal->n <= refusal->bound)
		fail("a refusal where there is room");
	count(&refusals);
}

static void forced(const struct res_refusal *refusal)
{
	if (!refusal->counter->root)
		fail("forced in no counter");
	if (!wild)
		fail("forced without force");
}

static void owner_freed(struct res_root *r)
{
	count(&freed);
}

static void barrier_hit(struct res_counter *counter)
{
	if (!counter->root)
		fail("a barrier of no counter");
	count(&crossings);
}

static void room(struct res_root *r, struct res_counter *counter)
{
	if (counter && counter->root != r)
		fail("room in no counter");
	count(&rooms);
}

static void drain_later(struct res_root *r, struct res_counter *counter);
static bool tryget(struct res_counter *counter);
static void put(struct res_counter *counter);

static const struct res_counter_ops ops = {
	.capacity	= capacity,
	.privileged	= privileged,
	.barrier_hit	= barrier_hit,
	.limit_hit	= limit_hit,
	.refused	= refused,
	.forced		= forced,
	.room		= room,
	.drain_later	= drain_later,
	.owner_freed	= owner_freed,
	.tryget		= tryget,
	.put		= put,
};

/* Groups: their lifetime is cgroup core's. */

static bool group_get(struct group *g)
{
	int refs = READ_ONCE(g->refs);

	do {
		if (!refs)
			return false;
	} while (!__atomic_compare_exchange_n(&g->refs, &refs, refs + 1, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return true;
}

static void group_free(struct rcu_head *head)
{
	struct group *g = container_of(head, struct group, rcu);
	int r;

	for (r = 0; r < RESOURCES; r++)
		res_counter_destroy(&g->counter[r]);
	free(g);
}

static void group_put(struct group *g)
{
	while (g && !__atomic_sub_fetch(&g->refs, 1, __ATOMIC_ACQ_REL)) {
		struct group *parent = g->parent;

		call_rcu(&g->rcu, group_free);
		g = parent;
	}
}

static struct group *group_of(struct res_counter *counter)
{
	int r = counter->root - root;

	return container_of(counter - r, struct group, counter[0]);
}

static bool tryget(struct res_counter *counter)
{
	return group_get(group_of(counter));
}

static void put(struct res_counter *counter)
{
	group_put(group_of(counter));
}

/* The workqueue */

static void drain_later(struct res_root *r, struct res_counter *counter)
{
	struct drain *drain;

	if (!counter) {
		smp_store_release(&root_to_drain[r - root], true);
		return;
	}
	if (!group_get(group_of(counter)))
		return;
	/* As a work item: in memory that is there. */
	drain = &group_of(counter)->drain[r - root];
	if (xchg(&drain->queued, true)) {
		group_put(group_of(counter));
		return;
	}
	drain->counter = counter;
	drain->next = READ_ONCE(to_drain);
	while (!try_cmpxchg(&to_drain, &drain->next, drain))
		;
}

static void run_drains(void)
{
	struct drain *drain, *next;
	int r;

	smp_store_release(&draining, true);
	for (r = 0; r < RESOURCES; r++)
		if (READ_ONCE(root_to_drain[r]) && xchg(&root_to_drain[r], false)) {
			res_root_drain(&root[r]);
			count(&drains);
		}
	for (drain = xchg(&to_drain, NULL); drain; drain = next) {
		struct res_counter *counter = drain->counter;

		next = drain->next;
		smp_store_release(&drain->queued, false);
		res_counter_drain(counter);
		group_put(group_of(counter));
		count(&drains);
	}
	smp_store_release(&draining, false);
}

static bool drains_wait(void)
{
	int r;

	for (r = 0; r < RESOURCES; r++)
		if (READ_ONCE(root_to_drain[r]))
			return true;
	return READ_ONCE(to_drain);
}

/* All other CPUs pause: waits until the workqueue has nothing to do. */
static void wait_for_drains(void)
{
	while (!READ_ONCE(stop) &&
	       (drains_wait() || smp_load_acquire(&draining) || drains_wait()))
		shim_pause();
}

/* The group at place @i, with a reference, or NULL. */
static struct group *group_find(int i)
{
	struct group *g;

	rcu_read_lock();
	g = smp_load_acquire(&groups[i]);
	if (g && !group_get(g))
		g = NULL;
	rcu_read_unlock();
	return g;
}

/* Under tree_mutex, or before there are threads. */
static void make_group(int i)
{
	struct group *g = aligned_alloc(64, ALIGN(sizeof(*g), 64));
	struct ghost *ghost = calloc(1, sizeof(*ghost));
	int p = parent_of[i], r;

	memset(g, 0, sizeof(*g));
	g->refs = 1;
	g->parent = p < 0 ? NULL : groups[p];
	if (g->parent && !group_get(g->parent))
		fail("a parent without references");
	ghost->parent = p < 0 ? &machine : groups[p]->ghost;
	ghost->all = ghosts;
	ghosts = ghost;
	g->ghost = ghost;
	for (r = 0; r < RESOURCES; r++) {
		if (res_counter_init_twin(&g->counter[r],
					  p < 0 ? NULL : &groups[p]->counter[r],
					  &root[r],
					  r ? &g->counter[r - 1] : NULL))
			fail("no memory");
		ghost->owner[r] = g->counter[r].owner;
		count(&made);
	}
	smp_store_release(&groups[i], g);
}

static void remove_group(int i)
{
	struct group *g = groups[i];
	int r;

	smp_store_release(&groups[i], NULL);
	WRITE_ONCE(g->ghost->dead, true);
	for (r = 0; r < RESOURCES; r++)
		res_counter_remove(&g->counter[r]);
	count(&removals);
	group_put(g);
}

/* Charges */

/* What is noted of an object's units, where such things are. */
static unsigned int kind_of(const struct object *o)
{
	return (uintptr_t)o / sizeof(*o) % RES_KINDS;
}

static void note(struct res_root *r, struct res_owner *owner, unsigned int kind,
		 long n)
{
	if (!r->kinds)
		return;
	preempt_disable();
	res_stock_note(r->stock, owner, kind, n);
	preempt_enable();
}

static void hold_noted(struct object *o, int res, struct ghost *ghost,
		       struct res_owner *owner, u64 n)
{
	/* If the group was removed meanwhile, an ancestor was charged. */
	while (ghost != &machine && ghost->owner[res] != owner)
		ghost = ghost->parent;
	if (ghost == &machine)
		fail("a group elsewhere was charged");
	o->owner = owner;
	o->n = n;
	o->res = res;
	o->ghost = ghost;
	__atomic_fetch_add(&ghost->own[res], n, __ATOMIC_RELAXED);
	for (; ghost; ghost = ghost->parent)
		__atomic_fetch_add(&ghost->held[res], n, __ATOMIC_RELAXED);
}

static void ghost_sub(struct ghost *ghost, int res, u64 n)
{
	if (__atomic_fetch_sub(&ghost->own[res], n, __ATOMIC_RELAXED) < n)
		fail("a ghost is wrong");
	for (; ghost; ghost = ghost->parent)
		if (__atomic_fetch_sub(&ghost->held[res], n, __ATOMIC_RELAXED) < n)
			fail("a ghost is wrong");
}

static void hold(struct object *o, int res, struct ghost *ghost,
		 struct res_owner *owner, u64 n)
{
	hold_noted(o, res, ghost, owner, n);
	note(&root[res], owner, kind_of(o), n);
}

/* Some go back in two parts. */
static void release(struct object *o, u64 n)
{
	struct res_owner *owner = o->owner;
	struct res_root *r = &root[o->res];
	bool uncharged;

	ghost_sub(o->ghost, o->res, n);
	o->n -= n;
	if (!o->n)
		o->owner = NULL;

	preempt_disable();
	if (r->kinds)
		uncharged = res_stock_uncharge_kind(r->stock, owner, n, kind_of(o));
	else
		uncharged = res_stock_uncharge(r->stock, owner, n);
	preempt_enable();
	if (uncharged) {
		count(&fast);
		return;
	}
	if (r->kinds)
		res_counter_uncharge_kind(owner, n, kind_of(o));
	else
		res_counter_uncharge(owner, n);
}

/* Has another group charged for @o, by force. */
static void move(struct object *o, int i)
{
	struct group *g = group_find(i);
	struct res_owner *owner;

	if (!g)
		return;
	ghost_sub(o->ghost, o->res, o->n);
	owner = res_counter_move(o->owner, &g->counter[o->res], o->n);
	o->owner = NULL;
	if (owner)
		hold_noted(o, o->res, g->ghost, owner, o->n);
	count(&moves);
	group_put(g);
}

static enum bc_severity some_severity(void)
{
	if (wild && !below(50))
		return BC_FORCE;
	/* Interrupts cannot wait for stocks above a barrier to be recalled. */
	return in_task() || wild ? below(BC_LIMIT + 1) : BC_BARRIER;
}

static u64 some_units(void)
{
	return 1 + below(7) * (below(8) ? 1 : scale);
}

/* From this CPU's stock. */
static bool charge_fast(struct object *o, int res, int i, u64 n)
{
	struct res_owner *owner = NULL;
	struct ghost *ghost = NULL;
	bool charged = false;
	struct group *g;

	preempt_disable();
	g = smp_load_acquire(&groups[i]);
	if (g) {
		owner = READ_ONCE(g->counter[res].owner);
		ghost = g->ghost;
		if (root[res].kinds)
			charged = res_stock_charge_kind(root[res].stock, owner, n,
							kind_of(o));
		else
			charged = res_stock_charge(root[res].stock, owner, n);
	}
	preempt_enable();
	if (charged) {
		hold_noted(o, res, ghost, owner, n);
		count(&fast);
	}
	return charged;
}

static void charge_slowly(struct object *o, int res, int i, u64 n)
{
	struct res_owner *owner = NULL;
	struct ghost *ghost = NULL;
	struct group *g;

	rcu_read_lock();
	g = smp_load_acquire(&groups[i]);
	if (g) {
		ghost = g->ghost;
		owner = res_counter_try_charge(&g->counter[res], n);
		if (IS_ERR(owner) && group_get(g)) {
			rcu_read_unlock();
			owner = res_counter_charge(&g->counter[res], n,
						   some_severity(), in_task());
			group_put(g);
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
	if (!IS_ERR_OR_NULL(owner))
		hold(o, res, ghost, owner, n);
}

static void charge(struct object *o)
{
	int i = below(8) ? favourite : below(GROUPS);
	u64 n = some_units();
	int res = below(RESOURCES);

	count(&charges);
	if (!charge_fast(o, res, i, n))
		charge_slowly(o, res, i, n);
}

/* Something to do with @o, which is ours. */
static void use(struct object *o)
{
	if (o->owner)
		release(o, below(4) ? o->n : 1 + below(o->n));
	else
		charge(o);
}

static void use_shared(void)
{
	struct object *o = &shared[below(SHARED)];

	if (__atomic_exchange_n(&o->busy, true, __ATOMIC_ACQUIRE))
		return;
	use(o);
	smp_store_release(&o->busy, false);
}

static void interrupt(void)
{
	if (ended || smp_load_acquire(&quiet))
		return;
	count(&interrupts);
	if (below(8))
		use(&by_irq[below(8)]);
	else
		use_shared();
}

/* Waits until it is over, if all are to be quiet. */
static void keep_quiet(void)
{
	if (likely(!smp_load_acquire(&quiet)))
		return;
	__atomic_fetch_add(&pausing, 1, __ATOMIC_RELEASE);
	while (smp_load_acquire(&quiet))
		shim_pause();
	__atomic_fetch_sub(&pausing, 1, __ATOMIC_RELAXED);
}

/* On a CPU that is going offline. */
static void last_uses(void)
{
	int i;

	for (i = 0; by_task && i < 16; i++)
		use(&by_task[below(OBJECTS)]);
}

static void go_offline(void)
{
	shim_offline();
	usleep(50);
	shim_online();
	count(&offline);
}

/* As a controller whose objects hold owners and no units. */
static void keep_owner(int i, int res)
{
	struct res_owner *owner = NULL;
	struct group *g;

	rcu_read_lock();
	g = smp_load_acquire(&groups[i]);
	if (g)
		owner = READ_ONCE(g->counter[res].owner);
	if (owner && owner != RES_OWNER_REMOVED && !res_owner_tryget(owner))
		owner = NULL;
	if (kept_owner && res_owner_counter(kept_owner) &&
	    !res_owner_counter(kept_owner)->root)
		fail("an owner of no counter");
	rcu_read_unlock();
	if (owner == RES_OWNER_REMOVED)
		owner = NULL;
	if (kept_owner)
		res_owner_put(kept_owner);
	kept_owner = owner;
	count(&kept);
}

static void *worker(void *arg)
{
	struct object objects[OBJECTS] = { };
	long cpu = (long)arg;
	int i;

	shim_thread(cpu);
	rnd = seed + cpu;
	by_task = objects;
	while (!READ_ONCE(stop)) {
		struct object *o = &objects[below(OBJECTS)];

		keep_quiet();
		if (!below(256))
			favourite = below(GROUPS);
		if (!below(500)) {
			go_offline();
		} else if (!below(64)) {
			keep_owner(below(GROUPS), below(RESOURCES));
		} else if (wild && o->owner && !root[o->res].kinds && !below(16)) {
			move(o, below(GROUPS));
		} else if (below(4)) {
			use(o);
		} else {
			use_shared();
		}
	}

	/* For good: what interrupts have charged is returned here, too. */
	ended = true;
	by_task = NULL;
	barrier();
	for (i = 0; i < OBJECTS; i++)
		if (objects[i].owner)
			release(&objects[i], objects[i].n);
	for (i = 0; i < 8; i++)
		if (by_irq[i].owner)
			release(&by_irq[i], by_irq[i].n);
	if (kept_owner)
		res_owner_put(kept_owner);
	shim_offline();
	return NULL;
}

/*
 * What every number must be when all is quiet: what objects hold, and what that
 * takes out of the counters above.
 */
struct model {
	u64	usage[GROUPS];
	u64	root;
};

static u64 ghost_held(struct ghost *ghost, int res)
{
	return READ_ONCE(ghost->held[res]);
}

static void model_make(struct model *m, int res)
{
	int i;

	for (i = 0; i < GROUPS; i++)
		m->usage[i] = groups[i] ? ghost_held(groups[i]->ghost, res) : 0;
	m->root = ghost_held(&machine, res);
	/* A child takes more than its objects hold where that is reserved. */
	for (i = GROUPS - 1; i >= 0; i--) {
		u64 *up = parent_of[i] < 0 ? &m->root : &m->usage[parent_of[i]];

		if (groups[i])
			*up += max(m->usage[i], groups[i]->counter[res].reserved) -
			       ghost_held(groups[i]->ghost, res);
	}
}

static u64 barrier_in_force(int res, const struct res_counter *c)
{
	if (c->barrier == RES_BARRIER_DEFAULT && c->limit != RES_COUNTER_MAX)
		return c->limit - min(root[res].barrier_gap, c->limit / 4);
	return min(c->barrier, c->limit);
}

static bool model_fits(struct model *m, int res, int i, u64 n,
		       enum bc_severity severity)
{
	for (; i >= 0 && n; i = parent_of[i]) {
		struct res_counter *c = &groups[i]->counter[res];
		u64 barrier = barrier_in_force(res, c);
		u64 bound = severity <= BC_EARLY ? barrier : c->limit;

		if (severity == BC_LEND)
			bound = min(c->barrier, c->limit);
		if (severity == BC_HALFWAY)
			bound = barrier + (c->limit - barrier) / 2;
		if (severity == BC_EARLY && c->barrier == RES_BARRIER_DEFAULT)
			bound = barrier - (c->limit - barrier) / 2;

		if (m->usage[i] + n > bound)
			return false;
		n = max(m->usage[i] + n, c->reserved) -
		    max(m->usage[i], c->reserved);
	}
	return !n || m->root + n <= capacity(&root[res], severity);
}

/* The most that fits into the group at @i. */
static u64 model_room(struct model *m, int res, int i, enum bc_severity severity)
{
	u64 fits = 0, not = 2 * FULL * plenty();

	while (not - fits > 1) {
		u64 n = (fits + not) / 2;

		if (model_fits(m, res, i, n, severity))
			fits = n;
		else
			not = n;
	}
	return fits;
}

/* Units that CPUs have in stock of the group at @i. */
static u64 in_stock(int res, int i)
{
	u64 units = 0;
	int cpu, k;

	for_each_possible_cpu(cpu) {
		for (k = 0; k < RES_SLOTS; k++) {
			struct res_slot *slot = &per_cpu_ptr(root[res].stock, cpu)->slot[k];
			long n = local_read(&slot->units);

			if (slot->owner == groups[i]->counter[res].owner &&
			    !res_slot_closed(n))
				units += n;
		}
	}
	return units;
}

/* What can be said of a slot when its CPU does nothing. */
static void check_slots(int res, bool last)
{
	int cpu, i, k;

	for_each_possible_cpu(cpu) {
		for (k = 0; k < RES_SLOTS; k++) {
			struct res_slot *slot = &per_cpu_ptr(root[res].stock, cpu)->slot[k];
			long units = local_read(&slot->units);

			if (res_slot_closed(units)) {
				if (units != RES_SLOT_CLOSED)
					fail("quiet, and something was put into a closed slot");
				if (local_read(&slot->returned) ||
				    local_read(&slot->kinds[0]) ||
				    local_read(&slot->kinds[1]) ||
				    local_read(&slot->kinds[2]))
					fail("quiet, and something was not noted of a closed slot");
				continue;
			}
			if (last)
				fail("a slot is open at the end");
			/* Its cap may have been lowered since. */
			if (units < 0 || units > 3 * (long)root[res].batch_max) {
				fprintf(stderr, "CPU %d, slot %d: %ld of %lu\n", cpu, k,
					units, slot->cap);
				fail("quiet, and a slot has what it should not have");
			}
			if (!cpu_online(cpu))
				fail("a slot of a CPU that is offline");
			for (i = 0; i < GROUPS; i++)
				if (groups[i] && slot->owner == groups[i]->counter[res].owner)
					break;
			if (i == GROUPS)
				fail("a slot of a group that is not there");
		}
	}
}

/* The unit that a removed group's objects hold is that of an ancestor that is there. */
static u64 ghosts_left(struct ghost *ghost, int res)
{
	struct ghost *g, *live;
	u64 left = 0;

	for (g = ghosts; g; g = g->all) {
		if (!g->dead)
			continue;
		for (live = g; live && live->dead; live = live->parent)
			;
		if (live == ghost)
			left += READ_ONCE(g->own[res]);
	}
	return left;
}

/* Nothing is in flight, and no drain: each unit is in one place. */
static void check_places(int res, bool last)
{
	u64 taken[GROUPS] = { 0 }, lent[GROUPS] = { 0 }, pledged[GROUPS] = { 0 };
	u64 at_root = 0;
	int i;

	check_slots(res, last);
	for (i = GROUPS - 1; i >= 0; i--) {
		struct res_counter *c;
		struct ghost *ghost;
		const char *wrong = NULL;
		u64 stock;

		if (!groups[i])
			continue;
		c = &groups[i]->counter[res];
		ghost = groups[i]->ghost;
		stock = in_stock(res, i);
		if (c->given != taken[i])
			wrong = "given is not what the children have taken";
		if (c->used - c->given - c->inherited != ghost->own[res] + stock)
			wrong = "held is not what objects hold and CPUs have in stock";
		if (c->inherited != ghosts_left(ghost, res))
			wrong = "inherited is not what objects of removed groups hold";
		if (c->taken < max(c->used, c->reserved))
			wrong = "more used than taken";
		if (c->stats && c->stats->lent != lent[i])
			wrong = "lent is not what the children have reserved";
		if (c->pledged != pledged[i])
			wrong = "pledged is not what the children have and pledge";
		if (!c->linked && (stock || c->keep || !hlist_empty(&c->slots) ||
				   !hlist_empty(&c->active) ||
				   c->taken > max(c->used, c->reserved)))
			wrong = "something is kept where no drain finds it";
		if (c->closed != c->awaited)
			wrong = "closed for good";
		if (last && c->taken != max(c->used, c->reserved))
			wrong = "credit is left";
		if (last && (c->used != c->given || c->inherited))
			wrong = "units are left";
		if (wrong) {
			dump(res, i);
			fail(wrong);
		}
		if (parent_of[i] < 0) {
			at_root += c->taken;
		} else {
			taken[parent_of[i]] += c->taken;
			lent[parent_of[i]] += c->reserved;
			pledged[parent_of[i]] += max(c->pledged, c->reserved);
		}
	}
	if ((u64)atomic64_read(&root[res].usage) !=
	    at_root + ghosts_left(&machine, res))
		fail("quiet, and the root has not what the groups have taken");
	if (atomic_read(&root[res].closed) != root[res].awaited)
		fail("the root is closed for good");
}

static void check_exact(int res)
{
	struct model m;
	int i;

	wait_for_drains();
	if (READ_ONCE(stop))
		return;
	check_places(res, false);
	model_make(&m, res);
	for (i = 0; i < GROUPS; i++) {
		struct res_snapshot snap;

		if (!groups[i])
			continue;
		res_counter_read(&groups[i]->counter[res], &snap);
		if (snap.usage != m.usage[i]) {
			fprintf(stderr, "usage %lld, by objects %lld\n",
				(long long)snap.usage, (long long)m.usage[i]);
			dump(res, i);
			fail("quiet, and usage is not what objects hold");
		}
		if (snap.usage + snap.stocked != groups[i]->counter[res].used)
			fail("quiet, and usage and stock are not what is used");
		if (snap.held != groups[i]->ghost->own[res])
			fail("quiet, and held is not what objects hold");
		if (root[res].kinds &&
		    snap.kinds[0] + snap.kinds[1] + snap.kinds[2] !=
		    ghost_held(groups[i]->ghost, res))
			fail("quiet, and kinds are not what objects hold");
		if (root[res].kinds &&
		    snap.all_kinds != ghost_held(groups[i]->ghost, res))
			fail("quiet, and totals are not what objects hold");
	}
}

/* A charge of @n, and what is to come of it. */
static void expect(int place, int res, u64 n, enum bc_severity severity,
		   bool may_block, bool fits, struct object *o)
{
	struct group *g = groups[place];
	struct res_counter *c = &g->counter[res];
	struct res_owner *owner;

	owner = res_counter_charge(c, n, severity, may_block);
	if (!IS_ERR(owner) && !fits)
		fail("quiet, and a charge beyond the bound succeeds");
	if (IS_ERR(owner) && fits && may_block) {
		fprintf(stderr, "%llu units, severity %d\n", (unsigned long long)n,
			severity);
		dump(res, place);
		fail("quiet, and a charge that fits is refused");
	}
	if (IS_ERR(owner))
		return;
	if (owner != c->owner)
		fail("another group was charged");
	hold(o, res, g->ghost, owner, n);
}

/* Whether so much can be lent to the group at @i. */
static bool model_lends(struct model *m, int res, int i, u64 reserved)
{
	struct res_counter *c = &groups[i]->counter[res];
	u64 n = max(m->usage[i], reserved) - max(m->usage[i], c->reserved);

	/*
	 * A group above a barrier that was set lends nothing, not even what is in use
	 * already.
	 */
	while ((i = parent_of[i]) >= 0) {
		u64 usage = m->usage[i];

		c = &groups[i]->counter[res];
		if (usage + n > min(c->barrier, c->limit))
			return false;
		if (usage + n <= c->reserved)
			return true;
		n = max(usage + n, c->reserved) - max(usage, c->reserved);
	}
	return !n || m->root + n <= capacity(&root[res], BC_BARRIER);
}

/* Bounds and reservations that are just possible, and such as are not. */
static void expect_change(struct model *m, int res, int i)
{
	struct res_counter *c = &groups[i]->counter[res];
	u64 limit = c->limit, old = c->reserved, reserved = old;
	u64 not = 2 * FULL * plenty();
	struct res_refusal lacking;
	int err;

	if (m->usage[i] >= c->reserved && m->usage[i] >= c->pledged) {
		if (res_counter_set_limit(c, m->usage[i], true))
			fail("quiet, and no limit at usage");
		if (m->usage[i] && !res_counter_set_limit(c, m->usage[i] - 1, true))
			fail("quiet, and a limit below usage");
		if (res_counter_set_limit(c, limit, !wild))
			fail("quiet, and not the limit that there was");
	}

	/* All that can be lent, or one unit more; there is no reservation above a limit. */
	while (not - reserved > 1) {
		u64 n = (reserved + not) / 2;

		if (model_lends(m, res, i, n))
			reserved = n;
		else
			not = n;
	}
	reserved += below(2);
	if (reserved > limit || reserved == old)
		return;
	err = res_counter_set_reserved(c, reserved, RES_LIMIT_KEEP, &lacking);
	if (err && err != -ENOSPC && err != -EBUSY) {
		fprintf(stderr, "error %d, %llu to be reserved, limit %llu\n", err,
			(unsigned long long)reserved, (unsigned long long)limit);
		dump(res, i);
		fail("quiet, and a strange reason to lend nothing");
	}
	if (err != -EBUSY && !err != model_lends(m, res, i, reserved)) {
		fprintf(stderr, "%llu to be reserved\n", (unsigned long long)reserved);
		dump(res, i);
		fail(err ? "quiet, and what there is is not lent" :
			   "quiet, and lent what is not there");
	}
	/* All can be given back; what is in use follows when it is uncharged. */
	if (!err && below(2) &&
	    res_counter_set_reserved(c, old, RES_LIMIT_KEEP, &lacking))
		fail("quiet, and a reservation is not given back");
}

/* All others pause, with units in banks and in stock. */
static void check_quiet(void)
{
	struct object o = { }, one = { };
	int i, tries, res, times;

	WRITE_ONCE(exact, true);
	for (res = 0; res < RESOURCES; res++)
		check_exact(res);
	for (times = 0; times < 4; times++) {
		enum bc_severity severity = below(BC_LIMIT + 1);
		struct model m;
		u64 room;

		i = below(GROUPS);
		res = below(RESOURCES);
		if (!groups[i])
			continue;
		model_make(&m, res);
		room = model_room(&m, res, i, severity);
		switch (below(4)) {
		case 0:
			expect_change(&m, res, i);
			break;
		case 1:
			/* To the last unit, wherever that is kept. */
			if (room)
				expect(i, res, room, severity, true, true, &o);
			expect(i, res, 1, severity, true, false, &one);
			break;
		case 2:
			expect(i, res, room + 1, severity, true, false, &o);
			break;
		default:
			/* A charge that may not block has to be tried again. */
			for (tries = 0; room && !o.owner; tries++) {
				if (tries == 20000) {
					fprintf(stderr, "%llu units, severity %d\n",
						(unsigned long long)room, severity);
					dump(res, i);
					fail("quiet, and what is kept is never drained");
				}
				/* The workqueue may stand still for a while. */
				if (tries) {
					shim_pause();
					wait_for_drains();
				}
				expect(i, res, room, severity, false, true, &o);
			}
		}
		check_exact(res);
		if (o.owner)
			release(&o, o.n);
		check_exact(res);
	}
	WRITE_ONCE(exact, false);
	count(&quiets);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static void change(int i)
{
	struct group *g = groups[i];
	struct res_counter *c = &g->counter[below(RESOURCES)];
	struct res_refusal lacking;
	u64 usage;
	int j;

	switch (below(20)) {
	case 0:
	case 1:
		for (j = i + 1; j < GROUPS; j++)
			if (parent_of[j] == i && groups[j])
				break;
		if (j == GROUPS)
			remove_group(i);
		break;
	case 2:
	case 3:
	case 4:
		if (res_counter_set_limit(c, below(120) * plenty(), !wild))
			break;
		break;
	case 5:
		if (res_counter_set_limit(c, RES_COUNTER_MAX, true))
			fail("no limit was refused");
		break;
	case 6:
	case 7:
		if (res_counter_set_barrier(c, below(120) * plenty()))
			fail("a barrier was refused");
		break;
	case 8:
		if (res_counter_set_barrier(c, RES_COUNTER_MAX))
			fail("no barrier was refused");
		break;
	case 9:
		res_counter_reset(c, below(16));
		break;
	case 10:
		res_counter_restart_max(c, &usage);
		if (usage > FULL * plenty() && !wild)
			fail("more used than there is");
		break;
	case 11:
		res_counter_reserve_upto(c, below(30) * scale,
					 below(16) ? RES_LIMIT_KEEP : RES_LIMIT_WALL);
		break;
	case 12:
		res_counter_await_room(c);
		break;
	case 13:
		if (!below(8))
			res_root_await_room(c->root);
		break;
	case 14:
		res_counter_drain(c);
		break;
	case 15:
		if (!below(8))
			res_root_drain(c->root);
		break;
	default:
		if (res_counter_set_reserved(c, below(30) * scale,
					     below(16) ? RES_LIMIT_KEEP : RES_LIMIT_WALL,
					     &lacking))
			break;
		break;
	}
}

/* The administrator: bounds, loans, groups. */
static void *admin(void *arg)
{
	double next = now();

	shim_thread((long)arg);
	ended = true;
	rnd = seed + (long)arg;
	while (!READ_ONCE(stop)) {
		int i = below(GROUPS);

		shim_mutex_lock(&tree_mutex);
		if (groups[i])
			change(i);
		else if (parent_of[i] < 0 || groups[parent_of[i]])
			make_group(i);
		pthread_mutex_unlock(&tree_mutex);

		/* With so much change nothing lasts: a pause is no loss. */
		if (roomy || !below(8))
			shim_pause();
		if (now() < next)
			continue;
		next = now() + 0.05;
		smp_store_release(&quiet, true);
		while (__atomic_load_n(&pausing, __ATOMIC_ACQUIRE) < WORKERS + 1 &&
		       !READ_ONCE(stop))
			shim_pause();
		if (!READ_ONCE(stop))
			check_quiet();
		smp_store_release(&quiet, false);
		while (READ_ONCE(pausing) && !READ_ONCE(stop))
			shim_pause();
	}
	shim_offline();
	return NULL;
}

/*
 * What holds at every instant, under a counter's own lock: it has taken what it has
 * given away, that is within its limit, and objects hold no more.
 */
static void check_counter(int res, int i)
{
	struct res_counter *c = &groups[i]->counter[res];
	const char *wrong = NULL;
	unsigned long flags;
	u64 held;

	raw_spin_lock_irqsave(&c->lock, flags);
	held = ghost_held(groups[i]->ghost, res);
	if (c->taken < max(c->used, c->reserved))
		wrong = "invariant 1: more used than taken";
	if (c->used < c->given || c->used - c->given < c->inherited)
		wrong = "invariant 1: more given than used";
	if (c->used > c->limit && !wild)
		wrong = "invariant 2: used above the limit";
	if (held > c->used)
		wrong = "invariant 1: objects hold more than is used";
	if (c->reserved > c->limit)
		wrong = "invariant 6: more reserved than allowed";
	if (c->pledged > c->limit)
		wrong = "invariant 6: more pledged than allowed";
	raw_spin_unlock_irqrestore(&c->lock, flags);
	if (wrong) {
		dump(res, i);
		fail(wrong);
	}
}

/* Under tree_mutex. */
static void check(void)
{
	int i, r;

	for (r = 0; r < RESOURCES; r++) {
		for (i = 0; i < GROUPS; i++)
			if (groups[i])
				check_counter(r, i);
		if (atomic64_read(&root[r].usage) > FULL * plenty() && !wild)
			fail("invariant 2: more than the machine has");
		if (atomic64_read(&root[r].usage) < 0)
			fail("invariant 5: less than nothing");
	}
	count(&checks);
}

/* Without a lock of ours. */
static void check_snapshot(void)
{
	struct group *g = group_find(below(GROUPS));
	struct res_snapshot snap;

	if (!g)
		return;
	res_counter_read(&g->counter[below(RESOURCES)], &snap);
	if (snap.usage + snap.stocked > FULL * plenty() && !wild)
		fail("a snapshot of more than there is");
	if (snap.usage > RES_COUNTER_MAX / 2 || snap.stocked > RES_COUNTER_MAX / 2 ||
	    snap.held > RES_COUNTER_MAX / 2 || snap.inherited > RES_COUNTER_MAX / 2 ||
	    snap.charged > RES_COUNTER_MAX / 2 ||
	    snap.uncharged > RES_COUNTER_MAX / 2) {
		fprintf(stderr, "usage %lld stocked %lld held %lld inherited %lld charged %lld uncharged %lld\n",
			(long long)snap.usage, (long long)snap.stocked,
			(long long)snap.held, (long long)snap.inherited,
			(long long)snap.charged, (long long)snap.uncharged);
		fail("a snapshot of less than nothing");
	}
	group_put(g);
}

static void *observer(void *arg)
{
	int i;

	shim_thread((long)arg);
	ended = true;
	rnd = seed + (long)arg;
	while (!READ_ONCE(stop)) {
		keep_quiet();
		shim_mutex_lock(&tree_mutex);
		check();
		pthread_mutex_unlock(&tree_mutex);
		for (i = 0; i < 4; i++)
			check_snapshot();
		shim_reclaim();
		for (i = 0; i < 4 * WORKERS; i++)
			shim_interrupt(FIRST_WORKER + below(WORKERS));
		shim_pause();
	}
	shim_offline();
	return NULL;
}

static void *kworker(void *arg)
{
	shim_thread((long)arg);
	ended = true;
	rnd = seed + (long)arg;
	while (!READ_ONCE(stop_drains)) {
		run_drains();
		shim_pause();
	}
	run_drains();
	shim_offline();
	return NULL;
}

/* What the core does on a CPU that goes offline. */
static void teardown(void)
{
	int r;

	for (r = 0; r < RESOURCES; r++)
		res_root_cpu_offline(&root[r]);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 5;
	pthread_t workers[WORKERS], others[3];
	double end;
	int r;
	long i;

	if (argc > 2)
		seed = atoi(argv[2]);
	rnd = seed;
	ended = true;
	wild = seed % 2 == 0;
	scale = seed & 2 ? 32 : 1;
	roomy = seed & 4;
	shim_init();
	shim_device = interrupt;
	shim_teardown = teardown;
	shim_last = last_uses;
	for (r = 0; r < RESOURCES; r++) {
		root[r].plain = !r;
		/* Of the other one, a barrier that was not set is none. */
		root[r].barrier_gap = r ? 0 : 16 * scale;
		/* One that tells kinds apart, and takes more than it needs. */
		if (r == RESOURCES - 1) {
			root[r].kinds = RES_KINDS;
			root[r].batch_min = 2 * scale;
			root[r].batch_max = 16 * scale;
		}
		if (res_root_init(&root[r], &ops))
			fail("no memory");
	}
	for (i = 0; i < GROUPS; i++) {
		parent_of[i] = (int)below(i + 1) - 1;
		make_group(i);
	}

	for (i = 0; i < WORKERS; i++)
		pthread_create(&workers[i], NULL, worker,
			       (void *)(FIRST_WORKER + i));
	pthread_create(&others[0], NULL, admin, (void *)ADMIN);
	pthread_create(&others[1], NULL, observer, (void *)OBSERVER);
	pthread_create(&others[2], NULL, kworker, (void *)KWORKER);
	for (end = now() + seconds; now() < end; )
		shim_pause();
	WRITE_ONCE(stop, true);
	/* Then the workqueue: a charge may wait for it. */
	for (i = 0; i < 2; i++)
		pthread_join(others[i], NULL);
	for (i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);

	WRITE_ONCE(stop_drains, true);
	pthread_join(others[2], NULL);

	for (i = 0; i < SHARED; i++)
		if (shared[i].owner)
			release(&shared[i], shared[i].n);
	run_drains();
	check();
	/* What is covered by a reservation is drained with the group that has it. */
	for (i = 0; i < GROUPS; i++)
		for (r = 0; groups[i] && r < RESOURCES; r++)
			res_counter_drain(&groups[i]->counter[r]);
	for (r = 0; r < RESOURCES; r++) {
		res_root_drain(&root[r]);
		check_places(r, true);
	}
	for (i = GROUPS - 1; i >= 0; i--)
		if (groups[i])
			remove_group(i);
	for (r = 0; r < RESOURCES; r++) {
		if (atomic64_read(&root[r].usage))
			fail("invariant 5: the root has something left");
		if (machine.held[r])
			fail("a ghost is left");
		res_root_exit(&root[r]);
	}
	if (freed != made) {
		fprintf(stderr, "%llu owners made, %llu freed\n",
			(unsigned long long)made, (unsigned long long)freed);
		fail("owners were freed twice, or never");
	}
	shim_reclaim();
	while (ghosts) {
		struct ghost *next = ghosts->all;

		free(ghosts);
		ghosts = next;
	}
	printf("%llu charges (%llu refused), %llu charges and uncharges by stock, "
	       "%llu interrupts (%llu within a fast path) besides %llu by other CPUs, "
	       "%llu moved, %llu groups removed, %llu times offline, %llu drains, %llu times room, "
	       "%llu barriers crossed, %llu owners kept, %llu times quiet, %llu checks: "
	       "all invariants held\n",
	       (unsigned long long)charges, (unsigned long long)refusals,
	       (unsigned long long)fast, (unsigned long long)interrupts,
	       (unsigned long long)shim_interrupted,
	       (unsigned long long)(shim_interrupts - interrupts),
	       (unsigned long long)moves, (unsigned long long)removals,
	       (unsigned long long)offline, (unsigned long long)drains,
	       (unsigned long long)rooms, (unsigned long long)crossings,
	       (unsigned long long)kept,
	       (unsigned long long)quiets, (unsigned long long)checks);
	return 0;
}
