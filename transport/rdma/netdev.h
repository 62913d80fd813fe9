/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of network interfaces and of the RDMA devices that belong to them, for messages. */
#ifndef SLUICE_RDMA_NETDEV_H
#define SLUICE_RDMA_NETDEV_H

#include <sys/socket.h>

struct netdev_text {
	char s[160];
};

/* The interface that has the address of @sa; "no interface" when none does. */
void netdev_of_address(const struct sockaddr *sa, struct netdev_text *text);

/* "rxe0 (on eth0), mlx5_0 (on eth1)"; empty when there is none. */
void netdev_rdma_devices(struct netdev_text *text);

#endif
