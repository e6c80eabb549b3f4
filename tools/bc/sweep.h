/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sweep.h - what all groups hold, at one time
 */
#ifndef SWEEP_H
#define SWEEP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#include "cg.h"

#define UNLIMITED	INT64_MAX
#define NR_REFUSALS	4

/* One resource of one group. */
struct row {
	const char *group;
	ino_t inode;			/* of its folder */
	const char *mount;		/* of its hierarchy */
	const char *resource;
	bool bytes;			/* what it counts */
	bool shown;			/* on the screen: see sweep_read() */
	int64_t held, peak, reserved, barrier, limit, forced, refused;
	struct {
		const char *bound;	/* barrier, max, or the resource's own */
		int64_t nr;
	} refusals[NR_REFUSALS];
	int64_t fresh;			/* refused since the last sweep */
	int64_t below;			/* all events, of groups below as well; -1 */
};

struct sweep {
	struct row *rows;
	size_t nr, room;
	size_t groups;
	struct timespec when;		/* wall clock */
	double user, system;		/* CPU seconds that it took */
	struct chunk *strings;
};

struct stat_options {
	struct cg *cg;
	const char *group;		/* only this and what is below, or NULL */
	enum cg_name kind;
	int depth;			/* levels below it, or -1 */
};

struct sweep *sweep_read(const struct stat_options *options, struct sweep *last,
			 bool settings);
void sweep_free(struct sweep *sweep);

/* The lower of barrier and limit, and how much of it is held, in percent. */
int64_t row_bound(const struct row *row);
double row_use(const struct row *row);
bool row_idle(const struct row *row);

/* output.c */
enum sort { BY_NAME, BY_USE, BY_HELD, BY_PEAK, BY_REFUSED, BY_FORCED, BY_FRESH };

bool sort_parse(const char *name, enum sort *sort);
void sort_rows(struct row **rows, size_t nr, enum sort sort);
void print_table(FILE *to, struct row **rows, size_t nr, int width, bool exact,
		 bool colour);
void print_json(FILE *to, const struct sweep *sweep, struct row **rows, size_t nr);
void print_csv(FILE *to, const struct sweep *sweep, struct row **rows, size_t nr,
	       bool header);
void print_prometheus(FILE *to, const struct sweep *sweep, struct row **rows,
		      size_t nr);
int check(struct row **rows, size_t nr, double warning, double critical,
	  const char *state);

/* The columns of a table, of which some are left out where there is no room. */
#define NR_COLUMNS 10
struct columns {
	int width[NR_COLUMNS];		/* 0: left out */
};

void columns_fit(struct columns *c, struct row **rows, size_t nr, int width,
		 bool exact);
void columns_title(const struct columns *c, char *line, size_t size);
void columns_row(const struct columns *c, const struct row *row, bool exact,
		 char *line, size_t size);

/* live.c */
struct filter {
	const char *resource;		/* or NULL */
	double near;			/* percent */
	bool all;			/* those that hold nothing as well */
	enum sort sort;
};

size_t filter_rows(const struct filter *filter, struct sweep *sweep,
		   struct row **rows);
int live(struct stat_options *options, struct filter *filter, double interval,
	 double budget, bool exact);

#endif
