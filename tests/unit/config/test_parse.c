/* SPDX-License-Identifier: BSD-3-Clause */
/* What a good configuration becomes. */
#include <errno.h>

#include "base/log.h"
#include "faults.h"

#define NQN	"nqn.2020-01.com.example:a"
#define X50	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define NQN_223 "nqn.2020-01.com.exa:" X50 X50 X50 X50 "xxx"

static void test_defaults(void **state)
{
	struct config c;

	(void)state;
	parse_good(&c, "[listener tcp]\n[subsystem " NQN "]\n"
		       "[namespace " NQN "/1]\nbackend = ram\nsize = 1G\n"
		       "[referral r]\naddress = 192.0.2.1\n");
	assert_int_equal(c.daemon.workers, 0);
	assert_string_equal(c.daemon.control_socket, "/run/sluice/control.sock");
	assert_string_equal(c.daemon.user, "");
	assert_string_equal(c.daemon.group, "");
	assert_int_equal(c.daemon.spin_us, 20);
	assert_int_equal(c.daemon.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c.daemon.max_connections, 1024);
	assert_int_equal(c.daemon.drain_ms, 10000);
	assert_string_equal(c.memory.provider, "auto");
	assert_true(c.memory.per_worker == 256ull << 20);
	assert_int_equal(c.discovery.port, 8009);
	assert_string_equal(c.discovery.nqn, "");

	assert_int_equal(c.n_listeners, 1);
	assert_string_equal(c.listeners[0].name, "tcp");
	assert_string_equal(c.listeners[0].transport, "tcp");
	assert_string_equal(c.listeners[0].address, "0.0.0.0");
	assert_int_equal(c.listeners[0].port, 4420);
	assert_int_equal(c.listeners[0].receive, CONFIG_RECEIVE_AUTO);
	assert_int_equal(c.listeners[0].require, CONFIG_REQUIRE_NONE);
	assert_int_equal(c.listeners[0].in_capsule, 16384);
	assert_int_equal(c.listeners[0].r2t_window, 1 << 20);
	assert_int_equal(c.listeners[0].send_zc_min, 32768);
	assert_true(c.listeners[0].header_digest);
	assert_true(c.listeners[0].data_digest);
	assert_false(c.listeners[0].discovery_only);
	assert_string_equal(c.listeners[0].where.file, "t.conf");
	assert_int_equal(c.listeners[0].where.line, 1);

	assert_int_equal(c.n_subsystems, 1);
	assert_string_equal(c.subsystems[0].nqn, NQN);
	assert_string_equal(c.subsystems[0].model, "");
	assert_false(c.subsystems[0].hosts.any);
	assert_int_equal(c.subsystems[0].hosts.n, 0);
	assert_int_equal(c.subsystems[0].max_io_queues, 128);
	assert_int_equal(c.subsystems[0].max_queue_depth, 1024);
	assert_int_equal(c.subsystems[0].cntlid_min, 1);
	assert_int_equal(c.subsystems[0].cntlid_max, 0xffef);
	assert_int_equal(c.subsystems[0].max_transfer, 1 << 20);
	assert_int_equal(c.subsystems[0].where.line, 2);

	assert_int_equal(c.n_namespaces, 1);
	assert_string_equal(c.namespaces[0].subsystem, NQN);
	assert_int_equal(c.namespaces[0].nsid, 1);
	assert_true(c.namespaces[0].size == 1ull << 30);
	assert_int_equal(c.namespaces[0].block_size, 0);
	assert_true(c.namespaces[0].hosts.any);
	assert_false(c.namespaces[0].read_only);
	assert_false(c.namespaces[0].allow_mounted);
	assert_int_equal(c.namespaces[0].ana_group, 1);
	assert_int_equal(c.namespaces[0].where.line, 3);

	assert_int_equal(c.n_referrals, 1);
	assert_string_equal(c.referrals[0].transport, "tcp");
	assert_int_equal(c.referrals[0].port, 8009);
	assert_string_equal(c.referrals[0].nqn, "nqn.2014-08.org.nvmexpress.discovery");
	config_free(&c);
	assert_null(c.listeners);
}

/* How a line may be written. */
static void test_lines(void **state)
{
	struct config c;

	(void)state;
	parse_good(&c, "\xef\xbb\xbf# comment \x01 after a byte order mark\n"
		       "  ; comment\r\n"
		       "\n"
		       "\t[ listener   tcp ] ; comment ]\r\n"
		       "  port=1 ; comment = x\r\n"
		       "  address :\t127.0.0.1\t; comment\n"
		       "    [subsystem " NQN ";x]\n"
		       "    model = a;b # c");
	assert_int_equal(c.listeners[0].port, 1);
	assert_int_equal(c.listeners[0].where.line, 4);
	assert_string_equal(c.listeners[0].name, "tcp");
	assert_string_equal(c.listeners[0].address, "127.0.0.1");
	assert_string_equal(c.subsystems[0].nqn, NQN ";x");
	assert_string_equal(c.subsystems[0].model, "a;b # c");
	config_free(&c);
}

/* The longest names pass whole. */
static void test_long_names(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(strlen(NQN_223), 223);
	parse_good(&c, "[listener a]\n[subsystem " NQN_223 "]\nallow_host = " NQN_223 "\n"
		       "[namespace " NQN_223 "/1024]\nbackend = ram\nsize = 1M\n"
		       "allow_host = " NQN_223 "\n[discovery]\nnqn = " NQN "\n");
	assert_string_equal(c.subsystems[0].nqn, NQN_223);
	assert_string_equal(c.subsystems[0].hosts.nqn[0], NQN_223);
	assert_string_equal(c.namespaces[0].subsystem, NQN_223);
	assert_int_equal(c.namespaces[0].nsid, 1024);
	assert_string_equal(c.namespaces[0].hosts.nqn[0], NQN_223);
	config_free(&c);
}

/* A line is taken whole up to what fits into the line buffer, else refused, never cut. */
static void test_line_limit(void **state)
{
	static const char head[] = "[listener a]\nport = 1 ;";
	char text[2048];
	struct config c;

	(void)state;
	memset(text, 'c', sizeof(text));
	memcpy(text, head, sizeof(head) - 1);
	text[13 + 1022] = '\0';
	parse_good(&c, text);
	config_free(&c);
	text[13 + 1022] = 'c';
	assert_non_null(strstr(parse_bad(text, 13 + 1023, -EINVAL)->text,
			       "t.conf:2: the line is longer than 1022 bytes"));
}

static void test_merge(void **state)
{
	struct config c;

	(void)state;
	parse_good(&c, "[listener a]\nport = 1\naddress = 127.0.0.1\n"
		       "[subsystem " NQN "]\nallow_host = nqn.2020-01.a:x\n"
		       "allow_host = nqn.2020-01.a:y\n"
		       "[listener a]\nport = 2\n"
		       "[subsystem " NQN "]\nallow_host = nqn.2020-01.a:z\n");
	assert_int_equal(c.n_listeners, 1);
	assert_int_equal(c.listeners[0].port, 2);
	assert_string_equal(c.listeners[0].address, "127.0.0.1");
	assert_int_equal(c.listeners[0].where.line, 1);
	assert_int_equal(c.n_subsystems, 1);
	assert_int_equal(c.subsystems[0].hosts.n, 3);
	assert_string_equal(c.subsystems[0].hosts.nqn[0], "nqn.2020-01.a:x");
	assert_string_equal(c.subsystems[0].hosts.nqn[2], "nqn.2020-01.a:z");
	config_free(&c);
}

static void test_hosts(void **state)
{
	struct config c;

	(void)state;
	parse_good(&c, "[listener a]\n[subsystem " NQN "]\nallow_any_host = yes\n"
		       "[namespace " NQN "/1]\nbackend = ram\nsize = 1M\nfault = a\nfault = b\n"
		       "allow_host = nqn.2020-01.a:x\n");
	assert_true(c.subsystems[0].hosts.any);
	assert_false(c.namespaces[0].hosts.any);
	assert_true(config_hosts_allow(&c.namespaces[0].hosts, "nqn.2020-01.a:x"));
	assert_false(config_hosts_allow(&c.namespaces[0].hosts, "nqn.2020-01.a:y"));
	assert_int_equal(c.namespaces[0].n_faults, 2);
	assert_string_equal(c.namespaces[0].fault[1], "b");
	config_free(&c);
}

/* By subsystem in the order of the file, then by NSID. An NQN may hold slashes. */
static void test_sorted(void **state)
{
	static const struct {
		const char *nqn;
		uint32_t nsid;
	} expected[] = {
		{ "nqn.2020-01.b:x", 1 },      { "nqn.2020-01.b:x", 2 },
		{ "nqn.2020-01.a:x/5", 3 },    { "nqn.2020-01.a:x/5", 20 },
		{ "nqn.2020-01.a:x/5", 1024 },
	};
	struct config c;

	(void)state;
	parse_good(&c, "[namespace nqn.2020-01.a:x/5/1024]\nbackend = ram\nsize = 1M\n"
		       "[namespace nqn.2020-01.b:x/2]\nbackend = ram\nsize = 1M\n"
		       "[subsystem nqn.2020-01.b:x]\n[subsystem nqn.2020-01.a:x/5]\n"
		       "[namespace nqn.2020-01.a:x/5/20]\nbackend = ram\nsize = 1M\n"
		       "allow_host = nqn.2020-01.h:twenty\n"
		       "[namespace nqn.2020-01.a:x/5/3]\nbackend = ram\nsize = 1M\n"
		       "[namespace nqn.2020-01.b:x/1]\nbackend = ram\nsize = 1M\n"
		       "[listener l]\n");
	assert_int_equal(c.n_namespaces, 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_string_equal(c.namespaces[i].subsystem, expected[i].nqn);
		assert_int_equal(c.namespaces[i].nsid, expected[i].nsid);
	}
	assert_string_equal(c.namespaces[3].hosts.nqn[0], "nqn.2020-01.h:twenty");
	config_free(&c);
}

/*
 * The expected values come from 'printf NAME | sha256sum', so that no later version changes what
 * hosts know a namespace by.
 */
static void test_derived(void **state)
{
	static const uint8_t uuid[16] = {
		0xb8, 0xc8, 0x7f, 0x67, 0xaf, 0x5d, 0x86, 0x63,
		0xa8, 0xf5, 0x09, 0xd1, 0x61, 0xc6, 0xa1, 0x10,
	};
	static const uint8_t nguid[16] = {
		0x13, 0x4a, 0xd2, 0x81, 0xad, 0x8c, 0x67, 0x8b,
		0x62, 0x02, 0xb8, 0x25, 0x98, 0x01, 0x94, 0xe2,
	};
	struct config c;

	(void)state;
	parse_good(&c, "[listener a]\n[subsystem " NQN "]\n"
		       "[namespace " NQN "/1]\nbackend = ram\nsize = 1M\n"
		       "[namespace " NQN "/2]\nbackend = ram\nsize = 1M\n"
		       "nguid = 000102030405060708090a0b0c0d0e0f\neui64 = 0001020304050607\n");
	assert_string_equal(c.subsystems[0].serial, "3998F9115EBFB3CCF1A6");
	assert_true(c.namespaces[0].has_uuid);
	assert_true(c.namespaces[0].has_nguid);
	assert_false(c.namespaces[0].has_eui64);
	assert_memory_equal(c.namespaces[0].uuid, uuid, 16);
	assert_memory_equal(c.namespaces[0].nguid, nguid, 16);
	assert_int_equal(c.namespaces[0].uuid[6] >> 4, 8);    /* version */
	assert_int_equal(c.namespaces[0].uuid[8] >> 6, 2);    /* variant */
	assert_int_equal(c.namespaces[0].nguid[8] & 0x03, 2); /* local, not a group */
	assert_memory_not_equal(c.namespaces[1].uuid, uuid, 16);
	assert_int_equal(c.namespaces[1].nguid[15], 0x0f);
	assert_true(c.namespaces[1].has_eui64);
	assert_int_equal(c.namespaces[1].eui64[7], 7);
	config_free(&c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),   cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_names), cmocka_unit_test(test_line_limit),
		cmocka_unit_test(test_merge),	   cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_sorted),	   cmocka_unit_test(test_derived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
