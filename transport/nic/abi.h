/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel has learnt since the headers of Linux 6.1 (Debian 12), with the numbers of its ABI:
 * the generic netlink family "netdev", and what the family "ethtool" and zero-copy receive gained.
 */
#ifndef SLUICE_NIC_ABI_H
#define SLUICE_NIC_ABI_H

#include <stdint.h>

/* Family "ethtool": receive hashes. Reading came with Linux 6.3, changing with 6.17. */
enum {
	NIC_MSG_RSS_GET = 38,
	NIC_MSG_RSS_SET = 48,
	NIC_MSG_RSS_CREATE_ACT = 49,
	NIC_MSG_RSS_DELETE_ACT = 50,
};

enum {
	NIC_A_RSS_HEADER = 1,
	NIC_A_RSS_CONTEXT = 2,
	NIC_A_RSS_INDIR = 4,
};

enum {
	NIC_A_RINGS_HDS_THRESH = 17,
};

/* Family "netdev". */
#define NIC_NETDEV_FAMILY "netdev"

enum {
	NIC_NETDEV_QUEUE_GET = 10,
};

enum {
	NIC_A_QUEUE_ID = 1,
	NIC_A_QUEUE_IFINDEX = 2,
	NIC_A_QUEUE_TYPE = 3, /* 0: receive */
	NIC_A_QUEUE_NAPI_ID = 4,
	NIC_A_QUEUE_DMABUF = 5,
	NIC_A_QUEUE_IO_URING = 6,
	NIC_A_QUEUE_XSK = 7,
	NIC_A_QUEUE_LEASE = 8,
};

#endif
