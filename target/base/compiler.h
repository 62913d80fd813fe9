/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SLUICE_BASE_COMPILER_H
#define SLUICE_BASE_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define __printf(fmt, args) __attribute__((format(printf, fmt, args)))
#define __must_check __attribute__((warn_unused_result))
#define __maybe_unused __attribute__((unused))

/* The structure of type @type whose field @member is at @ptr. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#define MIN(a, b)                       \
	({                              \
		__typeof__(a) a_ = (a); \
		__typeof__(b) b_ = (b); \
		a_ < b_ ? a_ : b_;      \
	})
#define MAX(a, b)                       \
	({                              \
		__typeof__(a) a_ = (a); \
		__typeof__(b) b_ = (b); \
		a_ > b_ ? a_ : b_;      \
	})

/* Bytes of what the CPU's caches keep as one, on the machines that matter. */
enum { CACHE_LINE = 64 };

/* Asks the CPU for the lines of the first @len bytes at @at, which are about to be used; @at is never read. */
static inline void fetch_lines(const void *at, size_t len)
{
	/* What only prefetches has no effect for compilers: they leave calls of such a function out. */
	__asm__ volatile("");
	for (size_t i = 0; i < len; i += CACHE_LINE)
		__builtin_prefetch((const char *)at + i);
}

/* @x rounded up to a multiple of @a, a power of two. */
static inline uint64_t align_up(uint64_t x, uint64_t a)
{
	return (x + a - 1) & ~(a - 1);
}

#endif
