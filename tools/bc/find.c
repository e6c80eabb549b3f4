// SPDX-License-Identifier: GPL-2.0
/*
 * find.c - the group of a unit, or of a container
 *
 * No daemon is asked: systemd and the container runtimes name groups after what
 * they run in them, and keep the names that users gave in files.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cg.h"

/* What a search looks for, and found. */
struct search {
	/* Is it this one? May be NULL: then @name or _@name is. */
	bool (*match)(const struct search *s, const char *above, const char *name);
	bool (*descend)(const char *name);
	const char *name;
	char **ids;		/* of the containers with that name */
	size_t nr_ids;
	char **found;
	size_t nr_found;
};

static void append(char ***list, size_t *nr, char *text)
{
	*list = reallocarray(*list, *nr + 1, sizeof(**list));
	(*list)[(*nr)++] = text;
}

static void free_strings(char **list, size_t nr)
{
	while (nr)
		free(list[--nr]);
	free(list);
}

/* Below what was found nothing else is: containers have groups of their own. */
static void walk(struct search *s, int fd, const char *path)
{
	char **children = cg_children(fd), **child;
	const char *above = strrchr(path, '/') + 1;

	for (child = children; child && *child; child++) {
		char *sub = cg_format("%s/%s", path[1] ? path : "", *child);

		if (s->match(s, above, *child)) {
			append(&s->found, &s->nr_found, sub);
			continue;
		}
		if (!s->descend || s->descend(*child)) {
			struct cg_hier at = { .fd = fd };
			char *name = cg_format("/%s", *child);
			int next = cg_open(&at, name);

			free(name);
			if (next >= 0) {
				walk(s, next, sub);
				close(next);
			}
		}
		free(sub);
	}
	cg_free_list(children);
}

/* The one path that was found; @what for the error. */
static char *only_one(struct search *s, struct cg_hier *hier, const char *what)
{
	char *path = NULL;

	if (s->nr_found == 1)
		path = cg_format("%s", s->found[0]);
	else if (s->nr_found)
		cg_fail("%s %s may be %s or %s: say which by --path", what, s->name,
			s->found[0], s->found[1]);
	else
		cg_fail("%s %s has no group in %s: either there is none, or it does not run, or it is not in this hierarchy",
			what, s->name, hier->mount);
	free_strings(s->found, s->nr_found);
	free_strings(s->ids, s->nr_ids);
	return path;
}

static int search_all(struct search *s, struct cg_hier *hier)
{
	int fd = cg_open(hier, "/");

	if (fd < 0)
		return -1;
	walk(s, fd, "/");
	close(fd);
	return 0;
}

/* Units. */

static bool ends_in(const char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	return len > n && !strcmp(name + len - n, suffix);
}

/* What would be taken for a file of the kernel has an underscore before it. */
static bool is_unit(const struct search *s, const char *above, const char *name)
{
	(void)above;
	return !strcmp(name, s->name) ||
	       (*name == '_' && !strcmp(name + 1, s->name));
}

static bool is_slice(const char *name)
{
	return ends_in(name, ".slice");
}

/*
 * Slices say in their names where they are: a-b.slice is in a.slice. Everything
 * else is in some slice, and that is looked for; what users' own managers run is
 * not, since any user may name a unit like one of the system's.
 */
char *cg_find_unit(struct cg *cg, struct cg_hier *hier, const char *unit)
{
	struct search s = { .match = is_unit, .descend = is_slice };
	char *path = NULL, *dash, *name;

	(void)cg;
	if (!*unit || strchr(unit, '/') || *unit == '.') {
		cg_fail("\"%s\" is no unit's name", unit);
		return NULL;
	}
	if (!is_slice(unit)) {
		/* As systemctl has it: a service where no type is named. */
		name = cg_format("%s%s", unit, strchr(unit, '.') ? "" : ".service");
		s.name = name;
		if (!search_all(&s, hier))
			path = only_one(&s, hier, "unit");
		free(name);
		return path;
	}
	path = cg_format("/");
	if (!strcmp(unit, "-.slice"))
		return path;
	for (dash = strchr(unit, '-'); ; dash = strchr(dash + 1, '-')) {
		int len = dash ? dash - unit : (int)strlen(unit) - 6;
		char *longer = cg_format("%s%s%.*s.slice", path, path[1] ? "/" : "",
					 len, unit);

		free(path);
		path = longer;
		if (!dash)
			break;
	}
	return path;
}

/* Containers. */

/* Before the container's ID in the name of its group; after it, ".scope". */
static const char *const prefixes[] = {
	"docker-", "libpod-", "crio-", "cri-containerd-", "nerdctl-", "runc-",
	"crun-", "lxc.payload.", "machine-", NULL
};

/* A full ID, or as much of one as runtimes show. */
static bool same_id(const char *id, size_t len, const char *wanted)
{
	size_t n = strlen(wanted);

	if (len == n && !strncmp(id, wanted, n))
		return true;
	return len == 64 && n >= 4 && !wanted[strspn(wanted, "0123456789abcdef")] &&
	       !strncmp(id, wanted, n);
}

static bool is_wanted(const struct search *s, const char *id, size_t len)
{
	size_t i;

	if (same_id(id, len, s->name))
		return true;
	for (i = 0; i < s->nr_ids; i++) {
		if (same_id(id, len, s->ids[i]))
			return true;
	}
	return false;
}

static bool is_container(const struct search *s, const char *above,
			 const char *name)
{
	static const char nspawn[] = "systemd-nspawn@";
	size_t len = strlen(name), n;
	const char *const *prefix;

	if (ends_in(name, ".scope"))
		len -= 6;
	for (prefix = prefixes; *prefix; prefix++) {
		n = strlen(*prefix);
		if (len > n && !strncmp(name, *prefix, n) &&
		    is_wanted(s, name + n, len - n))
			return true;
	}
	n = sizeof(nspawn) - 1;
	if (!strncmp(name, nspawn, n) && ends_in(name, ".service") &&
	    is_wanted(s, name + n, strlen(name) - n - 8))
		return true;
	/* The bare ID: docker, containerd, runc, LXC, without systemd. */
	if (!is_wanted(s, name, strlen(name)))
		return false;
	return strlen(name) == 64 || !*above || !strcmp(above, "lxc") ||
	       !strcmp(above, "docker") || !strchr(above, '.');
}

/* {"Name": "/web", "ID": "0123..."}, a file for each container. */
static void docker_names(struct cg *cg, struct search *s)
{
	char *top = cg_format("%s/var/lib/docker/containers", cg->root);
	DIR *dir = opendir(top);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char *file = cg_format("%s/%s/config.v2.json", top, entry->d_name);
		json_t *json = *entry->d_name == '.' ? NULL :
			       json_load_file(file, 0, NULL);
		const char *name = json_string_value(json_object_get(json, "Name"));

		if (name && !strcmp(name + (*name == '/'), s->name))
			append(&s->ids, &s->nr_ids, cg_format("%s", entry->d_name));
		json_decref(json);
		free(file);
	}
	if (dir)
		closedir(dir);
	free(top);
}

/* [{"id": "0123...", "names": ["web"]}]: podman's and CRI-O's storage. */
static void storage_names(struct search *s, const char *top)
{
	static const char *const files[] = {
		"containers.json", "volatile-containers.json"
	};
	size_t f, i, k;

	for (f = 0; f < 2; f++) {
		char *file = cg_format("%s/overlay-containers/%s", top, files[f]);
		json_t *json = json_load_file(file, 0, NULL), *one, *name;

		json_array_foreach(json, i, one) {
			const char *id = json_string_value(json_object_get(one, "id"));

			json_array_foreach(json_object_get(one, "names"), k, name) {
				if (id && json_is_string(name) &&
				    !strcmp(json_string_value(name), s->name))
					append(&s->ids, &s->nr_ids,
					       cg_format("%s", id));
			}
		}
		json_decref(json);
		free(file);
	}
}

char *cg_find_container(struct cg *cg, struct cg_hier *hier, const char *name)
{
	struct search s = { .match = is_container, .name = name };
	char *top = cg_format("%s/var/lib/containers/storage", cg->root);
	const char *home = getenv("HOME");

	docker_names(cg, &s);
	storage_names(&s, top);
	free(top);
	if (home) {
		top = cg_format("%s%s/.local/share/containers/storage", cg->root, home);
		storage_names(&s, top);
		free(top);
	}
	if (search_all(&s, hier)) {
		free_strings(s.ids, s.nr_ids);
		return NULL;
	}
	return only_one(&s, hier, "container");
}
