// SPDX-License-Identifier: GPL-2.0
/*
 * io.c - a file of a group, read and written as the kernel wants it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cg.h"

/* To be freed; NULL and errno on failure. */
char *cg_read(int dirfd, const char *name)
{
	size_t size = 512, len = 0;
	char *text = malloc(size);
	ssize_t n;
	int fd, saved;

	if (!text)
		return NULL;
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		free(text);
		return NULL;
	}
	while ((n = read(fd, text + len, size - len - 1)) > 0) {
		char *more;

		len += n;
		if (size - len > 1)
			continue;
		size *= 2;
		more = realloc(text, size);
		if (!more) {
			n = -1;
			break;
		}
		text = more;
	}
	saved = errno;
	close(fd);
	if (n < 0) {
		free(text);
		errno = saved;
		return NULL;
	}
	text[len] = '\0';
	return text;
}

/* One write(2), since a file of a group takes each for a value of its own. */
int cg_write(int dirfd, const char *name, const char *text)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int saved;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	saved = errno;
	close(fd);
	errno = saved;
	return n < 0 ? -1 : 0;
}
