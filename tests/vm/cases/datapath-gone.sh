# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# rungs: premapped plain zerocopy
# targets: sluice
# kernel_args: dma_debug=off
# boot: own
# timeout_s: 240
# A drive is taken away while its memory is registered and I/O is under way: its namespace fails, the
# other one goes on; with the drive back, a new start serves it by the dma-buf again.

# shellcheck source=tests/vm/lib/rungs.sh
source /h/lib/rungs.sh

config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$drive0"
namespace_add "$nqn" 2 "$drive1"
target_start
rung_ready
host_connect "$nqn"
namespace_wait "$nqn" 2
lost=$device
namespace_wait "$nqn" 1

fio --name=lost --filename="$lost" --rw=randwrite --bs=16k --size=32M --iodepth=8 --direct=1 \
	--ioengine=io_uring --time_based --runtime=600 >"$run/lost.out" 2>&1 &
fio_pid=$!
sleep 2
slot=$(readlink -f "/sys/block/${drive1#/dev/}/device/device")
note "removing ${slot##*/}"
echo 1 >"$slot/remove"
retry 60 grep -q "namespace $nqn/2: $drive1 is gone" "$run/sluiced.log"
note "the other one goes on"
fio_verify "$device"
rung_assert
kill -0 "$target_pid" || fail "sluiced ended"

host_disconnect "$nqn"
wait "$fio_pid" || :
target_stop

note "nobody holds the drive any more" # else the kernel may take what comes for another path to it
drive_left() { ! grep -qsw ssd1 /sys/class/nvme-subsystem/*/serial; }
retry 60 drive_left
note "the drive is back"
echo 1 >/sys/bus/pci/rescan
drive_present() { # the controller comes before its namespace, and the node before the disk
	local node
	node=$( (drive_path ssd1) 2>/dev/null) && [ -b "$node" ] && { : <"$node"; } 2>/dev/null
}
retry 60 drive_present
config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$(drive_path ssd1)"
target_start
rung_ready
host_connect "$nqn"
namespace_wait "$nqn" 1
fio_verify "$device"
rung_assert
