/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking the kernel about zero-copy sends of registered buffers. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "base/sendzc.h"
#include "unit.h"

static int probe_with_files(rlim_t n)
{
	struct rlimit was, limit;
	int rc;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	limit = was;
	limit.rlim_cur = n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	rc = sendzc_probe();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	return rc;
}

/* The kernel's version says what the answer has to be. */
static int answer_due(void)
{
	struct utsname name;
	int major, minor;

	assert_int_equal(uname(&name), 0);
	assert_int_equal(sscanf(name.release, "%d.%d", &major, &minor), 2);
	return major > 6 || (major == 6 && minor >= 15) ? 0 : -EOPNOTSUPP;
}

static void only_an_answer_is_kept(void **state)
{
	(void)state;
	/* No descriptor left for asking: that is no answer. */
	assert_int_equal(probe_with_files(0), -EMFILE);
	assert_int_equal(sendzc_probe(), answer_due());
	assert_int_equal(probe_with_files(0), answer_due());
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(only_an_answer_is_kept) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
