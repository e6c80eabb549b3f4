// SPDX-License-Identifier: GPL-2.0
/*
 * bc-set - limits for a group, a unit, a container or a process's group
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cg.h"

static void usage(FILE *to)
{
	fputs("usage: bc-set [OPTION...] [GROUP] FILE=VALUE...\n"
	      "       bc-set [OPTION...] --enable [GROUP] CONTROLLER...\n"
	      "\n"
	      "Writes limits of a group, all of them or none.\n"
	      "\n"
	      "GROUP is a path, a PID, a systemd unit, or a container by ID or name; without\n"
	      "one it is the group of bc-set itself.\n"
	      "\n"
	      "  -g, --path PATH       the group is PATH\n"
	      "  -p, --pid PID         the group is the one that PID is in\n"
	      "  -u, --unit UNIT       the group is that of the systemd unit\n"
	      "  -c, --container NAME  the group is that of the container\n"
	      "  -e, --enable          switch CONTROLLERs on for the groups below GROUP\n"
	      "  -n, --dry-run         write nothing, say what would be written\n"
	      "  -v, --verbose         say what is written\n"
	      "      --root DIR        take DIR for / (for tests)\n"
	      "      --help, --version\n"
	      "\n"
	      "Exit status: 0 done; 1 the kernel refused a value; 2 wrong use, or a wrong\n"
	      "value; 3 no such group; 4 a controller is not there or cannot be switched on;\n"
	      "5 failed, and what had been written could not all be taken back.\n", to);
}

static void say(const char *what)
{
	printf("%s\n", what);
}

static int is_setting(const char *arg)
{
	return strchr(arg, '=') != NULL;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "path", required_argument, NULL, 'g' },
		{ "pid", required_argument, NULL, 'p' },
		{ "unit", required_argument, NULL, 'u' },
		{ "container", required_argument, NULL, 'c' },
		{ "enable", no_argument, NULL, 'e' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "root", required_argument, NULL, 'R' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ }
	};
	struct cg cg;
	struct cg_set set = { .cg = &cg, .kind = CG_SELF };
	const char *root = "";
	int c, status, enable = 0, groups = 0;

	while ((c = getopt_long(argc, argv, "g:p:u:c:env", options, NULL)) != -1) {
		switch (c) {
		case 'g':
		case 'p':
		case 'u':
		case 'c':
			set.kind = c == 'g' ? CG_PATH : c == 'p' ? CG_PID :
				   c == 'u' ? CG_UNIT : CG_CONTAINER;
			set.name = optarg;
			groups++;
			break;
		case 'e':
			enable = 1;
			break;
		case 'n':
			set.dry = true;
			set.say = say;
			break;
		case 'v':
			set.say = say;
			break;
		case 'R':
			root = optarg;
			break;
		case 'h':
			usage(stdout);
			return CG_OK;
		case 'V':
			printf("bc-set %s\n", CG_VERSION);
			return CG_OK;
		default:
			usage(stderr);
			return CG_USAGE;
		}
	}
	argv += optind;
	argc -= optind;
	/* A controller's name has neither slash nor dot nor figures alone. */
	if (argc && !groups && !is_setting(argv[0]) &&
	    (!enable || argv[0][strcspn(argv[0], "/.")] ||
	     !argv[0][strspn(argv[0], "0123456789")])) {
		set.kind = CG_ANY;
		set.name = *argv++;
		argc--;
		groups++;
	}
	if (!argc || groups > 1) {
		fputs(groups > 1 ? "bc-set: one group at a time\n" :
		      "bc-set: nothing to set\n", stderr);
		usage(stderr);
		return CG_USAGE;
	}
	if (cg_init(&cg, root)) {
		fprintf(stderr, "bc-set: %s\n", cg_why());
		return CG_NO_CONTROLLER;
	}
	status = enable ? cg_enable(&set, argv, argc) : cg_set(&set, argv, argc);
	if (status != CG_OK)
		fprintf(stderr, "bc-set: %s\n", cg_why());
	cg_exit(&cg);
	return status;
}
