# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout_s: 400
# The kernel's initiator reaches the target through the NIC, also when it connects again, and what
# it writes is there.

# shellcheck source=tests/vm/lib/nic.sh
source /h/lib/nic.sh

# assert_moved WHAT: the NIC has received as many bytes since the last time as fio wrote.
moved=0
assert_moved() {
	local now
	now=$(<"/sys/class/net/$nic/statistics/rx_bytes")
	assert_ge "bytes over the NIC, $1" $((moved + (4 << 20))) "$now"
	moved=$now
}

nic_up 4
nic_split on
attach_default
fio_verify "$device" --size=4M --bs=16k
assert_moved "at first"

note "after the link was down"
nic_link_down
retry 60 ctrl_state "$ctrl" connecting
nic_link_up
retry 90 ctrl_state "$ctrl" live
fio_verify "$device" --size=4M --bs=16k
assert_moved "after the link was down"

note "after the target was gone"
target_kill
target_start
retry 90 ctrl_state "$ctrl" live
fio_verify "$device" --size=4M --bs=16k
assert_moved "after the target was gone"

host_disconnect "$nqn"
target_stop
