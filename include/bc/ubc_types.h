/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ubc: what a counted object has in it
 */
#ifndef _BC_UBC_TYPES_H
#define _BC_UBC_TYPES_H

struct res_owner;

/**
 * typedef bc_ubc_t - which group an object is charged to
 *
 * Takes no space without CONFIG_BC_UBC, so that objects have it without #ifdef.
 * It must be zero before the charge: it stays as it is while there is no group.
 */
typedef struct {
#ifdef CONFIG_BC_UBC
	struct res_owner	*owner;
#endif
} bc_ubc_t;

/**
 * typedef bc_locked_t - what an mm has of lockedpages
 *
 * Takes no space without CONFIG_BC_UBC.
 */
typedef struct {
#ifdef CONFIG_BC_UBC
	struct res_owner	*owner;
	unsigned long		pages;
#endif
} bc_locked_t;

#endif /* _BC_UBC_TYPES_H */
