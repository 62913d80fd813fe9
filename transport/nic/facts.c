/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/facts.h"

#include <cap-ng.h>
#include <errno.h>
#include <liburing.h>
#include <linux/ethtool_netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/sysfs.h"
#include "transport/nic/abi.h"
#include "transport/nic/genl.h"
#include "transport/nic/parse.h"

/* ------------------------------------------------------------------------------------ the interface */

static int link_read(struct nic_facts *facts)
{
	struct nic_genl *route = malloc(sizeof(*route));
	struct nlmsghdr *nlh;
	struct ifinfomsg *info;
	int rc;

	if (!route)
		return -ENOMEM;
	rc = nic_genl_open(route, NETLINK_ROUTE);
	if (rc)
		goto out;
	nlh = mnl_nlmsg_put_header(route->request);
	nlh->nlmsg_type = RTM_GETLINK;
	info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, facts->name);
	rc = nic_genl_call(route, nlh, false, nic_parse_link, facts, NULL);
	if (rc == -ENODEV)
		rc = 0;
	nic_genl_close(route);
out:
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

static const struct {
	const char *what;
	uint8_t cmd;
	bool dump;
	int (*parse)(const struct nlmsghdr *nlh, void *arg);
} questions[] = {
	[NIC_ASK_CHANNELS] = { "channels", ETHTOOL_MSG_CHANNELS_GET, false, nic_parse_channels },
	[NIC_ASK_RINGS] = { "rings", ETHTOOL_MSG_RINGS_GET, false, nic_parse_rings },
	[NIC_ASK_FEATURES] = { "features", ETHTOOL_MSG_FEATURES_GET, false, nic_parse_features },
	/* The default table and all contexts. */
	[NIC_ASK_HASH] = { "receive hash", NIC_MSG_RSS_GET, true, nic_parse_hash },
	[NIC_ASK_QUEUES] = { "queues", NIC_NETDEV_QUEUE_GET, true, nic_parse_queue },
};

static void forget(struct nic_facts *facts, enum nic_ask what)
{
	switch (what) {
	case NIC_ASK_CHANNELS:
		facts->channels = (struct nic_channels){ 0 };
		break;
	case NIC_ASK_RINGS:
		facts->rings = (struct nic_rings){ 0 };
		break;
	case NIC_ASK_FEATURES:
		facts->ntuple = facts->gro_hw = (struct nic_feature){ 0 };
		break;
	case NIC_ASK_HASH:
		facts->hash_known = false;
		facts->table.n = facts->n_contexts = 0;
		break;
	case NIC_ASK_QUEUES:
		facts->n_queues = 0;
		break;
	}
}

int nic_facts_ask(struct nic_facts *facts, struct nic_genl *genl, enum nic_ask what,
		  struct nic_why *why)
{
	struct nlmsghdr *nlh;

	forget(facts, what);
	if (what == NIC_ASK_QUEUES) {
		if (!genl->netdev)
			return -EOPNOTSUPP;
		nlh = nic_genl_start(genl, genl->netdev, questions[what].cmd);
		mnl_attr_put_u32(nlh, NIC_A_QUEUE_IFINDEX, facts->link.index);
	} else {
		nlh = nic_genl_ethtool(genl, questions[what].cmd, facts->link.index);
	}
	return nic_genl_call(genl, nlh, questions[what].dump, questions[what].parse, facts, why);
}

/* A context that cannot exist: a device without contexts says so, one with them finds it missing. */
static bool contexts_probe(struct nic_genl *genl, unsigned ifindex)
{
	struct nlmsghdr *nlh = nic_genl_ethtool(genl, NIC_MSG_RSS_GET, ifindex);

	mnl_attr_put_u32(nlh, NIC_A_RSS_CONTEXT, UINT32_MAX);
	return nic_genl_call(genl, nlh, false, NULL, NULL, NULL) == -ENOENT;
}

static int device_read(struct nic_genl *genl, struct nic_facts *facts, struct nic_why *why)
{
	for (enum nic_ask i = 0; i < ARRAY_SIZE(questions); i++) {
		struct nic_why said;
		int rc = nic_facts_ask(facts, genl, i, &said);

		if (!rc || rc == -EOPNOTSUPP)
			continue;
		if (rc == -EBADMSG)
			snprintf(why->s, sizeof(why->s),
				 "%s: what the kernel answers about its %s has another shape than is "
				 "known: this version of Sluice cannot set it up",
				 facts->name, questions[i].what);
		else if (rc == -E2BIG)
			snprintf(why->s, sizeof(why->s),
				 "%s has more than %d hash contexts, or a table of more than %d "
				 "entries: remove contexts (ethtool -X %s context N delete)",
				 facts->name, NIC_SEEN_CONTEXTS, NIC_SEEN_TABLE, facts->name);
		else
			snprintf(why->s, sizeof(why->s), "%s: its %s cannot be asked for: %.300s",
				 facts->name, questions[i].what,
				 said.s[0] ? said.s : strerror(-rc));
		return rc;
	}
	facts->contexts_known = contexts_probe(genl, facts->link.index);
	return 0;
}

/* With receive flow steering (RFS), drivers may bring any connection to a queue that has a table. */
static void flows_read(struct nic_facts *facts)
{
	uint64_t entries = 0;
	char dir[96];

	sysfs_number("/proc/sys/net/core", "rps_sock_flow_entries", &entries);
	if (!entries)
		return;
	for (uint32_t q = 0; q < facts->n_queues; q++) {
		uint64_t flows = 0;

		snprintf(dir, sizeof(dir), "/sys/class/net/%s/queues/rx-%u", facts->name, q);
		sysfs_number(dir, "rps_flow_cnt", &flows);
		if (flows)
			nic_set_add(&facts->flows, q);
	}
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
	facts->rules.error = nic_rules_read(fd, facts->name, &facts->rules);
	close(fd);
	rc = nic_genl_open(genl, NETLINK_GENERIC);
	if (rc)
		goto out;
	rc = device_read(genl, facts, why);
	nic_genl_close(genl);
	flows_read(facts);
out:
	free(genl);
	if (rc && !why->s[0])
		snprintf(why->s, sizeof(why->s), "%s: the kernel cannot be asked by netlink: %s",
			 name, strerror(-rc));
	return rc;
}
