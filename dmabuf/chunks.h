/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chunks of an area that a NIC fills through the kernel (io_uring zero-copy receive), and who still
 * needs what is in them. The kernel hands out fragments, each inside one chunk, maybe many of a chunk;
 * every one of them is given back to it, when nobody needs anything of the chunk any more. No locks, no
 * allocation but at init.
 */
#ifndef SLUICE_DMABUF_CHUNKS_H
#define SLUICE_DMABUF_CHUNKS_H

#include "dmabuf/span.h"

struct chunk;

struct chunks {
	struct area *area;
	uint64_t offset;    /* of the first chunk in the area */
	unsigned shift;     /* a chunk has 1 << shift bytes */
	uint32_t n;
	uint64_t held;      /* chunks of which the kernel lacks a fragment; of base/counter.h */
	uint64_t held_max;  /* the most that ever were; of base/counter.h */
	struct chunk *chunk;
	/* Chunks that nobody needs, and that owe fragments: a bit for each, and for each 64 of them. */
	uint64_t *idle;
	uint64_t *idle_words;
};

/*
 * For @size bytes of @area from @offset on, in chunks of 1 << @shift bytes; both are multiples of
 * that. All chunks are the kernel's. 0 or -ENOMEM.
 */
int chunks_init(struct chunks *chunks, struct area *area, uint64_t offset, uint64_t size,
		unsigned shift);
void chunks_fini(struct chunks *chunks);
/* Bytes of memory that its tables take. */
uint64_t chunks_bytes(const struct chunks *chunks);

/* The kernel handed out @fragment (1 byte or more, inside one chunk): its receiver has a reference. */
void chunks_received(struct chunks *chunks, const struct span *fragment);

/* One more reference on each chunk that @span touches; somebody has one on them already. */
void chunks_get(struct chunks *chunks, const struct span *span);

/* One reference less on each chunk that @span touches. */
void chunks_put(struct chunks *chunks, const struct span *span);

/*
 * Takes up to @max (> 0) fragments out of the last chunk of the area that nobody needs: its index goes to
 * *@index, and the number of fragments that are to be given back is returned. 0: there is none.
 */
uint32_t chunks_take_idle(struct chunks *chunks, uint32_t max, uint32_t *index);

/* Bytes of the area that they are. */
static inline uint64_t chunks_size(const struct chunks *chunks)
{
	return (uint64_t)chunks->n << chunks->shift;
}

static inline bool chunks_have(const struct chunks *chunks, const struct span *span)
{
	return span->area == chunks->area && span->offset >= chunks->offset &&
	       span->offset - chunks->offset < chunks_size(chunks);
}

/* The chunk that holds byte @offset of the area. */
static inline uint32_t chunks_index(const struct chunks *chunks, uint64_t offset)
{
	return (uint32_t)((offset - chunks->offset) >> chunks->shift);
}

#endif
