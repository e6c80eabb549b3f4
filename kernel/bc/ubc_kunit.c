// SPDX-License-Identifier: GPL-2.0
/*
 * What is accepted in the flat keyed files of ubc: see ubc_parse(); and what a group
 * takes of memory.
 */

#include <kunit/test.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/string_helpers.h>

#include "ubc.h"

struct write {
	const char	*text;
	size_t		len;	/* 0: the text's */
	unsigned int	how;
	int		err;
	unsigned long	given;
	u64		first;	/* of the kind UBC_NUMINOTIFY */
};

#define NOTIFY	BIT(UBC_NUMINOTIFY)
#define PTY	BIT(UBC_NUMPTY)

static const struct write writes[] = {
	{ "numinotify 5", .given = NOTIFY, .first = 5 },
	{ "numinotify 5\n", .given = NOTIFY, .first = 5 },
	{ "numinotify\t5", .given = NOTIFY, .first = 5 },
	{ "  numinotify   5  \n", .given = NOTIFY, .first = 5 },
	{ "numinotify max", .given = NOTIFY, .first = RES_COUNTER_MAX },
	{ "numinotify 0\nnumpty 7\n", .given = NOTIFY | PTY },
	{ "numpty 7\n\nnuminotify 3", .given = NOTIFY | PTY, .first = 3 },
	{ "numinotify -1", .how = BC_PARSE_MINUS_ONE, .given = NOTIFY,
	  .first = RES_COUNTER_MAX },
	{ "numinotify 9223372036854775807", .given = NOTIFY,
	  .first = RES_COUNTER_MAX },
	{ "", .err = -EINVAL },
	{ "\n \n", .err = -EINVAL },
	{ "5", .err = -EINVAL },
	{ "numinotify", .err = -EINVAL },
	{ "numinotify ", .err = -EINVAL },
	{ "numinotify\n5", .err = -EINVAL },
	{ "numinotify5", .err = -EINVAL },
	{ "numinotify=5", .err = -EINVAL },
	{ "numinotif 5", .err = -EINVAL },
	{ "numinotifyy 5", .err = -EINVAL },
	{ "NUMINOTIFY 5", .err = -EINVAL },
	{ "numfile 5", .err = -EINVAL },
	{ "numinotify 5 6", .err = -EINVAL },
	{ "numinotify 5 numpty 6", .err = -EINVAL },
	{ "numinotify -1", .err = -EINVAL },
	{ "numinotify 5K", .err = -EINVAL },
	{ "numinotify 18446744073709551616", .err = -EINVAL },
	{ "numinotify 9223372036854775808", .err = -EINVAL },
	{ "numinotify 5\nnuminotify 5", .err = -EINVAL },
	{ "numinotify 5\nnumpty", .err = -EINVAL },
	{ "numinotify 5\nnumpty x", .err = -EINVAL },
	{ "numinotify 5\0", .len = 13, .err = -EINVAL },
	{ "numinotify 5\0numpty 6", .len = 21, .err = -EINVAL },
};

static void describe(const struct write *write, char *desc)
{
	memset(desc, 0, KUNIT_PARAM_DESC_SIZE);
	string_escape_mem(write->text, write->len ?: strlen(write->text), desc,
			  KUNIT_PARAM_DESC_SIZE - 1, ESCAPE_ANY_NP, NULL);
}

KUNIT_ARRAY_PARAM(write, writes, describe);

static void lines_are_read_as_documented(struct kunit *test)
{
	const struct write *write = test->param_value;
	size_t len = write->len ?: strlen(write->text);
	struct ubc_values values = { };
	char buf[64] = "";

	memcpy(buf, write->text, len);
	KUNIT_EXPECT_EQ(test, write->err,
			ubc_parse(buf, len, write->how, &values));
	if (write->err)
		return;
	KUNIT_EXPECT_EQ(test, write->given, values.given);
	if (write->given & NOTIFY)
		KUNIT_EXPECT_EQ(test, write->first, values.val[UBC_NUMINOTIFY]);
}

/* Directly below the root: a path of one. */
static void group_that_uses_all_kinds_is_small(struct kunit *test)
{
	const size_t account = ALIGN(BC_PLAIN_ACCOUNT,
				     __alignof__(struct beancounter));
	const size_t kind = account + RES_OWNER_SIZE +
			    kmalloc_size_roundup(sizeof(struct res_counter *));
	const size_t group = sizeof(struct ubc_group) -
			     sizeof(struct cgroup_subsys_state);

	kunit_info(test, "%zu bytes, and %zu for each of %d kinds\n", group, kind,
		   UBC_NR_KINDS);
	if (IS_ENABLED(CONFIG_LOCKDEP) || IS_ENABLED(CONFIG_DEBUG_SPINLOCK))
		kunit_skip(test, "locks are larger than usual");
	/* Each part of a counter fills a cache line. */
	KUNIT_EXPECT_EQ(test, offsetof(struct res_counter, lock), 64);
	KUNIT_EXPECT_EQ(test, offsetof(struct res_counter, max_usage), 128);
	KUNIT_EXPECT_EQ(test, account, 320);
	KUNIT_EXPECT_LE(test, group + UBC_NR_KINDS * kind, SZ_4K + SZ_2K);
}

static struct kunit_case ubc_cases[] = {
	KUNIT_CASE(group_that_uses_all_kinds_is_small),
	KUNIT_CASE_PARAM(lines_are_read_as_documented, write_gen_params),
	{ }
};

static struct kunit_suite ubc_suite = {
	.name = "bc_ubc",
	.test_cases = ubc_cases,
};

kunit_test_suite(ubc_suite);
