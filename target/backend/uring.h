/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine of all backends that are one file descriptor driven by io_uring: file and block. */
#ifndef SLUICE_TARGET_BACKEND_URING_H
#define SLUICE_TARGET_BACKEND_URING_H

#include "target/backend/backend.h"

struct uring_attachment;

/* How blocks are deallocated. */
enum uring_discard {
	URING_DISCARD_NONE,
	URING_DISCARD_PUNCH,   /* fallocate, a hole */
	URING_DISCARD_COMMAND, /* block device's own command, Linux 6.12 */
};

enum { URING_SEGMENTS = 1024 }; /* of one request: UIO_MAXIOV of the kernel */

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
	struct uring_attachment *attachments; /* one per loop, owned; uring_memory.h */
};

/*
 * Alignment that direct I/O on @fd needs, of memory and of offset and length, in bytes. 0, -ENOTSUP
 * when the kernel knows that @fd cannot do direct I/O, or -ENODATA when it cannot tell.
 */
int uring_direct_align(int fd, uint32_t *mem, uint32_t *offset);

/*
 * backend_limits.piece_align of the block device @fd, or of the one below the file @fd: from what sysfs
 * says of it, a page when that is nothing. At least @mem_align.
 */
uint32_t uring_piece_align(int fd, uint32_t mem_align);

/*
 * Locks the whole of @fd against every other process and backend that asks: for reading only when
 * @shared. The lock goes with the descriptor. 0, or -EBUSY and other negative errno.
 */
int uring_lock(int fd, bool shared);

/*
 * The rung that READ or WRITE @io takes on its loop, which is that of @at: the best one that its
 * memory, the backend and the kernel have, and none better than io->rung. Pure.
 */
enum datapath_storage uring_rung(const struct uring_attachment *at, const struct backend_io *io);

/* The operations that file and block share. */
int uring_attach(struct backend *backend, struct loop *loop, unsigned index,
		 const struct backend_memory *memory);
void uring_submit(struct backend *backend, struct loop *loop, struct backend_io *io);
void uring_cancel(struct backend *backend, struct loop *loop, struct backend_io *io);
/* As backend_ops.settled. */
bool uring_settled(const struct backend *backend, const struct loop *loop);
void uring_path(struct backend *backend, const struct loop *loop, unsigned index,
		const struct area *area, struct datapath_facts *facts,
		uint64_t bytes[DATAPATH_STORAGE_RUNGS]);
void uring_detach(struct backend *backend, struct loop *loop, unsigned index);
/* Closes the descriptor and frees what attaching made; the backend's memory is its owner's to free. */
void uring_close(struct uring_backend *ub);

#endif
