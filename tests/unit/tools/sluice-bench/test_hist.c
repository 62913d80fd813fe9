/* SPDX-License-Identifier: BSD-3-Clause */
/* Percentiles of the histogram against those of the sorted samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "hist.h"

enum { SAMPLES = 20000 };

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void test_percentiles(void **state)
{
	static const double percents[] = { 1, 50, 90, 99, 99.9, 100 };
	uint64_t *samples = calloc(SAMPLES, sizeof(*samples));
	struct hist *h = calloc(1, sizeof(*h));
	uint64_t sum = 0, x = 1;

	(void)state;
	for (unsigned i = 0; i < SAMPLES; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		samples[i] = x >> (24 + i % 30);
		sum += samples[i];
		hist_add(h, samples[i]);
	}
	qsort(samples, SAMPLES, sizeof(*samples), compare);
	assert_int_equal(h->count, SAMPLES);
	assert_int_equal(h->sum, sum);
	assert_int_equal(h->min, samples[0]);
	assert_int_equal(h->max, samples[SAMPLES - 1]);
	for (unsigned i = 0; i < ARRAY_SIZE(percents); i++) {
		uint64_t rank = (uint64_t)(percents[i] / 100 * SAMPLES + 0.5);
		double want = (double)samples[rank - 1];
		double got = (double)hist_percentile(h, percents[i]);

		assert_true(got >= want && got <= want * 1.016 + 1);
	}
	free(samples);
	free(h);
}

static void test_edges(void **state)
{
	static const uint64_t values[] = { 0, 1, 63, 64, 127, 128, UINT32_MAX, UINT64_MAX };
	struct hist *h = calloc(1, sizeof(*h));
	struct hist *sum = calloc(1, sizeof(*sum));

	(void)state;
	assert_int_equal(hist_percentile(h, 50), 0);
	hist_merge(sum, h);
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		assert_true(hist_bucket(values[i]) < HIST_BUCKETS);
		memset(h, 0, sizeof(*h));
		hist_add(h, values[i]);
		assert_int_equal(hist_percentile(h, 50), values[i]);
		hist_merge(sum, h);
	}
	assert_int_equal(sum->count, ARRAY_SIZE(values));
	assert_int_equal(sum->min, 0);
	assert_int_equal(sum->max, UINT64_MAX);
	free(h);
	free(sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
