/* SPDX-License-Identifier: GPL-2.0 */
/*
 * numtasks: hooks for kernel/fork.c
 */
#ifndef _BC_NUMTASKS_H
#define _BC_NUMTASKS_H

/* The machine's amount, which kernel/fork.c keeps. */
extern int max_threads;

#ifdef CONFIG_BC_NUMTASKS

void bc_max_threads_changed(void);

#else

static inline void bc_max_threads_changed(void)
{
}

#endif /* CONFIG_BC_NUMTASKS */
#endif /* _BC_NUMTASKS_H */
