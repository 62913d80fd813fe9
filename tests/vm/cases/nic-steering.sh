# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# The test NIC lets the receiver say on which queue a flow lands: by indirection table, by flow rule
# and by RSS context, for IPv4 and IPv6.

# shellcheck source=tests/vm/lib/nic.sh
source /h/lib/nic.sh

flows=48

# Packets received on each queue, a number for each.
packets() {
	ethtool -S "$nic" | sed -n 's/^ *rx[0-9]*_packets: //p'
}

# Attempts to connect, each from a port of its own. Nobody listens, but the NIC has seen them.
flows_try() {
	# shellcheck disable=SC2016 # for the other shell
	nic_host bash -c 'for ((i = 0; i < $3; i++)); do
		{ exec 9<>"/dev/tcp/$1/$2"; } 2>/dev/null
	done' flows "$1" "$2" "$flows" || :
}

# probe_all ADDRESS PORT QUEUE...: each of many flows lands on one of these, and all are used. The
# kernel sends a packet of its own now and then, which may arrive elsewhere.
probe_all() {
	local to=$1 port=$2 before after i stray=0
	shift 2
	mapfile -t before < <(packets)
	flows_try "$to" "$port"
	mapfile -t after < <(packets)
	for ((i = 0; i < nic_queues; i++)); do
		after[i]=$((after[i] - before[i]))
		if [[ " $* " != *" $i "* ]]; then
			stray=$((stray + after[i]))
		elif [ "${after[i]}" -eq 0 ]; then
			fail "no flow to $to port $port on queue $i: ${after[*]}"
		fi
	done
	[ "$stray" -lt $((flows / 4)) ] ||
		fail "flows to $to port $port by queue, wanted on $*: ${after[*]}"
	note "$to port $port: ${after[*]}"
}

nic_up 4
ethtool -l "$nic"
ethtool -g "$nic"
ethtool -x "$nic"

note "by the table"
probe_all "$nic_address" 5000 0 1 2 3
probe_all "$nic_address6" 5000 0 1 2 3
nic_rss 2
probe_all "$nic_address" 5000 0 1
probe_all "$nic_address6" 5000 0 1

note "by rules"
nic_rule_add flow-type tcp4 dst-port 5001 action 3
rule4=$rule
nic_rule_add flow-type tcp6 dst-port 5001 action 2
rule6=$rule
ethtool -n "$nic"
probe_all "$nic_address" 5001 3
probe_all "$nic_address6" 5001 2
probe_all "$nic_address" 5000 0 1
assert_fails "a rule to a queue that is not there" "Invalid argument" \
	ethtool -N "$nic" flow-type tcp4 dst-port 5002 action 4
assert_fails "a rule for UDP" "not supported" \
	ethtool -N "$nic" flow-type udp4 dst-port 5002 action 1
assert_fails "fewer queues than a rule needs" "." ethtool -L "$nic" combined 3
nic_rule_delete "$rule4"
probe_all "$nic_address" 5001 0 1

note "by a context"
nic_context_add start 2 equal 2
nic_rule_add flow-type tcp4 dst-port 5003 context "$context"
probe_all "$nic_address" 5003 2 3
probe_all "$nic_address" 5000 0 1
ethtool -x "$nic" context "$context"
ethtool -X "$nic" context "$context" weight 0 0 1 0
probe_all "$nic_address" 5003 2
assert_fails "removal of a context that a rule uses" "busy" nic_context_delete "$context"
nic_rule_delete "$rule"
nic_context_delete "$context"
probe_all "$nic_address" 5003 0 1

note "fewer channels"
ethtool -X "$nic" default
nic_rule_delete "$rule6"
ethtool -L "$nic" combined 2
probe_all "$nic_address" 5000 0 1
ethtool -L "$nic" combined 4
probe_all "$nic_address" 5000 0 1 2 3

note "rules that are off do not count"
ethtool -N "$nic" flow-type tcp4 dst-port 5001 loc 5 action 3
assert_match "a rule at the place that it asks for" "Filter: 5" "$(ethtool -n "$nic")"
ethtool -K "$nic" ntuple off
probe_all "$nic_address" 5001 0 1 2 3
ethtool -K "$nic" ntuple on
probe_all "$nic_address" 5001 3
