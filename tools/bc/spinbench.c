// SPDX-License-Identifier: GPL-2.0
/*
 * spinbench: what a busy process has of its CPU while the kernel ticks, and looks
 * at groups whose load is read. Under QEMU's icount (see scripts/bench) a guest's
 * second is a billion instructions: the instructions that are missing are the kernel's.
 *
 * usage: spinbench GROUPS
 *
 * Makes a group with the cpu controller (v2), which it enters, and GROUPS - 1 more,
 * and reads the load of each once; with 0 it reads none, as on a kernel that has
 * no such file. Output: "spin LOOPS", the thousands of loops done in 20 seconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECONDS	20
#define ROOT	"/spinbench"

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static void read_load(const char *group)
{
	char path[128], text[512];
	int fd;

	snprintf(path, sizeof(path), "%s/cpu.load", group);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text)) <= 0)
		die(path);
	close(fd);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	int groups = argc > 1 ? atoi(argv[1]) : 0;
	long thousands = 0;
	char group[64];
	double end;

	mkdir(ROOT, 0755);
	if (mount("none", ROOT, "cgroup2", 0, NULL))
		die("mount");
	write_file(ROOT "/cgroup.subtree_control", "+cpu");
	for (int i = 0; i < (groups ?: 1); i++) {
		snprintf(group, sizeof(group), ROOT "/%d", i);
		if (mkdir(group, 0755))
			die(group);
		if (groups)
			read_load(group);
	}
	write_file(ROOT "/0/cgroup.procs", "0");

	for (end = now() + SECONDS; now() < end; thousands++)
		for (int i = 0; i < 1000; i++)
			__asm__ volatile("");
	printf("spin %ld\n", thousands);
	return 0;
}
