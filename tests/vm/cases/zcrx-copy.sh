# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 240
# Zero-copy receive without a NIC: the kernel copies to the receive area, the fragments there are
# written from where they lie, by the drive's map of the whole memory.

# shellcheck source=tests/vm/lib/datapath.sh
source /h/lib/datapath.sh
mkdir -p "$run/sluice.conf.d"
printf '[memory]\nreceive = 16M\n[listener tcp]\nreceive = zcrx-copy\n' >"$run/sluice.conf.d/zcrx.conf"
target_start_default
# before a host is there, whose first reads would go by what is there meanwhile
premapped_or_skip
host_connect "$nqn"
namespace_wait "$nqn" 1
receive=$(sluicectl --socket "$run/control.sock" --json datapath | jq -r '.listeners[0].receive.rung')
assert_eq "receive rung" zcrx-copy "$receive"

fio_matrix "$device" 512:8 4k:16 64k:8 1M:8
sluicectl --socket "$run/control.sock" connections

# What lies in one piece is no vector.
placed=$(($(storage_bytes dmabuf-vectored) + $(storage_bytes dmabuf)))
assert_ge "bytes by the dma-buf" $((80 << 20)) "$placed"
assert_ge "of them in fragments" $((30 << 20)) "$(storage_bytes dmabuf-vectored)"
for other in fixed plain bounce; do
	assert_eq "bytes by $other" 0 "$(storage_bytes "$other")"
done

# 512 bytes between two headers are the most that is worth a copy of a part.
connections=$(sluicectl --socket "$run/control.sock" --json connections)
staged=$(jq '[.connections[].staged_bytes] | add' <<<"$connections")
placed=$(jq '[.connections[].placed_bytes] | add' <<<"$connections")
note "$placed bytes placed, $staged bytes staged"
assert_ge "bytes placed" $((40 << 20)) "$placed"
assert_ge "times as many as were staged" 100 $((placed / staged))
