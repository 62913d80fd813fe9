# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# Each thing that stands in the way of zero-copy receive is named, with what to do about it, and
# nothing is changed then.

# shellcheck source=tests/vm/lib/nic_setup.sh
source /h/lib/nic_setup.sh

nic_up 4
nic_remember

note "interfaces"
setup_refused ENODEV "there is no network interface nic9" nic9 0.0.0.0 4420
ip link add d0 type dummy
ip link set d0 up
setup_refused EOPNOTSUPP "d0 \(driver dummy, .*cannot split headers" d0 0.0.0.0 4420
ip link del d0
nic_link_down
setup_refused ENETDOWN "$nic is down.*ip link set $nic up" "$nic" 0.0.0.0 4420
nic_link_up
nic_assert_same "interfaces"

note "privilege"
chmod 755 "$run" "$setup_state"
text=$(setpriv --bounding-set -net_admin --inh-caps -net_admin \
	nic-setup --state "$setup_state" "$nic" 0.0.0.0 4420 </dev/null 2>&1) &&
	fail "without CAP_NET_ADMIN: $text"
note "$text"
assert_match "without CAP_NET_ADMIN" "^refused EPERM: .*CAP_NET_ADMIN: start as root" "$text"
nic_assert_same "privilege"

note "numbers"
setup_refused EINVAL \
	"4 receive queues, and its hardware has no more: 4 of zero-copy would leave none" \
	--queues 4 "$nic" 0.0.0.0 4420
setup_refused EINVAL "the receive rings have at most 4096 entries" --ring 5000 "$nic" 0.0.0.0 4420
setup_refused EINVAL "receive buffers of at most" --buffer 4194304 "$nic" 0.0.0.0 4420
setup_refused EINVAL "no listener can be reached by way of $nic" "$nic" 127.0.0.1 4420 ::1 4420
nic_assert_same "numbers"

note "another process has it"
setup_open "$nic" 0.0.0.0 4420
nic_show >"$run/nic-held"
setup_refused EBUSY "$nic is in use by process $setup_pid" "$nic" 0.0.0.0 4421
# one with another place for its notes sees what is changed
mkdir -p "$run/other-state"
text=$(nic-setup --state "$run/other-state" "$nic" 0.0.0.0 4420 </dev/null) &&
	fail "two have the NIC: $text"
note "$text"
assert_match "what is in the way" "^refused EEXIST: " "$text"
nic_show | diff -u "$run/nic-held" - || fail "who was refused has changed something"
setup_close
nic_assert_same "another process"

note "what others have set is in the way"
nic_rule_add flow-type tcp4 dst-port 80 action 3
setup_refused EEXIST "steers other connections to queue 3: remove it \(ethtool -N $nic delete" \
	"$nic" 0.0.0.0 4420
nic_rule_delete "$rule"
nic_rule_add flow-type tcp4 dst-port 4420 action 1
setup_refused EEXIST \
	"has a rule already for TCP over IPv4 to any address port 4420, at place $rule" \
	"$nic" 0.0.0.0 4420
nic_rule_delete "$rule"
nic_rule_add flow-type tcp4 dst-ip "$nic_address" dst-port 4420 action 1
setup_refused EEXIST "has a rule already for TCP over IPv4 to $nic_address port 4420" \
	"$nic" 0.0.0.0 4420
nic_rule_delete "$rule"
nic_context_add start 2 equal 2
setup_refused EEXIST "hash context $context of $nic spreads other connections over queue 3" \
	"$nic" 0.0.0.0 4420
nic_context_delete "$context"
nic_assert_same "what others have set"

note "the kernel steers flows by itself"
flows=/proc/sys/net/core/rps_sock_flow_entries
echo 1024 >"/sys/class/net/$nic/queues/rx-3/rps_flow_cnt"
setup_open "$nic" 0.0.0.0 4420
setup_close
echo 1024 >"$flows"
setup_refused EEXIST \
	"RFS\) may bring other connections to queue 3 of $nic: write 0 to [^ ]*/rx-3/rps_flow_cnt" \
	"$nic" 0.0.0.0 4420
echo 0 >"/sys/class/net/$nic/queues/rx-3/rps_flow_cnt"
setup_open "$nic" 0.0.0.0 4420
setup_close
echo 0 >"$flows"
nic_assert_same "flow steering"

note "what passes through a bridge"
ip link add b0 type bridge
ip link set "$nic" master b0
# bridging takes away what merges packets
nic_remember
setup_refused EINVAL "$nic is a port of a bridge, and .* port 4420 of other machines" \
	"$nic" 0.0.0.0 4420
setup_open "$nic" "$nic_address" 4420
setup_close
nic_assert_same "a bridge"
ip link del b0
nic_remember

note "a place for notes that cannot be written to"
text=$(nic-setup --state "$run/missing" "$nic" 0.0.0.0 4420 </dev/null 2>&1) &&
	fail "set up without a place for notes: $text"
note "$text"
assert_match "the missing directory" "^refused ENOENT: $run/missing, where it is noted" "$text"
mkdir "$run/full"
mount -t tmpfs -o size=4k,nr_inodes=2 tmpfs "$run/full"
text=$(nic-setup --state "$run/full" "$nic" 0.0.0.0 4420 </dev/null 2>&1) &&
	fail "set up without room for notes: $text"
note "$text"
umount "$run/full"
assert_match "no room" "cannot be noted down, so nothing is changed: No space" "$text"
nic_assert_same "no place for notes"
