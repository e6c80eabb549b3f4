/* SPDX-License-Identifier: GPL-2.0 */
#ifndef THREADS_H
#define THREADS_H

/*
 * For a program that makes the threads which shim.h takes for CPUs.
 *
 * Interrupts reach a thread at any moment when it has them on; but under
 * ThreadSanitizer, which puts signals off, at atomic operations and in calls that
 * it knows to block. A thread that waits for another must do so in such a call:
 * the other may be waiting for this one to take an interrupt.
 */

/* First of all. The caller is CPU 0, which is online. */
void shim_init(void);

/* The calling thread is CPU @id, below MAX_THREADS, from here on: online. */
void shim_thread(unsigned int id);

/*
 * The CPU goes offline, and takes no interrupts from here on: for good, when its
 * thread ends, or until shim_online(). Interrupts that it was sent are taken first.
 * Before that, when it is not active any more, it calls shim_teardown(), and then
 * shim_last(), which does what tasks do that are on the CPU still.
 */
extern void (*shim_teardown)(void), (*shim_last)(void);
void shim_offline(void);
void shim_online(void);

/* What an interrupt that is no call from another CPU does; none if NULL. */
extern void (*shim_device)(void);
/* Sends CPU @cpu such an interrupt, if it is online. */
void shim_interrupt(unsigned int cpu);
/* Sends the calling CPU an interrupt, whatever it is in the middle of. */
void shim_interrupt_self(void);

/* Interrupts taken, and how many of them found preemption off: a fast path. */
extern u64 shim_interrupts, shim_interrupted;

/* A mutex to sleep on: the sleeper takes interrupts. */
void shim_mutex_lock(pthread_mutex_t *mutex);

/* Sleeps a little, and takes interrupts. */
void shim_pause(void);

/* Frees what was handed to call_rcu() before; one thread does this. */
void shim_reclaim(void);

#endif /* THREADS_H */
