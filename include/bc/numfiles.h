/* SPDX-License-Identifier: GPL-2.0 */
/*
 * numfiles: hooks for fs/file_table.c
 */
#ifndef _BC_NUMFILES_H
#define _BC_NUMFILES_H

#include <linux/cgroup.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/jump_label.h>
#include <linux/percpu.h>

#ifdef CONFIG_BC_NUMFILES

#include <bc/beancounter.h>

DECLARE_STATIC_KEY_FALSE(bc_numfiles_key);
DECLARE_PER_CPU(struct res_stock, numfiles_stock);

struct res_owner * __must_check __bc_file_charge(void);
void __bc_file_uncharge(struct res_owner *owner);
bool __must_check __bc_file_covered(void);
void bc_max_files_changed(void);

/**
 * bc_file_charge() - charge a file to the group of the task that opens it
 * @file: a new file, zeroed
 *
 * Context: Task context; may sleep.
 * Return: 0, -EMFILE if the group may open no more, or -ENFILE if it is the
 * machine that has none left.
 */
static inline int __must_check bc_file_charge(struct file *file)
{
	struct res_owner *owner;

	if (!static_branch_unlikely(&bc_numfiles_key))
		return 0;
	if (!bc_charge_stock(numfiles_cgrp_id, &numfiles_stock, 1, &owner)) {
		owner = __bc_file_charge();
		if (IS_ERR(owner))
			return PTR_ERR(owner);
	}
	if (owner)
		file->f_bc = owner;
	return 0;
}

/**
 * bc_file_uncharge() - return what bc_file_charge() has taken
 * @file: a file that is being freed
 *
 * Context: Any context but NMI.
 */
static inline void bc_file_uncharge(struct file *file)
{
	if (static_branch_unlikely(&bc_numfiles_key) && file->f_bc)
		__bc_file_uncharge(file->f_bc);
}

/**
 * bc_file_covered() - whether the current task may open a file beyond file-max
 *
 * Asked where mainline's own check refuses, which comes before
 * bc_file_charge().
 *
 * Context: Task context.
 * Return: Whether the file is one that a reservation covers. If not, and the
 * task is in a group, the refusal is counted there.
 */
static inline bool __must_check bc_file_covered(void)
{
	return static_branch_unlikely(&bc_numfiles_key) && __bc_file_covered();
}

#else

static inline int __must_check bc_file_charge(struct file *file)
{
	return 0;
}

static inline bool __must_check bc_file_covered(void)
{
	return false;
}

static inline void bc_file_uncharge(struct file *file)
{
}

static inline void bc_max_files_changed(void)
{
}

#endif /* CONFIG_BC_NUMFILES */
#endif /* _BC_NUMFILES_H */
