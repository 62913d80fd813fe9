/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One request to the kernel by netlink and the answers to it. Built with libmnl, as ethtool is.
 */
#ifndef SLUICE_NIC_GENL_H
#define SLUICE_NIC_GENL_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/nic/nic.h"

struct nic_genl {
	struct mnl_socket *nl;
	unsigned seq;
	uint16_t ethtool, netdev; /* identifiers of the families; 0: the kernel has none */
	char buf[32768];	  /* of answers: what the kernel fills at most at a time */
	char request[20480];	  /* holds a whole indirection table */
};

/* Opens a socket of @bus: NETLINK_GENERIC (finds the families) or NETLINK_ROUTE. 0 or negative errno. */
int nic_genl_open(struct nic_genl *genl, int bus);
void nic_genl_close(struct nic_genl *genl);

/* Starts a request to a generic family, in genl->request. */
struct nlmsghdr *nic_genl_start(struct nic_genl *genl, uint16_t family, uint8_t cmd);
/* To the family "ethtool", about the interface @ifindex. */
struct nlmsghdr *nic_genl_ethtool(struct nic_genl *genl, uint8_t cmd, unsigned ifindex);

/*
 * Sends the request @nlh and hands each answer to @each until the kernel is done, which may take some
 * seconds: interfaces restart their queues. @dump: for all objects. @each returns 0, or negative errno to
 * end it. Returns 0 or negative errno; *@why (may be NULL) then has the kernel's own words, or is empty.
 */
int nic_genl_call(struct nic_genl *genl, struct nlmsghdr *nlh, bool dump,
		  int (*each)(const struct nlmsghdr *nlh, void *arg), void *arg,
		  struct nic_why *why);

/*
 * What an error message says: its errno, negative, or 0 for an acknowledgement; the kernel's words go
 * to *@why. -EBADMSG when the message is too short. Pure.
 */
int nic_genl_error(const struct nlmsghdr *nlh, struct nic_why *why);

#endif
