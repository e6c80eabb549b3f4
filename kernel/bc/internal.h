/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between the files of the core; not for controllers.
 */
#ifndef _KERNEL_BC_INTERNAL_H
#define _KERNEL_BC_INTERNAL_H

#include <bc/beancounter.h>

/* How amounts are written: what bc_parse_amount() accepts beside digits. */
#define BC_PARSE_BYTES		BIT(0)	/* suffixes K, M and G */
#define BC_PARSE_MINUS_ONE	BIT(1)	/* -1 for "max", as v1 has it */

/* Bits of beancounter::flags */
enum {
	BC_FLAG_ONLINE,		/* a child of its parent; parent's lock */
	BC_FLAG_DEFERRED,	/* on the list of groups with something to tell */
	BC_FLAG_REFUSED,	/* the first refusal was seen */
	BC_FLAG_LOG,		/* ... and its first_* fields are to be logged */
	BC_FLAG_EVENT,		/* there were events */
	BC_FLAG_DRAIN,		/* what is kept below is wanted */
};

/* As test_bit() and so on, which want a whole word. */
static inline bool bc_test_flag(const struct beancounter *bc, unsigned int flag)
{
	return atomic_read(&bc->flags) & BIT(flag);
}

static inline void bc_set_flag(struct beancounter *bc, unsigned int flag)
{
	atomic_or(BIT(flag), &bc->flags);
}

static inline void bc_clear_flag(struct beancounter *bc, unsigned int flag)
{
	atomic_andnot(BIT(flag), &bc->flags);
}

static inline bool bc_test_and_set_flag(struct beancounter *bc, unsigned int flag)
{
	return atomic_fetch_or(BIT(flag), &bc->flags) & BIT(flag);
}

static inline bool bc_test_and_clear_flag(struct beancounter *bc, unsigned int flag)
{
	return atomic_fetch_andnot(BIT(flag), &bc->flags) & BIT(flag);
}

/* Whether @bc is a child of its parent, or the root. */
static inline bool bc_online(const struct beancounter *bc)
{
	return bc_test_flag(bc, BC_FLAG_ONLINE);
}

/* beancounter.c */
static inline struct beancounter *counter_bc(struct res_counter *counter)
{
	return container_of(counter, struct beancounter, counter);
}

/* What logs and traces call a resource. */
static inline const char *bc_resource_name(const struct bc_resource *res)
{
	return res->name ?: res->ss->name;
}

/* How often @event happened in a group; with @local, not counting those below. */
static inline atomic64_t *bc_events(struct beancounter *bc, bool local,
				    enum bc_event event)
{
	if (event == BC_EVENT_OWN)
		return local ? &bc->own_events_local : &bc->own_events;
	return local ? &bc->events_local[event] : &bc->events[event];
}

/**
 * bc_css_parent() - the group above
 * @bc: a group
 *
 * Return: The group above, be it the root; %NULL for that.
 */
static inline struct beancounter *bc_css_parent(struct beancounter *bc)
{
	struct beancounter *machine = bc_res(bc)->state->machine;

	if (bc->counter.parent)
		return counter_bc(bc->counter.parent);
	return bc == machine ? NULL : machine;
}

/**
 * bc_limit_hit() - have the controller make room
 * @refusal: which group has none
 * @may_block: it may sleep
 *
 * Context: Any context but NMI; task context with @may_block.
 * Return: Whether to try once more.
 */
static inline bool bc_limit_hit(const struct res_refusal *refusal,
				bool may_block)
{
	struct beancounter *bc = counter_bc(refusal->counter);

	return bc_res(bc)->limit_hit && bc_res(bc)->limit_hit(bc, refusal, may_block);
}

/**
 * bc_machine_amount() - what the machine has of a resource
 * @res: the resource
 *
 * Return: What ordinary charges can take together, or %RES_COUNTER_MAX.
 */
static inline u64 bc_machine_amount(const struct bc_resource *res)
{
	return res->capacity ? res->capacity(BC_BARRIER) : RES_COUNTER_MAX;
}

void bc_init_group(struct bc_group *group);
int bc_init_machine(struct beancounter *bc, const struct bc_resource *res,
		    struct bc_group *group);
int bc_init_account(struct beancounter *bc, const struct bc_resource *res,
		    struct bc_group *group, struct beancounter *parent,
		    const struct beancounter *twin);
void bc_remove_account(struct beancounter *bc);
void bc_free_account(struct beancounter *bc);
struct cgroup_subsys_state *bc_get_current_css(const struct bc_resource *res);

/* limits.c */

/* Out of what a group may lend to a child. */
enum bc_lend {
	BC_LEND_RESERVED,	/* what it has reserved; the root: nothing */
	BC_LEND_GUARANTEE,	/* what its children have shares of */
	BC_LEND_ANY,		/* all that it has room for */
};

/* Whether @bc, not the root, has its limit reserved. It stays so. */
static inline bool bc_parent_strict(struct beancounter *bc)
{
	return !bc_res(bc)->plain && READ_ONCE(bc_css_parent(bc)->strict);
}

bool bc_may_lend(const struct file *file);
int bc_reserve_all(struct beancounter *bc, u64 reserved, u64 limit,
		   enum bc_lend how, const struct file *file);
int bc_reserve_upto(struct beancounter *bc, u64 reserved, u64 limit,
		    enum bc_lend how, struct beancounter **lacks);
int bc_set_limit(struct beancounter *bc, u64 limit, bool not_below_usage,
		 const struct file *file);
int bc_set_reserved(struct beancounter *bc, u64 reserved,
		    const struct file *file);
int bc_set_strict(struct beancounter *bc, bool strict);
void bc_limits_online(struct beancounter *bc);
u64 bc_limits_offline(struct beancounter *bc);

/* entitlement.c */

/* What was written to a group, whichever file that was. */
struct bc_written {
	struct bc_shares	shares;
	u64			min;
	u64			max;
};

/* What it is due by that; with @wall, both are one amount. */
struct bc_due {
	u64	reserved;
	u64	limit;
	bool	wall;
};

/* With its @change_mutex or its parent's @lock held. */
static inline struct bc_written bc_get_written(struct beancounter *bc)
{
	return (struct bc_written) { bc->shares, bc->min, bc->max };
}

static inline bool bc_by_shares(const struct bc_shares *shares)
{
	return shares->min >= 0 || shares->max >= 0;
}

struct beancounter *bc_get_next_child(struct beancounter *parent,
				      struct beancounter *pos);
struct beancounter *bc_next_child(struct beancounter *parent,
				  struct beancounter *pos);
u64 bc_fraction(u64 amount, int shares, int divisor);
void bc_calc_due(struct beancounter *parent, const struct bc_written *written,
		 struct bc_due *due);
void bc_get_due(struct beancounter *bc, struct bc_due *due);
void bc_update_entitlement(struct beancounter *bc);
u64 bc_calc_reclaimable(struct beancounter *bc, u64 limit);

/* pending.c */
void bc_wait_at(struct beancounter *bc, struct beancounter *at, bool units);
void bc_stop_waiting(struct beancounter *bc);
void bc_retry_later(struct beancounter *bc);
void bc_wake_waiters(struct beancounter *bc);
void bc_room(struct res_root *root, struct res_counter *counter);
void bc_pending_begin(const struct bc_resource *res, struct list_head *list);
struct beancounter *bc_pending_next(const struct bc_resource *res,
				    struct list_head *list);
void bc_pending_end(const struct bc_resource *res, unsigned long start);
void bc_pending_init(const struct bc_resource *res, work_func_t work);
void bc_pending_offline(struct beancounter *bc);

/* rebalance.c */
void bc_rebalance(struct beancounter *bc, const struct file *file);
void bc_shrink_below(struct beancounter *bc);
void bc_rebalance_init(const struct bc_resource *res);

/* shares.c */

/* Whether @bc or a group below lives by shares. */
static inline bool bc_shares_used(struct beancounter *bc)
{
	return atomic_read(&bc->sharing);
}

int bc_parse_shares(char *buf, size_t len, struct bc_shares *shares);
bool bc_check_shares(const struct bc_shares *shares, int of, u64 parts,
		     u64 children, int highest);
int bc_shares_set_limit(struct beancounter *bc, u64 limit,
			bool not_below_usage, const struct file *file);
int bc_shares_set_reserved(struct beancounter *bc, u64 reserved,
			   const struct file *file);
int bc_set_shares(struct beancounter *bc, const struct bc_shares *shares,
		  const struct file *file);
void bc_get_shares(struct beancounter *bc, struct bc_shares *shares);
void bc_follow(struct beancounter *bc, const struct file *file);
void bc_shares_init(const struct bc_resource *res, struct beancounter *root);
void bc_shares_online(struct beancounter *bc);
u64 bc_shares_offline(struct beancounter *bc);

/* files.c */
int bc_parse_amount(const char *buf, size_t len, unsigned int how, u64 *val);
int bc_set_files(const struct bc_resource *res);

#endif /* _KERNEL_BC_INTERNAL_H */
