/* SPDX-License-Identifier: GPL-2.0 */
/*
 * res_counter: hierarchical counting with barriers and limits
 *
 * The engine under the beancounters. It knows no cgroup: the code that embeds a
 * res_counter says through res_counter_ops what is to happen on a refusal. The
 * model and its invariants are set out in Documentation/bc/res_counter.rst. The
 * argument for each race stands where the race is, in kernel/bc/engine/.
 */
#ifndef _BC_RES_COUNTER_H
#define _BC_RES_COUNTER_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <asm/local.h>

/* No bound; also the largest amount there is. */
#define RES_COUNTER_MAX		((u64)S64_MAX)

/* What can become of the limit when a reservation changes. */
#define RES_LIMIT_KEEP		U64_MAX
#define RES_LIMIT_WALL		(U64_MAX - 1)

/**
 * enum bc_severity - how hard a charge insists
 * @BC_BARRIER: refused where usage would pass the barrier or the limit
 * @BC_EARLY: likewise; if no barrier was set, already where usage would come closer
 *	to the barrier than half of what that is below the limit
 * @BC_LEND: likewise, but only a barrier that was set counts: for a reservation,
 *	in which the child that has it leaves such room as is needed below
 * @BC_HALFWAY: refused where usage would pass the middle between the two
 * @BC_LIMIT: refused where usage would pass the limit
 * @BC_FORCE: never refused; it may overrun both, and later charges are
 *	refused until usage has fallen below again
 *
 * The severities are those of the beancounter patches of 2006.
 */
enum bc_severity {
	BC_BARRIER,
	BC_EARLY,
	BC_LEND,
	BC_HALFWAY,
	BC_LIMIT,
	BC_FORCE,
};

/* As long as no barrier was set: see res_root.barrier_gap. */
#define RES_BARRIER_DEFAULT	U64_MAX

/* How many kinds of units a resource can tell apart. */
#define RES_KINDS		3

struct res_counter;
struct res_owner;
struct res_root;

/**
 * struct res_refusal - why a charge found no room
 * @counter: the counter without room; where several have none, the one
 *	nearest to the counter charged. Where the machine itself has none, the
 *	counter below the root.
 * @n: units asked for
 * @usage: what @counter (or the machine) had given away then
 * @bound: the bound that was in the way
 * @at: which bound: %BC_LIMIT, %BC_EARLY for one below the default barrier, or
 *	%BC_BARRIER for another that is lower than the limit
 * @machine: the bound is the machine's
 */
struct res_refusal {
	struct res_counter	*counter;
	u64			n;
	u64			usage;
	u64			bound;
	enum bc_severity	at;
	bool			machine;
};

/**
 * struct res_counter_ops - what the user of the engine does when told
 * @capacity: the machine's own amount of the resource, for a %BC_BARRIER or a
 *	%BC_LIMIT charge; asked whenever units are taken out of the root, so
 *	that it may change. May do no more than read. NULL: no bound.
 * @privileged: whether a charge of a lower severity that was refused below the
 *	limit may go on to that
 * @barrier_hit: charges that were not forced took the usage of @counter across
 *	its barrier
 * @limit_hit: a charge was refused. It may make room, sleeping only if
 *	@may_block, and return true to have the charge tried once more.
 * @refused: a charge was refused for good
 * @forced: a %BC_FORCE charge passed a limit; described like a refusal
 * @room: units have come back to @counter (%NULL: to the machine), for which
 *	res_counter_await_room() was called
 * @drain_later: calls res_counter_drain() for @counter (%NULL:
 *	res_root_drain()) soon, in task context
 * @owner_freed: an owner below @root is no more
 * @tryget: keeps @counter allocated until @put; false: it is being freed.
 *	Called under the lock of its parent. %NULL, as @put: counters are not
 *	freed while they can be found.
 * @put: ends what @tryget began
 *
 * All but @capacity and @tryget are called without the engine's locks and in
 * the context of the charge or uncharge. The counter that is passed stays
 * allocated during the call. All are optional.
 */
struct res_counter_ops {
	u64 (*capacity)(struct res_root *root, enum bc_severity severity);
	bool (*privileged)(void);
	void (*barrier_hit)(struct res_counter *counter);
	bool (*limit_hit)(const struct res_refusal *refusal, bool may_block);
	void (*refused)(const struct res_refusal *refusal);
	void (*forced)(const struct res_refusal *refusal);
	void (*room)(struct res_root *root, struct res_counter *counter);
	void (*drain_later)(struct res_root *root, struct res_counter *counter);
	void (*owner_freed)(struct res_root *root);
	bool (*tryget)(struct res_counter *counter);
	void (*put)(struct res_counter *counter);
};

/* How many groups can have units in stock on a CPU at a time. */
#define RES_SLOTS		16

/*
 * Slots have this size, and owners half of it. An owner's address says which slot
 * it uses: one for the two owners that a cache line has, which are of one group.
 */
#define RES_SLOT_SIZE		64
#define RES_OWNER_SIZE		32

struct res_slot_info;

/**
 * struct res_slot - units that a CPU has in stock for one group
 * @owner: the group's owner, while the slot is open, and perhaps afterwards.
 *	Changes on its own CPU alone, in task context.
 * @units: how many, if not negative; while the slot is closed, RES_SLOT_CLOSED
 *	and what was put in since. Changed by its own CPU alone, one instruction
 *	at a time.
 * @returned: units that were uncharged to here, for the statistics
 * @cap: the most that is kept
 * @kinds: units of each kind that were charged here, less what was uncharged,
 *	and that the counter does not have yet
 * @info: the rest, which the fast path does not touch
 */
struct res_slot {
	struct res_owner	*owner;
	local_t			units;
	local_t			returned;
	unsigned long		cap;
	local_t			kinds[RES_KINDS];
	struct res_slot_info	*info;
} __aligned(RES_SLOT_SIZE);

/**
 * struct res_stock - what a CPU has in stock of one resource
 * @slot: each for one group at a time
 */
struct res_stock {
	struct res_slot		slot[RES_SLOTS];
};

/* A closed slot: whatever is put in or taken out, it stays negative. */
#define RES_SLOT_CLOSED		(LONG_MIN / 2)

/* The most that goes through a slot at a time. */
#define RES_SLOT_MAX		(LONG_MAX / 64)

/* Owner of a slot that no group uses, and of a counter that was removed. */
#define RES_OWNER_NONE		((struct res_owner *)ERR_PTR(-ENOENT))
#define RES_OWNER_REMOVED	((struct res_owner *)ERR_PTR(-ESRCH))

/**
 * struct res_root - the machine's account of one resource
 * @ops: see &struct res_counter_ops
 * @stock: each CPU's stock; allocated by res_root_init() where it is %NULL.
 *	Resources without kinds of units can share one.
 * @info: the rest of it; that of the other root, where it is shared
 * @stock_allocated: res_root_init() has allocated @stock
 * @stock_shared: @stock and @info are another root's
 * @batch_min: how many units more than it needs a CPU or a group takes at least
 * @batch_max: how many at most
 * @kinds: how many kinds of units there are
 * @barrier_gap: as long as a counter's barrier was not set, the one in force is
 *	so much below its limit, or a quarter of that if it is less; 0: the limit
 * @plain: counters have no &struct res_stats; not with kinds of units
 * @batch_tight: how many a group keeps where little is left
 * @closed: number of drains and waits for which no more is given out than
 *	needed
 * @state: how much is left in the machine, see &enum res_state: a hint
 * @lock: guards @active
 * @active: counters directly below the root that keep units, or below which
 *	others do
 * @awaited: room() is to be called when units come back
 * @usage: units that the counters directly below have taken together
 *
 * All trees of a resource meet here, in one atomic word that is touched once
 * for each batch.
 */
struct res_root {
	const struct res_counter_ops	*ops;
	struct res_stock __percpu	*stock;
	struct res_slot_info __percpu	*info;
	unsigned long			batch_min;
	unsigned long			batch_max;
	unsigned long			batch_tight;
	unsigned int			kinds;
	u64				barrier_gap;
	atomic_t			closed;
	u8				state;
	bool				plain;
	bool				stock_allocated;
	bool				stock_shared;

	raw_spinlock_t			lock ____cacheline_aligned_in_smp;
	struct hlist_head		active;
	bool				awaited;

	atomic64_t			usage ____cacheline_aligned_in_smp;
};

/*
 * How much a counter has left for the counters below: enough; little, and they
 * keep next to nothing; or it is above its barrier or being drained, and they
 * keep nothing.
 */
enum res_state {
	RES_LOOSE,
	RES_TIGHT,
	RES_SHUT,
};

/**
 * struct res_stats - what is shown of a counter besides, but by plain resources
 * @kinds: units of each kind that objects hold, here and below
 * @unsent_kinds: of these, what the parent does not have yet
 * @sent: totals that the parent has
 * @base: totals when they were reset
 * @lent: sum of the children's @reserved
 * @old_max: the highest usage before res_counter_restart_max()
 * @min_usage: the lowest usage since it was last reset
 *
 * Guarded by the counter's lock.
 */
struct res_stats {
	s64			kinds[RES_KINDS];
	s64			unsent_kinds[RES_KINDS];
	struct {
		u64	charged;
		u64	uncharged;
	} sent, base;
	u64			lent;
	u64			old_max;
	u64			min_usage;
};

/**
 * struct res_counter - the account of one group for one resource
 * @owner: what units charged here point to; RES_OWNER_REMOVED once removed
 * @root: the machine's account
 * @parent: the counter above; %NULL directly below the root
 * @barrier: the first bound: what is in force is min(@barrier, @limit); or
 *	%RES_BARRIER_DEFAULT
 * @limit: the second bound
 * @reserved: units taken out of the parent for this counter alone, used or not
 * @narrow: the @state of an ancestor (or of the root) that was found tight
 * @depth: how many counters are above: this one's place in @path
 * @state: see &enum res_state
 * @linked: in the list @active of the parent; guarded by the parent's lock
 * @removed: nothing is charged here any more; see res_counter_remove()
 * @gone: what was held is the parent's now
 * @lock: guards all that follows up to @path, and changes of the bounds
 * @closed: number of drains and waits for which the state is RES_SHUT
 * @used: units given away: to objects, to CPUs' stock, to children
 * @taken: units taken out of the parent: max(@used, @reserved) and the credit
 * @keep: the most credit that is kept; 0: the bank is closed
 * @lower: @state is right while @used is at least this, and so is min_usage ...
 * @upper: ... and less than this
 * @unsent: of the totals, what the parent's do not have yet
 * @max_usage: the highest usage since it was last reset, or since
 *	res_counter_restart_max(); stock included
 * @inherited: of @used, units that removed descendants have left behind
 * @given: of @used, units that children have taken, and units on their way
 * @epoch: counts how often the bank was closed; see kernel/bc/engine/bank.c
 * @crossed: a barrier_hit() is due
 * @awaited: room() is to be called when units come back
 * @slots: the CPUs' open slots
 * @active: children that keep units, or below which others do
 * @pledged: sum over the children of the greater of @reserved and @pledged:
 *	what they can take without a refusal by this counter
 * @stats: totals and the like; %NULL: the resource is plain
 * @path: the counters from the uppermost to this one
 * @node: in the parent's @active
 * @pins: walks that stand here; guarded by the parent's lock
 * @failcnt: charges that this counter refused, since reset
 *
 * A charge and an uncharge by way of the bank write to one cache line. Each part of
 * the structure fills one: its user aligns it, and can use what is left of the
 * last one.
 */
struct res_counter {
	struct res_owner	*owner;
	struct res_root		*root;
	struct res_counter	*parent;
	u64			barrier;
	u64			limit;
	u64			reserved;
	const u8		*narrow;
	unsigned int		depth;
	u8			state;
	bool			linked;
	bool			removed;
	bool			gone;

	raw_spinlock_t		lock;
	unsigned int		closed;
	u64			used;
	u64			taken;
	u64			keep;
	u64			lower;
	u64			upper;
	struct {
		u64	charged;
		u64	uncharged;
	} unsent;

	u64			max_usage;
	u64			inherited;
	u64			given;
	unsigned int		epoch;
	bool			crossed;
	bool			awaited;
	struct hlist_head	slots;
	struct hlist_head	active;
	u64			pledged;
	struct res_stats	*stats;

	struct res_counter	**path;
	struct hlist_node	node;
	unsigned int		pins;
	atomic64_t		failcnt;
};

/**
 * struct res_snapshot - what a counter has to show
 * @usage: units held, descendants included, and units lent, used or not
 * @stocked: units besides that are kept here and below, in banks and in stock
 * @held: of @usage, units charged to this very counter
 * @inherited: of @usage, units that removed descendants have left behind
 * @reserved: units taken out of the parent for this counter alone
 * @lent: units taken out of this counter for its children alone
 * @barrier: as set; the effective one is min(@barrier, @limit). Where it was not
 *	set, the effective one; %RES_COUNTER_MAX if that is the limit.
 * @limit: as set
 * @max_usage: highest usage since reset
 * @recent_max: highest usage since res_counter_restart_max()
 * @min_usage: lowest usage since reset
 * @charged: units charged since reset, descendants included
 * @uncharged: units uncharged since reset, descendants included
 * @kinds: units of each kind that objects hold, descendants' included
 * @all_kinds: units that objects hold, descendants' included, of a kind or not
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
	u64	all_kinds;
	u64	failcnt;
};

/* What res_counter_reset() can reset. */
#define RES_RESET_MAX		BIT(0)
#define RES_RESET_MIN		BIT(1)
#define RES_RESET_TOTALS	BIT(2)
#define RES_RESET_FAILCNT	BIT(3)

int __must_check res_root_init(struct res_root *root,
			       const struct res_counter_ops *ops);
void res_root_exit(struct res_root *root);
void res_root_cpu_offline(struct res_root *root);
void res_root_drain(struct res_root *root);

int __must_check res_counter_init(struct res_counter *counter,
				  struct res_counter *parent,
				  struct res_root *root);
int __must_check res_counter_init_twin(struct res_counter *counter,
				       struct res_counter *parent,
				       struct res_root *root,
				       const struct res_counter *twin);
u64 res_counter_remove(struct res_counter *counter);
void res_counter_discard(struct res_counter *counter);
void res_counter_destroy(struct res_counter *counter);

struct res_owner * __must_check
res_counter_try_charge(struct res_counter *counter, u64 n);
struct res_owner * __must_check
res_counter_try_charge_drain(struct res_counter *counter, u64 n);
struct res_owner * __must_check
res_counter_charge(struct res_counter *counter, u64 n,
		   enum bc_severity severity, bool may_block);
void res_counter_uncharge(struct res_owner *owner, u64 n);
void res_counter_uncharge_kind(struct res_owner *owner, u64 n, unsigned int kind);
void res_counter_note(struct res_owner *owner, unsigned int kind, long n);
struct res_owner *res_counter_move(struct res_owner *from, struct res_counter *to,
				   u64 n);

struct res_counter *res_owner_counter(struct res_owner *owner);
bool res_owner_peek(const struct res_owner *owner, const struct res_root *root,
		    const struct res_counter **counter);
bool __must_check res_owner_tryget(struct res_owner *owner);
void res_owner_put(struct res_owner *owner);
bool __must_check res_owner_adopt(struct res_owner *owner,
				  struct res_owner *from, u64 n);

int __must_check res_counter_set_limit(struct res_counter *counter, u64 limit,
				       bool not_below_usage);
int __must_check res_counter_set_barrier(struct res_counter *counter,
					 u64 barrier);
int __must_check res_counter_set_reserved(struct res_counter *counter,
					  u64 reserved, u64 limit,
					  struct res_refusal *lacking);
u64 res_counter_reserve_upto(struct res_counter *counter, u64 reserved,
			     u64 limit);
void res_counter_await_room(struct res_counter *counter);
void res_root_await_room(struct res_root *root);
void res_counter_drain(struct res_counter *counter);

u64 res_counter_excess(const struct res_counter *counter,
		       enum bc_severity severity);
bool res_path_exceeds(const struct res_counter *counter,
		      enum bc_severity severity);
void res_counter_read(struct res_counter *counter, struct res_snapshot *snap);
void res_counter_reset(struct res_counter *counter, unsigned int what);
u64 res_counter_restart_max(struct res_counter *counter, u64 *usage);

/* The fast path; see kernel/bc/engine/stock.c. */

void __res_slot_undo(struct res_slot *slot, unsigned long n);
void __res_slot_settle(struct res_slot *slot);
void __res_slot_settle_kinds(struct res_slot *slot);

static inline bool res_slot_closed(long units)
{
	return units < RES_SLOT_CLOSED / 2;
}

/*
 * Subtracts @n and returns whether the result is negative. asm-generic/local.h
 * has a fully ordered atomic operation for that; no order is needed here.
 */
static __always_inline bool res_slot_take(struct res_slot *slot, unsigned long n)
{
#ifdef CONFIG_X86
	return local_add_negative(-(long)n, &slot->units);
#else
	local_sub(n, &slot->units);
	return local_read(&slot->units) < 0;
#endif
}

static __always_inline struct res_slot *
res_this_slot(struct res_stock __percpu *stock, struct res_owner *owner)
{
	const unsigned long mask = (RES_SLOTS - 1) * RES_SLOT_SIZE;
	const unsigned long at = (unsigned long)owner & mask;

	return (void *)this_cpu_ptr(stock) + at;
}

/**
 * res_stock_charge() - the usual charge: from this CPU's stock
 * @stock: the resource's
 * @owner: res_counter.owner of the group that is to be charged
 * @n: units, at least 1
 *
 * Executes no locked instruction and touches no memory that another CPU writes.
 *
 * Context: Any context but NMI; preemption off.
 * Return: Whether @n units were charged to @owner. If not, res_counter_charge()
 * is to be called.
 */
static __always_inline bool res_stock_charge(struct res_stock __percpu *stock,
					     struct res_owner *owner, u64 n)
{
	struct res_slot *slot = res_this_slot(stock, owner);

	if (unlikely(slot->owner != owner || n > RES_SLOT_MAX))
		return false;
	if (likely(!res_slot_take(slot, n)))
		return true;
	__res_slot_undo(slot, n);
	return false;
}

/**
 * res_stock_uncharge() - the usual uncharge: to this CPU's stock
 * @stock: the resource's
 * @owner: what the charge has returned
 * @n: units
 *
 * Context: Any context but NMI; preemption off.
 * Return: Whether @n units were uncharged. If not, res_counter_uncharge() is to
 * be called.
 */
static __always_inline bool res_stock_uncharge(struct res_stock __percpu *stock,
					       struct res_owner *owner, u64 n)
{
	struct res_slot *slot = res_this_slot(stock, owner);

	if (unlikely(slot->owner != owner || n > RES_SLOT_MAX))
		return false;
	local_add(n, &slot->returned);
	local_add(n, &slot->units);
	/* A closed slot is above its cap, too: @units is negative. */
	if (unlikely((unsigned long)local_read(&slot->units) > slot->cap))
		__res_slot_settle(slot);
	return true;
}

/**
 * res_stock_note() - say of what kind units are
 * @stock: that of a resource with kinds
 * @owner: what some units are charged to: they must not have been uncharged yet
 * @kind: the kind
 * @n: how many units became units of this kind; negative: ceased to be
 *
 * For information only: there is no bound. Units of a kind count in the counter
 * that was charged and in all above.
 *
 * Context: Any context but NMI; preemption off.
 */
static __always_inline void res_stock_note(struct res_stock __percpu *stock,
					   struct res_owner *owner,
					   unsigned int kind, long n)
{
	struct res_slot *slot = res_this_slot(stock, owner);

	if (unlikely(slot->owner != owner)) {
		res_counter_note(owner, kind, n);
		return;
	}
	local_add(n, &slot->kinds[kind]);
	/* The slot was closed, perhaps before this was noted. */
	if (unlikely(res_slot_closed(local_read(&slot->units))))
		__res_slot_settle_kinds(slot);
}

/**
 * res_stock_charge_kind() - res_stock_charge() of units of a kind
 * @stock: that of a resource with kinds
 * @owner: see res_stock_charge()
 * @n: see res_stock_charge()
 * @kind: see res_stock_note()
 *
 * The kind is noted before the units are taken. If the slot has the units, it
 * was open when they were taken: the note is there when the slot is closed.
 *
 * Context: Any context but NMI; preemption off.
 * Return: Whether @n units were charged to @owner, and noted.
 */
static __always_inline bool
res_stock_charge_kind(struct res_stock __percpu *stock, struct res_owner *owner,
		      u64 n, unsigned int kind)
{
	struct res_slot *slot = res_this_slot(stock, owner);

	if (unlikely(slot->owner != owner || n > RES_SLOT_MAX))
		return false;
	local_add(n, &slot->kinds[kind]);
	if (likely(!res_slot_take(slot, n)))
		return true;
	local_sub(n, &slot->kinds[kind]);
	__res_slot_undo(slot, n);
	return false;
}

/**
 * res_stock_uncharge_kind() - res_stock_uncharge() of units of a kind
 * @stock: that of a resource with kinds
 * @owner: see res_stock_uncharge()
 * @n: see res_stock_uncharge()
 * @kind: see res_stock_note()
 *
 * Context: Any context but NMI; preemption off.
 * Return: Whether @n units were uncharged, and noted.
 */
static __always_inline bool
res_stock_uncharge_kind(struct res_stock __percpu *stock,
			struct res_owner *owner, u64 n, unsigned int kind)
{
	struct res_slot *slot = res_this_slot(stock, owner);

	if (unlikely(slot->owner != owner || n > RES_SLOT_MAX))
		return false;
	local_sub(n, &slot->kinds[kind]);
	local_add(n, &slot->returned);
	local_add(n, &slot->units);
	/* A closed slot is above its cap, too: @units is negative. */
	if (unlikely((unsigned long)local_read(&slot->units) > slot->cap))
		__res_slot_settle(slot);
	return true;
}

#endif /* _BC_RES_COUNTER_H */
