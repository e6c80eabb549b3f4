// SPDX-License-Identifier: GPL-2.0
/*
 * numtasks: how many tasks a group may have, and how fast it may fork
 *
 * The unit is the task, thread or process, as in the numtasks controller of
 * Resource Groups (2006). It is charged when a task is forked, and returned
 * when the task is released: a zombie is still a task. Mainline's pids counts
 * the same at the same moments. What it does not have are reservations: a group
 * that has tasks reserved can fork up to that whatever other groups, and the
 * root group, do. Mainline's own check of threads-max bounds all tasks of the
 * machine together; it comes first, and lets a fork pass that a reservation
 * covers.
 *
 * A unit goes where its task goes. Moving in never fails, so that an
 * administrator's task can enter a full group. It is seen in "forced".
 *
 * Whose unit it is
 *
 * Every task that is not in the root group has one unit charged to the group of
 * its css_set, from can_fork() to release() or cancel_fork(); nothing in the
 * task says so. This holds at every moment because the css_set changes with the
 * unit:
 *
 *  - A fork charges the group of the css_set that the new task is going to
 *    have, CLONE_INTO_CGROUP included. Cgroup core keeps that as it is until
 *    the fork is through or was cancelled: it holds cgroup_threadgroup_rwsem
 *    for reading meanwhile (and cgroup_mutex, for another group than the
 *    parent's own).
 *  - A migration holds the rwsem for writing, unless it is current alone that
 *    moves, which does not fork meanwhile. can_attach() moves the units of all
 *    the tasks in the set, cancel_attach() moves them back.
 *  - An exiting task is not migrated any more. Its css_set, and with it the
 *    css, stays until after release().
 *
 * A group can be removed while it has zombies. Its units are its parent's then.
 * A zombie's css_set still names the group: its unit is returned by way of the
 * group's owner, which the css keeps as long as it exists, and which finds out
 * where the unit is now.
 *
 * The fork rate
 *
 * A brake for fork bombs: at most fork_rate forks in an interval of
 * fork_rate_interval_ms, in the group and below. Intervals are aligned, to
 * multiples of their length on the monotonic clock, so that there can be twice
 * as many in a period of that length that does not begin with one. Privileged
 * tasks are not exempt: the brake is for bombs that all other bounds let pass.
 *
 * Each group has a lock for its count, which is held for a few instructions and
 * never together with that of another group. A fork is counted level by level,
 * upwards from its own group. The first group that has no fork left refuses it,
 * and the count is taken back in the groups below:
 *
 *  - The rate is never exceeded: a group compares and counts under its lock.
 *  - All levels are looked at before the fork is charged, so that a count is
 *    taken back only where two forks race. A group may then refuse one fork
 *    because of another fork that is about to be refused higher up. pids does
 *    the same near its limit.
 *  - A count is taken back only if its interval is surely not over. Otherwise
 *    it stays: the group may have one fork less in that interval than its rate.
 *
 * A fork is counted after it was charged: a fork that is refused for want of
 * tasks is not counted. A fork that fails later is.
 *
 * A fork looks at rates if its group is marked (numtasks_group.rated). A write
 * of a rate marks the group and all below, for good. So the writer pays for the
 * walk, and the groups that the rate is for pay on fork; in all others a fork
 * loads one byte, whatever tenants write to their own groups. A static key
 * would have to be switched by a tenant's write, which interrupts all CPUs.
 */

#include <linux/err.h>
#include <linux/errno.h>
#include <linux/jump_label.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/stat.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>

#include <bc/beancounter.h>
#include <bc/numtasks.h>

#define NUMTASKS_INTERVAL_MS		1000
#define NUMTASKS_INTERVAL_MS_MAX	(24 * 60 * 60 * 1000)

/**
 * struct numtasks_group - what numtasks keeps for a group
 * @one: the group and its account
 * @owner: that of the account, kept beyond the group's removal
 * @rated: this group or one above has, or has had, a fork rate. Read by each
 *	fork; beside @owner, which each exit reads.
 * @has_rate: @fork_rate is not %RES_COUNTER_MAX; for a look without @rate_lock
 * @interval_ms: the length of an interval
 * @rate_lock: guards all from @has_rate on
 * @fork_rate: forks in an interval; %RES_COUNTER_MAX: any number
 * @since: when counting began in this interval, in ns of the monotonic clock
 * @until: when the interval ends
 * @forks: how many there were since
 */
struct numtasks_group {
	struct bc_single	one;
	struct res_owner	*owner;
	bool			rated;

	bool			has_rate;
	unsigned int		interval_ms;
	spinlock_t		rate_lock;	/* the count of this group */
	u64			fork_rate;
	u64			since;
	u64			until;
	u64			forks;
};

static DEFINE_STATIC_KEY_FALSE(bc_numtasks_key);

static const struct bc_resource numtasks_resource;

static struct numtasks_group *bc_group(struct beancounter *bc)
{
	return container_of(bc, struct numtasks_group, one.bc);
}

/*
 * The group that a css stands for; %NULL: the root, whose tasks are not
 * counted.
 */
static struct numtasks_group *css_group(struct cgroup_subsys_state *css)
{
	if (!static_branch_unlikely(&bc_numtasks_key) || !css->parent)
		return NULL;
	return bc_group(css_bc(css));
}

static struct numtasks_group *group_parent(struct numtasks_group *group)
{
	struct beancounter *parent = bc_parent(&group->one.bc);

	return parent ? bc_group(parent) : NULL;
}

/* The fork rate */

/* Begins to count at @now, to the end of the aligned interval. */
static void rate_restart_locked(struct numtasks_group *group, u64 now)
{
	const u64 length = (u64)group->interval_ms * NSEC_PER_MSEC;
	u64 into;

	lockdep_assert_held(&group->rate_lock);
	div64_u64_rem(now, length, &into);
	group->since = now;
	group->until = now - into + length;
	group->forks = 0;
}

/*
 * Whether one more fork is within the rate of @group. If so it is counted with
 * @count; if not, @rate and @forks say why.
 */
static bool rate_allows(struct numtasks_group *group, bool count, u64 *rate,
			u64 *forks)
{
	bool allowed;
	u64 now;

	/* May miss a rate that is just written; that holds for later forks. */
	if (!READ_ONCE(group->has_rate))
		return true;

	spin_lock(&group->rate_lock);
	/* Read under the lock: in a group, intervals follow each other. */
	now = ktime_get_ns();
	if (now >= group->until)
		rate_restart_locked(group, now);
	*rate = group->fork_rate;
	*forks = group->forks;
	allowed = *forks < *rate;
	if (allowed && count)
		group->forks++;
	spin_unlock(&group->rate_lock);
	return allowed;
}

/*
 * Takes back what rate_allows() has counted for one fork in @group since
 * @start.
 *
 * If counting has begun anew since @start, it may have done so before or after
 * the fork was counted, and @forks may not include it: leave it. That also
 * covers a first rate that was written between the two, as it begins to count
 * anew.
 */
static void rate_undo(struct numtasks_group *group, u64 start)
{
	spin_lock(&group->rate_lock);
	if (group->has_rate && group->since < start && group->forks)
		group->forks--;
	spin_unlock(&group->rate_lock);
}

/*
 * Whether one more fork is within all rates; if so, and with @count, counts it.
 */
static int rate_check(struct numtasks_group *group, bool count)
{
	const u64 start = ktime_get_ns();
	struct numtasks_group *refuses, *g;
	u64 rate, forks;

	for (g = group; g; g = group_parent(g))
		if (!rate_allows(g, count, &rate, &forks))
			break;
	refuses = g;
	if (!refuses)
		return 0;
	for (g = group; count && g != refuses; g = group_parent(g))
		rate_undo(g, start);
	bc_refuse(&refuses->one.bc, 1, forks, rate);
	return -EAGAIN;
}

/*
 * Has forks in @group and in all groups below look at rates from now on.
 *
 * This races with groups that come into being below. The walk marks a group,
 * and then reads its list of children. A new group is added to that list, and
 * then, in numtasks_css_online(), reads its parent's mark. Both have a full
 * barrier between the two, so that the walk finds the new group, or the new
 * group finds the mark. A lock would be shared with all other groups that are
 * being made.
 */
static void rate_mark(struct numtasks_group *group)
{
	struct cgroup_subsys_state *css;

	rcu_read_lock();
	css_for_each_descendant_pre(css, &group->one.group.css) {
		/* Pairs with smp_mb() in numtasks_css_online(). */
		smp_store_mb(bc_group(css_bc(css))->rated, true);
		if (need_resched() && css_tryget(css)) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
			css_put(css);
		}
	}
	rcu_read_unlock();
}

static int fork_rate_show(struct seq_file *sf, void *v)
{
	struct numtasks_group *group = bc_group(css_bc(seq_css(sf)));
	u64 rate;

	spin_lock(&group->rate_lock);
	rate = group->fork_rate;
	spin_unlock(&group->rate_lock);
	bc_show_amount(sf, rate);
	return 0;
}

static ssize_t fork_rate_write(struct kernfs_open_file *of, char *buf,
			       size_t nbytes, loff_t off)
{
	struct numtasks_group *group = bc_group(css_bc(of_css(of)));
	bool has_rate;
	u64 rate;
	int err;

	err = bc_read_amount(of, buf, nbytes, &rate);
	if (err)
		return err;

	/* First: the rate is to hold for each fork after this write. */
	has_rate = rate != RES_COUNTER_MAX;
	if (has_rate)
		rate_mark(group);

	spin_lock(&group->rate_lock);
	group->fork_rate = rate;
	if (has_rate && !group->has_rate)
		rate_restart_locked(group, ktime_get_ns());
	WRITE_ONCE(group->has_rate, has_rate);
	spin_unlock(&group->rate_lock);
	return nbytes;
}

static int fork_rate_interval_show(struct seq_file *sf, void *v)
{
	struct numtasks_group *group = bc_group(css_bc(seq_css(sf)));

	seq_printf(sf, "%u\n", READ_ONCE(group->interval_ms));
	return 0;
}

static ssize_t fork_rate_interval_write(struct kernfs_open_file *of, char *buf,
					size_t nbytes, loff_t off)
{
	struct numtasks_group *group = bc_group(css_bc(of_css(of)));
	u64 interval;
	int err;

	err = bc_read_amount(of, buf, nbytes, &interval);
	if (err)
		return err;
	if (!interval || interval > NUMTASKS_INTERVAL_MS_MAX)
		return -EINVAL;

	spin_lock(&group->rate_lock);
	WRITE_ONCE(group->interval_ms, interval);
	rate_restart_locked(group, ktime_get_ns());
	spin_unlock(&group->rate_lock);
	return nbytes;
}

static const struct cftype numtasks_files[] = {
	{
		.name = "fork_rate",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = fork_rate_show,
		.write = fork_rate_write,
	},
	{
		.name = "fork_rate_interval_ms",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = fork_rate_interval_show,
		.write = fork_rate_interval_write,
	},
	{ }
};

/* Tasks */

static void numtasks_uncharge(struct numtasks_group *group)
{
	if (group)
		bc_uncharge(&numtasks_resource, group->owner, 1);
}

/* With a fork rate here or above, now or in the past. */
static noinline int numtasks_can_fork_rated(struct numtasks_group *group)
{
	struct res_owner *owner;
	int err;

	err = rate_check(group, false);
	if (err)
		return err;
	owner = bc_charge_group(&group->one.bc, 1, BC_BARRIER, true);
	if (IS_ERR(owner))
		return PTR_ERR(owner);
	err = rate_check(group, true);
	if (err)
		numtasks_uncharge(group);
	return err;
}

static int numtasks_can_fork(struct task_struct *task, struct css_set *cset)
{
	struct numtasks_group *group = css_group(cset->subsys[numtasks_cgrp_id]);

	if (!group)
		return 0;
	if (unlikely(READ_ONCE(group->rated)))
		return numtasks_can_fork_rated(group);
	return PTR_ERR_OR_ZERO(bc_charge_group(&group->one.bc, 1, BC_BARRIER, true));
}

/**
 * bc_fork_covered() - whether the current task may fork beyond threads-max
 * @clone_flags: of the fork
 *
 * Asked where mainline's own check refuses, which comes before any charge. With
 * CLONE_INTO_CGROUP, which names a group that is not known yet, the fork may go
 * on to bc_fork_into().
 *
 * The task may be moved to another group before it is charged: then one fork
 * passes that is not covered. It is charged to that group, and with it bounded
 * by the machine's amount.
 *
 * Context: Task context.
 * Return: Whether the fork may go on. If not, and the task is in a group, the
 * refusal is counted there.
 */
bool bc_fork_covered(u64 clone_flags)
{
	if (!static_branch_unlikely(&bc_numtasks_key))
		return false;
	if (clone_flags & CLONE_INTO_CGROUP)
		return true;
	return bc_current_covered(&numtasks_resource, 1, READ_ONCE(nr_threads),
				  READ_ONCE(max_threads));
}

int __bc_fork_into(struct css_set *cset)
{
	struct numtasks_group *group;

	if (READ_ONCE(nr_threads) < READ_ONCE(max_threads))
		return 0;
	group = css_group(cset->subsys[numtasks_cgrp_id]);
	if (!group)
		return -EAGAIN;
	/* It has its unit already. */
	if (bc_covered(&group->one.bc, 0))
		return 0;
	bc_refuse_machine(&group->one.bc, 1, READ_ONCE(nr_threads),
			  READ_ONCE(max_threads));
	return -EAGAIN;
}

static void numtasks_cancel_fork(struct task_struct *task, struct css_set *cset)
{
	numtasks_uncharge(css_group(cset->subsys[numtasks_cgrp_id]));
}

static void numtasks_release(struct task_struct *task)
{
	numtasks_uncharge(css_group(task_css(task, numtasks_cgrp_id)));
}

/* Moves a unit, in one step: no fork can take it in between. */
static void numtasks_move(struct cgroup_subsys_state *from_css,
			  struct cgroup_subsys_state *to_css)
{
	struct numtasks_group *from = css_group(from_css);
	struct numtasks_group *to = css_group(to_css);

	if (from && to)
		res_counter_move(from->owner, &to->one.bc.counter, 1);
	else if (from)
		numtasks_uncharge(from);
	else if (to)
		/* Force is not refused. */
		WARN_ON_ONCE(IS_ERR(bc_charge_group(&to->one.bc, 1, BC_FORCE, true)));
}

static int numtasks_can_attach(struct cgroup_taskset *tset)
{
	struct cgroup_subsys_state *css;
	struct task_struct *task;

	cgroup_taskset_for_each(task, css, tset)
		numtasks_move(task_css(task, numtasks_cgrp_id), css);
	return 0;
}

static void numtasks_cancel_attach(struct cgroup_taskset *tset)
{
	struct cgroup_subsys_state *css;
	struct task_struct *task;

	cgroup_taskset_for_each(task, css, tset)
		numtasks_move(css, task_css(task, numtasks_cgrp_id));
}

/* Groups */

/* Mainline's check of threads-max has no exception for the privileged. */
static u64 numtasks_capacity(enum bc_severity severity)
{
	return READ_ONCE(max_threads);
}

static int numtasks_init(struct beancounter *bc)
{
	struct numtasks_group *group = bc_group(bc);

	spin_lock_init(&group->rate_lock);
	group->fork_rate = RES_COUNTER_MAX;
	group->interval_ms = NUMTASKS_INTERVAL_MS;

	/* New: there is a reference. */
	group->owner = bc->counter.owner;
	WARN_ON_ONCE(!res_owner_tryget(group->owner));
	return 0;
}

static void numtasks_fini(struct beancounter *bc)
{
	res_owner_put(bc_group(bc)->owner);
}

static DEFINE_PER_CPU(struct res_stock, numtasks_stock);
static struct bc_resource_state numtasks_state;

static const struct bc_resource numtasks_resource = {
	.ss		= &numtasks_cgrp_subsys,
	.id		= numtasks_cgrp_id,
	.state		= &numtasks_state,
	.stock		= &numtasks_stock,
	.key		= &bc_numtasks_key,
	.refused	= -EAGAIN,
	.exhausted	= -EAGAIN,
	.size		= sizeof(struct numtasks_group),
	.own_event	= "fork_rate",
	.files		= numtasks_files,
	.init		= numtasks_init,
	.fini		= numtasks_fini,
	.capacity	= numtasks_capacity,
};

/**
 * bc_max_threads_changed() - the sysctl kernel.threads-max was written
 *
 * Context: Task context.
 */
void bc_max_threads_changed(void)
{
	bc_machine_changed(&numtasks_resource);
}

static struct cgroup_subsys_state *
numtasks_css_alloc(struct cgroup_subsys_state *parent)
{
	return bc_css_alloc(&numtasks_resource, parent);
}

static int numtasks_css_online(struct cgroup_subsys_state *css)
{
	struct numtasks_group *group = bc_group(css_bc(css)), *parent;

	if (css->parent && css->parent->parent) {
		/* The css is in its parent's list: pairs with rate_mark(). */
		smp_mb();
		parent = bc_group(css_bc(css->parent));
		if (READ_ONCE(parent->rated))
			WRITE_ONCE(group->rated, true);
	}
	return bc_css_online(css);
}

struct cgroup_subsys numtasks_cgrp_subsys = {
	.css_alloc	= numtasks_css_alloc,
	.css_online	= numtasks_css_online,
	.css_killed	= bc_css_killed,
	.css_free	= bc_css_free,
	.threaded	= true,
	.can_fork	= numtasks_can_fork,
	.cancel_fork	= numtasks_cancel_fork,
	.release	= numtasks_release,
	.can_attach	= numtasks_can_attach,
	.cancel_attach	= numtasks_cancel_attach,
};
