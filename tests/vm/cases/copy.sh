# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# targets: sluice
# Copy moves blocks inside the namespace, from several ranges into one.

attach_default
pattern_write "$device" 0 65536
nvme copy "$device" --sdlba=1024 --slbs=0,64 --blocks=15,63
dd if="$run/pattern" of="$run/first" bs=512 count=16 status=none
dd if="$run/pattern" of="$run/second" bs=512 skip=64 count=64 status=none
cat "$run/first" "$run/second" >"$run/pattern"
assert_pattern "$device" $((1024 * 512)) $((80 * 512))
assert_fails "Copy past the end" "$past_end" \
	nvme copy "$device" --sdlba=0 --slbs=$((1 << 40)) --blocks=7
