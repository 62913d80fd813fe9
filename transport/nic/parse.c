/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/parse.h"

#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/compiler.h"
#include "transport/nic/abi.h"

enum { ATTRS = 64 }; /* numbers of attributes that are looked at are below */

struct attrs {
	const struct nlattr *a[ATTRS];
};

static int attr_keep(const struct nlattr *attr, void *arg)
{
	struct attrs *attrs = arg;

	if (mnl_attr_get_type(attr) < ATTRS)
		attrs->a[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

/* The attributes behind @skip bytes of family header; -EBADMSG when not even that is there. */
static int attrs_of(const struct nlmsghdr *nlh, size_t skip, struct attrs *attrs)
{
	size_t len = mnl_nlmsg_get_payload_len(nlh);

	memset(attrs, 0, sizeof(*attrs));
	skip = MNL_ALIGN(skip);
	if (len < skip)
		return -EBADMSG;
	/* Not mnl_attr_parse(): that takes the length for a multiple of four. */
	mnl_attr_parse_payload((const char *)mnl_nlmsg_get_payload(nlh) + skip, len - skip,
			       attr_keep, attrs);
	return 0;
}

static int attrs_nested(const struct nlattr *nest, struct attrs *attrs)
{
	memset(attrs, 0, sizeof(*attrs));
	return mnl_attr_parse_nested(nest, attr_keep, attrs) < 0 ? -EBADMSG : 0;
}

static int genl_attrs(const struct nlmsghdr *nlh, struct attrs *attrs)
{
	return attrs_of(nlh, sizeof(struct genlmsghdr), attrs);
}

/* Attribute @i into *@value when it is there. Returns 0, or -EBADMSG when it is no 32 bit number. */
static int take_u32(const struct attrs *attrs, unsigned i, uint32_t *value)
{
	if (!attrs->a[i])
		return 0;
	if (mnl_attr_validate(attrs->a[i], MNL_TYPE_U32))
		return -EBADMSG;
	*value = mnl_attr_get_u32(attrs->a[i]);
	return 0;
}

static void take_text(const struct nlattr *attr, char *text, size_t size)
{
	size_t len = mnl_attr_get_payload_len(attr);

	snprintf(text, size, "%.*s", (int)MIN(len, size), (const char *)mnl_attr_get_payload(attr));
}

static bool text_is(const struct nlattr *attr, const char *text)
{
	size_t len = mnl_attr_get_payload_len(attr), want = strlen(text);

	/* With or without the NUL at its end. */
	return len >= want && len <= want + 1 && !memcmp(mnl_attr_get_payload(attr), text, want) &&
	       (len == want || ((const char *)mnl_attr_get_payload(attr))[want] == '\0');
}

int nic_parse_family(const struct nlmsghdr *nlh, void *arg)
{
	struct attrs attrs;

	if (genl_attrs(nlh, &attrs))
		return -EBADMSG;
	if (!attrs.a[CTRL_ATTR_FAMILY_ID] ||
	    mnl_attr_validate(attrs.a[CTRL_ATTR_FAMILY_ID], MNL_TYPE_U16))
		return -EBADMSG;
	*(uint16_t *)arg = mnl_attr_get_u16(attrs.a[CTRL_ATTR_FAMILY_ID]);
	return 0;
}

/* ------------------------------------------------------------------------------------------ ethtool */

int nic_parse_channels(const struct nlmsghdr *nlh, void *arg)
{
	struct nic_channels *channels = &((struct nic_facts *)arg)->channels;
	struct attrs attrs;

	if (genl_attrs(nlh, &attrs) ||
	    take_u32(&attrs, ETHTOOL_A_CHANNELS_RX_MAX, &channels->rx_max) ||
	    take_u32(&attrs, ETHTOOL_A_CHANNELS_RX_COUNT, &channels->rx) ||
	    take_u32(&attrs, ETHTOOL_A_CHANNELS_COMBINED_MAX, &channels->combined_max) ||
	    take_u32(&attrs, ETHTOOL_A_CHANNELS_COMBINED_COUNT, &channels->combined))
		return -EBADMSG;
	channels->known = true;
	return 0;
}

int nic_parse_rings(const struct nlmsghdr *nlh, void *arg)
{
	struct nic_rings *rings = &((struct nic_facts *)arg)->rings;
	const struct nlattr *split;
	struct attrs attrs;

	if (genl_attrs(nlh, &attrs) || take_u32(&attrs, ETHTOOL_A_RINGS_RX, &rings->rx) ||
	    take_u32(&attrs, ETHTOOL_A_RINGS_RX_MAX, &rings->rx_max) ||
	    take_u32(&attrs, NIC_A_RINGS_HDS_THRESH, &rings->thresh))
		return -EBADMSG;
	rings->thresh_known = attrs.a[NIC_A_RINGS_HDS_THRESH];
	split = attrs.a[ETHTOOL_A_RINGS_TCP_DATA_SPLIT];
	if (split) {
		if (mnl_attr_validate(split, MNL_TYPE_U8))
			return -EBADMSG;
		if (mnl_attr_get_u8(split) == ETHTOOL_TCP_DATA_SPLIT_ENABLED)
			rings->split = NIC_SPLIT_ON;
		else if (mnl_attr_get_u8(split) == ETHTOOL_TCP_DATA_SPLIT_DISABLED)
			rings->split = NIC_SPLIT_OFF;
	}
	rings->known = true;
	return 0;
}

struct bit {
	const char *name;
	bool found, value;
};

static int bit_find(const struct nlattr *attr, void *arg)
{
	struct bit *bit = arg;
	struct attrs attrs;

	if (mnl_attr_get_type(attr) != ETHTOOL_A_BITSET_BITS_BIT || attrs_nested(attr, &attrs) ||
	    !attrs.a[ETHTOOL_A_BITSET_BIT_NAME] ||
	    !text_is(attrs.a[ETHTOOL_A_BITSET_BIT_NAME], bit->name))
		return MNL_CB_OK;
	bit->found = true;
	bit->value = attrs.a[ETHTOOL_A_BITSET_BIT_VALUE];
	return MNL_CB_OK;
}

/*
 * The bit @name of a bit set in its verbose form. A set without a mask lists the bits that are set and
 * no others.
 */
static bool bitset_has(const struct nlattr *set, const char *name)
{
	struct bit bit = { .name = name };
	struct attrs attrs;

	if (!set || attrs_nested(set, &attrs) || !attrs.a[ETHTOOL_A_BITSET_BITS])
		return false;
	mnl_attr_parse_nested(attrs.a[ETHTOOL_A_BITSET_BITS], bit_find, &bit);
	return bit.found && (bit.value || attrs.a[ETHTOOL_A_BITSET_NOMASK]);
}

static struct nic_feature feature_of(const struct attrs *attrs, const char *name)
{
	return (struct nic_feature){
		.changeable = bitset_has(attrs->a[ETHTOOL_A_FEATURES_HW], name) &&
			      !bitset_has(attrs->a[ETHTOOL_A_FEATURES_NOCHANGE], name),
		.on = bitset_has(attrs->a[ETHTOOL_A_FEATURES_ACTIVE], name),
	};
}

int nic_parse_features(const struct nlmsghdr *nlh, void *arg)
{
	struct nic_facts *facts = arg;
	struct attrs attrs;

	if (genl_attrs(nlh, &attrs))
		return -EBADMSG;
	facts->ntuple = feature_of(&attrs, "rx-ntuple-filter");
	facts->gro_hw = feature_of(&attrs, "rx-gro-hw");
	return 0;
}

/* The interface that an answer of the family "ethtool" is about; 0: it does not say. */
static uint32_t header_ifindex(const struct nlattr *header)
{
	uint32_t ifindex = 0;
	struct attrs attrs;

	if (!header || attrs_nested(header, &attrs) ||
	    take_u32(&attrs, ETHTOOL_A_HEADER_DEV_INDEX, &ifindex))
		return 0;
	return ifindex;
}

/* -E2BIG when it is longer than what is looked at. */
static int take_table(const struct nlattr *attr, struct nic_table *table)
{
	const uint8_t *p = mnl_attr_get_payload(attr);
	size_t n = mnl_attr_get_payload_len(attr) / sizeof(uint32_t);

	if (mnl_attr_get_payload_len(attr) % sizeof(uint32_t))
		return -EBADMSG;
	if (n > NIC_SEEN_TABLE)
		return -E2BIG;
	for (size_t i = 0; i < n; i++) {
		uint32_t queue;

		memcpy(&queue, p + i * sizeof(queue), sizeof(queue));
		if (queue > UINT16_MAX)
			return -EBADMSG;
		table->queue[i] = (uint16_t)queue;
	}
	table->n = (unsigned)n;
	return 0;
}

int nic_parse_hash(const struct nlmsghdr *nlh, void *arg)
{
	struct nic_facts *facts = arg;
	struct nic_table table = { 0 };
	uint32_t id = 0;
	struct attrs attrs;
	int rc;

	if (genl_attrs(nlh, &attrs) || take_u32(&attrs, NIC_A_RSS_CONTEXT, &id))
		return -EBADMSG;
	if (header_ifindex(attrs.a[NIC_A_RSS_HEADER]) != facts->link.index ||
	    !attrs.a[NIC_A_RSS_INDIR])
		return 0;
	rc = take_table(attrs.a[NIC_A_RSS_INDIR], &table);
	if (rc)
		return rc;
	if (!id) {
		facts->table = table;
		facts->hash_known = table.n;
		return 0;
	}
	if (facts->n_contexts == NIC_SEEN_CONTEXTS)
		return -E2BIG;
	facts->context[facts->n_contexts] = (struct nic_context){ .id = id };
	for (unsigned i = 0; i < table.n; i++)
		nic_set_add(&facts->context[facts->n_contexts].queues, table.queue[i]);
	facts->n_contexts++;
	return 0;
}

/* ------------------------------------------------------------------------------------------- netdev */

int nic_parse_queue(const struct nlmsghdr *nlh, void *arg)
{
	static const struct {
		unsigned attr;
		enum nic_taken taken;
	} owners[] = {
		{ NIC_A_QUEUE_LEASE, NIC_QUEUE_LEASED },
		{ NIC_A_QUEUE_XSK, NIC_QUEUE_XSK },
		{ NIC_A_QUEUE_DMABUF, NIC_QUEUE_DMABUF },
		{ NIC_A_QUEUE_IO_URING, NIC_QUEUE_IO_URING },
	};
	struct nic_facts *facts = arg;
	uint32_t id = UINT32_MAX, ifindex = 0, type = UINT32_MAX, napi = 0;
	struct attrs attrs;

	if (genl_attrs(nlh, &attrs) || take_u32(&attrs, NIC_A_QUEUE_ID, &id) ||
	    take_u32(&attrs, NIC_A_QUEUE_IFINDEX, &ifindex) ||
	    take_u32(&attrs, NIC_A_QUEUE_TYPE, &type) ||
	    take_u32(&attrs, NIC_A_QUEUE_NAPI_ID, &napi))
		return -EBADMSG;
	if (ifindex != facts->link.index || type != 0 || id >= NIC_SEEN_QUEUES)
		return 0;
	facts->napi[id] = napi;
	facts->taken[id] = NIC_QUEUE_FREE;
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++)
		if (attrs.a[owners[i].attr])
			facts->taken[id] = (uint8_t)owners[i].taken;
	facts->n_queues = MAX(facts->n_queues, id + 1);
	return 0;
}

/* ---------------------------------------------------------------------------------------- rtnetlink */

/* A program is attached when the nest says how: any value but 0, which stands for none. */
static bool xdp_attached(const struct nlattr *nest)
{
	struct attrs attrs;

	return !attrs_nested(nest, &attrs) && attrs.a[IFLA_XDP_ATTACHED] &&
	       mnl_attr_validate(attrs.a[IFLA_XDP_ATTACHED], MNL_TYPE_U8) == 0 &&
	       mnl_attr_get_u8(attrs.a[IFLA_XDP_ATTACHED]) != XDP_ATTACHED_NONE;
}

int nic_parse_link(const struct nlmsghdr *nlh, void *arg)
{
	struct nic_link *link = &((struct nic_facts *)arg)->link;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	struct attrs attrs, nested;

	if (nlh->nlmsg_type != RTM_NEWLINK || attrs_of(nlh, sizeof(*info), &attrs) ||
	    info->ifi_index <= 0)
		return -EBADMSG;
	link->index = (unsigned)info->ifi_index;
	link->up = info->ifi_flags & IFF_UP;
	if (attrs.a[IFLA_XDP])
		link->xdp = xdp_attached(attrs.a[IFLA_XDP]);
	if (!attrs.a[IFLA_LINKINFO] || attrs_nested(attrs.a[IFLA_LINKINFO], &nested))
		return 0;
	if (nested.a[IFLA_INFO_KIND])
		take_text(nested.a[IFLA_INFO_KIND], link->kind, sizeof(link->kind));
	if (nested.a[IFLA_INFO_SLAVE_KIND])
		take_text(nested.a[IFLA_INFO_SLAVE_KIND], link->port_of, sizeof(link->port_of));
	return 0;
}
