// SPDX-License-Identifier: GPL-2.0
/*
 * Charges and uncharges as a controller makes them: from the CPU's stock, and by the
 * slow functions where that says no. In a file of its own, which is instrumented as the
 * engine is.
 */
#include "shim.h"
#include <bc/res_counter.h>
#include "user.h"

struct res_owner *user_charge(struct res_counter *counter, u64 n,
			      enum bc_severity severity, bool may_block)
{
	struct res_owner *owner;
	bool charged;

	preempt_disable();
	owner = READ_ONCE(counter->owner);
	charged = res_stock_charge(counter->root->stock, owner, n);
	preempt_enable();
	if (!charged)
		owner = res_counter_charge(counter, n, severity, may_block);
	return owner;
}

void user_uncharge(struct res_root *root, struct res_owner *owner, u64 n)
{
	bool uncharged;

	preempt_disable();
	uncharged = res_stock_uncharge(root->stock, owner, n);
	preempt_enable();
	if (!uncharged)
		res_counter_uncharge(owner, n);
}

u64 user_read_bounds(struct res_counter *counter)
{
	return READ_ONCE(counter->limit) ^ READ_ONCE(counter->barrier) ^
	       READ_ONCE(counter->reserved) ^ atomic64_read(&counter->failcnt);
}
