/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/stream.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

#include "base/compiler.h"

void stream_copy(void *dst, const void *src, size_t len)
{
	char *to = dst;
	const char *from = src;
	size_t head = MIN((size_t)(-(uintptr_t)to % CACHE_LINE), len);

	memcpy(to, from, head);
	to += head;
	from += head;
	for (len -= head; len >= CACHE_LINE; len -= CACHE_LINE) {
		/* A line whole, so that it goes to memory at once. */
		for (size_t i = 0; i < CACHE_LINE; i += sizeof(__m128i))
			_mm_stream_si128((__m128i *)(to + i),
					 _mm_loadu_si128((const __m128i *)(from + i)));
		to += CACHE_LINE;
		from += CACHE_LINE;
	}
	memcpy(to, from, len);
	/* Streaming stores are not ordered with what follows: other CPUs are told of it by that. */
	_mm_sfence();
}
#else
void stream_copy(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
}
#endif
