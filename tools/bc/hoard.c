// SPDX-License-Identifier: GPL-2.0
/*
 * hoard - take as much as there is, for make demo
 *
 * usage: hoard pipes		fills pipes until there are no more, says why, and
 *				keeps them until its standard input ends
 *        hoard page-tables	uses one byte in each 2 MiB of a terabyte: user
 *				memory hardly grows, page tables do
 *        hoard bomb		forks, and so does every child; what is refused is
 *				tried again twice a second
 *        hoard inotify N	makes N inotify instances, or as many as there are,
 *				says so, and keeps them until its standard input ends
 *        hoard malloc N	the same with N MiB of memory, which it uses
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

static int pipes(void)
{
	static char data[4096];
	long pipes = 0, bytes = 0;
	int pair[2];
	char c;

	for (;;) {
		long n;

		if (pipe2(pair, O_NONBLOCK))
			break;
		pipes++;
		/* What was written before there was no more counts, and ends it. */
		while ((n = write(pair[1], data, 4096)) > 0)
			bytes += n;
		if (errno != EAGAIN)
			break;
	}
	printf("%ld KiB in %ld pipes, then: %s\n", bytes / 1024, pipes,
	       strerror(errno));
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}

static int page_tables(void)
{
	const unsigned long size = 1UL << 40, step = 2UL << 20;
	volatile char *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
				MAP_NORESERVE, -1, 0);
	unsigned long i;

	if (p == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	for (i = 0; i < size; i += step)
		(void)p[i];
	return 0;
}

/* Says how much there was of what, and waits. */
static int keep(long had, long wanted, const char *what)
{
	char c;

	if (had < wanted)
		printf("%ld %s, then: %s\n", had, what, strerror(errno));
	else
		printf("%ld %s\n", had, what);
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}

static int inotify(long n)
{
	long i = 0;

	while (i < n && inotify_init() >= 0)
		i++;
	return keep(i, n, "inotify instances");
}

static int use_memory(long n)
{
	const size_t size = 1UL << 20;
	char *p;
	long i;

	for (i = 0; i < n; i++) {
		p = malloc(size);
		if (!p)
			break;
		memset(p, 1, size);
	}
	return keep(i, n, "MiB");
}

static int bomb(void)
{
	for (;;)
		if (fork() < 0)
			usleep(500000);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "pipes"))
		return pipes();
	if (argc == 2 && !strcmp(argv[1], "page-tables"))
		return page_tables();
	if (argc == 2 && !strcmp(argv[1], "bomb"))
		return bomb();
	if (argc == 3 && !strcmp(argv[1], "inotify"))
		return inotify(atol(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "malloc"))
		return use_memory(atol(argv[2]));
	fprintf(stderr, "usage: hoard pipes|page-tables|bomb|inotify N|malloc N\n");
	return 2;
}
