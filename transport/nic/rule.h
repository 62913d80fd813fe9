/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering rules ("ntuple"): TCP connections to an address and port go to a queue, or to a hash
 * context. They are the one thing that has no netlink message: SIOCETHTOOL is asked.
 */
#ifndef SLUICE_NIC_RULE_H
#define SLUICE_NIC_RULE_H

#include <linux/ethtool.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "transport/nic/nic.h"

struct nic_facts;
struct nic_rules;

/* Where a rule may be placed when the driver chooses: RX_CLS_LOC_ANY. */
#define NIC_PLACE_ANY UINT32_C(0xffffffff)

struct nic_rule {
	bool other;   /* matches something that these fields do not tell */
	bool apart;   /* such a one, and never TCP: it is of another protocol */
	bool discard; /* drops what it matches */
	bool ipv6;
	bool any_address;
	uint8_t address[16]; /* destination; network order, IPv4 in the first four bytes */
	uint16_t port;	     /* destination */
	/* Source ports whose bits in the mask are these; a mask of 0: all. */
	uint16_t source, source_mask;
	bool to_context; /* else to a queue */
	uint32_t to;
	uint32_t place; /* in the device's table: lower ones win; NIC_PLACE_ANY: not known */
};

struct nic_rule_text {
	char s[192];
};

/* The rule that matches connections to the listener @ss, IPv4 or IPv6, without where they go. */
struct nic_rule nic_rule_of(const struct sockaddr_storage *ss);

/* Both match the same connections. */
bool nic_rule_same_match(const struct nic_rule *a, const struct nic_rule *b);

/* Some connections match both. False when @a or @b is `other`. */
bool nic_rule_overlaps(const struct nic_rule *a, const struct nic_rule *b);

/* Both go to the same queue or context. */
bool nic_rule_same_target(const struct nic_rule *a, const struct nic_rule *b);

/* "TCP over IPv4 to 192.0.2.1 port 4420": what it matches, in words. */
struct nic_rule_text nic_rule_match(const struct nic_rule *rule);

/* "flow-type tcp4 dst-ip 192.0.2.1 dst-port 4420 action 3": as ethtool -N takes it. */
struct nic_rule_text nic_rule_ethtool(const struct nic_rule *rule);

/* To and from what the kernel uses. A rule of another sort than ours becomes one that is `other`. */
void nic_rule_encode(const struct nic_rule *rule, struct ethtool_rxnfc *nfc);
struct nic_rule nic_rule_decode(const struct ethtool_rxnfc *nfc);

/*
 * The rules of the interface @name by the socket @fd. -EOPNOTSUPP when it has no table of rules; then
 * and on other errors @rules->known is false.
 */
int nic_rules_read(int fd, const char *name, struct nic_rules *rules);

/* Adds @rule at its place, and fills in the place that the driver chose. 0 or negative errno. */
int nic_rule_add(int fd, const char *name, struct nic_rule *rule);

/* Removes the rule at that place. 0 or negative errno. */
int nic_rule_remove(int fd, const char *name, uint32_t place);

#endif
