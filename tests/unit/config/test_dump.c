/* SPDX-License-Identifier: BSD-3-Clause */
/* The dump reads back as the same configuration; the manual tells of all settings. */
#include "config/settings.h"
#include "faults.h"

/* Every setting, none at its default. */
static const char everything[] =
	"[daemon]\nworkers = 7\ncontrol_socket = /run/x y.sock\nuser = nobody\ngroup = nogroup\n"
	"spin_us = 0\nlog_level = debug\nmax_connections = 8192\ndrain = 1500ms\n"
	"[memory]\nprovider = memfd\nheap = linux,cma\nimport_socket = /run/a b.sock\n"
	"per_worker = 5G\nreceive = 2G\n"
	"[nic eth0]\nqueues = 3\nmemory = dmabuf\nbuffer = 64K\nring = 1024\nsetup = no\n"
	"[nic eth1]\n"
	"[discovery]\nport = none\nnqn = nqn.2020-01.d:x\n"
	"[metrics]\nport = 9420\naddress = ::1\n"
	"[listener a]\ntransport = rdma\naddress = 2001:db8::1\nport = 1\nreceive = recv\n"
	"require = zerocopy\nin_capsule = 0\nr2t_window = 1G\nheader_digest = no\n"
	"send_zc_min = never\nstall_timeout = 1h\ndata_digest = no\ndiscovery_only = yes\n"
	"[listener b]\nport = 65535\nsend_zc_min = 1M\n"
	"[subsystem nqn.2020-01.s:x]\nallow_host = nqn.2020-01.h:a;b\n"
	"allow_host = nqn.2020-01.h:\xc3\xbc\nserial = S N\nmodel = M;N\nmax_io_queues = 1\n"
	"max_queue_depth = 32\ncntlid_min = 2\ncntlid_max = 3\nmax_transfer = 4K\n"
	"[subsystem nqn.2020-01.s:any]\nallow_any_host = yes\n"
	"[namespace nqn.2020-01.s:x/9]\nbackend = file\npath = /a b;c\nsize = 12G\n"
	"block_size = 4K\nuuid = 00000000-0000-0000-0000-000000000001\n"
	"nguid = 00000000000000000000000000000002\neui64 = 0000000000000003\n"
	"allow_host = nqn.2020-01.h:a;b\nread_only = yes\nallow_mounted = yes\nana_group = 16\n"
	"fault = one 1\nfault = two\n"
	"[namespace nqn.2020-01.s:x/8]\nbackend = block\ndevice_serial = S/N 1\n"
	"[namespace nqn.2020-01.s:any/1]\nbackend = other\n"
	"[referral r]\ntransport = rdma\naddress = 192.0.2.1\nport = 8\nnqn = nqn.2020-01.d:y\n";

static void hosts_equal(const struct config_hosts *a, const struct config_hosts *b)
{
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->any, b->any);
	for (unsigned i = 0; i < a->n; i++)
		assert_string_equal(a->nqn[i], b->nqn[i]);
}

/* All but where things were written; what is compared by memory was zero before it was filled. */
static void configs_equal(struct config *a, struct config *b)
{
	assert_memory_equal(&a->daemon, &b->daemon, sizeof(a->daemon));
	assert_memory_equal(&a->memory, &b->memory, sizeof(a->memory));
	assert_memory_equal(&a->discovery, &b->discovery, sizeof(a->discovery));
	assert_memory_equal(&a->metrics, &b->metrics, sizeof(a->metrics));
	assert_int_equal(a->n_nics, b->n_nics);
	for (unsigned i = 0; i < a->n_nics; i++) {
		a->nics[i].where = b->nics[i].where;
		assert_memory_equal(&a->nics[i], &b->nics[i], sizeof(*a->nics));
	}
	assert_int_equal(a->n_listeners, b->n_listeners);
	for (unsigned i = 0; i < a->n_listeners; i++) {
		a->listeners[i].where = b->listeners[i].where;
		assert_memory_equal(&a->listeners[i], &b->listeners[i], sizeof(*a->listeners));
	}
	assert_int_equal(a->n_subsystems, b->n_subsystems);
	for (unsigned i = 0; i < a->n_subsystems; i++) {
		struct config_subsystem x = a->subsystems[i], y = b->subsystems[i];

		hosts_equal(&x.hosts, &y.hosts);
		x.hosts = y.hosts;
		x.where = y.where;
		assert_memory_equal(&x, &y, sizeof(x));
	}
	assert_int_equal(a->n_namespaces, b->n_namespaces);
	for (unsigned i = 0; i < a->n_namespaces; i++) {
		struct config_namespace x = a->namespaces[i], y = b->namespaces[i];

		hosts_equal(&x.hosts, &y.hosts);
		x.hosts = y.hosts;
		x.where = y.where;
		assert_memory_equal(&x, &y, sizeof(x));
	}
	assert_int_equal(a->n_referrals, b->n_referrals);
	for (unsigned i = 0; i < a->n_referrals; i++) {
		a->referrals[i].where = b->referrals[i].where;
		assert_memory_equal(&a->referrals[i], &b->referrals[i], sizeof(*a->referrals));
	}
}

static void round_trip(const char *text)
{
	struct config first, second;
	char *dump, *again;

	parse_good(&first, text);
	dump = dump_text(&first);
	parse_good(&second, dump);
	again = dump_text(&second);
	assert_string_equal(dump, again);
	configs_equal(&first, &second);
	free(dump);
	free(again);
	config_free(&first);
	config_free(&second);
}

static void test_round_trip(void **state)
{
	(void)state;
	round_trip("[listener a]\n");
	round_trip(everything);
}

/* Proves the text above complete: a setting that it lacks would not be tested. */
static void test_everything(void **state)
{
	struct config c, defaults;
	char *dump, *plain, line[512];

	(void)state;
	parse_good(&c, everything);
	parse_good(&defaults, "[listener b]\n");
	dump = dump_text(&c);
	plain = dump_text(&defaults);
	for (unsigned i = 0; i < n_settings; i++) {
		snprintf(line, sizeof(line), "\n%s = ", settings[i].key);
		if (!strstr(dump, line))
			fail_msg("'%s' is not tested", settings[i].key);
		if (!settings[i].def || sections[settings[i].section].argument)
			continue;
		snprintf(line, sizeof(line), "\n%s = %s\n", settings[i].key, settings[i].def);
		assert_non_null(strstr(plain, line));
		if (strcmp(settings[i].key, "port") && strstr(dump, line))
			fail_msg("'%s' is at its default", settings[i].key);
	}
	free(dump);
	free(plain);
	config_free(&c);
	config_free(&defaults);
}

static void test_example(void **state)
{
	static struct reports reports;
	struct config c;
	char path[4096];
	int rc;

	(void)state;
	source_path(path, sizeof(path), "config/sluice.conf.example");
	rc = config_load(&c, path, reports_add, &reports);
	if (rc)
		fail_msg("%s", reports.text);
	assert_int_equal(c.n_listeners, 1);
	assert_int_equal(c.n_subsystems, 1);
	assert_int_equal(c.n_namespaces, 3);
	assert_int_equal(c.n_referrals, 1);
	config_free(&c);
}

static void test_help(void **state)
{
	char *text = NULL, line[128];
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	config_help(out);
	assert_int_equal(fclose(out), 0);
	for (unsigned i = 0; i < n_settings; i++) {
		snprintf(line, sizeof(line), "\n  %s\n", settings[i].key);
		assert_non_null(strstr(text, line));
	}
	for (unsigned i = 0; i < SECTIONS; i++) {
		snprintf(line, sizeof(line), "\n[%s%s%s]\n", sections[i].kind,
			 sections[i].argument ? " " : "",
			 sections[i].argument ? sections[i].argument : "");
		assert_non_null(strstr(text, line));
	}
	assert_non_null(strstr(text, "Value: a number from 1 to 64, or auto. Default: auto.\n"));
	assert_null(strstr(text, "(null)"));
	for (char *l = strtok(text, "\n"); l; l = strtok(NULL, "\n"))
		assert_in_range(strlen(l), 1, 90);
	free(text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
