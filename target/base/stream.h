/* SPDX-License-Identifier: BSD-3-Clause */
/* Copying past the caches. */
#ifndef SLUICE_BASE_STREAM_H
#define SLUICE_BASE_STREAM_H

#include <stddef.h>

/*
 * Copies @len bytes from @src to @dst, which do not overlap, at any alignment. Where the CPU has streaming
 * stores, @dst is neither read before it is written nor kept in the caches: for much that nobody
 * reads soon. Anything else is memcpy()'s.
 */
void stream_copy(void *dst, const void *src, size_t len);

#endif
