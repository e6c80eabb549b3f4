/* SPDX-License-Identifier: GPL-2.0 */
/*
 * CPU load of a group: what cpuacct (v1) and cpu (v2) embed, and call
 */
#ifndef _KERNEL_SCHED_CPU_LOAD_H
#define _KERNEL_SCHED_CPU_LOAD_H

#include <linux/bits.h>
#include <linux/types.h>

struct cgroup_subsys_state;
struct cpu_load_watch;
struct seq_file;

/**
 * struct cpu_load - what a group has of it, zeroed with the group
 * @watch: what is kept while the group's load is read; NULL for all others
 * @nr_watches: how many watches there are of this group and of those below;
 *	kept near the root only
 *
 * Without CONFIG_CGROUP_CPUACCT_LOAD it is empty.
 */
struct cpu_load {
#ifdef CONFIG_CGROUP_CPUACCT_LOAD
	struct cpu_load_watch	*watch;
	unsigned int		nr_watches;
#endif
};

#ifdef CONFIG_CGROUP_CPUACCT_LOAD

/**
 * struct cpu_load_ops - what a controller knows of its groups
 * @load: returns what is embedded in a css
 * @usage: returns the CPU time of the group with that css, in nanoseconds, its
 *	descendants' included; may not sleep. NULL: it is what cgroup core
 *	counts for v2.
 */
struct cpu_load_ops {
	struct cpu_load *(*load)(struct cgroup_subsys_state *css);
	u64 (*usage)(struct cgroup_subsys_state *css);
};

int cpu_load_show(struct seq_file *m, const struct cpu_load_ops *ops);
void cpu_load_update(struct cpu_load *load);
void cpu_load_free(struct cpu_load *load);

/* Loads and averages are fractions of this, which is the whole machine. */
#define CPU_LOAD_SHIFT	30
#define CPU_LOAD_ONE	BIT(CPU_LOAD_SHIFT)

#define CPU_LOAD_AVERAGES	3
extern const u32 cpu_load_factors[CPU_LOAD_AVERAGES];

u32 cpu_load_share(u64 used, u64 offered);
u32 cpu_load_decay(u32 avg, u32 load, u32 factor, u64 periods);

#else

static inline void cpu_load_update(struct cpu_load *load)
{
}

static inline void cpu_load_free(struct cpu_load *load)
{
}

#endif /* CONFIG_CGROUP_CPUACCT_LOAD */
#endif /* _KERNEL_SCHED_CPU_LOAD_H */
