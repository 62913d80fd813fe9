# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# The NIC's queue is reset, its link goes down and comes back, the daemon is killed and started
# again, all under verified I/O: the host connects again and finds what it wrote.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

# What the daemon changes.
nic_state() {
	ethtool -g "$nic"
	ethtool -l "$nic"
	ethtool -x "$nic"
	ethtool -n "$nic"
}

nic_up 4
nic_state >"$run/before"
zcrx_config
zcrx_attach
steady_start

note "queues are reset"
for queue in 2 3 2 3; do
	nic_queue_reset "$queue"
	sleep 1
done

note "the link goes down and comes back"
nic_link_down
sleep 3
nic_link_up
retry 90 ctrl_state "$ctrl" live
sleep 3

note "the daemon is killed"
target_kill
target_start
retry 90 ctrl_state "$ctrl" live
sleep 5
assert_match "receive rung" '^zcrx' "$(zcrx_rung)"
zcrx_counters
assert_ge "bytes placed since the new start" 1 "$placed"
steady_end
zcrx_end

note "the NIC is given back"
target_stop
nic_state >"$run/after"
diff "$run/before" "$run/after" || fail "the NIC is not as it was"
