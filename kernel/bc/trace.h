/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bc

#if !defined(_KERNEL_BC_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KERNEL_BC_TRACE_H

#include <linux/tracepoint.h>

#include "internal.h"

/* A group is named by cgroup_id(), which is its directory's inode number. */

TRACE_EVENT(bc_charge_refused,
	TP_PROTO(struct beancounter *bc, const struct res_refusal *refusal,
		 const char *at),
	TP_ARGS(bc, refusal, at),

	TP_STRUCT__entry(
		__string(resource, bc_resource_name(bc_res(bc)))
		__string(at, at)
		__field(u64, group)
		__field(u64, n)
		__field(u64, usage)
		__field(u64, bound)
	),

	TP_fast_assign(
		__assign_str(resource);
		__assign_str(at);
		__entry->group = cgroup_id(bc->group->css.cgroup);
		__entry->n = refusal->n;
		__entry->usage = refusal->usage;
		__entry->bound = refusal->bound;
	),

	TP_printk("%s group=%llu n=%llu usage=%llu %s=%llu",
		  __get_str(resource), __entry->group, __entry->n,
		  __entry->usage, __get_str(at), __entry->bound)
);

TRACE_EVENT(bc_barrier_hit,
	TP_PROTO(struct beancounter *bc),
	TP_ARGS(bc),

	TP_STRUCT__entry(
		__string(resource, bc_resource_name(bc_res(bc)))
		__field(u64, group)
	),

	TP_fast_assign(
		__assign_str(resource);
		__entry->group = cgroup_id(bc->group->css.cgroup);
	),

	TP_printk("%s group=%llu", __get_str(resource), __entry->group)
);

DECLARE_EVENT_CLASS(bc_reservation,
	TP_PROTO(struct beancounter *bc, u64 from, u64 to),
	TP_ARGS(bc, from, to),

	TP_STRUCT__entry(
		__string(resource, bc_resource_name(bc_res(bc)))
		__field(u64, group)
		__field(u64, from)
		__field(u64, to)
	),

	TP_fast_assign(
		__assign_str(resource);
		__entry->group = cgroup_id(bc->group->css.cgroup);
		__entry->from = from;
		__entry->to = to;
	),

	TP_printk("%s group=%llu from=%llu to=%llu",
		  __get_str(resource), __entry->group, __entry->from,
		  __entry->to)
);

DEFINE_EVENT(bc_reservation, bc_borrow,
	TP_PROTO(struct beancounter *bc, u64 from, u64 to),
	TP_ARGS(bc, from, to)
);

DEFINE_EVENT(bc_reservation, bc_repay,
	TP_PROTO(struct beancounter *bc, u64 from, u64 to),
	TP_ARGS(bc, from, to)
);

TRACE_EVENT(bc_reparent,
	TP_PROTO(struct beancounter *bc, u64 left),
	TP_ARGS(bc, left),

	TP_STRUCT__entry(
		__string(resource, bc_resource_name(bc_res(bc)))
		__field(u64, group)
		__field(u64, parent)
		__field(u64, left)
	),

	TP_fast_assign(
		__assign_str(resource);
		__entry->group = cgroup_id(bc->group->css.cgroup);
		__entry->parent = cgroup_id(bc->group->css.parent->cgroup);
		__entry->left = left;
	),

	TP_printk("%s group=%llu parent=%llu left=%llu",
		  __get_str(resource), __entry->group, __entry->parent,
		  __entry->left)
);

#endif /* _KERNEL_BC_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../kernel/bc
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
