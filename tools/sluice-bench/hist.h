/* SPDX-License-Identifier: BSD-3-Clause */
/* Log-linear histogram of durations: 64 steps to each power of two, so 1.6 % wide at most. */
#ifndef SLUICE_BENCH_HIST_H
#define SLUICE_BENCH_HIST_H

#include <stdint.h>

enum {
	HIST_SHIFT = 6,
	HIST_STEPS = 1 << HIST_SHIFT,
	HIST_BUCKETS = (64 - HIST_SHIFT + 1) * HIST_STEPS,
};

struct hist {
	uint64_t count, sum, min, max; /* ns */
	uint64_t buckets[HIST_BUCKETS];
};

static inline unsigned hist_bucket(uint64_t ns)
{
	unsigned shift;

	if (ns < HIST_STEPS)
		return (unsigned)ns;
	shift = 63u - (unsigned)__builtin_clzll(ns) - HIST_SHIFT;
	return (shift + 1) * HIST_STEPS + (unsigned)(ns >> shift) - HIST_STEPS;
}

static inline void hist_add(struct hist *h, uint64_t ns)
{
	if (h->count == 0 || ns < h->min)
		h->min = ns;
	if (ns > h->max)
		h->max = ns;
	h->count++;
	h->sum += ns;
	h->buckets[hist_bucket(ns)]++;
}

/* Adds all of @from to @to. */
void hist_merge(struct hist *to, const struct hist *from);

/* The value in ns that @percent (0 to 100) of the samples do not exceed; 0 without samples. */
uint64_t hist_percentile(const struct hist *h, double percent);

#endif
