// SPDX-License-Identifier: GPL-2.0
/*
 * Beancounters: the core
 *
 * Ties the engine (engine/) to cgroups: which task is charged, how long
 * things live, and how users are told. Everything here is the same for every
 * resource; a controller says in a descriptor, struct bc_resource, what differs.
 *
 * Lifetime
 *
 * A group's counter stays as long as its css. An object holds no reference to the
 * css but points to the engine's owner, so that a group's removal waits for no
 * object: bc_css_killed() leaves what is still charged to the parent, and the
 * css is freed as soon as cgroup core lets go of it. Cgroup core does that a
 * grace period after killing it at the earliest, kills a parent after its
 * children, and frees it after them, which is all that the engine asks for.
 *
 * Static keys
 *
 * A resource's key counts the owners below the root. While there are none every
 * object was allocated uncharged, so that hooks have nothing to do on either
 * side. The key is turned on before the first group can have a task; it is
 * turned off from a work item, since the last uncharge may come from anywhere.
 *
 * Telling
 *
 * A charge can be refused in any context, and by many CPUs at a time. It counts
 * the event and puts the group on a list, without a lock; a work item writes the
 * log and wakes up tasks that poll. Events that come until then share one wake-up.
 * The work item rests in between, as no group's task pays for it.
 */

#define pr_fmt(fmt) "bc: " fmt

#include <linux/capability.h>
#include <linux/cpuhotplug.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Complete before there is any group below the root; only read after that. */
static LIST_HEAD(bc_resources);

static LLIST_HEAD(bc_deferred);

static const struct bc_resource *root_resource(struct res_root *root)
{
	return container_of(root, struct bc_resource_state, root)->res;
}

/* What has refused, in logs and traces. */
static const char *bc_event_name(const struct bc_resource *res, enum bc_event event)
{
	switch (event) {
	case BC_EVENT_BARRIER:
		return "barrier";
	case BC_EVENT_MAX:
		return "limit";
	default:
		return res->own_event;
	}
}

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "bc."

static bool bc_log_refusals = true;
module_param_named(log_refusals, bc_log_refusals, bool, 0644);
MODULE_PARM_DESC(log_refusals, "Log the first refusal of each group");

/*
 * Logs the first refusal of @bc, unless the machine has logged enough already:
 * all groups and resources together have ten lines in five seconds, however
 * many groups are made. A group that finds none left, or the log switched off,
 * logs its next refusal.
 */
static void bc_log_refusal(struct beancounter *bc)
{
	static DEFINE_RATELIMIT_STATE(bc_ratelimit, 5 * HZ, 10);
	struct bc_group *group = bc->group;
	char *path;

	if (!READ_ONCE(bc_log_refusals) || !__ratelimit(&bc_ratelimit))
		goto later;
	path = kmalloc(PATH_MAX, GFP_KERNEL);
	if (!path)
		goto later;

	cgroup_path(group->css.cgroup, path, PATH_MAX);
	/* A byte can become four, and a line of the log has about a thousand. */
	pr_info("%s: group %*pE refused at %s%s %llu (task %*pE[%d])\n",
		bc_resource_name(bc_res(bc)), (int)strnlen(path, 200), path,
		group->first_machine ? "the machine's " : "",
		bc_event_name(bc_res(bc), group->first_event), group->first_bound,
		(int)strlen(group->first_comm), group->first_comm,
		group->first_pid);
	kfree(path);
	clear_bit_unlock(0, &group->logging);
	return;
later:
	clear_bit_unlock(0, &group->logging);
	bc_clear_flag(bc, BC_FLAG_REFUSED);
}

/*
 * Notes the refusal for the log, if no other account of the group has one noted
 * already; then it logs its next refusal.
 */
static void bc_note_first(struct beancounter *bc, const struct res_refusal *refusal,
			  enum bc_event event)
{
	struct bc_group *group = bc->group;

	if (bc_test_flag(bc, BC_FLAG_REFUSED) ||
	    bc_test_and_set_flag(bc, BC_FLAG_REFUSED))
		return;
	if (test_and_set_bit_lock(0, &group->logging)) {
		bc_clear_flag(bc, BC_FLAG_REFUSED);
		return;
	}
	group->first_bound = refusal->bound;
	group->first_machine = refusal->machine;
	group->first_event = event;
	group->first_pid = task_pid_nr(current);
	strscpy(group->first_comm, current->comm);
	/* Pairs with the bc_test_and_clear_flag() in bc_tell(). */
	smp_mb__before_atomic();
	bc_set_flag(bc, BC_FLAG_LOG);
}

static void bc_tell(struct beancounter *bc)
{
	struct beancounter *p;

	if (bc_test_and_clear_flag(bc, BC_FLAG_DRAIN))
		res_counter_drain(&bc->counter);
	if (!bc_test_and_clear_flag(bc, BC_FLAG_EVENT))
		return;

	if (bc_test_and_clear_flag(bc, BC_FLAG_LOG))
		bc_log_refusal(bc);
	cgroup_file_notify(&bc->group->events_local_file);
	for (p = bc; p; p = bc_parent(p))
		cgroup_file_notify(&p->group->events_file);
}

/*
 * After a run, the work item rests for so many times as long, but not longer than that:
 * groups wait for what it drains. Runs are short: what is less than a tick adds up,
 * and the rest comes later.
 */
#define BC_WORK_REST		9
#define BC_WORK_REST_MAX	(100 * (s64)NSEC_PER_MSEC)

/* When the last rest ends, by ktime_get_ns(). */
static atomic64_t bc_work_at;

static void bc_deferred_work(struct work_struct *work)
{
	const s64 start = ktime_get_ns();
	struct beancounter *bc, *next;
	struct bc_resource_state *state;
	s64 rest;

	llist_for_each_entry_safe(bc, next, llist_del_all(&bc_deferred),
				  deferred) {
		/*
		 * An event that comes after this puts the group on the list
		 * anew. Being a full barrier, like its counterpart in
		 * bc_defer(), this keeps the load of next before it, and the
		 * count that bc_tell() has others read after it.
		 */
		bc_test_and_clear_flag(bc, BC_FLAG_DEFERRED);
		bc_tell(bc);
		css_put(&bc->group->css);
		/* There may be one for each group of the machine. */
		cond_resched();
	}

	list_for_each_entry(state, &bc_resources, node) {
		int freed = atomic_xchg(&state->freed, 0);

		while (freed--)
			static_branch_dec(state->res->key);
		if (atomic_xchg(&state->drain, 0))
			res_root_drain(&state->root);
	}
	rest = min(BC_WORK_REST * ((s64)ktime_get_ns() - start), BC_WORK_REST_MAX);
	atomic64_set(&bc_work_at, max(start, atomic64_read(&bc_work_at)) + rest);
}

static DECLARE_DELAYED_WORK(bc_work, bc_deferred_work);

/* Queueing a work item takes a lock, which irq_work lets us do later. */
static void bc_kick(struct irq_work *unused)
{
	const s64 rest = atomic64_read(&bc_work_at) - (s64)ktime_get_ns();

	queue_delayed_work(system_unbound_wq, &bc_work,
			   rest > 0 ? nsecs_to_jiffies(rest) : 0);
}

static DEFINE_IRQ_WORK(bc_irq_work, bc_kick);

/* Has bc_deferred_work() look at @bc, to which there is a reference, or to one below. */
static void bc_defer(struct beancounter *bc)
{
	if (bc_test_and_set_flag(bc, BC_FLAG_DEFERRED))
		return;
	css_get(&bc->group->css);
	llist_add(&bc->deferred, &bc_deferred);
	irq_work_queue(&bc_irq_work);
}

static void bc_event(struct beancounter *bc, enum bc_event event)
{
	struct beancounter *p;

	atomic64_inc(bc_events(bc, true, event));
	for (p = bc; p; p = bc_parent(p))
		atomic64_inc(bc_events(p, false, event));
	bc_set_flag(bc, BC_FLAG_EVENT);
	bc_defer(bc);
}

static void bc_refused_at(const struct res_refusal *refusal, enum bc_event event)
{
	struct beancounter *bc = counter_bc(refusal->counter);

	trace_bc_charge_refused(bc, refusal, bc_event_name(bc_res(bc), event));

	bc_note_first(bc, refusal, event);
	bc_event(bc, event);
}

static void bc_refused(const struct res_refusal *refusal)
{
	bc_refused_at(refusal, refusal->at == BC_LIMIT ? BC_EVENT_MAX :
							 BC_EVENT_BARRIER);
}

/**
 * bc_refuse() - tell of a refusal that is the controller's own
 * @bc: the group that refuses
 * @n: units that were asked for
 * @usage: how much there was already of what it counts
 * @bound: what it has of that
 *
 * Of a resource with @own_event.
 *
 * Context: Any context but NMI. @bc stays.
 */
void bc_refuse(struct beancounter *bc, u64 n, u64 usage, u64 bound)
{
	const struct res_refusal refusal = {
		.counter = &bc->counter,
		.n = n,
		.usage = usage,
		.bound = bound,
		.at = BC_LIMIT,
	};

	bc_refused_at(&refusal, BC_EVENT_OWN);
}

/**
 * bc_refuse_machine() - count and log a refusal by a check of mainline's
 * @bc: the group of the task that is refused
 * @n: units that were asked for
 * @usage: how much the machine had
 * @bound: the machine's amount
 *
 * Counts as %BC_EVENT_MAX, as no task of the group could have gone on.
 *
 * Context: Any context but NMI. @bc stays.
 */
void bc_refuse_machine(struct beancounter *bc, u64 n, u64 usage, u64 bound)
{
	const struct res_refusal refusal = {
		.counter = &bc->counter,
		.n = n,
		.usage = usage,
		.bound = bound,
		.at = BC_LIMIT,
		.machine = true,
	};

	bc_refused_at(&refusal, BC_EVENT_MAX);
}

static void bc_forced(const struct res_refusal *refusal)
{
	bc_event(counter_bc(refusal->counter), BC_EVENT_FORCED);
}

static bool bc_privileged(void)
{
	/*
	 * Not of whatever task an interrupt has found; and without audit, as it
	 * is nothing that the task has asked for.
	 */
	return in_task() && ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

static void bc_barrier_hit(struct res_counter *counter)
{
	struct beancounter *bc = counter_bc(counter);

	trace_bc_barrier_hit(bc);
	if (bc_res(bc)->barrier_hit)
		bc_res(bc)->barrier_hit(bc);
}

static u64 bc_capacity(struct res_root *root, enum bc_severity severity)
{
	const struct bc_resource *res = root_resource(root);

	return res->capacity ? res->capacity(severity) : RES_COUNTER_MAX;
}

static void bc_owner_freed(struct res_root *root)
{
	if (atomic_inc_return(&root_resource(root)->state->freed) == 1)
		irq_work_queue(&bc_irq_work);
}

/* A charge that could not wait has found no room: the next one may. */
static void bc_drain_later(struct res_root *root, struct res_counter *counter)
{
	struct beancounter *bc;

	if (!counter) {
		if (!atomic_xchg(&root_resource(root)->state->drain, 1))
			irq_work_queue(&bc_irq_work);
		return;
	}
	bc = counter_bc(counter);
	if (!bc_test_flag(bc, BC_FLAG_DRAIN) && css_tryget(&bc->group->css)) {
		bc_set_flag(bc, BC_FLAG_DRAIN);
		bc_defer(bc);
		css_put(&bc->group->css);
	}
}

static bool bc_counter_tryget(struct res_counter *counter)
{
	return css_tryget(&counter_bc(counter)->group->css);
}

static void bc_counter_put(struct res_counter *counter)
{
	css_put(&counter_bc(counter)->group->css);
}

static const struct res_counter_ops bc_counter_ops = {
	.capacity	= bc_capacity,
	.privileged	= bc_privileged,
	.barrier_hit	= bc_barrier_hit,
	.limit_hit	= bc_limit_hit,
	.refused	= bc_refused,
	.forced		= bc_forced,
	.room		= bc_room,
	.drain_later	= bc_drain_later,
	.tryget		= bc_counter_tryget,
	.put		= bc_counter_put,
	.owner_freed	= bc_owner_freed,
};

/**
 * bc_get_current_css() - the group of the current task
 * @res: a resource of the controller
 *
 * Context: Any context but NMI.
 * Return: Its css, with a reference; %NULL if there is none to charge: in an
 * interrupt, for a kernel thread, and in the root group.
 */
struct cgroup_subsys_state *bc_get_current_css(const struct bc_resource *res)
{
	struct cgroup_subsys_state *css;

	if (!in_task() || (current->flags & PF_KTHREAD))
		return NULL;

	rcu_read_lock();
	do {
		css = task_css(current, res->id);
		if (!css->parent) {
			css = NULL;
			break;
		}
		/* Fails if we are being moved, and the group we left is gone. */
	} while (!css_tryget(css));
	rcu_read_unlock();
	return css;
}

/* Its account, with a reference to the group. */
static struct beancounter *bc_get_current(const struct bc_resource *res)
{
	struct cgroup_subsys_state *css = bc_get_current_css(res);

	return css ? css_bc(css) : NULL;
}

/* What the engine has returned, with the errnos of the resource. */
static struct res_owner *bc_charged(const struct bc_resource *res,
				    struct res_owner *owner)
{
	if (!IS_ERR(owner))
		return owner;
	return ERR_PTR(PTR_ERR(owner) == -ENOSPC ? res->exhausted :
						   res->refused);
}

/**
 * __bc_charge() - bc_charge() where there is too little in stock
 * @res: the resource
 * @n: units, at least 1
 * @severity: see bc_charge()
 * @may_block: see bc_charge()
 *
 * Context: As bc_charge().
 * Return: As bc_charge().
 */
struct res_owner *__bc_charge(const struct bc_resource *res, u64 n,
			      enum bc_severity severity, bool may_block)
{
	struct res_owner *owner = NULL;
	struct cgroup_subsys_state *css;
	struct beancounter *bc;

	rcu_read_lock();
	css = task_css(current, res->id);
	if (css->parent)
		owner = res_counter_try_charge(&css_bc(css)->counter, n);
	rcu_read_unlock();
	if (!IS_ERR(owner))
		return owner;

	bc = bc_get_current(res);
	if (!bc)
		return NULL;
	owner = res_counter_charge(&bc->counter, n, severity, may_block);
	css_put(&bc->group->css);
	return bc_charged(res, owner);
}

/**
 * __bc_charge_group() - bc_charge_group() where there is too little in stock
 * @bc: see bc_charge_group()
 * @n: units, at least 1
 * @severity: see bc_charge()
 * @may_block: see bc_charge()
 *
 * Context: As bc_charge_group().
 * Return: As bc_charge_group().
 */
struct res_owner *__bc_charge_group(struct beancounter *bc, u64 n,
				    enum bc_severity severity, bool may_block)
{
	return bc_charged(bc_res(bc),
			  res_counter_charge(&bc->counter, n, severity,
					     may_block));
}

/**
 * bc_charge_owner() - charge a group that the current task is not in, perhaps
 * @res: the resource
 * @owner: the group's owner, as bc_get_owner() has returned it
 * @n: units, at least 1
 * @severity: see bc_charge()
 * @may_block: see bc_charge()
 *
 * Where the group was removed, the nearest ancestor is charged that was not.
 *
 * Context: Any context but NMI; task context, no spinlock held, interrupts on,
 * with @may_block.
 * Return: As bc_charge().
 */
struct res_owner *bc_charge_owner(const struct bc_resource *res,
				  struct res_owner *owner, u64 n,
				  enum bc_severity severity, bool may_block)
{
	struct res_counter *counter;
	struct beancounter *bc;

	rcu_read_lock();
	do {
		counter = res_owner_counter(owner);
		if (!counter) {
			rcu_read_unlock();
			return NULL;
		}
		bc = counter_bc(counter);
		/* Fails if the group goes just now, when another one is found. */
	} while (!css_tryget(&bc->group->css));
	rcu_read_unlock();

	owner = res_counter_charge(counter, n, severity, may_block);
	css_put(&bc->group->css);
	return bc_charged(res, owner);
}

/**
 * bc_try_charge() - charge if there is room, and do no more
 * @res: the resource
 * @owner: the group to charge: what bc_get_owner() has returned; %NULL: the
 *	current task's
 * @n: units, at least 1
 *
 * A refusal counts for nothing and calls nothing: the caller can do without, or has
 * another try; what CPUs and groups below keep is drained meanwhile. It is one at
 * the barrier, even if the task is privileged.
 *
 * Context: Any context but NMI; task context, if @owner is %NULL.
 * Return: As bc_charge().
 */
struct res_owner *bc_try_charge(const struct bc_resource *res,
				struct res_owner *owner, u64 n)
{
	struct res_counter *counter = NULL;
	struct cgroup_subsys_state *css;

	rcu_read_lock();
	if (owner) {
		counter = res_owner_counter(owner);
	} else {
		css = task_css(current, res->id);
		if (css->parent)
			counter = &css_bc(css)->counter;
	}
	owner = counter ? res_counter_try_charge_drain(counter, n) : NULL;
	rcu_read_unlock();
	return bc_charged(res, owner);
}

/**
 * bc_get_owner() - the owner to charge for what is done on behalf of a group
 * @res: the resource
 * @css: the group, as one of @res; %NULL: the current task's
 *
 * Context: Any context but NMI; task context, if @css is %NULL.
 * Return: For bc_charge_owner(), until res_owner_put(); %NULL: no group is to be
 * charged.
 */
struct res_owner *bc_get_owner(const struct bc_resource *res,
			       struct cgroup_subsys_state *css)
{
	struct res_owner *owner = NULL;
	struct beancounter *bc;

	rcu_read_lock();
	if (!css)
		css = task_css(current, res->id);
	for (bc = css->parent ? css_bc(css) : NULL; bc; bc = bc_parent(bc)) {
		/* None, if the group was removed. */
		owner = READ_ONCE(bc->counter.owner);
		if (!IS_ERR(owner) && res_owner_tryget(owner))
			break;
		owner = NULL;
	}
	rcu_read_unlock();
	return owner;
}

/**
 * bc_covered() - whether a reservation covers a charge
 * @bc: the group to be charged, not the root
 * @n: units; 0: of those that it has, whether they are covered
 *
 * A reservation of @bc or of a group above does where usage there stays within
 * it.
 *
 * Usage may change before the charge is made: of several charges that race for the
 * last reserved units, more may be found to be covered than are. The charge itself goes
 * to a group above then, and is bounded there.
 *
 * Context: Task context; for what is refused otherwise. @bc stays.
 * Return: Whether it does.
 */
bool bc_covered(struct beancounter *bc, u64 n)
{
	struct res_counter *counter;
	struct res_snapshot snap;

	for (counter = &bc->counter; counter; counter = counter->parent) {
		if (!READ_ONCE(counter->reserved))
			continue;
		/* Without what CPUs have in stock, as it may be needed. */
		res_counter_read(counter, &snap);
		if (snap.usage + n <= snap.reserved)
			return true;
	}
	return false;
}

/**
 * bc_current_covered() - whether the task may pass a check of mainline's
 * @res: the resource; mainline has a check of its own of the machine's amount
 * @n: units that the current task asks for
 * @usage: how much the machine has, by that check
 * @bound: the machine's amount
 *
 * That check comes before any charge, and has failed. It does not know that
 * units are reserved for the task's group, or for one above. If none are, the
 * refusal counts in the task's group.
 *
 * Context: Task context.
 * Return: Whether a reservation covers the charge.
 */
bool bc_current_covered(const struct bc_resource *res, u64 n, u64 usage, u64 bound)
{
	struct beancounter *bc = bc_get_current(res);
	bool covered;

	if (!bc)
		return false;
	covered = bc_covered(bc, n);
	if (!covered)
		bc_refuse_machine(bc, n, usage, bound);
	css_put(&bc->group->css);
	return covered;
}

/* What follows is for cgroup core. */

/**
 * bc_init_group() - the cgroup's side of a group
 * @group: zeroed memory
 */
void bc_init_group(struct bc_group *group)
{
	mutex_init(&group->change_mutex);
}

static void bc_init_common(struct beancounter *bc,
			   const struct bc_resource *res,
			   struct bc_group *group)
{
	bc->counter.root = &res->state->root;
	bc->group = group;
	spin_lock_init(&bc->lock);
}

/* What a plain resource's account has not. */
static void bc_init_shares(struct beancounter *bc)
{
	INIT_LIST_HEAD(&bc->waiters);
	INIT_LIST_HEAD(&bc->waiting);
	bc->highest = BC_SHARES_DONT_CARE;
	bc->shares = BC_SHARES_DEFAULT;
	bc->max = RES_COUNTER_MAX;
}

/**
 * bc_init_machine() - the root group's account of a resource
 * @bc: zeroed memory, also of a plain resource all of it
 * @res: the resource
 * @group: the root group
 *
 * Context: At boot: one thread, no mount, and no lock needed.
 * Return: 0, or -ENOMEM.
 */
int bc_init_machine(struct beancounter *bc, const struct bc_resource *res,
		    struct bc_group *group)
{
	struct bc_resource_state *state = res->state;
	struct res_root *root = &state->root;
	int err;

	if (WARN_ON_ONCE(res->id != res->ss->id))
		return -EINVAL;
	bc_init_common(bc, res, group);
	bc_init_shares(bc);
	state->res = res;
	root->stock = res->stock;
	root->batch_min = res->batch_min;
	root->batch_max = res->batch_max;
	root->barrier_gap = res->barrier_gap;
	root->plain = res->plain;
	while (root->kinds < RES_KINDS && res->kinds[root->kinds])
		root->kinds++;
	err = res_root_init(root, &bc_counter_ops);
	if (err)
		return err;
	bc_shares_init(res, bc);
	list_add_tail(&state->node, &bc_resources);
	return 0;
}

/**
 * bc_init_account() - a group's account of a resource
 * @bc: zeroed memory; BC_PLAIN_ACCOUNT bytes of it, if the resource is plain
 * @res: the resource
 * @group: the group, not the root
 * @parent: the account above; %NULL directly below the root
 * @twin: another account of @group, to share a cache line with, or %NULL
 *
 * It is no child of @parent yet: see bc_limits_online(). On success the caller
 * counts its owner in the key of @res.
 *
 * Context: Task context, may sleep.
 * Return: 0, or -ENOMEM.
 */
int bc_init_account(struct beancounter *bc, const struct bc_resource *res,
		    struct bc_group *group, struct beancounter *parent,
		    const struct beancounter *twin)
{
	bc_init_common(bc, res, group);
	if (!res->plain)
		bc_init_shares(bc);
	return res_counter_init_twin(&bc->counter,
				     parent ? &parent->counter : NULL,
				     &res->state->root,
				     twin ? &twin->counter : NULL);
}

/**
 * bc_remove_account() - a group's account is its parent's child no longer
 * @bc: the account
 *
 * Context: Task context, under cgroup_mutex; once for an account, and for those
 * of children before their parents'.
 */
void bc_remove_account(struct beancounter *bc)
{
	u64 left = bc_res(bc)->plain ? bc_limits_offline(bc) :
				    bc_shares_offline(bc);

	trace_bc_reparent(bc, left);
}

/**
 * bc_free_account() - end what bc_init_account() has begun
 * @bc: the account, which was removed a grace period ago or was never charged
 *
 * Context: Task context.
 */
void bc_free_account(struct beancounter *bc)
{
	/* Not yet done if the group could not be made. */
	res_counter_remove(&bc->counter);
	res_counter_destroy(&bc->counter);
	if (!bc_res(bc)->plain)
		kfree(bc->peaks);
}

/* On a CPU that is going offline and runs no tasks any more but its own. */
static int bc_cpu_offline(unsigned int cpu)
{
	struct bc_resource_state *state;

	list_for_each_entry(state, &bc_resources, node)
		res_root_cpu_offline(&state->root);
	return 0;
}

static int __init bc_init(void)
{
	int state = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "bc:online",
					      NULL, bc_cpu_offline);

	return min(state, 0);
}
subsys_initcall(bc_init);

/**
 * bc_css_alloc() - a new group's account
 * @res: the resource
 * @parent: the css above; %NULL at boot, for the root
 *
 * Each controller calls this from its css_alloc() callback, which is told of no
 * subsystem.
 *
 * Context: Task context, under cgroup_mutex.
 * Return: The css, or an errno.
 */
struct cgroup_subsys_state *bc_css_alloc(const struct bc_resource *res,
					 struct cgroup_subsys_state *parent)
{
	struct bc_single *one;
	struct beancounter *bc;
	int err;

	/* The task that makes a group pays for it: groups are no way out. */
	one = kzalloc(res->size ?: sizeof(*one), GFP_KERNEL_ACCOUNT);
	if (!one)
		return ERR_PTR(-ENOMEM);
	bc = &one->bc;
	bc_init_group(&one->group);
	if (!parent) {
		/* Before cgroup core asks for files. */
		err = bc_init_machine(bc, res, &one->group) ?: bc_set_files(res);
		if (err)
			goto free;
		return &one->group.css;
	}

	err = bc_init_account(bc, res, &one->group,
			      parent->parent ? css_bc(parent) : NULL, NULL);
	if (err)
		goto free;
	static_branch_inc(res->key);
	if (res->init) {
		err = res->init(bc);
		if (err)
			goto remove;
	}
	return &one->group.css;

remove:
	bc_free_account(bc);
free:
	kfree(one);
	return ERR_PTR(err);
}

/**
 * bc_css_online() - a group comes into being
 * @css: its css; the root's, at boot, too
 *
 * Context: Task context, under cgroup_mutex.
 * Return: 0.
 */
int bc_css_online(struct cgroup_subsys_state *css)
{
	if (css->parent)
		bc_shares_online(css_bc(css));
	return 0;
}

/**
 * bc_css_killed() - a group's directory is about to go
 * @css: its css
 *
 * Leaves what the group holds to its parent. This is the moment of rmdir, and
 * earlier than css_offline(): what was reserved can be lent to another group as
 * soon as rmdir has returned. A task that exits may still charge the group, and
 * a task may still write its files; the engine knows what to do then.
 *
 * Context: Task context, under cgroup_mutex; once for a css, and for children
 * before their parents.
 */
void bc_css_killed(struct cgroup_subsys_state *css)
{
	bc_remove_account(css_bc(css));
}

/**
 * bc_css_free() - free a group's account
 * @css: its css, a grace period after bc_css_killed() or never online
 *
 * Context: Task context.
 */
void bc_css_free(struct cgroup_subsys_state *css)
{
	struct beancounter *bc = css_bc(css);

	if (bc_res(bc)->fini)
		bc_res(bc)->fini(bc);
	bc_free_account(bc);
	kfree(container_of(bc, struct bc_single, bc));
}
