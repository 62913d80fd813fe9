# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# transports: rdma
# timeout_s: 400
# kernel_args: dma_debug=off
# Data goes between the host and the very memory that the drive has mapped: no copy by the CPU, either
# way, and no command has anything mapped.

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh
# shellcheck source=tests/vm/lib/rdma.sh
source /h/lib/rdma.sh

# How many dma-bufs the kernel has attached to that device.
attached() {
	grep -cx "[[:space:]]*$1" /sys/kernel/debug/dma_buf/bufinfo || :
}

domain_assert "$drive0" DMA
assert_eq "dma-bufs attached to ${rdma_devices[0]} before" 0 "$(attached "${rdma_devices[0]}")"
target_start_default
# before a host is there, whose first reads would go by what is there meanwhile
premapped_or_skip
host_connect "$nqn"
namespace_wait "$nqn" 1

listener_get
note "listener: $listener_rung, why not better: $listener_why"
if [ "$KERNEL_OWN" -eq 1 ]; then
	assert_eq "receive rung" rdma-dmabuf "$listener_rung"
else
	assert_match "receive rung" '^rdma' "$listener_rung"
fi
bufs=$(attached "${rdma_devices[0]}")
note "dma-bufs attached to ${rdma_devices[0]}: $bufs"
if [ "$listener_rung" = rdma-dmabuf ]; then
	assert_ge "dma-bufs attached to ${rdma_devices[0]}" 1 "$bufs"
else
	assert_eq "dma-bufs attached to ${rdma_devices[0]}" 0 "$bufs"
fi

note "verified I/O: in capsules up to 16 KiB, beyond that by RDMA READ"
fio_matrix "$device" 512:8 4k:16 64k:8 256k:4
rdma_bytes
note "$placed bytes used where they were received, $staged copied"
assert_ge "bytes used in place" $((20 << 20)) "$placed"
# what Connect brings is for the CPU
[ "$staged" -le 8192 ] || fail "$staged bytes were copied"
for other in fixed plain bounce; do
	assert_eq "bytes by $other" 0 "$(storage_bytes "$other")"
done

mapped_during 2000 4k:16 64k:8
assert_no_maps "$maps" "$unmaps"

note "memory that is no dma-buf: ordinary pages, and nothing is copied either"
host_disconnect "$nqn"
target_stop
mkdir -p "$run/sluice.conf.d"
printf '[memory]\nprovider = anon\n' >"$run/sluice.conf.d/memory.conf"
target_start
listener_get
assert_eq "receive rung" rdma "$listener_rung"
assert_match "reason" "plain memory cannot be exported" "$listener_why"
host_connect "$nqn"
namespace_wait "$nqn" 1
assert_eq "dma-bufs attached to ${rdma_devices[0]}" 0 "$(attached "${rdma_devices[0]}")"
fio_matrix "$device" 4k:16 64k:8
rdma_bytes
assert_ge "bytes used in place" $((8 << 20)) "$placed"
[ "$staged" -le 8192 ] || fail "$staged bytes were copied"

note "no data in capsules: everything by RDMA READ"
host_disconnect "$nqn"
target_stop
printf '[listener rdma]\nin_capsule = 0\n' >"$run/sluice.conf.d/capsule.conf"
rm "$run/sluice.conf.d/memory.conf"
target_start
host_connect "$nqn"
namespace_wait "$nqn" 1
fio_matrix "$device" 4k:16 64k:8
rdma_bytes
assert_ge "bytes used in place" $((8 << 20)) "$placed"
assert_eq "bytes copied" 0 "$staged"
