/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the KUnit tests of kmem share: a group without a directory
 */
#ifndef _BC_KMEM_KUNIT_H
#define _BC_KMEM_KUNIT_H

struct beancounter;

struct beancounter *kmem_kunit_new_group(void);
void kmem_kunit_end_group(struct beancounter *bc);

#endif /* _BC_KMEM_KUNIT_H */
