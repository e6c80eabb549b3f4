// SPDX-License-Identifier: GPL-2.0
/*
 * A FUSE server that speaks the kernel's protocol by itself: see fuse_server.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuse_server.h"

#define NODES 16384
#define MOST 131072		/* bytes in a request */

/* A node's number is its index; one without links waits to be forgotten. */
static struct node {
	char name[48];
	uint64_t parent, size, known;
	uint32_t mode, uid, gid, links;
} nodes[NODES];

static char request[MOST + 4096], reply[MOST];

static bool keeps_locks;
static uint64_t lock_requests;

static void describe(uint64_t ino, struct fuse_attr *attr)
{
	const struct node *node = &nodes[ino];

	*attr = (struct fuse_attr) {
		.ino = ino, .size = node->size, .blocks = node->size / 512,
		.mode = node->mode, .nlink = node->links, .uid = node->uid,
		.gid = node->gid, .blksize = 4096,
	};
}

static uint64_t look_up(uint64_t parent, const char *name)
{
	uint64_t i;

	for (i = FUSE_ROOT_ID + 1; i < NODES; i++)
		if (nodes[i].links && nodes[i].parent == parent &&
		    !strcmp(nodes[i].name, name))
			return i;
	return 0;
}

static uint64_t make_node(const struct fuse_in_header *in, const char *name,
			  uint32_t mode)
{
	uint64_t i;

	for (i = FUSE_ROOT_ID + 1; i < NODES; i++) {
		struct node *node = &nodes[i];

		if (node->links || node->known)
			continue;
		*node = (struct node) {
			.parent = in->nodeid, .mode = mode, .uid = in->uid,
			.gid = in->gid, .links = 1,
		};
		snprintf(node->name, sizeof(node->name), "%s", name);
		return i;
	}
	return 0;
}

static int entry(uint64_t ino, struct fuse_entry_out *out)
{
	nodes[ino].known++;
	*out = (struct fuse_entry_out) { .nodeid = ino };
	describe(ino, &out->attr);
	return sizeof(*out);
}

static int remove_name(uint64_t parent, const char *name)
{
	uint64_t ino = look_up(parent, name);

	if (!ino)
		return -ENOENT;
	nodes[ino].links = 0;
	return 0;
}

static int rename_node(uint64_t from, const char *old, uint64_t to)
{
	const char *new = old + strlen(old) + 1;
	uint64_t ino = look_up(from, old);

	if (!ino)
		return -ENOENT;
	remove_name(to, new);
	nodes[ino].parent = to;
	snprintf(nodes[ino].name, sizeof(nodes[ino].name), "%s", new);
	return 0;
}

static int read_directory(uint64_t parent, const struct fuse_read_in *in)
{
	size_t len = 0;
	uint64_t i;

	for (i = in->offset; i < NODES; i++) {
		struct fuse_dirent *dirent = (void *)(reply + len);
		size_t namelen = strlen(nodes[i].name), size;

		if (!nodes[i].links || nodes[i].parent != parent ||
		    i <= FUSE_ROOT_ID)
			continue;
		size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + namelen);
		if (len + size > in->size || len + size > sizeof(reply))
			break;
		memset(dirent, 0, size);
		dirent->ino = i;
		dirent->off = i + 1;
		dirent->namelen = namelen;
		dirent->type = S_ISDIR(nodes[i].mode) ? DT_DIR : DT_REG;
		memcpy(dirent->name, nodes[i].name, namelen);
		len += size;
	}
	return len;
}

static int set_attributes(struct node *node, const struct fuse_setattr_in *in)
{
	if (in->valid & FATTR_SIZE)
		node->size = in->size;
	if (in->valid & FATTR_MODE)
		node->mode = (node->mode & S_IFMT) | (in->mode & ~S_IFMT);
	if (in->valid & FATTR_UID)
		node->uid = in->uid;
	if (in->valid & FATTR_GID)
		node->gid = in->gid;
	return 0;
}

static int attributes(uint64_t ino)
{
	struct fuse_attr_out *out = (void *)reply;

	memset(out, 0, sizeof(*out));
	describe(ino, &out->attr);
	return sizeof(*out);
}

static int write_data(struct node *node, const struct fuse_write_in *in)
{
	struct fuse_write_out *out = (void *)reply;

	if (in->offset + in->size > node->size)
		node->size = in->offset + in->size;
	*out = (struct fuse_write_out) { .size = in->size };
	return sizeof(*out);
}

static int read_data(const struct node *node, const struct fuse_read_in *in)
{
	size_t size = in->size < sizeof(reply) ? in->size : sizeof(reply);

	if (in->offset >= node->size)
		return 0;
	if (size > node->size - in->offset)
		size = node->size - in->offset;
	memset(reply, 0, size);
	return size;
}

static int say_hello(const struct fuse_init_in *in)
{
	struct fuse_init_out *out = (void *)reply;

	*out = (struct fuse_init_out) {
		.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead, .max_write = MOST,
		.flags = FUSE_BIG_WRITES, .max_background = 16,
		.congestion_threshold = 12,
	};
	if (keeps_locks)
		out->flags |= FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;
	return sizeof(*out);
}

static int opened(void)
{
	memset(reply, 0, sizeof(struct fuse_open_out));
	return sizeof(struct fuse_open_out);
}

/* The new node, and that it is open. */
static int create(const struct fuse_in_header *in,
		  const struct fuse_create_in *create)
{
	uint64_t ino = make_node(in, (const char *)(create + 1), create->mode);
	int len;

	if (!ino)
		return -ENOSPC;
	len = entry(ino, (void *)reply);
	memset(reply + len, 0, sizeof(struct fuse_open_out));
	return len + sizeof(struct fuse_open_out);
}

static void forget(uint64_t ino, uint64_t nlookup)
{
	if (ino != FUSE_ROOT_ID && ino < NODES)
		nodes[ino].known -= nlookup;
}

static void forget_batch(const struct fuse_batch_forget_in *in)
{
	const struct fuse_forget_one *one = (const void *)(in + 1);
	uint32_t i;

	for (i = 0; i < in->count; i++)
		forget(one[i].nodeid, one[i].nlookup);
}

/* The length of the answer in reply[], or -errno. */
static int answer(const struct fuse_in_header *in, const void *arg)
{
	struct node *node = &nodes[in->nodeid < NODES ? in->nodeid : 0];
	uint64_t ino;

	switch (in->opcode) {
	case FUSE_INIT:
		return say_hello(arg);
	case FUSE_LOOKUP:
		ino = look_up(in->nodeid, arg);
		return ino ? entry(ino, (void *)reply) : -ENOENT;
	case FUSE_GETATTR:
		return attributes(in->nodeid);
	case FUSE_SETATTR:
		set_attributes(node, arg);
		return attributes(in->nodeid);
	case FUSE_MKDIR:
		ino = make_node(in, (const char *)arg +
				sizeof(struct fuse_mkdir_in), S_IFDIR |
				((const struct fuse_mkdir_in *)arg)->mode);
		return ino ? entry(ino, (void *)reply) : -ENOSPC;
	case FUSE_CREATE:
		return create(in, arg);
	case FUSE_UNLINK:
	case FUSE_RMDIR:
		return remove_name(in->nodeid, arg);
	case FUSE_RENAME:
		return rename_node(in->nodeid, (const char *)arg +
				   sizeof(struct fuse_rename_in),
				   ((const struct fuse_rename_in *)arg)->newdir);
	case FUSE_RENAME2:
		return rename_node(in->nodeid, (const char *)arg +
				   sizeof(struct fuse_rename2_in),
				   ((const struct fuse_rename2_in *)arg)->newdir);
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		return opened();
	case FUSE_READ:
		return read_data(node, arg);
	case FUSE_READDIR:
		return read_directory(in->nodeid, arg);
	case FUSE_WRITE:
		return write_data(node, arg);
	case FUSE_STATFS:
		memset(reply, 0, sizeof(struct fuse_statfs_out));
		((struct fuse_statfs_out *)reply)->st.files = lock_requests;
		return sizeof(struct fuse_statfs_out);
	case FUSE_SETLK:
	case FUSE_SETLKW:
		if (!keeps_locks)
			return -ENOSYS;
		lock_requests++;
		return 0;
	case FUSE_FLUSH:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		return 0;
	default:
		return -ENOSYS;
	}
}

static bool wants_answer(const struct fuse_in_header *in, const void *arg)
{
	switch (in->opcode) {
	case FUSE_FORGET:
		forget(in->nodeid,
		       ((const struct fuse_forget_in *)arg)->nlookup);
		return false;
	case FUSE_BATCH_FORGET:
		forget_batch(arg);
		return false;
	case FUSE_INTERRUPT:
		return false;
	default:
		return true;
	}
}

long fuse_serve(long fd)
{
	const struct fuse_in_header *in = (void *)request;
	struct fuse_out_header out;
	struct iovec parts[2] = {
		{ .iov_base = &out, .iov_len = sizeof(out) },
		{ .iov_base = reply },
	};
	int len;

	/* Whatever it needs it has from here on. */
	if (mlockall(MCL_CURRENT))
		return -errno;
	nodes[FUSE_ROOT_ID] = (struct node) {
		.mode = S_IFDIR | 0777, .links = 2, .known = 1,
	};
	for (;;) {
		ssize_t n = read(fd, request, sizeof(request));

		/* A request that was interrupted, or for which there was no memory. */
		if (n < 0 && errno != ENODEV)
			continue;
		if (n < (ssize_t)sizeof(*in))
			return n < 0 ? -errno : -EIO;
		if (!wants_answer(in, in + 1))
			continue;
		len = answer(in, in + 1);
		out = (struct fuse_out_header) {
			.len = sizeof(out) + (len > 0 ? len : 0),
			.error = len < 0 ? len : 0,
			.unique = in->unique,
		};
		parts[1].iov_len = len > 0 ? len : 0;
		while (writev(fd, parts, len > 0 ? 2 : 1) < 0 && errno == ENOMEM)
			;
	}
}

long fuse_serve_locks(long fd)
{
	keeps_locks = true;
	return fuse_serve(fd);
}
