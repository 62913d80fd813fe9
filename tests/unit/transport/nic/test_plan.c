/* SPDX-License-Identifier: BSD-3-Clause */
/* Planning: what is done to real NICs, and the sentence for each thing that is missing or in the way. */
#include "unit.h"

#include <errno.h>

#include "nic_rig.h"

static struct nic_facts facts;
static struct nic_plan plan;
static struct nic_why why;
static struct sockaddr_storage listeners[NIC_MAX_LISTENERS];
static struct nic_wants wants;

/* One listener on the wildcard address, four queues or fewer. */
static int reset(void **state)
{
	(void)state;
	memset(&plan, 0, sizeof(plan));
	why.s[0] = '\0';
	listeners[0] = nic_rig_address("0.0.0.0", 4420);
	wants = (struct nic_wants){ .name = "eth0",
				    .queues = 4,
				    .queues_auto = true,
				    .setup = true,
				    .listeners = listeners,
				    .n_listeners = 1,
				    .state_dir = "/nonexistent" };
	return 0;
}

static void expect_plan(const char *const *words)
{
	unsigned n = 0;
	int rc = nic_plan_make(&plan, &facts, &wants, &why);

	if (rc)
		fail_msg("refused: %s", why.s);
	for (; words[n]; n++) {
		if (n == plan.n_steps)
			fail_msg("missing: %s", words[n]);
		assert_string_equal(nic_step_words(&plan.step[n]).s, words[n]);
	}
	if (n < plan.n_steps)
		fail_msg("too much: %s", nic_step_words(&plan.step[n]).s);
}

static void expect_refusal(int rc, const char *words)
{
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), rc);
	if (!strstr(why.s, words))
		fail_msg("\"%s\" is not in \"%s\"", words, why.s);
}

#define PLAN(...) expect_plan((const char *const[]){ __VA_ARGS__, NULL })

/* ---------------------------------------------------------------------------------------- real NICs */

static void bnxt_gets_a_context(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	PLAN("tcp-data-split: off -> on, hds-thresh: 256 -> 0 bytes",
	     "ordinary connections: spread over queues 0 to 3 only",
	     "hash context 1: spreads over queues 4 to 7",
	     "rule: TCP over IPv4 to any address port 4420 -> hash context 1");
	assert_int_equal(plan.first, 4);
	assert_int_equal(plan.count, 4);
	/* The table was the device's own: undone by a reset, which the former table is not needed for. */
	assert_int_equal(plan.step[1].from, 0);
	assert_int_equal(plan.step[3].rule.place, NIC_PLACE_ANY);
}

static void mlx5_needs_its_merging(void **state)
{
	(void)state;
	nic_rig_mlx5(&facts);
	listeners[0] = nic_rig_address("192.0.2.7", 4420);
	listeners[1] = nic_rig_address("2001:db8::7", 4421);
	wants.n_listeners = 2;
	PLAN("rx-gro-hw: off -> on", "tcp-data-split: unset -> on",
	     "ordinary connections: spread over queues 0 to 11 only",
	     "hash context 1: spreads over queues 12 to 15",
	     "rule: TCP over IPv4 to 192.0.2.7 port 4420 -> hash context 1",
	     "rule: TCP over IPv6 to 2001:db8::7 port 4421 -> hash context 1");
	/* The last places of the table, so that rules made by hand win. */
	assert_int_equal(plan.step[4].rule.place, 1023);
	assert_int_equal(plan.step[5].rule.place, 1022);
}

static void gve_spreads_by_source_ports(void **state)
{
	(void)state;
	nic_rig_gve(&facts);
	wants.queues = 3;
	PLAN("tcp-data-split: off -> on", "rx-ntuple-filter: off -> on",
	     "ordinary connections: spread over queues 0 to 5 only",
	     "rule: TCP over IPv4 to any address port 4420 from ports 0 of 0x2 -> queue 6",
	     "rule: TCP over IPv4 to any address port 4420 from ports 0x2 of 0x2 -> queue 7");
	/* A driver that refused to look at a part of the port gets one queue. */
	facts.no_port_masks = true;
	PLAN("tcp-data-split: off -> on", "rx-ntuple-filter: off -> on",
	     "ordinary connections: spread over queues 0 to 6 only",
	     "rule: TCP over IPv4 to any address port 4420 -> queue 7");
}

static void fbnic_is_asked_for_what_it_has(void **state)
{
	(void)state;
	nic_rig_fbnic(&facts);
	wants.queues = 3;
	wants.ring = 1024;
	PLAN("combined channels: 4 -> 7",
	     "tcp-data-split: on, from now on whatever the driver prefers, hds-thresh: 1536 -> 0 "
	     "bytes, receive rings: 256 -> 1024 entries",
	     "ordinary connections: spread over queues 0 to 3 only",
	     "hash context 1: spreads over queues 4 to 6",
	     "rule: TCP over IPv4 to any address port 4420 -> hash context 1");
	assert_string_equal(nic_step_command(&plan.step[1], "eth0").s,
			    "ethtool -G eth0 tcp-data-split on hds-thresh 0 rx 1024");
	assert_string_equal(
		nic_step_undo_words(&plan.step[1]).s,
		"tcp-data-split stays on (auto lets the driver choose again), hds-thresh "
		"back to 1536 bytes, receive rings back to 256 entries");
}

static void ena_cannot(void **state)
{
	(void)state;
	nic_rig_ena(&facts);
	expect_refusal(-ENOTSUP, "eth0 (driver ena, firmware unknown) cannot split headers");
}

/* ------------------------------------------------------------------------------------------- queues */

static void one_queue_needs_no_context(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	wants.queues = 1;
	PLAN("tcp-data-split: off -> on, hds-thresh: 256 -> 0 bytes",
	     "ordinary connections: spread over queues 0 to 6 only",
	     "rule: TCP over IPv4 to any address port 4420 -> queue 7");
}

static void queues_are_added_when_too_few(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	wants.queues = 8;
	wants.queues_auto = false;
	/* The rest of the machine keeps what it had. */
	PLAN("combined channels: 8 -> 16",
	     "tcp-data-split: off -> on, hds-thresh: 256 -> 0 bytes",
	     "ordinary connections: spread over queues 0 to 7 only",
	     "hash context 1: spreads over queues 8 to 15",
	     "rule: TCP over IPv4 to any address port 4420 -> hash context 1");
	/* ... or what the hardware leaves it. */
	facts.channels.combined_max = 10;
	PLAN("combined channels: 8 -> 10",
	     "tcp-data-split: off -> on, hds-thresh: 256 -> 0 bytes",
	     "ordinary connections: spread over queues 0 to 1 only",
	     "hash context 1: spreads over queues 2 to 9",
	     "rule: TCP over IPv4 to any address port 4420 -> hash context 1");
	facts.channels.combined_max = 8;
	expect_refusal(-EINVAL, "8 of zero-copy would leave none");
	/* As many as there are workers, but no more than the rest of the machine keeps. */
	wants.queues_auto = true;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	assert_int_equal(plan.first, 4);
	assert_int_equal(plan.count, 4);
	facts.channels.combined_max = 11;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	assert_string_equal(nic_step_words(&plan.step[0]).s, "combined channels: 8 -> 11");
	assert_int_equal(plan.first, 6);
	assert_int_equal(plan.count, 5);
}

static void receive_channels_are_added_too(void **state)
{
	(void)state;
	nic_rig_gve(&facts);
	nic_rig_queues(&facts, 2, 16, false);
	nic_rig_table(&facts, 128, 2);
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	assert_string_equal(nic_step_words(&plan.step[0]).s, "rx channels: 2 -> 8");
	assert_int_equal(plan.first, 4);
	assert_int_equal(plan.count, 4);
}

/* Channels of receive alone, on a device that could have combined ones too. */
static void channels_are_added_of_the_sort_in_use(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	facts.channels = (struct nic_channels){
		.known = true, .rx = 8, .rx_max = 32, .combined_max = 16
	};
	wants.queues = 16;
	wants.queues_auto = false;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	assert_string_equal(nic_step_words(&plan.step[0]).s, "rx channels: 8 -> 24");
}

static void a_single_queue_is_too_few(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	nic_rig_queues(&facts, 1, 1, true);
	nic_rig_table(&facts, 128, 1);
	expect_refusal(-EINVAL, "eth0 has 1 receive queue, and its hardware has no more");
	assert_non_null(strstr(why.s, "takes an interface with two at least"));
}

static void queues_that_are_taken(void **state)
{
	static const struct {
		enum nic_taken taken;
		const char *words;
	} cases[] = {
		{ NIC_QUEUE_IO_URING, "another program's io_uring" },
		{ NIC_QUEUE_DMABUF, "devmem TCP" },
		{ NIC_QUEUE_XSK, "AF_XDP" },
		{ NIC_QUEUE_LEASED, "leased" },
	};

	(void)state;
	nic_rig_bnxt(&facts);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		facts.taken[6] = (uint8_t)cases[i].taken;
		expect_refusal(-EBUSY, "queue 6 of eth0 is taken");
		assert_non_null(strstr(why.s, cases[i].words));
	}
	facts.taken[6] = NIC_QUEUE_FREE;
	facts.taken[3] = NIC_QUEUE_IO_URING; /* none of ours */
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
}

/* ----------------------------------------------------------------------------------------- steering */

static void a_table_made_by_hand_comes_back(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	facts.table.queue[5] = 7;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	assert_int_equal(plan.step[1].kind, NIC_STEP_SPREAD);
	assert_int_equal(plan.step[1].from, 128);
	assert_memory_equal(&plan.former, &facts.table, sizeof(plan.former));
	/* One that leaves our queues out already is left alone. */
	nic_rig_table(&facts, 128, 3);
	PLAN("tcp-data-split: off -> on, hds-thresh: 256 -> 0 bytes",
	     "hash context 1: spreads over queues 4 to 7",
	     "rule: TCP over IPv4 to any address port 4420 -> hash context 1");
}

static void contexts_of_others_are_kept(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	facts.n_contexts = 2;
	facts.context[0].id = 1;
	nic_set_add(&facts.context[0].queues, 2);
	facts.context[1].id = 3;
	nic_set_add(&facts.context[1].queues, 3);
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	assert_int_equal(plan.step[2].to, 2);
	nic_set_add(&facts.context[1].queues, 4);
	expect_refusal(-EEXIST, "hash context 3 of eth0 spreads other connections over queue 4");
}

static void rules_of_others_are_kept(void **state)
{
	struct nic_rule *rule = &facts.rules.rule[0];

	(void)state;
	nic_rig_mlx5(&facts);
	facts.rules.n = 1;
	*rule = nic_rule_of(&listeners[0]);
	rule->port = 80;
	rule->place = 1023;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	assert_int_equal(plan.step[plan.n_steps - 1].rule.place, 1022);
	rule->to = 13;
	expect_refusal(-EEXIST,
		       "the rule at place 1023 of eth0 steers other connections to queue 13");
	rule->discard = true;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	rule->discard = false;
	rule->to = 2;
	rule->port = 4420;
	expect_refusal(-EEXIST,
		       "eth0 has a rule already for TCP over IPv4 to any address port 4420");
	assert_non_null(strstr(why.s, "ethtool -N eth0 delete 1023"));
}

static void rules_that_overlap_ours(void **state)
{
	struct nic_rule *rule = &facts.rules.rule[0];
	struct sockaddr_storage one = nic_rig_address("192.0.2.7", 4420);

	(void)state;
	nic_rig_bnxt(&facts);
	facts.rules.n = 1;
	*rule = nic_rule_of(&one);
	rule->to = 2;
	rule->place = 5;
	/* For one of the addresses; for some ports; to nowhere. */
	expect_refusal(-EEXIST, "eth0 has a rule already for TCP over IPv4 to 192.0.2.7 port 4420");
	*rule = nic_rule_of(&listeners[0]);
	rule->source_mask = 1;
	expect_refusal(-EEXIST, "eth0 has a rule already for TCP over IPv4 to any address port 4420");
	rule->discard = true;
	expect_refusal(-EEXIST, "eth0 has a rule already");
	/* One that cannot be judged is told of. */
	*rule = (struct nic_rule){ .other = true, .place = 5 };
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	assert_non_null(strstr(plan.remark.s, "the rule at place 5 of eth0 cannot be judged"));
	rule->apart = true;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	assert_string_equal(plan.remark.s, "");
}

static void rules_that_others_made_while_the_feature_was_off(void **state)
{
	(void)state;
	nic_rig_gve(&facts);
	facts.rules.n = 1;
	facts.rules.rule[0] = nic_rule_of(&listeners[0]);
	facts.rules.rule[0].port = 80;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	assert_string_equal(plan.step[1].feature, "rx-ntuple-filter");
	assert_int_equal(plan.step[1].from, 1);
}

static void flows_that_the_kernel_steers(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	nic_set_add(&facts.flows, 3); /* none of ours */
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	nic_set_add(&facts.flows, 6);
	expect_refusal(-EEXIST, "write 0 to /sys/class/net/eth0/queues/rx-6/rps_flow_cnt");
}

static void what_passes_through_a_bridge(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	strcpy(facts.link.port_of, "bridge");
	expect_refusal(-EINVAL, "eth0 is a port of a bridge");
	listeners[0] = nic_rig_address("192.0.2.7", 4420);
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	strcpy(facts.link.port_of, "bond");
	listeners[0] = nic_rig_address("::", 4420);
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
}

static void a_full_table_of_rules(void **state)
{
	(void)state;
	nic_rig_mlx5(&facts);
	facts.rules.places = 2;
	facts.rules.n = 2;
	for (unsigned i = 0; i < 2; i++) {
		facts.rules.rule[i] = nic_rule_of(&listeners[0]);
		facts.rules.rule[i].port = (uint16_t)(80 + i);
		facts.rules.rule[i].place = i;
	}
	expect_refusal(-ENOTSUP, "no room for one more steering rule: 2 of 2");
}

static void listeners_that_count(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	wants.queues = 1;
	listeners[0] = nic_rig_address("127.0.0.1", 4420);
	listeners[1] = nic_rig_address("::1", 4420);
	wants.n_listeners = 2;
	expect_refusal(-EINVAL, "no listener can be reached by way of eth0");
	listeners[2] = nic_rig_address("::", 4420);
	listeners[3] = nic_rig_address("::", 4420); /* twice the same: one rule */
	wants.n_listeners = 4;
	PLAN("tcp-data-split: off -> on, hds-thresh: 256 -> 0 bytes",
	     "ordinary connections: spread over queues 0 to 6 only",
	     "rule: TCP over IPv6 to any address port 4420 -> queue 7");
}

static void too_many_rules(void **state)
{
	(void)state;
	nic_rig_gve(&facts);
	nic_rig_queues(&facts, 65, 128, false);
	nic_rig_table(&facts, 128, 65);
	wants.queues = 32;
	for (unsigned i = 0; i < 16; i++)
		listeners[i] = nic_rig_address("0.0.0.0", (uint16_t)(4420 + i));
	wants.n_listeners = 16;
	expect_refusal(-EINVAL, "more than 256 steering rules would be needed");
}

/* ----------------------------------------------------------------------------------------- refusals */

static void no_such_interface(void **state)
{
	(void)state;
	memset(&facts, 0, sizeof(facts));
	strcpy(facts.name, "eth9");
	expect_refusal(-ENODEV, "there is no network interface eth9");
}

static void interfaces_without_queues_of_their_own(void **state)
{
	static const char *const kinds[] = { "bond", "team", "bridge", "vlan", "macvlan", "vrf" };

	(void)state;
	nic_rig_bnxt(&facts);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		strcpy(facts.link.kind, kinds[i]);
		expect_refusal(-ENOTSUP, "name what it is made of instead");
		assert_non_null(strstr(why.s, kinds[i]));
	}
	strcpy(facts.link.kind, "netdevsim");
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
}

static void each_thing_that_is_missing(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	facts.link.up = false;
	expect_refusal(-ENETDOWN, "eth0 is down");
	nic_rig_bnxt(&facts);
	facts.link.xdp = true;
	expect_refusal(-EEXIST, "ip link set eth0 xdp off");
	nic_rig_bnxt(&facts);
	facts.privileged = false;
	expect_refusal(-EPERM, "CAP_NET_ADMIN");
	facts.zcrx = NIC_ZCRX_OLD_KERNEL;
	expect_refusal(-ENOTSUP, "use 6.18 or later");
	facts.zcrx = NIC_ZCRX_LEFT_OUT;
	expect_refusal(-ENOTSUP, "CONFIG_IO_URING_ZCRX");
	facts.zcrx = NIC_ZCRX_FORBIDDEN;
	expect_refusal(-ENOTSUP, "kernel.io_uring_disabled");
	nic_rig_bnxt(&facts);
	facts.rules.known = false;
	facts.rules.error = -EOPNOTSUPP;
	expect_refusal(-ENOTSUP, "no steering rules (ntuple filters)");
	facts.rules.error = -E2BIG;
	expect_refusal(-E2BIG, "eth0 has more than 1024 steering rules");
	nic_rig_bnxt(&facts);
	facts.hash_known = false;
	expect_refusal(-ENOTSUP, "receive hash (RSS)");
	nic_rig_mlx5(&facts);
	facts.gro_hw.changeable = false;
	expect_refusal(-ENOTSUP, "ConnectX-7");
	nic_rig_gve(&facts);
	facts.rings.split = NIC_SPLIT_UNKNOWN;
	expect_refusal(-ENOTSUP, "this driver needs a machine type with the DQO RDA queue format");
	assert_non_null(strstr(why.s, "such as those of bnxt_en, mlx5_core, gve, fbnic"));
	assert_null(strstr(why.s, "netdevsim"));
}

static void numbers_that_do_not_fit(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	wants.ring = 4096;
	expect_refusal(-EINVAL, "the receive rings have at most 2047 entries");
	facts.rings.rx_max = 0;
	expect_refusal(-ENOTSUP, "cannot set the size of its rings");
	wants.ring = 0;
	wants.buffer = 65536;
	expect_refusal(-EINVAL, "receive buffers of at most 32768 bytes");
	wants.buffer = 32768;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	nic_rig_gve(&facts);
	expect_refusal(-EINVAL, "receive buffers of at most 4096 bytes");
	wants.buffer = 0;
	wants.queues = 3;
	wants.queues_auto = false;
	expect_refusal(-EINVAL, "set queues = 2");
	facts.no_port_masks = true;
	expect_refusal(-EINVAL, "set queues = 1");
}

/* -------------------------------------------------------------------------------------- verify only */

static void verify_names_what_to_do(void **state)
{
	(void)state;
	nic_rig_bnxt(&facts);
	wants.setup = false;
	expect_refusal(-ENOENT, "ethtool -G eth0 tcp-data-split on hds-thresh 0, or set setup = yes");
	facts.rings.split = NIC_SPLIT_ON;
	expect_refusal(-ENOENT, "ethtool -G eth0 tcp-data-split on hds-thresh 0, or set setup = yes");
	facts.rings.thresh = 0;
	expect_refusal(-ENOENT, "ethtool -X eth0 start 0 equal 4");
	nic_rig_table(&facts, 128, 4);
	expect_refusal(-ENOENT, "ethtool -N eth0 flow-type tcp4 dst-port 4420 action 4");
	facts.rules.n = 1;
	facts.rules.rule[0] = nic_rule_of(&listeners[0]);
	facts.rules.rule[0].to = 5;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	assert_int_equal(plan.n_steps, 0);
	/* A rule that leads elsewhere, be it one of several, is not what is wanted. */
	facts.rules.rule[1] = facts.rules.rule[0];
	facts.rules.rule[1].to = 3;
	facts.rules.n = 2;
	expect_refusal(-ENOENT, "no rule of eth0 steers TCP over IPv4");
	facts.rules.n = 1;
	facts.rules.rule[0].to_context = true;
	facts.rules.rule[0].to = 9;
	expect_refusal(-ENOENT, "no rule of eth0 steers");
	facts.n_contexts = 1;
	facts.context[0].id = 9;
	nic_set_add(&facts.context[0].queues, 4);
	nic_set_add(&facts.context[0].queues, 7);
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	nic_set_add(&facts.context[0].queues, 1);
	expect_refusal(-ENOENT, "no rule of eth0 steers");
	facts.n_contexts = 0;
	facts.rules.rule[0].to_context = false;
	facts.rules.rule[0].to = 5;
	/* More queues are not made. */
	wants.queues = 9;
	wants.queues_auto = false;
	expect_refusal(-EINVAL, "9 of zero-copy would leave none");
}

/* An interface that is ready, with one rule for the listener, to queue 5. */
static void ready(void)
{
	nic_rig_bnxt(&facts);
	facts.rings.split = NIC_SPLIT_ON;
	facts.rings.thresh = 0;
	nic_rig_table(&facts, 128, 4);
	wants.setup = false;
	facts.rules.n = 1;
	facts.rules.rule[0] = nic_rule_of(&listeners[0]);
	facts.rules.rule[0].to = 5;
}

static void verify_wants_all_ports_of_hosts(void **state)
{
	struct nic_rule *rule = facts.rules.rule;

	(void)state;
	ready();
	rule[0].source_mask = 6;
	expect_refusal(-ENOENT, "no rule of eth0 steers TCP over IPv4");
	for (uint16_t i = 1; i < 4; i++) {
		rule[i] = rule[0];
		rule[i].source = (uint16_t)(i << 1);
		rule[i].to = 4u + i;
	}
	facts.rules.n = 3;
	expect_refusal(-ENOENT, "no rule of eth0 steers TCP over IPv4");
	facts.rules.n = 4;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	/* Rules for single addresses do not make one for all. */
	for (unsigned i = 0; i < 4; i++) {
		struct sockaddr_storage ss = nic_rig_address("192.0.2.7", 4420);

		rule[i] = nic_rule_of(&ss);
		rule[i].to = 5;
	}
	expect_refusal(-ENOENT, "no rule of eth0 steers TCP over IPv4 to any address");
	listeners[0] = nic_rig_address("192.0.2.7", 4420);
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	/* One that leads away, for one of the addresses. */
	listeners[0] = nic_rig_address("0.0.0.0", 4420);
	ready();
	rule[1] = rule[0];
	rule[1].any_address = false;
	rule[1].address[0] = 10;
	rule[1].to = 1;
	facts.rules.n = 2;
	expect_refusal(-ENOENT, "no rule of eth0 steers TCP over IPv4");
}

static void verify_wants_nothing_else_on_the_queues(void **state)
{
	struct nic_rule *rule = facts.rules.rule;

	(void)state;
	ready();
	facts.rules.n = 2;
	rule[1] = rule[0];
	rule[1].port = 80;
	rule[1].place = 9;
	expect_refusal(-EEXIST, "the rule at place 9 of eth0 steers other connections to queue 5");
	rule[1].to_context = true;
	rule[1].to = 2;
	facts.n_contexts = 1;
	facts.context[0].id = 2;
	nic_set_add(&facts.context[0].queues, 0);
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	nic_set_add(&facts.context[0].queues, 7);
	expect_refusal(-EEXIST, "steers other connections to queue 7");
	/* A rule that cannot be judged may be for the listener; one of another protocol is not. */
	rule[1].other = true;
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	rule[1].apart = true;
	expect_refusal(-EEXIST, "steers other connections to queue 7");
}

static void random_nic(struct unit_random *r)
{
	static void (*const nics[])(struct nic_facts * facts) = { nic_rig_bnxt, nic_rig_mlx5,
								  nic_rig_gve, nic_rig_fbnic };
	uint32_t queues = 2 + unit_random_below(r, 30), max = queues + unit_random_below(r, 40);
	bool combined;

	nics[unit_random_below(r, ARRAY_SIZE(nics))](&facts);
	combined = facts.channels.combined_max;
	nic_rig_queues(&facts, queues, max, combined);
	nic_rig_table(&facts, facts.table.n, 1 + unit_random_below(r, queues));
	facts.rings.thresh = facts.rings.thresh_known ? unit_random_below(r, 2) * 256 : 0;
	facts.rings.split = 1 + unit_random_below(r, 2);
	if (!strcmp(facts.driver, "mlx5_core") && unit_random_below(r, 2))
		facts.rings.split = NIC_SPLIT_UNKNOWN;
	facts.no_port_masks = unit_random_below(r, 2);
	wants.setup = true;
	wants.queues = 1 + unit_random_below(r, 16);
	wants.queues_auto = unit_random_below(r, 2);
	wants.n_listeners = 1 + unit_random_below(r, 4);
	for (unsigned i = 0; i < wants.n_listeners; i++)
		listeners[i] = nic_rig_address(unit_random_below(r, 2) ? "::" : "192.0.2.9",
					       (uint16_t)(4420 + unit_random_below(r, 3)));
}

/* Whatever the NIC: what a plan makes of it is what verifying asks for, and nothing is left to do. */
static void what_is_set_up_is_what_is_verified(void **state)
{
	struct unit_random r = { 4 };
	unsigned made = 0;

	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		uint32_t first, count;

		random_nic(&r);
		if (nic_plan_make(&plan, &facts, &wants, &why))
			continue;
		made++;
		first = plan.first;
		count = plan.count;
		assert_true(first > 0 && count > 0 && count <= wants.queues);
		assert_true(count <= first || !wants.queues_auto);
		for (unsigned i = 0; i < plan.n_steps; i++)
			nic_rig_take(&facts, &plan.step[i]);
		assert_int_equal(first + count, facts.n_queues);
		wants.setup = false;
		wants.queues = count;
		if (nic_plan_make(&plan, &facts, &wants, &why))
			fail_msg("round %u: %s", round, why.s);
		assert_int_equal(plan.first, first);
		assert_int_equal(plan.n_steps, 0);
	}
	assert_true(made > 1000);
}

/* ------------------------------------------------------------------------------------------ the text */

static void the_text_says_all(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	nic_rig_bnxt(&facts);
	assert_int_equal(nic_plan_make(&plan, &facts, &wants, &why), 0);
	nic_facts_print(&facts, out);
	nic_plan_print(&plan, &facts, out);
	fclose(out);
	assert_non_null(strstr(text, "eth0: bnxt_en 7.3.4, firmware 229.0.157.0/pkg 229.1.123.0, "
				     "0000:3b:00.0\n"));
	assert_non_null(strstr(text,
			       "zero-copy queues 4 to 7, for workers 0 to 3; queues 0 to 3 for "
			       "the rest"));
	assert_non_null(strstr(text, "1. tcp-data-split: off -> on, hds-thresh: 256 -> 0 bytes\n"
				     "     as by: ethtool -G eth0 tcp-data-split on hds-thresh 0\n"
				     "     at stop: tcp-data-split off again, hds-thresh back to 256 "
				     "bytes\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(bnxt_gets_a_context, reset),
		cmocka_unit_test_setup(mlx5_needs_its_merging, reset),
		cmocka_unit_test_setup(gve_spreads_by_source_ports, reset),
		cmocka_unit_test_setup(fbnic_is_asked_for_what_it_has, reset),
		cmocka_unit_test_setup(ena_cannot, reset),
		cmocka_unit_test_setup(one_queue_needs_no_context, reset),
		cmocka_unit_test_setup(queues_are_added_when_too_few, reset),
		cmocka_unit_test_setup(receive_channels_are_added_too, reset),
		cmocka_unit_test_setup(channels_are_added_of_the_sort_in_use, reset),
		cmocka_unit_test_setup(a_single_queue_is_too_few, reset),
		cmocka_unit_test_setup(queues_that_are_taken, reset),
		cmocka_unit_test_setup(a_table_made_by_hand_comes_back, reset),
		cmocka_unit_test_setup(contexts_of_others_are_kept, reset),
		cmocka_unit_test_setup(rules_of_others_are_kept, reset),
		cmocka_unit_test_setup(rules_that_overlap_ours, reset),
		cmocka_unit_test_setup(rules_that_others_made_while_the_feature_was_off, reset),
		cmocka_unit_test_setup(flows_that_the_kernel_steers, reset),
		cmocka_unit_test_setup(what_passes_through_a_bridge, reset),
		cmocka_unit_test_setup(a_full_table_of_rules, reset),
		cmocka_unit_test_setup(listeners_that_count, reset),
		cmocka_unit_test_setup(too_many_rules, reset),
		cmocka_unit_test_setup(no_such_interface, reset),
		cmocka_unit_test_setup(interfaces_without_queues_of_their_own, reset),
		cmocka_unit_test_setup(each_thing_that_is_missing, reset),
		cmocka_unit_test_setup(numbers_that_do_not_fit, reset),
		cmocka_unit_test_setup(verify_names_what_to_do, reset),
		cmocka_unit_test_setup(verify_wants_all_ports_of_hosts, reset),
		cmocka_unit_test_setup(verify_wants_nothing_else_on_the_queues, reset),
		cmocka_unit_test_setup(what_is_set_up_is_what_is_verified, reset),
		cmocka_unit_test_setup(the_text_says_all, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
