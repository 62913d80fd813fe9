/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/genl.h"

#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <string.h>

#include "base/compiler.h"
#include "transport/nic/abi.h"
#include "transport/nic/parse.h"

enum { HEADER = 1 }; /* the first attribute of every message of the family "ethtool" */

static int family_find(struct nic_genl *genl, const char *name, uint16_t *id)
{
	struct nlmsghdr *nlh = nic_genl_start(genl, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	int rc;

	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, name);
	*id = 0;
	rc = nic_genl_call(genl, nlh, false, nic_parse_family, id, NULL);
	return rc == -ENOENT ? 0 : rc;
}

int nic_genl_open(struct nic_genl *genl, int bus)
{
	int one = 1, rc;

	memset(genl, 0, sizeof(*genl));
	genl->nl = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!genl->nl)
		return -errno;
	if (mnl_socket_bind(genl->nl, 0, MNL_SOCKET_AUTOPID)) {
		rc = -errno;
		goto fail;
	}
	/* Words with errors, and no copy of the request in them. */
	mnl_socket_setsockopt(genl->nl, NETLINK_EXT_ACK, &one, sizeof(one));
	mnl_socket_setsockopt(genl->nl, NETLINK_CAP_ACK, &one, sizeof(one));
	if (bus != NETLINK_GENERIC)
		return 0;
	rc = family_find(genl, ETHTOOL_GENL_NAME, &genl->ethtool);
	if (!rc)
		rc = family_find(genl, NIC_NETDEV_FAMILY, &genl->netdev);
	if (!rc)
		return 0;
fail:
	nic_genl_close(genl);
	return rc;
}

void nic_genl_close(struct nic_genl *genl)
{
	if (genl->nl)
		mnl_socket_close(genl->nl);
	genl->nl = NULL;
}

struct nlmsghdr *nic_genl_start(struct nic_genl *genl, uint16_t family, uint8_t cmd)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(genl->request);
	struct genlmsghdr *genlh = mnl_nlmsg_put_extra_header(nlh, sizeof(*genlh));

	nlh->nlmsg_type = family;
	genlh->cmd = cmd;
	genlh->version = 1;
	return nlh;
}

struct nlmsghdr *nic_genl_ethtool(struct nic_genl *genl, uint8_t cmd, unsigned ifindex)
{
	struct nlmsghdr *nlh = nic_genl_start(genl, genl->ethtool, cmd);
	struct nlattr *nest = mnl_attr_nest_start(nlh, HEADER);

	mnl_attr_put_u32(nlh, ETHTOOL_A_HEADER_DEV_INDEX, ifindex);
	mnl_attr_nest_end(nlh, nest);
	return nlh;
}

static int attr_words(const struct nlattr *attr, void *arg)
{
	struct nic_why *why = arg;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
		snprintf(why->s, sizeof(why->s), "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

int nic_genl_error(const struct nlmsghdr *nlh, struct nic_why *why)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(nlh);
	size_t len = mnl_nlmsg_get_payload_len(nlh), skip = sizeof(*error);

	if (len < sizeof(*error) || error->error > 0 || error->error == INT32_MIN)
		return -EBADMSG;
	/* Without NETLINK_CAP_ACK the whole request stands before the attributes. */
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED) && error->msg.nlmsg_len > sizeof(error->msg))
		skip += MNL_ALIGN((size_t)error->msg.nlmsg_len) - sizeof(error->msg);
	if (why && (nlh->nlmsg_flags & NLM_F_ACK_TLVS) && len > skip)
		mnl_attr_parse_payload((const char *)error + skip, len - skip, attr_words, why);
	return error->error;
}

/* One message of an answer. Returns 1 when it was the last. */
static int answer_take(struct nic_genl *genl, const struct nlmsghdr *nlh,
		       int (*each)(const struct nlmsghdr *nlh, void *arg), void *arg,
		       struct nic_why *why)
{
	int rc;

	if (nlh->nlmsg_seq != genl->seq)
		return 0; /* of a request whose answer was not read to its end */
	switch (nlh->nlmsg_type) {
	case NLMSG_NOOP:
		return 0;
	case NLMSG_ERROR:
		rc = nic_genl_error(nlh, why);
		return rc ? rc : 1;
	case NLMSG_DONE:
		/* A dump that failed half way says so here. */
		rc = mnl_nlmsg_get_payload_len(nlh) >= sizeof(int32_t) ?
			     *(const int32_t *)mnl_nlmsg_get_payload(nlh) :
			     0;
		return rc < 0 ? rc : 1;
	default:
		return each ? each(nlh, arg) : 0;
	}
}

int nic_genl_call(struct nic_genl *genl, struct nlmsghdr *nlh, bool dump,
		  int (*each)(const struct nlmsghdr *nlh, void *arg), void *arg,
		  struct nic_why *why)
{
	if (why)
		why->s[0] = '\0';
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | (dump ? NLM_F_DUMP : 0));
	nlh->nlmsg_seq = ++genl->seq;
	if (mnl_socket_sendto(genl->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(genl->nl, genl->buf, sizeof(genl->buf));
		int len = (int)n, rc = 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		nlh = (struct nlmsghdr *)genl->buf;
		for (; mnl_nlmsg_ok(nlh, len) && !rc; nlh = mnl_nlmsg_next(nlh, &len))
			rc = answer_take(genl, nlh, each, arg, why);
		if (rc)
			return rc < 0 ? rc : 0;
	}
}
