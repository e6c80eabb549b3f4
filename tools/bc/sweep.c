// SPDX-License-Identifier: GPL-2.0
/*
 * sweep.c - read the accounts of all groups
 *
 * This is to cost little on a machine with thousands of groups. So each file is
 * opened by its group's folder and read once; folders without groups below are
 * not listed; where v2 has no beancounter switched on for a group, there is none
 * below, and nothing there is looked at. No descriptor is kept: they would be
 * thousands, count as files themselves, and hold a page each in the kernel.
 *
 * The file "events" of a group counts for all groups below, and a group's own files
 * count an event before it does: where it says what it said before, there is no need
 * to ask those below, but for groups that were made since. A user that looks again
 * and again wants to know what is held and what was refused; limits change rarely.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sweep.h"

enum file { HELD, PEAK, RESERVED, BARRIER, LIMIT, EVENTS, EVENTS_BELOW, NR_FILES };

static const char *const v2_words[NR_FILES] = {
	"current", "peak", "min", "barrier", "max", "events.local", "events"
};

/* A controller that counts, in the hierarchy that it is in. */
struct counter {
	char *name;
	char *files[NR_FILES];	/* as the first group has them */
	bool bytes;
};

struct chunk {
	struct chunk *next;
	size_t used, size;
	char text[];
};

struct reader {
	struct sweep *sweep;
	const struct sweep *last;
	const struct cg_hier *hier;
	struct counter counters[32];
	size_t nr;
	size_t hint;		/* where the last sweep may have the next row */
	ino_t inode;		/* of the group that is read */
	bool settings;		/* read limits and peaks of all rows */
	bool any;		/* there are counters */
};

/* Strings live as long as their sweep. */
static const char *keep(struct sweep *sweep, const char *text, size_t len)
{
	struct chunk *chunk = sweep->strings;
	char *kept;

	if (!chunk || chunk->size - chunk->used <= len) {
		size_t size = len + 1 > 65536 ? len + 1 : 65536;

		chunk = malloc(sizeof(*chunk) + size);
		if (!chunk) {
			fputs("bcstat: out of memory\n", stderr);
			exit(3);
		}
		chunk->next = sweep->strings;
		chunk->used = 0;
		chunk->size = size;
		sweep->strings = chunk;
	}
	kept = chunk->text + chunk->used;
	memcpy(kept, text, len);
	kept[len] = '\0';
	chunk->used += len + 1;
	return kept;
}

static struct row *new_row(struct sweep *sweep)
{
	struct row *row;

	if (sweep->nr == sweep->room) {
		sweep->room = sweep->room ? 2 * sweep->room : 1024;
		sweep->rows = reallocarray(sweep->rows, sweep->room,
					   sizeof(*sweep->rows));
		if (!sweep->rows) {
			fputs("bcstat: out of memory\n", stderr);
			exit(3);
		}
	}
	row = &sweep->rows[sweep->nr++];
	memset(row, 0, sizeof(*row));
	row->barrier = row->limit = UNLIMITED;
	row->peak = row->below = -1;
	return row;
}

int64_t row_bound(const struct row *row)
{
	return row->barrier < row->limit ? row->barrier : row->limit;
}

double row_use(const struct row *row)
{
	int64_t bound = row_bound(row);

	if (bound == UNLIMITED)
		return 0;
	if (!bound)
		return row->held ? 100 : 0;
	return 100.0 * row->held / bound;
}

bool row_idle(const struct row *row)
{
	return !row->held && !row->refused && !row->forced && !row->reserved &&
	       row_bound(row) == UNLIMITED;
}

/* The length, or -1. Files of more than a page are cut, which none is. */
static ssize_t read_file(int fd, const char *name, char *text, size_t size)
{
	int file = openat(fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (file < 0)
		return -1;
	len = read(file, text, size - 1);
	close(file);
	if (len >= 0)
		text[len] = '\0';
	return len;
}

static int64_t amount(const char *text)
{
	if (!strncmp(text, "max", 3))
		return UNLIMITED;
	return strtoll(text, NULL, 10);
}

static void set_amount(struct row *row, enum file file, const char *text)
{
	int64_t value = amount(text);

	switch (file) {
	case HELD:
		row->held = value;
		break;
	case PEAK:
		row->peak = value;
		break;
	case RESERVED:
		row->reserved = value;
		break;
	case BARRIER:
		row->barrier = value;
		break;
	case LIMIT:
		row->limit = value;
		break;
	default:
		break;
	}
}

static void add_event(struct reader *r, struct row *row, const char *name,
		      size_t len, int64_t nr)
{
	int i;

	if (len == 6 && !strncmp(name, "forced", len)) {
		row->forced = nr;
		return;
	}
	row->refused += nr;
	for (i = 0; i < NR_REFUSALS; i++) {
		if (row->refusals[i].bound)
			continue;
		if (len == 3 && !strncmp(name, "max", len))
			row->refusals[i].bound = "max";
		else if (len == 7 && !strncmp(name, "barrier", len))
			row->refusals[i].bound = "barrier";
		else
			row->refusals[i].bound = keep(r->sweep, name, len);
		row->refusals[i].nr = nr;
		break;
	}
}

/* "barrier 1\nmax 2\nforced 3\n" */
static void parse_events(struct reader *r, struct row *row, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, " \n");

		if (text[len] == ' ')
			add_event(r, row, text, len, strtoll(text + len + 1, NULL, 10));
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
}

/*
 * The row that the last sweep has of the same thing; most often the next one. A group
 * that was removed and made again is another.
 */
static struct row *last_row(struct reader *r, const struct row *row)
{
	const struct sweep *last = r->last;
	size_t i;

	for (i = 0; last && i < last->nr; i++) {
		size_t at = r->hint + i < last->nr ? r->hint + i :
			    r->hint + i - last->nr;
		struct row *old = &last->rows[at];

		if (old->inode == row->inode && !strcmp(old->group, row->group) &&
		    !strcmp(old->resource, row->resource) &&
		    !strcmp(old->mount, row->mount)) {
			r->hint = at + 1;
			return old;
		}
		/* New, most likely; a full search for each would take too long. */
		if (i == 64)
			break;
	}
	return NULL;
}

static void compare(struct row *row, const struct row *old)
{
	if (old && row->refused > old->refused)
		row->fresh = row->refused - old->refused;
}

/* All that a file with events has. */
static int64_t sum_events(const char *text)
{
	int64_t sum = 0;

	while (*text) {
		text += strcspn(text, " \n");
		if (*text == ' ')
			sum += strtoll(text, NULL, 10);
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return sum;
}

static void copy_events(struct reader *r, struct row *row, const struct row *old)
{
	int i;

	row->forced = old->forced;
	row->refused = old->refused;
	row->below = old->below;
	for (i = 0; i < NR_REFUSALS && old->refusals[i].bound; i++) {
		row->refusals[i].nr = old->refusals[i].nr;
		row->refusals[i].bound = keep(r->sweep, old->refusals[i].bound,
					      strlen(old->refusals[i].bound));
	}
}

/*
 * Returns true where no event is new, in this group and in those below. @quiet is
 * what the group above has returned.
 */
static bool read_events(struct reader *r, struct counter *c, int fd, struct row *row,
			const struct row *old, bool quiet, bool leaf)
{
	char text[4096];

	if (quiet && old) {
		copy_events(r, row, old);
		return true;
	}
	if (!leaf && c->files[EVENTS_BELOW] &&
	    read_file(fd, c->files[EVENTS_BELOW], text, sizeof(text)) >= 0) {
		row->below = sum_events(text);
		if (old && old->below == row->below) {
			copy_events(r, row, old);
			return true;
		}
	}
	if (c->files[EVENTS] && read_file(fd, c->files[EVENTS], text, sizeof(text)) >= 0)
		parse_events(r, row, text);
	return false;
}

/* A row of the group that is read. */
static struct row *group_row(struct reader *r, const char *path, const char *resource)
{
	struct row *row = new_row(r->sweep);

	row->group = path;
	row->inode = r->inode;
	row->mount = r->hier->mount;
	row->resource = resource;
	return row;
}

static bool read_plain(struct reader *r, struct counter *c, int fd,
		       const char *path, char *text, size_t size, bool quiet, bool leaf)
{
	struct row *row = group_row(r, path, c->name), *old;
	bool light;
	enum file f;

	row->bytes = c->bytes;
	set_amount(row, HELD, text);
	old = last_row(r, row);
	light = old && !r->settings && !old->shown;
	for (f = PEAK; f < EVENTS && !light; f++) {
		if (c->files[f] && read_file(fd, c->files[f], text, size) >= 0)
			set_amount(row, f, text);
	}
	if (light) {
		row->peak = old->peak > row->held ? old->peak : row->held;
		row->reserved = old->reserved;
		row->barrier = old->barrier;
		row->limit = old->limit;
	}
	quiet = read_events(r, c, fd, row, old, quiet, leaf);
	compare(row, old);
	return quiet;
}

/*
 * A flat keyed file has a line for each kind, "numpty 3"; events are nested
 * ("numpty barrier=0 max=1") or have dots ("numpty.max 1").
 */
static void read_keyed(struct reader *r, struct counter *c, int fd,
		       const char *path, char *text, size_t size)
{
	size_t first = r->sweep->nr, i;
	enum file f;

	for (f = HELD; f < EVENTS_BELOW; f++) {
		char *p = text;

		if (f != HELD && (!c->files[f] ||
				  read_file(fd, c->files[f], text, size) < 0))
			continue;
		while (*p) {
			size_t len = strcspn(p, " .\n"), line = strcspn(p, "\n");
			struct row *row = NULL;

			for (i = first; i < r->sweep->nr && !row; i++) {
				const char *name = r->sweep->rows[i].resource;

				if (!strncmp(name, p, len) && !name[len])
					row = &r->sweep->rows[i];
			}
			if (!row && f == HELD && len) {
				row = group_row(r, path, keep(r->sweep, p, len));
				row->bytes = len > 5 && !strncmp(p + len - 5, "bytes", 5);
			}
			if (row && f == EVENTS && p[len] == '.') {
				char *name = p + len + 1;
				size_t n = strcspn(name, " \n");

				add_event(r, row, name, n,
					  strtoll(name + n, NULL, 10));
			} else if (row && f == EVENTS) {
				char *word = p + len, *end = p + line;

				while (word < end) {
					size_t n;

					word += strspn(word, " ");
					n = strcspn(word, "= \n");
					if (word[n] == '=')
						add_event(r, row, word, n,
							  strtoll(word + n + 1, NULL, 10));
					word += strcspn(word, " \n");
					if (*word != ' ')
						break;
				}
			} else if (row && p[len] == ' ') {
				set_amount(row, f, p + len + 1);
			}
			p += line;
			p += *p == '\n';
		}
	}
	for (i = first; i < r->sweep->nr; i++)
		compare(&r->sweep->rows[i], last_row(r, &r->sweep->rows[i]));
}

/* The names that a controller's files have, from the first group that has some. */
static bool learn_files(struct counter *c, int fd)
{
	enum file f;

	for (f = HELD; f < NR_FILES; f++) {
		char *name = cg_format("%s.%s", c->name, v2_words[f]);

		c->files[f] = cg_file(fd, name);
		free(name);
		if (f == HELD && !c->files[f])
			return false;
		/* Only v2's words do not say what is counted. */
		if (f == HELD && strstr(c->files[f], "_in_bytes"))
			c->bytes = true;
	}
	if (!strcmp(c->name, "kmem"))
		c->bytes = true;
	return true;
}

/* A bit for each counter. */
typedef uint32_t mask;

/*
 * Is any beancounter on here? In @quiet are those that have no new events. Not to
 * be part of walk(), which calls itself for each level of a tree.
 */
static __attribute__((noinline)) bool read_group(struct reader *r, int fd, const char *path, bool leaf,
		       mask *quiet)
{
	char text[4096];
	mask still = 0;
	bool any = false;
	struct stat st;
	size_t i;

	r->inode = fstat(fd, &st) ? 0 : st.st_ino;
	for (i = 0; i < r->nr; i++) {
		struct counter *c = &r->counters[i];
		mask bit = (mask)1 << i;

		if (!c->files[HELD] && !learn_files(c, fd))
			continue;
		if (read_file(fd, c->files[HELD], text, sizeof(text)) < 0)
			continue;
		any = true;
		if (*text >= 'a' && *text <= 'z' && strncmp(text, "max", 3))
			read_keyed(r, c, fd, path, text, sizeof(text));
		else if (read_plain(r, c, fd, path, text, sizeof(text), *quiet & bit,
				    leaf))
			still |= bit;
	}
	*quiet = still;
	r->sweep->groups += any;
	return any;
}

static void walk(struct reader *r, int fd, const char *path, size_t len, int depth,
		 mask quiet)
{
	char **children = cg_children(fd), **child;
	bool any = read_group(r, fd, path, !children || !*children, &quiet);

	if (depth == 0 || (!any && r->hier->version == 2 && len > 1)) {
		cg_free_list(children);
		return;
	}
	for (child = children; child && *child; child++) {
		int next = openat(fd, *child, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		size_t n = strlen(*child), above = len > 1 ? len : 0;
		char *sub;

		/* It may be gone by now. */
		if (next < 0)
			continue;
		sub = malloc(above + n + 2);
		if (sub) {
			memcpy(sub, path, above);
			sub[above] = '/';
			memcpy(sub + above + 1, *child, n + 1);
			walk(r, next, keep(r->sweep, sub, above + n + 1),
			     above + n + 1, depth > 0 ? depth - 1 : depth, quiet);
			free(sub);
		}
		close(next);
	}
	cg_free_list(children);
}

/*
 * A beancounter is a controller that has a file "strict" in the root, or, where
 * that cannot be seen, a file "barrier"; ubc has the latter alone.
 */
static bool is_beancounter(int fd, const char *name)
{
	static const char *const marks[] = { "strict", "barrier", "barrier_in_bytes" };
	size_t i;

	if (!strcmp(name, "ubc"))
		return true;
	for (i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		char *file = cg_format("%s.%s", name, marks[i]);
		bool there = !faccessat(fd, file, F_OK, 0);

		free(file);
		if (there)
			return true;
	}
	return false;
}

static void find_counters(struct reader *r)
{
	const struct cg_hier *hier = r->hier;
	char *list, *word, *rest;

	if (hier->version == 2)
		list = cg_read(hier->fd, "cgroup.controllers");
	else
		list = cg_format("%s", hier->options);
	r->nr = 0;
	for (word = strtok_r(list ? list : (char [1]){ "" }, ", \n", &rest);
	     word && r->nr < sizeof(r->counters) / sizeof(r->counters[0]);
	     word = strtok_r(NULL, ", \n", &rest)) {
		if (!is_beancounter(hier->fd, word))
			continue;
		memset(&r->counters[r->nr], 0, sizeof(r->counters[0]));
		r->counters[r->nr++].name = (char *)keep(r->sweep, word, strlen(word));
	}
	free(list);
}

static void read_hier(struct reader *r, const struct stat_options *options,
		      struct cg_hier *hier, const char *path)
{
	size_t i;
	int fd;
	enum file f;

	r->hier = hier;
	find_counters(r);
	r->any |= r->nr > 0;
	if (!r->nr)
		return;
	fd = cg_open(hier, path);
	if (fd >= 0) {
		walk(r, fd, keep(r->sweep, path, strlen(path)), strlen(path),
		     options->depth, 0);
		close(fd);
	}
	for (i = 0; i < r->nr; i++) {
		for (f = HELD; f < NR_FILES; f++)
			free(r->counters[i].files[f]);
	}
}

static double seconds(const struct timeval *from, const struct timeval *to)
{
	return to->tv_sec - from->tv_sec + (to->tv_usec - from->tv_usec) / 1e6;
}

/* Mounts that show the same groups are read once. */
static bool seen_before(struct cg *cg, size_t nr)
{
	struct cg_hier *hier = &cg->hiers[nr];
	size_t i;

	for (i = 0; i < cg->nr_hiers; i++) {
		struct cg_hier *other = &cg->hiers[i];

		if (i == nr || other->version != hier->version ||
		    (hier->version == 1 && strcmp(other->options, hier->options)))
			continue;
		/* The one that shows more, and of two alike the first. */
		if (strcmp(other->top, hier->top) ? !strcmp(other->top, "/") : i < nr)
			return true;
	}
	return false;
}

/**
 * sweep_read() - read all accounts
 * @last: the sweep before this one, or NULL
 * @settings: read limits and peaks of all rows. Otherwise, of rows that are not shown
 *	      and that @last has, only what is held and refused; the rest is what it was
 *
 * Return: the sweep; NULL where there is nothing to read, see cg_why().
 */
struct sweep *sweep_read(const struct stat_options *options, struct sweep *last,
			 bool settings)
{
	struct sweep *sweep = calloc(1, sizeof(*sweep));
	struct reader r = { .sweep = sweep, .last = last, .settings = settings };
	struct rusage before, after;
	bool found = false;
	size_t i;

	if (!sweep)
		return NULL;
	getrusage(RUSAGE_SELF, &before);
	clock_gettime(CLOCK_REALTIME, &sweep->when);
	for (i = 0; i < options->cg->nr_hiers; i++) {
		struct cg_hier *hier = &options->cg->hiers[i];
		char *path;

		if (seen_before(options->cg, i))
			continue;
		path = options->group || options->kind == CG_SELF ?
			cg_find(options->cg, hier, options->kind, options->group) :
			cg_format("/");
		if (!path)
			continue;
		found = true;
		read_hier(&r, options, hier, path);
		free(path);
	}
	getrusage(RUSAGE_SELF, &after);
	sweep->user = seconds(&before.ru_utime, &after.ru_utime);
	sweep->system = seconds(&before.ru_stime, &after.ru_stime);
	if (found && !r.any) {
		cg_fail("no hierarchy that is mounted here has a beancounter");
		found = false;
	}
	if (!found) {
		sweep_free(sweep);
		return NULL;
	}
	return sweep;
}

void sweep_free(struct sweep *sweep)
{
	struct chunk *chunk, *next;

	if (!sweep)
		return;
	for (chunk = sweep->strings; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(sweep->rows);
	free(sweep);
}
