/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * io_uring by raw system calls, with the registration of a dma-buf as a fixed buffer. The parts
 * of the ABI that the system's header may lack are defined here under names of their own, so that
 * a header that has them does no harm.
 */
#ifndef RING_H
#define RING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
	OP_SEND_ZC = 47,
	OP_SENDMSG_ZC = 48,
	OP_READV_FIXED = 60,
	OP_WRITEV_FIXED = 61,
};

enum {
	REGISTER_CLONE_BUFFERS = 30,
};

/* enum io_uring_rsrc_reg_flags; bit 0 is that of a sparse table and means nothing in an update. */
#define UPDATE_EXTENDED (1U << 1)

enum regbuf_type {
	REGBUF_EMPTY = 0,
	REGBUF_UADDR = 1,
	REGBUF_DMABUF = 2,
	REGBUF_UNKNOWN = 3, /* the first that does not exist */
};

/* struct io_uring_regbuf_desc */
struct regbuf_desc {
	uint32_t type;
	uint32_t flags;
	uint64_t size;
	uint64_t uaddr;
	int32_t dmabuf_fd;
	int32_t target_fd;
	uint64_t resv[6];
};

/* struct io_uring_rsrc_update2, whose first reserved word becomes the flags */
struct rsrc_update {
	uint32_t offset;
	uint32_t flags;
	uint64_t data;
	uint64_t tags;
	uint32_t nr;
	uint32_t resv2;
};

/* struct io_uring_clone_buffers */
struct clone_buffers {
	uint32_t src_fd;
	uint32_t flags;
	uint32_t src_off;
	uint32_t dst_off;
	uint32_t nr;
	uint32_t pad[3];
};

_Static_assert(sizeof(struct regbuf_desc) == 80, "ABI");
_Static_assert(offsetof(struct regbuf_desc, size) == 8, "ABI");
_Static_assert(offsetof(struct regbuf_desc, uaddr) == 16, "ABI");
_Static_assert(offsetof(struct regbuf_desc, dmabuf_fd) == 24, "ABI");
_Static_assert(offsetof(struct regbuf_desc, target_fd) == 28, "ABI");
_Static_assert(offsetof(struct regbuf_desc, resv) == 32, "ABI");
_Static_assert(sizeof(struct rsrc_update) == 32, "ABI");
_Static_assert(sizeof(struct rsrc_update) == sizeof(struct io_uring_rsrc_update2), "ABI");
_Static_assert(offsetof(struct rsrc_update, data) == 8, "ABI");
_Static_assert(offsetof(struct rsrc_update, tags) == 16, "ABI");
_Static_assert(offsetof(struct rsrc_update, nr) == 24, "ABI");
_Static_assert(sizeof(struct clone_buffers) == 32, "ABI");
_Static_assert(sizeof(struct io_uring_sqe) == 64, "ABI");

/* How long a completion may take: much longer than a busy machine needs under emulation. */
#define COMPLETION_MS_MAX 60000

/* One thread uses a ring at a time. */
struct ring {
	int fd;
	unsigned int setup_flags;
	unsigned int prepared;	/* entries that the kernel has not been told of */
	unsigned int sq_entries;
	unsigned int sq_mask;
	unsigned int cq_mask;
	unsigned int *sq_head;
	unsigned int *sq_tail;
	unsigned int *sq_flags;
	unsigned int *sq_array;
	unsigned int *cq_head;
	unsigned int *cq_tail;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	void *map;
	size_t map_len;
};

/* A request. For the vectored opcodes addr points at struct iovec, of which there are len. */
struct request {
	uint8_t opcode;
	uint8_t sqe_flags;	/* IOSQE_* */
	uint16_t slot;		/* of the table of buffers */
	uint32_t rw_flags;	/* RWF_* */
	int fd;
	uint32_t len;
	uint64_t addr;		/* with a dma-buf: offset in it, bytes */
	uint64_t off;		/* on the disk, bytes */
	uint64_t id;		/* comes back in the completion */
};

struct completion {
	uint64_t id;
	int res;
	uint32_t flags;		/* IORING_CQE_F_* */
	uint64_t extra;		/* first of what a ring with IORING_SETUP_CQE32 adds */
};

/* 0 or a negative errno. entries: 1 .. 32768; setup_flags: IORING_SETUP_*. */
int ring_open(struct ring *ring, unsigned int entries, unsigned int setup_flags);

/* As a program does that ends: requests in flight are left to the kernel. */
void ring_close(struct ring *ring);

/* A zeroed entry to fill in, prepared for the next submission. There must be one free. */
struct io_uring_sqe *ring_sqe(struct ring *ring);

void ring_prepare(struct ring *ring, const struct request *req);

/* Hands what is prepared to the kernel. The number of entries it took, or a negative errno. */
int ring_submit(struct ring *ring);

/* Takes the next completion if there is one. */
bool ring_peek(struct ring *ring, struct completion *done);

/* Waits for the next completion. 0, -ETIME, or another negative errno. */
int ring_wait(struct ring *ring, struct completion *done, unsigned int timeout_ms);

/*
 * One request from submission to completion, with nothing else in flight; its result. A completion
 * that does not come, or is another's, ends the program.
 */
int ring_io(struct ring *ring, const struct request *req);

/*
 * The same, issued again while the result is -EAGAIN, as every user of dma-buf buffers must: a
 * mapping that the exporter took back is made anew. At most a few thousand times, then it is the
 * result.
 */
int ring_io_again(struct ring *ring, const struct request *req);

/* io_uring_register(). Its result or a negative errno. */
int ring_register(struct ring *ring, unsigned int opcode, const void *arg, unsigned int nr);

/* Makes the table of buffers, with all slots empty. 0 or a negative errno. */
int ring_table(struct ring *ring, unsigned int slots);

/*
 * Fills slots from `slot` on. tags: NULL or one for each slot. The number of slots done, or the
 * negative errno of the first.
 */
int ring_update(struct ring *ring, unsigned int slot, unsigned int flags,
		const struct regbuf_desc *descs, unsigned int nr, const uint64_t *tags);

/* Registers a dma-buf, ordinary memory, or nothing in one slot. 1 or a negative errno. */
int ring_register_dmabuf(struct ring *ring, unsigned int slot, int dmabuf_fd, int target_fd);
int ring_register_memory(struct ring *ring, unsigned int slot, void *mem, size_t len);
int ring_clear(struct ring *ring, unsigned int slot);

/*
 * Ends the program with exit code 77 when the kernel has no dma-buf registered buffers: there an
 * update with the extended flag is -EINVAL, whatever it says.
 */
void ring_require_dmabuf(void);

/* A fragment of a dma-buf. */
static inline struct iovec fragment(uint64_t offset, size_t len)
{
	return (struct iovec){ .iov_base = (void *)(uintptr_t)offset, .iov_len = len };
}

#endif
