/* SPDX-License-Identifier: BSD-3-Clause */
/* Content that proves itself: what is right passes, and each kind of damage is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "verify.h"

enum { BLOCK = 4096, FIRST = 100, BLOCKS = 64 };

struct disk {
	struct verify v;
	uint8_t *bytes;
	char text[VERIFY_TEXT_MAX];
};

static int setup(void **state)
{
	struct disk *d = calloc(1, sizeof(*d));

	d->bytes = calloc(BLOCKS, BLOCK);
	*state = d;
	return verify_init(&d->v, 7, 3, BLOCK, FIRST, BLOCKS);
}

static int teardown(void **state)
{
	struct disk *d = *state;

	verify_fini(&d->v);
	free(d->bytes);
	free(d);
	return 0;
}

static uint8_t *at(struct disk *d, uint64_t lba)
{
	return d->bytes + (lba - FIRST) * BLOCK;
}

static void write_blocks(struct disk *d, uint64_t lba, uint32_t n)
{
	verify_fill(&d->v, lba, n, at(d, lba));
	verify_written(&d->v, lba, n);
}

static bool check(struct disk *d, uint64_t lba, uint32_t n)
{
	return verify_check(&d->v, lba, n, at(d, lba), d->text);
}

static void expect_bad(struct disk *d, uint64_t lba, uint32_t n, const char *text)
{
	assert_false(check(d, lba, n));
	if (!strstr(d->text, text))
		fail_msg("'%s' does not tell of '%s'", d->text, text);
}

static void test_good(void **state)
{
	struct disk *d = *state;

	assert_true(check(d, FIRST, BLOCKS)); /* never written: nothing is known, nothing checked */
	assert_int_equal(d->v.checked, 0);
	for (int i = 0; i < 5; i++) {
		write_blocks(d, FIRST, 8);
		write_blocks(d, FIRST + 4, 8);
		assert_true(check(d, FIRST, 12));
	}
	assert_int_equal(d->v.checked, 60);
	assert_int_equal(d->v.bad, 0);
	assert_true(verify_known(&d->v, FIRST + 11, 2));
	assert_false(verify_known(&d->v, FIRST + 12, 2));
}

static void test_every_byte_counts(void **state)
{
	struct disk *d = *state;

	write_blocks(d, FIRST, 1);
	for (unsigned i = 0; i < BLOCK; i++) {
		d->bytes[i] ^= 0x40;
		assert_false(check(d, FIRST, 1));
		d->bytes[i] ^= 0x40;
	}
	assert_true(check(d, FIRST, 1));
	assert_int_equal(d->v.bad, BLOCK);
}

static void test_lost_write(void **state)
{
	struct disk *d = *state;
	uint8_t old[BLOCK];

	write_blocks(d, FIRST + 5, 1);
	memcpy(old, at(d, FIRST + 5), BLOCK);
	write_blocks(d, FIRST + 5, 1);
	memcpy(at(d, FIRST + 5), old, BLOCK);
	expect_bad(d, FIRST, 8, "lba 105: expected generation 2");
	assert_non_null(strstr(d->text, "its label: lba 105, generation 1"));
	assert_non_null(strstr(d->text, "of generation 1: a lost write"));
}

static void test_torn_write(void **state)
{
	struct disk *d = *state;
	uint8_t old[BLOCK];

	write_blocks(d, FIRST, 1);
	memcpy(old, d->bytes, BLOCK);
	write_blocks(d, FIRST, 1);
	memcpy(d->bytes + 512, old + 512, BLOCK - 512);
	expect_bad(d, FIRST, 1, "bytes 512 to 4095 are of generation 1: a torn block");
}

static void test_misplaced(void **state)
{
	struct disk *d = *state;

	write_blocks(d, FIRST, 4);
	memcpy(at(d, FIRST + 2), at(d, FIRST + 1), BLOCK);
	expect_bad(d, FIRST, 4, "lba 102: expected generation 1");
	assert_non_null(strstr(d->text, "MISPLACED, lba 101"));
}

static void test_shifted_within_block(void **state)
{
	struct disk *d = *state;

	write_blocks(d, FIRST, 1);
	memmove(d->bytes + 1024, d->bytes + 1032, 1024);
	expect_bad(d, FIRST, 1, "from byte 1024 on");
}

static void test_zeroes(void **state)
{
	struct disk *d = *state;

	write_blocks(d, FIRST, 1);
	memset(d->bytes + 2048, 0, 2048);
	expect_bad(d, FIRST, 1, "bytes 2048 to 4095 are zero");
	memset(d->bytes, 0, BLOCK);
	expect_bad(d, FIRST, 1, "no label");
}

static void test_other_namespace_and_seed(void **state)
{
	struct disk *d = *state;
	struct verify other;

	write_blocks(d, FIRST, 1);
	assert_int_equal(verify_init(&other, 8, 4, BLOCK, FIRST, BLOCKS), 0);
	verify_fill(&other, FIRST, 1, d->bytes);
	expect_bad(d, FIRST, 1, "of another namespace, of another seed");
	verify_fini(&other);
}

/* A write of unknown outcome: both contents are right, until one of them was seen. */
static void test_uncertain(void **state)
{
	struct disk *d = *state;
	uint8_t old[BLOCK], new[BLOCK];

	write_blocks(d, FIRST, 1);
	memcpy(old, d->bytes, BLOCK);
	verify_fill(&d->v, FIRST, 1, new);
	verify_uncertain(&d->v, FIRST, 1);
	assert_true(check(d, FIRST, 1)); /* the old one is there, and from now on it has to be */
	memcpy(d->bytes, new, BLOCK);
	assert_false(check(d, FIRST, 1));

	memcpy(d->bytes, old, BLOCK);
	write_blocks(d, FIRST, 1);
	verify_fill(&d->v, FIRST, 1, new);
	verify_uncertain(&d->v, FIRST, 1);
	verify_uncertain(&d->v, FIRST, 1);
	memcpy(d->bytes, new, BLOCK);
	assert_true(check(d, FIRST, 1));
	memcpy(d->bytes, old, BLOCK);
	assert_false(check(d, FIRST, 1)); /* older than the last one that was certain */
}

static void test_uncertain_before_first_write(void **state)
{
	struct disk *d = *state;

	verify_uncertain(&d->v, FIRST, 2);
	assert_true(check(d, FIRST, 2));
	assert_false(verify_known(&d->v, FIRST, 2));
	/* So many unknown outcomes that the table cannot hold them: no longer known, never wrong. */
	write_blocks(d, FIRST, 1);
	for (int i = 0; i < 256; i++)
		verify_uncertain(&d->v, FIRST, 1);
	assert_false(verify_known(&d->v, FIRST, 1));
}

static void test_claim(void **state)
{
	struct disk *d = *state;

	assert_true(verify_claim(&d->v, FIRST + 10, 4));
	assert_false(verify_claim(&d->v, FIRST + 13, 1));
	assert_false(verify_claim(&d->v, FIRST + 8, 3));
	assert_true(verify_claim(&d->v, FIRST + 8, 2));
	assert_true(verify_claim(&d->v, FIRST + 14, BLOCKS - 14));
	verify_release(&d->v, FIRST + 10, 4);
	assert_true(verify_claim(&d->v, FIRST + 10, 4));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_good), T(test_every_byte_counts), T(test_lost_write), T(test_torn_write),
		T(test_misplaced), T(test_shifted_within_block), T(test_zeroes),
		T(test_other_namespace_and_seed), T(test_uncertain),
		T(test_uncertain_before_first_write), T(test_claim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
