// SPDX-License-Identifier: GPL-2.0
/*
 * live.c - the live view
 *
 * It must not disturb the machine that it watches: between two sweeps it waits
 * as long as it takes to stay within its share of one CPU.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <curses.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

struct view {
	struct filter *filter;
	char *top;		/* where the view began */
	char *at;		/* where it is */
	bool flat;		/* all groups below, not those directly below alone */
	char search[64];
	bool typing;
	size_t cursor, first;
	bool exact;
	double interval;
};

static const char help[] =
	" q quit  enter/backspace into and out of a group  t tree/flat  a idle too  "
	"u h p r f n g sort  / find  R resource  b exact  +/- interval";

static double now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Is it one of those that are shown where the view is? */
static bool in_view(const struct view *v, const struct row *row)
{
	size_t len = strcmp(v->at, "/") ? strlen(v->at) : 0;
	const char *rest = row->group + len;

	if (strncmp(row->group, v->at, len) || (*rest && *rest != '/'))
		return false;
	if (v->search[0] && !strstr(row->group, v->search))
		return false;
	if (v->flat)
		return true;
	/* The group itself, and its children. */
	return !*rest || !strchr(rest + 1, '/');
}

static size_t choose(struct view *v, struct sweep *sweep, struct row **rows)
{
	size_t nr = filter_rows(v->filter, sweep, rows), i, kept = 0;

	for (i = 0; i < nr; i++) {
		if (in_view(v, rows[i]))
			rows[kept++] = rows[i];
	}
	return kept;
}

static void draw(struct view *v, struct sweep *sweep, struct row **rows, size_t nr,
		 double pause)
{
	size_t height = LINES > 4 ? LINES - 4 : 1, i;
	struct columns c;
	char line[8192];
	int64_t fresh = 0;

	if (v->cursor >= nr)
		v->cursor = nr ? nr - 1 : 0;
	if (v->cursor < v->first)
		v->first = v->cursor;
	if (v->cursor >= v->first + height)
		v->first = v->cursor - height + 1;
	for (i = 0; i < sweep->nr; i++) {
		sweep->rows[i].shown = false;
		fresh += sweep->rows[i].fresh;
	}
	erase();
	snprintf(line, sizeof(line),
		 "bcstat: %zu groups, %zu accounts, %lld new refusals; read in %.1f ms of CPU, every %.1f s; %s below %s%s%s%s%s",
		 sweep->groups, sweep->nr, (long long)fresh,
		 1000 * (sweep->user + sweep->system), pause,
		 v->flat ? "all" : "children", v->at,
		 v->filter->resource ? ", only " : "",
		 v->filter->resource ? v->filter->resource : "",
		 v->search[0] || v->typing ? ", /" : "", v->search);
	for (i = 0; line[i]; i++) {
		if ((unsigned char)line[i] < ' ' || (unsigned char)line[i] > '~')
			line[i] = '?';
	}
	mvaddnstr(0, 0, line, COLS);
	columns_fit(&c, rows + v->first, nr - v->first < height ? nr - v->first : height,
		    COLS, v->exact);
	columns_title(&c, line, sizeof(line));
	attron(A_REVERSE);
	mvaddnstr(1, 0, line, COLS);
	attroff(A_REVERSE);
	for (i = 0; i < height && v->first + i < nr; i++) {
		struct row *row = rows[v->first + i];
		double use = row_use(row);
		int attributes = 0;

		row->shown = true;
		columns_row(&c, row, v->exact, line, sizeof(line));
		if (row->fresh || use >= 95)
			attributes |= COLOR_PAIR(1) | A_BOLD;
		else if (use >= 80)
			attributes |= COLOR_PAIR(2);
		if (v->first + i == v->cursor)
			attributes |= A_STANDOUT;
		attrset(attributes);
		mvaddnstr(2 + i, 0, line, COLS);
		attrset(0);
	}
	mvaddnstr(LINES - 1, 0, help, COLS);
	refresh();
}

static void enter(struct view *v, const char *path)
{
	char *copy = cg_format("%s", path);

	free(v->at);
	v->at = copy;
	v->cursor = v->first = 0;
}

static void leave(struct view *v)
{
	char *slash = strrchr(v->at, '/');

	/* Not above where it began. */
	if (!strcmp(v->at, v->top))
		return;
	*(slash == v->at ? slash + 1 : slash) = '\0';
	v->cursor = v->first = 0;
}

/* The next of the resources that there are, and all of them after the last. */
static void next_resource(struct view *v, struct sweep *sweep)
{
	static char name[64];
	const char *next = NULL, *old = v->filter->resource;
	size_t i;

	for (i = 0; i < sweep->nr; i++) {
		const char *this = sweep->rows[i].resource;

		if ((!old || strcmp(this, old) > 0) && (!next || strcmp(this, next) < 0))
			next = this;
	}
	if (next)
		snprintf(name, sizeof(name), "%s", next);
	v->filter->resource = next ? name : NULL;
}

/* Returns false where the view is to end. */
static bool key(struct view *v, int c, struct sweep *sweep, struct row **rows,
		size_t nr)
{
	static const struct {
		int key;
		enum sort sort;
	} sorts[] = {
		{ 'u', BY_USE }, { 'h', BY_HELD }, { 'p', BY_PEAK }, { 'r', BY_REFUSED },
		{ 'f', BY_FORCED }, { 'n', BY_FRESH }, { 'g', BY_NAME },
	};
	size_t page = LINES > 5 ? LINES - 5 : 1, len = strlen(v->search), i;

	if (v->typing) {
		if (c == '\n' || c == '\r' || c == 27) {
			v->typing = false;
		} else if (c == KEY_BACKSPACE || c == 127 || c == 8) {
			if (len)
				v->search[len - 1] = '\0';
		} else if (c < 256 && isprint(c) && len + 1 < sizeof(v->search)) {
			v->search[len] = c;
			v->search[len + 1] = '\0';
		}
		return true;
	}
	for (i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++) {
		if (c == sorts[i].key)
			v->filter->sort = sorts[i].sort;
	}
	switch (c) {
	case 'q':
		return false;
	case KEY_UP:
	case 'k':
		v->cursor -= v->cursor > 0;
		break;
	case KEY_DOWN:
	case 'j':
		v->cursor++;
		break;
	case KEY_PPAGE:
		v->cursor -= v->cursor < page ? v->cursor : page;
		break;
	case KEY_NPAGE:
	case ' ':
		v->cursor += page;
		break;
	case KEY_HOME:
		v->cursor = 0;
		break;
	case KEY_END:
		v->cursor = nr;
		break;
	case '\n':
	case '\r':
	case KEY_ENTER:
	case KEY_RIGHT:
		if (v->cursor < nr)
			enter(v, rows[v->cursor]->group);
		break;
	case KEY_BACKSPACE:
	case 127:
	case 8:
	case KEY_LEFT:
		leave(v);
		break;
	case 't':
		v->flat = !v->flat;
		break;
	case 'a':
		v->filter->all = !v->filter->all;
		break;
	case 'b':
		v->exact = !v->exact;
		break;
	case 'R':
		next_resource(v, sweep);
		break;
	case '/':
		v->typing = true;
		v->search[0] = '\0';
		break;
	case '+':
		v->interval *= 2;
		break;
	case '-':
		v->interval = v->interval > 0.2 ? v->interval / 2 : 0.1;
		break;
	}
	return true;
}

int live(struct stat_options *options, struct filter *filter, double interval,
	 double budget, bool exact)
{
	struct view v = {
		.filter = filter, .interval = interval, .exact = exact,
	};
	struct sweep *sweep = NULL, *new;
	struct row **rows = NULL;
	bool on = true;
	unsigned int turn = 0;
	double accounted = 0;

	setlocale(LC_CTYPE, "");
	if (!initscr())
		return 1;
	/* Each view is drawn in full, even where the next key is there already. */
	typeahead(-1);
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	if (has_colors()) {
		start_color();
		use_default_colors();
		init_pair(1, COLOR_RED, -1);
		init_pair(2, COLOR_YELLOW, -1);
	}
	while (on) {
		double start = now(CLOCK_MONOTONIC), cpu, pause;
		size_t nr;

		/* Limits change rarely: those out of sight are read now and then. */
		new = sweep_read(options, sweep, turn++ % 10 == 0);
		if (!new)
			break;
		sweep_free(sweep);
		sweep = new;
		if (!v.at) {
			/* What was asked for comes first. */
			v.top = cg_format("%s", options->group && sweep->nr ?
					  sweep->rows[0].group : "/");
			v.at = cg_format("%s", v.top);
		}
		rows = reallocarray(rows, sweep->nr + 1, sizeof(*rows));
		nr = choose(&v, sweep, rows);
		/* What was drawn since the last time is in it, too. */
		cpu = now(CLOCK_PROCESS_CPUTIME_ID) - accounted;
		accounted += cpu;
		pause = cpu * 100 / budget;
		if (pause < v.interval)
			pause = v.interval;
		draw(&v, sweep, rows, nr, pause);
		for (;;) {
			double left = start + pause - now(CLOCK_MONOTONIC);
			int c;

			if (left <= 0)
				break;
			timeout(left * 1000 + 1);
			c = getch();
			if (c == ERR)
				continue;
			on = key(&v, c, sweep, rows, nr);
			if (!on)
				break;
			nr = choose(&v, sweep, rows);
			draw(&v, sweep, rows, nr, pause);
		}
	}
	endwin();
	free(v.at);
	free(v.top);
	free(rows);
	sweep_free(sweep);
	if (on)
		fprintf(stderr, "bcstat: %s\n", cg_why());
	return on;
}
