/* SPDX-License-Identifier: GPL-2.0 */
#ifndef USER_H
#define USER_H

/* Charges and uncharges as a controller makes them; for sim.c, which measures them. */

/* Returns the owner, or an error. */
struct res_owner *user_charge(struct res_counter *counter, u64 n,
			      enum bc_severity severity, bool may_block);
void user_uncharge(struct res_root *root, struct res_owner *owner, u64 n);
/* What the core shows of a bound. */
u64 user_read_bounds(struct res_counter *counter);

#endif /* USER_H */
