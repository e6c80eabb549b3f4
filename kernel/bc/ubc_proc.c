// SPDX-License-Identifier: GPL-2.0
/*
 * ubc: /proc/user_beancounters, which the tools of OpenVZ read
 *
 * A table for each group, in version 2.5 of the format: a row for each resource
 * that those tools know. The number before the colon, once a container's, is the
 * group's ID: its directory has it as inode number.
 *
 * The groups are those of the hierarchy that ubc is in: the root of the reader's
 * cgroup namespace, and those below. A reader keeps a reference to that root, and
 * one to the group that is shown next. So nothing is locked between two groups,
 * and a step is made under RCU, from one group to the next. A group that is
 * removed meanwhile stays in its parent's list as long as the reference, and is
 * left out. One that is made meanwhile is shown, or not.
 */

#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/nsproxy.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "ubc.h"

/* Controllers of one resource each that have a row, and the name of that row. */
static const struct {
	const char	*row;
	int		ssid;
} ubc_row_controllers[] = {
#ifdef CONFIG_BC_KMEM
	{ "kmemsize", kmem_cgrp_id },
#endif
#ifdef CONFIG_BC_NUMTASKS
	{ "numproc", numtasks_cgrp_id },
#endif
#ifdef CONFIG_BC_NUMFILES
	{ "numfile", numfiles_cgrp_id },
#endif
};

/*
 * The rows in OpenVZ's order. Those that a controller has no account of, for lack
 * of such a resource or of the controller in the group, are zero and unlimited.
 */
static const char * const ubc_rows[] = {
	"kmemsize", "lockedpages", "privvmpages", "shmpages", "dummy", "numproc",
	"physpages", "vmguarpages", "oomguarpages", "numtcpsock", "numflock",
	"numpty", "numsiginfo", "tcpsndbuf", "tcprcvbuf", "othersockbuf",
	"dgramrcvbuf", "numothersock", "dcachesize", "numfile", "dummy", "dummy",
	"dummy", "numiptent",
};

/**
 * struct ubc_reader - an open file
 * @top: the uppermost group that is shown
 * @index: how many groups were passed, and one for the header
 * @next: the group after these, with a reference; %NULL: there is none
 */
struct ubc_reader {
	struct cgroup	*top;
	loff_t		index;
	struct cgroup	*next;
};

/*
 * A line of the account @bc; %NULL: of nothing. The barrier is the one in force.
 */
static void ubc_show_row(struct seq_file *sf, const char *row, bool first,
			 struct beancounter *bc, u64 held, u64 maxheld)
{
	struct res_snapshot snap = {
		.usage		= held,
		.max_usage	= maxheld,
		.barrier	= RES_COUNTER_MAX,
		.limit		= RES_COUNTER_MAX,
	};

	if (bc)
		res_counter_read(&bc->counter, &snap);
	if (!first)
		seq_printf(sf, "%12s", "");
	seq_printf(sf, "%-12s %20llu %20llu %20llu %20llu %20llu\n", row,
		   min(snap.usage, LONG_MAX), min(snap.max_usage, LONG_MAX),
		   min3(snap.barrier, snap.limit, LONG_MAX),
		   min(snap.limit, LONG_MAX), min(snap.failcnt, LONG_MAX));
}

/* What a group has of controllers that have rows, with references. */
struct ubc_columns {
	struct cgroup_subsys_state	*ubc;
	struct cgroup_subsys_state	*css[ARRAY_SIZE(ubc_row_controllers)];
};

static bool ubc_get_columns(struct cgroup *cgrp, struct ubc_columns *columns)
{
	bool any;
	size_t i;

	columns->ubc = ubc_get_css(cgrp, ubc_cgrp_id);
	any = columns->ubc;
	for (i = 0; i < ARRAY_SIZE(columns->css); i++) {
		columns->css[i] = ubc_get_css(cgrp, ubc_row_controllers[i].ssid);
		if (columns->css[i])
			any = true;
	}
	return any;
}

static void ubc_put_columns(struct ubc_columns *columns)
{
	size_t i;

	if (columns->ubc)
		css_put(columns->ubc);
	for (i = 0; i < ARRAY_SIZE(columns->css); i++)
		if (columns->css[i])
			css_put(columns->css[i]);
}

static struct beancounter *ubc_row_account(const struct ubc_columns *columns,
					   const char *row)
{
	int kind = ubc_find_kind(row, strlen(row));
	size_t i;

	if (kind >= 0)
		return columns->ubc ?
		       ubc_find_account(css_ubc(columns->ubc), kind) : NULL;
	for (i = 0; i < ARRAY_SIZE(columns->css); i++)
		if (columns->css[i] && !strcmp(ubc_row_controllers[i].row, row))
			return css_bc(columns->css[i]);
	return NULL;
}

static int ubc_show_group(struct seq_file *sf, struct cgroup *cgrp)
{
	struct ubc_columns columns;
	u64 held = 0, maxheld = 0;
	size_t i;

	/* Removed, or without any of our controllers. */
	if (!ubc_get_columns(cgrp, &columns))
		return SEQ_SKIP;
	ubc_read_physpages(cgrp, &held, &maxheld);
	seq_printf(sf, "%10llu: ", cgroup_id(cgrp));
	for (i = 0; i < ARRAY_SIZE(ubc_rows); i++) {
		bool pages = !strcmp(ubc_rows[i], "physpages");

		ubc_show_row(sf, ubc_rows[i], !i,
			     ubc_row_account(&columns, ubc_rows[i]),
			     pages ? held : 0, pages ? maxheld : 0);
	}
	ubc_put_columns(&columns);
	return 0;
}

static int ubc_table_show(struct seq_file *sf, void *v)
{
	if (v != SEQ_START_TOKEN)
		return ubc_show_group(sf, v);
	seq_puts(sf, "Version: 2.5\n");
	seq_printf(sf, "%11s %-12s %20s %20s %20s %20s %20s\n", "uid", "resource",
		   "held", "maxheld", "barrier", "limit", "failcnt");
	return 0;
}

/* The group after @cgrp, with a reference. */
static struct cgroup *ubc_next_group(struct cgroup *cgrp, struct cgroup *top)
{
	struct cgroup_subsys_state *css = &cgrp->self;

	rcu_read_lock();
	do {
		css = css_next_descendant_pre(css, &top->self);
		/* Fails where it is about to leave the list. */
	} while (css && !css_tryget(css));
	rcu_read_unlock();
	return css ? css->cgroup : NULL;
}

static void ubc_set_next(struct ubc_reader *reader, struct cgroup *next)
{
	if (reader->next)
		cgroup_put(reader->next);
	reader->next = next;
}

static void *ubc_table_start(struct seq_file *sf, loff_t *pos)
{
	struct ubc_reader *reader = sf->private;

	if (!*pos) {
		reader->index = 0;
		return SEQ_START_TOKEN;
	}
	/* From where it was, as seq_file begins anew for any other place. */
	return *pos == reader->index ? reader->next : NULL;
}

static void *ubc_table_next(struct seq_file *sf, void *v, loff_t *pos)
{
	struct ubc_reader *reader = sf->private;
	struct cgroup *next = reader->top;

	/* There may be many that are not shown. */
	cond_resched();
	if (v == SEQ_START_TOKEN)
		cgroup_get(next);
	else
		next = ubc_next_group(v, next);
	ubc_set_next(reader, next);
	reader->index = ++*pos;
	return next;
}

static void ubc_table_stop(struct seq_file *sf, void *v)
{
}

static const struct seq_operations ubc_table_ops = {
	.start	= ubc_table_start,
	.next	= ubc_table_next,
	.stop	= ubc_table_stop,
	.show	= ubc_table_show,
};

/* The root of a cgroup namespace in the hierarchy of ubc, with a reference. */
static struct cgroup *ubc_get_top(struct cgroup_namespace *ns)
{
	struct css_set *cset = ns->root_cset;
	struct cgroup *cgrp;

	rcu_read_lock();
	/*
	 * On v2, ubc may be off there: then subsys[] has what is above. On v1 it
	 * is in each group.
	 */
	if (READ_ONCE(ubc_cgrp_subsys.root) == &cgrp_dfl_root)
		cgrp = cset->dfl_cgrp;
	else
		cgrp = READ_ONCE(cset->subsys[ubc_cgrp_id])->cgroup;
	if (!cgroup_tryget(cgrp))
		cgrp = NULL;
	rcu_read_unlock();
	return cgrp;
}

/*
 * For root of the user namespace that has the reader's cgroup namespace, by the
 * capabilities that let root read any file. It sees what that namespace has. So
 * the mode of the file, which belongs to root of the machine, cannot say that.
 */
static bool ubc_may_read(const struct cgroup_namespace *ns)
{
	return ns_capable(ns->user_ns, CAP_DAC_OVERRIDE) ||
	       ns_capable(ns->user_ns, CAP_DAC_READ_SEARCH);
}

static int ubc_table_open(struct inode *inode, struct file *file)
{
	struct cgroup_namespace *ns = current->nsproxy->cgroup_ns;
	struct ubc_reader *reader;

	if (!ubc_may_read(ns))
		return -EACCES;
	reader = __seq_open_private(file, &ubc_table_ops, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->top = ubc_get_top(ns);
	if (!reader->top) {
		seq_release_private(inode, file);
		return -ENOENT;
	}
	return 0;
}

static int ubc_table_release(struct inode *inode, struct file *file)
{
	struct seq_file *sf = file->private_data;
	struct ubc_reader *reader = sf->private;

	ubc_set_next(reader, NULL);
	cgroup_put(reader->top);
	return seq_release_private(inode, file);
}

static const struct proc_ops ubc_table_proc_ops = {
	.proc_open	= ubc_table_open,
	.proc_read_iter	= seq_read_iter,
	.proc_lseek	= seq_lseek,
	.proc_release	= ubc_table_release,
};

static int __init ubc_proc_init(void)
{
	if (cgroup_subsys_enabled(ubc_cgrp_subsys) &&
	    !proc_create("user_beancounters", 0444, NULL, &ubc_table_proc_ops))
		return -ENOMEM;
	return 0;
}
fs_initcall(ubc_proc_init);
