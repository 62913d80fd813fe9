/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes of the kernel, those that are not there or not numbers too. */
#include "scratch_root.h"

#include "base/sysfs.h"

static void lines(void **state)
{
	char line[16];

	(void)state;
	scratch_root_write("queue/write_cache", "write back\nmore\n");
	scratch_root_write("queue/empty", "");
	assert_true(sysfs_line(scratch_root, "queue/write_cache", line, sizeof(line)));
	assert_string_equal(line, "write back");
	assert_true(sysfs_line(scratch_root, "queue/write_cache", line, 6));
	assert_string_equal(line, "write");
	assert_false(sysfs_line(scratch_root, "queue/empty", line, sizeof(line)));
	assert_false(sysfs_line(scratch_root, "queue/absent", line, sizeof(line)));
	assert_false(sysfs_line(scratch_root, "queue", line, sizeof(line)));
}

static void numbers(void **state)
{
	static const char *const wrong[] = { "",   "\n",    "x\n",
					     "1x\n", "1 2\n", "18446744073709551616\n" };
	uint64_t number = 7;

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		scratch_root_write("number", wrong[i]);
		assert_false(sysfs_number(scratch_root, "number", &number));
		assert_int_equal(number, 7);
	}
	scratch_root_write("number", "18446744073709551615\n");
	assert_true(sysfs_number(scratch_root, "number", &number));
	assert_true(number == UINT64_MAX);
	scratch_root_write("number", "0");
	assert_true(sysfs_number(scratch_root, "number", &number));
	assert_int_equal(number, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines, scratch_root_make, scratch_root_remove),
		cmocka_unit_test_setup_teardown(numbers, scratch_root_make, scratch_root_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
