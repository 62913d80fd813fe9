/* SPDX-License-Identifier: BSD-3-Clause */
/* The interface queues for zero-copy receive that the workers have, and which connection uses which. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "transport/tcp/tcp.h"

enum { WHY_MAX = 640 };

/* Why there is none; empty: there is. Written before listeners look. */
static char copy_why[WHY_MAX];
static bool copy_wanted;

static bool wants_copy(const struct config *config)
{
	for (unsigned i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].receive == CONFIG_RECEIVE_ZCRX_COPY)
			return true;
	return false;
}

unsigned tcp_receive_areas(const struct config *config)
{
	return wants_copy(config);
}

/* Makes the interface queue of @worker that receives without a NIC. */
static int copy_open(struct worker *worker, const struct config *config)
{
	struct tcp_worker *tcp = worker->transport_state[0];
	const struct worker_receive *receive = &worker->receive;
	const struct zcrx_options options = {
		.area = &worker->area,
		.offset = receive->offset,
		.size = receive->bytes,
		.dmabuf_fd = -1,
		.keepers = config->n_namespaces,
	};
	struct zcrx *zcrx = malloc(sizeof(*zcrx));
	int rc;

	if (!zcrx) {
		snprintf(copy_why, sizeof(copy_why), "no memory");
		return -ENOMEM;
	}
	rc = zcrx_open(zcrx, &worker->loop, &options, copy_why, sizeof(copy_why));
	if (rc)
		free(zcrx);
	else
		tcp->zcrx_copy = zcrx;
	return rc;
}

int tcp_queues_open(const struct config *config)
{
	copy_wanted = wants_copy(config);
	for (unsigned i = 0; i < n_workers && copy_wanted; i++) {
		if (copy_open(&workers[i], config)) {
			log_warning("listeners with receive = zcrx-copy use recv: %s", copy_why);
			break;
		}
	}
	return 0;
}

void tcp_queues_close(struct tcp_worker *tcp)
{
	if (tcp->zcrx_copy)
		zcrx_close(tcp->zcrx_copy);
	free(tcp->zcrx_copy);
	tcp->zcrx_copy = NULL;
}

void tcp_queues_facts(const struct config_listener *config, struct datapath_facts *facts)
{
	static const char no_nic[] = "no [nic INTERFACE] section names a NIC that can";

	facts->zcrx = (struct datapath_fact){ false, no_nic };
	facts->zcrx_copy = (struct datapath_fact){ false, "" };
	if (config->receive == CONFIG_RECEIVE_RECV)
		facts->zcrx.why_not = "the listener has receive = recv";
	if (config->receive == CONFIG_RECEIVE_ZCRX_COPY) {
		facts->zcrx_copy.yes = !copy_why[0];
		facts->zcrx.why_not = copy_why;
	}
	facts->zcrx_device_memory = facts->zcrx;
}

struct zcrx *tcp_queues_find(struct tcp_worker *tcp, const struct listener *listener)
{
	return listener->config->receive == CONFIG_RECEIVE_ZCRX_COPY ? tcp->zcrx_copy : NULL;
}
