// SPDX-License-Identifier: GPL-2.0
/*
 * What a charge and an uncharge cost, beside mainline's page_counter
 *
 * kernel/bc/res_counter.c and the kernel's mm/page_counter.c, each compiled as it
 * is into this one process, take turns in short slices, so that whatever disturbs
 * the machine disturbs both; medians over the slices count.
 *
 * The two are given the same number of counters. A res_counter tree has the
 * resource's root besides; the root that memcg has is left out for page_counter, and
 * so is its optional protection (memory.min, memory.low). The charges of res_counter
 * are made as the core makes them: from the CPU's stock, inline, and by the slow
 * functions where that says no. There, turning interrupts off costs less here than
 * in a kernel; nothing of page_counter does.
 *
 * usage: bench [SLICES [MICROSECONDS]]
 *
 * Output: a line for each row, "NAME|DEPTH|CPUS|OURS|THEIRS|RATIO", in nanoseconds
 * for each charge and uncharge (or refusal), as seen by each CPU.
 *
 *   one CPU			charge 1, uncharge 1
 *   one CPU, called		the same with res_counter's fast path in two functions,
 *				as page_counter's is, and not inline as in the core
 *   two CPUs, one group	the same on both CPUs at a time
 *   two CPUs, a group each	likewise, the two groups below a common counter
 *   32 by 32			32 times charge 1, then 32 times uncharge 1, in a group
 *				where few or many units are held besides
 *   two groups in turn		charge 1, uncharge 1, each time in the other group: the
 *				worst case, as a CPU has stock for one group
 *   refused			a charge that is refused by the counter above
 */
#include <time.h>

#include "shim.h"
#include "threads.h"
#include <bc/res_counter.h>
#include <linux/page_counter.h>

#define MAX_DEPTH	8
#define MAX_SIBLINGS	1000
#define BATCH		32
#define MAX_SLICES	10000

static struct res_root root;
static int slices = 300;
static double slice = 500e3;

/* A group, once for each engine. */
struct group {
	struct res_counter	ours;
	struct page_counter	theirs;
	struct res_owner	*held_by;
	unsigned long		held;
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

/* page_counter_memparse() needs one. Nobody calls it. */
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

/* Charges and uncharges, as the core makes them. */

static __always_inline struct res_owner *charge(struct res_counter *counter, u64 n)
{
	struct res_owner *owner;
	bool charged;

	rcu_read_lock();
	preempt_disable();
	owner = READ_ONCE(counter->owner);
	charged = res_stock_charge(&root, owner, n);
	preempt_enable();
	if (!charged)
		owner = res_counter_charge(counter, n, BC_BARRIER, true);
	rcu_read_unlock();
	return owner;
}

static __always_inline void uncharge(struct res_owner *owner, u64 n)
{
	bool uncharged;

	preempt_disable();
	uncharged = res_stock_uncharge(&root, owner, n);
	preempt_enable();
	if (!uncharged)
		res_counter_uncharge(owner, n);
}

/* What is measured: @rounds rounds, for two groups, of which most take one. */
typedef void (*work_t)(struct group *g, struct group *h, long rounds);

static noinline void pairs_ours(struct group *g, struct group *h, long rounds)
{
	while (rounds--)
		uncharge(charge(&g->ours, 1), 1);
}

static noinline void pairs_theirs(struct group *g, struct group *h, long rounds)
{
	struct page_counter *full;

	while (rounds--) {
		if (!page_counter_try_charge(&g->theirs, 1, &full))
			fail("page_counter has no room");
		page_counter_uncharge(&g->theirs, 1);
	}
}

/* Out of line as page_counter's are, for who does not have them inline. */

static noinline struct res_owner *charge_call(struct res_counter *counter, u64 n)
{
	return charge(counter, n);
}

static noinline void uncharge_call(struct res_owner *owner, u64 n)
{
	uncharge(owner, n);
}

static noinline void calls_ours(struct group *g, struct group *h, long rounds)
{
	while (rounds--)
		uncharge_call(charge_call(&g->ours, 1), 1);
}

static noinline void turns_ours(struct group *g, struct group *h, long rounds)
{
	for (; rounds > 0; rounds -= 2) {
		pairs_ours(g, NULL, 1);
		pairs_ours(h, NULL, 1);
	}
}

static noinline void turns_theirs(struct group *g, struct group *h, long rounds)
{
	for (; rounds > 0; rounds -= 2) {
		pairs_theirs(g, NULL, 1);
		pairs_theirs(h, NULL, 1);
	}
}

static noinline void batch_ours(struct group *g, struct group *h, long rounds)
{
	struct res_owner *owners[BATCH];
	int i;

	for (; rounds > 0; rounds -= BATCH) {
		for (i = 0; i < BATCH; i++)
			owners[i] = charge(&g->ours, 1);
		for (i = 0; i < BATCH; i++)
			uncharge(owners[i], 1);
	}
}

static noinline void batch_theirs(struct group *g, struct group *h, long rounds)
{
	struct page_counter *full;
	int i;

	for (; rounds > 0; rounds -= BATCH) {
		for (i = 0; i < BATCH; i++)
			page_counter_try_charge(&g->theirs, 1, &full);
		for (i = 0; i < BATCH; i++)
			page_counter_uncharge(&g->theirs, 1);
	}
}

static noinline void refused_ours(struct group *g, struct group *h, long rounds)
{
	while (rounds--)
		if (!IS_ERR(charge(&g->ours, 1)))
			fail("a charge above the limit");
}

static noinline void refused_theirs(struct group *g, struct group *h, long rounds)
{
	struct page_counter *full;

	while (rounds--)
		if (page_counter_try_charge(&g->theirs, 1, &full))
			fail("a charge above page_counter's limit");
}

/* Groups */

static void make(struct group *g, struct group *parent, unsigned long held)
{
	struct page_counter *full;

	memset(g, 0, sizeof(*g));
	if (res_counter_init(&g->ours, parent ? &parent->ours : NULL, &root))
		fail("no memory");
	page_counter_init(&g->theirs, parent ? &parent->theirs : NULL, false);
	g->held = held;
	if (!held)
		return;
	g->held_by = res_counter_charge(&g->ours, held, BC_BARRIER, true);
	if (IS_ERR(g->held_by) || !page_counter_try_charge(&g->theirs, held, &full))
		fail("the first charge is refused");
}

static void limit(struct group *g, u64 limit)
{
	if (res_counter_set_limit(&g->ours, limit, true) ||
	    page_counter_set_max(&g->theirs, limit))
		fail("no limit can be set");
}

/* After the measurement there must be what there was before. */
static void check(struct group *g, unsigned long usage)
{
	struct res_snapshot snap;

	res_counter_read(&g->ours, &snap);
	if (snap.usage != usage || page_counter_read(&g->theirs) != usage)
		fail("charges and uncharges differ");
}

static void unmake(struct group *g)
{
	if (g->held) {
		res_counter_uncharge(g->held_by, g->held);
		page_counter_uncharge(&g->theirs, g->held);
	}
	check(g, 0);
	res_counter_remove(&g->ours);
}

/* Measurements */

struct load {
	work_t		work;
	struct group	*g;
	struct group	*h;
	long		rounds;		/* that take some microseconds */
};

/* One thread's part in a row. */
struct part {
	struct load	ours;
	struct load	theirs;
	int		cpu;
	double		result[2][MAX_SLICES];
};

static int place[2];		/* the machine's CPUs that we use */
static int parts;		/* at work in this row */
static unsigned int arrived;

/* So that all begin together. */
static void rendezvous(void)
{
	unsigned int n = __atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL);
	unsigned int all = DIV_ROUND_UP(n, parts) * parts;

	while ((int)(smp_load_acquire(&arrived) - all) < 0)
		cpu_relax();
}

static void calibrate(struct load *load)
{
	double start, took;

	for (load->rounds = BATCH; ; load->rounds *= 2) {
		start = now();
		load->work(load->g, load->h, load->rounds);
		took = now() - start;
		if (took >= 5e3)
			break;
	}
}

static double measure(const struct load *load)
{
	double start, end;
	long rounds = 0;

	rendezvous();
	start = now();
	do {
		load->work(load->g, load->h, load->rounds);
		rounds += load->rounds;
		end = now();
	} while (end - start < slice);
	return (end - start) / rounds;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(place[cpu], &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *work(void *arg)
{
	struct part *part = arg;
	int i;

	pin(part->cpu);
	if (part->cpu)
		shim_thread(part->cpu);
	calibrate(&part->ours);
	calibrate(&part->theirs);
	/* Whoever goes first now goes last in the next round. */
	for (i = 0; i < slices; i++) {
		if (i % 2)
			part->result[1][i] = measure(&part->theirs);
		part->result[0][i] = measure(&part->ours);
		if (i % 2 == 0)
			part->result[1][i] = measure(&part->theirs);
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

static void row(const char *name, int depth, int cpus, work_t ours, work_t theirs,
		struct group *g, struct group *h)
{
	static struct part part[2];
	double result[2];
	pthread_t thread;
	int i, j;

	parts = cpus;
	for (i = 0; i < cpus; i++) {
		part[i].cpu = i;
		part[i].ours = (struct load){ .work = ours };
		part[i].theirs = (struct load){ .work = theirs };
		/* Two CPUs have a group each, if there are two. */
		part[i].ours.g = part[i].theirs.g = i && h ? h : g;
		part[i].ours.h = part[i].theirs.h = i && h ? g : h;
	}
	if (cpus == 2 && pthread_create(&thread, NULL, work, &part[1]))
		fail("no second thread");
	work(&part[0]);
	if (cpus == 2)
		pthread_join(thread, NULL);

	/* A slice is what it cost on the average of the CPUs. */
	for (j = 0; j < 2; j++) {
		for (i = 0; cpus == 2 && i < slices; i++)
			part[0].result[j][i] = (part[0].result[j][i] +
						part[1].result[j][i]) / 2;
		result[j] = median(part[0].result[j], slices);
	}
	printf("%s|%d|%d|%.2f|%.2f|%.3f\n", name, depth, cpus, result[0],
	       result[1], result[0] / result[1]);
	fflush(stdout);
}

/*
 * A row in a branch of @depth counters, with @held units charged to the last; or in
 * two, which have the first counter in common.
 */
static void tree(const char *name, int depth, int cpus, bool two, unsigned long held,
		 work_t ours, work_t theirs)
{
	static struct group path[2][MAX_DEPTH];
	const int leaf = depth - 1;
	int i;

	for (i = 0; i < depth; i++) {
		make(&path[0][i], i ? &path[0][i - 1] : NULL, i == leaf ? held : 0);
		if (two && i)
			make(&path[1][i], i > 1 ? &path[1][i - 1] : &path[0][0],
			     i == leaf ? held : 0);
	}
	row(name, depth, cpus, ours, theirs, &path[0][leaf],
	    two ? &path[1][leaf] : NULL);
	check(&path[0][0], two ? 2 * held : held);
	for (i = leaf; i >= 0; i--) {
		unmake(&path[0][i]);
		if (two && i)
			unmake(&path[1][i]);
		if (two && i == 1)
			check(&path[0][0], 0);
	}
	if (atomic64_read(&root.usage))
		fail("the root has something left");
}

/* A full group, with so many others in it beside the one that asks for more. */
static void refusals(int siblings)
{
	static struct group top, asker, sibling[MAX_SIBLINGS];
	char name[64];
	int i;

	make(&top, NULL, 0);
	make(&asker, &top, 0);
	for (i = 0; i < siblings; i++)
		make(&sibling[i], &top, 1);
	limit(&top, siblings);
	snprintf(name, sizeof(name), "refused, siblings: %d", siblings);
	row(name, 2, 1, refused_ours, refused_theirs, &asker, NULL);
	check(&top, siblings);
	for (i = 0; i < siblings; i++)
		unmake(&sibling[i]);
	unmake(&asker);
	unmake(&top);
}

static void teardown(void)
{
	res_root_cpu_offline(&root);
}

static const struct res_counter_ops ops = { };

int main(int argc, char **argv)
{
	static const int depths[] = { 1, 2, 4, 8 };
	cpu_set_t may;
	int i, cpus = 0;
	double end;

	if (argc > 1)
		slices = clamp(atoi(argv[1]), 1, MAX_SLICES);
	if (argc > 2)
		slice = max(atoi(argv[2]), 1) * 1e3;

	sched_getaffinity(0, sizeof(may), &may);
	for (i = 0; i < CPU_SETSIZE && cpus < 2; i++)
		if (CPU_ISSET(i, &may))
			place[cpus++] = i;
	if (cpus < 2)
		fprintf(stderr, "bench: only one CPU, nothing to see of two\n");

	shim_init();
	shim_teardown = teardown;
	if (res_root_init(&root, &ops))
		fail("no memory");
	/* The machine may take a while until it runs at full speed. */
	for (end = now() + 300e6; now() < end; )
		cpu_relax();
	for (i = 0; i < ARRAY_SIZE(depths); i++)
		tree("one CPU", depths[i], 1, false, 100, pairs_ours, pairs_theirs);
	for (i = 0; i < ARRAY_SIZE(depths); i++)
		tree("one CPU, called", depths[i], 1, false, 100, calls_ours,
		     pairs_theirs);
	for (i = 0; i < ARRAY_SIZE(depths) && cpus == 2; i++)
		tree("two CPUs, one group", depths[i], 2, false, 100, pairs_ours,
		     pairs_theirs);
	for (i = 1; i < ARRAY_SIZE(depths) && cpus == 2; i++)
		tree("two CPUs, a group each", depths[i], 2, true, 100, pairs_ours,
		     pairs_theirs);
	for (i = 0; i < ARRAY_SIZE(depths); i++)
		tree("32 by 32, few held", depths[i], 1, false, 100, batch_ours,
		     batch_theirs);
	for (i = 0; i < ARRAY_SIZE(depths); i++)
		tree("32 by 32, many held", depths[i], 1, false, 10000, batch_ours,
		     batch_theirs);
	for (i = 1; i < ARRAY_SIZE(depths); i++)
		tree("two groups in turn", depths[i], 1, true, 100, turns_ours,
		     turns_theirs);
	refusals(1);
	refusals(MAX_SIBLINGS);
	res_root_exit(&root);
	return 0;
}
