# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# transports: rdma
# timeout_s: 400
# boot: own
# The target's address goes from its interface while a host writes and verifies, and comes back: the
# host connects again, and finds what it wrote. What is served over TCP meanwhile goes on.
# (The kernel tells of addresses that move for bonds alone: else a listener stays with its device.)

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh
# shellcheck source=tests/vm/lib/rdma.sh
source /h/lib/rdma.sh

# The routes that lead from the address go with it.
address_take() {
	ip addr del "$address/32" dev "${rdma_links[0]}"
}

address_give() {
	ip addr add "$address/32" dev "${rdma_links[0]}"
	ip route add "$rdma_host_address/32" dev "${rdma_links[0]}" src "$address"
}

connections_gone() {
	[ "$(sluicectl --socket "$run/control.sock" --json connections |
		jq '[.connections[] | select(.transport.name == "rdma")] | length')" -eq 0 ]
}

config_reset
listener_add tcp
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
subsystem_add "$nqn.tcp"
namespace_add "$nqn.tcp" 2 "$drive1"
target_start
transport=tcp address=127.0.0.1 host_connect "$nqn.tcp"
namespace_wait "$nqn.tcp" 2
tcp_device=$device
host_connect "$nqn" --keep-alive-tmo=$((2 * SLOWNESS))
namespace_wait "$nqn" 1
steady_start

for round in 1 2; do
	note "round $round: the address goes while $device is written"
	rdma_moves_on
	address_take
	retry 60 ctrl_state "$ctrl" connecting
	retry 60 connections_gone
	fio_verify "$tcp_device" --size=2M
	listener_get
	note "the listener is $listener_state: $listener_error"
	address_give
	retry 90 ctrl_state "$ctrl" live
	retry 20 listener_is open
done

note "the host goes on"
rdma_moves_on
steady_end
host_disconnect "$nqn"
host_disconnect "$nqn.tcp"
target_stop
