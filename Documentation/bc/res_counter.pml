/* SPDX-License-Identifier: GPL-2.0 */
/*
 * res_counter: a model of the per-CPU stocks, for the model checker spin
 *
 * Charges and uncharges change a word of their CPU by unlocked instructions;
 * everything else happens under the lock of the tree. This model has each of
 * these instructions as a step of its own, with interrupts and other CPUs
 * between any two of them, and the checker visits every state that they can
 * reach. A critical section is one step: the lock keeps out all others who take
 * it, and disabled interrupts all who may change the word of this CPU.
 *
 * Operations go on for ever, in any order. What is bounded is the size: CPUs,
 * tasks and interrupts that are active at a time, units. Macros set it, and say
 * which operations there are (-DNCPU=3 -DWITH_REMOVE). With a macro BREAK_* a
 * step of the protocol is missing or wrong, and the checker has to find out.
 *
 * The tree is P above A and B. See Documentation/bc/res_counter.rst.
 */

#ifndef NCPU
#define NCPU		2
#endif
#ifndef NTASK
#define NTASK		2
#endif
#ifndef NSOFT
#define NSOFT		0
#endif
#ifndef NHARD
#define NHARD		0
#endif
#ifndef LIMIT_P			/* bounds and reservation at the beginning */
#define LIMIT_P		3
#endif
#ifndef LIMIT_A
#define LIMIT_A		LIMIT_P
#endif
#ifndef LIMIT_B
#define LIMIT_B		LIMIT_P
#endif
#ifndef BARRIER_P
#define BARRIER_P	LIMIT_P
#endif
#ifndef RESERVED_A
#define RESERVED_A	0
#endif
#ifndef CHARGE			/* units of the largest charge */
#define CHARGE		2
#endif
#ifndef CAP			/* the most units that a stock keeps */
#define CAP		2
#endif
#ifndef KEEP			/* the most units that it is opened with */
#define KEEP		1
#endif
#ifndef RECALLS			/* how often a charge recalls before it is refused */
#define RECALLS		2
#endif

/* Counters. An owner has the number of its counter. */
#define ROOT		0	/* the machine; also: none */
#define P		1
#define A		2
#define B		3
#ifdef WITH_TREES
#define parent(g)	((g) == A -> P : ROOT)		/* B is a tree of its own */
#else
#define parent(g)	((g) == A || (g) == B -> P : ROOT)
#endif
#define top(g)		(parent(g) == ROOT -> (g) : parent(g))
#define below(g, p)	((g) == (p) || parent(g) == (p))
#define live(g)		(!removed[g] -> (g) : \
			 (!removed[parent(g)] -> parent(g) : ROOT))

#define BC_BARRIER	0
#define BC_LIMIT	1
#define BC_FORCE	2

#define max(a, b)	((a) > (b) -> (a) : (b))
#define min(a, b)	((a) < (b) -> (a) : (b))
#define bit(n)		(1 << (n))

#if NCPU > 2
#define any_cpu(f)	(f(0) || f(1) || f(2))
#define sum_cpu(f, g)	(f(0, g) + f(1, g) + f(2, g))
#else
#define any_cpu(f)	(f(0) || f(1))
#define sum_cpu(f, g)	(f(0, g) + f(1, g))
#endif

/*
 * What a CPU is doing. A higher level may come between any two instructions of a
 * lower one. Recall is an interrupt, which comes where the level is below HARD.
 */
#define NONE		0	/* idle, or a task that may be preempted */
#define TASK		1	/* a task with preemption off: in a fast path */
#define SOFT		2	/* an interrupt with interrupts on, as softirqs are */
#define HARD		3	/* an interrupt with interrupts off */
#define OFF		4	/* any of them, waiting for the lock */
byte	lev[NCPU];
bool	offline[NCPU];
bool	inactive[NCPU];		/* !cpu_active() */

/* struct res_counter */
byte	usage[4];
byte	held[4];
byte	inherited[4];
byte	reserved[4];
byte	limit[4];
byte	barrier[4];
byte	closing[4];		/* its member "closed" */
bool	removed[4];

/* struct res_owner: refs; struct res_root: usage */
byte	refs[4];
byte	machine;

/*
 * struct res_stock. The word is closed when it is negative by a large bias; and
 * it is open if and only if there is a counter, as can be asked under the lock.
 */
#define CLOSED		(-100)
#define closed(c)	(units[c] < CLOSED / 2)
short	units[NCPU];
byte	owner[NCPU];
bool	opened[NCPU];		/* counter != NULL */
bool	recall[NCPU];

/* The lock is held across steps by res_counter_read() alone. */
#ifdef WITH_READ
bool	locked;
#define unlocked	(!locked)
#else
#define unlocked	true
#endif

/*
 * What follows is for the properties; the protocol does not look at it. Units
 * of objects are ready, or are being uncharged just now. "pending" is what
 * charges have taken out of a word that had not enough, and will put back;
 * "limbo" what res_stock_settle() has taken out of a closed word and not yet
 * uncharged. Units "returned" are uncharged and still have their references.
 */
byte	ready[4];
byte	uncharging[4];
byte	pending[NCPU];
byte	limbo[4];
byte	returned[4];
byte	running;		/* operations under way */
byte	solo;			/* the one that was alone since it began */
bool	removing[4];
bool	stop;			/* no operation begins any more */

/* For use within a step. */
hidden short h, i, j, m, x, y;

#define bound(g, sev)	(sev == BC_LIMIT -> limit[g] : min(limit[g], barrier[g]))

/* res_taken() */
#define taken(g, u)	max(u, reserved[g])

inline res_path_add(g, n)
{
	i = g;
	x = n;
	do
	:: i != ROOT && x > 0 ->
		y = usage[i] + x;
		x = taken(i, y) - taken(i, usage[i]);
		usage[i] = y;
		i = parent(i)
	:: else -> break
	od;
	machine = machine + x
}

inline res_path_sub(g, n)
{
	i = g;
	x = n;
	do
	:: i != ROOT && x > 0 ->
		assert(usage[i] >= x);
		y = usage[i] - x;
		x = taken(i, usage[i]) - taken(i, y);
		usage[i] = y;
		i = parent(i)
	:: else -> break
	od;
	assert(machine >= x);
	machine = machine - x
}

/* "refuser": the nearest counter without room, if there is one */
inline res_path_check(g, n, severity, refuser)
{
	i = g;
	x = n;
	refuser = ROOT;
	do
	:: i != ROOT && x > 0 ->
		y = usage[i] + x;
		if
		:: refuser == ROOT && severity != BC_FORCE && y > bound(i, severity) ->
			refuser = i
		:: else
		fi;
		x = taken(i, y) - taken(i, usage[i]);
		i = parent(i)
	:: else -> break
	od
}

/*
 * res_stock_matters(): whether a charge of l would have more room at p without the
 * stock of CPU c. What a reservation covers takes nothing out of p. But it takes up
 * the reservation, which counts if the charge is one that would use that.
 */
#ifdef BREAK_COVERED
#define own_matters	false
#else
#define own_matters	true
#endif
#define matters(c, l, p) (opened[c] && \
			  (owner[c] == p || (owner[c] == l && own_matters) || \
			   (below(owner[c], p) && usage[owner[c]] > reserved[owner[c]])))
#if NCPU > 2
#define any_matters(l, p) (matters(0, l, p) || matters(1, l, p) || matters(2, l, p))
#else
#define any_matters(l, p) (matters(0, l, p) || matters(1, l, p))
#endif

/* "crossed": a counter that is above its barrier then, with something in stock */
#ifdef BREAK_ABOVE
#define crosses(i, y)	(y > bound(i, BC_BARRIER) && usage[i] <= bound(i, BC_BARRIER))
#else
#define crosses(i, y)	(y > bound(i, BC_BARRIER))
#endif

inline res_claim_crosses(g, n, crossed)
{
	i = g;
	x = n;
	do
	:: i != ROOT && x > 0 ->
		y = usage[i] + x;
		if
		:: crosses(i, y) && any_matters(g, i) -> crossed = i; break
		:: else
		fi;
		x = taken(i, y) - taken(i, usage[i]);
		i = parent(i)
	:: else -> break
	od
}

/* Whether p would still refuse if the stocks had all that they may have. */
#define stocked_on(c, g) (opened[c] && below(owner[c], g) -> CAP : 0)
#define stocked(g)	sum_cpu(stocked_on, g)

inline res_claim_hopeless(g, n, severity, p, hopeless)
{
	i = g;
	x = n;
	do
	:: y = usage[i] - min(usage[i], stocked(i));
	   if
	   :: i == p -> break
	   :: else
	   fi;
	   x = taken(i, y + x) - taken(i, y);
	   i = parent(i)
	od;
#ifndef BREAK_HOPELESS
	y = (x == 0 -> 0 : y);		/* It would not come up to here. */
#endif
	hopeless = (y + x > bound(i, severity))
}

inline res_owner_put(g, n)
{
	i = g;
	x = n;
	do
	:: i != ROOT ->
		assert(refs[i] >= x);
		refs[i] = refs[i] - x;
		if
		:: refs[i] == 0 -> i = parent(i); x = 1
		:: else -> break
		fi
	:: else -> break
	od
}

/*
 * The word may be negative here: a charge was interrupted just before it puts
 * back what was not there. It will find the word closed, and collect what is in
 * it then. So nothing is taken, and the word is changed, never set.
 */
inline res_stock_take_back(c)
{
	assert(opened[c] && !closed(c) && !removed[owner[c]]);
#ifdef BREAK_NEGATIVE
	m = units[c];
#else
	m = max(units[c], 0);
#endif
#ifdef BREAK_STORE
	units[c] = CLOSED;
#else
	units[c] = units[c] + CLOSED - m;
#endif
	assert(held[owner[c]] >= m);
	held[owner[c]] = held[owner[c]] - m;
	if
	:: m < 0 ->
		m = -m;
		res_path_add(owner[c], m)
	:: else ->
		res_path_sub(owner[c], m)
	fi;
	opened[c] = false;
	recall[c] = false
}

/*
 * Opens the stock with n units, if the bounds let it. What res_stock_cap() makes of
 * usage and bounds is not modelled: any number may be kept that the bounds have
 * room for, which is more than the kernel keeps.
 */
inline res_restock(c, g, n, in_task)
{
	i = g;
	x = max(n, 1);
#ifdef BREAK_OWNER
	m = !opened[c];
#else
	m = !opened[c] && (owner[c] == g || (in_task && units[c] == CLOSED));
#endif
	do
	:: i != ROOT && x > 0 ->
		y = usage[i] + x;
		if
#ifndef BREAK_CLOSED
		:: closing[i] > 0 -> m = 0
#endif
		:: y > bound(i, BC_BARRIER) -> m = 0
		:: else
		fi;
		x = taken(i, y) - taken(i, usage[i]);
		i = parent(i)
	:: else -> break
	od;
	if
#ifdef BREAK_OFFLINE
	:: m ->
#else
	:: m && !inactive[c] ->
#endif
		held[g] = held[g] + (n);
		res_path_add(g, (n));
		units[c] = units[c] + (n) - CLOSED;
		owner[c] = g;
		opened[c] = true
	:: else
	fi
}

/* "keep" is 0 where the stock stays closed, or the units to be kept, plus 1. */
inline restock(c, g, keep, in_task)
{
	if
	:: keep > 0 && g != ROOT -> res_restock(c, g, keep - 1, in_task)
	:: else
	fi
}

/*
 * res_tree_lock(): in a critical section this CPU has no stock in the tree, so that
 * it alone is exact. h: whose it was.
 */
inline take_own(c, g)
{
	h = ROOT;
	if
	:: opened[c] && top(owner[c]) == top(g) ->
		h = owner[c];
		res_stock_take_back(c)
	:: else
	fi
}

/*
 * res_owner_return(): the critical section. The references of units whose
 * group was removed are dropped after it, in a step of their own.
 */
inline uncharge_locked(c, g, n, keep)
{
	j = live(g);
	if
	:: j == ROOT ->
		assert(machine >= n);
		machine = machine - n
	:: else ->
		take_own(c, j);
		if
		:: j == g ->
			assert(held[j] >= n);
			held[j] = held[j] - n
		:: else ->
			assert(inherited[j] >= n);
			inherited[j] = inherited[j] - n
		fi;
		res_path_sub(j, n);
		/* It stays whose it was; if nobody's, it may be this one's. */
		h = (h == ROOT && j == g -> g : h);
		restock(c, h, keep, level == TASK)
	fi;
	if
	:: j != g ->
		returned[g] = returned[g] + n;
		owed = n;
		next = pc;
		pc = owner_put
	:: else
	fi
}

/*
 * res_recall_mark() and res_recall_mark_below(), which marks all that there is, be it
 * covered or not. "to": those that were not marked before.
 */
#define mark(which, l, p)	\
	i = 0; \
	to = 0; \
	do \
	:: i < NCPU -> \
		if \
		:: which(i, l, p) -> \
			to = (recall[i] -> to : to | bit(i)); \
			recall[i] = true \
		:: else \
		fi; \
		i++ \
	:: else -> break \
	od
#define is_below(c, l, p) (opened[c] && below(owner[c], p))

/*
 * The same usage without any stock: what objects hold, and what is reserved;
 * and whether a charge would fit then.
 */
#define objects(g)	(ready[g] + uncharging[g])
#define own_takes(g)	(removed[g] -> objects(g) : max(objects(g), reserved[g]))
#ifdef WITH_TREES
#define children_take	own_takes(A)
#else
#define children_take	(own_takes(A) + own_takes(B))
#endif
#define own_usage(g)	((g) == P -> objects(P) + children_take : objects(g))
#define passed_on(g, n)	(max(own_usage(g) + n, reserved[g]) - \
			 max(own_usage(g), reserved[g]))
#define would_fit(g, n, sev) \
			(own_usage(g) + n <= bound(g, sev) && \
			 (parent(g) == ROOT || passed_on(g, n) == 0 || \
			  own_usage(parent(g)) + passed_on(g, n) <= \
			  bound(parent(g), sev)))

/* Children first, and once. */
#define may_remove(g)	(!removing[g] && (g != P || (removed[A] && removed[B])))

#ifdef BREAK_ONE_TRY
#define tired		(recalls == 1)
#else
#define tired		(recalls == RECALLS)
#endif

/* Where an operation is: what it does next. */
mtype = { idle, charge_sub, charge_undo, charge_look, charge_settle, charge_slow,
	  charge_end, uncharge_add, uncharge_look, uncharge_settle, uncharge_slow,
	  owner_put, recall_ask, recall_wait, set_limit, set_barrier, set_reserved,
	  remove, reading };

/* What the children have reserved. B reserves nothing. */
#define pledged(g)	(g == P -> reserved[A] : 0)

/* An operation begins, and ends. Variables that are not in use are 0. */
inline begin()
{
	solo = (running == 0 -> _pid : 0);
	running++
}

inline finish()
{
	running--;
	solo = (solo == _pid -> 0 : solo);
	pc = idle;
	p = ROOT;
	g = 0;
	n = 0;
	arg = 0
}

#define alone		(solo == _pid)

/* Preemption is switched off, or an interrupt comes, on any CPU where it may. */
#define may_enter(c)	(lev[c] < level && !offline[c])

inline enter()
{
	if
	:: may_enter(0) -> cpu = 0
	:: may_enter(1) -> cpu = 1
#if NCPU > 2
	:: may_enter(2) -> cpu = 2
#endif
	fi;
	before = lev[cpu];
#ifdef BREAK_PREEMPT
	lev[cpu] = (level == TASK -> NONE : level)
#else
	lev[cpu] = level
#endif
}

/* Nobody else is running on the CPU that an operation has entered. */
#ifdef BREAK_PREEMPT
#define here		(lev[cpu] == (level == TASK -> NONE : level))
#else
#define here		(lev[cpu] == level)
#endif

inline leave()
{
	lev[cpu] = before;
	before = NONE;
	cpu = 0
}

/*
 * A critical section of the slow path: that of an interrupt is where it came, a
 * task may have moved meanwhile.
 */
#ifdef BREAK_TREES
#define BETWEEN		NONE
#else
#define BETWEEN		OFF	/* from the lock of one tree to that of another */
#endif
#define may_lock(c)	(lev[c] == NONE && !offline[c])
#define can_lock	(unlocked && (level != TASK -> lev[cpu] == level : \
			 (before != NONE -> lev[cpu] == BETWEEN : \
					    any_cpu(may_lock))))

inline lock()
{
	if
	:: level == TASK && before == NONE && may_lock(0) -> cpu = 0
	:: level == TASK && before == NONE && may_lock(1) -> cpu = 1
#if NCPU > 2
	:: level == TASK && before == NONE && may_lock(2) -> cpu = 2
#endif
#ifdef WITH_TREES
	:: level == TASK && before != NONE -> lev[cpu] = NONE
#endif
	:: level != TASK
	fi
}

inline unlock()
{
	cpu = (level == TASK -> 0 : cpu);
	before = (level == TASK -> NONE : before);
	keep = 0
}

/* The end of an operation in a slow path; and of a fast path, on to a slow one. */
inline slow_end()
{
	if
	:: level == TASK
	:: else -> leave()
	fi;
	finish()
}

inline go_slow()
{
	pc = charge_slow;
	if
	:: level == TASK -> leave()
	:: else
	fi
}

/* Units were uncharged: what comes then. */
inline go_on()
{
	if
	:: pc == owner_put
	:: pc == charge_settle -> go_slow()
	:: pc == uncharge_settle -> leave(); finish()
	:: pc == uncharge_slow -> slow_end()
	fi
}

/*
 * res_stock_settle(): what was put into a closed word is taken out, with interrupts
 * off, and then uncharged. If there is too much in an open one, that is one section.
 */
inline settle_closed(what)
{
	r = units[cpu] - CLOSED;
	units[cpu] = CLOSED;
	limbo[g] = limbo[g] + r;
	lev[cpu] = OFF;
	pc = what
}

inline settle_open()
{
	res_stock_take_back(cpu);
	restock(cpu, g, keep, level == TASK)
}

inline choose_group()
{
	if
	:: g = A
#ifdef WITH_B
	:: g = B
#endif
#ifdef WITH_P
	:: g = P
#endif
	fi
}

inline choose_keep()
{
	if
	:: keep = 0
	:: keep = 1
	:: keep = 2
#if KEEP > 1
	:: keep = 3
#endif
	fi
}

/* res_path_close() */
inline path_close(c)
{
	i = c;
	do
	:: i != ROOT -> closing[i]++; i = parent(i)
	:: else -> break
	od;
	closes = c
}

inline path_reopen()
{
	i = closes;
	do
	:: i != ROOT -> closing[i]--; i = parent(i)
	:: else -> break
	od;
	closes = ROOT
}

inline recall_next()
{
	if
	:: to == 0 ->
		pc = next;
		next = 0;
#ifdef BREAK_IRQS
		lev[cpu] = before;
		before = NONE;
		cpu = 0
#endif
	:: else ->
		pc = recall_wait;
#ifdef BREAK_IRQS
		lev[cpu] = OFF
#endif
	fi
}

/* An interrupt for res_recall(). Whoever has marked it, it is taken back. */
inline interrupt(c)
{
	if
	:: opened[c] -> res_stock_take_back(c)
	:: else -> recall[c] = false
	fi;
	to = to & ~bit(c);
	recall_next()
}

/* res_tree_lock_quiet(), up to where it waits: nothing in stock below p */
inline quiet(c, what)
{
	path_close(c);
	mark(is_below, c, p);
	next = what;
	pc = recall_ask
}

/* ... and where it looks again: what was covered until now may count. */
#if defined BREAK_AGAIN || defined BREAK_REMOVE
#define is_quiet	can_lock
#else
#define is_quiet	(can_lock && !any_matters(g, p))
#endif
#if defined WITH_RESERVED || RESERVED_A > 0
#define LENDS		true
#else
#define LENDS		false	/* nothing is covered: once was enough */
#endif
#define asks_again	(pc == set_limit || pc == set_barrier || \
			 pc == set_reserved || pc == remove)

#ifdef BREAK_IRQS
#define takes_irq(c)	(lev[c] < HARD || cpu == c)
#else
#define takes_irq(c)	(lev[c] < HARD)
#endif

#ifdef BREAK_REMOTE
#define interrupted(c)	\
	atomic { pc == recall_wait && (to & bit(c)) && !r -> \
		 r = 1; stale = units[c] } \
	:: d_step { pc == recall_wait && (to & bit(c)) && r -> \
		 r = 0; units[c] = stale; stale = 0; interrupt(c) }
#else
#define interrupted(c)	\
	d_step { pc == recall_wait && (to & bit(c)) && unlocked && takes_irq(c) -> \
		 interrupt(c) }
#endif

/* A task, or an interrupt */
proctype context(byte level)
{
	mtype pc = idle;
	mtype next;		/* after a recall, or references are dropped */
	byte cpu, before;	/* where it runs; what it has interrupted there */
	byte g, n;
	byte arg;		/* severity, limit, reservation */
	byte keep, r, owed;
	byte p;			/* nothing is to be in stock below */
	byte to;		/* CPUs to interrupt, as bits */
	byte closes;		/* the counter whose path it has closed */
	byte recalls;
	bool may_block;
#ifdef BREAK_REMOTE
	short stale;
#endif
#ifdef WITH_READ
	byte seen[4];
#endif

end:	do
	/* res_stock_charge(): compare the owner ... */
	:: atomic {
		pc == idle && !stop && any_cpu(may_enter) ->
		choose_group();
		n = 1;
#if CHARGE > 1
		if
		:: n = 1
		:: n = 2
		fi;
#endif
#ifdef WITH_BARRIER
		if
		:: arg = BC_BARRIER
		:: level == TASK -> arg = BC_LIMIT
		/* Not without end: the model is to be finite. */
		:: level == TASK && usage[P] <= LIMIT_P -> arg = BC_FORCE
		fi;
#endif
		enter();
		begin();
		if
		:: owner[cpu] == g -> pc = charge_sub
		:: else ->
			go_slow()
		fi
	   }
	/* ... units -= n ... */
	:: d_step {
		pc == charge_sub && here ->
		units[cpu] = units[cpu] - n;
		if
		:: units[cpu] >= 0 ->
			assert(arg == BC_FORCE || would_fit(g, n, arg));
			assert(owner[cpu] == g && !removed[g]);
			ready[g] = ready[g] + n;
			leave();
			finish()
		:: else ->
			pending[cpu] = pending[cpu] + n;
			pc = charge_undo
		fi
	   }
	/* ... negative: units += n ... */
	:: d_step {
		pc == charge_undo && here ->
#ifndef BREAK_UNDO
		units[cpu] = units[cpu] + n;
#endif
		pending[cpu] = pending[cpu] - n;
		pc = charge_look
	   }
	/* ... closed, or more than may be kept: res_stock_settle(). Then go on. */
	:: atomic {
		pc == charge_look && here &&
		(unlocked || closed(cpu) || units[cpu] <= CAP) ->
		choose_keep();
		d_step {
			if
#ifndef BREAK_SETTLE_CHARGE
			:: closed(cpu) && units[cpu] > CLOSED ->
				settle_closed(charge_settle)
#endif
#ifndef BREAK_UNDO_HIGH
			:: units[cpu] > CAP ->
				settle_open();
				go_slow()
#endif
			:: else ->
				go_slow()
			fi;
			keep = 0
		}
	   }
	:: atomic {
		pc == charge_settle && unlocked ->
		choose_keep();
		d_step {
			limbo[g] = limbo[g] - r;
			uncharge_locked(cpu, g, r, keep);
			lev[cpu] = level;
			r = 0;
			keep = 0;
			go_on()
		}
	   }
	/*
	 * res_attempt(), under the lock. Before it is refused a task recalls what
	 * would make room, if that can help; and before it goes above a barrier
	 * what could be charged without a look at the barrier.
	 */
	:: atomic {
		pc == charge_slow && can_lock ->
		lock();
		choose_keep();
		if
		:: level == TASK -> may_block = true
		:: level != TASK || arg == BC_BARRIER
		fi;
		d_step {
			j = live(g);
			if
#ifdef WITH_TREES
			:: j != ROOT && level == TASK && before == NONE &&
			   opened[cpu] && top(owner[cpu]) != top(j) ->
				/* That lock first, then the other. */
				res_stock_take_back(cpu);
				lev[cpu] = BETWEEN;
				before = TASK;
				keep = 0
#endif
			:: j == ROOT ->
				/* All groups have gone: nothing to charge. */
				unlock();
				pc = charge_end
			:: else ->
				take_own(cpu, j);
				res_path_check(j, n, arg, p);
				r = ROOT;
				if
				:: p == ROOT && arg != BC_BARRIER ->
#ifndef BREAK_BARRIER
					res_claim_crosses(j, n, r)
#endif
				:: p != ROOT && any_matters(j, p) ->
					r = p;
					res_claim_hopeless(j, n, arg, p, m);
					r = (m || tired -> ROOT : r)
				:: else
				fi;
				if
				:: r != ROOT && may_block ->
					if
					:: closes == ROOT -> path_close(j)
					:: else
					fi;
					recalls = (p == ROOT -> recalls : recalls + 1);
					mark(matters, j, r);
					pc = recall_ask;
					next = charge_slow
				:: p == ROOT && !(r != ROOT && may_block) ->
					assert(arg == BC_FORCE || would_fit(j, n, arg));
#ifdef WITH_TREES
					assert(level != TASK || !opened[cpu]);
#endif
					held[j] = held[j] + n;
					ready[j] = ready[j] + n;
					res_path_add(j, n);
					h = (level == TASK -> j : h);
					pc = charge_end
				:: else ->
					assert(!alone || !may_block || !would_fit(j, n, arg));
					if
					:: r != ROOT ->
						/* Later, by irq_work. */
						mark(matters, j, r);
						to = 0
					:: else
					fi;
					pc = charge_end
				fi;
				/* Whose it was, or the group's that was charged. */
				restock(cpu, h, keep, level == TASK);
				p = ROOT;
				r = 0;
				unlock();
				recalls = (pc == charge_end -> 0 : recalls);
				if
				:: pc == charge_end && closes == ROOT -> slow_end()
				:: else
				fi
			fi;
			may_block = false
		}
	   }
	:: atomic {
		pc == charge_end && can_lock ->
		lock();
		d_step { path_reopen(); unlock(); slow_end() }
	   }

	/* res_stock_uncharge(): compare the owner ... */
	:: atomic {
		pc == idle && !stop && ready[P] + ready[A] + ready[B] > 0 &&
		any_cpu(may_enter) ->
		if
		:: ready[P] > 0 -> g = P
		:: ready[A] > 0 -> g = A
		:: ready[B] > 0 -> g = B
		fi;
		n = 1;
		if
		:: n = 1
		:: CHARGE > 1 && ready[g] > 1 -> n = 2
		fi;
		enter();
		begin();
		ready[g] = ready[g] - n;
		uncharging[g] = uncharging[g] + n;
		if
		:: owner[cpu] == g -> pc = uncharge_add
		:: else ->
			pc = uncharge_slow;
			if
			:: level == TASK -> leave()
			:: else
			fi
		fi
	   }
	/* ... units += n ... */
	:: d_step {
		pc == uncharge_add && here ->
		assert(owner[cpu] == g);
		units[cpu] = units[cpu] + n;
		uncharging[g] = uncharging[g] - n;
		pc = uncharge_look
	   }
	/* ... more than may be kept, or closed: res_stock_settle(). */
	:: atomic {
		pc == uncharge_look && here &&
		(unlocked || closed(cpu) || units[cpu] <= CAP) ->
		choose_keep();
		d_step {
			if
			:: closed(cpu) && units[cpu] > CLOSED ->
#ifndef BREAK_SETTLE
				settle_closed(uncharge_settle)
#else
				leave();
				finish()
#endif
			:: units[cpu] > CAP ->
				settle_open();
				leave();
				finish()
			:: else ->
				leave();
				finish()
			fi;
			keep = 0
		}
	   }
	:: atomic {
		pc == uncharge_settle && unlocked ->
		choose_keep();
		d_step {
			limbo[g] = limbo[g] - r;
			uncharge_locked(cpu, g, r, keep);
			lev[cpu] = level;
			r = 0;
			keep = 0;
			go_on()
		}
	   }
	:: atomic {
		pc == uncharge_slow && can_lock ->
		lock();
		choose_keep();
		d_step {
			uncharging[g] = uncharging[g] - n;
			uncharge_locked(cpu, g, n, keep);
			unlock();
			go_on()
		}
	   }
	:: d_step {
		pc == owner_put && (here ||
				    (level == TASK && next == uncharge_slow)) ->
		res_owner_put(g, owed);
		returned[g] = returned[g] - owed;
		owed = 0;
		pc = next;
		next = 0;
		go_on()
	   }

	/* res_recall(): all that are marked, by whomever. */
	:: atomic {
#ifdef BREAK_IRQS
		pc == recall_ask && can_lock ->
		lock();
#else
		pc == recall_ask ->
#endif
		d_step {
#ifndef BREAK_MARKED
			i = 0;
			do
			:: i < NCPU ->
				to = (recall[i] && !offline[i] -> to | bit(i) :
								  to & ~bit(i));
				i++
			:: else -> break
			od;
#endif
#ifdef BREAK_WAIT
			to = 0;
#endif
			recall_next()
		}
	   }
	:: interrupted(0)
	:: interrupted(1)
#if NCPU > 2
	:: interrupted(2)
#endif

	:: d_step {
		asks_again && !is_quiet && can_lock ->
		assert(LENDS);
		next = pc;
		mark(matters, g, p);
		pc = recall_ask
	   }

#ifdef WITH_LIMIT
	/* res_counter_set_limit(). Here and below: all are tasks. */
	:: atomic {
		pc == idle && level == TASK && !stop && can_lock ->
		g = WITH_LIMIT;
		if
		:: arg = LIMIT_P
		:: arg = LIMIT_P - 1
		:: arg = LIMIT_P - 2
		fi;
		begin();
		p = g;
		d_step {
#ifdef BREAK_LIMIT
			arg = (usage[g] > arg -> limit[g] : arg);
#endif
			quiet(g, set_limit)
		}
	   }
	:: d_step {
		pc == set_limit && is_quiet ->
		if
		:: removed[g] || reserved[g] > arg || pledged(g) > arg
#if !defined BREAK_LIMIT && !defined WITH_LOW_LIMIT
		/* not_below_usage */
		:: usage[g] > arg -> assert(!alone || own_usage(g) > arg)
#endif
		:: else -> limit[g] = arg
		fi;
		path_reopen();
		finish()
	   }
#endif
#ifdef WITH_BARRIER
	/* res_counter_set_barrier() */
	:: atomic {
		pc == idle && level == TASK && !stop && can_lock ->
		g = P;
		if
		:: arg = BARRIER_P
		:: arg = BARRIER_P - 1
		fi;
		begin();
		p = g;
		d_step { quiet(g, set_barrier) }
	   }
	:: d_step {
		pc == set_barrier && is_quiet ->
		barrier[g] = arg;
		path_reopen();
		finish()
	   }
#endif
#ifdef WITH_RESERVED
	/* res_counter_set_reserved(), of A: borrow and repay. */
	:: atomic {
		pc == idle && level == TASK && !stop && can_lock ->
		g = A;
		if
		:: arg = 0
		:: arg = 1
		:: arg = 2
		fi;
		begin();
		p = P;
		d_step { quiet(g, set_reserved) }
	   }
	:: d_step {
		pc == set_reserved && is_quiet ->
		r = max(usage[g], reserved[g]);
		if
		:: removed[g] || arg > limit[g]
		:: arg < usage[g] && arg < reserved[g] ->
			assert(!alone || own_usage(g) > arg)
		:: arg > reserved[g] && usage[P] + max(usage[g], arg) - r > bound(P, BC_BARRIER) ->
			assert(!alone ||
			       own_usage(P) + max(own_usage(g), arg) -
			       max(own_usage(g), reserved[g]) > bound(P, BC_BARRIER))
		:: else ->
			reserved[g] = arg;
			m = max(usage[g], arg);
			if
			:: m > r -> m = m - r; res_path_add(P, m)
			:: else -> m = r - m; res_path_sub(P, m)
			fi
		fi;
		r = 0;
		path_reopen();
		finish()
	   }
#endif
#ifdef WITH_REMOVE
	/* res_counter_remove(), children first; and for good. */
	:: atomic {
		pc == idle && level == TASK && !stop && can_lock &&
		(may_remove(A) || may_remove(B) || may_remove(P)) ->
		if
		:: may_remove(A) -> g = A
		:: may_remove(B) -> g = B
		:: may_remove(P) -> g = P
		fi;
		begin();
		p = (reserved[g] -> top(g) : g);
		d_step {
			removing[g] = true;
#ifdef BREAK_REMOVE
			pc = remove
#else
			quiet(g, remove)
#endif
		}
	   }
	:: d_step {
		pc == remove && is_quiet ->
		r = max(usage[g], reserved[g]) - usage[g];
		if
		:: parent(g) != ROOT ->
			inherited[parent(g)] = inherited[parent(g)] + usage[g];
			refs[parent(g)]++
		:: else
		fi;
		res_path_sub(parent(g), r);
		r = 0;
		refs[g] = refs[g] + held[g];
		usage[g] = 0;
		held[g] = 0;
		inherited[g] = 0;
		reserved[g] = 0;
		removed[g] = true;
		res_owner_put(g, 1);
		path_reopen();
		finish()
	   }
#endif
#ifdef WITH_READ
	/* res_counter_read(): what is in stock does not count. From any context. */
	:: atomic {
		pc == idle && !stop && unlocked && any_cpu(may_enter) ->
		enter();
		begin();
		lev[cpu] = OFF;
		locked = true;
		seen[P] = usage[P];
		seen[A] = usage[A];
		seen[B] = usage[B];
		pc = reading
	   }
	:: d_step {
		pc == reading && r < NCPU ->
		i = (opened[r] -> owner[r] : ROOT);
		x = max(units[r], 0);
		do
		:: i != ROOT ->
			y = seen[i];
#ifdef BREAK_READ
			assert(y >= x);
#endif
			/* A unit that goes from word to word is found twice. */
			seen[i] = y - min(y, x);
			x = taken(i, y) - taken(i, seen[i]);
			i = parent(i)
		:: else -> break
		od;
		r++
	   }
	:: d_step {
		pc == reading && r == NCPU ->
		assert(!alone || (seen[P] == own_usage(P) && seen[A] == own_usage(A) &&
				  seen[B] == own_usage(B)));
		seen[P] = 0;
		seen[A] = 0;
		seen[B] = 0;
		r = 0;
		locked = false;
		leave();
		finish()
	   }
#endif
	od
}

/* What was marked by a refusal to one that may not block is taken back later. */
#define late(c)	d_step { recall[c] && lev[c] < HARD && !offline[c] && unlocked -> \
			 res_stock_take_back(c) }

proctype irq_work()
{
end:	do
	:: late(0)
	:: late(1)
#if NCPU > 2
	:: late(2)
#endif
	od
}

#ifdef WITH_OFFLINE
/* CPU 1 goes, and comes: inactive, res_root_cpu_offline(), offline. */
proctype hotplug()
{
end:	do
	:: d_step { !stop -> inactive[1] = true };
	   d_step {
		lev[1] == NONE ->
		if
		:: opened[1] -> res_stock_take_back(1)
		:: else
		fi
	   }
	   d_step { lev[1] == NONE -> offline[1] = true };
	   d_step { offline[1] = false; inactive[1] = false }
	od
}
#endif

proctype stopper()
{
	stop = true
}

/* Each unit is where it is counted; a removed group's are references. */
#define in_word(c, g)	(owner[c] != g -> 0 : \
			 units[c] + pending[c] - (closed(c) -> CLOSED : 0))
#define units_of(g)	(objects(g) + limbo[g] + sum_cpu(in_word, g))
#define forwarders(g)	(g != P -> 0 : (removed[A] && refs[A] > 0) + \
				       (removed[B] && refs[B] > 0 && parent(B) == P))
#define conserved(g)	(removed[g] -> held[g] == 0 && \
			 refs[g] == units_of(g) + returned[g] + forwarders(g) : \
			 held[g] == units_of(g) && refs[g] == 1 + forwarders(g))

/* What a counter has is its own, inherited, and taken by its children. */
#define takes(g)	(removed[g] -> 0 : taken(g, usage[g]))
#define orphans(g)	(removed[g] -> units_of(g) : 0)
#ifdef WITH_TREES
#define added_up	(usage[A] == held[A] && usage[B] == held[B] && \
			 usage[P] == held[P] + inherited[P] + takes(A) && \
			 inherited[P] == (removed[P] -> 0 : orphans(A)) && \
			 machine == takes(P) + takes(B) + orphans(P) + orphans(B) + \
				    (removed[P] -> orphans(A) : 0))
#else
#define added_up	(usage[A] == held[A] && usage[B] == held[B] && \
			 usage[P] == held[P] + inherited[P] + takes(A) + takes(B) && \
			 inherited[P] == (removed[P] -> 0 : orphans(A) + orphans(B)) && \
			 machine == takes(P) + orphans(P) + \
				    (removed[P] -> orphans(A) + orphans(B) : 0))
#endif

#if defined WITH_BARRIER || defined WITH_LOW_LIMIT
#define within_limit(g)	true	/* forced charges, or limits set below usage */
#else
#define within_limit(g)	(usage[g] <= limit[g])
#endif
#define within(g)	(removed[g] || (within_limit(g) && own_usage(g) <= usage[g] && \
					pledged(g) <= limit[g]))

#define amiss(c)	(opened[c] == closed(c) || (recall[c] && !opened[c]) || \
			 (opened[c] && (removed[owner[c]] || offline[c])))
#define invariant	(conserved(P) && conserved(A) && conserved(B) && added_up && \
			 within(P) && within(A) && within(B) && !any_cpu(amiss))

/* With nothing under way: closed words are empty, and nobody is closing. */
#define busy(c)		(lev[c] != NONE || pending[c] || units[c] < 0 && units[c] != CLOSED)
#define gone(g)		(removed[g] && objects(g) == 0)
#define all_gone	(gone(P) && gone(A) && gone(B))
#define quiet		(!any_cpu(busy) && limbo[P] + limbo[A] + limbo[B] == 0 && \
			 returned[P] + returned[A] + returned[B] == 0 && \
			 closing[P] + closing[A] + closing[B] == 0 && \
			 (!all_gone || refs[P] + refs[A] + refs[B] + machine == 0))

proctype monitor()
{
end:	do
	:: atomic { !invariant -> printf("not as invariant\n"); assert(false) }
	:: atomic { running == 0 && !quiet -> printf("not quiet\n"); assert(false) }
	:: atomic { timeout && running > 0 -> printf("stuck\n"); assert(false) }
	od
}

init {
	atomic {
		i = 0;
		do
		:: i < NCPU -> units[i] = CLOSED; i++
		:: else -> break
		od;
		limit[P] = LIMIT_P;
		limit[A] = LIMIT_A;
		limit[B] = LIMIT_B;
		barrier[P] = BARRIER_P;
		barrier[A] = LIMIT_A;
		barrier[B] = LIMIT_B;
		reserved[A] = RESERVED_A;
		usage[P] = RESERVED_A;
		machine = RESERVED_A;
		refs[P] = 1;
		refs[A] = 1;
		refs[B] = 1;
#ifndef WITH_B
		/* It does not exist. */
		removed[B] = true;
		removing[B] = true;
		refs[B] = 0;
#endif
		i = 0;
		do
		:: i < NTASK -> run context(TASK); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < NSOFT -> run context(SOFT); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < NHARD -> run context(HARD); i++
		:: else -> break
		od;
		run irq_work();
#ifdef WITH_OFFLINE
		run hotplug();
#endif
		run stopper();
		run monitor()
	}
}
