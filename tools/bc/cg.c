// SPDX-License-Identifier: GPL-2.0
/*
 * cg.c - hierarchies, and groups by path and PID
 *
 * What is mounted where is in /proc/self/mountinfo, what the kernel has in
 * /proc/cgroups, where a process is in /proc/PID/cgroup. A controller that is
 * in a v1 hierarchy is used there, any other in v2's.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cg.h"

static char why[2048];

const char *cg_why(void)
{
	return why;
}

int cg_fail(const char *format, ...)
{
	char text[sizeof(why)];
	va_list args;

	/* The old sentence may be part of the new one. */
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(why, text, sizeof(why));
	return -1;
}

char *cg_format(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0) {
		fputs("out of memory\n", stderr);
		exit(CG_REFUSED);
	}
	va_end(args);
	return text;
}

/* Is @word one of the words of @text, which commas or blanks part? */
bool cg_has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	while (text && *text) {
		size_t n = strcspn(text, ", \n");

		if (n == len && !strncmp(text, word, len))
			return true;
		text += n;
		text += strspn(text, ", \n");
	}
	return false;
}

/* \040 and the like, as mountinfo has them. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		unsigned int byte;

		if (*text == '\\' && sscanf(text + 1, "%3o", &byte) == 1) {
			*to++ = byte;
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

static char *read_path(struct cg *cg, const char *path)
{
	char *full = cg_format("%s%s", cg->root, path);
	char *text = cg_read(AT_FDCWD, full);

	free(full);
	return text;
}

static void add_hier(struct cg *cg, int version, const char *mount,
		     const char *top, const char *options)
{
	struct cg_hier hier = { .version = version };
	char *full = cg_format("%s%s", cg->root, mount);

	/* A mount that another one hides, or that may not be entered. */
	hier.fd = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(full);
	if (hier.fd < 0)
		return;
	hier.mount = cg_format("%s", mount);
	hier.top = cg_format("%s", top);
	hier.options = cg_format("%s", options);
	cg->hiers = reallocarray(cg->hiers, cg->nr_hiers + 1, sizeof(hier));
	cg->hiers[cg->nr_hiers++] = hier;
}

static int read_mounts(struct cg *cg)
{
	char *text = read_path(cg, "/proc/self/mountinfo"), *line, *next;

	if (!text)
		return cg_fail("/proc/self/mountinfo: %s", strerror(errno));
	for (line = text; line && *line; line = next) {
		char *dash = strstr(line, " - "), *field[5], type[32], *options;
		int i;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		dash = strstr(line, " - ");
		if (!dash || sscanf(dash, " - %31s", type) != 1)
			continue;
		if (strcmp(type, "cgroup") && strcmp(type, "cgroup2"))
			continue;
		*dash = '\0';
		options = strrchr(dash + 1, ' ');
		for (i = 0; i < 5; i++)
			field[i] = strtok(i ? NULL : line, " ");
		if (!field[4])
			continue;
		unescape(field[3]);
		unescape(field[4]);
		add_hier(cg, type[6] ? 2 : 1, field[4], field[3],
			 options ? options + 1 : "");
	}
	free(text);
	return 0;
}

static void read_controllers(struct cg *cg)
{
	char *text = read_path(cg, "/proc/cgroups"), *line, *next;

	for (line = text; line && *line; line = next) {
		struct cg_controller c;
		int enabled;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (*line == '#' || sscanf(line, "%31s %d %*d %d", c.name,
					   &c.hierarchy, &enabled) != 3)
			continue;
		c.enabled = enabled;
		cg->controllers = reallocarray(cg->controllers,
					       cg->nr_controllers + 1, sizeof(c));
		cg->controllers[cg->nr_controllers++] = c;
	}
	free(text);
}

/**
 * cg_init() - see what is mounted
 * @root: a folder that stands for "/", for tests; or ""
 *
 * Return: 0, or -1 where there is no hierarchy.
 */
int cg_init(struct cg *cg, const char *root)
{
	memset(cg, 0, sizeof(*cg));
	cg->root = root;
	if (read_mounts(cg))
		return -1;
	read_controllers(cg);
	if (!cg->nr_hiers)
		return cg_fail("no cgroup hierarchy is mounted");
	return 0;
}

void cg_exit(struct cg *cg)
{
	size_t i;

	for (i = 0; i < cg->nr_hiers; i++) {
		close(cg->hiers[i].fd);
		free(cg->hiers[i].mount);
		free(cg->hiers[i].top);
		free(cg->hiers[i].options);
	}
	free(cg->hiers);
	free(cg->controllers);
}

/* The same hierarchy may be mounted more than once: best where all is seen. */
static bool better(struct cg_hier *old, struct cg_hier *new)
{
	return !old || (strcmp(old->top, "/") && !strcmp(new->top, "/"));
}

struct cg_hier *cg_hier_v2(struct cg *cg)
{
	struct cg_hier *found = NULL;
	size_t i;

	for (i = 0; i < cg->nr_hiers; i++) {
		struct cg_hier *hier = &cg->hiers[i];

		if (hier->version == 2 && better(found, hier))
			found = hier;
	}
	return found;
}

static struct cg_hier *hier_v1(struct cg *cg, const char *controller)
{
	struct cg_hier *found = NULL;
	size_t i;

	for (i = 0; i < cg->nr_hiers; i++) {
		struct cg_hier *hier = &cg->hiers[i];

		if (hier->version == 1 && better(found, hier) &&
		    cg_has_word(hier->options, controller))
			found = hier;
	}
	return found;
}

/**
 * cg_hier_of() - the hierarchy that a controller is in
 *
 * Return: NULL where there is none, and cg_why() says for what reason.
 */
struct cg_hier *cg_hier_of(struct cg *cg, const char *controller)
{
	struct cg_hier *hier = hier_v1(cg, controller);
	struct cg_controller *c = NULL;
	char *there;
	size_t i;

	if (hier)
		return hier;
	for (i = 0; i < cg->nr_controllers; i++) {
		if (!strcmp(cg->controllers[i].name, controller))
			c = &cg->controllers[i];
	}
	/* v2 alone counts where the kernel has a list of v1's controllers only. */
	hier = cg_hier_v2(cg);
	there = hier ? cg_read(hier->fd, "cgroup.controllers") : NULL;
	if (cg_has_word(there, controller)) {
		free(there);
		return hier;
	}
	free(there);
	if (!c)
		cg_fail("this kernel has no controller %s", controller);
	else if (!c->enabled)
		cg_fail("%s was switched off at boot (cgroup_disable=%s)",
			controller, controller);
	else if (c->hierarchy)
		cg_fail("%s is in a v1 hierarchy that is not mounted here", controller);
	else if (hier)
		cg_fail("%s is not in %s/cgroup.controllers: it has not been delegated to this cgroup namespace",
			controller, hier->mount);
	else
		cg_fail("%s is in no hierarchy: cgroup v2 is not mounted, and no v1 hierarchy has it (mount -t cgroup -o %s %s DIR)",
			controller, controller, controller);
	return NULL;
}

/* Paths of groups are taken literally, and there is no way out of the tree. */
static char *clean_path(const char *path)
{
	char *clean = cg_format("/"), *copy = cg_format("%s", path), *part, *rest;

	for (part = strtok_r(copy, "/", &rest); part;
	     part = strtok_r(NULL, "/", &rest)) {
		char *longer;

		if (!strcmp(part, ".."))  {
			free(copy);
			free(clean);
			cg_fail("%s: \"..\" leads out of the group", path);
			return NULL;
		}
		if (!strcmp(part, "."))
			continue;
		longer = cg_format("%s%s%s", clean, clean[1] ? "/" : "", part);
		free(clean);
		clean = longer;
	}
	free(copy);
	return clean;
}

/* What is left of @path below the folder @above, or NULL. */
static const char *below(const char *path, const char *above)
{
	size_t len = strlen(above);

	if (!strcmp(above, "/"))
		return path;
	if (strncmp(path, above, len) || (path[len] && path[len] != '/'))
		return NULL;
	return path[len] ? path + len : "/";
}

/* The line of @hier in /proc/PID/cgroup. */
static char *path_of_pid(struct cg *cg, struct cg_hier *hier, const char *pid)
{
	char *name = cg_format("/proc/%s/cgroup", pid);
	char *text = read_path(cg, name), *line, *next, *path = NULL;

	if (!text) {
		cg_fail(errno == ENOENT || errno == ESRCH ? "there is no process %s" :
			"process %s: its group cannot be read", pid);
		free(name);
		return NULL;
	}
	for (line = text; line && *line && !path; line = next) {
		char *words, *group;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		words = strchr(line, ':');
		group = words ? strchr(words + 1, ':') : NULL;
		if (!group)
			continue;
		*group++ = '\0';
		words++;
		if (hier->version == 2 ? !*words && !strncmp(line, "0:", 2) : !!*words) {
			char *word, *rest;
			bool ours = hier->version == 2;

			for (word = strtok_r(words, ",", &rest); word && !ours;
			     word = strtok_r(NULL, ",", &rest))
				ours = cg_has_word(hier->options, word);
			if (ours)
				path = group;
		}
	}
	if (!path) {
		cg_fail("process %s: it is in no group of %s", pid, hier->mount);
	} else if (strstr(path, "/..")) {
		cg_fail("process %s: its group is outside of this cgroup namespace", pid);
		path = NULL;
	} else {
		const char *rest = below(path, hier->top);
		size_t len = strlen(path);

		if (len > 10 && !strcmp(path + len - 10, " (deleted)")) {
			cg_fail("process %s: its group was removed", pid);
			path = NULL;
		} else if (!rest) {
			cg_fail("process %s: its group %s is not below %s, which is what is mounted on %s",
				pid, path, hier->top, hier->mount);
			path = NULL;
		} else {
			path = cg_format("%s", rest);
		}
	}
	free(name);
	free(text);
	return path;
}

/*
 * systemd runs what comes before a service that it delegates to in a group of its
 * own: what is meant is the service's.
 */
static char *path_of_self(struct cg *cg, struct cg_hier *hier)
{
	char *path = path_of_pid(cg, hier, "self");
	size_t len = path ? strlen(path) : 0;

	if (len > 9 && !strcmp(path + len - 9, "/.control"))
		path[len - 9] = '\0';
	return path;
}

static bool ends(const char *name, const char *const *suffixes)
{
	size_t len = strlen(name);

	for (; *suffixes; suffixes++) {
		size_t n = strlen(*suffixes);

		if (len > n && !strcmp(name + len - n, *suffixes))
			return true;
	}
	return false;
}

static const char *const unit_types[] = {
	".service", ".slice", ".scope", ".socket", ".mount", ".swap", NULL
};

static enum cg_name guess(const char *name)
{
	if (!name[strspn(name, "0123456789")])
		return CG_PID;
	if (strchr(name, '/'))
		return CG_PATH;
	return ends(name, unit_types) ? CG_UNIT : CG_CONTAINER;
}

/**
 * cg_find() - a group's path
 * @kind: what @name is
 *
 * Return: the path, to be freed. NULL where there is none, see cg_why().
 */
char *cg_find(struct cg *cg, struct cg_hier *hier, enum cg_name kind,
	      const char *name)
{
	const char *rest;
	char *path;
	int fd;

	if (kind == CG_ANY)
		kind = guess(name);
	switch (kind) {
	case CG_SELF:
		path = path_of_self(cg, hier);
		break;
	case CG_PID:
		if (!*name || name[strspn(name, "0123456789")]) {
			cg_fail("\"%s\" is no PID", name);
			return NULL;
		}
		path = path_of_pid(cg, hier, name);
		break;
	case CG_UNIT:
		path = cg_find_unit(cg, hier, name);
		break;
	case CG_CONTAINER:
		path = cg_find_container(cg, hier, name);
		break;
	default:
		/* As seen in the file system, or from the root of the hierarchy. */
		rest = below(name, hier->mount);
		path = clean_path(rest ? rest : name);
		break;
	}
	if (!path)
		return NULL;
	fd = cg_open(hier, path);
	if (fd < 0) {
		free(path);
		return NULL;
	}
	close(fd);
	return path;
}

/* The folder of a group. */
int cg_open(struct cg_hier *hier, const char *path)
{
	int fd = openat(hier->fd, path[1] ? path + 1 : ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		cg_fail("there is no group %s in %s (%s)", path, hier->mount,
			strerror(errno));
	return fd;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/**
 * cg_children() - the groups directly below one
 *
 * Most groups have none, and files by the dozen: where the file system counts
 * subdirectories among a folder's links, those need not be read.
 *
 * Return: their names, sorted; NULL at the end, and NULL on failure.
 */
char **cg_children(int dirfd)
{
	char **list = calloc(1, sizeof(*list));
	struct dirent *entry;
	size_t nr = 0;
	struct stat st;
	DIR *dir;
	int fd;

	if (!list)
		return NULL;
	if (!fstat(dirfd, &st) && st.st_nlink == 2)
		return list;
	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		free(list);
		return NULL;
	}
	while ((entry = readdir(dir))) {
		char **longer;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (entry->d_type != DT_DIR &&
		    (entry->d_type != DT_UNKNOWN ||
		     fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		     !S_ISDIR(st.st_mode)))
			continue;
		longer = reallocarray(list, nr + 2, sizeof(*list));
		if (!longer)
			break;
		list = longer;
		list[nr++] = cg_format("%s", entry->d_name);
		list[nr] = NULL;
	}
	closedir(dir);
	qsort(list, nr, sizeof(*list), compare);
	return list;
}

void cg_free_list(char **list)
{
	char **p;

	for (p = list; p && *p; p++)
		free(*p);
	free(list);
}

/* The same file, on v2 and on v1. */
static const char *const words[][2] = {
	{ "max", "limit" },
	{ "min", "reservation" },
	{ "current", "usage" },
	{ "peak", "max_usage" },
};

/**
 * cg_file() - the name that a file has in this group
 * @name: CONTROLLER.WORD, in v1's words or in v2's, with or without v1's suffix
 *	  _in_bytes
 *
 * Return: the name, to be freed; NULL where there is no such file.
 */
char *cg_file(int dirfd, const char *name)
{
	static const char suffix[] = "_in_bytes";
	char *plain = cg_format("%s", name), *word, *found = NULL;
	size_t i, len = strlen(name), n = sizeof(suffix) - 1;
	int k;

	if (!faccessat(dirfd, name, F_OK, 0) && !strchr(name, '/'))
		return plain;
	if (len > n && !strcmp(plain + len - n, suffix))
		plain[len - n] = '\0';
	word = strchr(plain, '.');
	if (!word || strchr(name, '/')) {
		free(plain);
		return NULL;
	}
	*word++ = '\0';
	for (i = 0; i <= sizeof(words) / sizeof(words[0]) * 2 && !found; i++) {
		/* The name without its suffix, then the words that mean the same. */
		const char *try = word;

		if (i) {
			const char *const *pair = words[(i - 1) / 2];
			int from = (i - 1) % 2;

			if (strcmp(word, pair[from]))
				continue;
			try = pair[!from];
		}
		for (k = 0; k < 2 && !found; k++) {
			found = cg_format("%s.%s%s", plain, try, k ? suffix : "");
			if (faccessat(dirfd, found, F_OK, 0)) {
				free(found);
				found = NULL;
			}
		}
	}
	free(plain);
	return found;
}
