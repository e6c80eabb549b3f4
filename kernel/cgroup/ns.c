// SPDX-License-Identifier: GPL-2.0
/*
 * ns: groups that name sets of namespaces, behind a one-way door
 *
 * The namespace container subsystem of January 2007 (Serge Hallyn): a v1
 * controller that counts nothing. Its rule is where a task may go: into a group
 * directly below its own that has no task, and no task in the groups further
 * down; and nowhere else. So a group's tasks are the descendants of the one
 * task, or the one thread group, that was first there. The path of the group is
 * a name for what they share, such as a set of namespaces.
 *
 * That rule would lock in all containers that run on a machine. Hence the
 * controller is there only with "ns_cgroup=1" on the kernel's command line. A
 * mount gets it only by its name even then: "mount -t cgroup" for all
 * controllers leaves it out. Documentation/bc/ns.rst says what to use instead.
 *
 * ns.auto_delete is the option that was thought of in the same discussion: the
 * group removes itself when its last task has exited or its last child was
 * removed.
 *
 * Locking
 *
 * can_attach() looks whether a group is empty, under cgroup_mutex: no task can
 * enter between that and the attachment, and an empty group has no task that
 * could fork. Groups remove themselves from a work item, under cgroup_mutex, by
 * the function that rmdir(2) calls, which looks once more whether they are
 * empty.
 */

#include <linux/cgroup.h>
#include <linux/errno.h>
#include <linux/init.h>
#include <linux/kstrtox.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "cgroup-internal.h"

/**
 * struct ns_group - what ns keeps for a group
 * @css: the cgroup's side
 * @auto_delete: remove it when it is left
 * @work: does that
 */
struct ns_group {
	struct cgroup_subsys_state	css;
	bool				auto_delete;
	struct work_struct		work;
};

static bool ns_wanted;

static int __init ns_setup(char *str)
{
	return !kstrtobool(str, &ns_wanted);
}
__setup("ns_cgroup=", ns_setup);

static struct ns_group *css_ns(struct cgroup_subsys_state *css)
{
	return container_of(css, struct ns_group, css);
}

static void ns_delete(struct work_struct *work)
{
	struct ns_group *group = container_of(work, struct ns_group, work);
	struct cgroup *cgrp = group->css.cgroup;

	cgroup_lock();
	/*
	 * A task may have entered meanwhile: cgroup_destroy_locked() refuses.
	 * Or rmdir(2) was faster.
	 */
	if (READ_ONCE(group->auto_delete) && !cgroup_is_dead(cgrp))
		cgroup_destroy_locked(cgrp);
	cgroup_unlock();
	css_put(&group->css);
}

/*
 * A task or a child has left @css. The caller sees to it that @css stays for
 * now. Of several that leave at a time, the one that is counted out last finds
 * @css empty.
 */
static void ns_left(struct cgroup_subsys_state *css)
{
	struct ns_group *group = css_ns(css);

	if (!css->parent || !READ_ONCE(group->auto_delete) ||
	    cgroup_is_populated(css->cgroup))
		return;
	css_get(css);
	/* It is queued already, and has not looked yet. */
	if (!queue_work(system_unbound_wq, &group->work))
		css_put(css);
}

static struct cgroup_subsys_state *
ns_css_alloc(struct cgroup_subsys_state *parent)
{
	struct ns_group *group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);

	if (!group)
		return ERR_PTR(-ENOMEM);
	INIT_WORK(&group->work, ns_delete);
	if (parent) {
		group->auto_delete = READ_ONCE(css_ns(parent)->auto_delete);
	} else if (!ns_wanted) {
		/*
		 * The root's is made at boot, before cgroup core looks which
		 * controllers are enabled, and which have an exit callback.
		 */
		static_branch_disable(&ns_cgrp_subsys_enabled_key);
		ns_cgrp_subsys.exit = NULL;
	}
	return &group->css;
}

static void ns_css_killed(struct cgroup_subsys_state *css)
{
	ns_left(css->parent);
}

static void ns_css_free(struct cgroup_subsys_state *css)
{
	kfree(css_ns(css));
}

static int ns_can_attach(struct cgroup_taskset *tset)
{
	struct cgroup_subsys_state *css;
	struct task_struct *task;

	cgroup_taskset_for_each(task, css, tset) {
		if (css->parent != task_css(task, ns_cgrp_id))
			return -EPERM;
		/* All tasks of @tset go there, and none has arrived yet. */
		if (cgroup_is_populated(css->cgroup))
			return -EPERM;
	}
	return 0;
}

/* The task is in no group's list any more. */
static void ns_exit(struct task_struct *task)
{
	rcu_read_lock();
	ns_left(task_css(task, ns_cgrp_id));
	rcu_read_unlock();
}

static u64 ns_auto_delete_read(struct cgroup_subsys_state *css,
			       struct cftype *cft)
{
	return READ_ONCE(css_ns(css)->auto_delete);
}

static int ns_auto_delete_write(struct cgroup_subsys_state *css,
				struct cftype *cft, u64 val)
{
	if (val > 1)
		return -EINVAL;
	WRITE_ONCE(css_ns(css)->auto_delete, val);
	return 0;
}

static struct cftype ns_files[] = {
	{
		.name = "auto_delete",
		.flags = CFTYPE_NOT_ON_ROOT,
		.read_u64 = ns_auto_delete_read,
		.write_u64 = ns_auto_delete_write,
	},
	{ }
};

struct cgroup_subsys ns_cgrp_subsys = {
	.css_alloc	= ns_css_alloc,
	.css_killed	= ns_css_killed,
	.css_free	= ns_css_free,
	.can_attach	= ns_can_attach,
	.exit		= ns_exit,
	.legacy_cftypes	= ns_files,
	.by_name	= true,
};
