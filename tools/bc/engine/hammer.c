// SPDX-License-Identifier: GPL-2.0
/*
 * The charge engine under fire
 *
 * kernel/bc/res_counter.c, compiled as it is, run by threads that stand for CPUs,
 * each with its stocks: they charge and uncharge, by the fast paths first as the
 * core does, and are interrupted at any moment by signals that do so, too; they
 * move bounds, borrow, repay, make and remove groups, and go offline. An observer
 * checks the invariants all the while. Now and then all but one pause: then every
 * number must be exactly what objects hold, and a charge must fit to the last unit
 * although there are stocks on the other CPUs. At the end everything must be
 * exactly zero, with every owner freed.
 *
 * usage: hammer [SECONDS [SEED]]
 *
 * With an even seed there are forced charges, limits below usage, and interrupts
 * that pass barriers. Then usage may be above a bound, which with an odd one it must
 * never be. Seeds differ by their second bit in size: bounds of some hundred units,
 * where a CPU keeps a handful, or of some ten thousand.
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
#define GROUPS		24	/* places for groups; a parent comes before its children */
#define OBJECTS		64	/* by worker */
#define SHARED		64	/* that CPUs pass to each other */
#define FULL		400	/* units that the machine has, times scale */
#define FOR_ALL		360	/* ... without privilege */

/* CPUs: the main thread is 0. */
enum { FIRST_WORKER = 1, ADMIN = FIRST_WORKER + WORKERS, OBSERVER };

struct ghost {
	u64			held[RESOURCES];
	struct ghost		*parent;
	struct ghost		*all;
};

struct group {
	struct res_counter	counter[RESOURCES];	/* freed with the group, after RCU */
	struct group		*parent;
	struct ghost		*ghost;
	int			refs;		/* of whoever may sleep in a charge */
	struct rcu_head		rcu;
};

struct object {
	struct res_owner	*owner;
	u64			n;
	int			res;
	struct ghost		*ghost;
	bool			busy;		/* if shared: somebody's */
};

static struct res_root root[RESOURCES];
static struct group *groups[GROUPS];
static int parent_of[GROUPS];
static struct ghost machine, *ghosts;
static pthread_mutex_t tree_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct object shared[SHARED];

static bool stop;
static bool quiet;		/* all but the administrator pause ... */
static int pausing;		/* ... and so many do */

static u64 made, freed, charges, fast, refusals, interrupts, removals, offline;
static u64 checks, quiets, moves;
static unsigned int seed = 2007, scale;
static bool wild;

static __thread unsigned int rnd;
static __thread unsigned int favourite;		/* the group charged most */
static __thread struct object by_irq[8];
static __thread bool ended;			/* for interrupts */
static __thread bool exact;			/* no privileges, no second tries */

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

/* The group at @i and all above it, and who has what in stock, for us to look at. */
static void dump(int res, int i)
{
	int cpu, j;

	for (; i >= 0; i = parent_of[i]) {
		struct res_counter *c = &groups[i]->counter[res];

		fprintf(stderr, "%d: usage %lld reserved %lld barrier %lld limit %lld stocked %lld closed %u, by objects %lld\n",
			i, (long long)c->usage, (long long)c->reserved,
			(long long)c->barrier, (long long)c->limit,
			(long long)c->stocked, c->closed,
			(long long)groups[i]->ghost->held[res]);
	}
	for_each_possible_cpu(cpu) {
		struct res_stock *stock = per_cpu_ptr(root[res].stock, cpu);

		for (j = 0; j < GROUPS; j++)
			if (groups[j] && stock->counter == &groups[j]->counter[res])
				fprintf(stderr, "CPU %d: stock of %d: %ld of %lu, recall %d\n",
					cpu, j, local_read(&stock->units),
					stock->cap, stock->recall);
	}
	fprintf(stderr, "the machine: usage %lld closed %d, by objects %lld\n",
		(long long)atomic64_read(&root[res].usage),
		atomic_read(&root[res].closed), (long long)machine.held[res]);
}

static unsigned int below(unsigned int bound)
{
	rnd = rnd * 1664525 + 1013904223;
	return (rnd >> 8) % bound;
}

/* Callbacks */

static u64 capacity(struct res_root *r, enum bc_severity severity)
{
	return (severity == BC_BARRIER ? FOR_ALL : FULL) * scale;
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

static bool shrink(const struct res_refusal *lacking)
{
	if (lacking->usage + lacking->n <= lacking->bound)
		fail("asked to shrink where there is room");
	might_sleep();
	sched_yield();
	return true;
}

static void refused(const struct res_refusal *refusal)
{
	/* What we are handed must be there to be read. */
	if (!refusal->counter->root)
		fail("a refusal by nobody");
	if (refusal->usage + refusal->n <= refusal->bound)
		fail("a refusal where there is room");
	count(&refusals);
}

static void owner_freed(struct res_root *r)
{
	count(&freed);
}

static const struct res_counter_ops ops = {
	.capacity	= capacity,
	.privileged	= privileged,
	.limit_hit	= limit_hit,
	.refused	= refused,
	.owner_freed	= owner_freed,
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

static void group_put(struct group *g)
{
	while (g && !__atomic_sub_fetch(&g->refs, 1, __ATOMIC_ACQ_REL)) {
		struct group *parent = g->parent;

		shim_call_rcu(&g->rcu, g);
		g = parent;
	}
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
	struct group *g = calloc(1, sizeof(*g));
	struct ghost *ghost = calloc(1, sizeof(*ghost));
	int p = parent_of[i], r;

	g->refs = 1;
	g->parent = p < 0 ? NULL : groups[p];
	if (g->parent && !group_get(g->parent))
		fail("a parent without references");
	ghost->parent = p < 0 ? &machine : groups[p]->ghost;
	ghost->all = ghosts;
	ghosts = ghost;
	g->ghost = ghost;
	for (r = 0; r < RESOURCES; r++) {
		if (res_counter_init(&g->counter[r],
				     p < 0 ? NULL : &groups[p]->counter[r],
				     &root[r]))
			fail("no memory");
		count(&made);
	}
	smp_store_release(&groups[i], g);
}

static void remove_group(int i)
{
	struct group *g = groups[i];
	int r;

	smp_store_release(&groups[i], NULL);
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
	res_stock_note(r, owner, kind, n);
	preempt_enable();
}

static void hold_noted(struct object *o, int res, struct ghost *ghost,
		       struct res_owner *owner, u64 n)
{
	o->owner = owner;
	o->n = n;
	o->res = res;
	o->ghost = ghost;
	for (; ghost; ghost = ghost->parent)
		__atomic_fetch_add(&ghost->held[res], n, __ATOMIC_RELAXED);
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
	struct ghost *ghost;
	bool uncharged;

	for (ghost = o->ghost; ghost; ghost = ghost->parent)
		if (__atomic_fetch_sub(&ghost->held[o->res], n,
				       __ATOMIC_RELAXED) < n)
			fail("a ghost is wrong");
	o->n -= n;
	if (!o->n)
		o->owner = NULL;

	preempt_disable();
	if (r->kinds)
		uncharged = res_stock_uncharge_kind(r, owner, n, kind_of(o));
	else
		uncharged = res_stock_uncharge(r, owner, n);
	preempt_enable();
	if (uncharged) {
		count(&fast);
		return;
	}
	note(r, owner, kind_of(o), -(long)n);
	res_counter_uncharge(owner, n);
}

/* Has another group charged for @o, by force. */
static void move(struct object *o, int i)
{
	struct ghost *ghost = o->ghost;
	struct group *g = group_find(i);
	struct res_owner *owner;

	if (!g)
		return;
	for (; ghost; ghost = ghost->parent)
		if (__atomic_fetch_sub(&ghost->held[o->res], o->n,
				       __ATOMIC_RELAXED) < o->n)
			fail("a ghost is wrong");
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
	return in_task() || wild ? below(2) : BC_BARRIER;
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
			charged = res_stock_charge_kind(&root[res], owner, n,
							kind_of(o));
		else
			charged = res_stock_charge(&root[res], owner, n);
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

static void charge_upto(struct object *o, int res, int i, u64 n)
{
	struct res_owner *owner;
	struct group *g = group_find(i);
	u64 got;

	if (!g)
		return;
	got = res_counter_charge_upto(&g->counter[res], n, some_severity(),
				      in_task(), &owner);
	if (got > n || (owner && !got))
		fail("charge_upto: not so many as said");
	if (owner)
		hold(o, res, g->ghost, owner, got);
	group_put(g);
}

/* Of both resources, or of one for two trees. */
static void charge_all(struct object *o, struct object *o2, int i, int j, u64 n)
{
	struct group *g = group_find(i), *h = group_find(j);
	struct res_claim claims[2];
	int res = below(2);
	int res2 = below(2) ? res : !res;

	if (!g || !h)
		goto out;
	if (g->counter[res].top == h->counter[res2].top)
		res2 = !res;
	claims[0] = (struct res_claim){ .counter = &g->counter[res], .n = n };
	claims[1] = (struct res_claim){ .counter = &h->counter[res2], .n = 1 + n / 2 };
	if (!res_counter_charge_all(claims, 2, some_severity(), in_task())) {
		if (claims[0].owner)
			hold(o, res, g->ghost, claims[0].owner, claims[0].n);
		if (claims[1].owner)
			hold(o2, res2, h->ghost, claims[1].owner, claims[1].n);
	}
out:
	group_put(g);
	group_put(h);
}

static void charge(struct object *o)
{
	int i = below(8) ? favourite : below(GROUPS);
	u64 n = some_units();
	int res = below(RESOURCES);

	count(&charges);
	if (!below(32))
		charge_upto(o, res, i, n);
	else if (!charge_fast(o, res, i, n))
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
	if (ended || READ_ONCE(quiet))
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

static void go_offline(void)
{
	shim_offline();
	usleep(50);
	shim_online();
	count(&offline);
}

static void *worker(void *arg)
{
	struct object objects[OBJECTS] = { };
	long cpu = (long)arg;
	int i;

	shim_thread(cpu);
	rnd = seed + cpu;
	while (!READ_ONCE(stop)) {
		struct object *o = &objects[below(OBJECTS)];

		keep_quiet();
		if (!below(256))
			favourite = below(GROUPS);
		if (!below(500)) {
			go_offline();
		} else if (!below(32) && o != objects && !o->owner && !o[-1].owner) {
			charge_all(o, o - 1, favourite, below(GROUPS), some_units());
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
	barrier();
	for (i = 0; i < OBJECTS; i++)
		if (objects[i].owner)
			release(&objects[i], objects[i].n);
	for (i = 0; i < 8; i++)
		if (by_irq[i].owner)
			release(&by_irq[i], by_irq[i].n);
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

static bool model_fits(struct model *m, int res, int i, u64 n,
		       enum bc_severity severity)
{
	for (; i >= 0 && n; i = parent_of[i]) {
		struct res_counter *c = &groups[i]->counter[res];
		u64 bound = severity == BC_BARRIER ? min(c->barrier, c->limit) :
						     c->limit;

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
	u64 fits = 0, not = 2 * FULL * scale;

	while (not - fits > 1) {
		u64 n = (fits + not) / 2;

		if (model_fits(m, res, i, n, severity))
			fits = n;
		else
			not = n;
	}
	return fits;
}

static void check_exact(int res)
{
	struct model m;
	int cpu, i;

	/* Nothing is in flight, but for stocks that are just being recalled. */
	for_each_possible_cpu(cpu) {
		struct res_stock *stock = per_cpu_ptr(root[res].stock, cpu);
		long units = local_read(&stock->units);

		if (units > (long)READ_ONCE(stock->cap) ||
		    (units < 0 && units != RES_STOCK_CLOSED))
			fail("quiet, and a stock has what it should not have");
	}

	model_make(&m, res);
	for (i = 0; i < GROUPS; i++) {
		struct res_snapshot snap;

		if (!groups[i])
			continue;
		res_counter_read(&groups[i]->counter[res], &snap);
		if (snap.usage != m.usage[i])
			fail("quiet, and usage is not what objects hold");
		if (root[res].kinds &&
		    snap.kinds[0] + snap.kinds[1] + snap.kinds[2] !=
		    ghost_held(groups[i]->ghost, res))
			fail("quiet, and kinds are not what objects hold");
	}
}

/* A charge of @n, or as many of @n as there are, and what is to come of it. */
static void expect(int place, int res, u64 n, enum bc_severity severity,
		   bool may_block, bool upto, u64 want, struct object *o)
{
	struct group *g = groups[place];
	struct res_counter *c = &g->counter[res];
	struct res_owner *owner = NULL;
	u64 got = 0;

	if (upto) {
		got = res_counter_charge_upto(c, n, severity, may_block, &owner);
	} else {
		owner = res_counter_charge(c, n, severity, may_block);
		if (!IS_ERR(owner))
			got = n;
	}
	if (got > want)
		fail("quiet, and a charge beyond the bound succeeds");
	if (got < want && may_block) {
		fprintf(stderr, "%llu of %llu units, severity %d, upto %d: %llu fit\n",
			(unsigned long long)got, (unsigned long long)n, severity,
			upto, (unsigned long long)want);
		dump(res, place);
		fail("quiet, and a charge that fits is refused");
	}
	if (got && owner != c->owner)
		fail("somebody else was charged");
	if (got)
		hold(o, res, g->ghost, owner, got);
}

/* Whether so much can be lent to the group at @i. */
static bool model_lends(struct model *m, int res, int i, u64 reserved)
{
	struct res_counter *c = &groups[i]->counter[res];
	u64 n = max(m->usage[i], reserved) - max(m->usage[i], c->reserved);

	/* Bounds must have room even for what is in use already. */
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

/* Bounds and loans that are just possible, and such as are not. */
static void expect_change(struct model *m, int res, int i)
{
	struct res_counter *c = &groups[i]->counter[res];
	u64 limit = c->limit, old = c->reserved, reserved = old;
	u64 not = 2 * FULL * scale;
	int err;

	if (m->usage[i] >= c->reserved) {
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
	err = res_counter_set_reserved(c, reserved, RES_LIMIT_KEEP, NULL, 0);
	if (err && err != -ENOSPC)
		fail("quiet, and a strange reason to lend nothing");
	if (!err != model_lends(m, res, i, reserved)) {
		fprintf(stderr, "%llu to be reserved\n", (unsigned long long)reserved);
		dump(res, i);
		fail(err ? "quiet, and what there is is not lent" :
			   "quiet, and lent what is not there");
	}
	/* All can be given back but what is in use. */
	if (err || reserved <= m->usage[i])
		return;
	if (old < m->usage[i] &&
	    res_counter_set_reserved(c, m->usage[i] - 1, RES_LIMIT_KEEP, NULL, 0) != -EBUSY)
		fail("quiet, and what is in use is repaid");
	if (res_counter_set_reserved(c, max(old, m->usage[i]), RES_LIMIT_KEEP, NULL, 0))
		fail("quiet, and what is unused is not repaid");
}

/* Everybody else pauses, with units in stock. */
static void check_quiet(void)
{
	struct object o = { }, one = { };
	int i, tries, res, times;

	WRITE_ONCE(exact, true);
	for (res = 0; res < RESOURCES; res++)
		check_exact(res);
	for (times = 0; times < 4; times++) {
		enum bc_severity severity = below(2);
		bool upto = below(2);
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
			/* To the last unit, whoever has it in stock. */
			if (room)
				expect(i, res, upto ? room + below(5) : room,
				       severity, true, upto, room, &o);
			expect(i, res, 1, severity, true, false, 0, &one);
			break;
		case 2:
			expect(i, res, room + 1, severity, true, false, 0,
			       &o);
			break;
		default:
			/* Who cannot wait has to ask again. */
			for (tries = 0; room && !o.owner; tries++) {
				if (tries == 20000) {
					dump(res, i);
					fail("quiet, and stocks are never recalled");
				}
				if (tries)
					shim_pause();
				expect(i, res, room, severity, false, false,
				       room, &o);
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
	u64 usage;
	int j;

	switch (below(16)) {
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
		if (res_counter_set_limit(c, below(120) * scale, !wild))
			break;
		break;
	case 5:
		if (res_counter_set_limit(c, RES_COUNTER_MAX, true))
			fail("no limit was refused");
		break;
	case 6:
	case 7:
		if (res_counter_set_barrier(c, below(120) * scale))
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
		if (usage > FULL * scale && !wild)
			fail("more used than there is");
		break;
	case 11:
		res_counter_reserve_upto(c, below(30) * scale,
					 below(16) ? RES_LIMIT_KEEP : RES_LIMIT_WALL);
		break;
	default:
		if (res_counter_set_reserved(c, below(30) * scale,
					     below(16) ? RES_LIMIT_KEEP : RES_LIMIT_WALL,
					     shrink, 2))
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
		if (!below(8))
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

/* The place of the group that @counter is of. */
static int place_of(struct res_counter *counter, int res)
{
	int i;

	for (i = 0; i < GROUPS; i++)
		if (groups[i] && counter == &groups[i]->counter[res])
			return i;
	fail("a stock of a group that is not there");
	return -1;
}

/* Whether units of the group at @i count at the group at @at or are covered. */
static bool counts_at(int i, int at, int res)
{
	for (; i >= 0 && i != at; i = parent_of[i]) {
		struct res_counter *c = &groups[i]->counter[res];

		if (c->usage <= c->reserved)
			return false;
	}
	return i == at;
}

static void check_stocks(int res, bool last)
{
	u64 stocked[GROUPS] = { 0 };
	int cpu, i, j;

	for_each_possible_cpu(cpu) {
		struct res_stock *stock = per_cpu_ptr(root[res].stock, cpu);
		struct res_counter *c = READ_ONCE(stock->counter);
		long units = local_read(&stock->units);

		if (last && (c || units != RES_STOCK_CLOSED ||
			     local_read(&stock->returned)))
			fail("invariant 5: a stock has something left");
		if (!c)
			continue;
		if (!cpu_online(cpu))
			fail("a stock of a CPU that is offline");
		i = place_of(c, res);
		if (units < RES_STOCK_CLOSED / 2)
			fail("a stock that is open is closed");
		if (stock->owner != c->owner)
			fail("a stock is not its owner's");
		if (units > (long)c->held)
			fail("more in stock than charged");
		for (j = i; j >= 0; j = parent_of[j])
			stocked[j] += stock->cap;
		if (wild)
			continue;
		for (j = i; j >= 0; j = parent_of[j]) {
			struct res_counter *p = &groups[j]->counter[res];

			if (p->usage > min(p->barrier, p->limit) &&
			    counts_at(i, j, res)) {
				dump(res, i);
				fail("a stock above a barrier");
			}
		}
	}
	for (i = 0; i < GROUPS; i++) {
		if (!groups[i])
			continue;
		if (groups[i]->counter[res].stocked != stocked[i])
			fail("stocked is not what the stocks may have");
		if (last && groups[i]->counter[res].closed)
			fail("closed for good");
	}
	if (last && atomic_read(&root[res].closed))
		fail("the root is closed for good");
}

/*
 * With the trees' locks held: is what every counter has what it holds and what
 * its children take, is it within its limit, does the root have enough?
 */
static void check_tree(int res, bool last)
{
	u64 own[GROUPS] = { 0 }, lent[GROUPS] = { 0 }, pledged[GROUPS] = { 0 };
	u64 at_root = 0, usage;
	int i;

	for (i = GROUPS - 1; i >= 0; i--) {
		struct res_counter *c;
		u64 takes, held;

		if (!groups[i])
			continue;
		c = &groups[i]->counter[res];
		held = ghost_held(groups[i]->ghost, res);
		if (c->usage != c->held + c->inherited + own[i])
			fail("invariant 1: usage is not what is held and taken");
		if (c->lent != lent[i])
			fail("lent is not what the children have reserved");
		if (c->pledged != pledged[i])
			fail("pledged is not what the children have and pledge");
		if (c->pledged > c->limit)
			fail("invariant 6: more pledged than allowed");
		if (c->usage > c->limit && !wild)
			fail("invariant 2: usage above the limit");
		if (held > c->usage)
			fail("objects hold more than was charged");
		if (c->reserved > c->limit)
			fail("more reserved than allowed");
		if (last && (c->held || c->inherited))
			fail("invariant 5: something is left");
		takes = max(c->usage, c->reserved);
		if (parent_of[i] < 0) {
			at_root += takes;
		} else {
			own[parent_of[i]] += takes;
			lent[parent_of[i]] += c->reserved;
			pledged[parent_of[i]] += max(c->pledged, c->reserved);
		}
	}
	/* The rest belongs to groups that were removed. */
	usage = atomic64_read(&root[res].usage);
	if (usage < at_root)
		fail("invariant 1: the root does not have what the groups take");
	if (last && usage > at_root)
		fail("invariant 5: the root has what nobody has left");
	if (usage > FULL * scale && !wild)
		fail("invariant 2: more than the machine has");
}

/* Under tree_mutex. */
static void check(bool last)
{
	struct res_counter *tops[RESOURCES * GROUPS], *top;
	int i, j, r, n = 0;
	unsigned long flags;

	/* All trees are locked, in order of their address. */
	for (r = 0; r < RESOURCES; r++) {
		for (i = 0; i < GROUPS; i++) {
			if (!groups[i] || parent_of[i] >= 0)
				continue;
			top = &groups[i]->counter[r];
			for (j = n++; j && tops[j - 1] > top; j--)
				tops[j] = tops[j - 1];
			tops[j] = top;
		}
	}
	local_irq_save(flags);
	for (i = 0; i < n; i++)
		raw_spin_lock_nested(&tops[i]->lock, i);
	for (r = 0; r < RESOURCES; r++) {
		check_tree(r, last);
		check_stocks(r, last);
	}
	while (i--)
		raw_spin_unlock(&tops[i]->lock);
	local_irq_restore(flags);
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
	if (snap.usage + snap.stocked > FULL * scale && !wild)
		fail("a snapshot of more than there is");
	if (snap.usage + snap.stocked > snap.limit && !wild)
		fail("a snapshot above the limit");
	if (snap.usage > RES_COUNTER_MAX / 2 || snap.stocked > RES_COUNTER_MAX / 2 ||
	    snap.held > RES_COUNTER_MAX / 2 || snap.charged > RES_COUNTER_MAX / 2 ||
	    snap.uncharged > RES_COUNTER_MAX / 2)
		fail("a snapshot of less than nothing");
	if (snap.min_usage > snap.usage)
		fail("a snapshot below the minimum");
	if (snap.max_usage < snap.usage || snap.recent_max < snap.usage)
		fail("a snapshot above the maximum");
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
		check(false);
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
	pthread_t workers[WORKERS], others[2];
	double end;
	int r;
	long i;

	if (argc > 2)
		seed = atoi(argv[2]);
	rnd = seed;
	ended = true;
	wild = seed % 2 == 0;
	scale = seed & 2 ? 32 : 1;
	shim_init();
	shim_device = interrupt;
	shim_teardown = teardown;
	for (r = 0; r < RESOURCES; r++) {
		/* One that tells kinds apart, and takes more than it needs. */
		if (r == RESOURCES - 1) {
			root[r].kinds = RES_KINDS;
			root[r].stock_min = 2 * scale;
			root[r].prefetch = true;
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
	for (end = now() + seconds; now() < end; )
		shim_pause();
	WRITE_ONCE(stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(others[i], NULL);
	for (i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);

	for (i = 0; i < SHARED; i++)
		if (shared[i].owner)
			release(&shared[i], shared[i].n);
	/* Whatever changes a bound takes back what is in stock; we have some, too. */
	for (i = 0; i < GROUPS; i++)
		for (r = 0; groups[i] && r < RESOURCES; r++)
			if (res_counter_set_barrier(&groups[i]->counter[r], 0))
				fail("a barrier was refused");
	check(true);
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
	if (freed != made)
		fail("owners were freed twice, or never");
	shim_reclaim();
	while (ghosts) {
		struct ghost *next = ghosts->all;

		free(ghosts);
		ghosts = next;
	}
	printf("%llu charges (%llu refused), %llu charges and uncharges by stock, "
	       "%llu interrupts (%llu within a fast path) besides %llu by other CPUs, "
	       "%llu moved, %llu groups removed, %llu times offline, %llu times quiet, %llu checks: "
	       "all invariants held\n",
	       (unsigned long long)charges, (unsigned long long)refusals,
	       (unsigned long long)fast, (unsigned long long)interrupts,
	       (unsigned long long)shim_interrupted,
	       (unsigned long long)(shim_interrupts - interrupts),
	       (unsigned long long)moves, (unsigned long long)removals,
	       (unsigned long long)offline,
	       (unsigned long long)quiets, (unsigned long long)checks);
	return 0;
}
