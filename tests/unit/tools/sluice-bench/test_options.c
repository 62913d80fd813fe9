/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line and the words for status codes. */
#include <arpa/inet.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "options.h"

#define CONNECT "--connect", "127.0.0.1:4420", "--nqn", "nqn.2026-11.io.sluice:vol"

/* Parses a NULL-terminated list of words. */
static int parse(struct bench_options *o, const char *const *words)
{
	char *argv[32] = { (char *)"sluice-bench" };
	int argc = 1;
	bool stop;

	while (words[argc - 1]) {
		argv[argc] = (char *)words[argc - 1];
		argc++;
	}
	optind = 0;
	return options_parse(o, argc, argv, &stop);
}
#define PARSE(o, ...) parse(o, (const char *const[]){ __VA_ARGS__, NULL })

static void test_defaults(void **state)
{
	struct bench_options o;

	(void)state;
	assert_int_equal(PARSE(&o, CONNECT), 0);
	assert_int_equal(o.mode, MODE_RUN);
	assert_int_equal(o.bs, 4096);
	assert_int_equal(o.read_percent, 100);
	assert_true(o.random);
	assert_int_equal(o.time_ns, 10000000000);
	assert_int_equal(ntohs(((struct sockaddr_in *)&o.host.addr)->sin_port), 4420);
	/* A host without a name gets one that carries its identifier. */
	assert_int_equal(strncmp(o.host.hostnqn, "nqn.2014-08.org.nvmexpress:uuid:", 32), 0);
}

static void test_values(void **state)
{
	struct bench_options o;

	(void)state;
	assert_int_equal(PARSE(&o, "run", CONNECT, "--rw", "randrw:70", "--bs", "128k", "--depth",
			       "7", "--queues", "128", "--size", "1G", "--range", "1M-3M", "--seed",
			       "9", "--nsid", "5", "--verify", "--hdgst", "--json", "--cpu", "1"),
			 0);
	assert_int_equal(o.read_percent, 70);
	assert_int_equal(o.bs, 131072);
	assert_int_equal(o.host.depth, 7);
	assert_int_equal(o.host.queues, 128);
	assert_int_equal(o.size, 1u << 30);
	assert_int_equal(o.time_ns, 0);
	assert_int_equal(o.range_start, 1 << 20);
	assert_int_equal(o.range_end, 3 << 20);
	assert_int_equal(o.seed, 9);
	assert_int_equal(o.nsid, 5);
	assert_true(o.verify && o.host.hdgst && !o.host.ddgst && o.json);

	assert_int_equal(PARSE(&o, CONNECT, "--rw", "write", "--time", "0.5"), 0);
	assert_false(o.random);
	assert_int_equal(o.read_percent, 0);
	assert_int_equal(o.time_ns, 500000000);
}

static void test_modes(void **state)
{
	struct bench_options o;

	(void)state;
	assert_int_equal(PARSE(&o, "discover", "[::1]:8009"), 0);
	assert_int_equal(o.mode, MODE_DISCOVER);
	assert_int_equal(o.host.addr.ss_family, AF_INET6);
	assert_string_equal(o.host.subnqn, NVME_DISCOVERY_NQN);
	assert_int_equal(o.host.queues, 0);
	assert_int_equal(PARSE(&o, "identify", CONNECT), 0);
	assert_int_equal(o.mode, MODE_IDENTIFY);
	assert_int_equal(PARSE(&o, "floor", "--rw", "randwrite"), 0);
	assert_int_equal(o.mode, MODE_FLOOR);
}

static void test_transport(void **state)
{
	struct bench_options o;

	(void)state;
	assert_int_equal(PARSE(&o, CONNECT), 0);
	assert_int_equal(o.host.transport, INITIATOR_TCP);
	assert_int_equal(PARSE(&o, CONNECT, "--transport", "tcp", "--hdgst"), 0);
	assert_int_equal(o.host.transport, INITIATOR_TCP);
	assert_int_equal(PARSE(&o, CONNECT, "--transport", "rdma", "--invalidate", "--spin"), 0);
	assert_int_equal(o.host.transport, INITIATOR_RDMA);
	assert_true(o.host.invalidate);
	assert_int_equal(PARSE(&o, "discover", "127.0.0.1:4420", "--transport", "rdma"), 0);
	assert_int_equal(o.host.transport, INITIATOR_RDMA);
	assert_int_equal(PARSE(&o, "floor", "--transport", "rdma"), EXIT_USAGE);
}

static void test_refused(void **state)
{
	static const char *const bad[][4] = {
		{ "--bs", "1000" },
		{ "--bs", "0" },
		{ "--bs", "4x" },
		{ "--depth", "0" },
		{ "--depth", "1025" },
		{ "--queues", "1025" },
		{ "--rw", "randread:50" },
		{ "--rw", "randrw:101" },
		{ "--rw", "dance" },
		{ "--time", "-1" },
		{ "--time", "x" },
		{ "--size", "0" },
		{ "--range", "5M-1M" },
		{ "--range", "1M" },
		{ "--range", "0-512" },
		{ "--nsid", "0" },
		{ "--hostid", "12" },
		{ "--connect", "127.0.0.1" },
		{ "--connect", "localhost:4420" },
		{ "--connect", "127.0.0.1:0" },
		{ "--connect", "[::1:4420" },
		{ "--cpu", "-1" },
		{ "--nqn", "" },
		{ "--no-such" },
		{ "word" },
		{ "--verify", "--floor" },
		{ "--floor-memory", "1M" },
		{ "--floor", "--floor-memory", "0" },
		{ "--floor", "--floor-memory=1M", "--queues=5" },
		{ "--floor", "--floor-memory=1M", "--bs=2M" },
		{ "--time", "1", "--size", "1M" },
		{ "--transport", "fc" },
		{ "--transport", "rdma", "--hdgst" },
		{ "--transport", "rdma", "--ddgst" },
		{ "--transport", "rdma", "--floor" },
		{ "--transport=rdma", "--bs", "16M" },
		{ "--invalidate" },
	};
	struct bench_options o;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(PARSE(&o, CONNECT, bad[i][0], bad[i][1], bad[i][2], bad[i][3]),
				 EXIT_USAGE);
	assert_int_equal(PARSE(&o, "--nqn", "nqn.2026-11.io.sluice:vol"), EXIT_USAGE);
	assert_int_equal(PARSE(&o, "discover"), EXIT_USAGE);
	assert_int_equal(PARSE(&o, "juggle", CONNECT), EXIT_USAGE);
	assert_int_equal(PARSE(&o, CONNECT, "--bs"), EXIT_USAGE);
}

static void test_identity(void **state)
{
	struct bench_options a, b;
	static const char uuid[] = "00112233-4455-6677-8899-aabbccddeeff";

	(void)state;
	assert_int_equal(PARSE(&a, CONNECT, "--hostid", uuid), 0);
	assert_string_equal(a.host.hostnqn,
			    "nqn.2014-08.org.nvmexpress:uuid:00112233-4455-6677-8899-aabbccddeeff");
	/* The other way round: an NQN that carries a UUID names the identifier too. */
	assert_int_equal(PARSE(&b, CONNECT, "--hostnqn", a.host.hostnqn), 0);
	assert_memory_equal(a.host.hostid, b.host.hostid, 16);
	/* Any other NQN always gets the same one. */
	assert_int_equal(PARSE(&a, CONNECT, "--hostnqn", "nqn.2026-11.io.sluice:host"), 0);
	assert_int_equal(PARSE(&b, CONNECT, "--hostnqn", "nqn.2026-11.io.sluice:host"), 0);
	assert_memory_equal(a.host.hostid, b.host.hostid, 16);
}

static void test_status_words(void **state)
{
	char text[256];

	(void)state;
	assert_string_equal(nvme_status_text(NVME_SC_LBA_OUT_OF_RANGE | NVME_STATUS_DNR, text,
					     sizeof(text)),
			    "LBA Out of Range (080h), do not retry");
	assert_string_equal(nvme_status_text(0x7fe, text, sizeof(text)), "Unknown Status (7feh)");
	assert_non_null(strstr(nvme_connect_text(NVME_SC_CONNECT_INVALID_PARAM, 1u << 16 | 256,
						 text, sizeof(text)),
			       "no such subsystem"));
	assert_non_null(strstr(nvme_connect_text(NVME_SC_CONNECT_INVALID_PARAM, 44, text,
						 sizeof(text)), "SQSIZE"));
	assert_non_null(strstr(nvme_connect_text(NVME_SC_CONNECT_INVALID_PARAM, 99, text,
						 sizeof(text)), "byte 99 of the command"));
	assert_non_null(
		strstr(nvme_connect_text(NVME_SC_CONNECT_INVALID_HOST, 0, text, sizeof(text)),
		       "allow_host"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_transport),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_status_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
