/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's data buffers: contiguous, power-of-two sized pieces of one area, by the buddy method.
 * Getting and putting are O(log size) without locks or allocation. Bookkeeping lies outside the
 * area, which may be memory that the CPU had better not touch.
 */
#ifndef SLUICE_DMABUF_POOL_H
#define SLUICE_DMABUF_POOL_H

#include "dmabuf/span.h"

enum {
	POOL_MIN_SHIFT = 12, /* smallest piece: a page */
	POOL_MAX_ORDER = 12, /* largest: 16 MiB */
};

struct pool {
	struct area *area;
	uint64_t offset;     /* of the first piece in the area */
	uint32_t pages;      /* size in smallest pieces */
	uint8_t *order_of;   /* per page: order and free/used state of the piece that begins there */
	uint32_t *next, *prev;
	uint32_t free_head[POOL_MAX_ORDER + 1];
	uint64_t free_bytes;      /* of base/counter.h, as is the next */
	uint64_t low_water_bytes; /* least free_bytes ever seen */
};

/* Takes @size bytes of @area from @offset on (both multiples of 4096). 0 or -ENOMEM. */
int pool_init(struct pool *pool, struct area *area, uint64_t offset, uint64_t size);
void pool_fini(struct pool *pool);

/* Bytes that a pool gives away for @len bytes (0 .. 16 MiB): a power of two of pages, or none for none. */
uint64_t pool_piece_bytes(uint32_t len);

/*
 * Gets @len bytes (1 .. 16 MiB); @span->len is @len, what lies behind it is rounded up to a power of
 * two of pages. 0, or -EAGAIN when there is no such piece now.
 */
int pool_get(struct pool *pool, uint32_t len, struct span *span);

/* Gives back a span that pool_get() returned (its length may have been shortened since). */
void pool_put(struct pool *pool, const struct span *span);

#endif
