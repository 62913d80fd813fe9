# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# transports: rdma
# timeout_s: 400
# A listener with an IPv6 address beside the one with IPv4: hosts find, attach and use it in the
# same way, over both at a time. An IPv6 address that no RDMA device has is called so.

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh
# shellcheck source=tests/vm/lib/rdma.sh
source /h/lib/rdma.sh

address4=$address
second=$nqn.second

# The device's table of addresses has this one: eight groups of four digits.
gid_present() {
	grep -qx "$1" "/sys/class/infiniband/${rdma_devices[0]}/ports/1/gids/"* 2>/dev/null
}

# log_addresses ADDRESS: family and address of each listener that the log from there has of $nqn.
log_addresses() {
	address=$1 host_nvme discover -o json | jq -r "[.records[] | select(.subnqn == \"$nqn\" and
		.trtype == \"rdma\") | .adrfam + \" \" + .traddr] | sort | join(\", \")"
}

# The address that a controller was reached at.
address_of() {
	tr ',' '\n' <"/sys/class/nvme/$1/address" | sed -n 's/^traddr=//p'
}

note "the device has the address"
retry 10 gid_present fd00:0009:0000:0000:0000:0000:0000:0001

config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
subsystem_add "$second"
namespace_add "$second" 2 "$drive1"
mkdir -p "$run/sluice.conf.d"
printf '[listener rdma6]\ntransport = rdma\naddress = %s\nport = %s\n' "$rdma_address6" "$port" \
	>"$run/sluice.conf.d/rdma6.conf"
target_start
retry 20 listener_is open rdma6
note "the IPv6 listener: $listener_rung"
rung6=$listener_rung
listener_get
assert_eq "receive rung, as that of IPv4" "$listener_rung" "$rung6"

note "discovery over either tells of both"
for where in "$address4" "$rdma_address6"; do
	assert_eq "the log from $where" "ipv4 $address4, ipv6 $rdma_address6" "$(log_addresses "$where")"
done

note "one namespace over IPv4, one over IPv6, at a time"
host_connect "$nqn"
assert_eq "address of $ctrl" "$address4" "$(address_of "$ctrl")"
namespace_wait "$nqn" 1
steady_start
address=$rdma_address6 host_connect "$second"
assert_eq "address of $ctrl" "$rdma_address6" "$(address_of "$ctrl")"
namespace_wait "$second" 2
fio_matrix "$device" 512:8 4k:16 256k:4
pattern_write "$device" 0 65536
host_disconnect "$second"
steady_end
host_disconnect "$nqn"
assert_pattern "$drive1" 0 65536

note "what was written over IPv6 is read over IPv4"
host_connect "$second"
namespace_wait "$second" 2
assert_pattern "$device" 0 65536
host_disconnect "$second"

note "the host is told that the target goes, and is back when that is"
address=$rdma_address6 host_connect "$nqn"
namespace_wait "$nqn" 1
target_kill
retry 30 ctrl_state "$ctrl" connecting
target_start
retry 60 ctrl_state "$ctrl" live
fio_verify "$device" --size=2M
host_disconnect "$nqn"
target_stop

note "an IPv6 address on an interface that no RDMA device belongs to"
ip link add d9 type dummy
ip addr add fd00:99::1/64 dev d9 nodad
ip link set d9 up
sed -i 's/^address = .*/address = fd00:99::1/' "$run/sluice.conf.d/rdma6.conf"
sluice_start_waiting
retry 20 listener_says \
	"the address is on d9, which no RDMA device belongs to; the devices are rxe0 \(on d0\)" rdma6
note "$listener_error"
retry 20 listener_is open
target_stop

note "an IPv6 address that is not there"
ip link del d9
sluice_start_waiting
retry 20 listener_is waiting rdma6
note "$listener_error"
assert_match "log" "does not have the address \(yet\)" "$(<"$run/sluiced.log")"
target_stop
