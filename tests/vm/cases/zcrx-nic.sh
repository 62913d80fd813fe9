# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# Payload that the NIC placed in the receive area is written to the drive from there: of what the
# host writes hardly a byte is copied, by nobody, and no I/O maps memory.

# shellcheck source=tests/vm/lib/zcrx.sh
source /h/lib/zcrx.sh

nic_up 4
zcrx_config
domain_assert "$drive0" DMA
zcrx_attach

note "verified I/O in all block sizes"
fio_matrix "$device" 512:8 4k:16 64k:8 1M:4 4M:2
zcrx_counters
assert_ge "bytes placed" $((40 << 20)) "$placed"
assert_ge "times as many as were staged" 99 $((placed / staged))
assert_eq "bytes that the kernel copied" 0 "$kernel_copied"

note "128 KiB writes: maps, and bytes staged"
before=$placed staged_before=$staged
count_begin iommu/map
count_begin iommu/unmap
fio_run --name=w --filename="$device" --rw=write --bs=128k --size=16M --iodepth=8 --direct=1 \
	--ioengine=io_uring
count_end iommu/unmap
unmaps=$counted
count_end iommu/map
zcrx_counters
assert_no_maps "$counted" "$unmaps"
placed=$((placed - before)) staged=$((staged - staged_before))
assert_ge "bytes placed" $((16 << 20)) $((placed + staged))
assert_ge "times as many as were staged" 99 $((placed / (staged + 1)))

note "small packets"
nic_tso off
fio_matrix "$device" 4k:16 64k:8
assert_eq "bytes that the kernel copied" 0 "$kernel_copied"
zcrx_end
