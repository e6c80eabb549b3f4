/* SPDX-License-Identifier: GPL-2.0 */
/*
 * res_counter: hierarchical counting with barriers and limits
 *
 * The engine under the beancounters. It knows no cgroup: whoever embeds a
 * res_counter says through res_counter_ops what is to happen on a refusal.
 * The model and its invariants are set out in kernel/bc/res_counter.c and in
 * Documentation/bc/res_counter.rst.
 */
#ifndef _BC_RES_COUNTER_H
#define _BC_RES_COUNTER_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/irq_work.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <asm/local.h>

/* A bound that nothing reaches; also the largest amount there is. */
#define RES_COUNTER_MAX		((u64)S64_MAX)

/* What can become of the limit when a reservation changes. */
#define RES_LIMIT_KEEP		U64_MAX
#define RES_LIMIT_WALL		(U64_MAX - 1)

/**
 * enum bc_severity - how hard a charge insists
 * @BC_BARRIER: refused where usage would pass the barrier or the limit
 * @BC_LIMIT: refused where usage would pass the limit
 * @BC_FORCE: never refused; it may overrun both, and later charges are
 *	refused until usage has fallen below again
 *
 * The severities are those of the beancounter patches of 2006.
 */
enum bc_severity {
	BC_BARRIER,
	BC_LIMIT,
	BC_FORCE,
};

/* How many kinds of units a resource can tell apart. */
#define RES_KINDS		3

struct res_counter;
struct res_owner;

/**
 * struct res_refusal - why a charge found no room
 * @counter: the counter without room; where several have none, the one
 *	nearest to the counter charged. Where the machine itself has none, the
 *	counter below the root.
 * @n: units asked for
 * @usage: what @counter (or the machine) held then
 * @bound: the bound that was in the way
 * @at: which bound: %BC_BARRIER or %BC_LIMIT
 * @machine: it is the machine's
 */
struct res_refusal {
	struct res_counter	*counter;
	u64			n;
	u64			usage;
	u64			bound;
	enum bc_severity	at;
	bool			machine;
};

struct res_root;

/**
 * typedef res_shrink_t - make room for a change of reservation
 * @lacking: who has no room to lend; or who uses more than what is to be left to
 *	it, which then is the bound, for no units more. In either case usage + n -
 *	bound are missing.
 *
 * Called without the engine's locks, in task context.
 *
 * Return: Whether to try once more.
 */
typedef bool (*res_shrink_t)(const struct res_refusal *lacking);

/**
 * struct res_counter_ops - what the user of the engine does when told
 * @capacity: the machine's own amount of the resource, for a %BC_BARRIER or a
 *	%BC_LIMIT charge; asked at every charge, so that it may change. Called
 *	under the tree's lock: it may do no more than read. NULL: no bound.
 * @privileged: whether a %BC_BARRIER charge that a barrier has refused may go on
 *	to the limit
 * @barrier_hit: %BC_LIMIT charges took the usage of @counter across its barrier
 * @limit_hit: a charge was refused. It may make room, sleeping only if
 *	@may_block, and return true to have the charge tried once more.
 * @refused: a charge was refused for good
 * @forced: a %BC_FORCE charge passed a limit; described like a refusal
 * @owner_freed: an owner below @root is no more
 *
 * All but @capacity are optional, and are called without the engine's locks
 * and in the context of the charge or uncharge. A counter that they are
 * handed stays allocated during the call.
 */
struct res_counter_ops {
	u64 (*capacity)(struct res_root *root, enum bc_severity severity);
	bool (*privileged)(void);
	void (*barrier_hit)(struct res_counter *counter);
	bool (*limit_hit)(const struct res_refusal *refusal, bool may_block);
	void (*refused)(const struct res_refusal *refusal);
	void (*forced)(const struct res_refusal *refusal);
	void (*owner_freed)(struct res_root *root);
};

/**
 * struct res_stock - units that a CPU keeps at hand
 * @owner: whose they are, while the stock is open, and afterwards whose they were.
 *	Changes on its own CPU alone, in task context.
 * @units: how many, if not negative; closed, RES_STOCK_CLOSED and what was put
 *	in since. Changed by its own CPU alone, one instruction at a time.
 * @high: the most there were since the slow path was here: an uncharge that
 *	goes beyond takes it
 * @returned: units that were uncharged to here, for the statistics
 * @counter: the counter of @owner; %NULL: closed. Changes on its own CPU,
 *	under the tree's lock.
 * @cap: the most that may be kept
 * @kinds: what became charged units of each kind here, less what was uncharged,
 *	and is not noted in @counter yet
 * @root: the resource
 * @cpu: the CPU
 * @node: in @stocks of the tree's uppermost counter, while open
 * @recall: somebody needs the units
 * @work: takes the stock back
 *
 * What other CPUs write is not in the cache line of the fast path.
 */
struct res_stock {
	struct res_owner	*owner;
	local_t			units;
	unsigned long		high;
	local_t			returned;
	struct res_counter	*counter;
	unsigned long		cap;
	local_t			kinds[RES_KINDS];
	struct res_root		*root;
	int			cpu;

	struct list_head	node ____cacheline_aligned;
	bool			recall;
	struct irq_work		work;
};

/* A closed stock: whatever is put in or asked for, it stays negative. */
#define RES_STOCK_CLOSED	(LONG_MIN / 2)

/* The most that goes through a stock at a time. */
#define RES_STOCK_MAX		(LONG_MAX / 64)

/**
 * struct res_root - the machine's account of one resource
 * @usage: units that all counters below hold together, stocks included
 * @ops: see &struct res_counter_ops
 * @stock: each CPU's stock
 * @closed: no stock is to be opened
 * @stock_min: units that each CPU may keep, however little usage is
 * @kinds: how many kinds of units there are, if that is of interest
 * @prefetch: a CPU takes more than it needs even if it is alone; extremes are not
 *	exact then
 *
 * All trees of a resource meet here, in one atomic word.
 */
struct res_root {
	atomic64_t			usage;
	const struct res_counter_ops	*ops;
	struct res_stock __percpu	*stock;
	atomic_t			closed;
	unsigned long			stock_min;
	unsigned int			kinds;
	bool				prefetch;
};

/**
 * struct res_counter - the account of one group for one resource
 * @parent: the counter above; NULL directly below the root
 * @top: the uppermost counter of the tree, whose @lock guards the whole tree
 * @root: the machine's account
 * @owner: what units charged here point to; %NULL once removed
 * @depth: how many counters are above
 * @lock: guards everything that follows, but for @crossed and @failcnt, in
 *	every counter of the tree (used in @top alone)
 * @stocks: the open stocks of the tree (used in @top alone)
 * @removed: nothing is charged here any more; see res_counter_remove()
 * @closed: for so many reasons no stock is to be opened here or below
 * @stocked: the most that CPUs may have in stock here and below
 * @usage: @held + @inherited + what the children take, which for each is the
 *	greater of its @usage and its @reserved
 * @held: units charged to this very counter, those in stock included
 * @inherited: units that removed descendants have left behind
 * @reserved: units taken out of the parent for this counter alone, used or not
 * @lent: sum of the children's @reserved
 * @pledged: sum of what each child has reserved or pledged, the greater of the
 *	two: so much can the children take without being asked
 * @barrier: the first bound; what is in force is min(@barrier, @limit)
 * @limit: the second bound
 * @max_usage: the highest usage since it was last reset
 * @recent_max: the highest usage since res_counter_restart_max()
 * @min_usage: the lowest usage less stock since it was last reset
 * @uncharged: units ever uncharged through this counter, since reset
 * @base: usage when that was reset
 * @kinds: units of each kind that objects hold, here and below; see
 *	res_stock_note()
 * @seen: for res_counter_read() alone
 * @crossed: a barrier_hit() is due
 * @failcnt: charges that this counter refused, since reset
 */
struct res_counter {
	struct res_counter	*parent;
	struct res_counter	*top;
	struct res_root		*root;
	struct res_owner	*owner;
	unsigned int		depth;
	raw_spinlock_t		lock;
	struct list_head	stocks;
	bool			removed;
	unsigned int		closed;
	u64			stocked;
	u64			usage;
	u64			held;
	u64			inherited;
	u64			reserved;
	u64			lent;
	u64			pledged;
	u64			barrier;
	u64			limit;
	u64			max_usage;
	u64			recent_max;
	u64			min_usage;
	u64			uncharged;
	u64			base;
	s64			kinds[RES_KINDS];
	struct {
		u64	usage;		/* less what is in stock, ... */
		u64	low;		/* ... has been, since it was noted */
		u64	uncharged;
	} seen;
	unsigned int		crossed;
	atomic64_t		failcnt;
};

/**
 * struct res_snapshot - a counter at one instant
 * @usage: units held, descendants included, and units lent, used or not
 * @stocked: units in stock besides, here and below
 * @held: of those, units charged to this very counter
 * @inherited: of those, units that removed descendants have left behind
 * @reserved: units taken out of the parent for this counter alone
 * @lent: units taken out of this counter for its children alone
 * @barrier: as set; the effective one is min(@barrier, @limit)
 * @limit: as set
 * @max_usage: highest usage since reset
 * @recent_max: highest usage since res_counter_restart_max()
 * @min_usage: lowest usage since reset
 * @charged: units charged since reset, descendants included
 * @uncharged: units uncharged since reset, descendants included
 * @kinds: units of each kind that objects hold, descendants' included
 * @failcnt: charges refused here since reset
 */
struct res_snapshot {
	u64	usage;
	u64	stocked;
	u64	held;
	u64	inherited;
	u64	reserved;
	u64	lent;
	u64	barrier;
	u64	limit;
	u64	max_usage;
	u64	recent_max;
	u64	min_usage;
	u64	charged;
	u64	uncharged;
	u64	kinds[RES_KINDS];
	u64	failcnt;
};

/* What res_counter_reset() can set back. */
#define RES_RESET_MAX		BIT(0)
#define RES_RESET_MIN		BIT(1)
#define RES_RESET_TOTALS	BIT(2)
#define RES_RESET_FAILCNT	BIT(3)

/**
 * struct res_claim - one of several charges that are made together
 * @counter: what to charge
 * @n: units, 1 to %RES_COUNTER_MAX
 * @owner: what the charged object has to point to for these units; set on
 *	success. %NULL: nobody was charged.
 */
struct res_claim {
	struct res_counter	*counter;
	u64			n;
	struct res_owner	*owner;
	/* private: the engine's, from one try to the next */
	bool			upto;	/* some will do */
	bool			asked;	/* privileged() was */
	enum {
		RES_RECALL_NEVER,
		RES_RECALL_ASYNC,
		RES_RECALL_WAIT,
	}			recall;
	struct res_counter	*live;	/* who is charged */
	u64			take;	/* how many units, ... */
	u64			beyond;	/* ... how many of them at the root */
	struct res_refusal	refusal;
	struct res_counter	*closed; /* the path from here was, for a recall */
	bool			root_closed;
};

/* How many charges can be made together. */
#define RES_CLAIMS_MAX		8

int __must_check res_root_init(struct res_root *root,
			       const struct res_counter_ops *ops);
void res_root_exit(struct res_root *root);
void res_root_cpu_offline(struct res_root *root);

int __must_check res_counter_init(struct res_counter *counter,
				  struct res_counter *parent,
				  struct res_root *root);
u64 res_counter_remove(struct res_counter *counter);

struct res_owner * __must_check
res_counter_try_charge(struct res_counter *counter, u64 n);
struct res_owner * __must_check
res_counter_charge(struct res_counter *counter, u64 n,
		   enum bc_severity severity, bool may_block);
u64 __must_check res_counter_charge_upto(struct res_counter *counter, u64 n,
					 enum bc_severity severity,
					 bool may_block,
					 struct res_owner **owner);
int __must_check res_counter_charge_all(struct res_claim *claims,
					unsigned int nr,
					enum bc_severity severity,
					bool may_block);
void res_counter_uncharge(struct res_owner *owner, u64 n);
void res_counter_note(struct res_owner *owner, unsigned int kind, long n);
struct res_owner *res_counter_move(struct res_owner *from, struct res_counter *to,
				   u64 n);

struct res_counter *res_owner_counter(struct res_owner *owner);
bool __must_check res_owner_tryget(struct res_owner *owner);
void res_owner_put(struct res_owner *owner);

void res_stock_settle_kinds(struct res_root *root);
void res_stock_undo(struct res_root *root, unsigned long n);
void res_stock_settle(struct res_root *root);

/**
 * res_stock_charge() - the usual charge: from this CPU's stock
 * @root: the resource
 * @owner: res_counter.owner of what is to be charged
 * @n: units, at least 1
 *
 * Executes no locked instruction and touches no memory that another CPU writes.
 *
 * Context: Any context but NMI; preemption off.
 * Return: Whether @n units were charged to @owner. If not, res_counter_charge()
 * is to be called.
 */
static __always_inline bool res_stock_charge(struct res_root *root,
					     struct res_owner *owner, u64 n)
{
	struct res_stock *stock = this_cpu_ptr(root->stock);

	if (unlikely(stock->owner != owner || n > RES_STOCK_MAX))
		return false;
	if (likely(!local_add_negative(-(long)n, &stock->units)))
		return true;
	res_stock_undo(root, n);
	return false;
}

/**
 * res_stock_uncharge() - the usual uncharge: to this CPU's stock
 * @root: the resource
 * @owner: what the charge has returned
 * @n: units
 *
 * Context: Any context but NMI; preemption off.
 * Return: Whether @n units were uncharged. If not, res_counter_uncharge() is to
 * be called.
 */
static __always_inline bool res_stock_uncharge(struct res_root *root,
					       struct res_owner *owner, u64 n)
{
	struct res_stock *stock = this_cpu_ptr(root->stock);

	if (unlikely(stock->owner != owner || n > RES_STOCK_MAX))
		return false;
	local_add(n, &stock->returned);
	local_add(n, &stock->units);
	/* Closed is beyond all bounds, too. */
	if (unlikely((unsigned long)local_read(&stock->units) > stock->high))
		res_stock_settle(root);
	return true;
}

/**
 * res_stock_note() - say of what kind units are
 * @root: the resource, with @kinds
 * @owner: whom some units are charged to: they must not have been uncharged yet
 * @kind: the kind
 * @n: so many became units of this kind; negative: so many are none any more
 *
 * For information only: no bound is asked, and a reservation covers nothing. Units
 * of a kind count in the counter that was charged and in all above, those of removed
 * groups in what is left of that.
 *
 * Context: Any context but NMI; preemption off.
 */
static __always_inline void res_stock_note(struct res_root *root,
					   struct res_owner *owner,
					   unsigned int kind, long n)
{
	struct res_stock *stock = this_cpu_ptr(root->stock);

	if (unlikely(stock->owner != owner)) {
		res_counter_note(owner, kind, n);
		return;
	}
	local_add(n, &stock->kinds[kind]);
	/* Closed meanwhile, perhaps after all was noted that was there. */
	if (unlikely(!READ_ONCE(stock->counter)))
		res_stock_settle_kinds(root);
}

/**
 * res_stock_charge_kind() - res_stock_charge() of units of a kind
 * @root: the resource, with @kinds
 * @owner: see res_stock_charge()
 * @n: see res_stock_charge()
 * @kind: see res_stock_note()
 *
 * A stock that had the units was open when they were taken, after they were noted: it
 * is noted at the latest when that is closed.
 *
 * Context: Any context but NMI; preemption off.
 * Return: Whether @n units were charged to @owner, and noted.
 */
static __always_inline bool res_stock_charge_kind(struct res_root *root,
						  struct res_owner *owner, u64 n,
						  unsigned int kind)
{
	struct res_stock *stock = this_cpu_ptr(root->stock);

	if (unlikely(stock->owner != owner || n > RES_STOCK_MAX))
		return false;
	local_add(n, &stock->kinds[kind]);
	if (likely(!local_add_negative(-(long)n, &stock->units)))
		return true;
	local_sub(n, &stock->kinds[kind]);
	res_stock_undo(root, n);
	return false;
}

/**
 * res_stock_uncharge_kind() - res_stock_uncharge() of units of a kind
 * @root: the resource, with @kinds
 * @owner: see res_stock_uncharge()
 * @n: see res_stock_uncharge()
 * @kind: see res_stock_note()
 *
 * Context: Any context but NMI; preemption off.
 * Return: Whether @n units were uncharged, and noted.
 */
static __always_inline bool res_stock_uncharge_kind(struct res_root *root,
						    struct res_owner *owner,
						    u64 n, unsigned int kind)
{
	struct res_stock *stock = this_cpu_ptr(root->stock);

	if (unlikely(stock->owner != owner || n > RES_STOCK_MAX))
		return false;
	local_sub(n, &stock->kinds[kind]);
	local_add(n, &stock->returned);
	local_add(n, &stock->units);
	/* Closed is beyond all bounds, too. */
	if (unlikely((unsigned long)local_read(&stock->units) > stock->high))
		res_stock_settle(root);
	return true;
}

int __must_check res_counter_set_limit(struct res_counter *counter, u64 limit,
				       bool not_below_usage);
int __must_check res_counter_set_reserved(struct res_counter *counter,
					  u64 reserved, u64 limit,
					  res_shrink_t shrink,
					  unsigned int retries);
u64 res_counter_reserve_upto(struct res_counter *counter, u64 reserved,
			     u64 limit);
int __must_check res_counter_set_barrier(struct res_counter *counter,
					 u64 barrier);
void res_counter_read(struct res_counter *counter, struct res_snapshot *snap);
void res_counter_reset(struct res_counter *counter, unsigned int what);
u64 res_counter_restart_max(struct res_counter *counter, u64 *usage);

#endif /* _BC_RES_COUNTER_H */
