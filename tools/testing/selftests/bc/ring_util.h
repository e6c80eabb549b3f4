/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of io_uring as it takes to have one request done at a time.
 */
#ifndef RING_UTIL_H
#define RING_UTIL_H

#include <errno.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ring {
	int fd;
	struct io_uring_params params;
	struct io_uring_sqe *sqe;
	char *queues;
};

static inline unsigned int *ring_at(struct ring *ring, unsigned int offset)
{
	return (unsigned int *)(ring->queues + offset);
}

/* Returns 0 or a negative errno. */
static inline long ring_setup(struct ring *ring)
{
	*ring = (struct ring) { };
	ring->fd = syscall(SYS_io_uring_setup, 1, &ring->params);
	if (ring->fd < 0)
		return -errno;
	/* Both queues are in one mapping, which a page or two will do for. */
	ring->queues = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			    IORING_OFF_SQ_RING);
	ring->sqe = mmap(NULL, sizeof(*ring->sqe), PROT_READ | PROT_WRITE, MAP_SHARED,
			 ring->fd, IORING_OFF_SQES);
	if (ring->queues == MAP_FAILED || ring->sqe == MAP_FAILED)
		return -errno;
	return 0;
}

/* Has @sqe done, and returns its result. */
static inline long ring_do(struct ring *ring, const struct io_uring_sqe *sqe)
{
	struct io_uring_cqe *cqe;
	unsigned int *head;
	long result;

	*ring->sqe = *sqe;
	*ring_at(ring, ring->params.sq_off.array) = 0;
	__atomic_add_fetch(ring_at(ring, ring->params.sq_off.tail), 1,
			   __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL,
		    0) != 1)
		return -errno;

	head = ring_at(ring, ring->params.cq_off.head);
	cqe = (void *)ring_at(ring, ring->params.cq_off.cqes);
	result = cqe[*head & *ring_at(ring, ring->params.cq_off.ring_mask)].res;
	__atomic_add_fetch(head, 1, __ATOMIC_RELEASE);
	return result;
}

#endif /* RING_UTIL_H */
