# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# targets: sluice
# Verify reads without a transfer.

attach_default
nvme verify "$device" --start-block=0 --block-count=127
assert_fails "Verify past the end" "$past_end" \
	nvme verify "$device" --start-block=$((1 << 40)) --block-count=7
