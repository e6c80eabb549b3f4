// SPDX-License-Identifier: GPL-2.0
/*
 * take - take files, tasks or kernel memory until there is no more
 *
 * usage: take files|tasks|pipes N [SECONDS]
 *
 * Takes up to N of them, says on one line how many it got and what refused the
 * next one ("100 Too many open files", or "200 Success"), and keeps them for
 * SECONDS (0). It is static, for containers that have nothing else.
 *
 *        take bomb		forks, and so does every child, for ever
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int take_file(void)
{
	return open("/dev/null", O_RDONLY) < 0;
}

static int take_task(void)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	return pid < 0;
}

/*
 * A pipe with all that it takes: two files, and 64 KiB of kernel memory. What could
 * not be filled is given back: to say so may take a page of another pipe.
 */
static int take_pipe(void)
{
	static char data[4096];
	int pair[2], error;

	if (pipe2(pair, O_NONBLOCK))
		return 1;
	while (write(pair[1], data, sizeof(data)) > 0)
		;
	if (errno == EAGAIN)
		return 0;
	error = errno;
	close(pair[0]);
	close(pair[1]);
	errno = error;
	return 1;
}

/* Each task rests for another time, so that one is refused at any moment. */
static void bomb(void)
{
	for (;;)
		if (fork() < 0)
			usleep(1000000 + getpid() % 20 * 100000);
}

int main(int argc, char **argv)
{
	const struct rlimit files = { 65536, 65536 };
	int (*take)(void) = NULL;
	long n, got;

	if (argc == 2 && !strcmp(argv[1], "bomb"))
		bomb();
	if (argc >= 3) {
		take = !strcmp(argv[1], "files") ? take_file :
		       !strcmp(argv[1], "tasks") ? take_task :
		       !strcmp(argv[1], "pipes") ? take_pipe : NULL;
	}
	if (!take) {
		fprintf(stderr, "usage: take files|tasks|pipes N [SECONDS]\n");
		return 2;
	}
	/* The limit of a process is not what is to be seen here. */
	setrlimit(RLIMIT_NOFILE, &files);
	/* Its children are to end with it, and what has started it is not. */
	setpgid(0, 0);
	n = atol(argv[2]);
	for (got = 0; got < n; got++)
		if (take())
			break;
	printf("%ld %s\n", got, got < n ? strerror(errno) : "Success");
	fflush(stdout);
	if (argc > 3)
		sleep(atoi(argv[3]));
	signal(SIGTERM, SIG_IGN);
	if (take == take_task)
		kill(0, SIGTERM);
	return 0;
}
