// SPDX-License-Identifier: GPL-2.0
/*
 * bc-oci-hook - limits of a container by annotation, whatever its runtime knows
 *
 * A createRuntime hook: the runtime has made the container's group, has put its
 * first process there, and gives the container's state on standard input. If the
 * hook fails, the container does not start.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <jansson.h>

#include "cg.h"

#define PREFIX "io.beancounters."

static void usage(FILE *to)
{
	fputs("usage: bc-oci-hook [--root DIR] < STATE\n"
	      "\n"
	      "An OCI createRuntime hook. Each annotation io.beancounters.FILE=VALUE of the\n"
	      "container is written to FILE of its group, all of them or none; where that\n"
	      "fails, so does the container's start.\n"
	      "\n"
	      "      --root DIR        take DIR for / (for tests)\n"
	      "      --help, --version\n", to);
}

/* In the system's log as well: crun shows nothing of what a hook says. */
static int fail(int status, const char *root)
{
	if (!*root)
		syslog(LOG_DAEMON | LOG_ERR, "%s", cg_why());
	fprintf(stderr, "bc-oci-hook: %s\n", cg_why());
	return status;
}

/* The annotations: those of the configuration, from which the container is made. */
static json_t *annotations(json_t *state, const char *root)
{
	const char *bundle = json_string_value(json_object_get(state, "bundle"));
	json_t *config, *found;
	json_error_t error;
	char *file;

	if (!bundle)
		return json_incref(json_object_get(state, "annotations"));
	file = cg_format("%s%s/config.json", root, bundle);
	config = json_load_file(file, 0, &error);
	if (!config) {
		cg_fail("%s: line %d: %s", file, error.line, error.text);
		free(file);
		return NULL;
	}
	free(file);
	found = json_incref(json_object_get(config, "annotations"));
	json_decref(config);
	return found ? found : json_object();
}

/* FILE=VALUE of each annotation that is ours. */
static int collect(json_t *from, char ***list, size_t *nr)
{
	const char *key;
	json_t *value;

	json_object_foreach(from, key, value) {
		if (strncmp(key, PREFIX, strlen(PREFIX)))
			continue;
		if (!json_is_string(value))
			return cg_fail("annotation %s is no string", key);
		*list = reallocarray(*list, *nr + 1, sizeof(**list));
		(*list)[(*nr)++] = cg_format("%s=%s", key + strlen(PREFIX),
					     json_string_value(value));
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, 'R' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ }
	};
	struct cg cg;
	struct cg_set set = { .cg = &cg, .kind = CG_PID };
	const char *root = "";
	char **list = NULL, *pid_text;
	int c, status = CG_OK;
	json_t *state, *from;
	json_error_t error;
	json_int_t pid;
	size_t nr = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'R':
			root = optarg;
			break;
		case 'h':
			usage(stdout);
			return CG_OK;
		case 'V':
			printf("bc-oci-hook %s\n", CG_VERSION);
			return CG_OK;
		default:
			usage(stderr);
			return CG_USAGE;
		}
	}
	if (argc != optind) {
		usage(stderr);
		return CG_USAGE;
	}
	openlog("bc-oci-hook", 0, LOG_DAEMON);
	state = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, &error);
	if (!state) {
		cg_fail("the container's state on standard input: line %d: %s",
			error.line, error.text);
		return fail(CG_USAGE, root);
	}
	from = annotations(state, root);
	if (!from && json_object_get(state, "bundle")) {
		json_decref(state);
		return fail(CG_USAGE, root);
	}
	pid = json_integer_value(json_object_get(state, "pid"));
	if (collect(from, &list, &nr)) {
		status = fail(CG_USAGE, root);
	} else if (!nr) {
		/* None of our business. */
	} else if (pid <= 0) {
		cg_fail("the container's state has no PID: it is for the stage createRuntime");
		status = fail(CG_USAGE, root);
	} else if (cg_init(&cg, root)) {
		status = fail(CG_NO_CONTROLLER, root);
	} else {
		pid_text = cg_format("%lld", (long long)pid);
		set.name = pid_text;
		status = cg_set(&set, list, nr);
		if (status != CG_OK)
			fail(status, root);
		free(pid_text);
		cg_exit(&cg);
	}
	while (nr)
		free(list[--nr]);
	free(list);
	json_decref(from);
	json_decref(state);
	return status;
}
