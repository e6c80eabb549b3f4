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
 */

#include <linux/errno.h>
#include <linux/fs.h>

#include <bc/beancounter.h>
#include <bc/numfiles.h>

DEFINE_STATIC_KEY_FALSE(bc_numfiles_key);

/* The privileged may pass file-max: they must be able to open one to raise it. */
static u64 numfiles_capacity(enum bc_severity severity)
{
	return severity == BC_BARRIER ? get_max_files() : RES_COUNTER_MAX;
}

static struct bc_resource numfiles_resource = {
	.ss		= &numfiles_cgrp_subsys,
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

struct res_owner *__bc_file_charge(void)
{
	return bc_charge(&numfiles_resource, 1, BC_BARRIER, true);
}

void __bc_file_uncharge(struct res_owner *owner)
{
	bc_uncharge(&numfiles_resource, owner, 1);
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
