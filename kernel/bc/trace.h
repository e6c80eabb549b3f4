/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bc

#if !defined(_KERNEL_BC_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KERNEL_BC_TRACE_H

#include <linux/tracepoint.h>

#include <bc/beancounter.h>

/* Groups are told by the inode numbers of their directories. */

TRACE_EVENT(bc_charge_refused,
	TP_PROTO(struct beancounter *bc, const struct res_refusal *refusal),
	TP_ARGS(bc, refusal),

	TP_STRUCT__entry(
		__string(resource, bc->res->ss->name)
		__field(u64, group)
		__field(u64, n)
		__field(u64, usage)
		__field(u64, bound)
		__field(bool, barrier)
	),

	TP_fast_assign(
		__assign_str(resource);
		__entry->group = cgroup_id(bc->css.cgroup);
		__entry->n = refusal->n;
		__entry->usage = refusal->usage;
		__entry->bound = refusal->bound;
		__entry->barrier = refusal->at == BC_BARRIER;
	),

	TP_printk("%s group=%llu n=%llu usage=%llu %s=%llu",
		  __get_str(resource), __entry->group, __entry->n,
		  __entry->usage, __entry->barrier ? "barrier" : "limit",
		  __entry->bound)
);

TRACE_EVENT(bc_barrier_hit,
	TP_PROTO(struct beancounter *bc, u64 n),
	TP_ARGS(bc, n),

	TP_STRUCT__entry(
		__string(resource, bc->res->ss->name)
		__field(u64, group)
		__field(u64, n)
	),

	TP_fast_assign(
		__assign_str(resource);
		__entry->group = cgroup_id(bc->css.cgroup);
		__entry->n = n;
	),

	TP_printk("%s group=%llu n=%llu",
		  __get_str(resource), __entry->group, __entry->n)
);

TRACE_EVENT(bc_reparent,
	TP_PROTO(struct beancounter *bc, u64 left),
	TP_ARGS(bc, left),

	TP_STRUCT__entry(
		__string(resource, bc->res->ss->name)
		__field(u64, group)
		__field(u64, parent)
		__field(u64, left)
	),

	TP_fast_assign(
		__assign_str(resource);
		__entry->group = cgroup_id(bc->css.cgroup);
		__entry->parent = cgroup_id(bc->css.parent->cgroup);
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
