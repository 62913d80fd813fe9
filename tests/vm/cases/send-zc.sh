# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout_s: 300
# targets: sluice
# netdev: hubport,id=near,hubid=1
# netdev: hubport,id=far,hubid=1
# device: e1000e,netdev=near,mac=52:54:00:00:00:01
# device: e1000e,netdev=far,mac=52:54:00:00:00:02
# Read data leaves through a network card from the pages where it lies: nothing is copied, what is lost
# under way is sent again as it was, and buffers come back however the connection ends.

address=192.0.2.1
control=$run/control.sock

# card_find MAC
# Prints the name of the network card with that address.
card_find() {
	grep -l "$1" /sys/class/net/*/address | cut -d/ -f5
}

# Adds up a member of what TCP says of all connections.
sum() {
	sluicectl --socket "$control" --json connections |
		jq "[.connections[].transport.$1] | add // 0"
}

sum_is_over() {
	[ "$(sum "$1")" -gt "$2" ]
}

connections_are() {
	[ "$(sluicectl --socket "$control" --json connections | jq '.connections | length')" -eq "$1" ]
}

# host_start ARGUMENT...
# Load from the other card, in the background.
host_start() {
	ip netns exec far sluice-bench --connect "$address:$port" --nqn "$nqn" --range 0-16M --bs 128k \
		"$@" >"$run/host.log" 2>&1 &
	host_pid=$!
}

host_wait() {
	local rc=0
	wait "$host_pid" || rc=$?
	[ "$rc" -eq 0 ] || fail "the host ended with $rc: $(tail -n 5 "$run/host.log")"
	cat "$run/host.log"
}

host_kill() {
	kill -KILL "$host_pid"
	wait "$host_pid" || :
}

near=$(card_find 52:54:00:00:00:01)
far=$(card_find 52:54:00:00:00:02)
ip netns add far
ip link set "$far" netns far
ip -n far address add 192.0.2.2/24 dev "$far"
ip -n far link set "$far" up
ip address add "$address/24" dev "$near"
ip link set "$near" up

# verified_load ARGUMENT...
verified_load() {
	host_start --rw randrw --depth 8 --time 5 --verify "$@"
	retry 60 sum_is_over send_zc_bytes $((4 << 20))
	assert_eq "bytes that the kernel copied" 0 "$(sum send_zc_copied_bytes)"
	host_wait
}

rung_is_zc() {
	assert_eq "transmit rung" send-zc \
		"$(sluicectl --socket "$control" --json datapath | jq -r '.listeners[0].transmit.rung')"
}

note "small pages, by the registered buffer"
echo deny >/sys/kernel/mm/transparent_hugepage/shmem_enabled
target_start_default
rung_is_zc
verified_load
target_stop
echo never >/sys/kernel/mm/transparent_hugepage/shmem_enabled

note "huge pages, by their addresses"
target_start
rung_is_zc
verified_load
verified_load --hdgst --ddgst

note "the same with packets lost and out of order"
tc qdisc add dev "$near" root netem delay 2ms 1ms loss 2% reorder 5%
host_start --rw randrw --depth 8 --time 8 --verify --ddgst
retry 60 sum_is_over send_zc_bytes $((2 << 20))
host_wait
resent=$(nstat -asz TcpRetransSegs | awk '/^Tcp/ { print $2 }')
assert_ge "segments sent again" 1 "$resent"
tc qdisc del dev "$near" root

note "the host is killed"
host_start --rw randread --depth 32 --time 60
retry 60 sum_is_over send_zc_bytes $((2 << 20))
host_kill
retry 20 connections_are 0

note "the network is gone"
host_start --rw randread --depth 32 --time 60 --kato 2000
retry 60 sum_is_over send_zc_bytes $((2 << 20))
ip -n far link set "$far" down
retry 20 connections_are 0
# which may have given up by itself
kill -KILL "$host_pid" 2>/dev/null || :
wait "$host_pid" || :
ip -n far link set "$far" up

note "and all is as it was"
host_start --rw randrw --depth 8 --time 2 --verify
host_wait
target_stop
