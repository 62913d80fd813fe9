/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Poison: what memory holds before a controller writes to it, so that old bytes do not pass for
 * received ones, and behind it, where a controller has no business.
 */
#ifndef SLUICE_BENCH_GUARD_H
#define SLUICE_BENCH_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	GUARD_BYTE = 0xa5,
	GUARD_LEN = 64, /* bytes behind a buffer; keeps what follows aligned */
};

static inline void guard_fill(void *buf, size_t len)
{
	memset(buf, GUARD_BYTE, len);
}

/* True when the GUARD_LEN bytes at @buf are as guard_fill() left them. */
static inline bool guard_intact(const void *buf)
{
	const uint8_t *bytes = buf;

	for (unsigned i = 0; i < GUARD_LEN; i++)
		if (bytes[i] != GUARD_BYTE)
			return false;
	return true;
}

#endif
