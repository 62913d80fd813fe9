/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What malloc() takes, for the bound announced. By itself the C library keeps what was freed, in a heap for
 * each thread, and what is longer than before does not fit there: connections that come and go could have
 * it grow for long. From HEAP_MAPPED bytes on each allocation gets pages of its own instead, and free()
 * gives them back.
 */
#ifndef SLUICE_BASE_HEAP_H
#define SLUICE_BASE_HEAP_H

#include <malloc.h>
#include <unistd.h>

#include "base/compiler.h"

enum { HEAP_MAPPED = 4096, HEAP_EXTRA = 2 * CACHE_LINE };

/* Before any thread is made. */
static inline void heap_init(void)
{
	mallopt(M_MMAP_THRESHOLD, HEAP_MAPPED);
}

/* Most that an allocation of @size bytes takes, aligned to a cache line or less. */
static inline uint64_t heap_bytes(uint64_t size)
{
	size += HEAP_EXTRA;
	return size < HEAP_MAPPED ? size : align_up(size, (uint64_t)sysconf(_SC_PAGESIZE));
}

#endif
