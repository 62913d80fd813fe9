# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# Zero-copy receive while something happens: buffers run out, the queue is reset, another queue is
# reset, the link goes down and comes back.

# shellcheck source=tests/vm/lib/nic.sh
source /h/lib/nic.sh

stream() {
	note "$*"
	selftest_run zcrx stream interface="$nic" queues=3 address="$nic_address" "$@"
}

nic_up 4
nic_split on
nic_rss 3
nic_rule_add flow-type tcp4 dst-port 5300 action 3

note "an area that is far too small, and nothing is given back for a while"
stream area=user area_len=2097152 hold_ms=2000 bytes=8388608 starved=1
assert_ge "packets lost for want of buffers" 1 "$(nic_counter no_buffer 3)"
stream area=udmabuf area_len=2097152 buffer=65536 hold_ms=2000 bytes=8388608 starved=1
stream area=user area_len=33554432 starved=0

note "resets"
for mode in 0 1 2 3; do
	stream area=user middle="echo 3 $mode >$nic_dir/queue_reset"
	stream area=udmabuf middle="echo 2 $mode >$nic_dir/queue_reset"
done
stream area=udmabuf buffer=65536 \
	middle="for i in 1 2 3; do echo 3 0 >$nic_dir/queue_reset; sleep 0.3; done"

note "link"
host_link="nsenter --net=/run/netns/host ip link set $nic_host_if"
for area in user udmabuf; do
	stream area="$area" middle="ip link set $nic down; sleep 1; ip link set $nic up"
	stream area="$area" middle="$host_link down; sleep 1; $host_link up"
done
