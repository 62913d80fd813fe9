# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# Deallocated blocks read as zeroes where the namespace promises it; their neighbours stay.

attach_default
assert_ge "bytes that may be discarded at once" 1 "$(<"/sys/block/${device##*/}/queue/discard_max_bytes")"
pattern_write "$device" 0 $((4 << 20))
blkdiscard -f -o $((1 << 20)) -l $((1 << 20)) "$device"

note "blocks before and after"
dd if="$run/pattern" of="$run/whole" bs=1M count=1 status=none
mv "$run/pattern" "$run/all"
mv "$run/whole" "$run/pattern"
assert_pattern "$device" 0 $((1 << 20))
dd if="$run/all" of="$run/pattern" bs=1M skip=2 count=2 status=none
assert_pattern "$device" $((2 << 20)) $((2 << 20))

dlfeat=$(nvme id-ns "$device" -o json | jq .dlfeat)
if [ $((dlfeat & 7)) -eq 1 ]; then
	assert_zero "$device" $((1 << 20)) $((1 << 20))
else
	note "the namespace promises nothing about the content (DLFEAT $dlfeat)"
fi

note "several ranges in one command, and one block of 512 bytes"
nvme dsm "$device" --ad --slbs=0,64,4096 --blocks=8,16,1
dd if="$run/all" of="$run/pattern" bs=512 skip=8 count=56 status=none
assert_pattern "$device" 4096 $((56 * 512))

note "a range past the end"
assert_fails "range past the end" "$past_end" \
	nvme dsm "$device" --ad --slbs=$((1 << 40)) --blocks=8
