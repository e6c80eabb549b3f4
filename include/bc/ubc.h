/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ubc: hooks for whatever is counted in kinds
 *
 * An object has a bc_ubc_t, zeroed. Where it is made, bc_ubc_charge() is called,
 * and where each way of ending it comes by, bc_ubc_uncharge(). How to add a kind
 * is explained in Documentation/bc/ubc.rst.
 */
#ifndef _BC_UBC_H
#define _BC_UBC_H

#include <linux/err.h>
#include <linux/jump_label.h>
#include <linux/types.h>

#include <bc/ubc_types.h>

struct task_struct;

/**
 * enum bc_ubc_kind - what ubc counts: a row each in kernel/bc/ubc.c
 * @UBC_NUMINOTIFY: inotify and fanotify groups
 * @UBC_NUMWATCH: their marks
 * @UBC_NUMFLOCK: locks on files, and leases
 * @UBC_NUMPTY: pseudoterminals
 * @UBC_NUMTCPSOCK: TCP sockets
 * @UBC_NUMOTHERSOCK: other sockets
 * @UBC_NUMMOUNT: mounts
 * @UBC_NUMKEY: keys
 * @UBC_KEYBYTES: bytes of keys' descriptions and payloads
 * @UBC_NUMAIO: AIO requests set up
 * @UBC_NUMNS: namespaces
 * @UBC_NUMIPC: System V IPC objects and POSIX message queues
 * @UBC_NUMSIGINFO: queued signals
 * @UBC_NUMTIMER: POSIX timers
 * @UBC_LOCKEDPAGES: locked and pinned pages: see include/bc/ubc_locked.h
 * @UBC_PRIVVMPAGES: pages of memory that is promised: see include/bc/ubc_vm.h
 * @UBC_NR_KINDS: how many there are
 */
enum bc_ubc_kind {
	UBC_NUMINOTIFY,
	UBC_NUMWATCH,
	UBC_NUMFLOCK,
	UBC_NUMPTY,
	UBC_NUMTCPSOCK,
	UBC_NUMOTHERSOCK,
	UBC_NUMMOUNT,
	UBC_NUMKEY,
	UBC_KEYBYTES,
	UBC_NUMAIO,
	UBC_NUMNS,
	UBC_NUMIPC,
	UBC_NUMSIGINFO,
	UBC_NUMTIMER,
	UBC_LOCKEDPAGES,
	UBC_PRIVVMPAGES,
	UBC_NR_KINDS,
};

#ifdef CONFIG_BC_UBC

DECLARE_STATIC_KEY_FALSE(bc_ubc_key);

int __must_check __bc_ubc_charge(enum bc_ubc_kind kind, u64 n, bc_ubc_t *bc);
bool __must_check __bc_ubc_try_charge(enum bc_ubc_kind kind, u64 n,
				      bc_ubc_t *bc);
void __bc_ubc_force_charge(enum bc_ubc_kind kind, u64 n, bc_ubc_t *bc);
int __must_check __bc_ubc_charge_task(enum bc_ubc_kind kind, u64 n,
				      struct task_struct *task, bool force,
				      bc_ubc_t *bc);
int __must_check __bc_ubc_charge_more(enum bc_ubc_kind kind, u64 n, u64 has,
				      bc_ubc_t *bc);
int __must_check __bc_ubc_charge_as(u64 n, const bc_ubc_t *other, bc_ubc_t *bc);
void __bc_ubc_uncharge(u64 n, struct res_owner *owner);

/**
 * bc_ubc_used() - whether there is a group
 *
 * Return: Whether any object may have to be charged, or may have been.
 */
static inline bool bc_ubc_used(void)
{
	return static_branch_unlikely(&bc_ubc_key);
}

/**
 * bc_ubc_charge() - charge the group of the current task
 * @kind: what is charged
 * @n: units, at least 1
 * @bc: the object's, zeroed; is set
 *
 * Ordinary tasks up to the group's barrier, tasks with CAP_SYS_ADMIN in the
 * initial user namespace up to its limit. Interrupts, kernel threads and tasks
 * in the root group are not charged.
 *
 * Context: Task context; may sleep.
 * Return: 0, the errno of @kind, or -ENOMEM.
 */
static inline int __must_check bc_ubc_charge(enum bc_ubc_kind kind, u64 n,
					     bc_ubc_t *bc)
{
	if (!static_branch_unlikely(&bc_ubc_key))
		return 0;
	return __bc_ubc_charge(kind, n, bc);
}

/**
 * bc_ubc_try_charge() - bc_ubc_charge() if there is room at hand, and no more
 * @kind: what is charged
 * @n: units, at least 1
 * @bc: the object's, zeroed; is set on success
 *
 * For objects that are made before it is known whether they are needed. A
 * refusal counts for nothing, and means nothing but that bc_ubc_charge() is to
 * be called.
 *
 * Context: Task context.
 * Return: Whether the group was charged, or no group is to be.
 */
static inline bool __must_check bc_ubc_try_charge(enum bc_ubc_kind kind, u64 n,
						  bc_ubc_t *bc)
{
	return !static_branch_unlikely(&bc_ubc_key) ||
	       __bc_ubc_try_charge(kind, n, bc);
}

/**
 * bc_ubc_force_charge() - bc_ubc_charge() where it is too late to refuse
 * @kind: what is charged
 * @n: units, at least 1
 * @bc: the object's, zeroed; is set
 *
 * The group may pass its limit, and is refused more until it is below again. It
 * is not charged if there is no memory for its account of @kind.
 *
 * Context: Task context; may sleep.
 */
static inline void bc_ubc_force_charge(enum bc_ubc_kind kind, u64 n,
				       bc_ubc_t *bc)
{
	if (static_branch_unlikely(&bc_ubc_key))
		__bc_ubc_force_charge(kind, n, bc);
}

/**
 * bc_ubc_charge_task() - charge the group of a task, from any context
 * @kind: what is charged: one of those that each group has an account of, see
 *	kernel/bc/ubc.c
 * @n: units, at least 1
 * @task: the task, which stays
 * @force: do not refuse
 * @bc: the object's, zeroed; is set
 *
 * Context: Any context but NMI.
 * Return: As bc_ubc_charge().
 */
static inline int __must_check bc_ubc_charge_task(enum bc_ubc_kind kind, u64 n,
						  struct task_struct *task,
						  bool force, bc_ubc_t *bc)
{
	if (!static_branch_unlikely(&bc_ubc_key))
		return 0;
	return __bc_ubc_charge_task(kind, n, task, force, bc);
}

/**
 * bc_ubc_charge_more() - charge the group that an object is charged to again
 * @kind: what is charged
 * @n: units, at least 1
 * @has: units that the object is charged with
 * @bc: the object's. The caller sees to it that nothing else changes it
 *	meanwhile.
 *
 * An object that is charged to no group stays so. One whose group was removed
 * is charged to the nearest group above that is there, with all it has.
 *
 * Context: Task context; may sleep.
 * Return: As bc_ubc_charge().
 */
static inline int __must_check bc_ubc_charge_more(enum bc_ubc_kind kind, u64 n,
						  u64 has, bc_ubc_t *bc)
{
	if (!static_branch_unlikely(&bc_ubc_key) || !bc->owner)
		return 0;
	return __bc_ubc_charge_more(kind, n, has, bc);
}

/**
 * bc_ubc_charge_as() - charge the group that another object is charged to
 * @n: units, at least 1
 * @other: of an object of the same kind that stays charged; where that is
 *	charged to no group, this one is charged to none
 * @bc: the object's; is set
 *
 * Context: Any context but NMI.
 * Return: As bc_ubc_charge().
 */
static inline int __must_check bc_ubc_charge_as(u64 n, const bc_ubc_t *other,
						bc_ubc_t *bc)
{
	bc->owner = NULL;
	if (!static_branch_unlikely(&bc_ubc_key) || !other->owner)
		return 0;
	return __bc_ubc_charge_as(n, other, bc);
}

/**
 * bc_ubc_uncharge() - return units
 * @n: units
 * @bc: of the object that they were charged for, if they were
 *
 * They go to the group that was charged, or to the nearest group above it that
 * is there.
 *
 * Context: Any context but NMI.
 */
static inline void bc_ubc_uncharge(u64 n, const bc_ubc_t *bc)
{
	if (static_branch_unlikely(&bc_ubc_key) && bc->owner)
		__bc_ubc_uncharge(n, bc->owner);
}

/**
 * bc_ubc_pass() - pass what one object is charged with to another one
 * @to: the object that returns it from now on
 * @from: the object that does so no more
 */
static inline void bc_ubc_pass(bc_ubc_t *to, bc_ubc_t *from)
{
	to->owner = from->owner;
	from->owner = NULL;
}

/**
 * bc_ubc_init() - nothing is charged for an object yet
 * @bc: the object's
 */
static inline void bc_ubc_init(bc_ubc_t *bc)
{
	bc->owner = NULL;
}

#else

static inline bool bc_ubc_used(void)
{
	return false;
}

static inline int __must_check bc_ubc_charge(enum bc_ubc_kind kind, u64 n,
					     bc_ubc_t *bc)
{
	return 0;
}

static inline bool __must_check bc_ubc_try_charge(enum bc_ubc_kind kind, u64 n,
						  bc_ubc_t *bc)
{
	return true;
}

static inline void bc_ubc_force_charge(enum bc_ubc_kind kind, u64 n,
				       bc_ubc_t *bc)
{
}

static inline int __must_check bc_ubc_charge_task(enum bc_ubc_kind kind, u64 n,
						  struct task_struct *task,
						  bool force, bc_ubc_t *bc)
{
	return 0;
}

static inline int __must_check bc_ubc_charge_more(enum bc_ubc_kind kind, u64 n,
						  u64 has, bc_ubc_t *bc)
{
	return 0;
}

static inline int __must_check bc_ubc_charge_as(u64 n, const bc_ubc_t *other,
						bc_ubc_t *bc)
{
	return 0;
}

static inline void bc_ubc_uncharge(u64 n, const bc_ubc_t *bc)
{
}

static inline void bc_ubc_pass(bc_ubc_t *to, bc_ubc_t *from)
{
}

static inline void bc_ubc_init(bc_ubc_t *bc)
{
}

#endif /* CONFIG_BC_UBC */

/**
 * bc_ubc_release() - return all that an object is charged with
 * @n: units; may be 0
 * @bc: of the object, which may be charged anew
 *
 * Context: Any context but NMI.
 */
static inline void bc_ubc_release(u64 n, bc_ubc_t *bc)
{
	if (n)
		bc_ubc_uncharge(n, bc);
	bc_ubc_init(bc);
}

/**
 * bc_ubc_recharge_as() - charge the group of another object instead
 * @n: units that the object is charged with, if it is
 * @other: see bc_ubc_charge_as()
 * @bc: the object's; charged to no group after an error
 *
 * Context: Any context but NMI.
 * Return: As bc_ubc_charge().
 */
static inline int __must_check
bc_ubc_recharge_as(u64 n, const bc_ubc_t *other, bc_ubc_t *bc)
{
	bc_ubc_release(n, bc);
	return bc_ubc_charge_as(n, other, bc);
}

#endif /* _BC_UBC_H */
