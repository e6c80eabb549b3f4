/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SIM_H
#define SIM_H

/* The simulated machine; see sim.c. */

#include "shim.h"
#include "threads.h"
#include <bc/res_counter.h>
#include "user.h"

#define MAX_CPUS	MAX_THREADS

/*
 * The bounds. A step is a basic block or an access to memory: about two to four
 * instructions.
 */
#define HOLD_STEPS	300	/* under one lock, or with interrupts off */
#define LEVEL_STEPS	200	/* for each level above */
#define KEPT_STEPS	800	/* for each group and CPU with units kept below: to fetch them */
#define READ_STEPS	100	/* and to read how many they are */
#define BASE_STEPS	2500	/* besides */

/* machine.c: CPUs, and what is counted */

/* What was counted since measure_begin(). */
struct cost {
	u64	steps;
	u64	hold;			/* most steps under a lock */
	u64	irqs_off;		/* most steps with interrupts off */
	u64	accesses;
	u64	foreign;		/* lines that another CPU had changed */
	u64	locks;
	u64	together;		/* most locks held at a time */
	u64	ipis;
	u64	useless_ipis;		/* to a CPU without an open slot */
	u64	cpus;			/* other CPUs whose stock was looked at */
	bool	touched[MAX_CPUS];
	bool	ipi[MAX_CPUS];
};

extern struct cost cost;
extern struct cost total_worst;
extern char *stack_top;
extern struct res_root *root;

void die(const char *what);
/* From now on, CPU @cpu does what is done. */
void on(unsigned int cpu);
void set_online(unsigned int cpus);
void lines_begin(void);
void cost_worse(struct cost *worst, const struct cost *c);
void measure_begin(void);
struct cost measure_end(void);
bool took_lock_of(const struct cost *c, const struct res_counter *counter);

/* Runs what follows it, a statement, and sets @c to what it cost. */
#define MEASURE(c, what) \
	do { measure_begin(); what; (c) = measure_end(); } while (0)

/* world.c: tests, and groups */

extern bool verbose;
extern int tests, failures;

/* A test fails for the reason that is given, unless @good. */
void __attribute__((format(printf, 2, 3))) expect(bool good, const char *fmt, ...);
void __attribute__((format(printf, 1, 2))) done(const char *fmt, ...);
void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...);
void say_cost(const char *what, const struct cost *c);

struct group {
	struct res_counter	counter ____cacheline_aligned;
	struct group		*parent;
	struct group		*next;		/* made before this one */
	struct res_owner	*owner;
	u64			held;
	bool			removed;
};

extern struct group *groups;
extern u64 capacity_barrier, capacity_limit;
/* What was asked for by charges that may not block. */
extern struct res_counter *drain_later;
extern bool drain_root_later;

void world_begin(unsigned int cpus);
void world_end(void);
struct group *make(struct group *parent);
struct group *make_chain(struct group *parent, int depth);
void remove_group(struct group *g);

bool charge_as(struct group *g, u64 n, enum bc_severity severity, bool may_block);
void charge(struct group *g, u64 n);
void uncharge(struct group *g, u64 n);
void pair(struct group *g);
void set_limit(struct group *g, u64 limit);
void set_barrier(struct group *g, u64 barrier);
void set_reserved(struct group *g, u64 reserved);

u64 usage(struct group *g);
int open_slots(struct group *g);
u64 kept_below(struct group *top);
u64 locks_beside(const struct cost *c, struct group *top);

/* matrix.c: each operation on each machine */

void matrix(void);

#endif /* SIM_H */
