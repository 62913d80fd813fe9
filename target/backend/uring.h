/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine of all backends that are one file descriptor driven by io_uring: file and block. */
#ifndef SLUICE_TARGET_BACKEND_URING_H
#define SLUICE_TARGET_BACKEND_URING_H

#include "target/backend/backend.h"

/* How blocks are deallocated. */
enum uring_discard {
	URING_DISCARD_NONE,
	URING_DISCARD_PUNCH,   /* fallocate, a hole */
	URING_DISCARD_COMMAND, /* block device's own command, Linux 6.12 */
};

/* First member of the backend's own structure. */
struct uring_backend {
	struct backend backend;
	int fd;
	unsigned file_index; /* in each loop's table of fixed files */
	bool attached;
	enum uring_discard discard;
	int zero_mode;       /* for fallocate: write zeroes, deallocating nothing where it can */
	int zero_unmap_mode; /* the same where deallocating is welcome */
	/* Asked after an error: is the device gone? Does not block. NULL: it cannot go. */
	bool (*gone)(const struct uring_backend *ub);
};

/*
 * Alignment that direct I/O on @fd needs, of memory and of offset and length, in bytes. 0, -ENOTSUP
 * when the kernel knows that @fd cannot do direct I/O, or -ENODATA when it cannot tell.
 */
int uring_direct_align(int fd, uint32_t *mem, uint32_t *offset);

/*
 * Locks the whole of @fd against every other process and backend that asks: for reading only when
 * @shared. The lock goes with the descriptor. 0, or -EBUSY and other negative errno.
 */
int uring_lock(int fd, bool shared);

/* The operations that file and block share. */
int uring_attach(struct backend *backend, struct loop *loop, unsigned index);
void uring_submit(struct backend *backend, struct loop *loop, struct backend_io *io);
void uring_cancel(struct backend *backend, struct loop *loop, struct backend_io *io);
void uring_detach(struct backend *backend, struct loop *loop, unsigned index);

#endif
