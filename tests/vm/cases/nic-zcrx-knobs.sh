# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# What a NIC may do to payload: odd places, shared buffers, pieces, loss, reordering, failed splits.

# shellcheck source=tests/vm/lib/nic.sh
source /h/lib/nic.sh

# stream [KNOB:VALUE...] -- [zcrx's options]: the knobs are off again afterwards.
stream() {
	note "$*"
	while [ "$1" != -- ]; do
		nic_knob "${1%:*}" "${1#*:}"
		shift
	done
	shift
	selftest_run zcrx stream interface="$nic" queues=3 address="$nic_address" "$@"
	nic_knobs_reset
}

# counted NAME: what has been added since the last time must be something.
declare -A seen=()
counted() {
	local now
	now=$(nic_counter "$1" 3)
	[ "$now" -gt "${seen[$1]:-0}" ] || fail "the NIC counted no $1"
	seen[$1]=$now
}

nic_up 4
nic_split on
nic_rss 3
nic_rule_add flow-type tcp4 dst-port 5300 action 3

note "a virtual function has no counters of its own, and can be asked for them"
echo 1 >"$nic_bus/devices/netdevsim$nic_id/sriov_numvfs"
devlink dev eswitch set "netdevsim/netdevsim$nic_id" mode switchdev
for path in "$nic_bus/devices/netdevsim$nic_id/net/"*; do
	[ "${path##*/}" = "$nic" ] ||
		assert_fails "ethtool -S ${path##*/}" "no stats" ethtool -S "${path##*/}"
done
echo 0 >"$nic_bus/devices/netdevsim$nic_id/sriov_numvfs"

note "large packets"
stream zc_offset:66 -- area=user offset=66
stream zc_offset:1 -- area=udmabuf offset=1
stream zc_offset:4000 -- area=user
stream zc_offset:60000 -- area=udmabuf buffer=65536 offset=60000
stream zc_frag:4000 -- area=user offset=0 piece=4000
stream zc_pack:64 zc_frag:4000 -- area=udmabuf buffer=65536 offset=0 pack=64 piece=4000
stream zc_pack:8 zc_offset:2 zc_frag:5000 -- area=user buffer=65536 offset=2 pack=2 piece=5000

note "loss and its like"
stream zc_drop_every:20 -- area=user
counted knob_drops
stream zc_reorder_every:3 -- area=udmabuf
counted reordered
stream zc_linear_every:4 -- area=user copied=1
counted unsplit_packets
stream zc_linear_every:4 -- area=user buffer=65536 copied=1
stream zc_drop_every:31 zc_reorder_every:7 zc_linear_every:5 zc_offset:3 -- area=user copied=1

note "small packets"
nic_tso off
stream zc_offset:66 -- area=user offset=66 piece=1448
stream zc_pack:512 -- area=udmabuf offset=0 pack=512 piece=1448
stream zc_pack:8 zc_offset:5 -- area=user buffer=65536 offset=5 pack=8 piece=1448
stream zc_frag:100 -- area=user area_len=16777216 offset=0 piece=100
stream zc_drop_every:100 zc_reorder_every:50 -- area=udmabuf
counted knob_drops
counted reordered
stream zc_linear_every:10 -- area=user copied=1
counted unsplit_packets

note "no copy into a dma-buf: the stream ends there"
stream zc_linear_every:10 -- area=udmabuf errno=ENOMEM
