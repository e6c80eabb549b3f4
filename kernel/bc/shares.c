// SPDX-License-Identifier: GPL-2.0
/*
 * Beancounters: what a group may take of its parent
 *
 * Limits and reservations are written as amounts, or as shares: fractions of what
 * the parent has (Resource Groups, 2003 to 2006). Of a group that lives by shares,
 *
 *	due reservation	= its parent's guarantee * min_shares / the parent's divisor
 *	due limit	= its parent's ceiling   * max_shares / the parent's divisor
 *
 * rounded down. Of one that does not, what was written is due, or nothing and no
 * limit. A group's guarantee is what is due, and reserved indeed; its ceiling is the
 * due limit, but no more than its parent's ceiling. Both start with what the machine
 * has.
 *
 * What is due can change at any time, by a write to a group above or by the machine,
 * for a whole subtree. The reservations follow in two passes:
 *
 *  1. Shrinking, children before parents: each repays down to what is due. What is
 *     in use, be it by lending, stays reserved; hence the order.
 *  2. Growing, parents before children: each borrows up to what is due, but no more
 *     than its parent's guarantee leaves beside what is lent to the others.
 *
 * So at no moment does a reservation by shares grow beyond what its parent has for
 * it: the second pass looks at what is lent indeed, not at what should have been given
 * back. Where a parent or the machine has less than before and units are in use, more
 * than that stays reserved until they are returned, and nothing grows there.
 *
 * What falls short of what is due, because units are in use here or there, is tried
 * again each second as long as there is any. A written reservation, on the other
 * hand, is borrowed or repaid before that, whole or not at all.
 *
 * Locking
 *
 * All this, and who is whose child, changes under the resource's mutex. It nests in
 * cgroup_mutex, and is taken by writers of files, who hold their file's kernfs
 * reference; so it must not be held when either is waited for, nor when room is made
 * by reclaim: it is released for that, and the write begins anew. Charges are none of
 * its business: they see amounts under the engine's lock.
 *
 * Strict groups
 *
 * The children of a strict group have a limit of what they borrowed, from their first
 * to their last moment: both are one amount, that of the limit.
 */

#include <linux/ctype.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "trace.h"

/* How often limit_hit() is asked for room to lend, or to give back. */
#define BC_SHRINK_RETRIES	5

/* How often what falls short is tried again. */
#define BC_SHARES_INTERVAL	HZ

/**
 * bc_fraction() - a share of an amount
 * @amount: units
 * @shares: how many shares, 0 to @divisor
 * @divisor: how many there are, at least 1
 *
 * Return: @amount * @shares / @divisor, rounded down.
 */
u64 bc_fraction(u64 amount, int shares, int divisor)
{
	return mul_u64_u64_div_u64(amount, shares, divisor);
}

/* One "key=value" of many; -ENOENT if it is of another key. */
static int bc_parse_share(char *word, const char *key, int *val)
{
	size_t len = strlen(key);

	if (strncmp(word, key, len) || word[len] != '=')
		return -ENOENT;
	/* kstrtoint() takes "+5", and numbers of other bases, too. */
	word += len + 1;
	if (!isdigit(word[word[0] == '-']))
		return -EINVAL;
	/* Twice is once too often. */
	if (*val != BC_SHARES_UNCHANGED || kstrtoint(word, 10, val))
		return -EINVAL;
	return 0;
}

/**
 * bc_parse_shares() - read shares as users write them
 * @buf: what was written, with a NUL behind it; is changed
 * @len: how much that was
 * @shares: where to; unchanged on error, and %BC_SHARES_UNCHANGED what is not
 *	mentioned
 *
 * Accepts any of "min_shares=", "max_shares=" and "child_shares_divisor=", each
 * with a decimal number, and with blanks between them.
 *
 * Return: 0, or -EINVAL for everything else.
 */
int bc_parse_shares(char *buf, size_t len, struct bc_shares *shares)
{
	struct bc_shares read = {
		.min = BC_SHARES_UNCHANGED,
		.max = BC_SHARES_UNCHANGED,
		.divisor = BC_SHARES_UNCHANGED,
	};
	bool any = false;
	char *word;
	int err;

	if (strlen(buf) != len)
		return -EINVAL;
	while ((word = strsep(&buf, " \t\n"))) {
		if (!*word)
			continue;
		err = bc_parse_share(word, "min_shares", &read.min);
		if (err == -ENOENT)
			err = bc_parse_share(word, "max_shares", &read.max);
		if (err == -ENOENT)
			err = bc_parse_share(word, "child_shares_divisor",
					     &read.divisor);
		if (err)
			return -EINVAL;
		any = true;
	}
	if (!any)
		return -EINVAL;
	*shares = read;
	return 0;
}

/**
 * bc_check_shares() - whether shares are possible
 * @shares: a group's shares
 * @of: of how many: the divisor of its parent
 * @parts: sum of what it and its siblings take for themselves: min_shares, or
 *	max_shares if its parent is strict; 0 if it takes none itself
 * @children: likewise over its children
 * @highest: the highest max_shares among them, or less than 0
 *
 * Return: Whether the group asks for no more than there is, and has as many as its
 * children ask for.
 */
bool bc_check_shares(const struct bc_shares *shares, int of, u64 parts,
		     u64 children, int highest)
{
	if (shares->divisor < 1 || children > shares->divisor ||
	    highest > shares->divisor)
		return false;
	if ((shares->min < 0 && shares->min != BC_SHARES_DONT_CARE) ||
	    (shares->max < 0 && shares->max != BC_SHARES_DONT_CARE))
		return false;
	if (shares->min > of || shares->max > of || parts > of)
		return false;
	return shares->max < 0 || shares->min <= shares->max;
}

/* The tree of groups */

static struct beancounter *bc_above(struct beancounter *bc)
{
	return css_bc(bc->css.parent);
}

/* After @bc, children after parents; %NULL: that was the last one. */
static struct beancounter *bc_next_down(struct beancounter *bc)
{
	if (!list_empty(&bc->children))
		return list_first_entry(&bc->children, struct beancounter,
					sibling);
	for (; bc->css.parent; bc = bc_above(bc))
		if (!list_is_last(&bc->sibling, &bc_above(bc)->children))
			return list_next_entry(bc, sibling);
	return NULL;
}

static struct beancounter *bc_first_up(struct beancounter *bc)
{
	while (!list_empty(&bc->children))
		bc = list_first_entry(&bc->children, struct beancounter,
				      sibling);
	return bc;
}

/* After @bc, children before parents; the root comes last. */
static struct beancounter *bc_next_up(struct beancounter *bc)
{
	if (list_is_last(&bc->sibling, &bc_above(bc)->children))
		return bc_above(bc);
	return bc_first_up(list_next_entry(bc, sibling));
}

/* What is due */

/* Whether @bc, not the root, has a limit of what it borrowed. */
static bool bc_lives_on_loan(struct beancounter *bc)
{
	return bc_above(bc)->strict;
}

static u64 bc_due_limit(struct beancounter *bc)
{
	struct beancounter *parent = bc_above(bc);

	if (bc->shares.max < 0)
		return bc->max;
	return bc_fraction(parent->ceiling, bc->shares.max,
			   parent->shares.divisor);
}

static u64 bc_due_reserved(struct beancounter *bc)
{
	struct beancounter *parent = bc_above(bc);

	if (bc_lives_on_loan(bc))
		return bc_due_limit(bc);
	if (bc->shares.min < 0)
		return bc->min;
	return bc_fraction(parent->guarantee, bc->shares.min,
			   parent->shares.divisor);
}

/* Works out what the children of @bc have shares of. */
static void bc_derive(struct beancounter *bc)
{
	if (!bc->css.parent) {
		bc->guarantee = bc_machine_amount(bc->res);
		bc->ceiling = bc->guarantee;
		return;
	}
	bc->guarantee = min(bc_due_reserved(bc), bc->counter.reserved);
	bc->ceiling = min(bc_due_limit(bc), bc_above(bc)->ceiling);
}

static void bc_derive_all(struct bc_resource *res)
{
	struct beancounter *bc;

	for (bc = res->machine; bc; bc = bc_next_down(bc)) {
		bc_derive(bc);
		bc->spare = 0;
	}
}

/* Changes of amounts */

/* Who lacks room for a reservation is asked for it later, without the mutex. */
static bool bc_note_lacking(const struct res_refusal *lacking)
{
	counter_bc(lacking->counter)->res->lacking = *lacking;
	return false;
}

/* Notes what has become of the reservation of @bc, which was @old. */
static void bc_reserved(struct beancounter *bc, u64 old)
{
	u64 new = bc->counter.reserved;

	bc_above(bc)->lent += new - old;
	if (new > old)
		trace_bc_borrow(bc, old, new);
	if (new < old)
		trace_bc_repay(bc, old, new);
}

/* All of it, or nothing. */
static int bc_reserve(struct beancounter *bc, u64 reserved, u64 limit)
{
	u64 old = bc->counter.reserved;
	struct res_refusal lacking;
	int err;

	err = res_counter_set_reserved(&bc->counter, reserved, limit, &lacking);
	if (lacking.counter)
		bc_note_lacking(&lacking);
	bc_reserved(bc, old);
	return err;
}

/* As much of it as is possible. */
static void bc_reserve_upto(struct beancounter *bc, u64 reserved)
{
	u64 old = bc->counter.reserved;

	res_counter_reserve_upto(&bc->counter, reserved,
				 bc_lives_on_loan(bc) ? RES_LIMIT_WALL :
							RES_LIMIT_KEEP);
	bc_reserved(bc, old);
}

/*
 * The most that @bc, which lives by shares, may have reserved beside what its
 * parent has lent to others.
 */
static u64 bc_left_to(struct beancounter *bc)
{
	struct beancounter *parent = bc_above(bc);
	u64 others = parent->lent - bc->counter.reserved;

	return parent->guarantee - min(parent->guarantee, others);
}

/*
 * Works out how much less @bc would use if all below had repaid what is not due to
 * them: for who wants to know that before anything is repaid.
 */
static void bc_find_spare(struct beancounter *bc)
{
	struct res_snapshot snap;
	struct beancounter *c;

	bc_derive_all(bc->res);
	for (c = bc_first_up(bc); c != bc; c = bc_next_up(c)) {
		u64 use, keeps;

		res_counter_read(&c->counter, &snap);
		use = snap.usage - min(snap.usage, c->spare);
		keeps = min(snap.reserved, max(bc_due_reserved(c), use));
		bc_above(c)->spare += max(snap.usage, snap.reserved) -
				      max(use, keeps);
	}
}

/* The first pass, but for the group @except. */
static void bc_shrink_all(struct bc_resource *res, struct beancounter *except)
{
	struct beancounter *bc;

	lockdep_assert_held(&res->mutex);
	bc_derive_all(res);
	for (bc = bc_first_up(res->machine); bc != res->machine;
	     bc = bc_next_up(bc))
		if (bc != except && bc->counter.reserved > bc_due_reserved(bc))
			bc_reserve_upto(bc, bc_due_reserved(bc));
}

/* Has @bc come as near as it can; returns whether that is all of the way. */
static bool bc_grow(struct beancounter *bc)
{
	struct res_counter *counter = &bc->counter;
	u64 limit = bc_due_limit(bc), reserved, left;

	if (bc_lives_on_loan(bc)) {
		if (counter->reserved < limit)
			bc_reserve_upto(bc, limit);
		return counter->reserved == limit;
	}

	/* As v2 has it, below usage if need be; but not below what was lent. */
	limit = max3(limit, counter->reserved, counter->pledged);
	if (limit != counter->limit)
		WARN_ON_ONCE(res_counter_set_limit(counter, limit, false));

	/* A limit that was written is not to be passed. */
	reserved = min(bc_due_reserved(bc), limit);
	left = bc->shares.min < 0 ? reserved : min(reserved, bc_left_to(bc));
	if (counter->reserved < left)
		bc_reserve_upto(bc, left);
	return counter->reserved == reserved &&
	       limit == max(bc_due_limit(bc), reserved);
}

/* The second pass. */
static void bc_grow_all(struct bc_resource *res)
{
	struct beancounter *bc;
	bool pending = false;

	lockdep_assert_held(&res->mutex);
	for (bc = res->machine; bc; bc = bc_next_down(bc)) {
		if (bc->css.parent && !bc_grow(bc))
			pending = true;
		/* With what it has now. */
		bc_derive(bc);
	}
	res->pending = pending;
	if (pending)
		queue_delayed_work(system_unbound_wq, &res->shares_work,
				   BC_SHARES_INTERVAL);
}

/* Whether @bc is being removed, with somebody still writing to a file of it. */
static bool bc_has_left(struct beancounter *bc)
{
	return bc->css.parent && list_empty(&bc->sibling);
}

/* While nobody lives by shares, what is written to a group is its own affair. */
static bool bc_shares_used(struct bc_resource *res)
{
	return res->sharing || res->pending;
}

static bool bc_lives_by_shares(const struct bc_shares *shares)
{
	return shares->min >= 0 || shares->max >= 0;
}

/* What was written to a group, whichever file that was. */
struct bc_written {
	struct bc_shares	shares;
	u64			min;
	u64			max;
};

static struct bc_written bc_get_written(struct beancounter *bc)
{
	return (struct bc_written) { bc->shares, bc->min, bc->max };
}

static void bc_set_written(struct beancounter *bc, const struct bc_written *new)
{
	struct bc_resource *res = bc->res;

	res->sharing += bc_lives_by_shares(&new->shares);
	res->sharing -= bc_lives_by_shares(&bc->shares);
	/* Be it the last one: it may have to leave what it had by them. */
	if (bc_lives_by_shares(&bc->shares))
		res->pending = true;
	bc->shares = new->shares;
	bc->min = new->min;
	bc->max = new->max;
}

/* Has everybody get what is due by what was written. */
static void bc_follow(struct bc_resource *res)
{
	if (!bc_shares_used(res))
		return;
	bc_shrink_all(res, NULL);
	bc_grow_all(res);
}

/* For a write. What others could not give back before, perhaps they can now. */
static void bc_lock(struct bc_resource *res)
{
	mutex_lock(&res->mutex);
	res->lacking = (struct res_refusal) { };
	if (res->pending)
		bc_follow(res);
}

/*
 * After a write with the outcome @err. Returns whether to try once more, up to *@tries
 * times: where there was no room, some has been made.
 */
static bool bc_unlock(struct bc_resource *res, int err, unsigned int *tries)
{
	/* Its counter is the written group's or above, and stays with that. */
	const struct res_refusal lacking = res->lacking;

	mutex_unlock(&res->mutex);
	return err && lacking.counter && (*tries)-- &&
	       bc_limit_hit(&lacking, true);
}

/*
 * Whether nothing keeps what @bc has, @have units, above @amount but reservations by
 * shares of it, which are given back then. If they would not do, none is: it may be
 * taken by others before they have it again. What is due from @bc was written already.
 */
static bool bc_shrink_below(struct beancounter *bc, u64 amount, u64 have)
{
	struct bc_resource *res = bc->res;

	bc_find_spare(bc);
	if (have - min(have, bc->spare) <= amount) {
		bc_shrink_all(res, bc);
		return true;
	}
	res->lacking = (struct res_refusal) {
		.counter = &bc->counter,
		.usage = have,
		.bound = amount + bc->spare,
		.at = BC_LIMIT,
	};
	return false;
}

static u64 bc_usage(struct beancounter *bc)
{
	struct res_snapshot snap;

	res_counter_read(&bc->counter, &snap);
	return snap.usage;
}

/* A reservation that was written: exactly that, or nothing. */
static int bc_write_reserved(struct beancounter *bc, const struct bc_written *new,
			     u64 reserved, u64 limit)
{
	const struct bc_written old = bc_get_written(bc);
	struct bc_resource *res = bc->res;
	int err = 0;

	bc_set_written(bc, new);
	if (bc_shares_used(res) && reserved < bc->counter.reserved &&
	    !bc_shrink_below(bc, reserved, bc_usage(bc)))
		err = -EBUSY;
	if (!err)
		err = bc_reserve(bc, reserved, limit);
	if (err)
		bc_set_written(bc, &old);
	bc_follow(res);
	return err;
}

static int bc_write_limit(struct beancounter *bc, u64 limit, bool not_below_usage)
{
	const struct bc_written old = bc_get_written(bc);
	struct bc_resource *res = bc->res;
	struct bc_written new = old;
	int err = 0;

	if (bc_has_left(bc))
		return -ENODEV;
	new.shares.max = BC_SHARES_DONT_CARE;
	new.max = limit;
	if (bc_lives_on_loan(bc))
		return bc_write_reserved(bc, &new, limit, RES_LIMIT_WALL);

	bc_set_written(bc, &new);
	/*
	 * Children of a strict group have borrowed by shares of its limit. They pledge
	 * less by what they repay, at least.
	 */
	if (bc_shares_used(res) && limit >= bc->counter.reserved &&
	    limit < bc->counter.pledged &&
	    !bc_shrink_below(bc, limit, not_below_usage ? bc_usage(bc) :
							  bc->counter.pledged))
		err = -EBUSY;
	if (!err)
		err = res_counter_set_limit(&bc->counter, limit, not_below_usage);
	if (err)
		bc_set_written(bc, &old);
	bc_follow(res);
	return err;
}

/**
 * bc_set_limit() - somebody writes a limit
 * @bc: the group
 * @limit: units
 * @not_below_usage: refuse a limit below usage, as v1 does
 *
 * Ends its living by shares, as far as the limit is concerned.
 *
 * Context: Task context; takes the resource's mutex.
 * Return: As res_counter_set_limit() or, for the child of a strict group,
 * res_counter_set_reserved(); -ENODEV if it is being removed.
 */
int bc_set_limit(struct beancounter *bc, u64 limit, bool not_below_usage)
{
	unsigned int tries = BC_SHRINK_RETRIES;
	int err;

	do {
		bc_lock(bc->res);
		err = bc_write_limit(bc, limit, not_below_usage);
	} while (bc_unlock(bc->res, err, &tries));
	return err;
}

/**
 * bc_set_reserved() - somebody writes a reservation
 * @bc: the group
 * @reserved: units
 *
 * Ends its living by shares, as far as the reservation is concerned.
 *
 * Context: Task context; takes the resource's mutex.
 * Return: As res_counter_set_reserved(); and -EINVAL for the child of a strict group.
 */
int bc_set_reserved(struct beancounter *bc, u64 reserved)
{
	unsigned int tries = BC_SHRINK_RETRIES;
	struct bc_written new;
	int err;

	do {
		bc_lock(bc->res);
		new = bc_get_written(bc);
		new.shares.min = BC_SHARES_DONT_CARE;
		new.min = reserved;
		if (bc_has_left(bc))
			err = -ENODEV;
		else if (bc_lives_on_loan(bc))
			err = -EINVAL;
		else
			err = bc_write_reserved(bc, &new, reserved,
						RES_LIMIT_KEEP);
	} while (bc_unlock(bc->res, err, &tries));
	return err;
}

/*
 * A reservation that is due to @bc by what was just written: more than there was is
 * had at once, or not at all; less, with the first pass.
 */
static int bc_reserve_due(struct beancounter *bc)
{
	u64 reserved = bc_due_reserved(bc), limit = bc_due_limit(bc);

	if (reserved <= bc->counter.reserved)
		return 0;
	if (bc_lives_on_loan(bc))
		return bc_reserve(bc, reserved, RES_LIMIT_WALL);
	if (reserved > bc_left_to(bc))
		return -ENOSPC;
	if (bc->shares.max >= 0)
		limit = max3(limit, reserved, bc->counter.pledged);
	return bc_reserve(bc, reserved, limit);
}

/* The parts that @bc takes for itself, or would, out of its parent's. */
static int bc_parts(struct beancounter *bc, const struct bc_shares *shares)
{
	return max(bc_lives_on_loan(bc) ? shares->max : shares->min, 0);
}

/* Whether the tree has what @shares of @bc ask for. */
static bool bc_shares_possible(struct beancounter *bc,
			       const struct bc_shares *shares)
{
	u64 parts = 0, children = 0;
	int highest = -1, of = INT_MAX;
	struct beancounter *other;

	list_for_each_entry(other, &bc->children, sibling) {
		children += bc_parts(other, &other->shares);
		highest = max(highest, other->shares.max);
	}
	if (bc->css.parent) {
		of = bc_above(bc)->shares.divisor;
		parts = bc_parts(bc, shares);
		list_for_each_entry(other, &bc_above(bc)->children, sibling)
			if (other != bc && parts)
				parts += bc_parts(other, &other->shares);
	}
	return bc_check_shares(shares, of, parts, children, highest);
}

static int bc_write_shares(struct beancounter *bc, const struct bc_shares *shares)
{
	const struct bc_written old = bc_get_written(bc);
	const bool root = !bc->css.parent;
	struct bc_written new = old;
	bool loan;
	int err = 0;

	if (bc_has_left(bc))
		return -ENODEV;
	loan = !root && bc_lives_on_loan(bc);
	if (shares->min != BC_SHARES_UNCHANGED) {
		if (root || loan)
			return -EINVAL;
		if (old.shares.min >= 0)
			new.min = 0;
		new.shares.min = shares->min;
	}
	if (shares->max != BC_SHARES_UNCHANGED) {
		if (root)
			return -EINVAL;
		if (old.shares.max >= 0)
			new.max = loan ? 0 : RES_COUNTER_MAX;
		new.shares.max = shares->max;
	}
	if (shares->divisor != BC_SHARES_UNCHANGED)
		new.shares.divisor = shares->divisor;
	if (!bc_shares_possible(bc, &new.shares))
		return -EINVAL;

	bc_set_written(bc, &new);
	bc_derive_all(bc->res);
	/* What was written as an amount is not to be above. */
	if (!root && !loan && new.shares.min < 0 && shares->max >= 0 &&
	    new.min > bc_due_limit(bc))
		err = -EINVAL;
	else if ((loan ? shares->max : shares->min) >= 0)
		err = bc_reserve_due(bc);
	if (err)
		bc_set_written(bc, &old);
	bc_follow(bc->res);
	return err;
}

/**
 * bc_set_shares() - somebody writes shares
 * @bc: the group; the root has the divisor alone
 * @shares: what was written
 *
 * Context: Task context; takes the resource's mutex.
 * Return:
 *
 * * 0 - Written, and followed; what could not follow now does later.
 * * -EINVAL - They are not possible, or not for this group; or what they amount to is
 *   above the limit that was written. Nothing has changed.
 * * -ENOSPC - What @bc would be guaranteed is not there now; nothing has changed.
 * * -ENODEV - It is being removed.
 */
int bc_set_shares(struct beancounter *bc, const struct bc_shares *shares)
{
	unsigned int tries = BC_SHRINK_RETRIES;
	int err;

	do {
		bc_lock(bc->res);
		err = bc_write_shares(bc, shares);
	} while (bc_unlock(bc->res, err, &tries));
	return err;
}

/**
 * bc_get_shares() - what somebody reads as shares
 * @bc: the group, perhaps the root
 * @shares: where to; %BC_SHARES_UNSUPPORTED what this group does not have
 *
 * Context: Task context; takes the resource's mutex.
 */
void bc_get_shares(struct beancounter *bc, struct bc_shares *shares)
{
	mutex_lock(&bc->res->mutex);
	*shares = bc->shares;
	if (!bc->css.parent)
		shares->max = BC_SHARES_UNSUPPORTED;
	if (!bc->css.parent || bc_lives_on_loan(bc))
		shares->min = BC_SHARES_UNSUPPORTED;
	mutex_unlock(&bc->res->mutex);
}

/**
 * bc_set_strict() - make children live on what they borrow, or not
 * @bc: the group, perhaps the root
 * @strict: whether they do
 *
 * Context: Task context; takes the resource's mutex.
 * Return: 0, -EBUSY if there are children, or -ENODEV if it is being removed.
 */
int bc_set_strict(struct beancounter *bc, bool strict)
{
	int err = 0;

	mutex_lock(&bc->res->mutex);
	if (bc_has_left(bc))
		err = -ENODEV;
	else if (strict != bc->strict && !list_empty(&bc->children))
		err = -EBUSY;
	else
		WRITE_ONCE(bc->strict, strict);
	mutex_unlock(&bc->res->mutex);
	return err;
}

/* What follows is for the core. */

static void bc_shares_update(struct bc_resource *res)
{
	mutex_lock(&res->mutex);
	bc_follow(res);
	mutex_unlock(&res->mutex);
}

static void bc_shares_work(struct work_struct *work)
{
	bc_shares_update(container_of(to_delayed_work(work), struct bc_resource,
				      shares_work));
}

/**
 * bc_machine_changed() - the machine's own amount of a resource has changed
 * @res: the resource, of which @capacity returns the new amount
 *
 * Context: Task context; takes the resource's mutex.
 */
void bc_machine_changed(struct bc_resource *res)
{
	/* Not on this machine. */
	if (res->machine)
		bc_shares_update(res);
}

/**
 * bc_init_shares() - before the first group
 * @res: the resource
 * @machine: the root group
 *
 * Context: At boot.
 */
void bc_init_shares(struct bc_resource *res, struct beancounter *machine)
{
	mutex_init(&res->mutex);
	INIT_DELAYED_WORK(&res->shares_work, bc_shares_work);
	res->machine = machine;
}

/**
 * bc_join() - a new group becomes its parent's child, a poor one if that is strict
 * @bc: the group, whose css has a parent
 *
 * Context: Task context, under cgroup_mutex.
 */
void bc_join(struct beancounter *bc)
{
	struct beancounter *parent = bc_above(bc);

	mutex_lock(&bc->res->mutex);
	if (parent->strict) {
		/* Cannot fail: nothing is held, reserved or lent. */
		bc->max = 0;
		WARN_ON_ONCE(res_counter_set_limit(&bc->counter, 0, true));
	}
	list_add_tail(&bc->sibling, &parent->children);
	mutex_unlock(&bc->res->mutex);
}

/**
 * bc_leave() - a group is a child no longer, and what it has reserved is repaid
 * @bc: the group, which has no children
 *
 * Context: Task context, under cgroup_mutex.
 * Return: How much it has left to its parent.
 */
u64 bc_leave(struct beancounter *bc)
{
	struct bc_resource *res = bc->res;
	u64 left, reserved;

	mutex_lock(&res->mutex);
	reserved = bc->counter.reserved;
	left = res_counter_remove(&bc->counter);
	bc_above(bc)->lent -= reserved;
	list_del_init(&bc->sibling);
	res->sharing -= bc_lives_by_shares(&bc->shares);
	/* Who was waiting for that need not wait for a second more. */
	if (res->pending)
		mod_delayed_work(system_unbound_wq, &res->shares_work, 0);
	mutex_unlock(&res->mutex);
	return left;
}
