/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/facts.h"

#include <cap-ng.h>
#include <errno.h>
#include <liburing.h>
#include <linux/ethtool_netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/compiler.h"
#include "transport/nic/abi.h"
#include "transport/nic/genl.h"
#include "transport/nic/parse.h"

/* ------------------------------------------------------------------------------------ the interface */

struct lower_search {
	const struct nic_link *upper;
	char *names;
	size_t size;
};

/* Adds a link to the names when it is below the one that is looked at. */
static int lower_collect(const struct nlmsghdr *nlh, void *arg)
{
	struct lower_search *search = arg;
	struct nic_parsed_link parsed;
	size_t len = strlen(search->names);
	int rc = nic_parse_link(nlh, &parsed);

	if (rc)
		return rc;
	if (parsed.link.master == search->upper->index || parsed.link.index == search->upper->link)
		snprintf(search->names + len, search->size - len, "%s%s", len ? ", " : "",
			 parsed.name);
	return 0;
}

static int link_read(struct nic_facts *facts)
{
	struct nic_genl *route = malloc(sizeof(*route));
	struct nic_parsed_link parsed = { 0 };
	struct lower_search search = { &facts->link, facts->link.lower, sizeof(facts->link.lower) };
	struct nlmsghdr *nlh;
	struct ifinfomsg *info;
	int rc;

	if (!route)
		return -ENOMEM;
	rc = nic_genl_open(route, NETLINK_ROUTE);
	if (rc)
		goto out_free;
	nlh = mnl_nlmsg_put_header(route->request);
	nlh->nlmsg_type = RTM_GETLINK;
	info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, facts->name);
	rc = nic_genl_call(route, nlh, false, nic_parse_link, &parsed, NULL);
	if (rc) {
		rc = rc == -ENODEV ? 0 : rc;
		goto out;
	}
	facts->link = parsed.link;
	if (!facts->link.kind[0])
		goto out;
	nlh = mnl_nlmsg_put_header(route->request);
	nlh->nlmsg_type = RTM_GETLINK;
	info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	rc = nic_genl_call(route, nlh, true, lower_collect, &search, NULL);
out:
	nic_genl_close(route);
out_free:
	free(route);
	return rc;
}

static void driver_read(int fd, struct nic_facts *facts)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", facts->name);
	ifr.ifr_data = (void *)&info;
	if (ioctl(fd, SIOCETHTOOL, &ifr))
		return;
	snprintf(facts->driver, sizeof(facts->driver), "%.31s", info.driver);
	snprintf(facts->version, sizeof(facts->version), "%.31s", info.version);
	snprintf(facts->firmware, sizeof(facts->firmware), "%.31s", info.fw_version);
	snprintf(facts->bus, sizeof(facts->bus), "%.31s", info.bus_info);
}

/* --------------------------------------------------------------------------------------- the kernel */

/*
 * A kernel that knows how to register a queue may have been built without it: to a ring that lacks
 * what it takes (DEFER_TASKRUN) it then says so, EOPNOTSUPP, instead of what is wrong with the ring.
 */
static enum nic_zcrx zcrx_probe(void)
{
	struct io_uring_query_opcode opcodes = { 0 };
	struct io_uring_query_hdr query = { .query_data = (uintptr_t)&opcodes,
					    .query_op = IO_URING_QUERY_OPCODES,
					    .size = sizeof(opcodes) };
	struct io_uring_zcrx_ifq_reg reg = { 0 };
	struct io_uring ring;
	int rc = io_uring_queue_init(2, &ring, 0);

	if (rc == -EPERM || rc == -ENOSYS)
		return NIC_ZCRX_FORBIDDEN;
	if (rc)
		return NIC_ZCRX_YES; /* no memory for a ring: the real one will say it */
	if (io_uring_register_query(&query) || query.result ||
	    opcodes.nr_register_opcodes <= IORING_REGISTER_ZCRX_IFQ)
		rc = -EINVAL;
	else
		rc = io_uring_register_ifq(&ring, &reg) == -EOPNOTSUPP ? -EOPNOTSUPP : 0;
	io_uring_queue_exit(&ring);
	return !rc ? NIC_ZCRX_YES : rc == -EINVAL ? NIC_ZCRX_OLD_KERNEL : NIC_ZCRX_LEFT_OUT;
}

static bool privileged(void)
{
	return capng_get_caps_process() == 0 &&
	       capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN);
}

static void kernel_read(struct nic_facts *facts)
{
	struct utsname uts;

	if (uname(&uts) == 0)
		snprintf(facts->kernel, sizeof(facts->kernel), "%.64s", uts.release);
	facts->zcrx = zcrx_probe();
	facts->privileged = privileged();
}

/* ---------------------------------------------------------------------------------- what it can set */

struct question {
	uint8_t cmd;
	uint16_t header;
	bool dump;
	int (*parse)(const struct nlmsghdr *nlh, void *arg);
};

static const struct question questions[] = {
	{ ETHTOOL_MSG_CHANNELS_GET, ETHTOOL_A_CHANNELS_HEADER, false, nic_parse_channels },
	{ ETHTOOL_MSG_RINGS_GET, ETHTOOL_A_RINGS_HEADER, false, nic_parse_rings },
	{ ETHTOOL_MSG_FEATURES_GET, ETHTOOL_A_FEATURES_HEADER, false, nic_parse_features },
	{ NIC_MSG_RSS_GET, NIC_A_RSS_HEADER, true, nic_parse_hash },
};

/* A context that cannot exist: a device without contexts says so, one with them finds it missing. */
static bool contexts_probe(struct nic_genl *genl, unsigned ifindex)
{
	struct nlmsghdr *nlh = nic_genl_ethtool(genl, NIC_MSG_RSS_GET, NIC_A_RSS_HEADER, ifindex);

	mnl_attr_put_u32(nlh, NIC_A_RSS_CONTEXT, UINT32_MAX);
	return nic_genl_call(genl, nlh, false, NULL, NULL, NULL) == -ENOENT;
}

/* To set nothing changes nothing; a kernel before 6.17 does not know the message (EOPNOTSUPP). */
static bool hash_settable_probe(struct nic_genl *genl, unsigned ifindex)
{
	struct nlmsghdr *nlh = nic_genl_ethtool(genl, NIC_MSG_RSS_SET, NIC_A_RSS_HEADER, ifindex);
	int rc = nic_genl_call(genl, nlh, false, NULL, NULL, NULL);

	return rc == 0 || rc == -EPERM;
}

static int device_read(struct nic_genl *genl, struct nic_facts *facts, struct nic_why *why)
{
	struct nlmsghdr *nlh;

	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		const struct question *q = &questions[i];
		int rc;

		nlh = nic_genl_ethtool(genl, q->cmd, q->header, facts->link.index);
		rc = nic_genl_call(genl, nlh, q->dump, q->parse, facts, NULL);
		if (rc == -EBADMSG || rc == -E2BIG) {
			snprintf(why->s, sizeof(why->s),
				 "%s: the kernel's answer to ethtool's message %u has another "
				 "shape than is known: this version of Sluice cannot set it up",
				 facts->name, q->cmd);
			return rc;
		}
	}
	facts->contexts_known = contexts_probe(genl, facts->link.index);
	facts->hash_settable = hash_settable_probe(genl, facts->link.index);
	if (!genl->netdev)
		return 0;
	nlh = nic_genl_start(genl, genl->netdev, NIC_NETDEV_QUEUE_GET);
	mnl_attr_put_u32(nlh, NIC_A_QUEUE_IFINDEX, facts->link.index);
	nic_genl_call(genl, nlh, true, nic_parse_queue, facts, NULL);
	return 0;
}

int nic_facts_read(struct nic_facts *facts, const char *name, struct nic_why *why)
{
	struct nic_genl *genl;
	int fd, rc;

	memset(facts, 0, sizeof(*facts));
	snprintf(facts->name, sizeof(facts->name), "%s", name);
	kernel_read(facts);
	genl = malloc(sizeof(*genl));
	if (!genl)
		return -ENOMEM;
	rc = link_read(facts);
	if (rc || !facts->link.index)
		goto out;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		rc = -errno;
		goto out;
	}
	driver_read(fd, facts);
	nic_rules_read(fd, facts->name, &facts->rules);
	close(fd);
	rc = nic_genl_open(genl, NETLINK_GENERIC);
	if (rc)
		goto out;
	rc = device_read(genl, facts, why);
	nic_genl_close(genl);
out:
	free(genl);
	if (rc && !why->s[0])
		snprintf(why->s, sizeof(why->s), "%s: the kernel cannot be asked by netlink: %s",
			 name, strerror(-rc));
	return rc;
}
