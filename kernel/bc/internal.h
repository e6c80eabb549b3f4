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

/* beancounter.c */
static inline struct beancounter *counter_bc(struct res_counter *counter)
{
	return container_of(counter, struct beancounter, counter);
}

bool bc_limit_hit(const struct res_refusal *refusal, bool may_block);
u64 bc_machine_amount(struct bc_resource *res);

/* shares.c */
u64 bc_fraction(u64 amount, int shares, int divisor);
int bc_parse_shares(char *buf, size_t len, struct bc_shares *shares);
bool bc_check_shares(const struct bc_shares *shares, int of, u64 parts,
		     u64 children, int highest);
int bc_set_limit(struct beancounter *bc, u64 limit, bool not_below_usage);
int bc_set_reserved(struct beancounter *bc, u64 reserved);
int bc_set_shares(struct beancounter *bc, const struct bc_shares *shares);
void bc_get_shares(struct beancounter *bc, struct bc_shares *shares);
int bc_set_strict(struct beancounter *bc, bool strict);
void bc_init_shares(struct bc_resource *res, struct beancounter *machine);
void bc_join(struct beancounter *bc);
u64 bc_leave(struct beancounter *bc);

/* files.c */
int bc_parse_amount(const char *buf, size_t len, unsigned int how, u64 *val);
int bc_set_files(struct bc_resource *res);

#endif /* _KERNEL_BC_INTERNAL_H */
