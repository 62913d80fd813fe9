# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# kernel_args: nvme.quirks=1b36:0010:no_sgl
# A drive without SGLs, which takes scattered memory by whole pages only: what does not lie so is copied
# to the command's buffer, and no write fails.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

nic_up 4
zcrx_config
assert_eq "virt_boundary_mask" 4095 "$(<"/sys/block/${drive0#/dev/}/queue/virt_boundary_mask")"
zcrx_attach
assert_eq "alignment of pieces" 4096 "$(sluicectl --socket "$run/control.sock" --json namespaces |
	jq '.namespaces[0].limits.piece_alignment_bytes')"
fio_matrix "$device" 512:4 4k:16 64k:8 1M:4

note "small packets"
nic_tso off
fio_matrix "$device" 4k:16 64k:8
zcrx_counters
assert_ge "bytes staged" $((20 << 20)) "$staged"
zcrx_end
