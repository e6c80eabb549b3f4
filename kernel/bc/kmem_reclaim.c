// SPDX-License-Identifier: GPL-2.0
/*
 * Charges of kmem that the fast path does not make, and what its groups give up
 *
 * How hard a charge insists, how room is made and how debts are paid is the same
 * for kmem and memcg's limit: see kmem_refuse.c, kmem_room.c and kmem_debt.c. This
 * file has what differs for kmem: which group, which bound, and which objects.
 *
 * A group whose cgroup is a memory cgroup, too, gives up objects and page cache of
 * that. Any other group may share a memcg, or have none. It gives up unused dentries
 * and inodes that it, or a group below it, was charged for, and no others: each such
 * object knows its owner. It also gives up some page cache of its task's memcg, if
 * that is in another hierarchy, and not the root. The dentries and inodes are looked
 * for in the lists that super blocks have of their unused objects. Other groups'
 * objects in these lists are moved to the lists' ends, as if they had been used, and
 * stay. A pass looks at a bounded number of objects; the next pass goes on from
 * there.
 */

#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/gfp.h>
#include <linux/list_lru.h>
#include <linux/memcontrol.h>
#include <linux/minmax.h>
#include <linux/math64.h>
#include <linux/mount.h>
#include <linux/path.h>
#include <linux/rculist.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shrinker.h>
#include <linux/sizes.h>
#include <linux/user_namespace.h>

#include "../../fs/internal.h"		/* prune_dcache_sb(), prune_icache_sb() */
#include "internal.h"
#include "kmem.h"

/* So many unused objects are looked at: under a lock, of a super block, in all. */
#define KMEM_SCAN_BATCH		64
#define KMEM_SCAN_SUPER		8192
#define KMEM_SCAN_PASS		32768

/*
 * A super block counts as so many objects, however few it has, as tenants can mount
 * as many as they like. Of those that are passed over, one in KMEM_SCAN_SKIP counts.
 */
#define KMEM_SCAN_COST		16
#define KMEM_SCAN_SKIP		64

/* The function that the shrinkers of super blocks have, and no others. */
static unsigned long (*kmem_super_shrink)(struct shrinker *shrinker,
					  struct shrink_control *sc);

/* Charges */

/* Whether @active is the current task's own group: a scope that changes nothing. */
static bool kmem_is_own(struct res_owner *active)
{
	bool own;

	if (current->flags & PF_KTHREAD)
		return false;
	rcu_read_lock();
	own = active ==
	      READ_ONCE(css_bc(task_css(current, kmem_cgrp_id))->counter.owner);
	rcu_read_unlock();
	return own;
}

/**
 * kmem_charge_as() - charge a group, and do all that a refusal calls for
 * @active: the group that a scope names; %NULL: the current task's
 * @n: bytes
 * @gfp: flags of the allocation
 *
 * Context: Any context but NMI; as @gfp says.
 * Return: The owner that was charged; %NULL: there is none; or -ENOMEM.
 */
struct res_owner *kmem_charge_as(struct res_owner *active, u64 n, gfp_t gfp)
{
	bool may_block = gfpflags_allow_blocking(gfp);
	const bool own = in_task() && (!active || kmem_is_own(active));
	enum bc_severity severity;
	struct res_owner *owner;

	if (in_task())
		gfp = current_gfp_context(gfp);
	severity = kmem_severity(gfp, own);
	/*
	 * The task may hold locks that other tasks wait for; or the charge is for a
	 * group that merely watches: wait for no drain.
	 */
	if (severity == BC_FORCE || !own)
		may_block = false;
	if (severity == BC_FORCE || kmem_first_try(gfp)) {
		owner = bc_try_charge(&kmem_resource, active, n);
		if (!IS_ERR(owner))
			return owner;
		if (severity != BC_FORCE)
			goto refused;
		if (own)
			kmem_owe();
	}
	if (active)
		owner = bc_charge_owner(&kmem_resource, active, n, severity,
					may_block);
	else
		owner = __bc_charge(&kmem_resource, n, severity, may_block);
	if (!IS_ERR(owner))
		return owner;
refused:
	if (in_task())
		current->bc_refused = true;
	return owner;
}

/*
 * A new task goes on to need page tables, files and sockets, which the tasks that there
 * are should not lack. So it is refused early: see BC_EARLY. What it takes itself is
 * charged like all else. So the group can pass that bound by a task for each CPU,
 * and by what the tasks come to need that are there already.
 *
 * Mostly usage is below the bound, with all that is at hand. Else a charge for the
 * task's stack finds out, and goes again.
 */
bool __bc_kmem_may_fork(void)
{
	struct cgroup_subsys_state *css;
	struct res_owner *owner;
	bool exceeds;

	rcu_read_lock();
	exceeds = res_path_exceeds(&css_bc(task_css(current, kmem_cgrp_id))->counter,
				   BC_EARLY);
	rcu_read_unlock();
	if (likely(!exceeds))
		return true;
	css = bc_get_current_css(&kmem_resource);
	if (!css)
		return true;
	owner = __bc_charge_group(css_bc(css), THREAD_SIZE, BC_EARLY, true);
	css_put(css);
	if (IS_ERR(owner))
		return false;
	if (owner)
		bc_uncharge(&kmem_resource, owner, THREAD_SIZE);
	return true;
}

/* Objects of a group that has no memcg of its own */

/**
 * __bc_kmem_gives_up() - whether an unused object is one that a pass is about
 * @p: the object, or a part of it; it stays
 *
 * Context: Task context, in a pass: see kmem_shrink_own().
 * Return: Whether its owner is the group that makes room, or one below.
 */
bool __bc_kmem_gives_up(const void *p)
{
	struct res_owner *owner = __bc_slab_owner(p);
	struct res_counter *counter, *top;
	bool below = false;

	if (!owner)
		return false;
	rcu_read_lock();
	top = res_owner_counter(current->bc_active);
	counter = res_owner_counter(owner);
	if (top && counter)
		below = counter->depth >= top->depth &&
			counter->path[top->depth] == top;
	rcu_read_unlock();
	return below;
}

/* As super_trylock_shared(): does not wait for a mount or an unmount. */
static bool kmem_super_trylock(struct super_block *sb)
{
	if (!down_read_trylock(&sb->s_umount))
		return false;
	if (!(sb->s_flags & SB_DYING) && (sb->s_flags & SB_BORN) && sb->s_root)
		return true;
	up_read(&sb->s_umount);
	return false;
}

struct kmem_scan {
	const struct kmem_pass	*pass;
	struct shrink_control	sc;
	long			left;
	unsigned long		freed;
	unsigned long		target;
};

static bool kmem_scan_ends(const struct kmem_scan *scan)
{
	return scan->left <= 0 || scan->freed >= scan->target ||
	       kmem_pass_ends(scan->pass);
}

/*
 * One list of @sb: unused dentries, or inodes. Other tasks may want to unmount, or to
 * mount: they wait for a batch.
 */
static void kmem_scan_lru(struct kmem_scan *scan, struct super_block *sb,
			  struct list_lru *lru, int priority,
			  long (*prune)(struct super_block *sb,
					struct shrink_control *sc))
{
	long nr;

	if (!kmem_super_trylock(sb))
		return;
	nr = list_lru_shrink_count(lru, &scan->sc);
	nr = min(DIV_ROUND_UP(nr, 1 << priority), KMEM_SCAN_SUPER);
	for (; nr > 0 && !kmem_scan_ends(scan); nr -= KMEM_SCAN_BATCH) {
		scan->sc.nr_to_scan = min(nr, KMEM_SCAN_BATCH);
		scan->sc.nr_scanned = scan->sc.nr_to_scan;
		scan->left -= scan->sc.nr_to_scan;
		scan->freed += prune(sb, &scan->sc);
		up_read(&sb->s_umount);
		cond_resched();
		if (!kmem_super_trylock(sb))
			return;
	}
	up_read(&sb->s_umount);
}

static void kmem_scan_super(struct kmem_scan *scan, struct super_block *sb,
			    int priority)
{
	int nid;

	/* Dentries first: they hold inodes. */
	for_each_online_node(nid) {
		scan->sc.nid = nid;
		kmem_scan_lru(scan, sb, &sb->s_dentry_lru, priority,
			      prune_dcache_sb);
		kmem_scan_lru(scan, sb, &sb->s_inode_lru, priority,
			      prune_icache_sb);
	}
}

/*
 * All super blocks, or as many as a pass has time for. They are found by their
 * shrinkers, which takes no lock; and each stays as long as its shrinker is held.
 */
static void kmem_scan_supers(struct kmem_scan *scan, struct kmem_room *room,
			     int priority)
{
	unsigned int nr = 0, first = READ_ONCE(room->next);
	struct shrinker *shrinker;

	rcu_read_lock();
	list_for_each_entry_rcu(shrinker, &shrinker_list, list) {
		if (shrinker->scan_objects != READ_ONCE(kmem_super_shrink))
			continue;
		if ((nr++ < first && nr % KMEM_SCAN_SKIP) ||
		    !shrinker_try_get(shrinker))
			continue;
		rcu_read_unlock();
		scan->left -= KMEM_SCAN_COST;
		if (nr > first)
			kmem_scan_super(scan, shrinker->private_data, priority);
		cond_resched();
		rcu_read_lock();
		shrinker_put(shrinker);
		if (kmem_scan_ends(scan)) {
			/* The next pass begins here, as there may be more. */
			WRITE_ONCE(room->next, nr > first ? nr - 1 : 0);
			rcu_read_unlock();
			return;
		}
	}
	rcu_read_unlock();
	WRITE_ONCE(room->next, 0);
}

/* A group that makes room, and the memcg that its task allocates in. */
struct kmem_giver {
	struct beancounter	*bc;
	struct mem_cgroup	*memcg;
	u64			bound;		/* usage is not to be above */
	enum bc_severity	severity;	/* a debt: of the task that pays */
};

static unsigned long kmem_shrink_own(const struct kmem_pass *pass, int priority)
{
	struct kmem_giver *giver = pass->arg;
	struct kmem_scan scan = {
		.pass = pass,
		.sc = { .gfp_mask = GFP_KERNEL, .memcg = giver->memcg, },
		.left = KMEM_SCAN_PASS,
		.target = div_u64(pass->want, KMEM_OBJECT_SIZE) + 1,
	};
	struct res_owner *owner, *old;

	/* A removed group has nothing to give up, and may have no owner. */
	rcu_read_lock();
	owner = READ_ONCE(giver->bc->counter.owner);
	if (IS_ERR_OR_NULL(owner) || !res_owner_tryget(owner))
		owner = NULL;
	rcu_read_unlock();
	if (!owner)
		return 0;
	old = bc_set_active(owner);
	current->bc_own_only = true;
	kmem_scan_supers(&scan, pass->room, priority);
	current->bc_own_only = false;
	bc_set_active(old);
	res_owner_put(owner);
	return scan.freed;
}

/* Room */

static struct kmem_room *kmem_room(struct beancounter *bc)
{
	return &container_of(bc, struct kmem_group, one.bc)->room;
}

static bool kmem_has_room(void *arg)
{
	const struct kmem_giver *giver = arg;
	struct res_snapshot snap;

	res_counter_read(&giver->bc->counter, &snap);
	return snap.usage <= giver->bound;
}

static bool kmem_has_paid(void *arg)
{
	const struct kmem_giver *giver = arg;

	return !res_counter_excess(&giver->bc->counter, giver->severity);
}

#ifdef CONFIG_MEMCG
/*
 * Returns the memcg whose lists have what @bc was charged for, with a reference; or
 * NULL. Sets what @pass may give up of it.
 */
static struct mem_cgroup *kmem_get_memcg(struct beancounter *bc,
					 struct kmem_pass *pass)
{
	struct cgroup_subsys_state *css;
	struct mem_cgroup *memcg;

	pass->shrink = kmem_shrink_own;
	pass->memcg = NULL;
	if (mem_cgroup_disabled())
		return NULL;
	css = cgroup_get_e_css(bc->group->css.cgroup, &memory_cgrp_subsys);
	memcg = mem_cgroup_from_css(css);
	if (!mem_cgroup_is_root(memcg)) {
		/* The memcg of an ancestor has other groups' objects, too. */
		if (css->cgroup == bc->group->css.cgroup) {
			pass->shrink = NULL;
			pass->memcg = memcg;
		}
		return memcg;
	}
	css_put(css);
	memcg = get_mem_cgroup_from_mm(current->mm);
	if (!mem_cgroup_is_root(memcg))
		pass->memcg = memcg;
	return memcg;
}
#else
static struct mem_cgroup *kmem_get_memcg(struct beancounter *bc,
					 struct kmem_pass *pass)
{
	pass->shrink = kmem_shrink_own;
	return NULL;
}
#endif

/* Has @giver give up what it can, as @pass says. */
static bool kmem_reclaim(struct kmem_giver *giver, struct kmem_pass *pass)
{
	bool room;

	giver->memcg = kmem_get_memcg(giver->bc, pass);
	pass->room = kmem_room(giver->bc);
	pass->arg = giver;
	room = kmem_make_room(pass);
	mem_cgroup_put(giver->memcg);
	return room;
}

/* What room is made for when a charge is refused. */
static enum kmem_use kmem_use_of(const struct res_refusal *refusal)
{
	/* Not a charge but a reservation that is lowered */
	if (!refusal->n)
		return KMEM_FOR_LIMIT;
	return refusal->at == BC_EARLY ? KMEM_FOR_TASK : KMEM_FOR_CHARGE;
}

/*
 * What a group is to give up. A new task is refused where more may be in use than
 * the bound allows: all of that is in the way.
 */
static u64 kmem_want(const struct res_refusal *refusal)
{
	u64 want = refusal->n;

	if (refusal->usage > refusal->bound)
		want += refusal->usage - refusal->bound;
	return want + kmem_room_more(refusal->bound);
}

/**
 * kmem_limit_hit() - make room in a group that refuses a charge
 * @bc: the group
 * @refusal: what it refuses
 * @may_block: the charge may sleep
 *
 * Context: As the charge.
 * Return: Whether the charge is to be tried again.
 */
bool kmem_limit_hit(struct beancounter *bc, const struct res_refusal *refusal,
		    bool may_block)
{
	struct kmem_giver giver = { .bc = bc, };
	struct kmem_pass pass = {
		.want = kmem_want(refusal),
		.enough = kmem_has_room,
		.use = kmem_use_of(refusal),
	};
	struct res_owner *active = kmem_active();

	/* What the machine lacks is not for a group to give up. */
	if (refusal->machine || refusal->n > refusal->bound || !may_block ||
	    !kmem_may_make_room())
		return false;
	/* A task does not clean up for a group that it merely acts for. */
	if (active && !kmem_is_own(active))
		return false;
	giver.bound = refusal->bound - refusal->n;
	return kmem_reclaim(&giver, &pass);
}

/*
 * Has the nearest group that is past the bound for @severity give something up, from
 * @bc on, and none above it: the time that this takes does not grow with the depth,
 * and what others have cached stays.
 */
static void kmem_reclaim_debt(struct beancounter *bc, enum bc_severity severity)
{
	struct kmem_giver giver = { .severity = severity };
	struct kmem_pass pass = {
		.enough = kmem_has_paid,
		.use = KMEM_FOR_DEBT,
	};
	u64 excess;

	for (; bc; bc = bc_parent(bc)) {
		excess = res_counter_excess(&bc->counter, severity);
		if (!excess)
			continue;
		giver.bc = bc;
		pass.want = excess + KMEM_ROOM_MORE;
		kmem_reclaim(&giver, &pass);
		return;
	}
}

/* How long a task is to wait for what @bc has above the bound for @severity. */
static unsigned long kmem_pause_for(struct beancounter *bc, enum bc_severity severity)
{
	return kmem_debt_pause(res_counter_excess(&bc->counter, severity),
			       READ_ONCE(bc->counter.limit));
}

/**
 * kmem_pay() - the current task pays for the excess of its group
 *
 * A privileged task has the group give something up, too, but does not wait: what is
 * above the barrier is there for it.
 *
 * Context: Task context; sleeps.
 * Return: How long it is to wait, in jiffies.
 */
unsigned long kmem_pay(void)
{
	struct cgroup_subsys_state *css = bc_get_current_css(&kmem_resource);
	enum bc_severity severity = BC_HALFWAY;
	unsigned long pause = 0;
	struct beancounter *bc;

	if (!css)
		return 0;
	if (ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN))
		severity = BC_LIMIT;
	if (kmem_may_make_room())
		kmem_reclaim_debt(css_bc(css), severity);
	for (bc = css_bc(css); bc; bc = bc_parent(bc))
		pause = max(pause, kmem_pause_for(bc, severity));
	css_put(css);
	return severity == BC_LIMIT ? 0 : pause;
}

/**
 * kmem_init() - initialize what kmem has for a new group
 * @bc: the group's account
 *
 * Return: 0.
 */
int kmem_init(struct beancounter *bc)
{
	struct path root;

	kmem_room_init(kmem_room(bc));
	/* The shrinkers of all super blocks have the same function. */
	get_fs_root(current->fs, &root);
	WRITE_ONCE(kmem_super_shrink, root.mnt->mnt_sb->s_shrink->scan_objects);
	path_put(&root);
	return 0;
}
