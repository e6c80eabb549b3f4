// SPDX-License-Identifier: GPL-2.0
/*
 * Every file of a group against every input: what is accepted and how it reads
 * afterwards; what is refused, with which error, and that nothing changed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

FIXTURE(input)
{
	char *top;
	char *group;		/* has limit, barrier, usage and refusals */
	struct worker *worker;	/* unprivileged, in it */
};

FIXTURE_VARIANT(input)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(input, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(input, v2) { .v2 = true };

/* Numbers that differ from each other and from every default. */
enum { LIMIT = 77, BARRIER = 7, PEAK = 7, USAGE = 5, REFUSALS = 3 };

FIXTURE_SETUP(input)
{
	int i;

	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	ASSERT_NE(NULL, self->group);
	self->worker = worker_new(self->group);
	ASSERT_NE(NULL, self->worker);
	ASSERT_EQ(0, call(self->worker, become_nobody, 0));
	ASSERT_EQ(0, call(self->worker, pin_to_cpu, 0));
	ASSERT_EQ(0, cg_write(self->group, "limit", "77"));
	ASSERT_EQ(0, cg_write(self->group, "barrier", "7"));
	ASSERT_EQ(0, call(self->worker, open_files, PEAK));
	for (i = 0; i < REFUSALS; i++)
		ASSERT_EQ(-EMFILE, call(self->worker, open_one, 0));
	ASSERT_EQ(0, call(self->worker, close_files, PEAK - USAGE));
}

FIXTURE_TEARDOWN(input)
{
	bc_teardown();
}

/* A NUMBER takes any, an OTHER some (see their own tests): bad ones neither. */
enum kind { NONE, READ, NUMBER, OTHER, RESET };

/* All files, in either convention. */
static const struct {
	const char *name;
	enum kind v1, v2;
} files[] = {
	{ "usage",		READ,	READ },
	{ "max_usage",		RESET,	RESET },
	{ "min_usage",		RESET,	NONE },
	{ "limit",		NUMBER,	NUMBER },
	{ "barrier",		NUMBER,	NUMBER },
	{ "reservation",	OTHER,	OTHER },
	{ "strict",		OTHER,	OTHER },
	{ "shares",		OTHER,	OTHER },
	{ "failcnt",		RESET,	NONE },
	{ "stat",		RESET,	RESET },
	{ "events",		READ,	READ },
	{ "events.local",	READ,	READ },
};

static enum kind kind_of(size_t i)
{
	return bc_v2 ? files[i].v2 : files[i].v1;
}

/* The contents of all files of the group, to be compared later. */
static char *snapshot(const char *cg)
{
	char *all = NULL;
	size_t i, size;
	FILE *f = open_memstream(&all, &size);

	if (!f)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(files); i++)
		if (kind_of(i) != NONE)
			fprintf(f, "%s:\n%s", files[i].name,
				cg_read(cg, files[i].name));
	fclose(f);
	return all;
}

/* The fixture's own arithmetic, and the exact text of every file. */
TEST_F(input, contents)
{
	const char *group = self->group;

	EXPECT_STREQ("5\n", cg_read(group, "usage"));
	EXPECT_STREQ("7\n", cg_read(group, "max_usage"));
	EXPECT_STREQ("77\n", cg_read(group, "limit"));
	EXPECT_STREQ("7\n", cg_read(group, "barrier"));
	EXPECT_STREQ("barrier 3\nmax 0\nforced 0\n", cg_read(group, "events"));
	EXPECT_STREQ("barrier 3\nmax 0\nforced 0\n", cg_read(group, "events.local"));
	EXPECT_STREQ("barrier 3\nmax 0\nforced 0\n", cg_read(self->top, "events"));
	EXPECT_STREQ("barrier 0\nmax 0\nforced 0\n", cg_read(self->top, "events.local"));
	EXPECT_EQ(0, cg_key(group, "stat", "min_usage"));
	EXPECT_EQ(7, cg_key(group, "stat", "charged"));
	EXPECT_EQ(2, cg_key(group, "stat", "uncharged"));
	EXPECT_EQ(REFUSALS, cg_refusals(group));
	if (!variant->v2) {
		EXPECT_STREQ("0\n", cg_read(group, "min_usage"));
		EXPECT_STREQ("3\n", cg_read(group, "failcnt"));
	}
	/* Unlimited, in the words of either convention. */
	EXPECT_STREQ(variant->v2 ? "max\n" : "9223372036854775807\n",
		     cg_read(self->top, "limit"));
	EXPECT_STREQ(variant->v2 ? "max\n" : "9223372036854775807\n",
		     cg_read(self->top, "barrier"));
}

/* These files with these modes, and no others. */
TEST_F(input, files_and_modes)
{
	int expected = 0, seen = 0;
	struct dirent *entry;
	struct stat st;
	size_t i;
	DIR *dir;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (kind_of(i) == NONE)
			continue;
		expected++;
		ASSERT_EQ(0, stat(cg_path(self->group, files[i].name), &st))
			TH_LOG("no %s", files[i].name);
		EXPECT_EQ(kind_of(i) == READ ? 0444 : 0644, st.st_mode & 0777)
			TH_LOG("%s", files[i].name);
	}
	dir = opendir(self->group);
	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir)))
		seen += !strncmp(entry->d_name, "numfiles.", 9);
	closedir(dir);
	EXPECT_EQ(expected, seen);
}

/* The root has nothing to limit and counts nothing; but its children may. */
TEST_F(input, root_has_two_files)
{
	struct dirent *entry;
	int seen = 0;
	char *root;
	DIR *dir;

	ASSERT_GT(asprintf(&root, "%s/..", self->top), 0);
	dir = opendir(root);
	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "numfiles.", 9))
			continue;
		seen++;
		EXPECT_TRUE(!strcmp("numfiles.strict", entry->d_name) ||
			    !strcmp("numfiles.shares", entry->d_name));
	}
	closedir(dir);
	EXPECT_EQ(2, seen);
}

/* With lengths, for what contains a NUL. */
#define TEXT(s) { s, sizeof(s) - 1 }

static const struct {
	const char *text;
	size_t len;
} bad_numbers[] = {
	TEXT("\n"), TEXT(" "), TEXT("  \n"), TEXT("\t"), TEXT("\0"),
	TEXT("x"), TEXT("five"), TEXT("infinity"), TEXT("unlimited"),
	TEXT("MAX"), TEXT("Max"), TEXT("maximum"), TEXT("ma"), TEXT("max 5"),
	TEXT("5 max"), TEXT("max\n5"), TEXT("-max"),
	TEXT("-5"), TEXT("-0"), TEXT("-2"), TEXT("- 1"), TEXT("--1"), TEXT("+5"),
	TEXT("-9223372036854775807"), TEXT("-9223372036854775808"),
	TEXT("0x10"), TEXT("0b1"), TEXT("1e3"), TEXT("1.5"), TEXT("5."),
	TEXT(".5"), TEXT("1,000"), TEXT("1_000"),
	TEXT("5 5"), TEXT("5x"), TEXT("x5"), TEXT("5\n5"), TEXT("5 x\n"),
	TEXT("5;"), TEXT("5\0"), TEXT("5\0 6"), TEXT("5\0006"), TEXT("\0005"),
	/* A number of files knows no thousands. */
	TEXT("1K"), TEXT("1k"), TEXT("1M"), TEXT("1G"), TEXT("1T"), TEXT("1KiB"),
	TEXT("5%"), TEXT("\xff"), TEXT("5\xc2\xa0"), TEXT("\xd9\xa5"),
	/* 2^63, 2^64 - 1, 2^64, 2^64 + 5, and longer */
	TEXT("9223372036854775808"), TEXT("18446744073709551615"),
	TEXT("18446744073709551616"), TEXT("18446744073709551621"),
	TEXT("99999999999999999999999"),
	TEXT("340282366920938463463374607431768211461"),
};

TEST_F(input, bad_numbers)
{
	char *before = snapshot(self->group);
	size_t i, j;

	ASSERT_NE(NULL, before);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (kind_of(i) != NUMBER && kind_of(i) != OTHER)
			continue;
		for (j = 0; j < ARRAY_SIZE(bad_numbers); j++) {
			EXPECT_EQ(-EINVAL, cg_write_raw(self->group, files[i].name,
							bad_numbers[j].text,
							bad_numbers[j].len))
				TH_LOG("%s: '%s' (%zu bytes)", files[i].name,
				       bad_numbers[j].text, bad_numbers[j].len);
		}
		/* -1 is v1's word for unlimited, and no word of v2. */
		if (variant->v2) {
			EXPECT_EQ(-EINVAL, cg_write(self->group, files[i].name, "-1"))
				TH_LOG("%s", files[i].name);
		}
	}
	EXPECT_STREQ(before, snapshot(self->group));
}

static const struct {
	const char *text;
	long long value;
	bool only_v1;
} good_numbers[] = {
	{ "100",		100 },
	{ "100\n",		100 },
	{ " 100",		100 },
	{ "100 ",		100 },
	{ "\t 100 \n",		100 },
	{ "\n100\n\n",		100 },
	{ "007",		7 },
	{ "5",			5 },
	{ "4294967295",		4294967295LL },
	{ "4294967296",		4294967296LL },
	{ "9223372036854775806", 9223372036854775806LL },
	{ "9223372036854775807", BC_UNLIMITED },
	{ "max",		BC_UNLIMITED },
	{ "max\n",		BC_UNLIMITED },
	{ "  max  ",		BC_UNLIMITED },
	{ "-1",			BC_UNLIMITED, true },
	{ " -1\n",		BC_UNLIMITED, true },
};

TEST_F(input, good_numbers)
{
	char expected[32];
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (kind_of(i) != NUMBER)
			continue;
		for (j = 0; j < ARRAY_SIZE(good_numbers); j++) {
			if (good_numbers[j].only_v1 && variant->v2)
				continue;
			/* From a value that none of them is. */
			ASSERT_EQ(0, cg_write(self->group, files[i].name, "31"));
			EXPECT_EQ(0, cg_write(self->group, files[i].name,
					      good_numbers[j].text))
				TH_LOG("%s: '%s'", files[i].name,
				       good_numbers[j].text);
			if (variant->v2 && good_numbers[j].value == BC_UNLIMITED)
				strcpy(expected, "max\n");
			else
				sprintf(expected, "%lld\n", good_numbers[j].value);
			EXPECT_STREQ(expected, cg_read(self->group, files[i].name));
		}
	}
	/* Neither is bounded by the other. */
	EXPECT_EQ(0, cg_set(self->group, "limit", 10));
	EXPECT_EQ(0, cg_set(self->group, "barrier", 20));
	EXPECT_EQ(10, cg_get(self->group, "limit"));
	EXPECT_EQ(20, cg_get(self->group, "barrier"));
}

/* A write of nothing says nothing. */
TEST_F(input, empty_write)
{
	char *before = snapshot(self->group);
	size_t i;
	int fd;

	ASSERT_NE(NULL, before);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (kind_of(i) == NONE || kind_of(i) == READ)
			continue;
		fd = cg_open(self->group, files[i].name, O_WRONLY);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(0, write(fd, "", 0))
			TH_LOG("%s", files[i].name);
		close(fd);
	}
	EXPECT_STREQ(before, snapshot(self->group));
}

/* A page is read whole; what is longer is not read in part. */
TEST_F(input, long_write)
{
	size_t i, page = sysconf(_SC_PAGESIZE);
	char *before = snapshot(self->group);
	char *text = malloc(page + 1);

	ASSERT_NE(NULL, before);
	ASSERT_NE(NULL, text);
	memset(text, ' ', page + 1);
	text[0] = '9';
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (kind_of(i) == NONE || kind_of(i) == READ)
			continue;
		EXPECT_EQ(-E2BIG, cg_write_raw(self->group, files[i].name, text,
					       page + 1))
			TH_LOG("%s", files[i].name);
	}
	EXPECT_STREQ(before, snapshot(self->group));

	/* 9 and 4095 blanks; 4096 digits */
	EXPECT_EQ(0, cg_write_raw(self->group, "limit", text, page));
	EXPECT_EQ(9, cg_get(self->group, "limit"));
	memset(text, '9', page);
	EXPECT_EQ(-EINVAL, cg_write_raw(self->group, "limit", text, page));
	EXPECT_EQ(9, cg_get(self->group, "limit"));
	free(text);
}

static int against_its_mode(const char *cg, const char *file, int flags)
{
	int fd = cg_open(cg, file, flags);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static char *group_of_worker;

/* Tries all files for writing: 0 if each was refused as it should be. */
static long open_all_for_writing(long only_read)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (kind_of(i) == NONE || (only_read && kind_of(i) != READ))
			continue;
		if (against_its_mode(group_of_worker, files[i].name, O_WRONLY) !=
		    -EACCES ||
		    against_its_mode(group_of_worker, files[i].name, O_RDWR) !=
		    -EACCES)
			return i + 1;
	}
	return 0;
}

/*
 * A mode is for tasks without CAP_DAC_OVERRIDE. Tasks with it may open what they
 * like; they find nothing to write to.
 */
TEST_F(input, against_the_mode)
{
	char *before = snapshot(self->group);
	struct worker *root, *user;
	size_t i;

	ASSERT_NE(NULL, before);
	group_of_worker = self->group;
	root = worker_new(NULL);
	ASSERT_NE(NULL, root);
	ASSERT_EQ(0, call(root, drop_capability, CAP_DAC_OVERRIDE));
	EXPECT_EQ(0, call(root, open_all_for_writing, true));
	user = worker_new(NULL);
	ASSERT_NE(NULL, user);
	ASSERT_EQ(0, call(user, become_nobody, 0));
	EXPECT_EQ(0, call(user, open_all_for_writing, false));

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (kind_of(i) != READ)
			continue;
		EXPECT_EQ(-EINVAL, cg_write(self->group, files[i].name, "1"))
			TH_LOG("%s", files[i].name);
	}
	EXPECT_STREQ(before, snapshot(self->group));
}

/* Whatever is written to a file that resets, it is the write that counts. */
TEST_F(input, resets)
{
	static const char * const texts[] = { "0", "\n", "reset", "-5", "99 x" };
	char *group = self->group;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		/* Away from what a reset gives. */
		ASSERT_EQ(0, call(self->worker, open_files, 2));
		ASSERT_EQ(-EMFILE, call(self->worker, open_one, 0));
		ASSERT_EQ(0, call(self->worker, close_files, 4));
		ASSERT_EQ(0, call(self->worker, open_files, 2));
		EXPECT_LT(0, cg_key(group, "stat", "charged"));

		EXPECT_EQ(0, cg_write(group, "stat", texts[i]));
		EXPECT_EQ(0, cg_key(group, "stat", "charged"));
		EXPECT_EQ(0, cg_key(group, "stat", "uncharged"));
		if (variant->v2) {
			EXPECT_EQ(5, cg_key(group, "stat", "min_usage"));
			continue;
		}
		/* In v1 each extreme and the count has a file of its own. */
		EXPECT_NE(5, cg_get(group, "min_usage"));
		EXPECT_EQ(7, cg_get(group, "max_usage"));
		EXPECT_LT(0, cg_get(group, "failcnt"));
		EXPECT_EQ(0, cg_write(group, "min_usage", texts[i]));
		EXPECT_EQ(5, cg_get(group, "min_usage"));
		EXPECT_EQ(7, cg_get(group, "max_usage"));
		EXPECT_EQ(0, cg_write(group, "max_usage", texts[i]));
		EXPECT_EQ(5, cg_get(group, "max_usage"));
		EXPECT_LT(0, cg_get(group, "failcnt"));
		EXPECT_EQ(0, cg_write(group, "failcnt", texts[i]));
		EXPECT_EQ(0, cg_get(group, "failcnt"));
	}
	/* What is no extreme, total or count of v1 is not reset by any of it. */
	EXPECT_EQ(5, cg_get(group, "usage"));
	EXPECT_EQ(LIMIT, cg_get(group, "limit"));
	EXPECT_EQ(BARRIER, cg_get(group, "barrier"));
	EXPECT_EQ(REFUSALS + (long long)ARRAY_SIZE(texts),
		  cg_key(group, "events", "barrier"));
	/* A reset is of one group: the parent saw more, and still says so. */
	EXPECT_LE(7, cg_key(self->top, "stat", "charged"));
	/* But for what the group kept when it had most. */
	EXPECT_LE(5, cg_get(self->top, "max_usage"));
}

/*
 * v2: several watch the peak, and each begins anew for itself. Catches: a reset
 * that others see, a peak that forgets its reset, one that never rises again.
 */
TEST_F(input, peak_is_reset_for_one_open_file)
{
	int mine, other, later;

	if (!variant->v2)
		SKIP(return, "v1 has max_usage, which is reset for all");
	mine = cg_open(self->group, "max_usage", O_RDWR);
	other = cg_open(self->group, "max_usage", O_RDWR);
	ASSERT_GE(mine, 0);
	ASSERT_GE(other, 0);
	EXPECT_EQ(7, bc_read_number(mine));
	EXPECT_EQ(7, bc_read_number(other));
	EXPECT_EQ(1, write(mine, "r", 1));
	EXPECT_EQ(5, bc_read_number(mine));
	EXPECT_EQ(7, bc_read_number(other));
	EXPECT_EQ(7, cg_get(self->group, "max_usage"));

	ASSERT_EQ(0, call(self->worker, open_files, 1));
	EXPECT_EQ(6, bc_read_number(mine));
	ASSERT_EQ(0, call(self->worker, close_files, 3));
	EXPECT_EQ(6, bc_read_number(mine));

	/* The second one's reset is later, and lower; the first one's stays. */
	EXPECT_EQ(1, write(other, "r", 1));
	EXPECT_EQ(3, bc_read_number(other));
	EXPECT_EQ(6, bc_read_number(mine));
	ASSERT_EQ(0, call(self->worker, open_files, 1));
	EXPECT_EQ(4, bc_read_number(other));
	EXPECT_EQ(6, bc_read_number(mine));

	/* Again, and one that was opened after all that. */
	EXPECT_EQ(1, write(mine, "r", 1));
	EXPECT_EQ(4, bc_read_number(mine));
	later = cg_open(self->group, "max_usage", O_RDONLY);
	ASSERT_GE(later, 0);
	EXPECT_EQ(7, bc_read_number(later));

	/* Higher than ever: all see it. */
	ASSERT_EQ(0, cg_write(self->group, "barrier", "max"));
	ASSERT_EQ(0, call(self->worker, open_files, 16));
	EXPECT_EQ(20, bc_read_number(mine));
	EXPECT_EQ(20, bc_read_number(other));
	EXPECT_EQ(20, bc_read_number(later));
	close(mine);
	close(other);
	close(later);
	EXPECT_EQ(20, cg_get(self->group, "max_usage"));
}

/* An open file of a removed group gives an error and harms nothing. */
TEST_F(input, files_of_a_removed_group)
{
	int fds[ARRAY_SIZE(files)];
	char buf[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (kind_of(i) == NONE)
			continue;
		fds[i] = cg_open(self->group, files[i].name,
				 kind_of(i) == READ ? O_RDONLY : O_RDWR);
		ASSERT_GE(fds[i], 0);
	}
	worker_end(self->worker);
	ASSERT_EQ(0, cg_rmdir(self->group));
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (kind_of(i) == NONE)
			continue;
		EXPECT_EQ(-1, pread(fds[i], buf, sizeof(buf), 0))
			TH_LOG("%s", files[i].name);
		EXPECT_EQ(ENODEV, errno);
		if (kind_of(i) != READ)
			EXPECT_EQ(-1, write(fds[i], "1", 1));
		close(fds[i]);
	}
}

TEST_HARNESS_MAIN
