// SPDX-License-Identifier: GPL-2.0
/*
 * physpages in ubc's files on v1, where memcg is mounted together with ubc. A test
 * of its own: memcg is not to be on v2 before, as it has no count of memory and
 * swap there.
 */
/* bc-boot: --mem 512M */
#include "../kselftest_harness.h"
#include "bc_util.h"

TEST(physpages_are_those_of_memcg)
{
	struct worker *w;
	char *root, *group;
	long long usage;

	bc_controller = "ubc";
	ASSERT_FALSE(bc_missing())
		TH_LOG("%s", bc_why);
	ASSERT_TRUE(bc_release());
	root = bc_mount_v1("ubc,memory");
	ASSERT_NE(NULL, root)
		TH_LOG("%s", bc_why);
	group = cg_new(root, "group");
	ASSERT_NE(NULL, group);
	w = worker_new(group);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, touch_pages, 1000));

	usage = cg_key(group, "usage", "physpages");
	EXPECT_LE(1000, usage);
	EXPECT_LE(usage, cg_key(group, "max_usage", "physpages"));
	/* It is no kind: there is nothing to bound, and nothing to set back. */
	EXPECT_EQ(-EINVAL, cg_write(group, "limit", "physpages 5"));
	EXPECT_EQ(-ENOENT, cg_key(group, "limit", "physpages"));
	EXPECT_EQ(0, cg_write(group, "max_usage", "0"));
	EXPECT_LE(usage, cg_key(group, "max_usage", "physpages"));

	worker_end(w);
	EXPECT_EQ(0, cg_purge(group));
	EXPECT_EQ(0, bc_umount(root));
}

TEST_HARNESS_MAIN
