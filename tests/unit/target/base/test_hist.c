/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit.h"

#include <stdlib.h>

#include "base/hist.h"

/* Buckets leave nothing out, do not overlap, and none is wider than half of where it begins. */
static void test_bounds(void **state)
{
	(void)state;
	assert_int_equal(hist_bound(0), 1024);
	assert_int_equal(hist_bound(1), 1536);
	assert_int_equal(hist_bound(2), 2048);
	assert_int_equal(hist_bound(HIST_BUCKETS - 2), 1ull << 34);
	assert_true(hist_bound(HIST_BUCKETS - 1) == UINT64_MAX);
	for (unsigned i = 0; i < HIST_BUCKETS - 1; i++) {
		assert_int_equal(hist_index(hist_bound(i) - 1), i);
		assert_int_equal(hist_index(hist_bound(i)), i + 1);
		if (i)
			assert_true(hist_bound(i) - hist_bound(i - 1) <= hist_bound(i - 1) / 2);
	}
	assert_int_equal(hist_index(0), 0);
	assert_int_equal(hist_index(UINT64_MAX), HIST_BUCKETS - 1);
}

static void hist_add(struct hist *hist, uint64_t ns)
{
	hist->buckets[hist_index(ns)]++;
	hist->sum_ns += ns;
}

static void test_percentiles(void **state)
{
	struct hist hist = { 0 };

	(void)state;
	assert_int_equal(hist_percentile(&hist, 500), 0);
	for (unsigned i = 0; i < 99; i++)
		hist_add(&hist, 1100);
	hist_add(&hist, 5000000);
	assert_int_equal(hist_count(&hist), 100);
	assert_int_equal(hist.sum_ns, 99 * 1100 + 5000000);
	assert_int_equal(hist_percentile(&hist, 0), 1536);
	assert_int_equal(hist_percentile(&hist, 500), 1536);
	assert_int_equal(hist_percentile(&hist, 990), 1536);
	assert_int_equal(hist_percentile(&hist, 991), 6291456);
	assert_int_equal(hist_percentile(&hist, 1000), 6291456);
	hist_add(&hist, UINT64_MAX / 2);
	assert_int_equal(hist_percentile(&hist, 1000), 1ull << 34);
}

/* Against what sorting says: the true value is in the bucket that the answer bounds. */
static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void test_against_sorted(void **state)
{
	static uint64_t times[10000];
	struct hist hist = { 0 };
	uint64_t seed = 42;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(times); i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		times[i] = seed >> 33 >> (seed >> 60);
		hist_add(&hist, times[i]);
	}
	qsort(times, ARRAY_SIZE(times), sizeof(times[0]), compare);
	for (unsigned permille = 1; permille <= 1000; permille++) {
		uint64_t exact = times[(ARRAY_SIZE(times) * permille + 999) / 1000 - 1];

		assert_int_equal(hist_percentile(&hist, permille), hist_bound(hist_index(exact)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_against_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
