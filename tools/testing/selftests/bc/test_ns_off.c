// SPDX-License-Identifier: GPL-2.0
/*
 * ns is not there unless the kernel's command line asks for it: its rule would
 * lock in whatever containers run on the machine.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

/* The last column of /proc/cgroups: -1 if there is no such line. */
static int enabled(const char *controller)
{
	char line[256], name[64];
	int value, found = -1;
	FILE *f;

	f = fopen("/proc/cgroups", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %*d %*d %d", name, &value) == 2 &&
		    !strcmp(name, controller))
			found = value;
	if (f)
		fclose(f);
	return found;
}

FIXTURE(ns_off)
{
};

FIXTURE_SETUP(ns_off)
{
	bc_controller = "numfiles";
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	if (enabled("ns") > 0)
		SKIP(return, "booted with ns_cgroup=1");
	ASSERT_TRUE(bc_release())
		TH_LOG("%s", bc_why);
}

FIXTURE_TEARDOWN(ns_off)
{
}

/* lssubsys(1) fails on a controller that is shown there, off and not mounted. */
TEST_F(ns_off, it_is_not_among_those_there_are)
{
	EXPECT_EQ(-1, enabled("ns"));
	EXPECT_EQ(1, enabled("numfiles"));
}

TEST_F(ns_off, it_cannot_be_mounted)
{
	char *root;

	EXPECT_EQ(NULL, bc_mount_v1("ns"));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, bc_mount_v1("numfiles,ns"));
	EXPECT_EQ(EINVAL, errno);
	/* Which is no mistake of the other one. */
	root = bc_mount_v1("numfiles");
	ASSERT_NE(NULL, root)
		TH_LOG("%s", bc_why);
	EXPECT_EQ(0, bc_umount(root));
	EXPECT_SOON(0, bc_hierarchy_of("numfiles"));
}

/* Where all are mounted, tasks come and go as ever. */
TEST_F(ns_off, it_is_not_among_all)
{
	struct worker *w[2];
	char *root, *a, *b;
	int i;

	root = bc_mount_v1("all");
	/* Not where others have some of them. */
	if (!root)
		SKIP(return, "%s", bc_why);
	a = cg_new(root, "bc_a");
	b = cg_new(root, "bc_b");
	ASSERT_TRUE(a && b);
	EXPECT_EQ(-ENOENT, cg_get(a, "ns.auto_delete"));
	for (i = 0; i < 2; i++) {
		/* A new group has no CPUs and no memory to run with. */
		char *cg = i ? b : a, cpus[256], mems[256];

		snprintf(cpus, sizeof(cpus), "%s", cg_read(root, "cpuset.cpus"));
		snprintf(mems, sizeof(mems), "%s", cg_read(root, "cpuset.mems"));
		cg_write(cg, "cpuset.cpus", cpus);
		cg_write(cg, "cpuset.mems", mems);
	}
	for (i = 0; i < 2; i++) {
		w[i] = worker_new(a);
		EXPECT_NE(NULL, w[i]);
	}
	EXPECT_EQ(0, cg_attach(b, w[0]->pid));
	EXPECT_EQ(0, cg_attach(a, w[0]->pid));
	EXPECT_EQ(0, cg_attach(root, w[0]->pid));
	for (i = 0; i < 2; i++)
		worker_kill(w[i]);
	EXPECT_EQ(0, cg_purge(a));
	EXPECT_EQ(0, cg_purge(b));
	/* A hierarchy that has a dying group when it goes stays. */
	bc_soon(bc_num_cgroups("numfiles") == 1);
	EXPECT_EQ(0, bc_umount(root));
	EXPECT_SOON(0, bc_hierarchy_of("numfiles"));
}

TEST_F(ns_off, v2_does_not_have_it)
{
	char *root = bc_mount_v2();

	ASSERT_NE(NULL, root);
	EXPECT_FALSE(bc_has_word(cg_read(root, "cgroup.controllers"), "ns"));
	EXPECT_NE(0, cg_write(root, "cgroup.subtree_control", "+ns"));
	EXPECT_EQ(0, bc_umount(root));
}

TEST_HARNESS_MAIN
