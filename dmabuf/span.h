/* SPDX-License-Identifier: BSD-3-Clause */
/* Payload: a piece of an area, and vectors of pieces. Nobody passes raw payload pointers around. */
#ifndef SLUICE_DMABUF_SPAN_H
#define SLUICE_DMABUF_SPAN_H

#include <assert.h>
#include <sys/uio.h>

#include "dmabuf/area.h"

struct span {
	struct area *area;
	uint64_t offset;
	uint32_t len;
};

/* The vector does not own `v`; its holder provides room for `max` spans. */
struct spanv {
	struct span *v;
	uint32_t n;
	uint32_t max;
	uint32_t len; /* sum of all lengths */
};

/* First byte of @span; the area must have a CPU face. */
static inline void *span_ptr(const struct span *span)
{
	assert(span->area->faces & AREA_FACE_CPU);
	return (char *)span->area->base + span->offset;
}

static inline void spanv_init(struct spanv *sv, struct span *room, uint32_t max)
{
	*sv = (struct spanv){ .v = room, .max = max };
}

static inline void spanv_clear(struct spanv *sv)
{
	sv->n = 0;
	sv->len = 0;
}

/* Appends @span, merging it with the last one where they touch. -ENOBUFS when the vector is full. */
int spanv_append(struct spanv *sv, const struct span *span);

/*
 * Describes bytes @offset..@offset+@len of @sv as an iovec; @len must lie inside. Returns the number
 * of entries, or -ENOBUFS when @max are too few.
 */
int spanv_iovec(const struct spanv *sv, uint32_t offset, uint32_t len, struct iovec *iov, int max);

/*
 * As spanv_iovec(), but each base is a byte offset in the area: how io_uring names a place in a
 * dma-buf. All spans of the range are of one area.
 */
int spanv_offsets(const struct spanv *sv, uint32_t offset, uint32_t len, struct iovec *iov, int max);

/* The most bytes from @offset on, at most @len, that are in no more than @max (> 0) pieces. */
uint32_t spanv_fit(const struct spanv *sv, uint32_t offset, uint32_t len, uint32_t max);

/* Copies into, out of, or zeroes part of a vector; the range must lie inside. */
void spanv_write(const struct spanv *sv, uint32_t offset, const void *src, uint32_t len);
void spanv_read(const struct spanv *sv, uint32_t offset, void *dst, uint32_t len);
/* As spanv_read(), past the caches (base/stream.h). */
void spanv_stream(const struct spanv *sv, uint32_t offset, void *dst, uint32_t len);
void spanv_zero(const struct spanv *sv, uint32_t offset, uint32_t len);

/*
 * Offset of the first byte that differs between the first @len bytes of two vectors, or -1 when they
 * are equal.
 */
int64_t spanv_compare(const struct spanv *a, const struct spanv *b, uint32_t len);

/* CRC32C state @crc continued over bytes @offset..@offset+@len (base/crc32c.h). */
uint32_t spanv_crc32c(const struct spanv *sv, uint32_t offset, uint32_t len, uint32_t crc);

#endif
