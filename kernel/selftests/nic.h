/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel tells about the receive queues of an interface, by generic netlink. */
#ifndef NIC_H
#define NIC_H

#include <stdbool.h>

struct nic_queue {
	unsigned int napi_id;	/* 0: none */
	bool zero_copy;		/* io_uring provides its memory */
};

/* One receive queue. 0 or a negative errno. */
int nic_queue_get(unsigned int if_index, unsigned int queue, struct nic_queue *found);

#endif
