// SPDX-License-Identifier: GPL-2.0
/*
 * numfiles: how many files a group may have open
 *
 * The unit is the struct file, as in the beancounter patches of 2006: whatever
 * counts in the system-wide nr_files (open, pipe, socket, accept, epoll, memfd
 * and so on) counts here, once, however many descriptors refer to it. It is
 * charged to the group of the task that opened it, stays there when the
 * descriptor travels to another group or the task does, and is returned by the
 * last fput().
 *
 * RLIMIT_NOFILE bounds descriptors per process, and a group can have as many
 * processes as it can fork; nr_files is bounded for the machine. This is the
 * bound between the two, and a refusal looks like the former: EMFILE. Where the
 * groups together have come up to the machine's amount, it is mainline's ENFILE,
 * as it would have been a few files later.
 *
 * Mainline's own check of file-max comes first, and counts all files of the
 * machine. It does not stop a file that is covered by a reservation: what the
 * root group and the privileged have opened is not taken out of a guarantee.
 */

#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#include <bc/beancounter.h>
#include <bc/numfiles.h>

DEFINE_STATIC_KEY_FALSE(bc_numfiles_key);

/*
 * What memory holds: a tenth of it for files, at 1 KiB for a file with its
 * dentry and its inode. That is how files_maxfiles_init() finds the default of
 * file-max, which distributions set to more than any machine can have: a share
 * of that would mean nothing.
 */
static u64 numfiles_memory_holds(void)
{
	return max((u64)totalram_pages() * (PAGE_SIZE / 1024) / 10, NR_FILE);
}

/* The privileged may pass file-max: they must be able to open one to raise it. */
static u64 numfiles_capacity(enum bc_severity severity)
{
	if (severity != BC_BARRIER)
		return RES_COUNTER_MAX;
	return min(get_max_files(), numfiles_memory_holds());
}

DEFINE_PER_CPU(struct res_stock, numfiles_stock);
static struct bc_resource_state numfiles_state;

static const struct bc_resource numfiles_resource = {
	.ss		= &numfiles_cgrp_subsys,
	.id		= numfiles_cgrp_id,
	.state		= &numfiles_state,
	.stock		= &numfiles_stock,
	.key		= &bc_numfiles_key,
	.refused	= -EMFILE,
	.exhausted	= -ENFILE,
	.capacity	= numfiles_capacity,
};

static struct cgroup_subsys_state *
numfiles_css_alloc(struct cgroup_subsys_state *parent)
{
	return bc_css_alloc(&numfiles_resource, parent);
}

struct cgroup_subsys numfiles_cgrp_subsys = {
	.css_alloc	= numfiles_css_alloc,
	BC_CSS_CALLBACKS,
};

/* Where bc_charge_stock() has found too little. */
struct res_owner *__bc_file_charge(void)
{
	return __bc_charge(&numfiles_resource, 1, BC_BARRIER, true);
}

void __bc_file_uncharge(struct res_owner *owner)
{
	bc_uncharge(&numfiles_resource, owner, 1);
}

bool __bc_file_covered(void)
{
	const unsigned long max = get_max_files();

	/* There are that many, or some more. */
	return bc_current_covered(&numfiles_resource, 1, max, max);
}

/**
 * bc_max_files_changed() - the sysctl fs.file-max was written
 *
 * Context: Task context.
 */
void bc_max_files_changed(void)
{
	bc_machine_changed(&numfiles_resource);
}
