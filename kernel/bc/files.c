// SPDX-License-Identifier: GPL-2.0
/*
 * Beancounters: the files in a cgroup's directory
 *
 * One account, two conventions: v1 has the names and the rules that its users
 * know, v2 those of cgroup v2. The tables at the end are the whole interface;
 * Documentation/bc/overview.rst describes it.
 */

#include <linux/cgroup.h>
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

/* cftype::private: what the file shows, and in which convention. */
enum {
	BC_FILE_USAGE,
	BC_FILE_MAX_USAGE,
	BC_FILE_MIN_USAGE,
	BC_FILE_LIMIT,
	BC_FILE_BARRIER,
	BC_FILE_RESERVED,
	BC_FILE_FAILCNT,
	BC_FILE_WHAT	= 0xff,
	BC_FILE_V1	= BIT(8),	/* v1: unlimited is a number, limits veto */
	BC_FILE_AMOUNT	= BIT(9),	/* v1 says "_in_bytes" where these are bytes */
};

/* cgroup_of_peak::value of an open file that was not written to yet. */
#define BC_PEAK_UNSET	ULONG_MAX

/* How many open files of a group can have a peak of their own. */
#define BC_PEAKS_MAX	16

/**
 * struct bc_peaks - the open files of a group's "peak" that were written to
 * @mutex: guards what follows, and what the files keep
 * @files: cgroup_of_peak::list of each
 * @nr: how many they are
 */
struct bc_peaks {
	struct mutex		mutex;		/* the peaks of one group */
	struct list_head	files;
	unsigned int		nr;
};

/**
 * bc_parse_amount() - read an amount as users write it
 * @buf: what was written, with a NUL behind it
 * @len: how much that was
 * @how: BC_PARSE_* bits
 * @val: where to; unchanged on error
 *
 * Accepts decimal digits, with one of the suffixes K, M and G for bytes, and
 * "max", all of it with blanks around.
 *
 * Return: 0, or -EINVAL for everything else.
 */
int bc_parse_amount(const char *buf, size_t len, unsigned int how, u64 *val)
{
	const char *end = buf + len;
	unsigned int shift = 0;
	u64 amount = 0;

	while (buf < end && isspace(*buf))
		buf++;
	while (buf < end && isspace(end[-1]))
		end--;
	len = end - buf;

	if ((len == 3 && !memcmp(buf, "max", 3)) ||
	    ((how & BC_PARSE_MINUS_ONE) && len == 2 && !memcmp(buf, "-1", 2))) {
		*val = RES_COUNTER_MAX;
		return 0;
	}

	if (buf == end || !isdigit(*buf))
		return -EINVAL;
	for (; buf < end && isdigit(*buf); buf++)
		if (check_mul_overflow(amount, 10, &amount) ||
		    check_add_overflow(amount, *buf - '0', &amount))
			return -EINVAL;

	if (buf < end && (how & BC_PARSE_BYTES)) {
		switch (tolower(*buf++)) {
		case 'g':
			shift += 10;
			fallthrough;
		case 'm':
			shift += 10;
			fallthrough;
		case 'k':
			shift += 10;
			break;
		default:
			return -EINVAL;
		}
	}
	if (buf < end || amount > RES_COUNTER_MAX >> shift)
		return -EINVAL;
	*val = amount << shift;
	return 0;
}

/**
 * bc_show_amount() - show an amount in the convention of the file that is read
 * @sf: the file
 * @val: the amount; %RES_COUNTER_MAX: there is no bound
 */
void bc_show_amount(struct seq_file *sf, u64 val)
{
	if (val == RES_COUNTER_MAX && !(seq_cft(sf)->private & BC_FILE_V1))
		seq_puts(sf, "max\n");
	else
		seq_printf(sf, "%llu\n", val);
}

static int bc_number_show(struct seq_file *sf, void *v)
{
	struct res_snapshot snap;
	u64 val = 0;

	res_counter_read(&css_bc(seq_css(sf))->counter, &snap);
	switch (seq_cft(sf)->private & BC_FILE_WHAT) {
	case BC_FILE_USAGE:
		val = snap.usage;
		break;
	case BC_FILE_MAX_USAGE:
		val = snap.max_usage;
		break;
	case BC_FILE_MIN_USAGE:
		val = snap.min_usage;
		break;
	case BC_FILE_LIMIT:
		val = snap.limit;
		break;
	case BC_FILE_BARRIER:
		val = snap.barrier;
		break;
	case BC_FILE_RESERVED:
		val = snap.reserved;
		break;
	case BC_FILE_FAILCNT:
		val = snap.failcnt;
		break;
	}
	bc_show_amount(sf, val);
	return 0;
}

/**
 * bc_read_amount() - read an amount in the convention of the file that is written
 * @of: the file
 * @buf: what was written
 * @nbytes: how much that was
 * @val: where to; unchanged on error. %RES_COUNTER_MAX: there is to be no bound.
 *
 * Return: 0, or -EINVAL for what is no amount.
 */
int bc_read_amount(struct kernfs_open_file *of, const char *buf, size_t nbytes,
		   u64 *val)
{
	unsigned int how = 0;

	if (of_cft(of)->private & BC_FILE_V1)
		how |= BC_PARSE_MINUS_ONE;
	if (bc_res(css_bc(of_css(of)))->bytes)
		how |= BC_PARSE_BYTES;
	return bc_parse_amount(buf, nbytes, how, val);
}

static int bc_change(struct beancounter *bc, enum bc_severity which, u64 val)
{
	return bc_res(bc)->change ? bc_res(bc)->change(bc, which, val) : 0;
}

static ssize_t bc_amount_write(struct kernfs_open_file *of, char *buf,
			       size_t nbytes, loff_t off)
{
	const unsigned long cft = of_cft(of)->private;
	struct beancounter *bc = css_bc(of_css(of));
	bool shares;
	u64 val;
	int err;

	err = bc_read_amount(of, buf, nbytes, &val);
	if (err)
		return err;

	mutex_lock(&bc->group->change_mutex);
	shares = bc_shares_used(bc);
	switch (cft & BC_FILE_WHAT) {
	case BC_FILE_LIMIT:
		err = bc_change(bc, BC_LIMIT, val);
		if (err)
			break;
		if (shares)
			err = bc_shares_set_limit(bc, val, cft & BC_FILE_V1,
						  of->file);
		else
			err = bc_set_limit(bc, val, cft & BC_FILE_V1, of->file);
		break;
	case BC_FILE_BARRIER:
		shares = false;
		err = bc_change(bc, BC_BARRIER, val) ?:
		      res_counter_set_barrier(&bc->counter, val);
		break;
	case BC_FILE_RESERVED:
		if (shares)
			err = bc_shares_set_reserved(bc, val, of->file);
		else
			err = bc_set_reserved(bc, val, of->file);
		break;
	}
	if (!err && !shares)
		bc_follow(bc, of->file);
	mutex_unlock(&bc->group->change_mutex);
	return err ?: nbytes;
}

static int bc_strict_show(struct seq_file *sf, void *v)
{
	seq_printf(sf, "%d\n", READ_ONCE(css_bc(seq_css(sf))->strict));
	return 0;
}

static ssize_t bc_strict_write(struct kernfs_open_file *of, char *buf,
			       size_t nbytes, loff_t off)
{
	u64 val;
	int err;

	err = bc_parse_amount(buf, nbytes, 0, &val);
	if (!err && val > 1)
		err = -EINVAL;
	if (!err)
		err = bc_set_strict(css_bc(of_css(of)), val);
	return err ?: nbytes;
}

static int bc_shares_show(struct seq_file *sf, void *v)
{
	struct bc_shares shares;

	bc_get_shares(css_bc(seq_css(sf)), &shares);
	seq_printf(sf, "min_shares=%d max_shares=%d child_shares_divisor=%d\n",
		   shares.min, shares.max, shares.divisor);
	return 0;
}

static ssize_t bc_shares_write(struct kernfs_open_file *of, char *buf,
			       size_t nbytes, loff_t off)
{
	struct beancounter *bc = css_bc(of_css(of));
	struct bc_shares shares;
	int err;

	err = bc_parse_shares(buf, nbytes, &shares);
	if (err)
		return err;

	mutex_lock(&bc->group->change_mutex);
	err = bc_set_shares(bc, &shares, of->file);
	mutex_unlock(&bc->group->change_mutex);
	return err ?: nbytes;
}

/* v1: anything written resets the value, for all readers. */
static ssize_t bc_reset_write(struct kernfs_open_file *of, char *buf,
			      size_t nbytes, loff_t off)
{
	unsigned int what = 0;

	switch (of_cft(of)->private & BC_FILE_WHAT) {
	case BC_FILE_MAX_USAGE:
		what = RES_RESET_MAX;
		break;
	case BC_FILE_MIN_USAGE:
		what = RES_RESET_MIN;
		break;
	case BC_FILE_FAILCNT:
		what = RES_RESET_FAILCNT;
		break;
	}
	res_counter_reset(&css_bc(of_css(of))->counter, what);
	return nbytes;
}

/*
 * v2's peak: a write starts a new period for the open file that was written to,
 * and for no other. The counter has one maximum since the last write to any of
 * them; before that is restarted, each of the others takes note of it.
 *
 * Each write looks at all the others. So a group has at most BC_PEAKS_MAX open
 * files with a period of their own; a further one that is written to gets
 * ENOSPC, and can be read as before. Each group has a list and a lock of its
 * own: writers of one group do not wait for those of another.
 */

/* The peaks of @bc, made by the first write; %NULL: no memory. */
static struct bc_peaks *bc_get_peaks(struct beancounter *bc)
{
	struct bc_peaks *peaks, *old = NULL;

	/* Pairs with the cmpxchg that published it. */
	peaks = smp_load_acquire(&bc->peaks);
	if (peaks)
		return peaks;

	peaks = kzalloc(sizeof(*peaks), GFP_KERNEL_ACCOUNT);
	if (!peaks)
		return NULL;
	mutex_init(&peaks->mutex);
	INIT_LIST_HEAD(&peaks->files);
	if (!try_cmpxchg(&bc->peaks, &old, peaks)) {
		/* Another writer was faster. */
		kfree(peaks);
		peaks = old;
	}
	return peaks;
}

/* What cgroup_of_peak::value can hold of @units. */
static unsigned long bc_peak_value(u64 units)
{
	return min_t(u64, units, BC_PEAK_UNSET - 1);
}

static int bc_peak_open(struct kernfs_open_file *of)
{
	of_peak(of)->value = BC_PEAK_UNSET;
	return 0;
}

static void bc_peak_release(struct kernfs_open_file *of)
{
	struct cgroup_of_peak *peak = of_peak(of);
	struct bc_peaks *peaks;

	/* No write can run any more. */
	if (peak->value == BC_PEAK_UNSET)
		return;
	/* Set, since there was a write; and it stays until the css is freed. */
	peaks = css_bc(of_css(of))->peaks;
	mutex_lock(&peaks->mutex);
	list_del(&peak->list);
	peaks->nr--;
	mutex_unlock(&peaks->mutex);
}

static int bc_peak_show(struct seq_file *sf, void *v)
{
	struct beancounter *bc = css_bc(seq_css(sf));
	struct cgroup_of_peak *peak = of_peak(sf->private);
	struct res_snapshot snap;
	u64 max;

	/* Pairs with the release in bc_peak_write(): bc->peaks is set, too. */
	if (smp_load_acquire(&peak->value) == BC_PEAK_UNSET) {
		res_counter_read(&bc->counter, &snap);
		max = snap.max_usage;
	} else {
		/* A restart is to be seen on both sides, or on none. */
		mutex_lock(&bc->peaks->mutex);
		res_counter_read(&bc->counter, &snap);
		max = max_t(u64, peak->value, snap.recent_max);
		mutex_unlock(&bc->peaks->mutex);
	}
	bc_show_amount(sf, max);
	return 0;
}

static ssize_t bc_peak_write(struct kernfs_open_file *of, char *buf,
			     size_t nbytes, loff_t off)
{
	struct cgroup_of_peak *peak = of_peak(of), *other;
	struct beancounter *bc = css_bc(of_css(of));
	struct bc_peaks *peaks;
	ssize_t ret = nbytes;
	u64 max, usage;

	peaks = bc_get_peaks(bc);
	if (!peaks)
		return -ENOMEM;

	mutex_lock(&peaks->mutex);
	if (peak->value == BC_PEAK_UNSET) {
		if (peaks->nr == BC_PEAKS_MAX) {
			ret = -ENOSPC;
			goto unlock;
		}
		peaks->nr++;
		list_add(&peak->list, &peaks->files);
	}
	max = res_counter_restart_max(&bc->counter, &usage);
	list_for_each_entry(other, &peaks->files, list)
		if (other != peak)
			other->value = max(other->value, bc_peak_value(max));
	/* Pairs with the acquire in bc_peak_show(), for bc->peaks. */
	smp_store_release(&peak->value, bc_peak_value(usage));
unlock:
	mutex_unlock(&peaks->mutex);
	return ret;
}

static int bc_stat_show(struct seq_file *sf, void *v)
{
	struct beancounter *bc = css_bc(seq_css(sf));
	struct res_snapshot snap;
	unsigned int i;

	res_counter_read(&bc->counter, &snap);
	seq_printf(sf, "min_usage %llu\n", snap.min_usage);
	seq_printf(sf, "lent %llu\n", snap.lent);
	seq_printf(sf, "charged %llu\n", snap.charged);
	seq_printf(sf, "uncharged %llu\n", snap.uncharged);
	seq_printf(sf, "precharge %llu\n", snap.stocked);
	if (bc_res(bc)->other_kind) {
		u64 other = snap.all_kinds;

		/* Kinds are counted each for itself: the sum may be more for a moment. */
		for (i = 0; i < bc_res(bc)->state->root.kinds; i++)
			other -= min(other, snap.kinds[i]);
		seq_printf(sf, "%s %llu\n", bc_res(bc)->other_kind, other);
	}
	for (i = 0; i < bc_res(bc)->state->root.kinds; i++)
		seq_printf(sf, "%s %llu\n", bc_res(bc)->kinds[i], snap.kinds[i]);
	return 0;
}

static ssize_t bc_stat_write(struct kernfs_open_file *of, char *buf,
			     size_t nbytes, loff_t off)
{
	unsigned int what = RES_RESET_TOTALS;

	/* v1 has a file for min_usage, and what it resets. */
	if (!(of_cft(of)->private & BC_FILE_V1))
		what |= RES_RESET_MIN;
	res_counter_reset(&css_bc(of_css(of))->counter, what);
	return nbytes;
}

static void bc_show_events(struct seq_file *sf, bool local)
{
	struct beancounter *bc = css_bc(seq_css(sf));
	const char *const names[] = {
		"barrier", "max", "forced", bc_res(bc)->own_event,
	};
	enum bc_event event;

	for (event = 0; event < ARRAY_SIZE(names); event++)
		if (names[event])
			seq_printf(sf, "%s %lld\n", names[event],
				   atomic64_read(bc_events(bc, local, event)));
}

static int bc_events_show(struct seq_file *sf, void *v)
{
	bc_show_events(sf, false);
	return 0;
}

static int bc_events_local_show(struct seq_file *sf, void *v)
{
	bc_show_events(sf, true);
	return 0;
}

static const struct cftype bc_common_files[] = {
	{
		.name = "strict",
		.seq_show = bc_strict_show,
		.write = bc_strict_write,
	},
	{
		.name = "shares",
		.seq_show = bc_shares_show,
		.write = bc_shares_write,
	},
	{
		.name = "events",
		.flags = CFTYPE_NOT_ON_ROOT,
		.file_offset = offsetof(struct bc_group, events_file),
		.seq_show = bc_events_show,
	},
	{
		.name = "events.local",
		.flags = CFTYPE_NOT_ON_ROOT,
		.file_offset = offsetof(struct bc_group, events_local_file),
		.seq_show = bc_events_local_show,
	},
};

static const struct cftype bc_v1_files[] = {
	{
		.name = "usage",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_USAGE | BC_FILE_AMOUNT,
		.seq_show = bc_number_show,
	},
	{
		.name = "max_usage",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_MAX_USAGE | BC_FILE_AMOUNT,
		.seq_show = bc_number_show,
		.write = bc_reset_write,
	},
	{
		.name = "min_usage",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_MIN_USAGE | BC_FILE_AMOUNT,
		.seq_show = bc_number_show,
		.write = bc_reset_write,
	},
	{
		.name = "limit",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_LIMIT | BC_FILE_AMOUNT,
		.seq_show = bc_number_show,
		.write = bc_amount_write,
	},
	{
		.name = "barrier",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_BARRIER | BC_FILE_AMOUNT,
		.seq_show = bc_number_show,
		.write = bc_amount_write,
	},
	{
		.name = "reservation",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_RESERVED | BC_FILE_AMOUNT,
		.seq_show = bc_number_show,
		.write = bc_amount_write,
	},
	{
		.name = "failcnt",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_FAILCNT,
		.seq_show = bc_number_show,
		.write = bc_reset_write,
	},
	{
		.name = "stat",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = bc_stat_show,
		.write = bc_stat_write,
	},
};

static const struct cftype bc_v2_files[] = {
	{
		.name = "current",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_USAGE,
		.seq_show = bc_number_show,
	},
	{
		.name = "peak",
		.flags = CFTYPE_NOT_ON_ROOT,
		.open = bc_peak_open,
		.release = bc_peak_release,
		.seq_show = bc_peak_show,
		.write = bc_peak_write,
	},
	{
		.name = "max",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_LIMIT,
		.seq_show = bc_number_show,
		.write = bc_amount_write,
	},
	{
		.name = "barrier",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_BARRIER,
		.seq_show = bc_number_show,
		.write = bc_amount_write,
	},
	{
		.name = "min",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_RESERVED,
		.seq_show = bc_number_show,
		.write = bc_amount_write,
	},
	{
		.name = "stat",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = bc_stat_show,
		.write = bc_stat_write,
	},
};

/*
 * Cgroup core keeps its own notes in a cftype, and lockdep a key: each subsystem
 * needs a copy.
 */
static struct cftype *bc_copy_files(const struct cftype *files, size_t nr,
				    const struct cftype *own, unsigned int flags)
{
	const size_t common = ARRAY_SIZE(bc_common_files);
	struct cftype *copy, *cft;
	size_t owned = 0;

	while (own && *own[owned].name)
		owned++;
	copy = kcalloc(nr + common + owned + 1, sizeof(*copy), GFP_KERNEL);
	if (!copy)
		return NULL;
	memcpy(copy, files, nr * sizeof(*copy));
	memcpy(copy + nr, bc_common_files, sizeof(bc_common_files));
	if (owned)
		memcpy(copy + nr + common, own, owned * sizeof(*copy));
	for (cft = copy; *cft->name; cft++) {
		cft->private |= flags;
		lockdep_register_key(&cft->lockdep_key);
	}
	return copy;
}

/**
 * bc_set_files() - set up the files of a resource
 * @res: the resource
 *
 * What is lost on failure is lost with the machine.
 *
 * Context: At boot.
 * Return: 0, or -ENOMEM.
 */
int bc_set_files(const struct bc_resource *res)
{
	struct cgroup_subsys *ss = res->ss;
	struct cftype *cft;

	ss->legacy_cftypes = bc_copy_files(bc_v1_files, ARRAY_SIZE(bc_v1_files),
					   res->files, BC_FILE_V1);
	ss->dfl_cftypes = bc_copy_files(bc_v2_files, ARRAY_SIZE(bc_v2_files),
					res->files, 0);
	if (!ss->legacy_cftypes || !ss->dfl_cftypes)
		return -ENOMEM;

	for (cft = ss->legacy_cftypes; *cft->name; cft++)
		if (res->bytes && (cft->private & BC_FILE_AMOUNT))
			strlcat(cft->name, "_in_bytes", sizeof(cft->name));
	return 0;
}
