# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# Single I/O commands by hand: what they do, and what they answer when they cannot.

attach_default
dd if=/dev/urandom of="$run/block" bs=4096 count=1 status=none

nvme write "$device" --start-block=16 --block-count=7 --data-size=4096 --data="$run/block"
nvme read "$device" --start-block=16 --block-count=7 --data-size=4096 --data="$run/back"
cmp "$run/block" "$run/back"
nvme write "$device" --start-block=32 --block-count=7 --data-size=4096 --data="$run/block" \
	--force-unit-access
cmp -n 4096 -i 0:16384 "$run/block" "$drive0"
nvme flush "$device" --namespace-id=1

note "what cannot be"
for command in read write; do
	assert_fails "$command past the end" "$past_end" \
		nvme "$command" "$device" --start-block=$((1 << 40)) --block-count=7 --data-size=4096 \
		--data="$run/block"
done
assert_fails "unknown opcode" "Invalid Command Opcode" \
	nvme io-passthru "$device" --opcode=0x70 --namespace-id=1
