/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buddy allocator. A piece of order o has 2^o pages and begins at a multiple of 2^o; its buddy is the
 * piece beside it that together with it makes one of order o + 1. Free pieces of each order are on
 * a doubly linked list of page numbers, last in first out, so that warm memory is used again first.
 */
#include "dmabuf/pool.h"

#include <errno.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/counter.h"

#define NO_PAGE UINT32_MAX

/* order_of[]: one of these with the order, at the first page of a piece; 0 at the others. */
enum { PIECE_FREE = 0x40, PIECE_USED = 0x80 };

static uint64_t piece_bytes(unsigned order)
{
	return UINT64_C(1) << (POOL_MIN_SHIFT + order);
}

static void free_push(struct pool *pool, uint32_t page, unsigned order)
{
	uint32_t head = pool->free_head[order];

	pool->order_of[page] = (uint8_t)(PIECE_FREE | order);
	pool->prev[page] = NO_PAGE;
	pool->next[page] = head;
	if (head != NO_PAGE)
		pool->prev[head] = page;
	pool->free_head[order] = page;
}

static void free_unlink(struct pool *pool, uint32_t page, unsigned order)
{
	uint32_t next = pool->next[page], prev = pool->prev[page];

	assert(pool->order_of[page] == (PIECE_FREE | order));
	pool->order_of[page] = 0;
	if (prev == NO_PAGE)
		pool->free_head[order] = next;
	else
		pool->next[prev] = next;
	if (next != NO_PAGE)
		pool->prev[next] = prev;
}

/* Covers the pages by the largest pieces that their number and place allow. */
static void pieces_make(struct pool *pool)
{
	uint32_t page = 0;

	while (page < pool->pages) {
		unsigned order = POOL_MAX_ORDER;

		while (page & ((1u << order) - 1) || pool->pages - page < 1u << order)
			order--;
		free_push(pool, page, order);
		page += 1u << order;
	}
}

int pool_init(struct pool *pool, struct area *area, uint64_t offset, uint64_t size)
{
	assert(size && size % (1u << POOL_MIN_SHIFT) == 0 && offset % (1u << POOL_MIN_SHIFT) == 0);
	assert(offset <= area->size && size <= area->size - offset);
	assert(size >> POOL_MIN_SHIFT < NO_PAGE);
	*pool = (struct pool){
		.area = area,
		.offset = offset,
		.pages = (uint32_t)(size >> POOL_MIN_SHIFT),
		.free_bytes = size,
		.low_water_bytes = size,
	};
	pool->order_of = calloc(pool->pages, sizeof(*pool->order_of));
	pool->next = calloc(pool->pages, sizeof(*pool->next));
	pool->prev = calloc(pool->pages, sizeof(*pool->prev));
	if (!pool->order_of || !pool->next || !pool->prev) {
		pool_fini(pool);
		return -ENOMEM;
	}
	for (unsigned order = 0; order <= POOL_MAX_ORDER; order++)
		pool->free_head[order] = NO_PAGE;
	pieces_make(pool);
	return 0;
}

void pool_fini(struct pool *pool)
{
	free(pool->order_of);
	free(pool->next);
	free(pool->prev);
	*pool = (struct pool){ 0 };
}

/* The smallest order whose pieces hold @len bytes. */
static unsigned order_for(uint32_t len)
{
	uint32_t pages = (len - 1) >> POOL_MIN_SHIFT;

	return pages ? 32 - (unsigned)__builtin_clz(pages) : 0;
}

uint64_t pool_piece_bytes(uint32_t len)
{
	return len ? piece_bytes(order_for(len)) : 0;
}

int pool_get(struct pool *pool, uint32_t len, struct span *span)
{
	unsigned want = order_for(len), order = want;
	uint32_t page;

	assert(len && want <= POOL_MAX_ORDER);
	while (order <= POOL_MAX_ORDER && pool->free_head[order] == NO_PAGE)
		order++;
	if (order > POOL_MAX_ORDER)
		return -EAGAIN;
	page = pool->free_head[order];
	free_unlink(pool, page, order);
	while (order > want) {
		order--;
		free_push(pool, page + (1u << order), order);
	}
	pool->order_of[page] = (uint8_t)(PIECE_USED | want);
	counter_set(&pool->free_bytes, pool->free_bytes - piece_bytes(want));
	if (pool->free_bytes < pool->low_water_bytes)
		counter_set(&pool->low_water_bytes, pool->free_bytes);
	*span = (struct span){
		.area = pool->area,
		.offset = pool->offset + ((uint64_t)page << POOL_MIN_SHIFT),
		.len = len,
	};
	return 0;
}

void pool_put(struct pool *pool, const struct span *span)
{
	uint32_t page = (uint32_t)((span->offset - pool->offset) >> POOL_MIN_SHIFT);
	unsigned order;

	assert(span->area == pool->area && span->offset >= pool->offset && page < pool->pages);
	assert((span->offset - pool->offset) % (1u << POOL_MIN_SHIFT) == 0);
	/* Fails for what was put twice, and for what pool_get() never gave. */
	assert(pool->order_of[page] & PIECE_USED);
	order = pool->order_of[page] & ~(unsigned)PIECE_USED;
	assert(span->len <= piece_bytes(order));
	pool->order_of[page] = 0;
	counter_add(&pool->free_bytes, piece_bytes(order));
	while (order < POOL_MAX_ORDER) {
		uint32_t buddy = page ^ (1u << order);

		if (buddy >= pool->pages || pool->order_of[buddy] != (PIECE_FREE | order))
			break;
		free_unlink(pool, buddy, order);
		page = MIN(page, buddy);
		order++;
	}
	free_push(pool, page, order);
}
