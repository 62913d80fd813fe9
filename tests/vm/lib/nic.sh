# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# For the cases about what a NIC places in memory by itself: two linked test NICs (netdevsim with
# the patches of kernel/testing). One is in the root namespace, where the target runs, the other in
# the network namespace "host". Both have as many queues as nic_up is asked for. Results in
# globals, as in lib.sh:
#
#   nic, nic_host_if        names of the interfaces, on the target's and on the host's side
#   nic_address, nic_host_address, nic_address6, nic_host_address6
#   nic_dir                 the knobs of the target's NIC
#
# The initiator of the kernel connects in the namespace of the process that asks it to, and on
# kernels with our patches stays there when it connects again. nic_up sees to it that host_connect
# does so, and that a target which starts later listens where that leads; what else the host asks
# the target for goes by nic_host nvme ... Controllers and block devices are in no namespace.
#
# shellcheck disable=SC2034,SC2154 # for the cases, and from lib.sh

nic=nic0
nic_host_if=nic1
nic_address=10.77.0.1
nic_host_address=10.77.0.2
nic_address6=fd77::1
nic_host_address6=fd77::2
nic_bus=/sys/bus/netdevsim
nic_id=77
nic_host_id=78
nic_dir=/sys/kernel/debug/netdevsim/netdevsim$nic_id/ports/0
nic_queues=0
nic_host_prefix=(nsenter --net=/run/netns/host)

# nic_host COMMAND...: runs it where the host is. Not by "ip netns exec", which would hide debugfs
# and others from it.
nic_host() {
	"${nic_host_prefix[@]}" "$@"
}

# A NIC that places payload in memory of ours.
nic_or_skip() {
	[ -e "$nic_bus/new_device" ] || skip "this kernel has no netdevsim"
}

# nic_make ID QUEUES NAME
nic_make() {
	local path

	echo "$1 1 $2" >"$nic_bus/new_device"
	path=("$nic_bus/devices/netdevsim$1/net/"*)
	[ -d "${path[0]}" ] || fail "netdevsim$1 has no interface"
	ip link set "${path[0]##*/}" name "$3"
}

# Neighbours are known: an interface that is up is of use at once, also for IPv6.
nic_neighbours() {
	local mac mac_host

	mac=$(<"/sys/class/net/$nic/address")
	mac_host=$(nic_host ip -j link show "$nic_host_if" | jq -r '.[0].address')
	ip neigh replace "$nic_host_address" lladdr "$mac_host" dev "$nic" nud permanent
	ip neigh replace "$nic_host_address6" lladdr "$mac_host" dev "$nic" nud permanent
	nic_host ip neigh replace "$nic_address" lladdr "$mac" dev "$nic_host_if" nud permanent
	nic_host ip neigh replace "$nic_address6" lladdr "$mac" dev "$nic_host_if" nud permanent
}

# nic_up [QUEUES]: makes both NICs, 4 queues each if nothing is said, links them and gives them
# addresses. A kernel whose NICs cannot place payload skips the case. Header split is off.
nic_up() {
	nic_queues=${1:-4}
	nic_down
	nic_or_skip
	nic_make "$nic_id" "$nic_queues" "$nic"
	[ -e "$nic_dir/zc_offset" ] || skip "netdevsim of this kernel cannot split headers off"
	nic_make "$nic_host_id" "$nic_queues" "$nic_host_if"
	ip netns add host
	ip link set "$nic_host_if" netns host
	exec 7</proc/self/ns/net 8</run/netns/host
	echo "7:$(<"/sys/class/net/$nic/ifindex") 8:$(nic_host ip -j link show "$nic_host_if" |
		jq '.[0].ifindex')" >"$nic_bus/link_device"
	exec 7<&- 8<&-
	# or IPv6 addresses would be gone after the link was down
	echo 1 >"/proc/sys/net/ipv6/conf/$nic/keep_addr_on_down"
	ip addr add "$nic_address/24" dev "$nic"
	ip addr add "$nic_address6/64" dev "$nic" nodad
	ip link set "$nic" up
	nic_host ip link set lo up
	nic_host ip addr add "$nic_host_address/24" dev "$nic_host_if"
	nic_host ip addr add "$nic_host_address6/64" dev "$nic_host_if" nodad
	nic_host ip link set "$nic_host_if" up
	nic_neighbours
	nic_host ping -q -c 1 -W 10 "$nic_address" >/dev/null || fail "the NICs are not linked"
	host_prefix=("${nic_host_prefix[@]}")
	address=$nic_address
}

# Removes the NICs, whatever state they are in. Controllers that connected through them must be
# gone, or the namespace stays.
nic_down() {
	local id

	for id in "$nic_id" "$nic_host_id"; do
		[ ! -e "$nic_bus/devices/netdevsim$id" ] || echo "$id" >"$nic_bus/del_device"
	done
	[ ! -e /run/netns/host ] || ip netns del host
}

# nic_split on|off: of headers from payload, on the target's NIC. With "off" no queue may be in
# use for zero-copy receive.
nic_split() {
	ethtool -G "$nic" tcp-data-split "$1"
}

# nic_mtu BYTES: of both sides.
nic_mtu() {
	ip link set "$nic" mtu "$1"
	nic_host ip link set "$nic_host_if" mtu "$1"
}

# nic_tso on|off: with "on" what the host sends arrives in packets of up to 64 KiB, with "off" in
# packets of the MTU. What is received is not merged then either, or TCP would hand it on as one.
nic_tso() {
	nic_host ethtool -K "$nic_host_if" tso "$1" gso "$1"
	ethtool -K "$nic" gro "$1"
}

# nic_knob NAME VALUE: zc_offset, zc_pack, zc_frag, zc_drop_every, zc_linear_every or
# zc_reorder_every, as kernel/testing describes them; 0 is off.
nic_knob() {
	echo "$2" >"$nic_dir/$1"
}

nic_knobs_reset() {
	local knob
	for knob in "$nic_dir"/zc_*; do
		echo 0 >"$knob"
	done
}

# nic_counter NAME [QUEUE]: packets, placed_packets, placed_bytes, unsplit_packets, no_buffer,
# knob_drops or reordered, of one queue or of all.
nic_counter() {
	ethtool -S "$nic" | awk -v name="rx${2:-[0-9]+}_$1:" \
		'$1 ~ "^" name "$" { sum += $2 } END { print sum + 0 }'
}

# nic_rss QUEUES: what no rule steers goes to the first so many queues.
nic_rss() {
	ethtool -X "$nic" equal "$1"
}

# nic_rule_add [ethtool's words]: a flow rule, as "flow-type tcp4 dst-port 4420 action 3" or
# "... context 1". Sets rule to its number.
nic_rule_add() {
	local text
	text=$(ethtool -N "$nic" "$@") || fail "ethtool -N $nic $*: $text"
	rule=$(sed -n 's/^Added rule with ID //p' <<<"$text")
	[ -n "$rule" ] || fail "ethtool -N $nic $*: no number in: $text"
}

nic_rule_delete() {
	ethtool -N "$nic" delete "$1"
}

# nic_context_add [ethtool's words]: an RSS context, as "start 2 equal 2". Sets context to its
# number.
nic_context_add() {
	local text
	text=$(ethtool -X "$nic" context new "$@") || fail "ethtool -X $nic context new $*: $text"
	context=$(sed -n 's/^New RSS context is //p' <<<"$text")
	[ -n "$context" ] || fail "ethtool -X $nic context new $*: no number in: $text"
}

nic_context_delete() {
	ethtool -X "$nic" context "$1" delete
}

# nic_queue_reset QUEUE: as a driver does that finds its queue hung.
nic_queue_reset() {
	echo "$1 0" >"$nic_dir/queue_reset"
}

nic_link_down() {
	ip link set "$nic" down
}

# Neighbours are forgotten when the link is down.
nic_link_up() {
	ip link set "$nic" up
	nic_neighbours
}
