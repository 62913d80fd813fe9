# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# Write Zeroes, from the block layer and by hand.

attach_default
assert_ge "bytes that may be zeroed at once" 1 \
	"$(<"/sys/block/${device##*/}/queue/write_zeroes_max_bytes")"
pattern_write "$device" 0 $((2 << 20))
mv "$run/pattern" "$run/all"
blkdiscard -f -z -o 65536 -l $((1 << 20)) "$device"
assert_zero "$device" 65536 $((1 << 20))
dd if="$run/all" of="$run/pattern" bs=65536 count=1 status=none
assert_pattern "$device" 0 65536
dd if="$run/all" of="$run/pattern" bs=65536 skip=17 count=15 status=none
assert_pattern "$device" $((17 * 65536)) $((15 * 65536))

note "one block in the middle of others"
nvme write-zeroes "$device" --start-block=2 --block-count=0
assert_zero "$device" 1024 512
dd if="$run/all" of="$run/pattern" bs=512 skip=3 count=5 status=none
assert_pattern "$device" 1536 2560

note "with deallocation"
nvme write-zeroes "$device" --start-block=8 --block-count=7 --deac
assert_zero "$device" 4096 4096

note "past the end"
assert_fails "Write Zeroes past the end" "$past_end" \
	nvme write-zeroes "$device" --start-block=$((1 << 40)) --block-count=0
