/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes a network interface ready for zero-copy receive as the daemon does, holds it until its
 * standard input ends, and gives it back; on demand it takes connections in and says by which queue
 * they came. For the guest tests; see usage().
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/log.h"
#include "transport/nic/nic.h"
#include "transport/address.h"

enum { EXIT_USAGE = 64 };

struct options {
	bool plan, recover, serve;
	unsigned wait_ms;
	struct nic_wants wants;
	struct sockaddr_storage listeners[NIC_MAX_LISTENERS];
};

static int usage(void)
{
	fprintf(stderr,
		"usage: nic-setup --state DIR [--plan] [--queues N|auto] [--ring N]\n"
		"                 [--buffer BYTES] [--wait MS] [--verify] [--serve] IFNAME ADDRESS PORT [...]\n"
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
		{ "wait", required_argument, NULL, 'w' },
		{ "verify", no_argument, NULL, 'v' },
		{ "plan", no_argument, NULL, 'p' },
		{ "serve", no_argument, NULL, 'S' },
		{ "recover", no_argument, NULL, 'R' },
		{ 0 },
	};
	struct nic_wants *wants = &options->wants;
	socklen_t len;
	int c;

	*wants = (struct nic_wants){ .queues = 1,
				     .setup = true,
				     .listeners = options->listeners,
				     .wait_ms = &options->wait_ms };
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
		else if (c == 'w')
			options->wait_ms = (unsigned)strtoul(optarg, NULL, 0);
		else if (c == 'v')
			wants->setup = false;
		else if (c == 'p')
			options->plan = true;
		else if (c == 'R')
			options->recover = true;
		else if (c == 'S')
			options->serve = true;
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

static void show(const struct nic *nic, const char *name)
{
	printf("open %s ifindex %u queues", name, nic_ifindex(nic));
	for (unsigned i = 0; i < nic_queues(nic); i++)
		printf(" %u", nic_queue(nic, i));
	printf("\n");
	fflush(stdout);
}

static int listener_open(const struct sockaddr_storage *ss)
{
	socklen_t len = ss->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
						    sizeof(struct sockaddr_in);
	int one = 1, fd = socket(ss->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ss->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)ss, len) || listen(fd, 64)) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

/* One connection: what served its first bytes is where the next ones come from, too. */
static void connection_show(const struct nic *nic, int listener)
{
	int fd = accept(listener, NULL, NULL);
	unsigned napi = 0;
	socklen_t len = sizeof(napi);
	char byte;

	if (fd < 0)
		return;
	if (read(fd, &byte, 1) == 1) {
		getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi, &len);
		printf("connection queue %d\n", nic_queue_of_napi(nic, napi));
		fflush(stdout);
	}
	close(fd);
}

/* A line asks what serves the queues now; the end of the input is the end. */
static bool line_handle(struct nic *nic, const char *name)
{
	char c;

	do {
		if (read(STDIN_FILENO, &c, 1) != 1)
			return false;
	} while (c != '\n');
	nic_napi_refresh(nic);
	show(nic, name);
	return true;
}

static int serve(struct nic *nic, const struct options *options)
{
	unsigned n = options->serve ? options->wants.n_listeners : 0;
	struct pollfd fds[NIC_MAX_LISTENERS + 1] = { { .fd = STDIN_FILENO, .events = POLLIN } };

	for (unsigned i = 0; i < n; i++) {
		fds[i + 1] = (struct pollfd){ .fd = listener_open(&options->listeners[i]),
					      .events = POLLIN };
		if (fds[i + 1].fd < 0)
			return fds[i + 1].fd;
	}
	show(nic, options->wants.name);
	for (;;) {
		if (poll(fds, n + 1, -1) < 0)
			return -errno;
		for (unsigned i = 1; i <= n; i++)
			if (fds[i].revents)
				connection_show(nic, fds[i].fd);
		if (fds[0].revents && !line_handle(nic, options->wants.name))
			return 0;
	}
}

int main(int argc, char **argv)
{
	static struct options options;
	struct nic_why why;
	struct nic *nic;
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
	rc = serve(nic, &options);
	if (rc)
		fprintf(stderr, "cannot serve: %s\n", strerror(-rc));
	nic_close(nic);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
