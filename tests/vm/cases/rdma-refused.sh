# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# transports: rdma
# timeout_s: 300
# boot: own
# What keeps a listener from RDMA is said by name, and how to mend it; the other listeners serve. When
# it is mended the listener opens.

# shellcheck source=tests/vm/lib/rdma.sh
source /h/lib/rdma.sh

# said PATTERN: why the listener waits.
said() {
	retry 20 listener_says "$1"
	note "$listener_error"
}

config_reset
listener_add tcp
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
sluice_config >"$run/sluice.conf"
mkdir -p "$run/sluice.conf.d"

note "no RDMA device"
transport_down
sluice_start_waiting
said "(no RDMA device|does not have the address)"
transport=tcp address=127.0.0.1 host_connect "$nqn"
namespace_wait "$nqn" 1
fio_verify "$device" --size=2M
transport_up
retry 20 listener_is open
host_connect "$nqn"
nvme disconnect -n "$nqn"
target_stop

note "an address on an interface that no RDMA device belongs to"
ip link add d9 type dummy
ip addr add 10.9.9.1/24 dev d9
ip link set d9 up
sed -i 's/^address = 10\..*/address = 10.9.9.1/' "$run/sluice.conf"
sluice_start_waiting
said "the address is on d9, which no RDMA device belongs to; the devices are rxe0 \(on d0\)"
target_stop
transport_down
sluice_start_waiting
said "no RDMA device \(the address is on d9\); for soft-RoCE: rdma link add"
target_stop
ip link del d9
transport_up

note "an address that is not there"
sed -i 's/^address = 10\..*/address = 10.99.0.1/' "$run/sluice.conf"
sluice_start_waiting
retry 20 listener_is waiting
assert_match "log" "does not have the address \(yet\)" "$(<"$run/sluiced.log")"
target_stop
sluice_config >"$run/sluice.conf"

note "memory that may not be locked"
printf '[memory]\nprovider = anon\n' >"$run/sluice.conf.d/memory.conf"
chmod 777 "$run"
chmod 666 "$drive0" /dev/udmabuf
sluice_start_waiting as_nobody_with_80_mib_locked
said "RDMA device rxe0: cannot register [0-9.]+ MiB of memory: RLIMIT_MEMLOCK is 80 MiB: raise LimitMEMLOCK="
transport=tcp address=127.0.0.1 host_connect "$nqn"
namespace_wait "$nqn" 1
fio_verify "$device" --size=2M
nvme disconnect -n "$nqn"
target_stop
rm "$run/sluice.conf.d/memory.conf"

note "too little room for receives"
for i in 1 2 3; do
	ip link add "d9$i" type dummy
	ip addr add "10.9.9$i.1/24" dev "d9$i"
	ip link set "d9$i" up
	rdma link add "rxe9$i" type rxe netdev "d9$i"
done
printf '[memory]\nreceive = 2M\n' >"$run/sluice.conf.d/receive.conf"
sluice_start_waiting
said "RDMA device rxe0: only [0-9]+ receives are possible, 64 are needed; raise \[memory\] receive"
target_stop
for i in 1 2 3; do
	rdma link delete "rxe9$i"
	ip link del "d9$i"
done

note "a device that nobody may open"
rm "$run/sluice.conf.d/receive.conf"
chmod 600 /dev/infiniband/uverbs*
sluice_start_waiting as_nobody
said "the RDMA device of d0 cannot be opened: \[daemon\] user needs access to /dev/infiniband/uverbs"
target_stop
