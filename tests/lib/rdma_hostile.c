/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile NVMe/RDMA host: runs the tests of rdma_test_*.c against a target, and after each looks
 * whether the target still serves. For the guest tests; see usage().
 */
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rdma_rig.h"

enum { EXIT_USAGE = 64, TESTS_MAX = 128 };

static const struct rdma_test *const groups[] = {
	rdma_tests_cm,   rdma_tests_capsule, rdma_tests_sgl,   rdma_tests_offset,
	rdma_tests_keys, rdma_tests_flood,   rdma_tests_leave, rdma_tests_odd,
};

static int usage(void)
{
	fprintf(stderr,
		"usage: rdma-hostile [--slowness N] [--host-traddr ADDRESS] [--list] [--except TEST]...\n"
		"                    ADDRESS PORT SUBNQN HOSTNQN [TEST...]\n"
		"  Runs the tests named, or all. The subsystem has to admit every host, and its namespace 1\n"
		"  is written to. HOSTNQN is for the first host; others have its name but for the last two\n"
		"  characters. --slowness: everything may take so many times longer. --host-traddr: the\n"
		"  hosts' own address; a target on this machine is reached within its own device without.\n");
	return EXIT_USAGE;
}

struct options {
	bool list;
	unsigned slowness;
	const char *host_traddr; /* or NULL */
	const char *except[TESTS_MAX];
	unsigned n_except;
};

static bool is_among(const char *name, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static bool test_exists(const char *name)
{
	for (unsigned g = 0; g < ARRAY_SIZE(groups); g++)
		for (const struct rdma_test *test = groups[g]; test->name; test++)
			if (!strcmp(test->name, name))
				return true;
	fprintf(stderr, "rdma-hostile: there is no test %s: --list shows them\n", name);
	return false;
}

static int options_parse(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "slowness", required_argument, NULL, 's' },
		{ "except", required_argument, NULL, 'e' },
		{ "host-traddr", required_argument, NULL, 't' },
		{ 0 },
	};
	int c;

	*options = (struct options){ .slowness = 1 };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'l')
			options->list = true;
		else if (c == 's')
			options->slowness = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 't')
			options->host_traddr = optarg;
		else if (c == 'e' && options->n_except < TESTS_MAX && test_exists(optarg))
			options->except[options->n_except++] = optarg;
		else
			return usage();
	}
	if (!options->slowness || (!options->list && argc - optind < 4))
		return usage();
	return 0;
}

static int address_resolve(const char *address, const char *port, struct sockaddr_storage *out)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM },
			*found;
	int rc = getaddrinfo(address, port, &hints, &found);

	if (rc) {
		fprintf(stderr, "rdma-hostile: %s port %s: %s\n", address, port ? port : "any",
			gai_strerror(rc));
		return EXIT_USAGE;
	}
	memcpy(out, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return 0;
}

/* One test, and whether the target serves after it. */
static bool test_run(struct rig *rig, const struct rdma_test *test)
{
	char why[sizeof(rig->why)] = "";
	uint64_t start = now_ms();

	if (test->run(rig))
		memcpy(why, rig->why, sizeof(why));
	rig_reset(rig);
	if (!why[0] && rig_serves(rig))
		snprintf(why, sizeof(why), "after it the target does not serve: %.300s", rig->why);
	rig_reset(rig);
	if (why[0])
		printf("FAILED %s: %s\n", test->name, why);
	else
		printf("ok %s (%llu ms)\n", test->name, (unsigned long long)(now_ms() - start));
	fflush(stdout);
	return !why[0];
}

static unsigned tests_run(struct rig *rig, const struct options *options, char **names, int n_names)
{
	unsigned failed = 0;

	for (unsigned g = 0; g < ARRAY_SIZE(groups); g++) {
		for (const struct rdma_test *test = groups[g]; test->name; test++) {
			if (n_names && !is_among(test->name, (const char *const *)names, n_names))
				continue;
			if (is_among(test->name, options->except, (int)options->n_except))
				continue;
			if (options->list)
				printf("%s\n", test->name);
			else
				failed += !test_run(rig, test);
		}
	}
	return failed;
}

int main(int argc, char **argv)
{
	static struct options options;
	struct rig rig = { 0 };
	int rc = options_parse(argc, argv, &options), first;

	if (rc)
		return rc;
	rig_init(&rig);
	rig.slowness = options.slowness;
	if (!options.list) {
		rc = address_resolve(argv[optind], argv[optind + 1], &rig.address);
		if (!rc && options.host_traddr)
			rc = address_resolve(options.host_traddr, NULL, &rig.source);
		if (rc)
			return rc;
		rig.has_source = options.host_traddr;
		rig.subnqn = argv[optind + 2];
		rig.hostnqn = argv[optind + 3];
		if (strlen(rig.subnqn) > NVME_NQN_MAX || strlen(rig.hostnqn) > NVME_NQN_MAX ||
		    strlen(rig.hostnqn) < 2)
			return usage();
	}
	first = MIN(optind + 4, argc);
	for (int i = first; i < argc; i++)
		if (!test_exists(argv[i]))
			return EXIT_USAGE;
	if (!options.list && rig_serves(&rig)) {
		printf("FAILED before any test: %s\n", rig.why);
		rig_reset(&rig);
		return 1;
	}
	rig_reset(&rig);
	if (!options.list)
		note("the hosts' device is %s", rig.device);
	return tests_run(&rig, &options, argv + first, argc - first) ? 1 : 0;
}
