/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registration of a dma-buf as an io_uring buffer: interface of the kernel series that kernel/ carries,
 * the same as that of the series proposed for Linux (its revisions 3 to 7). No header has it yet.
 */
#ifndef SLUICE_BASE_REGBUF_H
#define SLUICE_BASE_REGBUF_H

#include <liburing.h>
#include <stdint.h>

/* In `resv` of struct io_uring_rsrc_update2: `data` is an array of struct regbuf_desc. */
enum { REGBUF_UPDATE_EXTENDED = 1 << 1 };

enum regbuf_type { REGBUF_EMPTY, REGBUF_UADDR, REGBUF_DMABUF };

struct regbuf_desc {
	uint32_t type;     /* enum regbuf_type */
	uint32_t flags;    /* 0 */
	uint64_t size;     /* UADDR; 0 for a dma-buf, which is registered as a whole */
	uint64_t uaddr;    /* UADDR */
	int32_t dmabuf_fd; /* DMABUF, else 0, as is the next */
	int32_t target_fd; /* the open file that all I/O with this buffer must be on */
	uint64_t resv[6];  /* 0 */
};

_Static_assert(sizeof(struct regbuf_desc) == 80, "descriptor of the kernel's interface");

/*
 * Puts what @desc describes at @index of the ring's table of registered buffers. 0 or the kernel's
 * negative errno; a kernel that knows no descriptors says -EINVAL.
 */
int regbuf_update(struct io_uring *ring, unsigned index, const struct regbuf_desc *desc);

/*
 * Does the kernel take descriptors? 0; -EOPNOTSUPP: no; another negative errno: it could not be asked
 * now, for want of descriptors (EMFILE) or memory. Asks until there is an answer. Any thread.
 */
int regbuf_probe(void);

#endif
