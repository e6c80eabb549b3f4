// SPDX-License-Identifier: GPL-2.0
/*
 * The charge engine under fire
 *
 * kernel/bc/res_counter.c, compiled as it is, under ThreadSanitizer: threads
 * charge, uncharge, move bounds, borrow, repay, make and remove groups, and are
 * interrupted at any moment by signals that charge and uncharge, too. An observer
 * checks the invariants all the while, and at the end everything must be exactly
 * zero, with every owner freed.
 *
 * usage: hammer [SECONDS [SEED]]
 *
 * With an even seed there are forced charges, and limits below usage. Then usage
 * may be above a limit, which with an odd one it must never be.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"
#include "threads.h"
#include <bc/res_counter.h>

#define WORKERS		4
#define GROUPS		24	/* places for groups; a parent comes before its children */
#define OBJECTS		64	/* by worker */
#define CAPACITY	400
#define FOR_ALL		360	/* ... without privilege */

struct group {
	struct res_counter	counter;	/* freed with the group, after RCU */
	struct group		*parent;
	int			refs;		/* of whoever may sleep in a charge */
	struct rcu_head		rcu;
};

struct object {
	struct res_owner	*owner;
	u64			n;
};

static struct res_root root;
static struct group *groups[GROUPS];
static int parent_of[GROUPS];
static pthread_mutex_t tree_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool stop;
static u64 made, freed, charges, refusals, interrupts, removals, checks;
static unsigned int seed = 2007;
static bool wild;
static pthread_t workers[WORKERS];
static __thread unsigned int rnd;
static __thread struct object by_irq[8];

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

static unsigned int below(unsigned int bound)
{
	rnd = rnd * 1664525 + 1013904223;
	return (rnd >> 8) % bound;
}

/* Callbacks */

static u64 capacity(struct res_root *r, enum bc_severity severity)
{
	return severity == BC_BARRIER ? FOR_ALL : CAPACITY;
}

static bool privileged(void)
{
	return below(2);
}

static bool limit_hit(const struct res_refusal *refusal, bool may_block)
{
	if (may_block)
		sched_yield();
	return below(4) == 0;
}

static bool shrink(const struct res_refusal *lacking)
{
	if (lacking->usage + lacking->n <= lacking->bound)
		fail("asked to shrink where there is room");
	sched_yield();
	return true;
}

static void refused(const struct res_refusal *refusal)
{
	/* What we are handed must be there to be read. */
	if (!refusal->counter->root)
		fail("a refusal by nobody");
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

/* Under tree_mutex, or before there are threads. */
static void make_group(int i)
{
	struct group *g = calloc(1, sizeof(*g));
	int p = parent_of[i];

	g->refs = 1;
	g->parent = p < 0 ? NULL : groups[p];
	if (g->parent && !group_get(g->parent))
		fail("a parent without references");
	if (res_counter_init(&g->counter, p < 0 ? NULL : &groups[p]->counter,
			     &root))
		fail("no memory");
	count(&made);
	smp_store_release(&groups[i], g);
}

static void remove_group(int i)
{
	struct group *g = groups[i];

	smp_store_release(&groups[i], NULL);
	res_counter_remove(&g->counter);
	count(&removals);
	group_put(g);
}

/* Charges */

static struct res_owner *charge(u64 n)
{
	struct res_owner *owner = NULL;
	struct group *g;

	rcu_read_lock();
	g = smp_load_acquire(&groups[below(GROUPS)]);
	if (g) {
		owner = res_counter_try_charge(&g->counter, n);
		if (IS_ERR(owner) && group_get(g)) {
			rcu_read_unlock();
			owner = res_counter_charge(&g->counter, n,
						   wild && !below(50) ?
						   BC_FORCE : below(2), true);
			group_put(g);
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
	return IS_ERR(owner) ? NULL : owner;
}

static void interrupt(int sig)
{
	struct object *o = &by_irq[below(8)];
	int err = errno;

	shim_irq_enter();
	if (!o->owner) {
		struct group *g;

		rcu_read_lock();
		g = smp_load_acquire(&groups[below(GROUPS)]);
		if (g) {
			o->n = 1 + below(3);
			o->owner = res_counter_charge(&g->counter, o->n, BC_LIMIT,
						      false);
			if (IS_ERR(o->owner))
				o->owner = NULL;
		}
		rcu_read_unlock();
	} else {
		res_counter_uncharge(o->owner, o->n);
		o->owner = NULL;
	}
	count(&interrupts);
	shim_irq_exit();
	errno = err;
}

static void *worker(void *arg)
{
	struct object objects[OBJECTS] = { };
	int i;

	shim_thread((long)arg);
	rnd = seed + (long)arg;
	while (!READ_ONCE(stop)) {
		struct object *o = &objects[below(OBJECTS)];

		if (o->owner) {
			/* Some go back in two parts. */
			u64 n = 1 + below(o->n);

			res_counter_uncharge(o->owner, n);
			o->n -= n;
			if (!o->n)
				o->owner = NULL;
		} else {
			o->n = 1 + below(7);
			o->owner = charge(o->n);
			count(&charges);
		}
	}

	/* For good: what interrupts have charged is returned here, too. */
	shim_irq_save();
	for (i = 0; i < OBJECTS; i++)
		if (objects[i].owner)
			res_counter_uncharge(objects[i].owner, objects[i].n);
	for (i = 0; i < 8; i++)
		if (by_irq[i].owner)
			res_counter_uncharge(by_irq[i].owner, by_irq[i].n);
	return NULL;
}

/* The administrator: bounds, loans, groups. */
static void *admin(void *arg)
{
	shim_thread((long)arg);
	rnd = seed + (long)arg;
	while (!READ_ONCE(stop)) {
		int i = below(GROUPS), j;
		struct res_counter *c;

		pthread_mutex_lock(&tree_mutex);
		if (!groups[i]) {
			if (parent_of[i] < 0 || groups[parent_of[i]])
				make_group(i);
		} else {
			c = &groups[i]->counter;
			switch (below(8)) {
			case 0:
				for (j = i + 1; j < GROUPS; j++)
					if (parent_of[j] == i && groups[j])
						break;
				if (j == GROUPS)
					remove_group(i);
				break;
			case 1:
			case 2:
				if (res_counter_set_limit(c, below(120), !wild))
					break;
				break;
			case 3:
				if (res_counter_set_barrier(c, below(120)))
					fail("a barrier was refused");
				break;
			default:
				if (res_counter_set_reserved(c, below(30),
							     !below(16), shrink, 2))
					break;
				break;
			}
		}
		pthread_mutex_unlock(&tree_mutex);
	}
	return NULL;
}

/*
 * With the tree's locks held: is what every counter has what it holds and what
 * its children take, is it within its limit, does the root have enough?
 */
static void check(bool quiet)
{
	u64 own[GROUPS] = { 0 }, lent[GROUPS] = { 0 }, pledged[GROUPS] = { 0 };
	u64 at_root = 0, usage;
	unsigned long flags = shim_irq_save();
	int i;

	for (i = 0; i < GROUPS; i++)
		if (groups[i] && parent_of[i] < 0)
			pthread_mutex_lock(&groups[i]->counter.lock.mutex);
	for (i = GROUPS - 1; i >= 0; i--) {
		struct res_counter *c;
		u64 takes;

		if (!groups[i])
			continue;
		c = &groups[i]->counter;
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
		if (c->reserved > c->limit)
			fail("more reserved than allowed");
		if (quiet && (c->held || c->inherited))
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
	usage = atomic64_read(&root.usage);
	if (usage < at_root || (quiet && usage > at_root))
		fail("invariant 1: the root does not have what the groups take");
	if (usage > CAPACITY && !wild)
		fail("invariant 2: more than the machine has");
	for (i = 0; i < GROUPS; i++)
		if (groups[i] && parent_of[i] < 0)
			pthread_mutex_unlock(&groups[i]->counter.lock.mutex);
	shim_irq_restore(flags);
	count(&checks);
}

static void *observer(void *arg)
{
	int i;

	shim_thread((long)arg);
	while (!READ_ONCE(stop)) {
		pthread_mutex_lock(&tree_mutex);
		check(false);
		pthread_mutex_unlock(&tree_mutex);
		shim_reclaim();
		for (i = 0; i < WORKERS; i++)
			pthread_kill(workers[i], SIGUSR1);
		usleep(200);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 5;
	pthread_t others[2];
	struct sigaction sa = { .sa_handler = interrupt };
	long i;

	if (argc > 2)
		seed = atoi(argv[2]);
	rnd = seed;
	wild = seed % 2 == 0;
	sigfillset(&sa.sa_mask);
	sigaction(SIGUSR1, &sa, NULL);
	shim_init();
	root.ops = &ops;
	for (i = 0; i < GROUPS; i++) {
		parent_of[i] = (int)below(i + 1) - 1;
		make_group(i);
	}

	for (i = 0; i < WORKERS; i++)
		pthread_create(&workers[i], NULL, worker, (void *)(i + 1));
	pthread_create(&others[0], NULL, admin, (void *)(i + 1));
	pthread_create(&others[1], NULL, observer, (void *)(i + 2));
	sleep(seconds);
	WRITE_ONCE(stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(others[i], NULL);
	for (i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);

	check(true);
	for (i = GROUPS - 1; i >= 0; i--)
		if (groups[i])
			remove_group(i);
	if (atomic64_read(&root.usage))
		fail("invariant 5: the root has something left");
	if (freed != made)
		fail("owners were freed twice, or never");
	shim_reclaim();
	printf("%llu charges (%llu refused), %llu interrupts, %llu groups removed, %llu checks: all invariants held\n",
	       (unsigned long long)charges, (unsigned long long)refusals,
	       (unsigned long long)interrupts, (unsigned long long)removals,
	       (unsigned long long)checks);
	return 0;
}
