# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# The NIC's queue is reset, its link goes down and comes back, the daemon is killed and started
# again, all under verified I/O: the host connects again and finds what it wrote. The NIC is given
# back as it was, at the daemon's end, and by the next one when it was killed.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh
# shellcheck source=tests/vm/lib/nic_setup.sh
source /h/lib/nic_setup.sh
# The daemon's is beside its control socket.
setup_state=$run

nic_up 4
nic_remember
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
assert_match "receive rung" '^zcrx' "$(zcrx_rung)"
zcrx_goes_on 1
steady_end
zcrx_end

note "the NIC is given back"
target_stop
nic_assert_same "the daemon's end"
target_start
target_kill
assert_match "rules of the dead" "Total [1-9]" "$(ethtool -n "$nic")"
rm "$run/sluice.conf.d/zcrx.conf"
target_start
nic_assert_same "the start of one that does not want it"
target_stop
