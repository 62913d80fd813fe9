/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/opening.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

int opening_fail(const struct opening *o, int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(o->err, o->errlen, fmt, args);
	va_end(args);
	return rc;
}

int opening_block_shift(const struct opening *o, const char *what, uint32_t least,
			uint32_t preferred)
{
	uint32_t size = o->config->block_size ? o->config->block_size : MAX(least, preferred);

	if (size & (size - 1) || size < 1u << MIN_BLOCK_SHIFT || size > 1u << MAX_BLOCK_SHIFT)
		return opening_fail(o, -EINVAL, "block_size = %u: use a power of two from %u to %u",
				    size, 1u << MIN_BLOCK_SHIFT, 1u << MAX_BLOCK_SHIFT);
	if (size < least)
		return opening_fail(o, -EINVAL,
				    "block_size = %u is smaller than the logical block of "
				    "%s: use %u, or leave it out",
				    size, what, least);
	return __builtin_ctz(size);
}

int opening_size(const struct opening *o, const char *what, unsigned block_shift, uint64_t *size)
{
	uint64_t bytes = o->config->size;

	if (!bytes)
		return opening_fail(o, -EINVAL,
				    "backend %s needs a size: add size = 1G, for example", what);
	if (bytes & ((UINT64_C(1) << block_shift) - 1))
		return opening_fail(o, -EINVAL,
				    "size = %" PRIu64 " is no multiple of the block size "
				    "%u: change one of them",
				    bytes, 1u << block_shift);
	*size = bytes;
	return 0;
}
