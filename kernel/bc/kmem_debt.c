// SPDX-License-Identifier: GPL-2.0
/*
 * Debts: how a group pays for kernel memory that could not be refused
 *
 * A charge that may not enter file systems is forced (see kmem_severity()), as is
 * one with __GFP_NOFAIL. If there was no room for it the task owes, and pays when it
 * goes back to user mode, as with memory.high: there it holds no lock that another
 * task could wait for. A system call that reads or dirties many pages pays for each
 * of them, where it might as well have a page fault. There it does what it can do at
 * once, and waits no longer than tasks that dirty pages do.
 *
 * To pay is to have the group give something up (kmem_room.c); and if it is still
 * above what its tasks may take, to wait. The wait depends on the group's excess
 * alone, not on what this task was given: for an excess of a part x of the limit it
 * is 32 s times x * x.
 *
 * That bounds the overrun. Let c be what a task can be given from one payment to the
 * next: what a system call allocates while it changes one file's structure, or,
 * in a loop over pages, what one page takes: a buffer head for each block and a part
 * of a node. Without giving anything up, T tasks that write all the time have an
 * excess x that grows by T * c each 32 s * x * x: after t seconds x ^ 3 is 3 * T * c * t
 * / 32 s / limit. Above an excess of 9/16 the wait is 10 s and no more, which is
 * T * c each ten seconds. One task with an 8 MB limit and c = 700 reaches 9/16 in six
 * hours, and 1.1 in a day. T is bounded, as a new task has to be charged by
 * GFP_KERNEL; the time is bounded by the number of blocks that the files have. In a
 * loop over pages the wait is no more than that of dirty throttling, as locks are
 * held: 200 ms for each page, which is T * c each 200 ms above an excess of 1/12.
 *
 * In kmem, privileged tasks do not wait: what is above the barrier is there for them.
 * Under memcg's limit, which has no barrier, they do. Kernel threads do not pay, nor
 * do tasks of other groups that act for this one: the group's own tasks pay for it
 * with their next debt, as it is the excess of the group that counts. A dying task
 * does not pay: it is about to return all.
 */

#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/resume_user_mode.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <linux/psi.h>			/* wants workqueue.h */

#include "refuse.h"

/* The wait for an excess as high as the limit; the longest; and one not worth it. */
#define KMEM_PAUSE		(32 * HZ)
#define KMEM_PAUSE_MAX		(10 * HZ)
#define KMEM_PAUSE_MIN		(HZ / 100)

/* The longest with locks held: that of balance_dirty_pages(). */
#define KMEM_PAUSE_IN_LOOP	max(HZ / 5, 1)

/* An excess is computed as a part of the limit, with so many fractional bits. */
#define KMEM_EXCESS_SHIFT	10

/**
 * kmem_owe() - note that the current task may have overrun a limit
 *
 * It pays later, unless it is a kernel thread, is dying or frees memory.
 *
 * Context: Task context.
 */
void kmem_owe(void)
{
	if ((current->flags & (PF_KTHREAD | PF_MEMALLOC | PF_WQ_WORKER)) ||
	    kmem_task_dying())
		return;
	current->bc_owes = true;
	set_notify_resume(current);
}

/**
 * kmem_debt_pause() - how long an excess is waited for
 * @excess: bytes above what a task may take
 * @limit: the group's
 *
 * Return: jiffies.
 */
unsigned long kmem_debt_pause(u64 excess, u64 limit)
{
	u64 part;

	limit = max_t(u64, limit, SZ_64K);
	/* Above that, the pause is KMEM_PAUSE_MAX anyway. */
	excess = min(excess, limit);
	part = div64_u64(excess << KMEM_EXCESS_SHIFT, limit);
	return min_t(u64, KMEM_PAUSE * part * part >> 2 * KMEM_EXCESS_SHIFT,
		     KMEM_PAUSE_MAX);
}

/**
 * __bc_pay_debt() - have the current task pay what it owes
 * @in_loop: in a loop over pages, where other tasks may wait for what it holds
 *
 * Context: Task context; sleeps.
 */
void __bc_pay_debt(bool in_loop)
{
	unsigned long pause, pflags;
	bool outer;

	current->bc_owes = false;
	if (kmem_task_dying())
		return;
	/* A thread of io_uring that exits may come here with a lock held. */
	in_loop |= !!(current->flags & PF_USER_WORKER);
	outer = current->bc_hurries;
	current->bc_hurries |= in_loop;
	pause = max(kmem_pay(), memcg_kmem_pay());
	current->bc_hurries = outer;
	if (in_loop)
		pause = min_t(unsigned long, pause, KMEM_PAUSE_IN_LOOP);
	if (pause <= KMEM_PAUSE_MIN)
		return;

	psi_memstall_enter(&pflags);
	/* With no lock held, the machine can be suspended meanwhile. */
	__set_current_state(in_loop ? TASK_KILLABLE :
				      TASK_KILLABLE | TASK_FREEZABLE);
	schedule_timeout(pause);
	psi_memstall_leave(&pflags);
}
