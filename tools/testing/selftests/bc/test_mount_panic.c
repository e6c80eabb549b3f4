// SPDX-License-Identifier: GPL-2.0
/*
 * Mounting every controller while all CPUs are busy, and while they are idle.
 *
 * In January 2007 mounting the controllers of the generic containers patches
 * panicked a machine of several CPUs: the controller was asked to account for
 * tasks on the other CPUs, idle tasks among them, before it had a root group to
 * account to ("I have run into a problem running this patch on a powerpc box.
 * Basically, the machine panics as soon as I mount the container filesystem").
 * Here it must not, for any controller, new or old.
 */
/* bc-boot: --smp 4 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "../kselftest_harness.h"
#include "bc_util.h"

enum { MAX_CPUS = 8, MAX_CONTROLLERS = 32 };

static char controllers[MAX_CONTROLLERS][64];
static int ncontrollers;

static bool *stop;		/* shared with the workers */

/* Under lockdep once: every test here mounts what another one has left. */
static int rounds(void)
{
	return bc_debug_kernel() ? 1 : 2;
}

FIXTURE(mount_all)
{
	struct worker *worker[MAX_CPUS];	/* one on each CPU */
	int cpus;
	long long tainted;
};

FIXTURE_VARIANT(mount_all)
{
	bool busy;
};

FIXTURE_VARIANT_ADD(mount_all, busy) { .busy = true };
FIXTURE_VARIANT_ADD(mount_all, idle) { .busy = false };

/* What a kernel says about itself after a warning or an oops, among others. */
static long long tainted(void)
{
	return cg_get("/proc/sys/kernel", "tainted");
}

/* All controllers but those that are in use. */
static void find_controllers(void)
{
	char line[256], name[64], *v2 = bc_mount_v2(), *used;
	int hierarchy, groups, enabled;
	FILE *f;

	used = strdup(v2 ? cg_read(v2, "cgroup.subtree_control") : "");
	if (v2)
		bc_umount(v2);
	f = fopen("/proc/cgroups", "r");
	while (f && used && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %d %d %d", name, &hierarchy, &groups,
			   &enabled) == 4 && enabled && !hierarchy &&
		    !strstr(used, name) && ncontrollers < MAX_CONTROLLERS)
			strcpy(controllers[ncontrollers++], name);
	if (f)
		fclose(f);
	free(used);
}

/* Uses the CPU in every way that is accounted: in user mode and in the kernel. */
static long work(long unused)
{
	unsigned int i, sum = 0;
	int fd;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		for (i = 0; i < 10000; i++)
			sum += i * sum;
		fd = open("/", O_RDONLY | O_DIRECTORY);
		if (fd >= 0)
			close(fd);
		syscall(SYS_getppid);
		sched_yield();
	}
	return sum == 1;	/* whatever it is, so that it is computed */
}

FIXTURE_SETUP(mount_all)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	bc_v2 = false;
	ASSERT_TRUE(bc_release())
		TH_LOG("%s", bc_why);
	self->tainted = tainted();
	self->cpus = bc_cpus() < MAX_CPUS ? bc_cpus() : MAX_CPUS;
	if (self->cpus < 2)
		SKIP(return, "needs several CPUs");
	stop = mmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)stop);
	find_controllers();
	ASSERT_LT(0, ncontrollers);
}

FIXTURE_TEARDOWN(mount_all)
{
	bc_release();
}

/* Workers: every CPU is at it, or none has anything to do. */
static bool set_to_work(int cpus, struct worker **worker, bool busy)
{
	int i;

	*stop = false;
	for (i = 0; i < cpus; i++) {
		worker[i] = worker_new(NULL);
		if (!worker[i] || call(worker[i], pin_to_cpu, i))
			return false;
		if (busy)
			start(worker[i], work, 0);
	}
	return true;
}

static void end_work(int cpus, struct worker **worker, bool busy)
{
	int i;

	*stop = true;
	for (i = 0; i < cpus; i++) {
		if (busy)
			finish(worker[i]);
		worker_end(worker[i]);
	}
}

/* A new cpuset has no CPUs and no memory, and takes no task until it has. */
static void allow_cpus(const char *root, const char *group)
{
	static const char * const file[] = { "cpuset.cpus", "cpuset.mems" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(file); i++) {
		char *all = strdup(cg_read(root, file[i]));

		if (all && *all)
			cg_write(group, file[i], all);
		free(all);
	}
}

/*
 * Mounts, moves every worker in and out, and unmounts, with a pause at each
 * stage for the other CPUs to be accounted in. The workers' ends are part of it:
 * they free what pins the group (memory that they touched).
 * @controller is one of those that @options mount.
 */
static bool mount_and_move(const char *options, const char *controller, int cpus,
			   bool busy)
{
	struct worker *worker[MAX_CPUS];
	char *root, *group;
	bool good = true;
	int i;

	if (!set_to_work(cpus, worker, busy))
		return false;
	root = bc_mount_v1(options);
	if (!root) {
		/* A controller that exists in v2 only is no failure. */
		good = errno == EINVAL;
		printf("# %s\n", bc_why);
		end_work(cpus, worker, busy);
		return good;
	}
	bc_sleep_ms(20);
	group = cg_new(root, "bc_test");
	if (!group)
		good = false;
	else
		allow_cpus(root, group);
	for (i = 0; good && i < cpus; i++)
		good = !cg_attach(group, worker[i]->pid);
	bc_sleep_ms(20);
	for (i = 0; good && i < cpus; i += 2)
		good = !cg_attach(root, worker[i]->pid);
	end_work(cpus, worker, busy);
	if (group) {
		cg_write(group, "memory.force_empty", "0");
		good &= bc_soon(!cg_rmdir(group));
		/* A hierarchy that is unmounted before that would stay. */
		good &= bc_soon(bc_num_cgroups(controller) == 1);
	}
	good &= !bc_umount(root);
	bc_sleep_ms(20);
	return good;
}

TEST_F(mount_all, one_after_the_other)
{
	int round, i;

	for (round = 0; round < rounds(); round++)
		for (i = 0; i < ncontrollers; i++) {
			EXPECT_TRUE(mount_and_move(controllers[i], controllers[i],
						   self->cpus, variant->busy))
				TH_LOG("%s", controllers[i]);
		}
	EXPECT_EQ(self->tainted, tainted());
}

/* The whole set in one hierarchy, as `mount -t cgroup` without options does. */
TEST_F(mount_all, together)
{
	char all[MAX_CONTROLLERS * 64] = "";
	int round, i;

	for (i = 0; i < ncontrollers; i++) {
		strcat(all, i ? "," : "");
		strcat(all, controllers[i]);
	}
	for (round = 0; round < rounds(); round++) {
		EXPECT_TRUE(mount_and_move(all, controllers[0], self->cpus,
					   variant->busy))
			TH_LOG("%s", all);
		EXPECT_TRUE(mount_and_move("all", controllers[0], self->cpus,
					   variant->busy))
			TH_LOG("all");
	}
	EXPECT_EQ(self->tainted, tainted());
}

/* All at once, each in a hierarchy of its own, mounted from several CPUs. */
static long mount_every_nth(long first)
{
	char *root[MAX_CONTROLLERS] = { NULL };
	long err = 0;
	int i;

	for (i = first; i < ncontrollers; i += 2) {
		root[i] = bc_mount_v1(controllers[i]);
		if (!root[i] && errno != EINVAL)
			err = -errno;
	}
	bc_sleep_ms(20);
	for (i = first; i < ncontrollers; i += 2)
		if (root[i] && bc_umount(root[i]))
			err = -errno;
	return err;
}

TEST_F(mount_all, at_the_same_time)
{
	struct worker *mounter[2] = { worker_new(NULL), worker_new(NULL) };
	int round;

	ASSERT_TRUE(mounter[0] && mounter[1]);
	ASSERT_TRUE(set_to_work(self->cpus, self->worker, variant->busy));
	for (round = 0; round < rounds(); round++) {
		start(mounter[0], mount_every_nth, 0);
		start(mounter[1], mount_every_nth, 1);
		EXPECT_EQ(0, finish(mounter[0]));
		EXPECT_EQ(0, finish(mounter[1]));
	}
	end_work(self->cpus, self->worker, variant->busy);
	worker_end(mounter[0]);
	worker_end(mounter[1]);
	EXPECT_SOON(0, bc_hierarchy_of("numfiles"));
	EXPECT_EQ(self->tainted, tainted());
}

TEST_HARNESS_MAIN
