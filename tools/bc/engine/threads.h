/* SPDX-License-Identifier: GPL-2.0 */
#ifndef THREADS_H
#define THREADS_H

#define MAX_THREADS	16

void shim_init(void);
/* Each thread once: its number, below MAX_THREADS. */
void shim_thread(unsigned int id);
void shim_irq_enter(void);
void shim_irq_exit(void);
void shim_synchronize_rcu(void);
void shim_reclaim(void);

#endif /* THREADS_H */
