/* SPDX-License-Identifier: BSD-3-Clause */
#include "faults.h"

#define NAME_100                                             \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_valid(void **state)
{
	static const char *const names[] = {
		"nqn.2014-08.org.nvmexpress.discovery",
		"nqn.2014-08.org.nvmexpress:uuid:2b1a3c4d-5e6f-4071-8293-a4b5c6d7e8f9",
		"nqn.2014-08.org.nvmexpress:uuid:2B1A3C4D-5E6F-4071-8293-A4B5C6D7E8F9",
		"nqn.2026-11.io.sluice:vol",
		"nqn.2010-06.com.3par:a",
		"nqn.2020-01.test:x",
		"nqn.2020-12.com.ex-ample:a/b:c]d;e",
		"nqn.2020-01.com.example:\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80",
		"nqn.2020-01." LABEL_63 ":x",
		/* 223 bytes: 20 and 203. */
		"nqn.2020-01.com.exa:" NAME_100 NAME_100 "abc",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!config_nqn_valid(names[i]))
			fail_msg("refused: %s", names[i]);
	}
	assert_int_equal(strlen(names[ARRAY_SIZE(names) - 1]), 223);
}

static void test_invalid(void **state)
{
	static const char *const names[] = {
		"",
		"nqn.",
		"iqn.2020-01.com.example:x",
		"NQN.2020-01.com.example:x",
		"nqn.202-01.com.example:x",
		"nqn.20200-01.com.example:x",
		"nqn.2020-1.com.example:x",
		"nqn.2020-00.com.example:x",
		"nqn.2020-13.com.example:x",
		"nqn.2020-01:x",
		"nqn.2020-01.:x",
		"nqn.2020-01.com.example",
		"nqn.2020-01.com.example:",
		"nqn.2020-01.com..example:x",
		"nqn.2020-01.com.-example:x",
		"nqn.2020-01.com.example-:x",
		"nqn.2020-01.com.ex_ample:x",
		"nqn.2020-01.a" LABEL_63 ":x",
		"nqn.2020-01.com.example:a b",
		"nqn.2020-01.com.example:a\tb",
		"nqn.2020-01.com.example:a\x7f",
		"nqn.2020-01.com.example:\x80",
		"nqn.2020-01.com.example:\xc3",
		"nqn.2020-01.com.example:\xc0\x80",
		"nqn.2020-01.com.example:\xc2\x85",
		"nqn.2020-01.com.example:\xe0\x80\x80",
		"nqn.2020-01.com.example:\xed\xa0\x80",
		"nqn.2020-01.com.example:\xf0\x80\x80\x80",
		"nqn.2020-01.com.example:\xf4\x90\x80\x80",
		"nqn.2020-01.com.example:\xf8\x88\x80\x80\x80",
		"nqn.2014-08.org.nvmexpress:uuid:",
		"nqn.2014-08.org.nvmexpress:uuid:2b1a3c4d-5e6f-4071-8293-a4b5c6d7e8f",
		"nqn.2014-08.org.nvmexpress:uuid:2b1a3c4d-5e6f-4071-8293-a4b5c6d7e8f99",
		"nqn.2014-08.org.nvmexpress:uuid:2b1a3c4d+5e6f-4071-8293-a4b5c6d7e8f9",
		"nqn.2014-08.org.nvmexpress:uuid:2b1a3c4g-5e6f-4071-8293-a4b5c6d7e8f9",
		"nqn.2020-01.com.exa:" NAME_100 NAME_100 "abcd", /* 224 bytes */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (config_nqn_valid(names[i]))
			fail_msg("accepted: %s", names[i]);
	}
}

static void test_hosts_allow(void **state)
{
	char names[2][CONFIG_NQN_MAX] = { "nqn.2020-01.a:x", "nqn.2020-01.a:y" };
	struct config_hosts hosts = { .nqn = names, .n = 2 };

	(void)state;
	assert_true(config_hosts_allow(&hosts, "nqn.2020-01.a:x"));
	assert_true(config_hosts_allow(&hosts, "nqn.2020-01.a:y"));
	assert_false(config_hosts_allow(&hosts, "nqn.2020-01.a:z"));
	assert_false(config_hosts_allow(&hosts, "nqn.2020-01.a:xx"));
	assert_false(config_hosts_allow(&hosts, "NQN.2020-01.a:x"));
	hosts.any = true;
	assert_true(config_hosts_allow(&hosts, "nqn.2020-01.a:z"));
	hosts = (struct config_hosts){ 0 };
	assert_false(config_hosts_allow(&hosts, "nqn.2020-01.a:x"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_hosts_allow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
