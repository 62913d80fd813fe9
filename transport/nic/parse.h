/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's answers taken apart. Pure: each gets one whole message (mnl_nlmsg_ok() held for it),
 * trusts nothing in it beyond that, and fills in its part of the facts. 0, -EBADMSG when an attribute
 * has another size than it must have, or -E2BIG when there is more than is looked at (NIC_SEEN_...);
 * unknown attributes are passed over, missing ones leave the facts as they are.
 */
#ifndef SLUICE_NIC_PARSE_H
#define SLUICE_NIC_PARSE_H

#include <libmnl/libmnl.h>

#include "transport/nic/facts.h"

/* Generic netlink: @arg is the uint16_t that takes the identifier of the family. */
int nic_parse_family(const struct nlmsghdr *nlh, void *arg);

/* Family "ethtool"; @arg is the struct nic_facts. */
int nic_parse_channels(const struct nlmsghdr *nlh, void *arg);
int nic_parse_rings(const struct nlmsghdr *nlh, void *arg);
int nic_parse_features(const struct nlmsghdr *nlh, void *arg);
/* The default table, or a further context: those of other interfaces are passed over. */
int nic_parse_hash(const struct nlmsghdr *nlh, void *arg);

/* Family "netdev"; @arg is the struct nic_facts. */
int nic_parse_queue(const struct nlmsghdr *nlh, void *arg);

/* rtnetlink, RTM_NEWLINK; @arg is the struct nic_facts. */
int nic_parse_link(const struct nlmsghdr *nlh, void *arg);

#endif
