// SPDX-License-Identifier: GPL-2.0
/* Tests, and groups on the simulated machine; see sim.c. */
#include <stdarg.h>

#include "sim.h"

bool verbose;

/* TAP */

int tests, failures;
static char failed[1000];

void expect(bool good, const char *fmt, ...)
{
	size_t used = strlen(failed);
	char reason[300];
	va_list args;

	/* The first few reasons will do. */
	if (good || used > sizeof(failed) / 2)
		return;
	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	if (!strstr(failed, reason))
		snprintf(failed + used, sizeof(failed) - used, "#   %s\n", reason);
}

void done(const char *fmt, ...)
{
	va_list args;

	printf("%sok %d - ", *failed ? "not " : "", ++tests);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n%s", failed);
	failures += *failed != 0;
	*failed = 0;
	fflush(stdout);
}

void say(const char *fmt, ...)
{
	va_list args;

	if (!verbose)
		return;
	printf("# ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

void say_cost(const char *what, const struct cost *c)
{
	say("%-46s steps %7llu hold %4llu irqs off %4llu locks %5llu IPIs %4llu lines %5llu",
	    what, (unsigned long long)c->steps, (unsigned long long)c->hold,
	    (unsigned long long)c->irqs_off, (unsigned long long)c->locks,
	    (unsigned long long)c->ipis, (unsigned long long)c->foreign);
}

/* Groups */

struct group *groups;
u64 capacity_barrier, capacity_limit;
struct res_counter *drain_later;
bool drain_root_later;
static u64 refusals;

static u64 capacity(struct res_root *r, enum bc_severity severity)
{
	return severity < BC_LIMIT ? capacity_barrier : capacity_limit;
}

static void refused(const struct res_refusal *refusal)
{
	refusals++;
}

static void later(struct res_root *r, struct res_counter *counter)
{
	if (counter)
		drain_later = counter;
	else
		drain_root_later = true;
}

static void room(struct res_root *r, struct res_counter *counter)
{
}

static const struct res_counter_ops ops = {
	.capacity	= capacity,
	.refused	= refused,
	.drain_later	= later,
	.room		= room,
};

void world_begin(unsigned int cpus)
{
	static struct res_root the_root;

	set_online(cpus);
	lines_begin();
	memset(&the_root, 0, sizeof(the_root));
	the_root.batch_min = 4;
	the_root.batch_max = 64;
	capacity_barrier = capacity_limit = RES_COUNTER_MAX;
	if (res_root_init(&the_root, &ops))
		die("no memory");
	root = &the_root;
	memset(&cost, 0, sizeof(cost));
}

/* Owners have consecutive addresses: these bits differ. */
#define MAX_OWNERS	(1UL << 16)
static struct group *of_owner[MAX_OWNERS];

static struct group **owner_place(const struct res_owner *owner)
{
	return &of_owner[(unsigned long)owner / RES_SLOT_SIZE % MAX_OWNERS];
}

struct group *make(struct group *parent)
{
	struct group *g = aligned_alloc(64, ALIGN(sizeof(*g), 64));

	if (!g)
		die("no memory");
	memset(g, 0, sizeof(*g));
	if (res_counter_init(&g->counter, parent ? &parent->counter : NULL, root))
		die("no memory");
	g->parent = parent;
	g->owner = g->counter.owner;
	*owner_place(g->owner) = g;
	g->next = groups;
	groups = g;
	return g;
}

/* @depth groups, each below the one before. Returns the last one. */
struct group *make_chain(struct group *parent, int depth)
{
	while (depth--)
		parent = make(parent);
	return parent;
}

bool charge_as(struct group *g, u64 n, enum bc_severity severity, bool may_block)
{
	struct res_owner *owner = user_charge(&g->counter, n, severity, may_block);

	if (IS_ERR(owner))
		return false;
	if (owner != g->owner)
		die("another group was charged");
	g->held += n;
	return true;
}

void charge(struct group *g, u64 n)
{
	if (!charge_as(g, n, BC_BARRIER, true))
		die("a charge that fits is refused");
}

void uncharge(struct group *g, u64 n)
{
	g->held -= n;
	user_uncharge(root, g->owner, n);
}

void pair(struct group *g)
{
	charge(g, 1);
	uncharge(g, 1);
}

void set_limit(struct group *g, u64 limit)
{
	if (res_counter_set_limit(&g->counter, limit, false))
		die("a limit is refused");
}

void set_barrier(struct group *g, u64 barrier)
{
	if (res_counter_set_barrier(&g->counter, barrier))
		die("a barrier is refused");
}

void set_reserved(struct group *g, u64 reserved)
{
	struct res_refusal lacking;

	if (res_counter_set_reserved(&g->counter, reserved, RES_LIMIT_KEEP, &lacking))
		die("a reservation is refused");
}

void remove_group(struct group *g)
{
	res_counter_remove(&g->counter);
	g->removed = true;
}

u64 usage(struct group *g)
{
	struct res_snapshot snap;

	res_counter_read(&g->counter, &snap);
	return snap.usage;
}

/* The slots that CPUs have open for @g. */
int open_slots(struct group *g)
{
	int cpu, i, n = 0;

	for (cpu = 0; cpu < MAX_CPUS; cpu++)
		for (i = 0; i < RES_SLOTS; i++) {
			struct res_slot *slot = &per_cpu_ptr(root->stock, cpu)->slot[i];

			n += slot->owner == g->owner &&
			     !res_slot_closed(local_read(&slot->units));
		}
	return n;
}

static bool is_below(const struct group *g, const struct group *top)
{
	while (g && g != top)
		g = g->parent;
	return g == top;
}

static bool has_credit(const struct res_counter *c)
{
	return c->taken > max(c->used, c->reserved);
}

/* The groups from @top down with something kept, and their slots that are open. */
u64 kept_below(struct group *top)
{
	struct group *g;
	u64 n = 0;
	int cpu, i;

	for (g = groups; g; g = g->next)
		n += !g->removed && (g->counter.linked || has_credit(&g->counter)) &&
		     is_below(g, top);
	for (cpu = 0; cpu < MAX_CPUS; cpu++)
		for (i = 0; i < RES_SLOTS; i++) {
			struct res_slot *slot = &per_cpu_ptr(root->stock, cpu)->slot[i];

			if (!res_slot_closed(local_read(&slot->units)))
				n += is_below(*owner_place(slot->owner), top);
		}
	return n;
}

/* All is uncharged and removed, and must be gone. */
void world_end(void)
{
	struct group *g, *next;

	on(0);
	for (g = groups; g; g = g->next)
		if (g->held)
			uncharge(g, g->held);
	/* Groups below were made later. */
	for (g = groups; g; g = g->next) {
		if (!g->removed) {
			if (usage(g))
				die("a group has something left");
			if (g->counter.reserved)
				set_reserved(g, 0);
			remove_group(g);
		}
	}
	if (atomic64_read(&root->usage))
		die("the root has something left");
	for (g = groups; g; g = next) {
		next = g->next;
		res_counter_destroy(&g->counter);
		free(g);
	}
	groups = NULL;
	shim_reclaim();
	res_root_exit(root);
	root = NULL;
	cost_worse(&total_worst, &cost);
}

/* How many of the locks that were taken are of counters that @top is not above. */
u64 locks_beside(const struct cost *c, struct group *top)
{
	struct group *g;
	u64 n = 0;

	for (g = groups; g; g = g->next)
		n += !is_below(g, top) && took_lock_of(c, &g->counter);
	return n;
}
