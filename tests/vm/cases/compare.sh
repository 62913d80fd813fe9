# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# targets: sluice
# Compare says whether the blocks hold what the host thinks.

attach_default
dd if=/dev/urandom of="$run/block" bs=4096 count=1 status=none
cp "$run/block" "$run/other"
printf 'X' | dd of="$run/other" bs=1 seek=4095 conv=notrunc status=none
printf 'Y' | dd of="$run/block" bs=1 seek=4095 conv=notrunc status=none
nvme write "$device" --start-block=16 --block-count=7 --data-size=4096 --data="$run/block"
nvme compare "$device" --start-block=16 --block-count=7 --data-size=4096 --data="$run/block"
assert_fails "compare with other data" "Compare Failure" \
	nvme compare "$device" --start-block=16 --block-count=7 --data-size=4096 --data="$run/other"
assert_fails "compare past the end" "$past_end" \
	nvme compare "$device" --start-block=$((1 << 40)) --block-count=7 --data-size=4096 \
	--data="$run/block"
