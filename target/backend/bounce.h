/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers of one loop for I/O with memory that devices cannot be given: direct I/O pins pages, and
 * the mapping of a dma-buf has none. The CPU copies, and the bytes are counted as staged. When all
 * are in use, I/O waits its turn.
 */
#ifndef SLUICE_TARGET_BACKEND_BOUNCE_H
#define SLUICE_TARGET_BACKEND_BOUNCE_H

#include "base/limits.h"
#include "base/list.h"
#include "dmabuf/area.h"

enum {
	BOUNCE_PIECE = 256 << 10, /* bytes; longer I/O goes in several rounds */
	BOUNCE_PIECES = 16,
};

struct bounce {
	struct area area;
	uint8_t free[BOUNCE_PIECES]; /* numbers of the pieces that nobody uses */
	unsigned n_free;
	struct list waiters; /* of whoever uses it */
};

/*
 * Gets the memory and makes it an area of @loop at @slot, before the loop runs. 0 or negative errno;
 * bounce->area.why_not then says why.
 */
int bounce_init(struct bounce *bounce, struct loop *loop, unsigned slot);
/* Gives it back, after the loop's ring is gone or on the loop's thread. */
void bounce_fini(struct bounce *bounce);

/* A piece of BOUNCE_PIECE bytes, or -1 when there is none now. */
static inline int bounce_get(struct bounce *bounce)
{
	return bounce->n_free ? bounce->free[--bounce->n_free] : -1;
}

static inline void bounce_put(struct bounce *bounce, int piece)
{
	bounce->free[bounce->n_free++] = (uint8_t)piece;
}

static inline void *bounce_ptr(const struct bounce *bounce, int piece)
{
	return (char *)bounce->area.base + (size_t)piece * BOUNCE_PIECE;
}

#endif
