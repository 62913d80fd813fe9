/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic.h"
#include "selftest.h"

/* Of the family "netdev", which is younger than the headers of some systems. */
enum {
	NETDEV_VERSION = 1,
	NETDEV_QUEUE_GET = 10,
	QUEUE_ID = 1,
	QUEUE_IFINDEX = 2,
	QUEUE_TYPE = 3,
	QUEUE_NAPI_ID = 4,
	QUEUE_IO_URING = 6,
	QUEUE_TYPE_RX = 0,
};

enum {
	MESSAGE_LEN = 8192,
};

struct message {
	struct nlmsghdr head;
	struct genlmsghdr genl;
	char attrs[MESSAGE_LEN];
};

static void message_begin(struct message *msg, uint16_t family, uint8_t command)
{
	memset(msg, 0, sizeof(msg->head) + sizeof(msg->genl));
	msg->head.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	msg->head.nlmsg_type = family;
	msg->head.nlmsg_flags = NLM_F_REQUEST;
	msg->genl.cmd = command;
	msg->genl.version = NETDEV_VERSION;
}

static void message_add(struct message *msg, uint16_t type, const void *data, size_t len)
{
	struct nlattr attr = { .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type };
	char *end = (char *)msg + NLMSG_ALIGN(msg->head.nlmsg_len);

	memcpy(end, &attr, sizeof(attr));
	memcpy(end + NLA_HDRLEN, data, len);
	msg->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(msg->head.nlmsg_len) +
					 NLA_ALIGN(NLA_HDRLEN + len));
}

/* The message becomes its answer. */
static int message_exchange(int fd, struct message *msg)
{
	struct nlmsgerr error;
	ssize_t len;

	if (send(fd, msg, msg->head.nlmsg_len, 0) < 0)
		return -errno;
	len = recv(fd, msg, sizeof(*msg), 0);
	if (len < 0)
		return -errno;
	if (!NLMSG_OK(&msg->head, (size_t)len))
		return -EBADMSG;
	if (msg->head.nlmsg_type != NLMSG_ERROR)
		return 0;
	memcpy(&error, NLMSG_DATA(&msg->head), sizeof(error));
	return error.error ? error.error : -EBADMSG;
}

/* The content of an attribute of the answer, of at least len bytes, or NULL. */
static const void *message_find(const struct message *msg, uint16_t type, size_t len)
{
	size_t left = msg->head.nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN), step;
	const char *at = msg->attrs;
	struct nlattr attr;

	while (left >= sizeof(attr)) {
		memcpy(&attr, at, sizeof(attr));
		if (attr.nla_len < sizeof(attr) || attr.nla_len > left)
			return NULL;
		if ((attr.nla_type & NLA_TYPE_MASK) == type)
			return attr.nla_len >= NLA_HDRLEN + len ? at + NLA_HDRLEN : NULL;
		step = NLA_ALIGN(attr.nla_len);
		if (step > left)
			return NULL;
		at += step;
		left -= step;
	}
	return NULL;
}

static int family_find(int fd, struct message *msg, uint16_t *family)
{
	const void *id;
	int rc;

	message_begin(msg, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	message_add(msg, CTRL_ATTR_FAMILY_NAME, "netdev", sizeof("netdev"));
	rc = message_exchange(fd, msg);
	if (rc)
		return rc;
	id = message_find(msg, CTRL_ATTR_FAMILY_ID, sizeof(*family));
	if (!id)
		return -EBADMSG;
	memcpy(family, id, sizeof(*family));
	return 0;
}

int nic_queue_get(unsigned int if_index, unsigned int queue, struct nic_queue *found)
{
	uint32_t index = if_index, id = queue, rx = QUEUE_TYPE_RX;
	static struct message msg;
	const void *napi_id;
	uint16_t family;
	int rc, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (fd < 0)
		return -errno;
	rc = family_find(fd, &msg, &family);
	if (!rc) {
		message_begin(&msg, family, NETDEV_QUEUE_GET);
		message_add(&msg, QUEUE_IFINDEX, &index, sizeof(index));
		message_add(&msg, QUEUE_TYPE, &rx, sizeof(rx));
		message_add(&msg, QUEUE_ID, &id, sizeof(id));
		rc = message_exchange(fd, &msg);
	}
	close(fd);
	if (rc)
		return rc;
	*found = (struct nic_queue){ .zero_copy = message_find(&msg, QUEUE_IO_URING, 0) };
	napi_id = message_find(&msg, QUEUE_NAPI_ID, sizeof(uint32_t));
	if (napi_id)
		memcpy(&found->napi_id, napi_id, sizeof(found->napi_id));
	return 0;
}
