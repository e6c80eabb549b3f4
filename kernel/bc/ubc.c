// SPDX-License-Identifier: GPL-2.0
/*
 * ubc: the rest of the table of user beancounters
 *
 * Many small things of the kernel are bounded for a user, a namespace or the
 * machine, or not at all; containers share them. This is one controller for all
 * of those, with a row for each kind: ubc_kinds. The hooks are in
 * include/bc/ubc.h. What is counted, exactly, Documentation/bc/ubc.rst says.
 *
 * Each kind is a resource of its own to the engine and to the core. What is
 * different from a controller of one resource:
 *
 * Accounts
 *
 * A group has an account of a kind only once there is something to count in it:
 * the first charge in it or below makes one, and so does the first write of a
 * bound. Most groups use a few kinds, and an account has several hundred bytes.
 *
 * An account is made together with those of all groups above that have none,
 * from the top down: so one whose parent account is there has all of them. It is
 * published under ubc_group::lock, if the group has none yet and was not removed.
 * A group is removed after all groups below it, and its accounts are after it was
 * marked as removed under that lock. So no account gets a parent that was removed
 * before, and none is made that is never removed. Where the group was removed, the
 * task that charges it, on its way out, charges the nearest group above that is
 * there, as for any resource. Accounts are freed with their group, which is freed
 * after the groups below: a pointer to one needs no more than the group needs.
 *
 * To make one takes memory. A kind that is charged where that cannot be waited for
 * is in ubc_atomic_kinds: its accounts are made with the group.
 *
 * Static key
 *
 * There is one for all kinds. It counts groups and owners: a task in a group can
 * use any kind next, so that all hooks have to be on.
 *
 * Stock
 *
 * The CPUs' slots are shared between all kinds. An owner belongs to a group and a
 * kind, and a slot to an owner.
 */

#include <linux/aio.h>
#include <linux/devpts_fs.h>
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/jump_label.h>
#include <linux/minmax.h>
#include <linux/mman.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "ubc.h"

DEFINE_PER_CPU(struct res_stock, ubc_stock);
static struct bc_resource_state ubc_states[UBC_NR_KINDS];

DEFINE_STATIC_KEY_FALSE(bc_ubc_key);
EXPORT_SYMBOL_GPL(bc_ubc_key);

/*
 * The machine's amounts, where mainline has such. Mainline's own check is left as
 * it is; here they bound what groups can reserve together, and what is left for
 * the others then. Of locked pages there is none: a page may be locked by many
 * mms, and one that is locked on fault need not be there.
 */

#ifdef CONFIG_UNIX98_PTYS
static u64 ubc_capacity_pty(enum bc_severity severity)
{
	return max(devpts_limit(), 0);
}
#else
#define ubc_capacity_pty NULL
#endif

#ifdef CONFIG_AIO
static u64 ubc_capacity_aio(enum bc_severity severity)
{
	return READ_ONCE(aio_max_nr);
}
#else
#define ubc_capacity_aio NULL
#endif

/* Where more may be promised than there is, there is no bound. */
static u64 ubc_capacity_privvm(enum bc_severity severity)
{
	if (READ_ONCE(sysctl_overcommit_memory) != OVERCOMMIT_NEVER)
		return RES_COUNTER_MAX;
	return vm_commit_limit();
}

/* A row: its name, the errno of a refusal, and what else the resource has. */
#define UBC_KIND(_kind, _name, _errno, ...)		\
	[_kind] = {					\
		.ss		= &ubc_cgrp_subsys,	\
		.name		= _name,		\
		.id		= ubc_cgrp_id,		\
		.state		= &ubc_states[_kind],	\
		.stock		= &ubc_stock,		\
		.key		= &bc_ubc_key,		\
		.plain		= true,			\
		.refused	= -(_errno),		\
		.exhausted	= -(_errno),		\
		__VA_ARGS__				\
	}

const struct bc_resource ubc_kinds[UBC_NR_KINDS] = {
	UBC_KIND(UBC_NUMINOTIFY,	"numinotify",	EMFILE),
	UBC_KIND(UBC_NUMWATCH,		"numwatch",	ENOSPC),
	UBC_KIND(UBC_NUMFLOCK,		"numflock",	ENOLCK),
	UBC_KIND(UBC_NUMPTY,		"numpty",	ENOSPC,
		 .capacity	= ubc_capacity_pty),
	UBC_KIND(UBC_NUMTCPSOCK,	"numtcpsock",	ENOBUFS),
	UBC_KIND(UBC_NUMOTHERSOCK,	"numothersock",	ENOBUFS),
	UBC_KIND(UBC_NUMMOUNT,		"nummount",	ENOSPC),
	UBC_KIND(UBC_NUMKEY,		"numkey",	EDQUOT),
	UBC_KIND(UBC_KEYBYTES,		"keybytes",	EDQUOT,
		 .bytes		= true,
		 .batch_min	= SZ_1K,
		 .batch_max	= SZ_8K),
	UBC_KIND(UBC_NUMAIO,		"numaio",	EAGAIN,
		 .capacity	= ubc_capacity_aio),
	UBC_KIND(UBC_NUMNS,		"numns",	ENOSPC),
	UBC_KIND(UBC_NUMIPC,		"numipc",	ENOSPC),
	UBC_KIND(UBC_NUMSIGINFO,	"numsiginfo",	EAGAIN),
	UBC_KIND(UBC_NUMTIMER,		"numtimer",	EAGAIN),
	UBC_KIND(UBC_LOCKEDPAGES,	"lockedpages",	ENOMEM),
	/* 2 to 8 MiB in stock: a mapping of 1 MiB is made from it. */
	UBC_KIND(UBC_PRIVVMPAGES,	"privvmpages",	ENOMEM,
		 .batch_min	= 512,
		 .batch_max	= 2048,
		 .capacity	= ubc_capacity_privvm),
};

/*
 * Each group has an account of these: bc_ubc_charge_task() may be called for
 * them, or objects keep their owners.
 */
static const unsigned long ubc_atomic_kinds = BIT(UBC_NUMSIGINFO) |
					      BIT(UBC_LOCKEDPAGES) |
					      BIT(UBC_PRIVVMPAGES);

/* Accounts */

/*
 * The kind that a kind shares slots with, as their owners are in one cache line.
 * Not with one that is charged for the same object.
 */
static enum bc_ubc_kind ubc_twin(enum bc_ubc_kind kind)
{
	BUILD_BUG_ON(UBC_NR_KINDS % 2);
	return (kind + UBC_NR_KINDS / 2) % UBC_NR_KINDS;
}

static struct kmem_cache *ubc_group_cache;
static struct kmem_cache *ubc_account_cache;

/* Makes the account of @kind in @group; all groups above have one. */
static struct beancounter *ubc_make_account(struct ubc_group *group,
					    enum bc_ubc_kind kind)
{
	const struct bc_resource *res = &ubc_kinds[kind];
	struct ubc_group *parent = group->parent;
	struct beancounter *bc, *old;
	bool removed;
	int err;

	/* The task that uses a group pays for its accounts. */
	bc = kmem_cache_zalloc(ubc_account_cache, GFP_KERNEL_ACCOUNT);
	if (!bc)
		return ERR_PTR(-ENOMEM);
	err = bc_init_account(bc, res, &group->group,
			      parent ? ubc_find_account(parent, kind) : NULL,
			      ubc_find_account(group, ubc_twin(kind)));
	if (err) {
		kmem_cache_free(ubc_account_cache, bc);
		return ERR_PTR(err);
	}
	/* For its owner. The group counts there, too: no text is patched. */
	WARN_ON_ONCE(!static_key_fast_inc_not_disabled(&res->key->key));

	spin_lock(&group->lock);
	old = group->account[kind];
	removed = group->removed;
	if (!old && !removed) {
		bc_limits_online(bc);
		/* Pairs with the acquire in ubc_find_account(). */
		smp_store_release(&group->account[kind], bc);
	}
	spin_unlock(&group->lock);
	if (!old && !removed)
		return bc;
	/* Not res_counter_remove(): groups above may be removed just now. */
	res_counter_discard(&bc->counter);
	bc_free_account(bc);
	kmem_cache_free(ubc_account_cache, bc);
	return old ?: ERR_PTR(-ENODEV);
}

/**
 * ubc_get_account() - the account of a kind in a group, made if need be
 * @group: the group, not the root; stays
 * @kind: the kind
 *
 * Context: Task context, may sleep.
 * Return: The account, or an errno: -ENOMEM, or -ENODEV if the group was
 * removed without having one.
 */
struct beancounter *ubc_get_account(struct ubc_group *group,
				    enum bc_ubc_kind kind)
{
	struct beancounter *bc;
	struct ubc_group *top;

	while (!(bc = ubc_find_account(group, kind))) {
		for (top = group; top->parent; top = top->parent)
			if (ubc_find_account(top->parent, kind))
				break;
		bc = ubc_make_account(top, kind);
		if (IS_ERR(bc))
			break;
		cond_resched();
	}
	return bc;
}

/* Charges */

static struct res_owner *ubc_charge_group(struct ubc_group *group,
					  enum bc_ubc_kind kind, u64 n,
					  enum bc_severity severity)
{
	struct beancounter *bc;

	for (; group; group = group->parent) {
		bc = ubc_get_account(group, kind);
		if (!IS_ERR(bc))
			return __bc_charge_group(bc, n, severity, true);
		if (PTR_ERR(bc) != -ENODEV)
			return ERR_CAST(bc);
	}
	return NULL;
}

/* From banks, or the machine; does no more than that where there is no room. */
static struct res_owner *ubc_try_charge(enum bc_ubc_kind kind, u64 n)
{
	struct res_owner *owner = ERR_PTR(-EAGAIN);
	struct cgroup_subsys_state *css;
	struct beancounter *bc;

	rcu_read_lock();
	css = task_css(current, ubc_cgrp_id);
	bc = ubc_find_account(css_ubc(css), kind);
	if (!css->parent)
		owner = NULL;
	else if (bc)
		owner = res_counter_try_charge(&bc->counter, n);
	rcu_read_unlock();
	return owner;
}

/* Where there is too little in stock. */
static noinline struct res_owner *ubc_charge_slow(enum bc_ubc_kind kind, u64 n,
						  enum bc_severity severity)
{
	struct res_owner *owner = ubc_try_charge(kind, n);
	struct cgroup_subsys_state *css;

	if (!IS_ERR(owner))
		return owner;

	css = bc_get_current_css(&ubc_kinds[kind]);
	if (!css)
		return NULL;
	owner = ubc_charge_group(css_ubc(css), kind, n, severity);
	css_put(css);
	return owner;
}

static int ubc_set_owner(bc_ubc_t *bc, struct res_owner *owner)
{
	if (IS_ERR(owner))
		return PTR_ERR(owner);
	bc->owner = owner;
	return 0;
}

/* From this CPU's stock, without preemption: groups, accounts and owners stay. */
static __always_inline bool ubc_stock_charge(struct task_struct *task,
					     enum bc_ubc_kind kind, u64 n,
					     struct res_owner **owner)
{
	struct beancounter *bc;

	bc = ubc_find_account(css_ubc(task_css(task, ubc_cgrp_id)), kind);
	if (unlikely(!bc))
		return false;
	*owner = READ_ONCE(bc->counter.owner);
	return res_stock_charge(&ubc_stock, *owner, n);
}

int __bc_ubc_charge(enum bc_ubc_kind kind, u64 n, bc_ubc_t *bc)
{
	struct res_owner *owner;
	bool charged;

	if (!in_task() || (current->flags & PF_KTHREAD))
		return 0;

	preempt_disable();
	charged = ubc_stock_charge(current, kind, n, &owner);
	preempt_enable();
	if (unlikely(!charged))
		owner = ubc_charge_slow(kind, n, BC_BARRIER);
	return ubc_set_owner(bc, owner);
}
EXPORT_SYMBOL_GPL(__bc_ubc_charge);

bool __bc_ubc_try_charge(enum bc_ubc_kind kind, u64 n, bc_ubc_t *bc)
{
	struct res_owner *owner;
	bool charged;

	if (!in_task() || (current->flags & PF_KTHREAD))
		return true;

	preempt_disable();
	charged = ubc_stock_charge(current, kind, n, &owner);
	preempt_enable();
	if (unlikely(!charged))
		owner = ubc_try_charge(kind, n);
	return !ubc_set_owner(bc, owner);
}
EXPORT_SYMBOL_GPL(__bc_ubc_try_charge);

void __bc_ubc_force_charge(enum bc_ubc_kind kind, u64 n, bc_ubc_t *bc)
{
	if (in_task() && !(current->flags & PF_KTHREAD))
		ubc_set_owner(bc, ubc_charge_slow(kind, n, BC_FORCE));
}
EXPORT_SYMBOL_GPL(__bc_ubc_force_charge);

int __bc_ubc_charge_task(enum bc_ubc_kind kind, u64 n, struct task_struct *task,
			 bool force, bc_ubc_t *bc)
{
	const enum bc_severity severity = force ? BC_FORCE : BC_BARRIER;
	struct res_owner *owner = NULL;
	struct ubc_group *group;
	bool charged;

	if (task->flags & PF_KTHREAD)
		return 0;
	/*
	 * A group is freed a grace period after its removal, and those above
	 * it not before. Its accounts of such a kind are there as long.
	 */
	rcu_read_lock();
	preempt_disable();
	charged = ubc_stock_charge(task, kind, n, &owner);
	preempt_enable();
	group = css_ubc(task_css(task, ubc_cgrp_id));
	if (!charged && !group->group.css.parent)
		owner = NULL;
	else if (!charged)
		owner = __bc_charge_group(group->account[kind], n, severity,
					  false);
	rcu_read_unlock();
	return ubc_set_owner(bc, owner);
}
EXPORT_SYMBOL_GPL(__bc_ubc_charge_task);

/* The account that has an owner's units now, with a reference to its group. */
static struct beancounter *ubc_get_owner_account(struct res_owner *owner)
{
	struct res_counter *counter;
	struct beancounter *bc = NULL;

	rcu_read_lock();
	do {
		counter = res_owner_counter(owner);
		bc = counter ? counter_bc(counter) : NULL;
		/* Fails if the group goes just now, when another one is found. */
	} while (bc && !css_tryget(&bc->group->css));
	rcu_read_unlock();
	return bc;
}

int __bc_ubc_charge_more(enum bc_ubc_kind kind, u64 n, u64 has, bc_ubc_t *bc)
{
	struct beancounter *account;
	struct res_owner *owner;

	/* All that the object has is to be with one owner. */
	do {
		account = ubc_get_owner_account(bc->owner);
		if (!account) {
			bc_uncharge(&ubc_kinds[kind], bc->owner, has);
			bc->owner = NULL;
			return 0;
		}
		if (READ_ONCE(account->counter.owner) != bc->owner)
			bc->owner = res_counter_move(bc->owner,
						     &account->counter, has);
		owner = NULL;
		if (bc->owner)
			owner = __bc_charge_group(account, n, BC_BARRIER, true);
		css_put(&account->group->css);
		if (IS_ERR(owner))
			return PTR_ERR(owner);
		/* Removed in between: once more. */
		if (owner && owner != bc->owner)
			bc_uncharge(&ubc_kinds[kind], owner, n);
	} while (owner != bc->owner);
	return 0;
}
EXPORT_SYMBOL_GPL(__bc_ubc_charge_more);

int __bc_ubc_charge_as(u64 n, const bc_ubc_t *other, bc_ubc_t *bc)
{
	struct beancounter *account = ubc_get_owner_account(other->owner);
	struct res_owner *owner;

	if (!account)
		return 0;
	owner = __bc_charge_group(account, n, BC_BARRIER, false);
	css_put(&account->group->css);
	return ubc_set_owner(bc, owner);
}
EXPORT_SYMBOL_GPL(__bc_ubc_charge_as);

void __bc_ubc_uncharge(u64 n, struct res_owner *owner)
{
	/* The stock is the same for all kinds. */
	bc_uncharge(&ubc_kinds[0], owner, n);
}
EXPORT_SYMBOL_GPL(__bc_ubc_uncharge);

/* Groups */

static int ubc_init_machine(struct ubc_group *root)
{
	enum bc_ubc_kind kind;
	struct beancounter *bc;
	int err;

	ubc_account_cache = kmem_cache_create("ubc_account", BC_PLAIN_ACCOUNT,
					      __alignof__(*bc), SLAB_ACCOUNT,
					      NULL);
	bc = kcalloc(UBC_NR_KINDS, sizeof(*bc), GFP_KERNEL);
	if (!ubc_account_cache || !bc)
		return -ENOMEM;
	for (kind = 0; kind < UBC_NR_KINDS; kind++) {
		/* The first one makes the stock. */
		ubc_states[kind].root.info = ubc_states[0].root.info;
		err = bc_init_machine(&bc[kind], &ubc_kinds[kind], &root->group);
		if (err)
			return err;
		root->account[kind] = &bc[kind];
	}
	return 0;
}

static struct cgroup_subsys_state *
ubc_css_alloc(struct cgroup_subsys_state *parent)
{
	struct ubc_group *group;
	int err;

	/* At boot. */
	if (!parent)
		ubc_group_cache = KMEM_CACHE(ubc_group, SLAB_ACCOUNT);
	if (!ubc_group_cache)
		return ERR_PTR(-ENOMEM);
	group = kmem_cache_zalloc(ubc_group_cache, GFP_KERNEL_ACCOUNT);
	if (!group)
		return ERR_PTR(-ENOMEM);
	bc_init_group(&group->group);
	spin_lock_init(&group->lock);
	if (!parent) {
		err = ubc_init_machine(group);
		if (err) {
			kmem_cache_free(ubc_group_cache, group);
			return ERR_PTR(err);
		}
		return &group->group.css;
	}
	if (parent->parent)
		group->parent = css_ubc(parent);
	static_branch_inc(&bc_ubc_key);
	return &group->group.css;
}

/* Before a task can be in it. */
static int ubc_css_online(struct cgroup_subsys_state *css)
{
	enum bc_ubc_kind kind;
	struct beancounter *bc;

	if (!css->parent)
		return 0;
	for_each_set_bit(kind, &ubc_atomic_kinds, UBC_NR_KINDS) {
		bc = ubc_get_account(css_ubc(css), kind);
		if (IS_ERR(bc))
			return PTR_ERR(bc);
	}
	return 0;
}

static void ubc_remove_accounts(struct ubc_group *group)
{
	enum bc_ubc_kind kind;

	spin_lock(&group->lock);
	group->removed = true;
	spin_unlock(&group->lock);
	for (kind = 0; kind < UBC_NR_KINDS; kind++)
		if (group->account[kind])
			bc_remove_account(group->account[kind]);
}

static void ubc_css_killed(struct cgroup_subsys_state *css)
{
	ubc_remove_accounts(css_ubc(css));
}

static void ubc_css_free(struct cgroup_subsys_state *css)
{
	struct ubc_group *group = css_ubc(css);
	enum bc_ubc_kind kind;

	/* Not yet done if it could not be brought online. */
	if (!group->removed)
		ubc_remove_accounts(group);
	for (kind = 0; kind < UBC_NR_KINDS; kind++) {
		if (!group->account[kind])
			continue;
		bc_free_account(group->account[kind]);
		kmem_cache_free(ubc_account_cache, group->account[kind]);
	}
	kmem_cache_free(ubc_group_cache, group);
	static_branch_dec(&bc_ubc_key);
}

struct cgroup_subsys ubc_cgrp_subsys = {
	.css_alloc	= ubc_css_alloc,
	.css_online	= ubc_css_online,
	.css_killed	= ubc_css_killed,
	.css_free	= ubc_css_free,
	.legacy_cftypes	= ubc_v1_files,
	.dfl_cftypes	= ubc_v2_files,
	.threaded	= true,
};
