/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's answers: what is in good ones is found; short, cut, garbled and hostile ones are refused
 * or passed over, and never read beyond their end (the sanitizers watch: each message lies in a block
 * of exactly its size).
 */
#include "unit.h"

#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "nic_rig.h"
#include "transport/nic/abi.h"
#include "transport/nic/genl.h"
#include "transport/nic/parse.h"

enum { IFINDEX = 7 };

static struct nic_facts facts;
static char buf[65536];

static int reset(void **state)
{
	(void)state;
	memset(&facts, 0, sizeof(facts));
	facts.link.index = IFINDEX;
	return 0;
}

static struct nlmsghdr *genl_message(void)
{
	struct nlmsghdr *nlh;

	memset(buf, 0, sizeof(buf));
	nlh = mnl_nlmsg_put_header(buf);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct genlmsghdr));
	return nlh;
}

/* Parses a copy of the first @len bytes of @nlh that says it is that long. */
static int parse_copy(mnl_cb_t parse, const struct nlmsghdr *nlh, size_t len, void *arg)
{
	struct nlmsghdr *copy = malloc(len);
	int rc;

	assert_non_null(copy);
	memcpy(copy, nlh, len);
	copy->nlmsg_len = (uint32_t)len;
	rc = parse(copy, arg);
	free(copy);
	return rc;
}

/* ------------------------------------------------------------------------------------ good messages */

static struct nlmsghdr *rings_message(void)
{
	struct nlmsghdr *nlh = genl_message();

	mnl_attr_put_u32(nlh, ETHTOOL_A_RINGS_RX_MAX, 4096);
	mnl_attr_put_u32(nlh, ETHTOOL_A_RINGS_RX, 512);
	mnl_attr_put_u8(nlh, ETHTOOL_A_RINGS_TCP_DATA_SPLIT, ETHTOOL_TCP_DATA_SPLIT_ENABLED);
	mnl_attr_put_u32(nlh, NIC_A_RINGS_HDS_THRESH, 256);
	mnl_attr_put_u32(nlh, 999, 1); /* of a later kernel */
	return nlh;
}

static void bit_put(struct nlmsghdr *nlh, const char *name, bool value)
{
	struct nlattr *bit = mnl_attr_nest_start(nlh, ETHTOOL_A_BITSET_BITS_BIT);

	mnl_attr_put_strz(nlh, ETHTOOL_A_BITSET_BIT_NAME, name);
	if (value)
		mnl_attr_put(nlh, ETHTOOL_A_BITSET_BIT_VALUE, 0, NULL);
	mnl_attr_nest_end(nlh, bit);
}

/* A set with a mask lists all bits of the mask; one without, those that are set. */
static void bitset_put(struct nlmsghdr *nlh, uint16_t type, bool masked, bool gro, bool ntuple)
{
	struct nlattr *set = mnl_attr_nest_start(nlh, type), *bits;

	if (!masked)
		mnl_attr_put(nlh, ETHTOOL_A_BITSET_NOMASK, 0, NULL);
	mnl_attr_put_u32(nlh, ETHTOOL_A_BITSET_SIZE, 64);
	bits = mnl_attr_nest_start(nlh, ETHTOOL_A_BITSET_BITS);
	bit_put(nlh, "rx-gro-hwx", true);
	if (masked || gro)
		bit_put(nlh, "rx-gro-hw", gro && masked);
	if (masked || ntuple)
		bit_put(nlh, "rx-ntuple-filter", ntuple && masked);
	mnl_attr_nest_end(nlh, bits);
	mnl_attr_nest_end(nlh, set);
}

static struct nlmsghdr *features_message(void)
{
	struct nlmsghdr *nlh = genl_message();

	bitset_put(nlh, ETHTOOL_A_FEATURES_HW, true, true, false);
	bitset_put(nlh, ETHTOOL_A_FEATURES_WANTED, false, false, true);
	bitset_put(nlh, ETHTOOL_A_FEATURES_ACTIVE, false, false, true);
	bitset_put(nlh, ETHTOOL_A_FEATURES_NOCHANGE, false, false, false);
	return nlh;
}

static struct nlmsghdr *hash_message(uint32_t ifindex, uint32_t id, unsigned entries)
{
	static uint32_t table[NIC_SEEN_TABLE + 8];
	struct nlmsghdr *nlh = genl_message();
	struct nlattr *header = mnl_attr_nest_start(nlh, NIC_A_RSS_HEADER);

	mnl_attr_put_u32(nlh, ETHTOOL_A_HEADER_DEV_INDEX, ifindex);
	mnl_attr_put_strz(nlh, ETHTOOL_A_HEADER_DEV_NAME, "eth0");
	mnl_attr_nest_end(nlh, header);
	if (id)
		mnl_attr_put_u32(nlh, NIC_A_RSS_CONTEXT, id);
	for (unsigned i = 0; i < entries; i++)
		table[i] = i % 5;
	mnl_attr_put(nlh, NIC_A_RSS_INDIR, entries * sizeof(table[0]), table);
	return nlh;
}

static struct nlmsghdr *queue_message(uint32_t ifindex, uint32_t type, uint32_t id, uint16_t owner)
{
	struct nlmsghdr *nlh = genl_message();

	mnl_attr_put_u32(nlh, NIC_A_QUEUE_ID, id);
	mnl_attr_put_u32(nlh, NIC_A_QUEUE_IFINDEX, ifindex);
	mnl_attr_put_u32(nlh, NIC_A_QUEUE_TYPE, type);
	mnl_attr_put_u32(nlh, NIC_A_QUEUE_NAPI_ID, 8200 + id);
	if (owner)
		mnl_attr_nest_end(nlh, mnl_attr_nest_start(nlh, owner));
	return nlh;
}

static struct nlmsghdr *link_message(void)
{
	struct nlmsghdr *nlh;
	struct ifinfomsg *info;
	struct nlattr *nest;

	memset(buf, 0, sizeof(buf));
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_NEWLINK;
	info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	info->ifi_index = IFINDEX;
	info->ifi_flags = IFF_UP;
	nest = mnl_attr_nest_start(nlh, IFLA_XDP);
	mnl_attr_put_u8(nlh, IFLA_XDP_ATTACHED, XDP_ATTACHED_DRV);
	mnl_attr_nest_end(nlh, nest);
	nest = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "bond");
	mnl_attr_put_strz(nlh, IFLA_INFO_SLAVE_KIND, "bridge");
	mnl_attr_nest_end(nlh, nest);
	return nlh;
}

static void rings_are_found(void **state)
{
	(void)state;
	assert_int_equal(nic_parse_rings(rings_message(), &facts), 0);
	assert_true(facts.rings.known && facts.rings.thresh_known);
	assert_int_equal(facts.rings.rx, 512);
	assert_int_equal(facts.rings.rx_max, 4096);
	assert_int_equal(facts.rings.thresh, 256);
	assert_int_equal(facts.rings.split, NIC_SPLIT_ON);
}

static void channels_are_found(void **state)
{
	struct nlmsghdr *nlh = genl_message();

	(void)state;
	mnl_attr_put_u32(nlh, ETHTOOL_A_CHANNELS_COMBINED_MAX, 63);
	mnl_attr_put_u32(nlh, ETHTOOL_A_CHANNELS_COMBINED_COUNT, 8);
	assert_int_equal(nic_parse_channels(nlh, &facts), 0);
	assert_true(facts.channels.known);
	assert_int_equal(facts.channels.combined, 8);
	assert_int_equal(facts.channels.combined_max, 63);
	assert_int_equal(facts.channels.rx_max, 0);
}

static void features_are_found(void **state)
{
	(void)state;
	assert_int_equal(nic_parse_features(features_message(), &facts), 0);
	assert_true(facts.gro_hw.changeable && !facts.gro_hw.on);
	assert_true(!facts.ntuple.changeable && facts.ntuple.on);
}

static void hashes_are_found(void **state)
{
	(void)state;
	assert_int_equal(nic_parse_hash(hash_message(IFINDEX, 0, 128), &facts), 0);
	assert_true(facts.hash_known);
	assert_int_equal(facts.table.n, 128);
	assert_int_equal(facts.table.queue[127], 127 % 5);
	assert_int_equal(nic_parse_hash(hash_message(IFINDEX, 3, 4), &facts), 0);
	assert_int_equal(facts.n_contexts, 1);
	assert_int_equal(facts.context[0].id, 3);
	assert_true(nic_set_has(&facts.context[0].queues, 3));
	assert_false(nic_set_has(&facts.context[0].queues, 4));
	/* Of another interface. */
	assert_int_equal(nic_parse_hash(hash_message(IFINDEX + 1, 4, 4), &facts), 0);
	assert_int_equal(facts.n_contexts, 1);
}

static void queues_are_found(void **state)
{
	(void)state;
	assert_int_equal(nic_parse_queue(queue_message(IFINDEX, 0, 0, 0), &facts), 0);
	assert_int_equal(
		nic_parse_queue(queue_message(IFINDEX, 0, 3, NIC_A_QUEUE_IO_URING), &facts), 0);
	assert_int_equal(nic_parse_queue(queue_message(IFINDEX, 1, 5, 0), &facts), 0);
	assert_int_equal(nic_parse_queue(queue_message(IFINDEX + 1, 0, 6, 0), &facts), 0);
	assert_int_equal(facts.n_queues, 4);
	assert_int_equal(facts.napi[3], 8203);
	assert_int_equal(facts.taken[0], NIC_QUEUE_FREE);
	assert_int_equal(facts.taken[3], NIC_QUEUE_IO_URING);
	assert_int_equal(nic_parse_queue(queue_message(IFINDEX, 0, 3, NIC_A_QUEUE_LEASE), &facts),
			 0);
	assert_int_equal(facts.taken[3], NIC_QUEUE_LEASED);
	/* One that is beyond what is looked at. */
	assert_int_equal(nic_parse_queue(queue_message(IFINDEX, 0, NIC_SEEN_QUEUES, 0), &facts), 0);
	assert_int_equal(nic_parse_queue(queue_message(IFINDEX, 0, UINT32_MAX, 0), &facts), 0);
	assert_int_equal(facts.n_queues, 4);
}

static void links_are_found(void **state)
{
	(void)state;
	facts.link.index = 0;
	assert_int_equal(nic_parse_link(link_message(), &facts), 0);
	assert_string_equal(facts.link.kind, "bond");
	assert_string_equal(facts.link.port_of, "bridge");
	assert_int_equal(facts.link.index, IFINDEX);
	assert_true(facts.link.up && facts.link.xdp);
}

/* --------------------------------------------------------------------------------------- bad messages */

static void attributes_of_another_size(void **state)
{
	struct nlmsghdr *nlh = genl_message();
	uint16_t id = 0;

	(void)state;
	mnl_attr_put_u8(nlh, ETHTOOL_A_RINGS_RX, 1);
	assert_int_equal(nic_parse_rings(nlh, &facts), -EBADMSG);
	nlh = genl_message();
	mnl_attr_put_u32(nlh, ETHTOOL_A_RINGS_TCP_DATA_SPLIT, 2);
	assert_int_equal(nic_parse_rings(nlh, &facts), -EBADMSG);
	nlh = genl_message();
	mnl_attr_put_u64(nlh, ETHTOOL_A_CHANNELS_RX_MAX, 1);
	assert_int_equal(nic_parse_channels(nlh, &facts), -EBADMSG);
	nlh = genl_message();
	mnl_attr_put_u16(nlh, NIC_A_QUEUE_ID, 1);
	assert_int_equal(nic_parse_queue(nlh, &facts), -EBADMSG);
	nlh = genl_message();
	assert_int_equal(nic_parse_family(nlh, &id), -EBADMSG);
	mnl_attr_put_u32(nlh, CTRL_ATTR_FAMILY_ID, 1);
	assert_int_equal(nic_parse_family(nlh, &id), -EBADMSG);
	nlh = link_message();
	nlh->nlmsg_type = RTM_DELLINK;
	assert_int_equal(nic_parse_link(nlh, &facts), -EBADMSG);
}

static void tables_of_another_size(void **state)
{
	struct nlmsghdr *nlh = hash_message(IFINDEX, 0, NIC_SEEN_TABLE);
	uint32_t queue = 70000;
	char odd[6] = { 0 };

	(void)state;
	assert_int_equal(nic_parse_hash(nlh, &facts), 0);
	assert_int_equal(nic_parse_hash(hash_message(IFINDEX, 0, NIC_SEEN_TABLE + 1), &facts),
			 -E2BIG);
	nlh = hash_message(IFINDEX, 0, 0);
	mnl_attr_put(nlh, NIC_A_RSS_INDIR, sizeof(odd), odd);
	assert_int_equal(nic_parse_hash(nlh, &facts), -EBADMSG);
	nlh = hash_message(IFINDEX, 0, 0);
	mnl_attr_put(nlh, NIC_A_RSS_INDIR, sizeof(queue), &queue);
	assert_int_equal(nic_parse_hash(nlh, &facts), -EBADMSG);
	for (unsigned i = 0; i < NIC_SEEN_CONTEXTS; i++)
		assert_int_equal(nic_parse_hash(hash_message(IFINDEX, 1 + i, 8), &facts), 0);
	assert_int_equal(nic_parse_hash(hash_message(IFINDEX, 100, 8), &facts), -E2BIG);
}

/* Names longer than there is room for, and without a NUL, are cut. */
static void names_without_an_end(void **state)
{
	struct nlmsghdr *nlh = link_message();
	struct nlattr *nest = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	char name[40];

	(void)state;
	memset(name, 'x', sizeof(name));
	mnl_attr_put(nlh, IFLA_INFO_KIND, sizeof(name), name);
	mnl_attr_nest_end(nlh, nest);
	assert_int_equal(parse_copy(nic_parse_link, nlh, nlh->nlmsg_len, &facts), 0);
	assert_int_equal(strlen(facts.link.kind), sizeof(facts.link.kind) - 1);
}

static struct nlmsghdr *hash_default(void)
{
	return hash_message(IFINDEX, 0, 64);
}

static struct nlmsghdr *hash_context(void)
{
	return hash_message(IFINDEX, 2, 64);
}

static struct nlmsghdr *queue_taken(void)
{
	return queue_message(IFINDEX, 0, 3, NIC_A_QUEUE_IO_URING);
}

static const struct {
	mnl_cb_t parse;
	struct nlmsghdr *(*make)(void);
} kinds[] = {
	{ nic_parse_rings, rings_message },	  { nic_parse_channels, rings_message },
	{ nic_parse_features, features_message }, { nic_parse_hash, hash_default },
	{ nic_parse_hash, hash_context },	  { nic_parse_queue, queue_taken },
	{ nic_parse_link, link_message },
};

static void messages_cut_anywhere(void **state)
{
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		size_t whole = kinds[k].make()->nlmsg_len;

		for (size_t len = sizeof(struct nlmsghdr); len <= whole; len++) {
			reset(state);
			parse_copy(kinds[k].parse, kinds[k].make(), len, &facts);
		}
		reset(state);
		assert_int_equal(parse_copy(kinds[k].parse, kinds[k].make(),
					    sizeof(struct nlmsghdr), &facts),
				 -EBADMSG);
	}
}

static void messages_garbled_anywhere(void **state)
{
	struct unit_random r = { 1 };

	for (unsigned round = 0; round < 20000; round++) {
		size_t k = unit_random_below(&r, ARRAY_SIZE(kinds));
		struct nlmsghdr *nlh = kinds[k].make();
		uint8_t *bytes = (uint8_t *)nlh;
		uint32_t len = nlh->nlmsg_len;

		for (unsigned n = 1 + unit_random_below(&r, 4); n > 0; n--)
			bytes[sizeof(*nlh) + unit_random_below(&r, len - NLMSG_HDRLEN)] =
				(uint8_t)unit_random(&r);
		nlh->nlmsg_type = RTM_NEWLINK;
		if (round % 64 == 0)
			reset(state);
		parse_copy(kinds[k].parse, nlh, len, &facts);
	}
}

/* ----------------------------------------------------------------------------------------------- errors */

static struct nlmsghdr *error_message(int error, bool capped, const char *words)
{
	struct nlmsghdr *nlh;
	struct nlmsgerr *body;

	memset(buf, 0, sizeof(buf));
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = NLMSG_ERROR;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_ACK_TLVS | (capped ? NLM_F_CAPPED : 0));
	body = mnl_nlmsg_put_extra_header(nlh, sizeof(*body));
	body->error = error;
	body->msg.nlmsg_len = sizeof(body->msg) + 20; /* of the request */
	if (!capped)
		mnl_nlmsg_put_extra_header(nlh, 20);
	if (words)
		mnl_attr_put_strz(nlh, NLMSGERR_ATTR_MSG, words);
	return nlh;
}

static void errors_come_with_words(void **state)
{
	struct nic_why why = { "" };
	struct nlmsghdr *nlh;

	(void)state;
	assert_int_equal(nic_genl_error(error_message(0, true, NULL), &why), 0);
	assert_int_equal(nic_genl_error(error_message(-EINVAL, true, "not like this"), &why),
			 -EINVAL);
	assert_string_equal(why.s, "not like this");
	assert_int_equal(nic_genl_error(error_message(-EPERM, false, "nor so"), &why), -EPERM);
	assert_string_equal(why.s, "nor so");
	assert_int_equal(nic_genl_error(error_message(-EPERM, false, "nor so"), NULL), -EPERM);
	assert_int_equal(nic_genl_error(error_message(5, true, NULL), &why), -EBADMSG);
	assert_int_equal(nic_genl_error(error_message(INT32_MIN, true, NULL), &why), -EBADMSG);
	nlh = error_message(-EPERM, true, NULL);
	nlh->nlmsg_len = sizeof(*nlh) + 4;
	assert_int_equal(nic_genl_error(nlh, &why), -EBADMSG);
}

static int parse_error(const struct nlmsghdr *nlh, void *arg)
{
	return nic_genl_error(nlh, arg);
}

static void errors_cut_and_garbled(void **state)
{
	struct unit_random r = { 2 };
	struct nic_why why;

	(void)state;
	for (unsigned round = 0; round < 5000; round++) {
		struct nlmsghdr *nlh = error_message(-EINVAL, round & 1, "words");
		uint8_t *bytes = (uint8_t *)nlh;
		uint32_t len = nlh->nlmsg_len;

		bytes[sizeof(*nlh) + unit_random_below(&r, len - NLMSG_HDRLEN)] =
			(uint8_t)unit_random(&r);
		parse_copy(parse_error, nlh, len, &why);
		parse_copy(parse_error, nlh,
			   sizeof(*nlh) + unit_random_below(&r, len - NLMSG_HDRLEN), &why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(rings_are_found, reset),
		cmocka_unit_test_setup(channels_are_found, reset),
		cmocka_unit_test_setup(features_are_found, reset),
		cmocka_unit_test_setup(hashes_are_found, reset),
		cmocka_unit_test_setup(queues_are_found, reset),
		cmocka_unit_test_setup(links_are_found, reset),
		cmocka_unit_test_setup(attributes_of_another_size, reset),
		cmocka_unit_test_setup(tables_of_another_size, reset),
		cmocka_unit_test_setup(names_without_an_end, reset),
		cmocka_unit_test_setup(messages_cut_anywhere, reset),
		cmocka_unit_test_setup(messages_garbled_anywhere, reset),
		cmocka_unit_test_setup(errors_come_with_words, reset),
		cmocka_unit_test_setup(errors_cut_and_garbled, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
