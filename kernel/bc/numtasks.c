// SPDX-License-Identifier: GPL-2.0
/*
 * numtasks: how many tasks a group may have, and how fast it may fork
 *
 * The unit is the task, thread or process, as in the numtasks controller of Resource
 * Groups (2006). It is charged when a task is forked, and returned when the task is
 * released: a zombie is still a task. Mainline's pids counts the same at the same
 * moments. What it does not have are reservations: a group that has tasks
 * reserved can fork up to that whatever other groups do (as long as the root group
 * leaves the machine some: threads-max bounds all tasks together, in mainline).
 *
 * A unit goes where its task goes. Moving in never fails, so that a full group can
 * be entered by who comes to help, and is seen in "forced".
 *
 * Whose unit it is
 *
 * Every task that is not in the root group has one unit charged to the group of its
 * css_set, from can_fork() to release() or cancel_fork(); nothing in the task says
 * so. This holds at every moment because the css_set changes with the unit:
 *
 *  - A fork charges the group of the css_set that the new task is going to have,
 *    CLONE_INTO_CGROUP included. Cgroup core keeps that as it is until the fork is
 *    through or was cancelled: it holds cgroup_threadgroup_rwsem for reading
 *    meanwhile (and cgroup_mutex, for another group than the parent's own).
 *  - A migration holds the rwsem for writing, unless it is current alone that moves,
 *    which does not fork meanwhile. can_attach() moves the units of all the tasks in
 *    the set, cancel_attach() moves them back.
 *  - An exiting task is not migrated any more. Its css_set, and with it the css, stays
 *    until after release().
 *
 * A group can be removed while it has zombies. Its units are its parent's then, but
 * zombies do not know: they are returned by way of the group's owner, which
 * the css keeps as long as it exists, and which finds out where they are now.
 *
 * The fork rate
 *
 * A brake for fork bombs: at most fork_rate forks in an interval of
 * fork_rate_interval_ms, in the group and below. Intervals are aligned, to multiples
 * of their length on the monotonic clock, so that there can be twice as many in a
 * period of that length that does not begin with one. Nobody is exempt: it is for
 * tasks that can fork in spite of everything else.
 *
 * Forks are counted under a lock of the tree, the whole path looked at before
 * anything is changed; so the rate is exact in every interval, and a fork that is
 * refused by one group takes nothing from another. It is looked at twice: first lest
 * a fork that the rate refuses be charged at all; and when it was charged, to
 * count it, since a fork that is refused for want of tasks is not to be counted. One
 * that fails later is. As long as no group has a rate this costs a branch that is
 * not taken.
 */

#include <linux/err.h>
#include <linux/errno.h>
#include <linux/jump_label.h>
#include <linux/math64.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>

#include <bc/beancounter.h>
#include <bc/numtasks.h>

#define NUMTASKS_INTERVAL_MS		1000
#define NUMTASKS_INTERVAL_MS_MAX	(24 * 60 * 60 * 1000)

/**
 * struct numtasks_group - what numtasks keeps for a group
 * @bc: its account
 * @owner: that of the account, kept beyond the group's removal
 * @rate_lock: guards what follows, in every group of the tree (used in the one below
 *	the root alone)
 * @fork_rate: forks in an interval; %RES_COUNTER_MAX: any number
 * @interval_ms: its length
 * @until: when the interval ends, in ns of the monotonic clock
 * @forks: how many there were in it
 */
struct numtasks_group {
	struct beancounter	bc;
	struct res_owner	*owner;

	spinlock_t		rate_lock;	/* the rates of the tree */
	u64			fork_rate;
	unsigned int		interval_ms;
	u64			until;
	u64			forks;
};

static DEFINE_STATIC_KEY_FALSE(bc_numtasks_key);

/* Counts the groups that have a rate. */
static DEFINE_STATIC_KEY_FALSE(numtasks_rates_key);

static struct bc_resource numtasks_resource;

static struct numtasks_group *bc_group(struct beancounter *bc)
{
	return container_of(bc, struct numtasks_group, bc);
}

/* The group that a css stands for; %NULL: the root, whose tasks are not counted. */
static struct numtasks_group *css_group(struct cgroup_subsys_state *css)
{
	if (!static_branch_unlikely(&bc_numtasks_key) || !css->parent)
		return NULL;
	return bc_group(css_bc(css));
}

static struct numtasks_group *group_parent(struct numtasks_group *group)
{
	struct beancounter *parent = bc_parent(&group->bc);

	return parent ? bc_group(parent) : NULL;
}

/* The fork rate */

static spinlock_t *group_rate_lock(struct numtasks_group *group)
{
	struct res_counter *top = group->bc.counter.top;

	return &container_of(top, struct numtasks_group, bc.counter)->rate_lock;
}

/* Begins to count at @now, to the end of the aligned interval. */
static void rate_restart(struct numtasks_group *group, u64 now)
{
	const u64 length = (u64)group->interval_ms * NSEC_PER_MSEC;
	u64 into;

	div64_u64_rem(now, length, &into);
	group->until = now - into + length;
	group->forks = 0;
}

/* Whether one more fork is within all rates; if so, and with @count, counts it. */
static int rate_check(struct numtasks_group *group, bool count)
{
	spinlock_t *lock = group_rate_lock(group);
	struct numtasks_group *g, *refuses;
	u64 now, rate, forks;

	spin_lock(lock);
	now = ktime_get_ns();
	for (g = group; g; g = group_parent(g)) {
		rate = g->fork_rate;
		if (rate == RES_COUNTER_MAX)
			continue;
		if (now >= g->until)
			rate_restart(g, now);
		forks = g->forks;
		if (forks >= rate)
			break;
	}
	refuses = g;
	for (g = group; g && count && !refuses; g = group_parent(g))
		g->forks++;
	spin_unlock(lock);

	if (!refuses)
		return 0;
	bc_refuse(&refuses->bc, 1, forks, rate);
	return -EAGAIN;
}

static int fork_rate_show(struct seq_file *sf, void *v)
{
	struct numtasks_group *group = bc_group(css_bc(seq_css(sf)));

	mutex_lock(&group->bc.change_mutex);
	bc_show_amount(sf, group->fork_rate);
	mutex_unlock(&group->bc.change_mutex);
	return 0;
}

static ssize_t fork_rate_write(struct kernfs_open_file *of, char *buf,
			       size_t nbytes, loff_t off)
{
	struct numtasks_group *group = bc_group(css_bc(of_css(of)));
	spinlock_t *lock = group_rate_lock(group);
	bool had, has;
	u64 rate;
	int err;

	err = bc_read_amount(of, buf, nbytes, &rate);
	if (err)
		return err;

	mutex_lock(&group->bc.change_mutex);
	had = group->fork_rate != RES_COUNTER_MAX;
	has = rate != RES_COUNTER_MAX;
	if (has && !had)
		static_branch_inc(&numtasks_rates_key);
	spin_lock(lock);
	group->fork_rate = rate;
	if (!had)
		rate_restart(group, ktime_get_ns());
	spin_unlock(lock);
	if (had && !has)
		static_branch_dec(&numtasks_rates_key);
	mutex_unlock(&group->bc.change_mutex);
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
	spinlock_t *lock = group_rate_lock(group);
	u64 interval;
	int err;

	err = bc_read_amount(of, buf, nbytes, &interval);
	if (err)
		return err;
	if (!interval || interval > NUMTASKS_INTERVAL_MS_MAX)
		return -EINVAL;

	spin_lock(lock);
	WRITE_ONCE(group->interval_ms, interval);
	rate_restart(group, ktime_get_ns());
	spin_unlock(lock);
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

/* With fork rates somewhere on the machine. */
static noinline int numtasks_can_fork_rated(struct numtasks_group *group)
{
	struct res_owner *owner;
	int err;

	err = rate_check(group, false);
	if (err)
		return err;
	owner = bc_charge_group(&group->bc, 1, BC_BARRIER, true);
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
	if (static_branch_unlikely(&numtasks_rates_key))
		return numtasks_can_fork_rated(group);
	return PTR_ERR_OR_ZERO(bc_charge_group(&group->bc, 1, BC_BARRIER, true));
}

static void numtasks_cancel_fork(struct task_struct *task, struct css_set *cset)
{
	numtasks_uncharge(css_group(cset->subsys[numtasks_cgrp_id]));
}

static void numtasks_release(struct task_struct *task)
{
	numtasks_uncharge(css_group(task_css(task, numtasks_cgrp_id)));
}

/* Moves a unit, in one step: nobody is to take it in between. */
static void numtasks_move(struct cgroup_subsys_state *from_css,
			  struct cgroup_subsys_state *to_css)
{
	struct numtasks_group *from = css_group(from_css);
	struct numtasks_group *to = css_group(to_css);

	if (from && to)
		res_counter_move(from->owner, &to->bc.counter, 1);
	else if (from)
		numtasks_uncharge(from);
	else if (to)
		/* Force is not refused. */
		WARN_ON_ONCE(IS_ERR(bc_charge_group(&to->bc, 1, BC_FORCE, true)));
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

/* Mainline lets nobody pass. */
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
	struct numtasks_group *group = bc_group(bc);

	if (group->fork_rate != RES_COUNTER_MAX)
		static_branch_dec(&numtasks_rates_key);
	res_owner_put(group->owner);
}

static struct bc_resource numtasks_resource = {
	.ss		= &numtasks_cgrp_subsys,
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

struct cgroup_subsys numtasks_cgrp_subsys = {
	.css_alloc	= numtasks_css_alloc,
	BC_CSS_CALLBACKS,
	.can_fork	= numtasks_can_fork,
	.cancel_fork	= numtasks_cancel_fork,
	.release	= numtasks_release,
	.can_attach	= numtasks_can_attach,
	.cancel_attach	= numtasks_cancel_attach,
};
