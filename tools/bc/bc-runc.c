// SPDX-License-Identifier: GPL-2.0
/*
 * bc-runc - an OCI runtime that is another one, and bc-oci-hook
 *
 * docker and containerd read no hooks.d. This is put in the runtime's place: where
 * a container is created, it adds the hook to the container's configuration, and
 * settings of its own as annotations, and is the other runtime from then on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "cg.h"

#define PREFIX "io.beancounters."

static void usage(FILE *to)
{
	fputs("usage: bc-runc [--bc-runtime PATH] [--bc-hook PATH] [--bc-set FILE=VALUE]... ARG...\n"
	      "\n"
	      "Runs the OCI runtime PATH (runc) with ARG..., and adds bc-oci-hook to each\n"
	      "container that it creates. Each --bc-set is an annotation of containers that do\n"
	      "not have it.\n", to);
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "bc-runc: %s: %s\n", what, why);
	exit(CG_USAGE);
}

/* The array of that name in @object, made where it is not there. */
static json_t *need(json_t *object, const char *name, json_t *(*make)(void))
{
	json_t *found = json_object_get(object, name);

	if (found && !json_is_null(found))
		return found;
	json_object_set_new(object, name, make());
	return json_object_get(object, name);
}

static bool has_hook(json_t *list, const char *hook)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *path = json_string_value(json_object_get(one, "path"));

		if (path && !strcmp(path, hook))
			return true;
	}
	return false;
}

static bool has_annotation(json_t *annotations)
{
	const char *key;
	json_t *value;

	json_object_foreach(annotations, key, value) {
		if (!strncmp(key, PREFIX, strlen(PREFIX)))
			return true;
	}
	return false;
}

/* In place of the old one at once: the runtime never reads half of it. */
static void change(const char *bundle, const char *hook, char **sets, size_t nr)
{
	char *file = cg_format("%s/config.json", bundle);
	char *new = cg_format("%s.bc", file);
	json_t *config, *annotations, *list;
	json_error_t error;
	struct stat st;
	size_t i;

	config = json_load_file(file, 0, &error);
	if (!config || stat(file, &st))
		die(file, config ? strerror(errno) : error.text);
	annotations = need(config, "annotations", json_object);
	for (i = 0; i < nr; i++) {
		char *equals = strchr(sets[i], '=');
		char *key;

		if (!equals)
			die(sets[i], "FILE=VALUE is wanted");
		key = cg_format(PREFIX "%.*s", (int)(equals - sets[i]), sets[i]);
		if (!json_object_get(annotations, key))
			json_object_set_new(annotations, key, json_string(equals + 1));
		free(key);
	}
	list = need(need(config, "hooks", json_object), "createRuntime", json_array);
	if (has_annotation(annotations) && !has_hook(list, hook)) {
		json_array_append_new(list, json_pack("{s:s}", "path", hook));
		if (json_dump_file(config, new, JSON_INDENT(1)) ||
		    chmod(new, st.st_mode & 07777) ||
		    chown(new, st.st_uid, st.st_gid) || rename(new, file))
			die(new, strerror(errno));
	}
	json_decref(config);
	free(new);
	free(file);
}

int main(int argc, char **argv)
{
	const char *runtime = "runc", *bundle = ".";
	const char *hook = "/usr/libexec/oci/hooks.d/bc-oci-hook";
	bool create = false;
	char **sets = calloc(argc, sizeof(*sets));
	size_t nr = 0;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") && argc == 2) {
			usage(stdout);
			return CG_OK;
		} else if (!strcmp(argv[i], "--version") && argc == 2) {
			printf("bc-runc %s\n", CG_VERSION);
			return CG_OK;
		} else if (!strcmp(argv[i], "--bc-runtime") && i + 1 < argc) {
			runtime = argv[++i];
		} else if (!strcmp(argv[i], "--bc-hook") && i + 1 < argc) {
			hook = argv[++i];
		} else if (!strcmp(argv[i], "--bc-set") && i + 1 < argc) {
			sets[nr++] = argv[++i];
		} else {
			break;
		}
	}
	/* The rest is the runtime's: only what says where the bundle is, is read. */
	argv += i - 1;
	argc -= i - 1;
	if (argc < 2) {
		usage(stderr);
		return CG_USAGE;
	}
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "create") || !strcmp(argv[i], "run"))
			create = true;
		else if ((!strcmp(argv[i], "--bundle") || !strcmp(argv[i], "-b")) &&
			 i + 1 < argc)
			bundle = argv[++i];
		else if (!strncmp(argv[i], "--bundle=", 9))
			bundle = argv[i] + 9;
	}
	if (create)
		change(bundle, hook, sets, nr);
	argv[0] = (char *)runtime;
	execvp(runtime, argv);
	die(runtime, strerror(errno));
}
