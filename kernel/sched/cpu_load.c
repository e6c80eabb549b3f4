// SPDX-License-Identifier: GPL-2.0
/*
 * CPU load of a group: cpuacct.load (v1) and cpu.load (v2)
 *
 * How much of the machine a group takes, in the interval that is running and on
 * average over 10, 60 and 300 seconds. The file, its four lines and an interval
 * of ten seconds for the whole machine are those of Balbir Singh's load patch
 * for cpuacct, January 2007. The averages are like those of loadavg and PSI.
 *
 * That patch added up each group's time for a second time on every tick, under
 * a lock, and set the interval's time of all groups to zero from there. Here
 * there is nothing on the tick. What a group has used is a total that mainline
 * keeps in any case, and what the machine has offered is computed from the
 * clock: a load is a difference of the one, divided by the difference of the
 * other over the same stretch of time. All that is needed is a note of both
 * totals where a stretch begins.
 *
 * Watches
 *
 * Totals are noted for the groups whose file is read, and for no other. The
 * first read of a file begins a watch, which ends five minutes after the last.
 * While there are watches one work item runs every two seconds and where an
 * interval ends, and brings them up to date. A task that reads the file of a
 * group brings that group's watch up to date, too. The first of them that runs
 * after the end of a period finishes it. It does not matter how late that is,
 * since a stretch lasts as long as it lasts.
 *
 * Any task that may read the file of a group has it watched, and on v2 that is
 * every task. So the machine has at most CPU_LOAD_WATCHES_MAX watches, and what
 * is below a group near the root at most half of what its parent may have. A
 * group that cannot be watched is shown like one that is read for the first
 * time, each time.
 *
 * What lags
 *
 * Mainline adds to a total at each tick, and when the CPU turns to another
 * task. A read lacks what was used since: at most a tick for each CPU that runs
 * a task of the group; a second, the period of the remote tick, where
 * NO_HZ_FULL has stopped it. At a stretch's beginning the same is true, so that
 * its time may be off by as much in either direction, and exceed what was
 * offered. Such an excess was used before the stretch, and is left out where an
 * interval is shown, and carried into the next period of the averages. What is
 * carried is bounded: the scheduler's clock may run faster than the one used
 * here by a few parts in ten thousand, and that must not add up.
 *
 * Locking and lifetime
 *
 * All watches, and the interval, change under one mutex. A watch is reached
 * from the list or from its group. cpu_load_free() takes it off both, before
 * the css is freed: no holder of the mutex finds a watch of a group that is
 * gone. No watch begins after that, since kernfs has by then waited for the
 * last reader and lets in no other.
 *
 * The mutex is held for a few watches at a time. The work gives each pass a
 * number, and moves a watch to the end of the list when it has looked at it; so
 * it finds what is left at the front, whatever has come or gone while it did
 * not hold the mutex. No memory is allocated under the mutex, no lock of the
 * statistics is taken, and no group waited for: v2's statistics are flushed
 * before, once for all watches of a pass, and by a reader for the group that it
 * reads. Hotplug callbacks do not take it.
 */

#include <linux/cgroup.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/kernel_stat.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/sysctl.h>
#include <linux/workqueue.h>
#ifdef CONFIG_PARAVIRT_TIME_ACCOUNTING
#include <asm/paravirt.h>
#endif

#include "cpu_load.h"

#define SAMPLE_NS	(2 * NSEC_PER_SEC)
#define KEEP_NS		(300ULL * NSEC_PER_SEC)

/*
 * Watches of the whole machine. A group on level n, and what is below it, can
 * have the 2^n-th part; groups below the last of these levels share what is
 * left to the group above on that level.
 */
#define CPU_LOAD_WATCHES_MAX	4096
#define CPU_LOAD_LEVELS		4

/* How many the work looks at before it lets others take the mutex. */
#define CPU_LOAD_CHUNK		16

/* e^(-2/10), e^(-2/60), e^(-2/300): what a period leaves of an average. */
const u32 cpu_load_factors[CPU_LOAD_AVERAGES] = {
	879105452, 1038540380, 1066607353
};

/* All times are in nanoseconds, and monotonic: a suspended machine has none. */

/**
 * struct moment - both clocks at a time
 * @now: the time
 * @offered: CPU time offered until then; it wraps, only differences are of use
 */
struct moment {
	u64	now;
	u64	offered;
};

/**
 * struct stretch - a stretch of time that has not ended
 * @start: when it began
 * @used: what the group has used in it
 */
struct stretch {
	struct moment	start;
	u64		used;
};

/**
 * struct cpu_load_watch - what is kept of a group that is read
 * @list: all watches
 * @load: the group's pointer to this
 * @css: the group
 * @ops: its controller's
 * @charged: the groups on the levels that have a bound: this one or above
 * @pass: the last pass of the work that has looked at it
 * @epoch: interval_nr when the interval began
 * @last_usage: the total at the last update
 * @last_read: when it was read last
 * @interval: the interval that is running
 * @interval_end: when it will have to end
 * @sample: the averages' period that is running
 * @sample_end: when it will have to end
 * @avg: the averages, fractions of CPU_LOAD_ONE
 */
struct cpu_load_watch {
	struct list_head		list;
	struct cpu_load			*load;
	struct cgroup_subsys_state	*css;
	const struct cpu_load_ops	*ops;
	struct cpu_load			*charged[CPU_LOAD_LEVELS];
	unsigned int			pass;
	unsigned int			epoch;
	u64				last_usage;
	u64				last_read;
	struct stretch			interval;
	u64				interval_end;
	struct stretch			sample;
	u64				sample_end;
	u32				avg[CPU_LOAD_AVERAGES];
};

static DEFINE_MUTEX(watch_mutex);
static LIST_HEAD(watches);
static unsigned int nr_watches;
static unsigned int nr_rstat;		/* watches of groups of v2 */
static unsigned int this_pass;

/* Intervals are counted from when their length changed last, or from boot. */
static unsigned int interval_ms = 10 * MSEC_PER_SEC;
static u64 interval_epoch;
static unsigned int interval_nr;	/* of changes of the length */

static void update_all(struct work_struct *work);
static DECLARE_DELAYED_WORK(update_work, update_all);

/*
 * The time that online CPUs have had until @since: an integral over their
 * number.
 */
static struct {
	spinlock_t	lock;	/* of this very struct, for a few instructions */
	unsigned int	cpus;
	u64		since;
	u64		total;
} online = { .lock = __SPIN_LOCK_UNLOCKED(online.lock) };

/*
 * These two are called where the CPU does not run ordinary tasks yet, or any
 * more (CPUHP_AP_ACTIVE comes after us, and leaves before), so that none runs
 * on a CPU that is not counted. Suspend calls them, too, while the clock still
 * runs.
 */
static void count_online(int cpus)
{
	u64 now;

	spin_lock(&online.lock);
	now = ktime_get_ns();
	online.total += online.cpus * (now - online.since);
	online.since = now;
	online.cpus += cpus;
	spin_unlock(&online.lock);
}

static int cpu_comes(unsigned int cpu)
{
	count_online(1);
	return 0;
}

static int cpu_goes(unsigned int cpu)
{
	count_online(-1);
	return 0;
}

/*
 * Time that a hypervisor has given to others was not offered. But some
 * schedulers do not see it, and count it as the task's; where it is in the one
 * it has to be in the other.
 */
static bool steal_is_left_out(void)
{
#ifdef CONFIG_PARAVIRT_TIME_ACCOUNTING
	return static_key_enabled(&paravirt_steal_rq_enabled);
#else
	return false;
#endif
}

static struct moment this_moment(void)
{
	struct moment m;
	int cpu;

	spin_lock(&online.lock);
	m.now = ktime_get_ns();
	m.offered = online.total + online.cpus * (m.now - online.since);
	spin_unlock(&online.lock);
	/*
	 * CPUs that are offline, too: theirs is in the total for good. On 32
	 * bit this may read a half that is changing, as /proc/stat may: a
	 * period is wrong.
	 */
	if (steal_is_left_out())
		for_each_possible_cpu(cpu)
			m.offered -= kcpustat_cpu(cpu).cpustat[CPUTIME_STEAL];
	return m;
}

static void begin(struct stretch *stretch, struct moment m)
{
	stretch->start = m;
	stretch->used = 0;
}

/* Steal is counted after the event, and may be more than there was since. */
static u64 offered_in(const struct stretch *stretch, struct moment m)
{
	return max_t(s64, m.offered - stretch->start.offered, 0);
}

/**
 * cpu_load_share() - which share of the machine was used
 * @used: time used
 * @offered: time offered, in the same unit
 *
 * Context: Any.
 * Return: the fraction of CPU_LOAD_ONE, rounded down; all of it where more was
 * used than offered, nothing where nothing was offered.
 */
u32 cpu_load_share(u64 used, u64 offered)
{
	if (!offered)
		return 0;
	return mul_u64_u64_div_u64(min(used, offered), CPU_LOAD_ONE, offered);
}

/**
 * cpu_load_decay() - carry an exponential average on
 * @avg: what it was, at most CPU_LOAD_ONE
 * @load: the load since, at most CPU_LOAD_ONE
 * @factor: what one period leaves of the past, less than CPU_LOAD_ONE
 * @periods: how many periods have ended since
 *
 * Several periods are as many calls with the same load, but for the rounding.
 *
 * Context: Any.
 * Return: the average, between @avg and @load.
 */
u32 cpu_load_decay(u32 avg, u32 load, u32 factor, u64 periods)
{
	u64 power = factor, past = CPU_LOAD_ONE;

	/* factor^periods, by squaring */
	for (; periods; periods >>= 1) {
		if (periods & 1)
			past = past * power >> CPU_LOAD_SHIFT;
		power = power * power >> CPU_LOAD_SHIFT;
	}
	return (avg * past + load * (CPU_LOAD_ONE - past) + CPU_LOAD_ONE / 2) >>
	       CPU_LOAD_SHIFT;
}

/*
 * The total of a group. Of v2 it is what cpu.stat shows as usage_usec, as of
 * the last flush, which is the caller's business.
 */
static u64 watch_usage(const struct cpu_load_watch *w)
{
	const u64 *total = &w->css->cgroup->bstat.cputime.sum_exec_runtime;
	u64 usage;

	if (w->ops->usage)
		return w->ops->usage(w->css);
	/* A flush may change it: on 32 bit that takes two steps. */
	do {
		usage = READ_ONCE(*total);
	} while (!IS_ENABLED(CONFIG_64BIT) && usage != READ_ONCE(*total));
	return usage;
}

/*
 * Periods end at multiples of their length; intervals at those after the epoch.
 */
static u64 sample_end(u64 now)
{
	return (div_u64(now, SAMPLE_NS) + 1) * SAMPLE_NS;
}

static u64 interval_end(u64 now)
{
	u64 length = mul_u32_u32(interval_ms, NSEC_PER_MSEC);

	return interval_epoch +
	       (div64_u64(now - interval_epoch, length) + 1) * length;
}

/*
 * Periods may have ended without a read or a run of the work. Each of them is
 * taken to have had the load of the whole stretch.
 */
static void end_sample(struct cpu_load_watch *w, struct moment m)
{
	u64 periods = div_u64(m.now - w->sample_end, SAMPLE_NS) + 1;
	u64 offered = offered_in(&w->sample, m);
	u64 used = min(w->sample.used, offered);
	u64 excess = w->sample.used - used;
	u32 load = cpu_load_share(used, offered);
	int i;

	for (i = 0; i < CPU_LOAD_AVERAGES; i++)
		w->avg[i] = cpu_load_decay(w->avg[i], load, cpu_load_factors[i],
					   periods);
	w->sample_end += periods * SAMPLE_NS;
	begin(&w->sample, m);
	w->sample.used = min(excess, offered);
}

/*
 * Brings a watch up to date, and ends what has to end. @flushed is the time of
 * the flush that the group's total is of, if it needs one.
 */
static struct moment update(struct cpu_load_watch *w,
			    const struct moment *flushed)
{
	u64 usage = watch_usage(w);
	struct moment m = flushed && !w->ops->usage ? *flushed : this_moment();
	u64 used = usage - w->last_usage;

	/*
	 * It was set to 0, see cpu_load_update(): what is there now came after
	 * that.
	 */
	if (usage < w->last_usage)
		used = usage;
	w->last_usage = usage;
	w->interval.used += used;
	w->sample.used += used;

	if (m.now >= w->interval_end || w->epoch != interval_nr) {
		begin(&w->interval, m);
		w->interval_end = interval_end(m.now);
		w->epoch = interval_nr;
	}
	if (m.now >= w->sample_end)
		end_sample(w, m);
	return m;
}

/* The work runs at the next time when something ends: not a tick too early. */
static void update_later(u64 now)
{
	u64 next = min(sample_end(now), interval_end(now));

	queue_delayed_work(system_unbound_wq, &update_work,
			   DIV_ROUND_UP_ULL(next - now, TICK_NSEC) + 1);
}

/* Whether there may be one more watch, of @w's group; if so, counts it. */
static bool charge_watch(struct cpu_load_watch *w)
{
	struct cgroup *cgrp = w->css->cgroup, *ancestor;
	int i, levels = min(cgrp->level, CPU_LOAD_LEVELS);
	struct cgroup_subsys_state *css;
	struct cpu_load *load;

	if (nr_watches >= CPU_LOAD_WATCHES_MAX)
		return false;

	rcu_read_lock();
	for (i = 0; i < levels; i++) {
		ancestor = cgroup_ancestor(cgrp, i + 1);
		css = rcu_dereference(ancestor->subsys[w->css->ss->id]);
		/* Not there if the controller is just being switched off. */
		if (!css)
			break;
		load = w->ops->load(css);
		if (load->nr_watches >= CPU_LOAD_WATCHES_MAX >> (i + 1))
			break;
		w->charged[i] = load;
	}
	rcu_read_unlock();
	if (i < levels)
		return false;

	/* They stay as long as the css does, and so does the watch. */
	for (i = 0; i < levels; i++)
		w->charged[i]->nr_watches++;
	nr_watches++;
	nr_rstat += !w->ops->usage;
	return true;
}

static void end_watch(struct cpu_load_watch *w)
{
	int i;

	for (i = 0; i < CPU_LOAD_LEVELS && w->charged[i]; i++)
		w->charged[i]->nr_watches--;
	nr_watches--;
	nr_rstat -= !w->ops->usage;
	list_del(&w->list);
	w->load->watch = NULL;
	kfree(w);
}

/*
 * Looks at some watches that this pass has not seen; returns whether
 * more may be left.
 */
static bool update_some(const struct moment *flushed)
{
	struct cpu_load_watch *w;
	struct moment m;
	int i;

	guard(mutex)(&watch_mutex);
	for (i = 0; i < CPU_LOAD_CHUNK; i++) {
		w = list_first_entry_or_null(&watches, struct cpu_load_watch,
					     list);
		if (!w || w->pass == this_pass)
			return false;
		w->pass = this_pass;
		list_move_tail(&w->list, &watches);
		m = update(w, flushed);
		/* It may have been read since the flush. */
		if ((s64)(m.now - w->last_read) >= (s64)KEEP_NS)
			end_watch(w);
	}
	return true;
}

static void update_all(struct work_struct *work)
{
	struct moment flushed;
	bool flush;

	scoped_guard(mutex, &watch_mutex) {
		this_pass++;
		flush = nr_rstat;
	}
	/*
	 * Once for all groups, rather than once for each: the lock of the
	 * statistics is one for the machine. It is dropped on the way for
	 * others that need it.
	 */
	if (flush)
		cgroup_rstat_flush(&cgrp_dfl_root.cgrp);
	flushed = this_moment();
	while (update_some(&flushed))
		cond_resched();

	guard(mutex)(&watch_mutex);
	if (nr_watches)
		update_later(ktime_get_ns());
}

/*
 * Both stretches begin now. The averages' first period has the weight of any
 * other: one that would be shorter than a half is made longer by a whole one.
 */
static struct moment begin_watch(struct cpu_load_watch *w,
				 struct cgroup_subsys_state *css,
				 const struct cpu_load_ops *ops)
{
	struct moment m;

	w->load = ops->load(css);
	w->css = css;
	w->ops = ops;
	w->pass = this_pass;
	w->epoch = interval_nr;
	w->last_usage = watch_usage(w);
	m = this_moment();
	begin(&w->interval, m);
	w->interval_end = interval_end(m.now);
	begin(&w->sample, m);
	w->sample_end = sample_end(m.now + SAMPLE_NS / 2);
	w->last_read = m.now;
	return m;
}

/* Two decimals of @hundredths. */
static void show_decimals(struct seq_file *m, const char *key, u64 hundredths,
			  char end)
{
	u32 rest;
	u64 whole = div_u64_rem(hundredths, 100, &rest);

	seq_printf(m, "%s%llu.%02u%c", key, whole, rest, end);
}

static void show_average(struct seq_file *m, const char *key, u32 avg, char end)
{
	show_decimals(m, key, (avg * 10000ULL + CPU_LOAD_ONE / 2) >> CPU_LOAD_SHIFT,
		      end);
}

static void show_watch(struct seq_file *m, struct cpu_load_watch *w,
		       struct moment at)
{
	u64 offered = offered_in(&w->interval, at);
	u64 used = min(w->interval.used, offered);
	u64 elapsed = at.now - w->interval.start.now;

	/* The loads follow from the times as they are shown, rounded. */
	offered = div_u64(offered, NSEC_PER_USEC);
	used = div_u64(used, NSEC_PER_USEC);
	elapsed = div_u64(elapsed, NSEC_PER_USEC);
	seq_printf(m, "time %llu\n", used);
	seq_printf(m, "accumulated time %llu\n",
		   div_u64(w->last_usage, NSEC_PER_USEC));
	seq_printf(m, "time since interval %llu\n", offered);
	seq_printf(m, "load %llu\n", offered ? div64_u64(used * 100, offered) : 0);
	show_decimals(m, "load_cpus ",
		      elapsed ? DIV64_U64_ROUND_CLOSEST(used * 100, elapsed) : 0,
		      '\n');
	show_average(m, "avg10=", w->avg[0], ' ');
	show_average(m, "avg60=", w->avg[1], ' ');
	show_average(m, "avg300=", w->avg[2], '\n');
}

/**
 * cpu_load_show() - show the load of a group, and watch it from now on
 * @m: the group's file
 * @ops: the controller's
 *
 * A group for which there is no watch left is shown with its total, and with
 * zeros for everything else.
 *
 * Context: Process context; may sleep. The caller keeps the group from being
 * freed, as kernfs does for the readers of its files.
 * Return: 0, or -ENOMEM if the group cannot be watched for want of memory.
 */
int cpu_load_show(struct seq_file *m, const struct cpu_load_ops *ops)
{
	struct cgroup_subsys_state *css = seq_css(m);
	struct cpu_load *load = ops->load(css);
	struct cpu_load_watch *fresh = NULL;
	struct moment at;

	/* Before the mutex: how long it takes is up to the group. */
	if (!ops->usage)
		cgroup_rstat_flush(css->cgroup);

	mutex_lock(&watch_mutex);
	if (!load->watch) {
		/*
		 * Charged to the reader, which may have to reclaim for it:
		 * other readers do not wait for that.
		 */
		mutex_unlock(&watch_mutex);
		fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
		if (!fresh)
			return -ENOMEM;
		mutex_lock(&watch_mutex);
	}
	if (load->watch) {
		at = update(load->watch, NULL);
		load->watch->last_read = at.now;
		show_watch(m, load->watch, at);
	} else {
		at = begin_watch(fresh, css, ops);
		show_watch(m, fresh, at);
		if (charge_watch(fresh)) {
			load->watch = fresh;
			list_add_tail(&fresh->list, &watches);
			update_later(at.now);
			fresh = NULL;
		}
	}
	mutex_unlock(&watch_mutex);
	kfree(fresh);
	return 0;
}

/**
 * cpu_load_update() - before and after a group's total is set to 0
 * @load: what is embedded in its css
 *
 * So that no time is lost that was used before, and the total is not taken to
 * have grown when it is seen next.
 *
 * Context: Process context; may sleep.
 */
void cpu_load_update(struct cpu_load *load)
{
	guard(mutex)(&watch_mutex);
	if (load->watch)
		update(load->watch, NULL);
}

/**
 * cpu_load_free() - a group is freed
 * @load: what is embedded in its css
 *
 * Context: Process context, in css_free(); may sleep.
 */
void cpu_load_free(struct cpu_load *load)
{
	guard(mutex)(&watch_mutex);
	if (load->watch)
		end_watch(load->watch);
}

static int interval_handler(const struct ctl_table *table, int write,
			    void *buffer, size_t *lenp, loff_t *ppos)
{
	struct ctl_table copy = *table;
	bool changed = false;
	unsigned int ms;
	int err;

	scoped_guard(mutex, &watch_mutex) {
		ms = interval_ms;
		copy.data = &ms;
		err = proc_douintvec_minmax(&copy, write, buffer, lenp, ppos);
		if (!err && ms != interval_ms) {
			interval_ms = ms;
			interval_epoch = ktime_get_ns();
			interval_nr++;
			changed = nr_watches;
		}
	}
	/*
	 * One of another length begins at once, for all groups: by the work, or
	 * by a reader that is there before it.
	 */
	if (changed) {
		mod_delayed_work(system_unbound_wq, &update_work, 0);
		flush_delayed_work(&update_work);
	}
	return err;
}

static const unsigned int shortest_ms = MSEC_PER_SEC;
static const unsigned int longest_ms = 3600 * MSEC_PER_SEC;

static struct ctl_table cpu_load_sysctls[] = {
	{
		.procname	= "cpuacct_load_interval_ms",
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= interval_handler,
		.extra1		= (void *)&shortest_ms,
		.extra2		= (void *)&longest_ms,
	},
};

static int __init cpu_load_init(void)
{
	int state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "bc/cpu_load:online",
				      cpu_comes, cpu_goes);

	/* All loads would be 0. */
	if (WARN_ON(state < 0))
		return state;
	register_sysctl_init("kernel", cpu_load_sysctls);
	return 0;
}
core_initcall(cpu_load_init);
