// SPDX-License-Identifier: GPL-2.0
/*
 * output.c - a sweep as a table, as JSON, CSV, Prometheus' text, and as a check
 *
 * Tenants choose the names of groups: each format has them escaped, and no byte
 * of theirs reaches a terminal that is not printable ASCII.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sweep.h"

#define RED	"\033[31m"
#define YELLOW	"\033[33m"
#define PLAIN	"\033[0m"

/* Sorting. */

static int by_name(const struct row *a, const struct row *b)
{
	int order = strcmp(a->group, b->group);

	if (!order)
		order = strcmp(a->resource, b->resource);
	return order ? order : strcmp(a->mount, b->mount);
}

static enum sort sort_by;

static int descending(double a, double b)
{
	return a < b ? 1 : a > b ? -1 : 0;
}

static int compare(const void *one, const void *two)
{
	const struct row *a = *(struct row *const *)one;
	const struct row *b = *(struct row *const *)two;
	int order = 0;

	switch (sort_by) {
	case BY_NAME:
		break;
	case BY_USE:
		order = descending(row_use(a), row_use(b));
		break;
	case BY_HELD:
		order = descending(a->held, b->held);
		break;
	case BY_PEAK:
		order = descending(a->peak, b->peak);
		break;
	case BY_REFUSED:
		order = descending(a->refused, b->refused);
		break;
	case BY_FORCED:
		order = descending(a->forced, b->forced);
		break;
	case BY_FRESH:
		order = descending(a->fresh, b->fresh);
		break;
	}
	return order ? order : by_name(a, b);
}

void sort_rows(struct row **rows, size_t nr, enum sort sort)
{
	sort_by = sort;
	if (nr)
		qsort(rows, nr, sizeof(*rows), compare);
}

bool sort_parse(const char *name, enum sort *sort)
{
	static const char *const names[] = {
		"name", "use", "held", "peak", "refused", "forced", "new"
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(name, names[i])) {
			*sort = i;
			return true;
		}
	}
	return false;
}

/* The table. */

enum column {
	GROUP, RESOURCE, HELD, PEAK, RESERVED, BARRIER, LIMIT, USE, REFUSED, FORCED
};

static const char *const titles[NR_COLUMNS] = {
	"GROUP", "RESOURCE", "HELD", "PEAK", "RESERVED", "BARRIER", "LIMIT", "USE%",
	"REFUSED", "FORCED"
};

/* Where there is no room, these go, the first of them first. */
static const enum column spare[] = { FORCED, RESERVED, PEAK, BARRIER, LIMIT };

static void format_amount(char *to, size_t size, int64_t value, bool bytes,
			  bool exact)
{
	static const char units[] = " KMGTPE";
	double scaled = value;
	int unit = 0;

	if (value == UNLIMITED) {
		snprintf(to, size, "-");
		return;
	}
	if (!bytes || exact || value < 10000) {
		snprintf(to, size, "%" PRId64, value);
		return;
	}
	for (; scaled >= 1000 && units[unit + 1]; unit++)
		scaled /= 1024;
	snprintf(to, size, scaled < 10 ? "%.1f%c" : "%.0f%c", scaled, units[unit]);
}

/* No byte that a terminal could take for something else than a letter. */
static void printable(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; *from && n + 5 < size; from++) {
		unsigned char c = *from;

		if (c >= ' ' && c < 0x7f)
			to[n++] = c;
		else
			n += snprintf(to + n, size - n, "\\x%02x", c);
	}
	to[n] = '\0';
}

static void cell(const struct row *row, enum column column, bool exact, char *to,
		 size_t size)
{
	switch (column) {
	case GROUP:
		printable(to, size, row->group);
		break;
	case RESOURCE:
		printable(to, size, row->resource);
		break;
	case HELD:
		format_amount(to, size, row->held, row->bytes, exact);
		break;
	case PEAK:
		format_amount(to, size, row->peak < 0 ? UNLIMITED : row->peak,
			      row->bytes, exact);
		break;
	case RESERVED:
		format_amount(to, size, row->reserved, row->bytes, exact);
		break;
	case BARRIER:
		format_amount(to, size, row->barrier, row->bytes, exact);
		break;
	case LIMIT:
		format_amount(to, size, row->limit, row->bytes, exact);
		break;
	case USE:
		if (row_bound(row) == UNLIMITED)
			snprintf(to, size, "-");
		else
			snprintf(to, size, "%.0f", row_use(row));
		break;
	case REFUSED:
		format_amount(to, size, row->refused, false, true);
		break;
	case FORCED:
		format_amount(to, size, row->forced, false, true);
		break;
	}
}

/* What each column needs; 0 as @width is no bound. */
void columns_fit(struct columns *c, struct row **rows, size_t nr, int width,
		 bool exact)
{
	char text[4096];
	int sum = 0, column;
	size_t i, s;

	for (column = 0; column < NR_COLUMNS; column++) {
		c->width[column] = strlen(titles[column]);
		for (i = 0; i < nr; i++) {
			int n;

			cell(rows[i], column, exact, text, sizeof(text));
			n = strlen(text);
			if (n > c->width[column])
				c->width[column] = n;
		}
		sum += c->width[column] + (column ? 2 : 0);
	}
	if (!width || sum <= width)
		return;
	/* First the names get shorter, down to 24; then columns go. */
	for (s = 0; s <= sizeof(spare) / sizeof(spare[0]); s++) {
		int least = c->width[GROUP] < 24 ? c->width[GROUP] : 24;

		if (sum - c->width[GROUP] + least <= width)
			break;
		if (s == sizeof(spare) / sizeof(spare[0]))
			break;
		sum -= c->width[spare[s]] + 2;
		c->width[spare[s]] = 0;
	}
	c->width[GROUP] -= sum > width ? sum - width : 0;
	if (c->width[GROUP] < 8)
		c->width[GROUP] = 8;
}

static size_t put(char *line, size_t size, size_t at, int width, bool left,
		  const char *text)
{
	int n;

	n = snprintf(line + at, size - at, "%s%*s", at ? "  " : "",
		     left ? -width : width, text);
	return n < 0 || at + n >= size ? size - 1 : at + n;
}

void columns_title(const struct columns *c, char *line, size_t size)
{
	size_t at = 0;
	int column;

	for (column = 0; column < NR_COLUMNS; column++) {
		if (c->width[column])
			at = put(line, size, at, c->width[column], column <= RESOURCE,
				 titles[column]);
	}
}

void columns_row(const struct columns *c, const struct row *row, bool exact,
		 char *line, size_t size)
{
	char text[4096];
	size_t at = 0;
	int column;

	for (column = 0; column < NR_COLUMNS; column++) {
		int width = c->width[column], n;
		char *shown = text;

		if (!width)
			continue;
		cell(row, column, exact, text, sizeof(text));
		n = strlen(text);
		/* The end of a path says more than its beginning. */
		if (column == GROUP && n > width) {
			shown = text + n - width;
			memcpy(shown, "..", 2);
		}
		at = put(line, size, at, width, column <= RESOURCE, shown);
	}
}

void print_table(FILE *to, struct row **rows, size_t nr, int width, bool exact,
		 bool colour)
{
	struct columns c;
	char line[8192];
	size_t i;

	columns_fit(&c, rows, nr, width, exact);
	columns_title(&c, line, sizeof(line));
	fprintf(to, "%s\n", line);
	for (i = 0; i < nr; i++) {
		double use = row_use(rows[i]);
		const char *mark = !colour ? NULL : use >= 95 ? RED :
				   use >= 80 ? YELLOW : NULL;

		columns_row(&c, rows[i], exact, line, sizeof(line));
		if (mark)
			fprintf(to, "%s%s" PLAIN "\n", mark, line);
		else
			fprintf(to, "%s\n", line);
	}
}

/* Machine-readable. */

/* How many bytes of UTF-8 begin here, or 0 where it is none. */
static size_t utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 :
		   *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;
	size_t i;

	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Overlong, surrogates, above U+10FFFF. */
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
	    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* Between quotes. A byte that is not UTF-8 becomes U+FFFD. */
static void put_json(FILE *to, const char *text)
{
	putc('"', to);
	while (*text) {
		size_t n = utf8(text);

		if (!n) {
			fputs("\\ufffd", to);
			text++;
		} else if (*text == '"' || *text == '\\') {
			fprintf(to, "\\%c", *text++);
		} else if ((unsigned char)*text < ' ' || *text == 0x7f) {
			fprintf(to, "\\u%04x", (unsigned char)*text++);
		} else {
			fwrite(text, 1, n, to);
			text += n;
		}
	}
	putc('"', to);
}

static void put_json_amount(FILE *to, const char *name, int64_t value)
{
	fprintf(to, ", \"%s\": ", name);
	if (value == UNLIMITED || value < 0)
		fputs("null", to);
	else
		fprintf(to, "%" PRId64, value);
}

/* One object a sweep, on one line each group's resource. */
void print_json(FILE *to, const struct sweep *sweep, struct row **rows, size_t nr)
{
	size_t i;
	int k;

	fprintf(to, "{\"time\": %lld.%03ld, \"groups\": %zu, \"user_seconds\": %.6f, \"system_seconds\": %.6f,\n \"accounts\": [",
		(long long)sweep->when.tv_sec, sweep->when.tv_nsec / 1000000,
		sweep->groups, sweep->user, sweep->system);
	for (i = 0; i < nr; i++) {
		const struct row *row = rows[i];

		fputs(i ? ",\n  {\"group\": " : "\n  {\"group\": ", to);
		put_json(to, row->group);
		fputs(", \"hierarchy\": ", to);
		put_json(to, row->mount);
		fputs(", \"resource\": ", to);
		put_json(to, row->resource);
		fprintf(to, ", \"unit\": \"%s\"", row->bytes ? "byte" : "one");
		put_json_amount(to, "held", row->held);
		put_json_amount(to, "peak", row->peak);
		put_json_amount(to, "reserved", row->reserved);
		put_json_amount(to, "barrier", row->barrier);
		put_json_amount(to, "limit", row->limit);
		put_json_amount(to, "refused", row->refused);
		fputs(", \"refused_at\": {", to);
		for (k = 0; k < NR_REFUSALS && row->refusals[k].bound; k++) {
			if (k)
				fputs(", ", to);
			put_json(to, row->refusals[k].bound);
			fprintf(to, ": %" PRId64, row->refusals[k].nr);
		}
		putc('}', to);
		put_json_amount(to, "forced", row->forced);
		putc('}', to);
	}
	fputs("\n ]}\n", to);
}

static void put_csv(FILE *to, const char *text)
{
	if (!text[strcspn(text, ",\"\r\n")]) {
		fputs(text, to);
		return;
	}
	putc('"', to);
	for (; *text; text++) {
		if (*text == '"')
			putc('"', to);
		putc(*text, to);
	}
	putc('"', to);
}

static void put_csv_amount(FILE *to, int64_t value)
{
	putc(',', to);
	if (value != UNLIMITED && value >= 0)
		fprintf(to, "%" PRId64, value);
}

void print_csv(FILE *to, const struct sweep *sweep, struct row **rows, size_t nr,
	       bool header)
{
	size_t i;

	if (header)
		fputs("time,group,hierarchy,resource,held,peak,reserved,barrier,limit,refused,forced\n",
		      to);
	for (i = 0; i < nr; i++) {
		const struct row *row = rows[i];

		fprintf(to, "%lld,", (long long)sweep->when.tv_sec);
		put_csv(to, row->group);
		putc(',', to);
		put_csv(to, row->mount);
		putc(',', to);
		put_csv(to, row->resource);
		put_csv_amount(to, row->held);
		put_csv_amount(to, row->peak);
		put_csv_amount(to, row->reserved);
		put_csv_amount(to, row->barrier);
		put_csv_amount(to, row->limit);
		put_csv_amount(to, row->refused);
		put_csv_amount(to, row->forced);
		putc('\n', to);
	}
}

static void put_label(FILE *to, const char *text)
{
	while (*text) {
		size_t n = utf8(text);

		if (!n) {
			fputs("\xef\xbf\xbd", to);
			text++;
			continue;
		}
		if (*text == '\n')
			fputs("\\n", to);
		else if (*text == '"' || *text == '\\')
			fprintf(to, "\\%c", *text);
		else
			fwrite(text, 1, n, to);
		text += n;
	}
}

/*
 * The labels of a row, which many samples have. Each ends with a zero byte; the next
 * row's begin after it.
 */
static void put_labels(FILE *to, const struct row *row)
{
	fputs("{group=\"", to);
	put_label(to, row->group);
	fputs("\",hierarchy=\"", to);
	put_label(to, row->mount);
	fputs("\",resource=\"", to);
	put_label(to, row->resource);
	fputc('"', to);
	fputc('\0', to);
}

static void put_sample(FILE *to, const char *metric, const char *labels,
		       const char *bound, int64_t value)
{
	fputs("beancounters_", to);
	fputs(metric, to);
	fputs(labels, to);
	if (bound) {
		fputs(",bound=\"", to);
		put_label(to, bound);
		fputc('"', to);
	}
	fprintf(to, "} %" PRId64 "\n", value);
}

static int64_t get_held(const struct row *row)
{
	return row->held;
}

static int64_t get_peak(const struct row *row)
{
	return row->peak;
}

static int64_t get_reserved(const struct row *row)
{
	return row->reserved;
}

static int64_t get_barrier(const struct row *row)
{
	return row->barrier;
}

static int64_t get_limit(const struct row *row)
{
	return row->limit;
}

static int64_t get_forced(const struct row *row)
{
	return row->forced;
}

/* What is unlimited has no sample: there is no number for it. */
void print_prometheus(FILE *to, const struct sweep *sweep, struct row **rows,
		      size_t nr)
{
	static const struct {
		const char *name, *type, *help;
		int64_t (*get)(const struct row *row);
	} metrics[] = {
		{ "held", "gauge", "Units that the group holds now.", get_held },
		{ "peak", "gauge", "The most that the group held.", get_peak },
		{ "reserved", "gauge", "Units that are reserved for the group.",
		  get_reserved },
		{ "barrier", "gauge", "Where tasks without privileges are refused.",
		  get_barrier },
		{ "limit", "gauge", "Where all tasks are refused.", get_limit },
		{ "forced_total", "counter",
		  "Charges that could not be refused and went above the limit.",
		  get_forced },
	};
	char *all = NULL, *labels;
	FILE *memory;
	size_t m, i, size;
	int k;

	memory = open_memstream(&all, &size);
	for (i = 0; memory && i < nr; i++)
		put_labels(memory, rows[i]);
	if (!memory || fclose(memory)) {
		fputs("bcstat: out of memory\n", stderr);
		exit(3);
	}
	for (m = 0; m < sizeof(metrics) / sizeof(metrics[0]); m++) {
		fprintf(to, "# HELP beancounters_%s %s\n# TYPE beancounters_%s %s\n",
			metrics[m].name, metrics[m].help, metrics[m].name,
			metrics[m].type);
		for (i = 0, labels = all; i < nr; i++, labels += strlen(labels) + 1) {
			int64_t value = metrics[m].get(rows[i]);

			if (value != UNLIMITED && value >= 0)
				put_sample(to, metrics[m].name, labels, NULL, value);
		}
	}
	fputs("# HELP beancounters_refused_total Charges that were refused at a bound of the group.\n"
	      "# TYPE beancounters_refused_total counter\n", to);
	for (i = 0, labels = all; i < nr; i++, labels += strlen(labels) + 1) {
		for (k = 0; k < NR_REFUSALS && rows[i]->refusals[k].bound; k++)
			put_sample(to, "refused_total", labels,
				   rows[i]->refusals[k].bound,
				   rows[i]->refusals[k].nr);
	}
	free(all);
	fprintf(to, "# HELP beancounters_groups Groups that were read.\n"
		"# TYPE beancounters_groups gauge\nbeancounters_groups %zu\n",
		sweep->groups);
	fprintf(to, "# HELP beancounters_read_cpu_seconds CPU time that reading them took.\n"
		"# TYPE beancounters_read_cpu_seconds gauge\n"
		"beancounters_read_cpu_seconds %.6f\n", sweep->user + sweep->system);
}

/* Monitoring. */

/* The number of refusals at the last check, from lines "NR RESOURCE MOUNT GROUP". */
struct before {
	struct row *rows;
	size_t nr;
};

static void read_state(const char *state, struct before *before)
{
	FILE *from = fopen(state, "r");
	char *line = NULL;
	size_t size = 0;

	while (from && getline(&line, &size, from) > 0) {
		struct row row = { };
		char *p = line, *resource, *mount, *group;

		row.refused = strtoll(p, &p, 10);
		resource = strtok(p, "\t\n");
		mount = strtok(NULL, "\t\n");
		group = strtok(NULL, "\t\n");
		if (!group)
			continue;
		row.resource = cg_format("%s", resource);
		row.mount = cg_format("%s", mount);
		row.group = cg_format("%s", group);
		before->rows = reallocarray(before->rows, before->nr + 1, sizeof(row));
		before->rows[before->nr++] = row;
	}
	free(line);
	if (from)
		fclose(from);
}

static int compare_rows(const void *a, const void *b)
{
	return by_name(a, b);
}

static int write_state(const char *state, struct row **rows, size_t nr)
{
	char *new = cg_format("%s.new", state);
	FILE *to = fopen(new, "w");
	size_t i;
	int error = -1;

	for (i = 0; to && i < nr; i++)
		fprintf(to, "%" PRId64 "\t%s\t%s\t%s\n", rows[i]->refused,
			rows[i]->resource, rows[i]->mount, rows[i]->group);
	if (to && !(ferror(to) | fclose(to)) && !rename(new, state))
		error = 0;
	free(new);
	return error;
}

/*
 * One line and an exit status, as Nagios and its like want them: 0 all is well,
 * 1 warning, 2 critical, 3 unknown.
 */
int check(struct row **rows, size_t nr, double warning, double critical,
	  const char *state)
{
	static const char *const words[] = { "OK", "WARNING", "CRITICAL" };
	struct before before = { };
	size_t i, bad = 0, worst = nr;
	int64_t refused = 0;
	int status = 0;
	char name[256];

	if (state) {
		read_state(state, &before);
		if (before.nr)
			qsort(before.rows, before.nr, sizeof(*before.rows),
			      compare_rows);
	}
	for (i = 0; i < nr; i++) {
		struct row *old = !before.nr ? NULL :
			bsearch(rows[i], before.rows, before.nr, sizeof(*before.rows),
				compare_rows);
		double use = row_use(rows[i]);
		int now = use >= critical ? 2 : use >= warning ? 1 : 0;

		/* One that is new since has been refused since. */
		if (state && before.nr) {
			rows[i]->fresh = rows[i]->refused - (old ? old->refused : 0);
			if (rows[i]->fresh < 0)
				rows[i]->fresh = rows[i]->refused;
			refused += rows[i]->fresh;
			if (rows[i]->fresh && now < 1)
				now = 1;
		}
		bad += now > 0;
		if (now > status || worst == nr ||
		    (now == status && use > row_use(rows[worst])))
			worst = i;
		if (now > status)
			status = now;
	}
	if (state && write_state(state, rows, nr)) {
		printf("BEANCOUNTERS UNKNOWN: %s: %s\n", state, strerror(errno));
		status = 3;
		goto out;
	}
	printf("BEANCOUNTERS %s: ", words[status]);
	if (!status) {
		printf("%zu accounts below %.0f%%", nr, warning);
	} else {
		printable(name, sizeof(name), rows[worst]->group);
		/* What follows a bar is for machines. */
		for (i = 0; name[i]; i++) {
			if (name[i] == '|')
				name[i] = '?';
		}
		printf("%zu of %zu accounts, %s %s at %.0f%%", bad, nr, name,
		       rows[worst]->resource, row_use(rows[worst]));
		if (rows[worst]->fresh)
			printf(", refused %" PRId64 " times", rows[worst]->fresh);
	}
	printf(" | near=%zu refused=%" PRId64 " use=%.0f%%;%.0f;%.0f\n", bad, refused,
	       worst < nr ? row_use(rows[worst]) : 0, warning, critical);
out:
	for (i = 0; i < before.nr; i++) {
		free((char *)before.rows[i].group);
		free((char *)before.rows[i].mount);
		free((char *)before.rows[i].resource);
	}
	free(before.rows);
	return status;
}
