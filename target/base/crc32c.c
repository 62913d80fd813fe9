/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc32c.h"

#include <isa-l/crc.h>
#include <limits.h>

#ifdef __x86_64__
#include <immintrin.h>

static __attribute__((target("avx"))) void registers_clear(void)
{
	_mm256_zeroupper();
}

/*
 * ISA-L's code for AVX-512 leaves the upper halves of vector registers in use (up to 2.31 at least), and
 * every instruction of SSE after that waits for them: for as long as the digest took.
 */
static void registers_leave(void)
{
	if (__builtin_cpu_supports("avx"))
		registers_clear();
}
#else
static void registers_leave(void)
{
}
#endif

uint32_t crc32c_update(uint32_t crc, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len > INT_MAX) {
		/* ISA-L only reads, but its prototype lacks the const. */
		crc = crc32_iscsi((unsigned char *)p, INT_MAX, crc);
		p += INT_MAX;
		len -= INT_MAX;
	}
	crc = crc32_iscsi((unsigned char *)p, (int)len, crc);
	registers_leave();
	return crc;
}
