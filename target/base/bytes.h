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
	unsigned u = 0, whole, tenths;
	uint64_t rest;

	while (u < 6 && bytes >> (10 * (u + 1)))
		u++;
	whole = (unsigned)(bytes >> (10 * u));
	rest = bytes & ((UINT64_C(1) << (10 * u)) - 1);
	tenths = (unsigned)((rest * 10 + (UINT64_C(1) << (10 * u)) / 2) >> (10 * u));
	if (rest)
		snprintf(text.s, sizeof(text.s), "%u.%u %.3s", whole + tenths / 10, tenths % 10,
			 unit[u]);
	else
		snprintf(text.s, sizeof(text.s), "%u %.3s", whole, unit[u]);
	return text;
}

#endif
