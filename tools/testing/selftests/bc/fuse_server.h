/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A file system in user space that keeps names and sizes, and whose files are all
 * zeros: it has all that it needs before it begins, and asks the kernel for nothing.
 */
#ifndef FUSE_SERVER_H
#define FUSE_SERVER_H

/* Serves what is mounted with the descriptor @fd, until it is unmounted: -errno. */
long fuse_serve(long fd);

/*
 * The same; and it keeps the locks, and grants each request. The number of requests
 * is statvfs.f_files.
 */
long fuse_serve_locks(long fd);

#endif /* FUSE_SERVER_H */
