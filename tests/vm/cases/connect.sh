# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# Attach and detach, three times: the block device comes with the right size and goes again.

target_start_default
size=$(blockdev --getsize64 "$drive0")
for round in 1 2 3; do
	host_connect "$nqn"
	namespace_wait "$nqn" 1
	assert_eq "size of the namespace in round $round" "$size" "$(blockdev --getsize64 "$device")"
	assert_eq "state of $ctrl" live "$(<"/sys/class/nvme/$ctrl/state")"
	assert_eq "NQN of $ctrl" "$nqn" "$(<"/sys/class/nvme/$ctrl/subsysnqn")"
	host_disconnect "$nqn"
	[ ! -e "/sys/class/nvme/$ctrl" ] || fail "$ctrl is still there after disconnect"
done
