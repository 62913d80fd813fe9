/* SPDX-License-Identifier: BSD-3-Clause */
/* Each type of value: what it takes, what it makes of it, what it refuses, how it prints. */
#include <errno.h>

#include "config/value.h"
#include "faults.h"

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static union {
	struct config_daemon daemon;
	struct config_memory memory;
	struct config_discovery discovery;
	struct config_listener listener;
	struct config_subsystem subsystem;
	struct config_namespace ns;
	struct config_referral referral;
} object;

static const struct setting *row_find(enum section_id section, const char *key)
{
	unsigned n;
	const struct setting *rows = section_settings(section, &n);

	for (unsigned i = 0; i < n; i++) {
		if (strcmp(rows[i].key, key) == 0)
			return &rows[i];
	}
	fail_msg("no row %s", key);
	return NULL;
}

/* @out: what @in prints as again, or NULL when it must be refused. */
static const struct value_case {
	enum section_id section;
	const char *key, *in, *out;
} cases[] = {
	/* number, with a word for 0 */
	{ SECTION_DAEMON, "workers", "1", "1" },
	{ SECTION_DAEMON, "workers", "64", "64" },
	{ SECTION_DAEMON, "workers", "0x10", "16" },
	{ SECTION_DAEMON, "workers", "010", "10" },
	{ SECTION_DAEMON, "workers", "auto", "auto" },
	{ SECTION_DAEMON, "workers", "AUTO", "auto" },
	{ SECTION_DAEMON, "workers", "0", "auto" },
	{ SECTION_DAEMON, "workers", "65", NULL },
	{ SECTION_DAEMON, "workers", "-1", NULL },
	{ SECTION_DAEMON, "workers", "+1", NULL },
	{ SECTION_DAEMON, "workers", "1.5", NULL },
	{ SECTION_DAEMON, "workers", "1 2", NULL },
	{ SECTION_DAEMON, "workers", "0x", NULL },
	{ SECTION_DAEMON, "workers", "0xg", NULL },
	{ SECTION_DAEMON, "workers", "18446744073709551616", NULL },
	{ SECTION_DAEMON, "workers", "18446744073709551617", NULL },
	{ SECTION_DAEMON, "workers", "four", NULL },
	{ SECTION_DAEMON, "spin_us", "0", "0" },
	{ SECTION_DAEMON, "spin_us", "1000", "1000" },
	{ SECTION_DAEMON, "spin_us", "1001", NULL },
	{ SECTION_DAEMON, "spin_us", "auto", NULL },
	{ SECTION_LISTENER, "port", "1", "1" },
	{ SECTION_LISTENER, "port", "65535", "65535" },
	{ SECTION_LISTENER, "port", "0", NULL },
	{ SECTION_LISTENER, "port", "65536", NULL },
	{ SECTION_DISCOVERY, "port", "none", "none" },
	{ SECTION_DISCOVERY, "port", "0", "none" },
	{ SECTION_DISCOVERY, "port", "65536", NULL },
	{ SECTION_SUBSYSTEM, "cntlid_max", "0xffef", "65519" },
	{ SECTION_SUBSYSTEM, "cntlid_max", "0xFFEF", "65519" },
	{ SECTION_SUBSYSTEM, "cntlid_max", "0xfff0", NULL },
	{ SECTION_SUBSYSTEM, "max_queue_depth", "31", NULL },
	{ SECTION_SUBSYSTEM, "max_queue_depth", "1025", NULL },
	{ SECTION_SUBSYSTEM, "max_io_queues", "129", NULL },
	{ SECTION_NAMESPACE, "ana_group", "16", "16" },
	{ SECTION_NAMESPACE, "ana_group", "17", NULL },

	/* size */
	{ SECTION_MEMORY, "per_worker", "4M", "4M" },
	{ SECTION_MEMORY, "per_worker", "4194304", "4M" },
	{ SECTION_MEMORY, "per_worker", "5000k", "5000K" },
	{ SECTION_MEMORY, "per_worker", "1T", "1T" },
	{ SECTION_MEMORY, "per_worker", "1025G", NULL },
	{ SECTION_MEMORY, "per_worker", "4095K", NULL },
	{ SECTION_MEMORY, "per_worker", "4194305", NULL },
	{ SECTION_MEMORY, "per_worker", "256 M", NULL },
	{ SECTION_MEMORY, "per_worker", "256MB", NULL },
	{ SECTION_MEMORY, "per_worker", "M", NULL },
	{ SECTION_MEMORY, "per_worker", "1.5G", NULL },
	{ SECTION_MEMORY, "per_worker", "16777216T", NULL },
	{ SECTION_MEMORY, "per_worker", "auto", NULL },
	{ SECTION_LISTENER, "in_capsule", "0", "0" },
	{ SECTION_LISTENER, "in_capsule", "4112", "4112" },
	{ SECTION_LISTENER, "in_capsule", "16384", "16K" },
	{ SECTION_LISTENER, "in_capsule", "4100", NULL },
	{ SECTION_LISTENER, "in_capsule", "16400", NULL },
	{ SECTION_LISTENER, "r2t_window", "4095", NULL },
	{ SECTION_LISTENER, "send_zc_min", "never", "never" },
	{ SECTION_LISTENER, "send_zc_min", "0", "never" },
	{ SECTION_LISTENER, "send_zc_min", "4K", "4K" },
	{ SECTION_LISTENER, "send_zc_min", "1M", "1M" },
	{ SECTION_LISTENER, "send_zc_min", "3584", NULL },
	{ SECTION_LISTENER, "send_zc_min", "4097", NULL },
	{ SECTION_LISTENER, "send_zc_min", "2M", NULL },
	{ SECTION_SUBSYSTEM, "max_transfer", "4K", "4K" },
	{ SECTION_SUBSYSTEM, "max_transfer", "1024k", "1M" },
	{ SECTION_SUBSYSTEM, "max_transfer", "12K", NULL },
	{ SECTION_SUBSYSTEM, "max_transfer", "2M", NULL },
	{ SECTION_SUBSYSTEM, "max_transfer", "2K", NULL },
	{ SECTION_NAMESPACE, "size", "auto", "auto" },
	{ SECTION_NAMESPACE, "size", "1024T", "1024T" },
	{ SECTION_NAMESPACE, "size", "1000", NULL },
	{ SECTION_NAMESPACE, "block_size", "auto", "auto" },
	{ SECTION_NAMESPACE, "block_size", "512", "512" },
	{ SECTION_NAMESPACE, "block_size", "64K", "64K" },
	{ SECTION_NAMESPACE, "block_size", "520", NULL },
	{ SECTION_NAMESPACE, "block_size", "128K", NULL },

	/* duration */
	{ SECTION_DAEMON, "drain", "0ms", "0ms" },
	{ SECTION_DAEMON, "drain", "0s", "0ms" },
	{ SECTION_DAEMON, "drain", "1500ms", "1500ms" },
	{ SECTION_DAEMON, "drain", "2000ms", "2s" },
	{ SECTION_DAEMON, "drain", "90s", "90s" },
	{ SECTION_DAEMON, "drain", "120s", "2m" },
	{ SECTION_DAEMON, "drain", "1H", "1h" },
	{ SECTION_DAEMON, "drain", "61m", NULL },
	{ SECTION_DAEMON, "drain", "10", NULL },
	{ SECTION_DAEMON, "drain", "s", NULL },
	{ SECTION_DAEMON, "drain", "1d", NULL },
	{ SECTION_DAEMON, "drain", "18446744073709551615h", NULL },

	/* bool */
	{ SECTION_LISTENER, "data_digest", "yes", "yes" },
	{ SECTION_LISTENER, "data_digest", "no", "no" },
	{ SECTION_LISTENER, "data_digest", "true", "yes" },
	{ SECTION_LISTENER, "data_digest", "false", "no" },
	{ SECTION_LISTENER, "data_digest", "On", "yes" },
	{ SECTION_LISTENER, "data_digest", "OFF", "no" },
	{ SECTION_LISTENER, "data_digest", "1", NULL },
	{ SECTION_LISTENER, "data_digest", "y", NULL },

	/* choice */
	{ SECTION_DAEMON, "log_level", "error", "error" },
	{ SECTION_DAEMON, "log_level", "Debug", "debug" },
	{ SECTION_DAEMON, "log_level", "verbose", NULL },
	{ SECTION_LISTENER, "receive", "recv", "recv" },
	{ SECTION_LISTENER, "require", "zerocopy", "zerocopy" },
	{ SECTION_LISTENER, "require", "zero", NULL },

	/* word */
	{ SECTION_DAEMON, "user", "nobody", "nobody" },
	{ SECTION_DAEMON, "user", L63, L63 },
	{ SECTION_DAEMON, "user", L63 "a", NULL },
	{ SECTION_DAEMON, "user", "a b", NULL },
	{ SECTION_DAEMON, "user", "a/b", NULL },

	/* text */
	{ SECTION_SUBSYSTEM, "serial", "SN 1", "SN 1" },
	{ SECTION_SUBSYSTEM, "serial", "12345678901234567890", "12345678901234567890" },
	{ SECTION_SUBSYSTEM, "serial", "123456789012345678901", NULL },
	{ SECTION_SUBSYSTEM, "serial", "\xc3\xbc", NULL },
	{ SECTION_SUBSYSTEM, "serial", "a\tb", NULL },

	/* path */
	{ SECTION_NAMESPACE, "path", "/dev/nvme0n1", "/dev/nvme0n1" },
	{ SECTION_NAMESPACE, "path", "/a b/\xc3\xbc", "/a b/\xc3\xbc" },
	{ SECTION_NAMESPACE, "path", "dev/nvme0n1", NULL },
	{ SECTION_NAMESPACE, "path", "/" L63 L63 L63 L63 "aa", "/" L63 L63 L63 L63 "aa" },
	{ SECTION_NAMESPACE, "path", "/" L63 L63 L63 L63 "aaa", NULL },
	{ SECTION_DAEMON, "control_socket", "/" L63 L63, NULL },

	/* address */
	{ SECTION_LISTENER, "address", "127.0.0.1", "127.0.0.1" },
	{ SECTION_LISTENER, "address", "0:0:0:0:0:0:0:1", "::1" },
	{ SECTION_LISTENER, "address", "2001:DB8::A", "2001:db8::a" },
	{ SECTION_LISTENER, "address", "::", "::" },
	{ SECTION_LISTENER, "address", "localhost", NULL },
	{ SECTION_LISTENER, "address", "127.1", NULL },
	{ SECTION_LISTENER, "address", "256.0.0.1", NULL },
	{ SECTION_LISTENER, "address", "[::1]", NULL },
	{ SECTION_LISTENER, "address", "127.0.0.1:4420", NULL },

	/* nqn */
	{ SECTION_DISCOVERY, "nqn", "nqn.2020-01.a:x", "nqn.2020-01.a:x" },
	{ SECTION_DISCOVERY, "nqn", "x", NULL },
	{ SECTION_SUBSYSTEM, "allow_host", "nqn.2020-01.a:x", "nqn.2020-01.a:x" },
	{ SECTION_SUBSYSTEM, "allow_host", "any", NULL },

	/* uuid and hexadecimal identifiers */
	{ SECTION_NAMESPACE, "uuid", "2B1A3c4d-5e6f-4071-8293-a4b5c6d7e8f9",
	  "2b1a3c4d-5e6f-4071-8293-a4b5c6d7e8f9" },
	{ SECTION_NAMESPACE, "uuid", "00000000-0000-0000-0000-000000000000", NULL },
	{ SECTION_NAMESPACE, "uuid", "2b1a3c4d5e6f40718293a4b5c6d7e8f9", NULL },
	{ SECTION_NAMESPACE, "uuid", "2b1a3c4d-5e6f-4071-8293-a4b5c6d7e8f", NULL },
	{ SECTION_NAMESPACE, "uuid", "2b1a3c4d-5e6f-4071-8293-a4b5c6d7e8f9a", NULL },
	{ SECTION_NAMESPACE, "uuid", "{2b1a3c4d-5e6f-4071-8293-a4b5c6d7e8f9}", NULL },
	{ SECTION_NAMESPACE, "uuid", "2", NULL },
	{ SECTION_NAMESPACE, "nguid", "0123456789ABCDEF0123456789abcdef",
	  "0123456789abcdef0123456789abcdef" },
	{ SECTION_NAMESPACE, "nguid", "0123456789abcdef0123456789abcde", NULL },
	{ SECTION_NAMESPACE, "nguid", "00000000000000000000000000000000", NULL },
	{ SECTION_NAMESPACE, "eui64", "0123456789abcdef", "0123456789abcdef" },
	{ SECTION_NAMESPACE, "eui64", "0x0123456789abcdef", NULL },
	{ SECTION_NAMESPACE, "eui64", "0123456789abcdefab", NULL },
	{ SECTION_NAMESPACE, "eui64", "0123456789abcdeg", NULL },
	{ SECTION_NAMESPACE, "eui64", "0000000000000000", NULL },

	/* fault rules */
	{ SECTION_NAMESPACE, "fault", "op=read status=281h", "op=read status=281h" },
	{ SECTION_NAMESPACE, "fault", L63 "12345678901234567890123456789012",
	  L63 "12345678901234567890123456789012" },
	{ SECTION_NAMESPACE, "fault", L63 "123456789012345678901234567890123", NULL },
	{ SECTION_NAMESPACE, "fault", "\xc3\xbc", NULL },
};

static void case_check(const struct value_case *c)
{
	const struct setting *row = row_find(c->section, c->key);
	char *text = NULL, expected[512];
	size_t len = 0;
	FILE *out;
	int rc;

	memset(&object, 0, sizeof(object));
	rc = row->type->parse(row, &object, c->in);
	if (rc != (c->out ? 0 : -EINVAL))
		fail_msg("%s = %s: parse() returned %d", c->key, c->in, rc);
	if (!c->out) {
		/* Refused and untouched. */
		for (size_t i = 0; i < sizeof(object); i++)
			assert_int_equal(((const char *)&object)[i], 0);
		return;
	}
	out = open_memstream(&text, &len);
	assert_non_null(out);
	row->type->print(row, &object, out);
	assert_int_equal(fclose(out), 0);
	snprintf(expected, sizeof(expected), "%s = %s\n", c->key, c->out);
	assert_string_equal(text, expected);
	free(text);
	if (row->type == &value_hosts)
		free(object.subsystem.hosts.nqn);
}

static void test_cases(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		case_check(&cases[i]);
}

static void test_stored(void **state)
{
	static const uint8_t uuid[16] = { 0x2b, 0x1a, 0x3c, 0x4d, 0x5e, 0x6f, 0x40, 0x71,
					  0x82, 0x93, 0xa4, 0xb5, 0xc6, 0xd7, 0xe8, 0xf9 };
	static const uint8_t eui64[8] = { 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
	const struct setting *row;

	(void)state;
	memset(&object, 0, sizeof(object));
	row = row_find(SECTION_DAEMON, "drain");
	assert_int_equal(row->type->parse(row, &object, "10s"), 0);
	assert_int_equal(object.daemon.drain_ms, 10000);

	memset(&object, 0, sizeof(object));
	row = row_find(SECTION_NAMESPACE, "size");
	assert_int_equal(row->type->parse(row, &object, "3G"), 0);
	assert_true(object.ns.size == 3ull << 30);
	row = row_find(SECTION_NAMESPACE, "uuid");
	assert_int_equal(row->type->parse(row, &object, "2b1a3c4d-5e6f-4071-8293-a4b5c6d7e8f9"), 0);
	assert_memory_equal(object.ns.uuid, uuid, 16);
	assert_true(object.ns.has_uuid);
	assert_false(object.ns.has_eui64);
	row = row_find(SECTION_NAMESPACE, "eui64");
	assert_int_equal(row->type->parse(row, &object, "0123456789abcdef"), 0);
	assert_memory_equal(object.ns.eui64, eui64, 8);
	assert_true(object.ns.has_eui64);
}

static void test_lists_full(void **state)
{
	const struct setting *row = row_find(SECTION_NAMESPACE, "fault");

	(void)state;
	memset(&object, 0, sizeof(object));
	for (unsigned i = 0; i < CONFIG_FAULT_RULES; i++)
		assert_int_equal(row->type->parse(row, &object, "rule"), 0);
	assert_int_equal(row->type->parse(row, &object, "rule"), -ENOSPC);
	assert_int_equal(object.ns.n_faults, CONFIG_FAULT_RULES);

	memset(&object, 0, sizeof(object));
	row = row_find(SECTION_SUBSYSTEM, "allow_host");
	for (unsigned i = 0; i < CONFIG_HOSTS_MAX; i++)
		assert_int_equal(row->type->parse(row, &object, "nqn.2020-01.a:x"), 0);
	assert_int_equal(row->type->parse(row, &object, "nqn.2020-01.a:x"), -ENOSPC);
	free(object.subsystem.hosts.nqn);
}

/* Rows of a section are together, keys are unique, and every default is a valid value. */
static void test_table(void **state)
{
	unsigned total = 0;
	char form[VALUE_FORM_MAX];

	(void)state;
	for (enum section_id id = 0; id < SECTIONS; id++) {
		unsigned n;
		const struct setting *rows = section_settings(id, &n);

		total += n;
		assert_true(n > 0 && n <= SETTINGS_PER_SECTION_MAX);
		memset(&object, 0, sizeof(object));
		for (unsigned i = 0; i < n; i++) {
			for (unsigned j = 0; j < i; j++)
				assert_string_not_equal(rows[i].key, rows[j].key);
			assert_int_equal(!!rows[i].def + !!rows[i].absent + rows[i].required, 1);
			if (rows[i].def)
				assert_int_equal(
					rows[i].type->parse(&rows[i], &object, rows[i].def), 0);
			memset(form, 0, sizeof(form));
			rows[i].type->describe(&rows[i], form);
			assert_true(strlen(form) > 0 && strlen(form) < sizeof(form) - 1);
			assert_non_null(rows[i].help);
		}
	}
	assert_int_equal(total, n_settings);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_stored),
		cmocka_unit_test(test_lists_full),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
