// SPDX-License-Identifier: GPL-2.0
/*
 * Beancounters: shares as users write them
 *
 * Limits and reservations are written as amounts, or as shares: fractions of
 * what the parent has (Resource Groups, 2003 to 2006). What they come to is in
 * entitlement.c, how groups follow in rebalance.c. Here are the file "shares",
 * and what a write of an amount has to do besides where shares are in use.
 *
 * When a write of a reservation or of shares returns, the reservation is there;
 * or the write was refused and has changed nothing. So the engine is asked
 * first. Then what was written is stored, and the groups below follow. A lower
 * reservation, which cannot fail, goes the other way: groups below give back
 * before their parent does.
 */

#include <linux/ctype.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "internal.h"

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
 * Return: Whether the group asks for no more than there is, and has as many as
 * its children ask for.
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

/* How many of its parent's shares a group with @shares takes for itself. */
static int bc_calc_part(bool parent_strict, const struct bc_shares *shares)
{
	return max(parent_strict ? shares->max : shares->min, 0);
}

static void bc_set_part(struct beancounter *bc, int part)
{
	struct beancounter *parent = bc_css_parent(bc);

	lockdep_assert_held(&parent->lock);
	parent->parts += part - bc->part;
	bc->part = part;
}

/*
 * Counts @bc in all groups above as a group that lives by shares, or does not.
 * While none did, the guarantees of the groups above were not kept up to date.
 */
static void bc_count_sharing(struct beancounter *bc, bool sharing)
{
	struct beancounter *parent = bc_css_parent(bc), *p;
	struct res_counter *counter = &bc->counter;
	bool counts;
	unsigned int i;

	spin_lock(&parent->lock);
	counts = bc->sharing_counts;
	if (bc_online(bc))
		bc->sharing_counts = sharing;
	else
		sharing = counts;
	spin_unlock(&parent->lock);
	if (sharing == counts)
		return;

	for (p = bc; p; p = bc_css_parent(p))
		atomic_add(sharing ? 1 : -1, &p->sharing);
	if (!sharing)
		return;
	/*
	 * A task that writes to a group above either sees the count, or has
	 * stored what this is about to read. Pairs with the barriers in bc_follow()
	 * and bc_machine_changed().
	 */
	smp_mb__after_atomic();
	bc_update_entitlement(bc_res(bc)->state->machine);
	for (i = 0; i < counter->depth; i++) {
		bc_update_entitlement(counter_bc(counter->path[i]));
		cond_resched();
	}
}

/* Stores what was written to @bc, unless it is being removed. */
static int bc_set_written(struct beancounter *bc, const struct bc_written *new)
{
	struct beancounter *parent = bc_css_parent(bc);
	const int part = bc_calc_part(bc_parent_strict(bc), &new->shares);
	int err = 0;

	spin_lock(&parent->lock);
	spin_lock_nested(&bc->lock, SINGLE_DEPTH_NESTING);
	if (bc_online(bc)) {
		if (bc->shares.divisor != new->shares.divisor)
			bc->version++;
		bc->shares = new->shares;
		bc->min = new->min;
		bc->max = new->max;
		bc_set_part(bc, part);
		parent->highest = max(parent->highest, new->shares.max);
	} else {
		err = -ENODEV;
	}
	spin_unlock(&bc->lock);
	spin_unlock(&parent->lock);
	if (!err)
		bc_count_sharing(bc, bc_by_shares(&new->shares));
	return err;
}

/* The same, and has @bc and the groups below follow. */
static int bc_set_and_rebalance(struct beancounter *bc,
				const struct bc_written *new,
				const struct file *file)
{
	int err = bc_set_written(bc, new);

	if (err)
		return err;
	bc_rebalance(bc, file);
	bc_wake_waiters(bc);
	return 0;
}

/* Whether @limit fits once groups below have given back what they can. */
static bool bc_can_shrink_to(struct beancounter *bc, u64 limit,
			     bool not_below_usage)
{
	struct res_snapshot snap;
	u64 have;

	if (!atomic_read(&bc->sharing))
		return false;
	res_counter_read(&bc->counter, &snap);
	have = snap.usage;
	if (!bc_parent_strict(bc) && !not_below_usage)
		have = READ_ONCE(bc->counter.pledged);
	return have - min(have, bc_calc_reclaimable(bc, limit)) <= limit;
}

/**
 * bc_shares_set_limit() - bc_set_limit() where shares are in use
 * @bc: the group, whose @change_mutex is held
 * @limit: units
 * @not_below_usage: refuse a limit below usage, as v1 does
 * @file: the file that is written to
 *
 * The group's limit does not follow shares any more.
 *
 * Context: Task context, may sleep.
 * Return: As bc_set_limit().
 */
int bc_shares_set_limit(struct beancounter *bc, u64 limit,
			bool not_below_usage, const struct file *file)
{
	const struct bc_written old = bc_get_written(bc);
	struct bc_written new = old;
	int err;

	new.shares.max = BC_SHARES_DONT_CARE;
	new.max = limit;
	err = bc_set_limit(bc, limit, not_below_usage, file);
	if (err == -EBUSY && bc_can_shrink_to(bc, limit, not_below_usage)) {
		err = bc_set_written(bc, &new);
		if (err)
			return err;
		bc_shrink_below(bc);
		err = bc_set_limit(bc, limit, not_below_usage, file);
		/*
		 * A charge was faster: the groups below get back what they had.
		 */
		if (err) {
			bc_set_and_rebalance(bc, &old, file);
			return err;
		}
	}
	return err ?: bc_set_and_rebalance(bc, &new, file);
}

/**
 * bc_shares_set_reserved() - bc_set_reserved() where shares are in use
 * @bc: the group, whose @change_mutex is held
 * @reserved: units
 * @file: the file that is written to
 *
 * The group's reservation does not follow shares any more.
 *
 * Context: Task context, may sleep.
 * Return: As bc_set_reserved().
 */
int bc_shares_set_reserved(struct beancounter *bc, u64 reserved,
			   const struct file *file)
{
	struct bc_written new = bc_get_written(bc);
	int err;

	if (bc_parent_strict(bc) ||
	    reserved > READ_ONCE(bc->counter.reserved)) {
		err = bc_set_reserved(bc, reserved, file);
		if (err)
			return err;
	}
	new.shares.min = BC_SHARES_DONT_CARE;
	new.min = reserved;
	return bc_set_and_rebalance(bc, &new, file);
}

/*
 * Works out beancounter::highest anew: it was raised by writes to the children,
 * and not lowered. A child that is written to meanwhile raises it again.
 */
static void bc_update_highest(struct beancounter *bc)
{
	struct beancounter *child = NULL;

	spin_lock(&bc->lock);
	bc->highest = BC_SHARES_DONT_CARE;
	spin_unlock(&bc->lock);
	while ((child = bc_next_child(bc, child))) {
		spin_lock(&bc->lock);
		if (bc_online(child))
			bc->highest = max(bc->highest, child->shares.max);
		spin_unlock(&bc->lock);
	}
}

/* Writes the divisor of the root, which has nothing else. */
static int bc_set_root_shares(struct beancounter *bc,
			      const struct bc_shares *shares,
			      const struct file *file)
{
	struct bc_shares new = bc->shares;
	int err = 0;

	if (shares->min != BC_SHARES_UNCHANGED ||
	    shares->max != BC_SHARES_UNCHANGED)
		return -EINVAL;
	if (shares->divisor == BC_SHARES_UNCHANGED)
		return 0;
	/* All that the machine has is shared. */
	if (!bc_may_lend(file))
		return -EPERM;
	new.divisor = shares->divisor;
	spin_lock(&bc->lock);
	if (!bc_check_shares(&new, INT_MAX, 0, bc->parts, bc->highest)) {
		err = -EINVAL;
	} else if (bc->shares.divisor != new.divisor) {
		bc->shares = new;
		bc->version++;
	}
	spin_unlock(&bc->lock);
	if (err)
		return err;
	bc_rebalance(bc, file);
	bc_wake_waiters(bc);
	return 0;
}

/* Puts what was written to @bc, and what stays, into @new. */
static int bc_merge_shares(struct beancounter *bc,
			   const struct bc_shares *shares,
			   struct bc_written *new)
{
	const bool wall = bc_parent_strict(bc);

	if (shares->min != BC_SHARES_UNCHANGED) {
		if (wall)
			return -EINVAL;
		if (new->shares.min >= 0)
			new->min = 0;
		new->shares.min = shares->min;
	}
	if (shares->max != BC_SHARES_UNCHANGED) {
		if (new->shares.max >= 0)
			new->max = wall ? 0 : RES_COUNTER_MAX;
		new->shares.max = shares->max;
	}
	if (shares->divisor != BC_SHARES_UNCHANGED)
		new->shares.divisor = shares->divisor;
	return 0;
}

/* Checks @new of @bc, and takes its part of what the parent has. */
static int bc_take_part(struct beancounter *bc, const struct bc_written *new)
{
	struct beancounter *parent = bc_css_parent(bc);
	const int part = bc_calc_part(bc_parent_strict(bc), &new->shares);
	u64 parts;
	int err = 0;

	spin_lock(&parent->lock);
	spin_lock_nested(&bc->lock, SINGLE_DEPTH_NESTING);
	parts = part ? parent->parts - bc->part + part : 0;
	if (!bc_online(bc)) {
		err = -ENODEV;
	} else if (!bc_check_shares(&new->shares, parent->shares.divisor, parts,
				    bc->parts, bc->highest)) {
		err = -EINVAL;
	} else {
		bc_set_part(bc, part);
		parent->highest = max(parent->highest, new->shares.max);
	}
	spin_unlock(&bc->lock);
	spin_unlock(&parent->lock);
	return err;
}

/*
 * Reserves what is due to @bc by @new, which is about to be written: if that is
 * more than now, all of it, or an error and nothing has changed.
 */
static int bc_reserve_due(struct beancounter *bc,
			  const struct bc_shares *shares,
			  const struct bc_written *new,
			  const struct file *file)
{
	struct beancounter *parent = bc_css_parent(bc);
	struct bc_due due;
	u64 limit;

	spin_lock(&parent->lock);
	bc_calc_due(parent, new, &due);
	spin_unlock(&parent->lock);

	/* A parent has reserved what it guarantees, but for the root. */
	if (!due.wall && !bc_css_parent(parent) && shares->min > 0 &&
	    shares->min > bc->shares.min && !bc_may_lend(file))
		return -EPERM;
	/*
	 * A reservation that was written as an amount stays within the limit.
	 */
	if (!due.wall && new->shares.min < 0 && shares->max >= 0 &&
	    new->min > due.limit)
		return -EINVAL;
	if ((due.wall ? shares->max : shares->min) < 0 ||
	    due.reserved <= READ_ONCE(bc->counter.reserved))
		return 0;
	if (due.wall)
		return bc_reserve_all(bc, due.reserved, RES_LIMIT_WALL,
				      BC_LEND_RESERVED, file);
	limit = RES_LIMIT_KEEP;
	if (new->shares.max >= 0)
		limit = max3(due.limit, due.reserved,
			     READ_ONCE(bc->counter.pledged));
	return bc_reserve_all(bc, due.reserved, limit, BC_LEND_GUARANTEE, file);
}

/**
 * bc_set_shares() - write shares
 * @bc: the group, whose @change_mutex is held; the root has the divisor alone
 * @shares: what was written
 * @file: the file that is written to
 *
 * Context: Task context, may sleep.
 * Return:
 *
 * * 0 - Written, and followed; what could not follow now does later.
 * * -EINVAL - These shares are not possible, or not for this group; or what
 *   they amount to is above the limit that was written. Nothing has changed.
 * * -EPERM - The parent, or the machine, would have to lend more than the
 *   parent has reserved, and the opener of @file may not have it do so. Nothing
 *   has changed.
 * * -ENOSPC - What @bc would be guaranteed is not there now; nothing has
 *   changed.
 * * -EBUSY - Below a strict group: more is in use. Nothing has changed.
 * * -ENODEV - The group is being removed.
 */
int bc_set_shares(struct beancounter *bc, const struct bc_shares *shares,
		  const struct file *file)
{
	struct bc_written old, new;
	int err;

	lockdep_assert_held(&bc->group->change_mutex);
	if (shares->divisor != BC_SHARES_UNCHANGED &&
	    shares->divisor < READ_ONCE(bc->highest))
		bc_update_highest(bc);
	if (!bc_css_parent(bc))
		return bc_set_root_shares(bc, shares, file);

	if (!bc_online(bc))
		return -ENODEV;
	old = bc_get_written(bc);
	new = old;
	err = bc_merge_shares(bc, shares, &new) ?: bc_take_part(bc, &new);
	if (err)
		return err;
	/* From now on what is guaranteed above is kept up to date. */
	if (bc_by_shares(&new.shares))
		bc_count_sharing(bc, true);
	err = bc_reserve_due(bc, shares, &new, file);
	if (!err) {
		if (bc_parent_strict(bc) && shares->max >= 0)
			bc->borrows_shared = bc_may_lend(file);
		return bc_set_and_rebalance(bc, &new, file);
	}

	bc_set_written(bc, &old);
	return err;
}

static void bc_copy_shares(struct beancounter *bc, struct bc_shares *shares)
{
	spin_lock_nested(&bc->lock, SINGLE_DEPTH_NESTING);
	*shares = bc->shares;
	spin_unlock(&bc->lock);
}

/**
 * bc_get_shares() - read shares
 * @bc: the group, perhaps the root
 * @shares: where to; %BC_SHARES_UNSUPPORTED what this group does not have
 *
 * Context: Task context.
 */
void bc_get_shares(struct beancounter *bc, struct bc_shares *shares)
{
	struct beancounter *parent = bc_css_parent(bc);

	if (parent) {
		spin_lock(&parent->lock);
		bc_copy_shares(bc, shares);
		spin_unlock(&parent->lock);
	} else {
		bc_copy_shares(bc, shares);
	}

	if (!parent)
		shares->max = BC_SHARES_UNSUPPORTED;
	if (!parent || bc_parent_strict(bc))
		shares->min = BC_SHARES_UNSUPPORTED;
}

/**
 * bc_follow() - an amount was written to a group, and no shares of it
 * @bc: the group, whose @change_mutex is held
 * @file: the file that was written to
 *
 * Groups below that live by shares follow, and groups that wait for what is not
 * reserved any more try again. Where there are none of either, this looks at a
 * word or two.
 *
 * Context: Task context, may sleep.
 */
void bc_follow(struct beancounter *bc, const struct file *file)
{
	/* Pairs with that in bc_count_sharing(). */
	smp_mb();
	if (atomic_read(&bc->sharing))
		bc_rebalance(bc, file);
	bc_wake_waiters(bc);
}

/**
 * bc_shares_init() - before the first group
 * @res: the resource
 * @root: the root group
 *
 * Context: At boot.
 */
void bc_shares_init(const struct bc_resource *res, struct beancounter *root)
{
	bc_set_flag(root, BC_FLAG_ONLINE);
	res->state->machine = root;
	bc_rebalance_init(res);
}

/**
 * bc_shares_online() - a new group becomes its parent's child
 * @bc: the group
 *
 * Context: Task context, under cgroup_mutex.
 */
void bc_shares_online(struct beancounter *bc)
{
	bc_limits_online(bc);
}

/**
 * bc_shares_offline() - a group is a child no longer
 * @bc: the group, which has no children
 *
 * Context: Task context, under cgroup_mutex.
 * Return: How much it has left to its parent.
 */
u64 bc_shares_offline(struct beancounter *bc)
{
	struct beancounter *parent = bc_css_parent(bc), *p;
	u64 left = bc_limits_offline(bc);
	bool counts;

	spin_lock(&parent->lock);
	bc_set_part(bc, 0);
	counts = bc->sharing_counts;
	bc->sharing_counts = false;
	spin_unlock(&parent->lock);
	for (p = bc; counts && p; p = bc_css_parent(p))
		atomic_dec(&p->sharing);

	bc_pending_offline(bc);
	bc_wake_waiters(parent);
	return left;
}
