# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# transports: tcp rdma
# targets: sluice
# timeout_s: 300
# kernel_args: dma_debug=off
# The buffers of a worker are registered dma-bufs: in a strict domain no command of a host makes the
# target's drive map memory.

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh
domain_assert "$drive0" DMA
target_start_default
# before a host is there, whose first reads would go by fixed buffers
premapped_or_skip
host_connect "$nqn"
namespace_wait "$nqn" 1

note "verified I/O goes by it"
fio_matrix "$device" 512:8 4k:16 64k:8 256k:4
assert_ge "bytes by the dma-buf" $(((40 << 20) / less)) "$(storage_bytes dmabuf)"
for other in fixed plain bounce; do
	assert_eq "bytes by $other" 0 "$(storage_bytes "$other")"
done

# The pools of descriptors have grown above, with as many commands in flight as now.
mapped_during $((4000 / less)) 4k:16 64k:8
assert_no_maps "$maps" "$unmaps"

note "the same with ordinary fixed buffers, which proves the counting"
host_disconnect "$nqn"
target_stop
mkdir -p "$run/sluice.conf.d"
printf '[memory]\nprovider = anon\n' >"$run/sluice.conf.d/memory.conf"
target_start
host_connect "$nqn"
namespace_wait "$nqn" 1
storage_get
assert_eq "storage rung" fixed "$rung"
count_begin iommu/map
fio_matrix "$device" 4k:16
count_end iommu/map
assert_ge "maps with ordinary buffers" $((2000 / less)) "$counted"
