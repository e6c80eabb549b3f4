// SPDX-License-Identifier: GPL-2.0
/*
 * bcstat - what groups hold of each resource, and what they were refused
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sweep.h"

enum format { TABLE, JSON, CSV, PROMETHEUS, CHECK, LIVE };

struct output {
	enum format format;
	const char *textfile, *state;
	double warning, critical;
	size_t top;
	bool exact, cost;
};

static void usage(FILE *to)
{
	fputs("usage: bcstat [OPTION...] [GROUP]\n"
	      "\n"
	      "Shows what groups hold of each resource that beancounters count, and how often\n"
	      "they were refused: live on a terminal, else as a table, once.\n"
	      "\n"
	      "GROUP, a path, a PID, a systemd unit, or a container, and what is below it are\n"
	      "shown; without one, all groups.\n"
	      "\n"
	      "  -g, --path PATH       show PATH (-p, --pid; -u, --unit; -c, --container)\n"
	      "  -1, --once            a table, on a terminal as well\n"
	      "  -j, --json            JSON; -C, --csv; -P, --prometheus\n"
	      "  -T, --textfile FILE   Prometheus' format into FILE, which is replaced at once\n"
	      "  -i, --interval SEC    again every SEC seconds (live view: 2)\n"
	      "  -r, --resource NAME   only this resource\n"
	      "  -s, --sort KEY        name, use, held, peak, refused, forced or new\n"
	      "  -d, --depth N         only N levels below\n"
	      "  -n, --near PERCENT    only what is that near to its barrier or limit\n"
	      "  -t, --top N           only the first N\n"
	      "  -a, --all             what is neither bounded nor held, too\n"
	      "  -b, --exact           numbers as they are, not 1.5M\n"
	      "      --budget PERCENT  of a CPU that the live view may take (0.7)\n"
	      "      --cost            say on standard error how much CPU time it took\n"
	      "      --root DIR        take DIR for / (for tests)\n"
	      "      --help, --version\n"
	      "\n"
	      "  --check               for monitoring: one line; exit status 0 all is well,\n"
	      "                        1 warning, 2 critical, 3 unknown\n"
	      "    -w, --warning PERCENT   (80)\n"
	      "    -x, --critical PERCENT  (95)\n"
	      "    --state FILE        warn of refusals since the last check, kept in FILE\n",
	      to);
}

size_t filter_rows(const struct filter *filter, struct sweep *sweep,
		   struct row **rows)
{
	size_t i, nr = 0;

	for (i = 0; i < sweep->nr; i++) {
		struct row *row = &sweep->rows[i];

		if (filter->resource && strcmp(filter->resource, row->resource))
			continue;
		if (filter->near && row_use(row) < filter->near)
			continue;
		if (!filter->all && row_idle(row))
			continue;
		rows[nr++] = row;
	}
	sort_rows(rows, nr, filter->sort);
	return nr;
}

static int print(FILE *to, const struct output *out, struct sweep *sweep,
		 struct row **rows, size_t nr, bool first)
{
	struct winsize size = { };
	const char *columns = getenv("COLUMNS");
	bool terminal = isatty(fileno(to));
	int width = columns ? atoi(columns) : 0;

	if (out->top && nr > out->top)
		nr = out->top;
	switch (out->format) {
	case JSON:
		print_json(to, sweep, rows, nr);
		break;
	case CSV:
		print_csv(to, sweep, rows, nr, first);
		break;
	case PROMETHEUS:
		print_prometheus(to, sweep, rows, nr);
		break;
	case CHECK:
		return check(rows, nr, out->warning, out->critical, out->state);
	default:
		if (terminal && !width && !ioctl(fileno(to), TIOCGWINSZ, &size))
			width = size.ws_col;
		print_table(to, rows, nr, width < 0 ? 0 : width, out->exact, terminal);
	}
	if (fflush(to) || ferror(to)) {
		cg_fail("writing: %s", strerror(errno));
		return 3;
	}
	return 0;
}

/* In one step, so that no reader sees half of it. */
static int print_textfile(const struct output *out, struct sweep *sweep,
			  struct row **rows, size_t nr)
{
	char *new = cg_format("%s.%d.new", out->textfile, (int)getpid());
	FILE *to = fopen(new, "w");
	int failed = !to;

	if (to) {
		fchmod(fileno(to), 0644);
		failed = print(to, out, sweep, rows, nr, true) != 0;
		failed |= fclose(to) != 0;
	}
	if (failed || rename(new, out->textfile)) {
		cg_fail("%s: %s", out->textfile, strerror(errno));
		unlink(new);
		failed = 1;
	}
	free(new);
	return failed ? 3 : 0;
}

static double number(const char *text, double least)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= least) || value > 1e9) {
		fprintf(stderr, "bcstat: \"%s\" is no number that makes sense here\n",
			text);
		exit(3);
	}
	return value;
}

static int run(struct stat_options *options, struct filter *filter,
	       const struct output *out, double interval)
{
	struct sweep *sweep, *last = NULL;
	struct row **rows = NULL;
	bool first = true;
	int status;

	for (;; first = false) {
		size_t nr;

		sweep = sweep_read(options, last, true);
		if (!sweep) {
			if (out->format == CHECK)
				printf("BEANCOUNTERS UNKNOWN: %s\n", cg_why());
			status = 3;
			break;
		}
		sweep_free(last);
		last = sweep;
		rows = reallocarray(rows, sweep->nr + 1, sizeof(*rows));
		nr = filter_rows(filter, sweep, rows);
		if (out->textfile)
			status = print_textfile(out, sweep, rows, nr);
		else
			status = print(stdout, out, sweep, rows, nr, first);
		if (out->cost)
			fprintf(stderr, "bcstat: %zu groups, %zu accounts: %.6f s user, %.6f s system\n",
				sweep->groups, sweep->nr, sweep->user, sweep->system);
		if (!interval || (status && out->format != CHECK))
			break;
		usleep(interval * 1e6);
	}
	if (status == 3 && out->format != CHECK)
		fprintf(stderr, "bcstat: %s\n", cg_why());
	free(rows);
	sweep_free(last);
	return status;
}

/* A deep tree takes a descriptor for each level. */
static void raise_nofile(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	enum { ROOT = 256, BUDGET, COST, DO_CHECK, STATE, HELP, VERSION };
	static const struct option long_options[] = {
		{ "path", required_argument, NULL, 'g' },
		{ "pid", required_argument, NULL, 'p' },
		{ "unit", required_argument, NULL, 'u' },
		{ "container", required_argument, NULL, 'c' },
		{ "once", no_argument, NULL, '1' },
		{ "json", no_argument, NULL, 'j' },
		{ "csv", no_argument, NULL, 'C' },
		{ "prometheus", no_argument, NULL, 'P' },
		{ "textfile", required_argument, NULL, 'T' },
		{ "interval", required_argument, NULL, 'i' },
		{ "resource", required_argument, NULL, 'r' },
		{ "sort", required_argument, NULL, 's' },
		{ "depth", required_argument, NULL, 'd' },
		{ "near", required_argument, NULL, 'n' },
		{ "top", required_argument, NULL, 't' },
		{ "all", no_argument, NULL, 'a' },
		{ "exact", no_argument, NULL, 'b' },
		{ "warning", required_argument, NULL, 'w' },
		{ "critical", required_argument, NULL, 'x' },
		{ "root", required_argument, NULL, ROOT },
		{ "budget", required_argument, NULL, BUDGET },
		{ "cost", no_argument, NULL, COST },
		{ "check", no_argument, NULL, DO_CHECK },
		{ "state", required_argument, NULL, STATE },
		{ "help", no_argument, NULL, HELP },
		{ "version", no_argument, NULL, VERSION },
		{ }
	};
	struct output out = { .format = LIVE, .warning = 80, .critical = 95 };
	struct stat_options options = { .depth = -1 };
	struct filter filter = { .sort = BY_NAME };
	bool sorted = false;
	double interval = 0, budget = 0.7;
	const char *root = "";
	struct cg cg;
	int c, status;

	while ((c = getopt_long(argc, argv, "g:p:u:c:1jCPT:i:r:s:d:n:t:abw:x:",
				long_options, NULL)) != -1) {
		switch (c) {
		case 'g':
		case 'p':
		case 'u':
		case 'c':
			options.kind = c == 'g' ? CG_PATH : c == 'p' ? CG_PID :
				       c == 'u' ? CG_UNIT : CG_CONTAINER;
			options.group = optarg;
			break;
		case '1':
			out.format = TABLE;
			break;
		case 'j':
			out.format = JSON;
			break;
		case 'C':
			out.format = CSV;
			break;
		case 'T':
			out.textfile = optarg;
			/* fall through */
		case 'P':
			out.format = PROMETHEUS;
			break;
		case 'i':
			interval = number(optarg, 0.01);
			break;
		case 'r':
			filter.resource = optarg;
			break;
		case 's':
			sorted = true;
			if (sort_parse(optarg, &filter.sort))
				break;
			fprintf(stderr, "bcstat: %s is nothing to sort by\n", optarg);
			return 3;
		case 'd':
			options.depth = number(optarg, 0);
			break;
		case 'n':
			filter.near = number(optarg, 0);
			break;
		case 't':
			out.top = number(optarg, 1);
			break;
		case 'a':
			filter.all = true;
			break;
		case 'b':
			out.exact = true;
			break;
		case 'w':
			out.warning = number(optarg, 0);
			break;
		case 'x':
			out.critical = number(optarg, 0);
			break;
		case ROOT:
			root = optarg;
			break;
		case BUDGET:
			budget = number(optarg, 0.001);
			break;
		case COST:
			out.cost = true;
			break;
		case DO_CHECK:
			out.format = CHECK;
			break;
		case STATE:
			out.state = optarg;
			break;
		case HELP:
			usage(stdout);
			return 0;
		case VERSION:
			printf("bcstat %s\n", CG_VERSION);
			return 0;
		default:
			usage(stderr);
			return 3;
		}
	}
	if (optind < argc && !options.group)
		options.group = argv[optind++];
	if (optind < argc) {
		usage(stderr);
		return 3;
	}
	if (out.format == LIVE && (!isatty(0) || !isatty(1)))
		out.format = TABLE;
	raise_nofile();
	if (cg_init(&cg, root)) {
		if (out.format == CHECK)
			printf("BEANCOUNTERS UNKNOWN: %s\n", cg_why());
		fprintf(stderr, "bcstat: %s\n", cg_why());
		return 3;
	}
	options.cg = &cg;
	if (out.format == LIVE) {
		if (!sorted)
			filter.sort = BY_USE;
		status = live(&options, &filter, interval ? interval : 2, budget,
			      out.exact) ? 3 : 0;
	} else {
		/* Programs want all that there is. */
		if (out.format != TABLE)
			filter.all = true;
		status = run(&options, &filter, &out, interval);
	}
	cg_exit(&cg);
	return status;
}
