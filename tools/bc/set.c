// SPDX-License-Identifier: GPL-2.0
/*
 * set.c - write several files of a group, all of them or none
 *
 * In this order: everything is checked that can be without a write; controllers
 * are switched on from the root down; what the files say is kept; they are
 * written, and one that depends on another (a reservation must not be above the
 * limit) once more after it; if one cannot be written at all, what was there
 * before is written back.
 *
 * A controller that was switched on stays on, whatever comes after: another
 * program may have found it on, and have set a limit since.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cg.h"

struct setting {
	char *asked;		/* as the user has it */
	char *controller;
	char *file;		/* as asked, then as the group has it */
	char *value;		/* as it is written */
	char *old;
	struct cg_hier *hier;
	int fd;			/* of the group */
	bool reset;		/* the file takes any write for a reset */
	bool written;
	int error;
};

static void say(const struct cg_set *set, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct cg_set *set, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (!set->say)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	set->say(text);
}

/* Without the newline at its end. */
static char *read_line(int fd, const char *name)
{
	char *text = cg_read(fd, name);
	size_t len = text ? strlen(text) : 0;

	if (len && text[len - 1] == '\n')
		text[len - 1] = '\0';
	return text;
}

/* numinotify:100,numpty:4 is two lines of a flat keyed file. */
static bool is_keyed(const char *value)
{
	const char *p = value;

	for (;;) {
		size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz_");

		if (!n || p[n] != ':')
			return false;
		p += n + 1;
		n = strcspn(p, ",: \t");
		if (!n)
			return false;
		p += n;
		if (!*p)
			return true;
		if (*p++ != ',')
			return false;
	}
}

static char *lines_of(const char *value)
{
	char *lines = cg_format("%s\n", value), *p;

	for (p = lines; *p; p++) {
		if (*p == ':')
			*p = ' ';
		else if (*p == ',')
			*p = '\n';
	}
	return lines;
}

static const char *word_of(const struct setting *s)
{
	return strchr(s->file, '.') + 1;
}

static bool is_one_of(const char *word, const char *const *list)
{
	size_t n = strlen(word);

	if (n > 9 && !strcmp(word + n - 9, "_in_bytes"))
		n -= 9;
	for (; *list; list++) {
		if (strlen(*list) == n && !strncmp(word, *list, n))
			return true;
	}
	return false;
}

static bool is_amount(const char *value)
{
	size_t n = strspn(value, "0123456789");

	if (!strcmp(value, "max") || !strcmp(value, "-1"))
		return true;
	return n && (!value[n] || (strchr("KMGkmg", value[n]) && !value[n + 1]));
}

/* Splits FILE=VALUE, and looks at both as far as that is possible here. */
static int parse(struct setting *s)
{
	static const char *const amounts[] = {
		"max", "limit", "barrier", "min", "reservation", NULL
	};
	static const char *const resets[] = {
		"peak", "max_usage", "min_usage", "failcnt", "stat", NULL
	};
	char *equals = strchr(s->asked, '='), *dot, *part, *rest, *copy;

	s->fd = -1;
	if (!equals) {
		cg_fail("%s: FILE=VALUE is wanted, as in numfiles.max=100", s->asked);
		return CG_USAGE;
	}
	s->file = cg_format("%.*s", (int)(equals - s->asked), s->asked);
	dot = strchr(s->file, '.');
	if (!dot || dot == s->file || !dot[1] || strpbrk(s->file, "/ \t\n")) {
		cg_fail("%s: \"%s\" is no file of a controller, as numfiles.max is",
			s->asked, s->file);
		return CG_USAGE;
	}
	s->controller = cg_format("%.*s", (int)(dot - s->file), s->file);
	if (!strcmp(s->controller, "cgroup")) {
		cg_fail("%s: the files cgroup.* are no limits", s->asked);
		return CG_USAGE;
	}
	equals++;
	if (!*equals || strchr(equals, '\n')) {
		cg_fail("%s: the value is empty, or has more than one line", s->asked);
		return CG_USAGE;
	}
	s->reset = is_one_of(word_of(s), resets);
	if (!is_keyed(equals)) {
		s->value = cg_format("%s", equals);
		if (!is_one_of(word_of(s), amounts) || is_amount(equals) ||
		    strpbrk(equals, " :"))
			return 0;
		cg_fail("%s: \"%s\" is no amount: a number, or max", s->asked, equals);
		return CG_USAGE;
	}
	s->value = lines_of(equals);
	copy = cg_format("%s", equals);
	for (part = strtok_r(copy, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
		if (is_one_of(word_of(s), amounts) && !is_amount(strchr(part, ':') + 1)) {
			cg_fail("%s: \"%s\" is no amount: a number, or max", s->asked,
				strchr(part, ':') + 1);
			free(copy);
			return CG_USAGE;
		}
	}
	free(copy);
	return 0;
}

/* Some processes of a group, for an error: "12 sh, 13 cat, and others". */
static char *processes(struct cg *cg, int fd)
{
	char *text = cg_read(fd, "cgroup.procs"), *pid, *rest, *list = NULL;
	int nr = 0;

	for (pid = strtok_r(text ? text : (char [1]){ "" }, "\n", &rest); pid;
	     pid = strtok_r(NULL, "\n", &rest)) {
		char *file = cg_format("%s/proc/%s/comm", cg->root, pid), *longer;
		char *comm;

		if (++nr > 3)
			break;
		comm = read_line(AT_FDCWD, file);
		longer = cg_format("%s%s%s%s%s", list ? list : "", list ? ", " : "",
				   pid, comm ? " " : "", comm ? comm : "");
		free(comm);
		free(file);
		free(list);
		list = longer;
	}
	if (nr > 3) {
		char *longer = cg_format("%s, and others", list);

		free(list);
		list = longer;
	}
	free(text);
	return list;
}

/* Says why a controller cannot be switched on below @path. */
static void why_not_enabled(struct cg *cg, struct cg_hier *hier, int fd,
			    const char *path, const char *controller, int error)
{
	char *there = cg_read(fd, "cgroup.controllers"), *type, *list;
	struct stat st;

	switch (error) {
	case EBUSY:
		list = processes(cg, fd);
		if (list)
			cg_fail("%s cannot be switched on below %s: it has processes of its own (%s), and a group has either those or controllers for groups below",
				controller, path, list);
		else
			cg_fail("%s cannot be switched on below %s: it is busy; a controller is in one hierarchy at a time",
				controller, path);
		free(list);
		break;
	case EACCES:
	case EPERM:
		if (!fstatat(fd, "cgroup.subtree_control", &st, 0))
			cg_fail("%s cannot be switched on below %s: it has not been delegated to user %d (cgroup.subtree_control belongs to user %d)",
				controller, path, (int)geteuid(), (int)st.st_uid);
		else
			cg_fail("%s cannot be switched on below %s: not permitted",
				controller, path);
		break;
	case EROFS:
		cg_fail("%s cannot be switched on below %s: %s is mounted read-only",
			controller, path, hier->mount);
		break;
	case EOPNOTSUPP:
		type = read_line(fd, "cgroup.type");
		cg_fail("%s cannot be switched on below %s: it is a group of type \"%s\"",
			controller, path, type ? type : "unknown");
		free(type);
		break;
	default:
		if (error == ENOENT && !cg_has_word(there, controller))
			cg_fail("%s cannot be switched on below %s: it is not in its cgroup.controllers",
				controller, path);
		else
			cg_fail("%s cannot be switched on below %s: %s", controller,
				path, strerror(error));
	}
	free(there);
}

/* Switches @controller on for the groups directly below @path. */
static int enable_below(const struct cg_set *set, struct cg_hier *hier,
			const char *path, const char *controller)
{
	int fd = cg_open(hier, path), status = CG_OK;
	char *on, *write;

	if (fd < 0)
		return CG_NO_GROUP;
	on = cg_read(fd, "cgroup.subtree_control");
	if (!cg_has_word(on, controller)) {
		write = cg_format("+%s", controller);
		say(set, "echo %s > %s%s/cgroup.subtree_control", write, hier->mount,
		    path[1] ? path : "");
		if (!set->dry && cg_write(fd, "cgroup.subtree_control", write)) {
			why_not_enabled(set->cg, hier, fd, path, controller, errno);
			status = CG_NO_CONTROLLER;
		}
		free(write);
	}
	free(on);
	close(fd);
	return status;
}

/* From the root down to @path, and below it if @below. */
static int enable_to(const struct cg_set *set, struct cg_hier *hier,
		     const char *path, const char *controller, bool below)
{
	int status = CG_OK;
	size_t n = 0;

	if (hier->version == 1)
		return CG_OK;
	while (status == CG_OK) {
		char *part = cg_format("%.*s", n ? (int)n : 1, path);
		const char *slash;
		bool last = !strcmp(part, path);

		if (!last || below)
			status = enable_below(set, hier, part, controller);
		free(part);
		if (last)
			break;
		slash = strchr(path + n + 1, '/');
		n = slash ? (size_t)(slash - path) : strlen(path);
	}
	return status;
}

static void why_not_written(const struct setting *s, const char *path)
{
	const char *text = strerror(s->error);
	const char *word = word_of(s);

	switch (s->error) {
	case EINVAL:
		if (!strncmp(word, "min", 3) || !strncmp(word, "reserv", 6))
			text = "not an amount that can be reserved: above the limit, or its parent is strict";
		else
			text = "the kernel does not take this value";
		break;
	case EBUSY:
		text = "more than that is in use, or is lent to groups below";
		break;
	case ENOSPC:
		text = "the groups above have not that much room to lend";
		break;
	case EPERM:
		text = "the group above has not reserved that much, and more takes CAP_SYS_RESOURCE";
		break;
	case EACCES:
		text = "the file belongs to another user";
		break;
	case EROFS:
		text = "the hierarchy is mounted read-only";
		break;
	}
	cg_fail("%s: %s in %s: %s", s->asked, s->file, path, text);
}

/* A share ends where an amount is written: so it is kept beside the amount. */
static char *read_shares(const struct setting *s)
{
	char *name = cg_format("%s.shares", s->controller);
	char *text = read_line(s->fd, name), *part, *rest, *kept = NULL;

	for (part = strtok_r(text ? text : (char [1]){ "" }, " ", &rest); part;
	     part = strtok_r(NULL, " ", &rest)) {
		char *longer;

		/* -3 is no share, -2 none that there could be. */
		if (strncmp(part, "m", 1) || strstr(part, "=-"))
			continue;
		longer = cg_format("%s%s%s", kept ? kept : "", kept ? " " : "", part);
		free(kept);
		kept = longer;
	}
	free(text);
	free(name);
	return kept;
}

/* The value as a file shows it is what the file takes; of a keyed one, our keys. */
static char *old_value(const struct setting *s)
{
	char *text = read_line(s->fd, s->file), *line, *rest, *kept = NULL, *p;

	if (!text || !strchr(s->value, '\n')) {
		/* What cannot be written: shares that are not supported. */
		while (text && (p = strstr(text, "_shares=-2"))) {
			char *from = p;

			while (from > text && from[-1] != ' ')
				from--;
			p += strcspn(p, " ");
			p += strspn(p, " ");
			memmove(from, p, strlen(p) + 1);
		}
		return text;
	}
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t n = strcspn(line, " ");

		for (p = s->value; *p; p += strcspn(p, "\n"), p += *p == '\n') {
			char *longer;

			if (strncmp(p, line, n + 1))
				continue;
			longer = cg_format("%s%s\n", kept ? kept : "", line);
			free(kept);
			kept = longer;
			break;
		}
	}
	free(text);
	return kept;
}

static int take_back(const struct cg_set *set, struct setting *list, size_t nr)
{
	bool progress = true, left = true;
	size_t i;

	for (i = 0; i < nr; i++)
		list[i].written = list[i].written && !list[i].reset && list[i].old;
	while (progress && left) {
		progress = left = false;
		for (i = nr; i-- > 0; ) {
			struct setting *s = &list[i];

			if (!s->written)
				continue;
			if (cg_write(s->fd, s->file, s->old)) {
				left = true;
				continue;
			}
			say(set, "%s is %s again", s->file, s->old);
			s->written = false;
			progress = true;
		}
	}
	return left ? -1 : 0;
}

/*
 * Writes what can be written until nothing more can: a limit may have to be
 * raised before the reservation, or lowered after it. What resets statistics
 * comes last, since it cannot be taken back. Returns what could not be written.
 */
static struct setting *write_all(struct setting *list, size_t nr)
{
	struct setting *failed = NULL;
	bool progress;
	size_t i;
	int reset;

	for (reset = 0; reset < 2; reset++) {
		do {
			progress = false;
			failed = NULL;
			for (i = 0; i < nr; i++) {
				struct setting *s = &list[i];

				if (s->written || s->reset != reset)
					continue;
				if (cg_write(s->fd, s->file, s->value)) {
					s->error = errno;
					if (!failed)
						failed = s;
					continue;
				}
				s->written = progress = true;
			}
		} while (failed && progress);
		if (failed)
			break;
	}
	return failed;
}

static int set_in_groups(const struct cg_set *set, struct setting *list, size_t nr,
			 char **paths)
{
	char **shares = calloc(nr, sizeof(*shares));
	struct setting *failed;
	int status = CG_OK;
	size_t i, k;

	for (i = 0; i < nr; i++) {
		struct setting *s = &list[i];
		char *file;

		s->fd = cg_open(s->hier, paths[i]);
		if (s->fd < 0) {
			status = CG_NO_GROUP;
			goto out;
		}
		file = cg_file(s->fd, s->file);
		if (!file && set->dry) {
			file = cg_format("%s", s->file);
		} else if (!file && !strcmp(paths[i], "/")) {
			cg_fail("%s: the root group of %s has no %s; limits are for the groups below it",
				s->asked, s->hier->mount, s->file);
			status = CG_NO_GROUP;
			goto out;
		} else if (!file) {
			cg_fail("%s: %s has no file %s", s->asked, paths[i], s->file);
			status = CG_USAGE;
			goto out;
		}
		free(s->file);
		s->file = file;
		for (k = 0; k < i; k++) {
			if (strcmp(list[k].file, file))
				continue;
			cg_fail("%s: %s is set twice", s->asked, file);
			status = CG_USAGE;
			goto out;
		}
		say(set, "echo %s > %s%s/%s", strchr(s->asked, '=') + 1, s->hier->mount,
		    paths[i][1] ? paths[i] : "", s->file);
		if (set->dry)
			continue;
		s->old = old_value(s);
		shares[i] = read_shares(s);
		if (!s->old && !s->reset && strchr(s->value, '\n')) {
			cg_fail("%s: %s has no such key", s->asked, s->file);
			status = CG_USAGE;
			goto out;
		}
	}
	if (set->dry)
		goto out;
	failed = write_all(list, nr);
	if (failed) {
		bool all;

		why_not_written(failed, paths[failed - list]);
		status = CG_REFUSED;
		all = !take_back(set, list, nr);
		for (i = 0; i < nr; i++) {
			char *name = cg_format("%s.shares", list[i].controller);

			if (shares[i] && cg_write(list[i].fd, name, shares[i]))
				all = false;
			free(name);
		}
		if (!all) {
			cg_fail("%s; and what was written before could not all be taken back",
				cg_why());
			status = CG_CHANGED;
		}
	}
out:
	for (i = 0; i < nr; i++)
		free(shares[i]);
	free(shares);
	return status;
}

/**
 * cg_set() - write files of a group, all or none
 */
int cg_set(const struct cg_set *set, char **settings, size_t nr)
{
	struct setting *list = calloc(nr, sizeof(*list));
	char **paths = calloc(nr, sizeof(*paths));
	int status = CG_OK;
	size_t i, k;

	for (i = 0; i < nr && status == CG_OK; i++) {
		list[i].asked = settings[i];
		status = parse(&list[i]);
	}
	for (i = 0; i < nr && status == CG_OK; i++) {
		list[i].hier = cg_hier_of(set->cg, list[i].controller);
		if (!list[i].hier) {
			status = CG_NO_CONTROLLER;
			break;
		}
		for (k = 0; k < i; k++) {
			if (list[k].hier == list[i].hier)
				paths[i] = cg_format("%s", paths[k]);
			if (paths[i])
				break;
		}
		if (!paths[i])
			paths[i] = cg_find(set->cg, list[i].hier, set->kind, set->name);
		if (!paths[i])
			status = CG_NO_GROUP;
	}
	for (i = 0; i < nr && status == CG_OK; i++)
		status = enable_to(set, list[i].hier, paths[i], list[i].controller,
				   false);
	if (status == CG_OK)
		status = set_in_groups(set, list, nr, paths);
	for (i = 0; i < nr; i++) {
		if (list[i].fd >= 0 && list[i].hier)
			close(list[i].fd);
		free(list[i].file);
		free(list[i].controller);
		free(list[i].value);
		free(list[i].old);
		free(paths[i]);
	}
	free(list);
	free(paths);
	return status;
}

/**
 * cg_enable() - switch controllers on for what is below a group
 *
 * On v1 a controller that is mounted is on everywhere.
 */
int cg_enable(const struct cg_set *set, char **controllers, size_t nr)
{
	int status = CG_OK;
	size_t i;

	for (i = 0; i < nr && status == CG_OK; i++) {
		struct cg_hier *hier = cg_hier_of(set->cg, controllers[i]);
		char *path;

		if (!hier)
			return CG_NO_CONTROLLER;
		if (hier->version == 1)
			continue;
		path = cg_find(set->cg, hier, set->kind, set->name);
		if (!path)
			return CG_NO_GROUP;
		status = enable_to(set, hier, path, controllers[i], true);
		free(path);
	}
	return status;
}
