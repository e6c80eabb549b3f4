// SPDX-License-Identifier: GPL-2.0
/*
 * Walks: a few workers in a tree of groups do what comes next by chance, one
 * after the other, and a model in this file says what must come of it: which
 * worker gets a file and which does not, which write succeeds, and what every
 * count is after each step. Every count has to be exact, but for the extremes:
 * these are allowed as much slack as there may be in stock, and what was shown
 * as usage was there.
 *
 * The model knows no stock. Catches: whatever the other tests have not thought
 * of.
 *
 * BC_SEED=N in the environment takes other walks than the usual ones.
 */
/* bc-boot: --smp 4 */
#include <fcntl.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

FIXTURE(walk)
{
	char *top;
	int cpus;
};

FIXTURE_VARIANT(walk)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(walk, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(walk, v2) { .v2 = true };

FIXTURE_SETUP(walk)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->cpus = bc_cpus();
}

FIXTURE_TEARDOWN(walk)
{
	bc_teardown();
}

enum { NODES = 6, WORKERS = 5, MANY = 1 << 14 };

/* top: a, b; a: x, y; x: deep. Parents come first. */
static const struct {
	const char *name;
	int parent;
	bool leaf;
} plan[NODES] = {
	{ "top",  -1, false },
	{ "a",     0, false },
	{ "b",     0, true },
	{ "x",     1, false },
	{ "y",     1, true },
	{ "deep",  3, true },
};

static struct node {
	char *cg;
	long own;		/* files charged here, or left behind */
	long reserved;
	long long limit, barrier;
	long usage, max, min, charged, uncharged, refused;
	long highest;		/* usage ever: bounds what is in stock */
	long shown;		/* the highest usage that was read since then */
	int peak;		/* v2: the open file that has our maximum */
} node[NODES];

static struct actor {
	struct worker *w;
	int at;
	bool privileged;
	int held;
	signed char file[MANY];	/* which node each of its files is charged to */
} actor[WORKERS];

static unsigned int dice;

static int chance(int n)
{
	return rand_r(&dice) % n;
}

static long taken(int i)
{
	return node[i].usage > node[i].reserved ? node[i].usage : node[i].reserved;
}

static long pledged(int i)
{
	long sum = 0, child;
	int c;

	for (c = i + 1; c < NODES; c++)
		if (plan[c].parent == i) {
			child = pledged(c);
			sum += child > node[c].reserved ? child : node[c].reserved;
		}
	return sum;
}

/* All usages after a change, and what follows from them. */
static void model_update(void)
{
	int i, c;

	for (i = NODES - 1; i >= 0; i--) {
		struct node *n = &node[i];
		long usage = n->own;

		for (c = i + 1; c < NODES; c++)
			if (plan[c].parent == i)
				usage += taken(c);
		n->usage = usage;
		n->max = usage > n->max ? usage : n->max;
		n->min = usage < n->min ? usage : n->min;
		n->highest = usage > n->highest ? usage : n->highest;
	}
}

/* The node that has no room for one more file in @i; -1: there is room. */
static int model_refuses(int i, bool privileged)
{
	for (; i >= 0; i = plan[i].parent) {
		if (node[i].usage + 1 > node[i].limit)
			return i;
		if (!privileged && node[i].usage + 1 > node[i].barrier)
			return i;
		if (node[i].usage < node[i].reserved)
			break;
	}
	return -1;
}

/*
 * A file was charged to @i or was returned there: totals are of all above, too.
 */
static void model_count(int i, bool charged)
{
	for (; i >= 0; i = plan[i].parent) {
		if (charged)
			node[i].charged++;
		else
			node[i].uncharged++;
	}
}

/* Opens up to @n files: how many, until one is refused. */
static int model_open(struct actor *by, int n)
{
	int i, at;

	for (i = 0; i < n; i++) {
		at = model_refuses(by->at, by->privileged);
		if (at >= 0) {
			node[at].refused++;
			break;
		}
		node[by->at].own++;
		model_count(by->at, true);
		by->file[by->held++] = by->at;
		model_update();
	}
	return i;
}

static void model_close(struct actor *by, int n)
{
	for (; n && by->held; n--) {
		const int at = by->file[--by->held];

		node[at].own--;
		model_count(at, false);
		model_update();
	}
}

static int model_set_limit(int i, long long limit)
{
	if (limit < node[i].reserved)
		return -EINVAL;
	if (limit < pledged(i) || (!bc_v2 && limit < node[i].usage))
		return -EBUSY;
	node[i].limit = limit;
	return 0;
}

static int model_set_reserved(int i, long reserved)
{
	struct node *n = &node[i];
	long more, usage;
	int p;

	if (reserved > n->limit)
		return -EINVAL;
	if (reserved > n->reserved) {
		more = (reserved > n->usage ? reserved : n->usage) - taken(i);
		for (p = plan[i].parent; p >= 0; p = plan[p].parent) {
			usage = node[p].usage + more;
			if (usage > node[p].limit || usage > node[p].barrier)
				return -ENOSPC;
			if (usage <= node[p].reserved)
				break;
			more = usage > node[p].reserved ? usage - taken(p) : 0;
		}
	}
	n->reserved = reserved;
	model_update();
	return 0;
}

static bool lends(int i)
{
	return node[i].reserved || pledged(i);
}

static void new_node(int i)
{
	struct node *n = &node[i];
	char *cg = n->cg;

	*n = (struct node) { .limit = BC_UNLIMITED, .barrier = BC_UNLIMITED };
	n->cg = cg;
	n->peak = bc_v2 ? cg_open(cg, "max_usage", O_RDWR) : -1;
	if (n->peak >= 0 && write(n->peak, "r", 1) != 1)
		n->peak = -1;
}

/*
 * The node goes and leaves what it has to its parent; a new one takes its name.
 */
static int model_replace(int i)
{
	int a, f, p = plan[i].parent, err;

	for (a = 0; a < WORKERS; a++)
		if (actor[a].at == i)
			return -EBUSY;
	for (a = 0; a < WORKERS; a++)
		for (f = 0; f < actor[a].held; f++)
			if (actor[a].file[f] == i)
				actor[a].file[f] = p;
	close(node[i].peak);
	err = cg_rmdir(node[i].cg);
	if (err)
		return err;
	node[p].own += node[i].own;
	if (mkdir(node[i].cg, 0755))
		return -errno;
	new_node(i);
	model_update();
	return 0;
}

/* The last steps, for the report of a failure. */
static char history[8][96];
static int step;

#define DID(...) snprintf(history[step % 8], sizeof(history[0]), __VA_ARGS__)

static char *tell(void)
{
	char *all = NULL;
	size_t size;
	FILE *f = open_memstream(&all, &size);
	int i;

	for (i = step < 8 ? 0 : step - 7; f && i <= step; i++)
		fprintf(f, "\n#\t%d: %s", i, history[i % 8]);
	for (i = 0; f && i < NODES; i++)
		fprintf(f, "\n#\t%s: usage %ld, stock %lld, reserved %ld, limit %lld, barrier %lld",
			plan[i].name, node[i].usage, cg_stock(node[i].cg),
			node[i].reserved, node[i].limit, node[i].barrier);
	if (f)
		fclose(f);
	return all;
}

static long long model_max_seen(int i)
{
	return bc_v2 ? bc_read_number(node[i].peak) : cg_get(node[i].cg, "max_usage");
}

/* Compares; @cpus is how many charge. */
static void compare(struct __test_metadata *_metadata, int cpus, bool all)
{
	int i;

	for (i = 0; i < NODES; i++) {
		struct node *n = &node[i];
		const long most = bc_most_stock(cpus, NODES, n->highest);
		const long long bound = n->limit < n->barrier ? n->limit : n->barrier;
		long long seen;

		ASSERT_EQ(n->usage, cg_get(n->cg, "usage"))
			TH_LOG("%s: %s", plan[i].name, tell());
		n->shown = n->usage > n->shown ? n->usage : n->shown;
		seen = cg_stock(n->cg);
		ASSERT_TRUE(seen >= 0 && seen <= most)
			TH_LOG("stock of %s is %lld: %s", plan[i].name, seen,
			       tell());
		/*
		 * It never makes up more than there is left; but a reservation
		 * may.
		 */
		ASSERT_TRUE(!seen || lends(i) || n->usage + seen <= bound)
			TH_LOG("stock of %s is %lld: %s", plan[i].name, seen,
			       tell());
		if (!all)
			continue;
		seen = model_max_seen(i);
		ASSERT_TRUE(seen >= n->max - most && seen >= n->shown &&
			    seen <= n->max + most)
			TH_LOG("maximum of %s is %lld, expected %ld: %s",
			       plan[i].name, seen, n->max, tell());
		seen = cg_min_usage(n->cg);
		ASSERT_TRUE(seen >= n->min - most && seen <= n->usage &&
			    seen <= n->min + most)
			TH_LOG("minimum of %s is %lld, expected %ld: %s",
			       plan[i].name, seen, n->min, tell());
		ASSERT_EQ(n->refused, cg_refusals(n->cg))
			TH_LOG("%s: %s", plan[i].name, tell());
		ASSERT_EQ(n->charged, cg_key(n->cg, "stat", "charged"))
			TH_LOG("%s: %s", plan[i].name, tell());
		ASSERT_EQ(n->uncharged, cg_key(n->cg, "stat", "uncharged"))
			TH_LOG("%s: %s", plan[i].name, tell());
	}
}

/* A bound that is near, or none. */
static long long any_bound(int i, int scale)
{
	long long bound = node[i].usage - 3 * scale + chance(16 * scale);

	if (!chance(3))
		return BC_UNLIMITED;
	return bound < 0 ? 0 : bound;
}

static void take_step(struct __test_metadata *_metadata, int cpus, int scale)
{
	struct actor *by = &actor[chance(WORKERS)];
	int i = chance(NODES), n = 1 + chance(6 * scale), a = by - actor;
	int did = chance(100), want;
	long long bound, old;

	if (by->held > MANY - 10 * scale)
		did = 50;
	if (did < 40) {
		DID("%s%d opens %d in %s", by->privileged ? "root" : "user", a, n,
		    plan[by->at].name);
		want = model_open(by, n);
		ASSERT_EQ(want, call(by->w, open_until_refused, n))
			TH_LOG("%s", tell());
	} else if (did < 70) {
		if (!chance(8))
			n = by->held;
		DID("%d closes %d", a, n);
		model_close(by, n);
		ASSERT_EQ(0, call(by->w, close_files, n));
	} else if (did < 78) {
		if (bc_v2 && !plan[i].leaf)
			return;
		DID("%d moves to %s", a, plan[i].name);
		ASSERT_TRUE(worker_move(by->w, node[i].cg));
		by->at = i;
	} else if (did < 83) {
		i = chance(cpus);
		DID("%d runs on %d", a, i);
		ASSERT_EQ(0, call(by->w, pin_to_cpu, i));
	} else if (did < 89) {
		bound = any_bound(i, scale);
		old = node[i].limit;
		DID("limit of %s from %lld to %lld", plan[i].name, old, bound);
		want = model_set_limit(i, bound);
		ASSERT_EQ(want, cg_set(node[i].cg, "limit", bound))
			TH_LOG("%s", tell());
	} else if (did < 93) {
		bound = any_bound(i, scale);
		old = node[i].barrier;
		DID("barrier of %s from %lld to %lld", plan[i].name, old, bound);
		node[i].barrier = bound;
		ASSERT_EQ(0, cg_set(node[i].cg, "barrier", bound));
	} else if (did < 96) {
		n = chance(2) ? 0 : chance(node[i].usage + 8 * scale);
		DID("reservation of %s from %ld to %d", plan[i].name,
		    node[i].reserved, n);
		ASSERT_EQ(model_set_reserved(i, n),
			  cg_set(node[i].cg, "reservation", n))
			TH_LOG("%s", tell());
	} else if (did < 98) {
		DID("maximum of %s begins anew", plan[i].name);
		node[i].max = node[i].usage;
		node[i].shown = node[i].usage;
		if (bc_v2) {
			ASSERT_EQ(1, write(node[i].peak, "r", 1));
		} else {
			ASSERT_EQ(0, cg_write(node[i].cg, "max_usage", "r"));
		}
	} else if (did < 99) {
		DID("minimum and totals of %s begin anew", plan[i].name);
		node[i].min = node[i].usage;
		node[i].charged = 0;
		node[i].uncharged = 0;
		ASSERT_EQ(0, cg_write(node[i].cg, "stat", "r"));
		if (!bc_v2)
			ASSERT_EQ(0, cg_write(node[i].cg, "min_usage", "r"));
	} else {
		if (!plan[i].leaf)
			return;
		DID("%s goes, and is there again", plan[i].name);
		want = model_replace(i);
		ASSERT_TRUE(!want || want == -EBUSY)
			TH_LOG("%d: %s", want, tell());
	}
	compare(_metadata, cpus, step % 4 == 0);
	step++;
}

static void take_walk(struct __test_metadata *_metadata, const char *top, int cpus,
		      int scale, int steps, unsigned int seed)
{
	static const int home[] = { 5, 4, 2, 5, 4 };
	int i;

	dice = seed;
	step = 0;
	node[0].cg = strdup(top);
	for (i = 0; i < NODES; i++) {
		if (i) {
			const char *parent = node[plan[i].parent].cg;

			node[i].cg = cg_new(parent, plan[i].name);
			ASSERT_NE(NULL, node[i].cg);
		}
		new_node(i);
	}
	for (i = 0; i < WORKERS; i++) {
		actor[i].at = home[i];
		actor[i].privileged = i % 2;
		actor[i].w = i % 2 ? worker_new_on_cpu(node[home[i]].cg, i % cpus) :
				     user_new_on_cpu(node[home[i]].cg, i % cpus);
		ASSERT_NE(NULL, actor[i].w);
	}
	while (steps--)
		take_step(_metadata, cpus, scale);

	/* All of it comes back, and any group can have all. */
	for (i = 0; i < NODES; i++)
		if (plan[i].leaf)
			cg_set(node[i].cg, "reservation", 0);
	for (i = 0; i < WORKERS; i++)
		ASSERT_EQ(0, call(actor[i].w, close_all, 0));
	for (i = NODES - 1; i >= 0; i--) {
		ASSERT_EQ(0, cg_set(node[i].cg, "reservation", 0));
		EXPECT_EQ(0, cg_get(node[i].cg, "usage"));
		EXPECT_EQ(0, cg_key(node[i].cg, "stat", "lent"));
		ASSERT_EQ(0, cg_set(node[i].cg, "barrier", BC_UNLIMITED));
		ASSERT_EQ(0, cg_set(node[i].cg, "limit", BC_UNLIMITED));
	}
	ASSERT_EQ(0, cg_set(node[0].cg, "limit", 50));
	EXPECT_EQ(50, call(actor[chance(WORKERS)].w, open_until_refused, 60));
}

/* For other walks than the usual ones. */
static unsigned int seed(unsigned int usual)
{
	const char *other = getenv("BC_SEED");

	return other ? atoi(other) : usual;
}

TEST_F(walk, one_cpu)
{
	take_walk(_metadata, self->top, 1, 1, bc_rounds(1500), seed(1));
}

TEST_F(walk, one_cpu_long_steps)
{
	take_walk(_metadata, self->top, 1, 40, bc_rounds(600), seed(2));
}

TEST_F(walk, all_cpus)
{
	if (self->cpus < 2)
		SKIP(return, "needs two CPUs");
	take_walk(_metadata, self->top, self->cpus, 1, bc_rounds(1500), seed(3));
}

TEST_F(walk, all_cpus_long_steps)
{
	if (self->cpus < 2)
		SKIP(return, "needs two CPUs");
	take_walk(_metadata, self->top, self->cpus, 40, bc_rounds(600), seed(4));
}

TEST_HARNESS_MAIN
