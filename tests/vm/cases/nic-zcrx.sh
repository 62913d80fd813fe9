# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# Zero-copy receive on the test NIC: every byte in memory of the program or in a dma-buf, from large
# and small packets, over IPv4 and IPv6, in small and large buffers.

# shellcheck source=tests/vm/lib/nic.sh
source /h/lib/nic.sh

stream() {
	note "$*"
	selftest_run zcrx stream interface="$nic" queues=3 "$@"
}

nic_up 4
nic_split on
nic_rss 3
nic_rule_add flow-type tcp4 dst-port 5300 action 3
nic_rule_add flow-type tcp6 dst-port 5300 action 3

for area in user udmabuf; do
	stream area="$area" address="$nic_address" offset=0 piece=4096
	stream area="$area" address="$nic_address6" offset=0 piece=4096
	stream area="$area" address="$nic_address" buffer=65536 offset=0
	stream area="$area" address="$nic_address6" buffer=65536 offset=0
done
assert_ge "bytes that the NIC placed" $((8 * 2 << 20)) "$(nic_counter placed_bytes 3)"
assert_eq "packets that it did not split" 0 "$(nic_counter unsplit_packets)"

note "packets of the MTU"
nic_tso off
stream area=user address="$nic_address" offset=0 piece=1448
stream area=udmabuf address="$nic_address6" buffer=65536 offset=0 piece=1428
nic_mtu 9000
stream area=user address="$nic_address" offset=0 piece=4096
stream area=user address="$nic_address" buffer=65536 offset=0 piece=8948
