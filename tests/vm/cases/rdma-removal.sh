# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# transports: rdma
# timeout_s: 300
# boot: own
# The RDMA device is pulled out from under verified I/O and comes back: the host connects again, and finds
# what it wrote. What is served over TCP meanwhile goes on.

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh
# shellcheck source=tests/vm/lib/rdma.sh
source /h/lib/rdma.sh

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
host_connect "$nqn"
namespace_wait "$nqn" 1
steady_start
fio --name=beside --filename="$tcp_device" --rw=randwrite --bs=16k --size=8M --iodepth=4 \
	--direct=1 --ioengine=io_uring --verify=crc32c --verify_fatal=1 --do_verify=1 --time_based \
	--runtime=40 --max_latency=20s >"$run/beside.out" 2>&1 &
beside=$!

for round in 1 2; do
	note "round $round: the device goes while $device is written"
	rdma_moves_on
	rdma link delete "${rdma_devices[0]}"
	retry 20 listener_is waiting
	note "$listener_error"
	rdma link add "${rdma_devices[0]}" type rxe netdev "${rdma_links[0]}"
	retry 20 listener_is open
	retry 90 ctrl_state "$ctrl" live
done
assert_match "log" "RDMA device rxe0 is not used any more" "$(<"$run/sluiced.log")"

note "the host goes on"
rdma_moves_on
steady_end
wait "$beside" || fail "the host over TCP found an error: $(head -n 3 "$run/beside.out")"
host_disconnect "$nqn"
host_disconnect "$nqn.tcp"
target_stop
