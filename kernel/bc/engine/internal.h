/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the engine share; not for its users.
 *
 * Each file knows the files before it:
 *
 *	owner.c		what objects point to, and where their units are now
 *	bank.c		a counter under its lock: credit, lists, the path above
 *	stock.c		the CPUs' slots
 *	drain.c		walks below a counter, which get back what is kept there
 *	take.c		units on their way down
 *	charge.c	charges and uncharges of objects
 *	reserve.c	reservations and bounds
 *	stat.c		what is shown
 *	counter.c	a counter's beginning and end, moves between counters
 */
#ifndef _BC_ENGINE_INTERNAL_H
#define _BC_ENGINE_INTERNAL_H

#include <linux/bug.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/rcupdate.h>

#include <bc/res_counter.h>

/* How often a charge is tried again after other CPUs' units were drained. */
#define RES_RETRIES		5

/* How many owners res_owner_peek() follows. */
#define RES_PEEK_HOPS		4096

/* Batches, where a resource says nothing else. */
#define RES_BATCH_MIN		8
#define RES_BATCH_MAX		64

/**
 * struct res_owner - what charged objects point to
 * @to: the counter that has their units; once that was removed, with
 *	%RES_OWNER_FORWARD, where the units are then: the owner of an ancestor,
 *	%NULL: the root. 0: this is no owner.
 * @refs: one for the counter while that is there, one for each owner that forwards
 *	here, and one for each unit once it is gone
 * @root: the machine's account
 * @rcu: owners are walked under RCU. They do not look at @root.
 */
struct res_owner {
	unsigned long			to;
	atomic64_t			refs;
	union {
		struct res_root		*root;
		struct rcu_head		rcu;
	};
} __aligned(RES_OWNER_SIZE);

#define RES_OWNER_FORWARD	1UL

/* The counter of an owner; %NULL once it was removed. */
static inline struct res_counter *res_owner_own(const struct res_owner *owner)
{
	/* Pairs with the release in res_owner_forward(): what it forwards to is there. */
	unsigned long to = smp_load_acquire(&owner->to);

	return to & RES_OWNER_FORWARD ? NULL : (struct res_counter *)to;
}

/* From now on, @owner has no counter and forwards to @heir (%NULL: the root). */
static inline void res_owner_forward(struct res_owner *owner, struct res_owner *heir)
{
	/* Pairs with the acquire in res_owner_own() and res_owner_live(). */
	smp_store_release(&owner->to, (unsigned long)heir | RES_OWNER_FORWARD);
}

/* Where an owner whose counter was removed forwards to, by its @to. */
static inline struct res_owner *res_owner_heir(unsigned long to)
{
	return (struct res_owner *)(to & ~RES_OWNER_FORWARD);
}

/**
 * struct res_slot_info - what the fast path does not need of a slot
 * @slot: the slot
 * @counter: the counter whose units are there; %NULL: the slot is closed.
 *	Changes on its own CPU, under the counter's lock.
 * @node: entry in the counter's @slots
 * @base: units that came from the counter, less what went back, since the
 *	charges were last counted
 * @rival: an owner that has missed the slot, as another one uses it
 * @misses: how often in a row @rival did
 * @cpu: the CPU
 * @pins: readers whose walk of the counter's @slots stands here; under the
 *	counter's lock
 */
struct res_slot_info {
	struct res_slot		*slot;
	struct res_counter	*counter;
	struct hlist_node	node;
	long			base;
	struct res_owner	*rival;
	unsigned int		misses;
	int			cpu;
	unsigned int		pins;
};

/* Warns if units were returned that were never taken. */
static inline void res_warn_missing(u64 missing)
{
	WARN_ONCE(missing, "res_counter: %llu units returned, never taken\n",
		  missing);
}

static inline bool res_fits(u64 usage, u64 n, u64 bound)
{
	return n <= bound && usage <= bound - n;
}

/* By how much @have is more than @less. */
static inline u64 res_beyond(u64 have, u64 less)
{
	return have - min(have, less);
}

/* owner.c */
int res_owner_create(struct res_counter *counter, const struct res_counter *twin);
struct res_owner *res_owner_live(struct res_owner *owner);
void res_owner_compress_path(struct res_owner *owner);
void __res_owner_put(struct res_owner *owner, u64 refs);

/* bank.c */

/**
 * struct res_stat - totals, or what is missing of them
 * @charged: units ever charged
 * @uncharged: units ever uncharged
 * @kinds: units of each kind that objects hold
 */
struct res_stat {
	u64	charged;
	u64	uncharged;
	s64	kinds[RES_KINDS];
};

/**
 * struct res_room - what the path above a counter allows to keep there
 * @batch: units that a CPU may have in stock; 0: none
 * @state: the worst state that was found; RES_SHUT: the counter may keep no
 *	credit
 * @epoch: res_counter.epoch of the counter, from before the path was looked at
 * @other: the nearest ancestor that may keep credit and does not yet, or %NULL
 * @other_state: the worst state that was found above @other
 * @other_epoch: the epoch of @other
 */
struct res_room {
	u64			batch;
	u8			state;
	unsigned int		epoch;
	struct res_counter	*other;
	u8			other_state;
	unsigned int		other_epoch;
};

/* The barrier that is in force with @barrier and @limit. */
static inline u64 res_barrier(const struct res_root *root, u64 barrier, u64 limit)
{
	if (barrier == RES_BARRIER_DEFAULT && limit != RES_COUNTER_MAX)
		barrier = limit - min(root->barrier_gap, limit / 4);
	return min(barrier, limit);
}

/* The bound that a charge of @severity is held to. */
static inline u64 res_bound(const struct res_counter *counter,
			    enum bc_severity severity)
{
	u64 limit = READ_ONCE(counter->limit);
	u64 set, barrier;

	if (severity >= BC_LIMIT)
		return limit;
	set = READ_ONCE(counter->barrier);
	if (severity == BC_LEND)
		return min(set, limit);
	barrier = res_barrier(counter->root, set, limit);
	if (severity == BC_HALFWAY)
		return barrier + (limit - barrier) / 2;
	if (severity == BC_EARLY && set == RES_BARRIER_DEFAULT)
		return barrier - (limit - barrier) / 2;
	return barrier;
}

/* What @counter has taken beyond what is used or reserved. */
static inline u64 res_credit(const struct res_counter *counter)
{
	return res_beyond(counter->taken, max(counter->used, counter->reserved));
}

u64 res_capacity(struct res_root *root, enum bc_severity severity);
u64 res_root_take(struct res_root *root, u64 n, u64 extra,
		  enum bc_severity severity, struct res_refusal *refusal,
		  bool *above);
u8 res_root_state(struct res_root *root);
void res_root_return(struct res_root *root, u64 n);

void res_counter_update_state(struct res_counter *counter);
bool res_counter_take_stat(struct res_counter *counter, struct res_stat *stat);
void res_counter_add_stat(struct res_counter *counter, const struct res_stat *stat);
bool res_counter_keeps(const struct res_counter *counter);
bool res_counter_unlinked(const struct res_counter *counter);
bool res_counter_link(struct res_counter *counter);
void res_counter_close(struct res_counter *counter);
void res_counter_reopen(struct res_counter *counter);

/**
 * struct res_excess - what goes up from a counter
 * @n: units
 * @counted: @stat has something
 * @stat: what the totals of the parent do not have yet
 */
struct res_excess {
	u64			n;
	bool			counted;
	struct res_stat		stat;
};

struct res_counter *res_counter_roomy(struct res_counter *counter);
void res_counter_take_excess(struct res_counter *counter, struct res_excess *excess);
void __res_return(struct res_root *root, struct res_counter *counter,
		  struct res_excess *excess, unsigned int levels);
void res_return(struct res_root *root, struct res_counter *counter,
		struct res_excess *excess);
void res_return_units(struct res_root *root, struct res_counter *counter, u64 n);
u64 res_bank_batch(const struct res_counter *counter);
void res_path_room(struct res_counter *counter, struct res_room *room);

/* Under the lock: @counter has given away @used units. */
static inline void res_counter_set_used(struct res_counter *counter, u64 used)
{
	lockdep_assert_held(&counter->lock);

	WRITE_ONCE(counter->used, used);
	if (unlikely(used < counter->lower || used >= counter->upper))
		res_counter_update_state(counter);
}

/* Under the lock: @n of the units given away have come back. */
static inline void res_counter_lower(struct res_counter *counter, u64 n)
{
	res_counter_set_used(counter, counter->used - n);
}

/* What objects hold of @counter, and CPUs have in stock. */
static inline u64 res_counter_held(const struct res_counter *counter)
{
	return res_beyond(counter->used, counter->inherited + counter->given);
}

/*
 * The state of the ancestor that was the tightest when the path was looked at
 * last. A hint: units may have returned below a reservation, which covers
 * @counter since. The path is looked at anew when units come from above, and
 * now and then where none have to.
 */
static inline u8 res_path_state(const struct res_counter *counter)
{
	const u8 *narrow = READ_ONCE(counter->narrow);

	return narrow ? READ_ONCE(*narrow) : RES_LOOSE;
}

/* stock.c */

/*
 * The counter's lock is held. The slot's own CPU may look whether it is listed
 * without it: what was done before is done then.
 */
static inline void res_slot_unlist(struct res_slot_info *info)
{
	__hlist_del(&info->node);
	/* Pairs with the acquire in res_slot_listed(). */
	smp_store_release(&info->node.pprev, NULL);
}

static inline bool res_slot_listed(const struct res_slot_info *info)
{
	/* Pairs with the release in res_slot_unlist(). */
	return smp_load_acquire(&info->node.pprev);
}

struct res_counter *res_slot_close(struct res_slot *slot, struct res_excess *excess);
struct res_slot *res_slot_claim(struct res_root *root, struct res_owner *owner,
				struct res_counter **from,
				struct res_excess *excess);
void res_slot_fill(struct res_slot *slot, struct res_counter *counter, u64 n,
		   u64 cap);
bool res_slot_wanted(struct res_root *root, struct res_owner *owner);
void res_slot_forget(struct res_root *root, struct res_owner *owner);
int res_stock_init(struct res_root *root);
void res_stock_exit(struct res_root *root);

/* What a charge could take from a slot. Another CPU may change it meanwhile. */
static inline u64 res_slot_units(const struct res_slot *slot)
{
	long units = local_read(&slot->units);

	return max(units, 0L);
}

/* drain.c */

/**
 * struct res_walk - a walk over counters that keep something
 * @root: the resource
 * @top: the walk is below this counter, which stays allocated; %NULL: all
 * @live: a counter whose charge needs room; or %NULL
 * @all: visit what a reservation covers, too
 */
struct res_walk {
	struct res_root		*root;
	struct res_counter	*top;
	struct res_counter	*live;
	bool			all;
};

struct res_counter *res_walk_first(const struct res_walk *walk);
struct res_counter *res_walk_next(const struct res_walk *walk,
				  struct res_counter *counter);
void res_unlink(struct res_counter *counter);
void res_counter_drain_stock(struct res_counter *counter);
void res_counter_flush(struct res_counter *counter);
bool res_drainable(struct res_root *root, struct res_counter *top);
bool res_drain_begin(struct res_root *root, struct res_counter *top,
		     struct res_counter *live);
void res_drain_end(struct res_root *root, struct res_counter *top);

/* take.c */

/**
 * struct res_take - units that are taken out of a counter
 * @counter: the counter
 * @n: units
 * @severity: how hard the charge insists
 * @object: the units are charged to an object; otherwise they are in the
 *	caller's hand
 * @bank: the counter may keep credit, if the path above permits
 * @stock: this CPU may have some in stock, too
 * @end: the ancestor that is not asked: it has given @hand units already;
 *	%NULL: the root, if @moving
 * @moving: @end and @hand are in use
 * @hand: see @end
 * @refusal: where there was no room; @refusal.n is 0 if there was room
 * @crossed: a barrier was crossed
 * @above: the uppermost counter that is above its barrier now
 * @root_above: the machine has given away more than ordinary charges may take
 * @uncovered: reservations no longer cover all that is used on the way
 * @owner: is set to what an object has to point to
 */
struct res_take {
	struct res_counter	*counter;
	u64			n;
	enum bc_severity	severity;
	bool			object;
	bool			bank;
	bool			stock;
	bool			moving;
	struct res_counter	*end;
	u64			hand;
	struct res_refusal	refusal;
	bool			crossed;
	struct res_counter	*above;
	bool			root_above;
	bool			uncovered;
	struct res_owner	*owner;
};

void res_counter_give(struct res_take *take, struct res_counter *counter, u64 n,
		      u64 more);
int res_take(struct res_take *take);
int res_take_drained(struct res_take *take, int err);
void res_enforce_above(struct res_counter *counter, bool may_block);
void res_enforce_barriers(struct res_take *take, struct res_counter *counter,
			  bool may_block);

/* charge.c */
/* For res_owner_return(): units that were noted as of no kind, or are noted elsewhere. */
#define RES_NO_KIND		UINT_MAX

void res_owner_return(struct res_owner *owner, u64 n, u64 uncharged,
		      unsigned int kind);

/* reserve.c */
void res_pledge(struct res_counter *counter, u64 old, u64 new);

#endif /* _BC_ENGINE_INTERNAL_H */
