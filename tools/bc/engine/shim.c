// SPDX-License-Identifier: GPL-2.0
#include "shim.h"
#include "threads.h"

/* Interrupts: nothing to do while they are off already. */

static __thread bool irqs_off;

unsigned long shim_irq_save(void)
{
	unsigned long flags = irqs_off;
	sigset_t all;

	if (!irqs_off) {
		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, NULL);
		irqs_off = true;
	}
	return flags;
}

void shim_irq_restore(unsigned long flags)
{
	sigset_t all;

	if (flags)
		return;
	irqs_off = false;
	sigfillset(&all);
	pthread_sigmask(SIG_UNBLOCK, &all, NULL);
}

/* A signal is an interrupt: it starts with interrupts off, and ends so. */
void shim_irq_enter(void)
{
	irqs_off = true;
}

void shim_irq_exit(void)
{
	irqs_off = false;
}

/* RCU */

static pthread_mutex_t reader[MAX_THREADS];
static __thread unsigned int self, nested;
static struct rcu_head *waiting;

void shim_init(void)
{
	int i;

	for (i = 0; i < MAX_THREADS; i++)
		pthread_mutex_init(&reader[i], NULL);
}

void shim_thread(unsigned int id)
{
	self = id;
}

void rcu_read_lock(void)
{
	unsigned long flags = shim_irq_save();

	if (!nested++)
		pthread_mutex_lock(&reader[self]);
	shim_irq_restore(flags);
}

void rcu_read_unlock(void)
{
	unsigned long flags = shim_irq_save();

	if (!--nested)
		pthread_mutex_unlock(&reader[self]);
	shim_irq_restore(flags);
}

void shim_synchronize_rcu(void)
{
	int i;

	for (i = 0; i < MAX_THREADS; i++) {
		unsigned long flags = shim_irq_save();

		pthread_mutex_lock(&reader[i]);
		pthread_mutex_unlock(&reader[i]);
		shim_irq_restore(flags);
	}
}

void shim_call_rcu(struct rcu_head *head, void *memory)
{
	head->memory = memory;
	head->next = __atomic_load_n(&waiting, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&waiting, &head->next, head, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		;
}

/* Frees what was handed to shim_call_rcu() before; one thread does this. */
void shim_reclaim(void)
{
	struct rcu_head *head = __atomic_exchange_n(&waiting, NULL,
						    __ATOMIC_ACQ_REL);

	if (!head)
		return;
	shim_synchronize_rcu();
	while (head) {
		struct rcu_head *next = head->next;

		free(head->memory);
		head = next;
	}
}
