/* SPDX-License-Identifier: BSD-3-Clause */
#include "dmabuf/span.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/compiler.h"
#include "base/crc32c.h"
#include "base/stream.h"

/* A walk over part of a vector, one contiguous run of bytes after the other. */
struct cursor {
	const struct span *span;
	uint32_t skip; /* bytes of *span that lie before the cursor */
	uint32_t left; /* bytes to go */
};

static struct cursor cursor_at(const struct spanv *sv, uint32_t offset, uint32_t len)
{
	struct cursor c = { .span = sv->v, .skip = offset, .left = len };

	assert(offset <= sv->len && len <= sv->len - offset);
	while (c.left && c.skip >= c.span->len)
		c.skip -= (c.span++)->len;
	return c;
}

/* The run at the cursor, at most @max bytes; its length goes to *@len. */
static char *cursor_run(const struct cursor *c, uint32_t max, uint32_t *len)
{
	uint32_t room = c->span->len - c->skip;

	*len = MIN(room, max);
	*len = MIN(*len, c->left);
	return (char *)span_ptr(c->span) + c->skip;
}

static void cursor_advance(struct cursor *c, uint32_t len)
{
	c->left -= len;
	c->skip += len;
	while (c->left && c->skip >= c->span->len)
		c->skip -= (c->span++)->len;
}

int spanv_append(struct spanv *sv, const struct span *span)
{
	struct span *last = sv->n ? &sv->v[sv->n - 1] : NULL;

	assert(span->len <= UINT32_MAX - sv->len);
	if (last && last->area == span->area && last->offset + last->len == span->offset) {
		last->len += span->len;
	} else if (sv->n == sv->max) {
		return -ENOBUFS;
	} else {
		sv->v[sv->n++] = *span;
	}
	sv->len += span->len;
	return 0;
}

int spanv_iovec(const struct spanv *sv, uint32_t offset, uint32_t len, struct iovec *iov, int max)
{
	struct cursor c = cursor_at(sv, offset, len);
	int n = 0;

	while (c.left) {
		uint32_t run;
		void *base = cursor_run(&c, UINT32_MAX, &run);

		if (n == max)
			return -ENOBUFS;
		iov[n++] = (struct iovec){ .iov_base = base, .iov_len = run };
		cursor_advance(&c, run);
	}
	return n;
}

int spanv_offsets(const struct spanv *sv, uint32_t offset, uint32_t len, struct iovec *iov, int max)
{
	struct cursor c = cursor_at(sv, offset, len);
	int n = 0;

	while (c.left) {
		uint32_t run = MIN(c.span->len - c.skip, c.left);

		assert(c.span->area == sv->v[0].area);
		if (n == max)
			return -ENOBUFS;
		iov[n++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)(c.span->offset + c.skip),
			.iov_len = run,
		};
		cursor_advance(&c, run);
	}
	return n;
}

uint32_t spanv_fit(const struct spanv *sv, uint32_t offset, uint32_t len, uint32_t max)
{
	struct cursor c = cursor_at(sv, offset, len);

	if (sv->n <= max)
		return len;
	while (c.left && max--)
		cursor_advance(&c, MIN(c.span->len - c.skip, c.left));
	return len - c.left;
}

void spanv_write(const struct spanv *sv, uint32_t offset, const void *src, uint32_t len)
{
	struct cursor c = cursor_at(sv, offset, len);

	while (c.left) {
		uint32_t run;
		void *to = cursor_run(&c, UINT32_MAX, &run);

		memcpy(to, src, run);
		src = (const char *)src + run;
		cursor_advance(&c, run);
	}
}

static inline void read_out(const struct spanv *sv, uint32_t offset, void *dst, uint32_t len,
			    bool past_caches)
{
	struct cursor c = cursor_at(sv, offset, len);

	while (c.left) {
		uint32_t run;
		const void *from = cursor_run(&c, UINT32_MAX, &run);

		if (past_caches)
			stream_copy(dst, from, run);
		else
			memcpy(dst, from, run);
		dst = (char *)dst + run;
		cursor_advance(&c, run);
	}
}

void spanv_read(const struct spanv *sv, uint32_t offset, void *dst, uint32_t len)
{
	read_out(sv, offset, dst, len, false);
}

void spanv_stream(const struct spanv *sv, uint32_t offset, void *dst, uint32_t len)
{
	read_out(sv, offset, dst, len, true);
}

void spanv_zero(const struct spanv *sv, uint32_t offset, uint32_t len)
{
	struct cursor c = cursor_at(sv, offset, len);

	while (c.left) {
		uint32_t run;
		void *to = cursor_run(&c, UINT32_MAX, &run);

		memset(to, 0, run);
		cursor_advance(&c, run);
	}
}

static uint32_t first_difference(const char *a, const char *b)
{
	uint32_t i = 0;

	while (a[i] == b[i])
		i++;
	return i;
}

int64_t spanv_compare(const struct spanv *a, const struct spanv *b, uint32_t len)
{
	struct cursor ca = cursor_at(a, 0, len), cb = cursor_at(b, 0, len);

	while (ca.left) {
		uint32_t run;
		const char *pa = cursor_run(&ca, UINT32_MAX, &run);
		const char *pb = cursor_run(&cb, run, &run);

		if (memcmp(pa, pb, run))
			return (int64_t)(len - ca.left) + first_difference(pa, pb);
		cursor_advance(&ca, run);
		cursor_advance(&cb, run);
	}
	return -1;
}

uint32_t spanv_crc32c(const struct spanv *sv, uint32_t offset, uint32_t len, uint32_t crc)
{
	struct cursor c = cursor_at(sv, offset, len);

	while (c.left) {
		uint32_t run;
		const void *from = cursor_run(&c, UINT32_MAX, &run);

		crc = crc32c_update(crc, from, run);
		cursor_advance(&c, run);
	}
	return crc;
}
