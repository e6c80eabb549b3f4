/* SPDX-License-Identifier: GPL-2.0 */
/*
 * numtasks: hooks for kernel/fork.c
 */
#ifndef _BC_NUMTASKS_H
#define _BC_NUMTASKS_H

#include <linux/compiler.h>
#include <linux/sched.h>
#include <linux/types.h>

struct css_set;

/* The machine's amount, which kernel/fork.c keeps. */
extern int max_threads;

#ifdef CONFIG_BC_NUMTASKS

bool __must_check bc_fork_covered(u64 clone_flags);
int __must_check __bc_fork_into(struct css_set *cset);
void bc_max_threads_changed(void);

/**
 * bc_fork_into() - check threads-max for a fork into another group
 * @clone_flags: of the fork
 * @cset: what the new task is to have, and was charged for
 *
 * For CLONE_INTO_CGROUP the check by bc_fork_covered() could not name the
 * group.
 *
 * Context: Task context, between cgroup_can_fork() and cgroup_post_fork().
 * Return: 0, or -EAGAIN.
 */
static inline int __must_check bc_fork_into(u64 clone_flags,
					    struct css_set *cset)
{
	if (likely(!(clone_flags & CLONE_INTO_CGROUP)))
		return 0;
	return __bc_fork_into(cset);
}

#else

static inline bool __must_check bc_fork_covered(u64 clone_flags)
{
	return false;
}

static inline int __must_check bc_fork_into(u64 clone_flags,
					    struct css_set *cset)
{
	return 0;
}

static inline void bc_max_threads_changed(void)
{
}

#endif /* CONFIG_BC_NUMTASKS */
#endif /* _BC_NUMTASKS_H */
