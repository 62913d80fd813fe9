/* SPDX-License-Identifier: BSD-3-Clause */
/* Steering rules: in the kernel's form and back, and what others' rules are taken for. */
#include "unit.h"

#include "nic_rig.h"
#include "transport/nic/rule.h"

static struct nic_rule round_trip(const struct nic_rule *rule)
{
	struct ethtool_rxnfc nfc;

	nic_rule_encode(rule, &nfc);
	return nic_rule_decode(&nfc);
}

static void rules_come_back_alike(void **state)
{
	static const char *const addresses[] = { "0.0.0.0", "192.0.2.7", "::", "2001:db8::7" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct sockaddr_storage ss = nic_rig_address(addresses[i], 4420);
		struct nic_rule rule = nic_rule_of(&ss), back;

		rule.place = 17;
		rule.to = 5;
		back = round_trip(&rule);
		assert_memory_equal(&back, &rule, sizeof(rule));
		rule.to_context = true;
		rule.source = 4;
		rule.source_mask = 6;
		back = round_trip(&rule);
		assert_memory_equal(&back, &rule, sizeof(rule));
		assert_true(nic_rule_same_match(&back, &rule));
		assert_true(nic_rule_same_target(&back, &rule));
		back.to_context = false;
		assert_false(nic_rule_same_target(&back, &rule));
		back.port++;
		assert_false(nic_rule_same_match(&back, &rule));
	}
}

static void the_kernel_gets_network_order(void **state)
{
	struct sockaddr_storage ss = nic_rig_address("192.0.2.7", 4420);
	struct nic_rule rule = nic_rule_of(&ss);
	struct ethtool_rxnfc nfc;

	(void)state;
	rule.to = 3;
	rule.source = 2;
	rule.source_mask = 0x0e;
	nic_rule_encode(&rule, &nfc);
	assert_int_equal(nfc.fs.flow_type, TCP_V4_FLOW);
	assert_int_equal(nfc.fs.h_u.tcp_ip4_spec.ip4dst, inet_addr("192.0.2.7"));
	assert_int_equal(nfc.fs.m_u.tcp_ip4_spec.ip4dst, 0xffffffff);
	assert_int_equal(nfc.fs.h_u.tcp_ip4_spec.pdst, htons(4420));
	assert_int_equal(nfc.fs.m_u.tcp_ip4_spec.pdst, 0xffff);
	assert_int_equal(nfc.fs.h_u.tcp_ip4_spec.psrc, htons(2));
	assert_int_equal(nfc.fs.m_u.tcp_ip4_spec.psrc, htons(0x0e));
	assert_int_equal(nfc.fs.m_u.tcp_ip4_spec.ip4src, 0);
	assert_int_equal(nfc.fs.ring_cookie, 3);
	rule.to_context = true;
	nic_rule_encode(&rule, &nfc);
	assert_int_equal(nfc.fs.flow_type, TCP_V4_FLOW | FLOW_RSS);
	assert_int_equal(nfc.fs.ring_cookie, 0);
	assert_int_equal(nfc.rss_context, 3);
}

/* Rules that look at anything more, or less, are "other": they are never taken for ours. */
static void rules_of_another_sort(void **state)
{
	struct sockaddr_storage ss = nic_rig_address("192.0.2.7", 4420);
	struct nic_rule rule = nic_rule_of(&ss);
	struct ethtool_rxnfc nfc;

	(void)state;
	nic_rule_encode(&rule, &nfc);
	nfc.fs.flow_type = UDP_V4_FLOW;
	assert_true(nic_rule_decode(&nfc).other && nic_rule_decode(&nfc).apart);
	nfc.fs.flow_type = SCTP_V6_FLOW | FLOW_EXT;
	assert_true(nic_rule_decode(&nfc).other && nic_rule_decode(&nfc).apart);
	nfc.fs.flow_type = IPV4_USER_FLOW;
	assert_true(nic_rule_decode(&nfc).other && !nic_rule_decode(&nfc).apart);
	nfc.fs.flow_type = TCP_V4_FLOW | FLOW_EXT;
	assert_true(nic_rule_decode(&nfc).other && !nic_rule_decode(&nfc).apart);
	nic_rule_encode(&rule, &nfc);
	nfc.fs.m_u.tcp_ip4_spec.ip4src = 0xff;
	assert_true(nic_rule_decode(&nfc).other);
	nic_rule_encode(&rule, &nfc);
	nfc.fs.m_u.tcp_ip4_spec.ip4dst = htonl(0xffffff00);
	assert_true(nic_rule_decode(&nfc).other);
	nic_rule_encode(&rule, &nfc);
	nfc.fs.m_u.tcp_ip4_spec.pdst = htons(0xff00);
	assert_true(nic_rule_decode(&nfc).other);
	nic_rule_encode(&rule, &nfc);
	nfc.fs.m_u.tcp_ip4_spec.tos = 1;
	assert_true(nic_rule_decode(&nfc).other);
	rule = nic_rule_decode(&nfc);
	assert_false(nic_rule_same_match(&rule, &rule));
}

static struct nic_rule rule_to(const char *address, uint16_t source, uint16_t mask)
{
	struct sockaddr_storage ss = nic_rig_address(address, 4420);
	struct nic_rule rule = nic_rule_of(&ss);

	rule.source = source;
	rule.source_mask = mask;
	return rule;
}

static void rules_that_overlap(void **state)
{
	const struct nic_rule any = rule_to("0.0.0.0", 0, 0), one = rule_to("192.0.2.7", 0, 0),
			      two = rule_to("192.0.2.8", 0, 0), six = rule_to("::", 0, 0),
			      even = rule_to("0.0.0.0", 0, 1), odd = rule_to("192.0.2.7", 1, 1),
			      high = rule_to("192.0.2.7", 2, 2);
	struct nic_rule rule = any;

	(void)state;
	assert_true(nic_rule_overlaps(&any, &one) && nic_rule_overlaps(&one, &any));
	assert_true(nic_rule_overlaps(&one, &one) && nic_rule_overlaps(&one, &odd));
	assert_false(nic_rule_overlaps(&one, &two));
	assert_false(nic_rule_overlaps(&any, &six));
	assert_false(nic_rule_overlaps(&even, &odd));
	assert_true(nic_rule_overlaps(&even, &high));
	rule.port++;
	assert_false(nic_rule_overlaps(&rule, &one));
	rule = any;
	rule.other = true;
	assert_false(nic_rule_overlaps(&rule, &one) || nic_rule_overlaps(&one, &rule));
}

static void where_rules_lead(void **state)
{
	struct sockaddr_storage ss = nic_rig_address("::", 4420);
	struct nic_rule rule = nic_rule_of(&ss);
	struct ethtool_rxnfc nfc;

	(void)state;
	nic_rule_encode(&rule, &nfc);
	nfc.fs.ring_cookie = RX_CLS_FLOW_DISC;
	assert_true(nic_rule_decode(&nfc).discard);
	nfc.fs.ring_cookie = RX_CLS_FLOW_WAKE;
	assert_true(nic_rule_decode(&nfc).discard);
	/* Queue 2 of a virtual function is none of this interface. */
	nfc.fs.ring_cookie = UINT64_C(2) | UINT64_C(1) << ETHTOOL_RX_FLOW_SPEC_RING_VF_OFF;
	assert_true(nic_rule_decode(&nfc).discard);
	nfc.fs.ring_cookie = 2;
	assert_false(nic_rule_decode(&nfc).discard);
	assert_int_equal(nic_rule_decode(&nfc).to, 2);
}

static void words(void **state)
{
	struct sockaddr_storage ss =
		nic_rig_address("2001:db8:1111:2222:3333:4444:5555:6666", 65535);
	struct nic_rule rule = nic_rule_of(&ss);

	(void)state;
	rule.to = 1023;
	rule.source = 0x7e;
	rule.source_mask = 0x7e;
	assert_string_equal(
		nic_rule_match(&rule).s,
		"TCP over IPv6 to 2001:db8:1111:2222:3333:4444:5555:6666 port 65535 from "
		"ports 0x7e of 0x7e");
	assert_string_equal(
		nic_rule_ethtool(&rule).s,
		"flow-type tcp6 dst-ip 2001:db8:1111:2222:3333:4444:5555:6666 dst-port 65535 "
		"src-port 0x7e m 0xff81 action 1023");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_come_back_alike),
		cmocka_unit_test(the_kernel_gets_network_order),
		cmocka_unit_test(rules_of_another_sort),
		cmocka_unit_test(rules_that_overlap),
		cmocka_unit_test(where_rules_lead),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
