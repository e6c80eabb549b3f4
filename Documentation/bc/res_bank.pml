/* SPDX-License-Identifier: GPL-2.0 */
/*
 * res_counter: a model of the banks, for the model checker spin
 *
 * Each counter is a bank for those below it, and has a lock of its own. Two locks are
 * never held together, so that between any two critical sections of an operation
 * others may do what they like, with the units that it has in hand on their way from
 * one level to the next. In this model a critical section is one step; so is each look
 * at a counter without its lock. The checker visits every state that can be reached.
 * The CPUs' slots are no part of it: see res_slot.pml.
 *
 * Operations go on for ever, in any order. What is bounded is the size: tasks that
 * are active at a time, and units. Macros set it, and say which operations there are.
 * With a macro BREAK_* a step of the protocol is missing or wrong, and the checker
 * has to find out.
 *
 * The tree is A and B below P below the machine, M, which has a bound, too. See
 * Documentation/bc/res_counter.rst.
 */

#ifndef NTASK
#define NTASK		2
#endif
#ifndef LIMIT_M			/* bounds and reservation at the beginning */
#define LIMIT_M		3
#endif
#ifndef LIMIT_P
#define LIMIT_P		LIMIT_M
#endif
#ifndef BARRIER_P
#define BARRIER_P	LIMIT_P
#endif
#ifndef LIMIT_A
#define LIMIT_A		LIMIT_P
#endif
#ifndef RESERVED_P
#define RESERVED_P	0
#endif
#ifndef RESERVED_A
#define RESERVED_A	0
#endif
#ifndef CHARGE			/* units of the largest charge */
#define CHARGE		1
#endif
#ifndef EXTRA			/* the most units that a level asks for beyond its need */
#define EXTRA		1
#endif
#ifndef KEEP			/* the most units that an open bank keeps */
#define KEEP		1
#endif
#if defined WITH_RESERVED || RESERVED_P > 0 || RESERVED_A > 0
#define LENDS
#endif
#ifndef RETRIES			/* how often a charge drains before it is refused */
#define RETRIES		3
#endif

/* Counters */
#define M		0	/* the machine */
#define P		1
#define A		2
#define B		3
#define parent(c)	((c) == P -> M : P)
#define depth(c)	((c) == M -> 0 : ((c) == P -> 1 : 2))
#define on_path(c, g)	((g) != M && ((c) == (g) || (c) == P))
#define live(g)		(!removed[g] -> (g) : (!removed[P] -> P : M))	/* to charge */
#define heir(g)		(!gone[g] -> (g) : (!gone[P] -> P : M))		/* to uncharge */

#define BC_BARRIER	0
#define BC_LIMIT	1
#define BC_FORCE	2

#define max(a, b)	((a) > (b) -> (a) : (b))
#define min(a, b)	((a) < (b) -> (a) : (b))
#define beyond(a, b)	((a) > (b) -> (a) - (b) : 0)
#define bit(n)		(1 << (n))

/* struct res_counter. Only the machine's "taken" means nothing. */
byte	used[4];
byte	taken[4];
byte	held[4];
short	inherited[4];
byte	reserved[4];
byte	limit[4];
byte	barrier[4];
byte	keep[4];
byte	closing[4];		/* its member "closed" */
bool	linked[4];		/* in the list of its parent */
bool	removed[4];		/* nothing is charged any more */
bool	gone[4];		/* what was held is the parent's */

/*
 * An epoch is known to the tasks alone that remember it: each that opens a bank,
 * whether it is still what it was.
 */
byte	opening[NTASK];
bool	fresh[NTASK];

/*
 * What follows is for the properties; the protocol does not look at it. Units are of
 * objects, charged for good or just being charged or uncharged. "transit": of a
 * counter's "used", what operations have in hand on its way to or from a child.
 */
byte	ready[4];
byte	changing[4];
short	transit[4];
byte	drained[4];		/* operations that have drained it and keep it closed */
byte	running;		/* operations under way */
byte	solo;			/* the one that was alone since it began, plus 1 */
bool	doomed[NTASK];		/* a charge that has to be refused */
bool	removing[4];
bool	changes;		/* a reservation is being changed: one at a time */

/* For use within a step. */
hidden short i, j, x, y;

#define bound(c, sev)	(sev == BC_LIMIT -> limit[c] : min(limit[c], barrier[c]))
#define due(c)		max(used[c], reserved[c])
#define credit(c)	beyond(taken[c], due(c))
#define avail(c)	(taken[c] - used[c])

/* Nothing is to be kept below. */
#define shut(c)		(closing[c] > 0 || used[c] > bound(c, BC_BARRIER))

/* What a counter takes above is its reservation, and no more. */
#ifdef BREAK_NOTHING
#define covered(c)	(taken[c] <= reserved[c])
#else
#define covered(c)	(reserved[c] > 0 && taken[c] <= reserved[c])
#endif

/* Whether something can be kept in a counter, or below it. */
#define keeps(c)	(credit(c) > 0 || keep[c] > 0 || \
			 (c == P && (linked[A] || linked[B])))

/*
 * The same usage without credit: what objects hold, and what is reserved; and whether
 * a charge would fit then.
 */
#define objects(g)	(ready[g] + changing[g])
#define own_takes(g, f)	(removed[g] -> f(g) : max(f(g), reserved[g]))
#define usage_p(f)	(f(P) + own_takes(A, f) + own_takes(B, f))
#define takes_p(f)	(removed[P] -> usage_p(f) : max(usage_p(f), reserved[P]))
#define passed_p(n, f)	(removed[P] -> (n) : \
			 max(usage_p(f) + (n), reserved[P]) - takes_p(f))
#define passed(g, n, f)	(max(f(g) + (n), reserved[g]) - own_takes(g, f))
#define fits_m(n, sev, f) ((n) == 0 || takes_p(f) + (n) <= bound(M, sev))
#define fits_p(n, sev, f) ((n) == 0 || \
			 ((removed[P] || usage_p(f) + (n) <= bound(P, sev)) && \
			  fits_m(passed_p(n, f), sev, f)))
#define would_fit(g, n, sev, f) \
			(g == P -> fits_p(n, sev, f) : \
			 f(g) + (n) <= bound(g, sev) && fits_p(passed(g, n, f), sev, f))
#define is_ready(g)	ready[g]
#define more_for(k)	beyond(max(objects(A), k), max(objects(A), reserved[A]))
#define could_reserve(k) fits_p(more_for(k), BC_BARRIER, objects)

/*
 * A charge that others have in flight may be about to find that a reservation no
 * longer covers what is kept somewhere.
 */
#ifdef LENDS
#define may_doom	(running == 1)
#else
#define may_doom	true
#endif

/* What cannot be charged now can be, perhaps, when something has gone. */
inline reprieve()
{
	i = 0;
	do
	:: i < NTASK -> doomed[i] = false; i++
	:: else -> break
	od
}

/* Where an operation is: what it does next. */
mtype = { idle, charge_look, charge_take, charge_end, give, uncharge, retry,
	  drain_close, walk, visit_close, visit_give, visit_recheck, visit_relink, visit_next,
	  reopen, open_epoch, open_link, open_scan, open_keep,
	  remove_close, remove_mark, remove_inherit, remove_gone, remove_late,
	  set_limit, reserve_look };

/* An operation begins, and ends. Variables that are not in use are 0. */
inline begin()
{
	solo = (running == 0 -> me + 1 : 0);
	running++
}

inline finish()
{
	running--;
	solo = (solo == me + 1 -> 0 : solo);
	doomed[me] = false;
	pc = idle;
	next = 0;
	g = 0;
	n = 0;
	arg = 0;
	level = 0;
	extra = 0;
	tries = 0;
	blocks = false;
	refused = false;
	changes = changes && !borrows;
	borrows = false;
	amount = 0;
	need[0] = 0;
	need[1] = 0;
	need[2] = 0;
	want[0] = 0;
	want[1] = 0;
	want[2] = 0;
	x = 0;
	y = 0;
	i = 0;
	j = 0
}

#define alone		(solo == me + 1)

/* The epoch of c changes. */
inline new_epoch(c)
{
	i = 0;
	do
	:: i < NTASK ->
		fresh[i] = fresh[i] && opening[i] != c;
		i++
	:: else -> break
	od
}

/* Credit that c must not keep is taken out of it: "to_m" or "to_p", where it goes. */
inline shed(c)
{
	x = credit(c);
	x = (x > keep[c] && !removed[c] -> x - keep[c] / 2 : 0);
	taken[c] = taken[c] - x;
	transit[parent(c)] = transit[parent(c)] + x;
	if
	:: c == P -> to_m = to_m + x
	:: else -> to_p = to_p + x
	fi
}

/* k units that were counted in c's "used" are gone. If c is, in its heir's. */
inline used_sub(c, k)
{
	if
	:: c == P && gone[P] ->
#ifndef BREAK_HEIR
		inherited[M] = inherited[M] - k;
#endif
		assert(used[M] >= k);
		used[M] = used[M] - k
	:: else ->
		transit[c] = transit[c] - k;
		assert(used[c] >= k);
		used[c] = used[c] - k;
		if
		:: c == P -> shed(P)
		:: else
		fi
	fi
}

/* res_return(), one level of it: what is in hand goes upwards. */
inline give_back()
{
	if
	:: to_p > 0 ->
		y = to_p;
		to_p = 0;
		used_sub(P, y)
	:: else ->
		y = to_m;
		to_m = 0;
		used_sub(M, y)
	fi
}

/* Returns what is in hand, and goes on. */
inline give_then(what)
{
	if
	:: to_p + to_m > 0 -> pc = give; next = what
	:: else -> pc = what
	fi
}

/* A charge, again from where it begins: how much the counter charged lacks. */
inline start_charge()
{
	level = depth(g);
	need[level] = n;
	want[level] = n + extra;
	pc = charge_look
}

#define at(level)	(level == 0 -> M : (level == 1 -> P : g))

/* Drains x, and then? */
inline drain(c, then)
{
	where = c;
	after = then;
	pc = drain_close
}

/* res_walk_first() and res_walk_next(), as far as this small tree goes */
#ifdef BREAK_COVERED
#define enters(c)	(linked[c] && !covered(c))
#else
#define enters(c)	(linked[c] && (!covered(c) || on_path(c, g)))
#endif

inline walked()
{
	drained[where] = drained[where] + 1;
	done = done | bit(where);
	where = 0;
	pos = 0;
	pc = after;
	after = 0
}

inline next_visit()
{
	if
	:: pos == A -> pos = B; pc = walk
	:: pos == B && where == M -> pos = P; pc = visit_close
	:: (pos == B && where == P) || pos == P -> walked()
	fi
}

/* The bounds are not crossed by what goes down, but for what has to. */
inline grant(c, room_of)
{
	x = (arg == BC_FORCE -> 0 : bound(c, arg) - used[c]);
	y = min(want[level], max(x, need[level]));
	y = max(need[level], min(y, room_of));
	used[c] = used[c] + y
}

#define refuses(c)	(arg != BC_FORCE && used[c] + need[level] > bound(c, arg))

/* c has given something: it may be above its barrier. */
inline note_above(c)
{
#ifndef BREAK_BARRIER
	above = (c <= P && arg != BC_BARRIER && used[c] > bound(c, BC_BARRIER) ->
		 above | bit(c) : above)
#else
	skip
#endif
}

inline arrive(c)
{
	taken[c] = taken[c] + hand;
	transit[parent(c)] = transit[parent(c)] - hand;
	hand = 0
}

/* c has gone: what is in hand goes back to where it was committed. */
inline turn_back(c)
{
#ifdef BREAK_TURN_BACK
	transit[parent(c)] = transit[parent(c)] - hand;
#else
	if
	:: c == P -> to_m = to_m + hand
	:: else -> to_p = to_p + hand
	fi;
#endif
	hand = 0
}

inline no_room(c)
{
	level = 0;
	if
	:: blocks && tries < RETRIES ->
		tries++;
		extra = 0;
		where = c;
		give_then(retry)
	:: else ->
		refused = true;
		give_then(charge_end)
	fi
}

#ifdef WITH_P
#define may_charge(g)	(!removed[g])
#else
#define may_charge(g)	(!removed[g] && g != P)		/* P has no objects */
#endif
#define may_open(g)	(!removed[g] && keep[g] == 0)

/* What each task does: so that three of them are not too many */
#ifdef ROLES
#define charges		(me == 1)
#define opens		(me <= 1)
#define drains		(me == 2)
#else
#define charges		true
#define opens		true
#define drains		true
#endif

proctype task(byte me)
{
	mtype pc = idle;
	mtype next, after;	/* when units are given back; after a drain */
	byte g, n, arg;		/* counter, units, severity or bound */
	byte level;
	byte extra, tries;
	bool blocks, refused;
	byte need[3], want[3];	/* what a level is asked for */
	byte hand;		/* units on their way down */
	byte to_p, to_m;	/* and up, to P and to M */
	byte above;		/* counters above their barriers, as bits */
	byte closes, done;	/* counters closed, and drained, by this task, as bits */
	byte where, pos;	/* a drain: of what; the child that is visited */
	bool unlinked;
	byte amount;		/* to be reserved */
	bool borrows;		/* units for what A has reserved */

end:	do
	/*
	 * res_counter_charge(): from the counter upwards, without locks, to where there
	 * is enough ...
	 */
	:: atomic {
		pc == idle && charges && (may_charge(A) || may_charge(B) || may_charge(P)) ->
		if
		:: may_charge(A) -> g = A
		:: may_charge(B) -> g = B
		:: may_charge(P) -> g = P
		fi;
		n = 1;
#if CHARGE > 1
		if
		:: n = 1
		:: n = 2
		fi;
#endif
		if
		:: extra = 0
		:: extra = EXTRA
		fi;
		if
		:: blocks = true
#ifdef WITH_ATOMIC
		:: blocks = false
#endif
		fi;
#ifdef WITH_BARRIER
		if
		:: arg = BC_BARRIER
		:: arg = BC_LIMIT
		/* Not without end: the model is to be finite. */
		:: used[M] < LIMIT_M + 1 && used[P] < LIMIT_P + 1 -> arg = BC_FORCE
		fi;
#endif
		begin();
		d_step {
			doomed[me] = arg != BC_FORCE && may_doom &&
				     !would_fit(g, n, arg, is_ready);
			start_charge()
		}
	   }
	:: d_step {
		pc == charge_look ->
		i = at(level);
		x = (i == M || removed[i] -> 0 : avail(i));
		if
		:: i == M -> pc = charge_take
		:: i != M && x >= need[level] -> pc = charge_take
		:: else ->
			need[level - 1] = need[level] - x;
			want[level - 1] = max(want[level], need[level]) - x +
					  (level == 2 -> extra : 0);
			level--
		fi
	   }
	/* ... and down again, one lock at a time, with what that level gives. */
	:: d_step {
		pc == charge_take && level == 0 ->
		if
		:: refuses(M) -> no_room(M)
		:: else ->
			grant(M, 255);
			transit[M] = transit[M] + y;
			hand = y;
			note_above(M);
			need[0] = 0;
			want[0] = 0;
			level = 1
		fi;
		x = 0;
		y = 0
	   }
	:: d_step {
		pc == charge_take && level > 0 ->
		j = at(level);
		if
		:: removed[j] ->
			turn_back(j);
			level = 0;
			g = live(j);
			if
			:: g == M -> refused = true; give_then(charge_end)
			:: else -> give_then(charge_look); level = depth(g);
				need[level] = n;
				want[level] = n + extra
			fi
		:: !removed[j] && refuses(j) ->
			arrive(j);
#ifndef BREAK_REFUSED
			shed(j);
#endif
			no_room(j)
#ifdef BREAK_AVAIL
		:: else ->
#else
		:: !removed[j] && !refuses(j) && avail(j) + hand < need[level] ->
			/* Others took it: now all of it from above. */
			arrive(j);
			shed(j);
			level--;
			need[level] = need[level + 1];
			want[level] = want[level + 1];
			if
			:: to_p + to_m > 0 -> pc = give; next = charge_look
			:: else -> pc = charge_look
			fi
		:: else ->
#endif
			i = covered(j);
			arrive(j);
			if
			:: j == g && !borrows ->
				used[j] = used[j] + n;
				held[j] = held[j] + n;
				changing[j] = changing[j] + n;
				y = n;
				assert(!doomed[me])
			:: j == g && borrows ->
				used[j] = used[j] + n;
				transit[j] = transit[j] + n;
				hand = n
			:: else ->
				grant(j, avail(j));
				hand = y;
				transit[j] = transit[j] + y
			fi;
			note_above(j);
#ifndef BREAK_UNCOVERED
			/* It was covered, and something may be kept there. */
			if
			:: i && !covered(j) && (shut(M) || shut(P)) ->
				above = above | (shut(M) -> bit(M) : bit(P))
			:: else
			fi;
#endif
			i = 0;
			need[level] = 0;
			want[level] = 0;
			shed(j);
			if
			:: j == g && !borrows -> level = 0; give_then(charge_end)
			:: j == g && borrows -> level = 0; give_then(reserve_look)
			:: else -> level++
			fi
		fi;
		x = 0;
		y = 0;
		j = 0
	   }
	/* Before it is refused it drains where there was no room. */
	:: d_step { pc == retry -> drain(where, charge_look) }
	/* What has crossed a barrier leaves nothing kept that did not ask for it. */
	:: d_step {
		pc == charge_end ->
		if
		:: above & bit(M) -> above = above & ~bit(M); drain(M, charge_end)
		:: above == bit(P) -> above = 0; drain(P, charge_end)
		:: else ->
			if
			:: borrows -> assert(!alone || g == M || !could_reserve(amount))
			:: refused ->
				assert(g == M || !alone || !blocks ||
				       !would_fit(g, n, arg, objects))
			:: else ->
				changing[g] = changing[g] - n;
				ready[g] = ready[g] + n
			fi;
			pc = reopen
		fi
	   }

	/* res_return() */
	:: d_step {
		pc == give ->
		give_back();
		if
		:: to_p + to_m == 0 -> pc = next; next = 0
		:: else
		fi;
		x = 0;
		y = 0
	   }

	/* res_counter_uncharge() */
	:: atomic {
		pc == idle && charges && ready[P] + ready[A] + ready[B] > 0 ->
		if
		:: ready[P] > 0 -> g = P
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
		begin();
		d_step {
			ready[g] = ready[g] - n;
			changing[g] = changing[g] + n;
			reprieve();
			pc = uncharge
		}
	   }
	:: d_step {
		pc == uncharge ->
		j = heir(g);
		changing[g] = changing[g] - n;
		assert(used[j] >= n);
		used[j] = used[j] - n;
		if
		:: j == g ->
			assert(held[j] >= n);
			held[j] = held[j] - n
		:: else ->
			inherited[j] = inherited[j] - n
		fi;
		if
		:: j != M -> shed(j)
		:: else
		fi;
		x = 0;
		j = 0;
		give_then(reopen)
	   }

	/* res_drain(): from now on tight; then a walk below, children first. */
#ifdef WITH_DRAIN
	:: atomic {
		pc == idle && drains ->
		if
		:: where = M
		:: !removed[P] -> where = P
		fi;
		begin();
		d_step { g = M; drain(where, reopen) }
	   }
#endif
	:: d_step {
		pc == drain_close ->
		if
		:: !(closes & bit(where)) ->
			closes = closes | bit(where);
#ifndef BREAK_CLOSED
			closing[where]++
#endif
		:: else
		fi;
		if
		:: done & bit(where) -> done = done & ~bit(where); drained[where]--
		:: else
		fi;
		pos = (where == M -> P : A);
		pc = walk;
		if
		:: where > P -> walked()
		:: else
		fi;
		/* The charge that waits for it begins anew. */
		if
		:: after == charge_look || (pc == charge_look) ->
			level = depth(g);
			need[level] = n;
			want[level] = n
		:: else
		fi
	   }
	:: d_step {
		pc == walk ->
		if
		:: pos == P ->
			if
			:: enters(P) -> pos = A
			:: else -> walked()
			fi
		:: pos == A ->
			if
			:: enters(A) -> pc = visit_close
			:: else -> pos = B
			fi
		:: pos == B ->
			if
			:: enters(B) -> pc = visit_close
			:: else -> next_visit()
			fi
		fi
	   }
	:: d_step {
		pc == visit_close ->
#ifndef BREAK_EPOCH
		new_epoch(pos);
#endif
		keep[pos] = 0;
#ifdef BREAK_REMOVED_CREDIT
		x = credit(pos);
#else
		/* Of what is removed, that is for its removal to return. */
		x = (removed[pos] -> 0 : credit(pos));
#endif
#ifdef BREAK_GIVE_FIRST
		used[parent(pos)] = used[parent(pos)] - x;
		transit[parent(pos)] = transit[parent(pos)] - x;
#else
		taken[pos] = taken[pos] - x;
		transit[parent(pos)] = transit[parent(pos)] + x;
#endif
		hand = x;
		x = 0;
		unlinked = !keeps(pos);
		pc = visit_give
	   }
	/* Under the lock of its parent. */
	:: d_step {
		pc == visit_give ->
		y = hand;
		hand = 0;
#ifdef BREAK_GIVE_FIRST
		taken[pos] = taken[pos] - y;
		transit[parent(pos)] = transit[parent(pos)] + y;
#else
		if
		:: pos == P -> used_sub(M, y)
		:: else -> used_sub(P, y)
		fi;
#endif
		if
		:: unlinked -> linked[pos] = false
		:: else
		fi;
		x = 0;
		y = 0;
		if
		:: unlinked -> give_then(visit_recheck)
		:: else -> give_then(visit_next)
		fi
	   }
	/* Meanwhile something may have been left there, or a bank opened below. */
	:: d_step {
		pc == visit_recheck ->
#ifndef BREAK_UNLINK_EPOCH
		new_epoch(pos);
#endif
#ifdef BREAK_RECHECK
		unlinked = false;
#else
		unlinked = keeps(pos);
#endif
		pc = (unlinked -> visit_relink : visit_next)
	   }
	:: d_step {
		pc == visit_relink && unlinked ->
		linked[pos] = !removed[pos];
		unlinked = false;
		pc = (pos == P -> visit_next : visit_relink)
	   }
	:: d_step {
		pc == visit_relink && !unlinked ->
		linked[P] = !removed[P];
		pc = visit_next
	   }
	:: d_step { pc == visit_next -> next_visit() }
	:: d_step {
		pc == reopen ->
		i = 0;
		do
		:: i < 4 ->
			if
			:: closes & bit(i) ->
#ifndef BREAK_CLOSED
				closing[i]--
#endif
			:: else
			fi;
			if
			:: done & bit(i) -> drained[i]--
			:: else
			fi;
			i++
		:: else -> break
		od;
		closes = 0;
		done = 0;
		finish()
	   }

	/*
	 * A bank is opened: the epoch, then the links up to the machine, then a look
	 * whether one above is shut; open if the epoch is still the same.
	 */
	:: atomic {
		pc == idle && opens && (may_open(A) || may_open(B) || may_open(P)) ->
		if
		:: may_open(A) -> g = A
		:: may_open(B) -> g = B
		:: may_open(P) -> g = P
		fi;
		begin();
#ifdef BREAK_EPOCH_LATE
		pc = open_link;
		level = depth(g)
#else
		pc = open_epoch
#endif
	   }
	:: d_step {
		pc == open_epoch ->
		opening[me] = g;
		fresh[me] = true;
#ifdef BREAK_EPOCH_LATE
		level = depth(g) - 1;
		pc = open_scan
#else
		level = depth(g);
#ifdef BREAK_LINK_LATE
		level = level - 1;
		pc = open_scan
#else
		pc = open_link
#endif
#endif
	   }
	:: d_step {
		pc == open_link ->
		i = at(level);
#ifdef BREAK_LINK_SHORT
		x = linked[i];
#else
		x = 0;
#endif
#ifdef BREAK_LINK_REMOVED
		linked[i] = true;
#else
		linked[i] = !removed[i];
#endif
		level = (x -> 0 : level - 1);
		x = 0;
		i = 0;
		if
		:: level == 0 ->
#ifdef BREAK_EPOCH_LATE
			pc = open_epoch
#else
#ifdef BREAK_LINK_LATE
			pc = open_keep
#else
			level = depth(g) - 1;
			pc = open_scan
#endif
#endif
		:: else
		fi
	   }
	:: d_step {
		pc == open_scan ->
		i = at(level);
#ifdef BREAK_SCAN
		x = false;
#else
		x = shut(i);
#endif
		if
		:: level + 1 == depth(g) && covered(g) ->
			/* Nothing that it keeps is missing above. */
			x = 0;
			level = 0
		:: else
		fi;
		if
		:: x ->
			opening[me] = 0;
			fresh[me] = false;
			pc = reopen
		:: !x && (level == 0 || covered(i)) ->
			level = 0;
#ifdef BREAK_LINK_LATE
			level = depth(g);
			pc = open_link
#else
			pc = open_keep
#endif
		:: else -> level--
		fi;
		x = 0;
		i = 0
	   }
	:: d_step {
		pc == open_keep ->
		if
#ifdef BREAK_FRESH
		:: !removed[g] -> keep[g] = KEEP
#else
		:: fresh[me] && !removed[g] -> keep[g] = KEEP
#endif
		:: else
		fi;
		opening[me] = 0;
		fresh[me] = false;
		pc = reopen
	   }

#ifdef WITH_LIMIT
	/* res_counter_set_limit(), of P, not below usage */
	:: atomic {
		pc == idle && !removed[P] ->
		if
		:: n = LIMIT_P
		:: n = LIMIT_P - 1
		:: n = LIMIT_P - 2
		fi;
		begin();
		d_step {
			g = M;
			drain(P, set_limit)
		}
	   }
	:: d_step {
		pc == set_limit ->
		if
		:: removed[P] || reserved[P] > n
		:: !removed[P] && used[P] > n -> assert(!alone || usage_p(objects) > n)
		:: else ->
			if
			:: n > limit[P] -> reprieve()
			:: else
			fi;
			limit[P] = n;
			barrier[P] = n
		fi;
		pc = reopen
	   }
#endif
#ifdef WITH_RESERVED
	/*
	 * res_counter_set_reserved(), of A: what A does not take yet is charged to P,
	 * as often as others take it away from there. Less is always possible; but
	 * then what was covered may be no more.
	 */
	:: atomic {
		pc == idle && !removed[A] && !changes ->
		changes = true;
		if
		:: reserved[A] != 0 -> amount = 0
		:: reserved[A] != 1 -> amount = 1
		:: reserved[A] != 2 -> amount = 2
		fi;
		begin();
		d_step { borrows = true; blocks = true; pc = reserve_look }
	   }
	:: d_step {
		pc == reserve_look ->
		x = max(used[A], amount);
		if
#ifdef BREAK_RESERVE_GONE
		:: gone[A] ->
#else
		:: removed[A] ->
#endif
			to_p = to_p + hand;
			hand = 0;
			g = M;
			give_then(charge_end)
		:: else ->
			arrive(A);
#ifdef BREAK_RESERVE_GONE
			if
			:: !removed[A] && taken[A] >= x ->
#else
			if
			:: taken[A] >= x ->
#endif
#ifndef BREAK_LOWER
				above = (amount >= reserved[A] -> 0 :
					 (shut(M) -> bit(M) : (shut(P) -> bit(P) : 0)));
#endif
				reserved[A] = amount;
				reprieve();
				shed(A);
				g = M;
				give_then(charge_end)
			:: else ->
				i = x;
				shed(A);
				n = i - taken[A];
				g = P;
				extra = 0;
				if
				:: to_p + to_m > 0 -> pc = give; next = charge_look
				:: else -> pc = charge_look
				fi;
				level = 1;
				need[1] = n;
				want[1] = n
			fi
		fi;
		x = 0;
		i = 0
	   }
#endif
#ifdef WITH_REMOVE
	/* res_counter_remove(), children first; and for good. */
#define may_remove_p	(!removing[P] && gone[A] && gone[B] && closing[A] + closing[B] == 0)
	:: atomic {
		pc == idle &&
		(!removing[A] || !removing[B] ||
		 (may_remove_p)) ->
		if
		:: !removing[A] -> g = A
		:: !removing[B] -> g = B
		:: may_remove_p -> g = P
		fi;
		begin();
		d_step {
			removing[g] = true;
			pc = remove_close
		}
	   }
	:: d_step {
		pc == remove_close ->
		closes = bit(g);
		closing[g]++;
		new_epoch(g);
		keep[g] = 0;
		shed(g);
		give_then(remove_mark);
		x = 0
	   }
	/* Nothing is charged any more. What is left goes to the parent, which ... */
	:: d_step {
		pc == remove_mark ->
		removed[g] = true;
		reprieve();
#ifdef BREAK_REMOVE_GONE
		gone[g] = true;
#endif
		n = used[g];
		arg = taken[g] - used[g];
#ifdef BREAK_REMOVE_TAKEN
		arg = 0;
#endif
		reserved[g] = 0;
		pc = remove_inherit
	   }
	/* ... knows of it before it can come back there: ... */
	:: d_step {
		pc == remove_inherit ->
		j = parent(g);
		linked[g] = false;
		inherited[j] = inherited[j] + n;
		transit[j] = transit[j] - n;
		j = 0;
		pc = remove_gone
	   }
	/* ... some may have come back here meanwhile. */
	:: d_step {
		pc == remove_gone ->
#ifndef BREAK_REMOVE_LATE
		n = n - used[g];
#else
		n = 0;
#endif
		gone[g] = true;
		keep[g] = 0;
		transit[parent(g)] = transit[parent(g)] + taken[g];
		used[g] = 0;
		taken[g] = 0;
		held[g] = 0;
		inherited[g] = 0;
		transit[g] = 0;
		pc = remove_late
	   }
	:: d_step {
		pc == remove_late ->
		j = parent(g);
		inherited[j] = inherited[j] - n;
		transit[j] = transit[j] + n;
		if
		:: j == P -> to_p = arg + n
		:: else -> to_m = arg + n
		fi;
		arg = 0;
		j = 0;
		give_then(reopen)
	   }
#endif
	od
}

/* What a counter has is its own, inherited, taken by its children, or on its way. */
#define orphans(g)	(removed[g] -> objects(g) : 0)
#define takes(g)	taken[g]
#define added_up	(inherited[P] >= 0 && inherited[M] >= 0 && \
			 used[A] == held[A] && used[B] == held[B] && \
			 (gone[P] || used[P] == held[P] + inherited[P] + takes(A) + \
					       takes(B) + transit[P]) && \
			 used[M] == inherited[M] + takes(P) + transit[M])
/* At each instant it has given away at least what they have. */
#define has(g)		(removed[g] -> 0 : taken[g])
#define covers_all	((gone[P] || used[P] >= held[P] + inherited[P] + has(A) + has(B)) && \
			 used[M] >= inherited[M] + has(P))
#define enough(g)	(removed[g] || taken[g] >= due(g))

#ifdef WITH_BARRIER
#define within(g)	true	/* forced charges */
#else
#define within(g)	(removed[g] || used[g] <= limit[g])
#endif

/* With a closed bank no credit is left, nor below what was drained. */
#define idle_credit(g)	(!removed[g] && credit(g) > keep[g])
#define found(g)	(removed[g] -> !linked[g] : !keeps(g) || (linked[g] && linked[P]))
#ifdef LENDS
#define is_drained	true	/* a covered child may keep some, and be no longer covered */
#else
#define left(g)		(removed[g] -> 0 : credit(g))
#define is_drained	((!drained[M] || left(P) + left(A) + left(B) == 0) && \
			 (!drained[P] || left(A) + left(B) == 0))
#endif

#define invariant	(added_up && covers_all && enough(P) && enough(A) && enough(B) && \
			 within(M) && within(P) && within(A) && within(B) && \
			 is_drained && \
			 !idle_credit(P) && !idle_credit(A) && !idle_credit(B))

/* With nothing under way. */
#define quiet		(transit[M] + transit[P] == 0 && \
			 closing[M] + closing[P] + closing[A] + closing[B] == 0 && \
			 changing[P] + changing[A] + changing[B] == 0 && \
			 inherited[P] == (removed[P] -> 0 : orphans(A) + orphans(B)) && \
			 inherited[M] == (removed[P] -> usage_p(objects) : 0) && \
			 found(P) && found(A) && found(B))

proctype monitor()
{
end:	do
	:: atomic { !(invariant) -> printf("not as invariant\n"); assert(false) }
	:: atomic { running == 0 && !(quiet) -> printf("not quiet\n"); assert(false) }
	od
}

init {
	atomic {
		limit[M] = LIMIT_M;
		limit[P] = LIMIT_P;
		limit[A] = LIMIT_A;
		limit[B] = LIMIT_A;
		barrier[M] = LIMIT_M;
		barrier[P] = BARRIER_P;
		barrier[A] = LIMIT_A;
		barrier[B] = LIMIT_A;
		reserved[A] = RESERVED_A;
		taken[A] = RESERVED_A;
		used[P] = RESERVED_A;
		reserved[P] = RESERVED_P;
		taken[P] = max(RESERVED_P, RESERVED_A);
		used[M] = taken[P];
#ifndef WITH_B
		/* It does not exist. */
		removed[B] = true;
		removing[B] = true;
		gone[B] = true;
#endif
		i = 0;
		do
		:: i < NTASK -> run task(i); i++
		:: else -> break
		od;
		i = 0;
		run monitor()
	}
}
