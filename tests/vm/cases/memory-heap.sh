# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# targets: sluice
# timeout_s: 240
# Data buffers in a DMA heap, which cannot be pinned: verified data on a drive.

[ -e /dev/dma_heap/system ] || skip "the kernel has no /dev/dma_heap/system"

# shellcheck source=tests/vm/lib/memory.sh
source /h/lib/memory.sh

mkdir "$run/sluice.conf.d"
printf '[memory]\nprovider = heap\n' >"$run/sluice.conf.d/memory.conf"
attach_default

paths=$(sluicectl --socket "$run/control.sock" --json datapath)
note "$(jq -c '.namespaces[].storage, .areas[]' <<<"$paths")"
assert_eq "provider" heap "$(json_get "$paths" '.areas[0].provider')"
assert_eq "faces" cpu,dmabuf "$(json_get "$paths" '.areas[0].faces | join(",")')"
assert_memory_rung

fio_matrix "$device" 512:8 4k:8 256k:2
pattern_write "$device" $((3 << 20)) 131072
assert_pattern "$device" $((3 << 20)) 131072
assert_pattern "$drive0" $((3 << 20)) 131072

note "a heap that is not there is named, with those that are"
host_disconnect "$nqn"
target_stop
printf 'heap = gold\n' >>"$run/sluice.conf.d/memory.conf"
assert_fails "start without its heap" 'no DMA heap "gold" .*set \[memory\] heap to one of .*system' \
	sluiced --config "$run/sluice.conf"
