/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking the kernel about registered dma-bufs. */
#include <errno.h>
#include <sys/resource.h>

#include "base/regbuf.h"
#include "unit.h"

static int probe_with_files(rlim_t n)
{
	struct rlimit was, limit;
	int rc;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	limit = was;
	limit.rlim_cur = n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	rc = regbuf_probe();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	return rc;
}

static void only_an_answer_is_kept(void **state)
{
	int answer;

	(void)state;
	/* No descriptor left for asking: that is no answer. */
	assert_int_equal(probe_with_files(0), -EMFILE);
	answer = regbuf_probe();
	assert_true(!answer || answer == -EOPNOTSUPP);
	assert_int_equal(probe_with_files(0), answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(only_an_answer_is_kept) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
