/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between the files of the core; not for controllers.
 */
#ifndef _KERNEL_BC_INTERNAL_H
#define _KERNEL_BC_INTERNAL_H

#include <bc/beancounter.h>

/* How amounts are written: what bc_parse_amount() accepts beside digits. */
#define BC_PARSE_BYTES		BIT(0)	/* suffixes K, M and G */
#define BC_PARSE_MINUS_ONE	BIT(1)	/* -1 for "max", as v1 has it */

int bc_parse_amount(const char *buf, size_t len, unsigned int how, u64 *val);
int bc_set_limit(struct beancounter *bc, u64 limit, bool not_below_usage);
int bc_set_reserved(struct beancounter *bc, u64 reserved);
int bc_set_strict(struct beancounter *bc, bool strict);

int bc_set_files(struct cgroup_subsys *ss, bool bytes);

#endif /* _KERNEL_BC_INTERNAL_H */
