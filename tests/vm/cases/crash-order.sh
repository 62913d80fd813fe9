# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# rungs: fixed plain
# targets: sluice
# timeout_s: 300
# Whatever a host was told is on the disk is there if the power fails at that moment: a device that logs
# what is written to the drive, and in which order, is played back up to each answered Flush and each
# answered write with FUA. Blocks that are in the drive's cache at that moment are lost. That device takes
# no dma-bufs, and so nothing where a NIC has placed it: all that would be copied. The case crash-commands is
# about those.

# shellcheck source=tests/vm/lib/rungs.sh
source /h/lib/rungs.sh
# shellcheck source=tests/vm/lib/stack.sh
source /h/lib/stack.sh

dm_create crash "0 $(blockdev --getsz "$drive0") log-writes $drive0 $drive1"
config_reset
subsystem_add "$nqn"
namespace_add "$nqn" 1 "$device"
target_start
host_connect "$nqn"
namespace_wait "$nqn" 1
assert_eq "volatile write cache of the host's disk" "write back" \
	"$(cat "/sys/block/${device##*/}/queue/write_cache")"
assert_eq "FUA of the host's disk" 1 "$(cat "/sys/block/${device##*/}/queue/fua")"

note "writing"
python3 -B /h/lib/crash_order.py write "$device" crash "$run/answered"
rung_assert 1 fixed
host_disconnect "$nqn"
target_stop
dm_remove crash

note "playing back"
python3 -B /h/lib/crash_order.py check "$drive1" "$run/answered"
note "a write that came later than it was promised is found"
assert_fails "a log without some writes" "was answered, and is not there" \
	python3 -B /h/lib/crash_order.py check "$drive1" "$run/answered" --forget 10
