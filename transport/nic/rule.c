/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/rule.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/compiler.h"
#include "transport/nic/facts.h"

struct nic_rule nic_rule_of(const struct sockaddr_storage *ss)
{
	struct nic_rule rule = { .place = NIC_PLACE_ANY };

	if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;

		rule.ipv6 = true;
		rule.port = ntohs(in6->sin6_port);
		memcpy(rule.address, &in6->sin6_addr, 16);
		rule.any_address = IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;

		rule.port = ntohs(in->sin_port);
		memcpy(rule.address, &in->sin_addr, 4);
		rule.any_address = in->sin_addr.s_addr == htonl(INADDR_ANY);
	}
	return rule;
}

bool nic_rule_same_match(const struct nic_rule *a, const struct nic_rule *b)
{
	return !a->other && !b->other && a->ipv6 == b->ipv6 && a->any_address == b->any_address &&
	       !memcmp(a->address, b->address, sizeof(a->address)) && a->port == b->port &&
	       a->source_mask == b->source_mask && a->source == b->source;
}

bool nic_rule_overlaps(const struct nic_rule *a, const struct nic_rule *b)
{
	return !a->other && !b->other && a->ipv6 == b->ipv6 && a->port == b->port &&
	       (a->any_address || b->any_address ||
		!memcmp(a->address, b->address, sizeof(a->address))) &&
	       !((a->source ^ b->source) & a->source_mask & b->source_mask);
}

bool nic_rule_same_target(const struct nic_rule *a, const struct nic_rule *b)
{
	return !a->discard && !b->discard && a->to_context == b->to_context && a->to == b->to;
}

struct nic_rule_text nic_rule_match(const struct nic_rule *rule)
{
	char address[INET6_ADDRSTRLEN] = "any address", source[32] = "";
	struct nic_rule_text text;

	if (!rule->any_address)
		inet_ntop(rule->ipv6 ? AF_INET6 : AF_INET, rule->address, address, sizeof(address));
	if (rule->source_mask)
		snprintf(source, sizeof(source), " from ports %#x of %#x", rule->source,
			 rule->source_mask);
	snprintf(text.s, sizeof(text.s), "TCP over %s to %s port %u%s",
		 rule->ipv6 ? "IPv6" : "IPv4", address, rule->port, source);
	return text;
}

struct nic_rule_text nic_rule_ethtool(const struct nic_rule *rule)
{
	char address[INET6_ADDRSTRLEN + 8] = "", source[40] = "", number[INET6_ADDRSTRLEN];
	struct nic_rule_text text;

	if (!rule->any_address) {
		inet_ntop(rule->ipv6 ? AF_INET6 : AF_INET, rule->address, number, sizeof(number));
		snprintf(address, sizeof(address), " dst-ip %s", number);
	}
	/* ethtool's masks have ones where a bit does not matter. */
	if (rule->source_mask)
		snprintf(source, sizeof(source), " src-port %#x m %#x", rule->source,
			 (uint16_t)~rule->source_mask);
	snprintf(text.s, sizeof(text.s), "flow-type tcp%c%s dst-port %u%s %s %u",
		 rule->ipv6 ? '6' : '4', address, rule->port, source,
		 rule->to_context ? "context" : "action", rule->to);
	return text;
}

/* ------------------------------------------------------------------------------- the kernel's form */

void nic_rule_encode(const struct nic_rule *rule, struct ethtool_rxnfc *nfc)
{
	struct ethtool_rx_flow_spec *fs = &nfc->fs;

	memset(nfc, 0, sizeof(*nfc));
	fs->flow_type = rule->ipv6 ? TCP_V6_FLOW : TCP_V4_FLOW;
	fs->location = rule->place;
	if (rule->ipv6) {
		fs->h_u.tcp_ip6_spec.pdst = htons(rule->port);
		fs->m_u.tcp_ip6_spec.pdst = 0xffff;
		fs->h_u.tcp_ip6_spec.psrc = htons(rule->source);
		fs->m_u.tcp_ip6_spec.psrc = htons(rule->source_mask);
		if (!rule->any_address) {
			memcpy(fs->h_u.tcp_ip6_spec.ip6dst, rule->address, 16);
			memset(fs->m_u.tcp_ip6_spec.ip6dst, 0xff, 16);
		}
	} else {
		fs->h_u.tcp_ip4_spec.pdst = htons(rule->port);
		fs->m_u.tcp_ip4_spec.pdst = 0xffff;
		fs->h_u.tcp_ip4_spec.psrc = htons(rule->source);
		fs->m_u.tcp_ip4_spec.psrc = htons(rule->source_mask);
		if (!rule->any_address) {
			memcpy(&fs->h_u.tcp_ip4_spec.ip4dst, rule->address, 4);
			fs->m_u.tcp_ip4_spec.ip4dst = 0xffffffff;
		}
	}
	if (rule->to_context) {
		fs->flow_type |= FLOW_RSS;
		nfc->rss_context = rule->to;
	} else {
		fs->ring_cookie = rule->to;
	}
}

/* A field of @size bytes is looked at in full (1), not at all (0), or in part (-1). */
static int mask_of(const void *mask, size_t size)
{
	const uint8_t *p = mask;
	size_t ones = 0, zeroes = 0;

	for (size_t i = 0; i < size; i++) {
		ones += p[i] == 0xff;
		zeroes += p[i] == 0;
	}
	return ones == size ? 1 : zeroes == size ? 0 : -1;
}

/* The match of a TCP rule: false when it looks at more or less than ours do. */
static bool decode_match(const struct ethtool_rx_flow_spec *fs, struct nic_rule *rule)
{
	const struct ethtool_tcpip4_spec *v4 = &fs->h_u.tcp_ip4_spec, *m4 = &fs->m_u.tcp_ip4_spec;
	const struct ethtool_tcpip6_spec *v6 = &fs->h_u.tcp_ip6_spec, *m6 = &fs->m_u.tcp_ip6_spec;
	const void *address = rule->ipv6 ? (const void *)v6->ip6dst : &v4->ip4dst;
	const void *mask = rule->ipv6 ? (const void *)m6->ip6dst : &m4->ip4dst;
	size_t size = rule->ipv6 ? 16 : 4;
	int whole = mask_of(mask, size);

	if (whole < 0 || (rule->ipv6 ? m6->pdst : m4->pdst) != 0xffff ||
	    mask_of(rule->ipv6 ? (const void *)m6->ip6src : &m4->ip4src, size) ||
	    (rule->ipv6 ? m6->tclass : m4->tos))
		return false;
	rule->any_address = !whole;
	if (whole)
		memcpy(rule->address, address, size);
	rule->port = ntohs(rule->ipv6 ? v6->pdst : v4->pdst);
	rule->source_mask = ntohs(rule->ipv6 ? m6->psrc : m4->psrc);
	rule->source = ntohs(rule->ipv6 ? v6->psrc : v4->psrc) & rule->source_mask;
	return true;
}

/* A flow type whose packets are not TCP, whatever else a rule of it looks at. */
static bool type_is_apart(uint32_t type)
{
	switch (type) {
	case UDP_V4_FLOW:
	case UDP_V6_FLOW:
	case SCTP_V4_FLOW:
	case SCTP_V6_FLOW:
	case AH_V4_FLOW:
	case AH_V6_FLOW:
	case ESP_V4_FLOW:
	case ESP_V6_FLOW:
		return true;
	default:
		return false;
	}
}

struct nic_rule nic_rule_decode(const struct ethtool_rxnfc *nfc)
{
	const struct ethtool_rx_flow_spec *fs = &nfc->fs;
	uint32_t type = fs->flow_type & ~(uint32_t)(FLOW_RSS | FLOW_EXT | FLOW_MAC_EXT);
	struct nic_rule rule = { .place = fs->location };

	rule.apart = type_is_apart(type);
	rule.ipv6 = (fs->flow_type & ~(uint32_t)FLOW_RSS) == TCP_V6_FLOW;
	rule.to_context = fs->flow_type & FLOW_RSS;
	rule.discard = fs->ring_cookie == RX_CLS_FLOW_DISC || fs->ring_cookie == RX_CLS_FLOW_WAKE;
	rule.to = rule.to_context ? nfc->rss_context :
				    (uint32_t)ethtool_get_flow_spec_ring(fs->ring_cookie);
	/* To a virtual function: none of the interface's own queues. */
	if (!rule.discard && ethtool_get_flow_spec_ring_vf(fs->ring_cookie))
		rule.discard = true;
	if ((!rule.ipv6 && (fs->flow_type & ~(uint32_t)FLOW_RSS) != TCP_V4_FLOW) ||
	    !decode_match(fs, &rule))
		rule.other = true;
	return rule;
}

/* --------------------------------------------------------------------------------------- the table */

static int ethtool_call(int fd, const char *name, void *data)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_data = data;
	return ioctl(fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
}

/* The places in use; the caller frees *@list, which has @rule_cnt entries. */
static int places_read(int fd, const char *name, uint32_t count, struct ethtool_rxnfc **list)
{
	int rc;

	*list = calloc(1, sizeof(**list) + count * sizeof(uint32_t));
	if (!*list)
		return -ENOMEM;
	(*list)->cmd = ETHTOOL_GRXCLSRLALL;
	(*list)->rule_cnt = count;
	rc = ethtool_call(fd, name, *list);
	/* One that came in between may make it more than there is room for. */
	if (!rc && (*list)->rule_cnt > count)
		rc = -EAGAIN;
	if (rc) {
		free(*list);
		*list = NULL;
	}
	return rc;
}

/* It has gone meanwhile, or the driver cannot show it. Any other error says nothing about the rule. */
static bool rule_is_none(int rc)
{
	return rc == -ENOENT || rc == -EINVAL || rc == -EOPNOTSUPP;
}

int nic_rules_read(int fd, const char *name, struct nic_rules *rules)
{
	struct ethtool_rxnfc count = { .cmd = ETHTOOL_GRXCLSRLCNT }, *list;
	int rc = ethtool_call(fd, name, &count);

	memset(rules, 0, sizeof(*rules));
	if (rc)
		return rc;
	if (count.rule_cnt > NIC_SEEN_RULES)
		return -E2BIG;
	rc = places_read(fd, name, count.rule_cnt, &list);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < list->rule_cnt && !rc; i++) {
		struct ethtool_rxnfc one = { .cmd = ETHTOOL_GRXCLSRULE };

		one.fs.location = list->rule_locs[i];
		rc = ethtool_call(fd, name, &one);
		if (!rc)
			rules->rule[rules->n++] = nic_rule_decode(&one);
		else if (rule_is_none(rc))
			rc = 0;
	}
	if (rc) {
		free(list);
		return rc;
	}
	rules->any_place = count.data & RX_CLS_LOC_SPECIAL;
	rules->places = (uint32_t)list->data;
	rules->known = true;
	free(list);
	return 0;
}

int nic_rule_add(int fd, const char *name, struct nic_rule *rule)
{
	struct ethtool_rxnfc nfc;
	int rc;

	nic_rule_encode(rule, &nfc);
	nfc.cmd = ETHTOOL_SRXCLSRLINS;
	rc = ethtool_call(fd, name, &nfc);
	if (!rc)
		rule->place = nfc.fs.location;
	return rc;
}

int nic_rule_remove(int fd, const char *name, uint32_t place)
{
	struct ethtool_rxnfc nfc = { .cmd = ETHTOOL_SRXCLSRLDEL };

	nfc.fs.location = place;
	return ethtool_call(fd, name, &nfc);
}
