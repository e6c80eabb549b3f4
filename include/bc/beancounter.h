/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Beancounters: what a controller of one resource, and its hooks, may call
 *
 * How to write a controller is explained in Documentation/bc/internals.rst.
 */
#ifndef _BC_BEANCOUNTER_H
#define _BC_BEANCOUNTER_H

#include <linux/atomic.h>
#include <linux/cgroup.h>
#include <linux/irq_work.h>
#include <linux/jump_label.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include <bc/res_counter.h>

/**
 * enum bc_event - what a group's events files count
 * @BC_EVENT_BARRIER: charges refused at the barrier
 * @BC_EVENT_MAX: charges refused at the limit
 * @BC_EVENT_FORCED: forced charges that passed the limit
 * @BC_NR_EVENTS: how many every account has
 * @BC_EVENT_OWN: refusals of the controller's own: see bc_refuse(). Not of a plain
 *	resource.
 */
enum bc_event {
	BC_EVENT_BARRIER,
	BC_EVENT_MAX,
	BC_EVENT_FORCED,
	BC_NR_EVENTS,
	BC_EVENT_OWN = BC_NR_EVENTS,
};

/* What the file "shares" has for a number that is none. */
#define BC_SHARES_UNCHANGED	(-1)	/* when written */
#define BC_SHARES_UNSUPPORTED	(-2)	/* when read */
#define BC_SHARES_DONT_CARE	(-3)

/**
 * struct bc_shares - fractions of what the parent has
 * @min: the part of the parent's guarantee that is this group's guarantee, or
 *	%BC_SHARES_DONT_CARE
 * @max: the part of the parent's ceiling that is this group's ceiling, or
 *	%BC_SHARES_DONT_CARE
 * @divisor: what the children's numbers are parts of
 *
 * They are those of Resource Groups (2006).
 */
struct bc_shares {
	int	min;
	int	max;
	int	divisor;
};

#define BC_SHARES_DEFAULT ((struct bc_shares) {	\
	.min = BC_SHARES_DONT_CARE,		\
	.max = BC_SHARES_DONT_CARE,		\
	.divisor = 100,				\
})

struct bc_peaks;

/**
 * struct bc_group - the cgroup's side of a group
 * @css: what cgroup core knows
 * @events_file: handle of the file "events"
 * @events_local_file: handle of the file "events.local"
 * @change_mutex: one change of its amounts at a time; see kernel/bc/limits.c
 * @logging: one of its accounts has the fields below, for the log
 * @first_bound: what was in the way of the first refusal by that account
 * @first_machine: that was the machine's
 * @first_event: what the refusal was
 * @first_pid: the task that was refused
 * @first_comm: its name
 *
 * Most controllers count one resource: see &struct bc_single. One with several
 * has as many accounts in a group.
 */
struct bc_group {
	struct cgroup_subsys_state	css;
	struct cgroup_file		events_file;
	struct cgroup_file		events_local_file;
	struct mutex			change_mutex;	/* changes of amounts */
	unsigned long			logging;
	u64				first_bound;
	bool				first_machine;
	u8				first_event;
	pid_t				first_pid;
	char				first_comm[TASK_COMM_LEN];
};

/**
 * struct beancounter - one group's account of one resource
 * @counter: the engine's side; in the root group it has nothing but @root
 * @group: the cgroup's side. The account stays allocated as long as that.
 * @lock: guards what follows and does not say otherwise, up to @waiters, or the
 *	@lock of the parent does: see there
 * @flags: BC_FLAG_* bits of kernel/bc/internal.h; no lock
 * @promised: of @lent of the parent, what this group has reserved or is about
 *	to; parent's lock
 * @lent: sum of the children's @promised
 * @events: what happened here and below; no lock
 * @events_local: what happened here; no lock
 * @deferred: queued to have its events told; no lock
 * @own_events: of @events, the controller's own
 * @own_events_local: of @events_local
 * @nr_children: children that are online
 * @strict: children have their limit reserved
 * @borrows_shared: below a strict group: its share of the ceiling was written
 *	by a privileged task; @change_mutex
 * @sharing_counts: counted in @sharing; parent's lock
 * @shares: as written; parent's lock, but for the divisor
 * @min: the reservation, if @shares do not care: as written; parent's lock
 * @max: the limit, if @shares do not care: as written; parent's lock
 * @guarantee: what the children have shares of; see kernel/bc/entitlement.c
 * @ceiling: likewise, for their limits
 * @version: counts changes of what is due to the children
 * @followed: the @version that they have followed
 * @part: of @parts of the parent, this group's; parent's lock
 * @parts: sum of the shares that the children take for themselves
 * @highest: no child has more max_shares
 * @sharing: how many groups live by shares, of this one and those below
 * @waiters: groups that are short of what is due, for lack of something here;
 *	like @waiting guarded by the resource's @wait_lock
 * @waiting: in the @waiters of this group or one above, or in @awaken
 * @room: in @rooms of the resource
 * @has_room: it is there
 * @peaks: open files of "peak" with a maximum of their own; %NULL as long as there
 *	was none
 */
struct beancounter {
	struct res_counter		counter ____cacheline_aligned_in_smp;
	struct bc_group			*group;

	spinlock_t			lock;		/* it as a parent */
	atomic_t			flags;
	u64				promised;
	u64				lent;

	atomic64_t			events[BC_NR_EVENTS];
	atomic64_t			events_local[BC_NR_EVENTS];
	struct llist_node		deferred;

	/* A plain resource's account ends here: 320 bytes. */

	atomic64_t			own_events;
	atomic64_t			own_events_local;
	unsigned int			nr_children;
	bool				strict;
	bool				borrows_shared;
	bool				sharing_counts;
	struct bc_shares		shares;
	u64				min;
	u64				max;
	u64				guarantee;
	u64				ceiling;
	unsigned int			version;
	unsigned int			followed;
	int				part;
	u64				parts;
	int				highest;
	atomic_t			sharing;
	struct list_head		waiters;
	struct list_head		waiting;
	struct llist_node		room;
	atomic_t			has_room;
	struct bc_peaks			*peaks;
};

/* How much of it is there for a plain resource. */
#define BC_PLAIN_ACCOUNT	offsetof(struct beancounter, own_events)

/**
 * struct bc_single - a group of a controller that counts one resource
 * @group: the cgroup's side
 * @bc: its account
 */
struct bc_single {
	struct bc_group			group;
	struct beancounter		bc;
};

/**
 * struct bc_resource - the descriptor of a resource
 * @ss: its cgroup subsystem
 * @name: what logs and traces call it; %NULL: as @ss
 * @id: its number
 * @state: what changes at run time
 * @stock: what the CPUs have in stock: zeroed, for each CPU
 * @key: on while there is anything but the root group: a group, or an object
 *	that a removed group has left behind. Hooks ask it first.
 * @refused: what a refusal by a group is for the caller: an errno, negative
 * @exhausted: and one by the machine; not needed without @capacity
 * @plain: its groups have no shares, no stat and no maxima of open files, no events
 *	of their own, and are not strict: an account ends at BC_PLAIN_ACCOUNT
 * @bytes: amounts are bytes: they may be written with the suffixes K, M and G,
 *	and the names of v1's files say so
 * @size: of what the controller keeps for a group, which begins with a &struct
 *	bc_single; 0 if there is no more
 * @batch_min: units that a CPU has in stock at least, where it has any, and a group's
 *	bank twice as many; 0 for a few. Extremes are off by as much.
 * @batch_max: and at most
 * @barrier_gap: where a limit was written and no barrier, ordinary charges stop so
 *	many units below it, or a quarter of it if that is less; 0: at the limit
 * @own_event: what the files of events call a refusal of the controller's own, if
 *	there are any
 * @files: of the controller's own, in either convention, up to one without a name;
 *	they can use bc_read_amount() and bc_show_amount()
 * @kinds: what kinds of units there are, by the words that the file "stat" has for
 *	them, if any are told apart: see bc_note()
 * @other_kind: the word for units that were noted as none of @kinds, which costs nothing
 * @init: a new group; may fail with an errno. Task context.
 * @fini: the group that @init has seen is freed
 * @change: a limit or barrier is about to be set to @val by a write to it, not
 *	by shares. May make room, and may veto with an errno. Task context, no
 *	lock held but cgroup core's protection of the file.
 * @barrier_hit: privileged charges took @bc across its barrier
 * @limit_hit: @bc refuses a charge, or has no room for a reservation or too
 *	much in use to give one back; may make room, sleeping only if
 *	@may_block, and return true for another try. May be called under
 *	@change_mutex.
 * @capacity: the machine's own amount, for an ordinary (%BC_BARRIER) or a
 *	privileged (%BC_LIMIT) charge; may do no more than read. NULL: no bound.
 *
 * All callbacks are optional. The descriptor is constant, so that the compiler knows in
 * each controller where its stock is.
 */
struct bc_resource {
	struct cgroup_subsys	*ss;
	const char		*name;
	int			id;
	struct bc_resource_state *state;
	struct res_stock __percpu *stock;
	struct static_key_false	*key;
	int			refused;
	int			exhausted;
	bool			plain;
	bool			bytes;
	size_t			size;
	unsigned long		batch_min;
	unsigned long		batch_max;
	u64			barrier_gap;
	const char		*own_event;
	const struct cftype	*files;
	const char		*kinds[RES_KINDS];
	const char		*other_kind;

	int (*init)(struct beancounter *bc);
	void (*fini)(struct beancounter *bc);
	int (*change)(struct beancounter *bc, enum bc_severity which, u64 val);
	void (*barrier_hit)(struct beancounter *bc);
	bool (*limit_hit)(struct beancounter *bc,
			  const struct res_refusal *refusal, bool may_block);
	u64 (*capacity)(enum bc_severity severity);
};

/**
 * struct bc_resource_state - what of a resource changes at run time
 * @root: the machine's account
 * @res: its descriptor
 * @node: in the list of all resources
 * @freed: owners that are gone, and for which @key is still on
 * @drain: what is kept in any group is wanted
 * @machine: the root group
 * @wait_lock: guards the lists of groups that are short of what they are due by
 *	their shares; see kernel/bc/pending.c
 * @waiting: how many they are
 * @awaken: those that are to try again
 * @rooms: groups that have units again, for others to try again
 * @room_work: queues @rebalance_work from any context
 * @rebalance_work: has them try again
 * @rebalance_at: not earlier than that, in jiffies
 */
struct bc_resource_state {
	struct res_root		root;
	const struct bc_resource *res;
	struct list_head	node;
	atomic_t		freed;
	atomic_t		drain;

	struct beancounter	*machine;
	spinlock_t		wait_lock;	/* lists of groups that wait */
	unsigned int		waiting;
	struct list_head	awaken;
	struct llist_head	rooms;
	struct irq_work		room_work;
	struct delayed_work	rebalance_work;
	unsigned long		rebalance_at;
};

/**
 * css_bc() - the account that a css of a controller of one resource stands for
 * @css: the css
 *
 * Return: Its account.
 */
static inline struct beancounter *css_bc(struct cgroup_subsys_state *css)
{
	return &container_of(css, struct bc_single, group.css)->bc;
}

/**
 * bc_res() - the resource of an account
 * @bc: the account
 *
 * Return: The descriptor.
 */
static inline const struct bc_resource *bc_res(const struct beancounter *bc)
{
	return container_of(bc->counter.root, struct bc_resource_state,
			    root)->res;
}

/**
 * bc_parent() - the account of the group above
 * @bc: a group's account
 *
 * Return: The account above, or %NULL where that is the root's.
 */
static inline struct beancounter *bc_parent(struct beancounter *bc)
{
	struct res_counter *parent = bc->counter.parent;

	return parent ? container_of(parent, struct beancounter, counter) : NULL;
}

struct res_owner * __must_check
__bc_charge(const struct bc_resource *res, u64 n, enum bc_severity severity,
	    bool may_block);
struct res_owner * __must_check
__bc_charge_group(struct beancounter *bc, u64 n, enum bc_severity severity,
		  bool may_block);
struct res_owner * __must_check
bc_charge_owner(const struct bc_resource *res, struct res_owner *owner, u64 n,
		enum bc_severity severity, bool may_block);
struct res_owner * __must_check
bc_try_charge(const struct bc_resource *res, struct res_owner *owner, u64 n);
struct res_owner *bc_get_owner(const struct bc_resource *res,
			       struct cgroup_subsys_state *css);

/**
 * bc_charge_stock() - the usual charge of the current task's group
 * @id: the controller's
 * @stock: the resource's
 * @n: units, at least 1
 * @owner: where to put what bc_charge() would return
 *
 * The part of bc_charge() that a hook may have inline.
 *
 * Context: Any context but NMI.
 * Return: Whether that was all. If not, __bc_charge() is to be called.
 */
static __always_inline bool bc_charge_stock(int id,
					    struct res_stock __percpu *stock,
					    u64 n, struct res_owner **owner)
{
	bool charged = true;

	/* Without preemption, the group and its owner do not go away. */
	preempt_disable();
	*owner = READ_ONCE(css_bc(task_css(current, id))->counter.owner);
	/* NULL: the root group's */
	if (*owner) {
		if (!in_task() || (current->flags & PF_KTHREAD))
			*owner = NULL;
		else
			charged = res_stock_charge(stock, *owner, n);
	}
	preempt_enable();
	return charged;
}

/**
 * bc_charge() - charge the current task's group
 * @res: the resource
 * @n: units, at least 1
 * @severity: %BC_BARRIER, which counts as %BC_LIMIT for a task that has
 *	CAP_SYS_ADMIN in the initial namespace, or a higher one
 * @may_block: callbacks may sleep, and other CPUs be waited for
 *
 * No group is charged for what an interrupt, a kernel thread or a task of the
 * root group does.
 *
 * A task that is exiting may be in a group that was removed; then the nearest
 * ancestor is charged.
 *
 * Context: Any context but NMI; task context, no spinlock held, interrupts on,
 * with @may_block.
 * Return: What to keep with the object, for bc_uncharge().
 *
 * * %NULL - No group was charged; nothing is to be uncharged.
 * * @res->refused - Refused by a group; nothing has changed but counts of
 *   refusals.
 * * @res->exhausted - Refused by the machine; likewise.
 */
static __always_inline struct res_owner * __must_check
bc_charge(const struct bc_resource *res, u64 n, enum bc_severity severity,
	  bool may_block)
{
	struct res_owner *owner;

	if (likely(bc_charge_stock(res->id, res->stock, n, &owner)))
		return owner;
	return __bc_charge(res, n, severity, may_block);
}

/**
 * bc_charge_group() - charge a group that the caller knows to be there
 * @bc: its account, not the root's
 * @n: units, at least 1
 * @severity: see bc_charge()
 * @may_block: see bc_charge()
 *
 * For callbacks of cgroup core, which are told of a css.
 *
 * Context: Task context; no spinlock held, interrupts on, with @may_block. @bc
 * stays allocated, and should not be removed.
 * Return: As bc_charge().
 */
static __always_inline struct res_owner * __must_check
bc_charge_group(struct beancounter *bc, u64 n, enum bc_severity severity,
		bool may_block)
{
	struct res_owner *owner;
	bool charged;

	preempt_disable();
	owner = READ_ONCE(bc->counter.owner);
	charged = res_stock_charge(bc->counter.root->stock, owner, n);
	preempt_enable();
	if (likely(charged))
		return owner;
	return __bc_charge_group(bc, n, severity, may_block);
}

/**
 * bc_uncharge() - return units
 * @res: the resource
 * @owner: what bc_charge() has returned, if that was not %NULL
 * @n: units
 *
 * Context: Any context but NMI.
 */
static __always_inline void bc_uncharge(const struct bc_resource *res,
					struct res_owner *owner, u64 n)
{
	bool uncharged;

	preempt_disable();
	uncharged = res_stock_uncharge(res->stock, owner, n);
	preempt_enable();
	if (unlikely(!uncharged))
		res_counter_uncharge(owner, n);
}

/**
 * bc_note() - say of what kind units are
 * @res: the resource, with @kinds
 * @owner: what bc_charge() has returned for some units, if that was not %NULL;
 *	they must not have been uncharged yet
 * @kind: an index of @res->kinds
 * @n: so many became units of this kind; negative: so many are none any more
 *
 * Context: Any context but NMI.
 */
static __always_inline void bc_note(const struct bc_resource *res,
				    struct res_owner *owner, unsigned int kind,
				    long n)
{
	preempt_disable();
	res_stock_note(res->stock, owner, kind, n);
	preempt_enable();
}

bool __must_check bc_covered(struct beancounter *bc, u64 n);
bool __must_check bc_current_covered(const struct bc_resource *res, u64 n, u64 usage,
				     u64 bound);
void bc_refuse(struct beancounter *bc, u64 n, u64 usage, u64 bound);
void bc_refuse_machine(struct beancounter *bc, u64 n, u64 usage, u64 bound);
int bc_read_amount(struct kernfs_open_file *of, const char *buf, size_t nbytes,
		   u64 *val);
void bc_show_amount(struct seq_file *sf, u64 val);
void bc_machine_changed(const struct bc_resource *res);

struct cgroup_subsys_state *bc_css_alloc(const struct bc_resource *res,
					 struct cgroup_subsys_state *parent);
int bc_css_online(struct cgroup_subsys_state *css);
void bc_css_killed(struct cgroup_subsys_state *css);
void bc_css_free(struct cgroup_subsys_state *css);

/**
 * BC_CSS_CALLBACKS - what every controller's &struct cgroup_subsys has
 *
 * All but css_alloc, which has to name its resource: see bc_css_alloc().
 */
#define BC_CSS_CALLBACKS			\
	.css_online	= bc_css_online,	\
	.css_killed	= bc_css_killed,	\
	.css_free	= bc_css_free,		\
	.threaded	= true

#endif /* _BC_BEANCOUNTER_H */
