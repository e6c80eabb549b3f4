// SPDX-License-Identifier: GPL-2.0
/*
 * ubc: the files in a cgroup's directory
 *
 * Flat keyed: a line "KEY VALUE" for each kind. Several lines can be written at a
 * time, and all of them take effect or none.
 */

#include <linux/cgroup.h>
#include <linux/errno.h>
#include <linux/lockdep.h>
#include <linux/memcontrol.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "ubc.h"

/* cftype::private: what the file shows, and in which convention. */
enum {
	UBC_FILE_USAGE,
	UBC_FILE_PEAK,
	UBC_FILE_LIMIT,
	UBC_FILE_BARRIER,
	UBC_FILE_RESERVED,
	UBC_FILE_FAILCNT,
	UBC_FILE_WHAT	= 0xff,
	UBC_FILE_V1	= BIT(8),	/* v1: unlimited is a number, limits veto */
};

/**
 * ubc_find_kind() - the kind of a name
 * @key: the name
 * @len: how long that is
 *
 * Return: An enum bc_ubc_kind, or -EINVAL if there is none.
 */
int ubc_find_kind(const char *key, size_t len)
{
	int kind;

	for (kind = 0; kind < UBC_NR_KINDS; kind++)
		if (strlen(ubc_kinds[kind].name) == len &&
		    !memcmp(ubc_kinds[kind].name, key, len))
			return kind;
	return -EINVAL;
}

static int ubc_parse_line(char *line, unsigned int how, struct ubc_values *values)
{
	size_t len = strcspn(line, " \t");
	int kind = ubc_find_kind(line, len);

	/* Twice is once too often. */
	if (kind < 0 || __test_and_set_bit(kind, &values->given))
		return -EINVAL;
	if (ubc_kinds[kind].bytes)
		how |= BC_PARSE_BYTES;
	line += len;
	return bc_parse_amount(line, strlen(line), how, &values->val[kind]);
}

/**
 * ubc_parse() - read lines "KEY VALUE" as users write them
 * @buf: what was written, with a NUL behind it; is changed
 * @len: how much that was
 * @how: BC_PARSE_* bits
 * @values: where to; undefined on error
 *
 * Blank lines count for nothing; there must be others.
 *
 * Return: 0, or -EINVAL for everything that is not a list of kinds, each once,
 * each with an amount.
 */
int ubc_parse(char *buf, size_t len, unsigned int how, struct ubc_values *values)
{
	char *line;

	values->given = 0;
	if (strlen(buf) != len)
		return -EINVAL;
	while ((line = strsep(&buf, "\n"))) {
		line = strim(line);
		if (*line && ubc_parse_line(line, how, values))
			return -EINVAL;
	}
	return values->given ? 0 : -EINVAL;
}

/* An amount of @bc; %NULL: of a kind that the group has no account of. */
static u64 ubc_read(struct beancounter *bc, unsigned int what)
{
	struct res_snapshot snap = {
		.limit		= RES_COUNTER_MAX,
		.barrier	= RES_COUNTER_MAX,
	};

	if (bc)
		res_counter_read(&bc->counter, &snap);
	switch (what) {
	case UBC_FILE_PEAK:
		return snap.max_usage;
	case UBC_FILE_LIMIT:
		return snap.limit;
	case UBC_FILE_BARRIER:
		return snap.barrier;
	case UBC_FILE_RESERVED:
		return snap.reserved;
	case UBC_FILE_FAILCNT:
		return snap.failcnt;
	default:
		return snap.usage;
	}
}

/**
 * ubc_get_css() - what a controller has in a group itself
 * @cgrp: the group, which stays
 * @ssid: the controller
 *
 * Context: Any context but NMI.
 * Return: The css, with a reference; %NULL where the controller is not on, or the
 * group is the root or was removed.
 */
struct cgroup_subsys_state *ubc_get_css(struct cgroup *cgrp, int ssid)
{
	struct cgroup_subsys_state *css;

	rcu_read_lock();
	css = rcu_dereference(cgrp->subsys[ssid]);
	if (css && (!css->parent || !css_tryget_online(css)))
		css = NULL;
	rcu_read_unlock();
	return css;
}

#ifdef CONFIG_MEMCG
/**
 * ubc_read_physpages() - pages that a group has, as memcg counts them
 * @cgrp: the group, which stays
 * @held: is set to how many there are
 * @maxheld: is set to the most that there were
 *
 * This is no kind: memcg has the account, and its limit. Pages of the page cache
 * count, and so do those of the kernel where memcg has them in one count.
 *
 * Context: Any context but NMI.
 * Return: Whether memcg has an account of @cgrp itself.
 */
bool ubc_read_physpages(struct cgroup *cgrp, u64 *held, u64 *maxheld)
{
	struct cgroup_subsys_state *css = ubc_get_css(cgrp, memory_cgrp_id);
	struct page_counter *memory;

	if (!css)
		return false;
	memory = &mem_cgroup_from_css(css)->memory;
	*held = page_counter_read(memory);
	*maxheld = READ_ONCE(memory->watermark);
	css_put(css);
	return true;
}
#endif

static void ubc_show_physpages(struct seq_file *sf, unsigned int what)
{
	u64 held, maxheld;

	if ((what == UBC_FILE_USAGE || what == UBC_FILE_PEAK) &&
	    ubc_read_physpages(seq_css(sf)->cgroup, &held, &maxheld))
		seq_printf(sf, "physpages %llu\n",
			   what == UBC_FILE_USAGE ? held : maxheld);
}

static int ubc_amount_show(struct seq_file *sf, void *v)
{
	struct ubc_group *group = css_ubc(seq_css(sf));
	const unsigned long cft = seq_cft(sf)->private;
	enum bc_ubc_kind kind;

	for (kind = 0; kind < UBC_NR_KINDS; kind++) {
		u64 val = ubc_read(ubc_find_account(group, kind),
				   cft & UBC_FILE_WHAT);

		seq_printf(sf, "%s ", ubc_kinds[kind].name);
		if (val == RES_COUNTER_MAX && !(cft & UBC_FILE_V1))
			seq_puts(sf, "max\n");
		else
			seq_printf(sf, "%llu\n", val);
	}
	ubc_show_physpages(sf, cft & UBC_FILE_WHAT);
	return 0;
}

static int ubc_set(struct beancounter *bc, unsigned long cft, u64 val,
		   const struct file *file)
{
	switch (cft & UBC_FILE_WHAT) {
	case UBC_FILE_LIMIT:
		return bc_set_limit(bc, val, cft & UBC_FILE_V1, file);
	case UBC_FILE_BARRIER:
		return res_counter_set_barrier(&bc->counter, val);
	default:
		return bc_set_reserved(bc, val, file);
	}
}

/* Whether a change of an amount to @val goes the way that can fail. */
static bool ubc_may_fail(unsigned long cft, u64 old, u64 val)
{
	return (cft & UBC_FILE_WHAT) == UBC_FILE_RESERVED ? val > old : val < old;
}

/*
 * Sets what @values has, or nothing. A limit can always be raised, and a
 * reservation always be lowered. So the changes that go the other way are made
 * first, while they can be undone.
 */
static int ubc_set_all(struct ubc_group *group, unsigned long cft,
		       const struct ubc_values *values, const struct file *file)
{
	struct beancounter *bc[UBC_NR_KINDS];
	struct ubc_values old = { };
	unsigned int kind;
	int err;

	lockdep_assert_held(&group->group.change_mutex);
	for_each_set_bit(kind, &values->given, UBC_NR_KINDS) {
		bc[kind] = ubc_get_account(group, kind);
		if (IS_ERR(bc[kind]))
			return PTR_ERR(bc[kind]);
		old.val[kind] = ubc_read(bc[kind], cft & UBC_FILE_WHAT);
	}
	for_each_set_bit(kind, &values->given, UBC_NR_KINDS) {
		if (!ubc_may_fail(cft, old.val[kind], values->val[kind]))
			continue;
		err = ubc_set(bc[kind], cft, values->val[kind], file);
		if (err)
			goto undo;
		old.given |= BIT(kind);
	}
	for_each_set_bit(kind, &values->given, UBC_NR_KINDS) {
		if (old.given & BIT(kind))
			continue;
		err = ubc_set(bc[kind], cft, values->val[kind], file);
		/* It is being removed: with it goes what was set. */
		if (err)
			return err;
	}
	return 0;
undo:
	for_each_set_bit(kind, &old.given, UBC_NR_KINDS)
		if (ubc_set(bc[kind], cft & ~UBC_FILE_V1, old.val[kind], file))
			break;
	return err;
}

static ssize_t ubc_amount_write(struct kernfs_open_file *of, char *buf,
				size_t nbytes, loff_t off)
{
	const unsigned long cft = of_cft(of)->private;
	struct ubc_group *group = css_ubc(of_css(of));
	struct ubc_values values;
	int err;

	err = ubc_parse(buf, nbytes, cft & UBC_FILE_V1 ? BC_PARSE_MINUS_ONE : 0,
			&values);
	if (err)
		return err;
	mutex_lock(&group->group.change_mutex);
	err = ubc_set_all(group, cft, &values, of->file);
	mutex_unlock(&group->group.change_mutex);
	return err ?: nbytes;
}

/* v1: anything written sets the values back, of all kinds. */
static ssize_t ubc_reset_write(struct kernfs_open_file *of, char *buf,
			       size_t nbytes, loff_t off)
{
	struct ubc_group *group = css_ubc(of_css(of));
	struct beancounter *bc;
	enum bc_ubc_kind kind;
	unsigned int what;

	what = (of_cft(of)->private & UBC_FILE_WHAT) == UBC_FILE_PEAK ?
	       RES_RESET_MAX : RES_RESET_FAILCNT;
	for (kind = 0; kind < UBC_NR_KINDS; kind++) {
		bc = ubc_find_account(group, kind);
		if (bc)
			res_counter_reset(&bc->counter, what);
	}
	return nbytes;
}

static s64 ubc_event(struct beancounter *bc, bool local, enum bc_event event)
{
	if (!bc)
		return 0;
	return atomic64_read(bc_events(bc, local, event));
}

static void ubc_show_events(struct seq_file *sf, bool local)
{
	struct ubc_group *group = css_ubc(seq_css(sf));
	enum bc_ubc_kind kind;

	for (kind = 0; kind < UBC_NR_KINDS; kind++) {
		struct beancounter *bc = ubc_find_account(group, kind);

		seq_printf(sf, "%s barrier=%lld max=%lld forced=%lld\n",
			   ubc_kinds[kind].name,
			   ubc_event(bc, local, BC_EVENT_BARRIER),
			   ubc_event(bc, local, BC_EVENT_MAX),
			   ubc_event(bc, local, BC_EVENT_FORCED));
	}
}

static int ubc_events_show(struct seq_file *sf, void *v)
{
	ubc_show_events(sf, false);
	return 0;
}

static int ubc_events_local_show(struct seq_file *sf, void *v)
{
	ubc_show_events(sf, true);
	return 0;
}

struct cftype ubc_v1_files[] = {
	{
		.name = "usage",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = UBC_FILE_USAGE | UBC_FILE_V1,
		.seq_show = ubc_amount_show,
	},
	{
		.name = "max_usage",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = UBC_FILE_PEAK | UBC_FILE_V1,
		.seq_show = ubc_amount_show,
		.write = ubc_reset_write,
	},
	{
		.name = "limit",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = UBC_FILE_LIMIT | UBC_FILE_V1,
		.seq_show = ubc_amount_show,
		.write = ubc_amount_write,
	},
	{
		.name = "barrier",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = UBC_FILE_BARRIER | UBC_FILE_V1,
		.seq_show = ubc_amount_show,
		.write = ubc_amount_write,
	},
	{
		.name = "reservation",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = UBC_FILE_RESERVED | UBC_FILE_V1,
		.seq_show = ubc_amount_show,
		.write = ubc_amount_write,
	},
	{
		.name = "failcnt",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = UBC_FILE_FAILCNT | UBC_FILE_V1,
		.seq_show = ubc_amount_show,
		.write = ubc_reset_write,
	},
	{
		.name = "events",
		.flags = CFTYPE_NOT_ON_ROOT,
		.file_offset = offsetof(struct bc_group, events_file),
		.seq_show = ubc_events_show,
	},
	{
		.name = "events.local",
		.flags = CFTYPE_NOT_ON_ROOT,
		.file_offset = offsetof(struct bc_group, events_local_file),
		.seq_show = ubc_events_local_show,
	},
	{ }
};

struct cftype ubc_v2_files[] = {
	{
		.name = "current",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = UBC_FILE_USAGE,
		.seq_show = ubc_amount_show,
	},
	{
		.name = "peak",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = UBC_FILE_PEAK,
		.seq_show = ubc_amount_show,
	},
	{
		.name = "max",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = UBC_FILE_LIMIT,
		.seq_show = ubc_amount_show,
		.write = ubc_amount_write,
	},
	{
		.name = "barrier",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = UBC_FILE_BARRIER,
		.seq_show = ubc_amount_show,
		.write = ubc_amount_write,
	},
	{
		.name = "min",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = UBC_FILE_RESERVED,
		.seq_show = ubc_amount_show,
		.write = ubc_amount_write,
	},
	{
		.name = "events",
		.flags = CFTYPE_NOT_ON_ROOT,
		.file_offset = offsetof(struct bc_group, events_file),
		.seq_show = ubc_events_show,
	},
	{
		.name = "events.local",
		.flags = CFTYPE_NOT_ON_ROOT,
		.file_offset = offsetof(struct bc_group, events_local_file),
		.seq_show = ubc_events_local_show,
	},
	{ }
};
