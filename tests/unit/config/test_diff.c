/* SPDX-License-Identifier: BSD-3-Clause */
/* What a running daemon can take over from another configuration, and what it refuses. */
#include "config/diff.h"
#include "faults.h"

#include <errno.h>

#define DAEMON	 "[daemon]\nworkers = 2\n[memory]\nper_worker = 8M\n"
#define LISTENER "[listener a]\naddress = 192.0.2.1\n"
#define SUBSYSTEMS                                                    \
	"[subsystem nqn.2020-01.s:x]\nallow_host = nqn.2020-01.h:1\n" \
	"[subsystem nqn.2020-01.s:y]\nallow_any_host = yes\n"
#define NAMESPACES                                                              \
	"[namespace nqn.2020-01.s:x/1]\nbackend = file\npath = /a\nsize = 1M\n" \
	"[namespace nqn.2020-01.s:x/2]\nbackend = ram\nsize = 1M\n"             \
	"[namespace nqn.2020-01.s:y/1]\nbackend = null\nsize = 1M\n"
#define ALL DAEMON LISTENER SUBSYSTEMS NAMESPACES

static struct config boot, running, wanted;
static struct config_diff diff;
static struct reports reports;

static void free_all(void)
{
	config_diff_free(&diff);
	config_free(&boot);
	config_free(&running);
	config_free(&wanted);
}

/* The difference of @to from @from, which was started as @from too. */
static int differ_detached(const char *from, const char *to, const bool *detached)
{
	memset(&reports, 0, sizeof(reports));
	parse_good(&boot, from);
	parse_good(&running, from);
	parse_good(&wanted, to);
	return config_diff(&boot, &running, detached, &wanted, &diff, reports_add, &reports);
}

static void differ(const char *from, const char *to)
{
	if (differ_detached(from, to, NULL))
		fail_msg("refused: %s", reports.text);
	assert_int_equal(reports.n, 0);
}

static void refuse(const char *from, const char *to, const char *said)
{
	assert_int_equal(differ_detached(from, to, NULL), -EINVAL);
	if (!strstr(reports.text, said))
		fail_msg("not \"%s\" in: %s", said, reports.text);
	free_all();
}

static void test_nothing(void **state)
{
	(void)state;
	differ(ALL, ALL);
	assert_int_equal(diff.subsystems_added + diff.subsystems_removed + diff.subsystems_changed,
			 0);
	assert_int_equal(diff.namespaces_added + diff.namespaces_removed + diff.namespaces_changed,
			 0);
	assert_false(diff.discovery);
	for (unsigned i = 0; i < wanted.n_namespaces; i++) {
		assert_int_equal(diff.namespaces[i].was, i);
		assert_int_equal(diff.namespaces[i].changes, 0);
		assert_true(diff.namespace_stays[i]);
	}
	free_all();
}

/* The order of the sections is nobody's affair. */
static void test_order(void **state)
{
	(void)state;
	differ(ALL, DAEMON
	       "[subsystem nqn.2020-01.s:y]\nallow_any_host = yes\n"
	       "[subsystem nqn.2020-01.s:x]\nallow_host = nqn.2020-01.h:1\n" NAMESPACES LISTENER);
	assert_int_equal(diff.namespaces_added + diff.namespaces_removed + diff.namespaces_changed,
			 0);
	assert_int_equal(diff.subsystems[0].was, 1);
	assert_int_equal(diff.subsystems[1].was, 0);
	assert_int_equal(diff.namespaces[0].was, 2);
	assert_int_equal(diff.namespaces[1].was, 0);
	free_all();
}

static void test_added_and_removed(void **state)
{
	(void)state;
	differ(ALL, DAEMON LISTENER
	       "[subsystem nqn.2020-01.s:x]\nallow_host = nqn.2020-01.h:1\n"
	       "[subsystem nqn.2020-01.s:z]\nallow_any_host = yes\n"
	       "[namespace nqn.2020-01.s:x/1]\nbackend = file\npath = /a\nsize = 1M\n"
	       "[namespace nqn.2020-01.s:x/3]\nbackend = ram\nsize = 1M\n"
	       "[namespace nqn.2020-01.s:z/1]\nbackend = ram\nsize = 1M\n");
	assert_int_equal(diff.subsystems_added, 1);
	assert_int_equal(diff.subsystems_removed, 1);
	assert_int_equal(diff.namespaces_added, 2);
	assert_int_equal(diff.namespaces_removed, 2);
	assert_true(diff.subsystem_stays[0]);
	assert_false(diff.subsystem_stays[1]);
	assert_true(diff.namespace_stays[0]);
	assert_false(diff.namespace_stays[1]);
	assert_false(diff.namespace_stays[2]);
	assert_int_equal(diff.subsystems[1].was, -1);
	assert_int_equal(diff.namespaces[0].was, 0);
	assert_int_equal(diff.namespaces[1].was, -1);
	assert_int_equal(diff.namespaces[2].was, -1);
	assert_true(diff.discovery);
	free_all();
}

static void test_changes(void **state)
{
	static const struct {
		const char *line;
		unsigned change;
	} cases[] = {
		{ "size = 2M\n", CONFIG_CHANGE_SIZE },
		{ "size = 1M\nallow_host = nqn.2020-01.h:1\n", CONFIG_CHANGE_HOSTS },
		{ "size = 1M\nread_only = yes\n", CONFIG_CHANGE_READ_ONLY },
		{ "size = 1M\nana_group = 2\n", CONFIG_CHANGE_ANA },
		{ "size = 1M\nfault = read error=EIO\n", CONFIG_CHANGE_FAULT },
		{ "size = 1M\nallow_mounted = yes\n", CONFIG_CHANGE_OTHER },
		{ "size = 2M\nana_group = 2\n", CONFIG_CHANGE_SIZE | CONFIG_CHANGE_ANA },
	};
	char text[512];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		static const char head[] = DAEMON LISTENER SUBSYSTEMS
			"[namespace nqn.2020-01.s:x/1]\nbackend = null\n";
		char from[512];

		snprintf(from, sizeof(from), "%ssize = 1M\n", head);
		snprintf(text, sizeof(text), "%s%s", head, cases[i].line);
		differ(from, text);
		assert_int_equal(diff.namespaces[0].changes, cases[i].change);
		assert_int_equal(diff.namespaces_changed, 1);
		free_all();
	}
}

static void test_hosts_of_subsystem(void **state)
{
	(void)state;
	differ(ALL, DAEMON LISTENER
	       "[subsystem nqn.2020-01.s:x]\nallow_any_host = yes\n"
	       "[subsystem nqn.2020-01.s:y]\nallow_host = nqn.2020-01.h:1\n" NAMESPACES);
	assert_int_equal(diff.subsystems_changed, 2);
	assert_int_equal(diff.subsystems[0].changes, CONFIG_CHANGE_HOSTS);
	assert_int_equal(diff.subsystems[1].changes, CONFIG_CHANGE_HOSTS);
	assert_true(diff.discovery);
	free_all();
}

static void test_restart(void **state)
{
	static const char *const cases[][2] = {
		{ "[daemon]\nworkers = 3\n[memory]\nper_worker = 8M\n",
		  "t.conf:2: 'workers' of [daemon] cannot change while the daemon runs (now "
		  "\"workers = 2\", wanted \"workers = 3\"); restart it" },
		{ "[daemon]\nworkers = 2\nuser = nobody\n[memory]\nper_worker = 8M\n",
		  "t.conf:3: 'user' of [daemon] cannot change" },
		{ "[daemon]\nworkers = 2\ncontrol_socket = /run/b\n[memory]\nper_worker = 8M\n",
		  "'control_socket' of [daemon] cannot change" },
		{ "[daemon]\nworkers = 2\n[memory]\nper_worker = 16M\n",
		  "'per_worker' of [memory] cannot change" },
		{ DAEMON "[metrics]\nport = 9100\n", "t.conf:6: 'port' of [metrics] cannot change" },
		{ DAEMON "[daemon]\nworkers = 4\n", "t.conf:6: 'workers' of [daemon] cannot change" },
		/* Where it is no more, no line tells of it. */
		{ "[daemon]\nworkers = 2\n", "t.conf: 'per_worker' of [memory] cannot change" },
		{ DAEMON "[nic eth0]\n", "there were 0 sections [nic] and now there are 1" },
	};
	char text[2048];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "%s" LISTENER SUBSYSTEMS NAMESPACES, cases[i][0]);
		refuse(ALL, text, cases[i][1]);
	}
	refuse(ALL,
	       DAEMON LISTENER "[subsystem nqn.2020-01.s:x]\nserial = S\n"
			       "[subsystem nqn.2020-01.s:y]\nallow_any_host = yes\n" NAMESPACES,
	       "t.conf:7: 'serial' of [subsystem nqn.2020-01.s:x] cannot change while the daemon");
	refuse(DAEMON "[nic eth0]\n" LISTENER, DAEMON "[nic eth1]\n" LISTENER,
	       "[nic eth1] is where [nic eth0] was");
	refuse(DAEMON "[nic eth0]\n" LISTENER, DAEMON "[nic eth0]\nring = 64\n" LISTENER,
	       "'ring' of [nic eth0] cannot change");
}

static void test_live(void **state)
{
	(void)state;
	differ(ALL, "[daemon]\nworkers = 2\nspin_us = 0\nlog_level = debug\nmax_connections = 5\n"
		    "drain = 1s\n[memory]\nper_worker = 8M\n[discovery]\nport = none\n" LISTENER
			    SUBSYSTEMS NAMESPACES);
	assert_false(diff.discovery);
	free_all();
	differ(ALL, ALL "[referral r]\naddress = 192.0.2.9\n");
	assert_true(diff.discovery);
	free_all();
	differ(ALL, ALL "[discovery]\nnqn = nqn.2020-01.d:x\n");
	assert_true(diff.discovery);
	free_all();
}

static void test_identity(void **state)
{
	static const bool detached[3] = { true, false, false };
	static const char moved[] = DAEMON LISTENER SUBSYSTEMS
		"[namespace nqn.2020-01.s:x/1]\nbackend = file\npath = /b\nsize = 1M\n"
		"[namespace nqn.2020-01.s:x/2]\nbackend = ram\nsize = 1M\n"
		"[namespace nqn.2020-01.s:y/1]\nbackend = null\nsize = 1M\n";

	(void)state;
	refuse(ALL, moved,
	       "t.conf:11: 'path' of [namespace nqn.2020-01.s:x/1] cannot change while hosts may "
	       "use the namespace (now \"path = /a\", wanted \"path = /b\"); detach it first");
	assert_int_equal(differ_detached(ALL, moved, detached), 0);
	free_all();
	refuse(ALL,
	       ALL "[namespace nqn.2020-01.s:x/2]\nuuid = "
		   "00000000-0000-0000-0000-000000000001\n",
	       "'uuid' of [namespace nqn.2020-01.s:x/2] cannot change");
	refuse(ALL, ALL "[namespace nqn.2020-01.s:x/2]\nblock_size = 4K\n",
	       "'block_size' of [namespace nqn.2020-01.s:x/2] cannot change");
}

/* A device is open until its last command has ended, so nobody else can have it in the same step. */
static void test_device_passed_on(void **state)
{
	static const bool detached[3] = { true, false, false };
	static const char passed[] = DAEMON LISTENER SUBSYSTEMS
		"[namespace nqn.2020-01.s:x/2]\nbackend = ram\nsize = 1M\n"
		"[namespace nqn.2020-01.s:y/1]\nbackend = null\nsize = 1M\n"
		"[namespace nqn.2020-01.s:y/2]\nbackend = file\npath = /a\n";

	(void)state;
	refuse(ALL, passed,
	       "t.conf:17: [namespace nqn.2020-01.s:y/2] has the device or file of [namespace "
	       "nqn.2020-01.s:x/1]");
	assert_int_equal(differ_detached(ALL, passed, detached), 0);
	free_all();
}

static void test_listeners(void **state)
{
	(void)state;
	differ(ALL, ALL "[listener b]\nport = 4421\n");
	free_all();
	differ(ALL, DAEMON "[listener other]\nport = 9999\n" SUBSYSTEMS NAMESPACES);
	free_all();
	refuse(ALL, ALL "[listener b]\nport = 1023\n",
	       "t.conf:21: [listener b] cannot be opened while the daemon runs: 'port' is below 1024");
	differ(ALL "[listener b]\nport = 1023\n", ALL "[listener b]\nport = 1022\n");
	free_all();
	refuse(ALL, ALL "[discovery]\nport = 99\n", "'port' of [discovery] is below 1024");
	refuse(ALL, ALL "[listener b]\ntransport = rdma\n",
	       "it is the first with transport = rdma");
	refuse(ALL "[listener b]\ntransport = rdma\nin_capsule = 4K\n",
	       ALL "[listener b]\ntransport = rdma\nin_capsule = 8K\n",
	       "'in_capsule' is more than");
	differ(ALL "[listener b]\ntransport = rdma\nin_capsule = 4K\n",
	       ALL "[listener b]\ntransport = rdma\nin_capsule = 2K\n");
	free_all();
	refuse(ALL, ALL "[listener b]\nport = 4421\nreceive = zcrx-copy\n",
	       "it is the first with receive = zcrx-copy");
	refuse(ALL "[nic eth0]\n", ALL "[nic eth0]\n[listener b]\nport = 4421\n",
	       "the network card of [nic] is told at start");
	differ(ALL "[nic eth0]\n", ALL "[nic eth0]\n[listener b]\nport = 4421\nreceive = recv\n");
	free_all();
}

static void test_listener_equal(void **state)
{
	(void)state;
	parse_good(&running, LISTENER "[listener b]\naddress = 192.0.2.1\nport = 4421\n"
				      "[listener c]\naddress = 192.0.2.1\nport = 4422\n");
	assert_true(config_listener_equal(&running.listeners[0], &running.listeners[0]));
	assert_false(config_listener_equal(&running.listeners[0], &running.listeners[1]));
	running.listeners[2].port = running.listeners[1].port;
	assert_true(config_listener_equal(&running.listeners[1], &running.listeners[2]));
	running.listeners[2].in_capsule = 0;
	assert_false(config_listener_equal(&running.listeners[1], &running.listeners[2]));
	config_free(&running);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_added_and_removed),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_hosts_of_subsystem),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_device_passed_on),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_listener_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
