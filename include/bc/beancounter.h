/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Beancounters: what a controller of one resource, and its hooks, may call
 *
 * How to write a controller is explained in Documentation/bc/internals.rst.
 */
#ifndef _BC_BEANCOUNTER_H
#define _BC_BEANCOUNTER_H

#include <linux/cgroup.h>
#include <linux/jump_label.h>
#include <linux/list.h>
#include <linux/llist.h>

#include <bc/res_counter.h>

/* What a group's events files count. */
enum bc_event {
	BC_EVENT_BARRIER,	/* charges refused at the barrier */
	BC_EVENT_MAX,		/* charges refused at the limit */
	BC_EVENT_FORCED,	/* forced charges that passed the limit */
	BC_NR_EVENTS,
};

/**
 * struct beancounter - one group's account of one resource
 * @css: the cgroup's side
 * @counter: the engine's side; unused in the root group
 * @res: the resource
 * @events: what happened here and below
 * @events_local: what happened here
 * @events_file: handle of the file "events"
 * @events_local_file: handle of the file "events.local"
 * @peaks: readers of "peak" with a maximum of their own
 * @flags: BC_FLAG_* bits of kernel/bc/beancounter.c
 * @deferred: queued to have its events told
 * @first_bound: the bound that the first refusal met, for the log
 * @first_at: which one that was
 * @first_pid: whom it met
 * @first_comm: by name
 */
struct beancounter {
	struct cgroup_subsys_state	css;
	struct res_counter		counter;
	struct bc_resource		*res;

	atomic64_t			events[BC_NR_EVENTS];
	atomic64_t			events_local[BC_NR_EVENTS];
	struct cgroup_file		events_file;
	struct cgroup_file		events_local_file;
	struct list_head		peaks;

	unsigned long			flags;
	struct llist_node		deferred;
	u64				first_bound;
	enum bc_severity		first_at;
	pid_t				first_pid;
	char				first_comm[TASK_COMM_LEN];
};

/**
 * struct bc_resource - the descriptor of a resource
 * @ss: its cgroup subsystem
 * @key: on while there is anything but the root group: a group, or an object
 *	that a removed group has left behind. Hooks ask it first.
 * @bytes: amounts are bytes: they may be written with the suffixes K, M and G,
 *	and the names of v1's files say so
 * @init: a new group; may fail with an errno. Task context.
 * @fini: the group that @init has seen is freed
 * @change: a limit or barrier is about to be set to @val. May make room, and
 *	may veto with an errno. Task context, no lock held but cgroup core's
 *	protection of the file.
 * @barrier_hit: a privileged charge took @bc across its barrier
 * @limit_hit: @bc refuses a charge; may make room, sleeping only if
 *	@may_block, and return true for another try
 * @capacity: the machine's own amount, for an ordinary (%BC_BARRIER) or a
 *	privileged (%BC_LIMIT) charge; called under a raw spinlock. NULL: no
 *	bound.
 * @root: the machine's account
 * @node: in the list of all resources
 * @freed: owners that are gone, and for which @key is still on
 *
 * All callbacks are optional. Controllers fill in what comes before @root.
 */
struct bc_resource {
	struct cgroup_subsys	*ss;
	struct static_key_false	*key;
	bool			bytes;

	int (*init)(struct beancounter *bc);
	void (*fini)(struct beancounter *bc);
	int (*change)(struct beancounter *bc, enum bc_severity which, u64 val);
	void (*barrier_hit)(struct beancounter *bc, u64 n);
	bool (*limit_hit)(struct beancounter *bc,
			  const struct res_refusal *refusal, bool may_block);
	u64 (*capacity)(enum bc_severity severity);

	struct res_root		root;
	struct list_head	node;
	atomic_t		freed;
};

static inline struct beancounter *css_bc(struct cgroup_subsys_state *css)
{
	return container_of(css, struct beancounter, css);
}

/* The group above, or NULL where that is the root. */
static inline struct beancounter *bc_parent(struct beancounter *bc)
{
	struct cgroup_subsys_state *parent = bc->css.parent;

	return parent && parent->parent ? css_bc(parent) : NULL;
}

struct res_owner * __must_check
bc_charge(struct bc_resource *res, u64 n, enum bc_severity severity,
	  bool may_block);
void bc_uncharge(struct res_owner *owner, u64 n);

struct cgroup_subsys_state *bc_css_alloc(struct bc_resource *res,
					 struct cgroup_subsys_state *parent);
void bc_css_offline(struct cgroup_subsys_state *css);
void bc_css_free(struct cgroup_subsys_state *css);

/**
 * BC_SUBSYS() - the cgroup subsystem of a resource
 * @_name: as in include/linux/cgroup_subsys.h
 * @_res: its &struct bc_resource
 */
#define BC_SUBSYS(_name, _res)						\
static struct cgroup_subsys_state *					\
_name##_css_alloc(struct cgroup_subsys_state *parent)			\
{									\
	return bc_css_alloc(&(_res), parent);				\
}									\
									\
struct cgroup_subsys _name##_cgrp_subsys = {				\
	.css_alloc	= _name##_css_alloc,				\
	.css_offline	= bc_css_offline,				\
	.css_free	= bc_css_free,					\
	.threaded	= true,						\
}

#endif /* _BC_BEANCOUNTER_H */
