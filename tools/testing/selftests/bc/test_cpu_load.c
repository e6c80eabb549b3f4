// SPDX-License-Identifier: GPL-2.0
/*
 * CPU load, as its users see it: a group is shown the time that its processes
 * have used, of what the CPUs had to offer in the same stretch of time.
 */

/*
 * Not in the guest where allocations fail: of that kmemleak complains on the
 * console with a lock held that is taken where a CPU goes offline, too, which
 * lockdep minds.
 */
/* bc-boot: --smp 2 */

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "cpu_load.h"

/* CPU time that workers use: many ticks, and short enough to wait for. */
#define A_WHILE_MS 1000

FIXTURE(cpu_load)
{
	char *top;
	char *group;
	int cpus;		/* online */
	struct load load;
};

FIXTURE_VARIANT(cpu_load)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(cpu_load, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(cpu_load, v2) { .v2 = true };

FIXTURE_SETUP(cpu_load)
{
	if (load_missing(variant->v2))
		SKIP(return, "%s", bc_why);
	self->top = load_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	ASSERT_NE(NULL, self->group);
	self->cpus = sysconf(_SC_NPROCESSORS_ONLN);
}

FIXTURE_TEARDOWN(cpu_load)
{
	load_teardown();
}

static struct bounds times(struct bounds b, int n)
{
	return (struct bounds){ b.from * n, b.to * n };
}

/*
 * What is shown of @used in an interval: no more than was offered. What is beyond
 * that was used before, where a tick came late.
 */
static struct bounds shown(struct bounds used, const struct load *l)
{
	return (struct bounds){
		used.from < l->offered ? used.from : l->offered,
		used.to < l->offered ? used.to : l->offered,
	};
}

/* The time in @b is what @n workers have used since @a, when the interval began. */
#define EXPECT_TRUE_TIME(a, b, n) \
	EXPECT_WITHIN(shown(since((a).used, (b).used), &(b).load), n, (b).load.time)

/* Waits until each of the workers has used @ms more, however long that takes. */
static bool let_run(struct worker **workers, int n, int ms)
{
	long long until;

	while (n--) {
		until = cpu_us(workers[n]->pid) + ms * 1000LL;
		if (!bc_soon(cpu_us(workers[n]->pid) >= until))
			return false;
	}
	return true;
}

static bool let_sleep(int ms)
{
	bc_sleep_ms(ms);
	return true;
}

/* What the file says is consistent in itself. */
static bool adds_up(const struct load *l, int cpus)
{
	return l->load == (l->offered ? l->time * 100 / l->offered : 0) &&
	       l->time <= l->offered && l->load <= 100 &&
	       l->cpus <= cpus * 100 && l->avg10 <= 10000 &&
	       l->avg60 <= 10000 && l->avg300 <= 10000;
}

/*
 * Two looks at @group, before @wait and after, of which @n workers are all tasks:
 * its time is theirs, and the CPUs have offered what they could.
 */
#define EXPECT_TRUE_LOAD(group, workers, n, wait) do {			\
	struct look __a, __b;						\
	struct bounds __wall;						\
									\
	ASSERT_TRUE(look_at(group, workers, n, &__a));			\
	ASSERT_TRUE(wait);						\
	ASSERT_TRUE(look_at(group, workers, n, &__b));			\
	__wall = since(__a.wall, __b.wall);				\
	EXPECT_WITHIN(since(__a.used, __b.used), n,			\
		      __b.load.accumulated - __a.load.accumulated);	\
	EXPECT_WITHIN(times(__wall, self->cpus), 0,			\
		      __b.load.offered - __a.load.offered);		\
	EXPECT_TRUE(adds_up(&__a.load, self->cpus));			\
	EXPECT_TRUE(adds_up(&__b.load, self->cpus));			\
	self->load = __b.load;						\
} while (0)

/*
 * load_cpus in @b is the time in @b, of the time on the clock since @a began to
 * count.
 */
#define EXPECT_TRUE_CPUS(a, b) do {					\
	long long __used = (b).load.time * 100;				\
									\
	EXPECT_LE(__used / ((b).wall.to - (a).wall.from), (b).load.cpus + 1); \
	EXPECT_GE(__used / ((b).wall.from - (a).wall.to) + 1, (b).load.cpus); \
} while (0)

/* The first read shows where counting begins, and what was used ever. */
TEST_F(cpu_load, first_read_begins)
{
	struct worker *w = worker_new(self->group);

	ASSERT_NE(NULL, w);
	EXPECT_STREQ("time 0\naccumulated time 0\ntime since interval 0\n"
		     "load 0\nload_cpus 0.00\navg10=0.00 avg60=0.00 avg300=0.00\n",
		     cg_read(self->top, load_file()));
	ASSERT_EQ(0, call(w, burn, 100000));
	ASSERT_TRUE(read_load(self->group, &self->load));
	EXPECT_EQ(0, self->load.time);
	EXPECT_LE(100000, self->load.accumulated);
	EXPECT_EQ(0, self->load.offered);
	EXPECT_EQ(0, self->load.load);
	ASSERT_EQ(0, call(w, burn, 100000));
	ASSERT_TRUE(read_load(self->group, &self->load));
	EXPECT_LE(100000, self->load.time);
	EXPECT_LE(200000, self->load.accumulated);
	EXPECT_LT(0, self->load.offered);
}

TEST_F(cpu_load, file_is_where_it_belongs)
{
	char root[PATH_MAX], path[PATH_MAX + 32];
	struct stat st;

	snprintf(root, sizeof(root), "%s", self->top);
	*strrchr(root, '/') = '\0';
	snprintf(path, sizeof(path), "%s/%s", root, load_file());
	/*
	 * v1's root is the machine; v2's has no such file, as with cpu.weight.
	 */
	EXPECT_EQ(variant->v2 ? -1 : 0, stat(path, &st));
	EXPECT_EQ(!variant->v2, read_load(root, &self->load));
	ASSERT_EQ(0, stat(cg_path(self->group, load_file()), &st));
	EXPECT_EQ(0444, st.st_mode & 0777);
	/* Privileges open it all the same. */
	EXPECT_EQ(-EINVAL, cg_write(self->group, load_file(), "0"));
}

TEST_F(cpu_load, one_busy_cpu)
{
	struct worker *w = worker_new_on_cpu(self->group, 0);
	struct look a, b;

	ASSERT_NE(NULL, w);
	start(w, spin, 0);
	ASSERT_TRUE(look_at(self->group, &w, 1, &a));
	EXPECT_TRUE_LOAD(self->group, &w, 1, let_run(&w, 1, 2 * A_WHILE_MS));

	/* All that it has, from the first look on: in this interval, then. */
	ASSERT_TRUE(look_at(self->group, &w, 1, &b));
	EXPECT_TRUE_TIME(a, b, 1);
	EXPECT_WITHIN(times(since(a.wall, b.wall), self->cpus), 0, b.load.offered);
	/*
	 * That this is one CPU, test_cpu_load_time can tell: here a late tick may
	 * make it more, and what else runs on the CPU less.
	 */
	EXPECT_TRUE_CPUS(a, b);
}

TEST_F(cpu_load, two_busy_cpus)
{
	struct worker *w[2];
	struct look a, b;
	int i;

	if (bc_cpus() < 2)
		SKIP(return, "needs two CPUs");
	for (i = 0; i < 2; i++) {
		w[i] = worker_new_on_cpu(self->group, i);
		ASSERT_NE(NULL, w[i]);
		start(w[i], spin, 0);
	}
	ASSERT_TRUE(look_at(self->group, w, 2, &a));
	EXPECT_TRUE_LOAD(self->group, w, 2, let_run(w, 2, A_WHILE_MS));
	/* Until they have used more than one CPU could give them. */
	ASSERT_TRUE(bc_soon(cpus_us(w, 2) - a.used.to >
			    clock_us(CLOCK_MONOTONIC) - a.wall.from));
	ASSERT_TRUE(look_at(self->group, w, 2, &b));
	EXPECT_TRUE_TIME(a, b, 2);
	EXPECT_TRUE_CPUS(a, b);
}

TEST_F(cpu_load, half_busy)
{
	struct worker *w = worker_new(self->group);
	struct look a, b;

	ASSERT_NE(NULL, w);
	start(w, spin_and_rest, 50);
	ASSERT_TRUE(look_at(self->group, &w, 1, &a));
	EXPECT_TRUE_LOAD(self->group, &w, 1, let_run(&w, 1, A_WHILE_MS));
	ASSERT_TRUE(look_at(self->group, &w, 1, &b));
	/*
	 * That this is a half, test_cpu_load_time can tell: here the guest's
	 * host may take time from the work, which makes it longer than the
	 * rest.
	 */
	EXPECT_TRUE_TIME(a, b, 1);
	EXPECT_TRUE_CPUS(a, b);
}

TEST_F(cpu_load, asleep)
{
	struct worker *w = worker_new(self->group);
	struct look a, b;

	ASSERT_NE(NULL, w);
	ASSERT_TRUE(look_at(self->group, &w, 1, &a));
	EXPECT_TRUE_LOAD(self->group, &w, 1, let_sleep(1000));
	ASSERT_TRUE(look_at(self->group, &w, 1, &b));
	EXPECT_TRUE_TIME(a, b, 1);
	/* Nothing, but for what it may have used on its way to sleep. */
	EXPECT_GE((since(a.used, b.used).to + 2) * 100 / b.load.offered,
		  b.load.load);
}

static sem_t burnt;

static void *burn_thread(void *us)
{
	burn((long)us);
	sem_post(&burnt);
	while (pause())
		;
	return NULL;
}

/* In a thread that stays: how one dies is in no process's clock any more. */
static long burn_in_thread(long us)
{
	pthread_t thread;

	if (sem_init(&burnt, 0, 0) ||
	    pthread_create(&thread, NULL, burn_thread, (void *)us))
		return -errno;
	return sem_wait(&burnt);
}

/* Threads, and moving. */
TEST_F(cpu_load, time_stays_where_it_was_used)
{
	char *other = cg_new(self->top, "other");
	struct worker *w = worker_new(self->group);
	struct look start, half, end;
	struct load before, after;

	ASSERT_NE(NULL, w);
	ASSERT_NE(NULL, other);
	ASSERT_TRUE(look_at(self->group, &w, 1, &start));
	ASSERT_EQ(0, call(w, burn_in_thread, 200000));
	ASSERT_TRUE(look_at(self->group, &w, 1, &half));
	EXPECT_LE(200000, half.load.time);
	EXPECT_TRUE_TIME(start, half, 1);

	ASSERT_TRUE(worker_move(w, other));
	ASSERT_TRUE(look_at(other, &w, 1, &start));
	/* After the look, which waits for what the worker used here. */
	ASSERT_TRUE(read_load(self->group, &before));
	ASSERT_EQ(0, call(w, burn, 200000));
	ASSERT_TRUE(look_at(other, &w, 1, &end));
	ASSERT_TRUE(read_load(self->group, &after));
	EXPECT_LE(200000, end.load.time);
	EXPECT_TRUE_TIME(start, end, 1);
	EXPECT_EQ(before.time, after.time);
	EXPECT_EQ(before.accumulated, after.accumulated);
	EXPECT_LT(before.offered, after.offered);
}

/* A group's load is that of all below it. */
TEST_F(cpu_load, descendants_count)
{
	char *deep, *a, *b;
	struct worker *w[2];
	struct look first[3], second[3];

	a = cg_new(self->group, "a");
	b = cg_new(self->group, "b");
	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	deep = cg_new(a, "deep");
	ASSERT_NE(NULL, deep);
	w[0] = worker_new(deep);
	w[1] = worker_new(b);
	ASSERT_NE(NULL, w[0]);
	ASSERT_NE(NULL, w[1]);
	start(w[0], spin, 0);
	start(w[1], spin_and_rest, 20);
	ASSERT_TRUE(look_at(self->group, w, 2, &first[0]));
	ASSERT_TRUE(look_at(a, &w[0], 1, &first[1]));
	ASSERT_TRUE(look_at(b, &w[1], 1, &first[2]));
	ASSERT_TRUE(let_run(w, 2, A_WHILE_MS));
	ASSERT_TRUE(look_at(self->group, w, 2, &second[0]));
	ASSERT_TRUE(look_at(a, &w[0], 1, &second[1]));
	ASSERT_TRUE(look_at(b, &w[1], 1, &second[2]));
	EXPECT_TRUE_TIME(first[0], second[0], 2);
	EXPECT_TRUE_TIME(first[1], second[1], 1);
	EXPECT_TRUE_TIME(first[2], second[2], 1);
	EXPECT_LT(0, second[1].load.time);
	EXPECT_LT(0, second[2].load.time);
}

/* What a child has used stays its parent's when it is removed. */
TEST_F(cpu_load, removed_while_busy)
{
	char *child = cg_new(self->group, "child");
	char *other = cg_new(self->group, "other");
	struct worker *w;
	struct look before, after;
	char buf[16];
	int fd;

	ASSERT_NE(NULL, child);
	ASSERT_NE(NULL, other);
	w = worker_new(child);
	ASSERT_NE(NULL, w);
	ASSERT_TRUE(look_at(self->group, &w, 1, &before));
	ASSERT_TRUE(read_load(child, &self->load));
	start(w, spin, 0);
	ASSERT_TRUE(let_run(&w, 1, 300));
	ASSERT_TRUE(read_load(child, &self->load));
	EXPECT_LT(0, self->load.time);
	EXPECT_EQ(-EBUSY, cg_rmdir(child));
	fd = cg_open(child, load_file(), O_RDONLY);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(worker_move(w, other));
	ASSERT_EQ(0, cg_rmdir(child));
	/* A task that still has the file open gets an error. */
	EXPECT_EQ(-1, pread(fd, buf, sizeof(buf), 0));
	EXPECT_EQ(ENODEV, errno);
	close(fd);
	/* Until the work has come by again. */
	bc_sleep_ms(2500);
	ASSERT_TRUE(look_at(self->group, &w, 1, &after));
	EXPECT_WITHIN(since(before.used, after.used), 1,
		      after.load.accumulated - before.load.accumulated);
	EXPECT_TRUE_TIME(before, after, 1);
}

/* Reads whatever group has this name, until it is killed. */
static char racing[PATH_MAX];

static long read_on(long unused)
{
	char buf[512];
	int fd;

	(void)unused;
	for (;;) {
		fd = open(racing, O_RDONLY);
		if (fd < 0)
			continue;
		while (pread(fd, buf, sizeof(buf), 0) > 0)
			;
		close(fd);
	}
	return 0;
}

/*
 * Groups that come, are read and go, while others read them and intervals end:
 * if a watch outlived its group, KASAN would tell, or the next user of its
 * memory.
 */
TEST_F(cpu_load, readers_race_with_removal)
{
	struct worker *reader[2], *w;
	int i, round;
	char *group;

	snprintf(racing, sizeof(racing), "%s/racing/%s", self->top, load_file());
	for (i = 0; i < 2; i++) {
		reader[i] = worker_new(NULL);
		ASSERT_NE(NULL, reader[i]);
		start(reader[i], read_on, 0);
	}
	w = worker_new(self->group);
	ASSERT_NE(NULL, w);
	start(w, spin, 0);
	for (round = 0; round < bc_rounds(80); round++) {
		group = cg_new(self->top, "racing");
		ASSERT_NE(NULL, group);
		ASSERT_TRUE(worker_move(w, group));
		EXPECT_TRUE(read_load(group, &self->load));
		EXPECT_EQ(0, set_interval(1000 + round % 2));
		bc_sleep_ms(round % 3);
		ASSERT_TRUE(worker_move(w, self->group));
		ASSERT_EQ(0, cg_rmdir(group));
		free(group);
	}
	for (i = 0; i < 2; i++)
		worker_kill(reader[i]);
}

/*
 * An interval never lasts longer than it may, whenever the kernel's work gets
 * to run: it cannot begin before the one before it was due to end, and the
 * first read after its end begins the next.
 */
TEST_F(cpu_load, intervals_end)
{
	struct worker *w = worker_new(self->group);
	struct load last, now;
	int ended = 0;

	ASSERT_NE(NULL, w);
	start(w, spin, 0);
	ASSERT_EQ(0, set_interval(1000));
	ASSERT_TRUE(read_load(self->group, &last));
	while (ended < 3) {
		ASSERT_TRUE(read_load(self->group, &now));
		EXPECT_GE(1000000LL * self->cpus, now.offered);
		EXPECT_TRUE(adds_up(&now, self->cpus));
		EXPECT_LE(last.accumulated, now.accumulated);
		/* Or it was 0 both times: this read began an interval, too. */
		if (now.offered <= last.offered) {
			/* What was used before is no part of it. */
			EXPECT_GE(now.accumulated - last.accumulated, now.time);
			ended++;
		}
		last = now;
		bc_sleep_ms(50);
	}
}

/* The new length is true at once, for groups that are watched already. */
TEST_F(cpu_load, interval_changes)
{
	char *other = cg_new(self->top, "other");
	char *group[2] = { self->group, other };
	struct look before[2], after[2];
	long long old[2];
	struct worker *w[2];
	int i;

	ASSERT_NE(NULL, other);
	for (i = 0; i < 2; i++) {
		w[i] = worker_new(group[i]);
		ASSERT_NE(NULL, w[i]);
		start(w[i], spin, 0);
		ASSERT_TRUE(read_load(group[i], &self->load));
	}
	bc_sleep_ms(500);
	for (i = 0; i < 2; i++)
		ASSERT_TRUE(look_at(group[i], &w[i], 1, &before[i]));

	/* What changes nothing ends no interval. */
	EXPECT_EQ(0, set_interval(LONGEST_MS));
	EXPECT_EQ(-EINVAL, set_interval(LONGEST_MS + 1));
	for (i = 0; i < 2; i++) {
		old[i] = before[i].load.offered;
		ASSERT_TRUE(look_at(group[i], &w[i], 1, &before[i]));
		EXPECT_LT(old[i], before[i].load.offered);
	}

	ASSERT_EQ(0, set_interval(LONGEST_MS / 2));
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(look_at(group[i], &w[i], 1, &after[i]));
		/* At most what there was since before the change. */
		EXPECT_GE(times(since(before[i].wall, after[i].wall),
				self->cpus).to + 1, after[i].load.offered);
		EXPECT_GE(since(before[i].used, after[i].used).to + 2,
			  after[i].load.time);
		EXPECT_LT(0, after[i].load.offered);
	}
}

TEST_F(cpu_load, bad_intervals)
{
	static const char * const bad[] = {
		"0", "999", "3600001", "-1", "-10000", "4294967296", "4294977296",
		"99999999999999999999", "x", "10000x", "1e4", "10000.5", "", "\n", " ",
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		/* A write of nothing at all is none, says the VFS. */
		EXPECT_EQ(*bad[i] ? -EINVAL : 0, bc_write_file(INTERVAL, bad[i]))
			TH_LOG("\"%s\"", bad[i]);
		EXPECT_EQ(LONGEST_MS, cg_get("/proc/sys/kernel",
					     "cpuacct_load_interval_ms"));
	}
	EXPECT_EQ(0, bc_write_file(INTERVAL, "1000\n"));
	EXPECT_EQ(1000, cg_get("/proc/sys/kernel", "cpuacct_load_interval_ms"));
	EXPECT_EQ(0, bc_write_file(INTERVAL, " 3600000 "));
	EXPECT_EQ(LONGEST_MS, cg_get("/proc/sys/kernel", "cpuacct_load_interval_ms"));
}

/* cpuacct.usage can be set to 0: the interval keeps what it has. */
TEST_F(cpu_load, total_is_reset)
{
	struct worker *w = worker_new(self->group);
	long long before, lost = 0;
	struct look first, last;
	int i;

	if (variant->v2)
		SKIP(return, "v1 only");
	ASSERT_NE(NULL, w);
	ASSERT_TRUE(look_at(self->group, &w, 1, &first));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, call(w, burn, 200000));
		before = cpu_us(w->pid);
		EXPECT_EQ(0, cg_write(self->group, "cpuacct.usage", "0"));
		lost += cpu_us(w->pid) - before + 1;
		ASSERT_TRUE(read_load(self->group, &self->load));
		EXPECT_GE(cpu_us(w->pid) - before + 2, self->load.accumulated);
	}
	/*
	 * But for what the worker used in the very moment, on its way to sleep.
	 */
	ASSERT_TRUE(look_at(self->group, &w, 1, &last));
	EXPECT_LE(shown(since(first.used, last.used), &last.load).from - 2 - lost,
		  last.load.time);
	EXPECT_GE(since(first.used, last.used).to + 2, last.load.time);
}

/* cpu0/online and so on: 0, or -errno. */
static int switch_cpu(int cpu, bool on)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	return bc_write_file(path, on ? "1" : "0");
}

/* A CPU that is offline offers nothing, and what ran on it runs elsewhere. */
TEST_F(cpu_load, cpu_goes_and_comes)
{
	struct look before, off, still_off, on, end;
	struct worker *w;
	int cpu = bc_cpu(1), err;

	if (cpu < 0)
		SKIP(return, "needs two CPUs");
	w = worker_new_on_cpu(self->group, 1);
	ASSERT_NE(NULL, w);
	start(w, spin, 0);
	ASSERT_TRUE(look_at(self->group, &w, 1, &before));
	err = switch_cpu(cpu, false);
	if (err)
		SKIP(return, "cannot take CPU %d offline: %s", cpu, strerror(-err));
	ASSERT_TRUE(look_at(self->group, &w, 1, &off));
	bc_sleep_ms(1000);
	ASSERT_TRUE(look_at(self->group, &w, 1, &still_off));
	EXPECT_EQ(0, switch_cpu(cpu, true));
	ASSERT_TRUE(look_at(self->group, &w, 1, &on));
	bc_sleep_ms(1000);
	ASSERT_TRUE(look_at(self->group, &w, 1, &end));

	EXPECT_WITHIN(times(since(off.wall, still_off.wall), self->cpus - 1), 0,
		      still_off.load.offered - off.load.offered);
	EXPECT_WITHIN(times(since(on.wall, end.wall), self->cpus), 0,
		      end.load.offered - on.load.offered);
	/* While it went and came it was there for a part of the time. */
	EXPECT_LE(since(before.wall, end.wall).from * (self->cpus - 1),
		  end.load.offered);
	EXPECT_GE(since(before.wall, end.wall).to * self->cpus -
		  since(off.wall, still_off.wall).from, end.load.offered);
	EXPECT_TRUE_TIME(before, end, 1);
	EXPECT_TRUE(adds_up(&end.load, self->cpus));
}

TEST_HARNESS_MAIN
