// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of how amounts are read.
 */

#include <kunit/test.h>
#include <linux/string.h>

#include "internal.h"

#define UNCHANGED	0x5eed

struct amount {
	const char	*text;
	size_t		len;		/* 0: strlen(text) */
	unsigned int	how;
	int		err;
	u64		val;
};

static const struct amount amounts[] = {
	{ "0", .val = 0 },
	{ "1", .val = 1 },
	{ "100\n", .val = 100 },
	{ " \t100 \n", .val = 100 },
	{ "007", .val = 7 },
	{ "max", .val = RES_COUNTER_MAX },
	{ " max\n", .val = RES_COUNTER_MAX },
	{ "9223372036854775806", .val = RES_COUNTER_MAX - 1 },
	{ "9223372036854775807", .val = RES_COUNTER_MAX },
	{ "-1", .how = BC_PARSE_MINUS_ONE, .val = RES_COUNTER_MAX },
	{ "4k", .how = BC_PARSE_BYTES, .val = 4096 },
	{ "4K\n", .how = BC_PARSE_BYTES, .val = 4096 },
	{ "64M", .how = BC_PARSE_BYTES, .val = 64 << 20 },
	{ "3G", .how = BC_PARSE_BYTES, .val = 3ULL << 30 },
	{ "0G", .how = BC_PARSE_BYTES, .val = 0 },
	{ "8589934591G", .how = BC_PARSE_BYTES, .val = 8589934591ULL << 30 },
	{ "17", .how = BC_PARSE_BYTES, .val = 17 },

	{ "", .err = -EINVAL },
	{ "\n", .err = -EINVAL },
	{ "  \t ", .err = -EINVAL },
	{ "many", .err = -EINVAL },
	{ "maximum", .err = -EINVAL },
	{ "ma", .err = -EINVAL },
	{ "MAX", .err = -EINVAL },
	{ "max 1", .err = -EINVAL },
	{ "-1", .err = -EINVAL },
	{ "-2", .how = BC_PARSE_MINUS_ONE, .err = -EINVAL },
	{ "-", .how = BC_PARSE_MINUS_ONE, .err = -EINVAL },
	{ "- 1", .how = BC_PARSE_MINUS_ONE, .err = -EINVAL },
	{ "-10", .how = BC_PARSE_MINUS_ONE, .err = -EINVAL },
	{ "+1", .err = -EINVAL },
	{ "0x10", .err = -EINVAL },
	{ "1.5", .err = -EINVAL },
	{ "1e3", .err = -EINVAL },
	{ "5x", .err = -EINVAL },
	{ "5 5", .err = -EINVAL },
	{ "5\n5", .err = -EINVAL },
	{ "5\0", .len = 2, .err = -EINVAL },
	{ "5\0 6", .len = 4, .err = -EINVAL },
	{ "4K", .err = -EINVAL },
	{ "K", .how = BC_PARSE_BYTES, .err = -EINVAL },
	{ "4KB", .how = BC_PARSE_BYTES, .err = -EINVAL },
	{ "4KK", .how = BC_PARSE_BYTES, .err = -EINVAL },
	{ "4 K", .how = BC_PARSE_BYTES, .err = -EINVAL },
	{ "4T", .how = BC_PARSE_BYTES, .err = -EINVAL },
	{ "9223372036854775808", .err = -EINVAL },
	{ "18446744073709551615", .err = -EINVAL },
	{ "18446744073709551616", .err = -EINVAL },
	{ "99999999999999999999999", .err = -EINVAL },
	{ "8589934592G", .how = BC_PARSE_BYTES, .err = -EINVAL },
	{ "18446744073709551615G", .how = BC_PARSE_BYTES, .err = -EINVAL },
};

static void describe(const struct amount *amount, char *desc)
{
	char text[64] = "";

	string_escape_mem(amount->text, amount->len ?: strlen(amount->text),
			  text, sizeof(text) - 1, ESCAPE_ANY_NP, NULL);
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "'%s'%s%s", text,
		 amount->how & BC_PARSE_BYTES ? " as bytes" : "",
		 amount->how & BC_PARSE_MINUS_ONE ? " on v1" : "");
}

KUNIT_ARRAY_PARAM(amount, amounts, describe);

static void amount_is_read_as_documented(struct kunit *test)
{
	const struct amount *amount = test->param_value;
	size_t len = amount->len ?: strlen(amount->text);
	u64 val = UNCHANGED;

	KUNIT_EXPECT_EQ(test, amount->err,
			bc_parse_amount(amount->text, len, amount->how, &val));
	KUNIT_EXPECT_EQ(test, val, amount->err ? UNCHANGED : amount->val);
}

static struct kunit_case files_cases[] = {
	KUNIT_CASE_PARAM(amount_is_read_as_documented, amount_gen_params),
	{ }
};

static struct kunit_suite files_suite = {
	.name = "bc_files",
	.test_cases = files_cases,
};

kunit_test_suite(files_suite);
