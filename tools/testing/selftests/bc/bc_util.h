/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the beancounter tests share: a hierarchy to test in, groups and their
 * files, and workers (processes that do, in a group, what the test tells them).
 *
 * A test is written once for both conventions. It speaks v1's words ("usage",
 * "limit", "max_usage", "failcnt"); on v2 they are translated ("current",
 * "max", "peak", and the sum of the refusals in "events.local").
 *
 * The test itself lives in the root group, which is never charged: it can read
 * and write the groups' files without disturbing what it measures.
 */
#ifndef BC_UTIL_H
#define BC_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * The harness gives a test 30 seconds. A guest without hardware virtualization
 * that runs a kernel with every debugging option needs more for the same work,
 * and again more beside other guests and builds.
 */
#ifdef TEST_TIMEOUT_DEFAULT
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 1200
#endif

/*
 * How long something asynchronous may take before the test calls it broken. A
 * test that had to do so once is less patient from then on: it has failed, and
 * what it waits for next is likely to be missing for the same reason.
 */
#define BC_PATIENCE_MS 300000
#define BC_IMPATIENCE_MS 1000
extern int bc_patience_ms;

#define BC_UNLIMITED 9223372036854775807LL
#define NOBODY 65534

/* Hierarchies */

/*
 * The controller under test, numfiles by default; and whether it counts bytes.
 */
extern const char *bc_controller;
extern bool bc_bytes;

/* The convention under test. */
extern bool bc_v2;

/* Why one of the functions below said no. */
extern char bc_why[256];

/* There is nothing to test: no privileges, or no controller in this kernel. */
bool bc_missing(void);

/*
 * Mounts the controller as v1 or v2, away from wherever an earlier test left
 * it, and returns a fresh group in which the controller is on and which has no
 * processes: the top of everything a test makes. NULL where it cannot be had.
 */
char *bc_setup(bool v2);

/* Kills what runs below the top group, and leaves no group and no mount. */
void bc_teardown(void);

/* Takes it out of whatever hierarchy a test left it in: whether it is. */
bool bc_release(void);

/*
 * Mounts a v1 hierarchy with the mount options @options ("numfiles,name=x") and
 * returns where. It waits for controllers that are still leaving another one.
 */
char *bc_mount_v1(const char *options);
/* The same for the one v2 hierarchy, with nothing switched on. */
char *bc_mount_v2(void);
/* Unmounts; a v1 hierarchy without groups ceases to exist (soon). */
int bc_umount(char *root);

/*
 * The columns of /proc/cgroups for @controller: the number of its hierarchy (0
 * is v2) and of that hierarchy's cgroups, the root and dying ones included. -1
 * if the kernel has no such controller.
 */
int bc_hierarchy_of(const char *controller);
int bc_num_cgroups(const char *controller);

/* Groups: named by the path of their directory. */

/*
 * Makes the group @name in @parent, and switches the controller on in it (v2).
 * The path is never freed: a test is a short-lived process. NULL and errno if
 * the group could not be made.
 */
char *cg_new(const char *parent, const char *name);
char *cg_newf(const char *parent, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* 0 or -errno. */
int cg_rmdir(const char *cg);
/* Kills all processes of @cg and of the groups below, and removes them all. */
int cg_purge(const char *cg);

/* The path of a group's file, in a buffer that every call uses anew. */
const char *cg_path(const char *cg, const char *file);

/* Opens a group's file: the descriptor, or -errno. */
int cg_open(const char *cg, const char *file, int flags);
/* Writes @text, or @len bytes of it: 0, or -errno. */
int cg_write(const char *cg, const char *file, const char *text);
int cg_write_raw(const char *cg, const char *file, const void *data, size_t len);
/*
 * Reads the whole file, in a buffer that every call uses anew; "" if it cannot.
 */
const char *cg_read(const char *cg, const char *file);
/* Reads one number; BC_UNLIMITED for "max"; -errno, or -EBADMSG for others. */
long long cg_get(const char *cg, const char *file);
/* 0, or -errno. */
int cg_set(const char *cg, const char *file, long long value);
/* The number after @key, -ENOENT if there is none. */
long long cg_key(const char *cg, const char *file, const char *key);
/* Charges refused by this very group: failcnt, or the events.local of v2. */
long long cg_refusals(const char *cg);
/* The lowest usage: a file in v1, a line of stat in v2. */
long long cg_min_usage(const char *cg);
/* Units in stock in @cg and below, on all CPUs. */
long long cg_stock(const char *cg);
/* 0, or -errno. */
int cg_attach(const char *cg, pid_t pid);
/* The same with one thread. */
int cg_attach_thread(const char *cg, pid_t tid);
/* How many threads are listed in @cg. */
int cg_threads(const char *cg);
/*
 * The next ID in *@list, what cgroup.procs says; 0 at its end. A task that is
 * being reaped is listed as 0. It is passed over: to kill(2) 0 is the caller's
 * process group, and to cgroup.procs the caller.
 */
pid_t bc_next_pid(char **list);

/* The number that an open file has now, or -errno. */
long long bc_read_number(int fd);
/*
 * From now on, the highest usage that bc_read_number() of what this returns
 * shows is that since this call (and in v1 for all readers).
 */
int cg_restart_max(const char *cg);

/*
 * How much stock there may be, at most, where @cpus CPUs have run tasks of as many
 * groups as @groups says, and @usage is the highest usage that there was, of files
 * or of tasks. Each group with a child that was charged is one of them, too. With 0
 * CPUs: what the groups themselves may keep. Extremes may be off by as much.
 */
long bc_most_stock(int cpus, int groups, long usage);

/* Writes @text to a file that exists: 0 or -errno. */
int bc_write_file(const char *path, const char *text);
/* How many lines of a file have @word, or -errno. */
int bc_count_lines(const char *path, const char *word);

/* The letter that says what @pid does ('Z' is a zombie), 0 if there is none. */
char bc_state_of(pid_t pid);

void bc_sleep_ms(int ms);
long long bc_now_ms(void);

/* Evaluates @condition until it is true or patience is at its end. */
#define bc_soon(condition) ({						\
	long long __end = bc_now_ms() + bc_patience_ms;			\
	bool __met;							\
									\
	while (!(__met = (condition)) && bc_now_ms() < __end)		\
		bc_sleep_ms(5);						\
	if (!__met)							\
		bc_patience_ms = BC_IMPATIENCE_MS;			\
	__met;								\
})

/* Reads until it is what is expected, or patience is at its end. */
#define bc_settle(expected, seen) ({					\
	__typeof__(seen) __last;					\
									\
	bc_soon((__last = (seen)) == (expected));			\
	__last;								\
})

/* For what the kernel finishes after the system call has returned. */
#define EXPECT_SOON(expected, seen) do {				\
	__typeof__(seen) __want = (expected);				\
									\
	EXPECT_EQ(__want, bc_settle(__want, seen));			\
} while (0)

#define ASSERT_SOON(expected, seen) do {				\
	__typeof__(seen) __want = (expected);				\
									\
	ASSERT_EQ(__want, bc_settle(__want, seen));			\
} while (0)

/* Workers */

/* What a worker can be told to do: its result comes back to the test. */
typedef long (*bc_work)(long arg);

struct worker {
	pid_t pid;
	int sock;		/* what it is told */
	int results;		/* what it answers */
};

/*
 * A new process in the group @cg (NULL: in the test's own). It holds no file
 * that @cg was charged for, and dies with the test.
 */
struct worker *worker_new(const char *cg);
/*
 * The same without privileges; and both on the CPU that pin_to_cpu() calls
 * @cpu.
 */
struct worker *user_new(const char *cg);
struct worker *worker_new_on_cpu(const char *cg, int cpu);
struct worker *user_new_on_cpu(const char *cg, int cpu);
/* @w, if it is one and fn(arg) was done in it; else there is none: NULL. */
struct worker *worker_after(struct worker *w, bc_work fn, long arg);
/*
 * Goes on in a process that the worker forks: one whose memory was made in its
 * group. Its descriptors and mappings are there, too. NULL, and the worker is gone,
 * if it could not.
 */
struct worker *worker_renew(struct worker *w);
/* Moves the worker to another group. Its files stay with the old one. */
bool worker_move(struct worker *w, const char *cg);
/* Runs fn(arg) in the worker and returns its result, LONG_MIN if it died. */
long call(struct worker *w, bc_work fn, long arg);
/* The same in two steps, so that several workers run at once. */
void start(struct worker *w, bc_work fn, long arg);
long finish(struct worker *w);
/* Ends a worker in order, or by SIGKILL, and waits for its end. */
void worker_end(struct worker *w);
void worker_kill(struct worker *w);
/* Waits for the end of one that dies of its work: the status of waitpid(2). */
int worker_wait(struct worker *w);

/*
 * Work: results are 0 or a count if all went well, or -errno.
 *
 * A worker keeps the descriptors that it opens on a stack.
 */

/* Keeps @fd if it is one; what all functions that open files do. */
long keep(int fd);
/* Opens one file. */
long open_one(long unused);
/* Opens @n files. Those opened before the first failure stay open. */
long open_files(long n);
/* Opens files until refused, @most at most; returns how many. */
long open_until_refused(long most);
/* Closes the @n files that were opened last, the file opened first, all. */
long close_files(long n);
long close_first(long unused);
long close_all(long unused);
/* How many are open. */
long held(long unused);

/*
 * A worker keeps the processes that it forks on a stack, too.
 *
 * Keeps @pid if it is one; what all functions that fork such a process do.
 */
long keep_child(pid_t pid);
/* Forks a process that does nothing, and that goes on if the worker ends. */
long fork_one(long unused);
/* The same, but the process dies with the worker. */
long fork_bound(long unused);
/* Kills the @n processes that were forked last, or all, and waits for them. */
long end_children(long n);
long end_all_children(long unused);
/* How many there are. */
long num_children(long unused);
/* Forks a process that exits at once, and waits for it. */
long fork_and_wait(long unused);
/* Does that until a fork is refused by EAGAIN, @most times at most. */
long forks_until_refused(long most);

/* Loses all privileges; or one capability only, as root. */
long become_nobody(long unused);
long drop_capability(long cap);
/* Becomes root in a user namespace of its own, with all capabilities there. */
long enter_userns(long unused);
/* Opens @n files and closes them. */
long open_and_close(long n);
/* Whether this process ever used a privilege (PF_SUPERPRIV). */
long used_privilege(long unused);
/*
 * Runs on one CPU from now on: the @n-th of the CPUs that this process, or the
 * test whose worker it is, was allowed when it called this for the first time.
 */
long pin_to_cpu(long n);

/* What the workers that hammer at a limit share. */
struct arena {
	long most;		/* files that each opens in a round, if it can */
	long open;		/* never more than they hold ... */
	long highest;
	long taken;		/* ... and never less */
	long highest_taken;
	long opened;
	long refused;
};

/* For workers that are made later; NULL if there is no memory. */
struct arena *arena_new(long most);
/*
 * @rounds times opens until refused, arena_new()'s @most files at most, and closes
 * them.
 */
long hammer(long rounds);

/*
 * A kernel with lockdep, and no doubt with other checks that take their time.
 */
bool bc_debug_kernel(void);
/*
 * @n rounds of a race; an eighth of them under lockdep, where an emulated CPU
 * opens a few hundred files a second.
 */
int bc_rounds(int n);
/* The CPUs that this process may run on. */
int bc_cpus(void);
/* The kernel's number of the CPU that pin_to_cpu() takes @n for; -1: none. */
int bc_cpu(int n);
/* How many processes the OOM killer has killed, or -1. */
long long bc_oom_kills(void);
/* Whether @word is one of those in @line. */
bool bc_has_word(const char *line, const char *word);
/* Raises this process's own limit of descriptors beyond what tests open. */
int bc_many_files(void);

/* As work of a worker: touches @n pages of memory, which it keeps. */
long touch_pages(long n);

#endif /* BC_UTIL_H */
