/* SPDX-License-Identifier: BSD-3-Clause */
#include "hist.h"

#include "base/compiler.h"

void hist_merge(struct hist *to, const struct hist *from)
{
	if (from->count == 0)
		return;
	to->min = to->count ? MIN(to->min, from->min) : from->min;
	to->max = MAX(to->max, from->max);
	to->count += from->count;
	to->sum += from->sum;
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
}

/* The largest value that falls into bucket @i. */
static uint64_t bucket_top(unsigned i)
{
	unsigned shift;

	if (i < HIST_STEPS)
		return i;
	shift = i / HIST_STEPS - 1;
	return ((uint64_t)(i % HIST_STEPS + HIST_STEPS + 1) << shift) - 1;
}

uint64_t hist_percentile(const struct hist *h, double percent)
{
	uint64_t rank = (uint64_t)(percent / 100.0 * (double)h->count + 0.5);
	uint64_t seen = 0, top;

	for (unsigned i = 0; i < HIST_BUCKETS && h->count; i++) {
		seen += h->buckets[i];
		if (seen < rank || seen == 0)
			continue;
		top = MIN(bucket_top(i), h->max);
		return MAX(top, h->min);
	}
	return 0;
}
