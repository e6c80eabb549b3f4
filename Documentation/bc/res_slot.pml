/* SPDX-License-Identifier: GPL-2.0 */
/*
 * res_counter: a model of the CPUs' slots, for the model checker spin
 *
 * Charges and uncharges change a word of their CPU by unlocked instructions. This
 * model has each of these instructions as a step of its own, with interrupts and other
 * CPUs between any two of them, and the checker visits every state that they can reach.
 * A critical section is one step: the lock keeps out all others that take it, and
 * disabled interrupts all that may change the word of this CPU. Each CPU has one slot,
 * which the groups contend for.
 *
 * The groups are A and B below P. They keep no credit of their own, but ask P for each
 * unit that is not in stock, and return each: see res_bank.pml for the banks.
 *
 * Operations go on for ever, in any order. What is bounded is the size: CPUs, tasks
 * and interrupts that are active at a time, units. Macros set it, and say which
 * operations there are. With a macro BREAK_* a step of the protocol is missing or wrong,
 * and the checker has to find out. See Documentation/bc/res_counter.rst.
 */

#ifndef NTASK
#define NTASK		2
#endif
#ifndef NSOFT
#define NSOFT		0
#endif
#ifndef NHARD
#define NHARD		0
#endif
#define NCPU		2
#define NCONTEXT	(NTASK + NSOFT + NHARD)
#ifndef LIMIT_P
#define LIMIT_P		3
#endif
#ifndef BARRIER_A
#define BARRIER_A	LIMIT_P
#endif
#ifndef CHARGE			/* units of the largest charge */
#define CHARGE		2
#endif
#ifndef CAP			/* the most units that a slot keeps */
#define CAP		1
#endif
#ifndef STOCK			/* the most units that it is opened with */
#define STOCK		1
#endif
#ifndef RETRIES			/* how often a charge drains before it is refused */
#define RETRIES		2
#endif

/* Counters. An owner has the number of its counter. */
#define P		0
#define A		1
#define B		2
#define NONE		3

#define BC_BARRIER	0
#define BC_FORCE	2

#define max(a, b)	((a) > (b) -> (a) : (b))
#define any_cpu(f)	(f(0) || f(1))
#define sum_cpu(f, g)	(f(0, g) + f(1, g))

/*
 * What a CPU is doing. A higher level may come between any two instructions of a
 * lower one. An interrupt that closes a slot comes where the level is below HARD.
 */
#define IDLE		0	/* idle, or a task that may be preempted */
#define TASK		1	/* a task with preemption off: in a fast path */
#define SOFT		2	/* an interrupt with interrupts on, as softirqs are */
#define HARD		3	/* an interrupt with interrupts off */
#define OFF		4	/* any of them, with interrupts off */
byte	lev[NCPU];

/* struct res_counter. What is used of A and B is held by objects, and in stock. */
byte	used[3];
byte	inherited;		/* of P, by those that were removed */
byte	closing[3];		/* its member "closed" */
bool	removed[3];
byte	refs[3];		/* of the owner of one that was removed, by units */

/* An epoch is known to the tasks alone that remember it: is it still the same? */
byte	opening[NCONTEXT];
bool	fresh[NCONTEXT];

/* struct res_slot; and whether its counter is set, which is so while it is open. */
#define CLOSED		(-100)
#define closed(c)	(units[c] < CLOSED / 2)
short	units[NCPU];
byte	owner[NCPU];
bool	opened[NCPU];

/*
 * What follows is for the properties; the protocol does not look at it. "pending" is
 * what charges have taken out of a word that had not enough, and will put back; "limbo"
 * what was taken out of a closed word and not yet uncharged; "transit", of P's "used",
 * what operations have in hand.
 */
byte	ready[3];
byte	changing[3];
byte	pending[NCPU];
byte	limbo[3];
byte	transit;
byte	running;		/* operations under way */
byte	solo;			/* the one that was alone since it began */
bool	doomed[NCONTEXT];	/* a charge that has to be refused */
byte	drained;		/* operations that have drained P, and keep it closed */
bool	removing;

/* For use within a step. */
hidden short i, m;

#define shut(g)		(closing[g] > 0 || (g == A && used[A] > BARRIER_A))
#define bit(n)		(1 << (n))
#define objects(g)	(ready[g] + changing[g])
#define all(f)		(f(A) + f(B))
#define is_ready(g)	ready[g]
#define would_fit(g, n, f) (all(f) + (n) <= LIMIT_P && (g != A || f(A) + (n) <= BARRIER_A))

/* What cannot be charged now can be, perhaps, when something has gone. */
inline reprieve()
{
	i = 0;
	do
	:: i < NCONTEXT -> doomed[i] = false; i++
	:: else -> break
	od
}

inline new_epoch(g)
{
	i = 0;
	do
	:: i < NCONTEXT ->
		fresh[i] = fresh[i] && opening[i] != g;
		i++
	:: else -> break
	od
}

/*
 * res_slot_close(). The word may be negative here: a charge was interrupted just before
 * it puts back what was not there. It will find the word closed, and settle what is in
 * it then. So nothing is taken, and the word is changed, never set.
 */
inline slot_close(c)
{
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
	assert(used[owner[c]] >= m);
	used[owner[c]] = used[owner[c]] - m;
	hand = hand + m;
	transit = transit + m;
	opened[c] = false
}

/*
 * res_owner_return(), at the counter: the units are in hand then, unless it was
 * removed, and they are P's.
 */
inline give_back(g, k)
{
	if
	:: removed[g] ->
		assert(inherited >= k && used[P] >= k && refs[g] >= k);
		inherited = inherited - k;
		used[P] = used[P] - k;
		refs[g] = refs[g] - k
	:: else ->
		assert(used[g] >= k);
		used[g] = used[g] - k;
		hand = hand + k;
		transit = transit + k
	fi
}

/* Where an operation is: what it does next. */
mtype = { idle, charge_sub, charge_undo, charge_look, charge_settle, charge_room,
	  charge_scan, charge_take, charge_claim, charge_fill, charge_end,
	  uncharge_add, uncharge_look, uncharge_settle, uncharge_slow,
	  give, drain_close, drain_pick, drain_wait, reopen, remove };

inline begin()
{
	solo = (running == 0 -> _pid : 0);
	running++
}

inline finish()
{
	running--;
	solo = (solo == _pid -> 0 : solo);
	doomed[me] = false;
	opening[me] = 0;
	fresh[me] = false;
	pc = idle;
	next = 0;
	g = 0;
	n = 0;
	arg = 0;
	more = 0;
	tries = 0;
	blocks = false;
	claimed = false;
	refused = false
}

#define alone		(solo == _pid)

/* Preemption is switched off, or an interrupt comes, on any CPU where it may. */
#define may_enter(c)	(lev[c] < level)

inline enter()
{
	if
	:: may_enter(0) -> cpu = 0
	:: may_enter(1) -> cpu = 1
	fi;
	before = lev[cpu];
#ifdef BREAK_PREEMPT
	lev[cpu] = (level == TASK -> IDLE : level)
#else
	lev[cpu] = level
#endif
}

/* Nothing of a higher level is running on the CPU that an operation has entered. */
#ifdef BREAK_PREEMPT
#define here		(lev[cpu] == (level == TASK -> IDLE : level))
#else
#define here		(lev[cpu] == level)
#endif

inline leave()
{
	lev[cpu] = before;
	before = IDLE;
	cpu = 0
}

/*
 * A critical section of the slow path: that of an interrupt is where it came, a task
 * may have moved meanwhile.
 */
#define can_lock	(level != TASK -> lev[cpu] == level : lev[0] == IDLE || lev[1] == IDLE)

inline slow_end()
{
	if
	:: level == TASK
	:: else -> leave()
	fi;
	finish()
}

/* The end of a fast path, on to a slow one. */
inline go_slow(what)
{
	pc = what;
	if
	:: level == TASK -> leave()
	:: else
	fi
}

/* Tasks alone open a slot, so they alone look whether they may. */
#ifdef BREAK_OWNER
#define SLOW		charge_room
#else
#define SLOW		(level == TASK -> charge_room : charge_take)
#endif

/* Returns to P what is in hand, and goes on. */
inline give_then(what)
{
	if
	:: hand > 0 -> pc = give; next = what
	:: else -> pc = what
	fi
}

/* __res_slot_settle() */
inline settle_closed(what)
{
	n2 = units[cpu] - CLOSED;
	units[cpu] = CLOSED;
	limbo[g] = limbo[g] + n2;
	lev[cpu] = OFF;
	pc = what
}

inline settle_open()
{
	m = units[cpu] - CAP / 2;
	units[cpu] = units[cpu] - m;
	give_back(owner[cpu], m)
}

#ifdef WITH_B
#define may_charge(g)	(!removed[g])
#else
#define may_charge(g)	(g == A && !removed[g])
#endif

#define has_slot(c, g)	(opened[c] && owner[c] == g)

/* An interrupt of CPU c for a drain: what is in its slot by now is taken out. */
#ifdef BREAK_REMOTE
#define interrupted(c)	\
	atomic { pc == drain_wait && c == to && !looked && opened[c] -> \
		 looked = true; stale = max(units[c], 0) } \
	:: d_step { pc == drain_wait && c == to && looked -> \
		 looked = false; \
		 if \
		 :: opened[c] -> \
			units[c] = CLOSED; \
			used[owner[c]] = used[owner[c]] - stale; \
			hand = hand + stale; \
			transit = transit + stale; \
			opened[c] = false \
		 :: else \
		 fi; \
		 stale = 0; \
		 to = 0; \
		 pc = drain_pick } \
	:: d_step { pc == drain_wait && c == to && !looked && !opened[c] -> \
		 to = 0; \
		 pc = drain_pick }
#else
#define interrupted(c)	\
	d_step { pc == drain_wait && c == to && lev[c] < HARD -> \
		 if \
		 :: opened[c] -> slot_close(c) \
		 :: else \
		 fi; \
		 to = 0; \
		 pc = drain_pick }
#endif

/* A task, or an interrupt */
proctype context(byte me; byte level)
{
	mtype pc = idle;
	mtype next;		/* after units are given back */
	byte cpu, before;	/* where it runs; what it has interrupted there */
	byte g, n, n2;
	byte arg;		/* severity */
	byte more;		/* for the slot; plus 1, as 0 is: none is opened */
	bool blocks, claimed, refused, again;
	byte tries;
	byte hand;		/* units on their way to or from P */
	byte closes;		/* counters that it has closed, as bits */
	bool whole;		/* a drain: of P, that is of both groups */
	byte from;		/* a drain: of which group now */
	byte to;		/* the CPU that is interrupted */
	bool done;
#ifdef BREAK_REMOTE
	bool looked;
	short stale;
#endif

end:	do
	/* res_stock_charge(): compare the owner ... */
	:: atomic {
		pc == idle && (may_charge(A) || may_charge(B)) && any_cpu(may_enter) ->
		if
		:: may_charge(A) -> g = A
		:: may_charge(B) -> g = B
		fi;
		n = 1;
#if CHARGE > 1
		if
		:: n = 1
		:: n = 2
		fi;
#endif
#ifdef WITH_FORCE
		/* Not without end: the model is to be finite. */
		if
		:: arg = BC_BARRIER
		:: level == TASK && g == A && used[A] <= BARRIER_A && used[P] < LIMIT_P ->
			arg = BC_FORCE
		fi;
#endif
		if
		:: level == TASK -> blocks = true
		:: else
		fi;
		enter();
		begin();
		d_step {
			doomed[me] = arg != BC_FORCE && !would_fit(g, n, is_ready);
			if
			:: owner[cpu] == g && arg != BC_FORCE -> pc = charge_sub
			:: else -> go_slow(SLOW)
			fi
		}
	   }
	/* ... units -= n ... */
	:: d_step {
		pc == charge_sub && here ->
		units[cpu] = units[cpu] - n;
		if
		:: units[cpu] >= 0 ->
			assert(owner[cpu] == g && !removed[g]);
			assert(!doomed[me]);
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
	/* ... closed, or more than may be kept: settle that. Then go on. */
	:: d_step {
		pc == charge_look && here ->
		if
#ifndef BREAK_SETTLE_CHARGE
		:: closed(cpu) && units[cpu] > CLOSED -> settle_closed(charge_settle)
#endif
#ifndef BREAK_UNDO_HIGH
		:: units[cpu] > CAP ->
			settle_open();
			go_slow(SLOW);
			next = pc;
			pc = give
#endif
		:: else -> go_slow(SLOW)
		fi
	   }
	:: d_step {
		pc == charge_settle ->
		limbo[g] = limbo[g] - n2;
		give_back(g, n2);
		n2 = 0;
		lev[cpu] = level;
		go_slow(SLOW);
		if
		:: hand > 0 -> next = pc; pc = give
		:: else
		fi
	   }
	/* res_path_room(): the epoch; then, whether something is shut. */
	:: d_step {
		pc == charge_room ->
		opening[me] = g;
		fresh[me] = true;
		pc = charge_scan
	   }
	:: atomic {
		pc == charge_scan ->
		more = 1;
#if STOCK > 0
		if
		:: more = 1
		:: more = 2
		fi;
#endif
		d_step {
#ifndef BREAK_SCAN
			more = (shut(P) || shut(g) -> 0 : more);
#endif
			pc = charge_take
		}
	   }
	/* Under the lock of P */
	:: d_step {
		pc == charge_take && (level == TASK || here) ->
		if
		:: arg != BC_FORCE && used[P] + n > LIMIT_P -> whole = true
		:: else ->
			m = max(more - 1, 0);
			m = (used[P] + n + m > LIMIT_P -> 0 : m);
			more = (more > 0 -> m + 1 : 0);
			used[P] = used[P] + n + m;
			hand = n + m;
			transit = transit + n + m;
			pc = charge_claim
		fi;
		if
		:: pc != charge_claim && blocks && tries < RETRIES ->
			tries++;
			more = 0;
			from = A;
			pc = drain_close;
			next = charge_take
		:: pc != charge_claim && !(blocks && tries < RETRIES) ->
			refused = true;
			whole = false;
			pc = charge_end
		:: else
		fi
	   }
	/* res_slot_claim(): interrupts go off until the slot is filled. */
	:: atomic {
		pc == charge_claim && can_lock ->
		if
		:: level == TASK && lev[0] == IDLE -> cpu = 0
		:: level == TASK && lev[1] == IDLE -> cpu = 1
		:: level != TASK
		fi;
		d_step {
			lev[cpu] = OFF;
			if
			:: more == 0
			:: more > 0 ->
				m = hand;
#ifndef BREAK_EVICT
				if
				:: opened[cpu] && owner[cpu] != g ->
					hand = 0;
					i = m;
					slot_close(cpu);
					n2 = hand;
					hand = i
				:: else
				fi;
#endif
#ifdef BREAK_UNITS
				claimed = true
#else
				claimed = opened[cpu] || units[cpu] == CLOSED
#endif
			fi;
			pc = charge_fill
		}
	   }
	:: d_step {
		pc == charge_fill ->
		lev[cpu] = (level == TASK -> IDLE : level);
		m = hand - n;
		if
		:: removed[g] ->
			/* The units are P's still; so is what is charged now. */
			inherited = inherited + n;
			refs[g] = refs[g] + n;
			changing[g] = changing[g] + n;
			transit = transit - n;
			hand = m
		:: !removed[g] && g == A && arg != BC_FORCE && used[A] + n > BARRIER_A ->
			if
			:: blocks && tries < RETRIES ->
				tries++;
				from = A;
				again = true
			:: else -> refused = true
			fi
		:: else ->
			used[g] = used[g] + n;
			changing[g] = changing[g] + n;
			transit = transit - n;
			hand = m;
			assert(!doomed[me]);
			/* It may be shut since it was looked at. */
			if
#ifdef BREAK_FRESH
			:: claimed && !(shut(g)) ->
#else
#ifdef BREAK_FILL_SHUT
			:: claimed && fresh[me] ->
#else
			:: claimed && fresh[me] && !shut(g) ->
#endif
#endif
				m = (m > CAP - max(units[cpu], 0) ->
				     CAP - max(units[cpu], 0) : m);
				m = (g == A && used[A] + m > BARRIER_A -> 0 : m);
				used[g] = used[g] + m;
				transit = transit - m;
				hand = hand - m;
				units[cpu] = units[cpu] + m - (opened[cpu] -> 0 : CLOSED);
				owner[cpu] = g;
				opened[cpu] = true
			:: else
			fi
		fi;
		hand = hand + n2;
		n2 = 0;
		more = 0;
		claimed = false;
		opening[me] = 0;
		fresh[me] = false;
		cpu = (level == TASK -> 0 : cpu);
		if
		:: again -> give_then(drain_close)
		:: else -> give_then(charge_end)
		fi
	   }
	/* What is above the barrier is not to be had from stock. */
	:: d_step {
		pc == charge_end && (level == TASK || here) ->
		if
#ifndef BREAK_BARRIER
		:: arg == BC_FORCE && !refused && used[A] > BARRIER_A ->
			arg = BC_BARRIER;
			from = A;
			pc = drain_close;
			next = charge_end
#endif
		:: else ->
			if
			:: refused ->
				assert(!alone || !blocks || !would_fit(g, n, objects))
			:: else ->
				changing[g] = changing[g] - n;
				ready[g] = ready[g] + n
			fi;
			pc = reopen
		fi
	   }
	:: d_step {
		pc == give && (level == TASK || here) ->
		assert(used[P] >= hand);
		used[P] = used[P] - hand;
		transit = transit - hand;
		hand = 0;
		pc = next;
		next = 0
	   }

	/* res_stock_uncharge(): compare the owner ... */
	:: atomic {
		pc == idle && ready[A] + ready[B] > 0 && any_cpu(may_enter) ->
		if
		:: ready[A] > 0 -> g = A
		:: ready[B] > 0 -> g = B
		fi;
		n = 1;
#if CHARGE > 1
		if
		:: n = 1
		:: ready[g] > 1 -> n = 2
		fi;
#endif
		enter();
		begin();
		d_step {
			ready[g] = ready[g] - n;
			changing[g] = changing[g] + n;
			reprieve();
			if
			:: owner[cpu] == g -> pc = uncharge_add
			:: else -> go_slow(uncharge_slow)
			fi
		}
	   }
	/* ... units += n ... */
	:: d_step {
		pc == uncharge_add && here ->
		assert(owner[cpu] == g);
		units[cpu] = units[cpu] + n;
		changing[g] = changing[g] - n;
		pc = uncharge_look
	   }
	/* ... more than may be kept, or closed: settle. */
	:: d_step {
		pc == uncharge_look && here ->
		if
#ifndef BREAK_SETTLE
		:: closed(cpu) && units[cpu] > CLOSED -> settle_closed(uncharge_settle)
#endif
		:: units[cpu] > CAP ->
			settle_open();
			go_slow(give);
			next = reopen
		:: else ->
			leave();
			finish()
		fi
	   }
	:: d_step {
		pc == uncharge_settle ->
		limbo[g] = limbo[g] - n2;
		give_back(g, n2);
		n2 = 0;
		lev[cpu] = level;
		go_slow(reopen);
		give_then(reopen)
	   }
	:: d_step {
		pc == uncharge_slow && (level == TASK || here) ->
		changing[g] = changing[g] - n;
		give_back(g, n);
		give_then(reopen)
	   }

	/* res_drain_begin(), of P, or of the slots of A alone */
	:: d_step {
		pc == drain_close ->
		if
		:: again -> again = false; next = charge_take
		:: else
		fi;
		i = (whole -> P : from);
		if
		:: !(closes & bit(i)) -> closing[i]++; closes = closes | bit(i)
		:: else
		fi;
		if
		:: done -> drained--; done = false
		:: else
		fi;
#ifndef BREAK_EPOCH
		if
		:: whole -> new_epoch(A)
		:: else
		fi;
#endif
		i = 0;
		pc = drain_pick
	   }
	/* Under the lock of the group: the next CPU that has a slot of it */
	:: d_step {
		pc == drain_pick && hand == 0 ->
		if
		:: has_slot(0, from) -> to = 0; pc = drain_wait
		:: !has_slot(0, from) && has_slot(1, from) -> to = 1; pc = drain_wait
		:: !has_slot(0, from) && !has_slot(1, from) && from == A && whole ->
			from = B;
#ifndef BREAK_EPOCH
			new_epoch(B)
#endif
		:: else ->
			from = 0;
			pc = next;
			next = 0;
			if
			:: whole -> drained++; done = true
			:: else
			fi;
			whole = false
		fi
#ifdef BREAK_WAIT
		;
		if
		:: pc == drain_wait ->
			to = 0;
			if
			:: from == A && whole -> from = B; pc = drain_pick
			:: else -> from = 0; whole = false; pc = next; next = 0
			fi
		:: else
		fi
#endif
	   }
	/* What an interrupt has taken out of a slot. */
	:: d_step {
		pc == drain_pick && hand > 0 ->
		assert(used[P] >= hand);
		used[P] = used[P] - hand;
		transit = transit - hand;
		hand = 0
	   }
	:: interrupted(0)
	:: interrupted(1)
	:: d_step {
		pc == reopen && (level == TASK || here) ->
		if
		:: closes & bit(P) -> closing[P]--
		:: else
		fi;
		if
		:: closes & bit(A) -> closing[A]--
		:: else
		fi;
		closes = 0;
		if
		:: done -> drained--; done = false
		:: else
		fi;
		slow_end()
	   }

#ifdef WITH_REMOVE
	/* res_counter_remove(), of A, for good. In one step here; see res_bank.pml. */
	:: d_step {
		pc == idle && level == TASK && !removing ->
		begin();
		removing = true;
		g = A;
		closing[A]++;
		closes = bit(A);
#ifndef BREAK_EPOCH
		new_epoch(A);
#endif
		from = A;
#ifdef BREAK_REMOVE
		from = 0;
		pc = remove
#else
		pc = drain_pick;
		next = remove
#endif
	   }
	:: d_step {
		pc == remove ->
		removed[A] = true;
		inherited = inherited + used[A];
		refs[A] = used[A];
		used[A] = 0;
		reprieve();
		pc = reopen
	   }
#endif
	od
}

/* Each unit is where it is counted; a removed group's are references. */
#define in_word(c, g)	(owner[c] != g -> 0 : \
			 units[c] + pending[c] - (closed(c) -> CLOSED : 0))
#define units_of(g)	(objects(g) + limbo[g] + sum_cpu(in_word, g))
#define conserved(g)	(removed[g] -> used[g] == 0 && refs[g] == units_of(g) : \
			 used[g] == units_of(g))
#define added_up	(used[P] == used[A] + used[B] + inherited + transit && \
			 inherited == refs[A] + refs[B])
#ifdef WITH_FORCE
#define within		true
#else
#define within		(used[P] <= LIMIT_P)
#endif

#define amiss(c)	(opened[c] == closed(c) || (opened[c] && removed[owner[c]]))

/* While P is closed, after it was drained, nothing is in stock. */
#define in_stock(c)	(opened[c] && units[c] > 0)
#define is_drained	(!drained || !any_cpu(in_stock))
#define invariant	(conserved(A) && conserved(B) && added_up && within && \
			 is_drained && !any_cpu(amiss))

/* With nothing under way: closed words are empty. */
#define busy(c)		(lev[c] != IDLE || pending[c] || units[c] > CAP || \
			 (units[c] < 0 && units[c] != CLOSED))
#define quiet		(!any_cpu(busy) && limbo[A] + limbo[B] == 0 && transit == 0 && \
			 changing[A] + changing[B] == 0 && drained == 0 && \
			 closing[P] + closing[A] + closing[B] == 0)

proctype monitor()
{
end:	do
	:: atomic { !(invariant) -> printf("not as invariant\n"); assert(false) }
	:: atomic { running == 0 && !(quiet) -> printf("not quiet\n"); assert(false) }
	:: atomic { timeout && running > 0 -> printf("stuck\n"); assert(false) }
	od
}

init {
	atomic {
		i = 0;
		do
		:: i < NCPU -> units[i] = CLOSED; owner[i] = NONE; i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < NTASK -> run context(i, TASK); i++
		:: else -> break
		od;
		do
		:: i < NTASK + NSOFT -> run context(i, SOFT); i++
		:: else -> break
		od;
		do
		:: i < NCONTEXT -> run context(i, HARD); i++
		:: else -> break
		od;
		i = 0;
		run monitor()
	}
}
