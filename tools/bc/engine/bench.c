// SPDX-License-Identifier: GPL-2.0
/*
 * What a charge and an uncharge cost, beside mainline's page_counter
 *
 * kernel/bc/engine/ and the kernel's mm/page_counter.c, each compiled as it is into
 * this one process, take turns in short slices, so that a disturbance of the machine
 * disturbs both; medians over the slices count. A third takes its turn: page_counter
 * behind a stock as memory cgroups have it, made after mm/memcontrol.c of 6.12: on
 * each CPU up to 64 units of one group at a time, taken at once from the counters.
 *
 * All are given the same number of counters. A res_counter tree has the resource's
 * root besides; the root that memcg has is left out for page_counter, and so is its
 * optional protection (memory.min, memory.low). The charges of res_counter are made
 * as the core makes them: from the CPU's stock, inline, and by the slow functions
 * where that says no. There and in memcg's stock, turning interrupts off costs less
 * here than in a kernel; nothing of page_counter does.
 *
 * usage: bench [SLICES [MICROSECONDS [PATTERN]]]
 *
 * Output: a line for each row with PATTERN in its name,
 * "NAME|DEPTH|CPUS|OURS|PAGE_COUNTER|RATIO|STOCKED|RATIO", in nanoseconds for each
 * charge and uncharge (or refusal), on the average of the CPUs.
 *
 *   one group		charge 1, uncharge 1; on two CPUs at a time in the same group
 *   one group, called	the same with res_counter's fast path in two functions, as
 *			page_counter's is, and not inline as in the core
 *   a group each	the same on two CPUs, in two groups below a common counter (at
 *			depth 1: with nothing in common)
 *   32 by 32		32 times charge 1, then 32 times uncharge 1, in a group where
 *			few or many units are held besides
 *   N groups, bursts of B
 *			B times charge 1, uncharge 1, and then in the next of N groups;
 *			two CPUs do so with the same groups, but begin elsewhere
 *   N groups each	the same, but two CPUs have N groups each
 *   N groups, kept	B times charge 1 in each group, then B times uncharge 1
 *   freed by another CPU
 *			one CPU charges, the other one uncharges, in batches of 32
 *   freed by another group's CPU
 *			likewise; and for each uncharge the other CPU charges 1 and
 *			uncharges 1 in its own group
 *   near its limit	charge 1, uncharge 1 in a group with so many units of so many
 *   parent near its limit
 *			the same where siblings hold the rest of the parent's limit;
 *			on two CPUs in one group, or in a group each
 *   guaranteed neighbour
 *			charge 1, uncharge 1 beside a sibling with a reservation that
 *			is in use: on the same CPU in turn, or on the other CPU
 *   refused		a charge that is refused by the counter above, which so many
 *			siblings have filled
 */
#include <time.h>

#include "shim.h"
#include "threads.h"
#include <bc/res_counter.h>
#include <linux/page_counter.h>

#define MAX_DEPTH	8
#define MAX_GROUPS	1024
#define BATCH		32
#define MAX_BURST	64
#define MAX_SLICES	10000
#define MAX_CPUS	2

enum engine { OURS, PEER, STOCKED, ENGINES };

static struct res_root root;
static int slices = 200;
static double slice = 500e3;
static const char *pattern = "";

/* A group, once for each engine. */
struct group {
	struct res_counter	ours ____cacheline_aligned;
	struct page_counter	peer;
	struct page_counter	stocked;
	/* A css has such a count for each CPU. */
	struct {
		unsigned long	n;
	} ____cacheline_aligned refs[MAX_CPUS];
	struct res_owner	*held_by;
	unsigned long		held;
};

/* A charged unit: what its uncharge must know. */
union object {
	struct res_owner	*owner;
	struct group		*group;
};

static void fail(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

void shim_warn(const char *file, int line)
{
	fprintf(stderr, "bench: warning at %s:%d\n", file, line);
	exit(1);
}

/* page_counter_memparse() needs one, and is not called here. */
unsigned long long memparse(const char *ptr, char **retptr)
{
	return strtoull(ptr, retptr, 0);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

/* page_counter behind memcg's stock: see mm/memcontrol.c */

#define MEMCG_CHARGE_BATCH	64U

struct memcg_stock {
	struct group	*cached;
	unsigned int	nr_pages;
};

static struct memcg_stock *memcg_stock;

static bool consume_stock(struct group *memcg, unsigned int nr_pages)
{
	struct memcg_stock *stock;
	unsigned int stock_pages;
	unsigned long flags;
	bool ret = false;

	if (nr_pages > MEMCG_CHARGE_BATCH)
		return ret;
	local_irq_save(flags);
	stock = raw_cpu_ptr(memcg_stock);
	stock_pages = READ_ONCE(stock->nr_pages);
	if (memcg == READ_ONCE(stock->cached) && stock_pages >= nr_pages) {
		WRITE_ONCE(stock->nr_pages, stock_pages - nr_pages);
		ret = true;
	}
	local_irq_restore(flags);
	return ret;
}

static void drain_stock(struct memcg_stock *stock)
{
	unsigned int stock_pages = READ_ONCE(stock->nr_pages);
	struct group *old = READ_ONCE(stock->cached);

	if (!old)
		return;
	if (stock_pages) {
		page_counter_uncharge(&old->stocked, stock_pages);
		WRITE_ONCE(stock->nr_pages, 0);
	}
	old->refs[raw_smp_processor_id()].n--;
	WRITE_ONCE(stock->cached, NULL);
}

static void refill_stock(struct group *memcg, unsigned int nr_pages)
{
	struct memcg_stock *stock;
	unsigned int stock_pages;
	unsigned long flags;

	local_irq_save(flags);
	stock = raw_cpu_ptr(memcg_stock);
	if (READ_ONCE(stock->cached) != memcg) {
		drain_stock(stock);
		memcg->refs[raw_smp_processor_id()].n++;
		WRITE_ONCE(stock->cached, memcg);
	}
	stock_pages = READ_ONCE(stock->nr_pages) + nr_pages;
	WRITE_ONCE(stock->nr_pages, stock_pages);
	if (stock_pages > MEMCG_CHARGE_BATCH)
		drain_stock(stock);
	local_irq_restore(flags);
}

static noinline bool try_charge_memcg(struct group *memcg, unsigned int nr_pages)
{
	unsigned int batch = max(MEMCG_CHARGE_BATCH, nr_pages);
	struct page_counter *counter;

retry:
	if (consume_stock(memcg, nr_pages))
		return true;
	if (!page_counter_try_charge(&memcg->stocked, batch, &counter)) {
		if (batch > nr_pages) {
			batch = nr_pages;
			goto retry;
		}
		return false;
	}
	if (batch > nr_pages)
		refill_stock(memcg, batch - nr_pages);
	return true;
}

/* As obj_cgroup_uncharge_pages(): what is given back is stock. */
static noinline void uncharge_memcg(struct group *memcg, unsigned int nr_pages)
{
	refill_stock(memcg, nr_pages);
}

/* What a CPU has in stock at the end of a row. */
static void drain_memcg(void)
{
	int cpu;

	for (cpu = 0; cpu < MAX_CPUS; cpu++) {
		struct memcg_stock *stock = per_cpu_ptr(memcg_stock, cpu);

		if (stock->cached && stock->nr_pages)
			page_counter_uncharge(&stock->cached->stocked, stock->nr_pages);
		*stock = (struct memcg_stock){ };
	}
}

/* Charges and uncharges, of res_counter as the core makes them. */

static __always_inline bool charge(enum engine engine, struct group *g,
				   union object *o)
{
	struct page_counter *full;
	bool charged;

	switch (engine) {
	case OURS:
		rcu_read_lock();
		preempt_disable();
		o->owner = READ_ONCE(g->ours.owner);
		charged = res_stock_charge(root.stock, o->owner, 1);
		preempt_enable();
		if (unlikely(!charged))
			o->owner = res_counter_charge(&g->ours, 1, BC_BARRIER, true);
		rcu_read_unlock();
		return !IS_ERR(o->owner);
	case PEER:
		o->group = g;
		return page_counter_try_charge(&g->peer, 1, &full);
	default:
		o->group = g;
		return try_charge_memcg(g, 1);
	}
}

static __always_inline void uncharge(enum engine engine, const union object *o)
{
	bool uncharged;

	switch (engine) {
	case OURS:
		preempt_disable();
		uncharged = res_stock_uncharge(root.stock, o->owner, 1);
		preempt_enable();
		if (unlikely(!uncharged))
			res_counter_uncharge(o->owner, 1);
		break;
	case PEER:
		page_counter_uncharge(&o->group->peer, 1);
		break;
	default:
		uncharge_memcg(o->group, 1);
	}
}

/* One CPU's part in a row. */
struct part {
	int		cpu;
	/* What it works with. */
	struct group	**groups;
	int		nr;
	int		burst;
	int		at;
	union object	(*kept)[MAX_BURST];
	/* In units that take some microseconds. */
	long		rounds[ENGINES];
	double		result[ENGINES][MAX_SLICES];
};

/* What is measured: at least @rounds rounds. Returns how many there were. */
typedef long (*work_t)(struct part *part, long rounds);

#define WORK(name)							\
static noinline long name##_ours(struct part *part, long rounds)	\
{									\
	return name(OURS, part, rounds);				\
}									\
									\
static noinline long name##_peer(struct part *part, long rounds)	\
{									\
	return name(PEER, part, rounds);				\
}									\
									\
static noinline long name##_stocked(struct part *part, long rounds)	\
{									\
	return name(STOCKED, part, rounds);				\
}									\
									\
static const work_t name##_work[ENGINES] = {				\
	name##_ours, name##_peer, name##_stocked,			\
}

static __always_inline void pair(enum engine engine, struct group *g)
{
	union object o;

	if (unlikely(!charge(engine, g, &o)))
		fail("a charge that fits is refused");
	uncharge(engine, &o);
}

static __always_inline long pairs(enum engine engine, struct part *part, long rounds)
{
	struct group *g = part->groups[0];
	long i;

	for (i = 0; i < rounds; i++)
		pair(engine, g);
	return rounds;
}
WORK(pairs);

/* Out of line as page_counter's are, for callers that do not have them inline. */

static noinline struct res_owner *charge_call(struct group *g)
{
	union object o;

	return charge(OURS, g, &o) ? o.owner : NULL;
}

static noinline void uncharge_call(struct res_owner *owner)
{
	union object o = { .owner = owner };

	uncharge(OURS, &o);
}

static noinline long calls_ours(struct part *part, long rounds)
{
	struct group *g = part->groups[0];
	long i;

	for (i = 0; i < rounds; i++)
		uncharge_call(charge_call(g));
	return rounds;
}

static const work_t calls_work[ENGINES] = { calls_ours, pairs_peer, pairs_stocked };

static __always_inline struct group *next_group(struct part *part)
{
	struct group *g = part->groups[part->at];

	if (++part->at == part->nr)
		part->at = 0;
	return g;
}

static __always_inline long turns(enum engine engine, struct part *part, long rounds)
{
	long i, j;

	for (i = 0; i < rounds; i += part->burst) {
		struct group *g = next_group(part);

		for (j = 0; j < part->burst; j++)
			pair(engine, g);
	}
	return i;
}
WORK(turns);

/* In turn charged and kept, and then uncharged in the same order. */
static __always_inline long keep(enum engine engine, struct part *part, long rounds)
{
	long i, j, k;

	for (i = 0; i < rounds; i += part->nr * part->burst) {
		for (k = 0; k < part->nr; k++)
			for (j = 0; j < part->burst; j++)
				if (unlikely(!charge(engine, part->groups[k],
						     &part->kept[k][j])))
					fail("a charge that fits is refused");
		for (k = 0; k < part->nr; k++)
			for (j = 0; j < part->burst; j++)
				uncharge(engine, &part->kept[k][j]);
	}
	return i;
}
WORK(keep);

static __always_inline long batches(enum engine engine, struct part *part, long rounds)
{
	union object o[BATCH];
	long i, j;

	for (i = 0; i < rounds; i += BATCH) {
		for (j = 0; j < BATCH; j++)
			if (unlikely(!charge(engine, part->groups[0], &o[j])))
				fail("a charge that fits is refused");
		for (j = 0; j < BATCH; j++)
			uncharge(engine, &o[j]);
	}
	return i;
}
WORK(batches);

static __always_inline long refusals(enum engine engine, struct part *part, long rounds)
{
	union object o;
	long i;

	for (i = 0; i < rounds; i++)
		if (unlikely(charge(engine, part->groups[0], &o)))
			fail("a charge above the limit");
	return rounds;
}
WORK(refusals);

/* From CPU to CPU */

#define RING		8

static struct ring {
	union object	object[RING][BATCH];
	unsigned long	head ____cacheline_aligned;	/* batches put in */
	bool		ended;
	unsigned long	tail ____cacheline_aligned;	/* batches taken out */
} ring;

static __always_inline long produce(enum engine engine, struct part *part, long rounds)
{
	unsigned long head = ring.head;
	long i, j;

	for (i = 0; i < rounds; i += BATCH) {
		while (head - smp_load_acquire(&ring.tail) == RING)
			cpu_relax();
		for (j = 0; j < BATCH; j++)
			if (unlikely(!charge(engine, part->groups[0],
					     &ring.object[head % RING][j])))
				fail("a charge that fits is refused");
		smp_store_release(&ring.head, ++head);
	}
	return i;
}
WORK(produce);

static __always_inline long consume(enum engine engine, struct part *part, bool own)
{
	unsigned long tail = ring.tail;
	long j;

	while (smp_load_acquire(&ring.head) == tail) {
		if (smp_load_acquire(&ring.ended) &&
		    smp_load_acquire(&ring.head) == tail)
			return 0;
		cpu_relax();
	}
	for (j = 0; j < BATCH; j++) {
		if (own)
			pair(engine, part->groups[1]);
		uncharge(engine, &ring.object[tail % RING][j]);
	}
	smp_store_release(&ring.tail, tail + 1);
	return BATCH;
}

static __always_inline long frees(enum engine engine, struct part *part, long rounds)
{
	return consume(engine, part, false);
}
WORK(frees);

static __always_inline long frees_own(enum engine engine, struct part *part, long rounds)
{
	return consume(engine, part, true);
}
WORK(frees_own);

/* Groups */

static void make(struct group *g, struct group *parent, unsigned long held)
{
	struct page_counter *full;

	memset(g, 0, sizeof(*g));
	if (res_counter_init(&g->ours, parent ? &parent->ours : NULL, &root))
		fail("no memory");
	page_counter_init(&g->peer, parent ? &parent->peer : NULL, false);
	page_counter_init(&g->stocked, parent ? &parent->stocked : NULL, false);
	g->held = held;
	if (!held)
		return;
	g->held_by = res_counter_charge(&g->ours, held, BC_BARRIER, true);
	if (IS_ERR(g->held_by) || !page_counter_try_charge(&g->peer, held, &full) ||
	    !page_counter_try_charge(&g->stocked, held, &full))
		fail("the first charge is refused");
}

static void limit(struct group *g, u64 limit)
{
	if (res_counter_set_limit(&g->ours, limit, true) ||
	    page_counter_set_max(&g->peer, limit) ||
	    page_counter_set_max(&g->stocked, limit))
		fail("no limit can be set");
}

/* After the measurement there must be what there was before. */
static void check(struct group *g, unsigned long usage)
{
	struct res_snapshot snap;

	res_counter_read(&g->ours, &snap);
	if (snap.usage != usage || page_counter_read(&g->peer) != usage ||
	    page_counter_read(&g->stocked) != usage)
		fail("charges and uncharges differ");
}

static void unmake(struct group *g)
{
	if (g->held) {
		res_counter_uncharge(g->held_by, g->held);
		page_counter_uncharge(&g->peer, g->held);
		page_counter_uncharge(&g->stocked, g->held);
	}
	check(g, 0);
	res_counter_remove(&g->ours);
	res_counter_destroy(&g->ours);
}

/* Measurements */

static int place[MAX_CPUS];	/* the machine's CPUs that we use */
static int cpus;		/* so many there are */
static int parts;		/* at work in this row */
static unsigned int arrived;

/* So that all begin together. Counts from 0 in each row: @parts differs. */
static void rendezvous(void)
{
	unsigned int n = __atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL);
	unsigned int all = DIV_ROUND_UP(n, parts) * parts;

	while ((int)(smp_load_acquire(&arrived) - all) < 0)
		cpu_relax();
}

/* What a row does: on CPU 0 and on CPU 1, where that is in it. */
struct row {
	const char	*name;
	int		depth;
	int		cpus;
	const work_t	*work[MAX_CPUS];
	bool		ring;
};

static void calibrate(const struct row *row, struct part *part, enum engine engine)
{
	double start;

	part->rounds[engine] = BATCH;
	if (row->ring)
		return;
	for (;;) {
		start = now();
		part->rounds[engine] = row->work[part->cpu][engine](part,
							part->rounds[engine]);
		if (now() - start >= 5e3)
			break;
		part->rounds[engine] *= 2;
	}
}

static double measure(const struct row *row, struct part *part, enum engine engine)
{
	work_t work = row->work[part->cpu][engine];
	long rounds = 0, n;
	double start, end;

	if (row->ring && !part->cpu)
		ring.ended = false;
	rendezvous();
	start = now();
	do {
		n = work(part, part->rounds[engine]);
		rounds += n;
		end = now();
	} while (row->ring && part->cpu ? n : end - start < slice);
	if (row->ring && !part->cpu)
		smp_store_release(&ring.ended, true);
	/* The ring is empty before the next slice begins. */
	if (row->ring)
		rendezvous();
	return (end - start) / rounds;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(place[cpu], &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static struct part part[MAX_CPUS];
static const struct row *current_row;

static void *work(void *arg)
{
	const struct row *row = current_row;
	struct part *part = arg;
	int i, j;

	pin(part->cpu);
	if (part->cpu)
		shim_thread(part->cpu);
	for (j = 0; j < ENGINES; j++)
		calibrate(row, part, j);
	/* The engine that goes first now goes last in the next round. */
	for (i = 0; i < slices; i++)
		for (j = 0; j < ENGINES; j++) {
			enum engine engine = (i + j) % ENGINES;

			part->result[engine][i] = measure(row, part, engine);
		}
	rendezvous();
	if (part->cpu)
		shim_offline();
	return NULL;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* @groups[0..@nr) are CPU 0's, and CPU 1's begin with @groups[@other]. */
static void run(const struct row *row, struct group **groups, int nr, int other,
		int burst, int at)
{
	double result[ENGINES];
	pthread_t thread;
	int i, j;

	parts = row->cpus;
	arrived = 0;
	memset(&ring, 0, sizeof(ring));
	current_row = row;
	for (i = 0; i < row->cpus; i++) {
		part[i].cpu = i;
		part[i].groups = i ? groups + other : groups;
		part[i].nr = nr;
		part[i].burst = burst;
		part[i].at = i ? at : 0;
		free(part[i].kept);
		part[i].kept = calloc(nr, sizeof(*part[i].kept));
	}
	if (row->cpus == 2 && pthread_create(&thread, NULL, work, &part[1]))
		fail("no second thread");
	work(&part[0]);
	if (row->cpus == 2)
		pthread_join(thread, NULL);
	drain_memcg();

	/* A slice is what it cost on the average of the CPUs. */
	for (j = 0; j < ENGINES; j++) {
		for (i = 0; row->cpus == 2 && i < slices; i++)
			part[0].result[j][i] = (part[0].result[j][i] +
						part[1].result[j][i]) / 2;
		result[j] = median(part[0].result[j], slices);
	}
	printf("%s|%d|%d|%.2f|%.2f|%.3f|%.2f|%.3f\n", row->name, row->depth, row->cpus,
	       result[OURS], result[PEER], result[OURS] / result[PEER],
	       result[STOCKED], result[OURS] / result[STOCKED]);
	fflush(stdout);
}

/* Whether the row is wanted and possible. */
static bool wanted(const struct row *row)
{
	return row->cpus <= cpus && strstr(row->name, pattern);
}

static struct group above[MAX_DEPTH];
static struct group branch[MAX_DEPTH];		/* of CPU 1's groups, from the second */
static struct group leaf[MAX_GROUPS];

/*
 * A row with @nr groups at @depth, each with @held units; the groups that CPU 1
 * works with begin with group @other, and have the uppermost counter alone in common with the
 * rest.
 */
static void tree(const struct row *row, int nr, int other, unsigned long held,
		 int burst, int at)
{
	int all = other ? other + nr : nr;
	struct group *groups[MAX_GROUPS], *parent = NULL;
	int i, two = other && row->cpus == 2;

	if (!wanted(row))
		return;
	if (!two)
		all = nr;
	for (i = 0; i < row->depth - 1; i++) {
		make(&above[i], parent, 0);
		parent = &above[i];
	}
	if (two && row->depth > 2)
		for (i = 1; i < row->depth - 1; i++)
			make(&branch[i], i == 1 ? &above[0] : &branch[i - 1], 0);
	for (i = 0; i < all; i++) {
		groups[i] = &leaf[i];
		if (two && i >= other && row->depth > 2)
			make(&leaf[i], &branch[row->depth - 2], held);
		else
			make(&leaf[i], parent, held);
	}
	run(row, groups, nr, two ? other : 0, burst, at);
	if (parent)
		check(&above[0], all * held);
	for (i = all - 1; i >= 0; i--)
		unmake(&leaf[i]);
	if (two && row->depth > 2)
		for (i = row->depth - 2; i; i--)
			unmake(&branch[i]);
	for (i = row->depth - 2; i >= 0; i--)
		unmake(&above[i]);
	if (atomic64_read(&root.usage))
		fail("the root has something left");
	shim_reclaim();
}

static void in_turn(int nr, int burst, int cpus, bool each, bool kept)
{
	char name[64];
	struct row row = {
		.name	= name,
		.depth	= 3,
		.cpus	= cpus,
		.work	= { kept ? keep_work : turns_work, kept ? keep_work : turns_work },
	};

	snprintf(name, sizeof(name), "%d groups%s, bursts of %d", nr,
		 each ? " each" : kept ? " each, kept" : "", burst);
	tree(&row, nr, each || kept ? nr : 0, 100, burst, nr / 2);
}

static void reserve(struct group *g, u64 reserved)
{
	struct res_refusal lacking;

	if (res_counter_set_reserved(&g->ours, reserved, RES_LIMIT_KEEP, &lacking))
		fail("a reservation is refused");
}

/* Groups at depth 3 of which one or two are used, and another holds units besides. */
static void near_limit(const char *name, int cpus, int nr, u64 parent_limit,
		       u64 group_limit, unsigned long group_held,
		       unsigned long sibling_held, u64 reserved)
{
	struct row row = {
		.name = name, .depth = 3, .cpus = cpus,
		.work = { reserved && cpus == 1 ? turns_work : pairs_work, pairs_work },
	};
	struct group *groups[3] = { &leaf[0], &leaf[1], &leaf[2] };
	int i, other = nr - 1;

	if (!wanted(&row))
		return;
	make(&above[0], NULL, 0);
	make(&above[1], &above[0], 0);
	if (parent_limit)
		limit(&above[1], parent_limit);
	for (i = 0; i < 2; i++) {
		make(&leaf[i], &above[1], i && reserved ? sibling_held :
					  i && nr == 1 ? 0 : group_held);
		if (group_limit)
			limit(&leaf[i], group_limit);
	}
	make(&leaf[2], &above[1], reserved ? 0 : sibling_held);
	if (reserved)
		reserve(&leaf[1], reserved);
	run(&row, groups, nr, other, 1, 0);
	for (i = 2; i >= 0; i--) {
		if (i == 1 && reserved)
			reserve(&leaf[1], 0);
		unmake(&leaf[i]);
	}
	unmake(&above[1]);
	unmake(&above[0]);
	shim_reclaim();
}

/* A full group, with so many others in it beside the one that asks for more. */
static void refused(int siblings, int cpus)
{
	char name[64];
	struct row row = {
		.name = name, .depth = 2, .cpus = cpus,
		.work = { refusals_work, refusals_work },
	};
	struct group *groups[1] = { &leaf[0] };
	int i;

	snprintf(name, sizeof(name), "refused, siblings: %d", siblings);
	if (!wanted(&row))
		return;
	make(&above[0], NULL, 0);
	make(&leaf[0], &above[0], 0);
	for (i = 1; i <= siblings; i++)
		make(&leaf[i], &above[0], 1);
	limit(&above[0], siblings);
	run(&row, groups, 1, 0, 1, 0);
	check(&above[0], siblings);
	for (i = siblings; i >= 0; i--)
		unmake(&leaf[i]);
	unmake(&above[0]);
	shim_reclaim();
}

static void teardown(void)
{
	res_root_cpu_offline(&root);
}

static const struct res_counter_ops ops = { };

int main(int argc, char **argv)
{
	static const int depths[] = { 1, 2, 4, 8 };
	static const int numbers[] = { 2, 4, 8, 16, 64, 500 };
	static const int bursts[] = { 1, 4, 16, 64 };
	cpu_set_t may;
	int i, j, n;
	double end;

	if (argc > 1)
		slices = clamp(atoi(argv[1]), 1, MAX_SLICES);
	if (argc > 2)
		slice = max(atoi(argv[2]), 1) * 1e3;
	if (argc > 3)
		pattern = argv[3];

	sched_getaffinity(0, sizeof(may), &may);
	for (i = 0; i < CPU_SETSIZE && cpus < MAX_CPUS; i++)
		if (CPU_ISSET(i, &may))
			place[cpus++] = i;
	if (cpus < 2)
		fprintf(stderr, "bench: only one CPU, nothing to see of two\n");

	shim_init();
	shim_teardown = teardown;
	memcg_stock = alloc_percpu(struct memcg_stock);
	/* Batches as a resource has them that says nothing else: up to memcg's. */
	if (!memcg_stock || res_root_init(&root, &ops))
		fail("no memory");
	/* The machine may take a while until it runs at full speed. */
	for (end = now() + 300e6; now() < end; )
		cpu_relax();

	for (n = 1; n <= 2; n++)
		for (i = 0; i < ARRAY_SIZE(depths); i++)
			tree(&(struct row){ "one group", depths[i], n,
					    { pairs_work, pairs_work } },
			     1, 0, 100, 1, 0);
	for (i = 0; i < ARRAY_SIZE(depths); i++)
		tree(&(struct row){ "a group each", depths[i], 2,
				    { pairs_work, pairs_work } }, 1, 1, 100, 1, 0);
	for (i = 0; i < ARRAY_SIZE(depths); i++)
		tree(&(struct row){ "one group, called", depths[i], 1, { calls_work } },
		     1, 0, 100, 1, 0);
	for (i = 0; i < ARRAY_SIZE(depths); i++) {
		tree(&(struct row){ "32 by 32, few held", depths[i], 1,
				    { batches_work } }, 1, 0, 100, 1, 0);
		tree(&(struct row){ "32 by 32, many held", depths[i], 1,
				    { batches_work } }, 1, 0, 10000, 1, 0);
	}
	for (n = 1; n <= 2; n++)
		for (i = 0; i < ARRAY_SIZE(numbers); i++)
			for (j = 0; j < ARRAY_SIZE(bursts); j++)
				in_turn(numbers[i], bursts[j], n, false, false);
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		for (j = 0; j < ARRAY_SIZE(bursts); j += 2)
			in_turn(numbers[i], bursts[j], 2, true, false);
	for (n = 1; n <= 2; n++)
		for (i = 0; i < ARRAY_SIZE(numbers); i++)
			in_turn(numbers[i], 4, n, false, true);
	tree(&(struct row){ "freed by another CPU", 3, 2, { produce_work, frees_work },
			    true }, 1, 0, 100, 1, 0);
	/* The other CPU's own group is in the same parent. */
	tree(&(struct row){ "freed by another group's CPU", 3, 2,
			    { produce_work, frees_own_work }, true }, 2, 0, 100, 1, 0);
	for (n = 1; n <= 2; n++) {
		near_limit("near its limit, 18 of 20", n, 1, 0, 20, 18, 0, 0);
		near_limit("near its limit, 1900 of 2000", n, 1, 0, 2000, 1900, 0, 0);
		near_limit("parent near its limit, 18 of 20", n, 1, 20, 0, 2, 16, 0);
		near_limit("parent near its limit, 1900 of 2000", n, 1, 2000, 0, 100,
			   1800, 0);
	}
	near_limit("parent near its limit, 18 of 20, a group each", 2, 2, 20, 0, 2, 14,
		   0);
	near_limit("parent near its limit, 1900 of 2000, a group each", 2, 2, 2000, 0,
		   100, 1700, 0);
	for (n = 1; n <= 2; n++)
		near_limit("guaranteed neighbour", n, 2, 4000, 0, 100, 2000, 2500);
	for (n = 1; n <= 2; n++) {
		refused(1, n);
		refused(1000, n);
	}
	res_root_exit(&root);
	return 0;
}
