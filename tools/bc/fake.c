// SPDX-License-Identifier: GPL-2.0
/*
 * fake.c - io.c for the tests: a folder that behaves as a cgroup hierarchy
 *
 * Writes are checked as the kernel does, as far as the tools depend on it. What
 * is special of a folder is in files of it: "fake.errno" has lines of a file's
 * name and the error that a write to it gets.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define cg_write real_write
#include "io.c"
#undef cg_write

int cg_write(int dirfd, const char *name, const char *text);

static void replace(int dirfd, const char *name, const char *text)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		perror(name);
		abort();
	}
	close(fd);
}

static int64_t amount(const char *text)
{
	char *end;
	int64_t value;

	if (!strncmp(text, "max", 3))
		return INT64_MAX;
	value = strtoll(text, &end, 10);
	if (strchr("Kk", *end) && *end)
		value <<= 10;
	else if (strchr("Mm", *end) && *end)
		value <<= 20;
	return value;
}

static int64_t amount_in(int dirfd, const char *controller, const char *word)
{
	char *name = cg_format("%s.%s", controller, word);
	char *text = cg_read(dirfd, name);
	int64_t value = text ? amount(text) : -1;

	free(text);
	free(name);
	return value;
}

/* The files that a group has of a controller that is switched on. */
static void add_files(int dirfd, const char *controller)
{
	static const char *const files[][2] = {
		{ "current", "0\n" }, { "peak", "0\n" }, { "max", "max\n" },
		{ "barrier", "max\n" }, { "min", "0\n" }, { "strict", "0\n" },
		{ "shares", "min_shares=-3 max_shares=-3 child_shares_divisor=100\n" },
		{ "stat", "min_usage 0\nlent 0\ncharged 0\nuncharged 0\nprecharge 0\n" },
		{ "events", "barrier 0\nmax 0\nforced 0\n" },
		{ "events.local", "barrier 0\nmax 0\nforced 0\n" },
	};
	static const char *const keyed[][2] = {
		{ "current", "numinotify 0\nnumpty 0\n" },
		{ "peak", "numinotify 0\nnumpty 0\n" },
		{ "max", "numinotify max\nnumpty max\n" },
		{ "barrier", "numinotify max\nnumpty max\n" },
		{ "min", "numinotify 0\nnumpty 0\n" },
		{ "events.local", "numinotify barrier=0 max=0 forced=0\nnumpty barrier=0 max=0 forced=0\n" },
	};
	bool ubc = !strcmp(controller, "ubc");
	size_t i, nr = ubc ? sizeof(keyed) / sizeof(keyed[0]) :
			sizeof(files) / sizeof(files[0]);

	for (i = 0; i < nr; i++) {
		const char *const *file = ubc ? keyed[i] : files[i];
		char *name = cg_format("%s.%s", controller, file[0]);

		if (faccessat(dirfd, name, F_OK, 0))
			replace(dirfd, name, file[1]);
		free(name);
	}
}

static void add_word(int dirfd, const char *name, const char *word)
{
	char *old = cg_read(dirfd, name), *new;

	if (!cg_has_word(old, word)) {
		if (old)
			old[strcspn(old, "\n")] = '\0';
		new = cg_format("%s%s%s\n", old ? old : "", old && *old ? " " : "", word);
		replace(dirfd, name, new);
		free(new);
	}
	free(old);
}

/* "+numfiles": one controller, as the tools write it. */
static int switch_on(int dirfd, const char *text)
{
	char *there = cg_read(dirfd, "cgroup.controllers");
	char *procs = cg_read(dirfd, "cgroup.procs");
	char **children, **child;
	int error = 0;

	if (*text != '+')
		error = EINVAL;
	else if (!cg_has_word(there, text + 1))
		error = ENOENT;
	else if (procs && *procs && faccessat(dirfd, "fake.root", F_OK, 0))
		error = EBUSY;
	free(there);
	free(procs);
	if (error) {
		errno = error;
		return -1;
	}
	add_word(dirfd, "cgroup.subtree_control", text + 1);
	children = cg_children(dirfd);
	for (child = children; *child; child++) {
		int fd = openat(dirfd, *child, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		add_word(fd, "cgroup.controllers", text + 1);
		add_files(fd, text + 1);
		close(fd);
	}
	cg_free_list(children);
	return 0;
}

static int planned_error(int dirfd, const char *name, const char *text)
{
	char *list = cg_read(dirfd, "fake.errno"), *line, *rest;
	int error = 0;

	for (line = strtok_r(list ? list : (char [1]){ "" }, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		char file[64], value[64] = "";
		int nr;

		if (sscanf(line, "%63s %d %63s", file, &nr, value) < 2)
			continue;
		if (!strcmp(file, name) && (!*value || !strcmp(value, text)))
			error = nr;
	}
	free(list);
	return error;
}

/* Lines "KEY VALUE" change the lines of these keys, or nothing. */
static int write_keyed(int dirfd, const char *name, const char *old, const char *text)
{
	char *all = cg_format("%s", old), *copy = cg_format("%s", text), *line, *rest;
	int error = 0;

	for (line = strtok_r(copy, "\n", &rest); line && !error;
	     line = strtok_r(NULL, "\n", &rest)) {
		size_t len = strcspn(line, " ") + 1;
		char *p = all, *new;

		while (*p && strncmp(p, line, len)) {
			p += strcspn(p, "\n");
			p += *p == '\n';
		}
		if (!*p) {
			error = EINVAL;
			break;
		}
		new = cg_format("%.*s%s%s", (int)(p - all), all, line,
				p + strcspn(p, "\n"));
		free(all);
		all = new;
	}
	if (!error)
		replace(dirfd, name, all);
	free(all);
	free(copy);
	errno = error;
	return error ? -1 : 0;
}

int cg_write(int dirfd, const char *name, const char *text)
{
	const char *word = strchr(name, '.');
	char *old = cg_read(dirfd, name), *controller, *line;
	int error = old ? planned_error(dirfd, name, text) : ENOENT, status;

	if (error)
		goto out;
	if (!strcmp(name, "cgroup.subtree_control")) {
		status = switch_on(dirfd, text);
		error = status ? errno : 0;
		goto out;
	}
	if (!strcmp(word, ".shares"))
		goto replace;
	if (strchr(old, ' ') && strncmp(word, ".stat", 5)) {
		status = write_keyed(dirfd, name, old, text);
		error = status ? errno : 0;
		goto out;
	}
	controller = cg_format("%.*s", (int)(word - name), name);
	if (!strncmp(word, ".max", 4) && *text && strcmp(word, ".max_usage")) {
		if (amount(text) < amount_in(dirfd, controller, "min"))
			error = EINVAL;
	} else if (!strcmp(word, ".min")) {
		if (amount(text) > amount_in(dirfd, controller, "max"))
			error = EINVAL;
	} else if (!strncmp(word, ".limit", 6)) {
		if (amount(text) < amount_in(dirfd, controller, "usage"))
			error = EBUSY;
	}
	free(controller);
replace:
	if (!error) {
		bool plain = !text[strspn(text, "0123456789KMkm")];

		if (plain)
			line = cg_format("%lld\n", (long long)amount(text));
		else
			line = cg_format("%s\n", text);
		replace(dirfd, name, line);
		free(line);
	}
out:
	free(old);
	errno = error;
	return error ? -1 : 0;
}
