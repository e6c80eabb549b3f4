/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between ubc.c, ubc_files.c and ubc_proc.c.
 */
#ifndef _KERNEL_BC_UBC_H
#define _KERNEL_BC_UBC_H

#include <linux/spinlock.h>

#include <bc/ubc.h>

#include "internal.h"

/**
 * struct ubc_group - what ubc keeps for a group
 * @group: the cgroup's side
 * @parent: the group above; %NULL directly below the root
 * @lock: guards @removed and changes of @account
 * @removed: it gets no more accounts
 * @account: of each kind, one as soon as it is used; %NULL before
 */
struct ubc_group {
	struct bc_group		group;
	struct ubc_group	*parent;
	spinlock_t		lock;		/* accounts that come, or go */
	bool			removed;
	struct beancounter	*account[UBC_NR_KINDS];
};

static inline struct ubc_group *css_ubc(struct cgroup_subsys_state *css)
{
	return container_of(css, struct ubc_group, group.css);
}

/* The account of @kind, if there is one: it stays as long as the group. */
static inline struct beancounter *ubc_find_account(struct ubc_group *group,
						   enum bc_ubc_kind kind)
{
	/* Pairs with the release in ubc_make_account(). */
	return smp_load_acquire(&group->account[kind]);
}

/* ubc.c */
extern const struct bc_resource ubc_kinds[UBC_NR_KINDS];
DECLARE_PER_CPU(struct res_stock, ubc_stock);

struct beancounter *ubc_get_account(struct ubc_group *group,
				    enum bc_ubc_kind kind);

/* ubc_vm.c */
struct res_owner *ubc_get_other_owner(struct res_owner *owner,
				      enum bc_ubc_kind kind);
int __must_check ubc_charge_owner(enum bc_ubc_kind kind, u64 n,
				  struct res_owner *owner);

/* ubc_files.c */

/**
 * struct ubc_values - what a write has for each kind
 * @given: a bit for each kind that it names
 * @val: the amounts
 */
struct ubc_values {
	unsigned long	given;
	u64		val[UBC_NR_KINDS];
};

struct cgroup_subsys_state *ubc_get_css(struct cgroup *cgrp, int ssid);
int ubc_find_kind(const char *key, size_t len);
int ubc_parse(char *buf, size_t len, unsigned int how, struct ubc_values *values);

#ifdef CONFIG_MEMCG
bool ubc_read_physpages(struct cgroup *cgrp, u64 *held, u64 *maxheld);
#else
static inline bool ubc_read_physpages(struct cgroup *cgrp, u64 *held,
				      u64 *maxheld)
{
	return false;
}
#endif

extern struct cftype ubc_v1_files[];
extern struct cftype ubc_v2_files[];

#endif /* _KERNEL_BC_UBC_H */
