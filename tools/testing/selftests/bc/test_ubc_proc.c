// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/user_beancounters, as the tools of OpenVZ read it; and physpages, which
 * memcg counts, in ubc's files.
 */
/* bc-boot: --smp 2 --mem 512M */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

#define TABLE "/proc/user_beancounters"

/* The rows of a group, in the order that tools rely on. */
static const char * const names[] = {
	"kmemsize", "lockedpages", "privvmpages", "shmpages", "dummy", "numproc",
	"physpages", "vmguarpages", "oomguarpages", "numtcpsock", "numflock",
	"numpty", "numsiginfo", "tcpsndbuf", "tcprcvbuf", "othersockbuf",
	"dgramrcvbuf", "numothersock", "dcachesize", "numfile", "dummy", "dummy",
	"dummy", "numiptent",
};

#define NROWS ((int)(sizeof(names) / sizeof(names[0])))

enum { HELD, MAXHELD, BARRIER, LIMIT, FAILCNT, NCOLUMNS };

struct table {
	int n;
	struct {
		unsigned long long uid;
		unsigned long long row[NROWS][NCOLUMNS];
	} *group;
};

/* Reads the file, @step bytes at a time; NULL if it cannot. */
static char *read_table(size_t step)
{
	static char text[4 << 20];
	int fd = open(TABLE, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return NULL;
	while (n > 0 && len + step < sizeof(text)) {
		n = read(fd, text + len, step);
		if (n > 0)
			len += n;
	}
	close(fd);
	text[len] = '\0';
	return n ? NULL : text;
}

/*
 * The grammar that vzubc and the like have: two lines of header; then lines of a
 * name and five numbers, the first one of each group with "UID:" before. What is
 * wrong, or NULL.
 */
static const char *parse(char *text, struct table *table)
{
	static char why[256];
	char *line, *save;
	int row = NROWS, n;

	*table = (struct table) { };
	line = strtok_r(text, "\n", &save);
	if (!line || strcmp(line, "Version: 2.5"))
		return "no version";
	line = strtok_r(NULL, "\n", &save);
	n = -1;
	if (!line ||
	    sscanf(line, " uid resource held maxheld barrier limit failcnt%n",
		   &n) || n < 0 || line[n])
		return "no names of columns";
	while ((line = strtok_r(NULL, "\n", &save))) {
		unsigned long long uid, *v;
		char name[32];

		n = 0;
		if (sscanf(line, " %llu:%n", &uid, &n) == 1 && n) {
			if (row != NROWS)
				return "a group has too few rows";
			table->group = realloc(table->group, (table->n + 1) *
					       sizeof(*table->group));
			table->group[table->n++].uid = uid;
			row = 0;
			line += n;
		} else if (row == NROWS) {
			snprintf(why, sizeof(why), "no uid: %s", line);
			return why;
		}
		v = table->group[table->n - 1].row[row];
		n = 0;
		if (sscanf(line, " %31s %llu %llu %llu %llu %llu%n", name, v,
			   v + 1, v + 2, v + 3, v + 4, &n) != 6 || line[n] ||
		    strcmp(name, names[row])) {
			snprintf(why, sizeof(why), "row %d: %s", row, line);
			return why;
		}
		row++;
	}
	return row == NROWS ? NULL : "the last group has too few rows";
}

/* The ID of a group. */
static unsigned long long id_of(const char *cg)
{
	struct stat st;

	return stat(cg, &st) ? 0 : st.st_ino;
}

/* Where a group is in the table, or -1. */
static int find(const struct table *table, const char *cg)
{
	int i;

	for (i = 0; i < table->n; i++)
		if (table->group[i].uid == id_of(cg))
			return i;
	return -1;
}

static unsigned long long cell(const struct table *table, int group,
			       const char *name, int column)
{
	int row;

	for (row = 0; row < NROWS; row++)
		if (!strcmp(names[row], name))
			return table->group[group].row[row][column];
	return -1;
}

/* The table as it is now, in the worker that calls this: how many groups. */
static struct table seen;

static long look(long step)
{
	const char *why;
	char *text;

	free(seen.group);
	seen = (struct table) { };
	text = read_table(step ?: 65536);
	if (!text)
		return -errno;
	why = parse(text, &seen);
	if (!why)
		return seen.n;
	fprintf(stderr, "# %s\n", why);
	return -EBADMSG;
}

/* The ID of the @i-th group in it. */
static long seen_uid(long i)
{
	return i < seen.n ? (long)seen.group[i].uid : -1;
}

static long flock_one(long unused)
{
	char name[] = "/tmp/flockXXXXXX";
	int fd = mkstemp(name);

	(void)unused;
	if (fd < 0)
		return -errno;
	unlink(name);
	if (!flock(fd, LOCK_EX))
		return keep(fd);
	close(fd);
	return -ENOLCK;
}

static long new_cgroupns(long unused)
{
	(void)unused;
	return unshare(CLONE_NEWCGROUP) ? -errno : 0;
}

FIXTURE(ubc_proc)
{
	char *root;
	char *top;
	char *group;
};

FIXTURE_VARIANT(ubc_proc)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(ubc_proc, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(ubc_proc, v2) { .v2 = true };

static int switch_all(const char *cg, char how)
{
	char text[128];

	snprintf(text, sizeof(text), "%cubc %cnumfiles %ckmem %cnumtasks %cmemory",
		 how, how, how, how, how);
	return cg_write(cg, "cgroup.subtree_control", text);
}

/*
 * All controllers that have rows are in one hierarchy; but for memcg on v1, which
 * does not go from one hierarchy to another without harm: see
 * test_ubc_physpages.c.
 */
FIXTURE_SETUP(ubc_proc)
{
	bc_controller = "ubc";
	bc_v2 = variant->v2;
	ASSERT_FALSE(bc_missing())
		TH_LOG("%s", bc_why);
	ASSERT_EQ(0, bc_many_files());
	ASSERT_TRUE(bc_release())
		TH_LOG("%s", bc_why);
	self->root = bc_v2 ? bc_mount_v2() :
		     bc_mount_v1("ubc,numfiles,kmem,numtasks");
	ASSERT_NE(NULL, self->root)
		TH_LOG("%s", bc_why);
	/* Those that were in another hierarchy leave that by and by. */
	if (bc_v2)
		ASSERT_SOON(0, switch_all(self->root, '+'));
	self->top = cg_new(self->root, "top");
	ASSERT_NE(NULL, self->top);
	if (bc_v2)
		ASSERT_EQ(0, switch_all(self->top, '+'));
	self->group = cg_new(self->top, "group");
	ASSERT_NE(NULL, self->group);
}

FIXTURE_TEARDOWN(ubc_proc)
{
	EXPECT_EQ(0, cg_purge(self->top));
	if (bc_v2)
		EXPECT_EQ(0, switch_all(self->root, '-'));
	EXPECT_EQ(0, bc_umount(self->root));
}

/*
 * The promise: a tool for OpenVZ finds what it looks for. Catches: a row that is
 * missing or in the wrong group; a column that is not what the group's file says.
 */
TEST_F(ubc_proc, rows_say_what_the_files_say)
{
	struct worker *w = worker_new(self->group);
	const unsigned long long none = LONG_MAX;
	int i, at;

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, cg_write(self->group, "limit", "numflock 3"));
	ASSERT_EQ(0, cg_write(self->group, "barrier", "numflock 2"));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, call(w, flock_one, 0));
	ASSERT_EQ(-ENOLCK, call(w, flock_one, 0));
	ASSERT_EQ(0, call(w, close_files, 1));
	ASSERT_EQ(2, cg_key(self->group, "usage", "numflock"));

	ASSERT_EQ(2, look(0));
	EXPECT_EQ(0, find(&seen, self->top));
	at = find(&seen, self->group);
	ASSERT_EQ(1, at);

	EXPECT_EQ(2, cell(&seen, at, "numflock", HELD));
	EXPECT_EQ(3, cell(&seen, at, "numflock", MAXHELD));
	EXPECT_EQ(2, cell(&seen, at, "numflock", BARRIER));
	EXPECT_EQ(3, cell(&seen, at, "numflock", LIMIT));
	EXPECT_EQ(1, cell(&seen, at, "numflock", FAILCNT));
	/* The group above has them, too, and bounds nothing. */
	EXPECT_EQ(2, cell(&seen, 0, "numflock", HELD));
	EXPECT_EQ(none, cell(&seen, 0, "numflock", LIMIT));
	EXPECT_EQ(0, cell(&seen, 0, "numflock", FAILCNT));

	/* The kind that no task has used, and a row that is never bounded. */
	EXPECT_EQ(0, cell(&seen, at, "numpty", HELD));
	EXPECT_EQ(none, cell(&seen, at, "numpty", BARRIER));
	EXPECT_EQ(0, cell(&seen, at, "numiptent", HELD));
	EXPECT_EQ(none, cell(&seen, at, "numiptent", LIMIT));

	/* Other controllers. */
	EXPECT_EQ(1, cell(&seen, at, "numproc", HELD));
	bc_controller = "numfiles";
	ASSERT_EQ(0, cg_set(self->group, "limit", 77));
	EXPECT_EQ(2, cg_get(self->group, "usage"));
	bc_controller = "ubc";
	ASSERT_EQ(2, look(0));
	EXPECT_EQ(2, cell(&seen, at, "numfile", HELD));
	EXPECT_EQ(77, cell(&seen, at, "numfile", LIMIT));
	EXPECT_EQ(77, cell(&seen, at, "numfile", BARRIER));
	/* Two files, of 192 bytes or more. */
	EXPECT_LE(2 * 192, cell(&seen, at, "kmemsize", HELD));

	worker_end(w);
}

/* What memcg has, where it is on in the group. */
TEST_F(ubc_proc, physpages_are_shown_where_memcg_is)
{
	struct worker *w = worker_new(self->group);

	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, touch_pages, 1000));
	if (variant->v2) {
		EXPECT_LE(1000, cg_key(self->group, "usage", "physpages"));
		EXPECT_LE(1000, cg_key(self->group, "max_usage", "physpages"));
		ASSERT_EQ(2, look(0));
		EXPECT_LE(1000, cell(&seen, 1, "physpages", HELD));
		EXPECT_LE(1000, cell(&seen, 1, "physpages", MAXHELD));
		EXPECT_EQ(LONG_MAX, cell(&seen, 1, "physpages", LIMIT));
		/* It is no kind: there is nothing to bound. */
		EXPECT_EQ(-EINVAL, cg_write(self->group, "limit", "physpages 5"));
		EXPECT_EQ(-ENOENT, cg_key(self->group, "limit", "physpages"));
		ASSERT_EQ(0, cg_write(self->top, "cgroup.subtree_control",
				      "-memory"));
	}
	EXPECT_EQ(-ENOENT, cg_key(self->group, "usage", "physpages"));
	ASSERT_EQ(2, look(0));
	EXPECT_EQ(0, cell(&seen, 1, "physpages", HELD));
	EXPECT_EQ(LONG_MAX, cell(&seen, 1, "physpages", LIMIT));
	worker_end(w);
}

/*
 * Catches: a namespace's root that is not that of the hierarchy; on v2, a css of
 * a group above, where ubc is off in the group itself.
 */
TEST_F(ubc_proc, namespace_sees_its_own_groups)
{
	char *below = cg_new(self->group, "below");
	char *other = cg_new(self->top, "other");
	struct worker *w = worker_new(self->group);
	struct worker *v;

	ASSERT_NE(NULL, below);
	ASSERT_NE(NULL, other);
	ASSERT_NE(NULL, w);
	/* From the root of the hierarchy, wherever the reader is. */
	EXPECT_EQ(4, call(w, look, 0));
	ASSERT_EQ(0, call(w, new_cgroupns, 0));
	ASSERT_EQ(2, call(w, look, 0));
	EXPECT_EQ(id_of(self->group), call(w, seen_uid, 0));
	EXPECT_EQ(id_of(below), call(w, seen_uid, 1));

	/* Its root stays that, wherever the task goes. */
	ASSERT_TRUE(worker_move(w, other));
	ASSERT_EQ(2, call(w, look, 0));
	EXPECT_EQ(id_of(self->group), call(w, seen_uid, 0));

	v = worker_new(below);
	ASSERT_NE(NULL, v);
	ASSERT_EQ(0, call(v, new_cgroupns, 0));
	ASSERT_EQ(1, call(v, look, 0));
	EXPECT_EQ(id_of(below), call(v, seen_uid, 0));
	worker_end(v);

	if (variant->v2) {
		/* Nothing of ours is on there, so there is nothing to see. */
		EXPECT_EQ(0, rmdir(other) ? errno == EBUSY ? 0 : errno : 0);
		ASSERT_EQ(0, call(w, end_all_children, 0));
		ASSERT_EQ(0, switch_all(self->group, '-'));
		v = worker_new(below);
		ASSERT_NE(NULL, v);
		ASSERT_EQ(0, call(v, new_cgroupns, 0));
		EXPECT_EQ(0, call(v, look, 0));
		worker_end(v);
		ASSERT_EQ(0, switch_all(self->group, '+'));
	}

	/* Removed: an empty table. */
	ASSERT_EQ(0, cg_rmdir(below));
	ASSERT_EQ(0, cg_rmdir(self->group));
	EXPECT_EQ(0, call(w, look, 0));
	worker_end(w);
	self->group = cg_new(self->top, "group");
	ASSERT_NE(NULL, self->group);
}

/* Root of the namespace, and no other user. */
TEST_F(ubc_proc, only_root_reads)
{
	struct worker *w = user_new(self->group);
	int fd;

	ASSERT_NE(NULL, w);
	EXPECT_EQ(-EACCES, call(w, look, 0));
	worker_end(w);
	/* Root of another user namespace sees nothing of the machine's ... */
	w = worker_new(self->group);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, call(w, enter_userns, 0));
	EXPECT_EQ(-EACCES, call(w, look, 0));
	/* ... but what is its own. */
	ASSERT_EQ(0, call(w, new_cgroupns, 0));
	ASSERT_EQ(1, call(w, look, 0));
	EXPECT_EQ(id_of(self->group), call(w, seen_uid, 0));
	worker_end(w);

	fd = open(TABLE, O_WRONLY);
	EXPECT_TRUE(fd < 0 || write(fd, "0", 1) < 0);
	if (fd >= 0)
		close(fd);
}

/*
 * Catches: a group that is left out or shown twice where a read ends in its
 * midst; a place in the file that is not found again.
 */
TEST_F(ubc_proc, many_groups_in_small_pieces)
{
	enum { GROUPS = 100 };
	char *whole, *text;
	int fd, i;

	for (i = 0; i < GROUPS; i++)
		ASSERT_NE(NULL, cg_newf(self->group, "%d", i));
	ASSERT_EQ(GROUPS + 2, look(0));
	EXPECT_EQ(GROUPS + 2, look(1000));
	EXPECT_EQ(GROUPS + 2, look(4096));

	text = read_table(4096);
	ASSERT_NE(NULL, text);
	whole = strdup(text);
	ASSERT_NE(NULL, whole);
	fd = open(TABLE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	for (i = strlen(whole) - 10; i > 0; i -= 7919) {
		char piece[11] = "";

		ASSERT_EQ(10, pread(fd, piece, 10, i));
		EXPECT_EQ(0, strncmp(whole + i, piece, 10));
	}
	close(fd);
	free(whole);
}

static long read_on(long unused)
{
	char piece[512];
	long n = 0;
	int fd;

	(void)unused;
	for (;;) {
		fd = open(TABLE, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		while (read(fd, piece, sizeof(piece)) > 0)
			n++;
		close(fd);
	}
	return n;
}

/*
 * Catches: a group that is freed while a reader stands at it; a reader that does
 * not get on from a group that was removed.
 */
TEST_F(ubc_proc, groups_come_and_go)
{
	struct worker *w = worker_new(NULL);
	char piece[64], *cg[8];
	int rounds = bc_rounds(400), i, j, fd, n = 0;

	ASSERT_NE(NULL, w);
	start(w, read_on, 0);
	for (i = 0; i < rounds; i++) {
		for (j = 0; j < 8; j++) {
			cg[j] = cg_newf(j % 2 ? cg[j - 1] : self->group, "%d", j);
			ASSERT_NE(NULL, cg[j]);
		}
		while (j--)
			ASSERT_EQ(0, cg_rmdir(cg[j]));
	}
	worker_kill(w);

	/* One that stands in the midst of groups that go. */
	for (j = 0; j < 8; j++)
		cg[j] = cg_newf(self->group, "%d", j);
	fd = open(TABLE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	for (i = 0; i < 170; i++)
		ASSERT_EQ(64, read(fd, piece, sizeof(piece)));
	for (j = 0; j < 8; j++)
		ASSERT_EQ(0, cg_rmdir(cg[j]));
	while ((i = read(fd, piece, sizeof(piece))) > 0)
		n++;
	EXPECT_EQ(0, i);
	EXPECT_LT(0, n);
	close(fd);
	EXPECT_SOON(2, look(0));
}

TEST_HARNESS_MAIN
