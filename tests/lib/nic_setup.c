/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes a network interface ready for zero-copy receive as the daemon does, holds it until its
 * standard input ends, and gives it back. For the guest tests; see usage().
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/log.h"
#include "transport/nic/nic.h"
#include "transport/tcp/address.h"

enum { EXIT_USAGE = 64 };

struct options {
	bool plan, recover;
	struct nic_wants wants;
	struct sockaddr_storage listeners[NIC_MAX_LISTENERS];
};

static int usage(void)
{
	fprintf(stderr, "usage: nic-setup --state DIR [--plan] [--queues N|auto] [--ring N]\n"
			"                 [--buffer BYTES] [--verify] IFNAME ADDRESS PORT [...]\n"
			"       nic-setup --state DIR --recover\n");
	return EXIT_USAGE;
}

static int options_parse(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{ "state", required_argument, NULL, 's' },
		{ "queues", required_argument, NULL, 'q' },
		{ "ring", required_argument, NULL, 'r' },
		{ "buffer", required_argument, NULL, 'b' },
		{ "verify", no_argument, NULL, 'v' },
		{ "plan", no_argument, NULL, 'p' },
		{ "recover", no_argument, NULL, 'R' },
		{ 0 },
	};
	struct nic_wants *wants = &options->wants;
	socklen_t len;
	int c;

	*wants = (struct nic_wants){ .queues = 1, .setup = true, .listeners = options->listeners };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 's')
			wants->state_dir = optarg;
		else if (c == 'q' && !strcmp(optarg, "auto"))
			wants->queues_auto = true, wants->queues = 8;
		else if (c == 'q')
			wants->queues = (unsigned)strtoul(optarg, NULL, 0);
		else if (c == 'r')
			wants->ring = (unsigned)strtoul(optarg, NULL, 0);
		else if (c == 'b')
			wants->buffer = (uint32_t)strtoul(optarg, NULL, 0);
		else if (c == 'v')
			wants->setup = false;
		else if (c == 'p')
			options->plan = true;
		else if (c == 'R')
			options->recover = true;
		else
			return usage();
	}
	if (!wants->state_dir || (!options->recover && optind == argc))
		return usage();
	if (!options->recover)
		wants->name = argv[optind++];
	for (; optind + 1 < argc && wants->n_listeners < NIC_MAX_LISTENERS; optind += 2)
		if (address_parse(argv[optind], (uint16_t)strtoul(argv[optind + 1], NULL, 0),
				  &options->listeners[wants->n_listeners++], &len))
			return usage();
	return 0;
}

static void show(const struct nic *nic)
{
	printf("open %s ifindex %u queues", nic_name(nic), nic_ifindex(nic));
	for (unsigned i = 0; i < nic_queues(nic); i++)
		printf(" %u", nic_queue(nic, i));
	printf(" napi");
	for (unsigned i = 0; i < nic_queues(nic); i++)
		printf(" %u%s", nic_napi(nic, i),
		       nic_queue_of_napi(nic, nic_napi(nic, i)) == (int)i ? "" : "!");
	printf(" buffer_max %u\n", nic_buffer_max(nic));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct options options;
	struct nic_why why;
	struct nic *nic;
	char line[64];
	int rc = options_parse(argc, argv, &options);

	if (rc)
		return rc;
	log_init(LOG_LEVEL_INFO);
	if (options.recover)
		return nic_recover(options.wants.state_dir) ? EXIT_FAILURE : EXIT_SUCCESS;
	if (options.plan)
		return nic_plan_show(&options.wants, stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
	rc = nic_open(&nic, &options.wants, &why);
	if (rc) {
		printf("refused %s: %s\n", strerrorname_np(-rc), why.s);
		return EXIT_FAILURE;
	}
	show(nic);
	/* A line asks what serves the queues now; the end of the input is the end. */
	while (fgets(line, sizeof(line), stdin)) {
		nic_napi_refresh(nic);
		show(nic);
	}
	nic_close(nic);
	return EXIT_SUCCESS;
}
