// SPDX-License-Identifier: GPL-2.0
/*
 * Units on their way down
 *
 * Where a counter's bank has not enough, units are taken out of the counters
 * above, in two passes:
 *
 *  - Up, without locks, to the nearest counter that can give what the counter
 *    below it lacks.
 *  - Down, from there to the counter that is charged. Each counter on the way,
 *    under its own lock, adds what has come from above to what it has taken,
 *    and gives away what the next one needs, if its bounds permit.
 *
 * What was seen on the way up may not be true any more on the way down. Where
 * another CPU has used up what a counter could have given, the charge goes up
 * again from there. What it has brought is that counter's credit, so that
 * nothing is lost. After some such tries it takes all that it needs from the
 * root, and relies on no credit that it has seen.
 *
 * A refusal is decided on the way up, before anything is taken: the nearest
 * counter without room refuses. That takes no lock: @used changes in one write,
 * so what was read was true at some time during the charge, and only a change
 * that was under way at the same time can make it fit after all. Charges that
 * are refused therefore do not keep others from the counter. On the way down a
 * counter may find its room gone, under its lock. What has arrived there is its
 * credit then; it goes up again unless the counter may keep it.
 */

#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include "internal.h"

/* How many banks a charge empties on its way up, before one has enough. */
#define RES_PARTS	8

/* How often a charge relies on what it has seen without a lock. */
#define RES_TRIES	8

/**
 * struct res_climb - a charge on its way up and down
 * @take: the charge
 * @room: what may be kept at the counter that is charged
 * @need: what the counter at @level has to give
 * @extra: what it should give beyond, if it has plenty
 * @level: the place in the path of the counter that is asked
 * @first: the first place that can be asked
 * @got: units that have come from above
 * @part: counters further down whose units, too few, are to be used as well
 * @parts: how many such counters there are
 * @tries: how often the charge went up
 */
struct res_climb {
	struct res_take		*take;
	struct res_room		room;
	u64			need;
	u64			extra;
	int			level;
	int			first;
	u64			got;
	struct {
		int	level;
		u64	n;
	} part[RES_PARTS];
	unsigned int		parts;
	unsigned int		tries;
};

/*
 * Describes in @refusal that @counter has no room for @n units beside the @used
 * ones, unless it describes a lack of room already.
 */
static void res_refuse(struct res_refusal *refusal, struct res_counter *counter,
		       u64 used, u64 n, enum bc_severity severity)
{
	const u64 limit = READ_ONCE(counter->limit);

	if (refusal->n)
		return;
	*refusal = (struct res_refusal) {
		.counter = counter,
		.n = n,
		.usage = used,
		.bound = limit,
		.at = BC_LIMIT,
	};
	if (severity < BC_LIMIT && res_fits(used, n, limit)) {
		refusal->bound = res_bound(counter, severity);
		refusal->at = refusal->bound < res_bound(counter, BC_BARRIER) ?
			      BC_EARLY : BC_BARRIER;
	}
}

/*
 * Whether @counter has room for @n units more; certain only under its lock. If
 * not, describes that in @take.
 */
static bool res_counter_fits(struct res_take *take, struct res_counter *counter,
			     u64 n)
{
	const u64 used = READ_ONCE(counter->used);

	if (likely(res_fits(used, n, res_bound(counter, take->severity))))
		return true;
	/* The units of one that was removed are its parent's, which is asked. */
	if (unlikely(READ_ONCE(counter->removed)))
		return true;
	res_refuse(&take->refusal, counter, used, n, take->severity);
	return take->severity == BC_FORCE;
}

/* What @counter wants to have in its bank, beyond what it needs. */
static u64 res_climb_batch(const struct res_climb *climb,
			   const struct res_counter *counter)
{
	const struct res_room *room = &climb->room;
	const bool charged = counter == climb->take->counter;
	u64 batch = 0;

	/* A bank that has to keep less by now gives that up below. */
	if (READ_ONCE(counter->keep) > counter->root->batch_tight ||
	    (charged && room->state == RES_LOOSE) ||
	    (counter == room->other && room->other_state == RES_LOOSE))
		batch = res_bank_batch(counter);
	return charged ? batch + room->batch : batch;
}

/*
 * Takes what is needed from beyond the first level: the hand, or the root.
 */
static int res_climb_end(struct res_climb *climb)
{
	struct res_take *take = climb->take;
	struct res_root *root = take->counter->root;
	u64 hand = min(take->hand, climb->need);
	u64 more;

	climb->got = hand;
	take->hand -= hand;
	if (hand == climb->need)
		return 0;
	if (take->moving && take->end) {
		/*
		 * Take no batch: its ancestors change no more than they must.
		 */
		struct res_take end = {
			.counter = take->end,
			.n = climb->need - hand,
			.severity = BC_FORCE,
		};

		res_take(&end);
		if (!take->refusal.n)
			take->refusal = end.refusal;
		take->above = end.above;
		take->root_above = end.root_above;
		take->uncovered |= end.uncovered;
		climb->got = climb->need;
		return 0;
	}
	more = res_root_take(root, climb->need - hand, climb->extra, take->severity,
			     &take->refusal, &take->root_above);
	if (take->refusal.machine)
		take->refusal.counter = take->counter->path[0];
	climb->got += more;
	return more ? 0 : -ENOSPC;
}

/* Goes up from the counter at @level to one that can give what is needed. */
static int res_climb_up(struct res_climb *climb)
{
	const bool rely = climb->tries++ < RES_TRIES;
	struct res_take *take = climb->take;
	struct res_counter *counter;
	u64 avail;

	for (; climb->level >= climb->first; climb->level--) {
		counter = take->counter->path[climb->level];
		if (!res_counter_fits(take, counter, climb->need))
			return -EDQUOT;
		avail = res_beyond(READ_ONCE(counter->taken),
				   READ_ONCE(counter->used));
		if (rely && avail >= climb->need)
			return 0;
		if (READ_ONCE(counter->state) != RES_LOOSE)
			climb->extra = 0;
		if (rely && avail && climb->parts < RES_PARTS) {
			climb->part[climb->parts].level = climb->level;
			climb->part[climb->parts++].n = avail;
			climb->need -= avail;
		}
		climb->extra += res_climb_batch(climb, counter);
	}
	return res_climb_end(climb);
}

/*
 * Whether the parent has little left, perhaps since it has just given units to
 * @counter.
 */
static bool res_parent_tight(const struct res_counter *counter)
{
	return counter->parent && counter->taken > counter->reserved &&
	       READ_ONCE(counter->parent->state) != RES_LOOSE;
}

/*
 * Opens the bank of @counter, under its lock, if that is permitted: see bank.c,
 * step 4. If the parent has become tight, an open bank keeps less from now on.
 */
static void res_climb_open(const struct res_climb *climb, struct res_counter *counter)
{
	const struct res_room *room = &climb->room;
	const u64 tight = counter->root->batch_tight;
	u8 state = RES_SHUT;

	if (counter == climb->take->counter) {
		if (room->epoch == counter->epoch)
			state = room->state;
	} else if (counter == room->other) {
		if (room->other_epoch == counter->epoch)
			state = room->other_state;
	}
	if (state != RES_SHUT && !counter->removed)
		WRITE_ONCE(counter->keep, state == RES_TIGHT ? tight :
					  2 * res_bank_batch(counter));
	if (counter->keep > tight && res_parent_tight(counter))
		WRITE_ONCE(counter->keep, tight);
}

/*
 * @counter, under its lock, gives away the @n units that are asked for and
 * @more beyond. The latter may never be used: max_usage is updated without
 *	them.
 * While they are used, a read takes them into account.
 */
void res_counter_give(struct res_take *take, struct res_counter *counter, u64 n,
		      u64 more)
{
	const u64 barrier = res_bound(counter, BC_BARRIER);
	const u64 used = counter->used + n;

	if (unlikely(take->severity != BC_BARRIER && used > barrier)) {
		if (!take->above)
			take->above = counter;
		if (take->severity != BC_FORCE && counter->used <= barrier) {
			WRITE_ONCE(counter->crossed, true);
			take->crossed = true;
		}
	}
	if (used > counter->max_usage)
		counter->max_usage = used;
	res_counter_set_used(counter, used + more);
}

/* Under its lock: @counter has taken what has come from above. */
static void res_climb_arrive(struct res_climb *climb, struct res_counter *counter)
{
	/* A reservation has covered what is kept below until now. */
	if (counter->taken <= counter->reserved &&
	    counter->taken + climb->got > counter->reserved)
		climb->take->uncovered |= counter->reserved;
	WRITE_ONCE(counter->taken, counter->taken + climb->got);
	climb->got = 0;
}

/*
 * The counter at @level, above the one that is charged, takes what has come
 * from above and gives away what is needed, and a batch if it has plenty.
 */
static int res_climb_give(struct res_climb *climb)
{
	struct res_take *take = climb->take;
	struct res_counter *counter = take->counter->path[climb->level];
	struct res_counter *child = take->counter->path[climb->level + 1];
	u64 batch = res_climb_batch(climb, child);
	const u64 need = climb->need;
	struct res_excess excess = { };
	unsigned long flags;
	u64 avail, more = 0, lost = 0;
	bool link = false;
	int err = 0;

	raw_spin_lock_irqsave(&counter->lock, flags);
	if (unlikely(counter->removed)) {
		/* The units are the parent's still. */
		swap(lost, climb->got);
		err = -ESTALE;
		goto unlock;
	}
	res_climb_arrive(climb, counter);
	avail = res_beyond(counter->taken, counter->used);
	if (!res_counter_fits(take, counter, need)) {
		err = -EDQUOT;
	} else if (avail < need) {
		err = -EAGAIN;
	} else {
		res_climb_open(climb, counter);
		if (batch && counter->state == RES_LOOSE)
			more = min3(batch, avail - need,
				    res_beyond(res_bound(counter, BC_BARRIER),
					       counter->used + need) / 4);
		counter->given += need + more;
		res_counter_give(take, counter, need, more);
		climb->got = need + more;
	}
	res_counter_take_excess(counter, &excess);
	link = res_counter_unlinked(counter);
unlock:
	raw_spin_unlock_irqrestore(&counter->lock, flags);

	if (link)
		res_counter_link(counter);
	excess.n += lost;
	res_return(counter->root, counter->parent, &excess);
	return err;
}

/*
 * The counter that is charged takes what has come from above, and this CPU's
 * stock a part of it.
 */
static int res_climb_charge(struct res_climb *climb)
{
	struct res_take *take = climb->take;
	struct res_counter *counter = take->counter, *from = NULL;
	struct res_root *root = counter->root;
	struct res_excess excess = { }, evicted;
	const struct res_room *room = &climb->room;
	struct res_slot *slot = NULL;
	unsigned long flags;
	u64 avail, stock = 0, lost = 0;
	bool link = false;
	int err = 0;

	local_irq_save(flags);
	if (take->stock && room->batch && take->object)
		slot = res_slot_claim(root, READ_ONCE(counter->owner), &from,
				      &evicted);
	raw_spin_lock(&counter->lock);
	if (counter->removed) {
		/* The units are the parent's still. */
		swap(lost, climb->got);
		err = -ESTALE;
		goto unlock;
	}
	res_climb_arrive(climb, counter);
	avail = res_beyond(counter->taken, counter->used);
	if (!res_counter_fits(take, counter, take->n)) {
		err = -EDQUOT;
	} else if (avail < take->n) {
		err = -EAGAIN;
	} else {
		res_climb_open(climb, counter);
		if (take->object) {
			counter->unsent.charged += take->n;
			take->owner = counter->owner;
		} else {
			counter->given += take->n;
		}
		res_counter_give(take, counter, take->n, 0);
		/* No stock if little is left after this charge. */
		if (slot && counter->epoch == room->epoch &&
		    counter->state == RES_LOOSE && !res_parent_tight(counter)) {
			stock = min3(room->batch, avail - take->n,
				     res_beyond(res_bound(counter, BC_BARRIER),
						counter->used) / 4);
			res_slot_fill(slot, counter, stock, 2 * room->batch);
			res_counter_set_used(counter, counter->used + stock);
		}
	}
	res_counter_take_excess(counter, &excess);
	link = res_counter_unlinked(counter);
unlock:
	raw_spin_unlock(&counter->lock);
	local_irq_restore(flags);

	if (link)
		res_counter_link(counter);
	excess.n += lost;
	res_return(root, counter->parent, &excess);
	if (from)
		res_return(from->root, from->parent, &evicted);
	return err;
}

/* Goes down from the counter at @level to the one that is charged. */
static int res_climb_down(struct res_climb *climb)
{
	const int last = climb->take->counter->depth;
	int err;

	if (climb->level < climb->first)
		climb->level = climb->first;
	else
		climb->got = 0;
	for (;;) {
		/*
		 * On the way up @need was lowered by what this counter had.
		 */
		if (climb->parts &&
		    climb->part[climb->parts - 1].level == climb->level)
			climb->need += climb->part[--climb->parts].n;
		if (climb->level == last)
			return res_climb_charge(climb);
		err = res_climb_give(climb);
		if (err)
			return err;
		climb->level++;
	}
}

/* The first place in the path that can be asked. */
static int res_take_first(const struct res_take *take)
{
	return take->moving && take->end ? take->end->depth + 1 : 0;
}

/*
 * Whether there seems to be room. If not, what may be kept need not be looked
 * up.
 */
static bool res_path_fits(const struct res_take *take)
{
	struct res_root *root = take->counter->root;
	const struct res_counter *counter;
	u64 need = take->n, used, avail;

	for (counter = take->counter; counter; counter = counter->parent) {
		used = READ_ONCE(counter->used);
		if (!res_fits(used, need, res_bound(counter, take->severity)))
			return false;
		avail = res_beyond(READ_ONCE(counter->taken), used);
		if (avail >= need)
			return true;
		need -= avail;
	}
	return res_fits(atomic64_read(&root->usage), need,
			res_capacity(root, take->severity));
}

/*
 * Whether there is room for an early charge, all the way up. What banks on the path
 * have was taken for charges that are refused later: an ancestor may be above its bound
 * for an early one, and have given units to a counter below before. So no bank ends the
 * way up. A reservation does: it covers the charge. If there is no room, describes that
 * in @take.
 */
static bool res_path_fits_early(struct res_take *take)
{
	struct res_counter *counter = take->counter;
	u64 need = take->n;

	for (; counter && need; counter = counter->parent) {
		if (!res_counter_fits(take, counter, need))
			return false;
		need -= min(need, res_beyond(READ_ONCE(counter->reserved),
					     READ_ONCE(counter->used)));
	}
	return true;
}

/*
 * Takes the units, as @take says: one attempt, without any waiting. The counter
 * and its ancestors stay allocated.
 *
 * Returns 0; -EDQUOT: a counter has no room; or -ENOSPC: the machine has none.
 * With an error nothing has changed, and @take->refusal says more. If the
 * counter and all above it were removed, it returns 0, nothing was taken, and
 * @take->owner is NULL.
 */
int res_take(struct res_take *take)
{
	struct res_climb climb;
	int err;

	take->refusal = (struct res_refusal) { };
	take->crossed = false;
	take->above = NULL;
	take->root_above = false;
	take->uncovered = false;
	rcu_read_lock();
again:
	while (unlikely(READ_ONCE(take->counter->removed))) {
		if (!take->counter->parent ||
		    (take->moving && take->counter->parent == take->end)) {
			take->owner = NULL;
			rcu_read_unlock();
			return 0;
		}
		take->counter = take->counter->parent;
	}
	if (take->severity == BC_EARLY && !res_path_fits_early(take)) {
		rcu_read_unlock();
		return -EDQUOT;
	}
	climb.take = take;
	climb.need = take->n;
	climb.extra = 0;
	climb.level = take->counter->depth;
	climb.first = res_take_first(take);
	climb.got = 0;
	climb.parts = 0;
	climb.tries = 0;
	climb.room = (struct res_room) { .state = RES_SHUT, .other_state = RES_SHUT };
	if (take->bank && res_path_fits(take))
		res_path_room(take->counter, &climb.room);
	do {
		err = res_climb_up(&climb) ?: res_climb_down(&climb);
	} while (err == -EAGAIN);
	if (unlikely(err == -ESTALE))
		goto again;
	rcu_read_unlock();
	return err;
}

/*
 * Whether what is kept below @top, which has no room, may be enough. All that a
 * charge asks for would count at @top, if it does not yet: it never fits if that
 * is more than the bound. Other groups then go on with what they have in stock.
 * A reservation is refused with how much exactly is lacking, after a drain.
 */
static bool res_drain_helps(const struct res_take *take, struct res_counter *top)
{
	const struct res_refusal *refusal = &take->refusal;

	if (take->object && refusal->usage <= refusal->bound &&
	    take->n > refusal->bound)
		return false;
	return res_drainable(take->counter->root, top);
}

/*
 * After res_take() has failed with @err: drains what is kept below the counter
 * (or in the machine) that has no room, and tries again before anything is kept
 * there anew. That is repeated a few times, as long as something comes back or
 * other CPUs may have units in hand. Returns as res_take().
 */
int res_take_drained(struct res_take *take, int err)
{
	struct res_root *root = take->counter->root;
	unsigned int tries = RES_RETRIES;
	struct res_counter *top, *next;
	bool again;

	next = take->refusal.machine ? NULL : take->refusal.counter;
	do {
		top = next;
		if (!res_drain_helps(take, top))
			break;
		again = res_drain_begin(root, top, take->counter);
		/* Another CPU that drains here may have units in hand. */
		again |= (top ? READ_ONCE(top->closed) :
				atomic_read(&root->closed)) > 1;
		take->stock = false;
		take->bank = false;
		err = res_take(take);
		res_drain_end(root, top);
		if (!err)
			break;
		next = take->refusal.machine ? NULL : take->refusal.counter;
		/*
		 * A counter further up may be next: that is not one of the
		 * tries.
		 */
		if (!top || (next && next->depth >= top->depth))
			tries--;
		again |= next != top;
		cond_resched();
	} while (again && tries);
	return err;
}

/*
 * While @top is above its barrier, ordinary charges below it must find nothing
 * in stock or in banks. Charges that did meanwhile count as made before.
 */
static void res_enforce_at(struct res_root *root, struct res_counter *top,
			   bool may_block)
{
	if (!res_drainable(root, top))
		return;
	if (may_block) {
		res_drain_begin(root, top, NULL);
		res_drain_end(root, top);
	} else if (root->ops->drain_later) {
		root->ops->drain_later(root, top);
	}
}

/*
 * A reservation of @counter or below covers less than before: enforces the
 * barriers above.
 */
void res_enforce_above(struct res_counter *counter, bool may_block)
{
	struct res_root *root = counter->root;
	unsigned int i;

	if (res_root_state(root) == RES_SHUT) {
		res_enforce_at(root, NULL, may_block);
		return;
	}
	for (i = 0; i < counter->depth; i++) {
		if (READ_ONCE(counter->path[i]->state) == RES_SHUT) {
			res_enforce_at(root, counter->path[i], may_block);
			return;
		}
	}
}

/* After a charge of @counter: enforces the barriers that it has passed. */
void res_enforce_barriers(struct res_take *take, struct res_counter *counter,
			  bool may_block)
{
	if (unlikely(take->root_above))
		res_enforce_at(counter->root, NULL, may_block);
	else if (unlikely(take->above))
		res_enforce_at(counter->root, take->above, may_block);
	if (unlikely(take->uncovered))
		res_enforce_above(counter, may_block);
}
