/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes as people write them: "256 MiB", "1.5 GiB". */
#ifndef SLUICE_BASE_BYTES_H
#define SLUICE_BASE_BYTES_H

#include <stdint.h>
#include <stdio.h>

struct bytes_text {
	char s[24];
};

/* @bytes in the largest unit of which there is at least one, to a tenth. For messages. */
static inline struct bytes_text bytes_text(uint64_t bytes)
{
	static const char unit[][4] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	struct bytes_text text;
	unsigned u = 0;

	while (u < 6 && bytes >> (10 * (u + 1)))
		u++;
	if (bytes & ((UINT64_C(1) << (10 * u)) - 1))
		snprintf(text.s, sizeof(text.s), "%.1f %s",
			 (double)bytes / (double)(UINT64_C(1) << (10 * u)), unit[u]);
	else
		snprintf(text.s, sizeof(text.s), "%u %s", (unsigned)(bytes >> (10 * u)), unit[u]);
	return text;
}

#endif
