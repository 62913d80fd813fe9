# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# Several queues for zero-copy receive: flows reach the one that rule, context or table say, the
# other queues serve the rest of the machine.

# shellcheck source=tests/vm/lib/nic.sh
source /h/lib/nic.sh

stream() {
	note "$*"
	selftest_run zcrx stream interface="$nic" area=udmabuf bytes=1048576 "$@"
}

nic_up 4
nic_split on
nic_rss 2

note "a rule for each queue"
nic_rule_add flow-type tcp4 dst-port 5300 src-port 5301 action 2
nic_rule_add flow-type tcp4 dst-port 5300 src-port 5302 action 3
stream queues=2,3 address="$nic_address" streams=2 spread=1

note "a context of two queues"
nic_context_add start 2 equal 2
nic_rule_add flow-type tcp4 dst-port 5400 context "$context"
nic_rule_add flow-type tcp6 dst-port 5400 context "$context"
stream queues=2,3 port=5400 address="$nic_address" streams=8 spread=1
stream queues=2,3 port=5400 address="$nic_address6" streams=8 spread=1

note "what is lost or overtaken on one queue"
nic_knob zc_drop_every 20
nic_knob zc_reorder_every 5
stream queues=2,3 port=5400 address="$nic_address" streams=8 spread=1
nic_knobs_reset

note "by the table, on all queues"
ethtool -X "$nic" equal 4
stream queues=0,1,2,3 port=5500 address="$nic_address" streams=16 spread=1

assert_eq "bytes placed that were not to be" 0 "$(nic_counter unsplit_packets)"
nic_host ping -q -c 3 -i 0.2 "$nic_address"
