/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Histogram of times: buckets grow with what they hold, two to each power of two, so that 50 of them
 * reach from a microsecond to 17 seconds and a bound is never more than half above what it bounds.
 */
#ifndef SLUICE_BASE_HIST_H
#define SLUICE_BASE_HIST_H

#include <stdint.h>

enum {
	HIST_FIRST_SHIFT = 10, /* the first bucket is for less than 1024 ns */
	HIST_OCTAVES = 24,
	HIST_BUCKETS =
		2 * HIST_OCTAVES + 2, /* that one, two for each octave, and one for all beyond */
};

struct hist {
	uint64_t sum_ns;
	uint64_t buckets[HIST_BUCKETS];
};

/* The bucket for @ns. */
static inline unsigned hist_index(uint64_t ns)
{
	unsigned shift, index;

	if (ns >> HIST_FIRST_SHIFT == 0)
		return 0;
	shift = 63u - (unsigned)__builtin_clzll(ns);
	index = 2 * (shift - HIST_FIRST_SHIFT) + 1 + (unsigned)(ns >> (shift - 1) & 1);
	return index < HIST_BUCKETS ? index : HIST_BUCKETS - 1;
}

/* What is in bucket @index is below that, in ns; UINT64_MAX for the last one, which has no bound. */
static inline uint64_t hist_bound(unsigned index)
{
	uint64_t half;

	if (index == HIST_BUCKETS - 1)
		return UINT64_MAX;
	half = 1ull << (HIST_FIRST_SHIFT - 1 + index / 2);
	return index % 2 ? 3 * half : 2 * half;
}

/* Times that @hist, which nobody adds to meanwhile, holds. */
static inline uint64_t hist_count(const struct hist *hist)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		count += hist->buckets[i];
	return count;
}

/*
 * The time that @permille of the times in @hist do not exceed, as far as buckets tell: the upper bound
 * of the one it lies in; of the last, its lower bound. 0 when there are none.
 */
static inline uint64_t hist_percentile(const struct hist *hist, unsigned permille)
{
	uint64_t count = hist_count(hist), below = 0, rank;

	if (!count)
		return 0;
	rank = (uint64_t)(((unsigned __int128)count * permille + 999) / 1000);
	rank = rank ? rank : 1;
	for (unsigned i = 0; i < HIST_BUCKETS - 1; i++) {
		below += hist->buckets[i];
		if (below >= rank)
			return hist_bound(i);
	}
	return hist_bound(HIST_BUCKETS - 2);
}

#endif
